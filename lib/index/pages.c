/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages for a batch: what every operation that is not done wants is found out under the lock, then all of it
 * is read without it.
 */
#include "index/pages.h"

#include "index/lookup.h"
#include "index/operation.h"
#include "index/triage.h"

static void request_pages(struct batch *batch, size_t first)
{
	batch->page_request_count = 0;
	for (size_t i = first; i < batch->count; i++) {
		struct operation *operation = &batch->operations[i];

		if (i + BATCH_AHEAD < batch->count)
			operation_prefetch(batch, &batch->operations[i + BATCH_AHEAD]);
		if (operation_check(batch->index, operation) == 0 &&
		    lookup_wants_page(batch, operation,
				      &batch->page_requests[batch->page_request_count]))
			batch->page_request_count++;
	}
}

/* Names in chapters: all of them together. */
static void search_chapters(struct batch *batch)
{
	struct uds_index *index = batch->index;
	struct volume_search *searches = batch->searches;
	struct uds_message message;
	size_t count = 0;
	int r;

	for (size_t i = 0; i < batch->page_request_count; i++) {
		const struct page_request *request = &batch->page_requests[i];

		if (request->knows_page)
			continue;
		searches[count].vcn = request->vcn;
		searches[count++].name = *request->name;
	}
	r = volume_search_many(index->volume, searches, count, &message);
	if (r < 0)
		index_failure(index, r, &message);
	count = 0;
	for (size_t i = 0; i < batch->page_request_count; i++) {
		const struct page_request *request = &batch->page_requests[i];
		const struct volume_search *search = &searches[count];

		if (request->knows_page)
			continue;
		*request->answer = (struct page_answer){ search->vcn, search->status, search->found,
							 search->data };
		count++;
	}
}

/* Names in record pages that the sparse cache has told. */
static void search_record_pages(struct batch *batch)
{
	struct uds_index *index = batch->index;
	struct uds_message message;

	for (size_t i = 0; i < batch->page_request_count; i++) {
		const struct page_request *request = &batch->page_requests[i];
		struct page_answer *answer = request->answer;

		if (!request->knows_page)
			continue;
		answer->vcn = request->vcn;
		answer->status = volume_search_record_page(index->volume, request->vcn,
							   request->record_page, request->name,
							   &answer->found, &answer->data, &message);
		if (answer->status < 0)
			index_failure(index, answer->status, &message);
	}
}

int batch_read_pages(struct batch *batch, size_t first)
{
	int r;

	r = triage_request_chapters(batch, first);
	if (r < 0)
		return r;
	request_pages(batch, first);
	pthread_mutex_unlock(&batch->zone->lock);
	search_chapters(batch);
	search_record_pages(batch);
	triage_read_chapters(batch);
	pthread_mutex_lock(&batch->zone->lock);
	return 0;
}
