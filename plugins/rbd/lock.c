/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer's lock: the image's own exclusive lock, held in the mode in which it is not handed
 * over when others ask.
 *
 * Ceph takes it from an owner whose watch of the image has ended, and keeps that client from
 * writing anything before it gives the lock away (it puts it on the blocklist). So nothing here
 * fences. What this file adds: an owner that is alive is not even asked, since a client that holds
 * the lock only by habit (a virtual machine) would hand it over in the middle of its work; and a
 * lock that was lost once is lost for good, as librbd might take it again by itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/env.h"
#include "base/message.h"
#include "rbd/image.h"

/* How long the owner may take to show that it is alive, in milliseconds. */
#define ALIVE_MS 3000

/*
 * No write is sent that long after the lock was last known to be ours, in milliseconds: less than
 * the shortest time after which Ceph gives up a client.
 */
#define CONFIRMED_MS 5000

#define MOST_WATCHERS 64u

/* The time goes on while the machine is suspended: that is when a lock is lost. */
static uint64_t boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- who has it ---- */

/* The client that has the lock. */
struct owner {
	char address[128]; /* empty: nobody */
	uint64_t id;	   /* of the client */
	bool alive;
};

/* librbd tells it only to those who may write; its lock is one of RADOS on the image's header. */
static int find_owner(struct image *image, struct owner *owner)
{
	char tag[256], clients[1024], cookies[1024], addresses[1024];
	size_t tag_length = sizeof(tag), clients_length = sizeof(clients);
	size_t cookies_length = sizeof(cookies), addresses_length = sizeof(addresses);
	int is_exclusive = 0;
	ssize_t count = rados_list_lockers(
		image->cluster.pool, image->header, "rbd_lock", &is_exclusive, tag, &tag_length,
		clients, &clients_length, cookies, &cookies_length, addresses, &addresses_length);

	owner->address[0] = '\0';
	/* One has it, or, where images are locked by hand, several: then the first. */
	if (count > 0 && strncmp(clients, "client.", 7) == 0) {
		owner->id = strtoull(clients + 7, NULL, 10);
		snprintf(owner->address, sizeof(owner->address), "%.127s", addresses);
	}
	return count < 0 && count != -ENOENT ? (int)count : 0;
}

/* Those who watch the image, and of them those that have answered. */
struct watchers {
	rbd_image_watcher_t list[MOST_WATCHERS];
	size_t count;
	struct notify_ack_t *answers;
	size_t answer_count;
};

static bool has_answered(const struct watchers *watchers, const rbd_image_watcher_t *watcher)
{
	for (size_t i = 0; i < watchers->answer_count; i++) {
		if (watchers->answers[i].notifier_id == (uint64_t)watcher->id &&
		    watchers->answers[i].cookie == watcher->cookie)
			return true;
	}
	return false;
}

/*
 * Sends all who watch the image the notice that its header may have changed, the oldest one there
 * is, which each client acknowledges.
 */
static int ask_watchers(struct image *image, struct watchers *watchers)
{
	struct notify_timeout_t *late = NULL;
	size_t length = 0, late_count = 0;
	char *reply = NULL;
	int r = rados_notify2(image->cluster.pool, image->header, NULL, 0, ALIVE_MS, &reply,
			      &length);

	/* With those that have not answered in time. */
	if (r == 0 || r == -ETIMEDOUT)
		r = rados_decode_notify_response(reply, length, &watchers->answers,
						 &watchers->answer_count, &late, &late_count);
	rados_buffer_free(reply);
	/* Only the first half of what was decoded is needed. */
	rados_free_notify_response(NULL, 0, late);
	return r;
}

static void free_watchers(struct watchers *watchers)
{
	rbd_watchers_list_cleanup(watchers->list, watchers->count);
	rados_free_notify_response(watchers->answers, watchers->answer_count, NULL);
}

/* Whether the owner shows that it is alive. One that watches and cannot be asked counts as such. */
static int look_whether_alive(struct image *image, struct owner *owner)
{
	struct watchers watchers = { .count = MOST_WATCHERS };
	bool watches = false, answered = false;
	int r = rbd_watchers_list(image->handle, watchers.list, &watchers.count);

	owner->alive = r == -ERANGE;
	if (r < 0)
		return r == -ERANGE ? 0 : r;
	r = ask_watchers(image, &watchers);
	for (size_t i = 0; i < watchers.count; i++) {
		if ((uint64_t)watchers.list[i].id != owner->id)
			continue;
		watches = true;
		answered = answered || has_answered(&watchers, &watchers.list[i]);
	}
	owner->alive = watches && (r < 0 || answered);
	free_watchers(&watchers);
	return 0;
}

static int look_for_owner(struct image *image, struct owner *ret_owner)
{
	int r = find_owner(image, ret_owner);

	ret_owner->alive = false;
	return r < 0 || ret_owner->address[0] == '\0' ? r : look_whether_alive(image, ret_owner);
}

static int refuse_owner(const struct image *image, const struct owner *owner,
			struct uds_message *message)
{
	if (image->options.write)
		return failure(message, UDS_ERR_IN_USE,
			       "%s: the client at %s has the exclusive lock: it is being written",
			       image->name, owner->address);
	return failure(message, UDS_ERR_IN_USE,
		       "%s: the client at %s has the exclusive lock: it is being written; a "
		       "snapshot of it (POOL/IMAGE@SNAPSHOT) can be read",
		       image->name, owner->address);
}

static int owner_failure(const struct image *image, int status, struct uds_message *message)
{
	return failure(message, status, "%s: finding out who has the exclusive lock: %s",
		       image->name, uds_strerror(status));
}

int lock_look(struct image *image, struct uds_message *message)
{
	struct owner owner;
	int r;

	if ((image->features & RBD_FEATURE_EXCLUSIVE_LOCK) == 0)
		return 0;
	r = look_for_owner(image, &owner);
	if (r < 0)
		return owner_failure(image, r, message);
	return owner.alive ? refuse_owner(image, &owner, message) : 0;
}

/* ---- taking it ---- */

/* librbd has refused: somebody was faster, or cannot be asked. */
static int acquire_failure(struct image *image, int status, struct uds_message *message)
{
	struct owner owner;

	if ((status == -EROFS || status == -EBUSY) && find_owner(image, &owner) == 0 &&
	    owner.address[0] != '\0')
		return refuse_owner(image, &owner, message);
	return failure(message, status == -EROFS ? UDS_ERR_IN_USE : status,
		       "%s: the exclusive lock cannot be taken: %s", image->name,
		       status == -EROFS ? "somebody else has it" : uds_strerror(status));
}

int lock_take(struct image *image, struct uds_message *message)
{
	struct owner owner;
	int r;

	if ((image->features & RBD_FEATURE_EXCLUSIVE_LOCK) == 0)
		return failure(
			message, -EOPNOTSUPP,
			"%s: the image does not have the feature exclusive-lock, which keeps "
			"a second writer away: rbd feature enable POOL/IMAGE exclusive-lock",
			image->name);
	r = look_for_owner(image, &owner);
	if (r < 0)
		return owner_failure(image, r, message);
	if (owner.alive)
		return refuse_owner(image, &owner, message);
	if (owner.address[0] != '\0')
		env_log(&image->env, UDS_LOG_WARNING,
			"%s: the last writer, at %s, does not answer: waiting until Ceph has given "
			"it up",
			image->name, owner.address);
	r = rbd_lock_acquire(image->handle, RBD_LOCK_MODE_EXCLUSIVE);
	if (r < 0)
		return acquire_failure(image, r, message);
	atomic_store(&image->confirmed_ms, boot_ms());
	return 0;
}

/* ---- keeping it ---- */

int lock_lost(struct image *image, const char *why)
{
	if (!atomic_exchange(&image->lost, true))
		env_log(&image->env, UDS_LOG_ERROR,
			"%s: the exclusive lock is lost (%s): nothing is written any more",
			image->name, why);
	return -ESTALE;
}

static int confirm(struct image *image)
{
	uint64_t now = boot_ms();
	int is_ours = 0, r = rbd_is_exclusive_lock_owner(image->handle, &is_ours);

	if (r == -ESHUTDOWN)
		return lock_lost(image, "Ceph keeps this client out");
	if (r < 0)
		return r;
	if (is_ours == 0)
		return lock_lost(image, "it is not this client's any more");
	atomic_store(&image->confirmed_ms, now);
	return 0;
}

static bool is_confirmed(struct image *image)
{
	return boot_ms() - atomic_load(&image->confirmed_ms) < CONFIRMED_MS;
}

int lock_check(struct image *image)
{
	int r = 0;

	if (atomic_load(&image->lost))
		return -ESTALE;
	if (is_confirmed(image))
		return 0;
	/* One asks for all that wait. */
	pthread_mutex_lock(&image->confirm_lock);
	if (!is_confirmed(image))
		r = confirm(image);
	pthread_mutex_unlock(&image->confirm_lock);
	return atomic_load(&image->lost) ? -ESTALE : r;
}
