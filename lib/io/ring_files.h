/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files that a ring's requests need not look up: each open file has a slot in the ring from its
 * first request there until it is closed.
 *
 * The kernel holds what has a slot open, with its locks and claims, so a file gives up its slots,
 * in whatever rings, before its descriptor is closed. A ring and its files may be closed in any
 * order, and at the same time by different threads.
 *
 * Locks, from the outer: the engine's, the table's, the file's.
 */
#ifndef IO_RING_FILES_H
#define IO_RING_FILES_H

#include <pthread.h>
#include <stddef.h>

#include <uds/env.h>

struct io_uring;
struct ring_files;

/* A file's side: its slots. */
struct ring_slots {
	pthread_mutex_t lock;
	struct ring_slot *first;
};

#ifdef HAVE_LIBURING

void ring_slots_init(struct ring_slots *slots);

/* Gives all of them up. No request for the file is in flight. */
void ring_slots_end(struct ring_slots *slots);

/*
 * The table of a ring, NULL where the kernel allows none: the ring does without. Returns
 * 0 or -ENOMEM.
 */
int ring_files_make(const struct uds_env *env, struct io_uring *ring,
		    struct ring_files **ret_files);

/* Before the ring is closed. May be NULL. */
void ring_files_free(struct ring_files *files);

/*
 * The number of a file's slot, which it gets now if it has none; -1: it can have none. @files
 * may be NULL.
 */
int ring_files_slot(struct ring_files *files, struct ring_slots *slots, int fd);

#else

static inline void ring_slots_init(struct ring_slots *slots)
{
	slots->first = NULL;
}

static inline void ring_slots_end(struct ring_slots *slots)
{
	(void)slots;
}

#endif
#endif
