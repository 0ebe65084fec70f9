/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sorting and measuring the lists of a chapter index: by list and address, then each
 * list's collision entries, and the coded size of each. Hands lists that might not
 * fit to chapter_replay.c.
 */
#include "chapter/chapter_lists.h"

#include <string.h>

/* Distributes entries into scratch by one digit, then exchanges the two. */
static void distribute(struct chapter_lists *lists, uint32_t *histogram, unsigned int shift)
{
	const uint64_t *from = lists->entries;
	uint64_t *to = lists->scratch;
	uint32_t next = 0;

	/* Counts become first places; each place moves on as entries come. */
	for (uint32_t d = 0; d < LISTS_SORT_DIGITS; d++) {
		uint32_t n = histogram[d];

		histogram[d] = next;
		next += n;
	}
	for (uint32_t i = 0; i < lists->count; i++)
		to[histogram[from[i] >> shift & (LISTS_SORT_DIGITS - 1)]++] = from[i];
	lists->scratch = lists->entries;
	lists->entries = to;
}

/*
 * Sorts by list and address, least significant digits first. Entries were put in layout order and
 * the sort keeps that order among equals, so their numbers need not be sorted by.
 */
static void sort_entries(struct chapter_lists *lists)
{
	const unsigned int passes =
		(lists->list_bits + lists->address_bits + LISTS_DIGIT_BITS - 1) / LISTS_DIGIT_BITS;
	uint32_t *histograms = lists->histograms;

	memset(histograms, 0, (size_t)passes * LISTS_SORT_DIGITS * sizeof(histograms[0]));
	/* All digits are counted in one walk: the order of entries does not change their digits. */
	for (uint32_t i = 0; i < lists->count; i++) {
		uint64_t digits = lists->entries[i] >> ENTRY_NUMBER_BITS;

		for (unsigned int p = 0; p < passes; p++) {
			histograms[(size_t)p * LISTS_SORT_DIGITS +
				   (digits & (LISTS_SORT_DIGITS - 1))]++;
			digits >>= LISTS_DIGIT_BITS;
		}
	}
	for (unsigned int p = 0; p < passes; p++)
		distribute(lists, histograms + (size_t)p * LISTS_SORT_DIGITS,
			   ENTRY_NUMBER_BITS + p * LISTS_DIGIT_BITS);
}

static void find_lists(struct chapter_lists *lists)
{
	uint32_t i = 0;

	for (uint32_t list = 0; list < lists->list_count; list++) {
		/* A list without entries has a start as well, that of the next. */
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
 * Orders the collision entries of a list and adds up its size. Returns the size, or UINT64_MAX for
 * a name that occurs twice. Skips groups too large for any list: the replay handles them.
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
		/*
		 * The usual case: a list has about 64 names, and addresses of some 22 bits (4.2).
		 */
		if (extra == 0)
			continue;
		/*
		 * Quadratic, so only for groups that a list can hold; a larger one overflows, and
		 * the replay finds the names that are twice.
		 */
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
		/* At worst a list begins at the last bit of a byte. */
		bytes += (bits + 14) / 8;
		lists->bits[list] = (uint32_t)bits;
	}
	/* What the replay changes when something has to be left out. */
	lists->kept = lists->count;
	/*
	 * Only inserting one by one, as the format describes it, tells which entries are left out.
	 */
	if (overflow || bytes > lists->memory_bytes)
		return chapter_lists_replay(lists);
	return 0;
}
