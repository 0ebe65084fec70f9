/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenarios of an index.
 *
 * What is promised: a flush makes the chapters closed before it durable, and with a journal
 * everything that was done before it. A save makes everything before it durable, for good: when the
 * chapter that it has open is closed, the records are in the save until they are on the volume.
 * Marks in the log are places in the list of promises.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../format/convert.h"
#include "check_main.h"
#include "geometry/geometry.h"
#include "given_io.h"
#include "names.h"
#include "scenario.h"
#include "small_index.h"
#include "volume/layout.h"

#define CUT 4096u /* of the device in front of a converted index */

struct index_world {
	struct world base;
	struct small_shape shape;
	uint64_t offset;
	unsigned int zones;
	struct uds_index *index;
	struct geometry converted; /* of an index that was */
	struct history history;
	bool journal; /* that the index has, and is used: flushes keep everything */
	bool asked;   /* the cut left a damaged header: what may be lost had to be given up */
	struct history_promise promises[400];
	uint32_t promise_count;
};

static uint64_t now;

static uint64_t tick(void *context)
{
	(void)context;
	return ++now;
}

static uint64_t events_of(void *log)
{
	return uds_crash_log_events(log);
}

static struct index_world *index_of(struct world *world)
{
	return (struct index_world *)(void *)world;
}

/* ---- promises ---- */

static void promise(struct index_world *w, const struct history_promise *made)
{
	ck_assert_uint_lt(w->promise_count, sizeof(w->promises) / sizeof(w->promises[0]));
	w->promises[w->promise_count] = *made;
	crash_mark(w->base.log, w->promise_count++);
}

static struct history_promise last_promise(const struct index_world *w)
{
	return w->promises[w->promise_count - 1];
}

static void promise_save(struct index_world *w)
{
	struct history_promise made = last_promise(w);

	made.chapters = made.saved_chapter = small_index_open_chapter(w->index, NULL);
	made.steps = w->history.count;
	if (w->journal)
		made.deletions = w->history.count;
	promise(w, &made);
}

/* ---- steps of a life; none of them does anything after a failure ---- */

static void open_losing(struct index_world *w, struct uds_io *io, enum uds_index_mode mode,
			bool lose_records)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };

	if (w->base.status < 0)
		return;
	options.env = &w->base.env;
	options.zones = w->zones;
	options.mode = mode;
	options.offset = w->offset;
	options.lose_records = lose_records;
	options.threads = w->zones > 1 ? 2 : 1;
	options.cache_bytes = 65536; /* small, so that pages are read from the I/O */
	world_note(&w->base, uds_index_open(io, &options, &message, &w->index), &message);
}

static void open_on(struct index_world *w, struct uds_io *io, enum uds_index_mode mode)
{
	open_losing(w, io, mode, false);
}

static void open_as(struct index_world *w, enum uds_index_mode mode)
{
	open_on(w, w->base.io[0], mode);
}

static void create(struct index_world *w)
{
	struct uds_message message = { "" };

	world_note(&w->base, small_index_create(&w->shape, w->base.io[0], &w->base.env, &message),
		   &message);
}

static void close_index(struct index_world *w)
{
	struct uds_message message = { "closing" }; /* it has no sentence of its own */
	struct uds_index *index = w->index;

	if (w->base.status < 0)
		return;
	w->index = NULL;
	world_note(&w->base, uds_index_close(index), &message);
}

static void note(struct index_world *w, int status)
{
	struct uds_message message = { "" };

	if (status < 0)
		uds_index_error_message(w->index, &message);
	world_note(&w->base, status, &message);
}

static void steps(struct index_world *w, uint32_t count)
{
	uint32_t end = w->history.count + count;

	while (w->base.status == 0 && w->history.count < end)
		world_note(&w->base, history_run(&w->history, w->index, count < 16 ? count : 16),
			   &w->history.message);
}

/* @refused: a status after which nothing is promised; 0: none. */
static void flush_unless(struct index_world *w, int refused)
{
	uint64_t closed;
	int r;

	if (w->base.status < 0)
		return;
	closed = small_index_open_chapter(w->index, NULL);
	r = uds_index_flush(w->index);
	if (r == 0 || r != refused)
		note(w, r);
	history_look(&w->history, w->index);
	if (r == 0 && w->base.status == 0) {
		struct history_promise made = last_promise(w);

		made.chapters = closed;
		if (w->journal)
			made.steps = made.deletions = w->history.count;
		promise(w, &made);
	}
}

static void flush(struct index_world *w)
{
	flush_unless(w, 0);
}

static void save(struct index_world *w)
{
	if (w->base.status < 0)
		return;
	note(w, uds_index_save(w->index));
	history_look(&w->history, w->index);
	if (w->base.status == 0)
		promise_save(w);
}

/* Makes an index and opens it. */
static void begin(struct index_world *w)
{
	create(w);
	world_begin_cuts(&w->base);
	open_as(w, UDS_INDEX_LOAD_OR_RECOVER);
}

/*
 * Closes without a save and opens again: the history knows nothing for certain but
 * what was promised.
 */
static void drop_and_open(struct index_world *w)
{
	struct history before = w->history;
	struct history_promise kept = last_promise(w);

	close_index(w);
	open_as(w, UDS_INDEX_LOAD_OR_RECOVER);
	if (w->base.status < 0)
		return;
	history_continue(&before, before.count, &kept, &w->history);
	history_end(&before);
}

/* ---- lives ---- */

/* Several chapters, with flushes between. */
static void live_fill(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	for (int i = 0; i < 3; i++) {
		steps(w, 112);
		flush(w);
	}
	close_index(w);
}

/* Around the volume twice: each slot is written over. */
static void live_wrap(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	for (int i = 0; i < 8; i++) {
		steps(w, 160);
		flush(w);
	}
	close_index(w);
}

static void live_save(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	steps(w, 300);
	save(w);
	close_index(w);
}

/* Both slots in turn, without a chapter between. */
static void live_save_again(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	steps(w, 200);
	for (int i = 0; i < 4; i++) {
		save(w);
		steps(w, 16);
	}
	close_index(w);
}

/*
 * Between two parts of a save: requests that close chapters, and flushes, as another thread may
 * call them. One that has to save since a call has failed is refused here, and promises nothing.
 */
static int go_on_while_saving(void *context, uint64_t done, uint64_t total)
{
	struct index_world *w = context;

	(void)done;
	(void)total;
	steps(w, 48);
	flush_unless(w, w->base.plan != NULL ? -EDEADLK : 0);
	return 0;
}

/* What was done before the save is durable with it, whatever came while it was made. */
static void promise_checkpoint(struct index_world *w, uint64_t open_chapter, uint32_t count)
{
	struct history_promise made = last_promise(w);

	if (made.steps < count)
		made.steps = count;
	if (made.chapters < open_chapter)
		made.chapters = open_chapter;
	made.saved_chapter = open_chapter;
	if (w->journal && made.deletions < count)
		made.deletions = count;
	promise(w, &made);
}

/* Chapters are closed while saves are made: none, one, or more than the volume has. */
static void live_checkpoint(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	for (int i = 0; i < 5 && world->status == 0; i++) {
		uint64_t open_chapter;
		uint32_t count;

		steps(w, i == 3 ? 16 : 100);
		if (world->status < 0)
			break;
		open_chapter = small_index_open_chapter(w->index, NULL);
		count = w->history.count;
		note(w, uds_index_save_reporting(w->index, go_on_while_saving, w));
		history_look(&w->history, w->index);
		if (world->status == 0)
			promise_checkpoint(w, open_chapter, count);
		if (i == 2)
			drop_and_open(w);
	}
	close_index(w);
}

/* Chapters are closed after each save, which is of no use then. */
static void live_save_then_chapters(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	for (int i = 0; i < 3; i++) {
		steps(w, 100);
		save(w);
		steps(w, 250);
		flush(w);
	}
	close_index(w);
}

static void live_load_then_write(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	steps(w, 250);
	save(w);
	for (int i = 0; i < 3; i++) {
		close_index(w);
		open_as(w, UDS_INDEX_LOAD);
		steps(w, 150);
		save(w);
	}
	close_index(w);
}

static void live_recover_then_write(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	steps(w, 300);
	flush(w);
	for (int i = 0; i < 3; i++) {
		drop_and_open(w);
		steps(w, 150);
		if (i == 1)
			save(w);
		flush(w);
	}
	close_index(w);
}

/* The mix decides what it is about. */
static void live_usual(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	for (int i = 0; i < 3; i++) {
		steps(w, 256);
		flush(w);
		steps(w, 64);
		save(w);
		steps(w, 32);
	}
	close_index(w);
}

/* Chapters of two index pages, which a cut may tear apart. */
static void live_large_chapters(struct world *world)
{
	struct index_world *w = index_of(world);

	ck_assert_uint_gt(w->shape.index_pages, 1);
	begin(w);
	steps(w, 5000);
	flush(w);
	steps(w, 1000);
	save(w);
	steps(w, 3000);
	flush(w);
	close_index(w);
}

/* A recovery by another program finds deleted records again. */
static void forget_deletions(struct index_world *w)
{
	struct history_promise made = last_promise(w);

	made.deletions = 0;
	promise(w, &made);
}

/* A program that knows nothing of extras: it sees a device that ends where they begin. */
static void live_foreign_writer(struct world *world)
{
	struct index_world *w = index_of(world);
	struct small_shape bare;
	struct uds_io *narrow;

	small_index_shape(1, w->shape.chapters, &bare);
	begin(w);
	for (int i = 0; i < 2; i++) {
		steps(w, 150);
		save(w);
		close_index(w);
		narrow = narrow_io(w->base.io[0], bare.bytes, NULL);
		w->journal = false;
		forget_deletions(w);
		open_on(w, narrow, UDS_INDEX_LOAD_OR_RECOVER);
		steps(w, i == 0 ? 150 : 16);
		save(w);
		close_index(w);
		/* After a failure the index goes before its device does. */
		uds_index_close(w->index);
		w->index = NULL;
		ck_assert_int_eq(uds_io_close(narrow), 0);
		open_as(w, UDS_INDEX_LOAD);
		w->journal = true;
		steps(w, 150);
		flush(w);
	}
	close_index(w);
}

/* ---- several callers ---- */

#define CALLERS 3

struct caller {
	pthread_t thread;
	struct index_world *w;
	uint64_t number;
	int status;
	struct uds_message message;
};

/* Names that no history has; which of them are evicted when depends on the threads. */
static void *call_often(void *context)
{
	struct caller *caller = context;
	struct uds_request requests[16];

	for (uint64_t first = 0; first < 30 * 16 && caller->status == 0; first += 16) {
		memset(requests, 0, sizeof(requests));
		for (uint64_t i = 0; i < 16; i++) {
			requests[i].kind = i % 4 == 3 ? UDS_QUERY : UDS_POST;
			make_name(1000 + caller->number, (first + i) / 2, &requests[i].name);
			make_data('c', (first + i) / 2, 1, &requests[i].new_data);
		}
		caller->status = uds_index_run(caller->w->index, requests, 16);
		uds_index_error_message(caller->w->index, &caller->message);
		for (uint64_t i = 0; i < 16; i++) {
			if (requests[i].status == 0 && requests[i].found)
				ck_assert_mem_eq(&requests[i].old_data, &requests[i].new_data,
						 sizeof(requests[i].old_data));
		}
		if (caller->status == 0 && caller->number == 1 && first % 160 == 0) {
			caller->status = uds_index_flush(caller->w->index);
			uds_index_error_message(caller->w->index, &caller->message);
		}
	}
	return NULL;
}

/* Others use the index at the same time, and close chapters too. */
static void live_callers(struct world *world)
{
	struct index_world *w = index_of(world);
	struct caller callers[CALLERS];

	begin(w);
	if (world->status < 0)
		return;
	for (uint64_t i = 0; i < CALLERS; i++) {
		callers[i] = (struct caller){ .w = w, .number = i };
		ck_assert_int_eq(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]),
				 0);
	}
	steps(w, 200);
	flush(w);
	steps(w, 200);
	save(w);
	for (uint64_t i = 0; i < CALLERS; i++) {
		ck_assert_int_eq(pthread_join(callers[i].thread, NULL), 0);
		world_note(world, callers[i].status, &callers[i].message);
	}
	/* What the others did has moved the history's chapters on. */
	steps(w, 16);
	close_index(w);
}

static void live_create(struct world *world)
{
	struct index_world *w = index_of(world);

	world->first_cut = 0;
	create(w);
	world->made = world->status == 0;
	world->forgets_flushes = true;
}

/* Saves are told apart by their time, so a clock that goes back must not confuse them. */
static void live_clock_back(struct world *world)
{
	struct index_world *w = index_of(world);

	now += 1000000;
	begin(w);
	for (int i = 0; i < 5; i++) {
		now -= 1000;
		steps(w, 48);
		save(w);
		close_index(w);
		open_as(w, UDS_INDEX_LOAD);
	}
	close_index(w);
}

/* The power goes, what is left recovers and goes on, and it goes again. */
static void live_after_a_cut(struct world *world)
{
	struct index_world *w = index_of(world);
	struct uds_crash_log *before = world->log;
	struct history_promise kept;
	struct history first;
	uint64_t cut;

	live_usual(world);
	if (world->status < 0)
		return;
	cut = world->first_cut +
	      world_random(world, uds_crash_log_events(before) - world->first_cut);
	kept = w->promises[uds_crash_log_mark_at(before, cut)];
	first = w->history;
	history_continue(&first, history_steps_at(&first, cut), &kept, &w->history);
	history_end(&first);
	for (uint32_t i = 0; i < w->history.count; i++)
		w->history.steps[i].time = 0;
	world_close_devices(world);
	world->log = world_cut(world, before, cut);
	uds_crash_log_free(before);
	w->history.clock_context = world->log;
	w->promise_count = 0;
	promise(w, &kept);
	world_open_devices(world, 1, world->plan);
	world->first_cut = 0;
	open_as(w, UDS_INDEX_LOAD_OR_RECOVER);
	steps(w, 64);
	save(w);
	steps(w, 250);
	flush(w);
	close_index(w);
}

/* ---- what a cut left ---- */

/* An index that was just saved: opens with mode LOAD and has it all. */
static void load_and_check(struct index_world *w, struct uds_io *io, const struct history *history,
			   const char *place)
{
	struct history_promise everything = { 0, history->count, false, history->count, 0 };

	open_on(w, io, UDS_INDEX_LOAD);
	ck_assert_msg(w->base.status == 0, "%s: loading what was saved: %s", place,
		      w->base.message.text);
	history_check(history, w->index, history->count, &everything, place);
	ck_assert_int_eq(uds_index_close(w->index), 0);
	w->index = NULL;
}

/* Runs steps, saves and closes. Marks say how many steps are promised then. */
static void store_and_save(struct index_world *w, struct uds_crash_log *log,
			   struct history *history, uint32_t count, const char *place)
{
	uint32_t end = history->count + count;
	int r;

	while (history->count < end)
		ck_assert_int_eq(history_run(history, w->index, 16), 0);
	r = uds_index_save(w->index);
	ck_assert_msg(r == 0, "%s: saving: %s", place, uds_strerror(r));
	history_look(history, w->index);
	crash_mark(log, history->count);
	ck_assert_int_eq(uds_index_close(w->index), 0);
	w->index = NULL;
}

static int report_finding(void *context, const char *sentence)
{
	fprintf(stderr, "%s: %s\n", (char *)context, sentence);
	return 0;
}

/* What was recovered and saved is whole. */
static void verify_saved(struct index_world *w, struct uds_io *io, const char *place)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	uint64_t findings = 0;
	char text[400];
	int r;

	snprintf(text, sizeof(text), "%s", place);
	options.env = &w->base.env;
	options.offset = w->offset;
	r = uds_index_verify(io, &options, report_finding, text, &message, &findings);
	ck_assert_msg(r == 0 && findings == 0, "%s: %" PRIu64 " findings, %s", place, findings,
		      message.text);
	w->base.verified++;
}

/* Whether the slot of a chapter still holds one so many chapters older. */
static bool slot_is_taken(const struct geometry *g, uint64_t vcn, uint64_t back)
{
	return vcn >= back &&
	       geometry_physical_chapter(g, vcn - back) == geometry_physical_chapter(g, vcn);
}

/*
 * In a converted index a save gives way to the chapter that it has open before that is durable, if
 * the slot of this still holds a chapter that the save can name (libuds_index(3),
 * uds_index_save()): one less than a round older, or a round for the save that the conversion left,
 * as that has the chapters of the index before it. Returns whether the save of the promise did, or
 * was about to.
 */
static bool save_gives_way(const struct index_world *w, const struct history *history,
			   uint32_t issued, const struct history_promise *promise)
{
	const struct geometry *g = &w->converted;
	uint64_t saved = promise->saved_chapter;

	return g->reduced && issued > 0 && history->steps[issued - 1].chapter_most > saved &&
	       (slot_is_taken(g, saved, g->chapters_per_volume - UINT64_C(1)) ||
		(saved == w->promises[0].saved_chapter &&
		 slot_is_taken(g, saved, g->chapters_per_volume)));
}

/* The second cut: somewhere in what went on after the first. */
static void cut_again(struct index_world *w, struct uds_crash_log *log,
		      const struct history *went_on, const struct history_promise *kept,
		      const char *place)
{
	uint64_t cut = world_random(&w->base, uds_crash_log_events(log) + 1);
	uint32_t issued = history_steps_at(went_on, cut), saved;
	struct uds_crash_log *after = world_cut(&w->base, log, cut);
	struct history_promise promised = *kept;
	struct uds_io *io = crash_open(after, 0);
	struct history history;
	char text[600];

	snprintf(text, sizeof(text), "%s; then cut %" PRIu64, place, cut);
	saved = (uint32_t)uds_crash_log_mark_at(log, cut);
	if (save_gives_way(w, went_on, issued, kept))
		promised.steps = 0;
	if (saved > 0)
		promised.steps = saved;
	promised.saved_chapter = 0;
	open_on(w, io, UDS_INDEX_LOAD_OR_RECOVER);
	/* The same question, until a save has answered it for good. */
	if (w->base.status == UDS_ERR_WOULD_LOSE_RECORDS && w->asked && saved == 0) {
		w->base.status = 0;
		open_losing(w, io, UDS_INDEX_LOAD_OR_RECOVER, true);
	}
	ck_assert_msg(w->base.status == 0, "%s: %s", text, w->base.message.text);
	history_check(went_on, w->index, issued, &promised, text);
	history_continue(went_on, issued, &promised, &history);
	history.clock = NULL;
	store_and_save(w, after, &history, 16, text);
	load_and_check(w, io, &history, text);
	verify_saved(w, io, text);
	history_end(&history);
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_crash_log_free(after);
	w->base.cut_again++;
}

/*
 * The index that a cut left goes on: closes a chapter or not, saves, has it all, and is cut again.
 */
static void go_on(struct index_world *w, struct uds_crash_log *after, struct uds_io *io,
		  uint32_t issued, const struct history_promise *promised, uint64_t number,
		  const char *place)
{
	struct history history;

	history_continue(&w->history, issued, promised, &history);
	for (uint32_t i = 0; i < issued; i++)
		history.steps[i].time = 0;
	history.clock = events_of;
	history.clock_context = after;
	store_and_save(w, after, &history, number % 3 == 0 ? 160 : 16, place);
	load_and_check(w, io, &history, place);
	verify_saved(w, io, place);
	w->base.went_on++;
	if (number % 2 == 0)
		cut_again(w, after, &history, promised, place);
	history_end(&history);
}

static int ignore_finding(void *context, const char *sentence)
{
	(void)context, (void)sentence;
	return 0;
}

/* What a cut left may be incomplete, but it can be looked at. */
static void look_at(struct index_world *w, struct uds_io *io, const char *place)
{
	struct uds_index_info info = { .size = sizeof(info) };
	struct uds_index_info_options info_options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message;
	uint64_t findings;
	int r;

	options.env = info_options.env = &w->base.env;
	options.offset = info_options.offset = w->offset;
	info_options.check_save = true;
	r = uds_index_read_info(io, &info_options, &message, &info);
	ck_assert_msg(r == 0, "%s: info: %s", place, message.text);
	r = uds_index_verify(io, &options, ignore_finding, NULL, &message, &findings);
	ck_assert_msg(r == 0, "%s: verify: %s", place, message.text);
}

static bool is_garbage(uint32_t variant)
{
	return variant == UDS_CRASH_GARBAGE || variant == UDS_CRASH_ANY_GARBAGE;
}

/*
 * Opens what a cut left. Garbage in the header of a save that was being written may have been the
 * latest save: the library asks before it goes on without, and what was promised must be there
 * all the same.
 */
static void open_after(struct index_world *w, struct uds_io *io, enum uds_index_mode mode,
		       uint32_t variant)
{
	w->asked = false;
	open_on(w, io, mode);
	if (w->base.status != UDS_ERR_WOULD_LOSE_RECORDS || !is_garbage(variant))
		return;
	w->asked = true;
	w->base.status = 0;
	open_losing(w, io, mode, true);
}

/* While an index is being made there is none, or an empty one. */
static bool may_be_missing(const struct index_world *w, uint64_t cut)
{
	return w->history.count == 0 && cut < uds_crash_log_events(w->base.log);
}

static void check_index_cut(struct world *world, struct uds_crash_log *after,
			    const struct uds_crash_state *state, uint64_t number)
{
	struct index_world *w = index_of(world);
	struct history_promise promised = w->promises[state->mark];
	uint32_t issued = history_steps_at(&w->history, state->cut);
	const char *place = world_place(world, state->text);
	struct uds_io *io = crash_open(after, 0);

	if (save_gives_way(w, &w->history, issued, &promised)) {
		promised.steps = 0;
		/*
		 * Of its open chapter only the first sector is wiped at first: without checksums,
		 * garbage behind that is not told from records.
		 */
		if (is_garbage(state->variant)) {
			ck_assert_int_eq(uds_io_close(io), 0);
			return;
		}
	}
	open_after(w, io, number % 4 == 1 ? UDS_INDEX_READ_ONLY : UDS_INDEX_LOAD_OR_RECOVER,
		   state->variant);
	ck_assert_msg(world->status == 0 ||
			      (may_be_missing(w, state->cut) && world->message.text[0] != '\0'),
		      "%s: %s", place, world->message.text);
	if (world->status == 0) {
		history_check(&w->history, w->index, issued, &promised, place);
		if (number % 16 == 3)
			look_at(w, io, place);
		/* Neither looking, nor loading, nor recovering writes. */
		ck_assert_msg(uds_crash_log_events(after) == 0, "%s: it wrote", place);
		if (number % 16 == 0)
			go_on(w, after, io, issued, &promised, number / 16, place);
		ck_assert_int_eq(uds_index_close(w->index), 0);
		w->index = NULL;
	}
	world->status = 0;
	ck_assert_int_eq(uds_io_close(io), 0);
}

/* ---- after a failure ---- */

/* Asks for every name; nothing that comes without an error is wrong. */
static void check_open_index(struct world *world, const char *place)
{
	struct index_world *w = index_of(world);
	const struct history_promise none = { 0, 0, false, 0, 0 };
	struct uds_index *index = w->index;

	if (index == NULL)
		return;
	history_check(&w->history, index, w->history.count, &none, place);
	/* It may refuse to go on. If it says that it is saved it is. */
	for (int i = 0; i < 3; i++)
		history_run(&w->history, index, 16);
	if (uds_index_save(index) == 0)
		promise_save(w);
	history_look(&w->history, index);
	w->index = NULL;
	uds_index_close(index);
}

static void reopen_index(struct world *world)
{
	open_as(index_of(world), UDS_INDEX_LOAD_OR_RECOVER);
}

static void check_reopened_index(struct world *world, const char *place)
{
	struct index_world *w = index_of(world);
	struct history_promise kept = last_promise(w);
	struct history before = w->history;

	history_check(&w->history, w->index, w->history.count, &kept, place);
	history_continue(&before, before.count, &kept, &w->history);
	history_end(&before);
	store_and_save(w, world->log, &w->history, 32, place);
	load_and_check(w, world->io[0], &w->history, place);
	verify_saved(w, world->io[0], place);
}

/* ---- making worlds ---- */

/*
 * Where the moved chapter is says when it leaves, together with another one, which is made
 * up for later.
 */
static void learn_conversion(struct index_world *w, const uint8_t *bytes, uint64_t size)
{
	struct geometry *g = &w->converted;
	struct uds_message message;
	struct layout layout;
	struct uds_io *io = bytes_io(bytes, size);

	ck_assert_int_eq(layout_read(io, w->offset, &message, &layout), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	*g = layout.geometry;
	w->history.one_less_from = g->remapped_virtual + g->chapters_per_volume;
	w->history.one_less_end = w->history.one_less_from + g->remapped_physical;
}

/* A converted index has one chapter less, and begins behind the place of that one. */
static uint8_t *make_converted(struct index_world *w, uint64_t *ret_size)
{
	uint64_t size = w->shape.bytes;
	uint8_t *bytes = malloc(size);
	struct uds_io *memory;

	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(uds_io_open_memory(size, 4096, NULL, NULL, &memory), 0);
	ck_assert_int_eq(small_index_create(&w->shape, memory, &w->base.env, NULL), 0);
	open_on(w, memory, UDS_INDEX_LOAD);
	steps(w, 16 + (uint32_t)world_random(&w->base, 32) * 16 + w->base.scenario->before);
	ck_assert_int_eq(uds_index_save(w->index), 0);
	w->promises[0].saved_chapter = small_index_open_chapter(w->index, NULL);
	w->promises[0].chapters = w->promises[0].saved_chapter;
	w->promises[0].steps = w->history.count;
	close_index(w);
	ck_assert_int_eq(w->base.status, 0);
	ck_assert_int_eq(uds_io_read(memory, bytes, size, 0), 0);
	ck_assert_int_eq(uds_io_close(memory), 0);
	w->offset = convert_image(bytes, 0, CUT, now + 1);
	now += 2;
	*ret_size = size - CUT;
	memmove(bytes, bytes + CUT, size - CUT);
	learn_conversion(w, bytes, size - CUT);
	return bytes;
}

static void free_index_world(struct world *world)
{
	struct index_world *w = index_of(world);

	ck_assert_ptr_null(w->index);
	world_close_devices(world);
	history_end(&w->history);
	uds_crash_log_free(world->log);
	free(w);
}

static struct world *make_index_world(const struct scenario *scenario, uint64_t seed,
				      struct fault_plan *plan, const struct uds_env *env)
{
	/* With an odd number there would be no journal. */
	uint32_t few = scenario->extras ? 4 : 3;
	uint32_t chapters = scenario->chapters == 0 ? few : scenario->chapters;
	struct index_world *w = calloc(1, sizeof(*w));
	const struct uds_env usual = UDS_ENV_INIT;
	uint8_t *bytes = NULL;
	uint64_t size;

	ck_assert_ptr_nonnull(w);
	w->base.scenario = scenario;
	w->base.random = seed;
	w->base.env = env == NULL ? usual : *env;
	w->base.env.now_ms = tick;
	w->zones = scenario->zones;
	w->journal = scenario->extras;
	small_index_shape(scenario->record_pages == 0 ? 1 : scenario->record_pages, chapters,
			  &w->shape);
	w->shape.configuration.sparse_chapters_per_volume = scenario->sparse_chapters;
	w->shape.configuration.sparse_sample_rate = scenario->sparse_chapters == 0 ? 0 : 4;
	if (scenario->page_bytes != 0)
		w->shape.configuration.page_bytes = scenario->page_bytes;
	small_index_measure(&w->shape, scenario->extras);
	size = w->shape.bytes;
	/* In a sparse index most names of the old chapters are not found. */
	history_start(&w->history, chapters - scenario->sparse_chapters - scenario->converted,
		      w->shape.records * (chapters + 1), seed);
	w->history.look_every = scenario->record_pages > 1 ? 32 : 1;
	w->history.crowd = scenario->crowd;
	w->history.twins = scenario->twins;
	w->history.sparse = scenario->sparse_chapters > 0;
	if (scenario->mix != NULL)
		w->history.mix = *scenario->mix;
	if (scenario->converted)
		bytes = make_converted(w, &size);
	w->base.log = crash_log();
	crash_add(w->base.log, bytes, size, 4096);
	free(bytes);
	w->history.clock = events_of;
	w->history.clock_context = w->base.log;
	for (uint32_t i = 0; i < w->history.count; i++)
		w->history.steps[i].time = 0;
	crash_mark(w->base.log, w->promise_count++);
	world_open_devices(&w->base, 1, plan);
	return &w->base;
}

static const struct world_kind index_kind = {
	.survives_garbage = true,
	.make = make_index_world,
	.free = free_index_world,
	.check_cut = check_index_cut,
	.check_open = check_open_index,
	.reopen = reopen_index,
	.check_reopened = check_reopened_index,
};

static void live_converted(struct world *world)
{
	struct index_world *w = index_of(world);

	world_begin_cuts(world);
	open_as(w, UDS_INDEX_LOAD);
	for (int i = 0; i < 3; i++) {
		steps(w, 200);
		flush(w);
		steps(w, 32);
		save(w);
	}
	close_index(w);
}

/*
 * Chapters whose index has no room for some of their records, which must be found all the same:
 * after flushes, after saves, after chapters without either, and when the open chapter has no
 * room for them.
 */
static void live_crowd(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	flush(w);
	steps(w, 1200);
	flush(w);
	steps(w, 32);
	flush(w);
	steps(w, 2400);
	save(w);
	steps(w, 900);
	save(w);
	steps(w, 1000);
	flush(w);
	close_index(w);
}

/*
 * Names that share their address, two and two: saves, with requests and flushes beside them, and
 * chapters that close after them.
 */
static void live_twins(struct world *world)
{
	struct index_world *w = index_of(world);

	begin(w);
	for (int i = 0; i < 4 && world->status == 0; i++) {
		uint64_t open_chapter;
		uint32_t count;

		steps(w, 200);
		flush(w);
		steps(w, 48);
		if (world->status < 0)
			break;
		open_chapter = small_index_open_chapter(w->index, NULL);
		count = w->history.count;
		note(w, uds_index_save_reporting(w->index, go_on_while_saving, w));
		history_look(&w->history, w->index);
		if (world->status == 0)
			promise_checkpoint(w, open_chapter, count);
		steps(w, 64);
		flush(w);
		steps(w, 128);
		flush(w);
		if (i == 1)
			drop_and_open(w);
	}
	close_index(w);
}

/*
 * How often the journal was written from one end to the other: the highest number of a block tells.
 */
static uint64_t journal_laps(struct index_world *w)
{
	uint8_t block[BLOCK_BYTES];
	struct geometry geometry;
	uint64_t highest = 0, at;

	ck_assert_int_eq(geometry_make(&w->shape.configuration, &geometry, NULL), 0);
	at = w->shape.bytes - geometry_journal_blocks(&geometry) * BLOCK_BYTES;
	for (; at < w->shape.bytes; at += BLOCK_BYTES) {
		struct uds_message message = { "" };
		int r = uds_io_read(w->base.io[0], block, sizeof(block), at);

		if (r < 0) {
			uds_io_error_message(w->base.io[0], &message);
			world_note(&w->base, r, &message);
			return 0;
		}
		if (memcmp(block, "UDSjourn", 8) == 0 && get_le64(block + 24) > highest)
			highest = get_le64(block + 24);
	}
	return highest / geometry_journal_blocks(&geometry);
}

/*
 * More flushes than the journal has blocks, by far, and more to one chapter than fit: what is still
 * needed must not be written over.
 */
static void live_journal_wrap(struct world *world)
{
	struct index_world *w = index_of(world);
	uint64_t laps;

	begin(w);
	for (int i = 1; i <= 110; i++) {
		steps(w, 8);
		flush(w);
		if (i == 20)
			save(w);
	}
	close_index(w);
	laps = world->status == 0 ? journal_laps(w) : 0;
	ck_assert(world->status < 0 || laps >= 2);
}

static const struct history_mix deleting = { 60, 5, 5, 5, 5 }, updating = { 40, 5, 45, 5, 0 },
				promoting = { 50, 15, 0, 30, 5 };

const struct scenario index_scenarios[] = {
	{ .name = "create", .kind = &index_kind, .live = live_create },
	{ .name = "create with extras", .kind = &index_kind, .live = live_create, .extras = true },
	{ .name = "fill", .kind = &index_kind, .live = live_fill },
	{ .name = "fill with extras",
	  .kind = &index_kind,
	  .live = live_fill,
	  .costly = true,
	  .extras = true },
	{ .name = "wrap", .kind = &index_kind, .live = live_wrap },
	{ .name = "wrap with extras",
	  .kind = &index_kind,
	  .live = live_wrap,
	  .costly = true,
	  .extras = true },
	{ .name = "save", .kind = &index_kind, .live = live_save },
	{ .name = "save again", .kind = &index_kind, .live = live_save_again },
	{ .name = "save again with extras",
	  .kind = &index_kind,
	  .live = live_save_again,
	  .costly = true,
	  .extras = true },
	{ .name = "save, then chapters",
	  .kind = &index_kind,
	  .live = live_save_then_chapters,
	  .costly = true },
	{ .name = "checkpoint running", .kind = &index_kind, .live = live_checkpoint },
	{ .name = "checkpoint running with extras",
	  .kind = &index_kind,
	  .live = live_checkpoint,
	  .costly = true,
	  .extras = true,
	  .mix = &deleting },
	{ .name = "checkpoint running, three zones",
	  .kind = &index_kind,
	  .live = live_checkpoint,
	  .costly = true,
	  .zones = 3,
	  .extras = true },
	{ .name = "checkpoint running, sparse",
	  .kind = &index_kind,
	  .live = live_checkpoint,
	  .costly = true,
	  .chapters = 6,
	  .sparse_chapters = 3,
	  .extras = true },
	{ .name = "load, then write",
	  .kind = &index_kind,
	  .live = live_load_then_write,
	  .extras = true },
	{ .name = "recover, then write",
	  .kind = &index_kind,
	  .live = live_recover_then_write,
	  .costly = true,
	  .extras = true },
	{ .name = "delete", .kind = &index_kind, .live = live_usual, .mix = &deleting },
	{ .name = "update",
	  .kind = &index_kind,
	  .live = live_usual,
	  .extras = true,
	  .mix = &updating },
	{ .name = "promote", .kind = &index_kind, .live = live_usual, .mix = &promoting },
	{ .name = "delete with extras",
	  .kind = &index_kind,
	  .live = live_usual,
	  .costly = true,
	  .extras = true,
	  .mix = &deleting },
	{ .name = "promote with extras",
	  .kind = &index_kind,
	  .live = live_usual,
	  .costly = true,
	  .extras = true,
	  .mix = &promoting },
	{ .name = "sparse",
	  .kind = &index_kind,
	  .live = live_usual,
	  .chapters = 6,
	  .sparse_chapters = 3,
	  .extras = true },
	{ .name = "converted",
	  .kind = &index_kind,
	  .live = live_converted,
	  .chapters = 4,
	  .converted = true },
	{ .name = "converted a chapter later",
	  .kind = &index_kind,
	  .live = live_converted,
	  .costly = true,
	  .chapters = 4,
	  .converted = true,
	  .before = 128 },
	{ .name = "converted two chapters later",
	  .kind = &index_kind,
	  .live = live_converted,
	  .costly = true,
	  .chapters = 4,
	  .converted = true,
	  .before = 256 },
	{ .name = "three zones",
	  .kind = &index_kind,
	  .live = live_usual,
	  .costly = true,
	  .zones = 3,
	  .extras = true },
	{ .name = "several callers",
	  .kind = &index_kind,
	  .live = live_callers,
	  .costly = true,
	  .zones = 2,
	  .extras = true },
	{ .name = "foreign writer in between",
	  .kind = &index_kind,
	  .live = live_foreign_writer,
	  .extras = true },
	{ .name = "large chapters",
	  .kind = &index_kind,
	  .live = live_large_chapters,
	  .costly = true,
	  .record_pages = 24,
	  .chapters = 2 },
	{ .name = "journal wrap",
	  .kind = &index_kind,
	  .live = live_journal_wrap,
	  .record_pages = 4,
	  .extras = true },
	{ .name = "journal wrap, deleting",
	  .kind = &index_kind,
	  .live = live_journal_wrap,
	  .record_pages = 4,
	  .extras = true,
	  .mix = &deleting },
	{ .name = "names that crowd",
	  .kind = &index_kind,
	  .live = live_crowd,
	  .costly = true,
	  .record_pages = 2,
	  .page_bytes = 12288,
	  .zones = 2,
	  .extras = true,
	  .crowd = 70 },
	{ .name = "names that crowd, sparse",
	  .kind = &index_kind,
	  .live = live_crowd,
	  .costly = true,
	  .chapters = 6,
	  .sparse_chapters = 3,
	  .record_pages = 2,
	  .page_bytes = 12288,
	  .zones = 2,
	  .extras = true,
	  .crowd = 70 },
	{ .name = "twins",
	  .kind = &index_kind,
	  .live = live_twins,
	  .costly = true,
	  .chapters = 6,
	  .extras = true,
	  .mix = &deleting,
	  .twins = true },
	{ .name = "twins, sparse",
	  .kind = &index_kind,
	  .live = live_twins,
	  .costly = true,
	  .zones = 3,
	  .chapters = 8,
	  .sparse_chapters = 2,
	  .extras = true,
	  .mix = &deleting,
	  .twins = true },
	{ .name = "clock that goes back", .kind = &index_kind, .live = live_clock_back },
	{ .name = "two crashes in a row",
	  .kind = &index_kind,
	  .live = live_after_a_cut,
	  .extras = true },
};

const unsigned int index_scenario_count = sizeof(index_scenarios) / sizeof(index_scenarios[0]);
