/* SPDX-License-Identifier: BSD-2-Clause */
/* The lookup table: finding, adding, cutting, joining and removing runs of exceptions. */
#include "exceptions/exception_map.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "exceptions/exception_tree.h"

struct exception_map {
	struct exception_tree tree;
	/* what becomes of a leaf, while runs are added to it */
	struct chunk_extent merged[LEAF_MAX];
};

int map_make(const struct uds_env *env, struct exception_map **ret_map)
{
	struct exception_map *map = env_allocate_zeroed(env, 1, sizeof(*map));

	if (map == NULL)
		return -ENOMEM;
	map->tree.env = *env;
	map->tree.bytes = sizeof(*map);
	*ret_map = map;
	return 0;
}

void map_free(struct exception_map *map)
{
	struct uds_env env;

	if (map == NULL)
		return;
	env = map->tree.env;
	tree_release(&map->tree);
	env_release(&env, map);
}

uint64_t map_chunks(const struct exception_map *map)
{
	return map->tree.chunks;
}

uint64_t map_bytes(const struct exception_map *map)
{
	return map->tree.bytes;
}

/* The first extent that ends behind @old_chunk; false: none. */
static bool seek(const struct exception_map *map, uint64_t old_chunk, struct tree_place *ret_at)
{
	struct tree_place at, before;

	if (tree_is_empty(&map->tree))
		return false;
	/*
	 * An extent that began before may reach over @old_chunk; extents do not overlap, so only
	 * the last one can.
	 */
	at = tree_find(&map->tree, old_chunk);
	before = at;
	if (tree_step_back(&map->tree, &before) &&
	    extent_end(tree_extent(&map->tree, before)) > old_chunk)
		at = before;
	else if (!tree_settle(&map->tree, &at))
		return false;
	*ret_at = at;
	return true;
}

bool map_next(const struct exception_map *map, uint64_t old_chunk, struct map_run *ret_run)
{
	const struct chunk_extent *e;
	struct tree_place at;
	uint64_t skip;

	if (!seek(map, old_chunk, &at))
		return false;
	e = tree_extent(&map->tree, at);
	skip = extent_old(e) < old_chunk ? old_chunk - extent_old(e) : 0;
	ret_run->old_chunk = extent_old(e) + skip;
	ret_run->new_chunk = extent_new(e) + skip;
	ret_run->count = extent_count(e) - skip;
	return true;
}

bool map_find(const struct exception_map *map, uint64_t old_chunk, struct map_run *ret_run)
{
	if (!map_next(map, old_chunk, ret_run)) {
		/* Free from here to the end of all chunks. */
		ret_run->count = UINT64_MAX;
		return false;
	}
	if (ret_run->old_chunk == old_chunk)
		return true;
	ret_run->count = ret_run->old_chunk - old_chunk;
	return false;
}

bool map_highest(const struct exception_map *map, uint64_t *ret_old)
{
	struct tree_place at;

	if (!tree_last(&map->tree, &at))
		return false;
	*ret_old = extent_end(tree_extent(&map->tree, at)) - 1;
	return true;
}

void map_join(struct exception_map *map, uint64_t old_chunk)
{
	struct chunk_extent *left, *right;
	struct tree_place at, before;

	if (old_chunk == 0 || !seek(map, old_chunk, &at))
		return;
	before = at;
	right = tree_extent(&map->tree, at);
	if (extent_old(right) != old_chunk || !tree_step_back(&map->tree, &before))
		return;
	left = tree_extent(&map->tree, before);
	/*
	 * Joined only if both sides go on, old and new chunks, and the sum still fits into an
	 * extent.
	 */
	if (!goes_on(left, right))
		return;
	*left = extent_make(extent_old(left), extent_new(left),
			    extent_count(left) + extent_count(right));
	/* tree_remove() takes off the count of what it removes, which is still in the map. */
	map->tree.chunks += extent_count(right);
	tree_remove(&map->tree, at);
}

int map_split(struct exception_map *map, uint64_t old_chunk)
{
	struct chunk_extent *e, rest;
	struct tree_place at;
	uint64_t kept;
	int r;

	if (!seek(map, old_chunk, &at))
		return 0;
	e = tree_extent(&map->tree, at);
	/* It begins at or behind the place: nothing to cut. */
	if (extent_old(e) >= old_chunk)
		return 0;
	kept = old_chunk - extent_old(e);
	rest = extent_make(old_chunk, extent_new(e) + kept, extent_count(e) - kept);
	/* Not simply behind the left part: a separator may lie between. */
	r = tree_insert(&map->tree, tree_find(&map->tree, old_chunk), rest);
	if (r < 0)
		return r;
	/* The tree may have been rebuilt around it: look for the left part again. */
	at = tree_find(&map->tree, old_chunk - 1);
	tree_step_back(&map->tree, &at);
	e = tree_extent(&map->tree, at);
	/* tree_insert() has counted the right part, which was in the left one's count already. */
	map->tree.chunks -= extent_count(&rest);
	*e = extent_make(extent_old(e), extent_new(e), kept);
	return 0;
}

void map_erase(struct exception_map *map, const struct map_run *run)
{
	uint64_t at_old = run->old_chunk, end = run->old_chunk + run->count;
	struct tree_place at;

	while (seek(map, at_old, &at)) {
		const struct chunk_extent *e = tree_extent(&map->tree, at);

		if (extent_old(e) >= end)
			break;
		at_old = extent_end(e);
		/*
		 * Only what leads to this run's new chunks: another entry for the same old chunk
		 * stays.
		 */
		if (extent_new(e) - extent_old(e) == run->new_chunk - run->old_chunk)
			tree_remove(&map->tree, at);
	}
}

int map_insert(struct exception_map *map, const struct map_run *run)
{
	struct map_run done = { run->old_chunk, run->new_chunk, 0 };

	while (done.count < run->count) {
		uint64_t old_chunk = run->old_chunk + done.count;
		uint64_t count = run->count - done.count;
		struct tree_place at = { 0, 0, 0 };
		int r;

		/* An extent has fewer bits for its count than a run. */
		if (count > EXTENT_MAX)
			count = EXTENT_MAX;
		if (!tree_is_empty(&map->tree))
			at = tree_find(&map->tree, old_chunk);
		r = tree_insert(&map->tree, at,
				extent_make(old_chunk, run->new_chunk + done.count, count));
		if (r < 0) {
			/* All or nothing: what went in before goes out again. */
			map_erase(map, &done);
			return r;
		}
		done.count += count;
	}
	return 0;
}

/* Adds one extent where nothing is, longer by it the one before where that goes on. */
static int add_extent(struct exception_map *map, uint64_t old_chunk, uint64_t new_chunk,
		      uint64_t count)
{
	struct chunk_extent e = extent_make(old_chunk, new_chunk, count);
	struct tree_place at = { 0, 0, 0 }, before;
	struct chunk_extent *left;
	int r;

	if (!tree_is_empty(&map->tree)) {
		at = tree_find(&map->tree, old_chunk);
		before = at;
		if (tree_step_back(&map->tree, &before)) {
			left = tree_extent(&map->tree, before);
			/*
			 * Longer in place, with no new extent: how sequential writes keep the map
			 * small.
			 */
			if (goes_on(left, &e)) {
				*left = extent_make(extent_old(left), extent_new(left),
						    extent_count(left) + count);
				map->tree.chunks += count;
				map_join(map, old_chunk + count);
				return 0;
			}
		}
	}
	r = tree_insert(&map->tree, at, e);
	if (r == 0)
		map_join(map, old_chunk + count);
	return r;
}

int map_add(struct exception_map *map, const struct map_run *run, map_overlap_fn overlap,
	    void *context)
{
	struct map_run left = *run;

	while (left.count > 0) {
		uint64_t count = left.count < EXTENT_MAX ? left.count : EXTENT_MAX;
		struct map_run there;
		bool taken = map_find(map, left.old_chunk, &there);
		int r = 0;

		/*
		 * Up to the next border of what is there and what is not; the rest in the next
		 * round.
		 */
		if (count > there.count)
			count = there.count;
		if (taken) {
			struct map_run refused = { left.old_chunk, left.new_chunk, count };

			if (overlap != NULL)
				r = overlap(context, &refused, &there);
		} else {
			r = add_extent(map, left.old_chunk, left.new_chunk, count);
		}
		if (r < 0)
			return r;
		left.old_chunk += count;
		left.new_chunk += count;
		left.count -= count;
	}
	return 0;
}

/*
 * Merges extents [from, leaf->count) with as many of the runs as fit into @merged without overlap,
 * joining what goes on. Returns the number of runs taken, and of extents in ret_count.
 */
static size_t merge_runs(const struct extent_leaf *leaf, uint32_t from, const struct map_run *runs,
			 size_t count, uint64_t end, struct chunk_extent *merged,
			 uint32_t *ret_count)
{
	uint32_t i = from, n = 0, room = LEAF_MAX - from;
	size_t taken = 0;

	while (i < leaf->count || taken < count) {
		const struct map_run *run = taken < count ? &runs[taken] : NULL;
		struct chunk_extent e;

		if (run != NULL &&
		    (i == leaf->count || run->old_chunk < extent_old(&leaf->extents[i]))) {
			uint64_t behind = i < leaf->count ? extent_old(&leaf->extents[i]) : end;

			/*
			 * Room is kept for all extents that are there already: they must never be
			 * what does not fit.
			 */
			if (run->count > EXTENT_MAX || run->old_chunk + run->count > behind ||
			    (n > 0 && run->old_chunk < extent_end(&merged[n - 1])) ||
			    n + (leaf->count - i) >= room) {
				count = taken; /* no more: only what is there already */
				continue;
			}
			e = extent_make(run->old_chunk, run->new_chunk, run->count);
			taken++;
		} else if (run != NULL && run->old_chunk < extent_end(&leaf->extents[i])) {
			/* It overlaps what is there, which map_add() sorts out piece by piece. */
			count = taken;
			continue;
		} else {
			e = leaf->extents[i++];
		}
		if (n > 0 && goes_on(&merged[n - 1], &e))
			merged[n - 1] =
				extent_make(extent_old(&merged[n - 1]), extent_new(&merged[n - 1]),
					    extent_count(&merged[n - 1]) + extent_count(&e));
		else
			merged[n++] = e;
	}
	*ret_count = n;
	return taken;
}

/*
 * Puts the first of the runs into the leaf they belong to; returns how many, 0: one must go in by
 * itself.
 */
static size_t add_to_leaf(struct exception_map *map, const struct map_run *runs, size_t count)
{
	struct chunk_extent *merged = map->merged;
	struct tree_place at, before;
	struct extent_leaf *leaf;
	uint32_t room, n;
	uint64_t end;
	size_t taken;

	if (tree_is_empty(&map->tree))
		return 0;
	at = tree_find(&map->tree, runs[0].old_chunk);
	before = at;
	leaf = tree_leaf(&map->tree, at);
	/* An extent from before reaches into the first run: also a case for map_add(). */
	if (tree_step_back(&map->tree, &before) &&
	    extent_end(tree_extent(&map->tree, before)) > runs[0].old_chunk)
		return 0;
	end = tree_next_first(&map->tree, at);
	taken = merge_runs(leaf, at.index, runs, count, end, merged, &n);
	room = leaf_fitting(at.index + n);
	/* Moved before anything is written into it: without memory the leaf stays as it is. */
	if (taken == 0 || at.index + n > LEAF_MAX ||
	    (room > leaf->room && tree_move_leaf(&map->tree, at, room) < 0))
		return 0;
	leaf = tree_leaf(&map->tree, at);
	memcpy(leaf->extents + at.index, merged, n * sizeof(merged[0]));
	leaf->count = at.index + n;
	for (size_t i = 0; i < taken; i++)
		map->tree.chunks += runs[i].count;
	return taken;
}

int map_add_sorted(struct exception_map *map, const struct map_run *runs, size_t count,
		   map_overlap_fn overlap, void *context)
{
	for (size_t done = 0; done < count;) {
		size_t taken = add_to_leaf(map, runs + done, count - done);

		if (taken == 0) {
			int r = map_add(map, &runs[done], overlap, context);

			if (r < 0)
				return r;
			taken = 1;
		}
		done += taken;
	}
	return 0;
}
