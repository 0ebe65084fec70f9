/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An index beside its peers: the same names in the same order, handed over by the same interface
 * (bench/peers/peer.h), in turn, in one run. bench/README.md says more.
 */
#include "compare.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare_output.h"
#include "compare_peers.h"
#include "compare_side.h"
#include "compare_work.h"

struct settings {
	struct compare_plan plan;
	struct compare_peers peers;
	const char *known; /* --peers */
	const char *files[COMPARE_MOST_PEERS];
	size_t file_count;
	const char *json, *report;
};

static void usage(FILE *out)
{
	fputs("usage: bench/compare --at PLACE... [--records 1M,4M] [--batch 1,256]\n"
	      "           [--threads 1,2] [--in-flight N] [--workloads WORD,...]\n"
	      "           [--peers NAME,...] [--peer FILE.so]... [--runs N] [--seconds S]\n"
	      "           [--operations N] [--memory MB] [--json FILE] [--report FOLDER]\n"
	      "PLACE: FOLDER, or file:FOLDER?OPTION&..., with options of the URI of a file, as\n"
	      "direct=1&uring=1. What is made there is removed.\n"
	      "WORD: fill (always), steady, duplicates, misses, hits, peeks, stream.\n"
	      "NAME: uds, lmdb, rocksdb, sqlite (all of them that were built).\n"
	      "The exit status is 1 when a peer failed or gave a wrong answer.\n",
	      out);
}

static void refuse(const char *option, const char *text)
{
	fprintf(stderr, COMPARE ": --%s: not possible: %s\n", option, text);
	exit(2);
}

/* A number with K, M or G for thousands. Moves on to what is behind it. */
static double number(const char *option, const char **text)
{
	static const char prefixes[] = "KMG";
	const char *found;
	char *end;
	double value = strtod(*text, &end);

	if (*end != '\0' && (found = strchr(prefixes, *end)) != NULL) {
		value *= pow(1000, (double)(found - prefixes + 1));
		end++;
	}
	if (end == *text || !(value >= 0))
		refuse(option, *text);
	*text = end;
	return value;
}

static double one(const char *option, const char *text, double least, double most)
{
	const char *rest = text;
	double value = number(option, &rest);

	if (*rest != '\0' || value < least || value > most)
		refuse(option, text);
	return value;
}

static size_t several(const char *option, const char *text, double most,
		      double ret_values[COMPARE_VALUES])
{
	const char *rest = text;
	size_t count = 0;

	for (;;) {
		double value = number(option, &rest);

		if (value < 1 || value > most || count == COMPARE_VALUES)
			refuse(option, text);
		ret_values[count++] = floor(value);
		if (*rest == '\0')
			return count;
		if (*rest++ != ',')
			refuse(option, text);
	}
}

static void take_records(struct compare_plan *plan, const char *text)
{
	double values[COMPARE_VALUES];

	plan->records_count = several("records", text, 1e10, values);
	for (size_t i = 0; i < plan->records_count; i++) {
		/* Duplicates come in runs of so many, and some of them must be there. */
		if (values[i] < 4 * WORKLOAD_RUN)
			refuse("records", text);
		plan->records[i] = (uint64_t)values[i];
	}
}

static void take_threads(struct compare_plan *plan, const char *text)
{
	double values[COMPARE_VALUES];

	plan->threads_count = several("threads", text, 64, values);
	for (size_t i = 0; i < plan->threads_count; i++)
		plan->threads[i] = (unsigned int)values[i];
}

static void take_batches(struct compare_plan *plan, const char *text)
{
	double values[COMPARE_VALUES];

	plan->mode_count = several("batch", text, BENCH_BATCH_MAX, values);
	for (size_t i = 0; i < plan->mode_count; i++)
		plan->modes[i] = (struct compare_mode){ (unsigned int)values[i], false };
}

static void take_workloads(struct compare_plan *plan, const char *text)
{
	memset(plan->workloads, 0, sizeof(plan->workloads));
	for (const char *at = text; *at != '\0';) {
		const size_t length = strcspn(at, ",");
		int kind = 0;

		while (kind < WORKLOADS && (strlen(workload_words[kind]) != length ||
					    strncmp(workload_words[kind], at, length) != 0))
			kind++;
		if (kind == WORKLOADS)
			refuse("workloads", text);
		plan->workloads[kind] = true;
		at += length + (at[length] == ',');
	}
}

static void take_place(struct compare_plan *plan, const char *text)
{
	struct compare_place *place = &plan->places[plan->place_count];
	const char *folder = strncmp(text, "file:", 5) == 0 ? text + 5 : text;
	const size_t length = strcspn(folder, "?");
	const char *options = folder + length + (folder[length] == '?');

	if (plan->place_count == COMPARE_VALUES || length == 0 || length >= sizeof(place->folder) ||
	    strlen(options) >= sizeof(place->options) || memchr(folder, '%', length) != NULL)
		refuse("at", text);
	memcpy(place->folder, folder, length);
	place->folder[length] = '\0';
	strcpy(place->options, options);
	place->direct = strstr(options, "direct=1") != NULL;
	plan->place_count++;
}

static void take_file(struct settings *s, const char *path)
{
	if (s->file_count == COMPARE_MOST_PEERS)
		refuse("peer", path);
	s->files[s->file_count++] = path;
}

static const struct option long_options[] = {
	{ "at", required_argument, NULL, 'a' },
	{ "records", required_argument, NULL, 'n' },
	{ "batch", required_argument, NULL, 'b' },
	{ "threads", required_argument, NULL, 't' },
	{ "in-flight", required_argument, NULL, 'f' },
	{ "workloads", required_argument, NULL, 'w' },
	{ "peers", required_argument, NULL, 'k' },
	{ "peer", required_argument, NULL, 'p' },
	{ "runs", required_argument, NULL, 'r' },
	{ "seconds", required_argument, NULL, 's' },
	{ "operations", required_argument, NULL, 'o' },
	{ "memory", required_argument, NULL, 'm' },
	{ "json", required_argument, NULL, 'j' },
	{ "report", required_argument, NULL, 'R' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* Returns false for an option that is none. */
static bool take_option(struct settings *s, int option, const char *name, unsigned int *in_flight)
{
	struct compare_plan *plan = &s->plan;

	switch (option) {
	case 'a':
		take_place(plan, optarg);
		break;
	case 'n':
		take_records(plan, optarg);
		break;
	case 'b':
		take_batches(plan, optarg);
		break;
	case 't':
		take_threads(plan, optarg);
		break;
	case 'f':
		*in_flight = (unsigned int)one(name, optarg, 1, 2048);
		break;
	case 'w':
		take_workloads(plan, optarg);
		break;
	case 'k':
		s->known = optarg;
		break;
	case 'p':
		take_file(s, optarg);
		break;
	case 'r':
		plan->runs = (unsigned int)one(name, optarg, 1, COMPARE_RUNS);
		break;
	case 's':
		plan->seconds = one(name, optarg, 0.001, 1e6);
		break;
	case 'o':
		plan->operations = (uint64_t)one(name, optarg, 1, 1e15);
		break;
	case 'm':
		plan->memory_bytes = (uint64_t)one(name, optarg, 16, 1e6) << 20;
		break;
	case 'j':
		s->json = optarg;
		break;
	case 'R':
		s->report = optarg;
		break;
	default:
		return false;
	}
	return true;
}

static bool take_options(struct settings *s, int argc, char **argv)
{
	unsigned int in_flight = 0;
	int option, which = 0;

	while ((option = getopt_long(argc, argv, "", long_options, &which)) != -1) {
		if (option == 'h') {
			usage(stdout);
			exit(EXIT_SUCCESS);
		}
		if (!take_option(s, option, long_options[which].name, &in_flight))
			return false;
	}
	if (in_flight > 0 && s->plan.mode_count == COMPARE_VALUES)
		refuse("in-flight", "too many batch sizes");
	if (in_flight > 0)
		s->plan.modes[s->plan.mode_count++] = (struct compare_mode){ in_flight, true };
	return optind == argc && s->plan.place_count > 0;
}

static bool load_peers(struct settings *s)
{
	if (!compare_peers_take_known(&s->peers, s->known))
		return false;
	for (size_t i = 0; i < s->file_count; i++) {
		if (!compare_peers_take_file(&s->peers, s->files[i]))
			return false;
	}
	if (compare_peers_ready(&s->peers) > 0)
		return true;
	fprintf(stderr, COMPARE ": there is nothing to measure\n");
	return false;
}

/* All peers, each time beginning with another one. Returns false when it was stopped. */
static bool take_turns(const struct settings *s, struct compare_point point, unsigned int run,
		       struct compare_results *results)
{
	for (size_t i = 0; i < s->peers.count; i++) {
		unsigned int peer = (unsigned int)((i + run) % s->peers.count);

		if (s->peers.list[peer].peer == NULL)
			continue;
		fprintf(stderr, "  %s\n", s->peers.list[peer].name);
		if (!compare_side(&s->plan, &s->peers, point, peer, run, results))
			return false;
	}
	return true;
}

static bool measure(const struct settings *s, struct compare_results *results)
{
	const struct compare_plan *plan = &s->plan;

	for (unsigned int run = 0; run < plan->runs; run++) {
		for (unsigned int i = 0; i < compare_point_count(plan); i++) {
			struct compare_point point = compare_point_number(plan, i);

			fprintf(stderr, "run %u of %u: %s, %.0f records, threads: %u\n", run + 1,
				plan->runs, plan->places[point.place].folder,
				(double)plan->records[point.records], plan->threads[point.threads]);
			if (!take_turns(s, point, run, results))
				return false;
		}
	}
	return true;
}

static bool write_json_file(const struct compare_report *report, const char *path)
{
	FILE *out = fopen(path, "w");
	bool failed;

	if (out == NULL) {
		fprintf(stderr, COMPARE ": %s: %s\n", path, strerror(errno));
		return false;
	}
	compare_write_json(report, out);
	failed = ferror(out) != 0;
	failed = fclose(out) != 0 || failed;
	if (failed)
		fprintf(stderr, COMPARE ": %s: it could not be written\n", path);
	return !failed;
}

static bool all_good(const struct compare_results *results)
{
	uint64_t wrong = 0;

	for (size_t i = 0; i < results->row_count; i++)
		wrong += results->rows[i].wrong;
	if (wrong > 0)
		fprintf(stderr, COMPARE ": %.0f answers were wrong\n", (double)wrong);
	return wrong == 0 && results->failure_count == 0;
}

/* Returns whether all went well. */
static bool report_all(const struct settings *s, const struct compare_results *results)
{
	const struct compare_report report = { &s->plan, &s->peers, results };
	bool good = all_good(results);

	compare_write_table(&report, stdout);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, COMPARE ": standard output: %s\n", strerror(errno));
		good = false;
	}
	if (s->json != NULL && !write_json_file(&report, s->json))
		good = false;
	if (s->report != NULL && !compare_write_report(&report, s->report))
		good = false;
	return good;
}

int main(int argc, char **argv)
{
	static struct settings s = { .plan = { .records = { 1000000 },
					       .records_count = 1,
					       .threads = { 1 },
					       .threads_count = 1,
					       .modes = { { 256, false } },
					       .mode_count = 1,
					       .workloads = { [WORKLOAD_FILL] = true,
							      [WORKLOAD_STEADY] = true,
							      [WORKLOAD_DUPLICATES] = true,
							      [WORKLOAD_MISSES] = true,
							      [WORKLOAD_HITS] = true,
							      [WORKLOAD_PEEKS] = true },
					       .runs = 3,
					       .seconds = 3,
					       .operations = UINT64_MAX },
				     .known = compare_peers_known };
	struct compare_results results = { .driver_seconds = compare_work_own() };
	bool good;

	if (!take_options(&s, argc, argv)) {
		usage(stderr);
		return 2;
	}
	if (!load_peers(&s)) {
		compare_peers_free(&s.peers);
		return 2;
	}
	compare_catch_signals();
	good = measure(&s, &results);
	if (good)
		good = report_all(&s, &results);
	else
		fprintf(stderr, COMPARE ": stopped\n");
	compare_results_free(&results);
	compare_peers_free(&s.peers);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
