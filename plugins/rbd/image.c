/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening an image, and closing it. */
#include "rbd/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "common/copy_text.h"
#include "common/hash.h"
#include "common/signals.h"

/* A failure of the cluster, with its state where it has not answered. */
static int cluster_failure(struct image *image, int status, const char *what,
			   struct uds_message *message)
{
	char health[300];

	if (status != -ETIMEDOUT)
		return failure(message, status, "%s: %s: %s", image->name, what,
			       uds_strerror(status));
	cluster_health(&image->cluster, health, sizeof(health));
	return failure(message, status, "%s: %s: the cluster does not answer; its state: %s",
		       image->name, what, health);
}

/* ---- the image ---- */

static int create_image(struct image *image, struct uds_message *message)
{
	rbd_image_options_t options;
	int r;

	rbd_image_options_create(&options);
	/* Beside what the cluster gives every image. */
	(void)rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FEATURES_SET,
					   RBD_FEATURE_EXCLUSIVE_LOCK);
	r = rbd_create4(image->cluster.pool, image->spec.image, 0, options);
	rbd_image_options_destroy(options);
	if (r == -EEXIST)
		return failure(message, r, "%s: the image is there already", image->name);
	return r < 0 ? cluster_failure(image, r, "making the image", message) : 0;
}

static bool image_exists(struct image *image)
{
	rbd_image_t handle;

	if (rbd_open_read_only(image->cluster.pool, image->spec.image, &handle, NULL) < 0)
		return false;
	rbd_close(handle);
	return true;
}

static int open_failure(struct image *image, int status, struct uds_message *message)
{
	if (status != -ENOENT)
		return cluster_failure(image, status, "opening the image", message);
	if (image->spec.snapshot != NULL && image_exists(image))
		return failure(message, status, "%s: the image %s has no snapshot %s", image->name,
			       image->spec.image, image->spec.snapshot);
	return failure(message, status, "%s: the pool %s has no image %s", image->name,
		       image->spec.pool, image->spec.image);
}

static int open_handle(struct image *image, struct uds_message *message)
{
	sigset_t before;
	int r;

	signals_block(&before);
	/* Who reads leaves no trace, and may have no right to. */
	if (image->options.write)
		r = rbd_open(image->cluster.pool, image->spec.image, &image->handle, NULL);
	else
		r = rbd_open_read_only(image->cluster.pool, image->spec.image, &image->handle,
				       image->spec.snapshot);
	signals_restore(&before);
	if (r < 0) {
		image->handle = NULL;
		return open_failure(image, r, message);
	}
	return 0;
}

/* The cluster, the image and the snapshot: no name of them counts, as each can be renamed. */
static void find_place(struct image *image, const char *id)
{
	char cluster[64] = "";
	uint64_t hash = HASH_START;
	int64_t pool = rados_ioctx_get_id(image->cluster.pool);

	(void)rados_cluster_fsid(image->cluster.rados, cluster, sizeof(cluster));
	image->place.kind = UDS_IO_PLACE_OTHER;
	hash = hash_bytes(hash, cluster, strlen(cluster));
	image->place.device = hash_bytes(hash, &pool, sizeof(pool));
	hash = hash_bytes(HASH_START, id, strlen(id) + 1);
	if (image->spec.snapshot != NULL)
		hash = hash_bytes(hash, image->spec.snapshot, strlen(image->spec.snapshot));
	image->place.object = hash;
	image->place.length = UINT64_MAX;
}

/* With striping the bytes of an object lie apart, in units that go round a number of objects. */
static int find_run(struct image *image)
{
	uint64_t objects = 0, unit = 0;
	int r = rbd_get_stripe_count(image->handle, &objects);

	if (r == 0)
		r = rbd_get_stripe_unit(image->handle, &unit);
	if (r == 0)
		image->run_bytes = objects > 1 ? unit : image->object_bytes;
	return r;
}

static int read_facts(struct image *image, struct uds_message *message)
{
	rbd_image_info_t info;
	char id[64] = "";
	uint8_t is_old = 0;
	int r = rbd_stat(image->handle, &info, sizeof(info));

	if (r == 0)
		r = rbd_get_old_format(image->handle, &is_old);
	/* It has no identity but its name, and no lock. */
	if (r == 0 && is_old != 0)
		return failure(message, -EOPNOTSUPP,
			       "%s: it has RBD's old image format 1: rbd migration makes one of "
			       "format 2 of it",
			       image->name);
	if (r == 0)
		r = rbd_get_features(image->handle, &image->features);
	if (r == 0)
		r = rbd_get_id(image->handle, id, sizeof(id));
	if (r == 0) {
		image->object_bytes = info.obj_size;
		r = find_run(image);
	}
	if (r < 0)
		return cluster_failure(image, r, "asking about the image", message);
	snprintf(image->header, sizeof(image->header), "rbd_header.%s", id);
	find_place(image, id);
	return 0;
}

static int open_image(struct image *image, struct uds_message *message)
{
	int r = 0;

	if (image->options.create)
		r = create_image(image, message);
	if (r == 0)
		r = open_handle(image, message);
	return r == 0 ? read_facts(image, message) : r;
}

/* With the keeper's eye on it. */
static int open_watched(struct image *image, struct uds_message *message)
{
	int r;

	atomic_fetch_add(&image->begun, 1);
	r = open_image(image, message);
	atomic_fetch_add(&image->ended, 1);
	return r;
}

static int connect_and_open(struct image *image, struct uds_message *message)
{
	int r = cluster_open(image->name, image->spec.pool, &image->options, message,
			     &image->cluster);

	if (r < 0)
		return r;
	r = keeper_start(image);
	if (r < 0)
		return failure(message, r, "%s: its thread cannot be started: %s", image->name,
			       uds_strerror(r));
	r = open_watched(image, message);
	if (r < 0)
		return r;
	if (image->options.write)
		r = lock_take(image, message);
	else if (!image->options.no_lock && image->spec.snapshot == NULL)
		r = lock_look(image, message);
	if (r == 0)
		cluster_set_patience(&image->cluster, image->options.answer_ms);
	return r;
}

/* ---- beginning and end ---- */

static struct image *make_image(const char *name, const struct uds_rbd_options *options,
				const struct uds_env *env)
{
	struct image *image = env_allocate_zeroed(env, 1, sizeof(*image));
	pthread_condattr_t attributes;

	if (image == NULL)
		return NULL;
	image->env = *env;
	image->options = *options;
	image->name = copy_text(env, name);
	if (image->name == NULL) {
		env_release(env, image);
		return NULL;
	}
	pthread_mutex_init(&image->confirm_lock, NULL);
	pthread_mutex_init(&image->keeper_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&image->keeper_wakes, &attributes);
	pthread_condattr_destroy(&attributes);
	extents_init(&image->extents);
	return image;
}

int image_close(struct image *image)
{
	struct uds_env env = image->env;
	int r = 0;

	/* A cluster that does not answer is told of while this waits, too. */
	atomic_fetch_add(&image->begun, 1);
	if (image->handle != NULL)
		r = rbd_close(image->handle);
	keeper_stop(image);
	cluster_close(&image->cluster);
	pthread_mutex_destroy(&image->confirm_lock);
	pthread_mutex_destroy(&image->keeper_lock);
	pthread_cond_destroy(&image->keeper_wakes);
	extents_free(&image->extents, &env);
	env_release(&env, image->spec.memory);
	env_release(&env, image->name);
	env_release(&env, image);
	return r;
}

int image_open(const char *name, const char *text, const struct uds_rbd_options *options,
	       const struct uds_env *env, struct uds_message *message, struct image **ret_image)
{
	struct image *image = make_image(name, options, env);
	int r;

	if (image == NULL)
		return failure(message, -ENOMEM, "%s: no memory", name);
	r = spec_parse(name, text, env, message, &image->spec);
	if (r == 0 && options->write && image->spec.snapshot != NULL)
		r = failure(message, -EROFS, "%s: a snapshot cannot be written", name);
	if (r == 0)
		r = connect_and_open(image, message);
	image->options.conf = image->options.id = image->options.pool_namespace = NULL;
	if (r < 0)
		(void)image_close(image); /* the reason for the failure is the first one */
	else
		*ret_image = image;
	return r;
}
