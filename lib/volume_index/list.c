/* SPDX-License-Identifier: BSD-2-Clause */
/* What a list needs besides its inner loops: its shape and its blocks. */
#include "volume_index/list.h"

#include <errno.h>
#include <stddef.h>

#include "base/bits.h"
#include "base/env.h"

/* How many high bits of a key choose its bucket, for the least memory with @entries to a list. */
static unsigned int choose_bucket_bits(unsigned int address_bits, uint64_t entries)
{
	unsigned int bits = 0;

	/* One more bit saves a bit an entry and doubles the buckets, of a bit each. */
	while (bits < address_bits && bits < 16 && (UINT64_C(1) << bits) < entries)
		bits++;
	return bits;
}

int list_shape_make(const struct geometry *geometry, enum sub_index sub,
		    struct list_shape *ret_shape)
{
	struct list_shape shape = { 0 };
	const struct volume_index_parameters *p = &shape.parameters;
	unsigned int bucket_bits;
	int r;

	volume_index_parameters_make(geometry, sub, &shape.parameters);
	r = delta_code_make(p->mean_delta, p->chapter_bits, &shape.code);
	if (r < 0)
		return r;
	/* As many entries as a list has when the index is full. */
	bucket_bits = choose_bucket_bits(p->address_bits, (uint64_t)p->records_per_chapter *
								  p->chapter_count / p->list_count);
	/*
	 * The highest eight bits of a chapter number have a byte of their own, so that all entries
	 * of a list can be compared at once; the bits below go to the rest.
	 */
	shape.chapter_low_bits = p->chapter_bits > 8 ? p->chapter_bits - 8 : 0;
	shape.chapter_low_mask = (UINT32_C(1) << shape.chapter_low_bits) - 1;
	shape.buckets = UINT32_C(1) << bucket_bits;
	shape.low_bits = p->address_bits - bucket_bits;
	shape.low_mask = (UINT32_C(1) << shape.low_bits) - 1;
	/* At least one bit, so that shifting by it is always a shift. */
	shape.rest_bits = shape.low_bits + shape.chapter_low_bits;
	if (shape.rest_bits == 0)
		shape.rest_bits = 1;
	shape.rest_mask = (UINT64_C(1) << shape.rest_bits) - 1;
	shape.chapter_mask = p->chapter_mask;
	*ret_shape = shape;
	return 0;
}

/* No list that keeps to the coded limit needs a larger block. */
static uint32_t largest_block(const struct list_shape *shape)
{
	uint32_t entries = DELTA_LIST_MAX_BITS / (shape->code.min_bits + shape->code.payload_bits);
	uint32_t names = DELTA_LIST_MAX_BITS / DELTA_NAME_BITS;

	return list_bytes(shape, entries, 0) + names * 2;
}

static uint64_t heads_bytes(const struct list_zone *zone)
{
	return (uint64_t)zone->list_count * sizeof(*zone->heads);
}

/* The pool of a zone, or of a part of it, which is as large, so that they can be joined. */
static void make_pool(struct list_zone *zone, const struct uds_env *env)
{
	const struct list_shape *shape = zone->shape;
	const struct volume_index_parameters *p = &shape->parameters;
	uint64_t expected;

	expected = list_bytes(shape,
			      (uint32_t)((uint64_t)p->records_per_chapter * p->chapter_count /
					 p->list_count),
			      0) *
		   (uint64_t)zone->list_count;
	list_pool_make(&zone->pool, env, zone->heads, expected, largest_block(shape));
}

int list_zone_make(struct list_zone *zone, const struct uds_env *env,
		   const struct list_shape *shape, unsigned int number, unsigned int zones)
{
	const struct volume_index_parameters *p = &shape->parameters;
	uint32_t each = volume_index_lists_per_zone(p, zones);

	memset(zone, 0, sizeof(*zone));
	zone->shape = shape;
	zone->first_list = number * each;
	/* The last zone gets what is left, which may be less (6.1). */
	zone->list_count = number + 1 < zones ? each : p->list_count - zone->first_list;
	zone->max_zone_bits = volume_index_max_zone_bits(p, zones);
	zone->chapter_zone_bits = volume_index_chapter_zone_bits(p, zones);
	zone->heads = env_allocate_large(env, heads_bytes(zone));
	if (zone->heads == NULL)
		return -ENOMEM;
	/* A list without entries takes its head only. */
	for (uint32_t i = 0; i < zone->list_count; i++)
		zone->heads[i] = (struct list_head){ .block = NO_BLOCK };
	make_pool(zone, env);
	return 0;
}

void list_zone_make_part(const struct list_zone *zone, struct list_zone *ret_part)
{
	*ret_part = *zone;
	make_pool(ret_part, zone->pool.env);
}

int list_zone_join(struct list_zone *zone, struct list_zone *part)
{
	int r;

	r = list_pool_join(&zone->pool, &part->pool);
	if (r < 0)
		return r;
	zone->coded_bits += part->coded_bits;
	zone->records += part->records;
	zone->collisions += part->collisions;
	zone->discards += part->discards;
	zone->overflows += part->overflows;
	part->heads = NULL;
	return 0;
}

void list_zone_release_part(struct list_zone *part)
{
	if (part->heads != NULL)
		list_pool_release(&part->pool);
	part->heads = NULL;
}

void list_zone_release(struct list_zone *zone)
{
	if (zone->heads == NULL)
		return;
	env_release_large(zone->pool.env, zone->heads, heads_bytes(zone));
	list_pool_release(&zone->pool);
	zone->heads = NULL;
}

int list_resize(struct list_zone *zone, struct list_head *head, uint32_t bytes)
{
	uint32_t owner = (uint32_t)(head - zone->heads);
	uint32_t old = head->block;
	uint32_t block;
	int r;

	/* Before anything changes: without memory the list is as it was. */
	r = list_pool_allocate(&zone->pool, bytes, owner, &block);
	if (r < 0)
		return r;
	if (head->entries == 0) {
		memset(list_pool_block(&zone->pool, block) + POOL_BLOCK_HEAD, 0,
		       list_upper_bytes(zone->shape, 0));
	} else {
		struct list_view from = list_view_of(zone, head);
		struct list_view to;

		/*
		 * For a moment the head names the new block: where the parts lie depends on the
		 * block's size. The content is copied from views, which keep their own pointers.
		 */
		head->block = block;
		to = list_view_of(zone, head);
		/*
		 * Upper part and rest grow from the front of a block, chapters and names from its
		 * back; what is in between is unused.
		 */
		memcpy(to.upper, from.upper,
		       from.upper_bytes + (from.entries * zone->shape->rest_bits + 7) / 8);
		memcpy(to.chapters - from.entries, from.chapters - from.entries,
		       from.entries + LIST_NAME_BYTES * from.collisions);
	}
	head->block = block;
	/* Last: freeing a block may move others of its class, and updates their heads. */
	if (old != NO_BLOCK)
		list_pool_free(&zone->pool, old);
	return 0;
}

void list_give_back(struct list_zone *zone, struct list_head *head)
{
	uint32_t block = head->block;

	head->block = NO_BLOCK;
	list_pool_free(&zone->pool, block);
}

const uint8_t *list_name(const struct list_zone *zone, const struct list_head *head, uint32_t which)
{
	struct list_view view = list_view_of(zone, head);

	return view.names + LIST_NAME_BYTES * (size_t)which + 2;
}

void list_set_value(struct list_zone *zone, struct list_head *head, uint32_t position,
		    uint64_t value)
{
	const struct list_shape *shape = zone->shape;
	struct list_view view = list_view_of(zone, head);
	uint64_t bit = (uint64_t)position * shape->rest_bits + shape->low_bits;

	/* In place: the value has the same bits for every chapter, so nothing moves. */
	view.chapters[-1 - (ptrdiff_t)position] = list_chapter_byte(shape, value);
	put_bits(view.rest, bit, shape->chapter_low_bits, list_chapter_rest(shape, value));
}

bool list_is_stale(const struct list_zone *zone, const struct list_head *head, uint64_t value)
{
	uint64_t from = list_head_flush_from(head);

	/* With count = mask + 1 every entry is stale; no distance is larger. */
	return from < zone->low && ((value - from) & zone->shape->chapter_mask) < zone->low - from;
}

void list_look_past_stale(const struct list_zone *zone, const struct list_head *head,
			  const uint8_t *name, struct list_found *found)
{
	uint32_t position = found->position;
	struct list_view view;

	if (!found->found)
		return;
	/* Without collision entries there is one candidate, which stays or does not. */
	view = list_view_of(zone, head);
	if (view.collisions == 0) {
		found->found = !list_is_stale(zone, head, found->value);
		return;
	}
	/*
	 * To the ordinary entry of this key: it may be stale although the one that was found is
	 * not.
	 */
	while (list_is_collision(&view, position))
		position--;
	found->found = false;
	found->collision = false;
	/*
	 * The first that stays is the ordinary one, whatever it was; of the others the name counts.
	 */
	for (uint32_t i = position; i == position || list_is_collision(&view, i); i++) {
		uint64_t value = list_value(zone->shape, &view, i);
		uint32_t which = list_name_from(&view, i);

		if (list_is_stale(zone, head, value))
			continue;
		if (found->found && memcmp(view.names + LIST_NAME_BYTES * (size_t)which + 2, name,
					   UDS_NAME_BYTES) != 0)
			continue;
		found->collision = found->found;
		found->found = true;
		found->position = i;
		found->value = value;
		if (found->collision)
			break;
	}
}
