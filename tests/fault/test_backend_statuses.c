/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a backend returns decides nothing: each call that an operation makes to its I/Os returns, in
 * turn, each of a table of numbers, among them all that the library uses for its own findings and
 * positive ones. The operation must fail with that error (or -EIO, for what a backend must not
 * say), and nothing else may come of it: no snapshot becomes invalid, full or merged, no byte is
 * written where it does not belong, and afterwards all goes on as if nothing had been.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "check_main.h"
#include "fault_io.h"
#include "snap_image.h"

#define CHUNK	   512u /* 32 exceptions in an area */
#define ORIGIN	   90u	/* chunks */
#define COW	   100u
#define PRESET	   40u /* chunks of the snapshot written before: the second area is begun */
#define SIZE	   (ORIGIN * CHUNK)
#define COW_STRIDE (CHUNK / 16 + 1)

static const int numbers[] = {
	-ENOSPC,
	-EBUSY,
	-EAGAIN,
	-ENOENT,
	-ENOMEM,
	-EEXIST,
	-EINVAL,
	-EINTR,
	-EROFS,
	-EIO,
	-EDQUOT,
	-EOPNOTSUPP,
	-4095,
	-4096,
	UDS_ERR_NO_ROOM - 1,
	INT_MIN,
	1,
	CHUNK,
	INT_MAX,
	UDS_ERR_CORRUPT,
	UDS_ERR_NOT_AN_INDEX,
	UDS_ERR_NOT_A_SNAPSHOT,
	UDS_ERR_UNSUPPORTED_VERSION,
	UDS_ERR_NEEDS_RECOVERY,
	UDS_ERR_NONCE_MISMATCH,
	UDS_ERR_OVERFLOW,
	UDS_ERR_DUPLICATE_NAME,
	UDS_ERR_BAD_STATE,
	UDS_ERR_READ_ONLY,
	UDS_ERR_STOPPED,
	UDS_ERR_INVALID_SNAPSHOT,
	UDS_ERR_SNAPSHOT_OVERFLOW,
	UDS_ERR_IN_USE,
	UDS_ERR_NO_DIRECT_IO,
	UDS_ERR_NOT_EMPTY,
	UDS_ERR_OUT_OF_RANGE,
	UDS_ERR_UNALIGNED,
	UDS_ERR_MISMATCH,
	UDS_ERR_NO_ROOM,
};

#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static int told(int number)
{
	bool may_say = (number < 0 && number > -4096) || number == UDS_ERR_READ_ONLY ||
		       number == UDS_ERR_OUT_OF_RANGE || number == UDS_ERR_UNALIGNED;

	return may_say ? number : -EIO;
}

struct world {
	struct fault_plan plan;
	struct uds_io *origin;
	struct uds_io *cow;
	struct uds_io *origin_below;
	struct uds_io *cow_below;
	struct uds_snapshot *s;
	unsigned int cow_chunks;
	bool full;	     /* the COW device has no room for what is written */
	bool keep;	     /* keep_on_overflow */
	bool merging;	     /* the operation is done after the merge has begun */
	uint8_t view[SIZE];  /* of the snapshot before the operation */
	uint8_t after[SIZE]; /* and when it has been done */
	uint8_t old[SIZE];   /* the origin */
	uint8_t header[CHUNK];
	uint8_t buffer[SIZE];
};

static int open_snapshot(struct world *w)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;

	options.queue_depth = 4;
	options.keep_on_overflow = w->keep;
	return uds_snapshot_open(w->origin, w->cow, &options, NULL, &w->s);
}

/* Chunk 0 of the snapshot to PRESET with every second one missing, in scattered order. */
static void preset(struct world *w)
{
	for (unsigned int i = 0; i < PRESET; i++) {
		unsigned int chunk = i * 7 % PRESET * 2;

		memset(w->view + chunk * CHUNK, 0x40 + (int)i, CHUNK);
		ck_assert_int_eq(
			uds_snapshot_write(w->s, w->view + chunk * CHUNK, CHUNK, chunk * CHUNK), 0);
	}
}

static void start(struct world *w, bool queues)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;

	fault_plan_start(&w->plan);
	w->plan.queues = queues;
	fill_pattern(w->old, 0, ORIGIN, 0);
	memcpy(w->view, w->old, SIZE);
	w->origin_below = image_io(&(struct image){ w->old, SIZE }, 512);
	ck_assert_int_eq(uds_io_open_memory(w->cow_chunks * CHUNK, 512, NULL, NULL, &w->cow_below),
			 0);
	ck_assert_int_eq(fault_io_open(&w->plan, w->origin_below, NULL, &w->origin), 0);
	ck_assert_int_eq(fault_io_open(&w->plan, w->cow_below, NULL, &w->cow), 0);
	create.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_exception_store_format(w->cow, &create, NULL), 0);
	ck_assert_int_eq(uds_io_read(w->cow_below, w->header, CHUNK, 0), 0);
	ck_assert_int_eq(open_snapshot(w), 0);
	preset(w);
	memcpy(w->after, w->view, SIZE);
	if (w->merging)
		ck_assert_int_eq(uds_snapshot_begin_merge(w->s), 0);
}

static void end(struct world *w)
{
	uds_snapshot_close(w->s);
	uds_io_close(w->origin);
	uds_io_close(w->cow);
	fault_plan_end(&w->plan);
}

/* Operations. Each returns its status, and puts into w->after what the snapshot is then. */

static int write_fresh(struct world *w)
{
	memset(w->after + 5 * CHUNK + 100, 1, 6 * CHUNK);
	return uds_snapshot_write(w->s, w->after + 5 * CHUNK + 100, 6 * CHUNK, 5 * CHUNK + 100);
}

static int write_in_place(struct world *w)
{
	memset(w->after + 8 * CHUNK + 10, 2, 300);
	return uds_snapshot_write(w->s, w->after + 8 * CHUNK + 10, 300, 8 * CHUNK + 10);
}

static int write_into_a_new_area(struct world *w)
{
	memset(w->after + 61 * CHUNK, 3, 29 * CHUNK);
	return uds_snapshot_write(w->s, w->after + 61 * CHUNK, 29 * CHUNK, 61 * CHUNK);
}

static int write_origin_one(struct world *w)
{
	memset(w->buffer, 4, CHUNK);
	return uds_snapshot_origin_write(w->s, w->buffer, 300, 7 * CHUNK + 50);
}

static int write_origin_many(struct world *w)
{
	memset(w->buffer, 5, 29 * CHUNK);
	return uds_snapshot_origin_write(w->s, w->buffer, 29 * CHUNK, 50 * CHUNK);
}

static int write_merging(struct world *w)
{
	memset(w->after + 20 * CHUNK, 6, 4 * CHUNK);
	return uds_snapshot_origin_write(w->s, w->after + 20 * CHUNK, 4 * CHUNK, 20 * CHUNK);
}

static int read_view(struct world *w)
{
	return uds_snapshot_read(w->s, w->buffer, SIZE, 0);
}

static int read_origin(struct world *w)
{
	return uds_snapshot_origin_read(w->s, w->buffer, SIZE, 0);
}

static int flush(struct world *w)
{
	return uds_snapshot_flush(w->s);
}

static int merge(struct world *w)
{
	return uds_snapshot_merge(w->s, NULL, NULL);
}

static int merge_small(struct world *w)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;

	options.round_bytes = 7 * CHUNK;
	options.skip_equal = true;
	return uds_snapshot_merge(w->s, &options, NULL);
}

static int dry_run(struct world *w)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;

	options.dry_run = true;
	return uds_snapshot_merge(w->s, &options, NULL);
}

static int take_entry(void *context, uint64_t area, uint64_t index,
		      const struct uds_exception *exception)
{
	(void)context;
	(void)area;
	(void)index;
	(void)exception;
	return 0;
}

static int walk(struct world *w)
{
	return uds_exception_store_for_each_entry(uds_snapshot_store(w->s), take_entry, NULL);
}

static int end_merge(struct world *w)
{
	return uds_snapshot_end_merge(w->s);
}

static int commit_entries(struct world *w)
{
	struct uds_exception_store *store = uds_snapshot_store(w->s);
	struct uds_exception e;
	int r = uds_exception_store_prepare(store, 85, &e);

	if (r < 0)
		return r;
	/* Its data, straight: the view of this chunk stays what it was. */
	ck_assert_int_eq(
		uds_io_write(w->cow_below, w->old + 85 * CHUNK, CHUNK, e.new_chunk * CHUNK), 0);
	return uds_exception_store_commit(store, &e, 1);
}

static int merge_entries(struct world *w)
{
	struct uds_exception_store *store = uds_snapshot_store(w->s);
	struct uds_exception last;
	uint64_t count;
	int r = uds_exception_store_prepare_merge(store, &last, &count);

	if (r < 0)
		return r;
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(uds_io_write(w->origin_below, w->view + last.old_chunk * CHUNK, CHUNK,
				      last.old_chunk * CHUNK),
			 0);
	r = uds_exception_store_commit_merge(store, count);
	return r < 0 ? r : uds_exception_store_end_merge(store);
}

static int reopen(struct world *w)
{
	int r;

	if (w->s != NULL)
		ck_assert_int_eq(uds_snapshot_close(w->s), 0);
	w->s = NULL;
	r = open_snapshot(w);
	ck_assert(r == 0 || w->s == NULL);
	return r;
}

static int close_io(struct world *w)
{
	int r;

	uds_snapshot_close(w->s);
	w->s = NULL;
	w->cow_below = NULL; /* goes with it, whatever it says */
	r = uds_io_close(w->cow);
	w->cow = NULL;
	return r;
}

static const struct operation {
	const char *name;
	int (*run)(struct world *w);
	bool full;
	bool keep;
	bool merging;
	uint64_t least_calls;
	uint64_t after_decision; /* calls at the end, when the snapshot has been given up rightly */
} operations[] = {
	{ "open", reopen, false, false, false, 6, 0 },
	{ "read", read_view, false, false, false, 20, 0 },
	{ "read the origin", read_origin, false, false, false, 1, 0 },
	{ "write to fresh chunks", write_fresh, false, false, false, 8, 0 },
	{ "write in place", write_in_place, false, false, false, 2, 0 },
	{ "write into a new area", write_into_a_new_area, false, false, false, 6, 0 },
	{ "write when full", write_into_a_new_area, true, false, false, 8, 2 },
	{ "write when full, keeping", write_into_a_new_area, true, true, false, 8, 0 },
	{ "write one chunk of the origin", write_origin_one, false, false, false, 6, 0 },
	{ "write many chunks of the origin", write_origin_many, false, false, false, 9, 0 },
	{ "write the origin when full", write_origin_many, true, false, false, 10, 3 },
	{ "write the origin when full, keeping", write_origin_many, true, true, false, 10, 3 },
	{ "flush", flush, false, false, false, 2, 0 },
	{ "merge", merge, false, false, false, 12, 0 },
	{ "merge in small rounds", merge_small, false, false, false, 30, 0 },
	{ "dry run", dry_run, false, false, false, 1, 0 },
	{ "write while merging", write_merging, false, false, true, 2, 0 },
	{ "read while merging", read_origin, false, false, true, 20, 0 },
	{ "end the merge", end_merge, false, false, true, 0, 0 },
	{ "walk", walk, false, false, false, 1, 0 },
	{ "commit exceptions", commit_entries, false, false, false, 3, 0 },
	{ "take exceptions off", merge_entries, false, false, false, 2, 0 },
	{ "close the I/O", close_io, false, false, false, 1, 0 },
};

#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* The chunks that hold no data, straight from the device: no write of data has gone there. */
static void check_metadata(struct world *w, const char *place)
{
	uint8_t bytes[CHUNK];

	ck_assert_int_eq(uds_io_read(w->cow_below, bytes, CHUNK, 0), 0);
	if (memcmp(bytes, w->header, CHUNK) != 0)
		ck_abort_msg("%s: the header is not what it was", place);
	for (uint64_t chunk = 1; chunk < w->cow_chunks; chunk += COW_STRIDE) {
		ck_assert_int_eq(uds_io_read(w->cow_below, bytes, CHUNK, chunk * CHUNK), 0);
		for (unsigned int i = 0; i < CHUNK; i += 16) {
			/* High bytes of both numbers of an entry. */
			if (bytes[i + 7] != 0 || bytes[i + 15] != 0)
				ck_abort_msg("%s: data in area chunk %d", place, (int)chunk);
		}
	}
}

/* Each byte is what it was, or where the operation was to change it, what it was to be. */
static void check_view(struct world *w, const char *place)
{
	int r = uds_snapshot_read(w->s, w->buffer, SIZE, 0);

	ck_assert_msg(r == 0, "%s: reading: %s", place, uds_strerror(r));
	for (size_t i = 0; i < SIZE; i++) {
		if (w->buffer[i] != w->view[i] && w->buffer[i] != w->after[i])
			ck_abort_msg("%s: byte %zu of chunk %zu", place, i % CHUNK, i / CHUNK);
	}
}

/* The origin has its old bytes wherever the store has no copy of them. */
static void check_state(struct world *w, const char *place)
{
	struct uds_snapshot_status status = { .size = sizeof(status) };

	uds_snapshot_get_status(w->s, &status);
	if (status.state == UDS_SNAPSHOT_INVALID || status.state == UDS_SNAPSHOT_OVERFLOW ||
	    status.state == UDS_SNAPSHOT_DAMAGED)
		ck_abort_msg("%s: the snapshot is %s", place,
			     uds_snapshot_state_name(status.state));
}

static void check_all(struct world *w, const char *place)
{
	check_metadata(w, place);
	check_state(w, place);
	check_view(w, place);
}

/* The operation came to its end although a call failed. */
static void check_done(struct world *w, const char *place)
{
	const unsigned int spare = FAULT_READ | FAULT_SIZE | FAULT_QUEUES;

	/* What was read ahead and not needed; the size for a report; queues that are not there. */
	if ((w->plan.failed_kinds & ~spare) != 0)
		ck_abort_msg("%s: it returned 0", place);
	fault_plan_fail(&w->plan, 0, 0, 0, false);
	if (w->full)
		return; /* and has been given up */
	ck_assert_int_eq(uds_snapshot_read(w->s, w->buffer, SIZE, 0), 0);
	ck_assert_msg(memcmp(w->buffer, w->after, SIZE) == 0, "%s: it is not done", place);
}

/* The error came when the snapshot had no room and was being given up. */
static void check_given_up(struct world *w, const char *place)
{
	struct uds_snapshot_status status = { .size = sizeof(status) };

	ck_assert_msg(reopen(w) == 0, "%s: it cannot be opened", place);
	uds_snapshot_get_status(w->s, &status);
	if (status.state != UDS_SNAPSHOT_INVALID)
		check_all(w, place);
}

/* It goes on as if nothing had been. */
static void check_use(struct world *w, const char *place)
{
	int r;

	check_all(w, place);
	(void)uds_snapshot_flush(w->s); /* tells of an earlier flush that failed */
	ck_assert_msg(reopen(w) == 0, "%s: it cannot be opened", place);
	check_all(w, place);
	if (w->full)
		return;
	r = write_fresh(w);
	ck_assert_msg(r == 0, "%s: then writing: %s", place, uds_strerror(r));
	check_all(w, place);
	r = merge(w);
	ck_assert_msg(r == 0, "%s: then merging: %s", place, uds_strerror(r));
	check_all(w, place);
}

/* A world to do an operation in. Returns the kinds of calls that count. */
static unsigned int prepare(struct world *w, const struct operation *operation, bool queues)
{
	w->keep = operation->keep;
	w->full = operation->full;
	w->merging = operation->merging;
	w->cow_chunks = operation->full ? 1 + 2 + PRESET + 3 : COW;
	start(w, queues);
	return FAULT_ANY | (queues ? (unsigned int)FAULT_QUEUES : 0);
}

static uint64_t count_calls(struct world *w, const struct operation *operation, bool queues)
{
	unsigned int kinds = prepare(w, operation, queues);
	uint64_t calls;

	fault_plan_fail(&w->plan, kinds, 0, 0, false);
	(void)operation->run(w);
	calls = fault_plan_count(&w->plan, kinds);
	end(w);
	return calls;
}

static void fail_call(struct world *w, const struct operation *operation, bool queues,
		      uint64_t call, bool given_up, int number, bool and_after)
{
	unsigned int kinds = prepare(w, operation, queues);
	char place[160];
	int r;

	snprintf(place, sizeof(place), "%s, call %d%s%s returns %d", operation->name, (int)call,
		 and_after ? " and all after" : "", queues ? ", queues," : "", number);
	fault_plan_fail(&w->plan, kinds, call, number, and_after);
	r = operation->run(w);
	ck_assert_msg(w->plan.failed > 0, "%s: it came to fewer calls", place);
	if (r == 0)
		check_done(w, place);
	else
		ck_assert_msg(r == told(number), "%s: it returned %d", place, r);
	fault_plan_fail(&w->plan, 0, 0, 0, false);
	if (w->s == NULL && w->cow != NULL)
		ck_assert_int_eq(open_snapshot(w), 0);
	if (given_up || (w->full && r == 0))
		check_given_up(w, place);
	else if (w->cow != NULL)
		check_use(w, place);
	end(w);
}

START_TEST(no_number_of_a_backend_decides_anything)
{
	const struct operation *operation = &operations[_i / 2];
	struct world *w = malloc(sizeof(*w));
	uint64_t calls, every = test_scale() > 1 ? 1 : (uint64_t)(5 / test_scale());
	bool queues = _i % 2 == 1;

	calls = count_calls(w, operation, queues);
	ck_assert_msg(calls >= operation->least_calls, "%s: only %d calls", operation->name,
		      (int)calls);
	for (uint64_t call = 1; call <= calls; call++) {
		bool given_up = call + operation->after_decision > calls;

		for (size_t i = (call + (uint64_t)_i) % every; i < NUMBERS; i += every)
			fail_call(w, operation, queues, call, given_up, numbers[i],
				  (i / every + call) % 3 == 0);
	}
	free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backend statuses");
	TCase *tc = tcase_create("snapshot");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, no_number_of_a_backend_decides_anything, 0, 2 * OPERATIONS);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
