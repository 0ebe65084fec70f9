/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a queue of asynchronous operations, from the top: queue.c (what callers see),
 * queue_drive.c (carrying operations out, and waiting for them), queue_done.c (the end of an
 * operation), lane.c (those of one zone).
 *
 * An operation in flight is pending in a lane, or with the thread that drives it, or waits for
 * pages (parked), or is a flush that waits for those before it, or is done and not handed out yet.
 * Callers that wait and the threads of the queue drive. When there is nothing to do, one of them
 * waits for reads (polling), the others by a condition.
 *
 * Locks: that of the queue is taken last; none is held while a callback is called. A zone's lock is
 * never waited for with the queue's lock held.
 */
#ifndef INDEX_QUEUE_PRIVATE_H
#define INDEX_QUEUE_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/async.h>

#include "base/deadline.h"
#include "index/lane.h"

/*
 * The requests between two flushes in the order of submission. The flush behind them begins when
 * none of them, and none of those before, is left.
 */
struct queue_epoch {
	uint32_t left;
	struct uds_index_operation *flush; /* NULL: none was submitted yet */
};

struct uds_index_queue {
	struct uds_index *index;
	struct uds_index_queue *next; /* of the index's */
	uint32_t depth;
	uint64_t bytes;
	struct lookup_flight *flight;
	struct parking parking;

	pthread_t *threads;
	uint32_t thread_count;

	pthread_mutex_t lock; /* for what follows */
	bool cancelled;
	bool stop;	     /* the threads end when nothing is left */
	uint32_t in_flight;  /* as the depth counts them */
	uint32_t unfinished; /* not done, or their callback has not returned yet */
	uint64_t called;     /* callbacks, since it was opened */
	struct operation_list done;

	/* A ring of depth + 1; those from first to last are in use, and last has no flush. */
	struct queue_epoch *epochs;
	uint32_t first_epoch, last_epoch;

	pthread_cond_t work;	/* for those that drive */
	pthread_cond_t changed; /* for callers of a queue that has threads */
	uint32_t sleepers;	/* threads that wait for work */
	uint32_t waiters;	/* and for changed */
	bool polling;		/* a thread waits for reads */
	uint32_t next_lane;	/* where the next thread begins to look */

	/* For event loops; -1: there are none. */
	int event; /* an eventfd */
	int epoll; /* both the eventfd and that of the reads */
	bool signalled;

	uint32_t lane_count;
	struct lane lanes[];
};

/* ---- queue_done.c ---- */

/*
 * Operations that were carried out. The lock is held, and released meanwhile to call callbacks.
 *
 * @done: becomes empty.
 */
void queue_finish(struct uds_index_queue *queue, struct operation_list *done);

/* Whether the calling thread is in a callback of the queue. */
bool queue_is_calling(const struct uds_index_queue *queue);

/* Hands out at most @room. The lock is held. */
size_t queue_take_done(struct uds_index_queue *queue, struct uds_index_operation **ret_done,
		       size_t room);

/*
 * An operation goes to the calling thread, and with @keep its sentence if it has failed. No lock is
 * held.
 */
void queue_give_sentence(struct uds_index_queue *queue, struct uds_index_operation *operation,
			 bool keep);

/* Wakes those that wait for operations that are done, or for room. The lock is held. */
void queue_wake_waiters(struct uds_index_queue *queue);

/* Wakes one that drives. The lock is held. */
void queue_wake_driver(struct uds_index_queue *queue);

/*
 * Makes the descriptor readable when there is something to hand out or to carry out, and clears it
 * when there is not. The lock is held.
 */
void queue_set_event(struct uds_index_queue *queue);

/* Whether there is something that can be carried out now. The lock is held. */
bool queue_has_work(const struct uds_index_queue *queue);

/* ---- queue_drive.c ---- */

/* Carries out once what can be. No lock is held. */
void queue_drive(struct uds_index_queue *queue);

/* Waits until something may have changed. The lock is held, and released meanwhile. */
void queue_wait(struct uds_index_queue *queue, bool drives, const struct deadline *deadline);

/* The two together, for a caller: carries something out, or waits. The lock is held. */
void queue_go_on(struct uds_index_queue *queue, const struct deadline *deadline);

/* Before a thread that drove does something else: another one takes over. The lock is held. */
void queue_pass_on(struct uds_index_queue *queue);

/* What a thread of the queue does. */
void *queue_work(void *queue);

#endif
