/* SPDX-License-Identifier: BSD-2-Clause */
/* The index page map in memory and as bytes. */
#include "volume/page_map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/message.h"

#define MAP_MAGIC	 "ALBIPM02"
#define MAP_HEADER_BYTES 16u

int page_map_make(const struct uds_env *env, const struct geometry *geometry,
		  struct page_map **ret_map)
{
	struct page_map *map = env_allocate_zeroed(env, 1, sizeof(*map));
	size_t count;

	if (map == NULL)
		return -ENOMEM;
	map->env = *env;
	map->chapters = geometry->chapters_per_volume;
	/* The last page needs no entry: its lists end with the chapter's (12.1). */
	map->entries_per_chapter = geometry->index_pages_per_chapter - 1;
	map->list_count = geometry->delta_lists_per_chapter;
	count = (size_t)map->chapters * map->entries_per_chapter;
	map->entries = env_allocate_zeroed(env, count, sizeof(map->entries[0]));
	if (map->entries == NULL) {
		env_release(env, map);
		return -ENOMEM;
	}
	*ret_map = map;
	return 0;
}

void page_map_free(struct page_map *map)
{
	struct uds_env env;

	if (map == NULL)
		return;
	env = map->env;
	env_release(&env, map->entries);
	env_release(&env, map);
}

static _Atomic uint16_t *row_of(const struct page_map *map, uint32_t physical_chapter)
{
	return map->entries + (size_t)physical_chapter * map->entries_per_chapter;
}

static uint32_t entry(const _Atomic uint16_t *row, uint32_t page)
{
	return atomic_load_explicit(&row[page], memory_order_relaxed);
}

void page_map_set(struct page_map *map, uint32_t physical_chapter, uint64_t vcn,
		  const uint16_t *last_lists)
{
	_Atomic uint16_t *row = row_of(map, physical_chapter);

	/* Relaxed: readers are kept out of the slot while its row changes (slot_table.h). */
	for (uint32_t page = 0; page < map->entries_per_chapter; page++)
		atomic_store_explicit(&row[page], last_lists[page], memory_order_relaxed);
	atomic_store_explicit(&map->last_update, vcn, memory_order_relaxed);
}

void page_map_clear(struct page_map *map, uint32_t physical_chapter)
{
	_Atomic uint16_t *row = row_of(map, physical_chapter);

	for (uint32_t page = 0; page < map->entries_per_chapter; page++)
		atomic_store_explicit(&row[page], 0, memory_order_relaxed);
}

void page_map_set_last_update(struct page_map *map, uint64_t vcn)
{
	atomic_store_explicit(&map->last_update, vcn, memory_order_relaxed);
}

void page_map_prefetch(const struct page_map *map, uint32_t physical_chapter)
{
	const _Atomic uint16_t *row = row_of(map, physical_chapter);

	__builtin_prefetch(row);
	/* Its end as well: a row may lie across two cache lines. */
	__builtin_prefetch(row + map->entries_per_chapter);
}

struct page_bounds page_map_page(const struct page_map *map, uint32_t physical_chapter,
				 uint32_t page)
{
	const _Atomic uint16_t *row = row_of(map, physical_chapter);
	struct page_bounds bounds = { .page = page };
	uint32_t end = map->list_count;

	if (page > 0)
		bounds.first_list = entry(row, page - 1) + 1;
	if (page < map->entries_per_chapter)
		end = entry(row, page) + 1;
	bounds.list_count = end > bounds.first_list ? end - bounds.first_list : 0;
	return bounds;
}

struct page_bounds page_map_find(const struct page_map *map, uint32_t physical_chapter,
				 uint32_t list)
{
	const _Atomic uint16_t *row = row_of(map, physical_chapter);
	uint32_t low = 0, count = map->entries_per_chapter;

	/* The first page whose highest list is not below the one we look for. */
	while (count > 0) {
		uint32_t half = count / 2;

		if (entry(row, low + half) < list) {
			low += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	return page_map_page(map, physical_chapter, low);
}

uint64_t page_map_bytes(const struct page_map *map)
{
	return MAP_HEADER_BYTES + UINT64_C(2) * map->chapters * map->entries_per_chapter;
}

void page_map_encode(const struct page_map *map, uint8_t *memory)
{
	size_t count = (size_t)map->chapters * map->entries_per_chapter;

	memcpy(memory, MAP_MAGIC, 8);
	put_le64(memory + 8, atomic_load(&map->last_update));
	for (size_t i = 0; i < count; i++)
		put_le16(memory + MAP_HEADER_BYTES + 2 * i, atomic_load(&map->entries[i]));
}

static int check_row(const struct page_map *map, uint32_t chapter, const uint8_t *row,
		     struct uds_message *ret_message)
{
	uint32_t last = 0;

	for (uint32_t page = 0; page < map->entries_per_chapter; page++) {
		uint32_t highest = get_le16(row + 2 * (size_t)page);

		/* Equal numbers are right: an empty page ends with the list of the one before. */
		if (highest < last || highest >= map->list_count)
			return failure(ret_message, UDS_ERR_CORRUPT,
				       "page map: chapter slot %" PRIu32 ", index page %" PRIu32
				       ": highest list: expected %" PRIu32 " to %" PRIu32
				       ", found %" PRIu32,
				       chapter, page, last, map->list_count - 1, highest);
		last = highest;
	}
	return 0;
}

int page_map_decode(struct page_map *map, const uint8_t *memory, struct uds_message *ret_message)
{
	const uint8_t *rows = memory + MAP_HEADER_BYTES;
	size_t count = (size_t)map->chapters * map->entries_per_chapter;
	int r;

	if (memcmp(memory, MAP_MAGIC, 8) != 0)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "page map: magic: expected \"" MAP_MAGIC "\", found 0x%" PRIx64,
			       get_le64(memory));
	/*
	 * All rows are checked before the first entry is taken: a refused map leaves the one in
	 * memory as it was.
	 */
	for (uint32_t c = 0; c < map->chapters; c++) {
		r = check_row(map, c, rows + (size_t)2 * c * map->entries_per_chapter, ret_message);
		if (r < 0)
			return r;
	}
	atomic_store(&map->last_update, get_le64(memory + 8));
	for (size_t i = 0; i < count; i++)
		atomic_store(&map->entries[i], get_le16(rows + 2 * i));
	return 0;
}
