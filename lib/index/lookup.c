/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a name is (uds-format, 17.1). Nothing here reads: what a lookup lacks of the volume becomes
 * a want, whose answer is there when the lookup is made again.
 */
#include "index/lookup.h"

#include "geometry/name_bits.h"

static bool search_memory(const struct batch *batch, uint64_t vcn,
			  const struct uds_record_name *name, struct uds_record_data *ret_data)
{
	const struct index_zone *zone = batch->zone;
	const struct uds_record_data *data;

	data = open_zone_search(vcn == batch->index->newest ? zone->open : zone->closing, name);
	if (data != NULL)
		*ret_data = *data;
	return data != NULL;
}

/* What a lookup lacks. The record page may be known from the sparse cache already. */
struct want {
	struct page_answer *answer;
	uint64_t vcn;
	bool knows_page;
	uint32_t record_page;
};

/* Uses the answer of a chapter if there is one; else wants it. */
static int ask_chapter(struct page_answer *answer, uint64_t vcn, struct located_record *record,
		       struct want *ret_want)
{
	/* Also an answer about another chapter: the entry has changed while the pages were read. */
	if (answer->vcn != vcn) {
		*ret_want = (struct want){ .answer = answer, .vcn = vcn };
		return STEP_WANTS_PAGES;
	}
	/* The answer of a chapter that could not be read: this lookup's failure, and no other's. */
	if (answer->status < 0)
		return answer->status;
	record->found = answer->found;
	if (answer->found)
		record->data = answer->data;
	return 0;
}

static int ask_record_page(struct page_answer *answer, uint64_t vcn, uint32_t record_page,
			   struct located_record *record, struct want *ret_want)
{
	int r = ask_chapter(answer, vcn, record, ret_want);

	if (r == STEP_WANTS_PAGES) {
		ret_want->knows_page = true;
		ret_want->record_page = record_page;
	}
	return r;
}

/* Whether old chapters are asked when the volume index did not lead to the record. */
static bool asks_old_chapters(const struct uds_index *index, const struct operation *operation,
			      const struct hint *hint)
{
	/*
	 * A collision entry has the whole name: the record is in its chapter or lost, and in no
	 * other (17.1, step 2).
	 */
	return index->sparse && operation->kind->needs_record &&
	       !(hint->found && hint->collision) &&
	       !is_sample(&index->geometry, &operation->request->name);
}

/*
 * The newest chapters where they are sparse already (index_is_recent()), latest first: a chapter
 * that is closed a moment ago is in memory, so it does not matter how far its writing is; for the
 * others there are copies, unless no other thread could get them yet.
 */
static int look_into_recent(struct batch *batch, struct operation *operation,
			    struct located_record *record, struct want *ret_want)
{
	const struct uds_index *index = batch->index;
	const struct uds_record_name *name = &operation->request->name;
	uint32_t record_page;
	int r = 0;

	for (unsigned int back = 1; r == 0 && !record->found && back <= RECENT_CHAPTERS; back++) {
		uint64_t vcn = index->newest - back;

		if (!index_is_recent(index, vcn))
			continue;
		if (batch_has_in_memory(batch, vcn))
			record->found = search_memory(batch, vcn, name, &record->data);
		else if (sparse_cache_search_recent(index->cache, vcn, name, &record_page))
			r = ask_record_page(&operation->recent[back - 1], vcn, record_page, record,
					    ret_want);
	}
	return r;
}

/*
 * The part of the lookup that a sparse index adds: names of old chapters that the volume index does
 * not know may be in a chapter that is in memory, or in a chapter index of the cache.
 *
 * @ret_hit: what the cache found; it does not matter if it was a false hit.
 */
static int look_into_old(struct batch *batch, struct operation *operation,
			 struct located_record *record, struct cache_hit *ret_hit,
			 struct want *ret_want)
{
	struct uds_index *index = batch->index;
	int r;

	sparse_cache_find(index->cache, batch->zone->number, &operation->request->name,
			  index->oldest, ret_hit);
	r = look_into_recent(batch, operation, record, ret_want);
	/*
	 * What the memory does not have of a chapter that is in memory, the chapter does not have.
	 */
	if (r == 0 && !record->found && ret_hit->found && !batch_has_in_memory(batch, ret_hit->vcn))
		r = ask_record_page(&operation->cached, ret_hit->vcn, ret_hit->record_page, record,
				    ret_want);
	record->only_cached = record->found;
	record->location = UDS_LOCATION_SPARSE;
	return r;
}

/* Looks into the chapter that the volume index names. */
static int look_into_named(struct batch *batch, struct operation *operation,
			   struct located_record *record, struct want *ret_want)
{
	struct uds_index *index = batch->index;
	const struct uds_record_name *name = &operation->request->name;
	uint64_t vcn = record->hint.vcn;
	uint32_t record_page;
	bool has_name;

	record->location = index_location(index, vcn);
	/*
	 * A collision entry has the whole name: nothing has to be read to know that it is this
	 * one's.
	 */
	if (!operation->kind->needs_record && record->hint.collision)
		return 0;
	if (batch_has_in_memory(batch, vcn)) {
		record->found = search_memory(batch, vcn, name, &record->data);
		return 0;
	}
	/* A cached chapter index tells the record page, which saves the read of an index page. */
	if (record->location != UDS_LOCATION_SPARSE ||
	    !sparse_cache_search_chapter(index->cache, vcn, name, &has_name, &record_page))
		return ask_chapter(&operation->hint, vcn, record, ret_want);
	return has_name ? ask_record_page(&operation->hint, vcn, record_page, record, ret_want) : 0;
}

/*
 * The whole lookup, once the volume index was asked. Changes nothing but @record, so the same
 * function tells a lookup's result and what it wants from the volume: the two can never disagree.
 *
 * @ret_asked_cache: whether @ret_hit was set.
 *
 * Returns 0, STEP_WANTS_PAGES and the want, or an error.
 */
static int find_record(struct batch *batch, struct operation *operation,
		       struct located_record *record, bool *ret_asked_cache,
		       struct cache_hit *ret_hit, struct want *ret_want)
{
	int r = 0;

	record->found = false;
	record->only_cached = false;
	*ret_asked_cache = false;
	if (record->hint.found)
		r = look_into_named(batch, operation, record, ret_want);
	if (r != 0 || record->found || !asks_old_chapters(batch->index, operation, &record->hint))
		return r;
	*ret_asked_cache = true;
	return look_into_old(batch, operation, record, ret_hit, ret_want);
}

int lookup_name(struct batch *batch, struct operation *operation, struct located_record *ret_record)
{
	struct uds_index *index = batch->index;
	struct want want;
	struct cache_hit hit;
	bool asked_cache;
	int r;

	volume_index_get(index->volume_index, &operation->place, &operation->request->name,
			 &ret_record->hint);
	r = find_record(batch, operation, ret_record, &asked_cache, &hit, &want);
	/* The use of the cache counts once: not when the lookup is made again with the pages. */
	if (r == 0 && asked_cache)
		sparse_cache_note(index->cache, batch->zone->number, index->oldest, &hit);
	return r;
}

bool lookup_wants_search(struct batch *batch, struct operation *operation,
			 struct volume_search *ret_search, struct page_answer **ret_answer)
{
	struct uds_index *index = batch->index;
	const struct uds_record_name *name = &operation->request->name;
	struct located_record record;
	struct cache_hit hit;
	struct want want;
	bool asked_cache;

	volume_index_peek(index->volume_index, &operation->place, name, &record.hint);
	if (find_record(batch, operation, &record, &asked_cache, &hit, &want) != STEP_WANTS_PAGES)
		return false;
	ret_search->vcn = want.vcn;
	ret_search->name = *name;
	ret_search->knows_page = want.knows_page;
	ret_search->record_page = want.record_page;
	*ret_answer = want.answer;
	return true;
}
