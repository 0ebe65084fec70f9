/* SPDX-License-Identifier: BSD-2-Clause */
/* The report of a scan, for people and for programs. */
#include "scan_report.h"

#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "text.h"

/* A row of the table: a file, or a directory with the sum of the files right in it. */
struct row {
	const char *path;
	size_t path_bytes; /* how much of it */
	uint64_t bytes;
	uint64_t duplicate_bytes;
};

static int by_directory(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	size_t shorter = x->path_bytes < y->path_bytes ? x->path_bytes : y->path_bytes;
	int order = memcmp(x->path, y->path, shorter);

	if (order != 0)
		return order;
	return x->path_bytes < y->path_bytes ? -1 : x->path_bytes > y->path_bytes;
}

/* Most duplicate bytes first; equal ones as they were met. */
static int by_duplicates(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->duplicate_bytes != y->duplicate_bytes)
		return x->duplicate_bytes > y->duplicate_bytes ? -1 : 1;
	return by_directory(a, b);
}

static size_t directory_bytes(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return 0;
	return slash == path ? 1 : (size_t)(slash - path);
}

/* Adds up rows of the same directory. Returns how many are left. */
static size_t join_directories(struct row *rows, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		rows[i].path_bytes = directory_bytes(rows[i].path);
		if (rows[i].path_bytes == 0) {
			rows[i].path = ".";
			rows[i].path_bytes = 1;
		}
	}
	qsort(rows, count, sizeof(*rows), by_directory);
	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && by_directory(&rows[kept - 1], &rows[i]) == 0) {
			rows[kept - 1].bytes += rows[i].bytes;
			rows[kept - 1].duplicate_bytes += rows[i].duplicate_bytes;
		} else {
			rows[kept++] = rows[i];
		}
	}
	return kept;
}

/* Sorted rows, those without duplicates left out. NULL when there are none, or no memory. */
static struct row *make_rows(const struct report_options *options, const struct file_table *table,
			     size_t *ret_count)
{
	struct row *rows = calloc(table->count + 1, sizeof(*rows));
	size_t count = 0;

	*ret_count = 0;
	if (rows == NULL)
		return NULL;
	for (size_t i = 0; i < table->count; i++) {
		const struct scan_file *file = table->files[i];

		if (file->duplicate_bytes == 0 && !options->directories)
			continue;
		rows[count].path = file->path;
		rows[count].path_bytes = strlen(file->path);
		rows[count].bytes = file->size;
		rows[count++].duplicate_bytes = file->duplicate_bytes;
	}
	if (options->directories)
		count = join_directories(rows, count);
	qsort(rows, count, sizeof(*rows), by_duplicates);
	while (count > 0 && rows[count - 1].duplicate_bytes == 0)
		count--;
	*ret_count = count < options->top ? count : (size_t)options->top;
	return rows;
}

static char *row_path(const struct row *row)
{
	return strndup(row->path, row->path_bytes);
}

static void print_table(const struct report_options *options, const struct file_table *table)
{
	struct row *rows;
	size_t count;

	rows = make_rows(options, table, &count);
	printf("\n%s with the most duplicate bytes:\n",
	       options->directories ? "directories" : "files");
	for (size_t i = 0; i < count; i++) {
		char *path = row_path(&rows[i]);

		printf("  %12s  %5.1f %%  ", size_text(rows[i].duplicate_bytes).text,
		       100.0 * (double)rows[i].duplicate_bytes / (double)rows[i].bytes);
		print_path(stdout, path == NULL ? "?" : path);
		putchar('\n');
		free(path);
	}
	if (count == 0)
		printf("  none\n");
	free(rows);
}

static json_t *json_table(const struct report_options *options, const struct file_table *table)
{
	json_t *array = json_array();
	struct row *rows;
	size_t count;

	rows = make_rows(options, table, &count);
	for (size_t i = 0; i < count; i++) {
		char *path = row_path(&rows[i]);
		json_t *o = json_object();

		if (path != NULL)
			json_set_path(o, "path", path);
		json_object_set_new(o, "bytes", json_unsigned(rows[i].bytes));
		json_object_set_new(o, "duplicate_bytes", json_unsigned(rows[i].duplicate_bytes));
		json_array_append_new(array, o);
		free(path);
	}
	free(rows);
	return array;
}

static uint64_t saved_bytes(const struct scan_totals *totals)
{
	return totals->duplicate_bytes + totals->known_bytes - totals->shared_bytes;
}

/* What there is to what must be stored, zeros apart; 0 when nothing must be stored. */
static double ratio(const struct scan_totals *totals)
{
	uint64_t all = totals->unique_bytes + saved_bytes(totals);

	if (all == 0)
		return 1;
	return totals->unique_bytes == 0 ? 0 : (double)all / (double)totals->unique_bytes;
}

static double rate(const struct scan_totals *totals)
{
	return totals->seconds > 0 ? (double)totals->bytes / totals->seconds : 0;
}

static void print_blocks(const char *what, uint64_t blocks, uint64_t bytes, const char *remark)
{
	printf("  %-12s %14llu  %12s%s\n", what, (unsigned long long)blocks, size_text(bytes).text,
	       remark);
}

static void print_room(const struct scan_room *room)
{
	if (room->names_dropped > 0)
		printf("The index had no room for %llu names: there may be more duplicates.\n",
		       (unsigned long long)room->names_dropped);
	if (room->names_left == 0)
		return;
	printf("Warning: the index is too small for this: %llu names left it for newer ones, so "
	       "there may be more duplicates.\n",
	       (unsigned long long)room->names_left);
	if (room->needed_bytes > 0)
		printf("One of %llu such chapters, %s, would have kept them all.\n",
		       (unsigned long long)room->needed_chapters,
		       size_text(room->needed_bytes).text);
}

static void print_text(const struct report_options *options, const struct scan_totals *totals)
{
	double r = ratio(totals);

	printf("scanned %llu file%s, %s, in blocks of %llu bytes\n\n",
	       (unsigned long long)totals->files, totals->files == 1 ? "" : "s",
	       size_text(totals->bytes).text, (unsigned long long)options->scan->block_bytes);
	print_blocks("blocks", scan_blocks(totals), totals->bytes, "");
	print_blocks("  zero", totals->zero_blocks, totals->zero_bytes,
		     "   nothing but zeros, and holes");
	print_blocks("  unique", totals->unique_blocks, totals->unique_bytes, "");
	print_blocks("  duplicate", totals->duplicate_blocks, totals->duplicate_bytes,
		     "   seen before in this scan");
	if (options->scan->has_index)
		print_blocks("  known", totals->known_blocks, totals->known_bytes,
			     "   seen by an earlier scan");
	if (totals->shared_blocks > 0)
		print_blocks("  shared", totals->shared_blocks, totals->shared_bytes,
			     "   of these, stored once already; not saved");
	printf("\n  saved        %s", size_text(saved_bytes(totals)).text);
	if (r > 0)
		printf(", ratio %.2f : 1", r);
	else
		printf(", nothing new to store");
	printf(" (zero blocks apart)\n");
	printf("  time         %.2f s, %s/s\n", totals->seconds,
	       size_text((uint64_t)rate(totals)).text);
	printf("\nAn estimate: blocks count as equal when their 128-bit hashes are; they were not "
	       "compared.\n");
	print_room(options->room);
	if (totals->left_out)
		printf("The index itself was left out.\n");
	if (totals->errors > 0)
		printf("%llu files or directories could not be read to the end; they are not "
		       "counted, or not wholly.\n",
		       (unsigned long long)totals->errors);
}

static void set_room(json_t *o, const struct scan_room *room)
{
	json_object_set_new(o, "names_dropped", json_unsigned(room->names_dropped));
	json_object_set_new(o, "names_left", json_unsigned(room->names_left));
	json_object_set_new(o, "needed_chapters", json_unsigned(room->needed_chapters));
	json_object_set_new(o, "needed_bytes",
			    room->needed_bytes > 0 ? json_unsigned(room->needed_bytes)
						   : json_null());
}

static json_t *json_totals(const struct report_options *options, const struct scan_totals *totals)
{
	double r = ratio(totals);
	json_t *o = json_object();

	json_object_set_new(o, "files", json_unsigned(totals->files));
	json_object_set_new(o, "block_size", json_unsigned(options->scan->block_bytes));
	json_object_set_new(o, "bytes", json_unsigned(totals->bytes));
	json_object_set_new(o, "blocks", json_unsigned(scan_blocks(totals)));
	json_object_set_new(o, "zero_blocks", json_unsigned(totals->zero_blocks));
	json_object_set_new(o, "unique_blocks", json_unsigned(totals->unique_blocks));
	json_object_set_new(o, "duplicate_blocks", json_unsigned(totals->duplicate_blocks));
	json_object_set_new(o, "known_blocks", json_unsigned(totals->known_blocks));
	json_object_set_new(o, "zero_bytes", json_unsigned(totals->zero_bytes));
	json_object_set_new(o, "unique_bytes", json_unsigned(totals->unique_bytes));
	json_object_set_new(o, "duplicate_bytes", json_unsigned(totals->duplicate_bytes));
	json_object_set_new(o, "known_bytes", json_unsigned(totals->known_bytes));
	json_object_set_new(o, "shared_blocks", json_unsigned(totals->shared_blocks));
	json_object_set_new(o, "shared_bytes", json_unsigned(totals->shared_bytes));
	json_object_set_new(o, "saved_bytes", json_unsigned(saved_bytes(totals)));
	json_object_set_new(o, "ratio", r > 0 ? json_real(r) : json_null());
	json_object_set_new(o, "estimate", json_true());
	set_room(o, options->room);
	json_object_set_new(o, "index_left_out", json_boolean(totals->left_out));
	json_object_set_new(o, "seconds", json_real(totals->seconds));
	json_object_set_new(o, "bytes_per_second", json_real(rate(totals)));
	json_object_set_new(o, "errors", json_unsigned(totals->errors));
	return o;
}

int print_report(const struct report_options *options, const struct scan_totals *totals,
		 const struct file_table *table, json_t *array)
{
	json_t *o;

	if (!options->json) {
		print_text(options, totals);
		if (options->top > 0)
			print_table(options, table);
		return 0;
	}
	o = json_totals(options, totals);
	if (options->top > 0)
		json_object_set_new(o, "top", json_table(options, table));
	if (array != NULL)
		json_object_set(o, "first_seen", array);
	return print_json(o);
}
