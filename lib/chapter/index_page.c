/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verifying and searching index pages. Every number that comes from the page is checked before use.
 */
#include "chapter/index_page.h"

#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/message.h"
#include "geometry/name_bits.h"

void index_page_code_make(const struct geometry *geometry, uint64_t volume_nonce,
			  struct index_page_code *ret_code)
{
	delta_code_parameters(geometry->chapter_mean_delta, geometry->chapter_payload_bits,
			      &ret_code->delta);
	ret_code->page_bytes = geometry->page_bytes;
	ret_code->record_pages = geometry->record_pages_per_chapter;
	ret_code->volume_nonce = volume_nonce;
}

/* Bit of the page where list @i of the page begins, or where the last one ends. */
static uint32_t table_entry(const uint8_t *page, uint32_t i)
{
	return get_bits(page, INDEX_PAGE_TABLE_BIT + (uint64_t)INDEX_PAGE_OFFSET_BITS * i,
			INDEX_PAGE_OFFSET_BITS);
}

static uint32_t table_end(uint32_t list_count)
{
	return INDEX_PAGE_TABLE_BIT + INDEX_PAGE_OFFSET_BITS * (list_count + 1);
}

static uint32_t lists_end(const struct index_page_code *code)
{
	return 8 * (code->page_bytes - INDEX_PAGE_GUARD_BYTES);
}

/* 0, or UDS_ERR_CORRUPT for a head that was read in the wrong byte order or is damaged. */
static int check_head(const struct index_page_code *code, const uint8_t *page, uint64_t nonce,
		      const struct index_page_head *head, struct uds_message *message)
{
	const uint32_t most =
		(code->page_bytes - INDEX_PAGE_TABLE_BIT / 8) * 8 / INDEX_PAGE_OFFSET_BITS;

	/* Pages of an index that was here before have another nonce (15.1). */
	if (nonce != code->volume_nonce)
		return failure(message, UDS_ERR_CORRUPT,
			       "nonce %" PRIu64 " is not the volume's %" PRIu64, nonce,
			       code->volume_nonce);
	/* Before the table is looked at, whose length it says. */
	if (head->list_count > most)
		return failure(message, UDS_ERR_CORRUPT,
			       "%" PRIu32 " lists are more than a page has room for, %" PRIu32,
			       head->list_count, most);
	if (table_entry(page, 0) != table_end(head->list_count))
		return failure(message, UDS_ERR_CORRUPT,
			       "the first list begins at bit %" PRIu32 ", not at %" PRIu32,
			       table_entry(page, 0), table_end(head->list_count));
	/*
	 * The largest allowed count would put the table's end past the page, with no
	 * room for a list.
	 */
	if (table_end(head->list_count) > lists_end(code))
		return failure(message, UDS_ERR_CORRUPT,
			       "%" PRIu32 " lists leave no room for the end of the page",
			       head->list_count);
	return 0;
}

int index_page_read_head(const struct index_page_code *code,
			 const uint8_t bytes[INDEX_PAGE_HEAD_BYTES],
			 struct index_page_head *ret_head, struct uds_message *message)
{
	/* Old big-endian writers: only the head is the other way round (7.3). */
	struct index_page_head little = { get_le64(bytes + 8), get_le16(bytes + 16),
					  get_le16(bytes + 18) };
	struct index_page_head big = { get_be64(bytes + 8), get_be16(bytes + 16),
				       get_be16(bytes + 18) };
	int r = check_head(code, bytes, get_le64(bytes), &little, message);

	if (r == 0) {
		*ret_head = little;
		return 0;
	}
	/* Keep the message about the little-endian reading: big-endian pages are rare. */
	if (check_head(code, bytes, get_be64(bytes), &big, NULL) < 0)
		return r;
	*ret_head = big;
	return 0;
}

int index_page_find_list(const struct index_page_code *code, const struct index_page_head *head,
			 const uint8_t *page, uint32_t list, uint32_t *ret_start,
			 uint32_t *ret_bits)
{
	uint32_t i = list - head->first_list;
	uint32_t start, end;

	if (list < head->first_list || i >= head->list_count)
		return UDS_ERR_OUT_OF_RANGE;
	start = table_entry(page, i);
	end = table_entry(page, i + 1);
	/*
	 * Checked each time it is used, since of a page that is read in parts only these two
	 * entries may be known.
	 */
	if (start < table_end(head->list_count) || start > end || end > lists_end(code))
		return UDS_ERR_CORRUPT;
	*ret_start = start;
	*ret_bits = end - start;
	return 0;
}

int index_page_search_list(const struct index_page_code *code, const uint8_t *memory, uint64_t at,
			   uint32_t bits, uint32_t address, const struct uds_record_name *name,
			   uint32_t *ret_record_page)
{
	uint32_t value;
	int r = delta_list_search(&code->delta, memory, at, bits, address, name->bytes, &value);

	if (r != 1)
		return r;
	/* A value has room for more numbers than a chapter has record pages. */
	if (value >= code->record_pages)
		return UDS_ERR_CORRUPT;
	*ret_record_page = value;
	return 1;
}

int index_page_open(const struct index_page_code *code, const uint8_t *page,
		    struct index_page_head *ret_head, struct uds_message *message)
{
	static const uint8_t guard[INDEX_PAGE_GUARD_BYTES] = { 0xff, 0xff, 0xff, 0xff,
							       0xff, 0xff, 0xff };
	struct index_page_head head = { 0 };
	uint32_t previous, next;
	int r = index_page_read_head(code, page, &head, message);

	if (r < 0)
		return r;
	previous = table_entry(page, 0);
	for (uint32_t i = 1; i <= head.list_count; i++) {
		next = table_entry(page, i);
		/* Equal is right: an empty list. */
		if (next < previous)
			return failure(message, UDS_ERR_CORRUPT,
				       "list %" PRIu32 " ends at bit %" PRIu32
				       ", before it begins at %" PRIu32,
				       head.first_list + i - 1, next, previous);
		previous = next;
	}
	if (previous > lists_end(code))
		return failure(message, UDS_ERR_CORRUPT,
			       "the last list ends at bit %" PRIu32
			       ", behind the page's last, %" PRIu32,
			       previous, lists_end(code));
	if (memcmp(page + code->page_bytes - INDEX_PAGE_GUARD_BYTES, guard, sizeof(guard)) != 0)
		return failure(message, UDS_ERR_CORRUPT,
			       "the guard at the end of the page is damaged");
	*ret_head = head;
	return 0;
}

#define ENTRIES_AT_ONCE 64u

/* Checks the entries of one list. Returns 0 or UDS_ERR_CORRUPT. */
static int check_list(const struct index_page_code *code, uint32_t list, const uint8_t *page,
		      uint32_t start, uint32_t bits, struct uds_message *message)
{
	uint32_t keys[ENTRIES_AT_ONCE + 1], values[ENTRIES_AT_ONCE + 1];
	struct delta_reader reader;
	struct delta_entry entry;
	int r;

	delta_reader_start(&reader, &code->delta, page, start, bits);
	do {
		uint32_t count = delta_reader_take(&reader, keys, values, ENTRIES_AT_ONCE);

		r = delta_reader_next(&reader, &entry);
		if (r == 1) {
			keys[count] = entry.key;
			values[count++] = entry.value;
		}
		for (uint32_t i = 0; i < count; i++) {
			if (values[i] >= code->record_pages)
				return failure(message, UDS_ERR_CORRUPT,
					       "list %" PRIu32 ", key %" PRIu32
					       ": record page %" PRIu32 " is not below %" PRIu32,
					       list, keys[i], values[i], code->record_pages);
		}
	} while (r == 1);
	if (r < 0)
		return failure(message, UDS_ERR_CORRUPT,
			       "list %" PRIu32 " does not decode to its end, bit %" PRIu32, list,
			       start + bits);
	return 0;
}

int index_page_validate(const struct index_page_code *code, const struct index_page_head *head,
			const uint8_t *page, struct uds_message *message)
{
	uint32_t start, bits;

	for (uint32_t i = 0; i < head->list_count; i++) {
		const uint32_t list = head->first_list + i;
		int r = index_page_find_list(code, head, page, list, &start, &bits);

		if (r < 0)
			return failure(message, UDS_ERR_CORRUPT,
				       "list %" PRIu32 " has no valid place", list);
		/* To the end: a list that decodes in part would answer "not found" for the rest. */
		r = check_list(code, list, page, start, bits, message);
		if (r < 0)
			return r;
	}
	return 0;
}

int index_page_search(const struct geometry *geometry, const struct index_page_code *code,
		      const struct index_page_head *head, const uint8_t *page,
		      const struct uds_record_name *name, uint32_t *ret_record_page)
{
	uint32_t start, bits;
	int r = index_page_find_list(code, head, page, chapter_list(geometry, name), &start, &bits);

	if (r < 0)
		return r;
	return index_page_search_list(code, page, start, bits, chapter_address(geometry, name),
				      name, ret_record_page);
}
