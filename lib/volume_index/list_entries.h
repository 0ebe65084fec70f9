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
 * Merges entries, none of them a collision entry, with records of the same list, if it is one that
 * takes them: no address may be there twice, as only a chapter can tell then what the other entry
 * means; the list must not grow too long for the format; and no record may be older than @low.
 *
 * @coded_bits: of the entries. @records: as additions_of_list() gives them.
 * @merged: memory for all of both, so many as its count says.
 *
 * Returns the coded bits of the merged ones, or 0 when the records are to be left.
 */
uint32_t list_entries_merge(const struct list_shape *shape, const struct list_entries *entries,
			    uint32_t coded_bits, const struct additions *additions,
			    const uint64_t *records, uint64_t low,
			    const struct list_entries *merged);

#endif
