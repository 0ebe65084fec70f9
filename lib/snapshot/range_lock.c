/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges in use: a list in order of arrival, as long as there are requests under way. */
#include "snapshot/range_lock.h"

void range_lock_init(struct range_lock *lock)
{
	pthread_mutex_init(&lock->lock, NULL);
	pthread_cond_init(&lock->changed, NULL);
	lock->oldest = NULL;
	lock->newest = NULL;
	lock->claims = NULL;
	lock->waiting_for_claims = 0;
	lock->turns = 0;
}

void range_lock_destroy(struct range_lock *lock)
{
	pthread_cond_destroy(&lock->changed);
	pthread_mutex_destroy(&lock->lock);
}

static bool overlap(const struct range_hold *a, const struct range_hold *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/*
 * Whether one of the claim's runs has a byte of [first, last]. Chunks that a merge copies lie on
 * the origin, so their places in bytes do not overflow.
 */
static bool claimed(const struct range_claim *claim, uint64_t first, uint64_t last)
{
	size_t low = 0, count = claim->count;

	/* The first run that ends behind @first. */
	while (count > 0) {
		const struct map_run *run = &claim->runs[low + count / 2];

		if ((run->old_chunk + run->count) * claim->chunk_bytes <= first) {
			low += count / 2 + 1;
			count -= count / 2 + 1;
		} else {
			count /= 2;
		}
	}
	return low < claim->count && claim->runs[low].old_chunk * claim->chunk_bytes <= last;
}

static bool blocked_by_claim(const struct range_lock *lock, const struct range_hold *hold)
{
	/* Claims keep writers out only: readers see the COW device's copy until the commit. */
	if (!hold->exclusive)
		return false;
	for (const struct range_claim *c = lock->claims; c != NULL; c = c->next) {
		if (claimed(c, hold->first, hold->last))
			return true;
	}
	return false;
}

static bool blocked_by_hold(const struct range_lock *lock, const struct range_hold *hold)
{
	bool earlier = true;

	for (const struct range_hold *h = lock->oldest; h != NULL; h = h->next) {
		if (h == hold) {
			earlier = false;
			continue;
		}
		if (!overlap(h, hold) || (!h->exclusive && !hold->exclusive))
			continue;
		/*
		 * Of those that wait, only earlier ones count, so that no request overtakes
		 * and none starves.
		 */
		if (h->granted)
			return true;
		/*
		 * A writer that a merge keeps out may be overtaken by readers: it would keep them
		 * waiting for a commit that does not concern them.
		 */
		if (earlier && !(h->behind_claim && !hold->exclusive))
			return true;
	}
	return false;
}

static void append(struct range_lock *lock, struct range_hold *hold)
{
	hold->next = NULL;
	hold->previous = lock->newest;
	if (lock->newest != NULL)
		lock->newest->next = hold;
	else
		lock->oldest = hold;
	lock->newest = hold;
}

void range_acquire(struct range_lock *lock, struct range_hold *hold, uint64_t first, uint64_t last,
		   bool exclusive)
{
	bool behind;

	hold->first = first;
	hold->last = last;
	hold->exclusive = exclusive;
	hold->granted = false;
	hold->behind_claim = false;
	pthread_mutex_lock(&lock->lock);
	/* In the list even while it waits, so that those that come later know of it. */
	append(lock, hold);
	for (;;) {
		behind = blocked_by_claim(lock, hold);
		if (behind && !hold->behind_claim) {
			hold->behind_claim = true;
			/* Readers behind this one need not wait any longer. */
			pthread_cond_broadcast(&lock->changed);
		}
		hold->behind_claim = behind;
		if (!behind && !blocked_by_hold(lock, hold))
			break;
		/* Counted while they sleep: a merge looks at this to make its groups small. */
		lock->waiting_for_claims += behind;
		pthread_cond_wait(&lock->changed, &lock->lock);
		lock->waiting_for_claims -= behind;
	}
	hold->granted = true;
	hold->turn = lock->turns++;
	pthread_mutex_unlock(&lock->lock);
}

void range_release(struct range_lock *lock, struct range_hold *hold)
{
	pthread_mutex_lock(&lock->lock);
	if (hold->previous != NULL)
		hold->previous->next = hold->next;
	else
		lock->oldest = hold->next;
	if (hold->next != NULL)
		hold->next->previous = hold->previous;
	else
		lock->newest = hold->previous;
	if (lock->oldest != NULL || lock->claims != NULL)
		pthread_cond_broadcast(&lock->changed);
	pthread_mutex_unlock(&lock->lock);
}

/* Writers, or readers, that were granted one of the first @turns holds. */
static bool are_inside(const struct range_lock *lock, const struct range_claim *claim,
		       bool exclusive, uint64_t turns)
{
	for (const struct range_hold *h = lock->oldest; h != NULL; h = h->next) {
		if (h->granted && h->exclusive == exclusive && h->turn < turns &&
		    claimed(claim, h->first, h->last))
			return true;
	}
	return false;
}

void range_claim(struct range_lock *lock, struct range_claim *claim)
{
	pthread_mutex_lock(&lock->lock);
	/* In the list first: writers that come now wait, and those inside are waited for. */
	claim->next = lock->claims;
	lock->claims = claim;
	while (are_inside(lock, claim, true, UINT64_MAX))
		pthread_cond_wait(&lock->changed, &lock->lock);
	pthread_mutex_unlock(&lock->lock);
}

void range_wait_for_readers(struct range_lock *lock, const struct range_claim *claim)
{
	uint64_t turns;

	pthread_mutex_lock(&lock->lock);
	/*
	 * Only those that are inside by now: later ones find the exceptions, and read the copies.
	 */
	turns = lock->turns;
	while (are_inside(lock, claim, false, turns))
		pthread_cond_wait(&lock->changed, &lock->lock);
	pthread_mutex_unlock(&lock->lock);
}

void range_unclaim(struct range_lock *lock, struct range_claim *claim)
{
	struct range_claim **at = &lock->claims;

	pthread_mutex_lock(&lock->lock);
	while (*at != claim)
		at = &(*at)->next;
	*at = claim->next;
	pthread_cond_broadcast(&lock->changed);
	pthread_mutex_unlock(&lock->lock);
}

bool range_claims_in_the_way(struct range_lock *lock)
{
	bool waiting;

	pthread_mutex_lock(&lock->lock);
	waiting = lock->waiting_for_claims > 0;
	pthread_mutex_unlock(&lock->lock);
	return waiting;
}
