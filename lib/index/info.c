/* SPDX-License-Identifier: BSD-2-Clause */
/* What lies on an I/O, without opening it as an index. */
#include "index/index.h"

#include <errno.h>
#include <string.h>

#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "chapter/saved_chapter.h"
#include "volume/find_chapters.h"
#include "volume/extent_stream.h"

/*
 * A configuration lies inside of struct uds_index_info, so it cannot grow without moving what comes
 * behind it for programs that were compiled before.
 */
_Static_assert(sizeof(struct uds_configuration) ==
		       STRUCT_FIRST_SIZE(uds_configuration, remapped_physical),
	       "new members go to a struct of their own");

/* Whether the open chapter of a save is still there, and how many records it has. */
static int look_at_open_chapter(struct uds_io *io, const struct layout *layout,
				const struct save *save, uint64_t *ret_records)
{
	uint8_t head[SAVED_CHAPTER_HEAD_BYTES];
	struct extent_reader reader;
	uint64_t bytes;
	int r;

	r = extent_reader_open(&reader, io, save->open_chapter, "saved open chapter");
	if (r < 0)
		return r;
	r = extent_reader_take(&reader, head, sizeof(head));
	extent_reader_close(&reader);
	if (r == 0)
		r = saved_chapter_check_head(&layout->geometry, head, &bytes, NULL);
	if (r == 0)
		*ret_records = (bytes - SAVED_CHAPTER_HEAD_BYTES) / UDS_RECORD_BYTES;
	return r;
}

/* Of an index without a valid save: what is on the volume. */
static int look_at_volume(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
			  struct uds_index_info *info)
{
	bool never_saved = true;
	struct found_chapters found;
	struct volume *volume;
	int r;

	for (unsigned int i = 0; i < SAVE_SLOTS; i++)
		never_saved = never_saved && layout->saves.slots[i].state == SLOT_UNSAVED;
	info->state = UDS_INDEX_NEEDS_RECOVERY;
	r = volume_open(io, layout, 0, env, &volume);
	if (r < 0)
		return r;
	if (never_saved && volume_is_empty(volume, NULL) == 1) {
		info->state = UDS_INDEX_NEW;
	} else {
		r = volume_find_chapters(volume, NULL, NULL, NULL, &found);
		if (r == 0) {
			info->newest_chapter = found.newest;
			info->oldest_chapter = found.oldest;
			found_chapters_free(volume, &found);
		}
	}
	volume_close(volume);
	return r;
}

static int look_at_saves(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
			 struct uds_index_info *info)
{
	const struct save *save;
	uint64_t open_records = 0;
	int r;

	r = saves_latest(&layout->saves, &layout->geometry, NULL, &save);
	if (r == 0) {
		info->saved_zones = save->zones;
		info->newest_chapter = save->newest;
		info->oldest_chapter = save->oldest;
		r = look_at_open_chapter(io, layout, save, &open_records);
	}
	/* Without the memory to load it, what its headers say has to do. */
	if (r == 0)
		r = index_try_load(io, layout, env);
	if (r == 0 || r == -ENOMEM)
		info->state = UDS_INDEX_CLEAN;
	else
		r = look_at_volume(io, layout, env, info);
	info->records = open_records + (info->newest_chapter - info->oldest_chapter) *
					       layout->geometry.records_per_chapter;
	return r;
}

/* What an index of one zone takes when it is full. */
static uint64_t full_memory(const struct geometry *geometry)
{
	uint64_t bytes = volume_index_full_bytes(geometry, 1) +
			 2 * open_zone_bytes(geometry->records_per_chapter) +
			 (uint64_t)geometry->chapters_per_volume *
				 geometry->index_pages_per_chapter * sizeof(uint16_t);

	/* What lookups have read: as volume_open() chooses when it is not told. */
	bytes += (uint64_t)geometry->cache_chapters * geometry->pages_per_chapter *
		 geometry->page_bytes;

	if (geometry_is_sparse(geometry))
		bytes += geometry->cache_chapters * chapter_copy_bytes(geometry);
	return bytes;
}

UDS_PUBLIC int uds_index_read_info(struct uds_io *io, uint64_t offset, const struct uds_env *env,
				   struct uds_message *ret_message, struct uds_index_info *ret_info)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct layout layout;
	struct uds_env full;
	int r;

	r = STRUCT_OUT_CHECK(ret_info, uds_index_info, records, ret_message);
	if (r == 0)
		r = env_take(env, ret_message, &full);
	if (r == 0)
		r = layout_read(io, offset, ret_message, &layout);
	if (r < 0)
		return r;
	geometry_configuration(&layout.geometry, &info.configuration);
	info.super_version = layout.super.version;
	info.config_version = layout.config_version;
	info.volume_nonce = layout.super.volume_nonce;
	info.size_bytes = layout_bytes(&layout);
	info.memory_bytes = full_memory(&layout.geometry);
	r = look_at_saves(io, &layout, &full, &info);
	if (r < 0)
		return failure(ret_message, r, "%s: the volume cannot be looked at: %s",
			       uds_io_name(io), uds_strerror(r));
	struct_out(ret_info, &info, sizeof(info));
	return 0;
}
