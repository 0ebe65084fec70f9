/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests that wait for the volume: what they hold meanwhile, and what others can do. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <uds/index.h>

#include "check_main.h"
#include "index/index.h"
#include "names.h"
#include "small_index.h"
#include "torture_env.h"

#define SEED UINT64_C(0x3a17)

/* An I/O over memory whose reads can be held. */
struct device {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;
	bool waiting; /* a read is being held */
	uint8_t *bytes;
};

static int device_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct device *d = context;

	pthread_mutex_lock(&d->lock);
	while (d->held) {
		d->waiting = true;
		pthread_cond_broadcast(&d->changed);
		pthread_cond_wait(&d->changed, &d->lock);
	}
	memcpy(buffer, d->bytes + offset, length);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int device_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct device *d = context;

	memcpy(d->bytes + offset, buffer, length);
	return 0;
}

static int device_flush(void *context)
{
	(void)context;
	return 0;
}

static int device_size(void *context, uint64_t *ret_bytes)
{
	(void)context;
	*ret_bytes = 4 << 20;
	return 0;
}

static struct uds_record_name name_of(uint64_t seed, uint64_t number)
{
	struct uds_record_name name;

	make_name(seed, number, &name);
	return name;
}

struct fixture {
	struct torture_env torture;
	struct device device;
	struct uds_io *io;
	struct uds_index *index;
};

/* An index with closed chapters, none of which is in memory. */
static void begin(struct fixture *f)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct small_shape shape;

	memset(f, 0, sizeof(*f));
	torture_env_start(&f->torture);
	pthread_mutex_init(&f->device.lock, NULL);
	pthread_cond_init(&f->device.changed, NULL);
	f->device.bytes = calloc(4, 1 << 20);
	ops.read = device_read;
	ops.write = device_write;
	ops.flush = device_flush;
	ops.get_size = device_size;
	ops.close = device_flush; /* nothing to do */
	ck_assert_int_eq(uds_io_open_ops(&ops, &f->device, &limits, NULL, NULL, &f->io), 0);
	small_index_shape(1, 8, &shape);
	ck_assert_int_eq(small_index_create(&shape, f->io, NULL, NULL), 0);
	ck_assert_int_eq(
		small_index_open(f->io, NULL, 1, UDS_INDEX_LOAD_OR_RECOVER, NULL, &f->index), 0);
	for (uint64_t n = 0; n < 3 * shape.records; n++) {
		struct uds_record_name name = name_of(SEED, n);
		struct uds_record_data data = { { (uint8_t)n } };

		ck_assert_int_eq(uds_index_post(f->index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_int_eq(uds_index_save(f->index), 0);
	ck_assert_int_eq(uds_index_close(f->index), 0);
	ck_assert_int_eq(
		small_index_open(f->io, &f->torture.env, 1, UDS_INDEX_LOAD, NULL, &f->index), 0);
}

static void end(struct fixture *f)
{
	ck_assert_int_eq(uds_index_close(f->index), 0);
	ck_assert_int_eq(uds_io_close(f->io), 0);
	torture_env_end(&f->torture);
	free(f->device.bytes);
}

static void *peek_first(void *context)
{
	struct uds_record_name name = name_of(SEED, 0);
	struct fixture *f = context;
	struct uds_record_data data;
	bool found = false;

	ck_assert_int_eq(uds_index_peek(f->index, &name, &data, &found), 0);
	ck_assert(found);
	return NULL;
}

/* Starts a peek and returns when it waits for the volume. */
static pthread_t start_waiting(struct fixture *f)
{
	pthread_t thread;

	f->device.held = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, peek_first, f), 0);
	pthread_mutex_lock(&f->device.lock);
	while (!f->device.waiting)
		pthread_cond_wait(&f->device.changed, &f->device.lock);
	pthread_mutex_unlock(&f->device.lock);
	return thread;
}

static void let_go(struct fixture *f, pthread_t thread)
{
	pthread_mutex_lock(&f->device.lock);
	f->device.held = false;
	pthread_cond_broadcast(&f->device.changed);
	pthread_mutex_unlock(&f->device.lock);
	pthread_join(thread, NULL);
}

START_TEST(others_of_the_zone_go_on)
{
	struct uds_record_name name = name_of(SEED + 1, 0);
	struct uds_record_data data = { { 1 } };
	struct fixture f;
	pthread_t thread;
	bool found;

	begin(&f);
	thread = start_waiting(&f);
	ck_assert_int_eq(uds_index_update(f.index, &name, &data, NULL, &found), 0);
	ck_assert_int_eq(uds_index_peek(f.index, &name, &data, &found), 0);
	ck_assert(found);
	let_go(&f, thread);
	end(&f);
}
END_TEST

/* One request, and several at once: the sentence is about the first. */
START_TEST(one_more_thread_without_memory_is_refused)
{
	struct uds_request requests[3] = { { .kind = UDS_PEEK },
					   { .kind = UDS_PEEK },
					   { .kind = UDS_UPDATE } };
	struct uds_message message;
	struct fixture f;
	pthread_t thread;

	begin(&f);
	thread = start_waiting(&f);
	for (size_t count = 1; count <= 3; count += 2) {
		torture_env_fail_at(&f.torture, 1, true);
		ck_assert_int_eq(uds_index_run(f.index, requests, count), -ENOMEM);
		uds_index_error_message(f.index, &message);
		ck_assert_ptr_nonnull(strstr(message.text, "peek of 00000000"));
		for (size_t i = 0; i < count; i++) {
			ck_assert_int_eq(requests[i].status, -ENOMEM);
			ck_assert(!requests[i].found);
		}
		torture_env_fail_at(&f.torture, 0, false);
	}
	ck_assert_int_eq(uds_index_run(f.index, requests, 3), 0);
	let_go(&f, thread);
	end(&f);
}
END_TEST

/* A single call and one of many, one after the other, need no memory for a batch. */
START_TEST(one_thread_is_not_refused_without_memory)
{
	struct uds_request requests[3] = { { .kind = UDS_PEEK },
					   { .kind = UDS_PEEK },
					   { .kind = UDS_PEEK } };
	struct fixture f;

	begin(&f);
	torture_env_fail_at(&f.torture, 1, true);
	for (size_t count = 1; count <= 3; count++) {
		ck_assert_int_eq(uds_index_run(f.index, requests, 1), 0);
		ck_assert_int_eq(uds_index_run(f.index, requests, count), 0);
	}
	torture_env_fail_at(&f.torture, 0, false);
	end(&f);
}
END_TEST

/* What more threads at once have taken is kept, and counted. */
START_TEST(memory_of_waiting_requests_is_kept)
{
	struct uds_index_statistics before = UDS_INDEX_STATISTICS_INIT, after = before;
	struct uds_record_name name = name_of(SEED + 1, 0);
	struct fixture f;
	pthread_t thread;

	begin(&f);
	ck_assert_int_eq(uds_index_get_statistics(f.index, &before), 0);
	thread = start_waiting(&f);
	ck_assert_int_eq(uds_index_peek(f.index, &name, NULL, NULL), 0);
	let_go(&f, thread);
	ck_assert_int_eq(uds_index_get_statistics(f.index, &after), 0);
	ck_assert_uint_gt(after.memory_bytes,
			  before.memory_bytes + 256 * sizeof(struct uds_request) / 2);
	end(&f);
}
END_TEST

#define MANY 60

static void *peek_many(void *context)
{
	struct uds_request requests[MANY] = { 0 };
	struct fixture *f = context;

	for (unsigned int i = 0; i < MANY; i++) {
		requests[i].kind = UDS_PEEK;
		requests[i].name = name_of(SEED + 2, i);
	}
	ck_assert_int_eq(uds_index_run(f->index, requests, MANY), 0);
	return NULL;
}

/* How many requests a zone has carried out. */
static uint64_t done_in(struct index_zone *zone)
{
	uint64_t sum = 0;

	/* The caller may have another one: to wait in turns could be for each other. */
	while (pthread_mutex_trylock(&zone->lock) != 0)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	for (int i = 0; i < REQUEST_COUNTERS; i++) {
		for (int j = 0; j < LOCATIONS; j++)
			sum += zone->counters.requests[i][j];
	}
	pthread_mutex_unlock(&zone->lock);
	return sum;
}

static bool others_are_done(struct fixture *f, unsigned int taken, const uint64_t *expected)
{
	bool done = true;

	for (unsigned int zone = 0; done && zone < 3; zone++)
		done = zone == taken || done_in(&f->index->zones[zone]) == expected[zone];
	return done;
}

/* Whether the rest of a batch is done while somebody has a zone. */
static bool goes_on_without(struct fixture *f, unsigned int taken)
{
	struct index_zone *zones = f->index->zones;
	uint64_t expected[3];
	bool done = false;
	pthread_t thread;

	for (unsigned int zone = 0; zone < 3; zone++)
		expected[zone] = done_in(&zones[zone]);
	for (unsigned int i = 0; i < MANY; i++) {
		struct uds_record_name name = name_of(SEED + 2, i);
		struct name_place place;

		volume_index_locate(f->index->volume_index, &name, &place);
		expected[place.zone]++;
	}
	pthread_mutex_lock(&zones[taken].lock);
	ck_assert_int_eq(pthread_create(&thread, NULL, peek_many, f), 0);
	for (int i = 0; i < 200 && !done; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
		done = others_are_done(f, taken, expected);
	}
	pthread_mutex_unlock(&zones[taken].lock);
	pthread_join(thread, NULL);
	for (unsigned int zone = 0; zone < 3; zone++)
		ck_assert_uint_eq(done_in(&zones[zone]), expected[zone]);
	return done;
}

/*
 * Of a batch whose names lie in three zones, one of which another caller has: the rest is done.
 * The looks after it may themselves be in its way, but not each time.
 */
START_TEST(a_zone_that_is_taken_is_left_for_later)
{
	struct fixture f;
	int tries;

	begin(&f);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(small_index_open(f.io, NULL, 3, UDS_INDEX_LOAD, NULL, &f.index), 0);
	for (unsigned int taken = 0; taken < 3; taken++) {
		for (tries = 1; !goes_on_without(&f, taken); tries++)
			ck_assert_int_lt(tries, 4);
	}
	end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("requests that wait");
	TCase *t = tcase_create("waits");

	tcase_add_test(t, others_of_the_zone_go_on);
	tcase_add_test(t, one_more_thread_without_memory_is_refused);
	tcase_add_test(t, one_thread_is_not_refused_without_memory);
	tcase_add_test(t, memory_of_waiting_requests_is_kept);
	tcase_add_test(t, a_zone_that_is_taken_is_left_for_later);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
