/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that callers have announced. A request in flight counts for the buffer that it lies in,
 * whether the kernel has the buffer or not, so that taking one back has the same rule everywhere.
 */
#include <errno.h>

#include "base/env.h"
#include "base/visibility.h"
#include "io/engine_private.h"
#include "io/ring.h"

void engine_enter_buffer(struct uds_io_engine *engine, struct uds_io_request *request)
{
	const uint8_t *memory = request->buffer;

	request->place = 0;
	if (request->kind != UDS_IO_READ && request->kind != UDS_IO_WRITE)
		return;
	for (unsigned int i = 0; i < engine->buffer_end; i++) {
		struct engine_buffer *buffer = &engine->buffers[i];

		/* How far into the buffer, then how much of it is left: sums could overflow. */
		if (buffer->start == NULL || memory < buffer->start ||
		    (size_t)(memory - buffer->start) > buffer->bytes ||
		    request->length > buffer->bytes - (size_t)(memory - buffer->start))
			continue;
		buffer->in_flight++;
		/* One more than the number, as 0 says that the request lies in no buffer. */
		request->place = (uint16_t)(i + 1);
		return;
	}
}

void engine_leave_buffer(struct uds_io_engine *engine, const struct uds_io_request *request)
{
	if (request->place > 0)
		engine->buffers[request->place - 1].in_flight--;
}

void engine_register_buffers(struct uds_io_engine *engine)
{
	for (unsigned int i = 0; i < engine->buffer_end; i++) {
		const struct engine_buffer *buffer = &engine->buffers[i];

		if (buffer->start != NULL)
			ring_add_buffer(engine->ring, i, buffer->start, buffer->bytes);
	}
}

/*
 * The place of the buffer that begins there; NULL @memory: a free place, perhaps behind the last.
 */
static unsigned int find(const struct uds_io_engine *engine, const void *memory)
{
	unsigned int i = 0;

	while (i < engine->buffer_end && engine->buffers[i].start != memory)
		i++;
	return i;
}

/* With the lock. */
static int add(struct uds_io_engine *engine, void *memory, size_t bytes)
{
	struct engine_buffer buffer = { memory, bytes, 0 };
	unsigned int place;

	if (memory == NULL || bytes == 0)
		return -EINVAL;
	if (find(engine, memory) < engine->buffer_end)
		return -EEXIST;
	place = find(engine, NULL);
	if (place == UDS_IO_ENGINE_BUFFERS)
		return -ENOSPC;
	/* Not cleared: places from buffer_end on are never looked at. */
	if (engine->buffers == NULL)
		engine->buffers = env_allocate(&engine->env, UDS_IO_ENGINE_BUFFERS, sizeof(buffer));
	if (engine->buffers == NULL)
		return -ENOMEM;
	engine->buffers[place] = buffer;
	if (place == engine->buffer_end)
		engine->buffer_end++;
	if (engine->ring != NULL)
		ring_add_buffer(engine->ring, place, memory, bytes);
	return 0;
}

UDS_PUBLIC int uds_io_engine_add_buffer(struct uds_io_engine *engine, void *memory, size_t bytes)
{
	int r;

	failures_begin(engine->failures);
	pthread_mutex_lock(&engine->lock);
	r = add(engine, memory, bytes);
	pthread_mutex_unlock(&engine->lock);
	return failures_end(engine->failures, r, "adding a buffer of %zu bytes to an engine",
			    bytes);
}

/* With the lock. */
static int take_out(struct uds_io_engine *engine, const void *memory)
{
	unsigned int place = find(engine, memory);

	/* NULL would find a free place. */
	if (memory == NULL || place == engine->buffer_end)
		return -EINVAL;
	/* The kernel, a thread or a backend may still write to it. */
	if (engine->buffers[place].in_flight > 0)
		return -EBUSY;
	if (engine->ring != NULL)
		ring_remove_buffer(engine->ring, place);
	engine->buffers[place].start = NULL;
	return 0;
}

UDS_PUBLIC int uds_io_engine_remove_buffer(struct uds_io_engine *engine, void *memory)
{
	int r;

	failures_begin(engine->failures);
	pthread_mutex_lock(&engine->lock);
	r = take_out(engine, memory);
	pthread_mutex_unlock(&engine->lock);
	return failures_end(engine->failures, r, "removing a buffer from an engine");
}
