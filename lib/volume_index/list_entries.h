/* SPDX-License-Identifier: BSD-2-Clause */
/* The entries of a list outside of its block, and records merged with them. */
#ifndef VOLUME_INDEX_LIST_ENTRIES_H
#define VOLUME_INDEX_LIST_ENTRIES_H

#include "volume_index/additions.h"
#include "volume_index/list.h"

struct list_entries {
	uint32_t *keys; /* in order */
	uint32_t *values;
	uint32_t count;
};

/*
 * All arrays have room for LIST_SPARE_ENTRIES more than is said below, which may be anything
 * afterwards. No entry is a collision entry.
 */

/* Which entries of a list go. Distances are those of chapters, modulo the values there are. */
struct list_leavers {
	uint64_t from;	  /* where distances are counted from: the list's flush_from */
	uint64_t stale;	  /* entries with a smaller distance are stale */
	uint64_t dropped; /* the value of entries that are dropped; UINT64_MAX: none */
};

/* What went. */
struct list_left {
	uint32_t stale;
	uint32_t dropped; /* of those that are not stale */
	uint64_t nearest; /* least distance of an entry that stayed, if any did; else the largest */
};

/* Copies the entries that stay. @kept: memory for all of them; gets its count. */
void list_entries_leave_out(const struct list_shape *shape, const struct list_entries *entries,
			    const struct list_leavers *leavers, struct list_entries *kept,
			    struct list_left *ret_left);

/*
 * Merges entries with records of the same list, if it is one that takes them: no address may be
 * there twice, as only a chapter can tell then what the other entry means; the list must not grow
 * too long for the format; and no record may be older than @low.
 *
 * @records: as additions_of_list() gives them.
 * @merged: memory for all of both, so many as its count says, or for a list of the largest size.
 *
 * Returns the coded bits of the merged ones, or 0 when the records are to be left.
 */
uint32_t list_entries_merge(const struct list_shape *shape, const struct list_entries *entries,
			    const struct additions *additions, const uint64_t *records,
			    uint64_t low, const struct list_entries *merged);

/* The same without what only some processors have: for tests. */
void list_entries_leave_out_portably(const struct list_shape *shape,
				     const struct list_entries *entries,
				     const struct list_leavers *leavers, struct list_entries *kept,
				     struct list_left *ret_left);
uint32_t list_entries_merge_portably(const struct list_shape *shape,
				     const struct list_entries *entries,
				     const struct additions *additions, const uint64_t *records,
				     uint64_t low, const struct list_entries *merged);

#endif
