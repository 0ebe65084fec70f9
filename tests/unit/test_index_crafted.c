/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names that share their places in the volume index or in chapters: records dropped at a load, and
 * what verify says of indexes that are full of such names.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "names.h"
#include "torture_env.h"

#define SEED	    UINT64_C(0xc01)
#define PER_CHAPTER 512

struct fixture {
	struct uds_io *io;
	const struct uds_env *env; /* of the next open; NULL: the usual one */
	struct uds_index *index;
	char finding[600]; /* the first of verify */
};

static void open_with(struct fixture *f, unsigned int zones)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	ck_assert_int_eq(uds_index_close(f->index), 0);
	options.zones = zones;
	options.env = f->env;
	r = uds_index_open(f->io, &options, &message, &f->index);
	ck_assert_msg(r == 0, "%s", message.text);
}

static void start(struct fixture *f, uint32_t sparse_chapters)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message;

	memset(f, 0, sizeof(*f));
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = 8;
	c.sparse_chapters_per_volume = sparse_chapters;
	c.sparse_sample_rate = sparse_chapters > 0 ? 4 : 0;
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &f->io), 0);
	ck_assert_int_eq(uds_index_format(f->io, &c, NULL, &message), 0);
	open_with(f, 1);
}

static void end(struct fixture *f)
{
	ck_assert_int_eq(uds_index_close(f->index), 0);
	ck_assert_int_eq(uds_io_close(f->io), 0);
}

static void save_and_open(struct fixture *f, unsigned int zones)
{
	ck_assert_int_eq(uds_index_save(f->index), 0);
	open_with(f, zones);
}

static struct uds_index_statistics statistics(struct fixture *f)
{
	struct uds_index_statistics s = { .size = sizeof(s) };

	ck_assert_int_eq(uds_index_get_statistics(f->index, &s), 0);
	return s;
}

/*
 * Names of one class share a place in the volume index, and all places lie in the list, and so the
 * zone, of a few first bytes. In chapters they are spread evenly.
 */
static void same_place_name(uint64_t class, uint64_t i, struct uds_record_name *ret_name)
{
	make_name(SEED, i, ret_name);
	memset(ret_name->bytes, 0, 8);
	put_le64(ret_name->bytes, class << 48);
}

static bool request(struct fixture *f, uint8_t kind, const struct uds_record_name *name, uint64_t i,
		    uint32_t version, uint32_t *ret_version)
{
	struct uds_request r;
	struct uds_record_data data;

	memset(&r, 0, sizeof(r));
	r.kind = kind;
	r.name = *name;
	make_data('n', i, version, &r.new_data);
	ck_assert_int_eq(uds_index_run(f->index, &r, 1), 0);
	if (r.found && kind != UDS_DELETE) {
		uint32_t old = get_le32(r.old_data.bytes + 8);

		/* Never the data of another name. */
		make_data('n', i, old, &data);
		ck_assert_int_eq(memcmp(&data, &r.old_data, sizeof(data)), 0);
		if (ret_version != NULL)
			*ret_version = old;
	}
	return r.found;
}

static int count_finding(void *context, const char *sentence)
{
	struct fixture *f = context;

	if (f->finding[0] == '\0')
		snprintf(f->finding, sizeof(f->finding), "%s", sentence);
	return 0;
}

static uint64_t findings(struct fixture *f, unsigned int zones)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	uint64_t found = 0;
	int r;

	f->finding[0] = '\0';
	options.zones = zones;
	r = uds_index_verify(f->io, &options, count_finding, f, &message, &found);
	ck_assert_msg(r == 0, "%s", message.text);
	return found;
}

#define PAIRS 300

/*
 * Two names a class: the even one in chapter 0 with the odd one; then the odd ones again, newer,
 * in the open chapter, with new names of the same classes. Three quarters find no room at a load
 * with 4 zones.
 */
START_TEST(dropped_record_is_not_found_or_with_older_data_of_its_own)
{
	uint64_t gone = 0, older = 0, newest = 0, fresh = 0;
	struct uds_record_name name;
	struct fixture f;
	uint32_t version;

	start(&f, 0);
	for (uint64_t i = 0; i < 2 * (PER_CHAPTER / 2); i++) {
		same_place_name(i / 2, i, &name);
		ck_assert(!request(&f, UDS_POST, &name, i, 1, NULL));
	}
	for (uint64_t i = 1; i < PAIRS; i += 2) {
		same_place_name(i / 2, i, &name);
		ck_assert(request(&f, UDS_UPDATE, &name, i, 2, NULL));
		same_place_name(i / 2, 10000 + i, &name);
		ck_assert(!request(&f, UDS_POST, &name, 10000 + i, 1, NULL));
	}
	save_and_open(&f, 4);
	ck_assert_uint_gt(statistics(&f).dropped_at_load, 100);
	for (uint64_t i = 1; i < PAIRS; i += 2) {
		same_place_name(i / 2, i, &name);
		if (!request(&f, UDS_PEEK, &name, i, 0, &version))
			gone++;
		else if (version == 1)
			older++;
		else
			newest++;
		same_place_name(i / 2, 10000 + i, &name);
		fresh += request(&f, UDS_PEEK, &name, 10000 + i, 0, NULL);
	}
	printf("%d gone, %d older, %d newest, %d of the new ones\n", (int)gone, (int)older,
	       (int)newest, (int)fresh);
	ck_assert_uint_eq(newest + fresh + statistics(&f).dropped_at_load, PAIRS);
	ck_assert_uint_gt(older, 20);
	/* All of them can be stored again, and are found then. */
	for (uint64_t i = 1; i < PAIRS; i += 2) {
		same_place_name(i / 2, i, &name);
		request(&f, UDS_UPDATE, &name, i, 3, NULL);
		ck_assert(request(&f, UDS_PEEK, &name, i, 0, &version));
		ck_assert_uint_eq(version, 3);
		same_place_name(i / 2, 10000 + i, &name);
		request(&f, UDS_UPDATE, &name, 10000 + i, 3, NULL);
		ck_assert(request(&f, UDS_PEEK, &name, 10000 + i, 0, &version));
		ck_assert_uint_eq(version, 3);
	}
	ck_assert_int_eq(uds_index_save(f.index), 0);
	ck_assert_uint_eq(findings(&f, 1), 0);
	end(&f);
}
END_TEST

/*
 * Equal in the list and address of their chapters, so that most find no room in the chapter index.
 */
static void same_chapter_place_name(uint64_t i, struct uds_record_name *ret_name)
{
	make_name(SEED, i, ret_name);
	memset(ret_name->bytes + 8, 0x33, 6);
}

/*
 * Records that their chapter cannot find are stored again, under entries of their own; the first
 * entries stay and lead to the chapter. That is how it must be, and no finding.
 */
START_TEST(verify_finds_nothing_wrong_where_names_collide)
{
	struct uds_record_name name;
	struct fixture f;

	start(&f, _i == 0 ? 0 : 4);
	for (unsigned int turn = 0; turn < 3; turn++) {
		for (uint64_t i = 0; i < 2 * PER_CHAPTER; i++) {
			same_chapter_place_name(i, &name);
			request(&f, UDS_POST, &name, i, turn, NULL);
			if (i % 5 == 0) {
				same_place_name(i % 7, 50000 + i, &name);
				request(&f, UDS_POST, &name, 50000 + i, turn, NULL);
			}
			if (i % 11 == 10) {
				same_chapter_place_name(i - 7, &name);
				request(&f, UDS_DELETE, &name, i - 7, 0, NULL);
			}
		}
		ck_assert_int_eq(uds_index_save(f.index), 0);
		ck_assert_msg(findings(&f, 1) == 0, "%s", f.finding);
		ck_assert_msg(findings(&f, 4) == 0, "%s", f.finding);
		open_with(&f, 1 + turn);
	}
	ck_assert_uint_gt(statistics(&f).collisions, 100);
	end(&f);
}
END_TEST

/* Overwrites the records of one page of a chapter by others, in order, of no such places. */
static void replace_records(struct fixture *f, uint64_t chapter, uint32_t page)
{
	uint8_t bytes[4096];
	uint64_t at = (2 + 1 + chapter * 5 + 1 + page) * 4096;

	ck_assert_int_eq(uds_io_read(f->io, bytes, sizeof(bytes), at), 0);
	/* The first eight bytes decide the order and the places; a shift of all keeps the order. */
	for (size_t i = 0; i < sizeof(bytes); i += UDS_RECORD_BYTES)
		bytes[i + 7] ^= 1;
	ck_assert_int_eq(uds_io_write(f->io, bytes, sizeof(bytes), at), 0);
}

START_TEST(verify_finds_entries_without_records_among_colliding_names)
{
	struct uds_record_name name;
	struct fixture f;

	start(&f, 0);
	for (uint64_t i = 0; i < 2 * PER_CHAPTER + 10; i++) {
		same_place_name(i % 400, i, &name);
		request(&f, UDS_POST, &name, i, 1, NULL);
	}
	ck_assert_int_eq(uds_index_save(f.index), 0);
	ck_assert_msg(findings(&f, 1) == 0, "%s", f.finding);
	replace_records(&f, 0, (uint32_t)_i);
	ck_assert_uint_gt(findings(&f, 1), 0);
	end(&f);
}
END_TEST

/* ---- records that the index of their chapter has no room for ---- */

/* Closes without a save. */
static void crash(struct fixture *f)
{
	open_with(f, 1);
}

static bool flush_first = true;
static uint32_t sparse_chapters;

/* Pages of 512 records; some 430 of one place fit into the index of a chapter. */
static void start_crowded(struct fixture *f, bool no_extras, uint32_t record_pages)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message;

	memset(f, 0, sizeof(*f));
	c.page_bytes = 16384;
	c.record_pages_per_chapter = record_pages;
	c.chapters_per_volume = 8;
	c.sparse_chapters_per_volume = sparse_chapters;
	c.sparse_sample_rate = sparse_chapters > 0 ? 4 : 0;
	options.no_extras = no_extras;
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &f->io), 0);
	ck_assert_int_eq(uds_index_format(f->io, &c, &options, &message), 0);
	open_with(f, 1);
	/* From here on nothing is lost, also in later lives of the index. */
	if (flush_first)
		ck_assert_int_eq(uds_index_flush(f->index), 0);
	crash(f);
}

#define CROWDED 1024u

/*
 * Five of eight have one place in chapters, in which they come in pairs of one place in the volume
 * index, so that one of each pair has a collision entry there.
 */
static void crowded_name(uint64_t i, struct uds_record_name *ret_name)
{
	struct uds_record_name first;

	make_name(SEED + 1, i, ret_name);
	if (i % 8 >= 5)
		return;
	make_name(SEED + 2, i % (3 * CROWDED / 2), &first);
	memcpy(ret_name->bytes, first.bytes, 8);
	memset(ret_name->bytes + 8, 0x33, 6);
}

static void post_crowded(struct fixture *f, uint64_t first, uint64_t count)
{
	struct uds_record_name name;

	for (uint64_t i = first; i < first + count; i++) {
		crowded_name(i, &name);
		ck_assert(!request(f, UDS_POST, &name, i, 1, NULL));
	}
}

/* How many of the first names are not found. */
static unsigned int count_missing(struct fixture *f, uint64_t count)
{
	struct uds_record_name name;
	unsigned int missing = 0;

	for (uint64_t i = 0; i < count; i++) {
		crowded_name(i, &name);
		missing += !request(f, UDS_PEEK, &name, i, 0, NULL);
	}
	return missing;
}

static int count_record(void *context, const struct uds_record_name *name,
			const struct uds_record_data *data)
{
	(void)name, (void)data;
	++*(uint64_t *)context;
	return 0;
}

START_TEST(record_that_its_chapter_leaves_out_is_in_the_next_but_one)
{
	uint64_t walked = 0, open_records;
	struct fixture f;

	start_crowded(&f, false, 2);
	post_crowded(&f, 0, 4 * CROWDED);
	open_records = statistics(&f).open_chapter_records;
	ck_assert_uint_ge(statistics(&f).open_chapter, 4);
	ck_assert_uint_eq(count_missing(&f, 4 * CROWDED), 0);
	ck_assert_uint_eq(statistics(&f).unreachable_records, 0);
	ck_assert_int_eq(uds_index_for_each(f.index, count_record, &walked), 0);
	ck_assert_uint_eq(walked, 4 * CROWDED);
	/* Walking is reading: they are put into the open chapter by the flush. */
	ck_assert_uint_eq(statistics(&f).open_chapter_records, open_records);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	ck_assert_uint_gt(statistics(&f).open_chapter_records, open_records);
	walked = 0;
	ck_assert_int_eq(uds_index_for_each(f.index, count_record, &walked), 0);
	ck_assert_uint_eq(walked, 4 * CROWDED);
	/* One or two more chapters, without a flush: from their pages. */
	post_crowded(&f, 4 * CROWDED, (_i + 1) * CROWDED);
	crash(&f);
	ck_assert_uint_eq(count_missing(&f, 4 * CROWDED), 0);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	ck_assert_msg(findings(&f, 1) == 0, "%s", f.finding);
	open_with(&f, 1);
	ck_assert_uint_eq(count_missing(&f, 4 * CROWDED), 0);
	end(&f);
}
END_TEST

/*
 * Bytes of the reference implementation, and what it finds. @_i: an index with a journal does so
 * until it is flushed.
 */
START_TEST(index_without_a_flush_loses_what_its_chapters_leave_out)
{
	unsigned int missing;
	struct fixture f;

	flush_first = false;
	start_crowded(&f, _i == 0, 2);
	post_crowded(&f, 0, 4 * CROWDED);
	ck_assert_uint_eq(statistics(&f).open_chapter, 4);
	missing = count_missing(&f, 4 * CROWDED);
	ck_assert_uint_gt(missing, 100);
	ck_assert_uint_ge(statistics(&f).unreachable_records, missing);
	/*
	 * Those of chapters that were closed before the first flush are lost, also where they wait
	 * in memory; no more.
	 */
	missing = (unsigned int)statistics(&f).unreachable_records;
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	post_crowded(&f, 4 * CROWDED, CROWDED);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	if (_i == 0)
		ck_assert_uint_gt(statistics(&f).unreachable_records, missing);
	else
		ck_assert_uint_eq(statistics(&f).unreachable_records, missing);
	end(&f);
}
END_TEST

/* @_i: whether the deletions are flushed, or saved, while the records wait, or neither. */
START_TEST(record_that_was_left_out_stays_deleted)
{
	struct uds_record_name name;
	unsigned int deleted = 0;
	struct fixture f;

	start_crowded(&f, false, 2);
	post_crowded(&f, 0, CROWDED);
	for (uint64_t i = 1; i < CROWDED; i += 2, deleted++) {
		crowded_name(i, &name);
		ck_assert(request(&f, UDS_DELETE, &name, i, 0, NULL));
	}
	if (_i == 1)
		ck_assert_int_eq(uds_index_flush(f.index), 0);
	if (_i == 2)
		ck_assert_int_eq(uds_index_save(f.index), 0);
	post_crowded(&f, CROWDED, 2 * CROWDED);
	ck_assert_uint_eq(count_missing(&f, CROWDED), deleted);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	crash(&f);
	ck_assert_uint_eq(count_missing(&f, CROWDED), deleted);
	ck_assert_uint_eq(count_missing(&f, 3 * CROWDED), deleted);
	end(&f);
}
END_TEST

/* Of one place in chapters, and two and two of one in the volume index. */
static void twin_name(uint64_t i, struct uds_record_name *ret_name)
{
	struct uds_record_name first;

	same_chapter_place_name(i, ret_name);
	make_name(SEED + 2, i / 2, &first);
	memcpy(ret_name->bytes, first.bytes, 8);
}

/* Each of two twins, and both of none. */
static bool is_deleted_twin(uint64_t i)
{
	return i % 4 == 1 || i % 4 == 2;
}

/*
 * The entry of its twin may lead to a deleted one, as long as the chapter has it: those are not
 * asked for.
 */
static void check_twins(struct fixture *f)
{
	struct uds_record_name name;

	for (uint64_t i = 0; i < CROWDED; i++) {
		twin_name(i, &name);
		ck_assert_msg(is_deleted_twin(i) || request(f, UDS_PEEK, &name, i, 0, NULL),
			      "name %d", (int)i);
	}
}

/*
 * @_i: whether there is memory to note the deletions for the journal. That must not matter to what
 * is left out beside them: the twin of a deleted name has the ordinary entry of the place.
 */
START_TEST(record_that_was_left_out_outlives_the_deletion_of_its_twin)
{
	struct torture_env torture;
	struct uds_record_name name;
	uint64_t walked = 0;
	struct fixture f;

	start_crowded(&f, false, 2);
	torture_env_start(&torture);
	f.env = &torture.env;
	crash(&f);
	for (uint64_t i = 0; i < CROWDED; i++) {
		twin_name(i, &name);
		ck_assert(!request(&f, UDS_POST, &name, i, 1, NULL));
	}
	ck_assert_uint_eq(statistics(&f).open_chapter, 1);
	/* This waits for the chapter, so that nothing else asks for memory. */
	ck_assert_int_eq(uds_index_for_each(f.index, count_record, &walked), 0);
	ck_assert_uint_eq(walked, CROWDED);
	torture_env_fail_at(&torture, _i == 0 ? 1 : 0, false);
	for (uint64_t i = 0; i < CROWDED; i++) {
		twin_name(i, &name);
		if (is_deleted_twin(i))
			ck_assert(request(&f, UDS_DELETE, &name, i, 0, NULL));
	}
	ck_assert_uint_eq(torture.failed, _i == 0);
	check_twins(&f);
	for (uint64_t i = 0; i < 2 * CROWDED; i++) {
		make_name(SEED + 3, i, &name);
		ck_assert(!request(&f, UDS_POST, &name, i, 1, NULL));
	}
	check_twins(&f);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	crash(&f);
	check_twins(&f);
	ck_assert_uint_eq(statistics(&f).unreachable_records, 0);
	end(&f);
	torture_env_end(&torture);
}
END_TEST

/*
 * The latest records are those of the open chapter, and a save takes none of the left-out
 * ones for newer.
 */
START_TEST(record_that_was_left_out_and_updated_keeps_the_update)
{
	struct uds_record_name name;
	struct fixture f;
	uint32_t version;

	start_crowded(&f, false, 2);
	post_crowded(&f, 0, CROWDED);
	for (uint64_t i = 0; i < CROWDED; i += 3) {
		crowded_name(i, &name);
		ck_assert(request(&f, UDS_UPDATE, &name, i, 2, NULL));
	}
	post_crowded(&f, CROWDED, CROWDED);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	crash(&f);
	for (uint64_t i = 0; i < CROWDED; i++) {
		crowded_name(i, &name);
		ck_assert(request(&f, UDS_PEEK, &name, i, 0, &version));
		ck_assert_uint_eq(version, i % 3 == 0 ? 2 : 1);
	}
	end(&f);
}
END_TEST

/*
 * No entry tells that there is a newer record where both chapters are sparse, as in an index with
 * one dense chapter. @_i: whether the two are only on the volume when the index is recovered.
 */
START_TEST(record_that_a_sparse_chapter_left_out_and_was_updated_keeps_the_update)
{
	struct uds_record_name name;
	unsigned int found = 0;
	struct fixture f;
	uint32_t version;

	sparse_chapters = 7;
	start_crowded(&f, false, 2);
	/* The latest that the journal knows is before both. */
	if (_i == 1)
		ck_assert_int_eq(uds_index_flush(f.index), 0);
	post_crowded(&f, 0, CROWDED);
	for (uint64_t i = 0; i < CROWDED; i += 3) {
		crowded_name(i, &name);
		ck_assert(request(&f, UDS_UPDATE, &name, i, 2, NULL));
	}
	post_crowded(&f, CROWDED, CROWDED);
	ck_assert_uint_eq(statistics(&f).open_chapter, 2);
	if (_i == 0)
		ck_assert_int_eq(uds_index_flush(f.index), 0);
	crash(&f);
	for (uint64_t i = 0; i < CROWDED; i++) {
		crowded_name(i, &name);
		if (!request(&f, UDS_PEEK, &name, i, 0, &version))
			continue;
		found++;
		ck_assert_msg(version == (i % 3 == 0 ? 2 : 1), "name %d, version %d", (int)i,
			      (int)version);
	}
	ck_assert_uint_gt(found, CROWDED / 2);
	printf("%u of %u found\n", found, CROWDED);
	sparse_chapters = 0;
	end(&f);
}
END_TEST

/* Two and two of one place in the volume index. */
static void pair_name(uint64_t i, struct uds_record_name *ret_name)
{
	struct uds_record_name first;

	make_name(SEED + 4, i, ret_name);
	make_name(SEED + 5, i / 2, &first);
	memcpy(ret_name->bytes, first.bytes, 8);
}

/* In chapter 0 twins, about half of which its index leaves out; @more in chapter 1. */
static void fill_two_chapters(struct fixture *f, uint64_t more)
{
	struct uds_record_name name;

	for (uint64_t i = 0; i < CROWDED; i++) {
		if (i == CROWDED - 1)
			ck_assert_int_eq(uds_index_flush(f->index), 0);
		twin_name(i, &name);
		ck_assert(!request(f, UDS_POST, &name, i, 1, NULL));
	}
	ck_assert_uint_eq(statistics(f).open_chapter, 1);
	/* Their lists get shorter when their entries are too old, and others take the memory. */
	for (uint64_t i = 0; i < CROWDED; i++) {
		twin_name(i, &name);
		name.bytes[15] ^= 2;
		ck_assert(!request(f, UDS_DELETE, &name, i, 0, NULL));
	}
	for (uint64_t i = 0; i < more; i++) {
		pair_name(i, &name);
		ck_assert(!request(f, UDS_POST, &name, i, 1, NULL));
	}
	ck_assert_uint_eq(statistics(f).open_chapter, 1);
}

static void check_all_twins(struct fixture *f)
{
	struct uds_record_name name;

	for (uint64_t i = 0; i < CROWDED; i++) {
		twin_name(i, &name);
		ck_assert(request(f, UDS_PEEK, &name, i, 0, NULL));
	}
}

/*
 * Chapter 2 begins with what chapter 0 left out, and allocation @nth of that fails, and those after
 * it. Returns how many records it has then. @ret_count: how many allocations there were.
 */
static uint64_t begin_without_memory(uint64_t nth, uint64_t *ret_count)
{
	struct uds_record_name name;
	struct torture_env torture;
	struct fixture f;
	uint64_t records;

	torture_env_start(&torture);
	start_crowded(&f, false, 2);
	f.env = &torture.env;
	open_with(&f, 1);
	fill_two_chapters(&f, CROWDED - 1);
	torture_env_fail_at(&torture, nth, true);
	pair_name(CROWDED - 1, &name);
	ck_assert(!request(&f, UDS_POST, &name, CROWDED - 1, 1, NULL));
	*ret_count = torture.count;
	torture_env_fail_at(&torture, 0, false);
	/* If the chapter was not closed, this one closes it. */
	pair_name(CROWDED, &name);
	ck_assert(!request(&f, UDS_POST, &name, CROWDED, 1, NULL));
	ck_assert_uint_eq(statistics(&f).open_chapter, 2);
	ck_assert_uint_eq(statistics(&f).unreachable_records, 0);
	records = statistics(&f).open_chapter_records;
	check_all_twins(&f);
	end(&f);
	torture_env_end(&torture);
	return records;
}

/*
 * @_i: dense chapters less 1. With one or two the records are of a sparse chapter then, and their
 * entries are new. Of the allocations that make sure of those, some of the many.
 */
START_TEST(chapter_begins_with_all_left_out_records_or_not_at_all_without_memory)
{
	uint64_t count, records, ignored;

	sparse_chapters = 7 - (uint32_t)_i;
	records = begin_without_memory(0, &count);
	ck_assert_uint_gt(records, 100);
	for (uint64_t nth = 1; nth < count; nth += nth < 6 ? 1 : nth)
		ck_assert_uint_eq(begin_without_memory(nth, &ignored), records);
	ck_assert_uint_eq(begin_without_memory(count, &ignored), records);
	sparse_chapters = 0;
}
END_TEST

/*
 * Four of one place in the volume index, five of the next one, and so on: of each size of memory
 * there is some that no other size can have, except for that of short lists.
 */
static void long_list_name(uint64_t i, struct uds_record_name *ret_name)
{
	struct uds_record_name first;
	uint64_t list = 0;

	make_name(SEED + 4, i, ret_name);
	for (; i >= 4 + list; list++)
		i -= 4 + list;
	make_name(SEED + 6, list, &first);
	memcpy(ret_name->bytes, first.bytes, 8);
}

/*
 * A flush, or a save, puts them into the open chapter, and says that it could not: then nothing is
 * lost by it, and the next one does.
 */
START_TEST(flush_and_save_without_memory_for_left_out_records_fail_and_lose_none)
{
	int (*const work)(struct uds_index *) = _i < 2 ? uds_index_flush : uds_index_save;
	struct uds_record_name name;
	struct torture_env torture;
	unsigned int failures = 0;
	struct fixture f;
	int r = -ENOMEM;

	sparse_chapters = 7 - (uint32_t)_i % 2;
	torture_env_start(&torture);
	start_crowded(&f, false, 2);
	f.env = &torture.env;
	open_with(&f, 1);
	fill_two_chapters(&f, 0);
	for (uint64_t i = 0; i < CROWDED - 624; i++) {
		long_list_name(i, &name);
		ck_assert(!request(&f, UDS_POST, &name, i, 1, NULL));
	}
	for (uint64_t nth = 1; r == -ENOMEM; nth++, failures++) {
		ck_assert_uint_lt(nth, 1000);
		torture_env_fail_at(&torture, nth, true);
		r = work(f.index);
		torture_env_fail_at(&torture, 0, false);
		ck_assert_uint_eq(statistics(&f).unreachable_records, 0);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_gt(failures, 1);
	ck_assert_uint_gt(statistics(&f).open_chapter_records, CROWDED / 2);
	crash(&f);
	check_all_twins(&f);
	ck_assert_uint_eq(statistics(&f).unreachable_records, 0);
	end(&f);
	torture_env_end(&torture);
	sparse_chapters = 0;
}
END_TEST

/* Chapters 0 and 1 on the volume, and nothing in the journal: the index that a power cut leaves. */
static void start_cut(struct fixture *f)
{
	start_crowded(f, false, 2);
	post_crowded(f, 0, 2 * CROWDED);
	ck_assert_uint_eq(statistics(f).open_chapter, 2);
	ck_assert_int_eq(uds_index_close(f->index), 0);
	f->index = NULL;
}

static int open_cut(struct fixture *f, const struct uds_env *env, bool skip_unreadable)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.zones = options.threads = 1;
	options.env = env;
	options.skip_unreadable = skip_unreadable;
	r = uds_index_open(f->io, &options, &message, &f->index);
	ck_assert(r == 0 || message.text[0] != '\0');
	return r;
}

/*
 * All reads of a recovery are counted; the last ones, and then fewer and fewer of those before
 * them, fail. @_i: 1: what cannot be read is to be passed over. 2 more: the chapters are sparse.
 */
START_TEST(recovery_of_left_out_records_is_whole_or_fails_where_it_cannot_read)
{
	const bool skip = _i % 2 == 1;
	unsigned int failures = 0;
	struct fault_plan plan;
	uint64_t reads;
	struct fixture f;

	sparse_chapters = _i >= 2 ? 7 : 0;
	start_cut(&f);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &f.io), 0);
	ck_assert_int_eq(open_cut(&f, NULL, skip), 0);
	reads = fault_plan_count(&plan, FAULT_READ);
	for (uint64_t back = 0; back < reads; back += 1 + back / 4) {
		int r;

		ck_assert_int_eq(uds_index_close(f.index), 0);
		f.index = NULL;
		fault_plan_fail(&plan, FAULT_READ, reads - back, -EIO, false);
		r = open_cut(&f, NULL, skip);
		/* How many reads there are depends a little on how they overlap. */
		ck_assert(r == 0 || (r == -EIO && plan.failed == 1));
		failures += r == -EIO;
	}
	ck_assert(failures > 0 || skip);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	fault_plan_fail(&plan, 0, 0, 0, false);
	ck_assert_int_eq(open_cut(&f, NULL, false), 0);
	ck_assert_uint_eq(count_missing(&f, 2 * CROWDED), 0);
	ck_assert_uint_eq(statistics(&f).unreachable_records, 0);
	end(&f);
	fault_plan_end(&plan);
	sparse_chapters = 0;
}
END_TEST

/* @_i: 0: dense chapters; 1: sparse ones. */
START_TEST(recovery_of_left_out_records_is_whole_or_fails_without_memory)
{
	struct torture_env torture;
	struct fixture f;
	int r = -ENOMEM;

	sparse_chapters = _i == 1 ? 7 : 0;
	start_cut(&f);
	torture_env_start(&torture);
	for (uint64_t nth = 1; r == -ENOMEM; nth += 1 + nth / 16) {
		torture_env_fail_at(&torture, nth, true);
		r = open_cut(&f, &torture.env, true);
		ck_assert(r == 0 || r == -ENOMEM);
	}
	torture_env_fail_at(&torture, 0, false);
	ck_assert_uint_eq(count_missing(&f, 2 * CROWDED), 0);
	ck_assert_uint_eq(statistics(&f).unreachable_records, 0);
	end(&f);
	torture_env_end(&torture);
	sparse_chapters = 0;
}
END_TEST

/*
 * A damaged page of chapter 1 takes what lies on it, and no record of chapter 0. @_i: one of its
 * pages, the last two of which have records; of names in chapters' order.
 */
START_TEST(damaged_page_takes_no_left_out_record_of_others_with_it)
{
	const uint64_t chapter_pages = 4, page_bytes = 16384;
	const uint64_t at = 2 * 4096 + page_bytes * (1 + chapter_pages + (uint64_t)_i) + 5000;
	struct uds_record_name name;
	struct fixture f;
	uint64_t size;
	uint8_t byte;

	start_cut(&f);
	ck_assert_int_eq(uds_io_size(f.io, &size), 0);
	ck_assert_int_eq(uds_io_read(f.io, &byte, 1, at), 0);
	byte ^= 0x10;
	ck_assert_int_eq(uds_io_write(f.io, &byte, 1, at), 0);
	ck_assert_int_eq(open_cut(&f, NULL, false), 0);
	ck_assert_uint_eq(count_missing(&f, CROWDED), 0);
	for (uint64_t i = CROWDED; i < 2 * CROWDED; i++) {
		struct uds_request r = { .kind = UDS_PEEK };
		int status;

		crowded_name(i, &name);
		r.name = name;
		status = uds_index_run(f.index, &r, 1);
		ck_assert(status == 0 || status == UDS_ERR_CORRUPT);
	}
	end(&f);
}
END_TEST

static uint64_t count_missing_alike(struct fixture *f, uint64_t count)
{
	struct uds_record_name name;
	uint64_t missing = 0;

	for (uint64_t i = 0; i < count; i++) {
		same_chapter_place_name(i, &name);
		missing += !request(f, UDS_PEEK, &name, i, 0, NULL);
	}
	return missing;
}

/*
 * Names that were made for one list fill no more than half of a chapter again. When the open
 * chapter is full of them, a save closes it, and the next one, but no more: what is over then is
 * lost, too.
 */
START_TEST(more_than_half_a_chapter_of_left_out_records_is_lost_and_counted)
{
	struct uds_index_statistics before, after;
	struct uds_record_name name;
	struct fixture f;
	uint64_t i = 0;

	start_crowded(&f, false, 4);
	do {
		same_chapter_place_name(i, &name);
		request(&f, UDS_POST, &name, i++, 1, NULL);
		before = statistics(&f);
	} while (before.open_chapter < 4 || before.open_chapter_records < 1990);
	ck_assert_uint_gt(before.unreachable_records, 100);
	ck_assert_uint_eq(count_missing_alike(&f, i), before.unreachable_records);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	after = statistics(&f);
	ck_assert_uint_eq(after.open_chapter, before.open_chapter + 2);
	ck_assert_uint_gt(after.unreachable_records, before.unreachable_records);
	ck_assert_uint_eq(count_missing_alike(&f, i), after.unreachable_records);
	/* The save has all others. */
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	crash(&f);
	ck_assert_uint_eq(count_missing_alike(&f, i), after.unreachable_records);
	end(&f);
}
END_TEST

/* ---- lists of the volume index that are full when left-out records are put back ---- */

#define ALIKE	   700u /* names in chapter 0 of one place there; 430 fit into its index */
#define TO_A_PLACE 64u	/* of these, in the volume index */
#define FILLING	   504u /* names that are more than a list takes */

/* No sample of a sparse index: its entry goes when its chapter becomes sparse. */
static void make_no_sample(struct uds_record_name *name)
{
	name->bytes[15] |= 1;
}

static void alike_name(uint64_t i, struct uds_record_name *ret_name)
{
	struct uds_record_name first;

	same_chapter_place_name(i, ret_name);
	make_name(SEED + 2, i / TO_A_PLACE, &first);
	memcpy(ret_name->bytes, first.bytes, 8);
	/* The random bytes that are left are too few to be sure that all names differ. */
	ret_name->bytes[14] = (uint8_t)(i % TO_A_PLACE);
	make_no_sample(ret_name);
}

/*
 * The index of chapter 0 leaves out many names. It is sparse when it is closed, so their entries
 * go, and then the list that the last of them were in is filled; the open chapter is not.
 */
static void start_with_full_list(struct fixture *f)
{
	struct uds_record_name name, first;

	sparse_chapters = 7;
	start_crowded(f, false, 2);
	for (uint64_t i = 0; i < CROWDED; i++) {
		if (i < ALIKE)
			alike_name(i, &name);
		else
			make_name(SEED + 7, i, &name);
		ck_assert(!request(f, UDS_POST, &name, i, 1, NULL));
	}
	ck_assert_uint_eq(statistics(f).open_chapter, 1);
	ck_assert_uint_eq(statistics(f).overflows, 0);
	make_name(SEED + 2, (ALIKE - 1) / TO_A_PLACE, &first);
	for (uint64_t i = 0; i < FILLING; i++) {
		make_name(SEED + 8, i, &name);
		memcpy(name.bytes, first.bytes, 8);
		make_no_sample(&name);
		ck_assert(!request(f, UDS_POST, &name, i, 1, NULL));
	}
	ck_assert_uint_gt(statistics(f).overflows, 1);
}

/* The names of chapter 0 whose list was filled, and the others. */
static void check_alike(struct fixture *f)
{
	struct uds_record_name name;

	for (uint64_t i = 0; i < ALIKE; i++) {
		alike_name(i, &name);
		ck_assert_msg(request(f, UDS_PEEK, &name, i, 0, NULL), "name %d", (int)i);
	}
}

/*
 * As only the open chapter is dense, closing the next one makes room in the list: so a flush and a
 * save close it. Until then the records are found in the memory of their chapter. @_i: 0: flushed;
 * 1: saved; 2: neither, until it closes by itself.
 */
START_TEST(record_that_a_full_list_does_not_take_waits_for_room)
{
	struct uds_record_name name;
	struct fixture f;

	start_with_full_list(&f);
	check_alike(&f);
	if (_i == 0)
		ck_assert_int_eq(uds_index_flush(f.index), 0);
	if (_i == 1)
		ck_assert_int_eq(uds_index_save(f.index), 0);
	for (uint64_t i = 0; _i == 2 && statistics(&f).open_chapter == 1; i++) {
		make_name(SEED + 9, i, &name);
		ck_assert(!request(&f, UDS_POST, &name, i, 1, NULL));
	}
	ck_assert_uint_eq(statistics(&f).open_chapter, 2);
	check_alike(&f);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	crash(&f);
	check_alike(&f);
	ck_assert_uint_eq(statistics(&f).unreachable_records, 0);
	sparse_chapters = 0;
	end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crafted names");
	TCase *tcase = tcase_create("crafted");

	tcase_add_test(tcase, dropped_record_is_not_found_or_with_older_data_of_its_own);
	tcase_add_loop_test(tcase, verify_finds_nothing_wrong_where_names_collide, 0, 2);
	tcase_add_loop_test(tcase, verify_finds_entries_without_records_among_colliding_names, 0,
			    4);
	tcase_add_loop_test(tcase, record_that_its_chapter_leaves_out_is_in_the_next_but_one, 0, 2);
	tcase_add_loop_test(tcase, index_without_a_flush_loses_what_its_chapters_leave_out, 0, 2);
	tcase_add_loop_test(tcase, record_that_was_left_out_stays_deleted, 0, 3);
	tcase_add_loop_test(tcase, record_that_was_left_out_outlives_the_deletion_of_its_twin, 0,
			    2);
	tcase_add_test(tcase, record_that_was_left_out_and_updated_keeps_the_update);
	tcase_add_loop_test(tcase,
			    record_that_a_sparse_chapter_left_out_and_was_updated_keeps_the_update,
			    0, 2);
	tcase_add_loop_test(
		tcase, chapter_begins_with_all_left_out_records_or_not_at_all_without_memory, 0, 3);
	tcase_add_loop_test(
		tcase, flush_and_save_without_memory_for_left_out_records_fail_and_lose_none, 0, 4);
	tcase_add_loop_test(
		tcase, recovery_of_left_out_records_is_whole_or_fails_where_it_cannot_read, 0, 4);
	tcase_add_loop_test(tcase, recovery_of_left_out_records_is_whole_or_fails_without_memory, 0,
			    2);
	tcase_add_loop_test(tcase, damaged_page_takes_no_left_out_record_of_others_with_it, 0, 4);
	tcase_add_test(tcase, more_than_half_a_chapter_of_left_out_records_is_lost_and_counted);
	tcase_add_loop_test(tcase, record_that_a_full_list_does_not_take_waits_for_room, 0, 3);
	suite_add_tcase(suite, tcase);
	return run_suite_apart(suite);
}
