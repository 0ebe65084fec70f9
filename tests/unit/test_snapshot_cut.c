/* SPDX-License-Identifier: BSD-2-Clause */
/* Origins that end inside a chunk: reading, writing, looking, and what a merge says and does. */
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "check_main.h"
#include "fault_io.h"
#include "snap_image.h"

#define COW_CHUNKS 40u

static const struct setting {
	uint64_t chunk_bytes;
	uint64_t size; /* of the origin */
} settings[] = {
	{ 16384, 1000 },
	{ 16384, 1024 },
	{ 16384, 16383 },
	{ 16384, 16384 },
	{ 16384, 16385 },
	{ 16384, 5 * 16384 - 512 },
	{ 16384, 5 * 16384 + 512 },
	{ 4096, 1 },
	{ 4096, 511 },
	{ 4096, 512 },
	{ 4096, 3 * 4096 + 513 },
	{ 4096, 3 * 4096 },
	{ 512, 100 },
	{ 512, 1024 },
	{ 512, 1025 },
};
#define SETTINGS ((int)(sizeof(settings) / sizeof(settings[0])))

struct world {
	uint64_t chunk_bytes, size, last; /* the last chunk */
	struct fault_plan plan;
	struct uds_io *origin, *cow;
	struct uds_snapshot *s;
	uint8_t *old, *view, *buffer;
	unsigned int warnings;
	uint64_t writes_at_warning;
};

static void note_log(void *context, enum uds_log_level level, const char *sentence)
{
	struct world *w = context;

	if (level != UDS_LOG_WARNING || strstr(sentence, "drops the last") == NULL)
		return;
	w->warnings++;
	w->writes_at_warning = fault_plan_count(&w->plan, FAULT_CHANGE);
}

static void start(struct world *w, const struct setting *setting)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_env env = UDS_ENV_INIT;
	struct uds_io *io;

	memset(w, 0, sizeof(*w));
	w->chunk_bytes = setting->chunk_bytes;
	w->size = setting->size;
	w->last = (w->size - 1) / w->chunk_bytes;
	w->old = malloc(w->size);
	w->view = malloc(w->size);
	w->buffer = malloc(w->size);
	for (uint64_t i = 0; i < w->size; i++)
		w->old[i] = (uint8_t)(i * 7 + i / 512);
	memcpy(w->view, w->old, w->size);
	fault_plan_start(&w->plan);
	io = image_io(&(struct image){ w->old, w->size }, 1);
	ck_assert_int_eq(fault_io_open(&w->plan, io, NULL, &w->origin), 0);
	ck_assert_int_eq(uds_io_open_memory(COW_CHUNKS * w->chunk_bytes, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(fault_io_open(&w->plan, io, NULL, &w->cow), 0);
	create.chunk_bytes = w->chunk_bytes;
	ck_assert_int_eq(uds_exception_store_format(w->cow, &create, NULL), 0);
	env.log = note_log;
	env.context = w;
	options.env = &env;
	ck_assert_int_eq(uds_snapshot_open(w->origin, w->cow, &options, NULL, &w->s), 0);
}

static void end(struct world *w)
{
	uds_snapshot_close(w->s);
	uds_io_close(w->origin);
	uds_io_close(w->cow);
	fault_plan_end(&w->plan);
	free(w->old);
	free(w->view);
	free(w->buffer);
}

static void write_view(struct world *w, uint64_t offset, uint64_t length, int byte)
{
	memset(w->view + offset, byte, length);
	ck_assert_int_eq(uds_snapshot_write(w->s, w->view + offset, length, offset), 0);
}

static void check_view(struct world *w)
{
	ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, w->size, 0), 0);
	ck_assert_mem_eq(w->buffer, w->view, w->size);
	ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, 1, w->size), UDS_ERR_OUT_OF_RANGE);
}

static int note_end(void *context, uint64_t offset, uint64_t length)
{
	*(uint64_t *)context = offset + length;
	return 0;
}

START_TEST(the_last_chunk_is_as_long_as_the_origin)
{
	uint64_t range_end = 0;
	struct world w;

	start(&w, &settings[_i]);
	/* Copied out by a write to its last byte, then written itself. */
	memset(w.buffer, 0xee, 1);
	ck_assert_int_eq(uds_snapshot_origin_write(w.s, w.buffer, 1, w.size - 1), 0);
	check_view(&w);
	ck_assert_int_eq(uds_snapshot_origin_write(w.s, w.buffer, 2, w.size - 1),
			 UDS_ERR_OUT_OF_RANGE);
	write_view(&w, w.size - 1, 1, 0x11);
	check_view(&w);
	ck_assert_int_eq(
		uds_snapshot_for_each_changed_range(w.s, 0, UINT64_MAX, note_end, &range_end), 0);
	ck_assert_uint_eq(range_end, w.size);
	end(&w);
}
END_TEST

/* Both devices, to see that nothing changes. */
static void check_refused(struct world *w, int r, const struct image *origin,
			  const struct image *cow)
{
	struct image now = io_image(w->origin), then = io_image(w->cow);
	struct uds_message message;

	ck_assert_int_eq(r, UDS_ERR_OUT_OF_RANGE);
	uds_snapshot_error_message(w->s, &message);
	ck_assert_ptr_nonnull(strstr(message.text, "no multiple of 512"));
	check_same(&now, origin, "the origin");
	check_same(&then, cow, "the COW device");
	image_free(&now);
	image_free(&then);
}

/* Loop: settings. The last chunk has an exception. */
START_TEST(a_merge_that_cuts_a_chunk_says_so_first)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = UDS_MERGE_RESULT_INIT;
	struct image origin, cow;
	struct world w;
	uint64_t cut;
	bool odd;

	start(&w, &settings[_i]);
	write_view(&w, 0, w.size, 0x33);
	cut = (w.chunk_bytes - w.size % w.chunk_bytes) % w.chunk_bytes;
	odd = w.size % 512 != 0;
	origin = io_image(w.origin);
	cow = io_image(w.cow);
	fault_plan_fail(&w.plan, 0, 0, 0, false);
	options.dry_run = true;
	if (odd) {
		check_refused(&w, uds_snapshot_merge(w.s, &options, &result), &origin, &cow);
		ck_assert_uint_eq(result.bytes_cut, cut);
		check_refused(&w, uds_snapshot_merge(w.s, NULL, NULL), &origin, &cow);
		check_refused(&w, uds_snapshot_begin_merge(w.s), &origin, &cow);
		ck_assert_uint_eq(w.warnings, 0);
		write_view(&w, 0, 1, 0x34); /* it is a snapshot still */
		options.allow_cut = true;
	}
	fault_plan_fail(&w.plan, 0, 0, 0, false);
	ck_assert_int_eq(uds_snapshot_merge(w.s, &options, &result), 0);
	ck_assert_uint_eq(result.bytes_cut, cut);
	ck_assert_uint_eq(w.warnings, cut > 0);
	options.dry_run = false;
	ck_assert_int_eq(uds_snapshot_merge(w.s, &options, &result), 0);
	ck_assert_uint_eq(result.bytes_cut, cut);
	ck_assert_uint_eq(result.remaining, 0);
	ck_assert_uint_eq(w.warnings, cut > 0 ? 2 : 0);
	ck_assert_uint_eq(w.writes_at_warning, 0); /* both came before the first write */
	ck_assert_int_eq(uds_io_read(w.origin, w.buffer, w.size, 0), 0);
	ck_assert_mem_eq(w.buffer, w.view, w.size);
	image_free(&origin);
	image_free(&cow);
	end(&w);
}
END_TEST

START_TEST(a_merge_that_cuts_nothing_needs_no_force)
{
	struct uds_merge_result result = UDS_MERGE_RESULT_INIT;
	struct world w;

	start(&w, &settings[_i]);
	if (w.last > 0 || w.size % w.chunk_bytes == 0)
		write_view(&w, 0, w.chunk_bytes, 0x44);
	ck_assert_int_eq(uds_snapshot_merge(w.s, NULL, &result), 0);
	ck_assert_uint_eq(result.bytes_cut, 0);
	ck_assert_uint_eq(w.warnings, 0);
	end(&w);
}
END_TEST

/* The chunk behind the end is known to be bad, so nothing is written. */
static void check_not_written(struct uds_snapshot *s, uint64_t size)
{
	struct uds_message message;

	if (size > 0) {
		ck_assert_int_eq(uds_snapshot_write(s, "", 1, 0), UDS_ERR_CORRUPT);
		uds_snapshot_error_message(s, &message);
		ck_assert_ptr_nonnull(strstr(
			message.text, "1 exception for chunks behind the end of the origin"));
		ck_assert_int_eq(uds_snapshot_origin_write(s, "", 1, 0), UDS_ERR_CORRUPT);
		uds_snapshot_error_message(s, &message);
		ck_assert_ptr_nonnull(strstr(
			message.text, "1 exception for chunks behind the end of the origin"));
	}
	ck_assert_int_eq(uds_snapshot_begin_merge(s), UDS_ERR_OUT_OF_RANGE);
	uds_snapshot_error_message(s, &message);
	ck_assert_ptr_nonnull(strstr(message.text, "too small"));
}

START_TEST(an_origin_below_a_chunk_is_refused_also_with_force)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	static const struct setting whole = { 4096, 6 * 4096 };
	static const uint64_t sizes[] = { 0, 1, 4096, 5 * 4096 - 1, 5 * 4096, 5 * 4096 + 1 };
	struct uds_snapshot *s;
	struct uds_io *shorter;
	struct world w;

	start(&w, &whole);
	write_view(&w, 5 * 4096, 4096, 0x55);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t size = sizes[i];

		ck_assert_int_eq(uds_io_open_memory(size, 1, NULL, NULL, &shorter), 0);
		ck_assert_int_eq(uds_snapshot_open(shorter, w.cow, NULL, NULL, &s), 0);
		options.allow_cut = true;
		options.dry_run = true;
		/* One byte of the chunk is a chunk that is cut. */
		ck_assert_int_eq(uds_snapshot_merge(s, &options, NULL),
				 size > 5 * 4096 ? 0 : UDS_ERR_OUT_OF_RANGE);
		options.allow_cut = false;
		options.dry_run = i % 2 == 0;
		ck_assert_int_eq(uds_snapshot_merge(s, &options, NULL), UDS_ERR_OUT_OF_RANGE);
		if (size <= 5 * 4096)
			check_not_written(s, size);
		uds_snapshot_close(s);
		uds_io_close(shorter);
	}
	end(&w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot cut");
	TCase *tc = tcase_create("cut");

	tcase_add_loop_test(tc, the_last_chunk_is_as_long_as_the_origin, 0, SETTINGS);
	tcase_add_loop_test(tc, a_merge_that_cuts_a_chunk_says_so_first, 0, SETTINGS);
	tcase_add_loop_test(tc, a_merge_that_cuts_nothing_needs_no_force, 0, SETTINGS);
	tcase_add_test(tc, an_origin_below_a_chunk_is_refused_also_with_force);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
