/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entries that leave a list, and records merged with the others: the fast forms beside the portable
 * ones, and those beside the plainest way.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "check_main.h"
#include "geometry/geometry.h"
#include "vector_file.h"
#include "volume_index/list_entries.h"
#include "volume_index/list_planes.h"

#define ADDRESS_BITS 20u
#define CHAPTERS     64u
#define FIRST	     UINT64_C(1000)
#define MOST	     3000u

struct arrays {
	uint32_t keys[MOST + LIST_SPARE_ENTRIES], values[MOST + LIST_SPARE_ENTRIES];
};

static struct list_shape shape;
static struct geometry geometry;
static struct additions *additions;

static void make_shape(unsigned int chapter_bits)
{
	memset(&shape, 0, sizeof(shape));
	ck_assert_int_eq(delta_code_make(4096, chapter_bits, &shape.code), 0);
	shape.chapter_mask = (UINT64_C(1) << chapter_bits) - 1;
	shape.parameters.address_bits = ADDRESS_BITS;
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Sorted numbers below @limit, some of them close to each other. Returns how many are different. */
static uint32_t make_numbers(uint64_t *numbers, uint32_t count, uint64_t limit, uint64_t seed)
{
	uint32_t different = 0;

	for (uint32_t i = 0; i < count; i++)
		numbers[i] = i % 5 == 4 ? (numbers[i - 1] + 1) % limit : splitmix(seed, i) % limit;
	qsort(numbers, count, sizeof(*numbers), compare);
	for (uint32_t i = 0; i < count; i++) {
		if (different == 0 || numbers[different - 1] != numbers[i])
			numbers[different++] = numbers[i];
	}
	return different;
}

static struct list_entries make_entries(struct arrays *arrays, uint32_t count, uint64_t seed)
{
	static uint64_t keys[MOST];
	struct list_entries entries = { arrays->keys, arrays->values, 0 };

	/* What is behind them is no part of it. */
	memset(arrays, 0xee, sizeof(*arrays));
	entries.count = make_numbers(keys, count, UINT64_C(1) << ADDRESS_BITS, seed);
	for (uint32_t i = 0; i < entries.count; i++) {
		entries.keys[i] = (uint32_t)keys[i];
		entries.values[i] = (uint32_t)(splitmix(~seed, i) & shape.chapter_mask);
	}
	return entries;
}

typedef void leave_out_fn(const struct list_shape *of, const struct list_entries *entries,
			  const struct list_leavers *leavers, struct list_entries *kept,
			  struct list_left *ret_left);

static void check_left_by(leave_out_fn *leave_out, const struct list_entries *entries,
			  const struct list_leavers *leavers)
{
	static struct arrays arrays;
	struct list_entries kept = { arrays.keys, arrays.values, 0 };
	struct list_left left;
	uint32_t stale = 0, dropped = 0, count = 0;
	uint64_t nearest = shape.chapter_mask;

	leave_out(&shape, entries, leavers, &kept, &left);
	for (uint32_t i = 0; i < entries->count; i++) {
		const uint64_t distance = (entries->values[i] - leavers->from) & shape.chapter_mask;

		if (distance < leavers->stale) {
			stale++;
		} else if (entries->values[i] == leavers->dropped) {
			dropped++;
		} else {
			ck_assert_uint_eq(kept.keys[count], entries->keys[i]);
			ck_assert_uint_eq(kept.values[count], entries->values[i]);
			nearest = distance < nearest ? distance : nearest;
			count++;
		}
	}
	ck_assert_uint_eq(kept.count, count);
	ck_assert_uint_eq(left.stale, stale);
	ck_assert_uint_eq(left.dropped, dropped);
	ck_assert_uint_eq(left.nearest, nearest);
}

START_TEST(entries_leave_alike_in_both_forms)
{
	static const unsigned int widths[] = { 1, 3, 8, 10, 14 };
	static struct arrays arrays;

	for (uint64_t round = 0; round < 3000; round++) {
		struct list_entries entries;
		struct list_leavers leavers;
		uint64_t r = splitmix(1, round);

		make_shape(widths[round % 5]);
		entries = make_entries(&arrays, (uint32_t)(round % 300), round);
		leavers.from = r % 7 == 0 ? 0 : FIRST + (r >> 8) % 5000;
		/* None; some; all, which is one more than the largest distance. */
		leavers.stale = r % 5 == 0 ? 0 : (r >> 24) % (shape.chapter_mask + 2);
		leavers.stale = r % 11 == 0 ? shape.chapter_mask + 1 : leavers.stale;
		leavers.dropped = r % 3 == 0 ? UINT64_MAX : (r >> 40) & shape.chapter_mask;
		check_left_by(list_entries_leave_out, &entries, &leavers);
		check_left_by(list_entries_leave_out_portably, &entries, &leavers);
	}
}
END_TEST

/* As additions.c has them: address, chapter, number. */
static uint64_t pack(uint64_t address, uint64_t chapter)
{
	return (address << bits_per(CHAPTERS) | chapter) << bits_per(geometry.records_per_chapter);
}

typedef uint32_t merge_fn(const struct list_shape *of, const struct list_entries *entries,
			  const struct additions *with, const uint64_t *records, uint64_t low,
			  const struct list_entries *merged);

/* What is expected: all of both in order, or nothing. */
static void check_merged_by(merge_fn *merge, const struct list_entries *entries,
			    const uint64_t *records, uint32_t count, uint64_t low)
{
	static struct arrays arrays;
	const struct list_entries merged = { arrays.keys, arrays.values, entries->count + count };
	const uint32_t bits = merge(&shape, entries, additions, records, low, &merged);
	uint32_t at = 0, last = 0, i = 0;
	uint64_t expected = 0;
	bool takes = true;

	for (uint32_t n = 0; n < merged.count; n++) {
		const struct addition next =
			i < count ? additions_read(additions, records[i]) : (struct addition){ 0 };
		const bool is_new =
			at == entries->count || (i < count && next.address < entries->keys[at]);
		const uint32_t key = is_new ? next.address : entries->keys[at];
		const uint32_t value =
			is_new ? (uint32_t)(next.vcn & shape.chapter_mask) : entries->values[at];

		takes = takes && (n == 0 || key > last) && (!is_new || next.vcn >= low);
		expected += delta_ordinary_bits(&shape.code, key - last);
		last = key;
		if (bits > 0) {
			ck_assert_uint_eq(merged.keys[n], key);
			ck_assert_uint_eq(merged.values[n], value);
		}
		i += is_new;
		at += !is_new;
	}
	takes = takes && expected <= DELTA_LIST_MAX_BITS;
	ck_assert_uint_eq(bits, takes ? expected : 0);
}

START_TEST(records_are_merged_alike_in_both_forms)
{
	static struct arrays arrays;
	static uint64_t records[MOST];

	make_shape(10);
	for (uint64_t round = 0; round < 3000; round++) {
		const uint64_t r = splitmix(2, round);
		const uint32_t entries_count = (uint32_t)(r % 9 == 0 ? r >> 8 & 7 : (r >> 8) % 300);
		/* Sometimes so many that the list is too long, by a little or by far. */
		uint32_t count =
			(uint32_t)(round % 50 == 0 ? 2300 + round / 50 * 10 : (r >> 20) % 40);
		const struct list_entries entries = make_entries(&arrays, entries_count, round);

		count = make_numbers(records, count, UINT64_C(1) << ADDRESS_BITS, ~round);
		for (uint32_t i = 0; i < count; i++)
			records[i] = pack(records[i], splitmix(r, i) % CHAPTERS);
		/* An address twice: among the records, or among both. */
		if (r % 10 == 1 && count > 1)
			records[count - 1] =
				pack(additions_read(additions, records[count - 2]).address, 1) | 1;
		if (r % 10 == 2 && count > 0 && entries.count > 0)
			records[0] = pack(entries.keys[0], 1);
		qsort(records, count, sizeof(*records), compare);
		check_merged_by(list_entries_merge, &entries, records, count,
				r % 10 == 3 ? FIRST + 3 : 0);
		check_merged_by(list_entries_merge_portably, &entries, records, count,
				r % 10 == 3 ? FIRST + 3 : 0);
	}
}
END_TEST

static void set_up(void)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_env env;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 2;
	c.chapters_per_volume = CHAPTERS;
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	ck_assert_int_eq(env_take(NULL, NULL, &env), 0);
	additions = additions_make(&env, &geometry, 1, FIRST, CHAPTERS);
	ck_assert_ptr_nonnull(additions);
}

static void tear_down(void)
{
	additions_free(additions);
}

int main(void)
{
	Suite *suite = suite_create("list_entries");
	TCase *tc = tcase_create("list_entries");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, entries_leave_alike_in_both_forms);
	tcase_add_test(tc, records_are_merged_alike_in_both_forms);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
