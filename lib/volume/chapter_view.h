/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One whole chapter of the volume in memory, for going through all its records: iterate and verify.
 */
#ifndef VOLUME_CHAPTER_VIEW_H
#define VOLUME_CHAPTER_VIEW_H

#include <stdint.h>
#include <string.h>

#include "volume/volume.h"

struct chapter_view {
	struct volume *volume;
	const struct geometry *geometry; /* of the volume */
	uint64_t vcn;
	uint32_t slot;
	const uint8_t *pages;	       /* index pages, then record pages; the caller's */
	struct index_page_head *heads; /* of the index pages */
};

/* A view of nothing yet. Returns 0 or -ENOMEM. */
int chapter_view_make(struct volume *volume, struct chapter_view *ret_view);

/* A view of zeroes, which was never made, is fine. */
void chapter_view_free(struct chapter_view *view);

/*
 * Looks at chapter @vcn, whose pages must be @pages: verifies the index pages, all lists in them
 * included.
 *
 * Returns 0, or UDS_ERR_CORRUPT with I/O, chapter, page and reason.
 */
int chapter_view_set(struct chapter_view *view, uint64_t vcn, const uint8_t *pages,
		     struct uds_message *message);

/*
 * Compares page @page of the chapter, counted through index pages and record pages, with its
 * checksums, if they are known. Also for a view whose chapter_view_set() failed. No thread writes
 * to the volume meanwhile.
 *
 * Returns 0, UDS_ERR_CORRUPT with I/O, chapter, page and reason, or as chapter_check_sums().
 */
int chapter_view_check_page(const struct chapter_view *view, uint32_t page,
			    struct uds_message *message);

static inline const uint8_t *chapter_view_page(const struct chapter_view *view, uint32_t page)
{
	return view->pages + (size_t)page * view->geometry->page_bytes;
}

static inline const uint8_t *chapter_view_record_page(const struct chapter_view *view,
						      uint32_t record_page)
{
	return chapter_view_page(view, view->geometry->index_pages_per_chapter + record_page);
}

/*
 * Whether a search of the chapter for the name of record @i of a record page ends at this very
 * record: false for copies of the fill record and for what the chapter index does not have.
 */
bool chapter_view_leads_to(const struct chapter_view *view, uint32_t record_page, uint32_t i);

/* Whether a search of the chapter finds the name. */
bool chapter_view_has(const struct chapter_view *view, const struct uds_record_name *name);

/*
 * Counts the entries of the chapter index, and those that lead to no record. Returns 0 or -ENOMEM.
 */
int chapter_view_count_astray(const struct chapter_view *view, uint64_t *ret_entries,
			      uint64_t *ret_astray);

#endif
