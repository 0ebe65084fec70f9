/* SPDX-License-Identifier: BSD-2-Clause */
/* Open chapter: zones, collation, saves; against a simple model and recorded saves. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "chapter/closed_chapter.h"
#include "chapter/index_page.h"
#include "chapter/saved_chapter.h"
#include "check_main.h"
#include "torture_env.h"
#include "vector_file.h"

static struct uds_env env;

static void complete_env(void)
{
	ck_assert_int_eq(env_complete(guarded_env(), &env), 0);
}

static struct open_zone *make_zone(uint32_t capacity)
{
	struct open_zone *zone;

	ck_assert_int_eq(open_zone_make(&env, capacity, &zone), 0);
	return zone;
}

static struct geometry small_geometry(uint32_t record_pages)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct geometry g;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = record_pages;
	c.chapters_per_volume = 10;
	ck_assert_int_eq(geometry_make(&c, &g, NULL), 0);
	return g;
}

static struct uds_record record_of(uint64_t seed, uint64_t i)
{
	struct uds_record record;
	char token[32];

	snprintf(token, sizeof(token), "n%" PRIu64, i);
	token_name(seed, token, &record.name);
	token_data(token, 1, &record.data);
	return record;
}

static int put(struct open_zone *zone, const struct uds_record *record, uint32_t *ret_room)
{
	return open_zone_put(zone, &record->name, &record->data, ret_room);
}

START_TEST(records_are_found_until_removed)
{
	struct open_zone *zone = make_zone(100);
	uint32_t room = 99;

	for (uint64_t i = 0; i < 60; i++) {
		struct uds_record r = record_of(1, i);

		ck_assert_ptr_null(open_zone_search(zone, &r.name));
		ck_assert_int_eq(put(zone, &r, &room), 0);
		ck_assert_uint_eq(room, 99 - i);
	}
	for (uint64_t i = 0; i < 60; i++) {
		struct uds_record r = record_of(1, i);
		struct uds_record_data *data = open_zone_search(zone, &r.name);

		ck_assert_ptr_nonnull(data);
		ck_assert_mem_eq(data, &r.data, 16);
		ck_assert_int_eq(open_zone_remove(zone, &r.name), true);
		ck_assert_ptr_null(open_zone_search(zone, &r.name));
		ck_assert_int_eq(open_zone_remove(zone, &r.name), false);
	}
	ck_assert_uint_eq(open_zone_live(zone), 0);
	ck_assert_uint_eq(zone->size, 60);
	open_zone_reset(zone);
	ck_assert_uint_eq(zone->size, 0);
	open_zone_free(zone);
}
END_TEST

START_TEST(mark_of_a_deleted_name_changes_nothing_else_and_ends_with_a_reset)
{
	struct uds_record a = record_of(1, 1), b = record_of(1, 2), c = record_of(1, 3);
	struct open_zone *zone = make_zone(3);
	uint32_t room;

	ck_assert_int_eq(put(zone, &a, &room), 0);
	ck_assert(open_zone_remove(zone, &a.name));
	ck_assert_int_eq(put(zone, &b, &room), 0);
	ck_assert_int_eq(put(zone, &a, &room), 0);
	open_zone_mark_deleted(zone, &a.name);
	open_zone_mark_deleted(zone, &c.name);
	/* The record that was live then, and not the removed one of its name. */
	ck_assert(!open_zone_is_deleted(zone, 1));
	ck_assert(!open_zone_is_deleted(zone, 2));
	ck_assert(open_zone_is_deleted(zone, 3));
	ck_assert(!open_zone_is_removed(zone, 3));
	ck_assert_ptr_nonnull(open_zone_search(zone, &a.name));
	ck_assert_uint_eq(open_zone_live(zone), 2);
	open_zone_reset(zone);
	for (uint32_t n = 1; n <= 3; n++)
		ck_assert(!open_zone_is_deleted(zone, n));
	open_zone_free(zone);
}
END_TEST

START_TEST(update_keeps_the_place_of_a_record)
{
	struct open_zone *zone = make_zone(10);
	struct uds_record a = record_of(1, 1), b = record_of(1, 2);
	uint32_t room;

	ck_assert_int_eq(put(zone, &a, &room), 0);
	ck_assert_int_eq(put(zone, &b, &room), 0);
	a.data.bytes[0] = 0x77;
	ck_assert_int_eq(put(zone, &a, &room), 0);
	ck_assert_uint_eq(room, 8);
	ck_assert_mem_eq(&zone->records[0], &a, sizeof(a));
	ck_assert_mem_eq(&zone->records[1], &b, sizeof(b));
	open_zone_free(zone);
}
END_TEST

START_TEST(full_zone_updates_in_place_and_refuses_new_names__S2)
{
	struct open_zone *zone = make_zone(2);
	struct uds_record a = record_of(1, 1), b = record_of(1, 2), c = record_of(1, 3);
	uint32_t room = 99;

	ck_assert_int_eq(put(zone, &a, &room), 0);
	ck_assert_int_eq(put(zone, &b, &room), 0);
	ck_assert_uint_eq(room, 0);
	b.data.bytes[3] = 9;
	ck_assert_int_eq(put(zone, &b, &room), 0);
	ck_assert_mem_eq(open_zone_search(zone, &b.name), &b.data, 16);
	room = 99;
	ck_assert_int_eq(put(zone, &c, &room), UDS_ERR_OVERFLOW);
	ck_assert_uint_eq(room, 99);
	ck_assert_ptr_null(open_zone_search(zone, &c.name));
	ck_assert_uint_eq(zone->size, 2);
	open_zone_free(zone);
}
END_TEST

START_TEST(removed_name_comes_back_under_a_new_number__S6)
{
	struct open_zone *zone = make_zone(10);
	struct uds_record a = record_of(1, 1), b = record_of(1, 2);
	uint32_t room;

	ck_assert_int_eq(put(zone, &a, &room), 0);
	ck_assert_int_eq(put(zone, &b, &room), 0);
	for (uint32_t i = 0; i < 8; i++) {
		ck_assert(open_zone_remove(zone, &a.name));
		ck_assert_int_eq(put(zone, &a, &room), 0);
		/*
		 * As the reference implementation has it: each cycle takes a number, the order is
		 * that of arrival.
		 */
		ck_assert_uint_eq(room, 7 - i);
		ck_assert_uint_eq(open_zone_live(zone), 2);
	}
	ck_assert(open_zone_is_removed(zone, 1));
	ck_assert(!open_zone_is_removed(zone, 2));
	ck_assert(!open_zone_is_removed(zone, 10));
	ck_assert_int_eq(memcmp(&zone->records[9].name, &a.name, 16), 0);
	open_zone_free(zone);
}
END_TEST

START_TEST(capacities_that_do_not_fit_are_refused__S4)
{
	struct open_zone *zone = NULL;

	ck_assert_int_eq(open_zone_make(&env, 0, &zone), -EINVAL);
	ck_assert_int_eq(open_zone_make(&env, (1u << 21) + 1, &zone), -EINVAL);
	ck_assert_ptr_null(zone);
	open_zone_free(NULL);
}
END_TEST

START_TEST(full_table_ends_every_probe__S3)
{
	/* Capacities around powers of two; all names start at the same slot. */
	for (uint32_t capacity = 1; capacity <= 67; capacity++) {
		struct open_zone *zone = make_zone(capacity);
		struct uds_record record;
		uint32_t room;

		ck_assert_uint_ge(zone->slot_mask + 1, 2 * capacity);
		memset(&record, 0, sizeof(record));
		for (uint32_t i = 0; i < capacity; i++) {
			put_le32(record.name.bytes, i);
			ck_assert_int_eq(put(zone, &record, &room), 0);
		}
		ck_assert_uint_eq(room, 0);
		for (uint32_t i = 0; i < 2 * capacity; i++) {
			put_le32(record.name.bytes, i);
			ck_assert_int_eq(open_zone_search(zone, &record.name) != NULL,
					 i < capacity);
		}
		open_zone_free(zone);
	}
}
END_TEST

/* Record numbers and flags, searched from the newest back. */
static int64_t model_find(const struct uds_record *records, const bool *removed, uint32_t size,
			  const struct uds_record_name *name)
{
	for (uint32_t i = size; i-- > 0;) {
		if (!removed[i] && memcmp(&records[i].name, name, 16) == 0)
			return i;
	}
	return -1;
}

START_TEST(random_operations_agree_with_a_simple_model)
{
	static struct uds_record records[500];
	static bool removed[500];

	for (uint64_t seed = 0; seed < 30; seed++) {
		struct open_zone *zone = make_zone(500);
		uint32_t size = 0, room;

		memset(removed, 0, sizeof(removed));
		for (uint64_t i = 0; i < 3000; i++) {
			uint64_t r = splitmix(seed, i);
			struct uds_record record = record_of(seed, r % 400);
			int64_t at = model_find(records, removed, size, &record.name);
			struct uds_record_data *data = open_zone_search(zone, &record.name);

			ck_assert_int_eq(data != NULL, at >= 0);
			if (data != NULL)
				ck_assert_mem_eq(data, &records[at].data, 16);
			put_le32(record.data.bytes + 8, (uint32_t)i);
			if ((r >> 32) % 3 == 0) {
				ck_assert_int_eq(open_zone_remove(zone, &record.name), at >= 0);
				if (at >= 0)
					removed[at] = true;
			} else if (at >= 0 || size < 500) {
				ck_assert_int_eq(put(zone, &record, &room), 0);
				records[at >= 0 ? (uint64_t)at : size++] = record;
				ck_assert_uint_eq(room, 500 - size);
			} else {
				ck_assert_int_eq(put(zone, &record, &room), UDS_ERR_OVERFLOW);
			}
		}
		ck_assert_uint_eq(zone->size, size);
		ck_assert_mem_eq(zone->records, records, size * sizeof(records[0]));
		for (uint32_t n = 1; n <= size; n++)
			ck_assert_int_eq(open_zone_is_removed(zone, n), removed[n - 1]);
		open_zone_free(zone);
	}
}
END_TEST

/* Zones of a chapter, and names that go to each. */
struct chapter {
	struct geometry geometry;
	struct zone_chooser chooser;
	struct open_zone *zones[16];
	unsigned int count;
};

static void make_chapter(struct chapter *c, uint32_t record_pages, unsigned int zones)
{
	c->geometry = small_geometry(record_pages);
	c->count = zones;
	zone_chooser_make(&c->geometry, zones, &c->chooser);
	for (unsigned int z = 0; z < zones; z++)
		c->zones[z] = make_zone(c->geometry.records_per_chapter / zones);
}

static void free_chapter(struct chapter *c)
{
	for (unsigned int z = 0; z < c->count; z++)
		open_zone_free(c->zones[z]);
}

/* Returns the room that is left in the zone of the record. */
static uint32_t chapter_put(struct chapter *c, const struct uds_record *record)
{
	uint32_t room;

	ck_assert_int_eq(put(c->zones[name_zone(&c->chooser, &record->name)], record, &room), 0);
	return room;
}

/* The layout as the format words it, one place at a time. */
static void check_collation(const struct chapter *c, const struct uds_record *fill)
{
	const uint32_t per_page = c->geometry.records_per_page;
	const struct uds_record *records[2048];
	bool genuine[2048];
	struct collation collation;

	ck_assert_int_eq(collation_start(&collation, &c->geometry, c->zones, c->count), 0);
	ck_assert_mem_eq(collation.fill, fill, sizeof(*fill));
	for (uint32_t r = 0; r < c->geometry.records_per_chapter; r++) {
		const struct open_zone *zone = c->zones[r % c->count];
		uint32_t j = 1 + r / c->count;

		if (r % per_page == 0)
			collation_page(&collation, r / per_page, records, genuine);
		if (j > zone->size || open_zone_is_removed(zone, j)) {
			ck_assert(!genuine[r % per_page]);
			ck_assert_ptr_eq(records[r % per_page], collation.fill);
		} else {
			ck_assert(genuine[r % per_page]);
			ck_assert_ptr_eq(records[r % per_page], &zone->records[j - 1]);
		}
	}
}

START_TEST(records_of_all_zones_are_laid_out_in_turn)
{
	for (unsigned int zones = 1; zones <= 16; zones++) {
		struct chapter c;
		struct uds_record last;
		uint64_t i = 0;

		make_chapter(&c, 3, zones);
		do {
			last = record_of(zones, i++);
			if (i > 50 && i % 7 == 0) {
				struct uds_record old = record_of(zones, i / 2);

				open_zone_remove(c.zones[name_zone(&c.chooser, &old.name)],
						 &old.name);
			}
		} while (chapter_put(&c, &last) > 0);
		check_collation(&c, &last);
		free_chapter(&c);
	}
}
END_TEST

START_TEST(places_that_no_zone_has_are_filled__S10)
{
	const struct uds_record *records[128];
	struct collation collation;
	bool genuine[128];
	struct uds_record last;
	struct chapter c;
	uint64_t i = 0;

	/* 384 records in 5 zones: 76 in each, and 4 places of none. */
	make_chapter(&c, 3, 5);
	do
		last = record_of(5, i++);
	while (chapter_put(&c, &last) > 0);
	ck_assert_int_eq(collation_start(&collation, &c.geometry, c.zones, 5), 0);
	ck_assert_uint_lt(collation_page(&collation, 2, records, genuine), 125);
	for (unsigned int k = 124; k < 128; k++) {
		ck_assert(!genuine[k]);
		ck_assert_mem_eq(records[k], &last, sizeof(last));
	}
	free_chapter(&c);
}
END_TEST

START_TEST(chapter_closed_early_is_filled_with_a_live_record__S5)
{
	struct collation collation;
	struct uds_record a = record_of(1, 1), b = record_of(1, 2);
	struct chapter c;
	uint32_t room;

	make_chapter(&c, 2, 2);
	ck_assert_int_eq(collation_start(&collation, &c.geometry, c.zones, 2), UDS_ERR_BAD_STATE);
	ck_assert_int_eq(put(c.zones[1], &a, &room), 0);
	ck_assert_int_eq(put(c.zones[1], &b, &room), 0);
	check_collation(&c, &a);
	ck_assert(open_zone_remove(c.zones[1], &a.name));
	check_collation(&c, &b);
	ck_assert(open_zone_remove(c.zones[1], &b.name));
	ck_assert_int_eq(collation_start(&collation, &c.geometry, c.zones, 2), UDS_ERR_BAD_STATE);
	free_chapter(&c);
}
END_TEST

START_TEST(removed_last_record_is_not_used_to_fill__S5)
{
	struct uds_record last, first = record_of(1, 0);
	struct collation collation;
	struct chapter c;
	uint64_t i = 0;

	make_chapter(&c, 1, 1);
	do
		last = record_of(1, i++);
	while (chapter_put(&c, &last) > 0);
	check_collation(&c, &last);
	ck_assert(open_zone_remove(c.zones[0], &last.name));
	check_collation(&c, &first);
	for (uint64_t k = 0; k < i; k++) {
		last = record_of(1, k);
		open_zone_remove(c.zones[0], &last.name);
	}
	ck_assert_int_eq(collation_start(&collation, &c.geometry, c.zones, 1), UDS_ERR_BAD_STATE);
	free_chapter(&c);
}
END_TEST

START_TEST(every_record_of_a_closed_chapter_is_found_on_its_pages)
{
	for (unsigned int zones = 1; zones <= 5; zones += 2) {
		struct record_page_encoder *encoder;
		struct chapter_index *index;
		struct collation collation;
		struct index_page_code code;
		struct chapter c;
		struct uds_record last;
		uint8_t *record_pages, *index_pages;
		uint16_t last_lists[8];
		uint64_t count = 0;

		make_chapter(&c, 16, zones);
		do
			last = record_of(3, count++);
		while (chapter_put(&c, &last) > 0);
		ck_assert_int_eq(record_page_encoder_make(&env, 128, &encoder), 0);
		ck_assert_int_eq(chapter_index_make(&env, &c.geometry, 7, &index), 0);
		chapter_index_reset(index, 5);
		record_pages = malloc(16 * 4096);
		index_pages = malloc(4096 * (size_t)c.geometry.index_pages_per_chapter);
		ck_assert_int_eq(collation_start(&collation, &c.geometry, c.zones, zones), 0);
		for (uint32_t p = 0; p < 16; p++)
			ck_assert_int_eq(
				closed_chapter_encode_page(&collation, p, index, encoder,
							   record_pages + 4096 * (size_t)p),
				0);
		ck_assert_int_eq(closed_chapter_pack_index(&c.geometry, index, index_pages,
							   last_lists, NULL),
				 0);
		index_page_code_make(&c.geometry, 7, &code);
		for (uint64_t i = 0; i < count; i++) {
			struct uds_record r = record_of(3, i);
			uint32_t list = chapter_list(&c.geometry, &r.name), p = 0, found;
			struct index_page_head head;
			struct uds_record_data data;

			while (p + 1 < c.geometry.index_pages_per_chapter && list > last_lists[p])
				p++;
			ck_assert_int_eq(
				index_page_open(&code, index_pages + 4096 * (size_t)p, &head, NULL),
				0);
			ck_assert_int_eq(index_page_search(&c.geometry, &code, &head,
							   index_pages + 4096 * (size_t)p, &r.name,
							   &found),
					 1);
			ck_assert(record_page_search(record_pages + 4096 * (size_t)found, 128,
						     &r.name, &data));
			ck_assert_mem_eq(&data, &r.data, 16);
		}
		free(record_pages);
		free(index_pages);
		chapter_index_free(index);
		record_page_encoder_free(encoder);
		free_chapter(&c);
	}
}
END_TEST

static size_t save(const struct chapter *c, uint8_t *memory, size_t room)
{
	size_t bytes = saved_chapter_bytes(c->zones, c->count);

	ck_assert_uint_le(bytes, room);
	ck_assert_int_eq(saved_chapter_write(c->zones, c->count, memory, room), 0);
	return bytes;
}

static uint8_t saved[14 + 32 * 2048 + 64], saved_again[sizeof(saved)];

START_TEST(save_has_live_records_in_turn)
{
	struct uds_record r;
	struct chapter c;
	size_t bytes, at = 14;

	make_chapter(&c, 4, 3);
	for (uint64_t i = 0; i < 300; i++) {
		r = record_of(1, i);
		chapter_put(&c, &r);
	}
	for (uint64_t i = 0; i < 300; i += 5) {
		r = record_of(1, i);
		ck_assert(open_zone_remove(c.zones[name_zone(&c.chooser, &r.name)], &r.name));
	}
	memset(saved, 0xee, sizeof(saved));
	bytes = save(&c, saved, sizeof(saved));
	ck_assert_uint_eq(bytes, 14 + 32 * 240);
	ck_assert_mem_eq(saved, "ALBOC02.00", 10);
	ck_assert_uint_eq(get_le32(saved + 10), 240);
	for (uint32_t j = 1; j <= 300; j++) {
		for (unsigned int z = 0; z < 3; z++) {
			if (j > c.zones[z]->size || open_zone_is_removed(c.zones[z], j))
				continue;
			ck_assert_mem_eq(saved + at, &c.zones[z]->records[j - 1], 32);
			at += 32;
		}
	}
	ck_assert_uint_eq(at, bytes);
	ck_assert_uint_eq(saved[bytes], 0xee);
	ck_assert_int_eq(saved_chapter_write(c.zones, 3, saved, bytes - 1), UDS_ERR_OVERFLOW);
	free_chapter(&c);
}
END_TEST

START_TEST(counters_that_disagree_end_a_save__S9)
{
	struct uds_record r = record_of(1, 1);
	struct chapter c;

	make_chapter(&c, 1, 1);
	chapter_put(&c, &r);
	ck_assert(open_zone_remove(c.zones[0], &r.name));
	c.zones[0]->deletions = 0; /* one live record, and none to be found */
	ck_assert_int_eq(saved_chapter_write(c.zones, 1, saved, sizeof(saved)), UDS_ERR_BAD_STATE);
	free_chapter(&c);
}
END_TEST

/* Names that were dropped in a load. */
static size_t dropped_count;
static struct uds_record dropped[4096];

static void note_dropped(void *context, const struct uds_record *record)
{
	ck_assert_ptr_eq(context, &dropped_count);
	dropped[dropped_count++] = *record;
}

static int load(struct chapter *c, const uint8_t *memory, size_t bytes, uint64_t *ret_dropped,
		struct uds_message *message)
{
	dropped_count = 0;
	return saved_chapter_load(&c->geometry, &c->chooser, c->zones, c->count, memory, bytes,
				  note_dropped, &dropped_count, ret_dropped, message);
}

START_TEST(save_loads_with_any_number_of_zones)
{
	for (unsigned int from = 1; from <= 16; from += 3) {
		for (unsigned int to = 1; to <= 16; to += 5) {
			struct chapter a, b;
			uint64_t drops = 99;
			size_t bytes;

			make_chapter(&a, 8, from);
			make_chapter(&b, 8, to);
			for (uint64_t i = 0; i < 500; i++) {
				struct uds_record r = record_of(9, i);

				chapter_put(&a, &r);
			}
			bytes = save(&a, saved, sizeof(saved));
			ck_assert_int_eq(load(&b, saved, bytes, &drops, NULL), 0);
			ck_assert_uint_eq(drops, 0);
			for (uint64_t i = 0; i < 500; i++) {
				struct uds_record r = record_of(9, i);
				struct open_zone *zone = b.zones[name_zone(&b.chooser, &r.name)];

				ck_assert_ptr_nonnull(open_zone_search(zone, &r.name));
				ck_assert_mem_eq(open_zone_search(zone, &r.name), &r.data, 16);
			}
			free_chapter(&a);
			free_chapter(&b);
		}
	}
}
END_TEST

START_TEST(records_that_find_no_room_at_load_are_counted_and_told__S7)
{
	struct chapter a, b;
	uint64_t drops = 0, live = 0;
	size_t bytes;

	make_chapter(&a, 2, 1);
	make_chapter(&b, 2, 13);
	for (uint64_t i = 0; i < 250; i++) {
		struct uds_record r = record_of(11, i);

		chapter_put(&a, &r);
	}
	bytes = save(&a, saved, sizeof(saved));
	ck_assert_int_eq(load(&b, saved, bytes, &drops, NULL), 0);
	ck_assert_uint_gt(drops, 0);
	ck_assert_uint_eq(drops, dropped_count);
	for (unsigned int z = 0; z < 13; z++) {
		live += open_zone_live(b.zones[z]);
		ck_assert(!open_zone_is_full(b.zones[z]));
	}
	ck_assert_uint_eq(live + drops, 250);
	for (size_t i = 0; i < dropped_count; i++) {
		struct open_zone *zone = b.zones[name_zone(&b.chooser, &dropped[i].name)];

		ck_assert_ptr_null(open_zone_search(zone, &dropped[i].name));
		ck_assert_uint_eq(zone->size, zone->capacity - 1);
	}
	/* Without anybody to tell. */
	ck_assert_int_eq(saved_chapter_load(&b.geometry, &b.chooser, b.zones, 13, saved, bytes,
					    NULL, NULL, &live, NULL),
			 0);
	ck_assert_uint_eq(live, drops);
	free_chapter(&a);
	free_chapter(&b);
}
END_TEST

START_TEST(zones_of_one_record_load_one_record_each)
{
	struct geometry g = small_geometry(1);
	struct open_zone *zones[1] = { make_zone(1) };
	struct zone_chooser chooser;
	struct uds_record r = record_of(1, 1), other = record_of(1, 2);
	uint64_t drops;

	zone_chooser_make(&g, 1, &chooser);
	memcpy(saved, "ALBOC02.00", 10);
	put_le32(saved + 10, 2);
	memcpy(saved + 14, &r, 32);
	memcpy(saved + 46, &other, 32);
	ck_assert_int_eq(
		saved_chapter_load(&g, &chooser, zones, 1, saved, 78, NULL, NULL, &drops, NULL), 0);
	ck_assert_uint_eq(drops, 1);
	ck_assert_ptr_nonnull(open_zone_search(zones[0], &r.name));
	open_zone_free(zones[0]);
}
END_TEST

START_TEST(damaged_saves_are_refused_and_leave_nothing__S8)
{
	struct uds_message message;
	struct chapter c;
	uint64_t drops = 77, size = 78;
	size_t bytes;

	make_chapter(&c, 4, 2);
	for (uint64_t i = 0; i < 100; i++) {
		struct uds_record r = record_of(1, i);

		chapter_put(&c, &r);
	}
	bytes = save(&c, saved, sizeof(saved));
#define REFUSED(change, length, word)                                                    \
	do {                                                                             \
		memcpy(saved_again, saved, bytes);                                       \
		change;                                                                  \
		ck_assert_int_eq(load(&c, saved_again, length, &drops, &message),        \
				 UDS_ERR_CORRUPT);                                       \
		ck_assert_msg(strstr(message.text, word) != NULL, "\"%s\" lacks \"%s\"", \
			      message.text, word);                                       \
		ck_assert_uint_eq(c.zones[0]->size + c.zones[1]->size, 0);               \
		ck_assert_uint_eq(drops, 77);                                            \
	} while (0)
	REFUSED(saved_again[0] = 0, bytes, "magic");
	REFUSED(saved_again[9] = '1', bytes, "version");
	REFUSED(put_le32(saved_again + 10, 513), bytes, "513 records");
	REFUSED(put_le32(saved_again + 10, UINT32_MAX), bytes, "4294967295 records");
	REFUSED(put_le32(saved_again + 10, 101), bytes, "take");
	REFUSED((void)0, bytes - 1, "take");
	REFUSED((void)0, 13, "13 bytes");
	REFUSED((void)0, 0, "0 bytes");
	REFUSED(memcpy(saved_again + 14 + 32 * 50, saved + 14, 16), bytes,
		"record 50 is there twice");
#undef REFUSED
	ck_assert_int_eq(load(&c, saved, bytes, &drops, &message), 0);
	ck_assert_uint_eq(drops, 0);
	ck_assert_int_eq(saved_chapter_check_head(&c.geometry, saved, &size, NULL), 0);
	ck_assert_uint_eq(size, bytes);
	free_chapter(&c);
}
END_TEST

START_TEST(any_bytes_as_a_save_give_records_or_an_error)
{
	struct chapter c;
	uint64_t drops;

	make_chapter(&c, 1, 3);
	for (uint64_t round = 0; round < 2000; round++) {
		size_t bytes = splitmix(1, round) % 600;
		uint8_t *memory = malloc(bytes + 1);
		int r;

		for (size_t i = 0; i < bytes; i++)
			memory[i] = (uint8_t)splitmix(round, i);
		if (bytes >= 14 && round % 4 != 0) {
			memcpy(memory, "ALBOC02.00", 10);
			put_le32(memory + 10, (uint32_t)(splitmix(2, round) % 20));
		}
		r = load(&c, memory, bytes, &drops, NULL);
		ck_assert(r == 0 || r == UDS_ERR_CORRUPT);
		free(memory);
	}
	free_chapter(&c);
}
END_TEST

#define CRAFTED 100000

/* Names that have all their bytes in common but for these; @i tells them apart. */
static void crafted_name(const unsigned int free_bytes[3], uint32_t i,
			 struct uds_record *ret_record)
{
	memset(ret_record, 0x5a, sizeof(*ret_record));
	for (unsigned int b = 0; b < 3; b++)
		ret_record->name.bytes[free_bytes[b]] = (uint8_t)(i >> 8 * b);
}

/*
 * How many slots a search looks at for a name that is not in the table: it ends at the
 * first empty one.
 */
static uint32_t count_probes(const struct open_zone *zone, const struct uds_record_name *name)
{
	uint32_t slot = (uint32_t)open_zone_hash(zone, name) & zone->slot_mask, probes = 1;

	while ((zone->slots[slot] & OPEN_ZONE_NUMBER_MASK) != 0)
		slot = (slot + probes++) & zone->slot_mask;
	return probes;
}

/* Puts all of them and looks at all: about 1.5 slots each, whatever the names are. */
static void assert_few_probes(struct open_zone *zone, const unsigned int free_bytes[3],
			      uint32_t step)
{
	uint64_t total = 0;
	uint32_t most = 0, room;
	struct uds_record record;

	open_zone_reset(zone);
	for (uint32_t i = 0; i < CRAFTED; i++) {
		uint32_t probes;

		crafted_name(free_bytes, i * step, &record);
		probes = count_probes(zone, &record.name);
		ck_assert_int_eq(put(zone, &record, &room), 0);
		total += probes;
		most = probes > most ? probes : most;
	}
	ck_assert_msg(total < 3 * CRAFTED && most < 200, "free bytes %u %u %u, step %u: %d, %u",
		      free_bytes[0], free_bytes[1], free_bytes[2], step, (int)total, most);
}

/*
 * 100,000 names take three bytes to tell them apart, so names that are equal in any set of bytes
 * are equal in all but three, or in fewer. All sets with UDS_TEST_SCALE, one in 23 without.
 */
START_TEST(names_equal_in_all_but_three_bytes_take_few_probes)
{
	const unsigned int every = test_scale() > 1 ? 1 : 23;
	struct open_zone *zone = make_zone(CRAFTED);
	unsigned int n = 0, f[3];

	for (f[0] = 0; f[0] < 16; f[0]++) {
		for (f[1] = f[0] + 1; f[1] < 16; f[1]++) {
			for (f[2] = f[1] + 1; f[2] < 16; f[2]++) {
				if (n++ % every == 0)
					assert_few_probes(zone, f, n % 2 == 0 ? 1 : 167);
			}
		}
	}
	ck_assert_uint_eq(n, 560);
	open_zone_free(zone);
}
END_TEST

/* The table is no part of what is saved: zones with different keys save the same bytes. */
START_TEST(saves_do_not_depend_on_the_table)
{
	const struct geometry g = small_geometry(8);
	uint8_t *first = NULL, *bytes;
	uint64_t size = 0;
	uint32_t room;

	for (int turn = 0; turn < 4; turn++) {
		struct open_zone *zone = make_zone(g.records_per_chapter);

		for (uint64_t i = 0; i < 900; i++) {
			struct uds_record record = record_of(5, i);

			ck_assert_int_eq(put(zone, &record, &room), 0);
			if (i % 7 == 3)
				ck_assert(open_zone_remove(zone, &record.name));
		}
		size = saved_chapter_bytes(&zone, 1);
		bytes = malloc((size_t)size);
		ck_assert_int_eq(saved_chapter_write(&zone, 1, bytes, (size_t)size), 0);
		if (first == NULL) {
			first = bytes;
		} else {
			ck_assert_int_eq(memcmp(first, bytes, (size_t)size), 0);
			free(bytes);
		}
		open_zone_free(zone);
	}
	free(first);
}
END_TEST

START_TEST(tables_have_keys_of_their_own)
{
	struct open_zone *a = make_zone(16), *b = make_zone(16);

	ck_assert_int_ne(memcmp(&a->key, &b->key, sizeof(a->key)), 0);
	open_zone_free(a);
	open_zone_free(b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("open_chapter");
	TCase *tc = tcase_create("open_chapter");

	tcase_add_checked_fixture(tc, complete_env, NULL);
	tcase_add_test(tc, records_are_found_until_removed);
	tcase_add_test(tc, mark_of_a_deleted_name_changes_nothing_else_and_ends_with_a_reset);
	tcase_add_test(tc, update_keeps_the_place_of_a_record);
	tcase_add_test(tc, full_zone_updates_in_place_and_refuses_new_names__S2);
	tcase_add_test(tc, removed_name_comes_back_under_a_new_number__S6);
	tcase_add_test(tc, capacities_that_do_not_fit_are_refused__S4);
	tcase_add_test(tc, full_table_ends_every_probe__S3);
	tcase_add_test(tc, random_operations_agree_with_a_simple_model);
	tcase_add_test(tc, records_of_all_zones_are_laid_out_in_turn);
	tcase_add_test(tc, places_that_no_zone_has_are_filled__S10);
	tcase_add_test(tc, chapter_closed_early_is_filled_with_a_live_record__S5);
	tcase_add_test(tc, removed_last_record_is_not_used_to_fill__S5);
	tcase_add_test(tc, every_record_of_a_closed_chapter_is_found_on_its_pages);
	tcase_add_test(tc, save_has_live_records_in_turn);
	tcase_add_test(tc, counters_that_disagree_end_a_save__S9);
	tcase_add_test(tc, save_loads_with_any_number_of_zones);
	tcase_add_test(tc, records_that_find_no_room_at_load_are_counted_and_told__S7);
	tcase_add_test(tc, zones_of_one_record_load_one_record_each);
	tcase_add_test(tc, damaged_saves_are_refused_and_leave_nothing__S8);
	tcase_add_test(tc, any_bytes_as_a_save_give_records_or_an_error);
	tcase_add_test(tc, names_equal_in_all_but_three_bytes_take_few_probes);
	tcase_add_test(tc, saves_do_not_depend_on_the_table);
	tcase_add_test(tc, tables_have_keys_of_their_own);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
