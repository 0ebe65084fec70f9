/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A zone of the volume index that is saved while requests change it: what is written is what it was
 * when it was frozen, byte for byte.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "names.h"
#include "save_zone.h"
#include "torture_env.h"
#include "volume_index/zone_save.h"

#define SEED UINT64_C(0x50ce)

struct fixture {
	struct torture_env torture;
	struct geometry geometry;
	struct volume_index *index;
	struct crew *crew;
	unsigned int zones;
	uint64_t vcn, random;
};

static uint64_t roll(struct fixture *f, uint64_t below)
{
	return splitmix64(SEED, f->random++) % below;
}

static void open_chapter(struct fixture *f)
{
	f->vcn++;
	for (unsigned int zone = 0; zone < f->zones; zone++)
		ck_assert_int_eq(volume_index_set_open_chapter(f->index, zone, f->vcn), 0);
}

/* Stores, moves or removes a name, or only asks, which may sweep its list. */
static void change(struct fixture *f)
{
	struct uds_record_name name;
	struct name_place place;
	struct hint hint;
	uint64_t what = roll(f, 8);

	make_name(SEED, roll(f, 6000), &name);
	/* Few addresses: many collision entries. */
	name.bytes[6] = 0;
	name.bytes[7] &= 3;
	volume_index_locate(f->index, &name, &place);
	volume_index_get(f->index, &place, &name, &hint);
	if (what == 0)
		return;
	if (!hint.found || (what == 1 && !hint.collision))
		(void)volume_index_put(f->index, &hint, &name, f->vcn);
	else if (what < 6)
		ck_assert_int_eq(volume_index_set(f->index, &hint, f->vcn), 0);
	else
		volume_index_remove(f->index, &hint);
}

static void changes(struct fixture *f, unsigned int count, unsigned int per_chapter)
{
	for (unsigned int i = 1; i <= count; i++) {
		change(f);
		if (i % per_chapter == 0)
			open_chapter(f);
	}
}

static void start(struct fixture *f, bool sparse, unsigned int zones, unsigned int members)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	memset(f, 0, sizeof(*f));
	torture_env_start(&f->torture);
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = 16;
	if (sparse) {
		c.sparse_chapters_per_volume = 8;
		c.sparse_sample_rate = 4;
	}
	f->zones = zones;
	ck_assert_int_eq(geometry_make(&c, &f->geometry, NULL), 0);
	ck_assert_int_eq(
		volume_index_make(&f->torture.env, &f->geometry, zones, 1, 5, NULL, &f->index), 0);
	changes(f, 6000, 300);
	ck_assert_int_eq(crew_make(&f->torture.env, members, &f->crew), 0);
}

static void end(struct fixture *f)
{
	crew_free(f->crew);
	volume_index_free(f->index);
	torture_env_end(&f->torture);
}

static void save_at_once(struct fixture *f, struct saved_bytes *streams)
{
	for (unsigned int zone = 0; zone < f->zones; zone++) {
		struct byte_sink sink = { saved_bytes_add, &streams[zone] };
		uint64_t dropped;

		ck_assert_int_eq(save_zone(f->index, zone, UINT64_MAX, &sink, NULL, &dropped), 0);
		ck_assert_uint_eq(dropped, 0);
	}
}

static void freeze_all(struct fixture *f, struct zone_save **saves)
{
	for (unsigned int zone = 0; zone < f->zones; zone++) {
		ck_assert_int_eq(
			volume_index_save_make(f->index, zone, f->crew, NULL, &saves[zone]), 0);
		ck_assert_int_eq(volume_index_save_freeze(saves[zone], UINT64_MAX, NULL), 0);
	}
}

static void free_all(struct fixture *f, struct zone_save **saves)
{
	for (unsigned int zone = 0; zone < f->zones; zone++) {
		volume_index_save_thaw(saves[zone]);
		volume_index_save_free(saves[zone]);
	}
}

/*
 * @_i: bit 0 sparse, bit 1 three zones; bits 2 and 3: how much changes between two slices; then
 * how many threads encode.
 */
START_TEST(what_changes_while_a_zone_is_saved_is_written_as_it_was)
{
	static const unsigned int between[] = { 1, 30, 400, 3000 };
	static const unsigned int members[] = { 1, 2, 8 };
	struct zone_save *saves[3];
	struct saved_bytes before[3] = { { NULL, 0 } };
	struct fixture f;
	unsigned int slices = 0;

	start(&f, _i & 1, _i & 2 ? 3 : 1, members[_i / 16]);
	save_at_once(&f, before);
	freeze_all(&f, saves);
	changes(&f, 100, 50);
	for (unsigned int zone = 0; zone < f.zones; zone++) {
		struct saved_bytes now = { NULL, 0 };
		struct byte_sink sink = { saved_bytes_add, &now };
		int more = 1;

		ck_assert_int_eq(volume_index_save_start(saves[zone], &sink, NULL), 0);
		while (more == 1) {
			changes(&f, between[_i / 4 % 4], 100);
			more = volume_index_save_take(saves[zone], NULL);
			ck_assert_int_ge(more, 0);
			ck_assert_int_eq(volume_index_save_write(saves[zone], NULL), 0);
			slices++;
		}
		ck_assert_uint_eq(now.length, before[zone].length);
		ck_assert_mem_eq(now.bytes, before[zone].bytes, now.length);
		free(now.bytes);
		free(before[zone].bytes);
	}
	/* Otherwise nothing came between. */
	ck_assert_uint_gt(slices, 2 * f.zones);
	free_all(&f, saves);
	end(&f);
}
END_TEST

/*
 * Chapters have to be left out: which ones, and their sizes, is decided for the moment
 * of the freeze.
 */
START_TEST(a_save_that_leaves_chapters_out_is_of_one_moment_too)
{
	struct saved_bytes before = { NULL, 0 }, now = { NULL, 0 };
	struct byte_sink sink = { saved_bytes_add, &before };
	struct zone_save *save;
	struct fixture f;
	uint64_t limit, dropped;
	int more = 1;

	start(&f, _i & 1, 1, _i & 2 ? 3 : 1);
	limit = saved_zone_bytes(f.index, 0) * 9 / 10;
	ck_assert_int_eq(save_zone(f.index, 0, limit, &sink, NULL, &dropped), 0);
	ck_assert_uint_gt(dropped, 0);
	ck_assert_int_eq(volume_index_save_make(f.index, 0, f.crew, NULL, &save), 0);
	ck_assert_int_eq(volume_index_save_freeze(save, limit, NULL), 0);
	sink.context = &now;
	ck_assert_int_eq(volume_index_save_start(save, &sink, NULL), 0);
	while (more == 1) {
		changes(&f, 50, 25);
		more = volume_index_save_take(save, NULL);
		ck_assert_int_eq(volume_index_save_write(save, NULL), 0);
	}
	ck_assert_int_eq(more, 0);
	ck_assert_uint_eq(volume_index_save_dropped(save), dropped);
	ck_assert_uint_eq(now.length, before.length);
	ck_assert_mem_eq(now.bytes, before.bytes, now.length);
	volume_index_save_thaw(save);
	volume_index_save_free(save);
	free(now.bytes);
	free(before.bytes);
	end(&f);
}
END_TEST

/* The request is carried out; the save says that it cannot go on. */
START_TEST(without_memory_for_a_copy_the_save_fails)
{
	struct saved_bytes now = { NULL, 0 };
	struct byte_sink sink = { saved_bytes_add, &now };
	struct uds_message message = { "" };
	struct zone_save *save;
	struct fixture f;

	start(&f, false, 1, 1);
	ck_assert_int_eq(volume_index_save_make(f.index, 0, f.crew, NULL, &save), 0);
	ck_assert_int_eq(volume_index_save_freeze(save, UINT64_MAX, NULL), 0);
	ck_assert_int_eq(volume_index_save_start(save, &sink, NULL), 0);
	torture_env_fail_at(&f.torture, 1, false);
	while (f.torture.failed == 0)
		change(&f);
	torture_env_fail_at(&f.torture, 0, false);
	ck_assert_int_eq(volume_index_save_take(save, &message), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(message.text, "no memory to save zone 0"));
	changes(&f, 1000, 100);
	volume_index_save_thaw(save);
	changes(&f, 1000, 100);
	volume_index_save_free(save);
	free(now.bytes);
	end(&f);
}
END_TEST

/* The copies go as their lists are written, and the rest at the end. */
START_TEST(copies_take_no_more_than_the_stream)
{
	struct zone_save *save;
	struct fixture f;
	uint64_t without, stream;

	start(&f, false, 1, 1);
	stream = saved_zone_bytes(f.index, 0);
	ck_assert_int_eq(volume_index_save_make(f.index, 0, f.crew, NULL, &save), 0);
	ck_assert_int_eq(volume_index_save_freeze(save, UINT64_MAX, NULL), 0);
	without = f.torture.bytes;
	for (unsigned int i = 0; i < save->parts[0].frozen.list_count; i++) {
		zone_save_keep(save, save->parts[0].zone, i);
		zone_save_keep(save, save->parts[0].zone, i);
	}
	ck_assert_uint_gt(f.torture.bytes, without);
	ck_assert_uint_le(f.torture.bytes - without, stream);
	volume_index_save_thaw(save);
	volume_index_save_free(save);
	end(&f);
}
END_TEST

/* A sink that takes so many writes; a save that stops there has slices under way. */
struct failing_sink {
	unsigned int left;
};

static int take_some(void *context, const void *bytes, size_t length)
{
	struct failing_sink *sink = context;

	(void)bytes;
	(void)length;
	return sink->left-- > 0 ? 0 : -EIO;
}

START_TEST(a_sink_that_fails_ends_the_save)
{
	struct failing_sink some = { (unsigned int)_i };
	struct byte_sink sink = { take_some, &some };
	struct uds_message message = { "" };
	struct zone_save *save;
	struct fixture f;
	int r, more = 1;

	start(&f, false, 1, 3);
	ck_assert_int_eq(volume_index_save_make(f.index, 0, f.crew, NULL, &save), 0);
	ck_assert_int_eq(volume_index_save_freeze(save, UINT64_MAX, NULL), 0);
	r = volume_index_save_start(save, &sink, &message);
	while (r == 0 && more == 1) {
		more = volume_index_save_take(save, &message);
		r = volume_index_save_write(save, &message);
	}
	ck_assert_int_eq(r, -EIO);
	ck_assert_ptr_nonnull(strstr(message.text, "zone 0 was not written"));
	volume_index_save_thaw(save);
	volume_index_save_free(save);
	end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("zone_save");
	TCase *tcase = tcase_create("zone_save");

	tcase_add_loop_test(tcase, what_changes_while_a_zone_is_saved_is_written_as_it_was, 0, 48);
	tcase_add_loop_test(tcase, a_save_that_leaves_chapters_out_is_of_one_moment_too, 0, 4);
	tcase_add_loop_test(tcase, a_sink_that_fails_ends_the_save, 0, 3);
	tcase_add_test(tcase, without_memory_for_a_copy_the_save_fails);
	tcase_add_test(tcase, copies_take_no_more_than_the_stream);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
