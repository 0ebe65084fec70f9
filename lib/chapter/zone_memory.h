/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether the reference implementation would have had room: where its lists lie in their memory,
 * and when that runs out (uds-format, 6.2 and 6.3). Only places and sizes are kept, no entries.
 *
 * Lists begin spread evenly. One that grows takes from the gaps beside it; when neither is large enough,
 * all lists are moved apart again, and when that leaves no room, the entry is refused.
 *
 * A bound that needs no model: all is well as long as 7, plus the largest growth in bytes, plus
 * ceil((7 + bits) / 8) of every list together do not exceed the memory.
 */
#ifndef CHAPTER_ZONE_MEMORY_H
#define CHAPTER_ZONE_MEMORY_H

#include <stdint.h>

#include <uds/env.h>

struct zone_memory {
	struct uds_env env;
	uint64_t bytes;
	uint32_t count;
	uint64_t *starts; /* in bits; one more than there are lists: the guard at the end */
	uint32_t *bits;	  /* the same */
};

/* @bytes: more than 7. Returns 0 or -ENOMEM. */
int zone_memory_make(struct zone_memory *memory, const struct uds_env *env, uint64_t bytes,
		     uint32_t list_count);
void zone_memory_destroy(struct zone_memory *memory);

/*
 * Makes a list longer by @growth bits at its bit @at (0 to its size).
 *
 * Returns 0, or UDS_ERR_OVERFLOW when there is no room: nothing has changed then.
 */
int zone_memory_grow(struct zone_memory *memory, uint32_t list, uint32_t at, uint32_t growth);

/* Moves all lists apart, as it is done after a load. Returns 0 or UDS_ERR_OVERFLOW. */
int zone_memory_spread(struct zone_memory *memory);

#endif
