/* SPDX-License-Identifier: BSD-2-Clause */
/* Going through all cuts. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "testing/crash_state.h"

struct uds_crash_sweep {
	struct uds_crash_log *log;
	struct uds_crash_sweep_options options;
	uint64_t cut;
	uint32_t variant;
	uint32_t round;
};

static int check_options(const struct uds_crash_sweep_options *options, struct uds_message *message)
{
	if (options->step == 0 || options->rounds == 0)
		return failure(message, -EINVAL, "a sweep with steps or rounds of 0");
	if (options->variants >= UINT32_C(1) << CRASH_VARIANTS)
		return failure(message, -EINVAL, "a sweep with unknown variants: %#" PRIx32,
			       options->variants);
	return 0;
}

UDS_PUBLIC int uds_crash_sweep_make(struct uds_crash_log *log,
				    const struct uds_crash_sweep_options *given,
				    struct uds_message *ret_message,
				    struct uds_crash_sweep **ret_sweep)
{
	struct uds_crash_sweep_options options = UDS_CRASH_SWEEP_OPTIONS_INIT;
	struct uds_crash_sweep *sweep;
	int r = 0;

	if (given != NULL)
		r = STRUCT_IN(&options, given, uds_crash_sweep_options, variants, ret_message);
	if (r == 0)
		r = check_options(&options, ret_message);
	if (r < 0)
		return r;
	sweep = env_allocate_zeroed(&log->env, 1, sizeof(*sweep));
	if (sweep == NULL)
		return failure(ret_message, -ENOMEM, "making a sweep: no memory");
	/* Those with garbage must be asked for: uds/testing.h says why. */
	if (options.variants == 0)
		options.variants =
			((UINT32_C(1) << CRASH_VARIANTS) - 1) &
			~(UINT32_C(1) << UDS_CRASH_GARBAGE | UINT32_C(1) << UDS_CRASH_ANY_GARBAGE);
	/* Events that are recorded during the sweep are not part of it. */
	if (options.end > log->event_count)
		options.end = log->event_count;
	sweep->log = log;
	sweep->options = options;
	sweep->cut = options.first;
	*ret_sweep = sweep;
	return 0;
}

UDS_PUBLIC void uds_crash_sweep_free(struct uds_crash_sweep *sweep)
{
	if (sweep != NULL)
		env_release(&sweep->log->env, sweep);
}

static bool throws_coins(uint32_t variant)
{
	return variant != UDS_CRASH_KEEP && variant != UDS_CRASH_DROP &&
	       variant != UDS_CRASH_ONLY_LAST;
}

/* Whether the variant can leave something else here than those before it: 1 or 0, or -ENOMEM. */
static int matters(const struct uds_crash_sweep *sweep)
{
	uint64_t most = 0;
	int devices = 0;

	if ((sweep->options.variants >> sweep->variant & 1) == 0)
		return 0;
	for (uint32_t i = 0; i < sweep->log->device_count; i++) {
		struct crash_device *device = &sweep->log->devices[i];
		uint64_t pending;

		if (crash_move(device, sweep->cut) < 0)
			return -ENOMEM;
		/*
		 * The most on one device, not the sum: with one change each, whole writes are KEEP
		 * or DROP on every device, and mixing them is MIXED's part.
		 */
		pending = crash_count_pending(device, sweep->cut);
		most = pending > most ? pending : most;
		devices += pending > 0;
	}
	switch (sweep->variant) {
	case UDS_CRASH_KEEP:
		return 1;
	/* With a single uncertain change these are KEEP or DROP again. */
	case UDS_CRASH_ONLY_LAST:
	case UDS_CRASH_WRITES:
		return most > 1;
	case UDS_CRASH_MIXED:
		return devices > 1;
	default:
		return most > 0;
	}
}

/* To the next round, variant or cut. */
static void advance(struct uds_crash_sweep *sweep)
{
	/* Without a coin every round would give the same bytes. */
	if (throws_coins(sweep->variant) && sweep->round + 1 < sweep->options.rounds) {
		sweep->round++;
		return;
	}
	sweep->round = 0;
	if (++sweep->variant < CRASH_VARIANTS)
		return;
	sweep->variant = 0;
	sweep->cut += sweep->options.step;
}

/* Before a mark there are the same bytes with a weaker promise: not worth the time. */
static void pass_marks(struct uds_crash_sweep *sweep)
{
	while (sweep->cut < sweep->options.end && sweep->log->events[sweep->cut].kind == CRASH_MARK)
		sweep->cut++;
}

static void describe(const struct uds_crash_sweep *sweep, struct uds_crash_state *state)
{
	static const char *const kinds[] = { "write", "zeroes",	 "discard", "resize",
					     "flush", "durable", "mark" };
	static const char *const variants[] = { "keep",	       "drop",	  "torn",   "only-last",
						"writes",      "sectors", "blocks", "mixed",
						"torn-blocks", "garbage", "any",    "any-garbage" };
	const struct crash_event *event =
		sweep->cut > 0 ? &sweep->log->events[sweep->cut - 1] : NULL;
	char before[80] = "nothing";

	if (event != NULL)
		snprintf(before, sizeof(before),
			 "%s of device %d at %" PRIu64 ", %" PRIu64 " bytes", kinds[event->kind],
			 event->kind == CRASH_MARK ? -1 : (int)event->device, event->offset,
			 event->length);
	snprintf(state->text, sizeof(state->text),
		 "cut %" PRIu64 " of %" PRIu64 " (after %s), %s, seed %" PRIu64, sweep->cut,
		 sweep->log->event_count, before, variants[sweep->variant], state->seed);
}

UDS_PUBLIC int uds_crash_sweep_next(struct uds_crash_sweep *sweep,
				    struct uds_crash_state *ret_state,
				    struct uds_message *ret_message,
				    struct uds_crash_log **ret_after)
{
	struct uds_crash_state state = UDS_CRASH_STATE_INIT;
	int r = STRUCT_OUT_CHECK(ret_state, uds_crash_state, text, ret_message);

	if (r < 0)
		return r;
	for (;;) {
		pass_marks(sweep);
		if (sweep->cut > sweep->options.end)
			return 0;
		r = matters(sweep);
		if (r < 0)
			return failure(ret_message, r, "what a cut leaves: no memory");
		if (r > 0)
			break;
		sweep->round = sweep->options.rounds; /* none of it */
		advance(sweep);
	}
	state.cut = sweep->cut;
	state.variant = sweep->variant;
	/* An odd step: no two of the rounds have the same seed. */
	state.seed = sweep->options.seed + sweep->round * UINT64_C(0x100000001b3);
	state.mark = uds_crash_log_mark_at(sweep->log, sweep->cut);
	describe(sweep, &state);
	/* On failure the sweep stays at this state, and the next call tries it again. */
	r = uds_crash_log_after(sweep->log, state.cut, state.variant, state.seed, ret_message,
				ret_after);
	if (r < 0)
		return r;
	struct_out(ret_state, &state, sizeof(state));
	advance(sweep);
	return 1;
}
