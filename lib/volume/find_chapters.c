/* SPDX-License-Identifier: BSD-2-Clause */
/* Which chapters are on a volume: all index pages are read and checked. */
#include "volume/find_chapters.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "volume/chapter_stream.h"

/* How many slots volume_is_empty() looks at. */
#define FIRST_SLOTS 64u

/* How many lost chapters are logged one by one. */
#define LOGGED_CHAPTERS 100u

static int check_page(const struct volume *volume, const uint8_t *page, uint32_t next_list,
		      struct index_page_head *ret_head, struct uds_message *ret_message)
{
	int r;

	r = index_page_open(&volume->code, page, ret_head, ret_message);
	if (r < 0)
		return r;
	if (ret_head->first_list != next_list)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "first list: expected %" PRIu32 ", found %" PRIu32, next_list,
			       ret_head->first_list);
	/* The page map has no way to say that the first page is empty; no writer leaves it so. */
	if (next_list == 0 && ret_head->list_count == 0)
		return failure(ret_message, UDS_ERR_CORRUPT, "the first page has no lists");
	return index_page_validate(&volume->code, ret_head, page, ret_message);
}

int chapter_check_index(const struct volume *volume, uint32_t slot, const uint8_t *pages,
			uint64_t *ret_vcn, uint16_t *ret_last_lists,
			struct uds_message *ret_message)
{
	const struct geometry *geometry = &volume->geometry;
	uint32_t next = 0;
	uint64_t vcn = 0;
	int r;

	for (uint32_t page = 0; page < geometry->index_pages_per_chapter; page++) {
		struct index_page_head head;

		r = check_page(volume, pages + (size_t)page * geometry->page_bytes, next, &head,
			       ret_message);
		if (r == 0 && page > 0 && head.vcn != vcn)
			r = failure(ret_message, UDS_ERR_CORRUPT,
				    "chapter number: expected %" PRIu64
				    ", as on the first page, found %" PRIu64,
				    vcn, head.vcn);
		if (r < 0)
			return failure_in(ret_message, r, "index page %" PRIu32, page);
		vcn = head.vcn;
		next += head.list_count;
		if (page + 1 < geometry->index_pages_per_chapter)
			ret_last_lists[page] = (uint16_t)(next - 1);
	}
	if (next != geometry->delta_lists_per_chapter)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "lists on all index pages: expected %" PRIu32 ", found %" PRIu32,
			       geometry->delta_lists_per_chapter, next);
	if (vcn >= CHAPTER_LIMIT || geometry_physical_chapter(geometry, vcn) != slot)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "chapter number: found %" PRIu64
			       ", which does not belong into this slot",
			       vcn);
	*ret_vcn = vcn;
	return 0;
}

static int compare_vcns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * The chapters that a volume holds at a time have numbers within one round of it. Where some do
 * not, those are right that are the most; of equals the later ones.
 *
 * Returns the highest number of that round.
 */
static uint64_t choose_round(uint64_t *sorted, uint32_t count, uint32_t chapters)
{
	uint32_t first = 0, best = 0;
	uint64_t highest = 0;

	qsort(sorted, count, sizeof(sorted[0]), compare_vcns);
	for (uint32_t last = 0; last < count; last++) {
		while (sorted[last] - sorted[first] >= chapters)
			first++;
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
 * A slot that could not be read may hold a newer chapter than all others. The open chapter must not be
 * written over it, since it may be readable another time: it is passed over.
 */
static void pass_over_unreadable(const struct geometry *geometry, const bool *unreadable,
				 struct found_chapters *found)
{
	for (uint32_t i = 0; i < found->slots; i++) {
		if (!unreadable[geometry_physical_chapter(geometry, found->newest)])
			break;
		found->newest++;
	}
}

/*
 * From the chapters of all slots to the valid range. @sorted: scratch, an element for each slot.
 * @unreadable: for each slot whether reading it failed.
 */
static void set_range(struct volume *volume, const bool *unreadable, struct found_chapters *found,
		      uint64_t *sorted)
{
	const uint32_t chapters = volume->geometry.chapters_per_volume;
	uint32_t count = 0;

	for (uint32_t slot = 0; slot < found->slots; slot++) {
		if (found->vcns[slot] != NO_CHAPTER)
			sorted[count++] = found->vcns[slot];
	}
	if (count > 0)
		found->newest = choose_round(sorted, count, chapters) + 1;
	pass_over_unreadable(&volume->geometry, unreadable, found);
	/* The slot of the oldest one of a full round belongs to the open chapter. */
	found->oldest = found->newest;
	for (uint32_t slot = 0; slot < found->slots; slot++) {
		uint64_t vcn = found->vcns[slot];

		if (vcn < found->oldest && found->newest - vcn < chapters)
			found->oldest = vcn;
		if (is_stray(&volume->geometry, found, vcn))
			found->strays++;
	}
}

/* Forgets in the page map what is not valid, and logs what should be there and is not. */
static int settle(struct volume *volume, struct found_chapters *found, uint8_t *pages,
		  uint16_t *last_lists)
{
	const struct geometry *geometry = &volume->geometry;
	struct uds_message message = { "" };
	uint64_t vcn, ignored;
	int r;

	for (uint32_t slot = 0; slot < found->slots; slot++) {
		if (found->vcns[slot] < found->oldest || found->vcns[slot] >= found->newest)
			page_map_clear(volume->map, slot);
	}
	for (vcn = found->oldest; vcn < found->newest; vcn++) {
		uint32_t slot = geometry_physical_chapter(geometry, vcn);

		if (found->vcns[slot] == vcn)
			continue;
		if (++found->lost > LOGGED_CHAPTERS)
			continue;
		r = io_read(volume->io, pages,
			    (size_t)geometry->index_pages_per_chapter * geometry->page_bytes,
			    volume_page_offset(volume, slot, 0), &message);
		if (r == 0)
			r = chapter_check_index(volume, slot, pages, &ignored, last_lists,
						&message);
		if (r == 0)
			failure(&message, 0, "the slot holds chapter %" PRIu64, ignored);
		env_log(&volume->env, UDS_LOG_WARNING,
			"%s: chapter %" PRIu64 " (slot %" PRIu32 ") is lost: %.400s",
			uds_io_name(volume->io), vcn, slot, message.text);
	}
	page_map_set_last_update(volume->map, found->newest > 0 ? found->newest - 1 : 0);
	return 0;
}

/* Reads all slots: fills vcns and the page map. */
static int read_slots(struct volume *volume, uds_progress_fn progress, void *progress_context,
		      struct found_chapters *found, bool *unreadable, uint16_t *last_lists)
{
	struct chapter_stream *stream;
	struct streamed_chapter chapter;
	uint32_t *slots, done = 0;
	int r;

	slots = env_allocate(&volume->env, found->slots, sizeof(slots[0]));
	if (slots == NULL)
		return -ENOMEM;
	for (uint32_t slot = 0; slot < found->slots; slot++)
		slots[slot] = slot;
	r = chapter_stream_open(volume, CHAPTER_INDEX_PAGES, slots, found->slots, &stream);
	if (r < 0) {
		env_release(&volume->env, slots);
		return r;
	}
	while (r == 0 && chapter_stream_next(stream, &chapter)) {
		uint64_t vcn = NO_CHAPTER;

		if (chapter.status == 0 && chapter_check_index(volume, chapter.slot, chapter.pages,
							       &vcn, last_lists, NULL) == 0)
			page_map_set(volume->map, chapter.slot, vcn, last_lists);
		if (chapter.status < 0)
			env_log(&volume->env, UDS_LOG_WARNING,
				"%s: slot %" PRIu32 ": reading its index pages: %s",
				uds_io_name(volume->io), chapter.slot,
				uds_strerror(chapter.status));
		unreadable[chapter.slot] = chapter.status < 0;
		found->vcns[chapter.slot] = vcn;
		done++;
		if (progress != NULL && progress(progress_context, done, found->slots) != 0)
			r = UDS_ERR_STOPPED;
	}
	chapter_stream_close(stream);
	env_release(&volume->env, slots);
	return r;
}

int volume_find_chapters(struct volume *volume, uds_progress_fn progress, void *progress_context,
			 struct uds_message *ret_message, struct found_chapters *ret_found)
{
	const struct geometry *geometry = &volume->geometry;
	struct found_chapters found = { .slots = geometry->chapters_per_volume };
	const struct uds_env *env = &volume->env;
	uint64_t *sorted = env_allocate(env, found.slots, sizeof(sorted[0]));
	uint16_t *last_lists =
		env_allocate(env, geometry->index_pages_per_chapter, sizeof(last_lists[0]));
	uint8_t *pages = io_allocate_buffer(volume->io, env,
					    (uint64_t)geometry->index_pages_per_chapter *
						    geometry->page_bytes);
	bool *unreadable = env_allocate(env, found.slots, sizeof(unreadable[0]));
	int r = -ENOMEM;

	found.vcns = env_allocate(env, found.slots, sizeof(found.vcns[0]));
	if (found.vcns != NULL && sorted != NULL && last_lists != NULL && pages != NULL &&
	    unreadable != NULL)
		r = read_slots(volume, progress, progress_context, &found, unreadable, last_lists);
	if (r == 0) {
		set_range(volume, unreadable, &found, sorted);
		r = settle(volume, &found, pages, last_lists);
	}
	env_release(env, unreadable);
	env_release(env, pages);
	env_release(env, last_lists);
	env_release(env, sorted);
	if (r < 0) {
		env_release(env, found.vcns);
		return failure(ret_message, r, "%s: looking for chapters: %s",
			       uds_io_name(volume->io), uds_strerror(r));
	}
	*ret_found = found;
	return 0;
}

void found_chapters_free(const struct volume *volume, struct found_chapters *found)
{
	env_release(&volume->env, found->vcns);
	found->vcns = NULL;
}

/* Whether the first index page of a slot is that of a chapter. Returns 1, 0, or an error. */
static int peek_slot(struct volume *volume, struct scratch *scratch, uint32_t slot,
		     struct uds_message *ret_message)
{
	struct index_page_head head;
	uint8_t *bytes = NULL;
	int r;

	r = volume_read_part(volume, scratch, slot, 0, 0, INDEX_PAGE_HEAD_BYTES, &bytes,
			     ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "%s: slot %" PRIu32, uds_io_name(volume->io),
				  slot);
	return index_page_read_head(&volume->code, bytes, &head, NULL) == 0 &&
	       head.vcn < CHAPTER_LIMIT &&
	       geometry_physical_chapter(&volume->geometry, head.vcn) == slot;
}

int volume_is_empty(struct volume *volume, struct uds_message *ret_message)
{
	struct scratch *scratch;
	int r;

	r = volume_take_scratch(volume, &scratch);
	if (r < 0)
		return failure(ret_message, r, "%s", uds_strerror(r));
	for (uint32_t slot = 0;
	     slot < FIRST_SLOTS && slot < volume->geometry.chapters_per_volume && r == 0; slot++)
		r = peek_slot(volume, scratch, slot, ret_message);
	volume_give_scratch(volume, scratch);
	return r < 0 ? r : r == 0;
}
