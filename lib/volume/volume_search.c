/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookups that wait. Where reads are quick, one after the other is best; when many names lead to
 * one chapter, its pages are read whole and cached, and searched for all names together. Where they
 * take the time of a device, all index pages of up to BATCH_LOOKUPS names are read together, then
 * all record pages. So what is in memory is fetched into the processor's cache.
 */
#include "volume/volume_search.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "volume/lookup.h"
#include "volume/page_keeping.h"
#include "volume/volume_private.h"

#define BATCH_LOOKUPS 64u

static int give(const struct volume_lookup *lookup, bool *ret_found,
		struct uds_record_data *ret_data)
{
	if (lookup->status < 0)
		return lookup->status;
	*ret_found = lookup->found;
	if (lookup->found)
		*ret_data = lookup->data;
	return 0;
}

int volume_search_chapter(struct volume *volume, uint64_t vcn, const struct uds_record_name *name,
			  bool *ret_found, struct uds_record_data *ret_data,
			  struct uds_message *ret_message)
{
	struct volume_lookup lookup;

	volume_lookup_start(&lookup, vcn, name, ret_message);
	volume_lookup_run(volume, &lookup);
	return give(&lookup, ret_found, ret_data);
}

static void start(struct volume_lookup *lookup, const struct volume_search *search,
		  struct uds_message *message)
{
	if (search->knows_page)
		volume_lookup_start_in_page(lookup, search->vcn, search->record_page, &search->name,
					    message);
	else
		volume_lookup_start(lookup, search->vcn, &search->name, message);
}

static void finish(const struct volume_lookup *lookup, struct volume_search *search)
{
	/* Set before the status is known: a search that failed has found nothing. */
	search->found = false;
	search->status = give(lookup, &search->found, &search->data);
}

static int search_one(struct volume *volume, struct volume_search *search, bool keep_pages,
		      struct uds_message *ret_message)
{
	struct volume_lookup lookup;

	start(&lookup, search, ret_message);
	if (keep_pages)
		volume_lookup_keep_pages(&lookup);
	volume_lookup_run(volume, &lookup);
	finish(&lookup, search);
	return search->status;
}

/* How many lookups ahead the processor fetches what they need. */
#define FETCH_AHEAD	 8u
#define FETCH_HEAD_AHEAD 4u

/* Of the chapter that is searched now, the processor has it already. */
static void prefetch(const struct volume *volume, const struct volume_search *searches,
		     size_t count, size_t i)
{
	const uint64_t now = searches[i].vcn;

	if (i + FETCH_AHEAD < count && searches[i + FETCH_AHEAD].vcn != now)
		volume_lookup_prefetch(volume, searches[i + FETCH_AHEAD].vcn,
				       &searches[i + FETCH_AHEAD].name);
	if (i + FETCH_HEAD_AHEAD < count && searches[i + FETCH_HEAD_AHEAD].vcn != now)
		volume_lookup_prefetch_head(volume, searches[i + FETCH_HEAD_AHEAD].vcn,
					    &searches[i + FETCH_HEAD_AHEAD].name);
}

/* The first ones have none ahead of them that fetch for them. */
static void prefetch_first(const struct volume *volume, const struct volume_search *searches,
			   size_t count)
{
	for (size_t i = 0; i < count && i < FETCH_AHEAD; i++)
		volume_lookup_prefetch(volume, searches[i].vcn, &searches[i].name);
}

/*
 * How many searches go to a chapter, or to one that has the same place. So many are worth more than
 * a page read in parts: a stream that repeats what was stored at one time leads all of its names to
 * one chapter.
 */
#define BATCH_PLACES 64u
#define CROWD	     32u
#define FEW	     4u /* where each read takes the time of a device */

struct crowds {
	uint32_t counts[BATCH_PLACES];
	uint32_t least; /* so many are a crowd */
	bool any;	/* there is one */
};

static void count_crowds(const struct volume_search *searches, size_t count, uint32_t least,
			 struct crowds *crowds)
{
	memset(crowds, 0, sizeof(*crowds));
	crowds->least = least;
	for (size_t i = 0; i < count; i++)
		crowds->any |= ++crowds->counts[searches[i].vcn % BATCH_PLACES] >= least;
}

static bool is_crowded(const struct crowds *crowds, uint64_t vcn)
{
	return crowds->counts[vcn % BATCH_PLACES] >= crowds->least;
}

/* Up to BATCH_LOOKUPS lookups that are under way together. */
struct lookup_batch {
	struct volume_lookup lookups[BATCH_LOOKUPS];
	struct uds_message messages[BATCH_LOOKUPS];
	struct volume_lookup *waiting[BATCH_LOOKUPS];
	struct page_request *requests[BATCH_LOOKUPS];
};

/*
 * Takes the next step; and where reads are quick further ones, as long as each wants a read: only
 * what is in memory is fetched for all lookups together. Returns false at the end.
 */
static bool step_to_wait(struct volume *volume, struct volume_lookup *lookup)
{
	while (volume_lookup_step(volume, lookup) == VOLUME_WANTS_PAGE) {
		if (lookup->request.mapped != NULL || page_reader_is_slow(&volume->reader))
			return true;
		page_reader_read(&volume->reader, &lookup->request);
	}
	return false;
}

/*
 * Steps those that wait and keeps those that wait again. Returns how many.
 *
 * @searches: of all lookups at the first step, which has nothing in the processor's cache yet; NULL
 *     afterwards.
 */
static size_t step_all(struct volume *volume, struct lookup_batch *batch,
		       const struct volume_search *searches, size_t waiting)
{
	size_t again = 0;

	for (size_t i = 0; i < waiting; i++) {
		struct volume_lookup *lookup = batch->waiting[i];

		if (searches != NULL)
			prefetch(volume, searches, waiting, i);
		if (!step_to_wait(volume, lookup))
			continue;
		batch->waiting[again] = lookup;
		batch->requests[again++] = &lookup->request;
	}
	return again;
}

/*
 * @crowds: among these searches and others.
 *
 * Returns the first error, with its sentence, or 0.
 */
static int search_batch(struct volume *volume, struct lookup_batch *batch,
			struct volume_search *searches, size_t count, const struct crowds *crowds,
			struct uds_message *ret_message)
{
	size_t waiting = count;
	struct crowds own;
	int first = 0;

	/* Each page is read once for all of them, with room to keep it or without. */
	if (page_reader_is_slow(&volume->reader) && volume->reader.io->map == NULL) {
		count_crowds(searches, count, FEW, &own);
		crowds = &own;
	}
	prefetch_first(volume, searches, count);
	for (size_t i = 0; i < count; i++) {
		start(&batch->lookups[i], &searches[i], &batch->messages[i]);
		if (is_crowded(crowds, searches[i].vcn))
			volume_lookup_keep_pages(&batch->lookups[i]);
		batch->waiting[i] = &batch->lookups[i];
	}
	/* Each round makes one read for every lookup that still waits, all of them together. */
	waiting = step_all(volume, batch, searches, waiting);
	while (waiting > 0) {
		volume_read_pages(volume, batch->requests, waiting);
		waiting = step_all(volume, batch, NULL, waiting);
	}
	for (size_t i = 0; i < count; i++) {
		finish(&batch->lookups[i], &searches[i]);
		/* The others keep their own status; the caller gets the first sentence. */
		if (searches[i].status == 0 || first < 0)
			continue;
		first = searches[i].status;
		if (ret_message != NULL)
			*ret_message = batch->messages[i];
	}
	return first;
}

static int search_together(struct volume *volume, struct lookup_batch *batch,
			   struct volume_search *searches, size_t count,
			   const struct crowds *crowds, struct uds_message *ret_message)
{
	struct uds_message message;
	int r, first = 0;

	for (size_t i = 0, n; i < count; i += n) {
		n = count - i < BATCH_LOOKUPS ? count - i : BATCH_LOOKUPS;
		/*
		 * A failed batch does not end the work: the searches of the next ones have nothing
		 * to do with it.
		 */
		r = search_batch(volume, batch, searches + i, n, crowds, &message);
		if (r == 0 || first < 0)
			continue;
		first = r;
		if (ret_message != NULL)
			*ret_message = message;
	}
	return first;
}

int volume_search_many(struct volume *volume, struct volume_search *searches, size_t count,
		       struct uds_message *ret_message)
{
	struct lookup_batch *batch = NULL;
	struct uds_message message;
	struct crowds crowds;
	int r, first = 0;

	count_crowds(searches, count, page_reader_can_keep(&volume->reader) ? CROWD : UINT32_MAX,
		     &crowds);
	if (count > 1 && (crowds.any || page_reader_prefers_many(&volume->reader)))
		batch = env_allocate(&volume->env, 1, sizeof(*batch));
	if (batch != NULL) {
		r = search_together(volume, batch, searches, count, &crowds, ret_message);
		env_release(&volume->env, batch);
		return r;
	}
	/* Without memory for a batch, too. */
	prefetch_first(volume, searches, count);
	for (size_t i = 0; i < count; i++) {
		prefetch(volume, searches, count, i);
		r = search_one(volume, &searches[i], is_crowded(&crowds, searches[i].vcn),
			       &message);
		if (r == 0 || first < 0)
			continue;
		first = r;
		if (ret_message != NULL)
			*ret_message = message;
	}
	return first;
}
