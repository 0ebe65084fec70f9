/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads of plugins, and of the libraries that they stand on, leave signals to the threads of the
 * program: one is started with all of them blocked.
 */
#ifndef COMMON_SIGNALS_H
#define COMMON_SIGNALS_H

#include <pthread.h>
#include <signal.h>

static inline void signals_block(sigset_t *ret_before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

static inline void signals_restore(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* As pthread_create(). Returns 0 or a negated errno. */
static inline int start_quiet_thread(pthread_t *ret_thread, void *(*run)(void *context),
				     void *context)
{
	sigset_t before;
	int r;

	signals_block(&before);
	r = pthread_create(ret_thread, NULL, run, context);
	signals_restore(&before);
	return -r;
}

#endif
