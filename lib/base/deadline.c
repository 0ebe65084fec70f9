/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/deadline.h"

#include <limits.h>
#include <stdint.h>

struct deadline deadline_after(int timeout_ms)
{
	struct deadline deadline = { .never = timeout_ms < 0 };

	if (deadline.never)
		return deadline;
	clock_gettime(CLOCK_MONOTONIC, &deadline.at);
	deadline.at.tv_sec += timeout_ms / 1000;
	deadline.at.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (deadline.at.tv_nsec >= 1000000000L) {
		deadline.at.tv_sec++;
		deadline.at.tv_nsec -= 1000000000L;
	}
	return deadline;
}

int deadline_remaining(const struct deadline *deadline)
{
	struct timespec now;
	int64_t ns;

	if (deadline->never)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = ((int64_t)deadline->at.tv_sec - now.tv_sec) * 1000000000 +
	     (deadline->at.tv_nsec - now.tv_nsec);
	if (ns <= 0)
		return 0;
	/* Upwards: a sleep that ends too early would be followed by another one of no time. */
	ns = (ns + 999999) / 1000000;
	return ns > INT_MAX ? INT_MAX : (int)ns;
}

bool deadline_is_over(const struct deadline *deadline)
{
	return !deadline->never && deadline_remaining(deadline) == 0;
}

void deadline_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

void deadline_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
		   const struct deadline *deadline)
{
	if (deadline->never)
		pthread_cond_wait(condition, lock);
	else
		pthread_cond_timedwait(condition, lock, &deadline->at);
}
