/* SPDX-License-Identifier: BSD-2-Clause */
/* The `uds` command: finds the command that is asked for and hands over. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "standard.h"
#include "document.h"
#include "progress.h"
#include "tool.h"

static const struct command *const families[] = { index_commands, request_commands,
						  snapshot_commands };

static const struct command whole = {
	.name = "help",
	.usage = "[COMMAND]",
	.line = "Says what the commands do",
	.options = "",
};

static const struct command *find_command(const char *name)
{
	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		for (const struct command *c = families[f]; c->name != NULL; c++) {
			if (strcmp(c->name, name) == 0)
				return c;
		}
	}
	return NULL;
}

/* Whether @word begins the name of commands of two words, as "snapshot" does. */
static bool is_family(const char *word)
{
	size_t n = strlen(word);

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		for (const struct command *c = families[f]; c->name != NULL; c++) {
			if (strncmp(c->name, word, n) == 0 && c->name[n] == ' ')
				return true;
		}
	}
	return false;
}

/* Prints the commands whose names begin with @family; all of them for "". */
static void list_commands(FILE *out, const char *family)
{
	size_t n = strlen(family);

	fprintf(out, "usage: uds %s%sCOMMAND [OPTION...] ...\n\n", family, n == 0 ? "" : " ");
	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		for (const struct command *c = families[f]; c->name != NULL; c++) {
			if (n == 0 || (strncmp(c->name, family, n) == 0 && c->name[n] == ' '))
				fprintf(out, "  %-22s %s\n", c->name, c->line);
		}
	}
	fprintf(out, "\n`uds help COMMAND` and `uds COMMAND --help` say more; so does the manual "
		     "page uds(1).\n");
}

/* The command that the first word, or the first two, name; @ret_words: how many it took. */
static const struct command *command_of(int argc, char **argv, int *ret_words)
{
	char name[64];
	const struct command *command;

	*ret_words = 1;
	command = find_command(argv[0]);
	if (command != NULL || argc < 2)
		return command;
	snprintf(name, sizeof(name), "%s %s", argv[0], argv[1]);
	command = find_command(name);
	if (command != NULL)
		*ret_words = 2;
	return command;
}

static bool is_help(const char *word)
{
	return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int unknown_command(int argc, char **argv)
{
	if (is_family(argv[0]) && argc > 1) {
		if (is_help(argv[1])) {
			list_commands(stdout, argv[0]);
			return finish_output(&whole, EXIT_GOOD);
		}
		complain(NULL, "unknown command '%s %s'", argv[0], argv[1]);
	} else if (is_family(argv[0])) {
		document_note("a command is missing");
		list_commands(stderr, argv[0]);
		return EXIT_USAGE;
	} else if (argv[0][0] == '-') {
		complain(NULL, "unknown option '%s'", argv[0]);
	} else {
		complain(NULL, "unknown command '%s'", argv[0]);
	}
	fprintf(stderr, "`uds help` lists the commands.\n");
	return EXIT_USAGE;
}

static int run_help(int argc, char **argv)
{
	const struct command *command;
	int words;

	if (argc == 0) {
		list_commands(stdout, "");
		return finish_output(&whole, EXIT_GOOD);
	}
	command = command_of(argc, argv, &words);
	if (command != NULL) {
		print_help(command);
		return finish_output(&whole, EXIT_GOOD);
	}
	if (argc == 1 && is_family(argv[0])) {
		list_commands(stdout, argv[0]);
		return finish_output(&whole, EXIT_GOOD);
	}
	return unknown_command(argc, argv);
}

static int run(int argc, char **argv)
{
	const struct command *command;
	int words;

	if (argc < 2) {
		list_commands(stderr, "");
		return EXIT_USAGE;
	}
	argc--;
	argv++;
	if (is_help(argv[0]))
		return run_help(argc - 1, argv + 1);
	if (strcmp(argv[0], "--version") == 0) {
		printf("uds (%s) %s\n", PACKAGE_NAME, PACKAGE_VERSION);
		return finish_output(&whole, EXIT_GOOD);
	}
	command = command_of(argc, argv, &words);
	if (command == NULL)
		return unknown_command(argc, argv);
	answer_progress_requests(command->name);
	return command->run(command, argc - words + 1, argv + words - 1);
}

/* As a shell says it of a process that a signal ended; what could be done in order, was. */
static int status_of_end(int status)
{
	return status != EXIT_GOOD && was_interrupted() ? 128 + which_interrupt() : status;
}

int main(int argc, char **argv)
{
	int status;

	if (!fill_standard_descriptors())
		return EXIT_FAILED;
	document_want(words_want_document(argc - 1, argv + 1));
	status = document_end(status_of_end(run(argc, argv)));
	return finish_output(&whole, status);
}
