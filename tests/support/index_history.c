/* SPDX-License-Identifier: BSD-2-Clause */
/* Making requests, remembering them, and judging answers. */
#include "index_history.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "check_main.h"

#define BATCH 64

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t next_random(struct history *history)
{
	return mix(history->random += UINT64_C(0x9e3779b97f4a7c15));
}

static struct uds_record_name make_name(const struct history *history, uint32_t number)
{
	struct uds_record_name name;

	put_le64(name.bytes, mix(2 * (uint64_t)number + 1));
	put_le64(name.bytes + 8, mix(2 * (uint64_t)number + 2));
	if (number % 100 < history->crowd)
		memset(name.bytes + 8, 0x33, 6);
	/* The first bytes are those of the volume index; the last two say what is a sample. */
	if (history->twins && number % 2 == 1) {
		struct uds_record_name twin = make_name(history, number - 1);

		memcpy(name.bytes, twin.bytes, 8);
		memcpy(name.bytes + 14, twin.bytes + 14, 2);
	}
	return name;
}

static struct uds_record_data make_data(uint32_t number, uint32_t step)
{
	struct uds_record_data data;

	put_le64(data.bytes, number);
	put_le64(data.bytes + 8, step);
	return data;
}

void history_start(struct history *history, uint64_t chapters, uint32_t names, uint64_t seed)
{
	const struct history_mix mix = HISTORY_MIX_INIT;

	memset(history, 0, sizeof(*history));
	history->mix = mix;
	history->chapters = chapters;
	history->names = names;
	history->random = seed;
	history->last = calloc(names, sizeof(*history->last));
	history->taken = calloc(names, sizeof(*history->taken));
	ck_assert(history->last != NULL && history->taken != NULL);
}

void history_end(struct history *history)
{
	free(history->steps);
	free(history->last);
	free(history->taken);
}

/* Whether what a step did is there after a failure, unless it left with its chapter. */
static bool is_promised(const struct history_step *step, uint32_t number,
			const struct history_promise *promise)
{
	return step->certain && step->puts &&
	       (step->chapter_most < promise->chapters || number < promise->steps);
}

/*
 * The chapter that may have been the open one when the first @issued steps had been issued, and no
 * more: what comes before the next step may have closed one.
 */
static uint64_t newest_after(const struct history *history, uint32_t issued)
{
	uint64_t before = issued > 0 ? history->steps[issued - 1].chapter_most : 0, next;

	next = issued < history->count ? history->steps[issued].chapter_least
				       : history->open_chapter;
	return before > next ? before : next;
}

static uint32_t twin_of(uint32_t name)
{
	return name ^ 1;
}

/* What a step did to the entries of its name and of the twin. */
static void note_taken(const struct history_step *step, bool *taken)
{
	if (step->takes)
		taken[twin_of(step->name)] = true;
	if (step->puts)
		taken[step->name] = false;
}

void history_continue(const struct history *history, uint32_t issued,
		      const struct history_promise *kept, struct history *ret_history)
{
	*ret_history = *history;
	ret_history->count = ret_history->room = issued;
	ret_history->open_chapter = newest_after(history, issued);
	ret_history->steps = calloc(issued + 1, sizeof(*history->steps));
	ret_history->last = calloc(history->names, sizeof(*history->last));
	ret_history->taken = calloc(history->names, sizeof(*history->taken));
	ck_assert(ret_history->steps != NULL && ret_history->last != NULL &&
		  ret_history->taken != NULL);
	for (uint32_t i = 0; i < issued; i++) {
		ret_history->steps[i] = history->steps[i];
		ret_history->steps[i].certain =
			kept != NULL && is_promised(&history->steps[i], i, kept);
		if (history->steps[i].puts || history->steps[i].kind == UDS_DELETE)
			ret_history->last[history->steps[i].name] = i + 1;
		note_taken(&history->steps[i], ret_history->taken);
	}
}

static uint64_t open_chapter(struct uds_index *index)
{
	struct uds_index_statistics statistics = { .size = sizeof(statistics) };

	ck_assert_int_eq(uds_index_get_statistics(index, &statistics), 0);
	return statistics.open_chapter;
}

void history_look(struct history *history, struct uds_index *index)
{
	history->open_chapter = open_chapter(index);
}

/* Mostly new names in a row, so that chapters fill; otherwise anything on any name. */
static void make_request(struct history *history, uint32_t step, struct uds_request *request,
			 struct history_step *record)
{
	const struct history_mix *mix = &history->mix;
	int dice = (int)(next_random(history) % 100);

	memset(record, 0, sizeof(*record));
	record->name = (uint32_t)(next_random(history) % history->names);
	record->kind = UDS_DELETE;
	if ((dice -= mix->post_next) < 0) {
		record->kind = UDS_POST;
		record->name = step % history->names;
	} else if ((dice -= mix->post) < 0) {
		record->kind = UDS_POST;
	} else if ((dice -= mix->update) < 0) {
		record->kind = UDS_UPDATE;
	} else if ((dice -= mix->query) < 0) {
		record->kind = UDS_QUERY;
	} else if ((dice -= mix->peek) < 0) {
		record->kind = UDS_PEEK;
	}
	memset(request, 0, sizeof(*request));
	request->name = make_name(history, record->name);
	request->new_data = make_data(record->name, step);
	request->kind = record->kind;
}

/* The data that a put or a move to the open chapter gives the name; whether there is one. */
static bool effect_of(const struct uds_request *request, uint32_t step, uint32_t *ret_data)
{
	bool moved = request->found && (request->kind == UDS_POST || request->kind == UDS_QUERY);
	bool stored = (request->kind == UDS_POST && !request->found) || request->kind == UDS_UPDATE;

	*ret_data = moved ? (uint32_t)get_le64(request->old_data.bytes + 8) : step;
	return moved || stored;
}

/* The step by which these data were stored for the name; ends the test when there is none. */
static uint32_t judge_data(const struct history *history, uint32_t name,
			   const struct uds_record_data *data, uint32_t issued, const char *place)
{
	uint64_t number = get_le64(data->bytes), step = get_le64(data->bytes + 8);

	ck_assert_msg(number == name, "%s: name %u has the data of name %llu", place, name,
		      (unsigned long long)number);
	ck_assert_msg(step < issued, "%s: name %u has data of step %llu, which was not yet", place,
		      name, (unsigned long long)step);
	ck_assert_msg(history->steps[step].name == name && history->steps[step].puts &&
			      history->steps[step].data == step,
		      "%s: name %u has data of step %llu, which stored none", place, name,
		      (unsigned long long)step);
	return (uint32_t)step;
}

/* Whether a chapter has not left when @open is the open one. */
static bool is_valid(const struct history *history, uint64_t chapter, uint64_t open)
{
	bool one_less = open >= history->one_less_from && open < history->one_less_end;

	return chapter + history->chapters - one_less > open;
}

/* Whether both steps may have put a record into one chapter; a replay may close one on the way. */
static bool may_share_chapter(const struct history_step *a, const struct history_step *b)
{
	return a->puts && b->puts && a->chapter_least <= b->chapter_most + 1 &&
	       b->chapter_least <= a->chapter_most + 1;
}

/* Whether a name that was deleted may be found by the entry of its twin, among so many steps. */
static bool may_be_found_by_twin(const struct history *history, uint32_t name, uint32_t count)
{
	for (uint32_t i = 0; history->twins && i < count; i++) {
		for (uint32_t n = 0; history->steps[i].name == name && n < count; n++) {
			if (history->steps[n].name == twin_of(name) &&
			    may_share_chapter(&history->steps[i], &history->steps[n]))
				return true;
		}
	}
	return false;
}

/* Whether a request may have taken the entry of the twin. */
static bool may_take(const struct history *history, const struct uds_request *request,
		     const struct history_step *record)
{
	const uint32_t last = history->last[record->name];

	if (!history->twins || !request->found || request->kind == UDS_PEEK ||
	    request->location == UDS_LOCATION_OPEN_CHAPTER)
		return false;
	return last == 0 || history->taken[record->name] || !history->steps[last - 1].certain ||
	       !history->steps[last - 1].puts;
}

/* An answer of an index that met no failure. */
static void judge_answer(const struct history *history, const struct uds_request *request,
			 const struct history_step *record, uint32_t step)
{
	const struct history_step *last = NULL;
	uint32_t data = 0;
	bool recent;

	if (request->found && request->kind != UDS_DELETE)
		data = judge_data(history, record->name, &request->old_data, step, "run");
	if (history->last[record->name] == 0) {
		ck_assert_msg(!request->found, "step %u: name %u was never stored", step,
			      record->name);
		return;
	}
	last = &history->steps[history->last[record->name] - 1];
	recent = is_valid(history, last->chapter_least, record->chapter_most);
	/* A deletion takes nothing out of sparse chapters. */
	if (!last->certain || (history->sparse && (!recent || !last->puts)) ||
	    history->taken[record->name])
		return;
	if (!last->puts && request->found && may_be_found_by_twin(history, record->name, step))
		return;
	if (!last->puts)
		ck_assert_msg(!request->found, "step %u: name %u was deleted", step, record->name);
	else if (recent)
		ck_assert_msg(request->found, "step %u: name %u of step %u is lost", step,
			      record->name, last->data);
	if (request->found && request->kind != UDS_DELETE)
		ck_assert_msg(last->data == data, "step %u: name %u has data of step %u, not of %u",
			      step, record->name, data, last->data);
}

static void grow(struct history *history, size_t count)
{
	if (history->count + count <= history->room)
		return;
	history->room = 2 * history->room + 1024;
	history->steps = realloc(history->steps, history->room * sizeof(*history->steps));
	ck_assert_ptr_nonnull(history->steps);
}

int history_run(struct history *history, struct uds_index *index, size_t count)
{
	struct uds_request requests[BATCH];
	uint32_t first = history->count;
	uint64_t least, most, time;
	int r;

	ck_assert_uint_le(count, BATCH);
	grow(history, count);
	for (uint32_t i = 0; i < count; i++)
		make_request(history, first + i, &requests[i], &history->steps[first + i]);
	least = open_chapter(index);
	r = uds_index_run(index, requests, count);
	uds_index_error_message(index, &history->message);
	most = open_chapter(index);
	time = history->clock == NULL ? 0 : history->clock(history->clock_context);
	for (uint32_t i = 0; i < count; i++) {
		struct history_step *record = &history->steps[first + i];
		const struct uds_request *request = &requests[i];

		record->chapter_least = least;
		record->chapter_most = most;
		record->time = time;
		record->certain = request->status == 0;
		ck_assert_msg(r < 0 || request->status == 0, "step %u: %d, but the batch went well",
			      first + i, request->status);
		if (record->certain) {
			judge_answer(history, request, record, first + i);
			record->puts = effect_of(request, first + i, &record->data);
			record->takes = may_take(history, request, record);
		} else {
			record->puts = request->kind == UDS_POST || request->kind == UDS_UPDATE;
			record->data = first + i;
		}
		if (record->puts ||
		    (record->kind == UDS_DELETE && (request->found || !record->certain)))
			history->last[record->name] = first + i + 1;
		note_taken(record, history->taken);
		history->count++;
	}
	history->open_chapter = most;
	return r;
}

uint32_t history_steps_at(const struct history *history, uint64_t time)
{
	uint32_t steps = 0;

	while (steps < history->count && history->steps[steps].time <= time)
		steps++;
	/* The batch that was running then. */
	if (steps < history->count) {
		uint64_t running = history->steps[steps].time;

		while (steps < history->count && history->steps[steps].time == running)
			steps++;
	}
	return steps;
}

/* What a name must answer. */
struct demand {
	uint32_t there; /* it must be there: the step since when, plus 1; 0: it need not */
	uint32_t age;	/* data of this step or a later one */
};

/* A deletion that is durable. */
static bool is_gone(const struct history_step *step, uint32_t number, uint64_t newest,
		    const struct history_promise *promise)
{
	return step->certain && (number < promise->deletions ||
				 (number < promise->steps && newest <= promise->saved_chapter));
}

static struct demand *make_demands(const struct history *history, uint32_t issued,
				   const struct history_promise *promise)
{
	struct demand *demands = calloc(history->names, sizeof(*demands));
	uint64_t newest = newest_after(history, issued);

	ck_assert_ptr_nonnull(demands);
	for (uint32_t i = 0; i < issued; i++) {
		const struct history_step *step = &history->steps[i];
		struct demand *demand = &demands[step->name];

		if (step->kind == UDS_DELETE) {
			/*
			 * A put that it took out of the open chapter is not in older ones; and it
			 * takes nothing out of sparse ones.
			 */
			demand->there = 0;
			demand->age = is_gone(step, i, newest, promise) && !history->sparse ? i : 0;
		} else if (is_promised(step, i, promise) &&
			   is_valid(history, step->chapter_least, newest)) {
			demand->there = i + 1;
			demand->age = step->data;
		}
		if (step->takes)
			demands[twin_of(step->name)].there = 0;
	}
	return demands;
}

uint32_t history_check(const struct history *history, struct uds_index *index, uint32_t issued,
		       const struct history_promise *promise, const char *place)
{
	struct demand *demands = make_demands(history, issued, promise);
	struct uds_request requests[BATCH];
	uint32_t every = history->look_every == 0 ? 1 : history->look_every;
	static uint32_t checks;
	uint32_t found = 0, count;
	int r;

	for (uint32_t first = checks++ % every; first < history->names; first += count * every) {
		count = (history->names - first + every - 1) / every;
		count = count < BATCH ? count : BATCH;

		memset(requests, 0, sizeof(requests));
		for (uint32_t i = 0; i < count; i++) {
			requests[i].kind = UDS_PEEK;
			requests[i].name = make_name(history, first + i * every);
		}
		r = uds_index_run(index, requests, count);
		ck_assert_msg(r == 0, "%s: peeking: %s", place, uds_strerror(r));
		for (uint32_t i = 0; i < count; i++) {
			uint32_t name = first + i * every, data;
			const struct demand *demand = &demands[name];

			ck_assert_msg(requests[i].found || demand->there == 0,
				      "%s: name %u, durable since step %u, is lost", place, name,
				      demand->there - 1);
			if (!requests[i].found)
				continue;
			found++;
			data = judge_data(history, name, &requests[i].old_data, issued, place);
			ck_assert_msg(data >= demand->age || promise->any_age ||
					      (demand->there == 0 &&
					       may_be_found_by_twin(history, name, issued)),
				      "%s: name %u has data of step %u, older than the durable %u",
				      place, name, data, demand->age);
		}
	}
	free(demands);
	return found;
}
