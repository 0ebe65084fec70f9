/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a sparse index finds and what it may miss: old names come back together with their
 * neighbours, not alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "base/bytes.h"
#include "check_main.h"
#include "names.h"

#define SEED	    UINT64_C(0x5b)
#define PER_CHAPTER 512
#define CHAPTERS    40
#define DENSE	    4
#define RATE	    8
/* With room for chapters that close early because one zone is full. */
#define NAMES (32 * PER_CHAPTER)
#define BATCH 64

struct fixture {
	struct uds_io *io;
	struct uds_index *index;
	struct uds_env env;
	unsigned int errors_logged;
};

static void count_log(void *context, enum uds_log_level level, const char *sentence)
{
	struct fixture *f = context;

	(void)sentence;
	f->errors_logged += level == UDS_LOG_ERROR;
}

static void open_index(struct fixture *f, unsigned int zones)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message;
	int r;

	options.env = &f->env;
	options.zones = zones;
	r = uds_index_open(f->io, &options, &message, &f->index);
	ck_assert_msg(r == 0, "%s", message.text);
}

static void reopen(struct fixture *f, unsigned int zones)
{
	ck_assert_int_eq(uds_index_save(f->index), 0);
	ck_assert_int_eq(uds_index_close(f->index), 0);
	open_index(f, zones);
}

/* Names 0 to NAMES - 1, in order; nothing is cached. */
static void start(struct fixture *f, unsigned int zones)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_request requests[BATCH];
	struct uds_message message;

	memset(f, 0, sizeof(*f));
	f->env = (struct uds_env)UDS_ENV_INIT;
	f->env.context = f;
	f->env.log = count_log;
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = CHAPTERS;
	c.sparse_chapters_per_volume = CHAPTERS - DENSE;
	c.sparse_sample_rate = RATE;
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &f->io), 0);
	ck_assert_int_eq(uds_index_format(f->io, &c, NULL, &message), 0);
	open_index(f, zones);
	for (uint64_t i = 0; i < NAMES; i += BATCH) {
		memset(requests, 0, sizeof(requests));
		for (uint64_t j = 0; j < BATCH; j++) {
			requests[j].kind = UDS_POST;
			make_name(SEED, i + j, &requests[j].name);
			make_data('n', i + j, 1, &requests[j].new_data);
		}
		ck_assert_int_eq(uds_index_run(f->index, requests, BATCH), 0);
	}
}

static void end(struct fixture *f)
{
	uds_index_close(f->index);
	uds_io_close(f->io);
}

static bool is_hook(uint64_t i)
{
	struct uds_record_name name;

	make_name(SEED, i, &name);
	return get_be16(name.bytes + 14) % RATE == 0;
}

/* Asks for names @from to @to - 1 in order, in batches; what is found must be right. */
static uint64_t count_found(struct fixture *f, uint8_t kind, uint64_t from, uint64_t to,
			    unsigned int batch)
{
	struct uds_request requests[BATCH];
	uint64_t found = 0;

	for (uint64_t i = from; i < to; i += batch) {
		unsigned int n = to - i < batch ? (unsigned int)(to - i) : batch;

		memset(requests, 0, sizeof(requests));
		for (unsigned int j = 0; j < n; j++) {
			requests[j].kind = kind;
			make_name(SEED, i + j, &requests[j].name);
		}
		ck_assert_int_eq(uds_index_run(f->index, requests, n), 0);
		for (unsigned int j = 0; j < n; j++) {
			struct uds_record_data data;

			make_data('n', i + j, 1, &data);
			if (!requests[j].found)
				continue;
			ck_assert_int_eq(memcmp(&data, &requests[j].old_data, sizeof(data)), 0);
			found++;
		}
	}
	return found;
}

/* The i-th of the zone counts that are tried. */
static unsigned int zones_of(int i)
{
	static const unsigned int zones[] = { 1, 2, 3, 4 };

	return zones[i];
}

START_TEST(old_data_in_order_brings_its_chapters_back)
{
	struct fixture f;
	uint64_t found;

	start(&f, zones_of(_i));
	found = count_found(&f, UDS_QUERY, 2 * PER_CHAPTER, 22 * PER_CHAPTER, BATCH);
	printf("%u zones, old names in order: %.2f %% found\n", zones_of(_i),
	       (double)found * 100 / (20 * PER_CHAPTER));
	ck_assert_uint_ge(found, 20 * PER_CHAPTER * 95 / 100);
	end(&f);
}
END_TEST

START_TEST(batches_find_what_single_requests_find)
{
	struct fixture one, many;
	uint64_t a, b;

	start(&one, 1);
	start(&many, 1);
	a = count_found(&one, UDS_QUERY, 0, 15 * PER_CHAPTER, 1);
	b = count_found(&many, UDS_QUERY, 0, 15 * PER_CHAPTER, BATCH);
	ck_assert_uint_eq(a, b);
	end(&one);
	end(&many);
}
END_TEST

START_TEST(old_names_alone_are_missed_but_hooks_are_found)
{
	uint64_t hooks = 0, hooks_found = 0, others = 0, others_found = 0;
	struct fixture f;

	start(&f, zones_of(_i));
	/* First the others, while no hook has brought a chapter in. */
	for (uint64_t i = 0; i < 25 * PER_CHAPTER; i += 37) {
		if (is_hook(i))
			continue;
		others++;
		others_found += count_found(&f, UDS_PEEK, i, i + 1, 1);
	}
	for (uint64_t i = 0; i < 25 * PER_CHAPTER; i += 7) {
		if (!is_hook(i))
			continue;
		hooks++;
		hooks_found += count_found(&f, UDS_PEEK, i, i + 1, 1);
	}
	ck_assert_uint_eq(hooks_found, hooks);
	ck_assert_uint_gt(hooks, 100);
	ck_assert_uint_gt(others, 300);
	ck_assert_uint_eq(others_found, 0);
	end(&f);
}
END_TEST

START_TEST(dense_chapters_are_found_whole)
{
	struct fixture f;
	uint64_t from = NAMES - (DENSE - 2) * PER_CHAPTER;

	start(&f, zones_of(_i));
	ck_assert_uint_eq(count_found(&f, UDS_PEEK, from, NAMES, BATCH), NAMES - from);
	end(&f);
}
END_TEST

START_TEST(save_and_load_keep_the_hooks)
{
	uint64_t hooks = 0, found = 0;
	struct fixture f;

	start(&f, 1);
	reopen(&f, zones_of(_i));
	for (uint64_t i = 0; i < NAMES; i += 5) {
		if (!is_hook(i))
			continue;
		hooks++;
		found += count_found(&f, UDS_PEEK, i, i + 1, 1);
	}
	ck_assert_uint_eq(found, hooks);
	found = count_found(&f, UDS_QUERY, 2 * PER_CHAPTER, 12 * PER_CHAPTER, BATCH);
	ck_assert_uint_ge(found, 10 * PER_CHAPTER * 95 / 100);
	end(&f);
}
END_TEST

START_TEST(recovery_keeps_the_hooks_of_old_chapters_and_all_of_new_ones)
{
	struct fixture f;
	uint64_t found;

	start(&f, 1);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	open_index(&f, zones_of(_i));
	found = count_found(&f, UDS_QUERY, 2 * PER_CHAPTER, 12 * PER_CHAPTER, BATCH);
	ck_assert_uint_ge(found, 10 * PER_CHAPTER * 95 / 100);
	end(&f);
}
END_TEST

/* One index page and four record pages a chapter, behind super block, config and header page. */
static void damage_index_page(struct fixture *f, uint64_t chapter)
{
	uint8_t junk[64];

	memset(junk, 0x5a, sizeof(junk));
	ck_assert_int_eq(uds_io_write(f->io, junk, sizeof(junk), (2 + 1 + chapter * 5) * 4096), 0);
}

START_TEST(damaged_chapter_in_the_cache_is_reported_once_and_finds_nothing)
{
	struct fixture f;
	uint64_t hook = 3 * PER_CHAPTER;

	start(&f, 1);
	reopen(&f, 1);
	damage_index_page(&f, 3);
	ck_assert_uint_eq(f.errors_logged, 0);
	while (!is_hook(hook))
		hook++;
	ck_assert_uint_eq(count_found(&f, UDS_PEEK, hook, hook + 1, 1), 0);
	ck_assert_uint_eq(f.errors_logged, 1);
	ck_assert_uint_eq(count_found(&f, UDS_PEEK, 3 * PER_CHAPTER, 4 * PER_CHAPTER, BATCH), 0);
	ck_assert_uint_eq(f.errors_logged, 1);
	/* The neighbours are not touched by it. */
	ck_assert_uint_ge(count_found(&f, UDS_PEEK, 4 * PER_CHAPTER, 5 * PER_CHAPTER, BATCH),
			  PER_CHAPTER * 9 / 10);
	end(&f);
}
END_TEST

struct seen {
	uint8_t times[NAMES];
};

static int note_record(void *context, const struct uds_record_name *name,
		       const struct uds_record_data *data)
{
	struct seen *seen = context;

	(void)name;
	seen->times[get_le64(data->bytes)]++;
	return 0;
}

START_TEST(iterate_gives_names_of_sparse_chapters_too)
{
	struct seen *seen = calloc(1, sizeof(*seen));
	struct fixture f;

	start(&f, 3);
	ck_assert_int_eq(uds_index_for_each(f.index, note_record, seen), 0);
	for (uint64_t i = 0; i < NAMES; i++)
		ck_assert_msg(seen->times[i] == 1, "name %d: %u times", (int)i, seen->times[i]);
	free(seen);
	end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sparse index");
	TCase *tcase = tcase_create("sparse");

	tcase_add_loop_test(tcase, old_data_in_order_brings_its_chapters_back, 0, 4);
	tcase_add_test(tcase, batches_find_what_single_requests_find);
	tcase_add_loop_test(tcase, old_names_alone_are_missed_but_hooks_are_found, 0, 4);
	tcase_add_loop_test(tcase, dense_chapters_are_found_whole, 0, 4);
	tcase_add_loop_test(tcase, save_and_load_keep_the_hooks, 0, 4);
	tcase_add_loop_test(tcase, recovery_keeps_the_hooks_of_old_chapters_and_all_of_new_ones, 0,
			    4);
	tcase_add_test(tcase, damaged_chapter_in_the_cache_is_reported_once_and_finds_nothing);
	tcase_add_test(tcase, iterate_gives_names_of_sparse_chapters_too);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
