/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages for a batch: what every operation that is not done wants is found out under the lock, then
 * all of it is read without it.
 */
#include "index/pages.h"

#include "index/lookup.h"
#include "index/operation.h"
#include "index/triage.h"

static void find_searches(struct batch *batch, size_t first)
{
	size_t count = 0;

	operations_prefetch_first(batch, first, true);
	for (size_t i = first; i < batch->count; i++) {
		struct operation *operation = &batch->operations[i];

		operations_prefetch_next(batch, i, true);
		/* Those that are done, or must fail, want nothing. */
		if (operation_check(batch->index, operation) == 0 &&
		    lookup_wants_search(batch, operation, &batch->searches[count],
					&batch->answers[count]))
			count++;
	}
	batch->search_count = count;
}

static void search_volume(struct batch *batch)
{
	struct uds_index *index = batch->index;
	struct uds_message message;
	int r;

	r = volume_search_many(index->volume, batch->searches, batch->search_count, &message);
	if (r < 0)
		index_failure(index, r, &message);
	/*
	 * Each answer goes to its own operation, with its own status: a damaged page fails one
	 * request.
	 */
	for (size_t i = 0; i < batch->search_count; i++) {
		const struct volume_search *search = &batch->searches[i];

		*batch->answers[i] = (struct page_answer){ search->vcn, search->status,
							   search->found, search->data };
	}
}

int batch_read_pages(struct batch *batch, size_t first)
{
	int r;

	r = triage_request_chapters(batch, first);
	if (r < 0)
		return r;
	find_searches(batch, first);
	/*
	 * The zone goes on with other callers' batches meanwhile; all that was looked up is looked
	 * up again.
	 */
	pthread_mutex_unlock(&batch->zone->lock);
	search_volume(batch);
	triage_read_chapters(batch);
	pthread_mutex_lock(&batch->zone->lock);
	return 0;
}
