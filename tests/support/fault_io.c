/* SPDX-License-Identifier: BSD-2-Clause */
/* The failing I/O: every operation first asks the plan. */
#include "fault_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fault_io {
	struct fault_plan *plan;
	struct uds_io *below;
};

void fault_plan_start(struct fault_plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	plan->room_bytes = UINT64_MAX;
	pthread_mutex_init(&plan->lock, NULL);
}

void fault_plan_end(struct fault_plan *plan)
{
	pthread_mutex_destroy(&plan->lock);
}

void fault_plan_fail(struct fault_plan *plan, unsigned int kinds, uint64_t nth, int status,
		     bool and_after)
{
	pthread_mutex_lock(&plan->lock);
	memset(plan->counts, 0, sizeof(plan->counts));
	plan->failed = 0;
	plan->failed_kinds = 0;
	plan->kinds = kinds;
	plan->nth = nth;
	plan->status = status;
	plan->and_after = and_after;
	pthread_mutex_unlock(&plan->lock);
}

void fault_plan_fill_after(struct fault_plan *plan, uint64_t bytes)
{
	pthread_mutex_lock(&plan->lock);
	plan->room_bytes = bytes;
	pthread_mutex_unlock(&plan->lock);
}

void fault_plan_spoil(struct fault_plan *plan, unsigned int kinds, uint64_t offset, uint64_t length)
{
	pthread_mutex_lock(&plan->lock);
	if (length == 0) {
		plan->spoiled_count = 0;
	} else if (plan->spoiled_count < sizeof(plan->spoiled) / sizeof(plan->spoiled[0])) {
		plan->spoiled[plan->spoiled_count].kinds = kinds;
		plan->spoiled[plan->spoiled_count].offset = offset;
		plan->spoiled[plan->spoiled_count].length = length;
		plan->spoiled_count++;
	}
	pthread_mutex_unlock(&plan->lock);
}

/* How many of @length bytes at @offset come before the first spoiled one. */
static size_t good_bytes(struct fault_plan *plan, unsigned int kind, size_t length, uint64_t offset)
{
	size_t good = length;

	pthread_mutex_lock(&plan->lock);
	for (unsigned int i = 0; i < plan->spoiled_count; i++) {
		uint64_t begin = plan->spoiled[i].offset, end = begin + plan->spoiled[i].length;

		if ((plan->spoiled[i].kinds & kind) == 0 || end <= offset || begin >= offset + good)
			continue;
		good = begin > offset ? (size_t)(begin - offset) : 0;
	}
	if (good < length)
		plan->failed++;
	pthread_mutex_unlock(&plan->lock);
	return good;
}

static uint64_t count_kinds(const struct fault_plan *plan, unsigned int kinds)
{
	uint64_t count = 0;

	for (int bit = 0; bit < FAULT_KINDS; bit++) {
		if ((kinds & 1U << bit) != 0)
			count += plan->counts[bit];
	}
	return count;
}

uint64_t fault_plan_count(struct fault_plan *plan, unsigned int kinds)
{
	uint64_t count;

	pthread_mutex_lock(&plan->lock);
	count = count_kinds(plan, kinds);
	pthread_mutex_unlock(&plan->lock);
	return count;
}

/* Counts an operation. Returns 0, or what it is to fail with. */
static int ask(struct fault_plan *plan, unsigned int kind)
{
	uint64_t n;
	int r = 0;

	pthread_mutex_lock(&plan->lock);
	for (int bit = 0; bit < FAULT_KINDS; bit++) {
		if (kind == 1U << bit)
			plan->counts[bit]++;
	}
	n = count_kinds(plan, plan->kinds);
	if ((kind & plan->kinds) != 0 && plan->nth != 0 &&
	    (n == plan->nth || (n > plan->nth && plan->and_after))) {
		plan->failed++;
		plan->failed_kinds |= kind;
		r = plan->status;
	}
	pthread_mutex_unlock(&plan->lock);
	return r;
}

/* How many of @length bytes still fit; takes them from the room that is left. */
static size_t take_room(struct fault_io *fault, size_t length)
{
	struct fault_plan *plan = fault->plan;
	size_t fits = length;

	pthread_mutex_lock(&plan->lock);
	if (plan->room_bytes != UINT64_MAX) {
		if (plan->room_bytes < length) {
			fits = (size_t)plan->room_bytes;
			fits -= fits % uds_io_block_bytes(fault->below);
			plan->failed++;
			plan->room_bytes = 0;
		} else {
			plan->room_bytes -= length;
		}
	}
	pthread_mutex_unlock(&plan->lock);
	return fits;
}

static int fault_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct fault_io *fault = context;
	int r = ask(fault->plan, FAULT_READ);

	if (r == 0 && good_bytes(fault->plan, FAULT_READ, length, offset) < length)
		r = -EIO;
	if (r != 0) {
		memset(buffer, 0xbd, length); /* nothing is promised about it */
		return r;
	}
	return uds_io_read(fault->below, buffer, length, offset);
}

static int fault_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct fault_io *fault = context;
	int r = ask(fault->plan, FAULT_WRITE);
	size_t through = length;

	if (r != 0) {
		through = fault->plan->partial_bytes;
		through -= through % uds_io_block_bytes(fault->below);
		if (through > length)
			through = length;
	} else {
		through = good_bytes(fault->plan, FAULT_WRITE, length, offset);
		if (through < length) {
			through -= through % uds_io_block_bytes(fault->below);
			r = -EIO;
		} else {
			through = take_room(fault, length);
			if (through < length)
				r = -ENOSPC;
		}
	}
	if (through > 0) {
		int below = uds_io_write(fault->below, buffer, through, offset);

		if (r == 0)
			r = below;
	}
	return r;
}

static int fault_flush(void *context)
{
	struct fault_io *fault = context;
	int r = ask(fault->plan, FAULT_FLUSH);

	return r != 0 ? r : uds_io_flush(fault->below);
}

static int fault_size(void *context, uint64_t *ret_bytes)
{
	struct fault_io *fault = context;
	int r = ask(fault->plan, FAULT_SIZE);

	return r != 0 ? r : uds_io_size(fault->below, ret_bytes);
}

static int fault_discard(void *context, uint64_t offset, uint64_t length)
{
	struct fault_io *fault = context;
	int r = ask(fault->plan, FAULT_DISCARD);

	return r != 0 ? r : uds_io_discard(fault->below, offset, length);
}

static int fault_resize(void *context, uint64_t bytes)
{
	struct fault_io *fault = context;
	int r = ask(fault->plan, FAULT_RESIZE);

	return r != 0 ? r : uds_io_resize(fault->below, bytes);
}

static int fault_close(void *context)
{
	struct fault_io *fault = context;
	int asked = ask(fault->plan, FAULT_CLOSE);
	int r = uds_io_close(fault->below);

	free(fault);
	return asked != 0 ? asked : r;
}

struct fault_queue {
	struct fault_io *fault;
	unsigned int room;
	unsigned int first;
	unsigned int count;
	struct uds_io_request *waiting[];
};

static int fault_open_queue(void *context, unsigned int depth, void **ret_queue)
{
	struct fault_io *fault = context;
	struct fault_queue *queue;
	int r;

	if (!fault->plan->queues)
		return -EOPNOTSUPP;
	r = ask(fault->plan, FAULT_OPEN_QUEUE);
	if (r != 0)
		return r;
	queue = calloc(1, sizeof(*queue) + depth * sizeof(queue->waiting[0]));
	if (queue == NULL)
		return -ENOMEM;
	queue->fault = fault;
	queue->room = depth;
	*ret_queue = queue;
	return 0;
}

static int fault_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	struct fault_queue *queue = context;
	int r = ask(queue->fault->plan, FAULT_SUBMIT);

	for (size_t i = 0; i < count && r == 0; i++)
		queue->waiting[(queue->first + queue->count++) % queue->room] = requests[i];
	return r;
}

static int fault_reap(void *context, struct uds_io_request **ret_done, size_t room)
{
	struct fault_queue *queue = context;
	struct uds_io_request *request = queue->waiting[queue->first];
	int r = ask(queue->fault->plan, FAULT_REAP);

	if (r != 0)
		return r;
	if (room == 0 || queue->count == 0)
		return 0;
	if (request->kind == UDS_IO_READ)
		request->status =
			fault_read(queue->fault, request->buffer, request->length, request->offset);
	else if (request->kind == UDS_IO_WRITE)
		request->status = fault_write(queue->fault, request->buffer, request->length,
					      request->offset);
	else
		request->status = fault_flush(queue->fault);
	queue->first = (queue->first + 1) % queue->room;
	queue->count--;
	ret_done[0] = request;
	return 1;
}

static void fault_close_queue(void *context)
{
	free(context);
}

static const struct uds_io_ops fault_ops = {
	.size = sizeof(struct uds_io_ops),
	.read = fault_read,
	.write = fault_write,
	.flush = fault_flush,
	.get_size = fault_size,
	.close = fault_close,
	.discard = fault_discard,
	.resize = fault_resize,
	.open_queue = fault_open_queue,
	.submit = fault_submit,
	.reap = fault_reap,
	.close_queue = fault_close_queue,
};

int fault_io_open(struct fault_plan *plan, struct uds_io *below, const struct uds_env *env,
		  struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct fault_io *fault = malloc(sizeof(*fault));
	int r;

	if (fault == NULL)
		return -ENOMEM;
	fault->plan = plan;
	fault->below = below;
	limits.block_bytes = uds_io_block_bytes(below);
	limits.memory_alignment = uds_io_memory_alignment(below);
	limits.read_only = uds_io_is_read_only(below);
	limits.name = uds_io_name(below);
	r = uds_io_open_ops(&fault_ops, fault, &limits, env, ret_io);
	if (r < 0)
		free(fault);
	return r;
}
