/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nodes of an exception map: a tree of fixed height: a sorted array of branches, each a sorted
 * array of leaves, each a sorted array of extents. Leaves are allocated in small steps as they
 * fill, so little is wasted.
 *
 * Invariants: no leaf and no branch is empty; extents ascend and do not overlap; `first` of a leaf
 * or branch is not above its first extent, above all extents to its left, and 0 at the very left.
 * It may be lower than the first extent after a removal.
 *
 * Each structural step (a leaf grows, a leaf or branch is split) leaves a whole tree, so one that
 * fails for lack of memory needs no undoing.
 */
#ifndef EXCEPTIONS_EXCEPTION_TREE_H
#define EXCEPTIONS_EXCEPTION_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>

#define LEAF_MAX    256u
#define LEAF_STEP   16u
#define BRANCH_MAX  256u
#define EXTENT_MAX  UINT64_C(65536)
#define NUMBER_BITS 56
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)

/* The upper 8 bits of both words hold count - 1: the high byte in a, the low byte in b. */
struct chunk_extent {
	uint64_t a; /* old chunk */
	uint64_t b; /* new chunk */
};

struct extent_leaf {
	uint32_t count;
	uint32_t room;
	struct chunk_extent extents[];
};

struct extent_branch {
	uint32_t count;
	uint64_t first[BRANCH_MAX];
	struct extent_leaf *leaves[BRANCH_MAX];
};

struct exception_tree {
	struct uds_env env;
	struct extent_branch **branches;
	uint64_t *first;
	uint32_t count;
	uint32_t room;
	uint64_t chunks;
	uint64_t bytes;
};

/* A place in the tree: the extent at index of that leaf, which may be one behind its last. */
struct tree_place {
	uint32_t branch;
	uint32_t leaf;
	uint32_t index;
};

static inline struct chunk_extent extent_make(uint64_t old_chunk, uint64_t new_chunk,
					      uint64_t count)
{
	uint64_t further = count - 1;
	struct chunk_extent e = {
		.a = old_chunk | (further >> 8) << NUMBER_BITS,
		.b = new_chunk | (further & 0xff) << NUMBER_BITS,
	};

	return e;
}

static inline uint64_t extent_old(const struct chunk_extent *e)
{
	return e->a & NUMBER_MASK;
}

static inline uint64_t extent_new(const struct chunk_extent *e)
{
	return e->b & NUMBER_MASK;
}

static inline uint64_t extent_count(const struct chunk_extent *e)
{
	return ((e->a >> NUMBER_BITS) << 8 | e->b >> NUMBER_BITS) + 1;
}

static inline uint64_t extent_end(const struct chunk_extent *e)
{
	return extent_old(e) + extent_count(e);
}

static inline bool goes_on(const struct chunk_extent *left, const struct chunk_extent *right)
{
	return extent_end(left) == extent_old(right) &&
	       extent_new(left) + extent_count(left) == extent_new(right) &&
	       extent_new(right) < NUMBER_MASK &&
	       extent_count(left) + extent_count(right) <= EXTENT_MAX;
}

static inline bool tree_is_empty(const struct exception_tree *tree)
{
	return tree->count == 0;
}

/* Gives the nodes back; the struct itself is the owner's. */
void tree_release(struct exception_tree *tree);

/* Where an extent that begins at @old_chunk belongs. The map is not empty. */
struct tree_place tree_find(const struct exception_tree *tree, uint64_t old_chunk);

/* To the extent before; false: there is none. */
bool tree_step_back(const struct exception_tree *tree, struct tree_place *at);

/* From one behind the last extent of a leaf to the first of the next; false: there is none. */
bool tree_settle(const struct exception_tree *tree, struct tree_place *at);

/* The last extent of all; false: the tree is empty. */
bool tree_last(const struct exception_tree *tree, struct tree_place *ret_at);

/* Extents from this old chunk on go into a later leaf; UINT64_MAX: there is none. */
uint64_t tree_next_first(const struct exception_tree *tree, struct tree_place at);

struct extent_leaf *tree_leaf(const struct exception_tree *tree, struct tree_place at);
struct chunk_extent *tree_extent(const struct exception_tree *tree, struct tree_place at);

/* Puts an extent at its place, or -ENOMEM. Removes one; this cannot fail. */
int tree_insert(struct exception_tree *tree, struct tree_place at, struct chunk_extent e);
void tree_remove(struct exception_tree *tree, struct tree_place at);

/* How many extents a leaf with @count of them should have room for. */
uint32_t leaf_fitting(uint32_t count);

/* Moves a leaf to memory for @room extents. Failing is harmless: it stays where it is. */
int tree_move_leaf(struct exception_tree *tree, struct tree_place at, uint32_t room);

#endif
