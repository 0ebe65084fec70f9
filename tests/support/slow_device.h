/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An index on a device whose reads take long, and can be held, for tests of operations that wait.
 *
 *	slow_index_begin(&s, 2, NULL);
 *	slow_device_hold(&s.device);          reads begin, and do not end
 *	...
 *	slow_device_wait(&s.device, 3);       until three of them are held
 *	slow_device_release(&s.device);
 *	slow_index_end(&s);
 */
#ifndef TESTS_SLOW_DEVICE_H
#define TESTS_SLOW_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/async.h>

/* Names 0 to SLOW_NAMES - 1 of SLOW_SEED are in closed chapters; their data are of version 1. */
#define SLOW_SEED  UINT64_C(0x510e)
#define SLOW_NAMES UINT64_C(384)

struct slow_device {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;
	unsigned int waiting; /* reads that are held */
	unsigned int flushes;
	unsigned int reads;
	unsigned int fail_at; /* this one of the reads from now on fails with -EIO; 0: none */
	int write_status;     /* what writes return */
	int flush_status;     /* and flushes */
	long delay_ns;	      /* of each read */
	uint8_t *bytes;
};

struct slow_index {
	struct slow_device device;
	struct uds_io *io;
	struct uds_index *index;
};

/* @env: of the index; may be NULL. The index knows by now that reads are slow. */
void slow_index_begin(struct slow_index *s, unsigned int zones, const struct uds_env *env);

/* The same with reads that take no time. */
void slow_index_begin_quick(struct slow_index *s, unsigned int zones, const struct uds_env *env);

/* The index may be closed already (NULL). */
void slow_index_end(struct slow_index *s);

void slow_device_hold(struct slow_device *device);
void slow_device_release(struct slow_device *device);

/* Lets the reads end that are held, and holds those that begin later. */
void slow_device_step(struct slow_device *device);

/* Waits until so many reads are held. */
void slow_device_wait(struct slow_device *device, unsigned int reads);

#endif
