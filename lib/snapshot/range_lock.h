/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks on ranges of the origin: they are held shared (by readers) or exclusively (by writers),
 * and claims of a merge, which keep writers out and let readers in.
 *
 * Requests to the same bytes are served in order of arrival; a reader does not wait for a writer
 * that itself waits for a merge. A thread takes all it needs in one call and holds no second range,
 * so threads never wait in a circle.
 */
#ifndef SNAPSHOT_RANGE_LOCK_H
#define SNAPSHOT_RANGE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exceptions/exception_map.h"

struct range_hold {
	uint64_t first; /* bytes */
	uint64_t last;	/* included */
	bool exclusive;
	bool granted;
	bool behind_claim;
	uint64_t turn; /* when it was granted */
	struct range_hold *previous;
	struct range_hold *next;
};

/* Chunks that a merge copies: runs in ascending order of old chunks, which stay the caller's. */
struct range_claim {
	const struct map_run *runs;
	size_t count;
	uint64_t chunk_bytes;
	struct range_claim *next;
};

struct range_lock {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct range_hold *oldest;
	struct range_hold *newest;
	struct range_claim *claims;
	unsigned int waiting_for_claims;
	uint64_t turns; /* holds granted so far */
};

void range_lock_init(struct range_lock *lock);
void range_lock_destroy(struct range_lock *lock);

/*
 * Waits until the range [first, last] is free. The hold lies with the caller until it is
 * released.
 */
void range_acquire(struct range_lock *lock, struct range_hold *hold, uint64_t first, uint64_t last,
		   bool exclusive);
void range_release(struct range_lock *lock, struct range_hold *hold);

/* Keeps new writers from these chunks and waits for those under way. */
void range_claim(struct range_lock *lock, struct range_claim *claim);
void range_unclaim(struct range_lock *lock, struct range_claim *claim);

/* Waits for the readers that are in these chunks now; not for any that come later. */
void range_wait_for_readers(struct range_lock *lock, const struct range_claim *claim);

/* Whether a writer waits for a claim: the merge then makes its rounds small. */
bool range_claims_in_the_way(struct range_lock *lock);

#endif
