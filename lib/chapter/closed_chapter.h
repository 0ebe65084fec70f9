/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a closed chapter to its pages: for each record page in turn the records are laid out,
 * entered in the chapter index, and encoded. The index pages are packed when the last record
 * page is done.
 */
#ifndef CHAPTER_CLOSED_CHAPTER_H
#define CHAPTER_CLOSED_CHAPTER_H

#include "chapter/chapter_index.h"
#include "chapter/collation.h"
#include "chapter/record_page.h"

/*
 * Makes record page @page (of page_bytes). Pages are to be made in order, each once, because the
 * chapter index follows the layout order. @index was reset for this chapter.
 *
 * Returns 0, or what chapter_index_put() returns.
 */
int closed_chapter_encode_page(const struct collation *collation, uint32_t page,
			       struct chapter_index *index, struct record_page_encoder *encoder,
			       uint8_t *ret_page);

/*
 * Packs all index pages of a chapter.
 *
 * @ret_pages: index_pages_per_chapter times page_bytes.
 * @ret_last_lists: for each page but the last the highest list number on it, as the index page map
 * has it (12.1; a page without lists has that of the page before it).
 *
 * Returns 0, or what chapter_index_pack_page() returns.
 */
int closed_chapter_pack_index(const struct geometry *geometry, struct chapter_index *index,
			      uint8_t *ret_pages, uint16_t *ret_last_lists,
			      struct uds_message *message);

#endif
