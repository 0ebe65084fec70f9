/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Merging a snapshot of which a part cannot be had: refused with the first bad entry and all ranges
 * named, or, when asked for, everything else is merged and the origin keeps what it has there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "snap_image.h"
#include "torture_env.h"

#define MAX_CHUNKS 100u
#define COW_CHUNKS 140u

static const struct setting {
	uint64_t chunk_bytes;
	uint64_t size;
} settings[] = {
	{ 512, 90 * 512 }, /* three areas */
	{ 4096, 30 * 4096 },
	{ 4096, 30 * 4096 + 1024 },
};
#define SETTINGS ((int)(sizeof(settings) / sizeof(settings[0])))

/* Two areas, of two sectors each. */
static const struct setting two_sectors = { 1024, 90 * 1024 };

struct world {
	uint64_t chunk_bytes, size, chunks, random;
	struct fault_plan origin_plan, cow_plan;
	struct uds_io *origin, *cow;
	struct uds_snapshot *s;
	bool salvage; /* for opening */
	uint8_t *old, *view, *expected, *buffer;
	bool bad[MAX_CHUNKS];  /* cannot be had */
	bool told[MAX_CHUNKS]; /* by the callback */
	unsigned int ranges;
	uint64_t told_end;
	uint64_t changes_when_told;
	int stop_after; /* ranges; 0: never */
};

static void open_snapshot(struct world *w)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };

	options.salvage = w->salvage;
	ck_assert_msg(uds_snapshot_open(w->origin, w->cow, &options, &message, &w->s) == 0, "%s",
		      message.text);
}

/* With images that the world takes over. */
static void put_devices(struct world *w, struct image origin, struct image cow)
{
	struct uds_io *io;

	io = image_io(&origin, 1);
	ck_assert_int_eq(fault_io_open(&w->origin_plan, io, NULL, &w->origin), 0);
	io = image_io(&cow, 1);
	ck_assert_int_eq(fault_io_open(&w->cow_plan, io, NULL, &w->cow), 0);
	image_free(&origin);
	image_free(&cow);
}

static void close_all(struct world *w)
{
	uds_snapshot_close(w->s);
	uds_io_close(w->origin);
	uds_io_close(w->cow);
	w->s = NULL;
}

/* All chunks but each seventh have an exception, in an order that is not that of the origin. */
static void start(struct world *w, const struct setting *set)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_io *io;

	memset(w, 0, sizeof(*w));
	w->chunk_bytes = set->chunk_bytes;
	w->size = set->size;
	w->chunks = (w->size + w->chunk_bytes - 1) / w->chunk_bytes;
	w->random = 5;
	w->old = malloc(w->size);
	w->view = malloc(w->size);
	w->expected = malloc(w->size);
	w->buffer = malloc(w->size);
	for (uint64_t i = 0; i < w->size; i++)
		w->old[i] = (uint8_t)next_random(&w->random);
	memcpy(w->view, w->old, w->size);
	fault_plan_start(&w->origin_plan);
	fault_plan_start(&w->cow_plan);
	io = image_io(&(struct image){ w->old, w->size }, 1);
	ck_assert_int_eq(fault_io_open(&w->origin_plan, io, NULL, &w->origin), 0);
	ck_assert_int_eq(uds_io_open_memory(COW_CHUNKS * w->chunk_bytes, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(fault_io_open(&w->cow_plan, io, NULL, &w->cow), 0);
	create.chunk_bytes = w->chunk_bytes;
	ck_assert_int_eq(uds_exception_store_format(w->cow, &create, NULL), 0);
	open_snapshot(w);
	for (uint64_t k = 0; k < w->chunks; k++) {
		uint64_t chunk = (k / 3 * 3 * 7 + k % 3) % w->chunks, at = chunk * w->chunk_bytes;
		uint64_t length = w->size - at < w->chunk_bytes ? w->size - at : w->chunk_bytes;

		if (chunk % 7 == 6)
			continue;
		for (uint64_t i = 0; i < length; i++)
			w->view[at + i] = (uint8_t)next_random(&w->random);
		ck_assert_int_eq(uds_snapshot_write(w->s, w->view + at, length, at), 0);
	}
}

static void end(struct world *w)
{
	close_all(w);
	fault_plan_end(&w->origin_plan);
	fault_plan_end(&w->cow_plan);
	free(w->old);
	free(w->view);
	free(w->expected);
	free(w->buffer);
}

static bool new_chunk_of(struct world *w, uint64_t chunk, uint64_t *ret_new)
{
	return uds_exception_store_lookup(uds_snapshot_store(w->s), chunk, ret_new, NULL) == 1;
}

/* One sector of these chunks is bad; not of those without an exception. */
static void spoil(struct world *w, const uint64_t *chunks, size_t count)
{
	uint64_t new_chunk;

	for (size_t i = 0; i < count; i++) {
		if (chunks[i] >= w->chunks || !new_chunk_of(w, chunks[i], &new_chunk))
			continue;
		fault_plan_spoil(&w->cow_plan, FAULT_READ, new_chunk * w->chunk_bytes, 512);
		w->bad[chunks[i]] = true;
	}
}

/* What the origin must be in the end. */
static void expect(struct world *w)
{
	memcpy(w->expected, w->view, w->size);
	for (uint64_t i = 0; i < w->size; i++) {
		if (w->bad[i / w->chunk_bytes])
			w->expected[i] = w->old[i];
	}
}

static uint64_t bad_count(const struct world *w)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < w->chunks; i++)
		count += w->bad[i];
	return count;
}

static uint64_t changes(struct world *w)
{
	return fault_plan_count(&w->origin_plan, FAULT_CHANGE) +
	       fault_plan_count(&w->cow_plan, FAULT_CHANGE);
}

static int take_loss(void *context, const struct uds_snapshot_loss *loss)
{
	struct world *w = context;

	ck_assert_uint_eq(loss->size, sizeof(*loss));
	ck_assert(w->ranges == 0 || loss->offset >= w->told_end);
	ck_assert_uint_eq(loss->offset % w->chunk_bytes, 0);
	w->told_end = loss->offset + loss->length;
	ck_assert(w->told_end % w->chunk_bytes == 0 || w->told_end == w->size);
	ck_assert_ptr_nonnull(strstr(loss->sentence, "old chunk"));
	for (uint64_t at = loss->offset; at < w->told_end; at += w->chunk_bytes)
		w->told[at / w->chunk_bytes] = true;
	w->changes_when_told = changes(w);
	w->ranges++;
	return w->stop_after != 0 && (int)w->ranges >= w->stop_after;
}

static void check_told(struct world *w)
{
	for (uint64_t i = 0; i < w->chunks; i++)
		ck_assert_msg(w->told[i] == w->bad[i], "chunk %d", (int)i);
}

static int merge(struct world *w, struct uds_merge_options *options,
		 struct uds_merge_result *ret_result)
{
	struct uds_merge_result result = UDS_MERGE_RESULT_INIT;

	*ret_result = result;
	options->each_loss = take_loss;
	options->loss_context = w;
	w->ranges = 0;
	memset(w->told, 0, sizeof(w->told));
	return uds_snapshot_merge(w->s, options, ret_result);
}

static void check_origin(struct world *w)
{
	ck_assert_int_eq(uds_snapshot_origin_read(w->s, w->buffer, w->size, 0), 0);
	for (uint64_t i = 0; i < w->size; i++)
		ck_assert_msg(w->buffer[i] == w->expected[i], "byte %d, chunk %d", (int)i,
			      (int)(i / w->chunk_bytes));
}

static const uint64_t some[] = { 0, 3, 4, 5, 12, 17, 29, 30, 88 };
#define SOME (sizeof(some) / sizeof(some[0]))

/* Counted and told before anything is written; then everything but that is merged, in steps. */
static void check_salvage(struct world *w, uint64_t step)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result dry, real;
	uint64_t lost = 0, done = 0;
	bool first = true;

	expect(w);
	options.salvage = true;
	options.dry_run = true;
	fault_plan_fail(&w->origin_plan, 0, 0, 0, false);
	fault_plan_fail(&w->cow_plan, 0, 0, 0, false);
	ck_assert_int_eq(merge(w, &options, &dry), 0);
	check_told(w);
	ck_assert_uint_eq(changes(w), 0);
	ck_assert_uint_eq(dry.chunks_lost, bad_count(w));
	ck_assert_uint_eq(dry.remaining, 0);
	options.dry_run = false;
	options.limit = step;
	do {
		ck_assert_int_eq(merge(w, &options, &real), 0);
		if (first)
			check_told(w);
		if (w->ranges > 0)
			ck_assert_uint_eq(w->changes_when_told, 0);
		first = false;
		lost += real.chunks_lost;
		done += real.exceptions;
		/* The role is taken: it reads as it will be, with what is left out. */
		check_origin(w);
		ck_assert_int_eq(uds_snapshot_end_merge(w->s),
				 real.remaining > 0 && bad_count(w) > 0 ? UDS_ERR_BAD_STATE : 0);
	} while (real.remaining > 0);
	ck_assert_uint_eq(lost, bad_count(w));
	ck_assert_uint_eq(done, dry.exceptions);
	check_origin(w);
	uds_snapshot_close(w->s);
	w->salvage = false;
	open_snapshot(w);
	check_origin(w);
}

START_TEST(what_cannot_be_read_is_left_out)
{
	struct world w;

	for (uint64_t step = 0; step < 60; step += 40) {
		start(&w, &settings[_i]);
		spoil(&w, some, SOME);
		check_salvage(&w, step);
		end(&w);
	}
}
END_TEST

static struct image cut(struct world *w, uint64_t chunks)
{
	struct image cow = io_image(w->cow);

	cow.size = (size_t)(chunks * w->chunk_bytes);
	return cow;
}

/* A device that ends at @end chunks, where some sectors are bad too, and one chunk is an area. */
static void damage(struct world *w, uint64_t end_chunk)
{
	struct image origin = io_image(w->origin), cow = cut(w, end_chunk);
	uint64_t new_chunk, area_chunk = 1;

	for (uint64_t i = 0; i < w->chunks; i++)
		w->bad[i] = new_chunk_of(w, i, &new_chunk) && new_chunk >= end_chunk;
	/* Entry 4 of the list leads to area 0. */
	put_le64(cow.bytes + w->chunk_bytes + 4 * 16 + 8, area_chunk);
	new_chunk = get_le64(cow.bytes + w->chunk_bytes + 4 * 16);
	w->bad[new_chunk] = true;
	close_all(w);
	put_devices(w, origin, cow);
	open_snapshot(w);
}

START_TEST(what_leads_nowhere_is_left_out)
{
	struct world w;

	start(&w, &settings[_i]);
	w.salvage = true; /* as areas may be cut off too */
	damage(&w, w.chunk_bytes == 512 ? 80 : 12);
	spoil(&w, some, 2);
	check_salvage(&w, 0);
	end(&w);
}
END_TEST

START_TEST(a_refused_merge_names_the_first_bad_entry_and_all_that_is_lost)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result;
	struct uds_message message;
	struct image origin, cow, now;
	struct world w;
	uint64_t old_chunk;
	char text[64];

	start(&w, &settings[1]);
	damage(&w, 12);
	spoil(&w, some, 1);
	origin = io_image(w.origin);
	fault_plan_spoil(&w.cow_plan, FAULT_READ, 0, 0);
	cow = io_image(w.cow);
	for (int dry = 0; dry < 2; dry++) {
		options.dry_run = dry;
		ck_assert_int_eq(merge(&w, &options, &result), UDS_ERR_CORRUPT);
		ck_assert_uint_eq(result.exceptions, 0);
		w.bad[some[0]] = false; /* all ranges were taken back */
		check_told(&w);
		uds_snapshot_error_message(w.s, &message);
		old_chunk = get_le64(cow.bytes + w.chunk_bytes + 4 * 16);
		snprintf(text, sizeof(text),
			 "area 0, entry 4: old chunk %u -> new chunk 1: ", (unsigned int)old_chunk);
		ck_assert_msg(strstr(message.text, text) != NULL, "%s", message.text);
		snprintf(text, sizeof(text), "place of an area; and %u more",
			 (unsigned int)bad_count(&w) - 1);
		ck_assert_msg(strstr(message.text, text) != NULL, "%s", message.text);
	}
	/* The same sentence from the store, and from taking the role. */
	ck_assert_int_eq(uds_snapshot_begin_merge(w.s), UDS_ERR_CORRUPT);
	uds_snapshot_error_message(w.s, &message);
	ck_assert_ptr_nonnull(strstr(message.text, "entry 4: old chunk"));
	ck_assert_int_eq(uds_exception_store_prepare_merge(uds_snapshot_store(w.s), NULL, NULL),
			 UDS_ERR_CORRUPT);
	now = io_image(w.origin);
	check_same(&now, &origin, "the origin");
	image_free(&now);
	now = io_image(w.cow);
	check_same(&now, &cow, "the COW device");
	image_free(&now);
	/* Without the entry in the place of an area it is the first behind the end. */
	memset(cow.bytes + w.chunk_bytes + 4 * 16 + 8, 6, 1);
	image_free(&origin);
	origin = io_image(w.origin);
	close_all(&w);
	put_devices(&w, origin, cow);
	open_snapshot(&w);
	ck_assert_int_eq(merge(&w, &options, &result), UDS_ERR_CORRUPT);
	uds_snapshot_error_message(w.s, &message);
	ck_assert_msg(strstr(message.text, "entry 10: old chunk ") != NULL, "%s", message.text);
	ck_assert_ptr_nonnull(strstr(message.text,
				     "-> new chunk 12: the new chunk is behind the end of the "
				     "device, which has 49152 bytes"));
	end(&w);
}
END_TEST

/* What is written while it is merged stays, also in a chunk that is left out. */
START_TEST(writes_during_a_salvaged_merge_stay)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result;
	struct world w;

	start(&w, &settings[_i]);
	spoil(&w, some, SOME);
	expect(&w);
	options.salvage = true;
	options.limit = 1;
	ck_assert_int_eq(merge(&w, &options, &result), 0);
	for (uint64_t at = 100; at < w.size; at += w.chunk_bytes) {
		uint64_t length = at + 200 > w.size ? w.size - at : 200;

		memset(w.expected + at, (int)(at / w.chunk_bytes), length);
		ck_assert_int_eq(uds_snapshot_origin_write(w.s, w.expected + at, length, at), 0);
	}
	check_origin(&w);
	options.limit = 0;
	ck_assert_int_eq(merge(&w, &options, &result), 0);
	ck_assert_uint_eq(result.remaining, 0);
	check_origin(&w);
	ck_assert_int_eq(uds_snapshot_end_merge(w.s), 0);
	check_origin(&w);
	end(&w);
}
END_TEST

static int mend(void *context, const struct uds_snapshot_loss *loss)
{
	struct world *w = context;

	fault_plan_spoil(&w->cow_plan, FAULT_READ, 0, 0);
	return take_loss(context, loss);
}

START_TEST(what_can_be_had_again_by_then_is_merged)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = UDS_MERGE_RESULT_INIT;
	struct world w;

	start(&w, &settings[0]);
	spoil(&w, some, SOME);
	options.salvage = true;
	options.each_loss = mend;
	options.loss_context = &w;
	ck_assert_int_eq(uds_snapshot_merge(w.s, &options, &result), 0);
	ck_assert_uint_gt(w.ranges, 0);
	ck_assert_uint_eq(result.chunks_lost, 0);
	memcpy(w.expected, w.view, w.size);
	check_origin(&w);
	end(&w);
}
END_TEST

START_TEST(the_search_can_be_stopped_and_nothing_is_written_then)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result;
	struct world w;

	start(&w, &settings[0]);
	spoil(&w, some, SOME);
	fault_plan_fail(&w.origin_plan, 0, 0, 0, false);
	fault_plan_fail(&w.cow_plan, 0, 0, 0, false);
	options.salvage = true;
	for (w.stop_after = 1; w.stop_after < 4; w.stop_after++) {
		ck_assert_int_eq(merge(&w, &options, &result), UDS_ERR_STOPPED);
		ck_assert_uint_eq(changes(&w), 0);
		ck_assert_uint_eq(result.exceptions, 0);
	}
	/* It is a snapshot still, and without salvage a merge fails as ever. */
	ck_assert_int_eq(uds_snapshot_write(w.s, w.view + 512, 512, 512), 0);
	options.salvage = false;
	ck_assert_int_eq(merge(&w, &options, &result), -EIO);
	ck_assert_uint_eq(w.ranges, 0);
	end(&w);
}
END_TEST

/*
 * Whatever operation fails once: what a merge leaves out was told, and after a failure nothing is
 * lost.
 */
static bool check_failing(const struct setting *set, bool on_cow, uint64_t nth)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result;
	struct fault_plan *plan;
	struct world w;
	bool failed;
	int r;

	start(&w, set);
	spoil(&w, some, SOME);
	plan = on_cow ? &w.cow_plan : &w.origin_plan;
	options.salvage = true;
	options.round_bytes = 8 * w.chunk_bytes;
	fault_plan_fail(plan, FAULT_ANY, nth, -EIO, false);
	r = merge(&w, &options, &result);
	failed = fault_plan_count(plan, FAULT_ANY) >= nth;
	fault_plan_fail(plan, 0, 0, 0, false);
	if (r < 0) {
		uds_snapshot_close(w.s);
		open_snapshot(&w);
		ck_assert_int_eq(merge(&w, &options, &result), 0);
	}
	/* A read that fails once is made again in parts: nothing more is left out than told. */
	for (uint64_t i = 0; i < w.chunks; i++) {
		ck_assert(w.told[i] || !w.bad[i] || r < 0);
		w.bad[i] = w.bad[i] || w.told[i];
	}
	memcpy(w.expected, w.view, w.size);
	ck_assert_int_eq(uds_snapshot_origin_read(w.s, w.buffer, w.size, 0), 0);
	for (uint64_t i = 0; i < w.size; i++) {
		if (w.bad[i / w.chunk_bytes])
			ck_assert(w.buffer[i] == w.old[i] || w.buffer[i] == w.view[i]);
		else
			ck_assert_int_eq(w.buffer[i], w.view[i]);
	}
	end(&w);
	return failed;
}

START_TEST(each_failing_operation_loses_nothing_that_was_not_told)
{
	uint64_t nth = 1;

	while (check_failing(&settings[_i / 2], _i % 2 != 0, nth))
		nth += nth < 4 ? 1 : nth / 2;
	ck_assert_uint_gt(nth, 5);
}
END_TEST

/* Few allocations. */
static const struct setting small = { 512, 6 * 512 };

static int merge_in_need(const struct uds_env *env, void *context)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_snapshot_options open = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_merge_result result;
	struct world w;
	int r;

	(void)context;
	start(&w, &small);
	spoil(&w, some, SOME);
	expect(&w);
	uds_snapshot_close(w.s);
	w.s = NULL;
	options.salvage = true;
	open.env = env;
	r = uds_snapshot_open(w.origin, w.cow, &open, NULL, &w.s);
	if (r == 0)
		r = merge(&w, &options, &result);
	if (r < 0) {
		uds_snapshot_close(w.s);
		open_snapshot(&w);
		ck_assert_int_eq(merge(&w, &options, &result), 0);
	}
	check_origin(&w);
	end(&w);
	return r;
}

/* What the origin cannot give is written all the same: that may mend it. */
START_TEST(an_unreadable_origin_is_no_reason_to_fail_where_equal_chunks_are_skipped)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result;
	struct world w;

	start(&w, &settings[_i]);
	memcpy(w.expected, w.view, w.size);
	/* Some chunks are equal. */
	for (uint64_t at = 0; at + 8 * w.chunk_bytes < w.size; at += 9 * w.chunk_bytes) {
		uint64_t length = 2 * w.chunk_bytes;

		memcpy(w.expected + at, w.old + at, length);
		ck_assert_int_eq(uds_snapshot_write(w.s, w.old + at, length, at), 0);
	}
	for (uint64_t i = 0; i < 12; i++)
		fault_plan_spoil(&w.origin_plan, FAULT_READ, i * 5 / 2 * w.chunk_bytes, 512);
	options.skip_equal = true;
	ck_assert_int_eq(merge(&w, &options, &result), 0);
	ck_assert_uint_eq(result.remaining, 0);
	ck_assert_uint_eq(result.chunks_copied + result.chunks_equal, result.exceptions);
	fault_plan_spoil(&w.origin_plan, FAULT_READ, 0, 0);
	check_origin(&w);
	end(&w);
	/* One that cannot be written is. */
	start(&w, &settings[_i]);
	fault_plan_spoil(&w.origin_plan, FAULT_READ | FAULT_WRITE, w.chunk_bytes, 512);
	ck_assert_int_eq(merge(&w, &options, &result), -EIO);
	end(&w);
}
END_TEST

/*
 * The list cannot be read in an area, or that is not on the device any more: so many of its
 * entries are known.
 */
static void check_unknown_list(struct world *w, int status, uint64_t area, uint64_t known)
{
	struct uds_exception_store_status s = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct uds_snapshot_options open = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result;
	struct uds_message message = { "" };
	uint64_t new_chunk;
	char place[80];

	ck_assert_int_eq(uds_snapshot_open(w->origin, w->cow, &open, &message, &w->s), status);
	snprintf(place, sizeof(place), "area %llu", (unsigned long long)area);
	ck_assert_msg(strstr(message.text, place) != NULL, "%s", message.text);
	w->salvage = true;
	open_snapshot(w);
	uds_exception_store_get_status(uds_snapshot_store(w->s), &s);
	ck_assert_int_eq(s.list_status, status);
	ck_assert_uint_eq(s.exceptions, known);
	ck_assert_uint_eq(s.current_area, area);
	/* What is known is right; nothing is written to it. */
	for (uint64_t i = 0; i < w->chunks; i++)
		w->bad[i] = !new_chunk_of(w, i, &new_chunk);
	expect(w);
	ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, w->size, 0), 0);
	ck_assert_mem_eq(w->buffer, w->expected, w->size);
	ck_assert_int_lt(uds_snapshot_write(w->s, w->view + 6 * 512, 512, 6 * 512), 0);
	ck_assert_int_eq(merge(w, &options, &result), UDS_ERR_CORRUPT);
	uds_snapshot_error_message(w->s, &message);
	snprintf(place, sizeof(place), "entry %llu, in area %llu", (unsigned long long)known,
		 (unsigned long long)area);
	ck_assert_msg(strstr(message.text, place) != NULL, "%s", message.text);
	options.salvage = true;
	ck_assert_int_eq(merge(w, &options, &result), 0);
	ck_assert_uint_eq(result.exceptions, known);
	ck_assert_uint_eq(result.chunks_lost, 0);
	check_origin(w);
	uds_exception_store_get_status(uds_snapshot_store(w->s), &s);
	ck_assert_int_eq(s.list_status, 0);
	/* The list ends before that now. */
	uds_snapshot_close(w->s);
	w->salvage = status == -EIO; /* looking behind the list fails still */
	open_snapshot(w);
	check_origin(w);
}

START_TEST(a_list_that_cannot_be_read_on_is_known_up_to_there)
{
	struct image origin, cow;
	struct world w;

	start(&w, &settings[0]);
	uds_snapshot_close(w.s);
	fault_plan_spoil(&w.cow_plan, FAULT_READ, 34 * 512, 512);
	check_unknown_list(&w, -EIO, 1, 32);
	end(&w);

	start(&w, &settings[0]);
	origin = io_image(w.origin);
	cow = cut(&w, 34);
	close_all(&w);
	put_devices(&w, origin, cow);
	check_unknown_list(&w, UDS_ERR_CORRUPT, 1, 32);
	end(&w);
}
END_TEST

/*
 * Of an area with a bad sector the sectors before that are known, and all of a list that
 * ends in them.
 */
START_TEST(a_list_is_known_up_to_the_bad_sector_of_an_area)
{
	struct uds_exception_store_status s = UDS_EXCEPTION_STORE_STATUS_INIT, whole = s;
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result;
	struct world w;

	start(&w, &two_sectors);
	uds_snapshot_close(w.s);
	fault_plan_spoil(&w.cow_plan, FAULT_READ, 1024 + 512, 512);
	check_unknown_list(&w, -EIO, 0, 32);
	end(&w);

	start(&w, &two_sectors);
	uds_exception_store_get_status(uds_snapshot_store(w.s), &whole);
	ck_assert_uint_gt(whole.exceptions, 64);
	ck_assert_uint_lt(whole.exceptions, 64 + 32);
	uds_snapshot_close(w.s);
	fault_plan_spoil(&w.cow_plan, FAULT_READ, 66 * 1024 + 512, 512);
	w.salvage = true;
	open_snapshot(&w);
	uds_exception_store_get_status(uds_snapshot_store(w.s), &s);
	ck_assert_int_eq(s.list_status, 0);
	ck_assert_uint_eq(s.exceptions, whole.exceptions);
	ck_assert_int_eq(uds_snapshot_read(w.s, w.buffer, w.size, 0), 0);
	ck_assert_mem_eq(w.buffer, w.view, w.size);
	ck_assert_int_eq(merge(&w, &options, &result), 0);
	ck_assert_uint_eq(result.exceptions, whole.exceptions);
	expect(&w);
	check_origin(&w);
	end(&w);
}
END_TEST

/*
 * The same where the device ends inside an area, the first one too; nothing is left of
 * the data then.
 */
START_TEST(a_list_is_known_up_to_the_end_of_the_device)
{
	static const struct {
		size_t bytes;
		uint64_t known;
	} cuts[] = {
		{ 512, 0 }, { 1024, 0 }, { 1024 + 511, 0 }, { 1024 + 512, 32 }, { 1024 + 1000, 32 }
	};
	struct uds_exception_store_status s = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct uds_snapshot_options open = UDS_SNAPSHOT_OPTIONS_INIT;
	struct image origin, cow;
	uint64_t lost;
	struct world w;

	start(&w, &two_sectors);
	origin = io_image(w.origin);
	cow = io_image(w.cow);
	cow.size = cuts[_i].bytes;
	close_all(&w);
	put_devices(&w, origin, cow);
	ck_assert_int_eq(uds_snapshot_open(w.origin, w.cow, &open, NULL, &w.s), UDS_ERR_CORRUPT);
	w.salvage = true;
	open_snapshot(&w);
	uds_exception_store_get_status(uds_snapshot_store(w.s), &s);
	ck_assert_int_eq(s.list_status, UDS_ERR_CORRUPT);
	ck_assert_uint_eq(s.exceptions, cuts[_i].known);
	ck_assert_int_eq(uds_snapshot_salvage(w.s, w.buffer, w.size, 0, NULL, NULL, &lost), 0);
	ck_assert_uint_eq(lost, cuts[_i].known * w.chunk_bytes);
	end(&w);
}
END_TEST

START_TEST(an_unreadable_first_area_says_that_nothing_is_known)
{
	struct uds_exception_store_status s = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct world w;

	start(&w, &settings[1]);
	uds_snapshot_close(w.s);
	fault_plan_spoil(&w.cow_plan, FAULT_READ, 4096, 512);
	w.salvage = true;
	open_snapshot(&w);
	uds_exception_store_get_status(uds_snapshot_store(w.s), &s);
	ck_assert_int_eq(s.list_status, -EIO);
	ck_assert_uint_eq(s.exceptions, 0);
	end(&w);
}
END_TEST

START_TEST(each_failing_allocation_is_an_error)
{
	ck_assert_uint_gt(torture_each_allocation(merge_in_need, NULL, true), 8);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("merge salvage");
	TCase *tc = tcase_create("salvage");

	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, what_cannot_be_read_is_left_out, 0, SETTINGS);
	tcase_add_loop_test(tc, what_leads_nowhere_is_left_out, 0, SETTINGS);
	tcase_add_test(tc, a_refused_merge_names_the_first_bad_entry_and_all_that_is_lost);
	tcase_add_loop_test(tc, writes_during_a_salvaged_merge_stay, 0, SETTINGS);
	tcase_add_test(tc, what_can_be_had_again_by_then_is_merged);
	tcase_add_test(tc, the_search_can_be_stopped_and_nothing_is_written_then);
	tcase_add_loop_test(tc, each_failing_operation_loses_nothing_that_was_not_told, 0,
			    2 * SETTINGS);
	tcase_add_loop_test(
		tc, an_unreadable_origin_is_no_reason_to_fail_where_equal_chunks_are_skipped, 0,
		SETTINGS);
	tcase_add_test(tc, a_list_that_cannot_be_read_on_is_known_up_to_there);
	tcase_add_test(tc, a_list_is_known_up_to_the_bad_sector_of_an_area);
	tcase_add_loop_test(tc, a_list_is_known_up_to_the_end_of_the_device, 0, 5);
	tcase_add_test(tc, an_unreadable_first_area_says_that_nothing_is_known);
	tcase_add_test(tc, each_failing_allocation_is_an_error);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
