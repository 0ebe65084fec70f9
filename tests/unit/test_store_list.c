/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of an exception store where it is easily got wrong: after a write of an area that failed
 * when it was through, with chunks that are named twice, and when a merge is left half way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uds/engine.h>
#include <uds/exception_store.h>
#include <uds/snapshot.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "snap_image.h"

#define CHUNK	 16384u
#define PER_AREA (CHUNK / 16)
#define CHUNKS	 1500u

struct fixture {
	struct fault_plan plan;
	struct uds_io *cow;
	struct uds_exception_store *store;
};

static void open_store(struct fixture *f)
{
	ck_assert_int_eq(uds_exception_store_open(f->cow, NULL, NULL, &f->store), 0);
}

static void setup(struct fixture *f)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_io *io;

	fault_plan_start(&f->plan);
	create.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_io_open_memory(CHUNKS * CHUNK, 512, NULL, NULL, &io), 0);
	ck_assert_int_eq(fault_io_open(&f->plan, io, NULL, &f->cow), 0);
	ck_assert_int_eq(uds_exception_store_format(f->cow, &create, NULL), 0);
	open_store(f);
}

static void teardown(struct fixture *f)
{
	uds_exception_store_close(f->store);
	uds_io_close(f->cow);
	fault_plan_end(&f->plan);
}

/* Makes exceptions for old chunks [first, first + count), without data. */
static int commit(struct fixture *f, uint64_t first, size_t count)
{
	struct uds_exception *e = malloc(count * sizeof(*e));
	int r;

	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(uds_exception_store_prepare(f->store, first + i, &e[i]), 0);
	r = uds_exception_store_commit(f->store, e, count);
	free(e);
	return r;
}

static uint64_t exceptions(struct fixture *f)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;

	ck_assert_int_eq(uds_exception_store_get_status(f->store, &status), 0);
	return status.exceptions;
}

/* How many entries of area 0 on the device are not zero. */
static unsigned int entries_on_device(struct fixture *f)
{
	uint8_t *area = aligned_alloc(4096, CHUNK);
	unsigned int count = 0;

	ck_assert_int_eq(uds_io_read(f->cow, area, CHUNK, CHUNK), 0);
	for (unsigned int i = 0; i < PER_AREA; i++)
		count += get_le64(area + 16 * i + 8) != 0;
	free(area);
	return count;
}

/* Loop: the write or the flush after it is said to have failed. */
START_TEST(an_area_that_failed_is_written_whole_by_the_next_commit)
{
	struct fixture f;

	setup(&f);
	/* All of it arrives, and nobody is told so. */
	f.plan.partial_bytes = SIZE_MAX;
	fault_plan_fail(&f.plan, _i == 0 ? FAULT_WRITE : FAULT_FLUSH, _i == 0 ? 1 : 2, -EIO, false);
	ck_assert_int_eq(commit(&f, 0, 600), -EIO);
	ck_assert_uint_eq(f.plan.failed, 1);
	ck_assert_uint_eq(entries_on_device(&f), 600);
	ck_assert_uint_eq(exceptions(&f), 0);
	/* One entry needs one sector; behind it nothing of the others may stay. */
	ck_assert_int_eq(commit(&f, 5000, 1), 0);
	ck_assert_uint_eq(entries_on_device(&f), 1);
	/* The list grows over the place where the others were, and stops where it ends. */
	ck_assert_int_eq(commit(&f, 6000, 40), 0);
	ck_assert_int_eq(uds_exception_store_close(f.store), 0);
	open_store(&f);
	ck_assert_uint_eq(exceptions(&f), 41);
	ck_assert_int_eq(uds_exception_store_lookup(f.store, 3, &(uint64_t){ 0 }, NULL), 0);
	teardown(&f);
}
END_TEST

struct pair {
	uint64_t old, new;
};

static void plant(struct fixture *f, const struct pair *pairs, size_t count)
{
	uint8_t *area = aligned_alloc(4096, CHUNK);

	memset(area, 0, CHUNK);
	for (size_t i = 0; i < count; i++) {
		put_le64(area + 16 * i, pairs[i].old);
		put_le64(area + 16 * i + 8, pairs[i].new);
	}
	ck_assert_int_eq(uds_exception_store_close(f->store), 0);
	ck_assert_int_eq(uds_io_write(f->cow, area, CHUNK, CHUNK), 0);
	free(area);
	open_store(f);
}

static int count_entry(void *context, uint64_t area, uint64_t index, const struct uds_exception *e)
{
	(void)area, (void)index, (void)e;
	++*(uint64_t *)context;
	return 0;
}

START_TEST(an_area_that_is_cut_while_the_store_is_open_is_named)
{
	struct uds_message message = { "" };
	uint8_t sector[512];
	uint64_t count = 0, last = 2 * CHUNK - sizeof(sector);
	struct fixture f;

	setup(&f);
	ck_assert_int_eq(commit(&f, 0, PER_AREA + 5), 0);
	ck_assert_int_eq(uds_exception_store_for_each_entry(f.store, count_entry, &count), 0);
	ck_assert_uint_eq(count, PER_AREA + 5);
	ck_assert_int_eq(uds_io_read(f.cow, sector, sizeof(sector), last), 0);
	memset(sector + sizeof(sector) - 16, 0, 16);
	ck_assert_int_eq(uds_io_write(f.cow, sector, sizeof(sector), last), 0);
	ck_assert_int_eq(uds_exception_store_for_each_entry(f.store, count_entry, &count),
			 UDS_ERR_CORRUPT);
	uds_exception_store_error_message(f.store, &message);
	ck_assert_msg(strstr(message.text, "area 0 was full when the store was opened") != NULL,
		      "%s", message.text);
	teardown(&f);
}
END_TEST

START_TEST(a_large_header_chunk_is_not_written_on_after_a_failure)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct fault_plan plan;
	struct uds_io *io, *cow;

	/* In pieces of a MiB. */
	create.chunk_bytes = 4 << 20;
	fault_plan_start(&plan);
	ck_assert_int_eq(uds_io_open_memory(UINT64_C(16) << 20, 512, NULL, NULL, &io), 0);
	ck_assert_int_eq(fault_io_open(&plan, io, NULL, &cow), 0);
	fault_plan_fail(&plan, FAULT_WRITE, 2, -EIO, false);
	ck_assert_int_eq(uds_exception_store_format(cow, &create, NULL), -EIO);
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_WRITE), 2);
	ck_assert_int_eq(uds_io_close(cow), 0);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(one_new_chunk_for_two_old_ones_in_a_row_is_damage)
{
	static const struct pair pairs[] = { { 10, 2 }, { 20, 3 }, { 30, 3 }, { 40, 4 } };
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct uds_exception_store_options strict = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store *refused;
	struct uds_exception e;
	struct fixture f;

	setup(&f);
	plant(&f, pairs, 4);
	uds_exception_store_get_status(f.store, &status);
	ck_assert_uint_eq(status.new_twice, 1);
	ck_assert_uint_eq(status.unordered, 1);
	ck_assert_int_eq(status.state, UDS_STORE_DAMAGED);
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 50, &e), UDS_ERR_CORRUPT);
	strict.strict = true;
	ck_assert_int_eq(uds_exception_store_open(f.cow, &strict, NULL, &refused), UDS_ERR_CORRUPT);
	teardown(&f);
}
END_TEST

START_TEST(the_first_of_two_entries_counts_also_against_a_run)
{
	/* The run of 8 to 10 begins below 9, which stood before it. */
	static const struct pair pairs[] = { { 9, 2 },	{ 8, 3 },  { 9, 4 }, { 10, 5 },
					     { 20, 6 }, { 21, 7 }, { 21, 8 } };
	static const struct pair right[] = { { 8, 3 }, { 9, 2 }, { 10, 5 }, { 20, 6 }, { 21, 7 } };
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct fixture f;
	uint64_t new;

	setup(&f);
	plant(&f, pairs, 7);
	for (size_t i = 0; i < 5; i++) {
		ck_assert_int_eq(uds_exception_store_lookup(f.store, right[i].old, &new, NULL), 1);
		ck_assert_uint_eq(new, right[i].new);
	}
	uds_exception_store_get_status(f.store, &status);
	ck_assert_uint_eq(status.exceptions, 7);
	ck_assert_uint_eq(status.old_twice, 2);
	ck_assert_uint_eq(status.new_twice, 0);
	teardown(&f);
}
END_TEST

/*
 * Pairs that stand there several times, in no order: each stays in force until the last of its
 * entries is off.
 */
START_TEST(a_pair_is_in_force_as_long_as_one_entry_of_it_is_there)
{
	static const struct pair pairs[] = {
		{ 10, 2 }, { 50, 3 }, { 30, 4 }, { 90, 5 }, { 70, 6 }, { 90, 5 },
		{ 10, 2 }, { 70, 6 }, { 50, 3 }, { 70, 6 }, { 30, 4 }, { 10, 2 },
		{ 90, 5 }, { 10, 2 }, { 20, 7 }, { 30, 4 },
	};
	const size_t count = sizeof(pairs) / sizeof(pairs[0]);
	struct fixture f;

	setup(&f);
	plant(&f, pairs, count);
	for (size_t left = count; left > 0; left--) {
		struct uds_exception last;
		uint64_t run, new;

		for (size_t i = 0; i < count; i++) {
			bool there = false;

			for (size_t j = 0; j < left; j++)
				there = there || pairs[j].old == pairs[i].old;
			ck_assert_int_eq(
				uds_exception_store_lookup(f.store, pairs[i].old, &new, NULL),
				there);
			ck_assert(!there || new == pairs[i].new);
		}
		ck_assert_int_eq(uds_exception_store_prepare_merge(f.store, &last, &run), 0);
		ck_assert_uint_eq(last.old_chunk, pairs[left - 1].old);
		ck_assert_int_eq(uds_exception_store_commit_merge(f.store, 1), 0);
	}
	ck_assert_uint_eq(exceptions(&f), 0);
	teardown(&f);
}
END_TEST

START_TEST(a_merge_that_is_ended_gives_its_places_back)
{
	struct uds_exception last, e;
	struct fixture f;
	uint64_t count;

	setup(&f);
	ck_assert_int_eq(uds_exception_store_end_merge(f.store), 0); /* none has begun */
	ck_assert_int_eq(commit(&f, 100, 10), 0);
	ck_assert_int_eq(uds_exception_store_prepare_merge(f.store, &last, &count), 0);
	ck_assert_uint_eq(count, 10);
	ck_assert_uint_eq(last.new_chunk, 11);
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 500, &e), UDS_ERR_BAD_STATE);
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, 4), 0);
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 500, &e), UDS_ERR_BAD_STATE);
	ck_assert_int_eq(uds_exception_store_prepare_merge(f.store, &last, &count), 0);
	ck_assert_int_eq(uds_exception_store_end_merge(f.store), 0);
	/* What was prepared is so no longer; new exceptions go where the merged ones were. */
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, 1), UDS_ERR_BAD_STATE);
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 500, &e), 0);
	ck_assert_uint_eq(e.new_chunk, 8);
	ck_assert_int_eq(uds_exception_store_commit(f.store, &e, 1), 0);
	ck_assert_int_eq(uds_exception_store_end_merge(f.store), 0);
	ck_assert_uint_eq(exceptions(&f), 7);
	ck_assert_int_eq(uds_exception_store_close(f.store), 0);
	open_store(&f);
	ck_assert_uint_eq(exceptions(&f), 7);
	ck_assert_int_eq(uds_exception_store_lookup(f.store, 500, &count, NULL), 1);
	ck_assert_uint_eq(count, 8);
	teardown(&f);
}
END_TEST

/* An area whose clearing failed is written again first; when that fails too, the merge goes on. */
START_TEST(ending_a_merge_settles_what_failed_or_says_so)
{
	struct uds_exception last, e;
	struct fixture f;
	uint64_t count;

	setup(&f);
	ck_assert_int_eq(commit(&f, 100, 10), 0);
	ck_assert_int_eq(uds_exception_store_prepare_merge(f.store, &last, &count), 0);
	f.plan.partial_bytes = SIZE_MAX;
	fault_plan_fail(&f.plan, FAULT_WRITE, 1, -EIO, false);
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, 10), -EIO);
	ck_assert_uint_eq(entries_on_device(&f), 0);
	fault_plan_fail(&f.plan, FAULT_WRITE, 1, -ENOSPC, false);
	f.plan.partial_bytes = 0;
	ck_assert_int_eq(uds_exception_store_end_merge(f.store), -ENOSPC);
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 500, &e), UDS_ERR_BAD_STATE);
	ck_assert_int_eq(uds_exception_store_end_merge(f.store), 0);
	ck_assert_uint_eq(entries_on_device(&f), 10);
	ck_assert_uint_eq(exceptions(&f), 10);
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 500, &e), 0);
	ck_assert_uint_eq(e.new_chunk, 12);
	teardown(&f);
}
END_TEST

/*
 * What the device says and what the store finds have different numbers, and different consequences.
 */
START_TEST(an_errno_is_what_the_device_said)
{
	const int said[] = { -EINVAL, -EEXIST };
	struct uds_exception e, last;
	struct fixture f;
	uint64_t count;

	setup(&f);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(uds_exception_store_prepare(f.store, i, &e), 0);
		ck_assert_int_eq(uds_exception_store_prepare(f.store, i, &e), UDS_ERR_EXISTS);
		fault_plan_fail(&f.plan, FAULT_FLUSH, 1, said[i], false);
		ck_assert_int_eq(uds_exception_store_commit(f.store, &e, 1), said[i]);
		/* It is abandoned: there is nothing to hand in again. */
		ck_assert_int_eq(uds_exception_store_commit(f.store, &e, 1), UDS_ERR_BAD_STATE);
		ck_assert_int_eq(uds_exception_store_abandon(f.store, &e, 1), UDS_ERR_BAD_STATE);
	}
	ck_assert_int_eq(commit(&f, 0, 3), 0);
	ck_assert_int_eq(uds_exception_store_prepare_merge(f.store, &last, &count), 0);
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, count + 1), UDS_ERR_BAD_STATE);
	fault_plan_fail(&f.plan, FAULT_WRITE, 1, -EINVAL, false);
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, count), -EINVAL);
	ck_assert_int_eq(uds_exception_store_end_merge(f.store), 0);
	ck_assert_uint_eq(exceptions(&f), 3);
	/* Where the device's size decides whether there is room. */
	while (uds_exception_store_prepare(f.store, 10 + count, &e) == 0)
		count++;
	fault_plan_fail(&f.plan, FAULT_SIZE, 1, -EEXIST, false);
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 10 + count, &e), -EEXIST);
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 10 + count, &e), UDS_ERR_NO_ROOM);
	teardown(&f);
}
END_TEST

/*
 * A device that notes how many reads were under way at most; it does them in order, when
 * it is reaped.
 */
struct noted {
	struct uds_io *below;
	size_t count;
	size_t most;
	struct uds_io_request *waiting[256];
};

static int noted_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	return uds_io_read(((struct noted *)context)->below, buffer, length, offset);
}

static int noted_flush(void *context)
{
	return uds_io_flush(((struct noted *)context)->below);
}

static int noted_size(void *context, uint64_t *ret_bytes)
{
	return uds_io_size(((struct noted *)context)->below, ret_bytes);
}

static int noted_close(void *context)
{
	(void)context;
	return 0;
}

static int noted_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	struct noted *noted = context;

	memcpy(noted->waiting + noted->count, requests, count * sizeof(requests[0]));
	noted->count += count;
	if (noted->count > noted->most)
		noted->most = noted->count;
	return 0;
}

static int noted_reap(void *context, struct uds_io_engine *engine, int timeout_ms)
{
	struct noted *noted = context;
	struct uds_io_request *request = noted->waiting[0];

	(void)engine;
	(void)timeout_ms;
	noted->count--;
	memmove(noted->waiting, noted->waiting + 1, noted->count * sizeof(request));
	uds_io_request_complete(request, noted_read(noted, request->buffer, (size_t)request->length,
						    request->offset));
	return 0;
}

static struct uds_io *noted_io(struct noted *noted)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_io *io;

	limits.block_bytes = 512;
	limits.read_only = true;
	ops.read = noted_read;
	ops.flush = noted_flush;
	ops.get_size = noted_size;
	ops.close = noted_close;
	ops.submit = noted_submit;
	ops.reap = noted_reap;
	ck_assert_int_eq(uds_io_open_ops(&ops, noted, &limits, NULL, NULL, &io), 0);
	return io;
}

/* An exception store of 300 areas, of which ten are full: the reads ahead double with each area. */
static struct uds_io *long_store(void)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_exception_store *store;
	struct uds_exception e;
	struct uds_io *io;

	format.chunk_bytes = 512;
	ck_assert_int_eq(uds_io_open_memory(300 * 33 * 512, 512, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_exception_store_format(io, &format, NULL), 0);
	ck_assert_int_eq(uds_exception_store_open(io, NULL, NULL, &store), 0);
	for (uint64_t i = 0; i < 330; i++) {
		ck_assert_int_eq(uds_exception_store_prepare(store, 2 * i, &e), 0);
		ck_assert_int_eq(uds_exception_store_commit(store, &e, 1), 0);
	}
	ck_assert_int_eq(uds_exception_store_close(store), 0);
	return io;
}

START_TEST(a_snapshot_reads_its_areas_with_the_depth_that_was_asked_for)
{
	const unsigned int depths[][2] = { { 0, 64 }, { 5, 5 }, { 200, 200 } };
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct noted noted = { .below = long_store() };
	struct uds_io *cow = noted_io(&noted), *origin;
	struct uds_snapshot *s;

	ck_assert_int_eq(uds_io_open_memory(1000 * 512, 1, NULL, NULL, &origin), 0);
	options.read_only = true;
	for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		noted.most = 0;
		options.queue_depth = depths[i][0];
		ck_assert_int_eq(uds_snapshot_open(origin, cow, &options, NULL, &s), 0);
		ck_assert_uint_eq(noted.most, depths[i][1]);
		uds_snapshot_close(s);
	}
	uds_io_close(origin);
	uds_io_close(cow);
	uds_io_close(noted.below);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store list");
	TCase *tc = tcase_create("list");

	tcase_add_loop_test(tc, an_area_that_failed_is_written_whole_by_the_next_commit, 0, 2);
	tcase_add_test(tc, an_area_that_is_cut_while_the_store_is_open_is_named);
	tcase_add_test(tc, a_large_header_chunk_is_not_written_on_after_a_failure);
	tcase_add_test(tc, one_new_chunk_for_two_old_ones_in_a_row_is_damage);
	tcase_add_test(tc, the_first_of_two_entries_counts_also_against_a_run);
	tcase_add_test(tc, a_pair_is_in_force_as_long_as_one_entry_of_it_is_there);
	tcase_add_test(tc, a_merge_that_is_ended_gives_its_places_back);
	tcase_add_test(tc, ending_a_merge_settles_what_failed_or_says_so);
	tcase_add_test(tc, an_errno_is_what_the_device_said);
	tcase_add_test(tc, a_snapshot_reads_its_areas_with_the_depth_that_was_asked_for);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
