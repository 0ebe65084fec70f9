/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chapter writer: what it brings to the volume is found there, beside readers and after errors;
 * and a volume that is being written never shows a mixture of two chapters.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/env.h"
#include "check_main.h"
#include "crash.h"
#include "fault_io.h"
#include "io/io.h"
#include "torture_env.h"
#include "vector_file.h"
#include "volume/chapter_writer.h"
#include "volume/empty_volume.h"
#include "volume/find_chapters.h"
#include "volume/volume_private.h"
#include "volume/volume_search.h"
#include "volume/save_header.h"

#define ZONES 3u

struct index {
	struct uds_env env;
	struct uds_io *io;
	struct layout layout;
	struct volume *volume;
	struct chapter_writer *writer;
	struct open_zone *zones[2][ZONES]; /* open and closing, in turn */
	_Atomic uint64_t written;	   /* calls of the callback */
	_Atomic int last_status;
};

static void note_written(void *context, uint64_t vcn, int status)
{
	struct index *index = context;

	(void)vcn;
	index->written++;
	index->last_status = status;
}

static struct uds_configuration small_configuration(uint32_t page_bytes)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;

	configuration.page_bytes = page_bytes;
	configuration.record_pages_per_chapter = 4;
	configuration.chapters_per_volume = 6;
	return configuration;
}

/* Takes the I/O over. */
static void make_index(struct index *index, struct uds_io *io, uint32_t page_bytes)
{
	struct uds_configuration configuration = small_configuration(page_bytes);
	struct uds_message message = { "" };
	int r;

	memset(index, 0, sizeof(*index));
	ck_assert_int_eq(env_complete(guarded_env(), &index->env), 0);
	index->io = io;
	r = layout_create(io, &io->env, &configuration, &(struct layout_options){ 0 }, &message);
	if (r == 0)
		r = layout_read(io, 0, &message, &index->layout);
	ck_assert_msg(r == 0, "%s", message.text);
	ck_assert_int_eq(volume_open(io, &index->layout, 0, NULL, &index->env, &index->volume), 0);
	ck_assert_int_eq(chapter_writer_make(index->volume, &index->layout, note_written, index,
					     &index->writer),
			 0);
	for (int i = 0; i < 2; i++) {
		for (unsigned int z = 0; z < ZONES; z++)
			ck_assert_int_eq(
				open_zone_make(&index->env,
					       index->layout.geometry.records_per_chapter / ZONES,
					       &index->zones[i][z]),
				0);
	}
}

static void free_index(struct index *index)
{
	chapter_writer_free(index->writer);
	volume_close(index->volume);
	uds_io_close(index->io);
	for (int i = 0; i < 2; i++) {
		for (unsigned int z = 0; z < ZONES; z++)
			open_zone_free(index->zones[i][z]);
	}
}

/* Record @i of chapter @vcn. */
static struct uds_record record(uint64_t vcn, uint32_t i)
{
	struct uds_record record;

	put_le64(record.name.bytes, splitmix(vcn, 2 * i));
	put_le64(record.name.bytes + 8, splitmix(vcn, 2 * i + 1));
	put_le64(record.data.bytes, vcn);
	put_le64(record.data.bytes + 8, i);
	return record;
}

/* Fills the zones for a chapter; records are dealt out in turn. Returns how many there are. */
static uint32_t fill(struct index *index, uint64_t vcn)
{
	struct open_zone **zones = index->zones[vcn % 2];
	uint32_t count = zones[0]->capacity * ZONES, room;

	for (unsigned int z = 0; z < ZONES; z++)
		open_zone_reset(zones[z]);
	for (uint32_t i = 0; i < count; i++) {
		struct uds_record r = record(vcn, i);

		ck_assert_int_eq(open_zone_put(zones[i % ZONES], &r.name, &r.data, &room), 0);
	}
	return count;
}

static int submit(struct index *index, uint64_t vcn, struct uds_message *message)
{
	return chapter_writer_submit(index->writer, vcn, index->zones[vcn % 2], ZONES, message);
}

static void write_chapter(struct index *index, uint64_t vcn)
{
	struct uds_message message = { "" };
	int r;

	fill(index, vcn);
	r = submit(index, vcn, &message);
	ck_assert_msg(r == 0, "%s", message.text);
}

/*
 * Looks up record @i of a chapter: 1 found with its data, 0 not found, or an error. Other data
 * fail the test.
 */
static int look_up(struct index *index, uint64_t vcn, uint32_t i, struct uds_message *message)
{
	struct uds_record r = record(vcn, i);
	struct uds_record_data data;
	bool found = false;
	int status;

	status = volume_search_chapter(index->volume, vcn, &r.name, &found, &data, message);
	if (status < 0)
		return status;
	if (found)
		ck_assert_mem_eq(data.bytes, r.data.bytes, 16);
	return found;
}

static void check_chapter(struct index *index, uint64_t vcn)
{
	struct uds_message message = { "" };
	uint32_t count = index->zones[0][0]->capacity * ZONES;

	for (uint32_t i = 0; i < count; i++) {
		int r = look_up(index, vcn, i, &message);

		ck_assert_msg(r == 1, "chapter %" PRIu64 " record %" PRIu32 ": %d %s", vcn, i, r,
			      message.text);
	}
}

static struct uds_io *memory_io(uint32_t block_bytes)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(0, block_bytes, NULL, NULL, &io), 0);
	return io;
}

START_TEST(written_chapters_are_found_and_the_oldest_make_way)
{
	static const uint32_t block_bytes[] = { 1, 512, 4096 };
	static const uint32_t page_bytes[] = { 4096, 12288, 16384, 32768 };
	struct chapter_writer_statistics statistics;
	struct uds_message message = { "" };
	struct found_chapters found;
	struct index index;

	/* A run in part: each size of blocks, and of pages, with some of the other. */
	if (test_in_part() && _i % 3 != _i / 3 % 3)
		return;
	make_index(&index, memory_io(block_bytes[_i % 3]), page_bytes[_i / 3]);
	for (uint64_t vcn = 0; vcn < 15; vcn++)
		write_chapter(&index, vcn);
	ck_assert_int_eq(chapter_writer_wait(index.writer, &message), 0);
	ck_assert_uint_eq(index.written, 15);
	chapter_writer_get_statistics(index.writer, &statistics);
	ck_assert_uint_eq(statistics.chapters, 15);
	ck_assert_uint_eq(statistics.unreachable_records, 0);
	for (uint64_t vcn = 9; vcn < 15; vcn++)
		check_chapter(&index, vcn);
	/* With all heads in memory and pages in the cache once more. */
	atomic_store(&index.volume->reader.slowness, 1 << 30);
	for (uint64_t vcn = 9; vcn < 15; vcn++)
		check_chapter(&index, vcn);
	ck_assert_int_eq(look_up(&index, 8, 5, &message), 0);

	ck_assert_int_eq(volume_find_chapters(index.volume, NULL, &message, &found), 0);
	ck_assert_uint_eq(found.newest, 15);
	ck_assert_uint_eq(found.oldest, 10);
	for (uint64_t vcn = found.oldest; vcn < 15; vcn++)
		check_chapter(&index, vcn);
	found_chapters_free(index.volume, &found);
	free_index(&index);
}
END_TEST

/*
 * uds-format, 20.2, R13: the origin keeps pages of a slot in its cache while the slot is
 * overwritten.
 */
START_TEST(defect_R13_what_was_read_of_a_slot_is_forgotten_when_it_is_overwritten)
{
	struct index index;

	make_index(&index, memory_io(1), 32768);
	for (uint64_t vcn = 0; vcn < 6; vcn++)
		write_chapter(&index, vcn);
	ck_assert_int_eq(chapter_writer_wait(index.writer, NULL), 0);
	atomic_store(&index.volume->reader.slowness, _i == 0 ? -(1 << 30) : 1 << 30);
	check_chapter(&index, 2);
	write_chapter(&index, 8); /* the slot of chapter 2 */
	ck_assert_int_eq(chapter_writer_wait(index.writer, NULL), 0);
	check_chapter(&index, 8);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(look_up(&index, 2, i, NULL), 0);
	free_index(&index);
}
END_TEST

/* A save of chapter @newest, as far as the chapter writer is concerned with it. */
static struct save make_save(struct index *index, uint64_t newest, unsigned int zones, uint64_t now)
{
	struct uds_message message = { "" };
	struct save save;
	int r;

	r = saves_begin(&index->layout.saves, index->io, &index->layout.super, zones, now, &message,
			&save);
	ck_assert_msg(r == 0, "%s", message.text);
	save.newest = save.oldest = newest;
	ck_assert_int_eq(uds_io_write(index->io, "ALBOC02.", 8, save.open_chapter.offset), 0);
	r = saves_commit(&index->layout.saves, index->io, &index->layout.super, &save, false,
			 &message);
	ck_assert_msg(r == 0, "%s", message.text);
	return save;
}

/* The records in the open chapter of a save have no other place until that chapter is durable. */
START_TEST(a_save_lasts_until_the_chapter_it_has_open_is_on_the_volume)
{
	struct uds_message message = { "" };
	const struct save *latest;
	struct fault_plan plan;
	struct layout again;
	struct index index;
	struct uds_io *io;
	struct save save;
	uint8_t bytes[8];

	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, memory_io(1), NULL, &io), 0);
	make_index(&index, io, 4096);
	save = make_save(&index, 0, 1, 5);

	/* While the chapter cannot be written the save is as good as before. */
	fault_plan_fail(&plan, FAULT_WRITE, 2, -EIO, false);
	write_chapter(&index, 0);
	ck_assert_int_eq(chapter_writer_wait(index.writer, &message), -EIO);
	ck_assert_int_eq(submit(&index, 1, &message), -EIO);
	ck_assert_int_eq(layout_read(io, 0, &message, &again), 0);
	ck_assert_int_eq(saves_latest(&again.saves, &again.geometry, &message, &latest), 0);
	uds_io_read(io, bytes, 8, save.open_chapter.offset);
	ck_assert_mem_eq(bytes, "ALBOC02.", 8);
	chapter_writer_free(index.writer);

	/*
	 * When the chapter is there and the save cannot be wiped, everybody is told (20.2, R4); the
	 * save is known to be out of date all the same.
	 */
	ck_assert_int_eq(chapter_writer_make(index.volume, &index.layout, note_written, &index,
					     &index.writer),
			 0);
	fault_plan_fail(&plan, FAULT_WRITE, 3, -EIO, false);
	write_chapter(&index, 0);
	ck_assert_int_eq(chapter_writer_wait(index.writer, &message), -EIO);
	ck_assert_ptr_nonnull(strstr(message.text, "invalidating its open chapter"));
	ck_assert_int_eq(index.last_status, -EIO);
	ck_assert_int_eq(submit(&index, 1, &message), -EIO);
	ck_assert_int_eq(chapter_writer_status(index.writer, NULL), -EIO);
	ck_assert_int_eq(layout_read(io, 0, &message, &again), 0);
	ck_assert(again.saves.slots[0].outdated);
	ck_assert_int_eq(saves_latest(&again.saves, &again.geometry, &message, &latest),
			 UDS_ERR_NEEDS_RECOVERY);
	ck_assert_ptr_nonnull(strstr(message.text, "chapter 0, which is to come next, is on the"));
	chapter_writer_free(index.writer);

	ck_assert_int_eq(chapter_writer_make(index.volume, &index.layout, note_written, &index,
					     &index.writer),
			 0);
	write_chapter(&index, 0);
	ck_assert_int_eq(chapter_writer_wait(index.writer, &message), 0);
	uds_io_read(io, bytes, 8, save.open_chapter.offset);
	ck_assert_uint_eq(get_le64(bytes), 0);
	free_index(&index);
	fault_plan_end(&plan);
}
END_TEST

/* A save that has another chapter open may use the slot that is written to. */
START_TEST(a_save_of_another_chapter_is_invalid_before_anything_is_written)
{
	struct uds_message message = { "" };
	struct fault_plan plan;
	struct index index;
	struct uds_io *io;

	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, memory_io(1), NULL, &io), 0);
	make_index(&index, io, 4096);
	make_save(&index, 3, 1, 5);
	fault_plan_fail(&plan, FAULT_WRITE, 1, -EIO, false);
	write_chapter(&index, 0);
	ck_assert_int_eq(chapter_writer_wait(index.writer, &message), -EIO);
	ck_assert_ptr_nonnull(strstr(message.text, "chapter 0: not written"));
	ck_assert_ptr_nonnull(strstr(message.text, "invalidating its open chapter"));
	ck_assert_int_eq(volume_is_empty(index.volume, NULL), 1);
	free_index(&index);
	fault_plan_end(&plan);
}
END_TEST

static unsigned int rounds(void)
{
	return 40 / (unsigned int)test_step_to(8);
}

/*
 * The bytes of all devices after every cut of @log from event @first on, as sectors may
 * have been torn.
 */
static unsigned int sweep_sectors(struct uds_crash_log *log, size_t first,
				  void (*check)(const uint8_t *bytes, const char *text))
{
	struct crash_cuts sweep;
	struct uds_crash_log *after;
	unsigned int states = 0;

	crash_start(&sweep, log, 7);
	sweep.options.first = first;
	sweep.options.rounds = rounds();
	while ((after = crash_next(&sweep)) != NULL) {
		check(crash_bytes(after, 0), sweep.state.text);
		uds_crash_log_free(after);
		states++;
	}
	return states;
}

static uint64_t torn_at; /* the open chapter of the save that is made invalid */

/* What looks like a saved open chapter by its first sector must be all of one. */
static void check_open_chapter(const uint8_t *bytes, const char *text)
{
	const uint8_t *block = bytes + torn_at;

	for (unsigned int i = 0; i < 8; i++) {
		if (block[i] != 'A' + i && block[0] != 0)
			ck_abort_msg("%s: byte %u of the magic", text, i);
	}
	for (unsigned int i = 8; block[0] != 0 && i < BLOCK_BYTES; i++)
		ck_assert_msg(block[i] == (uint8_t)(i % 251 + 1), "%s: byte %u is gone", text, i);
}

START_TEST(no_cut_leaves_a_saved_open_chapter_with_holes_behind_its_magic)
{
	struct uds_crash_log *log = crash_log();
	struct uds_message message = { "" };
	uint8_t block[BLOCK_BYTES];
	struct index index;
	struct uds_io *io;
	size_t first;

	crash_add(log, NULL, 3 << 18, 1);
	io = crash_open(log, 0);
	make_index(&index, io, 4096);
	torn_at = make_save(&index, 0, 1, 5).open_chapter.offset;
	for (unsigned int i = 0; i < BLOCK_BYTES; i++)
		block[i] = (uint8_t)(i < 8 ? 'A' + i : i % 251 + 1);
	ck_assert_int_eq(uds_io_write(io, block, sizeof(block), torn_at), 0);
	ck_assert_int_eq(uds_io_flush(io), 0);
	first = uds_crash_log_events(log);
	ck_assert_int_eq(saves_invalidate(&index.layout.saves, io, &index.layout.super, &message),
			 0);
	ck_assert_uint_gt(sweep_sectors(log, first, check_open_chapter), rounds());
	free_index(&index);
	uds_crash_log_free(log);
}
END_TEST

static struct super_block torn_super;

static void check_headers(const uint8_t *bytes, const char *text)
{
	struct uds_message message = { "" };
	struct save save;

	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		int r = save_header_decode(bytes + super_block_save_at(&torn_super, i) *
							   BLOCK_BYTES,
					   &torn_super, i, &save, &message);

		ck_assert_msg(r >= 0, "%s: %s", text, message.text);
	}
}

/* With 14 zones and more a header is longer than a sector. */
START_TEST(no_cut_leaves_a_damaged_save_header)
{
	static const unsigned int zones[] = { 1, 13, 14, 16 };
	struct uds_crash_log *log = crash_log();
	struct index index;
	struct uds_io *io;
	size_t first;

	crash_add(log, NULL, 3 << 18, 1);
	io = crash_open(log, 0);
	make_index(&index, io, 4096);
	torn_super = index.layout.super;
	first = uds_crash_log_events(log);
	for (unsigned int n = 0; n < 4; n++)
		make_save(&index, 0, zones[(_i + n) % 4], 5 + n);
	ck_assert_uint_gt(sweep_sectors(log, first, check_headers), 10 * rounds());
	free_index(&index);
	uds_crash_log_free(log);
}
END_TEST

/*
 * uds-format, 20.2, R12: after a rebuild the origin leaves a save alone that was only hard to
 * read.
 */
START_TEST(defect_R12_a_save_that_could_not_be_read_is_invalid_before_a_chapter_is_written)
{
	struct uds_message message = { "" };
	const struct save *latest;
	struct fault_plan plan;
	struct layout layout;
	struct index index;
	struct uds_io *io;

	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, memory_io(1), NULL, &io), 0);
	make_index(&index, io, 4096);
	make_save(&index, 0, 1, 5);
	fault_plan_fail(&plan, FAULT_READ, 3, -EIO, false); /* super block, config, then save 0 */
	ck_assert_int_eq(layout_read(io, 0, &message, &index.layout), 0);
	ck_assert_uint_eq(plan.failed, 1);
	ck_assert_int_eq(index.layout.saves.slots[0].state, SLOT_UNKNOWN);
	ck_assert_int_eq(saves_check_readable(&index.layout.saves, &message), -EIO);
	ck_assert_ptr_nonnull(strstr(message.text, "save 0 header"));
	ck_assert_int_eq(
		saves_latest(&index.layout.saves, &index.layout.geometry, &message, &latest),
		UDS_ERR_NEEDS_RECOVERY);
	ck_assert_ptr_nonnull(strstr(message.text, "save 0 header"));
	write_chapter(&index, 0);
	ck_assert_int_eq(chapter_writer_wait(index.writer, &message), 0);
	ck_assert_int_eq(layout_read(io, 0, &message, &layout), 0);
	ck_assert_int_eq(layout.saves.slots[0].state, SLOT_UNSAVED);
	free_index(&index);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(an_error_in_the_middle_of_a_chapter_leaves_the_others_readable)
{
	static const unsigned int kinds[] = { FAULT_WRITE, FAULT_FLUSH };
	static const int statuses[] = { -ENOSPC, -EIO };
	struct uds_message message = { "" };
	struct fault_plan plan;
	struct index index;
	struct uds_io *io;

	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, memory_io(1), NULL, &io), 0);
	make_index(&index, io, 4096);
	for (uint64_t vcn = 0; vcn < 6; vcn++)
		write_chapter(&index, vcn);
	ck_assert_int_eq(chapter_writer_wait(index.writer, &message), 0);
	plan.partial_bytes = 6000;
	fault_plan_fail(&plan, kinds[_i], 1, statuses[_i], false);
	write_chapter(&index, 6);
	ck_assert_int_eq(chapter_writer_wait(index.writer, &message), statuses[_i]);
	ck_assert_msg(strstr(message.text, "chapter 6 (slot 0)") != NULL, "%s", message.text);
	ck_assert_int_eq(submit(&index, 7, &message), statuses[_i]);
	for (uint64_t vcn = 1; vcn < 6; vcn++)
		check_chapter(&index, vcn);
	/* Nobody is shown what is in the slot now. */
	for (uint32_t i = 0; i < 10; i++) {
		ck_assert_int_eq(look_up(&index, 0, i, &message), 0);
		ck_assert_int_eq(look_up(&index, 6, i, &message), 0);
	}
	ck_assert_uint_eq(index.written, 7);
	free_index(&index);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(a_chapter_without_records_is_not_written)
{
	struct uds_message message = { "" };
	struct index index;

	make_index(&index, memory_io(1), 4096);
	ck_assert_int_eq(submit(&index, 0, &message), 0);
	ck_assert_int_eq(chapter_writer_wait(index.writer, &message), UDS_ERR_BAD_STATE);
	ck_assert_int_eq(volume_is_empty(index.volume, NULL), 1);
	free_index(&index);
}
END_TEST

/* A reader: looks up records of all chapters, also of those that are just being replaced. */
struct reader {
	struct index *index;
	pthread_t thread;
	uint64_t seed;
	_Atomic uint64_t *newest; /* written so far */
	_Atomic uint64_t *found;  /* by all readers */
	_Atomic bool *stop;
};

static void *read_records(void *argument)
{
	struct reader *reader = argument;
	struct volume_search searches[8] = { { 0 } };
	struct uds_message message = { "" };
	uint32_t count = reader->index->zones[0][0]->capacity * ZONES;

	for (uint64_t n = 0; !atomic_load(reader->stop); n++) {
		uint64_t newest = atomic_load(reader->newest), random;
		int r;

		for (unsigned int i = 0; i < 8; i++) {
			random = splitmix(reader->seed, n * 8 + i);
			searches[i].vcn = newest < 6 ? random % newest : newest - 1 - random % 6;
			searches[i].name =
				record(searches[i].vcn, (uint32_t)(random >> 32) % count).name;
		}
		if (n % 1000 == 0) /* now and then as on a slow device */
			atomic_store(&reader->index->volume->reader.slowness,
				     n % 2000 == 0 ? 1000 : 0);
		r = volume_search_many(reader->index->volume, searches, 8, &message);
		if (r < 0) {
			fprintf(stderr, "%s\n", message.text);
			abort();
		}
		for (unsigned int i = 0; i < 8; i++) {
			if (!searches[i].found)
				continue;
			atomic_fetch_add(reader->found, 1);
			if (get_le64(searches[i].data.bytes) != searches[i].vcn)
				abort(); /* a record of another chapter */
		}
	}
	return NULL;
}

START_TEST(readers_beside_the_writer_see_one_chapter_or_none)
{
	uint64_t chapters = test_scaled(60);
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	_Atomic uint64_t newest = 0, found = 0;
	_Atomic bool stop = false;
	struct uds_message message;
	struct reader readers[3];
	struct index index;
	struct uds_io *io;
	char path[512];

	snprintf(path, sizeof(path), "%s/index", scratch_dir());
	options.write = options.create = true;
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, &message, &io), 0);
	make_index(&index, io, 32768);
	for (uint64_t vcn = 0; vcn < chapters; vcn++) {
		write_chapter(&index, vcn);
		if (vcn == 0) {
			ck_assert_int_eq(chapter_writer_wait(index.writer, &message), 0);
			newest = 1;
			for (unsigned int i = 0; i < 3; i++) {
				readers[i] = (struct reader){ .index = &index,
							      .seed = i + 1,
							      .newest = &newest,
							      .found = &found,
							      .stop = &stop };
				pthread_create(&readers[i].thread, NULL, read_records, &readers[i]);
			}
		}
		/* The one before is written; who reads it may be overtaken. */
		newest = vcn > 0 ? vcn : 1;
	}
	ck_assert_int_eq(chapter_writer_wait(index.writer, &message), 0);
	newest = chapters;
	/* On a busy machine the readers may have had no turn yet. */
	while (found <= 100)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	stop = true;
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(readers[i].thread, NULL);
	for (uint64_t vcn = chapters - 6; vcn < chapters; vcn++)
		check_chapter(&index, vcn);
	free_index(&index);
	unlink(path);
	rmdir(scratch_dir());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chapter_writer");
	TCase *tc = tcase_create("chapter_writer");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, written_chapters_are_found_and_the_oldest_make_way, 0, 12);
	tcase_add_loop_test(
		tc, defect_R13_what_was_read_of_a_slot_is_forgotten_when_it_is_overwritten, 0, 2);
	tcase_add_test(tc, a_save_lasts_until_the_chapter_it_has_open_is_on_the_volume);
	tcase_add_test(tc, a_save_of_another_chapter_is_invalid_before_anything_is_written);
	tcase_add_test(tc, no_cut_leaves_a_saved_open_chapter_with_holes_behind_its_magic);
	tcase_add_loop_test(tc, no_cut_leaves_a_damaged_save_header, 0, 4);
	tcase_add_test(
		tc,
		defect_R12_a_save_that_could_not_be_read_is_invalid_before_a_chapter_is_written);
	tcase_add_loop_test(tc, an_error_in_the_middle_of_a_chapter_leaves_the_others_readable, 0,
			    2);
	tcase_add_test(tc, a_chapter_without_records_is_not_written);
	tcase_add_test(tc, readers_beside_the_writer_see_one_chapter_or_none);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
