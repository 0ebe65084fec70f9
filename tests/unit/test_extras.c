/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The extras behind an index: that they change nothing in front of them and are never needed,
 * that checksums find every changed bit, and that nothing good is called damaged by them:
 * after power cuts, after other programs wrote, and when the area itself is damaged, cut off
 * or of another index.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "check_main.h"
#include "given_io.h"
#include "base/crc32.h"
#include "extras/area.h"
#include "extras/checksums.h"
#include "fault_io.h"
#include "geometry/geometry.h"
#include "names.h"
#include "torture_env.h"
#include "trace_io.h"
#include "volume/layout.h"

#define SEED   0xe87a5
#define SECTOR 512u

static const uint8_t nonce_data[32] = "the tests' index with extras";

/* An index, and what was said about it. */
struct fixture {
	struct uds_configuration configuration;
	struct uds_geometry geometry;
	struct uds_env env;
	uint64_t now;
	char log[4096];
	struct uds_io *io;
	struct uds_index *index;
	struct uds_message message;
	char findings[8192];
};

static struct fixture f;

static uint64_t tick(void *context)
{
	(void)context;
	return ++f.now;
}

static void take_log(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	(void)level;
	if (strlen(f.log) + strlen(sentence) + 2 < sizeof(f.log))
		strcat(strcat(f.log, sentence), "\n");
}

/*
 * The shape of the index that the following is about: small, or with pages that are read in parts.
 */
static void shape(uint32_t page_bytes, uint32_t record_pages, uint32_t chapters)
{
	const struct uds_configuration c = UDS_CONFIGURATION_INIT;
	const struct uds_geometry g = UDS_GEOMETRY_INIT;
	const struct uds_env env = UDS_ENV_INIT;

	memset(&f, 0, sizeof(f));
	f.configuration = c;
	f.geometry = g;
	f.env = env;
	f.env.log = take_log;
	f.env.now_ms = tick;
	f.configuration.page_bytes = page_bytes;
	f.configuration.record_pages_per_chapter = record_pages;
	f.configuration.chapters_per_volume = chapters;
	ck_assert_int_eq(uds_geometry_compute(&f.configuration, NULL, &f.geometry), 0);
	ck_assert_uint_gt(f.geometry.extras_bytes, 0);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &f.io), 0);
}

static int format(bool extras)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;

	options.env = &f.env;
	options.nonce_data = nonce_data;
	options.no_extras = !extras;
	return uds_index_format(f.io, &f.configuration, &options, &f.message);
}

static int open_index(enum uds_index_mode mode)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	options.env = &f.env;
	options.mode = mode;
	f.log[0] = '\0';
	return uds_index_open(f.io, &options, &f.message, &f.index);
}

static void close_index(void)
{
	ck_assert_int_eq(uds_index_close(f.index), 0);
	f.index = NULL;
}

static void end(void)
{
	uds_index_close(f.index);
	ck_assert_int_eq(uds_io_close(f.io), 0);
}

/* Stores names [@from, @to) in a version. */
static void update_all(uint64_t from, uint64_t to, uint32_t version)
{
	for (uint64_t i = from; i < to; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(SEED, i, &name);
		make_data('n', i, version, &data);
		ck_assert_int_eq(uds_index_update(f.index, &name, &data, NULL, NULL), 0);
	}
}

static void store(uint64_t from, uint64_t to, uint32_t version)
{
	update_all(from, to, version);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
}

/* What asking for names came to. */
struct answers {
	uint64_t right, missing, refused;
};

/* Asks for names [@from, @to), of which each answer must be that of this version, or an error. */
static struct answers ask(uint64_t from, uint64_t to, uint32_t version)
{
	struct answers answers = { 0 };

	for (uint64_t i = from; i < to; i++) {
		struct uds_record_data data, expected;
		struct uds_record_name name;
		bool found;
		int r;

		make_name(SEED, i, &name);
		make_data('n', i, version, &expected);
		r = uds_index_peek(f.index, &name, &data, &found);
		ck_assert(r == 0 || r == UDS_ERR_CORRUPT);
		answers.refused += r < 0;
		answers.missing += r == 0 && !found;
		if (r < 0 || !found)
			continue;
		ck_assert_mem_eq(&data, &expected, sizeof(data));
		answers.right++;
	}
	return answers;
}

/*
 * An index with extras, of so many closed chapters, saved; closed again. Returns how many
 * records it has.
 */
static uint64_t make_chapters(bool extras, uint32_t chapters, uint32_t version)
{
	uint64_t count = (uint64_t)chapters * f.geometry.records_per_chapter + 10;

	ck_assert_int_eq(format(extras), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	store(0, count, version);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	close_index();
	return count;
}

static int take_finding(void *context, const char *sentence)
{
	(void)context;
	if (strlen(f.findings) + strlen(sentence) + 2 < sizeof(f.findings))
		strcat(strcat(f.findings, sentence), "\n");
	return 0;
}

static uint64_t verify(void)
{
	uint64_t findings = 0;

	f.findings[0] = '\0';
	ck_assert_int_eq(uds_index_verify(f.io, NULL, take_finding, NULL, &f.message, &findings),
			 0);
	return findings;
}

static uint32_t extras_state(uint64_t *ret_bytes)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;

	ck_assert_int_eq(uds_index_read_info(f.io, NULL, &f.message, &info), 0);
	if (ret_bytes != NULL)
		*ret_bytes = info.extras_bytes;
	return info.extras;
}

static uint8_t *copy_device(uint64_t *ret_size)
{
	uint8_t *bytes;

	ck_assert_int_eq(uds_io_size(f.io, ret_size), 0);
	bytes = malloc(*ret_size);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(uds_io_read(f.io, bytes, *ret_size, 0), 0);
	return bytes;
}

static void flip(uint64_t at, uint8_t bits)
{
	uint8_t byte;

	ck_assert_int_eq(uds_io_read(f.io, &byte, 1, at), 0);
	byte ^= bits;
	ck_assert_int_eq(uds_io_write(f.io, &byte, 1, at), 0);
}

static uint64_t page_at(uint32_t slot, uint32_t page)
{
	return 2 * 4096 + (1 + (uint64_t)slot * f.geometry.pages_per_chapter + page) *
				  f.configuration.page_bytes;
}

/* The checksum block of a slot, where one is enough for each. */
static uint64_t sums_at(uint32_t slot)
{
	return f.geometry.index_bytes + (4 + (uint64_t)slot) * 4096;
}

/* ---- the format in front of it ---- */

START_TEST(the_index_is_the_same_with_and_without)
{
	uint8_t *bytes[2];
	uint64_t sizes[2];

	for (int with = 0; with < 2; with++) {
		shape(4096, 4, 6);
		make_chapters(with == 1, 8, 1);
		bytes[with] = copy_device(&sizes[with]);
		ck_assert_uint_eq(extras_state(NULL),
				  with == 1 ? UDS_EXTRAS_CURRENT : UDS_EXTRAS_NONE);
		end();
	}
	ck_assert_uint_eq(sizes[0], f.geometry.index_bytes);
	ck_assert_uint_eq(sizes[1], f.geometry.index_bytes + f.geometry.extras_bytes);
	ck_assert_mem_eq(bytes[0], bytes[1], sizes[0]);
	free(bytes[0]);
	free(bytes[1]);
}
END_TEST

/*
 * A flush that overwrites allocates nothing: no block of a new journal is a hole, or zeroes that
 * were only asked for.
 */
START_TEST(the_journal_of_a_new_index_is_written)
{
	static struct trace trace;
	struct geometry geometry;
	char wanted[64];
	uint64_t at;

	trace_start(&trace);
	shape(4096, 4, 6);
	ck_assert_int_eq(uds_io_close(f.io), 0);
	ck_assert_int_eq(uds_io_open_memory(f.geometry.index_bytes + f.geometry.extras_bytes, 1,
					    NULL, NULL, &f.io),
			 0);
	f.io = trace_io(&trace, 'i', f.io);
	ck_assert_int_eq(format(true), 0);
	ck_assert_int_eq(geometry_make(&f.configuration, &geometry, NULL), 0);
	at = f.geometry.index_bytes + geometry_journal_at(&geometry) * BLOCK_BYTES;
	snprintf(wanted, sizeof(wanted), "iW%" PRIu64 "+%" PRIu64 " ", at,
		 geometry_journal_blocks(&geometry) * BLOCK_BYTES);
	ck_assert_msg(strstr(trace.text, wanted) != NULL, "%s", trace.text);
	end();
}
END_TEST

/* ---- room for it ---- */

static int format_within(struct uds_io *io, uint64_t offset, uint64_t limit, bool no_extras)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;

	options.offset = offset;
	options.size_limit = limit;
	options.no_extras = no_extras;
	return uds_index_format(io, &f.configuration, &options, &f.message);
}

START_TEST(too_little_room_is_refused_and_says_what_would_fit)
{
	uint64_t both, size;
	char missing[64];

	shape(4096, 4, 6);
	both = f.geometry.index_bytes + f.geometry.extras_bytes;
	ck_assert_int_eq(format_within(f.io, 0, both - 4096, false), UDS_ERR_NO_ROOM);
	snprintf(missing, sizeof(missing), "%u are missing", 4096);
	ck_assert_ptr_nonnull(strstr(f.message.text, missing));
	ck_assert_ptr_nonnull(strstr(f.message.text, "--no-extras"));
	ck_assert_int_eq(uds_io_size(f.io, &size), 0);
	ck_assert_uint_eq(size, 0);
	ck_assert_int_eq(format_within(f.io, 0, f.geometry.index_bytes - 4096, false),
			 UDS_ERR_NO_ROOM);
	ck_assert_ptr_null(strstr(f.message.text, "--no-extras"));
	ck_assert_int_eq(format_within(f.io, 0, f.geometry.index_bytes, true), 0);
	ck_assert_int_eq(format_within(f.io, 0, both, false), 0);
	ck_assert_uint_eq(extras_state(&size), UDS_EXTRAS_CURRENT);
	ck_assert_uint_eq(size, f.geometry.extras_bytes);
	end();
}
END_TEST

/* A VDO volume has its data behind its index. */
START_TEST(an_index_in_a_vdo_volume_gets_none)
{
	uint8_t *vdo;
	uint64_t size;

	shape(4096, 4, 6);
	size = 4096 + f.geometry.index_bytes + f.geometry.extras_bytes;
	vdo = calloc(1, size);
	ck_assert_ptr_nonnull(vdo);
	memcpy(vdo, "dmvdo001", 8);
	memset(vdo + 4096, 0x5a, size - 4096);
	ck_assert_int_eq(uds_io_resize(f.io, size), 0);
	ck_assert_int_eq(uds_io_write(f.io, vdo, size, 0), 0);
	ck_assert_int_eq(format_within(f.io, 4096, 0, false), 0);
	free(vdo);
	vdo = copy_device(&size);
	for (uint64_t i = 4096 + f.geometry.index_bytes; i < size; i++)
		ck_assert_uint_eq(vdo[i], 0x5a);
	free(vdo);
	end();
}
END_TEST

/* ---- headers ---- */

static void read_layout(struct layout *ret_layout)
{
	ck_assert_int_eq(layout_read(f.io, 0, &f.message, ret_layout), 0);
}

START_TEST(a_header_with_any_bit_flipped_is_refused)
{
	struct extras_area area, read;
	struct layout layout;
	uint8_t block[4096];

	shape(4096, 4, 6);
	make_chapters(true, 2, 1);
	read_layout(&layout);
	extras_encode_header(&layout.extras, block);
	memset(&read, 0, sizeof(read));
	ck_assert_int_eq(extras_decode_header(block, &read, NULL), 0);
	ck_assert_uint_eq(read.generation, layout.extras.generation);
	ck_assert_uint_eq(read.id, layout.extras.id);
	ck_assert_uint_eq(read.open_chapter, 2);
	for (unsigned int bit = 0; bit < SECTOR * 8; bit++) {
		block[bit / 8] ^= (uint8_t)(1u << bit % 8);
		ck_assert_int_lt(extras_decode_header(block, &area, NULL), 0);
		block[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	end();
}
END_TEST

START_TEST(the_newer_good_header_counts)
{
	struct layout layout;
	uint64_t newest;

	shape(4096, 4, 6);
	make_chapters(true, 2, 1); /* generation 1 at format, 2 before the save, 3 behind it */
	read_layout(&layout);
	newest = layout.extras.generation;
	ck_assert_uint_eq(newest, 3);
	flip(f.geometry.index_bytes + newest % 2 * 4096 + 40, 1);
	read_layout(&layout);
	ck_assert(layout.extras.present);
	ck_assert_uint_eq(layout.extras.generation, newest - 1);
	/* The one before announces the save. */
	ck_assert_uint_eq(extras_state(NULL), UDS_EXTRAS_CURRENT);
	flip(f.geometry.index_bytes + (newest - 1) % 2 * 4096 + 40, 1);
	ck_assert_uint_eq(extras_state(NULL), UDS_EXTRAS_DAMAGED);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD), 0);
	ck_assert_ptr_nonnull(strstr(f.log, "extras: header"));
	ck_assert_uint_eq(ask(0, 100, 1).right, 100);
	close_index();
	ck_assert_uint_eq(verify(), 1);
	ck_assert_ptr_nonnull(strstr(f.findings, "extras: header"));
	end();
}
END_TEST

START_TEST(extras_of_a_later_version_are_left_alone)
{
	struct layout layout;
	uint8_t block[4096];

	shape(4096, 4, 6);
	make_chapters(true, 2, 1);
	read_layout(&layout);
	for (unsigned int i = 0; i < 2; i++) {
		extras_encode_header(&layout.extras, block);
		put_le32(block + 8, 2);
		put_le32(block + 508, crc32_add(0, block, 508));
		ck_assert_int_eq(uds_io_write(f.io, block, 4096, f.geometry.index_bytes + i * 4096),
				 0);
	}
	ck_assert_uint_eq(extras_state(NULL), UDS_EXTRAS_DAMAGED);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD), 0);
	ck_assert_ptr_nonnull(strstr(f.log, "version: expected 1, found 2"));
	end();
}
END_TEST

/* An area that was cut off anywhere, or is not there at all: everything works as without. */
START_TEST(an_area_that_was_cut_off_is_not_needed)
{
	static const uint64_t blocks[] = { 0, 1, 2, 4, 5, 9 };
	uint8_t *bytes;
	uint64_t size, count;

	shape(4096, 4, 6);
	count = make_chapters(true, 3, 1);
	bytes = copy_device(&size);
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		ck_assert_int_eq(uds_io_close(f.io), 0);
		ck_assert_int_eq(uds_io_open_memory(f.geometry.index_bytes + blocks[i] * 4096, 1,
						    NULL, NULL, &f.io),
				 0);
		ck_assert_int_eq(
			uds_io_write(f.io, bytes, f.geometry.index_bytes + blocks[i] * 4096, 0), 0);
		ck_assert_uint_eq(extras_state(NULL),
				  blocks[i] < 2 ? UDS_EXTRAS_NONE : UDS_EXTRAS_DAMAGED);
		ck_assert_uint_eq(verify(), blocks[i] < 2 ? 0 : 1);
		ck_assert_int_eq(open_index(UDS_INDEX_LOAD), 0);
		ck_assert_uint_eq(ask(0, count, 1).right, count);
		store(count, count + 600, 1);
		ck_assert_int_eq(uds_index_save(f.index), 0);
		close_index();
		ck_assert_int_eq(uds_io_size(f.io, &size), 0);
		ck_assert_uint_eq(size, f.geometry.index_bytes + blocks[i] * 4096);
	}
	free(bytes);
	end();
}
END_TEST

/* The area of another index, of the same shape. */
START_TEST(an_area_of_another_index_does_not_count)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	uint8_t *bytes;
	uint64_t size, count;

	shape(4096, 4, 6);
	make_chapters(true, 3, 1);
	bytes = copy_device(&size);
	options.no_extras = true;
	ck_assert_int_eq(uds_index_format(f.io, &f.configuration, &options, &f.message), 0);
	ck_assert_uint_eq(extras_state(NULL), UDS_EXTRAS_NONE);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	count = 3 * (uint64_t)f.geometry.records_per_chapter;
	store(0, count, 2);
	ck_assert_uint_eq(ask(0, count, 2).right, count);
	close_index();
	free(bytes);
	end();
}
END_TEST

/* Formatting again with the same nonces: blocks that the area had before are of another one. */
START_TEST(checksums_of_an_area_that_was_there_before_do_not_count)
{
	uint64_t count;

	shape(4096, 4, 6);
	make_chapters(true, 3, 1);
	count = make_chapters(true, 3, 2);
	ck_assert_uint_eq(verify(), 0);
	ck_assert_int_eq(format(true), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	store(0, count, 3);
	ck_assert_uint_eq(ask(0, count, 3).right, count);
	end();
}
END_TEST

/* ---- damage ---- */

/* One bit in each sector of each page of each chapter, another one each time. */
START_TEST(verify_names_a_flipped_bit_in_any_sector)
{
	static const struct {
		uint32_t page_bytes, record_pages, chapters;
	} shapes[] = { { 4096, 3, 4 }, { 12288, 1, 2 } };
	uint32_t sectors, slots, checked = 0;
	char place[64];

	shape(shapes[_i].page_bytes, shapes[_i].record_pages, shapes[_i].chapters);
	slots = shapes[_i].chapters - 1;
	make_chapters(true, slots, 1);
	ck_assert_uint_eq(verify(), 0);
	sectors = f.configuration.page_bytes / SECTOR;
	for (uint32_t slot = 0; slot < slots; slot++) {
		for (uint32_t n = 0; n < f.geometry.pages_per_chapter * sectors; n++) {
			uint32_t page = n / sectors,
				 index_pages = f.geometry.index_pages_per_chapter;
			uint64_t at = page_at(slot, page) + n % sectors * SECTOR +
				      splitmix64(SEED, checked) % SECTOR;
			uint8_t bit = (uint8_t)(1u << checked % 8);

			flip(at, bit);
			ck_assert_uint_ge(verify(), 1);
			snprintf(place, sizeof(place), "chapter %u (slot %u), %s page %u: checksum",
				 slot, slot, page < index_pages ? "index" : "record",
				 page < index_pages ? page : page - index_pages);
			ck_assert_msg(strstr(f.findings, place) != NULL, "%s: %s", place,
				      f.findings);
			flip(at, bit);
			checked++;
		}
	}
	ck_assert_uint_eq(verify(), 0);
	end();
}
END_TEST

/*
 * A lookup gives the right answer or an error, wherever a bit was flipped: with small pages, that
 * are read whole, and large ones, of which parts are read, each of them for the first time.
 */
START_TEST(no_answer_is_wrong_after_a_flipped_bit)
{
	static const struct {
		uint32_t page_bytes, record_pages;
	} shapes[] = { { 4096, 4 }, { 32768, 1 } };
	uint64_t count, refused = 0;
	uint32_t sectors;

	shape(shapes[_i].page_bytes, shapes[_i].record_pages, 4);
	count = make_chapters(true, 2, 1);
	sectors = f.geometry.pages_per_chapter * (f.configuration.page_bytes / SECTOR);
	for (uint32_t n = 0; n < sectors; n += _i == 0 ? 1 : 3) {
		uint64_t at = page_at(1, 0) + (uint64_t)n * SECTOR + splitmix64(SEED, n) % SECTOR;
		struct answers answers;

		flip(at, 0x10);
		ck_assert_int_eq(open_index(UDS_INDEX_READ_ONLY), 0);
		answers = ask(0, count, 1);
		/* Only of the damaged chapter. */
		ck_assert_uint_ge(answers.right, count - f.geometry.records_per_chapter);
		ck_assert_uint_eq(answers.missing, 0);
		refused += answers.refused;
		close_index();
		flip(at, 0x10);
	}
	ck_assert_uint_gt(refused, 0);
	end();
}
END_TEST

/*
 * What was right once and is read again from a device, not from the system's memory,
 * is compared again.
 */
START_TEST(damage_that_comes_later_is_found_where_reads_are_from_a_device)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_io *direct;
	uint64_t count;
	uint8_t *bytes;
	uint64_t size;

	shape(32768, 1, 4);
	count = make_chapters(true, 2, 1);
	bytes = copy_device(&size);
	/* Like O_DIRECT: blocks of 512 bytes. */
	ck_assert_int_eq(uds_io_open_memory(0, 512, NULL, NULL, &direct), 0);
	ck_assert_int_eq(uds_io_resize(direct, size), 0);
	for (uint64_t at = 0; at < size; at += 4096) {
		uint8_t *block = aligned_alloc(4096, 4096);

		memcpy(block, bytes + at, 4096);
		ck_assert_int_eq(uds_io_write(direct, block, 4096, at), 0);
		free(block);
	}
	options.mode = UDS_INDEX_READ_ONLY;
	options.cache_bytes = 4096;
	ck_assert_int_eq(uds_index_open(direct, &options, &f.message, &f.index), 0);
	ck_assert_uint_eq(ask(0, count, 1).right, count);
	{
		uint8_t *block = aligned_alloc(4096, 4096);
		uint64_t at = page_at(1, f.geometry.index_pages_per_chapter) + 4 * 4096;

		ck_assert_int_eq(uds_io_read(direct, block, 4096, at), 0);
		memset(block + 24, 0xff, 1); /* data of a record */
		block[24 + 32] ^= 1;
		ck_assert_int_eq(uds_io_write(direct, block, 4096, at), 0);
		free(block);
	}
	ck_assert_uint_gt(ask(0, count, 1).refused, 0);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	f.index = NULL;
	ck_assert_int_eq(uds_io_close(direct), 0);
	free(bytes);
	end();
}
END_TEST

/*
 * An error for the requests that need the page, and for no others; counted each time,
 * and logged once.
 */
START_TEST(a_damaged_page_is_counted_and_logged_once)
{
	struct uds_index_statistics statistics = UDS_INDEX_STATISTICS_INIT;
	uint64_t count, damaged;
	char *first;

	shape(4096, 4, 6);
	count = make_chapters(true, 3, 1);
	damaged = f.geometry.records_per_page;
	flip(page_at(1, f.geometry.index_pages_per_chapter + 2) + 20, 4);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD), 0);
	ck_assert_int_eq(uds_index_get_statistics(f.index, &statistics), 0);
	ck_assert_uint_eq(statistics.damaged_reads, 0);
	ck_assert_uint_eq(ask(0, count, 1).refused, damaged);
	ck_assert_uint_eq(ask(0, count, 1).refused, damaged);
	ck_assert_int_eq(uds_index_get_statistics(f.index, &statistics), 0);
	ck_assert_uint_eq(statistics.damaged_reads, 2 * damaged);
	first = strstr(f.log, "record page 2: checksum");
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_null(strstr(first + 1, "record page"));
	/* It stays in service, and the damage leaves with its chapter. */
	store(count, count + 6 * (uint64_t)f.geometry.records_per_chapter, 1);
	ck_assert_uint_eq(
		ask(count, count + 5 * (uint64_t)f.geometry.records_per_chapter, 1).refused, 0);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	close_index();
	ck_assert_uint_eq(verify(), 0);
	end();
}
END_TEST

static int count_record(void *context, const struct uds_record_name *name,
			const struct uds_record_data *data)
{
	(void)name;
	(void)data;
	++*(uint64_t *)context;
	return 0;
}

/* Going through all records leaves out those of the damaged page, and says so. */
START_TEST(for_each_leaves_out_a_damaged_page)
{
	uint64_t count, seen = 0;

	shape(4096, 4, 6);
	count = make_chapters(true, 3, 1);
	flip(page_at(1, f.geometry.index_pages_per_chapter + 2) + 20, 4);
	ck_assert_int_eq(open_index(UDS_INDEX_READ_ONLY), 0);
	ck_assert_int_eq(uds_index_for_each(f.index, count_record, &seen), UDS_ERR_CORRUPT);
	ck_assert_uint_eq(seen, count - f.geometry.records_per_page);
	uds_index_error_message(f.index, &f.message);
	ck_assert_ptr_nonnull(strstr(f.message.text, "record page 2: checksum"));
	close_index();
	/* All of a chapter whose index is damaged. */
	flip(page_at(2, 0) + 100, 4);
	seen = 0;
	ck_assert_int_eq(open_index(UDS_INDEX_READ_ONLY), 0);
	ck_assert_int_eq(uds_index_for_each(f.index, count_record, &seen), UDS_ERR_CORRUPT);
	ck_assert_uint_eq(seen,
			  count - f.geometry.records_per_page - f.geometry.records_per_chapter);
	end();
}
END_TEST

/* Of a chapter whose checksum block is damaged nothing is known; that is no damage of the index. */
START_TEST(a_damaged_checksum_block_is_no_damage_of_the_index)
{
	uint64_t count;

	shape(4096, 4, 6);
	count = make_chapters(true, 3, 1);
	for (unsigned int sector = 0; sector < 8; sector++) {
		uint64_t at = sums_at(1) + sector * SECTOR + splitmix64(SEED, sector) % SECTOR;

		flip(at, 8);
		ck_assert_uint_eq(verify(), 0);
		ck_assert_int_eq(open_index(UDS_INDEX_LOAD), 0);
		ck_assert_uint_eq(ask(0, count, 1).right, count);
		close_index();
		/* Checksums of the others are known all the same. */
		flip(page_at(2, 3) + 17, 1);
		ck_assert_uint_ge(verify(), 1);
		flip(page_at(2, 3) + 17, 1);
		flip(at, 8);
	}
	end();
}
END_TEST

/* ---- recovery ---- */

/* Power went away when the newest chapter was durable, and its checksums were not. */
START_TEST(recovery_makes_up_checksums_that_were_lost_with_the_power)
{
	uint8_t zero[4096] = { 0 };
	uint64_t count;

	shape(4096, 4, 6);
	ck_assert_int_eq(format(true), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	count = 2 * (uint64_t)f.geometry.records_per_chapter;
	store(0, count, 1);
	close_index();
	ck_assert_int_eq(uds_io_write(f.io, zero, sizeof(zero), sums_at(1)), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	ck_assert_uint_eq(ask(0, count, 1).right, count);
	/* In memory they are known, on the device with the next save. */
	ck_assert_int_eq(uds_index_save(f.index), 0);
	close_index();
	ck_assert_uint_eq(verify(), 0);
	flip(page_at(1, 2) + 2000, 1);
	ck_assert_uint_ge(verify(), 1);
	ck_assert_ptr_nonnull(strstr(f.findings, "chapter 1 (slot 1)"));
	end();
}
END_TEST

/* As a device may that fails a flush: what was written before it is lost, and reads as before. */
static void lose_checksums(struct fault_plan *plan, uint32_t slot, uint8_t *ret_lost)
{
	static const uint8_t zero[4096];

	ck_assert_uint_gt(fault_plan_failed(plan), 0);
	fault_plan_fail(plan, 0, 0, 0, false);
	ck_assert_int_eq(uds_io_read(f.io, ret_lost, 4096, sums_at(slot)), 0);
	ck_assert_mem_ne(ret_lost, zero, sizeof(zero));
	ck_assert_int_eq(uds_io_write(f.io, zero, sizeof(zero), sums_at(slot)), 0);
}

/* The flush of the journal, of a save, or of the next chapter. */
START_TEST(checksums_that_a_failed_flush_may_have_lost_are_written_again)
{
	uint8_t lost[4096], there[4096];
	struct fault_plan plan;
	uint64_t chapter;

	shape(4096, 4, 6);
	ck_assert_int_eq(format(true), 0);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &f.io), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	chapter = f.geometry.records_per_chapter;
	store(0, chapter + 1, 1);
	fault_plan_fail(&plan, FAULT_FLUSH, 1, -EIO, true);
	update_all(chapter + 1, _i == 2 ? 2 * chapter : chapter + 2, 1);
	ck_assert_int_eq(_i == 1 ? uds_index_save(f.index) : uds_index_flush(f.index), -EIO);
	lose_checksums(&plan, 0, lost);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	ck_assert_int_eq(uds_io_read(f.io, there, sizeof(there), sums_at(0)), 0);
	ck_assert_mem_eq(there, lost, sizeof(there));
	close_index();
	ck_assert_uint_eq(verify(), 0);
	end();
	fault_plan_end(&plan);
}
END_TEST

/* The newest chapter, if it was durable, does not go because of damage to one of its pages. */
START_TEST(recovery_keeps_a_newest_chapter_that_was_damaged_later)
{
	uint64_t count;
	struct answers answers;

	shape(4096, 4, 6);
	ck_assert_int_eq(format(true), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	count = 2 * (uint64_t)f.geometry.records_per_chapter;
	store(0, count, 1);
	close_index();
	/* A record's name: the structure alone would say that the chapter is torn. */
	flip(page_at(1, f.geometry.index_pages_per_chapter + 1) + 64 * 32, 0x40);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	ck_assert_ptr_nonnull(strstr(f.log, "chapter 1 (slot 1) is damaged"));
	answers = ask(0, count, 1);
	ck_assert_uint_eq(answers.right, count - f.geometry.records_per_page);
	ck_assert_uint_eq(answers.refused, f.geometry.records_per_page);
	end();
}
END_TEST

/* Where a chapter is damaged so that its slot seems to hold none. */
static const struct head_damage {
	uint32_t chapters; /* that were written */
	uint32_t vcn;	   /* of the one that is damaged */
	uint32_t page;	   /* of its index */
	uint32_t byte;
	bool saves; /* the recovery, before the repair */
} head_damages[] = {
	{ 2, 1, 0, 0, false }, /* the newest; nonce */
	{ 2, 1, 0, 8, false }, /* number of the chapter */
	{ 3, 2, 1, 0, true },  /* nonce of another page */
	{ 2, 1, 1, 21, true }, /* table of lists */
	{ 1, 0, 0, 0, false }, /* a volume that looks empty, of an index that was never saved */
	{ 1, 0, 1, 10, true },	  { 9, 8, 1, 0, true },	 /* the volume was filled before */
	{ 12, 11, 0, 10, false }, { 3, 0, 0, 0, false }, /* the oldest */
	{ 3, 0, 1, 9, true },	  { 9, 4, 0, 0, false },
};

/*
 * Nor because of damage to the head of an index page, nor does the oldest; and a repair brings all
 * records back.
 */
START_TEST(recovery_keeps_a_chapter_whose_head_was_damaged_later)
{
	const struct head_damage *damage = &head_damages[_i];
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	uint64_t count, chapter, from, lost;

	shape(4096, 16, 6);
	ck_assert_uint_ge(f.geometry.index_pages_per_chapter, 2);
	chapter = f.geometry.records_per_chapter;
	count = damage->chapters * chapter + 50;
	lost = damage->vcn * chapter;
	/* The oldest chapter of a volume that was filled leaves with the next one. */
	from = damage->chapters > 5 ? (damage->chapters - 5) * chapter : 0;
	ck_assert_int_eq(format(true), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	store(0, count, 1);
	close_index();
	flip(page_at(damage->vcn % 6, damage->page) + damage->byte, 0x40);
	ck_assert_uint_ge(verify(), 1);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	ck_assert_ptr_nonnull(strstr(f.log, "is lost: "));
	ck_assert_uint_eq(ask(from, lost, 1).right, lost - from);
	/* The journal has those of the open chapter. */
	ck_assert_uint_eq(ask(lost + chapter, count, 1).right, count - lost - chapter);
	if (damage->saves)
		ck_assert_int_eq(uds_index_save(f.index), 0);
	close_index();
	ck_assert_uint_ge(verify(), 1);
	options.env = &f.env;
	ck_assert_int_eq(uds_index_repair(f.io, &options, NULL, NULL, &f.message, NULL), 0);
	ck_assert_uint_eq(verify(), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD), 0);
	ck_assert_uint_eq(ask(from, count, 1).right, count - from);
	end();
}
END_TEST

/*
 * It may be the later one of the two, behind which something was flushed: opening fails,
 * and says why.
 */
START_TEST(a_header_that_cannot_be_read_is_told)
{
	struct fault_plan plan;
	struct uds_io *faulty;
	uint64_t count;

	shape(4096, 4, 6);
	count = make_chapters(true, 3, 1);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &faulty), 0);
	f.io = faulty;
	fault_plan_spoil(&plan, FAULT_READ, f.geometry.index_bytes + (uint64_t)_i * 4096, 4096);
	ck_assert_int_eq(open_index(UDS_INDEX_READ_ONLY), -EIO);
	ck_assert_ptr_nonnull(strstr(f.message.text, "extras: "));
	f.index = NULL;
	ck_assert_uint_ge(verify(), 1);
	ck_assert_ptr_nonnull(strstr(f.findings, "extras: "));
	fault_plan_spoil(&plan, FAULT_READ, 0, 0);
	f.log[0] = '\0';
	ck_assert_int_eq(open_index(UDS_INDEX_READ_ONLY), 0);
	ck_assert_ptr_null(strstr(f.log, "extras: "));
	ck_assert_uint_eq(ask(0, count, 1).refused, 0);
	end();
	fault_plan_end(&plan);
}
END_TEST

/*
 * A chapter number that is written again, after its chapter was lost, and torn: what the first one
 * left is void.
 */
START_TEST(checksums_of_a_chapter_that_was_given_up_are_void_before_its_number_is_used_again)
{
	struct fault_plan plan;
	struct uds_io *faulty;
	uint64_t count;

	shape(4096, 4, 6);
	ck_assert_int_eq(format(true), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	count = 2 * (uint64_t)f.geometry.records_per_chapter;
	store(0, count, 1);
	close_index();
	/*
	 * Chapter 1 has no good index page any more, and that it was durable cannot be known just
	 * now: it is lost, and the next one is chapter 1 again.
	 */
	flip(page_at(1, 0), 1);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &faulty), 0);
	f.io = faulty;
	fault_plan_spoil(&plan, FAULT_READ, sums_at(1), 4096);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	/* The record pages come, the index pages do not. */
	fault_plan_spoil(&plan, FAULT_WRITE, page_at(1, 0), 4096);
	for (uint64_t i = 0; i < f.geometry.records_per_chapter; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(SEED, count + i, &name);
		make_data('n', count + i, 2, &data);
		(void)uds_index_update(f.index, &name, &data, NULL, NULL);
	}
	ck_assert_int_eq(uds_index_close(f.index), -EIO);
	f.index = NULL;
	fault_plan_spoil(&plan, FAULT_WRITE, 0, 0);
	/* As if the head of the index page had come as well, from the first chapter 1. */
	flip(page_at(1, 0), 1);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	ck_assert_ptr_nonnull(strstr(f.log, "was not written whole"));
	ck_assert_uint_eq(ask(0, f.geometry.records_per_chapter, 1).right,
			  f.geometry.records_per_chapter);
	close_index();
	end();
	fault_plan_end(&plan);
}
END_TEST

/* ---- orders of writes ---- */

/*
 * Each write to the area from byte @from to @to of it that is in the trace comes
 * between two flushes.
 */
static unsigned int check_flushed(const struct trace *trace, uint64_t from, uint64_t to)
{
	uint64_t area = f.geometry.index_bytes;
	bool flushed = true, wanted = false;
	unsigned int count = 0;
	const char *word = trace->text;

	for (; *word != '\0'; word = strchr(word, ' ') + 1) {
		uint64_t at = word[1] == 'W' ? strtoull(word + 2, NULL, 10) : 0;
		bool ours = at >= area + from && at < area + to;

		if (word[1] == 'F') {
			flushed = true;
			wanted = false;
			continue;
		}
		ck_assert_msg(!wanted && (flushed || !ours), "no flush before: %.60s", word);
		flushed = false;
		wanted = ours;
		count += ours;
	}
	ck_assert(!wanted);
	return count;
}

static void trace_index(struct trace *trace)
{
	trace_start(trace);
	f.io = trace_io(trace, 'd', f.io);
}

START_TEST(a_header_is_written_when_all_it_tells_is_durable)
{
	static struct trace trace;

	shape(4096, 4, 6);
	ck_assert_int_eq(format(true), 0);
	trace_index(&trace);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	store(0, 2 * (uint64_t)f.geometry.records_per_chapter + 5, 1);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	store(0, 10, 2);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	close_index();
	/* Both headers, in turn. */
	ck_assert_uint_ge(check_flushed(&trace, 0, 4096), 1);
	ck_assert_uint_ge(check_flushed(&trace, 4096, 8192), 1);
	end();
}
END_TEST

START_TEST(void_checksums_are_durable_before_a_chapter_is_written)
{
	static struct trace trace;
	struct fault_plan plan;
	struct uds_io *faulty;
	uint64_t count;

	shape(4096, 4, 6);
	ck_assert_int_eq(format(true), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	count = 2 * (uint64_t)f.geometry.records_per_chapter;
	store(0, count, 1);
	close_index();
	/* Chapter 1 is lost, its checksums cannot be read, and the next one is chapter 1 again. */
	flip(page_at(1, 0), 1);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &faulty), 0);
	f.io = faulty;
	fault_plan_spoil(&plan, FAULT_READ, sums_at(1), 4096);
	trace_index(&trace);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	trace_clear(&trace);
	store(count, count + f.geometry.records_per_chapter, 2);
	/* The first write of all. */
	ck_assert_uint_eq(
		strtoull(trace.text + 2, NULL, 10),
		extras_checksum_offset(
			&(struct extras_area){ .start = f.geometry.index_bytes, .parts = 1 }, 1,
			0));
	ck_assert_msg(strncmp(strchr(trace.text, ' '), " dF", 3) == 0, "%.80s", trace.text);
	close_index();
	end();
	fault_plan_end(&plan);
}
END_TEST

/* ---- other programs ---- */

/* Puts what another program made of the index in front of the extras, which it does not know. */
static void overwrite_format(const uint8_t *bytes)
{
	ck_assert_int_eq(uds_io_write(f.io, bytes, f.geometry.index_bytes, 0), 0);
}

/*
 * Another program has written chapters with the very numbers that the checksums are of, with other
 * records, and has saved or not. All its answers are right, nothing is damage, and new chapters
 * get checksums again.
 */
START_TEST(chapters_of_another_program_are_good_and_checksums_are_taken_up_again)
{
	uint8_t *foreign, *before;
	uint64_t size, count;
	uint32_t chapters = 3 + (uint32_t)_i % 2 * 4; /* once around the volume, or not */
	bool saved = _i < 2;

	shape(4096, 4, 6);
	f.now = 1000000; /* its saves are others */
	ck_assert_int_eq(format(false), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	count = (uint64_t)chapters * f.geometry.records_per_chapter + 10;
	store(1000000, 1000000 + count, 7);
	if (saved)
		ck_assert_int_eq(uds_index_save(f.index), 0);
	close_index();
	foreign = copy_device(&size);
	end();

	shape(4096, 4, 6);
	make_chapters(true, 3, 1);
	overwrite_format(foreign);
	free(foreign);
	before = copy_device(&size);
	ck_assert_uint_eq(extras_state(NULL), UDS_EXTRAS_STALE);
	ck_assert_uint_eq(verify(), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_READ_ONLY), 0);
	ck_assert_uint_ge(ask(1000000, 1000000 + count, 7).right,
			  3 * (uint64_t)f.geometry.records_per_chapter);
	ck_assert_uint_eq(ask(1000000, 1000000 + count, 7).refused, 0);
	close_index();
	foreign = copy_device(&size);
	ck_assert_mem_eq(before, foreign, size);
	free(before);
	free(foreign);

	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	ck_assert_ptr_nonnull(strstr(f.log, "another program"));
	store(0, 2 * (uint64_t)f.geometry.records_per_chapter, 3);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	close_index();
	ck_assert_uint_eq(extras_state(NULL), UDS_EXTRAS_CURRENT);
	ck_assert_uint_eq(verify(), 0);
	flip(page_at(chapters % 6, 3) + 33, 1);
	ck_assert_uint_ge(verify(), 1);
	end();
}
END_TEST

/* ---- errors of the device ---- */

/* Nothing that goes wrong in the area, but for the journal, keeps the index from working. */
START_TEST(errors_in_the_area_are_logged_and_nothing_else)
{
	const unsigned int kinds[] = { FAULT_READ, FAULT_WRITE, FAULT_READ | FAULT_WRITE };
	struct fault_plan plan;
	struct uds_io *faulty;
	uint64_t count, more;

	shape(4096, 4, 6);
	count = make_chapters(true, 3, 1);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, f.io, NULL, &faulty), 0);
	f.io = faulty;
	/* What was flushed may be behind a header that cannot be read. */
	if (_i != 1) {
		fault_plan_spoil(&plan, FAULT_READ, f.geometry.index_bytes, 4096);
		ck_assert_int_eq(open_index(UDS_INDEX_LOAD), -EIO);
		fault_plan_spoil(&plan, FAULT_READ, 0, 0);
	}
	/* All of it, but for headers that are read; or all but the headers. */
	for (unsigned int from = _i == 1 ? 0 : 2; from < 5; from += 2) {
		fault_plan_spoil(&plan, kinds[_i], f.geometry.index_bytes + from * 4096,
				 sums_at(6) - f.geometry.index_bytes - from * 4096);
		more = f.geometry.records_per_chapter;
		ck_assert_int_eq(open_index(UDS_INDEX_LOAD), 0);
		ck_assert_uint_eq(ask(0, count, 1).refused, 0);
		store(count, count + more, 1);
		ck_assert_int_eq(uds_index_save(f.index), 0);
		ck_assert_uint_eq(ask(count, count + more, 1).right, more);
		close_index();
		ck_assert_ptr_nonnull(strstr(f.log, "extras"));
		ck_assert_int_eq(open_index(UDS_INDEX_LOAD), 0);
		close_index();
		fault_plan_spoil(&plan, FAULT_READ, 0, 0);
		ck_assert_uint_eq(verify(), 0);
		count += more;
	}
	end();
	fault_plan_end(&plan);
}
END_TEST

/* What a life of two chapters and a save comes to with a plan; true if all of it worked. */
static bool live_with(struct fault_plan *plan, const uint8_t *bytes, uint64_t size,
		      unsigned int kind, uint64_t nth, uint64_t *ret_count)
{
	struct uds_io *memory = bytes_io(bytes, size);
	bool good;

	fault_plan_start(plan);
	ck_assert_int_eq(fault_io_open(plan, memory, NULL, &f.io), 0);
	fault_plan_fail(plan, kind, nth, -EIO, false);
	good = open_index(UDS_INDEX_LOAD_OR_RECOVER) == 0;
	for (uint64_t i = 0; good && i < 2 * (uint64_t)f.geometry.records_per_chapter; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(SEED, i, &name);
		make_data('n', i, 1, &data);
		good = uds_index_post(f.index, &name, &data, NULL, NULL) == 0;
	}
	good = good && uds_index_save(f.index) == 0;
	good = uds_index_close(f.index) == 0 && good;
	f.index = NULL;
	*ret_count = fault_plan_count(plan, kind);
	fault_plan_fail(plan, kind, 0, 0, false);
	return good;
}

/*
 * After any transfer that failed, in the area or not, the index opens again, and checksums
 * call nothing damaged.
 */
START_TEST(no_failed_transfer_leaves_checksums_that_are_wrong)
{
	static const unsigned int kinds[] = { FAULT_READ, FAULT_WRITE, FAULT_FLUSH };
	uint64_t size, count, ignored, records, bad = 0;
	struct fault_plan plan;
	uint8_t *bytes;

	shape(4096, 4, 6);
	records = make_chapters(true, 7, 1);
	bytes = copy_device(&size);
	end();
	ck_assert(live_with(&plan, bytes, size, kinds[_i], 0, &count));
	for (uint64_t nth = 1; nth <= count; nth++) {
		struct answers answers;

		end();
		fault_plan_end(&plan);
		bad += !live_with(&plan, bytes, size, kinds[_i], nth, &ignored);
		ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
		answers = ask(0, records, 1);
		ck_assert_uint_eq(answers.refused, 0);
		ck_assert_int_eq(uds_index_save(f.index), 0);
		close_index();
		ck_assert_msg(verify() == 0, "%llu: %s", (unsigned long long)nth, f.findings);
	}
	ck_assert_uint_gt(bad, 0);
	free(bytes);
	end();
	fault_plan_end(&plan);
}
END_TEST

/* ---- memory ---- */

static int open_and_look(const struct uds_env *env, void *context)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_index *index = NULL;
	struct uds_record_data data;
	struct uds_record_name name;
	bool found = false;
	int r;

	(void)context;
	options.env = env;
	options.mode = UDS_INDEX_READ_ONLY;
	make_name(SEED, 600, &name);
	r = uds_index_open(f.io, &options, &f.message, &index);
	if (r == 0)
		r = uds_index_peek(index, &name, &data, &found);
	uds_index_close(index);
	return r;
}

START_TEST(each_allocation_may_fail)
{
	shape(4096, 4, 6);
	make_chapters(true, 3, 1);
	ck_assert_uint_gt(torture_each_allocation(open_and_look, NULL, true), 10);
	end();
}
END_TEST

/* Where the open chapter of the latest save begins, behind its head. */
static uint64_t saved_open_chapter(void)
{
	const char magic[] = "ALBOC02.00";
	uint8_t block[4096];

	for (uint64_t at = f.geometry.index_bytes; at >= sizeof(block);) {
		at -= sizeof(block);
		ck_assert_int_eq(uds_io_read(f.io, block, sizeof(block), at), 0);
		if (memcmp(block, magic, sizeof(magic) - 1) == 0 && get_le32(block + 10) > 0)
			return at + 14;
	}
	ck_abort_msg("there is none");
}

static int repair(bool lose_records, uint64_t *ret_findings)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	options.env = &f.env;
	options.lose_records = lose_records;
	f.findings[0] = '\0';
	return uds_index_repair(f.io, &options, take_finding, NULL, &f.message, ret_findings);
}

/*
 * Other bytes in the place of records that only the save has: those are lost, which a repair does
 * not do unasked, and afterwards there is nothing left to repair.
 */
START_TEST(a_repair_ends_damage_of_a_saved_open_chapter)
{
	const uint64_t damaged = 5;
	uint64_t count, at, findings = 0;

	shape(4096, 4, 6);
	/* Also where the save has the only records. */
	count = make_chapters(true, (uint32_t)_i, 1);
	at = saved_open_chapter() + 3 * UDS_RECORD_BYTES;
	for (uint64_t i = 0; i < damaged * UDS_RECORD_BYTES; i++)
		flip(at + i, (uint8_t)(splitmix64(SEED, i) | 1));
	ck_assert_uint_eq(verify(), 1);
	ck_assert_int_eq(repair(false, NULL), UDS_ERR_WOULD_LOSE_RECORDS);
	ck_assert_ptr_nonnull(strstr(f.findings, "5 volume index entries lead to no record"));
	ck_assert_uint_eq(verify(), 1);
	ck_assert_int_eq(repair(true, &findings), 0);
	ck_assert_uint_eq(findings, 1);
	ck_assert_uint_eq(verify(), 0);
	ck_assert_int_eq(repair(false, &findings), 0);
	ck_assert_uint_eq(findings, 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD), 0);
	ck_assert_uint_eq(ask(0, count, 1).right, count - damaged);
	ck_assert_uint_eq(ask(0, count, 1).missing, damaged);
	end();
}
END_TEST

/*
 * A record page is damaged, and records and a deletion are in the journal only: the repair loses
 * that page's records, says so, and nothing else.
 */
START_TEST(a_repair_keeps_what_the_journal_has)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_record_name name;
	uint64_t chapter, findings = 0;
	struct answers answers;

	shape(4096, 4, 6);
	chapter = f.geometry.records_per_chapter;
	ck_assert_int_eq(format(true), 0);
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD_OR_RECOVER), 0);
	store(0, 2 * chapter + 100, 1);
	make_name(SEED, 2 * chapter + 50, &name);
	ck_assert_int_eq(uds_index_delete(f.index, &name, NULL), 0);
	ck_assert_int_eq(uds_index_flush(f.index), 0);
	close_index();
	flip(page_at(0, f.geometry.index_pages_per_chapter + 1) + 100, 1);
	options.env = &f.env;
	ck_assert_int_eq(uds_index_repair(f.io, &options, take_finding, NULL, &f.message, NULL),
			 UDS_ERR_WOULD_LOSE_RECORDS);
	f.findings[0] = '\0';
	options.lose_records = true;
	ck_assert_int_eq(
		uds_index_repair(f.io, &options, take_finding, NULL, &f.message, &findings), 0);
	ck_assert_uint_gt(findings, 0);
	ck_assert_ptr_nonnull(strstr(f.findings, "records of 1 of its 4 record pages are lost"));
	/* It was saved, with all of the journal. */
	ck_assert_int_eq(open_index(UDS_INDEX_LOAD), 0);
	answers = ask(0, chapter, 1);
	ck_assert_uint_eq(answers.right, chapter - f.geometry.records_per_page);
	answers = ask(chapter, 2 * chapter + 100, 1);
	ck_assert_uint_eq(answers.right, chapter + 99);
	ck_assert_uint_eq(ask(2 * chapter + 50, 2 * chapter + 51, 1).missing, 1);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("extras");
	TCase *tc = tcase_create("extras");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, the_index_is_the_same_with_and_without);
	tcase_add_test(tc, the_journal_of_a_new_index_is_written);
	tcase_add_loop_test(tc, a_repair_ends_damage_of_a_saved_open_chapter, 0, 3);
	tcase_add_test(tc, a_repair_keeps_what_the_journal_has);
	tcase_add_test(tc, too_little_room_is_refused_and_says_what_would_fit);
	tcase_add_test(tc, an_index_in_a_vdo_volume_gets_none);
	tcase_add_test(tc, a_header_with_any_bit_flipped_is_refused);
	tcase_add_test(tc, the_newer_good_header_counts);
	tcase_add_test(tc, extras_of_a_later_version_are_left_alone);
	tcase_add_test(tc, an_area_that_was_cut_off_is_not_needed);
	tcase_add_test(tc, an_area_of_another_index_does_not_count);
	tcase_add_test(tc, checksums_of_an_area_that_was_there_before_do_not_count);
	tcase_add_loop_test(tc, verify_names_a_flipped_bit_in_any_sector, 0, 2);
	tcase_add_loop_test(tc, no_answer_is_wrong_after_a_flipped_bit, 0, 2);
	tcase_add_test(tc, damage_that_comes_later_is_found_where_reads_are_from_a_device);
	tcase_add_test(tc, a_damaged_page_is_counted_and_logged_once);
	tcase_add_test(tc, for_each_leaves_out_a_damaged_page);
	tcase_add_test(tc, a_damaged_checksum_block_is_no_damage_of_the_index);
	tcase_add_test(tc, recovery_makes_up_checksums_that_were_lost_with_the_power);
	tcase_add_loop_test(tc, checksums_that_a_failed_flush_may_have_lost_are_written_again, 0,
			    3);
	tcase_add_test(tc, recovery_keeps_a_newest_chapter_that_was_damaged_later);
	tcase_add_loop_test(tc, recovery_keeps_a_chapter_whose_head_was_damaged_later, 0,
			    (int)(sizeof(head_damages) / sizeof(head_damages[0])));
	tcase_add_loop_test(tc, a_header_that_cannot_be_read_is_told, 0, 2);
	tcase_add_test(
		tc,
		checksums_of_a_chapter_that_was_given_up_are_void_before_its_number_is_used_again);
	tcase_add_test(tc, a_header_is_written_when_all_it_tells_is_durable);
	tcase_add_test(tc, void_checksums_are_durable_before_a_chapter_is_written);
	tcase_add_loop_test(
		tc, chapters_of_another_program_are_good_and_checksums_are_taken_up_again, 0, 4);
	tcase_add_loop_test(tc, errors_in_the_area_are_logged_and_nothing_else, 0, 3);
	tcase_add_loop_test(tc, no_failed_transfer_leaves_checksums_that_are_wrong, 0, 3);
	tcase_add_test(tc, each_allocation_may_fail);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
