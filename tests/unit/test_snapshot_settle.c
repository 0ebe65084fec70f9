/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * After a failure: what a store still owes its device is made good before anything else, in the
 * right order, and tried again until it is durable.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uds/exception_store.h>
#include <uds/snapshot.h>

#include "check_main.h"
#include "fault_io.h"
#include "snap_image.h"
#include "torture_env.h"
#include "trace_io.h"

/* Chunks of a sector: 32 exceptions in an area. */
#define CHUNK	 512u
#define PER_AREA 32u
#define ORIGIN	 200u /* chunks */
#define COW	 400u

/* So many areas of this size are taken off in one round of a merge at most. */
#define ROUND_AREAS 64u

struct fixture {
	struct torture_env torture;
	struct trace *trace;
	struct fault_plan plan;
	struct uds_io *origin;
	struct uds_io *cow;
	struct uds_io *memory; /* below it */
	struct uds_snapshot *snapshot;
};

static void setup_sized(struct fixture *f, bool transient, uint64_t cow_bytes)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;

	torture_env_start(&f->torture);
	f->trace = malloc(sizeof(*f->trace));
	trace_start(f->trace);
	fault_plan_start(&f->plan);
	create.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_io_open_memory(ORIGIN * CHUNK, 1, NULL, NULL, &f->origin), 0);
	ck_assert_int_eq(uds_io_open_memory(cow_bytes, 1, NULL, NULL, &f->cow), 0);
	f->origin = trace_io(f->trace, 'o', f->origin);
	f->memory = f->cow;
	f->cow = trace_io(f->trace, 'c', f->cow);
	ck_assert_int_eq(fault_io_open(&f->plan, f->cow, NULL, &f->cow), 0);
	options.env = &f->torture.env;
	if (transient)
		options.transient_chunk_bytes = CHUNK;
	else
		ck_assert_int_eq(uds_exception_store_format(f->cow, &create, NULL), 0);
	ck_assert_int_eq(uds_snapshot_open(f->origin, f->cow, &options, NULL, &f->snapshot), 0);
	trace_clear(f->trace);
}

static void setup(struct fixture *f, bool transient)
{
	setup_sized(f, transient, COW * CHUNK);
}

static void teardown(struct fixture *f)
{
	uds_snapshot_close(f->snapshot);
	uds_io_close(f->origin);
	uds_io_close(f->cow);
	fault_plan_end(&f->plan);
	torture_env_end(&f->torture);
	free(f->trace);
}

static int write_chunk(struct fixture *f, uint64_t chunk)
{
	uint8_t bytes[CHUNK];

	fill_pattern(bytes, chunk, 1, 2);
	return uds_snapshot_write(f->snapshot, bytes, CHUNK, chunk * CHUNK);
}

static void check_chunk(struct fixture *f, uint64_t chunk)
{
	uint8_t bytes[CHUNK], expected[CHUNK];

	fill_pattern(expected, chunk, 1, 2);
	ck_assert_int_eq(uds_snapshot_read(f->snapshot, bytes, CHUNK, chunk * CHUNK), 0);
	ck_assert_mem_eq(bytes, expected, CHUNK);
}

static uint64_t exceptions(struct fixture *f)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;

	ck_assert_int_eq(uds_exception_store_get_status(uds_snapshot_store(f->snapshot), &status),
			 0);
	return status.exceptions;
}

/*
 * The area of a failed commit may be on the device or not: it is put back, and stays,
 * before a merge.
 */
START_TEST(a_failed_commit_is_taken_back_durably_before_a_merge)
{
	struct fixture f;

	setup(&f, false);
	fault_plan_fail(&f.plan, FAULT_WRITE, 2, -EIO, false); /* data, then the area */
	ck_assert_int_eq(write_chunk(&f, 7), -EIO);
	trace_clear(f.trace);
	ck_assert_int_eq(uds_snapshot_merge(f.snapshot, NULL, NULL), 0);
	ck_assert_msg(strncmp(f.trace->text, "cW512+512 cF ", 13) == 0, "%s", f.trace->text);
	teardown(&f);
}
END_TEST

START_TEST(flushing_reaches_both_devices_also_without_a_store)
{
	struct fixture f;

	setup(&f, true);
	ck_assert_int_eq(write_chunk(&f, 7), 0);
	trace_clear(f.trace);
	ck_assert_int_eq(uds_snapshot_flush(f.snapshot), 0);
	ck_assert_str_eq(f.trace->text, "oF cF ");
	fault_plan_fail(&f.plan, FAULT_FLUSH, 1, -EIO, false);
	ck_assert_int_eq(uds_snapshot_flush(f.snapshot), -EIO);
	teardown(&f);
}
END_TEST

/* Areas that a merge had begun to take off come back, however often that fails at first. */
START_TEST(areas_are_restored_when_the_device_works_again)
{
	uint64_t nth = (uint64_t)_i + 1, before;
	struct fixture f;

	setup(&f, false);
	for (uint64_t c = 0; c < 3 * PER_AREA + 5; c++)
		ck_assert_int_eq(write_chunk(&f, c), 0);
	fault_plan_fail(&f.plan, FAULT_WRITE | FAULT_FLUSH, nth, -EIO, true);
	if (uds_snapshot_merge(f.snapshot, NULL, NULL) < 0) {
		ck_assert_int_lt(uds_snapshot_flush(f.snapshot), 0);
		ck_assert_int_lt(uds_snapshot_flush(f.snapshot), 0);
		fault_plan_fail(&f.plan, 0, 0, 0, false);
		ck_assert_int_eq(uds_snapshot_flush(f.snapshot), 0);
		before = exceptions(&f);
		ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
		ck_assert_int_eq(uds_snapshot_open(f.origin, f.cow, NULL, NULL, &f.snapshot), 0);
		ck_assert_uint_eq(exceptions(&f), before);
	}
	fault_plan_fail(&f.plan, 0, 0, 0, false);
	for (uint64_t c = 0; c < 3 * PER_AREA + 5; c++)
		check_chunk(&f, c);
	teardown(&f);
}
END_TEST

static void reopen(struct fixture *f, const char *expected_trace)
{
	trace_clear(f->trace);
	ck_assert_int_eq(uds_snapshot_open(f->origin, f->cow, NULL, NULL, &f->snapshot), 0);
	ck_assert_str_eq(f->trace->text, expected_trace);
}

static uint64_t area_at(uint64_t k)
{
	return (1 + k * (PER_AREA + 1)) * CHUNK;
}

/* Entries behind a gap are cleaned away durably before an exception may close the gap. */
START_TEST(entries_behind_the_end_are_cleaned_durably)
{
	const uint8_t entry[16] = { 100, [8] = 50 };
	struct fixture f;

	setup(&f, false);
	for (uint64_t c = 0; c < 3; c++)
		ck_assert_int_eq(write_chunk(&f, c), 0);
	ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
	ck_assert_int_eq(uds_io_write(f.cow, entry, sizeof(entry), area_at(0) + 20 * sizeof(entry)),
			 0);
	reopen(&f, "cW512+512 cF ");
	ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
	reopen(&f, "");
	ck_assert_uint_eq(exceptions(&f), 3);
	teardown(&f);
}
END_TEST

/* So are areas behind the last one, as many as a round of a merge may have left. */
START_TEST(areas_behind_the_end_are_cleaned_durably)
{
	struct fixture f;

	setup_sized(&f, false, area_at(ROUND_AREAS + 2));
	ck_assert_int_eq(write_chunk(&f, 0), 0);
	ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
	ck_assert_int_eq(uds_io_write(f.cow, "x", 1, area_at(1) + CHUNK - 1), 0);
	ck_assert_int_eq(uds_io_write(f.cow, "x", 1, area_at(ROUND_AREAS)), 0);
	ck_assert_int_eq(uds_io_write(f.cow, "x", 1, area_at(ROUND_AREAS + 1)), 0);
	reopen(&f, "cW17408+512 cW1081856+512 cF ");
	ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
	reopen(&f, "");
	teardown(&f);
}
END_TEST

START_TEST(the_last_area_of_a_device_is_cleaned_too)
{
	struct fixture f;

	setup_sized(&f, false, area_at(2) + CHUNK);
	ck_assert_int_eq(write_chunk(&f, 0), 0);
	ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
	ck_assert_int_eq(uds_io_write(f.cow, "x", 1, area_at(2) + CHUNK - 1), 0);
	reopen(&f, "cW34304+512 cF ");
	teardown(&f);
}
END_TEST

/*
 * The last sector of an area says that the list goes on: it comes back when all the
 * rest is durable.
 */
START_TEST(areas_are_restored_from_the_front)
{
	struct fixture f;

	setup(&f, false);
	for (uint64_t c = 0; c < 3 * PER_AREA + 5; c++)
		ck_assert_int_eq(write_chunk(&f, c), 0);
	fault_plan_fail(&f.plan, FAULT_WRITE | FAULT_FLUSH, 8, -EIO, true);
	ck_assert_int_eq(uds_snapshot_merge(f.snapshot, NULL, NULL), -EIO);
	fault_plan_fail(&f.plan, 0, 0, 0, false);
	/* What comes back needs a buffer: without one it waits. */
	torture_env_fail_at(&f.torture, 1, true);
	ck_assert_int_eq(uds_snapshot_flush(f.snapshot), -ENOMEM);
	torture_env_fail_at(&f.torture, 0, false);
	trace_clear(f.trace);
	ck_assert_int_eq(uds_snapshot_flush(f.snapshot), 0);
	ck_assert_str_eq(f.trace->text, "oF cW34304+512 cW17408+512 cW512+512 cF "
					"cW34304+512 cW17408+512 cW512+512 cF "
					"cW51200+512 cF cF ");
	teardown(&f);
}
END_TEST

/* What the snapshot is when it ends here and is opened from what the devices have. */
static void check_devices(struct fixture *f, uint64_t chunks)
{
	struct image origin = io_image(f->origin), cow = io_image(f->memory);
	struct fixture opened = { .origin = image_io(&origin, 1), .cow = image_io(&cow, 1) };

	ck_assert_int_eq(uds_snapshot_open(opened.origin, opened.cow, NULL, NULL, &opened.snapshot),
			 0);
	for (uint64_t c = 0; c < chunks; c++)
		check_chunk(&opened, c);
	uds_snapshot_close(opened.snapshot);
	uds_io_close(opened.origin);
	uds_io_close(opened.cow);
	image_free(&origin);
	image_free(&cow);
}

/*
 * The lowest area that a merge takes entries from keeps others, in its last sector too, and these
 * are on the device at every moment, also while a failed round is taken back.
 */
START_TEST(what_a_merge_leaves_is_never_missing)
{
	const uint64_t chunks = 3 * PER_AREA + 7;
	unsigned int failures = 0;
	int r = -EIO;

	for (uint64_t nth = 1; r < 0; nth++) {
		for (uint64_t again = 1; again < 8; again++) {
			struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
			struct fixture f;

			setup(&f, false);
			for (uint64_t c = 0; c < chunks; c++)
				ck_assert_int_eq(write_chunk(&f, c), 0);
			options.limit = 20;
			fault_plan_fail(&f.plan, FAULT_WRITE | FAULT_FLUSH, nth, -EIO, false);
			r = uds_snapshot_merge(f.snapshot, &options, NULL);
			check_devices(&f, chunks);
			fault_plan_fail(&f.plan, FAULT_WRITE | FAULT_FLUSH, again, -EIO, true);
			failures += uds_snapshot_flush(f.snapshot) < 0;
			check_devices(&f, chunks);
			teardown(&f);
		}
	}
	ck_assert_uint_gt(failures, 20);
}
END_TEST

static bool has_entries(struct fixture *f, uint64_t area)
{
	uint8_t bytes[CHUNK];

	ck_assert_int_eq(uds_io_read(f->cow, bytes, CHUNK, area_at(area)), 0);
	return bytes[CHUNK - 1] != 0 || memcmp(bytes, bytes + 1, CHUNK - 1) != 0;
}

/*
 * Full areas end before anything else of them or of the last one goes: no cut leaves a list
 * with a hole.
 */
START_TEST(full_areas_end_before_the_last_one_goes)
{
	unsigned int ended = 0;

	for (uint64_t nth = 1; nth <= 12; nth++) {
		struct fixture f;

		setup(&f, false);
		for (uint64_t c = 0; c < 3 * PER_AREA + 5; c++)
			ck_assert_int_eq(write_chunk(&f, c), 0);
		fault_plan_fail(&f.plan, FAULT_WRITE | FAULT_FLUSH, nth, -EIO, true);
		(void)uds_snapshot_merge(f.snapshot, NULL, NULL);
		fault_plan_fail(&f.plan, 0, 0, 0, false);
		ended += has_entries(&f, 3) && !has_entries(&f, 2) && !has_entries(&f, 1) &&
			 !has_entries(&f, 0);
		/* The last one goes, or stays as it is, only when the others have ended. */
		ck_assert(has_entries(&f, 3) || !has_entries(&f, 0));
		teardown(&f);
	}
	ck_assert_uint_gt(ended, 0);
}
END_TEST

/* A device whose size cannot be had, or that shrank, has no room that nobody gave it. */
START_TEST(the_room_of_a_store_follows_the_size_of_its_device)
{
	const struct uds_snapshot_status empty = UDS_SNAPSHOT_STATUS_INIT;
	struct uds_snapshot_status status = empty;
	struct fixture f;

	setup(&f, true);
	for (uint64_t c = 0; c < 10; c++)
		ck_assert_int_eq(write_chunk(&f, c), 0);
	fault_plan_fail(&f.plan, FAULT_SIZE, 1, -EIO, true);
	ck_assert_int_eq(uds_snapshot_get_status(f.snapshot, &status), 0);
	ck_assert_uint_gt(f.plan.failed, 0);
	ck_assert_uint_eq(status.room, COW - 10);
	ck_assert_uint_eq(status.total_sectors, COW);
	ck_assert_int_eq(status.state, UDS_SNAPSHOT_ACTIVE);
	ck_assert_int_eq(write_chunk(&f, 11), -EIO);
	fault_plan_fail(&f.plan, FAULT_SIZE, 0, 0, false);
	for (uint64_t chunks = 11; chunks >= 9; chunks--) {
		ck_assert_int_eq(uds_io_resize(f.memory, chunks * CHUNK), 0);
		ck_assert_int_eq(uds_snapshot_get_status(f.snapshot, &status), 0);
		ck_assert_uint_eq(status.room, chunks == 11 ? 1 : 0);
		ck_assert_uint_eq(status.total_sectors, chunks);
	}
	ck_assert_int_lt(write_chunk(&f, 11), 0);
	teardown(&f);
}
END_TEST

struct ranges {
	uint64_t count, begin[4], length[4];
};

static int note_range(void *context, uint64_t offset, uint64_t length)
{
	struct ranges *ranges = context;

	ck_assert_uint_lt(ranges->count, 4);
	ranges->begin[ranges->count] = offset;
	ranges->length[ranges->count++] = length;
	return 0;
}

START_TEST(a_snapshot_without_a_list_tells_its_changed_ranges)
{
	struct ranges ranges = { 0 };
	struct fixture f;

	setup(&f, true);
	ck_assert_int_eq(write_chunk(&f, 5), 0);
	ck_assert_int_eq(write_chunk(&f, 20), 0);
	ck_assert_int_eq(write_chunk(&f, 6), 0);
	ck_assert_int_eq(uds_snapshot_for_each_changed_range(f.snapshot, 0, ORIGIN * CHUNK,
							     note_range, &ranges),
			 0);
	ck_assert_uint_eq(ranges.count, 2);
	ck_assert_uint_eq(ranges.begin[0], 5 * CHUNK);
	ck_assert_uint_eq(ranges.length[0], 2 * CHUNK);
	ck_assert_uint_eq(ranges.begin[1], 20 * CHUNK);
	ck_assert_uint_eq(ranges.length[1], CHUNK);
	teardown(&f);
}
END_TEST

/* Chunk by chunk, each of it as before or as it was written. */
static void check_old_or_new(struct uds_snapshot *snapshot, const uint8_t *written, bool whole)
{
	static const uint8_t zeroes[CHUNK];
	uint8_t bytes[4 * CHUNK];

	ck_assert_int_eq(uds_snapshot_read(snapshot, bytes, sizeof(bytes), 5 * CHUNK), 0);
	for (size_t at = 0; at < sizeof(bytes); at += CHUNK)
		ck_assert(memcmp(bytes + at, written + at, CHUNK) == 0 ||
			  (!whole && memcmp(bytes + at, zeroes, CHUNK) == 0));
}

static int write_without_a_list(const struct uds_env *env, void *context)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_snapshot *snapshot = NULL;
	uint8_t written[4 * CHUNK];
	struct uds_io *origin, *cow;
	int r;

	(void)context;
	for (uint64_t i = 0; i < 4; i++)
		fill_pattern(written + i * CHUNK, 5 + i, 1, 2);
	ck_assert_int_eq(uds_io_open_memory(ORIGIN * CHUNK, 1, NULL, NULL, &origin), 0);
	ck_assert_int_eq(uds_io_open_memory(COW * CHUNK, 1, NULL, NULL, &cow), 0);
	options.env = env;
	options.transient_chunk_bytes = CHUNK;
	r = uds_snapshot_open(origin, cow, &options, &message, &snapshot);
	ck_assert((r == 0) == (message.text[0] == '\0'));
	if (r == 0) {
		r = uds_snapshot_write(snapshot, written, sizeof(written), 5 * CHUNK);
		if (r == 0)
			check_old_or_new(snapshot, written, true);
	}
	uds_snapshot_close(snapshot);
	uds_io_close(origin);
	uds_io_close(cow);
	return r;
}

START_TEST(a_snapshot_without_a_list_is_opened_and_written_or_not_without_memory)
{
	ck_assert_uint_gt(torture_each_allocation(write_without_a_list, NULL, true), 5);
}
END_TEST

/* A write that found no memory has changed chunks whole or not at all, and is made again. */
START_TEST(a_snapshot_without_a_list_goes_on_after_a_write_without_memory)
{
	uint8_t written[4 * CHUNK];
	int r = -ENOMEM, failures = 0;

	for (uint64_t i = 0; i < 4; i++)
		fill_pattern(written + i * CHUNK, 5 + i, 1, 2);
	for (uint64_t nth = 1; r == -ENOMEM; nth++) {
		struct fixture f;

		setup(&f, true);
		torture_env_fail_at(&f.torture, nth, true);
		r = uds_snapshot_write(f.snapshot, written, sizeof(written), 5 * CHUNK);
		torture_env_fail_at(&f.torture, 0, false);
		ck_assert(r == 0 || r == -ENOMEM);
		failures += r != 0;
		check_old_or_new(f.snapshot, written, r == 0);
		ck_assert_int_eq(
			uds_snapshot_write(f.snapshot, written, sizeof(written), 5 * CHUNK), 0);
		check_old_or_new(f.snapshot, written, true);
		teardown(&f);
	}
	ck_assert_int_gt(failures, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot settle");
	TCase *tc = tcase_create("settle");

	tcase_add_test(tc, a_failed_commit_is_taken_back_durably_before_a_merge);
	tcase_add_test(tc, flushing_reaches_both_devices_also_without_a_store);
	tcase_add_loop_test(tc, areas_are_restored_when_the_device_works_again, 0, 16);
	tcase_add_test(tc, entries_behind_the_end_are_cleaned_durably);
	tcase_add_test(tc, areas_behind_the_end_are_cleaned_durably);
	tcase_add_test(tc, the_last_area_of_a_device_is_cleaned_too);
	tcase_add_test(tc, areas_are_restored_from_the_front);
	tcase_add_test(tc, what_a_merge_leaves_is_never_missing);
	tcase_add_test(tc, full_areas_end_before_the_last_one_goes);
	tcase_add_test(tc, the_room_of_a_store_follows_the_size_of_its_device);
	tcase_add_test(tc, a_snapshot_without_a_list_tells_its_changed_ranges);
	tcase_add_test(tc, a_snapshot_without_a_list_is_opened_and_written_or_not_without_memory);
	tcase_add_test(tc, a_snapshot_without_a_list_goes_on_after_a_write_without_memory);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
