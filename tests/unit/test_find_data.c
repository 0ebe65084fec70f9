/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking for data: what is passed over reads as zero, everything else is found, on each
 * kind of I/O.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/io.h>
#include <uds/snapshot.h>

#include "check_main.h"
#include "snap_image.h"

#define SIZE ((size_t)4 << 20)

/* Finds the next range in I/O, snapshot or origin. */
typedef int (*find_fn)(void *what, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end);

static int find_in_io(void *io, uint64_t offset, uint64_t *begin, uint64_t *end)
{
	return uds_io_find_data(io, offset, begin, end);
}

static int find_in_snapshot(void *s, uint64_t offset, uint64_t *begin, uint64_t *end)
{
	return uds_snapshot_find_data(s, offset, begin, end);
}

static int find_in_origin(void *s, uint64_t offset, uint64_t *begin, uint64_t *end)
{
	return uds_snapshot_origin_find_data(s, offset, begin, end);
}

/* What is passed over is zero in @content. Returns how many bytes are. */
static size_t check_holes(find_fn find, void *what, const uint8_t *content, size_t size)
{
	uint64_t at = 0, begin, end;
	size_t holes = 0;

	while (at < size) {
		ck_assert_int_eq(find(what, at, &begin, &end), 0);
		ck_assert_uint_ge(begin, at);
		ck_assert_uint_le(end, size);
		ck_assert(begin < end || (begin == size && end == size));
		for (uint64_t i = at; i < begin; i++)
			ck_assert_uint_eq(content[i], 0);
		holes += begin - at;
		at = end;
	}
	ck_assert_int_eq(find(what, size, &begin, &end), 0);
	ck_assert(begin == size && end == size);
	begin = 7;
	ck_assert_int_eq(find(what, size + 1, &begin, &end), UDS_ERR_OUT_OF_RANGE);
	ck_assert_uint_eq(begin, 7);
	/* From anywhere, also inside a range or a hole. */
	for (uint64_t i = 1; i < size; i = i * 3 + 511) {
		ck_assert_int_eq(find(what, i, &begin, &end), 0);
		ck_assert_uint_ge(begin, i);
		for (uint64_t j = i; j < begin; j++)
			ck_assert_uint_eq(content[j], 0);
	}
	return holes;
}

/* Some runs of bytes into an I/O of zeroes, and into @content. */
static void scatter(struct uds_io *io, uint8_t *content, size_t size, uint64_t seed)
{
	for (unsigned int i = 0; i < 6; i++) {
		size_t length = next_random(&seed) % 9000 + 1;
		size_t offset = next_random(&seed) % (size - length);

		memset(content + offset, 0x40 + (int)i, length);
		ck_assert_int_eq(uds_io_write(io, content + offset, length, offset), 0);
	}
}

static struct uds_io *new_file(size_t size)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	char path[] = "find-data-XXXXXX";
	struct uds_io *io;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	options.write = true;
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, NULL, &io), 0);
	unlink(path);
	ck_assert_int_eq(uds_io_resize(io, size), 0);
	return io;
}

static struct uds_io *new_io(int kind, size_t size)
{
	struct uds_io *io;

	if (kind == 0)
		return new_file(size);
	ck_assert_int_eq(uds_io_open_memory(size, 1, NULL, NULL, &io), 0);
	return io;
}

START_TEST(holes_are_found_in_files_and_in_memory)
{
	/* One size at a border, and one beside it. */
	static const size_t sizes[] = { SIZE, SIZE + 4097, 70000, 1 };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct uds_io *io = new_io(_i, sizes[i]);
		uint8_t *content = calloc(sizes[i], 1);

		check_holes(find_in_io, io, content, sizes[i]);
		if (sizes[i] > 9001)
			scatter(io, content, sizes[i], i);
		/* A file system without holes has none to find. */
		if (sizes[i] >= SIZE && _i == 1)
			ck_assert_uint_gt(check_holes(find_in_io, io, content, sizes[i]), SIZE / 2);
		else
			check_holes(find_in_io, io, content, sizes[i]);
		memset(content, 1, sizes[i]);
		ck_assert_int_eq(uds_io_write(io, content, sizes[i], 0), 0);
		ck_assert_uint_eq(check_holes(find_in_io, io, content, sizes[i]), 0);
		uds_io_close(io);
		free(content);
	}
}
END_TEST

START_TEST(ranges_pass_on_what_their_parts_know)
{
	uint8_t *content = calloc(SIZE, 1), *whole = calloc(3 * SIZE, 1);
	struct uds_io *below = new_io(1, SIZE), *io;
	const struct uds_io_range ranges[] = { { below, 65536, SIZE / 2 },
					       { NULL, 0, SIZE },
					       { below, 3, 70001 },
					       { below, 0, SIZE } };
	size_t size = 0;

	scatter(below, content, SIZE, 9);
	ck_assert_int_eq(uds_io_open_ranges(ranges, 4, NULL, NULL, NULL, &io), 0);
	for (unsigned int i = 0; i < 4; i++) {
		if (ranges[i].io != NULL)
			memcpy(whole + size, content + ranges[i].offset, ranges[i].length);
		size += ranges[i].length;
	}
	ck_assert_uint_gt(check_holes(find_in_io, io, whole, size), SIZE);
	uds_io_close(io);
	uds_io_close(below);
	free(content);
	free(whole);
}
END_TEST

START_TEST(a_snapshot_has_the_holes_of_its_devices)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_io *origin = new_io(1, SIZE), *cow = new_io(1, 2 * SIZE);
	uint8_t *content = calloc(SIZE, 1), *view = calloc(SIZE, 1), *buffer = calloc(SIZE, 1);
	struct uds_snapshot *s;
	uint64_t begin, end;

	scatter(origin, content, SIZE, 21);
	memcpy(view, content, SIZE);
	format.chunk_bytes = 8192;
	ck_assert_int_eq(uds_exception_store_format(cow, &format, NULL), 0);
	ck_assert_int_eq(uds_snapshot_open(origin, cow, NULL, NULL, &s), 0);
	/* Zeroes over data of either, and data where there was none. */
	memset(buffer, 0, SIZE);
	for (uint64_t at = 0; at < SIZE; at += SIZE / 8) {
		ck_assert_int_eq(uds_snapshot_origin_write(s, buffer, 65536, at), 0);
		memset(content + at, 0, 65536);
		ck_assert_int_eq(uds_snapshot_write(s, buffer, 200000, at + 70000), 0);
		memset(view + at + 70000, 0, 200000);
	}
	memset(buffer, 5, SIZE);
	ck_assert_int_eq(uds_snapshot_write(s, buffer, 100, 123457), 0);
	memset(view + 123457, 5, 100);
	ck_assert_uint_gt(check_holes(find_in_snapshot, s, view, SIZE), SIZE / 4);
	check_holes(find_in_origin, s, content, SIZE);
	ck_assert_int_eq(uds_snapshot_begin_merge(s), 0);
	check_holes(find_in_origin, s, view, SIZE);
	ck_assert_int_eq(uds_snapshot_merge(s, NULL, NULL), 0);
	check_holes(find_in_origin, s, view, SIZE);
	ck_assert_int_eq(uds_snapshot_end_merge(s), 0);
	ck_assert_int_eq(uds_snapshot_invalidate(s), 0);
	ck_assert_int_eq(uds_snapshot_find_data(s, 0, &begin, &end), UDS_ERR_INVALID_SNAPSHOT);
	ck_assert_int_eq(uds_snapshot_origin_find_data(s, 0, &begin, &end), 0);
	uds_snapshot_close(s);
	uds_io_close(origin);
	uds_io_close(cow);
	free(content);
	free(view);
	free(buffer);
}
END_TEST

/*
 * A store on @cow whose first @count entries are for the chunks from 9 on, kept in those
 * from @new_chunk on.
 */
static void make_store(struct uds_io *cow, uint64_t new_chunk, unsigned int count)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;

	format.chunk_bytes = 4096;
	ck_assert_int_eq(uds_exception_store_format(cow, &format, NULL), 0);
	for (unsigned int i = 0; i < count; i++) {
		uint8_t entry[16] = { (uint8_t)(9 + i) };

		for (unsigned int b = 0; b < 8; b++)
			entry[8 + b] = (uint8_t)((new_chunk + i) >> 8 * b);
		ck_assert_int_eq(uds_io_write(cow, entry, sizeof(entry), 4096 + 16 * i), 0);
	}
}

/*
 * A run of chunks that goes on behind the end of the device, or over a place of metadata: no hole
 * from there on.
 */
START_TEST(what_is_lost_of_a_run_is_no_hole)
{
	static const struct {
		uint64_t cow_bytes, new_chunk, begin, end; /* the latter in the snapshot */
	} cases[] = {
		{ SIZE, SIZE / 4096 - 2, 11 * 4096, 13 * 4096 },
		{ SIZE + 512, SIZE / 4096 - 2, 11 * 4096 + 512, 13 * 4096 },
		{ SIZE, 257, 10 * 4096, 11 * 4096 },
		{ SIZE, 300, SIZE, SIZE },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uds_io *origin = new_io(1, SIZE), *cow = new_io(1, cases[i].cow_bytes);
		uint64_t begin, end = 0, at;
		struct uds_snapshot *s;

		make_store(cow, cases[i].new_chunk, 4);
		ck_assert_int_eq(uds_snapshot_open(origin, cow, NULL, NULL, &s), 0);
		ck_assert_int_eq(uds_snapshot_find_data(s, 0, &begin, &at), 0);
		ck_assert_uint_eq(begin, cases[i].begin);
		/* Maybe in several pieces. */
		for (end = at; end < SIZE; end = at) {
			uint64_t next;

			ck_assert_int_eq(uds_snapshot_find_data(s, end, &next, &at), 0);
			if (next > end)
				break;
		}
		ck_assert_uint_eq(end, cases[i].end);
		uds_snapshot_close(s);
		uds_io_close(origin);
		uds_io_close(cow);
	}
}
END_TEST

/*
 * A store whose first entry leads to a chunk far behind the end: reading says so, and
 * it is no hole.
 */
START_TEST(what_is_lost_is_no_hole)
{
	static const uint64_t places[] = { UINT64_C(1) << 40, UINT64_MAX / 4096 - 1, 1 };

	for (unsigned int i = 0; i < 3; i++) {
		struct uds_io *origin = new_io(1, SIZE), *cow = new_io(1, SIZE);
		struct uds_snapshot *s;
		uint64_t begin, end;

		make_store(cow, places[i], 1);
		ck_assert_int_eq(uds_snapshot_open(origin, cow, NULL, NULL, &s), 0);
		ck_assert_int_eq(uds_snapshot_find_data(s, 0, &begin, &end), 0);
		ck_assert_uint_eq(begin, 9 * 4096);
		ck_assert_uint_eq(end, 10 * 4096);
		uds_snapshot_close(s);
		uds_io_close(origin);
		uds_io_close(cow);
	}
}
END_TEST

/* ---- a backend that says anything ---- */

static struct {
	int status;
	uint64_t begin, end;
} says;

static int any_transfer(void *context, void *buffer, size_t length, uint64_t offset)
{
	(void)context;
	(void)buffer;
	(void)length;
	(void)offset;
	return 0;
}

static int any_flush(void *context)
{
	(void)context;
	return 0;
}

static int any_size(void *context, uint64_t *ret_bytes)
{
	(void)context;
	*ret_bytes = 1000;
	return 0;
}

static int any_find(void *context, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
	(void)context;
	(void)offset;
	*ret_begin = says.begin;
	*ret_end = says.end;
	return says.status;
}

START_TEST(what_a_backend_says_is_checked)
{
	static const struct {
		int status;
		uint64_t begin, end;
		int expected;
	} cases[] = {
		{ 0, 200, 300, 0 },	      { 0, 1000, 1000, 0 },
		{ 0, 50, 300, -EIO },  /* it goes back */
		{ 0, 300, 200, -EIO }, /* ends before it begins */
		{ 0, 300, 300, -EIO }, /* nothing, and not the end */
		{ -ENODATA, 0, 0, -ENODATA }, { 3, 200, 300, -EIO },
		{ -EOPNOTSUPP, 0, 0, 0 },
	};
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_message message = { "" };
	struct uds_io *io;

	ops.read = any_transfer;
	ops.flush = any_flush;
	ops.get_size = any_size;
	ops.close = any_flush;
	ops.find_data = any_find;
	ck_assert_int_eq(uds_io_open_ops(&ops, NULL, NULL, NULL, NULL, &io), 0);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t begin = 1, end = 2;

		says.status = cases[i].status;
		says.begin = cases[i].begin;
		says.end = cases[i].end;
		ck_assert_int_eq(uds_io_find_data(io, 100, &begin, &end), cases[i].expected);
		uds_io_error_message(io, &message);
		ck_assert_int_eq(message.text[0] == '\0', cases[i].expected == 0);
		if (cases[i].expected < 0)
			ck_assert(begin == 1 && end == 2);
		else if (cases[i].status == -EOPNOTSUPP)
			ck_assert(begin == 100 && end == 1000);
		else
			ck_assert(begin == cases[i].begin && end == cases[i].end);
	}
	uds_io_close(io);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("looking for data");
	TCase *tc = tcase_create("find data");

	tcase_add_loop_test(tc, holes_are_found_in_files_and_in_memory, 0, 2);
	tcase_add_test(tc, ranges_pass_on_what_their_parts_know);
	tcase_add_test(tc, a_snapshot_has_the_holes_of_its_devices);
	tcase_add_test(tc, what_is_lost_is_no_hole);
	tcase_add_test(tc, what_is_lost_of_a_run_is_no_hole);
	tcase_add_test(tc, what_a_backend_says_is_checked);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
