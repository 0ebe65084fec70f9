/* SPDX-License-Identifier: BSD-2-Clause */
/* An I/O that writes down what is done to it. */
#include "trace_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"

struct traced {
	struct trace *trace;
	struct uds_io *below;
	char letter;
};

struct traced_queue {
	struct traced *traced;
	size_t count;
	struct uds_io_request *requests[4096];
};

void trace_start(struct trace *trace)
{
	memset(trace, 0, sizeof(*trace));
	pthread_mutex_init(&trace->lock, NULL);
}

void trace_clear(struct trace *trace)
{
	trace->used = 0;
	trace->text[0] = '\0';
}

static void note(struct traced *traced, char what, uint64_t offset, size_t length)
{
	struct trace *trace = traced->trace;
	char word[64];
	int n;

	if (what == 'R' && !trace->reads)
		return;
	if (what == 'F')
		n = snprintf(word, sizeof(word), "%cF ", traced->letter);
	else
		n = snprintf(word, sizeof(word), "%c%c%llu+%zu ", traced->letter, what,
			     (unsigned long long)offset, length);
	pthread_mutex_lock(&trace->lock);
	if (trace->used + (size_t)n < sizeof(trace->text)) {
		memcpy(trace->text + trace->used, word, (size_t)n + 1);
		trace->used += (size_t)n;
	}
	pthread_mutex_unlock(&trace->lock);
}

static int traced_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct traced *traced = context;

	note(traced, 'R', offset, length);
	if (traced->trace->read_delay_us != 0)
		usleep(traced->trace->read_delay_us);
	return uds_io_read(traced->below, buffer, length, offset);
}

static int traced_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct traced *traced = context;

	note(traced, 'W', offset, length);
	return uds_io_write(traced->below, buffer, length, offset);
}

static int traced_flush(void *context)
{
	struct traced *traced = context;

	note(traced, 'F', 0, 0);
	return uds_io_flush(traced->below);
}

static int traced_size(void *context, uint64_t *ret_bytes)
{
	return uds_io_size(((struct traced *)context)->below, ret_bytes);
}

static int traced_close(void *context)
{
	int r = uds_io_close(((struct traced *)context)->below);

	free(context);
	return r;
}

static int queue_open(void *context, unsigned int depth, void **ret_queue)
{
	struct traced_queue *queue = calloc(1, sizeof(*queue));

	(void)depth;
	queue->traced = context;
	*ret_queue = queue;
	return 0;
}

static int queue_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	struct traced_queue *queue = context;
	struct trace *trace = queue->traced->trace;

	memcpy(queue->requests + queue->count, requests, count * sizeof(requests[0]));
	queue->count += count;
	pthread_mutex_lock(&trace->lock);
	trace->in_flight += (unsigned int)count;
	if (trace->in_flight > trace->most_in_flight)
		trace->most_in_flight = trace->in_flight;
	pthread_mutex_unlock(&trace->lock);
	return 0;
}

/* The last one first: nobody may rely on the order. */
static int queue_reap(void *context, struct uds_io_request **ret_done, size_t room)
{
	struct traced_queue *queue = context;
	struct traced *traced = queue->traced;
	struct uds_io_request *request;

	if (room == 0 || queue->count == 0)
		return 0;
	request = queue->requests[--queue->count];
	if (request->kind == UDS_IO_READ)
		request->status =
			traced_read(traced, request->buffer, request->length, request->offset);
	else if (request->kind == UDS_IO_WRITE)
		request->status =
			traced_write(traced, request->buffer, request->length, request->offset);
	else
		request->status = traced_flush(traced);
	pthread_mutex_lock(&traced->trace->lock);
	traced->trace->in_flight--;
	pthread_mutex_unlock(&traced->trace->lock);
	ret_done[0] = request;
	return 1;
}

static void queue_close(void *context)
{
	free(context);
}

struct uds_io *trace_io(struct trace *trace, char letter, struct uds_io *below)
{
	static const struct uds_io_ops ops = {
		.size = sizeof(ops),
		.read = traced_read,
		.write = traced_write,
		.flush = traced_flush,
		.get_size = traced_size,
		.close = traced_close,
		.open_queue = queue_open,
		.submit = queue_submit,
		.reap = queue_reap,
		.close_queue = queue_close,
	};
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct traced *traced = calloc(1, sizeof(*traced));
	struct uds_io *io;

	traced->trace = trace;
	traced->below = below;
	traced->letter = letter;
	limits.block_bytes = uds_io_block_bytes(below);
	limits.memory_alignment = uds_io_memory_alignment(below);
	limits.name = letter == 'o' ? "origin" : "cow";
	ck_assert_int_eq(uds_io_open_ops(&ops, traced, &limits, NULL, &io), 0);
	return io;
}
