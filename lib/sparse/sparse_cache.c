/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sparse cache.
 *
 * The reference implementation keeps an LRU list for each zone. Here each use takes the next value
 * of a counter instead: uses by all zones are stored in the entry, uses by one zone in that zone's
 * view. The order of a zone is by the larger of the two, most recent first. So no zone has to touch
 * another zone's list: it sorts its own again when it sees that there was a use by all.
 */
#include "sparse/sparse_cache.h"

#include <errno.h>
#include <stdatomic.h>

#include "geometry/geometry.h"

/* Zone 0 skips a chapter after so many misses in a row, divided by the number of zones. */
#define MISS_LIMIT 20000

struct entry {
	struct chapter_copy *copy; /* NULL: empty */
	_Atomic uint64_t touched;
	_Atomic uint32_t misses;
	_Atomic bool skip;
};

/* One zone's. */
struct view {
	uint64_t seen;	 /* cache->touches when @order was sorted */
	uint64_t *used;	 /* for each entry its last use by this zone */
	uint32_t *order; /* entries, most recently used first */
};

struct sparse_cache {
	struct uds_env env;
	uint32_t count;
	unsigned int zones;
	uint32_t miss_limit;
	struct entry *entries;
	struct chapter_copy *recent[RECENT_CHAPTERS]; /* by chapter number modulo their count */
	_Atomic uint64_t clock;			      /* the counter */
	_Atomic uint64_t touches;		      /* how many common moves there were */
	struct view views[MAXIMUM_ZONES];
};

int sparse_cache_make(const struct uds_env *env, uint32_t chapters, unsigned int zones,
		      struct sparse_cache **ret_cache)
{
	struct sparse_cache *cache = env_allocate_zeroed(env, 1, sizeof(*cache));

	if (cache == NULL)
		return -ENOMEM;
	cache->env = *env;
	cache->count = chapters;
	cache->zones = zones;
	/* Zone 0 sees about one in @zones of all searches, and counts for all of them (18). */
	cache->miss_limit = MISS_LIMIT / zones;
	cache->entries = env_allocate_zeroed(env, chapters, sizeof(*cache->entries));
	if (cache->entries == NULL)
		goto no_memory;
	for (unsigned int z = 0; z < zones; z++) {
		struct view *view = &cache->views[z];

		view->used = env_allocate_zeroed(env, chapters, sizeof(*view->used));
		view->order = env_allocate(env, chapters, sizeof(*view->order));
		if (view->used == NULL || view->order == NULL)
			goto no_memory;
		/* All are empty, so any order will do. */
		for (uint32_t i = 0; i < chapters; i++)
			view->order[i] = i;
	}
	*ret_cache = cache;
	return 0;

no_memory:
	sparse_cache_free(cache);
	return -ENOMEM;
}

void sparse_cache_free(struct sparse_cache *cache)
{
	struct uds_env env;

	if (cache == NULL)
		return;
	env = cache->env;
	for (uint32_t i = 0; cache->entries != NULL && i < cache->count; i++)
		chapter_copy_free(cache->entries[i].copy);
	for (unsigned int i = 0; i < RECENT_CHAPTERS; i++)
		chapter_copy_free(cache->recent[i]);
	for (unsigned int z = 0; z < cache->zones; z++) {
		env_release(&env, cache->views[z].used);
		env_release(&env, cache->views[z].order);
	}
	env_release(&env, cache->entries);
	env_release(&env, cache);
}

uint64_t sparse_cache_bytes(const struct sparse_cache *cache)
{
	uint64_t bytes = sizeof(*cache) + cache->count * sizeof(*cache->entries);

	bytes += cache->zones * (uint64_t)cache->count * (sizeof(uint64_t) + sizeof(uint32_t));
	for (uint32_t i = 0; i < cache->count; i++) {
		if (cache->entries[i].copy != NULL)
			bytes += chapter_copy_bytes(cache->entries[i].copy->geometry);
	}
	for (unsigned int i = 0; i < RECENT_CHAPTERS; i++) {
		if (cache->recent[i] != NULL)
			bytes += chapter_copy_bytes(cache->recent[i]->geometry);
	}
	return bytes;
}

static struct entry *find_entry(const struct sparse_cache *cache, uint64_t vcn)
{
	/*
	 * A handful of entries: a walk is as quick as anything else, and the cache has no second
	 * structure to keep true.
	 */
	for (uint32_t i = 0; i < cache->count; i++) {
		struct entry *entry = &cache->entries[i];

		if (entry->copy != NULL && entry->copy->vcn == vcn)
			return entry;
	}
	return NULL;
}

bool sparse_cache_contains(const struct sparse_cache *cache, uint64_t vcn)
{
	return find_entry(cache, vcn) != NULL;
}

bool sparse_cache_search_chapter(const struct sparse_cache *cache, uint64_t vcn,
				 const struct uds_record_name *name, bool *ret_found,
				 uint32_t *ret_record_page)
{
	const struct entry *entry = find_entry(cache, vcn);

	if (entry == NULL)
		return false;
	*ret_found = chapter_copy_search(entry->copy, name, ret_record_page);
	return true;
}

static uint64_t tick(struct sparse_cache *cache)
{
	return atomic_fetch_add(&cache->clock, 1) + 1;
}

void sparse_cache_touch(struct sparse_cache *cache, uint64_t vcn)
{
	struct entry *entry = find_entry(cache, vcn);

	if (entry == NULL)
		return;
	/*
	 * A chapter that is asked for by a sample starts over: it is searched again, whatever it
	 * missed before (18).
	 */
	entry->touched = tick(cache);
	entry->misses = 0;
	entry->skip = false;
	/* Last: a zone that sees the new count must also see the use that it stands for. */
	atomic_fetch_add(&cache->touches, 1);
}

static uint64_t last_use(const struct sparse_cache *cache, const struct view *view, uint32_t i)
{
	uint64_t touched = cache->entries[i].touched;

	return touched > view->used[i] ? touched : view->used[i];
}

/*
 * Sorts a zone's order again if all zones used an entry since. Insertion sort: it is nearly sorted.
 */
static struct view *refresh(struct sparse_cache *cache, unsigned int zone)
{
	struct view *view = &cache->views[zone];
	uint64_t touches = cache->touches;

	/* The usual case costs one load: other zones' own uses do not change this zone's order. */
	if (view->seen == touches)
		return view;
	/* Taken before the uses are read: one that comes meanwhile is at worst seen twice. */
	view->seen = touches;
	for (uint32_t i = 1; i < cache->count; i++) {
		uint32_t entry = view->order[i];
		uint64_t use = last_use(cache, view, entry);
		uint32_t j = i;

		for (; j > 0 && last_use(cache, view, view->order[j - 1]) < use; j--)
			view->order[j] = view->order[j - 1];
		view->order[j] = entry;
	}
	return view;
}

static bool is_dead(const struct entry *entry, uint64_t oldest)
{
	return entry->copy == NULL || entry->copy->vcn < oldest;
}

/* 0 for entries that are searched, 1 for skipped ones, 2 for empty or expired ones. */
static int rank(const struct entry *entry, uint64_t oldest)
{
	if (is_dead(entry, oldest))
		return 2;
	return entry->skip ? 1 : 0;
}

/*
 * Renumbers all entries, so that every zone gets zone 0's order, with skipped entries behind it and
 * empty or expired ones last. Returns the last entry: the one to evict.
 */
static struct entry *reorder(struct sparse_cache *cache, uint64_t oldest)
{
	const struct view *view = refresh(cache, 0);
	struct entry *last = NULL;

	/* From the last to the first: the ticks rise, so what is numbered later is in front. */
	for (int r = 2; r >= 0; r--) {
		for (uint32_t i = cache->count; i-- > 0;) {
			struct entry *entry = &cache->entries[view->order[i]];

			if (rank(entry, oldest) != r)
				continue;
			entry->touched = tick(cache);
			if (last == NULL)
				last = entry;
		}
	}
	return last;
}

void sparse_cache_insert(struct sparse_cache *cache, struct chapter_copy *copy, uint64_t oldest)
{
	struct entry *entry = reorder(cache, oldest);

	/* Never: a cache has entries. */
	if (entry == NULL) {
		chapter_copy_free(copy);
		return;
	}
	/* The caller holds the locks of all zones: no thread searches the copy that is evicted. */
	chapter_copy_free(entry->copy);
	entry->copy = copy;
	entry->touched = tick(cache);
	entry->misses = 0;
	entry->skip = false;
	atomic_fetch_add(&cache->touches, 1);
}

void sparse_cache_reorder(struct sparse_cache *cache, uint64_t oldest)
{
	reorder(cache, oldest);
	atomic_fetch_add(&cache->touches, 1);
}

bool sparse_cache_has_recent(const struct sparse_cache *cache, uint64_t vcn)
{
	const struct chapter_copy *copy = cache->recent[vcn % RECENT_CHAPTERS];

	return copy != NULL && copy->vcn == vcn;
}

void sparse_cache_keep_recent(struct sparse_cache *cache, struct chapter_copy *copy)
{
	struct chapter_copy **place = &cache->recent[copy->vcn % RECENT_CHAPTERS];

	/* The one that was there is older by as many chapters as there are places. */
	chapter_copy_free(*place);
	*place = copy;
}

bool sparse_cache_search_recent(const struct sparse_cache *cache, uint64_t vcn,
				const struct uds_record_name *name, uint32_t *ret_record_page)
{
	return sparse_cache_has_recent(cache, vcn) &&
	       chapter_copy_search(cache->recent[vcn % RECENT_CHAPTERS], name, ret_record_page);
}

void sparse_cache_find(struct sparse_cache *cache, unsigned int zone,
		       const struct uds_record_name *name, uint64_t oldest,
		       struct cache_hit *ret_hit)
{
	const struct view *view = refresh(cache, zone);

	ret_hit->found = false;
	for (uint32_t i = 0; i < cache->count; i++) {
		const struct entry *entry = &cache->entries[view->order[i]];

		/*
		 * Passed over and not stopped at: an entry can become too old while it stands in
		 * front of good ones (18).
		 */
		if (rank(entry, oldest) != 0 ||
		    !chapter_copy_search(entry->copy, name, &ret_hit->record_page))
			continue;
		ret_hit->found = true;
		ret_hit->vcn = entry->copy->vcn;
		ret_hit->position = i;
		return;
	}
}

/* Zone 0 counts, for all zones, how many searches in a row missed in a chapter. */
static void count_misses(struct sparse_cache *cache, const struct view *view, uint64_t oldest,
			 const struct cache_hit *hit)
{
	/* Those behind a hit were not searched, so they have not missed. */
	uint32_t end = hit->found ? hit->position : cache->count;

	for (uint32_t i = 0; i < end; i++) {
		struct entry *entry = &cache->entries[view->order[i]];

		uint32_t misses;

		if (rank(entry, oldest) != 0)
			continue;
		/*
		 * Only this thread counts up. A reset by another may get lost, which only
		 * delays a skip.
		 */
		misses = atomic_load_explicit(&entry->misses, memory_order_relaxed) + 1;
		atomic_store_explicit(&entry->misses, misses, memory_order_relaxed);
		if (misses > cache->miss_limit)
			entry->skip = true;
	}
	if (hit->found)
		cache->entries[view->order[end]].misses = 0;
}

void sparse_cache_note(struct sparse_cache *cache, unsigned int zone, uint64_t oldest,
		       const struct cache_hit *hit)
{
	struct view *view = &cache->views[zone]; /* as the search left it */
	uint32_t entry;

	if (zone == 0)
		count_misses(cache, view, oldest, hit);
	if (!hit->found)
		return;
	entry = view->order[hit->position];
	/* This zone's own use only: the others keep their order (18). */
	view->used[entry] = tick(cache);
	for (uint32_t i = hit->position; i > 0; i--)
		view->order[i] = view->order[i - 1];
	view->order[0] = entry;
}
