/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bringing chapters into the sparse cache (uds-format, 18, Triage): a hook that is found in an old chapter
 * says that names of that chapter are being asked for again, so its whole chapter index is fetched.
 *
 * The format's origin stops all zones while the pages are read. Here they are read first, without a
 * lock and for all requests of a share together; the zones stop only while the chapter enters.
 */
#include "index/share.h"

#include <errno.h>

/* Whether a request needs a chapter in the cache, there already or not. */
static bool wants_chapter(const struct share *share, const struct work *work, uint64_t *ret_vcn)
{
	const struct uds_index *index = share->index;

	return !work->triaged &&
	       volume_index_triage(index->volume_index, &work->place, &work->request->name,
				   ret_vcn) &&
	       *ret_vcn >= index->oldest &&
	       geometry_is_chapter_sparse(&index->geometry, index->oldest, index->newest, *ret_vcn);
}

static unsigned int find_copy(const struct share *share, uint64_t vcn)
{
	unsigned int i = 0;

	while (i < share->copy_count && share->copies[i]->vcn != vcn)
		i++;
	return i;
}

/* Puts a chapter that was read into the cache, unless another zone did so while no lock was held. */
static void insert_copy(struct share *share, unsigned int i)
{
	struct uds_index *index = share->index;
	struct chapter_copy *copy = share->copies[i];

	share->copies[i] = share->copies[--share->copy_count];
	share->copies_read = share->copy_count;
	index_lock_others(index, share->zone);
	if (sparse_cache_contains(index->cache, copy->vcn)) {
		sparse_cache_touch(index->cache, copy->vcn);
		chapter_copy_free(copy);
	} else if (copy->vcn < index->oldest) {
		chapter_copy_free(copy);
	} else {
		if (copy->damaged) {
			env_log(&index->env, UDS_LOG_ERROR, "%s", copy->why.text);
			index_failure(index, UDS_ERR_CORRUPT, &copy->why);
		}
		sparse_cache_insert(index->cache, copy, index->oldest);
	}
	index_unlock_others(index, share->zone);
}

int share_triage(struct share *share, size_t i)
{
	struct work *work = &share->work[i];
	unsigned int copy;
	uint64_t vcn;

	if (!share->index->sparse)
		return 0;
	if (wants_chapter(share, work, &vcn)) {
		copy = find_copy(share, vcn);
		if (sparse_cache_contains(share->index->cache, vcn))
			sparse_cache_touch(share->index->cache, vcn);
		else if (copy == share->copy_count)
			return NEEDS_VOLUME;
		else
			insert_copy(share, copy);
	}
	work->triaged = true;
	return 0;
}

int share_want_chapters(struct share *share, size_t i)
{
	struct uds_index *index = share->index;
	uint64_t vcn;
	int r;

	if (!index->sparse)
		return 0;
	/* Chapters that were read for later requests give way to the one that is needed now. */
	if (share->copy_count == SHARE_MAX_COPIES && wants_chapter(share, &share->work[i], &vcn) &&
	    find_copy(share, vcn) == share->copy_count)
		share_finish(share);
	for (size_t j = i; j < share->count && share->copy_count < SHARE_MAX_COPIES; j++) {
		if (!wants_chapter(share, &share->work[j], &vcn) ||
		    sparse_cache_contains(index->cache, vcn) ||
		    find_copy(share, vcn) < share->copy_count)
			continue;
		r = chapter_copy_make(&index->env, index->io, &index->geometry,
				      index->layout.super.volume_nonce, vcn,
				      &share->copies[share->copy_count]);
		/* A later request asks again; what was made so far is to be read now. */
		if (r < 0)
			return j == i ? r : 0;
		share->copy_count++;
	}
	return 0;
}

void share_read_chapters(struct share *share)
{
	for (; share->copies_read < share->copy_count; share->copies_read++) {
		struct chapter_copy *copy = share->copies[share->copies_read];
		int r;

		r = volume_read_chapter_index(share->index->volume, copy->vcn, copy->pages,
					      copy->heads, &copy->why);
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
