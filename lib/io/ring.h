/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine's io_uring: one ring for all its files. A transfer that came back short or interrupted
 * goes in again with what is left. When the kernel refuses to take entries at all the ring is given
 * up: what it took before is still waited for, everything else fails with that error.
 *
 * Everything is called with the engine's lock, but for ring_wait(). Where the library was built
 * without liburing there never is a ring.
 */
#ifndef IO_RING_H
#define IO_RING_H

#include <errno.h>
#include <stdbool.h>

#include "io/io.h"

struct io_ring;

/* How a request ends that was added: with the engine's lock. */
typedef void ring_finish(struct uds_io_engine *engine, struct uds_io_request *request, int status);

#ifdef HAVE_LIBURING

/*
 * For at most @depth requests. @counts: goes on being counted in. Returns 0, -ENOMEM, or
 * -EOPNOTSUPP where the kernel refuses it, with a log line.
 */
int ring_open(struct uds_io_engine *engine, ring_finish *finish, const struct uds_env *env,
	      unsigned int depth, struct uds_io_engine_statistics *counts,
	      struct io_ring **ret_ring);

/* Nothing is in it. May be NULL. */
void ring_close(struct io_ring *ring);

/* From now on each completion is written to this eventfd. Returns 0, or what the kernel said. */
int ring_register_event(struct io_ring *ring, int event);

/*
 * Gives the kernel a buffer, and takes it back while no request in the ring lies in it. Where the
 * kernel does not want it, requests for it go as others do.
 */
void ring_add_buffer(struct io_ring *ring, unsigned int place, void *memory, size_t bytes);
void ring_remove_buffer(struct io_ring *ring, unsigned int place);

/* Whether this request can go through a ring. */
bool ring_takes(const struct uds_io_request *request);

/* Adds a request. It ends, perhaps at once, with a call of @finish. */
void ring_add(struct io_ring *ring, struct uds_io_request *request);

/* Gives the kernel what was added. */
void ring_submit(struct io_ring *ring);

/* Ends what the kernel has done. */
void ring_collect(struct io_ring *ring);

/* How many requests are in it. */
unsigned int ring_in_flight(const struct io_ring *ring);

/*
 * Without the lock, by one thread at a time: waits until @count are done, at most as many as are in
 * it. Nothing is collected meanwhile. Returns 0, or an error other than being interrupted.
 */
int ring_wait(struct io_ring *ring, unsigned int count);

/* Ends such a wait early. */
void ring_interrupt(struct io_ring *ring, unsigned int count);

/* 0, or why the kernel takes no more requests: those that it has are still waited for. */
int ring_status(const struct io_ring *ring);

/*
 * The ring cannot be waited for, and takes no more requests. What the kernel has of it the kernel
 * carries out, and may still write to: that is collected as before, when it is done.
 */
void ring_break(struct io_ring *ring, int status);

#else

static inline int ring_open(struct uds_io_engine *engine, ring_finish *finish,
			    const struct uds_env *env, unsigned int depth,
			    struct uds_io_engine_statistics *counts, struct io_ring **ret_ring)
{
	(void)engine, (void)finish, (void)env, (void)depth, (void)counts, (void)ret_ring;
	return -EOPNOTSUPP;
}

static inline void ring_close(struct io_ring *ring)
{
	(void)ring;
}

static inline int ring_register_event(struct io_ring *ring, int event)
{
	(void)ring, (void)event;
	return -EOPNOTSUPP;
}

static inline void ring_add_buffer(struct io_ring *ring, unsigned int place, void *memory,
				   size_t bytes)
{
	(void)ring, (void)place, (void)memory, (void)bytes;
}

static inline void ring_remove_buffer(struct io_ring *ring, unsigned int place)
{
	(void)ring, (void)place;
}

static inline bool ring_takes(const struct uds_io_request *request)
{
	(void)request;
	return false;
}

static inline void ring_add(struct io_ring *ring, struct uds_io_request *request)
{
	(void)ring, (void)request;
}

static inline void ring_submit(struct io_ring *ring)
{
	(void)ring;
}

static inline void ring_collect(struct io_ring *ring)
{
	(void)ring;
}

static inline unsigned int ring_in_flight(const struct io_ring *ring)
{
	(void)ring;
	return 0;
}

static inline int ring_wait(struct io_ring *ring, unsigned int count)
{
	(void)ring, (void)count;
	return 0;
}

static inline void ring_interrupt(struct io_ring *ring, unsigned int count)
{
	(void)ring, (void)count;
}

static inline int ring_status(const struct io_ring *ring)
{
	(void)ring;
	return 0;
}

static inline void ring_break(struct io_ring *ring, int status)
{
	(void)ring, (void)status;
}

#endif
#endif
