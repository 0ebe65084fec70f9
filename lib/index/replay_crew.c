/* SPDX-License-Identifier: BSD-2-Clause */
/* Chapters on their way through the members of a crew. */
#include "index/replay_crew.h"

#include <errno.h>

#include "index/replay.h"

struct chapter_work;

/* What one member does with a chapter. */
struct share {
	struct crew_job job;
	struct chapter_work *work;
	unsigned int member;
	int status;
	bool damaged; /* there is damage among the pages that this member looked at */
	bool gone;    /* after an undo */
};

struct chapter_work {
	struct replay_crew *crew;
	bool given; /* and not finished yet */
	bool undo;
	uint64_t vcn;
	uint64_t low_of;
	uint32_t slot;
	const uint8_t *pages;
	const struct additions *additions;
	struct share shares[CREW_MOST];
};

struct replay_crew {
	struct uds_index *index;
	unsigned int members;
	unsigned int turn;
	struct replay *replays[CREW_MOST];
	struct chapter_work works[REPLAY_HELD];
};

/* Each member looks at as many pages. */
static bool is_damaged(const struct chapter_work *work, unsigned int member)
{
	const struct uds_index *index = work->crew->index;
	const struct geometry *geometry = &index->geometry;
	const uint32_t pages = geometry->record_pages_per_chapter;
	const uint32_t first = (uint32_t)((uint64_t)pages * member / work->crew->members);
	const uint32_t end = (uint32_t)((uint64_t)pages * (member + 1) / work->crew->members);

	return end > first &&
	       volume_has_damage(index->volume, work->slot, work->vcn,
				 geometry->index_pages_per_chapter + first, end - first,
				 work->pages + (size_t)first * geometry->page_bytes);
}

static void do_share(struct crew_job *job)
{
	struct share *share = (struct share *)job;
	const struct chapter_work *work = share->work;
	struct replay *replay = work->crew->replays[share->member];

	if (work->undo) {
		share->gone = replay_undo_chapter(replay, work->vcn, work->low_of, work->pages);
		return;
	}
	share->damaged = is_damaged(work, share->member);
	share->status =
		replay_chapter(replay, work->vcn, work->low_of, work->pages, work->additions);
}

int replay_crew_make(struct uds_index *index, bool skip_unreadable, struct replay_crew **ret_crew)
{
	struct replay_crew *crew = env_allocate_zeroed(&index->env, 1, sizeof(*crew));
	int r = 0;

	if (crew == NULL)
		return -ENOMEM;
	crew->index = index;
	crew->members = crew_members(index->crew);
	for (unsigned int i = 0; r == 0 && i < crew->members; i++)
		r = replay_make(index, skip_unreadable, i, crew->members, &crew->replays[i]);
	if (r < 0) {
		replay_crew_free(crew);
		return r;
	}
	for (unsigned int n = 0; n < REPLAY_HELD; n++) {
		crew->works[n].crew = crew;
		for (unsigned int i = 0; i < crew->members; i++) {
			struct share *share = &crew->works[n].shares[i];

			share->job.run = do_share;
			share->work = &crew->works[n];
			share->member = i;
		}
	}
	*ret_crew = crew;
	return 0;
}

void replay_crew_free(struct replay_crew *crew)
{
	if (crew == NULL)
		return;
	for (unsigned int i = 0; i < crew->members; i++)
		replay_free(crew->replays[i]);
	env_release(&crew->index->env, crew);
}

/* Waits for a chapter, if one is worked on. */
static int finish(struct replay_crew *crew, struct chapter_work *work)
{
	struct uds_index *index = crew->index;
	bool damaged = false;
	int r = 0;

	if (!work->given)
		return 0;
	for (unsigned int i = 0; i < crew->members; i++) {
		struct share *share = &work->shares[i];

		crew_wait(index->crew, &share->job);
		damaged = damaged || share->damaged;
		r = r < 0 ? r : share->status;
	}
	work->given = false;
	if (r < 0 || !damaged)
		return r;
	/* Here, so that one thread logs, chapter after chapter. */
	return volume_log_damage(index->volume, work->slot, work->vcn,
				 index->geometry.index_pages_per_chapter,
				 index->geometry.record_pages_per_chapter, work->pages);
}

static void give(struct replay_crew *crew, struct chapter_work *work)
{
	work->given = true;
	for (unsigned int i = 0; i < crew->members; i++)
		crew_give(crew->index->crew, i, &work->shares[i].job);
}

int replay_crew_make_room(struct replay_crew *crew)
{
	return finish(crew, &crew->works[crew->turn]);
}

void replay_crew_give(struct replay_crew *crew, uint64_t vcn, uint64_t low_of, uint32_t slot,
		      const uint8_t *record_pages, const struct additions *additions)
{
	struct chapter_work *work = &crew->works[crew->turn];

	work->vcn = vcn;
	work->low_of = low_of;
	work->slot = slot;
	work->pages = record_pages;
	work->additions = additions;
	work->undo = false;
	crew->turn = (crew->turn + 1) % REPLAY_HELD;
	give(crew, work);
}

int replay_crew_wait(struct replay_crew *crew)
{
	int r = 0;

	for (unsigned int n = 0; n < REPLAY_HELD; n++) {
		/* Oldest first. */
		int last = finish(crew, &crew->works[(crew->turn + n) % REPLAY_HELD]);

		r = r < 0 ? r : last;
	}
	return r;
}

bool replay_crew_undo(struct replay_crew *crew, uint64_t vcn, uint64_t low_of,
		      const uint8_t *record_pages)
{
	struct chapter_work *work = &crew->works[crew->turn];
	bool gone = true;

	work->vcn = vcn;
	work->low_of = low_of;
	work->pages = record_pages;
	work->undo = true;
	give(crew, work);
	for (unsigned int i = 0; i < crew->members; i++) {
		crew_wait(crew->index->crew, &work->shares[i].job);
		gone = gone && work->shares[i].gone;
	}
	work->given = false;
	return gone;
}
