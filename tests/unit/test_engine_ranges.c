/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests for ranges of other I/Os go the way of those: as many in flight as these have. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/engine.h>

#include "check_main.h"
#include "fault_io.h"
#include "run_requests.h"
#include "torture_env.h"
#include "trace_io.h"

#define PIECE	 4096u
#define PIECES	 256u
#define BYTES	 ((size_t)PIECE * PIECES)
#define PART_END ((size_t)PIECE * 100 + 512) /* inside of a piece */

static struct uds_io_engine *engine_with(unsigned int depth, const struct uds_env *env)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_engine *engine;

	options.depth = depth;
	options.threads = 0;
	ck_assert_int_eq(uds_io_engine_open(&options, env, NULL, &engine), 0);
	return engine;
}

static struct uds_io *range_of(struct uds_io *io, uint64_t offset, uint64_t length)
{
	const struct uds_io_range range = { io, offset, length };
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_io *ranges;

	options.close_parts = true;
	ck_assert_int_eq(uds_io_open_ranges(&range, 1, &options, NULL, NULL, &ranges), 0);
	return ranges;
}

/* Two parts, of which the first ends inside of a piece, in the middle of a larger I/O. */
static struct uds_io *two_parts(struct uds_io *io)
{
	const struct uds_io_range ranges[] = { { io, BYTES, PART_END },
					       { io, 512, BYTES - PART_END } };
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_io *whole;

	options.close_parts = true;
	ck_assert_int_eq(uds_io_open_ranges(ranges, 2, &options, NULL, NULL, &whole), 0);
	return whole;
}

static struct uds_io *memory_of(size_t bytes)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(bytes, 512, NULL, NULL, &io), 0);
	return io;
}

static void fill(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(i / PIECE * 31 + i);
}

/* Writes all pieces and reads them back, and checks that requests are as they were given. */
static void go_through(struct uds_io_engine *engine, struct uds_io *io)
{
	uint8_t *bytes = malloc(BYTES), *read = calloc(1, BYTES);
	struct uds_io_request *writes = make_requests(io, UDS_IO_WRITE, bytes, PIECES, PIECE);
	struct uds_io_request *reads = make_requests(io, UDS_IO_READ, read, PIECES, PIECE);
	struct uds_io_request flush = { .io = io, .kind = UDS_IO_FLUSH, .user = &flush };

	fill(bytes, BYTES);
	writes[3].flags = UDS_IO_FUA;
	run_requests(engine, writes, PIECES, 0);
	run_requests(engine, &flush, 1, 0);
	run_requests(engine, reads, PIECES, 0);
	ck_assert_mem_eq(read, bytes, BYTES);
	ck_assert_ptr_eq(flush.user, &flush);
	for (size_t i = 0; i < PIECES; i++) {
		ck_assert_ptr_eq(reads[i].io, io);
		ck_assert_uint_eq(reads[i].offset, (i * 7 % PIECES) * PIECE);
		ck_assert_ptr_null(reads[i].user);
	}
	/* The same by plain calls. */
	memset(read, 0, BYTES);
	ck_assert_int_eq(uds_io_read(io, read, BYTES, 0), 0);
	ck_assert_mem_eq(read, bytes, BYTES);
	free(writes);
	free(reads);
	free(bytes);
	free(read);
}

START_TEST(requests_are_in_flight_in_the_io_below)
{
	struct uds_io_engine *engine = engine_with(64, NULL);
	struct uds_io *io;
	struct trace trace;

	trace_start(&trace);
	/* Ranges of ranges, as a VDO volume on a logical volume has them. */
	io = range_of(two_parts(trace_io(&trace, 'a', memory_of(2 * BYTES))), 0, BYTES);
	go_through(engine, io);
	ck_assert_uint_gt(trace.most_in_flight, 32);
	uds_io_close(io);
	uds_io_engine_close(engine);
}
END_TEST

START_TEST(requests_go_through_io_uring)
{
	struct uds_io_engine_statistics s = UDS_IO_ENGINE_STATISTICS_INIT, below = s;
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io_engine *engine = engine_with(64, NULL);
	struct uds_io *file, *io;
	char path[400];

	snprintf(path, sizeof(path), "%s/file", scratch_dir());
	options.write = options.create = options.uring = true;
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, NULL, &file), 0);
	ck_assert_int_eq(uds_io_resize(file, 2 * BYTES), 0);
	go_through(engine, file);
	ck_assert_int_eq(uds_io_engine_get_statistics(engine, &below), 0);
	io = range_of(file, BYTES, BYTES);
	go_through(engine, io);
	ck_assert_int_eq(uds_io_engine_get_statistics(engine, &s), 0);
	uds_io_close(io);
	uds_io_engine_close(engine);
	unlink(path);
	if (below.ring_requests == 0)
		skip_test("no io_uring here");
	ck_assert_uint_eq(s.ring_requests, 2 * below.ring_requests);
	ck_assert_uint_eq(s.requests, 2 * below.requests);
}
END_TEST

/* What lies in no part alone is carried out by the ranges, and what is wrong is refused. */
START_TEST(requests_that_cannot_be_passed_on_are_answered_as_ever)
{
	struct uds_io_engine *engine = engine_with(64, NULL);
	static uint8_t bytes[PIECE] = { 1 };
	struct uds_io_request request = { .kind = UDS_IO_READ, .buffer = bytes, .length = 512 };
	struct uds_io *below, *io;
	struct fault_plan plan;

	fault_plan_start(&plan);
	plan.queues = true;
	ck_assert_int_eq(fault_io_open(&plan, memory_of(2 * BYTES), NULL, &below), 0);
	io = two_parts(below);
	request.io = io;
	request.offset = BYTES;
	run_requests(engine, &request, 1, UDS_ERR_OUT_OF_RANGE);
	request.offset = 7;
	run_requests(engine, &request, 1, UDS_ERR_UNALIGNED);
	request.offset = UINT64_MAX - 511;
	run_requests(engine, &request, 1, UDS_ERR_OUT_OF_RANGE);
	request.offset = request.length = 0;
	run_requests(engine, &request, 1, 0);
	request.kind = UDS_IO_WRITE_ZEROES;
	request.length = PIECE;
	run_requests(engine, &request, 1, 0);
	request.kind = UDS_IO_DISCARD;
	run_requests(engine, &request, 1, uds_io_discard(io, 0, PIECE));
	/* An error of the I/O below, on the way and at once. */
	request.kind = UDS_IO_READ;
	request.length = 512;
	fault_plan_fail(&plan, FAULT_READ, 1, -EIO, false);
	run_requests(engine, &request, 1, -EIO);
	fault_plan_fail(&plan, FAULT_SUBMIT, 1, -ENOSPC, false);
	run_requests(engine, &request, 1, -ENOSPC);
	fault_plan_fail(&plan, FAULT_SUBMIT, 1, -EOPNOTSUPP, true);
	run_requests(engine, &request, 1, 0);
	fault_plan_fail(&plan, FAULT_REAP, 1, -EIO, false);
	run_requests(engine, &request, 1, -EIO);
	fault_plan_fail(&plan, 0, 0, 0, false);
	go_through(engine, io);
	uds_io_close(io);
	uds_io_engine_close(engine);
	fault_plan_end(&plan);
}
END_TEST

/* Also where one request is submitted at a time, more than the depth in turn. */
START_TEST(without_memory_requests_go_by_plain_calls)
{
	struct torture_env torture;
	struct uds_io_engine *engine;
	struct trace trace;
	struct uds_io *io;

	trace_start(&trace);
	torture_env_start(&torture);
	engine = engine_with(64, &torture.env);
	io = range_of(trace_io(&trace, 'a', memory_of(2 * BYTES)), BYTES, BYTES);
	torture_env_fail_at(&torture, 1, true);
	go_through(engine, io);
	ck_assert_uint_gt(torture.failed, 0);
	ck_assert_uint_eq(trace.most_in_flight, 0);
	torture_env_fail_at(&torture, 0, false);
	go_through(engine, io);
	ck_assert_uint_gt(trace.most_in_flight, 32);
	uds_io_close(io);
	uds_io_engine_close(engine);
	torture_env_end(&torture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine ranges");
	TCase *tc = tcase_create("engine ranges");

	tcase_add_test(tc, requests_are_in_flight_in_the_io_below);
	tcase_add_test(tc, requests_go_through_io_uring);
	tcase_add_test(tc, requests_that_cannot_be_passed_on_are_answered_as_ever);
	tcase_add_test(tc, without_memory_requests_go_by_plain_calls);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
