/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entering records into the volume index during a rebuild.
 *
 * A record whose place in the volume index is taken by an ordinary entry of another chapter may be a newer
 * copy of that record, or another name: only that chapter can tell. Such questions are asked for all
 * the rest of a page at once, when the first comes up.
 */
#include "index/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "chapter/record_page.h"
#include "geometry/name_bits.h"

/* How many records ahead the lists of the volume index are fetched. */
#define AHEAD 12

/* Entries of replay->question that are not the number of a search. */
#define NOT_ASKED UINT32_MAX

struct replay {
	struct uds_index *index;
	uint32_t records_per_page;

	/* The chapter. */
	uint64_t vcn;
	bool samples_only; /* it is sparse: other names are passed over */
	const uint8_t *record_pages;
	const struct chapter_view *doubted; /* all of it, when it may not be whole; else NULL */

	/* The page. */
	uint32_t page;
	uint32_t count; /* records of the page that are to be entered */
	struct uds_record_name *names;
	uint32_t *numbers; /* where each is on the page */
	struct vi_place *places;
	uint32_t *question; /* for each record its search, or NOT_ASKED */
	uint32_t searches_count;
	struct volume_search *searches;
};

int replay_make(struct uds_index *index, struct replay **ret_replay)
{
	const struct uds_env *env = &index->env;
	uint32_t n = index->geometry.records_per_page;
	struct replay *replay = env_allocate_zeroed(env, 1, sizeof(*replay));

	if (replay == NULL)
		return -ENOMEM;
	replay->index = index;
	replay->records_per_page = n;
	replay->names = env_allocate(env, n, sizeof(*replay->names));
	replay->numbers = env_allocate(env, n, sizeof(*replay->numbers));
	replay->places = env_allocate(env, n, sizeof(*replay->places));
	replay->question = env_allocate(env, n, sizeof(*replay->question));
	replay->searches = env_allocate(env, n, sizeof(*replay->searches));
	if (replay->names == NULL || replay->numbers == NULL || replay->places == NULL ||
	    replay->question == NULL || replay->searches == NULL) {
		replay_free(replay);
		return -ENOMEM;
	}
	*ret_replay = replay;
	return 0;
}

void replay_free(struct replay *replay)
{
	const struct uds_env *env;

	if (replay == NULL)
		return;
	env = &replay->index->env;
	env_release(env, replay->names);
	env_release(env, replay->numbers);
	env_release(env, replay->places);
	env_release(env, replay->question);
	env_release(env, replay->searches);
	env_release(env, replay);
}

static const uint8_t *page_at(const struct replay *replay, uint32_t page)
{
	return replay->record_pages + (size_t)page * replay->index->geometry.page_bytes;
}

static void take_page(struct replay *replay, uint32_t page)
{
	struct uds_index *index = replay->index;
	const uint8_t *records = page_at(replay, page);

	replay->page = page;
	replay->count = 0;
	replay->searches_count = 0;
	for (uint32_t i = 0; i < replay->records_per_page; i++) {
		struct uds_record_name *name = &replay->names[replay->count];

		memcpy(name, records + (size_t)i * UDS_RECORD_BYTES, sizeof(*name));
		if (replay->samples_only && !is_sample(&index->geometry, name))
			continue;
		if (replay->doubted != NULL && !chapter_view_finds(replay->doubted, page, i))
			continue;
		volume_index_locate(index->volume_index, name, &replay->places[replay->count]);
		replay->numbers[replay->count] = i;
		replay->question[replay->count++] = NOT_ASKED;
	}
}

/* Whether only chapter record->vcn can tell what this entry means for a record of @vcn. */
static bool is_question(const struct vi_record *record, uint64_t vcn)
{
	return record->found && !record->collision && record->vcn != vcn;
}

/* Asks all questions that records from @i on have at this moment. Errors stay with their searches. */
static void ask(struct replay *replay, uint32_t i)
{
	struct uds_index *index = replay->index;
	struct uds_message message;

	replay->searches_count = 0;
	for (; i < replay->count; i++) {
		struct volume_search *search = &replay->searches[replay->searches_count];
		struct vi_record record;

		replay->question[i] = NOT_ASKED;
		volume_index_peek(index->volume_index, &replay->places[i], &replay->names[i],
				  &record);
		if (!is_question(&record, replay->vcn))
			continue;
		search->vcn = record.vcn;
		search->name = replay->names[i];
		replay->question[i] = replay->searches_count++;
	}
	volume_search_many(index->volume, replay->searches, replay->searches_count, &message);
}

/*
 * The answer for record @i, asking if need be. A chapter that cannot be read is taken to have it: another
 * name at the same place is one in a million, and could not be read either; but a second entry for this
 * name would come to light when the chapter can be read again, and give an old answer.
 */
static int is_copy(struct replay *replay, uint32_t i, const struct vi_record *record,
		   bool *ret_copy)
{
	const struct volume_search *search;

	if (replay->question[i] == NOT_ASKED ||
	    replay->searches[replay->question[i]].vcn != record->vcn)
		ask(replay, i);
	search = &replay->searches[replay->question[i]];
	if (search->status == -ENOMEM)
		return -ENOMEM;
	*ret_copy = search->status < 0 || search->found;
	return 0;
}

/*
 * Whether the name of record @i came before, in this chapter: if so, this is a copy of the fill record. On
 * its page the first of several is the one that a search finds.
 */
static bool came_before(const struct replay *replay, uint32_t i)
{
	uint32_t n = replay->records_per_page;
	struct uds_record_data data;

	if (find_in_page(page_at(replay, replay->page), n, &replay->names[i]) != replay->numbers[i])
		return true;
	for (uint32_t page = 0; page < replay->page; page++) {
		if (record_page_search(page_at(replay, page), n, &replay->names[i], &data))
			return true;
	}
	return false;
}

/*
 * Enters record @i. The format's origin takes every ordinary entry of this same chapter for another name's,
 * and so gives copies of the fill record a collision entry that they do not need: when the name is
 * deleted later, the other entry would bring it back. Not here.
 */
static int enter(struct replay *replay, uint32_t i)
{
	struct volume_index *vi = replay->index->volume_index;
	const struct uds_record_name *name = &replay->names[i];
	uint64_t vcn = replay->vcn;
	struct vi_record record;
	bool same;
	int r;

	volume_index_get(vi, &replay->places[i], name, &record);
	same = record.found && record.collision;
	if (is_question(&record, vcn)) {
		r = is_copy(replay, i, &record, &same);
		if (r < 0)
			return r;
	} else if (record.found && !same) {
		same = came_before(replay, i);
	}
	if (same)
		r = record.vcn == vcn ? 0 : volume_index_set(vi, &record, vcn);
	else
		r = volume_index_put(vi, &record, name, vcn);
	return r == UDS_ERR_OVERFLOW || r == UDS_ERR_DUPLICATE_NAME ? 0 : r;
}

static int replay_page(struct replay *replay, uint32_t page)
{
	const struct volume_index *vi = replay->index->volume_index;
	int r = 0;

	take_page(replay, page);
	for (uint32_t i = 0; i < replay->count && i < AHEAD; i++)
		volume_index_prefetch(vi, &replay->places[i], VI_CHANGE);
	for (uint32_t i = 0; r == 0 && i < replay->count; i++) {
		if (i + AHEAD < replay->count)
			volume_index_prefetch(vi, &replay->places[i + AHEAD], VI_CHANGE);
		r = enter(replay, i);
	}
	return r;
}

static void start_chapter(struct replay *replay, uint64_t vcn, const uint8_t *record_pages,
			  const struct chapter_view *doubted)
{
	const struct uds_index *index = replay->index;

	replay->vcn = vcn;
	replay->samples_only =
		geometry_is_chapter_sparse(&index->geometry, index->oldest, index->newest, vcn);
	replay->record_pages = record_pages;
	replay->doubted = doubted;
}

int replay_chapter(struct replay *replay, uint64_t vcn, const uint8_t *record_pages)
{
	struct uds_index *index = replay->index;
	int r = 0;

	start_chapter(replay, vcn, record_pages, NULL);
	for (uint32_t p = 0; r == 0 && p < index->geometry.record_pages_per_chapter; p++)
		r = replay_page(replay, p);
	return r;
}

int replay_chapter_in_doubt(struct replay *replay, const struct chapter_view *view)
{
	struct uds_index *index = replay->index;
	int r = 0;

	start_chapter(replay, view->vcn, chapter_view_record_page(view, 0), view);
	for (uint32_t p = 0; r == 0 && p < index->geometry.record_pages_per_chapter; p++) {
		if (chapter_view_owns_page(view, p))
			r = replay_page(replay, p);
		else
			env_log(&index->env, UDS_LOG_WARNING,
				"%s: chapter %" PRIu64
				" was not written whole: record page %" PRIu32 " is not its own",
				uds_io_name(index->io), view->vcn, p);
	}
	return r;
}
