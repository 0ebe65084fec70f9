/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for the lists of one zone of a sub-index: blocks in many sizes that stay dense although
 * all lists grow and shrink all the time.
 *
 * Blocks of one size (a class) fill chunks one after the other; sizes are chosen so that little of
 * a chunk is left over. A freed block is kept for the next list that needs its size, because lists
 * keep growing and shrinking through the sizes. When too many blocks are free, the last block of
 * the class moves into the hole, and its owner's reference is updated: so chunks become empty from
 * the end and go to other classes. Each block begins with the number of its owner.
 *
 * Not thread-safe: belongs to its zone. Pools that share the heads of a zone, each for some of the
 * lists, can be used by a thread each, and joined afterwards.
 */
#ifndef VOLUME_INDEX_POOL_H
#define VOLUME_INDEX_POOL_H

#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>

/* In place of a block reference: none. */
#define NO_BLOCK UINT32_MAX

/* Where a block's content begins, behind the owner's number. */
#define POOL_BLOCK_HEAD 4u

/* A reference: chunk number, and number of the block in its chunk. */
#define POOL_INDEX_BITS 11u

/* Readers may read (never write) so many bytes past the end of a block. */
#define POOL_PAD 64u

#define POOL_CLASSES 224u

/*
 * What the zone keeps of each list outside of its block: the owner of a block, whose reference the
 * pool changes when it moves the block. All else is list.h's.
 */
struct list_head {
	uint32_t block;	     /* reference into the pool; NO_BLOCK when there are no entries */
	uint16_t entries;    /* collision entries included */
	uint16_t coded_bits; /* of the list in the format */
	uint64_t flush;	     /* flush_from << 10 | number of collision entries (at most 511) */
};

struct list_pool_chunk {
	uint8_t *memory;
	uint32_t block_bytes;
	uint32_t class_number; /* or, of a free chunk, the next free one */
};

struct list_pool_arena {
	uint8_t *memory;
	uint32_t bytes;
};

struct list_pool_class {
	uint32_t block_bytes;
	uint32_t smaller_bytes; /* of the next smaller class; 0 if there is none */
	uint32_t per_chunk;
	uint32_t used; /* blocks up to the last one that was ever handed out, free ones included */
	uint32_t free_count;
	uint32_t free_first; /* reference of the first free block */
	uint32_t chunk_count;
	uint32_t chunk_room; /* of the array below */
	uint32_t *chunks;
};

struct list_pool {
	const struct uds_env *env;
	struct list_head *heads; /* of the lists, by number: the owners of the blocks */
	struct list_pool_chunk *chunks;
	uint32_t chunk_count;
	uint32_t chunk_room;
	uint32_t free_chunk; /* the first of the chunks that no class has */
	uint32_t chunk_bytes;
	uint32_t usable_bytes; /* of a chunk */
	uint32_t arena_bytes;  /* chunks are cut from arenas, which are what is allocated */
	uint32_t arena_count;
	uint32_t arena_room;
	struct list_pool_arena *arenas;
	uint64_t expected_bytes;
	uint64_t large_until;  /* when it has so much memory, arenas become smaller */
	uint64_t memory_bytes; /* everything allocated here */
	struct list_pool_class classes[POOL_CLASSES];
};

/*
 * @expected_bytes: what all blocks together will take when the index is full.
 * @largest_block: no block will ever be larger (at most 65472 bytes).
 */
void list_pool_make(struct list_pool *pool, const struct uds_env *env, struct list_head *heads,
		    uint64_t expected_bytes, uint32_t largest_block);

void list_pool_release(struct list_pool *pool);

/*
 * For a pool with one of @parts equal shares of what its zone is expected to take: where that ends,
 * the pool takes memory in small steps, since it cannot give the rest of an arena to the others.
 */
void list_pool_set_share(struct list_pool *pool, unsigned int parts);

/*
 * Moves all blocks and all memory of another pool, with the same heads and made with the same
 * sizes, into @pool. The other one is empty then, and need not be released.
 *
 * Returns 0, or -ENOMEM with both as they were.
 */
int list_pool_join(struct list_pool *pool, struct list_pool *other);

static inline const struct list_pool_chunk *list_pool_chunk_of(const struct list_pool *pool,
							       uint32_t block)
{
	return &pool->chunks[block >> POOL_INDEX_BITS];
}

static inline uint8_t *list_pool_block(const struct list_pool *pool, uint32_t block)
{
	const struct list_pool_chunk *chunk = list_pool_chunk_of(pool, block);

	return chunk->memory + (size_t)(block & ((1u << POOL_INDEX_BITS) - 1)) * chunk->block_bytes;
}

static inline uint32_t list_pool_block_bytes(const struct list_pool *pool, uint32_t block)
{
	return list_pool_chunk_of(pool, block)->block_bytes;
}

/* The size that a block of the next smaller class would have. */
static inline uint32_t list_pool_smaller_bytes(const struct list_pool *pool, uint32_t block)
{
	return pool->classes[list_pool_chunk_of(pool, block)->class_number].smaller_bytes;
}

/*
 * A block for @bytes or a little more. Returns 0 or -ENOMEM, with nothing changed. Moves no block.
 */
int list_pool_allocate(struct list_pool *pool, uint32_t bytes, uint32_t owner, uint32_t *ret_block);

/*
 * Memory for lists that change one after the other and nothing else: no block that one of them asks
 * for is refused afterwards, if they never ask for more than @bytes in all, the bytes they have
 * included. @lists: how many there are, or more. Returns 0 or -ENOMEM.
 */
int list_pool_reserve(struct list_pool *pool, uint64_t bytes, uint32_t lists);

/* May move one other block of the same class. */
void list_pool_free(struct list_pool *pool, uint32_t block);

#endif
