/* SPDX-License-Identifier: BSD-2-Clause */
/* Chapter index: building, packing, reading pages; against recorded pages. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/env.h"
#include "chapter/chapter_index.h"
#include "chapter/index_page.h"
#include "check_main.h"
#include "geometry/name_bits.h"
#include "torture_env.h"
#include "vector_file.h"

static struct geometry small_geometry(uint32_t page_bytes, uint32_t record_pages)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message;
	struct geometry g;

	c.page_bytes = page_bytes;
	c.record_pages_per_chapter = record_pages;
	c.chapters_per_volume = 10;
	ck_assert_msg(geometry_make(&c, &g, &message) == 0, "%s", message.text);
	return g;
}

static struct chapter_index *make_index(const struct geometry *g, uint64_t nonce, uint64_t vcn)
{
	struct chapter_index *index;
	struct uds_env env;

	ck_assert_int_eq(env_complete(guarded_env(), &env), 0);
	ck_assert_int_eq(chapter_index_make(&env, g, nonce, &index), 0);
	chapter_index_reset(index, vcn);
	return index;
}

static void set_chapter_bits(struct uds_record_name *name, uint64_t bits)
{
	for (int i = 0; i < 6; i++)
		name->bytes[8 + i] = (uint8_t)(bits >> (8 * (5 - i)));
}

static void set_list(const struct geometry *g, struct uds_record_name *name, uint64_t list)
{
	uint64_t mask = (uint64_t)(g->delta_lists_per_chapter - 1) << g->chapter_address_bits;

	set_chapter_bits(name, (name_chapter_bits(name) & ~mask) | list << g->chapter_address_bits);
}

/* One of the recorded chapters. */
struct recorded {
	struct geometry geometry;
	struct chapter_index *index;
	struct index_page_code code;
	uint64_t nonce, vcn;
	size_t names;
	struct uds_record_name name[4096];
	uint32_t page_of[4096];
	bool reachable[4096];
	uint32_t list_of[4096];
	int overflows;
	long first[8], count[8]; /* of the recorded pages */
	int pages;
	int left, collisions, removed;
};

static bool read_recorded(const char *vector, struct recorded *r)
{
	uint64_t seed = 0, nonce = 0, vcn = 0, bias = 0;
	unsigned int page_bytes = 0, record_pages = 0;
	char file[64], line[256], token[32], result[32];
	unsigned int page, list, address;
	int overflow, number;
	FILE *f;

	memset(r, 0, sizeof(*r));
	snprintf(file, sizeof(file), "%s.txt", vector);
	f = open_unit_vector(file);
	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "seed %" SCNx64, &seed) == 1 ||
		    sscanf(line, "bytes_per_page %u", &page_bytes) == 1 ||
		    sscanf(line, "record_pages %u", &record_pages) == 1 ||
		    sscanf(line, "nonce %" SCNu64, &nonce) == 1 ||
		    sscanf(line, "vcn %" SCNu64, &vcn) == 1)
			continue;
		if (sscanf(line, "bias_list %" SCNu64, &bias) == 1) {
			r->geometry = small_geometry(page_bytes, record_pages);
			r->index = make_index(&r->geometry, nonce, vcn);
			index_page_code_make(&r->geometry, nonce, &r->code);
			r->nonce = nonce;
			r->vcn = vcn;
		} else if (sscanf(line, "R %31s %u %u %u %31s", token, &page, &list, &address,
				  result) == 5) {
			struct uds_record_name *name = &r->name[r->names];

			token_name(seed, token, name);
			if (token[0] == 'b')
				set_list(&r->geometry, name, bias);
			ck_assert_uint_eq(chapter_list(&r->geometry, name), list);
			ck_assert_uint_eq(chapter_address(&r->geometry, name), address);
			ck_assert_int_eq(chapter_index_put(r->index, name, page), 0);
			r->page_of[r->names] = page;
			r->list_of[r->names] = list;
			r->reachable[r->names] = strcmp(result, "ok") == 0;
			r->overflows += !r->reachable[r->names];
			r->names++;
		} else if (sscanf(line, "P %d first %ld count %ld", &number, &r->first[r->pages],
				  &r->count[r->pages]) == 3) {
			r->pages++;
		} else if (sscanf(line, "# records left %d collisions %d removed %d overflow %d",
				  &r->left, &r->collisions, &r->removed, &overflow) == 4) {
			ck_assert_int_eq(overflow, r->overflows);
		}
	}
	fclose(f);
	ck_assert_int_gt(r->pages, 0);
	return true;
}

/* Where the lists of a page end, in bits. */
static uint32_t content_bits(const uint8_t *page)
{
	uint32_t n = get_le16(page + 18);

	return get_bits(page, 160 + 19 * (uint64_t)n, 19);
}

static void check_same_page(const uint8_t *got, const uint8_t *want, uint32_t page_bytes)
{
	uint32_t bits = content_bits(got);

	ck_assert_mem_eq(got, want, bits / 8);
	ck_assert_uint_eq(get_bits(got, bits / 8 * 8, bits % 8),
			  get_bits(want, bits / 8 * 8, bits % 8));
	ck_assert_mem_eq(got + page_bytes - 7, want + page_bytes - 7, 7);
	/* S13: nothing old in the filler. */
	for (uint32_t bit = bits; bit < 8 * (page_bytes - 7); bit++)
		ck_assert_uint_eq(get_bits(got, bit, 1), 0);
}

/* Every name that was not left out is found, and nothing else is certain. */
static void check_searches(const struct recorded *r, const uint8_t *pages)
{
	const uint32_t page_bytes = r->geometry.page_bytes;
	struct index_page_head heads[8];
	size_t found = 0;

	for (int p = 0; p < r->pages; p++) {
		ck_assert_int_eq(
			index_page_open(&r->code, pages + (size_t)p * page_bytes, &heads[p], NULL),
			0);
		ck_assert_uint_eq(heads[p].vcn, r->vcn);
		ck_assert_int_eq(index_page_validate(&r->code, &heads[p],
						     pages + (size_t)p * page_bytes, NULL),
				 0);
	}
	for (size_t i = 0; i < r->names; i++) {
		uint32_t page = 99;
		int p = 0, s;

		while (r->list_of[i] >= heads[p].first_list + heads[p].list_count)
			p++;
		s = index_page_search(&r->geometry, &r->code, &heads[p],
				      pages + (size_t)p * page_bytes, &r->name[i], &page);
		ck_assert(s == 0 || s == 1);
		if (s == 1 && page == r->page_of[i])
			found++;
		if (s == 1)
			ck_assert_uint_lt(page, r->geometry.record_pages_per_chapter);
	}
	ck_assert_uint_ge(found, r->left);
}

static void check_recorded(const char *vector, const char *test)
{
	static struct recorded r;
	static uint8_t pages[8 * 32768];
	struct chapter_index_statistics stats;
	uint32_t next = 0, count;
	uint8_t *want;
	size_t bytes;
	char file[64];

	if (!read_recorded(vector, &r)) {
		note_skip("%s: no vectors", test);
		return;
	}
	snprintf(file, sizeof(file), "%s.bin", vector);
	want = read_unit_vector(file, &bytes);
	ck_assert_ptr_nonnull(want);
	ck_assert_int_eq(r.pages, r.geometry.index_pages_per_chapter);
	ck_assert_uint_eq(bytes, (size_t)r.pages * r.geometry.page_bytes);
	memset(pages, 0xa5, sizeof(pages));
	for (int p = 0; p < r.pages; p++) {
		uint8_t *page = pages + (size_t)p * r.geometry.page_bytes;

		ck_assert_int_eq(chapter_index_pack_page(r.index, next, p == r.pages - 1, page,
							 &count, NULL),
				 0);
		ck_assert_int_eq(next, r.first[p]);
		ck_assert_int_eq(count, r.count[p]);
		check_same_page(page, want + (size_t)p * r.geometry.page_bytes,
				r.geometry.page_bytes);
		next += count;
	}
	ck_assert_uint_eq(next, r.geometry.delta_lists_per_chapter);
	chapter_index_get_statistics(r.index, &stats);
	ck_assert_int_eq(stats.entries, r.left);
	ck_assert_int_eq(stats.collisions, r.collisions);
	ck_assert_int_eq(stats.removed, r.removed);
	ck_assert_int_eq(stats.overflows, r.overflows);
	check_searches(&r, pages);
	chapter_index_free(r.index);
	free(want);
}

#define RECORDED_TEST(name, vector)            \
	START_TEST(name)                       \
	{                                      \
		check_recorded(vector, #name); \
	}                                      \
	END_TEST

RECORDED_TEST(one_page_is_packed_as_recorded, "cidx-plain-1page")
RECORDED_TEST(two_pages_are_packed_as_recorded, "cidx-plain-2page")
RECORDED_TEST(large_page_is_packed_as_recorded, "cidx-defaultpage")
RECORDED_TEST(collisions_are_packed_as_recorded, "cidx-collisions")
RECORDED_TEST(page_without_lists_is_packed_as_recorded, "cidx-sparse-few")
RECORDED_TEST(list_too_big_for_a_page_is_emptied__S1, "cidx-biglist-removal")
RECORDED_TEST(lists_too_many_for_the_last_page_are_emptied__S1, "cidx-lastpage-removal")
RECORDED_TEST(full_list_refuses_records__S12, "cidx-list65535")

START_TEST(big_endian_head_is_accepted)
{
	static struct recorded r;
	struct index_page_head little, big;
	size_t bytes;
	uint8_t *page, *other;

	if (!read_recorded("cidx-plain-1page", &r))
		skip_test("big_endian_head_is_accepted: no vectors");
	page = read_unit_vector("cidx-plain-1page.bin", &bytes);
	other = read_unit_vector("cidx-plain-1page.bigendian.bin", &bytes);
	ck_assert_int_ne(memcmp(page, other, 20), 0);
	ck_assert_int_eq(index_page_open(&r.code, page, &little, NULL), 0);
	ck_assert_int_eq(index_page_open(&r.code, other, &big, NULL), 0);
	ck_assert_uint_eq(little.vcn, big.vcn);
	ck_assert_uint_eq(little.first_list, big.first_list);
	ck_assert_uint_eq(little.list_count, big.list_count);
	for (size_t i = 0; i < r.names; i++) {
		uint32_t a = 0, b = 1;

		ck_assert_int_eq(
			index_page_search(&r.geometry, &r.code, &big, other, &r.name[i], &a), 1);
		ck_assert_int_eq(
			index_page_search(&r.geometry, &r.code, &little, page, &r.name[i], &b), 1);
		ck_assert_uint_eq(a, b);
	}
	chapter_index_free(r.index);
	free(page);
	free(other);
}
END_TEST

/* A chapter of random names on a page of the smallest size. */
static void random_page(struct geometry *g, struct index_page_code *code, uint64_t seed,
			struct uds_record_name *names, uint8_t *page)
{
	struct chapter_index *index;
	uint32_t count;

	*g = small_geometry(4096, 4);
	index_page_code_make(g, 77, code);
	index = make_index(g, 77, 9);
	for (uint32_t i = 0; i < g->records_per_chapter; i++) {
		put_le64(names[i].bytes, splitmix(seed, 2 * i));
		put_le64(names[i].bytes + 8, splitmix(seed, 2 * i + 1));
		ck_assert_int_eq(chapter_index_put(index, &names[i], i / g->records_per_page), 0);
	}
	ck_assert_int_eq(chapter_index_pack_page(index, 0, true, page, &count, NULL), 0);
	ck_assert_uint_eq(count, g->delta_lists_per_chapter);
	chapter_index_free(index);
}

START_TEST(parts_of_a_page_suffice_to_search)
{
	static struct uds_record_name names[512];
	struct index_page_code code;
	struct index_page_head head;
	static uint8_t page[4096];
	struct geometry g;

	random_page(&g, &code, 1, names, page);
	for (uint32_t i = 0; i < 512; i++) {
		uint32_t start, bits, length, found = 99;
		uint8_t *table, *list;

		ck_assert_int_eq(index_page_read_head(&code, page, &head, NULL), 0);
		/* Pieces of their own, so that a byte too many is seen. */
		length = index_page_table_bytes(&head);
		table = malloc(length);
		memcpy(table, page, length);
		ck_assert_int_eq(index_page_find_list(&code, &head, table,
						      chapter_list(&g, &names[i]), &start, &bits),
				 0);
		length = (start % 8 + bits + 7) / 8;
		list = malloc(length);
		memcpy(list, page + start / 8, length);
		ck_assert_int_eq(index_page_search_list(&code, list, start % 8, bits,
							chapter_address(&g, &names[i]), &names[i],
							&found),
				 1);
		ck_assert_uint_eq(found, i / 128);
		free(table);
		free(list);
	}
	ck_assert_int_eq(
		index_page_find_list(&code, &head, page, 8, &(uint32_t){ 0 }, &(uint32_t){ 0 }),
		UDS_ERR_OUT_OF_RANGE);
}
END_TEST

START_TEST(damaged_pages_are_called_corrupt)
{
	static struct uds_record_name names[512];
	static uint8_t page[4096], bad[4096];
	struct index_page_code code;
	struct index_page_head head = { 1, 2, 3 };
	struct uds_message message;
	struct geometry g;

	random_page(&g, &code, 2, names, page);
	ck_assert_int_eq(index_page_open(&code, page, &head, &message), 0);
	ck_assert_uint_eq(head.vcn, 9);
#define DAMAGED(change, word)                                                                    \
	do {                                                                                     \
		memcpy(bad, page, sizeof(bad));                                                  \
		change;                                                                          \
		ck_assert_int_eq(index_page_open(&code, bad, &head, &message), UDS_ERR_CORRUPT); \
		ck_assert_msg(strstr(message.text, word) != NULL, "\"%s\" lacks \"%s\"",         \
			      message.text, word);                                               \
	} while (0)
	DAMAGED(bad[0] ^= 1, "nonce");
	DAMAGED(put_le16(bad + 18, 7), "first list begins");
	DAMAGED(put_le16(bad + 18, 65535), "more than a page");
	DAMAGED(put_bits(bad, 160, 19, 5), "first list begins");
	DAMAGED(put_bits(bad, 160 + 19 * 3, 19, 1), "before it begins");
	DAMAGED(put_bits(bad, 160 + 19 * 8, 19, 8 * 4096), "behind the page's last");
	/* As many as a table without any list has room for. */
	DAMAGED((put_le16(bad + 18, 1714), put_bits(bad, 160, 19, 160 + 19 * 1715)),
		"leave no room");
	for (unsigned int i = 1; i <= 7; i++)
		DAMAGED(bad[4096 - i] ^= 0x40, "guard");
#undef DAMAGED
	/* Of a page that is read in parts only the two entries of a list are looked at. */
	const uint32_t entries[][2] = {
		{ 3, 1 }, { 3, 8 * 4096 }, { 4, 161 }, { 4, 8 * 4096 - 1 }
	};

	for (unsigned int i = 0; i < 4; i++) {
		uint32_t start = 5, bits = 6;

		memcpy(bad, page, sizeof(bad));
		put_bits(bad, 160 + 19 * entries[i][0], 19, entries[i][1]);
		ck_assert_int_eq(
			index_page_find_list(&code, &head, bad, head.first_list + 3, &start, &bits),
			UDS_ERR_CORRUPT);
		ck_assert(start == 5 && bits == 6);
		ck_assert_int_eq(index_page_validate(&code, &head, bad, &message), UDS_ERR_CORRUPT);
		ck_assert_ptr_nonnull(strstr(message.text, "has no valid place"));
	}
	/* A list that is damaged inside is found by decoding it. */
	memcpy(bad, page, sizeof(bad));
	put_bits(bad, 160 + 19 * 8, 19, content_bits(page) - 1);
	ck_assert_int_eq(index_page_open(&code, bad, &head, NULL), 0);
	ck_assert_int_eq(index_page_validate(&code, &head, bad, &message), UDS_ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(message.text, "list "));
}
END_TEST

START_TEST(record_pages_that_do_not_exist_are_corrupt)
{
	struct geometry g = small_geometry(4096, 3); /* two payload bits, three pages */
	struct index_page_code code;
	struct index_page_head head;
	static uint8_t page[4096];
	struct uds_record_name name = { { 0 } };
	struct chapter_index *index;
	uint32_t count, start, bits, found = 99;

	index = make_index(&g, 5, 6);
	index_page_code_make(&g, 5, &code);
	ck_assert_int_eq(chapter_index_put(index, &name, 3), -EINVAL);
	ck_assert_int_eq(chapter_index_put(index, &name, 2), 0);
	ck_assert_int_eq(chapter_index_pack_page(index, 0, true, page, &count, NULL), 0);
	ck_assert_int_eq(index_page_open(&code, page, &head, NULL), 0);
	ck_assert_int_eq(index_page_search(&g, &code, &head, page, &name, &found), 1);
	ck_assert_uint_eq(found, 2);
	ck_assert_int_eq(index_page_find_list(&code, &head, page, 0, &start, &bits), 0);
	put_bits(page, start, 2, 3);
	ck_assert_int_eq(index_page_search(&g, &code, &head, page, &name, &found), UDS_ERR_CORRUPT);
	ck_assert_int_eq(index_page_validate(&code, &head, page, NULL), UDS_ERR_CORRUPT);
	ck_assert_uint_eq(found, 2);
	chapter_index_free(index);
}
END_TEST

START_TEST(mutated_pages_give_answers_or_errors)
{
	static struct uds_record_name names[512];
	static uint8_t page[4096];
	struct index_page_code code;
	struct geometry g;
	int opened = 0;

	random_page(&g, &code, 3, names, page);
	for (uint64_t round = 0; round < 3000; round++) {
		uint8_t *bad = malloc(4096); /* its end is watched by the sanitizer */
		struct index_page_head head;

		memcpy(bad, page, 4096);
		for (uint64_t i = 0; i < 1 + round % 5; i++) {
			uint64_t r = splitmix(round, i);
			size_t at = r % 3 == 0 ? r % 48 : r % 4096;

			bad[at] = (uint8_t)(r >> 40);
		}
		if (index_page_open(&code, bad, &head, NULL) == 0) {
			opened++;
			(void)index_page_validate(&code, &head, bad, NULL);
			for (uint32_t i = 0; i < 20; i++) {
				uint32_t found = 0;
				int s = index_page_search(&g, &code, &head, bad, &names[i], &found);

				ck_assert(s == 0 || s == 1 || s == UDS_ERR_CORRUPT ||
					  s == UDS_ERR_OUT_OF_RANGE);
				ck_assert_uint_lt(found, 4);
			}
		}
		free(bad);
	}
	ck_assert_int_gt(opened, 100);
}
END_TEST

START_TEST(any_bytes_as_a_page_give_answers_or_errors)
{
	struct geometry g = small_geometry(4096, 4);
	struct index_page_code code;

	index_page_code_make(&g, 77, &code);
	for (uint64_t round = 0; round < 500; round++) {
		uint8_t *bytes = malloc(4096);
		uint32_t lists = (uint32_t)(splitmix(round, 0) % 2000);
		uint32_t at = 160 + 19 * (lists + 1), length = (uint32_t)(splitmix(round, 1) % 20);
		struct index_page_head head;

		for (size_t i = 0; i < 4096; i++)
			bytes[i] = (uint8_t)splitmix(round, 100 + i);
		/* Make it likely to get past the first checks. */
		put_le64(bytes, 77);
		put_le16(bytes + 18, (uint16_t)lists);
		memset(bytes + 4089, 0xff, 7);
		for (uint32_t i = 0; i <= lists && 160 + 19 * (i + 1) <= 8 * 4089;
		     i++, at += length)
			put_bits(bytes, 160 + 19 * i, 19, at);
		if (index_page_open(&code, bytes, &head, NULL) == 0)
			(void)index_page_validate(&code, &head, bytes, NULL);
		free(bytes);
	}
}
END_TEST

/* Builds a full chapter of random names and looks many of them up. */
static void check_full_chapter(uint32_t page_bytes, uint32_t record_pages)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct chapter_index_statistics stats;
	struct index_page_head *heads;
	struct index_page_code code;
	struct chapter_index *index;
	struct uds_record_name name;
	uint32_t next = 0, count, refused = 0;
	struct geometry g;
	uint8_t *pages;

	c.page_bytes = page_bytes;
	c.record_pages_per_chapter = record_pages;
	c.chapters_per_volume = 4;
	c.cache_chapters = 1;
	ck_assert_int_eq(geometry_make(&c, &g, NULL), 0);
	index_page_code_make(&g, 3, &code);
	index = make_index(&g, 3, 4);
	pages = malloc((size_t)g.index_pages_per_chapter * page_bytes);
	heads = malloc(g.index_pages_per_chapter * sizeof(heads[0]));
	ck_assert(pages != NULL && heads != NULL);
	for (uint32_t i = 0; i < g.records_per_chapter; i++) {
		put_le64(name.bytes, splitmix(6, 2 * (uint64_t)i));
		put_le64(name.bytes + 8, splitmix(6, 2 * (uint64_t)i + 1));
		refused += chapter_index_put(index, &name, i / g.records_per_page) != 0;
	}
	ck_assert_uint_eq(refused, 0);
	for (uint32_t p = 0; p < g.index_pages_per_chapter; p++) {
		uint8_t *page = pages + (size_t)p * page_bytes;

		ck_assert_int_eq(chapter_index_pack_page(index, next,
							 p + 1 == g.index_pages_per_chapter, page,
							 &count, NULL),
				 0);
		ck_assert_int_eq(index_page_open(&code, page, &heads[p], NULL), 0);
		ck_assert_int_eq(index_page_validate(&code, &heads[p], page, NULL), 0);
		next += count;
	}
	ck_assert_uint_eq(next, g.delta_lists_per_chapter);
	chapter_index_get_statistics(index, &stats);
	ck_assert_uint_eq(stats.entries, g.records_per_chapter);
	for (uint32_t i = 0; i < g.records_per_chapter; i += 101) {
		uint32_t p = 0, found = 0;

		put_le64(name.bytes, splitmix(6, 2 * (uint64_t)i));
		put_le64(name.bytes + 8, splitmix(6, 2 * (uint64_t)i + 1));
		while (chapter_list(&g, &name) >= heads[p].first_list + heads[p].list_count)
			p++;
		ck_assert_int_eq(index_page_search(&g, &code, &heads[p],
						   pages + (size_t)p * page_bytes, &name, &found),
				 1);
		/* Never another's: a name whose address was taken is spelled out. */
		ck_assert_uint_eq(found, i / g.records_per_page);
	}
	free(heads);
	free(pages);
	chapter_index_free(index);
}

START_TEST(usual_chapters_are_indexed_without_loss)
{
	check_full_chapter(32768, 64);
	check_full_chapter(32768, 192);
	check_full_chapter(32768, 256);
}
END_TEST

START_TEST(largest_chapter_is_indexed_without_loss)
{
	check_full_chapter(65536, 1024);
}
END_TEST

START_TEST(name_put_twice_is_refused__S11)
{
	struct geometry g = small_geometry(4096, 4);
	struct chapter_index *index = make_index(&g, 1, 1);
	struct uds_record_name a = { { 1 } }, b = { { 2 } };
	struct uds_message message;
	static uint8_t page[4096];
	uint32_t count;

	/* The first copy has the ordinary entry. */
	ck_assert_int_eq(chapter_index_put(index, &a, 0), 0);
	ck_assert_int_eq(chapter_index_put(index, &a, 1), 0);
	ck_assert_int_eq(chapter_index_pack_page(index, 0, true, page, &count, &message),
			 UDS_ERR_DUPLICATE_NAME);
	ck_assert_ptr_nonnull(strstr(message.text, "chapter 1"));
	ck_assert_int_eq(chapter_index_finish(index, NULL), UDS_ERR_DUPLICATE_NAME);
	/* The first copy has a collision entry. */
	chapter_index_reset(index, 2);
	ck_assert_int_eq(chapter_index_put(index, &a, 0), 0);
	ck_assert_int_eq(chapter_index_put(index, &b, 1), 0);
	ck_assert_int_eq(chapter_index_put(index, &b, 1), 0);
	ck_assert_int_eq(chapter_index_finish(index, NULL), UDS_ERR_DUPLICATE_NAME);
	chapter_index_reset(index, 3);
	ck_assert_int_eq(chapter_index_put(index, &a, 0), 0);
	ck_assert_int_eq(chapter_index_put(index, &b, 1), 0);
	ck_assert_int_eq(chapter_index_pack_page(index, 0, true, page, &count, NULL), 0);
	ck_assert_int_eq(chapter_index_put(index, &b, 1), UDS_ERR_BAD_STATE);
	chapter_index_free(index);
}
END_TEST

/*
 * More names of one address than a list can hold: the name that is twice is among those
 * that it has.
 */
START_TEST(name_put_twice_is_refused_where_lists_overflow)
{
	static const unsigned int twice[] = { 0, 1, 2, 7, 100 };
	struct geometry g = small_geometry(4096, 8);
	struct chapter_index *index = make_index(&g, 1, 1);

	for (size_t i = 0; i <= sizeof(twice) / sizeof(twice[0]); i++) {
		bool any = i < sizeof(twice) / sizeof(twice[0]);

		chapter_index_reset(index, i);
		for (unsigned int n = 0; n < 600; n++) {
			struct uds_record_name name = { { (uint8_t)n, (uint8_t)(n >> 8) } };

			if (any && n == 150)
				name.bytes[0] = (uint8_t)twice[i], name.bytes[1] = 0;
			ck_assert_int_eq(chapter_index_put(index, &name, n / 128), 0);
		}
		ck_assert_int_eq(chapter_index_finish(index, NULL),
				 any ? UDS_ERR_DUPLICATE_NAME : 0);
	}
	chapter_index_free(index);
}
END_TEST

START_TEST(more_names_than_a_chapter_has_are_refused)
{
	static struct uds_record_name names[512];
	struct geometry g = small_geometry(4096, 4);
	struct chapter_index *index = make_index(&g, 1, 1);
	static uint8_t page[4096];
	uint32_t count;

	for (uint32_t i = 0; i < 512; i++) {
		put_le64(names[i].bytes + 6, splitmix(3, i));
		ck_assert_int_eq(chapter_index_put(index, &names[i], 0), 0);
	}
	ck_assert_int_eq(chapter_index_put(index, &names[0], 0), UDS_ERR_OVERFLOW);
	ck_assert_int_eq(chapter_index_pack_page(index, 9, true, page, &count, NULL), -EINVAL);
	ck_assert_int_eq(chapter_index_pack_page(index, 8, true, page, &count, NULL), 0);
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(get_le16(page + 16), 8);
	ck_assert_uint_eq(content_bits(page), 179);
	chapter_index_free(index);
}
END_TEST

/* Lists as the format tells of them: names inserted one by one, up to 65535 bits. */
struct naive_entry {
	uint32_t key, page;
	bool collision;
	struct uds_record_name name;
};

static struct naive_entry naive[64][4096];
static uint32_t naive_count[64];

static uint64_t naive_bits(const struct delta_code *code, uint32_t list)
{
	uint64_t bits = 0;
	uint32_t key = 0;

	for (uint32_t i = 0; i < naive_count[list]; i++) {
		const struct naive_entry *e = &naive[list][i];

		bits += e->collision ? delta_collision_bits(code)
				     : delta_ordinary_bits(code, e->key - key);
		key = e->key;
	}
	return bits;
}

/* Returns whether there was room. */
static bool naive_insert(const struct delta_code *code, uint32_t list, struct naive_entry entry)
{
	struct naive_entry *entries = naive[list];
	uint32_t at = 0;

	while (at < naive_count[list] && entries[at].key < entry.key)
		at++;
	if (at < naive_count[list] && entries[at].key == entry.key) {
		entry.collision = true;
		at++;
	}
	memmove(entries + at + 1, entries + at, (naive_count[list] - at) * sizeof(entry));
	entries[at] = entry;
	naive_count[list]++;
	if (naive_bits(code, list) <= DELTA_LIST_MAX_BITS)
		return true;
	naive_count[list]--;
	memmove(entries + at, entries + at + 1, (naive_count[list] - at) * sizeof(entry));
	return false;
}

/* The page has what the lists have, in their order. */
static void check_against_naive(const struct index_page_code *code, const uint8_t *page)
{
	struct index_page_head head;

	ck_assert_int_eq(index_page_open(code, page, &head, NULL), 0);
	ck_assert_uint_eq(head.list_count, 64);
	for (uint32_t list = 0; list < 64; list++) {
		struct delta_reader reader;
		struct delta_entry e;
		uint32_t start, bits;

		ck_assert_int_eq(index_page_find_list(code, &head, page, list, &start, &bits), 0);
		delta_reader_start(&reader, &code->delta, page, start, bits);
		for (uint32_t i = 0; i < naive_count[list]; i++) {
			const struct naive_entry *want = &naive[list][i];

			ck_assert_int_eq(delta_reader_next(&reader, &e), 1);
			ck_assert_uint_eq(e.key, want->key);
			ck_assert_uint_eq(e.value, want->page);
			ck_assert_uint_eq(e.collision, want->collision);
			if (e.collision)
				ck_assert_mem_eq(e.name, want->name.bytes, 16);
		}
		ck_assert_int_eq(delta_reader_next(&reader, &e), 0);
	}
}

START_TEST(biased_names_come_out_as_if_inserted_one_by_one)
{
	struct geometry g = small_geometry(65536, 2);
	static uint8_t page[65536];
	int with_overflows = 0;

	ck_assert_uint_eq(g.delta_lists_per_chapter, 64);
	for (uint64_t seed = 0; seed < 24; seed++) {
		struct chapter_index *index = make_index(&g, 1, 1);
		struct chapter_index_statistics stats;
		struct index_page_code code;
		uint32_t overflows = 0, kept = 0, count;

		index_page_code_make(&g, 1, &code);
		memset(naive_count, 0, sizeof(naive_count));
		for (uint32_t i = 0; i < 2500; i++) {
			uint64_t r = splitmix(seed, i);
			/*
			 * From few addresses in few lists to random ones; keys at both
			 * ends as well.
			 */
			uint64_t key = (r >> 8) % (UINT64_C(1) << (2 + seed % 8 * 2));
			uint64_t list = (r >> 32) % (1 + seed / 2);
			struct naive_entry e = { .page = i / 2048 };

			if (r % 5 == 0)
				key = (UINT64_C(1) << 22) - 1 - key % 9;
			put_le64(e.name.bytes, r);
			set_chapter_bits(&e.name, list << 22 | key);
			e.key = (uint32_t)key;
			ck_assert_int_eq(chapter_index_put(index, &e.name, e.page), 0);
			if (naive_insert(&code.delta, (uint32_t)list, e))
				kept++;
			else
				overflows++;
		}
		ck_assert_int_eq(chapter_index_pack_page(index, 0, true, page, &count, NULL), 0);
		chapter_index_get_statistics(index, &stats);
		if (stats.removed == 0)
			check_against_naive(&code, page);
		ck_assert_uint_eq(stats.overflows, overflows);
		ck_assert_uint_eq(stats.entries + stats.removed, kept);
		with_overflows += overflows > 0;
		chapter_index_free(index);
	}
	ck_assert_int_gt(with_overflows, 3);
	ck_assert_int_lt(with_overflows, 24);
}
END_TEST

START_TEST(old_bytes_never_reach_a_page__S13)
{
	struct geometry g = small_geometry(4096, 16);
	struct chapter_index *index = make_index(&g, 1, 1);
	struct chapter_index_statistics stats;
	struct uds_record_name name = { { 0 } };
	static uint8_t page[4096];
	uint32_t count, bits;

	/* A list that no page can hold, so that a first attempt at the page is given up. */
	for (uint32_t i = 0; i < 300; i++) {
		put_le32(name.bytes, i);
		set_chapter_bits(&name, i < 250 ? 5 : splitmix(1, i) >> 16);
		ck_assert_int_eq(chapter_index_put(index, &name, i / 128), 0);
	}
	memset(page, 0xa5, sizeof(page));
	ck_assert_int_eq(chapter_index_pack_page(index, 0, false, page, &count, NULL), 0);
	chapter_index_get_statistics(index, &stats);
	ck_assert_uint_ge(stats.removed, 250);
	ck_assert_uint_eq(count, g.delta_lists_per_chapter);
	bits = content_bits(page);
	ck_assert_uint_lt(bits, 8 * 1000);
	for (uint32_t bit = bits; bit < 8 * 4089; bit++)
		ck_assert_uint_eq(get_bits(page, bit, 1), 0);
	chapter_index_free(index);
}
END_TEST

/*
 * 4096 names, each 16 with the same address: 618 thousand bits as lists, but the format's memory
 * has 524 thousand.
 */
START_TEST(memory_bound_of_the_format_is_kept)
{
	struct geometry g = small_geometry(8192, 16);
	struct chapter_index *index = make_index(&g, 1, 1);
	struct chapter_index_statistics stats;
	struct uds_record_name name = { { 0 } };
	const uint64_t area = 8 * round_up((uint64_t)(g.index_pages_per_chapter + 1) * 8192, 65536);
	uint64_t most;

	for (uint32_t i = 0; i < g.records_per_chapter; i++) {
		uint64_t group = splitmix(8, i % 256);

		put_le32(name.bytes, i);
		set_chapter_bits(&name, group & ((UINT64_C(1) << 48) - 1));
		ck_assert_int_eq(chapter_index_put(index, &name, i / g.records_per_page), 0);
	}
	ck_assert_int_eq(chapter_index_finish(index, NULL), 0);
	chapter_index_get_statistics(index, &stats);
	ck_assert_uint_gt(stats.overflows, 0);
	ck_assert_uint_eq(stats.entries + stats.overflows, g.records_per_chapter);
	/* Full to within what 64 lists lose to whole bytes. */
	most = area - 56;
	ck_assert_uint_le(stats.collisions * 148ull, most);
	ck_assert_uint_ge(stats.collisions * 148ull + 256 * 80 + 64 * 16 + 200, most);
	chapter_index_free(index);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chapter_index");
	TCase *tc = tcase_create("chapter_index");

	tcase_add_test(tc, one_page_is_packed_as_recorded);
	tcase_add_test(tc, two_pages_are_packed_as_recorded);
	tcase_add_test(tc, large_page_is_packed_as_recorded);
	tcase_add_test(tc, collisions_are_packed_as_recorded);
	tcase_add_test(tc, page_without_lists_is_packed_as_recorded);
	tcase_add_test(tc, list_too_big_for_a_page_is_emptied__S1);
	tcase_add_test(tc, lists_too_many_for_the_last_page_are_emptied__S1);
	tcase_add_test(tc, full_list_refuses_records__S12);
	tcase_add_test(tc, big_endian_head_is_accepted);
	tcase_add_test(tc, parts_of_a_page_suffice_to_search);
	tcase_add_test(tc, damaged_pages_are_called_corrupt);
	tcase_add_test(tc, record_pages_that_do_not_exist_are_corrupt);
	tcase_add_test(tc, mutated_pages_give_answers_or_errors);
	tcase_add_test(tc, any_bytes_as_a_page_give_answers_or_errors);
	tcase_add_test(tc, usual_chapters_are_indexed_without_loss);
	tcase_add_test(tc, largest_chapter_is_indexed_without_loss);
	tcase_add_test(tc, name_put_twice_is_refused__S11);
	tcase_add_test(tc, name_put_twice_is_refused_where_lists_overflow);
	tcase_add_test(tc, more_names_than_a_chapter_has_are_refused);
	tcase_add_test(tc, biased_names_come_out_as_if_inserted_one_by_one);
	tcase_add_test(tc, old_bytes_never_reach_a_page__S13);
	tcase_add_test(tc, memory_bound_of_the_format_is_kept);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
