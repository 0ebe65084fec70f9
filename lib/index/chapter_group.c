/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The members of the crew share the pages of each chapter while the next ones are read; when the
 * group is full, they share the lists.
 */
#include "index/chapter_group.h"

#include <errno.h>

#include "index/gather.h"
#include "volume_index/enter.h"

struct grouped_chapter;

/* What one member does with a chapter. */
struct share_job {
	struct crew_job job;
	const struct grouped_chapter *chapter;
	unsigned int member;
	bool damaged;
};

struct grouped_chapter {
	const struct chapter_group *group;
	uint32_t slot;
	struct chapter_pages pages;
	struct share_job jobs[CREW_MOST];
};

/* What one member does with the lists. */
struct enter_job {
	struct crew_job job;
	const struct chapter_group *group;
	unsigned int member;
	struct enterer *enterer;
	int status;
};

struct chapter_group {
	struct uds_index *index;
	struct replay_crew *replay;
	unsigned int members;
	struct additions *additions; /* of the chapters at hand; NULL: no memory, or too many */
	struct enter_job jobs[CREW_MOST];
	uint32_t size; /* chapters that there are places for */
	uint32_t count;
	struct grouped_chapter chapters[];
};

/*
 * The larger, the fewer times each list is made again. The pages of a group and its records among
 * the additions take about a tenth of what the records of the volume take.
 */
uint32_t chapter_group_size(const struct geometry *geometry, uint32_t chapters)
{
	const uint32_t most = geometry->chapters_per_volume / 16 + 1;

	/* With fewer chapters in all no memory is taken for more. */
	if (chapters == 0)
		return 1;
	return chapters < most ? chapters : most;
}

static void run_gather(struct crew_job *job)
{
	struct share_job *own = (struct share_job *)job;
	const struct chapter_group *group = own->chapter->group;

	own->damaged =
		gather_share(group->index, group->additions, own->member, &own->chapter->pages);
}

static void run_enter(struct crew_job *job)
{
	struct enter_job *own = (struct enter_job *)job;
	const struct chapter_group *group = own->group;
	const unsigned int parts = volume_index_parts(group->index->volume_index);

	own->status = 0;
	for (unsigned int part = own->member; own->status == 0 && part < parts;
	     part += group->members)
		own->status = enterer_run(own->enterer, part, group->additions);
}

static void make_chapter(const struct chapter_group *group, struct grouped_chapter *chapter)
{
	chapter->group = group;
	for (unsigned int i = 0; i < group->members; i++) {
		chapter->jobs[i].job.run = run_gather;
		chapter->jobs[i].chapter = chapter;
		chapter->jobs[i].member = i;
	}
}

int chapter_group_make(struct uds_index *index, struct replay_crew *replay, uint32_t chapters,
		       struct chapter_group **ret_group)
{
	const uint32_t size = chapter_group_size(&index->geometry, chapters);
	struct chapter_group *group = env_allocate_zeroed(
		&index->env, 1, sizeof(*group) + size * sizeof(group->chapters[0]));
	int r = 0;

	if (group == NULL)
		return -ENOMEM;
	group->index = index;
	group->replay = replay;
	group->members = crew_members(index->crew);
	group->size = size;
	for (uint32_t i = 0; i < size; i++)
		make_chapter(group, &group->chapters[i]);
	for (unsigned int i = 0; r == 0 && i < group->members; i++) {
		group->jobs[i].job.run = run_enter;
		group->jobs[i].group = group;
		group->jobs[i].member = i;
		r = enterer_make(index->volume_index, &group->jobs[i].enterer);
	}
	if (r < 0)
		chapter_group_free(group);
	else
		*ret_group = group;
	return r;
}

/* Waits until the records of all chapters are gathered. */
static void wait_for_records(struct chapter_group *group)
{
	for (uint32_t n = 0; n < group->count; n++) {
		for (unsigned int i = 0; i < group->members; i++)
			crew_wait(group->index->crew, &group->chapters[n].jobs[i].job);
	}
}

void chapter_group_free(struct chapter_group *group)
{
	if (group == NULL)
		return;
	wait_for_records(group);
	for (unsigned int i = 0; i < group->members; i++)
		enterer_free(group->jobs[i].enterer);
	additions_free(group->additions);
	env_release(&group->index->env, group);
}

void chapter_group_add(struct chapter_group *group, uint64_t vcn, uint32_t slot,
		       const uint8_t *record_pages)
{
	struct uds_index *index = group->index;
	struct grouped_chapter *chapter = &group->chapters[group->count];

	if (group->count++ == 0)
		group->additions = additions_make(&index->env, &index->geometry, group->members,
						  vcn, group->size);
	chapter->slot = slot;
	chapter->pages.vcn = vcn;
	chapter->pages.pages = record_pages;
	chapter->pages.is_sparse =
		geometry_is_chapter_sparse(&index->geometry, index->oldest, index->newest, vcn);
	for (unsigned int i = 0; group->additions != NULL && i < group->members; i++)
		crew_give(index->crew, i, &chapter->jobs[i].job);
}

/* Here, so that one thread logs, chapter after chapter. Returns 0 or -ENOMEM. */
static int log_damage(const struct chapter_group *group)
{
	const struct uds_index *index = group->index;
	const struct geometry *geometry = &index->geometry;
	int r = 0;

	for (uint32_t n = 0; r == 0 && n < group->count; n++) {
		const struct grouped_chapter *chapter = &group->chapters[n];
		bool damaged = false;

		for (unsigned int i = 0; i < group->members; i++)
			damaged |= chapter->jobs[i].damaged;
		if (damaged)
			r = volume_log_damage(index->volume, chapter->slot, chapter->pages.vcn,
					      geometry->index_pages_per_chapter,
					      geometry->record_pages_per_chapter,
					      chapter->pages.pages);
	}
	return r;
}

/* Puts what was gathered into the lists. */
static int enter_lists(struct chapter_group *group)
{
	struct crew *crew = group->index->crew;
	int r = 0;

	for (unsigned int i = 0; i < group->members; i++)
		crew_give(crew, i, &group->jobs[i].job);
	for (unsigned int i = 0; i < group->members; i++) {
		crew_wait(crew, &group->jobs[i].job);
		r = r < 0 ? r : group->jobs[i].status;
	}
	return r;
}

/* Enters the records that are not in the lists yet, one by one. */
static int enter_rest(struct chapter_group *group, bool is_checked)
{
	int r = 0, last;

	for (uint32_t n = 0; r == 0 && n < group->count; n++) {
		const struct grouped_chapter *chapter = &group->chapters[n];
		const struct given_chapter given = {
			.vcn = chapter->pages.vcn,
			.low_of = chapter->pages.vcn,
			.slot = chapter->slot,
			.is_checked = is_checked,
			.record_pages = chapter->pages.pages,
			.additions = group->additions,
		};

		if (given.additions != NULL && !additions_has_left(given.additions, given.vcn))
			continue;
		r = replay_crew_make_room(group->replay);
		if (r == 0)
			replay_crew_give(group->replay, &given);
	}
	last = replay_crew_wait(group->replay);
	return r < 0 ? r : last;
}

int chapter_group_enter(struct chapter_group *group)
{
	const bool is_checked = group->additions != NULL;
	int r = 0;

	wait_for_records(group);
	if (is_checked)
		r = log_damage(group);
	/* Without memory to sort them, they are all entered one by one: slower, but the same. */
	if (r == 0 && is_checked && additions_sort(group->additions, group->index->crew) < 0) {
		additions_free(group->additions);
		group->additions = NULL;
	}
	if (r == 0 && group->additions != NULL)
		r = enter_lists(group);
	if (r == 0)
		r = enter_rest(group, is_checked);
	additions_free(group->additions);
	group->additions = NULL;
	group->count = 0;
	return r;
}
