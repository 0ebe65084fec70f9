/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rebuilding the volume index from the chapters on the volume: first the index pages of all
 * slots are read, which finds the chapters and fills the page map; then the record pages,
 * oldest chapter first.
 */
#include "index/rebuild.h"

#include <errno.h>
#include <inttypes.h>

#include "base/message.h"
#include "index/chapter_group.h"
#include "index/close_chapter.h"
#include "index/gather.h"
#include "index/replay.h"
#include "index/replay_crew.h"
#include "index/load.h"
#include "index/unconfirmed.h"
#include "volume/chapter_stream.h"
#include "volume/empty_volume.h"
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
	uint64_t from; /* the first chapter that is not in the volume index yet */
	bool with_save;
	const struct rebuild_options *options;
	struct halves halves;
	struct found_chapters found;
	struct replay_crew *replay;
	struct chapter_group *group; /* with a save: NULL */
	struct chapter_stream *stream;
	struct gathered gathered; /* what was put into the volume index while it was loaded */
	uint64_t *vcns;		  /* the chapters that are to be entered, oldest first */
	uint32_t *slots;	  /* in which they are */
	uint32_t count;
};

static int unreadable_chapter(const struct rebuild *rebuild, uint64_t vcn,
			      const struct streamed_chapter *chapter, struct uds_message *message)
{
	return failure(message, chapter->status,
		       "%s: chapter %" PRIu64 " (slot %" PRIu32 "): reading its records: %s",
		       uds_io_name(rebuild->index->io), vcn, chapter->slot,
		       uds_strerror(chapter->status));
}

/* A chapter whose index pages could be read and whose records cannot be. */
static int lose_chapter(struct rebuild *rebuild, uint64_t vcn,
			const struct streamed_chapter *chapter, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;

	if (!rebuild->options->skip_unreadable)
		return unreadable_chapter(rebuild, vcn, chapter, message);
	env_log(&index->env, UDS_LOG_WARNING,
		"%s: chapter %" PRIu64 " (slot %" PRIu32 ") is lost: reading its records: %s",
		uds_io_name(index->io), vcn, chapter->slot, uds_strerror(chapter->status));
	return 0;
}

/*
 * Before a chapter is entered. Those that were read before the volume index was loaded
 * have been reported.
 */
static uint64_t chapters_done(const struct rebuild *rebuild, uint64_t vcn)
{
	return (vcn > rebuild->gathered.end ? vcn : rebuild->gathered.end) - rebuild->from;
}

/*
 * Looks at the next chapter. Returns 1; 0 when it is not there, and its loss is in the log; or
 * an error.
 */
static int check_chapter(struct rebuild *rebuild, uint64_t vcn,
			 const struct streamed_chapter *chapter, struct uds_message *message)
{
	/*
	 * Before the chapter: a stop leaves the index closed, and nothing on the device has
	 * changed.
	 */
	if (report(&rebuild->halves, chapters_done(rebuild, vcn), 0) != 0)
		return UDS_ERR_STOPPED;
	if (rebuild->found.vcns[chapter->slot] != vcn)
		return 0;
	return chapter->status < 0 ? lose_chapter(rebuild, vcn, chapter, message) : 1;
}

/*
 * The window of the volume index moves on chapter by chapter, as it did when they were written.
 */
static int rebuild_in_groups(struct rebuild *rebuild, struct uds_message *message)
{
	const uint32_t size = chapter_group_size(&rebuild->index->geometry, rebuild->count);
	struct streamed_chapter chapter;
	int r = 0;

	for (uint32_t i = 0; r >= 0; i++) {
		/* Their pages go with the next reads. */
		if (i % size == 0)
			r = chapter_group_enter(rebuild->group);
		if (r < 0 || !chapter_stream_next(rebuild->stream, &chapter))
			break;
		r = check_chapter(rebuild, rebuild->vcns[i], &chapter, message);
		if (r == 1)
			chapter_group_add(rebuild->group, rebuild->vcns[i], chapter.slot,
					  chapter.pages);
	}
	return r < 0 ? r : chapter_group_enter(rebuild->group);
}

/*
 * What a save has beyond the window that there will be in the end is left out at once, and not list
 * by list with every chapter.
 */
static void give_chapter(struct rebuild *rebuild, uint64_t vcn,
			 const struct streamed_chapter *chapter)
{
	const struct given_chapter given = {
		.vcn = vcn,
		.low_of = rebuild->index->newest,
		.slot = chapter->slot,
		.record_pages = chapter->pages,
		.additions = gathered_additions(&rebuild->gathered, vcn),
	};

	replay_crew_give(rebuild->replay, &given);
}

static int add_to_save(struct rebuild *rebuild, struct uds_message *message)
{
	struct streamed_chapter chapter;
	int r = 0, last;

	for (uint32_t i = 0; r >= 0; i++) {
		/* Its pages go with the next read. */
		r = replay_crew_make_room(rebuild->replay);
		if (r < 0 || !chapter_stream_next(rebuild->stream, &chapter))
			break;
		r = check_chapter(rebuild, rebuild->vcns[i], &chapter, message);
		if (r == 1)
			give_chapter(rebuild, rebuild->vcns[i], &chapter);
	}
	last = replay_crew_wait(rebuild->replay);
	return r < 0 ? r : last;
}

static int rebuild_chapters(struct rebuild *rebuild, struct uds_message *message)
{
	int r = rebuild->with_save ? add_to_save(rebuild, message)
				   : rebuild_in_groups(rebuild, message);

	if (r < 0 && message->text[0] == '\0')
		*message = *replay_crew_message(rebuild->replay);
	return r;
}

static int list_chapters(struct rebuild *rebuild)
{
	struct uds_index *index = rebuild->index;
	const uint64_t most = index->newest - rebuild->from;

	rebuild->slots = env_allocate(&index->env, most, sizeof(*rebuild->slots));
	rebuild->vcns = env_allocate(&index->env, most, sizeof(*rebuild->vcns));
	if (rebuild->slots == NULL || rebuild->vcns == NULL)
		return -ENOMEM;
	for (uint64_t vcn = rebuild->from; vcn < index->newest; vcn++) {
		if (gathered_is_done(&rebuild->gathered, vcn))
			continue;
		rebuild->vcns[rebuild->count] = vcn;
		rebuild->slots[rebuild->count++] = geometry_physical_chapter(&index->geometry, vcn);
	}
	return 0;
}

/* @held: so many chapters are worked on at once. */
static int open_stream(struct rebuild *rebuild, uint32_t held)
{
	return chapter_stream_open(rebuild->index->volume, CHAPTER_RECORD_PAGES, rebuild->slots,
				   rebuild->count, held, &rebuild->stream);
}

/* Everything that the second half needs. */
static int start_replay(struct rebuild *rebuild, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	int r;

	r = list_chapters(rebuild);
	if (r < 0)
		return r;
	if (index->volume_index == NULL)
		r = volume_index_make(
			&index->env, &index->geometry, index->zone_count,
			volume_index_parts_for(index->zone_count, crew_members(index->crew)),
			index->layout.super.volume_nonce, message, &index->volume_index);
	if (r == 0)
		r = replay_crew_make(index, rebuild->options->skip_unreadable, &rebuild->replay);
	if (rebuild->with_save)
		return r < 0 ? r : open_stream(rebuild, REPLAY_HELD);
	if (r == 0)
		r = chapter_group_make(index, rebuild->replay, rebuild->count, &rebuild->group);
	if (r == 0)
		r = open_stream(rebuild, chapter_group_size(&index->geometry, rebuild->count));
	return r;
}

static int replay_all(struct rebuild *rebuild, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	struct halves *halves = &rebuild->halves;
	int r;

	index->newest = rebuild->found.newest;
	index->oldest = rebuild->found.oldest;
	/* Nothing is known from a save: all chapters are to be entered. */
	if (index->volume_index == NULL)
		rebuild->from = index->oldest;
	halves->done_before = halves->slots;
	r = start_replay(rebuild, message);
	if (r == 0)
		r = rebuild_chapters(rebuild, message);
	if (r == 0)
		r = volume_index_join(index->volume_index);
	if (r == 0)
		r = volume_index_know_names(index->volume_index);
	if (r == 0)
		r = unconfirmed_forget_named(index);
	/* Last, as the window's lower end follows the open chapter (13.2). */
	if (r == 0)
		r = index_set_open_chapter(index, index->newest);
	if (r == 0 && report(halves, halves->slots, 0) != 0)
		r = UDS_ERR_STOPPED;
	/* Before the pages that it may still work on. */
	chapter_group_free(rebuild->group);
	chapter_stream_close(rebuild->stream);
	replay_crew_free(rebuild->replay);
	env_release(&index->env, rebuild->slots);
	env_release(&index->env, rebuild->vcns);
	return r;
}

/*
 * Reads the records of the open chapter of the save and takes their entries out of
 * the volume index.
 */
static int undo_open_chapter(struct rebuild *rebuild, uint32_t slot, struct uds_message *message,
			     bool *ret_is_same)
{
	struct shared_entries *shared = &rebuild->index->shared;
	struct uds_index *index = rebuild->index;
	struct chapter_stream *stream = NULL;
	struct streamed_chapter chapter;
	struct replay_crew *replay = NULL;
	int r;

	r = replay_crew_make(index, rebuild->options->skip_unreadable, &replay);
	if (r == 0)
		r = chapter_stream_open(index->volume, CHAPTER_RECORD_PAGES, &slot, 1, 1, &stream);
	if (r == 0 && chapter_stream_next(stream, &chapter)) {
		if (chapter.status < 0)
			r = unreadable_chapter(rebuild, rebuild->from, &chapter, message);
		*ret_is_same = r == 0 &&
			       replay_crew_undo(replay, rebuild->from, rebuild->found.newest,
						chapter.pages) == shared->count &&
			       shared_entries_confirmed(shared) == shared->count;
	}
	/* They are confirmed once more when its records are entered. */
	shared_entries_begin_again(shared);
	chapter_stream_close(stream);
	replay_crew_free(replay);
	return r;
}

/*
 * Without the entries of that chapter, which come in again with its records; and with what
 * chapters since have.
 */
static int load_known_save(struct rebuild *rebuild, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	struct volume_index_cut cut = { .low_of = rebuild->found.newest, .without_high = true };
	int r;

	index->shared.vcn = rebuild->from;
	cut.shared = &index->shared;
	rebuild->halves.done_before = rebuild->halves.slots;
	r = gather_records(index, &rebuild->found, rebuild->from, report, &rebuild->halves, message,
			   &rebuild->gathered);
	rebuild->halves.done_before = 0;
	if (r < 0)
		return r;
	cut.additions = rebuild->gathered.additions;
	r = index_load_checkpoint(index, cut, message);
	if (r <= 0)
		gathered_free(index, &rebuild->gathered);
	return r;
}

/*
 * The chapter on the volume may be another one than the save has open: only if its records are the
 * same it is not.
 */
static int load_and_compare(struct rebuild *rebuild, uint32_t slot, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	struct volume_index_cut cut = { .low_of = rebuild->found.newest };
	bool is_same = false;
	int r;

	index->shared.vcn = rebuild->from;
	cut.shared = &index->shared;
	r = index_load_checkpoint(index, cut, message);
	if (r <= 0)
		return r;
	r = undo_open_chapter(rebuild, slot, message, &is_same);
	if (r == 0 && is_same)
		return 1;
	volume_index_free(index->volume_index);
	index->volume_index = NULL;
	shared_entries_clear(&index->shared);
	return r;
}

/*
 * Whether the volume goes on where the save ends. Names that were promoted into the open chapter of
 * the save had their entries moved there: if that chapter is not on the volume, or another one of
 * the same number, they would be lost, although an older chapter has them.
 *
 * Names that the save has in its open chapter and the volume does not have in it were deleted in
 * between, if the chapter is known to be this library's: one that goes on without a save makes it
 * unusable (abandoned). Of the newest chapter that is not known when the power failed before its
 * checksums were durable.
 *
 * Returns 1 when it does: the volume index is that of the save then, without the entries
 * of that chapter.
 */
static int continue_save(struct rebuild *rebuild, struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	const struct found_chapters *found = &rebuild->found;
	const uint64_t open = rebuild->from;
	const uint32_t slot = geometry_physical_chapter(&index->geometry, open);

	if (open >= found->newest || open < found->oldest || found->vcns[slot] != open)
		return 0;
	if (open + 1 == found->newest || volume_has_checksums(index->volume, open))
		return load_known_save(rebuild, message);
	return load_and_compare(rebuild, slot, message);
}

/*
 * A save that cannot be read is as good as none for those who ask to pass over what cannot be read.
 */
static int accept_loss(const struct rebuild *rebuild, int r, const struct uds_message *message)
{
	if (r >= 0 || r == -ENOMEM || r == -EINVAL || r == UDS_ERR_STOPPED ||
	    !rebuild->options->skip_unreadable)
		return r;
	env_log(&rebuild->index->env, UDS_LOG_WARNING, "%.400s; all chapters are read",
		message->text);
	return 0;
}

/* Begins with the latest save. Returns 1, 0 when it is no help, or an error. */
static int begin_with_save(struct rebuild *rebuild, struct find_options *options,
			   struct uds_message *message)
{
	struct uds_index *index = rebuild->index;
	const uint64_t durable = options->durable;
	int r;

	r = index_load_checkpoint_map(index, message, &rebuild->from);
	if (r <= 0)
		return accept_loss(rebuild, r, message);
	options->mapped = rebuild->from;
	options->durable = durable > rebuild->from ? durable : rebuild->from;
	r = volume_find_chapters(index->volume, options, message, &rebuild->found);
	if (r == 0) {
		r = continue_save(rebuild, message);
		if (r == 1) {
			env_log(&index->env, UDS_LOG_NOTICE,
				"%s: the volume index was saved before chapter %" PRIu64
				"; %" PRIu64 " chapters since are entered",
				uds_io_name(index->io), rebuild->from,
				rebuild->found.newest - rebuild->from);
			index->began_with_save = true;
			index->left_out_from = rebuild->from;
			index->saved_chapter = rebuild->from;
			index->base_journal = layout_save_journal(&index->layout);
			index->base_stamp = layout_checkpoint(&index->layout)->timestamp;
			rebuild->with_save = true;
			return 1;
		}
		found_chapters_free(index->volume, &rebuild->found);
	}
	/* All over again: of chapters that the save's map has, only the first block was read. */
	options->mapped = 0;
	options->durable = durable;
	return accept_loss(rebuild, r, message);
}

int index_rebuild(struct uds_index *index, const struct rebuild_options *options,
		  struct uds_message *message)
{
	struct rebuild rebuild = { .index = index, .options = options };
	struct find_options find_options = {
		.durable = options->durable,
		.skip_unreadable = options->skip_unreadable,
		.crew = index->crew,
		.progress = report,
		.progress_context = &rebuild.halves,
	};
	int r = 0;

	rebuild.halves.progress = options->progress;
	rebuild.halves.context = options->progress_context;
	rebuild.halves.slots = index->geometry.chapters_per_volume;
	if (options->use_save)
		r = begin_with_save(&rebuild, &find_options, message);
	if (r == 0)
		r = volume_find_chapters(index->volume, &find_options, message, &rebuild.found);
	if (r < 0)
		return r;
	r = replay_all(&rebuild, message);
	gathered_free(index, &rebuild.gathered);
	found_chapters_free(index->volume, &rebuild.found);
	return r;
}

int index_enter_open_chapter(struct uds_index *index, const struct rebuild_options *options,
			     struct uds_message *message)
{
	struct replay *replay;
	int r;

	r = replay_make(index, options->skip_unreadable, 0, 1, &replay);
	if (r < 0)
		return r;
	r = replay_open_chapter(replay);
	if (r < 0)
		*message = *replay_message(replay);
	replay_free(replay);
	return r;
}
