/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The blocks of the extras area, field by field: each number that no writer makes is refused
 * although the block's checksum is right, and of the journal's blocks only a whole chain counts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32.h"
#include "check_main.h"
#include "extras/area.h"
#include "extras/checksums.h"
#include "extras/journal.h"
#include "fault_io.h"
#include "torture_env.h"
#include "volume/page_check.h"

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define ID		UINT64_C(0x1d)
#define NONCE		UINT64_C(0x90ce)
#define SLOTS		4u

static struct geometry geometry;
static struct extras_area area;
static uint8_t block[BLOCK_BYTES];

/* Chapters of more than 4 MB have two checksum blocks each. */
static void make_area(uint32_t record_pages)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = record_pages;
	c.chapters_per_volume = SLOTS;
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	extras_make(&geometry, 0, NONCE, ID, &area);
}

static void put_field(size_t at, unsigned int bytes, uint64_t value)
{
	for (unsigned int i = 0; i < bytes; i++)
		block[at + i] = (uint8_t)(value >> (8 * i));
}

/* ---- headers ---- */

static const struct {
	size_t at;
	unsigned int bytes;
	int status;
	const char *says;
} header_fields[] = {
	{ 0, 1, UDS_ERR_CORRUPT, "no magic number" },
	{ 8, 4, UDS_ERR_UNSUPPORTED_VERSION, "version: expected 1, found 99" },
	{ 40, 8, UDS_ERR_CORRUPT, "blocks: expected " },
	{ 48, 8, UDS_ERR_CORRUPT, "copies of save headers: expected 2, found 99" },
	{ 56, 8, UDS_ERR_CORRUPT, "checksums: expected 4, found 99" },
	{ 64, 4, UDS_ERR_CORRUPT, "journal: expected " },
	{ 68, 4, UDS_ERR_CORRUPT, "journal: expected " },
	{ 72, 8, UDS_ERR_CORRUPT, "journal: expected " },
	{ 80, 8, UDS_ERR_CORRUPT, "blocks: expected " },
};

START_TEST(each_place_in_a_header_is_checked)
{
	struct uds_message message = { "" };
	struct extras_area read;

	make_area(4);
	extras_encode_header(&area, block);
	put_field(header_fields[_i].at, header_fields[_i].bytes, 99);
	put_le32(block + 508, crc32_add(0, block, 508));
	ck_assert_int_eq(extras_decode_header(block, &read, &message), header_fields[_i].status);
	ck_assert_msg(strstr(message.text, header_fields[_i].says) != NULL, "%s", message.text);
}
END_TEST

START_TEST(a_generation_can_be_counted_on)
{
	static const uint64_t generations[] = { UINT64_MAX, UINT64_C(1) << 62,
						(UINT64_C(1) << 62) - 1 };
	struct uds_message message = { "" };
	struct extras_area read;
	int r;

	make_area(4);
	area.generation = generations[_i];
	extras_encode_header(&area, block);
	r = extras_decode_header(block, &read, &message);
	ck_assert_int_eq(r, _i < 2 ? UDS_ERR_CORRUPT : 0);
	if (_i < 2)
		ck_assert_msg(strstr(message.text, "generation: expected less than 461168601842738"
						   "7904, found ") != NULL,
			      "%s", message.text);
}
END_TEST

/* An area that is right in itself, of an index of another shape. */
static const struct {
	uint32_t slots, parts;
	uint64_t journal_blocks, missing;
	const char *says; /* "": it counts */
} shapes[] = {
	{ 0, 0, 0, 0, "" },
	{ 1, 0, 0, 0, "slots and checksum blocks for each: expected 4 and 1, found 5 and 1" },
	{ 0, 1, 0, 0, "slots and checksum blocks for each: expected 4 and 1, found 4 and 2" },
	{ 0, 0, 1, 0, "header: blocks of the journal: expected " },
	{ 0, 0, 0, 1, "cut off: expected " },
};

START_TEST(an_area_of_another_shape_does_not_count)
{
	struct extras_area other, found;
	struct uds_io *io;

	make_area(4);
	other = area;
	other.generation = 1;
	other.slots += shapes[_i].slots;
	other.parts += shapes[_i].parts;
	other.journal_blocks += shapes[_i].journal_blocks;
	other.journal = 4 + (uint64_t)other.slots * other.parts;
	other.blocks = other.journal + other.journal_blocks;
	extras_encode_header(&other, block);
	ck_assert_int_eq(uds_io_open_memory(other.blocks * BLOCK_BYTES, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_write(io, block, sizeof(block), 0), 0);
	extras_read(io, &geometry, 0, (other.blocks - shapes[_i].missing) * BLOCK_BYTES, NONCE,
		    block, &found);
	ck_assert_int_eq(found.present, shapes[_i].says[0] == '\0');
	ck_assert_msg(strstr(found.why.text, shapes[_i].says) != NULL, "%s", found.why.text);
	/* No room for two headers, or none at all: as without an area. */
	extras_read(io, &geometry, 0, BLOCK_BYTES, NONCE, block, &found);
	ck_assert(!found.present && found.why.text[0] == '\0');
	extras_read(io, &geometry, BLOCK_BYTES, 0, NONCE, block, &found);
	ck_assert(!found.present && found.why.text[0] == '\0');
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(an_intent_ends_once)
{
	make_area(4);
	area.intent = (struct extras_intent){ .slot = 1, .checksum = 5, .journal = 6 };
	ck_assert(extras_know_save(&area, 1, 5) && !extras_know_save(&area, 1, 7));
	extras_end_intent(&area);
	ck_assert_uint_eq(area.save_checksums[1], 5);
	ck_assert_uint_eq(area.save_journal[1], 6);
	area.save_checksums[1] = 8;
	extras_end_intent(&area);
	ck_assert_uint_eq(area.save_checksums[1], 8);
}
END_TEST

/* ---- checksum blocks ---- */

static const struct {
	uint32_t part;
	size_t at;
	unsigned int bytes;
} checksum_fields[] = {
	{ 0, 0, 1 },		      /* magic number */
	{ 0, 8, 4 },		      /* version */
	{ 0, 12, 4 },		      /* part */
	{ 1, 12, 4 },	{ 0, 16, 8 }, /* id of the area */
	{ 0, 32, 4 },		      /* slot */
	{ 0, 36, 4 },		      /* count */
	{ 1, 36, 4 },	{ 1, 24, 8 }, /* chapter: the parts are of two */
	{ 1, 4092, 4 },		      /* the block's own checksum, which comes last */
};

static struct checksums *read_checksums(struct uds_io *io)
{
	struct checksums *c;
	uint32_t unreadable;

	ck_assert_int_eq(checksums_make(guarded_env(), io, &geometry, &area, &c), 0);
	ck_assert_int_eq(checksums_read(c, &unreadable, NULL), 0);
	ck_assert_uint_eq(unreadable, 0);
	return c;
}

START_TEST(each_field_of_a_checksum_block_is_checked)
{
	uint64_t chapter_bytes, offset;
	struct checksums *c;
	struct uds_io *io;
	uint8_t *pages;

	make_area(1024);
	ck_assert_uint_eq(area.parts, 2);
	chapter_bytes = (uint64_t)geometry_chapter_blocks(&geometry) * BLOCK_BYTES;
	pages = calloc(1, chapter_bytes);
	ck_assert_ptr_nonnull(pages);
	ck_assert_int_eq(uds_io_open_memory(area.blocks * BLOCK_BYTES, 1, NULL, NULL, &io), 0);
	c = read_checksums(io);
	ck_assert(!checksums_know(NULL, 1, 9) && !checksums_know(c, 1, NO_CHAPTER));
	checksums_set(c, 1, 9, pages);
	checksums_set(c, 1, 9, pages);
	ck_assert_int_eq(checksums_write(c, NULL), 0);
	ck_assert(checksums_know(c, 1, 9) && !checksums_are_of_another(c, 1, 9));
	ck_assert(!checksums_are_of_another(c, 1, 8));
	checksums_set(c, 1, 9, pages);
	ck_assert(checksums_are_of_another(c, 1, 9));
	checksums_forget(c, 1);
	ck_assert(checksums_are_of_another(c, 1, 9));
	checksums_free(c);
	c = read_checksums(io);
	ck_assert(checksums_know(c, 1, 9));
	checksums_free(c);
	for (int i = 0; i < COUNT_OF(checksum_fields); i++) {
		uint8_t before[BLOCK_BYTES];

		offset = extras_checksum_offset(&area, 1, checksum_fields[i].part);
		ck_assert_int_eq(uds_io_read(io, before, sizeof(before), offset), 0);
		memcpy(block, before, sizeof(block));
		put_field(checksum_fields[i].at, checksum_fields[i].bytes, 99);
		if (checksum_fields[i].at < 4092)
			put_le32(block + 4092, crc32_add(0, block, 4092));
		ck_assert_int_eq(uds_io_write(io, block, sizeof(block), offset), 0);
		c = read_checksums(io);
		ck_assert_msg(!checksums_know(c, 1, 9) && !checksums_know(c, 1, 99), "row %d", i);
		checksums_free(c);
		ck_assert_int_eq(uds_io_write(io, before, sizeof(before), offset), 0);
	}
	free(pages);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* ---- blocks of the journal ---- */

#define PLACES 300u /* more than are read at a time */
#define NUMBER (PLACES + 7)

/* A flush of one block whose chain begins two blocks earlier. */
static struct journal_head usual_head(uint64_t number)
{
	return (struct journal_head){ .number = number,
				      .tail = number - 2,
				      .end = number + 1,
				      .durable = number,
				      .chapter = 3,
				      .count = 1 };
}

static void make_block(const struct journal_head *head)
{
	struct journal_entry entry = { .kind = JOURNAL_STORE };

	memset(block, 0, sizeof(block));
	for (uint32_t i = 0; i < head->count && i < JOURNAL_BLOCK_ENTRIES; i++)
		journal_put_entry(block, i, &entry);
	journal_end_block(&area, head, block);
}

static void make_journal_area(void)
{
	make_area(4);
	area.journal_blocks = PLACES;
	area.blocks = area.journal + PLACES;
}

static const struct {
	size_t at;
	unsigned int bytes;
	uint64_t value;
	bool good;
} journal_fields[] = {
	{ 0, 1, 'u', false },			     /* magic number */
	{ 8, 4, 2, false },			     /* version */
	{ 12, 4, JOURNAL_BLOCK_ENTRIES + 1, false }, /* count */
	{ 12, 4, 2, false },			     /* an entry of no kind */
	{ 12, 4, 0, true },
	{ 16, 8, ID + 1, false }, /* of another area */
	{ 24, 8, 0, false },	  /* number */
	{ 24, 8, NUMBER + PLACES *(JOURNAL_LIMIT / PLACES), false },
	{ 24, 8, NUMBER + 1, false }, /* its place is another one */
	{ 32, 8, 0, false },	      /* tail */
	{ 32, 8, NUMBER + 1, false },
	{ 32, 8, NUMBER, true },
	{ 32, 8, 7, false },	  /* a chain that is longer than the journal */
	{ 40, 8, NUMBER, false }, /* end */
	{ 40, 8, NUMBER - 2 + PLACES, true },
	{ 40, 8, NUMBER - 2 + PLACES + 1, false },
	{ 48, 8, NUMBER + 1, false },	 /* durable */
	{ 56, 8, CHAPTER_LIMIT, false }, /* chapter */
	{ 56, 8, CHAPTER_LIMIT - 1, true },
	{ 64, 1, JOURNAL_STORE - 1, false }, /* kind of the entry */
	{ 64, 1, JOURNAL_CARRIED, true },
	{ 64, 1, JOURNAL_CARRIED + 1, false },
};

START_TEST(each_field_of_a_block_of_the_journal_is_checked)
{
	struct journal_head head = usual_head(NUMBER), read = { 0 };

	make_journal_area();
	make_block(&head);
	ck_assert(journal_check_block(&area, NUMBER % PLACES, block, &read));
	ck_assert_uint_eq(read.number, NUMBER);
	block[200] ^= 1;
	ck_assert(!journal_check_block(&area, NUMBER % PLACES, block, &read));
	block[200] ^= 1;
	put_field(journal_fields[_i].at, journal_fields[_i].bytes, journal_fields[_i].value);
	put_le32(block + 4092, crc32_add(0, block, 4092));
	/* In the place where a block of number 0 would be, too: no writer begins with it. */
	for (uint64_t place = 0; place <= NUMBER % PLACES; place += NUMBER % PLACES)
		ck_assert(journal_check_block(&area, place, block, &read) ==
			  (journal_fields[_i].good && place != 0));
}
END_TEST

static struct uds_io *journal_io(struct fault_plan *plan)
{
	struct uds_io *memory, *io;

	make_journal_area();
	ck_assert_int_eq(uds_io_open_memory(area.blocks * BLOCK_BYTES, 1, NULL, NULL, &memory), 0);
	fault_plan_start(plan);
	ck_assert_int_eq(fault_io_open(plan, memory, NULL, &io), 0);
	return io;
}

static void write_block(struct uds_io *io, const struct journal_head *head)
{
	make_block(head);
	ck_assert_int_eq(journal_write(io, &area, head->number, block, 1, NULL), 0);
}

static struct journal_found find(struct uds_io *io)
{
	struct journal_found found;

	ck_assert_int_eq(journal_find(io, guarded_env(), &area, false, NULL, &found), 0);
	return found;
}

/* A chain of three blocks, and what makes it none. */
static const struct {
	uint64_t number, tail, end,
		chapter; /* of one of the two before the last; number 0: nothing */
	uint64_t from;	 /* blocks of lower numbers do not count */
	bool whole;
} chains[] = {
	{ 0, 0, 0, 0, 0, true },
	{ NUMBER - 1, NUMBER - 2, NUMBER, 3, NUMBER - 2, true },
	{ NUMBER - 1, NUMBER - 2, NUMBER, 4, 0, false },
	{ NUMBER - 1, NUMBER - 1, NUMBER, 3, 0, false },
	{ NUMBER - 2 - PLACES, NUMBER - 2 - PLACES, NUMBER - 1 - PLACES, 3, 0, false },
	{ 0, 0, 0, 0, NUMBER - 1, false },
};

START_TEST(only_a_whole_chain_counts)
{
	struct fault_plan plan;
	struct uds_io *io = journal_io(&plan);
	struct journal_found found;

	for (uint64_t number = NUMBER - 2; number <= NUMBER; number++) {
		struct journal_head head = usual_head(number);

		head.tail = NUMBER - 2;
		head.durable = 1;
		write_block(io, &head);
	}
	if (chains[_i].number > 0) {
		struct journal_head head = { .number = chains[_i].number,
					     .tail = chains[_i].tail,
					     .end = chains[_i].end,
					     .durable = 1,
					     .chapter = chains[_i].chapter,
					     .count = 1 };

		write_block(io, &head);
	}
	area.journal_from = chains[_i].from;
	found = find(io);
	ck_assert_int_eq(found.end == NUMBER + 1, chains[_i].whole);
	ck_assert(!chains[_i].whole || (found.tail == NUMBER - 2 && found.chapter == 3));
	ck_assert_uint_eq(found.next, NUMBER + 1);
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(a_flush_that_is_torn_does_not_count)
{
	struct fault_plan plan;
	struct uds_io *io = journal_io(&plan);
	struct journal_head head = usual_head(NUMBER);
	struct journal_found found;

	head.tail = NUMBER;
	head.end = NUMBER + 2;
	write_block(io, &head);
	found = find(io);
	ck_assert_uint_eq(found.end, found.tail);
	ck_assert_uint_eq(found.next, NUMBER + 2);
	ck_assert_uint_eq(found.durable, NUMBER);
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(blocks_that_cannot_be_read_are_passed_over_when_asked)
{
	struct fault_plan plan;
	struct uds_io *io = journal_io(&plan);
	struct journal_head head = usual_head(NUMBER);
	struct uds_message message = { "" };
	struct journal_found found = { .end = 77 };

	head.tail = NUMBER;
	write_block(io, &head);
	fault_plan_spoil(&plan, FAULT_READ, (area.journal + 5) * BLOCK_BYTES, BLOCK_BYTES);
	ck_assert_int_eq(journal_find(io, guarded_env(), &area, false, &message, &found), -EIO);
	ck_assert_msg(strstr(message.text, "extras: journal") != NULL, "%s", message.text);
	ck_assert_int_eq(journal_find(io, guarded_env(), &area, false, NULL, &found), -EIO);
	ck_assert_uint_eq(found.end, 77);
	ck_assert_int_eq(journal_find(io, guarded_env(), &area, true, &message, &found), 0);
	ck_assert_uint_eq(found.unreadable, 1);
	ck_assert_uint_eq(found.end, NUMBER + 1);
	/* Its number may be any that fits there. */
	ck_assert_uint_eq(found.next, NUMBER + 1 + PLACES);
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(a_flush_wraps)
{
	static uint8_t blocks[3 * BLOCK_BYTES];
	struct fault_plan plan;
	struct uds_io *io = journal_io(&plan);
	struct journal_found found;

	for (uint64_t i = 0; i < 3; i++) {
		struct journal_head head = usual_head(2 * PLACES - 1 + i);

		head.tail = 2 * PLACES - 1;
		head.end = 2 * PLACES + 2;
		make_block(&head);
		memcpy(blocks + i * BLOCK_BYTES, block, BLOCK_BYTES);
	}
	ck_assert_int_eq(journal_write(io, &area, 2 * PLACES - 1, blocks, 3, NULL), 0);
	found = find(io);
	ck_assert_uint_eq(found.tail, 2 * PLACES - 1);
	ck_assert_uint_eq(found.end, 2 * PLACES + 2);
	fault_plan_fail(&plan, FAULT_WRITE, 1, -EIO, false);
	ck_assert_int_eq(journal_write(io, &area, 2 * PLACES - 1, blocks, 3, NULL), -EIO);
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(a_block_that_changes_between_two_reads_is_named)
{
	struct fault_plan plan;
	struct uds_io *io = journal_io(&plan);
	struct journal_head head = usual_head(NUMBER);
	struct uds_message message = { "" };

	write_block(io, &head);
	ck_assert_int_eq(journal_read(io, &area, NUMBER, 1, block, &message), 0);
	/* A good one, of another number. */
	ck_assert_int_eq(journal_read(io, &area, NUMBER + PLACES, 1, block, &message),
			 UDS_ERR_CORRUPT);
	ck_assert_str_eq(message.text, "block 7: it is not what it was before");
	/* None. */
	ck_assert_int_eq(journal_read(io, &area, NUMBER + 1, 1, block, &message), UDS_ERR_CORRUPT);
	ck_assert_str_eq(message.text, "block 8: it is not what it was before");
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
}
END_TEST

/* @again_end: up to which block the chain was replayed before, into a chapter of a later number. */
START_TEST(a_chain_that_was_replayed_is_of_a_later_chapter)
{
	struct fault_plan plan;
	struct uds_io *io = journal_io(&plan);
	struct journal_head head = usual_head(NUMBER);

	head.tail = NUMBER;
	write_block(io, &head);
	area.again_chapter = 9;
	area.again_end = NUMBER;
	ck_assert_uint_eq(find(io).chapter, 3);
	area.again_end = NUMBER + 1;
	ck_assert_uint_eq(find(io).chapter, 9);
	area.again_chapter = 2;
	ck_assert_uint_eq(find(io).chapter, 3);
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(blocks_are_counted_without_a_header)
{
	struct torture_env torture;
	struct fault_plan plan;
	struct uds_io *io = journal_io(&plan);
	struct extras_area unknown = area;
	uint64_t blocks = 77, chapter = 77;

	for (uint64_t i = 0; i < 3; i++) {
		struct journal_head head = usual_head(NUMBER + i);

		head.chapter = 3 + i;
		write_block(io, &head);
	}
	unknown.id = 0;
	ck_assert_int_eq(journal_find_headless(io, guarded_env(), &unknown, &blocks, &chapter), 0);
	ck_assert_uint_eq(blocks, 3);
	ck_assert_uint_eq(chapter, 5);
	/* What cannot be read does not count. */
	fault_plan_spoil(&plan, FAULT_READ, (area.journal + (NUMBER + 2) % PLACES) * BLOCK_BYTES,
			 BLOCK_BYTES);
	ck_assert_int_eq(journal_find_headless(io, guarded_env(), &unknown, &blocks, &chapter), 0);
	ck_assert_uint_eq(blocks, 2);
	ck_assert_uint_eq(chapter, 4);
	fault_plan_fail(&plan, FAULT_SIZE, 1, -EIO, false);
	ck_assert_int_eq(journal_find_headless(io, guarded_env(), &unknown, &blocks, &chapter),
			 -EIO);
	torture_env_start(&torture);
	torture_env_fail_at(&torture, 1, false);
	ck_assert_int_eq(journal_find_headless(io, &torture.env, &unknown, &blocks, &chapter),
			 -ENOMEM);
	torture_env_end(&torture);
	ck_assert_uint_eq(blocks, 2);
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
}
END_TEST

/* ---- pages against what is known of them ---- */

static struct page_claim usual_claim(void)
{
	struct page_claim claim = { .vcn = 9, .slot = 1, .page = 0 };

	claim.bounds.first_list = 4;
	claim.bounds.list_count = 2;
	return claim;
}

/* Slots are the chapter number modulo SLOTS. */
static const struct {
	uint64_t vcn;
	uint32_t first_list, list_count;
	int result;
	const char *says;
} page_heads[] = {
	{ 9, 4, 2, 1, "" },
	{ 9, 5, 2, UDS_ERR_CORRUPT,
	  "lists: expected 2 from 4 on, as the page map says, found 2 from 5 on" },
	{ 9, 4, 3, UDS_ERR_CORRUPT,
	  "lists: expected 2 from 4 on, as the page map says, found 3 from 4 on" },
	{ 9 + SLOTS, 5, 3, 0, "" }, /* a later chapter has the slot now */
	{ 9 + SLOTS + 1, 4, 2, UDS_ERR_CORRUPT, "chapter number: expected 9, found 14" },
	{ 9 - SLOTS, 4, 2, UDS_ERR_CORRUPT, "chapter number: expected 9, found 5" },
	{ CHAPTER_LIMIT + 1, 4, 2, UDS_ERR_CORRUPT, "chapter number: expected 9, found " },
};

START_TEST(the_head_of_a_page_is_compared_with_what_is_known)
{
	const struct page_claim claim = usual_claim();
	const struct index_page_head head = { .vcn = page_heads[_i].vcn,
					      .first_list = page_heads[_i].first_list,
					      .list_count = page_heads[_i].list_count };
	struct uds_message message = { "" };

	make_area(4);
	ck_assert_uint_eq(CHAPTER_LIMIT % SLOTS, 0);
	ck_assert_int_eq(page_check_head(&geometry, &claim, &head, &message),
			 page_heads[_i].result);
	ck_assert_msg(strstr(message.text, page_heads[_i].says) != NULL, "%s", message.text);
}
END_TEST

/* Index pages without lists, and record pages that all have the same bytes. */
static uint8_t *make_chapter(const struct index_page_code *code, uint64_t vcn, uint8_t fill)
{
	size_t bytes = (size_t)geometry_chapter_blocks(&geometry) * BLOCK_BYTES;
	uint8_t *pages = malloc(bytes);

	ck_assert_ptr_nonnull(pages);
	memset(pages, fill, bytes);
	for (uint32_t page = 0; page < geometry.index_pages_per_chapter; page++) {
		uint8_t *at = pages + (size_t)page * geometry.page_bytes;

		memset(at, 0, INDEX_PAGE_HEAD_BYTES);
		put_le64(at, code->volume_nonce);
		put_le64(at + 8, vcn);
		/* Of the table there is the end, which is where the first list would begin. */
		put_le32(at + INDEX_PAGE_TABLE_BIT / 8,
			 INDEX_PAGE_TABLE_BIT + INDEX_PAGE_OFFSET_BITS);
		at[INDEX_PAGE_HEAD_BYTES] = fill;
	}
	return pages;
}

/* A chapter that another program has written again differs in every index page and most blocks. */
START_TEST(a_chapter_that_was_written_again_is_told_from_damage)
{
	struct index_page_code code;
	uint8_t *old, *new;
	struct checksums *c;
	struct uds_io *io;
	size_t half;

	make_area(4);
	index_page_code_make(&geometry, NONCE, &code);
	ck_assert_int_eq(uds_io_open_memory(area.blocks * BLOCK_BYTES, 1, NULL, NULL, &io), 0);
	c = read_checksums(io);
	old = make_chapter(&code, 9, 1);
	new = make_chapter(&code, 9, 2);
	checksums_set(c, 1, 9, old);
	ck_assert(page_check_rewritten(&geometry, &code, c, 1, 9, new));
	ck_assert(!page_check_rewritten(&geometry, &code, c, 1, 9, old));
	ck_assert(!page_check_rewritten(&geometry, &code, c, 1, 13, new));
	/* No index page any more. */
	new[0] ^= 1;
	ck_assert(!page_check_rewritten(&geometry, &code, c, 1, 9, new));
	new[0] ^= 1;
	/* Its record pages are as they were. */
	half = (size_t)geometry.index_pages_per_chapter * geometry.page_bytes;
	memcpy(new + half, old + half,
	       (size_t)geometry_chapter_blocks(&geometry) * BLOCK_BYTES - half);
	ck_assert(!page_check_rewritten(&geometry, &code, c, 1, 9, new));
	free(old);
	free(new);
	checksums_free(c);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("extras blocks");
	TCase *tc = tcase_create("extras blocks");

	tcase_add_loop_test(tc, a_generation_can_be_counted_on, 0, 3);
	tcase_add_loop_test(tc, each_place_in_a_header_is_checked, 0, COUNT_OF(header_fields));
	tcase_add_loop_test(tc, an_area_of_another_shape_does_not_count, 0, COUNT_OF(shapes));
	tcase_add_test(tc, an_intent_ends_once);
	tcase_add_test(tc, each_field_of_a_checksum_block_is_checked);
	tcase_add_loop_test(tc, each_field_of_a_block_of_the_journal_is_checked, 0,
			    COUNT_OF(journal_fields));
	tcase_add_loop_test(tc, only_a_whole_chain_counts, 0, COUNT_OF(chains));
	tcase_add_test(tc, a_flush_that_is_torn_does_not_count);
	tcase_add_test(tc, blocks_that_cannot_be_read_are_passed_over_when_asked);
	tcase_add_test(tc, a_flush_wraps);
	tcase_add_test(tc, a_block_that_changes_between_two_reads_is_named);
	tcase_add_test(tc, a_chain_that_was_replayed_is_of_a_later_chapter);
	tcase_add_test(tc, blocks_are_counted_without_a_header);
	tcase_add_loop_test(tc, the_head_of_a_page_is_compared_with_what_is_known, 0,
			    COUNT_OF(page_heads));
	tcase_add_test(tc, a_chapter_that_was_written_again_is_told_from_damage);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
