/* SPDX-License-Identifier: BSD-2-Clause */
/* A few threads around one list of requests. */
#include "io/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/env.h"

struct io_workers {
	struct uds_env env;
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned int users;
	bool stop;

	struct uds_io_request *first, *last; /* waiting, oldest first */
	unsigned int waiting;
	unsigned int idle; /* threads that wait for work, or are about to wake up for it */

	unsigned int most;
	unsigned int started;
	pthread_t threads[];
};

int io_workers_make(const struct uds_env *env, unsigned int threads,
		    struct io_workers **ret_workers)
{
	struct io_workers *workers =
		env_allocate_zeroed(env, 1, sizeof(*workers) + threads * sizeof(pthread_t));

	if (workers == NULL)
		return -ENOMEM;
	/* No thread is started yet: most engines find all their work done by the ring. */
	workers->env = *env;
	workers->most = threads;
	workers->users = 1;
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->more, NULL);
	*ret_workers = workers;
	return 0;
}

struct io_workers *io_workers_hold(struct io_workers *workers)
{
	pthread_mutex_lock(&workers->lock);
	workers->users++;
	pthread_mutex_unlock(&workers->lock);
	return workers;
}

void io_workers_release(struct io_workers *workers)
{
	struct uds_env env;
	bool last;

	if (workers == NULL)
		return;
	/* The last engine that used the threads ends them. */
	pthread_mutex_lock(&workers->lock);
	last = --workers->users == 0;
	if (last) {
		workers->stop = true;
		pthread_cond_broadcast(&workers->more);
	}
	pthread_mutex_unlock(&workers->lock);
	/*
	 * The threads are joined by the last user only; they may still finish what is on the list.
	 */
	if (!last)
		return;
	for (unsigned int i = 0; i < workers->started; i++)
		pthread_join(workers->threads[i], NULL);
	pthread_cond_destroy(&workers->more);
	pthread_mutex_destroy(&workers->lock);
	env = workers->env;
	env_release(&env, workers);
}

/* With the lock: the oldest request, or NULL. */
static struct uds_io_request *take(struct io_workers *workers)
{
	struct uds_io_request *request = workers->first;

	if (request != NULL) {
		/* @last is stale when the list becomes empty, and is not looked at then. */
		workers->first = request->next;
		workers->waiting--;
	}
	return request;
}

static void *work(void *argument)
{
	struct io_workers *workers = argument;

	pthread_mutex_lock(&workers->lock);
	for (;;) {
		struct uds_io_request *request = take(workers);

		if (request != NULL) {
			/* Carried out without the lock, which is all that the threads share. */
			pthread_mutex_unlock(&workers->lock);
			uds_io_request_complete(request, io_carry_out(request));
			pthread_mutex_lock(&workers->lock);
		} else if (workers->stop) {
			break;
		} else {
			workers->idle++;
			pthread_cond_wait(&workers->more, &workers->lock);
			workers->idle--;
		}
	}
	pthread_mutex_unlock(&workers->lock);
	return NULL;
}

/*
 * With the lock: starts as many threads as there is work for. Signals are for the
 * program's own threads.
 */
static void start_threads(struct io_workers *workers)
{
	sigset_t all, before;

	if (workers->idle >= workers->waiting || workers->started == workers->most)
		return;
	/* The new threads inherit the mask: no signal of the program is delivered to them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int wanted = workers->waiting - workers->idle;
	     wanted > 0 && workers->started < workers->most; wanted--) {
		/*
		 * Fewer threads than wanted are no failure while there is one, or the caller does
		 * it itself.
		 */
		if (pthread_create(&workers->threads[workers->started], NULL, work, workers) != 0)
			break;
		workers->started++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void carry_out_all(struct uds_io_request *request)
{
	while (request != NULL) {
		struct uds_io_request *next = request->next;

		uds_io_request_complete(request, io_carry_out(request));
		request = next;
	}
}

void io_workers_add(struct io_workers *workers, struct uds_io_request *first)
{
	struct uds_io_request *last = first;
	unsigned int count = 1;
	bool no_thread;

	for (; last->next != NULL; last = last->next)
		count++;
	pthread_mutex_lock(&workers->lock);
	if (workers->first == NULL)
		workers->first = first;
	else
		workers->last->next = first;
	workers->last = last;
	workers->waiting += count;
	start_threads(workers);
	no_thread = workers->started == 0;
	if (no_thread) { /* nothing else can be on the list */
		workers->first = NULL;
		workers->waiting = 0;
	}
	/* Not more than can be awake for it: the others would only look and sleep again. */
	for (unsigned int n = count < workers->idle ? count : workers->idle; n > 0; n--)
		pthread_cond_signal(&workers->more);
	pthread_mutex_unlock(&workers->lock);
	if (no_thread)
		carry_out_all(first);
}
