/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is had, or done, when a part of a request fails: exactly that many bytes from its start, and
 * with salvage everything but the bytes that cannot be had, which are named.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "check_main.h"
#include "fault_io.h"
#include "snap_image.h"
#include "trace_io.h"

#include "io/io.h"

#define MAX_SIZE (330u * 1024) /* 80 chunks of 4 KiB */

struct setting {
	size_t chunk_bytes;
	uint32_t block_bytes;
	size_t size; /* of the origin */
};

static const struct setting settings[] = {
	{ 512, 1, 90 * 512 + 100 },
	{ 4096, 512, 12 * 4096 + 1024 },
	{ 4096, 1, 12 * 4096 + 77 },
	{ 16384, 4096, 9 * 16384 + 4096 },
};
#define SETTINGS ((int)(sizeof(settings) / sizeof(settings[0])))

struct world {
	const struct setting *set;
	struct fault_plan origin_plan, cow_plan;
	struct uds_io *origin, *cow;
	struct uds_snapshot *s;
	uint64_t random;
	uint8_t view[MAX_SIZE];
	bool bad[MAX_SIZE];
	bool lost[MAX_SIZE];
	uint8_t buffer[MAX_SIZE];
	struct uds_message first_sentence;
	unsigned int ranges;
	uint64_t last_end;
	int last_status;
};

static uint64_t below(struct world *w, uint64_t end)
{
	return next_random(&w->random) % end;
}

static void open_world(struct world *w, bool keep_on_overflow)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };

	options.keep_on_overflow = keep_on_overflow;
	options.queue_depth = 4;
	ck_assert_msg(uds_snapshot_open(w->origin, w->cow, &options, &message, &w->s) == 0, "%s",
		      message.text);
}

static struct world *start(const struct setting *set, size_t cow_chunks, uint64_t random)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct world *w = calloc(1, sizeof(*w));
	struct uds_io *io;

	w->set = set;
	w->random = random;
	fault_plan_start(&w->origin_plan);
	fault_plan_start(&w->cow_plan);
	for (size_t i = 0; i < set->size; i++)
		w->view[i] = (uint8_t)next_random(&w->random);
	io = image_io(&(struct image){ w->view, set->size }, set->block_bytes);
	ck_assert_int_eq(fault_io_open(&w->origin_plan, io, NULL, &w->origin), 0);
	ck_assert_int_eq(uds_io_open_memory(cow_chunks * set->chunk_bytes, set->block_bytes, NULL,
					    NULL, &io),
			 0);
	ck_assert_int_eq(fault_io_open(&w->cow_plan, io, NULL, &w->cow), 0);
	create.chunk_bytes = set->chunk_bytes;
	ck_assert_int_eq(uds_exception_store_format(w->cow, &create, NULL), 0);
	return w;
}

static void end(struct world *w)
{
	uds_snapshot_close(w->s);
	uds_io_close(w->origin);
	uds_io_close(w->cow);
	fault_plan_end(&w->origin_plan);
	fault_plan_end(&w->cow_plan);
	free(w);
}

/* Random bytes into the snapshot at a place. */
static void write_view(struct world *w, size_t length, uint64_t at)
{
	for (size_t i = 0; i < length; i++)
		w->view[at + i] = (uint8_t)next_random(&w->random);
	ck_assert_int_eq(uds_snapshot_write(w->s, w->view + at, length, at), 0);
}

static void write_some(struct world *w)
{
	for (int i = 0; i < 12; i++) {
		size_t length = 1 + below(w, 3 * w->set->chunk_bytes);

		write_view(w, length, below(w, w->set->size - length));
	}
}

/* Where byte @i of the view lies, and whether that is on the COW device. */
static bool place_of(struct world *w, uint64_t i, uint64_t *ret_at)
{
	uint64_t chunk = i / w->set->chunk_bytes, new_chunk;

	*ret_at = i;
	if (uds_exception_store_lookup(uds_snapshot_store(w->s), chunk, &new_chunk, NULL) != 1)
		return false;
	*ret_at = new_chunk * w->set->chunk_bytes + i % w->set->chunk_bytes;
	return true;
}

/* Some sectors of both devices go bad, never those of metadata. */
static void spoil(struct world *w)
{
	uint64_t unit = w->set->block_bytes < 512 ? 512 : w->set->block_bytes, at;

	for (int i = 0; i < 6; i++) {
		uint64_t sector = below(w, w->set->size) & ~UINT64_C(511);
		bool on_cow = place_of(w, sector, &at);

		at &= ~UINT64_C(511);
		fault_plan_spoil(on_cow ? &w->cow_plan : &w->origin_plan, FAULT_READ, at, 512);
		for (size_t k = 0; k < w->set->size; k += 512) {
			size_t left = w->set->size - k < 512 ? w->set->size - k : 512;
			uint64_t place;

			if (place_of(w, k, &place) == on_cow && place / unit == at / unit)
				memset(w->bad + k, true, left);
		}
	}
}

static int take_loss(void *context, const struct uds_snapshot_loss *loss)
{
	struct world *w = context;

	ck_assert_uint_eq(loss->size, sizeof(*loss));
	ck_assert_uint_gt(loss->length, 0);
	ck_assert_uint_gt(strlen(loss->sentence), 10);
	/* In order, and touching ones of one kind are one. */
	ck_assert(w->ranges == 0 || loss->offset > w->last_end ||
		  (loss->offset == w->last_end && loss->status != w->last_status));
	if (w->ranges++ == 0)
		snprintf(w->first_sentence.text, sizeof(w->first_sentence.text), "%s",
			 loss->sentence);
	w->last_end = loss->offset + loss->length;
	w->last_status = loss->status;
	for (uint64_t i = 0; i < loss->length; i++)
		w->lost[loss->offset + i] = true;
	return 0;
}

/* A range of the view: plain up to the first bad byte, and salvaged. */
static void check_range(struct world *w, size_t length, uint64_t at, int status)
{
	size_t good = 0, done = 12345;
	uint64_t lost_bytes = 12345, bad_bytes = 0;
	int r;

	while (good < length && !w->bad[at + good])
		good++;
	memset(w->buffer, 0x5a, length);
	r = uds_snapshot_read_partial(w->s, w->buffer, length, at, &done);
	ck_assert_int_eq(r, good < length ? status : 0);
	ck_assert_uint_eq(done, good);
	ck_assert_mem_eq(w->buffer, w->view + at, good);
	memset(w->buffer, 0x5a, length);
	ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, length, at), r);
	ck_assert_mem_eq(w->buffer, w->view + at, good);

	memset(w->buffer, 0x5a, length);
	memset(w->lost, 0, sizeof(w->lost));
	w->ranges = 0;
	ck_assert_int_eq(
		uds_snapshot_salvage(w->s, w->buffer, length, at, take_loss, w, &lost_bytes), 0);
	for (size_t i = 0; i < length; i++) {
		bad_bytes += w->bad[at + i];
		ck_assert_int_eq(w->lost[at + i], w->bad[at + i]);
		ck_assert_int_eq(w->buffer[i], w->bad[at + i] ? 0 : w->view[at + i]);
	}
	ck_assert_uint_eq(lost_bytes, bad_bytes);
	/* Without a buffer and without a callback it is the same. */
	ck_assert_int_eq(uds_snapshot_salvage(w->s, NULL, length, at, NULL, NULL, &lost_bytes), 0);
	ck_assert_uint_eq(lost_bytes, bad_bytes);
}

START_TEST(reading_ends_at_the_first_bad_block_and_salvage_goes_on)
{
	for (uint64_t seed = 0; seed < 2; seed++) {
		struct world *w = start(&settings[_i], 120, seed * 100 + 1);

		open_world(w, true);
		write_some(w);
		spoil(w);
		check_range(w, w->set->size, 0, -EIO);
		for (int i = 0; i < 8; i++) {
			size_t length = 1 + below(w, w->set->size - 1);

			check_range(w, length, below(w, w->set->size - length), -EIO);
		}
		end(w);
	}
}
END_TEST

START_TEST(a_device_that_is_cut_short_gives_all_that_is_on_it)
{
	const struct setting *set = &settings[_i];

	for (uint64_t seed = 0; seed < 2; seed++) {
		struct world *w = start(set, 12 + set->size / set->chunk_bytes, seed * 100 + 3);
		struct uds_exception_store_status status = { .size = sizeof(status) };
		uint64_t cut, at, unit = set->block_bytes;

		open_world(w, true);
		write_some(w);
		uds_exception_store_get_status(uds_snapshot_store(w->s), &status);
		/* All areas in use stay. */
		cut = (2 + status.current_area * (set->chunk_bytes / 16 + 1)) * set->chunk_bytes;
		cut += below(w, status.next_free * set->chunk_bytes - cut + 1);
		cut -= cut % unit;
		ck_assert_int_eq(uds_snapshot_close(w->s), 0);
		ck_assert_int_eq(uds_io_resize(w->cow, cut), 0);
		open_world(w, true);
		for (size_t i = 0; i < set->size; i++)
			w->bad[i] = place_of(w, i, &at) && at >= cut;
		check_range(w, set->size, 0, UDS_ERR_CORRUPT);
		for (int i = 0; i < 5; i++) {
			size_t length = 1 + below(w, set->size - 1);

			check_range(w, length, below(w, set->size - length), UDS_ERR_CORRUPT);
		}
		end(w);
	}
}
END_TEST

START_TEST(the_sentence_names_the_bad_entry_not_the_start_of_its_run)
{
	static const struct setting set = { 4096, 512, 80 * 4096 };
	struct world *w = start(&set, 200, 5);
	struct uds_message message = { "" };

	open_world(w, true);
	write_view(w, 60 * 4096, 10 * 4096); /* old 10 to 69 -> new 2 to 61 */
	fault_plan_spoil(&w->cow_plan, FAULT_READ, 30 * 4096 + 512, 512);
	ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, 70 * 4096, 0), -EIO);
	uds_snapshot_error_message(w->s, &message);
	ck_assert_ptr_nonnull(strstr(message.text, "512 bytes at 123392"));
	ck_assert_ptr_nonnull(strstr(message.text, "old chunk 38 -> new chunk 30"));
	fault_plan_spoil(&w->cow_plan, 0, 0, 0);
	uds_snapshot_close(w->s);
	ck_assert_int_eq(uds_io_resize(w->cow, 50 * 4096), 0);
	open_world(w, true);
	ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, 70 * 4096, 0), UDS_ERR_CORRUPT);
	uds_snapshot_error_message(w->s, &message);
	ck_assert_ptr_nonnull(strstr(message.text, "old chunk 58 -> new chunk 50:"));
	ck_assert_int_eq(uds_snapshot_salvage(w->s, NULL, 80 * 4096, 0, take_loss, w, NULL), 0);
	ck_assert_uint_eq(w->ranges, 1);
	ck_assert_ptr_nonnull(strstr(w->first_sentence.text, "old chunk 58 -> new chunk 50:"));
	end(w);
}
END_TEST

START_TEST(metadata_is_not_read_as_content)
{
	static const struct setting set = { 4096, 512, 20 * 4096 };
	static const uint8_t entries[32] = { [0] = 3, [8] = 1, [16] = 7, [24] = 0 };
	struct world *w = start(&set, 50, 5);
	uint8_t area[512] = { 0 };
	size_t done;

	memcpy(area, entries, sizeof(entries)); /* old 3 -> new 1, the first area */
	ck_assert_int_eq(uds_io_write(w->cow, area, 512, 4096), 0);
	open_world(w, true);
	ck_assert_int_eq(uds_snapshot_read_partial(w->s, w->buffer, set.size, 0, &done),
			 UDS_ERR_CORRUPT);
	ck_assert_uint_eq(done, 3 * 4096);
	memset(w->bad + 3 * 4096, true, 4096);
	check_range(w, set.size, 0, UDS_ERR_CORRUPT);
	check_range(w, 5000, 3 * 4096 + 1000, UDS_ERR_CORRUPT);
	end(w);
}
END_TEST

static int stop_at_once(void *context, const struct uds_snapshot_loss *loss)
{
	(void)loss;
	++*(int *)context;
	return 1;
}

START_TEST(salvage_can_be_stopped_and_refuses_what_it_cannot_do)
{
	static const struct setting set = { 4096, 512, 20 * 4096 };
	struct world *w = start(&set, 50, 5);
	uint64_t lost = 77;
	size_t done = 77;
	int calls = 0;

	open_world(w, true);
	fault_plan_spoil(&w->origin_plan, FAULT_READ, 4096, 512);
	fault_plan_spoil(&w->origin_plan, FAULT_READ, 40960, 512);
	ck_assert_int_eq(
		uds_snapshot_salvage(w->s, w->buffer, set.size, 0, stop_at_once, &calls, &lost),
		UDS_ERR_STOPPED);
	ck_assert_int_eq(calls, 1);
	ck_assert_uint_eq(lost, 77);
	ck_assert_int_eq(uds_snapshot_salvage(w->s, w->buffer, set.size, 1, NULL, NULL, &lost),
			 UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_snapshot_read_partial(w->s, w->buffer, set.size, 1, &done),
			 UDS_ERR_OUT_OF_RANGE);
	ck_assert_uint_eq(done, 0);
	ck_assert_int_eq(uds_snapshot_origin_read_partial(w->s, w->buffer, set.size, 0, &done),
			 -EIO);
	ck_assert_uint_eq(done, 4096);
	ck_assert_int_eq(uds_snapshot_invalidate(w->s), 0);
	ck_assert_int_eq(uds_snapshot_salvage(w->s, w->buffer, 10, 0, NULL, NULL, &lost),
			 UDS_ERR_INVALID_SNAPSHOT);
	end(w);
}
END_TEST

static void ck_invalid(struct world *w, int status)
{
	struct uds_message message = { "" };

	uds_snapshot_error_message(w->s, &message);
	ck_assert_int_eq(status, UDS_ERR_INVALID_SNAPSHOT);
	ck_assert_msg(strstr(message.text, "the snapshot is invalid") != NULL, "%s", message.text);
}

static int count_range(void *context, uint64_t offset, uint64_t length)
{
	(void)offset;
	(void)length;
	++*(int *)context;
	return 0;
}

/* No room, and no mark: it is invalid as its status says, and the origin does not change. */
START_TEST(what_cannot_be_marked_invalid_is_not_used)
{
	static const struct setting set = { 4096, 512, 20 * 4096 };
	struct uds_snapshot_status status = UDS_SNAPSHOT_STATUS_INIT;
	struct world *w = start(&set, 4, 5); /* header, area, two chunks of data */
	uint8_t before[4096];
	uint64_t begin, found;
	int ranges = 0;

	open_world(w, false);
	ck_assert_int_eq(uds_snapshot_write(w->s, w->view, 4096, 0), 0);
	ck_assert_int_eq(uds_snapshot_write(w->s, w->view, 4096, 4096), 0);
	fault_plan_spoil(&w->cow_plan, FAULT_WRITE, 0, 512);
	if (_i == 0)
		ck_assert_int_eq(uds_snapshot_write(w->s, w->view, 4096, 8192), -EIO);
	ck_assert_int_eq(uds_snapshot_origin_read(w->s, before, 4096, 12288), 0);
	ck_assert_int_eq(uds_snapshot_origin_write(w->s, w->view, 4096, 12288), -EIO);
	ck_assert_int_eq(uds_snapshot_get_status(w->s, &status), 0);
	ck_assert_int_eq(status.state, UDS_SNAPSHOT_INVALID);
	/* Also of what it has. */
	ck_invalid(w, uds_snapshot_write(w->s, w->view, 4096, 0));
	ck_invalid(w, uds_snapshot_read(w->s, w->buffer, 4096, 0));
	ck_invalid(w, uds_snapshot_find_data(w->s, 0, &begin, &found));
	ck_invalid(w, uds_snapshot_for_each_difference(w->s, NULL, 0, set.size, false, count_range,
						       &ranges));
	ck_assert_int_eq(ranges, 0);
	ck_assert_int_eq(uds_snapshot_origin_read(w->s, w->buffer, 4096, 12288), 0);
	ck_assert_mem_eq(w->buffer, before, 4096);
	/* When it can be marked, the origin goes on. */
	fault_plan_start(&w->cow_plan);
	ck_assert_int_eq(uds_snapshot_origin_write(w->s, w->view, 4096, 12288), 0);
	ck_assert_int_eq(uds_snapshot_close(w->s), 0);
	open_world(w, false);
	ck_assert_int_eq(uds_snapshot_get_status(w->s, &status), 0);
	ck_assert_int_eq(status.state, UDS_SNAPSHOT_INVALID);
	end(w);
}
END_TEST

/*
 * One that is opened to read only, or to save what can be had, is not given up: its device
 * stays as it is.
 */
START_TEST(what_is_only_read_is_not_invalidated)
{
	static const struct setting set = { 4096, 512, 20 * 4096 };
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct world *w = start(&set, 50, 5);
	struct uds_snapshot_status status = UDS_SNAPSHOT_STATUS_INIT;
	struct uds_message message = { "" };

	options.read_only = _i == 0;
	options.salvage = _i == 1;
	ck_assert_int_eq(uds_snapshot_open(w->origin, w->cow, &options, NULL, &w->s), 0);
	ck_assert_int_eq(uds_snapshot_invalidate(w->s), UDS_ERR_READ_ONLY);
	uds_snapshot_error_message(w->s, &message);
	ck_assert_ptr_nonnull(strstr(message.text, "opened to read only"));
	ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, set.size, 0), 0);
	ck_assert_int_eq(uds_snapshot_close(w->s), 0);
	open_world(w, true);
	ck_assert_int_eq(uds_snapshot_get_status(w->s, &status), 0);
	ck_assert_uint_eq(status.state, UDS_SNAPSHOT_EMPTY);
	end(w);
}
END_TEST

/* After a write of @length bytes at @at said @done: that is what is there, and no byte more. */
static void check_done(struct world *w, const uint8_t *written, size_t length, uint64_t at,
		       size_t done, bool on_origin)
{
	size_t same = 0;
	int r;

	fault_plan_fail(&w->origin_plan, 0, 0, 0, false);
	fault_plan_fail(&w->cow_plan, 0, 0, 0, false);
	fault_plan_spoil(&w->origin_plan, 0, 0, 0);
	fault_plan_spoil(&w->cow_plan, 0, 0, 0);
	r = on_origin ? uds_snapshot_origin_read(w->s, w->buffer, length, at)
		      : uds_snapshot_read(w->s, w->buffer, length, at);
	ck_assert_int_eq(r, 0);
	while (same < length && w->buffer[same] == written[same])
		same++;
	ck_assert_uint_eq(done, same);
}

/* Bytes that all differ from what is there. */
static void make_written(struct world *w, uint8_t *bytes, size_t length, uint64_t at,
			 bool on_origin)
{
	int r = on_origin ? uds_snapshot_origin_read(w->s, bytes, length, at)
			  : uds_snapshot_read(w->s, bytes, length, at);

	ck_assert_int_eq(r, 0);
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)~bytes[i];
}

typedef int (*partial_fn)(struct uds_snapshot *snapshot, const void *buffer, size_t length,
			  uint64_t offset, size_t *ret_done);

/* Each operation of one write fails in turn, on either device. */
static void fail_each(const struct setting *set, partial_fn put, bool on_origin, bool on_cow,
		      uint64_t seed)
{
	uint8_t *written = malloc(MAX_SIZE);

	for (uint64_t n = 1;; n++) {
		struct world *w = start(set, 12 + set->size / set->chunk_bytes, seed);
		struct fault_plan *plan = on_cow ? &w->cow_plan : &w->origin_plan;
		size_t length = 4 * set->chunk_bytes + below(w, 4 * set->chunk_bytes), done = 99;
		uint64_t at = below(w, set->size - length);
		bool failed;
		int r;

		open_world(w, true);
		write_view(w, set->chunk_bytes, at & ~(uint64_t)(set->block_bytes - 1));
		make_written(w, written, length, at, on_origin);
		fault_plan_fail(plan, FAULT_READ | FAULT_CHANGE, n, -EIO, true);
		r = put(w->s, written, length, at, &done);
		failed = plan->failed > 0;
		ck_assert_int_eq(r, failed ? -EIO : 0);
		ck_assert(failed || done == length);
		check_done(w, written, length, at, done, on_origin);
		end(w);
		if (!failed)
			break;
	}
	free(written);
}

START_TEST(each_failing_operation_of_a_write_leaves_what_it_says)
{
	for (uint64_t seed = 1; seed < 2; seed++) {
		fail_each(&settings[_i], uds_snapshot_write_partial, false, true, seed);
		fail_each(&settings[_i], uds_snapshot_write_partial, false, false, seed);
		fail_each(&settings[_i], uds_snapshot_origin_write_partial, true, true, seed);
		fail_each(&settings[_i], uds_snapshot_origin_write_partial, true, false, seed);
	}
}
END_TEST

START_TEST(a_bad_block_in_the_middle_ends_a_write_there)
{
	const struct setting *set = &settings[_i];
	uint8_t *written = malloc(MAX_SIZE);

	for (uint64_t seed = 0; seed < 10; seed++) {
		struct world *w = start(set, 12 + set->size / set->chunk_bytes, seed + 50);
		uint64_t unit = set->block_bytes < 512 ? 512 : set->block_bytes;
		uint64_t bad = below(w, set->size - 2 * unit) & ~(unit - 1);
		size_t length = set->size, done;

		open_world(w, true);
		make_written(w, written, length, 0, true);
		if (seed % 2 == 0) {
			uint64_t place;

			/* All of it in place, on the COW device. */
			write_view(w, length, 0);
			make_written(w, written, length, 0, false);
			ck_assert(place_of(w, bad, &place));
			fault_plan_spoil(&w->cow_plan, FAULT_WRITE, place, unit);
			ck_assert_int_eq(
				uds_snapshot_write_partial(w->s, written, length, 0, &done), -EIO);
		} else {
			fault_plan_spoil(&w->origin_plan, FAULT_WRITE, bad, unit);
			ck_assert_int_eq(
				uds_snapshot_origin_write_partial(w->s, written, length, 0, &done),
				-EIO);
		}
		ck_assert_uint_eq(done, bad);
		check_done(w, written, length, 0, done, seed % 2 != 0);
		end(w);
	}
	free(written);
}
END_TEST

START_TEST(a_write_that_finds_no_room_says_how_much_is_in_the_snapshot)
{
	const struct setting *set = &settings[_i];
	uint8_t *written = malloc(MAX_SIZE);

	for (size_t chunks = 3; chunks < 9; chunks++) {
		struct world *w = start(set, chunks, chunks);
		uint64_t at = below(w, 2 * set->chunk_bytes);
		size_t length = set->size - at, done = 99;

		/* Kept: what fitted is there; a second write adds nothing. */
		open_world(w, true);
		make_written(w, written, length, at, false);
		ck_assert_int_eq(uds_snapshot_write_partial(w->s, written, length, at, &done),
				 UDS_ERR_SNAPSHOT_OVERFLOW);
		ck_assert(chunks == 3 || done > 0);
		check_done(w, written, length, at, done, false);
		ck_assert_int_eq(uds_snapshot_write_partial(w->s, written, length, at, &done),
				 UDS_ERR_SNAPSHOT_OVERFLOW);
		ck_assert_uint_eq(done, 0);
		end(w);
		/* Not kept: nothing is left of it. */
		w = start(set, chunks, chunks);
		open_world(w, false);
		done = 99;
		ck_assert_int_eq(uds_snapshot_write_partial(w->s, written, length, at, &done),
				 UDS_ERR_INVALID_SNAPSHOT);
		ck_assert_uint_eq(done, 0);
		/* The origin takes everything, without the snapshot. */
		ck_assert_int_eq(
			uds_snapshot_origin_write_partial(w->s, written, length, at, &done), 0);
		ck_assert_uint_eq(done, length);
		end(w);
	}
	free(written);
}
END_TEST

/* More than one window of four megabytes: what earlier ones did counts. */
START_TEST(windows_before_the_one_that_fails_count)
{
	static const struct setting set = { 65536, 512, 0 };
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	size_t size = 12 << 20, done = 0, room = 100;
	uint8_t *bytes = malloc(size), *got = malloc(size);
	struct world *w = start(&settings[0], 10, 1);
	struct uds_io *io;

	memset(bytes, 1, size);
	uds_io_close(w->origin);
	uds_io_close(w->cow);
	ck_assert_int_eq(uds_io_open_memory(size, 512, NULL, NULL, &io), 0);
	ck_assert_int_eq(fault_io_open(&w->origin_plan, io, NULL, &w->origin), 0);
	ck_assert_int_eq(uds_io_open_memory((room + 2) * 65536, 512, NULL, NULL, &io), 0);
	ck_assert_int_eq(fault_io_open(&w->cow_plan, io, NULL, &w->cow), 0);
	create.chunk_bytes = set.chunk_bytes;
	ck_assert_int_eq(uds_exception_store_format(w->cow, &create, NULL), 0);
	open_world(w, true);
	ck_assert_int_eq(uds_snapshot_write_partial(w->s, bytes, size, 0, &done),
			 UDS_ERR_SNAPSHOT_OVERFLOW);
	ck_assert_uint_eq(done, room * 65536);
	ck_assert_int_eq(uds_snapshot_read(w->s, got, size, 0), 0);
	ck_assert_mem_eq(got, bytes, done);
	for (size_t i = done; i < size; i++)
		ck_assert_uint_eq(got[i], 0);
	fault_plan_spoil(&w->origin_plan, FAULT_WRITE, (9 << 20) + 512, 512);
	ck_assert_int_eq(uds_snapshot_origin_write_partial(w->s, bytes, size, 0, &done), -EIO);
	ck_assert_uint_eq(done, (9 << 20) + 512);
	end(w);
	free(bytes);
	free(got);
}
END_TEST

/* A long read holds 64 MiB at a time, or less, up to where the origin prefers it. */
START_TEST(a_long_read_is_cut_where_the_origin_prefers_it)
{
	static const struct setting set = { 65536, 512, 0 };
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	size_t size = (size_t)66 << 20;
	struct world *w = start(&settings[0], 10, 1);
	uint8_t *got = malloc(size);
	struct trace trace;
	struct uds_io *io;

	trace_start(&trace);
	trace.reads = true;
	uds_io_close(w->origin);
	uds_io_close(w->cow);
	ck_assert_int_eq(uds_io_open_memory(size, 512, NULL, NULL, &io), 0);
	io->preferred_bytes = 5 << 20;
	w->origin = trace_io(&trace, 'o', io);
	ck_assert_int_eq(uds_io_open_memory(1 << 20, 512, NULL, NULL, &w->cow), 0);
	create.chunk_bytes = set.chunk_bytes;
	ck_assert_int_eq(uds_exception_store_format(w->cow, &create, NULL), 0);
	open_world(w, true);
	trace_clear(&trace);
	ck_assert_int_eq(uds_snapshot_read(w->s, got, size, 0), 0);
	ck_assert_str_eq(trace.text, "oR0+62914560 oR62914560+6291456 ");
	end(w);
	free(got);
}
END_TEST

START_TEST(a_refused_write_says_that_nothing_was_done)
{
	static const struct setting set = { 4096, 512, 20 * 4096 };
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct world *w = start(&set, 50, 5);
	size_t done = 99;

	open_world(w, true);
	ck_assert_int_eq(uds_snapshot_write_partial(w->s, w->view, 4096, 17 * 4096 + 1, &done), 0);
	ck_assert_uint_eq(done, 4096);
	ck_assert_int_eq(uds_snapshot_write_partial(w->s, w->view, 4096, 19 * 4096 + 1, &done),
			 UDS_ERR_OUT_OF_RANGE);
	ck_assert_uint_eq(done, 0);
	uds_snapshot_close(w->s);
	options.read_only = true;
	ck_assert_int_eq(uds_snapshot_open(w->origin, w->cow, &options, NULL, &w->s), 0);
	done = 99;
	ck_assert_int_eq(uds_snapshot_write_partial(w->s, w->view, 4096, 0, &done),
			 UDS_ERR_READ_ONLY);
	ck_assert_uint_eq(done, 0);
	done = 99;
	ck_assert_int_eq(uds_snapshot_origin_write_partial(w->s, w->view, 4096, 0, &done),
			 UDS_ERR_READ_ONLY);
	ck_assert_uint_eq(done, 0);
	end(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot partial");
	TCase *tc = tcase_create("partial");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, reading_ends_at_the_first_bad_block_and_salvage_goes_on, 0,
			    SETTINGS);
	tcase_add_loop_test(tc, a_device_that_is_cut_short_gives_all_that_is_on_it, 0, SETTINGS);
	tcase_add_test(tc, the_sentence_names_the_bad_entry_not_the_start_of_its_run);
	tcase_add_test(tc, metadata_is_not_read_as_content);
	tcase_add_test(tc, salvage_can_be_stopped_and_refuses_what_it_cannot_do);
	tcase_add_loop_test(tc, what_is_only_read_is_not_invalidated, 0, 2);
	tcase_add_loop_test(tc, what_cannot_be_marked_invalid_is_not_used, 0, 2);
	tcase_add_loop_test(tc, each_failing_operation_of_a_write_leaves_what_it_says, 0, SETTINGS);
	tcase_add_loop_test(tc, a_bad_block_in_the_middle_ends_a_write_there, 0, SETTINGS);
	tcase_add_loop_test(tc, a_write_that_finds_no_room_says_how_much_is_in_the_snapshot, 0,
			    SETTINGS);
	tcase_add_test(tc, windows_before_the_one_that_fails_count);
	tcase_add_test(tc, a_long_read_is_cut_where_the_origin_prefers_it);
	tcase_add_test(tc, a_refused_write_says_that_nothing_was_done);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
