/* SPDX-License-Identifier: BSD-2-Clause */
/* An I/O that writes down what is done to it. */
#include "trace_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/engine.h>

#include "check_main.h"

struct traced {
	struct trace *trace;
	struct uds_io *below;
	char letter;

	/* Requests that were submitted and not reaped. */
	size_t count;
	struct uds_io_request *requests[8192];
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

static int traced_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	struct traced *traced = context;
	struct trace *trace = traced->trace;

	pthread_mutex_lock(&trace->lock);
	memcpy(traced->requests + traced->count, requests, count * sizeof(requests[0]));
	traced->count += count;
	trace->in_flight += (unsigned int)count;
	if (trace->in_flight > trace->most_in_flight)
		trace->most_in_flight = trace->in_flight;
	pthread_mutex_unlock(&trace->lock);
	return 0;
}

/* The engine's last request, taken off: nobody may rely on the order. NULL: it has none. */
static struct uds_io_request *take_last(struct traced *traced, struct uds_io_engine *engine)
{
	struct uds_io_request *request = NULL;
	size_t i;

	pthread_mutex_lock(&traced->trace->lock);
	i = traced->count;
	while (i > 0 && traced->requests[i - 1]->engine != engine)
		i--;
	if (i > 0) {
		request = traced->requests[i - 1];
		memmove(traced->requests + i - 1, traced->requests + i,
			(traced->count - i) * sizeof(traced->requests[0]));
		traced->count--;
	}
	pthread_mutex_unlock(&traced->trace->lock);
	return request;
}

static int traced_reap(void *context, struct uds_io_engine *engine, int timeout_ms)
{
	struct traced *traced = context;
	struct uds_io_request *request = take_last(traced, engine);
	int status;

	(void)timeout_ms;
	if (request == NULL)
		return 0;
	if (request->kind == UDS_IO_READ)
		status = traced_read(traced, request->buffer, (size_t)request->length,
				     request->offset);
	else if (request->kind == UDS_IO_WRITE)
		status = traced_write(traced, request->buffer, (size_t)request->length,
				      request->offset);
	else
		status = traced_flush(traced);
	pthread_mutex_lock(&traced->trace->lock);
	traced->trace->in_flight--;
	pthread_mutex_unlock(&traced->trace->lock);
	uds_io_request_complete(request, status);
	return 0;
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
		.submit = traced_submit,
		.reap = traced_reap,
	};
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct traced *traced = calloc(1, sizeof(*traced));
	struct uds_io *io;

	traced->trace = trace;
	traced->below = below;
	traced->letter = letter;
	limits.block_bytes = uds_io_block_bytes(below);
	limits.memory_alignment = uds_io_memory_alignment(below);
	limits.preferred_bytes = uds_io_preferred_bytes(below);
	limits.name = letter == 'o' ? "origin" : "cow";
	ck_assert_int_eq(uds_io_open_ops(&ops, traced, &limits, NULL, NULL, &io), 0);
	return io;
}
