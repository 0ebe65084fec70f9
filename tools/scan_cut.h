/* SPDX-License-Identifier: BSD-2-Clause */
/* Cutting files into pieces for batches. */
#ifndef TOOLS_SCAN_CUT_H
#define TOOLS_SCAN_CUT_H

#include "scan.h"
#include "scan_file.h"
#include "scan_walk.h"

/* One walk, cut up as it goes. */
struct cutter {
	const struct scan_options *options;
	struct walker *walker;
	struct walked_file walked; /* the file being cut; its descriptor is file's */
	struct scan_file *file;	   /* NULL: at the next file */
	uint64_t unit;		   /* where it may be cut: blocks of the scan, and of its I/O */
	uint64_t offset;	   /* how far it is cut */
	uint64_t data_begin;	   /* the range of data that offset is in or before */
	uint64_t data_end;
	uint64_t files;
	struct scan_device devices[15]; /* in the order they were met; scan_data.h has the limit */
	unsigned int device_count;
};

int cutter_start(struct cutter *cutter, const struct scan_options *options);
void cutter_end(struct cutter *cutter);

/*
 * Fills an empty batch with pieces, as many as go in.
 * Returns 1 when there may be more, 0 when this was the last, or a negated errno.
 */
int cutter_fill(struct cutter *cutter, struct scan_batch *batch);

/* Lets go of a batch's files and makes it empty. */
void batch_empty(struct scan_batch *batch);

#endif
