/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding the records that the index of their chapter left out, and putting them into
 * the open chapter.
 */
#include "index/left_out.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/message.h"
#include "geometry/name_bits.h"
#include "index/journal.h"
#include "volume/chapter_stream.h"
#include "volume/chapter_view.h"
#include "volume/volume_search.h"

/* Chapters whose left-out records may be on their pages only, after a power cut. */
#define RECOVERED_CHAPTERS 2u

/* ---- finding them in memory ---- */

void left_out_note_deletion(const struct uds_index *index, struct index_zone *zone,
			    const struct uds_record_name *name, uint64_t vcn)
{
	/* A name that was found in an older chapter has no record in this one. */
	if (index->journal != NULL && zone->has_closing && vcn + 1 >= index->newest)
		open_zone_mark_deleted(zone->closing, name);
}

static void find_in_zone(const struct chapter_view *view, const struct open_zone *closed,
			 uint32_t most, struct left_out *left_out)
{
	/* @most is what the writer counted: there is memory for no more. */
	for (uint32_t n = 1; left_out->count < most && n <= closed->size; n++) {
		const struct uds_record *record = &closed->records[n - 1];

		if (!open_zone_is_removed(closed, n) && !open_zone_is_deleted(closed, n) &&
		    !chapter_view_has(view, &record->name))
			left_out->records[left_out->count++] = *record;
	}
}

static int find_in_zones(const struct uds_index *index, const uint8_t *pages, uint32_t most,
			 struct left_out *left_out)
{
	struct chapter_view view;
	struct uds_message message;
	int r;

	r = chapter_view_make(index->volume, &view);
	if (r < 0)
		return r;
	r = chapter_view_set(&view, left_out->vcn, pages, &message);
	for (unsigned int i = 0; r == 0 && i < index->zone_count; i++)
		find_in_zone(&view, index->zones[i].closing, most, left_out);
	chapter_view_free(&view);
	return r;
}

void left_out_begin(struct uds_index *index)
{
	struct chapter_writer_statistics statistics;

	if (index->flushed)
		return;
	chapter_writer_get_statistics(index->writer, &statistics);
	index->left_out_lost = statistics.unreachable_records;
	index->left_out_from = index->newest;
	index->flushed = true;
	journal_begin_flushes(index);
}

int left_out_find(const struct uds_index *index, struct left_out *ret_left_out)
{
	struct left_out left_out = { .vcn = index->newest - 1 };
	const uint8_t *pages;
	uint32_t most;
	int r;

	*ret_left_out = left_out;
	if (!index->flushed || index->journal == NULL || !index->zones[0].has_closing ||
	    index->left_out_from >= index->newest)
		return 0;
	pages = chapter_writer_pages(index->writer, left_out.vcn, &most);
	if (pages == NULL || most == 0)
		return 0;
	left_out.records = env_allocate(&index->env, most, sizeof(*left_out.records));
	if (left_out.records == NULL)
		return -ENOMEM;
	r = find_in_zones(index, pages, most, &left_out);
	if (r < 0)
		left_out_free(index, &left_out);
	else
		*ret_left_out = left_out;
	return r;
}

void left_out_free(const struct uds_index *index, struct left_out *left_out)
{
	env_release(&index->env, left_out->records);
	left_out->records = NULL;
}

/* ---- putting them into the open chapter ---- */

/* Whether an entry may be that of a record of chapter @vcn. */
static bool hint_leads_to(const struct hint *hint, uint64_t vcn)
{
	return hint->found && !hint->other && hint->vcn == vcn;
}

/*
 * Whether a record of chapter @vcn is current. Names that are no samples have no entry once their
 * chapter is sparse, which in an index with few dense chapters the newest are: an ordinary entry is
 * another name's then, and none tells of a newer record in the chapter that was closed since.
 */
static bool is_current(const struct uds_index *index, const struct index_zone *zone, uint64_t vcn,
		       const struct hint *hint, const struct uds_record_name *name)
{
	if (hint_leads_to(hint, vcn))
		return true;
	if ((hint->found && hint->collision) || is_sample(&index->geometry, name) ||
	    index_location(index, vcn) != UDS_LOCATION_SPARSE)
		return false;
	return !zone->has_closing || vcn + 1 >= index->newest ||
	       open_zone_search(zone->closing, name) == NULL;
}

/* Returns 0; 1 when there was no room for the record, which is current; or -ENOMEM. */
static int put_one(struct uds_index *index, uint64_t vcn, const struct uds_record *record,
		   uint32_t most)
{
	struct index_zone *zone;
	struct name_place place;
	struct hint hint;
	uint32_t room;
	int r;

	volume_index_locate(index->volume_index, &record->name, &place);
	zone = &index->zones[place.zone];
	/* Stored since: that record is the newer one. */
	if (open_zone_search(zone->open, &record->name) != NULL)
		return 0;
	volume_index_get(index->volume_index, &place, &record->name, &hint);
	if (!is_current(index, zone, vcn, &hint, &record->name))
		return 0;
	if (zone->open->size >= most)
		return 1;
	r = hint_leads_to(&hint, vcn)
		    ? volume_index_set(index->volume_index, &hint, index->newest)
		    : volume_index_put(index->volume_index, &hint, &record->name, index->newest);
	/*
	 * A full list takes no new entry (13.4). The record stays where it is: while its chapter
	 * is in memory it is found there, and when that goes it is counted as lost.
	 */
	if (r == UDS_ERR_OVERFLOW) {
		zone->counters.overflows++;
		return 1;
	}
	if (r < 0)
		return r;
	zone->changed = true;
	/* There is room, and memory for all that there is room for. */
	(void)open_zone_put(zone->open, &record->name, &record->data, &room);
	return 0;
}

int left_out_put(struct uds_index *index, const struct left_out *left_out, uint32_t most,
		 uint32_t *ret_over)
{
	int status = 0;

	*ret_over = 0;
	for (uint32_t i = 0; i < left_out->count; i++) {
		int r = put_one(index, left_out->vcn, &left_out->records[i], most);

		status = r < 0 ? r : status;
		*ret_over += r != 0;
	}
	return status;
}

int left_out_reserve(struct uds_index *index, const struct left_out *left_out)
{
	/* Where the chapter stays dense, its entries are changed in place. */
	if (!geometry_is_chapter_sparse(&index->geometry, index->oldest, index->newest + 1,
					left_out->vcn))
		return 0;
	return volume_index_reserve(index->volume_index, left_out->records, left_out->count);
}

int left_out_settle(struct uds_index *index, uint32_t *ret_over)
{
	struct left_out left_out;
	uint32_t over;
	int r;

	r = left_out_find(index, &left_out);
	if (r < 0)
		return r;
	/* Not quite full: loading a full chapter would drop records (10.6). */
	r = left_out_put(index, &left_out, index->zones[0].open->capacity - 1, &over);
	left_out_free(index, &left_out);
	/* Those that are left are found again the next time. */
	if (r < 0)
		return r;
	if (over == 0)
		index->left_out_from = index->newest;
	*ret_over = over;
	return 0;
}

void left_out_lose(struct uds_index *index, uint64_t vcn, uint32_t over)
{
	index->left_out_from = vcn + 1;
	index->left_out_lost += over;
	if (over > 0)
		env_log(&index->env, UDS_LOG_WARNING,
			"%s: %" PRIu32 " records of chapter %" PRIu64
			" are lost: its index had no room for them, nor has half of another "
			"chapter or the volume index",
			uds_io_name(index->io), over, vcn);
}

/* ---- finding them on the volume ---- */

static void find_on_page(const struct chapter_view *view, uint32_t page, struct left_out *left_out)
{
	const uint8_t *records = chapter_view_record_page(view, page);

	for (uint32_t i = 0; i < view->geometry->records_per_page; i++) {
		struct uds_record *record = &left_out->records[left_out->count];

		memcpy(record, records + (size_t)i * UDS_RECORD_BYTES, sizeof(*record));
		left_out->count += !chapter_view_has(view, &record->name);
	}
}

/* What does not match its checksum tells nothing. */
static int find_in_chapter(struct uds_index *index, struct chapter_view *view,
			   struct left_out *left_out, struct uds_message *message)
{
	const uint32_t index_pages = index->geometry.index_pages_per_chapter;
	uint64_t entries, astray;
	int r;

	/* The usual case: a full chapter, all of which is in its index. */
	r = chapter_view_count_astray(view, &entries, &astray);
	if (r < 0 || entries == index->geometry.records_per_chapter)
		return r;
	for (uint32_t p = 0; r == 0 && p < index_pages; p++)
		r = chapter_view_check_page(view, p, message);
	for (uint32_t p = 0; r == 0 && p < index->geometry.record_pages_per_chapter; p++) {
		r = chapter_view_check_page(view, index_pages + p, message);
		if (r == UDS_ERR_CORRUPT)
			r = 0;
		else if (r == 0)
			find_on_page(view, p, left_out);
	}
	return r;
}

/* A sparse chapter's name may have no entry that would lead to a newer record: see is_current(). */
static int drop_replaced(struct uds_index *index, struct left_out *left_out,
			 struct uds_message *message)
{
	struct uds_record_data data;
	uint32_t kept = 0;
	bool found;
	int r = 0;

	if (left_out->vcn + 1 >= index->newest ||
	    index_location(index, left_out->vcn) != UDS_LOCATION_SPARSE)
		return 0;
	for (uint32_t i = 0; r == 0 && i < left_out->count; i++) {
		const struct uds_record *record = &left_out->records[i];

		r = volume_search_chapter(index->volume, index->newest - 1, &record->name, &found,
					  &data, message);
		if (r == 0 && !found)
			left_out->records[kept++] = *record;
	}
	left_out->count = kept;
	return r;
}

static int recover_chapter(struct uds_index *index, struct chapter_view *view,
			   const struct streamed_chapter *chapter, struct left_out *left_out,
			   struct uds_message *message)
{
	int r = chapter->status;
	uint32_t over = 0;

	left_out->count = 0;
	if (r < 0)
		failure(message, r, "%s: chapter %" PRIu64 " (slot %" PRIu32 "): %s",
			uds_io_name(index->io), left_out->vcn, chapter->slot, uds_strerror(r));
	else
		r = chapter_view_set(view, left_out->vcn, chapter->pages, message);
	if (r == 0)
		r = find_in_chapter(index, view, left_out, message);
	if (r == 0)
		r = drop_replaced(index, left_out, message);
	if (r == 0)
		r = left_out_put(index, left_out, index->zones[0].open->capacity / 2, &over);
	if (r == 0)
		left_out_lose(index, left_out->vcn, over);
	return r;
}

/* The newest chapter first: of a name that both left out it has the newer record. */
static int recover_chapters(struct uds_index *index, const uint32_t *slots, uint32_t count,
			    bool skip_unreadable, struct left_out *left_out,
			    struct uds_message *message)
{
	struct chapter_stream *stream = NULL;
	struct streamed_chapter chapter;
	struct chapter_view view;
	int r;

	r = chapter_view_make(index->volume, &view);
	if (r < 0)
		return r;
	r = chapter_stream_open(index->volume, CHAPTER_ALL_PAGES, slots, count, 1, &stream);
	left_out->vcn = index->newest;
	while (r == 0 && left_out->vcn-- > 0 && chapter_stream_next(stream, &chapter)) {
		r = recover_chapter(index, &view, &chapter, left_out, message);
		/* A chapter that is damaged, or lost, was told by who read it before. */
		if (r == UDS_ERR_CORRUPT || (r < 0 && r != -ENOMEM && skip_unreadable))
			r = 0;
	}
	chapter_stream_close(stream);
	chapter_view_free(&view);
	return r;
}

int left_out_recover(struct uds_index *index, bool skip_unreadable, struct uds_message *message)
{
	struct left_out left_out = { .vcn = index->newest };
	uint64_t from = index->left_out_from;
	uint32_t slots[RECOVERED_CHAPTERS], count = 0;
	int r;

	/*
	 * The journal had records of the open chapter, and so all of this; one that it filled
	 * is in memory.
	 */
	if (index->zones[0].has_closing)
		return 0;
	from = from > index->oldest ? from : index->oldest;
	for (uint64_t vcn = index->newest; vcn-- > from && count < RECOVERED_CHAPTERS;)
		slots[count++] = geometry_physical_chapter(&index->geometry, vcn);
	if (count == 0 || !index->flushed)
		return 0;
	/* One more: find_on_page() copies a record before it knows whether it is left out. */
	left_out.records = env_allocate(&index->env, index->geometry.records_per_chapter + 1,
					sizeof(*left_out.records));
	if (left_out.records == NULL)
		return -ENOMEM;
	r = recover_chapters(index, slots, count, skip_unreadable, &left_out, message);
	left_out_free(index, &left_out);
	index->left_out_from = index->newest;
	return r;
}
