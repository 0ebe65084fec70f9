/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Merges of every size and shape: exact multiples of areas and of rounds, and one beside them; more
 * than a round, more than 1 GiB; ended early by a rate, a stop, a writer or the time; and drawn at
 * random, with all of that between. The devices remember a word for each sector, so that this
 * costs no more than counting.
 *
 * UDS_TEST_SCALE multiplies the random ones, and adds what takes long.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/snapshot.h>

#include "base/bytes.h"
#include "check_main.h"
#include "sanitizer.h"
#include "snap_image.h"
#include "word_io.h"

#define SECTOR UINT64_C(512)
#define MIB    (UINT64_C(1) << 20)

enum shape { SCATTERED, SEQUENTIAL, BACKWARDS, RANDOM, SHAPES };

struct world {
	struct word_io origin, cow;
	struct uds_snapshot *s;
	uint64_t chunk_bytes;
	uint64_t count;
	uint64_t origin_chunks;
	uint32_t *view; /* a word for each sector of the origin: what the snapshot has */
};

static uint64_t old_chunk(const struct world *w, enum shape shape, uint64_t i, uint64_t *random)
{
	switch (shape) {
	case SCATTERED:
		return 2 * i;
	case SEQUENTIAL:
		return i;
	case BACKWARDS:
		return w->count - 1 - i;
	default:
		return next_random(random) % w->origin_chunks; /* some twice: the first counts */
	}
}

static void open_snapshot(struct world *w)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.queue_depth = 4; /* buffers are most of what a small merge costs */
	r = uds_snapshot_open(w->origin.io, w->cow.io, &options, &message, &w->s);
	ck_assert_msg(r == 0, "%s", message.text);
}

/* The entries straight into the areas. */
static void plant(struct world *w, enum shape shape, uint64_t *random)
{
	uint64_t per_area = w->chunk_bytes / 16, sectors = w->chunk_bytes / SECTOR;
	uint8_t *header = word_io_metadata(&w->cow, -1), *seen = calloc(w->origin_chunks, 1);

	put_le32(header, UINT32_C(0x70416e53));
	put_le32(header + 4, 1);
	put_le32(header + 8, 1);
	put_le32(header + 12, (uint32_t)sectors);
	for (uint64_t i = 0; i < w->count; i++) {
		uint64_t area = i / per_area, new = 2 + area + i;
		uint64_t old = old_chunk(w, shape, i, random);
		uint8_t *entry = word_io_metadata(&w->cow, (int64_t)area) + i % per_area * 16;

		put_le64(entry, old);
		put_le64(entry + 8, new);
		for (uint64_t k = 0; k < sectors && seen[old] == 0; k++)
			w->view[old * sectors + k] = word_io_word(&w->cow, new *sectors + k);
		seen[old] = 1;
	}
	free(seen);
}

static void start(struct world *w, uint64_t chunk_bytes, uint64_t count, enum shape shape,
		  uint64_t seed)
{
	uint64_t per_area = chunk_bytes / 16, sectors = chunk_bytes / SECTOR;
	uint64_t data = count + 2 * per_area + 100;

	w->chunk_bytes = chunk_bytes;
	w->count = count;
	w->origin_chunks = shape == SCATTERED ? 2 * count : count;
	word_io_open(&w->origin, w->origin_chunks * sectors, 0, 0x5eed);
	word_io_open(&w->cow, (data + data / per_area + 3) * sectors, chunk_bytes, 0xc0c0);
	w->view = malloc(w->origin.sectors * sizeof(w->view[0]));
	for (uint64_t i = 0; i < w->origin.sectors; i++)
		w->view[i] = word_io_word(&w->origin, i);
	plant(w, shape, &seed);
	open_snapshot(w);
}

static void end(struct world *w)
{
	ck_assert_int_eq(uds_snapshot_close(w->s), 0);
	word_io_close(&w->origin);
	word_io_close(&w->cow);
	free(w->view);
}

static void check_merged(struct world *w)
{
	struct uds_snapshot_status status = { .size = sizeof(status) };

	uds_snapshot_get_status(w->s, &status);
	ck_assert_uint_eq(status.exceptions, 0);
	/* An assertion that holds costs a system call: none for each sector. */
	for (uint64_t i = 0; i < w->origin.sectors; i++) {
		if (word_io_word(&w->origin, i) != w->view[i])
			ck_abort_msg("sector %llu: chunks of %llu, %llu exceptions",
				     (unsigned long long)i, (unsigned long long)w->chunk_bytes,
				     (unsigned long long)w->count);
	}
	for (uint64_t a = 0; a <= w->count / (w->chunk_bytes / 16); a++) {
		const uint8_t *area = word_io_metadata(&w->cow, (int64_t)a);

		if (area[0] != 0 || memcmp(area, area + 1, w->chunk_bytes - 1) != 0)
			ck_abort_msg("area %llu is not empty", (unsigned long long)a);
	}
}

static void merge_all(uint64_t chunk_bytes, uint64_t count, enum shape shape)
{
	struct uds_merge_result result = { .size = sizeof(result) };
	struct world w;
	int r;

	start(&w, chunk_bytes, count, shape, count);
	r = uds_snapshot_merge(w.s, NULL, &result);
	ck_assert_msg(r == 0, "%llu exceptions, chunks of %llu: %d", (unsigned long long)count,
		      (unsigned long long)chunk_bytes, r);
	ck_assert_uint_eq(result.exceptions, count);
	ck_assert_uint_eq(result.remaining, 0);
	check_merged(&w);
	end(&w);
}

static void merge_beside(uint64_t chunk_bytes, uint64_t count, uint64_t most_bytes)
{
	for (int beside = -1; beside <= 1; beside++) {
		uint64_t n = count + (uint64_t)beside;

		if (n == 0 || n * chunk_bytes > most_bytes)
			continue;
		merge_all(chunk_bytes, n, SCATTERED);
		if (beside == 0 || test_scale() > 1)
			merge_all(chunk_bytes, n, SEQUENTIAL);
	}
}

/* Loop: chunks of 512 << _i bytes. */
START_TEST(every_multiple_of_areas_and_rounds_merges)
{
	uint64_t chunk_bytes = SECTOR << _i, per_area = chunk_bytes / 16;
	uint64_t round = 64 * MIB / chunk_bytes, most = test_scaled(70 * MIB);
	uint64_t at_once = 64 * MIB / (per_area * chunk_bytes);
	uint64_t beyond = (round / per_area + 1) * per_area;

	if (at_once > 64)
		at_once = 64;
	for (uint64_t areas = 1; areas <= 2; areas++)
		merge_beside(chunk_bytes, areas * per_area, most);
	merge_beside(chunk_bytes, at_once * per_area, most);
	merge_beside(chunk_bytes, (at_once + 1) * per_area, most);
	merge_beside(chunk_bytes, beyond, most);
	/*
	 * A short run goes beyond a round with the larger chunks alone: of those there are fewer.
	 */
	if (test_in_part() && chunk_bytes < 4096)
		return;
	merge_all(chunk_bytes, round + per_area / 3 + 5, RANDOM);
	merge_beside(chunk_bytes, round, most);
	merge_all(chunk_bytes, round + per_area / 2 + 3, BACKWARDS);
}
END_TEST

START_TEST(more_than_a_gigabyte_merges)
{
	static const uint64_t chunks[] = { 16384, 4096, 65536, 512 };
	uint64_t gib = 1024 * MIB / chunks[_i], per_area = chunks[_i] / 16;

	if (test_scale() <= 1 && chunks[_i] == 512)
		skip_test("two million exceptions: only with UDS_TEST_SCALE");
	if (test_in_part() && (chunks[_i] < 65536 || THREAD_SANITIZER))
		skip_test("not in a short run");
	merge_all(chunks[_i], gib + per_area - 1, SCATTERED);
	merge_all(chunks[_i], (gib / per_area + 1) * per_area, RANDOM);
	if (test_scale() > 1)
		merge_beside(chunks[_i], 3 * gib / per_area * per_area, UINT64_MAX);
}
END_TEST

static int stop_at_once(void *context, uint64_t done, uint64_t total)
{
	(void)done, (void)total;
	++*(int *)context;
	return 1;
}

/* However early it is stopped. Loop: sizes of rounds. */
START_TEST(a_hundred_stopped_calls_end_a_merge)
{
	static const uint64_t rounds[] = { 0, 3 * MIB, 64 * MIB };
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	uint64_t remaining = 35000;
	int calls = 0, asked = 0, r;
	struct world w;

	start(&w, 4096, remaining, SCATTERED, 1);
	options.round_bytes = rounds[_i];
	options.progress = stop_at_once;
	options.progress_context = &asked;
	do {
		r = uds_snapshot_merge(w.s, &options, &result);
		ck_assert_int_eq(r, result.remaining > 0 ? UDS_ERR_STOPPED : 0);
		ck_assert_uint_lt(result.remaining, remaining);
		ck_assert_int_le(asked, ++calls + (r == 0)); /* not asked again */
		remaining = result.remaining;
	} while (r != 0);
	ck_assert_int_le(calls, 100);
	check_merged(&w);
	end(&w);
}
END_TEST

struct stop_at {
	uint64_t at;
	uint64_t asked;
};

static int stop_at(void *context, uint64_t done, uint64_t total)
{
	struct stop_at *stop = context;

	(void)total;
	stop->asked += done >= stop->at;
	return done >= stop->at;
}

/* Loop: quarters of the whole when it is stopped. Nothing is copied twice. */
START_TEST(a_stopped_merge_keeps_what_it_copied)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	struct stop_at stop = { .at = 20000 * (uint64_t)_i / 4 };
	uint64_t copied;
	struct world w;
	int r;

	start(&w, 4096, 20000, SCATTERED, 1);
	options.progress = stop_at;
	options.progress_context = &stop;
	r = uds_snapshot_merge(w.s, &options, &result);
	ck_assert(r == UDS_ERR_STOPPED || (r == 0 && result.remaining == 0));
	ck_assert_uint_eq(result.bytes_copied, result.exceptions * 4096);
	ck_assert_uint_ge(result.exceptions, stop.at);
	copied = result.bytes_copied;
	/* As after a crash: what was copied and not committed would be copied again. */
	ck_assert_int_eq(uds_snapshot_close(w.s), 0);
	open_snapshot(&w);
	ck_assert_int_eq(uds_snapshot_merge(w.s, NULL, &result), 0);
	ck_assert_uint_eq(copied + result.bytes_copied, UINT64_C(20000) * 4096);
	check_merged(&w);
	end(&w);
}
END_TEST

START_TEST(a_dry_run_stops_at_once)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct world w;
	int asked = 0;

	start(&w, 4096, 20000, SCATTERED, 1);
	options.dry_run = true;
	options.progress = stop_at_once;
	options.progress_context = &asked;
	ck_assert_int_eq(uds_snapshot_merge(w.s, &options, NULL), UDS_ERR_STOPPED);
	end(&w);
}
END_TEST

/* A thread that disturbs a merge: it writes to the origin, or asks to stop, again and again. */
struct disturber {
	struct world *w;
	pthread_t thread;
	atomic_bool quit;
	uint64_t random;
	uint64_t writes;
	bool write;
	bool stop;
};

static void write_some(struct world *w, uint64_t *random)
{
	uint64_t sectors = 1 + next_random(random) % 20, first;
	uint8_t *buffer;

	if (sectors > w->origin.sectors)
		sectors = w->origin.sectors;
	first = next_random(random) % (w->origin.sectors - sectors + 1);
	buffer = malloc(sectors * SECTOR);
	word_io_put(buffer, sectors, (uint32_t)next_random(random) >> 2 | 1 << 30);
	ck_assert_int_eq(uds_snapshot_origin_write(w->s, buffer, sectors * SECTOR, first * SECTOR),
			 0);
	for (uint64_t i = 0; i < sectors; i++)
		w->view[first + i] = get_le32(buffer + i * SECTOR);
	free(buffer);
}

static void *disturb(void *argument)
{
	struct disturber *d = argument;

	while (!atomic_load(&d->quit)) {
		if (d->write) {
			write_some(d->w, &d->random);
			d->writes++;
		}
		if (d->stop)
			uds_snapshot_stop_merge(d->w->s);
		usleep(200);
	}
	return NULL;
}

static void start_disturbing(struct disturber *d)
{
	atomic_init(&d->quit, false);
	ck_assert_int_eq(uds_snapshot_begin_merge(d->w->s), 0);
	ck_assert_int_eq(pthread_create(&d->thread, NULL, disturb, d), 0);
}

static void stop_disturbing(struct disturber *d)
{
	atomic_store(&d->quit, true);
	pthread_join(d->thread, NULL);
}

/* Loop: bit 0: writes, bit 1: stops, bit 2: a rate. */
START_TEST(a_disturbed_merge_comes_to_its_end)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	struct disturber d = { .random = 5, .write = _i & 1, .stop = _i & 2 };
	uint64_t remaining = 17001;
	struct world w;
	int r;

	/* More than a round of 64 MiB, scattered: large rounds are begun and given up. */
	start(&w, 4096, remaining, SCATTERED, 1);
	d.w = &w;
	if ((_i & 4) != 0)
		options.bytes_per_second = 100 * MIB;
	start_disturbing(&d);
	do {
		r = uds_snapshot_merge(w.s, &options, &result);
		ck_assert(r == 0 || (r == UDS_ERR_STOPPED && d.stop));
		ck_assert_uint_lt(result.remaining, remaining);
		remaining = result.remaining;
	} while (remaining > 0);
	stop_disturbing(&d);
	ck_assert(!d.write || d.writes > 0);
	check_merged(&w);
	end(&w);
}
END_TEST

/* A device so slow that a large round takes more than ten seconds. */
START_TEST(a_round_that_takes_too_long_is_made_smaller)
{
	struct world w;

	if (test_scale() <= 1)
		skip_test("takes half a minute: only with UDS_TEST_SCALE");
	start(&w, 16384, 3 * 64 * MIB / 16384 + 1000, SCATTERED, 1);
	w.origin.write_delay_us = 2000;
	ck_assert_int_eq(uds_snapshot_merge(w.s, NULL, NULL), 0);
	check_merged(&w);
	end(&w);
}
END_TEST

static void draw_options(const struct world *w, uint64_t *random, struct uds_merge_options *options,
			 struct stop_at *stop)
{
	static const uint64_t rates[] = { 0, 0, 0, 200 * MIB, UINT64_C(1) << 40 };
	uint64_t most = w->count * w->chunk_bytes;

	if (next_random(random) % 3 == 0)
		options->limit = 1 + next_random(random) % w->count;
	if (next_random(random) % 3 == 0)
		options->round_bytes = 1 + next_random(random) % most;
	options->bytes_per_second = rates[next_random(random) % 5];
	options->skip_equal = next_random(random) % 4 == 0;
	stop->at = next_random(random) % (2 * w->count);
	options->progress = stop_at;
	options->progress_context = stop;
}

/* Leaves the merge, and writes to what is left of the snapshot: into holes of the COW device. */
static void leave_and_write(struct world *w, uint64_t *random)
{
	uint64_t sectors = w->chunk_bytes / SECTOR;
	uint8_t *buffer = malloc(w->chunk_bytes);

	ck_assert_int_eq(uds_snapshot_end_merge(w->s), 0);
	for (int i = 0; i < 5; i++) {
		uint64_t chunk = next_random(random) % w->origin_chunks;

		word_io_put(buffer, sectors, (uint32_t)next_random(random) >> 2 | 1 << 30);
		ck_assert_int_eq(
			uds_snapshot_write(w->s, buffer, w->chunk_bytes, chunk * w->chunk_bytes),
			0);
		for (uint64_t k = 0; k < sectors; k++)
			w->view[chunk * sectors + k] = get_le32(buffer + k * SECTOR);
	}
	free(buffer);
}

static void check_some(struct world *w, uint64_t *random)
{
	uint8_t buffer[SECTOR];

	for (int i = 0; i < 200; i++) {
		uint64_t sector = next_random(random) % w->origin.sectors;

		ck_assert_int_eq(uds_snapshot_read(w->s, buffer, SECTOR, sector * SECTOR), 0);
		ck_assert_uint_eq(get_le32(buffer), w->view[sector]);
	}
}

/* One call with what was drawn; writes beside it where @d is drawn so. */
static uint64_t merge_some(struct world *w, uint64_t *random)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	struct disturber d = { .w = w, .random = next_random(random) };
	struct stop_at stop = { 0, 0 };
	int r;

	draw_options(w, random, &options, &stop);
	d.write = next_random(random) % 4 == 0;
	if (d.write)
		start_disturbing(&d);
	r = uds_snapshot_merge(w->s, &options, &result);
	if (d.write)
		stop_disturbing(&d);
	ck_assert(r == 0 || r == UDS_ERR_STOPPED);
	ck_assert_uint_gt(result.exceptions, 0);
	ck_assert_uint_eq(result.chunks_copied + result.chunks_equal + result.chunks_hidden,
			  result.exceptions);
	return result.remaining;
}

static void merge_at_random(uint64_t seed)
{
	uint64_t random = seed, chunk_bytes = SECTOR << next_random(&random) % 8, count, remaining;
	enum shape shape = (enum shape)(next_random(&random) % SHAPES);
	struct world w;

	/* Most are about a round of 64 MiB; some are small. */
	count = 1 + next_random(&random) % (70 * MIB / chunk_bytes);
	if (next_random(&random) % 3 == 0)
		count = 1 + next_random(&random) % 5000;
	start(&w, chunk_bytes, count, shape, seed);
	do {
		remaining = merge_some(&w, &random);
		if (next_random(&random) % 2 == 0)
			write_some(&w, &random);
		check_some(&w, &random);
		if (remaining > 0 && shape != RANDOM && next_random(&random) % 4 == 0)
			leave_and_write(&w, &random);
		if (next_random(&random) % 3 == 0) {
			ck_assert_int_eq(uds_snapshot_close(w.s), 0);
			open_snapshot(&w);
		}
		ck_assert_int_eq(uds_snapshot_begin_merge(w.s), 0);
	} while (remaining > 0);
	ck_assert_int_eq(uds_snapshot_merge(w.s, NULL, NULL), 0);
	check_merged(&w);
	end(&w);
}

START_TEST(merges_drawn_at_random_end_as_the_snapshot)
{
	unsigned int count = (unsigned int)test_scaled(2);

	for (unsigned int i = 0; i < count; i++)
		merge_at_random((uint64_t)_i * 1000003 + i + 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("merge sizes");
	TCase *tc = tcase_create("sizes");

	tcase_set_timeout(tc, 120 + 120 * test_scale());
	tcase_add_loop_test(tc, every_multiple_of_areas_and_rounds_merges, 0, 8);
	tcase_add_loop_test(tc, more_than_a_gigabyte_merges, 0, 4);
	tcase_add_loop_test(tc, a_hundred_stopped_calls_end_a_merge, 0, 3);
	tcase_add_loop_test(tc, a_stopped_merge_keeps_what_it_copied, 0, 4);
	tcase_add_test(tc, a_dry_run_stops_at_once);
	tcase_add_loop_test(tc, a_disturbed_merge_comes_to_its_end, 0, 8);
	tcase_add_test(tc, a_round_that_takes_too_long_is_made_smaller);
	tcase_add_loop_test(tc, merges_drawn_at_random_end_as_the_snapshot, 0, 8);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
