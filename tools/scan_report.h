/* SPDX-License-Identifier: BSD-2-Clause */
/* What a scan tells: totals, the table of files, the list of ranges that were seen before. */
#ifndef TOOLS_SCAN_REPORT_H
#define TOOLS_SCAN_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "scan.h"
#include "scan_data.h"
#include "scan_file.h"
#include "scan_room.h"

/* What is asked of the report. */
struct report_options {
	const struct scan_options *scan;
	bool json;
	uint64_t top;	  /* rows of the table; 0: none */
	bool directories; /* the table has directories */
	const struct scan_room *room;
};

/* A run of blocks that follow each other here and where they were first seen. */
struct seen_run {
	struct scan_file *file; /* NULL: no run yet */
	uint64_t first_block;
	uint64_t blocks;
	uint64_t bytes;		/* fewer where the file ends in a block */
	bool shared;		/* stored once already */
	struct first_seen seen; /* of the first one */
};

/* The list: printed run by run, or collected for JSON. */
struct seen_list {
	const struct scan_options *scan;
	const struct file_table *table;
	json_t *array; /* NULL: print */
	struct seen_run run;
};

/* Adds a block that was seen before; @bytes: how much of it lies in the file. */
void seen_list_add(struct seen_list *list, struct scan_file *file, uint64_t block, uint64_t bytes,
		   bool shared, const struct first_seen *seen);

/* Puts out the last run. */
void seen_list_end(struct seen_list *list);

/* @array: from the seen_list, or NULL. Returns 0, or -1 when there was no memory. */
int print_report(const struct report_options *options, const struct scan_totals *totals,
		 const struct file_table *table, json_t *array);

#endif
