/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lookup table of a store: old chunk to new chunk, for tens of millions of exceptions.
 *
 * Exceptions that are consecutive on both sides are one extent of 16 bytes, up to 65536 of them; a
 * scattered one costs 16 bytes and its share of the tree, together about 17. Extents never overlap.
 *
 * Not thread-safe: the owner has a lock. What can fail for lack of memory leaves the map as it was;
 * to be sure that a removal succeeds, cut with map_split() first, and then remove whole extents
 * with map_erase().
 */
#ifndef EXCEPTIONS_EXCEPTION_MAP_H
#define EXCEPTIONS_EXCEPTION_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>

struct exception_map;

/* @count consecutive chunks on both sides. */
struct map_run {
	uint64_t old_chunk; /* below 2^56 */
	uint64_t new_chunk; /* below 2^56 */
	uint64_t count;
};

int map_make(const struct uds_env *env, struct exception_map **ret_map);
void map_free(struct exception_map *map);

/* How many chunks have an exception; how many bytes are allocated. */
uint64_t map_chunks(const struct exception_map *map);
uint64_t map_bytes(const struct exception_map *map);

/*
 * The exception of @old_chunk: true, and @ret_run from this chunk to the end of its extent. Else
 * false, and ret_run->count is how many chunks from here on have none; UINT64_MAX: to the end.
 */
bool map_find(const struct exception_map *map, uint64_t old_chunk, struct map_run *ret_run);

/* The first extent with a chunk at or behind @old_chunk, cut to begin there; false: none. */
bool map_next(const struct exception_map *map, uint64_t old_chunk, struct map_run *ret_run);

/* The highest old chunk; false when the map is empty. */
bool map_highest(const struct exception_map *map, uint64_t *ret_old);

/*
 * Called for chunks that were in the map already; @present is what the map has for the first of
 * them.
 */
typedef int (*map_overlap_fn)(void *context, const struct map_run *refused,
			      const struct map_run *present);

/*
 * Adds a run and joins it with its neighbours. Chunks that are there already keep what they have,
 * and are reported to @overlap (may be NULL). -ENOMEM: a part may have been added. Fast when
 * called in ascending order.
 */
int map_add(struct exception_map *map, const struct map_run *run, map_overlap_fn overlap,
	    void *context);

/*
 * The same for many runs in order of old chunks: those that fall into one leaf go in together.
 */
int map_add_sorted(struct exception_map *map, const struct map_run *runs, size_t count,
		   map_overlap_fn overlap, void *context);

/* Adds a run of which no chunk is there as extents of its own, not joined with any. */
int map_insert(struct exception_map *map, const struct map_run *run);

/* Joins the extent that ends before @old_chunk with the one that begins there, if they go on. */
void map_join(struct exception_map *map, uint64_t old_chunk);

/* Sees to it that no extent goes across the place before @old_chunk. */
int map_split(struct exception_map *map, uint64_t old_chunk);

/*
 * Removes the extents of [run->old_chunk, + count) that lead where the run says; others stay. Both
 * ends must have been cut. Cannot fail.
 */
void map_erase(struct exception_map *map, const struct map_run *run);

#endif
