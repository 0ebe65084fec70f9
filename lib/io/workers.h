/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that carry out requests by the plain functions of their I/Os. Several engines
 * may share them.
 *
 * Threads: everything may be called by any number of threads at once, but by none of the workers.
 */
#ifndef IO_WORKERS_H
#define IO_WORKERS_H

#include "io/io.h"

struct io_workers;

/*
 * @threads: the most that there may be. None is started before there is work for it. 0 or -ENOMEM.
 */
int io_workers_make(const struct uds_env *env, unsigned int threads,
		    struct io_workers **ret_workers);

/* One more user; returns @workers. */
struct io_workers *io_workers_hold(struct io_workers *workers);

/* The last user's ends the threads: no requests are left with them. May be NULL. */
void io_workers_release(struct io_workers *workers);

/*
 * Takes a chain of requests (by next, NULL at its end); each ends with uds_io_request_complete().
 * Where no thread can be started, the caller's carries them out.
 */
void io_workers_add(struct io_workers *workers, struct uds_io_request *first);

#endif
