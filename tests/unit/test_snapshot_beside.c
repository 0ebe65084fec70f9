/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several snapshots of one origin, with chunks of different sizes, against plain arrays: what each
 * shows is never changed by what happens to the origin or to another one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "check_main.h"
#include "fault_io.h"
#include "snap_image.h"
#include "torture_env.h"

#define SIZE	(192u * 1024 + 512)
#define MEMBERS 4u

static const uint64_t chunk_sizes[MEMBERS] = { 4096, 512, 32768, 8192 };

struct member {
	uint64_t chunk_bytes;
	struct uds_io *cow_io;
	struct uds_snapshot *s; /* NULL: not open */
	uint8_t view[SIZE];
	bool valid;
};

struct world {
	struct uds_io *origin_io;
	uint8_t origin[SIZE];
	struct member members[MEMBERS];
	uint8_t buffer[SIZE];
	uint64_t random;
	unsigned int merges, lost;
};

static uint64_t pick(struct world *w, uint64_t below)
{
	return next_random(&w->random) % below;
}

static struct member *any_open(struct world *w)
{
	struct member *m;

	do
		m = &w->members[pick(w, MEMBERS)];
	while (m->s == NULL);
	return m;
}

static unsigned int count_open(const struct world *w)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < MEMBERS; i++)
		count += w->members[i].s != NULL;
	return count;
}

static int open_member(struct world *w, struct member *m,
		       const struct uds_snapshot_options *options, struct uds_message *message)
{
	if (count_open(w) == 0)
		return uds_snapshot_open(w->origin_io, m->cow_io, options, message, &m->s);
	return uds_snapshot_open_beside(any_open(w)->s, m->cow_io, options, message, &m->s);
}

/* A new snapshot of the origin as it is. */
static void begin_member(struct world *w, struct member *m)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_message message = { "" };

	format.chunk_bytes = m->chunk_bytes;
	format.force = true;
	ck_assert_int_eq(uds_exception_store_format(m->cow_io, &format, NULL), 0);
	ck_assert_msg(open_member(w, m, NULL, &message) == 0, "%s", message.text);
	memcpy(m->view, w->origin, SIZE);
	m->valid = true;
}

static void make_world(struct world *w, uint64_t seed, uint64_t cow_bytes)
{
	memset(w, 0, sizeof(*w));
	w->random = seed;
	for (size_t i = 0; i < SIZE; i++)
		w->origin[i] = (uint8_t)next_random(&w->random);
	w->origin_io = image_io(&(struct image){ w->origin, SIZE }, 512);
	for (unsigned int i = 0; i < MEMBERS; i++) {
		w->members[i].chunk_bytes = chunk_sizes[i];
		ck_assert_int_eq(
			uds_io_open_memory(cow_bytes, 512, NULL, NULL, &w->members[i].cow_io), 0);
	}
}

static void end_world(struct world *w)
{
	for (unsigned int i = 0; i < MEMBERS; i++) {
		ck_assert_int_eq(uds_snapshot_close(w->members[i].s), 0);
		uds_io_close(w->members[i].cow_io);
	}
	uds_io_close(w->origin_io);
}

static size_t random_range(struct world *w, size_t *ret_length)
{
	size_t length = pick(w, 3) == 0 ? pick(w, 40000) + 1 : pick(w, 3000) + 1;
	uint8_t value = (uint8_t)next_random(&w->random);

	for (size_t i = 0; i < length; i++)
		w->buffer[i] = (uint8_t)(value + i);
	*ret_length = length;
	return pick(w, SIZE - length + 1);
}

/* A snapshot that had no room is invalid now; nothing else changes what one shows. */
static void note_lost(struct world *w)
{
	for (unsigned int i = 0; i < MEMBERS; i++) {
		struct uds_snapshot_status status = UDS_SNAPSHOT_STATUS_INIT;
		struct member *m = &w->members[i];

		if (m->s == NULL || !m->valid)
			continue;
		ck_assert_int_eq(uds_snapshot_get_status(m->s, &status), 0);
		if (status.state == UDS_SNAPSHOT_INVALID) {
			m->valid = false;
			w->lost++;
		}
	}
}

static void write_origin(struct world *w, uint8_t *now)
{
	size_t length, offset = random_range(w, &length);

	ck_assert_int_eq(uds_snapshot_origin_write(any_open(w)->s, w->buffer, length, offset), 0);
	memcpy(now + offset, w->buffer, length);
	note_lost(w);
}

static void write_member(struct world *w)
{
	size_t length, offset = random_range(w, &length);
	struct member *m = any_open(w);
	int r = uds_snapshot_write(m->s, w->buffer, length, offset);

	if (r == 0)
		memcpy(m->view + offset, w->buffer, length);
	else
		ck_assert_int_eq(r, UDS_ERR_INVALID_SNAPSHOT);
	note_lost(w);
}

static void check_all(struct world *w, const uint8_t *origin)
{
	for (unsigned int i = 0; i < MEMBERS; i++) {
		struct member *m = &w->members[i];

		if (m->s == NULL)
			continue;
		ck_assert_int_eq(uds_snapshot_origin_read(m->s, w->buffer, SIZE, 0), 0);
		ck_assert_mem_eq(w->buffer, origin, SIZE);
		if (!m->valid) {
			ck_assert_int_eq(uds_snapshot_read(m->s, w->buffer, SIZE, 0),
					 UDS_ERR_INVALID_SNAPSHOT);
			continue;
		}
		ck_assert_int_eq(uds_snapshot_read(m->s, w->buffer, SIZE, 0), 0);
		ck_assert_mem_eq(w->buffer, m->view, SIZE);
	}
}

struct reported {
	uint8_t changed[SIZE]; /* 1 where a range was reported */
	uint64_t end;	       /* of the last one */
};

static int take_range(void *context, uint64_t offset, uint64_t length)
{
	struct reported *reported = context;

	/* In order, and joined. */
	ck_assert(offset > reported->end || (offset == 0 && reported->end == 0));
	ck_assert_uint_gt(length, 0);
	ck_assert_uint_le(offset + length, SIZE);
	memset(reported->changed + offset, 1, length);
	reported->end = offset + length;
	return 0;
}

/*
 * Where the two differ, everything is reported; compared by content, no more than the
 * blocks that differ.
 */
static void check_difference(struct world *w, bool compare)
{
	struct member *from = any_open(w), *to = pick(w, 3) == 0 ? NULL : any_open(w);
	struct reported *reported = calloc(1, sizeof(*reported));
	const uint8_t *new = to == NULL ? w->origin : to->view;
	bool valid = from->valid && (to == NULL || to->valid);

	ck_assert_int_eq(uds_snapshot_for_each_difference(from->s, to == NULL ? NULL : to->s, 0,
							  UINT64_MAX, compare, take_range,
							  reported),
			 valid ? 0 : UDS_ERR_INVALID_SNAPSHOT);
	for (size_t at = 0; valid && at < SIZE; at += 512) {
		size_t block = at / 4096 * 4096, length = SIZE - block < 4096 ? SIZE - block : 4096;

		if (memcmp(from->view + at, new + at, 512) != 0)
			ck_assert_uint_eq(reported->changed[at], 1);
		if (compare && reported->changed[at] == 1)
			ck_assert_int_ne(memcmp(from->view + block, new + block, length), 0);
	}
	free(reported);
}

/* One is merged, with writes to the origin while it is: the others stay what they were. */
static void merge_member(struct world *w)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct member *m = any_open(w), *other = any_open(w);
	static uint8_t merged[SIZE];

	if (!m->valid)
		return;
	ck_assert_int_eq(uds_snapshot_begin_merge(m->s), 0);
	if (other != m && other->valid)
		ck_assert_int_eq(uds_snapshot_begin_merge(other->s), UDS_ERR_BAD_STATE);
	memcpy(merged, m->view, SIZE);
	for (uint64_t i = pick(w, 4); i > 0; i--) {
		write_origin(w, merged);
		memcpy(m->view, merged, SIZE); /* which it is while it is merged */
		check_all(w, merged);
	}
	options.round_bytes = (1 + pick(w, 8)) * m->chunk_bytes;
	options.limit = pick(w, 2) == 0 ? 1 + pick(w, 20) : 0;
	ck_assert_int_eq(uds_snapshot_merge(m->s, &options, NULL), 0);
	note_lost(w);
	check_all(w, merged);
	options.limit = 0;
	ck_assert_int_eq(uds_snapshot_merge(m->s, &options, NULL), 0);
	note_lost(w);
	ck_assert_int_eq(uds_snapshot_end_merge(m->s), 0);
	memcpy(w->origin, merged, SIZE);
	check_all(w, w->origin);
	w->merges++;
}

static void open_or_close(struct world *w)
{
	struct member *m = &w->members[pick(w, MEMBERS)];
	struct uds_message message = { "" };

	if (m->s == NULL && m->view[0] == 0 && !m->valid) {
		begin_member(w, m);
	} else if (m->s != NULL && !m->valid) {
		ck_assert_int_eq(uds_snapshot_close(m->s), 0);
		m->s = NULL;
		begin_member(w, m);
	} else if (m->s != NULL) {
		/* At once again: the origin must not change while it is closed. */
		ck_assert_int_eq(uds_snapshot_close(m->s), 0);
		m->s = NULL;
		ck_assert_msg(open_member(w, m, NULL, &message) == 0, "%s", message.text);
	}
}

static void run_world(uint64_t seed, uint64_t cow_bytes, unsigned int *merges, unsigned int *lost)
{
	struct world *w = malloc(sizeof(*w));
	/* Fewer may find no store full. */
	int steps = test_scaled(250) < 25 ? 25 : (int)test_scaled(250);

	make_world(w, seed, cow_bytes);
	begin_member(w, &w->members[0]);
	for (int i = 0; i < steps; i++) {
		uint64_t what = pick(w, 24);

		if (what < 10)
			write_origin(w, w->origin);
		else if (what < 18)
			write_member(w);
		else if (what < 21)
			open_or_close(w);
		else if (what < 22)
			merge_member(w);
		if (i % 4 == 0)
			check_all(w, w->origin);
		check_difference(w, i % 2 == 0);
	}
	check_all(w, w->origin);
	*merges += w->merges;
	*lost += w->lost;
	end_world(w);
	free(w);
}

START_TEST(each_shows_what_an_array_would)
{
	unsigned int merges = 0, lost = 0;

	for (uint64_t seed = 1; seed <= 8; seed++)
		run_world(seed, 4 << 20, &merges, &lost);
	ck_assert_uint_ge(merges, test_scaled(21));
	ck_assert_uint_eq(lost, 0);
}
END_TEST

START_TEST(one_without_room_does_not_harm_the_others)
{
	unsigned int merges = 0, lost = 0;

	for (uint64_t seed = 11; seed <= 18; seed++)
		run_world(seed, 200 * 1024, &merges, &lost);
	ck_assert_uint_ge(lost, test_scaled(21));
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
	struct uds_snapshot_options read_only = UDS_SNAPSHOT_OPTIONS_INIT;
	struct world *w = malloc(sizeof(*w));
	struct uds_message message = { "" };
	struct uds_snapshot *again = NULL;
	struct uds_io *other_io;
	struct member *a = &w->members[0], *b = &w->members[1];

	make_world(w, 3, 4 << 20);
	begin_member(w, a);
	begin_member(w, b);
	/* The COW device of another one, or the origin. */
	ck_assert_int_eq(uds_snapshot_open_beside(a->s, b->cow_io, NULL, &message, &again),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "bytes in common"));
	ck_assert_int_eq(uds_snapshot_open_beside(a->s, w->origin_io, NULL, &message, &again),
			 -EINVAL);
	/* A device without a store: the origin stays that of the others. */
	ck_assert_int_lt(
		uds_snapshot_open_beside(a->s, w->members[2].cow_io, NULL, &message, &again), 0);
	ck_assert_ptr_null(again);
	/* What is compared has one origin; two of different ones have nothing in common. */
	ck_assert_int_eq(uds_io_open_memory(SIZE, 512, NULL, NULL, &other_io), 0);
	ck_assert_int_eq(uds_snapshot_close(b->s), 0);
	ck_assert_int_eq(uds_snapshot_open(other_io, b->cow_io, NULL, &message, &b->s), 0);
	ck_assert_int_eq(
		uds_snapshot_for_each_difference(a->s, b->s, 0, UINT64_MAX, true, take_range, NULL),
		-EINVAL);
	uds_snapshot_error_message(a->s, &message);
	ck_assert_ptr_nonnull(strstr(message.text, "was not opened beside it"));
	/* One that cannot keep what the origin has. */
	ck_assert_int_eq(uds_snapshot_close(b->s), 0);
	read_only.read_only = true;
	ck_assert_int_eq(uds_snapshot_open_beside(a->s, b->cow_io, &read_only, &message, &b->s), 0);
	ck_assert_int_eq(uds_snapshot_origin_write(a->s, "x", 1, 0), UDS_ERR_READ_ONLY);
	uds_snapshot_error_message(a->s, &message);
	ck_assert_ptr_nonnull(strstr(message.text, uds_io_name(b->cow_io)));
	ck_assert_int_eq(uds_snapshot_merge(a->s, NULL, NULL), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_snapshot_write(a->s, "x", 1, 0), 0);
	a->view[0] = 'x';
	check_all(w, w->origin);
	end_world(w);
	uds_io_close(other_io);
	free(w);
}
END_TEST

/*
 * A COW device that fails stops the write, with its name; once it is given up, the origin goes on.
 */
START_TEST(a_failing_one_is_named_and_can_be_given_up)
{
	static const unsigned int kinds[] = { FAULT_WRITE, FAULT_FLUSH };
	struct world *w = malloc(sizeof(*w));
	struct uds_message message = { "" };
	struct fault_plan plan;
	struct uds_io *faulty;

	for (unsigned int i = 0; i < 2; i++) {
		make_world(w, 5, 4 << 20);
		for (unsigned int m = 0; m < 3; m++)
			begin_member(w, &w->members[m]);
		ck_assert_int_eq(uds_snapshot_close(w->members[1].s), 0);
		fault_plan_start(&plan);
		ck_assert_int_eq(fault_io_open(&plan, w->members[1].cow_io, NULL, &faulty), 0);
		ck_assert_int_eq(uds_snapshot_open_beside(w->members[0].s, faulty, NULL, &message,
							  &w->members[1].s),
				 0);
		fault_plan_fail(&plan, kinds[i], 1, -EIO, true);
		memset(w->buffer, 1, 5000);
		ck_assert_int_eq(uds_snapshot_origin_write(w->members[0].s, w->buffer, 5000, 100),
				 -EIO);
		uds_snapshot_error_message(w->members[0].s, &message);
		ck_assert_msg(strstr(message.text, uds_io_name(faulty)) != NULL, "%s",
			      message.text);
		fault_plan_fail(&plan, FAULT_ANY, 0, 0, false);
		check_all(w, w->origin);
		fault_plan_fail(&plan, kinds[i], 1, -EIO, true);
		(void)uds_snapshot_invalidate(w->members[1].s); /* its device fails still */
		w->members[1].valid = false;
		memset(w->buffer, 1, 5000);
		ck_assert_int_eq(uds_snapshot_origin_write(w->members[0].s, w->buffer, 5000, 100),
				 0);
		memset(w->origin + 100, 1, 5000);
		check_all(w, w->origin);
		ck_assert_int_eq(uds_snapshot_close(w->members[1].s), 0);
		w->members[1].s = NULL;
		w->members[1].cow_io = faulty; /* which closes the other */
		end_world(w);
		fault_plan_end(&plan);
	}
	free(w);
}
END_TEST

/* From opening the second one to a merge beside it, with each allocation failing in turn. */
static int work_beside(const struct uds_env *env, void *context)
{
	struct world *w = context;
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_snapshot *a = NULL, *b = NULL;
	int r;

	options.env = env;
	memset(w->buffer, 7, 40000);
	r = uds_snapshot_open(w->origin_io, w->members[0].cow_io, &options, NULL, &a);
	if (r == 0)
		r = uds_snapshot_open_beside(a, w->members[1].cow_io, &options, NULL, &b);
	if (r == 0)
		r = uds_snapshot_origin_write(a, w->buffer, 40000, 1000);
	if (r == 0)
		r = uds_snapshot_write(a, w->buffer, 20000, 90000);
	if (r == 0)
		r = uds_snapshot_merge(a, NULL, NULL);
	uds_snapshot_close(b);
	uds_snapshot_close(a);
	return r;
}

START_TEST(each_allocation_may_fail)
{
	struct world *w = malloc(sizeof(*w));

	make_world(w, 9, 4 << 20);
	begin_member(w, &w->members[0]);
	begin_member(w, &w->members[1]);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(uds_snapshot_close(w->members[i].s), 0);
		w->members[i].s = NULL;
	}
	ck_assert_uint_gt(torture_each_allocation(work_beside, w, true), 10);
	/* Whatever failed: the second one still shows what the origin was. */
	ck_assert_int_eq(open_member(w, &w->members[1], NULL, NULL), 0);
	ck_assert_int_eq(uds_snapshot_read(w->members[1].s, w->buffer, SIZE, 0), 0);
	ck_assert_mem_eq(w->buffer, w->members[1].view, SIZE);
	end_world(w);
	free(w);
}
END_TEST

/*
 * Threads: writers to the origin through all of them, a merge, and readers of those that
 * must not change.
 */

#define ROUNDS 60

struct crowd {
	struct world w;
	atomic_bool done;
	atomic_uint reads;
};

struct hand {
	struct crowd *crowd;
	unsigned int number;
	pthread_t thread;
};

static void *write_slices(void *argument)
{
	struct hand *hand = argument;
	struct world *w = &hand->crowd->w;
	uint8_t data[700];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		/* Neighbours, in chunks of all sizes. */
		size_t offset = (i * 3 + hand->number) * sizeof(data);

		memset(data, (int)(i + hand->number), sizeof(data));
		ck_assert_int_eq(uds_snapshot_origin_write(w->members[hand->number].s, data,
							   sizeof(data), offset),
				 0);
	}
	return NULL;
}

static void *read_all(void *argument)
{
	struct hand *hand = argument;
	const struct member *m = &hand->crowd->w.members[hand->number];
	uint8_t *buffer = malloc(SIZE);

	while (!hand->crowd->done) {
		ck_assert_int_eq(uds_snapshot_read(m->s, buffer, SIZE, 0), 0);
		ck_assert_mem_eq(buffer, m->view, SIZE);
		hand->crowd->reads++;
	}
	free(buffer);
	return NULL;
}

START_TEST(readers_see_no_moment_between)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));
	struct hand writers[3], readers[2];
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct member *merged = &crowd->w.members[0];

	make_world(&crowd->w, 21 + (uint64_t)_i, 8 << 20);
	for (unsigned int i = 0; i < MEMBERS - 1; i++)
		begin_member(&crowd->w, &crowd->w.members[i]);
	/* So that the merge has something everywhere. */
	memset(crowd->w.buffer, 0xee, SIZE);
	ck_assert_int_eq(uds_snapshot_write(merged->s, crowd->w.buffer, SIZE, 0), 0);
	for (unsigned int i = 0; i < 2; i++) {
		readers[i] = (struct hand){ .crowd = crowd, .number = 1 + i };
		pthread_create(&readers[i].thread, NULL, read_all, &readers[i]);
	}
	for (unsigned int i = 0; i < 3; i++) {
		writers[i] = (struct hand){ .crowd = crowd, .number = i };
		pthread_create(&writers[i].thread, NULL, write_slices, &writers[i]);
	}
	options.round_bytes = 8192;
	ck_assert_int_eq(uds_snapshot_merge(merged->s, &options, NULL), 0);
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(writers[i].thread, NULL);
	crowd->done = true;
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(readers[i].thread, NULL);
	ck_assert_uint_gt(crowd->reads, 0);
	ck_assert_int_eq(uds_snapshot_end_merge(merged->s), 0);
	/* The one that was opened last may be closed first, and the first one too. */
	ck_assert_int_eq(uds_snapshot_close(merged->s), 0);
	merged->s = NULL;
	for (unsigned int i = 1; i < MEMBERS - 1; i++) {
		ck_assert_int_eq(uds_snapshot_read(crowd->w.members[i].s, crowd->w.buffer, SIZE, 0),
				 0);
		ck_assert_mem_eq(crowd->w.buffer, crowd->w.members[i].view, SIZE);
	}
	end_world(&crowd->w);
	free(crowd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("several snapshots of one origin");
	TCase *tc = tcase_create("beside");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, each_shows_what_an_array_would);
	tcase_add_test(tc, one_without_room_does_not_harm_the_others);
	tcase_add_test(tc, what_cannot_be_is_refused);
	tcase_add_test(tc, a_failing_one_is_named_and_can_be_given_up);
	tcase_add_test(tc, each_allocation_may_fail);
	tcase_add_loop_test(tc, readers_see_no_moment_between, 0, 4);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
