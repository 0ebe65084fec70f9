/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command lines: a command names its options with the place where each value goes; parsing, ranges
 * and refusals are the same for all.
 *
 * Every command has --help, --json and --quiet without asking.
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tool.h"

#define MAX_OPTIONS 32
#define MAX_TEXTS   63

enum option_kind {
	OPTION_FLAG,   /* bool */
	OPTION_NUMBER, /* uint64_t: decimal, or hexadecimal with 0x */
	OPTION_BYTES,  /* uint64_t: a number that may end in K, M, G or T (powers of 1024) */
	OPTION_TEXT,   /* const char * */
	OPTION_TEXTS,  /* struct text_list: may be given several times */
};

/* The values of an option that was given several times, in order. */
struct text_list {
	const char *items[MAX_TEXTS];
	size_t count;
};

struct one_option {
	const char *name;
	enum option_kind kind;
	void *value;
	uint64_t low, high; /* numbers: the allowed range */
	uint64_t unit;	    /* numbers: must be a multiple of it */
	bool given;
};

struct options {
	const struct command *command;
	struct one_option list[MAX_OPTIONS];
	size_t count;
	bool json;
	bool quiet;
};

void options_start(struct options *options, const struct command *command);
void options_flag(struct options *options, const char *name, bool *value);
void options_text(struct options *options, const char *name, const char **value);
void options_texts(struct options *options, const char *name, struct text_list *values);
void options_number(struct options *options, const char *name, uint64_t *value, uint64_t low,
		    uint64_t high);
void options_bytes(struct options *options, const char *name, uint64_t *value, uint64_t low,
		   uint64_t high, uint64_t unit);

/* Whether an option was on the command line. */
bool options_given(const struct options *options, const char *name);

/*
 * Parses. @low_count, @high_count: how many arguments may follow the options; @ret_arguments: the
 * first of them.
 *
 * Returns true to go on; false when the command is over, with its exit status in @ret_status.
 */
bool options_parse(struct options *options, int argc, char **argv, int low_count, int high_count,
		   char ***ret_arguments, int *ret_status);

/* A number; false for anything else, also when it does not fit. */
bool parse_number(const char *text, uint64_t *ret_number);

#endif
