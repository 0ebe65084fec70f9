/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A few threads for one long piece of work, such as opening an index. The work is split into
 * shares, one for each member of the crew; the jobs of a member are carried out in the order in
 * which it got them, and one at a time. So what a member alone changes needs no lock, and does not
 * depend on how many threads there are.
 *
 * A member without a thread is no failure: its jobs are carried out by the thread that gives them.
 *
 * Threads: jobs are given and waited for by one thread, and by no job.
 */
#ifndef BASE_CREW_H
#define BASE_CREW_H

#include <stdbool.h>

#include <uds/env.h>
#include <uds/status.h>

/* More members than this are of little use: one thread reads for all of them. */
#define CREW_MOST 8u

struct crew;

/* Embedded in the caller's struct. All zero: not given. */
struct crew_job {
	void (*run)(struct crew_job *job);
	struct crew_job *next;
	bool waiting; /* given, and not known to be done; under the crew's lock */
};

/* How many processors the process may use, at most CREW_MOST. */
unsigned int crew_processors(void);

/*
 * Makes a crew of @members, 1 to CREW_MOST. For a single one no thread is started.
 *
 * Returns 0 or -ENOMEM.
 */
int crew_make(const struct uds_env *env, unsigned int members, struct crew **ret_crew);

/* Ends the threads. No job may be waiting. @crew may be NULL. */
void crew_free(struct crew *crew);

/* In all functions NULL is a crew of one member, without a thread. */
unsigned int crew_members(const struct crew *crew);

/* Gives a job to a member. Everything that was written before is seen by the job. */
void crew_give(struct crew *crew, unsigned int member, struct crew_job *job);

/*
 * Waits until a job is done, and sees everything that it wrote. Returns at once when it
 * was not given.
 */
void crew_wait(struct crew *crew, struct crew_job *job);

#endif
