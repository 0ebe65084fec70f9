/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public chapter layer: arguments, errors, small structs, failing memory;
 * against recorded saves.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/chapter.h>

#include "check_main.h"
#include "vector_file.h"

static struct uds_configuration small_configuration(uint32_t record_pages)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = record_pages;
	c.chapters_per_volume = 10;
	return c;
}

static struct uds_record record_of(uint64_t i)
{
	struct uds_record record;
	char token[32];

	snprintf(token, sizeof(token), "n%" PRIu64, i);
	token_name(1, token, &record.name);
	token_data(token, 1, &record.data);
	return record;
}

START_TEST(recorded_saves_load_and_save_again)
{
	static const struct {
		const char *name;
		unsigned int zones;
	} saves[] = { { "dense-wrap", 1 },	    { "dense-3zone", 3 },
		      { "dense-rezone-offset", 2 }, { "dense-collisions", 1 },
		      { "fresh-saved", 1 },	    { "sparse-1zone", 1 },
		      { "sparse-rezone", 3 },	    { "converted-used", 1 } };
	static uint8_t again[1 << 20];

	if (vectors_dir() == NULL)
		skip_test("recorded_saves_load_and_save_again: no vectors");
	for (size_t i = 0; i < sizeof(saves) / sizeof(saves[0]); i++) {
		struct recorded_index recorded;
		char path[100];
		uint8_t *memory;
		struct uds_open_chapter *chapter;
		struct uds_message message;
		uint64_t drops = 99;
		size_t bytes, length;

		snprintf(path, sizeof(path), "regions/%s.open-chapter.xz", saves[i].name);
		memory = read_packed_vector(path, &bytes);
		ck_assert_ptr_nonnull(memory);
		ck_assert(recorded_index_read(saves[i].name, &recorded));
		ck_assert_int_eq(uds_open_chapter_make(&recorded.configuration, saves[i].zones,
						       NULL, &message, &chapter),
				 0);
		ck_assert_msg(uds_open_chapter_load(chapter, memory, bytes, NULL, NULL, &drops,
						    &message) == 0,
			      "%s: %s", saves[i].name, message.text);
		ck_assert_uint_eq(drops, 0);
		length = uds_open_chapter_saved_bytes(chapter);
		ck_assert_uint_le(length, bytes);
		ck_assert_int_eq(uds_open_chapter_save(chapter, again, sizeof(again)), 0);
		for (size_t at = 14; at < length; at += 32) {
			const struct uds_record *r = (const void *)(memory + at);
			struct uds_record_data data;

			ck_assert(uds_open_chapter_search(chapter, &r->name, &data));
			ck_assert_mem_eq(&data, &r->data, 16);
		}
		/*
		 * With several zones gaps of the save close, so the order may change; the
		 * set may not.
		 */
		ck_assert_mem_eq(again, memory, 14);
		if (saves[i].zones == 1)
			ck_assert_mem_eq(again, memory, length);
		uds_open_chapter_free(chapter);
		free(memory);
	}
}
END_TEST

START_TEST(closed_chapter_is_found_by_its_pages)
{
	const struct uds_configuration c = small_configuration(8);
	struct uds_geometry g = { .size = sizeof(g) };
	struct uds_chapter_index_statistics stats = { .size = sizeof(stats) };
	struct uds_index_page page = { .size = sizeof(page) };
	struct uds_page_format *format;
	struct uds_open_chapter *chapter;
	struct uds_chapter_index *index;
	static uint8_t index_page[4096], record_pages[8 * 4096];
	uint32_t first = 0, count, bad;
	bool found;

	ck_assert_int_eq(uds_geometry_compute(&c, NULL, &g), 0);
	ck_assert_int_eq(uds_open_chapter_make(&c, 3, NULL, NULL, &chapter), 0);
	ck_assert_int_eq(uds_chapter_index_make(&c, 9, NULL, NULL, &index), 0);
	ck_assert_int_eq(uds_page_format_make(&c, 9, NULL, NULL, &format), 0);
	for (uint64_t i = 0; i < 600; i++) {
		struct uds_record r = record_of(i);

		ck_assert_int_eq(uds_open_chapter_put(chapter, &r.name, &r.data, NULL), 0);
		if (i % 3 == 0)
			ck_assert(uds_open_chapter_remove(chapter, &r.name));
	}
	ck_assert_uint_eq(uds_open_chapter_count(chapter), 400);
	uds_chapter_index_reset(index, 77);
	ck_assert_int_eq(uds_open_chapter_close(chapter, index, record_pages, sizeof(record_pages)),
			 0);
	for (uint32_t p = 0; p < 8; p++)
		ck_assert_int_eq(
			uds_record_page_check(record_pages + 4096 * (size_t)p, 128, NULL, &bad), 0);
	for (uint32_t p = 0; p < g.index_pages_per_chapter; p++) {
		ck_assert_int_eq(uds_chapter_index_pack_page(index, first,
							     p + 1 == g.index_pages_per_chapter,
							     index_page, &count, NULL),
				 0);
		ck_assert_int_eq(uds_chapter_index_initialize_page(format, index_page, NULL, &page),
				 0);
		ck_assert_int_eq(uds_chapter_index_validate_page(format, &page, NULL), 0);
		ck_assert_uint_eq(page.virtual_chapter, 77);
		ck_assert_uint_eq(page.first_list, first);
		ck_assert_uint_eq(page.list_count, count);
		for (uint64_t i = 0; i < 600; i++) {
			struct uds_record r = record_of(i);
			uint32_t list = uds_chapter_index_list_of(format, &r.name), on = 99;
			struct uds_record_data data;
			int s = uds_chapter_index_search_page(format, &page, &r.name, &found, &on);

			if (list < first || list >= first + count) {
				ck_assert_int_eq(s, UDS_ERR_OUT_OF_RANGE);
				continue;
			}
			ck_assert_int_eq(s, 0);
			if (i % 3 == 0)
				continue;
			ck_assert(found);
			ck_assert(uds_record_page_search(record_pages + 4096 * (size_t)on, 128,
							 &r.name, &data));
			ck_assert_mem_eq(&data, &r.data, 16);
		}
		first += count;
	}
	ck_assert_uint_eq(first, g.delta_lists_per_chapter);
	uds_chapter_index_get_statistics(index, &stats);
	ck_assert_uint_eq(stats.entries, 400);
	ck_assert_uint_eq(stats.overflows + stats.removed, 0);
	uds_open_chapter_free(chapter);
	uds_chapter_index_free(index);
	uds_page_format_free(format);
}
END_TEST

START_TEST(close_refuses_what_does_not_fit)
{
	const struct uds_configuration c = small_configuration(2), other = small_configuration(3);
	struct uds_record r = record_of(1);
	struct uds_open_chapter *chapter;
	struct uds_chapter_index *index, *other_index;
	static uint8_t pages[2 * 4096];

	ck_assert_int_eq(uds_open_chapter_make(&c, 1, NULL, NULL, &chapter), 0);
	ck_assert_int_eq(uds_chapter_index_make(&c, 9, NULL, NULL, &index), 0);
	ck_assert_int_eq(uds_chapter_index_make(&other, 9, NULL, NULL, &other_index), 0);
	ck_assert_int_eq(uds_open_chapter_close(chapter, index, pages, sizeof(pages)),
			 UDS_ERR_BAD_STATE);
	ck_assert_int_eq(uds_open_chapter_put(chapter, &r.name, &r.data, NULL), 0);
	ck_assert_int_eq(uds_open_chapter_close(chapter, other_index, pages, sizeof(pages)),
			 -EINVAL);
	ck_assert_int_eq(uds_open_chapter_close(chapter, index, pages, sizeof(pages) - 1),
			 UDS_ERR_OVERFLOW);
	ck_assert_int_eq(uds_open_chapter_close(chapter, index, pages, sizeof(pages)), 0);
	ck_assert_mem_eq(pages, &r, 32);
	ck_assert_mem_eq(pages + sizeof(pages) - 32, &r, 32);
	ck_assert_int_eq(uds_open_chapter_close(chapter, index, pages, sizeof(pages)),
			 UDS_ERR_BAD_STATE);
	uds_open_chapter_reset(chapter);
	ck_assert_uint_eq(uds_open_chapter_count(chapter), 0);
	ck_assert(!uds_open_chapter_search(chapter, &r.name, NULL));
	uds_open_chapter_free(chapter);
	uds_chapter_index_free(index);
	uds_chapter_index_free(other_index);
}
END_TEST

START_TEST(names_go_to_their_zones)
{
	const struct uds_configuration c = small_configuration(2);
	struct uds_open_chapter *chapter;
	uint32_t seen = 0, room;

	ck_assert_int_eq(uds_open_chapter_make(&c, 16, NULL, NULL, &chapter), 0);
	for (uint64_t i = 0; i < 400; i++) {
		struct uds_record r = record_of(i);
		unsigned int zone = uds_open_chapter_zone_of(chapter, &r.name);

		ck_assert_uint_lt(zone, 16);
		seen |= 1u << zone;
	}
	ck_assert_uint_eq(seen, 0xffff);
	/* 256 records in 16 zones: 16 in each. */
	for (uint64_t i = 0;; i++) {
		struct uds_record r = record_of(i);

		ck_assert_int_eq(uds_open_chapter_put(chapter, &r.name, &r.data, &room), 0);
		ck_assert_uint_lt(room, 16);
		if (room == 0) {
			ck_assert_int_eq(uds_open_chapter_put(chapter, &r.name, &r.data, NULL), 0);
			break;
		}
	}
	uds_open_chapter_free(chapter);
}
END_TEST

START_TEST(bad_arguments_are_refused_with_a_sentence)
{
	struct uds_configuration c = small_configuration(2);
	struct uds_index_page page = { .size = 4 };
	struct uds_env half = UDS_ENV_INIT;
	struct uds_open_chapter *chapter = NULL;
	struct uds_chapter_index *index = NULL;
	struct uds_page_format *format = NULL;
	struct uds_message message;
	static uint8_t bytes[4096];
	struct uds_record r = record_of(1);
	uint32_t bad;

	ck_assert_int_eq(uds_open_chapter_make(&c, 0, NULL, &message, &chapter), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "1 to 16"));
	ck_assert_int_eq(uds_open_chapter_make(&c, 17, NULL, &message, &chapter), -EINVAL);
	half.release = (void (*)(void *, void *))1;
	ck_assert_int_eq(uds_open_chapter_make(&c, 1, &half, &message, &chapter), -EINVAL);
	ck_assert_int_eq(uds_chapter_index_make(&c, 1, &half, &message, &index), -EINVAL);
	ck_assert_int_eq(uds_page_format_make(&c, 1, &half, &message, &format), -EINVAL);
	ck_assert_int_eq(uds_record_page_encode(&r, 1, &half, NULL, bytes), -EINVAL);
	ck_assert_int_eq(uds_page_format_make(&c, 1, NULL, &message, &format), 0);
	ck_assert_int_eq(uds_chapter_index_initialize_page(format, bytes, &message, &page),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "size"));
	page.size = sizeof(page);
	ck_assert_int_eq(uds_chapter_index_initialize_page(format, bytes, &message, &page),
			 UDS_ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(message.text, "nonce"));
	ck_assert_ptr_null(page.bytes);
	uds_page_format_free(format);
	format = NULL;
	c.page_bytes = 77;
	ck_assert_int_eq(uds_open_chapter_make(&c, 1, NULL, &message, &chapter), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "page size 77"));
	ck_assert_int_eq(uds_chapter_index_make(&c, 1, NULL, NULL, &index), -EINVAL);
	ck_assert_int_eq(uds_page_format_make(&c, 1, NULL, NULL, &format), -EINVAL);
	ck_assert(chapter == NULL && index == NULL && format == NULL);
	ck_assert_int_eq(uds_record_page_encode(&r, 0, NULL, NULL, bytes), -EINVAL);
	ck_assert_int_eq(uds_record_page_encode(&r, 2049, NULL, NULL, bytes), -EINVAL);
	ck_assert_int_eq(uds_record_page_check(bytes, 0, NULL, &bad), 0);
	ck_assert(!uds_record_page_search(bytes, 0, &r.name, NULL));
	uds_open_chapter_free(NULL);
	uds_chapter_index_free(NULL);
	uds_page_format_free(NULL);
}
END_TEST

START_TEST(record_pages_are_encoded_searched_and_checked)
{
	struct uds_record records[128];
	static uint8_t page[4096];
	struct uds_record_data data;
	uint32_t bad = 999;

	for (uint64_t i = 0; i < 128; i++)
		records[i] = record_of(i);
	ck_assert_int_eq(uds_record_page_encode(records, 128, NULL, NULL, page), 0);
	ck_assert_int_eq(uds_record_page_check(page, 128, NULL, &bad), 0);
	for (uint64_t i = 0; i < 128; i++) {
		ck_assert(uds_record_page_search(page, 128, &records[i].name, &data));
		ck_assert_mem_eq(&data, &records[i].data, 16);
		ck_assert(uds_record_page_search(page, 128, &records[i].name, NULL));
	}
	memset(page, 0xff, 16); /* the root is now behind all others */
	ck_assert_int_eq(uds_record_page_check(page, 128, NULL, NULL), UDS_ERR_CORRUPT);
	ck_assert_int_eq(uds_record_page_check(page, 128, NULL, &bad), UDS_ERR_CORRUPT);
	ck_assert_uint_lt(bad, 128);
}
END_TEST

START_TEST(statistics_smaller_than_in_any_version_are_refused)
{
	const struct uds_configuration c = small_configuration(2);
	struct uds_chapter_index_statistics stats;
	struct uds_chapter_index *index;

	ck_assert_int_eq(uds_chapter_index_make(&c, 9, NULL, NULL, &index), 0);
	memset(&stats, 0xee, sizeof(stats));
	stats.size = offsetof(struct uds_chapter_index_statistics, overflows);
	ck_assert_int_eq(uds_chapter_index_get_statistics(index, &stats), -EINVAL);
	ck_assert_uint_eq(stats.entries, 0xeeeeeeee);
	uds_chapter_index_free(index);
}
END_TEST

/* Memory that fails at one allocation, and counts what is out. */
struct failing {
	int countdown;
	int out;
};

static void *failing_allocate(void *context, size_t bytes, size_t alignment)
{
	struct failing *f = context;
	void *memory;

	if (f->countdown-- == 0)
		return NULL;
	if (posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment,
			   bytes) != 0)
		return NULL;
	f->out++;
	return memory;
}

static void failing_release(void *context, void *memory)
{
	((struct failing *)context)->out--;
	free(memory);
}

START_TEST(every_failing_allocation_is_survived)
{
	const struct uds_configuration c = small_configuration(2);
	static uint8_t pages[2 * 4096], page[4096];
	struct uds_env env = UDS_ENV_INIT;
	struct failing f = { 0 };
	int fails = 0, r = -ENOMEM;

	env.context = &f;
	env.allocate = failing_allocate;
	env.release = failing_release;
	for (int n = 0; r != 0; n++) {
		struct uds_open_chapter *chapter = NULL;
		struct uds_chapter_index *index = NULL;
		struct uds_page_format *format = NULL;
		struct uds_record record = record_of(1);
		uint32_t count;

		f.countdown = n;
		r = uds_open_chapter_make(&c, 3, &env, NULL, &chapter);
		if (r == 0)
			r = uds_chapter_index_make(&c, 9, &env, NULL, &index);
		if (r == 0)
			r = uds_page_format_make(&c, 9, &env, NULL, &format);
		if (r == 0)
			r = uds_open_chapter_put(chapter, &record.name, &record.data, NULL);
		if (r == 0)
			r = uds_open_chapter_close(chapter, index, pages, sizeof(pages));
		if (r == 0)
			r = uds_chapter_index_pack_page(index, 0, true, page, &count, NULL);
		if (r == 0)
			r = uds_record_page_encode(&record, 1, &env, NULL, page);
		ck_assert(r == 0 || r == -ENOMEM);
		fails += r != 0;
		uds_open_chapter_free(chapter);
		uds_chapter_index_free(index);
		uds_page_format_free(format);
		ck_assert_int_eq(f.out, 0);
	}
	ck_assert_int_gt(fails, 10);
}
END_TEST

START_TEST(no_memory_while_sorting_lasts_until_the_reset)
{
	const struct uds_configuration c = small_configuration(16);
	static uint8_t page[4096];
	struct uds_env env = UDS_ENV_INIT;
	struct failing f = { .countdown = 1000 };
	struct uds_chapter_index *index;
	struct uds_record_name name = { { 0 } };
	struct uds_message message;
	uint32_t count;

	env.context = &f;
	env.allocate = failing_allocate;
	env.release = failing_release;
	ck_assert_int_eq(uds_chapter_index_make(&c, 9, &env, NULL, &index), 0);
	/* One list that overflows: only that needs memory. */
	for (uint32_t i = 0; i < 500; i++) {
		name.bytes[0] = (uint8_t)i;
		name.bytes[1] = (uint8_t)(i >> 8);
		ck_assert_int_eq(uds_chapter_index_put(index, &name, 0), 0);
	}
	f.countdown = 0;
	ck_assert_int_eq(uds_chapter_index_pack_page(index, 0, true, page, &count, &message),
			 -ENOMEM);
	ck_assert_ptr_nonnull(strstr(message.text, "no memory"));
	f.countdown = 1000;
	ck_assert_int_eq(uds_chapter_index_pack_page(index, 0, true, page, &count, NULL), -ENOMEM);
	uds_chapter_index_reset(index, 1);
	ck_assert_int_eq(uds_chapter_index_pack_page(index, 0, true, page, &count, NULL), 0);
	uds_chapter_index_free(index);
	ck_assert_int_eq(f.out, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chapter");
	TCase *tc = tcase_create("chapter");

	tcase_add_test(tc, recorded_saves_load_and_save_again);
	tcase_add_test(tc, closed_chapter_is_found_by_its_pages);
	tcase_add_test(tc, close_refuses_what_does_not_fit);
	tcase_add_test(tc, names_go_to_their_zones);
	tcase_add_test(tc, bad_arguments_are_refused_with_a_sentence);
	tcase_add_test(tc, record_pages_are_encoded_searched_and_checked);
	tcase_add_test(tc, statistics_smaller_than_in_any_version_are_refused);
	tcase_add_test(tc, every_failing_allocation_is_survived);
	tcase_add_test(tc, no_memory_while_sorting_lasts_until_the_reset);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
