/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every operation and every allocation of a snapshot's life fails in turn: an error is told,
 * nothing leaks, and what was acknowledged is there, with the same handle and with a new one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "check_main.h"
#include "fault_io.h"
#include "snap_image.h"
#include "torture_env.h"

#define CHUNK  512u /* 32 exceptions in an area */
#define CHUNKS 180u
#define SIZE   (CHUNK * CHUNKS)

struct world {
	struct fault_plan plan;
	struct uds_io *origin;
	struct uds_io *cow;
	struct uds_snapshot *s;
	uint8_t view[SIZE];
	uint64_t maybe[SIZE]; /* bit i: the failed write i may have changed this byte to i + 100 */
	uint8_t buffer[SIZE];
	uint64_t random;
	unsigned int errors;
	bool transient;
};

static void start(struct world *w, const struct uds_env *env)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_io *io;

	w->random = 31;
	w->errors = 0;
	w->transient = false;
	memset(w->maybe, 0, sizeof(w->maybe));
	fill_pattern(w->view, 0, SIZE / 512, 0);
	fault_plan_start(&w->plan);
	io = image_io(&(struct image){ w->view, SIZE }, 512);
	ck_assert_int_eq(fault_io_open(&w->plan, io, NULL, &w->origin), 0);
	ck_assert_int_eq(uds_io_open_memory(200 * CHUNK, 512, NULL, NULL, &io), 0);
	ck_assert_int_eq(fault_io_open(&w->plan, io, NULL, &w->cow), 0);
	create.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_exception_store_format(w->cow, &create, NULL), 0);
	w->s = NULL;
	(void)env;
}

static void end(struct world *w)
{
	uds_io_close(w->origin);
	uds_io_close(w->cow);
	fault_plan_end(&w->plan);
}

static int open_snapshot(struct world *w, const struct uds_env *env)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;

	options.env = env;
	options.queue_depth = 4;
	options.transient_chunk_bytes = w->transient ? CHUNK : 0;
	return uds_snapshot_open(w->origin, w->cow, &options, NULL, &w->s);
}

static void expect(struct world *w, unsigned int number, size_t at, size_t length, int r)
{
	w->errors += r < 0;
	for (size_t i = at; i < at + length; i++) {
		if (r == 0) {
			w->view[i] = (uint8_t)(number + 100);
			w->maybe[i] = 0;
		} else {
			w->maybe[i] |= UINT64_C(1) << number;
		}
	}
}

/* Was one of the failed writes to bring this? */
static bool may_be(const struct world *w, size_t i, uint8_t byte)
{
	return byte >= 100 && byte < 140 && (w->maybe[i] >> (byte - 100) & 1) != 0;
}

/* Each byte is what was acknowledged last, or where writes failed, what one of those brought. */
static void check_view(struct world *w, const char *when)
{
	ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, SIZE, 0), 0);
	for (size_t i = 0; i < SIZE; i++) {
		if (w->buffer[i] != w->view[i] && !may_be(w, i, w->buffer[i]))
			ck_abort_msg("%s: byte %zu of chunk %zu", when, i % CHUNK, i / CHUNK);
	}
	/* From now on it is known. */
	memcpy(w->view, w->buffer, SIZE);
	memset(w->maybe, 0, sizeof(w->maybe));
}

/* Some writes to both sides; returns the first error. */
static int do_writes(struct world *w)
{
	int first = 0;

	for (unsigned int i = 0; i < 40; i++) {
		size_t length = 1 + next_random(&w->random) % (6 * CHUNK);
		size_t at = next_random(&w->random) % (SIZE - length);
		int r;

		memset(w->buffer, (int)(i + 100), length);
		if (i % 3 == 0) {
			r = uds_snapshot_origin_write(w->s, w->buffer, length, at);
			w->errors += r < 0;
		} else {
			r = uds_snapshot_write(w->s, w->buffer, length, at);
			expect(w, i, at, length, r);
		}
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

/* In small rounds, or in large ones that take several areas off at once. */
static int do_merge(struct world *w, bool large)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;

	options.round_bytes = large ? 75 * CHUNK : 10 * CHUNK;
	return uds_snapshot_merge(w->s, &options, NULL);
}

START_TEST(every_failing_operation_of_writes_leaves_a_right_view)
{
	struct world *w = malloc(sizeof(*w));
	uint64_t operations = 0;

	for (uint64_t n = 1;; n++) {
		int r;

		start(w, NULL);
		ck_assert_int_eq(open_snapshot(w, NULL), 0);
		fault_plan_fail(&w->plan, FAULT_READ | FAULT_CHANGE, n, -EIO, false);
		r = do_writes(w);
		ck_assert_int_eq(r, w->plan.failed > 0 ? -EIO : 0);
		ck_assert_uint_eq(w->errors, w->plan.failed);
		operations = w->plan.failed > 0 ? n : 0;
		fault_plan_fail(&w->plan, 0, 0, 0, false);
		check_view(w, "same handle");
		/* What goes on is right, and so is what is read from the device. */
		ck_assert_int_eq(do_writes(w), 0);
		check_view(w, "used on");
		ck_assert_int_eq(uds_snapshot_close(w->s), 0);
		ck_assert_int_eq(open_snapshot(w, NULL), 0);
		check_view(w, "new handle");
		ck_assert_int_eq(do_merge(w, true), 0);
		check_view(w, "merged");
		ck_assert_int_eq(uds_snapshot_close(w->s), 0);
		end(w);
		if (operations == 0) {
			ck_assert_uint_gt(n, 100);
			break;
		}
	}
	free(w);
}
END_TEST

/* It is gone when it is closed; until then it goes on as any other. Of later ones, some. */
START_TEST(every_failing_operation_of_a_transient_snapshot_leaves_a_right_view)
{
	struct world *w = malloc(sizeof(*w));
	bool failed = true;

	for (uint64_t n = 1; failed; n += 1 + n / 16) {
		int r;

		start(w, NULL);
		w->transient = true;
		ck_assert_int_eq(open_snapshot(w, NULL), 0);
		fault_plan_fail(&w->plan, FAULT_READ | FAULT_CHANGE | FAULT_SIZE, n, -EIO, false);
		r = do_writes(w);
		failed = w->plan.failed > 0;
		ck_assert_int_eq(r, failed ? -EIO : 0);
		fault_plan_fail(&w->plan, 0, 0, 0, false);
		check_view(w, "after the failure");
		ck_assert_int_eq(do_writes(w), 0);
		check_view(w, "used on");
		ck_assert_int_eq(uds_snapshot_close(w->s), 0);
		end(w);
	}
	free(w);
}
END_TEST

START_TEST(every_failing_operation_of_a_merge_can_be_made_good)
{
	struct world *w = malloc(sizeof(*w));
	bool failed = true;

	for (uint64_t n = 1; failed; n++) {
		struct uds_snapshot_status status = { .size = sizeof(status) };
		int r;

		start(w, NULL);
		ck_assert_int_eq(open_snapshot(w, NULL), 0);
		ck_assert_int_eq(do_writes(w), 0);
		fault_plan_fail(&w->plan, FAULT_READ | FAULT_CHANGE, n, -EIO, false);
		r = do_merge(w, _i == 1);
		failed = w->plan.failed > 0;
		ck_assert_int_eq(r, failed ? -EIO : 0);
		fault_plan_fail(&w->plan, 0, 0, 0, false);
		uds_snapshot_get_status(w->s, &status);
		ck_assert_int_eq(status.state,
				 failed ? UDS_SNAPSHOT_MERGE_FAILED : UDS_SNAPSHOT_MERGED);
		check_view(w, "after the failure");
		/* In place or straight to the origin, and durable when the flush says so. */
		memset(w->buffer, 200, 5 * CHUNK);
		ck_assert_int_eq(uds_snapshot_origin_write(w->s, w->buffer, 5 * CHUNK, 7 * CHUNK),
				 0);
		memset(w->view + 7 * CHUNK, 200, 5 * CHUNK);
		check_view(w, "written after the failure");
		if (n % 2 == 0) {
			ck_assert_int_eq(uds_snapshot_close(w->s), 0);
			ck_assert_int_eq(open_snapshot(w, NULL), 0);
			check_view(w, "opened after the failure");
		}
		ck_assert_int_eq(do_merge(w, true), 0);
		check_view(w, "merged on");
		ck_assert_int_eq(uds_io_read(w->origin, w->buffer, SIZE, 0), 0);
		ck_assert_mem_eq(w->buffer, w->view, SIZE);
		ck_assert_int_eq(uds_snapshot_close(w->s), 0);
		end(w);
	}
	free(w);
}
END_TEST

START_TEST(a_lost_flush_is_told_once_to_the_next_flush)
{
	struct world *w = malloc(sizeof(*w));

	start(w, NULL);
	ck_assert_int_eq(open_snapshot(w, NULL), 0);
	memset(w->buffer, 1, CHUNK);
	ck_assert_int_eq(uds_snapshot_write(w->s, w->buffer, CHUNK, 0), 0);
	ck_assert_int_eq(uds_snapshot_write(w->s, w->buffer, CHUNK, 0), 0);
	fault_plan_fail(&w->plan, FAULT_FLUSH, 1, -EIO, false);
	ck_assert_int_eq(uds_snapshot_write(w->s, w->buffer, CHUNK, 5 * CHUNK), -EIO);
	/* The write in place before it may be lost: its owner is told. */
	ck_assert_int_eq(uds_snapshot_flush(w->s), -EIO);
	ck_assert_int_eq(uds_snapshot_flush(w->s), 0);
	uds_snapshot_close(w->s);
	end(w);
	free(w);
}
END_TEST

/* A whole life, with an allocation failing somewhere. */
static int live(const struct uds_env *env, void *context)
{
	struct world *w = context;
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	uint64_t findings;
	int r;

	start(w, env);
	r = open_snapshot(w, env);
	if (r == 0)
		r = do_writes(w);
	if (r == 0)
		r = do_merge(w, true);
	uds_snapshot_close(w->s);
	w->s = NULL;
	options.env = env;
	if (r == 0)
		r = uds_exception_store_verify(w->cow, &options, NULL, NULL, NULL, &findings);
	/* Whatever happened: without shortage all of it is there. */
	ck_assert_int_eq(open_snapshot(w, NULL), 0);
	check_view(w, "after lack of memory");
	ck_assert_int_eq(do_merge(w, true), 0);
	check_view(w, "merged after lack of memory");
	uds_snapshot_close(w->s);
	end(w);
	return r;
}

/* The same of a transient snapshot. */
static int live_once(const struct uds_env *env, void *context)
{
	struct world *w = context;
	int r;

	start(w, env);
	w->transient = true;
	r = open_snapshot(w, env);
	if (r == 0)
		r = do_writes(w);
	ck_assert_int_eq(uds_snapshot_close(w->s), 0);
	end(w);
	return r;
}

START_TEST(every_failing_allocation_is_told_and_harms_nothing)
{
	struct world *w = malloc(sizeof(*w));

	ck_assert_uint_gt(torture_each_allocation(_i == 0 ? live : live_once, w, true), 20);
	free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot faults");
	TCase *tc = tcase_create("faults");

	tcase_add_test(tc, every_failing_operation_of_writes_leaves_a_right_view);
	tcase_add_test(tc, every_failing_operation_of_a_transient_snapshot_leaves_a_right_view);
	tcase_add_loop_test(tc, every_failing_operation_of_a_merge_can_be_made_good, 0, 2);
	tcase_add_test(tc, a_lost_flush_is_told_once_to_the_next_flush);
	tcase_add_loop_test(tc, every_failing_allocation_is_told_and_harms_nothing, 0, 2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
