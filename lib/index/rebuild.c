/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making the volume index anew from the chapters on the volume: first the index pages of all slots are
 * read, which tells the chapters and fills the page map; then the record pages, oldest chapter first.
 */
#include "index/rebuild.h"

#include <errno.h>
#include <inttypes.h>

#include "index/chapter_view.h"
#include "index/replay.h"
#include "volume/chapter_stream.h"
#include "volume/find_chapters.h"

bool index_is_empty(struct uds_index *index)
{
	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		if (index->layout.saves.slots[i].state != SLOT_UNSAVED)
			return false;
	}
	return volume_is_empty(index->volume, NULL) == 1;
}

/*
 * Progress over both halves: each slot counts once for its index pages and once for its records.
 */
struct halves {
	uds_progress_fn progress;
	void *context;
	uint64_t done_before;
	uint64_t slots;
};

static int report(void *context, uint64_t done, uint64_t total)
{
	const struct halves *halves = context;

	(void)total;
	if (halves->progress == NULL)
		return 0;
	return halves->progress(halves->context, halves->done_before + done, 2 * halves->slots);
}

struct rebuild {
	struct uds_index *index;
	struct halves halves;
	struct found_chapters found;
	struct replay *replay;
	struct chapter_stream *stream;
	uint32_t *slots; /* in which the chapters are, oldest first */
};

/* A chapter whose index pages could be read and whose records cannot be. */
static void log_lost(struct rebuild *rebuild, uint64_t vcn, const struct streamed_chapter *chapter)
{
	struct uds_index *index = rebuild->index;

	env_log(&index->env, UDS_LOG_WARNING,
		"%s: chapter %" PRIu64 " (slot %" PRIu32 ") is lost: reading its records: %s",
		uds_io_name(index->io), vcn, chapter->slot, uds_strerror(chapter->status));
}

/* A chapter that is not there, or cannot be read, is passed over; its loss is in the log. */
static int rebuild_chapter(struct rebuild *rebuild, uint64_t vcn,
			   const struct streamed_chapter *chapter)
{
	int r;

	r = index_set_open_chapter(rebuild->index, vcn);
	if (r < 0 || rebuild->found.vcns[chapter->slot] != vcn)
		return r;
	if (chapter->status < 0) {
		log_lost(rebuild, vcn, chapter);
		return 0;
	}
	return replay_chapter(rebuild->replay, vcn, chapter->pages);
}

/* @pages: all pages of chapter @vcn. */
static int rebuild_from_pages(struct rebuild *rebuild, uint64_t vcn, const uint8_t *pages)
{
	struct uds_index *index = rebuild->index;
	struct uds_message message;
	struct chapter_view view;
	int r;

	r = chapter_view_make(index->volume, &view);
	if (r < 0)
		return r;
	r = chapter_view_set(&view, vcn, pages, &message);
	if (r == 0) {
		r = replay_chapter_in_doubt(rebuild->replay, &view);
	} else { /* found good before, and now it is not: lost, like any other that cannot be read */
		env_log(&index->env, UDS_LOG_WARNING, "%s", message.text);
		r = 0;
	}
	chapter_view_free(&view);
	return r;
}

/*
 * The newest chapter may have been on its way to the device when the power failed. Its index pages are
 * there, or it would not have been found; its records may be or not.
 */
static int rebuild_newest_chapter(struct rebuild *rebuild)
{
	struct uds_index *index = rebuild->index;
	uint64_t vcn = index->newest - 1;
	uint32_t slot = geometry_physical_chapter(&index->geometry, vcn);
	struct streamed_chapter chapter;
	struct chapter_stream *stream;
	int r;

	r = index_set_open_chapter(index, vcn);
	if (r < 0 || rebuild->found.vcns[slot] != vcn)
		return r;
	r = chapter_stream_open(index->volume, CHAPTER_ALL_PAGES, &slot, 1, &stream);
	if (r < 0)
		return r;
	if (chapter_stream_next(stream, &chapter)) {
		if (chapter.status < 0)
			log_lost(rebuild, vcn, &chapter);
		else
			r = rebuild_from_pages(rebuild, vcn, chapter.pages);
	}
	chapter_stream_close(stream);
	return r;
}

static int rebuild_chapters(struct rebuild *rebuild)
{
	struct uds_index *index = rebuild->index;
	uint64_t vcn = index->oldest;
	struct streamed_chapter chapter;
	int r = 0;

	while (r == 0 && chapter_stream_next(rebuild->stream, &chapter)) {
		if (report(&rebuild->halves, vcn - index->oldest, 0) != 0)
			return UDS_ERR_STOPPED;
		r = rebuild_chapter(rebuild, vcn++, &chapter);
	}
	if (r == 0 && index->newest > index->oldest)
		r = rebuild_newest_chapter(rebuild);
	return r;
}

/* Everything that the second half needs. */
static int start_replay(struct rebuild *rebuild, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	uint32_t count = (uint32_t)(index->newest - index->oldest);
	int r;

	count -= count > 0; /* the newest one is read by itself */
	rebuild->slots = env_allocate(&index->env, count + 1, sizeof(*rebuild->slots));
	if (rebuild->slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		rebuild->slots[i] = geometry_physical_chapter(&index->geometry, index->oldest + i);
	r = volume_index_make(&index->env, &index->geometry, index->zone_count,
			      index->layout.super.volume_nonce, message, &index->volume_index);
	if (r == 0)
		r = replay_make(index, &rebuild->replay);
	if (r == 0)
		r = chapter_stream_open(index->volume, CHAPTER_RECORD_PAGES, rebuild->slots, count,
					&rebuild->stream);
	return r;
}

static int replay_all(struct rebuild *rebuild, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	struct halves *halves = &rebuild->halves;
	int r;

	index->newest = rebuild->found.newest;
	index->oldest = rebuild->found.oldest;
	halves->done_before = halves->slots;
	r = start_replay(rebuild, message);
	if (r == 0)
		r = rebuild_chapters(rebuild);
	if (r == 0)
		r = index_set_open_chapter(index, index->newest);
	if (r == 0 && report(halves, halves->slots, 0) != 0)
		r = UDS_ERR_STOPPED;
	chapter_stream_close(rebuild->stream);
	replay_free(rebuild->replay);
	env_release(&index->env, rebuild->slots);
	return r;
}

int index_rebuild(struct uds_index *index, uds_progress_fn progress, void *progress_context,
		  struct uds_message *message)
{
	struct rebuild rebuild = { .index = index };
	int r;

	rebuild.halves.progress = progress;
	rebuild.halves.context = progress_context;
	rebuild.halves.slots = index->geometry.chapters_per_volume;
	r = volume_find_chapters(index->volume, report, &rebuild.halves, message, &rebuild.found);
	if (r < 0)
		return r;
	r = replay_all(&rebuild, message);
	found_chapters_free(index->volume, &rebuild.found);
	return r;
}
