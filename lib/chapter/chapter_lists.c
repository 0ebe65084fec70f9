/* SPDX-License-Identifier: BSD-2-Clause */
/* Making, collecting, emptying and writing the lists of a chapter index. */
#include "chapter/chapter_lists.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "geometry/name_bits.h"

/* The format's memory for lists is a multiple of this. */
#define MEMORY_UNIT 65536u

int chapter_lists_init(struct chapter_lists *lists, const struct uds_env *env,
		       const struct geometry *g)
{
	lists->env = *env;
	delta_code_parameters(g->chapter_mean_delta, g->chapter_payload_bits, &lists->code);
	lists->list_count = g->delta_lists_per_chapter;
	lists->list_bits = g->chapter_delta_list_bits;
	lists->address_bits = g->chapter_address_bits;
	/*
	 * Not memory that is taken: the limit of the reference's own, which decides what overflows
	 * (8.1).
	 */
	lists->memory_bytes =
		round_up((uint64_t)(g->index_pages_per_chapter + 1) * g->page_bytes, MEMORY_UNIT);
	lists->capacity = g->records_per_chapter;
	lists->names = env_allocate(env, lists->capacity, sizeof(lists->names[0]));
	lists->record_pages = env_allocate(env, lists->capacity, sizeof(lists->record_pages[0]));
	lists->entries = env_allocate(env, lists->capacity, sizeof(lists->entries[0]));
	lists->scratch = env_allocate(env, lists->capacity, sizeof(lists->scratch[0]));
	lists->histograms = env_allocate(env, (size_t)LISTS_SORT_PASSES * LISTS_SORT_DIGITS,
					 sizeof(lists->histograms[0]));
	lists->starts = env_allocate(env, lists->list_count, sizeof(lists->starts[0]));
	lists->lengths = env_allocate(env, lists->list_count, sizeof(lists->lengths[0]));
	lists->bits = env_allocate(env, lists->list_count, sizeof(lists->bits[0]));
	if (lists->names == NULL || lists->record_pages == NULL || lists->entries == NULL ||
	    lists->scratch == NULL || lists->histograms == NULL || lists->starts == NULL ||
	    lists->lengths == NULL || lists->bits == NULL)
		return -ENOMEM;
	return 0;
}

void chapter_lists_destroy(struct chapter_lists *lists)
{
	env_release(&lists->env, lists->names);
	env_release(&lists->env, lists->record_pages);
	env_release(&lists->env, lists->entries);
	env_release(&lists->env, lists->scratch);
	env_release(&lists->env, lists->histograms);
	env_release(&lists->env, lists->starts);
	env_release(&lists->env, lists->lengths);
	env_release(&lists->env, lists->bits);
}

void chapter_lists_reset(struct chapter_lists *lists)
{
	lists->count = 0;
	lists->kept = 0;
	lists->collisions = 0;
	lists->overflows = 0;
}

void chapter_lists_put(struct chapter_lists *lists, const struct uds_record_name *name,
		       uint32_t record_page)
{
	const uint32_t number = lists->count++;
	/*
	 * The upper bits of the chapter index bits are not used: neither list nor address has them
	 * (3).
	 */
	const uint64_t mask = (UINT64_C(1) << (lists->list_bits + lists->address_bits)) - 1;

	lists->names[number] = *name;
	lists->record_pages[number] = (uint16_t)record_page;
	/* List, address and number in one word, in this order: sorting words sorts entries. */
	lists->entries[number] = (name_chapter_bits(name) & mask) << ENTRY_NUMBER_BITS | number;
}

void chapter_lists_empty(struct chapter_lists *lists, uint32_t list)
{
	const uint64_t *entries = lists->entries + lists->starts[list];
	const uint32_t count = lists->lengths[list];

	for (uint32_t i = 1; i < count; i++) {
		/*
		 * The first entry of each address is the ordinary one, all others are collision
		 * entries.
		 */
		if (entry_address(lists, entries[i]) == entry_address(lists, entries[i - 1]))
			lists->collisions--;
	}
	lists->kept -= count;
	lists->lengths[list] = 0;
	lists->bits[list] = 0;
}

void chapter_lists_write(const struct chapter_lists *lists, uint32_t list, struct bit_writer *out)
{
	const uint64_t *entries = lists->entries + lists->starts[list];
	const struct delta_code code = lists->code;
	uint32_t key = 0;

	for (uint32_t i = 0; i < lists->lengths[list]; i++) {
		const uint32_t number = entry_number(entries[i]);
		const uint32_t delta = entry_address(lists, entries[i]) - key;

		delta_put_value(out, &code, lists->record_pages[number]);
		delta_put_key(out, &code, delta);
		/* 0 at the first bit is an ordinary entry of address 0 (5). */
		if (delta == 0 && i > 0)
			delta_put_name(out, lists->names[number].bytes);
		key += delta;
	}
}
