/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page cache: shards with a lock of their own, each a few places that are searched one by one,
 * and evicted by a clock hand that passes over what was used since it came by last, over an index
 * page a few times.
 *
 * How many pages there are is counted for all shards together, and a shard grows while pages are
 * left: the pages that are asked for are never spread evenly, and a limit for each shard would
 * evict from one while others are empty.
 */
#include "volume/page_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/env.h"

/* On average, when the cache is full. */
#define PLACES_PER_SHARD 16u
#define NO_PAGE		 UINT64_MAX

/* Of a page that was used just now: so often the hand passes over it. */
static const uint8_t most_lives[PAGE_KINDS] = { [PAGE_OF_INDEX] = 3, [PAGE_OF_RECORDS] = 1 };

/* After so many rounds of the hand only pinned pages are left. */
#define MOST_ROUNDS 4u

struct cached_page {
	uint64_t number; /* of the page, or NO_PAGE */
	uint8_t kind;	 /* enum page_kind */
	uint8_t lives;	 /* how often the hand still passes over it */
	struct page_frame *frame;
};

struct shard {
	pthread_mutex_t lock;
	unsigned int count; /* places with memory */
	unsigned int room;  /* elements of @places */
	unsigned int hand;
	_Atomic(struct cached_page *) places; /* atomic for page_cache_prefetch_places() only */
};

struct page_cache {
	struct uds_env env;
	uint32_t page_bytes;
	uint32_t limit;		/* pages */
	_Atomic uint32_t pages; /* that have memory */
	_Atomic uint32_t counts[PAGE_KINDS];
	uint32_t shard_count;
	struct shard *shards;
};

uint64_t page_cache_page_bytes(uint32_t page_bytes)
{
	/* The places of a shard double when they are full, so half of them may be empty. */
	return sizeof(struct page_frame) + page_bytes + sizeof(struct shard) / PLACES_PER_SHARD +
	       2 * sizeof(struct cached_page);
}

static struct cached_page *places_of(const struct shard *shard)
{
	return atomic_load_explicit(&shard->places, memory_order_relaxed);
}

int page_cache_make(const struct uds_env *env, uint32_t page_bytes, uint32_t pages,
		    struct page_cache **ret_cache)
{
	struct page_cache *cache = env_allocate_zeroed(env, 1, sizeof(*cache));
	uint32_t shards = pages / PLACES_PER_SHARD;

	if (cache == NULL)
		return -ENOMEM;
	cache->env = *env;
	cache->page_bytes = page_bytes;
	cache->limit = pages;
	cache->shard_count = shards == 0 ? 1 : shards;
	cache->shards = env_allocate_zeroed(env, cache->shard_count, sizeof(cache->shards[0]));
	if (cache->shards == NULL) {
		env_release(env, cache);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < cache->shard_count; i++)
		pthread_mutex_init(&cache->shards[i].lock, NULL);
	*ret_cache = cache;
	return 0;
}

void page_cache_free(struct page_cache *cache)
{
	struct uds_env env;

	if (cache == NULL)
		return;
	env = cache->env;
	for (uint32_t i = 0; i < cache->shard_count; i++) {
		struct shard *shard = &cache->shards[i];

		pthread_mutex_destroy(&shard->lock);
		for (unsigned int p = 0; p < shard->count; p++)
			env_release(&env, places_of(shard)[p].frame);
		env_release(&env, places_of(shard));
	}
	env_release(&env, cache->shards);
	env_release(&env, cache);
}

/* Neighbouring pages are asked for together, so they are spread over the shards. */
static struct shard *shard_of(const struct page_cache *cache, uint64_t number)
{
	/*
	 * Multiplication by the golden ratio: the upper 32 bits, then the share of them by another
	 * multiplication, which needs no division.
	 */
	uint64_t mixed = number * UINT64_C(0x9e3779b97f4a7c15) >> 32;
	return &cache->shards[mixed * cache->shard_count >> 32];
}

static struct shard *lock_shard(struct page_cache *cache, uint64_t number)
{
	struct shard *shard = shard_of(cache, number);

	pthread_mutex_lock(&shard->lock);
	return shard;
}

static struct cached_page *find(struct shard *shard, uint64_t number)
{
	struct cached_page *places = places_of(shard);

	for (unsigned int p = 0; p < shard->count; p++) {
		if (places[p].number == number)
			return &places[p];
	}
	return NULL;
}

struct page_frame *page_cache_pin(struct page_cache *cache, uint64_t number)
{
	struct shard *shard = lock_shard(cache, number);
	struct cached_page *page = find(shard, number);
	struct page_frame *frame = NULL;

	if (page != NULL) {
		page->lives = most_lives[page->kind];
		frame = page->frame;
		atomic_fetch_add_explicit(&frame->pins, 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&shard->lock);
	return frame;
}

void page_cache_prefetch(const struct page_cache *cache, uint64_t number)
{
	__builtin_prefetch(shard_of(cache, number), 1);
}

void page_cache_prefetch_places(const struct page_cache *cache, uint64_t number)
{
	/* Only their address is used: they may be elsewhere by now. */
	const uint8_t *places = (const uint8_t *)places_of(shard_of(cache, number));

	for (size_t i = 0; places != NULL && i < PLACES_PER_SHARD * sizeof(struct cached_page);
	     i += 64)
		__builtin_prefetch(places + i);
}

/* Whether the page is not pinned. With the lock it stays so. */
static bool is_free(const struct cached_page *page)
{
	return atomic_load_explicit(&page->frame->pins, memory_order_acquire) == 0;
}

static bool make_places(struct page_cache *cache, struct shard *shard)
{
	unsigned int room = shard->room == 0 ? PLACES_PER_SHARD / 2 : 2 * shard->room;
	struct cached_page *places;

	if (shard->count < shard->room)
		return true;
	places = env_allocate(&cache->env, room, sizeof(places[0]));
	if (places == NULL)
		return false;
	if (shard->count > 0)
		memcpy(places, places_of(shard), shard->count * sizeof(places[0]));
	env_release(&cache->env, places_of(shard));
	atomic_store_explicit(&shard->places, places, memory_order_relaxed);
	shard->room = room;
	return true;
}

/* A place with memory of its own, or NULL when the limit is reached or there is no memory. */
static struct cached_page *new_place(struct page_cache *cache, struct shard *shard)
{
	struct cached_page *page = NULL;
	struct page_frame *frame = NULL;

	/* Counted first, so that threads together never exceed the limit. */
	if (atomic_fetch_add(&cache->pages, 1) < cache->limit && make_places(cache, shard))
		frame = env_allocate(&cache->env, 1, sizeof(*frame) + cache->page_bytes);
	if (frame == NULL) {
		atomic_fetch_sub(&cache->pages, 1);
		return NULL;
	}
	atomic_init(&frame->pins, 0);
	page = &places_of(shard)[shard->count++];
	page->number = NO_PAGE;
	page->frame = frame;
	return page;
}

/* The place that is evicted next, if the shard has one that is not pinned. */
static struct cached_page *victim(struct shard *shard)
{
	/* Each round takes a life of every page. */
	for (unsigned int tries = 0; tries < MOST_ROUNDS * shard->count; tries++) {
		struct cached_page *page = &places_of(shard)[shard->hand];

		shard->hand = (shard->hand + 1) % shard->count;
		if (page->number != NO_PAGE && page->lives > 0)
			page->lives--;
		else if (is_free(page))
			return page;
	}
	return NULL;
}

/* A place whose page was dropped: it keeps its memory. */
static struct cached_page *find_empty(struct shard *shard)
{
	struct cached_page *page = find(shard, NO_PAGE);

	return page != NULL && is_free(page) ? page : NULL;
}

/* The memory stays with the place, for the next page of this shard. */
static void forget(struct page_cache *cache, struct cached_page *page)
{
	if (page->number != NO_PAGE)
		atomic_fetch_sub_explicit(&cache->counts[page->kind], 1, memory_order_relaxed);
	page->number = NO_PAGE;
}

void page_cache_add(struct page_cache *cache, uint64_t number, enum page_kind kind,
		    const uint8_t *bytes)
{
	struct shard *shard = lock_shard(cache, number);
	struct cached_page *page;

	/* Another thread has read the same page meanwhile. */
	if (find(shard, number) != NULL)
		goto out_unlock;
	/* Before the cache grows. */
	page = find_empty(shard);
	if (page == NULL)
		page = new_place(cache, shard);
	if (page == NULL)
		page = victim(shard);
	/*
	 * No memory, and the shard has no place to evict from: the cache is only a shortcut, so
	 * this is no error.
	 */
	if (page == NULL)
		goto out_unlock;
	forget(cache, page);
	memcpy(page->frame->bytes, bytes, cache->page_bytes);
	page->number = number;
	page->kind = (uint8_t)kind;
	atomic_fetch_add_explicit(&cache->counts[kind], 1, memory_order_relaxed);
	/* Not used yet: a page that is asked for only once is evicted first. */
	page->lives = 0;
out_unlock:
	pthread_mutex_unlock(&shard->lock);
}

uint32_t page_cache_limit(const struct page_cache *cache)
{
	return cache->limit;
}

bool page_cache_has_room(struct page_cache *cache)
{
	return atomic_load_explicit(&cache->pages, memory_order_relaxed) < cache->limit;
}

uint32_t page_cache_count(const struct page_cache *cache, enum page_kind kind)
{
	return atomic_load_explicit(&cache->counts[kind], memory_order_relaxed);
}

void page_cache_drop(struct page_cache *cache, uint64_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct shard *shard = lock_shard(cache, first + i);
		struct cached_page *page = find(shard, first + i);

		if (page != NULL)
			forget(cache, page);
		pthread_mutex_unlock(&shard->lock);
	}
}

uint64_t page_cache_bytes(struct page_cache *cache)
{
	uint64_t bytes = sizeof(*cache) + cache->shard_count * sizeof(cache->shards[0]);

	for (uint32_t i = 0; i < cache->shard_count; i++) {
		struct shard *shard = &cache->shards[i];

		pthread_mutex_lock(&shard->lock);
		bytes += shard->room * sizeof(struct cached_page) +
			 (uint64_t)shard->count * (sizeof(struct page_frame) + cache->page_bytes);
		pthread_mutex_unlock(&shard->lock);
	}
	return bytes;
}
