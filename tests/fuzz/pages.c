/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of chapters, the page map, and the delta lists that they are made of. */
#include <stdlib.h>
#include <string.h>

#include <uds/chapter.h>

#include "base/bytes.h"
#include "chapter/index_page.h"
#include "chapter/record_page.h"
#include "fuzz.h"
#include "volume/page_map.h"
#include "volume/whole_chapter.h"

void fuzz_page_map(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	const struct geometry *geometry = fuzz_geometry(fuzz_u8(&input));
	const struct uds_env *env = fuzz_env_begin(size, 1 << 16, 4);
	struct uds_message message;
	struct page_map *map;
	uint8_t *saved, *again;
	size_t length;

	FUZZ_REQUIRE(page_map_make(env, geometry, &map) == 0);
	length = (size_t)page_map_bytes(map);
	saved = fuzz_take(&input, length);
	again = malloc(length);
	FUZZ_REQUIRE(again != NULL);
	if (page_map_decode(map, saved, &message) == 0) {
		page_map_encode(map, again);
		FUZZ_REQUIRE(memcmp(saved, again, length) == 0);
		for (uint32_t c = 0; c < geometry->chapters_per_volume; c++) {
			for (uint32_t list = 0; list < map->list_count; list++) {
				struct page_bounds found = page_map_find(map, c, list);

				FUZZ_REQUIRE(found.page <= map->entries_per_chapter);
				FUZZ_REQUIRE(list >= found.first_list &&
					     list - found.first_list < found.list_count);
			}
		}
	}
	free(again);
	free(saved);
	page_map_free(map);
	fuzz_env_end();
}

/* Writes what was read again: the same entries come back. */
static void rewrite(const struct delta_code *code, const struct delta_entry *entries,
		    unsigned int count)
{
	static uint8_t memory[DELTA_LIST_MAX_BITS / 8 + 64];
	struct delta_writer writer;
	struct delta_reader reader;
	struct delta_entry entry;
	uint32_t bits;

	delta_writer_start(&writer, code, memory, 0, DELTA_LIST_MAX_BITS);
	for (unsigned int i = 0; i < count; i++) {
		if (delta_writer_append(&writer, entries[i].key, entries[i].value,
					entries[i].collision ? entries[i].name : NULL) < 0)
			return; /* one that a writer does not make: a key that does not grow */
	}
	bits = delta_writer_finish(&writer);
	delta_reader_start(&reader, code, memory, 0, bits);
	for (unsigned int i = 0; i < count; i++) {
		FUZZ_REQUIRE(delta_reader_next(&reader, &entry) == 1);
		FUZZ_REQUIRE(entry.key == entries[i].key && entry.value == entries[i].value &&
			     entry.collision == entries[i].collision);
	}
	FUZZ_REQUIRE(delta_reader_next(&reader, &entry) == 0);
}

#define MOST_ENTRIES 4096

/* Taking many at once gives what taking one by one gives. */
static void take_many(const struct delta_code *code, const uint8_t *memory, uint64_t at,
		      uint64_t bits, const struct delta_entry *entries, unsigned int count)
{
	uint32_t keys[16], values[16], taken;
	struct delta_reader reader;
	struct delta_entry entry;
	unsigned int i = 0;

	delta_reader_start(&reader, code, memory, at, bits);
	while (i < count) {
		taken = delta_reader_take(&reader, keys, values, 16);
		for (uint32_t j = 0; j < taken; j++, i++)
			FUZZ_REQUIRE(i < count && keys[j] == entries[i].key &&
				     values[j] == entries[i].value && !entries[i].collision);
		if (i < count) {
			FUZZ_REQUIRE(delta_reader_next(&reader, &entry) == 1);
			FUZZ_REQUIRE(entry.key == entries[i].key &&
				     entry.value == entries[i].value);
			i++;
		}
	}
}

void fuzz_delta_list(const uint8_t *bytes, size_t size)
{
	static struct delta_entry entries[MOST_ENTRIES];
	struct fuzz_input input = { bytes, size };
	uint32_t mean = fuzz_u32(&input) % 100000 + 1, value;
	unsigned int payload = fuzz_u8(&input) % 33, skip = fuzz_u8(&input) % 8, count = 0;
	size_t length = input.left;
	uint8_t *memory = fuzz_take(&input, length);
	struct delta_reader reader;
	struct delta_code code;
	int r = 0;

	if (delta_code_make(mean, payload, &code) == 0 && length > 1 &&
	    length <= DELTA_LIST_MAX_BITS / 8) {
		uint64_t bits = 8 * length - skip;

		delta_reader_start(&reader, &code, memory, skip, bits);
		while (count < MOST_ENTRIES &&
		       (r = delta_reader_next(&reader, &entries[count])) == 1)
			count++;
		for (unsigned int i = 0; i < count; i += 1 + count / 50)
			FUZZ_REQUIRE(delta_list_search(&code, memory, skip, bits, entries[i].key,
						       entries[i].name, &value) != 0);
		if (r == 0) {
			rewrite(&code, entries, count);
			take_many(&code, memory, skip, bits, entries, count);
		}
	}
	free(memory);
}

/* With the library's own calls, for users of pages. */
static void search_by_public_calls(const struct geometry *geometry, const uint8_t *page,
				   const uint8_t *names, bool valid)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_index_page made = UDS_INDEX_PAGE_INIT;
	struct uds_page_format *format;
	struct uds_message message;
	uint32_t record_page;
	bool found;
	int r;

	geometry_configuration(geometry, &configuration);
	FUZZ_REQUIRE(uds_page_format_make(&configuration, FUZZ_NONCE, NULL, &message, &format) ==
		     0);
	if (uds_chapter_index_initialize_page(format, page, &message, &made) == 0) {
		r = uds_chapter_index_validate_page(format, &made, &message);
		FUZZ_REQUIRE((r == 0) == valid);
		for (unsigned int i = 0; i < 4; i++) {
			struct uds_record_name name;

			memcpy(name.bytes, names + 16 * i, sizeof(name.bytes));
			r = uds_chapter_index_search_page(format, &made, &name, &found,
							  &record_page);
			FUZZ_REQUIRE(!valid || r == 0 || r == UDS_ERR_OUT_OF_RANGE);
			FUZZ_REQUIRE(r != 0 || !found ||
				     record_page < geometry->record_pages_per_chapter);
		}
	}
	uds_page_format_free(format);
}

static void look_at_lists(const struct index_page_code *code, const struct index_page_head *head,
			  const uint8_t *page, const uint8_t *names, bool valid)
{
	uint32_t start, bits, record_page;
	struct uds_record_name name;

	memcpy(name.bytes, names, sizeof(name.bytes));
	for (uint32_t i = 0; i < head->list_count; i++) {
		int r = index_page_find_list(code, head, page, head->first_list + i, &start, &bits);

		FUZZ_REQUIRE(!valid || r == 0);
		if (r < 0)
			continue;
		FUZZ_REQUIRE(start + bits <= 8 * code->page_bytes);
		r = index_page_search_list(code, page, start, bits, get_le32(names + i % 48), &name,
					   &record_page);
		FUZZ_REQUIRE(!valid || r == 0 || r == 1);
		FUZZ_REQUIRE(r != 1 || record_page < code->record_pages);
	}
}

void fuzz_index_page(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	const struct geometry *geometry = fuzz_geometry(fuzz_u8(&input));
	uint8_t *names = fuzz_take(&input, 64), *page = fuzz_take(&input, geometry->page_bytes);
	struct index_page_code code;
	struct index_page_head head;
	struct uds_message message;
	bool opens, valid = false;

	index_page_code_make(geometry, FUZZ_NONCE, &code);
	opens = index_page_open(&code, page, &head, &message) == 0;
	if (opens) {
		valid = index_page_validate(&code, &head, page, &message) == 0;
		look_at_lists(&code, &head, page, names, valid);
	}
	search_by_public_calls(geometry, page, names, valid);
	free(page);
	free(names);
}

void fuzz_record_page(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	uint32_t count = fuzz_u32(&input) % RECORD_PAGE_MAXIMUM_RECORDS + 1, bad = 0;
	size_t length = (size_t)count * UDS_RECORD_BYTES;
	uint8_t *page = fuzz_take(&input, length);
	struct uds_record_data data;
	bool good = record_page_check(page, count, &bad);

	FUZZ_REQUIRE(good || bad < count);
	FUZZ_REQUIRE((uds_record_page_check(page, count, NULL, &bad) == 0) == good);
	for (uint32_t i = 0; i < count; i++) {
		struct uds_record_name name;
		bool found;

		memcpy(name.bytes, page + (size_t)i * UDS_RECORD_BYTES, sizeof(name.bytes));
		found = record_page_search(page, count, &name, &data);
		FUZZ_REQUIRE(found || !good);
		FUZZ_REQUIRE(uds_record_page_search(page, count, &name, &data) == found);
	}
	free(page);
}

/* All pages of a chapter together. */
void fuzz_chapter(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	const struct geometry *geometry = fuzz_geometry(fuzz_u8(&input));
	uint32_t slot = fuzz_u8(&input) % geometry->chapters_per_volume;
	const struct uds_env *env = fuzz_env_begin(size, 1 << 18, 8);
	struct index_page_head heads[4];
	struct index_page_code code;
	struct uds_message message;
	uint64_t vcn, whole_vcn;
	uint16_t last_lists[4];
	uint8_t *pages;
	int r;

	FUZZ_REQUIRE(geometry->index_pages_per_chapter <= 4);
	pages = fuzz_take(&input, (size_t)geometry->pages_per_chapter * geometry->page_bytes);
	index_page_code_make(geometry, FUZZ_NONCE, &code);
	r = chapter_check_index(geometry, &code, slot, pages, &vcn, heads, &message);
	if (r == 0) {
		uint64_t entries, astray;

		FUZZ_REQUIRE(geometry_physical_chapter(geometry, vcn) == slot);
		chapter_last_lists(geometry, heads, last_lists);
		FUZZ_REQUIRE(chapter_count_astray(env, geometry, &code, heads, pages, &entries,
						  &astray, NULL) == 0);
		FUZZ_REQUIRE(astray <= entries);
	}
	if (chapter_check_whole(env, geometry, &code, slot, pages, &whole_vcn, &message) == 0)
		FUZZ_REQUIRE(r == 0 && whole_vcn == vcn);
	free(pages);
	fuzz_env_end();
}
