/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner side of an engine, for its parts only, from the top: engine.c (what callers see),
 * engine_wait.c (waiting), ring.c (io_uring) and workers.c (threads), engine_done.c (the end of a
 * request), engine_buffers.c (memory that callers have announced), engine_pass.c (requests that go
 * on to the I/O below).
 *
 * A request in flight is in one place: with the workers or a backend (STAGE_AWAY), with a backend
 * that has to be reaped (STAGE_DRIVEN, on a list), in the ring (STAGE_RING, on the ring's list), or
 * done and not handed out yet (STAGE_DONE, on a list). in_flight counts all of them.
 */
#ifndef IO_ENGINE_PRIVATE_H
#define IO_ENGINE_PRIVATE_H

#include <pthread.h>

#include "base/deadline.h"
#include "io/io.h"

struct io_ring;
struct io_workers;

enum stage {
	STAGE_NONE, /* not in flight */
	STAGE_AWAY,
	STAGE_DRIVEN,
	STAGE_RING,
	STAGE_DONE,
};

/* Memory that a caller added; its place is its number in the ring. */
struct engine_buffer {
	uint8_t *start; /* NULL: the place is free */
	size_t bytes;
	unsigned int in_flight; /* requests */
};

struct uds_io_engine {
	struct uds_env env;
	struct failures *failures;
	struct io_workers *workers;
	unsigned int depth;
	bool no_uring; /* not wanted; never changes */
	bool no_ring;  /* not wanted, or not available */

	pthread_mutex_t lock; /* everything below */
	pthread_cond_t changed;
	struct io_ring *ring; /* NULL until a request needs it */

	unsigned int in_flight;
	unsigned int done_count;
	struct uds_io_request *first_done, *last_done;
	struct uds_io_request *driven; /* both ways, not circular */
	unsigned int driven_count;

	struct uds_io_request *passed; /* of engine_pass.c, depth of them; NULL until the first */
	struct uds_io_request *free_passed;

	struct engine_buffer *buffers; /* UDS_IO_ENGINE_BUFFERS; NULL until the first */
	unsigned int buffer_end;       /* places from here on are free */
	struct uds_io_engine_statistics counts;

	int event;		   /* an eventfd; -1: there is none */
	bool polling;		   /* a thread waits for it, and is the only one to clear it */
	unsigned int waiters;	   /* threads that wait for changed */
	unsigned int least_wanted; /* by any of them */
	/* how many completions a thread in ring_wait() waits for; 0: no thread waits */
	unsigned int in_ring_wait;
};

/* ---- engine_buffers.c; all with the lock ---- */

/* A request is in flight from now on: finds the buffer that it lies in. */
void engine_enter_buffer(struct uds_io_engine *engine, struct uds_io_request *request);

/* It is not any more. */
void engine_leave_buffer(struct uds_io_engine *engine, const struct uds_io_request *request);

/* A new ring gets the buffers. */
void engine_register_buffers(struct uds_io_engine *engine);

/* ---- engine_pass.c ---- */

/* What is to be sent in the place of a request: itself, or one for the I/O below. */
struct uds_io_request *engine_pass(struct uds_io_engine *engine, struct uds_io_request *request);

/* With the lock: one is done. Returns the caller's, which it went for, or the request itself. */
struct uds_io_request *engine_take_back(struct uds_io_engine *engine,
					struct uds_io_request *request);

/* ---- engine_done.c; all with the lock ---- */

void engine_link_driven(struct uds_io_engine *engine, struct uds_io_request *request);
void engine_unlink_driven(struct uds_io_engine *engine, struct uds_io_request *request);

/* A request is done. */
void engine_finish(struct uds_io_engine *engine, struct uds_io_request *request, int status);

/* Hands out up to @room requests that are done. */
size_t engine_take_done(struct uds_io_engine *engine, struct uds_io_request **ret_done,
			size_t room);

void engine_signal_event(struct uds_io_engine *engine);
void engine_clear_event(struct uds_io_engine *engine);

/* Makes the eventfd readable while there is something to reap. */
void engine_leave_event(struct uds_io_engine *engine);

/* ---- engine_wait.c; all with the lock ---- */

/* Threads that wait look again at where requests are. */
void engine_wake(struct uds_io_engine *engine);

/* Ends the requests that the ring has done. */
void engine_collect(struct uds_io_engine *engine);

/*
 * Lets a backend that has to be reaped go on, for at most so many milliseconds; the lock is
 * let go meanwhile.
 */
void engine_drive(struct uds_io_engine *engine, int timeout_ms);

/*
 * Waits until something has changed: at best, until @wanted are done, and at most until the
 * deadline. The lock is let go meanwhile.
 */
void engine_wait(struct uds_io_engine *engine, unsigned int wanted,
		 const struct deadline *deadline);

#endif
