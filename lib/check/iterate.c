/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walking over all live records, oldest chapter first.
 *
 * A record of a chapter is live when a lookup of its name would lead to this very place: the volume
 * index names the chapter, the chapter's index the page, and a search of the page this record. So
 * records that were stored again or deleted, and copies of the fill record, are passed over. So is
 * what a repair wrote in the place of all records (placeholder.h).
 *
 * The volume index does not know most names of sparse chapters. Those count as live when it does
 * not lead to the name at all; a name that several such chapters have comes once for each.
 */
#include "check/placeholder.h"
#include "index/close_chapter.h"
#include "index/index.h"
#include "index/left_out.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/message.h"
#include "base/visibility.h"
#include "geometry/name_bits.h"
#include "volume/chapter_stream.h"
#include "volume/chapter_view.h"

struct walk {
	struct uds_index *index;
	uds_record_fn each;
	void *context;
};

static int give(struct walk *walk, const struct uds_record_name *name,
		const struct uds_record_data *data)
{
	return walk->each(walk->context, name, data) == 0 ? 0 : UDS_ERR_STOPPED;
}

/* Whether a lookup of the name would look into chapter @vcn. */
static bool leads_to_chapter(struct uds_index *index, const struct uds_record_name *name,
			     uint64_t vcn)
{
	struct hint record;
	struct name_place place;

	volume_index_locate(index->volume_index, name, &place);
	/* A peek: walking must not sweep, promote or count. */
	volume_index_peek(index->volume_index, &place, name, &record);
	if (record.found)
		return record.vcn == vcn;
	/*
	 * The volume index has the samples of sparse chapters (11.5): a sample without an entry is
	 * deleted.
	 */
	return index_location(index, vcn) == UDS_LOCATION_SPARSE &&
	       !is_sample(&index->geometry, name);
}

static int walk_page(struct walk *walk, const struct chapter_view *chapter, uint32_t page)
{
	struct uds_index *index = walk->index;
	const uint8_t *records = chapter_view_record_page(chapter, page);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < index->geometry.records_per_page; i++) {
		const uint8_t *at = records + (size_t)i * UDS_RECORD_BYTES;
		struct uds_record_name name;
		struct uds_record_data data;

		memcpy(&name, at, sizeof(name));
		memcpy(&data, at + sizeof(name), sizeof(data));
		if (leads_to_chapter(index, &name, chapter->vcn) &&
		    chapter_view_leads_to(chapter, page, i) && !is_placeholder(index, at))
			r = give(walk, &name, &data);
	}
	return r;
}

/* Against its checksums. */
static int check_page(struct uds_index *index, const struct chapter_view *view, uint32_t page)
{
	struct uds_message message;
	int r = chapter_view_check_page(view, page, &message);

	if (r == 0)
		return 0;
	env_log(&index->env, UDS_LOG_ERROR, "%s", message.text);
	return index_failure(index, r, &message);
}

/*
 * A chapter that cannot be read is left out, and said in the log; so is a record page
 * that is damaged.
 */
static int walk_chapter(struct walk *walk, struct chapter_view *view, uint64_t vcn,
			const struct streamed_chapter *streamed)
{
	struct uds_index *index = walk->index;
	struct uds_message message;
	int r = streamed->status;

	if (r < 0)
		failure(&message, r, "%s: chapter %" PRIu64 " in slot %" PRIu32 ": %s",
			uds_io_name(index->io), vcn, streamed->slot, uds_strerror(r));
	else
		r = chapter_view_set(view, vcn, streamed->pages, &message);
	if (r < 0) {
		env_log(&index->env, UDS_LOG_ERROR, "%s", message.text);
		return index_failure(index, r, &message);
	}
	for (uint32_t p = 0; r == 0 && p < index->geometry.index_pages_per_chapter; p++)
		r = check_page(index, view, p);
	if (r < 0)
		return r;
	for (uint32_t p = 0; r != UDS_ERR_STOPPED && p < index->geometry.record_pages_per_chapter;
	     p++) {
		int status = check_page(index, view, index->geometry.index_pages_per_chapter + p);

		if (status == 0)
			status = walk_page(walk, view, p);
		if (status == UDS_ERR_STOPPED || r == 0)
			r = status;
	}
	return r;
}

/*
 * @count chapters from @first on, at least one. Returns UDS_ERR_STOPPED, or the first error that a
 * chapter met, or 0.
 */
static int walk_volume(struct walk *walk, uint64_t first, uint32_t count)
{
	struct uds_index *index = walk->index;
	struct chapter_stream *stream = NULL;
	struct streamed_chapter streamed;
	struct chapter_view view;
	int first_error = 0;
	uint32_t *slots;
	int r;

	slots = env_allocate(&index->env, count, sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		slots[i] = geometry_physical_chapter(&index->geometry, first + i);
	r = chapter_view_make(index->volume, &view);
	if (r < 0)
		goto out_slots;
	/* Read ahead: without it the device would be idle while records are given out. */
	r = chapter_stream_open(index->volume, CHAPTER_ALL_PAGES, slots, count, 1, &stream);
	for (uint32_t i = 0;
	     r != UDS_ERR_STOPPED && stream != NULL && chapter_stream_next(stream, &streamed);
	     i++) {
		r = walk_chapter(walk, &view, first + i, &streamed);
		/* One chapter that cannot be read does not keep the others from being walked. */
		if (first_error == 0)
			first_error = r;
	}
	chapter_stream_close(stream);
	chapter_view_free(&view);
out_slots:
	env_release(&index->env, slots);
	return r < 0 ? r : first_error;
}

/* One zone's share of a chapter that is in memory. */
static int walk_zone(struct walk *walk, const struct open_zone *zone, uint64_t vcn)
{
	int r = 0;

	for (uint32_t n = 1; r == 0 && n <= zone->size; n++) {
		const struct uds_record *record = &zone->records[n - 1];

		/*
		 * A record whose entry is missing or overflowed cannot be looked up, so it does not
		 * count as live either.
		 */
		if (!open_zone_is_removed(zone, n) &&
		    leads_to_chapter(walk->index, &record->name, vcn))
			r = give(walk, &record->name, &record->data);
	}
	return r;
}

/* What the index of the chapter that was closed last left out: lookups find it in memory. */
static int walk_left_out(struct walk *walk)
{
	const struct uds_index *index = walk->index;
	struct left_out left_out;
	int r;

	r = left_out_find(index, &left_out);
	for (uint32_t i = 0; r == 0 && i < left_out.count; i++) {
		const struct uds_record *record = &left_out.records[i];

		if (leads_to_chapter(walk->index, &record->name, left_out.vcn))
			r = give(walk, &record->name, &record->data);
	}
	left_out_free(index, &left_out);
	return r;
}

/* The first chapter that is not on the volume. */
static uint64_t volume_end(const struct uds_index *index)
{
	return index->newest - (index_has_unwritten_chapter(index) ? 1 : 0);
}

/* What is in memory of a chapter: the open one, or the one before it, which may be written. */
static int walk_memory(struct walk *walk, uint64_t vcn)
{
	const struct uds_index *index = walk->index;
	int r = 0;

	if (vcn + 1 == index->newest && volume_end(index) == index->newest)
		return walk_left_out(walk);
	for (unsigned int z = 0; r == 0 && z < index->zone_count; z++)
		r = walk_zone(walk,
			      vcn == index->newest ? index->zones[z].open : index->zones[z].closing,
			      vcn);
	return r;
}

/* Chapters from @first to before @end. All locks are held and nothing is being written. */
static int walk_range(struct walk *walk, uint64_t first, uint64_t end)
{
	const struct uds_index *index = walk->index;
	uint64_t written = volume_end(index) < end ? volume_end(index) : end;
	int first_error = 0, r = 0;

	if (written > first)
		first_error = walk_volume(walk, first, (uint32_t)(written - first));
	if (first_error == UDS_ERR_STOPPED || first_error == -ENOMEM)
		return first_error;
	/* Any other error is that of one chapter: those in memory are still to come. */
	if (index->newest > 0 && first < index->newest && end >= index->newest)
		r = walk_memory(walk, index->newest - 1);
	if (r == 0 && end > index->newest)
		r = walk_memory(walk, index->newest);
	return r < 0 ? r : first_error;
}

/* Held for the whole walk: a record that moves to the open chapter would come twice, or never. */
static void lock_for_walk(struct uds_index *index)
{
	index_lock_all(index);
	/*
	 * The closing chapter is on the volume after this, where the walk finds it, or
	 * stays in memory.
	 */
	if (index->writer != NULL)
		(void)chapter_writer_wait(index->writer, NULL);
}

UDS_PUBLIC int uds_index_for_each(struct uds_index *index, uds_record_fn each, void *context)
{
	struct walk walk = { index, each, context };
	int r;

	failures_begin(index->failures);
	lock_for_walk(index);
	r = walk_range(&walk, index->oldest, index->newest + 1);
	index_unlock_all(index);
	return index_end(index, r, "going through all records");
}

UDS_PUBLIC int uds_index_for_each_in_chapter(struct uds_index *index, uint64_t chapter,
					     uds_record_fn each, void *context, uint64_t *ret_next)
{
	struct walk walk = { index, each, context };
	int r = 0;

	failures_begin(index->failures);
	lock_for_walk(index);
	/* Chapters that were evicted meanwhile have no records any more. */
	if (chapter < index->oldest)
		chapter = index->oldest;
	if (chapter > index->newest)
		r = failures_say(index->failures, UDS_ERR_OUT_OF_RANGE,
				 "%s: chapter %" PRIu64 " is behind the open one, %" PRIu64,
				 uds_io_name(index->io), chapter, index->newest);
	else
		r = walk_range(&walk, chapter, chapter + 1);
	if (r == 0)
		*ret_next = chapter + 1;
	index_unlock_all(index);
	return index_end(index, r, "going through the records of a chapter");
}
