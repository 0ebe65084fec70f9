/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failures of the index beside those that test_failing_calls has: a life of an index (create,
 * open, fill, flush, save, reopen, crash, recover) on a device that says numbers with a
 * meaning of their own, or runs full at any block; and whatever only reads an index, with each
 * read and allocation failing.
 *
 * There are more reads in a life than a quick test can fail, so every so many is taken.
 * UDS_TEST_SCALE makes it that many times as many, for reads and for allocations; 8 takes all. Of
 * what is done for each one, a part makes it a part.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "index_history.h"
#include "small_index.h"
#include "torture_env.h"
#include "volume/layout.h"

#define NAMES 700

/* The phases of the life: to know how far it came. */
enum phase { CREATING, OPENING, RUNNING, REOPENING, RECOVERING, DONE };

struct life {
	struct small_shape shape;
	struct torture_env torture;
	struct fault_plan plan;
	struct uds_io *memory, *io;
	struct uds_index *index;
	struct history history;
	struct history_promise promise;
	enum phase phase;
	struct uds_message message;
	uint64_t now;
	_Atomic uint64_t words; /* log lines that a user should see */
};

static struct life life;

static uint64_t tick(void *context)
{
	(void)context;
	return ++life.now;
}

static void note_words(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	ck_assert_int_ne(sentence[0], '\0');
	if (level <= UDS_LOG_NOTICE)
		life.words++;
}

/* Nothing of the test's own is made to fail: its I/Os take memory elsewhere. */
static void begin_life(void)
{
	struct uds_io *below;

	memset(&life, 0, sizeof(life));
	torture_env_start(&life.torture);
	life.torture.env.now_ms = tick;
	life.torture.env.log = note_words;
	fault_plan_start(&life.plan);
	small_index_shape(1, 8, &life.shape);
	ck_assert_int_eq(uds_io_open_memory(life.shape.bytes, 4096, NULL, NULL, &below), 0);
	life.memory = below;
	ck_assert_int_eq(fault_io_open(&life.plan, below, NULL, &life.io), 0);
	history_start(&life.history, life.shape.chapters, NAMES, 12345);
}

static void end_life(void)
{
	ck_assert_int_eq(uds_io_close(life.io), 0);
	fault_plan_end(&life.plan);
	history_end(&life.history);
	torture_env_end(&life.torture);
}

static int open_index(enum uds_index_mode mode)
{
	life.message.text[0] = '\0';
	return small_index_open(life.io, &life.torture.env, 1, mode, &life.message, &life.index);
}

static int close_index(void)
{
	struct uds_index *index = life.index;

	life.index = NULL;
	return uds_index_close(index);
}

/* After an error: the sentence about it must be there. */
static int told(int status)
{
	if (status < 0) {
		life.message.text[0] = '\0';
		uds_index_error_message(life.index, &life.message);
	}
	return status;
}

static int run_steps(uint32_t steps)
{
	uint32_t end = life.history.count + steps;
	int r = 0;

	while (r == 0 && life.history.count < end) {
		r = history_run(&life.history, life.index, 16);
		/*
		 * What it asked for the open chapter since then has taken its sentence
		 * from the index.
		 */
		if (r < 0)
			life.message = life.history.message;
	}
	return r;
}

static int flush(void)
{
	uint64_t closed = small_index_open_chapter(life.index, NULL);
	int r = told(uds_index_flush(life.index));

	history_look(&life.history, life.index);
	if (r == 0)
		life.promise.chapters = closed;
	return r;
}

static int save(void)
{
	int r = told(uds_index_save(life.index));

	history_look(&life.history, life.index);
	if (r == 0) {
		life.promise.chapters = small_index_open_chapter(life.index, NULL);
		life.promise.steps = life.history.count;
	}
	return r;
}

/* Everything in order; stops at the first error. */
static int live(void)
{
	int r;

	life.phase = CREATING;
	life.message.text[0] = '\0';
	r = small_index_create(&life.shape, life.io, &life.torture.env, &life.message);
	if (r < 0)
		return r;
	life.phase = OPENING;
	r = open_index(UDS_INDEX_LOAD_OR_RECOVER);
	if (r < 0)
		return r;
	life.phase = RUNNING;
	r = run_steps(320);
	if (r == 0)
		r = flush();
	if (r == 0)
		r = save();
	if (r == 0)
		r = run_steps(64);
	if (r == 0)
		r = save();
	if (r < 0)
		return r;
	r = close_index();
	if (r < 0)
		return r;
	life.phase = REOPENING;
	r = open_index(UDS_INDEX_LOAD);
	if (r == 0)
		r = run_steps(400);
	if (r == 0)
		r = flush();
	if (r < 0)
		return r;
	r = close_index(); /* without saving: what is not in a closed chapter is lost */
	if (r < 0)
		return r;
	life.phase = RECOVERING;
	r = open_index(UDS_INDEX_LOAD_OR_RECOVER);
	if (r == 0) {
		struct history went_on;

		history_continue(&life.history, life.history.count, NULL, &went_on);
		history_end(&life.history);
		life.history = went_on;
		life.promise.chapters = life.promise.steps = 0;
		r = run_steps(200);
	}
	if (r == 0)
		r = save();
	if (r == 0)
		r = close_index();
	if (r == 0)
		life.phase = DONE;
	return r;
}

/* Asks for every name; requests may fail, but what comes without an error is right. */
static void peek_all(const char *place)
{
	struct history_promise none = { 0, 0, false, 0, 0 };

	history_check(&life.history, life.index, life.history.count, &none, place);
}

/*
 * The failure has passed: the index may refuse to go on, but what it answers is right, and if it
 * says that it is saved it is.
 */
static void go_on(void)
{
	for (int i = 0; i < 3; i++)
		history_run(&life.history, life.index, 16);
	if (uds_index_save(life.index) == 0) {
		life.promise.chapters = small_index_open_chapter(life.index, NULL);
		life.promise.steps = life.history.count;
	}
	history_look(&life.history, life.index);
}

/* Without the failure: an index that was made opens and has what was promised. */
static void check_again(const char *place)
{
	int r;

	r = open_index(UDS_INDEX_LOAD_OR_RECOVER);
	if (r < 0) {
		ck_assert_msg(life.phase == CREATING, "%s: reopening: %s", place,
			      life.message.text);
		ck_assert_msg(life.message.text[0] != '\0', "%s: no message", place);
		return;
	}
	history_check(&life.history, life.index, life.history.count, &life.promise, place);
	ck_assert_int_eq(close_index(), 0);
}

static const char *describe(const char *what, uint64_t nth, bool and_after)
{
	static char text[100];

	snprintf(text, sizeof(text), "%s %llu failing%s in phase %d", what, (unsigned long long)nth,
		 and_after ? " and all after" : "", (int)life.phase);
	return text;
}

/*
 * What the index reports when the device returns @number: the front of the I/O layer lets only
 * errors of the system pass, and the three statuses that a backend may know by itself.
 */
static int reported(int number)
{
	bool own = number < -4095 && number != UDS_ERR_OUT_OF_RANGE &&
		   number != UDS_ERR_READ_ONLY && number != UDS_ERR_UNALIGNED;

	return number > 0 || own ? -EIO : number;
}

/* One life with one failure. Returns false when it was too short for that. */
static bool fail_one(unsigned int kinds, uint64_t nth, int status, bool and_after)
{
	const char *place;
	bool failed;
	int r;

	begin_life();
	fault_plan_fail(&life.plan, kinds, nth, status, and_after);
	r = live();
	failed = life.plan.failed > 0;
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	place = describe("operation", nth, and_after);
	if (!failed)
		ck_assert_msg(r == 0 && life.phase == DONE, "%s: %s", place, life.message.text);
	if (r < 0) {
		ck_assert_msg(failed, "%s: %d without a failure", place, r);
		/*
		 * Inside of a save the end of the device is no end of a stream: an
		 * error like others.
		 */
		if (status == UDS_ERR_OUT_OF_RANGE && r == -EIO)
			ck_assert_msg(strstr(life.message.text, ": save ") != NULL, "%s: %s", place,
				      life.message.text);
		else
			ck_assert_msg(r == reported(status), "%s with %d: %s (%s)", place, status,
				      uds_strerror(r), life.message.text);
		ck_assert_msg(life.message.text[0] != '\0', "%s: no message", place);
	}
	if (life.index != NULL) {
		peek_all(place);
		go_on();
		close_index();
	}
	ck_assert_msg(life.torture.live == 0, "%s: %llu allocations leaked", place,
		      (unsigned long long)life.torture.live);
	check_again(place);
	end_life();
	return failed;
}

/* About @tries lives, with failures evenly spread over all operations of these kinds. */
static void fail_each(unsigned int kinds, int status, bool and_after, uint64_t tries)
{
	uint64_t nth = 1, step, count;

	begin_life();
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	ck_assert_int_eq(live(), 0);
	count = fault_plan_count(&life.plan, kinds);
	end_life();
	step = count / test_scaled(tries) + 1;
	printf("%llu operations in a life, every %lluth fails\n", (unsigned long long)count,
	       (unsigned long long)step);
	while (fail_one(kinds, nth, status, and_after))
		nth += step;
	ck_assert_uint_gt(nth, 10);
}

/*
 * Numbers with a meaning inside the library, as the device's: none of them may be taken for a
 * decision (no room, busy, not there, damaged, to be recovered), at any operation.
 */
static const int numbers[] = {
	-ENOSPC,
	-EBUSY,
	-EAGAIN,
	-ENOENT,
	-ENOMEM,
	-EEXIST,
	-EINVAL,
	-EINTR,
	-EOPNOTSUPP,
	1,
	512,
	UDS_ERR_CORRUPT,
	UDS_ERR_NOT_AN_INDEX,
	UDS_ERR_NEEDS_RECOVERY,
	UDS_ERR_OVERFLOW,
	UDS_ERR_DUPLICATE_NAME,
	UDS_ERR_STOPPED,
	UDS_ERR_NO_ROOM,
	UDS_ERR_WOULD_LOSE_RECORDS,
	UDS_ERR_OUT_OF_RANGE,
	UDS_ERR_READ_ONLY,
	UDS_ERR_UNALIGNED,
};

START_TEST(no_number_of_a_device_decides_anything)
{
	const unsigned int kinds = FAULT_ANY & ~(unsigned int)FAULT_CLOSE;

	fail_each(kinds, numbers[_i], _i % 2 == 1, 40);
}
END_TEST

/* Full at every block: also in the middle of a chapter and of a save. */
START_TEST(a_disk_that_runs_full_at_any_point)
{
	uint64_t blocks = 0;
	bool full = true;

	for (; full; blocks = test_next(blocks, 0)) {
		const char *place;
		int r;

		begin_life();
		fault_plan_fill_after(&life.plan, blocks * 4096);
		r = live();
		full = life.plan.failed > 0;
		fault_plan_fill_after(&life.plan, UINT64_MAX);
		place = describe("block", blocks, true);
		ck_assert_msg(r == (full ? -ENOSPC : 0), "%s: %s (%s)", place, uds_strerror(r),
			      life.message.text);
		if (life.index != NULL) {
			peek_all(place);
			go_on();
			close_index();
		}
		check_again(place);
		end_life();
	}
	ck_assert_uint_gt(blocks, 30);
}
END_TEST

/*
 * Those who look at a whole index: iterate, verify, info; on one that was saved and one
 * that was not.
 */
struct looking {
	int status;
	uint64_t records;
	uint64_t findings;
	uint64_t words;
};

static int count_record(void *context, const struct uds_record_name *name,
			const struct uds_record_data *data)
{
	(void)name, (void)data;
	((struct looking *)context)->records++;
	return 0;
}

static int count_finding(void *context, const char *sentence)
{
	ck_assert_int_ne(sentence[0], '\0');
	((struct looking *)context)->findings++;
	return 0;
}

static int verify_index(struct looking *looking)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	uint64_t findings = 12345;
	int r;

	options.env = &life.torture.env;
	looking->findings = 0;
	r = uds_index_verify(life.io, &options, count_finding, looking, &life.message, &findings);
	ck_assert(r < 0 || findings == looking->findings);
	return r;
}

static int look_at_all(struct looking *looking)
{
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_info info = { .size = sizeof(info) };
	int r;

	life.words = 0;
	life.message.text[0] = '\0';
	options.env = &life.torture.env;
	options.check_save = true;
	r = uds_index_read_info(life.io, &options, &life.message, &info);
	if (r == 0)
		r = verify_index(looking);
	if (r == 0)
		r = open_index(UDS_INDEX_READ_ONLY);
	if (r < 0)
		return r;
	looking->records = 0;
	r = told(uds_index_for_each(life.index, count_record, looking));
	close_index();
	return r;
}

static void make_something_to_look_at(bool saved)
{
	ck_assert_int_eq(small_index_create(&life.shape, life.io, &life.torture.env, NULL), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	ck_assert_int_eq(run_steps(800), 0);
	if (saved)
		ck_assert_int_eq(save(), 0);
	ck_assert_int_eq(close_index(), 0);
}

/* Fails the nth read or allocation of a look. Returns false when there are fewer. */
static bool look_with_failure(const struct looking *expected, uint64_t nth, bool allocation)
{
	struct looking looking = { 0, 0, 0, 0 };
	bool failed;

	if (allocation)
		torture_env_fail_at(&life.torture, nth, false);
	else
		fault_plan_fail(&life.plan, FAULT_READ | FAULT_SIZE, nth, -EIO, false);
	looking.status = look_at_all(&looking);
	failed = allocation ? life.torture.failed > 0 : life.plan.failed > 0;
	torture_env_fail_at(&life.torture, 0, false);
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	ck_assert_msg(life.torture.live == 0, "%llu: %llu allocations leaked",
		      (unsigned long long)nth, (unsigned long long)life.torture.live);
	if (looking.status < 0) {
		ck_assert_msg(failed && looking.status == (allocation ? -ENOMEM : -EIO),
			      "%llu: %s (%s)", (unsigned long long)nth,
			      uds_strerror(looking.status), life.message.text);
		ck_assert_msg(life.message.text[0] != '\0', "%llu: no message",
			      (unsigned long long)nth);
	} else if (!failed) {
		ck_assert_uint_eq(looking.records, expected->records);
	}
	/*
	 * What cannot be read may be left out, and a save that cannot be read be done without:
	 * not in silence.
	 */
	if (looking.status == 0 && looking.findings == 0 && looking.records != expected->records)
		ck_assert_msg(life.words > expected->words,
			      "%llu: %llu records, not %llu, and no word about it",
			      (unsigned long long)nth, (unsigned long long)looking.records,
			      (unsigned long long)expected->records);
	return failed;
}

START_TEST(looking_at_an_index_with_each_read_and_allocation_failing)
{
	struct looking expected = { 0, 0, 0, 0 };
	uint64_t nth;

	begin_life();
	make_something_to_look_at(_i == 0);
	ck_assert_int_eq(look_at_all(&expected), 0);
	expected.words = life.words;
	ck_assert_uint_eq(expected.findings, 0);
	ck_assert_uint_gt(expected.records, 300);
	for (nth = 1; look_with_failure(&expected, nth, false); nth = test_next(nth, (uint64_t)_i))
		;
	ck_assert_uint_gt(nth, 10);
	for (nth = 1; look_with_failure(&expected, nth, true); nth = test_next(nth, (uint64_t)_i))
		;
	ck_assert_uint_gt(nth, 10);
	end_life();
}
END_TEST

/*
 * Recovers with the nth read failing and what cannot be read passed over, goes on for a chapter,
 * and recovers again without a failure.
 */
static bool recover_with_failure(uint64_t nth)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct history before;
	uint64_t lost_chapter;
	const char *place;
	bool failed;
	int r;

	begin_life();
	make_something_to_look_at(false);
	lost_chapter = life.history.steps[life.history.count - 1].chapter_most;
	life.promise.chapters = lost_chapter;
	/* While a chapter is missing, older copies of its records may be found and kept. */
	life.promise.any_age = true;
	options.env = &life.torture.env;
	options.skip_unreadable = true;
	fault_plan_fail(&life.plan, FAULT_READ, nth, -EIO, false);
	r = uds_index_open(life.io, &options, &life.message, &life.index);
	failed = life.plan.failed > 0;
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	place = describe("read", nth, false);
	if (r == 0) {
		before = life.history;
		history_continue(&before, before.count, NULL, &life.history);
		ck_assert_int_eq(run_steps(160), 0);
		ck_assert_int_eq(flush(), 0);
		ck_assert_int_eq(close_index(), 0);
		/*
		 * What was certain before the failure is so again. The open chapter
		 * was lost before.
		 */
		for (uint32_t i = 0; i < before.count; i++)
			life.history.steps[i].certain =
				life.history.steps[i].chapter_most < lost_chapter;
		history_end(&before);
	} else {
		/* The super block and the config block cannot be passed over. */
		ck_assert_msg(r == -EIO && nth <= 2, "%s: %s", place, life.message.text);
	}
	check_again(place);
	end_life();
	return failed;
}

START_TEST(a_chapter_that_cannot_be_read_for_a_moment_comes_back)
{
	uint64_t nth;

	for (nth = 1; recover_with_failure(nth); nth = test_next(nth, 0))
		;
	ck_assert_uint_gt(nth, 10);
}
END_TEST

/* What there may be to open. */
enum condition {
	SAVED,
	NEVER_SAVED,
	INVALIDATED,	      /* a chapter was written since the save */
	OUTDATED,	      /* the same, but the save is not marked */
	TORN,		      /* the head of a torn chapter where the next one comes */
	DAMAGED_VOLUME_INDEX, /* of a save whose open chapter is good */
	DAMAGED_HEADER,	      /* of one of two saves of the same chapter */
	CONDITIONS,
};

static void overwrite(uint64_t at, const void *bytes, size_t length)
{
	uint8_t block[4096];
	uint64_t from = at / 4096 * 4096;

	ck_assert_int_eq(uds_io_read(life.memory, block, 4096, from), 0);
	memcpy(block + (at - from), bytes, length);
	ck_assert_int_eq(uds_io_write(life.memory, block, 4096, from), 0);
}

static void make_condition(enum condition condition)
{
	struct uds_message message = { "" };
	const struct save_slot *slot;
	struct layout before, after;
	uint8_t head[4096], mark[4096];

	ck_assert_int_eq(small_index_create(&life.shape, life.io, &life.torture.env, NULL), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	ck_assert_int_eq(run_steps(500), 0);
	if (condition != NEVER_SAVED)
		ck_assert_int_eq(save(), 0);
	ck_assert_int_eq(layout_read(life.memory, 0, &message, &before), 0);
	slot = saves_latest_slot(&before.saves);
	if (slot != NULL)
		ck_assert_int_eq(uds_io_read(life.memory, mark, sizeof(mark),
					     slot->save.open_chapter.offset),
				 0);
	if (condition == DAMAGED_HEADER) {
		ck_assert_int_eq(run_steps(16), 0);
		ck_assert_int_eq(save(), 0);
	}
	if (condition == INVALIDATED || condition == OUTDATED || condition == NEVER_SAVED) {
		ck_assert_int_eq(run_steps(300), 0);
		ck_assert_int_eq(flush(), 0);
	}
	ck_assert_int_eq(close_index(), 0);
	ck_assert_int_eq(layout_read(life.memory, 0, &message, &after), 0);
	if (condition == OUTDATED)
		overwrite(slot->save.open_chapter.offset, mark, sizeof(mark));
	if (condition == DAMAGED_VOLUME_INDEX)
		overwrite(slot->save.volume_index[0].offset + 60, "\377\377\377", 3);
	if (condition == DAMAGED_HEADER)
		overwrite(super_block_save_at(&before.super, slot->save.slot) * 4096 + 9, "x", 1);
	if (condition == TORN) {
		uint64_t at = layout_volume_offset(&before) +
			      geometry_physical_page(&before.geometry, 0, 0) * 4096;
		uint64_t page = geometry_physical_page(
			&before.geometry,
			geometry_physical_chapter(&before.geometry, slot->save.newest), 0);

		ck_assert_int_eq(uds_io_read(life.memory, head, sizeof(head), at), 0);
		put_le64(head + 8, slot->save.newest);
		overwrite(layout_volume_offset(&before) + page * 4096, head, sizeof(head));
	}
}

static uint8_t *whole_device(void)
{
	uint8_t *bytes = malloc(life.shape.bytes);

	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(uds_io_read(life.memory, bytes, life.shape.bytes, 0), 0);
	return bytes;
}

/* What a failed open leaves: not a byte of the device is another, and the next open has it all. */
static void check_untouched(const uint8_t *before, const char *place)
{
	uint8_t *after = whole_device();

	ck_assert_msg(memcmp(before, after, life.shape.bytes) == 0, "%s: the device changed",
		      place);
	free(after);
	ck_assert_msg(life.torture.live == 0, "%s: %llu allocations leaked", place,
		      (unsigned long long)life.torture.live);
	check_again(place);
}

/* Opens with one failure. Returns false when there was none to be met. */
static bool open_with_failure(enum uds_index_mode mode, enum condition condition, uint64_t nth,
			      bool allocation, const uint8_t *before)
{
	struct history_promise durable = { life.promise.chapters, 0, false, 0, 0 };
	/* Every read is tried, each with another number. */
	int number =
		numbers[(nth * 5 + (unsigned int)mode) % (sizeof(numbers) / sizeof(numbers[0]))];
	/*
	 * The end of a saved stream has that number: the device's is told apart from it as
	 * an I/O error.
	 */
	bool past_end = !allocation && number == UDS_ERR_OUT_OF_RANGE;
	int expected = allocation ? -ENOMEM : reported(number);
	char place[100];
	bool failed;
	int r;

	snprintf(place, sizeof(place), "condition %d, mode %d, %s %llu failing with %d",
		 (int)condition, (int)mode, allocation ? "allocation" : "read",
		 (unsigned long long)nth, expected);
	if (allocation)
		torture_env_fail_at(&life.torture, nth, false);
	else
		fault_plan_fail(&life.plan, FAULT_READ, nth, number, false);
	r = open_index(mode);
	failed = allocation ? life.torture.failed > 0 : life.plan.failed > 0;
	torture_env_fail_at(&life.torture, 0, false);
	fault_plan_fail(&life.plan, 0, 0, 0, false);
	/* Without memory for a cache it does without one. */
	if (r == 0 && failed && allocation)
		history_check(&life.history, life.index, life.history.count,
			      mode == UDS_INDEX_RECOVER ? &durable : &life.promise, place);
	else if (failed)
		ck_assert_msg((r == expected || (past_end && r == -EIO)) &&
				      life.message.text[0] != '\0',
			      "%s: %s (%s)", place, uds_strerror(r), life.message.text);
	/* It is about that, and says what was read; not why a recovery was needed before. */
	if (failed && r < 0 && r != -ENOMEM)
		ck_assert_msg(strstr(life.message.text, "read") != NULL &&
				      (past_end || strstr(life.message.text, uds_strerror(r))),
			      "%s: %s (%s)", place, uds_strerror(r), life.message.text);
	if (r == 0)
		ck_assert_int_eq(close_index(), 0);
	if (failed)
		check_untouched(before, place);
	return failed;
}

/* Nothing that fails while an index is opened is taken for damage, and leads to a recovery. */
START_TEST(each_read_or_allocation_of_an_open_failing_is_that_error)
{
	uint64_t reads = 0, allocations = 0;
	uint8_t *before;

	begin_life();
	make_condition((enum condition)_i);
	before = whole_device();
	for (int mode = 0; mode <= UDS_INDEX_RECOVER; mode++) {
		const uint64_t kind = 10 * (uint64_t)_i + (uint64_t)mode;
		uint64_t nth;

		for (nth = 1; open_with_failure((enum uds_index_mode)mode, (enum condition)_i, nth,
						false, before);
		     nth = test_next(nth, kind))
			reads++;
		ck_assert_uint_gt(nth, 4);
		for (nth = 1; open_with_failure((enum uds_index_mode)mode, (enum condition)_i, nth,
						true, before);
		     nth = test_next(nth, kind))
			allocations++;
	}
	printf("condition %d: %llu reads, %llu allocations\n", _i, (unsigned long long)reads,
	       (unsigned long long)allocations);
	free(before);
	end_life();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_faults");
	TCase *tc = tcase_create("faults");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, no_number_of_a_device_decides_anything, 0,
			    sizeof(numbers) / sizeof(numbers[0]));
	tcase_add_test(tc, a_disk_that_runs_full_at_any_point);
	tcase_add_test(tc, a_chapter_that_cannot_be_read_for_a_moment_comes_back);
	tcase_add_loop_test(tc, each_read_or_allocation_of_an_open_failing_is_that_error, 0,
			    CONDITIONS);
	tcase_add_loop_test(tc, looking_at_an_index_with_each_read_and_allocation_failing, 0, 2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
