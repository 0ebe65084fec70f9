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
	zone->batch_count++;
	return batch;
}

int batch_pool_make(struct uds_index *index, struct index_zone *zone)
{
	zone->batches = make_batch(index, zone);
	return zone->batches == NULL ? -ENOMEM : 0;
}

void batch_pool_free(struct uds_index *index, struct index_zone *zone)
{
	while (zone->batches != NULL) {
		struct batch *batch = zone->batches;

		zone->batches = batch->next;
		env_release(&index->env, batch);
	}
}

struct batch *batch_take(struct uds_index *index, struct index_zone *zone)
{
	struct batch *batch = zone->batches;

	if (batch == NULL)
		return make_batch(index, zone);
	zone->batches = batch->next;
	return batch;
}

/* The batch that was used last is taken first: it is in the processor's cache. */
void batch_give(struct batch *batch)
{
	batch->count = 0;
	/* The next requests may find that the device works. */
	batch->close_status = 0;
	batch->next = batch->zone->batches;
	batch->zone->batches = batch;
}
