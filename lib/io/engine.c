/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine's front: opening, taking requests in and sending each where it belongs, and handing
 * out those that are done. Waiting is in engine_wait.c.
 */
#include "io/engine_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "io/ring.h"
#include "io/workers.h"

#define MAX_DEPTH   4096u
#define MAX_THREADS 256u

static int check_options(const struct uds_io_engine_options *options, struct uds_message *message)
{
	if (options->depth == 0 || options->depth > MAX_DEPTH)
		return failure(message, -EINVAL, "an engine of depth %u: 1 to %u are possible",
			       options->depth, MAX_DEPTH);
	if (options->threads > MAX_THREADS)
		return failure(message, -EINVAL, "an engine of %u threads: 0 to %u are possible",
			       options->threads, MAX_THREADS);
	return 0;
}

static int make_engine(const struct uds_io_engine_options *options, const struct uds_env *env,
		       struct uds_io_engine **ret_engine)
{
	struct uds_io_engine *engine = env_allocate_zeroed(env, 1, sizeof(*engine));
	int r;

	if (engine == NULL)
		return -ENOMEM;
	r = failures_make(env, &engine->failures);
	/* Shared threads are the other engine's; they end with their last user. */
	if (r == 0 && options->share == NULL)
		r = io_workers_make(env, options->threads, &engine->workers);
	if (r < 0) {
		failures_free(engine->failures);
		env_release(env, engine);
		return r;
	}
	if (options->share != NULL)
		engine->workers = io_workers_hold(options->share->workers);
	engine->env = *env;
	engine->depth = options->depth;
	/* What is asked of an engine holds for all that share its threads. */
	engine->no_uring =
		options->no_uring || (options->share != NULL && options->share->no_uring);
	engine->no_ring = engine->no_uring;
	engine->event = -1;
	engine->counts.size = sizeof(engine->counts);
	pthread_mutex_init(&engine->lock, NULL);
	deadline_condition_init(&engine->changed);
	*ret_engine = engine;
	return 0;
}

UDS_PUBLIC int uds_io_engine_open(const struct uds_io_engine_options *given,
				  const struct uds_env *given_env, struct uds_message *ret_message,
				  struct uds_io_engine **ret_engine)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_env env;
	int r;

	r = env_take(given_env, ret_message, &env);
	if (r == 0 && given != NULL)
		r = STRUCT_IN(&options, given, uds_io_engine_options, share, ret_message);
	if (r == 0)
		r = check_options(&options, ret_message);
	if (r < 0)
		return r;
	r = make_engine(&options, &env, ret_engine);
	return r < 0 ? failure(ret_message, r, "opening an engine: %s", uds_strerror(r)) : 0;
}

int engine_open(struct uds_io_engine *share, unsigned int depth, const struct uds_env *env,
		struct uds_io_engine **ret_engine)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;

	options.depth = depth;
	options.share = share;
	return uds_io_engine_open(&options, env, NULL, ret_engine);
}

UDS_PUBLIC void uds_io_engine_close(struct uds_io_engine *engine)
{
	struct uds_io_request *done[16];
	struct uds_env env;

	if (engine == NULL)
		return;
	/* All buffers are the callers' again when this returns. */
	while (uds_io_engine_in_flight(engine) > 0)
		(void)uds_io_engine_reap(engine, done, 16, 1, -1);
	/* A copy: the engine that holds it is freed last. */
	env = engine->env;
	ring_close(engine->ring);
	io_workers_release(engine->workers);
	if (engine->event >= 0)
		close(engine->event);
	pthread_cond_destroy(&engine->changed);
	pthread_mutex_destroy(&engine->lock);
	failures_free(engine->failures);
	env_release(&env, engine->buffers);
	env_release(&env, engine->passed);
	env_release(&env, engine);
}

/* Looking at an engine takes its lock: that changes nothing that a caller sees. */
static struct uds_io_engine *to_look_at(const struct uds_io_engine *engine)
{
	return (struct uds_io_engine *)(uintptr_t)engine;
}

UDS_PUBLIC unsigned int uds_io_engine_in_flight(const struct uds_io_engine *given)
{
	struct uds_io_engine *engine = to_look_at(given);
	unsigned int count;

	pthread_mutex_lock(&engine->lock);
	count = engine->in_flight;
	pthread_mutex_unlock(&engine->lock);
	return count;
}

UDS_PUBLIC int uds_io_engine_get_statistics(const struct uds_io_engine *given,
					    struct uds_io_engine_statistics *ret_statistics)
{
	struct uds_io_engine *engine = to_look_at(given);
	struct uds_io_engine_statistics counts;
	struct uds_message message;
	int r = STRUCT_OUT_CHECK(ret_statistics, uds_io_engine_statistics, buffer_requests,
				 &message);

	failures_begin(engine->failures);
	if (r < 0)
		return failures_say(engine->failures, r, "%s", message.text);
	pthread_mutex_lock(&engine->lock);
	/* All under one lock, so that the numbers belong to one moment. */
	counts = engine->counts;
	pthread_mutex_unlock(&engine->lock);
	struct_out(ret_statistics, &counts, sizeof(counts));
	return 0;
}

UDS_PUBLIC void uds_io_engine_error_message(const struct uds_io_engine *engine,
					    struct uds_message *ret_message)
{
	failures_get(engine->failures, ret_message);
}

/* ---- taking requests in ---- */

/*
 * Puts a request into the ring, which is made for the first: 0, -EOPNOTSUPP: there is
 * none, or -ENOMEM.
 */
static int to_ring(struct uds_io_engine *engine, struct uds_io_request *request)
{
	int r = engine->no_ring ? -EOPNOTSUPP : 0;

	if (r == 0 && engine->ring == NULL) {
		r = ring_open(engine, engine_finish, &engine->env, engine->depth, &engine->counts,
			      &engine->ring);
		/*
		 * An event descriptor was given out before: a ring that cannot write to it would
		 * let its owner sleep.
		 */
		if (r == 0 && engine->event >= 0 &&
		    ring_register_event(engine->ring, engine->event) < 0) {
			ring_close(engine->ring);
			engine->ring = NULL;
			r = -EOPNOTSUPP;
		}
		/* Refused once means refused for good: not asked again at each request. */
		engine->no_ring = r == -EOPNOTSUPP;
		if (r == 0)
			engine_register_buffers(engine);
	}
	/*
	 * What was being handed over when it broke came back with the error; all else
	 * is for threads.
	 */
	if (r == 0 && ring_status(engine->ring) < 0)
		r = -EOPNOTSUPP;
	if (r == 0) {
		request->stage = STAGE_RING; /* before it is added: it may be done at once */
		ring_add(engine->ring, request);
	}
	return r;
}

/* What one call of submit has to give out at its end. */
struct outgoing {
	struct uds_io_request *first, *last; /* for the workers */
};

static void for_workers(struct outgoing *out, struct uds_io_request *request)
{
	request->next = NULL;
	if (out->first == NULL)
		out->first = request;
	else
		out->last->next = request;
	out->last = request;
}

/* Carries a request out here if it takes no time, else leaves that to the workers. */
static void by_plain_calls(struct outgoing *out, struct uds_io_request *request)
{
	if (request->io->quick)
		uds_io_request_complete(request, io_carry_out(request));
	else
		for_workers(out, request);
}

static bool backend_takes(const struct uds_io_request *request)
{
	/* A backend's submit knows no UDS_IO_FUA; the plain functions have one, or flush. */
	return request->io->ops.submit != NULL && request->flags == 0 &&
	       (request->kind == UDS_IO_READ || request->kind == UDS_IO_WRITE ||
		request->kind == UDS_IO_FLUSH);
}

/* Hands requests of one I/O to its backend. They may be done, and gone, before submit returns. */
static void to_backend(struct uds_io_engine *engine, struct uds_io_request *const *requests,
		       size_t count, struct outgoing *out)
{
	struct uds_io *io = requests[0]->io;
	int r;

	/*
	 * Linked before they are handed over: the backend may complete them at once, in another
	 * thread.
	 */
	if (io->ops.reap != NULL) {
		pthread_mutex_lock(&engine->lock);
		/* From the last on, so that the first stands at the front. */
		for (size_t i = count; i > 0; i--)
			engine_link_driven(engine, requests[i - 1]);
		pthread_mutex_unlock(&engine->lock);
	}
	r = io_status(io, "submit", io->ops.submit(io->context, requests, count));
	if (r == 0)
		return;
	pthread_mutex_lock(&engine->lock);
	for (size_t i = 0; i < count; i++) {
		/* Those that the backend completed all the same are done, and stay so. */
		if (requests[i]->stage == STAGE_DRIVEN)
			engine_unlink_driven(engine, requests[i]);
	}
	pthread_mutex_unlock(&engine->lock);
	for (size_t i = 0; i < count; i++) {
		/*
		 * Not for this backend: carried out by its plain functions, as if it had no submit.
		 */
		if (r == -EOPNOTSUPP)
			by_plain_calls(out, requests[i]);
		else
			uds_io_request_complete(requests[i], r);
	}
}

/* Sends a request on its way, with those behind it that go the same one. Returns how many. */
static size_t send_some(struct uds_io_engine *engine, struct uds_io_request *const *requests,
			size_t count, struct outgoing *out)
{
	struct uds_io_request *request = requests[0];
	size_t n = 1;
	int r = io_check_request(request);

	if (r < 0 || io_is_empty_request(request)) {
		uds_io_request_complete(request, r);
		return 1;
	}
	if (backend_takes(request)) {
		/*
		 * Requests of one I/O in a row go in one call. One that is wrong ends the row, and
		 * is completed with its own status when its turn comes.
		 */
		while (n < count && requests[n]->io == request->io && backend_takes(requests[n]) &&
		       io_check_request(requests[n]) == 0 && !io_is_empty_request(requests[n]))
			n++;
		to_backend(engine, requests, n, out);
		return n;
	}
	r = -EOPNOTSUPP;
	if (ring_takes(request)) {
		pthread_mutex_lock(&engine->lock);
		r = to_ring(engine, request);
		pthread_mutex_unlock(&engine->lock);
	}
	if (r == -EOPNOTSUPP)
		by_plain_calls(out, request);
	else if (r < 0)
		uds_io_request_complete(request, r);
	return 1;
}

/* Makes room for the requests: 0 or -EBUSY. */
static int enter(struct uds_io_engine *engine, struct uds_io_request *const *requests, size_t count)
{
	/* All of them or none: the caller need not find out which were taken. */
	unsigned int in_flight;

	pthread_mutex_lock(&engine->lock);
	in_flight = engine->in_flight;
	/* This cannot wrap: no more than the depth is ever in flight. */
	if (count <= engine->depth - in_flight) {
		engine->in_flight += (unsigned int)count;
		engine->counts.requests += count;
		for (size_t i = 0; i < count; i++)
			engine_enter_buffer(engine, requests[i]);
	}
	pthread_mutex_unlock(&engine->lock);
	if (count > engine->depth - in_flight)
		return failures_say(engine->failures, -EBUSY,
				    "%zu requests for an engine of depth %u with %u in flight",
				    count, engine->depth, in_flight);
	/* Without the lock: until they are sent, no other thread knows of these requests. */
	for (size_t i = 0; i < count; i++) {
		requests[i]->engine = engine;
		requests[i]->stage = STAGE_AWAY;
		requests[i]->moved = 0;
	}
	return 0;
}

UDS_PUBLIC int uds_io_engine_submit(struct uds_io_engine *engine,
				    struct uds_io_request *const *requests, size_t count)
{
	struct outgoing out = { NULL, NULL };
	int r;

	failures_begin(engine->failures);
	r = enter(engine, requests, count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count;) {
		struct uds_io_request *passed = engine_pass(engine, requests[i]);
		bool same = passed == requests[i];

		i += send_some(engine, same ? requests + i : &passed, same ? count - i : 1, &out);
	}
	/* All at once: one lock, and as many threads started as there is work for. */
	if (out.first != NULL)
		io_workers_add(engine->workers, out.first);
	pthread_mutex_lock(&engine->lock);
	/* One system call for all that were added. */
	if (engine->ring != NULL)
		ring_submit(engine->ring);
	/* Somebody may sleep in a place where these requests are not. */
	engine_wake(engine);
	engine_leave_event(engine);
	pthread_mutex_unlock(&engine->lock);
	return 0;
}

void engine_submit(struct uds_io_engine *engine, struct uds_io_request *const *requests,
		   size_t count)
{
	(void)uds_io_engine_submit(engine, requests, count);
}

/* ---- handing them out ---- */

UDS_PUBLIC int uds_io_engine_reap(struct uds_io_engine *engine, struct uds_io_request **ret_done,
				  size_t room, size_t least, int timeout_ms)
{
	struct deadline deadline = deadline_after(timeout_ms);
	size_t count = 0;

	failures_begin(engine->failures);
	if (least > room)
		return failures_say(engine->failures, -EINVAL,
				    "waiting for %zu requests with room for %zu", least, room);
	pthread_mutex_lock(&engine->lock);
	/*
	 * Before the look at what is done: whatever ends after it makes the event readable again.
	 */
	engine_clear_event(engine);
	/*
	 * A caller that does not wait never gets to engine_wait(): backends have to be reaped here.
	 */
	if (least == 0 && engine->done_count == 0 && room > 0)
		engine_drive(engine, 0);
	for (;;) {
		engine_collect(engine);
		count += engine_take_done(engine, ret_done + count, room - count);
		/* With nothing in flight there will never be more: an early end, but no error. */
		if (count >= least || engine->in_flight == 0 || deadline_is_over(&deadline))
			break;
		engine_wait(engine, (unsigned int)(least - count), &deadline);
	}
	/* Others may wait for requests that are handed out now. */
	if (count > 0)
		engine_wake(engine);
	engine_leave_event(engine);
	pthread_mutex_unlock(&engine->lock);
	return (int)count;
}
