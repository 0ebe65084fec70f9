/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A few threads for one long piece of work: every job once, those of a member in order, with
 * and without threads.
 */
#ifdef __linux__
#include <sched.h>
#endif
#include <pthread.h>
#include <stdatomic.h>

#include "base/crew.h"
#include "base/env.h"
#include "check_main.h"
#include "torture_env.h"

#define JOBS 200

struct counted_job {
	struct crew_job job;
	unsigned int *last; /* of the member: not atomic, as only one job of it runs at a time */
	unsigned int number;
	unsigned int runs;
	pthread_t thread;
};

static void run_counted(struct crew_job *job)
{
	struct counted_job *counted = (struct counted_job *)job;

	ck_assert_uint_eq(*counted->last, counted->number);
	*counted->last = counted->number + 1;
	counted->runs++;
	counted->thread = pthread_self();
}

static struct crew *make_crew(unsigned int members)
{
	struct crew *crew = NULL;
	struct uds_env env;

	ck_assert_int_eq(env_complete(NULL, &env), 0);
	ck_assert_int_eq(crew_make(&env, members, &crew), 0);
	ck_assert_uint_eq(crew_members(crew), members);
	return crew;
}

/* Gives every member JOBS jobs in turn, and looks at them afterwards. */
static void work_through(struct crew *crew, bool in_threads)
{
	static struct counted_job jobs[CREW_MOST][JOBS];
	const unsigned int members = crew_members(crew);
	unsigned int last[CREW_MOST] = { 0 };

	for (unsigned int n = 0; n < JOBS; n++) {
		for (unsigned int i = 0; i < members; i++) {
			jobs[i][n] = (struct counted_job){ .last = &last[i], .number = n };
			jobs[i][n].job.run = run_counted;
			crew_give(crew, i, &jobs[i][n].job);
		}
	}
	for (unsigned int i = 0; i < members; i++)
		crew_wait(crew, &jobs[i][JOBS - 1].job);
	for (unsigned int i = 0; i < members; i++) {
		ck_assert_uint_eq(last[i], JOBS);
		for (unsigned int n = 0; n < JOBS; n++) {
			ck_assert_uint_eq(jobs[i][n].runs, 1);
			ck_assert((pthread_equal(jobs[i][n].thread, pthread_self()) == 0) ==
				  in_threads);
		}
	}
}

START_TEST(every_job_is_done_once_and_in_order)
{
	struct crew *crew = make_crew((unsigned int)_i);

	work_through(crew, _i > 1);
	work_through(crew, _i > 1);
	crew_free(crew);
}
END_TEST

START_TEST(without_a_crew_jobs_are_done_at_once)
{
	struct crew_job never_given = { 0 };

	ck_assert_uint_eq(crew_members(NULL), 1);
	work_through(NULL, false);
	crew_wait(NULL, &never_given);
	crew_free(NULL);
}
END_TEST

START_TEST(a_job_that_was_not_given_is_not_waited_for)
{
	struct crew *crew = make_crew(3);
	struct crew_job never_given = { 0 };

	crew_wait(crew, &never_given);
	crew_free(crew);
}
END_TEST

#ifdef __GLIBC__
START_TEST(members_without_a_thread_work_all_the_same)
{
	pthread_attr_t usual, huge;
	struct crew *crew;

	/* No address space for such a stack, on machines of 32 bits too. */
	ck_assert_int_eq(pthread_getattr_default_np(&usual), 0);
	ck_assert_int_eq(pthread_attr_init(&huge), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&huge, SIZE_MAX / 8 * 7 & ~(size_t)0xfffff), 0);
	ck_assert_int_eq(pthread_setattr_default_np(&huge), 0);
	crew = make_crew(4);
	ck_assert_int_eq(pthread_setattr_default_np(&usual), 0);
	work_through(crew, false);
	crew_free(crew);
	pthread_attr_destroy(&huge);
	pthread_attr_destroy(&usual);
}
END_TEST
#endif

static int make_and_free(const struct uds_env *given, void *context)
{
	struct crew *crew = NULL;
	struct uds_env env;
	int r;

	(void)context;
	ck_assert_int_eq(env_complete(given, &env), 0);
	r = crew_make(&env, 3, &crew);
	crew_free(crew);
	return r;
}

START_TEST(no_memory_for_a_crew_is_said)
{
	torture_each_allocation(make_and_free, NULL, false);
}
END_TEST

#ifdef __linux__
START_TEST(a_crew_is_as_large_as_what_the_process_may_use)
{
	cpu_set_t all, one;
	int cpu = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	ck_assert_uint_eq(crew_processors(), (unsigned int)CPU_COUNT(&all) < CREW_MOST
						     ? (unsigned int)CPU_COUNT(&all)
						     : CREW_MOST);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	ck_assert_uint_eq(crew_processors(), 1);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(all), &all), 0);
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("crew");
	TCase *tc = tcase_create("crew");

	tcase_add_loop_test(tc, every_job_is_done_once_and_in_order, 1, CREW_MOST + 1);
	tcase_add_test(tc, without_a_crew_jobs_are_done_at_once);
	tcase_add_test(tc, a_job_that_was_not_given_is_not_waited_for);
#ifdef __GLIBC__
	tcase_add_test(tc, members_without_a_thread_work_all_the_same);
#endif
	tcase_add_test(tc, no_memory_for_a_crew_is_said);
#ifdef __linux__
	tcase_add_test(tc, a_crew_is_as_large_as_what_the_process_may_use);
#endif
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
