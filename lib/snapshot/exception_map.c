/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lookup table as a tree of fixed height: a sorted array of branches, each a sorted array of
 * leaves, each a sorted array of extents. Leaves are allocated in small steps as they fill, so
 * little is wasted.
 *
 * Invariants: no leaf and no branch is empty; extents ascend and do not overlap; `first` of a leaf
 * or branch is not above its first extent, above all extents to its left, and 0 at the very left.
 * It may be lower than the first extent after a removal.
 *
 * Each structural step (a leaf grows, a leaf or branch is split) leaves a whole tree, so one that
 * fails for lack of memory needs no undoing.
 */
#include "snapshot/exception_map.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"

#define LEAF_MAX    256u
#define LEAF_STEP   16u
#define BRANCH_MAX  256u
#define EXTENT_MAX  UINT64_C(65536)
#define NUMBER_BITS 56
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)

/* The upper 8 bits of both words hold count - 1: the high byte in a, the low byte in b. */
struct extent {
	uint64_t a; /* old chunk */
	uint64_t b; /* new chunk */
};

struct leaf {
	uint32_t count;
	uint32_t room;
	struct extent extents[];
};

struct branch {
	uint32_t count;
	uint64_t first[BRANCH_MAX];
	struct leaf *leaves[BRANCH_MAX];
};

struct exception_map {
	struct uds_env env;
	struct branch **branches;
	uint64_t *first;
	uint32_t count;
	uint32_t room;
	uint64_t chunks;
	uint64_t bytes;
};

/* A place in the tree: the extent at index of that leaf, which may be one behind its last. */
struct place {
	uint32_t branch;
	uint32_t leaf;
	uint32_t index;
};

static struct extent extent_make(uint64_t old_chunk, uint64_t new_chunk, uint64_t count)
{
	uint64_t further = count - 1;
	struct extent e = {
		.a = old_chunk | (further >> 8) << NUMBER_BITS,
		.b = new_chunk | (further & 0xff) << NUMBER_BITS,
	};

	return e;
}

static uint64_t extent_old(const struct extent *e)
{
	return e->a & NUMBER_MASK;
}

static uint64_t extent_new(const struct extent *e)
{
	return e->b & NUMBER_MASK;
}

static uint64_t extent_count(const struct extent *e)
{
	return ((e->a >> NUMBER_BITS) << 8 | e->b >> NUMBER_BITS) + 1;
}

static uint64_t extent_end(const struct extent *e)
{
	return extent_old(e) + extent_count(e);
}

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

static size_t leaf_bytes(uint32_t room)
{
	return sizeof(struct leaf) + room * sizeof(struct extent);
}

static struct leaf *leaf_allocate(struct exception_map *map, uint32_t room)
{
	struct leaf *leaf = env_allocate(&map->env, 1, leaf_bytes(room));

	if (leaf != NULL) {
		leaf->count = 0;
		leaf->room = room;
		map->bytes += leaf_bytes(room);
	}
	return leaf;
}

static void leaf_release(struct exception_map *map, struct leaf *leaf)
{
	map->bytes -= leaf_bytes(leaf->room);
	env_release(&map->env, leaf);
}

static struct leaf *leaf_at(const struct exception_map *map, struct place at)
{
	return map->branches[at.branch]->leaves[at.leaf];
}

/* The last of @count ascending keys that is not above @key; 0 when all are. */
static uint32_t last_not_above(const uint64_t *keys, uint32_t count, uint64_t key)
{
	uint32_t low = 0;

	while (count > 1) {
		uint32_t half = count / 2;

		low = keys[low + half] <= key ? low + half : low;
		count -= half;
	}
	return low;
}

/* How many extents of a leaf begin at or before @old_chunk. */
static uint32_t leaf_begun(const struct leaf *leaf, uint64_t old_chunk)
{
	uint32_t low = 0, count = leaf->count;

	while (count > 0) {
		uint32_t half = count / 2;

		if (extent_old(&leaf->extents[low + half]) <= old_chunk) {
			low += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	return low;
}

/* Where an extent that begins at @old_chunk belongs. The map is not empty. */
static struct place place_of(const struct exception_map *map, uint64_t old_chunk)
{
	struct place at;

	at.branch = last_not_above(map->first, map->count, old_chunk);
	at.leaf = last_not_above(map->branches[at.branch]->first, map->branches[at.branch]->count,
				 old_chunk);
	at.index = leaf_begun(leaf_at(map, at), old_chunk);
	return at;
}

static bool step_back(const struct exception_map *map, struct place *at)
{
	if (at->index == 0) {
		if (at->leaf == 0) {
			if (at->branch == 0)
				return false;
			at->branch--;
			at->leaf = map->branches[at->branch]->count;
		}
		at->leaf--;
		at->index = leaf_at(map, *at)->count;
	}
	at->index--;
	return true;
}

/* From one behind the last extent of a leaf to the first of the next; false: there is none. */
static bool settle(const struct exception_map *map, struct place *at)
{
	if (at->index < leaf_at(map, *at)->count)
		return true;
	if (at->leaf + 1 < map->branches[at->branch]->count) {
		at->leaf++;
	} else {
		if (at->branch + 1 == map->count)
			return false;
		at->branch++;
		at->leaf = 0;
	}
	at->index = 0;
	return true;
}

static struct extent *extent_at(const struct exception_map *map, struct place at)
{
	return &leaf_at(map, at)->extents[at.index];
}

/* The first extent that ends behind @old_chunk; false: none. */
static bool seek(const struct exception_map *map, uint64_t old_chunk, struct place *ret_at)
{
	struct place at, before;

	if (map->count == 0)
		return false;
	at = place_of(map, old_chunk);
	before = at;
	if (step_back(map, &before) && extent_end(extent_at(map, before)) > old_chunk)
		at = before;
	else if (!settle(map, &at))
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
	e = extent_at(map, at);
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

/* Room for one more branch in the array of them. */
static int top_grow(struct exception_map *map)
{
	uint32_t room = map->room == 0 ? 8 : map->room * 2;
	struct branch **branches;
	uint64_t *first;

	if (map->count < map->room)
		return 0;
	branches = env_allocate(&map->env, room, sizeof(branches[0]));
	first = env_allocate(&map->env, room, sizeof(first[0]));
	if (branches == NULL || first == NULL) {
		env_release(&map->env, branches);
		env_release(&map->env, first);
		return -ENOMEM;
	}
	if (map->count > 0) {
		memcpy(branches, map->branches, map->count * sizeof(branches[0]));
		memcpy(first, map->first, map->count * sizeof(first[0]));
	}
	env_release(&map->env, map->branches);
	env_release(&map->env, map->first);
	map->bytes += (room - map->room) * (sizeof(branches[0]) + sizeof(first[0]));
	map->branches = branches;
	map->first = first;
	map->room = room;
	return 0;
}

static void top_insert(struct exception_map *map, uint32_t at, struct branch *branch,
		       uint64_t first)
{
	memmove(map->branches + at + 1, map->branches + at,
		(map->count - at) * sizeof(map->branches[0]));
	memmove(map->first + at + 1, map->first + at, (map->count - at) * sizeof(map->first[0]));
	map->branches[at] = branch;
	map->first[at] = first;
	map->count++;
}

/* The first leaf of an empty map. */
static int plant(struct exception_map *map)
{
	struct branch *branch;
	int r = top_grow(map);

	if (r < 0)
		return r;
	branch = env_allocate(&map->env, 1, sizeof(*branch));
	if (branch == NULL)
		return -ENOMEM;
	branch->leaves[0] = leaf_allocate(map, LEAF_STEP);
	if (branch->leaves[0] == NULL) {
		env_release(&map->env, branch);
		return -ENOMEM;
	}
	map->bytes += sizeof(*branch);
	branch->count = 1;
	branch->first[0] = 0;
	top_insert(map, 0, branch, 0);
	return 0;
}

/*
 * Where to cut something full of @count: in the middle, or, when the next one comes behind the last
 * one of all, at the very end: so what is filled in ascending order becomes full.
 */
static uint32_t cut_point(uint32_t count, uint32_t at, bool rightmost)
{
	return rightmost && at == count ? count : count / 2;
}

/* Cuts a full branch in two; the place moves with its leaf. */
static int branch_split(struct exception_map *map, struct place *at)
{
	struct branch *left = map->branches[at->branch], *right;
	bool rightmost = at->branch + 1 == map->count;
	uint32_t keep = cut_point(left->count, at->leaf + 1, rightmost);
	int r = top_grow(map);

	if (r < 0)
		return r;
	if (keep == left->count)
		keep--; /* a branch is never empty */
	right = env_allocate(&map->env, 1, sizeof(*right));
	if (right == NULL)
		return -ENOMEM;
	map->bytes += sizeof(*right);
	right->count = left->count - keep;
	memcpy(right->first, left->first + keep, right->count * sizeof(right->first[0]));
	memcpy(right->leaves, left->leaves + keep, right->count * sizeof(right->leaves[0]));
	left->count = keep;
	top_insert(map, at->branch + 1, right, right->first[0]);
	if (at->leaf >= keep) {
		at->branch++;
		at->leaf -= keep;
	}
	return 0;
}

/* Moves a leaf to memory for @room extents. Failing is harmless: it stays where it is. */
static int leaf_move(struct exception_map *map, struct place at, uint32_t room)
{
	struct leaf *from = leaf_at(map, at);
	struct leaf *to = leaf_allocate(map, room);

	if (to == NULL)
		return -ENOMEM;
	to->count = from->count;
	memcpy(to->extents, from->extents, from->count * sizeof(to->extents[0]));
	map->branches[at.branch]->leaves[at.leaf] = to;
	leaf_release(map, from);
	return 0;
}

static uint32_t leaf_fitting(uint32_t count)
{
	uint32_t room = (count / LEAF_STEP + 1) * LEAF_STEP;

	return room < LEAF_MAX ? room : LEAF_MAX;
}

/* Cuts a full leaf in two; @old_chunk will be inserted at the place, which moves along. */
static int leaf_split(struct exception_map *map, struct place *at, uint64_t old_chunk)
{
	struct branch *branch = map->branches[at->branch];
	struct leaf *left, *right;
	bool rightmost;
	uint32_t keep;
	int r;

	if (branch->count == BRANCH_MAX) {
		r = branch_split(map, at);
		if (r < 0)
			return r;
		branch = map->branches[at->branch];
	}
	left = leaf_at(map, *at);
	rightmost = at->branch + 1 == map->count && at->leaf + 1 == branch->count;
	keep = cut_point(left->count, at->index, rightmost);
	right = leaf_allocate(map, leaf_fitting(left->count - keep));
	if (right == NULL)
		return -ENOMEM;
	right->count = left->count - keep;
	memcpy(right->extents, left->extents + keep, right->count * sizeof(right->extents[0]));
	left->count = keep;
	memmove(branch->first + at->leaf + 2, branch->first + at->leaf + 1,
		(branch->count - at->leaf - 1) * sizeof(branch->first[0]));
	memmove(branch->leaves + at->leaf + 2, branch->leaves + at->leaf + 1,
		(branch->count - at->leaf - 1) * sizeof(branch->leaves[0]));
	branch->first[at->leaf + 1] = right->count > 0 ? extent_old(&right->extents[0]) : old_chunk;
	branch->leaves[at->leaf + 1] = right;
	branch->count++;
	if (keep < LEAF_MAX)
		(void)leaf_move(map, *at, leaf_fitting(keep));
	if (at->index > keep || right->count == 0) {
		at->leaf++;
		at->index -= keep;
	}
	return 0;
}

/* Puts an extent at its place. */
static int place_insert(struct exception_map *map, struct place at, struct extent e)
{
	struct leaf *leaf;
	int r = 0;

	if (map->count == 0) {
		r = plant(map);
		at = (struct place){ 0, 0, 0 };
	} else if (leaf_at(map, at)->count == LEAF_MAX) {
		r = leaf_split(map, &at, extent_old(&e));
	}
	if (r == 0 && leaf_at(map, at)->count == leaf_at(map, at)->room)
		r = leaf_move(map, at, leaf_fitting(leaf_at(map, at)->count));
	if (r < 0)
		return r;
	leaf = leaf_at(map, at);
	memmove(leaf->extents + at.index + 1, leaf->extents + at.index,
		(leaf->count - at.index) * sizeof(leaf->extents[0]));
	leaf->extents[at.index] = e;
	leaf->count++;
	map->chunks += extent_count(&e);
	return 0;
}

static void branch_remove_leaf(struct exception_map *map, struct place at)
{
	struct branch *branch = map->branches[at.branch];

	leaf_release(map, leaf_at(map, at));
	branch->count--;
	memmove(branch->first + at.leaf, branch->first + at.leaf + 1,
		(branch->count - at.leaf) * sizeof(branch->first[0]));
	memmove(branch->leaves + at.leaf, branch->leaves + at.leaf + 1,
		(branch->count - at.leaf) * sizeof(branch->leaves[0]));
	if (branch->count == 0) {
		env_release(&map->env, branch);
		map->bytes -= sizeof(*branch);
		map->count--;
		memmove(map->first + at.branch, map->first + at.branch + 1,
			(map->count - at.branch) * sizeof(map->first[0]));
		memmove(map->branches + at.branch, map->branches + at.branch + 1,
			(map->count - at.branch) * sizeof(map->branches[0]));
	}
	if (map->count > 0) {
		map->first[0] = 0;
		map->branches[0]->first[0] = 0;
	}
}

static void place_remove(struct exception_map *map, struct place at)
{
	struct leaf *leaf = leaf_at(map, at);

	map->chunks -= extent_count(&leaf->extents[at.index]);
	leaf->count--;
	memmove(leaf->extents + at.index, leaf->extents + at.index + 1,
		(leaf->count - at.index) * sizeof(leaf->extents[0]));
	if (leaf->count == 0)
		branch_remove_leaf(map, at);
	else if (leaf->room - leaf->count >= 3 * LEAF_STEP)
		(void)leaf_move(map, at, leaf_fitting(leaf->count));
}

static bool goes_on(const struct extent *left, const struct extent *right)
{
	return extent_end(left) == extent_old(right) &&
	       extent_new(left) + extent_count(left) == extent_new(right) &&
	       extent_new(right) < NUMBER_MASK &&
	       extent_count(left) + extent_count(right) <= EXTENT_MAX;
}

void map_join(struct exception_map *map, uint64_t old_chunk)
{
	struct extent *left, *right;
	struct place at, before;

	if (old_chunk == 0 || !seek(map, old_chunk, &at))
		return;
	before = at;
	right = extent_at(map, at);
	if (extent_old(right) != old_chunk || !step_back(map, &before))
		return;
	left = extent_at(map, before);
	if (!goes_on(left, right))
		return;
	*left = extent_make(extent_old(left), extent_new(left),
			    extent_count(left) + extent_count(right));
	map->chunks += extent_count(right);
	place_remove(map, at);
}

int map_split(struct exception_map *map, uint64_t old_chunk)
{
	struct extent *e, rest;
	struct place at;
	uint64_t kept;
	int r;

	if (!seek(map, old_chunk, &at))
		return 0;
	e = extent_at(map, at);
	if (extent_old(e) >= old_chunk)
		return 0;
	kept = old_chunk - extent_old(e);
	rest = extent_make(old_chunk, extent_new(e) + kept, extent_count(e) - kept);
	/* Not simply behind the left part: a separator may lie between. */
	r = place_insert(map, place_of(map, old_chunk), rest);
	if (r < 0)
		return r;
	/* The tree may have been rebuilt around it: look for the left part again. */
	at = place_of(map, old_chunk - 1);
	step_back(map, &at);
	e = extent_at(map, at);
	map->chunks -= extent_count(&rest);
	*e = extent_make(extent_old(e), extent_new(e), kept);
	return 0;
}

void map_erase(struct exception_map *map, const struct map_run *run)
{
	uint64_t at_old = run->old_chunk, end = run->old_chunk + run->count;
	struct place at;

	while (seek(map, at_old, &at)) {
		const struct extent *e = extent_at(map, at);

		if (extent_old(e) >= end)
			break;
		at_old = extent_end(e);
		if (extent_new(e) - extent_old(e) == run->new_chunk - run->old_chunk)
			place_remove(map, at);
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
			at = place_of(map, old_chunk);
		r = place_insert(map, at,
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
		at = place_of(map, old_chunk);
		before = at;
		if (step_back(map, &before)) {
			left = extent_at(map, before);
			if (goes_on(left, &e)) {
				*left = extent_make(extent_old(left), extent_new(left),
						    extent_count(left) + count);
				map->chunks += count;
				map_join(map, old_chunk + count);
				return 0;
			}
		}
	}
	r = place_insert(map, at, e);
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
	at = place_of(map, runs[0].old_chunk);
	before = at;
	leaf = leaf_at(map, at);
	if (step_back(map, &before) && extent_end(extent_at(map, before)) > runs[0].old_chunk)
		return 0;
	end = next_separator(map, at);
	taken = merge_runs(leaf, at.index, runs, count, end, merged, &n);
	room = leaf_fitting(at.index + n);
	if (taken == 0 || at.index + n > LEAF_MAX ||
	    (room > leaf->room && leaf_move(map, at, room) < 0))
		return 0;
	leaf = leaf_at(map, at);
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
