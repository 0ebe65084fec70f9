/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a name is (uds-format, 17.1), and getting what is needed from the volume for many requests
 * at once.
 */
#include "index/share.h"

#include <errno.h>
#include <string.h>

#include "geometry/name_bits.h"
#include "volume/volume_search.h"

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

/*
 * What a lookup lacks: a chapter's verdict on the name. The sparse cache may have told the record page
 * already.
 */
struct need {
	struct verdict *verdict;
	uint64_t vcn;
	bool knows_page;
	uint32_t record_page;
};

/* Uses the verdict on a chapter if there is one; else says that it is needed. */
static int ask_chapter(struct verdict *verdict, uint64_t vcn, struct lookup *lookup,
		       struct need *ret_need)
{
	if (verdict->vcn != vcn) {
		*ret_need = (struct need){ .verdict = verdict, .vcn = vcn };
		return NEEDS_VOLUME;
	}
	if (verdict->status < 0)
		return verdict->status;
	lookup->found = verdict->found;
	if (verdict->found)
		lookup->data = verdict->data;
	return 0;
}

static int ask_record_page(struct verdict *verdict, uint64_t vcn, uint32_t record_page,
			   struct lookup *lookup, struct need *ret_need)
{
	int r = ask_chapter(verdict, vcn, lookup, ret_need);

	if (r == NEEDS_VOLUME) {
		ret_need->knows_page = true;
		ret_need->record_page = record_page;
	}
	return r;
}

/* Whether old chapters are asked when the volume index did not lead to the record. */
static bool asks_old_chapters(const struct uds_index *index, const struct uds_request *request,
			      const struct hint *record)
{
	return index->sparse && request->kind != UDS_DELETE &&
	       !(record->found && record->collision) &&
	       !is_sample(&index->geometry, &request->name);
}

/*
 * The newest chapters where they are sparse already (index_is_recent()), latest first: a chapter that is
 * closed a moment ago is in memory, so it does not matter how far its writing is; for the others there
 * are copies, unless no other thread could get them yet.
 */
static int look_into_recent(struct share *share, struct work *work, struct lookup *lookup,
			    struct need *ret_need)
{
	const struct uds_index *index = share->index;
	const struct uds_record_name *name = &work->request->name;
	uint32_t record_page;
	int r = 0;

	for (unsigned int back = 1; r == 0 && !lookup->found && back <= RECENT_CHAPTERS; back++) {
		uint64_t vcn = index->newest - back;

		if (!index_is_recent(index, vcn))
			continue;
		if (share_has_in_memory(share, vcn))
			lookup->found = search_memory(share, vcn, name, &lookup->data);
		else if (sparse_cache_search_recent(index->cache, vcn, name, &record_page))
			r = ask_record_page(&work->recent[back - 1], vcn, record_page, lookup,
					    ret_need);
	}
	return r;
}

/*
 * The part of the lookup that a sparse index adds: names of old chapters that the volume index does not
 * know may be in a chapter that is in memory, or in a chapter index of the cache.
 *
 * @ret_hit: what the cache found; it does not matter if it was a false hit.
 */
static int look_into_old(struct share *share, struct work *work, struct lookup *lookup,
			 struct cache_hit *ret_hit, struct need *ret_need)
{
	struct uds_index *index = share->index;
	int r;

	sparse_cache_find(index->cache, share->zone->number, &work->request->name, index->oldest,
			  ret_hit);
	r = look_into_recent(share, work, lookup, ret_need);
	/* What the memory does not have of a chapter that is in memory, the chapter does not have. */
	if (r == 0 && !lookup->found && ret_hit->found && !share_has_in_memory(share, ret_hit->vcn))
		r = ask_record_page(&work->cached, ret_hit->vcn, ret_hit->record_page, lookup,
				    ret_need);
	lookup->only_cached = lookup->found;
	lookup->location = UDS_LOCATION_SPARSE;
	return r;
}

/* Looks into the chapter that the volume index names. */
static int look_into_named(struct share *share, struct work *work, struct lookup *lookup,
			   struct need *ret_need)
{
	struct uds_index *index = share->index;
	const struct uds_record_name *name = &work->request->name;
	uint64_t vcn = lookup->record.vcn;
	uint32_t record_page;
	bool has_name;

	lookup->location = index_location(index, vcn);
	if (work->request->kind == UDS_DELETE && lookup->record.collision)
		return 0;
	if (share_has_in_memory(share, vcn)) {
		lookup->found = search_memory(share, vcn, name, &lookup->data);
		return 0;
	}
	if (lookup->location != UDS_LOCATION_SPARSE ||
	    !sparse_cache_search_chapter(index->cache, vcn, name, &has_name, &record_page))
		return ask_chapter(&work->hint, vcn, lookup, ret_need);
	return has_name ? ask_record_page(&work->hint, vcn, record_page, lookup, ret_need) : 0;
}

/*
 * The whole lookup, once the volume index was asked. Changes nothing but @lookup, so the same function
 * tells a lookup's result and what it needs from the volume: the two can never disagree.
 *
 * @ret_asked_cache: whether @ret_hit was set.
 *
 * Returns 0, NEEDS_VOLUME and the need, or an error.
 */
static int find_record(struct share *share, struct work *work, struct lookup *lookup,
		       bool *ret_asked_cache, struct cache_hit *ret_hit, struct need *ret_need)
{
	int r = 0;

	lookup->found = false;
	lookup->only_cached = false;
	*ret_asked_cache = false;
	if (lookup->record.found)
		r = look_into_named(share, work, lookup, ret_need);
	if (r != 0 || lookup->found ||
	    !asks_old_chapters(share->index, work->request, &lookup->record))
		return r;
	*ret_asked_cache = true;
	return look_into_old(share, work, lookup, ret_hit, ret_need);
}

int share_look_up(struct share *share, size_t i, struct lookup *ret_lookup)
{
	struct uds_index *index = share->index;
	struct work *work = &share->work[i];
	struct cache_hit hit;
	struct need need;
	bool asked_cache;
	int r;

	volume_index_get(index->volume_index, &work->place, &work->request->name,
			 &ret_lookup->record);
	r = find_record(share, work, ret_lookup, &asked_cache, &hit, &need);
	if (r == 0 && asked_cache)
		sparse_cache_note(index->cache, share->zone->number, index->oldest, &hit);
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

static void want(struct wanted *wanted, const struct uds_record_name *name, const struct need *need)
{
	struct volume_search *search;

	if (need->knows_page) {
		wanted->pages[wanted->page_count++] =
			(struct wanted_page){ name, need->vcn, need->record_page, need->verdict };
		return;
	}
	search = &wanted->searches[wanted->count];
	search->vcn = need->vcn;
	search->name = *name;
	wanted->verdicts[wanted->count++] = need->verdict;
}

/* Finds out what request @i would ask the volume if it were carried out now. */
static void want_for_request(struct share *share, size_t i, struct wanted *wanted)
{
	struct uds_index *index = share->index;
	struct work *work = &share->work[i];
	const struct uds_request *request = work->request;
	struct cache_hit hit;
	struct lookup lookup;
	struct need need;
	bool asked_cache;

	if (check_request(index, request) < 0)
		return;
	volume_index_peek(index->volume_index, &work->place, &request->name, &lookup.record);
	if (find_record(share, work, &lookup, &asked_cache, &hit, &need) == NEEDS_VOLUME)
		want(wanted, &request->name, &need);
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
