/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds the pages of a closed chapter. */
#include "chapter/closed_chapter.h"

int closed_chapter_encode_page(const struct collation *collation, uint32_t page,
			       struct chapter_index *index, struct record_page_encoder *encoder,
			       uint8_t *ret_page)
{
	struct record_page_layout *layout = record_page_encoder_layout(encoder);
	int r;

	/* The layout lies in the encoder, where it is used again for every page. */
	collation_page(collation, page, layout->records, layout->genuine);
	for (uint32_t i = 0; i < collation->geometry->records_per_page; i++) {
		/* Copies of the fill record have no entry of their own (10.4). */
		if (!layout->genuine[i])
			continue;
		r = chapter_index_put(index, &layout->records[i]->name, page);
		if (r < 0)
			return r;
	}
	record_page_encode(encoder, layout->records, ret_page);
	return 0;
}

int closed_chapter_pack_index(const struct geometry *geometry, struct chapter_index *index,
			      uint8_t *ret_pages, uint16_t *ret_last_lists,
			      struct uds_message *message)
{
	const uint32_t pages = geometry->index_pages_per_chapter;
	uint32_t next = 0, count;

	for (uint32_t page = 0; page < pages; page++) {
		int r = chapter_index_pack_page(index, next, page + 1 == pages,
						ret_pages + (size_t)page * geometry->page_bytes,
						&count, message);

		if (r < 0)
			return r;
		/*
		 * A page takes up where the one before ended; the last one has to take all that is
		 * left (8.2).
		 */
		next += count;
		/*
		 * For a page without lists this is the last list of the page before, as the page
		 * map has it (12.1).
		 */
		if (page + 1 < pages)
			ret_last_lists[page] = (uint16_t)(next - 1);
	}
	return 0;
}
