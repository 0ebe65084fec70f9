/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each option that nothing else makes visible has an effect: the environment of every call that
 * takes one, depths of queues, cache sizes.
 */
#include <stdio.h>
#include <string.h>

#include <uds.h>

#include "check_main.h"
#include "torture_env.h"

static struct uds_message message;

static uint64_t fixed_now(void *context)
{
	struct torture_env *torture = context;

	atomic_fetch_add(&torture->failed, 1); /* nothing fails here: counts the calls */
	return 12345;
}

static struct uds_io *memory(uint64_t bytes)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(bytes, 1, NULL, NULL, &io), 0);
	return io;
}

static struct uds_configuration small_configuration(void)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 2;
	c.chapters_per_volume = 4;
	return c;
}

static struct uds_io *small_index(const struct uds_env *env)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration c = small_configuration();
	struct uds_io *io = memory(0);
	int r;

	options.env = env;
	r = uds_index_format(io, &c, &options, &message);
	ck_assert_msg(r == 0, "%s", message.text);
	return io;
}

static struct uds_io *small_store(const struct uds_env *env)
{
	struct uds_exception_store_format_options options = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_io *io = memory(1 << 20);

	options.env = env;
	ck_assert_int_eq(uds_exception_store_format(io, &options, &message), 0);
	return io;
}

/* ---- each call that takes an environment, with one; all is given back ---- */

static void create_index(const struct uds_env *env)
{
	uds_io_close(small_index(env));
}

static void open_index(const struct uds_env *env)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_io *io = small_index(NULL);
	struct uds_index *index;

	options.env = env;
	ck_assert_int_eq(uds_index_open(io, &options, &message, &index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	uds_io_close(io);
}

static void verify_index(const struct uds_env *env)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_io *io = small_index(NULL);
	uint64_t findings;

	options.env = env;
	ck_assert_int_eq(uds_index_verify(io, &options, NULL, NULL, &message, &findings), 0);
	uds_io_close(io);
}

static void read_info(const struct uds_env *env)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_io *io = small_index(NULL);

	options.env = env;
	options.check_save = true;
	ck_assert_int_eq(uds_index_read_info(io, &options, &message, &info), 0);
	uds_io_close(io);
}

static void open_volume(const struct uds_env *env)
{
	struct uds_volume_options options = UDS_VOLUME_OPTIONS_INIT;
	struct uds_io *io = small_index(NULL);
	struct uds_volume *volume;

	options.env = env;
	ck_assert_int_eq(uds_volume_open(io, &options, &message, &volume), 0);
	uds_volume_close(volume);
	uds_io_close(io);
}

static void create_store(const struct uds_env *env)
{
	uds_io_close(small_store(env));
}

static void open_store(const struct uds_env *env)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_io *io = small_store(NULL);
	struct uds_exception_store *store;

	options.env = env;
	ck_assert_int_eq(uds_exception_store_open(io, &options, &message, &store), 0);
	uds_exception_store_close(store);
	uds_io_close(io);
}

static void verify_store(const struct uds_env *env)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_io *io = small_store(NULL);
	uint64_t findings;

	options.env = env;
	ck_assert_int_eq(uds_exception_store_verify(io, &options, NULL, NULL, &message, &findings),
			 0);
	uds_io_close(io);
}

static void open_snapshot(const struct uds_env *env)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_io *cow = small_store(NULL), *origin = memory(1 << 20);
	struct uds_snapshot *snapshot;

	options.env = env;
	ck_assert_int_eq(uds_snapshot_open(origin, cow, &options, &message, &snapshot), 0);
	uds_snapshot_close(snapshot);
	uds_io_close(origin);
	uds_io_close(cow);
}

static void make_open_chapter(const struct uds_env *env)
{
	struct uds_configuration c = small_configuration();
	struct uds_open_chapter *chapter;

	ck_assert_int_eq(uds_open_chapter_make(&c, 1, env, &message, &chapter), 0);
	uds_open_chapter_free(chapter);
}

static void make_chapter_index(const struct uds_env *env)
{
	struct uds_configuration c = small_configuration();
	struct uds_chapter_index *index;

	ck_assert_int_eq(uds_chapter_index_make(&c, 1, env, &message, &index), 0);
	uds_chapter_index_free(index);
}

static void make_page_format(const struct uds_env *env)
{
	struct uds_configuration c = small_configuration();
	struct uds_page_format *format;

	ck_assert_int_eq(uds_page_format_make(&c, 1, env, &message, &format), 0);
	uds_page_format_free(format);
}

static void encode_page(const struct uds_env *env)
{
	struct uds_record records[128];
	uint8_t page[4096];

	memset(records, 0, sizeof(records));
	for (uint8_t i = 0; i < 128; i++)
		records[i].name.bytes[0] = i;
	ck_assert_int_eq(uds_record_page_encode(records, 128, env, NULL, page), 0);
}

static void open_memory(const struct uds_env *env)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(4096, 1, env, NULL, &io), 0);
	uds_io_close(io);
}

static void open_file(const struct uds_env *env)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	char path[512];
	struct uds_io *io;

	snprintf(path, sizeof(path), "%s/options.img", scratch_dir());
	options.write = true;
	options.create = true;
	ck_assert_int_eq(uds_io_open_file(path, &options, env, &message, &io), 0);
	uds_io_close(io);
}

static void open_uri(const struct uds_env *env)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_uri("mem:?size=4096", NULL, env, &message, &io), 0);
	uds_io_close(io);
}

static const struct env_row {
	const char *name;
	void (*work)(const struct uds_env *env);
	bool time; /* asks for the time, too */
} env_rows[] = {
	{ "uds_index_format", create_index, true },
	{ "uds_index_open", open_index, false },
	{ "uds_index_verify", verify_index, false },
	{ "uds_index_read_info", read_info, false },
	{ "uds_volume_open", open_volume, false },
	{ "uds_exception_store_format", create_store, false },
	{ "uds_exception_store_open", open_store, false },
	{ "uds_exception_store_verify", verify_store, false },
	{ "uds_snapshot_open", open_snapshot, false },
	{ "uds_open_chapter_make", make_open_chapter, false },
	{ "uds_chapter_index_make", make_chapter_index, false },
	{ "uds_page_format_make", make_page_format, false },
	{ "uds_record_page_encode", encode_page, false },
	{ "uds_io_open_memory", open_memory, false },
	{ "uds_io_open_file", open_file, false },
	{ "uds_io_open_uri", open_uri, false },
};

START_TEST(every_environment_is_used)
{
	const struct env_row *row = &env_rows[_i];
	struct torture_env torture;

	torture_env_start(&torture);
	torture.env.now_ms = fixed_now;
	row->work(&torture.env);
	ck_assert_msg(torture.count > 0, "%s does not allocate through its environment", row->name);
	ck_assert_msg((torture.failed > 0) == row->time, "%s asked %llu times for the time",
		      row->name, (unsigned long long)torture.failed);
	torture_env_end(&torture);
}
END_TEST

/*
 * Exactly the bytes that the index takes are enough; one less is not, and nothing is written then.
 */
START_TEST(an_index_stays_within_its_size_limit)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_geometry geometry = { .size = sizeof(geometry) };
	struct uds_configuration c = small_configuration();
	struct uds_io *io = memory(8 << 20);
	uint8_t block[4096] = { 1 }, zero[4096] = { 0 };

	ck_assert_int_eq(uds_geometry_compute(&c, &message, &geometry), 0);
	ck_assert_uint_lt(geometry.index_bytes, 8 << 20);
	options.no_extras = true;
	options.size_limit = geometry.index_bytes - 1;
	ck_assert_int_eq(uds_index_format(io, &c, &options, &message), UDS_ERR_NO_ROOM);
	ck_assert_int_eq(uds_io_read(io, block, sizeof(block), 0), 0);
	ck_assert_mem_eq(block, zero, sizeof(block));
	options.size_limit = geometry.index_bytes;
	ck_assert_int_eq(uds_index_format(io, &c, &options, &message), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *tc = tcase_create("options");

	tcase_add_loop_test(tc, every_environment_is_used, 0,
			    (int)(sizeof(env_rows) / sizeof(env_rows[0])));
	tcase_add_test(tc, an_index_stays_within_its_size_limit);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
