/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which entries a chapter index leaves out when lists or memory run full: the names are
 * inserted one by one in layout order, each into a sorted array, with the sizes that the coded
 * list would have.
 *
 * Slow; only runs for chapters full of names crafted to collide.
 */
#include "chapter/chapter_lists.h"

#include <string.h>

#include "chapter/zone_memory.h"

/* Where a name goes in its list, and the bits it adds. */
struct insertion {
	uint32_t list;
	uint32_t place; /* index in the list */
	bool collision;
	uint32_t growth; /* in bits */
};

/* The first place in a list whose address is @address or more. */
static uint32_t lower_bound(const struct chapter_lists *lists, uint32_t list, uint32_t address)
{
	const uint64_t *entries = lists->entries + lists->starts[list];
	uint32_t low = 0, high = lists->lengths[list];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (entry_address(lists, entries[middle]) < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Whether the group of equal addresses that begins at @place has the name of @entry. */
static bool group_has_name(const struct chapter_lists *lists, uint32_t list, uint32_t place,
			   uint64_t entry)
{
	const uint64_t *entries = lists->entries + lists->starts[list];
	const uint32_t address = entry_address(lists, entry);
	const struct uds_record_name *name = &lists->names[entry_number(entry)];

	for (; place < lists->lengths[list] && entry_address(lists, entries[place]) == address;
	     place++) {
		if (memcmp(name, &lists->names[entry_number(entries[place])], UDS_NAME_BYTES) == 0)
			return true;
	}
	return false;
}

static int find_insertion(const struct chapter_lists *lists, uint64_t entry,
			  struct insertion *ret_insertion)
{
	const uint32_t address = entry_address(lists, entry);
	const uint32_t list = entry_list(lists, entry);
	const uint32_t length = lists->lengths[list];
	const uint64_t *entries = lists->entries + lists->starts[list];
	struct insertion in = { .list = list, .place = lower_bound(lists, list, address) };
	uint32_t before, behind;
	uint64_t growth;

	in.collision = in.place < length && entry_address(lists, entries[in.place]) == address;
	if (in.collision) {
		if (group_has_name(lists, list, in.place, entry))
			return UDS_ERR_DUPLICATE_NAME;
		/* Directly behind the ordinary entry, in front of older ones (5). */
		in.place++;
		in.growth = delta_collision_bits(&lists->code);
		*ret_insertion = in;
		return 0;
	}
	before = in.place == 0 ? 0 : entry_address(lists, entries[in.place - 1]);
	growth = delta_ordinary_bits(&lists->code, address - before);
	/* The entry behind has a shorter way now: it is encoded again (5, Insert). */
	if (in.place < length) {
		behind = entry_address(lists, entries[in.place]);
		growth += delta_ordinary_bits(&lists->code, behind - address);
		growth -= delta_ordinary_bits(&lists->code, behind - before);
	}
	in.growth = (uint32_t)growth;
	*ret_insertion = in;
	return 0;
}

static uint32_t bits_before(const struct chapter_lists *lists, uint32_t list, uint32_t place)
{
	const uint64_t *entries = lists->entries + lists->starts[list];
	uint32_t key = 0;
	uint64_t bits = 0;

	for (uint32_t i = 0; i < place; i++) {
		uint32_t address = entry_address(lists, entries[i]);

		if (i > 0 && address == key)
			bits += delta_collision_bits(&lists->code);
		else
			bits += delta_ordinary_bits(&lists->code, address - key);
		key = address;
	}
	return (uint32_t)bits;
}

static void insert(struct chapter_lists *lists, const struct insertion *in, uint64_t entry)
{
	uint64_t *at = lists->entries + lists->starts[in->list] + in->place;

	memmove(at + 1, at, (lists->lengths[in->list] - in->place) * sizeof(*at));
	*at = entry;
	lists->lengths[in->list]++;
	lists->bits[in->list] += in->growth;
	lists->kept++;
	lists->collisions += in->collision;
}

static int replay(struct chapter_lists *lists, struct zone_memory *memory)
{
	struct insertion in;
	int r;

	for (uint32_t i = 0; i < lists->count; i++) {
		const uint64_t entry = lists->scratch[i];

		r = find_insertion(lists, entry, &in);
		if (r < 0)
			return r;
		/*
		 * Both limits, in the format's order: the length of a list first, then the memory
		 * (6.3). What fits in neither is left out, and the next name is tried all the same.
		 */
		if (lists->bits[in.list] + in.growth > DELTA_LIST_MAX_BITS ||
		    zone_memory_grow(memory, in.list, bits_before(lists, in.list, in.place),
				     in.growth) < 0)
			lists->overflows++;
		else
			insert(lists, &in, entry);
	}
	return 0;
}

int chapter_lists_replay(struct chapter_lists *lists)
{
	struct zone_memory memory;
	int r = zone_memory_make(&memory, &lists->env, lists->memory_bytes, lists->list_count);

	if (r < 0)
		return r;
	/*
	 * Back to layout order. The starts leave room for the most entries that each list can get.
	 */
	for (uint32_t i = 0; i < lists->count; i++)
		lists->scratch[entry_number(lists->entries[i])] = lists->entries[i];
	for (uint32_t list = 0; list < lists->list_count; list++) {
		lists->lengths[list] = 0;
		lists->bits[list] = 0;
	}
	lists->kept = 0;
	lists->collisions = 0;
	r = replay(lists, &memory);
	zone_memory_destroy(&memory);
	return r;
}
