/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One engine of a program for its indexes, volumes, stores and snapshots: who does the transfers,
 * and that none of them is in the way of another, or of the program's own requests.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <uds.h>
#include <uds/engine.h>

#include "check_main.h"
#include "names.h"
#include "sanitizer.h"
#include "small_index.h"

#define CHUNK	    UINT64_C(4096)
#define ORIGIN	    (256 * CHUNK)
#define NAMES	    512u /* four chapters */
#define BATCH	    64u
#define SMALL_STACK 65536u
#define MOST_SEEN   64u

/* A thread of the test itself, from which the library's are told. */
static _Thread_local bool mine;

/* The threads that have read, but for the test's own. */
static struct {
	pthread_mutex_t lock;
	long threads[MOST_SEEN];
	unsigned int count;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* A device over memory, whose reads take 100 us, or until they are let go. */
struct device {
	struct uds_io *memory;
	struct uds_io *io;
	_Atomic unsigned int by_threads; /* reads of threads that are not the test's own */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int inside; /* reads that are held */
	bool held;
};

static void note_thread(void)
{
	long self = syscall(SYS_gettid);
	unsigned int i = 0;

	pthread_mutex_lock(&seen.lock);
	while (i < seen.count && seen.threads[i] != self)
		i++;
	if (i == seen.count && i < MOST_SEEN)
		seen.threads[seen.count++] = self;
	pthread_mutex_unlock(&seen.lock);
}

static int device_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	struct device *d = context;

	if (!mine) {
		note_thread();
		atomic_fetch_add(&d->by_threads, 1);
	}
	nanosleep(&pause, NULL);
	pthread_mutex_lock(&d->lock);
	d->inside++;
	pthread_cond_broadcast(&d->changed);
	while (d->held)
		pthread_cond_wait(&d->changed, &d->lock);
	d->inside--;
	pthread_mutex_unlock(&d->lock);
	return uds_io_read(d->memory, buffer, length, offset);
}

static int device_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	return uds_io_write(((struct device *)context)->memory, buffer, length, offset);
}

static int device_flush(void *context)
{
	return uds_io_flush(((struct device *)context)->memory);
}

static int device_get_size(void *context, uint64_t *ret_bytes)
{
	return uds_io_size(((struct device *)context)->memory, ret_bytes);
}

static int device_resize(void *context, uint64_t bytes)
{
	return uds_io_resize(((struct device *)context)->memory, bytes);
}

static int device_close(void *context)
{
	return uds_io_close(((struct device *)context)->memory);
}

static void device_open(struct device *d, uint64_t bytes)
{
	struct uds_io_ops ops = UDS_IO_OPS_INIT;

	memset(d, 0, sizeof(*d));
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	ck_assert_int_eq(uds_io_open_memory(bytes, 1, NULL, NULL, &d->memory), 0);
	ops.read = device_read;
	ops.write = device_write;
	ops.flush = device_flush;
	ops.get_size = device_get_size;
	ops.resize = device_resize;
	ops.close = device_close;
	ck_assert_int_eq(uds_io_open_ops(&ops, d, NULL, NULL, NULL, &d->io), 0);
}

static void device_end(struct device *d)
{
	ck_assert_int_eq(uds_io_close(d->io), 0);
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
}

static void device_hold(struct device *d, bool held)
{
	pthread_mutex_lock(&d->lock);
	d->held = held;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

static void device_wait_for_held(struct device *d, unsigned int count)
{
	pthread_mutex_lock(&d->lock);
	while (d->inside < count)
		pthread_cond_wait(&d->changed, &d->lock);
	pthread_mutex_unlock(&d->lock);
}

static struct uds_io_engine *engine_of(unsigned int threads)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_engine *engine;

	options.threads = threads;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, NULL, &engine), 0);
	return engine;
}

/* ---- an index ---- */

/* Makes one with NAMES records in closed chapters, and no save: opening it is a recovery. */
static void fill_index(struct device *d)
{
	struct uds_request requests[BATCH];
	struct small_shape shape;
	struct uds_index *index;

	device_open(d, 0);
	small_index_shape(1, 8, &shape);
	ck_assert_int_eq(small_index_create(&shape, d->io, NULL, NULL), 0);
	ck_assert_int_eq(small_index_open(d->io, NULL, 1, UDS_INDEX_LOAD_OR_RECOVER, NULL, &index),
			 0);
	for (uint64_t i = 0; i < NAMES; i += BATCH) {
		memset(requests, 0, sizeof(requests));
		for (unsigned int k = 0; k < BATCH; k++) {
			requests[k].kind = UDS_POST;
			make_name(1, i + k, &requests[k].name);
			make_data('a', i + k, 0, &requests[k].new_data);
		}
		ck_assert_int_eq(uds_index_run(index, requests, BATCH), 0);
	}
	ck_assert_int_eq(uds_index_close(index), 0);
}

/* With so little of a cache that nearly every lookup reads. */
static struct uds_index *open_index(struct device *d, struct uds_io_engine *engine)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_index *index = NULL;

	options.cache_bytes = 1;
	options.zones = 2;
	options.engine = engine;
	ck_assert_msg(uds_index_open(d->io, &options, &message, &index) == 0, "%s", message.text);
	return index;
}

/* On any thread: no ck_assert(), which needs stack. Returns how many of the names are right. */
static unsigned int peek_all(struct uds_index *index, struct uds_request *requests)
{
	unsigned int right = 0;

	memset(requests, 0, NAMES * sizeof(*requests));
	for (unsigned int i = 0; i < NAMES; i++) {
		requests[i].kind = UDS_PEEK;
		make_name(1, i, &requests[i].name);
	}
	if (uds_index_run(index, requests, NAMES) < 0)
		return 0;
	for (unsigned int i = 0; i < NAMES; i++) {
		struct uds_record_data data;

		make_data('a', i, 0, &data);
		right += requests[i].found &&
			 memcmp(&data, &requests[i].old_data, sizeof(data)) == 0;
	}
	return right;
}

/* ---- a snapshot ---- */

struct pair {
	struct device origin, cow;
	struct uds_snapshot *snapshot;
};

static void open_snapshot(struct pair *p, struct uds_io_engine *engine)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };

	device_open(&p->origin, ORIGIN);
	device_open(&p->cow, 2 * ORIGIN);
	format.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_exception_store_format(p->cow.io, &format, NULL), 0);
	options.engine = engine;
	ck_assert_msg(
		uds_snapshot_open(p->origin.io, p->cow.io, &options, &message, &p->snapshot) == 0,
		"%s", message.text);
}

/* Every second chunk first, so that the copies are in many pieces. Returns whether all is right. */
static bool copy_out_and_merge(struct pair *p)
{
	uint8_t *buffer = calloc(1, ORIGIN), *zeroes = calloc(1, ORIGIN);
	bool right = buffer != NULL && zeroes != NULL;

	for (uint64_t i = 0; i < ORIGIN / CHUNK && right; i += 2)
		right = uds_snapshot_origin_write(p->snapshot, "x", 1, i * CHUNK) == 0;
	if (right) {
		memset(buffer, 'y', ORIGIN);
		right = uds_snapshot_origin_write(p->snapshot, buffer, ORIGIN, 0) == 0 &&
			uds_snapshot_read(p->snapshot, buffer, ORIGIN, 0) == 0 &&
			memcmp(buffer, zeroes, ORIGIN) == 0 &&
			uds_snapshot_merge(p->snapshot, NULL, NULL) == 0 &&
			uds_snapshot_origin_read(p->snapshot, buffer, ORIGIN, 0) == 0 &&
			memcmp(buffer, zeroes, ORIGIN) == 0;
	}
	free(buffer);
	free(zeroes);
	return right;
}

static void close_snapshot(struct pair *p)
{
	ck_assert_int_eq(uds_snapshot_close(p->snapshot), 0);
	device_end(&p->cow);
	device_end(&p->origin);
}

/* ---- threads of the test ---- */

struct work {
	struct uds_index *index; /* NULL: the pair */
	struct pair *pair;
	struct uds_request *requests;
	unsigned int right;
	bool good;
};

static void *do_work(void *context)
{
	struct work *work = context;

	mine = true;
	if (work->index != NULL) {
		work->right = peek_all(work->index, work->requests);
		work->good = work->right == NAMES;
	} else {
		work->good = copy_out_and_merge(work->pair);
	}
	return NULL;
}

static pthread_t start_work(struct work *work)
{
	pthread_attr_t attributes;
	pthread_t thread;

	work->requests = calloc(NAMES, sizeof(*work->requests));
	ck_assert_ptr_nonnull(work->requests);
	pthread_attr_init(&attributes);
#if !SANITIZED
	ck_assert_int_eq(pthread_attr_setstacksize(&attributes, SMALL_STACK), 0);
#endif
	ck_assert_int_eq(pthread_create(&thread, &attributes, do_work, work), 0);
	pthread_attr_destroy(&attributes);
	return thread;
}

static void end_work(struct work *work, pthread_t thread)
{
	pthread_join(thread, NULL);
	free(work->requests);
	ck_assert_msg(work->good, "%u names were right", work->right);
}

/* Finds out which threads an engine of two has: one read is held by each. */
static void meet_threads(struct uds_io_engine *engine, long *ret_threads)
{
	struct uds_io_request requests[2], *submitted[2], *done[2];
	uint8_t buffers[2][512];
	struct device d;

	device_open(&d, 4096);
	device_hold(&d, true);
	memset(requests, 0, sizeof(requests));
	for (int i = 0; i < 2; i++) {
		requests[i].io = d.io;
		requests[i].kind = UDS_IO_READ;
		requests[i].buffer = buffers[i];
		requests[i].length = sizeof(buffers[i]);
		submitted[i] = &requests[i];
	}
	seen.count = 0;
	ck_assert_int_eq(uds_io_engine_submit(engine, submitted, 2), 0);
	device_wait_for_held(&d, 2);
	device_hold(&d, false);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 2, 2, -1), 2);
	ck_assert_uint_eq(seen.count, 2);
	memcpy(ret_threads, seen.threads, 2 * sizeof(ret_threads[0]));
	seen.count = 0;
	device_end(&d);
}

static unsigned int count_others(const long *threads)
{
	unsigned int others = 0;

	for (unsigned int i = 0; i < seen.count; i++)
		others += seen.threads[i] != threads[0] && seen.threads[i] != threads[1];
	return others;
}

/*
 * With the engine, and to see that this tells anything, without it: then each of the three has
 * threads of its own.
 */
START_TEST(two_indexes_and_a_snapshot_read_with_the_engines_threads_only)
{
	struct uds_io_engine *engine = engine_of(2), *given = _i == 0 ? engine : NULL;
	struct work works[3] = { { 0 } };
	struct device devices[2];
	long engines_threads[2];
	pthread_t threads[3];
	struct pair pair;

	mine = true;
	meet_threads(engine, engines_threads);
	for (int i = 0; i < 2; i++) {
		fill_index(&devices[i]);
		seen.count = 0; /* the index was filled without an engine */
		devices[i].by_threads = 0;
	}
	for (int i = 0; i < 2; i++) {
		works[i].index = open_index(&devices[i], given);
		ck_assert_uint_gt(devices[i].by_threads, 0); /* the recovery reads ahead */
		devices[i].by_threads = 0;
	}
	open_snapshot(&pair, given);
	works[2].pair = &pair;
	for (int i = 0; i < 3; i++)
		threads[i] = start_work(&works[i]);
	for (int i = 0; i < 3; i++)
		end_work(&works[i], threads[i]);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_gt(devices[i].by_threads, 0);
		ck_assert_int_eq(uds_index_close(works[i].index), 0);
		device_end(&devices[i]);
	}
	ck_assert_uint_gt(pair.origin.by_threads, 0); /* copied out */
	ck_assert_uint_gt(pair.cow.by_threads, 0);    /* merged */
	if (given != NULL)
		ck_assert_uint_eq(count_others(engines_threads), 0);
	else
		ck_assert_uint_ge(count_others(engines_threads), 3);
	close_snapshot(&pair);
	uds_io_engine_close(engine);
}
END_TEST

/* Every other call that takes an engine. */
START_TEST(verify_volumes_and_stores_read_with_the_engines_threads_only)
{
	struct uds_exception_store_options store_options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_volume_options volume_options = UDS_VOLUME_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_io_engine *engine = engine_of(2);
	struct uds_exception_store *store;
	struct uds_volume *volume;
	long engines_threads[2];
	struct device d;
	struct pair pair;
	uint64_t findings;

	mine = true;
	meet_threads(engine, engines_threads);
	fill_index(&d);
	open_snapshot(&pair, engine);
	ck_assert_int_eq(uds_snapshot_close(pair.snapshot), 0);
	seen.count = 0;
	d.by_threads = 0;
	pair.cow.by_threads = 0;
	options.engine = engine;
	volume_options.engine = engine;
	store_options.engine = engine;
	ck_assert_int_eq(uds_index_verify(d.io, &options, NULL, NULL, NULL, &findings), 0);
	ck_assert_uint_gt(d.by_threads, 0);
	d.by_threads = 0;
	ck_assert_int_eq(uds_volume_open(d.io, &volume_options, NULL, &volume), 0);
	ck_assert_uint_gt(d.by_threads, 0);
	uds_volume_close(volume);
	ck_assert_int_eq(uds_exception_store_open(pair.cow.io, &store_options, NULL, &store), 0);
	ck_assert_uint_gt(pair.cow.by_threads, 0);
	ck_assert_int_eq(uds_exception_store_close(store), 0);
	pair.cow.by_threads = 0;
	ck_assert_int_eq(uds_exception_store_verify(pair.cow.io, &store_options, NULL, NULL, NULL,
						    &findings),
			 0);
	ck_assert_uint_gt(pair.cow.by_threads, 0);
	ck_assert_uint_eq(count_others(engines_threads), 0);
	device_end(&d);
	device_end(&pair.cow);
	device_end(&pair.origin);
	uds_io_engine_close(engine);
}
END_TEST

START_TEST(a_snapshot_beside_another_uses_its_engine)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_io_engine *engine = engine_of(2);
	struct uds_snapshot *first;
	long engines_threads[2];
	struct device cow;
	struct pair pair;

	mine = true;
	meet_threads(engine, engines_threads);
	open_snapshot(&pair, engine);
	device_open(&cow, 2 * ORIGIN);
	format.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_exception_store_format(cow.io, &format, NULL), 0);
	first = pair.snapshot;
	ck_assert_int_eq(uds_snapshot_open_beside(first, cow.io, NULL, NULL, &pair.snapshot), 0);
	/* It goes on with them when the other one, and the program's engine, are closed. */
	ck_assert_int_eq(uds_snapshot_close(first), 0);
	uds_io_engine_close(engine);
	ck_assert(copy_out_and_merge(&pair));
	ck_assert_uint_gt(cow.by_threads, 0);
	ck_assert_uint_eq(count_others(engines_threads), 0);
	ck_assert_int_eq(uds_snapshot_close(pair.snapshot), 0);
	device_end(&cow);
	device_end(&pair.cow);
	device_end(&pair.origin);
}
END_TEST

START_TEST(an_engine_may_be_closed_before_its_users)
{
	struct uds_io_engine *engine = engine_of(2);
	struct work works[2] = { { 0 } };
	pthread_t threads[2];
	struct device d;
	struct pair pair;

	mine = true;
	fill_index(&d);
	works[0].index = open_index(&d, engine);
	open_snapshot(&pair, engine);
	works[1].pair = &pair;
	uds_io_engine_close(engine);
	for (int i = 0; i < 2; i++)
		threads[i] = start_work(&works[i]);
	for (int i = 0; i < 2; i++)
		end_work(&works[i], threads[i]);
	ck_assert_int_eq(uds_index_close(works[0].index), 0);
	close_snapshot(&pair);
	device_end(&d);
}
END_TEST

/*
 * With one thread, which is held by a read of the other index, and a request of the
 * program behind that.
 */
START_TEST(closing_one_leaves_what_the_others_have_in_flight)
{
	struct uds_io_engine *engine = engine_of(1);
	struct uds_io_request own, *submitted = &own, *done[4];
	struct uds_index *leaves;
	struct work work = { 0 };
	struct device d[2];
	struct pair pair;
	uint8_t buffer[512];
	pthread_t thread;

	mine = true;
	for (int i = 0; i < 2; i++)
		fill_index(&d[i]);
	leaves = open_index(&d[0], engine);
	work.index = open_index(&d[1], engine);
	work.requests = calloc(NAMES, sizeof(*work.requests));
	ck_assert_uint_eq(peek_all(work.index, work.requests), NAMES); /* known for slow now */
	ck_assert_uint_eq(peek_all(leaves, work.requests), NAMES);
	free(work.requests);
	open_snapshot(&pair, engine);

	d[1].by_threads = 0;
	device_hold(&d[1], true);
	thread = start_work(&work);
	device_wait_for_held(&d[1], 1);
	ck_assert_uint_eq(d[1].by_threads, 1);
	memset(&own, 0, sizeof(own));
	own.io = d[1].io;
	own.kind = UDS_IO_READ;
	own.buffer = buffer;
	own.length = sizeof(buffer);
	ck_assert_int_eq(uds_io_engine_submit(engine, &submitted, 1), 0);
	ck_assert_int_eq(uds_index_close(leaves), 0);
	close_snapshot(&pair);
	/* What the index has in flight is neither counted nor handed out here. */
	ck_assert_uint_eq(uds_io_engine_in_flight(engine), 1);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 4, 0, 0), 0);

	device_hold(&d[1], false);
	end_work(&work, thread);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 4, 4, -1), 1);
	ck_assert_ptr_eq(done[0], &own);
	ck_assert_int_eq(own.status, 0);
	ck_assert_int_eq(uds_index_close(work.index), 0);
	for (int i = 0; i < 2; i++)
		device_end(&d[i]);
	uds_io_engine_close(engine);
}
END_TEST

START_TEST(with_an_engine_of_no_threads_the_caller_reads)
{
	struct uds_io_engine *engine = engine_of(0);
	struct work work = { 0 };
	struct device d;

	mine = true;
	fill_index(&d);
	d.by_threads = 0;
	work.index = open_index(&d, engine);
	end_work(&work, start_work(&work));
	ck_assert_uint_eq(d.by_threads, 0);
	ck_assert_int_eq(uds_index_close(work.index), 0);
	device_end(&d);
	uds_io_engine_close(engine);
}
END_TEST

/* ---- io_uring ---- */

static unsigned int count_rings(void)
{
	DIR *folder = opendir("/proc/self/fd");
	const struct dirent *entry;
	unsigned int count = 0;

	ck_assert_ptr_nonnull(folder);
	while ((entry = readdir(folder)) != NULL) {
		char target[300];
		ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		count += strstr(target, "io_uring") != NULL;
	}
	closedir(folder);
	return count;
}

static struct uds_io *uring_file(const char *name, uint64_t bytes, char *path, size_t room)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_io *io = NULL;

	snprintf(path, room, "%s/%s", scratch_dir(), name);
	options.write = true;
	options.create = true;
	options.uring = true;
	ck_assert_msg(uds_io_open_file(path, &options, NULL, &message, &io) == 0, "%s",
		      message.text);
	ck_assert_int_eq(uds_io_resize(io, bytes), 0);
	return io;
}

/* How many rings there are while a snapshot has one idle copier. */
static unsigned int rings_of_a_snapshot(struct uds_io_engine *engine)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	char paths[2][400];
	struct uds_io *origin = uring_file("origin", ORIGIN, paths[0], sizeof(paths[0]));
	struct uds_io *cow = uring_file("cow", 2 * ORIGIN, paths[1], sizeof(paths[1]));
	uint8_t *bytes = calloc(1, ORIGIN);
	struct uds_snapshot *snapshot;
	unsigned int rings;

	ck_assert_ptr_nonnull(bytes);
	format.force = true;
	ck_assert_int_eq(uds_exception_store_format(cow, &format, NULL), 0);
	options.engine = engine;
	ck_assert_int_eq(uds_snapshot_open(origin, cow, &options, NULL, &snapshot), 0);
	ck_assert_int_eq(uds_snapshot_origin_write(snapshot, bytes, ORIGIN, 0), 0);
	rings = count_rings();
	ck_assert_int_eq(uds_snapshot_close(snapshot), 0);
	ck_assert_int_eq(uds_io_close(cow), 0);
	ck_assert_int_eq(uds_io_close(origin), 0);
	unlink(paths[0]);
	unlink(paths[1]);
	free(bytes);
	return rings;
}

START_TEST(an_engine_without_io_uring_keeps_its_users_from_it)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_engine *engine = engine_of(2), *without;

	options.no_uring = true;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, NULL, &without), 0);
	ck_assert_uint_eq(rings_of_a_snapshot(without), 0);
	if (rings_of_a_snapshot(engine) == 0) {
		uds_io_engine_close(without);
		uds_io_engine_close(engine);
		skip_test("no io_uring here");
	}
	uds_io_engine_close(without);
	uds_io_engine_close(engine);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sharing an engine");
	TCase *cases = tcase_create("sharing an engine");

	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, two_indexes_and_a_snapshot_read_with_the_engines_threads_only, 0,
			    2);
	tcase_add_test(cases, verify_volumes_and_stores_read_with_the_engines_threads_only);
	tcase_add_test(cases, a_snapshot_beside_another_uses_its_engine);
	tcase_add_test(cases, an_engine_may_be_closed_before_its_users);
	tcase_add_test(cases, closing_one_leaves_what_the_others_have_in_flight);
	tcase_add_test(cases, with_an_engine_of_no_threads_the_caller_reads);
	tcase_add_test(cases, an_engine_without_io_uring_keeps_its_users_from_it);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
