/* SPDX-License-Identifier: BSD-2-Clause */
/* What lies on an I/O, without opening it as an index. */
#include "index/index.h"
#include "index/journal.h"

#include <errno.h>
#include <string.h>

#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "extras/checksums.h"
#include "index/saved_records.h"
#include "volume/empty_volume.h"
#include "volume/find_chapters.h"

/*
 * A configuration lies inside of struct uds_index_info, so it cannot grow without moving what comes
 * behind it for programs that were compiled before.
 */
_Static_assert(sizeof(struct uds_configuration) ==
		       STRUCT_FIRST_SIZE(uds_configuration, remapped_physical),
	       "new members go to a struct of their own");

/*
 * Whether another program has written chapters. The newest one alone tells nothing: a power cut may
 * have come between it and its checksums.
 */
static bool is_left_behind(struct volume *volume, const struct layout *layout,
			   const struct found_chapters *found)
{
	/* Chapters that were durable are gone: the volume is that of another life. */
	if (found->newest < layout->extras.open_chapter)
		return true;
	if (found->newest > 0 && volume_is_of_another(volume, found->newest - 1))
		return true;
	return found->newest > found->oldest + 1 &&
	       !volume_has_checksums(volume, found->newest - 1) &&
	       !volume_has_checksums(volume, found->newest - 2);
}

/* Of an index without a valid save: what is on the volume. */
static int look_at_volume(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
			  struct uds_message *message, struct uds_index_info *info)
{
	bool never_saved = true;
	struct found_chapters found;
	struct volume *volume;
	int r, empty = 0;

	for (unsigned int i = 0; i < SAVE_SLOTS; i++)
		never_saved = never_saved && layout->saves.slots[i].state == SLOT_UNSAVED;
	/* Until something better is known: what stays here is no reason to fail. */
	info->state = UDS_INDEX_NEEDS_RECOVERY;
	r = volume_open(io, layout, 0, NULL, env, &volume);
	if (r < 0)
		return r;
	r = volume_read_checksums(volume, layout);
	if (r < 0) {
		volume_close(volume);
		return r;
	}
	/* After a save, an empty volume may still have had records, in its open chapter. */
	if (never_saved)
		empty = volume_is_empty(volume, message);
	if (empty < 0) {
		r = empty;
	} else if (empty == 1) {
		info->state = UDS_INDEX_NEW;
		if (info->extras == UDS_EXTRAS_CURRENT && layout->extras.open_chapter > 0)
			info->extras = UDS_EXTRAS_STALE;
	} else {
		/*
		 * Read errors end it: an answer from half of the slots could name too low a
		 * chapter.
		 */
		r = volume_find_chapters(volume, NULL, message, &found);
		if (r == 0) {
			info->open_chapter = found.newest;
			info->oldest_chapter = found.oldest;
			if (info->extras == UDS_EXTRAS_CURRENT &&
			    is_left_behind(volume, layout, &found))
				info->extras = UDS_EXTRAS_STALE;
			found_chapters_free(volume, &found);
		}
	}
	volume_close(volume);
	return r;
}

/*
 * How many chapters a recovery has to read: with a save to begin with, those that were
 * written after it.
 */
static void look_for_checkpoint(const struct layout *layout, struct uds_index_info *info)
{
	const struct save *save = layout_checkpoint(layout);

	/* A save that cannot be loaded is not begun with. */
	info->saved_zones = 0;
	info->recovery_chapters = info->open_chapter - info->oldest_chapter;
	/* One of chapter numbers that the volume does not have is of no use (index/rebuild.h). */
	if (save == NULL || save->newest < info->oldest_chapter ||
	    save->newest >= info->open_chapter)
		return;
	info->recovery_chapters = info->open_chapter - save->newest;
	info->saved_zones = save->zones;
}

/*
 * A save that can be loaded, or whose open chapter would be kept. Without @check_save its headers
 * decide whether it can.
 */
static int look_at_saves(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
			 bool check_save, struct uds_message *message, struct uds_index_info *info)
{
	struct saved_records saved = { 0 };
	const struct save *save;
	int r;

	r = saves_check_readable(&layout->saves, message);
	if (r == 0)
		r = saved_records_find(io, layout, env, false, message, &saved);
	if (r < 0)
		return r;
	/* Also of a save that cannot be loaded: a recovery would keep these records. */
	info->saved_records = saved.there ? saved.count : 0;
	r = saves_latest(&layout->saves, &layout->geometry, NULL, &save);
	if (r == 0) {
		info->saved_zones = save->zones;
		info->open_chapter = save->newest;
		info->oldest_chapter = save->oldest;
		/* Costs a load of the whole volume index, so only on request. */
		if (check_save)
			r = index_try_load(io, layout, env, message);
	}
	/* Without the memory to load it, what its headers say has to do. */
	if (r == 0 || r == -ENOMEM)
		info->state = UDS_INDEX_CLEAN;
	/*
	 * All three mean that an open would not take the save. Any other error says nothing about
	 * the index.
	 */
	else if (r == UDS_ERR_NEEDS_RECOVERY || r == UDS_ERR_WOULD_LOSE_RECORDS ||
		 r == UDS_ERR_MISMATCH)
		r = look_at_volume(io, layout, env, message, info);
	if (info->state == UDS_INDEX_NEEDS_RECOVERY)
		look_for_checkpoint(layout, info);
	/*
	 * An upper bound: a chapter also has copies of the fill record and records that were stored
	 * again later.
	 */
	info->records = info->saved_records + (info->open_chapter - info->oldest_chapter) *
						      layout->geometry.records_per_chapter;
	return r == -ENOMEM && info->state == UDS_INDEX_CLEAN ? 0 : r;
}

/* What an index of one zone takes when it is full. */
static uint64_t full_memory(const struct geometry *geometry, bool extras)
{
	uint64_t bytes = volume_index_full_bytes(geometry, 1) +
			 2 * open_zone_bytes(geometry->records_per_chapter) +
			 (uint64_t)geometry->chapters_per_volume *
				 geometry->index_pages_per_chapter * sizeof(uint16_t);

	/* The pages of the chapter that is being written. */
	bytes += (uint64_t)geometry->pages_per_chapter * geometry->page_bytes;

	/* What lookups have read: as volume_open() chooses when it is not told. */
	bytes += (uint64_t)geometry->cache_chapters * geometry->pages_per_chapter *
		 geometry->page_bytes;

	/*
	 * Only a sparse index has a sparse cache, and it has as many chapters as the page cache
	 * (4.1).
	 */
	if (geometry_is_sparse(geometry))
		bytes += geometry->cache_chapters * chapter_copy_bytes(geometry);
	if (extras)
		bytes += checksums_bytes(geometry);
	return bytes;
}

static void set_extras(const struct layout *layout, struct uds_index_info *info)
{
	if (!layout->extras.present) {
		info->extras =
			layout->extras.why.text[0] != '\0' ? UDS_EXTRAS_DAMAGED : UDS_EXTRAS_NONE;
		return;
	}
	info->extras = layout_extras_know_saves(layout) ? UDS_EXTRAS_CURRENT : UDS_EXTRAS_STALE;
	info->extras_bytes = layout->extras.blocks * BLOCK_BYTES;
	info->journal_bytes = layout->extras.journal_blocks * BLOCK_BYTES;
}

/* What only the journal has is to be recovered. */
static int look_at_journal(struct uds_io *io, const struct layout *layout,
			   const struct uds_env *env, struct uds_message *message,
			   struct uds_index_info *info)
{
	uint64_t records = 0;
	int r;

	r = journal_look(io, layout, env, &records, message);
	if (r < 0 || records == 0)
		return r;
	info->journal_records = records;
	info->records += records;
	info->state = UDS_INDEX_NEEDS_RECOVERY;
	return 0;
}

static int read_info(struct uds_io *io, const struct uds_index_info_options *options,
		     const struct uds_env *env, struct layout *layout, struct uds_message *message,
		     struct uds_index_info *info)
{
	struct uds_message reason = { "" };
	int r;

	r = layout_read(io, options->offset, message, layout);
	if (r < 0)
		return r;
	geometry_configuration(&layout->geometry, &info->configuration);
	info->super_version = layout->super.version;
	info->config_version = layout->config_version;
	info->volume_nonce = layout->super.volume_nonce;
	info->size_bytes = layout_bytes(layout);
	set_extras(layout, info);
	info->memory_bytes = full_memory(&layout->geometry, layout->extras.present);
	r = look_at_saves(io, layout, env, options->check_save, &reason, info);
	if (r == 0)
		r = look_at_journal(io, layout, env, &reason, info);
	if (r < 0)
		return failure(message, r, "%s: it cannot be looked at: %.400s", uds_io_name(io),
			       reason.text[0] != '\0' ? reason.text : uds_strerror(r));
	return 0;
}

UDS_PUBLIC int uds_index_read_info(struct uds_io *io, const struct uds_index_info_options *options,
				   struct uds_message *ret_message, struct uds_index_info *ret_info)
{
	struct uds_index_info_options o = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct layout *layout;
	struct uds_env full;
	int r;

	r = STRUCT_OUT_CHECK(ret_info, uds_index_info, saved_records, ret_message);
	if (r == 0 && options != NULL)
		r = STRUCT_IN(&o, options, uds_index_info_options, unused, ret_message);
	if (r == 0)
		r = env_take(o.env, ret_message, &full);
	if (r < 0)
		return r;
	/* Not on the stack: it is too large for a thread with a small one. */
	layout = env_allocate(&full, 1, sizeof(*layout));
	if (layout == NULL)
		return failure(ret_message, -ENOMEM, "%s: %s", uds_io_name(io),
			       uds_strerror(-ENOMEM));
	r = read_info(io, &o, &full, layout, ret_message, &info);
	env_release(&full, layout);
	if (r == 0)
		struct_out(ret_info, &info, sizeof(info));
	return r;
}
