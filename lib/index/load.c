/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading what an index keeps in memory from a save: the newer one, as a whole or not at all; and
 * the parts of it that help a recovery.
 */
#include "index/load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "chapter/saved_chapter.h"
#include "geometry/name_zone.h"
#include "index/dropped_records.h"
#include "volume/region_stream.h"
#include "volume/save_wipe.h"

static int read_region(struct uds_index *index, const struct save_region *region, const char *what,
		       uint8_t *memory, uint64_t bytes, struct uds_message *message)
{
	struct region_reader reader;
	int r;

	r = region_reader_open(&reader, index->io, *region, what);
	if (r < 0)
		return r;
	r = region_reader_take(&reader, memory, (size_t)bytes);
	if (r < 0)
		*message = reader.message;
	region_reader_close(&reader);
	return r;
}

/* The streams of a saved volume index: too much for a stack. */
struct saved_streams {
	unsigned int opened;
	struct region_reader readers[MAXIMUM_ZONES];
	struct byte_source sources[MAXIMUM_ZONES];
	char names[MAXIMUM_ZONES][40];
};

static int open_streams(struct saved_streams *streams, struct uds_index *index,
			const struct save *save)
{
	int r;

	for (streams->opened = 0; streams->opened < save->zones;) {
		unsigned int i = streams->opened;

		snprintf(streams->names[i], sizeof(streams->names[i]), "save %u: volume index %u",
			 save->slot, i);
		r = region_reader_open(&streams->readers[i], index->io, save->volume_index[i],
				       streams->names[i]);
		if (r < 0)
			return r;
		streams->sources[i] = region_reader_source(&streams->readers[i]);
		streams->opened++;
	}
	return 0;
}

static int load_volume_index(struct uds_index *index, const struct save *save,
			     const struct volume_index_cut *cut, struct uds_message *message)
{
	struct saved_streams *streams = env_allocate(&index->env, 1, sizeof(*streams));
	int r;

	if (streams == NULL)
		return -ENOMEM;
	r = open_streams(streams, index, save);
	if (r == 0)
		r = volume_index_load(&index->env, &index->geometry, index->zone_count,
				      index->layout.super.volume_nonce, index->crew, cut,
				      streams->sources, save->zones, message, &index->volume_index);
	if (r == 0)
		r = volume_index_know_names(index->volume_index);
	while (streams->opened > 0)
		region_reader_close(&streams->readers[--streams->opened]);
	env_release(&index->env, streams);
	return r;
}

static int load_page_map(struct uds_index *index, const struct save *save,
			 struct uds_message *message)
{
	struct page_map *map = volume_page_map(index->volume);
	uint64_t bytes = page_map_bytes(map);
	uint8_t *memory = env_allocate(&index->env, bytes, 1);
	char what[40];
	int r;

	if (memory == NULL)
		return -ENOMEM;
	snprintf(what, sizeof(what), "save %u: page map", save->slot);
	r = read_region(index, &save->page_map, what, memory, bytes, message);
	if (r == 0)
		r = page_map_decode(map, memory, message);
	env_release(&index->env, memory);
	return r;
}

/* @memory: the whole saved open chapter. */
static int load_open_zones(struct uds_index *index, const uint8_t *memory, uint64_t bytes,
			   struct uds_message *message)
{
	struct dropped_records dropped = { .env = &index->env };
	struct open_zone *zones[MAXIMUM_ZONES];
	struct zone_chooser chooser;
	int r;

	for (unsigned int i = 0; i < index->zone_count; i++)
		zones[i] = index->zones[i].open;
	zone_chooser_make(&index->geometry, index->zone_count, &chooser);
	/*
	 * What had no room is remembered: each dropped record has an entry that would lead nowhere.
	 */
	r = saved_chapter_load(&index->geometry, &chooser, zones, index->zone_count, memory,
			       (size_t)bytes, dropped_records_add, &dropped,
			       &index->dropped_at_load, message);
	if (r == 0)
		r = dropped_records_forget(&dropped, index);
	dropped_records_free(&dropped);
	return r;
}

static int load_open_chapter(struct uds_index *index, const struct save *save,
			     struct uds_message *message)
{
	uint8_t head[SAVED_CHAPTER_HEAD_BYTES];
	uint64_t bytes = 0;
	uint8_t *memory;
	char what[40];
	int r;

	snprintf(what, sizeof(what), "save %u: open chapter", save->slot);
	r = read_region(index, &save->open_chapter, what, head, sizeof(head), message);
	if (r == 0)
		r = saved_chapter_check_head(&index->geometry, head, &bytes, message);
	/* Before memory is taken for it: both numbers come from the device. */
	if (r == 0 && bytes > save->open_chapter.bytes)
		r = failure(message, UDS_ERR_CORRUPT,
			    "%s: its records need %" PRIu64
			    " bytes, more than the region's %" PRIu64,
			    what, bytes, save->open_chapter.bytes);
	if (r < 0)
		return r;
	memory = env_allocate(&index->env, bytes, 1);
	if (memory == NULL)
		return -ENOMEM;
	r = read_region(index, &save->open_chapter, what, memory, bytes, message);
	if (r == 0)
		r = load_open_zones(index, memory, bytes, message);
	env_release(&index->env, memory);
	return r;
}

int save_was_invalidated(struct uds_index *index, const struct save *save,
			 struct uds_message *message)
{
	uint8_t *block = io_allocate_buffer(index->io, &index->env, BLOCK_BYTES);
	int r;

	if (block == NULL)
		return -ENOMEM;
	r = io_read(index->io, block, BLOCK_BYTES, save->open_chapter.offset, message);
	if (r == 0)
		r = save_is_wiped(block);
	env_release(&index->env, block);
	return r;
}

/* Back to nothing, for a recovery to start on. */
static void unload(struct uds_index *index)
{
	volume_index_free(index->volume_index);
	index->volume_index = NULL;
	shared_entries_clear(&index->shared);
	for (unsigned int i = 0; i < index->zone_count; i++)
		open_zone_reset(index->zones[i].open);
	index->newest = 0;
	index->oldest = 0;
	index->dropped_at_load = 0;
}

/* Statuses that say what the bytes are, and not that they could not be read. */
static bool is_damage(int status)
{
	/*
	 * OUT_OF_RANGE is a stream that goes past its region: the end of the device is -EIO there.
	 */
	return status == UDS_ERR_CORRUPT || status == UDS_ERR_OUT_OF_RANGE ||
	       status == UDS_ERR_OVERFLOW || status == UDS_ERR_UNSUPPORTED_VERSION;
}

static int judge_failed_load(struct uds_index *index, const struct save *save, int status,
			     struct uds_message *message)
{
	struct uds_message ignored = { "" };
	int invalidated;

	/* It says nothing about the save: no reason to recover. */
	if (status == -ENOMEM)
		return status;
	if (status == UDS_ERR_MISMATCH)
		return failure_in(message, status, "%s: save %u does not fit the config block",
				  uds_io_name(index->io), save->slot);
	if (!is_damage(status))
		return failure_in(message, status, "%s: save %u cannot be read",
				  uds_io_name(index->io), save->slot);
	/*
	 * A wiped open chapter keeps a save from being loaded on purpose (uds-format, 15.4): no
	 * damage.
	 */
	invalidated = save_was_invalidated(index, save, &ignored);
	if (invalidated < 0) {
		*message = ignored;
		return invalidated;
	}
	index->save_damaged |= invalidated == 0;
	return failure_in(message, UDS_ERR_NEEDS_RECOVERY, "%s: save %u cannot be loaded",
			  uds_io_name(index->io), save->slot);
}

int index_load(struct uds_index *index, struct uds_message *message)
{
	const struct save *save;
	int r;

	/* Noted first, since a recovery after damage is worth a warning. */
	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		enum save_slot_state state = index->layout.saves.slots[i].state;

		index->save_damaged |= state == SLOT_DAMAGED || state == SLOT_UNKNOWN;
	}
	r = saves_latest(&index->layout.saves, &index->geometry, message, &save);
	if (r < 0)
		return r;
	/*
	 * Before the parts: what the open chapter has no room for is forgotten by the number of
	 * this chapter.
	 */
	index->newest = save->newest;
	index->oldest = save->oldest;
	r = load_volume_index(index, save, NULL, message);
	if (r == 0)
		r = volume_index_join(index->volume_index);
	if (r == 0)
		r = load_page_map(index, save, message);
	/*
	 * Last: records that find no room are forgotten in the volume index, which has to be
	 * there.
	 */
	if (r == 0)
		r = load_open_chapter(index, save, message);
	if (r == 0) {
		/*
		 * The header does not have it. A converted volume asks for it before a chapter is
		 * written.
		 */
		saves_latest_slot(&index->layout.saves)->save.lowest = index_lowest_named(index);
		/* A save, if one is asked for, ends the doubt about a damaged header. */
		for (unsigned int i = 0; i < SAVE_SLOTS; i++)
			index->must_save |= index->layout.saves.slots[i].state == SLOT_DAMAGED;
		return 0;
	}
	/* Also what was good of it: a save counts as a whole, or not at all. */
	unload(index);
	return judge_failed_load(index, save, r, message);
}

/*
 * What does not load is no help for a recovery, unless it is for want of memory or
 * because of the I/O.
 */
static int judge_checkpoint(struct uds_index *index, const struct save *save, int status,
			    struct uds_message *message)
{
	unload(index);
	if (!is_damage(status) && status != UDS_ERR_MISMATCH)
		return failure_in(message, status, "%s: save %u cannot be read",
				  uds_io_name(index->io), save->slot);
	env_log(&index->env, UDS_LOG_NOTICE, "%s: save %u is no help for the recovery: %.400s",
		uds_io_name(index->io), save->slot, message->text);
	return 0;
}

int index_load_checkpoint_map(struct uds_index *index, struct uds_message *message,
			      uint64_t *ret_open)
{
	const struct save *save = layout_checkpoint(&index->layout);
	int r;

	if (save == NULL)
		return 0;
	r = load_page_map(index, save, message);
	if (r < 0)
		return judge_checkpoint(index, save, r, message);
	*ret_open = save->newest;
	return 1;
}

int index_load_checkpoint(struct uds_index *index, struct volume_index_cut cut,
			  struct uds_message *message)
{
	const struct save *save = layout_checkpoint(&index->layout);
	int r;

	cut.high = save->newest;
	r = load_volume_index(index, save, &cut, message);
	return r < 0 ? judge_checkpoint(index, save, r, message) : 1;
}

int index_load_saved_records(struct uds_index *index, const struct save *save,
			     struct uds_message *message)
{
	int r;

	r = load_open_chapter(index, save, message);
	return is_damage(r) ? UDS_ERR_CORRUPT : r;
}
