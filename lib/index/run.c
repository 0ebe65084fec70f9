/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls that carry requests out: each request is submitted to a batch of its zone, and the
 * batches are driven, zone after zone.
 */
#include <errno.h>

#include "base/visibility.h"
#include "index/batch.h"
#include "index/drive.h"

static void keep_first(int *status, int r)
{
	if (*status == 0)
		*status = r;
}

/* For a request that no batch can take. */
static int refuse(struct uds_index *index, struct uds_request *request)
{
	request->status = -ENOMEM;
	request->found = false;
	request_failed(index, request, request->status);
	return request->status;
}

/*
 * Adds a request to the batch of its zone, of those that this call has taken.
 *
 * Returns 0, or -ENOMEM when there is no memory for one more batch.
 */
static int submit(struct uds_index *index, struct batch **batches, struct uds_request *request)
{
	struct name_place place;

	volume_index_locate(index->volume_index, &request->name, &place);
	if (batches[place.zone] == NULL) {
		batches[place.zone] = batch_take(index, &index->zones[place.zone]);
		if (batches[place.zone] == NULL)
			return refuse(index, request);
	}
	batch_add(batches[place.zone], request, &place);
	return 0;
}

/* Whether the caller has the zone now; always where it may @wait. */
static bool take_zone(struct index_zone *zone, bool wait)
{
	return wait ? pthread_mutex_lock(&zone->lock) == 0
		    : pthread_mutex_trylock(&zone->lock) == 0;
}

/*
 * At most BATCH_MAX requests, all zones together. One zone after the other is driven to its end,
 * and the first that is full closes the open chapter for all: were each given BATCH_MAX, the
 * first would get so many requests ahead of the last, and chapters would be closed with that much
 * room in them.
 *
 * A zone that another caller has is left for later, so that callers do not queue behind the first
 * one. One lock at a time: two calls that held some in different orders could wait for each other.
 */
static int run_many(struct uds_index *index, struct uds_request *requests, size_t count)
{
	struct batch *batches[MAXIMUM_ZONES] = { NULL };
	bool wait = false, left = true;
	int status = 0;

	for (size_t i = 0; i < count; i++)
		keep_first(&status, submit(index, batches, &requests[i]));
	while (left) {
		bool driven = false;

		left = false;
		for (unsigned int i = 0; i < index->zone_count; i++) {
			if (batches[i] == NULL)
				continue;
			if (!take_zone(&index->zones[i], wait)) {
				left = true;
				continue;
			}
			keep_first(&status, batch_drive(batches[i]));
			pthread_mutex_unlock(&index->zones[i].lock);
			batch_give(batches[i]);
			batches[i] = NULL;
			driven = true;
			wait = false;
		}
		wait = !driven;
	}
	return status;
}

/* The same for one request, with one lock. */
static int run_one(struct uds_index *index, struct uds_request *request)
{
	struct index_zone *zone;
	struct name_place place;
	struct batch *batch;
	int r;

	volume_index_locate(index->volume_index, &request->name, &place);
	zone = &index->zones[place.zone];
	pthread_mutex_lock(&zone->lock);
	batch = batch_take_aside(index, zone);
	if (batch != NULL) {
		batch_add(batch, request, &place);
		r = batch_drive(batch);
		batch_give_aside(batch);
	} else {
		r = refuse(index, request);
	}
	pthread_mutex_unlock(&zone->lock);
	return r;
}

static int run(struct uds_index *index, struct uds_request *requests, size_t count)
{
	int status = 0;

	for (size_t done = 0, n; done < count; done += n) {
		n = count - done < BATCH_MAX ? count - done : BATCH_MAX;
		keep_first(&status, run_many(index, requests + done, n));
	}
	return status;
}

UDS_PUBLIC int uds_index_run(struct uds_index *index, struct uds_request *requests, size_t count)
{
	int r;

	failures_begin(index->failures);
	r = count == 1 ? run_one(index, requests) : run(index, requests, count);
	return failures_quiet(index->failures, r) ? r
						  : index_end(index, r, "carrying out requests");
}

static int give_old(int r, const struct uds_request *request, struct uds_record_data *ret_old,
		    bool *ret_found)
{
	if (r < 0)
		return r;
	if (ret_old != NULL && request->found)
		*ret_old = request->old_data;
	if (ret_found != NULL)
		*ret_found = request->found;
	return 0;
}

UDS_PUBLIC int uds_index_post(struct uds_index *index, const struct uds_record_name *name,
			      const struct uds_record_data *data, struct uds_record_data *ret_old,
			      bool *ret_found)
{
	struct uds_request request = { .name = *name, .new_data = *data, .kind = UDS_POST };

	return give_old(uds_index_run(index, &request, 1), &request, ret_old, ret_found);
}

UDS_PUBLIC int uds_index_update(struct uds_index *index, const struct uds_record_name *name,
				const struct uds_record_data *data, struct uds_record_data *ret_old,
				bool *ret_found)
{
	struct uds_request request = { .name = *name, .new_data = *data, .kind = UDS_UPDATE };

	return give_old(uds_index_run(index, &request, 1), &request, ret_old, ret_found);
}

UDS_PUBLIC int uds_index_query(struct uds_index *index, const struct uds_record_name *name,
			       struct uds_record_data *ret_data, bool *ret_found)
{
	struct uds_request request = { .name = *name, .kind = UDS_QUERY };

	return give_old(uds_index_run(index, &request, 1), &request, ret_data, ret_found);
}

UDS_PUBLIC int uds_index_peek(struct uds_index *index, const struct uds_record_name *name,
			      struct uds_record_data *ret_data, bool *ret_found)
{
	struct uds_request request = { .name = *name, .kind = UDS_PEEK };

	return give_old(uds_index_run(index, &request, 1), &request, ret_data, ret_found);
}

UDS_PUBLIC int uds_index_delete(struct uds_index *index, const struct uds_record_name *name,
				bool *ret_found)
{
	struct uds_request request = { .name = *name, .kind = UDS_DELETE };

	return give_old(uds_index_run(index, &request, 1), &request, NULL, ret_found);
}
