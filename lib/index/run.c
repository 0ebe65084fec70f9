/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches of requests: split by zone, and each zone's share carried out under its lock.
 *
 * A share goes through the memory that its requests will touch ahead of them, so that their cache misses
 * overlap: list heads when they are added to the share, then, some requests ahead, the lists and the
 * places in the open chapter. The lock is let go only while the volume is read.
 */
#include "index/share.h"

#include <stdio.h>

#include "base/visibility.h"

void share_prefetch(const struct share *share, size_t i)
{
	const struct work *work = &share->work[i];
	bool stores = work->request->kind == UDS_POST || work->request->kind == UDS_UPDATE;

	volume_index_prefetch(share->index->volume_index, &work->place,
			      stores ? HINT_CHANGE : HINT_LOOK);
	if (stores)
		__builtin_prefetch(open_zone_first_slot(share->zone->open, &work->request->name));
}

/* That the first request of a call that fails has a sentence, which the failures after it leave. */
static __attribute__((cold, noinline)) void explain(const struct share *share,
						    const struct uds_request *request, int status)
{
	static const char *const kinds[] = {
		"nothing", "query", "post", "peek", "delete", "update"
	};
	struct failures *failures = share->index->failures;
	const char *io = uds_io_name(share->index->io);
	char name[2 * sizeof(request->name.bytes) + 1];

	for (size_t i = 0; i < sizeof(request->name.bytes); i++)
		snprintf(name + 2 * i, 3, "%02x", request->name.bytes[i]);
	if (request->kind < UDS_QUERY || request->kind > UDS_UPDATE)
		failures_hold(failures, status, "%s: %s: there is no request of kind %u", io, name,
			      request->kind);
	else if (status == UDS_ERR_READ_ONLY)
		failures_hold(failures, status, "%s: %s of %s: the index was opened read-only", io,
			      kinds[request->kind], name);
	else
		failures_hold(failures, status, "%s: %s of %s: %s", io, kinds[request->kind], name,
			      uds_strerror(status));
}

/* Returns 0 or the first error; each request has its own status. */
static int run_share(struct share *share)
{
	int first_error = 0;

	pthread_mutex_lock(&share->zone->lock);
	for (size_t i = 0; i < share->count && i < SHARE_AHEAD; i++)
		share_prefetch(share, i);
	for (size_t i = 0; i < share->count; i++) {
		int r;

		if (i + SHARE_AHEAD < share->count)
			share_prefetch(share, i + SHARE_AHEAD);
		r = share_carry_out(share, i);
		while (r == NEEDS_VOLUME) {
			r = share_resolve(share, i);
			if (r == 0)
				r = share_carry_out(share, i);
		}
		share->work[i].request->status = r;
		if (r < 0)
			share->work[i].request->found = false;
		if (r < 0 && first_error == 0) {
			first_error = r;
			explain(share, share->work[i].request, r);
		}
	}
	pthread_mutex_unlock(&share->zone->lock);
	share_finish(share);
	return first_error;
}

static void start_share(struct uds_index *index, unsigned int zone, struct share *ret_share)
{
	ret_share->index = index;
	ret_share->zone = &index->zones[zone];
	ret_share->count = 0;
	ret_share->copy_count = 0;
	ret_share->copies_read = 0;
}

static void keep_first(int *status, int r)
{
	if (*status == 0)
		*status = r;
}

/* With one zone the requests are in order as they come. */
static int run_one_zone(struct uds_index *index, struct uds_request *requests, size_t count)
{
	struct share share;
	int status = 0;

	for (size_t i = 0; i < count; i += share.count) {
		start_share(index, 0, &share);
		for (size_t j = i; j < count && share.count < SHARE_MAX; j++) {
			struct name_place place;

			volume_index_locate(index->volume_index, &requests[j].name, &place);
			share_add(&share, &requests[j], &place);
		}
		keep_first(&status, run_share(&share));
	}
	return status;
}

/* Zone after zone, at most SHARE_MAX requests of the batch at a time. */
static int run_zones(struct uds_index *index, struct uds_request *requests, size_t count)
{
	struct name_place places[SHARE_MAX];
	struct share share;
	int status = 0;

	for (size_t i = 0, n; i < count; i += n) {
		uint32_t zones = 0;

		n = count - i < SHARE_MAX ? count - i : SHARE_MAX;
		for (size_t j = 0; j < n; j++) {
			volume_index_locate(index->volume_index, &requests[i + j].name, &places[j]);
			zones |= UINT32_C(1) << places[j].zone;
		}
		for (; zones != 0; zones &= zones - 1) {
			unsigned int zone = (unsigned int)__builtin_ctz(zones);

			start_share(index, zone, &share);
			for (size_t j = 0; j < n; j++) {
				if (places[j].zone == zone)
					share_add(&share, &requests[i + j], &places[j]);
			}
			keep_first(&status, run_share(&share));
		}
	}
	return status;
}

UDS_PUBLIC int uds_index_run(struct uds_index *index, struct uds_request *requests, size_t count)
{
	int r;

	failures_begin(index->failures);
	r = index->zone_count == 1 ? run_one_zone(index, requests, count)
				   : run_zones(index, requests, count);
	return failures_quiet(index->failures, r) ? r
						  : index_end(index, r, "carrying out requests");
}

static int run_single(struct uds_index *index, struct uds_request *request)
{
	return uds_index_run(index, request, 1);
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

	return give_old(run_single(index, &request), &request, ret_old, ret_found);
}

UDS_PUBLIC int uds_index_update(struct uds_index *index, const struct uds_record_name *name,
				const struct uds_record_data *data, struct uds_record_data *ret_old,
				bool *ret_found)
{
	struct uds_request request = { .name = *name, .new_data = *data, .kind = UDS_UPDATE };

	return give_old(run_single(index, &request), &request, ret_old, ret_found);
}

UDS_PUBLIC int uds_index_query(struct uds_index *index, const struct uds_record_name *name,
			       struct uds_record_data *ret_data, bool *ret_found)
{
	struct uds_request request = { .name = *name, .kind = UDS_QUERY };

	return give_old(run_single(index, &request), &request, ret_data, ret_found);
}

UDS_PUBLIC int uds_index_peek(struct uds_index *index, const struct uds_record_name *name,
			      struct uds_record_data *ret_data, bool *ret_found)
{
	struct uds_request request = { .name = *name, .kind = UDS_PEEK };

	return give_old(run_single(index, &request), &request, ret_data, ret_found);
}

UDS_PUBLIC int uds_index_delete(struct uds_index *index, const struct uds_record_name *name,
				bool *ret_found)
{
	struct uds_request request = { .name = *name, .kind = UDS_DELETE };

	return give_old(run_single(index, &request), &request, NULL, ret_found);
}
