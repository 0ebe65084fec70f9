/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Index pages, the read side (uds-format, 7 and 8): verifying a page and searching it, as a whole
 * or from the few bytes that a search needs.
 *
 * To search without the whole page: read INDEX_PAGE_HEAD_BYTES, index_page_read_head(); read up to
 * index_page_table_bytes(), index_page_find_list(); read the bytes of the list,
 * index_page_search_list(). All three verify what they look at; the guard at the end of the page is
 * seen by index_page_open() only.
 *
 * The bytes may be anything. Pure functions; any thread.
 */
#ifndef CHAPTER_INDEX_PAGE_H
#define CHAPTER_INDEX_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/record.h>
#include <uds/status.h>

#include "delta/delta_code.h"
#include "geometry/geometry.h"

/* Bit where the table of list offsets begins, and the width of its entries. */
#define INDEX_PAGE_TABLE_BIT   160u
#define INDEX_PAGE_OFFSET_BITS 19u

/* Header and first table entry. */
#define INDEX_PAGE_HEAD_BYTES 23u

/* Bytes of ones at the end of a page. */
#define INDEX_PAGE_GUARD_BYTES 7u

struct index_page_head {
	uint64_t vcn;
	uint32_t first_list;
	uint32_t list_count;
};

/* How the lists of all chapters of a volume are coded. */
struct index_page_code {
	struct delta_code delta;
	uint32_t page_bytes;
	uint32_t record_pages;
	uint64_t volume_nonce;
};

void index_page_code_make(const struct geometry *geometry, uint64_t volume_nonce,
			  struct index_page_code *ret_code);

/*
 * Reads and verifies the head; little-endian, or big-endian as old writers left it.
 *
 * Returns 0 or UDS_ERR_CORRUPT.
 */
int index_page_read_head(const struct index_page_code *code,
			 const uint8_t head[INDEX_PAGE_HEAD_BYTES],
			 struct index_page_head *ret_head, struct uds_message *message);

/* Bytes from the start of the page to the end of its table. */
static inline uint32_t index_page_table_bytes(const struct index_page_head *head)
{
	return (INDEX_PAGE_TABLE_BIT + INDEX_PAGE_OFFSET_BITS * (head->list_count + 1) + 7) / 8;
}

/*
 * Where list number @list of the chapter lies: bits [start, start + bits) of the page.
 *
 * @page: at least index_page_table_bytes() from its start.
 *
 * Returns 0; UDS_ERR_OUT_OF_RANGE when the list is not on this page; UDS_ERR_CORRUPT.
 */
int index_page_find_list(const struct index_page_code *code, const struct index_page_head *head,
			 const uint8_t *page, uint32_t list, uint32_t *ret_start,
			 uint32_t *ret_bits);

/*
 * Searches a list at bits [@at, @at + @bits) of @memory.
 *
 * Returns 1 and the record page that may have the name, 0 when the chapter does not have it, or
 * UDS_ERR_CORRUPT.
 */
int index_page_search_list(const struct index_page_code *code, const uint8_t *memory, uint64_t at,
			   uint32_t bits, uint32_t address, const struct uds_record_name *name,
			   uint32_t *ret_record_page);

/*
 * Verifies a whole page but for the content of its lists (7.3).
 *
 * Returns 0, or UDS_ERR_CORRUPT and what is wrong with it.
 */
int index_page_open(const struct index_page_code *code, const uint8_t *page,
		    struct index_page_head *ret_head, struct uds_message *message);

/*
 * Decodes every list of a page that was opened (8.3).
 *
 * Returns 0, or UDS_ERR_CORRUPT and the list.
 */
int index_page_validate(const struct index_page_code *code, const struct index_page_head *head,
			const uint8_t *page, struct uds_message *message);

/*
 * Searches a page that was opened. Returns what index_page_search_list() does; UDS_ERR_OUT_OF_RANGE
 * when the name's list is not on this page.
 */
int index_page_search(const struct geometry *geometry, const struct index_page_code *code,
		      const struct index_page_head *head, const uint8_t *page,
		      const struct uds_record_name *name, uint32_t *ret_record_page);

#endif
