/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds scan --first-seen`: each range that was seen before, with where that was. */
#include <string.h>

#include "output.h"
#include "scan_report.h"
#include "scan_time.h"
#include "text.h"

/* How much of the run lies in the file where it was first seen: that may end in its last block. */
static uint64_t first_length(const struct seen_run *run, const struct scan_file *origin)
{
	uint64_t offset = run->seen.block << run->seen.block_shift;

	return offset + run->bytes > origin->size ? origin->size - offset : run->bytes;
}

static void print_origin(const struct seen_list *list, const struct scan_file *origin)
{
	const struct seen_run *run = &list->run;
	char when[64];

	if (origin != NULL) {
		printf("first seen in ");
		print_path(stdout, origin->path);
	} else if (run->seen.scan == list->scan->time) {
		printf("first seen in one of several files that records call inode %llu",
		       (unsigned long long)run->seen.inode);
	} else {
		format_scan_time(run->seen.scan, when, sizeof(when));
		printf("first seen by the scan of %s in inode %llu", when,
		       (unsigned long long)run->seen.inode);
	}
	printf(" at %llu", (unsigned long long)(run->seen.block << run->seen.block_shift));
	if (origin != NULL && first_length(run, origin) < run->bytes)
		printf(", where its last %llu bytes are",
		       (unsigned long long)first_length(run, origin));
}

static void print_run(const struct seen_list *list, const struct scan_file *origin)
{
	const struct seen_run *run = &list->run;

	print_path(stdout, run->file->path);
	printf(": %llu bytes at %llu ", (unsigned long long)run->bytes,
	       (unsigned long long)(run->first_block << list->scan->block_shift));
	print_origin(list, origin);
	if (run->shared)
		printf(", shared already");
	putchar('\n');
}

static void append_run(const struct seen_list *list, const struct scan_file *origin)
{
	const struct seen_run *run = &list->run;
	json_t *o = json_object();
	char when[64];

	json_set_path(o, "path", run->file->path);
	json_object_set_new(o, "offset",
			    json_unsigned(run->first_block << list->scan->block_shift));
	json_object_set_new(o, "length", json_unsigned(run->bytes));
	json_object_set_new(o, "shared", json_boolean(run->shared));
	if (origin != NULL) {
		json_set_path(o, "first_path", origin->path);
		json_object_set_new(o, "first_length", json_unsigned(first_length(run, origin)));
	} else if (run->seen.scan == list->scan->time) {
		json_object_set_new(o, "first_path", json_null());
	} else {
		format_scan_time(run->seen.scan, when, sizeof(when));
		json_object_set_new(o, "first_scan", json_string(when));
	}
	json_object_set_new(o, "first_inode", json_unsigned(run->seen.inode));
	json_object_set_new(o, "first_offset",
			    json_unsigned(run->seen.block << run->seen.block_shift));
	json_array_append_new(list->array, o);
}

void seen_list_end(struct seen_list *list)
{
	const struct scan_file *origin = NULL;

	if (list->run.file == NULL)
		return;
	if (list->run.seen.scan == list->scan->time)
		origin = file_table_find(list->table, list->run.seen.device, list->run.seen.inode);
	if (list->array == NULL)
		print_run(list, origin);
	else
		append_run(list, origin);
	list->run.file = NULL;
}

void seen_list_add(struct seen_list *list, struct scan_file *file, uint64_t block, uint64_t bytes,
		   bool shared, const struct first_seen *seen)
{
	struct seen_run *run = &list->run;

	if (run->file == file && run->shared == shared && run->first_block + run->blocks == block &&
	    run->seen.scan == seen->scan && run->seen.inode == seen->inode &&
	    run->seen.device == seen->device && run->seen.block_shift == seen->block_shift &&
	    run->seen.block + run->blocks == seen->block) {
		run->blocks++;
		run->bytes += bytes;
		return;
	}
	seen_list_end(list);
	run->file = file;
	run->first_block = block;
	run->blocks = 1;
	run->bytes = bytes;
	run->shared = shared;
	run->seen = *seen;
}
