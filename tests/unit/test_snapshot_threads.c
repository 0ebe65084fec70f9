/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many threads on one snapshot. Every thread owns slices of all chunks, so that several always
 * write to the same chunk, and knows what its slices must hold.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/snapshot.h>

#include "check_main.h"
#include "snap_image.h"
#include "trace_io.h"

#define CHUNK	4096u
#define CHUNKS	300u
#define SIZE	(CHUNK * CHUNKS + 1000u)
#define THREADS 4u
#define SLICE	(CHUNK / (2 * THREADS)) /* of a chunk, for each thread and side */

struct shared {
	struct uds_io *origin_io;
	struct uds_io *cow_io;
	struct uds_snapshot *s;
	uint8_t *first; /* content at the beginning */
	atomic_bool merged;
};

struct worker {
	struct shared *shared;
	unsigned int number;
	bool to_origin;
	bool merging;
	uint8_t stamps[CHUNKS]; /* what the slice of a chunk was last filled with; 0: nothing */
	const char *failure;
};

static void setup(struct shared *shared, uint64_t cow_chunks, uint32_t block_bytes)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct image image = { NULL, SIZE / block_bytes * block_bytes };
	uint64_t random = 3;

	memset(shared, 0, sizeof(*shared));
	shared->first = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		shared->first[i] = (uint8_t)next_random(&random) | 0x80; /* no stamp is */
	image.bytes = shared->first;
	shared->origin_io = image_io(&image, block_bytes);
	ck_assert_int_eq(
		uds_io_open_memory(cow_chunks * CHUNK, block_bytes, NULL, NULL, &shared->cow_io),
		0);
	create.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_exception_store_format(shared->cow_io, &create, NULL), 0);
	ck_assert_int_eq(
		uds_snapshot_open(shared->origin_io, shared->cow_io, NULL, NULL, &shared->s), 0);
}

static void teardown(struct shared *shared)
{
	uds_snapshot_close(shared->s);
	uds_io_close(shared->origin_io);
	uds_io_close(shared->cow_io);
	free(shared->first);
}

static size_t slice_at(const struct worker *w, unsigned int chunk)
{
	return chunk * CHUNK + (w->number + (w->to_origin ? THREADS : 0)) * SLICE;
}

static bool all_are(const uint8_t *bytes, size_t count, uint8_t value)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/*
 * The own slice holds what was written there; what others own on the other side is as
 * at the beginning.
 */
static void check_slice(struct worker *w, unsigned int chunk)
{
	struct shared *shared = w->shared;
	uint8_t bytes[SLICE];
	size_t at = slice_at(w, chunk);
	int r;

	if (w->to_origin)
		r = uds_snapshot_origin_read(shared->s, bytes, SLICE, at);
	else
		r = uds_snapshot_read(shared->s, bytes, SLICE, at);
	if (r != 0)
		w->failure = "a read failed";
	else if (w->stamps[chunk] != 0 && !all_are(bytes, SLICE, w->stamps[chunk]))
		w->failure = "a slice lost a write";
	else if (w->stamps[chunk] == 0 && memcmp(bytes, shared->first + at, SLICE) != 0)
		w->failure = "a slice changed by itself";
	if (w->to_origin && !w->merging) {
		/* The snapshot does not see what is written to the origin. */
		r = uds_snapshot_read(shared->s, bytes, SLICE, at);
		if (r != 0 || memcmp(bytes, shared->first + at, SLICE) != 0)
			w->failure = "a write to the origin is seen in the snapshot";
	}
}

static void write_slice(struct worker *w, unsigned int chunk, uint8_t stamp)
{
	uint8_t bytes[SLICE];
	int r;

	memset(bytes, stamp, SLICE);
	if (w->to_origin)
		r = uds_snapshot_origin_write(w->shared->s, bytes, SLICE, slice_at(w, chunk));
	else
		r = uds_snapshot_write(w->shared->s, bytes, SLICE, slice_at(w, chunk));
	if (r != 0)
		w->failure = "a write failed";
	w->stamps[chunk] = stamp;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	uint64_t random = 100 + w->number + (w->to_origin ? 50 : 0);
	unsigned int rounds = 0;

	while (w->failure == NULL &&
	       (w->merging ? !atomic_load(&w->shared->merged) : rounds < 600)) {
		unsigned int chunk = (unsigned int)(next_random(&random) % CHUNKS);

		if (next_random(&random) % 2 == 0)
			write_slice(w, chunk, (uint8_t)(1 + next_random(&random) % 127));
		else
			check_slice(w, chunk);
		rounds++;
	}
	for (unsigned int c = 0; c < CHUNKS && w->failure == NULL; c++)
		check_slice(w, c);
	return NULL;
}

static void run_workers(struct worker *workers, unsigned int count)
{
	pthread_t threads[2 * THREADS];

	for (unsigned int i = 0; i < count; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	for (unsigned int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < count; i++)
		ck_assert_msg(workers[i].failure == NULL, "%s", workers[i].failure);
}

START_TEST(writers_of_both_sides_do_not_disturb_each_other)
{
	struct worker *workers = calloc(2 * THREADS, sizeof(*workers));
	struct uds_exception_store_status status = { .size = sizeof(status) };
	struct shared shared;

	setup(&shared, 400, _i == 0 ? 1 : 8);
	for (unsigned int i = 0; i < 2 * THREADS; i++) {
		workers[i].shared = &shared;
		workers[i].number = i % THREADS;
		workers[i].to_origin = i >= THREADS;
	}
	run_workers(workers, 2 * THREADS);
	/* One copy for each chunk, however many wrote to it. */
	uds_exception_store_get_status(uds_snapshot_store(shared.s), &status);
	ck_assert_uint_le(status.exceptions, CHUNKS);
	ck_assert_uint_eq(status.next_free, 2 + status.exceptions + (status.exceptions >= 256));
	ck_assert_uint_eq(status.old_twice, 0);
	/* And again from the device. */
	ck_assert_int_eq(uds_snapshot_close(shared.s), 0);
	ck_assert_int_eq(uds_snapshot_open(shared.origin_io, shared.cow_io, NULL, NULL, &shared.s),
			 0);
	for (unsigned int i = 0; i < 2 * THREADS; i++)
		for (unsigned int c = 0; c < CHUNKS; c++)
			check_slice(&workers[i], c);
	for (unsigned int i = 0; i < 2 * THREADS; i++)
		ck_assert_msg(workers[i].failure == NULL, "%s", workers[i].failure);
	teardown(&shared);
	free(workers);
}
END_TEST

static void *merge_all(void *argument)
{
	struct shared *shared = argument;
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	int r;

	options.round_bytes = 8 * CHUNK;
	options.limit = 40;
	options.bytes_per_second = 20 << 20;
	do {
		r = uds_snapshot_merge(shared->s, &options, &result);
	} while (r == 0 && result.remaining > 0);
	atomic_store(&shared->merged, true);
	return r == 0 ? NULL : shared;
}

START_TEST(writes_while_merging_are_kept)
{
	struct worker *workers = calloc(THREADS, sizeof(*workers));
	struct uds_exception_store_status status = { .size = sizeof(status) };
	struct shared shared;
	uint8_t *merged = malloc(SIZE);
	pthread_t merger;
	void *failed;

	setup(&shared, 400, 8);
	for (unsigned int c = 0; c < CHUNKS; c++)
		ck_assert_int_eq(uds_snapshot_write(shared.s, shared.first + c * CHUNK, CHUNK,
						    (c * 7 % CHUNKS) * CHUNK),
				 0);
	ck_assert_int_eq(uds_snapshot_read(shared.s, shared.first, SIZE / 8 * 8, 0), 0);
	ck_assert_int_eq(uds_snapshot_begin_merge(shared.s), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i].shared = &shared;
		workers[i].number = i;
		workers[i].to_origin = true;
		workers[i].merging = true;
	}
	ck_assert_int_eq(pthread_create(&merger, NULL, merge_all, &shared), 0);
	run_workers(workers, THREADS);
	pthread_join(merger, &failed);
	ck_assert_ptr_null(failed);
	uds_exception_store_get_status(uds_snapshot_store(shared.s), &status);
	ck_assert_uint_eq(status.exceptions, 0);
	/* The bare origin now holds the view and all writes. */
	ck_assert_int_eq(uds_io_read(shared.origin_io, merged, SIZE / 8 * 8, 0), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		for (unsigned int c = 0; c < CHUNKS; c++) {
			size_t at = slice_at(&workers[i], c);

			if (workers[i].stamps[c] != 0)
				memset(shared.first + at, workers[i].stamps[c], SLICE);
		}
	}
	ck_assert_mem_eq(merged, shared.first, SIZE / 8 * 8);
	teardown(&shared);
	free(workers);
	free(merged);
}
END_TEST

static int stop_at_once(void *context, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	return ++*(int *)context > 3;
}

static void *stop_soon(void *argument)
{
	struct shared *shared = argument;

	while (!atomic_load(&shared->merged))
		uds_snapshot_stop_merge(shared->s);
	return NULL;
}

START_TEST(merges_stop_when_asked_and_go_on_later)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	struct shared shared;
	pthread_t stopper;
	int calls = 0, r;

	setup(&shared, 400, 8);
	for (unsigned int c = 0; c < 200; c++)
		ck_assert_int_eq(
			uds_snapshot_write(shared.s, shared.first, CHUNK, (c * 7 % CHUNKS) * CHUNK),
			0);
	options.round_bytes = 4 * CHUNK;
	options.progress = stop_at_once;
	options.progress_context = &calls;
	ck_assert_int_eq(uds_snapshot_merge(shared.s, &options, &result), UDS_ERR_STOPPED);
	ck_assert_uint_gt(result.remaining, 0);
	ck_assert_uint_eq(result.remaining + result.exceptions, 200);
	options.progress = NULL;
	options.bytes_per_second = 1 << 16;
	pthread_create(&stopper, NULL, stop_soon, &shared);
	do {
		r = uds_snapshot_merge(shared.s, &options, &result);
	} while (r == 0 && result.remaining > 100);
	ck_assert_int_eq(r, UDS_ERR_STOPPED);
	atomic_store(&shared.merged, true);
	pthread_join(stopper, NULL);
	options.bytes_per_second = 0;
	ck_assert_int_eq(uds_snapshot_merge(shared.s, &options, &result), 0);
	ck_assert_uint_eq(result.remaining, 0);
	teardown(&shared);
}
END_TEST

static void *merge_in_one_go(void *argument)
{
	struct shared *shared = argument;
	int r = uds_snapshot_merge(shared->s, NULL, NULL);

	atomic_store(&shared->merged, true);
	return r == 0 ? NULL : shared;
}

/* A round with everything in it is given up when a writer has to wait for it. */
START_TEST(a_write_interrupts_a_large_round)
{
	struct trace *trace = malloc(sizeof(*trace));
	struct shared shared;
	uint8_t bytes[100];
	pthread_t merger;
	bool merged;
	void *failed;

	setup(&shared, 400, 8);
	uds_snapshot_close(shared.s);
	trace_start(trace);
	shared.cow_io = trace_io(trace, 'c', shared.cow_io);
	ck_assert_int_eq(uds_snapshot_open(shared.origin_io, shared.cow_io, NULL, NULL, &shared.s),
			 0);
	for (unsigned int c = 0; c < CHUNKS; c++)
		ck_assert_int_eq(
			uds_snapshot_write(shared.s, shared.first, CHUNK, (c * 7 % CHUNKS) * CHUNK),
			0);
	trace->read_delay_us = 50000; /* 15 seconds in all, if nothing is done about it */
	ck_assert_int_eq(uds_snapshot_begin_merge(shared.s), 0);
	ck_assert_int_eq(pthread_create(&merger, NULL, merge_in_one_go, &shared), 0);
	usleep(200000);
	memset(bytes, 9, sizeof(bytes));
	ck_assert_int_eq(uds_snapshot_origin_write(shared.s, bytes, sizeof(bytes), 1000), 0);
	merged = atomic_load(&shared.merged);
	ck_assert(!merged);
	trace->read_delay_us = 0;
	pthread_join(merger, &failed);
	ck_assert_ptr_null(failed);
	ck_assert_int_eq(uds_io_read(shared.origin_io, shared.first, CHUNK, 0), 0);
	ck_assert_mem_eq(shared.first + 1000, bytes, sizeof(bytes));
	teardown(&shared);
	free(trace);
}
END_TEST

struct one_commit {
	struct uds_exception_store *store;
	struct uds_exception e;
	int status;
};

static void *commit(void *argument)
{
	struct one_commit *c = argument;

	c->status = uds_exception_store_commit(c->store, &c->e, 1);
	return NULL;
}

/* One area write for all that wait. */
START_TEST(concurrent_commits_share_a_write)
{
	enum { MANY = 24 };
	struct trace *trace = malloc(sizeof(*trace));
	struct one_commit commits[MANY];
	pthread_t threads[MANY];
	struct shared shared;
	unsigned int writes = 0;

	setup(&shared, 400, 8);
	uds_snapshot_close(shared.s);
	trace_start(trace);
	shared.cow_io = trace_io(trace, 'c', shared.cow_io);
	ck_assert_int_eq(uds_snapshot_open(shared.origin_io, shared.cow_io, NULL, NULL, &shared.s),
			 0);
	for (unsigned int i = 0; i < MANY; i++) {
		commits[i].store = uds_snapshot_store(shared.s);
		ck_assert_int_eq(uds_exception_store_prepare(commits[i].store, i, &commits[i].e),
				 0);
	}
	/* The first one comes last: the others wait for it, and go together. */
	for (unsigned int i = MANY; i-- > 1;)
		pthread_create(&threads[i], NULL, commit, &commits[i]);
	usleep(50000);
	pthread_create(&threads[0], NULL, commit, &commits[0]);
	for (unsigned int i = 0; i < MANY; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(commits[i].status, 0);
	}
	for (const char *at = trace->text; (at = strstr(at, "cW")) != NULL; at++)
		writes++;
	ck_assert_uint_le(writes, MANY / 2);
	teardown(&shared);
	free(trace);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot threads");
	TCase *tc = tcase_create("threads");

	tcase_add_loop_test(tc, writers_of_both_sides_do_not_disturb_each_other, 0, 2);
	tcase_add_test(tc, writes_while_merging_are_kept);
	tcase_add_test(tc, merges_stop_when_asked_and_go_on_later);
	tcase_add_test(tc, a_write_interrupts_a_large_round);
	tcase_add_test(tc, concurrent_commits_share_a_write);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
