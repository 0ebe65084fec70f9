/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entering records into the volume index during a rebuild.
 *
 * A record whose place in the volume index is taken by an ordinary entry of another chapter may be
 * a newer copy of that record, or another name: only that chapter can tell. Such questions are
 * asked for all the rest of a page at once, when the first comes up.
 */
#include "index/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "chapter/record_page.h"
#include "geometry/name_bits.h"
#include "volume/volume_search.h"

/* How many records ahead the lists of the volume index are fetched. */
#define AHEAD 12

/* Entries of replay->question that are not the number of a search. */
#define NOT_ASKED UINT32_MAX

struct replay {
	struct uds_index *index;
	unsigned int number, sharers; /* parts of the volume index: one in so many */
	uint32_t records_per_page;
	bool skip_unreadable;

	/* The chapter. */
	uint64_t vcn;
	bool samples_only;		   /* it is sparse: other names are passed over */
	const uint8_t *record_pages;	   /* NULL: the open chapter, which has each name once */
	const struct additions *additions; /* only records that these have left; NULL: all */

	/* The page. */
	uint32_t page;
	uint32_t count; /* records of the page that are to be entered */
	struct uds_record_name *names;
	uint32_t *numbers; /* where each is on the page */
	struct name_place *places;
	uint32_t *question; /* for each record its search, or NOT_ASKED */
	uint32_t searches_count;
	struct volume_search *searches;
	struct uds_message message; /* of a search that failed; empty: none did */
};

int replay_make(struct uds_index *index, bool skip_unreadable, unsigned int number,
		unsigned int count, struct replay **ret_replay)
{
	const struct uds_env *env = &index->env;
	uint32_t n = index->geometry.records_per_page;
	struct replay *replay = env_allocate_zeroed(env, 1, sizeof(*replay));

	if (replay == NULL)
		return -ENOMEM;
	replay->index = index;
	replay->number = number;
	replay->sharers = count;
	replay->records_per_page = n;
	replay->skip_unreadable = skip_unreadable;
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

/* The first record of a page from number @i on that is to be looked at. */
static uint32_t next_record(const struct replay *replay, uint32_t page, uint32_t i)
{
	const uint32_t first = page * replay->records_per_page;

	return replay->additions == NULL
		       ? i
		       : additions_next_left(replay->additions, replay->vcn, first + i) - first;
}

static void take_page(struct replay *replay, uint32_t page)
{
	struct uds_index *index = replay->index;
	const uint8_t *records = page_at(replay, page);

	replay->page = page;
	replay->count = 0;
	replay->searches_count = 0;
	for (uint32_t i = next_record(replay, page, 0); i < replay->records_per_page;
	     i = next_record(replay, page, i + 1)) {
		struct uds_record_name *name = &replay->names[replay->count];

		memcpy(name, records + (size_t)i * UDS_RECORD_BYTES, sizeof(*name));
		if (replay->samples_only && !is_sample(&index->geometry, name))
			continue;
		volume_index_locate(index->volume_index, name, &replay->places[replay->count]);
		/*
		 * Another member of the crew enters this one: a list is changed by one thread only.
		 */
		if (replay->places[replay->count].zone % replay->sharers != replay->number)
			continue;
		replay->numbers[replay->count] = i;
		replay->question[replay->count++] = NOT_ASKED;
	}
}

/* Whether only chapter record->vcn can tell what this entry means for a record of @vcn. */
static bool is_question(const struct hint *record, uint64_t vcn)
{
	return record->found && !record->collision && !record->other && record->vcn != vcn;
}

/*
 * Asks all questions that records from @i on have at this moment. What is damaged, or may be passed
 * over, stays with its search; any other error is returned.
 */
static int ask(struct replay *replay, uint32_t i)
{
	struct uds_index *index = replay->index;
	struct uds_message message;
	int first;

	replay->searches_count = 0;
	for (; i < replay->count; i++) {
		struct volume_search *search = &replay->searches[replay->searches_count];
		struct hint record;

		replay->question[i] = NOT_ASKED;
		volume_index_peek(index->volume_index, &replay->places[i], &replay->names[i],
				  &record);
		if (!is_question(&record, replay->vcn))
			continue;
		search->vcn = record.vcn;
		search->knows_page = false;
		search->name = replay->names[i];
		replay->question[i] = replay->searches_count++;
	}
	/* What it returns is the first failure; here each search counts by itself. */
	first = volume_search_many(index->volume, replay->searches, replay->searches_count,
				   &message);
	for (uint32_t n = 0; n < replay->searches_count; n++) {
		int status = replay->searches[n].status;

		if (status == -ENOMEM ||
		    (status < 0 && status != UDS_ERR_CORRUPT && !replay->skip_unreadable)) {
			if (status == first)
				replay->message = message;
			return status;
		}
	}
	return 0;
}

const struct uds_message *replay_message(const struct replay *replay)
{
	return &replay->message;
}

/*
 * The answer for record @i, asking if need be. A damaged chapter, and one that cannot be read and
 * is to be passed over, is taken to have it: another name at the same place is one in a million,
 * and could not be read either; but a second entry for this name would come to light when the
 * chapter can be read again, and give an old answer.
 */
static int is_copy(struct replay *replay, uint32_t i, const struct hint *record, bool *ret_copy)
{
	const struct volume_search *search;
	int r = 0;

	/* A record before it on this page may have changed the entry since it was asked. */
	if (replay->question[i] == NOT_ASKED ||
	    replay->searches[replay->question[i]].vcn != record->vcn)
		r = ask(replay, i);
	if (r < 0)
		return r;
	search = &replay->searches[replay->question[i]];
	*ret_copy = search->status < 0 || search->found;
	return 0;
}

/*
 * Whether the name of record @i came before, in this chapter: if so, this is a copy of the fill
 * record. On its page the first of several is the one that a search finds.
 */
static bool came_before(const struct replay *replay, uint32_t i)
{
	uint32_t n = replay->records_per_page;
	struct uds_record_data data;

	if (replay->record_pages == NULL)
		return false;
	if (find_in_page(page_at(replay, replay->page), n, &replay->names[i]) != replay->numbers[i])
		return true;
	for (uint32_t page = 0; page < replay->page; page++) {
		if (record_page_search(page_at(replay, page), n, &replay->names[i], &data))
			return true;
	}
	return false;
}

/* The entry of a record among those that stayed when the save was loaded, or NULL. */
static struct shared_entry *find_shared(const struct replay *replay, uint32_t i,
					const struct hint *record)
{
	const struct name_place *place = &replay->places[i];
	const struct uds_index *index = replay->index;

	if (index->shared.count == 0 || replay->vcn != index->shared.vcn)
		return NULL;
	return shared_entries_find(&index->shared, place->sub,
				   volume_index_list_number(index->volume_index, place),
				   place->address, record->collision ? &replay->names[i] : NULL);
}

/*
 * Whether an entry that stayed is a record's, and no other record has it. An ordinary one is
 * anybody's: all names of its chapter can be found by it, and the next record of the address gets
 * an entry of its own.
 */
static bool confirm(const struct replay *replay, uint32_t i, const struct hint *record)
{
	struct shared_entry *entry = find_shared(replay, i, record);

	if (entry == NULL || entry->confirmed)
		return false;
	entry->confirmed = true;
	return true;
}

/* A record of the open chapter without an entry is none: as when a request finds no room for it. */
static void drop_open_record(struct replay *replay, uint32_t i)
{
	struct index_zone *zone = &replay->index->zones[replay->places[i].zone];

	open_zone_remove(zone->open, &replay->names[i]);
	zone->counters.overflows++;
}

/*
 * Enters record @i. The reference implementation takes every ordinary entry of this same chapter
 * for another name's, and so gives copies of the fill record a collision entry that they do not
 * need: when the name is deleted later, the other entry would bring it back. Not here.
 */
static int enter(struct replay *replay, uint32_t i)
{
	struct volume_index *vi = replay->index->volume_index;
	const struct uds_record_name *name = &replay->names[i];
	uint64_t vcn = replay->vcn;
	struct hint record;
	bool same;
	int r;

	volume_index_get(vi, &replay->places[i], name, &record);
	same = record.found && record.collision;
	if (is_question(&record, vcn)) {
		r = is_copy(replay, i, &record, &same);
		if (r < 0)
			return r;
	} else if (record.found && !record.other && record.vcn == vcn) {
		same = same || came_before(replay, i);
		same = confirm(replay, i, &record) || same;
	}
	if (same)
		r = record.vcn == vcn ? 0 : volume_index_set(vi, &record, vcn);
	else
		r = volume_index_put(vi, &record, name, vcn);
	if (r == UDS_ERR_OVERFLOW && replay->record_pages == NULL)
		drop_open_record(replay, i);
	/* Such a record is not found, and the rebuild goes on: the format does the same (16.2). */
	return r == UDS_ERR_OVERFLOW || r == UDS_ERR_DUPLICATE_NAME ? 0 : r;
}

static int enter_all(struct replay *replay)
{
	const struct volume_index *vi = replay->index->volume_index;
	int r = 0;

	for (uint32_t i = 0; i < replay->count && i < AHEAD; i++)
		volume_index_prefetch(vi, &replay->places[i], HINT_CHANGE);
	for (uint32_t i = 0; r == 0 && i < replay->count; i++) {
		if (i + AHEAD < replay->count)
			volume_index_prefetch(vi, &replay->places[i + AHEAD], HINT_CHANGE);
		r = enter(replay, i);
	}
	return r < 0 ? r : volume_index_names_status(vi);
}

static void set_windows(struct replay *replay, uint64_t vcn, uint64_t low_of)
{
	struct volume_index *vi = replay->index->volume_index;

	for (unsigned int part = replay->number; part < volume_index_parts(vi);
	     part += replay->sharers)
		volume_index_set_part_window(vi, part, low_of, vcn);
}

int replay_chapter(struct replay *replay, uint64_t vcn, uint64_t low_of,
		   const uint8_t *record_pages, const struct additions *additions)
{
	struct uds_index *index = replay->index;
	int r = 0;

	set_windows(replay, vcn, low_of);
	replay->vcn = vcn;
	replay->samples_only =
		geometry_is_chapter_sparse(&index->geometry, index->oldest, index->newest, vcn);
	replay->record_pages = record_pages;
	replay->additions = additions;
	for (uint32_t p = 0; r == 0 && p < index->geometry.record_pages_per_chapter; p++) {
		take_page(replay, p);
		r = enter_all(replay);
	}
	return r;
}

/*
 * Any entry of the chapter at the place of a name counts as its own: entries have no
 * more of a name. Those that share their address stay.
 */
static void undo_page(struct replay *replay)
{
	struct volume_index *vi = replay->index->volume_index;

	for (uint32_t i = 0; i < replay->count; i++) {
		struct hint record;

		volume_index_get(vi, &replay->places[i], &replay->names[i], &record);
		if (!record.found || record.vcn != replay->vcn)
			continue;
		if (find_shared(replay, i, &record) != NULL)
			(void)confirm(replay, i, &record);
		else
			volume_index_undo(vi, &record);
	}
}

uint64_t replay_undo_chapter(struct replay *replay, uint64_t vcn, uint64_t low_of,
			     const uint8_t *record_pages)
{
	struct uds_index *index = replay->index;
	uint64_t left = 0;

	set_windows(replay, vcn, low_of);
	replay->vcn = vcn;
	/* Also of a chapter that is sparse by now: it was the open one when the save was made. */
	replay->samples_only = false;
	replay->record_pages = record_pages;
	replay->additions = NULL;
	for (uint32_t p = 0; p < index->geometry.record_pages_per_chapter; p++) {
		take_page(replay, p);
		undo_page(replay);
	}
	for (unsigned int part = replay->number; part < volume_index_parts(index->volume_index);
	     part += replay->sharers)
		left += volume_index_count_chapter(index->volume_index, part, vcn);
	return left;
}

/* Takes live records of a zone from number @n on. Returns the number behind the last one. */
static uint32_t take_open_records(struct replay *replay, const struct open_zone *zone, uint32_t n)
{
	replay->count = 0;
	replay->searches_count = 0;
	for (; n <= zone->size && replay->count < replay->records_per_page; n++) {
		const struct uds_record_name *name = &zone->records[n - 1].name;

		if (open_zone_is_removed(zone, n))
			continue;
		replay->names[replay->count] = *name;
		volume_index_locate(replay->index->volume_index, name,
				    &replay->places[replay->count]);
		replay->question[replay->count++] = NOT_ASKED;
	}
	return n;
}

int replay_open_chapter(struct replay *replay)
{
	struct uds_index *index = replay->index;
	int r = 0;

	replay->vcn = index->newest;
	replay->samples_only = false;
	replay->record_pages = NULL;
	for (unsigned int z = 0; r == 0 && z < index->zone_count; z++) {
		for (uint32_t n = 1; r == 0 && n <= index->zones[z].open->size;) {
			n = take_open_records(replay, index->zones[z].open, n);
			r = enter_all(replay);
		}
	}
	return r;
}
