/* SPDX-License-Identifier: BSD-2-Clause */
/* The members of a crew, and their lists of jobs. */
#include "base/crew.h"

#include <errno.h>
#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#endif
#include <signal.h>
#include <unistd.h>

#include "base/env.h"

struct member {
	struct crew *crew;
	pthread_t thread;
	pthread_cond_t more;
	bool has_thread;
	struct crew_job *first, *last; /* oldest first */
};

struct crew {
	struct uds_env env;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool stop;
	unsigned int count;
	struct member members[CREW_MOST];
};

unsigned int crew_processors(void)
{
	long count = 0;
#ifdef __linux__
	cpu_set_t set;

	/* What the process may use, which is less than what is there in many containers. */
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		count = CPU_COUNT(&set);
#endif
	if (count < 1)
		count = sysconf(_SC_NPROCESSORS_ONLN);
	if (count < 1)
		return 1;
	return count < (long)CREW_MOST ? (unsigned int)count : CREW_MOST;
}

static void *work(void *argument)
{
	struct member *member = argument;
	struct crew *crew = member->crew;

	pthread_mutex_lock(&crew->lock);
	for (;;) {
		struct crew_job *job = member->first;

		if (job != NULL) {
			member->first = job->next;
			pthread_mutex_unlock(&crew->lock);
			job->run(job);
			pthread_mutex_lock(&crew->lock);
			job->waiting = false;
			pthread_cond_signal(&crew->done);
		} else if (crew->stop) {
			break;
		} else {
			pthread_cond_wait(&member->more, &crew->lock);
		}
	}
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

/* Signals are for the program's own threads: the new ones inherit a mask of all of them. */
static void start_threads(struct crew *crew)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int i = 0; i < crew->count; i++) {
		struct member *member = &crew->members[i];

		member->has_thread = pthread_create(&member->thread, NULL, work, member) == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int crew_make(const struct uds_env *env, unsigned int members, struct crew **ret_crew)
{
	struct crew *crew = env_allocate_zeroed(env, 1, sizeof(*crew));

	if (crew == NULL)
		return -ENOMEM;
	crew->env = *env;
	crew->count = members;
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->done, NULL);
	for (unsigned int i = 0; i < members; i++) {
		crew->members[i].crew = crew;
		pthread_cond_init(&crew->members[i].more, NULL);
	}
	if (members > 1)
		start_threads(crew);
	*ret_crew = crew;
	return 0;
}

void crew_free(struct crew *crew)
{
	struct uds_env env;

	if (crew == NULL)
		return;
	pthread_mutex_lock(&crew->lock);
	crew->stop = true;
	for (unsigned int i = 0; i < crew->count; i++)
		pthread_cond_signal(&crew->members[i].more);
	pthread_mutex_unlock(&crew->lock);
	for (unsigned int i = 0; i < crew->count; i++) {
		if (crew->members[i].has_thread)
			pthread_join(crew->members[i].thread, NULL);
		pthread_cond_destroy(&crew->members[i].more);
	}
	pthread_cond_destroy(&crew->done);
	pthread_mutex_destroy(&crew->lock);
	env = crew->env;
	env_release(&env, crew);
}

unsigned int crew_members(const struct crew *crew)
{
	return crew == NULL ? 1 : crew->count;
}

void crew_give(struct crew *crew, unsigned int number, struct crew_job *job)
{
	struct member *member;

	if (crew == NULL || !crew->members[number].has_thread) {
		job->run(job);
		return;
	}
	member = &crew->members[number];
	pthread_mutex_lock(&crew->lock);
	job->next = NULL;
	job->waiting = true;
	if (member->first == NULL)
		member->first = job;
	else
		member->last->next = job;
	member->last = job;
	pthread_cond_signal(&member->more);
	pthread_mutex_unlock(&crew->lock);
}

void crew_wait(struct crew *crew, struct crew_job *job)
{
	if (crew == NULL)
		return;
	pthread_mutex_lock(&crew->lock);
	while (job->waiting)
		pthread_cond_wait(&crew->done, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
}
