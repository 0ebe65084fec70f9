/* SPDX-License-Identifier: BSD-2-Clause */
/* The members of the crew share the pages of each chapter: checksums first, then names. */
#include "index/gather.h"

#include <errno.h>
#include <inttypes.h>

#include "base/message.h"
#include "volume/chapter_stream.h"

/* So many chapters are worked on at once. */
#define HELD 2u

struct gathering;

/* What one member does with a chapter. */
struct gather_job {
	struct crew_job job;
	const struct gathered_chapter *chapter;
	unsigned int member;
	bool damaged;
};

struct gathered_chapter {
	struct gathering *gathering;
	bool given; /* and not finished yet */
	struct chapter_pages chapter;
	struct gather_job jobs[CREW_MOST];
};

struct gathering {
	struct uds_index *index;
	const struct found_chapters *found;
	struct gathered gathered;
	uint32_t *slots;
	uint32_t count;
	struct chapter_stream *stream;
	struct gathered_chapter chapters[HELD];
};

/* The additions take at most an eighth of the records, or those of a few small chapters. */
static uint32_t most_chapters(const struct geometry *geometry)
{
	return geometry->chapters_per_volume / 8 + 2;
}

bool gather_share(const struct uds_index *index, struct additions *additions, unsigned int member,
		  const struct chapter_pages *chapter)
{
	const struct geometry *geometry = &index->geometry;
	const uint32_t slot = geometry_physical_chapter(geometry, chapter->vcn);
	const unsigned int members = crew_members(index->crew);
	const uint32_t pages = geometry->record_pages_per_chapter;
	const uint32_t first = (uint32_t)((uint64_t)pages * member / members);
	const uint32_t end = (uint32_t)((uint64_t)pages * (member + 1) / members);
	bool damaged = false;

	for (uint32_t page = first; page < end; page++) {
		const uint8_t *records = chapter->pages + (size_t)page * geometry->page_bytes;

		/* Page by page, so that it is in the processor's cache when its names are read. */
		damaged |= volume_has_damage(index->volume, slot, chapter->vcn,
					     geometry->index_pages_per_chapter + page, 1, records);
		additions_add_page(additions, member, chapter->vcn, page, records,
				   chapter->is_sparse);
	}
	return damaged;
}

static void run_job(struct crew_job *job)
{
	struct gather_job *own = (struct gather_job *)job;
	const struct gathering *gathering = own->chapter->gathering;

	own->damaged = gather_share(gathering->index, gathering->gathered.additions, own->member,
				    &own->chapter->chapter);
}

static void give(struct gathering *gathering, struct gathered_chapter *chapter, uint64_t vcn,
		 const uint8_t *pages)
{
	struct uds_index *index = gathering->index;

	chapter->chapter.vcn = vcn;
	chapter->chapter.pages = pages;
	chapter->chapter.is_sparse = geometry_is_chapter_sparse(
		&index->geometry, gathering->found->oldest, gathering->found->newest, vcn);
	chapter->given = true;
	for (unsigned int i = 0; i < crew_members(index->crew); i++)
		crew_give(index->crew, i, &chapter->jobs[i].job);
}

static void finish(struct gathering *gathering, struct gathered_chapter *chapter)
{
	struct crew *crew = gathering->index->crew;
	struct gathered *gathered = &gathering->gathered;

	for (unsigned int i = 0; chapter->given && i < crew_members(crew); i++) {
		crew_wait(crew, &chapter->jobs[i].job);
		gathered->has_damage[chapter->chapter.vcn - gathered->from] |=
			chapter->jobs[i].damaged;
	}
	chapter->given = false;
}

static int start(struct gathering *gathering)
{
	struct uds_index *index = gathering->index;
	struct gathered *gathered = &gathering->gathered;
	const uint32_t count = gathering->count;

	gathered->has_damage = env_allocate_zeroed(&index->env, count, sizeof(bool));
	gathering->slots = env_allocate(&index->env, count, sizeof(*gathering->slots));
	if (gathered->has_damage == NULL || gathering->slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		gathering->slots[i] =
			geometry_physical_chapter(&index->geometry, gathered->from + i);
	for (unsigned int n = 0; n < HELD; n++) {
		gathering->chapters[n].gathering = gathering;
		for (unsigned int i = 0; i < CREW_MOST; i++) {
			struct gather_job *own = &gathering->chapters[n].jobs[i];

			own->job.run = run_job;
			own->chapter = &gathering->chapters[n];
			own->member = i;
		}
	}
	gathered->additions = additions_make(&index->env, &index->geometry,
					     crew_members(index->crew), gathered->from, count);
	/* Without them only the first chapter is looked at. */
	return chapter_stream_open(index->volume, CHAPTER_RECORD_PAGES, gathering->slots,
				   gathered->additions == NULL ? 1 : count, HELD,
				   &gathering->stream);
}

/* Whether a chapter could be read. It is the first one's failure only that counts. */
static int check_read(const struct gathering *gathering, uint64_t vcn,
		      const struct streamed_chapter *chapter, struct uds_message *message)
{
	if (chapter->status >= 0)
		return 1;
	/* A later chapter is read once more when its turn comes, and fails there if it must. */
	if (vcn > gathering->gathered.from)
		return 0;
	return failure(message, chapter->status,
		       "%s: chapter %" PRIu64 " (slot %" PRIu32 "): reading its records: %s",
		       uds_io_name(gathering->index->io), vcn, chapter->slot,
		       uds_strerror(chapter->status));
}

static int read_chapters(struct gathering *gathering, uds_progress_fn progress,
			 void *progress_context, struct uds_message *message)
{
	struct gathered *gathered = &gathering->gathered;
	struct streamed_chapter chapter;
	unsigned int turn = 0;
	int r = 0;

	for (;; turn = (turn + 1) % HELD, gathered->end++) {
		const uint64_t vcn = gathered->end;

		/* Its pages go with the next read. */
		finish(gathering, &gathering->chapters[turn]);
		if (!chapter_stream_next(gathering->stream, &chapter))
			break;
		/* A chapter that was lost has another one in its slot, or none. */
		if (gathering->found->vcns[chapter.slot] != vcn)
			continue;
		r = check_read(gathering, vcn, &chapter, message);
		if (r <= 0)
			break;
		r = progress(progress_context, vcn - gathered->from, 0) != 0 ? UDS_ERR_STOPPED : 0;
		if (r < 0)
			break;
		if (gathered->additions != NULL)
			give(gathering, &gathering->chapters[turn], vcn, chapter.pages);
	}
	for (unsigned int n = 0; n < HELD; n++)
		finish(gathering, &gathering->chapters[n]);
	return r;
}

int gather_records(struct uds_index *index, const struct found_chapters *found, uint64_t from,
		   uds_progress_fn progress, void *progress_context, struct uds_message *message,
		   struct gathered *ret_gathered)
{
	struct gathering *gathering = env_allocate_zeroed(&index->env, 1, sizeof(*gathering));
	const uint64_t chapters = found->newest - from;
	const uint32_t most = most_chapters(&index->geometry);
	int r;

	if (gathering == NULL)
		return -ENOMEM;
	gathering->index = index;
	gathering->found = found;
	gathering->count = chapters < most ? (uint32_t)chapters : most;
	gathering->gathered.from = gathering->gathered.end = from;
	r = start(gathering);
	if (r == 0)
		r = read_chapters(gathering, progress, progress_context, message);
	chapter_stream_close(gathering->stream);
	/*
	 * Without memory to sort them, records are entered one by one later: slower, but the same.
	 */
	if (gathering->gathered.additions != NULL &&
	    (r < 0 || additions_sort(gathering->gathered.additions, index->crew) < 0)) {
		additions_free(gathering->gathered.additions);
		gathering->gathered.additions = NULL;
	}
	if (r < 0)
		gathered_free(index, &gathering->gathered);
	else
		*ret_gathered = gathering->gathered;
	env_release(&index->env, gathering->slots);
	env_release(&index->env, gathering);
	return r;
}

static bool has(const struct gathered *gathered, uint64_t vcn)
{
	return gathered->additions != NULL && vcn >= gathered->from && vcn < gathered->end;
}

bool gathered_is_done(const struct gathered *gathered, uint64_t vcn)
{
	return has(gathered, vcn) && !gathered->has_damage[vcn - gathered->from] &&
	       !additions_has_left(gathered->additions, vcn);
}

const struct additions *gathered_additions(const struct gathered *gathered, uint64_t vcn)
{
	return has(gathered, vcn) ? gathered->additions : NULL;
}

void gathered_free(const struct uds_index *index, struct gathered *gathered)
{
	additions_free(gathered->additions);
	env_release(&index->env, gathered->has_damage);
	*gathered = (struct gathered){ 0 };
}
