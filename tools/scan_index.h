/* SPDX-License-Identifier: BSD-2-Clause */
/* The index that a scan without --index makes for itself, and its size. */
#ifndef TOOLS_SCAN_INDEX_H
#define TOOLS_SCAN_INDEX_H

#include "scan.h"
#include "target.h"

/*
 * Walks ahead and adds up what there is to read; an interruption ends it early. Errors are
 * left to the scan to tell. On a terminal the line of progress has the path that the walk is
 * at, unless @quiet.
 *
 * @ret_blocks: only data, no holes.
 * Returns 0 or a negated errno.
 */
int measure_input(const struct scan_options *options, bool quiet, uint64_t *ret_bytes,
		  uint64_t *ret_blocks);

/*
 * Opens an index with room for @blocks blocks, in memory, or in a file without a name where it
 * would be large. target_close() is all that it takes to be rid of it.
 *
 * Returns EXIT_GOOD, or an exit status after a message.
 */
int open_own_index(struct target *target, uint64_t blocks, bool sparse);

#endif
