/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asynchronous requests of an index: submit many, do something else, and get each back when it is
 * done, by a callback or from uds_index_reap(). Requests that wait for a page of the volume wait
 * together, across submissions, so a device is kept as busy as the queue is deep.
 *
 * An index can have any number of queues, one for each event loop or for all threads of a program.
 * A queue has no threads unless it is asked for some: otherwise the operations are carried out in
 * uds_index_reap(), and in uds_index_submit() while that waits for room.
 *
 * Order: the requests of one queue with the same name are carried out in the order in which they
 * were submitted. Requests with different names, and those of other queues or of uds_index_run(),
 * have no order with each other unless one completed before the other was submitted.
 */
#ifndef UDS_ASYNC_H
#define UDS_ASYNC_H

#include <stddef.h>
#include <stdint.h>

#include <uds/index.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uds_index_queue;
struct uds_index_operation;

enum uds_operation_kind {
	UDS_OPERATION_REQUEST = 0, /* carries out the request */
	/*
	 * As uds_index_flush(), once all operations that were submitted before it to the same queue
	 * are carried out. Those that come later do not wait for it. Uses only request.status.
	 */
	UDS_OPERATION_FLUSH = 1,
};

/*
 * Called when an operation is done; its request has the status and the results. By a thread of the
 * queue if it has some; else by one that is in uds_index_reap(), uds_index_submit(),
 * uds_index_queue_close() or uds_index_close(). No lock is held. The operation is the caller's
 * again: it may be submitted again here, for which there is room unless another thread was faster,
 * or freed.
 *
 * It may carry out other requests, and submit to any queue. It must not close the queue or the
 * index. uds_index_error_message() has the sentence if the operation failed.
 */
typedef void (*uds_completed_fn)(struct uds_index_operation *operation);

/*
 * One operation, of 128 bytes at most. It stays the caller's, and stays where it is until it is
 * done. Begin with all members zero, then fill in the request as for uds_index_run(); request.user
 * is the caller's.
 */
struct uds_index_operation {
	struct uds_request request; /* status and results when it is done */
	uds_completed_fn completed; /* NULL: it is handed out by uds_index_reap() */
	uint32_t kind;		    /* enum uds_operation_kind */

	/* The queue's, between submission and completion. */
	uint32_t reserved;
	struct uds_index_operation *next;
	void *waits;
	void *sentence;
	uint32_t place[4];
};

struct uds_index_queue_options {
	uint64_t size; /* of this struct: set by UDS_INDEX_QUEUE_OPTIONS_INIT */

	/*
	 * Most operations between submission and completion, 1 to 2048. One with a callback counts
	 * until that is called; one that is handed out by uds_index_reap(), until then. Each takes
	 * about a kilobyte, and the memory of a page while it reads one.
	 */
	uint32_t depth;

	/*
	 * Threads of the queue that carry operations out, and call their callbacks, up to 64. 0:
	 * there are none.
	 */
	uint32_t threads;
};

#define UDS_INDEX_QUEUE_OPTIONS_INIT                            \
	{                                                       \
		sizeof(struct uds_index_queue_options), 256, 0, \
	}

/*
 * Opens a queue of an index.
 *
 * @options: may be NULL.
 *
 * Returns 0, or
 *   -EINVAL          depth or threads are out of range
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *   -EAGAIN          the system has no more threads
 *   -ENOMEM
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_index_queue_open(struct uds_index *index, const struct uds_index_queue_options *options,
			 struct uds_index_queue **ret_queue);

/*
 * Cancels what is in the queue, as uds_index_queue_cancel(), waits until all of it is done, and
 * frees the queue. Operations that were not reaped are the caller's again, with their status.
 * uds_index_close() does it for each queue that is still open.
 *
 * @queue: may be NULL.
 *
 * Threads: one; no other thread may be using the queue. Since 0.2.
 */
void uds_index_queue_close(struct uds_index_queue *queue);

/*
 * Cancels what is in the queue: each operation that has not been carried out completes with
 * -ECANCELED, and has changed nothing; one that another thread is carrying out just now, or that is
 * done, keeps its own status. Nothing can be submitted from now on. Does not wait: the operations
 * come back as always, and a call of uds_index_submit() that waits returns.
 *
 * Threads: any number at once, also a callback. Since 0.2.
 */
void uds_index_queue_cancel(struct uds_index_queue *queue);

/*
 * Submits operations, in order. Nothing of an operation is looked at here but its name: what is
 * wrong with it becomes its status.
 *
 * @timeout_ms: what to do when the queue is full. 0: take as many as there is room for. Otherwise
 *     wait until all are taken, at most so many milliseconds; negative: without a limit. Room comes
 *     from operations with a callback that complete, and from others when they are reaped, which
 *     another thread has to do meanwhile. A queue without threads is carried out meanwhile, as in
 *     uds_index_reap(). Within a callback of the queue it does not wait.
 *
 * Returns how many were taken, those in front; or, when none was,
 *   -EAGAIN     the queue is full
 *   -ECANCELED  the queue was cancelled
 *
 * Threads: any number at once, also a callback. Since 0.2.
 */
int uds_index_submit(struct uds_index_queue *queue, struct uds_index_operation *const *operations,
		     size_t count, int timeout_ms);

/*
 * Hands out operations without a callback that are done. A queue without threads is carried out
 * here: what can be is carried out once in each call, and callbacks are called.
 *
 * @ret_done, @room: at most so many are handed out. NULL and 0: none.
 * @least: wait until so many are handed out or were called back since the call began; 0 does not
 *     wait, SIZE_MAX waits for all. No more than @room are waited for to be handed out.
 * @timeout_ms: the most milliseconds to wait; negative: no limit. A step that was begun, such as a
 *     flush, is not ended by it.
 *
 * Returns how many it put into @ret_done: fewer than @least also when the time is over, or when no
 * more are in flight. uds_index_error_message() has the sentence of the first of these that failed.
 *   -EDEADLK  called by a callback of the queue
 *
 * Threads: any number at once; each operation is given to one of them. Since 0.2.
 */
int uds_index_reap(struct uds_index_queue *queue, struct uds_index_operation **ret_done,
		   size_t room, size_t least, int timeout_ms);

/*
 * Returns how many operations are between submission and completion, as the depth counts them: one
 * with a callback until that is called, so that it may be submitted again there. So with threads 0
 * does not say that all callbacks have returned; uds_index_reap(queue, NULL, 0, SIZE_MAX, -1) waits
 * for that, and so does closing the queue.
 *
 * Threads: any number at once. Since 0.2.
 */
unsigned int uds_index_queue_in_flight(const struct uds_index_queue *queue);

/*
 * Gives a descriptor for poll(2) and the like. It is readable when a call of uds_index_reap() that
 * does not wait may find something to hand out or to carry out; then make one. The descriptor
 * belongs to the queue: do not read or close it.
 *
 * Returns 0, or what the system said when there are no more descriptors.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_index_queue_event_descriptor(struct uds_index_queue *queue, int *ret_descriptor);

#ifdef __cplusplus
}
#endif

#endif
