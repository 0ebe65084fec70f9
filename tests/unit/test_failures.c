/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sentence of a failing call: each call leaves its own, a later one never finds it, and neither
 * does another thread.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <uds.h>

#include "base/env.h"
#include "base/failures.h"
#include "check_main.h"
#include "torture_env.h"

static struct uds_io *io;
static struct uds_io *cow;
static struct uds_index *the_index;
static struct uds_index *read_only_index;
static struct uds_exception_store *store;
static struct uds_exception_store *read_only_store;
static struct uds_snapshot *snapshot;
static struct uds_snapshot *read_only_snapshot;
static struct uds_io *sealed;	     /* an I/O that cannot do much */
static struct uds_io_engine *engine; /* of depth 1 */
static struct uds_volume *volume;
static struct uds_open_chapter *chapter;
static struct uds_chapter_index *chapter_index;
static struct uds_page_format *format;
static struct uds_message message;

static struct uds_io *memory(uint64_t bytes)
{
	struct uds_io *made;

	ck_assert_int_eq(uds_io_open_memory(bytes, 1, NULL, NULL, &made), 0);
	return made;
}

static void open_indexes(void)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 2;
	c.chapters_per_volume = 4;
	io = memory(0);
	ck_assert_int_eq(uds_index_format(io, &c, NULL, &message), 0);
	options.zones = 2;
	ck_assert_int_eq(uds_index_open(io, &options, &message, &the_index), 0);
	options.mode = UDS_INDEX_READ_ONLY;
	ck_assert_int_eq(uds_index_open(io, &options, &message, &read_only_index), 0);
}

static void open_snapshots(void)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_snapshot_options snapshot_options = UDS_SNAPSHOT_OPTIONS_INIT;

	cow = memory(1 << 20);
	ck_assert_int_eq(uds_exception_store_format(cow, NULL, &message), 0);
	ck_assert_int_eq(uds_exception_store_open(cow, NULL, &message, &store), 0);
	ck_assert_int_eq(uds_snapshot_open(io, cow, NULL, &message, &snapshot), 0);
	options.read_only = true;
	ck_assert_int_eq(uds_exception_store_open(cow, &options, &message, &read_only_store), 0);
	snapshot_options.read_only = true;
	ck_assert_int_eq(
		uds_snapshot_open(io, cow, &snapshot_options, &message, &read_only_snapshot), 0);
}

static int sealed_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	(void)context;
	(void)offset;
	memset(buffer, 0, length);
	return 0;
}

static int sealed_flush(void *context)
{
	(void)context;
	return -EIO;
}

static int sealed_size(void *context, uint64_t *ret_bytes)
{
	(void)context;
	*ret_bytes = 1 << 20;
	return 0;
}

static int sealed_close(void *context)
{
	(void)context;
	return 0;
}

static void open_parts(void)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_io_engine_options shallow = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;

	shallow.depth = 1;
	ck_assert_int_eq(uds_io_engine_open(&shallow, NULL, &message, &engine), 0);
	ops.read = sealed_read;
	ops.flush = sealed_flush;
	ops.get_size = sealed_size;
	ops.close = sealed_close;
	limits.block_bytes = 512;
	limits.name = "sealed";
	ck_assert_int_eq(uds_io_open_ops(&ops, NULL, &limits, NULL, NULL, &sealed), 0);
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 2;
	c.chapters_per_volume = 4;
	ck_assert_int_eq(uds_volume_open(io, NULL, &message, &volume), 0);
	ck_assert_int_eq(uds_open_chapter_make(&c, 1, NULL, &message, &chapter), 0);
	ck_assert_int_eq(uds_chapter_index_make(&c, 1, NULL, &message, &chapter_index), 0);
	ck_assert_int_eq(uds_page_format_make(&c, 1, NULL, &message, &format), 0);
}

static void close_parts(void)
{
	uds_page_format_free(format);
	uds_chapter_index_free(chapter_index);
	uds_open_chapter_free(chapter);
	uds_volume_close(volume);
	uds_io_close(sealed);
	uds_io_engine_close(engine);
}

static void close_all(void)
{
	uds_snapshot_close(read_only_snapshot);
	uds_snapshot_close(snapshot);
	uds_exception_store_close(read_only_store);
	uds_exception_store_close(store);
	uds_index_close(read_only_index);
	uds_index_close(the_index);
	uds_io_close(cow);
	uds_io_close(io);
}

/* ---- the index ---- */

static const struct uds_record_name name = { { 0xab, 0xcd } };
static const struct uds_record_data data = { { 1 } };

static int post_read_only(void)
{
	return uds_index_post(read_only_index, &name, &data, NULL, NULL);
}

static int update_read_only(void)
{
	return uds_index_update(read_only_index, &name, &data, NULL, NULL);
}

static int query_read_only(void)
{
	return uds_index_query(read_only_index, &name, NULL, NULL);
}

static int delete_read_only(void)
{
	return uds_index_delete(read_only_index, &name, NULL);
}

static int run_unknown_kind(void)
{
	struct uds_request requests[3] = { { .kind = UDS_POST }, { .kind = 9 }, { .kind = 200 } };

	return uds_index_run(the_index, requests, 3);
}

static int save_read_only(void)
{
	return uds_index_save(read_only_index);
}

static int save_reporting_read_only(void)
{
	return uds_index_save_reporting(read_only_index, NULL, NULL);
}

static int stop_record(void *context, const struct uds_record_name *n,
		       const struct uds_record_data *d)
{
	(void)context;
	(void)n;
	(void)d;
	return 1;
}

static int iterate_stopped(void)
{
	ck_assert_int_eq(uds_index_post(the_index, &name, &data, NULL, NULL), 0);
	return uds_index_for_each(the_index, stop_record, NULL);
}

static int chapter_that_is_not_there(void)
{
	uint64_t next;

	return uds_index_for_each_in_chapter(the_index, 1000, stop_record, NULL, &next);
}

static int statistics_of_no_size(void)
{
	struct uds_index_statistics s = { .size = 0 };

	return uds_index_get_statistics(the_index, &s);
}

static int configuration_of_no_size(void)
{
	struct uds_configuration c = { .size = 0 };

	return uds_index_get_configuration(the_index, &c);
}

static int queue_too_deep(void)
{
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	struct uds_index_queue *queue;

	options.depth = 5000;
	return uds_index_queue_open(the_index, &options, &queue);
}

static int queue_of_too_many_threads(void)
{
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	struct uds_index_queue *queue;

	options.threads = 65;
	return uds_index_queue_open(the_index, &options, &queue);
}

static int queue_of_no_size(void)
{
	struct uds_index_queue_options options = { .size = 0 };
	struct uds_index_queue *queue;

	return uds_index_queue_open(the_index, &options, &queue);
}

/* Of calls on a queue that is closed by now. */
static struct uds_message kept;

static struct uds_index_queue *open_queue(void)
{
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	struct uds_index_queue *queue;

	options.depth = 1;
	ck_assert_int_eq(uds_index_queue_open(the_index, &options, &queue), 0);
	return queue;
}

/* The first of them fails, and is what the sentence is about, though the call does not fail. */
static int reap_unknown_kind(void)
{
	struct uds_index_queue *queue = open_queue();
	struct uds_index_operation operation = { .request = { .kind = 9 } };
	struct uds_index_operation *one = &operation, *done;

	ck_assert_int_eq(uds_index_submit(queue, &one, 1, 0), 1);
	ck_assert_int_eq(uds_index_reap(queue, &done, 1, 1, -1), 1);
	uds_index_error_message(the_index, &kept);
	/* That would be a call on the index, too. */
	uds_index_queue_close(queue);
	return done->request.status;
}

static struct uds_index_queue *reaped;
static int reaped_status;

static void reap_in_callback(struct uds_index_operation *operation)
{
	(void)operation;
	reaped_status = uds_index_reap(reaped, NULL, 0, 1, -1);
	uds_index_error_message(the_index, &kept);
}

static int reap_own_queue(void)
{
	struct uds_index_operation operation = { .completed = reap_in_callback };
	struct uds_index_operation *one = &operation;

	reaped = open_queue();
	ck_assert_int_eq(uds_index_submit(reaped, &one, 1, 0), 1);
	ck_assert_int_eq(uds_index_reap(reaped, NULL, 0, 1, -1), 0);
	uds_index_queue_close(reaped);
	return reaped_status;
}

static int submit_too_many(void)
{
	struct uds_index_queue *queue = open_queue();
	struct uds_index_operation operations[2] = { { .kind = UDS_OPERATION_FLUSH } };
	struct uds_index_operation *pointers[2] = { &operations[0], &operations[1] };
	int r;

	ck_assert_int_eq(uds_index_submit(queue, pointers, 2, 0), 1);
	r = uds_index_submit(queue, pointers + 1, 1, 0);
	uds_index_error_message(the_index, &kept);
	uds_index_queue_close(queue);
	return r;
}

static int submit_cancelled(void)
{
	struct uds_index_queue *queue = open_queue();
	struct uds_index_operation operation = { .completed = NULL };
	struct uds_index_operation *one = &operation;
	int r;

	uds_index_queue_cancel(queue);
	r = uds_index_submit(queue, &one, 1, -1);
	uds_index_error_message(the_index, &kept);
	uds_index_queue_close(queue);
	return r;
}

/* ---- the store ---- */

static int drop_read_only(void)
{
	return uds_exception_store_invalidate(read_only_store);
}

static int prepare_read_only(void)
{
	struct uds_exception e;

	return uds_exception_store_prepare(read_only_store, 5, &e);
}

static int prepare_twice(void)
{
	struct uds_exception e;

	ck_assert_int_eq(uds_exception_store_prepare(store, 5, &e), 0);
	return uds_exception_store_prepare(store, 5, &e);
}

static int prepare_too_far(void)
{
	struct uds_exception e;

	return uds_exception_store_prepare(store, UINT64_C(1) << 55, &e);
}

static int commit_foreign(void)
{
	const struct uds_exception e = { 7, 77 };

	return uds_exception_store_commit(store, &e, 1);
}

static int abandon_foreign(void)
{
	const struct uds_exception e = { 7, 77 };

	return uds_exception_store_abandon(store, &e, 1);
}

static int merge_with_exceptions_out(void)
{
	struct uds_exception e;
	uint64_t count;

	ck_assert_int_eq(uds_exception_store_prepare(store, 6, &e), 0);
	return uds_exception_store_prepare_merge(store, &e, &count);
}

static int merge_read_only(void)
{
	struct uds_exception e;
	size_t count;

	return uds_exception_store_prepare_merge_batch(read_only_store, &e, NULL, 1, &count);
}

static int commit_no_merge(void)
{
	return uds_exception_store_commit_merge(store, 1);
}

static int store_line_too_short(void)
{
	char line[4];

	return uds_exception_store_status_line(store, line, sizeof(line));
}

static int store_status_of_no_size(void)
{
	struct uds_exception_store_status s = { .size = 0 };

	return uds_exception_store_get_status(store, &s);
}

static void make_exception(void)
{
	struct uds_exception e;

	ck_assert_int_eq(uds_exception_store_prepare(store, 9, &e), 0);
	ck_assert_int_eq(uds_exception_store_commit(store, &e, 1), 0);
}

static int stop_range(void *context, uint64_t o, uint64_t n, uint64_t count)
{
	(void)context;
	(void)o;
	(void)n;
	(void)count;
	return 1;
}

static int ranges_stopped(void)
{
	make_exception();
	return uds_exception_store_for_each_range(store, 0, UINT64_MAX, stop_range, NULL);
}

static int stop_entry(void *context, uint64_t area, uint64_t i, const struct uds_exception *e)
{
	(void)context;
	(void)area;
	(void)i;
	(void)e;
	return 1;
}

static int walk_stopped(void)
{
	make_exception();
	return uds_exception_store_for_each_entry(store, stop_entry, NULL);
}

/* ---- the snapshot ---- */

static int read_past_the_end(void)
{
	char byte;

	return uds_snapshot_read(snapshot, &byte, 1, UINT64_MAX);
}

static int read_a_part_past_the_end(void)
{
	char byte;
	size_t done;

	return uds_snapshot_read_partial(snapshot, &byte, 1, UINT64_MAX, &done);
}

static int read_a_part_of_the_origin_past_the_end(void)
{
	char byte;
	size_t done;

	return uds_snapshot_origin_read_partial(snapshot, &byte, 1, UINT64_MAX, &done);
}

static int write_a_part_past_the_end(void)
{
	size_t done;

	return uds_snapshot_write_partial(snapshot, "x", 1, UINT64_MAX, &done);
}

static int write_a_part_of_the_origin_past_the_end(void)
{
	size_t done;

	return uds_snapshot_origin_write_partial(snapshot, "x", 1, UINT64_MAX, &done);
}

static int salvage_past_the_end(void)
{
	char byte;

	return uds_snapshot_salvage(snapshot, &byte, 1, UINT64_MAX, NULL, NULL, NULL);
}

static int find_data_past_the_end(void)
{
	uint64_t begin, end;

	return uds_snapshot_find_data(snapshot, UINT64_MAX, &begin, &end);
}

static int find_data_of_the_origin_past_the_end(void)
{
	uint64_t begin, end;

	return uds_snapshot_origin_find_data(snapshot, UINT64_MAX, &begin, &end);
}

static int read_origin_past_the_end(void)
{
	char byte;

	return uds_snapshot_origin_read(snapshot, &byte, 1, UINT64_MAX);
}

static int write_past_the_end(void)
{
	return uds_snapshot_write(snapshot, "x", 1, UINT64_MAX);
}

static int write_read_only(void)
{
	return uds_snapshot_write(read_only_snapshot, "x", 1, 0);
}

static int write_origin_read_only(void)
{
	return uds_snapshot_origin_write(read_only_snapshot, "x", 1, 0);
}

static int invalidate_read_only(void)
{
	return uds_snapshot_invalidate(read_only_snapshot);
}

static int merge_read_only_snapshot(void)
{
	return uds_snapshot_merge(read_only_snapshot, NULL, NULL);
}

static int begin_merge_read_only(void)
{
	return uds_snapshot_begin_merge(read_only_snapshot);
}

static int line_too_short(void)
{
	char line[4];

	return uds_snapshot_status_line(snapshot, line, sizeof(line));
}

static int status_of_no_size(void)
{
	struct uds_snapshot_status s = { .size = 0 };

	return uds_snapshot_get_status(snapshot, &s);
}

static int stop_changed(void *context, uint64_t offset, uint64_t length)
{
	(void)context;
	(void)offset;
	(void)length;
	return 1;
}

static int changed_ranges_stopped(void)
{
	ck_assert_int_eq(uds_snapshot_write(snapshot, "x", 1, 0), 0);
	return uds_snapshot_for_each_changed_range(snapshot, 0, UINT64_MAX, stop_changed, NULL);
}

static int read_invalid(void)
{
	char byte;

	ck_assert_int_eq(uds_snapshot_invalidate(snapshot), 0);
	return uds_snapshot_read(snapshot, &byte, 1, 0);
}

static int differences_of_two_origins(void)
{
	return uds_snapshot_for_each_difference(snapshot, read_only_snapshot, 0, 1, false,
						stop_changed, NULL);
}

static int changed_ranges_invalid(void)
{
	ck_assert_int_eq(uds_snapshot_invalidate(snapshot), 0);
	return uds_snapshot_for_each_changed_range(snapshot, 0, UINT64_MAX, stop_changed, NULL);
}

/* ---- I/Os and engines ---- */

static int io_read_past_the_end(void)
{
	char byte;

	return uds_io_read(cow, &byte, 1, UINT64_C(1) << 40);
}

static int io_write_read_only(void)
{
	return uds_io_write(sealed, "x", 1, 0);
}

static int io_read_unaligned(void)
{
	char bytes[3];

	return uds_io_read(sealed, bytes, 3, 5);
}

static int io_map_not_there(void)
{
	const void *view;

	return uds_io_map(sealed, 0, 512, &view);
}

static int io_places_not_there(void)
{
	struct uds_io_place place;
	size_t count;

	return uds_io_places(sealed, &place, 1, &count);
}

static int io_write_zeroes_read_only(void)
{
	return uds_io_write_zeroes(sealed, 0, 512);
}

static int io_find_data_past_the_end(void)
{
	uint64_t begin, end;

	return uds_io_find_data(cow, UINT64_C(1) << 40, &begin, &end);
}

static int io_discard_not_there(void)
{
	return uds_io_discard(sealed, 0, 512);
}

static int io_resize_not_there(void)
{
	return uds_io_resize(sealed, 512);
}

static int io_flush_fails(void)
{
	return uds_io_flush(sealed);
}

static int engine_full(void)
{
	struct uds_io_request request = { .io = cow, .kind = UDS_IO_FLUSH };
	struct uds_io_request *requests[2] = { &request, &request };

	return uds_io_engine_submit(engine, requests, 2);
}

static int engine_without_room(void)
{
	struct uds_io_request *done[1];

	return uds_io_engine_reap(engine, done, 1, 2, 0);
}

static int engine_statistics_of_no_size(void)
{
	struct uds_io_engine_statistics statistics = { .size = 0 };

	return uds_io_engine_get_statistics(engine, &statistics);
}

static int engine_buffer_of_nothing(void)
{
	return uds_io_engine_add_buffer(engine, engine, 0);
}

static int engine_buffer_not_there(void)
{
	return uds_io_engine_remove_buffer(engine, engine);
}

/* ---- volume and chapters ---- */

static int volume_info_of_no_size(void)
{
	struct uds_volume_info info = { .size = 0 };

	return uds_volume_get_info(volume, &info);
}

static int volume_configuration_of_no_size(void)
{
	struct uds_configuration c = { .size = 0 };

	return uds_volume_get_configuration(volume, &c);
}

static int volume_search_nowhere(void)
{
	bool found;
	int r = uds_volume_search(volume, 77, &name, &found, NULL, &message);

	ck_assert_ptr_nonnull(strstr(message.text, "chapter 77"));
	return r;
}

static int volume_page_nowhere(void)
{
	uint8_t page[4096];

	return uds_volume_read_record_page(volume, 0, 99, page, NULL);
}

static int volume_index_page_nowhere(void)
{
	uint8_t page[4096];

	return uds_volume_read_index_page(volume, 0, 99, page, NULL);
}

static int volume_write_nothing(void)
{
	return uds_volume_write_chapter(volume, chapter, NULL, NULL);
}

static int volume_write_too_many(void)
{
	return uds_volume_write_records(volume, NULL, 100000, NULL, NULL);
}

static int chapter_put_full(void)
{
	struct uds_record_name n = name;
	int r = 0;

	for (unsigned int i = 0; i < 1000 && r == 0; i++) {
		n.bytes[0] = (uint8_t)i;
		n.bytes[1] = (uint8_t)(i >> 8);
		r = uds_open_chapter_put(chapter, &n, &data, NULL);
	}
	return r;
}

static int chapter_save_too_short(void)
{
	char bytes[4];

	ck_assert_int_eq(uds_open_chapter_put(chapter, &name, &data, NULL), 0);
	return uds_open_chapter_save(chapter, bytes, sizeof(bytes));
}

static int chapter_close_empty(void)
{
	static uint8_t pages[8192];

	return uds_open_chapter_close(chapter, chapter_index, pages, sizeof(pages));
}

static int chapter_close_too_short(void)
{
	char byte;

	return uds_open_chapter_close(chapter, chapter_index, &byte, 1);
}

static int chapter_load_damaged(void)
{
	return uds_open_chapter_load(chapter, "nothing of this kind", 20, NULL, NULL, NULL, NULL);
}

static int chapter_index_put_nowhere(void)
{
	return uds_chapter_index_put(chapter_index, &name, 2);
}

static int chapter_index_pack_nothing(void)
{
	uint8_t page[4096];
	uint32_t lists;

	return uds_chapter_index_pack_page(chapter_index, 100000, true, page, &lists, NULL);
}

static int chapter_index_statistics_of_no_size(void)
{
	struct uds_chapter_index_statistics s = { .size = 0 };

	return uds_chapter_index_get_statistics(chapter_index, &s);
}

static int page_damaged(void)
{
	struct uds_index_page page = UDS_INDEX_PAGE_INIT;
	static const uint8_t bytes[4096];

	return uds_chapter_index_initialize_page(format, bytes, NULL, &page);
}

static int page_validate_of_no_size(void)
{
	struct uds_index_page page = { .size = 0 };

	return uds_chapter_index_validate_page(format, &page, NULL);
}

static int page_search_elsewhere(void)
{
	struct uds_index_page page = UDS_INDEX_PAGE_INIT;
	static const uint8_t bytes[4096];
	uint32_t record_page;
	bool found;

	page.bytes = bytes;
	page.first_list = 100000;
	return uds_chapter_index_search_page(format, &page, &name, &found, &record_page);
}

/* ---- the table ---- */

static void index_message(struct uds_message *ret)
{
	uds_index_error_message(the_index, ret);
}

static void kept_message(struct uds_message *ret)
{
	*ret = kept;
}

static int forget_kept(void)
{
	kept.text[0] = '\0';
	return 0;
}

static void read_only_index_message(struct uds_message *ret)
{
	uds_index_error_message(read_only_index, ret);
}

static void store_message(struct uds_message *ret)
{
	uds_exception_store_error_message(store, ret);
}

static void read_only_store_message(struct uds_message *ret)
{
	uds_exception_store_error_message(read_only_store, ret);
}

static void snapshot_message(struct uds_message *ret)
{
	uds_snapshot_error_message(snapshot, ret);
}

static void read_only_snapshot_message(struct uds_message *ret)
{
	uds_snapshot_error_message(read_only_snapshot, ret);
}

static void io_message(struct uds_message *ret)
{
	uds_io_error_message(cow, ret);
}

static void sealed_message(struct uds_message *ret)
{
	uds_io_error_message(sealed, ret);
}

static void engine_message(struct uds_message *ret)
{
	uds_io_engine_error_message(engine, ret);
}

static void volume_message(struct uds_message *ret)
{
	uds_volume_error_message(volume, ret);
}

static void chapter_message(struct uds_message *ret)
{
	uds_open_chapter_error_message(chapter, ret);
}

static void chapter_index_message(struct uds_message *ret)
{
	uds_chapter_index_error_message(chapter_index, ret);
}

static void format_message(struct uds_message *ret)
{
	uds_page_format_error_message(format, ret);
}

static int good_io(void)
{
	char byte;

	return uds_io_read(cow, &byte, 1, 0);
}

static int good_sealed(void)
{
	uint64_t bytes;

	return uds_io_size(sealed, &bytes);
}

static int good_engine(void)
{
	return uds_io_engine_submit(engine, NULL, 0);
}

static int good_volume(void)
{
	struct uds_volume_info info = UDS_VOLUME_INFO_INIT;

	return uds_volume_get_info(volume, &info);
}

static int good_chapter(void)
{
	uds_open_chapter_reset(chapter);
	return uds_open_chapter_put(chapter, &name, &data, NULL);
}

static int good_chapter_index(void)
{
	struct uds_chapter_index_statistics s = UDS_CHAPTER_INDEX_STATISTICS_INIT;

	return uds_chapter_index_get_statistics(chapter_index, &s);
}

static int good_format(void)
{
	struct uds_index_page page = UDS_INDEX_PAGE_INIT;
	uint8_t bytes[4096];
	uint32_t lists;

	uds_chapter_index_reset(chapter_index, 0);
	ck_assert_int_eq(uds_chapter_index_pack_page(chapter_index, 0, true, bytes, &lists, NULL),
			 0);
	return uds_chapter_index_initialize_page(format, bytes, NULL, &page);
}

static int good_index(void)
{
	return uds_index_flush(the_index);
}

static int good_read_only_index(void)
{
	return uds_index_peek(read_only_index, &name, NULL, NULL);
}

static int good_store(void)
{
	struct uds_exception_store_status s = UDS_EXCEPTION_STORE_STATUS_INIT;

	return uds_exception_store_get_status(store, &s);
}

static int good_read_only_store(void)
{
	char line[80];

	return uds_exception_store_status_line(read_only_store, line, sizeof(line));
}

static int good_snapshot(void)
{
	char line[80];

	return uds_snapshot_status_line(snapshot, line, sizeof(line));
}

static int good_read_only_snapshot(void)
{
	return uds_snapshot_flush(read_only_snapshot);
}

/* Each handle: how its sentence is had, and a call that succeeds. */
static const struct handle {
	void (*get)(struct uds_message *ret_message);
	int (*good)(void);
} handles[] = {
	{ index_message, good_index },
	{ kept_message, forget_kept },
	{ read_only_index_message, good_read_only_index },
	{ store_message, good_store },
	{ read_only_store_message, good_read_only_store },
	{ snapshot_message, good_snapshot },
	{ read_only_snapshot_message, good_read_only_snapshot },
	{ io_message, good_io },
	{ sealed_message, good_sealed },
	{ engine_message, good_engine },
	{ volume_message, good_volume },
	{ chapter_message, good_chapter },
	{ chapter_index_message, good_chapter_index },
	{ format_message, good_format },
};

enum {
	INDEX,
	KEPT,
	INDEX_RO,
	STORE,
	STORE_RO,
	SNAPSHOT,
	SNAPSHOT_RO,
	IO,
	SEALED,
	ENGINE,
	VOLUME,
	CHAPTER,
	CHAPTER_INDEX,
	FORMAT
};

static const struct row {
	int handle;
	int (*call)(void);
	int status;
	const char *words; /* that the sentence must have */
} rows[] = {
	{ INDEX_RO, post_read_only, UDS_ERR_READ_ONLY, "post of abcd" },
	{ INDEX_RO, update_read_only, UDS_ERR_READ_ONLY, "update of abcd" },
	{ INDEX_RO, query_read_only, UDS_ERR_READ_ONLY, "query of abcd" },
	{ INDEX_RO, delete_read_only, UDS_ERR_READ_ONLY, "delete of abcd" },
	{ INDEX_RO, save_read_only, UDS_ERR_READ_ONLY, "read-only" },
	{ INDEX_RO, save_reporting_read_only, UDS_ERR_READ_ONLY, "read-only" },
	{ INDEX, run_unknown_kind, -EINVAL, "no request of kind 9" },
	{ INDEX, queue_too_deep, -EINVAL, "a queue of depth 5000" },
	{ INDEX, queue_of_too_many_threads, -EINVAL, "a queue of 65 threads" },
	{ INDEX, queue_of_no_size, -EINVAL, "struct uds_index_queue_options" },
	{ KEPT, reap_unknown_kind, -EINVAL, "no request of kind 9" },
	{ KEPT, reap_own_queue, -EDEADLK, "must not wait for others of its queue" },
	{ KEPT, submit_too_many, -EAGAIN, "its depth is 1" },
	{ KEPT, submit_cancelled, -ECANCELED, "the queue was cancelled" },
	{ INDEX, iterate_stopped, UDS_ERR_STOPPED, "going through all records" },
	{ INDEX, chapter_that_is_not_there, UDS_ERR_OUT_OF_RANGE, "behind the open one" },
	{ INDEX, statistics_of_no_size, -EINVAL, "struct uds_index_statistics" },
	{ INDEX, configuration_of_no_size, -EINVAL, "struct uds_configuration" },
	{ STORE_RO, drop_read_only, UDS_ERR_READ_ONLY, "read only" },
	{ STORE_RO, prepare_read_only, UDS_ERR_READ_ONLY, "old chunk 5" },
	{ STORE_RO, merge_read_only, UDS_ERR_READ_ONLY, "read only" },
	{ STORE, prepare_twice, UDS_ERR_EXISTS, "old chunk 5" },
	{ STORE, prepare_too_far, UDS_ERR_OVERFLOW, "old chunk 36028797018963968" },
	{ STORE, commit_foreign, UDS_ERR_BAD_STATE, "old chunk 7 -> new chunk 77" },
	{ STORE, abandon_foreign, UDS_ERR_BAD_STATE, "old chunk 7 -> new chunk 77" },
	{ STORE, merge_with_exceptions_out, UDS_ERR_BAD_STATE, "1 exceptions are given out" },
	{ STORE, commit_no_merge, UDS_ERR_BAD_STATE, "no merge was prepared" },
	{ STORE, store_line_too_short, -ERANGE, "room for 4" },
	{ STORE, store_status_of_no_size, -EINVAL, "struct uds_exception_store_status" },
	{ STORE, ranges_stopped, UDS_ERR_STOPPED, "ranges" },
	{ STORE, walk_stopped, UDS_ERR_STOPPED, "stopped on request" },
	{ SNAPSHOT, read_past_the_end, UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ SNAPSHOT, read_a_part_past_the_end, UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ SNAPSHOT, read_a_part_of_the_origin_past_the_end, UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ SNAPSHOT, write_a_part_past_the_end, UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ SNAPSHOT, write_a_part_of_the_origin_past_the_end, UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ SNAPSHOT, salvage_past_the_end, UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ SNAPSHOT, find_data_past_the_end, UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ SNAPSHOT, find_data_of_the_origin_past_the_end, UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ SNAPSHOT, differences_of_two_origins, -EINVAL, "only snapshots of one origin" },
	{ SNAPSHOT, read_origin_past_the_end, UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ SNAPSHOT, write_past_the_end, UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ SNAPSHOT, line_too_short, -ERANGE, "room for 4" },
	{ SNAPSHOT, status_of_no_size, -EINVAL, "struct uds_snapshot_status" },
	{ SNAPSHOT, changed_ranges_stopped, UDS_ERR_STOPPED, "changed ranges" },
	{ SNAPSHOT, read_invalid, UDS_ERR_INVALID_SNAPSHOT, "invalid" },
	{ SNAPSHOT, changed_ranges_invalid, UDS_ERR_INVALID_SNAPSHOT, "is invalid" },
	{ SNAPSHOT_RO, write_read_only, UDS_ERR_READ_ONLY, "read only" },
	{ SNAPSHOT_RO, write_origin_read_only, UDS_ERR_READ_ONLY, "read only" },
	{ SNAPSHOT_RO, invalidate_read_only, UDS_ERR_READ_ONLY, "read only" },
	{ SNAPSHOT_RO, merge_read_only_snapshot, UDS_ERR_READ_ONLY, "read only" },
	{ SNAPSHOT_RO, begin_merge_read_only, UDS_ERR_READ_ONLY, "read only" },
	{ IO, io_read_past_the_end, UDS_ERR_OUT_OF_RANGE, "reading 1 bytes at 1099511627776" },
	{ SEALED, io_write_read_only, UDS_ERR_READ_ONLY, "sealed: writing 1 bytes at 0" },
	{ SEALED, io_read_unaligned, UDS_ERR_UNALIGNED, "sealed: reading 3 bytes at 5" },
	{ SEALED, io_map_not_there, -EOPNOTSUPP, "sealed: mapping 512 bytes at 0" },
	{ SEALED, io_places_not_there, -EOPNOTSUPP, "sealed: asking where its bytes are" },
	{ SEALED, io_write_zeroes_read_only, UDS_ERR_READ_ONLY,
	  "sealed: writing 512 bytes of zeroes" },
	{ IO, io_find_data_past_the_end, UDS_ERR_OUT_OF_RANGE,
	  "looking for data at 1099511627776" },
	{ SEALED, io_discard_not_there, -EOPNOTSUPP, "sealed: discarding 512 bytes at 0" },
	{ SEALED, io_resize_not_there, -EOPNOTSUPP, "sealed: resizing it to 512" },
	{ SEALED, io_flush_fails, -EIO, "sealed: flushing" },
	{ ENGINE, engine_full, -EBUSY, "2 requests for an engine of depth 1" },
	{ ENGINE, engine_without_room, -EINVAL, "2 requests with room for 1" },
	{ ENGINE, engine_statistics_of_no_size, -EINVAL, "struct uds_io_engine_statistics" },
	{ ENGINE, engine_buffer_of_nothing, -EINVAL, "adding a buffer of 0 bytes" },
	{ ENGINE, engine_buffer_not_there, -EINVAL, "removing a buffer" },
	{ VOLUME, volume_info_of_no_size, -EINVAL, "struct uds_volume_info" },
	{ VOLUME, volume_configuration_of_no_size, -EINVAL, "struct uds_configuration" },
	{ VOLUME, volume_search_nowhere, UDS_ERR_OUT_OF_RANGE, "chapter 77" },
	{ VOLUME, volume_page_nowhere, UDS_ERR_OUT_OF_RANGE, "record page 99" },
	{ VOLUME, volume_index_page_nowhere, UDS_ERR_OUT_OF_RANGE, "index page 99" },
	{ VOLUME, volume_write_nothing, UDS_ERR_BAD_STATE, "without records" },
	{ VOLUME, volume_write_too_many, -EINVAL, "100000 records" },
	{ CHAPTER, chapter_put_full, UDS_ERR_OVERFLOW, "zone 0, which is full" },
	{ CHAPTER, chapter_save_too_short, UDS_ERR_OVERFLOW, "saving it into 4 bytes" },
	{ CHAPTER, chapter_close_empty, UDS_ERR_BAD_STATE, "without a live record" },
	{ CHAPTER, chapter_close_too_short, UDS_ERR_OVERFLOW, "1 bytes are less than" },
	{ CHAPTER, chapter_load_damaged, UDS_ERR_CORRUPT, "open chapter" },
	{ CHAPTER_INDEX, chapter_index_put_nowhere, -EINVAL, "record page 2" },
	{ CHAPTER_INDEX, chapter_index_pack_nothing, -EINVAL, "100000" },
	{ CHAPTER_INDEX, chapter_index_statistics_of_no_size, -EINVAL,
	  "struct uds_chapter_index_statistics" },
	{ FORMAT, page_damaged, UDS_ERR_CORRUPT, "nonce" },
	{ FORMAT, page_validate_of_no_size, -EINVAL, "struct uds_index_page" },
	{ FORMAT, page_search_elsewhere, UDS_ERR_OUT_OF_RANGE, "searching list" },
};

#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

START_TEST(each_failing_call_leaves_its_own_sentence)
{
	const struct row *row = &rows[_i];
	const struct handle *handle = &handles[row->handle];

	open_indexes();
	open_snapshots();
	open_parts();
	handle->get(&message);
	ck_assert_str_eq(message.text, "");
	ck_assert_int_eq(row->call(), row->status);
	handle->get(&message);
	ck_assert_msg(strstr(message.text, row->words) != NULL, "\"%s\" has no \"%s\"",
		      message.text, row->words);
	ck_assert_int_eq(handle->good(), 0);
	handle->get(&message);
	ck_assert_str_eq(message.text, "");
	close_parts();
	close_all();
}
END_TEST

/* ---- threads ---- */

struct failing_thread {
	pthread_t thread;
	unsigned int number;
	bool wrong;
};

#define THREADS 4
#define ROUNDS	2000

/* Fails with a kind of its own in each round, and in between asks what succeeds. */
static void *fail_often(void *context)
{
	struct failing_thread *self = context;
	struct uds_message text;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint8_t kind = (uint8_t)(10 + self->number * 50 + i % 50);
		struct uds_request request = { .kind = kind };
		char expected[40];

		if (uds_index_run(the_index, &request, 1) != -EINVAL)
			self->wrong = true;
		uds_index_error_message(the_index, &text);
		snprintf(expected, sizeof(expected), "no request of kind %u", kind);
		if (strstr(text.text, expected) == NULL)
			self->wrong = true;
		if (i % 7 == 0) {
			(void)uds_index_peek(the_index, &name, NULL, NULL);
			uds_index_error_message(the_index, &text);
			if (text.text[0] != '\0')
				self->wrong = true;
		}
	}
	return NULL;
}

START_TEST(threads_that_fail_differently_read_their_own_sentences)
{
	struct failing_thread threads[THREADS];

	open_indexes();
	open_snapshots();
	for (unsigned int i = 0; i < THREADS; i++) {
		threads[i].number = i;
		threads[i].wrong = false;
		ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, fail_often, &threads[i]),
				 0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(threads[i].thread, NULL);
		ck_assert(!threads[i].wrong);
	}
	uds_index_error_message(the_index, &message);
	ck_assert_str_eq(message.text, "");
	close_all();
}
END_TEST

/* ---- the table of sentences itself ---- */

static struct failures *table;

static void *say_once(void *context)
{
	struct uds_message *text = context;

	failures_say(table, -EIO, "of a thread");
	failures_get(table, text);
	return NULL;
}

static void *only_get(void *context)
{
	failures_get(table, context);
	return NULL;
}

static void run_thread(void *(*work)(void *), struct uds_message *text)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, work, text), 0);
	pthread_join(thread, NULL);
}

static struct uds_index_queue *queue_of_three(void)
{
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	struct uds_index_queue *queue = NULL;

	options.threads = 3;
	if (uds_index_queue_open(the_index, &options, &queue) < 0)
		uds_index_error_message(the_index, &message);
	return queue;
}

/* Makes each thread need more memory for its stack than there is. */
static void set_stacks(size_t bytes)
{
	pthread_attr_t attributes;

	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&attributes, bytes), 0);
	ck_assert_int_eq(pthread_setattr_default_np(&attributes), 0);
	pthread_attr_destroy(&attributes);
}

START_TEST(what_gets_no_thread_says_so)
{
	struct uds_index *second = NULL;
	struct uds_index_queue *queue;
	pthread_attr_t before;
	size_t bytes;

	open_indexes();
	open_snapshots();
	open_parts();
	ck_assert_int_eq(pthread_getattr_default_np(&before), 0);
	ck_assert_int_eq(pthread_attr_getstacksize(&before, &bytes), 0);
	set_stacks(SIZE_MAX / 4 & ~(size_t)0xffff);
	queue = queue_of_three();
	/* Some sanitizers choose the size of stacks by themselves. */
	if (queue == NULL) {
		ck_assert_str_eq(message.text, "mem:: opening a queue: thread 1 of 3 cannot be "
					       "made: the system has no more threads");
		ck_assert_int_eq(uds_open_chapter_put(chapter, &name, &data, NULL), 0);
		ck_assert_int_eq(uds_volume_write_chapter(volume, chapter, NULL, &message),
				 -EAGAIN);
		ck_assert_str_eq(message.text, "mem:: the thread that writes chapters cannot be "
					       "made: the system has no more threads");
		ck_assert_int_eq(uds_index_open(io, NULL, &message, &second), -EAGAIN);
		ck_assert_str_eq(message.text, "mem:: the system has no more threads");
	}
	uds_index_queue_close(queue);
	set_stacks(bytes);
	/* All of them go on when there are threads. */
	queue = queue_of_three();
	ck_assert_ptr_nonnull(queue);
	uds_index_queue_close(queue);
	close_parts();
	close_all();
}
END_TEST

START_TEST(sentences_of_dead_threads_are_bounded_and_found_by_nobody)
{
	struct uds_message text;
	struct torture_env torture;
	struct uds_env env;
	uint64_t bytes;

	torture_env_start(&torture);
	ck_assert_int_eq(env_complete(&torture.env, &env), 0);
	ck_assert_int_eq(failures_make(&env, &table), 0);
	failures_say(table, -EIO, "the first");
	for (int i = 0; i < FAILURES_MAX; i++) {
		run_thread(say_once, &text);
		ck_assert_str_eq(text.text, "of a thread");
		run_thread(only_get, &text);
		ck_assert_str_eq(text.text, "");
	}
	bytes = torture.bytes;
	for (int i = 0; i < FAILURES_MAX; i++)
		run_thread(say_once, &text);
	ck_assert_uint_eq(torture.bytes, bytes);
	failures_free(table);
	torture_env_end(&torture);
}
END_TEST

START_TEST(without_memory_the_text_of_the_status_stands_in)
{
	struct uds_message text;
	struct torture_env torture;
	struct uds_env env;

	torture_env_start(&torture);
	ck_assert_int_eq(env_complete(&torture.env, &env), 0);
	ck_assert_int_eq(failures_make(&env, &table), 0);
	torture_env_fail_at(&torture, 1, true);
	failures_say(table, -EIO, "the whole sentence of the first thread");
	failures_get(table, &text);
	ck_assert_str_eq(text.text, "the whole sentence of the first thread");
	run_thread(say_once, &text);
	ck_assert_str_eq(text.text, uds_strerror(-EIO));
	failures_free(table);
	torture_env_end(&torture);
}
END_TEST

START_TEST(a_held_sentence_stays_until_the_next_call)
{
	struct uds_message text;
	struct uds_env env;

	ck_assert_int_eq(env_complete(NULL, &env), 0);
	ck_assert_int_eq(failures_make(&env, &table), 0);
	failures_begin(table);
	failures_say(table, -EIO, "exact");
	failures_hold(table, -EIO, "general");
	failures_say(table, -EINVAL, "later");
	failures_get(table, &text);
	ck_assert_str_eq(text.text, "exact");
	ck_assert_int_eq(failures_end(table, -EIO, "what"), -EIO);
	failures_get(table, &text);
	ck_assert_str_eq(text.text, "exact");
	failures_begin(table);
	failures_get(table, &text);
	ck_assert_str_eq(text.text, "");
	ck_assert_int_eq(failures_end(table, -EIO, "what %d", 3), -EIO);
	failures_get(table, &text);
	ck_assert_msg(strncmp(text.text, "what 3: ", 8) == 0, "%s", text.text);
	ck_assert_int_eq(failures_end(table, 0, "what"), 0);
	failures_get(table, &text);
	ck_assert_str_eq(text.text, "");
	failures_free(table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("failures");
	TCase *tc = tcase_create("failures");

	tcase_add_loop_test(tc, each_failing_call_leaves_its_own_sentence, 0, ROWS);
	tcase_add_test(tc, threads_that_fail_differently_read_their_own_sentences);
	tcase_add_test(tc, what_gets_no_thread_says_so);
	tcase_add_test(tc, sentences_of_dead_threads_are_bounded_and_found_by_nobody);
	tcase_add_test(tc, without_memory_the_text_of_the_status_stands_in);
	tcase_add_test(tc, a_held_sentence_stays_until_the_next_call);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
