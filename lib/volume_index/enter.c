/* SPDX-License-Identifier: BSD-2-Clause */
/* One list after the other: taken apart, merged with its records, made again. */
#include "volume_index/enter.h"

#include <errno.h>

#include "base/env.h"
#include "volume_index/list_entries.h"
#include "volume_index/private.h"

/* How many lists ahead blocks are fetched. */
#define AHEAD 4u

struct enterer {
	struct volume_index *index;
	struct list_entries entries; /* of the list that is at hand, and its entries to be */
	struct list_entries merged;
};

static int make_entries(const struct volume_index *index, struct list_entries *entries)
{
	const uint32_t most = list_room_entries(index);

	entries->keys = env_allocate(&index->env, most, sizeof(*entries->keys));
	entries->values = env_allocate(&index->env, most, sizeof(*entries->values));
	return entries->keys == NULL || entries->values == NULL ? -ENOMEM : 0;
}

static void free_entries(const struct volume_index *index, const struct list_entries *entries)
{
	env_release(&index->env, entries->keys);
	env_release(&index->env, entries->values);
}

int enterer_make(struct volume_index *index, struct enterer **ret_enterer)
{
	struct enterer *enterer = env_allocate_zeroed(&index->env, 1, sizeof(*enterer));
	int r;

	if (enterer == NULL)
		return -ENOMEM;
	enterer->index = index;
	r = make_entries(index, &enterer->entries);
	if (r == 0)
		r = make_entries(index, &enterer->merged);
	if (r < 0)
		enterer_free(enterer);
	else
		*ret_enterer = enterer;
	return r;
}

void enterer_free(struct enterer *enterer)
{
	if (enterer == NULL)
		return;
	free_entries(enterer->index, &enterer->entries);
	free_entries(enterer->index, &enterer->merged);
	env_release(&enterer->index->env, enterer);
}

/* As the first lookup does it: sets flush_from, and drops nothing, since nothing is too old. */
static void open_window(const struct volume_index *index, struct list_zone *zone,
			struct list_head *head, uint64_t vcn)
{
	zone->low = lowest_chapter(zone->shape, vcn);
	zone->high = vcn;
	if (list_head_flush_from(head) < zone->low)
		index->operations->sweep(zone, head);
}

/*
 * As the later ones do it. No sweep could: seen from an old flush_from, the newest chapters have
 * the values of chapters that are too old.
 */
static void move_window(struct list_zone *zone, struct list_head *head, uint64_t vcn,
			const struct list_entries *entries)
{
	const uint64_t mask = zone->shape->chapter_mask;
	uint64_t best = mask;

	zone->low = lowest_chapter(zone->shape, vcn);
	zone->high = vcn;
	if (list_head_flush_from(head) >= zone->low)
		return;
	for (uint32_t i = 0; i < entries->count; i++) {
		const uint64_t distance = (entries->values[i] - zone->low) & mask;

		best = distance < best ? distance : best;
	}
	list_head_set_flush_from(head, zone->low + best);
}

/* Makes the list of the merged entries. Returns 0, or -ENOMEM with the list as it was. */
static int rebuild_list(struct list_zone *zone, struct list_head *head,
			const struct list_entries *merged)
{
	const uint16_t entries = head->entries;
	int r;

	/* Nothing of the old block is to be copied. */
	head->entries = 0;
	r = list_build(zone, head, merged->keys, merged->values, merged->count, NULL, 0);
	if (r < 0)
		head->entries = entries;
	return r;
}

/* The chapters of some records, the oldest and the newest. */
struct chapter_range {
	uint64_t first, last;
};

static struct chapter_range chapters_of(const struct additions *additions, const uint64_t *records,
					uint32_t count)
{
	struct chapter_range range = { UINT64_MAX, 0 };

	for (uint32_t i = 0; i < count; i++) {
		const uint64_t vcn = additions_read(additions, records[i]).vcn;

		range.first = vcn < range.first ? vcn : range.first;
		range.last = vcn > range.last ? vcn : range.last;
	}
	return range;
}

static int enter_list(struct enterer *enterer, struct list_zone *zone, unsigned int sub,
		      uint32_t list, struct additions *additions)
{
	struct list_head *head = &zone->heads[list];
	const uint32_t number = zone->first_list + list;
	struct list_entries *merged = &enterer->merged;
	struct chapter_range chapters;
	const uint64_t *records;
	uint32_t added, bits = 0;
	int r;

	records = additions_of_list(additions, sub, number, &added);
	if (added == 0)
		return 0;
	enterer->entries.count = head->entries;
	merged->count = head->entries + added;
	if (list_head_collisions(head) == 0) {
		list_decode(zone, head, enterer->entries.keys, enterer->entries.values);
		bits = list_entries_merge(zone->shape, &enterer->entries, additions, records, 0,
					  merged);
	}
	if (bits == 0) {
		additions_leave(additions, sub, number);
		return 0;
	}
	chapters = chapters_of(additions, records, added);
	open_window(enterer->index, zone, head, chapters.first);
	r = rebuild_list(zone, head, merged);
	if (r < 0)
		return r;
	move_window(zone, head, chapters.last, merged);
	zone->coded_bits += bits - head->coded_bits;
	zone->records += added;
	head->coded_bits = (uint16_t)bits;
	return 0;
}

/* Starts to fetch a list's block. */
static void fetch_list(const struct list_zone *zone, uint32_t list)
{
	const struct list_head *head = &zone->heads[list];
	const uint8_t *block;
	uint32_t bytes;

	if (list >= zone->list_count || head->entries == 0)
		return;
	block = list_pool_block(&zone->pool, head->block);
	bytes = list_pool_block_bytes(&zone->pool, head->block);
	for (uint32_t i = 0; i < bytes; i += 64)
		__builtin_prefetch(block + i);
}

int enterer_run(struct enterer *enterer, unsigned int part, struct additions *additions)
{
	const struct volume_index *index = enterer->index;
	int r = 0;

	for (unsigned int sub = 0; sub < index->subs; sub++) {
		struct list_zone *zone = list_zone_of(index, sub, part);

		for (uint32_t list = 0; r == 0 && list < zone->list_count; list++) {
			/* From the first list of another part to the next of this one. */
			if (part_of_list(index, 0, list) != part % index->parts) {
				list += PART_LISTS - 1;
				continue;
			}
			if (part_of_list(index, 0, list + AHEAD) == part % index->parts)
				fetch_list(zone, list + AHEAD);
			r = enter_list(enterer, zone, sub, list, additions);
		}
	}
	return r;
}
