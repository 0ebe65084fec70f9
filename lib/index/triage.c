/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bringing chapters into the sparse cache (uds-format, 18, Triage): a hook that is found in an old chapter
 * says that names of that chapter are being asked for again, so its whole chapter index is fetched. And the
 * recent chapters, where these are sparse (sparse_cache.h), for all other names.
 *
 * The format's origin stops all zones while the pages are read. Here they are read first, without a
 * lock and for all requests of a share together; the zones stop only while the chapter enters. A chapter
 * that is being written is not on the volume yet: its pages come from the writer's memory.
 */
#include "index/share.h"

#include <errno.h>

#include "geometry/name_bits.h"

/* The chapter of a hook, if it is to be cached. A chapter older than the oldest one counts, too. */
static bool hook_chapter(const struct share *share, const struct work *work, uint64_t *ret_vcn)
{
	const struct uds_index *index = share->index;

	return volume_index_triage(index->volume_index, &work->place, &work->request->name,
				   ret_vcn) &&
	       index_location(index, *ret_vcn) == UDS_LOCATION_SPARSE;
}

/* A recent chapter that no zone has a copy of yet, and that is not in memory with all its records. */
static bool lacks_recent(const struct share *share, const struct work *work, uint64_t *ret_vcn)
{
	const struct uds_index *index = share->index;

	if (index->geometry.dense_chapters_per_volume > RECENT_CHAPTERS ||
	    work->request->kind == UDS_DELETE || is_sample(&index->geometry, &work->request->name))
		return false;
	for (unsigned int back = 1; back <= RECENT_CHAPTERS; back++) {
		*ret_vcn = index->newest - back;
		if (index_is_recent(index, *ret_vcn) && !share_has_in_memory(share, *ret_vcn) &&
		    !sparse_cache_has_recent(index->cache, *ret_vcn))
			return true;
	}
	return false;
}

/* Whether a request needs a chapter that is not there yet, and for which of the cache's places. */
static bool lacks_chapter(const struct share *share, const struct work *work, uint64_t *ret_vcn,
			  bool *ret_recent)
{
	const struct uds_index *index = share->index;

	if (work->triaged)
		return false;
	*ret_recent = lacks_recent(share, work, ret_vcn);
	return *ret_recent || (hook_chapter(share, work, ret_vcn) && *ret_vcn >= index->oldest &&
			       !sparse_cache_contains(index->cache, *ret_vcn));
}

static unsigned int find_copy(const struct share *share, uint64_t vcn, bool recent)
{
	unsigned int i = 0;

	while (i < share->copy_count &&
	       (share->copies[i]->vcn != vcn || share->copies[i]->recent != recent))
		i++;
	return i;
}

/* Whether there is still a use for a chapter that was read while no lock was held. */
static bool is_wanted(const struct uds_index *index, const struct chapter_copy *copy)
{
	if (copy->recent)
		return index_is_recent(index, copy->vcn) &&
		       !sparse_cache_has_recent(index->cache, copy->vcn);
	return copy->vcn >= index->oldest && !sparse_cache_contains(index->cache, copy->vcn);
}

/* Puts a chapter that was read into the cache. All zone locks are held. */
static void take_in(struct uds_index *index, struct chapter_copy *copy)
{
	if (copy->damaged)
		env_log(&index->env, UDS_LOG_ERROR, "%s", copy->why.text);
	if (copy->recent)
		sparse_cache_keep_recent(index->cache, copy);
	else
		sparse_cache_insert(index->cache, copy, index->oldest);
}

static void insert_copy(struct share *share, unsigned int i)
{
	struct uds_index *index = share->index;
	struct chapter_copy *copy = share->copies[i];

	share->copies[i] = share->copies[--share->copy_count];
	share->copies_read = share->copy_count;
	index_lock_others(index, share->zone);
	if (is_wanted(index, copy)) {
		take_in(index, copy);
	} else {
		/* Another zone was first, or the chapter has left meanwhile. */
		if (!copy->recent)
			sparse_cache_touch(index->cache, copy->vcn);
		chapter_copy_free(copy);
	}
	index_unlock_others(index, share->zone);
}

/* What a hook does to a cache that has its chapter, or must not take it in. */
static void touch_chapter(struct share *share, uint64_t vcn)
{
	struct uds_index *index = share->index;

	if (sparse_cache_contains(index->cache, vcn)) {
		sparse_cache_touch(index->cache, vcn);
		return;
	}
	index_lock_others(index, share->zone);
	sparse_cache_reorder(index->cache, index->oldest);
	index_unlock_others(index, share->zone);
}

int share_triage(struct share *share, size_t i)
{
	struct work *work = &share->work[i];
	bool recent, inserted = false;
	unsigned int copy;
	uint64_t vcn;

	if (!share->index->sparse)
		return 0;
	while (lacks_chapter(share, work, &vcn, &recent)) {
		copy = find_copy(share, vcn, recent);
		if (copy == share->copy_count)
			return NEEDS_VOLUME;
		insert_copy(share, copy);
		inserted = true;
	}
	if (!work->triaged && !inserted && hook_chapter(share, work, &vcn))
		touch_chapter(share, vcn);
	work->triaged = true;
	return 0;
}

int share_want_chapters(struct share *share, size_t i)
{
	struct uds_index *index = share->index;
	uint64_t vcn;
	bool recent;
	int r;

	if (!index->sparse)
		return 0;
	/* Chapters that were read for later requests give way to the one that is needed now. */
	if (share->copy_count == SHARE_MAX_COPIES &&
	    lacks_chapter(share, &share->work[i], &vcn, &recent) &&
	    find_copy(share, vcn, recent) == share->copy_count)
		share_finish(share);
	for (size_t j = i; j < share->count && share->copy_count < SHARE_MAX_COPIES; j++) {
		if (!lacks_chapter(share, &share->work[j], &vcn, &recent) ||
		    find_copy(share, vcn, recent) < share->copy_count)
			continue;
		r = chapter_copy_make(&index->env, index->io, &index->geometry,
				      index->layout.super.volume_nonce, vcn,
				      &share->copies[share->copy_count]);
		/* A later request asks again; what was made so far is to be read now. */
		if (r < 0)
			return j == i ? r : 0;
		share->copies[share->copy_count++]->recent = recent;
	}
	return 0;
}

/* The index pages of a chapter, verified, and their heads. */
static int read_pages(struct uds_index *index, struct chapter_copy *copy)
{
	if (index->writer != NULL &&
	    chapter_writer_copy_index(index->writer, copy->vcn, copy->pages))
		return chapter_copy_open_pages(copy, &copy->why);
	return volume_read_chapter_index(index->volume, copy->vcn, copy->pages, copy->heads,
					 &copy->why);
}

void share_read_chapters(struct share *share)
{
	for (; share->copies_read < share->copy_count; share->copies_read++) {
		struct chapter_copy *copy = share->copies[share->copies_read];
		int r;

		r = read_pages(share->index, copy);
		if (r == 0)
			r = chapter_copy_finish(copy, &copy->why);
		copy->damaged = r < 0;
	}
}

void share_finish(struct share *share)
{
	while (share->copy_count > 0)
		chapter_copy_free(share->copies[--share->copy_count]);
	share->copies_read = 0;
}
