/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool of batches that each zone has. */
#include "index/batch.h"

#include <errno.h>

static struct batch *make_batch(struct uds_index *index, struct index_zone *zone)
{
	/* Not zeroed: a batch is large, and everything in it is set as requests come in. */
	struct batch *batch = env_allocate(&index->env, 1, sizeof(*batch));

	if (batch == NULL)
		return NULL;
	batch->index = index;
	batch->zone = zone;
	batch->next = NULL;
	batch->count = 0;
	batch->search_count = 0;
	batch->copy_count = 0;
	batch->copies_read = 0;
	batch->close_status = 0;
	return batch;
}

int batch_pool_make(struct uds_index *index, struct index_zone *zone)
{
	zone->batches = make_batch(index, zone);
	if (zone->batches == NULL)
		return -ENOMEM;
	zone->batch_count = 1;
	return 0;
}

unsigned int batch_pool_count(struct index_zone *zone)
{
	unsigned int count;

	pthread_mutex_lock(&zone->batches_lock);
	count = zone->batch_count;
	pthread_mutex_unlock(&zone->batches_lock);
	return count;
}

void batch_pool_free(struct uds_index *index, struct index_zone *zone)
{
	env_release(&index->env, zone->aside);
	while (zone->batches != NULL) {
		struct batch *batch = zone->batches;

		zone->batches = batch->next;
		env_release(&index->env, batch);
	}
}

static struct batch *take_aside(struct index_zone *zone)
{
	struct batch *batch = zone->aside;

	zone->aside = NULL;
	return batch;
}

struct batch *batch_take(struct uds_index *index, struct index_zone *zone)
{
	struct batch *batch;

	pthread_mutex_lock(&zone->batches_lock);
	batch = zone->batches;
	if (batch != NULL)
		zone->batches = batch->next;
	else if ((batch = make_batch(index, zone)) != NULL)
		zone->batch_count++;
	pthread_mutex_unlock(&zone->batches_lock);
	/* Without memory, the one that is kept aside. */
	if (batch == NULL && pthread_mutex_trylock(&zone->lock) == 0) {
		batch = take_aside(zone);
		pthread_mutex_unlock(&zone->lock);
	}
	return batch;
}

struct batch *batch_take_aside(struct uds_index *index, struct index_zone *zone)
{
	struct batch *batch = take_aside(zone);

	return batch != NULL ? batch : batch_take(index, zone);
}

static void empty(struct batch *batch)
{
	batch->count = 0;
	/* The next requests may find that the device works. */
	batch->close_status = 0;
}

/* The batch that was used last is taken first: it is in the processor's cache. */
void batch_give(struct batch *batch)
{
	struct index_zone *zone = batch->zone;

	empty(batch);
	pthread_mutex_lock(&zone->batches_lock);
	batch->next = zone->batches;
	zone->batches = batch;
	pthread_mutex_unlock(&zone->batches_lock);
}

void batch_give_aside(struct batch *batch)
{
	struct index_zone *zone = batch->zone;

	if (zone->aside != NULL) {
		batch_give(batch);
		return;
	}
	empty(batch);
	zone->aside = batch;
}
