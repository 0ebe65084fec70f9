/* SPDX-License-Identifier: BSD-2-Clause */
#include "volume/page_buffers.h"

#include "base/bits.h"
#include "base/env.h"

/* Each slab has twice as many buffers as the one before, up to so many. */
#define MOST_IN_SLAB 16u

struct page_slab {
	struct page_slab *next; /* an older one */
	uint8_t *memory;
	unsigned int count;
	struct page_buffer buffers[];
};

void page_buffers_start(struct page_buffers *pool, const struct uds_env *env,
			const struct uds_io *io, uint32_t bytes)
{
	uint32_t alignment = uds_io_memory_alignment(io);

	pool->env = *env;
	pool->io = io;
	/* The next one's memory, too, has to be what the I/O accepts. */
	pool->bytes = round_up(bytes, alignment > 4096 ? alignment : 4096);
	pool->free = NULL;
	pool->slabs = NULL;
	pthread_mutex_init(&pool->lock, NULL);
}

void page_buffers_end(struct page_buffers *pool)
{
	while (pool->slabs != NULL) {
		struct page_slab *slab = pool->slabs;

		pool->slabs = slab->next;
		env_release(&pool->env, slab->memory);
		env_release(&pool->env, slab);
	}
	pthread_mutex_destroy(&pool->lock);
}

/* With the lock: one more slab, all of it free. Nothing changes where memory is short. */
static void add_slab(struct page_buffers *pool)
{
	unsigned int count = pool->slabs == NULL ? 1 : 2 * pool->slabs->count;
	struct page_slab *slab;

	if (count > MOST_IN_SLAB)
		count = MOST_IN_SLAB;
	slab = env_allocate(&pool->env, 1, sizeof(*slab) + count * sizeof(slab->buffers[0]));
	if (slab == NULL)
		return;
	slab->memory = io_allocate_buffer(pool->io, &pool->env, count * pool->bytes);
	if (slab->memory == NULL) {
		env_release(&pool->env, slab);
		return;
	}
	slab->count = count;
	for (unsigned int i = 0; i < count; i++) {
		slab->buffers[i].memory = slab->memory + i * pool->bytes;
		slab->buffers[i].next = pool->free;
		pool->free = &slab->buffers[i];
	}
	slab->next = pool->slabs;
	pool->slabs = slab;
}

struct page_buffer *page_buffers_take(struct page_buffers *pool)
{
	struct page_buffer *buffer;

	pthread_mutex_lock(&pool->lock);
	if (pool->free == NULL)
		add_slab(pool);
	buffer = pool->free;
	if (buffer != NULL)
		pool->free = buffer->next;
	pthread_mutex_unlock(&pool->lock);
	return buffer;
}

void page_buffers_give(struct page_buffers *pool, struct page_buffer *buffer)
{
	pthread_mutex_lock(&pool->lock);
	buffer->next = pool->free;
	pool->free = buffer;
	pthread_mutex_unlock(&pool->lock);
}

const struct page_slab *page_buffers_announce(struct page_buffers *pool,
					      struct uds_io_engine *engine,
					      const struct page_slab *known)
{
	const struct page_slab *slabs;

	pthread_mutex_lock(&pool->lock);
	slabs = pool->slabs;
	pthread_mutex_unlock(&pool->lock);
	/* Without the lock: slabs are only ever added. */
	for (const struct page_slab *slab = slabs; slab != known; slab = slab->next)
		(void)uds_io_engine_add_buffer(engine, slab->memory,
					       (size_t)(slab->count * pool->bytes));
	return slabs;
}
