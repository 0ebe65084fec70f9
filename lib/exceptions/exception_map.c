/* SPDX-License-Identifier: BSD-2-Clause */
/* The lookup table: finding, adding, cutting, joining and removing runs of exceptions. */
#include "exceptions/exception_map.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "exceptions/exception_tree.h"

int map_make(const struct uds_env *env, struct exception_map **ret_map)
{
	struct exception_map *map = env_allocate_zeroed(env, 1, sizeof(*map));

	if (map == NULL)
		return -ENOMEM;
	map->env = *env;
	map->bytes = sizeof(*map);
	*ret_map = map;
	return 0;
}

void map_free(struct exception_map *map)
{
	struct uds_env env;

	if (map == NULL)
		return;
	env = map->env;
	for (uint32_t b = 0; b < map->count; b++) {
		for (uint32_t l = 0; l < map->branches[b]->count; l++)
			env_release(&env, map->branches[b]->leaves[l]);
		env_release(&env, map->branches[b]);
	}
	env_release(&env, map->branches);
	env_release(&env, map->first);
	env_release(&env, map);
}

uint64_t map_chunks(const struct exception_map *map)
{
	return map->chunks;
}

uint64_t map_bytes(const struct exception_map *map)
{
	return map->bytes;
}

/* The first extent that ends behind @old_chunk; false: none. */
static bool seek(const struct exception_map *map, uint64_t old_chunk, struct place *ret_at)
{
	struct place at, before;

	if (map->count == 0)
		return false;
	at = tree_place(map, old_chunk);
	before = at;
	if (tree_step_back(map, &before) && extent_end(tree_extent(map, before)) > old_chunk)
		at = before;
	else if (!tree_settle(map, &at))
		return false;
	*ret_at = at;
	return true;
}

bool map_next(const struct exception_map *map, uint64_t old_chunk, struct map_run *ret_run)
{
	const struct extent *e;
	struct place at;
	uint64_t skip;

	if (!seek(map, old_chunk, &at))
		return false;
	e = tree_extent(map, at);
	skip = extent_old(e) < old_chunk ? old_chunk - extent_old(e) : 0;
	ret_run->old_chunk = extent_old(e) + skip;
	ret_run->new_chunk = extent_new(e) + skip;
	ret_run->count = extent_count(e) - skip;
	return true;
}

bool map_find(const struct exception_map *map, uint64_t old_chunk, struct map_run *ret_run)
{
	if (!map_next(map, old_chunk, ret_run)) {
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
	const struct branch *branch;
	const struct leaf *leaf;

	if (map->count == 0)
		return false;
	branch = map->branches[map->count - 1];
	leaf = branch->leaves[branch->count - 1];
	*ret_old = extent_end(&leaf->extents[leaf->count - 1]) - 1;
	return true;
}

void map_join(struct exception_map *map, uint64_t old_chunk)
{
	struct extent *left, *right;
	struct place at, before;

	if (old_chunk == 0 || !seek(map, old_chunk, &at))
		return;
	before = at;
	right = tree_extent(map, at);
	if (extent_old(right) != old_chunk || !tree_step_back(map, &before))
		return;
	left = tree_extent(map, before);
	if (!goes_on(left, right))
		return;
	*left = extent_make(extent_old(left), extent_new(left),
			    extent_count(left) + extent_count(right));
	map->chunks += extent_count(right);
	tree_remove(map, at);
}

int map_split(struct exception_map *map, uint64_t old_chunk)
{
	struct extent *e, rest;
	struct place at;
	uint64_t kept;
	int r;

	if (!seek(map, old_chunk, &at))
		return 0;
	e = tree_extent(map, at);
	if (extent_old(e) >= old_chunk)
		return 0;
	kept = old_chunk - extent_old(e);
	rest = extent_make(old_chunk, extent_new(e) + kept, extent_count(e) - kept);
	/* Not simply behind the left part: a separator may lie between. */
	r = tree_insert(map, tree_place(map, old_chunk), rest);
	if (r < 0)
		return r;
	/* The tree may have been rebuilt around it: look for the left part again. */
	at = tree_place(map, old_chunk - 1);
	tree_step_back(map, &at);
	e = tree_extent(map, at);
	map->chunks -= extent_count(&rest);
	*e = extent_make(extent_old(e), extent_new(e), kept);
	return 0;
}

void map_erase(struct exception_map *map, const struct map_run *run)
{
	uint64_t at_old = run->old_chunk, end = run->old_chunk + run->count;
	struct place at;

	while (seek(map, at_old, &at)) {
		const struct extent *e = tree_extent(map, at);

		if (extent_old(e) >= end)
			break;
		at_old = extent_end(e);
		if (extent_new(e) - extent_old(e) == run->new_chunk - run->old_chunk)
			tree_remove(map, at);
	}
}

int map_insert(struct exception_map *map, const struct map_run *run)
{
	struct map_run done = { run->old_chunk, run->new_chunk, 0 };

	while (done.count < run->count) {
		uint64_t old_chunk = run->old_chunk + done.count;
		uint64_t count = run->count - done.count;
		struct place at = { 0, 0, 0 };
		int r;

		if (count > EXTENT_MAX)
			count = EXTENT_MAX;
		if (map->count > 0)
			at = tree_place(map, old_chunk);
		r = tree_insert(map, at,
				extent_make(old_chunk, run->new_chunk + done.count, count));
		if (r < 0) {
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
	struct extent e = extent_make(old_chunk, new_chunk, count);
	struct place at = { 0, 0, 0 }, before;
	struct extent *left;
	int r;

	if (map->count > 0) {
		at = tree_place(map, old_chunk);
		before = at;
		if (tree_step_back(map, &before)) {
			left = tree_extent(map, before);
			if (goes_on(left, &e)) {
				*left = extent_make(extent_old(left), extent_new(left),
						    extent_count(left) + count);
				map->chunks += count;
				map_join(map, old_chunk + count);
				return 0;
			}
		}
	}
	r = tree_insert(map, at, e);
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

/* The key from which on the next leaf is meant; 0: there is none. */
static uint64_t next_separator(const struct exception_map *map, struct place at)
{
	const struct branch *branch = map->branches[at.branch];

	if (at.leaf + 1 < branch->count)
		return branch->first[at.leaf + 1];
	return at.branch + 1 < map->count ? map->first[at.branch + 1] : UINT64_MAX;
}

/*
 * Merges extents [from, leaf->count) with as many of the runs as fit into @merged without overlap,
 * joining what goes on. Returns the number of runs taken, and of extents in ret_count.
 */
static size_t merge_runs(const struct leaf *leaf, uint32_t from, const struct map_run *runs,
			 size_t count, uint64_t end, struct extent *merged, uint32_t *ret_count)
{
	uint32_t i = from, n = 0, room = LEAF_MAX - from;
	size_t taken = 0;

	while (i < leaf->count || taken < count) {
		const struct map_run *run = taken < count ? &runs[taken] : NULL;
		struct extent e;

		if (run != NULL &&
		    (i == leaf->count || run->old_chunk < extent_old(&leaf->extents[i]))) {
			uint64_t behind = i < leaf->count ? extent_old(&leaf->extents[i]) : end;

			if (run->count > EXTENT_MAX || run->old_chunk + run->count > behind ||
			    (n > 0 && run->old_chunk < extent_end(&merged[n - 1])) ||
			    n + (leaf->count - i) >= room) {
				count = taken; /* no more: only what is there already */
				continue;
			}
			e = extent_make(run->old_chunk, run->new_chunk, run->count);
			taken++;
		} else if (run != NULL && run->old_chunk < extent_end(&leaf->extents[i])) {
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
	struct extent merged[LEAF_MAX];
	struct place at, before;
	struct leaf *leaf;
	uint32_t room, n;
	uint64_t end;
	size_t taken;

	if (map->count == 0)
		return 0;
	at = tree_place(map, runs[0].old_chunk);
	before = at;
	leaf = tree_leaf(map, at);
	if (tree_step_back(map, &before) &&
	    extent_end(tree_extent(map, before)) > runs[0].old_chunk)
		return 0;
	end = next_separator(map, at);
	taken = merge_runs(leaf, at.index, runs, count, end, merged, &n);
	room = leaf_fitting(at.index + n);
	if (taken == 0 || at.index + n > LEAF_MAX ||
	    (room > leaf->room && tree_move_leaf(map, at, room) < 0))
		return 0;
	leaf = tree_leaf(map, at);
	memcpy(leaf->extents + at.index, merged, n * sizeof(merged[0]));
	leaf->count = at.index + n;
	for (size_t i = 0; i < taken; i++)
		map->chunks += runs[i].count;
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
