/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The known defects of kernels with this format, numbered as in the description of the format: each
 * that can occur in a library has a test here that it does not. (D9, giving back the space of
 * merged chunks, is not offered.)
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/snapshot.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "snap_image.h"
#include "trace_io.h"

/* Chunks of a sector: 32 exceptions in an area, areas in chunks 1, 34, 67, ... */
#define CHUNK	 512u
#define PER_AREA 32u
#define ORIGIN	 200u /* chunks */

struct fixture {
	struct uds_io *origin;
	struct uds_io *cow;
	struct uds_snapshot *snapshot;
	struct uds_exception_store *store;
};

static void write_chunk(struct uds_io *io, uint64_t chunk, uint32_t tag)
{
	uint8_t bytes[CHUNK];

	fill_pattern(bytes, chunk, 1, tag);
	ck_assert_int_eq(uds_io_write(io, bytes, CHUNK, chunk * CHUNK), 0);
}

static bool chunk_is(const uint8_t *bytes, uint64_t chunk, uint32_t tag)
{
	uint8_t expected[CHUNK];

	fill_pattern(expected, chunk, 1, tag);
	return memcmp(bytes, expected, CHUNK) == 0;
}

static struct uds_io *make_origin(void)
{
	struct uds_io *origin;

	ck_assert_int_eq(uds_io_open_memory(ORIGIN * CHUNK, 1, NULL, NULL, &origin), 0);
	for (uint64_t c = 0; c < ORIGIN; c++)
		write_chunk(origin, c, 1);
	return origin;
}

static struct uds_io *make_cow(uint64_t chunks)
{
	struct uds_exception_store_format_options options = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_io *cow;

	options.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_io_open_memory(chunks * CHUNK, 1, NULL, NULL, &cow), 0);
	ck_assert_int_eq(uds_exception_store_format(cow, &options, NULL), 0);
	return cow;
}

static void open_snapshot(struct fixture *f)
{
	struct uds_message message = { "" };

	ck_assert_msg(uds_snapshot_open(f->origin, f->cow, NULL, &message, &f->snapshot) == 0, "%s",
		      message.text);
	f->store = uds_snapshot_store(f->snapshot);
}

static void reopen(struct fixture *f)
{
	ck_assert_int_eq(uds_snapshot_close(f->snapshot), 0);
	open_snapshot(f);
}

static void setup(struct fixture *f, uint64_t cow_chunks)
{
	f->origin = make_origin();
	f->cow = make_cow(cow_chunks);
	open_snapshot(f);
}

static void teardown(struct fixture *f)
{
	uds_snapshot_close(f->snapshot);
	uds_io_close(f->origin);
	uds_io_close(f->cow);
}

/* Writes chunks [first, first + count) of the snapshot with a tag, one at a time. */
static void write_view(struct fixture *f, uint64_t first, uint64_t count, uint32_t tag)
{
	uint8_t bytes[CHUNK];

	for (uint64_t c = first; c < first + count; c++) {
		fill_pattern(bytes, c, 1, tag);
		ck_assert_int_eq(uds_snapshot_write(f->snapshot, bytes, CHUNK, c * CHUNK), 0);
	}
}

/* Chunks [first, first + count) of the view have that tag. */
static void check_view(struct fixture *f, uint64_t first, uint64_t count, uint32_t tag)
{
	uint8_t bytes[CHUNK];

	for (uint64_t c = first; c < first + count; c++) {
		ck_assert_int_eq(uds_snapshot_read(f->snapshot, bytes, CHUNK, c * CHUNK), 0);
		if (!chunk_is(bytes, c, tag))
			ck_abort_msg("chunk %llu of the view", (unsigned long long)c);
	}
}

static void check_origin(struct fixture *f, uint64_t first, uint64_t count, uint32_t tag)
{
	uint8_t bytes[CHUNK];

	for (uint64_t c = first; c < first + count; c++) {
		ck_assert_int_eq(uds_io_read(f->origin, bytes, CHUNK, c * CHUNK), 0);
		if (!chunk_is(bytes, c, tag))
			ck_abort_msg("chunk %llu of the origin", (unsigned long long)c);
	}
}

static struct uds_exception_store_status status_of(struct fixture *f)
{
	struct uds_exception_store_status status;

	status.size = sizeof(status);
	ck_assert_int_eq(uds_exception_store_get_status(f->store, &status), 0);
	return status;
}

/* An entry straight into the bytes of the COW device. */
static void plant(struct uds_io *cow, uint64_t area, uint64_t index, uint64_t old_chunk,
		  uint64_t new_chunk)
{
	uint8_t entry[16];

	put_le64(entry, old_chunk);
	put_le64(entry + 8, new_chunk);
	ck_assert_int_eq(
		uds_io_write(cow, entry, 16, (1 + area * (PER_AREA + 1)) * CHUNK + index * 16), 0);
}

START_TEST(d01_next_free_skips_an_area_after_reopening)
{
	struct fixture f;

	/* The 32nd exception has the last data chunk of its stripe; behind it lies area 1. */
	setup(&f, 200);
	write_view(&f, 0, PER_AREA, 2);
	reopen(&f);
	ck_assert_uint_eq(status_of(&f).next_free, 35);
	write_view(&f, 100, 5, 2);
	reopen(&f);
	ck_assert_uint_eq(status_of(&f).exceptions, PER_AREA + 5);
	check_view(&f, 0, PER_AREA, 2);
	check_view(&f, 100, 5, 2);
	teardown(&f);
}
END_TEST

/* Both devices behind one trace. */
static void setup_traced(struct fixture *f, struct trace *trace, uint64_t cow_chunks)
{
	trace_start(trace);
	f->origin = trace_io(trace, 'o', make_origin());
	f->cow = trace_io(trace, 'c', make_cow(cow_chunks));
	open_snapshot(f);
	trace_clear(trace);
}

START_TEST(d02_merge_flushes_the_origin_before_exceptions_go)
{
	struct trace *trace = malloc(sizeof(*trace));
	struct fixture f;

	setup_traced(&f, trace, 100);
	write_view(&f, 7, 1, 2);
	trace_clear(trace);
	ck_assert_int_eq(uds_snapshot_merge(f.snapshot, NULL, NULL), 0);
	ck_assert_str_eq(trace->text, "oW3584+512 oF cW512+512 cF ");
	teardown(&f);
	free(trace);
}
END_TEST

START_TEST(commit_writes_data_flush_area_flush_origin)
{
	struct trace *trace = malloc(sizeof(*trace));
	uint8_t bytes[CHUNK] = { 0 };
	struct fixture f;

	setup_traced(&f, trace, 100);
	ck_assert_int_eq(uds_snapshot_origin_write(f.snapshot, bytes, CHUNK, 9 * CHUNK), 0);
	ck_assert_str_eq(trace->text, "cW1024+512 cF cW512+512 cF oW4608+512 ");
	write_view(&f, 20, PER_AREA - 2, 2);
	trace_clear(trace);
	/* The one that fills the area: the next area is zero before this one is full. */
	write_view(&f, 100, 1, 2);
	ck_assert_str_eq(trace->text, "cW16896+512 cW17408+512 cF cW512+512 cF ");
	teardown(&f);
	free(trace);
}
END_TEST

/* Behind a plan of faults that both devices share. */
static void setup_faulty(struct fixture *f, struct fault_plan *plan, uint64_t cow_chunks)
{
	fault_plan_start(plan);
	ck_assert_int_eq(fault_io_open(plan, make_origin(), NULL, &f->origin), 0);
	ck_assert_int_eq(fault_io_open(plan, make_cow(cow_chunks), NULL, &f->cow), 0);
	open_snapshot(f);
}

/* What merging must come to, whatever happened before. */
static void finish_merge(struct fixture *f, uint64_t first, uint64_t count)
{
	struct image cow;

	check_view(f, 0, first, 1);
	check_view(f, first, count, 2);
	ck_assert_int_eq(uds_snapshot_merge(f->snapshot, NULL, NULL), 0);
	check_view(f, first, count, 2);
	check_origin(f, 0, first, 1);
	check_origin(f, first, count, 2);
	check_origin(f, first + count, ORIGIN - first - count, 1);
	cow = io_image(f->cow);
	for (uint64_t area = 0; area < 3; area++)
		for (uint64_t i = 0; i < CHUNK; i++)
			if (cow.bytes[(1 + area * (PER_AREA + 1)) * CHUNK + i] != 0)
				ck_abort_msg("area %llu is not empty", (unsigned long long)area);
	image_free(&cow);
}

/*
 * Each write and each flush of a merge fails once; _i: go on with the same handle, or with a new
 * one; in small rounds, or all areas at once.
 */
START_TEST(d03_failed_area_write_leaves_the_entries_in_place)
{
	const uint64_t first = 3, count = 2 * PER_AREA + 10;

	for (uint64_t n = 1;; n++) {
		struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
		struct fault_plan plan;
		struct fixture f;
		int r;

		options.round_bytes = (_i < 2 ? 16 : 200) * CHUNK;
		setup_faulty(&f, &plan, 200);
		write_view(&f, first, count, 2);
		fault_plan_fail(&plan, FAULT_WRITE | FAULT_FLUSH, n, -EIO, false);
		r = uds_snapshot_merge(f.snapshot, &options, NULL);
		if (plan.failed == 0) {
			ck_assert_int_eq(r, 0);
			ck_assert_uint_gt(n, 8);
			fault_plan_fail(&plan, 0, 0, 0, false);
			teardown(&f);
			fault_plan_end(&plan);
			break;
		}
		ck_assert_int_eq(r, -EIO);
		fault_plan_fail(&plan, 0, 0, 0, false);
		if (_i % 2 == 1)
			reopen(&f);
		finish_merge(&f, first, count);
		teardown(&f);
		fault_plan_end(&plan);
	}
}
END_TEST

/* Every read of a merge fails once: the place in the list stays where it was. */
START_TEST(d04_failed_read_of_an_area_skips_nothing)
{
	const uint64_t first = 0, count = 3 * PER_AREA;

	for (uint64_t n = 1;; n++) {
		struct uds_exception last;
		struct fault_plan plan;
		struct fixture f;
		uint64_t run;
		int r;

		setup_faulty(&f, &plan, 200);
		write_view(&f, first, count, 2);
		fault_plan_fail(&plan, FAULT_READ, n, -EIO, false);
		if (_i == 0)
			r = uds_snapshot_merge(f.snapshot, NULL, NULL);
		else
			r = uds_exception_store_prepare_merge(f.store, &last, &run);
		if (plan.failed == 0) {
			ck_assert_int_eq(r, 0);
			ck_assert_uint_gt(n, 1);
			teardown(&f);
			fault_plan_end(&plan);
			break;
		}
		ck_assert_int_eq(r, -EIO);
		fault_plan_fail(&plan, 0, 0, 0, false);
		ck_assert_uint_eq(status_of(&f).exceptions, count);
		finish_merge(&f, first, count);
		teardown(&f);
		fault_plan_end(&plan);
	}
}
END_TEST

START_TEST(d05_merge_counts_are_checked)
{
	struct uds_exception last;
	struct fixture f;
	uint64_t count;

	setup(&f, 100);
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, 1), UDS_ERR_BAD_STATE);
	write_view(&f, 4, 3, 2);
	ck_assert_int_eq(uds_exception_store_prepare_merge(f.store, &last, &count), 0);
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(last.old_chunk, 6);
	ck_assert_uint_eq(last.new_chunk, 4);
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, 0), UDS_ERR_BAD_STATE);
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, 4), UDS_ERR_BAD_STATE);
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, UINT64_MAX), UDS_ERR_BAD_STATE);
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, 2), 0);
	ck_assert_int_eq(uds_exception_store_commit_merge(f.store, 1), UDS_ERR_BAD_STATE);
	ck_assert_uint_eq(status_of(&f).exceptions, 1);
	teardown(&f);
}
END_TEST

START_TEST(d06_chunks_behind_the_origin_are_not_merged)
{
	struct uds_message message;
	struct image before, after;
	struct fixture f;

	f.origin = make_origin();
	f.cow = make_cow(100);
	plant(f.cow, 0, 0, 3, 2);
	plant(f.cow, 0, 1, ORIGIN, 3);
	plant(f.cow, 0, 2, UINT64_MAX, 4);
	open_snapshot(&f);
	before = io_image(f.origin);
	ck_assert_int_eq(uds_snapshot_merge(f.snapshot, NULL, NULL), UDS_ERR_OUT_OF_RANGE);
	uds_snapshot_error_message(f.snapshot, &message);
	ck_assert_ptr_nonnull(strstr(message.text, "2 exceptions"));
	after = io_image(f.origin);
	check_same(&after, &before, "origin");
	ck_assert_uint_eq(status_of(&f).exceptions, 3);
	image_free(&before);
	image_free(&after);
	teardown(&f);
}
END_TEST

START_TEST(d07_allocation_after_a_merge_heeds_holes)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct fixture f;

	/*
	 * The first entry uses a high chunk: a number derived from the count would give
	 * it out again.
	 */
	f.origin = make_origin();
	f.cow = make_cow(100);
	plant(f.cow, 0, 0, 10, 4);
	plant(f.cow, 0, 1, 11, 7);
	plant(f.cow, 0, 2, 12, 9);
	write_chunk(f.cow, 4, 2);
	write_chunk(f.cow, 7, 2);
	open_snapshot(&f);
	options.limit = 1;
	ck_assert_int_eq(uds_snapshot_merge(f.snapshot, &options, NULL), 0);
	ck_assert_uint_eq(status_of(&f).allocated_sectors, 4); /* as the kernel shows it */
	ck_assert_int_eq(uds_snapshot_end_merge(f.snapshot), 0);
	ck_assert_uint_eq(status_of(&f).next_free, 8);
	write_view(&f, 50, 5, 2);
	ck_assert_uint_eq(status_of(&f).next_free, 13);
	reopen(&f);
	ck_assert_uint_eq(status_of(&f).next_free, 13);
	ck_assert_uint_eq(status_of(&f).exceptions, 7);
	teardown(&f);
}
END_TEST

START_TEST(d08_one_area_write_serves_many_runs)
{
	struct uds_merge_result result = { .size = sizeof(result) };
	struct trace *trace = malloc(sizeof(*trace));
	const char *at;
	struct fixture f;
	int areas = 0;

	setup_traced(&f, trace, 100);
	for (uint64_t c = 0; c < 30; c++)
		write_view(&f, 199 - 5 * c, 1, 2); /* descending: no two in a run */
	trace_clear(trace);
	ck_assert_int_eq(uds_snapshot_merge(f.snapshot, NULL, &result), 0);
	for (at = trace->text; (at = strstr(at, "cW")) != NULL; at++)
		areas++;
	ck_assert_int_eq(areas, 1);
	ck_assert_uint_eq(result.rounds, 1);
	ck_assert_uint_eq(result.chunks_copied, 30);
	teardown(&f);
	free(trace);
}
END_TEST

START_TEST(d10_a_failed_copy_holds_up_nobody)
{
	struct uds_exception first, second;
	struct fixture f;

	setup(&f, 100);
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 5, &first), 0);
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 6, &second), 0);
	ck_assert_int_eq(uds_exception_store_abandon(f.store, &first, 1), 0);
	ck_assert_int_eq(uds_exception_store_commit(f.store, &second, 1), 0);
	ck_assert_uint_eq(status_of(&f).exceptions, 1);
	ck_assert_int_eq(uds_exception_store_lookup(f.store, 5, &first.new_chunk, NULL), 0);
	/* The chunk of the failed one is a hole; the old chunk can be tried again. */
	ck_assert_int_eq(uds_exception_store_prepare(f.store, 5, &first), 0);
	ck_assert_uint_eq(first.new_chunk, 4);
	ck_assert_int_eq(uds_exception_store_commit(f.store, &first, 1), 0);
	reopen(&f);
	ck_assert_uint_eq(status_of(&f).exceptions, 2);
	teardown(&f);
}
END_TEST

START_TEST(d11_marking_invalid_writes_a_clean_header)
{
	struct image before, after;
	struct fixture f;

	setup(&f, 100);
	write_view(&f, 3, 4, 2);
	before = io_image(f.cow);
	ck_assert_int_eq(uds_exception_store_invalidate(f.store), 0);
	after = io_image(f.cow);
	before.bytes[4] = 0;
	check_same(&after, &before, "COW device");
	image_free(&before);
	image_free(&after);
	teardown(&f);
}
END_TEST

struct committer {
	struct uds_exception_store *store;
	struct uds_exception exception;
	int status;
};

static void *commit_one(void *argument)
{
	struct committer *c = argument;

	c->status = uds_exception_store_commit(c->store, &c->exception, 1);
	return NULL;
}

static int check_rising(void *context, uint64_t area, uint64_t index, const struct uds_exception *e)
{
	uint64_t *last = context;

	(void)area;
	(void)index;
	if (e->new_chunk <= *last)
		return 1;
	*last = e->new_chunk;
	return 0;
}

START_TEST(d12_exceptions_are_committed_in_order_of_allocation)
{
	struct committer c[8];
	pthread_t threads[8];
	uint64_t last = 0;
	struct fixture f;

	setup(&f, 100);
	for (uint64_t i = 0; i < 8; i++) {
		c[i].store = f.store;
		ck_assert_int_eq(uds_exception_store_prepare(f.store, 50 - i, &c[i].exception), 0);
	}
	/* The later ones are finished first, and wait. */
	for (int i = 7; i >= 1; i--)
		pthread_create(&threads[i], NULL, commit_one, &c[i]);
	usleep(20000);
	ck_assert_uint_eq(status_of(&f).exceptions, 0);
	commit_one(&c[0]);
	for (int i = 1; i < 8; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(c[i].status, 0);
	ck_assert_int_eq(uds_exception_store_for_each_entry(f.store, check_rising, &last), 0);
	ck_assert_uint_eq(last, 9);
	teardown(&f);
}
END_TEST

START_TEST(d13_areas_are_read_many_at_once)
{
	struct trace *trace = malloc(sizeof(*trace));
	struct fixture f;

	f.origin = make_origin();
	f.cow = make_cow(33 * 50);
	for (uint64_t area = 0; area < 40; area++)
		for (uint64_t i = 0; i < PER_AREA; i++)
			plant(f.cow, area, i, area * PER_AREA + i, 2 + area * 33 + i);
	trace_start(trace);
	f.cow = trace_io(trace, 'c', f.cow);
	open_snapshot(&f);
	ck_assert_uint_eq(status_of(&f).exceptions, 40 * PER_AREA);
	ck_assert_uint_ge(trace->most_in_flight, 16);
	ck_assert_uint_le(trace->most_in_flight, 64);
	teardown(&f);
	free(trace);
}
END_TEST

START_TEST(d14_metadata_is_header_and_areas_in_use)
{
	struct fixture f;

	setup(&f, 200);
	for (uint64_t n = 0; n <= 2 * PER_AREA; n++) {
		ck_assert_uint_eq(status_of(&f).metadata_sectors, 2 + n / PER_AREA);
		if (n < 2 * PER_AREA)
			write_view(&f, n, 1, 2);
	}
	teardown(&f);
}
END_TEST

START_TEST(d15_entries_behind_the_list_are_cleaned_at_once)
{
	struct image cow;
	struct fixture f;

	/* In an area that is not empty, and (area 1) in one that is. */
	f.origin = make_origin();
	f.cow = make_cow(200);
	for (uint64_t i = 0; i < (_i == 0 ? 10 : PER_AREA); i++)
		plant(f.cow, 0, i, i, 2 + i);
	plant(f.cow, (uint64_t)_i, 20, 150, 25);
	plant(f.cow, (uint64_t)_i, 21, 151, 26);
	open_snapshot(&f);
	ck_assert_uint_eq(status_of(&f).stale_entries, 2);
	cow = io_image(f.cow);
	for (uint64_t i = 15 * 16; i < CHUNK; i++)
		ck_assert_uint_eq(cow.bytes[(1 + (uint64_t)_i * 33) * CHUNK + i], 0);
	image_free(&cow);
	write_view(&f, 40, 20, 2);
	reopen(&f);
	ck_assert_uint_eq(status_of(&f).exceptions, (_i == 0 ? 10 : PER_AREA) + 20);
	check_view(&f, 150, 2, 1);
	teardown(&f);
}
END_TEST

START_TEST(d15_reading_only_cleans_nothing)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store *store;
	struct uds_exception_store_status status;
	struct uds_io *cow = make_cow(100);
	struct image before, after;

	plant(cow, 0, 0, 3, 2);
	plant(cow, 0, 2, 4, 3);
	before = io_image(cow);
	options.read_only = true;
	ck_assert_int_eq(uds_exception_store_open(cow, &options, NULL, &store), 0);
	status.size = sizeof(status);
	uds_exception_store_get_status(store, &status);
	ck_assert_uint_eq(status.exceptions, 1);
	ck_assert_uint_eq(status.stale_entries, 1);
	ck_assert_int_eq(uds_exception_store_close(store), 0);
	after = io_image(cow);
	check_same(&after, &before, "COW device");
	image_free(&before);
	image_free(&after);
	uds_io_close(cow);
}
END_TEST

START_TEST(d16_filling_the_last_area_finds_no_space_and_harms_nothing)
{
	static const struct {
		uint64_t chunks;
		uint64_t fit;
	} sizes[] = { { 2, 0 },	  { 3, 1 },   { 33, 31 }, { 34, 31 },
		      { 35, 32 }, { 36, 33 }, { 67, 63 }, { 68, 64 } };
	struct uds_exception e;

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct image before, after;
		struct fixture f;

		setup(&f, sizes[s].chunks);
		ck_assert_uint_eq(status_of(&f).room, sizes[s].fit);
		for (uint64_t n = 0; n < sizes[s].fit; n++) {
			write_view(&f, n, 1, 2);
			ck_assert_uint_eq(status_of(&f).room, sizes[s].fit - n - 1);
		}
		before = io_image(f.cow);
		ck_assert_int_eq(uds_exception_store_prepare(f.store, 190, &e), UDS_ERR_NO_ROOM);
		after = io_image(f.cow);
		check_same(&after, &before, "COW device");
		image_free(&before);
		image_free(&after);
		reopen(&f);
		ck_assert_uint_eq(status_of(&f).exceptions, sizes[s].fit);
		ck_assert_int_eq(status_of(&f).state, UDS_STORE_FULL);
		teardown(&f);
	}
}
END_TEST

START_TEST(d17_invalid_header_is_durable_before_the_origin_changes)
{
	struct trace *trace = malloc(sizeof(*trace));
	uint8_t bytes[CHUNK] = { 0 };
	struct fixture f;

	setup_traced(&f, trace, 5);
	write_view(&f, 0, 3, 2);
	trace_clear(trace);
	ck_assert_int_eq(uds_snapshot_origin_write(f.snapshot, bytes, CHUNK, 9 * CHUNK), 0);
	ck_assert_str_eq(trace->text, "cW0+512 cF oW4608+512 ");
	ck_assert_int_eq(uds_snapshot_read(f.snapshot, bytes, CHUNK, 0), UDS_ERR_INVALID_SNAPSHOT);
	teardown(&f);
	free(trace);
}
END_TEST

START_TEST(d17_origin_waits_when_the_header_cannot_be_written)
{
	uint8_t bytes[CHUNK] = { 0 };
	struct fault_plan plan;
	struct fixture f;

	for (uint64_t n = 1; n <= 2; n++) {
		setup_faulty(&f, &plan, 5);
		write_view(&f, 0, 3, 2);
		fault_plan_fail(&plan, FAULT_WRITE | FAULT_FLUSH, n, -EIO, false);
		ck_assert_int_eq(uds_snapshot_origin_write(f.snapshot, bytes, CHUNK, 9 * CHUNK),
				 -EIO);
		check_origin(&f, 9, 1, 1);
		fault_plan_fail(&plan, 0, 0, 0, false);
		ck_assert_int_eq(uds_snapshot_origin_write(f.snapshot, bytes, CHUNK, 9 * CHUNK), 0);
		reopen(&f);
		ck_assert_int_eq(status_of(&f).state, UDS_STORE_INVALID);
		teardown(&f);
		fault_plan_end(&plan);
	}
}
END_TEST

START_TEST(d18_area_in_memory_is_that_of_the_device_after_opening)
{
	struct fixture f;

	setup(&f, 200);
	write_view(&f, 10, 37, 2);
	for (int i = 0; i < 10; i++) {
		reopen(&f);
		write_view(&f, 60 + (uint64_t)i, 1, 2);
	}
	reopen(&f);
	ck_assert_uint_eq(status_of(&f).exceptions, 47);
	check_view(&f, 10, 37, 2);
	check_view(&f, 60, 10, 2);
	teardown(&f);
}
END_TEST

/* Old chunk 5 in entries 0 and 3 (or, with _i 1, in two areas); the first one is the view. */
START_TEST(d19_taking_off_a_duplicate_leaves_the_first_in_force)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	uint64_t others = _i == 0 ? 2 : PER_AREA;
	uint8_t bytes[CHUNK];
	struct fixture f;

	f.origin = make_origin();
	f.cow = make_cow(200);
	plant(f.cow, 0, 0, 5, 2);
	write_chunk(f.cow, 2, 2);
	for (uint64_t i = 1; i <= others; i++)
		plant(f.cow, i / PER_AREA, i % PER_AREA, 100 + i, i < PER_AREA ? 2 + i : 35);
	others++;
	/* _i 2: the very same entry once more. */
	plant(f.cow, others / PER_AREA, others % PER_AREA, 5, _i == 2 ? 2 : 60);
	write_chunk(f.cow, 60, 3);
	open_snapshot(&f);
	ck_assert_uint_eq(status_of(&f).old_twice, 1);
	ck_assert_int_eq(status_of(&f).state, UDS_STORE_DAMAGED);
	options.limit = 1;
	ck_assert_int_eq(uds_snapshot_merge(f.snapshot, &options, &result), 0);
	ck_assert_uint_eq(result.exceptions, 1);
	/* Still the first entry's content, wherever it is read. */
	ck_assert_int_eq(uds_snapshot_origin_read(f.snapshot, bytes, CHUNK, 5 * CHUNK), 0);
	ck_assert_mem_eq(bytes, bytes, CHUNK);
	{
		uint8_t expected[CHUNK];

		fill_pattern(expected, 2, 1, 2);
		ck_assert_mem_eq(bytes, expected, CHUNK);
	}
	/* A write in the middle of the merge is not overwritten by what comes later. */
	memset(bytes, 0x5a, CHUNK);
	if (_i < 2)
		ck_assert_int_eq(uds_snapshot_origin_write(f.snapshot, bytes, CHUNK, 5 * CHUNK), 0);
	ck_assert_int_eq(uds_snapshot_merge(f.snapshot, NULL, &result), 0);
	ck_assert_uint_eq(result.remaining, 0);
	if (_i < 2) {
		uint8_t got[CHUNK];

		ck_assert_int_eq(uds_io_read(f.origin, got, CHUNK, 5 * CHUNK), 0);
		ck_assert_mem_eq(got, bytes, CHUNK);
	}
	teardown(&f);
}
END_TEST

START_TEST(d20_new_store_writes_area_flush_header_flush)
{
	struct uds_exception_store_format_options options = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct trace *trace = malloc(sizeof(*trace));
	struct uds_io *cow;

	trace_start(trace);
	ck_assert_int_eq(uds_io_open_memory(10 * CHUNK, 1, NULL, NULL, &cow), 0);
	cow = trace_io(trace, 'c', cow);
	options.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_exception_store_format(cow, &options, NULL), 0);
	ck_assert_str_eq(trace->text, "cW512+512 cF cW0+512 cF ");
	uds_io_close(cow);
	free(trace);
}
END_TEST

static int note_loss(void *context, const struct uds_snapshot_loss *loss)
{
	ck_assert_int_eq(loss->status, UDS_ERR_CORRUPT);
	ck_assert_uint_eq(loss->length, CHUNK);
	*(uint64_t *)context = loss->offset / CHUNK;
	return 0;
}

/*
 * New chunks that count up from @_i over chunk 34, which is an area: that one is lost,
 * and no other.
 */
START_TEST(a_run_over_an_area_loses_that_chunk_alone)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	uint64_t first = (uint64_t)_i, lost = 0, lost_bytes;
	uint8_t bytes[8 * CHUNK];
	struct fixture f;

	f.origin = make_origin();
	f.cow = make_cow(80);
	for (uint64_t i = 0; i < 8; i++) {
		plant(f.cow, 0, i, 100 + i, first + i);
		if (first + i != 34)
			write_chunk(f.cow, first + i, 7);
	}
	options.salvage = true;
	options.read_only = true;
	ck_assert_int_eq(uds_snapshot_open(f.origin, f.cow, &options, NULL, &f.snapshot), 0);
	ck_assert_int_eq(uds_snapshot_salvage(f.snapshot, bytes, sizeof(bytes), 100 * CHUNK,
					      note_loss, &lost, &lost_bytes),
			 0);
	ck_assert_uint_eq(lost_bytes, CHUNK);
	ck_assert_uint_eq(lost, 100 + 34 - first);
	for (uint64_t i = 0; i < 8; i++)
		ck_assert(first + i == 34 || chunk_is(bytes + i * CHUNK, first + i, 7));
	teardown(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot defects");
	TCase *tc = tcase_create("defects");

	tcase_add_test(tc, d01_next_free_skips_an_area_after_reopening);
	tcase_add_test(tc, d02_merge_flushes_the_origin_before_exceptions_go);
	tcase_add_test(tc, commit_writes_data_flush_area_flush_origin);
	tcase_add_loop_test(tc, d03_failed_area_write_leaves_the_entries_in_place, 0, 4);
	tcase_add_loop_test(tc, d04_failed_read_of_an_area_skips_nothing, 0, 2);
	tcase_add_test(tc, d05_merge_counts_are_checked);
	tcase_add_test(tc, d06_chunks_behind_the_origin_are_not_merged);
	tcase_add_test(tc, d07_allocation_after_a_merge_heeds_holes);
	tcase_add_test(tc, d08_one_area_write_serves_many_runs);
	tcase_add_test(tc, d10_a_failed_copy_holds_up_nobody);
	tcase_add_test(tc, d11_marking_invalid_writes_a_clean_header);
	tcase_add_test(tc, d12_exceptions_are_committed_in_order_of_allocation);
	tcase_add_test(tc, d13_areas_are_read_many_at_once);
	tcase_add_test(tc, d14_metadata_is_header_and_areas_in_use);
	tcase_add_loop_test(tc, d15_entries_behind_the_list_are_cleaned_at_once, 0, 2);
	tcase_add_test(tc, d15_reading_only_cleans_nothing);
	tcase_add_test(tc, d16_filling_the_last_area_finds_no_space_and_harms_nothing);
	tcase_add_test(tc, d17_invalid_header_is_durable_before_the_origin_changes);
	tcase_add_test(tc, d17_origin_waits_when_the_header_cannot_be_written);
	tcase_add_test(tc, d18_area_in_memory_is_that_of_the_device_after_opening);
	tcase_add_loop_test(tc, d19_taking_off_a_duplicate_leaves_the_first_in_force, 0, 3);
	tcase_add_test(tc, d20_new_store_writes_area_flush_header_flush);
	tcase_add_loop_test(tc, a_run_over_an_area_loses_that_chunk_alone, 27, 34 + 1);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
