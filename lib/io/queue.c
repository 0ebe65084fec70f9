/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues: many requests in flight. Over a backend that has queues of its own they are passed
 * through; over any other, a request is carried out when it is submitted and kept until it is reaped.
 */
#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/visibility.h"
#include "io/io.h"

#define MAX_DEPTH 4096

struct uds_io_queue {
	struct uds_io *io;
	void *backend; /* the backend's queue, or NULL: the plain loop */
	unsigned int depth;
	unsigned int in_flight;
	unsigned int in_backend; /* of these, handed to the backend and not given back */
	bool broken;		 /* the backend has lost count: it gets nothing more */

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

	failures_begin(io->failures);
	if (depth == 0 || depth > MAX_DEPTH)
		return failures_say(io->failures, -EINVAL,
				    "%s: a queue of depth %u: 1 to %d are possible", io->name,
				    depth, MAX_DEPTH);
	queue = env_allocate_zeroed(&io->env, 1, sizeof(*queue) + depth * sizeof(queue->done[0]));
	if (queue == NULL)
		return failures_say(io->failures, -ENOMEM, "%s: no memory for a queue of depth %u",
				    io->name, depth);
	queue->io = io;
	queue->depth = depth;
	if (io->ops.open_queue != NULL) {
		r = io_status(io, "open_queue",
			      io->ops.open_queue(io->context, depth, &queue->backend));
		if (r < 0 && r != -EOPNOTSUPP) {
			env_release(&io->env, queue);
			return failures_end(io->failures, r, "%s: opening a queue of depth %u",
					    io->name, depth);
		}
		if (r == -EOPNOTSUPP)
			queue->backend = NULL;
	}
	*ret_queue = queue;
	return 0;
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

/* Hands requests to the backend; what it does not take is done, with the error. */
static void submit(struct uds_io_queue *queue, struct uds_io_request *const *requests, size_t count)
{
	struct uds_io *io = queue->io;
	int said = queue->broken ? -EIO : io->ops.submit(queue->backend, requests, count);
	int r = io_status(io, "submit", said);

	if (r == 0) {
		queue->in_backend += (unsigned int)count;
		return;
	}
	/* A count, perhaps: then some of them are in flight, and nobody knows which. */
	queue->broken = queue->broken || said > 0;
	for (size_t i = 0; i < count; i++) {
		requests[i]->status = r;
		keep_done(queue, requests[i]);
	}
}

UDS_PUBLIC int uds_io_queue_submit(struct uds_io_queue *queue,
				   struct uds_io_request *const *requests, size_t count)
{
	struct failures *failures = queue->io->failures;
	size_t first = 0;

	failures_begin(failures);
	if (count > queue->depth - queue->in_flight)
		return failures_say(failures, -EBUSY,
				    "%s: %zu requests for a queue of depth %u with %u in flight",
				    queue->io->name, count, queue->depth, queue->in_flight);
	for (size_t i = 0; i < count && queue->backend == NULL; i++) {
		requests[i]->status = carry_out(queue->io, requests[i]);
		keep_done(queue, requests[i]);
	}
	while (queue->backend != NULL && first < count) {
		size_t end = first;

		while (end < count && !refused(queue, requests[end]))
			end++;
		if (end > first)
			submit(queue, requests + first, end - first);
		if (end < count)
			keep_done(queue, requests[end++]);
		first = end;
	}
	queue->in_flight += (unsigned int)count;
	/* What failed here is the status of a request, not of this call. */
	return failures_end(failures, 0, "submitting");
}

/* Waits for the backend: how many requests it gave back, or an error. */
static int reap_backend(struct uds_io_queue *queue, struct uds_io_request **ret_done, size_t room)
{
	struct uds_io *io = queue->io;
	size_t most = room < queue->in_backend ? room : queue->in_backend;
	bool right;
	int n;

	memset(ret_done, 0, most * sizeof(ret_done[0]));
	n = io->ops.reap(queue->backend, ret_done, most);
	if (n <= 0)
		return n == 0 ? -EIO : io_status(io, "reap", n);
	right = (size_t)n <= most;
	for (size_t i = 0; i < (size_t)n && right; i++)
		right = ret_done[i] != NULL;
	if (!right) {
		queue->broken = true;
		env_log(&io->env, UDS_LOG_ERROR,
			"%s: reap of the backend returned %d, which is not how many it gave back",
			io->name, n);
		return -EIO;
	}
	queue->in_backend -= (unsigned int)n;
	for (int i = 0; i < n; i++)
		ret_done[i]->status = io_status(io, "a request", ret_done[i]->status);
	return n;
}

UDS_PUBLIC int uds_io_queue_reap(struct uds_io_queue *queue, struct uds_io_request **ret_done,
				 size_t room)
{
	size_t count = 0;
	int r;

	failures_begin(queue->io->failures);
	while (count < room && queue->done_count > 0) {
		ret_done[count++] = queue->done[queue->first_done];
		queue->first_done = (queue->first_done + 1) % queue->depth;
		queue->done_count--;
	}
	if (count == 0 && room > 0 && queue->in_backend > 0) {
		r = reap_backend(queue, ret_done, room);
		if (r < 0)
			return failures_end(queue->io->failures, r,
					    "%s: waiting for %u requests of a queue",
					    queue->io->name, queue->in_backend);
		count = (size_t)r;
	}
	queue->in_flight -= (unsigned int)count;
	return (int)count;
}

void io_queue_drain(struct uds_io_queue *queue)
{
	struct uds_io_request *done[16];

	while (queue->in_backend > 0 && reap_backend(queue, done, 16) > 0)
		;
	if (queue->in_backend > 0) {
		queue->io->ops.close_queue(queue->backend);
		queue->backend = NULL; /* by the plain loop from now on */
	}
	queue->in_backend = 0;
	queue->in_flight = 0;
	queue->done_count = 0;
}

UDS_PUBLIC void uds_io_queue_close(struct uds_io_queue *queue)
{
	if (queue == NULL)
		return;
	io_queue_drain(queue);
	if (queue->backend != NULL)
		queue->io->ops.close_queue(queue->backend);
	env_release(&queue->io->env, queue);
}
