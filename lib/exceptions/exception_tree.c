/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nodes of the lookup table: finding a place, making room, removing. The shape is in
 * exception_tree.h.
 */
#include "exceptions/exception_tree.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"

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

struct leaf *tree_leaf(const struct exception_map *map, struct place at)
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
struct place tree_place(const struct exception_map *map, uint64_t old_chunk)
{
	struct place at;

	at.branch = last_not_above(map->first, map->count, old_chunk);
	at.leaf = last_not_above(map->branches[at.branch]->first, map->branches[at.branch]->count,
				 old_chunk);
	at.index = leaf_begun(tree_leaf(map, at), old_chunk);
	return at;
}

bool tree_step_back(const struct exception_map *map, struct place *at)
{
	if (at->index == 0) {
		if (at->leaf == 0) {
			if (at->branch == 0)
				return false;
			at->branch--;
			at->leaf = map->branches[at->branch]->count;
		}
		at->leaf--;
		at->index = tree_leaf(map, *at)->count;
	}
	at->index--;
	return true;
}

/* From one behind the last extent of a leaf to the first of the next; false: there is none. */
bool tree_settle(const struct exception_map *map, struct place *at)
{
	if (at->index < tree_leaf(map, *at)->count)
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

struct extent *tree_extent(const struct exception_map *map, struct place at)
{
	return &tree_leaf(map, at)->extents[at.index];
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
int tree_move_leaf(struct exception_map *map, struct place at, uint32_t room)
{
	struct leaf *from = tree_leaf(map, at);
	struct leaf *to = leaf_allocate(map, room);

	if (to == NULL)
		return -ENOMEM;
	to->count = from->count;
	memcpy(to->extents, from->extents, from->count * sizeof(to->extents[0]));
	map->branches[at.branch]->leaves[at.leaf] = to;
	leaf_release(map, from);
	return 0;
}

uint32_t leaf_fitting(uint32_t count)
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
	left = tree_leaf(map, *at);
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
		(void)tree_move_leaf(map, *at, leaf_fitting(keep));
	if (at->index > keep || right->count == 0) {
		at->leaf++;
		at->index -= keep;
	}
	return 0;
}

/* Puts an extent at its place. */
int tree_insert(struct exception_map *map, struct place at, struct extent e)
{
	struct leaf *leaf;
	int r = 0;

	if (map->count == 0) {
		r = plant(map);
		at = (struct place){ 0, 0, 0 };
	} else if (tree_leaf(map, at)->count == LEAF_MAX) {
		r = leaf_split(map, &at, extent_old(&e));
	}
	if (r == 0 && tree_leaf(map, at)->count == tree_leaf(map, at)->room)
		r = tree_move_leaf(map, at, leaf_fitting(tree_leaf(map, at)->count));
	if (r < 0)
		return r;
	leaf = tree_leaf(map, at);
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

	leaf_release(map, tree_leaf(map, at));
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

void tree_remove(struct exception_map *map, struct place at)
{
	struct leaf *leaf = tree_leaf(map, at);

	map->chunks -= extent_count(&leaf->extents[at.index]);
	leaf->count--;
	memmove(leaf->extents + at.index, leaf->extents + at.index + 1,
		(leaf->count - at.index) * sizeof(leaf->extents[0]));
	if (leaf->count == 0)
		branch_remove_leaf(map, at);
	else if (leaf->room - leaf->count >= 3 * LEAF_STEP)
		(void)tree_move_leaf(map, at, leaf_fitting(leaf->count));
}
