/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding, inserting, removing and sweeping in one list: the text that each form of the operations
 * is compiled from. See list_bits.h for what a form sets before it includes this; besides
 *	LIST_OPERATIONS	the name of the struct list_operations that it defines
 *	LIST_FORM_NAME		the form's name, for tests and benchmarks
 *	LIST_CANDIDATES	a function: which of up to 64 bytes, minus a start, are at most a limit
 *	LIST_LEAST	a function: the least of some bytes, of which there is one, minus a start
 */
#include <stddef.h>

#include "volume_index/list_bits.h"

/* A key and the entry it belongs to, seen from its bit. */
LIST_INLINE uint32_t key_at(const struct list_shape *shape, const struct list_view *view,
			    uint32_t bit, uint32_t position)
{
	return (bit - position) << shape->low_bits |
	       ((uint32_t)list_rest(shape, view->rest, position) & shape->low_mask);
}

LIST_TARGET static void find(const struct list_zone *zone, const struct list_head *head,
			     uint32_t address, const uint8_t *name, struct list_found *ret_found)
{
	const struct list_shape *shape = zone->shape;
	uint32_t bucket = address >> shape->low_bits;
	uint32_t low = address & shape->low_mask;
	struct list_view view;
	uint32_t bit;
	uint32_t end;

	if (head->entries == 0) {
		*ret_found = (struct list_found){ 0 };
		return;
	}
	view = list_view_of(zone, head);
	bit = bucket_start(view.upper, view.upper_bytes, bucket);
	ret_found->position = bit - bucket;
	ret_found->found = false;
	ret_found->collision = false;
	end = ret_found->position + run_length(view.upper, bit);
	for (; ret_found->position < end; ret_found->position++) {
		uint32_t here = (uint32_t)list_rest(shape, view.rest, ret_found->position) &
				shape->low_mask;

		if (here >= low) {
			ret_found->found = here == low;
			break;
		}
	}
	if (!ret_found->found)
		return;
	if (view.collisions > 0) {
		uint32_t at = ret_found->position + 1;
		uint32_t which = list_name_from(&view, at);

		/* The names behind an ordinary entry without a gap are those of its key. */
		for (; which < view.collisions && list_name_position(&view, which) == at;
		     which++, at++) {
			if (memcmp(view.names + LIST_NAME_BYTES * which + 2, name,
				   UDS_NAME_BYTES) == 0) {
				ret_found->position = at;
				ret_found->collision = true;
				break;
			}
		}
	}
	ret_found->value = list_value(shape, &view, ret_found->position);
}

/*
 * How much an ordinary entry with @key adds to the coded size between the entries in front of it
 * and behind it: its own bits, and the change of the difference that it splits.
 *
 * @bit: where it is, or will be; @next_bit: from where on to look for the entry behind it, which
 * has number @next of the list as it is.
 */
LIST_INLINE uint32_t ordinary_share(const struct list_shape *shape, const struct list_view *view,
				    uint32_t key, uint32_t bit, uint32_t position,
				    uint32_t next_bit, uint32_t next)
{
	uint32_t before = 0;
	uint32_t bits;

	if (position > 0)
		before = key_at(shape, view, bit_before(view->upper, bit), position - 1);
	bits = (uint32_t)delta_ordinary_bits(&shape->code, key - before);
	if (next < view->entries) {
		uint32_t behind = key_at(shape, view, bit_from(view->upper, next_bit), next);

		bits += (uint32_t)delta_code_bits(&shape->code, behind - key) -
			(uint32_t)delta_code_bits(&shape->code, behind - before);
	}
	return bits;
}

/* What a collision entry takes in coded form. */
LIST_INLINE uint32_t collision_share(const struct list_shape *shape)
{
	return shape->code.payload_bits + shape->code.min_bits + DELTA_NAME_BITS;
}

/* Numbers of the entries that names belong to, from name @which on, change by @by. */
LIST_INLINE void renumber_names(struct list_view *view, uint32_t which, int by)
{
	for (; which < view->collisions; which++)
		put_le16(view->names + LIST_NAME_BYTES * which,
			 (uint16_t)((int)list_name_position(view, which) + by));
}

/* Makes room in all planes and stores the entry. The block is large enough. */
LIST_INLINE void store_entry(const struct list_shape *shape, struct list_view *view,
			     uint32_t position, uint32_t bit, uint32_t address, uint64_t value,
			     const uint8_t *name)
{
	uint32_t upper_bytes = list_upper_bytes(shape, view->entries + 1);
	uint32_t rest_length = view->entries * shape->rest_bits;
	uint64_t rest = (address & shape->low_mask) | (uint64_t)list_chapter_rest(shape, value)
							      << shape->low_bits;

	if (view->collisions > 0 || name != NULL) {
		uint32_t which = list_name_from(view, position);

		renumber_names(view, which, 1);
		if (name != NULL) {
			size_t ahead = view->entries + LIST_NAME_BYTES * which;
			uint8_t *from = view->chapters - view->entries;

			memmove(from - LIST_NAME_BYTES, from, ahead);
			view->names -= LIST_NAME_BYTES;
			view->chapters = view->names;
			put_le16(view->names + LIST_NAME_BYTES * which, (uint16_t)position);
			memcpy(view->names + LIST_NAME_BYTES * which + 2, name, UDS_NAME_BYTES);
		}
	}
	memmove(view->chapters - view->entries - 1, view->chapters - view->entries,
		view->entries - position);
	view->chapters[-1 - (ptrdiff_t)position] = list_chapter_byte(shape, value);
	if (upper_bytes != view->upper_bytes) {
		memmove(view->rest + 4, view->rest, (rest_length + 7) / 8);
		view->rest += 4;
	}
	bits_insert(view->rest, position * shape->rest_bits, rest_length, shape->rest_bits, rest);
	bits_insert(view->upper, bit, view->entries + shape->buckets, 1, 1);
}

/* Lists shrink into smaller blocks when that leaves some room to grow again. */
LIST_INLINE void shrink(struct list_zone *zone, struct list_head *head, uint32_t spare)
{
	uint32_t bytes = list_bytes(zone->shape, head->entries, list_head_collisions(head));

	if (bytes + spare <= list_pool_smaller_bytes(&zone->pool, head->block))
		(void)list_resize(zone, head, bytes); /* the larger block is as good */
}

LIST_TARGET static int insert(struct list_zone *zone, struct list_head *head, uint32_t address,
			      uint32_t position, uint64_t value, const uint8_t *name)
{
	const struct list_shape *shape = zone->shape;
	uint32_t collisions = list_head_collisions(head) + (name != NULL);
	uint32_t bytes = list_bytes(shape, head->entries + 1u, collisions);
	uint32_t bit = (address >> shape->low_bits) + position;
	struct list_view view = { 0 };
	uint32_t share;

	if (head->entries > 0)
		view = list_view_of(zone, head);
	if (name != NULL)
		share = collision_share(shape);
	else
		share = ordinary_share(shape, &view, address, bit, position, bit, position);
	if (head->coded_bits + share > DELTA_LIST_MAX_BITS)
		return UDS_ERR_OVERFLOW;
	if (head->entries == 0 || bytes > list_pool_block_bytes(&zone->pool, head->block)) {
		int r = list_resize(zone, head, bytes);

		if (r < 0)
			return r;
		view = list_view_of(zone, head);
	}
	store_entry(shape, &view, position, bit, address, value, name);
	head->entries++;
	head->flush += name != NULL;
	head->coded_bits = (uint16_t)(head->coded_bits + share);
	zone->coded_bits += share;
	zone->records++;
	zone->collisions += name != NULL;
	shrink(zone, head, 8);
	return 0;
}

/* Closes the gap that an entry leaves in all planes. Its name is gone already. */
LIST_INLINE void cut_entry(const struct list_shape *shape, struct list_view *view,
			   uint32_t position, uint32_t bit)
{
	uint32_t upper_bytes = list_upper_bytes(shape, view->entries - 1);
	uint32_t rest_length = view->entries * shape->rest_bits;

	memmove(view->chapters - view->entries + 1, view->chapters - view->entries,
		view->entries - position - 1);
	bits_remove(view->upper, bit, view->entries + shape->buckets, 1);
	bits_remove(view->rest, position * shape->rest_bits, rest_length, shape->rest_bits);
	view->entries--;
	if (upper_bytes != view->upper_bytes) {
		memmove(view->rest - 4, view->rest, (rest_length - shape->rest_bits + 7) / 8);
		view->rest -= 4;
		view->upper_bytes = upper_bytes;
	}
}

LIST_INLINE void cut_name(struct list_view *view, uint32_t which)
{
	uint8_t *from = view->chapters - view->entries;

	memmove(from + LIST_NAME_BYTES, from, view->entries + LIST_NAME_BYTES * which);
	view->names += LIST_NAME_BYTES;
	view->chapters = view->names;
	view->collisions--;
}

/* @view: of the list as it is; then of the list as it will be. */
LIST_INLINE void remove_entry(struct list_zone *zone, struct list_head *head,
			      struct list_view *view, uint32_t position)
{
	const struct list_shape *shape = zone->shape;
	uint32_t bit = entry_bit(view->upper, view->upper_bytes, position);
	bool cut_a_name = false;
	uint32_t share;

	if (view->collisions > 0) {
		uint32_t which = list_name_from(view, position);

		/* Its own name, or that of the collision entry which becomes the ordinary one. */
		if (which < view->collisions && list_name_position(view, which) <= position + 1) {
			cut_name(view, which);
			cut_a_name = true;
		}
		renumber_names(view, which, -1);
	}
	if (cut_a_name)
		share = collision_share(shape);
	else
		share = ordinary_share(shape, view, key_at(shape, view, bit, position), bit,
				       position, bit + 1, position + 1);
	cut_entry(shape, view, position, bit);
	head->entries--;
	head->flush -= cut_a_name;
	head->coded_bits = (uint16_t)(head->coded_bits - share);
	zone->coded_bits -= share;
	zone->records--;
	zone->collisions -= cut_a_name;
	zone->discards++;
}

LIST_INLINE void give_back_room(struct list_zone *zone, struct list_head *head)
{
	if (head->entries == 0)
		list_give_back(zone, head);
	else
		shrink(zone, head, 48);
}

LIST_TARGET static void remove_one(struct list_zone *zone, struct list_head *head,
				   uint32_t position)
{
	struct list_view view = list_view_of(zone, head);

	remove_entry(zone, head, &view, position);
	give_back_room(zone, head);
}

/*
 * How far above flush_from the chapter of an entry is, as the format counts it: modulo the chapters
 * that a value can tell apart.
 */
LIST_INLINE uint64_t relative(const struct list_shape *shape, const struct list_view *view,
			      uint32_t position, uint64_t start)
{
	return (list_value(shape, view, position) - start) & shape->chapter_mask;
}

/*
 * Removes all entries less than @count above @start, given that the bytes of their chapters are at
 * most @limit above that of @start. Returns the least distance that is left among those looked at,
 * or the mask.
 *
 * The bytes are looked at from the last entry to the first, so removals change no number that
 * is still needed.
 */
LIST_INLINE uint64_t sweep_candidates(struct list_zone *zone, struct list_head *head,
				      uint64_t start, uint64_t count, uint8_t limit)
{
	const struct list_shape *shape = zone->shape;
	const uint8_t first = list_chapter_byte(shape, start);
	uint64_t best = shape->chapter_mask;
	uint32_t left = head->entries;
	struct list_view view = { 0 };

	if (left > 0)
		view = list_view_of(zone, head);
	while (left > 0) {
		unsigned int some = left < 64 ? left : 64;
		uint64_t near = LIST_CANDIDATES(view.chapters - left, some, first, limit);

		for (; near != 0; near &= near - 1) {
			uint32_t position = left - 1 - (uint32_t)__builtin_ctzll(near);
			uint64_t distance = relative(shape, &view, position, start);

			if (distance < count)
				remove_entry(zone, head, &view, position);
			else if (distance < best)
				best = distance;
		}
		left -= some;
	}
	return best;
}

/* The least distance of any entry, given that of all bytes those from @first on come first. */
LIST_INLINE uint64_t least_distance(const struct list_zone *zone, const struct list_head *head,
				    uint64_t start, uint8_t first)
{
	const struct list_shape *shape = zone->shape;
	uint64_t best = shape->chapter_mask;
	uint32_t left = head->entries;
	struct list_view view;
	uint8_t nearest;

	if (left == 0)
		return best;
	view = list_view_of(zone, head);
	nearest = (uint8_t)(first + LIST_LEAST(view.chapters - left, left, first));
	while (left > 0) {
		unsigned int some = left < 64 ? left : 64;
		uint64_t near = LIST_CANDIDATES(view.chapters - left, some, nearest, 0);

		for (; near != 0; near &= near - 1) {
			uint32_t position = left - 1 - (uint32_t)__builtin_ctzll(near);
			uint64_t distance = relative(shape, &view, position, start);

			best = distance < best ? distance : best;
		}
		left -= some;
	}
	return best;
}

LIST_TARGET static void sweep(struct list_zone *zone, struct list_head *head)
{
	const struct list_shape *shape = zone->shape;
	uint64_t mask = shape->chapter_mask;
	uint64_t from = list_head_flush_from(head);
	uint64_t start = from & mask;
	uint64_t before = start & shape->chapter_low_mask; /* chapters with the same byte */
	uint64_t first = list_chapter_byte(shape, start);
	uint64_t count = zone->low - from;
	uint64_t limit;
	uint64_t best;
	uint64_t oldest;

	if (count > mask)
		count = mask + 1;
	limit = (before + count - 1) >> shape->chapter_low_bits;
	/* Bytes that have less than eight bits do not wrap around as chapters do. */
	if (limit > 255 || mask < 255)
		limit = 255;
	best = sweep_candidates(zone, head, start, count, (uint8_t)limit);
	/* The oldest that stays may have the byte of the newest that went; mostly it has not. */
	if (limit < 255 && (before + best) >> shape->chapter_low_bits > limit)
		best = least_distance(zone, head, start, (uint8_t)(first + limit + 1));
	if (head->entries == 0) {
		if (head->block != NO_BLOCK)
			list_give_back(zone, head);
	} else {
		shrink(zone, head, 48);
	}
	oldest = zone->low + ((best + start - zone->low) & mask);
	list_head_set_flush_from(head, oldest < zone->high ? oldest : zone->high);
}

const struct list_operations LIST_OPERATIONS = {
	.name = LIST_FORM_NAME,
	.find = find,
	.sweep = sweep,
	.insert = insert,
	.remove = remove_one,
};
