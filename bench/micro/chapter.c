/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a chapter costs, step by step, in ns per record: putting records in the open chapter, laying
 * out and encoding record pages, entering names in the chapter index, sorting it, packing it,
 * searching it. And what qsort() takes for the same names, for comparison.
 *
 * usage: chapter [RECORD_PAGES [ZONES [ROUNDS]]]   (64, 1 and 20)
 * Prints the median of the rounds of each step.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/env.h"
#include "chapter/closed_chapter.h"
#include "chapter/index_page.h"
#include "geometry/name_zone.h"

#define MAXIMUM_ROUNDS 1000

enum step {
	STEP_PUT,
	STEP_PUT_BATCH,
	STEP_SEARCH_MISS,
	STEP_SAVE_QSORT,
	STEP_RECORD_PAGES,
	STEP_SORT,
	STEP_PACK,
	STEP_INDEX_SEARCH,
	STEP_RECORD_SEARCH,
	STEPS,
};

static const char *const titles[STEPS] = {
	[STEP_PUT] = "open chapter: put, one by one",
	[STEP_PUT_BATCH] = "open chapter: put, 64 at a time",
	[STEP_SEARCH_MISS] = "open chapter: search, miss",
	[STEP_SAVE_QSORT] = "(qsort of all records by name)",
	[STEP_RECORD_PAGES] = "record pages, and names into the index",
	[STEP_SORT] = "chapter index: sort",
	[STEP_PACK] = "chapter index: pack",
	[STEP_INDEX_SEARCH] = "index page: search, hit",
	[STEP_RECORD_SEARCH] = "record page: search, hit",
};

static double samples[STEPS][MAXIMUM_ROUNDS];

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void fill(struct uds_record *records, uint32_t count, uint64_t seed)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t k = seed + 4 * (uint64_t)i;

		put_le64(records[i].name.bytes, mix(k * UINT64_C(0x9e3779b97f4a7c15)));
		put_le64(records[i].name.bytes + 8, mix((k + 1) * UINT64_C(0x9e3779b97f4a7c15)));
		put_le64(records[i].data.bytes, k);
		put_le64(records[i].data.bytes + 8, seed);
	}
}

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, UDS_NAME_BYTES);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void fail(const char *what)
{
	fprintf(stderr, "chapter: %s\n", what);
	exit(1);
}

struct bench {
	struct geometry geometry;
	struct index_page_code code;
	struct zone_chooser chooser;
	unsigned int zone_count;
	struct open_zone *zones[MAXIMUM_ZONES];
	struct chapter_index *index;
	struct record_page_encoder *encoder;
	struct uds_record *records, *copy;
	uint32_t count;
	uint8_t *record_pages, *index_pages;
	uint16_t *last_lists;
	unsigned int round;
};

static void record_step(struct bench *b, enum step step, double start)
{
	samples[step][b->round] = (now_ns() - start) / b->count;
}

static void reset_zones(struct bench *b)
{
	for (unsigned int z = 0; z < b->zone_count; z++)
		open_zone_reset(b->zones[z]);
}

static void put_one_by_one(struct bench *b)
{
	double start;
	uint32_t room;

	reset_zones(b);
	start = now_ns();
	for (uint32_t i = 0; i < b->count; i++) {
		struct uds_record *r = &b->records[i];

		/* A zone that is full refuses, and that is fine here. */
		(void)open_zone_put(b->zones[name_zone(&b->chooser, &r->name)], &r->name, &r->data,
				    &room);
	}
	record_step(b, STEP_PUT, start);
}

static void put_in_batches(struct bench *b)
{
	double start;
	uint32_t room;

	reset_zones(b);
	start = now_ns();
	for (uint32_t i = 0; i < b->count; i += 64) {
		uint32_t end = i + 64 < b->count ? i + 64 : b->count;

		for (uint32_t k = i; k < end; k++) {
			struct uds_record *r = &b->records[k];

			__builtin_prefetch(open_zone_first_slot(
				b->zones[name_zone(&b->chooser, &r->name)], &r->name));
		}
		for (uint32_t k = i; k < end; k++) {
			struct uds_record *r = &b->records[k];

			(void)open_zone_put(b->zones[name_zone(&b->chooser, &r->name)], &r->name,
					    &r->data, &room);
		}
	}
	record_step(b, STEP_PUT_BATCH, start);
}

static void search_misses(struct bench *b)
{
	double start = now_ns();
	uint32_t found = 0;

	for (uint32_t i = 0; i < b->count; i++) {
		struct uds_record_name name = b->records[i].name;

		name.bytes[13] ^= 0x55;
		found += open_zone_search(b->zones[name_zone(&b->chooser, &name)], &name) != NULL;
	}
	record_step(b, STEP_SEARCH_MISS, start);
	if (found != 0)
		fail("found what was never put");
}

static void sort_plainly(struct bench *b)
{
	double start;

	memcpy(b->copy, b->records, b->count * sizeof(b->copy[0]));
	start = now_ns();
	qsort(b->copy, b->count, sizeof(b->copy[0]), by_name);
	record_step(b, STEP_SAVE_QSORT, start);
}

static void make_pages(struct bench *b)
{
	struct collation collation;
	double start;

	if (collation_start(&collation, &b->geometry, b->zones, b->zone_count) < 0)
		fail("nothing to collate");
	chapter_index_reset(b->index, b->round);
	start = now_ns();
	for (uint32_t p = 0; p < b->geometry.record_pages_per_chapter; p++) {
		if (closed_chapter_encode_page(&collation, p, b->index, b->encoder,
					       b->record_pages +
						       (size_t)p * b->geometry.page_bytes) < 0)
			fail("a record page was refused");
	}
	record_step(b, STEP_RECORD_PAGES, start);
	start = now_ns();
	if (chapter_index_finish(b->index, NULL) < 0)
		fail("the index was refused");
	record_step(b, STEP_SORT, start);
	start = now_ns();
	if (closed_chapter_pack_index(&b->geometry, b->index, b->index_pages, b->last_lists, NULL) <
	    0)
		fail("the index pages were refused");
	record_step(b, STEP_PACK, start);
}

static void search_pages(struct bench *b)
{
	const struct geometry *g = &b->geometry;
	struct index_page_head heads[4096];
	uint32_t *found = malloc(b->count * sizeof(*found));
	struct uds_record_data data;
	uint32_t misses = 0;
	double start;

	if (found == NULL)
		fail("no memory");
	for (uint32_t p = 0; p < g->index_pages_per_chapter; p++) {
		if (index_page_open(&b->code, b->index_pages + (size_t)p * g->page_bytes, &heads[p],
				    NULL) < 0)
			fail("an index page is corrupt");
	}
	start = now_ns();
	for (uint32_t i = 0; i < b->count; i++) {
		const struct uds_record_name *name = &b->records[i].name;
		uint32_t list = chapter_list(g, name), p = 0;

		while (p + 1 < g->index_pages_per_chapter && list > b->last_lists[p])
			p++;
		if (index_page_search(g, &b->code, &heads[p],
				      b->index_pages + (size_t)p * g->page_bytes, name,
				      &found[i]) != 1)
			found[i] = 0, misses++;
	}
	record_step(b, STEP_INDEX_SEARCH, start);
	start = now_ns();
	for (uint32_t i = 0; i < b->count; i++) {
		if (!record_page_search(b->record_pages + (size_t)found[i] * g->page_bytes,
					g->records_per_page, &b->records[i].name, &data))
			misses++;
	}
	record_step(b, STEP_RECORD_SEARCH, start);
	if (b->zone_count == 1 && misses > 0)
		fail("records are missing");
	free(found);
}

static void set_up(struct bench *b, uint32_t record_pages, unsigned int zones)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message;
	struct uds_env env;

	c.record_pages_per_chapter = record_pages;
	if (geometry_make(&c, &b->geometry, &message) < 0)
		fail(message.text);
	env_complete(NULL, &env);
	b->count = b->geometry.records_per_chapter;
	b->zone_count = zones;
	zone_chooser_make(&b->geometry, zones, &b->chooser);
	index_page_code_make(&b->geometry, 1, &b->code);
	b->records = malloc(b->count * sizeof(b->records[0]));
	b->copy = malloc(b->count * sizeof(b->copy[0]));
	b->record_pages = malloc((size_t)record_pages * c.page_bytes);
	b->index_pages = malloc((size_t)b->geometry.index_pages_per_chapter * c.page_bytes);
	b->last_lists = malloc(b->geometry.index_pages_per_chapter * sizeof(b->last_lists[0]));
	if (b->records == NULL || b->copy == NULL || b->record_pages == NULL ||
	    b->index_pages == NULL || b->last_lists == NULL ||
	    chapter_index_make(&env, &b->geometry, 1, &b->index) < 0 ||
	    record_page_encoder_make(&env, b->geometry.records_per_page, &b->encoder) < 0)
		fail("no memory");
	for (unsigned int z = 0; z < zones; z++) {
		if (open_zone_make(&env, b->count / zones, &b->zones[z]) < 0)
			fail("no memory");
	}
}

static void tear_down(struct bench *b)
{
	for (unsigned int z = 0; z < b->zone_count; z++)
		open_zone_free(b->zones[z]);
	chapter_index_free(b->index);
	record_page_encoder_free(b->encoder);
	free(b->records);
	free(b->copy);
	free(b->record_pages);
	free(b->index_pages);
	free(b->last_lists);
}

int main(int argc, char **argv)
{
	uint32_t record_pages = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 64;
	unsigned int zones = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 1;
	unsigned int rounds = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 20;
	struct bench b = { 0 };

	if (zones < 1 || zones > MAXIMUM_ZONES || rounds < 1 || rounds > MAXIMUM_ROUNDS)
		fail("usage: chapter [RECORD_PAGES [ZONES 1-16 [ROUNDS 1-1000]]]");
	set_up(&b, record_pages, zones);
	for (b.round = 0; b.round < rounds; b.round++) {
		fill(b.records, b.count, UINT64_C(1000000007) * b.round);
		put_one_by_one(&b);
		put_in_batches(&b);
		search_misses(&b);
		sort_plainly(&b);
		make_pages(&b);
		search_pages(&b);
	}
	printf("%" PRIu32 " records, %u zones, median of %u rounds\n", b.count, zones, rounds);
	for (int s = 0; s < STEPS; s++) {
		double median;

		qsort(samples[s], rounds, sizeof(double), by_value);
		median = samples[s][rounds / 2];
		printf("%-40s %8.1f ns/record %8.2f ms/chapter\n", titles[s], median,
		       median * b.count / 1e6);
	}
	tear_down(&b);
	return 0;
}
