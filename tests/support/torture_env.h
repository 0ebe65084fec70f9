/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An environment whose allocator fails when the test says so, and knows what was not given back.
 *
 *	struct torture_env torture;
 *
 *	torture_env_start(&torture);
 *	torture_env_fail_at(&torture, 3, false);     the third allocation from now on fails
 *	r = uds_thing_open(..., &torture.env, &thing);
 *	ck_assert_int_eq(r, -ENOMEM);
 *	torture_env_end(&torture);                   fails the test when anything is still allocated
 *
 * or, for all of them in turn, torture_each_allocation(). New memory is filled with a pattern, so
 * that code that takes it for zeroes is found, and is aligned as asked for and no better; releasing
 * what did not come from here, or what was written behind its end, ends the test.
 *
 * Threads: the environment may be used by any number; the control functions by one, while no other
 * allocates where the exact count matters.
 */
#ifndef TESTS_TORTURE_ENV_H
#define TESTS_TORTURE_ENV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>

struct torture_env {
	struct uds_env env; /* give &torture.env to the library; set env.log, env.now_ms freely */
	_Atomic uint64_t count;	  /* allocations asked for since torture_env_fail_at */
	_Atomic uint64_t live;	  /* allocations not yet released */
	_Atomic uint64_t bytes;	  /* in those */
	_Atomic uint64_t peak;	  /* the most bytes there ever were */
	_Atomic uint64_t failed;  /* allocations that were made to fail since torture_env_fail_at */
	_Atomic uint64_t fail_at; /* 1: the next; 0: none */
	_Atomic bool and_after;	  /* all later ones too */
	_Atomic uint64_t times;	  /* without and_after: so many in a row; 1 unless set later */
};

void torture_env_start(struct torture_env *torture);

/*
 * One for the whole program that never fails: for tests that want what is written outside of memory
 * to be found, and nothing else.
 */
const struct uds_env *guarded_env(void);

/* The @nth allocation from now fails (1: the next, 0: none), with @and_after all later ones too. */
void torture_env_fail_at(struct torture_env *torture, uint64_t nth, bool and_after);

/* Checks that nothing is left. */
void torture_env_end(struct torture_env *torture);

/*
 * Runs @work again and again, each time with another allocation failing, until one run meets no
 * failure. After each run nothing may be left allocated. A run that met a failure must return
 * -ENOMEM, or 0 where @may_succeed says that the work can do without some memory; the run that met
 * none must return 0. Each is done for a single failure and for failure from then on. With a small
 * UDS_TEST_SCALE a part of them is taken (test_next()).
 *
 * @work must give all it made back before it returns, whatever it returns.
 *
 * Returns how many allocations the good run made.
 */
uint64_t torture_each_allocation(int (*work)(const struct uds_env *env, void *context),
				 void *context, bool may_succeed);

#endif
