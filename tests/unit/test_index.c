/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index as a program sees it: opening in all modes, what is refused, errors in the middle,
 * recovery, iteration, threads, and the defects of the reference implementation that it must not
 * repeat. (What requests answer is tested by the golden traces and the model.)
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "geometry/name_zone.h"
#include "names.h"

#define SEED	    UINT64_C(0x1d3)
#define PER_CHAPTER 512
#define CHAPTERS    8

struct fixture {
	struct fault_plan plan;
	struct uds_io *io;
	struct uds_index *index;
	struct uds_message message;
	uint64_t time_ms;
	struct uds_env env;
};

static uint64_t fixture_now(void *context)
{
	const struct fixture *f = context;

	return f->time_ms;
}

static int reopen_as(struct fixture *f, enum uds_index_mode mode, unsigned int zones)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	ck_assert_int_eq(uds_index_close(f->index), 0);
	f->index = NULL;
	options.mode = mode;
	options.zones = zones;
	options.env = &f->env;
	return uds_index_open(f->io, &options, &f->message, &f->index);
}

static void reopen(struct fixture *f, unsigned int zones)
{
	int r = reopen_as(f, UDS_INDEX_LOAD_OR_RECOVER, zones);

	ck_assert_msg(r == 0, "%s", f->message.text);
}

static void start_with(struct fixture *f, uint32_t chapters)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_io *memory;

	memset(f, 0, sizeof(*f));
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = chapters;
	c.nonce = 77;
	f->time_ms = 1000000;
	f->env = (struct uds_env)UDS_ENV_INIT;
	f->env.context = f;
	f->env.now_ms = fixture_now;
	fault_plan_start(&f->plan);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &memory), 0);
	ck_assert_int_eq(fault_io_open(&f->plan, memory, NULL, &f->io), 0);
	ck_assert_int_eq(uds_index_format(f->io, &c, NULL, &f->message), 0);
	reopen(f, 1);
}

static void start(struct fixture *f)
{
	start_with(f, CHAPTERS);
}

static void end(struct fixture *f)
{
	uds_index_close(f->index);
	uds_io_close(f->io);
	fault_plan_end(&f->plan);
}

static int post(struct fixture *f, uint64_t i, uint32_t version)
{
	struct uds_record_name name;
	struct uds_record_data data;

	make_name(SEED, i, &name);
	make_data('n', i, version, &data);
	return uds_index_post(f->index, &name, &data, NULL, NULL);
}

static void post_range(struct fixture *f, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		ck_assert_int_eq(post(f, i, 1), 0);
}

/* Whether a name is there; its data must be right then. */
static bool is_there(struct fixture *f, uint64_t i, uint32_t version)
{
	struct uds_record_data data, expected;
	struct uds_record_name name;
	bool found = false;

	make_name(SEED, i, &name);
	make_data('n', i, version, &expected);
	ck_assert_int_eq(uds_index_peek(f->index, &name, &data, &found), 0);
	if (found)
		ck_assert_int_eq(memcmp(&data, &expected, sizeof(data)), 0);
	return found;
}

static uint64_t count_there(struct fixture *f, uint64_t from, uint64_t to)
{
	uint64_t there = 0;

	for (uint64_t i = from; i < to; i++)
		there += is_there(f, i, 1);
	return there;
}

static struct uds_index_statistics statistics(struct fixture *f)
{
	struct uds_index_statistics s = { .size = sizeof(s) };

	ck_assert_int_eq(uds_index_get_statistics(f->index, &s), 0);
	return s;
}

static uint8_t *device(struct fixture *f, size_t *ret_size)
{
	uint64_t size;
	uint8_t *bytes;

	ck_assert_int_eq(uds_io_size(f->io, &size), 0);
	bytes = malloc((size_t)size);
	ck_assert(bytes != NULL);
	ck_assert_int_eq(uds_io_read(f->io, bytes, (size_t)size, 0), 0);
	*ret_size = (size_t)size;
	return bytes;
}

static void assert_device_is(struct fixture *f, uint8_t *expected, size_t size)
{
	size_t now;
	uint8_t *bytes = device(f, &now);

	ck_assert_uint_eq(size, now);
	ck_assert_int_eq(memcmp(bytes, expected, size), 0);
	free(bytes);
	free(expected);
}

/* Three closed chapters and a part of the fourth, not saved. */
static void fill_and_crash(struct fixture *f)
{
	post_range(f, 0, 3 * PER_CHAPTER + 100);
	ck_assert_int_eq(uds_index_flush(f->index), 0);
	ck_assert_int_eq(uds_index_close(f->index), 0);
	f->index = NULL;
}

START_TEST(load_mode_opens_new_and_saved_indexes_and_refuses_crashed_ones)
{
	struct fixture f;

	start(&f);
	ck_assert_int_eq(reopen_as(&f, UDS_INDEX_LOAD, 1), 0);
	post_range(&f, 0, 10);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	ck_assert_int_eq(reopen_as(&f, UDS_INDEX_LOAD, 1), 0);
	ck_assert_uint_eq(count_there(&f, 0, 10), 10);
	fill_and_crash(&f);
	ck_assert_int_eq(reopen_as(&f, UDS_INDEX_LOAD, 1), UDS_ERR_NEEDS_RECOVERY);
	ck_assert_str_ne(f.message.text, "");
	reopen(&f, 1);
	ck_assert_uint_eq(count_there(&f, 0, 3 * PER_CHAPTER), 3 * PER_CHAPTER);
	/* Those of the open chapter were flushed. */
	ck_assert_uint_eq(count_there(&f, 3 * PER_CHAPTER, 4 * PER_CHAPTER), 100);
	end(&f);
}
END_TEST

START_TEST(read_only_recovers_in_memory_and_writes_nothing)
{
	struct uds_request request = { .kind = UDS_QUERY };
	uint8_t *before;
	struct fixture f;
	size_t size;

	start(&f);
	fill_and_crash(&f);
	before = device(&f, &size);
	ck_assert_int_eq(reopen_as(&f, UDS_INDEX_READ_ONLY, 3), 0);
	ck_assert_uint_eq(count_there(&f, 0, 3 * PER_CHAPTER), 3 * PER_CHAPTER);
	ck_assert_int_eq(post(&f, 1, 1), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_index_run(f.index, &request, 1), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(request.status, UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_index_save(f.index), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	f.index = NULL;
	assert_device_is(&f, before, size);
	end(&f);
}
END_TEST

struct stopper {
	uint64_t calls;
	uint64_t stop_at;
	uint64_t last_done;
};

static int stop_at(void *context, uint64_t done, uint64_t total)
{
	struct stopper *s = context;

	ck_assert_uint_le(done, total);
	ck_assert_uint_ge(done, s->last_done);
	s->last_done = done;
	return ++s->calls == s->stop_at;
}

START_TEST(recovery_can_be_stopped_anywhere_and_changes_nothing)
{
	struct fixture f;
	struct stopper all = { 0, UINT64_MAX, 0 };
	uint64_t stopped = 0;

	start(&f);
	fill_and_crash(&f);
	for (uint64_t at = 1;; at++) {
		struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
		struct stopper stopper = { 0, at, 0 };
		uint8_t *before;
		size_t size;
		int r;

		before = device(&f, &size);
		options.progress = stop_at;
		options.progress_context = &stopper;
		r = uds_index_open(f.io, &options, &f.message, &f.index);
		assert_device_is(&f, before, size);
		if (r == 0) {
			all = stopper;
			break;
		}
		ck_assert_int_eq(r, UDS_ERR_STOPPED);
		stopped++;
	}
	ck_assert_uint_eq(stopped, all.calls);
	ck_assert_uint_gt(stopped, 3);
	ck_assert_uint_eq(count_there(&f, 0, 3 * PER_CHAPTER), 3 * PER_CHAPTER);
	end(&f);
}
END_TEST

START_TEST(recovery_goes_around_a_damaged_chapter)
{
	uint8_t junk[64];
	struct fixture f;
	uint8_t *bytes;
	size_t size, at;

	start(&f);
	fill_and_crash(&f);
	/* Chapter 1: one index page and four record pages behind those of chapter 0. */
	bytes = device(&f, &size);
	at = (size_t)(2 + 1 + 5) * 4096;
	ck_assert_uint_eq(get_le64(bytes + at + 8), 1);
	memset(junk, 0x5a, sizeof(junk));
	ck_assert_int_eq(uds_io_write(f.io, junk, sizeof(junk), at), 0);
	free(bytes);
	reopen(&f, 1);
	ck_assert_uint_eq(statistics(&f).open_chapter, 3);
	ck_assert_uint_eq(count_there(&f, 0, PER_CHAPTER), PER_CHAPTER);
	ck_assert_uint_eq(count_there(&f, PER_CHAPTER, 2 * PER_CHAPTER), 0);
	ck_assert_uint_eq(count_there(&f, 2 * PER_CHAPTER, 3 * PER_CHAPTER), PER_CHAPTER);
	end(&f);
}
END_TEST

static void note_warning(void *context, enum uds_log_level level, const char *sentence)
{
	struct fixture *f = context;

	if (level <= UDS_LOG_WARNING)
		snprintf(f->message.text, sizeof(f->message.text), "%s", sentence);
}

/* That a crash makes a recovery necessary needs no words; that a save is damaged does. */
START_TEST(recovery_from_a_damaged_save_is_a_warning_and_from_a_crash_is_none)
{
	struct fixture f;
	uint8_t *bytes;
	size_t size, at = 0;

	start(&f);
	f.env.log = note_warning;
	post_range(&f, 0, PER_CHAPTER + 100);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	post_range(&f, PER_CHAPTER + 100, 3 * PER_CHAPTER);
	f.message.text[0] = '\0';
	reopen(&f, 1);
	ck_assert_str_eq(f.message.text, "");
	ck_assert_int_eq(uds_index_save(f.index), 0);
	bytes = device(&f, &size);
	while (memcmp(bytes + at, "DI-00002", 8) != 0)
		at += 8;
	/* Both saves have a list count there that is wrong now. */
	for (; at + 32 < size; at += 8) {
		if (memcmp(bytes + at, "DI-00002", 8) == 0)
			ck_assert_int_eq(uds_io_write(f.io, "\377\377", 2, at + 20), 0);
	}
	free(bytes);
	reopen(&f, 1);
	ck_assert_ptr_nonnull(strstr(f.message.text, "volume index"));
	ck_assert_ptr_nonnull(strstr(f.message.text, "is recovered"));
	end(&f);
}
END_TEST

START_TEST(impossible_options_are_refused)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_request requests[2] = { { .kind = 9 }, { .kind = UDS_POST } };
	struct fixture f;

	start(&f);
	ck_assert_int_eq(uds_index_run(f.index, requests, 2), -EINVAL);
	ck_assert_int_eq(requests[0].status, -EINVAL);
	ck_assert_int_eq(requests[1].status, 0);
	ck_assert_int_eq(reopen_as(&f, UDS_INDEX_LOAD, 17), -EINVAL);
	ck_assert(strstr(f.message.text, "17") != NULL);
	ck_assert_int_eq(reopen_as(&f, (enum uds_index_mode)7, 1), -EINVAL);
	options.check_nonce = true;
	options.nonce = 78;
	ck_assert_int_eq(uds_index_open(f.io, &options, &f.message, &f.index),
			 UDS_ERR_NONCE_MISMATCH);
	options.nonce = 77;
	ck_assert_int_eq(uds_index_open(f.io, &options, &f.message, &f.index), 0);
	end(&f);
}
END_TEST

START_TEST(save_writes_only_what_changed_and_the_latest_one_counts)
{
	struct fixture f;
	uint8_t *before;
	size_t size;

	start(&f);
	post_range(&f, 0, 10);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	before = device(&f, &size);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	assert_device_is(&f, before, size);
	end(&f);
}
END_TEST

/* The origin takes the save with the latest clock for the latest one, whatever the clock does. */
START_TEST(defect_r5_clock_that_goes_back_does_not_revive_an_old_save)
{
	struct fixture f;

	start(&f);
	post_range(&f, 0, 10);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	f.time_ms -= 5000;
	post_range(&f, 10, 20);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	reopen(&f, 1);
	ck_assert_uint_eq(count_there(&f, 0, 20), 20);
	end(&f);
}
END_TEST

/*
 * Loaded with many zones, an open chapter loses what its small zones have no room for. The origin
 * leaves the volume index entries of these records behind, and a collision entry among them keeps
 * its name out.
 */
START_TEST(defect_s7_records_dropped_at_load_can_be_stored_again)
{
	struct uds_index_statistics s;
	struct fixture f;
	uint64_t missing = 0;

	start(&f);
	/*
	 * Pairs of names with the same place in the volume index: every second gets
	 * a collision entry.
	 */
	for (uint64_t i = 0; i < 500; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(SEED, i / 2, &name);
		name.bytes[15] ^= (uint8_t)(i % 2);
		name.bytes[9] ^= (uint8_t)(i % 2);
		make_data('n', i, 1, &data);
		ck_assert_int_eq(uds_index_post(f.index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_uint_ge(statistics(&f).collisions, 250);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	reopen(&f, 16);
	s = statistics(&f);
	ck_assert_uint_gt(s.dropped_at_load, 20);
	for (uint64_t i = 0; i < 500; i++) {
		struct uds_record_data data, old;
		struct uds_record_name name;
		bool found, again;

		make_name(SEED, i / 2, &name);
		name.bytes[15] ^= (uint8_t)(i % 2);
		name.bytes[9] ^= (uint8_t)(i % 2);
		make_data('n', i, 1, &data);
		ck_assert_int_eq(uds_index_post(f.index, &name, &data, &old, &found), 0);
		missing += !found;
		ck_assert_int_eq(uds_index_peek(f.index, &name, &old, &again), 0);
		ck_assert_msg(again, "name %d was dropped and cannot be stored again", (int)i);
		ck_assert_int_eq(memcmp(&data, &old, sizeof(old)), 0);
	}
	ck_assert_uint_eq(missing, s.dropped_at_load);
	end(&f);
}
END_TEST

/*
 * A rebuild that follows on copies of the fill record must not make a name that cannot be deleted.
 */
START_TEST(defect_r7_fill_record_is_deleted_with_one_delete)
{
	struct uds_record_name name;
	struct fixture f;
	bool found;

	start(&f);
	post_range(&f, 0, PER_CHAPTER - 1);
	for (uint64_t i = 0; i < 20; i++) {
		make_name(SEED, i, &name);
		ck_assert_int_eq(uds_index_delete(f.index, &name, &found), 0);
		ck_assert(found);
	}
	/* The last record of the chapter takes the places of the deleted ones as well. */
	post_range(&f, PER_CHAPTER - 1, PER_CHAPTER);
	ck_assert_uint_eq(statistics(&f).open_chapter, 1);
	reopen(&f, 1);
	ck_assert(is_there(&f, PER_CHAPTER - 1, 1));
	make_name(SEED, PER_CHAPTER - 1, &name);
	ck_assert_int_eq(uds_index_delete(f.index, &name, &found), 0);
	ck_assert(found);
	ck_assert(!is_there(&f, PER_CHAPTER - 1, 1));
	end(&f);
}
END_TEST

/*
 * With many zones a chapter can close while most of its records are still missing: its pages are
 * full of copies then, and yet they are its own.
 */
START_TEST(recovery_keeps_a_newest_chapter_that_is_mostly_copies)
{
	struct zone_chooser chooser;
	struct geometry geometry;
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_record_name name;
	uint64_t stored = 0, last = 0;
	struct fixture f;

	start(&f);
	c.size = sizeof(c);
	ck_assert_int_eq(uds_index_get_configuration(f.index, &c), 0);
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	zone_chooser_make(&geometry, 16, &chooser);
	reopen(&f, 16);
	/* 32 records fill the one zone; a few are in the others, and on other pages. */
	post_range(&f, 0, 60);
	for (uint64_t i = 60; statistics(&f).open_chapter == 0; i++) {
		make_name(SEED, i, &name);
		if (name_zone(&chooser, &name) != 3)
			continue;
		ck_assert_int_eq(post(&f, i, 1), 0);
		stored++;
		last = i;
	}
	ck_assert_uint_gt(stored, 10);
	reopen(&f, 1);
	ck_assert_uint_eq(statistics(&f).open_chapter, 1);
	ck_assert_uint_eq(count_there(&f, 0, 60), 60);
	for (uint64_t i = 60; i <= last; i++) {
		make_name(SEED, i, &name);
		ck_assert_int_eq(is_there(&f, i, 1), name_zone(&chooser, &name) == 3);
	}
	end(&f);
}
END_TEST

START_TEST(failed_chapter_write_stops_storing_and_loses_nothing_older)
{
	struct fixture f;
	uint64_t i;
	int r = 0;

	start(&f);
	post_range(&f, 0, 2 * PER_CHAPTER);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	fault_plan_fail(&f.plan, FAULT_WRITE, 1, -EIO, true);
	for (i = 2 * PER_CHAPTER; r == 0 && i < 10 * PER_CHAPTER; i++)
		r = post(&f, i, 1);
	ck_assert_int_eq(r, -EIO);
	ck_assert_uint_le(i, 4 * PER_CHAPTER + 1);
	uds_index_error_message(f.index, &f.message);
	ck_assert_str_ne(f.message.text, "");
	ck_assert_int_eq(uds_index_flush(f.index), -EIO);
	ck_assert_int_eq(uds_index_save(f.index), -EIO);
	/* All that was stored before the error is still answered. */
	ck_assert_uint_eq(count_there(&f, 0, 4 * PER_CHAPTER), 4 * PER_CHAPTER);
	ck_assert_int_eq(uds_index_close(f.index), -EIO);
	f.index = NULL;
	fault_plan_fail(&f.plan, FAULT_WRITE, 0, 0, false);
	reopen(&f, 1);
	ck_assert_uint_eq(count_there(&f, 0, 2 * PER_CHAPTER), 2 * PER_CHAPTER);
	end(&f);
}
END_TEST

struct seen {
	uint8_t times[16 * PER_CHAPTER];
	uint64_t last;
	uint64_t count;
	uint64_t stop_after;
};

static int note_record(void *context, const struct uds_record_name *name,
		       const struct uds_record_data *data)
{
	struct seen *seen = context;
	struct uds_record_name expected;
	uint64_t i = get_le64(data->bytes);

	make_name(SEED, i, &expected);
	ck_assert_int_eq(memcmp(name, &expected, sizeof(expected)), 0);
	seen->times[i]++;
	return ++seen->count == seen->stop_after;
}

START_TEST(iterate_gives_each_live_name_once_with_its_last_data)
{
	struct seen *seen = calloc(1, sizeof(*seen));
	struct uds_record_name name;
	struct uds_record_data data;
	struct fixture f;
	bool found;

	start(&f);
	reopen(&f, 3);
	post_range(&f, 0, 3000);
	for (uint64_t i = 2500; i < 2700; i++) {
		make_name(SEED, i, &name);
		make_data('n', i, 2, &data);
		ck_assert_int_eq(uds_index_update(f.index, &name, &data, NULL, NULL), 0);
	}
	for (uint64_t i = 2600; i < 2650; i++) {
		make_name(SEED, i, &name);
		ck_assert_int_eq(uds_index_delete(f.index, &name, &found), 0);
	}
	ck_assert_int_eq(uds_index_for_each(f.index, note_record, seen), 0);
	for (uint64_t i = 0; i < 3000; i++) {
		bool there = is_there(&f, i, i >= 2500 && i < 2700 ? 2 : 1);

		ck_assert_uint_eq(seen->times[i], there);
	}
	ck_assert_uint_gt(seen->count, 2800);
	memset(seen, 0, sizeof(*seen));
	seen->stop_after = 7;
	ck_assert_int_eq(uds_index_for_each(f.index, note_record, seen), UDS_ERR_STOPPED);
	ck_assert_uint_eq(seen->count, 7);
	free(seen);
	end(&f);
}
END_TEST

/* Copies old records to the open chapter between two chapters, as requests of others would. */
START_TEST(chapters_one_by_one_give_all_records_while_requests_go_on)
{
	struct seen *seen = calloc(1, sizeof(*seen));
	struct uds_index_statistics statistics = UDS_INDEX_STATISTICS_INIT;
	uint64_t chapter = 0, last, steps = 0;
	struct uds_record_name name;
	struct fixture f;
	bool found;

	start(&f);
	reopen(&f, 3);
	post_range(&f, 0, 3000);
	ck_assert_int_eq(uds_index_get_statistics(f.index, &statistics), 0);
	last = statistics.open_chapter;
	for (; chapter <= last; steps++) {
		ck_assert_int_eq(uds_index_for_each_in_chapter(f.index, chapter, note_record, seen,
							       &chapter),
				 0);
		/* Of a chapter that is still to come: from now on they are behind @last, if that
		 * closes. */
		for (uint64_t i = 0; i < 40; i++) {
			make_name(SEED, 2999 - (steps * 40 + i), &name);
			ck_assert_int_eq(uds_index_query(f.index, &name, NULL, &found), 0);
		}
	}
	ck_assert_uint_gt(steps, 4);
	/* What moved behind the chapter that was open at first. */
	ck_assert_int_eq(uds_index_get_statistics(f.index, &statistics), 0);
	while (chapter <= statistics.open_chapter)
		ck_assert_int_eq(uds_index_for_each_in_chapter(f.index, chapter, note_record, seen,
							       &chapter),
				 0);
	for (uint64_t i = 0; i < 3000; i++)
		ck_assert(seen->times[i] > 0 || !is_there(&f, i, 1));
	ck_assert_uint_gt(seen->count, 2800);

	last = 7777;
	ck_assert_int_eq(uds_index_for_each_in_chapter(f.index, chapter, note_record, seen, &last),
			 UDS_ERR_OUT_OF_RANGE);
	seen->stop_after = seen->count + 1;
	ck_assert_int_eq(uds_index_for_each_in_chapter(f.index, 0, note_record, seen, &last),
			 UDS_ERR_STOPPED);
	ck_assert_uint_eq(last, 7777);
	free(seen);
	end(&f);
}
END_TEST

static struct uds_index_info info_of(struct fixture *f)
{
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;

	options.check_save = true;
	ck_assert_int_eq(uds_index_read_info(f->io, &options, &f->message, &info), 0);
	return info;
}

START_TEST(info_tells_new_clean_and_crashed_indexes_apart)
{
	struct uds_index_info info;
	struct fixture f;

	start(&f);
	info = info_of(&f);
	ck_assert_int_eq(info.state, UDS_INDEX_NEW);
	ck_assert_uint_eq(info.records, 0);
	ck_assert_uint_eq(info.configuration.chapters_per_volume, CHAPTERS);
	ck_assert_uint_eq(info.configuration.nonce, 77);
	post_range(&f, 0, PER_CHAPTER + 5);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	info = info_of(&f);
	ck_assert_int_eq(info.state, UDS_INDEX_CLEAN);
	ck_assert_uint_eq(info.open_chapter, 1);
	ck_assert_uint_eq(info.records, PER_CHAPTER + 5);
	ck_assert_uint_eq(info.saved_zones, 1);
	post_range(&f, PER_CHAPTER + 5, 2 * PER_CHAPTER);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	info = info_of(&f);
	ck_assert_int_eq(info.state, UDS_INDEX_NEEDS_RECOVERY);
	ck_assert_uint_eq(info.open_chapter, 2);
	end(&f);
}
END_TEST

START_TEST(info_reads_the_save_only_when_asked_to)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct fixture f;
	uint64_t headers;

	start(&f);
	post_range(&f, 0, PER_CHAPTER + 5);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	fault_plan_fail(&f.plan, 0, 0, 0, false);
	ck_assert_int_eq(uds_index_read_info(f.io, NULL, &f.message, &info), 0);
	ck_assert_int_eq(info.state, UDS_INDEX_CLEAN);
	ck_assert_uint_eq(info.open_chapter, 1);
	headers = fault_plan_count(&f.plan, FAULT_READ);
	info_of(&f);
	ck_assert_uint_gt(fault_plan_count(&f.plan, FAULT_READ), 2 * headers);
	end(&f);
}
END_TEST

struct watched {
	unsigned int calls, stop_at;
	uint64_t done, total;
};

static int watch(void *context, uint64_t done, uint64_t total)
{
	struct watched *watched = context;

	ck_assert_uint_le(done, total);
	ck_assert_uint_ge(done, watched->done);
	watched->done = done;
	watched->total = total;
	return ++watched->calls == watched->stop_at;
}

/* Stopped at each of its reports in turn: each time the next call saves all the same. */
START_TEST(a_save_reports_its_progress_and_can_be_stopped)
{
	struct watched watched = { 0 };
	struct fixture f;
	unsigned int calls;

	start(&f);
	post_range(&f, 0, PER_CHAPTER + 5);
	ck_assert_int_eq(uds_index_save_reporting(f.index, watch, &watched), 0);
	calls = watched.calls;
	ck_assert_uint_gt(calls, 0);
	ck_assert_uint_eq(watched.done, watched.total);
	for (unsigned int i = 1; i <= calls; i++) {
		struct uds_message message;

		memset(&watched, 0, sizeof(watched));
		watched.stop_at = i;
		post_range(&f, PER_CHAPTER + 5 + i, PER_CHAPTER + 6 + i);
		ck_assert_int_eq(uds_index_save_reporting(f.index, watch, &watched),
				 UDS_ERR_STOPPED);
		uds_index_error_message(f.index, &message);
		ck_assert_ptr_nonnull(strstr(message.text, "stopped"));
		ck_assert_int_eq(uds_index_save(f.index), 0);
		ck_assert_int_eq(info_of(&f).state, UDS_INDEX_CLEAN);
	}
	ck_assert_int_eq(reopen_as(&f, UDS_INDEX_LOAD, 1), 0);
	ck_assert(is_there(&f, PER_CHAPTER + 5 + calls, 1));
	end(&f);
}
END_TEST

#define THREADS 4
#define SHARED	2000

struct racer {
	struct fixture *f;
	uint32_t number;
	bool won[SHARED];
	uint32_t seen[SHARED]; /* whose data it got */
	pthread_t thread;
};

static void *race(void *context)
{
	struct racer *racer = context;
	struct uds_request requests[50];

	for (uint32_t from = 0; from < SHARED; from += 50) {
		for (uint32_t i = 0; i < 50; i++) {
			memset(&requests[i], 0, sizeof(requests[i]));
			requests[i].kind = UDS_POST;
			make_name(SEED, from + i, &requests[i].name);
			make_data('n', from + i, racer->number, &requests[i].new_data);
		}
		ck_assert_int_eq(uds_index_run(racer->f->index, requests, 50), 0);
		for (uint32_t i = 0; i < 50; i++) {
			racer->won[from + i] = !requests[i].found;
			racer->seen[from + i] = get_le32(requests[i].old_data.bytes + 8);
		}
	}
	return NULL;
}

/* However the threads meet: one of them stores the name, and the others get its data. */
START_TEST(threads_that_post_the_same_names_agree_on_one_winner)
{
	struct racer *racers = calloc(THREADS, sizeof(*racers));
	struct fixture f;

	/* So large that no record leaves before the slowest thread has asked for it. */
	start_with(&f, 64);
	reopen(&f, 1 + (unsigned int)_i);
	for (uint32_t t = 0; t < THREADS; t++) {
		racers[t].f = &f;
		racers[t].number = t;
		ck_assert_int_eq(pthread_create(&racers[t].thread, NULL, race, &racers[t]), 0);
	}
	for (uint32_t t = 0; t < THREADS; t++)
		pthread_join(racers[t].thread, NULL);
	for (uint32_t i = 0; i < SHARED; i++) {
		uint32_t winner = THREADS, winners = 0;

		for (uint32_t t = 0; t < THREADS; t++) {
			if (racers[t].won[i]) {
				winner = t;
				winners++;
			}
		}
		ck_assert_msg(winners == 1, "name %u: %u winners", i, winners);
		for (uint32_t t = 0; t < THREADS; t++)
			ck_assert(racers[t].won[i] || racers[t].seen[i] == winner);
	}
	free(racers);
	end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index");
	TCase *tcase = tcase_create("index");

	tcase_add_test(tcase, load_mode_opens_new_and_saved_indexes_and_refuses_crashed_ones);
	tcase_add_test(tcase, read_only_recovers_in_memory_and_writes_nothing);
	tcase_add_test(tcase, recovery_can_be_stopped_anywhere_and_changes_nothing);
	tcase_add_test(tcase, recovery_goes_around_a_damaged_chapter);
	tcase_add_test(tcase, recovery_from_a_damaged_save_is_a_warning_and_from_a_crash_is_none);
	tcase_add_test(tcase, impossible_options_are_refused);
	tcase_add_test(tcase, save_writes_only_what_changed_and_the_latest_one_counts);
	tcase_add_test(tcase, defect_r5_clock_that_goes_back_does_not_revive_an_old_save);
	tcase_add_test(tcase, defect_s7_records_dropped_at_load_can_be_stored_again);
	tcase_add_test(tcase, defect_r7_fill_record_is_deleted_with_one_delete);
	tcase_add_test(tcase, recovery_keeps_a_newest_chapter_that_is_mostly_copies);
	tcase_add_test(tcase, failed_chapter_write_stops_storing_and_loses_nothing_older);
	tcase_add_test(tcase, iterate_gives_each_live_name_once_with_its_last_data);
	tcase_add_test(tcase, chapters_one_by_one_give_all_records_while_requests_go_on);
	tcase_add_test(tcase, info_tells_new_clean_and_crashed_indexes_apart);
	tcase_add_test(tcase, info_reads_the_save_only_when_asked_to);
	tcase_add_test(tcase, a_save_reports_its_progress_and_can_be_stopped);
	tcase_add_loop_test(tcase, threads_that_post_the_same_names_agree_on_one_winner, 0, 4);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
