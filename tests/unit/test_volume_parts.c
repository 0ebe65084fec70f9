/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of the volume layer on their own: streams over a region and of chapters, the slot
 * table, the page cache; and what becomes of all of them when memory or the I/O gives out.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/env.h"
#include "check_main.h"
#include "fault_io.h"
#include "io/io.h"
#include "torture_env.h"
#include "trace_io.h"
#include "vector_file.h"
#include "volume/chapter_stream.h"
#include "volume/chapter_writer.h"
#include "volume/region_stream.h"
#include "volume/find_chapters.h"
#include "volume/volume_private.h"
#include "volume/volume_search.h"
#include "volume/whole_chapter.h"

static struct uds_env default_env(void)
{
	struct uds_env env;

	ck_assert_int_eq(env_complete(NULL, &env), 0);
	return env;
}

START_TEST(a_stream_is_read_as_it_was_written_in_any_pieces)
{
	static const size_t pieces[] = { 1, 7, 4096, 5000, 100000, 3000000 };
	struct save_region region = { .offset = 8192, .bytes = 768 * 4096 };
	uint8_t *bytes = malloc(region.bytes), *again = malloc(region.bytes);
	struct region_writer writer;
	struct region_reader reader;
	struct byte_source source;
	struct byte_sink sink;
	struct uds_io *io;
	size_t piece = pieces[_i], total = 3000123;

	for (size_t i = 0; i < total; i++)
		bytes[i] = (uint8_t)splitmix(5, i);
	ck_assert_int_eq(uds_io_open_memory(1000 * 4096, 4096, NULL, NULL, &io), 0);
	ck_assert_int_eq(region_writer_open(&writer, io, region, "part"), 0);
	sink = region_writer_sink(&writer);
	for (size_t at = 0; at < total; at += piece)
		ck_assert_int_eq(sink.write(sink.context, bytes + at,
					    piece < total - at ? piece : total - at),
				 0);
	ck_assert_int_eq(region_writer_finish(&writer), 0);
	region_writer_close(&writer);

	ck_assert_int_eq(region_reader_open(&reader, io, region, "part"), 0);
	source = region_reader_source(&reader);
	for (size_t at = 0; at < total; at += piece)
		ck_assert_int_eq(source.read(source.context, again + at,
					     piece < total - at ? piece : total - at),
				 0);
	ck_assert_mem_eq(bytes, again, total);
	/* The rest of the last block is zero. */
	ck_assert_int_eq(source.read(source.context, again, 4096 - total % 4096), 0);
	for (size_t i = 0; i < 4096 - total % 4096; i++)
		ck_assert_uint_eq(again[i], 0);
	region_reader_close(&reader);
	uds_io_close(io);
	free(bytes);
	free(again);
}
END_TEST

/* A stream begins anywhere, and goes on with whole multiples of what the device prefers. */
START_TEST(a_stream_is_cut_where_transfers_cost_least)
{
	struct save_region region = { .offset = 3 * 4096, .bytes = 700 * 4096 };
	static uint8_t bytes[650 * 4096];
	static struct trace trace;
	struct region_writer writer;
	struct region_reader reader;
	struct uds_io *io;

	memset(bytes, 5, sizeof(bytes));
	ck_assert_int_eq(uds_io_open_memory(1000 * 4096, 4096, NULL, NULL, &io), 0);
	io->preferred_bytes = 1 << 19;
	trace_start(&trace);
	trace.reads = true;
	io = trace_io(&trace, 'i', io);
	ck_assert_int_eq(region_writer_open(&writer, io, region, "part"), 0);
	ck_assert_int_eq(region_writer_append(&writer, bytes, sizeof(bytes)), 0);
	ck_assert_int_eq(region_writer_finish(&writer), 0);
	region_writer_close(&writer);
	ck_assert_str_eq(trace.text, "iW12288+1036288 iW1048576+1048576 iW2097152+577536 iF ");
	trace_clear(&trace);
	ck_assert_int_eq(region_reader_open(&reader, io, region, "part"), 0);
	ck_assert_int_eq(region_reader_take(&reader, bytes, sizeof(bytes)), 0);
	ck_assert_str_eq(trace.text, "iR12288+1036288 iR1048576+1048576 iR2097152+782336 ");
	for (size_t i = 0; i < sizeof(bytes); i++)
		ck_assert_uint_eq(bytes[i], 5);
	region_reader_close(&reader);
	uds_io_close(io);
}
END_TEST

START_TEST(a_stream_never_leaves_its_region)
{
	struct save_region region = { .offset = 4096, .bytes = 2 * 4096 };
	uint8_t bytes[8193], around[4096];
	struct region_writer writer;
	struct region_reader reader;
	struct uds_io *io;

	memset(bytes, 0xee, sizeof(bytes));
	ck_assert_int_eq(uds_io_open_memory(4 * 4096, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(region_writer_open(&writer, io, region, "save 1: volume index 0"), 0);
	ck_assert_int_eq(region_writer_append(&writer, bytes, 8193), UDS_ERR_OUT_OF_RANGE);
	ck_assert_str_eq(
		writer.message.text,
		"save 1: volume index 0: more than the 8192 bytes that the save has for it");
	ck_assert_int_eq(region_writer_append(&writer, bytes, 8192), 0);
	ck_assert_int_eq(region_writer_append(&writer, bytes, 1), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(region_writer_finish(&writer), 0);
	region_writer_close(&writer);
	for (uint64_t block = 0; block < 4; block += 3) {
		ck_assert_int_eq(uds_io_read(io, around, 4096, block * 4096), 0);
		for (int i = 0; i < 4096; i++)
			ck_assert_uint_eq(around[i], 0);
	}

	ck_assert_int_eq(region_reader_open(&reader, io, region, "part"), 0);
	ck_assert_int_eq(region_reader_take(&reader, bytes, 8193), UDS_ERR_OUT_OF_RANGE);
	ck_assert_str_eq(reader.message.text, "part: goes on behind the 8192 bytes of its region");
	region_reader_close(&reader);
	uds_io_close(io);
}
END_TEST

/* A table of 4 slots with 3 index pages each. */
static struct slot_table *small_table(const struct uds_env *env, uint64_t budget)
{
	struct slot_table *table;

	ck_assert_int_eq(slot_table_make(env, 4, 3, budget, &table), 0);
	return table;
}

START_TEST(a_locked_slot_has_no_readers_and_no_heads)
{
	struct index_page_head head = { .vcn = 9, .first_list = 1, .list_count = 20 };
	uint8_t bytes[100] = "the first bytes of an index page";
	struct uds_env env = default_env();
	struct slot_table *table = small_table(&env, 1 << 20);

	ck_assert(slot_enter(table, 1));
	ck_assert_ptr_null(slot_head(table, 1, 2));
	slot_cache_head(table, 1, 2, &head, bytes);
	slot_cache_head(table, 1, 2, &head, bytes); /* once more changes nothing */
	ck_assert_ptr_nonnull(slot_head(table, 1, 2));
	ck_assert_uint_eq(slot_head(table, 1, 2)->head.vcn, 9);
	ck_assert_mem_eq(slot_head(table, 1, 2)->bytes, bytes, index_page_table_bytes(&head));
	ck_assert(slot_enter(table, 1));
	slot_leave(table, 1);
	slot_leave(table, 1);

	slot_lock(table, 1);
	ck_assert(!slot_enter(table, 1));
	ck_assert(slot_enter(table, 2));
	slot_leave(table, 2);
	slot_unlock(table, 1);
	ck_assert(slot_enter(table, 1));
	ck_assert_ptr_null(slot_head(table, 1, 2));
	slot_leave(table, 1);
	slot_table_free(table);
}
END_TEST

START_TEST(heads_beyond_the_budget_go_but_not_those_in_use)
{
	struct index_page_head head = { .list_count = 100 };
	const struct cached_head *used;
	uint8_t bytes[300] = { 7 };
	struct uds_env env = default_env();
	struct slot_table *table = small_table(&env, 1000);
	uint64_t empty = slot_table_bytes(table);

	ck_assert(slot_enter(table, 0));
	slot_cache_head(table, 0, 0, &head, bytes);
	used = slot_head(table, 0, 0);
	for (uint32_t n = 0; n < 100; n++) {
		uint32_t slot = 1 + n % 3;

		ck_assert(slot_enter(table, slot));
		slot_cache_head(table, slot, n % 2, &head, bytes);
		slot_leave(table, slot);
		ck_assert_uint_le(slot_table_bytes(table), empty + 1000 + 600);
	}
	ck_assert_ptr_eq(slot_head(table, 0, 0), used);
	ck_assert_uint_eq(used->bytes[0], 7);
	slot_leave(table, 0);
	slot_table_free(table);
}
END_TEST

/* Counts who is inside; a writer must be alone. */
struct contest {
	struct slot_table *table;
	_Atomic int readers;
	_Atomic int writers;
	_Atomic bool stop;
	_Atomic uint64_t entered;
	/* changed under the lock, read inside: a race unless the slot keeps it */
	unsigned int guarded;
};

static void *contest_reader(void *argument)
{
	struct index_page_head head = { .list_count = 10 };
	struct contest *contest = argument;
	uint8_t bytes[100] = { 0 };
	unsigned int before;

	while (!contest->stop) {
		if (!slot_enter(contest->table, 0))
			continue;
		contest->readers++;
		before = contest->guarded;
		if (contest->writers != 0)
			abort();
		slot_cache_head(contest->table, 0, before % 3, &head, bytes);
		if (before != contest->guarded)
			abort();
		contest->readers--;
		contest->entered++;
		slot_leave(contest->table, 0);
	}
	return NULL;
}

START_TEST(writers_and_readers_exclude_each_other)
{
	struct uds_env env = default_env();
	struct contest contest = { .table = small_table(&env, 500) };
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, contest_reader, &contest);
	for (int n = 0; n < 300 || contest.entered < 100; n++) {
		slot_lock(contest.table, 0);
		contest.writers++;
		ck_assert_int_eq(contest.readers, 0);
		contest.guarded++;
		contest.writers--;
		slot_unlock(contest.table, 0);
		if (n % 16 == 0)
			sched_yield();
	}
	contest.stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	slot_table_free(contest.table);
}
END_TEST

/* Whether the cache has a page, and its first bytes. */
static bool read_cached(struct page_cache *cache, uint64_t number, uint32_t *ret_first)
{
	struct page_frame *frame = page_cache_pin(cache, number);

	if (frame == NULL)
		return false;
	*ret_first = get_le32(frame->bytes);
	page_frame_unpin(frame);
	return true;
}

START_TEST(the_page_cache_keeps_what_is_used_and_drops_what_it_is_told)
{
	struct uds_env env = default_env();
	struct page_cache *cache;
	uint8_t page[64] = { 0 };
	unsigned int there = 0;
	uint32_t result;

	ck_assert_int_eq(page_cache_make(&env, sizeof(page), 50, &cache), 0);
	for (uint32_t n = 0; n < 1000; n++) {
		put_le32(page, n);
		page_cache_add(cache, n, PAGE_OF_RECORDS, page);
		if (n % 8 == 0) {
			ck_assert(read_cached(cache, n, &result));
			ck_assert_uint_eq(result, n);
		}
		/* Page 3 is asked for all the time. */
		if (n >= 3)
			ck_assert(read_cached(cache, 3, &result));
	}
	for (uint32_t n = 0; n < 1000; n++) {
		if (!read_cached(cache, n, &result))
			continue;
		ck_assert_uint_eq(result, n);
		there++;
	}
	ck_assert_uint_le(there, 50);
	ck_assert_uint_ge(there, 30);
	ck_assert_uint_le(page_cache_bytes(cache), 64 * 50 + 10000);
	page_cache_drop(cache, 3, 1);
	ck_assert(!read_cached(cache, 3, &result));
	page_cache_drop(cache, 0, 1000);
	for (uint32_t n = 0; n < 1000; n++)
		ck_assert(!read_cached(cache, n, &result));
	ck_assert_uint_eq(page_cache_count(cache, PAGE_OF_RECORDS), 0);
	page_cache_free(cache);
}
END_TEST

/* Whoever looks at a page has it for as long as that takes. */
START_TEST(a_pinned_page_stays_as_it_is)
{
	struct page_frame *first, *second, *frames[10];
	unsigned int held = 0;
	struct uds_env env = default_env();
	struct page_cache *cache;
	uint8_t page[64] = { 0 };
	uint32_t result;

	ck_assert_int_eq(page_cache_make(&env, sizeof(page), 10, &cache), 0);
	for (uint32_t n = 0; n < 10; n++) {
		put_le32(page, n);
		page_cache_add(cache, n, PAGE_OF_RECORDS, page);
	}
	first = page_cache_pin(cache, 4);
	second = page_cache_pin(cache, 7);
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(second);
	/* Dropped: nobody finds it any more, but its memory is not another page's. */
	page_cache_drop(cache, 4, 1);
	ck_assert_ptr_null(page_cache_pin(cache, 4));
	for (uint32_t n = 10; n < 100; n++) {
		put_le32(page, n);
		page_cache_add(cache, n, PAGE_OF_RECORDS, page);
		ck_assert(read_cached(cache, n, &result));
	}
	ck_assert_uint_eq(get_le32(first->bytes), 4);
	ck_assert_uint_eq(get_le32(second->bytes), 7);
	ck_assert(read_cached(cache, 7, &result));
	page_frame_unpin(first);
	page_frame_unpin(second);
	for (uint32_t n = 100; n < 200; n++)
		page_cache_add(cache, n, PAGE_OF_RECORDS, page);
	ck_assert_uint_eq(page_cache_count(cache, PAGE_OF_RECORDS), 10);
	ck_assert(!read_cached(cache, 7, &result));

	/* When all are pinned, none comes in. */
	for (uint32_t n = 0; n < 200 && held < 10; n++) {
		frames[held] = page_cache_pin(cache, n);
		held += frames[held] != NULL;
	}
	ck_assert_uint_eq(held, 10);
	page_cache_add(cache, 1000, PAGE_OF_INDEX, page);
	ck_assert(!read_cached(cache, 1000, &result));
	for (unsigned int i = 0; i < 10; i++)
		page_frame_unpin(frames[i]);
	page_cache_add(cache, 1000, PAGE_OF_INDEX, page);
	ck_assert(read_cached(cache, 1000, &result));
	page_cache_free(cache);
}
END_TEST

/* Both were used once, long ago, and one of them leads to many others. */
START_TEST(the_page_cache_evicts_index_pages_after_record_pages)
{
	struct uds_env env = default_env();
	struct page_cache *cache;
	uint8_t page[64] = { 0 };
	unsigned int evicted[PAGE_KINDS] = { 0 };
	uint32_t result;

	/* One shard. */
	ck_assert_int_eq(page_cache_make(&env, sizeof(page), 10, &cache), 0);
	for (uint32_t n = 0; n < 10; n++) {
		page_cache_add(cache, n, n % 2 == 0 ? PAGE_OF_INDEX : PAGE_OF_RECORDS, page);
		ck_assert(read_cached(cache, n, &result));
	}
	ck_assert_uint_eq(page_cache_count(cache, PAGE_OF_INDEX), 5);
	ck_assert_uint_eq(page_cache_count(cache, PAGE_OF_RECORDS), 5);
	/* Pages that are never asked for take the places of all record pages first. */
	for (uint32_t n = 10; n < 15; n++)
		page_cache_add(cache, n, PAGE_OF_RECORDS, page);
	for (uint32_t n = 0; n < 10; n++)
		evicted[n % 2] += !read_cached(cache, n, &result);
	ck_assert_uint_eq(evicted[PAGE_OF_INDEX], 0);
	ck_assert_uint_eq(evicted[PAGE_OF_RECORDS], 5);
	ck_assert_uint_eq(page_cache_count(cache, PAGE_OF_INDEX), 5);
	ck_assert_uint_eq(page_cache_count(cache, PAGE_OF_RECORDS), 5);
	page_cache_free(cache);
}
END_TEST

static struct uds_configuration small_configuration(void)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;

	configuration.page_bytes = 16384;
	configuration.record_pages_per_chapter = 2;
	configuration.chapters_per_volume = 2;
	return configuration;
}

static void fill_zone(struct open_zone *zone, uint64_t seed)
{
	uint32_t room = 1;

	open_zone_reset(zone);
	for (uint32_t i = 0; room > 0; i++) {
		struct uds_record_data data = { { 0 } };
		struct uds_record_name name;

		put_le64(name.bytes, splitmix(seed, 2 * i));
		put_le64(name.bytes + 8, splitmix(seed, 2 * i + 1));
		ck_assert_int_eq(open_zone_put(zone, &name, &data, &room), 0);
	}
}

/* A backend whose reads wait until two of them have been under way together. */
struct paired_reads {
	struct uds_io *memory;
	_Atomic unsigned int under_way;
	atomic_bool met;
};

static int paired_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct paired_reads *paired = context;
	int r;

	if (atomic_fetch_add(&paired->under_way, 1) > 0)
		atomic_store(&paired->met, true);
	for (unsigned int ms = 0; !atomic_load(&paired->met) && ms < 5000; ms++)
		usleep(1000);
	usleep(1000);
	r = uds_io_read(paired->memory, buffer, length, offset);
	atomic_fetch_sub(&paired->under_way, 1);
	return r;
}

static int no_flush(void *context)
{
	(void)context;
	return -EIO;
}

static int paired_close(void *context)
{
	uds_io_close(((struct paired_reads *)context)->memory);
	return 0;
}

static int paired_size(void *context, uint64_t *ret_bytes)
{
	return uds_io_size(((struct paired_reads *)context)->memory, ret_bytes);
}

static void next_is(struct chapter_stream *stream, uint32_t slot, int status)
{
	struct streamed_chapter chapter;

	ck_assert(chapter_stream_next(stream, &chapter));
	ck_assert_uint_eq(chapter.slot, slot);
	ck_assert_int_eq(chapter.status, status);
}

START_TEST(a_chapter_stream_reads_ahead_and_keeps_no_writer_waiting)
{
	static const uint32_t slots[] = { 0, 1, 0, 1, 0, 1 };
	struct uds_configuration configuration = small_configuration();
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct paired_reads paired = { 0 };
	struct uds_env env = default_env();
	struct uds_message message = { "" };
	struct streamed_chapter chapter;
	struct chapter_stream *stream;
	struct volume *volume;
	struct layout layout;
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &paired.memory), 0);
	ck_assert_int_eq(layout_create(paired.memory, &env, &configuration,
				       &(struct layout_options){ 0 }, &message),
			 0);
	ck_assert_int_eq(layout_read(paired.memory, 0, &message, &layout), 0);
	ops.read = paired_read;
	ops.flush = no_flush;
	ops.get_size = paired_size;
	ops.close = paired_close;
	limits.read_only = true;
	ck_assert_int_eq(uds_io_open_ops(&ops, &paired, &limits, NULL, NULL, &io), 0);
	ck_assert_int_eq(volume_open(io, &layout, 0, NULL, &env, &volume), 0);

	ck_assert_int_eq(chapter_stream_open(volume, CHAPTER_ALL_PAGES, slots, 6, 1, &stream), 0);
	next_is(stream, 0, 0);
	ck_assert(atomic_load(&paired.met));
	/* Reads of both slots were submitted; what they bring is of no chapter now. */
	page_reader_lock_slot(&volume->reader, 1);
	page_reader_unlock_slot(&volume->reader, 1);
	next_is(stream, 1, UDS_ERR_OUT_OF_RANGE);
	page_reader_lock_slot(&volume->reader, 0);
	next_is(stream, 0, UDS_ERR_OUT_OF_RANGE);
	page_reader_unlock_slot(&volume->reader, 0);
	next_is(stream, 1, 0);
	next_is(stream, 0, UDS_ERR_OUT_OF_RANGE); /* its read would have begun while locked */
	next_is(stream, 1, 0);
	ck_assert(!chapter_stream_next(stream, &chapter));
	chapter_stream_close(stream);

	ck_assert_int_eq(chapter_stream_open(volume, CHAPTER_ALL_PAGES, slots, 6, 1, &stream), 0);
	next_is(stream, 0, 0);
	chapter_stream_close(stream);
	ck_assert_uint_eq(atomic_load(&paired.under_way), 0);
	volume_close(volume);
	uds_io_close(io);
}
END_TEST

/* Of which the last two stay on the volume. */
#define LIFE_CHAPTERS 7u

/*
 * Everything this layer does, once: create, read, write chapters, save, search in all ways, find
 * chapters. Gives all back. Returns the first error.
 */
static int whole_life(struct uds_io *io, const struct uds_env *given, bool slow)
{
	struct uds_env full, *env = &full;
	struct uds_configuration configuration = small_configuration();
	struct chapter_writer *writer = NULL;
	struct volume_search searches[8] = { { 0 } };
	struct uds_message message = { "" };
	struct volume *volume = NULL;
	struct found_chapters found = { .vcns = NULL };
	struct open_zone *zone = NULL;
	struct layout layout;
	struct save save;
	int r;

	ck_assert_int_eq(env_complete(given, &full), 0);
	r = layout_create(io, &io->env, &configuration, &(struct layout_options){ 0 }, &message);
	if (r == 0)
		r = layout_read(io, 0, &message, &layout);
	if (r == 0)
		r = open_zone_make(env, 1024, &zone);
	if (r == 0)
		r = volume_open(io, &layout, 0, NULL, env, &volume);
	if (r == 0)
		r = chapter_writer_make(volume, &layout, NULL, NULL, &writer);
	for (uint64_t vcn = 0; vcn < LIFE_CHAPTERS && r == 0; vcn++) {
		fill_zone(zone, vcn);
		if (vcn == 1) {
			r = saves_begin(&layout.saves, io, &layout.super, 2, 1000, &message, &save);
			save.oldest = 0;
			save.newest = 1;
			if (r == 0)
				r = saves_commit(&layout.saves, io, &layout.super, &save, false,
						 &message);
		}
		if (r == 0)
			r = chapter_writer_submit(writer, vcn, &zone, 1, &message);
		if (r == 0)
			r = chapter_writer_wait(writer, &message);
	}
	if (r == 0)
		r = volume_find_chapters(volume, NULL, &message, &found);
	if (r == 0)
		atomic_store(&volume->reader.slowness, slow ? 1 << 30 : -(1 << 30));
	for (uint64_t n = 0; n < 4 && r == 0; n++) {
		for (unsigned int i = 0; i < 8; i++) {
			searches[i].vcn = LIFE_CHAPTERS - 2 + (n + i) % 2;
			put_le64(searches[i].name.bytes,
				 splitmix(searches[i].vcn, 2 * (n * 8 + i)));
			put_le64(searches[i].name.bytes + 8,
				 splitmix(searches[i].vcn, 2 * (n * 8 + i) + 1));
		}
		r = volume_search_many(volume, searches, 8, &message);
		for (unsigned int i = 0; i < 8 && r == 0; i++) {
			/* Chapters that could not be read are lost, and then nothing is there. */
			if (found.vcns[searches[i].vcn % 2] == searches[i].vcn)
				ck_assert(searches[i].found);
		}
	}
	if (found.vcns != NULL)
		found_chapters_free(volume, &found);
	chapter_writer_free(writer);
	volume_close(volume);
	open_zone_free(zone);
	return r;
}

static int whole_life_in_memory(const struct uds_env *env, void *context)
{
	struct uds_io *io;
	int r;

	r = uds_io_open_memory(0, 1, env, NULL, &io);
	if (r < 0)
		return r;
	r = whole_life(io, env, context != NULL);
	uds_io_close(io);
	return r;
}

START_TEST(every_allocation_may_fail)
{
	ck_assert_uint_gt(
		torture_each_allocation(whole_life_in_memory, _i == 0 ? NULL : "slow", true), 20);
}
END_TEST

START_TEST(every_operation_of_the_io_may_fail)
{
	struct uds_env env = default_env();
	uint64_t operations = 0;

	for (uint64_t nth = 1; operations == 0; nth++) {
		struct fault_plan plan;
		struct uds_io *memory, *io;
		int r;

		ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &memory), 0);
		fault_plan_start(&plan);
		ck_assert_int_eq(fault_io_open(&plan, memory, NULL, &io), 0);
		plan.partial_bytes = 700;
		fault_plan_fail(&plan, FAULT_ANY & ~(unsigned int)FAULT_CLOSE, nth, -EIO, false);
		r = whole_life(io, &env, _i == 1);
		if (plan.failed == 0) {
			ck_assert_int_eq(r, 0);
			operations = nth - 1;
		} else {
			/* Reads of chapters that a search for chapters meets are no error. */
			ck_assert_msg(r == -EIO || r == UDS_ERR_CORRUPT || r == 0, "%d", r);
		}
		uds_io_close(io);
		fault_plan_end(&plan);
	}
	ck_assert_uint_gt(operations, 50);
}
END_TEST

/* ---- the index pages of a slot ---- */

#define PAGE_NONCE UINT64_C(0x1234)

/* A good page with lists [@first, @first + @count) of chapter @vcn, all of them empty. */
static void put_empty_lists(uint8_t *page, const struct geometry *geometry, uint64_t vcn,
			    uint32_t first, uint32_t count)
{
	const uint32_t table_end = INDEX_PAGE_TABLE_BIT + INDEX_PAGE_OFFSET_BITS * (count + 1);

	memset(page, 0, geometry->page_bytes);
	put_le64(page, PAGE_NONCE);
	put_le64(page + 8, vcn);
	put_le16(page + 16, (uint16_t)first);
	put_le16(page + 18, (uint16_t)count);
	for (uint32_t i = 0; i <= count; i++)
		put_bits(page, INDEX_PAGE_TABLE_BIT + (uint64_t)INDEX_PAGE_OFFSET_BITS * i,
			 INDEX_PAGE_OFFSET_BITS, table_end);
	memset(page + geometry->page_bytes - INDEX_PAGE_GUARD_BYTES, 0xff, INDEX_PAGE_GUARD_BYTES);
}

#define ALL_LISTS UINT32_MAX

/* Of the two index pages of slot 3 of 8. Each page alone is good. */
static const struct {
	uint64_t vcn[2];
	uint32_t first;		   /* lists on the first page */
	uint32_t skipped, missing; /* lists that are on neither, between them and at the end */
	const char *sentence;	   /* NULL: it is good */
} index_pages[] = {
	{ { 11, 11 }, 20, 0, 0, NULL },
	{ { 11, 11 }, ALL_LISTS, 0, 0, NULL },
	{ { 11, 11 }, 0, 0, 0, "index page 0: the first page has no lists" },
	{ { 11, 11 }, 20, 1, 0, "index page 1: first list: expected 20, found 21" },
	{ { 11, 19 },
	  20,
	  0,
	  0,
	  "index page 1: chapter number: expected 11, as on the first page, found 19" },
	{ { 11, 11 }, 20, 0, 1, "lists on all index pages: expected" },
	{ { 12, 12 }, 20, 0, 0, "chapter number: found 12, which does not belong into this slot" },
	{ { CHAPTER_LIMIT + 3, CHAPTER_LIMIT + 3 },
	  20,
	  0,
	  0,
	  "chapter number: found 18014398509481987, which does not belong into this slot" },
};

START_TEST(index_pages_that_are_good_alone_must_be_of_one_chapter_with_all_lists)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message = { "" };
	struct index_page_head heads[2];
	struct index_page_code code;
	struct geometry geometry;
	uint32_t all, first;
	uint64_t vcn = 77;
	uint8_t *pages;
	int r;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 20;
	c.chapters_per_volume = 8;
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	ck_assert_uint_eq(geometry.index_pages_per_chapter, 2);
	index_page_code_make(&geometry, PAGE_NONCE, &code);
	all = geometry.delta_lists_per_chapter;
	first = index_pages[_i].first == ALL_LISTS ? all : index_pages[_i].first;
	pages = malloc(2 * (size_t)c.page_bytes);
	ck_assert_ptr_nonnull(pages);
	put_empty_lists(pages, &geometry, index_pages[_i].vcn[0], 0, first);
	put_empty_lists(pages + c.page_bytes, &geometry, index_pages[_i].vcn[1],
			first + index_pages[_i].skipped,
			all - first - index_pages[_i].skipped - index_pages[_i].missing);
	r = chapter_check_index(&geometry, &code, 3, pages, &vcn, heads, &message);
	if (index_pages[_i].sentence == NULL) {
		ck_assert_msg(r == 0, "%s", message.text);
		ck_assert_uint_eq(vcn, index_pages[_i].vcn[0]);
		ck_assert_uint_eq(heads[1].first_list, first);
	} else {
		ck_assert_int_eq(r, UDS_ERR_CORRUPT);
		ck_assert_msg(strncmp(message.text, index_pages[_i].sentence,
				      strlen(index_pages[_i].sentence)) == 0,
			      "%s", message.text);
		ck_assert_uint_eq(vcn, 77);
	}
	free(pages);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("volume_parts");
	TCase *tc = tcase_create("volume_parts");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc,
			    index_pages_that_are_good_alone_must_be_of_one_chapter_with_all_lists,
			    0, sizeof(index_pages) / sizeof(index_pages[0]));
	tcase_add_loop_test(tc, a_stream_is_read_as_it_was_written_in_any_pieces, 0, 6);
	tcase_add_test(tc, a_stream_is_cut_where_transfers_cost_least);
	tcase_add_test(tc, a_stream_never_leaves_its_region);
	tcase_add_test(tc, a_locked_slot_has_no_readers_and_no_heads);
	tcase_add_test(tc, heads_beyond_the_budget_go_but_not_those_in_use);
	tcase_add_test(tc, writers_and_readers_exclude_each_other);
	tcase_add_test(tc, the_page_cache_keeps_what_is_used_and_drops_what_it_is_told);
	tcase_add_test(tc, a_pinned_page_stays_as_it_is);
	tcase_add_test(tc, the_page_cache_evicts_index_pages_after_record_pages);
	tcase_add_test(tc, a_chapter_stream_reads_ahead_and_keeps_no_writer_waiting);
	tcase_add_loop_test(tc, every_allocation_may_fail, 0, 2);
	tcase_add_loop_test(tc, every_operation_of_the_io_may_fail, 0, 2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
