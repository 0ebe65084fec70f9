/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exception store: bad input, the check, strict and salvaged opening, figures, lookups, limits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "io/io.h"
#include "snap_image.h"
#include "torture_env.h"

#define CHUNK	 512u
#define PER_AREA 32u

/* A COW device with a store of 512-byte chunks, to be spoilt. */
static struct uds_io *make_cow(uint64_t chunks)
{
	struct uds_exception_store_format_options options = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_io *cow;

	options.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_io_open_memory(chunks * CHUNK, 1, NULL, NULL, &cow), 0);
	ck_assert_int_eq(uds_exception_store_format(cow, &options, NULL), 0);
	return cow;
}

static void plant(struct uds_io *cow, uint64_t index, uint64_t old_chunk, uint64_t new_chunk)
{
	uint64_t area = index / PER_AREA;
	uint8_t entry[16];

	put_le64(entry, old_chunk);
	put_le64(entry + 8, new_chunk);
	ck_assert_int_eq(uds_io_write(cow, entry, 16,
				      (1 + area * (PER_AREA + 1)) * CHUNK + index % PER_AREA * 16),
			 0);
}

static void poke32(struct uds_io *cow, uint64_t offset, uint32_t value)
{
	uint8_t bytes[4];

	put_le32(bytes, value);
	ck_assert_int_eq(uds_io_write(cow, bytes, 4, offset), 0);
}

struct findings {
	unsigned int kinds[12];
	char last[600];
	bool stop;
};

static int note_finding(void *context, const struct uds_exception_finding *finding)
{
	struct findings *f = context;

	f->kinds[finding->kind]++;
	snprintf(f->last, sizeof(f->last), "%s", finding->sentence);
	return f->stop;
}

static uint64_t verify(struct uds_io *cow, uint64_t origin_bytes, struct findings *f)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct image before = io_image(cow), after;
	uint64_t findings;

	memset(f, 0, sizeof(*f));
	options.origin_bytes = origin_bytes;
	ck_assert_int_eq(
		uds_exception_store_verify(cow, &options, note_finding, f, NULL, &findings), 0);
	after = io_image(cow);
	check_same(&after, &before, "a check wrote");
	image_free(&before);
	image_free(&after);
	return findings;
}

static int open_with(struct uds_io *cow, bool strict, bool salvage, uint64_t origin_bytes,
		     struct uds_message *message, struct uds_exception_store **ret_store)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;

	options.strict = strict;
	options.salvage = salvage;
	options.origin_bytes = origin_bytes;
	message->text[0] = '\0';
	return uds_exception_store_open(cow, &options, message, ret_store);
}

static struct uds_exception_store_status status_of(struct uds_exception_store *store)
{
	struct uds_exception_store_status status = { .size = sizeof(status) };

	ck_assert_int_eq(uds_exception_store_get_status(store, &status), 0);
	return status;
}

START_TEST(headers_that_are_not_right_are_named)
{
	static const struct {
		uint64_t offset;
		uint32_t value;
		int status;
		enum uds_exception_finding_kind kind;
		const char *text;
	} cases[] = {
		{ 0, 0, UDS_ERR_NOT_A_SNAPSHOT, UDS_FINDING_NO_MAGIC, "are zero" },
		{ 0, 0x12345678, UDS_ERR_NOT_A_SNAPSHOT, UDS_FINDING_NO_MAGIC, "0x12345678" },
		{ 8, 2, UDS_ERR_UNSUPPORTED_VERSION, UDS_FINDING_VERSION, "version 2" },
		{ 12, 0, UDS_ERR_CORRUPT, UDS_FINDING_CHUNK_SIZE, "chunk size 0" },
		{ 12, 3, UDS_ERR_CORRUPT, UDS_FINDING_CHUNK_SIZE, "chunk size 3" },
		{ 12, 1 << 22, UDS_ERR_CORRUPT, UDS_FINDING_CHUNK_SIZE, "4194304" },
		{ 12, 0x80000000, UDS_ERR_CORRUPT, UDS_FINDING_CHUNK_SIZE, "2147483648" },
		{ 12, 1024, UDS_ERR_CORRUPT, UDS_FINDING_CUT_SHORT, "area 0" },
	};
	struct uds_exception_store *store;
	struct uds_message message;
	struct findings f;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uds_io *cow = make_cow(100);

		poke32(cow, cases[i].offset, cases[i].value);
		ck_assert_int_eq(open_with(cow, false, false, 0, &message, &store),
				 cases[i].status);
		ck_assert_msg(strstr(message.text, cases[i].text) != NULL, "%s", message.text);
		ck_assert_uint_eq(verify(cow, 0, &f), 1);
		ck_assert_uint_eq(f.kinds[cases[i].kind], 1);
		uds_io_close(cow);
	}
}
END_TEST

START_TEST(chunks_smaller_than_the_devices_blocks_are_refused)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_exception_store *store;
	struct uds_message message;
	struct image image;
	struct uds_io *cow = make_cow(100), *blocks;

	image = io_image(cow);
	image.size = 96 * CHUNK;
	blocks = image_io(&image, 4096);
	ck_assert_int_eq(open_with(blocks, false, false, 0, &message, &store), UDS_ERR_CORRUPT);
	create.chunk_bytes = 2048;
	create.force = true;
	ck_assert_int_eq(uds_exception_store_format(blocks, &create, &message), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "4096"));
	image_free(&image);
	uds_io_close(blocks);
	uds_io_close(cow);
}
END_TEST

START_TEST(creating_refuses_foreign_content_and_bad_sizes)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	static const uint64_t bad[] = { 1, 511, 513, 3 * 512, UINT64_C(1) << 31, UINT64_MAX };
	struct uds_message message;
	struct uds_io *cow = make_cow(100);
	struct image before, after;

	before = io_image(cow);
	create.chunk_bytes = 4096;
	ck_assert_int_eq(uds_exception_store_format(cow, &create, &message), UDS_ERR_NOT_EMPTY);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		create.chunk_bytes = bad[i];
		ck_assert_int_eq(uds_exception_store_format(cow, &create, &message), -EINVAL);
	}
	create.chunk_bytes = 32768;
	ck_assert_int_eq(uds_exception_store_format(cow, &create, &message), UDS_ERR_NO_ROOM);
	after = io_image(cow);
	check_same(&after, &before, "a refused creation wrote");
	create.chunk_bytes = 0;
	create.force = true;
	ck_assert_int_eq(uds_exception_store_format(cow, &create, &message), 0);
	image_free(&before);
	image_free(&after);
	uds_io_close(cow);
}
END_TEST

/*
 * Each kind of bad entry: told by the check with its place, refused when strict,
 * else readable only.
 */
START_TEST(bad_entries_are_found_refused_or_fenced)
{
	static const struct {
		uint64_t old_chunk;
		uint64_t new_chunk;
		enum uds_exception_finding_kind kind;
		bool mergeable;
	} cases[] = {
		{ 7, 100, UDS_FINDING_NEW_BEHIND_END, false },
		{ 7, UINT64_MAX, UDS_FINDING_NEW_BEHIND_END, false },
		{ 7, (UINT64_C(1) << 56) + 5, UDS_FINDING_NEW_BEHIND_END, false },
		{ 7, 1, UDS_FINDING_NEW_IS_METADATA, false },
		{ 7, 34, UDS_FINDING_NEW_IS_METADATA, false },
		{ 7, 2, UDS_FINDING_NEW_TWICE, true },
		{ 3, 4, UDS_FINDING_OLD_TWICE, true },
		{ 50, 4, UDS_FINDING_OLD_BEHIND_ORIGIN, false },
		{ UINT64_MAX, 4, UDS_FINDING_OLD_BEHIND_ORIGIN, false },
	};
	struct uds_exception_store *store;
	struct uds_exception e, last;
	struct uds_message message;
	struct findings f;
	uint64_t count;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uds_io *cow = make_cow(100);
		int r;

		plant(cow, 0, 3, 2);
		plant(cow, 1, 4, 3);
		plant(cow, 2, cases[i].old_chunk, cases[i].new_chunk);
		ck_assert_uint_eq(verify(cow, 50 * CHUNK, &f), 1);
		ck_assert_uint_eq(f.kinds[cases[i].kind], 1);
		ck_assert_msg(strstr(f.last, "area 0, entry 2: old chunk ") != NULL, "%s", f.last);
		ck_assert_int_eq(open_with(cow, true, false, 50 * CHUNK, &message, &store),
				 UDS_ERR_CORRUPT);
		ck_assert_msg(strstr(message.text, "area 0, entry 2: old chunk ") != NULL, "%s",
			      message.text);
		ck_assert_int_eq(open_with(cow, false, false, 50 * CHUNK, &message, &store), 0);
		ck_assert_int_eq(status_of(store).state, UDS_STORE_DAMAGED);
		ck_assert_uint_eq(status_of(store).exceptions, 3);
		ck_assert_int_eq(uds_exception_store_prepare(store, 20, &e), UDS_ERR_CORRUPT);
		r = uds_exception_store_prepare_merge(store, &last, &count);
		ck_assert_int_eq(r, cases[i].mergeable ? 0 : UDS_ERR_CORRUPT);
		ck_assert_int_eq(uds_exception_store_close(store), 0);
		uds_io_close(cow);
	}
}
END_TEST

/* A length of 0 means that none is known, unless it is said to be the length. */
static void check_origin_of_no_bytes(struct uds_io *cow)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store *store;
	uint64_t findings;

	for (int known = 0; known < 2; known++) {
		options.origin_known = known != 0;
		ck_assert_int_eq(
			uds_exception_store_verify(cow, &options, NULL, NULL, NULL, &findings), 0);
		ck_assert_uint_eq(findings, known != 0 ? 50 : 0);
		ck_assert_int_eq(uds_exception_store_open(cow, &options, NULL, &store), 0);
		ck_assert_uint_eq(status_of(store).old_behind_origin, findings);
		ck_assert_int_eq(uds_exception_store_close(store), 0);
	}
}

START_TEST(good_stores_have_no_findings)
{
	struct uds_exception_store *store;
	struct uds_message message;
	struct uds_io *cow = make_cow(100);
	struct uds_exception e;
	struct findings f;

	ck_assert_uint_eq(verify(cow, 50 * CHUNK, &f), 0);
	ck_assert_int_eq(open_with(cow, true, false, 0, &message, &store), 0);
	for (uint64_t i = 0; i < 50; i++) {
		ck_assert_int_eq(uds_exception_store_prepare(store, 49 - i, &e), 0);
		ck_assert_int_eq(uds_exception_store_commit(store, &e, 1), 0);
	}
	ck_assert_int_eq(uds_exception_store_close(store), 0);
	ck_assert_uint_eq(verify(cow, 50 * CHUNK, &f), 0);
	ck_assert_uint_eq(verify(cow, 49 * CHUNK + 1, &f), 0);
	ck_assert_uint_eq(verify(cow, 49 * CHUNK, &f), 1);
	check_origin_of_no_bytes(cow);
	/* Garbage after the terminator; the old chunk of the terminator itself counts too. */
	plant(cow, 55, 9, 9);
	plant(cow, 50, 1, 0);
	plant(cow, 57, 0, 5);
	ck_assert_uint_eq(verify(cow, 0, &f), 3);
	ck_assert_uint_eq(f.kinds[UDS_FINDING_STALE_ENTRY], 3);
	f.stop = true;
	ck_assert_int_eq(
		uds_exception_store_verify(cow, NULL, note_finding, &f, &message, &(uint64_t){ 0 }),
		UDS_ERR_STOPPED);
	uds_io_close(cow);
}
END_TEST

START_TEST(device_cut_short_is_an_error_that_can_be_salvaged)
{
	struct uds_exception_store *store;
	struct uds_message message;
	struct uds_io *cow = make_cow(200);
	struct uds_exception e;
	struct findings f;
	uint64_t new_chunk;

	ck_assert_int_eq(open_with(cow, true, false, 0, &message, &store), 0);
	for (uint64_t i = 0; i < 70; i++) {
		ck_assert_int_eq(uds_exception_store_prepare(store, i, &e), 0);
		ck_assert_int_eq(uds_exception_store_commit(store, &e, 1), 0);
	}
	uds_exception_store_close(store);
	/* In the middle of area 1, which is chunk 34. */
	ck_assert_int_eq(uds_io_resize(cow, 34 * CHUNK + 100), 0);
	ck_assert_int_eq(open_with(cow, false, false, 0, &message, &store), UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text, "area 1") != NULL, "%s", message.text);
	ck_assert_uint_eq(verify(cow, 0, &f), 1);
	ck_assert_uint_eq(f.kinds[UDS_FINDING_CUT_SHORT], 1);
	ck_assert_int_eq(open_with(cow, false, true, 0, &message, &store), 0);
	ck_assert_uint_eq(status_of(store).exceptions, 32);
	ck_assert_int_eq(uds_exception_store_lookup(store, 31, &new_chunk, NULL), 1);
	ck_assert_int_eq(uds_exception_store_lookup(store, 32, &new_chunk, NULL), 0);
	ck_assert_int_eq(uds_exception_store_prepare(store, 99, &e), UDS_ERR_READ_ONLY);
	uds_exception_store_close(store);
	uds_io_close(cow);
}
END_TEST

START_TEST(invalid_stores_are_read_only_when_salvaged)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_merge_options merge = UDS_MERGE_OPTIONS_INIT;
	struct uds_exception_store *store;
	struct uds_io *cow = make_cow(100), *origin;
	struct uds_message message;
	struct uds_snapshot *s;
	uint8_t bytes[CHUNK], expected[CHUNK];
	char line[80];

	plant(cow, 0, 3, 2);
	fill_pattern(expected, 1, 1, 77);
	ck_assert_int_eq(uds_io_write(cow, expected, CHUNK, 2 * CHUNK), 0);
	poke32(cow, 4, 0);
	ck_assert_int_eq(open_with(cow, true, false, 0, &message, &store), 0);
	ck_assert_int_eq(status_of(store).state, UDS_STORE_INVALID);
	ck_assert_uint_eq(status_of(store).exceptions, 0);
	uds_exception_store_status_line(store, line, sizeof(line));
	ck_assert_str_eq(line, "Invalid");
	ck_assert_int_eq(uds_exception_store_status_line(store, line, 3), -ERANGE);
	uds_exception_store_close(store);

	ck_assert_int_eq(uds_io_open_memory(50 * CHUNK, 1, NULL, NULL, &origin), 0);
	ck_assert_int_eq(uds_snapshot_open(origin, cow, NULL, &message, &s), 0);
	ck_assert_int_eq(uds_snapshot_read(s, bytes, CHUNK, 0), UDS_ERR_INVALID_SNAPSHOT);
	ck_assert_int_eq(uds_snapshot_write(s, bytes, CHUNK, 0), UDS_ERR_INVALID_SNAPSHOT);
	ck_assert_int_eq(uds_snapshot_merge(s, NULL, NULL), UDS_ERR_INVALID_SNAPSHOT);
	ck_assert_int_eq(uds_snapshot_origin_write(s, expected, CHUNK, 9 * CHUNK), 0);
	ck_assert_int_eq(uds_snapshot_origin_read(s, bytes, CHUNK, 9 * CHUNK), 0);
	ck_assert_mem_eq(bytes, expected, CHUNK);
	uds_snapshot_close(s);

	options.salvage = true;
	ck_assert_int_eq(uds_snapshot_open(origin, cow, &options, &message, &s), 0);
	ck_assert_int_eq(uds_snapshot_read(s, bytes, CHUNK, 3 * CHUNK), 0);
	ck_assert_mem_eq(bytes, expected, CHUNK);
	ck_assert_int_lt(uds_snapshot_write(s, bytes, CHUNK, 0), 0);
	ck_assert_int_lt(uds_snapshot_origin_write(s, bytes, CHUNK, 0), 0);
	ck_assert_int_eq(uds_snapshot_merge(s, NULL, NULL), UDS_ERR_INVALID_SNAPSHOT);
	merge.force = true;
	ck_assert_int_eq(uds_snapshot_merge(s, &merge, NULL), 0);
	ck_assert_int_eq(uds_io_read(origin, bytes, CHUNK, 3 * CHUNK), 0);
	ck_assert_mem_eq(bytes, expected, CHUNK);
	uds_snapshot_close(s);
	uds_io_close(origin);
	uds_io_close(cow);
}
END_TEST

START_TEST(origin_and_cow_device_must_differ)
{
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message;
	struct uds_io *cow = make_cow(100), *a, *b;
	struct uds_snapshot *s;
	struct image image = io_image(cow);
	char path[300];
	FILE *f;

	ck_assert_int_eq(uds_snapshot_open(cow, cow, NULL, &message, &s), -EINVAL);
	snprintf(path, sizeof(path), "%s/cow", scratch_dir());
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(image.bytes, 1, image.size, f), image.size);
	fclose(f);
	ck_assert_int_eq(uds_io_open_file(path, &file, NULL, &message, &a), 0);
	ck_assert_int_eq(uds_io_open_file(path, &file, NULL, &message, &b), 0);
	ck_assert_int_eq(uds_snapshot_open(a, b, NULL, &message, &s), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "the same"));
	uds_io_close(a);
	uds_io_close(b);
	remove(path);
	image_free(&image);
	uds_io_close(cow);
}
END_TEST

struct ranges {
	uint64_t list[16][3];
	size_t count;
};

static int note_range(void *context, uint64_t old_chunk, uint64_t new_chunk, uint64_t count)
{
	struct ranges *r = context;

	r->list[r->count][0] = old_chunk;
	r->list[r->count][1] = new_chunk;
	r->list[r->count++][2] = count;
	return r->count == 16;
}

static int note_bytes(void *context, uint64_t offset, uint64_t length)
{
	return note_range(context, offset, length, 0);
}

START_TEST(ranges_are_in_order_and_joined)
{
	static const uint64_t old_chunks[] = { 10, 11, 12, 30, 5, 6, 13, 49 };
	struct uds_exception_store *store;
	struct uds_io *cow = make_cow(100), *origin;
	struct ranges ranges = { .count = 0 };
	struct uds_message message;
	struct uds_exception e;
	struct uds_snapshot *s;
	uint64_t new_chunk, count;

	ck_assert_int_eq(uds_io_open_memory(49 * CHUNK + 20, 1, NULL, NULL, &origin), 0);
	ck_assert_int_eq(uds_snapshot_open(origin, cow, NULL, &message, &s), 0);
	store = uds_snapshot_store(s);
	for (size_t i = 0; i < 8; i++) {
		ck_assert_int_eq(uds_exception_store_prepare(store, old_chunks[i], &e), 0);
		ck_assert_uint_eq(e.new_chunk, 2 + i);
		ck_assert_int_eq(uds_exception_store_prepare(store, old_chunks[i], &e),
				 UDS_ERR_EXISTS);
		ck_assert_int_eq(uds_exception_store_commit(store, &e, 1), 0);
		ck_assert_int_eq(uds_exception_store_commit(store, &e, 1), UDS_ERR_BAD_STATE);
		ck_assert_int_eq(uds_exception_store_prepare(store, old_chunks[i], &e),
				 UDS_ERR_EXISTS);
	}
	ck_assert_int_eq(
		uds_exception_store_for_each_range(store, 0, UINT64_MAX, note_range, &ranges), 0);
	ck_assert_uint_eq(ranges.count, 5);
	ck_assert_uint_eq(ranges.list[0][0], 5);
	ck_assert_uint_eq(ranges.list[0][2], 2);
	ck_assert_uint_eq(ranges.list[1][0], 10);
	ck_assert_uint_eq(ranges.list[1][2], 3);
	ck_assert_uint_eq(ranges.list[2][0], 13);
	ck_assert_uint_eq(ranges.list[2][1], 8);
	ranges.count = 0;
	ck_assert_int_eq(uds_exception_store_for_each_range(store, 11, 1, note_range, &ranges), 0);
	ck_assert_uint_eq(ranges.count, 1);
	ck_assert_uint_eq(ranges.list[0][1], 3);
	ck_assert_uint_eq(ranges.list[0][2], 1);
	ck_assert_int_eq(uds_exception_store_lookup(store, 11, &new_chunk, &count), 1);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(uds_exception_store_lookup(store, 14, &new_chunk, &count), 0);
	ck_assert_uint_eq(count, 16);
	ck_assert_int_eq(uds_exception_store_lookup(store, 50, &new_chunk, &count), 0);
	ck_assert_uint_eq(count, UINT64_MAX);
	/* What a backup looks at: bytes, whatever the new chunks are, cut at the ends. */
	ranges.count = 0;
	ck_assert_int_eq(uds_snapshot_for_each_changed_range(s, 0, UINT64_MAX, note_bytes, &ranges),
			 0);
	ck_assert_uint_eq(ranges.count, 4);
	ck_assert_uint_eq(ranges.list[1][0], 10 * CHUNK);
	ck_assert_uint_eq(ranges.list[1][1], 4 * CHUNK);
	ck_assert_uint_eq(ranges.list[3][0], 49 * CHUNK);
	ck_assert_uint_eq(ranges.list[3][1], 20);
	ranges.count = 0;
	ck_assert_int_eq(
		uds_snapshot_for_each_changed_range(s, 10 * CHUNK + 7, CHUNK, note_bytes, &ranges),
		0);
	ck_assert_uint_eq(ranges.count, 1);
	ck_assert_uint_eq(ranges.list[0][0], 10 * CHUNK + 7);
	ck_assert_uint_eq(ranges.list[0][1], CHUNK);
	uds_snapshot_close(s);
	uds_io_close(origin);
	uds_io_close(cow);
}
END_TEST

START_TEST(a_device_that_grows_gives_room)
{
	struct uds_exception_store *store;
	struct uds_message message;
	struct uds_io *cow = make_cow(4);
	struct uds_exception e;

	ck_assert_int_eq(open_with(cow, true, false, 0, &message, &store), 0);
	for (uint64_t i = 0; i < 2; i++) {
		ck_assert_int_eq(uds_exception_store_prepare(store, i, &e), 0);
		ck_assert_int_eq(uds_exception_store_commit(store, &e, 1), 0);
	}
	ck_assert_int_eq(uds_exception_store_prepare(store, 2, &e), UDS_ERR_NO_ROOM);
	ck_assert_int_eq(uds_io_resize(cow, 10 * CHUNK), 0);
	ck_assert_int_eq(uds_exception_store_prepare(store, 2, &e), 0);
	ck_assert_int_eq(uds_exception_store_commit(store, &e, 1), 0);
	ck_assert_uint_eq(status_of(store).total_sectors, 10);
	ck_assert_int_eq(uds_exception_store_prepare(store, UINT64_C(1) << 55, &e),
			 UDS_ERR_OVERFLOW);
	uds_exception_store_close(store);
	uds_io_close(cow);
}
END_TEST

START_TEST(dry_run_says_what_a_merge_would_do)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_merge_options merge = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	struct uds_io *cow = make_cow(200), *origin;
	struct image before, after;
	struct uds_message message;
	struct uds_snapshot *s;

	ck_assert_int_eq(uds_io_open_memory(40 * CHUNK + 10, 1, NULL, NULL, &origin), 0);
	for (uint64_t i = 0; i < 35; i++)
		plant(cow, i, i + 6, i < 32 ? 2 + i : 3 + i);
	plant(cow, 35, 6, 50);
	before = io_image(cow);
	options.read_only = true;
	ck_assert_int_eq(uds_snapshot_open(origin, cow, &options, &message, &s), 0);
	merge.dry_run = true;
	/* The origin ends inside a chunk, at a length that is no device's. */
	ck_assert_int_eq(uds_snapshot_merge(s, &merge, &result), UDS_ERR_OUT_OF_RANGE);
	merge.allow_cut = true;
	ck_assert_int_eq(uds_snapshot_merge(s, &merge, &result), 0);
	ck_assert_uint_eq(result.exceptions, 36);
	ck_assert_uint_eq(result.bytes_cut, CHUNK - 10);
	ck_assert_uint_eq(result.chunks_copied, 35);
	ck_assert_uint_eq(result.chunks_hidden, 1);
	ck_assert_uint_eq(result.bytes_copied, 34 * CHUNK + 10);
	ck_assert_uint_eq(result.remaining, 0);
	merge.limit = 2;
	ck_assert_int_eq(uds_snapshot_merge(s, &merge, &result), 0);
	ck_assert_uint_eq(result.exceptions, 2);
	ck_assert_uint_eq(result.remaining, 34);
	merge.dry_run = false;
	ck_assert_int_eq(uds_snapshot_merge(s, &merge, &result), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_snapshot_write(s, &result, 8, 0), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_snapshot_origin_write(s, &result, 8, 0), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_snapshot_invalidate(s), UDS_ERR_READ_ONLY);
	uds_snapshot_close(s);
	after = io_image(cow);
	check_same(&after, &before, "a dry run wrote");
	image_free(&before);
	image_free(&after);
	uds_io_close(origin);
	uds_io_close(cow);
}
END_TEST

static int stop_once(void *context, uint64_t done, uint64_t total)
{
	bool *stopped = context;

	(void)done;
	(void)total;
	if (*stopped)
		return 0;
	*stopped = true;
	return 1;
}

START_TEST(a_stopped_dry_run_says_so)
{
	struct uds_merge_options merge = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	struct uds_io *cow = make_cow(200), *origin;
	struct uds_message message;
	struct uds_snapshot *s;
	bool stopped = false;

	ck_assert_int_eq(uds_io_open_memory(80 * CHUNK, 1, NULL, NULL, &origin), 0);
	for (uint64_t i = 0; i < 30; i++)
		plant(cow, i, 2 * i, 2 + i);
	ck_assert_int_eq(uds_snapshot_open(origin, cow, NULL, &message, &s), 0);
	merge.dry_run = true;
	merge.round_bytes = CHUNK;
	merge.progress = stop_once;
	merge.progress_context = &stopped;
	ck_assert_int_eq(uds_snapshot_merge(s, &merge, &result), UDS_ERR_STOPPED);
	ck_assert_uint_lt(result.exceptions, 30);
	ck_assert_uint_eq(result.exceptions + result.remaining, 30);
	uds_snapshot_close(s);
	uds_io_close(origin);
	uds_io_close(cow);
}
END_TEST

START_TEST(equal_chunks_are_left_out_when_asked)
{
	struct uds_merge_options merge = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	struct uds_io *cow = make_cow(200), *origin;
	struct uds_message message;
	struct uds_snapshot *s;
	uint8_t bytes[20 * CHUNK] = { 0 };

	ck_assert_int_eq(uds_io_open_memory(40 * CHUNK, 1, NULL, NULL, &origin), 0);
	ck_assert_int_eq(uds_snapshot_open(origin, cow, NULL, &message, &s), 0);
	for (unsigned int c = 0; c < 20; c += 3)
		bytes[c * CHUNK + 9] = 1;
	ck_assert_int_eq(uds_snapshot_write(s, bytes, sizeof(bytes), 5 * CHUNK), 0);
	merge.skip_equal = true;
	ck_assert_int_eq(uds_snapshot_merge(s, &merge, &result), 0);
	ck_assert_uint_eq(result.exceptions, 20);
	ck_assert_uint_eq(result.chunks_copied, 7);
	ck_assert_uint_eq(result.chunks_equal, 13);
	ck_assert_uint_eq(result.bytes_copied, 7 * CHUNK);
	ck_assert_int_eq(uds_io_read(origin, bytes + CHUNK, CHUNK, 5 * CHUNK), 0);
	ck_assert_mem_eq(bytes, bytes + CHUNK, CHUNK);
	uds_snapshot_close(s);
	uds_io_close(origin);
	uds_io_close(cow);
}
END_TEST

START_TEST(states_have_names_and_meanings)
{
	for (int state = UDS_STORE_EMPTY; state <= UDS_STORE_DAMAGED; state++) {
		ck_assert_str_ne(uds_exception_store_state_name(state), "unknown");
		ck_assert_str_ne(uds_exception_store_state_meaning(state), "");
	}
	for (int state = UDS_SNAPSHOT_EMPTY; state <= UDS_SNAPSHOT_DAMAGED; state++) {
		ck_assert_str_ne(uds_snapshot_state_name(state), "unknown");
		ck_assert_str_ne(uds_snapshot_state_meaning(state), "");
	}
	ck_assert_str_eq(uds_exception_store_state_name(99), "unknown");
	ck_assert_str_eq(uds_exception_store_state_meaning(99), "");
	ck_assert_str_eq(uds_snapshot_state_name(99), "unknown");
	ck_assert_str_eq(uds_snapshot_state_meaning(99), "");
}
END_TEST

/* ---- reading a list: what runs out, and what cannot be read ---- */

/* Twenty pairs that are there twice, numbers that do not rise, a run with an entry in it. */
static void plant_confused_list(struct uds_io *cow)
{
	for (uint64_t i = 0; i < 20; i++)
		plant(cow, i, 3 * i, 2 + i);
	for (uint64_t i = 0; i < 20; i++)
		plant(cow, 20 + i, 3 * i, 2 + i);
	for (uint64_t i = 0; i < 4; i++)
		plant(cow, 40 + i, 100 + i, 50 + i);
	plant(cow, 44, 102, 49);
}

static int open_confused(const struct uds_env *env, void *context)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store *store;
	uint64_t new_chunk = 0;
	int r;

	options.env = env;
	r = uds_exception_store_open(context, &options, NULL, &store);
	if (r < 0)
		return r;
	ck_assert_uint_eq(status_of(store).exceptions, 45);
	/* Of two entries for a chunk the first counts. */
	ck_assert_int_eq(uds_exception_store_lookup(store, 57, &new_chunk, NULL), 1);
	ck_assert_uint_eq(new_chunk, 21);
	ck_assert_int_eq(uds_exception_store_lookup(store, 102, &new_chunk, NULL), 1);
	ck_assert_uint_eq(new_chunk, 52);
	return uds_exception_store_close(store);
}

START_TEST(each_allocation_of_a_confused_list_may_fail)
{
	struct uds_io *cow = make_cow(200);
	struct findings f;

	plant_confused_list(cow);
	ck_assert_uint_eq(verify(cow, 0, &f), 41);
	ck_assert_uint_eq(f.kinds[UDS_FINDING_OLD_TWICE], 21);
	ck_assert_uint_eq(f.kinds[UDS_FINDING_NEW_TWICE], 20);
	/* Without memory to move a leaf of the table, entries are added one by one. */
	torture_each_allocation(open_confused, cow, true);
	uds_io_close(cow);
}
END_TEST

/* A run never grows into the numbers that no device has. */
START_TEST(a_run_ends_before_the_numbers_that_no_device_has)
{
	static const uint64_t limit = UINT64_C(1) << 56;
	struct uds_exception_store *store;
	struct uds_io *cow = make_cow(100);
	struct uds_message message;
	struct findings f;
	uint64_t new_chunk = 0;

	for (uint64_t i = 0; i < 4; i++)
		plant(cow, i, 10 + i, limit - 3 + i);
	ck_assert_uint_eq(verify(cow, 0, &f), 4);
	ck_assert_uint_eq(f.kinds[UDS_FINDING_NEW_BEHIND_END], 4);
	ck_assert_int_eq(open_with(cow, false, false, 0, &message, &store), 0);
	for (uint64_t i = 0; i < 4; i++) {
		ck_assert_int_eq(uds_exception_store_lookup(store, 10 + i, &new_chunk, NULL), 1);
		ck_assert_uint_ge(new_chunk, 100);
	}
	ck_assert_int_eq(uds_exception_store_lookup(store, 14, &new_chunk, NULL), 0);
	ck_assert_int_eq(uds_exception_store_close(store), 0);
	uds_io_close(cow);
}
END_TEST

START_TEST(a_device_that_is_read_only_or_has_no_size_is_named)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store *store;
	struct uds_io *cow = make_cow(100);
	struct uds_message message;
	struct fault_plan plan;
	struct image before, after;

	cow->read_only = true;
	before = io_image(cow);
	ck_assert_int_eq(uds_exception_store_format(cow, &format, &message), UDS_ERR_READ_ONLY);
	ck_assert_msg(strstr(message.text, ": opened to read only") != NULL, "%s", message.text);
	ck_assert_int_eq(open_with(cow, false, false, 0, &message, &store), UDS_ERR_READ_ONLY);
	ck_assert_msg(strstr(message.text, ": opened to read only") != NULL, "%s", message.text);
	options.read_only = true;
	ck_assert_int_eq(uds_exception_store_open(cow, &options, &message, &store), 0);
	ck_assert_int_eq(uds_exception_store_close(store), 0);
	after = io_image(cow);
	check_same(&after, &before, "what is read only was written");
	image_free(&before);
	image_free(&after);
	cow->read_only = false;
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, cow, NULL, &cow), 0);
	fault_plan_fail(&plan, FAULT_SIZE, 1, -EIO, true);
	ck_assert_int_eq(uds_exception_store_format(cow, &format, &message), -EIO);
	ck_assert_msg(strstr(message.text, ": its size: ") != NULL, "%s", message.text);
	ck_assert_int_eq(open_with(cow, false, false, 0, &message, &store), -EIO);
	ck_assert_msg(strstr(message.text, ": its size: ") != NULL, "%s", message.text);
	ck_assert_int_eq(uds_io_close(cow), 0);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(a_device_too_short_for_a_header_is_no_store)
{
	struct uds_exception_store *store;
	struct uds_message message;
	struct uds_io *cow;
	struct findings f;

	ck_assert_int_eq(uds_io_open_memory(15, 1, NULL, NULL, &cow), 0);
	ck_assert_int_eq(open_with(cow, false, false, 0, &message, &store), UDS_ERR_NOT_A_SNAPSHOT);
	ck_assert_msg(strstr(message.text,
			     "no exception store: 15 bytes are too few for a header") != NULL,
		      "%s", message.text);
	ck_assert_uint_eq(verify(cow, 0, &f), 1);
	ck_assert_uint_eq(f.kinds[UDS_FINDING_NO_MAGIC], 1);
	uds_io_close(cow);
}
END_TEST

/* Marked invalid, and a chunk is there twice: salvaged strictly, the second is the reason. */
START_TEST(a_strict_open_names_the_entry_that_is_there_twice)
{
	struct uds_exception_store *store;
	struct uds_message message;
	struct uds_io *cow = make_cow(100);
	struct fault_plan plan;
	uint64_t reads;
	struct findings f;

	plant(cow, 0, 3, 2);
	plant(cow, 1, 3, 3);
	poke32(cow, 4, 0);
	ck_assert_int_eq(open_with(cow, true, true, 0, &message, &store), UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text, "area 0, entry 1: old chunk 3") != NULL, "%s",
		      message.text);
	/* The check may be stopped at the header already. */
	f = (struct findings){ .stop = true };
	ck_assert_int_eq(
		uds_exception_store_verify(cow, NULL, note_finding, &f, &message, &(uint64_t){ 0 }),
		UDS_ERR_STOPPED);
	ck_assert_uint_eq(f.kinds[UDS_FINDING_INVALID], 1);
	ck_assert_uint_eq(f.kinds[UDS_FINDING_OLD_TWICE], 0);
	{
		struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;

		options.strict = options.salvage = true;
		ck_assert_int_eq(uds_exception_store_open(cow, &options, NULL, &store),
				 UDS_ERR_CORRUPT);
	}
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, cow, NULL, &cow), 0);
	ck_assert_int_eq(open_with(cow, true, true, 0, &message, &store), UDS_ERR_CORRUPT);
	reads = fault_plan_count(&plan, FAULT_READ);
	ck_assert_uint_ge(reads, 4);
	for (uint64_t nth = 1; nth <= reads; nth++) {
		int r;

		fault_plan_fail(&plan, FAULT_READ, nth, -EIO, false);
		r = open_with(cow, true, true, 0, &message, &store);
		/* A salvaged list ends where it cannot be read: then nothing is there twice. */
		if (r == 0)
			ck_assert_int_eq(uds_exception_store_close(store), 0);
		ck_assert_msg(r == -EIO || r == UDS_ERR_CORRUPT || r == 0, "read %d: %d", (int)nth,
			      r);
		ck_assert(r == 0 || message.text[0] != '\0');
	}
	ck_assert_int_eq(uds_io_close(cow), 0);
	fault_plan_end(&plan);
}
END_TEST

/* Blocks of 4096 bytes: what can be read of an area is found block by block. */
START_TEST(a_salvaged_list_ends_with_the_last_block_that_can_be_read)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store *store;
	struct uds_io *memory, *cow;
	struct uds_message message;
	struct fault_plan plan;
	uint8_t block[4096];

	format.chunk_bytes = 16384;
	ck_assert_int_eq(uds_io_open_memory(100 * 16384, 4096, NULL, NULL, &memory), 0);
	ck_assert_int_eq(uds_exception_store_format(memory, &format, NULL), 0);
	for (uint64_t first = 0; first < 1024; first += 256) {
		for (uint64_t i = 0; i < 256; i++) {
			put_le64(block + 16 * i, 2 * (first + i));
			put_le64(block + 16 * i + 8, 2 + (first + i) % 90);
		}
		ck_assert_int_eq(uds_io_write(memory, block, sizeof(block), 16384 + 16 * first), 0);
	}
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, memory, NULL, &cow), 0);
	fault_plan_spoil(&plan, FAULT_READ, 16384 + 2 * 4096, 4096);
	options.salvage = true;
	for (int with = 0; with < 2; with++) {
		ck_assert_int_eq(
			uds_exception_store_open(cow, &options, with ? &message : NULL, &store), 0);
		ck_assert_uint_eq(status_of(store).exceptions, 512);
		ck_assert_int_eq(uds_exception_store_close(store), 0);
	}
	/* Without memory it is not known where the list ends. */
	fault_plan_spoil(&plan, FAULT_READ, 0, 0);
	fault_plan_fail(&plan, FAULT_READ, 2, -ENOMEM, true);
	ck_assert_int_eq(uds_exception_store_open(cow, &options, &message, &store), -ENOMEM);
	fault_plan_fail(&plan, 0, 0, 0, false);
	/* And a strict one refuses what it has read of it. */
	memset(block, 0xff, sizeof(block));
	ck_assert_int_eq(uds_io_write(cow, block, sizeof(block), 16384), 0);
	fault_plan_spoil(&plan, FAULT_READ, 16384 + 2 * 4096, 4096);
	options.strict = true;
	ck_assert_int_eq(uds_exception_store_open(cow, &options, &message, &store),
			 UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text, "area 0, entry 0: ") != NULL, "%s", message.text);
	ck_assert_int_eq(uds_io_close(cow), 0);
	fault_plan_end(&plan);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exception store");
	TCase *tc = tcase_create("store");

	tcase_add_test(tc, headers_that_are_not_right_are_named);
	tcase_add_test(tc, chunks_smaller_than_the_devices_blocks_are_refused);
	tcase_add_test(tc, creating_refuses_foreign_content_and_bad_sizes);
	tcase_add_test(tc, bad_entries_are_found_refused_or_fenced);
	tcase_add_test(tc, good_stores_have_no_findings);
	tcase_add_test(tc, device_cut_short_is_an_error_that_can_be_salvaged);
	tcase_add_test(tc, invalid_stores_are_read_only_when_salvaged);
	tcase_add_test(tc, origin_and_cow_device_must_differ);
	tcase_add_test(tc, ranges_are_in_order_and_joined);
	tcase_add_test(tc, a_device_that_grows_gives_room);
	tcase_add_test(tc, a_stopped_dry_run_says_so);
	tcase_add_test(tc, dry_run_says_what_a_merge_would_do);
	tcase_add_test(tc, equal_chunks_are_left_out_when_asked);
	tcase_add_test(tc, states_have_names_and_meanings);
	tcase_add_test(tc, each_allocation_of_a_confused_list_may_fail);
	tcase_add_test(tc, a_run_ends_before_the_numbers_that_no_device_has);
	tcase_add_test(tc, a_device_that_is_read_only_or_has_no_size_is_named);
	tcase_add_test(tc, a_device_too_short_for_a_header_is_no_store);
	tcase_add_test(tc, a_strict_open_names_the_entry_that_is_there_twice);
	tcase_add_test(tc, a_salvaged_list_ends_with_the_last_block_that_can_be_read);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
