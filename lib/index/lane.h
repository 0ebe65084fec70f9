/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lane: the operations of one queue that are about names of one zone.
 *
 * They are carried out in the order in which they were submitted, but for those that wait for pages
 * of the volume: others pass them. Only one with the same name must not. So the names of those that
 * wait are in a table of few buckets; who comes to a bucket that is taken queues up in it. Names
 * that share a bucket wait for each other in vain, which is rare, and costs time only.
 *
 * Threads: one at a time drives a lane, holding the lock of its zone. pending, found and driven are
 * under the queue's lock.
 */
#ifndef INDEX_LANE_H
#define INDEX_LANE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/async.h>

#include "index/batch.h"
#include "volume/lookup_flight.h"

struct operation_list {
	struct uds_index_operation *first, *last;
	size_t count;
};

static inline void operation_list_add(struct operation_list *list,
				      struct uds_index_operation *operation)
{
	operation->next = NULL;
	if (list->first == NULL)
		list->first = operation;
	else
		list->last->next = operation;
	list->last = operation;
	list->count++;
}

/* Returns NULL when it is empty. */
static inline struct uds_index_operation *operation_list_take(struct operation_list *list)
{
	struct uds_index_operation *operation = list->first;

	if (operation != NULL) {
		list->first = operation->next;
		list->count--;
	}
	return operation;
}

/* Moves all of @from behind @list. */
static inline void operation_list_join(struct operation_list *list, struct operation_list *from)
{
	if (from->first == NULL)
		return;
	if (list->first == NULL)
		list->first = from->first;
	else
		list->last->next = from->first;
	list->last = from->last;
	list->count += from->count;
	*from = (struct operation_list){ .first = NULL };
}

/* An operation that waits for pages, and the lookup that gets them. */
struct parked {
	struct volume_lookup lookup; /* first */
	struct operation operation;  /* as it goes on later */
	struct page_answer *answer;  /* of the operation's, the one that the lookup is for */
	struct uds_message *why;     /* of a lookup that failed; may be NULL */
	struct uds_index_operation *owner;
	struct parked *next;
};

/* As many as there may be operations in flight, for all lanes of a queue. */
struct parking {
	pthread_mutex_t lock;
	struct parked *free;
	struct parked *all;
};

int parking_make(const struct uds_env *env, uint32_t count, struct parking *ret_parking);
void parking_free(const struct uds_env *env, struct parking *parking);

/* For lookup_flight_go(): the answer goes to the operation. */
void parked_ended(const struct uds_env *env, struct parked *parked,
		  const struct uds_message *message);

struct lane {
	struct uds_index *index;
	struct index_zone *zone;
	struct parking *parking;

	/* Under the queue's lock. */
	struct operation_list pending; /* submitted */
	struct parked *found;	       /* whose lookups have ended */
	bool driven;		       /* a thread does */

	/* The driving thread's. */
	struct operation_list *buckets; /* of each, the first waits for pages, the others for it */
	uint32_t bucket_mask;
	uint32_t queued;		       /* operations in buckets */
	struct uds_index_operation *unblocked; /* first in their bucket, and to begin; by waits */
};

/* @depth: of the queue. Returns 0 or -ENOMEM; to be freed in any case. */
int lane_make(struct lane *lane, struct uds_index *index, unsigned int zone, uint32_t depth,
	      struct parking *parking);
void lane_free(struct lane *lane);

/* Memory of a lane. */
uint64_t lane_bytes(const struct lane *lane);

/* Notes where an operation's name is, and returns its zone. No lock is needed. */
unsigned int lane_locate(const struct uds_index *index, struct uds_index_operation *operation);

/* What one thread does in a lane at a time. */
struct lane_pass {
	bool cancelled;		     /* nothing more is to be carried out */
	bool parks;		     /* reads are slow: operations wait for them in flight */
	struct operation_list input; /* new ones */
	struct parked *found;	     /* whose lookups have ended */

	/* The result. */
	struct operation_list done;
	struct parked *started; /* whose lookups are to be taken on */
};

/*
 * Carries out what can be of a pass. The lock of the zone is held, and released where a batch
 * releases it (batch.h), and between batches.
 */
void lane_drive(struct lane *lane, struct lane_pass *pass);

#endif
