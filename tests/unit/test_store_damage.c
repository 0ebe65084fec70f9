/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Damage of every structure of an exception store, one at a time: what opens, what each chunk of
 * the snapshot then reads as, that no other chunk is concerned, what the status counts, what is
 * logged, and what verify reports. A COW device has no checksums, so what contradicts nothing
 * cannot be known to be damaged; the cases say what comes of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <uds/snapshot.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "snap_image.h"

/* Chunks of a sector: 32 exceptions in an area, areas in chunks 1, 34, 67, ... */
#define CHUNK	   512u
#define PER_AREA   32u
#define ORIGIN	   200u /* chunks */
#define EXCEPTIONS 60u	/* of chunks 0 to 59: the first area is full */
#define COW	   100u /* chunks */

#define AREA_BEHIND (1 + 2 * (PER_AREA + 1)) /* the first that the list does not reach */

#define BEFORE 1u /* tag of what the origin has */
#define AFTER  2u /* of what was written to the snapshot */

#define NO_FINDING UINT32_MAX

/* What the chunks of the snapshot read as that a damage concerns. */
enum reads {
	AS_WRITTEN,
	AN_ERROR,
	AS_THE_ORIGIN, /* the exception is lost: the format cannot tell */
	AS_ANOTHER,    /* the data of another exception, or changed: the same */
};

struct damage_case {
	const char *name;
	uint64_t offset; /* of the COW device */
	uint64_t bytes;	 /* that are written there */
	uint8_t value[16];
	int opens;
	uint32_t first, end; /* chunks that are concerned */
	enum reads reads;
	int status; /* of reading them, when that is an error */
	uint32_t finding;
	uint64_t findings;
	uint32_t state; /* enum uds_exception_store_state */
};

static uint64_t new_chunk(uint64_t old_chunk)
{
	return 2 + old_chunk + old_chunk / PER_AREA;
}

#define ENTRY(old_chunk) \
	(CHUNK + ((old_chunk) / PER_AREA) * (PER_AREA + 1) * CHUNK + (old_chunk) % PER_AREA * 16)
#define OLD_OF(old_chunk) ENTRY(old_chunk)
#define NEW_OF(old_chunk) (ENTRY(old_chunk) + 8)

static const struct damage_case cases[] = {
	{ "header: magic",
	  0,
	  4,
	  { 1, 2, 3, 4 },
	  UDS_ERR_NOT_A_SNAPSHOT,
	  0,
	  0,
	  AS_WRITTEN,
	  0,
	  UDS_FINDING_NO_MAGIC,
	  1,
	  0 },
	{ "header: version",
	  8,
	  4,
	  { 2 },
	  UDS_ERR_UNSUPPORTED_VERSION,
	  0,
	  0,
	  AS_WRITTEN,
	  0,
	  UDS_FINDING_VERSION,
	  1,
	  0 },
	{ "header: chunk size",
	  12,
	  4,
	  { 3 },
	  UDS_ERR_CORRUPT,
	  0,
	  0,
	  AS_WRITTEN,
	  0,
	  UDS_FINDING_CHUNK_SIZE,
	  1,
	  0 },
	{ "header: valid",
	  4,
	  4,
	  { 0 },
	  0,
	  0,
	  ORIGIN,
	  AN_ERROR,
	  UDS_ERR_INVALID_SNAPSHOT,
	  UDS_FINDING_INVALID,
	  1,
	  UDS_STORE_INVALID },
	{ "entry: new chunk behind the end",
	  NEW_OF(7),
	  8,
	  { 200 },
	  0,
	  7,
	  8,
	  AN_ERROR,
	  UDS_ERR_CORRUPT,
	  UDS_FINDING_NEW_BEHIND_END,
	  1,
	  UDS_STORE_DAMAGED },
	{ "entry: new chunk that no device has",
	  NEW_OF(40),
	  8,
	  { 1, 0, 0, 0, 0, 0, 0, 0xff },
	  0,
	  40,
	  41,
	  AN_ERROR,
	  UDS_ERR_CORRUPT,
	  UDS_FINDING_NEW_BEHIND_END,
	  1,
	  UDS_STORE_DAMAGED },
	{ "entry: new chunk is an area",
	  NEW_OF(33),
	  8,
	  { 34 },
	  0,
	  33,
	  34,
	  AN_ERROR,
	  UDS_ERR_CORRUPT,
	  UDS_FINDING_NEW_IS_METADATA,
	  1,
	  UDS_STORE_DAMAGED },
	{ "entry: new chunk of another one",
	  NEW_OF(9),
	  8,
	  { 3 },
	  0,
	  9,
	  10,
	  AS_ANOTHER,
	  0,
	  UDS_FINDING_NEW_TWICE,
	  1,
	  UDS_STORE_DAMAGED },
	{ "entry: old chunk of another one",
	  OLD_OF(12),
	  8,
	  { 5 },
	  0,
	  12,
	  13,
	  AS_THE_ORIGIN,
	  0,
	  UDS_FINDING_OLD_TWICE,
	  1,
	  UDS_STORE_DAMAGED },
	{ "entry: old chunk behind the origin",
	  OLD_OF(20),
	  8,
	  { 250 },
	  0,
	  20,
	  21,
	  AS_THE_ORIGIN,
	  0,
	  UDS_FINDING_OLD_BEHIND_ORIGIN,
	  1,
	  UDS_STORE_DAMAGED },
	/* The list ends there: what follows is behind its end. */
	{ "entry: new chunk 0",
	  NEW_OF(45),
	  8,
	  { 0 },
	  0,
	  45,
	  EXCEPTIONS,
	  AS_THE_ORIGIN,
	  0,
	  UDS_FINDING_STALE_ENTRY,
	  EXCEPTIONS - 45,
	  UDS_STORE_ACTIVE },
	{ "behind the list",
	  ENTRY(EXCEPTIONS + 1),
	  16,
	  { 9, 0, 0, 0, 0, 0, 0, 0, 70 },
	  0,
	  0,
	  0,
	  AS_WRITTEN,
	  0,
	  UDS_FINDING_STALE_ENTRY,
	  1,
	  UDS_STORE_ACTIVE },
	{ "data",
	  5 * CHUNK,
	  8,
	  { 1, 2, 3, 4, 5, 6, 7, 8 },
	  0,
	  3,
	  4,
	  AS_ANOTHER,
	  0,
	  NO_FINDING,
	  0,
	  UDS_STORE_ACTIVE },
};

struct fixture {
	struct uds_io *origin, *below, *cow;
	struct fault_plan plan;
	struct uds_env env;
	struct uds_snapshot *snapshot;
	unsigned int words; /* in the log */
	uint64_t findings;
	uint32_t last_kind;
};

static void count_words(void *context, enum uds_log_level level, const char *sentence)
{
	struct fixture *f = context;

	ck_assert_str_ne(sentence, "");
	f->words += level <= UDS_LOG_WARNING;
}

static int open_snapshot(struct fixture *f, bool salvage, struct uds_message *message)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;

	options.env = &f->env;
	options.read_only = true; /* what is behind the list is left as it is */
	options.salvage = salvage;
	return uds_snapshot_open(f->origin, f->cow, &options, message, &f->snapshot);
}

static void setup(struct fixture *f)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_message message;
	uint8_t bytes[CHUNK];

	memset(f, 0, sizeof(*f));
	f->env = (struct uds_env)UDS_ENV_INIT;
	f->env.context = f;
	f->env.log = count_words;
	fault_plan_start(&f->plan);
	ck_assert_int_eq(uds_io_open_memory(ORIGIN * CHUNK, 1, NULL, NULL, &f->origin), 0);
	for (uint64_t c = 0; c < ORIGIN; c++) {
		fill_pattern(bytes, c, 1, BEFORE);
		ck_assert_int_eq(uds_io_write(f->origin, bytes, CHUNK, c * CHUNK), 0);
	}
	ck_assert_int_eq(uds_io_open_memory(COW * CHUNK, 1, NULL, NULL, &f->below), 0);
	ck_assert_int_eq(fault_io_open(&f->plan, f->below, NULL, &f->cow), 0);
	format.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_exception_store_format(f->cow, &format, NULL), 0);
	ck_assert_int_eq(uds_snapshot_open(f->origin, f->cow, NULL, &message, &f->snapshot), 0);
	for (uint64_t c = 0; c < EXCEPTIONS; c++) {
		fill_pattern(bytes, c, 1, AFTER);
		ck_assert_int_eq(uds_snapshot_write(f->snapshot, bytes, CHUNK, c * CHUNK), 0);
	}
	ck_assert_int_eq(uds_snapshot_close(f->snapshot), 0);
}

static void teardown(struct fixture *f)
{
	uds_io_close(f->origin);
	uds_io_close(f->cow);
	fault_plan_end(&f->plan);
}

static int note_finding(void *context, const struct uds_exception_finding *finding)
{
	struct fixture *f = context;

	ck_assert_str_ne(finding->sentence, "");
	f->findings++;
	f->last_kind = finding->kind;
	return 0;
}

static void check_findings(struct fixture *f, const struct damage_case *c)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	uint64_t findings = 0;

	options.origin_bytes = ORIGIN * CHUNK;
	f->findings = 0;
	ck_assert_int_eq(
		uds_exception_store_verify(f->cow, &options, note_finding, f, NULL, &findings), 0);
	ck_assert_msg(findings == c->findings, "%s: %llu findings", c->name,
		      (unsigned long long)findings);
	ck_assert_uint_eq(f->findings, findings);
	if (findings > 0)
		ck_assert_uint_eq(f->last_kind, c->finding);
}

static bool chunk_is(const uint8_t *bytes, uint64_t chunk, uint32_t tag)
{
	uint8_t expected[CHUNK];

	fill_pattern(expected, chunk, 1, tag);
	return memcmp(bytes, expected, CHUNK) == 0;
}

/*
 * Each chunk by itself: those that are concerned read as the case says, all others as they should.
 */
static void check_chunks(struct fixture *f, const struct damage_case *c)
{
	struct uds_message message;
	uint8_t bytes[CHUNK];

	for (uint64_t chunk = 0; chunk < ORIGIN; chunk++) {
		bool concerned = chunk >= c->first && chunk < c->end;
		uint32_t right = chunk < EXCEPTIONS ? AFTER : BEFORE;
		int r = uds_snapshot_read(f->snapshot, bytes, CHUNK, chunk * CHUNK);

		if (concerned && c->reads == AN_ERROR) {
			ck_assert_msg(r == c->status, "%s: chunk %llu: %d", c->name,
				      (unsigned long long)chunk, r);
			uds_snapshot_error_message(f->snapshot, &message);
			ck_assert_str_ne(message.text, "");
			continue;
		}
		ck_assert_msg(r == 0, "%s: chunk %llu: %d", c->name, (unsigned long long)chunk, r);
		if (concerned && c->reads == AS_ANOTHER)
			ck_assert(!chunk_is(bytes, chunk, right) &&
				  !chunk_is(bytes, chunk, BEFORE));
		else if (concerned && c->reads == AS_THE_ORIGIN)
			ck_assert(chunk_is(bytes, chunk, BEFORE));
		else
			ck_assert_msg(chunk_is(bytes, chunk, right), "%s: chunk %llu", c->name,
				      (unsigned long long)chunk);
	}
}

/* Entries that contradict the format, by what the status counts. */
static uint64_t counted(const struct uds_exception_store_status *status)
{
	return status->new_behind_end + status->new_is_metadata + status->new_twice +
	       status->old_twice + status->old_behind_origin;
}

static void check_opened(struct fixture *f, const struct damage_case *c)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	unsigned int words;

	ck_assert_int_eq(uds_exception_store_get_status(uds_snapshot_store(f->snapshot), &status),
			 0);
	ck_assert_msg(status.state == c->state, "%s: %s", c->name,
		      uds_exception_store_state_name(status.state));
	ck_assert_uint_eq(counted(&status), c->state == UDS_STORE_DAMAGED ? c->findings : 0);
	/* The entry that ends the list is none, whatever else it has. */
	ck_assert_uint_eq(status.stale_entries, c->finding != UDS_FINDING_STALE_ENTRY ? 0
						: c->reads == AS_THE_ORIGIN ? c->findings - 1
									    : c->findings);
	ck_assert_uint_eq(f->words, c->state == UDS_STORE_DAMAGED ? 1 : 0);
	words = f->words;
	check_chunks(f, c);
	check_chunks(f, c);
	/* What opening found is logged by then, and reads log nothing. */
	ck_assert_uint_eq(f->words, words);
}

START_TEST(damage_concerns_only_the_chunks_of_its_entry)
{
	const struct damage_case *c = &cases[_i];
	struct uds_message message = { "" };
	struct fixture f;
	int r;

	setup(&f);
	ck_assert_int_eq(uds_io_write(f.below, c->value, (size_t)c->bytes, c->offset), 0);
	check_findings(&f, c);
	r = open_snapshot(&f, false, &message);
	ck_assert_msg(r == c->opens, "%s: %d %s", c->name, r, message.text);
	if (r == 0) {
		check_opened(&f, c);
		ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
	} else {
		ck_assert_str_ne(message.text, "");
	}
	teardown(&f);
}
END_TEST

/* What a sound store is cleaned of: an entry behind the end of the list, and the next area. */
static void plant_behind(struct fixture *f)
{
	uint8_t entry[16] = { 190, [8] = 90 }, area[CHUNK];

	fill_pattern(area, AREA_BEHIND, 1, AFTER);
	ck_assert_int_eq(uds_io_write(f->below, entry, sizeof(entry), ENTRY(EXCEPTIONS + 1)), 0);
	ck_assert_int_eq(uds_io_write(f->below, area, CHUNK, AREA_BEHIND * CHUNK), 0);
}

/*
 * A store that is damaged takes nothing more, and is not merged without a word. Nor is it cleaned:
 * what lies behind the end of the list may be what the damage has cut off, and a wrong entry may
 * lead to it.
 */
START_TEST(a_damaged_store_is_not_written_to)
{
	const struct damage_case *c = &cases[_i];
	struct uds_message message;
	uint8_t bytes[CHUNK] = { 0 };
	struct image before, after;
	struct fixture f;

	if (c->state != UDS_STORE_DAMAGED)
		return;
	setup(&f);
	ck_assert_int_eq(uds_io_write(f.below, c->value, (size_t)c->bytes, c->offset), 0);
	plant_behind(&f);
	before = io_image(f.below);
	ck_assert_int_eq(uds_snapshot_open(f.origin, f.cow, NULL, &message, &f.snapshot), 0);
	ck_assert_int_eq(uds_snapshot_write(f.snapshot, bytes, CHUNK, 100 * CHUNK),
			 UDS_ERR_CORRUPT);
	uds_snapshot_error_message(f.snapshot, &message);
	ck_assert_str_ne(message.text, "");
	ck_assert_int_eq(uds_snapshot_flush(f.snapshot), 0);
	ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
	after = io_image(f.below);
	check_same(&after, &before, c->name);
	image_free(&before);
	image_free(&after);
	teardown(&f);
}
END_TEST

/* What a merge that is allowed may rely on: two entries for a chunk are no obstacle to it. */
START_TEST(what_lies_behind_a_damaged_list_is_gone_once_it_is_merged)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_message message;
	uint8_t twice[8] = { 20 };
	struct image cow;
	struct fixture f;

	setup(&f);
	ck_assert_int_eq(uds_io_write(f.below, twice, sizeof(twice), OLD_OF(50)), 0);
	plant_behind(&f);
	ck_assert_int_eq(uds_snapshot_open(f.origin, f.cow, NULL, &message, &f.snapshot), 0);
	options.limit = 5;
	ck_assert_int_eq(uds_snapshot_merge(f.snapshot, &options, NULL), 0);
	ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
	cow = io_image(f.below);
	for (uint64_t i = ENTRY(EXCEPTIONS - 5); i < (PER_AREA + 3) * CHUNK; i++)
		ck_assert_uint_eq(cow.bytes[i], 0);
	for (uint64_t i = 0; i < CHUNK; i++)
		ck_assert_uint_eq(cow.bytes[AREA_BEHIND * CHUNK + i], 0);
	image_free(&cow);
	teardown(&f);
}
END_TEST

static const struct damage_case unreadable_area = { "an area that cannot be read",
						    0,
						    0,
						    { 0 },
						    -EIO,
						    PER_AREA,
						    EXCEPTIONS,
						    AS_THE_ORIGIN,
						    0,
						    UDS_FINDING_READ_ERROR,
						    1,
						    UDS_STORE_ACTIVE };

START_TEST(an_area_that_cannot_be_read_hides_those_behind_it)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct uds_message message = { "" };
	struct fixture f;

	setup(&f);
	fault_plan_spoil(&f.plan, FAULT_READ, 34 * CHUNK, CHUNK);
	check_findings(&f, &unreadable_area);
	ck_assert_int_eq(open_snapshot(&f, false, &message), -EIO);
	ck_assert_str_ne(message.text, "");
	/* By request what is known is used, and it is said up to where that is. */
	ck_assert_int_eq(open_snapshot(&f, true, &message), 0);
	ck_assert_int_eq(uds_exception_store_get_status(uds_snapshot_store(f.snapshot), &status),
			 0);
	ck_assert_int_eq(status.list_status, -EIO);
	ck_assert_uint_eq(status.exceptions, PER_AREA);
	check_chunks(&f, &unreadable_area);
	ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
	teardown(&f);
}
END_TEST

START_TEST(data_that_cannot_be_read_are_an_error_for_their_chunk)
{
	static const struct damage_case c = {
		"unreadable data", 0, 0, { 0 }, 0, 30, 31, AN_ERROR, -EIO, NO_FINDING, 0,
		UDS_STORE_ACTIVE
	};
	struct uds_message message = { "" };
	struct fixture f;

	setup(&f);
	fault_plan_spoil(&f.plan, FAULT_READ, new_chunk(30) * CHUNK, CHUNK);
	check_findings(&f, &c);
	ck_assert_int_eq(open_snapshot(&f, false, &message), 0);
	check_opened(&f, &c);
	ck_assert_int_eq(uds_snapshot_close(f.snapshot), 0);
	teardown(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store_damage");
	TCase *tcase = tcase_create("store_damage");
	const int count = (int)(sizeof(cases) / sizeof(cases[0]));

	tcase_add_loop_test(tcase, damage_concerns_only_the_chunks_of_its_entry, 0, count);
	tcase_add_loop_test(tcase, a_damaged_store_is_not_written_to, 0, count);
	tcase_add_test(tcase, what_lies_behind_a_damaged_list_is_gone_once_it_is_merged);
	tcase_add_test(tcase, an_area_that_cannot_be_read_hides_those_behind_it);
	tcase_add_test(tcase, data_that_cannot_be_read_are_an_error_for_their_chunk);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
