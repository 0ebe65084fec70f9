/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who waits for whom on ranges of the origin: at every border of what a merge has claimed, and
 * in which order.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "check_main.h"
#include "snapshot/range_lock.h"

#define CHUNK UINT64_C(512)

struct requester {
	struct range_lock *lock;
	struct range_hold hold;
	uint64_t first, last;
	bool exclusive;
	atomic_bool has_it;
	pthread_t thread;
};

static void *acquire(void *argument)
{
	struct requester *r = argument;

	range_acquire(r->lock, &r->hold, r->first, r->last, r->exclusive);
	atomic_store(&r->has_it, true);
	return NULL;
}

static void start(struct requester *r, struct range_lock *lock, uint64_t first, uint64_t last,
		  bool exclusive)
{
	r->lock = lock;
	r->first = first;
	r->last = last;
	r->exclusive = exclusive;
	atomic_store(&r->has_it, false);
	ck_assert_int_eq(pthread_create(&r->thread, NULL, acquire, r), 0);
}

/* Waits until the newest request of the lock has its range, or sleeps. */
static bool is_granted(struct requester *r)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 };
	bool waits = false;

	while (!atomic_load(&r->has_it) && !waits) {
		nanosleep(&pause, NULL);
		/* The lock is free only while everybody who is in the list has it or sleeps. */
		pthread_mutex_lock(&r->lock->lock);
		waits = r->lock->newest == &r->hold && !r->hold.granted;
		pthread_mutex_unlock(&r->lock->lock);
	}
	return !waits;
}

static void finish(struct requester *r)
{
	ck_assert_int_eq(pthread_join(r->thread, NULL), 0);
	range_release(r->lock, &r->hold);
}

/* Of these the claim has only the first three: what is behind them in memory is not claimed. */
static const struct map_run runs[] = {
	{ .old_chunk = 10, .count = 2 }, { .old_chunk = 12, .count = 1 },
	{ .old_chunk = 20, .count = 3 }, { .old_chunk = 1, .count = 1 },
	{ .old_chunk = 30, .count = 9 },
};
#define CLAIMED 3u

static bool is_claimed(size_t count, uint64_t first, uint64_t last)
{
	for (size_t i = 0; i < count; i++) {
		if (first < (runs[i].old_chunk + runs[i].count) * CHUNK &&
		    last >= runs[i].old_chunk * CHUNK)
			return true;
	}
	return false;
}

static void check_range(struct range_lock *lock, struct range_claim *claim, uint64_t first,
			uint64_t last, bool exclusive)
{
	bool claimed = exclusive && is_claimed(claim->count, first, last);
	struct requester r;

	range_claim(lock, claim);
	start(&r, lock, first, last, exclusive);
	ck_assert_msg(is_granted(&r) == !claimed, "%llu to %llu, %zu claimed",
		      (unsigned long long)first, (unsigned long long)last, claim->count);
	ck_assert_int_eq(range_claims_in_the_way(lock), claimed);
	range_unclaim(lock, claim);
	finish(&r);
	ck_assert(!range_claims_in_the_way(lock));
}

START_TEST(writers_wait_for_exactly_what_is_claimed)
{
	static const uint64_t chunks[] = { 0,  1,  2,  9,  10, 11, 12, 13,
					   14, 19, 20, 22, 23, 24, 30, 38 };
	struct range_lock lock;

	range_lock_init(&lock);
	for (size_t count = 0; count <= CLAIMED; count++) {
		struct range_claim claim = { runs, count, CHUNK, NULL };

		for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
			uint64_t at = chunks[i] * CHUNK;

			check_range(&lock, &claim, at, at, true);
			check_range(&lock, &claim, at + CHUNK - 1, at + CHUNK - 1, true);
			check_range(&lock, &claim, at, at + CHUNK - 1, true);
			check_range(&lock, &claim, at + 1, at + CHUNK, true);
			check_range(&lock, &claim, at, at + 8 * CHUNK, true);
			check_range(&lock, &claim, at, at + CHUNK, false);
		}
	}
	range_lock_destroy(&lock);
}
END_TEST

/*
 * Two requests, one after the other: the second waits where they share a byte and one
 * of them writes.
 */
START_TEST(ranges_that_meet_are_held_one_after_the_other)
{
	static const struct {
		uint64_t first, last;
		bool meets;
	} others[] = { { 0, 99, false },    { 0, 100, true },  { 100, 100, true },
		       { 150, 160, true },  { 0, 1000, true }, { 199, 199, true },
		       { 200, 300, false }, { 199, 300, true } };
	struct range_lock lock;

	range_lock_init(&lock);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		for (int kinds = 0; kinds < 4; kinds++) {
			bool waits = others[i].meets && kinds != 0;
			struct requester a, b;

			start(&a, &lock, 100, 199, (kinds & 1) != 0);
			ck_assert(is_granted(&a));
			start(&b, &lock, others[i].first, others[i].last, (kinds & 2) != 0);
			ck_assert_int_eq(is_granted(&b), !waits);
			finish(&a);
			finish(&b);
		}
	}
	range_lock_destroy(&lock);
}
END_TEST

/*
 * A reader comes behind a writer that waits, so that writers get in; not behind one that a
 * merge keeps out.
 */
START_TEST(only_a_claim_lets_readers_overtake)
{
	struct range_claim claim = { runs, CLAIMED, CHUNK, NULL };
	struct requester reader, writer, late;
	struct range_lock lock;

	range_lock_init(&lock);
	start(&reader, &lock, 100, 200, false);
	ck_assert(is_granted(&reader));
	start(&writer, &lock, 100, 200, true);
	ck_assert(!is_granted(&writer));
	start(&late, &lock, 100, 200, false);
	ck_assert(!is_granted(&late));
	finish(&reader);
	finish(&writer);
	finish(&late);
	range_claim(&lock, &claim);
	start(&writer, &lock, 20 * CHUNK, 20 * CHUNK, true);
	ck_assert(!is_granted(&writer));
	start(&late, &lock, 20 * CHUNK, 20 * CHUNK, false);
	ck_assert(is_granted(&late));
	finish(&late);
	range_unclaim(&lock, &claim);
	finish(&writer);
	range_lock_destroy(&lock);
}
END_TEST

static void *claim_it(void *argument)
{
	struct requester *r = argument;
	struct range_claim claim = { runs, CLAIMED, CHUNK, NULL };

	range_claim(r->lock, &claim);
	atomic_store(&r->has_it, true);
	range_unclaim(r->lock, &claim);
	return NULL;
}

/* A merge waits for a writer in what it claims, and for nobody else. */
START_TEST(a_claim_waits_for_writers_inside)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	struct requester inside, claimer;
	struct range_lock lock;

	range_lock_init(&lock);
	claimer.lock = &lock;
	for (int kind = 0; kind < 3; kind++) {
		/* A writer beside the claim, a reader in it, a writer in it. */
		uint64_t at = (kind == 0 ? 13 : 12) * CHUNK;

		start(&inside, &lock, at, at, kind != 1);
		ck_assert(is_granted(&inside));
		atomic_store(&claimer.has_it, false);
		ck_assert_int_eq(pthread_create(&claimer.thread, NULL, claim_it, &claimer), 0);
		if (kind == 2) {
			nanosleep(&pause, NULL);
			ck_assert(!atomic_load(&claimer.has_it));
			finish(&inside);
		}
		ck_assert_int_eq(pthread_join(claimer.thread, NULL), 0);
		if (kind != 2)
			finish(&inside);
	}
	range_lock_destroy(&lock);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("range lock");
	TCase *tc = tcase_create("range lock");

	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, writers_wait_for_exactly_what_is_claimed);
	tcase_add_test(tc, ranges_that_meet_are_held_one_after_the_other);
	tcase_add_test(tc, only_a_claim_lets_readers_overtake);
	tcase_add_test(tc, a_claim_waits_for_writers_inside);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
