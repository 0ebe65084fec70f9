/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread of a shard, and its list of tasks. */
#include "shards/worker.h"

#include <signal.h>
#include <stddef.h>

static struct task *next_task(struct worker *worker)
{
	struct task *task;

	pthread_mutex_lock(&worker->lock);
	while (worker->first == NULL && !worker->stop)
		pthread_cond_wait(&worker->more, &worker->lock);
	task = worker->first;
	if (task != NULL)
		worker->first = task->next;
	pthread_mutex_unlock(&worker->lock);
	return task;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct task *task;

	while ((task = next_task(worker)) != NULL) {
		struct round *round = task->round;

		task->run(task);
		/* The task may be gone as soon as the round knows: only the round is used here. */
		pthread_mutex_lock(&round->lock);
		if (--round->left == 0)
			pthread_cond_signal(&round->done);
		pthread_mutex_unlock(&round->lock);
	}
	return NULL;
}

void worker_start(struct worker *worker, bool with_thread)
{
	sigset_t all, before;

	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->more, NULL);
	worker->first = worker->last = NULL;
	worker->stop = false;
	worker->has_thread = false;
	if (!with_thread)
		return;
	/* Signals are for the program's own threads: the new one inherits a mask of all of them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	worker->has_thread = pthread_create(&worker->thread, NULL, work, worker) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void worker_end(struct worker *worker)
{
	if (worker->has_thread) {
		pthread_mutex_lock(&worker->lock);
		worker->stop = true;
		pthread_cond_signal(&worker->more);
		pthread_mutex_unlock(&worker->lock);
		pthread_join(worker->thread, NULL);
	}
	pthread_cond_destroy(&worker->more);
	pthread_mutex_destroy(&worker->lock);
}

void round_start(struct round *round)
{
	pthread_mutex_init(&round->lock, NULL);
	pthread_cond_init(&round->done, NULL);
	round->left = 0;
}

void round_give(struct round *round, struct worker *worker, struct task *task)
{
	if (!worker->has_thread) {
		task->run(task);
		return;
	}
	task->round = round;
	task->next = NULL;
	pthread_mutex_lock(&round->lock);
	round->left++;
	pthread_mutex_unlock(&round->lock);
	pthread_mutex_lock(&worker->lock);
	if (worker->first == NULL)
		worker->first = task;
	else
		worker->last->next = task;
	worker->last = task;
	pthread_cond_signal(&worker->more);
	pthread_mutex_unlock(&worker->lock);
}

void round_end(struct round *round)
{
	pthread_mutex_lock(&round->lock);
	while (round->left > 0)
		pthread_cond_wait(&round->done, &round->lock);
	pthread_mutex_unlock(&round->lock);
	pthread_cond_destroy(&round->done);
	pthread_mutex_destroy(&round->lock);
}
