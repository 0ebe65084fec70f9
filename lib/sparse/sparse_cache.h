/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sparse cache: complete chapter indexes of some sparse chapters in memory, because most of
 * their names are no longer in the volume index (uds-format, 18).
 *
 * All zones share the cached chapters, but each has its own LRU order. Inserting a
 * chapter needs all zone locks; changing an order does not, because it follows from
 * counters of uses (sparse_cache.c).
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
 * The cache also keeps so many of the newest closed chapters where these are sparse already. They
 * have slots of their own, so they never evict what the format's cache would have.
 */
#define RECENT_CHAPTERS 2

/* @chapters: how many it holds. Returns 0 or -ENOMEM. */
int sparse_cache_make(const struct uds_env *env, uint32_t chapters, unsigned int zones,
		      struct sparse_cache **ret_cache);
void sparse_cache_free(struct sparse_cache *cache);

/* Bytes of memory in use. Any zone's lock. */
uint64_t sparse_cache_bytes(const struct sparse_cache *cache);

/* Any zone's lock. */
bool sparse_cache_contains(const struct sparse_cache *cache, uint64_t vcn);

/* Makes a chapter that is there the most recently used one in every zone. Any zone's lock. */
void sparse_cache_touch(struct sparse_cache *cache, uint64_t vcn);

/*
 * Inserts a chapter as the most recently used one; takes @copy over. Evicts and frees a chapter
 * older than @oldest if there is one, else one that is skipped for its many misses, else zone 0's
 * least recently used one. All zone locks.
 */
void sparse_cache_insert(struct sparse_cache *cache, struct chapter_copy *copy, uint64_t oldest);

/*
 * Reorders the chapters as sparse_cache_insert() does, but inserts none: what the format does when
 * the chapter to be cached is older than @oldest. All zone locks.
 */
void sparse_cache_reorder(struct sparse_cache *cache, uint64_t oldest);

/* Any zone's lock. */
bool sparse_cache_has_recent(const struct sparse_cache *cache, uint64_t vcn);

/* Keeps a recent chapter in place of an older one; takes @copy over. All zone locks. */
void sparse_cache_keep_recent(struct sparse_cache *cache, struct chapter_copy *copy);

/*
 * Whether recent chapter @vcn is there and its index has the name, and on which record page.
 * Any zone's lock.
 */
bool sparse_cache_search_recent(const struct sparse_cache *cache, uint64_t vcn,
				const struct uds_record_name *name, uint32_t *ret_record_page);

/*
 * Searches one chapter, if it is there. Returns false when it is not; otherwise true, and in
 * @ret_found whether its index has the name (a damaged one has none) and on which record page.
 * Any zone's lock.
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
 * The first chapter, in the zone's order, whose chapter index has the name. Chapters before @oldest
 * are skipped. Changes nothing that can be seen. The zone's lock.
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
