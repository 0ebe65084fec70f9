/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lookup table against a plain array: every operation, in random order, with
 * memory failing too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "check_main.h"
#include "snap_image.h"
#include "exceptions/exception_map.h"
#include "exceptions/run_sort.h"
#include "torture_env.h"

#define SPACE 3000

struct model {
	uint64_t new_chunk[SPACE]; /* 0: none */
};

static void check_equal(const struct exception_map *map, const struct model *model)
{
	struct map_run run;
	uint64_t chunks = 0, gap = UINT64_MAX;

	for (uint64_t old = SPACE; old-- > 0;) {
		bool found = map_find(map, old, &run);

		if (found != (model->new_chunk[old] != 0))
			ck_abort_msg("chunk %llu: found %d", (unsigned long long)old, found);
		if (found) {
			chunks++;
			gap = 0;
			if (run.new_chunk != model->new_chunk[old])
				ck_abort_msg("chunk %llu", (unsigned long long)old);
			for (uint64_t i = 0; i < run.count; i++)
				if (model->new_chunk[old + i] != run.new_chunk + i)
					ck_abort_msg("run at %llu", (unsigned long long)old);
		} else {
			if (gap != UINT64_MAX)
				gap++;
			if (run.count != gap)
				ck_abort_msg("gap at %llu", (unsigned long long)old);
		}
	}
	ck_assert_uint_eq(map_chunks(map), chunks);
}

struct overlaps {
	const struct model *model;
	uint64_t count;
};

static int overlap(void *context, const struct map_run *refused, const struct map_run *present)
{
	struct overlaps *o = context;

	for (uint64_t i = 0; i < refused->count; i++)
		if (o->model->new_chunk[refused->old_chunk + i] != present->new_chunk + i)
			ck_abort_msg("overlap at %llu", (unsigned long long)refused->old_chunk);
	o->count += refused->count;
	return 0;
}

static struct map_run random_run(uint64_t *random, uint64_t longest)
{
	struct map_run run;

	run.count = 1 + next_random(random) % longest;
	run.old_chunk = next_random(random) % (SPACE - run.count);
	/* Few distances, so that neighbours often go on. */
	run.new_chunk = run.old_chunk + 10 + next_random(random) % 3 * 100000;
	return run;
}

/* Adds what is not there; the first stays. */
static void do_add(struct exception_map *map, struct model *model, const struct map_run *run)
{
	struct overlaps overlaps = { model, 0 };
	uint64_t expected = 0;

	for (uint64_t i = 0; i < run->count; i++)
		expected += model->new_chunk[run->old_chunk + i] != 0;
	ck_assert_int_eq(map_add(map, run, overlap, &overlaps), 0);
	ck_assert_uint_eq(overlaps.count, expected);
	for (uint64_t i = 0; i < run->count; i++)
		if (model->new_chunk[run->old_chunk + i] == 0)
			model->new_chunk[run->old_chunk + i] = run->new_chunk + i;
}

static int by_old_chunk(const void *a, const void *b)
{
	const struct map_run *x = a, *y = b;

	return x->old_chunk < y->old_chunk ? -1 : x->old_chunk > y->old_chunk;
}

/* Many at once, sorted, overlapping each other and what is there. */
static void do_add_sorted(struct exception_map *map, struct model *model, uint64_t *random,
			  uint64_t longest)
{
	enum { MANY = 300 };
	struct map_run runs[MANY];
	size_t count = 1 + next_random(random) % MANY;
	uint64_t chunks = 0;

	for (size_t i = 0; i < count; i++)
		runs[i] = random_run(random, longest);
	qsort(runs, count, sizeof(runs[0]), by_old_chunk);
	ck_assert_int_eq(map_add_sorted(map, runs, count, NULL, NULL), 0);
	for (size_t i = 0; i < count; i++)
		for (uint64_t k = 0; k < runs[i].count; k++)
			if (model->new_chunk[runs[i].old_chunk + k] == 0)
				model->new_chunk[runs[i].old_chunk + k] = runs[i].new_chunk + k;
	for (size_t i = 0; i < SPACE; i++)
		chunks += model->new_chunk[i] != 0;
	ck_assert_uint_eq(map_chunks(map), chunks);
}

/* Removes what leads where the run says, as a merge does. */
static void do_erase(struct exception_map *map, struct model *model, const struct map_run *run)
{
	ck_assert_int_eq(map_split(map, run->old_chunk), 0);
	ck_assert_int_eq(map_split(map, run->old_chunk + run->count), 0);
	check_equal(map, model);
	map_erase(map, run);
	for (uint64_t i = 0; i < run->count; i++)
		if (model->new_chunk[run->old_chunk + i] == run->new_chunk + i)
			model->new_chunk[run->old_chunk + i] = 0;
}

START_TEST(map_is_what_an_array_would_be)
{
	struct model *model = calloc(1, sizeof(*model));
	uint64_t random = 1000 + (uint64_t)_i;
	struct torture_env torture;
	struct exception_map *map;

	torture_env_start(&torture);
	ck_assert_int_eq(map_make(&torture.env, &map), 0);
	for (int step = 0; step < 1500; step++) {
		struct map_run run = random_run(&random, _i % 2 == 0 ? 3 : 60);

		if (next_random(&random) % 100 == 0)
			do_add_sorted(map, model, &random, _i % 2 == 0 ? 1 : 20);
		else if (next_random(&random) % 5 < (step / 300 % 2 == 0 ? 3 : 1))
			do_add(map, model, &run);
		else
			do_erase(map, model, &run);
		if (step % 50 == 0)
			check_equal(map, model);
	}
	check_equal(map, model);
	map_free(map);
	torture_env_end(&torture);
	free(model);
}
END_TEST

/* Fails some allocations on the way: what failed has changed nothing. */
START_TEST(map_survives_lack_of_memory)
{
	struct model *model = calloc(1, sizeof(*model));
	struct torture_env torture;
	struct exception_map *map;
	uint64_t random = 77;
	int failures = 0;

	torture_env_start(&torture);
	ck_assert_int_eq(map_make(&torture.env, &map), 0);
	for (int step = 0; step < 4000; step++) {
		struct map_run run = random_run(&random, 1);
		int r;

		torture_env_fail_at(&torture, 1 + next_random(&random) % 2, true);
		if (model->new_chunk[run.old_chunk] != 0) {
			r = map_split(map, run.old_chunk);
			if (r == 0)
				r = map_split(map, run.old_chunk + 1);
			run.new_chunk = model->new_chunk[run.old_chunk];
			if (r == 0) {
				map_erase(map, &run);
				model->new_chunk[run.old_chunk] = 0;
			}
		} else {
			r = map_insert(map, &run);
			if (r == 0)
				model->new_chunk[run.old_chunk] = run.new_chunk;
			if (r == 0 && step % 2 == 0)
				map_join(map, run.old_chunk);
		}
		failures += r == -ENOMEM;
		ck_assert(r == 0 || r == -ENOMEM);
		if (step % 100 == 0)
			check_equal(map, model);
	}
	torture_env_fail_at(&torture, 0, false);
	check_equal(map, model);
	ck_assert_int_gt(failures, 0);
	map_free(map);
	torture_env_end(&torture);
	free(model);
}
END_TEST

/* Ranges that come in pieces, and more of them than one extent can hold. */
START_TEST(map_joins_what_goes_on)
{
	struct map_run run = { 0, 2, 1 }, found;
	struct exception_map *map;
	struct uds_env env;

	ck_assert_int_eq(env_complete(guarded_env(), &env), 0);
	ck_assert_int_eq(map_make(&env, &map), 0);
	for (uint64_t i = 0; i < 100000; i++) {
		run.old_chunk = i;
		run.new_chunk = i + 2;
		if (map_add(map, &run, NULL, NULL) != 0)
			ck_abort();
	}
	ck_assert_uint_eq(map_chunks(map), 100000);
	ck_assert_uint_lt(map_bytes(map), 10000);
	ck_assert(map_find(map, 5, &found));
	ck_assert_uint_eq(found.new_chunk, 7);
	ck_assert_uint_gt(found.count, 60000);
	ck_assert(!map_find(map, 100000, &found));
	ck_assert_uint_eq(found.count, UINT64_MAX);
	map_free(map);
}
END_TEST

/* At most 20 bytes a scattered exception, in whatever order they come. */
START_TEST(map_takes_at_most_20_bytes_an_exception)
{
	enum { MANY = 200000 };
	struct exception_map *map;
	uint64_t random = 5;
	struct uds_env env;

	ck_assert_int_eq(env_complete(guarded_env(), &env), 0);
	ck_assert_int_eq(map_make(&env, &map), 0);
	for (uint64_t i = 0; i < MANY; i++) {
		struct map_run run = { next_random(&random) >> 24, 2 + i, 1 };

		if (_i == 1)
			run.old_chunk = i * 3; /* ascending */
		if (_i == 2)
			run.old_chunk = (MANY - i) * 3; /* descending */
		if (map_add(map, &run, NULL, NULL) != 0)
			ck_abort();
	}
	ck_assert_uint_gt(map_chunks(map), MANY - 10);
	ck_assert_uint_le(map_bytes(map), 20 * map_chunks(map));
	map_free(map);
}
END_TEST

START_TEST(runs_are_sorted_stably)
{
	enum { MANY = 5000 };
	struct map_run *runs = malloc(MANY * sizeof(*runs)),
		       *scratch = malloc(MANY * sizeof(*runs));
	struct map_run *sorted;
	uint64_t random = 9;

	for (uint64_t i = 0; i < MANY; i++) {
		runs[i].old_chunk = next_random(&random) % 1000 << 40;
		runs[i].new_chunk = i;
		runs[i].count = 1;
	}
	sorted = runs_sort(runs, scratch, MANY);
	for (int i = 1; i < MANY; i++) {
		ck_assert_uint_le(sorted[i - 1].old_chunk, sorted[i].old_chunk);
		if (sorted[i - 1].old_chunk == sorted[i].old_chunk)
			ck_assert_uint_lt(sorted[i - 1].new_chunk, sorted[i].new_chunk);
	}
	free(runs);
	free(scratch);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exception map");
	TCase *tc = tcase_create("map");

	tcase_add_loop_test(tc, map_is_what_an_array_would_be, 0, 6);
	tcase_add_test(tc, map_survives_lack_of_memory);
	tcase_add_test(tc, map_joins_what_goes_on);
	tcase_add_loop_test(tc, map_takes_at_most_20_bytes_an_exception, 0, 3);
	tcase_add_test(tc, runs_are_sorted_stably);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
