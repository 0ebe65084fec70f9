/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a request does (uds-format, 17.2 and 17.3), once it is known where its name is. The row of
 * its kind says which of the functions here are for it.
 *
 * The lock is held throughout a step, so what the lookup said is still true when the
 * record is stored.
 */
#include "index/operation.h"

#include "index/close_chapter.h"
#include "index/journal.h"
#include "index/left_out.h"
#include "index/lookup.h"
#include "index/triage.h"

/* In two steps: where the list is, then the list itself. */
static void approach(const struct batch *batch, size_t i)
{
	if (i < batch->count)
		volume_index_approach(batch->index->volume_index, &batch->operations[i].place);
}

static void prefetch(const struct batch *batch, size_t i, bool peek)
{
	const struct operation *operation;
	bool stores;

	if (i >= batch->count)
		return;
	operation = &batch->operations[i];
	/* A change moves the end of the list; a lookup touches only where its key may be. */
	stores = !peek && request_kind_stores_new(operation->kind);
	volume_index_prefetch(batch->index->volume_index, &operation->place,
			      stores ? HINT_CHANGE
			      : peek ? HINT_PEEK
				     : HINT_LOOK);
	if (stores)
		__builtin_prefetch(
			open_zone_first_slot(batch->zone->open, &operation->request->name));
}

void operations_prefetch_first(const struct batch *batch, size_t first, bool peek)
{
	/* A single one is needed at once. */
	for (size_t i = first; i < first + 2 * BATCH_AHEAD && batch->count - first > 1; i++)
		approach(batch, i);
	for (size_t i = first; i < first + BATCH_AHEAD; i++)
		prefetch(batch, i, peek);
}

void operations_prefetch_next(const struct batch *batch, size_t i, bool peek)
{
	approach(batch, i + 2 * BATCH_AHEAD);
	prefetch(batch, i + BATCH_AHEAD, peek);
}

/* Puts a record into the open chapter, whose volume index entry names it already. */
static int store_in_open_chapter(struct batch *batch, struct operation *operation,
				 const struct uds_record_data *data)
{
	struct index_zone *zone = batch->zone;
	bool was_full = open_zone_is_full(zone->open);
	uint32_t size = zone->open->size, room;
	int r;

	r = open_zone_put(zone->open, &operation->request->name, data, &room);
	if (r < 0)
		return r;
	/* The size from before the put tells whether it took a number or replaced a record. */
	journal_note_put(batch->index, zone, &operation->request->name, size);
	zone->changed = true;
	/*
	 * A chapter that is full already cannot be closed now, or another thread is just
	 * about to do it.
	 */
	if (room == 0 && !was_full)
		operation->state = OPERATION_FILLED_CHAPTER;
	return 0;
}

/*
 * Makes the volume index name the open chapter for a record, and puts it there. A record that finds
 * no room in the volume index is not stored at all: that is no error, but counted.
 */
static int store_in_index(struct batch *batch, struct operation *operation,
			  struct located_record *record, const struct uds_record_data *data)
{
	struct uds_index *index = batch->index;
	struct hint *hint = &record->hint;
	int r;

	/*
	 * An ordinary entry may be that of another name. It is this record's only if its chapter
	 * has the record; a record that the sparse cache alone has found has no entry.
	 */
	if (hint->found && (hint->collision || (record->found && !record->only_cached)))
		r = volume_index_set(index->volume_index, hint, index->newest);
	else
		r = volume_index_put(index->volume_index, hint, &operation->request->name,
				     index->newest);
	if (r == UDS_ERR_OVERFLOW) {
		/* The caller still gets the answer about what was there before (17.2). */
		batch->zone->counters.overflows++;
		return 0;
	}
	if (r < 0)
		return r;
	batch->zone->changed = true;
	return store_in_open_chapter(batch, operation, data);
}

/*
 * A collision entry whose chapter does not have the record is a record that was lost (its
 * chapter's index or a loaded open chapter had no room for it): it counts as not found, so post
 * and update store it again, also where the reference implementation does not: when the entry
 * names the open chapter.
 */
static int store(struct batch *batch, struct operation *operation, struct located_record *record)
{
	struct uds_request *request = operation->request;
	const struct uds_record_data *data = &request->new_data;

	switch (operation->kind->stores[request->location]) {
	case STORE_NEW:
		break;
	case STORE_OLD:
		data = &record->data;
		break;
	default:
		return 0;
	}
	if (request->location == UDS_LOCATION_OPEN_CHAPTER)
		return store_in_open_chapter(batch, operation, data);
	return store_in_index(batch, operation, record, data);
}

/*
 * The load had no room for some records of the open chapter, and the save still has them: one that
 * is deleted must not come back with the next load. Later chapters make that save useless.
 */
static void note_absent(struct batch *batch, const struct uds_record_name *name)
{
	const struct uds_index *index = batch->index;

	if (index->dropped_at_load == 0 || index->newest != index->saved_chapter)
		return;
	batch->zone->changed = true;
	journal_note_deletion(index, batch->zone, name);
}

/*
 * A collision entry is removed without a look at its chapter: it has the whole name. Records in
 * closed chapters stay there, without an entry that leads to them.
 */
static void remove_entry(struct batch *batch, struct operation *operation,
			 struct located_record *record)
{
	struct hint *hint = &record->hint;

	record->found = hint->found && (hint->collision || record->found) &&
			operation_may_remove(operation, hint->vcn);
	if (!record->found) {
		note_absent(batch, &operation->request->name);
		return;
	}
	/* Now: removing the entry makes the hint invalid. */
	record->location = index_location(batch->index, hint->vcn);
	left_out_note_deletion(batch->index, batch->zone, &operation->request->name, hint->vcn);
	volume_index_remove(batch->index->volume_index, hint);
	batch->zone->changed = true;
	/* Not written yet, so the record itself can still be removed. */
	if (record->location == UDS_LOCATION_OPEN_CHAPTER)
		open_zone_remove(batch->zone->open, &operation->request->name);
	journal_note_deletion(batch->index, batch->zone, &operation->request->name);
}

/* Does what the kind asks for, and fills in the results. */
static int apply(struct batch *batch, struct operation *operation, struct located_record *record)
{
	struct uds_request *request = operation->request;
	const struct request_kind *kind = operation->kind;
	int r;

	if (kind->removes)
		remove_entry(batch, operation, record);
	else if (record->found)
		request->old_data = record->data;
	request->found = record->found;
	request->location = (uint8_t)(record->found ? record->location : UDS_LOCATION_NONE);
	r = store(batch, operation, record);
	if (r == 0)
		batch->zone->counters.requests[kind->counted_as][request->location]++;
	return r;
}

/* Whether a request puts a record into the open chapter that is not there yet. */
static bool adds_record(const struct operation *operation, const struct located_record *record)
{
	enum uds_location location = record->found ? record->location : UDS_LOCATION_NONE;

	return location != UDS_LOCATION_OPEN_CHAPTER &&
	       operation->kind->stores[location] != STORE_NOTHING;
}

/*
 * From the start to the results. Until the name is found nothing of the request is done, so all of
 * this can be repeated after the lock was released to get what it wanted.
 *
 * Returns 0, what the operation wants, or an error.
 */
static int carry_out(struct batch *batch, struct operation *operation)
{
	struct located_record record;
	bool full;
	int r;

	r = operation_check(batch->index, operation);
	/* Before the lookup, which may already use the chapter that this brings in (18). */
	if (r == 0)
		r = triage_operation(batch, operation);
	if (r != 0)
		return r;
	/*
	 * The open chapter is full when the chapter before could not be written, and when another
	 * thread has filled the zone and is just gathering all locks to close it.
	 */
	full = operation->kind->needs_room && open_zone_is_full(batch->zone->open);
	if (full && !index_has_unwritten_chapter(batch->index))
		return STEP_WANTS_CHAPTER_CLOSED;
	r = lookup_name(batch, operation, &record);
	/* Requests that need no room do not depend on a device that fails. */
	if (r == 0 && full && adds_record(operation, &record))
		r = batch->close_status < 0 ? batch->close_status : STEP_WANTS_CHAPTER_CLOSED;
	return r != 0 ? r : apply(batch, operation, &record);
}

static void finish(struct operation *operation, int status)
{
	operation->request->status = status;
	operation->state = OPERATION_DONE;
}

enum step operation_step(struct batch *batch, struct operation *operation)
{
	int r;

	if (operation->state == OPERATION_DONE)
		return STEP_DONE;
	r = carry_out(batch, operation);
	if (r < 0) {
		operation_fail(operation, r);
		return STEP_DONE;
	}
	if (r > 0)
		return (enum step)r;
	/*
	 * The record is stored. The request that fills a chapter closes it before the request
	 * is done (19.1).
	 */
	if (operation->state == OPERATION_FILLED_CHAPTER)
		return STEP_WANTS_CHAPTER_CLOSED;
	finish(operation, 0);
	return STEP_DONE;
}

void operation_chapter_closed(struct operation *operation, int status)
{
	/*
	 * One that filled the chapter has stored its record. The next one that needs room
	 * gets the error.
	 */
	if (operation->state == OPERATION_FILLED_CHAPTER)
		finish(operation, 0);
	else if (status < 0)
		operation_fail(operation, status);
}

void operation_fail(struct operation *operation, int status)
{
	operation->request->found = false;
	finish(operation, status);
}
