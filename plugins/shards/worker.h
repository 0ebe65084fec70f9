/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread for each shard, and rounds of tasks: a caller gives tasks to several shards' workers,
 * does some itself, and waits for all. Tasks of one worker are done in the order in which they
 * came.
 *
 * A worker without a thread (there are no more of them, or none are wanted) is no failure: the
 * caller does its tasks.
 *
 * Threads: any number of rounds at once; no task waits for a round.
 */
#ifndef SHARDS_WORKER_H
#define SHARDS_WORKER_H

#include <pthread.h>
#include <stdbool.h>

/* The tasks that one caller waits for. */
struct round {
	pthread_mutex_t lock;
	pthread_cond_t done;
	unsigned int left;
};

/* Embedded in the caller's struct. */
struct task {
	void (*run)(struct task *task);
	struct task *next;
	struct round *round;
};

struct worker {
	pthread_mutex_t lock;
	pthread_cond_t more;
	pthread_t thread;
	bool has_thread;
	bool stop;
	struct task *first, *last;
};

void worker_start(struct worker *worker, bool with_thread);

/* No round has a task for it. */
void worker_end(struct worker *worker);

void round_start(struct round *round);
void round_give(struct round *round, struct worker *worker, struct task *task);

/* Waits until all tasks are done, and ends the round. */
void round_end(struct round *round);

#endif
