/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole pages of the volume in memory. Which of them are worth it, the caller says
 * (page_reader.h).
 *
 * An index page leads to the records of many record pages, so it is evicted later than these.
 *
 * The caller is in the page's slot (slot_table.h) whenever it pins or adds a page, and has locked
 * the slot when it drops pages. So a page that is found is of the chapter that is in the slot. Its
 * memory stays as it is while it is pinned, also when the page is dropped meanwhile.
 *
 * Threads: any.
 */
#ifndef VOLUME_PAGE_CACHE_H
#define VOLUME_PAGE_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>

struct page_cache;

enum page_kind { PAGE_OF_INDEX, PAGE_OF_RECORDS, PAGE_KINDS };

/* Memory that one page takes in the cache. */
uint64_t page_cache_page_bytes(uint32_t page_bytes);

/* @pages: at most so many are cached, perhaps none. The memory for them is taken when they come. */
int page_cache_make(const struct uds_env *env, uint32_t page_bytes, uint32_t pages,
		    struct page_cache **ret_cache);

/* May be NULL. */
void page_cache_free(struct page_cache *cache);

/* The memory of a page. */
struct page_frame {
	_Atomic uint32_t pins; /* taken with the lock of the cache, given back without */
	_Alignas(16) uint8_t bytes[];
};

/* Returns the page with this number (of the volume), pinned; NULL when it is not there. */
struct page_frame *page_cache_pin(struct page_cache *cache, uint64_t number);

static inline void page_frame_unpin(struct page_frame *frame)
{
	/* Release: what was read of the page is done with before others see it unpinned. */
	atomic_fetch_sub_explicit(&frame->pins, 1, memory_order_release);
}

/*
 * Bring what page_cache_pin() touches first into the processor's cache, the second call some time
 * after the first.
 */
void page_cache_prefetch(const struct page_cache *cache, uint64_t number);
void page_cache_prefetch_places(const struct page_cache *cache, uint64_t number);

/*
 * Caches a copy; when the cache is full, in place of a page that was not used lately. Does
 * nothing without memory, and where all pages are pinned.
 */
void page_cache_add(struct page_cache *cache, uint64_t number, enum page_kind kind,
		    const uint8_t *page);

/* How many pages it can have. */
uint32_t page_cache_limit(const struct page_cache *cache);

/* Whether another page can be cached without evicting one. */
bool page_cache_has_room(struct page_cache *cache);

/* How many pages of a kind are cached. */
uint32_t page_cache_count(const struct page_cache *cache, enum page_kind kind);

/* Forgets pages [@first, @first + @count). */
void page_cache_drop(struct page_cache *cache, uint64_t first, uint32_t count);

/* Memory taken now. */
uint64_t page_cache_bytes(struct page_cache *cache);

#endif
