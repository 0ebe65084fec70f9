/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each page of the volume must pass when it comes from the device, and the only place that
 * knows: page_reader_accept() asks before a page is used or cached, and chapter_check_index() for
 * the pages of whole chapters. A new check is added here.
 *
 * Record pages have no header, so nothing about one alone can be wrong but its checksums, where the
 * index has extras. What the pages of a chapter must pass together is in whole_chapter.h.
 *
 * Pure functions; any thread.
 */
#ifndef VOLUME_PAGE_CHECK_H
#define VOLUME_PAGE_CHECK_H

#include <stdint.h>

#include <uds/status.h>

#include "chapter/index_page.h"
#include "extras/checksums.h"
#include "geometry/geometry.h"
#include "volume/page_map.h"

/* What a page must be. */
struct page_claim {
	uint64_t vcn; /* of the chapter; NO_CHAPTER: any, then the bounds do not count either */
	uint32_t slot;
	uint32_t page;		   /* of the chapter, index pages first */
	struct page_bounds bounds; /* of an index page, as the page map has them */
};

/*
 * Compares the head of an index page with chapter and page map. For a head that was cached, too:
 * the same slot is asked for different chapters.
 *
 * Returns 1; 0 when the chapter is no longer there, because a later one took its slot; or
 * UDS_ERR_CORRUPT.
 */
int page_check_head(const struct geometry *geometry, const struct page_claim *claim,
		    const struct index_page_head *head, struct uds_message *ret_message);

/*
 * Checks the first @length bytes of a page, at least INDEX_PAGE_HEAD_BYTES of them: what can be
 * seen in so many. Only a whole page shows all its damages.
 *
 * @ret_head: of an index page.
 *
 * Returns as page_check_head().
 */
int page_check(const struct geometry *geometry, const struct index_page_code *code,
	       const struct page_claim *claim, const uint8_t *bytes, uint32_t length,
	       struct index_page_head *ret_head, struct uds_message *ret_message);

/*
 * Compares pages of a chapter, or parts of them, with the chapter's checksums, which must be known.
 *
 * @from: bytes of the chapter in front of @bytes. @from, @length: multiples of BLOCK_BYTES.
 *
 * Returns 0, or UDS_ERR_CORRUPT and the first block that is not what it was.
 */
int page_check_sums(const struct geometry *geometry, struct checksums *checksums, uint32_t slot,
		    size_t from, const uint8_t *bytes, size_t length,
		    struct uds_message *ret_message);

/*
 * Whether a chapter that its checksums do not match is a good one all the same: one with the same
 * number, by a program that does not know the checksums, after the chapter that they are of was
 * given up. That is so when most of it is different, but the heads of all index pages are those of
 * such a chapter. What is only damaged still matches for the most part.
 *
 * @pages: all pages of the slot, of which the checksums of chapter @vcn are known.
 */
bool page_check_rewritten(const struct geometry *geometry, const struct index_page_code *code,
			  const struct checksums *checksums, uint32_t slot, uint64_t vcn,
			  const uint8_t *pages);

#endif
