/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Committing beside copying: flushes take their time, in which the next group can be copied
 * already. That is safe, because until its own commit a copied chunk still has its exception, and
 * the origin is not read.
 */
#include "snapshot/merge_committer.h"

#include <errno.h>

#include "base/env.h"
#include "base/message.h"

struct merge_committer {
	struct uds_snapshot *s;
	struct uds_io_engine *engine;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct merge_group *group; /* being committed */
	bool quit;
	int status;
	struct uds_message message;
	uint64_t entries;
	uint64_t rounds;
};

static void *run(void *argument)
{
	struct merge_committer *c = argument;
	uint64_t entries, rounds;
	int r;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		while (c->group == NULL && !c->quit)
			pthread_cond_wait(&c->changed, &c->lock);
		if (c->group == NULL)
			break;
		/* Without the lock: flushes take long, and the other thread asks for progress. */
		pthread_mutex_unlock(&c->lock);
		r = merge_group_commit(c->group, c->s, c->engine, &entries, &rounds, &c->message);
		/*
		 * Also after a failure: the exceptions are still there, and writers go where the
		 * chunks live.
		 */
		origin_unclaim(c->s->origin, &c->group->claim);
		pthread_mutex_lock(&c->lock);
		c->entries += entries;
		c->rounds += rounds;
		/* Never over a failure: after one, no other group is taken. */
		c->status = r;
		c->group = NULL;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static void release(struct merge_committer *c)
{
	struct uds_env env = c->s->env;

	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	env_release(&env, c);
}

int merge_committer_start(struct uds_snapshot *s, struct uds_io_engine *engine,
			  struct merge_committer **ret_committer)
{
	struct merge_committer *c = env_allocate_zeroed(&s->env, 1, sizeof(*c));
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->s = s;
	c->engine = engine;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	r = pthread_create(&c->thread, NULL, run, c);
	if (r != 0) {
		release(c);
		return -r;
	}
	*ret_committer = c;
	return 0;
}

/* With the lock: waits for the group in work; the first error so far. */
static int wait_idle(struct merge_committer *c, struct uds_message *message)
{
	while (c->group != NULL)
		pthread_cond_wait(&c->changed, &c->lock);
	if (c->status < 0)
		*message = c->message;
	return c->status;
}

int merge_committer_hand_over(struct merge_committer *c, struct merge_group *group,
			      struct uds_message *message)
{
	int r;

	pthread_mutex_lock(&c->lock);
	/* One group at a time: areas are taken off from the highest down. */
	r = wait_idle(c, message);
	if (r == 0) {
		c->group = group;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

void merge_committer_progress(struct merge_committer *c, uint64_t *ret_entries,
			      uint64_t *ret_rounds)
{
	pthread_mutex_lock(&c->lock);
	*ret_entries = c->entries;
	*ret_rounds = c->rounds;
	pthread_mutex_unlock(&c->lock);
}

int merge_committer_finish(struct merge_committer *c, uint64_t *ret_entries, uint64_t *ret_rounds,
			   struct uds_message *message)
{
	int r;

	pthread_mutex_lock(&c->lock);
	/* The last group is committed before the thread ends: it was copied already. */
	r = wait_idle(c, message);
	c->quit = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	*ret_entries = c->entries;
	*ret_rounds = c->rounds;
	release(c);
	return r;
}
