/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that want the same done: each has what it asked for, or the error, of a leader
 * that began later.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "check_main.h"
#include "index/flush_group.h"
#include "scale.h"

#define THREADS 8u

static struct {
	struct flush_group group;
	_Atomic uint64_t asked; /* the last number that was given to a call */
	_Atomic uint64_t durable;
	_Atomic unsigned int leading;
	_Atomic uint64_t led;
	uint64_t fail_each; /* 0: none */
} f;

static void begin(uint64_t fail_each)
{
	memset(&f, 0, sizeof(f));
	f.fail_each = fail_each;
	flush_group_make(&f.group);
}

static void end(void)
{
	ck_assert(!f.group.leading);
	ck_assert_ptr_null(f.group.waiters);
	ck_assert_uint_eq(f.group.waiting, 0);
	flush_group_free(&f.group);
}

static int lead(void *context, struct uds_message *message)
{
	uint64_t asked = f.asked, led = ++f.led;

	(void)context;
	/* One at a time. */
	ck_assert_uint_eq(f.leading++, 0);
	sched_yield();
	f.leading--;
	if (f.fail_each > 0 && led % f.fail_each == 0)
		return failure(message, UDS_ERR_CORRUPT, "number %d", (int)led);
	f.durable = asked;
	return 0;
}

static void *ask(void *context)
{
	uint64_t count = test_scaled(4000);

	(void)context;
	for (uint64_t i = 0; i < count; i++) {
		struct uds_message message = { "" };
		uint64_t mine = ++f.asked;
		int r = flush_group_run(&f.group, lead, NULL, &message);

		if (r == 0)
			ck_assert_uint_ge(f.durable, mine);
		else
			ck_assert_int_eq(strncmp(message.text, "number ", 7), 0);
		ck_assert(r == 0 || (r == UDS_ERR_CORRUPT && f.fail_each > 0));
		/* Some come back at once, some do not. */
		if (i % 16 == 0)
			sched_yield();
	}
	return NULL;
}

/* @_i: whether some fail. */
START_TEST(each_call_has_what_was_done_after_it_began)
{
	pthread_t threads[THREADS];

	begin(_i == 0 ? 0 : 5);
	for (unsigned int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask, NULL), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_le(f.led, THREADS * test_scaled(4000));
	end();
}
END_TEST

/* Who was waited for in vain is not waited for again and again. */
START_TEST(a_leader_does_not_wait_for_those_that_do_not_come)
{
	struct uds_message message;
	unsigned int waits = 0;

	begin(0);
	for (unsigned int i = 0; i < 10000; i++) {
		uint32_t in_vain = f.group.in_vain;

		/* As after a flush of two calls that took 2 us. */
		f.group.expected = 1;
		f.group.took_ns = 2000;
		ck_assert_int_eq(flush_group_run(&f.group, lead, NULL, &message), 0);
		ck_assert_uint_eq(f.group.expected, 0);
		waits += f.group.in_vain != in_vain || f.group.to_leave == 256;
	}
	/* After 2, 4, ... 256, and then after each 256 that did not. */
	ck_assert_uint_ge(waits, 8);
	ck_assert_uint_le(waits, 8 + 10000 / 256);
	end();
}
END_TEST

/* With nobody to come a leader does not wait at all. */
START_TEST(a_leader_alone_does_not_wait)
{
	struct uds_message message;

	begin(0);
	for (unsigned int i = 0; i < 1000; i++) {
		f.group.took_ns = UINT64_MAX;
		ck_assert_int_eq(flush_group_run(&f.group, lead, NULL, &message), 0);
	}
	ck_assert_uint_eq(f.group.in_vain, 0);
	ck_assert_uint_eq(f.led, 1000);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flush group");
	TCase *tcase = tcase_create("flush group");

	tcase_add_loop_test(tcase, each_call_has_what_was_done_after_it_began, 0, 2);
	tcase_add_test(tcase, a_leader_does_not_wait_for_those_that_do_not_come);
	tcase_add_test(tcase, a_leader_alone_does_not_wait);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
