/* SPDX-License-Identifier: BSD-2-Clause */
#include "slow_device.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <uds/index.h>

#include "names.h"
#include "small_index.h"

#define BYTES (UINT64_C(4) << 20)

static int device_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct slow_device *d = context;
	struct timespec delay;
	int status;

	pthread_mutex_lock(&d->lock);
	d->reads++;
	d->waiting++;
	/* Once: two that wait would wake each other for ever. */
	pthread_cond_broadcast(&d->changed);
	while (d->held)
		pthread_cond_wait(&d->changed, &d->lock);
	d->waiting--;
	pthread_cond_broadcast(&d->changed);
	delay = (struct timespec){ .tv_nsec = d->delay_ns };
	status = d->fail_at > 0 && --d->fail_at == 0 ? -EIO : 0;
	pthread_mutex_unlock(&d->lock);
	if (delay.tv_nsec > 0)
		nanosleep(&delay, NULL);
	/* Under the lock: a lookup may read what is just being overwritten, and notices. */
	pthread_mutex_lock(&d->lock);
	memcpy(buffer, d->bytes + offset, length);
	pthread_mutex_unlock(&d->lock);
	return status;
}

static int device_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct slow_device *d = context;
	int status;

	pthread_mutex_lock(&d->lock);
	if (d->write_status == 0)
		memcpy(d->bytes + offset, buffer, length);
	status = d->write_status;
	pthread_mutex_unlock(&d->lock);
	return status;
}

static int device_flush(void *context)
{
	struct slow_device *d = context;
	int status;

	pthread_mutex_lock(&d->lock);
	d->flushes++;
	status = d->flush_status;
	pthread_mutex_unlock(&d->lock);
	return status;
}

static int device_size(void *context, uint64_t *ret_bytes)
{
	(void)context;
	*ret_bytes = BYTES;
	return 0;
}

static void fill(struct slow_index *s)
{
	for (uint64_t n = 0; n < SLOW_NAMES; n++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(SLOW_SEED, n, &name);
		make_data('n', n, 1, &data);
		ck_assert_int_eq(uds_index_post(s->index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_int_eq(uds_index_save(s->index), 0);
	ck_assert_int_eq(uds_index_close(s->index), 0);
}

void slow_index_begin_quick(struct slow_index *s, unsigned int zones, const struct uds_env *env)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct small_shape shape;

	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->device.lock, NULL);
	pthread_cond_init(&s->device.changed, NULL);
	s->device.bytes = calloc(1, BYTES);
	ops.read = device_read;
	ops.write = device_write;
	ops.flush = device_flush;
	ops.get_size = device_size;
	limits.name = "device";
	ck_assert_int_eq(uds_io_open_ops(&ops, &s->device, &limits, NULL, NULL, &s->io), 0);
	/* Chapters of 128 records. */
	small_index_shape(1, 16, &shape);
	small_index_add_extras(&shape);
	ck_assert_int_eq(small_index_create(&shape, s->io, NULL, NULL), 0);
	ck_assert_int_eq(
		small_index_open(s->io, NULL, 1, UDS_INDEX_LOAD_OR_RECOVER, NULL, &s->index), 0);
	fill(s);
	options.env = env;
	options.zones = zones;
	/* No page stays in memory. */
	options.cache_bytes = 1;
	ck_assert_int_eq(uds_index_open(s->io, &options, NULL, &s->index), 0);
}

void slow_index_begin(struct slow_index *s, unsigned int zones, const struct uds_env *env)
{
	slow_index_begin_quick(s, zones, env);
	s->device.delay_ns = 60000;
	/* A few slow reads make it known. */
	for (uint64_t n = 0; n < 10; n++) {
		struct uds_record_name name;

		make_name(SLOW_SEED, n, &name);
		ck_assert_int_eq(uds_index_peek(s->index, &name, NULL, NULL), 0);
	}
}

void slow_index_end(struct slow_index *s)
{
	ck_assert_int_eq(uds_index_close(s->index), 0);
	ck_assert_int_eq(uds_io_close(s->io), 0);
	pthread_cond_destroy(&s->device.changed);
	pthread_mutex_destroy(&s->device.lock);
	free(s->device.bytes);
}

void slow_device_hold(struct slow_device *device)
{
	pthread_mutex_lock(&device->lock);
	device->held = true;
	pthread_mutex_unlock(&device->lock);
}

void slow_device_release(struct slow_device *device)
{
	pthread_mutex_lock(&device->lock);
	device->held = false;
	pthread_cond_broadcast(&device->changed);
	pthread_mutex_unlock(&device->lock);
}

void slow_device_step(struct slow_device *device)
{
	pthread_mutex_lock(&device->lock);
	device->held = false;
	pthread_cond_broadcast(&device->changed);
	while (device->waiting > 0)
		pthread_cond_wait(&device->changed, &device->lock);
	device->held = true;
	pthread_mutex_unlock(&device->lock);
}

void slow_device_wait(struct slow_device *device, unsigned int reads)
{
	pthread_mutex_lock(&device->lock);
	while (device->waiting < reads)
		pthread_cond_wait(&device->changed, &device->lock);
	pthread_mutex_unlock(&device->lock);
}
