/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every public struct that begins with its size, handed to or filled by the calls that take it, in
 * the sizes of older and newer programs. A struct that is not in the table here fails the test.
 */
#include <dirent.h>
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
#include "lvm_image.h"
#include "vdo_image.h"

#define MORE 24 /* bytes that a newer program has behind what is known here */

static struct uds_io *io;
static struct uds_io *cow;
static struct uds_index *the_index;
static struct uds_volume *volume;
static struct uds_exception_store *store;
static struct uds_snapshot *snapshot;
static struct uds_chapter_index *chapter_index;
static struct uds_page_format *format;
static struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
static uint8_t page[4096];
static struct uds_message message;

static struct uds_io *memory(uint64_t bytes)
{
	struct uds_io *made;

	ck_assert_int_eq(uds_io_open_memory(bytes, 1, NULL, NULL, &made), 0);
	return made;
}

static void open_all(void)
{
	struct uds_index_format_options create = UDS_INDEX_FORMAT_OPTIONS_INIT;
	const struct uds_record_name name = { { 1 } };
	struct uds_configuration c = configuration;
	uint32_t lists;
	int r;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 2;
	c.chapters_per_volume = 4;
	configuration = c;
	io = memory(0);
	cow = memory(1 << 20);
	r = uds_index_format(io, &configuration, &create, &message);
	ck_assert_msg(r == 0, "%s", message.text);
	ck_assert_int_eq(uds_index_open(io, NULL, &message, &the_index), 0);
	ck_assert_int_eq(uds_volume_open(io, NULL, &message, &volume), 0);
	ck_assert_int_eq(uds_exception_store_format(cow, NULL, &message), 0);
	ck_assert_int_eq(uds_exception_store_open(cow, NULL, &message, &store), 0);
	ck_assert_int_eq(uds_snapshot_open(io, cow, NULL, &message, &snapshot), 0);
	ck_assert_int_eq(uds_page_format_make(&configuration, 7, NULL, &message, &format), 0);
	ck_assert_int_eq(uds_chapter_index_make(&configuration, 7, NULL, &message, &chapter_index),
			 0);
	ck_assert_int_eq(uds_chapter_index_put(chapter_index, &name, 0), 0);
	ck_assert_int_eq(
		uds_chapter_index_pack_page(chapter_index, 0, true, page, &lists, &message), 0);
}

static void close_all(void)
{
	uds_chapter_index_free(chapter_index);
	uds_page_format_free(format);
	uds_snapshot_close(snapshot);
	uds_exception_store_close(store);
	uds_volume_close(volume);
	uds_index_close(the_index);
	uds_io_close(cow);
	uds_io_close(io);
}

/* ---- calls that take one: each with good content; what they make is given back ---- */

static int close_io(int r, struct uds_io *made)
{
	if (r == 0)
		uds_io_close(made);
	return r;
}

static int take_env(const void *given)
{
	struct uds_io *made;
	int r = uds_io_open_memory(0, 1, given, NULL, &made);

	return close_io(r, made);
}

static int take_configuration(const void *given)
{
	struct uds_geometry geometry = UDS_GEOMETRY_INIT;

	return uds_geometry_compute(given, &message, &geometry);
}

static int take_create_options(const void *given)
{
	struct uds_io *made = memory(0);
	int r = uds_index_format(made, &configuration, given, &message);

	uds_io_close(made);
	return r;
}

static int take_index_options(const void *given)
{
	struct uds_index *index = NULL;
	uint64_t findings;
	int r = uds_index_open(io, given, &message, &index);

	uds_index_close(index);
	ck_assert_int_eq(uds_index_verify(io, given, NULL, NULL, &message, &findings), r);
	return r;
}

static int take_io_ops(const void *given)
{
	struct uds_io *made;
	int r = uds_io_open_ops(given, NULL, NULL, NULL, NULL, &made);

	return close_io(r, made);
}

static int nothing(void *context)
{
	(void)context;
	return 0;
}

static int no_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	(void)context;
	(void)buffer;
	(void)length;
	(void)offset;
	return -EIO;
}

static int no_size(void *context, uint64_t *ret_bytes)
{
	(void)context;
	*ret_bytes = 0;
	return 0;
}

static struct uds_io_ops good_ops(void)
{
	struct uds_io_ops ops = UDS_IO_OPS_INIT;

	ops.read = no_read;
	ops.flush = nothing;
	ops.get_size = no_size;
	ops.close = nothing;
	return ops;
}

static int open_nothing(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
			struct uds_message *ret_message, struct uds_io **ret_io)
{
	(void)context, (void)uri, (void)env, (void)ret_message, (void)ret_io;
	return -ENXIO;
}

static int take_io_scheme(const void *given)
{
	int r = uds_io_register_scheme(given, &message);

	return r == UDS_ERR_EXISTS ? 0 : r; /* one that was taken before is there */
}

static int take_io_limits(const void *given)
{
	struct uds_io_ops ops = good_ops();
	struct uds_io *made;
	int r = uds_io_open_ops(&ops, NULL, given, NULL, NULL, &made);

	return close_io(r, made);
}

static int take_queue_options(const void *given)
{
	struct uds_index_queue *made;
	int r = uds_index_queue_open(the_index, given, &made);

	if (r == 0)
		uds_index_queue_close(made);
	else
		uds_index_error_message(the_index, &message);
	return r;
}

static int take_engine_options(const void *given)
{
	struct uds_io_engine *made;
	int r = uds_io_engine_open(given, NULL, &message, &made);

	if (r == 0)
		uds_io_engine_close(made);
	return r;
}

static int take_ranges_options(const void *given)
{
	const struct uds_io_range range = { NULL, 0, 4096 };
	struct uds_io *made;
	int r = uds_io_open_ranges(&range, 1, given, NULL, &message, &made);

	return close_io(r, made);
}

static struct uds_io *open_vdo(void)
{
	uint8_t *image = vdo_image_make(5);
	struct uds_io *made = bytes_io(image, VDO_BLOCKS * UINT64_C(4096));

	free(image);
	return made;
}

static int take_vdo_options(const void *given)
{
	struct uds_io *device = open_vdo(), *made;
	int r = uds_vdo_open_index(device, given, NULL, &message, &made);

	/* With every byte set it is told to close the device. */
	r = close_io(r, made);
	if (!((const struct uds_vdo_index_options *)given)->close_device || r < 0)
		uds_io_close(device);
	return r;
}

static int fill_vdo_info(void *given)
{
	struct uds_io *device = open_vdo();
	int r = uds_vdo_read_info(device, &message, given);

	uds_io_close(device);
	return r;
}

static struct uds_io *open_pv(void)
{
	uint8_t *image = lvm_image_make('a', lvm_image_text);
	struct uds_io *made = bytes_io(image, LVM_IMAGE_BYTES);

	free(image);
	return made;
}

static int take_lvm_options(const void *given)
{
	struct uds_io *pv = open_pv();
	struct uds_lvm_group *group;
	int r = uds_lvm_open_group(&pv, 1, given, NULL, &message, &group);

	if (r == 0)
		uds_lvm_close_group(group);
	if (!((const struct uds_lvm_options *)given)->close_pvs || r < 0)
		uds_io_close(pv);
	return r;
}

/* One I/O for all calls: what is filled in has its address. */
static int fill_lvm_pv(void *given)
{
	static struct uds_io *pv;

	if (pv == NULL)
		pv = open_pv();
	return uds_lvm_read_pv(pv, NULL, &message, given);
}

/* One group for all calls: what is filled in has pointers into it. */
static struct uds_lvm_group *open_lvm(void)
{
	static struct uds_lvm_group *group;
	struct uds_lvm_options options = UDS_LVM_OPTIONS_INIT;
	struct uds_io *pv;

	if (group != NULL)
		return group;
	pv = open_pv();
	options.close_pvs = true;
	options.allow_missing = true;
	ck_assert_int_eq(uds_lvm_open_group(&pv, 1, &options, NULL, &message, &group), 0);
	return group;
}

static int fill_lvm_info(void *given)
{
	return uds_lvm_get_info(open_lvm(), &message, given);
}

static int fill_lvm_volume(void *given)
{
	return uds_lvm_lookup_volume(open_lvm(), "snap", &message, given);
}

static int take_file_options(const void *given)
{
	char path[512], uri[600];
	struct uds_io *made;
	FILE *file;
	int descriptor, r;

	snprintf(path, sizeof(path), "%s/structs.img", scratch_dir());
	snprintf(uri, sizeof(uri), "file:%s", path);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
	r = uds_io_open_file(path, given, NULL, &message, &made);
	close_io(r, made);
	descriptor = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(uds_io_open_descriptor(descriptor, path, given, NULL, &message, &made), r);
	if (r < 0)
		close(descriptor);
	close_io(r, made);
	ck_assert_int_eq(uds_io_open_uri(uri, given, NULL, &message, &made), r);
	return close_io(r, made);
}

static int take_store_create_options(const void *given)
{
	struct uds_io *made = memory(1 << 20);
	int r = uds_exception_store_format(made, given, &message);

	uds_io_close(made);
	return r;
}

static int take_store_options(const void *given)
{
	struct uds_exception_store *opened = NULL;
	uint64_t findings;
	int r = uds_exception_store_open(cow, given, &message, &opened);

	uds_exception_store_close(opened);
	ck_assert_int_eq(uds_exception_store_verify(cow, given, NULL, NULL, &message, &findings),
			 r);
	return r;
}

static int take_snapshot_options(const void *given)
{
	struct uds_snapshot *opened = NULL;
	int r = uds_snapshot_open(io, cow, given, &message, &opened);

	uds_snapshot_close(opened);
	return r;
}

static int take_merge_options(const void *given)
{
	return uds_snapshot_merge(snapshot, given, NULL);
}

static int take_volume_options(const void *given)
{
	struct uds_volume *opened = NULL;
	int r = uds_volume_open(io, given, &message, &opened);

	uds_volume_close(opened);
	return r;
}

static int take_index_page(const void *given)
{
	struct uds_record_name name = { { 1 } };
	uint32_t record_page;
	bool found;
	int r = uds_chapter_index_validate_page(format, given, &message);

	ck_assert_int_eq(uds_chapter_index_search_page(format, given, &name, &found, &record_page),
			 r);
	return r;
}

/* ---- calls that fill one ---- */

static int fill_configuration(void *given)
{
	int r = uds_index_get_configuration(the_index, given);

	ck_assert_int_eq(uds_volume_get_configuration(volume, given), r);
	return r;
}

static int fill_geometry(void *given)
{
	return uds_geometry_compute(&configuration, &message, given);
}

static int fill_index_statistics(void *given)
{
	return uds_index_get_statistics(the_index, given);
}

static int fill_engine_statistics(void *given)
{
	struct uds_io_engine *made;
	int r;

	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &made), 0);
	r = uds_io_engine_get_statistics(made, given);
	uds_io_engine_close(made);
	return r;
}

static struct uds_crash_log *make_crash_log(void)
{
	struct uds_crash_log *log;

	ck_assert_int_eq(uds_crash_log_make(NULL, NULL, &log), 0);
	return log;
}

static int take_crash_device(const void *given)
{
	struct uds_crash_log *log = make_crash_log();
	uint32_t number;
	int r = uds_crash_log_add(log, given, &message, &number);

	uds_crash_log_free(log);
	return r;
}

static int take_crash_sweep_options(const void *given)
{
	struct uds_crash_log *log = make_crash_log();
	struct uds_crash_sweep *sweep = NULL;
	int r = uds_crash_sweep_make(log, given, &message, &sweep);

	uds_crash_sweep_free(sweep);
	uds_crash_log_free(log);
	return r;
}

static int fill_crash_state(void *given)
{
	struct uds_crash_log *log = make_crash_log(), *after = NULL;
	struct uds_crash_sweep *sweep;
	int r;

	ck_assert_int_eq(uds_crash_sweep_make(log, NULL, NULL, &sweep), 0);
	r = uds_crash_sweep_next(sweep, given, &message, &after);
	uds_crash_log_free(after);
	uds_crash_sweep_free(sweep);
	uds_crash_log_free(log);
	return r > 0 ? 0 : r;
}

static int fill_index_info(void *given)
{
	return uds_index_read_info(io, NULL, &message, given);
}

static int fill_index_damage(void *given)
{
	return uds_index_read_damage(io, NULL, &message, given);
}

static int take_index_info_options(const void *given)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;

	return uds_index_read_info(io, given, &message, &info);
}

static int fill_snapshot_status(void *given)
{
	return uds_snapshot_get_status(snapshot, given);
}

static int fill_merge_result(void *given)
{
	return uds_snapshot_merge(snapshot, NULL, given);
}

static int fill_store_status(void *given)
{
	return uds_exception_store_get_status(store, given);
}

static int fill_volume_info(void *given)
{
	return uds_volume_get_info(volume, given);
}

static int fill_chapter_index_statistics(void *given)
{
	return uds_chapter_index_get_statistics(chapter_index, given);
}

static int fill_index_page(void *given)
{
	return uds_chapter_index_initialize_page(format, page, &message, given);
}

/* ---- the table ---- */

union any {
	uint64_t size;
	struct uds_env env;
	struct uds_configuration configuration;
	struct uds_geometry geometry;
	struct uds_index_options index_options;
	struct uds_index_format_options create_options;
	struct uds_index_statistics index_statistics;
	struct uds_index_info index_info;
	struct uds_index_queue_options queue_options;
	struct uds_index_damage index_damage;
	struct uds_io_ops io_ops;
	struct uds_io_limits io_limits;
	struct uds_io_engine_options engine_options;
	struct uds_io_engine_statistics engine_statistics;
	struct uds_crash_device crash_device;
	struct uds_crash_sweep_options crash_sweep_options;
	struct uds_crash_state crash_state;
	struct uds_io_file_options file_options;
	struct uds_io_ranges_options ranges_options;
	struct uds_vdo_index_options vdo_options;
	struct uds_vdo_info vdo_info;
	struct uds_lvm_options lvm_options;
	struct uds_lvm_pv lvm_pv;
	struct uds_lvm_info lvm_info;
	struct uds_lvm_volume lvm_volume;
	struct uds_io_scheme io_scheme;
	struct uds_snapshot_options snapshot_options;
	struct uds_snapshot_status snapshot_status;
	struct uds_merge_options merge_options;
	struct uds_merge_result merge_result;
	struct uds_exception_store_format_options store_create_options;
	struct uds_exception_store_options store_options;
	struct uds_exception_store_status store_status;
	struct uds_index_info_options index_info_options;
	struct uds_volume_options volume_options;
	struct uds_volume_info volume_info;
	struct uds_chapter_index_statistics chapter_index_statistics;
	struct uds_index_page index_page;
};

static const struct row {
	const char *name;
	size_t first; /* its size in version 0.2, with 64-bit pointers: never changes */
	size_t size;
	union any init;
	int (*take)(const void *given);
	int (*fill)(void *given);
	bool sentence; /* the call leaves one in a struct uds_message */
} rows[] = {
	{ "uds_env", 48, sizeof(struct uds_env), { .env = UDS_ENV_INIT }, take_env, NULL, false },
	{ "uds_configuration",
	  64,
	  sizeof(struct uds_configuration),
	  { .configuration = UDS_CONFIGURATION_INIT },
	  take_configuration,
	  NULL,
	  true },
	{ "uds_configuration",
	  64,
	  sizeof(struct uds_configuration),
	  { .configuration = UDS_CONFIGURATION_INIT },
	  NULL,
	  fill_configuration,
	  false },
	{ "uds_geometry",
	  96,
	  sizeof(struct uds_geometry),
	  { .geometry = UDS_GEOMETRY_INIT },
	  NULL,
	  fill_geometry,
	  true },
	{ "uds_index_options",
	  80,
	  sizeof(struct uds_index_options),
	  { .index_options = UDS_INDEX_OPTIONS_INIT },
	  take_index_options,
	  NULL,
	  true },
	{ "uds_index_format_options",
	  40,
	  sizeof(struct uds_index_format_options),
	  { .create_options = UDS_INDEX_FORMAT_OPTIONS_INIT },
	  take_create_options,
	  NULL,
	  true },
	{ "uds_index_statistics",
	  200,
	  sizeof(struct uds_index_statistics),
	  { .index_statistics = UDS_INDEX_STATISTICS_INIT },
	  NULL,
	  fill_index_statistics,
	  false },
	{ "uds_index_info",
	  144,
	  sizeof(struct uds_index_info),
	  { .index_info = UDS_INDEX_INFO_INIT },
	  NULL,
	  fill_index_info,
	  true },
	{ "uds_index_damage",
	  16,
	  sizeof(struct uds_index_damage),
	  { .index_damage = UDS_INDEX_DAMAGE_INIT },
	  NULL,
	  fill_index_damage,
	  true },
	{ "uds_index_info_options",
	  32,
	  sizeof(struct uds_index_info_options),
	  { .index_info_options = UDS_INDEX_INFO_OPTIONS_INIT },
	  take_index_info_options,
	  NULL,
	  true },
	{ "uds_io_ops",
	  112,
	  sizeof(struct uds_io_ops),
	  { .io_ops = UDS_IO_OPS_INIT },
	  take_io_ops,
	  NULL,
	  false },
	{ "uds_io_engine_options",
	  32,
	  sizeof(struct uds_io_engine_options),
	  { .engine_options = UDS_IO_ENGINE_OPTIONS_INIT },
	  take_engine_options,
	  NULL,
	  true },
	{ "uds_index_queue_options",
	  16,
	  sizeof(struct uds_index_queue_options),
	  { .queue_options = UDS_INDEX_QUEUE_OPTIONS_INIT },
	  take_queue_options,
	  NULL,
	  true },
	{ "uds_io_engine_statistics",
	  48,
	  sizeof(struct uds_io_engine_statistics),
	  { .engine_statistics = UDS_IO_ENGINE_STATISTICS_INIT },
	  NULL,
	  fill_engine_statistics,
	  false },
	{ "uds_crash_device",
	  40,
	  sizeof(struct uds_crash_device),
	  { .crash_device = UDS_CRASH_DEVICE_INIT },
	  take_crash_device,
	  NULL,
	  true },
	{ "uds_crash_sweep_options",
	  48,
	  sizeof(struct uds_crash_sweep_options),
	  { .crash_sweep_options = UDS_CRASH_SWEEP_OPTIONS_INIT },
	  take_crash_sweep_options,
	  NULL,
	  true },
	{ "uds_crash_state",
	  200,
	  sizeof(struct uds_crash_state),
	  { .crash_state = UDS_CRASH_STATE_INIT },
	  NULL,
	  fill_crash_state,
	  true },
	{ "uds_io_limits",
	  32,
	  sizeof(struct uds_io_limits),
	  { .io_limits = UDS_IO_LIMITS_INIT },
	  take_io_limits,
	  NULL,
	  false },
	{ "uds_io_file_options",
	  24,
	  sizeof(struct uds_io_file_options),
	  { .file_options = UDS_IO_FILE_OPTIONS_INIT },
	  take_file_options,
	  NULL,
	  true },
	{ "uds_io_ranges_options",
	  32,
	  sizeof(struct uds_io_ranges_options),
	  { .ranges_options = UDS_IO_RANGES_OPTIONS_INIT },
	  take_ranges_options,
	  NULL,
	  true },
	{ "uds_vdo_index_options",
	  16,
	  sizeof(struct uds_vdo_index_options),
	  { .vdo_options = UDS_VDO_INDEX_OPTIONS_INIT },
	  take_vdo_options,
	  NULL,
	  true },
	{ "uds_vdo_info",
	  176,
	  sizeof(struct uds_vdo_info),
	  { .vdo_info = UDS_VDO_INFO_INIT },
	  NULL,
	  fill_vdo_info,
	  false },
	{ "uds_lvm_options",
	  16,
	  sizeof(struct uds_lvm_options),
	  { .lvm_options = UDS_LVM_OPTIONS_INIT },
	  take_lvm_options,
	  NULL,
	  true },
	{ "uds_lvm_pv",
	  96,
	  sizeof(struct uds_lvm_pv),
	  { .lvm_pv = UDS_LVM_PV_INIT },
	  NULL,
	  fill_lvm_pv,
	  false },
	{ "uds_lvm_info",
	  56,
	  sizeof(struct uds_lvm_info),
	  { .lvm_info = UDS_LVM_INFO_INIT },
	  NULL,
	  fill_lvm_info,
	  false },
	{ "uds_lvm_volume",
	  64,
	  sizeof(struct uds_lvm_volume),
	  { .lvm_volume = UDS_LVM_VOLUME_INIT },
	  NULL,
	  fill_lvm_volume,
	  false },
	{ "uds_io_scheme",
	  48,
	  sizeof(struct uds_io_scheme),
	  { .io_scheme = UDS_IO_SCHEME_INIT },
	  take_io_scheme,
	  NULL,
	  true },
	{ "uds_snapshot_options",
	  56,
	  sizeof(struct uds_snapshot_options),
	  { .snapshot_options = UDS_SNAPSHOT_OPTIONS_INIT },
	  take_snapshot_options,
	  NULL,
	  true },
	{ "uds_snapshot_status",
	  72,
	  sizeof(struct uds_snapshot_status),
	  { .snapshot_status = UDS_SNAPSHOT_STATUS_INIT },
	  NULL,
	  fill_snapshot_status,
	  false },
	{ "uds_merge_options",
	  88,
	  sizeof(struct uds_merge_options),
	  { .merge_options = UDS_MERGE_OPTIONS_INIT },
	  take_merge_options,
	  NULL,
	  false },
	{ "uds_merge_result",
	  80,
	  sizeof(struct uds_merge_result),
	  { .merge_result = UDS_MERGE_RESULT_INIT },
	  NULL,
	  fill_merge_result,
	  false },
	{ "uds_exception_store_format_options",
	  32,
	  sizeof(struct uds_exception_store_format_options),
	  { .store_create_options = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT },
	  take_store_create_options,
	  NULL,
	  true },
	{ "uds_exception_store_options",
	  56,
	  sizeof(struct uds_exception_store_options),
	  { .store_options = UDS_EXCEPTION_STORE_OPTIONS_INIT },
	  take_store_options,
	  NULL,
	  true },
	{ "uds_exception_store_status",
	  184,
	  sizeof(struct uds_exception_store_status),
	  { .store_status = UDS_EXCEPTION_STORE_STATUS_INIT },
	  NULL,
	  fill_store_status,
	  false },
	{ "uds_volume_options",
	  56,
	  sizeof(struct uds_volume_options),
	  { .volume_options = UDS_VOLUME_OPTIONS_INIT },
	  take_volume_options,
	  NULL,
	  true },
	{ "uds_volume_info",
	  48,
	  sizeof(struct uds_volume_info),
	  { .volume_info = UDS_VOLUME_INFO_INIT },
	  NULL,
	  fill_volume_info,
	  false },
	{ "uds_chapter_index_statistics",
	  24,
	  sizeof(struct uds_chapter_index_statistics),
	  { .chapter_index_statistics = UDS_CHAPTER_INDEX_STATISTICS_INIT },
	  NULL,
	  fill_chapter_index_statistics,
	  false },
	{ "uds_index_page",
	  32,
	  sizeof(struct uds_index_page),
	  { .index_page = UDS_INDEX_PAGE_INIT },
	  take_index_page,
	  NULL,
	  true },
	{ "uds_index_page",
	  32,
	  sizeof(struct uds_index_page),
	  { .index_page = UDS_INDEX_PAGE_INIT },
	  NULL,
	  fill_index_page,
	  true },
};

/*
 * Of machines with other pointers the sizes in 0.2 are not written down: there those of today are
 * tried, and nothing is said about smaller ones.
 */
static bool first_is_known(void)
{
	return sizeof(void *) == 8;
}

static size_t first_size(const struct row *row)
{
	return first_is_known() ? row->first : row->size;
}

#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

/* Good content for a call that takes the struct. */
static union any good(const struct row *row)
{
	union any any = row->init;

	if (row->take == take_lvm_options)
		any.lvm_options.allow_missing = true;
	if (row->take == take_io_ops)
		any.io_ops = good_ops();
	if (row->take == take_io_scheme) {
		any.io_scheme.name = "row";
		any.io_scheme.open = open_nothing;
	}
	if (row->take == take_configuration)
		any.configuration = configuration;
	if (row->take == take_index_page)
		ck_assert_int_eq(
			uds_chapter_index_initialize_page(format, page, &message, &any.index_page),
			0);
	return any;
}

/*
 * Hands the struct over as a program does whose struct has @room bytes, with @size in its size
 * member: in memory of just that many bytes. Behind what is known here every byte is 0, but
 * @set (0: none).
 */
static int take(const struct row *row, uint64_t size, size_t room, size_t set)
{
	union any any = good(row);
	uint8_t *given = calloc(1, room);
	int r;

	ck_assert_ptr_nonnull(given);
	memcpy(given, &any, room < row->size ? room : row->size);
	memcpy(given, &size, sizeof(size));
	if (set != 0)
		given[set] = 1;
	memset(&message, 0, sizeof(message));
	r = row->take(given);
	free(given);
	if (r < 0 && row->sentence)
		ck_assert_msg(strstr(message.text, row->name) != NULL, "%s: \"%s\"", row->name,
			      message.text);
	return r;
}

START_TEST(structs_are_taken_in_all_sizes_that_programs_have)
{
	const struct row *row = &rows[_i];
	size_t first = first_size(row);

	if (row->take == NULL)
		return;
	open_all();
	ck_assert_uint_eq(row->init.size, row->size);
	ck_assert_int_eq(take(row, row->size, row->size, 0), 0);
	ck_assert_int_eq(take(row, first, first, 0), 0);
	ck_assert_int_eq(take(row, row->size + MORE, row->size + MORE, 0), 0);
	ck_assert_int_eq(take(row, 0, row->size, 0), -EINVAL);
	ck_assert_int_eq(take(row, sizeof(uint64_t), row->size, 0), -EINVAL);
	if (first_is_known()) {
		ck_assert_int_eq(take(row, first - sizeof(uint64_t), row->size, 0), -EINVAL);
		ck_assert_int_eq(take(row, first - 1, row->size, 0), -EINVAL);
	}
	ck_assert_int_eq(take(row, row->size + MORE, row->size + MORE, row->size), -E2BIG);
	ck_assert_int_eq(take(row, row->size + 1, row->size + 1, row->size), -E2BIG);
	ck_assert_int_eq(take(row, row->size + MORE, row->size + MORE, row->size + MORE - 1),
			 -E2BIG);
	ck_assert_int_eq(take(row, UINT64_MAX, row->size, 0), -E2BIG);
	close_all();
}
END_TEST

static int fill(const struct row *row, uint64_t size, size_t room, uint8_t **ret_given)
{
	uint8_t *given = malloc(room);
	int r;

	ck_assert_ptr_nonnull(given);
	memset(given, 0xaa, room);
	memcpy(given, &size, sizeof(size));
	memset(&message, 0, sizeof(message));
	r = row->fill(given);
	if (r < 0 && row->sentence)
		ck_assert_msg(strstr(message.text, row->name) != NULL, "%s: \"%s\"", row->name,
			      message.text);
	ck_assert_mem_eq(given, &size, sizeof(size));
	*ret_given = given;
	return r;
}

static void fill_is_refused(const struct row *row, uint64_t size, int status)
{
	uint8_t *given;

	ck_assert_int_eq(fill(row, size, row->size, &given), status);
	for (size_t i = sizeof(size); i < row->size; i++)
		ck_assert_msg(given[i] == 0xaa, "%s: byte %zu was written", row->name, i);
	free(given);
}

START_TEST(structs_are_filled_in_all_sizes_that_programs_have)
{
	const struct row *row = &rows[_i];
	size_t first = first_size(row);
	uint8_t *given, *known;

	if (row->fill == NULL)
		return;
	open_all();
	ck_assert_uint_eq(row->init.size, row->size);
	fill_is_refused(row, 0, -EINVAL);
	fill_is_refused(row, sizeof(uint64_t), -EINVAL);
	if (first_is_known())
		fill_is_refused(row, first - 1, -EINVAL);
	fill_is_refused(row, UINT64_MAX, -E2BIG);
	ck_assert_int_eq(fill(row, row->size, row->size, &known), 0);
	ck_assert_int_eq(fill(row, first, first, &given), 0);
	ck_assert_mem_eq(given + sizeof(uint64_t), known + sizeof(uint64_t),
			 first - sizeof(uint64_t));
	free(given);
	ck_assert_int_eq(fill(row, row->size + MORE, row->size + MORE, &given), 0);
	ck_assert_mem_eq(given + sizeof(uint64_t), known + sizeof(uint64_t),
			 row->size - sizeof(uint64_t));
	for (size_t i = row->size; i < row->size + MORE; i++)
		ck_assert_msg(given[i] == 0, "%s: byte %zu is not cleared", row->name, i);
	free(given);
	free(known);
	close_all();
}
END_TEST

START_TEST(no_struct_is_smaller_than_it_was)
{
	const struct row *row = &rows[_i];

	ck_assert_uint_ge(row->size, first_size(row));
}
END_TEST

/*
 * Those that the library makes and hands to a callback: their size says how much of them there is.
 */
static bool is_for_callbacks(const char *name)
{
	return strcmp(name, "uds_snapshot_loss") == 0 || strcmp(name, "uds_io_uri") == 0 ||
	       strcmp(name, "uds_exception_finding") == 0;
}

/*
 * The programs of tests/nbd, tests/rbd and tests/shards have the sizes of these: the one here does
 * not link their libraries.
 */
static bool is_of_another_library(const char *name)
{
	return strcmp(name, "uds_nbd_options") == 0 || strcmp(name, "uds_rbd_options") == 0 ||
	       strcmp(name, "uds_manifest_store") == 0 || strcmp(name, "uds_shards_options") == 0 ||
	       strcmp(name, "uds_shards_info") == 0 || strcmp(name, "uds_shard_info") == 0;
}

static bool in_table(const char *name)
{
	for (int i = 0; i < ROWS; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return true;
	}
	return false;
}

/* How many structs of a header begin with a size; each must be in the table. */
static int sized_structs(const char *header)
{
	char path[600], line[512], name[128] = "";
	int count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/include/uds/%s", getenv("UDS_SRCDIR"), header);
	file = fopen(path, "r");
	ck_assert_msg(file != NULL, "%s cannot be read", path);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "struct %127[a-z_0-9] {", name) == 1)
			continue;
		if (strncmp(line, "\tuint64_t size;", 15) != 0)
			continue;
		if (is_for_callbacks(name) || is_of_another_library(name))
			continue;
		ck_assert_msg(in_table(name), "struct %s of %s is not tested here", name, header);
		count++;
	}
	fclose(file);
	return count;
}

START_TEST(every_struct_with_a_size_is_in_the_table)
{
	char path[600];
	struct dirent *entry;
	int count = 0;
	DIR *folder;

	if (getenv("UDS_SRCDIR") == NULL)
		skip_test("every_struct_with_a_size_is_in_the_table: UDS_SRCDIR is not set");
	snprintf(path, sizeof(path), "%s/include/uds", getenv("UDS_SRCDIR"));
	folder = opendir(path);
	ck_assert_msg(folder != NULL, "%s cannot be read", path);
	while ((entry = readdir(folder)) != NULL) {
		if (strstr(entry->d_name, ".h") != NULL)
			count += sized_structs(entry->d_name);
	}
	closedir(folder);
	ck_assert_int_ge(count, 21);
}
END_TEST

/* Function pointers, since a name that was forgotten does not compile. */
START_TEST(the_names_of_0_1_still_mean_the_same)
{
	struct uds_index_create_options index_options = UDS_INDEX_CREATE_OPTIONS_INIT;
	struct uds_exception_store_create_options store_options =
		UDS_EXCEPTION_STORE_CREATE_OPTIONS_INIT;
	struct uds_index_statistics statistics = UDS_INDEX_STATISTICS_INIT;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct uds_io_ops ops = good_ops();
	struct uds_io *made;

	ck_assert(uds_index_create == uds_index_format);
	ck_assert(uds_index_iterate == uds_index_for_each);
	ck_assert(uds_exception_store_create == uds_exception_store_format);
	ck_assert(uds_exception_store_walk == uds_exception_store_for_each_entry);
	ck_assert(uds_exception_store_ranges == uds_exception_store_for_each_range);
	ck_assert(uds_exception_store_drop == uds_exception_store_invalidate);
	ck_assert(uds_snapshot_changed_ranges == uds_snapshot_for_each_changed_range);
	ck_assert_uint_eq(index_options.size, sizeof(struct uds_index_format_options));
	ck_assert_uint_eq(store_options.size, sizeof(struct uds_exception_store_format_options));
	statistics.open_chapter = 7;
	info.open_chapter = 8;
	ck_assert_uint_eq(statistics.newest_chapter, 7);
	ck_assert_uint_eq(info.newest_chapter, 8);
	ck_assert_int_eq(uds_io_create(&ops, NULL, NULL, NULL, &made), 0);
	ck_assert_int_eq(uds_io_close(made), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("structs");
	TCase *tc = tcase_create("structs");

	tcase_add_loop_test(tc, structs_are_taken_in_all_sizes_that_programs_have, 0, ROWS);
	tcase_add_loop_test(tc, structs_are_filled_in_all_sizes_that_programs_have, 0, ROWS);
	tcase_add_loop_test(tc, no_struct_is_smaller_than_it_was, 0, ROWS);
	tcase_add_test(tc, every_struct_with_a_size_is_in_the_table);
	tcase_add_test(tc, the_names_of_0_1_still_mean_the_same);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
