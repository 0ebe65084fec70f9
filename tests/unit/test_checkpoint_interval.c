/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saves in the background: when they are made, that a recovery begins with the latest, and what
 * becomes of those that fail, are stopped, or cannot have a thread.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "check_main.h"
#include "fault_io.h"
#include "names.h"
#include "volume/layout.h"

#define SEED	    UINT64_C(0xc4e7)
#define PER_CHAPTER 512

static struct {
	struct fault_plan plan;
	struct uds_env env;
	struct uds_io *io;
	struct uds_index *index;
	struct uds_message message;
	uint64_t next;		/* names below are there */
	unsigned int used_save; /* openings that said so */
	unsigned int warnings;
} f;

static bool no_threads;

/* In place of the C library's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
		   void *context)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return no_threads ? EAGAIN : real(thread, attributes, run, context);
}

static void log_line(void *context, enum uds_log_level level, const char *text)
{
	(void)context;
	if (strstr(text, "chapters since are entered") != NULL)
		f.used_save++;
	if (level == UDS_LOG_WARNING && strstr(text, "saving in the background failed") != NULL)
		f.warnings++;
}

static int open_with(uint32_t interval, enum uds_index_mode mode)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	options.env = &f.env;
	options.mode = mode;
	options.zones = 2;
	options.checkpoint_interval = interval;
	return uds_index_open(f.io, &options, &f.message, &f.index);
}

static void start(bool extras)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	const struct uds_env env = UDS_ENV_INIT;
	struct uds_io *memory;

	memset(&f, 0, sizeof(f));
	f.env = env;
	f.env.log = log_line;
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = 64;
	options.no_extras = !extras;
	fault_plan_start(&f.plan);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &memory), 0);
	ck_assert_int_eq(fault_io_open(&f.plan, memory, NULL, &f.io), 0);
	ck_assert_int_eq(uds_index_format(f.io, &c, &options, &f.message), 0);
}

static void end(void)
{
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(uds_io_close(f.io), 0);
	fault_plan_end(&f.plan);
}

static struct uds_index_statistics statistics(void)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;

	ck_assert_int_eq(uds_index_get_statistics(f.index, &s), 0);
	return s;
}

static void close_chapters(unsigned int count)
{
	const uint64_t until = statistics().open_chapter + count;
	struct uds_record_name name;
	struct uds_record_data data;

	while (statistics().open_chapter < until) {
		make_name(SEED, f.next, &name);
		make_data('i', f.next, 0, &data);
		ck_assert_int_eq(uds_index_post(f.index, &name, &data, NULL, NULL), 0);
		f.next++;
	}
}

static void wait_for(uint64_t made, uint64_t failed)
{
	for (;;) {
		struct uds_index_statistics s = statistics();

		ck_assert_uint_le(s.checkpoints, made);
		ck_assert_uint_le(s.checkpoint_failures, failed);
		if (s.checkpoints == made && s.checkpoint_failures == failed)
			return;
		sched_yield();
	}
}

static void check_all(void)
{
	for (uint64_t i = 0; i < f.next; i++) {
		struct uds_record_name name;
		bool found = false;

		make_name(SEED, i, &name);
		ck_assert_int_eq(uds_index_peek(f.index, &name, NULL, &found), 0);
		ck_assert_msg(found, "name %u", (unsigned int)i);
	}
}

START_TEST(a_save_is_made_when_so_many_chapters_are_closed)
{
	start(true);
	ck_assert_int_eq(open_with(3, UDS_INDEX_LOAD_OR_RECOVER), 0);
	close_chapters(2);
	wait_for(0, 0);
	close_chapters(1);
	wait_for(1, 0);
	/* One that is asked for counts, too: the next is due three chapters later. */
	close_chapters(2);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	close_chapters(2);
	wait_for(1, 0);
	close_chapters(1);
	wait_for(2, 0);
	close_chapters(2);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(open_with(3, UDS_INDEX_LOAD_OR_RECOVER), 0);
	ck_assert_uint_eq(f.used_save, 1);
	check_all();
	/* Two chapters were there since the save, so the next one is the third. */
	close_chapters(1);
	wait_for(1, 0);
	/* Loaded, they are counted from there. */
	ck_assert_int_eq(uds_index_save(f.index), 0);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(open_with(3, UDS_INDEX_LOAD), 0);
	close_chapters(2);
	wait_for(0, 0);
	close_chapters(1);
	wait_for(1, 0);
	check_all();
	end();
}
END_TEST

START_TEST(without_an_interval_or_extras_there_is_none)
{
	start(_i == 0);
	ck_assert_int_eq(open_with(_i == 0 ? 0 : 1, UDS_INDEX_LOAD_OR_RECOVER), 0);
	close_chapters(5);
	wait_for(0, 0);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(open_with(1, UDS_INDEX_READ_ONLY), 0);
	wait_for(0, 0);
	end();
}
END_TEST

/* A part of the slot that the latest save does not have cannot be written. */
static void spoil_next_save(void)
{
	const struct save_slot *latest;
	struct layout layout;
	uint64_t apart, at;

	ck_assert_int_eq(layout_read(f.io, 0, &f.message, &layout), 0);
	latest = saves_find_latest(&layout.saves);
	ck_assert_ptr_nonnull(latest);
	apart = BLOCK_BYTES *
		(super_block_save_at(&layout.super, 1) - super_block_save_at(&layout.super, 0));
	at = latest->save.volume_index[0].offset;
	at = latest == &layout.saves.slots[0] ? at + apart : at - apart;
	fault_plan_spoil(&f.plan, FAULT_WRITE, at, BLOCK_BYTES);
}

START_TEST(a_failed_one_is_counted_and_made_with_the_next_chapter)
{
	start(true);
	ck_assert_int_eq(open_with(1, UDS_INDEX_LOAD_OR_RECOVER), 0);
	close_chapters(1);
	wait_for(1, 0);
	spoil_next_save();
	close_chapters(1);
	wait_for(1, 1);
	close_chapters(1);
	wait_for(1, 2);
	ck_assert_uint_eq(f.warnings, 1);
	fault_plan_spoil(&f.plan, FAULT_WRITE, 0, 0);
	close_chapters(1);
	wait_for(2, 2);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(open_with(0, UDS_INDEX_LOAD_OR_RECOVER), 0);
	check_all();
	end();
}
END_TEST

/* Whatever part of it was made by then. */
START_TEST(closing_the_index_stops_one)
{
	start(true);
	ck_assert_int_eq(open_with(1, UDS_INDEX_LOAD_OR_RECOVER), 0);
	for (uint64_t i = 0; i < 20; i += test_step()) {
		close_chapters(1);
		for (int k = 0; k < _i; k++)
			sched_yield();
		ck_assert_int_eq(uds_index_flush(f.index), 0);
		ck_assert_int_eq(uds_index_close(f.index), 0);
		ck_assert_int_eq(open_with(1, UDS_INDEX_LOAD_OR_RECOVER), 0);
		check_all();
	}
	end();
}
END_TEST

START_TEST(an_index_that_can_have_no_thread_does_not_open)
{
	start(true);
	no_threads = true;
	ck_assert_int_eq(open_with(1, UDS_INDEX_LOAD_OR_RECOVER), -EAGAIN);
	ck_assert_ptr_nonnull(strstr(f.message.text, "no more threads"));
	no_threads = false;
	ck_assert_int_eq(open_with(1, UDS_INDEX_LOAD_OR_RECOVER), 0);
	end();
}
END_TEST

static int save_again(void *context, uint64_t done, uint64_t total)
{
	struct uds_message message;

	(void)context;
	(void)done;
	(void)total;
	ck_assert_int_eq(uds_index_save(f.index), -EDEADLK);
	uds_index_error_message(f.index, &message);
	ck_assert_ptr_nonnull(strstr(message.text, "callback"));
	return 0;
}

START_TEST(the_callback_of_a_save_cannot_save)
{
	start(true);
	ck_assert_int_eq(open_with(0, UDS_INDEX_LOAD_OR_RECOVER), 0);
	close_chapters(1);
	ck_assert_int_eq(uds_index_save_reporting(f.index, save_again, NULL), 0);
	/* Then it can. */
	close_chapters(1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	check_all();
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("checkpoint_interval");
	TCase *tcase = tcase_create("checkpoint_interval");

	tcase_add_test(tcase, a_save_is_made_when_so_many_chapters_are_closed);
	tcase_add_loop_test(tcase, without_an_interval_or_extras_there_is_none, 0, 2);
	tcase_add_test(tcase, a_failed_one_is_counted_and_made_with_the_next_chapter);
	tcase_add_loop_test(tcase, closing_the_index_stops_one, 0, 6);
	tcase_add_test(tcase, an_index_that_can_have_no_thread_does_not_open);
	tcase_add_test(tcase, the_callback_of_a_save_cannot_save);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
