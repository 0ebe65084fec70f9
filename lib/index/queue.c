/* SPDX-License-Identifier: BSD-2-Clause */
/* The front of the queues of asynchronous operations. */
#include "index/queue.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "index/queue_private.h"
#include "io/descriptor.h"

#define MAX_DEPTH   2048u
#define MAX_THREADS 64u

/* ---- opening and closing ---- */

static int check_options(const struct uds_index *index,
			 const struct uds_index_queue_options *options)
{
	if (options->depth == 0 || options->depth > MAX_DEPTH)
		return failures_say(index->failures, -EINVAL,
				    "a queue of depth %u: 1 to %u are possible", options->depth,
				    MAX_DEPTH);
	if (options->threads > MAX_THREADS)
		return failures_say(index->failures, -EINVAL,
				    "a queue of %u threads: 0 to %u are possible", options->threads,
				    MAX_THREADS);
	return 0;
}

static int make_parts(struct uds_index_queue *queue, uint32_t threads)
{
	const struct uds_env *env = &queue->index->env;
	int r;

	r = lookup_flight_open(queue->index->volume, queue->depth, &queue->flight);
	if (r == 0)
		r = parking_make(env, queue->depth, &queue->parking);
	for (uint32_t i = 0; r == 0 && i < queue->lane_count; i++)
		r = lane_make(&queue->lanes[i], queue->index, i, queue->depth, &queue->parking);
	if (r < 0)
		return r;
	queue->epochs = env_allocate_zeroed(env, queue->depth + 1, sizeof(queue->epochs[0]));
	queue->threads = env_allocate_zeroed(env, threads + 1, sizeof(queue->threads[0]));
	return queue->epochs == NULL || queue->threads == NULL ? -ENOMEM : 0;
}

static void count_bytes(struct uds_index_queue *queue)
{
	queue->bytes = sizeof(*queue) + queue->lane_count * sizeof(queue->lanes[0]) +
		       queue->depth * (sizeof(struct parked) + sizeof(struct queue_epoch));
	for (uint32_t i = 0; i < queue->lane_count; i++)
		queue->bytes += lane_bytes(&queue->lanes[i]);
}

/* No thread uses it, and nothing is in it but what was not handed out. */
static void free_queue(struct uds_index_queue *queue)
{
	const struct uds_env *env = &queue->index->env;
	struct uds_index_operation *operation;

	while ((operation = operation_list_take(&queue->done)) != NULL)
		queue_give_sentence(queue, operation, false);
	if (queue->epoll >= 0)
		close(queue->epoll);
	if (queue->event >= 0)
		close(queue->event);
	lookup_flight_close(queue->flight);
	parking_free(env, &queue->parking);
	for (uint32_t i = 0; i < queue->lane_count; i++)
		lane_free(&queue->lanes[i]);
	env_release(env, queue->epochs);
	env_release(env, queue->threads);
	pthread_cond_destroy(&queue->work);
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
	env_release(env, queue);
}

/* Carries out what is left, cancelled or not, and ends the threads. */
static void end(struct uds_index_queue *queue)
{
	const struct deadline never = deadline_after(-1);

	pthread_mutex_lock(&queue->lock);
	queue->stop = true;
	pthread_cond_broadcast(&queue->work);
	while (queue->unfinished > 0)
		queue_go_on(queue, &never);
	pthread_mutex_unlock(&queue->lock);
	for (uint32_t i = 0; i < queue->thread_count; i++)
		pthread_join(queue->threads[i], NULL);
}

static int start_threads(struct uds_index_queue *queue, uint32_t threads)
{
	sigset_t all, before;
	int r = 0;

	/* The new threads inherit the mask: no signal of the program is delivered to them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (r == 0 && queue->thread_count < threads) {
		r = -pthread_create(&queue->threads[queue->thread_count], NULL, queue_work, queue);
		queue->thread_count += r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		return 0;
	failures_say(queue->index->failures, r,
		     "%s: opening a queue: thread %u of %u cannot be made: %s",
		     uds_io_name(queue->index->io), queue->thread_count + 1, threads,
		     no_thread_text(r));
	end(queue);
	return r;
}

static int open_queue(struct uds_index *index, const struct uds_index_queue_options *options,
		      struct uds_index_queue **ret_queue)
{
	struct uds_index_queue *queue = env_allocate_zeroed(
		&index->env, 1, sizeof(*queue) + index->zone_count * sizeof(queue->lanes[0]));
	int r;

	if (queue == NULL)
		return -ENOMEM;
	queue->index = index;
	queue->depth = options->depth;
	queue->lane_count = index->zone_count;
	queue->event = queue->epoll = -1;
	pthread_mutex_init(&queue->lock, NULL);
	deadline_condition_init(&queue->work);
	deadline_condition_init(&queue->changed);
	r = make_parts(queue, options->threads);
	if (r == 0)
		r = start_threads(queue, options->threads);
	if (r < 0)
		free_queue(queue);
	else
		*ret_queue = queue;
	return r;
}

UDS_PUBLIC int uds_index_queue_open(struct uds_index *index,
				    const struct uds_index_queue_options *given,
				    struct uds_index_queue **ret_queue)
{
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	struct uds_index_queue *queue = NULL;
	struct uds_message message;
	int r = 0;

	failures_begin(index->failures);
	if (given != NULL)
		r = STRUCT_IN(&options, given, uds_index_queue_options, threads, &message);
	if (r < 0)
		return failures_keep(index->failures, r, &message);
	r = check_options(index, &options);
	if (r == 0)
		r = open_queue(index, &options, &queue);
	if (r < 0)
		return index_end(index, r, "opening a queue");
	count_bytes(queue);
	pthread_mutex_lock(&index->zones[0].lock);
	queue->next = index->queues;
	index->queues = queue;
	index->queue_bytes += queue->bytes;
	pthread_mutex_unlock(&index->zones[0].lock);
	*ret_queue = queue;
	return 0;
}

UDS_PUBLIC void uds_index_queue_close(struct uds_index_queue *queue)
{
	struct uds_index_queue **link;
	struct uds_index *index;

	if (queue == NULL)
		return;
	index = queue->index;
	failures_begin(index->failures);
	uds_index_queue_cancel(queue);
	end(queue);
	pthread_mutex_lock(&index->zones[0].lock);
	for (link = &index->queues; *link != queue; link = &(*link)->next)
		;
	*link = queue->next;
	index->queue_bytes -= queue->bytes;
	pthread_mutex_unlock(&index->zones[0].lock);
	free_queue(queue);
}

void index_close_queues(struct uds_index *index)
{
	while (index->queues != NULL)
		uds_index_queue_close(index->queues);
}

UDS_PUBLIC void uds_index_queue_cancel(struct uds_index_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->cancelled = true;
	/* Those that wait for room, and those that cancel what is there. */
	pthread_cond_broadcast(&queue->changed);
	pthread_cond_broadcast(&queue->work);
	if (queue->polling)
		lookup_flight_wake(queue->flight);
	pthread_mutex_unlock(&queue->lock);
}

/* ---- submitting ---- */

static void take_in(struct uds_index_queue *queue, struct uds_index_operation *operation)
{
	struct queue_epoch *epoch = &queue->epochs[queue->last_epoch];

	queue->in_flight++;
	queue->unfinished++;
	if (operation->kind == UDS_OPERATION_FLUSH) {
		epoch->flush = operation;
		queue->last_epoch = (queue->last_epoch + 1) % (queue->depth + 1);
		queue->epochs[queue->last_epoch] = (struct queue_epoch){ .left = 0 };
		return;
	}
	operation->place[3] = queue->last_epoch;
	epoch->left++;
	operation_list_add(&queue->lanes[operation->place[0] >> 8].pending, operation);
}

/* As many as there is room for. Returns how many. */
static size_t take_some(struct uds_index_queue *queue,
			struct uds_index_operation *const *operations, size_t count)
{
	size_t taken = 0;

	while (taken < count && queue->in_flight < queue->depth)
		take_in(queue, operations[taken++]);
	if (taken > 0) {
		queue_wake_driver(queue);
		queue_set_event(queue);
	}
	return taken;
}

UDS_PUBLIC int uds_index_submit(struct uds_index_queue *queue,
				struct uds_index_operation *const *operations, size_t count,
				int timeout_ms)
{
	const bool waits = timeout_ms != 0 && !queue_is_calling(queue);
	struct deadline deadline = deadline_after(timeout_ms);
	struct uds_index *index = queue->index;
	size_t taken = 0;
	bool cancelled;

	failures_begin(index->failures);
	/* Not more than a return value can say. */
	if (count > MAX_DEPTH)
		count = MAX_DEPTH;
	/* Before the lock is taken, and all at once: their list heads are fetched meanwhile. */
	for (size_t i = 0; i < count; i++)
		(void)lane_locate(index, operations[i]);
	pthread_mutex_lock(&queue->lock);
	for (;;) {
		cancelled = queue->cancelled;
		if (!cancelled)
			taken += take_some(queue, operations + taken, count - taken);
		if (cancelled || taken == count || !waits || deadline_is_over(&deadline))
			break;
		queue_go_on(queue, &deadline);
	}
	if (waits)
		queue_pass_on(queue);
	pthread_mutex_unlock(&queue->lock);
	if (taken > 0 || count == 0)
		return (int)taken;
	return cancelled ? failures_say(index->failures, -ECANCELED, "%s: the queue was cancelled",
					uds_io_name(index->io))
			 : failures_say(index->failures, -EAGAIN,
					"%s: the queue is full: its depth is %u",
					uds_io_name(index->io), queue->depth);
}

/* ---- handing out ---- */

/* What a call of reap waits for. */
struct reaping {
	struct uds_index_operation **done;
	size_t room, least;
	size_t count;	 /* handed out */
	uint64_t called; /* of the queue, when the call began */
};

/* Hands out what there is. Returns whether that is enough. */
static bool has_enough(struct uds_index_queue *queue, struct reaping *reaping)
{
	/* Without room there may be no array either. */
	if (reaping->count < reaping->room)
		reaping->count += queue_take_done(queue, reaping->done + reaping->count,
						  reaping->room - reaping->count);
	return (reaping->room > 0 && reaping->count == reaping->room) ||
	       reaping->count + (queue->called - reaping->called) >= reaping->least ||
	       queue->unfinished == 0;
}

/* The caller gets the first sentence only. */
static void give_sentences(struct uds_index_queue *queue, const struct reaping *reaping)
{
	bool keep = true;

	for (size_t i = 0; i < reaping->count; i++) {
		if (reaping->done[i]->request.status == 0)
			continue;
		queue_give_sentence(queue, reaping->done[i], keep);
		keep = false;
	}
}

UDS_PUBLIC int uds_index_reap(struct uds_index_queue *queue, struct uds_index_operation **ret_done,
			      size_t room, size_t least, int timeout_ms)
{
	struct reaping reaping = { .done = ret_done, .room = room, .least = least };
	struct deadline deadline = deadline_after(timeout_ms);
	struct uds_index *index = queue->index;

	failures_begin(index->failures);
	if (queue_is_calling(queue))
		return failures_say(index->failures, -EDEADLK,
				    "%s: a callback must not wait for others of its queue",
				    uds_io_name(index->io));
	if (queue->thread_count == 0)
		queue_drive(queue);
	pthread_mutex_lock(&queue->lock);
	reaping.called = queue->called;
	while (!has_enough(queue, &reaping) && !deadline_is_over(&deadline))
		queue_go_on(queue, &deadline);
	queue_set_event(queue);
	queue_pass_on(queue);
	pthread_mutex_unlock(&queue->lock);
	/* What callbacks have left is not about this call. */
	failures_begin(index->failures);
	give_sentences(queue, &reaping);
	return (int)reaping.count;
}

UDS_PUBLIC unsigned int uds_index_queue_in_flight(const struct uds_index_queue *given)
{
	/* Looking at it takes its lock: that changes nothing that a caller sees. */
	struct uds_index_queue *queue = (struct uds_index_queue *)(uintptr_t)given;
	unsigned int count;

	pthread_mutex_lock(&queue->lock);
	count = queue->in_flight;
	pthread_mutex_unlock(&queue->lock);
	return count;
}

/* ---- event loops ---- */

/* One descriptor for what is done, and for reads that are done. */
static int join_events(const struct uds_index_queue *queue, int event)
{
	struct epoll_event readable = { .events = EPOLLIN };
	int epoll, reads, r;

	r = lookup_flight_event(queue->flight, &reads);
	if (r < 0)
		return r;
	epoll = descriptor_epoll();
	if (epoll < 0)
		return epoll;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, event, &readable) == 0 &&
	    epoll_ctl(epoll, EPOLL_CTL_ADD, reads, &readable) == 0)
		return epoll;
	r = -errno;
	close(epoll);
	return r;
}

static int make_event(struct uds_index_queue *queue)
{
	int event, epoll = -1;

	if (queue->event >= 0)
		return 0;
	event = descriptor_eventfd();
	if (event < 0)
		return event;
	/* The threads of a queue wait for reads by themselves. */
	if (queue->thread_count == 0) {
		epoll = join_events(queue, event);
		if (epoll < 0) {
			close(event);
			return epoll;
		}
	}
	queue->event = event;
	queue->epoll = epoll;
	queue_set_event(queue);
	return 0;
}

UDS_PUBLIC int uds_index_queue_event_descriptor(struct uds_index_queue *queue, int *ret_descriptor)
{
	struct uds_index *index = queue->index;
	int r;

	failures_begin(index->failures);
	pthread_mutex_lock(&queue->lock);
	r = make_event(queue);
	if (r == 0)
		*ret_descriptor = queue->epoll >= 0 ? queue->epoll : queue->event;
	pthread_mutex_unlock(&queue->lock);
	return index_end(index, r, "making a descriptor for the events of a queue");
}
