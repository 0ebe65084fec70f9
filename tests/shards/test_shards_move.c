/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names that move while requests go on, and power cuts at every point of it.
 *
 * The oracle: every answer of a program that runs is the model's. After a cut each name has the
 * data that it had at the last flush that returned, or that a later request gave it; never older
 * data, and never data that it lost.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check_main.h"
#include "fixture.h"
#include "names.h"
#include "torture_env.h"

#define NAMES 120
#define MOST  4000 /* requests and marks of one run */
#define BATCH 12
#define TEXTS 12

/* More names, which are there from the beginning and do not change: closed chapters. */
#define FILLING 400

/* What was going on at a mark. */
struct moment {
	uint64_t events;   /* up to the mark */
	uint32_t flushed;  /* requests that a flush has made durable */
	uint32_t started;  /* requests that may have been carried out */
	uint32_t manifest; /* the number of the text that is there */
	uint32_t before;   /* or at this very event the one that was */
};

struct run {
	struct shards_fixture f;
	uint64_t random;
	uint32_t versions[NAMES]; /* the model: 0: not there */
	uint32_t last_version;

	/* Requests that change something, in order: the version of the name after it. */
	struct {
		uint32_t name, version;
	} changes[MOST];
	uint32_t count;
	uint32_t at_first[NAMES]; /* before the first of them */
	uint32_t flushed;

	struct moment moments[MOST];
	uint32_t marks;
	struct {
		char text[4096];
		size_t length;
	} texts[TEXTS];
	uint32_t manifest; /* the number of the text that is there */

	uint32_t batches_left; /* that the progress callback runs */
	uint32_t stop_after;   /* reports, then it stops the move; 0: never */
};

static uint32_t draw(struct run *run, uint32_t below)
{
	return (uint32_t)(splitmix64(run->random++, 0) % below);
}

/* ---- marks ---- */

static void mark(struct run *run, uint32_t started)
{
	struct moment *moment = &run->moments[run->marks];

	ck_assert_uint_lt(run->marks, MOST - 1);
	moment->flushed = run->flushed;
	moment->started = started;
	moment->manifest = run->manifest;
	moment->before = run->manifest;
	crash_mark(run->f.log, run->marks + 1);
	moment->events = uds_crash_log_events(run->f.log);
	run->marks++;
}

/* A cut at the mark is one before the call has returned: old or new may be there. */
static void after_replace(struct shards_fixture *f)
{
	struct run *run = f->context;

	run->manifest++;
	ck_assert_uint_lt(run->manifest, TEXTS);
	ck_assert_uint_le(f->length, sizeof(run->texts[0].text));
	memcpy(run->texts[run->manifest].text, f->text, f->length);
	run->texts[run->manifest].length = f->length;
	mark(run, run->count);
	run->moments[run->marks - 1].before--;
}

static void take_over_fixture(struct run *run)
{
	run->f.after_replace = after_replace;
	run->f.context = run;
	memcpy(run->texts[0].text, run->f.text, run->f.length);
	run->texts[0].length = run->f.length;
	memcpy(run->at_first, run->versions, sizeof(run->versions));
	mark(run, 0);
}

/* ---- requests and the model ---- */

/* What the request does to the model, and what it must have answered. */
struct expected {
	uint32_t before;
	uint32_t name;
};

static void apply(struct run *run, struct uds_request *request, struct expected *expected)
{
	uint32_t name = draw(run, NAMES), version = ++run->last_version;
	static const enum uds_request_kind kinds[] = { UDS_POST,  UDS_POST, UDS_POST,  UDS_UPDATE,
						       UDS_QUERY, UDS_PEEK, UDS_DELETE };
	uint32_t *at = &run->versions[name], before = *at;

	memset(request, 0, sizeof(*request));
	request->kind = (uint8_t)kinds[draw(run, 7)];
	make_name(77, name, &request->name);
	make_data('s', name, version, &request->new_data);
	expected->before = before;
	expected->name = name;
	if (request->kind == UDS_DELETE)
		*at = 0;
	else if (request->kind == UDS_UPDATE || (request->kind == UDS_POST && before == 0))
		*at = version;
	if (*at == before)
		return;
	ck_assert_uint_lt(run->count, MOST);
	run->changes[run->count].name = name;
	run->changes[run->count].version = *at;
	run->count++;
}

static void run_batch(struct run *run)
{
	struct uds_request requests[BATCH];
	struct expected expected[BATCH];
	uint32_t count = 1 + draw(run, BATCH);

	for (uint32_t i = 0; i < count; i++)
		apply(run, &requests[i], &expected[i]);
	mark(run, run->count);
	ck_assert_int_eq(uds_shards_run(run->f.shards, requests, count), 0);
	for (uint32_t i = 0; i < count; i++) {
		ck_assert_int_eq(requests[i].found, expected[i].before != 0);
		if (!requests[i].found || requests[i].kind == UDS_DELETE)
			continue;
		ck_assert_uint_eq(get_le64(requests[i].old_data.bytes), expected[i].name);
		ck_assert_uint_eq(get_le32(requests[i].old_data.bytes + 8), expected[i].before);
	}
	if (draw(run, 4) == 0) {
		ck_assert_int_eq(
			(draw(run, 5) == 0 ? uds_shards_save : uds_shards_flush)(run->f.shards), 0);
		run->flushed = run->count;
		mark(run, run->count);
	}
}

static int progress(void *context, uint64_t done, uint64_t total)
{
	struct run *run = context;

	ck_assert_uint_le(done, total);
	if (run->stop_after > 0 && --run->stop_after == 0)
		return 1;
	if (run->batches_left > 0) {
		run->batches_left--;
		run_batch(run);
	}
	return 0;
}

static void check_exactly(struct run *run)
{
	for (uint32_t i = 0; i < NAMES; i++)
		ck_assert_uint_eq(fixture_version(&run->f, i), run->versions[i]);
	/* All of them would take most of the time; the walk sees them all. */
	for (uint32_t i = 0; i < FILLING; i += 17)
		ck_assert_uint_eq(fixture_version(&run->f, NAMES + i), 1);
}

struct names_seen {
	uint32_t *versions;
	uint32_t count;
};

static int see(void *context, const struct uds_record_name *name,
	       const struct uds_record_data *data)
{
	struct names_seen *seen = context;

	(void)name;
	if (get_le64(data->bytes) < NAMES)
		ck_assert_uint_eq(get_le32(data->bytes + 8), seen->versions[get_le64(data->bytes)]);
	else
		ck_assert_uint_eq(get_le32(data->bytes + 8), 1);
	seen->count++;
	return 0;
}

/* Each name once, with its data. */
static void check_walk(struct run *run)
{
	struct names_seen seen = { run->versions, 0 };
	uint32_t there = FILLING;

	for (uint32_t i = 0; i < NAMES; i++)
		there += run->versions[i] != 0;
	ck_assert_int_eq(uds_shards_for_each(run->f.shards, see, &seen), 0);
	ck_assert_uint_eq(seen.count, there);
}

static void check_state(struct run *run, enum uds_shards_state state, uint32_t shards)
{
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;

	ck_assert_int_eq(uds_shards_get_info(run->f.shards, &info), 0);
	ck_assert_uint_eq(info.state, state);
	ck_assert_uint_eq(info.shards, shards);
	ck_assert_int_eq(info.moving_slots > 0, state == UDS_SHARDS_MOVING);
}

/* ---- runs without a cut ---- */

enum way { ADDS, REMOVES, WAYS };

static void fill(struct run *run)
{
	for (uint32_t i = 0; i < FILLING; i++) {
		struct uds_request request;

		ck_assert_int_eq(fixture_do(&run->f, UDS_POST, NAMES + i, 1, &request), 0);
	}
	ck_assert_int_eq(uds_shards_save(run->f.shards), 0);
}

static struct run *run_make(enum way way, uint64_t seed, bool extras)
{
	struct run *run = calloc(1, sizeof(*run));

	run->random = seed * 1000003;
	fixture_start(&run->f, 16, extras);
	run->f.options.no_threads = true;
	fixture_make(&run->f, way == ADDS ? 2 : 3);
	fill(run);
	take_over_fixture(run);
	return run;
}

static void run_free(struct run *run)
{
	fixture_end(&run->f);
	free(run);
}

static int move(struct run *run, enum way way)
{
	if (way == ADDS)
		return uds_shards_add(run->f.shards, "2", progress, run);
	return uds_shards_remove(run->f.shards, "1", progress, run);
}

/* Requests, a move with requests in the middle of it, and requests. */
static struct run *run_whole(enum way way, uint64_t seed)
{
	struct run *run = run_make(way, seed, true);
	int r;

	for (int i = 0; i < 12; i++)
		run_batch(run);
	run->batches_left = 12;
	r = move(run, way);
	uds_shards_error_message(run->f.shards, &run->f.message);
	ck_assert_msg(r == 0, "%d: %s", r, run->f.message.text);
	check_state(run, UDS_SHARDS_STABLE, way == ADDS ? 3 : 2);
	check_exactly(run);
	check_walk(run);
	for (int i = 0; i < 4; i++)
		run_batch(run);
	check_exactly(run);
	return run;
}

START_TEST(requests_in_the_middle_of_a_move_are_answered_as_ever)
{
	for (uint64_t seed = 1; seed <= test_scaled(20); seed++)
		run_free(run_whole((enum way)_i, seed));
}
END_TEST

START_TEST(a_move_without_journals_is_made_durable_by_saves)
{
	struct run *run = run_make((enum way)_i, 5, false);
	struct shards_fixture after;
	struct uds_crash_log *log;

	for (int i = 0; i < 12; i++)
		run_batch(run);
	ck_assert_int_eq(uds_shards_save(run->f.shards), 0);
	run->batches_left = 0;
	ck_assert_int_eq(move(run, (enum way)_i), 0);
	ck_assert_int_eq(uds_crash_log_after(run->f.log, uds_crash_log_events(run->f.log),
					     UDS_CRASH_DROP, 1, NULL, &log),
			 0);
	fixture_start_after(&after, &run->f, log, run->f.text, run->f.length);
	ck_assert_int_eq(fixture_open(&after), 0);
	for (uint32_t i = 0; i < NAMES; i++)
		ck_assert_uint_eq(fixture_version(&after, i), run->versions[i]);
	for (uint32_t i = 0; i < FILLING; i++)
		ck_assert_uint_eq(fixture_version(&after, NAMES + i), 1);
	fixture_end(&after);
	run_free(run);
}
END_TEST

START_TEST(only_names_of_slots_that_move_are_copied)
{
	struct uds_index_statistics before[3], after;
	struct uds_shard_info shard = UDS_SHARD_INFO_INIT;
	struct run *run = run_make(ADDS, 3, true);
	uint64_t stored = 0;

	for (uint32_t i = 0; i < NAMES; i++) {
		struct uds_request request;

		ck_assert_int_eq(fixture_do(&run->f, UDS_POST, i, 1, &request), 0);
		run->versions[i] = 1;
	}
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_int_eq(uds_shards_get_shard(run->f.shards, i, &shard), 0);
		before[i].size = sizeof(before[i]);
		ck_assert_int_eq(uds_index_get_statistics(shard.index, &before[i]), 0);
	}
	ck_assert_int_eq(move(run, ADDS), 0);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(uds_shards_get_shard(run->f.shards, i, &shard), 0);
		ck_assert_uint_eq(shard.role, UDS_SHARD_MEMBER);
		after.size = sizeof(after);
		ck_assert_int_eq(uds_index_get_statistics(shard.index, &after), 0);
		if (i < 2)
			ck_assert_uint_eq(after.entries, before[i].entries);
		else
			stored = after.entries;
	}
	/* A third of them, about. */
	ck_assert_uint_gt(stored, (NAMES + FILLING) / 4);
	ck_assert_uint_lt(stored, (NAMES + FILLING) / 2);
	check_exactly(run);
	run_free(run);
}
END_TEST

START_TEST(a_name_that_comes_back_has_its_newest_data)
{
	struct run *run = run_whole(ADDS, 9);

	/* Shard 0 and 1 still have old data of names that moved to 2. */
	for (int i = 0; i < 10; i++)
		run_batch(run);
	run->batches_left = 5;
	ck_assert_int_eq(uds_shards_remove(run->f.shards, "2", progress, run), 0);
	check_exactly(run);
	check_walk(run);
	/* And 2 has old data of them now. */
	for (int i = 0; i < 10; i++)
		run_batch(run);
	run->batches_left = 5;
	ck_assert_int_eq(uds_shards_add(run->f.shards, "2", progress, run), 0);
	check_exactly(run);
	check_walk(run);
	run_free(run);
}
END_TEST

START_TEST(a_move_can_be_stopped_and_resumed_anywhere)
{
	for (uint32_t stop = 1; stop < 40; stop = (uint32_t)test_next(stop, (uint64_t)_i)) {
		struct run *run = run_make((enum way)_i, stop, true);
		int r;

		for (int i = 0; i < 12; i++)
			run_batch(run);
		run->batches_left = 8;
		run->stop_after = stop;
		r = move(run, (enum way)_i);
		if (r == UDS_ERR_STOPPED) {
			check_state(run, UDS_SHARDS_MOVING, 3);
			check_exactly(run);
			ck_assert_int_eq(move(run, (enum way)_i), UDS_ERR_BAD_STATE);
			for (int i = 0; i < 4; i++)
				run_batch(run);
			ck_assert_int_eq(uds_shards_resume(run->f.shards, progress, run), 0);
		} else {
			ck_assert_int_eq(r, 0);
		}
		check_state(run, UDS_SHARDS_STABLE, _i == ADDS ? 3 : 2);
		check_exactly(run);
		check_walk(run);
		ck_assert_int_eq(uds_shards_resume(run->f.shards, progress, run), 0);
		run_free(run);
	}
}
END_TEST

struct reports {
	bool stops; /* before the last chapter */
	uint32_t count;
	uint64_t first, last, total; /* chapters */
};

static int keep_report(void *context, uint64_t done, uint64_t total)
{
	struct reports *reports = context;

	if (reports->count++ == 0)
		reports->first = done;
	reports->last = done;
	reports->total = total;
	return reports->stops && done + 1 >= total;
}

START_TEST(a_resumed_move_reads_all_chapters_again)
{
	struct run *run = run_make(ADDS, 5, true);
	struct reports stopped = { .stops = true }, again = { 0 }, end = { 0 };

	for (int i = 0; i < 12; i++)
		run_batch(run);
	ck_assert_int_eq(uds_shards_add(run->f.shards, "2", keep_report, &stopped),
			 UDS_ERR_STOPPED);
	ck_assert_uint_gt(stopped.total, 3);
	run->f.fail_replace = -EIO;
	ck_assert_int_eq(uds_shards_resume(run->f.shards, keep_report, &again), -EIO);
	ck_assert_uint_le(again.first, 1);
	ck_assert_uint_eq(again.last, again.total);
	ck_assert_uint_ge(again.total, stopped.total);
	/* Nothing but the manifest was missing, and the handle has told the shard all since. */
	run_batch(run);
	ck_assert_int_eq(uds_shards_resume(run->f.shards, keep_report, &end), 0);
	ck_assert_uint_eq(end.count, 0);
	check_exactly(run);
	run_free(run);
}
END_TEST

START_TEST(a_move_can_be_abandoned_when_opening)
{
	struct run *run = run_make((enum way)_i, 4, true);

	for (int i = 0; i < 12; i++)
		run_batch(run);
	run->stop_after = 3;
	ck_assert_int_eq(move(run, (enum way)_i), UDS_ERR_STOPPED);
	ck_assert_int_eq(uds_shards_save(run->f.shards), 0);
	fixture_close(&run->f);
	/* The shard that joins is gone. */
	if (_i == ADDS)
		fixture_format_shard(&run->f, 2, 9);
	if (_i == ADDS)
		ck_assert_int_eq(fixture_open(&run->f), UDS_ERR_NONCE_MISMATCH);
	run->f.options.abandon_move = true;
	ck_assert_int_eq(fixture_open(&run->f), 0);
	check_state(run, UDS_SHARDS_STABLE, _i == ADDS ? 2 : 3);
	check_exactly(run);
	check_walk(run);
	fixture_close(&run->f);
	run->f.options.abandon_move = false;
	ck_assert_int_eq(fixture_open(&run->f), 0);
	check_exactly(run);
	run_free(run);
}
END_TEST

/* ---- refusals ---- */

START_TEST(what_cannot_be_moved_is_refused)
{
	struct uds_index_options index = UDS_INDEX_OPTIONS_INIT;
	struct run *run = run_make(ADDS, 1, true);
	struct uds_message *m = &run->f.message;
	uint64_t replaced = run->f.replaced;

	ck_assert_int_eq(uds_shards_add(run->f.shards, "9", NULL, NULL), -ENOENT);
	ck_assert_int_eq(uds_shards_add(run->f.shards, "1", NULL, NULL), UDS_ERR_EXISTS);
	uds_shards_error_message(run->f.shards, m);
	ck_assert_msg(strstr(m->text, "1 is the index of shard 2 (1) already") != NULL, "%s",
		      m->text);
	small_index_shape(1, 17, &run->f.shape);
	small_index_add_extras(&run->f.shape);
	fixture_format_shard(&run->f, 3, 9);
	ck_assert_int_eq(uds_shards_add(run->f.shards, "3", NULL, NULL), UDS_ERR_MISMATCH);
	ck_assert_int_eq(uds_shards_remove(run->f.shards, "3", NULL, NULL), -ENOENT);
	ck_assert_uint_eq(run->f.replaced, replaced);
	ck_assert_int_eq(uds_shards_remove(run->f.shards, "1", NULL, NULL), 0);
	ck_assert_int_eq(uds_shards_remove(run->f.shards, "0", NULL, NULL), UDS_ERR_BAD_STATE);
	uds_shards_error_message(run->f.shards, m);
	ck_assert_msg(strstr(m->text, "last shard") != NULL, "%s", m->text);
	ck_assert_int_eq(uds_shards_save(run->f.shards), 0);
	fixture_close(&run->f);
	index.mode = UDS_INDEX_READ_ONLY;
	run->f.options.index = &index;
	ck_assert_int_eq(fixture_open(&run->f), 0);
	ck_assert_int_eq(uds_shards_add(run->f.shards, "2", NULL, NULL), UDS_ERR_READ_ONLY);
	run_free(run);
}
END_TEST

/* ---- failures ---- */

/* Moves with one operation failing; then resumes. Returns whether anything failed. */
static bool move_with_failure(enum way way, unsigned int plan, uint64_t nth)
{
	struct run *run = run_make(way, nth, true);
	bool failed;
	int r;

	for (uint32_t i = 0; i < NAMES; i++) {
		struct uds_request request;

		ck_assert_int_eq(fixture_do(&run->f, UDS_POST, i, 1, &request), 0);
		run->versions[i] = 1;
	}
	fault_plan_fail(&run->f.plans[plan], FAULT_ANY & ~FAULT_CLOSE, nth, -EIO, false);
	r = move(run, way);
	failed = run->f.plans[plan].failed > 0;
	fault_plan_fail(&run->f.plans[plan], 0, 0, 0, false);
	ck_assert(r == 0 || r == -EIO);
	ck_assert(failed || r == 0);
	if (r < 0) {
		uds_shards_error_message(run->f.shards, &run->f.message);
		ck_assert_uint_gt(strlen(run->f.message.text), 20);
		check_exactly(run);
		/* Either it has begun, or it can begin. */
		r = uds_shards_resume(run->f.shards, NULL, NULL);
		if (r == 0 && run->f.replaced == 1)
			r = move(run, way);
	}
	uds_shards_error_message(run->f.shards, &run->f.message);
	ck_assert_msg(r == 0, "%d: %s", r, run->f.message.text);
	check_state(run, UDS_SHARDS_STABLE, way == ADDS ? 3 : 2);
	check_exactly(run);
	check_walk(run);
	run_free(run);
	return failed;
}

START_TEST(any_operation_of_a_shard_may_fail)
{
	for (unsigned int plan = 0; plan < 3; plan++) {
		uint64_t nth = 1;

		while (move_with_failure((enum way)_i, plan, nth))
			nth = test_next(nth, 3 * (uint64_t)_i + plan);
		ck_assert_uint_gt(nth, 1);
	}
}
END_TEST

START_TEST(a_target_that_fails_costs_requests_nothing)
{
	struct run *run = run_make(ADDS, 2, true);
	struct uds_request request;

	for (int i = 0; i < 12; i++)
		run_batch(run);
	/* The move ends, and the requests in the middle of it are answered all the same. */
	run->batches_left = 1000;
	fault_plan_fail(&run->f.plans[2], FAULT_CHANGE, 1, -EIO, true);
	ck_assert_int_eq(move(run, ADDS), -EIO);
	check_state(run, UDS_SHARDS_MOVING, 3);
	check_exactly(run);
	ck_assert_int_eq(uds_shards_flush(run->f.shards), 0);
	ck_assert_int_eq(fixture_do(&run->f, UDS_UPDATE, 1, 9999, &request), 0);
	run->versions[1] = 9999;
	fault_plan_fail(&run->f.plans[2], 0, 0, 0, false);
	run->batches_left = 5;
	ck_assert_int_eq(uds_shards_resume(run->f.shards, progress, run), 0);
	check_exactly(run);
	run_free(run);
}
END_TEST

/* The manifest that ends the move is not written, or is and the program does not know. */
START_TEST(a_manifest_that_fails_leaves_both_places_right)
{
	for (int happens = 0; happens < 2; happens++) {
		struct run *run = run_make((enum way)_i, 6, true);
		struct uds_shards_info info = UDS_SHARDS_INFO_INIT;

		for (int i = 0; i < 12; i++)
			run_batch(run);
		/* Not even the first one: nothing has begun, as far as this program knows. */
		run->f.fail_replace = -EIO;
		run->f.fail_happens = happens;
		ck_assert_int_eq(move(run, (enum way)_i), -EIO);
		check_state(run, UDS_SHARDS_STABLE, _i == ADDS ? 2 : 3);
		run->stop_after = 2;
		ck_assert_int_eq(move(run, (enum way)_i), UDS_ERR_STOPPED);
		run->f.fail_replace = -EIO;
		run->f.fail_happens = happens;
		ck_assert_int_eq(uds_shards_resume(run->f.shards, NULL, NULL), -EIO);
		ck_assert_int_eq(uds_shards_get_info(run->f.shards, &info), 0);
		ck_assert_uint_eq(info.state, UDS_SHARDS_MOVING);
		for (int i = 0; i < 6; i++)
			run_batch(run);
		ck_assert_int_eq(uds_shards_flush(run->f.shards), 0);
		check_exactly(run);
		if (draw(run, 2) == 0) {
			/* A crash: either manifest leads to all that was flushed. */
			fixture_close(&run->f);
			ck_assert_int_eq(fixture_open(&run->f), 0);
			check_exactly(run);
		}
		ck_assert_int_eq(uds_shards_resume(run->f.shards, NULL, NULL), 0);
		check_exactly(run);
		check_state(run, UDS_SHARDS_STABLE, _i == ADDS ? 3 : 2);
		run_free(run);
	}
}
END_TEST

/* What cannot be told to the shard that may be the home after a crash is not durable. */
START_TEST(a_flush_fails_while_the_home_after_a_crash_is_unknown_and_fails)
{
	struct run *run = run_make(ADDS, 8, true);
	struct uds_request request;

	for (int i = 0; i < 12; i++)
		run_batch(run);
	run->stop_after = 2;
	ck_assert_int_eq(move(run, ADDS), UDS_ERR_STOPPED);
	run->f.fail_replace = -EIO;
	run->f.fail_happens = true;
	ck_assert_int_eq(uds_shards_resume(run->f.shards, NULL, NULL), -EIO);
	fault_plan_fail(&run->f.plans[2], FAULT_ANY & ~FAULT_CLOSE, 1, -EIO, true);
	for (uint32_t i = 0; i < NAMES; i++) {
		ck_assert_int_eq(fixture_do(&run->f, UDS_UPDATE, i, 7777, &request), 0);
		run->versions[i] = 7777;
	}
	ck_assert_int_eq(uds_shards_flush(run->f.shards), -EIO);
	uds_shards_error_message(run->f.shards, &run->f.message);
	ck_assert_msg(strstr(run->f.message.text, "nothing is durable") != NULL, "%s",
		      run->f.message.text);
	fault_plan_fail(&run->f.plans[2], 0, 0, 0, false);
	/* Still: it has not been told again yet. */
	ck_assert_int_lt(uds_shards_flush(run->f.shards), 0);
	check_exactly(run);
	ck_assert_int_eq(uds_shards_resume(run->f.shards, NULL, NULL), 0);
	ck_assert_int_eq(uds_shards_flush(run->f.shards), 0);
	check_exactly(run);
	run_free(run);
}
END_TEST

static int move_without_memory(const struct uds_env *env, void *context)
{
	enum way way = *(enum way *)context;
	struct run *run = run_make(way, 1, true);
	int r;

	for (uint32_t i = 0; i < NAMES; i++) {
		struct uds_request request;

		ck_assert_int_eq(fixture_do(&run->f, UDS_POST, i, 1, &request), 0);
		run->versions[i] = 1;
	}
	ck_assert_int_eq(uds_shards_save(run->f.shards), 0);
	fixture_close(&run->f);
	run->f.options.env = env;
	r = fixture_open(&run->f);
	if (r == 0)
		r = move(run, way);
	/* Whatever happened, every name has its data: asked by a program that has memory. */
	if (r == 0)
		r = uds_shards_save(run->f.shards);
	/* That may fail, too; what was saved before is there. */
	(void)uds_shards_close(run->f.shards);
	run->f.options.env = NULL;
	ck_assert_int_eq(fixture_open(&run->f), 0);
	check_exactly(run);
	run_free(run);
	return r;
}

START_TEST(every_allocation_of_a_move_may_fail)
{
	enum way way = (enum way)_i;

	torture_each_allocation(move_without_memory, &way, true);
}
END_TEST

/* ---- cuts ---- */

/* Whether the name may have this version after a cut at @moment. */
static bool may_be(const struct run *run, const struct moment *moment, uint32_t name,
		   uint32_t version)
{
	uint32_t value = run->at_first[name];
	bool may;

	for (uint32_t i = 0; i < moment->flushed; i++) {
		if (run->changes[i].name == name)
			value = run->changes[i].version;
	}
	may = value == version;
	for (uint32_t i = moment->flushed; i < moment->started; i++) {
		if (run->changes[i].name == name && run->changes[i].version == version)
			may = true;
	}
	return may;
}

/*
 * Opens what a cut of @before left, checks every name, and goes on: a run whose model is what was
 * found, with the move ended.
 */
static struct run *go_on(const struct run *before, struct uds_crash_log *log,
			 const struct uds_crash_state *state)
{
	const struct moment *moment = &before->moments[state->mark - 1];
	struct run *run = calloc(1, sizeof(*run));
	uint32_t text;
	int r;

	ck_assert_uint_gt(state->mark, 0);
	run->random = state->seed * 31 + state->cut;
	text = moment->manifest;
	if (state->cut == moment->events && draw(run, 2) == 0)
		text = moment->before;
	fixture_start_after(&run->f, &before->f, log, before->texts[text].text,
			    before->texts[text].length);
	r = fixture_open(&run->f);
	ck_assert_msg(r == 0, "%s: %d: %s", state->text, r, run->f.message.text);
	for (uint32_t i = 0; i < NAMES; i++) {
		run->versions[i] = fixture_version(&run->f, i);
		ck_assert_msg(may_be(before, moment, i, run->versions[i]),
			      "%s: name %u has version %u", state->text, i, run->versions[i]);
	}
	for (uint32_t i = 0; i < FILLING; i += 17)
		ck_assert_msg(fixture_version(&run->f, NAMES + i) == 1, "%s: name %u is lost",
			      state->text, NAMES + i);
	run->last_version = before->last_version;
	/* What was found is durable from here on: a second cut has something to lose. */
	ck_assert_int_eq(uds_shards_flush(run->f.shards), 0);
	take_over_fixture(run);
	run->batches_left = 6;
	r = uds_shards_resume(run->f.shards, progress, run);
	uds_shards_error_message(run->f.shards, &run->f.message);
	ck_assert_msg(r == 0, "%s: %d: %s", state->text, r, run->f.message.text);
	check_exactly(run);
	check_walk(run);
	return run;
}

/* Cuts what goes on from a cut once more, at a random point. */
static void cut_again(struct run *run)
{
	struct uds_crash_state state = UDS_CRASH_STATE_INIT;
	uint64_t events = uds_crash_log_events(run->f.log);
	struct uds_crash_log *after;

	/* Behind the first mark, which is there from the beginning. */
	do {
		state.cut = splitmix64(run->random++, 1) % (events + 1);
		state.mark = uds_crash_log_mark_at(run->f.log, state.cut);
	} while (state.mark == 0);
	state.variant = UDS_CRASH_ANY;
	state.seed = run->random++;
	strcpy(state.text, "the second cut");
	ck_assert_int_eq(
		uds_crash_log_after(run->f.log, state.cut, state.variant, state.seed, NULL, &after),
		0);
	run_free(go_on(run, after, &state));
}

static uint64_t sweep(const struct run *run, uint64_t seed, uint64_t step)
{
	struct uds_crash_sweep_options options = UDS_CRASH_SWEEP_OPTIONS_INIT;
	struct uds_crash_state state = UDS_CRASH_STATE_INIT;
	struct uds_crash_sweep *sweep;
	struct uds_crash_log *after;
	uint64_t states = 0;

	options.seed = seed;
	options.first = seed % step;
	options.step = step;
	options.variants = 1u << UDS_CRASH_DROP | 1u << UDS_CRASH_ANY;
	ck_assert_int_eq(uds_crash_sweep_make(run->f.log, &options, NULL, &sweep), 0);
	while (uds_crash_sweep_next(sweep, &state, NULL, &after) > 0) {
		struct run *next;

		if (state.mark == 0) {
			uds_crash_log_free(after);
			continue;
		}
		next = go_on(run, after, &state);
		cut_again(next);
		run_free(next);
		states += 2;
	}
	uds_crash_sweep_free(sweep);
	return states;
}

START_TEST(cuts_at_random_points_lose_nothing_that_was_flushed)
{
	uint64_t wanted = test_scaled(1200), states = 0;

	for (uint64_t seed = 1; states < wanted; seed++) {
		struct run *run = run_whole((enum way)_i, seed);

		states += sweep(run, seed, 7);
		run_free(run);
	}
	printf("%llu states\n", (unsigned long long)states);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shards_move");
	TCase *tcase = tcase_create("shards_move");

	tcase_add_loop_test(tcase, requests_in_the_middle_of_a_move_are_answered_as_ever, 0, WAYS);
	tcase_add_loop_test(tcase, a_move_without_journals_is_made_durable_by_saves, 0, WAYS);
	tcase_add_test(tcase, only_names_of_slots_that_move_are_copied);
	tcase_add_test(tcase, a_name_that_comes_back_has_its_newest_data);
	tcase_add_loop_test(tcase, a_move_can_be_stopped_and_resumed_anywhere, 0, WAYS);
	tcase_add_test(tcase, a_resumed_move_reads_all_chapters_again);
	tcase_add_loop_test(tcase, a_move_can_be_abandoned_when_opening, 0, WAYS);
	tcase_add_test(tcase, what_cannot_be_moved_is_refused);
	tcase_add_loop_test(tcase, any_operation_of_a_shard_may_fail, 0, WAYS);
	tcase_add_test(tcase, a_target_that_fails_costs_requests_nothing);
	tcase_add_loop_test(tcase, a_manifest_that_fails_leaves_both_places_right, 0, WAYS);
	tcase_add_test(tcase, a_flush_fails_while_the_home_after_a_crash_is_unknown_and_fails);
	tcase_add_loop_test(tcase, every_allocation_of_a_move_may_fail, 0, WAYS);
	tcase_add_loop_test(tcase, cuts_at_random_points_lose_nothing_that_was_flushed, 0, WAYS);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
