/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A chapter of which only a part got to the device, over the chapter that was in its slot before:
 * any part, in sectors of 512 bytes or blocks of 4 KiB, of index pages and record pages. Unless
 * all of it is there it is no chapter: a recovery leaves it out, what is stored and saved then is
 * found again, and verify has no finding. And it must not be forgotten that it is none, so
 * everything is done twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "check_main.h"
#include "names.h"
#include "torture_env.h"
#include "trace_io.h"
#include "volume/layout.h"
#include "volume/volume.h"

#define SEED 77

struct image {
	struct uds_configuration configuration;
	struct layout layout;
	uint8_t *before, *after, *torn; /* without the chapter, with it, with a part of it */
	size_t size, chapter_at, chapter_bytes;
	uint64_t records; /* posted when the chapter is closed */
	uint64_t earlier; /* one in the chapter before */
	uint64_t vcn;	  /* of the chapter */
};

static struct uds_io *io_of(const uint8_t *bytes, size_t size)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(size, 512, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_write(io, bytes, size, 0), 0);
	return io;
}

static struct uds_index *open_as(struct uds_io *io, enum uds_index_mode mode, const char *place)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_index *index = NULL;
	int r;

	options.mode = mode;
	r = uds_index_open(io, &options, &message, &index);
	ck_assert_msg(r == 0, "%s: %s", place, message.text);
	return index;
}

static void post(struct uds_index *index, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(SEED, i, &name);
		make_data('n', i, 1, &data);
		ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, NULL), 0);
	}
}

static bool finds(struct uds_index *index, uint64_t i)
{
	struct uds_record_data data, expected;
	struct uds_record_name name;
	bool found = false;

	make_name(SEED, i, &name);
	make_data('n', i, 1, &expected);
	ck_assert_int_eq(uds_index_peek(index, &name, &data, &found), 0);
	if (found)
		ck_assert_mem_eq(&data, &expected, sizeof(data));
	return found;
}

static uint8_t *copy_of(struct uds_io *io, size_t size)
{
	uint8_t *bytes = malloc(size);

	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(uds_io_read(io, bytes, size, 0), 0);
	return bytes;
}

/* An index whose next chapter comes into a slot that was used before. */
static void make_image(struct image *image, uint32_t page_bytes, uint32_t record_pages, bool extras)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message = { "" };
	struct uds_index *index;
	struct uds_io *io;
	uint64_t size, per_chapter = (uint64_t)page_bytes / UDS_RECORD_BYTES * record_pages;

	memset(image, 0, sizeof(*image));
	c.page_bytes = page_bytes;
	c.record_pages_per_chapter = record_pages;
	c.chapters_per_volume = 4;
	ck_assert_int_eq(uds_io_open_memory(0, 512, NULL, NULL, &io), 0);
	options.no_extras = !extras;
	ck_assert_int_eq(uds_index_format(io, &c, &options, &message), 0);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	image->size = size;
	index = open_as(io, UDS_INDEX_LOAD_OR_RECOVER, "made");
	image->vcn = 5;
	image->records = 6 * per_chapter;
	image->earlier = 5 * per_chapter - 1;
	post(index, 0, 5 * per_chapter);
	ck_assert_int_eq(uds_index_flush(index), 0);
	image->before = copy_of(io, image->size);
	post(index, 5 * per_chapter, image->records);
	ck_assert_int_eq(uds_index_close(index), 0);
	image->after = copy_of(io, image->size);
	image->torn = copy_of(io, image->size);
	ck_assert_int_eq(layout_read(io, 0, &message, &image->layout), 0);
	image->chapter_bytes = (size_t)image->layout.geometry.pages_per_chapter *
			       image->layout.geometry.page_bytes;
	image->chapter_at =
		layout_volume_offset(&image->layout) +
		geometry_physical_page(
			&image->layout.geometry,
			geometry_physical_chapter(&image->layout.geometry, image->vcn), 0) *
			image->layout.geometry.page_bytes;
	ck_assert_int_eq(uds_io_close(io), 0);
}

static void free_image(struct image *image)
{
	free(image->before);
	free(image->after);
	free(image->torn);
}

static int report_finding(void *context, const char *sentence)
{
	(void)context;
	fprintf(stderr, "finding: %s\n", sentence);
	return 0;
}

/* Stores one more, saves, and finds it and what was there before. Chapter @newest is open. */
static void save_and_find(const struct image *image, struct uds_io *io, struct uds_index *index,
			  uint64_t i, uint64_t newest, const char *place)
{
	struct uds_index_statistics statistics = { .size = sizeof(statistics) };
	struct uds_message message = { "" };
	uint64_t findings = 0;
	int r;

	ck_assert_int_eq(uds_index_get_statistics(index, &statistics), 0);
	ck_assert_msg(statistics.open_chapter == newest, "%s: chapter %llu is open", place,
		      (unsigned long long)statistics.open_chapter);
	post(index, i, i + 1);
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	r = uds_index_verify(io, NULL, report_finding, NULL, &message, &findings);
	ck_assert_msg(r == 0 && findings == 0, "%s: %llu findings %s", place,
		      (unsigned long long)findings, message.text);
	index = open_as(io, UDS_INDEX_LOAD, place);
	ck_assert_msg(finds(index, i), "%s: what was saved is gone", place);
	ck_assert_msg(finds(index, image->earlier), "%s: what was there before is gone", place);
	ck_assert_int_eq(uds_index_close(index), 0);
}

/* @whole: all of the chapter's bytes that differ are there. */
static void recover_torn(const struct image *image, bool whole, const char *place)
{
	uint64_t newest = image->vcn + whole;
	struct uds_io *io = io_of(image->torn, image->size);
	struct uds_index *index;

	index = open_as(io, UDS_INDEX_READ_ONLY, place);
	ck_assert_msg(finds(index, image->records - 1) == whole, "%s: the chapter is %s", place,
		      whole ? "gone" : "there");
	ck_assert_int_eq(uds_index_close(index), 0);
	index = open_as(io, UDS_INDEX_LOAD_OR_RECOVER, place);
	save_and_find(image, io, index, image->records + 1, newest, place);
	index = open_as(io, UDS_INDEX_LOAD_OR_RECOVER, place);
	save_and_find(image, io, index, image->records + 2, newest, place);
	ck_assert_int_eq(uds_io_close(io), 0);
}

/* Puts what the device has of the chapter together: of each unit the new bytes, or the old ones. */
static bool tear(struct image *image, size_t unit,
		 bool (*is_new)(size_t i, size_t n, uint64_t seed), uint64_t seed)
{
	size_t units = image->chapter_bytes / unit;
	bool whole = true;

	for (size_t i = 0; i < units; i++) {
		size_t at = image->chapter_at + i * unit;
		const uint8_t *from = is_new(i, units, seed) ? image->after : image->before;

		memcpy(image->torn + at, from + at, unit);
	}
	/* The checksums of a chapter are not written before all of it is durable. */
	if (image->layout.extras.present)
		memcpy(image->torn + image->layout.extras.start,
		       image->before + image->layout.extras.start,
		       image->size - image->layout.extras.start);
	/* What is behind the last list of an index page means nothing, and is zero both times. */
	if (memcmp(image->torn + image->chapter_at, image->after + image->chapter_at,
		   image->chapter_bytes) != 0)
		whole = false;
	return whole;
}

static bool first_units(size_t i, size_t n, uint64_t seed)
{
	return i < seed % n;
}

static bool last_units(size_t i, size_t n, uint64_t seed)
{
	return i >= seed % n;
}

static bool all_but_one(size_t i, size_t n, uint64_t seed)
{
	return i != seed % n;
}

static bool half_of_them(size_t i, size_t n, uint64_t seed)
{
	(void)n;
	return (splitmix64(seed, i) & 1) != 0;
}

static const struct {
	const char *what;
	bool (*is_new)(size_t i, size_t n, uint64_t seed);
} ways[] = {
	{ "the first units are there", first_units },
	{ "the last units are there", last_units },
	{ "one unit is missing", all_but_one },
	{ "half of the units are missing", half_of_them },
};

/*
 * One index page and two record pages; two index pages; pages larger than a block. All with
 * and without extras.
 */
static const struct {
	uint32_t page_bytes, record_pages;
	bool extras;
} shapes[] = {
	{ 4096, 2, false }, { 4096, 24, false }, { 16384, 2, false },
	{ 4096, 2, true },  { 4096, 24, true },	 { 16384, 2, true },
};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

START_TEST(a_chapter_that_is_not_there_as_a_whole_is_no_chapter)
{
	unsigned int most = (unsigned int)test_scaled(10), states = 0, torn = 0;
	size_t unit = _i % 2 == 0 ? 512 : 4096;
	struct image image;

	make_image(&image, shapes[_i / 2].page_bytes, shapes[_i / 2].record_pages,
		   shapes[_i / 2].extras);
	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		size_t units = image.chapter_bytes / unit;
		/* The index pages' units are taken all the more since they are the first. */
		size_t step = units > most ? units / most : 1;

		for (size_t n = (way + (size_t)_i) % test_step() % units; n < units;
		     n += n < 8 ? test_step() : step) {
			bool whole = tear(&image, unit, ways[way].is_new, n);
			char place[200];

			snprintf(place, sizeof(place),
				 "%u record pages of %u bytes, %s extras, units of %zu, %s, number "
				 "%zu of %zu",
				 shapes[_i / 2].record_pages, shapes[_i / 2].page_bytes,
				 shapes[_i / 2].extras ? "with" : "no", unit, ways[way].what, n,
				 units);
			recover_torn(&image, whole, place);
			states++;
			torn += !whole;
		}
	}
	printf("units of %zu bytes: %u states, %u torn\n", unit, states, torn);
	/* A part of them may be one less than its share. */
	ck_assert_uint_gt((torn + (test_step() > 1)) * test_step(), 10);
	free_image(&image);
}
END_TEST

/* What a program that wrote the chapter and was killed left, and a recovery long after. */
START_TEST(a_whole_chapter_is_one)
{
	struct image image;

	make_image(&image, shapes[_i].page_bytes, shapes[_i].record_pages, shapes[_i].extras);
	recover_torn(&image, true, "whole");
	free_image(&image);
}
END_TEST

/* The head of the chapter that a power cut tore, over the one that was there. */
static struct uds_io *with_torn_head(const struct image *image)
{
	struct uds_io *io = io_of(image->before, image->size);

	ck_assert_int_eq(
		uds_io_write(io, image->after + image->chapter_at, 4096, image->chapter_at), 0);
	return io;
}

/* With the torn head the save would look left behind: it goes for good before the save begins. */
START_TEST(a_torn_head_goes_durably_before_anything_of_a_save)
{
	struct trace *trace = malloc(sizeof(*trace));
	struct uds_index *index;
	struct image image;
	char expected[100];
	struct uds_io *io;

	make_image(&image, shapes[0].page_bytes, shapes[0].record_pages, false);
	trace_start(trace);
	io = trace_io(trace, 't', with_torn_head(&image));
	index = open_as(io, UDS_INDEX_RECOVER, "torn head");
	trace_clear(trace);
	ck_assert_int_eq(uds_index_save(index), 0);
	snprintf(expected, sizeof(expected), "tW%zu+4096 tF ", image.chapter_at);
	ck_assert_msg(strncmp(trace->text, expected, strlen(expected)) == 0, "%s, not %s",
		      trace->text, expected);
	/* It is gone now: the next save has nothing to clear. */
	trace_clear(trace);
	post(index, image.records, image.records + 1);
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_msg(strstr(trace->text, expected) == NULL, "%s", trace->text);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(trace);
	free_image(&image);
}
END_TEST

static int save_over_torn_head(const struct uds_env *env, void *context)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_io *io = with_torn_head(context);
	struct uds_index *index;
	int r;

	options.env = env;
	options.mode = UDS_INDEX_RECOVER;
	r = uds_index_open(io, &options, NULL, &index);
	if (r == 0) {
		r = uds_index_save(index);
		uds_index_close(index);
	}
	ck_assert_int_eq(uds_io_close(io), 0);
	return r;
}

START_TEST(each_allocation_of_a_save_over_a_torn_head_may_fail)
{
	struct image image;

	make_image(&image, shapes[0].page_bytes, shapes[0].record_pages, false);
	ck_assert_uint_gt(torture_each_allocation(save_over_torn_head, &image, true), 20);
	free_image(&image);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("torn_chapter");
	TCase *tc = tcase_create("torn_chapter");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, a_chapter_that_is_not_there_as_a_whole_is_no_chapter, 0,
			    2 * SHAPES);
	tcase_add_loop_test(tc, a_whole_chapter_is_one, 0, SHAPES);
	tcase_add_test(tc, a_torn_head_goes_durably_before_anything_of_a_save);
	tcase_add_test(tc, each_allocation_of_a_save_over_a_torn_head_may_fail);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
