/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each kind of request means (uds-format, 17.2 and 17.3), once it is known where its name is.
 *
 * The zone's lock is held all the time, but for the moment in which a chapter is closed.
 */
#include "index/share.h"

#include <errno.h>

/*
 * Puts a record into the open chapter, whose volume index entry names it already, and closes the
 * chapter if that filled it. That this failed is told to the next request that wants to store
 * something: this one has its record.
 */
static int store_in_open_chapter(struct share *share, const struct uds_record_name *name,
				 const struct uds_record_data *data)
{
	struct index_zone *zone = share->zone;
	uint32_t room;
	int r;

	r = open_zone_put(zone->open, name, data, &room);
	zone->changed = zone->changed || r == 0;
	if (r == 0 && room == 0)
		index_close_chapter(share->index, zone);
	return r;
}

/*
 * Makes the volume index name the open chapter for a record, and puts it there. A record that finds
 * no room in the volume index is not stored at all: that is no error, but counted.
 */
static int store(struct share *share, size_t i, struct lookup *lookup,
		 const struct uds_record_data *data)
{
	struct uds_index *index = share->index;
	const struct uds_record_name *name = &share->work[i].request->name;
	struct hint *record = &lookup->record;
	int r;

	if (record->found && (record->collision || (lookup->found && !lookup->only_cached)))
		r = volume_index_set(index->volume_index, record, index->newest);
	else
		r = volume_index_put(index->volume_index, record, name, index->newest);
	if (r == UDS_ERR_OVERFLOW) {
		share->zone->counters.overflows++;
		return 0;
	}
	if (r < 0)
		return r;
	share->zone->changed = true;
	return store_in_open_chapter(share, name, data);
}

/*
 * Post, update, query and peek. A collision entry whose chapter does not have the record is a record
 * that was lost (its chapter's index or a loaded open chapter had no room for it): post and update
 * store it again, also where the format's origin does not: when the entry names the open chapter.
 */
static int store_or_promote(struct share *share, size_t i, struct lookup *lookup)
{
	struct uds_request *request = share->work[i].request;
	bool in_open = lookup->found && lookup->location == UDS_LOCATION_OPEN_CHAPTER;

	switch (request->kind) {
	case UDS_UPDATE:
		if (in_open)
			return store_in_open_chapter(share, &request->name, &request->new_data);
		return store(share, i, lookup, &request->new_data);
	case UDS_POST:
		if (!lookup->found)
			return store(share, i, lookup, &request->new_data);
		return in_open ? 0 : store(share, i, lookup, &lookup->data);
	case UDS_QUERY:
		if (!lookup->found || in_open)
			return 0;
		return store(share, i, lookup, &lookup->data);
	default:
		return 0;
	}
}

/*
 * A collision entry is removed without a look at its chapter: it has the whole name. Records in closed
 * chapters stay there, without an entry that leads to them.
 */
static void forget(struct share *share, size_t i, struct lookup *lookup)
{
	struct hint *record = &lookup->record;

	lookup->found = record->found && (record->collision || lookup->found);
	if (!lookup->found)
		return;
	lookup->location = index_location(share->index, record->vcn);
	volume_index_remove(share->index->volume_index, record);
	share->zone->changed = true;
	if (lookup->location == UDS_LOCATION_OPEN_CHAPTER)
		open_zone_remove(share->zone->open, &share->work[i].request->name);
}

static void count_request(struct zone_counters *counters, const struct uds_request *request)
{
	switch (request->kind) {
	case UDS_POST:
		counters->posts_found[request->location]++;
		break;
	case UDS_UPDATE:
		counters->updates_found += request->found;
		counters->updates_not_found += !request->found;
		break;
	case UDS_DELETE:
		counters->deletions_found += request->found;
		counters->deletions_not_found += !request->found;
		break;
	default:
		counters->queries_found += request->found;
		counters->queries_not_found += !request->found;
		break;
	}
}

int check_request(const struct uds_index *index, const struct uds_request *request)
{
	if (request->kind < UDS_QUERY || request->kind > UDS_UPDATE)
		return -EINVAL;
	return index->read_only && request->kind != UDS_PEEK ? UDS_ERR_READ_ONLY : 0;
}

/*
 * Makes sure that there is room in the open chapter. There is not when the chapter before could not be
 * written, and when another thread has filled the zone and is just gathering all locks to close it.
 */
static int make_room(struct share *share, const struct uds_request *request)
{
	if (request->kind == UDS_PEEK || !open_zone_is_full(share->zone->open))
		return 0;
	return index_close_chapter(share->index, share->zone);
}

int share_carry_out(struct share *share, size_t i)
{
	struct uds_request *request = share->work[i].request;
	struct lookup lookup;
	int r;

	r = check_request(share->index, request);
	if (r == 0)
		r = share_triage(share, i);
	if (r == 0)
		r = make_room(share, request);
	if (r == 0)
		r = share_look_up(share, i, &lookup);
	if (r != 0)
		return r;
	if (request->kind == UDS_DELETE)
		forget(share, i, &lookup);
	else if (lookup.found)
		request->old_data = lookup.data;
	request->found = lookup.found;
	request->location = (uint8_t)(lookup.found ? lookup.location : UDS_LOCATION_NONE);
	if (request->kind != UDS_DELETE)
		r = store_or_promote(share, i, &lookup);
	if (r == 0)
		count_request(&share->zone->counters, request);
	return r;
}
