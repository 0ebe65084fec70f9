/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One place to wait for requests that are in several: with workers and backends, which wake waiting
 * threads by the condition and the eventfd; in the ring, which the kernel wakes from; and with
 * backends that have to be reaped.
 *
 * While all that is in flight is in the ring, a thread waits in the ring itself, without an
 * eventfd. Should something else come in meanwhile, it is called back (engine_wake()). Of several
 * threads one waits there or for the eventfd, the others by the condition.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/visibility.h"
#include "io/descriptor.h"
#include "io/engine_private.h"
#include "io/ring.h"

/* Milliseconds between two looks where the waiting thread would not be woken. */
#define PAUSE 1

/* With the lock: gives the engine its eventfd. Returns 0, or what the system said. */
static int make_event(struct uds_io_engine *engine)
{
	int fd, r = 0;

	if (engine->event >= 0)
		return 0;
	fd = descriptor_eventfd();
	/* Written to by the ring as well, or a thread that polls would miss what it finishes. */
	if (fd >= 0 && engine->ring != NULL)
		r = ring_register_event(engine->ring, fd);
	if (fd < 0)
		return fd;
	if (r < 0)
		close(fd);
	else
		engine->event = fd;
	return r;
}

UDS_PUBLIC int uds_io_engine_event_descriptor(struct uds_io_engine *engine, int *ret_descriptor)
{
	int r;

	failures_begin(engine->failures);
	pthread_mutex_lock(&engine->lock);
	r = make_event(engine);
	if (r == 0) {
		*ret_descriptor = engine->event;
		/* The ring may have finished some before the descriptor was registered. */
		engine_collect(engine);
		engine_leave_event(engine);
	}
	pthread_mutex_unlock(&engine->lock);
	return failures_end(engine->failures, r, "making a descriptor for an engine's events");
}

void engine_wake(struct uds_io_engine *engine)
{
	/* What is neither done nor in the ring is with workers or backends. */
	unsigned int elsewhere = engine->in_flight - engine->done_count;

	if (engine->ring != NULL)
		elsewhere -= ring_in_flight(engine->ring);
	if (engine->waiters > 0)
		pthread_cond_broadcast(&engine->changed);
	if (engine->polling)
		engine_signal_event(engine);
	/*
	 * A thread in the ring is woken by the kernel only: by empty entries, as many as it waits
	 * for.
	 */
	if (engine->in_ring_wait > 0 && (elsewhere > 0 || engine->done_count > 0))
		ring_interrupt(engine->ring, engine->in_ring_wait);
}

void engine_collect(struct uds_io_engine *engine)
{
	/* Not while a thread waits in the ring: it takes entries out without the lock. */
	if (engine->ring != NULL && engine->in_ring_wait == 0)
		ring_collect(engine->ring);
}

/*
 * Requests of the backend that is about to be reaped go to the end: the next time it is
 * another one's turn.
 */
static unsigned int rotate_driven(struct uds_io_engine *engine, const struct uds_io *io)
{
	struct uds_io_request *moved = NULL, *last = NULL, *request = engine->driven;
	unsigned int count = 0;

	while (request != NULL) {
		struct uds_io_request *next = request->next;

		if (request->io == io) {
			engine_unlink_driven(engine, request);
			request->next = moved;
			moved = request;
			count++;
		} else {
			last = request;
		}
		request = next;
	}
	while (moved != NULL) {
		struct uds_io_request *next = moved->next;

		/* Unlinking marked it as away; it goes back on the list under the same lock. */
		moved->stage = STAGE_DRIVEN;
		moved->previous = last;
		moved->next = NULL;
		if (last != NULL)
			last->next = moved;
		else
			engine->driven = moved;
		last = moved;
		engine->driven_count++;
		moved = next;
	}
	return count;
}

/* A backend has given up what it had of this engine. */
static void fail_driven(struct uds_io_engine *engine, const struct uds_io *io, int status)
{
	struct uds_io_request *request = engine->driven;

	while (request != NULL) {
		struct uds_io_request *next = request->next;

		if (request->io == io)
			engine_finish(engine, request, status);
		request = next;
	}
}

void engine_drive(struct uds_io_engine *engine, int timeout_ms)
{
	struct uds_io *io;
	unsigned int count;
	int r;

	if (engine->driven == NULL)
		return;
	io = engine->driven->io;
	count = rotate_driven(engine, io);
	/* While something else is in flight no thread may sleep here. */
	if (count < engine->in_flight)
		timeout_ms = 0;
	/* Without the lock, as the backend completes requests in there. */
	pthread_mutex_unlock(&engine->lock);
	r = io_status(io, "reap", io->ops.reap(io->context, engine, timeout_ms));
	pthread_mutex_lock(&engine->lock);
	if (r < 0)
		fail_driven(engine, io, r);
}

/* By the condition, until the deadline at most. */
static void wait_for_change(struct uds_io_engine *engine, unsigned int wanted,
			    const struct deadline *deadline)
{
	/* The least that anybody wants decides when all are woken. */
	if (engine->waiters++ == 0 || wanted < engine->least_wanted)
		engine->least_wanted = wanted;
	deadline_wait(&engine->changed, &engine->lock, deadline);
	/* least_wanted may be too low from now on: that wakes threads too often, never too late. */
	engine->waiters--;
}

static struct deadline soon(const struct deadline *deadline)
{
	return deadline_remaining(deadline) == 0 ? *deadline : deadline_after(PAUSE);
}

/*
 * The kernel may refuse to wait in a ring that broke. What it has taken it carries out all
 * the same, and says so in memory that needs no call: by the eventfd, or looked at now and then.
 */
static bool can_wait_in_ring(const struct uds_io_engine *engine)
{
	return engine->event < 0 && ring_status(engine->ring) == 0;
}

/* All of it is in the ring: wait there. */
static void wait_in_ring(struct uds_io_engine *engine, unsigned int wanted)
{
	struct io_ring *ring = engine->ring;
	unsigned int count = ring_in_flight(ring);
	int r;

	/* Not for more than is wanted: what comes first is handed out at once. */
	if (count > wanted)
		count = wanted;
	engine->in_ring_wait = count;
	pthread_mutex_unlock(&engine->lock);
	r = ring_wait(ring, count);
	pthread_mutex_lock(&engine->lock);
	engine->in_ring_wait = 0;
	/* Threads do the work from now on; for what is in the ring, see can_wait_in_ring(). */
	if (r < 0)
		ring_break(ring, r);
	/* Of those that wait one now takes this place. */
	if (engine->waiters > 0)
		pthread_cond_broadcast(&engine->changed);
}

/* By the eventfd, which the ring, workers and backends write to. */
static void wait_for_event(struct uds_io_engine *engine, const struct deadline *deadline)
{
	struct pollfd event = { .fd = engine->event, .events = POLLIN };
	int timeout_ms = deadline_remaining(deadline);

	engine->polling = true;
	pthread_mutex_unlock(&engine->lock);
	/* Why it returns does not matter: the caller looks at everything again. */
	(void)poll(&event, 1, timeout_ms);
	pthread_mutex_lock(&engine->lock);
	engine->polling = false;
	engine_clear_event(engine);
	if (engine->waiters > 0)
		pthread_cond_broadcast(&engine->changed); /* it is another one's turn */
}

void engine_wait(struct uds_io_engine *engine, unsigned int wanted, const struct deadline *deadline)
{
	unsigned int in_ring = engine->ring == NULL ? 0 : ring_in_flight(engine->ring);
	struct deadline pause;

	if (engine->driven_count > 0) {
		unsigned int done = engine->done_count;

		engine_drive(engine, deadline_remaining(deadline));
		/*
		 * Something came, or everything is with such backends and the next look may be at
		 * once.
		 */
		if (engine->done_count > done || engine->driven_count == engine->in_flight)
			return;
		pause = soon(deadline);
		wait_for_change(engine, wanted, &pause);
		return;
	}
	/* Nothing of it is in the ring, or another thread waits there for all. */
	if (in_ring == 0 || engine->in_ring_wait > 0 || engine->polling) {
		wait_for_change(engine, wanted, deadline);
		return;
	}
	/*
	 * In the ring itself there is no timeout, and a thread that polls the descriptor would not
	 * be woken.
	 */
	if (in_ring == engine->in_flight && deadline->never && can_wait_in_ring(engine)) {
		wait_in_ring(engine, wanted);
		return;
	}
	if (make_event(engine) == 0) {
		engine_collect(engine); /* what was done before it was registered */
		if (engine->done_count == 0)
			wait_for_event(engine, deadline);
		return;
	}
	/* No descriptor left in the process: looked at again and again instead. */
	pause = soon(deadline);
	wait_for_change(engine, wanted, &pause);
}
