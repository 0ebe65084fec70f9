/* SPDX-License-Identifier: BSD-2-Clause */
/* Classes, chunks and arenas of a zone's list memory: see the header. */
#include "volume_index/pool.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"

/* In place of an owner's number: free. The links of the free list follow it. */
#define FREE_BLOCK UINT32_MAX

#define HUGE_PAGE_BYTES (2u << 20)

#define MINIMUM_BLOCK 24u

struct free_block {
	uint32_t owner; /* FREE_BLOCK */
	uint32_t next;
	uint32_t previous;
};

/*
 * A class is named after how many of its blocks a chunk has: any number below 64, then in steps
 * that keep five binary digits, so that sizes are never much closer than 3 %.
 */
static uint32_t class_of_count(uint32_t per_chunk)
{
	unsigned int shift = per_chunk < 64 ? 0 : bits_per(per_chunk) - 6;

	return 32 * shift + (per_chunk >> shift);
}

static void make_classes(struct list_pool *pool)
{
	uint32_t smaller = 0;

	/* From many small blocks to one that is a whole chunk. */
	for (uint32_t count = (1u << POOL_INDEX_BITS) - 1; count > 0; count--) {
		struct list_pool_class *class = &pool->classes[class_of_count(count)];
		uint32_t bytes = pool->usable_bytes / count & ~UINT32_C(3);

		/* The last count of a class is the one that stays, with the largest blocks. */
		if (count > 64 && class_of_count(count - 1) == class_of_count(count))
			continue;
		if (bytes < MINIMUM_BLOCK)
			continue;
		class->block_bytes = bytes;
		class->smaller_bytes = smaller;
		class->per_chunk = count;
		class->free_first = NO_BLOCK;
		smaller = bytes;
	}
}

void list_pool_make(struct list_pool *pool, const struct uds_env *env, struct list_head *heads,
		    uint64_t expected_bytes, uint32_t largest_block)
{
	memset(pool, 0, sizeof(*pool));
	pool->env = env;
	pool->heads = heads;
	pool->free_chunk = NO_BLOCK;
	/*
	 * A chunk is what a class takes at a time: large ones waste memory in a small index, which
	 * has few lists of each class.
	 */
	pool->chunk_bytes = 32768;
	if (expected_bytes < (2u << 20))
		pool->chunk_bytes = 16384;
	/* The largest list must fit into one chunk with the bytes that are read beyond its end. */
	while (largest_block > pool->chunk_bytes - POOL_PAD)
		pool->chunk_bytes *= 2;
	pool->usable_bytes = pool->chunk_bytes - POOL_PAD;
	pool->arena_bytes = pool->chunk_bytes;
	/*
	 * Arenas of a huge page, where the index is large enough for it: fewer translations to look
	 * up at random places.
	 */
	while (pool->arena_bytes < HUGE_PAGE_BYTES && pool->arena_bytes < expected_bytes / 32)
		pool->arena_bytes *= 2;
	pool->expected_bytes = expected_bytes;
	pool->large_until = UINT64_MAX;
	make_classes(pool);
}

void list_pool_set_share(struct list_pool *pool, unsigned int parts)
{
	pool->large_until = pool->expected_bytes / parts;
}

void list_pool_release(struct list_pool *pool)
{
	for (uint32_t i = 0; i < POOL_CLASSES; i++)
		env_release(pool->env, pool->classes[i].chunks);
	for (uint32_t i = 0; i < pool->arena_count; i++)
		env_release_large(pool->env, pool->arenas[i].memory, pool->arenas[i].bytes);
	env_release(pool->env, pool->arenas);
	env_release(pool->env, pool->chunks);
	memset(pool, 0, sizeof(*pool));
}

/* Makes room for at least one more element behind @count of them. Returns 0 or -ENOMEM. */
static int grow_array(struct list_pool *pool, void *array_pointer, uint32_t *room, uint32_t count,
		      uint32_t more, size_t element_bytes)
{
	uint32_t new_room = *room;
	void *old;
	void *array;

	if (count + more <= *room)
		return 0;
	/*
	 * By half: the tables of a large index have megabytes, and doubling them would leave half
	 * unused.
	 */
	while (new_room < count + more)
		new_room = new_room == 0 ? 4 : new_room + new_room / 2;
	array = env_allocate(pool->env, new_room, element_bytes);
	if (array == NULL)
		return -ENOMEM;
	/* By memcpy(): a pointer of any type may not be read as one to void. */
	memcpy(&old, array_pointer, sizeof(old));
	if (old != NULL)
		memcpy(array, old, count * element_bytes);
	env_release(pool->env, old);
	memcpy(array_pointer, &array, sizeof(array));
	pool->memory_bytes += (new_room - *room) * element_bytes;
	*room = new_room;
	return 0;
}

/* Allocates an arena and puts its chunks on the list of free ones. */
static int add_arena(struct list_pool *pool, uint32_t chunks)
{
	const uint32_t bytes = chunks * pool->chunk_bytes;
	uint8_t *memory;
	int r;

	/* A block's number is its chunk's and its own in the chunk, together 32 bits. */
	if (pool->chunk_count + chunks > (1u << (32 - POOL_INDEX_BITS)) - 1)
		return -ENOMEM;
	r = grow_array(pool, &pool->arenas, &pool->arena_room, pool->arena_count, 1,
		       sizeof(*pool->arenas));
	if (r < 0)
		return r;
	r = grow_array(pool, &pool->chunks, &pool->chunk_room, pool->chunk_count, chunks,
		       sizeof(*pool->chunks));
	if (r < 0)
		return r;
	/*
	 * Last, after the tables have room: a failure leaves them larger, and all else as it was.
	 */
	memory = env_allocate_large(pool->env, bytes);
	if (memory == NULL)
		return -ENOMEM;
	/*
	 * Lists are read in whole words: the bits behind their ends have a value, though
	 * it never matters.
	 */
	memset(memory, 0, bytes);
	pool->arenas[pool->arena_count++] = (struct list_pool_arena){ memory, bytes };
	pool->memory_bytes += bytes;
	/* Backwards, so that the chunks of an arena are taken in the order of their addresses. */
	for (uint32_t i = chunks; i-- > 0;) {
		uint32_t number = pool->chunk_count + i;

		pool->chunks[number].memory = memory + (size_t)i * pool->chunk_bytes;
		pool->chunks[number].class_number = pool->free_chunk;
		pool->free_chunk = number;
	}
	pool->chunk_count += chunks;
	return 0;
}

/* How many chunks the next arena has. */
static uint32_t arena_chunks(const struct list_pool *pool)
{
	uint32_t bytes = pool->arena_bytes;

	if (pool->memory_bytes >= pool->large_until)
		bytes = bytes / 8 > pool->chunk_bytes ? bytes / 8 : pool->chunk_bytes;
	return bytes / pool->chunk_bytes;
}

/* Gives a class one more chunk. */
static int add_chunk(struct list_pool *pool, uint32_t class_number)
{
	struct list_pool_class *class = &pool->classes[class_number];
	uint32_t chunk;
	int r;

	r = grow_array(pool, &class->chunks, &class->chunk_room, class->chunk_count, 1,
		       sizeof(*class->chunks));
	if (r < 0)
		return r;
	if (pool->free_chunk == NO_BLOCK) {
		r = add_arena(pool, arena_chunks(pool));
		if (r < 0)
			return r;
	}
	chunk = pool->free_chunk;
	pool->free_chunk = pool->chunks[chunk].class_number;
	pool->chunks[chunk].class_number = class_number;
	pool->chunks[chunk].block_bytes = class->block_bytes;
	class->chunks[class->chunk_count++] = chunk;
	return 0;
}

/*
 * Why this is enough. A chunk has as many blocks of a class as fit, so @bytes of blocks take less
 * than twice their size in whole and parted chunks; and a block has less than twice the bytes that
 * were asked for. Besides, each class has up to three chunks that are not full: that of its last
 * block, what its holes may come to (close_holes()), and that of a list which moves. Those of the
 * lists that stay as they are do not change.
 */
int list_pool_reserve(struct list_pool *pool, uint64_t bytes, uint32_t lists)
{
	const uint64_t classes = lists + UINT64_C(1) < POOL_CLASSES ? lists + 1 : POOL_CLASSES;
	const uint64_t wanted = 4 * bytes / pool->usable_bytes + 1 + 3 * classes;
	uint32_t free = 0;
	int r = 0;

	if (wanted > UINT32_MAX / pool->chunk_bytes)
		return -ENOMEM;
	for (uint32_t i = pool->free_chunk; i != NO_BLOCK; i = pool->chunks[i].class_number)
		free++;
	if (free < wanted)
		r = add_arena(pool, (uint32_t)wanted - free);
	for (uint32_t i = 0; r == 0 && i < POOL_CLASSES; i++) {
		struct list_pool_class *class = &pool->classes[i];

		if (class->per_chunk > 0)
			r = grow_array(pool, &class->chunks, &class->chunk_room, class->chunk_count,
				       (uint32_t)wanted, sizeof(*class->chunks));
	}
	return r;
}

static uint32_t block_at(const struct list_pool_class *class, uint32_t index)
{
	/* Lists name their blocks by number, so a block can move with a change of one head. */
	return class->chunks[index / class->per_chunk] << POOL_INDEX_BITS |
	       index % class->per_chunk;
}

static void link_free(struct list_pool *pool, struct list_pool_class *class, uint32_t block)
{
	struct free_block links = { FREE_BLOCK, class->free_first, NO_BLOCK };

	memcpy(list_pool_block(pool, block), &links, sizeof(links));
	if (class->free_first != NO_BLOCK)
		memcpy(list_pool_block(pool, class->free_first) +
			       offsetof(struct free_block, previous),
		       &block, sizeof(block));
	class->free_first = block;
	class->free_count++;
}

static void unlink_free(struct list_pool *pool, struct list_pool_class *class, uint32_t block)
{
	struct free_block links;

	memcpy(&links, list_pool_block(pool, block), sizeof(links));
	if (links.previous == NO_BLOCK)
		class->free_first = links.next;
	else
		memcpy(list_pool_block(pool, links.previous) + offsetof(struct free_block, next),
		       &links.next, sizeof(links.next));
	if (links.next != NO_BLOCK)
		memcpy(list_pool_block(pool, links.next) + offsetof(struct free_block, previous),
		       &links.previous, sizeof(links.previous));
	class->free_count--;
}

/* The smallest class whose blocks hold @bytes. */
static uint32_t class_of_bytes(const struct list_pool *pool, uint32_t bytes)
{
	uint32_t count = pool->usable_bytes / (bytes < MINIMUM_BLOCK ? MINIMUM_BLOCK : bytes);
	uint32_t class_number;

	if (count > (1u << POOL_INDEX_BITS) - 1)
		count = (1u << POOL_INDEX_BITS) - 1;
	class_number = class_of_count(count);
	/* Rounded down to whole words the blocks can be a little too small. */
	while (pool->classes[class_number].block_bytes < bytes)
		class_number--;
	return class_number;
}

int list_pool_allocate(struct list_pool *pool, uint32_t bytes, uint32_t owner, uint32_t *ret_block)
{
	uint32_t class_number = class_of_bytes(pool, bytes);
	struct list_pool_class *class = &pool->classes[class_number];
	uint32_t block;

	/* A block that was used before, if there is one: the class stays as compact as it is. */
	if (class->free_first != NO_BLOCK) {
		block = class->free_first;
		unlink_free(pool, class, block);
	} else {
		if (class->used == class->chunk_count * class->per_chunk) {
			int r = add_chunk(pool, class_number);

			if (r < 0)
				return r;
		}
		block = block_at(class, class->used++);
	}
	memcpy(list_pool_block(pool, block), &owner, sizeof(owner));
	*ret_block = block;
	return 0;
}

/* Takes the last block of a class away, which fills a hole unless it is one. */
static void drop_last(struct list_pool *pool, struct list_pool_class *class)
{
	uint32_t last = block_at(class, class->used - 1);
	uint8_t *content = list_pool_block(pool, last);
	uint32_t owner;

	memcpy(&owner, content, sizeof(owner));
	if (owner == FREE_BLOCK) {
		unlink_free(pool, class, last);
	} else {
		uint32_t hole = class->free_first;

		unlink_free(pool, class, hole);
		memcpy(list_pool_block(pool, hole), content, class->block_bytes);
		/*
		 * Each block begins with its owner's number, so that the head can follow the
		 * block.
		 */
		pool->heads[owner].block = hole;
	}
	class->used--;
	/* The last chunk is empty: it goes back to the pool, and may next be another class's. */
	if (class->used % class->per_chunk == 0) {
		uint32_t chunk = class->chunks[--class->chunk_count];

		pool->chunks[chunk].class_number = pool->free_chunk;
		pool->free_chunk = chunk;
	}
}

/* A class that the lists have left behind gives up its last chunk as well. */
static void close_holes(struct list_pool *pool, struct list_pool_class *class)
{
	while (class->free_count > class->per_chunk / 4 || class->free_count * 8 > class->used)
		drop_last(pool, class);
}

void list_pool_free(struct list_pool *pool, uint32_t block)
{
	struct list_pool_class *class =
		&pool->classes[list_pool_chunk_of(pool, block)->class_number];

	link_free(pool, class, block);
	close_holes(pool, class);
}

/* Room in all tables for what another pool has in its own. */
static int make_room(struct list_pool *pool, const struct list_pool *other)
{
	int r;

	if (pool->chunk_count + other->chunk_count > (1u << (32 - POOL_INDEX_BITS)) - 1)
		return -ENOMEM;
	r = grow_array(pool, &pool->arenas, &pool->arena_room, pool->arena_count,
		       other->arena_count, sizeof(*pool->arenas));
	if (r == 0)
		r = grow_array(pool, &pool->chunks, &pool->chunk_room, pool->chunk_count,
			       other->chunk_count, sizeof(*pool->chunks));
	for (uint32_t i = 0; r == 0 && i < POOL_CLASSES; i++) {
		struct list_pool_class *class = &pool->classes[i];

		r = grow_array(pool, &class->chunks, &class->chunk_room, class->chunk_count,
			       other->classes[i].chunk_count, sizeof(*class->chunks));
	}
	return r;
}

/*
 * Takes the arenas and chunks over. Numbers of chunks become higher by those that are here already.
 */
static void join_chunks(struct list_pool *pool, const struct list_pool *other)
{
	const uint32_t before = pool->chunk_count;

	for (uint32_t i = 0; i < other->arena_count; i++) {
		pool->memory_bytes += other->arenas[i].bytes;
		pool->arenas[pool->arena_count++] = other->arenas[i];
	}
	for (uint32_t i = 0; i < other->chunk_count; i++)
		pool->chunks[pool->chunk_count++] = other->chunks[i];
	for (uint32_t i = other->free_chunk; i != NO_BLOCK; i = other->chunks[i].class_number) {
		pool->chunks[before + i].class_number = pool->free_chunk;
		pool->free_chunk = before + i;
	}
}

/* Takes the blocks of a class over, whose chunks are those from @first on now. */
static void join_class(struct list_pool *pool, struct list_pool_class *class,
		       const struct list_pool_class *other, uint32_t first)
{
	const uint32_t full = class->chunk_count * class->per_chunk;
	uint32_t end;

	if (other->chunk_count == 0)
		return;
	/*
	 * Chunks are filled one after the other: the rest of the last one here counts
	 * as free blocks.
	 */
	while (class->used < full)
		link_free(pool, class, block_at(class, class->used++));
	for (uint32_t i = 0; i < other->chunk_count; i++)
		class->chunks[class->chunk_count++] = first + other->chunks[i];
	for (end = class->used + other->used; class->used < end; class->used++) {
		uint32_t block = block_at(class, class->used), owner;

		memcpy(&owner, list_pool_block(pool, block), sizeof(owner));
		if (owner == FREE_BLOCK)
			link_free(pool, class, block);
		else
			pool->heads[owner].block = block;
	}
	close_holes(pool, class);
}

int list_pool_join(struct list_pool *pool, struct list_pool *other)
{
	const uint32_t first = pool->chunk_count;
	int r;

	r = make_room(pool, other);
	if (r < 0)
		return r;
	join_chunks(pool, other);
	for (uint32_t i = 0; i < POOL_CLASSES; i++)
		join_class(pool, &pool->classes[i], &other->classes[i], first);
	/* Its arenas are in use here. */
	other->arena_count = 0;
	list_pool_release(other);
	pool->large_until = UINT64_MAX;
	return 0;
}
