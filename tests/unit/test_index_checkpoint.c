/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recovery that begins with the volume index and the page map of a save that later chapters made
 * invalid: the same answers as from the volume alone, without reading all of it; and the volume
 * alone where the save is no part of the volume's history.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "base/bytes.h"
#include "check_main.h"
#include "crash.h"
#include "given_io.h"
#include "names.h"
#include "volume/layout.h"

#define SEED	    UINT64_C(0xc4ec)
#define PER_CHAPTER 512
#define NAMES	    (24 * PER_CHAPTER)

struct fixture {
	struct uds_io *io;
	struct uds_index *index;
	struct uds_message message;
	struct uds_env env;
	unsigned int used_save;	    /* openings that said so */
	unsigned long long entered; /* how many chapters the last of them read */
	uint64_t state;		    /* of the dice */
};

/* Threads that open an index: a small one has none by itself. */
static unsigned int threads = 3;

static uint64_t same_time(void *context)
{
	(void)context;
	return 1000;
}

static void log_line(void *context, enum uds_log_level level, const char *text)
{
	struct fixture *f = context;

	(void)level;
	if (strstr(text, "chapters since are entered") == NULL)
		return;
	f->used_save++;
	ck_assert_int_eq(sscanf(strchr(text, ';'), "; %llu", &f->entered), 1);
}

static void open_as(struct fixture *f, struct uds_io *io, enum uds_index_mode mode,
		    unsigned int zones)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	int r;

	options.env = &f->env;
	options.mode = mode;
	options.zones = zones;
	options.threads = threads;
	r = uds_index_open(io, &options, &f->message, &f->index);
	ck_assert_msg(r == 0, "%s", f->message.text);
}

static void start(struct fixture *f, bool sparse, unsigned int zones)
{
	const struct uds_env env = UDS_ENV_INIT;
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	memset(f, 0, sizeof(*f));
	f->env = env;
	f->env.context = f;
	f->env.log = log_line;
	f->env.now_ms = same_time;
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = 10;
	c.cache_chapters = 3;
	if (sparse) {
		c.sparse_chapters_per_volume = 5;
		c.sparse_sample_rate = 4;
	}
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &f->io), 0);
	ck_assert_int_eq(uds_index_format(f->io, &c, NULL, &f->message), 0);
	open_as(f, f->io, UDS_INDEX_LOAD_OR_RECOVER, zones);
}

static void crash(struct fixture *f)
{
	ck_assert_int_eq(uds_index_flush(f->index), 0);
	ck_assert_int_eq(uds_index_close(f->index), 0);
	f->index = NULL;
	f->used_save = 0;
}

static void end(struct fixture *f)
{
	ck_assert_int_eq(uds_index_close(f->index), 0);
	ck_assert_int_eq(uds_io_close(f->io), 0);
}

static uint64_t roll(struct fixture *f, uint64_t below)
{
	return splitmix64(SEED, f->state++) % below;
}

static void update(struct fixture *f, uint64_t i, uint32_t version)
{
	struct uds_record_name name;
	struct uds_record_data data;

	make_name(SEED, i, &name);
	make_data('c', i, version, &data);
	ck_assert_int_eq(uds_index_update(f->index, &name, &data, NULL, NULL), 0);
}

/* Whether the name is there; with @promote it is moved to the open chapter. */
static bool find(struct fixture *f, uint64_t i, bool promote, struct uds_record_data *ret_data)
{
	struct uds_record_name name;
	bool found = false;

	make_name(SEED, i, &name);
	memset(ret_data, 0, sizeof(*ret_data));
	ck_assert_int_eq(promote ? uds_index_query(f->index, &name, ret_data, &found)
				 : uds_index_peek(f->index, &name, ret_data, &found),
			 0);
	return found;
}

static void delete_name(struct fixture *f, uint64_t i)
{
	struct uds_record_name name;
	bool found = false;

	make_name(SEED, i, &name);
	ck_assert_int_eq(uds_index_delete(f->index, &name, &found), 0);
	ck_assert(found);
}

static struct uds_index_statistics get_statistics(struct fixture *f)
{
	struct uds_index_statistics statistics = UDS_INDEX_STATISTICS_INIT;

	ck_assert_int_eq(uds_index_get_statistics(f->index, &statistics), 0);
	return statistics;
}

static uint64_t chapter(struct fixture *f)
{
	return get_statistics(f).open_chapter;
}

/* New names, new data for old ones, and queries, until so many chapters were closed. */
static void go_on(struct fixture *f, uint64_t *next, uint64_t chapters, bool promotions)
{
	const uint64_t until = chapter(f) + chapters;
	struct uds_record_data data;

	while (chapter(f) < until) {
		ck_assert_uint_lt(*next, NAMES);
		update(f, (*next)++, 1);
		if (*next > 100 && roll(f, 4) == 0)
			update(f, roll(f, *next), 2 + (uint32_t)roll(f, 1000));
		if (promotions && *next > 100 && roll(f, 4) == 0)
			find(f, roll(f, *next), true, &data);
	}
}

/* What a recovery with the save answers, and one without it. */
static void compare(struct fixture *f, unsigned int zones, unsigned int wanted)
{
	struct uds_record_data *data = calloc(NAMES, sizeof(*data));
	struct uds_record_data other;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct uds_io *copy = copy_of(f->io);
	bool *found = calloc(NAMES, sizeof(*found));
	uint64_t here = 0, newest;

	open_as(f, copy, UDS_INDEX_RECOVER, zones);
	ck_assert_uint_eq(f->used_save, 0);
	for (uint64_t i = 0; i < NAMES; i++)
		here += found[i] = find(f, i, false, &data[i]);
	ck_assert_uint_gt(here, PER_CHAPTER / 2);
	newest = chapter(f);
	ck_assert_int_eq(uds_index_close(f->index), 0);
	ck_assert_int_eq(uds_io_close(copy), 0);

	ck_assert_int_eq(uds_index_read_info(f->io, NULL, &f->message, &info), 0);
	ck_assert_uint_eq(info.state, UDS_INDEX_NEEDS_RECOVERY);
	open_as(f, f->io, UDS_INDEX_LOAD_OR_RECOVER, zones);
	ck_assert_uint_eq(f->used_save, wanted);
	ck_assert_uint_eq(chapter(f), newest);
	if (wanted > 0) {
		ck_assert_uint_eq(info.recovery_chapters, f->entered);
		ck_assert_uint_gt(info.saved_zones, 0);
	}
	for (uint64_t i = 0; i < NAMES; i++) {
		ck_assert_msg(find(f, i, false, &other) == found[i], "name %u", (unsigned int)i);
		ck_assert_mem_eq(&other, &data[i], sizeof(other));
	}
	free(data);
	free(found);
}

static int no_finding(void *context, const char *sentence)
{
	(void)context;
	ck_abort_msg("finding: %s", sentence);
	return 0;
}

static void verify(struct fixture *f)
{
	uint64_t findings = 0;

	ck_assert_int_eq(uds_index_verify(f->io, NULL, no_finding, NULL, &f->message, &findings),
			 0);
	ck_assert_uint_eq(findings, 0);
}

/* Chapters before the save and since. The volume has room for nine. */
static const struct {
	unsigned int before, since;
} lengths[] = { { 1, 1 }, { 3, 2 }, { 7, 1 }, { 12, 4 }, { 9, 8 } };

START_TEST(a_recovery_with_the_save_answers_as_one_without_it)
{
	const bool sparse = _i % 2 != 0;
	const unsigned int zones = _i / 2 % 2 == 0 ? 1 : 3, length = (unsigned int)_i / 4;
	struct uds_record_data data;
	struct fixture f;
	uint64_t next = 0;

	start(&f, sparse, zones);
	go_on(&f, &next, lengths[length].before, true);
	/* Promoted into the open chapter that the save has. */
	for (unsigned int i = 0; i < 60; i++)
		find(&f, roll(&f, next), true, &data);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	go_on(&f, &next, lengths[length].since, true);
	crash(&f);
	compare(&f, zones == 1 ? 3 : 1, 1);
	/* The index goes on: save, load, and another crash. */
	ck_assert_int_eq(uds_index_save(f.index), 0);
	verify(&f);
	go_on(&f, &next, 1, true);
	crash(&f);
	compare(&f, zones, 1);
	end(&f);
}
END_TEST

/*
 * Nearly all names are new, so that most lists take the records of the chapters since the save
 * while they are loaded; more chapters than are read for that. @_i: bit 0 sparse; above,
 * threads less 1.
 */
START_TEST(chapters_of_new_names_are_recovered_as_without_the_save)
{
	struct uds_record_data data;
	struct fixture f;
	uint64_t next = 0;

	threads = 1 + (unsigned int)_i / 2;
	start(&f, _i % 2 != 0, 1);
	for (; chapter(&f) < 4; next++)
		update(&f, next, 1);
	for (uint64_t i = 0; i < 20; i++)
		find(&f, roll(&f, next), true, &data);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	for (; chapter(&f) < 9; next++) {
		update(&f, next, 1);
		if (next % 50 == 0)
			update(&f, roll(&f, next), 2);
	}
	crash(&f);
	compare(&f, 1, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	verify(&f);
	end(&f);
}
END_TEST

START_TEST(a_save_that_the_volume_has_left_behind_is_no_help)
{
	struct fixture f;
	uint64_t next = 0;

	start(&f, false, 1);
	go_on(&f, &next, 2, true);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	go_on(&f, &next, 12, true);
	crash(&f);
	compare(&f, 1, 0);
	end(&f);
}
END_TEST

/*
 * Names [0, 50) are in chapter 0; the save has them promoted into chapter 3, which is still open.
 */
static void promote_and_save(struct fixture *f, uint64_t *next)
{
	struct uds_record_data data;

	go_on(f, next, 3, false);
	for (uint64_t i = 0; i < 50; i++)
		ck_assert(find(f, i, true, &data));
	ck_assert_int_eq(uds_index_save(f->index), 0);
}

static void damage_slot(struct fixture *f, uint32_t slot, uint64_t at)
{
	struct layout layout;
	uint64_t page;
	uint8_t byte;

	ck_assert_int_eq(layout_read(f->io, 0, &f->message, &layout), 0);
	page = geometry_physical_page(&layout.geometry, slot, 0);
	at += super_block_volume_at(&layout.super) * BLOCK_BYTES +
	      page * layout.geometry.page_bytes;
	ck_assert_int_eq(uds_io_read(f->io, &byte, 1, at), 0);
	byte ^= 0xff;
	ck_assert_int_eq(uds_io_write(f->io, &byte, 1, at), 0);
}

START_TEST(promoted_names_are_not_lost_with_the_chapter_that_the_save_had_open)
{
	struct uds_record_data data;
	struct fixture f;
	uint64_t next = 0;

	start(&f, false, 1);
	promote_and_save(&f, &next);
	go_on(&f, &next, 2, false);
	crash(&f);
	damage_slot(&f, 3, 0); /* the magic of its first index page */
	compare(&f, 1, 0);
	for (uint64_t i = 0; i < 50; i++)
		ck_assert(find(&f, i, false, &data));
	end(&f);
}
END_TEST

/*
 * The save is put aside, and another chapter 3 is written, which has nothing of what the
 * save has open.
 */
START_TEST(promoted_names_are_not_lost_when_the_chapter_is_another_one)
{
	struct uds_record_data data;
	struct fixture f;
	uint64_t next = 0;

	start(&f, false, 1);
	promote_and_save(&f, &next);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	open_as(&f, f.io, UDS_INDEX_RECOVER, 1);
	go_on(&f, &next, 2, false);
	crash(&f);
	compare(&f, 1, 0);
	for (uint64_t i = 0; i < 50; i++)
		ck_assert(find(&f, i, false, &data));
	end(&f);
}
END_TEST

START_TEST(names_deleted_before_the_save_stay_deleted)
{
	struct uds_record_data data;
	struct fixture f;
	uint64_t next = 0;

	start(&f, false, 1);
	go_on(&f, &next, 3, false);
	for (uint64_t i = 0; i < 50; i++)
		delete_name(&f, i);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	for (uint64_t i = next; i < next + PER_CHAPTER + 10; i++)
		update(&f, i, 1);
	crash(&f);
	open_as(&f, f.io, UDS_INDEX_LOAD_OR_RECOVER, 1);
	ck_assert_uint_eq(f.used_save, 1);
	/* No chapter has left: what was taken out of the save's volume index came in again. */
	ck_assert_uint_eq(get_statistics(&f).discards, 0);
	for (uint64_t i = 0; i < 50; i++)
		ck_assert(!find(&f, i, false, &data));
	ck_assert(find(&f, 60, false, &data));
	/* The volume alone does not tell. */
	crash(&f);
	open_as(&f, f.io, UDS_INDEX_RECOVER, 1);
	ck_assert(find(&f, 0, false, &data));
	end(&f);
}
END_TEST

/*
 * The power goes, and all that no flush has made durable, when a chapter is: with it what tells
 * that the chapter is of this library, its checksums. Closes the index.
 */
static struct uds_crash_log *cut(struct fixture *f, struct uds_crash_log *log)
{
	struct uds_crash_log *after;

	ck_assert_int_eq(uds_index_close(f->index), 0);
	after = crash_after(log, uds_crash_log_events(log), UDS_CRASH_DROP, 0);
	ck_assert_int_eq(uds_io_close(f->io), 0);
	uds_crash_log_free(log);
	f->io = crash_open(after, 0);
	f->used_save = 0;
	open_as(f, f->io, UDS_INDEX_LOAD_OR_RECOVER, 1);
	return after;
}

/*
 * Two chapters, each of them the last that is durable when the power goes. The first one lacks a
 * name that the save has in it.
 */
START_TEST(names_deleted_before_the_save_stay_deleted_after_two_cuts)
{
	struct uds_crash_log *log = crash_log();
	struct uds_record_data data;
	struct fixture f;
	uint64_t next = 0, size;
	uint8_t *bytes;

	start(&f, false, 1);
	go_on(&f, &next, 3, false);
	update(&f, next, 1);
	for (uint64_t i = 0; i < 50; i++)
		delete_name(&f, i);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	bytes = bytes_of(f.io, &size);
	crash_add(log, bytes, size, 1);
	free(bytes);
	ck_assert_int_eq(uds_io_close(f.io), 0);
	f.io = crash_open(log, 0);
	open_as(&f, f.io, UDS_INDEX_LOAD_OR_RECOVER, 1);
	delete_name(&f, next++);
	for (unsigned int i = 0; i < 2; i++) {
		for (uint64_t open = chapter(&f); chapter(&f) == open;)
			update(&f, next++, 1);
		log = cut(&f, log);
		ck_assert_uint_eq(f.used_save, 1);
	}
	for (uint64_t i = 0; i < 50; i++)
		ck_assert(!find(&f, i, false, &data));
	ck_assert(find(&f, 60, false, &data));
	end(&f);
	uds_crash_log_free(log);
}
END_TEST

/* What is on the device when the index was recovered with so many threads, and saved. */
static uint8_t *recover_and_save(struct fixture *f, unsigned int with, enum uds_index_mode mode,
				 unsigned int zones, uint64_t *ret_bytes)
{
	struct uds_io *copy = copy_of(f->io);
	uint8_t *content;

	threads = with;
	open_as(f, copy, mode, zones);
	ck_assert_int_eq(uds_index_save(f->index), 0);
	ck_assert_int_eq(uds_index_close(f->index), 0);
	content = bytes_of(copy, ret_bytes);
	ck_assert_int_eq(uds_io_close(copy), 0);
	return content;
}

START_TEST(any_number_of_threads_recovers_to_the_same_bytes)
{
	static const unsigned int more[] = { 2, 3, 4, 8, 100 };
	const bool sparse = _i % 2 != 0;
	const enum uds_index_mode mode =
		_i / 2 % 2 == 0 ? UDS_INDEX_RECOVER : UDS_INDEX_LOAD_OR_RECOVER;
	const unsigned int zones = _i / 4 % 2 == 0 ? 1 : 3, since = _i / 8 == 0 ? 4 : 7;
	struct uds_record_data data;
	uint64_t next = 0, bytes, same;
	struct fixture f;
	uint8_t *one;

	start(&f, sparse, zones);
	go_on(&f, &next, 9, true);
	for (unsigned int i = 0; i < 60; i++)
		find(&f, roll(&f, next), true, &data);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	go_on(&f, &next, since, true);
	crash(&f);
	one = recover_and_save(&f, 1, mode, zones, &bytes);
	for (unsigned int i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		uint8_t *many = recover_and_save(&f, more[i], mode, zones, &same);

		ck_assert_uint_eq(same, bytes);
		ck_assert(memcmp(one, many, bytes) == 0);
		free(many);
	}
	ck_assert_uint_eq(f.used_save, mode == UDS_INDEX_RECOVER ? 0 : 6);
	free(one);
	ck_assert_int_eq(uds_io_close(f.io), 0);
}
END_TEST

/* Of the first stream: behind its heads and the table of flush_from. */
static uint64_t place_of_delta_magic(struct fixture *f, const struct save *save, bool sparse)
{
	uint64_t head = save->volume_index[0].offset + (sparse ? 12 : 0);
	uint8_t lists[4];

	ck_assert_int_eq(uds_io_read(f->io, lists, sizeof(lists), head + 36), 0);
	return head + 40 + 8 * (uint64_t)get_le32(lists);
}

/*
 * In the save, at all kinds of places: the volume index or page map that does not load is no help.
 */
START_TEST(a_damaged_save_is_no_help)
{
	const struct save *save;
	struct layout layout;
	struct fixture f;
	uint64_t next = 0, at[3];
	uint8_t byte = 0x5a;

	start(&f, _i % 2 != 0, 1);
	promote_and_save(&f, &next);
	go_on(&f, &next, 2, false);
	crash(&f);
	ck_assert_int_eq(layout_read(f.io, 0, &f.message, &layout), 0);
	save = saves_checkpoint(&layout.saves, &layout.geometry);
	ck_assert_ptr_nonnull(save);
	at[0] = save->volume_index[0].offset;
	at[1] = save->page_map.offset;
	at[2] = place_of_delta_magic(&f, save, _i % 2 != 0);
	ck_assert_int_eq(uds_io_write(f.io, &byte, 1, at[_i / 2]), 0);
	compare(&f, 1, 0);
	end(&f);
}
END_TEST

/* What requests do between two parts of a save. */
struct meanwhile {
	struct fixture *f;
	uint64_t first, end; /* names that were there when it began */
	uint64_t next;
	uint64_t until; /* chapters are closed up to this one */
	unsigned int calls;
};

static int change_everything(void *context, uint64_t done, uint64_t total)
{
	struct meanwhile *m = context;
	struct uds_record_name name;
	struct uds_record_data data;

	(void)done;
	(void)total;
	if (m->calls++ > 0)
		return 0;
	for (uint64_t i = m->first; i < m->end; i++) {
		make_name(SEED, i, &name);
		if (i % 4 == 0)
			ck_assert_int_eq(uds_index_delete(m->f->index, &name, NULL), 0);
		else if (i % 4 == 1)
			update(m->f, i, 777);
		else if (i % 4 == 2)
			find(m->f, i, true, &data);
		if (i % 8 == 0)
			update(m->f, m->next++, 888);
	}
	while (chapter(m->f) < m->until)
		update(m->f, m->next++, 888);
	return 0;
}

/* Whether the open chapter of the latest save was made invalid, as the format does it. */
static bool latest_save_is_wiped(struct uds_io *io)
{
	struct uds_message message = { "" };
	struct layout layout;
	uint8_t block[512], zeros[512] = { 0 };

	ck_assert_int_eq(layout_read(io, 0, &message, &layout), 0);
	ck_assert_ptr_nonnull(saves_find_latest(&layout.saves));
	ck_assert_int_eq(uds_io_read(io, block, sizeof(block),
				     saves_find_latest(&layout.saves)->save.open_chapter.offset),
			 0);
	return memcmp(block, zeros, sizeof(block)) == 0;
}

/* Answers of an index, with the data. */
static void remember(struct fixture *f, uint64_t names, bool *found, struct uds_record_data *data)
{
	for (uint64_t i = 0; i < names; i++)
		found[i] = find(f, i, false, &data[i]);
}

/*
 * No chapter is closed while it is made: it loads, and is the index as it was when it began. @_i:
 * bit 0 sparse, bit 1 three zones.
 */
START_TEST(a_save_has_nothing_of_what_came_while_it_was_made)
{
	struct uds_record_data *before = calloc(NAMES, sizeof(*before)), data;
	bool *found = calloc(NAMES, sizeof(*found));
	struct uds_io *copy;
	struct fixture f;
	struct meanwhile m = { .f = &f };
	uint64_t next = 0;

	start(&f, _i & 1, _i & 2 ? 3 : 1);
	go_on(&f, &next, 3, true);
	for (unsigned int i = 0; i < 60; i++)
		update(&f, next++, 1);
	remember(&f, next, found, before);
	m.first = next - 300;
	m.end = m.next = next;
	ck_assert_int_eq(uds_index_save_reporting(f.index, change_everything, &m), 0);
	ck_assert_uint_gt(m.calls, 1);
	ck_assert(!latest_save_is_wiped(f.io));
	copy = copy_of(f.io);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	open_as(&f, copy, UDS_INDEX_LOAD, _i & 2 ? 3 : 1);
	for (uint64_t i = 0; i < m.next; i++) {
		ck_assert_msg(find(&f, i, false, &data) == (i < next && found[i]), "name %u",
			      (unsigned int)i);
		if (i < next)
			ck_assert_mem_eq(&data, &before[i], sizeof(data));
	}
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(uds_io_close(copy), 0);
	ck_assert_int_eq(uds_io_close(f.io), 0);
	free(before);
	free(found);
}
END_TEST

/* What changed while it was made is the next save's, and a flush does not take it for saved. */
START_TEST(what_came_while_a_save_was_made_is_saved_by_the_next)
{
	struct uds_record_data data;
	struct fixture f;
	struct meanwhile m = { .f = &f };
	uint64_t next = 0;

	start(&f, false, 1);
	go_on(&f, &next, 2, false);
	for (unsigned int i = 0; i < 60; i++)
		update(&f, next++, 1);
	m.first = next - 100;
	m.end = m.next = next;
	ck_assert_int_eq(uds_index_save_reporting(f.index, change_everything, &m), 0);
	if (_i == 0)
		ck_assert_int_eq(uds_index_flush(f.index), 0);
	else
		ck_assert_int_eq(uds_index_save(f.index), 0);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	open_as(&f, f.io, UDS_INDEX_LOAD_OR_RECOVER, 1);
	ck_assert(find(&f, m.next - 1, false, &data));
	for (uint64_t i = m.first; i < m.end; i++)
		ck_assert_int_eq(find(&f, i, false, &data), i % 4 != 0);
	end(&f);
}
END_TEST

/*
 * Its open chapter is closed while it is made: it is invalid from the start, also for other
 * implementations, and a recovery begins with it. @_i: chapters that are closed; the volume has
 * room for nine.
 */
START_TEST(a_save_that_is_left_behind_while_it_is_made_helps_a_recovery)
{
	struct fixture f;
	struct meanwhile m = { .f = &f };
	uint64_t next = 0;

	start(&f, false, 2);
	go_on(&f, &next, 3, true);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	go_on(&f, &next, 1, true);
	m.first = next - 50;
	m.end = m.next = next;
	m.until = chapter(&f) + (unsigned int)_i;
	ck_assert_int_eq(uds_index_save_reporting(f.index, change_everything, &m), 0);
	ck_assert_int_eq(latest_save_is_wiped(f.io), _i > 0);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	f.used_save = 0;
	open_as(&f, f.io, UDS_INDEX_LOAD_OR_RECOVER, 2);
	if (_i > 0 && _i < 8)
		ck_assert_uint_eq(f.used_save, 1);
	for (uint64_t i = m.first; i < m.end; i++) {
		struct uds_record_data data;

		if (i % 4 == 0)
			ck_assert(!find(&f, i, false, &data));
		else if (i % 4 == 1 && _i < 8)
			ck_assert(find(&f, i, false, &data));
	}
	ck_assert_int_eq(uds_index_save(f.index), 0);
	verify(&f);
	end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_checkpoint");
	TCase *tc = tcase_create("checkpoint");

	tcase_set_timeout(tc, 120);
	tcase_add_alike(tc, a_recovery_with_the_save_answers_as_one_without_it, 0, 20);
	tcase_add_alike(tc, chapters_of_new_names_are_recovered_as_without_the_save, 0, 8);
	tcase_add_test(tc, a_save_that_the_volume_has_left_behind_is_no_help);
	tcase_add_test(tc, promoted_names_are_not_lost_with_the_chapter_that_the_save_had_open);
	tcase_add_test(tc, promoted_names_are_not_lost_when_the_chapter_is_another_one);
	tcase_add_test(tc, names_deleted_before_the_save_stay_deleted);
	tcase_add_test(tc, names_deleted_before_the_save_stay_deleted_after_two_cuts);
	tcase_add_loop_test(tc, a_damaged_save_is_no_help, 0, 6);
	tcase_add_alike(tc, any_number_of_threads_recovers_to_the_same_bytes, 0, 16);
	tcase_add_loop_test(tc, a_save_has_nothing_of_what_came_while_it_was_made, 0, 4);
	tcase_add_loop_test(tc, what_came_while_a_save_was_made_is_saved_by_the_next, 0, 2);
	tcase_add_alike(tc, a_save_that_is_left_behind_while_it_is_made_helps_a_recovery, 0, 12);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
