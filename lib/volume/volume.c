/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening a volume, its pages' places, and reading parts of them. Lookups are in volume_search.c.
 */
#include "volume/volume.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "volume/volume_batch.h"

/*
 * A read of a few kilobytes out of the system's page cache takes a microsecond or so, one of 32 KB
 * four or five; the fastest device takes ten times as long.
 */
#define SLOW_READ_NS 40000

/* Reads that are quick as a rule are timed now and then only. */
#define TIMED_READS 4

/*
 * The rank of a name among @records evenly spread ones has a standard deviation of at most
 * sqrt(records) / 2, and every second one is in the bottom row. Two and a half of that leave out
 * one name in a hundred, for which the whole page is read.
 */
static uint32_t row_reach(uint32_t records)
{
	uint32_t root = 1;

	while (root * root < records)
		root++;
	return root * 5 / 8 + 1;
}

int volume_open(struct uds_io *io, const struct layout *layout, uint64_t cache_bytes,
		const struct uds_env *env, struct volume **ret_volume)
{
	const struct geometry *geometry = &layout->geometry;
	struct volume *volume = env_allocate_zeroed(env, 1, sizeof(*volume));
	uint64_t pages;
	int r;

	if (volume == NULL)
		return -ENOMEM;
	volume->env = *env;
	volume->io = io;
	volume->geometry = *geometry;
	volume->start = layout_volume_offset(layout);
	index_page_code_make(geometry, layout->super.volume_nonce, &volume->code);
	volume->reach = row_reach(geometry->records_per_page);
	if (cache_bytes == 0)
		cache_bytes = (uint64_t)geometry->cache_chapters * geometry->pages_per_chapter *
			      geometry->page_bytes;
	/*
	 * One half for whole pages, the other for heads of index pages, which take much less as a
	 * rule.
	 */
	pages = cache_bytes / 2 / geometry->page_bytes;
	if (pages == 0)
		pages = 1;
	if (pages > geometry->pages_per_volume)
		pages = geometry->pages_per_volume;

	pthread_mutex_init(&volume->pool_lock, NULL);
	r = page_map_make(env, geometry, &volume->map);
	if (r == 0)
		r = slot_table_make(env, geometry->chapters_per_volume,
				    geometry->index_pages_per_chapter, cache_bytes / 2,
				    &volume->slots);
	if (r == 0)
		r = page_cache_make(env, geometry->page_bytes, (uint32_t)pages, &volume->cache);
	if (r < 0) {
		volume_close(volume);
		return r;
	}
	*ret_volume = volume;
	return 0;
}

void volume_close(struct volume *volume)
{
	struct uds_env env;

	if (volume == NULL)
		return;
	env = volume->env;
	volume_free_batches(volume);
	while (volume->scratches != NULL) {
		struct scratch *scratch = volume->scratches;

		volume->scratches = scratch->next;
		env_release(&env, scratch->buffer);
		env_release(&env, scratch);
	}
	page_map_free(volume->map);
	slot_table_free(volume->slots);
	page_cache_free(volume->cache);
	pthread_mutex_destroy(&volume->pool_lock);
	env_release(&env, volume);
}

uint64_t volume_memory_bytes(struct volume *volume)
{
	return sizeof(*volume) + page_map_bytes(volume->map) + slot_table_bytes(volume->slots) +
	       page_cache_bytes(volume->cache);
}

int volume_take_scratch(struct volume *volume, struct scratch **ret_scratch)
{
	struct scratch *scratch;

	pthread_mutex_lock(&volume->pool_lock);
	scratch = volume->scratches;
	if (scratch != NULL)
		volume->scratches = scratch->next;
	pthread_mutex_unlock(&volume->pool_lock);
	if (scratch == NULL) {
		scratch = env_allocate(&volume->env, 1, sizeof(*scratch));
		if (scratch == NULL)
			return -ENOMEM;
		scratch->buffer =
			io_allocate_buffer(volume->io, &volume->env, volume->geometry.page_bytes);
		if (scratch->buffer == NULL) {
			env_release(&volume->env, scratch);
			return -ENOMEM;
		}
	}
	*ret_scratch = scratch;
	return 0;
}

void volume_give_scratch(struct volume *volume, struct scratch *scratch)
{
	pthread_mutex_lock(&volume->pool_lock);
	scratch->next = volume->scratches;
	volume->scratches = scratch;
	pthread_mutex_unlock(&volume->pool_lock);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/*
 * One slow read can be chance (this thread was not running), so it takes some; and many quick
 * ones to get back.
 */
static void note_time(struct volume *volume, uint64_t ns)
{
	int slowness = atomic_load_explicit(&volume->slowness, memory_order_relaxed);

	if (ns > SLOW_READ_NS)
		slowness = slowness < SLOW_MAXIMUM ? slowness + SLOW_STEP : slowness;
	else
		slowness = slowness > 0 ? slowness - 1 : slowness;
	atomic_store_explicit(&volume->slowness, slowness, memory_order_relaxed);
}

int volume_read_part(struct volume *volume, struct scratch *scratch, uint32_t slot, uint32_t page,
		     uint32_t from, uint32_t to, uint8_t **ret_bytes,
		     struct uds_message *ret_message)
{
	uint32_t block = uds_io_block_bytes(volume->io);
	uint32_t start = from / block * block;
	uint32_t end = (uint32_t)round_up(to, block);
	uint64_t began = 0, count;
	bool timed;
	int r;

	count = atomic_fetch_add_explicit(&volume->pages_read, 1, memory_order_relaxed);
	timed = volume_reads_are_slow(volume) || count % TIMED_READS == 0;
	if (timed)
		began = now_ns();
	r = uds_io_read(volume->io, scratch->buffer, end - start,
			volume_page_offset(volume, slot, page) + start);
	if (r < 0)
		return failure(ret_message, r, "reading %" PRIu32 " bytes at %" PRIu64 ": %s",
			       end - start, volume_page_offset(volume, slot, page) + start,
			       uds_strerror(r));
	if (timed)
		note_time(volume, now_ns() - began);
	*ret_bytes = scratch->buffer + (from - start);
	return 0;
}

int volume_page_failure(const struct volume *volume, uint32_t slot, uint64_t vcn, uint32_t page,
			int status, struct uds_message *ret_message)
{
	uint32_t index_pages = volume->geometry.index_pages_per_chapter;

	return failure_in(ret_message, status,
			  "%s: chapter %" PRIu64 " (slot %" PRIu32 "), %s %" PRIu32,
			  uds_io_name(volume->io), vcn, slot,
			  page < index_pages ? "index page" : "record page",
			  page < index_pages ? page : page - index_pages);
}

int volume_check_head(const struct volume *volume, uint32_t slot, uint64_t vcn,
		      const struct page_bounds *bounds, const struct index_page_head *head,
		      struct uds_message *ret_message)
{
	if (head->vcn != vcn) {
		if (head->vcn > vcn && head->vcn < CHAPTER_LIMIT &&
		    geometry_physical_chapter(&volume->geometry, head->vcn) == slot)
			return 0;
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "chapter number: expected %" PRIu64 ", found %" PRIu64, vcn,
			       head->vcn);
	}
	if (head->first_list != bounds->first_list || head->list_count != bounds->list_count)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "lists: expected %" PRIu32 " from %" PRIu32
			       " on, as the page map says, found %" PRIu32 " from %" PRIu32 " on",
			       bounds->list_count, bounds->first_list, head->list_count,
			       head->first_list);
	return 1;
}

void volume_begin_write(struct volume *volume, uint32_t slot)
{
	slot_lock(volume->slots, slot);
	page_cache_drop(volume->cache, geometry_physical_page(&volume->geometry, slot, 0),
			volume->geometry.pages_per_chapter);
}

void volume_end_write(struct volume *volume, uint32_t slot)
{
	slot_unlock(volume->slots, slot);
}

int volume_read_chapter_index(struct volume *volume, uint64_t vcn, uint8_t *pages,
			      struct index_page_head *ret_heads, struct uds_message *ret_message)
{
	const struct geometry *geometry = &volume->geometry;
	uint32_t slot = geometry_physical_chapter(geometry, vcn);
	uint32_t page = 0;
	int r;

	if (!slot_enter(volume->slots, slot))
		return failure(ret_message, UDS_ERR_OUT_OF_RANGE, "chapter %" PRIu64 " is gone",
			       vcn);
	r = uds_io_read(volume->io, pages,
			(size_t)geometry->index_pages_per_chapter * geometry->page_bytes,
			volume_page_offset(volume, slot, 0));
	if (r < 0)
		failure(ret_message, r, "reading all index pages: %s", uds_strerror(r));
	atomic_fetch_add(&volume->pages_read, geometry->index_pages_per_chapter);
	for (; page < geometry->index_pages_per_chapter && r >= 0; page++) {
		struct page_bounds bounds = page_map_page(volume->map, slot, page);

		r = index_page_open(&volume->code, pages + (size_t)page * geometry->page_bytes,
				    &ret_heads[page], ret_message);
		if (r == 0)
			r = volume_check_head(volume, slot, vcn, &bounds, &ret_heads[page],
					      ret_message);
		if (r == 0) {
			r = failure(ret_message, UDS_ERR_OUT_OF_RANGE, "the chapter is gone");
			break;
		}
		if (r < 0)
			break;
	}
	slot_leave(volume->slots, slot);
	return r < 0 ? volume_page_failure(volume, slot, vcn, page, r, ret_message) : 0;
}
