/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of a ring's registered files. */
#include "io/ring_files.h"

#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/env.h"

/* Files of one ring; those that come later have none. */
#define SLOTS 64

struct ring_slot {
	struct ring_files *files;
	_Atomic(struct ring_slots *) owner; /* NULL: the slot is free */
	struct ring_slot *next;		    /* of the owner; with the owner's lock */
};

struct ring_files {
	struct uds_env env;
	pthread_mutex_t lock; /* everything below, but that owners are read without */
	pthread_cond_t left;  /* a slot became free */
	struct io_uring *ring;
	pid_t process;	  /* a child closes its copies of files, not the ring's */
	atomic_uint used; /* slots from here on were never taken */
	bool refused;	  /* one by the kernel: no more are tried */
	struct ring_slot slots[SLOTS];
};

void ring_slots_init(struct ring_slots *slots)
{
	pthread_mutex_init(&slots->lock, NULL);
	slots->first = NULL;
}

/*
 * Linux lets go of a file that is taken out of a ring at once since 6.13. Before, it may stay open,
 * with its locks, until other requests of the ring are done, or for a second.
 */
static bool kernel_lets_go(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname system;

	return uname(&system) == 0 && sscanf(system.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 13));
}

int ring_files_make(const struct uds_env *env, struct io_uring *ring, struct ring_files **ret_files)
{
	struct ring_files *files;

	*ret_files = NULL;
	if (!kernel_lets_go() || io_uring_register_files_sparse(ring, SLOTS) < 0)
		return 0;
	files = env_allocate_zeroed(env, 1, sizeof(*files));
	if (files == NULL)
		return -ENOMEM;
	files->env = *env;
	files->ring = ring;
	files->process = getpid();
	pthread_mutex_init(&files->lock, NULL);
	pthread_cond_init(&files->left, NULL);
	*ret_files = files;
	return 0;
}

/*
 * With the table's lock: takes a slot off its owner's list. False when it is not there: its owner
 * is closing and waits for the lock.
 */
static bool unlink_slot(struct ring_slots *owner, const struct ring_slot *slot)
{
	struct ring_slot **at = &owner->first;
	bool found;

	pthread_mutex_lock(&owner->lock);
	while (*at != NULL && *at != slot)
		at = &(*at)->next;
	found = *at != NULL;
	if (found)
		*at = slot->next;
	pthread_mutex_unlock(&owner->lock);
	return found;
}

void ring_files_free(struct ring_files *files)
{
	struct uds_env env;

	if (files == NULL)
		return;
	pthread_mutex_lock(&files->lock);
	for (struct ring_slot *slot = files->slots; slot < files->slots + SLOTS; slot++) {
		/* With the lock: an owner that is named here is still there. */
		if (atomic_load(&slot->owner) != NULL && unlink_slot(slot->owner, slot))
			atomic_store(&slot->owner, NULL);
		while (atomic_load(&slot->owner) != NULL)
			pthread_cond_wait(&files->left, &files->lock);
	}
	/* Closing the ring alone would let go of the files later, in the background. */
	(void)io_uring_unregister_files(files->ring);
	pthread_mutex_unlock(&files->lock);
	env = files->env;
	pthread_cond_destroy(&files->left);
	pthread_mutex_destroy(&files->lock);
	env_release(&env, files);
}

/* With the table's lock: the kernel and the file get a free slot. Returns its number, or -1. */
static int take(struct ring_files *files, struct ring_slots *owner, int fd)
{
	struct ring_slot *slot = files->slots;

	while (slot < files->slots + SLOTS && atomic_load(&slot->owner) != NULL)
		slot++;
	if (slot == files->slots + SLOTS)
		return -1;
	files->refused = io_uring_register_files_update(
				 files->ring, (unsigned int)(slot - files->slots), &fd, 1) != 1;
	if (files->refused)
		return -1;
	slot->files = files;
	/* Last, when the kernel has the file: from now on the slot is found without the lock. */
	atomic_store(&slot->owner, owner);
	if (slot >= files->slots + atomic_load(&files->used))
		atomic_fetch_add(&files->used, 1);
	pthread_mutex_lock(&owner->lock);
	slot->next = owner->first;
	owner->first = slot;
	pthread_mutex_unlock(&owner->lock);
	return (int)(slot - files->slots);
}

int ring_files_slot(struct ring_files *files, struct ring_slots *slots, int fd)
{
	unsigned int used;
	int n;

	if (files == NULL)
		return -1;
	/* This file's slot cannot change meanwhile: it is not being closed. */
	used = atomic_load(&files->used);
	for (unsigned int i = 0; i < used; i++) {
		if (atomic_load_explicit(&files->slots[i].owner, memory_order_relaxed) == slots)
			return (int)i;
	}
	pthread_mutex_lock(&files->lock);
	n = files->refused ? -1 : take(files, slots, fd);
	pthread_mutex_unlock(&files->lock);
	return n;
}

static struct ring_slot *pop(struct ring_slots *slots)
{
	struct ring_slot *slot;

	pthread_mutex_lock(&slots->lock);
	slot = slots->first;
	if (slot != NULL)
		slots->first = slot->next;
	pthread_mutex_unlock(&slots->lock);
	return slot;
}

void ring_slots_end(struct ring_slots *slots)
{
	struct ring_slot *slot;
	int none = -1;

	while ((slot = pop(slots)) != NULL) {
		struct ring_files *files = slot->files;

		/* Not under the owner's lock, which comes after that of a table (unlink_slot()). */
		pthread_mutex_lock(&files->lock);
		/*
		 * After a fork the child shares the ring, and would take the file from its parent.
		 */
		if (files->process == getpid())
			(void)io_uring_register_files_update(
				files->ring, (unsigned int)(slot - files->slots), &none, 1);
		atomic_store(&slot->owner, NULL);
		pthread_cond_broadcast(&files->left);
		pthread_mutex_unlock(&files->lock);
	}
	pthread_mutex_destroy(&slots->lock);
}
