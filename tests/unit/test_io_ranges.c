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
		{ { NULL, 0, UINT64_MAX }, -EINVAL, "range 1: zeroes up to the end of nothing" },
		{ { NULL, 0, INT64_MAX }, -EFBIG, "range 1: more than 2^63 bytes in all" },
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

int main(void)
{
	Suite *suite = suite_create("io ranges");
	TCase *tc = tcase_create("io ranges");

	tcase_add_test(tc, ranges_lie_one_behind_the_other);
	tcase_add_test(tc, what_ranges_cannot_be_is_said);
	tcase_add_test(tc, limits_are_those_of_all_parts);
	tcase_add_test(tc, uris_name_ranges);
	tcase_add_test(tc, a_range_of_each_scheme_opens);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
