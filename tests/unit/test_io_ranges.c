/* SPDX-License-Identifier: BSD-2-Clause */
/* I/Os made of ranges of others: by the call, by concat:, and by offset= and length= of any URI. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/io.h>

#include "check_main.h"
#include "io/io.h"
#include "partitions.h"
#include "torture_env.h"
#include "vdo_image.h"

static struct uds_message message;

static struct uds_io *filled(uint64_t bytes, uint32_t block, char with)
{
	char *text = malloc((size_t)bytes);
	struct uds_io *io;

	ck_assert_ptr_nonnull(text);
	memset(text, with, (size_t)bytes);
	ck_assert_int_eq(uds_io_open_memory(bytes, block, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_write(io, text, (size_t)bytes, 0), 0);
	free(text);
	return io;
}

static struct uds_io *open_ranges(const struct uds_io_range *ranges, size_t count, bool close_parts)
{
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_io *io;

	options.close_parts = close_parts;
	ck_assert_msg(uds_io_open_ranges(ranges, count, &options, NULL, &message, &io) == 0, "%s",
		      message.text);
	return io;
}

static void ck_reads(struct uds_io *io, uint64_t offset, const char *expected)
{
	char found[100] = "";

	ck_assert_int_eq(uds_io_read(io, found, strlen(expected), offset), 0);
	ck_assert_str_eq(found, expected);
}

START_TEST(ranges_lie_one_behind_the_other)
{
	struct uds_io *a = filled(10, 1, 'a'), *b = filled(10, 1, 'b'), *io;
	const struct uds_io_range ranges[] = {
		{ a, 7, 3 }, { b, 2, 0 }, { NULL, 0, 2 }, { b, 8, UINT64_MAX }, { a, 0, 4 }
	};
	const char *expected = "aaa\0\0bbaaaa";
	uint64_t bytes;
	char text[11];

	io = open_ranges(ranges, 5, true);
	ck_assert_int_eq(uds_io_size(io, &bytes), 0);
	ck_assert_uint_eq(bytes, 11);
	for (size_t from = 0; from < 11; from++) {
		for (size_t length = 0; length <= 11 - from; length++) {
			memset(text, '-', sizeof(text));
			ck_assert_int_eq(uds_io_read(io, text, length, from), 0);
			ck_assert_int_eq(memcmp(text, expected + from, length), 0);
		}
	}
	ck_assert_int_eq(uds_io_read(io, text, 1, 11), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_read(io, text, 2, 10), UDS_ERR_OUT_OF_RANGE);
	/* Each write goes to where its bytes are; zeroes cannot be written, and can be zeroed. */
	ck_assert_int_eq(uds_io_write(io, "12", 2, 6), 0);
	ck_reads(b, 8, "b1");
	ck_reads(a, 0, "2aaa");
	ck_assert_int_eq(uds_io_write(io, "xx", 2, 2), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_io_write_zeroes(io, 1, 5), 0);
	ck_assert_int_eq(uds_io_read(io, text, 11, 0), 0);
	ck_assert_int_ne(text[0], 'x');
	ck_assert_int_eq(memcmp(text + 1,
				"\0\0\0\0\0"
				"12aaa",
				10),
			 0);
	ck_assert_int_eq(uds_io_resize(io, 20), -EOPNOTSUPP);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(what_ranges_cannot_be_is_said)
{
	struct uds_io *a = filled(1024, 1, 'a'), *b = filled(1024, 512, 'b'), *io = NULL;
	const struct {
		struct uds_io_range range;
		int status;
		const char *says;
	} bad[] = {
		{ { a, 0, 1025 },
		  UDS_ERR_OUT_OF_RANGE,
		  "range 1: expected to end by byte 1024, found 1025 bytes from 0 on" },
		{ { a, 1025, UINT64_MAX }, UDS_ERR_OUT_OF_RANGE, "found 0 bytes from 1025 on" },
		{ { a, 512, UINT64_MAX - 1 }, UDS_ERR_OUT_OF_RANGE, "range 1" },
		{ { NULL, 0, UINT64_MAX },
		  -EINVAL,
		  "range 1: zeroes: expected a length, found UINT64_MAX, the rest of an I/O" },
		{ { NULL, 0, INT64_MAX },
		  -EFBIG,
		  "range 1: expected to end by byte 9223372036854775807, found 9223372036854775807 "
		  "bytes from 512 on" },
		{ { a, 100, 512 },
		  UDS_ERR_UNALIGNED,
		  "range 1: expected multiples of 512 bytes, found 512 from 100 on" },
		{ { a, 512, 100 }, UDS_ERR_UNALIGNED, "found 100 from 512 on" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct uds_io_range ranges[] = { { b, 0, 512 }, bad[i].range };

		ck_assert_int_eq(uds_io_open_ranges(ranges, 2, NULL, NULL, &message, &io),
				 bad[i].status);
		ck_assert_msg(strstr(message.text, bad[i].says) != NULL, "%s", message.text);
		ck_assert_ptr_null(io);
	}
	ck_assert_int_eq(uds_io_open_ranges(NULL, 0, NULL, NULL, &message, &io), -EINVAL);
	ck_assert_str_eq(message.text, "expected 1 to 16777216 ranges, found 0");
	ck_assert_int_eq(uds_io_close(a), 0);
	ck_assert_int_eq(uds_io_close(b), 0);
}
END_TEST

START_TEST(limits_are_those_of_all_parts)
{
	struct uds_io *a = filled(8192, 512, 'a'), *b = filled(8192, 4096, 'b'), *io;
	const struct uds_io_range ranges[] = { { a, 4096, 4096 }, { b, 0, 8192 } };
	char text[512];

	io = open_ranges(ranges, 2, false);
	ck_assert_uint_eq(uds_io_block_bytes(io), 4096);
	ck_assert_int_eq(uds_io_read(io, text, 512, 0), UDS_ERR_UNALIGNED);
	ck_assert(!uds_io_is_read_only(io));
	ck_assert_uint_eq(uds_io_device_offset(io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* A single range is a piece of a device, also of one that is itself a piece. */
	io = open_ranges(ranges, 1, false);
	ck_assert_uint_eq(uds_io_device_offset(io), 4096);
	ck_assert_int_eq(uds_io_close(io), 0);
	a->read_only = true;
	a->device_offset = 512;
	io = open_ranges(ranges, 1, true);
	ck_assert_uint_eq(uds_io_device_offset(io), 4608);
	ck_assert(uds_io_is_read_only(io));
	ck_assert_int_eq(uds_io_write(io, text, 512, 0), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(b), 0);
}
END_TEST

/* A multiple of the preferred length in the whole has to be one in each part. */
START_TEST(a_preferred_length_is_that_of_all_parts)
{
	struct uds_io *a = filled(65536, 512, 'a'), *b = filled(65536, 512, 'b'), *io;
	const struct {
		uint64_t of_a, of_b, together;
		struct uds_io_range ranges[2];
	} pairs[] = {
		{ 16384, 16384, 16384, { { a, 0, 32768 }, { b, 16384, 512 } } },
		{ 16384, 16384, 0, { { a, 512, 15872 }, { b, 16384, 512 } } },
		{ 12288, 12288, 12288, { { a, 24576, 12800 }, { b, 512, 65024 } } },
		{ 16384, 16384, 0, { { a, 0, 16384 }, { b, 512, 512 } } },
		{ 16384, 16384, 0, { { a, 0, 512 }, { b, 0, 512 } } },
		{ 16384, 8192, 0, { { a, 0, 32768 }, { b, 0, 32768 } } },
		{ 16384, 0, 0, { { a, 0, 32768 }, { b, 0, 32768 } } },
		{ 0, 16384, 0, { { a, 0, 32768 }, { b, 0, 32768 } } },
		{ 0, 0, 0, { { a, 0, 32768 }, { b, 0, 32768 } } },
		/* Zeroes cost nothing anywhere. */
		{ 16384, 0, 16384, { { a, 0, 512 }, { NULL, 0, 512 } } },
		{ 0, 16384, 16384, { { NULL, 0, 32768 }, { b, 16384, 512 } } },
		{ 0, 16384, 16384, { { NULL, 0, 512 }, { b, 512, 512 } } },
		{ 0, 16384, 0, { { NULL, 0, 512 }, { b, 0, 16384 } } },
		{ 0, 0, 0, { { NULL, 0, 512 }, { NULL, 0, 512 } } },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		a->preferred_bytes = pairs[i].of_a;
		b->preferred_bytes = pairs[i].of_b;
		io = open_ranges(pairs[i].ranges, 2, false);
		ck_assert_msg(uds_io_preferred_bytes(io) == pairs[i].together, "pair %zu", i);
		ck_assert_int_eq(uds_io_close(io), 0);
	}
	ck_assert_int_eq(uds_io_close(a), 0);
	ck_assert_int_eq(uds_io_close(b), 0);
}
END_TEST

static void make_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	ck_assert_int_eq(fclose(file), 0);
}

static struct uds_io *open_uri(const char *uri, bool write)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;

	options.write = write;
	ck_assert_msg(uds_io_open_uri(uri, &options, NULL, &message, &io) == 0, "%s", message.text);
	return io;
}

static void ck_refused(const char *uri, int status, const char *says)
{
	struct uds_io *io = NULL;

	message.text[0] = '\0';
	ck_assert_int_eq(uds_io_open_uri(uri, NULL, NULL, &message, &io), status);
	ck_assert_ptr_null(io);
	ck_assert_msg(strstr(message.text, says) != NULL, "%s", message.text);
}

START_TEST(uris_name_ranges)
{
	struct uds_io *io, *other;

	ck_assert_int_eq(chdir(scratch_dir()), 0);
	make_file("one", "0123456789");
	make_file("two", "abcdefghij");
	io = open_uri("file:one?offset=2&length=3", false);
	ck_reads(io, 0, "234");
	ck_assert_str_eq(uds_io_name(io), "file:one?offset=2&length=3");
	/* It is the same file, but not the same bytes. */
	other = open_uri("file:one?offset=5", false);
	ck_reads(other, 0, "56789");
	ck_assert(!uds_io_overlap(io, other));
	ck_assert_int_eq(uds_io_close(other), 0);
	other = open_uri("file:one?offset=4", false);
	ck_assert(uds_io_overlap(io, other));
	ck_assert_int_eq(uds_io_close(other), 0);
	other = open_uri("one", false);
	ck_assert(uds_io_overlap(io, other));
	ck_assert_int_eq(uds_io_close(other), 0);
	ck_assert_int_eq(uds_io_close(io), 0);

	/*
	 * Three ranges of two files; the same file twice only to read, since a writer has it alone.
	 */
	io = open_uri("concat:?part=file:one?offset=8&part=two&part=file:one?length=1%26offset=3&"
		      "length=13",
		      false);
	ck_reads(io, 0, "89abcdefghij3");
	ck_assert_int_eq(uds_io_close(io), 0);
	io = open_uri("concat:?part=file:one?offset=8&part=two", true);
	ck_assert_int_eq(uds_io_write(io, "XY", 2, 1), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	io = open_uri("concat:?part=one&part=two", false);
	ck_reads(io, 0, "012345678XYbcdefghij");
	ck_assert_int_eq(uds_io_close(io), 0);
	/* A nested one with encoded ampersand: the parts of the inner one. */
	io = open_uri("concat:?part=concat:?part=one%26part=two&part=mem:?size=3", false);
	ck_reads(io, 18, "ij");
	ck_assert_int_eq(uds_io_close(io), 0);

	ck_refused("file:one?offset=11", UDS_ERR_OUT_OF_RANGE,
		   "file:one?offset=11: one: range 0: expected to end by byte 10, found 0 bytes "
		   "from 11 on");
	ck_refused("file:one?length=x", -EINVAL, "parameter length: 'x' is not a number of bytes");
	ck_refused("concat:", -EINVAL, "concat: takes no path, only ?part=URI&part=URI");
	ck_refused("concat:one", -EINVAL, "takes no path");
	ck_refused("concat:?part=one&part=none", -ENOENT, "none: ");
	ck_refused("concat:?part=nbd:x", -EINVAL, "unknown scheme 'nbd'");
	ck_refused("vdo:", -EINVAL, "vdo:: names no device");
	ck_refused("vdo:vdo:vdo:vdo:vdo:vdo:vdo:vdo:vdo:vdo:one", -EINVAL,
		   "more than 8 URIs in each other");
	unlink("one");
	unlink("two");
	ck_assert_int_eq(chdir("/"), 0);
	rmdir(scratch_dir());
}
END_TEST

static void ck_write_refused(const char *uri, int status, const char *part)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;

	options.write = true;
	ck_assert_int_eq(uds_io_open_uri(uri, &options, NULL, &message, &io), status);
	ck_assert_msg(strstr(message.text, part) != NULL, "'%s' is not in '%s'", part,
		      message.text);
}

/* A writer has a file alone: the lock of one part would be in the way of the next. */
START_TEST(parts_that_are_one_file_are_named)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;

	ck_assert_int_eq(chdir(scratch_dir()), 0);
	make_file("one", "0123456789");
	make_file("two", "abcdefghij");
	ck_assert_int_eq(link("one", "hard"), 0);
	ck_assert_int_eq(symlink("one", "soft"), 0);
	ck_write_refused("concat:?part=two&part=one&part=./one", -EINVAL,
			 ": ./one is the same file or device as one");
	ck_write_refused("concat:?part=one&part=two&part=hard", -EINVAL,
			 ": hard is the same file or device as one");
	ck_write_refused("concat:?part=soft&part=file:one", -EINVAL,
			 ": file:one is the same file or device as soft");
	/* Inside of another part, and ranges that have a byte in common. */
	ck_write_refused("concat:?part=concat:?part=two%26part=one&part=soft", -EINVAL,
			 ": soft is the same file or device as concat:?part=two&part=one");
	ck_write_refused("concat:?part=file:one?length=6&part=file:hard?offset=5", -EINVAL,
			 ": file:hard?offset=5 is the same file or device as file:one?length=6");
	ck_write_refused("concat:?part=two&part=file:one?length=5&part=file:hard?offset=5",
			 UDS_ERR_IN_USE,
			 ": file:hard?offset=5 is in the same file or on the same device as "
			 "file:one?length=5, which is locked as a whole");
	/* What somebody else has is only locked; nor does a refused one keep a lock. */
	io = open_uri("one", true);
	ck_write_refused("concat:?part=two&part=hard", UDS_ERR_IN_USE, "hard: ");
	ck_assert_msg(strstr(message.text, "locked") != NULL, "%s", message.text);
	ck_assert_int_eq(uds_io_close(io), 0);
	options.write = true;
	ck_assert_int_eq(
		uds_io_open_uri("concat:?part=two&part=one", &options, NULL, &message, &io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	unlink("one");
	unlink("two");
	unlink("hard");
	unlink("soft");
	ck_assert_int_eq(chdir("/"), 0);
	rmdir(scratch_dir());
}
END_TEST

START_TEST(devices_on_one_disk_are_not_in_each_others_way)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;

	partitions_start();
	options.write = true;
	ck_assert_int_eq(uds_io_open_uri("concat:?part=partition:a&part=partition:b", &options,
					 NULL, &message, &io),
			 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	partition_lock('b', true);
	ck_write_refused("concat:?part=partition:a&part=partition:b", UDS_ERR_IN_USE,
			 "partition:b: locked by process 4711");
	ck_write_refused("concat:?part=partition:b&part=partition:a", UDS_ERR_IN_USE,
			 "partition:b: locked by process 4711");
}
END_TEST

static void ck_range(const char *whole, const char *part, uint64_t offset, size_t length)
{
	struct uds_io *io = open_uri(whole, false);
	uint8_t expected[64], found[64];
	uint64_t bytes;

	ck_assert_int_eq(uds_io_read(io, expected, length, offset), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	io = open_uri(part, false);
	ck_assert_int_eq(uds_io_size(io, &bytes), 0);
	ck_assert_uint_eq(bytes, length);
	ck_assert_int_eq(uds_io_read(io, found, length, 0), 0);
	ck_assert_mem_eq(found, expected, length);
	ck_assert_int_eq(uds_io_close(io), 0);
}

/* lvm: is in test_lvm, a registered scheme in test_io_schemes. */
START_TEST(a_range_of_each_scheme_opens)
{
	uint8_t *image = vdo_image_make(5);
	FILE *file;

	memset(image + 4096 + 700, 'x', 30);
	ck_assert_int_eq(chdir(scratch_dir()), 0);
	make_file("one", "0123456789");
	file = fopen("v", "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(image, 4096, VDO_BLOCKS, file), VDO_BLOCKS);
	ck_assert_int_eq(fclose(file), 0);
	ck_range("file:one", "file:one?offset=4&length=5", 4, 5);
	ck_range("mem:?size=100", "mem:?size=100&offset=90&length=7", 90, 7);
	ck_range("concat:?part=one&part=one", "concat:?part=one&part=one&offset=8&length=4", 8, 4);
	ck_range("vdo:v", "vdo:v?offset=699&length=32", 699, 32);
	ck_range("vdo:v?offset=690", "concat:?part=vdo:v?offset=699%26length=32", 9, 32);
	/* What is no range of it is refused with its name. */
	ck_refused("vdo:v?offset=409601", UDS_ERR_OUT_OF_RANGE, "vdo:v?offset=409601: ");
	ck_refused("mem:?size=10&offset=11", UDS_ERR_OUT_OF_RANGE, "mem:?size=10&offset=11: ");
	ck_refused("concat:?part=one&offset=4&length=7", UDS_ERR_OUT_OF_RANGE,
		   "expected to end by byte 10, found 7 bytes from 4 on");
	free(image);
	unlink("one");
	unlink("v");
	ck_assert_int_eq(chdir("/"), 0);
	rmdir(scratch_dir());
}
END_TEST

/* ---- what only some backends can do ---- */

/*
 * An I/O whose bytes are those of object 7, each block of which is a place of its own, and which
 * gives views of its memory; or that cannot tell where its bytes are.
 */
#define PLACED_BLOCKS 40u
#define PLACED_BLOCK  512u

struct placed {
	uint8_t bytes[PLACED_BLOCKS * PLACED_BLOCK];
	int status;	       /* of asking for its places */
	uint64_t discarded[2]; /* the last range */
	int close_status;
};

static int placed_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	memcpy(buffer, ((struct placed *)context)->bytes + offset, length);
	return 0;
}

static int placed_size(void *context, uint64_t *ret_bytes)
{
	*ret_bytes = sizeof(((struct placed *)context)->bytes);
	return 0;
}

static int placed_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	memcpy(((struct placed *)context)->bytes + offset, buffer, length);
	return 0;
}

static int placed_flush(void *context)
{
	(void)context;
	return 0;
}

static int placed_discard(void *context, uint64_t offset, uint64_t length)
{
	struct placed *placed = context;

	placed->discarded[0] = offset;
	placed->discarded[1] = length;
	return 0;
}

static int placed_map(void *context, uint64_t offset, size_t length, const void **ret_view)
{
	(void)length;
	*ret_view = ((struct placed *)context)->bytes + offset;
	return 0;
}

static int placed_identity(void *context, struct uds_io_place *ret_places, size_t room,
			   size_t *ret_count)
{
	const struct placed *placed = context;

	for (size_t i = 0; i < room && i < PLACED_BLOCKS; i++) {
		memset(&ret_places[i], 0, sizeof(ret_places[i]));
		ret_places[i].object = 7;
		ret_places[i].offset = i * PLACED_BLOCK;
		ret_places[i].length = PLACED_BLOCK;
	}
	*ret_count = PLACED_BLOCKS;
	return placed->status;
}

static int placed_close(void *context)
{
	return ((struct placed *)context)->close_status;
}

static struct uds_io *placed_io(struct placed *placed, const struct uds_env *env)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_io *io;

	memset(placed, 0, sizeof(*placed));
	ops.read = placed_read;
	ops.write = placed_write;
	ops.flush = placed_flush;
	ops.get_size = placed_size;
	ops.discard = placed_discard;
	ops.map = placed_map;
	ops.identity = placed_identity;
	ops.close = placed_close;
	limits.memory_alignment = 8;
	ck_assert_int_eq(uds_io_open_ops(&ops, placed, &limits, env, &message, &io), 0);
	return io;
}

/* More than most have; which of them a range of such an I/O is in, nothing tells. */
START_TEST(all_places_of_a_part_are_told)
{
	static struct placed placed;
	struct uds_io_place places[2 * PLACED_BLOCKS];
	struct uds_io *inner = placed_io(&placed, NULL), *io;
	struct uds_io_range range = { inner, 0, UINT64_MAX };
	size_t count = 0;

	for (int part = 0; part < 2; part++) {
		io = open_ranges(&range, 1, false);
		ck_assert_int_eq(uds_io_places(io, places, 2 * PLACED_BLOCKS, &count), 0);
		ck_assert_uint_eq(count, PLACED_BLOCKS);
		for (size_t i = 0; i < count; i++) {
			ck_assert_uint_eq(places[i].offset, i * PLACED_BLOCK);
			ck_assert_uint_eq(places[i].within, (uint32_t)part);
		}
		/* More than there is room for are counted. */
		ck_assert_int_eq(uds_io_places(io, places, 3, &count), 0);
		ck_assert_uint_eq(count, PLACED_BLOCKS);
		ck_assert_int_eq(uds_io_close(io), 0);
		range.offset = (PLACED_BLOCKS - 1) * PLACED_BLOCK;
	}
	ck_assert_int_eq(uds_io_close(inner), 0);
}
END_TEST

/* Two files of 1024 bytes, one behind the other: byte 1024 of both is byte 0 of the second. */
START_TEST(a_range_of_ranges_is_where_its_bytes_are)
{
	static const struct {
		uint64_t offset, length; /* of the two */
		uint64_t second_at;	 /* of 100 bytes of the second */
		bool meet;
	} cases[] = {
		{ 0, 2048, 0, true },	  { 0, 1024, 0, false },    { 0, 1025, 0, true },
		{ 1024, 1024, 0, true },  { 1124, 900, 0, false },  { 1123, 900, 0, true },
		{ 1800, 100, 800, true }, { 1800, 100, 677, true }, { 1800, 100, 676, false },
	};
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *files[2], *two, *range, *other;
	char path[400];

	options.write = options.create = true;
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/file%d", scratch_dir(), i);
		ck_assert_msg(uds_io_open_file(path, &options, NULL, &message, &files[i]) == 0,
			      "%s", message.text);
		ck_assert_int_eq(uds_io_resize(files[i], 1024), 0);
		unlink(path);
	}
	two = open_ranges((struct uds_io_range[]){ { files[0], 0, 1024 }, { files[1], 0, 1024 } },
			  2, false);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		range = open_ranges(&(struct uds_io_range){ two, cases[i].offset, cases[i].length },
				    1, false);
		other = open_ranges(&(struct uds_io_range){ files[1], cases[i].second_at, 100 }, 1,
				    false);
		ck_assert_msg(uds_io_overlap(range, other) == cases[i].meet &&
				      uds_io_overlap(other, range) == cases[i].meet,
			      "case %zu", i);
		ck_assert_int_eq(uds_io_close(range), 0);
		ck_assert_int_eq(uds_io_close(other), 0);
	}
	ck_assert_int_eq(uds_io_close(two), 0);
	ck_assert_int_eq(uds_io_close(files[0]), 0);
	ck_assert_int_eq(uds_io_close(files[1]), 0);
	rmdir(scratch_dir());
}
END_TEST

START_TEST(places_that_are_not_known_are_no_places)
{
	static struct placed placed, unknown;
	struct uds_io_place places[4];
	struct uds_io *a = placed_io(&placed, NULL), *b = placed_io(&unknown, NULL), *io;
	const struct uds_io_range ranges[] = { { b, 0, 512 }, { NULL, 0, 512 }, { a, 0, 512 } };
	size_t count = 77;

	unknown.status = -EOPNOTSUPP;
	io = open_ranges(ranges, 3, false);
	ck_assert_int_eq(uds_io_places(io, places, 4, &count), 0);
	ck_assert_uint_gt(count, 0);
	count = 77;
	placed.status = -EOPNOTSUPP;
	ck_assert_int_eq(uds_io_places(io, places, 4, &count), -EOPNOTSUPP);
	placed.status = -EIO;
	ck_assert_int_eq(uds_io_places(io, places, 4, &count), -EIO);
	ck_assert_uint_eq(count, 77);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(a), 0);
	ck_assert_int_eq(uds_io_close(b), 0);
}
END_TEST

static int places_of_ranges(const struct uds_env *env, void *context)
{
	struct placed *placed = context;
	struct uds_io *inner = placed_io(placed, NULL), *io;
	const struct uds_io_range whole = { inner, 0, UINT64_MAX };
	struct uds_io_place places[1];
	size_t count = 0;
	int r;

	r = uds_io_open_ranges(&whole, 1, NULL, env, &message, &io);
	if (r == 0) {
		r = uds_io_places(io, places, 1, &count);
		ck_assert(r < 0 || count == PLACED_BLOCKS);
		ck_assert_int_eq(uds_io_close(io), 0);
	}
	ck_assert_int_eq(uds_io_close(inner), 0);
	return r;
}

START_TEST(places_need_memory)
{
	static struct placed placed;

	torture_each_allocation(places_of_ranges, &placed, false);
}
END_TEST

/* A view is of one part, and a discard goes to each. */
START_TEST(views_and_discards_go_to_the_parts)
{
	static struct placed one, two;
	struct uds_io *a = placed_io(&one, NULL), *b = placed_io(&two, NULL), *io;
	const struct uds_io_range ranges[] = { { a, 512, 512 },
					       { NULL, 0, 512 },
					       { b, 1024, 512 } };
	const void *view = NULL;

	io = open_ranges(ranges, 3, false);
	ck_assert_uint_eq(uds_io_memory_alignment(io), 8);
	ck_assert_int_eq(uds_io_map(io, 100, 412, &view), 0);
	ck_assert_ptr_eq(view, one.bytes + 612);
	ck_assert_int_eq(uds_io_map(io, 1024, 512, &view), 0);
	ck_assert_ptr_eq(view, two.bytes + 1024);
	view = NULL;
	ck_assert_int_eq(uds_io_map(io, 100, 413, &view), -EOPNOTSUPP);
	ck_assert_int_eq(uds_io_map(io, 600, 8, &view), -EOPNOTSUPP);
	ck_assert_int_eq(uds_io_map(io, 1024, 513, &view), UDS_ERR_OUT_OF_RANGE);
	ck_assert_ptr_null(view);
	ck_assert_int_eq(uds_io_discard(io, 500, 600), 0);
	ck_assert_uint_eq(one.discarded[0], 1012);
	ck_assert_uint_eq(one.discarded[1], 12);
	ck_assert_uint_eq(two.discarded[0], 1024);
	ck_assert_uint_eq(two.discarded[1], 76);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(a), 0);
	ck_assert_int_eq(uds_io_close(b), 0);
}
END_TEST

START_TEST(the_first_part_that_fails_to_close_is_told)
{
	static struct placed one, two;
	struct uds_io *io;
	struct uds_io_range ranges[2] = { { NULL, 0, 512 }, { NULL, 0, 512 } };

	ranges[0].io = placed_io(&one, NULL);
	ranges[1].io = placed_io(&two, NULL);
	one.close_status = -EIO;
	two.close_status = -ENOSPC;
	io = open_ranges(ranges, 2, true);
	ck_assert_int_eq(uds_io_close(io), -EIO);
}
END_TEST

START_TEST(numbers_of_ranges_that_cannot_be_are_refused)
{
	struct uds_env wrong = UDS_ENV_INIT;
	struct uds_io *io = NULL;
	const struct uds_io_range range = { NULL, 0, 512 };

	ck_assert_int_eq(uds_io_open_ranges(&range, 0, NULL, NULL, &message, &io), -EINVAL);
	ck_assert_msg(strstr(message.text, "ranges, found 0") != NULL, "%s", message.text);
	ck_assert_int_eq(uds_io_open_ranges(&range, UDS_IO_RANGES_MAX + (size_t)1, NULL, NULL,
					    &message, &io),
			 -EINVAL);
	wrong.size = 1;
	ck_assert_int_eq(uds_io_open_ranges(&range, 1, NULL, &wrong, &message, &io), -EINVAL);
	ck_assert_ptr_null(io);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io ranges");
	TCase *tc = tcase_create("io ranges");

	tcase_add_test(tc, ranges_lie_one_behind_the_other);
	tcase_add_test(tc, what_ranges_cannot_be_is_said);
	tcase_add_test(tc, limits_are_those_of_all_parts);
	tcase_add_test(tc, a_preferred_length_is_that_of_all_parts);
	tcase_add_test(tc, uris_name_ranges);
	tcase_add_test(tc, parts_that_are_one_file_are_named);
	tcase_add_test(tc, devices_on_one_disk_are_not_in_each_others_way);
	tcase_add_test(tc, a_range_of_each_scheme_opens);
	tcase_add_test(tc, all_places_of_a_part_are_told);
	tcase_add_test(tc, a_range_of_ranges_is_where_its_bytes_are);
	tcase_add_test(tc, places_that_are_not_known_are_no_places);
	tcase_add_test(tc, places_need_memory);
	tcase_add_test(tc, views_and_discards_go_to_the_parts);
	tcase_add_test(tc, the_first_part_that_fails_to_close_is_told);
	tcase_add_test(tc, numbers_of_ranges_that_cannot_be_are_refused);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
