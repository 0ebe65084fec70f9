/* SPDX-License-Identifier: BSD-2-Clause */
/* Sorted arrays: see the header. */
#include "bench/micro/sorted_lists.h"

#include <stdlib.h>
#include <string.h>

#define CHAPTER_BITS 10u
#define CHAPTER_MASK 1023u
#define KEY_BITS     20u

/* Arrays grow by so many words: half of that is unused on average. */
#define STEP 8u

void sorted_lists_make(struct sorted_lists *all, uint32_t list_count)
{
	memset(all, 0, sizeof(*all));
	all->list_count = list_count;
	all->lists = calloc(list_count, sizeof(*all->lists));
	if (all->lists == NULL)
		exit(1);
}

void sorted_lists_free(struct sorted_lists *all)
{
	for (uint32_t i = 0; i < all->list_count; i++)
		free(all->lists[i].words);
	free(all->lists);
}

void sorted_lists_open_chapter(struct sorted_lists *all, uint64_t vcn)
{
	all->high = vcn;
	all->low = vcn > CHAPTER_MASK ? vcn - CHAPTER_MASK : 0;
}

uint64_t sorted_lists_bytes(const struct sorted_lists *all)
{
	return all->list_count * sizeof(*all->lists) + all->block_bytes;
}

/* The blocks of malloc: 8 bytes more, in units of 16. */
static uint64_t block_bytes(uint32_t room)
{
	return room == 0 ? 0 : (room * sizeof(uint32_t) + 8 + 15) / 16 * 16;
}

static void resize(struct sorted_lists *all, struct sorted_list *list, uint32_t room)
{
	list->words = realloc(list->words, room * sizeof(*list->words));
	if (list->words == NULL)
		exit(1);
	all->block_bytes += block_bytes(room) - block_bytes(list->room);
	list->room = (uint16_t)room;
}

/* Where the key would be if keys were spread evenly. */
static uint32_t guess(const struct sorted_list *list, uint32_t key)
{
	return (uint32_t)((uint64_t)list->count * key >> KEY_BITS);
}

void sorted_lists_prefetch(const struct sorted_lists *all, uint32_t number, uint32_t key,
			   bool change)
{
	const struct sorted_list *list = &all->lists[number];
	uint32_t at = guess(list, key);
	uint32_t end = at + 12;

	at = at < 12 ? 0 : at - 12;
	if (list->flush_from < all->low && change)
		at = 0;
	if (change || end > list->count)
		end = list->count;
	for (; at < end; at += 16)
		__builtin_prefetch(list->words + at);
	if (end > 0)
		__builtin_prefetch(list->words + end - 1);
}

/* Which entries are stale is found by comparing chapters only; what is kept moves up at once. */
static void drop_stale(struct sorted_lists *all, struct sorted_list *list)
{
	uint32_t start = list->flush_from & CHAPTER_MASK;
	uint64_t gone = all->low - list->flush_from;
	uint32_t limit = gone > CHAPTER_MASK ? CHAPTER_MASK + 1 : (uint32_t)gone;
	uint32_t best = CHAPTER_MASK;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < list->count; i++) {
		uint32_t above = (list->words[i] - start) & CHAPTER_MASK;

		list->words[kept] = list->words[i];
		kept += above >= limit;
		best = above >= limit && above < best ? above : best;
	}
	list->count = (uint16_t)kept;
	list->flush_from =
		(uint32_t)(all->low + ((best + start - (uint32_t)all->low) & CHAPTER_MASK));
	if (list->room > list->count + 2 * STEP)
		resize(all, list, list->count + STEP);
}

bool sorted_lists_get(struct sorted_lists *all, uint32_t number, uint32_t key, bool sweep,
		      uint32_t *ret_position)
{
	struct sorted_list *list = &all->lists[number];
	uint32_t at = guess(list, key);

	if (sweep && list->flush_from < all->low) {
		drop_stale(all, list);
		at = guess(list, key);
	}
	while (at > 0 && list->words[at - 1] >> CHAPTER_BITS >= key)
		at--;
	while (at < list->count && list->words[at] >> CHAPTER_BITS < key)
		at++;
	*ret_position = at;
	return at < list->count && list->words[at] >> CHAPTER_BITS == key;
}

void sorted_lists_put(struct sorted_lists *all, uint32_t number, uint32_t key, uint32_t position,
		      uint64_t vcn)
{
	struct sorted_list *list = &all->lists[number];

	if (list->count == list->room)
		resize(all, list, list->room + STEP);
	memmove(list->words + position + 1, list->words + position,
		(list->count - position) * sizeof(*list->words));
	list->words[position] = key << CHAPTER_BITS | (uint32_t)(vcn & CHAPTER_MASK);
	list->count++;
}
