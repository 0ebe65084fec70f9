/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps 3 and 4 of a move: reconciling the targets, and copying names to them. */
#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "shards/move.h"

/* So many names are looked at while requests for names that move wait. */
#define STEP 64u

/* Records of one chapter that are of interest, and room for the requests of a step. */
struct mover {
	struct uds_shards *shards;
	uds_progress_fn progress;
	void *context;
	uint64_t done, total; /* chapters */

	unsigned int number; /* of the shard that is walked */
	bool copies;	     /* out of it; false: reconciles what is in it */
	int (*step)(struct mover *mover, const struct uds_record *records, size_t count);

	struct uds_record *records;
	size_t count, room;
	struct uds_request at_home[STEP], at_target[STEP];
};

/* ---- a step ---- */

static int ask(struct mover *mover, const struct uds_record *records, size_t count)
{
	struct uds_shards *shards = mover->shards;
	int r;

	memset(mover->at_home, 0, count * sizeof(mover->at_home[0]));
	for (size_t i = 0; i < count; i++) {
		mover->at_home[i].name = records[i].name;
		mover->at_home[i].kind = UDS_PEEK;
	}
	memcpy(mover->at_target, mover->at_home, count * sizeof(mover->at_home[0]));
	r = shards_run_at(shards, shards->home, mover->at_home, count);
	return r < 0 ? r : shards_run_at(shards, shards->target, mover->at_target, count);
}

static bool is_same(const struct uds_request *a, const struct uds_request *b)
{
	return a->found && b->found && memcmp(&a->old_data, &b->old_data, sizeof(a->old_data)) == 0;
}

/* Deletes in the target what is not the same at home. */
static int reconcile(struct mover *mover, const struct uds_record *records, size_t count)
{
	size_t wrong = 0;
	int r = ask(mover, records, count);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		struct uds_request *request = &mover->at_target[wrong];

		if (is_same(&mover->at_home[i], &mover->at_target[i]))
			continue;
		memset(request, 0, sizeof(*request));
		request->name = records[i].name;
		request->kind = UDS_DELETE;
		wrong++;
	}
	return wrong == 0 ? 0
			  : shards_run_at(mover->shards, mover->shards->target, mover->at_target,
					  wrong);
}

/* Stores in the target what the home has. */
static int copy(struct mover *mover, const struct uds_record *records, size_t count)
{
	bool sparse = mover->shards->manifest.geometry.sparse_chapters_per_volume > 0;
	size_t lacking = 0;
	int r = ask(mover, records, count);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		struct uds_request home = mover->at_home[i];
		struct uds_request *request = &mover->at_target[lacking];

		/* A sparse index has old names that a peek does not find: the chapter has them. */
		if (!home.found && sparse) {
			home.found = true;
			home.old_data = records[i].data;
		}
		if (!home.found || is_same(&home, &mover->at_target[i]))
			continue;
		memset(request, 0, sizeof(*request));
		request->name = home.name;
		request->new_data = home.old_data;
		request->kind = UDS_UPDATE;
		lacking++;
	}
	return lacking == 0 ? 0
			    : shards_run_at(mover->shards, mover->shards->target, mover->at_target,
					    lacking);
}

/* ---- walking ---- */

static int collect(void *context, const struct uds_record_name *name,
		   const struct uds_record_data *data)
{
	struct mover *mover = context;
	const struct uds_shards *shards = mover->shards;
	uint32_t slot = slot_of(name);
	uint8_t here = mover->copies ? shards->home[slot] : shards->target[slot];

	if (here != mover->number || shards->home[slot] == shards->target[slot])
		return 0;
	/* There is room for a whole chapter, so this cannot be. */
	if (mover->count == mover->room)
		return 1;
	mover->records[mover->count].name = *name;
	mover->records[mover->count].data = *data;
	mover->count++;
	return 0;
}

static int report(struct mover *mover)
{
	/* Chapters that were closed meanwhile are walked, too. */
	if (mover->total < mover->done)
		mover->total = mover->done;
	if (mover->progress != NULL &&
	    mover->progress(mover->context, mover->done, mover->total) != 0)
		return UDS_ERR_STOPPED;
	return 0;
}

/* A few names at a time: requests for names that move get their turn in between. */
static int do_records(struct mover *mover)
{
	struct uds_shards *shards = mover->shards;
	int r = 0;

	for (size_t i = 0; r == 0 && i < mover->count; i += STEP) {
		size_t count = mover->count - i < STEP ? mover->count - i : STEP;

		pthread_mutex_lock(&shards->told);
		r = shards->telling ? mover->step(mover, mover->records + i, count)
				    : shards->told_status;
		pthread_mutex_unlock(&shards->told);
		if (r == 0)
			r = report(mover);
	}
	return r;
}

static int index_failed(const struct mover *mover, int status)
{
	const struct uds_shards *shards = mover->shards;
	struct uds_message said;

	uds_index_error_message(shards->shards[mover->number]->index, &said);
	return failures_say(shards->failures, status, "%.100s: shard %u (%.80s): %.300s",
			    shards->name, mover->number + 1, shards->manifest.uris[mover->number],
			    said.text);
}

/* Chapters of a shard, the open one included. */
static uint64_t chapters_of(const struct shard *shard, uint64_t *ret_open)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;

	/* Fails for a wrong size only. */
	(void)uds_index_get_statistics(shard->index, &s);
	*ret_open = s.open_chapter;
	return s.open_chapter - s.oldest_chapter + 1;
}

static int walk_shard(struct mover *mover)
{
	struct uds_index *index = mover->shards->shards[mover->number]->index;
	uint64_t chapter = 0, open;
	uint64_t done = mover->done + chapters_of(mover->shards->shards[mover->number], &open);
	int r = 0;

	while (r == 0 && chapter <= open) {
		mover->count = 0;
		r = uds_index_for_each_in_chapter(index, chapter, collect, mover, &chapter);
		if (r < 0)
			return index_failed(mover, r);
		r = do_records(mover);
		if (r == 0 && mover->done < done)
			mover->done++;
		if (r == 0)
			r = report(mover);
	}
	mover->done = done;
	return r;
}

/* Whether any slot moves out of the shard, or into it. */
static bool takes_part(const struct uds_shards *shards, unsigned int number, bool out)
{
	for (uint32_t slot = 0; slot < UDS_SHARDS_SLOTS; slot++) {
		if (shards->home[slot] != shards->target[slot] &&
		    (out ? shards->home : shards->target)[slot] == number)
			return true;
	}
	return false;
}

static int walk_all(struct mover *mover, bool copies)
{
	const struct uds_shards *shards = mover->shards;
	int r = 0;

	mover->copies = copies;
	mover->step = copies ? copy : reconcile;
	for (unsigned int i = 0; r == 0 && i < shards->manifest.count; i++) {
		mover->number = i;
		if (takes_part(shards, i, copies))
			r = walk_shard(mover);
	}
	return r;
}

static void count_chapters(struct mover *mover)
{
	const struct uds_shards *shards = mover->shards;
	uint64_t open;

	for (unsigned int i = 0; i < shards->manifest.count; i++) {
		uint64_t chapters = chapters_of(shards->shards[i], &open);

		mover->total += takes_part(shards, i, false) ? chapters : 0;
		mover->total += takes_part(shards, i, true) ? chapters : 0;
	}
}

/* Under mover's lock alone; told is taken for each step. */
int move_names(struct uds_shards *shards, uds_progress_fn progress, void *context)
{
	struct uds_geometry geometry = UDS_GEOMETRY_INIT;
	struct mover *mover;
	int r = uds_geometry_compute(&shards->manifest.geometry, NULL, &geometry);

	if (r < 0)
		return r;
	mover = env_allocate_zeroed(&shards->env, 1, sizeof(*mover));
	if (mover == NULL)
		return -ENOMEM;
	mover->shards = shards;
	mover->progress = progress;
	mover->context = context;
	mover->room = geometry.records_per_chapter;
	mover->records = env_allocate(&shards->env, mover->room, sizeof(*mover->records));
	if (mover->records == NULL) {
		env_release(&shards->env, mover);
		return -ENOMEM;
	}
	count_chapters(mover);
	r = walk_all(mover, false);
	if (r == 0)
		r = walk_all(mover, true);
	env_release(&shards->env, mover->records);
	env_release(&shards->env, mover);
	return r;
}
