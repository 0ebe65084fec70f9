/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all commands of `uds` share: the table entry of a command, exit statuses, and messages.
 *
 * A command is a function that parses its own arguments, works, and returns an exit status. It
 * prints results on standard output and messages on standard error, each beginning with the
 * command's name and saying what it is about.
 */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include <stdbool.h>
#include <stddef.h>

#include <uds/status.h>

/* What scripts rely on. */
enum exit_status {
	EXIT_GOOD = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,	      /* the command line, or a geometry that no index can have */
	EXIT_DAMAGE = 3,      /* the bytes on the device contradict the format */
	EXIT_NO_READER = 141, /* standard output is not read any more: as if by SIGPIPE */
};

struct command {
	const char *name;    /* "create", "snapshot merge" */
	const char *line;    /* what it does, in one line */
	const char *usage;   /* arguments after the name */
	const char *options; /* its own options, one a line, as help prints them */

	/* argv[0] is the last word of the name. */
	int (*run)(const struct command *command, int argc, char **argv);
};

/* The tables of the families; each ends with a NULL name. */
extern const struct command index_commands[];
extern const struct command request_commands[];
extern const struct command snapshot_commands[];
extern const struct command vdo_commands[];
extern const struct command shards_commands[];

/*
 * Prints "uds NAME: sentence" on standard error; @command NULL: "uds: sentence". Whatever the
 * sentence is made of, no control character of it gets there (text.h).
 */
void complain(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The same about a file: "uds NAME: PATH: sentence", with the path shown such that it is
 * the only one.
 */
void complain_path(const struct command *command, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, as a wrong use: followed by where to read more. Returns EXIT_USAGE. */
int misused(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Reports that the library failed and returns the exit status for it. @message may be NULL or
 * empty: then the status speaks.
 */
int failed(const struct command *command, const char *subject, int status,
	   const struct uds_message *message);

/*
 * After @status of an open: if @subject is something else than what the command works on, a message
 * with what it is and what to type.
 */
void say_what_it_is(const struct command *command, const char *subject, int status);

/*
 * Prints a sentence of the library, with @subject in front unless it begins with that already.
 */
void complain_about(const struct command *command, const char *subject, const char *sentence);

/* The whole help text of a command, on standard output or in the document. */
void print_help(const struct command *command);

/* Whether something could not be written to standard output; to be asked right after writing. */
bool output_failed(void);

/*
 * Flushes standard output; that it is not read is no message. Returns @status, or EXIT_FAILED after
 * a message when that failed.
 */
int finish_output(const struct command *command, int status);

#endif
