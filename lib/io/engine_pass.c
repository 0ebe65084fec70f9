/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests for I/Os that are made of ranges of others: one that lies in one range is passed on to
 * the I/O below as a request of its own, so that it goes the way of that I/O: through io_uring, or
 * its backend's queue. The caller's request is away meanwhile, and not changed.
 *
 * The requests that are passed on are the engine's, as many as its depth, made when the first is
 * needed. Each knows the caller's by its user member.
 */
#include "base/env.h"
#include "io/engine_private.h"

/* With the lock. The depth is that of the engine, so there is one free for each in flight. */
static struct uds_io_request *take_free(struct uds_io_engine *engine)
{
	struct uds_io_request *request;

	if (engine->passed == NULL) {
		engine->passed =
			env_allocate_zeroed(&engine->env, engine->depth, sizeof(engine->passed[0]));
		for (unsigned int i = 0; engine->passed != NULL && i < engine->depth; i++) {
			engine->passed[i].next = engine->free_passed;
			engine->free_passed = &engine->passed[i];
		}
	}
	request = engine->free_passed;
	if (request != NULL)
		engine->free_passed = request->next;
	return request;
}

struct uds_io_request *engine_pass(struct uds_io_engine *engine, struct uds_io_request *request)
{
	struct uds_io_request inner, *passed;

	if (request->io == NULL || !io_is_ranges(request->io))
		return request;
	/* What is wrong is ended as it is, and what takes no time is carried out at once. */
	inner = *request;
	if (io_check_request(request) < 0 || io_is_empty_request(request) ||
	    !ranges_find_below(&inner) || (inner.io->quick && inner.io->ops.submit == NULL))
		return request;
	pthread_mutex_lock(&engine->lock);
	passed = take_free(engine);
	pthread_mutex_unlock(&engine->lock);
	/* Without memory it goes as requests for ranges can always go. */
	if (passed == NULL)
		return request;
	*passed = inner;
	passed->user = request;
	return passed;
}

struct uds_io_request *engine_take_back(struct uds_io_engine *engine,
					struct uds_io_request *request)
{
	struct uds_io_request *given = request->user;

	if (engine->passed == NULL || (uintptr_t)request < (uintptr_t)engine->passed ||
	    (uintptr_t)request >= (uintptr_t)(engine->passed + engine->depth))
		return request;
	/* So that a backend which completes it twice does no harm. */
	request->engine = NULL;
	request->stage = STAGE_NONE;
	request->next = engine->free_passed;
	engine->free_passed = request;
	return given;
}
