/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every chapter of every recorded index, both ways: its pages are read, all that is in them is
 * found, and made again from their content they come out bit for bit.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "chapter/chapter_index.h"
#include "chapter/index_page.h"
#include "chapter/record_page.h"
#include "check_main.h"
#include "geometry/name_bits.h"
#include "vector_file.h"

#define MOST_INDEX_PAGES 64
#define MOST_RECORDS	 65536

/* One chapter of an image, and what its pages say. */
struct chapter {
	struct geometry geometry;
	struct index_page_code code;
	const uint8_t *index_pages;
	const uint8_t *record_pages;
	struct index_page_head heads[MOST_INDEX_PAGES];
	uint32_t names;	  /* different ones */
	uint32_t removed; /* of these, with a list that was emptied when the chapter was packed */
	struct uds_record_name name[MOST_RECORDS];
	uint32_t page_of[MOST_RECORDS];
	bool ordinary[MOST_RECORDS]; /* whether the name has the ordinary entry of its address */
};

static struct chapter c;

static const uint8_t *index_page(uint32_t p)
{
	return c.index_pages + (size_t)p * c.geometry.page_bytes;
}

static uint32_t index_page_of(uint32_t list)
{
	uint32_t p = 0;

	while (list >= c.heads[p].first_list + c.heads[p].list_count)
		p++;
	ck_assert_uint_lt(p, c.geometry.index_pages_per_chapter);
	return p;
}

/* Opens all index pages; returns false for a slot that was never written. */
static bool open_index_pages(void)
{
	uint32_t next = 0;

	for (uint32_t p = 0; p < c.geometry.index_pages_per_chapter; p++) {
		if (get_le64(index_page(p)) == 0)
			return false;
		ck_assert_int_eq(index_page_open(&c.code, index_page(p), &c.heads[p], NULL), 0);
		ck_assert_int_eq(index_page_validate(&c.code, &c.heads[p], index_page(p), NULL), 0);
		ck_assert_uint_eq(c.heads[p].vcn, c.heads[0].vcn);
		ck_assert_uint_eq(c.heads[p].first_list, next);
		next += c.heads[p].list_count;
	}
	ck_assert_uint_eq(next, c.geometry.delta_lists_per_chapter);
	return true;
}

static bool list_is_empty(uint32_t list)
{
	uint32_t p = index_page_of(list), start, bits;

	ck_assert_int_eq(
		index_page_find_list(&c.code, &c.heads[p], index_page(p), list, &start, &bits), 0);
	return bits == 0;
}

/* Every list, decoded and written again. Returns the number of entries. */
static uint32_t rewrite_lists(void)
{
	static uint8_t again[8200];
	uint32_t entries = 0;

	for (uint32_t list = 0; list < c.geometry.delta_lists_per_chapter; list++) {
		uint32_t p = index_page_of(list), start, bits;
		struct delta_writer writer;
		struct delta_reader reader;
		struct delta_entry e;

		ck_assert_int_eq(index_page_find_list(&c.code, &c.heads[p], index_page(p), list,
						      &start, &bits),
				 0);
		memset(again, 0, sizeof(again));
		delta_reader_start(&reader, &c.code.delta, index_page(p), start, bits);
		delta_writer_start(&writer, &c.code.delta, again, 0, DELTA_LIST_MAX_BITS);
		while (delta_reader_next(&reader, &e) == 1) {
			ck_assert_int_eq(delta_writer_append(&writer, e.key, e.value,
							     e.collision ? e.name : NULL),
					 0);
			entries++;
		}
		ck_assert_uint_eq(delta_writer_finish(&writer), bits);
		for (uint32_t bit = 0; bit < bits; bit += 32) {
			unsigned int width = bits - bit < 32 ? bits - bit : 32;

			ck_assert_uint_eq(get_bits(again, bit, width),
					  get_bits(index_page(p), start + bit, width));
		}
	}
	return entries;
}

/*
 * Checks the record pages, encodes them again, and notes each name at the place that
 * the index tells.
 */
static void rewrite_record_pages(void)
{
	const uint32_t per_page = c.geometry.records_per_page;
	static struct uds_record records[2048];
	static const struct uds_record *pointers[2048];
	static uint8_t again[65536];
	struct record_page_encoder *encoder;
	struct uds_env env;
	uint32_t bad;

	ck_assert_int_eq(env_complete(NULL, &env), 0);
	ck_assert_int_eq(record_page_encoder_make(&env, per_page, &encoder), 0);
	c.names = 0;
	c.removed = 0;
	for (uint32_t page = 0; page < c.geometry.record_pages_per_chapter; page++) {
		const uint8_t *bytes = c.record_pages + (size_t)page * c.geometry.page_bytes;

		ck_assert(record_page_check(bytes, per_page, &bad));
		memcpy(records, bytes, c.geometry.page_bytes);
		for (uint32_t i = 0; i < per_page; i++)
			pointers[i] = &records[per_page - 1 - i];
		record_page_encode(encoder, pointers, again);
		ck_assert_mem_eq(again, bytes, c.geometry.page_bytes);
		for (uint32_t i = 0; i < per_page; i++) {
			const struct uds_record_name *name = &records[i].name;
			uint32_t p = index_page_of(chapter_list(&c.geometry, name)), found;
			struct uds_record_data data;
			bool copy = false;
			int r = index_page_search(&c.geometry, &c.code, &c.heads[p], index_page(p),
						  name, &found);

			for (uint32_t k = 0; k < i; k++)
				copy |= memcmp(name, &records[k].name, 16) == 0;
			if (r == 0) {
				ck_assert(list_is_empty(chapter_list(&c.geometry, name)));
				for (uint32_t k = 0; k < c.names; k++)
					copy |= memcmp(name, &c.name[k], 16) == 0;
				c.removed += !copy;
				found = page;
			}
			ck_assert_int_ge(r, 0);
			/* Copies of the fill record stand on pages that the index does not tell. */
			if (found != page || copy) {
				ck_assert(record_page_search(
					c.record_pages + (size_t)found * c.geometry.page_bytes,
					per_page, name, &data));
				ck_assert_mem_eq(&data, &records[i].data, 16);
				continue;
			}
			c.name[c.names] = *name;
			c.page_of[c.names++] = page;
		}
	}
	record_page_encoder_free(encoder);
}

/*
 * A name that its list spells out has a collision entry; the one at the same address,
 * the ordinary one.
 */
static void find_ordinary_names(void)
{
	for (uint32_t i = 0; i < c.names; i++) {
		uint32_t list = chapter_list(&c.geometry, &c.name[i]), start, bits;
		uint32_t p = index_page_of(list);
		struct delta_reader reader;
		struct delta_entry e;

		c.ordinary[i] = true;
		ck_assert_int_eq(index_page_find_list(&c.code, &c.heads[p], index_page(p), list,
						      &start, &bits),
				 0);
		delta_reader_start(&reader, &c.code.delta, index_page(p), start, bits);
		while (delta_reader_next(&reader, &e) == 1) {
			if (e.collision && memcmp(e.name, c.name[i].bytes, 16) == 0)
				c.ordinary[i] = false;
		}
	}
}

static void put_all(struct chapter_index *index)
{
	/*
	 * Ordinary ones first; then each list's collision entries, from the back, which is
	 * from the oldest.
	 */
	for (uint32_t i = 0; i < c.names; i++) {
		if (c.ordinary[i])
			ck_assert_int_eq(chapter_index_put(index, &c.name[i], c.page_of[i]), 0);
	}
	for (uint32_t list = 0; list < c.geometry.delta_lists_per_chapter; list++) {
		static struct delta_entry collisions[MOST_RECORDS];
		uint32_t p = index_page_of(list), start, bits, n = 0;
		struct delta_reader reader;

		ck_assert_int_eq(index_page_find_list(&c.code, &c.heads[p], index_page(p), list,
						      &start, &bits),
				 0);
		delta_reader_start(&reader, &c.code.delta, index_page(p), start, bits);
		while (delta_reader_next(&reader, &collisions[n]) == 1)
			n += collisions[n].collision;
		while (n-- > 0) {
			struct uds_record_name name;

			memcpy(name.bytes, collisions[n].name, 16);
			ck_assert_int_eq(chapter_index_put(index, &name, collisions[n].value), 0);
		}
	}
}

static void rebuild_index_pages(void)
{
	static uint8_t page[65536];
	struct chapter_index_statistics stats;
	struct chapter_index *index;
	struct uds_env env;
	uint32_t next = 0, count;

	ck_assert_int_eq(env_complete(NULL, &env), 0);
	ck_assert_int_eq(chapter_index_make(&env, &c.geometry, c.code.volume_nonce, &index), 0);
	chapter_index_reset(index, c.heads[0].vcn);
	put_all(index);
	for (uint32_t p = 0; p < c.geometry.index_pages_per_chapter; p++) {
		const uint8_t *want = index_page(p);
		uint32_t bits = get_bits(want, 160 + 19 * (uint64_t)c.heads[p].list_count, 19);

		ck_assert_int_eq(chapter_index_pack_page(
					 index, next, p + 1 == c.geometry.index_pages_per_chapter,
					 page, &count, NULL),
				 0);
		ck_assert_uint_eq(count, c.heads[p].list_count);
		ck_assert_mem_eq(page, want, bits / 8);
		ck_assert_uint_eq(get_bits(page, bits / 8 * 8, bits % 8),
				  get_bits(want, bits / 8 * 8, bits % 8));
		ck_assert_mem_eq(page + c.geometry.page_bytes - 7, want + c.geometry.page_bytes - 7,
				 7);
		next += count;
	}
	chapter_index_get_statistics(index, &stats);
	ck_assert_uint_eq(stats.removed, c.removed);
	chapter_index_free(index);
}

/* Returns how many chapters the image has, and adds up the names whose lists were emptied. */
static int check_image(const char *name, int *removed)
{
	struct recorded_index recorded;
	char path[300];
	uint8_t *image;
	size_t bytes;
	int chapters = 0;

	ck_assert(recorded_index_read(name, &recorded));
	ck_assert_int_eq(geometry_make(&recorded.configuration, &c.geometry, NULL), 0);
	ck_assert_uint_le(c.geometry.index_pages_per_chapter, MOST_INDEX_PAGES);
	ck_assert_uint_le(c.geometry.records_per_chapter, MOST_RECORDS);
	index_page_code_make(&c.geometry, recorded.volume_nonce, &c.code);
	snprintf(path, sizeof(path), "index/%s.img.xz", name);
	image = read_packed_vector(path, &bytes);
	ck_assert_ptr_nonnull(image);
	for (uint32_t slot = 0; slot < c.geometry.chapters_per_volume; slot++) {
		/* Super block and config block are in front of the volume. */
		uint64_t at = recorded.offset_bytes + 2 * 4096 +
			      geometry_physical_page(&c.geometry, slot, 0) * c.geometry.page_bytes;

		ck_assert_uint_le(
			at + (uint64_t)c.geometry.pages_per_chapter * c.geometry.page_bytes, bytes);
		c.index_pages = image + at;
		c.record_pages = c.index_pages +
				 (size_t)c.geometry.index_pages_per_chapter * c.geometry.page_bytes;
		if (!open_index_pages())
			continue;
		ck_assert_uint_eq(geometry_physical_chapter(&c.geometry, c.heads[0].vcn), slot);
		rewrite_record_pages();
		ck_assert_uint_eq(rewrite_lists() + c.removed, c.names);
		*removed += (int)c.removed;
		find_ordinary_names();
		rebuild_index_pages();
		chapters++;
	}
	free(image);
	return chapters;
}

START_TEST(all_chapters_are_read_and_made_again_bit_by_bit)
{
	int images = 0, chapters = 0, removed = 0;
	char path[512], name[256];
	struct dirent *file;
	DIR *dir;

	if (vectors_dir() == NULL)
		skip_test("all_chapters_are_read_and_made_again_bit_by_bit: no vectors");
	snprintf(path, sizeof(path), "%s/uds/index", vectors_dir());
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((file = readdir(dir)) != NULL) {
		const char *end = strstr(file->d_name, ".img.xz");

		if (end == NULL)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(end - file->d_name), file->d_name);
		chapters += check_image(name, &removed);
		images++;
	}
	closedir(dir);
	ck_assert_int_ge(images, 20);
	ck_assert_int_ge(chapters, 60);
	ck_assert_int_ge(removed, 100); /* pagesize-32k has some */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recorded_chapters");
	TCase *tc = tcase_create("recorded_chapters");

	tcase_add_test(tc, all_chapters_are_read_and_made_again_bit_by_bit);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
