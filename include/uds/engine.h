/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O engine: many requests in flight, for any number of I/Os, and one place to wait for them.
 *
 * A file that was opened with uring goes through io_uring, all of them through one ring. A backend
 * with a submit function of its own gets its requests that way. What lies in one range of an I/O
 * that is made of ranges goes the way of the I/O below. All others are served by a few
 * threads that call the plain functions, so that these too have many transfers in flight.
 *
 * Requests in flight together have no order among each other: a flush covers only writes that were
 * reaped before it was submitted.
 */
#ifndef UDS_ENGINE_H
#define UDS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/io.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uds_io_engine;

enum uds_io_kind {
	UDS_IO_READ = 1,
	UDS_IO_WRITE = 2,
	UDS_IO_FLUSH = 3,	 /* as uds_io_flush() */
	UDS_IO_DISCARD = 4,	 /* as uds_io_discard() */
	UDS_IO_WRITE_ZEROES = 5, /* as uds_io_write_zeroes() */
};

/* A flag of writes and write-zeroes: what it wrote is durable when the request is done. */
#define UDS_IO_FUA 1u

/*
 * One request. It and its buffer stay the caller's, and stay where they are until it is reaped.
 * Begin with all members zero.
 */
struct uds_io_request {
	struct uds_io *io;
	uint32_t kind;	 /* enum uds_io_kind */
	uint32_t flags;	 /* 0 or UDS_IO_FUA */
	void *buffer;	 /* not changed by a write; unused by the kinds without data */
	uint64_t offset; /* bytes */
	uint64_t length; /* bytes; unused by a flush */
	void *user;	 /* the caller's, untouched */
	int32_t status;	 /* out: 0 or a negative status */

	/* The engine's, between submit and reap. */
	uint16_t stage;
	uint16_t place; /* of the buffer that was added, from 1 on */
	uint64_t moved;
	struct uds_io_engine *engine;
	struct uds_io_request *next;
	struct uds_io_request *previous;
};

struct uds_io_engine_options {
	uint64_t size; /* of this struct: set by UDS_IO_ENGINE_OPTIONS_INIT */

	uint32_t depth; /* most requests between submit and reap, 1 to 4096 */

	/*
	 * Most threads for requests that go through plain calls, up to 256; they are started when
	 * they are needed. 0: such requests are carried out when they are submitted. Ignored with
	 * share.
	 */
	uint32_t threads;

	/*
	 * Use no io_uring, not even for files that were opened with uring. Engines that share the
	 * threads of this one do not use it either.
	 */
	bool no_uring;

	uint8_t unused[7]; /* ignored */

	/*
	 * May be NULL. An engine whose threads this one uses too, instead of having its own. Either
	 * may be closed first; the environment of the engine that had the threads first is used
	 * until all of them are.
	 */
	struct uds_io_engine *share;
};

#define UDS_IO_ENGINE_OPTIONS_INIT                                           \
	{                                                                    \
		sizeof(struct uds_io_engine_options), 64, 8, false, { 0 }, 0 \
	}

/*
 * Opens an engine. Threads, ring and descriptors are made when a request first needs them. Where
 * the kernel refuses io_uring, threads do the work, and the first request for it logs a line at
 * UDS_LOG_NOTICE.
 *
 * @options: may be NULL.
 * @env: memory and log; may be NULL.
 *
 * Returns 0, or
 *   -EINVAL          depth or threads are out of range
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *   -ENOMEM
 *
 * Threads: any. Since 0.2.
 */
int uds_io_engine_open(const struct uds_io_engine_options *options, const struct uds_env *env,
		       struct uds_message *ret_message, struct uds_io_engine **ret_engine);

/*
 * Waits for all requests in flight, forgets them, and closes the engine. The I/Os stay open.
 *
 * @engine: may be NULL.
 *
 * Threads: one; no other thread may be using the engine. Since 0.2.
 */
void uds_io_engine_close(struct uds_io_engine *engine);

/*
 * Submits requests. Each gets its own status, which is set when it is reaped: what the function for
 * its kind returns, with UDS_IO_FUA also what a flush returns, or -EINVAL for an unknown kind or
 * flag.
 *
 * Returns 0, or -EBUSY when more than the depth would be in flight; nothing was submitted.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_io_engine_submit(struct uds_io_engine *engine, struct uds_io_request *const *requests,
			 size_t count);

/*
 * Takes requests that are done, at most @room.
 *
 * @least: wait until there are so many, at most @room; 0 does not wait.
 * @timeout_ms: the most milliseconds to wait; negative: no limit.
 *
 * Returns how many it put into @ret_done: fewer than @least when the time is over, or when no more
 * are in flight; or -EINVAL for a @least larger than @room. Errors of devices are in the statuses
 * of the requests.
 *
 * Threads: any number at once; each request is given to one of them. Since 0.2.
 */
int uds_io_engine_reap(struct uds_io_engine *engine, struct uds_io_request **ret_done, size_t room,
		       size_t least, int timeout_ms);

/*
 * Returns how many requests are between submit and reap.
 *
 * Threads: any number at once. Since 0.2.
 */
unsigned int uds_io_engine_in_flight(const struct uds_io_engine *engine);

/*
 * Announces memory that many requests will use, so that the kernel pins its pages once instead of
 * for each request: io_uring's registered buffers. Requests need not say anything: those whose
 * memory lies wholly in it profit. Where the kernel refuses (RLIMIT_MEMLOCK, more than 1 GB), or no
 * request goes through io_uring, everything works as without. An engine closes with buffers in it.
 *
 * The memory must stay mapped until it is removed or the engine is closed.
 *
 * @bytes: at least 1.
 *
 * Returns 0, also where the kernel will refuse, or
 *   -EINVAL  no memory or no bytes
 *   -EEXIST  a buffer that begins at the same address is there
 *   -ENOSPC  there are UDS_IO_ENGINE_BUFFERS of them
 *   -ENOMEM
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_io_engine_add_buffer(struct uds_io_engine *engine, void *memory, size_t bytes);

/* The most buffers of one engine. */
#define UDS_IO_ENGINE_BUFFERS 64

/*
 * Takes back memory that was added, before it is freed or mapped again.
 *
 * @memory: as it was added.
 *
 * Returns 0, or
 *   -EBUSY   a request that uses it is between submit and reap; the buffer stays
 *   -EINVAL  there is no such buffer
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_io_engine_remove_buffer(struct uds_io_engine *engine, void *memory);

/* What an engine has done since it was opened. */
struct uds_io_engine_statistics {
	uint64_t size; /* of this struct: set by UDS_IO_ENGINE_STATISTICS_INIT */

	uint64_t requests;	  /* submitted */
	uint64_t ring_requests;	  /* of these, through io_uring */
	uint64_t ring_calls;	  /* of io_uring_enter(2) that handed requests over */
	uint64_t file_requests;	  /* of ring_requests, on a registered file */
	uint64_t buffer_requests; /* of ring_requests, in a registered buffer */
};

#define UDS_IO_ENGINE_STATISTICS_INIT                                  \
	{                                                              \
		sizeof(struct uds_io_engine_statistics), 0, 0, 0, 0, 0 \
	}

/*
 * Counts what an engine has done, such as how many of its requests use registered
 * files and buffers.
 *
 * Returns 0, or
 *   -EINVAL, -E2BIG  the size member (libuds(3), Structs)
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_io_engine_get_statistics(const struct uds_io_engine *engine,
				 struct uds_io_engine_statistics *ret_statistics);

/*
 * Gives a descriptor for poll(2) and the like. It is readable when there may be something to reap;
 * then call uds_io_engine_reap() with @least 0 until it returns fewer than @room. The descriptor
 * belongs to the engine: do not read or close it. It is always readable while a backend with a reap
 * function has requests in flight.
 *
 * Returns 0, or what the system said when there are no more descriptors.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_io_engine_event_descriptor(struct uds_io_engine *engine, int *ret_descriptor);

/*
 * Copies the sentence about the calling thread's last call on this engine that returns a status, if
 * that failed; empty when it did not (libuds(3), Errors). Requests have only their status.
 *
 * Threads: any number at once. Since 0.2.
 */
void uds_io_engine_error_message(const struct uds_io_engine *engine,
				 struct uds_message *ret_message);

/*
 * Ends a request that was submitted to a backend with a submit function, and wakes the thread that
 * waits for it. From this call on the backend must not touch the request or its buffer.
 *
 * @status: 0 or an error, by the rule for all functions of a backend (uds/io.h).
 *
 * Threads: any, also from within submit and reap. Since 0.2.
 */
void uds_io_request_complete(struct uds_io_request *request, int status);

#ifdef __cplusplus
}
#endif

#endif
