/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenarios of a snapshot.
 *
 * Each sector of the view has the newest content that was durable, or something written later; what
 * makes an exception is durable with it, what goes in place after a flush; what is written to the
 * origin is never seen. A merge that is taken up again ends with the origin equal to that view and
 * empty areas; used on as a snapshot, nothing old comes back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "base/bytes.h"
#include "check_main.h"
#include "scenario.h"
#include "snap_image.h"

#define SECTOR	 512u
#define SECTORS	 77u /* of the origin: with chunks of 1024 the last one is cut short */
#define SIZE	 (SECTORS * SECTOR)
#define NEVER	 1000000
#define VERSIONS 96

/* What was written to a sector of the view: the tag, which is the operation's number. */
struct version {
	int tag;
	int durable_at; /* the operation since whose end it is durable */
	bool done;	/* false: the write failed, and may have had its effect or not */
};

struct sector {
	struct version versions[VERSIONS];
	unsigned int count;
};

struct snapshot_world {
	struct world base;
	size_t chunk_bytes;
	struct uds_snapshot *s;
	int operation; /* the one that is done now, from 1 */
	struct sector view[SECTORS];
	bool may_be_invalid; /* it has been, or is being, given up rightly */
	bool invalidated;    /* and that is durable, after operation invalid_at */
	int invalid_at;
	uint8_t bytes[SIZE], kept[SIZE];
};

static struct snapshot_world *snapshot_of(struct world *world)
{
	return (struct snapshot_world *)(void *)world;
}

/* ---- steps of a life; none of them does anything after a failure ---- */

static bool is_over(const struct snapshot_world *w)
{
	return w->base.status < 0;
}

static int open_on(struct snapshot_world *w, struct uds_io *const io[2],
		   struct uds_message *message)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;

	options.env = &w->base.env;
	options.keep_on_overflow = w->base.scenario->keep_on_overflow;
	options.queue_depth = 4;
	return uds_snapshot_open(io[0], io[1], &options, message, &w->s);
}

static void open_snapshot(struct snapshot_world *w)
{
	struct uds_message message = { "" };

	if (!is_over(w))
		world_note(&w->base, open_on(w, w->base.io, &message), &message);
}

static void close_snapshot(struct snapshot_world *w)
{
	struct uds_message message = { "closing" }; /* it has no sentence of its own */
	struct uds_snapshot *s = w->s;

	if (is_over(w))
		return;
	w->s = NULL;
	world_note(&w->base, uds_snapshot_close(s), &message);
}

static void make_store(struct snapshot_world *w)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_message message = { "" };

	create.env = &w->base.env;
	create.chunk_bytes = w->chunk_bytes;
	create.force = true;
	world_note(&w->base, uds_exception_store_format(w->base.io[1], &create, &message),
		   &message);
}

static void begin(struct snapshot_world *w)
{
	make_store(w);
	world_begin_cuts(&w->base);
	open_snapshot(w);
}

/* An operation has ended. */
static bool end_operation(struct snapshot_world *w, int r)
{
	struct uds_message message = { "" };

	if (r < 0)
		uds_snapshot_error_message(w->s, &message);
	if (r == 0)
		crash_mark(w->base.log, (uint64_t)w->operation);
	return world_note(&w->base, r, &message);
}

static struct version *add_version(struct snapshot_world *w, uint64_t sector, bool durable)
{
	struct sector *s = &w->view[sector];

	ck_assert_uint_lt(s->count, VERSIONS);
	s->versions[s->count] =
		(struct version){ w->operation, durable ? w->operation : NEVER, false };
	return &s->versions[s->count++];
}

static bool has_exception(struct snapshot_world *w, uint64_t sector)
{
	uint64_t chunk = sector * SECTOR / w->chunk_bytes, new_chunk;

	return uds_exception_store_lookup(uds_snapshot_store(w->s), chunk, &new_chunk, NULL) == 1;
}

/*
 * One write of some sectors; to the view, or to the origin (which the view does not
 * see, unless merging).
 */
static void write_at(struct snapshot_world *w, bool to_origin, bool merging, uint64_t sector,
		     uint64_t count)
{
	bool seen = !to_origin || merging;
	int r;

	if (is_over(w))
		return;
	w->operation++;
	fill_pattern(w->bytes, sector, count, (uint32_t)w->operation);
	for (uint64_t i = sector; i < sector + count && seen; i++)
		add_version(w, i, !to_origin && !has_exception(w, i));
	if (to_origin)
		r = uds_snapshot_origin_write(w->s, w->bytes, count * SECTOR, sector * SECTOR);
	else
		r = uds_snapshot_write(w->s, w->bytes, count * SECTOR, sector * SECTOR);
	for (uint64_t i = sector; i < sector + count && seen; i++) {
		struct version *last = &w->view[i].versions[w->view[i].count - 1];

		last->done = r == 0;
		if (r < 0)
			last->durable_at = NEVER;
	}
	end_operation(w, r);
}

static void write_some(struct snapshot_world *w, bool to_origin, bool merging, unsigned int times)
{
	while (times-- > 0) {
		uint64_t count = 1 + world_random(&w->base, 6);

		write_at(w, to_origin, merging, world_random(&w->base, SECTORS - count + 1), count);
	}
}

static void write_both(struct snapshot_world *w, unsigned int times)
{
	while (times-- > 0)
		write_some(w, times % 3 == 0, false, 1);
}

static void flush(struct snapshot_world *w)
{
	if (is_over(w))
		return;
	w->operation++;
	if (!end_operation(w, uds_snapshot_flush(w->s)))
		return;
	for (uint64_t i = 0; i < SECTORS; i++) {
		for (unsigned int v = 0; v < w->view[i].count; v++) {
			if (w->view[i].versions[v].done &&
			    w->view[i].versions[v].durable_at == NEVER)
				w->view[i].versions[v].durable_at = w->operation;
		}
	}
}

static void merge(struct snapshot_world *w, uint64_t limit, uint64_t round_chunks, bool skip_equal)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;

	if (is_over(w))
		return;
	w->operation++;
	options.limit = limit;
	options.round_bytes = round_chunks * w->chunk_bytes;
	options.skip_equal = skip_equal;
	end_operation(w, uds_snapshot_merge(w->s, &options, NULL));
}

static void reopen(struct snapshot_world *w)
{
	if (is_over(w))
		return;
	close_snapshot(w);
	open_snapshot(w);
}

/* ---- lives ---- */

static void live_create(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	make_store(w);
	world->made = world->status == 0;
	world->forgets_flushes = true;
	open_snapshot(w);
	close_snapshot(w);
}

static void live_write(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	begin(w);
	for (int i = 0; i < 3; i++) {
		write_some(w, false, false, 8);
		flush(w);
	}
	close_snapshot(w);
}

static void live_origin_write(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	begin(w);
	write_some(w, true, false, 24);
	flush(w);
	close_snapshot(w);
}

static void live_both(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	begin(w);
	for (int i = 0; i < 3; i++) {
		write_both(w, 10);
		flush(w);
	}
	close_snapshot(w);
}

/* The exception that fills an area, and the one that begins the next: in one commit, and in two. */
static void live_area_full(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	begin(w);
	for (uint64_t i = 0; i < 30; i++)
		write_at(w, i % 2 == 0, false, i, 1);
	world_begin_cuts(world);
	write_at(w, false, false, 30, 1);
	write_at(w, true, false, 31, 1);
	write_at(w, false, false, 32, 1);
	write_at(w, true, false, 33, 16);
	write_at(w, false, false, 49, 16);
	flush(w);
	close_snapshot(w);
}

/* No room for what a write to the origin would save: the snapshot is given up. */
static void live_overflow(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	w->may_be_invalid = true;
	begin(w);
	write_some(w, true, false, 10);
	close_snapshot(w);
}

/* No room for a write to the snapshot: it fails, and what was there stays. */
static void live_overflow_kept(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);
	int r = 0;

	begin(w);
	if (!is_over(w))
		write_at(w, false, false, 0, 4);
	for (uint64_t i = 4; i < 40 && r == 0 && !is_over(w); i++) {
		fill_pattern(w->bytes, i, 1, (uint32_t)++w->operation);
		add_version(w, i, true);
		r = uds_snapshot_write(w->s, w->bytes, SECTOR, i * SECTOR);
		w->view[i].versions[w->view[i].count - 1].done = r == 0;
		if (r == UDS_ERR_SNAPSHOT_OVERFLOW || r == UDS_ERR_NO_ROOM || r == -ENOSPC)
			w->view[i].versions[w->view[i].count - 1].durable_at = NEVER;
		else
			end_operation(w, r);
	}
	close_snapshot(w);
}

static void prepare_merge(struct snapshot_world *w)
{
	begin(w);
	for (uint64_t i = 0; i < SECTORS; i += 3)
		write_at(w, i % 2 == 0, false, i * 31 % (SECTORS - 1), 2);
	flush(w);
	world_begin_cuts(&w->base);
}

static bool is_merged(struct snapshot_world *w)
{
	struct uds_snapshot_status status = { .size = sizeof(status) };

	if (is_over(w))
		return true;
	uds_snapshot_get_status(w->s, &status);
	return status.exceptions == 0;
}

static void live_merge(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	prepare_merge(w);
	while (!is_merged(w))
		merge(w, 30, 8, false);
	close_snapshot(w);
}

/* Rounds that take several areas off at once. */
static void live_merge_at_once(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	prepare_merge(w);
	merge(w, 0, 135, false);
	close_snapshot(w);
}

static void live_merge_skipping(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	prepare_merge(w);
	merge(w, 0, 8, true);
	close_snapshot(w);
}

static void live_merge_with_writes(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	prepare_merge(w);
	while (!is_merged(w)) {
		merge(w, 20, 6, false);
		write_some(w, true, true, 2);
		flush(w);
		write_some(w, true, true, 1);
	}
	close_snapshot(w);
}

/* Stopped after some rounds, opened again, used as a snapshot, and taken up again. */
static void live_stop(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	prepare_merge(w);
	merge(w, 12, 5, false);
	reopen(w);
	write_both(w, 4);
	merge(w, 12, 5, false);
	reopen(w);
	flush(w);
	merge(w, 0, 5, false);
	close_snapshot(w);
}

static void live_invalidate(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	begin(w);
	write_both(w, 10);
	flush(w);
	w->may_be_invalid = true;
	if (!is_over(w)) {
		w->operation++;
		w->invalid_at = w->operation;
		w->invalidated = end_operation(w, uds_snapshot_invalidate(w->s));
	}
	close_snapshot(w);
}

static void live_reopened(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	begin(w);
	for (int i = 0; i < 4; i++) {
		write_both(w, 6);
		reopen(w);
	}
	flush(w);
	close_snapshot(w);
}

/* In place: nothing is promised before the flush, and everything after it. */
static void live_in_place(struct world *world)
{
	struct snapshot_world *w = snapshot_of(world);

	begin(w);
	write_at(w, false, false, 0, 16);
	write_at(w, false, false, 16, 16);
	world_begin_cuts(world);
	for (uint64_t i = 0; i < 24; i++) {
		write_at(w, false, false, i * 7 % 28, 1 + i % 4);
		if (i % 6 == 5)
			flush(w);
	}
	close_snapshot(w);
}

/* ---- the oracle ---- */

/*
 * Is this content of a sector allowed, when operations up to @mark were done, and the power
 * went or not?
 */
static bool is_allowed(const struct sector *s, uint64_t sector, const uint8_t *bytes, int mark,
		       bool cut)
{
	unsigned int floor = 0;

	for (unsigned int v = 0; v < s->count; v++) {
		const struct version *version = &s->versions[v];

		if (version->done && (cut ? version->durable_at <= mark : true))
			floor = v;
	}
	for (unsigned int v = floor; v < s->count && s->versions[v].tag <= mark + 1; v++) {
		uint8_t expected[SECTOR];

		fill_pattern(expected, sector, 1, (uint32_t)s->versions[v].tag);
		if (memcmp(bytes, expected, SECTOR) == 0)
			return true;
	}
	return false;
}

static void read_view(struct snapshot_world *w, uint8_t *bytes, const char *place)
{
	int r = uds_snapshot_read(w->s, bytes, SIZE, 0);

	ck_assert_msg(r == 0, "%s: the view cannot be read: %s", place, uds_strerror(r));
}

/* Reads the view to w->kept. */
static void check_view(struct snapshot_world *w, int mark, bool cut, const char *place)
{
	read_view(w, w->kept, place);
	for (uint64_t i = 0; i < SECTORS; i++)
		ck_assert_msg(is_allowed(&w->view[i], i, w->kept + i * SECTOR, mark, cut),
			      "%s: sector %d of the view has what it must not", place, (int)i);
}

static void check_kept(struct snapshot_world *w, const char *place)
{
	read_view(w, w->bytes, place);
	for (uint64_t i = 0; i < SECTORS; i++)
		ck_assert_msg(memcmp(w->bytes + i * SECTOR, w->kept + i * SECTOR, SECTOR) == 0,
			      "%s: sector %d of the view has changed", place, (int)i);
}

static int report_finding(void *context, const struct uds_exception_finding *finding)
{
	fprintf(stderr, "%s: area %d: kind %d\n", (char *)context, (int)finding->area,
		(int)finding->kind);
	return 0;
}

static void verify_store(struct snapshot_world *w, struct uds_io *cow, const char *place)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_message message = { "" };
	uint64_t findings = 0;
	char text[400];
	int r;

	snprintf(text, sizeof(text), "%s", place);
	options.env = &w->base.env;
	r = uds_exception_store_verify(cow, &options, report_finding, text, &message, &findings);
	ck_assert_msg(r == 0 && findings == 0, "%s: %d findings %s", place, (int)findings,
		      message.text);
	w->base.verified++;
}

static void open_or_end(struct snapshot_world *w, struct uds_io *const io[2], const char *place)
{
	struct uds_message message = { "" };
	int r = open_on(w, io, &message);

	ck_assert_msg(r == 0, "%s: it cannot be opened: %s", place, message.text);
}

/* Taken up again, the merge ends with the view on the origin, and nothing in the store. */
static void check_merge(struct snapshot_world *w, struct uds_io *const io[2], const char *place)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_snapshot_status status = { .size = sizeof(status) };
	int r;

	options.round_bytes = 5 * w->chunk_bytes;
	r = uds_snapshot_merge(w->s, &options, NULL);
	ck_assert_msg(r == 0, "%s: the merge fails: %s", place, uds_strerror(r));
	ck_assert_int_eq(uds_io_read(io[0], w->bytes, SIZE, 0), 0);
	for (uint64_t i = 0; i < SECTORS; i++)
		ck_assert_msg(memcmp(w->bytes + i * SECTOR, w->kept + i * SECTOR, SECTOR) == 0,
			      "%s: sector %d of the merged origin is wrong", place, (int)i);
	ck_assert_int_eq(uds_snapshot_close(w->s), 0);
	w->s = NULL;
	open_or_end(w, io, place);
	uds_snapshot_get_status(w->s, &status);
	ck_assert_msg(status.exceptions == 0, "%s: exceptions are left after the merge", place);
}

/* Used on: chunks are written until areas fill up, with a look from the devices after each few. */
static void use_on(struct snapshot_world *w, struct uds_io *const io[2], const char *place)
{
	uint8_t bytes[SECTOR];

	for (uint64_t i = 0; i < SECTORS; i++) {
		uint64_t sector = i * 37 % SECTORS;
		int r;

		fill_pattern(bytes, sector, 1, 5000 + (uint32_t)i);
		if (i % 3 == 0)
			r = uds_snapshot_origin_write(w->s, bytes, SECTOR, sector * SECTOR);
		else
			r = uds_snapshot_write(w->s, bytes, SECTOR, sector * SECTOR);
		ck_assert_msg(r == 0, "%s: used on: %s", place, uds_strerror(r));
		if (i % 3 != 0)
			memcpy(w->kept + sector * SECTOR, bytes, SECTOR);
		if (i % 36 != 35)
			continue;
		ck_assert_int_eq(uds_snapshot_close(w->s), 0);
		w->s = NULL;
		open_or_end(w, io, place);
		check_kept(w, place);
	}
}

/*
 * A writer that does not clean (the kernel) appends at the end of the list and may fill a gap
 * before entries of old. When these reach the end of the area, it then looks full: the next one
 * must be clear.
 */
static void check_gap(struct snapshot_world *w, struct uds_crash_log *after, const char *place)
{
	uint64_t size, per_area = w->chunk_bytes / 16, k;
	const uint8_t *cow, *area, *next;

	ck_assert_int_eq(uds_crash_log_bytes(after, 1, NULL, &cow, &size), 0);
	for (k = 0; (k * (per_area + 1) + 2) * w->chunk_bytes <= size; k++) {
		area = cow + (1 + k * (per_area + 1)) * w->chunk_bytes;
		if (get_le64(area + w->chunk_bytes - 8) == 0)
			return; /* the last entry ends the list, whatever is before it */
		for (uint64_t i = 0; i < per_area; i++) {
			if (get_le64(area + i * 16 + 8) != 0)
				continue;
			next = area + (per_area + 1) * w->chunk_bytes;
			for (uint64_t b = 0; b < w->chunk_bytes; b++)
				ck_assert_msg(next[b] == 0, "%s: a gap leads on", place);
			return;
		}
	}
}

static bool is_invalid(struct snapshot_world *w)
{
	struct uds_snapshot_status status = { .size = sizeof(status) };

	uds_snapshot_get_status(w->s, &status);
	return status.state == UDS_SNAPSHOT_INVALID;
}

/* What goes on after a cut is cut once more: what it had promised is there. */
static void cut_again(struct snapshot_world *w, struct uds_crash_log *after, const char *place)
{
	uint64_t cut = world_random(&w->base, uds_crash_log_events(after) + 1);
	struct uds_crash_log *again = world_cut(&w->base, after, cut);
	struct uds_io *const io[2] = { crash_open(again, 0), crash_open(again, 1) };
	char text[600];

	snprintf(text, sizeof(text), "%s; then cut %d of the merge", place, (int)cut);
	open_or_end(w, io, text);
	check_kept(w, text);
	check_merge(w, io, text);
	verify_store(w, io[1], text);
	ck_assert_int_eq(uds_snapshot_close(w->s), 0);
	w->s = NULL;
	ck_assert_int_eq(uds_io_close(io[0]), 0);
	ck_assert_int_eq(uds_io_close(io[1]), 0);
	uds_crash_log_free(again);
	w->base.cut_again++;
}

static void check_valid(struct snapshot_world *w, struct uds_crash_log *after,
			struct uds_io *const io[2], int mark, uint64_t number, const char *place)
{
	bool small = w->base.scenario->cow_chunks != 0;

	check_view(w, mark, true, place);
	if (number % 2 == 0 || small) {
		check_merge(w, io, place);
		if (number % 16 == 0) {
			ck_assert_int_eq(uds_snapshot_close(w->s), 0);
			cut_again(w, after, place);
			open_or_end(w, io, place);
		}
	}
	if (number % 8 == 7 && !small) {
		use_on(w, io, place);
		w->base.went_on++;
	}
	if (number % 4 == 0)
		verify_store(w, io[1], place);
}

static void check_snapshot_cut(struct world *world, struct uds_crash_log *after,
			       const struct uds_crash_state *state, uint64_t number)
{
	struct snapshot_world *w = snapshot_of(world);
	struct uds_io *const io[2] = { crash_open(after, 0), crash_open(after, 1) };
	const char *place = world_place(world, state->text);
	struct uds_message message = { "" };
	int r = open_on(w, io, &message);

	ck_assert_msg(r == 0 || (world->first_cut == 0 && state->mark == 0 && message.text[0] != 0),
		      "%s: it cannot be opened: %s", place, message.text);
	if (r == 0 && is_invalid(w)) {
		ck_assert_msg(w->may_be_invalid, "%s: the snapshot is invalid", place);
	} else if (r == 0) {
		ck_assert_msg(!w->invalidated || (int)state->mark < w->invalid_at,
			      "%s: the snapshot is valid again", place);
		if (world->first_cut > 0)
			check_gap(w, after, place);
		check_valid(w, after, io, (int)state->mark, number, place);
	}
	ck_assert_int_eq(uds_snapshot_close(w->s), 0);
	w->s = NULL;
	ck_assert_int_eq(uds_io_close(io[0]), 0);
	ck_assert_int_eq(uds_io_close(io[1]), 0);
}

/* ---- after a failure ---- */

/*
 * The same handle goes on: a write, seen by the view, and a flush; where a merge had
 * begun, to its end.
 */
static void go_on(struct snapshot_world *w, const char *place)
{
	struct uds_snapshot_status status = { .size = sizeof(status) };
	bool merging;

	uds_snapshot_get_status(w->s, &status);
	merging = status.state == UDS_SNAPSHOT_MERGING || status.state == UDS_SNAPSHOT_MERGED ||
		  status.state == UDS_SNAPSHOT_MERGE_FAILED;
	(void)uds_snapshot_flush(w->s); /* tells of an earlier flush that failed */
	write_at(w, merging, merging, 3, 5);
	flush(w);
	if (merging && w->operation % 2 == 0)
		merge(w, 0, 8, false);
	ck_assert_msg(w->base.status == 0, "%s: going on: %s", place, w->base.message.text);
	check_view(w, w->operation, false, place);
}

static void check_open_snapshot(struct world *world, const char *place)
{
	struct snapshot_world *w = snapshot_of(world);

	if (w->s == NULL)
		return;
	if (is_invalid(w)) {
		ck_assert_msg(w->may_be_invalid, "%s: the snapshot is invalid", place);
	} else {
		check_view(w, w->operation, false, place);
		if (world->scenario->cow_chunks == 0)
			go_on(w, place);
	}
	(void)uds_snapshot_close(w->s);
	w->s = NULL;
}

static void reopen_snapshot(struct world *world)
{
	open_snapshot(snapshot_of(world));
}

static void check_reopened_snapshot(struct world *world, const char *place)
{
	struct snapshot_world *w = snapshot_of(world);

	if (is_invalid(w)) {
		ck_assert_msg(w->may_be_invalid, "%s: the snapshot is invalid", place);
	} else {
		ck_assert_msg(!w->invalidated, "%s: the snapshot is valid again", place);
		check_view(w, w->operation, false, place);
		check_merge(w, world->io, place);
		verify_store(w, world->io[1], place);
		if (world->scenario->cow_chunks == 0)
			use_on(w, world->io, place);
	}
	ck_assert_int_eq(uds_snapshot_close(w->s), 0);
	w->s = NULL;
}

/* ---- making worlds ---- */

static void free_snapshot_world(struct world *world)
{
	ck_assert_ptr_null(snapshot_of(world)->s);
	world_close_devices(world);
	uds_crash_log_free(world->log);
	free(world);
}

static struct world *make_snapshot_world(const struct scenario *scenario, uint64_t seed,
					 struct fault_plan *plan, const struct uds_env *env)
{
	size_t chunk = scenario->chunk_bytes == 0 ? 512 : scenario->chunk_bytes;
	size_t cow = (scenario->cow_chunks == 0 ? 120 : scenario->cow_chunks) * chunk;
	struct snapshot_world *w = calloc(1, sizeof(*w));
	const struct uds_env usual = UDS_ENV_INIT;
	uint8_t *garbage = malloc(cow);

	ck_assert(w != NULL && garbage != NULL);
	w->base.scenario = scenario;
	w->base.random = seed;
	w->base.env = env == NULL ? usual : *env;
	w->chunk_bytes = chunk;
	fill_pattern(w->bytes, 0, SECTORS, 0);
	for (uint64_t i = 0; i < SECTORS; i++) {
		w->view[i].count = 1; /* tag 0, durable from the beginning */
		w->view[i].versions[0].done = true;
	}
	/* What an earlier use may have left: looks like exceptions wherever one looks. */
	for (size_t i = 0; i < cow; i++)
		garbage[i] = i % 8 == 0 ? (uint8_t)(1 + i / 16 % 40) : 0;
	w->base.log = crash_log();
	crash_add(w->base.log, w->bytes, SIZE, SECTOR);
	crash_add(w->base.log, garbage, cow, SECTOR);
	free(garbage);
	world_open_devices(&w->base, 2, plan);
	return &w->base;
}

static const struct world_kind snapshot_kind = {
	.make = make_snapshot_world,
	.free = free_snapshot_world,
	.check_cut = check_snapshot_cut,
	.check_open = check_open_snapshot,
	.reopen = reopen_snapshot,
	.check_reopened = check_reopened_snapshot,
};

const struct scenario snapshot_scenarios[] = {
	{ .name = "store create", .kind = &snapshot_kind, .live = live_create },
	{ .name = "snapshot write", .kind = &snapshot_kind, .live = live_write },
	{ .name = "origin write", .kind = &snapshot_kind, .live = live_origin_write },
	{ .name = "writes of both sides",
	  .kind = &snapshot_kind,
	  .live = live_both,
	  .chunk_bytes = 1024 },
	{ .name = "write in place",
	  .kind = &snapshot_kind,
	  .live = live_in_place,
	  .chunk_bytes = 1024 },
	{ .name = "opened again", .kind = &snapshot_kind, .live = live_reopened },
	{ .name = "area full", .kind = &snapshot_kind, .live = live_area_full },
	{ .name = "overflow", .kind = &snapshot_kind, .live = live_overflow, .cow_chunks = 12 },
	{ .name = "overflow that is kept",
	  .kind = &snapshot_kind,
	  .live = live_overflow_kept,
	  .cow_chunks = 20,
	  .keep_on_overflow = true },
	{ .name = "merge", .kind = &snapshot_kind, .live = live_merge },
	{ .name = "merge of large chunks",
	  .kind = &snapshot_kind,
	  .live = live_merge,
	  .chunk_bytes = 1024 },
	{ .name = "merge at once", .kind = &snapshot_kind, .live = live_merge_at_once },
	{ .name = "merge that skips",
	  .kind = &snapshot_kind,
	  .live = live_merge_skipping,
	  .chunk_bytes = 1024 },
	{ .name = "merge with writes", .kind = &snapshot_kind, .live = live_merge_with_writes },
	{ .name = "stop", .kind = &snapshot_kind, .live = live_stop },
	{ .name = "invalidate", .kind = &snapshot_kind, .live = live_invalidate },
};

const unsigned int snapshot_scenario_count =
	sizeof(snapshot_scenarios) / sizeof(snapshot_scenarios[0]);
