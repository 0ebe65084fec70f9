/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All entries of a list at once, in and out of its block (list.h).
 *
 * Threads: as the zone of the list. What works on a view of a block is a pure function.
 */
#ifndef VOLUME_INDEX_LIST_PLANES_H
#define VOLUME_INDEX_LIST_PLANES_H

#include "volume_index/list.h"

/*
 * Fills an empty list with sorted entries, as list_decode gives them. @names: 16 bytes for each
 * entry whose key is that of the one before. Does not change the zone's sums.
 */
int list_build(struct list_zone *zone, struct list_head *head, const uint32_t *keys,
	       const uint32_t *values, uint32_t count, const uint8_t *names, uint32_t collisions);

/* So many elements behind a list's entries list_decode() may write. */
#define LIST_SPARE_ENTRIES 8u

/*
 * The keys and chapters of all entries, in order. There is room for LIST_SPARE_ENTRIES more, which
 * may be anything afterwards.
 */
void list_decode(const struct list_zone *zone, const struct list_head *head, uint32_t *ret_keys,
		 uint32_t *ret_values);

/*
 * The same for a view of a block, but for the names: writes as many sorted entries as the view has,
 * or reads those that it has, of which there is one at least.
 */
void list_planes_write(const struct list_shape *shape, const struct list_view *view,
		       const uint32_t *keys, const uint32_t *values);
void list_planes_read(const struct list_shape *shape, const struct list_view *view,
		      uint32_t *ret_keys, uint32_t *ret_values);

#ifdef __x86_64__
/* For each byte, and each 1 bit in it, in as many bytes: how many 0 bits are below. */
extern const uint64_t list_zeros_of_byte[256];
#endif

/* The same without what only some processors have: for tests. */
void list_planes_write_portably(const struct list_shape *shape, const struct list_view *view,
				const uint32_t *keys, const uint32_t *values);
void list_planes_read_portably(const struct list_shape *shape, const struct list_view *view,
			       uint32_t *ret_keys, uint32_t *ret_values);

#endif
