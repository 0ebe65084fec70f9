/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a name is (uds-format, 17.1), and getting what is needed from the volume for many requests
 * at once.
 */
#include "index/share.h"

#include <errno.h>
#include <string.h>

#include "geometry/name_bits.h"

/* Whether a chapter's records of this zone are in memory. */
static bool in_memory(const struct share *share, uint64_t vcn)
{
	const struct uds_index *index = share->index;

	return vcn == index->newest || (share->zone->has_closing && vcn + 1 == index->newest);
}

static bool search_memory(const struct share *share, uint64_t vcn,
			  const struct uds_record_name *name, struct uds_record_data *ret_data)
{
	const struct index_zone *zone = share->zone;

	const struct uds_record_data *data;

	data = open_zone_search(vcn == share->index->newest ? zone->open : zone->closing, name);
	if (data != NULL)
		*ret_data = *data;
	return data != NULL;
}

static int use_verdict(const struct verdict *verdict, uint64_t vcn, struct lookup *lookup)
{
	if (verdict->vcn != vcn)
		return NEEDS_VOLUME;
	if (verdict->status < 0)
		return verdict->status;
	lookup->found = verdict->found;
	if (verdict->found)
		lookup->data = verdict->data;
	return 0;
}

/* Whether the sparse cache is asked when the volume index did not lead to the record. */
static bool asks_cache(const struct share *share, const struct uds_request *request,
		       const struct vi_record *record)
{
	const struct uds_index *index = share->index;

	return index->sparse && request->kind != UDS_DELETE &&
	       !(record->found && record->collision) &&
	       !is_sample(&index->geometry, &request->name);
}

/*
 * The part of the lookup that a sparse index adds: names of old chapters that the volume index does not
 * know may be in a chapter index of the cache.
 */
static int look_up_cached(struct share *share, size_t i, struct lookup *lookup)
{
	struct uds_index *index = share->index;
	struct work *work = &share->work[i];
	struct cache_hit hit;
	int r = 0;

	sparse_cache_find(index->cache, share->zone->number, &work->request->name, index->oldest,
			  &hit);
	if (hit.found)
		r = use_verdict(&work->cached, hit.vcn, lookup);
	if (r != 0)
		return r;
	sparse_cache_note(index->cache, share->zone->number, index->oldest, &hit);
	lookup->only_cached = lookup->found;
	lookup->location = UDS_LOCATION_SPARSE;
	return 0;
}

int share_look_up(struct share *share, size_t i, struct lookup *ret_lookup)
{
	struct uds_index *index = share->index;
	struct work *work = &share->work[i];
	const struct uds_request *request = work->request;
	struct vi_record *record = &ret_lookup->record;
	int r = 0;

	ret_lookup->found = false;
	ret_lookup->only_cached = false;
	volume_index_get(index->volume_index, &work->place, &request->name, record);
	if (record->found) {
		ret_lookup->location = index_location(index, record->vcn);
		if (request->kind == UDS_DELETE && record->collision)
			return 0;
		if (in_memory(share, record->vcn))
			ret_lookup->found = search_memory(share, record->vcn, &request->name,
							  &ret_lookup->data);
		else
			r = use_verdict(&work->hint, record->vcn, ret_lookup);
	}
	if (r == 0 && !ret_lookup->found && asks_cache(share, request, record))
		r = look_up_cached(share, i, ret_lookup);
	return r;
}

/* What share_resolve() has decided to get. */
struct wanted {
	/* By the volume index. */
	size_t count;
	struct volume_search searches[SHARE_MAX];
	struct verdict *verdicts[SHARE_MAX]; /* where each result goes */

	/* By the chapter indexes of the sparse cache, which tell the record page. */
	size_t cached_count;
	uint16_t cached[SHARE_MAX]; /* request numbers */
	uint32_t record_pages[SHARE_MAX];
	struct verdict cached_verdicts[SHARE_MAX];
};

static void want_hint(struct wanted *wanted, struct work *work, uint64_t vcn)
{
	struct volume_search *search = &wanted->searches[wanted->count];

	search->vcn = vcn;
	search->name = work->request->name;
	wanted->verdicts[wanted->count++] = &work->hint;
}

static void want_cached(struct wanted *wanted, size_t i, const struct cache_hit *hit)
{
	size_t n = wanted->cached_count++;

	wanted->cached[n] = (uint16_t)i;
	wanted->record_pages[n] = hit->record_page;
	wanted->cached_verdicts[n].vcn = hit->vcn;
}

/* Finds out what request @i would ask the volume if it were carried out now. */
static void want_for_request(struct share *share, size_t i, struct wanted *wanted)
{
	struct uds_index *index = share->index;
	struct work *work = &share->work[i];
	const struct uds_request *request = work->request;
	struct uds_record_data data;
	struct vi_record record;
	struct cache_hit hit;

	if (request->kind > UDS_DELETE || (index->read_only && request->kind != UDS_PEEK))
		return;
	volume_index_peek(index->volume_index, &work->place, &request->name, &record);
	if (record.found && !(request->kind == UDS_DELETE && record.collision)) {
		if (in_memory(share, record.vcn)) {
			if (search_memory(share, record.vcn, &request->name, &data))
				return;
		} else if (work->hint.vcn != record.vcn) {
			want_hint(wanted, work, record.vcn);
			return;
		} else if (work->hint.found) {
			return;
		}
	}
	if (!asks_cache(share, request, &record))
		return;
	sparse_cache_find(index->cache, share->zone->number, &request->name, index->oldest, &hit);
	if (hit.found && work->cached.vcn != hit.vcn)
		want_cached(wanted, i, &hit);
}

/* Without the lock. */
static void search_volume(struct share *share, struct wanted *wanted)
{
	struct uds_index *index = share->index;
	struct uds_message message;
	int r;

	r = volume_search_many(index->volume, wanted->searches, wanted->count, &message);
	if (r < 0)
		index_failure(index, r, &message);
	for (size_t i = 0; i < wanted->cached_count; i++) {
		struct verdict *verdict = &wanted->cached_verdicts[i];
		const struct work *work = &share->work[wanted->cached[i]];

		r = volume_search_record_page(index->volume, verdict->vcn, wanted->record_pages[i],
					      &work->request->name, &verdict->found, &verdict->data,
					      &message);
		verdict->status = r;
		if (r < 0)
			index_failure(index, r, &message);
	}
	share_read_chapters(share);
}

int share_resolve(struct share *share, size_t i)
{
	struct wanted wanted;
	int r;

	r = share_want_chapters(share, i);
	if (r < 0)
		return r;
	wanted.count = 0;
	wanted.cached_count = 0;
	for (size_t j = i; j < share->count; j++) {
		if (j + SHARE_AHEAD < share->count)
			share_prefetch(share, j + SHARE_AHEAD);
		want_for_request(share, j, &wanted);
	}
	pthread_mutex_unlock(&share->zone->lock);
	search_volume(share, &wanted);
	pthread_mutex_lock(&share->zone->lock);
	for (size_t j = 0; j < wanted.count; j++) {
		const struct volume_search *search = &wanted.searches[j];
		struct verdict *verdict = wanted.verdicts[j];

		verdict->vcn = search->vcn;
		verdict->status = search->status;
		verdict->found = search->found;
		verdict->data = search->data;
	}
	for (size_t j = 0; j < wanted.cached_count; j++)
		share->work[wanted.cached[j]].cached = wanted.cached_verdicts[j];
	return 0;
}
