/* SPDX-License-Identifier: BSD-2-Clause */
/* Classes, chunks and arenas of a zone's list memory: see the header. */
#include "index/vi_pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/env.h"
#include "index/vi_list.h"

/* In place of an owner's number: nobody. The links of the free list follow it. */
#define FREE_BLOCK UINT32_MAX

#define HUGE_PAGE_BYTES (2u << 20)

struct free_block {
	uint32_t owner; /* FREE_BLOCK */
	uint32_t next;
	uint32_t previous;
};

void vi_pool_make(struct vi_pool *pool, const struct uds_env *env, struct vi_head *heads,
		  uint64_t expected_bytes, uint32_t largest_block)
{
	memset(pool, 0, sizeof(*pool));
	pool->env = env;
	pool->heads = heads;
	pool->free_chunk = VI_NO_BLOCK;
	pool->chunk_bytes = 65536;
	if (expected_bytes < (8u << 20) && largest_block <= 16384 - VI_POOL_PAD)
		pool->chunk_bytes = 16384;
	pool->arena_bytes = pool->chunk_bytes;
	while (pool->arena_bytes < HUGE_PAGE_BYTES && pool->arena_bytes < expected_bytes / 32)
		pool->arena_bytes *= 2;
	for (uint32_t i = 1; i < VI_POOL_CLASSES; i++) {
		struct vi_pool_class *class = &pool->classes[i];

		class->block_bytes = vi_pool_class_bytes(i);
		class->per_chunk = (pool->chunk_bytes - VI_POOL_PAD) / class->block_bytes;
		class->free_first = VI_NO_BLOCK;
	}
}

void vi_pool_release(struct vi_pool *pool)
{
	for (uint32_t i = 0; i < VI_POOL_CLASSES; i++)
		env_release(pool->env, pool->classes[i].chunks);
	for (uint32_t i = 0; i < pool->arena_count; i++)
		env_release(pool->env, pool->arenas[i]);
	env_release(pool->env, pool->arenas);
	env_release(pool->env, pool->chunks);
	memset(pool, 0, sizeof(*pool));
}

/* Makes room for at least one more element behind @count of them. Returns 0 or -ENOMEM. */
static int grow_array(struct vi_pool *pool, void *array_pointer, uint32_t *room, uint32_t count,
		      uint32_t more, size_t element_bytes)
{
	uint32_t new_room = *room;
	void *old;
	void *array;

	if (count + more <= *room)
		return 0;
	while (new_room < count + more)
		new_room = new_room == 0 ? 4 : new_room + new_room / 2;
	array = env_allocate(pool->env, new_room, element_bytes);
	if (array == NULL)
		return -ENOMEM;
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
static int add_arena(struct vi_pool *pool)
{
	uint32_t chunks = pool->arena_bytes / pool->chunk_bytes;
	uint8_t *memory;
	int r;

	if (pool->chunk_count + chunks > (1u << (32 - VI_PLACE_BITS)) - 1)
		return -ENOMEM;
	r = grow_array(pool, &pool->arenas, &pool->arena_room, pool->arena_count, 1,
		       sizeof(*pool->arenas));
	if (r < 0)
		return r;
	r = grow_array(pool, &pool->chunks, &pool->chunk_room, pool->chunk_count, chunks,
		       sizeof(*pool->chunks));
	if (r < 0)
		return r;
	memory = env_allocate_aligned(pool->env, pool->arena_bytes,
				      pool->arena_bytes < HUGE_PAGE_BYTES ? 64 : HUGE_PAGE_BYTES);
	if (memory == NULL)
		return -ENOMEM;
#ifdef MADV_HUGEPAGE
	/* Lookups go anywhere in the memory; with small pages each would also miss the TLB. */
	if (pool->arena_bytes >= HUGE_PAGE_BYTES)
		(void)madvise(memory, pool->arena_bytes, MADV_HUGEPAGE);
#endif
	pool->arenas[pool->arena_count++] = memory;
	pool->memory_bytes += pool->arena_bytes;
	for (uint32_t i = chunks; i-- > 0;) {
		uint32_t number = pool->chunk_count + i;

		pool->chunks[number].memory = memory + (size_t)i * pool->chunk_bytes;
		pool->chunks[number].class_number = pool->free_chunk;
		pool->free_chunk = number;
	}
	pool->chunk_count += chunks;
	return 0;
}

/* Gives a class one more chunk. */
static int add_chunk(struct vi_pool *pool, uint32_t class_number)
{
	struct vi_pool_class *class = &pool->classes[class_number];
	uint32_t chunk;
	int r;

	r = grow_array(pool, &class->chunks, &class->chunk_room, class->chunk_count, 1,
		       sizeof(*class->chunks));
	if (r < 0)
		return r;
	if (pool->free_chunk == VI_NO_BLOCK) {
		r = add_arena(pool);
		if (r < 0)
			return r;
	}
	chunk = pool->free_chunk;
	pool->free_chunk = pool->chunks[chunk].class_number;
	pool->chunks[chunk].class_number = class_number;
	class->chunks[class->chunk_count++] = chunk;
	return 0;
}

static uint32_t block_at(const struct vi_pool_class *class, uint32_t index)
{
	return class->chunks[index / class->per_chunk] << VI_PLACE_BITS |
	       index % class->per_chunk * class->block_bytes / VI_PLACE_UNIT;
}

static void link_free(struct vi_pool *pool, struct vi_pool_class *class, uint32_t block)
{
	struct free_block links = { FREE_BLOCK, class->free_first, VI_NO_BLOCK };

	memcpy(vi_pool_block(pool, block), &links, sizeof(links));
	if (class->free_first != VI_NO_BLOCK)
		memcpy(vi_pool_block(pool, class->free_first) +
			       offsetof(struct free_block, previous),
		       &block, sizeof(block));
	class->free_first = block;
	class->free_count++;
}

static void unlink_free(struct vi_pool *pool, struct vi_pool_class *class, uint32_t block)
{
	struct free_block links;

	memcpy(&links, vi_pool_block(pool, block), sizeof(links));
	if (links.previous == VI_NO_BLOCK)
		class->free_first = links.next;
	else
		memcpy(vi_pool_block(pool, links.previous) + offsetof(struct free_block, next),
		       &links.next, sizeof(links.next));
	if (links.next != VI_NO_BLOCK)
		memcpy(vi_pool_block(pool, links.next) + offsetof(struct free_block, previous),
		       &links.previous, sizeof(links.previous));
	class->free_count--;
}

int vi_pool_allocate(struct vi_pool *pool, uint32_t class_number, uint32_t owner,
		     uint32_t *ret_block)
{
	struct vi_pool_class *class = &pool->classes[class_number];
	uint32_t block;

	if (class->free_first != VI_NO_BLOCK) {
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
	memcpy(vi_pool_block(pool, block), &owner, sizeof(owner));
	*ret_block = block;
	return 0;
}

/* Takes the last block of a class away, which fills a hole unless it is one. */
static void drop_last(struct vi_pool *pool, struct vi_pool_class *class)
{
	uint32_t last = block_at(class, class->used - 1);
	uint8_t *content = vi_pool_block(pool, last);
	uint32_t owner;

	memcpy(&owner, content, sizeof(owner));
	if (owner == FREE_BLOCK) {
		unlink_free(pool, class, last);
	} else {
		uint32_t hole = class->free_first;

		unlink_free(pool, class, hole);
		memcpy(vi_pool_block(pool, hole), content, class->block_bytes);
		pool->heads[owner].block = hole;
	}
	class->used--;
	if (class->used % class->per_chunk == 0) {
		uint32_t chunk = class->chunks[--class->chunk_count];

		pool->chunks[chunk].class_number = pool->free_chunk;
		pool->free_chunk = chunk;
	}
}

void vi_pool_free(struct vi_pool *pool, uint32_t block)
{
	struct vi_pool_class *class = &pool->classes[vi_pool_block_class(pool, block)];

	link_free(pool, class, block);
	if (class->free_count > class->per_chunk / 4)
		drop_last(pool, class);
}
