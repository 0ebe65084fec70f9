/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rebuilding the volume index from the chapters on the volume: first the index pages of all slots are
 * read, which finds the chapters and fills the page map; then the record pages, oldest chapter first.
 */
#include "index/rebuild.h"

#include <errno.h>
#include <inttypes.h>

#include "base/message.h"
#include "index/close_chapter.h"
#include "index/replay.h"
#include "volume/chapter_stream.h"
#include "volume/find_chapters.h"

int index_is_empty(struct uds_index *index, struct uds_message *message)
{
	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		/* Valid, damaged or unreadable: there was a save, so the index was used. */
		if (index->layout.saves.slots[i].state != SLOT_UNSAVED)
			return 0;
	}
	return volume_is_empty(index->volume, message);
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
	const struct rebuild_options *options;
	struct halves halves;
	struct found_chapters found;
	struct replay *replay;
	struct chapter_stream *stream;
	uint32_t *slots; /* in which the chapters are, oldest first */
};

/* A chapter whose index pages could be read and whose records cannot be. */
static int lose_chapter(struct rebuild *rebuild, uint64_t vcn,
			const struct streamed_chapter *chapter, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;

	if (!rebuild->options->skip_unreadable)
		return failure(
			message, chapter->status,
			"%s: chapter %" PRIu64 " (slot %" PRIu32 "): reading its records: %s",
			uds_io_name(index->io), vcn, chapter->slot, uds_strerror(chapter->status));
	env_log(&index->env, UDS_LOG_WARNING,
		"%s: chapter %" PRIu64 " (slot %" PRIu32 ") is lost: reading its records: %s",
		uds_io_name(index->io), vcn, chapter->slot, uds_strerror(chapter->status));
	return 0;
}

/* A chapter that is not there is passed over; its loss is in the log. */
static int rebuild_chapter(struct rebuild *rebuild, uint64_t vcn,
			   const struct streamed_chapter *chapter, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	int r;

	/* For a lost chapter, too: the window moves on as it did when the chapters were written. */
	r = index_set_open_chapter(index, vcn);
	if (r < 0 || rebuild->found.vcns[chapter->slot] != vcn)
		return r;
	if (chapter->status < 0)
		return lose_chapter(rebuild, vcn, chapter, message);
	r = volume_log_damage(index->volume, chapter->slot, vcn,
			      index->geometry.index_pages_per_chapter,
			      index->geometry.record_pages_per_chapter, chapter->pages);
	return r < 0 ? r : replay_chapter(rebuild->replay, vcn, chapter->pages);
}

static int rebuild_chapters(struct rebuild *rebuild, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	uint64_t vcn = index->oldest;
	struct streamed_chapter chapter;
	int r = 0;

	/*
	 * Before the chapter: a stop leaves the index closed, and nothing on the device has
	 * changed.
	 */
	while (r == 0 && chapter_stream_next(rebuild->stream, &chapter)) {
		if (report(&rebuild->halves, vcn - index->oldest, 0) != 0)
			return UDS_ERR_STOPPED;
		r = rebuild_chapter(rebuild, vcn++, &chapter, message);
	}
	return r;
}

/* Everything that the second half needs. */
static int start_replay(struct rebuild *rebuild, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	uint32_t count = (uint32_t)(index->newest - index->oldest);
	int r;

	/* One more than there are chapters, since an empty volume has none. */
	rebuild->slots = env_allocate(&index->env, count + 1, sizeof(*rebuild->slots));
	if (rebuild->slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		rebuild->slots[i] = geometry_physical_chapter(&index->geometry, index->oldest + i);
	/* A new one: entries of a load that failed halfway must not stay. */
	r = volume_index_make(&index->env, &index->geometry, index->zone_count,
			      index->layout.super.volume_nonce, message, &index->volume_index);
	if (r == 0)
		r = replay_make(index, rebuild->options->skip_unreadable, &rebuild->replay);
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
		r = rebuild_chapters(rebuild, message);
	/* Last, as the window's lower end follows the open chapter (13.2). */
	if (r == 0)
		r = index_set_open_chapter(index, index->newest);
	if (r == 0 && report(halves, halves->slots, 0) != 0)
		r = UDS_ERR_STOPPED;
	chapter_stream_close(rebuild->stream);
	replay_free(rebuild->replay);
	env_release(&index->env, rebuild->slots);
	return r;
}

int index_rebuild(struct uds_index *index, const struct rebuild_options *options,
		  struct uds_message *message)
{
	struct rebuild rebuild = { .index = index, .options = options };
	struct find_options find_options = {
		.durable = options->durable,
		.skip_unreadable = options->skip_unreadable,
		.progress = report,
		.progress_context = &rebuild.halves,
	};
	int r;

	rebuild.halves.progress = options->progress;
	rebuild.halves.context = options->progress_context;
	rebuild.halves.slots = index->geometry.chapters_per_volume;
	r = volume_find_chapters(index->volume, &find_options, message, &rebuild.found);
	if (r < 0)
		return r;
	r = replay_all(&rebuild, message);
	found_chapters_free(index->volume, &rebuild.found);
	return r;
}

int index_enter_open_chapter(struct uds_index *index, const struct rebuild_options *options)
{
	struct replay *replay;
	int r;

	r = replay_make(index, options->skip_unreadable, &replay);
	if (r < 0)
		return r;
	r = replay_open_chapter(replay);
	replay_free(replay);
	return r;
}
