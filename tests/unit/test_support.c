/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruments of the tests: the failing I/O, the power cuts and the failing allocator do
 * what the tests that rely on them think they do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/io.h>

#include "base/env.h"
#include "check_main.h"
#include "crash_io.h"
#include "fault_io.h"
#include "torture_env.h"

static struct fault_plan plan;

static struct uds_io *open_faulty(uint64_t bytes, uint32_t block_bytes)
{
	struct uds_io *below, *io;

	fault_plan_start(&plan);
	ck_assert_int_eq(uds_io_open_memory(bytes, block_bytes, NULL, &below), 0);
	ck_assert_int_eq(fault_io_open(&plan, below, NULL, &io), 0);
	return io;
}

START_TEST(fault_io_fails_the_nth_operation_of_its_kind)
{
	struct uds_io *io = open_faulty(4096, 1);
	char byte = 'x';

	fault_plan_fail(&plan, FAULT_WRITE, 2, -EIO, false);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, 0), 0);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, 0), 0);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, 1), -EIO);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, 2), 0);
	ck_assert_uint_eq(plan.failed, 1);
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_WRITE), 3);
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_ANY), 4);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, 1), 0);
	ck_assert_int_eq(byte, 0); /* nothing of the failed write got through */

	fault_plan_fail(&plan, FAULT_READ | FAULT_FLUSH, 2, -ENOSPC, true);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, 0), -ENOSPC);
	ck_assert_int_eq(uds_io_flush(io), -ENOSPC);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, 0), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(fault_io_lets_a_part_of_a_failed_write_through)
{
	struct uds_io *io = open_faulty(4096, 512);
	char bytes[2048];

	memset(bytes, 'a', sizeof(bytes));
	plan.partial_bytes = 1100;
	fault_plan_fail(&plan, FAULT_WRITE, 1, -EIO, false);
	ck_assert_int_eq(uds_io_write(io, bytes, 2048, 0), -EIO);
	ck_assert_int_eq(uds_io_read(io, bytes, 2048, 0), 0);
	ck_assert_int_eq(bytes[1023], 'a');
	ck_assert_int_eq(bytes[1024], 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(fault_io_runs_full_at_a_byte)
{
	struct uds_io *io = open_faulty(8192, 512);
	char bytes[2048];

	memset(bytes, 'a', sizeof(bytes));
	fault_plan_fill_after(&plan, 2048 + 700);
	ck_assert_int_eq(uds_io_write(io, bytes, 2048, 0), 0);
	ck_assert_int_eq(uds_io_write(io, bytes, 2048, 2048), -ENOSPC);
	ck_assert_int_eq(uds_io_write(io, bytes, 512, 0), -ENOSPC);
	ck_assert_int_eq(uds_io_read(io, bytes, 2048, 2048), 0);
	ck_assert_int_eq(bytes[511], 'a');
	ck_assert_int_eq(bytes[512], 0);
	fault_plan_fill_after(&plan, UINT64_MAX);
	ck_assert_int_eq(uds_io_write(io, bytes, 2048, 0), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(fault_io_counts_over_all_devices_of_a_plan)
{
	struct uds_io *first = open_faulty(512, 1), *below, *second;
	char byte = 0;

	ck_assert_int_eq(uds_io_open_memory(512, 1, NULL, &below), 0);
	ck_assert_int_eq(fault_io_open(&plan, below, NULL, &second), 0);
	fault_plan_fail(&plan, FAULT_CHANGE, 2, -ENXIO, false);
	ck_assert_int_eq(uds_io_write(first, &byte, 1, 0), 0);
	ck_assert_int_eq(uds_io_write(second, &byte, 1, 0), -ENXIO);
	fault_plan_fail(&plan, FAULT_CLOSE, 1, -EIO, false);
	ck_assert_int_eq(uds_io_close(first), -EIO);
	ck_assert_int_eq(uds_io_close(second), 0);
}
END_TEST

/* A log of a 4096-byte device full of '.', onto which 'a' to 'd' went, with a flush after 'b'. */
static struct crash_log *make_log(void)
{
	struct crash_log *log = crash_log_new();
	char first[4096], bytes[1024];
	struct uds_io *io;

	memset(first, '.', sizeof(first));
	ck_assert_int_eq(crash_log_add(log, first, sizeof(first), 512), 0);
	ck_assert_int_eq(crash_log_open(log, 0, NULL, &io), 0);
	for (int i = 0; i < 4; i++) {
		memset(bytes, 'a' + i, sizeof(bytes));
		ck_assert_int_eq(uds_io_write(io, bytes, sizeof(bytes), (uint64_t)i * 512), 0);
		if (i == 1) {
			ck_assert_int_eq(uds_io_flush(io), 0);
			crash_log_mark(log, 2);
		}
	}
	ck_assert_int_eq(uds_io_close(io), 0);
	return log;
}

/* The first byte of each of the five first sectors. */
static const char *sectors(const struct crash_log *log)
{
	static char text[6];
	const uint8_t *bytes = crash_log_bytes(log, 0, NULL);

	for (int i = 0; i < 5; i++)
		text[i] = (char)bytes[i * 512];
	return text;
}

static void check_after(struct crash_log *log, size_t cut, enum crash_variant variant,
			const char *expected)
{
	struct crash_log *after = crash_log_after(log, cut, variant, 1);

	ck_assert_str_eq(sectors(after), expected);
	crash_log_free(after);
}

START_TEST(crash_io_keeps_what_was_flushed_and_drops_what_was_not)
{
	struct crash_log *log = make_log();

	/* Events: a, b, flush, mark, c, d. */
	ck_assert_uint_eq(crash_log_events(log), 6);
	ck_assert_str_eq(sectors(log), "abcdd");
	check_after(log, 0, CRASH_KEEP, ".....");
	check_after(log, 1, CRASH_KEEP, "aa...");
	check_after(log, 2, CRASH_KEEP, "abb..");
	check_after(log, 2, CRASH_DROP, ".....");
	check_after(log, 2, CRASH_ONLY_LAST, ".bb..");
	check_after(log, 3, CRASH_DROP, "abb..");
	check_after(log, 6, CRASH_KEEP, "abcdd");
	check_after(log, 6, CRASH_DROP, "abb..");
	check_after(log, 6, CRASH_ONLY_LAST, "abbdd");
	/* Back to an earlier cut. */
	check_after(log, 1, CRASH_DROP, ".....");
	ck_assert_uint_eq(crash_log_mark_at(log, 3), 0);
	ck_assert_uint_eq(crash_log_mark_at(log, 4), 2);
	ck_assert_uint_eq(crash_log_mark_at(log, 6), 2);
	crash_log_free(log);
}
END_TEST

START_TEST(crash_io_tears_and_mixes_at_sectors_and_repeats_itself)
{
	struct crash_log *log = make_log(), *after;
	bool seen_torn[2] = { false, false }, seen[64] = { false };
	int different = 0;

	for (uint64_t seed = 0; seed < 200; seed++) {
		char first[6];
		int which;

		after = crash_log_after(log, 6, CRASH_TORN, seed);
		ck_assert(strcmp(sectors(after), "abccc") != 0);
		ck_assert_int_eq(sectors(after)[4], '.'); /* the last sector is never whole */
		seen_torn[sectors(after)[3] == 'd'] = true;
		crash_log_free(after);

		after = crash_log_after(log, 6, CRASH_SECTORS, seed);
		memcpy(first, sectors(after), 6);
		crash_log_free(after);
		after = crash_log_after(log, 6, CRASH_SECTORS, seed);
		ck_assert_str_eq(sectors(after), first);
		crash_log_free(after);
		ck_assert_int_eq(first[0], 'a');
		ck_assert_int_eq(first[1], 'b');
		which = (first[2] == 'c') + 2 * (first[3] == 'c') + 4 * (first[3] == 'd') +
			8 * (first[4] == 'd');
		different += !seen[which];
		seen[which] = true;
	}
	ck_assert(seen_torn[0] && seen_torn[1]);
	ck_assert_int_eq(different, 2 * 3 * 2);
	crash_log_free(log);
}
END_TEST

START_TEST(crash_io_sweeps_every_cut_and_says_where_it_is)
{
	struct crash_log *log = make_log(), *after;
	struct crash_sweep sweep;
	int at_last_cut = 0, points = 0;
	bool cuts[7] = { false };

	crash_sweep_start(&sweep, log, 77);
	while ((after = crash_sweep_next(&sweep)) != NULL) {
		ck_assert_uint_le(sweep.cut, 6);
		cuts[sweep.cut] = true;
		at_last_cut += sweep.cut == 6;
		points++;
		ck_assert_ptr_nonnull(strstr(sweep.text, "cut "));
		ck_assert_uint_eq(sweep.mark, sweep.cut >= 4 ? 2 : 0);
		crash_log_free(after);
	}
	for (int i = 0; i <= 6; i++)
		ck_assert_int_eq(cuts[i], i != 3); /* the flush with its mark is one */
	ck_assert_int_eq(at_last_cut, 7);	   /* all but mixed: one device */
	/* 1 at the start and after the flush, 5 with one pending write, 7 with two. */
	ck_assert_int_eq(points, 1 + 5 + 7 + 1 + 5 + 7);
	crash_log_free(log);
}
END_TEST

START_TEST(crash_io_orders_two_devices_but_flushes_each)
{
	struct crash_log *log = crash_log_new(), *after;
	struct uds_io *origin, *cow;
	int mixed = 0;

	crash_log_add(log, NULL, 512, 1);
	crash_log_add(log, NULL, 512, 1);
	ck_assert_int_eq(crash_log_open(log, 0, NULL, &origin), 0);
	ck_assert_int_eq(crash_log_open(log, 1, NULL, &cow), 0);
	ck_assert_int_eq(uds_io_write(origin, "o", 1, 0), 0);
	ck_assert_int_eq(uds_io_write(cow, "c", 1, 0), 0);
	ck_assert_int_eq(uds_io_flush(cow), 0);
	ck_assert_int_eq(uds_io_write(cow, "d", 1, 0), 0);

	after = crash_log_after(log, 4, CRASH_DROP, 0);
	ck_assert_int_eq(crash_log_bytes(after, 0, NULL)[0], 0);
	ck_assert_int_eq(crash_log_bytes(after, 1, NULL)[0], 'c');
	crash_log_free(after);
	for (uint64_t seed = 0; seed < 100; seed++) {
		after = crash_log_after(log, 4, CRASH_MIXED, seed);
		mixed |= 1 << ((crash_log_bytes(after, 0, NULL)[0] == 'o') +
			       2 * (crash_log_bytes(after, 1, NULL)[0] == 'd'));
		crash_log_free(after);
	}
	ck_assert_int_eq(mixed, 15);
	ck_assert_int_eq(uds_io_close(origin), 0);
	ck_assert_int_eq(uds_io_close(cow), 0);
	crash_log_free(log);
}
END_TEST

START_TEST(crash_io_may_lose_a_resize_with_what_lies_behind)
{
	struct crash_log *log = crash_log_new(), *after;
	struct uds_io *io;
	uint64_t size;

	crash_log_add(log, NULL, 1024, 1);
	ck_assert_int_eq(crash_log_open(log, 0, NULL, &io), 0);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 1024), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_resize(io, 2048), 0);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 1500), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	after = crash_log_after(log, 2, CRASH_ONLY_LAST, 0);
	crash_log_bytes(after, 0, &size);
	ck_assert_uint_eq(size, 1024);
	crash_log_free(after);
	after = crash_log_after(log, 2, CRASH_KEEP, 0);
	ck_assert_int_eq(crash_log_bytes(after, 0, &size)[1500], 'x');
	ck_assert_uint_eq(size, 2048);
	crash_log_free(after);
	crash_log_free(log);
}
END_TEST

START_TEST(torture_env_fails_and_counts)
{
	struct torture_env torture;
	void *a, *b, *c;

	torture_env_start(&torture);
	torture_env_fail_at(&torture, 2, false);
	a = env_allocate(&torture.env, 1, 100);
	b = env_allocate(&torture.env, 1, 100);
	c = env_allocate_aligned(&torture.env, 100, 4096);
	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_null(b);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq((uintptr_t)c % 4096, 0);
	ck_assert_uint_eq(torture.live, 2);
	ck_assert_uint_eq(torture.bytes, 200);
	ck_assert_uint_eq(torture.failed, 1);
	env_release(&torture.env, a);
	env_release(&torture.env, c);
	ck_assert_uint_eq(torture.peak, 200);
	torture_env_end(&torture);
}
END_TEST

static int allocate_three(const struct uds_env *env, void *context)
{
	void *memory[3] = { NULL, NULL, NULL };
	int r = 0;

	(*(int *)context)++;
	for (int i = 0; i < 3 && r == 0; i++) {
		memory[i] = env_allocate(env, 1, 8);
		if (memory[i] == NULL)
			r = -ENOMEM;
	}
	for (int i = 0; i < 3; i++)
		env_release(env, memory[i]);
	return r;
}

START_TEST(torture_tries_each_allocation_once_and_from_then_on)
{
	int runs = 0;

	ck_assert_uint_eq(torture_each_allocation(allocate_three, &runs, false), 3);
	ck_assert_int_eq(runs, 2 * 3 + 1);
}
END_TEST

/* How many times this process has written; -1 where the kernel does not count. */
static long writes_so_far(void)
{
	FILE *file = fopen("/proc/self/io", "r");
	char line[100];
	long writes = -1;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "syscw: %ld", &writes);
	if (file != NULL)
		fclose(file);
	return writes;
}

/* Else most of the time of tests that compare bytes in loops is spent on that. */
START_TEST(an_assertion_in_a_loop_is_written_down_once)
{
	long before = writes_so_far();

	if (before < 0)
		skip_test("no count of writes in /proc/self/io");
	for (int i = 0; i < 10000; i++) {
		ck_assert_int_eq(i, i);
		ck_assert(i >= 0);
	}
	ck_assert_int_lt(writes_so_far() - before, 1000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support");
	TCase *tc = tcase_create("support");

	tcase_add_test(tc, fault_io_fails_the_nth_operation_of_its_kind);
	tcase_add_test(tc, fault_io_lets_a_part_of_a_failed_write_through);
	tcase_add_test(tc, fault_io_runs_full_at_a_byte);
	tcase_add_test(tc, fault_io_counts_over_all_devices_of_a_plan);
	tcase_add_test(tc, crash_io_keeps_what_was_flushed_and_drops_what_was_not);
	tcase_add_test(tc, crash_io_tears_and_mixes_at_sectors_and_repeats_itself);
	tcase_add_test(tc, crash_io_sweeps_every_cut_and_says_where_it_is);
	tcase_add_test(tc, crash_io_orders_two_devices_but_flushes_each);
	tcase_add_test(tc, crash_io_may_lose_a_resize_with_what_lies_behind);
	tcase_add_test(tc, torture_env_fails_and_counts);
	tcase_add_test(tc, torture_tries_each_allocation_once_and_from_then_on);
	tcase_add_test(tc, an_assertion_in_a_loop_is_written_down_once);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
