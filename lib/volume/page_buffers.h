/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool of buffers for reads of pages. They are made in slabs, which engines get to know as a
 * whole, and are kept until the pool ends.
 *
 * Threads: any, but for start and end.
 */
#ifndef VOLUME_PAGE_BUFFERS_H
#define VOLUME_PAGE_BUFFERS_H

#include <pthread.h>
#include <stdint.h>

#include <uds/env.h>

#include "io/io.h"

struct page_slab;

/* Memory for one read, aligned for the I/O. */
struct page_buffer {
	struct page_buffer *next;
	uint8_t *memory;
};

struct page_buffers {
	struct uds_env env;
	const struct uds_io *io;
	uint64_t bytes; /* of one, and from one to the next */
	pthread_mutex_t lock;
	struct page_buffer *free;
	struct page_slab *slabs; /* their memory, the newest first */
};

/* @bytes: that a read takes at most. */
void page_buffers_start(struct page_buffers *pool, const struct uds_env *env,
			const struct uds_io *io, uint32_t bytes);

/* All are free. */
void page_buffers_end(struct page_buffers *pool);

/* Returns NULL where memory is short. */
struct page_buffer *page_buffers_take(struct page_buffers *pool);
void page_buffers_give(struct page_buffers *pool, struct page_buffer *buffer);

/*
 * Announces the memory of all buffers that there are to an engine.
 *
 * @known: what the last call for this engine returned; NULL before. Returns what it knows now.
 */
const struct page_slab *page_buffers_announce(struct page_buffers *pool,
					      struct uds_io_engine *engine,
					      const struct page_slab *known);

#endif
