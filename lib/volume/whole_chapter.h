/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a slot of the volume holds a whole chapter, and which (uds-format, 16.1).
 *
 * The format has no commit mark: a chapter is whole when its pages agree with each other. The index
 * pages alone do not tell, because a power cut may leave them and lose record pages, or leave their
 * heads and lose what follows. A chapter is whole when
 *   - its index pages verify, their lists decode, and together they hold every list of one chapter
 *     that belongs into the slot;
 *   - the records of each record page are in order;
 *   - each entry of the index leads to a record of its own, on the page that the entry names.
 * The last one decides: where old bytes lie among the new ones, in an index page or a record page,
 * entries lead to nothing. Records without an entry are in order: copies of the fill record, and
 * those for which the index had no room.
 *
 * Where an index has extras, checksums that are known decide instead: they were written when the
 * chapter was durable, so a chapter that does not match them was not torn, but damaged since.
 *
 * Recovery, the choice of saves and verify all ask here.
 *
 * Threads: pure functions, but for chapter_read_whole(), chapter_find_damaged() and
 * chapter_read_head(), which read. Any thread.
 */
#ifndef VOLUME_WHOLE_CHAPTER_H
#define VOLUME_WHOLE_CHAPTER_H

#include <stdint.h>

#include <uds/env.h>
#include <uds/status.h>

#include "chapter/index_page.h"
#include "geometry/geometry.h"
#include "volume/page_reader.h"

/*
 * Checks the index pages alone.
 *
 * @pages: at least the index pages of the slot.
 * @ret_heads: one for each index page; may be changed when it fails.
 *
 * Returns 0, or UDS_ERR_CORRUPT and the page with what is wrong, without the slot.
 */
int chapter_check_index(const struct geometry *geometry, const struct index_page_code *code,
			uint32_t slot, const uint8_t *pages, uint64_t *ret_vcn,
			struct index_page_head *ret_heads, struct uds_message *ret_message);

/* From the heads of good index pages to what page_map_set() takes. */
void chapter_last_lists(const struct geometry *geometry, const struct index_page_head *heads,
			uint16_t *ret_last_lists);

/* The entries of a chapter index that lead to one record page. */
struct page_entries {
	uint32_t all;
	uint32_t astray; /* to no record of it */
};

/*
 * Counts the entries of the chapter index, and those that lead to no record.
 *
 * @heads, @pages: all pages of a chapter, whose index pages were checked.
 * @ret_pages: may be NULL; the same for each record page, added to what is there.
 *
 * Returns 0 or -ENOMEM.
 */
int chapter_count_astray(const struct uds_env *env, const struct geometry *geometry,
			 const struct index_page_code *code, const struct index_page_head *heads,
			 const uint8_t *pages, uint64_t *ret_entries, uint64_t *ret_astray,
			 struct page_entries *ret_pages);

/*
 * Whether @pages, all pages of a slot, are a whole chapter. Returns 0 and its number;
 * UDS_ERR_CORRUPT and what is wrong, without the slot; or -ENOMEM.
 */
int chapter_check_whole(const struct uds_env *env, const struct geometry *geometry,
			const struct index_page_code *code, uint32_t slot, const uint8_t *pages,
			uint64_t *ret_vcn, struct uds_message *ret_message);

/*
 * The same for a slot that is to be read. Returns also what the I/O said. Asks the checksums
 * first, if the reader has them, and computes those of a whole chapter that has none: no other
 * thread uses the slot.
 */
int chapter_read_whole(struct page_reader *reader, uint32_t slot, uint64_t *ret_vcn,
		       struct uds_message *ret_message);

/*
 * Which chapter a slot has that holds no good one. If the reader's checksums say which it was, and
 * most of it still matches them, it is damaged and was durable once: the checksums of a chapter are
 * written when it is, and a power cut tears it before. Its record pages may be good.
 *
 * @ret_vcn: NO_CHAPTER: it has none.
 *
 * Returns 0, -ENOMEM, or what the I/O said.
 */
int chapter_find_damaged(struct page_reader *reader, uint32_t slot, uint64_t *ret_vcn,
			 struct uds_message *ret_message);

/*
 * What the first block of a slot says of its chapter, which need not be true.
 *
 * Returns 0; or UDS_ERR_CORRUPT when it is no head of this index, or one that does not belong
 * into the slot.
 */
int chapter_head_decode(const struct geometry *geometry, const struct index_page_code *code,
			uint32_t slot, const uint8_t *block, struct index_page_head *ret_head,
			struct uds_message *ret_message);

/*
 * Reads what the head of a slot says, which need not be true.
 *
 * Returns 0; UDS_ERR_CORRUPT when it is no head of this index, or one that does not belong into the
 * slot; -ENOMEM; or what the I/O said.
 */
int chapter_read_head(struct page_reader *reader, uint32_t slot, uint64_t *ret_vcn,
		      struct uds_message *ret_message);

/*
 * Compares what page_reader_read_row() read, whole pages, with the checksums of chapter @vcn, if
 * they are known.
 *
 * Returns 0; UDS_ERR_CORRUPT and what is wrong, @ret_page being the page; or -ENOMEM or what the
 * I/O said, when it had to be found out whether the checksums count.
 */
int chapter_check_sums(struct page_reader *reader, uint32_t slot, uint64_t vcn, uint32_t page,
		       size_t length, const uint8_t *memory, uint32_t *ret_page,
		       struct uds_message *ret_message);

#endif
