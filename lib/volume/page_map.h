/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index page map: which index page of a chapter holds which delta lists (uds-format, 12), so
 * that a lookup reads at most one index page.
 *
 * Threads: any number may look up while one sets rows. A lookup in a row that is being set would
 * get a mixture of old and new bounds; the slot's lock (slot_table.h) prevents that.
 */
#ifndef VOLUME_PAGE_MAP_H
#define VOLUME_PAGE_MAP_H

#include <stdatomic.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/status.h>

#include "geometry/geometry.h"

struct page_map {
	struct uds_env env;
	uint32_t chapters;
	uint32_t entries_per_chapter; /* index pages of a chapter less 1 */
	uint32_t list_count;
	_Atomic uint64_t last_update; /* vcn of the chapter that was set last; 0 at first */
	_Atomic uint16_t *entries;    /* the highest list on each page but the last */
};

/* What a chapter's index page holds: lists [first_list, first_list + list_count). */
struct page_bounds {
	uint32_t page; /* of the chapter */
	uint32_t first_list;
	uint32_t list_count;
};

/* A map of zeros. Returns 0 or -ENOMEM. */
int page_map_make(const struct uds_env *env, const struct geometry *geometry,
		  struct page_map **ret_map);

/* May be NULL. */
void page_map_free(struct page_map *map);

/*
 * Sets the row of a chapter's slot. @last_lists: for each index page but the last the highest list
 * on it, as the format has it: a page without lists has that of the page before it.
 */
void page_map_set(struct page_map *map, uint32_t physical_chapter, uint64_t vcn,
		  const uint16_t *last_lists);

/* Makes the row of a slot that of a chapter that was never written. */
void page_map_clear(struct page_map *map, uint32_t physical_chapter);

void page_map_set_last_update(struct page_map *map, uint64_t vcn);

/* Brings a row into the processor's cache. */
void page_map_prefetch(const struct page_map *map, uint32_t physical_chapter);

/* Which page of the slot holds @list, which must be a list of a chapter. Takes a few steps only. */
struct page_bounds page_map_find(const struct page_map *map, uint32_t physical_chapter,
				 uint32_t list);

/* What page @page of the slot holds. */
struct page_bounds page_map_page(const struct page_map *map, uint32_t physical_chapter,
				 uint32_t page);

/* Size of the saved map. */
uint64_t page_map_bytes(const struct page_map *map);

/* Writes page_map_bytes(). */
void page_map_encode(const struct page_map *map, uint8_t *memory);

/*
 * Reads a saved map of page_map_bytes().
 *
 * Returns 0, or UDS_ERR_CORRUPT (the map is as it was) for a wrong magic, a list that does not
 * exist, or bounds that decrease.
 */
int page_map_decode(struct page_map *map, const uint8_t *memory, struct uds_message *ret_message);

#endif
