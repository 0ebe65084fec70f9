/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues: many requests in flight. Over a backend that has queues of its own they are passed
 * through; over any other, a request is carried out when it is submitted and kept until it is reaped.
 */
#include <errno.h>

#include "base/env.h"
#include "base/visibility.h"
#include "io/io.h"

#define MAX_DEPTH 4096

struct uds_io_queue {
	struct uds_io *io;
	void *backend; /* the backend's queue, or NULL: the plain loop */
	unsigned int depth;
	unsigned int in_flight;

	/* Requests that are done without the backend, oldest first: a ring of depth places. */
	unsigned int first_done;
	unsigned int done_count;
	struct uds_io_request *done[];
};

UDS_PUBLIC int uds_io_queue_open(struct uds_io *io, unsigned int depth,
				 struct uds_io_queue **ret_queue)
{
	struct uds_io_queue *queue;
	int r;

	if (depth == 0 || depth > MAX_DEPTH)
		return -EINVAL;
	queue = env_allocate_zeroed(&io->env, 1, sizeof(*queue) + depth * sizeof(queue->done[0]));
	if (queue == NULL)
		return -ENOMEM;
	queue->io = io;
	queue->depth = depth;
	if (io->ops.open_queue != NULL) {
		r = io->ops.open_queue(io->context, depth, &queue->backend);
		if (r < 0 && r != -EOPNOTSUPP) {
			env_release(&io->env, queue);
			return r;
		}
		if (r == -EOPNOTSUPP)
			queue->backend = NULL;
	}
	*ret_queue = queue;
	return 0;
}

UDS_PUBLIC void uds_io_queue_close(struct uds_io_queue *queue)
{
	struct uds_io_request *done[16];

	if (queue == NULL)
		return;
	while (queue->in_flight > 0 && uds_io_queue_reap(queue, done, 16) > 0)
		;
	if (queue->backend != NULL)
		queue->io->ops.close_queue(queue->backend);
	env_release(&queue->io->env, queue);
}

static void keep_done(struct uds_io_queue *queue, struct uds_io_request *request)
{
	queue->done[(queue->first_done + queue->done_count) % queue->depth] = request;
	queue->done_count++;
}

static int carry_out(struct uds_io *io, struct uds_io_request *request)
{
	switch (request->kind) {
	case UDS_IO_READ:
		return uds_io_read(io, request->buffer, request->length, request->offset);
	case UDS_IO_WRITE:
		return uds_io_write(io, request->buffer, request->length, request->offset);
	case UDS_IO_FLUSH:
		return uds_io_flush(io);
	}
	return -EINVAL;
}

/* Requests that the backend must not see, because they break the limits, are done at once. */
static bool refused(struct uds_io_queue *queue, struct uds_io_request *request)
{
	request->status = 0;
	if (request->kind == UDS_IO_FLUSH)
		return false;
	if (request->kind != UDS_IO_READ && request->kind != UDS_IO_WRITE) {
		request->status = -EINVAL;
		return true;
	}
	request->status = io_check_transfer(queue->io, request->kind, request->buffer,
					    request->length, request->offset);
	return request->status < 0 || request->length == 0;
}

UDS_PUBLIC int uds_io_queue_submit(struct uds_io_queue *queue,
				   struct uds_io_request *const *requests, size_t count)
{
	size_t first = 0;
	int r;

	if (count > queue->depth - queue->in_flight)
		return -EBUSY;
	for (size_t i = 0; i < count && queue->backend == NULL; i++) {
		requests[i]->status = carry_out(queue->io, requests[i]);
		keep_done(queue, requests[i]);
	}
	while (queue->backend != NULL && first < count) {
		size_t end = first;

		while (end < count && !refused(queue, requests[end]))
			end++;
		if (end > first) {
			r = queue->io->ops.submit(queue->backend, requests + first, end - first);
			for (size_t i = first; i < end && r < 0; i++) {
				requests[i]->status = r;
				keep_done(queue, requests[i]);
			}
		}
		if (end < count)
			keep_done(queue, requests[end++]);
		first = end;
	}
	queue->in_flight += (unsigned int)count;
	return 0;
}

UDS_PUBLIC int uds_io_queue_reap(struct uds_io_queue *queue, struct uds_io_request **ret_done,
				 size_t room)
{
	size_t count = 0;
	int r;

	while (count < room && queue->done_count > 0) {
		ret_done[count++] = queue->done[queue->first_done];
		queue->first_done = (queue->first_done + 1) % queue->depth;
		queue->done_count--;
	}
	if (count == 0 && room > 0 && queue->in_flight > 0) {
		r = queue->io->ops.reap(queue->backend, ret_done, room);
		if (r < 0)
			return r;
		count = (size_t)r;
	}
	queue->in_flight -= (unsigned int)count;
	return (int)count;
}
