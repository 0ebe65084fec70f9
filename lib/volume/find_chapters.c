/* SPDX-License-Identifier: BSD-2-Clause */
/* Which chapters are on a volume: all index pages are read and checked. */
#include "volume/find_chapters.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/sort.h"
#include "volume/chapter_stream.h"
#include "volume/volume_private.h"
#include "volume/whole_chapter.h"

/* How many lost chapters are logged one by one. */
#define LOGGED_CHAPTERS 100u

struct finder;

/* The index pages of one slot, on their way through the crew. */
struct slot_work {
	struct crew_job job;
	struct finder *finder;
	bool given; /* and not taken yet */
	struct streamed_chapter chapter;
	uint64_t vcn; /* what the pages came to; NO_CHAPTER: to no chapter */
	bool damaged;
	struct index_page_head *heads;
	uint16_t *last_lists;
};

/* What all steps of a search share. */
struct finder {
	struct volume *volume;
	const struct find_options *options;
	struct found_chapters found;
	bool *unreadable;	 /* for each slot whether reading it failed */
	uint64_t *damaged;	 /* for each slot without a good chapter the one it had */
	uint64_t *sorted;	 /* scratch: an element for each slot */
	struct slot_work *works; /* one for each member of the crew */
	uint8_t *pages;		 /* room for the index pages of a slot */
	struct uds_message message;
};

/* What cannot be read is told by who reads it to look for something. */
static int find_damaged(struct finder *finder)
{
	const struct found_chapters *found = &finder->found;
	int r = 0;

	for (uint32_t slot = 0; r == 0 && slot < found->slots; slot++) {
		finder->damaged[slot] = NO_CHAPTER;
		if (found->vcns[slot] != NO_CHAPTER || finder->unreadable[slot])
			continue;
		r = chapter_find_damaged(&finder->volume->reader, slot, &finder->damaged[slot],
					 &finder->message);
		if (r < 0 && r != -ENOMEM && finder->options->skip_unreadable)
			r = 0;
	}
	return r;
}

static int compare_vcns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * The chapters on a volume have numbers within one round of it. Where some do not, trust the
 * largest group; on a tie, the newer one.
 *
 * Returns the highest number of that round.
 */
static uint64_t choose_round(uint64_t *sorted, uint32_t count, uint32_t chapters)
{
	uint32_t first = 0, best = 0;
	uint64_t highest = 0;

	sort_elements(sorted, count, sizeof(sorted[0]), compare_vcns);
	/*
	 * A window over the sorted numbers, never wider than one round: the fullest one wins. Equal
	 * numbers cannot occur, since a chapter that is not in its own slot was refused before.
	 */
	for (uint32_t last = 0; last < count; last++) {
		while (sorted[last] - sorted[first] >= chapters)
			first++;
		/* Not ">": on a tie the later, newer window wins. */
		if (last - first + 1 >= best) {
			best = last - first + 1;
			highest = sorted[last];
		}
	}
	return highest;
}

/*
 * Whether a chapter cannot be in its slot when found->newest is to come. In a converted volume a
 * slot may have been passed over for a while, so an old chapter says nothing there.
 */
static bool is_stray(const struct geometry *geometry, const struct found_chapters *found,
		     uint64_t vcn)
{
	if (vcn == NO_CHAPTER || vcn < found->newest)
		return vcn != NO_CHAPTER && !geometry->reduced &&
		       found->newest - vcn > geometry->chapters_per_volume;
	return true;
}

/*
 * A slot that could not be read may hold a newer chapter than all others. The open chapter must not
 * be written over it, since it may be readable another time: it is passed over.
 */
static void pass_over_unreadable(const struct geometry *geometry, const bool *unreadable,
				 struct found_chapters *found)
{
	/*
	 * At most one round: with every slot unreadable there is no place for the open chapter
	 * anyway.
	 */
	for (uint32_t i = 0; i < found->slots; i++) {
		if (!unreadable[geometry_physical_chapter(geometry, found->newest)])
			break;
		found->newest++;
	}
}

/* From the chapters of all slots to the valid range. */
static void set_range(struct finder *finder)
{
	const struct geometry *geometry = &finder->volume->geometry;
	struct found_chapters *found = &finder->found;
	uint32_t count = 0;

	for (uint32_t slot = 0; slot < found->slots; slot++) {
		if (found->vcns[slot] != NO_CHAPTER)
			finder->sorted[count++] = found->vcns[slot];
	}
	/* An empty volume begins with chapter 0. */
	found->newest = 0;
	if (count > 0)
		found->newest =
			choose_round(finder->sorted, count, geometry->chapters_per_volume) + 1;
	/* Those behind it that are damaged count, too. */
	while (finder->damaged[geometry_physical_chapter(geometry, found->newest)] == found->newest)
		found->newest++;
}

/*
 * What reading a whole chapter came to, and was not damage. Where it may be passed over, the reader
 * of its records says that they cannot be read.
 */
static int pass_over(struct finder *finder, uint64_t vcn, uint32_t slot, int status)
{
	if (status == 0 || (status != -ENOMEM && finder->options->skip_unreadable))
		return 0;
	return failure_in(&finder->message, status, "chapter %" PRIu64 " (slot %" PRIu32 ")", vcn,
			  slot);
}

/*
 * The newest chapter may have been on its way to the device when the power failed. The one before
 * it was durable by then.
 */
static int check_newest(struct finder *finder)
{
	struct volume *volume = finder->volume;
	struct found_chapters *found = &finder->found;
	uint64_t vcn = found->newest - 1;
	uint32_t slot;
	int r;

	/* A save was made after the chapter: it was durable by then. */
	if (found->newest == 0 || vcn < finder->options->durable)
		return 0;
	slot = geometry_physical_chapter(&volume->geometry, vcn);
	/* One that counts, but is not there, is lost: settle() says why. */
	if (found->vcns[slot] != vcn)
		return 0;
	r = chapter_read_whole(&volume->reader, slot, &vcn, &finder->message);
	if (r == UDS_ERR_CORRUPT && checksums_know(volume->checksums, slot, found->newest - 1)) {
		/* It was whole once, so it counts. What reads the damaged page says so. */
		env_log(&volume->env, UDS_LOG_WARNING,
			"%s: chapter %" PRIu64 " (slot %" PRIu32 ") is damaged: %.400s",
			uds_io_name(volume->io), vcn, slot, finder->message.text);
		return 0;
	}
	if (r == UDS_ERR_CORRUPT) {
		/*
		 * Torn: of the writes of a chapter only some reached the device (11.1). A crash
		 * loses its records (15.5), and the range is chosen again without it.
		 */
		env_log(&volume->env, UDS_LOG_WARNING,
			"%s: chapter %" PRIu64 " (slot %" PRIu32
			") was not written whole, and does not count: %.400s",
			uds_io_name(volume->io), vcn, slot, finder->message.text);
		found->vcns[slot] = NO_CHAPTER;
		set_range(finder);
		return 0;
	}
	return pass_over(finder, vcn, slot, r);
}

/*
 * In a converted volume the slot of the open chapter may hold one that is not a whole round older:
 * the one that left together with the moved chapter (11.4). It is still found, unless some of the
 * open chapter was written over it before the power failed.
 */
static int check_open_slot(struct finder *finder)
{
	struct volume *volume = finder->volume;
	struct found_chapters *found = &finder->found;
	uint32_t slot = geometry_physical_chapter(&volume->geometry, found->newest);
	uint64_t vcn = found->vcns[slot];
	int r;

	if (vcn >= found->newest || found->newest - vcn >= volume->geometry.chapters_per_volume)
		return 0;
	r = chapter_read_whole(&volume->reader, slot, &vcn, &finder->message);
	if (r == UDS_ERR_CORRUPT) {
		env_log(&volume->env, UDS_LOG_NOTICE,
			"%s: chapter %" PRIu64 " (slot %" PRIu32
			") has left, and was being overwritten: %.400s",
			uds_io_name(volume->io), vcn, slot, finder->message.text);
		found->vcns[slot] = NO_CHAPTER;
		return 0;
	}
	return pass_over(finder, vcn, slot, r);
}

/* The oldest valid chapter; and which are strays. */
static void set_oldest(struct finder *finder)
{
	const struct geometry *geometry = &finder->volume->geometry;
	struct found_chapters *found = &finder->found;

	/* The slot of the oldest one of a full round belongs to the open chapter. */
	found->oldest = found->newest;
	for (uint32_t slot = 0; slot < found->slots; slot++) {
		uint64_t vcn =
			found->vcns[slot] != NO_CHAPTER ? found->vcns[slot] : finder->damaged[slot];

		if (vcn < found->oldest && found->newest - vcn < geometry->chapters_per_volume)
			found->oldest = vcn;
		if (is_stray(geometry, found, found->vcns[slot]))
			found->strays++;
	}
}

/* Says why a chapter that should be there is not. */
static int log_lost(struct finder *finder, uint64_t vcn)
{
	struct volume *volume = finder->volume;
	const struct geometry *geometry = &volume->geometry;
	uint32_t slot = geometry_physical_chapter(geometry, vcn);
	struct uds_message message = { "" };
	uint64_t other = 0;
	int r;

	r = page_reader_read_row(&volume->reader, slot, 0,
				 (size_t)geometry->index_pages_per_chapter * geometry->page_bytes,
				 finder->pages, &message);
	if (r < 0 && !finder->options->skip_unreadable)
		return failure(&finder->message, r, "slot %" PRIu32 ": %.400s", slot, message.text);
	if (r == 0)
		r = chapter_check_index(geometry, &volume->reader.code, slot, finder->pages, &other,
					finder->works[0].heads, &message);
	/*
	 * Status 0: only the sentence is wanted. A newer or older chapter in the slot is
	 * the usual case.
	 */
	if (r == 0)
		failure(&message, 0, "the slot holds chapter %" PRIu64, other);
	env_log(&volume->env, UDS_LOG_WARNING,
		"%s: chapter %" PRIu64 " (slot %" PRIu32 ") is lost: %.400s",
		uds_io_name(volume->io), vcn, slot, message.text);
	return 0;
}

/* Forgets in the page map what is not valid, and logs what should be there and is not. */
static int settle(struct finder *finder)
{
	struct volume *volume = finder->volume;
	struct found_chapters *found = &finder->found;
	int r = 0;

	for (uint32_t slot = 0; slot < found->slots; slot++) {
		/* A lookup must not go by bounds that belong to a chapter that was given up. */
		if (found->vcns[slot] < found->oldest || found->vcns[slot] >= found->newest)
			page_map_clear(volume->map, slot);
	}
	for (uint64_t vcn = found->oldest; vcn < found->newest && r == 0; vcn++) {
		if (found->vcns[geometry_physical_chapter(&volume->geometry, vcn)] == vcn)
			continue;
		/*
		 * All lost chapters count, but a volume that is damaged everywhere does not flood
		 * the log.
		 */
		if (++found->lost <= LOGGED_CHAPTERS)
			r = log_lost(finder, vcn);
	}
	/*
	 * What a writer would have left: the last chapter whose pages were recorded, 0 in a new
	 * index (12.1).
	 */
	page_map_set_last_update(volume->map, found->newest > 0 ? found->newest - 1 : 0);
	return r;
}

/*
 * A read error ends the search unless the caller accepts the loss: the chapter may be
 * readable another time.
 */
static int check_read(struct finder *finder, const struct streamed_chapter *chapter)
{
	if (chapter->status >= 0 || finder->options->skip_unreadable)
		return 0;
	return failure(&finder->message, chapter->status,
		       "slot %" PRIu32 ": reading its index pages: %s", chapter->slot,
		       uds_strerror(chapter->status));
}

/* Looks what a slot holds. All that is not the slot's own is left as it is. */
static void check_slot(struct crew_job *job)
{
	struct slot_work *work = (struct slot_work *)job;
	struct volume *volume = work->finder->volume;
	const struct geometry *geometry = &volume->geometry;
	const struct streamed_chapter *chapter = &work->chapter;

	work->vcn = NO_CHAPTER;
	work->damaged = false;
	/*
	 * Garbage, another index's pages or a torn chapter are what any slot may hold (15.1): no
	 * sentence for each.
	 */
	if (chapter->status < 0 ||
	    chapter_check_index(geometry, &volume->reader.code, chapter->slot, chapter->pages,
				&work->vcn, work->heads, NULL) < 0)
		return;
	chapter_last_lists(geometry, work->heads, work->last_lists);
	work->damaged = volume_has_damage(volume, chapter->slot, work->vcn, 0,
					  geometry->index_pages_per_chapter, chapter->pages);
}

/* Takes note of it. */
static int take_slot(struct finder *finder, const struct slot_work *work)
{
	struct volume *volume = finder->volume;
	const struct streamed_chapter *chapter = &work->chapter;
	uint32_t slot = chapter->slot;
	int r;

	r = check_read(finder, chapter);
	if (r < 0)
		return r;
	if (chapter->status < 0)
		env_log(&volume->env, UDS_LOG_WARNING,
			"%s: slot %" PRIu32 ": reading its index pages: %s",
			uds_io_name(volume->io), slot, uds_strerror(chapter->status));
	if (work->vcn != NO_CHAPTER)
		page_map_set(volume->map, slot, work->vcn, work->last_lists);
	if (work->damaged)
		r = volume_log_damage(volume, slot, work->vcn, 0,
				      volume->geometry.index_pages_per_chapter, chapter->pages);
	/* Unlike a corrupt slot, this one may hold a chapter; see pass_over_unreadable(). */
	finder->unreadable[slot] = chapter->status < 0;
	finder->found.vcns[slot] = work->vcn;
	return r;
}

/* Whether the head of a slot is that of a chapter whose row of the page map is known. */
static bool is_mapped(struct finder *finder, const struct streamed_chapter *chapter)
{
	struct volume *volume = finder->volume;
	struct index_page_head head;
	struct page_bounds bounds;

	if (chapter->status < 0 ||
	    chapter_head_decode(&volume->geometry, &volume->reader.code, chapter->slot,
				chapter->pages, &head, NULL) < 0 ||
	    head.vcn >= finder->options->mapped)
		return false;
	/*
	 * A chapter that was lost before the save left an older one in its slot, with other bounds.
	 */
	bounds = page_map_page(volume->map, chapter->slot, 0);
	if (head.first_list != bounds.first_list || head.list_count != bounds.list_count)
		return false;
	finder->unreadable[chapter->slot] = false;
	finder->found.vcns[chapter->slot] = head.vcn;
	return true;
}

/* Takes the slots away whose chapters are known by their heads. */
static int read_heads(struct finder *finder, uint32_t *slots, uint32_t *count)
{
	struct chapter_stream *stream = NULL;
	struct streamed_chapter chapter;
	uint32_t *left, rest = 0;
	int r;

	left = env_allocate(&finder->volume->env, *count, sizeof(left[0]));
	if (left == NULL)
		return -ENOMEM;
	r = chapter_stream_open(finder->volume, CHAPTER_HEAD, slots, *count, 1, &stream);
	while (r == 0 && chapter_stream_next(stream, &chapter)) {
		r = check_read(finder, &chapter);
		if (r == 0 && !is_mapped(finder, &chapter))
			left[rest++] = chapter.slot;
	}
	/* The stream looks at the slots until it is closed. */
	chapter_stream_close(stream);
	if (r == 0) {
		memcpy(slots, left, rest * sizeof(left[0]));
		*count = rest;
	}
	env_release(&finder->volume->env, left);
	return r;
}

/* Waits for the work on a slot, if there is any; after a failure of others, for nothing else. */
static int finish_work(struct finder *finder, struct slot_work *work, int status)
{
	if (!work->given)
		return status;
	crew_wait(finder->options->crew, &work->job);
	work->given = false;
	return status < 0 ? status : take_slot(finder, work);
}

/*
 * Gives every member of the crew a slot in turn, and takes note of what they find in the order
 * of the slots.
 */
static int check_slots(struct finder *finder, struct chapter_stream *stream, uint32_t done)
{
	const struct find_options *options = finder->options;
	const unsigned int members = crew_members(options->crew);
	unsigned int turn = 0;
	int r = 0;

	for (; r == 0; turn = (turn + 1) % members) {
		struct slot_work *work = &finder->works[turn];

		/* Its pages go with the next read. */
		r = finish_work(finder, work, 0);
		if (r < 0 || !chapter_stream_next(stream, &work->chapter))
			break;
		work->given = true;
		crew_give(options->crew, turn, &work->job);
		done++;
		/* What was found is thrown away then, and nothing on the device has changed. */
		if (options->progress != NULL &&
		    options->progress(options->progress_context, done, finder->found.slots) != 0)
			r = UDS_ERR_STOPPED;
	}
	for (unsigned int i = 0; i < members; i++)
		r = finish_work(finder, &finder->works[(turn + i) % members], r);
	return r;
}

/* Reads the index pages of the slots that are left: fills vcns and the page map. */
static int read_index_pages(struct finder *finder, const uint32_t *slots, uint32_t count)
{
	struct chapter_stream *stream = NULL;
	int r;

	r = chapter_stream_open(finder->volume, CHAPTER_INDEX_PAGES, slots, count,
				crew_members(finder->options->crew), &stream);
	if (r == 0)
		r = check_slots(finder, stream, finder->found.slots - count);
	chapter_stream_close(stream);
	return r;
}

static int read_slots(struct finder *finder)
{
	uint32_t *slots, count = finder->found.slots;
	int r = 0;

	slots = env_allocate(&finder->volume->env, count, sizeof(slots[0]));
	if (slots == NULL)
		return -ENOMEM;
	for (uint32_t slot = 0; slot < count; slot++)
		slots[slot] = slot;
	if (finder->options->mapped > 0)
		r = read_heads(finder, slots, &count);
	if (r == 0)
		r = read_index_pages(finder, slots, count);
	env_release(&finder->volume->env, slots);
	return r;
}

static int make_finder(struct finder *finder)
{
	const struct geometry *geometry = &finder->volume->geometry;
	const struct uds_env *env = &finder->volume->env;
	uint32_t slots = geometry->chapters_per_volume;
	uint32_t pages = geometry->index_pages_per_chapter;
	unsigned int members = crew_members(finder->options->crew);

	finder->found.slots = slots;
	finder->found.vcns = env_allocate(env, slots, sizeof(finder->found.vcns[0]));
	finder->damaged = env_allocate(env, slots, sizeof(finder->damaged[0]));
	finder->sorted = env_allocate(env, slots, sizeof(finder->sorted[0]));
	finder->unreadable = env_allocate(env, slots, sizeof(finder->unreadable[0]));
	finder->works = env_allocate_zeroed(env, members, sizeof(finder->works[0]));
	if (finder->works == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < members; i++) {
		struct slot_work *work = &finder->works[i];

		work->job.run = check_slot;
		work->finder = finder;
		work->heads = env_allocate(env, pages, sizeof(work->heads[0]));
		work->last_lists = env_allocate(env, pages, sizeof(work->last_lists[0]));
		if (work->heads == NULL || work->last_lists == NULL)
			return -ENOMEM;
	}
	finder->pages =
		io_allocate_buffer(finder->volume->io, env, (uint64_t)pages * geometry->page_bytes);
	return finder->found.vcns == NULL || finder->damaged == NULL || finder->sorted == NULL ||
			       finder->unreadable == NULL || finder->pages == NULL
		       ? -ENOMEM
		       : 0;
}

static int find_all(struct finder *finder)
{
	int r;

	r = make_finder(finder);
	if (r == 0)
		r = read_slots(finder);
	if (r == 0)
		r = find_damaged(finder);
	if (r < 0)
		return r;
	/*
	 * The order matters: the newest chapter settles the range, a torn one moves it back, and
	 * unreadable slots move it on; only then is it known what is too old.
	 */
	set_range(finder);
	r = check_newest(finder);
	if (r < 0)
		return r;
	pass_over_unreadable(&finder->volume->geometry, finder->unreadable, &finder->found);
	r = check_open_slot(finder);
	if (r < 0)
		return r;
	set_oldest(finder);
	return settle(finder);
}

int volume_find_chapters(struct volume *volume, const struct find_options *options,
			 struct uds_message *ret_message, struct found_chapters *ret_found)
{
	static const struct find_options defaults = { 0 };
	struct finder finder = { .volume = volume,
				 .options = options == NULL ? &defaults : options };
	const struct uds_env *env = &volume->env;
	int r;

	r = find_all(&finder);
	env_release(env, finder.pages);
	/*
	 * Also after an error: make_finder() may have failed halfway, and what it did not make is
	 * NULL.
	 */
	for (unsigned int i = 0; finder.works != NULL && i < crew_members(finder.options->crew);
	     i++) {
		env_release(env, finder.works[i].last_lists);
		env_release(env, finder.works[i].heads);
	}
	env_release(env, finder.works);
	env_release(env, finder.unreadable);
	env_release(env, finder.sorted);
	env_release(env, finder.damaged);
	if (r < 0) {
		env_release(env, finder.found.vcns);
		return failure(
			ret_message, r, "%s: looking for chapters: %.400s", uds_io_name(volume->io),
			finder.message.text[0] != '\0' ? finder.message.text : uds_strerror(r));
	}
	*ret_found = finder.found;
	return 0;
}

void found_chapters_free(const struct volume *volume, struct found_chapters *found)
{
	env_release(&volume->env, found->vcns);
	found->vcns = NULL;
}
