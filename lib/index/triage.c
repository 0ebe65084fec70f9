/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which chapters belong into the sparse cache (uds-format, 18, Triage): a hook that is found in
 * an old chapter says that names of that chapter are being asked for again, so its whole
 * chapter index is fetched. And the recent chapters, where these are sparse (sparse_cache.h),
 * for all other names.
 *
 * The reference implementation stops all zones while the pages are read. Here they are read
 * first, without a lock and for all operations of a batch together; the zones stop only while the
 * chapter enters. A chapter that is being written is not on the volume yet: its pages come from
 * the writer's memory.
 */
#include "index/triage.h"

#include "geometry/name_bits.h"

/* The chapter of a hook, if it is to be cached. A chapter older than the oldest one counts, too. */
static bool hook_chapter(const struct batch *batch, const struct operation *operation,
			 uint64_t *ret_vcn)
{
	const struct uds_index *index = batch->index;

	return volume_index_triage(index->volume_index, &operation->place,
				   &operation->request->name, ret_vcn) &&
	       index_location(index, *ret_vcn) == UDS_LOCATION_SPARSE;
}

/*
 * A recent chapter that no zone has a copy of yet, and that is not in memory with all its records.
 */
static bool lacks_recent(const struct batch *batch, const struct operation *operation,
			 uint64_t *ret_vcn)
{
	const struct uds_index *index = batch->index;

	/*
	 * The recent chapters are dense then, and the volume index leads to all their names; to
	 * samples it leads in any chapter.
	 */
	if (index->geometry.dense_chapters_per_volume > RECENT_CHAPTERS ||
	    !operation->kind->needs_record ||
	    is_sample(&index->geometry, &operation->request->name))
		return false;
	for (unsigned int back = 1; back <= RECENT_CHAPTERS; back++) {
		/* In an index with fewer chapters this wraps to a number that is not recent. */
		*ret_vcn = index->newest - back;
		if (index_is_recent(index, *ret_vcn) && !batch_has_in_memory(batch, *ret_vcn) &&
		    !sparse_cache_has_recent(index->cache, *ret_vcn))
			return true;
	}
	return false;
}

/* Whether a request needs a chapter that is not there yet, and for which of the cache's places. */
static bool lacks_chapter(const struct batch *batch, const struct operation *operation,
			  uint64_t *ret_vcn, bool *ret_recent)
{
	const struct uds_index *index = batch->index;

	if (operation->triaged)
		return false;
	*ret_recent = lacks_recent(batch, operation, ret_vcn);
	return *ret_recent ||
	       (hook_chapter(batch, operation, ret_vcn) && *ret_vcn >= index->oldest &&
		!sparse_cache_contains(index->cache, *ret_vcn));
}

static unsigned int find_copy(const struct batch *batch, uint64_t vcn, bool recent)
{
	unsigned int i = 0;

	while (i < batch->copy_count &&
	       (batch->copies[i]->vcn != vcn || batch->copies[i]->recent != recent))
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
	/*
	 * A damaged chapter is cached as well: it finds nothing, and is not read again for each
	 * request.
	 */
	if (copy->damaged && copy->why.text[0] != '\0')
		env_log(&index->env, UDS_LOG_ERROR, "%s", copy->why.text);
	if (copy->recent)
		sparse_cache_keep_recent(index->cache, copy);
	else
		sparse_cache_insert(index->cache, copy, index->oldest);
}

static void insert_copy(struct batch *batch, unsigned int i)
{
	struct uds_index *index = batch->index;
	struct chapter_copy *copy = batch->copies[i];

	/*
	 * Out of the batch before the lock is released, so that the copy has one owner at any
	 * time.
	 */
	batch->copies[i] = batch->copies[--batch->copy_count];
	batch->copies_read = batch->copy_count;
	index_lock_others(index, batch->zone);
	if (is_wanted(index, copy)) {
		take_in(index, copy);
	} else {
		/* Another zone was first, or the chapter has left meanwhile. */
		if (!copy->recent)
			sparse_cache_touch(index->cache, copy->vcn);
		chapter_copy_free(copy);
	}
	index_unlock_others(index, batch->zone);
}

/* What a hook does to a cache that has its chapter, or must not take it in. */
static void touch_chapter(struct batch *batch, uint64_t vcn)
{
	struct uds_index *index = batch->index;

	if (sparse_cache_contains(index->cache, vcn)) {
		sparse_cache_touch(index->cache, vcn);
		return;
	}
	index_lock_others(index, batch->zone);
	sparse_cache_reorder(index->cache, index->oldest);
	index_unlock_others(index, batch->zone);
}

int triage_operation(struct batch *batch, struct operation *operation)
{
	bool recent, inserted = false;
	unsigned int copy;
	uint64_t vcn;

	if (!batch->index->sparse)
		return 0;
	while (lacks_chapter(batch, operation, &vcn, &recent)) {
		copy = find_copy(batch, vcn, recent);
		if (copy == batch->copy_count)
			return STEP_WANTS_PAGES;
		insert_copy(batch, copy);
		inserted = true;
	}
	/* One that was inserted is the most recently used one already. */
	if (!operation->triaged && !inserted && hook_chapter(batch, operation, &vcn))
		touch_chapter(batch, vcn);
	/*
	 * A step is repeated after each read; a second triage would count a second use of the
	 * chapter.
	 */
	operation->triaged = true;
	return 0;
}

int triage_request_chapters(struct batch *batch, size_t first)
{
	struct uds_index *index = batch->index;
	uint64_t vcn;
	bool recent;
	int r;

	if (!index->sparse)
		return 0;
	/* Chapters that were read for later requests give way to the one that is needed now. */
	if (batch->copy_count == BATCH_MAX_COPIES &&
	    lacks_chapter(batch, &batch->operations[first], &vcn, &recent) &&
	    find_copy(batch, vcn, recent) == batch->copy_count)
		triage_drop_chapters(batch);
	for (size_t j = first; j < batch->count && batch->copy_count < BATCH_MAX_COPIES; j++) {
		if (!lacks_chapter(batch, &batch->operations[j], &vcn, &recent) ||
		    find_copy(batch, vcn, recent) < batch->copy_count)
			continue;
		r = chapter_copy_make(&index->env, index->io, &index->geometry,
				      index->layout.super.volume_nonce, vcn,
				      &batch->copies[batch->copy_count]);
		/* A later request asks again; what was made so far is to be read now. */
		if (r < 0)
			return j == first ? r : 0;
		batch->copies[batch->copy_count++]->recent = recent;
	}
	return 0;
}

/* The index pages of a chapter, verified, and their heads. */
static int read_pages(struct uds_index *index, struct chapter_copy *copy)
{
	int r;

	if (index->writer != NULL &&
	    chapter_writer_copy_index(index->writer, copy->vcn, copy->pages))
		return chapter_copy_open_pages(copy, &copy->why);
	r = volume_read_chapter_index(index->volume, copy->vcn, copy->pages, copy->heads,
				      &copy->why);
	/* A damaged page is in the log by now. */
	if (r == UDS_ERR_CORRUPT)
		copy->why.text[0] = '\0';
	return r;
}

void triage_read_chapters(struct batch *batch)
{
	for (; batch->copies_read < batch->copy_count; batch->copies_read++) {
		struct chapter_copy *copy = batch->copies[batch->copies_read];
		int r;

		r = read_pages(batch->index, copy);
		if (r == 0)
			r = chapter_copy_finish(copy, &copy->why);
		copy->damaged = r < 0;
	}
}

void triage_drop_chapters(struct batch *batch)
{
	while (batch->copy_count > 0)
		chapter_copy_free(batch->copies[--batch->copy_count]);
	batch->copies_read = 0;
}
