/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sparse cache: the chapter indexes of some old chapters, kept whole in memory, because most of
 * their names are no longer in the volume index (uds-format, 18).
 *
 * All zones have the same chapters, but each its own order of them, by last use. A chapter enters when
 * all zones are stopped; what moves in the order does not need that: an order follows from numbers that
 * count uses, one for all zones and one for each.
 *
 * Threads: each function says which zone locks it needs.
 */
#ifndef SPARSE_SPARSE_CACHE_H
#define SPARSE_SPARSE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "sparse/chapter_copy.h"

struct sparse_cache;

/*
 * Besides, the cache keeps so many of the newest closed chapters, where these are sparse already. They
 * have places of their own: what they find comes on top of what the format's cache would.
 */
#define RECENT_CHAPTERS 2

/* @chapters: how many it holds. Returns 0 or -ENOMEM. */
int sparse_cache_make(const struct uds_env *env, uint32_t chapters, unsigned int zones,
		      struct sparse_cache **ret_cache);
void sparse_cache_free(struct sparse_cache *cache);

/* Memory taken now. Any zone's lock. */
uint64_t sparse_cache_bytes(const struct sparse_cache *cache);

/* Any zone's lock. */
bool sparse_cache_contains(const struct sparse_cache *cache, uint64_t vcn);

/* Makes a chapter that is there the most recently used one in every zone. Any zone's lock. */
void sparse_cache_touch(struct sparse_cache *cache, uint64_t vcn);

/*
 * Takes a chapter in, most recently used. The one that leaves is the least recently used one of zone 0
 * that is not older than @oldest, unless there are some that are, or that are passed over for their
 * many misses: then one of these. Frees that; owns @copy. All zone locks.
 */
void sparse_cache_insert(struct sparse_cache *cache, struct chapter_copy *copy, uint64_t oldest);

/*
 * Puts the chapters in order as sparse_cache_insert() does and takes none in: what the format does when
 * the chapter to be cached is older than @oldest. All zone locks.
 */
void sparse_cache_reorder(struct sparse_cache *cache, uint64_t oldest);

/* Any zone's lock. */
bool sparse_cache_has_recent(const struct sparse_cache *cache, uint64_t vcn);

/* Takes a recent chapter in, in place of an older one; owns @copy. All zone locks. */
void sparse_cache_keep_recent(struct sparse_cache *cache, struct chapter_copy *copy);

/*
 * Whether recent chapter @vcn is there and its index has the name, and on which record page. Any zone's
 * lock.
 */
bool sparse_cache_search_recent(const struct sparse_cache *cache, uint64_t vcn,
				const struct uds_record_name *name, uint32_t *ret_record_page);

/*
 * Searches one chapter, if it is there. Returns false when it is not; otherwise true, and in @ret_found
 * whether its index has the name (a damaged one has none) and on which record page. Any zone's lock.
 */
bool sparse_cache_search_chapter(const struct sparse_cache *cache, uint64_t vcn,
				 const struct uds_record_name *name, bool *ret_found,
				 uint32_t *ret_record_page);

struct cache_hit {
	bool found;
	uint64_t vcn;
	uint32_t record_page;
	uint32_t position; /* private: in the zone's order */
};

/*
 * The first chapter, in the zone's order, whose chapter index has the name. Chapters before @oldest are
 * passed over. Changes nothing that can be seen. The zone's lock.
 */
void sparse_cache_find(struct sparse_cache *cache, unsigned int zone,
		       const struct uds_record_name *name, uint64_t oldest,
		       struct cache_hit *ret_hit);

/*
 * Counts a search, found or not, that was just done by sparse_cache_find(): a chapter that was hit
 * becomes the zone's most recently used one. The zone's lock, held since.
 */
void sparse_cache_note(struct sparse_cache *cache, unsigned int zone, uint64_t oldest,
		       const struct cache_hit *hit);

#endif
