/* SPDX-License-Identifier: BSD-2-Clause */
/* Command lines by getopt_long, with one way of refusing for all commands. */
#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"

#include "base/byte_count.h"

void options_start(struct options *options, const struct command *command)
{
	memset(options, 0, sizeof(*options));
	options->command = command;
	options_flag(options, "json", &options->json);
	options_flag(options, "quiet", &options->quiet);
}

static struct one_option *add(struct options *options, const char *name, enum option_kind kind,
			      void *value)
{
	struct one_option *one = &options->list[options->count++];

	one->name = name;
	one->kind = kind;
	one->value = value;
	one->unit = 1;
	return one;
}

void options_flag(struct options *options, const char *name, bool *value)
{
	add(options, name, OPTION_FLAG, value);
}

void options_text(struct options *options, const char *name, const char **value)
{
	add(options, name, OPTION_TEXT, value);
}

void options_texts(struct options *options, const char *name, struct text_list *values)
{
	add(options, name, OPTION_TEXTS, values);
}

void options_number(struct options *options, const char *name, uint64_t *value, uint64_t low,
		    uint64_t high)
{
	struct one_option *one = add(options, name, OPTION_NUMBER, value);

	one->low = low;
	one->high = high;
}

void options_bytes(struct options *options, const char *name, uint64_t *value, uint64_t low,
		   uint64_t high, uint64_t unit)
{
	struct one_option *one = add(options, name, OPTION_BYTES, value);

	one->low = low;
	one->high = high;
	one->unit = unit;
}

bool options_given(const struct options *options, const char *name)
{
	for (size_t i = 0; i < options->count; i++) {
		if (strcmp(options->list[i].name, name) == 0)
			return options->list[i].given;
	}
	return false;
}

bool parse_number(const char *text, uint64_t *ret_number)
{
	uint64_t n;
	const char *end = read_number(text, &n);

	if (end == NULL || *end != '\0')
		return false;
	*ret_number = n;
	return true;
}

static bool take_number(const struct options *options, struct one_option *one, const char *text,
			int *ret_status)
{
	uint64_t n;
	bool good = one->kind == OPTION_BYTES ? parse_byte_count(text, &n) : parse_number(text, &n);

	if (!good || n < one->low || n > one->high) {
		char range[64];

		if (one->high == UINT64_MAX)
			snprintf(range, sizeof(range), "at least %llu",
				 (unsigned long long)one->low);
		else
			snprintf(range, sizeof(range), "from %llu to %llu",
				 (unsigned long long)one->low, (unsigned long long)one->high);
		*ret_status = misused(options->command, "--%s: '%s' is not a number %s%s",
				      one->name, text, range,
				      one->kind == OPTION_BYTES ? " (K, M, G, T may follow)" : "");
		return false;
	}
	if (n % one->unit != 0) {
		*ret_status = misused(options->command, "--%s: %s is not a multiple of %llu",
				      one->name, text, (unsigned long long)one->unit);
		return false;
	}
	*(uint64_t *)one->value = n;
	return true;
}

static bool take_one_more(const struct options *options, const struct one_option *one,
			  const char *text, int *ret_status)
{
	struct text_list *list = one->value;

	if (list->count == MAX_TEXTS) {
		*ret_status = misused(options->command, "--%s: at most %d are possible", one->name,
				      MAX_TEXTS);
		return false;
	}
	list->items[list->count++] = text;
	return true;
}

static bool take(const struct options *options, struct one_option *one, const char *text,
		 int *ret_status)
{
	one->given = true;
	switch (one->kind) {
	case OPTION_FLAG:
		*(bool *)one->value = true;
		return true;
	case OPTION_TEXT:
		*(const char **)one->value = text;
		return true;
	case OPTION_TEXTS:
		return take_one_more(options, one, text, ret_status);
	case OPTION_NUMBER:
	case OPTION_BYTES:
		break;
	}
	return take_number(options, one, text, ret_status);
}

/* What getopt_long did not like: it leaves the word just read behind optind. */
static int refuse(const struct options *options, int what, char **argv)
{
	const char *word = argv[optind - 1];

	if (what == ':')
		return misused(options->command, "option '%s' needs a value", word);
	if (optopt != 0 && optopt < UCHAR_MAX)
		return misused(options->command, "unknown option '-%c'", optopt);
	if (optopt != 0)
		return misused(options->command, "option '%s' takes no value", word);
	return misused(options->command, "unknown option '%s'", word);
}

/* getopt_long gives options back as this plus their number, so that none looks like a letter. */
#define FIRST_OPTION 256

bool options_parse(struct options *options, int argc, char **argv, int low_count, int high_count,
		   char ***ret_arguments, int *ret_status)
{
	struct option table[MAX_OPTIONS + 2] = { { "help", no_argument, NULL, 'h' } };
	int c;

	for (size_t i = 0; i < options->count; i++) {
		struct option *entry = &table[i + 1];

		entry->name = options->list[i].name;
		entry->has_arg =
			options->list[i].kind == OPTION_FLAG ? no_argument : required_argument;
		entry->val = FIRST_OPTION + (int)i;
	}
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":hq", table, NULL)) != -1) {
		if (c == 'h') {
			print_help(options->command);
			*ret_status = finish_output(options->command, EXIT_GOOD);
			return false;
		}
		if (c == 'q') {
			options->quiet = true;
			continue;
		}
		if (c < FIRST_OPTION) {
			*ret_status = refuse(options, c, argv);
			return false;
		}
		if (!take(options, &options->list[c - FIRST_OPTION], optarg, ret_status))
			return false;
	}
	if (argc - optind < low_count || argc - optind > high_count) {
		*ret_status = argc - optind < low_count
				      ? misused(options->command, "an argument is missing")
				      : misused(options->command, "unexpected argument '%s'",
						argv[optind + high_count]);
		return false;
	}
	document_want(options->json);
	*ret_arguments = argv + optind;
	return true;
}
