/* SPDX-License-Identifier: BSD-2-Clause */
/* Table, JSON and the files for gnuplot. */
#include "scaling_output.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"

#define TEXT	16
#define PROGRAM "bench/scaling"

/* Decimal prefixes, three digits: "67.1 GB" is "67.1G". */
static const char *scaled(double value, char text[TEXT])
{
	static const char prefixes[] = " kMGTPE";
	size_t i = 0;

	while (value >= 999.5 && prefixes[i + 1] != '\0') {
		value /= 1000;
		i++;
	}
	snprintf(text, TEXT, "%.*f%c",
		 value < 9.995	 ? 2
		 : value < 99.95 ? 1
				 : 0,
		 value, prefixes[i]);
	if (i == 0)
		text[strlen(text) - 1] = '\0';
	return text;
}

static const char *kind(const struct scaling_row *row)
{
	return row->sparse ? "sparse" : "dense";
}

/* ---- the table ---- */

static void print_inputs(const struct scaling_inputs *in)
{
	char a[TEXT], b[TEXT], c[TEXT];

	for (int k = 0; k < 2; k++)
		printf("%s: requests a second of one processor, pages in memory: %s new names, %s "
		       "old in runs, %s old at random\n",
		       k == 0 ? "dense" : "sparse", scaled(in->rates[k].post, a),
		       scaled(in->rates[k].stream, b), scaled(in->rates[k].random, c));
	printf("storage of each shard: %.0f us for a page, %s pages a second; network: %.0f us "
	       "there and back\n",
	       in->read_seconds * 1e6, scaled(in->reads, a), in->round_trip_seconds * 1e6);
	printf("requests: %.0f %% old names, in runs of %.0f; %g saves while all chapters are "
	       "written once\n",
	       in->duplicates * 100, in->run, in->saves);
}

/* It is the same for all rows of a kind. */
static void print_latency(const struct scaling_row *rows, size_t count)
{
	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < count; i++) {
			if (rows[i].sparse != (k == 1))
				continue;
			printf("%s: one request alone: %.1f us for a new name, %.1f us for an old "
			       "one whose pages are read\n",
			       kind(&rows[i]), rows[i].new_seconds * 1e6,
			       rows[i].hit_seconds * 1e6);
			break;
		}
	}
	puts("");
}

static void print_shards(const struct scaling_row *row)
{
	char text[32];

	if (row->indexes > 1)
		snprintf(text, sizeof(text), "%ux%u of %s", row->indexes, row->shards,
			 row->memory_size);
	else
		snprintf(text, sizeof(text), "%u of %s", row->shards, row->memory_size);
	printf(" %14s", text);
}

static void print_row(const struct scaling_row *row)
{
	char a[TEXT], b[TEXT], c[TEXT], d[TEXT], e[TEXT], f[TEXT];

	printf("%5s %3gK %-6s %6s", scaled(row->data_bytes, a), row->block_bytes / 1024.0,
	       kind(row), scaled(row->records, b));
	print_shards(row);
	printf(" %6s %6s | %5.1f %5.1f | %5s %5s | %5s %5s\n", scaled(row->memory_bytes, a),
	       scaled(row->disk_bytes, b), row->stream.found * 100, row->random.found * 100,
	       scaled(row->stream_rate, c), scaled(row->random_rate, d),
	       scaled(row->stream_storage_bytes, e), scaled(row->random_storage_bytes, f));
}

static void print_checks(const struct scaling_checks *checks)
{
	printf("\n%-58s %12s %12s %8s  allowed\n", "checked with real indexes", "formula",
	       "measured", "quotient");
	for (size_t i = 0; i < checks->count; i++) {
		const struct scaling_check *check = &checks->list[i];

		printf("%-58s %12.6g %12.6g %8.3f  (%.2f to %.2f)%s\n", check->name, check->formula,
		       check->measured, check->measured / check->formula, check->least, check->most,
		       check->good ? "" : "  WRONG");
	}
	if (!checks->direct)
		puts("The file system has no O_DIRECT: pages were read from the system's cache.");
}

void scaling_print_table(const struct scaling_inputs *in, const struct scaling_row *rows,
			 size_t count, const struct scaling_checks *checks)
{
	print_inputs(in);
	print_latency(rows, count);
	printf("%54s | old names   | requests    | bytes from,\n", "");
	printf("%54s | found, %%    | a second    | to storage\n", "");
	printf(" data  blk kind  records         shards memory   disk |  runs  rand |  runs  rand "
	       "|  "
	       "runs  rand\n");
	for (size_t i = 0; i < count; i++)
		print_row(&rows[i]);
	if (checks != NULL)
		print_checks(checks);
}

/* ---- JSON ---- */

static void json_rates(const char *name, const struct scaling_rates *rates)
{
	printf("\"%s\": {\"new\": %.0f, \"runs\": %.0f, \"random\": %.0f}", name, rates->post,
	       rates->stream, rates->random);
}

static void json_inputs(const struct scaling_inputs *in)
{
	printf("{\"rates\": {");
	json_rates("dense", &in->rates[0]);
	printf(", ");
	json_rates("sparse", &in->rates[1]);
	printf("},\n  \"read_microseconds\": %.3f, \"reads_per_second\": %.0f, "
	       "\"round_trip_microseconds\": %.3f,\n"
	       "  \"duplicates\": %.9g, \"run\": %.0f, \"saves\": %.9g, "
	       "\"largest_shard_gb\": %" PRIu32 ", \"most_shards\": %" PRIu32 "}",
	       in->read_seconds * 1e6, in->reads, in->round_trip_seconds * 1e6, in->duplicates,
	       in->run, in->saves, in->largest, in->shards);
}

static void json_order(const char *name, const struct scaling_lookups *lookups, double rate,
		       double bytes)
{
	printf(",\n   \"%s\": {\"found\": %.9g, \"pages\": %.9g, \"requests_per_second\": %.9g, "
	       "\"storage_bytes_per_request\": %.9g}",
	       name, lookups->found, lookups->pages, rate, bytes);
}

static void json_row(const struct scaling_row *row)
{
	printf("  {\"data_bytes\": %.0f, \"block_bytes\": %" PRIu32
	       ", \"kind\": \"%s\", \"records\": %.0f,\n",
	       row->data_bytes, row->block_bytes, kind(row), row->records);
	printf("   \"logical_indexes\": %" PRIu32 ", \"shards\": %" PRIu32
	       ", \"shard_size\": \"%s\", \"shard_records\": %" PRIu64 ", \"fullest\": %.9g,\n",
	       row->indexes, row->shards, row->memory_size, row->shard_records, row->fullest);
	printf("   \"shard_memory_bytes\": %" PRIu64 ", \"shard_disk_bytes\": %" PRIu64
	       ", \"memory_bytes\": %.0f, \"disk_bytes\": %.0f,\n",
	       row->shard_memory_bytes, row->shard_disk_bytes, row->memory_bytes, row->disk_bytes);
	printf("   \"request_bytes\": %" PRIu32
	       ", \"new_microseconds\": %.3f, \"old_microseconds\": %.3f",
	       row->request_bytes, row->new_seconds * 1e6, row->hit_seconds * 1e6);
	json_order("runs", &row->stream, row->stream_rate, row->stream_storage_bytes);
	json_order("random", &row->random, row->random_rate, row->random_storage_bytes);
	printf("}");
}

static void json_check(const struct scaling_check *check)
{
	printf("  {\"name\": \"%s\", \"formula\": %.9g, \"measured\": %.9g, \"least\": %.9g, "
	       "\"most\": %.9g, \"good\": %s}",
	       check->name, check->formula, check->measured, check->least, check->most,
	       check->good ? "true" : "false");
}

void scaling_print_json(const struct scaling_inputs *in, const struct scaling_row *rows,
			size_t count, const struct scaling_checks *checks)
{
	printf("{\"inputs\": ");
	json_inputs(in);
	printf(",\n \"rows\": [\n");
	for (size_t i = 0; i < count; i++) {
		json_row(&rows[i]);
		puts(i + 1 < count ? "," : "");
	}
	printf(" ]");
	if (checks != NULL) {
		printf(",\n \"direct\": %s,\n \"checks\": [\n", checks->direct ? "true" : "false");
		for (size_t i = 0; i < checks->count; i++) {
			json_check(&checks->list[i]);
			puts(i + 1 < checks->count ? "," : "");
		}
		printf(" ]");
	}
	puts("}");
}

/* ---- the plot ---- */

/* One block of lines for each kind and block size, in the order in which they are met. */
static bool same_curve(const struct scaling_row *a, const struct scaling_row *b)
{
	return a->sparse == b->sparse && a->block_bytes == b->block_bytes;
}

static bool is_first(const struct scaling_row *rows, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (same_curve(&rows[i], &rows[j]))
			return false;
	}
	return true;
}

static void write_curve(FILE *out, const struct scaling_row *rows, size_t count, size_t first)
{
	fprintf(out, "\"%s, %" PRIu32 " KiB\"\n", kind(&rows[first]),
		rows[first].block_bytes / 1024);
	for (size_t i = first; i < count; i++) {
		if (same_curve(&rows[i], &rows[first]))
			fprintf(out, "%.6g %.6g %.6g %.6g %.6g\n", rows[i].data_bytes,
				rows[i].memory_bytes, rows[i].disk_bytes, rows[i].stream_rate,
				rows[i].random_rate);
	}
	fprintf(out, "\n\n");
}

static void write_script(FILE *out, const char *file, const char *data, size_t curves)
{
	static const struct {
		const char *title, *column;
	} panels[] = { { "memory of all shards, bytes", "2" },
		       { "disk of all shards, bytes", "3" },
		       { "requests a second, old names in runs", "4" },
		       { "requests a second, old names at random", "5" } };

	fprintf(out, "set terminal svg size 1400,900\nset output '%s'\n", file);
	fprintf(out, "set logscale xy\nset format '10^{%%T}'\nset grid\nset key outside right\n"
		     "set xlabel 'data, bytes'\nset multiplot layout 2,2\n");
	for (size_t i = 0; i < sizeof(panels) / sizeof(panels[0]); i++)
		fprintf(out,
			"set title '%s'\nplot for [i=0:%zu] '%s' index i using 1:%s with "
			"linespoints title columnheader(1)\n",
			panels[i].title, curves - 1, data, panels[i].column);
	fprintf(out, "unset multiplot\n");
}

bool scaling_plot(const char *file, const struct scaling_row *rows, size_t count)
{
	char data[4096], script[4096];
	size_t curves = 0;
	FILE *out;

	if (!plot_name_is_good(PROGRAM, file))
		return false;
	out = plot_create(PROGRAM, file, ".dat", data, sizeof(data));
	if (out == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!is_first(rows, i))
			continue;
		write_curve(out, rows, count, i);
		curves++;
	}
	if (!plot_end(PROGRAM, out, data))
		return false;
	out = plot_create(PROGRAM, file, ".gnuplot", script, sizeof(script));
	if (out == NULL)
		return false;
	write_script(out, file, data, curves);
	return plot_end(PROGRAM, out, script) && plot_run(PROGRAM, script, file);
}
