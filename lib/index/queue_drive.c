/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carrying operations out: the lanes, one after the other, then flushes whose turn it is; and the
 * lookups that wait for reads in between.
 */
#include <errno.h>

#include "base/env.h"
#include "index/journal.h"
#include "index/queue_private.h"

/* ---- lookups ---- */

/* Lookups that have ended, by next. */
struct ending {
	struct uds_index_queue *queue;
	struct parked *first;
};

static void note_ended(void *context, struct volume_lookup *lookup,
		       const struct uds_message *message)
{
	/* The lookup is the first member of what waits for it. */
	struct parked *parked = (struct parked *)(void *)lookup;
	struct ending *ending = context;

	parked_ended(&ending->queue->index->env, parked, message);
	parked->next = ending->first;
	ending->first = parked;
}

/* Those that have ended go back to their lanes. */
static void take_steps(struct uds_index_queue *queue, struct volume_lookup *const *lookups,
		       size_t count)
{
	struct ending ending = { queue, NULL };

	lookup_flight_go(queue->flight, lookups, count, note_ended, &ending);
	if (ending.first == NULL)
		return;
	pthread_mutex_lock(&queue->lock);
	while (ending.first != NULL) {
		struct parked *parked = ending.first;
		struct lane *lane = &queue->lanes[parked->owner->place[0] >> 8];

		ending.first = parked->next;
		parked->next = lane->found;
		lane->found = parked;
	}
	pthread_mutex_unlock(&queue->lock);
}

static void start_lookups(struct uds_index_queue *queue, struct parked *started)
{
	struct volume_lookup *lookups[LOOKUP_FLIGHT_SOME];
	size_t count = 0;

	while (started != NULL) {
		struct parked *next = started->next;

		lookups[count++] = &started->lookup;
		if (count == LOOKUP_FLIGHT_SOME || next == NULL) {
			take_steps(queue, lookups, count);
			count = 0;
		}
		started = next;
	}
}

/* Goes on with lookups whose reads are done; waits for one at most so many milliseconds. */
static void collect(struct uds_index_queue *queue, int timeout_ms)
{
	struct volume_lookup *lookups[LOOKUP_FLIGHT_SOME];
	size_t count;

	count = lookup_flight_reap(queue->flight, lookups, LOOKUP_FLIGHT_SOME, timeout_ms);
	if (count > 0)
		take_steps(queue, lookups, count);
}

/* ---- lanes ---- */

static bool lane_has_work(const struct lane *lane)
{
	return !lane->driven && (lane->pending.first != NULL || lane->found != NULL);
}

/* Takes a lane, if there is something to do in it, and the lock of its zone. */
static bool enter_lane(struct uds_index_queue *queue, struct lane *lane, bool wait, bool *busy)
{
	bool enters;

	pthread_mutex_lock(&queue->lock);
	enters = lane_has_work(lane);
	lane->driven |= enters;
	pthread_mutex_unlock(&queue->lock);
	if (!enters)
		return false;
	if (wait) {
		pthread_mutex_lock(&lane->zone->lock);
		return true;
	}
	if (pthread_mutex_trylock(&lane->zone->lock) == 0)
		return true;
	*busy = true;
	pthread_mutex_lock(&queue->lock);
	lane->driven = false;
	pthread_mutex_unlock(&queue->lock);
	return false;
}

/* @wait: for the lock of the zone; else sets @busy when that is taken. Returns whether it drove. */
static bool drive_lane(struct uds_index_queue *queue, struct lane *lane, bool wait, bool *busy)
{
	struct lane_pass pass = { .parks = lookup_flight_is_worth(queue->flight) };

	if (!enter_lane(queue, lane, wait, busy))
		return false;
	pthread_mutex_lock(&queue->lock);
	pass.cancelled = queue->cancelled;
	pass.input = lane->pending;
	pass.found = lane->found;
	lane->pending = (struct operation_list){ .first = NULL };
	lane->found = NULL;
	pthread_mutex_unlock(&queue->lock);
	lane_drive(lane, &pass);
	pthread_mutex_unlock(&lane->zone->lock);
	/* First of all: the device has something to do meanwhile. */
	start_lookups(queue, pass.started);
	pthread_mutex_lock(&queue->lock);
	lane->driven = false;
	queue_finish(queue, &pass.done);
	pthread_mutex_unlock(&queue->lock);
	return true;
}

/* Each lane once. */
static void drive_lanes(struct uds_index_queue *queue)
{
	bool busy = false, drove = false;
	uint32_t first;

	pthread_mutex_lock(&queue->lock);
	/* Another one each time, so that threads begin in different zones. */
	first = queue->next_lane++;
	pthread_mutex_unlock(&queue->lock);
	for (uint32_t i = 0; i < queue->lane_count; i++)
		drove |= drive_lane(queue, &queue->lanes[(first + i) % queue->lane_count], false,
				    &busy);
	/* Other callers have all the zones that there is something to do in: behind one of them. */
	for (uint32_t i = 0; busy && !drove && i < queue->lane_count; i++)
		drove = drive_lane(queue, &queue->lanes[(first + i) % queue->lane_count], true,
				   &busy);
}

/* ---- flushes ---- */

/* Those whose turn it is: one flush of the index does for all of them. */
static bool take_flushes(struct uds_index_queue *queue, struct operation_list *ret_flushes)
{
	bool cancelled;

	pthread_mutex_lock(&queue->lock);
	for (;;) {
		struct queue_epoch *epoch = &queue->epochs[queue->first_epoch];

		if (epoch->flush == NULL || epoch->left > 0)
			break;
		operation_list_add(ret_flushes, epoch->flush);
		queue->first_epoch = (queue->first_epoch + 1) % (queue->depth + 1);
	}
	cancelled = queue->cancelled;
	pthread_mutex_unlock(&queue->lock);
	return cancelled;
}

static void set_status(const struct uds_index *index, struct operation_list *flushes, int status)
{
	struct uds_message message;

	if (status < 0)
		failures_get(index->failures, &message);
	for (struct uds_index_operation *flush = flushes->first; flush != NULL;
	     flush = flush->next) {
		struct uds_message *sentence = NULL;

		flush->request.status = status;
		if (status < 0 && message.text[0] != '\0')
			sentence = env_allocate(&index->env, 1, sizeof(*sentence));
		if (sentence != NULL)
			*sentence = message;
		flush->sentence = sentence;
	}
	failures_begin(index->failures);
}

static void carry_out_flushes(struct uds_index_queue *queue)
{
	struct operation_list flushes = { .first = NULL };
	const bool cancelled = take_flushes(queue, &flushes);

	if (flushes.first == NULL)
		return;
	set_status(queue->index, &flushes, cancelled ? -ECANCELED : index_flush(queue->index));
	pthread_mutex_lock(&queue->lock);
	queue_finish(queue, &flushes);
	pthread_mutex_unlock(&queue->lock);
}

/* ---- all of it ---- */

void queue_drive(struct uds_index_queue *queue)
{
	if (lookup_flight_count(queue->flight) > 0)
		collect(queue, 0);
	drive_lanes(queue);
	carry_out_flushes(queue);
}

void queue_wait(struct uds_index_queue *queue, bool drives, const struct deadline *deadline)
{
	if (!drives) {
		queue->waiters++;
		deadline_wait(&queue->changed, &queue->lock, deadline);
		queue->waiters--;
		return;
	}
	if (queue->polling || lookup_flight_count(queue->flight) == 0) {
		queue->sleepers++;
		deadline_wait(&queue->work, &queue->lock, deadline);
		queue->sleepers--;
		return;
	}
	queue->polling = true;
	pthread_mutex_unlock(&queue->lock);
	collect(queue, deadline_remaining(deadline));
	pthread_mutex_lock(&queue->lock);
	queue->polling = false;
}

void queue_pass_on(struct uds_index_queue *queue)
{
	if (queue->sleepers > 0 && !queue->polling &&
	    (queue_has_work(queue) || lookup_flight_count(queue->flight) > 0))
		pthread_cond_signal(&queue->work);
}

void queue_go_on(struct uds_index_queue *queue, const struct deadline *deadline)
{
	const bool drives = queue->thread_count == 0;

	if (!drives || !queue_has_work(queue)) {
		queue_wait(queue, drives, deadline);
		return;
	}
	pthread_mutex_unlock(&queue->lock);
	queue_drive(queue);
	pthread_mutex_lock(&queue->lock);
}

void *queue_work(void *argument)
{
	const struct deadline never = deadline_after(-1);
	struct uds_index_queue *queue = argument;

	pthread_mutex_lock(&queue->lock);
	while (!queue->stop || queue->unfinished > 0) {
		if (!queue_has_work(queue)) {
			queue_wait(queue, true, &never);
			continue;
		}
		pthread_mutex_unlock(&queue->lock);
		queue_drive(queue);
		pthread_mutex_lock(&queue->lock);
	}
	queue_pass_on(queue);
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}
