/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records that are put into the lists of a volume index many at once: what comes of it is what
 * looking up and putting each of them makes, to the last bit of a save.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/env.h"
#include "check_main.h"
#include "enter_name.h"
#include "geometry/name_bits.h"
#include "save_zone.h"
#include "torture_env.h"
#include "volume_index/enter.h"
#include "volume_index/private.h"

#define CHAPTERS 16u
#define ZONES	 3u

/* A volume that is full of chapters. */
struct sample {
	struct geometry geometry;
	uint64_t oldest, newest; /* the latter is open */
	uint8_t *pages;		 /* of all chapters, oldest first */
};

static struct uds_env env;

static uint64_t random_bits(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* New names; some with the address of one that came before, and some that came before. */
static void make_pages(struct sample *sample, uint64_t seed)
{
	const uint32_t count = CHAPTERS * sample->geometry.records_per_chapter;

	sample->pages = calloc(count, UDS_RECORD_BYTES);
	ck_assert_ptr_nonnull(sample->pages);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *name = sample->pages + (size_t)i * UDS_RECORD_BYTES;

		put_le64(name, random_bits(&seed));
		put_le64(name + 8, random_bits(&seed));
		if (i > 0 && random_bits(&seed) % 100 == 0)
			memcpy(name, sample->pages + random_bits(&seed) % i * UDS_RECORD_BYTES,
			       random_bits(&seed) % 2 == 0 ? 8 : UDS_NAME_BYTES);
	}
}

/* @oldest: chapter numbers beyond those that the values of entries can tell apart. */
static void make_sample(bool sparse, uint64_t oldest, struct sample *ret_sample)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 2;
	c.chapters_per_volume = CHAPTERS;
	if (sparse) {
		c.sparse_chapters_per_volume = 9;
		c.sparse_sample_rate = 3;
	}
	ck_assert_int_eq(geometry_make(&c, &ret_sample->geometry, NULL), 0);
	ret_sample->oldest = oldest;
	ret_sample->newest = oldest + CHAPTERS;
	make_pages(ret_sample, oldest + 1);
}

static const uint8_t *pages_of(const struct sample *sample, uint64_t vcn)
{
	return sample->pages +
	       (vcn - sample->oldest) * sample->geometry.records_per_chapter * UDS_RECORD_BYTES;
}

static bool is_sparse(const struct sample *sample, uint64_t vcn)
{
	return geometry_is_chapter_sparse(&sample->geometry, sample->oldest, sample->newest, vcn);
}

/* All names of a chapter, or those that @additions have left. Returns how many. */
static uint32_t enter_chapter(struct volume_index *index, const struct sample *sample, uint64_t vcn,
			      const struct additions *additions)
{
	const uint8_t *records = pages_of(sample, vcn);
	uint32_t entered = 0;

	for (unsigned int part = 0; part < volume_index_parts(index); part++)
		volume_index_set_part_window(index, part, vcn, vcn);
	for (uint32_t i = 0; i < sample->geometry.records_per_chapter; i++) {
		struct uds_record_name name;

		if (additions != NULL && additions_next_left(additions, vcn, i) != i)
			continue;
		memcpy(&name, records + (size_t)i * UDS_RECORD_BYTES, sizeof(name));
		if (is_sparse(sample, vcn) && !is_sample(&sample->geometry, &name))
			continue;
		enter_name(index, &name, vcn);
		entered++;
	}
	return entered;
}

static struct additions *gather(const struct uds_env *with, const struct sample *sample,
				uint64_t first, uint64_t end)
{
	const struct geometry *geometry = &sample->geometry;
	struct additions *additions =
		additions_make(with, geometry, 1, first, (uint32_t)(end - first));

	for (uint64_t vcn = first; additions != NULL && vcn < end; vcn++) {
		for (uint32_t page = 0; page < geometry->record_pages_per_chapter; page++)
			additions_add_page(additions, 0, vcn, page,
					   pages_of(sample, vcn) + (size_t)page * 4096,
					   is_sparse(sample, vcn));
	}
	if (additions != NULL && additions_sort(additions, NULL) < 0) {
		additions_free(additions);
		return NULL;
	}
	return additions;
}

/* Chapters @first to @end - 1. Returns how many records were left by their lists. */
static uint32_t enter_group(struct volume_index *index, const struct sample *sample,
			    struct enterer *enterer, uint64_t first, uint64_t end)
{
	struct additions *additions = gather(&env, sample, first, end);
	uint32_t left = 0;

	ck_assert_ptr_nonnull(additions);
	for (unsigned int part = 0; part < volume_index_parts(index); part++)
		ck_assert_int_eq(enterer_run(enterer, part, additions), 0);
	for (uint64_t vcn = first; vcn < end; vcn++)
		left += enter_chapter(index, sample, vcn, additions);
	additions_free(additions);
	return left;
}

static void check_same(struct volume_index *a, struct volume_index *b)
{
	struct volume_index_statistics sa = { 0 }, sb = { 0 };

	for (unsigned int zone = 0; zone < ZONES; zone++) {
		struct saved_bytes streams[2] = { 0 };
		uint64_t dropped;

		for (unsigned int i = 0; i < 2; i++) {
			const struct byte_sink sink = { saved_bytes_add, &streams[i] };

			ck_assert_int_eq(
				save_zone(i == 0 ? a : b, zone, UINT64_MAX, &sink, NULL, &dropped),
				0);
		}
		ck_assert_uint_eq(streams[0].length, streams[1].length);
		ck_assert_mem_eq(streams[0].bytes, streams[1].bytes, streams[0].length);
		free(streams[0].bytes);
		free(streams[1].bytes);
		volume_index_add_statistics(a, zone, &sa);
		volume_index_add_statistics(b, zone, &sb);
	}
	ck_assert_uint_eq(sa.entries, sb.entries);
	ck_assert_uint_eq(sa.collisions, sb.collisions);
	ck_assert_uint_eq(sa.discards, sb.discards);
	ck_assert_uint_eq(sa.coded_bits, sb.coded_bits);
}

static struct volume_index *make_index(const struct sample *sample, unsigned int parts)
{
	struct volume_index *index;

	ck_assert_int_eq(volume_index_make(&env, &sample->geometry, ZONES, parts, 5, NULL, &index),
			 0);
	return index;
}

static void open_newest(struct volume_index *index, const struct sample *sample)
{
	ck_assert_int_eq(volume_index_join(index), 0);
	for (unsigned int zone = 0; zone < ZONES; zone++)
		ck_assert_int_eq(volume_index_set_open_chapter(index, zone, sample->newest), 0);
}

static void check_groups(const struct sample *sample, struct volume_index *slow, uint32_t all,
			 uint64_t size, unsigned int parts)
{
	struct volume_index *fast = make_index(sample, parts);
	struct enterer *enterer;
	uint32_t left = 0;

	ck_assert_int_eq(enterer_make(fast, &enterer), 0);
	for (uint64_t vcn = sample->oldest; vcn < sample->newest; vcn += size)
		left += enter_group(fast, sample, enterer, vcn,
				    vcn + size < sample->newest ? vcn + size : sample->newest);
	/* Both ways were tried. */
	ck_assert_uint_gt(left, all / 200);
	ck_assert_uint_lt(left, all / 2);
	enterer_free(enterer);
	open_newest(fast, sample);
	check_same(slow, fast);
	volume_index_free(fast);
}

/* @_i: bit 0 sparse; above, which chapter is the oldest. */
START_TEST(groups_of_any_size_make_what_single_records_make)
{
	static const uint64_t oldest[] = { 0, 1, 9, 15, 16, 17, 5000 };
	static const uint64_t sizes[] = { 1, 2, 5, CHAPTERS };
	struct sample sample;
	struct volume_index *slow;
	uint32_t all = 0;

	make_sample(_i % 2 != 0, oldest[_i / 2], &sample);
	slow = make_index(&sample, 1);
	for (uint64_t vcn = sample.oldest; vcn < sample.newest; vcn++)
		all += enter_chapter(slow, &sample, vcn, NULL);
	open_newest(slow, &sample);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		check_groups(&sample, slow, all, sizes[i], 1 + i % 3);
	volume_index_free(slow);
	free(sample.pages);
}
END_TEST

/* Into an index that needs more memory for each group. */
static int fill(const struct uds_env *with, void *context)
{
	const struct sample *sample = context;
	struct enterer *enterer = NULL;
	struct volume_index *index;
	int r;

	r = volume_index_make(with, &sample->geometry, 1, 2, 5, NULL, &index);
	if (r < 0)
		return r;
	r = enterer_make(index, &enterer);
	for (uint64_t vcn = sample->oldest; r == 0 && vcn < sample->newest; vcn += 4) {
		struct additions *additions = gather(with, sample, vcn, vcn + 4);

		r = additions == NULL ? -ENOMEM : 0;
		for (unsigned int part = 0; r == 0 && part < 2; part++)
			r = enterer_run(enterer, part, additions);
		additions_free(additions);
	}
	enterer_free(enterer);
	volume_index_free(index);
	return r;
}

START_TEST(every_failing_allocation_is_survived)
{
	struct sample sample;

	make_sample(_i != 0, 20, &sample);
	torture_each_allocation(fill, &sample, false);
	free(sample.pages);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("entering many records");
	TCase *tcase = tcase_create("entering");

	env_complete(NULL, &env);
	tcase_add_loop_test(tcase, groups_of_any_size_make_what_single_records_make, 0, 14);
	tcase_add_loop_test(tcase, every_failing_allocation_is_survived, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
