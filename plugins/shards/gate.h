/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lets calls pass, many at once, and is closed for a moment while the shards change places.
 * Unlike a lock for readers and writers of the C library, closing it never waits for calls that
 * came later.
 */
#ifndef SHARDS_GATE_H
#define SHARDS_GATE_H

#include <pthread.h>
#include <stdbool.h>

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned long inside;
	bool closed;
};

static inline void gate_make(struct gate *gate)
{
	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->changed, NULL);
	gate->inside = 0;
	gate->closed = false;
}

static inline void gate_free(struct gate *gate)
{
	pthread_cond_destroy(&gate->changed);
	pthread_mutex_destroy(&gate->lock);
}

static inline void gate_enter(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->closed)
		pthread_cond_wait(&gate->changed, &gate->lock);
	gate->inside++;
	pthread_mutex_unlock(&gate->lock);
}

static inline void gate_leave(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	if (--gate->inside == 0 && gate->closed)
		pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

/* Waits until no call is inside. One thread at a time. */
static inline void gate_close(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->closed = true;
	while (gate->inside > 0)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static inline void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->closed = false;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

#endif
