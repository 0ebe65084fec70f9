/* SPDX-License-Identifier: BSD-2-Clause */
#include "index/flush_group.h"

#include <errno.h>
#include <semaphore.h>
#include <stddef.h>
#include <time.h>

#define NS_PER_SECOND UINT64_C(1000000000)

/* The longest that a leader waits for others, however slow the device is. */
#define MOST_WAIT_NS UINT64_C(1000000)

/* After so many times in vain, in a row, 2 to the power of that many leaders do not wait. */
#define MOST_IN_VAIN 8u

/*
 * A call that waits for a leader. Each has a semaphore of its own: of many that were woken by one
 * condition, each would take the lock in turn, and those that wait for the next leader would have
 * been woken in vain.
 */
struct flush_waiter {
	sem_t woken;
	bool leads; /* woken to lead, and not because all is done */
	int status;
	struct uds_message message; /* of an error */
	struct flush_waiter *next;  /* that came before */
};

void flush_group_make(struct flush_group *group)
{
	*group = (struct flush_group){ .leading = false };
	pthread_mutex_init(&group->lock, NULL);
}

void flush_group_free(struct flush_group *group)
{
	pthread_mutex_destroy(&group->lock);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* Only a signal's handler ends it early. */
static void wait_until_woken(struct flush_waiter *waiter)
{
	while (sem_wait(&waiter->woken) < 0)
		;
}

/* ---- the leader ---- */

/* What came of waiting for others. The lock is held. */
static void judge_gathering(struct flush_group *group, uint32_t before)
{
	bool in_vain = group->waiting - before < (group->expected - before + 1) / 2;

	group->in_vain = !in_vain ? 0 : group->in_vain + (group->in_vain < MOST_IN_VAIN);
	group->to_leave = in_vain ? UINT32_C(1) << group->in_vain : 0;
}

/*
 * Waits until all that are expected wait, but not for long. The lock is held, and let go meanwhile.
 */
static void gather(struct flush_group *group, struct flush_waiter *leader)
{
	uint64_t most = group->took_ns / 2 < MOST_WAIT_NS ? group->took_ns / 2 : MOST_WAIT_NS;
	/* sem_timedwait() has this clock only. */
	uint64_t until = now_ns(CLOCK_REALTIME) + most;
	struct timespec deadline = {
		.tv_sec = (time_t)(until / NS_PER_SECOND),
		.tv_nsec = (long)(until % NS_PER_SECOND),
	};
	uint32_t before = group->waiting;

	if (before >= group->expected)
		return;
	if (group->to_leave > 0) {
		group->to_leave--;
		return;
	}
	group->gathering = leader;
	pthread_mutex_unlock(&group->lock);
	while (sem_timedwait(&leader->woken, &deadline) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&group->lock);
	group->gathering = NULL;
	judge_gathering(group, before);
}

/* Takes the one off that has waited longest. The lock is held. */
static struct flush_waiter *take_oldest(struct flush_group *group)
{
	struct flush_waiter **link = &group->waiters, *oldest;

	if (*link == NULL)
		return NULL;
	while ((*link)->next != NULL)
		link = &(*link)->next;
	oldest = *link;
	*link = NULL;
	group->waiting--;
	return oldest;
}

/* Wakes the next leader first, as the device has nothing to do until then. */
static void finish(struct flush_waiter *next, struct flush_waiter *waiters, int status,
		   const struct uds_message *message)
{
	if (next != NULL) {
		next->leads = true;
		sem_post(&next->woken);
	}
	while (waiters != NULL) {
		struct flush_waiter *waiter = waiters;

		/* It is gone as soon as it wakes. */
		waiters = waiter->next;
		waiter->status = status;
		if (status < 0)
			waiter->message = *message;
		sem_post(&waiter->woken);
	}
}

/* Leads for all that wait by now. Those that come meanwhile are the next leader's. */
static int lead_for_all(struct flush_group *group, struct flush_waiter *leader,
			flush_group_fn *lead, void *context, struct uds_message *message)
{
	struct flush_waiter *waiters, *next;
	uint64_t began;
	uint32_t count;
	int r;

	pthread_mutex_lock(&group->lock);
	gather(group, leader);
	/*
	 * Before anything is looked at: of callers that come later, this flush may miss something.
	 */
	waiters = group->waiters;
	count = group->waiting;
	group->waiters = NULL;
	group->waiting = 0;
	pthread_mutex_unlock(&group->lock);
	began = now_ns(CLOCK_MONOTONIC);
	r = lead(context, message);
	pthread_mutex_lock(&group->lock);
	group->took_ns = now_ns(CLOCK_MONOTONIC) - began;
	next = take_oldest(group);
	group->leading = next != NULL;
	/* Those that are there, those that are woken now, and this thread. */
	group->expected = next != NULL ? group->waiting + count + 1 : 0;
	pthread_mutex_unlock(&group->lock);
	finish(next, waiters, r, message);
	return r;
}

/* ---- the others ---- */

/*
 * Returns whether the caller is to lead. If not, a leader has begun after the call, and has ended.
 */
static bool wait_or_lead(struct flush_group *group, struct flush_waiter *waiter)
{
	bool leads;

	pthread_mutex_lock(&group->lock);
	leads = !group->leading;
	group->leading = true;
	if (!leads) {
		waiter->next = group->waiters;
		group->waiters = waiter;
		group->waiting++;
	}
	if (group->gathering != NULL && group->waiting == group->expected)
		sem_post(&group->gathering->woken);
	pthread_mutex_unlock(&group->lock);
	if (leads)
		return true;
	wait_until_woken(waiter);
	return waiter->leads;
}

int flush_group_run(struct flush_group *group, flush_group_fn *lead, void *context,
		    struct uds_message *message)
{
	struct flush_waiter waiter = { .leads = false };

	sem_init(&waiter.woken, 0, 0);
	if (wait_or_lead(group, &waiter))
		waiter.status = lead_for_all(group, &waiter, lead, context, &waiter.message);
	sem_destroy(&waiter.woken);
	if (waiter.status < 0)
		*message = waiter.message;
	return waiter.status;
}
