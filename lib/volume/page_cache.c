/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page cache: shards of their own lock, each a few places that are searched one by one and
 * given up in the order of a clock hand that passes over what was used since it came by last.
 */
#include "volume/page_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/env.h"

#define PLACES_PER_SHARD 16u
#define NO_PAGE		 UINT64_MAX

struct place {
	uint64_t number; /* of the page, or NO_PAGE */
	bool used;	 /* since the hand came by */
	uint8_t *page;	 /* memory, or NULL: not yet */
};

struct shard {
	pthread_mutex_t lock;
	unsigned int count;
	unsigned int hand;
	struct place places[PLACES_PER_SHARD];
};

struct page_cache {
	struct uds_env env;
	uint32_t page_bytes;
	uint32_t shard_count;
	_Atomic uint64_t bytes;
	struct shard *shards;
};

int page_cache_make(const struct uds_env *env, uint32_t page_bytes, uint32_t pages,
		    struct page_cache **ret_cache)
{
	struct page_cache *cache = env_allocate_zeroed(env, 1, sizeof(*cache));

	if (cache == NULL)
		return -ENOMEM;
	cache->env = *env;
	cache->page_bytes = page_bytes;
	/* All shards are of one size, because all get the same share of the pages. */
	cache->shard_count = pages < PLACES_PER_SHARD ? 1 : pages / PLACES_PER_SHARD;
	cache->shards = env_allocate_zeroed(env, cache->shard_count, sizeof(cache->shards[0]));
	if (cache->shards == NULL) {
		env_release(env, cache);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < cache->shard_count; i++) {
		struct shard *shard = &cache->shards[i];

		pthread_mutex_init(&shard->lock, NULL);
		shard->count = pages < PLACES_PER_SHARD ? pages : PLACES_PER_SHARD;
		for (unsigned int p = 0; p < PLACES_PER_SHARD; p++)
			shard->places[p].number = NO_PAGE;
	}
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
		pthread_mutex_destroy(&cache->shards[i].lock);
		for (unsigned int p = 0; p < PLACES_PER_SHARD; p++)
			env_release(&env, cache->shards[i].places[p].page);
	}
	env_release(&env, cache->shards);
	env_release(&env, cache);
}

/* Neighbouring pages are asked for together, so they are spread over the shards. */
static struct shard *lock_shard(struct page_cache *cache, uint64_t number)
{
	uint64_t mixed = number * UINT64_C(0x9e3779b97f4a7c15) >> 32;
	struct shard *shard = &cache->shards[mixed * cache->shard_count >> 32];

	pthread_mutex_lock(&shard->lock);
	return shard;
}

static struct place *find(struct shard *shard, uint64_t number)
{
	for (unsigned int p = 0; p < shard->count; p++) {
		if (shard->places[p].number == number)
			return &shard->places[p];
	}
	return NULL;
}

bool page_cache_read(struct page_cache *cache, uint64_t number, page_reader_fn read, void *context,
		     int *ret_result)
{
	struct shard *shard = lock_shard(cache, number);
	struct place *place = find(shard, number);

	if (place != NULL) {
		place->used = true;
		*ret_result = read(context, place->page);
	}
	pthread_mutex_unlock(&shard->lock);
	return place != NULL;
}

/* The place that is given up next. */
static struct place *victim(struct shard *shard)
{
	for (;;) {
		struct place *place = &shard->places[shard->hand];

		shard->hand = (shard->hand + 1) % shard->count;
		if (place->number == NO_PAGE || !place->used)
			return place;
		place->used = false;
	}
}

void page_cache_add(struct page_cache *cache, uint64_t number, const uint8_t *page)
{
	struct shard *shard = lock_shard(cache, number);
	struct place *place;

	if (find(shard, number) != NULL)
		goto out_unlock;
	place = victim(shard);
	place->number = NO_PAGE;
	if (place->page == NULL) {
		place->page = env_allocate(&cache->env, 1, cache->page_bytes);
		if (place->page == NULL)
			goto out_unlock;
		atomic_fetch_add(&cache->bytes, cache->page_bytes);
	}
	memcpy(place->page, page, cache->page_bytes);
	place->number = number;
	place->used = false;
out_unlock:
	pthread_mutex_unlock(&shard->lock);
}

void page_cache_drop(struct page_cache *cache, uint64_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct shard *shard = lock_shard(cache, first + i);
		struct place *place = find(shard, first + i);

		if (place != NULL)
			place->number = NO_PAGE;
		pthread_mutex_unlock(&shard->lock);
	}
}

uint64_t page_cache_bytes(struct page_cache *cache)
{
	return sizeof(*cache) + (uint64_t)cache->shard_count * sizeof(cache->shards[0]) +
	       atomic_load(&cache->bytes);
}
