/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds scan --first-seen`: each range that was seen before, with where that was. */
#include <string.h>
#include <time.h>

#include "output.h"
#include "scan_report.h"
#include "text.h"

/* "2026-11-21T08:55:01.123Z" */
static void format_scan_time(uint64_t scan, char *ret_text, size_t room)
{
	uint64_t ms = scan + SCAN_EPOCH_MS;
	time_t seconds = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret_text, room, "%s.%03uZ", text, (unsigned int)(ms % 1000));
}

static void print_run(const struct seen_list *list, const struct scan_file *origin)
{
	const struct seen_run *run = &list->run;
	unsigned int shift = list->scan->block_shift;
	char when[64];

	print_path(stdout, run->file->path);
	printf(": %llu bytes at %llu ", (unsigned long long)(run->blocks << shift),
	       (unsigned long long)(run->first_block << shift));
	if (origin != NULL) {
		printf("first seen in ");
		print_path(stdout, origin->path);
	} else {
		format_scan_time(run->seen.scan, when, sizeof(when));
		printf("first seen by the scan of %s in inode %llu", when,
		       (unsigned long long)run->seen.inode);
	}
	printf(" at %llu\n", (unsigned long long)(run->seen.block << run->seen.block_shift));
}

static void append_run(const struct seen_list *list, const struct scan_file *origin)
{
	const struct seen_run *run = &list->run;
	unsigned int shift = list->scan->block_shift;
	json_t *o = json_object();
	char when[64];

	json_set_path(o, "path", run->file->path);
	json_object_set_new(o, "offset", json_unsigned(run->first_block << shift));
	json_object_set_new(o, "length", json_unsigned(run->blocks << shift));
	if (origin != NULL) {
		json_set_path(o, "first_path", origin->path);
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

void seen_list_add(struct seen_list *list, struct scan_file *file, uint64_t block,
		   const struct first_seen *seen)
{
	struct seen_run *run = &list->run;

	if (run->file == file && run->first_block + run->blocks == block &&
	    run->seen.scan == seen->scan && run->seen.inode == seen->inode &&
	    run->seen.device == seen->device && run->seen.block_shift == seen->block_shift &&
	    run->seen.block + run->blocks == seen->block) {
		run->blocks++;
		return;
	}
	seen_list_end(list);
	run->file = file;
	run->first_block = block;
	run->blocks = 1;
	run->seen = *seen;
}
