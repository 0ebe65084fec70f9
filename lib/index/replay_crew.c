/* SPDX-License-Identifier: BSD-2-Clause */
/* Chapters on their way through the members of a crew. */
#include "index/replay_crew.h"

#include <errno.h>

#include "index/replay.h"

struct held_chapter;

/* What one member does with a chapter. */
struct replay_job {
	struct crew_job job;
	struct held_chapter *held;
	unsigned int member;
	int status;
	bool damaged;  /* there is damage among the pages that this member looked at */
	uint64_t left; /* after an undo */
};

struct held_chapter {
	struct replay_crew *crew;
	bool is_given; /* and not finished yet */
	bool undo;
	struct given_chapter chapter;
	struct replay_job jobs[CREW_MOST];
};

struct replay_crew {
	struct uds_index *index;
	unsigned int members;
	unsigned int turn;
	struct replay *replays[CREW_MOST];
	struct held_chapter held[REPLAY_HELD];
};

/* Each member looks at as many pages. */
static bool is_damaged(const struct held_chapter *held, unsigned int member)
{
	const struct given_chapter *chapter = &held->chapter;
	const struct uds_index *index = held->crew->index;
	const struct geometry *geometry = &index->geometry;
	const uint32_t pages = geometry->record_pages_per_chapter;
	const uint32_t first = (uint32_t)((uint64_t)pages * member / held->crew->members);
	const uint32_t end = (uint32_t)((uint64_t)pages * (member + 1) / held->crew->members);

	return !chapter->is_checked && end > first &&
	       volume_has_damage(index->volume, chapter->slot, chapter->vcn,
				 geometry->index_pages_per_chapter + first, end - first,
				 chapter->record_pages + (size_t)first * geometry->page_bytes);
}

static void run_job(struct crew_job *job)
{
	struct replay_job *own = (struct replay_job *)job;
	const struct held_chapter *held = own->held;
	const struct given_chapter *chapter = &held->chapter;
	struct replay *replay = held->crew->replays[own->member];

	if (held->undo) {
		own->left = replay_undo_chapter(replay, chapter->vcn, chapter->low_of,
						chapter->record_pages);
		return;
	}
	own->damaged = is_damaged(held, own->member);
	own->status = replay_chapter(replay, chapter->vcn, chapter->low_of, chapter->record_pages,
				     chapter->additions);
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
		crew->held[n].crew = crew;
		for (unsigned int i = 0; i < crew->members; i++) {
			struct replay_job *own = &crew->held[n].jobs[i];

			own->job.run = run_job;
			own->held = &crew->held[n];
			own->member = i;
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

/* Waits for a chapter, if one was given. */
static int finish(struct replay_crew *crew, struct held_chapter *held)
{
	const struct given_chapter *chapter = &held->chapter;
	struct uds_index *index = crew->index;
	bool damaged = false;
	int r = 0;

	if (!held->is_given)
		return 0;
	for (unsigned int i = 0; i < crew->members; i++) {
		struct replay_job *own = &held->jobs[i];

		crew_wait(index->crew, &own->job);
		damaged = damaged || own->damaged;
		r = r < 0 ? r : own->status;
	}
	held->is_given = false;
	if (r < 0 || !damaged)
		return r;
	/* Here, so that one thread logs, chapter after chapter. */
	return volume_log_damage(index->volume, chapter->slot, chapter->vcn,
				 index->geometry.index_pages_per_chapter,
				 index->geometry.record_pages_per_chapter, chapter->record_pages);
}

static void give(struct replay_crew *crew, struct held_chapter *held)
{
	held->is_given = true;
	for (unsigned int i = 0; i < crew->members; i++)
		crew_give(crew->index->crew, i, &held->jobs[i].job);
}

int replay_crew_make_room(struct replay_crew *crew)
{
	return finish(crew, &crew->held[crew->turn]);
}

void replay_crew_give(struct replay_crew *crew, const struct given_chapter *chapter)
{
	struct held_chapter *held = &crew->held[crew->turn];

	held->chapter = *chapter;
	held->undo = false;
	crew->turn = (crew->turn + 1) % REPLAY_HELD;
	give(crew, held);
}

int replay_crew_wait(struct replay_crew *crew)
{
	int r = 0;

	for (unsigned int n = 0; n < REPLAY_HELD; n++) {
		/* Oldest first. */
		int last = finish(crew, &crew->held[(crew->turn + n) % REPLAY_HELD]);

		r = r < 0 ? r : last;
	}
	return r;
}

const struct uds_message *replay_crew_message(const struct replay_crew *crew)
{
	unsigned int i = 0;

	while (i + 1 < crew->members && replay_message(crew->replays[i])->text[0] == '\0')
		i++;
	return replay_message(crew->replays[i]);
}

uint64_t replay_crew_undo(struct replay_crew *crew, uint64_t vcn, uint64_t low_of,
			  const uint8_t *record_pages)
{
	struct held_chapter *held = &crew->held[crew->turn];
	uint64_t left = 0;

	held->chapter = (struct given_chapter){
		.vcn = vcn,
		.low_of = low_of,
		.record_pages = record_pages,
	};
	held->undo = true;
	give(crew, held);
	for (unsigned int i = 0; i < crew->members; i++) {
		crew_wait(crew->index->crew, &held->jobs[i].job);
		left += held->jobs[i].left;
	}
	held->is_given = false;
	return left;
}
