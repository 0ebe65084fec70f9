/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruments of the tests: the failing I/O and the failing allocator do
 * what the tests that rely on them think they do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/io.h>

#include "base/env.h"
#include "check_main.h"
#include "fault_io.h"
#include "torture_env.h"

static struct fault_plan plan;

static struct uds_io *open_faulty(uint64_t bytes, uint32_t block_bytes)
{
	struct uds_io *below, *io;

	fault_plan_start(&plan);
	ck_assert_int_eq(uds_io_open_memory(bytes, block_bytes, NULL, NULL, &below), 0);
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

	ck_assert_int_eq(uds_io_open_memory(512, 1, NULL, NULL, &below), 0);
	ck_assert_int_eq(fault_io_open(&plan, below, NULL, &second), 0);
	fault_plan_fail(&plan, FAULT_CHANGE, 2, -ENXIO, false);
	ck_assert_int_eq(uds_io_write(first, &byte, 1, 0), 0);
	ck_assert_int_eq(uds_io_write(second, &byte, 1, 0), -ENXIO);
	fault_plan_fail(&plan, FAULT_CLOSE, 1, -EIO, false);
	ck_assert_int_eq(uds_io_close(first), -EIO);
	ck_assert_int_eq(uds_io_close(second), 0);
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

/* With a scale, which is put back: tests may share a process. */
static int runs_of_torture(const char *scale)
{
	const char *text = getenv("UDS_TEST_SCALE");
	char *old = text == NULL ? NULL : strdup(text);
	int runs = 0;

	setenv("UDS_TEST_SCALE", scale, 1);
	ck_assert_uint_eq(torture_each_allocation(allocate_three, &runs, false), 3);
	if (old == NULL)
		unsetenv("UDS_TEST_SCALE");
	else
		setenv("UDS_TEST_SCALE", old, 1);
	free(old);
	return runs;
}

START_TEST(torture_tries_each_allocation_once_and_from_then_on)
{
	ck_assert_int_eq(runs_of_torture("1"), 2 * 3 + 1);
	ck_assert_int_eq(runs_of_torture("20"), 2 * 3 + 1);
}
END_TEST

START_TEST(torture_in_part_tries_some_allocations_and_one_run_without_failures)
{
	int runs = runs_of_torture("0.1");

	ck_assert_int_ge(runs, 2 * 1 + 1);
	ck_assert_int_le(runs, 2 * 3 + 1);
	ck_assert_int_eq(runs % 2, 1);
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
	tcase_add_test(tc, torture_env_fails_and_counts);
	tcase_add_test(tc, torture_tries_each_allocation_once_and_from_then_on);
	tcase_add_test(tc, torture_in_part_tries_some_allocations_and_one_run_without_failures);
	tcase_add_test(tc, an_assertion_in_a_loop_is_written_down_once);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
