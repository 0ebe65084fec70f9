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
	return sizeof(struct extent_leaf) + room * sizeof(struct chunk_extent);
}

static struct extent_leaf *leaf_allocate(struct exception_tree *tree, uint32_t room)
{
	struct extent_leaf *leaf = env_allocate(&tree->env, 1, leaf_bytes(room));

	if (leaf != NULL) {
		leaf->count = 0;
		leaf->room = room;
		tree->bytes += leaf_bytes(room);
	}
	return leaf;
}

static void leaf_release(struct exception_tree *tree, struct extent_leaf *leaf)
{
	tree->bytes -= leaf_bytes(leaf->room);
	env_release(&tree->env, leaf);
}

void tree_release(struct exception_tree *tree)
{
	const struct uds_env *env = &tree->env;

	for (uint32_t b = 0; b < tree->count; b++) {
		for (uint32_t l = 0; l < tree->branches[b]->count; l++)
			env_release(env, tree->branches[b]->leaves[l]);
		env_release(env, tree->branches[b]);
	}
	env_release(env, tree->branches);
	env_release(env, tree->first);
}

struct extent_leaf *tree_leaf(const struct exception_tree *tree, struct tree_place at)
{
	return tree->branches[at.branch]->leaves[at.leaf];
}

/* The last of @count ascending keys that is not above @key; 0 when all are. */
static uint32_t last_not_above(const uint64_t *keys, uint32_t count, uint64_t key)
{
	uint32_t low = 0;

	while (count > 1) {
		/* Without a branch that depends on the keys, which come in any order. */
		uint32_t half = count / 2;

		low = keys[low + half] <= key ? low + half : low;
		count -= half;
	}
	return low;
}

/* How many extents of a leaf begin at or before @old_chunk. */
static uint32_t leaf_begun(const struct extent_leaf *leaf, uint64_t old_chunk)
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
struct tree_place tree_find(const struct exception_tree *tree, uint64_t old_chunk)
{
	struct tree_place at = { 0 };

	/* The first keys are 0, so that every chunk has a branch and a leaf. */
	at.branch = last_not_above(tree->first, tree->count, old_chunk);
	at.leaf = last_not_above(tree->branches[at.branch]->first, tree->branches[at.branch]->count,
				 old_chunk);
	at.index = leaf_begun(tree_leaf(tree, at), old_chunk);
	return at;
}

bool tree_step_back(const struct exception_tree *tree, struct tree_place *at)
{
	if (at->index == 0) {
		if (at->leaf == 0) {
			if (at->branch == 0)
				return false;
			/* Across the border of a branch, to the last leaf of the one before. */
			at->branch--;
			at->leaf = tree->branches[at->branch]->count;
		}
		at->leaf--;
		at->index = tree_leaf(tree, *at)->count;
	}
	at->index--;
	return true;
}

/* From one behind the last extent of a leaf to the first of the next; false: there is none. */
bool tree_settle(const struct exception_tree *tree, struct tree_place *at)
{
	if (at->index < tree_leaf(tree, *at)->count)
		return true;
	if (at->leaf + 1 < tree->branches[at->branch]->count) {
		at->leaf++;
	} else {
		if (at->branch + 1 == tree->count)
			return false;
		at->branch++;
		at->leaf = 0;
	}
	at->index = 0;
	return true;
}

bool tree_last(const struct exception_tree *tree, struct tree_place *ret_at)
{
	struct tree_place behind = { tree->count, 0, 0 };

	if (!tree_step_back(tree, &behind))
		return false;
	*ret_at = behind;
	return true;
}

uint64_t tree_next_first(const struct exception_tree *tree, struct tree_place at)
{
	const struct extent_branch *branch = tree->branches[at.branch];

	if (at.leaf + 1 < branch->count)
		return branch->first[at.leaf + 1];
	return at.branch + 1 < tree->count ? tree->first[at.branch + 1] : UINT64_MAX;
}

struct chunk_extent *tree_extent(const struct exception_tree *tree, struct tree_place at)
{
	return &tree_leaf(tree, at)->extents[at.index];
}

/* Room for one more branch in the array of them. */
static int top_grow(struct exception_tree *tree)
{
	uint32_t room = tree->room == 0 ? 8 : tree->room * 2;
	struct extent_branch **branches;
	uint64_t *first;

	if (tree->count < tree->room)
		return 0;
	branches = env_allocate(&tree->env, room, sizeof(branches[0]));
	first = env_allocate(&tree->env, room, sizeof(first[0]));
	if (branches == NULL || first == NULL) {
		env_release(&tree->env, branches);
		env_release(&tree->env, first);
		return -ENOMEM;
	}
	/* Both new arrays are there before either old one goes. */
	if (tree->count > 0) {
		memcpy(branches, tree->branches, tree->count * sizeof(branches[0]));
		memcpy(first, tree->first, tree->count * sizeof(first[0]));
	}
	env_release(&tree->env, tree->branches);
	env_release(&tree->env, tree->first);
	tree->bytes += (room - tree->room) * (sizeof(branches[0]) + sizeof(first[0]));
	tree->branches = branches;
	tree->first = first;
	tree->room = room;
	return 0;
}

static void top_insert(struct exception_tree *tree, uint32_t at, struct extent_branch *branch,
		       uint64_t first)
{
	memmove(tree->branches + at + 1, tree->branches + at,
		(tree->count - at) * sizeof(tree->branches[0]));
	memmove(tree->first + at + 1, tree->first + at,
		(tree->count - at) * sizeof(tree->first[0]));
	tree->branches[at] = branch;
	tree->first[at] = first;
	tree->count++;
}

/* The first leaf of an empty map. */
static int plant(struct exception_tree *tree)
{
	struct extent_branch *branch;
	int r = top_grow(tree);

	if (r < 0)
		return r;
	branch = env_allocate(&tree->env, 1, sizeof(*branch));
	if (branch == NULL)
		return -ENOMEM;
	branch->leaves[0] = leaf_allocate(tree, LEAF_STEP);
	if (branch->leaves[0] == NULL) {
		env_release(&tree->env, branch);
		return -ENOMEM;
	}
	tree->bytes += sizeof(*branch);
	branch->count = 1;
	branch->first[0] = 0;
	top_insert(tree, 0, branch, 0);
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
static int branch_split(struct exception_tree *tree, struct tree_place *at)
{
	struct extent_branch *left = tree->branches[at->branch], *right;
	bool rightmost = at->branch + 1 == tree->count;
	uint32_t keep = cut_point(left->count, at->leaf + 1, rightmost);
	int r = top_grow(tree);

	/* Before the new branch, so that its place in the top array is sure. */
	if (r < 0)
		return r;
	if (keep == left->count)
		keep--; /* a branch is never empty */
	right = env_allocate(&tree->env, 1, sizeof(*right));
	if (right == NULL)
		return -ENOMEM;
	tree->bytes += sizeof(*right);
	right->count = left->count - keep;
	memcpy(right->first, left->first + keep, right->count * sizeof(right->first[0]));
	memcpy(right->leaves, left->leaves + keep, right->count * sizeof(right->leaves[0]));
	left->count = keep;
	top_insert(tree, at->branch + 1, right, right->first[0]);
	if (at->leaf >= keep) {
		at->branch++;
		at->leaf -= keep;
	}
	return 0;
}

/* Moves a leaf to memory for @room extents. Failing is harmless: it stays where it is. */
int tree_move_leaf(struct exception_tree *tree, struct tree_place at, uint32_t room)
{
	struct extent_leaf *from = tree_leaf(tree, at);
	struct extent_leaf *to = leaf_allocate(tree, room);

	if (to == NULL)
		return -ENOMEM;
	to->count = from->count;
	memcpy(to->extents, from->extents, from->count * sizeof(to->extents[0]));
	tree->branches[at.branch]->leaves[at.leaf] = to;
	leaf_release(tree, from);
	return 0;
}

uint32_t leaf_fitting(uint32_t count)
{
	uint32_t room = (count / LEAF_STEP + 1) * LEAF_STEP;

	return room < LEAF_MAX ? room : LEAF_MAX;
}

/* Cuts a full leaf in two; @old_chunk will be inserted at the place, which moves along. */
static int leaf_split(struct exception_tree *tree, struct tree_place *at, uint64_t old_chunk)
{
	struct extent_branch *branch = tree->branches[at->branch];
	struct extent_leaf *left, *right;
	bool rightmost;
	uint32_t keep;
	int r;

	if (branch->count == BRANCH_MAX) {
		r = branch_split(tree, at);
		if (r < 0)
			return r;
		branch = tree->branches[at->branch];
	}
	left = tree_leaf(tree, *at);
	rightmost = at->branch + 1 == tree->count && at->leaf + 1 == branch->count;
	keep = cut_point(left->count, at->index, rightmost);
	right = leaf_allocate(tree, leaf_fitting(left->count - keep));
	if (right == NULL)
		return -ENOMEM;
	right->count = left->count - keep;
	memcpy(right->extents, left->extents + keep, right->count * sizeof(right->extents[0]));
	left->count = keep;
	memmove(branch->first + at->leaf + 2, branch->first + at->leaf + 1,
		(branch->count - at->leaf - 1) * sizeof(branch->first[0]));
	memmove(branch->leaves + at->leaf + 2, branch->leaves + at->leaf + 1,
		(branch->count - at->leaf - 1) * sizeof(branch->leaves[0]));
	/*
	 * Where the right leaf is still empty, its first key is that of the extent that is about to
	 * come.
	 */
	branch->first[at->leaf + 1] = right->count > 0 ? extent_old(&right->extents[0]) : old_chunk;
	branch->leaves[at->leaf + 1] = right;
	branch->count++;
	/* Gives back memory, and may fail: the left leaf is right as it is. */
	if (keep < LEAF_MAX)
		(void)tree_move_leaf(tree, *at, leaf_fitting(keep));
	if (at->index > keep || right->count == 0) {
		at->leaf++;
		at->index -= keep;
	}
	return 0;
}

int tree_insert(struct exception_tree *tree, struct tree_place at, struct chunk_extent e)
{
	struct extent_leaf *leaf;
	int r = 0;

	if (tree->count == 0) {
		r = plant(tree);
		at = (struct tree_place){ 0, 0, 0 };
	} else if (tree_leaf(tree, at)->count == LEAF_MAX) {
		r = leaf_split(tree, &at, extent_old(&e));
	}
	if (r == 0 && tree_leaf(tree, at)->count == tree_leaf(tree, at)->room)
		r = tree_move_leaf(tree, at, leaf_fitting(tree_leaf(tree, at)->count));
	if (r < 0)
		return r;
	leaf = tree_leaf(tree, at);
	memmove(leaf->extents + at.index + 1, leaf->extents + at.index,
		(leaf->count - at.index) * sizeof(leaf->extents[0]));
	leaf->extents[at.index] = e;
	leaf->count++;
	tree->chunks += extent_count(&e);
	return 0;
}

static void branch_remove_leaf(struct exception_tree *tree, struct tree_place at)
{
	struct extent_branch *branch = tree->branches[at.branch];

	leaf_release(tree, tree_leaf(tree, at));
	branch->count--;
	memmove(branch->first + at.leaf, branch->first + at.leaf + 1,
		(branch->count - at.leaf) * sizeof(branch->first[0]));
	memmove(branch->leaves + at.leaf, branch->leaves + at.leaf + 1,
		(branch->count - at.leaf) * sizeof(branch->leaves[0]));
	if (branch->count == 0) {
		env_release(&tree->env, branch);
		tree->bytes -= sizeof(*branch);
		tree->count--;
		memmove(tree->first + at.branch, tree->first + at.branch + 1,
			(tree->count - at.branch) * sizeof(tree->first[0]));
		memmove(tree->branches + at.branch, tree->branches + at.branch + 1,
			(tree->count - at.branch) * sizeof(tree->branches[0]));
	}
	/* What comes before all others still has to find a leaf: the first one begins at 0. */
	if (tree->count > 0) {
		tree->first[0] = 0;
		tree->branches[0]->first[0] = 0;
	}
}

void tree_remove(struct exception_tree *tree, struct tree_place at)
{
	struct extent_leaf *leaf = tree_leaf(tree, at);

	tree->chunks -= extent_count(&leaf->extents[at.index]);
	leaf->count--;
	memmove(leaf->extents + at.index, leaf->extents + at.index + 1,
		(leaf->count - at.index) * sizeof(leaf->extents[0]));
	/*
	 * Empty leaves go, since every step to a neighbour would have to pass over them. Others
	 * give memory back late, so that adding and removing in turn does not move them each time.
	 */
	if (leaf->count == 0)
		branch_remove_leaf(tree, at);
	else if (leaf->room - leaf->count >= 3 * LEAF_STEP)
		(void)tree_move_leaf(tree, at, leaf_fitting(leaf->count));
}
