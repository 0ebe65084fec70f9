/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a chapter (uds-format, 19.1): it is closed in all zones in one step, under all locks,
 * and handed to the chapter writer.
 *
 * At most one chapter is being written: closing the next one waits for it. One that could not
 * be written stays in memory, in the closing zones, and is tried again when the next one is
 * to be closed.
 */
#include "index/close_chapter.h"

#include "base/message.h"
#include "index/journal.h"
#include "index/left_out.h"

int index_write_chapter(struct uds_index *index)
{
	struct uds_message message = { "" };
	int r;

	/* Opened read-only: nothing closes there. */
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
 * The oldest chapter when @newest is opened. On a converted volume the steps of 11.4 are right
 * only if none is left out, and a recovery between the step of two and the step of none does
 * that (16.1): oldest would stay one too low for good. So it never lags behind the window of
 * the volume index.
 */
static uint64_t oldest_after(const struct uds_index *index, uint64_t newest)
{
	uint64_t chapters = index->geometry.chapters_per_volume;
	uint64_t oldest = index->oldest + geometry_chapters_to_expire(&index->geometry, newest);
	uint64_t low = newest >= chapters ? newest - chapters + 1 : 0;

	return oldest > low ? oldest : low;
}

/* The closing zones become the open ones, and the reverse. */
static void swap_zones(struct uds_index *index, struct open_zone **ret_closed)
{
	for (unsigned int i = 0; i < index->zone_count; i++) {
		struct index_zone *zone = &index->zones[i];

		/*
		 * The buffer that was written before becomes the open one. The closed one keeps its
		 * records, for lookups, until the next close (17.1).
		 */
		ret_closed[i] = zone->open;
		zone->open = zone->closing;
		zone->closing = ret_closed[i];
		zone->has_closing = true;
		open_zone_reset(zone->open);
	}
}

/*
 * The new chapter begins with what the index of the one before the last has left out, up
 * to half of it.
 */
static void begin_with_left_out(struct uds_index *index, const struct left_out *left_out)
{
	uint32_t over;

	/* The memory was reserved: only room can be missing. */
	(void)left_out_put(index, left_out, index->zones[0].open->capacity / 2, &over);
	/* Also when none is over: nothing more is done for that chapter. */
	left_out_lose(index, left_out->vcn, over);
}

/* All locks are held and the writer has nothing to do. */
static int swap_and_write(struct uds_index *index)
{
	struct open_zone *closed[MAXIMUM_ZONES];
	struct uds_message message = { "" };
	uint64_t closing = index->newest;
	struct left_out left_out;
	int r;

	/*
	 * When this fails, the chapter closes all the same, as it does when its own write fails.
	 * Nothing that was flushed depends on it before the next save or block of the journal,
	 * which tell it, too.
	 */
	(void)journal_tell(index, &message);
	/* Before the swap: when this fails, the zones are as they were. */
	r = left_out_find(index, &left_out);
	if (r == 0)
		r = left_out_reserve(index, &left_out);
	if (r == 0)
		r = index_set_open_chapter(index, closing + 1);
	if (r < 0) {
		left_out_free(index, &left_out);
		return r;
	}
	swap_zones(index, closed);
	index->newest = closing + 1;
	/*
	 * Changes need no list further, as the chapter goes to the volume with them. Deletions stay
	 * until a save has them.
	 */
	journal_begin_chapter(index);
	index->oldest = oldest_after(index, index->newest);
	begin_with_left_out(index, &left_out);
	left_out_free(index, &left_out);
	/* The writer is idle, and has written the chapter before: this neither waits nor fails. */
	r = chapter_writer_submit(index->writer, closing, closed, index->zone_count, &message);
	if (index->chapter_closed != NULL)
		index->chapter_closed(index);
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
 * All records were deleted while the chapter was full and could not be closed. One without records
 * is not written (10.4), so it begins again.
 */
static void empty_open_chapter(struct uds_index *index)
{
	for (unsigned int i = 0; i < index->zone_count; i++)
		open_zone_reset(index->zones[i].open);
	journal_begin_chapter(index);
}

/* All locks are held. */
static int close_full_chapter(struct uds_index *index)
{
	int r;

	if (!has_records(index)) {
		empty_open_chapter(index);
		return 0;
	}
	/*
	 * The buffers of the chapter before are the next open ones: what they have must be on
	 * the volume first.
	 */
	r = index_write_chapter(index);
	return r < 0 ? r : swap_and_write(index);
}

static bool has_full_zone(const struct uds_index *index)
{
	bool full = false;

	for (unsigned int i = 0; i < index->zone_count; i++)
		full = full || open_zone_is_full(index->zones[i].open);
	return full;
}

static int close_before_save(struct uds_index *index)
{
	int r = close_full_chapter(index);

	return r < 0 ? r : 1;
}

int index_settle_before_save(struct uds_index *index, bool may_close)
{
	uint32_t over = 0;
	int r;

	if (has_full_zone(index))
		return close_before_save(index);
	r = left_out_settle(index, &over);
	if (r < 0 || over == 0)
		return r;
	/* A chapter that is not full is as good, and the next one has room. */
	if (may_close)
		return close_before_save(index);
	left_out_lose(index, index->newest - 1, over);
	return 0;
}

int index_lock_settled(struct uds_index *index)
{
	uint64_t newest;
	int r;

	for (;;) {
		pthread_mutex_lock(&index->zones[0].lock);
		/* Changes under all zone locks only: any one of them is enough. */
		newest = index->newest;
		pthread_mutex_unlock(&index->zones[0].lock);
		r = index_write_chapter(index);
		if (r < 0)
			return r;
		index_lock_all(index);
		/*
		 * If another one was closed meanwhile, its writing is not waited for
		 * under the locks.
		 */
		if (index->newest == newest)
			return 0;
		index_unlock_all(index);
	}
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
