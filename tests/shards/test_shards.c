/* SPDX-License-Identifier: BSD-2-Clause */
/* One index over several: placement, manifest, requests. Moving names is test_shards_move.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_main.h"
#include "fixture.h"
#include "names.h"
#include "shards/placement.h"
#include "torture_env.h"

#include "geometry/geometry.h"
#include "geometry/name_bits.h"

/* ---- placement ---- */

static const uint64_t nonces[] = { 11, 12, 13, UINT64_C(0xfedcba9876543210), 0, 99, 7, 8 };
static const uint8_t all_numbers[] = { 0, 1, 2, 3, 4, 5, 6, 7 };

START_TEST(placement_never_changes)
{
	/* Manifests in use depend on these: other numbers would lose names. */
	static const uint64_t weights[] = { UINT64_C(0x6c10e406effa5a85),
					    UINT64_C(0x811b66d84bbcbffc),
					    UINT64_C(0x86248bfe12775270),
					    UINT64_C(0xd490c4507829e704) };
	uint8_t places[UDS_SHARDS_SLOTS];
	uint32_t sum = 0;

	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(slot_weight(i * 600, nonces[i]), weights[i]);
	placement_make(nonces, all_numbers, 8, places);
	for (uint32_t i = 0; i < UDS_SHARDS_SLOTS; i++)
		sum = sum * 31 + places[i];
	ck_assert_uint_eq(sum, 0xf2e8c724u);
}
END_TEST

START_TEST(slots_are_bits_that_no_geometry_uses)
{
	struct uds_record_name name = { { 0 } };
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_geometry g = UDS_GEOMETRY_INIT;
	uint64_t used;

	/* As many records in a chapter as the format allows, so the most bits of a name. */
	c.page_bytes = 65536;
	c.record_pages_per_chapter = 1024;
	c.cache_chapters = 7;
	c.chapters_per_volume = 16;
	ck_assert_int_eq(uds_geometry_compute(&c, NULL, &g), 0);
	ck_assert_uint_eq(g.records_per_chapter, 2097152);
	used = UINT64_C(1) << g.chapter_address_bits;
	used *= g.delta_lists_per_chapter;
	ck_assert_uint_eq(used, UINT64_C(1) << 37);
	/* All that the slot is made of lies above them, and nowhere else. */
	for (unsigned int bit = 0; bit < 128; bit++) {
		memset(&name, 0, sizeof(name));
		name.bytes[bit / 8] = (uint8_t)(0x80 >> bit % 8);
		ck_assert_int_eq(slot_of(&name) != 0, bit >= 64 && bit < 75);
		if (slot_of(&name) != 0) {
			ck_assert_uint_ge(name_chapter_bits(&name), used);
			ck_assert_uint_eq(name_volume_index_bits(&name), 0);
			ck_assert_uint_eq(name_sampling_bits(&name), 0);
		}
	}
}
END_TEST

START_TEST(slots_are_shared_out_evenly)
{
	uint8_t places[UDS_SHARDS_SLOTS];

	for (unsigned int n = 1; n <= 8; n++) {
		double expected = (double)UDS_SHARDS_SLOTS / n, chi = 0;
		uint32_t counts[8] = { 0 };

		placement_make(nonces, all_numbers, n, places);
		for (uint32_t i = 0; i < UDS_SHARDS_SLOTS; i++)
			counts[places[i]]++;
		for (unsigned int i = 0; i < n; i++)
			chi += (counts[i] - expected) * (counts[i] - expected) / expected;
		/* n - 1 degrees of freedom; 24.3 has a chance of 0.1 % with 7 of them. */
		ck_assert_msg(chi < 24.3, "%u shards: chi square %f", n, chi);
	}
}
END_TEST

START_TEST(a_shard_more_or_less_moves_only_its_own_slots)
{
	uint8_t before[UDS_SHARDS_SLOTS], after[UDS_SHARDS_SLOTS];

	for (unsigned int n = 1; n < 8; n++) {
		uint32_t moved = 0;

		placement_make(nonces, all_numbers, n, before);
		placement_make(nonces, all_numbers, n + 1, after);
		for (uint32_t i = 0; i < UDS_SHARDS_SLOTS; i++) {
			if (before[i] != after[i]) {
				ck_assert_uint_eq(after[i], n);
				moved++;
			}
		}
		ck_assert_uint_gt(moved, UDS_SHARDS_SLOTS / (n + 1) * 3 / 4);
		ck_assert_uint_lt(moved, UDS_SHARDS_SLOTS / (n + 1) * 5 / 4);
	}
}
END_TEST

/* Cells with equal shares of @total names: far from even is found. */
static double chi_square(const uint32_t *counts, size_t cells, uint64_t total)
{
	double expected = (double)total / (double)cells, chi = 0;

	for (size_t i = 0; i < cells; i++)
		chi += (counts[i] - expected) * (counts[i] - expected) / expected;
	/* About normal, with mean @cells and this deviation: how many of them it is off. */
	return (chi - (double)cells) / __builtin_sqrt(2.0 * (double)cells);
}

enum { CELLS = 256, WAYS = 6 };

/*
 * What an index makes of a name, each as a number below 256: volume index list and address, chapter
 * index list and address, what a hash table of an open chapter takes, and the sampling bits.
 */
static void cells_of(const struct uds_record_name *name, uint32_t ret_cells[WAYS])
{
	ret_cells[0] = (uint32_t)(name_volume_index_bits(name) >> 20) % CELLS;
	ret_cells[1] = (uint32_t)(name_volume_index_bits(name) >> 12) % CELLS;
	ret_cells[2] = (uint32_t)(name_chapter_bits(name) >> 22) % CELLS;
	ret_cells[3] = (uint32_t)(name_chapter_bits(name) >> 14) % CELLS;
	ret_cells[4] = (uint32_t)name_chapter_bits(name) % CELLS;
	ret_cells[5] = (uint32_t)name_sampling_bits(name) % CELLS;
}

static void check_even(unsigned int shards, bool only_samples)
{
	static uint32_t counts[8][WAYS][CELLS];
	uint64_t totals[8] = { 0 }, samples = 0;
	uint8_t places[UDS_SHARDS_SLOTS];

	memset(counts, 0, sizeof(counts));
	placement_make(nonces, all_numbers, shards, places);
	for (uint64_t i = 0; samples < 400000; i++) {
		struct uds_record_name name;
		uint32_t cells[WAYS];
		uint8_t place;

		make_name(5, i, &name);
		if (only_samples && name_sampling_bits(&name) % 32 != 0)
			continue;
		samples++;
		place = places[slot_of(&name)];
		cells_of(&name, cells);
		totals[place]++;
		for (int way = 0; way < WAYS; way++)
			counts[place][way][cells[way]]++;
	}
	for (unsigned int n = 0; n < shards; n++) {
		/* Of samples the lowest bits of the last way are all the same. */
		for (int way = 0; way < (only_samples ? WAYS - 1 : WAYS); way++) {
			double off = chi_square(counts[n][way], CELLS, totals[n]);

			ck_assert_msg(off < 5 && off > -5, "shard %u of %u, way %d: %f", n, shards,
				      way, off);
		}
	}
}

START_TEST(names_of_each_shard_are_distributed_as_all_names_are)
{
	check_even(1, false);
	check_even(3, false);
	check_even(8, false);
	check_even(3, true);
}
END_TEST

START_TEST(uneven_names_are_found_out)
{
	uint32_t counts[CELLS];

	for (int i = 0; i < CELLS; i++)
		counts[i] = i % 16 == 0 ? 1200 : 1000;
	ck_assert(chi_square(counts, CELLS, 1000 * CELLS + 3200) > 5);
}
END_TEST

/* ---- requests ---- */

#define NAMES 1500

static struct uds_request *make_requests(enum uds_request_kind kind, uint64_t first, size_t count,
					 uint32_t version)
{
	struct uds_request *requests = calloc(count, sizeof(*requests));

	for (size_t i = 0; i < count; i++) {
		make_name(77, first + i, &requests[i].name);
		make_data('s', first + i, version, &requests[i].new_data);
		requests[i].kind = (uint8_t)kind;
		requests[i].user_number = first + i;
	}
	return requests;
}

START_TEST(a_batch_is_answered_as_by_one_index)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;
	struct uds_request *requests;
	struct shards_fixture f;

	fixture_start(&f, 16, true);
	f.options.no_threads = _i == 1;
	fixture_make(&f, 3);
	requests = make_requests(UDS_POST, 0, NAMES, 1);
	ck_assert_int_eq(uds_shards_run(f.shards, requests, NAMES), 0);
	for (size_t i = 0; i < NAMES; i++)
		ck_assert(!requests[i].found);
	free(requests);
	/* Half of them are there; each comes twice, so the second one finds the first. */
	requests = make_requests(UDS_POST, NAMES / 2, NAMES, 2);
	for (size_t i = NAMES / 2; i < NAMES; i++)
		requests[i] = requests[i - NAMES / 2];
	ck_assert_int_eq(uds_shards_run(f.shards, requests, NAMES), 0);
	for (size_t i = 0; i < NAMES; i++) {
		ck_assert(requests[i].found);
		ck_assert_uint_eq(get_le64(requests[i].old_data.bytes), requests[i].user_number);
	}
	free(requests);
	ck_assert_int_eq(uds_shards_get_statistics(f.shards, &s), 0);
	ck_assert_uint_eq(s.posts_not_found, NAMES);
	ck_assert_uint_eq(s.posts_found_open_chapter + s.posts_found_dense, NAMES);
	ck_assert_uint_eq(s.open_chapter, 0);
	fixture_end(&f);
}
END_TEST

START_TEST(an_empty_batch_and_all_kinds_of_single_requests)
{
	struct uds_request request;
	struct shards_fixture f;

	fixture_start(&f, 16, true);
	fixture_make(&f, 3);
	ck_assert_int_eq(uds_shards_run(f.shards, NULL, 0), 0);
	ck_assert_int_eq(fixture_do(&f, UDS_UPDATE, 5, 1, &request), 0);
	ck_assert(!request.found);
	ck_assert_int_eq(fixture_do(&f, UDS_QUERY, 5, 0, &request), 0);
	ck_assert(request.found);
	ck_assert_uint_eq(fixture_version(&f, 5), 1);
	ck_assert_int_eq(fixture_do(&f, UDS_UPDATE, 5, 2, &request), 0);
	ck_assert_uint_eq(fixture_version(&f, 5), 2);
	ck_assert_int_eq(fixture_do(&f, UDS_DELETE, 5, 0, &request), 0);
	ck_assert(request.found);
	ck_assert_uint_eq(fixture_version(&f, 5), 0);
	ck_assert_int_eq(fixture_do(&f, 77, 5, 0, &request), -EINVAL);
	uds_shards_error_message(f.shards, &f.message);
	ck_assert_uint_gt(strlen(f.message.text), 10);
	fixture_end(&f);
}
END_TEST

START_TEST(a_shard_that_fails_costs_its_names_only)
{
	struct uds_request *requests;
	size_t failed = 0, others = 0;
	uint8_t places[UDS_SHARDS_SLOTS];
	struct uds_shard_info info = UDS_SHARD_INFO_INIT;
	uint64_t found_nonces[3];
	struct shards_fixture f;

	fixture_start(&f, 16, true);
	fixture_make(&f, 3);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(uds_shards_get_shard(f.shards, i, &info), 0);
		found_nonces[i] = info.volume_nonce;
	}
	placement_make(found_nonces, all_numbers, 3, places);
	requests = make_requests(UDS_POST, 0, NAMES, 1);
	ck_assert_int_eq(uds_shards_run(f.shards, requests, NAMES), 0);
	free(requests);
	fault_plan_fail(&f.plans[1], FAULT_READ, 1, -EIO, true);
	requests = make_requests(UDS_PEEK, 0, NAMES, 1);
	ck_assert_int_eq(uds_shards_run(f.shards, requests, NAMES), -EIO);
	uds_shards_error_message(f.shards, &f.message);
	ck_assert_uint_gt(strlen(f.message.text), 10);
	for (size_t i = 0; i < NAMES; i++) {
		bool of_it = places[slot_of(&requests[i].name)] == 1;

		ck_assert(requests[i].status == 0 || of_it);
		ck_assert(requests[i].status < 0 || requests[i].found);
		failed += requests[i].status == -EIO;
		others += !of_it;
	}
	free(requests);
	ck_assert_uint_gt(failed, NAMES / 6);
	ck_assert_uint_gt(others, NAMES / 2);
	fault_plan_fail(&f.plans[1], 0, 0, 0, false);
	fixture_end(&f);
}
END_TEST

/* uds-scaling(7), When a shard is lost. */
START_TEST(a_lost_shard_is_replaced_by_an_empty_one_with_its_nonce_data)
{
	struct shards_fixture f;
	struct uds_request request;
	uint64_t lost = 0;

	fixture_start(&f, 16, true);
	fixture_make(&f, 3);
	for (uint64_t name = 0; name < 300; name++)
		ck_assert_int_eq(fixture_do(&f, UDS_POST, name, 1, &request), 0);
	ck_assert_int_eq(uds_shards_save(f.shards), 0);
	fixture_close(&f);
	fixture_format_shard(&f, 1, 101); /* as fixture_start() did */
	ck_assert_int_eq(fixture_open(&f), 0);
	for (uint64_t name = 0; name < 300; name++) {
		uint32_t version = fixture_version(&f, name);

		ck_assert(version == 0 || version == 1);
		lost += version == 0;
		ck_assert_int_eq(fixture_do(&f, UDS_POST, name, 2, &request), 0);
		ck_assert_uint_eq(fixture_version(&f, name), version == 0 ? 2 : 1);
	}
	ck_assert_uint_gt(lost, 60);
	ck_assert_uint_lt(lost, 150);
	fixture_end(&f);
}
END_TEST

START_TEST(flushed_records_are_there_after_a_crash)
{
	struct uds_request *requests;
	struct shards_fixture f, after;

	fixture_start(&f, 16, true);
	fixture_make(&f, 3);
	requests = make_requests(UDS_POST, 0, NAMES, 1);
	ck_assert_int_eq(uds_shards_run(f.shards, requests, NAMES), 0);
	free(requests);
	ck_assert_int_eq(uds_shards_flush(f.shards), 0);
	struct uds_crash_log *log;
	ck_assert_int_eq(uds_crash_log_after(f.log, uds_crash_log_events(f.log), UDS_CRASH_DROP, 1,
					     NULL, &log),
			 0);
	fixture_start_after(&after, &f, log, f.text, f.length);
	ck_assert_int_eq(fixture_open(&after), 0);
	for (uint64_t i = 0; i < NAMES; i++)
		ck_assert_uint_eq(fixture_version(&after, i), 1);
	fixture_end(&after);
	fixture_end(&f);
}
END_TEST

START_TEST(saved_shards_open_without_recovery)
{
	struct uds_index_options index = UDS_INDEX_OPTIONS_INIT;
	struct uds_request *requests;
	struct shards_fixture f;

	index.mode = UDS_INDEX_LOAD;
	fixture_start(&f, 16, _i == 1);
	fixture_make(&f, 3);
	requests = make_requests(UDS_POST, 0, NAMES, 1);
	ck_assert_int_eq(uds_shards_run(f.shards, requests, NAMES), 0);
	free(requests);
	ck_assert_int_eq(uds_shards_save(f.shards), 0);
	fixture_close(&f);
	f.options.index = &index;
	ck_assert_int_eq(fixture_open(&f), 0);
	for (uint64_t i = 0; i < NAMES; i++)
		ck_assert_uint_eq(fixture_version(&f, i), 1);
	fixture_end(&f);
}
END_TEST

START_TEST(a_flush_that_fails_in_one_shard_is_done_in_the_others)
{
	struct uds_request *requests;
	struct shards_fixture f;

	fixture_start(&f, 16, true);
	fixture_make(&f, 3);
	requests = make_requests(UDS_POST, 0, 300, 1);
	ck_assert_int_eq(uds_shards_run(f.shards, requests, 300), 0);
	free(requests);
	for (int i = 0; i < 3; i++)
		fault_plan_fail(&f.plans[i], FAULT_CHANGE, i == 1 ? 1 : 0, -EIO, true);
	ck_assert_int_eq((_i == 0 ? uds_shards_flush : uds_shards_save)(f.shards), -EIO);
	uds_shards_error_message(f.shards, &f.message);
	ck_assert_msg(strstr(f.message.text, "shard 2 (1)") != NULL, "%s", f.message.text);
	ck_assert_uint_gt(fault_plan_count(&f.plans[0], FAULT_FLUSH), 0);
	ck_assert_uint_gt(fault_plan_count(&f.plans[2], FAULT_FLUSH), 0);
	fault_plan_fail(&f.plans[1], 0, 0, 0, false);
	ck_assert_int_eq((_i == 0 ? uds_shards_flush : uds_shards_save)(f.shards), 0);
	fixture_end(&f);
}
END_TEST

struct seen {
	uint8_t times[NAMES];
	uint64_t count, stop_after;
};

static int note(void *context, const struct uds_record_name *name,
		const struct uds_record_data *data)
{
	struct seen *seen = context;

	(void)name;
	seen->times[get_le64(data->bytes)]++;
	return ++seen->count == seen->stop_after;
}

START_TEST(for_each_gives_each_name_once)
{
	struct uds_request *requests;
	struct seen seen = { .count = 0 };
	struct shards_fixture f;

	fixture_start(&f, 16, true);
	fixture_make(&f, 3);
	requests = make_requests(UDS_POST, 0, NAMES, 1);
	ck_assert_int_eq(uds_shards_run(f.shards, requests, NAMES), 0);
	free(requests);
	ck_assert_int_eq(uds_shards_for_each(f.shards, note, &seen), 0);
	for (size_t i = 0; i < NAMES; i++)
		ck_assert_uint_eq(seen.times[i], 1);
	/* The second shard cannot be read: the others' names come all the same. */
	memset(&seen, 0, sizeof(seen));
	fault_plan_fail(&f.plans[1], FAULT_READ, 1, -EIO, true);
	ck_assert_int_eq(uds_shards_for_each(f.shards, note, &seen), -EIO);
	uds_shards_error_message(f.shards, &f.message);
	ck_assert_msg(strstr(f.message.text, "shard 2 (1)") != NULL, "%s", f.message.text);
	ck_assert_uint_gt(seen.count, NAMES / 2);
	fault_plan_fail(&f.plans[1], 0, 0, 0, false);
	memset(&seen, 0, sizeof(seen));
	seen.stop_after = 7;
	ck_assert_int_eq(uds_shards_for_each(f.shards, note, &seen), UDS_ERR_STOPPED);
	ck_assert_uint_eq(seen.count, 7);
	fixture_end(&f);
}
END_TEST

/* ---- what belongs together ---- */

/* Opening is refused with this status, a sentence that has @part, and nothing written. */
static void refused(struct shards_fixture *f, int status, const char *part)
{
	uint64_t before = uds_crash_log_events(f->log);
	char text[sizeof(f->text)];
	size_t length = f->length;
	int r;

	memcpy(text, f->text, length);
	r = fixture_open(f);
	ck_assert_msg(r == status, "%d (%s), not %d", r, f->message.text, status);
	ck_assert_msg(strstr(f->message.text, part) != NULL, "'%s' is not in '%s'", part,
		      f->message.text);
	ck_assert_msg(strncmp(f->message.text, "the manifest", 12) == 0, "%s", f->message.text);
	ck_assert_uint_eq(uds_crash_log_events(f->log), before);
	ck_assert_uint_eq(f->length, length);
	ck_assert_int_eq(memcmp(f->text, text, length), 0);
	ck_assert_ptr_null(f->shards);
}

/* Replaces a part of the manifest's text. */
static void edit(struct shards_fixture *f, const char *from, const char *to)
{
	char *at, rest[sizeof(f->text)];

	f->text[f->length] = '\0';
	at = strstr(f->text, from);
	ck_assert_msg(at != NULL, "'%s' is not in %s", from, f->text);
	strcpy(rest, at + strlen(from));
	strcpy(at, to);
	strcat(at, rest);
	f->length = strlen(f->text);
}

START_TEST(a_missing_foreign_or_swapped_shard_is_refused_by_name)
{
	struct shards_fixture f;

	fixture_start(&f, 16, true);
	ck_assert_int_eq(fixture_format(&f, 3), 0);
	edit(&f, "\"uri\": \"1\"", "\"uri\": \"missing\"");
	refused(&f, -ENOENT, "shard 2 (missing): there is no such device");
	edit(&f, "\"uri\": \"missing\"", "\"uri\": \"4\"");
	refused(&f, UDS_ERR_NONCE_MISMATCH, "shard 2 (4): the index with volume nonce 0x");
	edit(&f, "\"uri\": \"4\"", "\"uri\": \"2\"");
	refused(&f, UDS_ERR_CORRUPT, "shards 2 and 3, 2 and 2, are the same index");
	edit(&f, "\"uri\": \"2\"", "\"uri\": \"1\"");
	/* Swapped where they lie. */
	fixture_format_shard(&f, 0, 101);
	fixture_format_shard(&f, 1, 100);
	refused(&f, UDS_ERR_NONCE_MISMATCH, "shard 1 (0): the index of shard 2 (1) is there");
	fixture_format_shard(&f, 0, 100);
	fixture_format_shard(&f, 1, 101);
	ck_assert_int_eq(fixture_open(&f), 0);
	fixture_end(&f);
}
END_TEST

START_TEST(a_shard_of_another_geometry_or_without_an_index_is_refused)
{
	struct small_shape shape;
	struct uds_io *io;
	struct shards_fixture f;
	uint8_t zeroes[4096] = { 0 };

	fixture_start(&f, 16, true);
	ck_assert_int_eq(fixture_format(&f, 3), 0);
	/* The volume nonce is made from the seed data alone. */
	shape = f.shape;
	small_index_shape(1, 17, &f.shape);
	small_index_add_extras(&f.shape);
	fixture_format_shard(&f, 2, 102);
	refused(&f, UDS_ERR_MISMATCH, "shard 3 (2): an index of another geometry");
	f.length = 0;
	ck_assert_int_eq(fixture_format(&f, 3), UDS_ERR_MISMATCH);
	ck_assert_uint_eq(f.length, 0);
	f.shape = shape;
	fixture_format_shard(&f, 2, 102);
	ck_assert_int_eq(fixture_format(&f, 3), 0);
	io = crash_open(f.log, 1);
	ck_assert_int_eq(uds_io_write(io, zeroes, sizeof(zeroes), 0), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	refused(&f, UDS_ERR_NOT_AN_INDEX, "shard 2 (1): ");
	fixture_end(&f);
}
END_TEST

START_TEST(a_manifest_that_is_not_whole_is_refused)
{
	static const struct {
		const char *from, *to;
		int status;
		const char *part;
	} cases[] = {
		{ "\"version\": 1", "\"version\": 2", UDS_ERR_UNSUPPORTED_VERSION, "version 2" },
		/* 1 in 32 bits. */
		{ "\"version\": 1", "\"version\": 4294967297", UDS_ERR_UNSUPPORTED_VERSION,
		  "version 4294967297" },
		{ "\"version\": 1", "\"version\": 1.0", UDS_ERR_CORRUPT, "not a manifest" },
		{ "uds-shards", "other", UDS_ERR_CORRUPT, "not a manifest" },
		{ "\"generation\": 1", "\"generation\": 0", UDS_ERR_CORRUPT, "out of range" },
		{ "\"generation\": 1", "\"generation\": 9223372036854775807", UDS_ERR_CORRUPT,
		  "out of range" },
		{ "\"generation\": 1", "\"generation\": 9223372036854775808", UDS_ERR_CORRUPT,
		  "not JSON" },
		{ "\"generation\": 1", "\"generation\": \"x\"", UDS_ERR_CORRUPT, "missing" },
		{ "\"generation\": 1", "\"generation\": 1, \"more\": 1", UDS_ERR_CORRUPT,
		  "unknown" },
		{ "\"generation\": 1", "\"generation\": 1, \"generation\": 1", UDS_ERR_CORRUPT,
		  "not JSON" },
		{ "\"stable\"", "\"moving\"", UDS_ERR_CORRUPT, "roles" },
		{ "\"stable\"", "\"strange\"", UDS_ERR_CORRUPT, "out of range" },
		{ "\"member\"", "\"joining\"", UDS_ERR_CORRUPT, "roles" },
		{ "\"member\"", "\"guest\"", UDS_ERR_CORRUPT, "role" },
		{ "\"page_bytes\": 4096", "\"page_bytes\": 4097", UDS_ERR_CORRUPT, "geometry" },
		{ "\"page_bytes\": 4096", "\"page_bytes\": -1", UDS_ERR_CORRUPT, "geometry" },
		{ "\"page_bytes\"", "\"page_byte\"", UDS_ERR_CORRUPT, "geometry" },
		{ "\"volume_nonce\": \"0x", "\"volume_nonce\": \"0X", UDS_ERR_CORRUPT, "nonce" },
		{ "\"uri\": \"0\"", "\"uri\": \"\"", UDS_ERR_CORRUPT, "uri" },
		{ "\"uri\": \"0\"", "\"uri\": 0", UDS_ERR_CORRUPT, "uri" },
		/* By its name alone: its nonce is that of another index. */
		{ "\"uri\": \"1\"", "\"uri\": \"0\"", UDS_ERR_CORRUPT,
		  "shards 1 and 2, 0 and 0, are the same index" },
	};
	char text[16384];
	struct shards_fixture f;
	size_t length;

	fixture_start(&f, 16, true);
	ck_assert_int_eq(fixture_format(&f, 3), 0);
	length = f.length;
	memcpy(text, f.text, length);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		edit(&f, cases[i].from, cases[i].to);
		refused(&f, cases[i].status, cases[i].part);
		memcpy(f.text, text, length);
		f.length = length;
	}
	/* Without its last newline it is whole; with less it is not. */
	for (f.length = length - 2; f.length > 0; f.length--)
		refused(&f, UDS_ERR_CORRUPT, "not JSON, or cut short");
	refused(&f, -ENOENT, "cannot be read");
	memset(f.text, ' ', sizeof(f.text));
	f.length = sizeof(f.text);
	refused(&f, UDS_ERR_CORRUPT, "not JSON");
	memcpy(f.text, text, length);
	f.length = length;
	ck_assert_int_eq(fixture_open(&f), 0);
	fixture_end(&f);
}
END_TEST

START_TEST(a_doubled_shard_is_refused)
{
	static const char *const twice[] = { "0", "1", "0" };
	char nonce[32];
	struct shards_fixture f;
	const char *at;

	fixture_start(&f, 16, true);
	ck_assert_int_eq(uds_shards_format("the manifest", twice, 3, &f.options, &f.message),
			 UDS_ERR_EXISTS);
	ck_assert_msg(strstr(f.message.text, "shards 1 and 3, 0 and 0, are the same index") != NULL,
		      "%s", f.message.text);
	ck_assert_uint_eq(f.length, 0);
	ck_assert_int_eq(fixture_format(&f, 2), 0);
	f.text[f.length] = '\0';
	/* The second shard gets the first one's nonce. */
	at = strstr(f.text, "0x");
	snprintf(nonce, sizeof(nonce), "%.18s", at);
	memcpy(strstr(at + 18, "0x"), nonce, 18);
	refused(&f, UDS_ERR_CORRUPT, "shards 1 and 2, 0 and 1, are the same index");
	fixture_end(&f);
}
END_TEST

static uds_shard_open_fn open_below;

/* The last device has any name. */
static int open_any(void *context, const char *uri, bool write, const struct uds_env *env,
		    struct uds_message *message, struct uds_io **ret_io)
{
	return open_below(context, uri[0] == '0' ? uri : "5", write, env, message, ret_io);
}

static void any_name(struct shards_fixture *f)
{
	fixture_close(f);
	open_below = f->options.open_io;
	f->options.open_io = open_any;
	ck_assert_int_eq(fixture_open(f), 0);
}

START_TEST(making_a_manifest_refuses_what_cannot_be)
{
	static const char *const empty[] = { "" }, *const not_utf8[] = { "\xff" };
	struct uds_io *io;
	struct uds_index *index;
	struct uds_record_name name;
	struct uds_record_data data;
	struct shards_fixture f;

	fixture_start(&f, 16, true);
	ck_assert_int_eq(fixture_format(&f, 0), -EINVAL);
	ck_assert_int_eq(uds_shards_format("m", empty, UDS_SHARDS_MAX + 1, &f.options, &f.message),
			 -EINVAL);
	ck_assert_int_eq(uds_shards_format("m", empty, 1, &f.options, &f.message), -EINVAL);
	ck_assert_str_eq(f.message.text, "m: the name of shard 1 is empty");
	/* A shard that has records: with others it would answer for few of them. */
	io = crash_open(f.log, 1);
	ck_assert_int_eq(
		small_index_open(io, NULL, 1, UDS_INDEX_LOAD_OR_RECOVER, &f.message, &index), 0);
	make_name(77, 1, &name);
	make_data('s', 1, 1, &data);
	ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, NULL), 0);
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(fixture_format(&f, 3), UDS_ERR_NOT_EMPTY);
	ck_assert_msg(strstr(f.message.text, "shard 2 (1) has records") != NULL, "%s",
		      f.message.text);
	ck_assert_uint_eq(f.replaced, 0);
	f.fail_replace = -EIO;
	ck_assert_int_eq(fixture_format(&f, 1), -EIO);
	/* JSON has no bytes that are not UTF-8. */
	ck_assert_int_eq(fixture_format(&f, 1), 0);
	ck_assert_int_eq(fixture_open(&f), 0);
	any_name(&f);
	ck_assert_int_eq(uds_shards_add(f.shards, "\xff", NULL, NULL), -EINVAL);
	uds_shards_error_message(f.shards, &f.message);
	ck_assert_msg(strstr(f.message.text, "not UTF-8") != NULL, "%s", f.message.text);
	ck_assert_uint_eq(f.replaced, 1);
	f.length = 0;
	ck_assert_int_eq(uds_shards_format("m", not_utf8, 1, &f.options, &f.message), -EINVAL);
	ck_assert_msg(strstr(f.message.text, "m: shard 1 (\xff): it is not UTF-8") != NULL, "%s",
		      f.message.text);
	ck_assert_uint_eq(f.length, 0);
	fixture_end(&f);
}
END_TEST

START_TEST(a_manifest_in_a_file_is_replaced_as_a_whole)
{
	static const char *const uris[] = { "0", "1" };
	char path[4096], beside[4200];
	struct shards_fixture f;
	struct stat status;

	fixture_start(&f, 16, true);
	f.options.store = NULL;
	snprintf(path, sizeof(path), "%s/manifest", scratch_dir());
	snprintf(beside, sizeof(beside), "%s.new", path);
	unlink(path);
	ck_assert_int_eq(uds_shards_open(path, &f.options, &f.message, &f.shards), -ENOENT);
	ck_assert_int_eq(uds_shards_format(path, uris, 2, &f.options, &f.message), 0);
	ck_assert_int_eq(uds_shards_format(path, uris, 2, &f.options, &f.message), UDS_ERR_EXISTS);
	ck_assert_int_eq(stat(beside, &status), -1);
	ck_assert_int_eq(uds_shards_open(path, &f.options, &f.message, &f.shards), 0);
	/* Where the new one cannot be written, the old one stays. */
	ck_assert_int_eq(mkdir(beside, 0700), 0);
	ck_assert_int_eq(uds_shards_add(f.shards, "2", NULL, NULL), -EISDIR);
	ck_assert_int_eq(rmdir(beside), 0);
	ck_assert_int_eq(uds_shards_add(f.shards, "2", NULL, NULL), 0);
	fixture_close(&f);
	ck_assert_int_eq(uds_shards_open(path, &f.options, &f.message, &f.shards), 0);
	/* Another program's manifest is not written over. */
	unlink(path);
	ck_assert_int_eq(uds_shards_add(f.shards, "3", NULL, NULL), -ENOENT);
	ck_assert_int_eq(uds_shards_format(path, uris, 1, &f.options, &f.message), 0);
	ck_assert_int_eq(uds_shards_add(f.shards, "3", NULL, NULL), UDS_ERR_MISMATCH);
	uds_shards_error_message(f.shards, &f.message);
	ck_assert_msg(strstr(f.message.text, "another program") != NULL, "%s", f.message.text);
	unlink(path);
	fixture_end(&f);
}
END_TEST

static int count_shard(void *context, const struct uds_shard_info *shard)
{
	unsigned int *count = context;

	ck_assert_str_eq(shard->uri, *count == 0 ? "0" : *count == 1 ? "1" : "2");
	ck_assert_ptr_null(shard->index);
	return ++*count == 7;
}

static int count_finding(void *context, const char *sentence)
{
	unsigned int *count = context;

	ck_assert_uint_gt(strlen(sentence), 10);
	return ++*count == 7;
}

/* The last two generations: a move takes two, and what counts on would wrap. */
START_TEST(a_manifest_counts_no_further_than_it_can_be_read)
{
	struct shards_fixture f;

	fixture_start(&f, 16, true);
	ck_assert_int_eq(fixture_format(&f, 2), 0);
	edit(&f, "\"generation\": 1", "\"generation\": 4611686018427387902");
	ck_assert_int_eq(fixture_open(&f), 0);
	ck_assert_int_eq(uds_shards_add(f.shards, "2", NULL, NULL), 0);
	ck_assert_int_eq(uds_shards_remove(f.shards, "2", NULL, NULL), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_shards_add(f.shards, "3", NULL, NULL), UDS_ERR_OUT_OF_RANGE);
	fixture_close(&f);
	ck_assert_int_eq(fixture_open(&f), 0);
	fixture_end(&f);
}
END_TEST

START_TEST(info_and_verify_say_what_is_there)
{
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;
	struct uds_shard_info shard = UDS_SHARD_INFO_INIT;
	unsigned int count = 0, findings = 0;
	uint32_t slots = 0;
	uint64_t found = 99;
	struct shards_fixture f;

	fixture_start(&f, 16, true);
	fixture_make(&f, 3);
	ck_assert_int_eq(uds_shards_get_info(f.shards, &info), 0);
	ck_assert_uint_eq(info.generation, 1);
	ck_assert_uint_eq(info.shards, 3);
	ck_assert_uint_eq(info.moving_slots, 0);
	ck_assert_uint_eq(info.configuration.chapters_per_volume, 16);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(uds_shards_get_shard(f.shards, i, &shard), 0);
		ck_assert_ptr_nonnull(shard.index);
		slots += shard.slots;
	}
	ck_assert_uint_eq(slots, UDS_SHARDS_SLOTS);
	ck_assert_int_eq(uds_shards_get_shard(f.shards, 3, &shard), UDS_ERR_OUT_OF_RANGE);
	info.size = 0;
	ck_assert_int_eq(uds_shards_get_info(f.shards, &info), -EINVAL);
	shard.size = 1;
	ck_assert_int_eq(uds_shards_get_shard(f.shards, 0, &shard), -EINVAL);
	fixture_close(&f);
	info.size = sizeof(info);
	ck_assert_int_eq(uds_shards_read_info("the manifest", &f.options, count_shard, &count,
					      &f.message, &info),
			 0);
	ck_assert_uint_eq(count, 3);
	ck_assert_int_eq(uds_shards_verify("the manifest", &f.options, count_finding, &findings,
					   &f.message, &found),
			 0);
	ck_assert_uint_eq(found, 0);
	fixture_format_shard(&f, 1, 55);
	ck_assert_int_eq(uds_shards_verify("the manifest", &f.options, count_finding, &findings,
					   &f.message, &found),
			 0);
	ck_assert_uint_eq(found, 1);
	findings = 6;
	ck_assert_int_eq(uds_shards_verify("the manifest", &f.options, count_finding, &findings,
					   &f.message, &found),
			 UDS_ERR_STOPPED);
	fixture_end(&f);
}
END_TEST

START_TEST(identities_are_checked_without_reading_more)
{
	struct uds_shards_options options;
	struct shards_fixture f;
	uint64_t found = 99, reads;

	fixture_start(&f, 16, true);
	fixture_make(&f, 3);
	fixture_close(&f);
	options = f.options;
	options.only_identities = true;
	fault_plan_fail(&f.plans[0], 0, 0, 0, false);
	ck_assert_int_eq(
		uds_shards_verify("the manifest", &options, NULL, NULL, &f.message, &found), 0);
	ck_assert_uint_eq(found, 0);
	reads = fault_plan_count(&f.plans[0], FAULT_READ);
	/* What comes behind cannot be read. */
	fault_plan_fail(&f.plans[0], FAULT_READ, reads + 1, -EIO, true);
	ck_assert_int_eq(
		uds_shards_verify("the manifest", &options, NULL, NULL, &f.message, &found), 0);
	ck_assert_uint_eq(found, 0);
	fault_plan_fail(&f.plans[0], FAULT_READ, reads + 1, -EIO, true);
	found = 0;
	ck_assert(uds_shards_verify("the manifest", &f.options, NULL, NULL, &f.message, &found) <
			  0 ||
		  found > 0);
	fault_plan_fail(&f.plans[0], 0, 0, 0, false);
	fixture_format_shard(&f, 1, 55);
	ck_assert_int_eq(
		uds_shards_verify("the manifest", &options, NULL, NULL, &f.message, &found), 0);
	ck_assert_uint_eq(found, 1);
	fixture_end(&f);
}
END_TEST

/* ---- failures ---- */

struct torture {
	struct shards_fixture *f;
	const struct uds_env *env;
};

/* Every call once; gives back all it made. */
static int do_everything(const struct uds_env *env, void *context)
{
	struct shards_fixture *f = context;
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;
	struct uds_request *requests = make_requests(UDS_POST, 0, 40, 1);
	struct seen seen = { .count = 0 };
	int r, status;

	f->options.env = env;
	f->length = 0;
	r = fixture_format(f, 3);
	if (r == 0)
		r = uds_shards_read_info("the manifest", &f->options, NULL, NULL, &f->message,
					 &info);
	if (r == 0)
		r = fixture_open(f);
	if (r == 0)
		r = uds_shards_run(f->shards, requests, 40);
	if (r == 0)
		r = uds_shards_get_statistics(f->shards, &s);
	if (r == 0)
		r = uds_shards_for_each(f->shards, note, &seen);
	if (r == 0)
		r = uds_shards_flush(f->shards);
	status = uds_shards_close(f->shards);
	f->shards = NULL;
	if (r == 0)
		r = status;
	if (r == 0)
		r = uds_shards_verify("the manifest", &f->options, NULL, NULL, &f->message, NULL);
	for (unsigned int i = 0; i < 3; i++)
		fixture_format_shard(f, i, (uint8_t)(100 + i));
	free(requests);
	return r;
}

START_TEST(every_allocation_may_fail)
{
	struct shards_fixture f;

	fixture_start(&f, 4, true);
	f.options.no_threads = true;
	torture_each_allocation(do_everything, &f, true);
	f.options.env = NULL;
	fixture_end(&f);
}
END_TEST

START_TEST(every_read_and_write_may_fail)
{
	struct shards_fixture f;

	fixture_start(&f, 4, true);
	f.options.no_threads = true;
	for (unsigned int i = 0; i < 3; i++) {
		int r = -EIO;

		for (uint64_t nth = 1; r < 0; nth++) {
			f.length = 0;
			fault_plan_fail(&f.plans[i], FAULT_ANY, nth, -EIO, false);
			r = do_everything(NULL, &f);
			ck_assert(r == 0 || r == -EIO);
			/* Verifying may note it as a finding, and closing needs nothing. */
			if (f.plans[i].failed == 0)
				break;
			r = -EIO;
		}
		fault_plan_fail(&f.plans[i], 0, 0, 0, false);
	}
	fixture_end(&f);
}
END_TEST

/* A program knows the sizes that they have in 0.2: a struct may grow, and never shrinks. */
START_TEST(structs_have_at_least_the_size_of_0_2)
{
	if (sizeof(void *) != 8)
		skip_test("structs_have_at_least_the_size_of_0_2: pointers of another size");
	ck_assert_uint_ge(sizeof(struct uds_manifest_store), 32);
	ck_assert_uint_ge(sizeof(struct uds_shards_options), 56);
	ck_assert_uint_ge(sizeof(struct uds_shards_info), 96);
	ck_assert_uint_ge(sizeof(struct uds_shard_info), 40);
}
END_TEST

START_TEST(wrong_structs_are_refused)
{
	struct uds_index_options index = UDS_INDEX_OPTIONS_INIT;
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;
	struct shards_fixture f;

	fixture_start(&f, 16, true);
	fixture_make(&f, 1);
	s.size = 0;
	ck_assert_int_eq(uds_shards_get_statistics(f.shards, &s), -EINVAL);
	uds_shards_error_message(f.shards, &f.message);
	ck_assert_uint_gt(strlen(f.message.text), 10);
	fixture_close(&f);
	index.size = 0;
	f.options.index = &index;
	ck_assert_int_eq(fixture_open(&f), -EINVAL);
	ck_assert_int_eq(uds_shards_verify("m", &f.options, NULL, NULL, &f.message, NULL), -EINVAL);
	f.options.index = NULL;
	f.store.replace = NULL;
	ck_assert_int_eq(fixture_open(&f), -EINVAL);
	f.store.size = 1;
	ck_assert_int_eq(fixture_open(&f), -EINVAL);
	f.options.size = 1;
	ck_assert_int_eq(fixture_open(&f), -EINVAL);
	ck_assert_int_eq(fixture_format(&f, 1), -EINVAL);
	fixture_end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shards");
	TCase *tcase = tcase_create("shards");

	tcase_add_test(tcase, placement_never_changes);
	tcase_add_test(tcase, slots_are_bits_that_no_geometry_uses);
	tcase_add_test(tcase, slots_are_shared_out_evenly);
	tcase_add_test(tcase, a_shard_more_or_less_moves_only_its_own_slots);
	tcase_add_test(tcase, names_of_each_shard_are_distributed_as_all_names_are);
	tcase_add_test(tcase, uneven_names_are_found_out);
	tcase_add_loop_test(tcase, a_batch_is_answered_as_by_one_index, 0, 2);
	tcase_add_test(tcase, an_empty_batch_and_all_kinds_of_single_requests);
	tcase_add_test(tcase, a_shard_that_fails_costs_its_names_only);
	tcase_add_test(tcase, a_lost_shard_is_replaced_by_an_empty_one_with_its_nonce_data);
	tcase_add_test(tcase, flushed_records_are_there_after_a_crash);
	tcase_add_loop_test(tcase, saved_shards_open_without_recovery, 0, 2);
	tcase_add_loop_test(tcase, a_flush_that_fails_in_one_shard_is_done_in_the_others, 0, 2);
	tcase_add_test(tcase, for_each_gives_each_name_once);
	tcase_add_test(tcase, a_missing_foreign_or_swapped_shard_is_refused_by_name);
	tcase_add_test(tcase, a_shard_of_another_geometry_or_without_an_index_is_refused);
	tcase_add_test(tcase, a_manifest_that_is_not_whole_is_refused);
	tcase_add_test(tcase, a_doubled_shard_is_refused);
	tcase_add_test(tcase, making_a_manifest_refuses_what_cannot_be);
	tcase_add_test(tcase, a_manifest_in_a_file_is_replaced_as_a_whole);
	tcase_add_test(tcase, a_manifest_counts_no_further_than_it_can_be_read);
	tcase_add_test(tcase, info_and_verify_say_what_is_there);
	tcase_add_test(tcase, identities_are_checked_without_reading_more);
	tcase_add_test(tcase, every_allocation_may_fail);
	tcase_add_test(tcase, every_read_and_write_may_fail);
	tcase_add_test(tcase, structs_have_at_least_the_size_of_0_2);
	tcase_add_test(tcase, wrong_structs_are_refused);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
