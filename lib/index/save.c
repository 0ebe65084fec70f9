/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saving what an index keeps in memory.
 *
 * A save goes to the older of two slots, part by part, each durable before the next; its header
 * comes last and makes it count.
 *
 * All of it is of one moment, for which all zones stand still: the open chapter and the page map
 * are copied then, and the volume index is frozen. Requests go on while it is written, and chapters
 * may be closed. When the chapter that the save has open is on the volume before the header is, the
 * save is committed as one that was left behind. The chapter writer is held only while the slot is
 * given up, and while the header is written.
 */
#include "index/save.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/message.h"
#include "base/visibility.h"
#include "chapter/saved_chapter.h"
#include "index/close_chapter.h"
#include "index/journal.h"
#include "volume/region_stream.h"

/* Writes one part of a save that lies in memory, durably. */
static int write_region(struct uds_index *index, const struct save_region *region, const char *what,
			const uint8_t *memory, uint64_t bytes, struct uds_message *message)
{
	struct region_writer writer;
	int r;

	r = region_writer_open(&writer, index->io, *region, what);
	if (r < 0)
		return r;
	r = region_writer_append(&writer, memory, (size_t)bytes);
	if (r == 0)
		r = region_writer_finish(&writer);
	if (r < 0)
		*message = writer.message;
	region_writer_close(&writer);
	return r;
}

/* Counts the bytes of the volume index on their way to the device: nearly all of a save. */
struct save_progress {
	uds_progress_fn report; /* may be NULL */
	void *context;
	uint64_t done, total;
	struct byte_sink to;
};

static int count_and_write(void *context, const void *bytes, size_t length)
{
	struct save_progress *progress = context;
	int r = progress->to.write(progress->to.context, bytes, length);

	if (r < 0 || progress->report == NULL)
		return r;
	progress->done += length;
	/* The total was added up before the save; never report more done than there is. */
	if (progress->total < progress->done)
		progress->total = progress->done;
	r = progress->report(progress->context, progress->done, progress->total);
	return r == 0 ? 0 : UDS_ERR_STOPPED;
}

static int write_zone(struct index_zone *zone, struct zone_save *save, const struct byte_sink *sink,
		      struct uds_message *message)
{
	int r = volume_index_save_start(save, sink, message), more = 1;

	while (r == 0 && more == 1) {
		pthread_mutex_lock(&zone->lock);
		more = volume_index_save_take(save, message);
		pthread_mutex_unlock(&zone->lock);
		/*
		 * Without the lock: requests of the zone wait for a copy in memory, but not
		 * for the device.
		 */
		r = more < 0 ? more : volume_index_save_write(save, message);
	}
	return r;
}

static int save_volume_index_zone(struct uds_index *index, const struct save *save,
				  unsigned int number, struct zone_save *zone,
				  struct save_progress *progress, struct uds_message *message)
{
	struct byte_sink sink = { count_and_write, progress };
	struct region_writer writer;
	uint64_t dropped;
	int r;

	r = region_writer_open(&writer, index->io, save->volume_index[number],
			       "volume index of the save");
	if (r < 0)
		return r;
	progress->to = region_writer_sink(&writer);
	r = write_zone(&index->zones[number], zone, &sink, message);
	/* The volume index only sees a sink that failed, so its sentence would be about a write. */
	if (r == UDS_ERR_STOPPED)
		failure(message, r, "%s: saving was stopped by its progress callback",
			uds_io_name(index->io));
	/* Flushed even if it is empty: the header must not be durable before its parts. */
	if (r == 0) {
		r = region_writer_finish(&writer);
		if (r < 0)
			*message = writer.message;
	}
	region_writer_close(&writer);
	dropped = volume_index_save_dropped(zone);
	if (r == 0 && dropped > 0)
		env_log(&index->env, UDS_LOG_WARNING,
			"%s: zone %u: %" PRIu64
			" entries of the oldest chapters do not fit into the save",
			uds_io_name(index->io), number, dropped);
	return r;
}

/*
 * Makes harmless what a recovery did not take for a chapter and a foreign reader might: the head
 * of a chapter that a power cut tore, or of a stray with a number that fits no other, in the
 * slot that belongs to the open chapter. With it the save would look like one that the volume
 * has left behind.
 */
static int clear_open_slot(struct uds_index *index, uint64_t open_chapter,
			   struct uds_message *message)
{
	uint32_t slot = geometry_physical_chapter(&index->geometry, open_chapter);
	uint64_t vcn = 0;
	uint8_t *block;
	int r;

	r = volume_read_head(index->volume, slot, &vcn, message);
	/*
	 * No chapter, or the one that the open chapter replaces: neither looks newer than the
	 * save.
	 */
	if (r == UDS_ERR_CORRUPT || (r == 0 && vcn < open_chapter))
		return 0;
	if (r < 0)
		return r;
	block = io_allocate_buffer(index->io, &index->env, BLOCK_BYTES);
	if (block == NULL)
		return -ENOMEM;
	memset(block, 0, BLOCK_BYTES);
	r = io_write(index->io, block, BLOCK_BYTES, volume_page_offset(index->volume, slot, 0),
		     message);
	if (r == 0)
		r = io_flush(index->io, message);
	env_release(&index->env, block);
	return r;
}

/* A save that is being made. */
struct running_save {
	struct uds_index *index;
	struct save_progress progress;
	unsigned int threads;
	uint64_t now_ms;
	struct save save;  /* as the header will have it */
	struct crew *crew; /* NULL: one thread does all */
	uint64_t chapters; /* that the writer had written when it began */
	uint8_t *open_chapter;
	uint64_t open_chapter_bytes;
	uint8_t *page_map;
	struct zone_save *zones[MAXIMUM_ZONES];

	/* What is due again when it fails. */
	bool must_save, changed[MAXIMUM_ZONES];
};

/* Memory that is touched now, since everything stands still while it is filled. */
static uint8_t *make_copy(const struct uds_index *index, uint64_t bytes)
{
	uint8_t *memory = env_allocate(&index->env, bytes, 1);

	if (memory != NULL)
		memset(memory, 0, (size_t)bytes);
	return memory;
}

static int make_copies(struct running_save *save, struct uds_message *message)
{
	struct uds_index *index = save->index;
	int r = 0;

	/* Room for a full chapter: how many records it has is not known before all stands still. */
	if (save->threads > 1)
		r = crew_make(&index->env, save->threads, &save->crew);
	if (r < 0)
		return r;
	save->open_chapter = make_copy(
		index, SAVED_CHAPTER_HEAD_BYTES +
			       UDS_RECORD_BYTES * (uint64_t)index->geometry.records_per_chapter);
	save->page_map = make_copy(index, page_map_bytes(volume_page_map(index->volume)));
	if (save->open_chapter == NULL || save->page_map == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; r == 0 && i < index->zone_count; i++)
		r = volume_index_save_make(index->volume_index, i, save->crew, message,
					   &save->zones[i]);
	return r;
}

static void free_copies(struct running_save *save)
{
	struct uds_index *index = save->index;

	for (unsigned int i = 0; i < index->zone_count; i++)
		volume_index_save_free(save->zones[i]);
	crew_free(save->crew);
	env_release(&index->env, save->page_map);
	env_release(&index->env, save->open_chapter);
}

/* As index_lock_settled(), with an open chapter that can be saved. */
static int lock_for_save(struct uds_index *index)
{
	int r = 1;

	/* Each time others may have closed chapters in between. */
	for (unsigned int closed = 0; r == 1; closed++) {
		r = index_lock_settled(index);
		if (r < 0)
			return r;
		r = index_settle_before_save(index, closed < 2);
		if (r != 0)
			index_unlock_all(index);
	}
	return r;
}

static int copy_open_chapter(struct running_save *save, struct uds_message *message)
{
	struct uds_index *index = save->index;
	struct open_zone *zones[MAXIMUM_ZONES];
	int r;

	for (unsigned int i = 0; i < index->zone_count; i++)
		zones[i] = index->zones[i].open;
	/*
	 * Live records only: removed ones are left out, and the numbers behind them shift (10.6).
	 */
	save->open_chapter_bytes = saved_chapter_bytes(zones, index->zone_count);
	r = saved_chapter_write(zones, index->zone_count, save->open_chapter,
				(size_t)save->open_chapter_bytes);
	return r < 0 ? failure(message, r, "the open chapter cannot be written") : 0;
}

static int freeze_zones(struct running_save *save, struct uds_message *message)
{
	struct uds_index *index = save->index;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < index->zone_count; i++) {
		r = volume_index_save_freeze(save->zones[i], save->save.volume_index[i].bytes,
					     message);
		if (r == 0 && save->progress.report != NULL)
			save->progress.total += volume_index_save_bytes(save->zones[i]);
	}
	return r;
}

static void thaw_zones(struct running_save *save)
{
	for (unsigned int i = 0; i < save->index->zone_count; i++)
		volume_index_save_thaw(save->zones[i]);
}

/* Changes from here on are the next save's. */
static void take_changes(struct running_save *save)
{
	struct uds_index *index = save->index;

	save->must_save = index->must_save;
	index->must_save = false;
	for (unsigned int i = 0; i < index->zone_count; i++) {
		save->changed[i] = index->zones[i].changed;
		index->zones[i].changed = false;
	}
	index->saving = true;
}

/* The moment of the save: all locks are held, and the writer has nothing to do. */
static int freeze(struct running_save *save, struct uds_message *message)
{
	struct uds_index *index = save->index;
	struct layout *layout = &index->layout;
	int r;

	/* The flushes of the save are theirs, too. */
	volume_write_checksums(index->volume);
	r = saves_plan(&layout->saves, &layout->super, index->zone_count, save->now_ms, message,
		       &save->save);
	if (r < 0)
		return r;
	save->save.newest = index->newest;
	save->save.oldest = index->oldest;
	save->save.lowest = index_lowest_named(index);
	page_map_encode(volume_page_map(index->volume), save->page_map);
	r = copy_open_chapter(save, message);
	if (r == 0)
		r = freeze_zones(save, message);
	if (r == 0)
		r = chapter_writer_hold(index->writer, message, &save->chapters);
	if (r < 0) {
		thaw_zones(save);
		return r;
	}
	journal_begin_save(index, save->save.timestamp);
	take_changes(save);
	return 0;
}

/* Gives the slot up. The writer is held. */
static int give_slot_up(struct running_save *save, struct uds_message *message)
{
	struct uds_index *index = save->index;
	struct layout *layout = &index->layout;
	struct save begun;
	int r;

	/* Before the slot is given up: a failure here leaves both saves as they were. */
	r = clear_open_slot(index, save->save.newest, message);
	if (r < 0)
		return r;
	journal_announce_save(index, &save->save);
	/* From here on the slot says that it holds no save: after a crash the other one decides. */
	return saves_begin(&layout->saves, index->io, &layout->super, index->zone_count,
			   save->now_ms, message, &begun);
}

static int write_parts(struct running_save *save, struct uds_message *message)
{
	struct uds_index *index = save->index;
	int r;

	r = write_region(index, &save->save.open_chapter, "open chapter of the save",
			 save->open_chapter, save->open_chapter_bytes, message);
	for (unsigned int i = 0; r == 0 && i < index->zone_count; i++)
		r = save_volume_index_zone(index, &save->save, i, save->zones[i], &save->progress,
					   message);
	if (r == 0)
		r = write_region(index, &save->save.page_map, "page map of the save",
				 save->page_map, page_map_bytes(volume_page_map(index->volume)),
				 message);
	return r;
}

/*
 * No chapter may be half on the volume then: the records of one that was begun may be in the other
 * save alone, which would no longer count.
 */
static int commit(struct running_save *save, struct uds_message *message)
{
	struct uds_index *index = save->index;
	struct layout *layout = &index->layout;
	uint64_t chapters;
	int r;

	r = chapter_writer_finish(index->writer, message);
	if (r == 0)
		r = chapter_writer_hold(index->writer, message, &chapters);
	if (r < 0)
		return r;
	/*
	 * If a chapter was written since, the one that the save has open is on the volume: the save
	 * says that it was left behind.
	 */
	r = saves_commit(&layout->saves, index->io, &layout->super, &save->save,
			 chapters != save->chapters, message);
	if (r == 0)
		journal_know_save(index, &save->save);
	chapter_writer_release(index->writer);
	return r;
}

static void end(struct running_save *save, int status)
{
	struct uds_index *index = save->index;

	index_lock_all(index);
	thaw_zones(save);
	journal_end_save(index, status);
	/* What it would have had is still to be saved. */
	for (unsigned int i = 0; status < 0 && i < index->zone_count; i++)
		index->zones[i].changed |= save->changed[i];
	if (status < 0)
		index->must_save |= save->must_save;
	else
		index->saved_chapter = save->save.newest;
	index->saving = false;
	index_unlock_all(index);
}

static int save_all(struct running_save *save, struct uds_message *message)
{
	struct uds_index *index = save->index;
	int r;

	r = make_copies(save, message);
	if (r == 0)
		r = lock_for_save(index);
	if (r < 0)
		return r;
	r = freeze(save, message);
	index_unlock_all(index);
	/* Nothing was noted as saved yet: freeze() does that when all else is done. */
	if (r < 0)
		return r;
	r = give_slot_up(save, message);
	chapter_writer_release(index->writer);
	if (r == 0)
		r = write_parts(save, message);
	if (r == 0)
		r = commit(save, message);
	end(save, r);
	return r;
}

static bool has_changed(const struct uds_index *index)
{
	bool changed;

	index_lock_all(index);
	changed = index->must_save;
	for (unsigned int i = 0; i < index->zone_count; i++)
		changed = changed || index->zones[i].changed;
	index_unlock_all(index);
	return changed;
}

/* The saver's lock is held. */
static int save_changes(struct uds_index *index, unsigned int threads, uds_progress_fn report,
			void *context)
{
	struct uds_message message = { "" };
	struct running_save *save;
	int r;

	/* What was closed before counts as saved when it is on the volume. */
	if (!has_changed(index))
		return index_write_chapter(index);
	save = env_allocate_zeroed(&index->env, 1, sizeof(*save));
	if (save == NULL)
		return -ENOMEM;
	save->index = index;
	save->threads = threads;
	save->progress.report = report;
	save->progress.context = context;
	save->now_ms = env_now_ms(&index->env);
	r = save_all(save, &message);
	free_copies(save);
	env_release(&index->env, save);
	return r < 0 ? index_failure(index, r, &message) : 0;
}

/* Only this thread sets itself, so what others do meanwhile does not matter. */
static bool is_own(struct index_saver *saver)
{
	return atomic_load(&saver->busy) &&
	       pthread_equal(atomic_load(&saver->owner), pthread_self()) != 0;
}

int index_save(struct uds_index *index, unsigned int threads, uds_progress_fn report, void *context)
{
	struct index_saver *saver = index->saver;
	struct uds_message message;
	int r;

	if (is_own(saver)) {
		failure(&message, -EDEADLK, "%s: a save cannot be made by the callback of one",
			uds_io_name(index->io));
		return index_failure(index, -EDEADLK, &message);
	}
	/* One after the other: what a save has that was waited for need not be saved again. */
	pthread_mutex_lock(&saver->running);
	/* The owner first: once busy, is_own() must not find the thread of the save before. */
	atomic_store(&saver->owner, pthread_self());
	atomic_store(&saver->busy, true);
	r = save_changes(index, threads, report, context);
	if (r < 0)
		volume_note_failed_flush(index->volume);
	atomic_store(&saver->busy, false);
	pthread_mutex_unlock(&saver->running);
	return r;
}

int saver_make(struct uds_index *index)
{
	struct index_saver *saver = env_allocate_zeroed(&index->env, 1, sizeof(*saver));

	if (saver == NULL)
		return -ENOMEM;
	pthread_mutex_init(&saver->running, NULL);
	index->saver = saver;
	return 0;
}

void saver_free(struct uds_index *index)
{
	if (index->saver == NULL)
		return;
	pthread_mutex_destroy(&index->saver->running);
	env_release(&index->env, index->saver);
	index->saver = NULL;
}

UDS_PUBLIC int uds_index_save_reporting(struct uds_index *index, uds_progress_fn report,
					void *context)
{
	struct uds_message message = { "" };

	failures_begin(index->failures);
	if (index->read_only) {
		failure(&message, 0, "%s: opened read-only", uds_io_name(index->io));
		return index_failure(index, UDS_ERR_READ_ONLY, &message);
	}
	return index_end(index, index_save(index, index->threads, report, context), "saving");
}

UDS_PUBLIC int uds_index_save(struct uds_index *index)
{
	return uds_index_save_reporting(index, NULL, NULL);
}
