/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for the lists of one zone of a sub-index: blocks in many sizes that stay dense although all
 * lists grow and shrink all the time.
 *
 * Blocks of one size (a class) fill chunks of that class one after the other. A freed block is kept for the
 * next list that needs its size, since lists pass through the sizes in a stream; when there are too many
 * of these, the last block of the class moves into the hole and its owner's reference is set, so chunks
 * empty from the end and are given to other classes. Each block begins with the number of its owner.
 *
 * Not thread-safe: belongs to its zone.
 */
#ifndef INDEX_VI_POOL_H
#define INDEX_VI_POOL_H

#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>

/* In place of a reference: no block. */
#define VI_NO_BLOCK UINT32_MAX

/* Where a block's content begins, behind the owner's number. */
#define VI_BLOCK_HEAD 4u

/* A reference: chunk number, and place in the chunk in units of 16 bytes. */
#define VI_PLACE_BITS 12u
#define VI_PLACE_UNIT 16u

/* So far behind the end of a block one may read (never change) memory. */
#define VI_POOL_PAD 64u

#define VI_POOL_CLASSES 352u

struct vi_head;

struct vi_pool_chunk {
	uint8_t *memory;
	uint32_t class_number; /* or, of a free chunk, the next free one */
};

struct vi_pool_class {
	uint32_t block_bytes;
	uint32_t per_chunk;
	uint32_t used; /* blocks up to the last one that was ever handed out, free ones included */
	uint32_t free_count;
	uint32_t free_first; /* reference of the first free block */
	uint32_t chunk_count;
	uint32_t chunk_room; /* of the array below */
	uint32_t *chunks;
};

struct vi_pool {
	const struct uds_env *env;
	struct vi_head *heads; /* of the lists, by number: the owners of the blocks */
	struct vi_pool_chunk *chunks;
	uint32_t chunk_count;
	uint32_t chunk_room;
	uint32_t free_chunk; /* the first of the chunks that no class has */
	uint32_t chunk_bytes;
	uint32_t arena_bytes; /* chunks are cut from arenas, which are what is allocated */
	uint32_t arena_count;
	uint32_t arena_room;
	void **arenas;
	uint64_t memory_bytes; /* everything allocated here */
	struct vi_pool_class classes[VI_POOL_CLASSES];
};

/*
 * @expected_bytes: what all blocks together will take when the index is full.
 * @largest_block: no block will ever be larger (at most 65472 bytes).
 */
void vi_pool_make(struct vi_pool *pool, const struct uds_env *env, struct vi_head *heads,
		  uint64_t expected_bytes, uint32_t largest_block);

void vi_pool_release(struct vi_pool *pool);

/* The size of a class's blocks that hold @bytes, as a class number. */
static inline uint32_t vi_pool_class_of(uint32_t bytes)
{
	return bytes <= 2048 ? (bytes + 31) / 32 : 64 + (bytes - 2048 + 255) / 256;
}

static inline uint32_t vi_pool_class_bytes(uint32_t class_number)
{
	return class_number <= 64 ? class_number * 32 : 2048 + (class_number - 64) * 256;
}

static inline uint8_t *vi_pool_block(const struct vi_pool *pool, uint32_t block)
{
	return pool->chunks[block >> VI_PLACE_BITS].memory +
	       (size_t)(block & ((1u << VI_PLACE_BITS) - 1)) * VI_PLACE_UNIT;
}

/* Class of a block, and so its size. */
static inline uint32_t vi_pool_block_class(const struct vi_pool *pool, uint32_t block)
{
	return pool->chunks[block >> VI_PLACE_BITS].class_number;
}

/* Returns 0 or -ENOMEM, with nothing changed. Moves no block. */
int vi_pool_allocate(struct vi_pool *pool, uint32_t class_number, uint32_t owner,
		     uint32_t *ret_block);

/* May move one other block of the same class. */
void vi_pool_free(struct vi_pool *pool, uint32_t block);

#endif
