/* SPDX-License-Identifier: BSD-2-Clause */
/* What a list needs besides its inner loops: its shape, its blocks, and whole lists in and out. */
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
	unsigned int high_bits;
	int r;

	volume_index_parameters_make(geometry, sub, &shape.parameters);
	r = delta_code_make(p->mean_delta, p->chapter_bits, &shape.code);
	if (r < 0)
		return r;
	/* As many entries as a list has when the index is full. */
	bucket_bits = choose_bucket_bits(p->address_bits, (uint64_t)p->records_per_chapter *
								  p->chapter_count / p->list_count);
	/*
	 * The low eight bits of a chapter number have a byte of their own, so that all entries of a
	 * list can be compared at once; the bits above go to the rest.
	 */
	high_bits = p->chapter_bits > 8 ? p->chapter_bits - 8 : 0;
	shape.buckets = UINT32_C(1) << bucket_bits;
	shape.low_bits = p->address_bits - bucket_bits;
	shape.low_mask = (UINT32_C(1) << shape.low_bits) - 1;
	/* At least one bit, so that shifting by it is always a shift. */
	shape.rest_bits = shape.low_bits + high_bits > 0 ? shape.low_bits + high_bits : 1;
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

/* The unary part, front to back: no word is read again that was just written. */
static void build_upper(const struct list_shape *shape, const struct list_view *view,
			const uint32_t *keys, uint32_t count)
{
	uint32_t upper = 0, upper_at = 0;

	/* Words without an entry are passed over. */
	memset(view->upper, 0, view->upper_bytes);
	for (uint32_t i = 0; i < count; i++) {
		/*
		 * The entry's 1 bit stands behind those of the entries before it, and a 0 bit for
		 * each bucket below its own.
		 */
		const uint32_t bit = (keys[i] >> shape->low_bits) + i;

		/* Stored for each entry: when a word is over is hard to predict. */
		upper = (bit / 32 == upper_at ? upper : 0) | UINT32_C(1) << (bit % 32);
		upper_at = bit / 32;
		put_le32(view->upper + 4 * (size_t)upper_at, upper);
	}
}

static void build_rest(const struct list_shape *shape, const struct list_view *view,
		       const uint32_t *keys, const uint32_t *values, uint32_t count)
{
	/* Whole words go beyond the end, where the chapters come later: a byte for each entry. */
	const bool in_words = count >= sizeof(uint64_t);
	uint8_t *rest = view->rest;
	unsigned int fill = 0;
	uint64_t word = 0;

	for (uint32_t i = 0; i < count; i++) {
		word |= ((keys[i] & shape->low_mask) | (uint64_t)(values[i] >> 8)
							       << shape->low_bits)
			<< fill;
		fill += shape->rest_bits;
		if (in_words)
			store64(rest, word);
		for (unsigned int n = 0; !in_words && 8 * n < fill; n++)
			rest[n] = (uint8_t)(word >> 8 * n);
		rest += fill / 8;
		word >>= fill / 8 * 8;
		fill %= 8;
	}
}

int list_build(struct list_zone *zone, struct list_head *head, const uint32_t *keys,
	       const uint32_t *values, uint32_t count, const uint8_t *names, uint32_t collisions)
{
	const struct list_shape *shape = zone->shape;
	uint32_t named = 0;
	struct list_view view;
	int r;

	if (count == 0)
		return 0;
	r = list_resize(zone, head, list_bytes(shape, count, collisions));
	if (r < 0)
		return r;
	head->entries = (uint16_t)count;
	/*
	 * The low bits of @flush count the collision entries, which are none in a list that is
	 * still empty.
	 */
	head->flush |= collisions;
	view = list_view_of(zone, head);
	build_upper(shape, &view, keys, count);
	build_rest(shape, &view, keys, values, count);
	/* Chapters run down from the back, so that both ends of a block can grow without a move. */
	for (uint32_t i = 0; i < count; i++)
		view.chapters[-1 - (ptrdiff_t)i] = (uint8_t)values[i];
	for (uint32_t i = 1; named < collisions && i < count; i++) {
		/*
		 * The same key again: a collision entry, which directly follows those of its key
		 * (5).
		 */
		if (keys[i] == keys[i - 1]) {
			uint8_t *name = view.names + LIST_NAME_BYTES * (size_t)named;

			put_le16(name, (uint16_t)i);
			memcpy(name + 2, names + UDS_NAME_BYTES * (size_t)named, UDS_NAME_BYTES);
			named++;
		}
	}
	return 0;
}

void list_decode(const struct list_zone *zone, const struct list_head *head, uint32_t *ret_keys,
		 uint32_t *ret_values)
{
	const struct list_shape *shape = zone->shape;
	struct list_view view;
	uint32_t word = 0;
	uint64_t bits;

	if (head->entries == 0)
		return;
	view = list_view_of(zone, head);
	bits = load64(view.upper);
	for (uint32_t i = 0; i < view.entries; i++) {
		uint64_t rest = list_rest(shape, view.rest, i) & shape->rest_mask;
		uint32_t bit;

		/* Words without an entry: buckets that are empty. */
		while (bits == 0)
			bits = load64(view.upper + 8 * (size_t)++word);
		bit = 64 * word + (uint32_t)__builtin_ctzll(bits);
		bits &= bits - 1;
		ret_keys[i] = (bit - i) << shape->low_bits | ((uint32_t)rest & shape->low_mask);
		ret_values[i] =
			view.chapters[-1 - (ptrdiff_t)i] | (uint32_t)(rest >> shape->low_bits << 8);
	}
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
	unsigned int width = shape->rest_bits - shape->low_bits;

	/* In place: the value has the same bits for every chapter, so nothing moves. */
	view.chapters[-1 - (ptrdiff_t)position] = (uint8_t)value;
	put_bits(view.rest, bit, width, (uint32_t)(value >> 8));
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
