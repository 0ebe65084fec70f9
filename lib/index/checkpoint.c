/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread that saves in the background. */
#include "index/checkpoint.h"

#include <errno.h>

#include "base/message.h"
#include "index/save.h"

struct index_checkpointer {
	struct uds_index *index;
	uint32_t interval; /* chapters */
	pthread_t thread;
	atomic_bool stop_save; /* the one that is running */

	pthread_mutex_t lock; /* may be taken under zone locks, and no lock under it */
	pthread_cond_t changed;
	bool due;
	bool stop;   /* the thread is to end */
	bool failed; /* the last save did */
	uint64_t made, failures;
};

static void chapter_closed(struct uds_index *index)
{
	struct index_checkpointer *checkpointer = index->checkpointer;

	if (index->newest < index->saved_chapter + checkpointer->interval)
		return;
	/* All zone locks are held, and a save takes them itself: it is left to the thread. */
	pthread_mutex_lock(&checkpointer->lock);
	checkpointer->due = true;
	pthread_cond_signal(&checkpointer->changed);
	pthread_mutex_unlock(&checkpointer->lock);
}

/* One that was asked for may have come first. */
static bool is_due(const struct index_checkpointer *checkpointer)
{
	const struct uds_index *index = checkpointer->index;
	bool due;

	/* Both numbers change under all zone locks only: any one of them is enough. */
	pthread_mutex_lock(&index->zones[0].lock);
	due = index->newest >= index->saved_chapter + checkpointer->interval;
	pthread_mutex_unlock(&index->zones[0].lock);
	return due;
}

static int stop_save(void *context, uint64_t done, uint64_t total)
{
	const struct index_checkpointer *checkpointer = context;

	(void)done;
	(void)total;
	return atomic_load(&checkpointer->stop_save) ? 1 : 0;
}

static void note_failure(struct index_checkpointer *checkpointer)
{
	struct uds_index *index = checkpointer->index;
	struct uds_message message = { "" };
	bool first;

	pthread_mutex_lock(&checkpointer->lock);
	first = !checkpointer->failed;
	checkpointer->failed = true;
	checkpointer->failures++;
	pthread_mutex_unlock(&checkpointer->lock);
	failures_get(index->failures, &message);
	/* A device that is gone would fill the log, with one line for each chapter. */
	if (first)
		env_log(&index->env, UDS_LOG_WARNING,
			"%.440s; saving in the background failed, and is tried again",
			message.text);
}

static void save(struct index_checkpointer *checkpointer)
{
	struct uds_index *index = checkpointer->index;
	int r;

	if (!is_due(checkpointer))
		return;
	failures_begin(index->failures);
	/* Requests go on meanwhile: the other processors are theirs. */
	r = index_end(index, index_save(index, 1, stop_save, checkpointer), "saving");
	/* By checkpointer_free(): neither a save nor a failure. */
	if (r == UDS_ERR_STOPPED)
		return;
	if (r < 0) {
		note_failure(checkpointer);
		return;
	}
	pthread_mutex_lock(&checkpointer->lock);
	checkpointer->failed = false;
	checkpointer->made++;
	pthread_mutex_unlock(&checkpointer->lock);
}

static void *run(void *context)
{
	struct index_checkpointer *checkpointer = context;

	pthread_mutex_lock(&checkpointer->lock);
	while (!checkpointer->stop) {
		if (!checkpointer->due) {
			pthread_cond_wait(&checkpointer->changed, &checkpointer->lock);
			continue;
		}
		checkpointer->due = false;
		pthread_mutex_unlock(&checkpointer->lock);
		/*
		 * Without the lock: a thread that closes a chapter takes it under the zone locks
		 * that a save needs.
		 */
		save(checkpointer);
		pthread_mutex_lock(&checkpointer->lock);
	}
	pthread_mutex_unlock(&checkpointer->lock);
	return NULL;
}

static void release(struct uds_index *index)
{
	index->chapter_closed = NULL;
	pthread_cond_destroy(&index->checkpointer->changed);
	pthread_mutex_destroy(&index->checkpointer->lock);
	env_release(&index->env, index->checkpointer);
	index->checkpointer = NULL;
}

int checkpointer_make(struct uds_index *index, uint32_t interval)
{
	struct index_checkpointer *checkpointer;
	int r;

	if (interval == 0 || index->read_only || !index->layout.extras.present)
		return 0;
	checkpointer = env_allocate_zeroed(&index->env, 1, sizeof(*checkpointer));
	if (checkpointer == NULL)
		return -ENOMEM;
	checkpointer->index = index;
	checkpointer->interval = interval;
	pthread_mutex_init(&checkpointer->lock, NULL);
	pthread_cond_init(&checkpointer->changed, NULL);
	index->checkpointer = checkpointer;
	index->chapter_closed = chapter_closed;
	r = -pthread_create(&checkpointer->thread, NULL, run, checkpointer);
	if (r < 0)
		release(index);
	return r;
}

void checkpointer_free(struct uds_index *index)
{
	struct index_checkpointer *checkpointer = index->checkpointer;

	if (checkpointer == NULL)
		return;
	pthread_mutex_lock(&checkpointer->lock);
	atomic_store(&checkpointer->stop_save, true);
	checkpointer->stop = true;
	pthread_cond_signal(&checkpointer->changed);
	pthread_mutex_unlock(&checkpointer->lock);
	pthread_join(checkpointer->thread, NULL);
	release(index);
}

uint64_t checkpointer_count(const struct uds_index *index, uint64_t *ret_failed)
{
	struct index_checkpointer *checkpointer = index->checkpointer;
	uint64_t made;

	*ret_failed = 0;
	if (checkpointer == NULL)
		return 0;
	pthread_mutex_lock(&checkpointer->lock);
	made = checkpointer->made;
	*ret_failed = checkpointer->failures;
	pthread_mutex_unlock(&checkpointer->lock);
	return made;
}
