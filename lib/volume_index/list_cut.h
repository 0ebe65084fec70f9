/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking the entries of a save's open chapter out of a list with collision entries, for a recovery.
 * Those whose address others have, too, stay, and are told (shared_entries.h).
 */
#ifndef VOLUME_INDEX_LIST_CUT_H
#define VOLUME_INDEX_LIST_CUT_H

#include <uds/record.h>

#include "volume_index/list.h"
#include "volume_index/shared_entries.h"

struct list_cut {
	const struct list_operations *operations;
	struct list_zone *zone;
	struct list_head *head;
	unsigned int sub;
	uint32_t list; /* of the whole sub-index */

	/* What is in it: all entries, and the names of collision entries, in their order. */
	uint32_t count;
	const uint32_t *keys;
	const uint32_t *values;
	const uint8_t (*names)[UDS_NAME_BYTES];

	uint64_t chapter; /* the value of its entries */
	uint64_t stale;	  /* values less above the list's flush_from are too old */
	bool removes;	  /* else entries are told only */
	struct shared_entries *shared;
};

/*
 * @ret_gone: how many entries were removed.
 *
 * Returns 0, or -ENOMEM when not all were told.
 */
int list_cut_chapter(const struct list_cut *cut, uint32_t *ret_gone);

#endif
