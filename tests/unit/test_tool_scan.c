/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of uds scan: the set of what was met, and what its records can hold. */
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "scan_data.h"
#include "scan_set.h"

START_TEST(a_set_has_what_was_added_and_nothing_else)
{
	static const uint64_t firsts[] = { 0, 1, 2049, UINT64_MAX };
	struct pair_set set = { NULL, 0, 0 };
	bool *added = calloc(4 * 4096, sizeof(*added));

	ck_assert(!pair_set_has(&set, 0, 0));
	srand(7);
	for (unsigned int i = 0; i < 6000; i++) {
		unsigned int at = (unsigned int)rand() % (4 * 4096);

		ck_assert_int_eq(pair_set_add(&set, firsts[at / 4096], at % 4096), 0);
		added[at] = true;
	}
	for (unsigned int at = 0; at < 4 * 4096; at++)
		ck_assert_int_eq(pair_set_has(&set, firsts[at / 4096], at % 4096), added[at]);
	ck_assert_uint_le(set.count, 4 * 64);
	free(added);
	pair_set_free(&set);
	ck_assert(!pair_set_has(&set, 0, 0));
}
END_TEST

START_TEST(a_set_takes_pairs_from_all_over)
{
	struct pair_set set = { NULL, 0, 0 };
	uint64_t z = 1;

	for (int pass = 0; pass < 2; pass++) {
		z = 1;
		for (unsigned int i = 0; i < 50000; i++) {
			uint64_t first = z >> 60;

			z = z * UINT64_C(6364136223846793005) + 1442695040888963407;
			if (pass == 0)
				ck_assert_int_eq(pair_set_add(&set, first, z), 0);
			else
				ck_assert(pair_set_has(&set, first, z));
			ck_assert(!pair_set_has(&set, first + 16, z));
		}
	}
	ck_assert_int_eq(pair_set_add(&set, 5, UINT64_MAX), 0);
	ck_assert(pair_set_has(&set, 5, UINT64_MAX));
	ck_assert(!pair_set_has(&set, 5, UINT64_MAX - 1));
	pair_set_free(&set);
}
END_TEST

START_TEST(records_hold_the_ends_of_their_ranges)
{
	struct first_seen seen = { .scan = FIELD_MASK,
				   .inode = FIELD_MASK,
				   .block = FIELD_MASK,
				   .device = LAST_DEVICE,
				   .block_shift = 20 };
	struct uds_record_data data;
	struct first_seen back;

	encode_first_seen(&seen, &data);
	back = decode_first_seen(&data);
	ck_assert_uint_eq(back.scan, seen.scan);
	ck_assert_uint_eq(back.inode, seen.inode);
	ck_assert_uint_eq(back.block, seen.block);
	ck_assert_uint_eq(back.device, seen.device);
	ck_assert_uint_eq(back.block_shift, seen.block_shift);
}
END_TEST

START_TEST(what_records_cannot_hold_is_known)
{
	ck_assert(!scan_time_fits(0));
	ck_assert(!scan_time_fits(SCAN_EPOCH_MS - 1));
	ck_assert(scan_time_fits(SCAN_EPOCH_MS));
	ck_assert(scan_time_fits(SCAN_EPOCH_MS + FIELD_MASK));
	ck_assert(!scan_time_fits(SCAN_EPOCH_MS + FIELD_MASK + 1));
	ck_assert(!scan_time_fits(UINT64_C(2840140800000))); /* 2060 */
	ck_assert(!scan_time_fits(UINT64_MAX));
	ck_assert_uint_eq(most_file_bytes(9), UINT64_C(512) << 40);
	ck_assert_uint_eq(most_file_bytes(20), UINT64_C(1) << 60);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tool scan");
	TCase *tests = tcase_create("scan");

	tcase_add_test(tests, a_set_has_what_was_added_and_nothing_else);
	tcase_add_test(tests, a_set_takes_pairs_from_all_over);
	tcase_add_test(tests, records_hold_the_ends_of_their_ranges);
	tcase_add_test(tests, what_records_cannot_hold_is_known);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
