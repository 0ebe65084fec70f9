/* SPDX-License-Identifier: BSD-2-Clause */
/* The failing I/O: every operation first asks the plan. */
#include "fault_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uds/engine.h>

struct fault_io {
	struct fault_plan *plan;
	struct uds_io *below;

	/* Requests that were submitted and not reaped, oldest first. */
	pthread_mutex_t lock;
	size_t count;
	struct uds_io_request *waiting[8192];
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
	plan->times = 1;
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

uint64_t fault_plan_failed(struct fault_plan *plan)
{
	uint64_t failed;

	pthread_mutex_lock(&plan->lock);
	failed = plan->failed;
	pthread_mutex_unlock(&plan->lock);
	return failed;
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
	if ((kind & plan->kinds) != 0 && plan->nth != 0 && n >= plan->nth &&
	    (n - plan->nth < plan->times || plan->and_after)) {
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

	pthread_mutex_destroy(&fault->lock);
	free(fault);
	return asked != 0 ? asked : r;
}

static int fault_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	struct fault_io *fault = context;
	int r;

	if (!fault->plan->queues)
		return -EOPNOTSUPP;
	r = ask(fault->plan, FAULT_SUBMIT);
	if (r != 0)
		return r;
	pthread_mutex_lock(&fault->lock);
	for (size_t i = 0; i < count; i++)
		fault->waiting[fault->count++] = requests[i];
	pthread_mutex_unlock(&fault->lock);
	return 0;
}

/* The engine's oldest request, taken off; NULL: it has none. */
static struct uds_io_request *take_oldest(struct fault_io *fault, struct uds_io_engine *engine)
{
	struct uds_io_request *request = NULL;
	size_t i = 0;

	pthread_mutex_lock(&fault->lock);
	while (i < fault->count && fault->waiting[i]->engine != engine)
		i++;
	if (i < fault->count) {
		request = fault->waiting[i];
		fault->count--;
		memmove(fault->waiting + i, fault->waiting + i + 1,
			(fault->count - i) * sizeof(fault->waiting[0]));
	}
	pthread_mutex_unlock(&fault->lock);
	return request;
}

static int fault_reap(void *context, struct uds_io_engine *engine, int timeout_ms)
{
	struct fault_io *fault = context;
	struct uds_io_request *request = take_oldest(fault, engine);
	int r, status;

	(void)timeout_ms;
	if (request == NULL)
		return 0;
	r = ask(fault->plan, FAULT_REAP);
	if (r != 0) {
		while (take_oldest(fault, engine) != NULL)
			;
		return r;
	}
	if (request->kind == UDS_IO_READ)
		status = fault_read(fault, request->buffer, (size_t)request->length,
				    request->offset);
	else if (request->kind == UDS_IO_WRITE)
		status = fault_write(fault, request->buffer, (size_t)request->length,
				     request->offset);
	else
		status = fault_flush(fault);
	uds_io_request_complete(request, status);
	return 0;
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
	.submit = fault_submit,
	.reap = fault_reap,
};

int fault_io_open(struct fault_plan *plan, struct uds_io *below, const struct uds_env *env,
		  struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct fault_io *fault = calloc(1, sizeof(*fault));
	int r;

	if (fault == NULL)
		return -ENOMEM;
	pthread_mutex_init(&fault->lock, NULL);
	fault->plan = plan;
	fault->below = below;
	limits.block_bytes = uds_io_block_bytes(below);
	limits.memory_alignment = uds_io_memory_alignment(below);
	limits.preferred_bytes = uds_io_preferred_bytes(below);
	limits.read_only = uds_io_is_read_only(below);
	limits.name = uds_io_name(below);
	limits.quick = true;
	r = uds_io_open_ops(&fault_ops, fault, &limits, env, NULL, ret_io);
	if (r < 0)
		free(fault);
	return r;
}
