/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a request: the list of those that are done, the list of those whose backend has to be
 * reaped, and the eventfd that says there is something to reap.
 */
#include <unistd.h>

#include "base/visibility.h"
#include "io/engine_private.h"

void engine_unlink_driven(struct uds_io_engine *engine, struct uds_io_request *request)
{
	if (request->previous != NULL)
		request->previous->next = request->next;
	else
		engine->driven = request->next;
	if (request->next != NULL)
		request->next->previous = request->previous;
	engine->driven_count--;
	request->stage = STAGE_AWAY;
}

void engine_link_driven(struct uds_io_engine *engine, struct uds_io_request *request)
{
	request->stage = STAGE_DRIVEN;
	request->previous = NULL;
	request->next = engine->driven;
	if (request->next != NULL)
		request->next->previous = request;
	engine->driven = request;
	engine->driven_count++;
}

void engine_finish(struct uds_io_engine *engine, struct uds_io_request *request, int status)
{
	/* Off the list of its backend first: both lists use the same links. */
	if (request->stage == STAGE_DRIVEN)
		engine_unlink_driven(engine, request);
	request = engine_take_back(engine, request);
	request->stage = STAGE_DONE;
	request->status = status;
	request->next = NULL;
	if (engine->first_done == NULL)
		engine->first_done = request;
	else
		engine->last_done->next = request;
	engine->last_done = request;
	engine->done_count++;
}

void engine_signal_event(struct uds_io_engine *engine)
{
	const uint64_t one = 1;

	/* It fails only when the counter is full, and it is readable then. */
	if (write(engine->event, &one, sizeof(one)) < 0)
		return;
}

void engine_clear_event(struct uds_io_engine *engine)
{
	uint64_t count;

	/* It fails when nothing was written. */
	if (engine->event >= 0 && !engine->polling &&
	    read(engine->event, &count, sizeof(count)) < 0)
		return;
}

void engine_leave_event(struct uds_io_engine *engine)
{
	if (engine->event >= 0 && (engine->done_count > 0 || engine->driven_count > 0))
		engine_signal_event(engine);
}

UDS_PUBLIC void uds_io_request_complete(struct uds_io_request *request, int status)
{
	struct uds_io_engine *engine = request->engine;

	if (engine == NULL)
		return; /* it was completed before */
	status = io_status(request->io, "a request", status);
	pthread_mutex_lock(&engine->lock);
	/* Once only: a backend that completes a request twice must not put it on the list twice. */
	if (request->stage == STAGE_AWAY || request->stage == STAGE_DRIVEN)
		engine_finish(engine, request, status);
	/* Waking is dear: only when somebody has enough, or will not get more. */
	if (engine->waiters > 0 &&
	    (engine->done_count >= engine->least_wanted || engine->done_count == engine->in_flight))
		pthread_cond_broadcast(&engine->changed);
	engine_leave_event(engine);
	pthread_mutex_unlock(&engine->lock);
}

size_t engine_take_done(struct uds_io_engine *engine, struct uds_io_request **ret_done, size_t room)
{
	size_t count = 0;

	while (count < room && engine->first_done != NULL) {
		struct uds_io_request *request = engine->first_done;

		engine->first_done = request->next;
		engine->done_count--;
		/*
		 * Only now is there room for another request: the depth also counts what is not
		 * handed out yet.
		 */
		engine->in_flight--;
		engine_leave_buffer(engine, request);
		/* The request is its owner's again, and may be submitted again from any thread. */
		request->engine = NULL;
		request->next = NULL;
		request->stage = STAGE_NONE;
		ret_done[count++] = request;
	}
	return count;
}
