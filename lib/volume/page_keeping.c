/* SPDX-License-Identifier: BSD-2-Clause */
/* See the header. How many pages of each kind there are, the page cache counts. */
#include "volume/page_keeping.h"

/* Of the lookups that could bring in a record page, one in so many does. */
#define RECORD_PAGE_READS 4u

/* Whether a page of the kind may be in the cache: asking costs time. */
static bool may_be_cached(struct page_reader *reader, const struct page_request *request)
{
	return request->keep || page_reader_is_slow(reader) ||
	       reader->quick_room[page_reader_kind(reader, &request->claim)] > 0;
}

bool page_reader_find(struct page_reader *reader, struct page_request *request)
{
	const struct page_claim *claim = &request->claim;

	if (request->cached != NULL)
		page_frame_unpin(request->cached);
	request->cached = NULL;
	if (may_be_cached(reader, request))
		request->cached = page_cache_pin(
			reader->cache,
			geometry_physical_page(reader->geometry, claim->slot, claim->page));
	return request->cached != NULL;
}

void page_reader_prefetch(const struct page_reader *reader, uint32_t slot, uint32_t page)
{
	if (page_cache_count(reader->cache, PAGE_OF_INDEX) > 0)
		page_cache_prefetch(reader->cache,
				    geometry_physical_page(reader->geometry, slot, page));
}

void page_reader_prefetch_places(const struct page_reader *reader, uint32_t slot, uint32_t page)
{
	if (page_cache_count(reader->cache, PAGE_OF_INDEX) > 0)
		page_cache_prefetch_places(reader->cache,
					   geometry_physical_page(reader->geometry, slot, page));
}

bool page_reader_prefers_page(struct page_reader *reader, const struct page_request *request)
{
	const struct page_claim *claim = &request->claim;

	if (request->keep)
		return true;
	if (page_reader_is_slow(reader))
		return page_cache_has_room(reader->cache) ||
		       slot_head_is_busy(reader->slots, claim->slot, claim->page);
	return page_reader_has_quick_room(reader, PAGE_OF_INDEX) &&
	       slot_head_is_busy(reader->slots, claim->slot, claim->page);
}

bool page_reader_prefers_records(struct page_reader *reader, const struct page_request *request,
				 const struct uds_record_name *name)
{
	/* Pages are sorted by the first bytes; those after the eighth tell lists and samples. */
	return request->keep || (page_reader_has_quick_room(reader, PAGE_OF_RECORDS) &&
				 name->bytes[7] % RECORD_PAGE_READS == 0);
}

/* All index pages of some chapters, and as many record pages. */
bool page_reader_can_keep(const struct page_reader *reader)
{
	/* What is mapped is in memory without. */
	return reader->io->map == NULL &&
	       page_cache_limit(reader->cache) >= 8 * reader->geometry->index_pages_per_chapter;
}
