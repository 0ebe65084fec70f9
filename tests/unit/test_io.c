/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front of the I/O layer: what a vtable must have, what a transfer must obey, the memory
 * backend, sentences, and every allocation of every open failing in turn.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/engine.h>
#include <uds/io.h>

#include "check_main.h"
#include "fault_io.h"
#include "io/io.h"
#include "torture_env.h"

static int calls; /* of any function of the fake backend */

static int fake_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	(void)context, (void)buffer, (void)length, (void)offset;
	calls++;
	return 0;
}

static int fake_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	(void)context, (void)buffer, (void)length, (void)offset;
	calls++;
	return 0;
}

static int fake_flush(void *context)
{
	(void)context;
	calls++;
	return -EROFS;
}

static int fake_size(void *context, uint64_t *ret_bytes)
{
	(void)context, (void)ret_bytes;
	calls++;
	return -ENXIO;
}

static int fake_close(void *context)
{
	*(int *)context += 1;
	return -EIO;
}

static int fake_reap(void *context, struct uds_io_engine *engine, int timeout_ms)
{
	(void)context, (void)engine, (void)timeout_ms;
	return 0;
}

static const struct uds_io_ops fake_ops = {
	.size = sizeof(struct uds_io_ops),
	.read = fake_read,
	.write = fake_write,
	.flush = fake_flush,
	.get_size = fake_size,
	.close = fake_close,
};

static void create_refused(const struct uds_io_ops *ops, const struct uds_io_limits *limits)
{
	struct uds_io *io = (struct uds_io *)1;
	int closed = 0;

	ck_assert_int_eq(uds_io_open_ops(ops, &closed, limits, NULL, NULL, &io), -EINVAL);
	ck_assert_ptr_eq(io, (struct uds_io *)1);
	ck_assert_int_eq(closed, 0); /* the context stays the caller's */
}

START_TEST(a_vtable_without_its_duties_is_refused)
{
	struct uds_io_ops ops;

	create_refused(NULL, NULL);
	ops = fake_ops;
	ops.read = NULL;
	create_refused(&ops, NULL);
	ops = fake_ops;
	ops.flush = NULL;
	create_refused(&ops, NULL);
	ops = fake_ops;
	ops.get_size = NULL;
	create_refused(&ops, NULL);
	ops = fake_ops;
	ops.reap = fake_reap; /* without submit */
	create_refused(&ops, NULL);
	ops = fake_ops;
	ops.size = 0;
	create_refused(&ops, NULL);
	/* A size that ends before what is required. */
	ops.size = offsetof(struct uds_io_ops, get_size);
	create_refused(&ops, NULL);
}
END_TEST

START_TEST(limits_that_no_device_can_have_are_refused)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;

	limits.block_bytes = 0;
	create_refused(&fake_ops, &limits);
	limits.block_bytes = 520;
	create_refused(&fake_ops, &limits);
	limits.block_bytes = 512;
	limits.memory_alignment = 3;
	create_refused(&fake_ops, &limits);
	limits.memory_alignment = 1;
	limits.name = NULL;
	create_refused(&fake_ops, &limits);
}
END_TEST

START_TEST(a_vtable_smaller_than_in_any_version_is_refused)
{
	struct uds_io_ops ops = fake_ops;

	ops.size = offsetof(struct uds_io_ops, discard);
	create_refused(&ops, NULL);
}
END_TEST

START_TEST(a_vtable_may_leave_out_what_is_optional)
{
	const void *view;
	struct uds_io *io;
	int closed = 0;

	ck_assert_int_eq(uds_io_open_ops(&fake_ops, &closed, NULL, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_discard(io, 0, 1), -EOPNOTSUPP);
	ck_assert_int_eq(uds_io_resize(io, 1), -EOPNOTSUPP);
	ck_assert_int_eq(uds_io_map(io, 0, 1, &view), -EOPNOTSUPP);
	ck_assert_int_eq(uds_io_close(io), -EIO);
	ck_assert_int_eq(closed, 1);
}
END_TEST

START_TEST(reading_writing_flushing_and_a_size_are_enough)
{
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_io *io;

	ops.read = fake_read;
	ops.write = fake_write;
	ops.flush = fake_flush;
	ops.get_size = fake_size;
	ck_assert_int_eq(uds_io_open_ops(&ops, NULL, NULL, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 0), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(a_backend_sees_only_what_its_limits_allow)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	uint8_t *buffer = aligned_alloc(4096, 8192);
	struct uds_io *io;
	uint64_t size;
	int closed = 0;

	limits.block_bytes = 512;
	limits.memory_alignment = 64;
	limits.preferred_bytes = 3 * 4096;
	limits.name = "here";
	ck_assert_int_eq(uds_io_open_ops(&fake_ops, &closed, &limits, NULL, NULL, &io), 0);
	ck_assert_uint_eq(uds_io_block_bytes(io), 512);
	ck_assert_uint_eq(uds_io_preferred_bytes(io), 3 * 4096);
	ck_assert_uint_eq(uds_io_memory_alignment(io), 64);
	ck_assert_str_eq(uds_io_name(io), "here");
	calls = 0;
	ck_assert_int_eq(uds_io_read(io, buffer, 511, 0), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_read(io, buffer, 512, 1), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_read(io, buffer + 32, 512, 0), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_write(io, buffer, 512, 256), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_read(io, buffer, 512, (uint64_t)1 << 63), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_write(io, buffer, 512, UINT64_MAX - 511), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_read(io, buffer, 0, 512), 0); /* nothing to do */
	ck_assert_int_eq(calls, 0);
	ck_assert_int_eq(uds_io_read(io, buffer + 64, 512, 512), 0);
	ck_assert_int_eq(uds_io_write(io, buffer, 8192, 1024), 0);
	ck_assert_int_eq(calls, 2);
	ck_assert_int_eq(uds_io_flush(io), -EROFS);
	ck_assert_int_eq(uds_io_size(io, &size), -ENXIO);
	ck_assert_int_eq(uds_io_close(io), -EIO);
	ck_assert_int_eq(uds_io_close(NULL), 0);
	free(buffer);
}
END_TEST

START_TEST(a_backend_that_cannot_write_is_read_only)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = fake_ops;
	struct uds_io *io;
	int closed = 0;
	char byte = 0;

	ops.write = NULL;
	ck_assert_int_eq(uds_io_open_ops(&ops, &closed, NULL, NULL, NULL, &io), 0);
	ck_assert(uds_io_is_read_only(io));
	ck_assert_int_eq(uds_io_write(io, &byte, 1, 0), UDS_ERR_READ_ONLY);
	uds_io_close(io);
	limits.read_only = true;
	calls = 0;
	ck_assert_int_eq(uds_io_open_ops(&fake_ops, &closed, &limits, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, 0), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(calls, 0);
	uds_io_close(io);
}
END_TEST

START_TEST(memory_begins_as_zeroes_and_ends_where_it_ends)
{
	struct uds_io *io;
	uint64_t size;
	char bytes[16] = "0123456789abcde", read[16];

	ck_assert_int_eq(uds_io_open_memory(100, 3, NULL, NULL, &io), -EINVAL);
	ck_assert_int_eq(uds_io_open_memory(UINT64_MAX, 1, NULL, NULL, &io), -EFBIG);
	ck_assert_int_eq(uds_io_open_memory(100, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_read(io, read, 16, 84), 0);
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(read[i], 0);
	ck_assert_int_eq(uds_io_write(io, bytes, 16, 84), 0);
	ck_assert_int_eq(uds_io_write(io, bytes, 16, 85), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_read(io, read, 16, 85), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_read(io, read, 1, 100), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_resize(io, 92), 0);
	ck_assert_int_eq(uds_io_resize(io, 200), 0);
	ck_assert_int_eq(uds_io_read(io, read, 16, 84), 0);
	ck_assert_mem_eq(read, "01234567\0\0\0\0\0\0\0\0", 16);
	ck_assert_int_eq(uds_io_resize(io, UINT64_MAX - 1), -EFBIG);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 200);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(failures_are_told_with_name_place_and_reason)
{
	struct uds_message message;
	struct fault_plan plan;
	struct uds_io *below, *io;
	char byte = 0;

	fault_plan_start(&plan);
	ck_assert_int_eq(uds_io_open_memory(100, 1, NULL, NULL, &below), 0);
	ck_assert_int_eq(fault_io_open(&plan, below, NULL, &io), 0);
	ck_assert_int_eq(io_read(io, &byte, 1, 0, &message), 0);
	fault_plan_fail(&plan, FAULT_ANY, 1, -EIO, true);
	ck_assert_int_eq(io_read(io, &byte, 1, 7, &message), -EIO);
	ck_assert_str_eq(message.text, "mem:: reading 1 bytes at 7: Input/output error");
	ck_assert_int_eq(io_write(io, &byte, 1, 8, &message), -EIO);
	ck_assert_str_eq(message.text, "mem:: writing 1 bytes at 8: Input/output error");
	ck_assert_int_eq(io_flush(io, &message), -EIO);
	ck_assert_str_eq(message.text, "mem:: flushing: Input/output error");
	ck_assert_int_eq(uds_io_close(io), -EIO);
	fault_plan_end(&plan);
}
END_TEST

/* Opens, resizes, reads through an engine; gives all of it back. */
static int use_uri(const struct uds_env *env, void *context)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io_engine *engine;
	struct uds_io *io;
	int r;

	options.write = true;
	options.create = true;
	r = uds_io_open_uri(context, &options, env, NULL, &io);
	if (r < 0)
		return r;
	r = uds_io_resize(io, 8192);
	if (r == 0)
		r = uds_io_engine_open(NULL, env, NULL, &engine);
	if (r == 0) {
		uint8_t *buffer = aligned_alloc(4096, 4096);
		struct uds_io_request request = { .io = io,
						  .kind = UDS_IO_READ,
						  .buffer = buffer,
						  .length = 4096,
						  .offset = 4096 };
		struct uds_io_request *one = &request;

		ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
		ck_assert_int_eq(uds_io_engine_reap(engine, &one, 1, 1, -1), 1);
		r = request.status;
		free(buffer);
		uds_io_engine_close(engine);
	}
	uds_io_close(io);
	return r;
}

START_TEST(no_allocation_that_fails_leaks_or_misleads)
{
	static const char *const forms[] = { "%s/file", "file:%s/file?direct=0&uring=1",
					     "file:%s/file?direct=auto&uring=1", "mem:?size=4096" };
	char uri[400], path[300];

	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(path, sizeof(path), "%s/file", scratch_dir());
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		uint64_t count;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(uri, sizeof(uri), forms[i], scratch_dir());
#pragma GCC diagnostic pop
		unlink(path);
		count = torture_each_allocation(use_uri, uri, false);
		ck_assert_uint_ge(count, 4);
	}
	unlink(path);
	rmdir(scratch_dir());
}
END_TEST

START_TEST(a_file_made_by_an_open_that_failed_is_removed)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct torture_env torture;
	struct uds_io *io;
	char path[300];

	options.write = true;
	options.create = true;
	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(path, sizeof(path), "%s/file", scratch_dir());
	torture_env_start(&torture);
	for (uint64_t nth = 1;; nth++) {
		torture_env_fail_at(&torture, nth, false);
		if (uds_io_open_file(path, &options, &torture.env, NULL, &io) == 0)
			break;
		ck_assert_int_eq(access(path, F_OK), -1);
	}
	ck_assert_int_eq(uds_io_close(io), 0);
	/* One that was there before stays. */
	torture_env_fail_at(&torture, 1, false);
	ck_assert_int_eq(uds_io_open_file(path, &options, &torture.env, NULL, &io), -ENOMEM);
	ck_assert_int_eq(access(path, F_OK), 0);
	torture_env_end(&torture);
	unlink(path);
	rmdir(scratch_dir());
}
END_TEST

START_TEST(half_an_environment_is_refused_by_every_open)
{
	struct uds_env env = UDS_ENV_INIT;
	struct uds_message message;
	struct uds_io *io;

	env.size = 0;
	ck_assert_int_eq(uds_io_open_memory(1, 1, &env, NULL, &io), -EINVAL);
	ck_assert_int_eq(uds_io_open_file("/dev/null", NULL, &env, &message, &io), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "struct uds_env"));
	ck_assert_int_eq(uds_io_open_uri("mem:", NULL, &env, &message, &io), -EINVAL);
	ck_assert_int_eq(uds_io_open_ops(&fake_ops, NULL, NULL, &env, NULL, &io), -EINVAL);
}
END_TEST

/* What a backend says, and the library's status for it. */
static const struct {
	int said, status;
} answers[] = {
	{ 0, 0 },
	{ -ENOSPC, -ENOSPC },
	{ -1, -1 },
	{ -4095, -4095 },
	{ UDS_ERR_OUT_OF_RANGE, UDS_ERR_OUT_OF_RANGE },
	{ UDS_ERR_READ_ONLY, UDS_ERR_READ_ONLY },
	{ UDS_ERR_UNALIGNED, UDS_ERR_UNALIGNED },
	{ -4096, -EIO },
	{ 1, -EIO },
	{ 512, -EIO },
	{ UDS_ERR_SNAPSHOT_OVERFLOW, -EIO },
	{ UDS_ERR_NEEDS_RECOVERY, -EIO },
	{ UDS_ERR_NO_ROOM, -EIO },
	{ UDS_ERR_CORRUPT, -EIO },
};

static int odd_logs;

static void count_odd_logs(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	odd_logs += level == UDS_LOG_ERROR && strstr(sentence, "mem:") != NULL &&
		    strstr(sentence, "returned") != NULL;
}

static int answer_of(struct uds_io *io, unsigned int kind)
{
	uint64_t bytes = 77;
	char byte = 0;
	int r;

	switch (kind) {
	case FAULT_READ:
		return uds_io_read(io, &byte, 1, 0);
	case FAULT_WRITE:
		return uds_io_write(io, &byte, 1, 0);
	case FAULT_FLUSH:
		return uds_io_flush(io);
	case FAULT_RESIZE:
		return uds_io_resize(io, 10);
	case FAULT_DISCARD:
		return uds_io_discard(io, 0, 1);
	case FAULT_SIZE:
		r = uds_io_size(io, &bytes);
		ck_assert(r == 0 || bytes == 77); /* untouched */
		return r;
	default:
		return uds_io_close(io);
	}
}

START_TEST(what_no_backend_may_return_is_an_io_error)
{
	struct uds_env env = UDS_ENV_INIT;

	env.log = count_odd_logs;
	for (unsigned int kind = FAULT_READ; kind <= FAULT_CLOSE; kind *= 2) {
		for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
			struct uds_io *memory, *io;
			struct fault_plan plan;
			int r;

			if (kind == FAULT_DISCARD && answers[i].said == 0)
				continue; /* memory has none */
			fault_plan_start(&plan);
			ck_assert_int_eq(uds_io_open_memory(10, 1, NULL, NULL, &memory), 0);
			ck_assert_int_eq(fault_io_open(&plan, memory, &env, &io), 0);
			if (answers[i].said != 0)
				fault_plan_fail(&plan, kind, 1, answers[i].said, false);
			odd_logs = 0;
			r = answer_of(io, kind);
			ck_assert_int_eq(r, answers[i].status);
			ck_assert_int_eq(odd_logs, answers[i].said != answers[i].status);
			if (kind != FAULT_CLOSE)
				uds_io_close(io);
			fault_plan_end(&plan);
		}
	}
}
END_TEST

START_TEST(an_engine_survives_what_a_backend_should_not_say)
{
	for (size_t i = 1; i < sizeof(answers) / sizeof(answers[0]); i++) {
		for (unsigned int kind = FAULT_READ; kind <= FAULT_REAP; kind *= 2) {
			struct uds_io_request request = { .kind = UDS_IO_READ, .length = 1 };
			struct uds_io_request *given = &request, *done = NULL;
			struct uds_io *memory, *io;
			struct uds_io_engine *engine;
			struct fault_plan plan;
			char byte;

			if (kind != FAULT_READ && kind != FAULT_SUBMIT && kind != FAULT_REAP)
				continue;
			request.buffer = &byte;
			fault_plan_start(&plan);
			plan.queues = true;
			ck_assert_int_eq(uds_io_open_memory(10, 1, NULL, NULL, &memory), 0);
			ck_assert_int_eq(fault_io_open(&plan, memory, NULL, &io), 0);
			request.io = io;
			ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
			fault_plan_fail(&plan, kind, 1, answers[i].said, false);
			ck_assert_int_eq(uds_io_engine_submit(engine, &given, 1), 0);
			ck_assert_int_eq(uds_io_engine_reap(engine, &done, 1, 1, -1), 1);
			ck_assert_ptr_eq(done, &request);
			ck_assert_int_eq(request.status, answers[i].status);
			ck_assert_uint_eq(plan.failed, 1);
			uds_io_engine_close(engine);
			uds_io_close(io);
			fault_plan_end(&plan);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io");
	TCase *tc = tcase_create("io");

	tcase_add_test(tc, a_vtable_without_its_duties_is_refused);
	tcase_add_test(tc, limits_that_no_device_can_have_are_refused);
	tcase_add_test(tc, a_vtable_smaller_than_in_any_version_is_refused);
	tcase_add_test(tc, a_vtable_may_leave_out_what_is_optional);
	tcase_add_test(tc, reading_writing_flushing_and_a_size_are_enough);
	tcase_add_test(tc, a_backend_sees_only_what_its_limits_allow);
	tcase_add_test(tc, a_backend_that_cannot_write_is_read_only);
	tcase_add_test(tc, memory_begins_as_zeroes_and_ends_where_it_ends);
	tcase_add_test(tc, failures_are_told_with_name_place_and_reason);
	tcase_add_test(tc, no_allocation_that_fails_leaks_or_misleads);
	tcase_add_test(tc, a_file_made_by_an_open_that_failed_is_removed);
	tcase_add_test(tc, half_an_environment_is_refused_by_every_open);
	tcase_add_test(tc, what_no_backend_may_return_is_an_io_error);
	tcase_add_test(tc, an_engine_survives_what_a_backend_should_not_say);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
