/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages on standard error, help on standard output, and which exit status a status becomes. */
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "document.h"
#include "identify.h"
#include "text.h"

__attribute__((format(printf, 3, 0))) static void
say(const struct command *command, const char *path, const char *format, va_list args)
{
	char sentence[2048];
	size_t used = 0;
	va_list again;

	if (document_wanted()) {
		if (path != NULL)
			used = (size_t)snprintf(sentence, sizeof(sentence), "%.1500s: ", path);
		va_copy(again, args);
		vsnprintf(sentence + used, sizeof(sentence) - used, format, again);
		va_end(again);
		document_note(sentence);
	}
	if (document_is_beside_data())
		return;
	/* Several threads may have something to say, and a progress bar may be on the line. */
	flockfile(stderr);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	fputs("uds", stderr);
	if (command != NULL)
		fprintf(stderr, " %s", command->name);
	fputs(": ", stderr);
	if (path != NULL) {
		print_path(stderr, path);
		fputs(": ", stderr);
	}
	print_clean(stderr, format, args);
	fputc('\n', stderr);
	funlockfile(stderr);
}

void complain(const struct command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, NULL, format, args);
	va_end(args);
}

void complain_path(const struct command *command, const char *path, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, path, format, args);
	va_end(args);
}

int misused(const struct command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, NULL, format, args);
	va_end(args);
	if (document_is_beside_data())
		return EXIT_USAGE;
	fprintf(stderr, "usage: uds %s %s\n", command->name, command->usage);
	fprintf(stderr, "See `uds help %s`.\n", command->name);
	return EXIT_USAGE;
}

void complain_about(const struct command *command, const char *subject, const char *sentence)
{
	if (strncmp(sentence, subject, strlen(subject)) == 0)
		complain(command, "%s", sentence);
	else
		complain(command, "%s: %s", subject, sentence);
}

void say_what_it_is(const struct command *command, const char *subject, int status)
{
	char sentence[1400];

	if (command != NULL &&
	    explain_failure(command->name, subject, status, sentence, sizeof(sentence)))
		complain(command, "%s", sentence);
}

int failed(const struct command *command, const char *subject, int status,
	   const struct uds_message *message)
{
	const char *sentence = uds_strerror(status);

	if (message != NULL && message->text[0] != '\0')
		sentence = message->text;
	complain_about(command, subject, sentence);
	say_what_it_is(command, subject, status);
	return status == UDS_ERR_CORRUPT || status == UDS_ERR_MISMATCH ? EXIT_DAMAGE : EXIT_FAILED;
}

void print_help(const struct command *command)
{
	FILE *out = document_begin_text();

	fprintf(out, "usage: uds %s %s\n\n%s.\n", command->name, command->usage, command->line);
	fprintf(out, "\n%s", command->options);
	fprintf(out, "  --help, -h            this text\n"
		     "\nThe manual page uds(1) says more.\n");
	document_end_text(out, "help");
}

/* Why standard output failed, as soon as that is seen: later calls forget it. */
static int output_error;

bool output_failed(void)
{
	if (ferror(stdout) && output_error == 0)
		output_error = errno;
	return output_error != 0;
}

int finish_output(const struct command *command, int status)
{
	static bool told; /* a command may ask again: one message is enough */
	int error = fflush(stdout) == 0 ? 0 : errno;

	if (output_error != 0)
		error = output_error;
	if (error == 0 && !ferror(stdout))
		return status;
	if (error == EPIPE) {
		output_error = error;
		return status == EXIT_GOOD ? EXIT_NO_READER : status;
	}
	/* It failed earlier, and why is forgotten; a descriptor that was closed still says so. */
	if (error == 0 && write(STDOUT_FILENO, "", 0) < 0)
		error = errno;
	if (!told)
		complain(command, "standard output: %s",
			 error != 0 ? strerror(error) : "not all of it could be written");
	told = true;
	return status == EXIT_GOOD ? EXIT_FAILED : status;
}
