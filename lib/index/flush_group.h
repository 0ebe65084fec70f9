/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that want the same done, a flush: one thread does it for all that asked before it began.
 * The others wait, and one of them leads next.
 *
 * A new leader waits a moment for those that were with the one before: their calls have just
 * returned, and if they ask again at once, half of them would else be late for each flush. It waits
 * at most half as long as a flush takes, and not where that was in vain.
 */
#ifndef INDEX_FLUSH_GROUP_H
#define INDEX_FLUSH_GROUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/status.h>

struct flush_waiter;

struct flush_group {
	pthread_mutex_t lock;	      /* for what follows; no other lock is taken under it */
	bool leading;		      /* a thread leads, or was woken to */
	struct flush_waiter *waiters; /* for the next leader, the latest first */
	uint32_t waiting;	      /* how many */

	/* A leader that waits for others, and how many there are to be. */
	struct flush_waiter *gathering;
	uint32_t expected;

	/* The leader's. */
	uint64_t took_ns;  /* how long the last flush took */
	uint32_t in_vain;  /* how often in a row those that were waited for did not come */
	uint32_t to_leave; /* how many leaders are not to wait for that */
};

typedef int flush_group_fn(void *context, struct uds_message *message);

void flush_group_make(struct flush_group *group);
void flush_group_free(struct flush_group *group);

/*
 * Returns what @lead returned, here or in another thread, when it was called after this call began.
 * It is called by one thread at a time.
 */
int flush_group_run(struct flush_group *group, flush_group_fn *lead, void *context,
		    struct uds_message *message);

#endif
