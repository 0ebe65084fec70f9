/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tells whether the reference implementation would have had room: where its lists lie in
 * their memory, and when that runs out (uds-format, 6.2 and 6.3). Keeps places and sizes
 * only, no entries.
 *
 * Lists start evenly spaced. A growing list takes space from the gaps beside it. When
 * neither gap is large enough, all lists are spaced evenly again; when that does not help,
 * the entry is refused.
 *
 * A bound that needs no simulation: there is room as long as 7, plus the largest growth in bytes,
 * plus ceil((7 + bits) / 8) of every list together do not exceed the memory.
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

#endif
