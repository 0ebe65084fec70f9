/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal: what was flushed survives a power cut. Each test lives through a case that could
 * lose it, copies the device as a power cut would leave it, and opens the copy, with one zone,
 * several, and read-only.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "check_main.h"
#include "given_io.h"
#include "extras/journal.h"
#include "fault_io.h"
#include "index_damage.h"
#include "names.h"
#include "volume/layout.h"

#define SEED 0x70a41

static struct {
	struct uds_configuration configuration;
	struct uds_geometry geometry;
	struct uds_env env;
	uint64_t now;
	struct uds_io *io;
	struct uds_index *index;
	struct uds_message message;
} f;

static uint64_t tick(void *context)
{
	(void)context;
	return ++f.now;
}

static int open_on(struct uds_io *io, uint32_t zones, enum uds_index_mode mode, bool lose,
		   struct uds_index **ret_index)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	options.env = &f.env;
	options.zones = zones;
	options.mode = mode;
	options.lose_records = lose;
	return uds_index_open(io, &options, &f.message, ret_index);
}

/* A new index, open. @sparse: of its chapters; every other name is a sample then. */
static void begin_with(uint32_t chapters, uint32_t sparse, bool extras)
{
	const struct uds_configuration c = UDS_CONFIGURATION_INIT;
	const struct uds_geometry g = UDS_GEOMETRY_INIT;
	const struct uds_env env = UDS_ENV_INIT;
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;

	memset(&f, 0, sizeof(f));
	f.configuration = c;
	f.geometry = g;
	f.env = env;
	f.env.now_ms = tick;
	f.configuration.page_bytes = 4096;
	f.configuration.record_pages_per_chapter = 2;
	f.configuration.chapters_per_volume = chapters;
	f.configuration.sparse_chapters_per_volume = sparse;
	f.configuration.sparse_sample_rate = sparse > 0 ? 2 : 0;
	ck_assert_int_eq(uds_geometry_compute(&f.configuration, NULL, &f.geometry), 0);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &f.io), 0);
	options.env = &f.env;
	options.no_extras = !extras;
	ck_assert_int_eq(uds_index_format(f.io, &f.configuration, &options, &f.message), 0);
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index), 0);
}

static void begin(void)
{
	begin_with(6, 0, true);
}

static void end(void)
{
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(uds_io_close(f.io), 0);
}

static void flush(void)
{
	ck_assert_int_eq(uds_index_flush(f.index), 0);
}

static void save(void)
{
	ck_assert_int_eq(uds_index_save(f.index), 0);
}

static void update(uint64_t i, uint32_t version)
{
	struct uds_record_name name;
	struct uds_record_data data;

	make_name(SEED, i, &name);
	make_data('n', i, version, &data);
	ck_assert_int_eq(uds_index_update(f.index, &name, &data, NULL, NULL), 0);
}

static void promote(uint64_t i)
{
	struct uds_record_name name;
	bool found = false;

	make_name(SEED, i, &name);
	ck_assert_int_eq(uds_index_query(f.index, &name, NULL, &found), 0);
	ck_assert(found);
}

static void delete (uint64_t i)
{
	struct uds_record_name name;
	bool found = false;

	make_name(SEED, i, &name);
	ck_assert_int_eq(uds_index_delete(f.index, &name, &found), 0);
	ck_assert(found);
}

static uint64_t open_chapter(struct uds_index *index)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;

	ck_assert_int_eq(uds_index_get_statistics(index, &s), 0);
	return s.open_chapter;
}

static uint64_t chapters_written(void)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;

	ck_assert_int_eq(uds_index_get_statistics(f.index, &s), 0);
	return s.chapters_written;
}

/* Other names, until the open chapter is another one, and the one before is durable. */
static void close_chapter(void)
{
	static uint64_t next = 1000000;
	uint64_t chapter = open_chapter(f.index), written = chapters_written();

	while (open_chapter(f.index) == chapter)
		update(next++, 1);
	/* Not flush(): that would write to the journal. */
	while (chapters_written() == written)
		sched_yield();
}

/* What is expected of a name: a version, or 0: it is not there. */
struct expected {
	uint64_t name;
	uint32_t version;
};

static void check(struct uds_index *index, const struct expected *expected, size_t count,
		  const char *how)
{
	for (size_t i = 0; i < count; i++) {
		struct uds_record_name name;
		struct uds_record_data data, right;
		bool found = false;

		make_name(SEED, expected[i].name, &name);
		make_data('n', expected[i].name, expected[i].version, &right);
		ck_assert_int_eq(uds_index_peek(index, &name, &data, &found), 0);
		ck_assert_msg(found == (expected[i].version > 0), "%s: name %u: found %d", how,
			      (unsigned int)expected[i].name, found);
		ck_assert_msg(!found || memcmp(&data, &right, sizeof(data)) == 0,
			      "%s: name %u: other data", how, (unsigned int)expected[i].name);
	}
}

static struct uds_io *copy_device(void)
{
	return copy_of(f.io);
}

/* Power cuts now, and another one, after a save or not, when the index has gone on. */
static void cut_and_check(const struct expected *expected, size_t count)
{
	static const struct {
		uint32_t zones;
		enum uds_index_mode mode;
		const char *how;
	} ways[] = {
		{ 1, UDS_INDEX_READ_ONLY, "read-only" },
		{ 1, UDS_INDEX_LOAD_OR_RECOVER, "one zone" },
		{ 3, UDS_INDEX_LOAD_OR_RECOVER, "three zones" },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct uds_io *copy = copy_device();
		struct uds_index *index;
		int r = open_on(copy, ways[i].zones, ways[i].mode, false, &index);

		ck_assert_msg(r == 0, "%s: %s", ways[i].how, f.message.text);
		check(index, expected, count, ways[i].how);
		/* A second cut, before anything was flushed: the same. */
		ck_assert_int_eq(uds_index_close(index), 0);
		ck_assert_int_eq(open_on(copy, 2, UDS_INDEX_LOAD_OR_RECOVER, false, &index), 0);
		check(index, expected, count, "again");
		ck_assert_int_eq(uds_index_flush(index), 0);
		ck_assert_int_eq(uds_index_close(index), 0);
		ck_assert_int_eq(open_on(copy, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &index), 0);
		check(index, expected, count, "flushed again");
		ck_assert_int_eq(uds_index_save(index), 0);
		ck_assert_int_eq(uds_index_close(index), 0);
		ck_assert_int_eq(open_on(copy, 1, UDS_INDEX_LOAD, false, &index), 0);
		check(index, expected, count, "saved");
		ck_assert_int_eq(uds_index_close(index), 0);
		ck_assert_int_eq(uds_io_close(copy), 0);
	}
}

#define CUT_AND_CHECK(...)                                                          \
	do {                                                                        \
		const struct expected expected_[] = { __VA_ARGS__ };                \
		cut_and_check(expected_, sizeof(expected_) / sizeof(expected_[0])); \
	} while (0)

/* ---- the cases that could lose something ---- */

START_TEST(records_of_the_open_chapter_survive)
{
	begin();
	update(1, 1);
	update(2, 1);
	flush();
	update(2, 2);
	update(3, 1);
	flush();
	delete (1);
	flush();
	CUT_AND_CHECK({ 1, 0 }, { 2, 2 }, { 3, 1 });
	update(3, 3);
	save();
	update(3, 4);
	flush();
	CUT_AND_CHECK({ 1, 0 }, { 2, 2 }, { 3, 4 });
	end();
}
END_TEST

START_TEST(a_promoted_record_survives)
{
	begin();
	update(1, 1);
	close_chapter();
	flush();
	promote(1);
	flush();
	CUT_AND_CHECK({ 1, 1 });
	save();
	CUT_AND_CHECK({ 1, 1 });
	close_chapter();
	CUT_AND_CHECK({ 1, 1 });
	end();
}
END_TEST

START_TEST(a_record_that_was_promoted_saved_and_deleted_stays_deleted)
{
	begin();
	update(1, 1);
	update(2, 1);
	close_chapter();
	promote(1);
	promote(2);
	save();
	delete (1);
	flush();
	CUT_AND_CHECK({ 1, 0 }, { 2, 1 });
	close_chapter();
	CUT_AND_CHECK({ 1, 0 }, { 2, 1 });
	save();
	close_chapter();
	CUT_AND_CHECK({ 1, 0 }, { 2, 1 });
	end();
}
END_TEST

/*
 * Each order of storing, deleting and flushing, in the chapter of the record, and in a later one.
 */
START_TEST(deleted_and_stored_again_in_every_order)
{
	bool later = _i % 2 == 1, flush_between = _i / 2 % 2 == 1, flush_first = _i / 4 == 1;

	begin();
	update(1, 1);
	if (later)
		close_chapter();
	if (flush_first)
		flush();
	delete (1);
	if (flush_between)
		flush();
	update(1, 2);
	flush();
	CUT_AND_CHECK({ 1, 2 });
	close_chapter();
	CUT_AND_CHECK({ 1, 2 });
	delete (1);
	flush();
	CUT_AND_CHECK({ 1, 0 });
	close_chapter();
	CUT_AND_CHECK({ 1, 0 });
	end();
}
END_TEST

START_TEST(a_deletion_is_carried_on)
{
	begin();
	update(1, 1);
	update(2, 1);
	close_chapter();
	delete (1);
	flush();
	close_chapter();
	CUT_AND_CHECK({ 1, 0 }, { 2, 1 });
	update(3, 1);
	flush();
	CUT_AND_CHECK({ 1, 0 }, { 2, 1 }, { 3, 1 });
	close_chapter();
	update(1, 7);
	flush();
	CUT_AND_CHECK({ 1, 7 }, { 2, 1 }, { 3, 1 });
	close_chapter();
	CUT_AND_CHECK({ 1, 7 }, { 2, 1 }, { 3, 1 });
	end();
}
END_TEST

/*
 * Read-only, no chapter is closed: names without room are counted, and not found, which is better
 * than with old data.
 */
static void check_read_only(struct uds_io *io, uint32_t zones, const struct expected *expected,
			    size_t count)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;
	struct uds_index *index;
	uint64_t missing = 0;

	ck_assert_int_eq(open_on(io, zones, UDS_INDEX_READ_ONLY, false, &index), 0);
	for (size_t i = 0; i < count; i++) {
		struct uds_record_name name;
		bool found = false;

		make_name(SEED, expected[i].name, &name);
		ck_assert_int_eq(uds_index_peek(index, &name, NULL, &found), 0);
		if (found)
			check(index, &expected[i], 1, "read-only");
		missing += !found && expected[i].version > 0;
	}
	ck_assert_int_eq(uds_index_get_statistics(index, &s), 0);
	ck_assert_int_eq(missing > 0, zones > 1);
	ck_assert_uint_le(missing, s.dropped_at_load);
	ck_assert_int_eq(uds_index_close(index), 0);
}

/* With more zones the records that were flushed do not find room in one open chapter. */
START_TEST(a_full_open_chapter_survives_with_other_zones)
{
	struct expected expected[400];
	uint32_t count = f.geometry.records_per_chapter - 1;

	begin();
	count = f.geometry.records_per_chapter - 1;
	ck_assert_uint_le(count, 400);
	for (uint32_t i = 0; i < count; i++) {
		update(i, 1);
		if (i == count / 2)
			flush();
		expected[i] = (struct expected){ i, 1 };
	}
	for (uint32_t i = 0; i < 20; i++) {
		update(i, 2);
		expected[i].version = 2;
	}
	delete (30);
	expected[30].version = 0;
	flush();
	for (uint32_t zones = 1; zones <= 16; zones += 5) {
		struct uds_io *copy = copy_device();
		struct uds_index *index;

		check_read_only(copy, zones, expected, count);
		for (int again = 0; again < 3; again++) {
			ck_assert_int_eq(
				open_on(copy, zones, UDS_INDEX_LOAD_OR_RECOVER, false, &index), 0);
			check(index, expected, count, "zones");
			ck_assert_int_eq(uds_index_close(index), 0);
		}
		ck_assert_int_eq(uds_io_close(copy), 0);
	}
	end();
}
END_TEST

/*
 * A save that has no header, as when the power was cut while that was written, gives the records of
 * its open chapter to a recovery. A deletion that the journal has from the chapter before is older.
 */
START_TEST(a_promoted_record_of_an_unfinished_save_outlives_an_older_deletion)
{
	const struct expected expected[] = { { 1, 2 }, { 2, 1 }, { 3, 0 } };
	uint8_t garbage[BLOCK_BYTES];
	struct uds_index *index;
	struct layout layout;
	struct uds_io *copy;
	unsigned int slot;

	begin();
	for (uint64_t i = 1; i <= 3; i++)
		update(i, 1);
	save();
	close_chapter();
	delete (1);
	update(1, 2);
	delete (3);
	flush();
	close_chapter();
	promote(1);
	save();
	copy = copy_device();
	ck_assert_int_eq(layout_read(copy, 0, &f.message, &layout), 0);
	slot = saves_find_latest(&layout.saves)->save.slot;
	memset(garbage, 0xa5, sizeof(garbage));
	ck_assert_int_eq(uds_io_write(copy, garbage, sizeof(garbage),
				      super_block_save_at(&layout.super, slot) * BLOCK_BYTES),
			 0);
	ck_assert_int_eq(open_on(copy, 1, UDS_INDEX_LOAD_OR_RECOVER, true, &index), 0);
	check(index, expected, 3, "without the header");
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(copy), 0);
	end();
}
END_TEST

/*
 * Goes on with an index until its open chapter, and the one after it, are on the volume;
 * nothing is flushed.
 */
static void close_two_chapters(struct uds_index *index)
{
	struct uds_index *other = f.index;

	f.index = index;
	close_chapter();
	close_chapter();
	f.index = other;
}

/*
 * With more zones the chapter of the journal is closed while it is replayed. Once the next one is
 * on the volume as well, the deletions of the journal must not take what was stored after them.
 */
START_TEST(names_stored_after_their_deletion_survive_two_cuts_with_other_zones)
{
	struct expected expected[8];

	begin_with(12, 0, true);
	for (uint32_t i = 0; i < 8; i++)
		update(i, 1);
	if (_i % 2 > 0)
		close_chapter();
	for (uint32_t i = 0; i < 8; i++) {
		delete (i);
		update(i, 2);
		expected[i] = (struct expected){ i, 2 };
	}
	for (uint32_t i = 8; i < f.geometry.records_per_chapter - 1; i++)
		update(i, 1);
	flush();
	for (uint32_t zones = 1; zones <= 16; zones += 5) {
		struct uds_io *copy = copy_device(), *second;
		struct uds_index *index;

		ck_assert_int_eq(open_on(copy, zones, UDS_INDEX_LOAD_OR_RECOVER, false, &index), 0);
		close_two_chapters(index);
		second = copy_of(copy);
		ck_assert_int_eq(uds_index_close(index), 0);
		ck_assert_int_eq(uds_io_close(copy), 0);
		ck_assert_int_eq(open_on(second, _i / 2 > 0 ? zones : 1, UDS_INDEX_LOAD_OR_RECOVER,
					 false, &index),
				 0);
		check(index, expected, 8, "two cuts");
		ck_assert_int_eq(uds_index_close(index), 0);
		ck_assert_int_eq(uds_io_close(second), 0);
	}
	end();
}
END_TEST

static void query(struct uds_index *index, uint64_t i)
{
	struct uds_record_name name;

	make_name(SEED, i, &name);
	ck_assert_int_eq(uds_index_query(index, &name, NULL, NULL), 0);
}

/*
 * Opens an index whose chapter is closed by that, after each read, write and flush of it has failed
 * once: what there is by then must be as good for the next opening.
 */
static struct uds_index *open_after_failures(struct fault_plan *plan, struct uds_io *io,
					     uint32_t zones)
{
	static const unsigned int kinds[] = { FAULT_READ, FAULT_WRITE, FAULT_FLUSH };
	struct uds_index *index = NULL;

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (uint64_t nth = 1; nth == 1 || plan->failed > 0; nth++) {
			int r;

			if (index != NULL)
				ck_assert_int_eq(uds_index_close(index), 0);
			index = NULL;
			fault_plan_fail(plan, kinds[k], nth, -EIO, false);
			r = open_on(io, zones, UDS_INDEX_LOAD_OR_RECOVER, false, &index);
			ck_assert_msg(r == 0 || (r == -EIO && f.message.text[0] != '\0'),
				      "%" PRIu64 ": %d: %s", nth, r, f.message.text);
			if (r < 0)
				index = NULL;
		}
	}
	fault_plan_fail(plan, FAULT_ANY, 0, 0, false);
	return index;
}

/* Stores every second of @count names again, and deletes the others. */
static void change_half(uint32_t count, struct expected *ret_expected)
{
	for (uint32_t i = 0; i < count; i++) {
		if (i % 2 > 0)
			delete (i);
		else
			update(i, 2);
		ret_expected[i] = (struct expected){ i, i % 2 > 0 ? 0 : 2 };
	}
}

/*
 * A chapter that is closed while the journal is replayed must have nothing that the rest of the
 * journal takes back: once it is sparse, a query of one of its samples brings its index into the
 * cache, where names are found without an entry that leads to them. @_i: the rest is in the batch
 * of requests that closes the chapter, or still on the volume.
 */
START_TEST(a_sparse_chapter_has_nothing_that_the_journal_took_back)
{
	enum { NAMES = 40 };
	struct expected expected[NAMES];
	struct fault_plan plan;
	uint32_t count;

	begin_with(12, 9, true);
	count = f.geometry.records_per_chapter - (_i == 0 ? 56 : 1);
	for (uint32_t i = 0; i < count; i++)
		update(i, 1);
	flush();
	change_half(NAMES, expected);
	flush();
	for (uint32_t zones = 1; zones <= 16; zones++) {
		struct uds_index *index, *first = f.index;
		struct uds_io *copy;

		fault_plan_start(&plan);
		ck_assert_int_eq(fault_io_open(&plan, copy_device(), NULL, &copy), 0);
		index = open_after_failures(&plan, copy, zones);
		f.index = index;
		while (open_chapter(index) < 8)
			close_chapter();
		f.index = first;
		for (uint32_t i = NAMES; i < count; i++)
			query(index, i);
		check(index, expected, NAMES, "sparse");
		ck_assert_int_eq(uds_index_close(index), 0);
		ck_assert_int_eq(uds_io_close(copy), 0);
		fault_plan_end(&plan);
	}
	end();
}
END_TEST

/* Where the record pages of a chapter lie on a device. */
static void find_record_pages(struct uds_io *io, uint64_t vcn, uint64_t *ret_offset,
			      uint64_t *ret_bytes)
{
	struct index_damage first = { RECORD_PAGE, vcn, 0 };
	struct layout layout;

	ck_assert_int_eq(layout_read(io, 0, &f.message, &layout), 0);
	index_damage_place(&layout, &first, ret_offset, ret_bytes);
	*ret_bytes *= layout.geometry.record_pages_per_chapter;
}

static void overwrite(struct uds_io *io, uint64_t offset, uint64_t bytes)
{
	uint8_t *garbage = malloc((size_t)bytes);

	memset(garbage, 0xa5, (size_t)bytes);
	ck_assert_int_eq(uds_io_write(io, garbage, (size_t)bytes, offset), 0);
	free(garbage);
}

static int open_skipping(struct uds_io *io, bool skip, struct uds_index **ret_index)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	options.env = &f.env;
	options.skip_unreadable = skip;
	return uds_index_open(io, &options, &f.message, ret_index);
}

/*
 * The chapter that the names were in cannot tell whether it has them. @_i: 0: it is damaged; 1: it
 * cannot be read, which is an error unless that is to be passed over.
 */
START_TEST(what_the_journal_says_of_a_lost_chapter_counts)
{
	enum { NAMES = 40 };
	struct expected expected[NAMES];
	uint64_t offset, bytes;
	struct fault_plan plan;
	struct uds_index *index;
	struct uds_io *copy;

	begin();
	for (uint32_t i = 0; i < NAMES; i++)
		update(i, 1);
	close_chapter();
	save();
	change_half(NAMES, expected);
	flush();
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, copy_device(), NULL, &copy), 0);
	find_record_pages(copy, 0, &offset, &bytes);
	if (_i == 0) {
		overwrite(copy, offset, bytes);
	} else {
		fault_plan_spoil(&plan, FAULT_READ, offset, bytes);
		ck_assert_int_eq(open_skipping(copy, false, &index), -EIO);
		ck_assert_str_ne(f.message.text, "");
	}
	ck_assert_msg(open_skipping(copy, _i > 0, &index) == 0, "%s", f.message.text);
	check(index, expected, NAMES, "lost chapter");
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(open_on(copy, 1, UDS_INDEX_LOAD, false, &index), 0);
	check(index, expected, NAMES, "saved");
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(copy), 0);
	fault_plan_end(&plan);
	end();
}
END_TEST

#define HOOK 2u

/*
 * Names of one place in the volume index, which have no entry once their chapter is sparse; and one
 * that has: when that is asked for, the index of its chapter comes into the sparse cache.
 */
static void twin_name(uint32_t i, struct uds_record_name *ret_name)
{
	make_name(SEED, i, ret_name);
	memset(ret_name->bytes, 0x5a, 8);
	ret_name->bytes[15] = i == HOOK ? 2 : 1;
}

static void update_twin(uint32_t i, uint32_t version)
{
	struct uds_record_name name;
	struct uds_record_data data;

	twin_name(i, &name);
	make_data('t', i, version, &data);
	ck_assert_int_eq(uds_index_update(f.index, &name, &data, NULL, NULL), 0);
}

static void check_twin(struct uds_index *index, uint32_t i, uint32_t version)
{
	struct uds_record_name name;
	struct uds_record_data data, right;
	bool found = false;

	twin_name(i, &name);
	make_data('t', i, version, &right);
	ck_assert_int_eq(uds_index_peek(index, &name, &data, &found), 0);
	ck_assert_msg(found, "twin %u is gone", i);
	ck_assert_mem_eq(&data, &right, sizeof(data));
}

/*
 * The first name is found in a sparse chapter without an entry; the entry at its place is that of
 * the second one, of a chapter that is whole. The sparse chapter is damaged.
 */
START_TEST(a_name_of_a_lost_sparse_chapter_leaves_the_entry_of_its_twin_alone)
{
	uint64_t offset, bytes;
	struct uds_index *index;
	struct uds_io *copy;

	begin_with(12, 10, true);
	update_twin(0, 1);
	update_twin(HOOK, 1);
	close_chapter();
	close_chapter();
	update_twin(1, 1);
	close_chapter();
	save();
	update_twin(HOOK, 2);
	update_twin(0, 2);
	flush();
	copy = copy_device();
	find_record_pages(copy, 0, &offset, &bytes);
	overwrite(copy, offset, bytes);
	ck_assert_msg(open_skipping(copy, false, &index) == 0, "%s", f.message.text);
	check_twin(index, 0, 2);
	check_twin(index, 1, 1);
	check_twin(index, HOOK, 2);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(copy), 0);
	end();
}
END_TEST

/* The journal goes around several times, with flushes that are large and small. */
START_TEST(the_journal_wraps)
{
	uint32_t version = 1;

	begin();
	for (int round = 0; round < 150; round++) {
		version++;
		for (uint64_t i = 0; i < 1 + (uint64_t)round % 40; i++)
			update(i, version);
		flush();
		if (round % 31 == 0)
			CUT_AND_CHECK({ 0, version });
	}
	CUT_AND_CHECK({ 0, version }, { 29, version });
	end();
}
END_TEST

/* More deletions than the journal carries: the flush saves. */
START_TEST(many_deletions_survive)
{
	uint32_t count;

	begin_with(16, 0, true);
	count = f.geometry.records_per_chapter * 4;
	for (uint64_t i = 0; i < count; i++)
		update(i, 1);
	flush();
	for (int round = 0; round < 4; round++) {
		for (uint64_t i = 0; i < count / 2; i++)
			delete (i);
		flush();
		CUT_AND_CHECK({ 0, 0 }, { count / 2 - 1, 0 }, { count - 1, 1 });
		for (uint64_t i = 0; i < count / 2; i++)
			update(i, 1);
		flush();
	}
	CUT_AND_CHECK({ 0, 1 }, { count - 1, 1 });
	end();
}
END_TEST

/* ---- failures ---- */

START_TEST(a_failed_flush_promises_nothing_and_the_next_one_all)
{
	static const unsigned int kinds[] = { FAULT_WRITE, FAULT_FLUSH };
	struct fault_plan plan;
	struct uds_io *faulty;

	begin();
	update(1, 1);
	flush();
	ck_assert_int_eq(uds_index_close(f.index), 0);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &faulty), 0);
	f.io = faulty;
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index), 0);
	for (int i = 0; i < 6; i++) {
		update(1, 10 + (uint32_t)i);
		update(2 + (uint64_t)i, 1);
		fault_plan_fail(&plan, kinds[_i], 1, -EIO, false);
		ck_assert_int_eq(uds_index_flush(f.index), -EIO);
		uds_index_error_message(f.index, &f.message);
		ck_assert_ptr_nonnull(strstr(f.message.text, "journal"));
		flush();
		CUT_AND_CHECK({ 1, 10 + (uint32_t)i }, { 2 + (uint64_t)i, 1 });
	}
	end();
	fault_plan_end(&plan);
}
END_TEST

static unsigned int errors_logged;

static void count_errors(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	errors_logged += level == UDS_LOG_ERROR && strstr(sentence, "extras: header") != NULL;
}

/* @_i: what fails. Only the header has to be written: there was nothing for the journal. */
START_TEST(close_says_that_the_header_could_not_be_written)
{
	static const unsigned int kinds[] = { FAULT_WRITE, FAULT_FLUSH };
	struct fault_plan plan;
	struct uds_io *faulty;

	begin();
	ck_assert_int_eq(uds_index_close(f.index), 0);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &faulty), 0);
	f.io = faulty;
	f.env.log = count_errors;
	errors_logged = 0;
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index), 0);
	flush();
	fault_plan_fail(&plan, kinds[_i], 1, -EIO, false);
	ck_assert_int_eq(uds_index_close(f.index), -EIO);
	ck_assert_uint_eq(plan.failed, 1);
	ck_assert_uint_eq(errors_logged, 1);
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index), 0);
	flush();
	end();
	ck_assert_uint_eq(errors_logged, 1);
	fault_plan_end(&plan);
}
END_TEST

/* Where block @number of the journal lies. */
static uint64_t block_at(uint64_t number)
{
	struct layout *layout = malloc(sizeof(*layout));
	uint64_t at;

	ck_assert_ptr_nonnull(layout);
	ck_assert_int_eq(layout_read(f.io, 0, &f.message, layout), 0);
	at = layout->extras.start +
	     (layout->extras.journal + number % layout->extras.journal_blocks) * 4096;
	free(layout);
	return at;
}

static void flip(uint64_t at)
{
	uint8_t byte;

	ck_assert_int_eq(uds_io_read(f.io, &byte, 1, at), 0);
	byte ^= 4;
	ck_assert_int_eq(uds_io_write(f.io, &byte, 1, at), 0);
}

START_TEST(damage_of_the_journal_is_named)
{
	begin();
	for (uint64_t i = 0; i < 5; i++) {
		update(i, 1);
		flush();
	}
	ck_assert_int_eq(uds_index_close(f.index), 0);
	f.index = NULL;
	/*
	 * Five flushes of a block each. The last one alone cannot be told from one that was torn.
	 */
	flip(block_at(5) + 100);
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index), 0);
	check(f.index, (struct expected[]){ { 3, 1 }, { 4, 0 } }, 2, "torn");
	ck_assert_int_eq(uds_index_close(f.index), 0);
	flip(block_at(5) + 100);
	flip(block_at(2) + 100);
	f.index = NULL;
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index),
			 UDS_ERR_WOULD_LOSE_RECORDS);
	ck_assert_ptr_nonnull(strstr(f.message.text, "journal"));
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, true, &f.index), 0);
	check(f.index, (struct expected[]){ { 0, 1 }, { 1, 0 } }, 2, "lost");
	update(9, 1);
	flush();
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index), 0);
	check(f.index, (struct expected[]){ { 0, 1 }, { 1, 0 }, { 9, 1 } }, 3, "after");
	end();
}
END_TEST

/* ---- other programs ---- */

/* What another program does: it sees a device that ends where the extras begin. */
static void live_without_extras(uint64_t name, uint32_t version, bool saves)
{
	struct uds_index *index;
	struct uds_record_name n;
	struct uds_record_data data;
	struct uds_io *narrow;
	uint8_t *bytes = malloc(f.geometry.index_bytes);

	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(uds_io_read(f.io, bytes, f.geometry.index_bytes, 0), 0);
	narrow = bytes_io(bytes, f.geometry.index_bytes);
	ck_assert_int_eq(open_on(narrow, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &index), 0);
	make_name(SEED, name, &n);
	make_data('n', name, version, &data);
	ck_assert_int_eq(uds_index_update(index, &n, &data, NULL, NULL), 0);
	if (saves)
		ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_read(narrow, bytes, f.geometry.index_bytes, 0), 0);
	ck_assert_int_eq(uds_io_write(f.io, bytes, f.geometry.index_bytes, 0), 0);
	ck_assert_int_eq(uds_io_close(narrow), 0);
	free(bytes);
}

START_TEST(the_journal_is_void_when_another_program_has_saved)
{
	begin();
	update(1, 1);
	save();
	update(1, 2);
	update(2, 1);
	flush();
	ck_assert_int_eq(uds_index_close(f.index), 0);
	/* It loads the save, and knows nothing of what was flushed. */
	live_without_extras(1, 7, true);
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD, false, &f.index), 0);
	check(f.index, (struct expected[]){ { 1, 7 }, { 2, 0 } }, 2, "void");
	/* It is taken up again, and what was void stays so. */
	update(3, 1);
	flush();
	CUT_AND_CHECK({ 1, 7 }, { 2, 0 }, { 3, 1 });
	save();
	CUT_AND_CHECK({ 1, 7 }, { 2, 0 }, { 3, 1 });
	end();
}
END_TEST

START_TEST(the_journal_counts_when_another_program_has_not_saved)
{
	begin();
	update(1, 1);
	save();
	update(1, 2);
	flush();
	ck_assert_int_eq(uds_index_close(f.index), 0);
	live_without_extras(1, 7, false);
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index), 0);
	check(f.index, (struct expected[]){ { 1, 2 } }, 1, "kept");
	end();
}
END_TEST

/* ---- what is said ---- */

START_TEST(what_is_promised_is_said)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	uint64_t size, after;

	begin();
	ck_assert_int_eq(uds_index_read_info(f.io, NULL, &f.message, &info), 0);
	ck_assert_uint_gt(info.journal_bytes, 0);
	ck_assert_uint_eq(info.journal_records, 0);
	ck_assert_uint_eq(info.state, UDS_INDEX_NEW);
	update(1, 1);
	flush();
	ck_assert_int_eq(uds_index_read_info(f.io, NULL, &f.message, &info), 0);
	ck_assert_uint_gt(info.journal_records, 0);
	ck_assert_uint_eq(info.state, UDS_INDEX_NEEDS_RECOVERY);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	f.index = NULL;
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD, false, &f.index), UDS_ERR_NEEDS_RECOVERY);
	ck_assert_ptr_nonnull(strstr(f.message.text, "journal"));
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index), 0);
	save();
	ck_assert_int_eq(uds_index_read_info(f.io, NULL, &f.message, &info), 0);
	ck_assert_uint_eq(info.journal_records, 0);
	ck_assert_uint_eq(info.state, UDS_INDEX_CLEAN);
	ck_assert_uint_eq(info.extras, UDS_EXTRAS_CURRENT);
	ck_assert_int_eq(uds_io_size(f.io, &size), 0);
	flush();
	ck_assert_int_eq(uds_io_size(f.io, &after), 0);
	ck_assert_uint_eq(size, after);
	end();
	for (int i = 0; i < 2; i++) {
		begin_with(i == 0 ? 6 : 7, 0, i == 1);
		ck_assert_int_eq(uds_index_read_info(f.io, NULL, &f.message, &info), 0);
		ck_assert_uint_eq(info.journal_bytes, 0);
		update(1, 1);
		flush();
		end();
	}
}
END_TEST

/* Nothing has changed: nothing is written. */
START_TEST(a_flush_of_nothing_writes_nothing)
{
	struct fault_plan plan;
	struct uds_io *faulty;
	uint64_t writes, flushes;

	begin();
	ck_assert_int_eq(uds_index_close(f.index), 0);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &faulty), 0);
	f.io = faulty;
	ck_assert_int_eq(open_on(f.io, 1, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index), 0);
	flush();
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_WRITE), 0);
	update(1, 1);
	flush();
	writes = fault_plan_count(&plan, FAULT_WRITE);
	flushes = fault_plan_count(&plan, FAULT_FLUSH);
	ck_assert_uint_eq(writes, 1);
	ck_assert_uint_eq(flushes, 1);
	flush();
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_WRITE), writes);
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_FLUSH), flushes);
	update(2, 1);
	flush();
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_WRITE), writes + 1);
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_FLUSH), flushes + 1);
	end();
	fault_plan_end(&plan);
}
END_TEST

/* ---- threads ---- */

static void *store_and_flush(void *context)
{
	uint64_t first = *(uint64_t *)context;

	for (uint64_t i = 0; i < 40; i++) {
		update(first + i % 20, 1 + (uint32_t)i / 20);
		flush();
	}
	return NULL;
}

START_TEST(threads_share_flushes)
{
	struct expected expected[160];
	pthread_t threads[8];
	uint64_t first[8];

	begin();
	ck_assert_int_eq(uds_index_close(f.index), 0);
	ck_assert_int_eq(open_on(f.io, 4, UDS_INDEX_LOAD_OR_RECOVER, false, &f.index), 0);
	for (uint64_t i = 0; i < 8; i++) {
		first[i] = 100 * i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, store_and_flush, &first[i]), 0);
	}
	for (uint64_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	for (uint64_t i = 0; i < 160; i++)
		expected[i] = (struct expected){ i / 20 * 100 + i % 20, 2 };
	cut_and_check(expected, 160);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("journal");
	TCase *tcase = tcase_create("journal");

	tcase_add_test(tcase, records_of_the_open_chapter_survive);
	tcase_add_test(tcase, a_promoted_record_survives);
	tcase_add_test(tcase, a_record_that_was_promoted_saved_and_deleted_stays_deleted);
	tcase_add_loop_test(tcase, deleted_and_stored_again_in_every_order, 0, 8);
	tcase_add_test(tcase, a_deletion_is_carried_on);
	tcase_add_test(tcase, a_full_open_chapter_survives_with_other_zones);
	tcase_add_test(tcase, a_promoted_record_of_an_unfinished_save_outlives_an_older_deletion);
	tcase_add_loop_test(
		tcase, names_stored_after_their_deletion_survive_two_cuts_with_other_zones, 0, 4);
	tcase_add_loop_test(tcase, a_sparse_chapter_has_nothing_that_the_journal_took_back, 0, 2);
	tcase_add_loop_test(tcase, what_the_journal_says_of_a_lost_chapter_counts, 0, 2);
	tcase_add_test(tcase, a_name_of_a_lost_sparse_chapter_leaves_the_entry_of_its_twin_alone);
	tcase_add_test(tcase, the_journal_wraps);
	tcase_add_test(tcase, many_deletions_survive);
	tcase_add_loop_test(tcase, a_failed_flush_promises_nothing_and_the_next_one_all, 0, 2);
	tcase_add_loop_test(tcase, close_says_that_the_header_could_not_be_written, 0, 2);
	tcase_add_test(tcase, damage_of_the_journal_is_named);
	tcase_add_test(tcase, the_journal_is_void_when_another_program_has_saved);
	tcase_add_test(tcase, the_journal_counts_when_another_program_has_not_saved);
	tcase_add_test(tcase, what_is_promised_is_said);
	tcase_add_test(tcase, a_flush_of_nothing_writes_nothing);
	tcase_add_test(tcase, threads_share_flushes);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
