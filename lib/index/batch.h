/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A batch: the requests of one zone that are in flight together, each as an operation.
 *
 * Batches live on a pool of their zone, not on a stack, so that an operation can wait, and so that
 * no call needs much stack. One batch is made with the zone; each further one when more threads use
 * the zone at once than ever before. It is then kept.
 *
 * The zone's lock is held whenever a function of lib/index is called with a batch, but for
 * batch_add(). It is released only where pages are read (pages.h) and where a chapter is closed or
 * enters the sparse cache. Re-read all state of the index and the zone after these calls; only page
 * answers survive, because they say themselves which chapter they are about.
 */
#ifndef INDEX_BATCH_H
#define INDEX_BATCH_H

#include "index/index.h"
#include "index/request_kind.h"
#include "volume/volume_search.h"

#define BATCH_MAX 256

/*
 * How many operations ahead the lists are fetched, and from twice as far where they are: far enough
 * for memory, near enough for the cache.
 */
#define BATCH_AHEAD 8

/*
 * How many chapters a batch reads ahead for the sparse cache; more than it holds would
 * be evicted unused.
 */
#define BATCH_MAX_COPIES 7

/*
 * What an operation says after a step: its driver gets that for it, and then takes the next step.
 */
enum step {
	STEP_DONE = 0,
	STEP_WANTS_PAGES = 1,
	STEP_WANTS_CHAPTER_CLOSED = 2,
};

/*
 * What the search of a chapter on the volume came to. It is used only while the index
 * still says that this is the chapter to look in: a chapter that the index can name is
 * not overwritten meanwhile.
 */
struct page_answer {
	uint64_t vcn; /* NO_CHAPTER: nothing was asked */
	int status;
	bool found;
	struct uds_record_data data;
};

enum operation_state {
	OPERATION_STARTED = 0,
	OPERATION_FILLED_CHAPTER, /* has its result; the open chapter is to be closed now */
	OPERATION_DONE,
};

/* One request that is being carried out. */
struct operation {
	struct uds_request *request;
	const struct request_kind *kind;
	struct name_place place;
	uint8_t state; /* enum operation_state */
	bool triaged;  /* its chapter is in the sparse cache already, or need not be */

	/*
	 * About the chapter that the volume index names, the recent ones by their distance, and one
	 * in the sparse cache.
	 */
	struct page_answer hint;
	struct page_answer recent[RECENT_CHAPTERS];
	struct page_answer cached;
};

struct batch {
	struct uds_index *index;
	struct index_zone *zone;
	struct batch *next; /* on the pool */

	size_t count;
	struct operation operations[BATCH_MAX];

	/* What they want from the volume, while it is read, and where the answers go. */
	size_t search_count;
	struct volume_search searches[BATCH_MAX];
	struct page_answer *answers[BATCH_MAX];

	/*
	 * Why the open chapter could not be closed for one of the operations; 0: it could. The
	 * others do not try again: a device that fails may take long to say so.
	 */
	int close_status;

	/*
	 * Chapter indexes for the sparse cache, not put there yet; the first @copies_read are read.
	 */
	unsigned int copy_count;
	unsigned int copies_read;
	struct chapter_copy *copies[BATCH_MAX_COPIES];
};

/* An empty pool becomes one with a batch. Returns 0 or -ENOMEM. */
int batch_pool_make(struct uds_index *index, struct index_zone *zone);

/* How many batches there are, on the pool and in use. */
unsigned int batch_pool_count(struct index_zone *zone);

/* No batch is in use. */
void batch_pool_free(struct uds_index *index, struct index_zone *zone);

/*
 * Takes an empty batch from the pool. Returns NULL when there is none and no memory
 * for another one.
 */
struct batch *batch_take(struct uds_index *index, struct index_zone *zone);

/* Puts a batch back whose operations are done. */
void batch_give(struct batch *batch);

/* The same for callers that have the zone's lock, mostly without the one of the pool. */
struct batch *batch_take_aside(struct uds_index *index, struct index_zone *zone);
void batch_give_aside(struct batch *batch);

/* Submits a request to a batch that has less than BATCH_MAX. No lock is needed. */
static inline void batch_add(struct batch *batch, struct uds_request *request,
			     const struct name_place *place)
{
	struct operation *operation = &batch->operations[batch->count++];

	operation->request = request;
	operation->kind = request_kind_of(request->kind);
	operation->place = *place;
	operation->state = OPERATION_STARTED;
	operation->triaged = false;
	operation->hint.vcn = NO_CHAPTER;
	for (unsigned int i = 0; i < RECENT_CHAPTERS; i++)
		operation->recent[i].vcn = NO_CHAPTER;
	operation->cached.vcn = NO_CHAPTER;
}

/*
 * Whether a chapter's records of the zone are in memory: those of the open chapter, and of the one
 * that was closed last, however far its writing is.
 */
static inline bool batch_has_in_memory(const struct batch *batch, uint64_t vcn)
{
	const struct uds_index *index = batch->index;

	return vcn == index->newest || (batch->zone->has_closing && vcn + 1 == index->newest);
}

#endif
