/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failing calls in every scenario (tests/support/scenario.h): the k-th allocation, read, write or
 * flush fails, once, twice or for good, with -EIO, -ENOSPC or -EAGAIN in turn; for each k up to how
 * many a life without a failure makes, or, where all are taken, until a life meets none. Then
 * another one fails while everything is opened again.
 *
 * After each failure: the call that met it says so with that status and a sentence, nothing leaks,
 * nothing hangs, what is open answers right, what is opened again has what was promised, goes on,
 * and is whole; and a power cut instead leaves what was promised, too.
 *
 * A quick run takes every so many k, from another one for each seed: UDS_TEST_SCALE takes so many
 * times as many, and all of them from 20 on. UDS_SCENARIO and UDS_SCENARIO_SEED run one scenario
 * alone, and another seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "scenario.h"

#define TRIES	8
#define SECONDS 120 /* after so long it hangs */

enum call { ALLOCATION, READ, WRITE, FLUSH, CALLS };

static const struct {
	const char *name;
	unsigned int kind; /* of a plan; 0: memory */
} calls[] = {
	[ALLOCATION] = { "allocation", 0 },
	[READ] = { "read", FAULT_READ },
	[WRITE] = { "write", FAULT_WRITE },
	[FLUSH] = { "flush", FAULT_FLUSH },
};

static const int statuses[] = { -EIO, -ENOSPC, -EAGAIN };
static const uint64_t times[] = { 1, 2, UINT64_MAX };

#define TIMES (sizeof(times) / sizeof(times[0]))

struct fault {
	enum call call;
	uint64_t nth, times;
	int status;
};

static struct torture_env torture;
static struct fault_plan plan;
static _Atomic uint64_t words; /* log lines that a user should see */
static char place[300];

static void note_words(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	ck_assert_int_ne(sentence[0], '\0');
	if (level <= UDS_LOG_NOTICE)
		words++;
}

static void hangs(int number)
{
	(void)number;
	(void)!write(STDERR_FILENO, place, strlen(place));
	(void)!write(STDERR_FILENO, ": it hangs\n", 11);
	abort();
}

/* From now on. Counts begin at 0. */
static void arm(const struct fault *fault)
{
	bool memory = fault->call == ALLOCATION;

	torture_env_fail_at(&torture, memory ? fault->nth : 0, fault->times == UINT64_MAX);
	torture.times = fault->times;
	fault_plan_fail(&plan, calls[fault->call].kind, memory ? 0 : fault->nth, fault->status,
			fault->times == UINT64_MAX);
	pthread_mutex_lock(&plan.lock);
	plan.times = fault->times;
	/* Some of a write may be on the device although it failed. */
	plan.partial_bytes = fault->nth % 3 * 4096;
	pthread_mutex_unlock(&plan.lock);
}

/* No call fails any more. Returns whether one did. */
static bool disarm(void)
{
	bool failed = torture.failed > 0 || fault_plan_failed(&plan) > 0;

	torture_env_fail_at(&torture, 0, false);
	fault_plan_fail(&plan, 0, 0, 0, false);
	return failed;
}

/* An error is that of the failure, with a sentence, and there is none without one. */
static void judge(struct world *world, const struct fault *fault, bool failed)
{
	if (world->status == 0)
		return;
	ck_assert_msg(failed, "%s: %s without a failure (%s)", place, uds_strerror(world->status),
		      world->message.text);
	ck_assert_msg(world->status == fault->status, "%s: %s (%s)", place,
		      uds_strerror(world->status), world->message.text);
	ck_assert_msg(world->message.text[0] != '\0', "%s: no sentence", place);
	world->status = 0;
}

static void check_leaks(void)
{
	ck_assert_msg(torture.live == 0, "%s: %" PRIu64 " allocations leaked", place,
		      (uint64_t)torture.live);
}

/*
 * Then the power goes: what was promised in spite of the failure is there, so no failed flush was
 * taken for one.
 */
static void cut_power(struct world *world, uint64_t number)
{
	static const uint32_t variants[] = { UDS_CRASH_DROP, UDS_CRASH_SECTORS, UDS_CRASH_ANY };
	struct uds_crash_state state = UDS_CRASH_STATE_INIT;
	struct uds_crash_log *after;

	state.cut = uds_crash_log_events(world->log);
	state.mark = uds_crash_log_mark_at(world->log, state.cut);
	state.variant = variants[number % 3];
	snprintf(state.text, sizeof(state.text), "%.140s; then a power cut", place);
	after = crash_after(world->log, state.cut, state.variant, number);
	world->scenario->kind->check_cut(world, after, &state, number);
	uds_crash_log_free(after);
}

/* Opens everything again, with a second failure on the way, and then without one. */
static void recover(struct world *world, const struct fault *first)
{
	const struct world_kind *kind = world->scenario->kind;
	struct fault second = *first;
	bool failed;

	second.call = first->nth % 2 == 0 ? READ : ALLOCATION;
	second.status = second.call == ALLOCATION ? -ENOMEM : first->status;
	if (second.status == -ENOMEM && second.call != ALLOCATION)
		second.status = -EIO;
	second.nth = 1 + first->nth * 13 % 37;
	/* Twice, as some are read again in smaller parts. */
	second.times = second.call == READ ? 2 : first->times;
	snprintf(place + strlen(place), sizeof(place) - strlen(place), "; then %s %d",
		 calls[second.call].name, (int)second.nth);
	words = 0;
	arm(&second);
	kind->reopen(world);
	failed = disarm();
	/*
	 * What cannot be read of an index is not done without in silence; areas are also read
	 * ahead for nothing.
	 */
	if (world->status == 0 && failed && second.call == READ && world->io[1] == NULL)
		ck_assert_msg(words > 0, "%s: it was opened, and no word about it", place);
	if (world->status < 0 && failed && world->status == second.status) {
		judge(world, &second, failed);
		check_leaks();
		kind->reopen(world);
	}
	if (world->status == 0) {
		kind->check_reopened(world, place);
		return;
	}
	ck_assert_msg(!world->made && world->message.text[0] != '\0', "%s: opened again: %s (%s)",
		      place, uds_strerror(world->status), world->message.text);
	world->status = 0;
	check_leaks();
}

static void note_counts(uint64_t *counts)
{
	for (int call = 0; call < CALLS; call++)
		counts[call] = call == ALLOCATION ? torture.count
						  : fault_plan_count(&plan, calls[call].kind);
}

/*
 * One life with one failure. Returns false when it was too short for that.
 *
 * @ret_counts: how many calls of each kind it made; may be NULL.
 */
static bool fail_one(const struct scenario *scenario, const struct fault *fault,
		     uint64_t *ret_counts)
{
	const struct world_kind *kind = scenario->kind;
	struct world *world;
	bool failed;

	snprintf(place, sizeof(place), "%s, seed %" PRIu64 ": %s %" PRIu64 " fails %s with %s",
		 scenario->name, scenario_seed(), calls[fault->call].name, fault->nth,
		 fault->times == 1   ? "once"
		 : fault->times == 2 ? "twice"
				     : "for good",
		 uds_strerror(fault->status));
	alarm(SECONDS);
	torture_env_start(&torture);
	torture.env.log = note_words;
	fault_plan_start(&plan);
	world = kind->make(scenario, scenario_seed(), &plan, &torture.env);
	arm(fault);
	scenario->live(world);
	if (ret_counts != NULL)
		note_counts(ret_counts);
	failed = disarm();
	judge(world, fault, failed);
	kind->check_open(world, place);
	check_leaks();
	if (failed && world->made)
		cut_power(world, fault->nth);
	if (failed)
		recover(world, fault);
	kind->free(world);
	torture_env_end(&torture);
	fault_plan_end(&plan);
	alarm(0);
	return failed;
}

/* One kind of call, failing so many times. Returns how many lives that took. */
static unsigned int fail_each(const struct scenario *scenario, enum call call, uint64_t how_often,
			      uint64_t count)
{
	struct fault fault = { call, 0, how_often, call == ALLOCATION ? -ENOMEM : -EIO };
	const bool all = test_scale() >= 20;
	const uint64_t tries = all ? count : test_scaled(TRIES);
	const uint64_t step = count > tries ? count / tries : 1;
	unsigned int lives = 0;

	for (fault.nth = 1 + scenario_seed() * 7919 % step; all || fault.nth <= count;
	     fault.nth += step) {
		lives++;
		if (call != ALLOCATION)
			fault.status =
				statuses[fault.nth % (sizeof(statuses) / sizeof(statuses[0]))];
		if (!fail_one(scenario, &fault, NULL))
			break;
	}
	return lives;
}

START_TEST(every_failing_call_is_told_and_harms_nothing)
{
	const struct scenario *scenario = scenario_at((unsigned int)_i);
	const struct fault none = { ALLOCATION, 0, 1, 0 };
	unsigned int lives[CALLS] = { 0 };
	uint64_t counts[CALLS];

	if (!scenario_is_wanted(scenario))
		return;
	signal(SIGALRM, hangs);
	fail_one(scenario, &none, counts);
	for (int call = 0; call < CALLS; call++) {
		/* In a run in part: other numbers of failures in each scenario. */
		const size_t step = (size_t)test_step_to(TIMES), first = (size_t)(call + _i) % step;

		for (size_t i = first; i < TIMES; i += step)
			lives[call] += fail_each(scenario, (enum call)call, times[i], counts[call]);
		ck_assert(counts[call] == 0 || lives[call] > 0);
	}
	printf("%s: lives with failing allocations %u, reads %u, writes %u, flushes %u; seed "
	       "%" PRIu64 "\n",
	       scenario->name, lives[ALLOCATION], lives[READ], lives[WRITE], lives[FLUSH],
	       scenario_seed());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("failing calls");
	TCase *tc = tcase_create("scenarios");
	int count = 0;

	while (scenario_at((unsigned int)count) != NULL)
		count++;
	tcase_set_timeout(tc, 7200);
	tcase_add_loop_test(tc, every_failing_call_is_told_and_harms_nothing, 0, count);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
