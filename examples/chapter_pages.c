/* SPDX-License-Identifier: BSD-2-Clause */
/* chapter_pages [COUNT]: stores COUNT records, closes the chapter, finds each on its pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/chapter.h>

#define NONCE 0x1234 /* that of the volume: stored in every index page */

static struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
static struct uds_geometry geometry = UDS_GEOMETRY_INIT;

/* Any well-mixed 16 bytes do for a name; this stands for a hash of a block. */
static void name_block(uint64_t block, struct uds_record_name *ret_name)
{
	for (int i = 0; i < UDS_NAME_BYTES; i++) {
		block = block * 6364136223846793005u + 1442695040888963407u;
		ret_name->bytes[i] = (uint8_t)(block >> 56);
	}
}

static int store(struct uds_open_chapter *chapter, uint64_t count)
{
	for (uint64_t block = 0; block < count; block++) {
		struct uds_record_name name;
		struct uds_record_data data = { { 0 } };
		uint32_t room;
		int r;

		name_block(block, &name);
		memcpy(data.bytes, &block, sizeof(block)); /* where the block lies */
		r = uds_open_chapter_put(chapter, &name, &data, &room);
		if (r < 0)
			return r;
		if (room == 0)
			break; /* a zone is full: time to close the chapter */
	}
	return 0;
}

/* Closes the chapter into @pages, index pages first, as they lie in a volume. */
static int make_pages(const struct uds_open_chapter *chapter, uint8_t *pages,
		      struct uds_message *message)
{
	const size_t page_bytes = configuration.page_bytes;
	const uint32_t index_pages = geometry.index_pages_per_chapter;
	struct uds_chapter_index *index;
	uint32_t first = 0, count;
	int r;

	r = uds_chapter_index_make(&configuration, NONCE, NULL, message, &index);
	if (r < 0)
		return r;
	r = uds_open_chapter_close(chapter, index, pages + index_pages * page_bytes,
				   configuration.record_pages_per_chapter * page_bytes);
	for (uint32_t p = 0; r == 0 && p < index_pages; p++) {
		r = uds_chapter_index_pack_page(index, first, p + 1 == index_pages,
						pages + p * page_bytes, &count, message);
		first += count;
	}
	uds_chapter_index_free(index);
	return r;
}

/* Looks a name up as a reader of the volume does: one index page, then one record page. */
static int find(const struct uds_page_format *format, const uint8_t *pages,
		const struct uds_record_name *name, bool *ret_found,
		struct uds_record_data *ret_data)
{
	struct uds_index_page page = UDS_INDEX_PAGE_INIT;
	const uint32_t list = uds_chapter_index_list_of(format, name);
	uint32_t record_page;
	int r;

	for (uint32_t p = 0; p < geometry.index_pages_per_chapter; p++) {
		r = uds_chapter_index_initialize_page(
			format, pages + (size_t)p * configuration.page_bytes, NULL, &page);
		if (r < 0)
			return r;
		if (list < page.first_list + page.list_count)
			break;
	}
	r = uds_chapter_index_search_page(format, &page, name, ret_found, &record_page);
	if (r < 0 || !*ret_found)
		return r;
	record_page += geometry.index_pages_per_chapter;
	*ret_found = uds_record_page_search(pages + (size_t)record_page * configuration.page_bytes,
					    geometry.records_per_page, name, ret_data);
	return 0;
}

static int find_all(const uint8_t *pages, uint64_t count, struct uds_message *message)
{
	struct uds_page_format *format;
	struct uds_record_name name;
	struct uds_record_data data;
	uint64_t hits = 0;
	bool found = false;
	int r;

	r = uds_page_format_make(&configuration, NONCE, NULL, message, &format);
	for (uint64_t block = 0; r == 0 && block < count; block++) {
		name_block(block, &name);
		r = find(format, pages, &name, &found, &data);
		hits += r == 0 && found && memcmp(data.bytes, &block, sizeof(block)) == 0;
	}
	if (r == 0) {
		printf("%llu of %llu found\n", (unsigned long long)hits, (unsigned long long)count);
		uds_page_format_free(format);
	}
	return r;
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
	struct uds_open_chapter *chapter = NULL;
	struct uds_message message = { "" };
	uint8_t *pages = NULL;
	int r;

	configuration.page_bytes = 4096; /* a small one; 16 pages of 128 records */
	configuration.record_pages_per_chapter = 16;
	r = uds_geometry_compute(&configuration, &message, &geometry);
	if (r == 0)
		r = uds_open_chapter_make(&configuration, 1, NULL, &message, &chapter);
	if (r == 0) {
		pages = malloc((size_t)geometry.pages_per_chapter * configuration.page_bytes);
		r = pages == NULL ? -1 : store(chapter, count);
	}
	if (r == 0)
		r = make_pages(chapter, pages, &message);
	if (r == 0)
		r = find_all(pages, count, &message);
	if (r < 0)
		fprintf(stderr, "chapter_pages: %s. %s\n", uds_strerror(r), message.text);
	uds_open_chapter_free(chapter);
	free(pages);
	return r < 0 ? 1 : 0;
}
