/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests that wait for the volume: what they hold meanwhile, and what others can do. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "check_main.h"
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

int main(void)
{
	Suite *suite = suite_create("requests that wait");
	TCase *t = tcase_create("waits");

	tcase_add_test(t, others_of_the_zone_go_on);
	tcase_add_test(t, one_more_thread_without_memory_is_refused);
	tcase_add_test(t, memory_of_waiting_requests_is_kept);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
