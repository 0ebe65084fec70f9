/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Record pages (uds-format, 9): the records of a page sorted by name and stored as a binary search
 * tree in heap order, without header or checksum.
 */
#ifndef CHAPTER_RECORD_PAGE_H
#define CHAPTER_RECORD_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <uds/env.h>
#include <uds/record.h>

#include "chapter/open_zone.h"

#define RECORD_PAGE_MAXIMUM_RECORDS 2048u

/* Scratch memory for pages of one size; used by one thread at a time. */
struct record_page_encoder;

/*
 * @records_per_page: 1 to 2048.
 *
 * Returns 0, -ENOMEM, or -EINVAL for another number.
 */
int record_page_encoder_make(const struct uds_env *env, uint32_t records_per_page,
			     struct record_page_encoder **ret_encoder);
void record_page_encoder_free(struct record_page_encoder *encoder);

/* The records of a page in layout order, while it is made: too much for a stack. */
struct record_page_layout {
	const struct uds_record *records[RECORD_PAGE_MAXIMUM_RECORDS];
	bool genuine[RECORD_PAGE_MAXIMUM_RECORDS]; /* see collation_page() */
};

/* One that belongs to the encoder; its content is the caller's. */
struct record_page_layout *record_page_encoder_layout(struct record_page_encoder *encoder);

/*
 * Writes a page. @records: as many as a page has, in any order; equal names only for equal records.
 * The page depends on the set of records only.
 */
void record_page_encode(struct record_page_encoder *encoder,
			const struct uds_record *const *records, uint8_t *page);

/* Finds a name. Returns whether it is there. The page's bytes may be anything. */
bool record_page_search(const uint8_t *page, uint32_t records_per_page,
			const struct uds_record_name *name, struct uds_record_data *ret_data);

/* Where a search of a page for a name ends; not less than @count when the page does not have it. */
static inline uint32_t find_in_page(const uint8_t *page, uint32_t count,
				    const struct uds_record_name *name)
{
	uint32_t i = 0;

	while (i < count) {
		int order = memcmp(name, page + (size_t)i * UDS_RECORD_BYTES, sizeof(*name));

		if (order == 0)
			break;
		i = 2 * i + (order < 0 ? 1 : 2);
	}
	return i;
}

/*
 * Checks that a search finds every record of the page: names do not decrease, and equal names
 * have equal data.
 *
 * Returns true, or false and the place (in heap order) of a record that is out of order.
 */
bool record_page_check(const uint8_t *page, uint32_t records_per_page, uint32_t *ret_bad_record);

/* The place of the record before that at @node in the order of names; there must be one. */
uint32_t record_page_previous(uint32_t node, uint32_t records_per_page);

#endif
