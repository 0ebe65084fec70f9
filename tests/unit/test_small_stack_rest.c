/* SPDX-License-Identifier: BSD-2-Clause */
/* How much stack the public calls need that test_small_stack.c does not call: see small_stack.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds.h>
#include <uds/testing.h>

#include "check_main.h"
#include "given_io.h"
#include "small_stack.h"
#include "lvm_image.h"
#include "vdo_image.h"

#define IO_BYTES (2u << 20)

/* ---- a backend that keeps the request that it is given ---- */

static struct uds_io_request *kept;

static int backend_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	(void)context, (void)offset;
	memset(buffer, 0, length);
	return 0;
}

static int backend_flush(void *context)
{
	(void)context;
	return 0;
}

static int backend_size(void *context, uint64_t *ret_bytes)
{
	(void)context;
	*ret_bytes = IO_BYTES;
	return 0;
}

static int backend_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	(void)context, (void)count;
	kept = requests[0];
	return 0;
}

static int open_nothing(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
			struct uds_message *ret_message, struct uds_io **ret_io)
{
	(void)context, (void)uri, (void)env, (void)ret_message, (void)ret_io;
	return -ENXIO;
}

static void use_engine(struct uds_io *io)
{
	static uint8_t block[4096];
	struct uds_io_request request = {
		.io = io, .kind = UDS_IO_READ, .buffer = block, .length = 4096
	};
	struct uds_io_request *one = &request, *done;
	struct uds_io_engine *engine;

	good(uds_io_engine_open(NULL, NULL, NULL, &engine));
	good(uds_io_engine_submit(engine, &one, 1));
	(void)MEASURE(uds_io_engine_in_flight(engine));
	MEASURE_VOID(uds_io_request_complete(kept, 0));
	good(uds_io_engine_reap(engine, &done, 1, 1, -1));
	uds_io_engine_close(engine);
}

static void look_at(struct uds_io *io)
{
	uint64_t begin, end;

	(void)MEASURE_POINTER(uds_io_name(io));
	(void)MEASURE(uds_io_block_bytes(io));
	(void)MEASURE(uds_io_memory_alignment(io));
	(void)MEASURE(uds_io_is_read_only(io));
	(void)MEASURE(uds_io_is_in_use(io));
	(void)MEASURE(uds_io_device_offset(io));
	(void)MEASURE(uds_io_preferred_bytes(io));
	good(MEASURE(uds_io_find_data(io, 0, &begin, &end)));
}

static void use_ios(void *context)
{
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_io_file_options file_options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io_scheme scheme = UDS_IO_SCHEME_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_io_range ranges[2];
	struct uds_message message;
	struct uds_io *io, *other;
	const int *descriptor = context;

	ops.read = backend_read;
	ops.flush = backend_flush;
	ops.get_size = backend_size;
	ops.submit = backend_submit;
	ops.close = backend_flush;
	good(MEASURE(uds_io_open_ops(&ops, NULL, NULL, NULL, NULL, &io)));
	use_engine(io);
	look_at(io);
	memset(ranges, 0, sizeof(ranges));
	for (int i = 0; i < 2; i++) {
		ranges[i].io = io;
		ranges[i].offset = i == 0 ? 8192 : 0;
		ranges[i].length = 4096;
	}
	good(MEASURE(uds_io_open_ranges(ranges, 2, &options, NULL, &message, &other)));
	look_at(other);
	good(uds_io_close(other));
	good(uds_io_close(io));
	good(MEASURE(
		uds_io_open_descriptor(*descriptor, "file", &file_options, NULL, &message, &io)));
	look_at(io);
	good(uds_io_close(io));
	scheme.name = "stack";
	scheme.open = open_nothing;
	good(MEASURE(uds_io_register_scheme(&scheme, &message)));
	(void)MEASURE(uds_io_open_uri("concat:(stack:a),(stack:b)", NULL, NULL, &message, &io));
	(void)MEASURE_POINTER(uds_version());
	(void)MEASURE_POINTER(uds_strerror(UDS_ERR_CORRUPT));
	(void)MEASURE_POINTER(uds_strerror(-EIO));
}

START_TEST(ios)
{
	char path[4096];
	int descriptor;

	snprintf(path, sizeof(path), "%s/file", scratch_dir());
	descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(descriptor, 0);
	ck_assert_int_eq(ftruncate(descriptor, IO_BYTES), 0);
	on_small_stack(use_ios, &descriptor);
	unlink(path);
}
END_TEST

/* ---- snapshots ---- */

struct devices {
	struct uds_io *origin, *cow[2];
};

static int each_range(void *context, uint64_t offset, uint64_t length)
{
	(void)context, (void)offset, (void)length;
	return 0;
}

static void use_two_snapshots(void *context)
{
	static uint8_t data[40000];
	struct devices *d = context;
	struct uds_exception_store *store;
	struct uds_snapshot *s[2];
	struct uds_message message;
	uint64_t begin, end;

	good(uds_exception_store_format(d->cow[0], NULL, &message));
	good(uds_exception_store_format(d->cow[1], NULL, &message));
	good(uds_snapshot_open(d->origin, d->cow[0], NULL, &message, &s[0]));
	good(MEASURE(uds_snapshot_open_beside(s[0], d->cow[1], NULL, &message, &s[1])));
	good(MEASURE(uds_snapshot_origin_write(s[0], data, sizeof(data), 300)));
	good(uds_snapshot_write(s[1], "x", 1, 900000));
	good(MEASURE(
		uds_snapshot_for_each_difference(s[0], s[1], 0, 1 << 20, true, each_range, NULL)));
	good(MEASURE(
		uds_snapshot_for_each_difference(s[0], NULL, 0, 1 << 20, true, each_range, NULL)));
	good(MEASURE(uds_snapshot_find_data(s[1], 0, &begin, &end)));
	good(MEASURE(uds_snapshot_origin_find_data(s[1], 0, &begin, &end)));
	(void)MEASURE(uds_snapshot_size(s[0]));
	store = (struct uds_exception_store *)MEASURE_POINTER(uds_snapshot_store(s[0]));
	(void)MEASURE(uds_exception_store_chunk_bytes(store));
	(void)MEASURE_POINTER(uds_exception_store_state_name(UDS_STORE_EMPTY));
	(void)MEASURE_POINTER(uds_exception_store_state_meaning(UDS_STORE_EMPTY));
	(void)MEASURE_POINTER(uds_snapshot_state_name(UDS_SNAPSHOT_EMPTY));
	(void)MEASURE_POINTER(uds_snapshot_state_meaning(UDS_SNAPSHOT_EMPTY));
	good(MEASURE(uds_snapshot_merge(s[1], NULL, NULL)));
	good(uds_snapshot_close(s[0]));
	good(uds_snapshot_close(s[1]));
}

START_TEST(snapshots)
{
	struct devices d;

	ck_assert_int_eq(uds_io_open_memory(1 << 20, 1, NULL, NULL, &d.origin), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(uds_io_open_memory(IO_BYTES, 1, NULL, NULL, &d.cow[i]), 0);
	on_small_stack(use_two_snapshots, &d);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(uds_io_close(d.cow[i]), 0);
	ck_assert_int_eq(uds_io_close(d.origin), 0);
}
END_TEST

/* ---- chapters and volumes ---- */

static void use_chapters(void *context)
{
	struct uds_chapter_index_statistics statistics = UDS_CHAPTER_INDEX_STATISTICS_INIT;
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_geometry geometry = UDS_GEOMETRY_INIT;
	struct uds_record_name name = { { 1 } };
	struct uds_record_data data = { { 2 } };
	struct uds_open_chapter *chapter;
	struct uds_chapter_index *index;
	struct uds_page_format *format;
	struct uds_message message;
	uint32_t number;

	(void)context;
	good(MEASURE(uds_configuration_for_memory("256M", true, &message, &configuration)));
	good(MEASURE(uds_geometry_compute(&configuration, &message, &geometry)));
	good(MEASURE(uds_geometry_physical_chapter(&configuration, 1000, NULL, &number)));
	good(uds_open_chapter_make(&configuration, 2, NULL, &message, &chapter));
	good(uds_chapter_index_make(&configuration, 7, NULL, &message, &index));
	good(uds_page_format_make(&configuration, 7, NULL, &message, &format));
	good(uds_open_chapter_put(chapter, &name, &data, &number));
	(void)MEASURE(uds_open_chapter_count(chapter));
	(void)MEASURE(uds_open_chapter_zone_of(chapter, &name));
	(void)MEASURE(uds_open_chapter_saved_bytes(chapter));
	(void)MEASURE(uds_open_chapter_remove(chapter, &name));
	MEASURE_VOID(uds_open_chapter_error_message(chapter, &message));
	MEASURE_VOID(uds_record_name_of_block(&number, sizeof(number), &name));
	good(MEASURE(uds_chapter_index_put(index, &name, 0)));
	good(MEASURE(uds_chapter_index_get_statistics(index, &statistics)));
	(void)MEASURE(uds_chapter_index_list_of(format, &name));
	MEASURE_VOID(uds_chapter_index_error_message(index, &message));
	MEASURE_VOID(uds_page_format_error_message(format, &message));
	uds_open_chapter_free(chapter);
	uds_chapter_index_free(index);
	uds_page_format_free(format);
}

static int keep_going(void *context, uint64_t done, uint64_t total)
{
	(void)context, (void)done, (void)total;
	return 0;
}

static void save_index(struct uds_io *io)
{
	struct uds_record_name name = { { 1 } };
	struct uds_record_data data = { { 2 } };
	struct uds_message message;
	struct uds_index *index;

	good(uds_index_open(io, NULL, &message, &index));
	good(uds_index_update(index, &name, &data, NULL, NULL));
	good(MEASURE(uds_index_save_reporting(index, keep_going, NULL)));
	good(uds_index_close(index));
}

static void use_volume(void *context)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_volume_info info = UDS_VOLUME_INFO_INIT;
	struct uds_volume *volume;
	struct uds_message message;

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 2;
	configuration.chapters_per_volume = 8;
	good(uds_index_format(context, &configuration, NULL, &message));
	save_index(context);
	good(uds_volume_open(context, NULL, &message, &volume));
	good(MEASURE(uds_volume_get_configuration(volume, &configuration)));
	good(MEASURE(uds_volume_get_info(volume, &info)));
	MEASURE_VOID(uds_volume_error_message(volume, &message));
	uds_volume_close(volume);
}

START_TEST(chapters_and_volumes)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(8 << 20, 1, NULL, NULL, &io), 0);
	on_small_stack(use_chapters, NULL);
	on_small_stack(use_volume, io);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* ---- VDO volumes ---- */

static void use_vdo(void *context)
{
	struct uds_vdo_advice advice = { 0 };
	struct uds_vdo_info info = UDS_VDO_INFO_INIT;
	struct uds_record_data data;
	struct uds_message message;
	struct uds_io *io = context, *index;

	good(MEASURE(uds_vdo_read_info(io, &message, &info)));
	(void)MEASURE_POINTER(uds_vdo_state_name(0));
	good(MEASURE(uds_vdo_open_index(io, NULL, NULL, &message, &index)));
	good(uds_io_close(index));
	MEASURE_VOID(uds_vdo_encode_advice(&advice, &data));
	(void)MEASURE(uds_vdo_decode_advice(&data, &message, &advice));
}

START_TEST(vdo_volumes)
{
	uint8_t *image = vdo_image_make(5);
	struct uds_io *io = bytes_io(image, VDO_BLOCKS * 4096);

	free(image);
	on_small_stack(use_vdo, io);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* ---- LVM groups ---- */

static int pass_pv(void *context, const struct uds_lvm_pv *pv)
{
	(void)context, (void)pv;
	return 0;
}

static int pass_volume(void *context, const struct uds_lvm_volume *volume)
{
	(void)context, (void)volume;
	return 0;
}

static void use_lvm(void *context)
{
	struct uds_lvm_volume volume = UDS_LVM_VOLUME_INIT;
	struct uds_lvm_info info = UDS_LVM_INFO_INIT;
	struct uds_lvm_pv pv = UDS_LVM_PV_INIT;
	struct uds_io **pvs = context, *io;
	struct uds_lvm_group *group;
	struct uds_message message;

	good(MEASURE(uds_lvm_read_pv(pvs[0], NULL, &message, &pv)));
	good(MEASURE(uds_lvm_open_group(pvs, 2, NULL, NULL, &message, &group)));
	good(MEASURE(uds_lvm_get_info(group, &message, &info)));
	good(MEASURE(uds_lvm_for_each_pv(group, pass_pv, NULL)));
	good(MEASURE(uds_lvm_for_each_volume(group, pass_volume, NULL)));
	good(MEASURE(uds_lvm_lookup_volume(group, "snap", &message, &volume)));
	good(MEASURE(uds_lvm_open_volume(group, "stripes", &message, &io)));
	(void)MEASURE_POINTER(uds_lvm_group_of(io));
	good(uds_io_close(io));
	good(MEASURE(uds_lvm_close_group(group)));
}

START_TEST(lvm_groups)
{
	struct uds_io *pvs[2];

	for (int i = 0; i < 2; i++) {
		uint8_t *image = lvm_image_make((char)('a' + i), lvm_image_text);

		ck_assert_int_eq(uds_io_open_memory(LVM_IMAGE_BYTES, 1, NULL, NULL, &pvs[i]), 0);
		ck_assert_int_eq(uds_io_write(pvs[i], image, LVM_IMAGE_BYTES, 0), 0);
		free(image);
	}
	on_small_stack(use_lvm, pvs);
	ck_assert_int_eq(uds_io_close(pvs[0]), 0);
	ck_assert_int_eq(uds_io_close(pvs[1]), 0);
}
END_TEST

/* ---- crash logs ---- */

static void sweep(struct uds_crash_log *log)
{
	struct uds_crash_state state = UDS_CRASH_STATE_INIT;
	struct uds_crash_sweep *all;
	struct uds_message message;
	struct uds_crash_log *after;

	good(MEASURE(uds_crash_log_after(log, 2, UDS_CRASH_ANY_GARBAGE, 1, &message, &after)));
	MEASURE_VOID(uds_crash_log_free(after));
	good(MEASURE(uds_crash_sweep_make(log, NULL, &message, &all)));
	while (MEASURE(uds_crash_sweep_next(all, &state, &message, &after)) == 1)
		MEASURE_VOID(uds_crash_log_free(after));
	MEASURE_VOID(uds_crash_sweep_free(all));
}

static void use_crash_log(void *context)
{
	struct uds_crash_device device = UDS_CRASH_DEVICE_INIT;
	static uint8_t block[8192];
	struct uds_crash_log *log;
	const uint8_t *bytes;
	struct uds_message message;
	struct uds_io *io;
	uint32_t number;

	(void)context;
	device.size_bytes = 1 << 20;
	good(MEASURE(uds_crash_log_make(NULL, &message, &log)));
	good(MEASURE(uds_crash_log_add(log, &device, &message, &number)));
	good(MEASURE(uds_crash_log_open(log, number, &message, &io)));
	good(MEASURE(uds_io_write(io, block, sizeof(block), 0)));
	good(MEASURE(uds_io_flush(io)));
	good(MEASURE(uds_crash_log_mark(log, 1, &message)));
	good(MEASURE(uds_io_write(io, block, sizeof(block), 8192)));
	good(uds_io_close(io));
	(void)MEASURE(uds_crash_log_events(log));
	(void)MEASURE(uds_crash_log_mark_at(log, 3));
	good(MEASURE(uds_crash_log_bytes(log, number, &message, &bytes, NULL)));
	sweep(log);
	MEASURE_VOID(uds_crash_log_free(log));
}

START_TEST(crash_logs)
{
	on_small_stack(use_crash_log, NULL);
}
END_TEST

START_TEST(nothing_where_the_compiler_adds_to_the_stack)
{
	skip_test("sanitizers, and code that is not optimised, need more stack");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stack of other public calls");
	TCase *t = tcase_create("stack");

	tcase_set_timeout(t, 60);
	bind_symbols("test_small_stack_rest");
	if (stack_is_larger()) {
		tcase_add_test(t, nothing_where_the_compiler_adds_to_the_stack);
	} else {
		tcase_add_test(t, ios);
		tcase_add_test(t, snapshots);
		tcase_add_test(t, chapters_and_volumes);
		tcase_add_test(t, vdo_volumes);
		tcase_add_test(t, lvm_groups);
		tcase_add_test(t, crash_logs);
	}
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
