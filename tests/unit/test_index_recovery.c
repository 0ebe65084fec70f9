/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a recovery keeps: the records of a damaged save's open chapter; and every record of the
 * newest chapter that can be found, also where the chapter index has no room for others. And what
 * it does not lose without being asked to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "check_main.h"
#include "crash.h"
#include "fault_io.h"
#include "given_io.h"
#include "index/saved_records.h"
#include "names.h"
#include "torture_env.h"
#include "volume/layout.h"
#include "volume/save_header.h"

#define SEED	    UINT64_C(0x5e1)
#define PER_CHAPTER 512
#define OPEN	    57 /* records in the open chapter */

struct fixture {
	struct uds_io *io;
	struct uds_index *index;
	struct uds_message message;
};

static void start(struct fixture *f, bool sparse, uint32_t chapters)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	memset(f, 0, sizeof(*f));
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = chapters;
	c.cache_chapters = 3;
	if (sparse) {
		c.sparse_chapters_per_volume = 5;
		c.sparse_sample_rate = 4;
	}
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &f->io), 0);
	ck_assert_int_eq(uds_index_format(f->io, &c, NULL, &f->message), 0);
	ck_assert_int_eq(uds_index_open(f->io, NULL, &f->message, &f->index), 0);
}

static void end(struct fixture *f)
{
	ck_assert_int_eq(uds_index_close(f->index), 0);
	ck_assert_int_eq(uds_io_close(f->io), 0);
}

static int reopen(struct fixture *f, enum uds_index_mode mode, unsigned int zones,
		  bool lose_records)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	int r;

	ck_assert_int_eq(uds_index_close(f->index), 0);
	f->index = NULL;
	options.mode = mode;
	options.zones = zones;
	options.lose_records = lose_records;
	options.threads = 3;
	r = uds_index_open(f->io, &options, &f->message, &f->index);
	ck_assert(r == 0 || f->message.text[0] != '\0');
	return r;
}

/* Stores names [from, to) in a version. */
static void store(struct fixture *f, uint64_t from, uint64_t to, uint32_t version)
{
	for (uint64_t i = from; i < to; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(SEED, i, &name);
		make_data('n', i, version, &data);
		ck_assert_int_eq(uds_index_update(f->index, &name, &data, NULL, NULL), 0);
	}
}

static uint64_t count_version(struct fixture *f, uint64_t from, uint64_t to, uint32_t version)
{
	uint64_t count = 0;

	for (uint64_t i = from; i < to; i++) {
		struct uds_record_data data, expected;
		struct uds_record_name name;
		bool found = false;

		make_name(SEED, i, &name);
		make_data('n', i, version, &expected);
		ck_assert_int_eq(uds_index_peek(f->index, &name, &data, &found), 0);
		count += found && memcmp(&data, &expected, sizeof(data)) == 0;
	}
	return count;
}

static struct save latest_save(struct fixture *f)
{
	struct layout layout;

	ck_assert_int_eq(layout_read(f->io, 0, &f->message, &layout), 0);
	ck_assert_ptr_nonnull(saves_latest_slot(&layout.saves));
	return saves_latest_slot(&layout.saves)->save;
}

static void damage(struct fixture *f, uint64_t at)
{
	uint8_t byte;

	ck_assert_int_eq(uds_io_read(f->io, &byte, 1, at), 0);
	byte ^= 0x5a;
	ck_assert_int_eq(uds_io_write(f->io, &byte, 1, at), 0);
}

static int no_finding(void *context, const char *sentence)
{
	(void)context;
	ck_abort_msg("finding: %s", sentence);
	return 0;
}

static void save_and_verify(struct fixture *f)
{
	uint64_t findings = 0;

	ck_assert_int_eq(uds_index_save(f->index), 0);
	ck_assert_int_eq(uds_index_verify(f->io, NULL, no_finding, NULL, &f->message, &findings),
			 0);
	ck_assert_uint_eq(findings, 0);
}

/* Four chapters, an update of some of them in the open chapter, and new names. */
static void fill_and_save(struct fixture *f)
{
	store(f, 0, 4 * PER_CHAPTER, 1);
	store(f, 1000, 1000 + OPEN - 7, 2);
	store(f, 9000, 9007, 1);
	ck_assert_int_eq(uds_index_save(f->index), 0);
}

/* Where the save is damaged: each of its parts but for the open chapter. */
static uint64_t place_in_save(struct fixture *f, int part)
{
	struct save save = latest_save(f);
	struct layout layout;

	ck_assert_int_eq(layout_read(f->io, 0, &f->message, &layout), 0);
	switch (part) {
	case 0:
		return save.volume_index[0].offset + 3;
	case 1:
		return save.page_map.offset + 3;
	case 2: /* region count of the header */
		return super_block_save_at(&layout.super, save.slot) * BLOCK_BYTES + 20;
	case 3: /* time stamp of a header for one zone */
		return super_block_save_at(&layout.super, save.slot) * BLOCK_BYTES + 24 + 24 * 4;
	default: /* newest chapter in the volume index's own header */
		return save.volume_index[0].offset + (part == 4 ? 24 : 16);
	}
}

/* Of the save's first stream: behind its head, or heads, and the chapters of its lists. */
static uint64_t place_of_delta_magic(struct fixture *f, bool sparse)
{
	uint64_t head = latest_save(f).volume_index[0].offset + (sparse ? 12 : 0);
	uint8_t lists[4];

	ck_assert_int_eq(uds_io_read(f->io, lists, sizeof(lists), head + 36), 0);
	return head + 40 + 8 * (uint64_t)(lists[0] | lists[1] << 8 | lists[2] << 16);
}

START_TEST(a_damaged_save_does_not_take_its_open_chapter_with_it)
{
	bool sparse = _i % 2 != 0;
	unsigned int zones = _i / 2 % 2 == 0 ? 1 : 3;
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_info info = { .size = sizeof(info) };
	uint64_t delta_magic;
	struct fixture f;

	options.check_save = true;
	start(&f, sparse, 10);
	fill_and_save(&f);
	delta_magic = place_of_delta_magic(&f, sparse);
	damage(&f, place_in_save(&f, _i / 4 < 4 ? _i / 4 : 2));
	/* the header, and with it the head of the stream that says how many zones there are */
	if (_i / 4 == 4)
		damage(&f, delta_magic);
	ck_assert_int_eq(uds_index_read_info(f.io, &options, &f.message, &info), 0);
	ck_assert_int_eq(info.state, UDS_INDEX_NEEDS_RECOVERY);
	ck_assert_uint_eq(info.saved_records, OPEN);
	ck_assert_uint_eq(info.saved_zones, 0);
	ck_assert_uint_gt(info.recovery_chapters, 0);
	ck_assert_uint_eq(info.recovery_chapters, info.open_chapter - info.oldest_chapter);
	ck_assert_int_eq(reopen(&f, UDS_INDEX_LOAD, zones, false), UDS_ERR_NEEDS_RECOVERY);
	for (int mode = UDS_INDEX_READ_ONLY; mode >= UDS_INDEX_LOAD_OR_RECOVER; mode -= 2) {
		int r = reopen(&f, (enum uds_index_mode)mode, zones, false);

		ck_assert_msg(r == 0, "%s", f.message.text);
		ck_assert_uint_eq(count_version(&f, 1000, 1000 + OPEN - 7, 2), OPEN - 7);
		ck_assert_uint_eq(count_version(&f, 9000, 9007, 1), 7);
		if (!sparse)
			ck_assert_uint_eq(count_version(&f, 0, 1000, 1), 1000);
	}
	/* And they are there after the chapter closes, and after all that can happen then. */
	save_and_verify(&f);
	ck_assert_int_eq(reopen(&f, UDS_INDEX_LOAD, 1, false), 0);
	ck_assert_uint_eq(count_version(&f, 1000, 1000 + OPEN - 7, 2), OPEN - 7);
	store(&f, 20000, 20000 + PER_CHAPTER, 1);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	ck_assert_int_eq(reopen(&f, UDS_INDEX_LOAD_OR_RECOVER, zones, false), 0);
	ck_assert_uint_eq(count_version(&f, 1000, 1000 + OPEN - 7, 2), OPEN - 7);
	save_and_verify(&f);
	end(&f);
}
END_TEST

/* As one learns it without opening the index. */
static uint32_t state_of(struct fixture *f)
{
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;

	options.check_save = true;
	ck_assert_int_eq(uds_index_read_info(f->io, &options, &f->message, &info), 0);
	return info.state;
}

START_TEST(records_that_would_be_lost_are_counted_and_must_be_given_up)
{
	static const enum uds_index_mode modes[] = { UDS_INDEX_LOAD_OR_RECOVER,
						     UDS_INDEX_READ_ONLY };
	struct uds_message expected;
	struct fixture f;
	struct save save;

	start(&f, false, 8);
	fill_and_save(&f);
	save = latest_save(&f);
	damage(&f, save.open_chapter.offset + 1);
	snprintf(expected.text, sizeof(expected.text), "loses the up to %d records", OPEN);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(reopen(&f, modes[i], 1, false), UDS_ERR_WOULD_LOSE_RECORDS);
		ck_assert_msg(strstr(f.message.text, expected.text) != NULL, "%s", f.message.text);
	}
	ck_assert_int_eq(state_of(&f), UDS_INDEX_NEEDS_RECOVERY);
	ck_assert_int_eq(
		reopen(&f, _i == 0 ? UDS_INDEX_LOAD_OR_RECOVER : UDS_INDEX_RECOVER, 1, _i == 0), 0);
	ck_assert_uint_eq(count_version(&f, 1000, 1000 + OPEN - 7, 1), OPEN - 7);
	ck_assert_uint_eq(count_version(&f, 9000, 9007, 1), 0);
	save_and_verify(&f);
	end(&f);
}
END_TEST

/* A crash is no reason to ask: what the save has is on the volume. */
START_TEST(a_crash_is_recovered_without_a_question)
{
	struct fixture f;

	start(&f, false, 8);
	fill_and_save(&f);
	store(&f, 30000, 30000 + PER_CHAPTER, 1);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	ck_assert_int_eq(reopen(&f, UDS_INDEX_LOAD_OR_RECOVER, 1, false), 0);
	ck_assert_uint_eq(count_version(&f, 9000, 9007, 1), 7);
	end(&f);
}
END_TEST

/* Two saves of one chapter: nobody knows which is the later one when a header is damaged. */
START_TEST(a_save_without_its_header_is_not_passed_over_for_an_older_one)
{
	struct layout layout;
	struct fixture f;
	uint64_t header;

	start(&f, false, 8);
	store(&f, 0, 700, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	if (_i == 0)
		store(&f, 700, 711, 1);
	else /* stored once more, and the same */
		store(&f, 600, 601, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	ck_assert_int_eq(layout_read(f.io, 0, &f.message, &layout), 0);
	header = super_block_save_at(&layout.super, latest_save(&f).slot) * BLOCK_BYTES;
	damage(&f, header + 20);
	if (_i != 0) {
		ck_assert_int_eq(reopen(&f, UDS_INDEX_LOAD, 1, false), 0);
	} else {
		ck_assert_int_eq(reopen(&f, UDS_INDEX_LOAD, 1, false), UDS_ERR_WOULD_LOSE_RECORDS);
		ck_assert_msg(strstr(f.message.text, "11 of its records") != NULL, "%s",
			      f.message.text);
		ck_assert_int_eq(state_of(&f), UDS_INDEX_NEEDS_RECOVERY);
		ck_assert_int_eq(reopen(&f, UDS_INDEX_LOAD, 1, true), 0);
	}
	ck_assert_uint_eq(count_version(&f, 0, 700, 1), 700);
	/* The next save is the latest, and the question does not come up again. */
	store(&f, 800, 801, 1);
	save_and_verify(&f);
	ck_assert_int_eq(reopen(&f, UDS_INDEX_LOAD, 1, false), 0);
	ck_assert_uint_eq(count_version(&f, 800, 801, 1), 1);
	end(&f);
}
END_TEST

/* The records of the save that lost its header, of which the first was updated since. */
static void check_after_cut(struct uds_crash_log *after, const char *text)
{
	struct fixture f = { 0 };
	int r;

	f.io = crash_open(after, 0);
	r = uds_index_open(f.io, NULL, &f.message, &f.index);
	ck_assert_msg(r == 0, "%s: %s", text, f.message.text);
	ck_assert_msg(count_version(&f, 2000, 2050, 1) + count_version(&f, 2000, 2001, 2) == 50,
		      "%s", text);
	end(&f);
	uds_crash_log_free(after);
}

/*
 * The chapter that the first save has open is on the volume; the second save has the next one, and
 * its header is garbage. So the records of that are kept, and the next save is written over the
 * first one. After a cut between its header and the end of the damaged one, what the damaged one
 * has is older.
 */
START_TEST(a_save_that_has_all_of_a_damaged_one_asks_nothing_after_a_cut)
{
	struct uds_crash_log *log = crash_log(), *after;
	struct crash_cuts cuts;
	struct layout layout;
	struct fixture f;
	uint64_t size;
	uint8_t *bytes;
	uint32_t marks = 0;

	start(&f, false, 8);
	store(&f, 0, 700, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	store(&f, 1000, 1000 + PER_CHAPTER, 1);
	store(&f, 2000, 2050, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	ck_assert_int_eq(layout_read(f.io, 0, &f.message, &layout), 0);
	damage(&f, super_block_save_at(&layout.super, latest_save(&f).slot) * BLOCK_BYTES + 20);
	bytes = bytes_of(f.io, &size);
	end(&f);
	crash_add(log, bytes, size, 1);
	free(bytes);
	f.io = crash_open(log, 0);
	ck_assert_int_eq(uds_index_open(f.io, NULL, &f.message, &f.index), 0);
	store(&f, 2000, 2001, 2);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	end(&f);
	crash_start(&cuts, log, 1);
	while ((after = crash_next(&cuts)) != NULL) {
		const uint8_t *cut = crash_bytes(after, 0);

		for (unsigned int i = 0; i < SAVE_SLOTS; i++)
			marks += memcmp(cut + super_block_save_at(&layout.super, i) * BLOCK_BYTES,
					"UDSOLDER", 8) == 0;
		check_after_cut(after, cuts.state.text);
	}
	ck_assert_uint_gt(marks, 5);
	uds_crash_log_free(log);
}
END_TEST

/*
 * Names of which many are equal in the bits of the chapter index, so that a list has to be emptied.
 */
static void make_crowded_name(int i, struct uds_record_name *ret_name)
{
	make_name(SEED, (uint64_t)i, ret_name);
	if (i < 400 && i % 4 != 0)
		memset(ret_name->bytes + 8, 7, 6);
}

static uint32_t count_crowded(struct fixture *f, bool crowd)
{
	uint32_t count = 0;

	for (int i = 0; i < PER_CHAPTER; i++) {
		struct uds_record_name name;
		bool found = false;

		make_crowded_name(i, &name);
		ck_assert_int_eq(uds_index_peek(f->index, &name, NULL, &found), 0);
		count += found && crowd == (i < 400 && i % 4 != 0);
	}
	return count;
}

START_TEST(a_recovery_keeps_every_record_of_a_crowded_chapter_that_can_be_found)
{
	struct uds_record_data data = { { 7 } };
	uint32_t spread[2], crowd[2];

	for (int saved = 0; saved < 2; saved++) {
		struct fixture f;

		start(&f, false, 8);
		for (int i = 0; i < PER_CHAPTER; i++) {
			struct uds_record_name name;

			make_crowded_name(i, &name);
			ck_assert_int_eq(uds_index_post(f.index, &name, &data, NULL, NULL), 0);
		}
		ck_assert_int_eq(saved ? uds_index_save(f.index) : uds_index_flush(f.index), 0);
		ck_assert_int_eq(reopen(&f, UDS_INDEX_LOAD_OR_RECOVER, 1, false), 0);
		spread[saved] = count_crowded(&f, false);
		crowd[saved] = count_crowded(&f, true);
		end(&f);
	}
	ck_assert_uint_gt(spread[1], 150);
	ck_assert_uint_eq(spread[0], spread[1]);
	ck_assert_uint_eq(crowd[0], crowd[1]);
}
END_TEST

/* ---- the records that only a save has, when its header is damaged ---- */

/* Fields of the first stream; the delta index header is behind the chapters of the lists. */
#define DELTA_HEADER 1000u
static const struct {
	uint64_t at;
	unsigned int bytes;
	uint64_t value;
	bool there;
} stream_fields[] = {
	{ 16, 1, 0, true }, /* which no one looks at */
	{ 0, 1, 'X', false },
	{ 8, 8, 77, false },		 /* another index's nonce */
	{ 24, 8, CHAPTER_LIMIT, false }, /* newest chapter */
	{ 24, 8, CHAPTER_LIMIT - 1, true },
	{ 36, 4, UINT32_MAX, false },	    /* more lists than the region has room for */
	{ DELTA_HEADER + 12, 4, 0, false }, /* zones */
	{ DELTA_HEADER + 12, 4, MAXIMUM_ZONES + 1, false },
	{ DELTA_HEADER + 12, 4, 1, true },
};

static void read_layout(struct fixture *f, struct layout *layout)
{
	ck_assert_int_eq(layout_read(f->io, 0, &f->message, layout), 0);
}

static int find_saved(struct fixture *f, const struct layout *layout, bool skip,
		      struct saved_records *ret_saved)
{
	memset(ret_saved, 0, sizeof(*ret_saved));
	f->message.text[0] = '\0';
	return saved_records_find(f->io, layout, guarded_env(), skip, &f->message, ret_saved);
}

START_TEST(a_save_without_its_header_is_found_by_what_follows)
{
	struct saved_records saved;
	uint64_t at, stream;
	struct layout layout;
	struct fixture f;
	uint8_t bytes[8];

	start(&f, false, 8);
	fill_and_save(&f);
	stream = latest_save(&f).volume_index[0].offset;
	at = stream_fields[_i].at < DELTA_HEADER
		     ? stream + stream_fields[_i].at
		     : place_of_delta_magic(&f, false) + stream_fields[_i].at - DELTA_HEADER;
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(stream_fields[_i].value >> (8 * i));
	damage(&f, place_in_save(&f, 2));
	ck_assert_int_eq(uds_io_write(f.io, bytes, stream_fields[_i].bytes, at), 0);
	read_layout(&f, &layout);
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert_int_eq(saved.there, stream_fields[_i].there);
	if (saved.there)
		ck_assert(saved.headless && saved.intact && saved.count == OPEN);
	end(&f);
}
END_TEST

START_TEST(a_save_without_its_header_must_have_room)
{
	struct saved_records saved;
	struct layout layout;
	uint8_t zones = 2;
	struct fixture f;
	struct save save;

	start(&f, false, 8);
	fill_and_save(&f);
	ck_assert_int_eq(uds_io_write(f.io, &zones, 1, place_of_delta_magic(&f, false) + 12), 0);
	damage(&f, place_in_save(&f, 2));
	read_layout(&f, &layout);
	/* For one zone, but not for the two that it says. */
	while (save_header_plan(&layout.super, 0, 2, &save, NULL) == 0)
		layout.super.save_blocks--;
	ck_assert_int_eq(save_header_plan(&layout.super, 0, 1, &save, NULL), 0);
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert(!saved.there);
	layout.super.save_blocks = 1;
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert(!saved.there);
	end(&f);
}
END_TEST

START_TEST(the_head_of_a_saved_open_chapter_says_what_there_is)
{
	struct saved_records saved;
	struct layout layout;
	struct save_slot *slot;
	struct fixture f;

	start(&f, false, 8);
	fill_and_save(&f);
	read_layout(&f, &layout);
	slot = saves_latest_slot(&layout.saves);
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert(saved.there && saved.intact && !saved.headless && saved.count == OPEN);
	slot->save.open_chapter.bytes = 512;
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert(saved.there && !saved.intact);
	ck_assert_str_eq(saved.why.text, "open chapter: more records than its region has room for");
	/* One that no index can have, or that was left behind: the volume has the records. */
	slot->save.newest = CHAPTER_LIMIT;
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert(!saved.there);
	slot->save.newest = 4;
	slot->outdated = true;
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert(!saved.there);
	slot->outdated = false;
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert(saved.there);
	slot->wiped = true;
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert(!saved.there);
	end(&f);
}
END_TEST

/* Nothing is lost with an open chapter that was empty; a damaged one may have had some. */
START_TEST(an_empty_open_chapter_has_nothing_to_be_lost)
{
	struct saved_records saved;
	struct layout layout;
	struct fixture f;

	start(&f, false, 8);
	store(&f, 0, PER_CHAPTER, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	read_layout(&f, &layout);
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert(!saved.there && saved.intact && saved.count == 0);
	damage(&f, latest_save(&f).open_chapter.offset + 1);
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), 0);
	ck_assert(saved.there && !saved.intact && saved.count == 0);
	end(&f);
}
END_TEST

/* @_i: 1: the header is damaged, too. 2 more: the index is sparse. */
START_TEST(a_save_that_cannot_be_read_is_told_or_passed_over)
{
	const bool headless = _i % 2 == 1;
	struct saved_records saved;
	struct fault_plan plan;
	struct layout layout;
	struct fixture f;
	struct save save;

	start(&f, _i >= 2, 8);
	fill_and_save(&f);
	save = latest_save(&f);
	if (headless)
		damage(&f, place_in_save(&f, 2));
	ck_assert_int_eq(uds_index_close(f.index), 0);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &f.io), 0);
	read_layout(&f, &layout);
	fault_plan_spoil(&plan, FAULT_READ, save.open_chapter.offset, BLOCK_BYTES);
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), -EIO);
	ck_assert_msg(strstr(f.message.text, ": open chapter") != NULL, "%s", f.message.text);
	ck_assert_int_eq(find_saved(&f, &layout, true, &saved), 0);
	/* How many there were is not known; without the header, not even whether there were any. */
	ck_assert(saved.there == !headless && !saved.intact);
	if (!headless) {
		ck_assert_uint_eq(saved.count, PER_CHAPTER);
		ck_assert_msg(strstr(saved.why.text, "its open chapter cannot be read: ") != NULL,
			      "%s", saved.why.text);
	}
	fault_plan_spoil(&plan, FAULT_READ, 0, 0);
	fault_plan_spoil(&plan, FAULT_READ, save.volume_index[0].offset, BLOCK_BYTES);
	ck_assert_int_eq(find_saved(&f, &layout, false, &saved), headless ? -EIO : 0);
	ck_assert_int_eq(find_saved(&f, &layout, true, &saved), 0);
	ck_assert(saved.there == !headless);
	ck_assert_int_eq(uds_io_close(f.io), 0);
	fault_plan_end(&plan);
}
END_TEST

/* The header of the later of two saves of one chapter is damaged, and the other one was loaded. */
START_TEST(records_of_a_save_without_header_are_compared_or_the_failure_told)
{
	struct torture_env torture;
	struct fault_plan plan;
	struct fixture f;
	uint64_t failures = 0;
	int r;

	start(&f, false, 8);
	fill_and_save(&f);
	store(&f, 9500, 9510, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	damage(&f, place_in_save(&f, 2));
	ck_assert_int_eq(uds_index_close(f.index), 0);
	fault_plan_start(&plan);
	torture_env_start(&torture);
	{
		struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

		ck_assert_int_eq(fault_io_open(&plan, f.io, &torture.env, &f.io), 0);
		options.env = &torture.env;
		options.lose_records = true;
		r = uds_index_open(f.io, &options, &f.message, &f.index);
		ck_assert_msg(r == 0, "%s", f.message.text);
	}
	r = index_check_headless_saves(f.index, false, &f.message);
	ck_assert_int_eq(r, UDS_ERR_WOULD_LOSE_RECORDS);
	ck_assert_msg(strstr(f.message.text, "10 of its records are not in the other one") != NULL,
		      "%s", f.message.text);
	for (uint64_t nth = 1;; nth++, failures++) {
		fault_plan_fail(&plan, FAULT_READ, nth, -EIO, false);
		r = index_check_headless_saves(f.index, false, &f.message);
		if (plan.failed == 0)
			break;
		ck_assert_int_eq(r, -EIO);
		/* What cannot be read is no reason not to open it. */
		fault_plan_fail(&plan, FAULT_READ, nth, -EIO, false);
		ck_assert_int_eq(index_check_headless_saves(f.index, true, &f.message), 0);
	}
	ck_assert_uint_gt(failures, 1);
	fault_plan_fail(&plan, 0, 0, 0, false);
	for (uint64_t nth = 1;; nth++) {
		torture_env_fail_at(&torture, nth, false);
		r = index_check_headless_saves(f.index, nth % 2 == 0, &f.message);
		if (torture.failed == 0)
			break;
		ck_assert_int_eq(r, -ENOMEM);
	}
	ck_assert_int_eq(r, UDS_ERR_WOULD_LOSE_RECORDS);
	torture_env_fail_at(&torture, 0, false);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(uds_io_close(f.io), 0);
	torture_env_end(&torture);
	fault_plan_end(&plan);
}
END_TEST

/* @_i: 1: what is left of it says that it is of the chapter that is open. */
START_TEST(a_save_without_header_counts_for_its_own_chapter)
{
	uint8_t bytes[8];
	struct fixture f;
	uint64_t stream;
	int r;

	start(&f, false, 8);
	fill_and_save(&f);
	store(&f, 9500, 9510, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	stream = latest_save(&f).volume_index[0].offset;
	ck_assert_int_eq(uds_io_read(f.io, bytes, sizeof(bytes), stream + 24), 0);
	bytes[0] ^= _i == 0;
	ck_assert_int_eq(uds_io_write(f.io, bytes, sizeof(bytes), stream + 24), 0);
	damage(&f, place_in_save(&f, 2));
	ck_assert_int_eq(reopen(&f, UDS_INDEX_LOAD, 1, true), 0);
	f.message.text[0] = '\0';
	r = index_check_headless_saves(f.index, false, &f.message);
	ck_assert_int_eq(r, _i == 1 ? UDS_ERR_WOULD_LOSE_RECORDS : 0);
	ck_assert(_i == 1 || f.message.text[0] == '\0');
	end(&f);
}
END_TEST

/* More than is read at a time, the rest of which cannot be read. */
START_TEST(a_long_open_chapter_without_header_is_compared_to_its_end)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct fault_plan plan;
	struct fixture f = { 0 };
	struct save save;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 320;
	c.chapters_per_volume = 2;
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &f.io), 0);
	ck_assert_int_eq(uds_index_format(f.io, &c, NULL, &f.message), 0);
	ck_assert_int_eq(uds_index_open(f.io, NULL, &f.message, &f.index), 0);
	store(&f, 0, 34000, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	store(&f, 34000, 34010, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	save = latest_save(&f);
	ck_assert_uint_gt(save.open_chapter.bytes, (1 << 20) + BLOCK_BYTES);
	damage(&f, place_in_save(&f, 2));
	ck_assert_int_eq(uds_index_close(f.index), 0);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &f.io), 0);
	options.lose_records = true;
	ck_assert_int_eq(uds_index_open(f.io, &options, &f.message, &f.index), 0);
	ck_assert_int_eq(index_check_headless_saves(f.index, false, &f.message),
			 UDS_ERR_WOULD_LOSE_RECORDS);
	ck_assert_msg(strstr(f.message.text, ", and 10 of its records are not in the other") !=
			      NULL,
		      "%s", f.message.text);
	fault_plan_spoil(&plan, FAULT_READ, save.open_chapter.offset + (1 << 20), BLOCK_BYTES);
	ck_assert_int_eq(index_check_headless_saves(f.index, false, &f.message), -EIO);
	ck_assert_msg(strstr(f.message.text, "open chapter") != NULL, "%s", f.message.text);
	/* All that can be read are in the other save. */
	ck_assert_int_eq(index_check_headless_saves(f.index, true, &f.message), 0);
	end(&f);
	fault_plan_end(&plan);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_recovery");
	TCase *tc = tcase_create("recovery");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, a_damaged_save_does_not_take_its_open_chapter_with_it, 0, 20);
	tcase_add_loop_test(tc, records_that_would_be_lost_are_counted_and_must_be_given_up, 0, 2);
	tcase_add_test(tc, a_crash_is_recovered_without_a_question);
	tcase_add_test(tc, a_save_that_has_all_of_a_damaged_one_asks_nothing_after_a_cut);
	tcase_add_loop_test(tc, a_save_without_its_header_is_not_passed_over_for_an_older_one, 0,
			    2);
	tcase_add_test(tc, a_recovery_keeps_every_record_of_a_crowded_chapter_that_can_be_found);
	tcase_add_loop_test(tc, a_save_without_its_header_is_found_by_what_follows, 0,
			    (int)(sizeof(stream_fields) / sizeof(stream_fields[0])));
	tcase_add_test(tc, a_save_without_its_header_must_have_room);
	tcase_add_test(tc, the_head_of_a_saved_open_chapter_says_what_there_is);
	tcase_add_test(tc, an_empty_open_chapter_has_nothing_to_be_lost);
	tcase_add_loop_test(tc, a_save_that_cannot_be_read_is_told_or_passed_over, 0, 4);
	tcase_add_loop_test(tc, a_save_without_header_counts_for_its_own_chapter, 0, 2);
	tcase_add_test(tc, a_long_open_chapter_without_header_is_compared_to_its_end);
	tcase_add_test(tc, records_of_a_save_without_header_are_compared_or_the_failure_told);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
