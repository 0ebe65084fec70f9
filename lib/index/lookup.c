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

/* Looks into the chapter that the volume index names. */
static int look_into_chapter(struct share *share, size_t i, struct lookup *lookup)
{
	struct uds_index *index = share->index;
	struct work *work = &share->work[i];
	const struct uds_record_name *name = &work->request->name;
	uint64_t vcn = lookup->record.vcn;
	uint32_t record_page;
	bool has_name;

	if (in_memory(share, vcn)) {
		lookup->found = search_memory(share, vcn, name, &lookup->data);
		return 0;
	}
	if (lookup->location == UDS_LOCATION_SPARSE &&
	    sparse_cache_search_chapter(index->cache, vcn, name, &has_name, &record_page) &&
	    !has_name)
		return 0;
	return use_verdict(&work->hint, vcn, lookup);
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
		r = look_into_chapter(share, i, ret_lookup);
	}
	if (r == 0 && !ret_lookup->found && asks_cache(share, request, record))
		r = look_up_cached(share, i, ret_lookup);
	return r;
}

/*
 * What share_resolve() has decided to get: names in chapters, and, where the sparse cache has told which,
 * in record pages. The verdicts are the share's own, so they can be written without the lock.
 */
struct wanted {
	size_t count;
	struct volume_search searches[SHARE_MAX];
	struct verdict *verdicts[SHARE_MAX];

	size_t page_count;
	struct wanted_page {
		const struct uds_record_name *name;
		uint64_t vcn;
		uint32_t record_page;
		struct verdict *verdict;
	} pages[SHARE_MAX];
};

static void want_page(struct wanted *wanted, const struct uds_record_name *name, uint64_t vcn,
		      uint32_t record_page, struct verdict *verdict)
{
	if (verdict->vcn != vcn)
		wanted->pages[wanted->page_count++] =
			(struct wanted_page){ name, vcn, record_page, verdict };
}

/* About the chapter that the volume index names; it is not in memory. */
static void want_hint(struct share *share, struct wanted *wanted, struct work *work, uint64_t vcn)
{
	struct uds_index *index = share->index;
	const struct uds_record_name *name = &work->request->name;
	struct volume_search *search;
	uint32_t record_page;
	bool has_name;

	if (index->sparse &&
	    sparse_cache_search_chapter(index->cache, vcn, name, &has_name, &record_page)) {
		if (has_name)
			want_page(wanted, name, vcn, record_page, &work->hint);
		return;
	}
	search = &wanted->searches[wanted->count];
	search->vcn = vcn;
	search->name = *name;
	wanted->verdicts[wanted->count++] = &work->hint;
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
			want_hint(share, wanted, work, record.vcn);
			return;
		} else if (work->hint.found) {
			return;
		}
	}
	if (!asks_cache(share, request, &record))
		return;
	sparse_cache_find(index->cache, share->zone->number, &request->name, index->oldest, &hit);
	if (hit.found)
		want_page(wanted, &request->name, hit.vcn, hit.record_page, &work->cached);
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
	for (size_t i = 0; i < wanted->count; i++) {
		const struct volume_search *search = &wanted->searches[i];

		*wanted->verdicts[i] = (struct verdict){ search->vcn, search->status, search->found,
							 search->data };
	}
	for (size_t i = 0; i < wanted->page_count; i++) {
		const struct wanted_page *page = &wanted->pages[i];
		struct verdict *verdict = page->verdict;

		verdict->vcn = page->vcn;
		verdict->status = volume_search_record_page(
			index->volume, page->vcn, page->record_page, page->name, &verdict->found,
			&verdict->data, &message);
		if (verdict->status < 0)
			index_failure(index, verdict->status, &message);
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
	wanted.page_count = 0;
	for (size_t j = i; j < share->count; j++) {
		if (j + SHARE_AHEAD < share->count)
			share_prefetch(share, j + SHARE_AHEAD);
		want_for_request(share, j, &wanted);
	}
	pthread_mutex_unlock(&share->zone->lock);
	search_volume(share, &wanted);
	pthread_mutex_lock(&share->zone->lock);
	return 0;
}
