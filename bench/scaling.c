/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a laptop to a data centre: what an index of so much data takes, and does, by the formulas of
 * uds-scaling(7). bench/README.md says more.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds.h>

#include "scaling_measure.h"
#include "scaling_model.h"
#include "scaling_output.h"

#define MOST_VALUES 16u

/* What --measure has found on a virtual machine with 2 processors; bench/README.md says how. */
#define DEFAULT_INPUTS                                                                            \
	{                                                                                         \
		.rates = { { 2.3e6, 224e3, 149e3 }, { 1.7e6, 219e3, 59e3 } },                     \
		.read_seconds = 96e-6, .reads = 9300, .duplicates = 0.5, .run = 1024, .saves = 8, \
		.largest = 64, .shards = UDS_SHARDS_MAX,                                          \
	}

struct list {
	double values[MOST_VALUES];
	size_t count;
};

struct settings {
	struct scaling_inputs inputs;
	struct scaling_inputs given; /* what is not 0 replaces what was measured */
	struct list data, blocks;
	bool kinds[2];
	bool json;
	const char *plot;
	const char *measure;
	uint32_t chapters; /* of the indexes that are measured */
	double tolerance;
};

static void usage(FILE *out)
{
	fputs("usage: bench/scaling [--data 1T,100T,10P,1E] [--block 4K,8K,16K,32K,64K]\n"
	      "           [--kind dense|sparse] [--shard-memory GB] [--shards N] [--duplicates "
	      "PART]\n"
	      "           [--run N] [--saves N] [--rates NEW,RUNS,RANDOM]\n"
	      "           [--sparse-rates NEW,RUNS,RANDOM] [--read-us N] [--reads N]\n"
	      "           [--round-trip-us N] [--json] [--plot FILE.svg]\n"
	      "           [--measure PATH [--chapters N] [--tolerance T]]\n"
	      "--data: powers of 1000; --block: powers of 1024.\n"
	      "--measure makes small indexes at PATH, where no file may be, for rates and times, "
	      "and\n"
	      "compares them with the formulas: the exit status is 1 when these are wrong.\n",
	      out);
}

static void refuse(const char *option, const char *text)
{
	fprintf(stderr, "bench/scaling: --%s: not possible: %s\n", option, text);
	exit(2);
}

/* A positive number, with a prefix if @base is not 0. Moves on to what is behind it. */
static double number(const char *option, const char **text, double base)
{
	static const char prefixes[] = "KMGTPE";
	const char *found;
	char *end;
	double value = strtod(*text, &end);

	if (base > 0 && *end != '\0' && (found = strchr(prefixes, *end)) != NULL) {
		value *= pow(base, (double)(found - prefixes + 1));
		end++;
	}
	if (end == *text || !(value >= 0) || value > 1e21)
		refuse(option, *text);
	*text = end;
	return value;
}

static double one(const char *option, const char *text, double least, double most)
{
	const char *rest = text;
	double value = number(option, &rest, 0);

	if (*rest != '\0' || value < least || value > most)
		refuse(option, text);
	return value;
}

static void several(const char *option, const char *text, double base, double least, double most,
		    struct list *ret_list)
{
	const char *rest = text;

	ret_list->count = 0;
	for (;;) {
		double value = number(option, &rest, base);

		if (value < least || value > most || ret_list->count == MOST_VALUES)
			refuse(option, text);
		ret_list->values[ret_list->count++] = value;
		if (*rest == '\0')
			return;
		if (*rest++ != ',')
			refuse(option, text);
	}
}

static void rates(const char *option, const char *text, struct scaling_rates *ret_rates)
{
	struct list list;

	several(option, text, 0, 1e-3, 1e12, &list);
	if (list.count != 3)
		refuse(option, text);
	*ret_rates = (struct scaling_rates){ list.values[0], list.values[1], list.values[2] };
}

/* What was given counts more than what was measured or is usual. */
static void take_given(struct settings *s)
{
	for (int k = 0; k < 2; k++) {
		if (s->given.rates[k].post > 0)
			s->inputs.rates[k] = s->given.rates[k];
	}
	if (s->given.read_seconds > 0)
		s->inputs.read_seconds = s->given.read_seconds;
	if (s->given.reads > 0)
		s->inputs.reads = s->given.reads;
}

static const struct option long_options[] = {
	{ "data", required_argument, NULL, 'd' },
	{ "block", required_argument, NULL, 'b' },
	{ "kind", required_argument, NULL, 'k' },
	{ "shard-memory", required_argument, NULL, 'm' },
	{ "shards", required_argument, NULL, 'N' },
	{ "duplicates", required_argument, NULL, 'D' },
	{ "run", required_argument, NULL, 'r' },
	{ "saves", required_argument, NULL, 's' },
	{ "rates", required_argument, NULL, 'R' },
	{ "sparse-rates", required_argument, NULL, 'S' },
	{ "read-us", required_argument, NULL, 'u' },
	{ "reads", required_argument, NULL, 'i' },
	{ "round-trip-us", required_argument, NULL, 'n' },
	{ "json", no_argument, NULL, 'j' },
	{ "plot", required_argument, NULL, 'p' },
	{ "measure", required_argument, NULL, 'M' },
	{ "tolerance", required_argument, NULL, 't' },
	{ "chapters", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void choose_kind(const char *text, bool kinds[2])
{
	kinds[0] = strcmp(text, "dense") == 0;
	kinds[1] = strcmp(text, "sparse") == 0;
	if (!kinds[0] && !kinds[1])
		refuse("kind", text);
}

/* Returns false for an option that is none. */
static bool take_option(struct settings *s, int option, const char *name)
{
	struct scaling_inputs *in = &s->inputs;

	switch (option) {
	case 'd':
		several(name, optarg, 1000, 1, 1e21, &s->data);
		break;
	case 'b':
		several(name, optarg, 1024, 512, 1u << 30, &s->blocks);
		break;
	case 'k':
		choose_kind(optarg, s->kinds);
		break;
	case 'm':
		in->largest = (uint32_t)one(name, optarg, 1, SCALING_LARGEST);
		break;
	case 'N':
		in->shards = (uint32_t)one(name, optarg, 1, UDS_SHARDS_MAX);
		break;
	case 'D':
		in->duplicates = one(name, optarg, 0, 1);
		break;
	case 'r':
		in->run = one(name, optarg, 1, 1e9);
		break;
	case 's':
		in->saves = one(name, optarg, 0, 1e9);
		break;
	case 'R':
		rates(name, optarg, &s->given.rates[0]);
		break;
	case 'S':
		rates(name, optarg, &s->given.rates[1]);
		break;
	case 'u':
		s->given.read_seconds = one(name, optarg, 0, 1e9) / 1e6;
		break;
	case 'i':
		s->given.reads = one(name, optarg, 0, 1e12);
		break;
	case 'n':
		in->round_trip_seconds = one(name, optarg, 0, 1e9) / 1e6;
		break;
	case 'j':
		s->json = true;
		break;
	case 'p':
		s->plot = optarg;
		break;
	case 'M':
		s->measure = optarg;
		break;
	case 't':
		s->tolerance = one(name, optarg, 0, 10);
		break;
	case 'c':
		s->chapters = (uint32_t)one(name, optarg, 32, 1024);
		break;
	default:
		return false;
	}
	return true;
}

static size_t compute_rows(const struct settings *s, struct scaling_row *rows)
{
	struct uds_message message = { "" };
	size_t count = 0;

	for (size_t i = 0; i < s->data.count; i++) {
		for (size_t j = 0; j < s->blocks.count; j++) {
			for (int sparse = 0; sparse < 2; sparse++) {
				struct scaling_row *row = &rows[count];

				if (!s->kinds[sparse])
					continue;
				row->data_bytes = s->data.values[i];
				row->block_bytes = (uint32_t)s->blocks.values[j];
				row->sparse = sparse == 1;
				if (scaling_compute(&s->inputs, &message, row) < 0) {
					fprintf(stderr, "bench/scaling: %s\n", message.text);
					exit(EXIT_FAILURE);
				}
				count++;
			}
		}
	}
	return count;
}

static bool all_good(const struct scaling_checks *checks)
{
	bool good = true;

	for (size_t i = 0; i < checks->count; i++) {
		if (checks->list[i].good)
			continue;
		fprintf(stderr, "bench/scaling: the formula is wrong: %s\n", checks->list[i].name);
		good = false;
	}
	return good;
}

static int report(struct settings *s)
{
	static struct scaling_row rows[2 * MOST_VALUES * MOST_VALUES];
	static struct scaling_checks found;
	const struct scaling_checks *checks = NULL;
	bool good = true;
	size_t count;

	if (s->measure != NULL) {
		scaling_measure(s->measure, s->chapters, s->tolerance, &s->inputs, &found);
		checks = &found;
		good = all_good(checks);
	}
	take_given(s);
	count = compute_rows(s, rows);
	if (s->json)
		scaling_print_json(&s->inputs, rows, count, checks);
	else
		scaling_print_table(&s->inputs, rows, count, checks);
	if (s->plot != NULL && !scaling_plot(s->plot, rows, count))
		good = false;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "bench/scaling: standard output: %s\n", strerror(errno));
		good = false;
	}
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct settings s = { .inputs = DEFAULT_INPUTS,
			      .data = { { 1e12, 100e12, 10e15, 1e18 }, 4 },
			      .blocks = { { 4096, 8192, 16384, 32768, 65536 }, 5 },
			      .kinds = { true, true },
			      .chapters = 64,
			      .tolerance = 1 };
	int option, which = 0;

	while ((option = getopt_long(argc, argv, "", long_options, &which)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return EXIT_SUCCESS;
		}
		if (!take_option(&s, option, long_options[which].name)) {
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}
	return report(&s);
}
