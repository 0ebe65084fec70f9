/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known about holes: the answers of a server to where bytes read as zero, kept until
 * something is written.
 *
 * Threads: any number at once.
 */
#ifndef COMMON_EXTENTS_H
#define COMMON_EXTENTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>

#define EXTENTS 1024u

/* Whether bytes read as zero, for the ranges that follow each other from an offset on. */
struct extents {
	uint64_t offset;
	uint32_t count;
	struct {
		uint64_t length;
		bool zero;
	} entry[EXTENTS];
};

/*
 * Asks for extents from @offset on, or a little before it, up to somewhere behind it.
 *
 * Returns 0, or an error, which find_data of the I/O returns.
 */
typedef int (*ask_extents_fn)(void *context, uint64_t offset, struct extents *ret_extents);

struct known_extents {
	/* Counts changes of bytes, so that what is known can be forgotten. */
	atomic_uint_fast64_t changes;

	pthread_mutex_t lock;	 /* the next two */
	struct extents *extents; /* NULL: nothing is known */
	uint64_t as_of;		 /* changes */
};

void extents_init(struct known_extents *known);
void extents_free(struct known_extents *known, const struct uds_env *env);

/* A range changes: called before the server knows of it. */
static inline void extents_change(struct known_extents *known)
{
	atomic_fetch_add(&known->changes, 1);
}

/* find_data of the vtable of an I/O of @size bytes. */
int extents_find_data(struct known_extents *known, const struct uds_env *env, uint64_t size,
		      ask_extents_fn ask, void *context, uint64_t offset, uint64_t *ret_begin,
		      uint64_t *ret_end);

#endif
