/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which pages lookups read whole, and which they look for in the cache of their reader
 * (page_reader.h): where the cache has room for too few of a kind, none are brought in and none are
 * looked for.
 *
 * Threads: any.
 */
#ifndef VOLUME_PAGE_KEEPING_H
#define VOLUME_PAGE_KEEPING_H

#include "volume/page_reader.h"

/*
 * Whether the page that the claim is about is cached. From then on, until the next call or
 * page_reader_release(), what is wanted is looked at in place. The caller is in the slot.
 */
bool page_reader_find(struct page_reader *reader, struct page_request *request);

/* Bring what page_reader_find() touches of an index page into the processor's cache. */
void page_reader_prefetch(const struct page_reader *reader, uint32_t slot, uint32_t page);
void page_reader_prefetch_places(const struct page_reader *reader, uint32_t slot, uint32_t page);

/*
 * Whether an index page whose head is cached is better read whole than in part, so that it can be
 * cached: if it is to be kept; if it is asked for so often that it should have room; and where
 * reads are slow, if there is room for it.
 */
bool page_reader_prefers_page(struct page_reader *reader, const struct page_request *request);

/*
 * The same for a record page where reads are quick: if it is to be kept, or if there is room for it
 * and it is asked for now and then. @name: whose lookup it is.
 */
bool page_reader_prefers_records(struct page_reader *reader, const struct page_request *request,
				 const struct uds_record_name *name);

/* Whether there is room to keep what many names of one chapter need. */
bool page_reader_can_keep(const struct page_reader *reader);

#endif
