/* SPDX-License-Identifier: BSD-2-Clause */
/* The `uds` command: finds the command that is asked for and hands over. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "standard.h"
#include "document.h"
#include "progress.h"
#include "tool.h"

static const struct command *const families[] = {
	index_commands, request_commands, snapshot_commands, vdo_commands, shards_commands,
};

static const struct command whole = {
	.name = "help",
	.usage = "[COMMAND]",
	.line = "Says what the commands do",
	.options = "",
};

/* For messages about what is left to do at the end. */
static const struct command *carried_out = &whole;

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

/* Writes the commands whose names begin with @family; all of them for "". */
static void write_commands(FILE *out, const char *family)
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

static int list_commands(const char *family)
{
	FILE *out = document_begin_text();

	write_commands(out, family);
	document_end_text(out, "help");
	return finish_output(&whole, EXIT_GOOD);
}

static int tell_version(int argc, char **argv)
{
	FILE *out;

	if (argc > 0)
		return misused(&whole, "superfluous argument '%s'", argv[0]);
	out = document_begin_text();
	fprintf(out, "uds (%s) %s", PACKAGE_NAME, PACKAGE_VERSION);
	if (!document_wanted())
		fputc('\n', out);
	document_end_text(out, "version");
	return finish_output(&whole, EXIT_GOOD);
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
			return list_commands(argv[0]);
		}
		complain(NULL, "unknown command '%s %s'", argv[0], argv[1]);
	} else if (is_family(argv[0])) {
		document_note("a command is missing");
		write_commands(stderr, argv[0]);
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

	if (argc == 0 || (argc == 1 && is_help(argv[0])))
		return list_commands("");
	command = command_of(argc, argv, &words);
	if (command != NULL && argc > words)
		return misused(&whole, "superfluous argument '%s'", argv[words]);
	if (command != NULL) {
		print_help(command);
		return finish_output(&whole, EXIT_GOOD);
	}
	if (argc == 1 && is_family(argv[0]))
		return list_commands(argv[0]);
	return unknown_command(argc, argv);
}

/* Help and the version take one option, anywhere. Returns how many other words there are. */
static int take_json_off(int argc, char **argv)
{
	int left = 0;

	for (int i = 0; i < argc; i++) {
		if (!words_want_document(1, argv + i))
			argv[left++] = argv[i];
	}
	return left;
}

static int run(int argc, char **argv)
{
	const struct command *command;
	int words;

	if (argc < 2) {
		write_commands(stderr, "");
		return EXIT_USAGE;
	}
	argc--;
	argv++;
	if (is_help(argv[0])) {
		argc = take_json_off(argc - 1, argv + 1);
		return run_help(argc, argv + 1);
	}
	if (strcmp(argv[0], "--version") == 0) {
		argc = take_json_off(argc - 1, argv + 1);
		return tell_version(argc, argv + 1);
	}
	command = command_of(argc, argv, &words);
	if (command == NULL)
		return unknown_command(argc, argv);
	carried_out = command;
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
	/* A file at the limit of file sizes is an error of the write, as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	document_want(words_want_document(argc - 1, argv + 1));
	status = document_end(status_of_end(run(argc, argv)));
	return finish_output(carried_out, status);
}
