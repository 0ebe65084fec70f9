/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast and how small the volume index is by itself, and beside another form of its lists:
 * sorted arrays of whole keys and chapters (sorted_lists.c). Same names, same batches, one thread.
 *
 *	bench/micro/volume_index [--full] [--form NAME]
 *
 * The index is the dense one of 256 MB: 262144 lists of about 256 entries when full. Without --full
 * only an eighth of the lists is used, which is quick; caches then hold more of the memory than in
 * life. --form takes one form of the list operations (portable, avx2) instead of the best.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/env.h"
#include "bench/micro/sorted_lists.h"
#include "volume_index/private.h"
#include "volume_index/volume_index.h"

#define BATCH		256u
#define STEADY_CHAPTERS 64u

struct run {
	const char *name;
	double fill;
	double miss;
	double miss_alone;
	double hit;
	double steady;
	double bytes_full;
	double bytes_steady;
	uint64_t found;
};

static double now(void)
{
	struct timespec t;

	/* Of this thread: what else runs on the machine shall not count. */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t splitmix(uint64_t seed, uint64_t k)
{
	uint64_t z = seed + (k + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t list_limit_mask;

/* Name number @i of a stream; only the lists below the limit are used. */
static void make_name(uint64_t seed, uint64_t i, struct uds_record_name *ret_name)
{
	uint64_t v = splitmix(seed, 2 * i) & list_limit_mask;
	uint64_t rest = splitmix(seed, 2 * i + 1);

	for (int k = 0; k < 8; k++)
		ret_name->bytes[k] = (uint8_t)(v >> (56 - 8 * k));
	memcpy(ret_name->bytes + 8, &rest, 8);
}

static struct uds_record_name names[BATCH];

static void make_batch(uint64_t seed, uint64_t first)
{
	for (uint64_t i = 0; i < BATCH; i++)
		make_name(seed, first + i, &names[i]);
}

static void post_batch(struct volume_index *index, uint64_t vcn)
{
	struct name_place places[BATCH];
	struct hint record;

	for (unsigned int i = 0; i < BATCH; i++)
		volume_index_locate(index, &names[i], &places[i]);
	for (unsigned int i = 0; i < 8; i++)
		volume_index_approach(index, &places[i]);
	for (unsigned int i = 0; i < BATCH + 8; i++) {
		if (i + 8 < BATCH)
			volume_index_approach(index, &places[i + 8]);
		if (i < BATCH)
			volume_index_prefetch(index, &places[i], HINT_CHANGE);
		if (i < 8)
			continue;
		volume_index_get(index, &places[i - 8], &names[i - 8], &record);
		if (volume_index_put(index, &record, &names[i - 8], vcn) < 0)
			exit(1);
	}
}

/* Posts chapters [from, to) of the stream. Returns the time without that of making names. */
static double post_chapters(struct volume_index *index, uint64_t from, uint64_t to,
			    uint64_t per_chapter)
{
	double total = 0;

	for (uint64_t vcn = from; vcn < to; vcn++) {
		volume_index_set_open_chapter(index, 0, vcn);
		for (uint64_t i = 0; i < per_chapter; i += BATCH) {
			double start;

			make_batch(1, vcn * per_chapter + i);
			start = now();
			post_batch(index, vcn);
			total += now() - start;
		}
	}
	return total;
}

/*
 * Names whose list heads are fetched ahead of the lookup; and so many names later, what says where
 * their lists are, and the lists.
 */
#define HEADS_AHEAD  24u
#define PLACES_AHEAD 6u
#define LISTS_AHEAD  12u

/* As a batch of requests does it: locate, prefetch, peek. */
static void peek_many(const struct volume_index *index, const struct uds_record_name *batch,
		      size_t count, struct hint *ret_records)
{
	for (size_t i = 0; i < count + HEADS_AHEAD; i++) {
		if (i < count)
			volume_index_locate(index, &batch[i], &ret_records[i].place);
		if (i >= PLACES_AHEAD && i - PLACES_AHEAD < count)
			volume_index_approach(index, &ret_records[i - PLACES_AHEAD].place);
		if (i >= LISTS_AHEAD && i - LISTS_AHEAD < count)
			volume_index_prefetch(index, &ret_records[i - LISTS_AHEAD].place,
					      HINT_PEEK);
		if (i >= HEADS_AHEAD) {
			struct hint *record = &ret_records[i - HEADS_AHEAD];
			struct name_place place = record->place;

			volume_index_peek(index, &place, &batch[i - HEADS_AHEAD], record);
		}
	}
}

static double look_up(struct volume_index *index, uint64_t seed, uint64_t first, uint64_t count,
		      unsigned int batch, uint64_t *found)
{
	struct hint records[BATCH];
	double total = 0;

	for (uint64_t i = 0; i < count; i += BATCH) {
		double start;

		make_batch(seed, first + splitmix(77, i) % count / BATCH * BATCH);
		start = now();
		for (unsigned int k = 0; k < BATCH; k += batch)
			peek_many(index, names + k, batch, records + k);
		total += now() - start;
		for (unsigned int k = 0; k < BATCH; k++)
			*found += records[k].found;
	}
	return total;
}

static double memory_bytes(const struct volume_index *index, unsigned int scale)
{
	struct volume_index_statistics statistics = { 0 };

	/* The heads of lists that are not used count as if they were. */
	volume_index_add_statistics(index, 0, &statistics);
	return (double)statistics.memory_bytes -
	       (double)sizeof(struct list_head) * volume_index_list_count(index, SUB_INDEX_DENSE) *
		       (scale - 1) / scale;
}

static void measure_index(const struct geometry *geometry, unsigned int scale, const char *form,
			  struct run *run)
{
	uint64_t per_chapter = geometry->records_per_chapter / scale;
	uint64_t chapters = geometry->chapters_per_volume;
	uint64_t records = per_chapter * chapters;
	uint64_t probes = 2000000;
	struct volume_index *index;
	struct uds_env env;
	bool usable;

	env_complete(NULL, &env);
	if (volume_index_make(&env, geometry, 1, 1, 1, NULL, &index) < 0)
		exit(1);
	for (unsigned int i = 0; form != NULL && list_operations_get(i, &usable) != NULL; i++) {
		if (usable && strcmp(list_operations_get(i, &usable)->name, form) == 0)
			index->operations = list_operations_get(i, &usable);
	}
	run->name = index->operations->name;
	run->fill = post_chapters(index, 0, chapters, per_chapter) / (double)records;
	run->bytes_full = memory_bytes(index, scale) / (double)records;
	run->miss = look_up(index, 2, 0, probes, BATCH, &run->found) / (double)probes;
	run->miss_alone = look_up(index, 3, 0, probes / 4, 1, &run->found) / (double)(probes / 4);
	run->hit = look_up(index, 1, 0, probes, BATCH, &run->found) / (double)probes;
	run->steady = post_chapters(index, chapters, chapters + STEADY_CHAPTERS, per_chapter) /
		      (double)(STEADY_CHAPTERS * per_chapter);
	run->bytes_steady = memory_bytes(index, scale) / (double)records;
	volume_index_free(index);
}

struct sorted_place {
	uint32_t list;
	uint32_t key;
};

static void locate_sorted(const struct sorted_lists *all, struct sorted_place *ret_places)
{
	for (unsigned int i = 0; i < BATCH; i++) {
		uint64_t v = get_be64(names[i].bytes);

		ret_places[i].list = (uint32_t)(v >> 20) & (all->list_count - 1);
		ret_places[i].key = (uint32_t)v & 0xfffff;
		__builtin_prefetch(&all->lists[ret_places[i].list]);
	}
}

static double post_sorted(struct sorted_lists *all, uint64_t from, uint64_t to,
			  uint64_t per_chapter)
{
	struct sorted_place places[BATCH];
	double total = 0;

	for (uint64_t vcn = from; vcn < to; vcn++) {
		sorted_lists_open_chapter(all, vcn);
		for (uint64_t i = 0; i < per_chapter; i += BATCH) {
			double start;

			make_batch(1, vcn * per_chapter + i);
			start = now();
			locate_sorted(all, places);
			for (unsigned int k = 0; k < BATCH + 8; k++) {
				uint32_t position;

				if (k < BATCH)
					sorted_lists_prefetch(all, places[k].list, places[k].key,
							      true);
				if (k < 8)
					continue;
				sorted_lists_get(all, places[k - 8].list, places[k - 8].key, true,
						 &position);
				sorted_lists_put(all, places[k - 8].list, places[k - 8].key,
						 position, vcn);
			}
			total += now() - start;
		}
	}
	return total;
}

static double look_up_sorted(struct sorted_lists *all, uint64_t seed, uint64_t count,
			     unsigned int ahead, uint64_t *found)
{
	struct sorted_place places[BATCH];
	double total = 0;

	for (uint64_t i = 0; i < count; i += BATCH) {
		double start;

		make_batch(seed, splitmix(77, i) % count / BATCH * BATCH);
		start = now();
		locate_sorted(all, places);
		for (unsigned int k = 0; k < BATCH + ahead; k++) {
			uint32_t position;

			if (k < BATCH && ahead > 0)
				sorted_lists_prefetch(all, places[k].list, places[k].key, false);
			if (k >= ahead)
				*found += sorted_lists_get(all, places[k - ahead].list,
							   places[k - ahead].key, false, &position);
		}
		total += now() - start;
	}
	return total;
}

static void measure_sorted(const struct geometry *geometry, unsigned int scale, struct run *run)
{
	uint64_t per_chapter = geometry->records_per_chapter / scale;
	uint64_t chapters = geometry->chapters_per_volume;
	uint64_t records = per_chapter * chapters;
	uint64_t probes = 2000000;
	struct sorted_lists all;

	sorted_lists_make(&all, (1u << 18) / scale);
	run->name = "sorted arrays";
	run->fill = post_sorted(&all, 0, chapters, per_chapter) / (double)records;
	run->bytes_full = (double)sorted_lists_bytes(&all) / (double)records;
	run->miss = look_up_sorted(&all, 2, probes, 8, &run->found) / (double)probes;
	run->miss_alone =
		look_up_sorted(&all, 3, probes / 4, 0, &run->found) / (double)(probes / 4);
	run->hit = look_up_sorted(&all, 1, probes, 8, &run->found) / (double)probes;
	run->steady = post_sorted(&all, chapters, chapters + STEADY_CHAPTERS, per_chapter) /
		      (double)(STEADY_CHAPTERS * per_chapter);
	run->bytes_steady = (double)sorted_lists_bytes(&all) / (double)records;
	sorted_lists_free(&all);
}

static void print_run(const struct run *run)
{
	printf("%-22s %8.1f %8.1f %8.1f %8.1f %8.1f %8.3f %8.3f\n", run->name, run->fill, run->miss,
	       run->miss_alone, run->hit, run->steady, run->bytes_full, run->bytes_steady);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct geometry geometry;
	const char *form = NULL;
	unsigned int scale = 8;
	struct run run = { 0 };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--full") == 0) {
			scale = 1;
		} else if (strcmp(argv[i], "--form") == 0 && i + 1 < argc) {
			form = argv[++i];
		} else {
			fprintf(stderr, "usage: %s [--full] [--form NAME]\n", argv[0]);
			return 2;
		}
	}
	if (geometry_make(&configuration, &geometry, NULL) < 0)
		return 1;
	/* 18 bits of list number, 20 of key. */
	list_limit_mask = (UINT64_C(1) << 38) / scale - 1;
	printf("%u lists of about 256 entries; ns each, bytes a record\n", (1u << 18) / scale);
	printf("%-22s %8s %8s %8s %8s %8s %8s %8s\n", "", "fill", "miss", "alone", "hit", "steady",
	       "full", "steady");
	measure_index(&geometry, scale, form, &run);
	print_run(&run);
	memset(&run, 0, sizeof(run));
	measure_sorted(&geometry, scale, &run);
	print_run(&run);
	return 0;
}
