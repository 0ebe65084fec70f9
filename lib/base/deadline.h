/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting for at most so long, by a clock that is never set.
 *
 * Threads: any.
 */
#ifndef BASE_DEADLINE_H
#define BASE_DEADLINE_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* When to stop waiting. */
struct deadline {
	bool never;
	struct timespec at; /* CLOCK_MONOTONIC */
};

/* Milliseconds from now; negative: never. */
struct deadline deadline_after(int timeout_ms);

bool deadline_is_over(const struct deadline *deadline);

/* Milliseconds from now, rounded up; -1: there is no end. */
int deadline_remaining(const struct deadline *deadline);

/* For deadline_wait(). */
void deadline_condition_init(pthread_cond_t *condition);

/* Waits for the condition, until the deadline at most. The lock is held. */
void deadline_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
		   const struct deadline *deadline);

#endif
