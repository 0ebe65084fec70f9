/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of a device of device-mapper: reading it, and the range of what is below that
 * a range becomes.
 */
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "check_main.h"
#include "io/device_mapper.h"

#ifdef HAVE_LINUX_FS_H
#include <linux/dm-ioctl.h>

static union {
	struct dm_ioctl header;
	char bytes[16384];
} answer;
static struct dm_linear targets[DM_LINEAR_MAX];

/* Adds a target at this distance from the first one's place; the next follows at @next. */
static void put_target(size_t at, size_t next, const char *type, uint64_t begin, uint64_t length,
		       const char *words)
{
	struct dm_target_spec spec;

	memset(&spec, 0, sizeof(spec));
	spec.sector_start = begin;
	spec.length = length;
	spec.next = (uint32_t)next;
	memcpy(spec.target_type, type, strlen(type));
	at += answer.header.data_start;
	memcpy(answer.bytes + at, &spec, sizeof(spec));
	strcpy(answer.bytes + at + sizeof(spec), words);
}

static void begin_answer(uint32_t count)
{
	memset(&answer, 0, sizeof(answer));
	answer.header.data_start = sizeof(answer.header);
	answer.header.target_count = count;
}

static int parse(size_t length)
{
	memset(targets, 0xff, sizeof(targets));
	return dm_parse_linear(&answer, length, targets);
}

START_TEST(linear_targets_are_read)
{
	begin_answer(2);
	put_target(0, 104, "linear", 0, 2048, "8:17 384");
	put_target(104, 208, "linear", 2048, 8, "259:3 5000000000");
	ck_assert_int_eq(parse(sizeof(answer)), 2);
	ck_assert_uint_eq(targets[0].begin, 0);
	ck_assert_uint_eq(targets[0].length, 1 << 20);
	ck_assert_uint_eq(targets[0].device, makedev(8, 17));
	ck_assert_uint_eq(targets[0].offset, 384 * 512);
	ck_assert_uint_eq(targets[1].begin, 1 << 20);
	ck_assert_uint_eq(targets[1].length, 4096);
	ck_assert_uint_eq(targets[1].device, makedev(259, 3));
	ck_assert_uint_eq(targets[1].offset, UINT64_C(5000000000) * 512);
	begin_answer(0);
	ck_assert_int_eq(parse(sizeof(answer)), 0);
}
END_TEST

START_TEST(tables_that_are_not_linear_all_through_are_not_followed)
{
	static const char *const types[] = { "snapshot", "linea", "linear2", "" };
	static const char *const words[] = { "", "8:17", "8:17 x", "8 17 384", "nothing" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		begin_answer(2);
		put_target(0, 104, "linear", 0, 8, "8:17 0");
		put_target(104, 208, types[i], 8, 8, "8:17 384");
		ck_assert_int_eq(parse(sizeof(answer)), 0);
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		begin_answer(1);
		put_target(0, 104, "linear", 0, 8, words[i]);
		ck_assert_int_eq(parse(sizeof(answer)), 0);
	}
}
END_TEST

/* What is behind the answer's end would make a target: it is none of it. */
START_TEST(targets_must_lie_in_the_answer)
{
	size_t end = sizeof(answer.header) + sizeof(struct dm_target_spec);

	begin_answer(1);
	put_target(0, 104, "linear", 0, 8, "8:17 0");
	ck_assert_int_eq(parse(end + 1), 1);
	ck_assert_int_eq(parse(end), 0);
	ck_assert_int_eq(parse(end - 1), 0);
	ck_assert_int_eq(parse(sizeof(answer.header) + 1), 0);
	ck_assert_int_eq(parse(sizeof(answer.header)), 0);
	answer.header.data_start = UINT32_MAX;
	ck_assert_int_eq(parse(sizeof(answer)), 0);
}
END_TEST

START_TEST(so_many_targets_are_read_and_no_more)
{
	for (uint32_t count = DM_LINEAR_MAX; count <= DM_LINEAR_MAX + 1; count++) {
		begin_answer(count);
		for (uint32_t i = 0; i < count; i++)
			put_target(i * (size_t)64, (i + 1) * (size_t)64, "linear", i * UINT64_C(8),
				   8, "8:17 1");
		ck_assert_int_eq(parse(sizeof(answer)), count == DM_LINEAR_MAX ? (int)count : 0);
	}
}
END_TEST
#endif

/* A target that holds bytes 1000 to 1499 of the device, at 70000 of the one below. */
static const struct {
	uint64_t offset, length;
	uint64_t below, below_length; /* 0: nothing is there */
} ranges[] = {
	{ 0, 1000, 0, 0 },	    { 0, 1001, 70000, 1 },	   { 900, 200, 70000, 100 },
	{ 999, 2, 70000, 1 },	    { 1000, 1, 70000, 1 },	   { 1000, 500, 70000, 500 },
	{ 1001, 10, 70001, 10 },    { 1001, 499, 70001, 499 },	   { 1001, 500, 70001, 499 },
	{ 1499, 1, 70499, 1 },	    { 1499, 7, 70499, 1 },	   { 1500, 1, 0, 0 },
	{ 2000, UINT64_MAX, 0, 0 }, { 0, UINT64_MAX, 70000, 500 }, { 1100, UINT64_MAX, 70100, 400 },
	{ 1100, 0, 0, 0 },
};

START_TEST(a_range_becomes_one_of_the_device_below)
{
	struct dm_linear target = { .begin = 1000, .length = 500, .offset = 70000 };
	uint64_t offset = 1, length = 2;

	if (ranges[_i].below_length == 0) {
		ck_assert(!dm_through_linear(&target, ranges[_i].offset, ranges[_i].length, &offset,
					     &length));
		ck_assert(offset == 1 && length == 2);
		return;
	}
	ck_assert(
		dm_through_linear(&target, ranges[_i].offset, ranges[_i].length, &offset, &length));
	ck_assert_uint_eq(offset, ranges[_i].below);
	ck_assert_uint_eq(length, ranges[_i].below_length);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device mapper");
	TCase *tc = tcase_create("device mapper");

#ifdef HAVE_LINUX_FS_H
	tcase_add_test(tc, linear_targets_are_read);
	tcase_add_test(tc, tables_that_are_not_linear_all_through_are_not_followed);
	tcase_add_test(tc, targets_must_lie_in_the_answer);
	tcase_add_test(tc, so_many_targets_are_read_and_no_more);
#endif
	tcase_add_loop_test(tc, a_range_becomes_one_of_the_device_below, 0,
			    sizeof(ranges) / sizeof(ranges[0]));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
