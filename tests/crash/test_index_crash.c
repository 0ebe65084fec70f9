/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power cuts of the index: a workload that closes chapters, flushes, saves and reopens is cut after
 * every single write and flush, in every variant of what the device may have kept. After each cut the
 * index opens, what was promised is there, and no answer is one that was never stored.
 *
 * What is promised: a flush makes the chapters closed before it durable. A save makes everything before
 * it durable, for good: when the chapter that it has open is closed, the records are in the save until they
 * are on the volume.
 *
 * After each cut the index goes on: it stores something, saves, opens again with mode LOAD, and is cut once
 * more on the way.
 *
 * UDS_TEST_SCALE multiplies the length of the workloads and the number of random variants.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "crash.h"
#include "index_history.h"
#include "small_index.h"

struct life {
	struct small_shape shape;
	struct uds_crash_log *log;
	struct uds_io *io;
	struct uds_index *index;
	struct uds_env env;
	uint64_t now;
	unsigned int zones;
	struct history history;
	uint64_t random;

	/* Marks in the log are places in this list. */
	struct history_promise promises[4000];
	uint32_t promise_count;
};

static struct life life;

static uint64_t scale(void)
{
	const char *text = getenv("UDS_TEST_SCALE");

	return text == NULL || atoi(text) < 1 ? 1 : (uint64_t)atoi(text);
}

static uint64_t next_random(void)
{
	life.random = life.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return life.random >> 33;
}

static uint64_t events_so_far(void *context)
{
	return uds_crash_log_events(((struct life *)context)->log);
}

static uint64_t tick(void *context)
{
	return ++((struct life *)context)->now;
}

static void promise(uint64_t chapters, uint32_t steps)
{
	struct history_promise *made = &life.promises[life.promise_count];

	ck_assert_uint_lt(life.promise_count + 1, sizeof(life.promises) / sizeof(life.promises[0]));
	made->chapters = chapters;
	made->steps = steps;
	crash_mark(life.log, life.promise_count++);
}

static void open_index(enum uds_index_mode mode)
{
	struct uds_message message;
	int r = small_index_open(life.io, &life.env, life.zones, mode, &message, &life.index);

	ck_assert_msg(r == 0, "%s", message.text);
}

static void begin_life(uint32_t record_pages, uint32_t chapters, bool extras, unsigned int zones,
		       uint64_t seed)
{
	const struct uds_env env = UDS_ENV_INIT;
	uint8_t *garbage;

	memset(&life, 0, sizeof(life));
	life.env = env;
	life.env.context = &life;
	life.env.now_ms = tick;
	life.zones = zones;
	life.random = seed;
	life.log = crash_log();
	small_index_shape(record_pages, chapters, &life.shape);
	if (extras)
		small_index_add_extras(&life.shape);
	garbage = malloc(life.shape.bytes);
	ck_assert_ptr_nonnull(garbage);
	for (uint64_t i = 0; i < life.shape.bytes; i++)
		garbage[i] = (uint8_t)next_random();
	crash_add(life.log, garbage, life.shape.bytes, 4096);
	free(garbage);
	life.io = crash_open(life.log, 0);
	history_start(&life.history, chapters, life.shape.records * (chapters + chapters / 2),
		      seed);
	life.history.clock = events_so_far;
	life.history.clock_context = &life;
	promise(0, 0);
}

static void end_life(void)
{
	ck_assert_int_eq(uds_index_close(life.index), 0);
	ck_assert_int_eq(uds_io_close(life.io), 0);
	history_end(&life.history);
	uds_crash_log_free(life.log);
}

static void run_batch(size_t count)
{
	ck_assert_int_eq(history_run(&life.history, life.index, count), 0);
}

static void save(void)
{
	ck_assert_int_eq(uds_index_save(life.index), 0);
	promise(small_index_open_chapter(life.index, NULL), life.history.count);
}

static void flush(void)
{
	const struct history_promise *last = &life.promises[life.promise_count - 1];
	uint64_t closed = small_index_open_chapter(life.index, NULL);

	ck_assert_int_eq(uds_index_flush(life.index), 0);
	promise(closed, last->steps);
}

/* Lives through steps in random batches, with flushes, saves and orderly restarts between. */
static void live(uint32_t steps)
{
	while (life.history.count < steps) {
		uint64_t dice = next_random() % 100;

		run_batch(1 + next_random() % (life.shape.records < 1000 ? 24 : 64));
		if (dice < 10) {
			flush();
		} else if (dice < 14) {
			save();
		} else if (dice < 16) {
			save();
			ck_assert_int_eq(uds_index_close(life.index), 0);
			open_index(UDS_INDEX_LOAD);
		}
	}
	flush();
}

/* What going on came to, all told. */
static struct {
	unsigned int cuts, again, verified;
} counts;

/* An index that was just saved: opens with mode LOAD and has it all. */
static void load_and_check(struct uds_io *io, const struct history *history, const char *place)
{
	struct history_promise everything = { 0, history->count, false };
	struct uds_index *index = NULL;
	struct uds_message message;
	int r;

	r = small_index_open(io, &life.env, life.zones, UDS_INDEX_LOAD, &message, &index);
	ck_assert_msg(r == 0, "%s: loading what was saved: %s", place, message.text);
	history_check(history, index, history->count, &everything, place);
	ck_assert_int_eq(uds_index_close(index), 0);
}

/* Runs steps, saves and closes. A mark says how many steps are promised then. */
static void store_and_save(struct uds_crash_log *log, struct uds_index *index,
			   struct history *history, uint32_t steps, const char *place)
{
	uint32_t end = history->count + steps;
	int r;

	while (history->count < end)
		ck_assert_int_eq(history_run(history, index, 16), 0);
	r = uds_index_save(index);
	ck_assert_msg(r == 0, "%s: saving: %s", place, uds_strerror(r));
	crash_mark(log, history->count);
	ck_assert_int_eq(uds_index_close(index), 0);
}

static int report_finding(void *context, const char *sentence)
{
	fprintf(stderr, "%s: %s\n", (const char *)context, sentence);
	return 0;
}

/* What was recovered and saved is whole. */
static void verify_saved(struct uds_io *io, const char *place)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	union {
		const char *constant;
		void *context;
	} text = { place };
	uint64_t findings = 0;
	int r;

	options.env = &life.env;
	r = uds_index_verify(io, &options, report_finding, text.context, &message, &findings);
	ck_assert_msg(r == 0 && findings == 0, "%s: %llu findings, %s", place,
		      (unsigned long long)findings, message.text);
	counts.verified++;
}

/* The second cut: somewhere in what went on after the first. */
static void cut_again(struct uds_crash_log *log, const struct history *went_on, const char *place)
{
	static const enum uds_crash_variant variants[] = { UDS_CRASH_KEEP, UDS_CRASH_DROP,
							   UDS_CRASH_TORN, UDS_CRASH_SECTORS,
							   UDS_CRASH_BLOCKS };
	size_t cut = next_random() % (uds_crash_log_events(log) + 1);
	struct uds_crash_log *after;
	struct history history;
	struct history_promise promised = { 0, 0, false };
	struct uds_message message;
	struct uds_index *index = NULL;
	uint32_t issued = history_steps_at(went_on, cut);
	struct uds_io *io;
	char text[400];
	int r;

	snprintf(text, sizeof(text), "%s; then cut %zu", place, cut);
	promised.steps = (uint32_t)uds_crash_log_mark_at(log, cut);
	after = crash_after(log, cut, variants[next_random() % 5], next_random());
	io = crash_open(after, 0);
	r = small_index_open(io, &life.env, life.zones, UDS_INDEX_LOAD_OR_RECOVER, &message,
			     &index);
	ck_assert_msg(r == 0, "%s: %s", text, message.text);
	history_check(went_on, index, issued, &promised, text);
	history_continue(went_on, issued, &history);
	history.clock = NULL;
	store_and_save(after, index, &history, 16, text);
	load_and_check(io, &history, text);
	history_end(&history);
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_crash_log_free(after);
	counts.again++;
}

static uint64_t events_of(void *log)
{
	return uds_crash_log_events(log);
}

/* The index that a cut left goes on: closes a chapter or not, saves, has it all, and is cut again. */
static void go_on(struct uds_crash_log *after, struct uds_io *io, struct uds_index *index,
		  uint32_t issued, unsigned int number, const char *place)
{
	struct history history;

	history_continue(&life.history, issued, &history);
	for (uint32_t i = 0; i < issued; i++)
		history.steps[i].time = 0;
	history.clock = events_of;
	history.clock_context = after;
	store_and_save(after, index, &history, 16, place);
	load_and_check(io, &history, place);
	if (number % 5 == 0)
		verify_saved(io, place);
	if (number % 3 == 0) {
		int r = small_index_open(io, &life.env, life.zones, UDS_INDEX_LOAD, NULL, &index);

		ck_assert_int_eq(r, 0);
		store_and_save(after, index, &history, life.shape.records < 1000 ? 200 : 16, place);
		load_and_check(io, &history, place);
	}
	if (number % 7 != 0)
		cut_again(after, &history, place);
	history_end(&history);
}

static int ignore_finding(void *context, const char *sentence)
{
	(void)context, (void)sentence;
	return 0;
}

/* What a cut left may be incomplete, but it can be looked at, and looking writes nothing. */
static void look_at(struct uds_crash_log *after, struct uds_io *io, const char *place)
{
	struct uds_index_info info = { .size = sizeof(info) };
	struct uds_index_info_options info_options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message;
	uint64_t findings;
	int r;

	options.env = &life.env;
	info_options.env = &life.env;
	info_options.check_save = true;
	r = uds_index_read_info(io, &info_options, &message, &info);
	ck_assert_msg(r == 0, "%s: info: %s", place, message.text);
	r = uds_index_verify(io, &options, ignore_finding, NULL, &message, &findings);
	ck_assert_msg(r == 0, "%s: verify: %s", place, message.text);
	ck_assert_msg(uds_crash_log_events(after) == 0, "%s: looking at it wrote", place);
}

static void check_cut(struct crash_cuts *sweep, struct uds_crash_log *after, unsigned int number)
{
	const struct history_promise *promised = &life.promises[sweep->state.mark];
	uint32_t issued = history_steps_at(&life.history, sweep->state.cut);
	struct uds_index *index = NULL;
	struct uds_message message;
	struct uds_io *io;
	int r;

	io = crash_open(after, 0);
	if (number % 8 == 3)
		look_at(after, io, sweep->state.text);
	r = small_index_open(io, &life.env, life.zones,
			     number % 4 == 1 ? UDS_INDEX_READ_ONLY : UDS_INDEX_LOAD_OR_RECOVER,
			     &message, &index);
	ck_assert_msg(r == 0, "%s: %s", sweep->state.text, message.text);
	/* Neither loading nor recovering writes. */
	ck_assert_msg(uds_crash_log_events(after) == 0, "%s: the open wrote", sweep->state.text);
	history_check(&life.history, index, issued, promised, sweep->state.text);
	counts.cuts++;
	/* That costs ten times what the rest does. Not after a read-only open. */
	if (number % 4 == 1 || (scale() == 1 && number % 4 != number / 4 % 4))
		ck_assert_int_eq(uds_index_close(index), 0);
	else
		go_on(after, io, index, issued, number, sweep->state.text);
	ck_assert_int_eq(uds_io_close(io), 0);
}

/* Cuts at every @step events from @first on. Returns how many cuts it made. */
static unsigned int sweep_all(size_t first, size_t step, uint64_t seed)
{
	struct crash_cuts sweep;
	struct uds_crash_log *after;
	unsigned int number = 0;

	crash_start(&sweep, life.log, seed);
	sweep.options.first = first;
	sweep.options.step = step;
	sweep.options.rounds = (unsigned int)scale();
	while ((after = crash_next(&sweep)) != NULL) {
		check_cut(&sweep, after, number++);
		uds_crash_log_free(after);
	}
	return number;
}

/* The largest has two index pages in a chapter, which a cut may tear apart. */
static const struct {
	uint32_t record_pages, chapters;
	bool extras;
	unsigned int zones;
	uint32_t steps;
	size_t cut_step;
} lives[] = {
	{ 1, 8, false, 1, 2500, 1 }, { 1, 8, false, 3, 2500, 1 },  { 24, 3, false, 1, 18000, 7 },
	{ 1, 8, true, 1, 2000, 1 },  { 24, 3, true, 1, 15000, 9 },
};

START_TEST(every_cut_of_a_life_keeps_what_was_promised)
{
	unsigned int cuts;
	size_t first;

	begin_life(lives[_i].record_pages, lives[_i].chapters, lives[_i].extras, lives[_i].zones,
		   1 + (uint64_t)_i);
	ck_assert(life.shape.record_pages == 1 || life.shape.index_pages > 1);
	ck_assert_int_eq(small_index_create(&life.shape, life.io, &life.env, NULL), 0);
	first = uds_crash_log_events(life.log);
	open_index(UDS_INDEX_LOAD_OR_RECOVER);
	live((uint32_t)(lives[_i].steps * scale()));
	cuts = sweep_all(first, lives[_i].cut_step, 99);
	printf("%u zones: %u cuts of %" PRIu64 " events, %u steps; %u second cuts, %u verified\n",
	       life.zones, cuts, uds_crash_log_events(life.log), life.history.count, counts.again,
	       counts.verified);
	ck_assert_uint_gt(cuts, 100);
	end_life();
}
END_TEST

START_TEST(every_cut_of_a_creation_leaves_an_index_or_none)
{
	unsigned int opened = 0, refused = 0;
	struct crash_cuts sweep;
	struct uds_crash_log *after;

	begin_life(1, 8, _i == 1, 1, 5);
	ck_assert_int_eq(small_index_create(&life.shape, life.io, &life.env, NULL), 0);
	crash_start(&sweep, life.log, 3);
	sweep.options.rounds = 20;
	while ((after = crash_next(&sweep)) != NULL) {
		struct uds_index *index = NULL;
		struct uds_message message = { "" };
		struct uds_io *io;
		int r;

		io = crash_open(after, 0);
		r = small_index_open(io, &life.env, 1, UDS_INDEX_LOAD_OR_RECOVER, &message, &index);
		ck_assert_msg(r == 0 || sweep.state.cut < uds_crash_log_events(life.log), "%s: %s",
			      sweep.state.text, message.text);
		if (r < 0) {
			ck_assert_msg(message.text[0] != '\0', "%s: no message", sweep.state.text);
			refused++;
		} else {
			struct history_promise none = { 0, 0, false };

			opened++;
			ck_assert_uint_eq(
				history_check(&life.history, index, 0, &none, sweep.state.text), 0);
		}
		ck_assert_int_eq(uds_index_close(index), 0);
		ck_assert_int_eq(uds_io_close(io), 0);
		uds_crash_log_free(after);
	}
	ck_assert_uint_gt(opened, 0);
	ck_assert_uint_gt(refused, 0);
	life.index = NULL;
	end_life();
}
END_TEST

START_TEST(a_cut_while_going_on_after_a_cut_keeps_what_was_promised)
{
	struct uds_crash_log *before, *after;
	struct history first;

	begin_life(1, 8, true, 1, 11);
	ck_assert_int_eq(small_index_create(&life.shape, life.io, &life.env, NULL), 0);
	open_index(UDS_INDEX_LOAD_OR_RECOVER);
	live(700);
	/* The first cut, in the middle of what it was doing. */
	before = life.log;
	first = life.history;
	ck_assert_int_eq(uds_index_close(life.index), 0);
	ck_assert_int_eq(uds_io_close(life.io), 0);
	after = crash_after(before, uds_crash_log_events(before) * 2 / 3, UDS_CRASH_SECTORS, 4);
	history_continue(&first, history_steps_at(&first, uds_crash_log_events(before) * 2 / 3),
			 &life.history);
	life.log = after;
	life.promise_count = 0;
	promise(0, 0);
	life.io = crash_open(life.log, 0);
	for (uint32_t i = 0; i < life.history.count; i++)
		life.history.steps[i].time = 0;
	open_index(UDS_INDEX_LOAD_OR_RECOVER);
	live(life.history.count + 900);
	ck_assert_uint_gt(sweep_all(0, 1, 6), 50);
	end_life();
	history_end(&first);
	uds_crash_log_free(before);
}
END_TEST

/* Saves are told apart by their time, so a clock that stands still or goes back must not confuse them. */
START_TEST(saves_of_a_clock_that_goes_back_are_told_apart)
{
	begin_life(1, 8, false, 1, 21);
	life.now = 1000000;
	ck_assert_int_eq(small_index_create(&life.shape, life.io, &life.env, NULL), 0);
	open_index(UDS_INDEX_LOAD_OR_RECOVER);
	for (int i = 0; i < 6; i++) {
		struct history_promise everything = { 0, 0, false };

		life.now -= 1000;
		run_batch(40);
		save();
		ck_assert_int_eq(uds_index_close(life.index), 0);
		open_index(UDS_INDEX_LOAD);
		everything.steps = life.history.count;
		history_check(&life.history, life.index, life.history.count, &everything,
			      "reopened");
	}
	sweep_all(uds_crash_log_events(life.log) / 2, 1, 8);
	end_life();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_crash");
	TCase *tc = tcase_create("crash");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, every_cut_of_a_life_keeps_what_was_promised, 0,
			    sizeof(lives) / sizeof(lives[0]));
	tcase_add_loop_test(tc, every_cut_of_a_creation_leaves_an_index_or_none, 0, 2);
	tcase_add_test(tc, a_cut_while_going_on_after_a_cut_keeps_what_was_promised);
	tcase_add_test(tc, saves_of_a_clock_that_goes_back_are_told_apart);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
