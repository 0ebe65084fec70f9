/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers of any offset and length on I/Os with blocks of any size: against the same done
 * to plain memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "fault_io.h"
#include "io/bytes_io.h"
#include "io/copier.h"
#include "io/io.h"
#include "snap_image.h"
#include "torture_env.h"
#include "trace_io.h"

#define WINDOW ((size_t)1 << 20)
#define SIZE   (6 * WINDOW)

static const uint32_t blocks[] = { 1, 512, 4096, 1 << 20 };
#define BLOCKS ((int)(sizeof(blocks) / sizeof(blocks[0])))

static struct torture_env torture;
static struct image model;
static uint8_t *buffer;

static void begin(void)
{
	torture_env_start(&torture);
	model.size = SIZE;
	model.bytes = malloc(SIZE);
	buffer = malloc(SIZE + 4096);
	for (size_t i = 0; i < SIZE; i++)
		model.bytes[i] = (uint8_t)(i * 7 + i / 512 * 13 + i / 65536);
}

static void end(void)
{
	free(buffer);
	free(model.bytes);
	torture_env_end(&torture);
}

static void check_io(struct uds_io *io, const char *what)
{
	struct image now = io_image(io);

	check_same(&now, &model, what);
	image_free(&now);
}

/* Ranges at and beside the borders of blocks and of the window. */
static bool next_range(unsigned int *n, uint64_t block, uint64_t *ret_offset, uint64_t *ret_length)
{
	const uint64_t offsets[] = { 0, 1, block - 1, block, block + 1, WINDOW - 1, WINDOW + 5 };
	const uint64_t lengths[] = { 1,		 block - 1,	block,	    block + 1,
				     2 * block,	 2 * block + 1, WINDOW - 1, WINDOW,
				     WINDOW + 1, 2 * WINDOW + 3 };
	const unsigned int lengths_count = sizeof(lengths) / sizeof(lengths[0]);
	unsigned int i = (*n)++;

	if (i / lengths_count >= sizeof(offsets) / sizeof(offsets[0]))
		return false;
	*ret_offset = offsets[i / lengths_count];
	*ret_length = lengths[i % lengths_count];
	return true;
}

START_TEST(any_range_is_read)
{
	struct uds_io *io = image_io(&model, blocks[_i]);
	uint64_t offset, length;

	for (unsigned int n = 0; next_range(&n, blocks[_i], &offset, &length);) {
		buffer[length] = 0x5a;
		ck_assert_int_eq(bytes_read(io, &torture.env, buffer, length, offset, NULL), 0);
		ck_assert_mem_eq(buffer, model.bytes + offset, length);
		ck_assert_uint_eq(buffer[length], 0x5a);
	}
	uds_io_close(io);
}
END_TEST

START_TEST(any_range_is_written_and_nothing_beside_it)
{
	struct uds_io *io = image_io(&model, blocks[_i]);
	uint64_t offset, length;

	for (unsigned int n = 0; next_range(&n, blocks[_i], &offset, &length);) {
		memset(buffer, (int)n, length);
		memset(model.bytes + offset, (int)n, length);
		ck_assert_int_eq(bytes_write(io, &torture.env, buffer, length, offset, NULL), 0);
		check_io(io, "after a write");
	}
	uds_io_close(io);
}
END_TEST

/* Of the blocks at the edges of a write those are read that are not replaced whole, each once. */
START_TEST(only_the_edges_of_a_write_are_read)
{
	static const struct {
		uint64_t offset, length;
		const char *reads;
	} writes[] = {
		{ 512, 1024, "tW512+1024 " },
		{ 512, 1, "tR512+512 tW512+512 " },
		{ 600, 1, "tR512+512 tW512+512 " },
		{ 600, 424, "tR512+512 tW512+512 " },
		{ 600, 425, "tR1024+512 tR512+512 tW512+1024 " },
		{ 600, 512, "tR1024+512 tR512+512 tW512+1024 " },
		{ 600, 936, "tR512+512 tW512+1024 " },
		{ 512, 513, "tR1024+512 tW512+1024 " },
		{ 512, 1023, "tR1024+512 tW512+1024 " },
	};
	struct trace *trace = malloc(sizeof(*trace));
	struct uds_io *io;

	trace_start(trace);
	trace->reads = true;
	io = trace_io(trace, 't', image_io(&model, 512));
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		trace_clear(trace);
		ck_assert_int_eq(bytes_write(io, &torture.env, buffer, writes[i].length,
					     writes[i].offset, NULL),
				 0);
		ck_assert_str_eq(trace->text, writes[i].reads);
	}
	uds_io_close(io);
	free(trace);
}
END_TEST

/*
 * Both offsets are whole blocks; behind the copy the rest of the target's last block becomes
 * zeroes.
 */
START_TEST(copies_go_between_any_blocks)
{
	uint32_t from_block = blocks[_i / BLOCKS], to_block = blocks[_i % BLOCKS];
	uint32_t block = from_block > to_block ? from_block : to_block;
	struct uds_io *from = image_io(&model, from_block), *to = image_io(&model, to_block);
	const uint64_t lengths[] = { 1,
				     511,
				     512,
				     513,
				     4095,
				     4097,
				     WINDOW - 1,
				     WINDOW,
				     WINDOW + 1,
				     WINDOW + 513,
				     WINDOW + 4097,
				     2 * WINDOW,
				     2 * WINDOW + 700 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t length = lengths[i], from_at = block, to_at = 2 * (uint64_t)to_block;
		uint64_t whole = (length + to_block - 1) / to_block * to_block;

		ck_assert_int_eq(uds_io_read(from, buffer, SIZE, 0), 0);
		ck_assert_int_eq(bytes_copy(from, from_at, to, to_at, length, &torture.env, NULL),
				 0);
		memcpy(model.bytes + to_at, buffer + from_at, length);
		memset(model.bytes + to_at + length, 0, whole - length);
		check_io(to, "after a copy");
	}
	uds_io_close(from);
	uds_io_close(to);
}
END_TEST

/*
 * A backend that demands memory aligned to pages of 16 KiB, and counts; it cannot write
 * zeroes by itself.
 */
#define STRICT_MEMORY 16384u
static struct {
	unsigned int reads, writes;
	size_t longest;
} strict;

static int strict_read(void *context, void *bytes, size_t length, uint64_t offset)
{
	(void)context;
	ck_assert_uint_eq((uintptr_t)bytes % STRICT_MEMORY, 0);
	strict.reads++;
	memcpy(bytes, model.bytes + offset, length);
	return 0;
}

static int strict_write(void *context, const void *bytes, size_t length, uint64_t offset)
{
	(void)context;
	ck_assert_uint_eq((uintptr_t)bytes % STRICT_MEMORY, 0);
	strict.writes++;
	strict.longest = length > strict.longest ? length : strict.longest;
	memcpy(model.bytes + offset, bytes, length);
	return 0;
}

static int strict_nothing(void *context)
{
	(void)context;
	return 0;
}

static int strict_size(void *context, uint64_t *ret_bytes)
{
	(void)context;
	*ret_bytes = SIZE;
	return 0;
}

static struct uds_io *strict_io(uint32_t block, uint32_t memory)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_io *io;

	ops.read = strict_read;
	ops.write = strict_write;
	ops.flush = strict_nothing;
	ops.get_size = strict_size;
	ops.close = strict_nothing;
	limits.block_bytes = block;
	limits.memory_alignment = memory;
	memset(&strict, 0, sizeof(strict));
	ck_assert_int_eq(uds_io_open_ops(&ops, NULL, &limits, &torture.env, NULL, &io), 0);
	return io;
}

START_TEST(memory_is_aligned_for_both_sides)
{
	static const struct copy_piece piece = { 0, 3 * WINDOW, 2 * WINDOW };
	struct copy_job job = { .pieces = &piece, .count = 1 };
	struct uds_io *io = strict_io(512, STRICT_MEMORY), *other = image_io(&model, 512);
	struct uds_io *from = _i % 2 == 0 ? io : other, *to = _i / 2 == 0 ? io : other;
	struct copier *copier;

	ck_assert_int_eq(bytes_read(io, &torture.env, buffer, 700, 3, NULL), 0);
	ck_assert_int_eq(bytes_write(io, &torture.env, buffer, 700, 3, NULL), 0);
	ck_assert_int_eq(bytes_copy(from, 0, to, 3 * WINDOW, WINDOW + 3, &torture.env, NULL), 0);
	ck_assert_int_eq(copier_open(from, to, &torture.env, 2, WINDOW, NULL, &copier), 0);
	ck_assert_int_eq(copier_run(copier, &job, NULL), 0);
	copier_close(copier);
	uds_io_close(io);
	uds_io_close(other);
}
END_TEST

/* Buffers are never aligned to less than a page, so that O_DIRECT takes them anywhere. */
START_TEST(buffers_begin_at_a_page)
{
	static const uint32_t demands[] = { 1, 512, 4096, STRICT_MEMORY };

	for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++) {
		struct uds_io *io = strict_io(1, demands[i]);
		uint8_t *made = io_allocate_buffer(io, &torture.env, 10);
		uint32_t least = demands[i] > 4096 ? demands[i] : 4096;

		ck_assert_ptr_nonnull(made);
		ck_assert_uint_eq((uintptr_t)made % least, 0);
		torture.env.release(torture.env.context, made);
		uds_io_close(io);
	}
}
END_TEST

START_TEST(long_transfers_go_in_large_parts)
{
	struct uds_io *io = strict_io(512, STRICT_MEMORY);

	ck_assert_int_eq(bytes_read(io, &torture.env, buffer, 4 * WINDOW, 100, NULL), 0);
	ck_assert_uint_eq(strict.reads, 5);
	strict.reads = 0;
	ck_assert_int_eq(bytes_write(io, &torture.env, buffer, 4 * WINDOW, 100, NULL), 0);
	ck_assert_uint_eq(strict.writes, 5);
	ck_assert_uint_eq(strict.reads, 2);
	strict.writes = 0;
	ck_assert_int_eq(uds_io_write_zeroes(io, 512, WINDOW), 0);
	ck_assert_uint_eq(strict.writes, 4);
	strict.writes = 0;
	ck_assert_int_eq(uds_io_write_zeroes(io, 512, 1024), 0);
	ck_assert_uint_eq(strict.writes, 1);
	ck_assert_uint_eq(model.bytes[512] | model.bytes[512 + WINDOW - 1], 0);
	uds_io_close(io);
	/* A block is written whole, however large. */
	io = strict_io(1 << 20, STRICT_MEMORY);
	ck_assert_int_eq(uds_io_write_zeroes(io, WINDOW, 2 * WINDOW), 0);
	ck_assert_uint_eq(strict.writes, 2);
	ck_assert_uint_eq(strict.longest, WINDOW);
	torture_env_fail_at(&torture, 1, true);
	ck_assert_int_eq(uds_io_write_zeroes(io, WINDOW, WINDOW), -ENOMEM);
	torture_env_fail_at(&torture, 0, false);
	uds_io_close(io);
}
END_TEST

/* What a copier does with one piece, as text; @from and @to prefer multiples of what is given. */
static const char *copy_traced(struct trace *trace, uint64_t from, uint64_t to,
			       const struct copy_piece *pieces, size_t count)
{
	struct copy_job job = { .pieces = pieces, .count = count };
	struct uds_io *ios[2];
	struct copier *copier;

	trace_start(trace);
	trace->reads = true;
	for (int i = 0; i < 2; i++) {
		ios[i] = image_io(&model, 512);
		ios[i]->preferred_bytes = i == 0 ? from : to;
		ios[i] = trace_io(trace, i == 0 ? 'f' : 't', ios[i]);
	}
	/* One at a time, so that the order is the same each time. */
	ck_assert_int_eq(copier_open(ios[0], ios[1], &torture.env, 1, 65536, NULL, &copier), 0);
	ck_assert_int_eq(copier_run(copier, &job, NULL), 0);
	ck_assert_uint_eq(job.copied_bytes, pieces[0].length + (count > 1 ? pieces[1].length : 0));
	copier_close(copier);
	trace->reads = false;
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(uds_io_read(ios[1], buffer, pieces[i].length, pieces[i].to), 0);
		ck_assert_mem_eq(buffer, model.bytes + pieces[i].from, pieces[i].length);
	}
	uds_io_close(ios[0]);
	uds_io_close(ios[1]);
	return trace->text;
}

/* A run of copies is cut once, and goes on with whole multiples of what costs least. */
START_TEST(copies_are_cut_where_transfers_cost_least)
{
	static const struct copy_piece runs[][2] = {
		{ { 4096, 8192, 131072 } },
		{ { 4096, 4608, 131072 } },
		{ { 4096, 8192, 65536 } },
		{ { 4096, 57344, 8192 }, { 204800, 65536, 8192 } },
	};
	static const struct {
		uint64_t from, to;
		size_t run, pieces;
		const char *does;
	} copies[] = {
		{ 0, 0, 0, 1, "R4096+65536 W8192+65536 R69632+65536 W73728+65536 " },
		{ 0, 65536, 0, 1,
		  "R4096+57344 W8192+57344 R61440+65536 W65536+65536 R126976+8192 W131072+8192 " },
		{ 0, 16384, 0, 1,
		  "R4096+57344 W8192+57344 R61440+65536 W65536+65536 R126976+8192 W131072+8192 " },
		{ 0, 1048576, 0, 1, "R4096+65536 W8192+65536 R69632+65536 W73728+65536 " },
		{ 65536, 0, 0, 1,
		  "R4096+61440 W8192+61440 R65536+65536 W69632+65536 R131072+4096 W135168+4096 " },
		{ 65536, 32768, 0, 1,
		  "R4096+57344 W8192+57344 R61440+65536 W65536+65536 R126976+8192 W131072+8192 " },
		/* What is no multiple of the blocks that everything is laid out in says nothing. */
		{ 0, 66048, 0, 1, "R4096+65536 W8192+65536 R69632+65536 W73728+65536 " },
		{ 0, 65536, 1, 1,
		  "R4096+60928 W4608+60928 R65024+65536 W65536+65536 R130560+4608 W131072+4608 " },
		/* Pieces that go on on the target end there, though they would fit together. */
		{ 0, 65536, 3, 2, "R4096+8192 W57344+8192 R204800+8192 W65536+8192 " },
		{ 0, 0, 3, 2, "R4096+8192 R204800+8192 W57344+16384 " },
	};
	static struct trace trace;

	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
		const char *text = copy_traced(&trace, copies[i].from, copies[i].to,
					       runs[copies[i].run], copies[i].pieces);
		char plain[sizeof(trace.text)], *to = plain;

		for (; *text != '\0'; text++) {
			if (*text != 'f' && *text != 't')
				*to++ = *text;
		}
		*to = '\0';
		ck_assert_msg(strcmp(plain, copies[i].does) == 0, "copy %zu: %s", i, plain);
	}
}
END_TEST

/*
 * Whatever fails is the answer, and it ends there: nothing is written after a read or
 * write that failed.
 */
START_TEST(the_first_failure_is_the_answer)
{
	uint64_t length = 2 * WINDOW + 700;
	struct fault_plan plan;
	struct uds_io *io;
	unsigned int failures = 0;

	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, image_io(&model, 512), NULL, &io), 0);
	for (int kind = 0; kind < 3; kind++) {
		for (uint64_t nth = 1;; nth++) {
			int r;

			fault_plan_fail(&plan, FAULT_READ | FAULT_WRITE, nth, -EDQUOT, false);
			r = kind == 0 ? bytes_read(io, &torture.env, buffer, length, 100, NULL)
			    : kind == 1
				    ? bytes_write(io, &torture.env, buffer, length, 100, NULL)
				    : bytes_copy(io, 0, io, 3 * WINDOW, length, &torture.env, NULL);
			if (plan.failed == 0) {
				ck_assert_int_eq(r, 0);
				ck_assert_uint_gt(nth, 3);
				break;
			}
			failures++;
			ck_assert_int_eq(r, -EDQUOT);
			ck_assert_uint_eq(fault_plan_count(&plan, FAULT_READ | FAULT_WRITE), nth);
		}
	}
	ck_assert_uint_gt(failures, 9);
	fault_plan_fail(&plan, 0, 0, 0, false);
	torture_env_fail_at(&torture, 1, true);
	ck_assert_int_eq(bytes_read(io, &torture.env, buffer, 1, 1, NULL), -ENOMEM);
	ck_assert_int_eq(bytes_write(io, &torture.env, buffer, 1, 1, NULL), -ENOMEM);
	ck_assert_int_eq(bytes_copy(io, 0, io, 512, 1, &torture.env, NULL), -ENOMEM);
	uds_io_close(io);
	fault_plan_end(&plan);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bytes io");
	TCase *tc = tcase_create("bytes io");

	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_loop_test(tc, any_range_is_read, 0, BLOCKS);
	tcase_add_loop_test(tc, any_range_is_written_and_nothing_beside_it, 0, BLOCKS);
	tcase_add_test(tc, only_the_edges_of_a_write_are_read);
	tcase_add_alike(tc, copies_go_between_any_blocks, 0, BLOCKS * BLOCKS);
	tcase_add_loop_test(tc, memory_is_aligned_for_both_sides, 0, 4);
	tcase_add_test(tc, buffers_begin_at_a_page);
	tcase_add_test(tc, long_transfers_go_in_large_parts);
	tcase_add_test(tc, copies_are_cut_where_transfers_cost_least);
	tcase_add_test(tc, the_first_failure_is_the_answer);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
