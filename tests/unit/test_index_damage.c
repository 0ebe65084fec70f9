/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Damage of every structure of an index, one at a time: what opens and what is answered, that only
 * the requests concerned fail, what is counted and logged, what verify reports, and what a repair
 * makes of it. And repairs that are interrupted, refused, or not needed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "check_main.h"
#include "given_io.h"
#include "crash.h"
#include "fault_io.h"
#include "index_damage.h"
#include "index_image.h"
#include "names.h"
#include "small_index.h"
#include "torture_env.h"
#include "../format/convert.h"

#define CHAPTERS     6
#define RECORD_PAGES 24
#define WRITTEN	     8 /* chapters: the volume was full and went on */
#define OLDEST	     (WRITTEN - CHAPTERS + 1)
#define OPEN_RECORDS 100
#define SINCE_SAVE   50 /* of these, since the save before the last */
#define DELETED	     3	/* every so many thousandth name */
#define FLUSHED	     20 /* of the open chapter, by each of the two last flushes that store */

/* What the image is of. */
enum kind {
	WITH_EXTRAS,
	WITHOUT_EXTRAS,
	WITH_JOURNAL, /* records and deletions that nothing but the journal has */
	CONVERTED
};

/* A good index, and where each of its names is. */
struct image {
	enum kind kind;
	struct small_shape shape;
	struct layout layout;
	uint8_t *bytes;
	uint64_t names;
	bool *there;	/* for each name: a lookup finds it */
	uint8_t *pages; /* and the record page that it is on */
	uint64_t *chapters;
};

/* What was logged and found. */
struct words {
	unsigned int errors;
	unsigned int count;
	char text[8000];
};

static struct image image;
static struct words words;
static struct uds_env env;
static uint64_t now;

static uint64_t tick(void *context)
{
	(void)context;
	return ++now;
}

static void count_errors(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	(void)sentence;
	words.errors += level == UDS_LOG_ERROR;
}

static int take_sentence(void *context, const char *sentence)
{
	size_t used = strlen(words.text);

	words.count++;
	snprintf(words.text + used, sizeof(words.text) - used, "%s\n", sentence);
	return context != NULL; /* refuse */
}

static struct uds_index *open_on(struct uds_io *io)
{
	struct uds_message message;
	struct uds_index *index;
	int r = small_index_open(io, &env, 1, UDS_INDEX_LOAD_OR_RECOVER, &message, &index);

	ck_assert_msg(r == 0, "%s", message.text);
	return index;
}

static bool is_deleted(uint64_t name)
{
	return name % 1000 == DELETED || (image.kind == WITH_JOURNAL && name % 1000 == DELETED + 1);
}

/* From the pages, since which record goes where is not this test's. */
static void note_places(void)
{
	const struct geometry *geometry = &image.layout.geometry;
	const struct save_slot *slot = saves_find_latest(&image.layout.saves);

	for (uint64_t vcn = slot->save.oldest; vcn < WRITTEN; vcn++) {
		for (uint32_t p = 0; p < RECORD_PAGES; p++) {
			struct index_damage page = { RECORD_PAGE, vcn, p };
			uint64_t offset, length, name;

			index_damage_place(&image.layout, &page, &offset, &length);
			for (uint32_t i = 0; i < geometry->records_per_page; i++) {
				name = get_le64(image.bytes + offset + 32 * i + 16);
				ck_assert_uint_lt(name, image.names);
				image.there[name] = !is_deleted(name);
				image.pages[name] = (uint8_t)p;
				image.chapters[name] = vcn;
			}
		}
	}
	for (uint64_t name = image.names - OPEN_RECORDS; name < image.names; name++) {
		image.there[name] = true;
		image.chapters[name] = WRITTEN;
	}
}

static void post_names(struct uds_index *index, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(1, i, &name);
		make_data('d', i, 0, &data);
		ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, NULL), 0);
	}
}

static void delete_names(struct uds_index *index, uint64_t first)
{
	for (uint64_t i = first; i < image.names - OPEN_RECORDS; i += 1000) {
		struct uds_record_name name;

		make_name(1, i, &name);
		ck_assert_int_eq(uds_index_delete(index, &name, NULL), 0);
	}
}

/* Two saves, so that there is an older one, and for the journal three flushes of a block each. */
static void fill(struct uds_index *index)
{
	uint64_t saved = image.names - (image.kind == WITH_JOURNAL ? 2 * FLUSHED : 0);

	post_names(index, 0, image.names - SINCE_SAVE);
	ck_assert_int_eq(uds_index_save(index), 0);
	post_names(index, image.names - SINCE_SAVE, saved);
	delete_names(index, DELETED);
	ck_assert_int_eq(uds_index_save(index), 0);
	if (image.kind != WITH_JOURNAL)
		return;
	post_names(index, saved, saved + FLUSHED);
	ck_assert_int_eq(uds_index_flush(index), 0);
	post_names(index, saved + FLUSHED, image.names);
	ck_assert_int_eq(uds_index_flush(index), 0);
	delete_names(index, DELETED + 1);
	ck_assert_int_eq(uds_index_flush(index), 0);
}

/* Where it was cut, the index begins anew. */
static void convert(void)
{
	uint64_t cut = (uint64_t)image.layout.geometry.pages_per_chapter * 4096;

	ck_assert_uint_eq(convert_image(image.bytes, 0, cut, ++now), 0);
	image.shape.bytes -= cut;
	memmove(image.bytes, image.bytes + cut, image.shape.bytes);
}

static void read_image_layout(void)
{
	struct uds_io *io = bytes_io(image.bytes, image.shape.bytes);
	struct uds_message message;

	ck_assert_msg(layout_read(io, 0, &message, &image.layout) == 0, "%s", message.text);
	ck_assert_int_eq(uds_io_close(io), 0);
}

static void make_image(enum kind kind)
{
	struct uds_message message;
	struct uds_index *index;
	struct uds_io *io;

	memset(&image, 0, sizeof(image));
	image.kind = kind;
	env = (struct uds_env)UDS_ENV_INIT;
	env.now_ms = tick;
	env.log = count_errors;
	small_index_shape(RECORD_PAGES, CHAPTERS, &image.shape);
	ck_assert_uint_ge(image.shape.index_pages, 2);
	if (kind == WITH_EXTRAS || kind == WITH_JOURNAL)
		small_index_add_extras(&image.shape);
	image.names = (uint64_t)WRITTEN * image.shape.records + OPEN_RECORDS;
	image.bytes = malloc(image.shape.bytes);
	image.there = calloc(image.names, 1);
	image.pages = calloc(image.names, 1);
	image.chapters = calloc(image.names, sizeof(uint64_t));
	ck_assert_int_eq(uds_io_open_memory(image.shape.bytes, 4096, NULL, NULL, &io), 0);
	ck_assert_int_eq(small_index_create(&image.shape, io, &env, &message), 0);
	index = open_on(io);
	fill(index);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_read(io, image.bytes, image.shape.bytes, 0), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	read_image_layout();
	if (kind == CONVERTED) {
		convert();
		read_image_layout();
	}
	note_places();
}

static void free_image(void)
{
	free(image.bytes);
	free(image.there);
	free(image.pages);
	free(image.chapters);
}

/* What peeks of all names came to. */
struct answers {
	uint64_t failed;
	uint64_t missing;  /* names that should be there */
	uint64_t returned; /* names that were deleted */
};

/* Asks for everything. @lost: names that may be missing, or NULL. */
static struct answers ask(struct uds_index *index, const bool *lost, const char *place)
{
	struct answers answers = { 0 };

	for (uint64_t i = 0; i < image.names; i++) {
		struct uds_record_name name;
		struct uds_record_data data, wanted;
		bool found = false;
		int r;

		make_name(1, i, &name);
		make_data('d', i, 0, &wanted);
		r = uds_index_peek(index, &name, &data, &found);
		ck_assert_msg(r == 0 || r == UDS_ERR_CORRUPT || r == -EIO, "%s: %d", place, r);
		answers.failed += r < 0;
		answers.missing += r == 0 && image.there[i] && !found;
		answers.returned += found && is_deleted(i);
		if (found)
			ck_assert_msg(memcmp(&data, &wanted, sizeof(data)) == 0,
				      "%s: name %" PRIu64 " has other data", place, i);
		if (r == 0 && image.there[i] && !found && lost != NULL)
			ck_assert_msg(lost[i],
				      "%s: name %" PRIu64 " of chapter %" PRIu64
				      ", page %u is gone",
				      place, i, image.chapters[i], image.pages[i]);
		if (lost != NULL && lost[i])
			ck_assert_msg(!found, "%s: name %" PRIu64 " is there", place, i);
	}
	return answers;
}

static uint64_t verify(struct uds_io *io)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	uint64_t findings = 0;
	int r;

	memset(&words, 0, sizeof(words));
	options.env = &env;
	r = uds_index_verify(io, &options, take_sentence, NULL, &message, &findings);
	ck_assert_msg(r == 0, "%s", message.text);
	ck_assert_uint_eq(findings, words.count);
	return findings;
}

static int repair(struct uds_io *io, bool lose, bool refuse, struct uds_message *message,
		  uint64_t *ret_repaired)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	memset(&words, 0, sizeof(words));
	options.env = &env;
	options.lose_records = lose;
	options.check_nonce = true; /* 0; a config block is made with it */
	return uds_index_repair(io, &options, take_sentence, refuse ? &words : NULL, message,
				ret_repaired);
}

enum loses {
	NOTHING,
	ITS_PAGE,
	ITS_CHAPTER,
	THE_OPEN_CHAPTER,
	SINCE_FIRST_SAVE,
	SINCE_LAST_SAVE,
	THE_LAST_FLUSHED
};

struct damage_case {
	const char *name;
	struct index_damage damage;
	int opens;	     /* status of opening */
	bool fails_requests; /* some, with UDS_ERR_CORRUPT */
	bool makes_miss;     /* some names, before the repair */
	bool is_recovered;   /* deletions come back */
	enum loses loses;
	const char *finding; /* a part of what verify reports; NULL: nothing */
	bool needs_extras;
};

static const struct damage_case cases[] = {
	{ "super block",
	  { SUPER_BLOCK_REGIONS, 0, 0 },
	  UDS_ERR_CORRUPT,
	  false,
	  false,
	  false,
	  NOTHING,
	  "super block",
	  false },
	{ "config block",
	  { CONFIG_BLOCK, 0, 0 },
	  UDS_ERR_CORRUPT,
	  false,
	  false,
	  false,
	  NOTHING,
	  "config block",
	  false },
	{ "save header, latest",
	  { SAVE_HEADER, 0, 1 },
	  UDS_ERR_WOULD_LOSE_RECORDS,
	  false,
	  false,
	  true,
	  SINCE_FIRST_SAVE,
	  "save 1",
	  false },
	{ "save header, older",
	  { SAVE_HEADER, 0, 0 },
	  0,
	  false,
	  false,
	  false,
	  NOTHING,
	  "save 0",
	  false },
	{ "open chapter",
	  { OPEN_CHAPTER_HEAD, 0, 0 },
	  UDS_ERR_WOULD_LOSE_RECORDS,
	  false,
	  false,
	  true,
	  THE_OPEN_CHAPTER,
	  "open chapter",
	  false },
	{ "volume index head",
	  { VOLUME_INDEX_HEAD, 0, 0 },
	  0,
	  false,
	  false,
	  true,
	  NOTHING,
	  "volume index",
	  false },
	{ "volume index heads of lists",
	  { VOLUME_INDEX_HEADS, 0, 0 },
	  0,
	  false,
	  false,
	  true,
	  NOTHING,
	  "volume index",
	  false },
	{ "page map head",
	  { PAGE_MAP_HEAD, 0, 0 },
	  0,
	  false,
	  false,
	  true,
	  NOTHING,
	  "page map",
	  false },
	{ "page map", { PAGE_MAP_BODY, 0, 0 }, 0, false, false, true, NOTHING, "page map", false },
	{ "index page head",
	  { INDEX_PAGE_HEAD, 4, 1 },
	  0,
	  true,
	  false,
	  false,
	  NOTHING,
	  "chapter 4",
	  false },
	{ "index page lists",
	  { INDEX_PAGE_LISTS, 5, 0 },
	  0,
	  true,
	  false,
	  false,
	  NOTHING,
	  "chapter 5",
	  true },
	{ "record page, name",
	  { RECORD_PAGE_NAME, 4, 7 },
	  0,
	  true,
	  false,
	  false,
	  ITS_PAGE,
	  "record page 7",
	  true },
	{ "record page, data",
	  { RECORD_PAGE_DATA, 6, 3 },
	  0,
	  true,
	  false,
	  false,
	  ITS_PAGE,
	  "record page 3",
	  true },
	{ "record page",
	  { RECORD_PAGE, 7, 23 },
	  0,
	  true,
	  false,
	  false,
	  ITS_PAGE,
	  "record page 23",
	  true },
	{ "record page, no checksums",
	  { RECORD_PAGE, 5, 11 },
	  0,
	  false,
	  true,
	  false,
	  ITS_PAGE,
	  "record page 11",
	  false },
	{ "chapter", { CHAPTER, 5, 0 }, 0, true, false, false, ITS_CHAPTER, "chapter 5", false },
	{ "newest chapter",
	  { CHAPTER, WRITTEN - 1, 0 },
	  0,
	  true,
	  false,
	  false,
	  ITS_CHAPTER,
	  "chapter 7",
	  false },
	{ "extras, one header",
	  { EXTRAS_HEADER, 0, 0 },
	  0,
	  false,
	  false,
	  false,
	  NOTHING,
	  NULL,
	  true },
	{ "extras, headers",
	  { EXTRAS_HEADERS, 0, 0 },
	  0,
	  false,
	  false,
	  false,
	  NOTHING,
	  "extras: ",
	  true },
	{ "extras, checksums",
	  { EXTRAS_CHECKSUMS, 5, 0 },
	  0,
	  false,
	  false,
	  false,
	  NOTHING,
	  NULL,
	  true },
	{ "extras, copies",
	  { EXTRAS_SAVE_COPIES, 0, 0 },
	  0,
	  false,
	  false,
	  false,
	  NOTHING,
	  NULL,
	  true },
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static bool *lost_names(const struct damage_case *c)
{
	bool *lost = calloc(image.names, 1);

	ck_assert_ptr_nonnull(lost);
	for (uint64_t i = 0; i < image.names; i++) {
		bool here = image.chapters[i] == c->damage.vcn && image.there[i];

		lost[i] = c->loses == THE_OPEN_CHAPTER	 ? i >= image.names - OPEN_RECORDS
			  : c->loses == SINCE_FIRST_SAVE ? i >= image.names - SINCE_SAVE
			  : c->loses == SINCE_LAST_SAVE	 ? i >= image.names - (uint64_t)2 * FLUSHED
			  : c->loses == THE_LAST_FLUSHED ? i >= image.names - (uint64_t)FLUSHED
			  : c->loses == ITS_CHAPTER	 ? here
							 : here && c->loses == ITS_PAGE &&
							      image.pages[i] == c->damage.number;
	}
	return lost;
}

static uint64_t count(const bool *set)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < image.names; i++)
		count += set[i];
	return count;
}

static struct uds_io *damaged_io(const struct damage_case *c)
{
	uint8_t *bytes = malloc(image.shape.bytes);
	struct uds_io *io;

	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, image.bytes, image.shape.bytes);
	index_damage_apply(&image.layout, &c->damage, bytes, image.shape.bytes);
	io = bytes_io(bytes, image.shape.bytes);
	free(bytes);
	return io;
}

/* The index as it is found: it opens, and only those requests fail that need what is damaged. */
static void use_damaged(const struct damage_case *c, struct uds_io *io, const bool *lost)
{
	struct uds_index_statistics statistics = UDS_INDEX_STATISTICS_INIT;
	struct uds_message message = { "" };
	struct uds_index *index = NULL;
	struct answers answers, again;
	uint64_t damaged_reads;
	int r;

	memset(&words, 0, sizeof(words));
	r = small_index_open(io, &env, 1, UDS_INDEX_LOAD_OR_RECOVER, &message, &index);
	ck_assert_msg(r == c->opens, "%s: %d %s", c->name, r, message.text);
	if (r < 0) {
		ck_assert_str_ne(message.text, "");
		return;
	}
	/*
	 * The journal's deletions have looked for their names, and what they met was logged then.
	 */
	ck_assert_int_eq(uds_index_get_statistics(index, &statistics), 0);
	ck_assert(statistics.damaged_reads == 0 || image.kind == WITH_JOURNAL);
	damaged_reads = statistics.damaged_reads;
	if (damaged_reads == 0)
		words.errors = 0;
	answers = ask(index, NULL, c->name);
	ck_assert_msg((answers.failed > 0) == c->fails_requests, "%s: %" PRIu64 " requests failed",
		      c->name, answers.failed);
	ck_assert_msg((answers.missing > 0) == c->makes_miss, "%s: %" PRIu64 " names are gone",
		      c->name, answers.missing);
	ck_assert_msg((answers.returned > 0) == c->is_recovered, "%s: %" PRIu64 " names are back",
		      c->name, answers.returned);
	/*
	 * Those of the structure: a chapter's names, or the share of a page, and names that
	 * share an address.
	 */
	if (c->loses != NOTHING)
		ck_assert_msg(answers.failed + answers.missing <= count(lost) + 30,
			      "%s: %" PRIu64 " requests failed", c->name, answers.failed);
	ck_assert_int_eq(uds_index_get_statistics(index, &statistics), 0);
	ck_assert_uint_eq(statistics.damaged_reads, damaged_reads + answers.failed);
	ck_assert_msg(words.errors <= image.layout.geometry.pages_per_chapter,
		      "%s: %u errors in the log", c->name, words.errors);
	ck_assert((words.errors > 0) == (answers.failed > 0));
	/* Logged once for each page. */
	words.errors = 0;
	again = ask(index, NULL, c->name);
	ck_assert_uint_eq(again.failed, answers.failed);
	ck_assert_uint_eq(words.errors, 0);
	ck_assert_int_eq(uds_index_close(index), 0);
}

static void check_repaired(const struct damage_case *c, struct uds_io *io, const bool *lost)
{
	struct uds_message message = { "" };
	struct uds_index *index;
	struct answers answers;
	uint64_t repaired = 7;

	ck_assert_msg(verify(io) == 0, "%s: %s", c->name, words.text);
	/* A second time there is nothing to do. */
	ck_assert_int_eq(repair(io, false, false, &message, &repaired), 0);
	ck_assert_uint_eq(repaired, 0);
	index = open_on(io);
	answers = ask(index, lost, c->name);
	ck_assert_msg(answers.failed == 0, "%s: %" PRIu64 " requests fail", c->name,
		      answers.failed);
	ck_assert_uint_eq(answers.missing, count(lost));
	if (!c->is_recovered)
		ck_assert_uint_eq(answers.returned, 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	/* What is there is there also when nothing but the chapters tells it. */
	ck_assert_int_eq(small_index_open(io, &env, 2, UDS_INDEX_RECOVER, &message, &index), 0);
	answers = ask(index, NULL, c->name);
	ck_assert_uint_eq(answers.failed, 0);
	ck_assert_msg(answers.missing <= count(lost) + OPEN_RECORDS,
		      "%s: %" PRIu64 " names are gone", c->name, answers.missing);
	ck_assert_int_eq(uds_index_close(index), 0);
}

static bool same_bytes(struct uds_io *a, struct uds_io *b)
{
	uint8_t *one = malloc(image.shape.bytes), *other = malloc(image.shape.bytes);
	bool same;

	ck_assert_int_eq(uds_io_read(a, one, image.shape.bytes, 0), 0);
	ck_assert_int_eq(uds_io_read(b, other, image.shape.bytes, 0), 0);
	same = memcmp(one, other, image.shape.bytes) == 0;
	free(one);
	free(other);
	return same;
}

static void one_case(const struct damage_case *c)
{
	const bool lose = c->loses != NOTHING || c->opens == UDS_ERR_WOULD_LOSE_RECORDS;
	const bool extras = image.kind == WITH_EXTRAS || image.kind == WITH_JOURNAL;
	struct uds_message message = { "" };
	struct uds_io *io, *before;
	uint64_t repaired = 0;
	bool *lost;

	if (c->needs_extras && !extras)
		return;
	if (extras && strstr(c->name, "no checksums") != NULL)
		return;
	io = damaged_io(c);
	before = damaged_io(c);
	lost = lost_names(c);
	use_damaged(c, io, lost);
	ck_assert((verify(io) > 0) == (c->finding != NULL));
	if (c->finding != NULL)
		ck_assert_msg(strstr(words.text, c->finding) != NULL, "%s: %s", c->name,
			      words.text);
	/* Nothing is written before everything was told, and not against the caller's will. */
	if (c->finding != NULL) {
		ck_assert_int_eq(repair(io, true, true, &message, NULL), UDS_ERR_STOPPED);
		ck_assert_uint_eq(words.count, 1);
	}
	if (lose) {
		ck_assert_int_eq(repair(io, false, false, &message, NULL),
				 UDS_ERR_WOULD_LOSE_RECORDS);
		ck_assert_str_ne(message.text, "");
	}
	ck_assert(same_bytes(io, before));
	ck_assert_msg(repair(io, lose, false, &message, &repaired) == 0, "%s: %s", c->name,
		      message.text);
	ck_assert((repaired > 0) == (c->finding != NULL));
	ck_assert_uint_ge(words.count, repaired);
	if (c->finding != NULL)
		ck_assert_msg(strstr(words.text, c->finding) != NULL, "%s: %s", c->name,
			      words.text);
	if (c->loses == ITS_PAGE || c->loses == ITS_CHAPTER)
		ck_assert_msg(strstr(words.text, "lost") != NULL, "%s", words.text);
	check_repaired(c, io, lost);
	free(lost);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(before), 0);
}

START_TEST(damage_is_confined_and_a_repair_mends_it)
{
	make_image(_i == 0 ? WITH_EXTRAS : WITHOUT_EXTRAS);
	for (size_t i = (size_t)_i % test_step(); i < CASES; i += test_step())
		one_case(&cases[i]);
	free_image();
}
END_TEST

/* What follows the last save is in the journal, and nowhere else. */
static const struct damage_case journal_cases[] = {
	{ "journal, first block of its chain",
	  { EXTRAS_JOURNAL, 0, 1 },
	  UDS_ERR_WOULD_LOSE_RECORDS,
	  false,
	  false,
	  true,
	  SINCE_LAST_SAVE,
	  "journal",
	  true },
	{ "journal, block of a flush that another followed",
	  { EXTRAS_JOURNAL, 0, 2 },
	  UDS_ERR_WOULD_LOSE_RECORDS,
	  false,
	  false,
	  true,
	  THE_LAST_FLUSHED,
	  "journal",
	  true },
	{ "journal, last flush: as a power cut leaves it",
	  { EXTRAS_JOURNAL, 0, 3 },
	  0,
	  false,
	  false,
	  true,
	  NOTHING,
	  NULL,
	  true },
	{ "journal, a block that was never written",
	  { EXTRAS_JOURNAL, 0, 4 },
	  0,
	  false,
	  false,
	  false,
	  NOTHING,
	  NULL,
	  true },
	{ "headers",
	  { EXTRAS_HEADERS, 0, 0 },
	  0,
	  false,
	  true,
	  true,
	  SINCE_LAST_SAVE,
	  "extras: ",
	  true },
	{ "header 0", { EXTRAS_HEADER, 0, 0 }, 0, false, false, false, NOTHING, NULL, true },
	{ "header 1", { EXTRAS_HEADER, 0, 1 }, 0, false, false, false, NOTHING, NULL, true },
	{ "checksums", { EXTRAS_CHECKSUMS, 7, 0 }, 0, false, false, false, NOTHING, NULL, true },
	{ "copies", { EXTRAS_SAVE_COPIES, 0, 0 }, 0, false, false, false, NOTHING, NULL, true },
};

START_TEST(damage_beside_a_journal_is_confined)
{
	make_image(WITH_JOURNAL);
	for (size_t i = 0; i < sizeof(journal_cases) / sizeof(journal_cases[0]); i += test_step())
		one_case(&journal_cases[i]);
	for (size_t i = 2 % test_step(); i < CASES; i += test_step()) {
		struct damage_case c = cases[i];

		/*
		 * All records of the open chapter are in the journal, too; the deletions
		 * before it are not.
		 */
		if (c.loses == SINCE_FIRST_SAVE || c.loses == THE_OPEN_CHAPTER)
			c.loses = NOTHING;
		if (c.damage.structure != EXTRAS_HEADERS)
			one_case(&c);
	}
	free_image();
}
END_TEST

START_TEST(damage_of_a_converted_volume_is_confined)
{
	unsigned int latest;

	make_image(CONVERTED);
	latest = saves_find_latest(&image.layout.saves)->save.slot;
	for (size_t i = 3 % test_step(); i < CASES; i += test_step()) {
		struct damage_case c = cases[i];

		/* Its last save was made by the conversion, of what the one before has. */
		if (c.loses == SINCE_FIRST_SAVE) {
			c.opens = 0;
			c.loses = NOTHING;
		}
		if (c.damage.structure == SAVE_HEADER && latest == 0) {
			c.damage.number = 1 - c.damage.number;
			c.finding = c.damage.number == 0 ? "save 0" : "save 1";
		}
		one_case(&c);
	}
	free_image();
}
END_TEST

/* There is no room for others then, and the headers must not be found again. */
START_TEST(what_is_left_of_extras_that_were_cut_off_is_wiped_by_a_repair)
{
	enum { LEFT = 3 * BLOCK_BYTES };
	static const uint8_t zeroes[LEFT];
	static uint8_t left[LEFT];
	struct uds_message message = { "" };
	uint64_t repaired = 0, start;
	struct uds_io *io;

	make_image(WITH_EXTRAS);
	start = image.layout.extras.start;
	io = bytes_io(image.bytes, start + LEFT);
	ck_assert_uint_eq(verify(io), 1);
	ck_assert_msg(strstr(words.text, "extras: cut off") != NULL, "%s", words.text);
	ck_assert_msg(repair(io, false, false, &message, &repaired) == 0, "%s", message.text);
	ck_assert_uint_eq(repaired, 1);
	ck_assert_int_eq(uds_io_read(io, left, LEFT, start), 0);
	ck_assert_mem_eq(left, zeroes, LEFT);
	ck_assert_uint_eq(verify(io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_image();
}
END_TEST

START_TEST(a_good_index_is_left_alone)
{
	struct uds_message message;
	struct uds_io *io, *before;
	uint64_t repaired = 7;

	make_image(_i == 0 ? WITH_EXTRAS : WITHOUT_EXTRAS);
	io = bytes_io(image.bytes, image.shape.bytes);
	before = bytes_io(image.bytes, image.shape.bytes);
	ck_assert_uint_eq(verify(io), 0);
	ck_assert_int_eq(repair(io, true, false, &message, &repaired), 0);
	ck_assert_uint_eq(repaired, 0);
	ck_assert_uint_eq(words.count, 0);
	ck_assert(same_bytes(io, before));
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(before), 0);
	free_image();
}
END_TEST

/* Sectors that the device cannot read until they are written. */
START_TEST(a_page_that_cannot_be_read_is_a_damaged_one)
{
	const struct damage_case c = { "unreadable", { RECORD_PAGE, 5, 9 }, 0,	 true, false, false,
				       ITS_PAGE,     "chapter 5",	    true };
	struct uds_message message;
	struct fault_plan plan;
	uint64_t offset, length, repaired;
	struct answers answers;
	struct uds_index *index;
	struct uds_io *io;
	bool *lost;

	make_image(WITH_EXTRAS);
	lost = lost_names(&c);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, bytes_io(image.bytes, image.shape.bytes), NULL, &io),
			 0);
	index_damage_place(&image.layout, &c.damage, &offset, &length);
	fault_plan_spoil(&plan, FAULT_READ, offset, length);
	index = open_on(io);
	answers = ask(index, NULL, c.name);
	ck_assert_uint_ge(answers.failed, count(lost));
	ck_assert_uint_le(answers.failed, count(lost) + 30);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_uint_gt(verify(io), 0);
	ck_assert_int_eq(repair(io, true, false, &message, &repaired), 0);
	ck_assert_uint_eq(repaired, 1);
	fault_plan_spoil(&plan, FAULT_READ, 0, 0);
	check_repaired(&c, io, lost);
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
	free(lost);
	free_image();
}
END_TEST

/* The header may be readable the next time, and only that save may have the open chapter. */
START_TEST(a_save_that_cannot_be_read_is_not_given_up_without_being_asked)
{
	struct uds_message message;
	struct uds_io *io, *before;
	struct fault_plan plan;
	unsigned int latest;

	make_image(_i == 0 ? WITH_EXTRAS : WITHOUT_EXTRAS);
	latest = saves_find_latest(&image.layout.saves)->save.slot;
	before = bytes_io(image.bytes, image.shape.bytes);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, bytes_io(image.bytes, image.shape.bytes), NULL, &io),
			 0);
	fault_plan_spoil(&plan, FAULT_READ,
			 super_block_save_at(&image.layout.super, latest) * BLOCK_BYTES,
			 BLOCK_BYTES);
	ck_assert_int_eq(repair(io, false, false, &message, NULL), UDS_ERR_WOULD_LOSE_RECORDS);
	ck_assert_msg(strstr(words.text, "what only save") != NULL, "%s", words.text);
	fault_plan_spoil(&plan, FAULT_READ, 0, 0);
	ck_assert(same_bytes(io, before));
	fault_plan_spoil(&plan, FAULT_READ,
			 super_block_save_at(&image.layout.super, latest) * BLOCK_BYTES,
			 BLOCK_BYTES);
	ck_assert_int_eq(repair(io, true, false, &message, NULL), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(before), 0);
	fault_plan_end(&plan);
	free_image();
}
END_TEST

/*
 * Two pages, a chapter's index, a save and the extras at once, and a power cut at any write
 * of the repair.
 */
START_TEST(a_repair_that_is_interrupted_can_be_done_again)
{
	const struct index_damage damages[] = {
		{ RECORD_PAGE, 4, 5 }, { RECORD_PAGE_DATA, 4, 8 }, { INDEX_PAGE_HEAD, 6, 0 },
		{ RECORD_PAGE, 7, 0 }, { SAVE_HEADER, 0, 0 },
	};
	/* Odd: writes and flushes are in turns. */
	const uint64_t step = test_step_to(10) | 1;
	struct uds_crash_log *log, *after;
	struct uds_message message;
	unsigned int states = 0;
	struct crash_cuts cuts;
	struct uds_io *io;
	bool *lost;

	make_image(_i == 0 ? WITH_EXTRAS : WITHOUT_EXTRAS);
	lost = calloc(image.names, 1);
	for (uint64_t i = 0; i < image.names; i++)
		lost[i] = image.there[i] &&
			  ((image.chapters[i] == 4 &&
			    (image.pages[i] == 5 || (image.pages[i] == 8 && _i == 0))) ||
			   (image.chapters[i] == 7 && image.pages[i] == 0));
	/* Without checksums, changed data are not known to be damaged. */
	for (size_t i = 0; i < 5; i++) {
		if (_i == 0 || damages[i].structure != RECORD_PAGE_DATA)
			index_damage_apply(&image.layout, &damages[i], image.bytes,
					   image.shape.bytes);
	}
	log = crash_log();
	crash_add(log, image.bytes, image.shape.bytes, 4096);
	io = crash_open(log, 0);
	ck_assert_int_eq(repair(io, true, false, &message, NULL), 0);
	ck_assert_uint_eq(verify(io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	crash_start(&cuts, log, 3);
	cuts.options.step = step;
	cuts.options.first = (uint64_t)_i * 3 % step;
	cuts.options.variants =
		1u << UDS_CRASH_DROP | 1u << UDS_CRASH_TORN | 1u << UDS_CRASH_SECTORS;
	while ((after = crash_next(&cuts)) != NULL) {
		struct uds_index *index;
		struct answers answers;

		io = crash_open(after, 0);
		ck_assert_msg(repair(io, true, false, &message, NULL) == 0, "%s: %s",
			      cuts.state.text, message.text);
		ck_assert_msg(verify(io) == 0, "%s: %s", cuts.state.text, words.text);
		index = open_on(io);
		answers = ask(index, lost, cuts.state.text);
		ck_assert_uint_eq(answers.failed, 0);
		ck_assert_uint_eq(answers.missing, count(lost));
		ck_assert_uint_eq(answers.returned, 0);
		ck_assert_int_eq(uds_index_close(index), 0);
		ck_assert_int_eq(uds_io_close(io), 0);
		uds_crash_log_free(after);
		states++;
	}
	/* A part of them may be one less than its share. */
	ck_assert_uint_gt((states + (step > 1)) * step, 20);
	uds_crash_log_free(log);
	free(lost);
	free_image();
}
END_TEST

/* Each read, write and flush of a repair fails once; then it is done again. */
START_TEST(a_repair_that_fails_can_be_done_again)
{
	const struct damage_case c = { "failing", { RECORD_PAGE, 5, 9 }, 0,   true, false, false,
				       ITS_PAGE,  "chapter 5",		 true };
	struct uds_message message;
	struct fault_plan plan;
	struct uds_io *io;
	uint64_t nth = 1;
	bool failed = true;
	bool *lost;

	make_image(WITH_EXTRAS);
	lost = lost_names(&c);
	for (; failed; nth = test_next(nth, 0)) {
		int r;

		fault_plan_start(&plan);
		ck_assert_int_eq(fault_io_open(&plan, damaged_io(&c), NULL, &io), 0);
		fault_plan_fail(&plan, FAULT_WRITE | FAULT_FLUSH, nth, -EIO, false);
		r = repair(io, true, false, &message, NULL);
		failed = plan.failed > 0;
		ck_assert_msg(r == 0 || (r == -EIO && failed && message.text[0] != '\0'), "%d %s",
			      r, message.text);
		if (r == -EIO)
			ck_assert_int_eq(repair(io, true, false, &message, NULL), 0);
		check_repaired(&c, io, lost);
		ck_assert_int_eq(uds_io_close(io), 0);
		fault_plan_end(&plan);
	}
	ck_assert_uint_gt(nth, 10);
	free(lost);
	free_image();
}
END_TEST

/* The smallest index, a sparse one or not, with a damaged chapter, and its layout. */
static struct uds_io *small_damaged(bool sparse, unsigned int zones, struct layout *ret_layout)
{
	const struct index_damage damages[] = { { RECORD_PAGE, 4, 1 }, { INDEX_PAGE_HEAD, 5, 0 } };
	struct uds_message message;
	struct small_shape shape;
	struct uds_index *index;
	struct uds_io *io;

	small_index_shape(2, CHAPTERS, &shape);
	if (sparse) {
		shape.configuration.sparse_chapters_per_volume = 3;
		shape.configuration.sparse_sample_rate = 4;
	}
	small_index_add_extras(&shape);
	ck_assert_int_eq(uds_io_open_memory(0, 4096, NULL, NULL, &io), 0);
	ck_assert_int_eq(small_index_create(&shape, io, &env, &message), 0);
	ck_assert_int_eq(small_index_open(io, &env, zones, UDS_INDEX_LOAD, &message, &index), 0);
	for (uint64_t i = 0; small_index_open_chapter(index, NULL) < WRITTEN; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(1, i, &name);
		make_data('d', i, 0, &data);
		ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(layout_read(io, 0, &message, ret_layout), 0);
	for (size_t i = 0; i < 2; i++) {
		uint64_t offset, length;
		uint8_t block[4096];

		index_damage_place(ret_layout, &damages[i], &offset, &length);
		memset(block, 0xa5, sizeof(block));
		ck_assert_int_eq(uds_io_write(io, block, sizeof(block), offset), 0);
	}
	return io;
}

START_TEST(sparse_indexes_and_those_of_several_zones_are_repaired)
{
	struct uds_message message;
	struct uds_index *index;
	struct layout layout;
	uint64_t findings;
	struct uds_io *io;

	memset(&image, 0, sizeof(image));
	env = (struct uds_env)UDS_ENV_INIT;
	io = small_damaged(_i % 2 == 1, 1 + (unsigned int)_i, &layout);
	ck_assert_uint_gt(verify(io), 0);
	ck_assert_int_eq(repair(io, true, false, &message, &findings), 0);
	ck_assert_uint_eq(findings, 2);
	ck_assert_msg(verify(io) == 0, "%s", words.text);
	index = open_on(io);
	for (uint64_t i = 0; i < WRITTEN * 256; i++) {
		struct uds_record_name name;
		struct uds_record_data data, wanted;
		bool found = false;

		make_name(1, i, &name);
		make_data('d', i, 0, &wanted);
		ck_assert_int_eq(uds_index_query(index, &name, &data, &found), 0);
		if (found)
			ck_assert_mem_eq(&data, &wanted, sizeof(data));
	}
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

static uint64_t stop_at;

static int count_down(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	ck_assert_uint_le(done, total);
	return stop_at-- == 0;
}

/* While it looks, nothing is written; while it mends, it can be done again. */
START_TEST(a_repair_can_be_stopped_at_each_chapter)
{
	const uint64_t chapters = WRITTEN - OLDEST;

	env = (struct uds_env)UDS_ENV_INIT;
	env.now_ms = tick;
	for (uint64_t at = 0; at < chapters + 2; at++) {
		struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
		struct uds_message message = { "" };
		struct uds_io *io, *before;
		struct layout layout;

		now = 0;
		io = small_damaged(false, 1, &layout);
		now = 0;
		before = small_damaged(false, 1, &layout);
		ck_assert_int_eq(uds_io_size(io, &image.shape.bytes), 0);
		options.lose_records = true;
		options.progress = count_down;
		stop_at = at;
		ck_assert_int_eq(uds_index_repair(io, &options, NULL, NULL, &message, NULL),
				 UDS_ERR_STOPPED);
		ck_assert_str_ne(message.text, "");
		ck_assert_msg(at > chapters || same_bytes(io, before), "stopped at %" PRIu64, at);
		ck_assert_int_eq(repair(io, true, false, &message, NULL), 0);
		ck_assert_msg(verify(io) == 0, "%s", words.text);
		ck_assert_int_eq(uds_io_close(io), 0);
		ck_assert_int_eq(uds_io_close(before), 0);
	}
}
END_TEST

static int repair_copy(const struct uds_env *given, void *context)
{
	const struct image *small = context;
	struct uds_io *io = bytes_io(small->bytes, small->shape.bytes);
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.env = given;
	options.lose_records = true;
	r = uds_index_repair(io, &options, NULL, NULL, &message, NULL);
	ck_assert(r == 0 || message.text[0] != '\0');
	/* It can be done again, whatever is there by now. */
	if (r < 0)
		ck_assert_int_eq(repair(io, true, false, &message, NULL), 0);
	ck_assert_msg(verify(io) == 0, "%s", words.text);
	ck_assert_int_eq(uds_io_close(io), 0);
	return r;
}

START_TEST(each_allocation_of_a_repair_may_fail)
{
	struct image small = { .bytes = NULL };
	struct layout layout;
	struct uds_io *io;

	env = (struct uds_env)UDS_ENV_INIT;
	io = small_damaged(false, 1, &layout);
	ck_assert_int_eq(uds_io_size(io, &small.shape.bytes), 0);
	small.bytes = malloc(small.shape.bytes);
	ck_assert_ptr_nonnull(small.bytes);
	ck_assert_int_eq(uds_io_read(io, small.bytes, small.shape.bytes, 0), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* Without memory to copy the save headers, for example, the save is good all the same. */
	ck_assert_uint_gt(torture_each_allocation(repair_copy, &small, true), 30);
	free(small.bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_damage");
	TCase *tcase = tcase_create("index_damage");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, damage_is_confined_and_a_repair_mends_it, 0, 2);
	tcase_add_test(tcase, damage_beside_a_journal_is_confined);
	tcase_add_test(tcase, damage_of_a_converted_volume_is_confined);
	tcase_add_test(tcase, what_is_left_of_extras_that_were_cut_off_is_wiped_by_a_repair);
	tcase_add_loop_test(tcase, a_good_index_is_left_alone, 0, 2);
	tcase_add_test(tcase, a_page_that_cannot_be_read_is_a_damaged_one);
	tcase_add_loop_test(tcase, a_save_that_cannot_be_read_is_not_given_up_without_being_asked,
			    0, 2);
	tcase_add_loop_test(tcase, a_repair_that_is_interrupted_can_be_done_again, 0, 2);
	tcase_add_test(tcase, a_repair_that_fails_can_be_done_again);
	tcase_add_loop_test(tcase, sparse_indexes_and_those_of_several_zones_are_repaired, 0, 4);
	tcase_add_test(tcase, a_repair_can_be_stopped_at_each_chapter);
	tcase_add_test(tcase, each_allocation_of_a_repair_may_fail);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
