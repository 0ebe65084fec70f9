/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes wrong is said: verify finds whatever keeps a save from being loaded, and a lookup that
 * could not read its page says which.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>
#include <uds/volume.h>

#include "check_main.h"
#include "fault_io.h"
#include "names.h"
#include "small_index.h"
#include "volume/layout.h"

#define SEED 77

static struct small_shape shape;

static void fill(struct uds_index *index, uint64_t records)
{
	for (uint64_t i = 0; i < records; i++) {
		struct uds_record_name name;
		struct uds_record_data data;
		bool found;

		make_name(SEED, i, &name);
		make_data('f', i, 1, &data);
		ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, &found), 0);
	}
}

static int count(void *context, const char *sentence)
{
	ck_assert_uint_gt(strlen(sentence), 20);
	++*(unsigned int *)context;
	return 0;
}

static uint64_t findings(struct uds_io *io)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	unsigned int told = 0;
	uint64_t found = 0;
	int r = uds_index_verify(io, &options, count, &told, &message, &found);

	ck_assert_msg(r == 0 || message.text[0] != '\0', "status %d without a sentence", r);
	ck_assert_uint_eq(told, found);
	return r < 0 ? 1 : found;
}

static bool loads(struct uds_io *io)
{
	struct uds_index *index;

	if (small_index_open(io, NULL, 1, UDS_INDEX_LOAD, NULL, &index) != 0)
		return false;
	uds_index_close(index);
	return true;
}

static int stop_at_once(void *context, const char *sentence)
{
	return count(context, sentence) + 1;
}

START_TEST(verify_ends_where_its_callback_wants)
{
	struct uds_index *index;
	struct uds_io *io;
	struct uds_volume_info info = UDS_VOLUME_INFO_INIT;
	const uint8_t page[4096] = { 0 };
	struct uds_volume *volume;
	struct uds_message message;
	uint64_t found = 99;
	unsigned int told = 0;

	small_index_shape(1, 4, &shape);
	ck_assert_int_eq(uds_io_open_memory(shape.bytes, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(small_index_create(&shape, io, NULL, NULL), 0);
	ck_assert_int_eq(small_index_open(io, NULL, 1, UDS_INDEX_LOAD, NULL, &index), 0);
	fill(index, 3 * shape.records + 20);
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_volume_open(io, NULL, &message, &volume), 0);
	ck_assert_int_eq(uds_volume_get_info(volume, &info), 0);
	uds_volume_close(volume);
	/* Two chapters of two pages lose their record pages. */
	ck_assert_int_eq(uds_io_write(io, page, sizeof(page), info.start + 4096), 0);
	ck_assert_int_eq(uds_io_write(io, page, sizeof(page), info.start + 3 * 4096), 0);
	ck_assert_uint_gt(findings(io), 1);
	ck_assert_int_eq(uds_index_verify(io, NULL, stop_at_once, &told, &message, &found),
			 UDS_ERR_STOPPED);
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(found, 99);
	ck_assert_uint_gt(strlen(message.text), 0);
	uds_io_close(io);
}
END_TEST

/*
 * A page map that is wrong about one border is wrong about the two pages beside it, and each is
 * named: in the first only the number of lists differs.
 */
START_TEST(verify_names_each_page_that_the_page_map_is_wrong_about)
{
	struct uds_message message;
	struct uds_index *index;
	struct layout layout;
	uint64_t place, found = 0;
	unsigned int told = 0;
	struct uds_io *io;
	uint8_t border[2];

	small_index_shape(16, 3, &shape);
	ck_assert_uint_ge(shape.index_pages, 2);
	ck_assert_int_eq(uds_io_open_memory(shape.bytes, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(small_index_create(&shape, io, NULL, NULL), 0);
	ck_assert_int_eq(small_index_open(io, NULL, 1, UDS_INDEX_LOAD, NULL, &index), 0);
	fill(index, shape.records + 20);
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_uint_eq(findings(io), 0);
	ck_assert_int_eq(layout_read(io, 0, &message, &layout), 0);
	/* Behind magic, and the chapter that was set last. */
	place = saves_latest_slot(&layout.saves)->save.page_map.offset + 16;
	ck_assert_int_eq(uds_io_read(io, border, sizeof(border), place), 0);
	border[0] ^= 1;
	ck_assert_int_eq(uds_io_write(io, border, sizeof(border), place), 0);
	ck_assert_int_eq(uds_index_verify(io, NULL, count, &told, &message, &found), 0);
	ck_assert_uint_eq(found, 2);
	uds_io_close(io);
}
END_TEST

/*
 * One byte changed anywhere outside the volume: where the save no longer loads, verify
 * has a finding.
 */
START_TEST(verify_finds_whatever_keeps_a_save_from_loading)
{
	struct uds_index *index;
	struct uds_io *io;
	unsigned int unloadable = 0;
	uint8_t byte;

	small_index_shape(1, 4, &shape);
	ck_assert_int_eq(uds_io_open_memory(shape.bytes, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(small_index_create(&shape, io, NULL, NULL), 0);
	ck_assert_int_eq(small_index_open(io, NULL, 1, UDS_INDEX_LOAD, NULL, &index), 0);
	fill(index, 2 * shape.records + 20);
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert(loads(io));
	ck_assert_uint_eq(findings(io), 0);
	for (uint64_t at = (uint64_t)_i * 37; at < shape.bytes; at += 997) {
		uint8_t other;

		ck_assert_int_eq(uds_io_read(io, &byte, 1, at), 0);
		other = byte ^ 0x10;
		ck_assert_int_eq(uds_io_write(io, &other, 1, at), 0);
		if (!loads(io)) {
			unloadable++;
			if (findings(io) == 0)
				ck_abort_msg("byte %llu: the save does not load, and verify has "
					     "no finding",
					     (unsigned long long)at);
		}
		ck_assert_int_eq(uds_io_write(io, &byte, 1, at), 0);
	}
	ck_assert_uint_gt(unloadable, 0);
	uds_io_close(io);
}
END_TEST

/* 0: a dense index; 1: a sparse one, whose cache tells the page of an old name. */
START_TEST(a_lookup_that_cannot_read_says_which_page)
{
	struct uds_geometry geometry = { .size = sizeof(geometry) };
	int r = 0;
	struct uds_message message = { "" };
	struct uds_record_data data;
	struct uds_record_name name;
	struct fault_plan plan;
	struct uds_index *index;
	struct uds_io *io;
	bool found, any_found = false;

	small_index_shape(32, 10, &shape);
	if (_i == 1) {
		shape.configuration.sparse_chapters_per_volume = 6;
		shape.configuration.sparse_sample_rate = 2;
		ck_assert_int_eq(uds_geometry_compute(&shape.configuration, NULL, &geometry), 0);
		shape.bytes = geometry.index_bytes;
	}
	fault_plan_start(&plan);
	ck_assert_int_eq(uds_io_open_memory(shape.bytes, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(fault_io_open(&plan, io, NULL, &io), 0);
	ck_assert_int_eq(small_index_create(&shape, io, NULL, NULL), 0);
	ck_assert_int_eq(small_index_open(io, NULL, 1, UDS_INDEX_LOAD, NULL, &index), 0);
	fill(index, 8 * (uint64_t)shape.records);
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(small_index_open(io, NULL, 1, UDS_INDEX_LOAD, NULL, &index), 0);
	/* The chapter comes into the sparse cache; few of its record pages are in memory. */
	for (uint64_t i = 0; i < 4; i++) {
		make_name(SEED, i, &name);
		ck_assert_int_eq(uds_index_query(index, &name, &data, &found), 0);
		any_found |= found;
	}
	ck_assert(any_found);
	fault_plan_fail(&plan, FAULT_READ, 1, -EIO, true);
	for (uint64_t i = 4; i < 40 && r == 0; i++) {
		make_name(SEED, i, &name);
		r = uds_index_query(index, &name, &data, &found);
	}
	ck_assert_int_eq(r, -EIO);
	uds_index_error_message(index, &message);
	ck_assert_msg(strstr(message.text, "page") != NULL, "says \"%s\"", message.text);
	fault_plan_fail(&plan, 0, 0, 0, false);
	ck_assert_int_eq(uds_index_query(index, &name, &data, &found), 0);
	ck_assert(found);
	ck_assert_int_eq(uds_index_close(index), 0);
	uds_io_close(io);
	fault_plan_end(&plan);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index findings");
	TCase *tc = tcase_create("findings");

	tcase_add_loop_test(tc, verify_finds_whatever_keeps_a_save_from_loading, 0, 4);
	tcase_add_test(tc, verify_names_each_page_that_the_page_map_is_wrong_about);
	tcase_add_test(tc, verify_ends_where_its_callback_wants);
	tcase_add_loop_test(tc, a_lookup_that_cannot_read_says_which_page, 0, 2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
