/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a chapter (uds-format, 19.1): it is closed in all zones in one step, under all locks, and
 * handed to the chapter writer.
 *
 * At most one chapter is being written: closing the next one waits for it. One that could not be written
 * stays in memory, in the closing zones, and is tried again when the next one is to be closed.
 */
#include "index/close_chapter.h"

#include "base/message.h"
#include "index/journal.h"

int index_write_chapter(struct uds_index *index)
{
	struct uds_message message = { "" };
	int r;

	if (index->writer == NULL)
		return 0;
	r = chapter_writer_finish(index->writer, &message);
	return r < 0 ? index_failure(index, r, &message) : 0;
}

bool index_has_unwritten_chapter(const struct uds_index *index)
{
	return index->writer != NULL && chapter_writer_status(index->writer, NULL) < 0;
}

int index_set_open_chapter(struct uds_index *index, uint64_t newest)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < index->zone_count; i++)
		r = volume_index_set_open_chapter(index->volume_index, i, newest);
	return r;
}

/*
 * The oldest chapter when @newest is opened. On a converted volume the steps of 11.4 are right only if none
 * is left out, and a recovery between the step of two and the step of none does that (16.1): oldest would
 * stay one too low for good. So it never lags behind the window of the volume index.
 */
static uint64_t oldest_after(const struct uds_index *index, uint64_t newest)
{
	uint64_t chapters = index->geometry.chapters_per_volume;
	uint64_t oldest = index->oldest + geometry_chapters_to_expire(&index->geometry, newest);
	uint64_t low = newest >= chapters ? newest - chapters + 1 : 0;

	return oldest > low ? oldest : low;
}

/* All locks are held and the writer has nothing to do. */
static int swap_and_write(struct uds_index *index)
{
	struct open_zone *closed[MAXIMUM_ZONES];
	struct uds_message message = { "" };
	uint64_t closing = index->newest;
	int r;

	/* Before the swap: when this fails, the zones are as they were. */
	r = index_set_open_chapter(index, closing + 1);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < index->zone_count; i++) {
		struct index_zone *zone = &index->zones[i];

		/*
		 * The buffer that was written before becomes the open one. The closed one keeps its
		 * records, for lookups, until the next close (17.1).
		 */
		closed[i] = zone->open;
		zone->open = zone->closing;
		zone->closing = closed[i];
		zone->has_closing = true;
		open_zone_reset(zone->open);
	}
	index->newest = closing + 1;
	journal_begin_chapter(index);
	index->oldest = oldest_after(index, index->newest);
	/* The writer is idle, and has written the chapter before: this neither waits nor fails. */
	r = chapter_writer_submit(index->writer, closing, closed, index->zone_count, &message);
	return r < 0 ? index_failure(index, r, &message) : 0;
}

static bool has_records(const struct uds_index *index)
{
	uint64_t records = 0;

	for (unsigned int i = 0; i < index->zone_count; i++)
		records += open_zone_live(index->zones[i].open);
	return records > 0;
}

/*
 * All records were deleted while the chapter was full and could not be closed. One without records is not
 * written (10.4), so it begins anew.
 */
static void empty_open_chapter(struct uds_index *index)
{
	for (unsigned int i = 0; i < index->zone_count; i++)
		open_zone_reset(index->zones[i].open);
	journal_begin_chapter(index);
}

/* All locks are held, and a zone is full. */
static int close_full_chapter(struct uds_index *index)
{
	int r;

	if (!has_records(index)) {
		empty_open_chapter(index);
		return 0;
	}
	r = index_write_chapter(index);
	return r < 0 ? r : swap_and_write(index);
}

int index_close_before_save(struct uds_index *index)
{
	int r = index_write_chapter(index);

	for (unsigned int i = 0; r == 0 && i < index->zone_count; i++) {
		if (!open_zone_is_full(index->zones[i].open))
			continue;
		r = close_full_chapter(index);
		return r < 0 ? r : index_write_chapter(index);
	}
	return r;
}

int index_close_chapter(struct uds_index *index, struct index_zone *zone)
{
	int r = 0;

	index_lock_others(index, zone);
	/* Without the lock another thread may have closed it. */
	if (open_zone_is_full(zone->open))
		r = close_full_chapter(index);
	index_unlock_others(index, zone);
	return r;
}
