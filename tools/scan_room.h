/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether an index had room for a scan: what left it meanwhile, and the size at which nothing would
 * have had to.
 */
#ifndef TOOLS_SCAN_ROOM_H
#define TOOLS_SCAN_ROOM_H

#include <stdint.h>

#include <uds/index.h>

struct scan_room {
	uint64_t names_dropped;	  /* for which an index list or the index's memory had no room */
	uint64_t names_left;	  /* that were in the index and left it for newer ones */
	uint64_t needed_chapters; /* with so many of its chapters none would have left */
	uint64_t needed_bytes;	  /* size of that index; 0: there can be none */
};

/*
 * To be called before the scan. @ret_before: all of the statistics; entries are those that lead
 * to a record.
 * Returns 0 or a negated errno.
 */
int scan_room_start(struct uds_index *index, struct uds_index_statistics *ret_before);

/*
 * What became of the index since. In a dense index up to 256 MiB names_left is exact; in a
 * larger one the records of a few chapters may be missing from it, and of a sparse one whole
 * chapters are counted.
 * Returns 0 or a negated errno.
 */
int scan_room_look(struct uds_index *index, const struct uds_index_statistics *before,
		   struct scan_room *ret_room);

#endif
