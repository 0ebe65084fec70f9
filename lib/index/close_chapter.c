/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a chapter (uds-format, 19.1): it is closed in all zones in one step, under all locks, and
 * handed to the chapter writer.
 *
 * At most one chapter is being written: closing the next one waits for it.
 */
#include "index/close_chapter.h"

#include "base/message.h"
#include "base/visibility.h"

int index_wait_for_writer(struct uds_index *index)
{
	struct uds_message message = { "" };
	int r;

	if (index->writer == NULL)
		return 0;
	r = chapter_writer_wait(index->writer, &message);
	return r < 0 ? index_failure(index, r, &message) : 0;
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
	index->oldest = oldest_after(index, index->newest);
	/*
	 * The writer is idle, so this does not wait while all zones are locked. A failure is kept by the
	 * writer, which takes no later chapter then.
	 */
	r = chapter_writer_submit(index->writer, closing, closed, index->zone_count, &message);
	return r < 0 ? index_failure(index, r, &message) : 0;
}

int index_close_chapter(struct uds_index *index, struct index_zone *zone)
{
	int r = 0;

	index_lock_others(index, zone);
	/* Without the lock another thread may have closed it. */
	if (open_zone_is_full(zone->open)) {
		r = index_wait_for_writer(index);
		if (r == 0)
			r = swap_and_write(index);
	}
	index_unlock_others(index, zone);
	return r;
}

UDS_PUBLIC int uds_index_flush(struct uds_index *index)
{
	failures_begin(index->failures);
	return index_end(index, index_wait_for_writer(index), "writing a chapter");
}
