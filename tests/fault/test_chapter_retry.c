/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A chapter that cannot be written: each write and each flush of its sequence fails, once, again in
 * the next attempt, or for good. The index goes on from memory, says what is not durable, and what
 * is on the device after a successful attempt is what there would have been. Power cuts on the way
 * lose nothing that was promised.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "crash.h"
#include "fault_io.h"
#include "names.h"
#include "small_index.h"
#include "torture_env.h"

#define CHAPTERS 6
#define CLOSED	 8 /* the chapter that is made to fail: the volume was full once */

enum { WITH_EXTRAS = 1, WITH_SAVE = 2, WITH_ZONES = 4, SHAPES = 8 };

struct life {
	struct small_shape shape;
	uint64_t index_bytes; /* without its extras */
	struct torture_env torture;
	struct fault_plan plan;
	struct uds_crash_log *log;
	struct uds_io *io;
	struct uds_index *index;
	unsigned int zones;
	uint64_t now;
	uint64_t posted; /* names 0 to posted - 1 */
	uint64_t events; /* before the chapter that fails */
	_Atomic unsigned int errors, notices;
	char last_error[600];
};

static struct life life;

static uint64_t tick(void *context)
{
	(void)context;
	return ++life.now;
}

static void count_words(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	if (level == UDS_LOG_ERROR) {
		life.errors++;
		snprintf(life.last_error, sizeof(life.last_error), "%s", sentence);
	}
	if (level == UDS_LOG_NOTICE)
		life.notices++;
}

static void open_index(struct uds_io *io)
{
	struct uds_message message;
	int r = small_index_open(io, &life.torture.env, life.zones, UDS_INDEX_LOAD_OR_RECOVER,
				 &message, &life.index);

	ck_assert_msg(r == 0, "%s", message.text);
}

static void begin_life(unsigned int shape, uint32_t chapters)
{
	struct uds_message message;

	memset(&life, 0, sizeof(life));
	torture_env_start(&life.torture);
	life.torture.env.now_ms = tick;
	life.torture.env.log = count_words;
	fault_plan_start(&life.plan);
	life.plan.partial_bytes = 3000;
	life.zones = (shape & WITH_ZONES) != 0 ? 3 : 1;
	small_index_shape(1, chapters, &life.shape);
	life.index_bytes = life.shape.bytes;
	if ((shape & WITH_EXTRAS) != 0)
		small_index_add_extras(&life.shape);
	life.log = crash_log();
	crash_add(life.log, NULL, life.shape.bytes, 1);
	ck_assert_int_eq(fault_io_open(&life.plan, crash_open(life.log, 0), NULL, &life.io), 0);
	ck_assert_int_eq(small_index_create(&life.shape, life.io, &life.torture.env, &message), 0);
	open_index(life.io);
}

static void end_life(void)
{
	ck_assert_int_eq(uds_index_close(life.index), 0);
	ck_assert_int_eq(uds_io_close(life.io), 0);
	uds_crash_log_free(life.log);
	fault_plan_end(&life.plan);
	torture_env_end(&life.torture);
}

static uint64_t open_chapter(void)
{
	return small_index_open_chapter(life.index, NULL);
}

static struct uds_index_statistics statistics(void)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;

	ck_assert_int_eq(uds_index_get_statistics(life.index, &s), 0);
	return s;
}

static int run(uint8_t kind, uint64_t name, bool *ret_found)
{
	struct uds_request request = { .kind = kind };
	int r;

	make_name(1, name, &request.name);
	make_data('r', name, 0, &request.new_data);
	r = uds_index_run(life.index, &request, 1);
	ck_assert_int_eq(request.status, r);
	if (ret_found != NULL)
		*ret_found = request.found;
	/* An update by these tests stores what is there. */
	if (r == 0 && request.found && kind != UDS_DELETE)
		ck_assert_mem_eq(&request.old_data, &request.new_data, sizeof(request.new_data));
	return r;
}

static void post(void)
{
	bool found;

	ck_assert_int_eq(run(UDS_POST, life.posted, &found), 0);
	ck_assert(!found);
	life.posted++;
}

static void post_until_chapter(uint64_t chapter)
{
	while (open_chapter() < chapter)
		post();
}

static void check_sentence(const struct uds_message *message, const char *text)
{
	ck_assert_msg(strstr(message->text, text) != NULL, "'%s' is not in '%s'", text,
		      message->text);
}

/*
 * Of the names in [@first, life.posted) that are not evicted each is there, or was never promised.
 */
static uint64_t count_found(uint64_t first)
{
	uint64_t count = 0;
	bool found;

	for (uint64_t i = first; i < life.posted; i++) {
		ck_assert_int_eq(run(UDS_PEEK, i, &found), 0);
		count += found;
	}
	return count;
}

/* Everything of the @chapters before the open one. A chapter has at most so many records. */
static void check_all_found(uint64_t chapters)
{
	uint64_t most = chapters * life.shape.records;
	uint64_t first = life.posted > most ? life.posted - most : 0;

	/* With several zones, chapters close before they are full. */
	if (life.zones > 1)
		first = life.posted - (life.posted - first) / 2;
	ck_assert_uint_eq(count_found(first), life.posted - first);
}

/* Up to where the chapter is about to be closed. Returns how many names were promised by then. */
static uint64_t prepare(unsigned int shape)
{
	begin_life(shape, CHAPTERS);
	post_until_chapter(CLOSED);
	ck_assert_int_eq(uds_index_flush(life.index), 0);
	if ((shape & WITH_SAVE) != 0) {
		for (int i = 0; i < 20; i++)
			post();
		ck_assert_int_eq(uds_index_save(life.index), 0);
	}
	life.events = uds_crash_log_events(life.log);
	life.errors = life.notices = 0;
	return (shape & WITH_SAVE) != 0 ? life.posted : life.posted - life.shape.records / 2;
}

/* The bytes that there are when nothing fails, and how many writes and flushes there were. */
static uint8_t *reference(unsigned int shape, uint64_t *ret_operations, uint64_t *ret_after)
{
	uint8_t *bytes;

	prepare(shape);
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	post_until_chapter(CLOSED + 1);
	ck_assert_int_eq(uds_index_flush(life.index), 0);
	*ret_operations = fault_plan_count(&life.plan, FAULT_WRITE | FAULT_FLUSH);
	/*
	 * What comes behind the chapter: its checksums, whose failure is no failure of the chapter,
	 * and the journal of the flush.
	 */
	*ret_after = (shape & WITH_EXTRAS) != 0 ? 3 : 0;
	bytes = malloc(life.shape.bytes);
	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, crash_bytes(life.log, 0), life.shape.bytes);
	end_life();
	return bytes;
}

static void check_bytes(const uint8_t *wanted, uint64_t nth, uint64_t again)
{
	const uint8_t *bytes = crash_bytes(life.log, 0);

	/* The journal behind it has the records that were stored since. */
	for (uint64_t i = 0; i < life.index_bytes; i++)
		ck_assert_msg(bytes[i] == wanted[i],
			      "operations %" PRIu64 " and %" PRIu64 ": byte %" PRIu64, nth, again,
			      i);
}

/* The index on what a cut left: its newest names are those that were promised, or later ones. */
static void check_state(struct uds_crash_log *after, const char *text, uint64_t promised)
{
	struct uds_io *io = crash_open(after, 0);
	struct uds_index *index;
	struct uds_message message;
	uint64_t first = promised > 2 * life.shape.records ? promised - 2 * life.shape.records : 0;
	int r = small_index_open(io, &life.torture.env, life.zones, UDS_INDEX_LOAD_OR_RECOVER,
				 &message, &index);

	ck_assert_msg(r == 0, "%s: %s", text, message.text);
	for (uint64_t i = first; i < life.posted; i++) {
		struct uds_record_name name;
		struct uds_record_data data, wanted;
		bool found;

		make_name(1, i, &name);
		make_data('r', i, 0, &wanted);
		ck_assert_int_eq(uds_index_peek(index, &name, &data, &found), 0);
		ck_assert_msg(found || i >= promised, "%s: name %" PRIu64 " is gone", text, i);
		if (found)
			ck_assert_mem_eq(&data, &wanted, sizeof(data));
	}
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}

/*
 * @promised: before the chapter; a mark in the log has how many there are from then on.
 * @kind: in a run in part, which of the cuts are taken.
 */
static void cut_everywhere(uint64_t promised, uint64_t kind)
{
	struct uds_crash_log *after;
	struct crash_cuts cuts;

	crash_start(&cuts, life.log, 5);
	cuts.options.step = test_step();
	cuts.options.first = life.events + kind % test_step();
	while ((after = crash_next(&cuts)) != NULL) {
		check_state(after, cuts.state.text,
			    cuts.state.mark > 0 ? cuts.state.mark : promised);
		uds_crash_log_free(after);
	}
}

/*
 * The chapter fails at operation @nth and all after, then once more at number @again (0: not) of
 * the next attempt, and then no more.
 */
static void fail_twice(unsigned int shape, uint64_t nth, uint64_t again, uint64_t operations,
		       const uint8_t *wanted)
{
	const unsigned int kinds = FAULT_WRITE | FAULT_FLUSH;
	uint64_t promised = prepare(shape), records;
	struct uds_message message;
	bool sums_failed;
	int r;

	fault_plan_fail(&life.plan, kinds, nth, -ENOSPC, true);
	post_until_chapter(CLOSED + 1);
	records = life.posted;
	ck_assert_int_eq(uds_index_flush(life.index), -ENOSPC);
	uds_index_error_message(life.index, &message);
	if (statistics().unwritten_records > 0)
		check_sentence(&message, "records are not durable");
	else
		check_sentence(&message, "chapter 8: written: ");
	ck_assert_uint_eq(life.errors, 1);
	/* It goes on from memory, and nothing is missing. */
	for (int i = 0; i < 10; i++)
		post();
	check_all_found(2);
	ck_assert_int_eq(uds_index_save(life.index), -ENOSPC);
	fault_plan_fail(&life.plan, kinds, again, -EIO, false);
	r = uds_index_flush(life.index);
	ck_assert(r == 0 || (r == -EIO && life.plan.failed == 1));
	/* Checksums that cannot be written are written with the next chapter. */
	sums_failed = r == 0 && life.plan.failed == 1;
	/* What was durable before is not written again: records, index pages, then the save. */
	if (again == 0 && (shape & WITH_EXTRAS) == 0)
		ck_assert_uint_eq(fault_plan_count(&life.plan, kinds),
				  operations - (nth > 4 ? 4 : (nth - 1) / 2 * 2));
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	ck_assert_int_eq(uds_index_flush(life.index), 0);
	crash_mark(life.log, records);
	/* Said once that it failed, and once that it did not in the end. */
	ck_assert_uint_eq(life.errors, 1);
	ck_assert_uint_eq(life.notices, 1);
	ck_assert_uint_eq(statistics().unwritten_records, 0);
	if (!sums_failed)
		check_bytes(wanted, nth, again);
	check_all_found(2);
	if (again == nth % 3)
		cut_everywhere(promised, nth + shape);
	post_until_chapter(CLOSED + 2);
	ck_assert_int_eq(uds_index_save(life.index), 0);
	end_life();
}

START_TEST(each_write_and_flush_of_a_chapter_may_fail_twice)
{
	uint64_t operations, after;
	uint8_t *wanted = reference((unsigned int)_i, &operations, &after);

	ck_assert_uint_ge(operations, 4);
	for (uint64_t nth = 1; nth <= operations - after; nth++) {
		const uint64_t first = (nth + (uint64_t)_i) % test_step();

		for (uint64_t again = first; again <= operations - after; again += test_step())
			fail_twice((unsigned int)_i, nth, again, operations, wanted);
	}
	free(wanted);
}
END_TEST

/*
 * The failed write and the failed flush are the last that the index does: then it is opened again.
 */
START_TEST(what_was_promised_is_there_after_a_failure_for_good)
{
	uint64_t operations, after, promised;
	uint8_t *wanted = reference((unsigned int)_i, &operations, &after);

	free(wanted);
	for (uint64_t nth = 1; nth <= operations - after; nth++) {
		uint64_t unwritten;

		promised = prepare((unsigned int)_i);
		fault_plan_fail(&life.plan, FAULT_WRITE | FAULT_FLUSH, nth, -EIO, true);
		post_until_chapter(CLOSED + 1);
		ck_assert_int_eq(uds_index_flush(life.index), -EIO);
		unwritten = statistics().unwritten_records;
		ck_assert_int_eq(uds_index_close(life.index), -EIO);
		if (unwritten > 0)
			ck_assert_ptr_nonnull(strstr(life.last_error, "records are lost"));
		ck_assert_uint_eq(life.errors, unwritten > 0 ? 2 : 1);
		fault_plan_fail(&life.plan, 0, 0, 0, false);
		check_state(life.log, "reopened", unwritten > 0 ? promised : life.posted);
		cut_everywhere(promised, nth + (uint64_t)_i);
		open_index(life.io);
		end_life();
	}
}
END_TEST

/* The chapter before cannot be written, and the open one is full. */
static void get_stuck(unsigned int shape)
{
	struct uds_message message;

	prepare(shape);
	fault_plan_fail(&life.plan, FAULT_WRITE, 1, -ENOSPC, true);
	post_until_chapter(CLOSED + 1);
	while (run(UDS_POST, life.posted, NULL) == 0)
		life.posted++;
	uds_index_error_message(life.index, &message);
	check_sentence(&message, "No space left on device; 1");
	check_sentence(&message, " records are not durable");
	ck_assert_uint_eq(open_chapter(), CLOSED + 1);
}

static uint64_t count_writes(void)
{
	return fault_plan_count(&life.plan, FAULT_WRITE);
}

START_TEST(requests_that_need_no_room_go_on_when_the_chapter_is_full)
{
	uint64_t name, old, writes, deletions;
	bool found;

	get_stuck((unsigned int)_i);
	name = life.posted;
	old = life.posted - 2 * life.shape.records - 10; /* two chapters before: on the volume */
	/* What is not there is not stored. */
	ck_assert_int_eq(run(UDS_PEEK, name, &found), 0);
	ck_assert(!found);
	ck_assert_int_eq(run(UDS_UPDATE, name, NULL), -ENOSPC);
	while (run(UDS_QUERY, old, &found) == 0) {
		ck_assert(found && life.zones > 1);
		old++; /* one of a zone that has room */
	}
	ck_assert_int_eq(run(UDS_QUERY, old, NULL), -ENOSPC);
	ck_assert_uint_eq(life.errors, 1);

	/* None of these asks the device. */
	writes = count_writes();
	ck_assert_int_eq(run(UDS_PEEK, old, &found), 0);
	ck_assert(found);
	ck_assert_int_eq(run(UDS_QUERY, name, &found), 0);
	ck_assert(!found);
	for (uint64_t i = name - 5; i < name && life.zones == 1; i++) {
		ck_assert_int_eq(run(UDS_POST, i, &found), 0);
		ck_assert(found);
		ck_assert_int_eq(run(UDS_QUERY, i, &found), 0);
		ck_assert(found);
		ck_assert_int_eq(run(UDS_UPDATE, i, &found), 0);
		ck_assert(found);
	}
	deletions = statistics().deletions_found;
	ck_assert_int_eq(run(UDS_DELETE, old, &found), 0);
	ck_assert(found);
	ck_assert_int_eq(run(UDS_DELETE, name - 1, &found), 0);
	ck_assert(found);
	ck_assert_int_eq(run(UDS_PEEK, old, &found), 0);
	ck_assert(!found);
	ck_assert_uint_eq(statistics().deletions_found, deletions + 2);
	ck_assert_uint_eq(count_writes(), writes);
	ck_assert_uint_gt(statistics().unwritten_records, 0);

	/* The device works again: the next request that needs room brings everything back. */
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	ck_assert_int_eq(run(UDS_POST, name, &found), 0);
	ck_assert(!found);
	ck_assert_uint_eq(open_chapter(), CLOSED + 2);
	ck_assert_uint_eq(statistics().unwritten_records, 0);
	ck_assert_int_eq(uds_index_save(life.index), 0);
	ck_assert_int_eq(run(UDS_PEEK, name, &found), 0);
	ck_assert(found);
	end_life();
}
END_TEST

/* A load has no place for the last record of a chapter that is full: the save closes it first. */
START_TEST(a_save_closes_a_chapter_that_was_left_full)
{
	get_stuck((unsigned int)_i);
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	ck_assert_int_eq(uds_index_save(life.index), 0);
	ck_assert_uint_eq(open_chapter(), CLOSED + 2);
	ck_assert_uint_eq(statistics().unwritten_records, 0);
	ck_assert_int_eq(uds_index_close(life.index), 0);
	open_index(life.io);
	ck_assert_uint_eq(statistics().dropped_at_load, 0);
	check_all_found(2);
	end_life();
}
END_TEST

START_TEST(a_batch_asks_a_device_that_fails_once)
{
	struct uds_request requests[50] = { { .kind = 0 } };
	uint64_t writes;

	get_stuck(0);
	for (uint64_t i = 0; i < 50; i++) {
		make_name(1, life.posted + i, &requests[i].name);
		requests[i].kind = i % 2 == 0 ? UDS_POST : UDS_QUERY;
	}
	writes = count_writes();
	ck_assert_int_eq(uds_index_run(life.index, requests, 50), -ENOSPC);
	for (uint64_t i = 0; i < 50; i++)
		ck_assert_int_eq(requests[i].status, i % 2 == 0 ? -ENOSPC : 0);
	ck_assert_uint_eq(count_writes(), writes + 1);
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	ck_assert_int_eq(uds_index_run(life.index, requests, 50), 0);
	end_life();
}
END_TEST

/*
 * A chapter whose records were all deleted is not written, and must not block the index for ever.
 */
START_TEST(a_full_chapter_that_was_emptied_begins_anew)
{
	uint64_t first = life.posted, last;
	bool found;

	get_stuck((unsigned int)_i);
	first = life.posted - life.shape.records;
	for (last = life.posted; life.posted-- > first;)
		ck_assert_int_eq(run(UDS_DELETE, life.posted, &found), 0);
	life.posted = last;
	ck_assert_uint_eq(statistics().open_chapter_records, 0);
	/* Nothing is to be written for this: the device still fails. */
	for (int i = 0; i < 20; i++)
		post();
	ck_assert_uint_eq(open_chapter(), CLOSED + 1);
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	post_until_chapter(CLOSED + 3);
	ck_assert_int_eq(uds_index_save(life.index), 0);
	ck_assert_int_eq(run(UDS_PEEK, first, &found), 0);
	ck_assert(!found);
	ck_assert_int_eq(run(UDS_PEEK, last, &found), 0);
	ck_assert(found);
	end_life();
}
END_TEST

static int count_record(void *context, const struct uds_record_name *name,
			const struct uds_record_data *data)
{
	uint64_t *count = context;

	(void)name;
	(void)data;
	(*count)++;
	return 0;
}

START_TEST(a_walk_has_the_records_that_only_memory_has)
{
	uint64_t count = 0, there;

	get_stuck((unsigned int)_i);
	there = count_found(0);
	ck_assert_int_eq(uds_index_for_each(life.index, count_record, &count), 0);
	ck_assert_uint_eq(count, there);
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	ck_assert_int_eq(uds_index_flush(life.index), 0);
	count = 0;
	ck_assert_int_eq(uds_index_for_each(life.index, count_record, &count), 0);
	ck_assert_uint_eq(count, there);
	end_life();
}
END_TEST

/* One write of many was bad: nobody who asks afterwards need know, but the log does. */
START_TEST(a_flush_tries_again_by_itself)
{
	prepare(0);
	fault_plan_fail(&life.plan, FAULT_WRITE, 1, -EIO, false);
	post_until_chapter(CLOSED + 1);
	ck_assert_int_eq(uds_index_flush(life.index), 0);
	ck_assert_uint_eq(life.plan.failed, 1);
	ck_assert_uint_eq(life.errors, 1);
	ck_assert_uint_eq(life.notices, 1);
	end_life();
}
END_TEST

START_TEST(closing_tries_again_by_itself)
{
	prepare(0);
	fault_plan_fail(&life.plan, FAULT_FLUSH, 2, -EIO, false);
	post_until_chapter(CLOSED + 1);
	ck_assert_int_eq(uds_index_close(life.index), 0);
	ck_assert_uint_eq(life.plan.failed, 1);
	open_index(life.io);
	check_all_found(1);
	end_life();
}
END_TEST

#define THREADS 4
#define NAMES	700 /* of each thread */

struct worker {
	pthread_t thread;
	unsigned int number;
	bool stored[NAMES];
};

static _Atomic unsigned int working;

static void *store_names(void *argument)
{
	struct worker *worker = argument;

	for (uint64_t i = 0; i < NAMES; i++) {
		uint64_t name = 100000 * (worker->number + 1) + i;
		int r = run(UDS_POST, name, NULL);

		ck_assert(r == 0 || r == -ENOSPC);
		worker->stored[i] = r == 0;
		if (i % 50 == 7) {
			r = uds_index_flush(life.index);
			ck_assert(r == 0 || r == -ENOSPC);
		}
		if (i % 200 == 150) {
			r = uds_index_save(life.index);
			ck_assert(r == 0 || r == -ENOSPC);
		}
	}
	working--;
	return NULL;
}

/* The device has no room now and then, while threads store, flush and save. */
START_TEST(threads_go_on_beside_a_device_that_fails_now_and_then)
{
	static struct worker workers[THREADS];
	uint64_t refused = 0;

	begin_life(WITH_EXTRAS | WITH_ZONES, 4 * NAMES / 100);
	memset(workers, 0, sizeof(workers));
	working = THREADS;
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i].number = i;
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, store_names, &workers[i]),
				 0);
	}
	for (unsigned int i = 0; working > 0; i++) {
		fault_plan_fail(&life.plan, FAULT_WRITE | FAULT_FLUSH, i % 2 == 0 ? 1 + i % 7 : 0,
				-ENOSPC, i % 4 == 0);
		if (i % 8 == 0)
			(void)uds_index_flush(life.index);
		usleep(i % 2 == 0 ? 1000 : 100);
	}
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	ck_assert_int_eq(uds_index_save(life.index), 0);
	ck_assert_int_eq(uds_index_close(life.index), 0);
	open_index(life.io);
	/* Those of the last chapters: the others have left. */
	for (unsigned int i = 0; i < THREADS; i++) {
		for (uint64_t n = 0; n < NAMES; n++)
			refused += !workers[i].stored[n];
		for (uint64_t n = NAMES - 20; n < NAMES; n++) {
			bool found;

			ck_assert_int_eq(run(UDS_PEEK, 100000 * (i + 1) + n, &found), 0);
			ck_assert(found || !workers[i].stored[n]);
		}
	}
	printf("%llu requests refused\n", (unsigned long long)refused);
	end_life();
}
END_TEST

/* A file with holes on a file system without room, as far as its writes go. */
START_TEST(a_device_that_is_full_in_the_middle_of_a_chapter)
{
	prepare(0);
	for (uint64_t room = 0; room < 3; room++) {
		uint64_t chapter = open_chapter();

		fault_plan_fill_after(&life.plan, room * 3000);
		post_until_chapter(chapter + 1);
		ck_assert_int_eq(uds_index_flush(life.index), room < 3 ? -ENOSPC : 0);
		check_all_found(2);
		fault_plan_fill_after(&life.plan, UINT64_MAX);
		ck_assert_int_eq(uds_index_flush(life.index), 0);
		check_all_found(2);
	}
	end_life();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chapter_retry");
	TCase *tcase = tcase_create("chapter_retry");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, each_write_and_flush_of_a_chapter_may_fail_twice, 0, SHAPES);
	tcase_add_loop_test(tcase, what_was_promised_is_there_after_a_failure_for_good, 0, SHAPES);
	tcase_add_loop_test(tcase, requests_that_need_no_room_go_on_when_the_chapter_is_full, 0,
			    SHAPES);
	tcase_add_loop_test(tcase, a_save_closes_a_chapter_that_was_left_full, 0, SHAPES);
	tcase_add_test(tcase, a_batch_asks_a_device_that_fails_once);
	tcase_add_loop_test(tcase, a_full_chapter_that_was_emptied_begins_anew, 0, WITH_ZONES);
	tcase_add_loop_test(tcase, a_walk_has_the_records_that_only_memory_has, 0, SHAPES);
	tcase_add_test(tcase, a_flush_tries_again_by_itself);
	tcase_add_test(tcase, closing_tries_again_by_itself);
	tcase_add_test(tcase, threads_go_on_beside_a_device_that_fails_now_and_then);
	tcase_add_test(tcase, a_device_that_is_full_in_the_middle_of_a_chapter);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
