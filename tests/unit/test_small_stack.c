/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much stack the public calls need: those of the index, snapshots and what lies
 * below. See small_stack.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds.h>

#include "check_main.h"
#include "loop_device.h"
#include "small_stack.h"

#define RECORDS 1500u

static int keep_going(void *context, uint64_t done, uint64_t total)
{
	(void)context, (void)done, (void)total;
	return 0;
}

static int each_record(void *context, const struct uds_record_name *name,
		       const struct uds_record_data *data)
{
	(void)name, (void)data;
	++*(uint64_t *)context;
	return 0;
}

static int ignore_finding(void *context, const char *sentence)
{
	(void)context, (void)sentence;
	return 0;
}

static struct uds_record_name name_of(uint64_t number)
{
	struct uds_record_name name;

	uds_record_name_of_block(&number, sizeof(number), &name);
	return name;
}

/* A single request of each kind, and batches of all kinds, two that do not exist among them. */
static void carry_out(struct uds_index *index)
{
	static struct uds_request requests[RECORDS];
	struct uds_record_data data = { { 0 } };
	struct uds_record_name name = name_of(1000000);
	bool found;

	good(MEASURE(uds_index_post(index, &name, &data, NULL, &found)));
	good(MEASURE(uds_index_query(index, &name, &data, &found)));
	good(MEASURE(uds_index_peek(index, &name, &data, &found)));
	good(MEASURE(uds_index_update(index, &name, &data, NULL, &found)));
	good(MEASURE(uds_index_delete(index, &name, &found)));
	for (unsigned int round = 0; round < 3; round++) {
		memset(requests, 0, sizeof(requests));
		for (unsigned int i = 0; i < RECORDS; i++) {
			requests[i].name = name_of(i);
			requests[i].kind = (uint8_t)(round == 0 ? UDS_POST : i % 7);
		}
		(void)MEASURE(uds_index_run(index, requests, RECORDS));
	}
}

static void count_operation(struct uds_index_operation *operation)
{
	++*(unsigned int *)operation->request.user;
}

/* Requests of all kinds and a flush, carried out in a call of each kind that does so. */
static void use_queue(struct uds_index *index)
{
	static struct uds_index_operation operations[RECORDS];
	static struct uds_index_operation *pointers[RECORDS];
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	struct uds_index_queue *queue;
	unsigned int calls = 0;
	int descriptor;

	memset(operations, 0, sizeof(operations));
	for (unsigned int i = 0; i < RECORDS; i++) {
		pointers[i] = &operations[i];
		operations[i].request.name = name_of(i);
		operations[i].request.kind = (uint8_t)(i % 7);
		operations[i].request.user = &calls;
		operations[i].completed = count_operation;
	}
	operations[1].kind = UDS_OPERATION_FLUSH;
	options.depth = 500;
	good(MEASURE(uds_index_queue_open(index, &options, &queue)));
	good(MEASURE(uds_index_queue_event_descriptor(queue, &descriptor)));
	ck_assert_int_eq(MEASURE(uds_index_submit(queue, pointers, RECORDS, -1)), RECORDS);
	good(MEASURE(uds_index_reap(queue, NULL, 0, SIZE_MAX, -1)));
	ck_assert_uint_eq(calls, RECORDS);
	ck_assert_int_eq(uds_index_submit(queue, pointers, 500, 0), 500);
	ck_assert_uint_eq(MEASURE(uds_index_queue_in_flight(queue)), 500);
	MEASURE_VOID(uds_index_queue_cancel(queue));
	MEASURE_VOID(uds_index_queue_close(queue));
}

static void use_index(struct uds_io *io, struct uds_index_options *options)
{
	struct uds_index_statistics statistics = UDS_INDEX_STATISTICS_INIT;
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_message message;
	struct uds_index *index;
	uint64_t count = 0, next;

	good(MEASURE(uds_index_open(io, options, &message, &index)));
	carry_out(index);
	good(MEASURE(uds_index_flush(index)));
	good(MEASURE(uds_index_for_each(index, each_record, &count)));
	good(MEASURE(uds_index_for_each_in_chapter(index, 0, each_record, &count, &next)));
	good(MEASURE(uds_index_get_statistics(index, &statistics)));
	good(MEASURE(uds_index_get_configuration(index, &configuration)));
	good(MEASURE(uds_index_save(index)));
	carry_out(index);
	use_queue(index);
	MEASURE_VOID(uds_index_error_message(index, &message));
	good(MEASURE(uds_index_close(index)));
}

/* Every mode, with a save and after a crash; then with damage all over the volume. */
static void live_of_index(void *context)
{
	struct uds_index_info_options info_options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct uds_index_damage damage = UDS_INDEX_DAMAGE_INIT;
	static struct uds_request request;
	struct uds_message message;
	struct uds_io *io = context;
	struct uds_index *index;
	static uint8_t junk[4096] __attribute__((aligned(4096)));
	uint64_t findings, bytes;

	options.zones = 4;
	options.progress = keep_going;
	info_options.check_save = true;
	use_index(io, &options);
	use_index(io, &options);
	good(MEASURE(uds_index_read_info(io, &info_options, &message, &info)));
	good(MEASURE(uds_index_verify(io, &options, ignore_finding, NULL, &message, &findings)));
	options.mode = UDS_INDEX_RECOVER;
	use_index(io, &options);
	options.mode = UDS_INDEX_READ_ONLY;
	good(MEASURE(uds_index_open(io, &options, &message, &index)));
	request.kind = UDS_POST;
	(void)MEASURE(uds_index_run(index, &request, 1));
	good(MEASURE(uds_index_close(index)));

	options.mode = UDS_INDEX_LOAD_OR_RECOVER;
	options.check_nonce = true;
	for (uint64_t at = 0; at <= sizeof(junk); at += sizeof(junk)) {
		good(uds_io_read(io, junk, sizeof(junk), at));
		memset(junk, 0xa5,
		       8); /* the magic of the super block, and that of the config block */
		good(uds_io_write(io, junk, sizeof(junk), at));
		good(MEASURE(uds_index_read_damage(io, &options, &message, &damage)));
		good(MEASURE(
			uds_index_repair(io, &options, ignore_finding, NULL, &message, &findings)));
	}
	options.check_nonce = false;
	good(MEASURE(uds_index_read_damage(io, &options, &message, &damage)));

	good(uds_io_size(io, &bytes));
	memset(junk, 0xa5, sizeof(junk));
	options.mode = UDS_INDEX_LOAD_OR_RECOVER;
	good(MEASURE(uds_index_open(io, &options, &message, &index)));
	for (uint64_t at = 16 * sizeof(junk); at < bytes; at += 3 * sizeof(junk))
		good(uds_io_write(io, junk, sizeof(junk), at));
	carry_out(index);
	(void)MEASURE(uds_index_save(index));
	(void)uds_index_close(index);
	(void)MEASURE(uds_index_read_info(io, &info_options, &message, &info));
	(void)MEASURE(uds_index_verify(io, &options, ignore_finding, NULL, &message, &findings));
	options.lose_records = true;
	(void)MEASURE(uds_index_repair(io, &options, ignore_finding, NULL, &message, &findings));
	options.mode = UDS_INDEX_RECOVER;
	if (MEASURE(uds_index_open(io, &options, &message, &index)) == 0)
		(void)MEASURE(uds_index_close(index));
}

static void format_index(void *context)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_message message;

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 2;
	configuration.chapters_per_volume = 8;
	good(MEASURE(uds_index_format(context, &configuration, NULL, &message)));
}

static void format_sparse_index(void *context)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_message message;

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 2;
	configuration.chapters_per_volume = 8;
	configuration.sparse_chapters_per_volume = 6;
	configuration.sparse_sample_rate = 2;
	good(MEASURE(uds_index_format(context, &configuration, NULL, &message)));
}

/* Over 4 MiB, or as much as the index takes; the I/O is closed. */
static void try_index(struct uds_io *io)
{
	on_small_stack(format_index, io);
	on_small_stack(live_of_index, io);
	on_small_stack(format_sparse_index, io);
	on_small_stack(live_of_index, io);
	ck_assert_int_eq(uds_io_close(io), 0);
}

START_TEST(index_in_memory)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(8 << 20, 1, NULL, NULL, &io), 0);
	try_index(io);
}
END_TEST

struct opening {
	const char *path;
	struct uds_io_file_options options;
	struct uds_io *io;
};

static void open_file(void *context)
{
	struct opening *o = context;
	struct uds_message message;

	good(MEASURE(uds_io_open_file(o->path, &o->options, NULL, &message, &o->io)));
	good(MEASURE(uds_io_resize(o->io, 8 << 20)));
}

static void use_device(void *context)
{
	struct opening *o = context;
	struct uds_io_place places[8];
	struct uds_message message;
	struct uds_io *second;
	size_t count;

	good(MEASURE(uds_io_open_file(o->path, &o->options, NULL, &message, &o->io)));
	good(MEASURE(uds_io_places(o->io, places, 8, &count)));
	(void)MEASURE(uds_io_open_file(o->path, &o->options, NULL, &message, &second));
	good(MEASURE(uds_io_close(o->io)));
}

static void be_refused(void *context)
{
	struct opening *o = context;
	struct uds_message message;

	(void)MEASURE(uds_io_open_file(o->path, &o->options, NULL, &message, &o->io));
}

/* Finding out who uses a device, and what it stands on. */
START_TEST(a_device)
{
	struct opening o = { .options = UDS_IO_FILE_OPTIONS_INIT };
	struct loop_device lower, upper;
	char image[300], why[200];

	snprintf(image, sizeof(image), "%s/image", scratch_dir());
	if (loop_attach(image, 1 << 20, 512, false, &lower, why, sizeof(why)) < 0)
		skip_test("a_device: %s", why);
	if (loop_attach_over(lower.path, 4096, 0, &upper, why, sizeof(why)) < 0)
		skip_test("a_device: %s", why);
	o.options.write = true;
	o.path = upper.path;
	on_small_stack(use_device, &o);
	o.path = image;
	on_small_stack(be_refused, &o);
	loop_detach(&upper);
	loop_detach(&lower);
	unlink(image);
}
END_TEST

/* Plain, with io_uring where it is there, and with O_DIRECT where the file system has it. */
START_TEST(index_in_a_file)
{
	char path[4096];
	struct opening o = { .path = path, .options = UDS_IO_FILE_OPTIONS_INIT };

	snprintf(path, sizeof(path), "%s/index", scratch_dir());
	o.options.write = true;
	o.options.create = true;
	o.options.uring = _i == 1;
	o.options.direct = _i == 2 ? UDS_IO_DIRECT_AUTO : UDS_IO_DIRECT_NO;
	on_small_stack(open_file, &o);
	try_index(o.io);
	unlink(path);
}
END_TEST

static void use_io(void *context)
{
	static uint8_t block[4096] __attribute__((aligned(4096)));
	struct uds_io_request request = { .kind = UDS_IO_WRITE, .buffer = block, .length = 4096 };
	struct uds_io_request *one = &request, *done;
	struct uds_io_engine_statistics counts = UDS_IO_ENGINE_STATISTICS_INIT;
	struct uds_io_engine *engine;
	int descriptor;
	struct uds_io_place places[8];
	struct opening *o = context;
	struct uds_message message;
	struct uds_io *other;
	const void *view;
	uint64_t bytes;
	size_t count;

	good(MEASURE(uds_io_open_uri(o->path, &o->options, NULL, &message, &o->io)));
	good(MEASURE(uds_io_resize(o->io, 1 << 20)));
	good(MEASURE(uds_io_write(o->io, block, sizeof(block), 0)));
	good(MEASURE(uds_io_read(o->io, block, sizeof(block), 0)));
	(void)MEASURE(uds_io_read(o->io, block, sizeof(block), 1 << 30));
	MEASURE_VOID(uds_io_error_message(o->io, &message));
	good(MEASURE(uds_io_flush(o->io)));
	good(MEASURE(uds_io_size(o->io, &bytes)));
	(void)MEASURE(uds_io_discard(o->io, 0, 4096));
	(void)MEASURE(uds_io_map(o->io, 0, 4096, &view));
	(void)MEASURE(uds_io_places(o->io, places, 8, &count));
	good(MEASURE(uds_io_write_zeroes(o->io, 4096, 8192)));
	good(MEASURE(uds_io_engine_open(NULL, NULL, NULL, &engine)));
	good(MEASURE(uds_io_engine_add_buffer(engine, block, sizeof(block))));
	request.io = o->io;
	good(MEASURE(uds_io_engine_submit(engine, &one, 1)));
	good(MEASURE(uds_io_engine_reap(engine, &done, 1, 1, -1)));
	good(MEASURE(uds_io_engine_get_statistics(engine, &counts)));
	good(MEASURE(uds_io_engine_remove_buffer(engine, block)));
	good(MEASURE(uds_io_engine_event_descriptor(engine, &descriptor)));
	MEASURE_VOID(uds_io_engine_error_message(engine, &message));
	MEASURE_VOID(uds_io_engine_close(engine));
	good(MEASURE(uds_io_open_memory(65536, 512, NULL, NULL, &other)));
	(void)MEASURE(uds_io_overlap(o->io, other));
	(void)MEASURE(uds_io_overlap(other, o->io));
	good(MEASURE(uds_io_close(other)));
	(void)MEASURE(uds_io_open_uri("nothing:of-the-kind", NULL, NULL, &message, &other));
	(void)MEASURE(uds_io_open_file("/nothing/here", NULL, NULL, &message, &other));
	good(MEASURE(uds_io_close(o->io)));
}

START_TEST(io_calls)
{
	char uri[4096];
	const char *path = uri + strlen("file:");
	struct opening o = { .path = _i == 1 ? uri : path, .options = UDS_IO_FILE_OPTIONS_INIT };

	snprintf(uri, sizeof(uri), "file:%s/io", scratch_dir());
	o.options.write = true;
	o.options.create = true;
	o.options.uring = _i == 1;
	on_small_stack(use_io, &o);
	unlink(path);
}
END_TEST

struct pair {
	struct uds_io *origin, *cow;
};

static int each_range(void *context, uint64_t offset, uint64_t length)
{
	(void)context, (void)offset, (void)length;
	return 0;
}

static int each_new_range(void *context, uint64_t old_chunk, uint64_t new_chunk, uint64_t count)
{
	(void)context, (void)old_chunk, (void)new_chunk, (void)count;
	return 0;
}

static int each_entry(void *context, uint64_t area, uint64_t index,
		      const struct uds_exception *exception)
{
	(void)context, (void)area, (void)index, (void)exception;
	return 0;
}

static int each_finding(void *context, const struct uds_exception_finding *finding)
{
	(void)context, (void)finding;
	return 0;
}

static int each_loss(void *context, const struct uds_snapshot_loss *loss)
{
	(void)context, (void)loss;
	return 0;
}

static void format_store(struct uds_io *cow)
{
	struct uds_exception_store_format_options options = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_message message;

	options.chunk_bytes = 512;
	options.force = true;
	good(MEASURE(uds_exception_store_format(cow, &options, &message)));
}

static void use_store(void *context)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct uds_exception_store *store;
	static struct uds_exception exceptions[400];
	static bool hidden[400];
	struct uds_message message;
	struct pair *pair = context;
	uint64_t chunk, run, findings;
	char line[200];
	size_t count;

	format_store(pair->cow);
	good(MEASURE(uds_exception_store_open(pair->cow, NULL, &message, &store)));
	for (uint64_t i = 0; i < 400; i++)
		good(MEASURE(uds_exception_store_prepare(store, i * 7 % 401, &exceptions[i])));
	good(MEASURE(uds_exception_store_commit(store, exceptions, 399)));
	good(MEASURE(uds_exception_store_abandon(store, exceptions + 399, 1)));
	(void)MEASURE(uds_exception_store_lookup(store, 7, &chunk, &run));
	good(MEASURE(uds_exception_store_for_each_range(store, 0, 1000, each_new_range, NULL)));
	good(MEASURE(uds_exception_store_for_each_entry(store, each_entry, NULL)));
	good(MEASURE(uds_exception_store_get_status(store, &status)));
	(void)MEASURE(uds_exception_store_status_line(store, line, sizeof(line)));
	good(MEASURE(uds_exception_store_prepare_merge(store, exceptions, &run)));
	good(MEASURE(uds_exception_store_commit_merge(store, run)));
	good(MEASURE(
		uds_exception_store_prepare_merge_batch(store, exceptions, hidden, 300, &count)));
	good(MEASURE(uds_exception_store_commit_merge(store, count)));
	good(MEASURE(uds_exception_store_end_merge(store)));
	MEASURE_VOID(uds_exception_store_error_message(store, &message));
	good(MEASURE(uds_exception_store_close(store)));
	good(MEASURE(uds_exception_store_open(pair->cow, NULL, &message, &store)));
	good(MEASURE(uds_exception_store_verify(pair->cow, NULL, each_finding, NULL, &message,
						&findings)));
	good(MEASURE(uds_exception_store_invalidate(store)));
	good(MEASURE(uds_exception_store_close(store)));
	(void)MEASURE(uds_exception_store_verify(pair->cow, NULL, each_finding, NULL, &message,
						 &findings));
}

static void use_snapshot(void *context)
{
	struct uds_snapshot_status status = UDS_SNAPSHOT_STATUS_INIT;
	struct uds_merge_options merge = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = UDS_MERGE_RESULT_INIT;
	static uint8_t data[40000] __attribute__((aligned(4096)));
	struct pair *pair = context;
	struct uds_message message;
	struct uds_snapshot *s;
	uint64_t lost;
	char line[200];
	size_t done;

	format_store(pair->cow);
	good(MEASURE(uds_snapshot_open(pair->origin, pair->cow, NULL, &message, &s)));
	for (uint64_t at = 0; at < 500000; at += 50000) {
		good(MEASURE(uds_snapshot_write(s, data, sizeof(data), at + 100)));
		good(MEASURE(uds_snapshot_write_partial(s, data, 1000, at, &done)));
		good(MEASURE(uds_snapshot_origin_write(s, data, 20000, at + 30000)));
		good(MEASURE(uds_snapshot_origin_write_partial(s, data, 700, at, &done)));
		good(MEASURE(uds_snapshot_read(s, data, sizeof(data), at + 7)));
		good(MEASURE(uds_snapshot_read_partial(s, data, sizeof(data), at, &done)));
		good(MEASURE(uds_snapshot_origin_read(s, data, sizeof(data), at)));
		good(MEASURE(uds_snapshot_origin_read_partial(s, data, 900, at, &done)));
	}
	good(MEASURE(uds_snapshot_salvage(s, data, sizeof(data), 0, each_loss, NULL, &lost)));
	good(MEASURE(uds_snapshot_flush(s)));
	good(MEASURE(uds_snapshot_get_status(s, &status)));
	(void)MEASURE(uds_snapshot_status_line(s, line, sizeof(line)));
	good(MEASURE(uds_snapshot_for_each_changed_range(s, 0, 1 << 20, each_range, NULL)));
	(void)MEASURE(uds_snapshot_read(s, data, sizeof(data), UINT64_C(1) << 50));
	MEASURE_VOID(uds_snapshot_error_message(s, &message));
	merge.dry_run = true;
	good(MEASURE(uds_snapshot_merge(s, &merge, &result)));
	merge.dry_run = false;
	merge.limit = 100;
	merge.skip_equal = true;
	good(MEASURE(uds_snapshot_begin_merge(s)));
	(void)MEASURE(uds_snapshot_merge(s, &merge, &result));
	MEASURE_VOID(uds_snapshot_stop_merge(s));
	merge.limit = 0;
	good(MEASURE(uds_snapshot_merge(s, &merge, &result)));
	(void)MEASURE(uds_snapshot_end_merge(s));
	good(MEASURE(uds_snapshot_close(s)));
	format_store(pair->cow);
	good(MEASURE(uds_snapshot_open(pair->origin, pair->cow, NULL, &message, &s)));
	good(MEASURE(uds_snapshot_invalidate(s)));
	good(MEASURE(uds_snapshot_close(s)));
}

START_TEST(exception_store)
{
	struct pair pair;

	ck_assert_int_eq(uds_io_open_memory(2 << 20, 1, NULL, NULL, &pair.cow), 0);
	on_small_stack(use_store, &pair);
	ck_assert_int_eq(uds_io_close(pair.cow), 0);
}
END_TEST

START_TEST(snapshot)
{
	struct pair pair;

	ck_assert_int_eq(uds_io_open_memory(2 << 20, 1, NULL, NULL, &pair.cow), 0);
	ck_assert_int_eq(uds_io_open_memory(1 << 20, 1, NULL, NULL, &pair.origin), 0);
	on_small_stack(use_snapshot, &pair);
	ck_assert_int_eq(uds_io_close(pair.origin), 0);
	ck_assert_int_eq(uds_io_close(pair.cow), 0);
}
END_TEST

/* The layers below: chapters, their pages, and the volume. */
static void use_chapters(void *context)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_index_page page = UDS_INDEX_PAGE_INIT;
	static uint8_t pages[2 * 4096], index_page[4096], saved[1 << 14];
	static struct uds_record records[128];
	struct uds_chapter_index *index;
	struct uds_open_chapter *chapter;
	struct uds_page_format *format;
	struct uds_volume *volume;
	struct uds_message message;
	struct uds_record_data data;
	struct uds_record_name name;
	uint64_t dropped, vcn;
	uint32_t room, lists, at;
	bool found;

	(void)context;
	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 2;
	configuration.chapters_per_volume = 8;
	good(MEASURE(uds_open_chapter_make(&configuration, 2, NULL, &message, &chapter)));
	good(MEASURE(uds_chapter_index_make(&configuration, 7, NULL, &message, &index)));
	good(MEASURE(uds_page_format_make(&configuration, 7, NULL, &message, &format)));
	memset(&data, 0, sizeof(data));
	for (uint64_t i = 0; i < 200; i++) {
		name = name_of(i);
		(void)MEASURE(uds_open_chapter_put(chapter, &name, &data, &room));
	}
	(void)MEASURE(uds_open_chapter_search(chapter, &name, &data));
	MEASURE_VOID(uds_chapter_index_reset(index, 3));
	good(MEASURE(uds_open_chapter_close(chapter, index, pages, sizeof(pages))));
	good(MEASURE(uds_chapter_index_pack_page(index, 0, true, index_page, &lists, &message)));
	good(MEASURE(uds_chapter_index_initialize_page(format, index_page, &message, &page)));
	good(MEASURE(uds_chapter_index_validate_page(format, &page, &message)));
	good(MEASURE(uds_chapter_index_search_page(format, &page, &name, &found, &at)));
	(void)MEASURE(uds_record_page_search(pages, 128, &name, &data));
	(void)MEASURE(uds_record_page_check(pages, 128, NULL, &at));
	good(MEASURE(uds_open_chapter_save(chapter, saved, sizeof(saved))));
	MEASURE_VOID(uds_open_chapter_reset(chapter));
	good(MEASURE(uds_open_chapter_load(chapter, saved, sizeof(saved), NULL, NULL, &dropped,
					   &message)));
	for (uint64_t i = 0; i < 128; i++)
		records[i].name = name_of(i);
	good(MEASURE(uds_record_page_encode(records, 128, NULL, NULL, pages)));
	good(MEASURE(uds_volume_open(context, NULL, &message, &volume)));
	good(MEASURE(uds_volume_write_chapter(volume, chapter, &vcn, &message)));
	good(MEASURE(uds_volume_write_records(volume, records, 128, &vcn, &message)));
	good(MEASURE(uds_volume_search(volume, vcn, &records[5].name, &found, &data, &message)));
	good(MEASURE(uds_volume_read_index_page(volume, vcn, 0, index_page, &message)));
	good(MEASURE(uds_volume_read_record_page(volume, vcn, 1, index_page, &message)));
	MEASURE_VOID(uds_volume_close(volume));
	MEASURE_VOID(uds_open_chapter_free(chapter));
	MEASURE_VOID(uds_chapter_index_free(index));
	MEASURE_VOID(uds_page_format_free(format));
}

START_TEST(chapters_and_volume)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(8 << 20, 1, NULL, NULL, &io), 0);
	on_small_stack(format_index, io);
	on_small_stack(use_chapters, io);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* That the measurement sees what a call uses. */
static __attribute__((noinline)) int use_some(size_t bytes)
{
	volatile uint8_t memory[bytes];

	for (size_t i = 0; i < bytes; i += 64)
		memory[i] = (uint8_t)i;
	return memory[0];
}

static void use_3000(void *context)
{
	(void)context;
	(void)MEASURE(use_some(3000));
}

START_TEST(the_measure)
{
	on_small_stack(use_3000, NULL);
	ck_assert_uint_ge(worst[0].bytes, 3000);
	ck_assert_uint_lt(worst[0].bytes, 3600);
}
END_TEST

START_TEST(nothing_where_the_compiler_adds_to_the_stack)
{
	skip_test("sanitizers, and code that is not optimised, need more stack");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stack of public calls");
	TCase *t = tcase_create("stack");

	tcase_set_timeout(t, 60);
	bind_symbols("test_small_stack");
	if (stack_is_larger()) {
		tcase_add_test(t, nothing_where_the_compiler_adds_to_the_stack);
	} else {
		tcase_add_test(t, the_measure);
		tcase_add_test(t, index_in_memory);
		tcase_add_test(t, a_device);
		tcase_add_loop_test(t, index_in_a_file, 0, 3);
		tcase_add_loop_test(t, io_calls, 0, 2);
		tcase_add_test(t, exception_store);
		tcase_add_test(t, snapshot);
		tcase_add_test(t, chapters_and_volume);
	}
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
