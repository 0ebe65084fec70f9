/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The snapshot device against two plain arrays, origin and view: random reads and writes of both
 * sides with merges, stops, overflows and re-opening in between.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "check_main.h"
#include "snap_image.h"

struct setting {
	size_t chunk_bytes;
	uint32_t block_bytes;
	size_t size; /* of the origin */
	size_t cow_chunks;
	size_t longest; /* write */
	bool keep_on_overflow;
	bool transient;
};

static const struct setting settings[] = {
	{ 512, 1, 60 * 512 + 100, 200, 2000, false, false },
	{ 512, 512, 100 * 512, 70, 3000, true, false },
	{ 4096, 512, 40 * 4096 + 1024, 60, 20000, false, false },
	{ 4096, 1, 40 * 4096 + 77, 30, 9000, true, false },
	{ 4096, 4096, 40 * 4096, 30, 30000, false, false },
	{ 16384, 512, 20 * 16384 + 512, 40, 50000, false, false },
	{ 1024, 1, 80 * 1024 + 3, 60, 5000, false, true },
	{ 65536, 1, 300, 3, 300, false, false },
};

struct world {
	const struct setting *setting;
	struct uds_io *origin_io;
	struct uds_io *cow_io;
	struct uds_snapshot *s;
	uint8_t *origin;
	uint8_t *view;
	uint8_t *buffer;
	uint64_t random;
	bool merging;
	unsigned int overflows;
	unsigned int merges;
};

static void open_world(struct world *w)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };

	options.keep_on_overflow = w->setting->keep_on_overflow;
	options.queue_depth = 4;
	if (w->setting->transient)
		options.transient_chunk_bytes = w->setting->chunk_bytes;
	ck_assert_msg(uds_snapshot_open(w->origin_io, w->cow_io, &options, &message, &w->s) == 0,
		      "%s", message.text);
	w->merging = false;
}

/* A fresh snapshot of the origin as it is. */
static void new_snapshot(struct world *w)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;

	uds_snapshot_close(w->s);
	create.chunk_bytes = w->setting->chunk_bytes;
	create.force = true;
	if (!w->setting->transient)
		ck_assert_int_eq(uds_exception_store_format(w->cow_io, &create, NULL), 0);
	memcpy(w->view, w->origin, w->setting->size);
	open_world(w);
}

static bool has_exception(struct world *w, size_t chunk)
{
	uint64_t new_chunk;

	return uds_exception_store_lookup(uds_snapshot_store(w->s), chunk, &new_chunk, NULL) == 1;
}

/* What the kernel's snapshot-merge does with a write: chunk by chunk. */
static void model_merging_write(struct world *w, size_t offset, size_t length)
{
	size_t chunk_bytes = w->setting->chunk_bytes;

	for (size_t i = 0; i < length; i++) {
		w->view[offset + i] = w->buffer[i];
		if (i == 0 || (offset + i) % chunk_bytes == 0) {
			size_t end = ((offset + i) / chunk_bytes + 1) * chunk_bytes - offset;

			if (end > length)
				end = length;
			if (!has_exception(w, (offset + i) / chunk_bytes))
				memcpy(w->origin + offset + i, w->buffer + i, end - i);
		}
	}
}

static void pick(struct world *w, size_t *offset, size_t *length)
{
	size_t size = w->setting->size;

	*length = next_random(&w->random) % w->setting->longest + 1;
	if (*length > size)
		*length = size;
	*offset = next_random(&w->random) % (size - *length + 1);
	if (next_random(&w->random) % 3 == 0) {
		*offset -= *offset % w->setting->chunk_bytes;
		*length = w->setting->chunk_bytes < size - *offset ? w->setting->chunk_bytes
								   : size - *offset;
	}
}

static void fill_random(struct world *w, size_t length)
{
	uint64_t word = next_random(&w->random);

	for (size_t i = 0; i < length; i++)
		w->buffer[i] = (uint8_t)(word >> i % 8 * 8 ^ i / 8);
}

static void step_origin_write(struct world *w)
{
	size_t offset, length;

	pick(w, &offset, &length);
	fill_random(w, length);
	if (w->merging)
		model_merging_write(w, offset, length);
	ck_assert_int_eq(uds_snapshot_origin_write(w->s, w->buffer, length, offset), 0);
	if (!w->merging)
		memcpy(w->origin + offset, w->buffer, length);
}

static void step_view_write(struct world *w)
{
	size_t chunk_bytes = w->setting->chunk_bytes, offset, length, done = 0;
	struct uds_snapshot_status status = { .size = sizeof(status) };
	int r;

	pick(w, &offset, &length);
	fill_random(w, length);
	r = uds_snapshot_write(w->s, w->buffer, length, offset);
	if (w->merging) {
		ck_assert_int_eq(r, UDS_ERR_BAD_STATE);
		return;
	}
	if (r == 0) {
		memcpy(w->view + offset, w->buffer, length);
		return;
	}
	w->overflows++;
	uds_snapshot_get_status(w->s, &status);
	if (!w->setting->keep_on_overflow || r == UDS_ERR_INVALID_SNAPSHOT) {
		/* With keep_on_overflow an earlier write to the origin has done it. */
		ck_assert_int_eq(r, UDS_ERR_INVALID_SNAPSHOT);
		ck_assert_int_eq(status.state, UDS_SNAPSHOT_INVALID);
		return;
	}
	ck_assert_int_eq(r, UDS_ERR_SNAPSHOT_OVERFLOW);
	ck_assert_int_eq(status.state, UDS_SNAPSHOT_OVERFLOW);
	/* Some first chunks of the request may have been written, in whole. */
	ck_assert_int_eq(uds_snapshot_read(w->s, w->view + w->setting->size, length, offset), 0);
	while (done < length) {
		size_t part = chunk_bytes - (offset + done) % chunk_bytes;

		if (part > length - done)
			part = length - done;
		if (memcmp(w->view + w->setting->size + done, w->buffer + done, part) != 0)
			break;
		memcpy(w->view + offset + done, w->buffer + done, part);
		done += part;
	}
}

static void check_bytes(const struct world *w, const uint8_t *expected, size_t offset,
			size_t length, const char *what)
{
	for (size_t i = 0; i < length; i++) {
		if (w->buffer[i] != expected[offset + i])
			ck_abort_msg("%s: byte %zu of %zu+%zu, setting %zu", what, i, offset,
				     length, (size_t)(w->setting - settings));
	}
}

static void step_read(struct world *w, bool all)
{
	struct uds_snapshot_status status = { .size = sizeof(status) };
	size_t offset, length;

	uds_snapshot_get_status(w->s, &status);
	pick(w, &offset, &length);
	if (all) {
		offset = 0;
		length = w->setting->size;
	}
	if (status.state == UDS_SNAPSHOT_INVALID) {
		ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, length, offset),
				 UDS_ERR_INVALID_SNAPSHOT);
	} else {
		ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, length, offset), 0);
		check_bytes(w, w->view, offset, length, "view");
	}
	ck_assert_int_eq(uds_snapshot_origin_read(w->s, w->buffer, length, offset), 0);
	check_bytes(w, w->merging ? w->view : w->origin, offset, length, "origin");
}

/* A part of the list is merged: where an exception is gone, the origin has the view. */
static void step_merge(struct world *w)
{
	struct uds_merge_result result = { .size = sizeof(result) };
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	size_t chunk_bytes = w->setting->chunk_bytes;
	size_t chunks = (w->setting->size + chunk_bytes - 1) / chunk_bytes;
	bool *before = calloc(chunks, sizeof(*before));

	for (size_t c = 0; c < chunks; c++)
		before[c] = has_exception(w, c);
	options.allow_cut = true; /* some origins end inside a chunk */
	options.limit = next_random(&w->random) % 20;
	options.round_bytes = (1 + next_random(&w->random) % 8) * chunk_bytes;
	options.skip_equal = next_random(&w->random) % 2 == 0;
	ck_assert_int_eq(uds_snapshot_merge(w->s, &options, &result), 0);
	ck_assert_uint_eq(result.chunks_copied + result.chunks_equal + result.chunks_hidden,
			  result.exceptions);
	w->merging = true;
	w->merges++;
	for (size_t c = 0; c < chunks; c++) {
		size_t at = c * chunk_bytes;
		size_t length =
			w->setting->size - at < chunk_bytes ? w->setting->size - at : chunk_bytes;

		if (before[c] && !has_exception(w, c))
			memcpy(w->origin + at, w->view + at, length);
	}
	free(before);
}

static void step_other(struct world *w)
{
	struct uds_snapshot_status status = { .size = sizeof(status) };

	uds_snapshot_get_status(w->s, &status);
	if (status.state == UDS_SNAPSHOT_INVALID) {
		if (next_random(&w->random) % 4 == 0)
			new_snapshot(w);
		return;
	}
	switch (next_random(&w->random) % 6) {
	case 0:
		if (!w->setting->transient) {
			ck_assert_int_eq(uds_snapshot_close(w->s), 0);
			open_world(w);
		}
		break;
	case 1:
		ck_assert_int_eq(uds_snapshot_flush(w->s), 0);
		break;
	case 2:
		ck_assert_int_eq(uds_snapshot_end_merge(w->s), 0);
		w->merging = false;
		break;
	case 3:
	case 4:
		if (!w->setting->transient)
			step_merge(w);
		else
			ck_assert_int_eq(uds_snapshot_merge(w->s, NULL, NULL), UDS_ERR_BAD_STATE);
		break;
	default:
		if (next_random(&w->random) % 20 == 0)
			new_snapshot(w);
	}
}

START_TEST(device_is_what_two_arrays_would_be)
{
	struct world w = { .setting = &settings[_i], .random = 4711 + (uint64_t)_i };
	size_t size = w.setting->size;
	/* Fewer may have no merge. */
	int steps = test_scaled(2500) < 250 ? 250 : (int)test_scaled(2500);

	w.origin = malloc(size);
	w.view = malloc(2 * size);
	w.buffer = malloc(size);
	for (size_t i = 0; i < size; i++)
		w.origin[i] = (uint8_t)next_random(&w.random);
	w.origin_io = image_io(&(struct image){ w.origin, size }, w.setting->block_bytes);
	ck_assert_int_eq(uds_io_open_memory(w.setting->cow_chunks * w.setting->chunk_bytes,
					    w.setting->block_bytes, NULL, NULL, &w.cow_io),
			 0);
	new_snapshot(&w);
	for (int step = 0; step < steps; step++) {
		uint64_t what = next_random(&w.random) % 20;

		if (what < 5)
			step_origin_write(&w);
		else if (what < 11)
			step_view_write(&w);
		else if (what < 17)
			step_read(&w, step % 16 == 0);
		else
			step_other(&w);
	}
	step_read(&w, true);
	ck_assert(w.setting->transient || (uint64_t)w.merges >= test_scaled(11));
	uds_snapshot_close(w.s);
	uds_io_close(w.origin_io);
	uds_io_close(w.cow_io);
	free(w.origin);
	free(w.view);
	free(w.buffer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot model");
	TCase *tc = tcase_create("model");

	tcase_add_loop_test(tc, device_is_what_two_arrays_would_be, 0,
			    (int)(sizeof(settings) / sizeof(settings[0])));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
