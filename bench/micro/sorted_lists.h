/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other candidate for the volume index's lists, to measure against: each list a sorted array of
 * 32-bit words, key above chapter. Simple, and a third larger. It has less to do than the real one:
 * no collision entries, and no counting of coded sizes.
 */
#ifndef BENCH_SORTED_LISTS_H
#define BENCH_SORTED_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sorted_list {
	uint32_t *words; /* key << 10 | chapter modulo 1024 */
	uint16_t count;
	uint16_t room;
	uint32_t flush_from;
};

struct sorted_lists {
	struct sorted_list *lists;
	uint32_t list_count;
	uint64_t low;
	uint64_t high;
	uint64_t block_bytes; /* with what malloc adds */
};

void sorted_lists_make(struct sorted_lists *all, uint32_t list_count);
void sorted_lists_free(struct sorted_lists *all);
void sorted_lists_open_chapter(struct sorted_lists *all, uint64_t vcn);
uint64_t sorted_lists_bytes(const struct sorted_lists *all);

/* Fetches what a lookup (or, with @change, an insertion) will touch. The head is there. */
void sorted_lists_prefetch(const struct sorted_lists *all, uint32_t list, uint32_t key,
			   bool change);

/* Whether there is an entry with this key; drops what is stale if @sweep. */
bool sorted_lists_get(struct sorted_lists *all, uint32_t list, uint32_t key, bool sweep,
		      uint32_t *ret_position);

void sorted_lists_put(struct sorted_lists *all, uint32_t list, uint32_t key, uint32_t position,
		      uint64_t vcn);

#endif
