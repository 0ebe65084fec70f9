/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An open image. For the files of this folder only, from the top: backend.c (the vtable), image.c
 * (opening and closing), lock.c (the writer's lock), keeper.c (a thread that says what is waited
 * for), cluster.c (the connection).
 *
 * librbd has threads of its own: a request is given to it by whoever wants it, and ends in one of
 * its threads, by a callback. Its notification by eventfd was measured, too (random reads of 32
 * KiB, 16 in flight): as fast, with a tenth less processor time; but it hands what has ended of an
 * image to whoever asks first, of whichever engine it is, so that each would have to look for all.
 */
#ifndef RBD_IMAGE_H
#define RBD_IMAGE_H

#include <pthread.h>
#include <stdatomic.h>

#include <rbd/librbd.h>

#include <uds/io.h>
#include <uds/rbd.h>

#include "common/extents.h"
#include "rbd/cluster.h"
#include "rbd/spec.h"

struct image {
	struct uds_env env;
	struct uds_rbd_options options; /* its texts are the caller's, and gone after the open */
	char *name;			/* for sentences */
	struct image_spec spec;
	struct cluster cluster;
	rbd_image_t handle; /* NULL: not open */
	char header[96];    /* the object that clients watch */
	uint64_t features;
	uint64_t object_bytes;
	uint64_t run_bytes; /* that lie in one object, from a multiple of it on */
	struct uds_io_place place;
	struct known_extents extents;

	/* The writer's lock. Once lost, nothing is written any more. */
	atomic_bool lost;
	pthread_mutex_t confirm_lock;
	atomic_uint_fast64_t confirmed_ms; /* when it was certain that it is ours */

	/* The keeper's. */
	atomic_uint_fast64_t begun, ended; /* requests */
	pthread_t keeper;
	pthread_mutex_t keeper_lock; /* of the next two */
	pthread_cond_t keeper_wakes;
	bool keeper_runs, keeper_stops;
};

/* ---- image.c ---- */

/* Connects and opens. @name: for sentences. Returns what uds_rbd_open() returns. */
int image_open(const char *name, const char *text, const struct uds_rbd_options *options,
	       const struct uds_env *env, struct uds_message *message, struct image **ret_image);

/* Returns what librbd says about closing. */
int image_close(struct image *image);

/* ---- lock.c ---- */

/* Takes the writer's lock. Returns 0 or what uds_rbd_open() returns. */
int lock_take(struct image *image, struct uds_message *message);

/* Refuses an image that somebody is writing. Returns 0 or what uds_rbd_open() returns. */
int lock_look(struct image *image, struct uds_message *message);

/* Before each write: 0, -ESTALE when the lock was lost, or that this is not known in time. */
int lock_check(struct image *image);

/* Nothing is written any more. Returns -ESTALE. */
int lock_lost(struct image *image, const char *why);

/* ---- keeper.c ---- */

/* Returns 0 or a negated errno. */
int keeper_start(struct image *image);
void keeper_stop(struct image *image);

/* ---- backend.c ---- */

extern const struct uds_io_ops rbd_backend;

#endif
