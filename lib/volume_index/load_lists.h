/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lists of a save on their way into a volume index: delta code in, lists in memory out. The
 * members of a crew take them apart, each those of its parts, while the streams are read on.
 */
#ifndef VOLUME_INDEX_LOAD_LISTS_H
#define VOLUME_INDEX_LOAD_LISTS_H

#include <uds/status.h>

#include "base/crew.h"
#include "volume_index/private.h"
#include "volume_index/volume_index.h"

struct list_loads;

/*
 * @index: empty, with the sizes of lists to come in their heads. @cut: may be NULL. Returns
 *     0 or -ENOMEM.
 */
int list_loads_make(struct volume_index *index, struct crew *crew,
		    const struct volume_index_cut *cut, struct list_loads **ret_loads);

/* After list_loads_finish(), or before anything was added. @loads may be NULL. */
void list_loads_free(struct list_loads *loads);

/*
 * Gives memory for the next list: @bytes, at most STREAM_LIST_BYTES. May wait for older ones.
 *
 * Returns 0, or a negative number when an older list was wrong; list_loads_finish()
 * has the sentence.
 */
int list_loads_room(struct list_loads *loads, unsigned int sub, uint32_t list, uint32_t bytes,
		    uint8_t **ret_memory);

/* The list is in that memory, from bit @bit on. @stream: for sentences. */
void list_loads_add(struct list_loads *loads, unsigned int stream, unsigned int sub, uint32_t list,
		    unsigned int bit, uint32_t bytes);

/*
 * Waits for all lists. @status: 0, or what ended the reading, which all of them came before.
 *
 * Returns 0, or the failure of the first list that is wrong (UDS_ERR_CORRUPT, -ENOMEM) with its
 * sentence in @message, or @status.
 */
int list_loads_finish(struct list_loads *loads, int status, struct uds_message *message);

struct list_counts {
	uint64_t entries; /* that were read */
	uint64_t collisions;
	uint64_t left_out;	     /* none of them collision entries */
	uint64_t dropped;	     /* of the chapter that the save has open */
	uint64_t dropped_collisions; /* collision entries fewer than before */
	uint64_t added;
};

void list_loads_count(const struct list_loads *loads, unsigned int sub,
		      struct list_counts *ret_counts);

#endif
