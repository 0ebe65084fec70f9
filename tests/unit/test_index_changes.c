/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which requests change an index: a save after those that do not writes nothing. And what a query
 * does that a peek does not.
 *
 * All writes, flushes and changes of size that reach the I/O are counted; nothing here
 * goes by time.
 */
#include <errno.h>
#include <string.h>

#include <uds/index.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "names.h"

#define SEED	    UINT64_C(0xc4a6)
#define PER_CHAPTER 512
#define CHAPTERS    8
#define RATE	    8

struct fixture {
	struct fault_plan plan;
	struct uds_io *io;
	struct uds_index *index;
	unsigned int zones;
};

static void open_as(struct fixture *f, enum uds_index_mode mode)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message;
	int r;

	ck_assert_int_eq(uds_index_close(f->index), 0);
	options.mode = mode;
	options.zones = f->zones;
	r = uds_index_open(f->io, &options, &message, &f->index);
	ck_assert_msg(r == 0, "%s", message.text);
}

static void start_with(struct fixture *f, unsigned int zones, uint32_t sparse_chapters)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message;
	struct uds_io *memory;

	memset(f, 0, sizeof(*f));
	f->zones = zones;
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = CHAPTERS;
	c.sparse_chapters_per_volume = sparse_chapters;
	c.sparse_sample_rate = sparse_chapters > 0 ? RATE : 0;
	fault_plan_start(&f->plan);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &memory), 0);
	ck_assert_int_eq(fault_io_open(&f->plan, memory, NULL, &f->io), 0);
	ck_assert_int_eq(uds_index_format(f->io, &c, NULL, &message), 0);
	open_as(f, UDS_INDEX_LOAD);
}

static void end(struct fixture *f)
{
	ck_assert_int_eq(uds_index_close(f->index), 0);
	ck_assert_int_eq(uds_io_close(f->io), 0);
	fault_plan_end(&f->plan);
}

static void post_range(struct fixture *f, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(SEED, i, &name);
		make_data('n', i, 1, &data);
		ck_assert_int_eq(uds_index_post(f->index, &name, &data, NULL, NULL), 0);
	}
}

/* How many changes of the I/O a save makes. */
static uint64_t changes_of_save(struct fixture *f)
{
	fault_plan_fail(&f->plan, FAULT_ANY, 0, 0, false);
	ck_assert_int_eq(uds_index_save(f->index), 0);
	return fault_plan_count(&f->plan, FAULT_CHANGE);
}

/* One request by the call of its own or in a batch. Returns whether it was found. */
static bool request(struct fixture *f, uint8_t kind, uint64_t i, bool in_batch)
{
	struct uds_request r = { .kind = kind };
	bool found = false;
	int status = 0;

	make_name(SEED, i, &r.name);
	make_data('n', i, 2, &r.new_data);
	if (in_batch) {
		ck_assert_int_eq(uds_index_run(f->index, &r, 1), 0);
		return r.found;
	}
	switch (kind) {
	case UDS_POST:
		status = uds_index_post(f->index, &r.name, &r.new_data, NULL, &found);
		break;
	case UDS_UPDATE:
		status = uds_index_update(f->index, &r.name, &r.new_data, NULL, &found);
		break;
	case UDS_QUERY:
		status = uds_index_query(f->index, &r.name, NULL, &found);
		break;
	case UDS_PEEK:
		status = uds_index_peek(f->index, &r.name, NULL, &found);
		break;
	default:
		status = uds_index_delete(f->index, &r.name, &found);
		break;
	}
	ck_assert_int_eq(status, 0);
	return found;
}

/*
 * Where the name of a request is; names 0 to 511 are in chapter 0, 512 to 611 in the
 * open chapter 1.
 */
enum where { ABSENT, IN_OPEN_CHAPTER, IN_CLOSED_CHAPTER };

static const uint64_t first_of[] = { 100000, PER_CHAPTER, 10 };

static const struct {
	uint8_t kind;
	enum where where;
	bool changes;
} rows[] = {
	{ UDS_PEEK, ABSENT, false },
	{ UDS_PEEK, IN_OPEN_CHAPTER, false },
	{ UDS_PEEK, IN_CLOSED_CHAPTER, false },
	{ UDS_QUERY, ABSENT, false },
	{ UDS_QUERY, IN_OPEN_CHAPTER, false },
	{ UDS_QUERY, IN_CLOSED_CHAPTER, true }, /* goes to the open chapter */
	{ UDS_POST, ABSENT, true },
	{ UDS_POST, IN_OPEN_CHAPTER, false },
	{ UDS_POST, IN_CLOSED_CHAPTER, true },
	{ UDS_UPDATE, ABSENT, true },
	{ UDS_UPDATE, IN_OPEN_CHAPTER, true },
	{ UDS_UPDATE, IN_CLOSED_CHAPTER, true },
	{ UDS_DELETE, ABSENT, false },
	{ UDS_DELETE, IN_OPEN_CHAPTER, true },
	{ UDS_DELETE, IN_CLOSED_CHAPTER, true },
};

#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

/*
 * Every kind and place; then the same after a reopening, where the closed chapter is on
 * the volume only.
 */
static void try_row(struct fixture *f, int row, uint64_t i, bool in_batch)
{
	bool found = request(f, rows[row].kind, first_of[rows[row].where] + i, in_batch);
	uint64_t changes = changes_of_save(f);

	ck_assert_msg(found == (rows[row].where != ABSENT), "row %d: found %d", row, found);
	ck_assert_msg((changes > 0) == rows[row].changes, "row %d: %d changes", row, (int)changes);
	ck_assert_uint_eq(changes_of_save(f), 0);
}

START_TEST(only_requests_that_store_or_remove_make_a_save_write)
{
	struct fixture f;

	start_with(&f, _i / ROWS == 0 ? 1 : 3, 0);
	post_range(&f, 0, PER_CHAPTER + 100);
	ck_assert_uint_gt(changes_of_save(&f), 0);
	ck_assert_uint_eq(changes_of_save(&f), 0);
	try_row(&f, _i % ROWS, 0, false);
	try_row(&f, _i % ROWS, 1, true);
	open_as(&f, UDS_INDEX_LOAD);
	ck_assert_uint_eq(changes_of_save(&f), 0);
	try_row(&f, _i % ROWS, 2, false);
	try_row(&f, _i % ROWS, 3, true);
	end(&f);
}
END_TEST

START_TEST(requests_that_are_refused_make_no_save_write)
{
	const uint8_t no_kinds[] = { 0, UDS_UPDATE + 1, 255 };
	struct fixture f;

	start_with(&f, 1, 0);
	post_range(&f, 0, 10);
	changes_of_save(&f);
	for (size_t i = 0; i < sizeof(no_kinds); i++) {
		struct uds_request r = { .kind = no_kinds[i], .found = true };

		ck_assert_int_eq(uds_index_run(f.index, &r, 1), -EINVAL);
		ck_assert_int_eq(r.status, -EINVAL);
	}
	ck_assert_uint_eq(changes_of_save(&f), 0);
	end(&f);
}
END_TEST

static uint64_t overflows(struct fixture *f)
{
	struct uds_index_statistics s = { .size = sizeof(s) };

	ck_assert_int_eq(uds_index_get_statistics(f->index, &s), 0);
	return s.overflows;
}

/* All of these names share one list of the volume index, which holds 65535 bits. */
static void post_alike(struct fixture *f, uint64_t i)
{
	struct uds_record_name name;
	struct uds_record_data data;

	make_name(SEED, i, &name);
	memset(name.bytes, 0x77, 8);
	make_data('v', i, 1, &data);
	ck_assert_int_eq(uds_index_post(f->index, &name, &data, NULL, NULL), 0);
}

START_TEST(records_that_found_no_room_make_no_save_write)
{
	uint64_t i = 0, refused;
	struct fixture f;

	start_with(&f, 1, 0);
	while (overflows(&f) == 0)
		post_alike(&f, i++);
	changes_of_save(&f);
	refused = overflows(&f);
	post_alike(&f, i);
	ck_assert_uint_eq(overflows(&f), refused + 1);
	ck_assert_uint_eq(changes_of_save(&f), 0);
	end(&f);
}
END_TEST

/* Hooks bring their chapters into the sparse cache, and the cache is no part of a save. */
START_TEST(looking_into_sparse_chapters_makes_no_save_write)
{
	struct fixture f;

	start_with(&f, _i == 0 ? 1 : 3, CHAPTERS - 4);
	post_range(&f, 0, 6 * PER_CHAPTER + 100);
	ck_assert_uint_gt(changes_of_save(&f), 0);
	for (uint64_t i = 0; i < PER_CHAPTER; i++)
		request(&f, UDS_PEEK, i, i % 2 == 0);
	ck_assert_uint_eq(changes_of_save(&f), 0);
	/* Now its names are found by way of the cache; a query stores what it finds. */
	ck_assert(request(&f, UDS_PEEK, 3, false));
	ck_assert_uint_eq(changes_of_save(&f), 0);
	ck_assert(request(&f, UDS_QUERY, 3, false));
	ck_assert_uint_gt(changes_of_save(&f), 0);
	end(&f);
}
END_TEST

START_TEST(closed_chapters_make_the_next_save_write)
{
	struct fixture f;

	start_with(&f, 1, 0);
	post_range(&f, 0, PER_CHAPTER - 1);
	changes_of_save(&f);
	post_range(&f, PER_CHAPTER - 1, PER_CHAPTER);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	ck_assert_uint_gt(changes_of_save(&f), 0);
	open_as(&f, UDS_INDEX_LOAD);
	ck_assert(request(&f, UDS_PEEK, 0, false));
	end(&f);
}
END_TEST

START_TEST(save_that_failed_is_made_up_for)
{
	struct fixture f;

	start_with(&f, 1, 0);
	post_range(&f, 0, 10);
	/* The first one announces the save, which does without. */
	fault_plan_fail(&f.plan, FAULT_WRITE, 2, -EIO, false);
	ck_assert_int_eq(uds_index_save(f.index), -EIO);
	request(&f, UDS_PEEK, 3, false);
	ck_assert_uint_gt(changes_of_save(&f), 0);
	open_as(&f, UDS_INDEX_LOAD);
	ck_assert(request(&f, UDS_PEEK, 3, false));
	end(&f);
}
END_TEST

START_TEST(query_gives_the_data_and_leaves_outputs_alone_for_what_is_not_there)
{
	struct uds_record_data data, expected;
	struct uds_record_name name;
	struct fixture f;
	bool found;

	start_with(&f, 1, 0);
	post_range(&f, 0, PER_CHAPTER + 10);
	for (uint64_t i = 0; i < PER_CHAPTER + 10; i += 7) {
		make_name(SEED, i, &name);
		make_data('n', i, 1, &expected);
		found = false;
		ck_assert_int_eq(uds_index_query(f.index, &name, &data, &found), 0);
		ck_assert(found);
		ck_assert_int_eq(memcmp(&data, &expected, sizeof(data)), 0);
		ck_assert_int_eq(uds_index_query(f.index, &name, NULL, NULL), 0);
	}
	make_name(SEED, 100000, &name);
	memset(&data, 0x11, sizeof(data));
	expected = data;
	ck_assert_int_eq(uds_index_query(f.index, &name, &data, &found), 0);
	ck_assert(!found);
	ck_assert_int_eq(memcmp(&data, &expected, sizeof(data)), 0);
	end(&f);
}
END_TEST

/*
 * A name that is queried moves to the open chapter; one that is peeked leaves with its old chapter.
 */
START_TEST(query_keeps_a_name_from_leaving_and_peek_does_not)
{
	struct fixture f;

	start_with(&f, 1, 0);
	post_range(&f, 0, PER_CHAPTER);
	for (uint64_t i = 0; i < 10; i++) {
		ck_assert(request(&f, UDS_QUERY, i, false));
		ck_assert(request(&f, UDS_PEEK, 100 + i, false));
	}
	/* So many chapters that the first one leaves, and the one after it does not. */
	post_range(&f, PER_CHAPTER, CHAPTERS * PER_CHAPTER - 10);
	for (uint64_t i = 0; i < 10; i++) {
		ck_assert(request(&f, UDS_PEEK, i, false));
		ck_assert(!request(&f, UDS_PEEK, 100 + i, false));
	}
	end(&f);
}
END_TEST

/* With sixteen zones a load has no room for some of what one zone has saved. */
START_TEST(a_name_that_a_load_had_no_room_for_can_be_deleted)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;
	bool there[PER_CHAPTER];
	struct fixture f;

	start_with(&f, 1, 0);
	post_range(&f, 0, PER_CHAPTER - 8);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	f.zones = 16;
	open_as(&f, UDS_INDEX_LOAD);
	ck_assert_int_eq(uds_index_get_statistics(f.index, &s), 0);
	ck_assert_uint_gt(s.dropped_at_load, 0);
	for (uint64_t i = 0; i < PER_CHAPTER - 8; i++) {
		there[i] = request(&f, UDS_PEEK, i, false);
		if (!there[i])
			ck_assert(!request(&f, UDS_DELETE, i, false));
	}
	ck_assert_int_eq(_i == 0 ? uds_index_flush(f.index) : uds_index_save(f.index), 0);
	f.zones = 1;
	open_as(&f, UDS_INDEX_LOAD_OR_RECOVER);
	for (uint64_t i = 0; i < PER_CHAPTER - 8; i++)
		ck_assert(request(&f, UDS_PEEK, i, false) == there[i]);
	end(&f);
}
END_TEST

START_TEST(query_is_refused_where_nothing_may_be_changed)
{
	struct uds_record_name name;
	struct uds_record_data data;
	struct fixture f;
	bool found = false;

	start_with(&f, 1, 0);
	post_range(&f, 0, 10);
	changes_of_save(&f);
	open_as(&f, UDS_INDEX_READ_ONLY);
	make_name(SEED, 1, &name);
	ck_assert_int_eq(uds_index_query(f.index, &name, &data, &found), UDS_ERR_READ_ONLY);
	ck_assert(!found);
	end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("what changes an index");
	TCase *tcase = tcase_create("changes");

	tcase_add_loop_test(tcase, only_requests_that_store_or_remove_make_a_save_write, 0,
			    2 * ROWS);
	tcase_add_test(tcase, requests_that_are_refused_make_no_save_write);
	tcase_add_test(tcase, records_that_found_no_room_make_no_save_write);
	tcase_add_loop_test(tcase, looking_into_sparse_chapters_makes_no_save_write, 0, 2);
	tcase_add_test(tcase, closed_chapters_make_the_next_save_write);
	tcase_add_test(tcase, save_that_failed_is_made_up_for);
	tcase_add_loop_test(tcase, a_name_that_a_load_had_no_room_for_can_be_deleted, 0, 2);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("query");
	tcase_add_test(tcase, query_gives_the_data_and_leaves_outputs_alone_for_what_is_not_there);
	tcase_add_test(tcase, query_keeps_a_name_from_leaving_and_peek_does_not);
	tcase_add_test(tcase, query_is_refused_where_nothing_may_be_changed);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
