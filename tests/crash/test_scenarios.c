/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power cuts in every scenario (tests/support/scenario.h): after each write and flush, in every
 * variant of what the devices may have kept, again and again with other coins until there are
 * enough states. Each one opens, has what was promised, gives no wrong answer, and goes on; many
 * are cut again on the way.
 *
 * 5,000 states of each scenario, 1,000 of a costly one, where UDS_TEST_SCALE is 0.5 to 1; else so
 * many times 5,000. UDS_SCENARIO_STATES: another number than these. A failure names scenario and
 * seed: UDS_SCENARIO='merge with writes' UDS_SCENARIO_SEED=1 runs it alone again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check_main.h"
#include "scenario.h"

#define STATES	      5000u
#define COSTLY_STATES 1000u

static uint64_t states_wanted(const struct scenario *scenario)
{
	const char *text = getenv("UDS_SCENARIO_STATES");

	if (text == NULL && test_scale() <= 1 && !test_in_part())
		return scenario->costly ? COSTLY_STATES : STATES;
	return test_scaled(text == NULL ? STATES : strtoull(text, NULL, 10));
}

static uint32_t bit(unsigned int variant)
{
	return UINT32_C(1) << variant;
}

/*
 * How far apart the cuts of the first pass are: 1, so that none is left out, but where a part of
 * all is asked for. Some six variants make a difference at a cut.
 */
static uint64_t step_of(const struct world *world, uint64_t wanted)
{
	uint64_t states = 6 * (uds_crash_log_events(world->log) - world->first_cut + 1);

	return !test_in_part() || states <= wanted ? 1 : states / wanted;
}

/* All cuts once, in those of the variants that may differ from what the passes before had. */
static uint64_t sweep(struct world *world, uint64_t pass, uint64_t seed, uint64_t number,
		      uint64_t wanted)
{
	const uint32_t garbage = bit(UDS_CRASH_GARBAGE) | bit(UDS_CRASH_ANY_GARBAGE);
	const uint32_t all = (bit(UDS_CRASH_ANY_GARBAGE + 1) - 1) & ~garbage;
	const uint32_t coins =
		all & ~(bit(UDS_CRASH_KEEP) | bit(UDS_CRASH_DROP) | bit(UDS_CRASH_ONLY_LAST));
	struct uds_crash_log *after;
	struct crash_cuts cuts;

	crash_start(&cuts, world->log, seed + pass * UINT64_C(0x9e3779b97f4a7c15));
	cuts.options.step = pass == 0 ? step_of(world, wanted) : 1;
	cuts.options.first = world->first_cut + seed % cuts.options.step;
	cuts.options.variants = pass == 0 ? all : coins;
	if (world->scenario->kind->survives_garbage)
		cuts.options.variants |= garbage;
	/* The first pass goes to its end. */
	while ((pass == 0 || number < wanted) && (after = crash_next(&cuts)) != NULL) {
		world->scenario->kind->check_cut(world, after, &cuts.state, number++);
		uds_crash_log_free(after);
	}
	uds_crash_sweep_free(cuts.sweep);
	return number;
}

static void live_and_sweep(const struct scenario *scenario, uint64_t seed)
{
	struct world *world = scenario->kind->make(scenario, seed, NULL, NULL);
	uint64_t wanted = states_wanted(scenario), states = 0, pass;
	clock_t began = clock();
	double seconds;

	scenario->live(world);
	ck_assert_msg(world->status == 0, "%s: %s", scenario->name, world->message.text);
	for (pass = 0; states < wanted; pass++)
		states = sweep(world, pass, seed, states, wanted);
	seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
	printf("%s: %" PRIu64 " states of %" PRIu64 " events, %u went on, %u cut again, %u "
	       "verified, seed %" PRIu64 ", %.2f s (%.0f states a second)\n",
	       scenario->name, states, uds_crash_log_events(world->log) - world->first_cut,
	       world->went_on, world->cut_again, world->verified, seed, seconds,
	       (double)states / (seconds + 0.001));
	scenario->kind->free(world);
}

START_TEST(every_cut_keeps_what_was_promised)
{
	const struct scenario *scenario = scenario_at((unsigned int)_i);

	if (!scenario_is_wanted(scenario))
		return;
	/* When it fails, this line says how to see it again. */
	fprintf(stderr, "UDS_SCENARIO='%s' UDS_SCENARIO_SEED=%" PRIu64 "\n", scenario->name,
		scenario_seed());
	live_and_sweep(scenario, scenario_seed());
}
END_TEST

/* Without the flushes of one device the same cuts go wrong: this program says so. */
static const struct {
	const char *scenario, *device;
} forgetful[] = {
	{ "save", "0" },
	{ "fill with extras", "0" },
	{ "snapshot write", "1" },
	{ "merge", "0" },
};

START_TEST(a_missing_flush_is_noticed)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (freopen("/dev/null", "w", stdout) == NULL ||
		    freopen("/dev/null", "w", stderr) == NULL)
			_exit(0);
		setenv("UDS_SCENARIO", forgetful[_i].scenario, 1);
		setenv("UDS_SCENARIO_FORGET", forgetful[_i].device, 1);
		setenv("UDS_SCENARIO_STATES", "1", 1); /* one pass, and a whole one */
		setenv("UDS_TEST_SCALE", "1", 1);
		execl("/proc/self/exe", "test_scenarios", (char *)NULL);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s: nothing was noticed",
		      forgetful[_i].scenario);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("scenarios");
	TCase *tc = tcase_create("power cuts");
	int count = 0;

	while (scenario_at((unsigned int)count) != NULL)
		count++;
	tcase_set_timeout(tc, 7200);
	tcase_add_loop_test(tc, every_cut_keeps_what_was_promised, 0, count);
	if (getenv("UDS_SCENARIO") == NULL)
		tcase_add_loop_test(tc, a_missing_flush_is_noticed, 0,
				    sizeof(forgetful) / sizeof(forgetful[0]));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
