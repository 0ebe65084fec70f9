/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of operations: callbacks, the list of those that are handed out, and who is woken. */
#include <errno.h>
#include <unistd.h>

#include "base/env.h"
#include "index/queue_private.h"

/* The queue whose callback the thread is in; NULL: none. */
static _Thread_local const struct uds_index_queue *calling;

bool queue_is_calling(const struct uds_index_queue *queue)
{
	return calling == queue;
}

/* ---- waking ---- */

/* The first flush, once all that came before it was carried out. */
static bool has_flush(const struct uds_index_queue *queue)
{
	const struct queue_epoch *epoch = &queue->epochs[queue->first_epoch];

	return epoch->flush != NULL && epoch->left == 0;
}

bool queue_has_work(const struct uds_index_queue *queue)
{
	for (uint32_t i = 0; i < queue->lane_count; i++) {
		const struct lane *lane = &queue->lanes[i];

		if (!lane->driven && (lane->pending.first != NULL || lane->found != NULL))
			return true;
	}
	return has_flush(queue);
}

void queue_wake_driver(struct uds_index_queue *queue)
{
	if (queue->sleepers > 0)
		pthread_cond_signal(&queue->work);
	else if (queue->polling)
		lookup_flight_wake(queue->flight);
}

void queue_wake_waiters(struct uds_index_queue *queue)
{
	if (queue->waiters > 0)
		pthread_cond_broadcast(&queue->changed);
	/* Without threads those that wait are among those that drive. */
	if (queue->sleepers > 0 && (queue->thread_count == 0 || queue->stop))
		pthread_cond_broadcast(&queue->work);
	if (queue->polling && queue->thread_count == 0)
		lookup_flight_wake(queue->flight);
}

void queue_set_event(struct uds_index_queue *queue)
{
	bool ready =
		queue->done.first != NULL || (queue->thread_count == 0 && queue_has_work(queue));
	uint64_t count = 1;

	if (queue->event < 0 || queue->signalled == ready)
		return;
	queue->signalled = ready;
	/* Neither can fail: it is written to once, and read after that. */
	if (ready && write(queue->event, &count, sizeof(count)) < 0)
		return;
	if (!ready && read(queue->event, &count, sizeof(count)) < 0)
		return;
}

/* ---- callbacks ---- */

void queue_give_sentence(struct uds_index_queue *queue, struct uds_index_operation *operation,
			 bool keep)
{
	struct uds_index *index = queue->index;
	const int status = operation->request.status;
	struct uds_message *sentence = operation->sentence;

	operation->sentence = NULL;
	if (keep && sentence != NULL)
		(void)failures_keep(index->failures, status, sentence);
	else if (keep)
		(void)index_end(index, status, "an operation");
	env_release(&index->env, sentence);
}

static void call(struct uds_index_queue *queue, struct operation_list *list)
{
	const struct uds_index_queue *outer = calling;
	struct uds_index_operation *operation;

	calling = queue;
	while ((operation = operation_list_take(list)) != NULL) {
		bool failed = operation->request.status < 0;

		if (failed)
			queue_give_sentence(queue, operation, true);
		/* From here on it may be gone, or submitted again. */
		operation->completed(operation);
		if (failed)
			failures_begin(queue->index->failures);
	}
	calling = outer;
}

/* Splits off those that have a callback, and counts those that were waited for by flushes. */
static void sort_out(struct uds_index_queue *queue, struct operation_list *done,
		     struct operation_list *ret_called)
{
	struct uds_index_operation *operation;

	while ((operation = operation_list_take(done)) != NULL) {
		if (operation->kind != UDS_OPERATION_FLUSH)
			queue->epochs[operation->place[3]].left--;
		operation_list_add(operation->completed != NULL ? ret_called : &queue->done,
				   operation);
	}
}

void queue_finish(struct uds_index_queue *queue, struct operation_list *done)
{
	struct operation_list called = { .first = NULL };
	uint32_t count = (uint32_t)done->count, with_callback;

	if (count == 0)
		return;
	sort_out(queue, done, &called);
	with_callback = (uint32_t)called.count;
	queue->unfinished -= count - with_callback;
	/* Before the callbacks: each may submit its operation again. */
	queue->in_flight -= with_callback;
	queue_set_event(queue);
	if (with_callback < count)
		queue_wake_waiters(queue);
	if (with_callback == 0)
		return;
	pthread_mutex_unlock(&queue->lock);
	call(queue, &called);
	pthread_mutex_lock(&queue->lock);
	queue->unfinished -= with_callback;
	queue->called += with_callback;
	queue_wake_waiters(queue);
}

size_t queue_take_done(struct uds_index_queue *queue, struct uds_index_operation **ret_done,
		       size_t room)
{
	struct uds_index_operation *operation;
	size_t count = 0;

	while (count < room && (operation = operation_list_take(&queue->done)) != NULL)
		ret_done[count++] = operation;
	queue->in_flight -= (uint32_t)count;
	if (count > 0)
		queue_wake_waiters(queue);
	return count;
}
