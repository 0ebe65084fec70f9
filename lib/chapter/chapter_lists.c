/* SPDX-License-Identifier: BSD-2-Clause */
/* Collecting, sorting, measuring and writing the lists of a chapter index. */
#include "chapter/chapter_lists.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "geometry/name_bits.h"

/* Bits per pass of the radix sort. */
#define DIGIT_BITS 11
#define DIGITS	   (1u << DIGIT_BITS)

/* List and address have at most 15 + 22 bits. */
#define MAXIMUM_PASSES 4

/* The format's memory for lists is a multiple of this. */
#define MEMORY_UNIT 65536u

int chapter_lists_init(struct chapter_lists *lists, const struct uds_env *env,
		       const struct geometry *g)
{
	memset(lists, 0, sizeof(*lists));
	lists->env = *env;
	delta_code_parameters(g->chapter_mean_delta, g->chapter_payload_bits, &lists->code);
	lists->list_count = g->delta_lists_per_chapter;
	lists->list_bits = g->chapter_delta_list_bits;
	lists->address_bits = g->chapter_address_bits;
	lists->memory_bytes =
		round_up((uint64_t)(g->index_pages_per_chapter + 1) * g->page_bytes, MEMORY_UNIT);
	lists->capacity = g->records_per_chapter;
	lists->names = env_allocate(env, lists->capacity, sizeof(lists->names[0]));
	lists->record_pages = env_allocate(env, lists->capacity, sizeof(lists->record_pages[0]));
	lists->entries = env_allocate(env, lists->capacity, sizeof(lists->entries[0]));
	lists->scratch = env_allocate(env, lists->capacity, sizeof(lists->scratch[0]));
	lists->histograms =
		env_allocate(env, MAXIMUM_PASSES * DIGITS, sizeof(lists->histograms[0]));
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
	const uint64_t mask = (UINT64_C(1) << (lists->list_bits + lists->address_bits)) - 1;

	lists->names[number] = *name;
	lists->record_pages[number] = (uint16_t)record_page;
	lists->entries[number] = (name_chapter_bits(name) & mask) << ENTRY_NUMBER_BITS | number;
}

/* Distributes entries into scratch by one digit, then exchanges the two. */
static void distribute(struct chapter_lists *lists, uint32_t *histogram, unsigned int shift)
{
	const uint64_t *from = lists->entries;
	uint64_t *to = lists->scratch;
	uint32_t next = 0;

	for (uint32_t d = 0; d < DIGITS; d++) {
		uint32_t n = histogram[d];

		histogram[d] = next;
		next += n;
	}
	for (uint32_t i = 0; i < lists->count; i++)
		to[histogram[from[i] >> shift & (DIGITS - 1)]++] = from[i];
	lists->scratch = lists->entries;
	lists->entries = to;
}

/*
 * Sorts by list and address, least significant digits first. Entries were put in layout order and the
 * sort keeps that order among equals, so their numbers need not be sorted by.
 */
static void sort_entries(struct chapter_lists *lists)
{
	const unsigned int passes =
		(lists->list_bits + lists->address_bits + DIGIT_BITS - 1) / DIGIT_BITS;
	uint32_t *histograms = lists->histograms;

	memset(histograms, 0, passes * DIGITS * sizeof(histograms[0]));
	for (uint32_t i = 0; i < lists->count; i++) {
		uint64_t digits = lists->entries[i] >> ENTRY_NUMBER_BITS;

		for (unsigned int p = 0; p < passes; p++) {
			histograms[p * DIGITS + (digits & (DIGITS - 1))]++;
			digits >>= DIGIT_BITS;
		}
	}
	for (unsigned int p = 0; p < passes; p++)
		distribute(lists, histograms + p * DIGITS, ENTRY_NUMBER_BITS + p * DIGIT_BITS);
}

static void find_lists(struct chapter_lists *lists)
{
	uint32_t i = 0;

	for (uint32_t list = 0; list < lists->list_count; list++) {
		lists->starts[list] = i;
		while (i < lists->count && entry_list(lists, lists->entries[i]) == list)
			i++;
		lists->lengths[list] = i - lists->starts[list];
	}
}

static bool has_duplicate(const struct chapter_lists *lists, const uint64_t *group, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		const struct uds_record_name *name = &lists->names[entry_number(group[i])];

		for (uint32_t j = 0; j < i; j++) {
			if (memcmp(name, &lists->names[entry_number(group[j])], UDS_NAME_BYTES) ==
			    0)
				return true;
		}
	}
	return false;
}

/* From layout order to list order: the first entry stays first, the newest follows it. */
static void reverse(uint64_t *entries, uint32_t count)
{
	for (uint32_t i = 0, j = count; i + 1 < j; i++) {
		uint64_t entry = entries[i];

		entries[i] = entries[--j];
		entries[j] = entry;
	}
}

/*
 * Orders the collision entries of a list and adds up its size. Returns the size, or UINT64_MAX for a name
 * that occurs twice. Skips groups too large for any list: the replay handles them.
 */
static uint64_t measure_list(struct chapter_lists *lists, uint32_t list)
{
	uint64_t *entries = lists->entries + lists->starts[list];
	const uint32_t count = lists->lengths[list];
	const unsigned int collision_bits = delta_collision_bits(&lists->code);
	uint32_t key = 0, next;
	uint64_t bits = 0;

	for (uint32_t i = 0; i < count; i = next) {
		const uint32_t address = entry_address(lists, entries[i]);
		uint32_t extra;

		next = i + 1;
		while (next < count && entry_address(lists, entries[next]) == address)
			next++;
		extra = next - i - 1;
		bits += delta_ordinary_bits(&lists->code, address - key);
		bits += (uint64_t)extra * collision_bits;
		key = address;
		if (extra == 0)
			continue;
		if ((uint64_t)extra * collision_bits <= DELTA_LIST_MAX_BITS &&
		    has_duplicate(lists, entries + i, extra + 1))
			return UINT64_MAX;
		reverse(entries + i + 1, extra);
		lists->collisions += extra;
	}
	return bits;
}

int chapter_lists_sort(struct chapter_lists *lists)
{
	/* What the format's arrangement can take at most: see zone_memory.h. */
	uint64_t bytes = 7 + 64;
	bool overflow = false;

	sort_entries(lists);
	find_lists(lists);
	for (uint32_t list = 0; list < lists->list_count; list++) {
		uint64_t bits = measure_list(lists, list);

		if (bits == UINT64_MAX)
			return UDS_ERR_DUPLICATE_NAME;
		if (bits > DELTA_LIST_MAX_BITS)
			overflow = true;
		bytes += (bits + 14) / 8;
		lists->bits[list] = (uint32_t)bits;
	}
	lists->kept = lists->count;
	if (overflow || bytes > lists->memory_bytes)
		return chapter_lists_replay(lists);
	return 0;
}

void chapter_lists_empty(struct chapter_lists *lists, uint32_t list)
{
	const uint64_t *entries = lists->entries + lists->starts[list];
	const uint32_t count = lists->lengths[list];

	for (uint32_t i = 1; i < count; i++) {
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
		if (delta == 0 && i > 0)
			delta_put_name(out, lists->names[number].bytes);
		key += delta;
	}
}
