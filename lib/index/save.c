/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saving what an index keeps in memory.
 *
 * A save goes to the older of two slots, part by part, each durable before the next; its header comes
 * last and makes it count.
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

static int save_open_chapter(struct uds_index *index, const struct save *save,
			     struct uds_message *message)
{
	struct open_zone *zones[MAXIMUM_ZONES];
	uint64_t bytes;
	uint8_t *memory;
	int r;

	for (unsigned int i = 0; i < index->zone_count; i++)
		zones[i] = index->zones[i].open;
	/*
	 * Live records only: removed ones are left out, and the numbers behind them shift (10.6).
	 */
	bytes = saved_chapter_bytes(zones, index->zone_count);
	memory = env_allocate(&index->env, bytes, 1);
	if (memory == NULL)
		return -ENOMEM;
	r = saved_chapter_write(zones, index->zone_count, memory, (size_t)bytes);
	if (r < 0)
		failure(message, r, "the open chapter cannot be written");
	else
		r = write_region(index, &save->open_chapter, "open chapter of the save", memory,
				 bytes, message);
	env_release(&index->env, memory);
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

static int write_zone(struct zone_save *zone, const struct byte_sink *sink,
		      struct uds_message *message)
{
	int r = volume_index_save_start(zone, sink, message), more = 1;

	while (r == 0 && more == 1) {
		more = volume_index_save_take(zone, message);
		r = more < 0 ? more : volume_index_save_write(zone, message);
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
	r = write_zone(zone, &sink, message);
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

/* The zones' saves, all of the same moment. */
struct zone_saves {
	struct zone_save *zones[MAXIMUM_ZONES];
};

static int freeze_zones(struct uds_index *index, const struct save *save, struct zone_saves *saves,
			struct save_progress *progress, struct uds_message *message)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < index->zone_count; i++) {
		r = volume_index_save_make(index->volume_index, i, message, &saves->zones[i]);
		if (r == 0)
			r = volume_index_save_freeze(saves->zones[i], save->volume_index[i].bytes,
						     message);
		if (r == 0 && progress->report != NULL)
			progress->total += volume_index_save_bytes(saves->zones[i]);
	}
	return r;
}

static void free_zones(struct uds_index *index, struct zone_saves *saves)
{
	for (unsigned int i = 0; i < index->zone_count; i++) {
		if (saves->zones[i] != NULL)
			volume_index_save_thaw(saves->zones[i]);
		volume_index_save_free(saves->zones[i]);
	}
}

static int save_volume_index(struct uds_index *index, const struct save *save,
			     struct save_progress *progress, struct uds_message *message)
{
	struct zone_saves saves = { { NULL } };
	int r;

	r = freeze_zones(index, save, &saves, progress, message);
	for (unsigned int i = 0; r == 0 && i < index->zone_count; i++)
		r = save_volume_index_zone(index, save, i, saves.zones[i], progress, message);
	free_zones(index, &saves);
	return r;
}

static int save_page_map(struct uds_index *index, const struct save *save,
			 struct uds_message *message)
{
	struct page_map *map = volume_page_map(index->volume);
	uint64_t bytes = page_map_bytes(map);
	uint8_t *memory = env_allocate(&index->env, bytes, 1);
	int r;

	if (memory == NULL)
		return -ENOMEM;
	page_map_encode(map, memory);
	r = write_region(index, &save->page_map, "page map of the save", memory, bytes, message);
	env_release(&index->env, memory);
	return r;
}

/*
 * Makes harmless what a recovery did not take for a chapter and a foreign reader might: the head of a
 * chapter that a power cut tore, or of a stray with a number that fits no other, in the slot that belongs
 * to the open chapter. With it the save would look like one that the volume has left behind.
 */
static int clear_open_slot(struct uds_index *index, struct uds_message *message)
{
	uint32_t slot = geometry_physical_chapter(&index->geometry, index->newest);
	uint64_t vcn = 0;
	uint8_t *block;
	int r;

	r = volume_read_head(index->volume, slot, &vcn, message);
	/*
	 * No chapter, or the one that the open chapter replaces: neither looks newer than the
	 * save.
	 */
	if (r == UDS_ERR_CORRUPT || (r == 0 && vcn < index->newest))
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

/* What the header says of the index. */
static void describe(struct uds_index *index, struct save *save)
{
	save->newest = index->newest;
	save->oldest = index->oldest;
	save->lowest = index_lowest_named(index);
}

/* All locks are held and the writer has nothing to do. */
static int save_all(struct uds_index *index, struct save_progress *progress,
		    struct uds_message *message)
{
	struct layout *layout = &index->layout;
	uint64_t now = env_now_ms(&index->env);
	struct save save;
	int r;

	/* Before the slot is given up: a failure here leaves both saves as they were. */
	r = clear_open_slot(index, message);
	if (r < 0)
		return r;
	/* The flushes of the save are theirs, too. */
	volume_write_checksums(index->volume);
	r = saves_plan(&layout->saves, &layout->super, index->zone_count, now, message, &save);
	if (r < 0)
		return r;
	describe(index, &save);
	journal_begin_save(index, &save);
	r = saves_begin(&layout->saves, index->io, &layout->super, index->zone_count, now, message,
			&save);
	/* From here on the slot says that it holds no save: after a crash the other one decides. */
	describe(index, &save);
	if (r == 0)
		r = save_open_chapter(index, &save, message);
	if (r == 0)
		r = save_volume_index(index, &save, progress, message);
	if (r == 0)
		r = save_page_map(index, &save, message);
	if (r == 0)
		r = saves_commit(&layout->saves, index->io, &layout->super, &save, message);
	journal_end_save(index, r);
	return r;
}

static bool has_changed(const struct uds_index *index)
{
	bool changed = index->must_save;

	for (unsigned int i = 0; i < index->zone_count; i++)
		changed = changed || index->zones[i].changed;
	return changed;
}

int index_save(struct uds_index *index, uds_progress_fn report, void *context)
{
	struct save_progress progress = { .report = report, .context = context };
	struct uds_message message = { "" };
	int r;

	/*
	 * A save is of one moment, so all zones stop; and it counts on the chapter that is being
	 * written, so that one must be durable first.
	 */
	index_lock_all(index);
	r = index_close_before_save(index);
	if (r == 0 && has_changed(index)) {
		r = save_all(index, &progress, &message);
		if (r < 0)
			index_failure(index, r, &message);
		for (unsigned int i = 0; r == 0 && i < index->zone_count; i++)
			index->zones[i].changed = false;
		/* Only after the commit: a save that failed is still due. */
		if (r == 0)
			index->must_save = false;
	}
	index_unlock_all(index);
	return r;
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
	return index_end(index, index_save(index, report, context), "saving");
}

UDS_PUBLIC int uds_index_save(struct uds_index *index)
{
	return uds_index_save_reporting(index, NULL, NULL);
}
