/* SPDX-License-Identifier: BSD-2-Clause */
/* The table and the JSON. */
#include "compare_output.h"

#include <inttypes.h>
#include <string.h>

const char *compare_mode_text(struct compare_mode mode, char text[COMPARE_TEXT])
{
	if (mode.in_flight)
		snprintf(text, COMPARE_TEXT, "one by one, %u in flight", mode.count);
	else if (mode.count == 1)
		snprintf(text, COMPARE_TEXT, "single calls");
	else
		snprintf(text, COMPARE_TEXT, "batches of %u", mode.count);
	return text;
}

const char *compare_count_text(uint64_t count, char text[COMPARE_TEXT])
{
	if (count % 1000000 == 0)
		snprintf(text, COMPARE_TEXT, "%" PRIu64 "M", count / 1000000);
	else if (count % 1000 == 0)
		snprintf(text, COMPARE_TEXT, "%" PRIu64 "K", count / 1000);
	else
		snprintf(text, COMPARE_TEXT, "%" PRIu64, count);
	return text;
}

static bool same(struct compare_point a, struct compare_point b)
{
	return a.place == b.place && a.records == b.records && a.threads == b.threads;
}

static bool has_point(const struct compare_report *report, struct compare_point point)
{
	for (size_t i = 0; i < report->results->row_count; i++) {
		if (same(report->results->rows[i].point, point))
			return true;
	}
	return false;
}

/* ---- the table ---- */

static void write_peers(const struct compare_report *report, FILE *out)
{
	for (size_t i = 0; i < report->peers->count; i++) {
		const struct compare_peer *peer = &report->peers->list[i];

		if (peer->peer == NULL)
			fprintf(out, "%s: left out: %s\n", peer->name, peer->why);
		else
			fprintf(out, "%s: %s\n    %s\n", peer->name, peer->peer->setup,
				peer->peer->bounds);
	}
	fprintf(out,
		"Of each operation %.3f us are the driver's own: names are made, answers are "
		"checked.\n",
		report->results->driver_seconds * 1e6);
}

static void write_row(const struct compare_report *report, const struct compare_row *row,
		      double first, FILE *out)
{
	const struct compare_spread rate = compare_spread_of(row->rates, row->count);
	const struct compare_spread processor = compare_spread_of(row->processor, row->count);

	fprintf(out, "  %-12s %-12s %9.4f %9.4f %9.4f %10.3f %9.3f", workload_words[row->workload],
		report->peers->list[row->peer].name, rate.median / 1e6, rate.lowest / 1e6,
		rate.highest / 1e6, processor.median * 1e6, rate.median / first);
	if (row->wrong > 0)
		fprintf(out, "  WRONG: %" PRIu64 " of %" PRIu64 " answers", row->wrong,
			row->operations);
	fputs("\n", out);
}

static void write_mode(const struct compare_report *report, struct compare_point point,
		       unsigned int mode, FILE *out)
{
	char text[COMPARE_TEXT];

	fprintf(out, "\n  %-25s %9s %9s %9s %10s %9s\n",
		compare_mode_text(report->plan->modes[mode], text), "M/s", "lowest", "highest",
		"proc. us", "of first");
	for (int kind = 0; kind < WORKLOADS; kind++) {
		double first = 0;

		for (unsigned int peer = 0; peer < report->peers->count; peer++) {
			const struct compare_row *row = compare_find(
				report->results, point, peer, mode, (enum workload_kind)kind);

			if (row == NULL)
				continue;
			if (first <= 0)
				first = compare_spread_of(row->rates, row->count).median;
			write_row(report, row, first, out);
		}
	}
}

static void write_taken(const struct compare_report *report, struct compare_point point, FILE *out)
{
	const double records = (double)report->plan->records[point.records];

	fprintf(out, "\n  %-25s %9s %9s %9s\n", "bytes for each record", "memory", "mapped",
		"on disk");
	for (size_t i = 0; i < report->results->taken_count; i++) {
		const struct compare_taken *taken = &report->results->taken[i];

		if (same(taken->point, point))
			fprintf(out, "  %-12s %-12s %9.2f %9.2f %9.2f\n", "",
				report->peers->list[taken->peer].name, (double)taken->own / records,
				(double)taken->mapped / records, (double)taken->disk / records);
	}
}

void compare_write_point_text(const struct compare_report *report, struct compare_point point,
			      FILE *out)
{
	const struct compare_place *place = &report->plan->places[point.place];
	const unsigned int threads = report->plan->threads[point.threads];
	char text[COMPARE_TEXT];

	fprintf(out, "%s%s%s, %s records, %u thread%s", place->folder,
		place->options[0] != '\0' ? "?" : "", place->options,
		compare_count_text(report->plan->records[point.records], text), threads,
		threads == 1 ? "" : "s");
}

static void write_failures(const struct compare_report *report, FILE *out)
{
	for (size_t i = 0; i < report->results->failure_count; i++) {
		const struct compare_failure *failure = &report->results->failures[i];

		fprintf(out, "\nFAILED: %s, run %u, ", report->peers->list[failure->peer].name,
			failure->run + 1);
		compare_write_point_text(report, failure->point, out);
		fprintf(out, ": %s\n", failure->why);
	}
}

static void write_point(const struct compare_report *report, struct compare_point point, FILE *out)
{
	fputs("\n", out);
	compare_write_point_text(report, point, out);
	fprintf(out, ", medians of %u run%s\n", report->plan->runs,
		report->plan->runs == 1 ? "" : "s");
	for (unsigned int mode = 0; mode < report->plan->mode_count; mode++)
		write_mode(report, point, mode, out);
	write_taken(report, point, out);
}

void compare_write_table(const struct compare_report *report, FILE *out)
{
	write_peers(report, out);
	for (unsigned int i = 0; i < compare_point_count(report->plan); i++) {
		struct compare_point point = compare_point_number(report->plan, i);

		if (has_point(report, point))
			write_point(report, point, out);
	}
	write_failures(report, out);
}

/* ---- JSON ---- */

static void json_string(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", (unsigned int)(unsigned char)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void json_member(const char *name, const char *text, FILE *out)
{
	fprintf(out, ", \"%s\": ", name);
	json_string(text, out);
}

static void json_peers(const struct compare_report *report, FILE *out)
{
	for (size_t i = 0; i < report->peers->count; i++) {
		const struct compare_peer *peer = &report->peers->list[i];

		fprintf(out, "%s  {\"name\": ", i > 0 ? ",\n" : "");
		json_string(peer->name, out);
		json_member("file", peer->path, out);
		if (peer->peer == NULL) {
			json_member("left_out", peer->why, out);
		} else {
			json_member("setup", peer->peer->setup, out);
			json_member("bounds", peer->peer->bounds, out);
			fprintf(out, ", \"evicts\": %s", peer->peer->evicts ? "true" : "false");
		}
		fputs("}", out);
	}
}

/* Begins an object. */
static void json_point(const struct compare_report *report, struct compare_point point,
		       unsigned int peer, FILE *out)
{
	const struct compare_place *place = &report->plan->places[point.place];

	fputs("  {\"peer\": ", out);
	json_string(report->peers->list[peer].name, out);
	json_member("folder", place->folder, out);
	json_member("options", place->options, out);
	fprintf(out, ", \"records\": %" PRIu64 ", \"threads\": %u",
		report->plan->records[point.records], report->plan->threads[point.threads]);
}

static void json_spread(const char *name, const double *values, size_t count, FILE *out)
{
	const struct compare_spread spread = compare_spread_of(values, count);

	fprintf(out,
		",\n   \"%s\": {\"median\": %.6g, \"lowest\": %.6g, \"highest\": %.6g, "
		"\"quartile\": %.6g, \"third_quartile\": %.6g, \"values\": [",
		name, spread.median, spread.lowest, spread.highest, spread.quartile,
		spread.third_quartile);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s%.6g", i > 0 ? ", " : "", values[i]);
	fputs("]}", out);
}

static void json_row(const struct compare_report *report, const struct compare_row *row, FILE *out)
{
	const struct compare_mode mode = report->plan->modes[row->mode];

	json_point(report, row->point, row->peer, out);
	fprintf(out, ", \"%s\": %u", mode.in_flight ? "in_flight" : "batch", mode.count);
	json_member("workload", workload_words[row->workload], out);
	fprintf(out, ", \"operations\": %" PRIu64 ", \"wrong\": %" PRIu64, row->operations,
		row->wrong);
	json_spread("per_second", row->rates, row->count, out);
	json_spread("processor_seconds", row->processor, row->count, out);
	fputs("}", out);
}

static void json_taken(const struct compare_report *report, const struct compare_taken *taken,
		       FILE *out)
{
	json_point(report, taken->point, taken->peer, out);
	fprintf(out,
		", \"memory_bytes\": %" PRIu64 ", \"mapped_bytes\": %" PRIu64
		", \"disk_bytes\": %" PRIu64 "}",
		taken->own, taken->mapped, taken->disk);
}

static void json_failure(const struct compare_report *report, const struct compare_failure *failure,
			 FILE *out)
{
	json_point(report, failure->point, failure->peer, out);
	fprintf(out, ", \"run\": %u", failure->run + 1);
	json_member("why", failure->why, out);
	fputs("}", out);
}

void compare_write_json(const struct compare_report *report, FILE *out)
{
	const struct compare_results *results = report->results;

	fprintf(out, "{\"runs\": %u, \"seconds\": %g, \"driver_seconds\": %.3g,\n \"peers\": [\n",
		report->plan->runs, report->plan->seconds, results->driver_seconds);
	json_peers(report, out);
	fputs("\n ],\n \"rows\": [\n", out);
	for (size_t i = 0; i < results->row_count; i++) {
		fputs(i > 0 ? ",\n" : "", out);
		json_row(report, &results->rows[i], out);
	}
	fputs("\n ],\n \"taken\": [\n", out);
	for (size_t i = 0; i < results->taken_count; i++) {
		fputs(i > 0 ? ",\n" : "", out);
		json_taken(report, &results->taken[i], out);
	}
	fputs("\n ],\n \"failures\": [\n", out);
	for (size_t i = 0; i < results->failure_count; i++) {
		fputs(i > 0 ? ",\n" : "", out);
		json_failure(report, &results->failures[i], out);
	}
	fputs("\n ]}\n", out);
}
