/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power cuts after every write and flush of snapshot writes, origin writes and merges, with unflushed
 * writes kept, dropped, torn or reordered.
 *
 * What must hold after each: the store opens. Each sector of the view has the newest content that was durable,
 * or something written later; what makes an exception is durable with it, what goes in place after a
 * flush; what is written to the origin is never seen. A merge that is taken up again ends with the origin equal to
 * that view and empty areas; used on as a snapshot, nothing old comes back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "base/bytes.h"
#include "check_main.h"
#include "crash.h"
#include "snap_image.h"

#define SECTOR	512u
#define SECTORS 301u /* of the origin: the last chunk is cut short */
#define NEVER	1000000

/* What was written to a sector of the view: the tag, which is the operation's number, and since when it is durable. */
struct version {
	int tag;
	int durable_at;
};

struct history {
	struct version versions[64];
	size_t count;
};

struct scenario {
	struct uds_crash_log *log;
	struct uds_io *origin;
	struct uds_io *cow;
	struct uds_snapshot *s;
	size_t chunk_bytes;
	bool drop_origin_flush; /* to check the check */
	bool drop_cow_flush;
	int operation; /* the one that is done now, from 1 */
	struct history view[SECTORS];
	uint64_t random;
	const char *failure;
	char text[300];
};

/* An I/O that forgets flushes, if told so. */
struct sloppy {
	struct uds_io *below;
	const bool *drop_flush;
};

static int sloppy_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	return uds_io_read(((struct sloppy *)context)->below, buffer, length, offset);
}

static int sloppy_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	return uds_io_write(((struct sloppy *)context)->below, buffer, length, offset);
}

static int sloppy_flush(void *context)
{
	struct sloppy *sloppy = context;

	return *sloppy->drop_flush ? 0 : uds_io_flush(sloppy->below);
}

static int sloppy_size(void *context, uint64_t *ret_bytes)
{
	return uds_io_size(((struct sloppy *)context)->below, ret_bytes);
}

static int sloppy_close(void *context)
{
	int r = uds_io_close(((struct sloppy *)context)->below);

	free(context);
	return r;
}

static struct uds_io *make_sloppy(struct uds_io *below, const bool *drop_flush)
{
	static const struct uds_io_ops ops = {
		.size = sizeof(ops),
		.read = sloppy_read,
		.write = sloppy_write,
		.flush = sloppy_flush,
		.get_size = sloppy_size,
		.close = sloppy_close,
	};
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct sloppy *sloppy = malloc(sizeof(*sloppy));
	struct uds_io *io;

	sloppy->below = below;
	sloppy->drop_flush = drop_flush;
	limits.block_bytes = uds_io_block_bytes(below);
	ck_assert_int_eq(uds_io_open_ops(&ops, sloppy, &limits, NULL, &io), 0);
	return io;
}

static void start(struct scenario *sc, size_t chunk_bytes, size_t cow_chunks)
{
	uint8_t *origin = malloc(SECTORS * SECTOR);
	uint8_t *garbage = malloc(cow_chunks * chunk_bytes);
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_io *io;

	memset(sc, 0, sizeof(*sc));
	sc->chunk_bytes = chunk_bytes;
	sc->random = 12345;
	fill_pattern(origin, 0, SECTORS, 0);
	for (size_t i = 0; i < SECTORS; i++)
		sc->view[i].count = 1; /* tag 0, durable from the beginning */
	/* What an earlier use may have left: looks like exceptions wherever one looks. */
	for (size_t i = 0; i < cow_chunks * chunk_bytes; i++)
		garbage[i] = i % 8 == 0 ? (uint8_t)(1 + i / 16 % 40) : 0;
	sc->log = crash_log();
	crash_add(sc->log, origin, SECTORS * SECTOR, SECTOR);
	crash_add(sc->log, garbage, cow_chunks * chunk_bytes, SECTOR);
	io = crash_open(sc->log, 0);
	sc->origin = make_sloppy(io, &sc->drop_origin_flush);
	io = crash_open(sc->log, 1);
	sc->cow = make_sloppy(io, &sc->drop_cow_flush);
	create.chunk_bytes = chunk_bytes;
	create.force = true;
	ck_assert_int_eq(uds_exception_store_format(sc->cow, &create, NULL), 0);
	ck_assert_int_eq(uds_snapshot_open(sc->origin, sc->cow, NULL, NULL, &sc->s), 0);
	free(origin);
	free(garbage);
}

static void stop(struct scenario *sc)
{
	uds_snapshot_close(sc->s);
	uds_io_close(sc->origin);
	uds_io_close(sc->cow);
	uds_crash_log_free(sc->log);
}

static void done(struct scenario *sc)
{
	crash_mark(sc->log, (uint64_t)sc->operation);
}

static void add_version(struct scenario *sc, size_t sector, int durable_at)
{
	struct history *h = &sc->view[sector];

	ck_assert_uint_lt(h->count, sizeof(h->versions) / sizeof(h->versions[0]));
	h->versions[h->count].tag = sc->operation;
	h->versions[h->count].durable_at = durable_at;
	h->count++;
}

static bool has_exception(struct scenario *sc, size_t sector)
{
	uint64_t chunk = sector * SECTOR / sc->chunk_bytes, new_chunk;

	return uds_exception_store_lookup(uds_snapshot_store(sc->s), chunk, &new_chunk, NULL) == 1;
}

/* One write of some sectors; to the view, or to the origin (which the view does not see, unless merging). */
static void do_write(struct scenario *sc, bool to_origin, bool merging, size_t sector, size_t count)
{
	uint8_t bytes[16 * SECTOR];

	sc->operation++;
	fill_pattern(bytes, sector, count, (uint32_t)sc->operation);
	for (size_t i = sector; i < sector + count && (!to_origin || merging); i++)
		add_version(sc, i, to_origin || has_exception(sc, i) ? NEVER : sc->operation);
	if (to_origin)
		ck_assert_int_eq(
			uds_snapshot_origin_write(sc->s, bytes, count * SECTOR, sector * SECTOR),
			0);
	else
		ck_assert_int_eq(uds_snapshot_write(sc->s, bytes, count * SECTOR, sector * SECTOR),
				 0);
	done(sc);
}

static void do_random_write(struct scenario *sc, bool to_origin, bool merging)
{
	size_t count = 1 + next_random(&sc->random) % 6;

	do_write(sc, to_origin, merging, next_random(&sc->random) % (SECTORS - count + 1), count);
}

static void do_flush(struct scenario *sc)
{
	sc->operation++;
	ck_assert_int_eq(uds_snapshot_flush(sc->s), 0);
	for (size_t i = 0; i < SECTORS; i++) {
		struct history *h = &sc->view[i];

		for (size_t v = 0; v < h->count; v++)
			if (h->versions[v].durable_at == NEVER)
				h->versions[v].durable_at = sc->operation;
	}
	done(sc);
}

static void do_merge(struct scenario *sc, uint64_t limit, uint64_t round_chunks)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;

	sc->operation++;
	options.limit = limit;
	options.round_bytes = round_chunks * sc->chunk_bytes;
	ck_assert_int_eq(uds_snapshot_merge(sc->s, &options, NULL), 0);
	done(sc);
}

static bool complain(struct scenario *sc, const char *where, const char *what, size_t sector)
{
	snprintf(sc->text, sizeof(sc->text), "%s: %s, sector %zu", where, what, sector);
	sc->failure = sc->text;
	return false;
}

/* Is this content of a sector of the view allowed, when operations up to @mark were acknowledged? */
static bool allowed(const struct history *h, size_t sector, const uint8_t *bytes, int mark)
{
	size_t floor = 0;

	for (size_t v = 0; v < h->count; v++)
		if (h->versions[v].durable_at <= mark)
			floor = v;
	for (size_t v = floor; v < h->count && h->versions[v].tag <= mark + 1; v++) {
		uint8_t expected[SECTOR];

		fill_pattern(expected, sector, 1, (uint32_t)h->versions[v].tag);
		if (memcmp(bytes, expected, SECTOR) == 0)
			return true;
	}
	return false;
}

struct copy {
	struct uds_io *origin;
	struct uds_io *cow;
	struct uds_snapshot *s;
	uint8_t view[SECTORS * SECTOR];
};

static void copy_close(struct copy *c)
{
	uds_snapshot_close(c->s);
	c->s = NULL;
}

static void copy_free(struct copy *c)
{
	copy_close(c);
	uds_io_close(c->origin);
	uds_io_close(c->cow);
}

/* Opens what a cut left, and reads the view. Without a store (yet): returns false, which is right at first. */
static bool copy_open(struct scenario *sc, struct copy *c, struct uds_crash_log *after,
		      const char *where)
{
	struct uds_message message = { "" };
	struct image image;
	uint64_t size;
	int r;

	image.bytes = (uint8_t *)(uintptr_t)uds_crash_log_bytes(after, 0, &size);
	image.size = (size_t)size;
	c->origin = image_io(&image, SECTOR);
	image.bytes = (uint8_t *)(uintptr_t)uds_crash_log_bytes(after, 1, &size);
	image.size = (size_t)size;
	c->cow = image_io(&image, SECTOR);
	c->s = NULL;
	r = uds_snapshot_open(c->origin, c->cow, NULL, &message, &c->s);
	if (r < 0)
		complain(sc, where, message.text, 0);
	return r == 0;
}

static bool reopen(struct scenario *sc, struct copy *c, const char *where)
{
	struct uds_message message = { "" };

	copy_close(c);
	if (uds_snapshot_open(c->origin, c->cow, NULL, &message, &c->s) < 0)
		return complain(sc, where, message.text, 0);
	return true;
}

/* The view's sectors are those of c->view. */
static bool view_is_kept(struct scenario *sc, struct copy *c, const char *where, const char *what)
{
	uint8_t bytes[SECTORS * SECTOR];

	if (uds_snapshot_read(c->s, bytes, sizeof(bytes), 0) < 0)
		return complain(sc, where, "the view cannot be read", 0);
	for (size_t i = 0; i < SECTORS; i++)
		if (memcmp(bytes + i * SECTOR, c->view + i * SECTOR, SECTOR) != 0)
			return complain(sc, where, what, i);
	return true;
}

static bool areas_are_empty(struct scenario *sc, struct copy *c)
{
	struct image cow = io_image(c->cow);
	size_t stride = sc->chunk_bytes / 16 + 1;
	size_t areas = 10;
	bool empty = true;

	for (size_t a = 0; a < areas && (1 + a * stride + 1) * sc->chunk_bytes <= cow.size; a++) {
		/* Only areas that were in use: garbage of before may lie in later ones. */
		const uint8_t *area = cow.bytes + (1 + a * stride) * sc->chunk_bytes;
		bool garbage = a > 0 && area[0] == (1 + a * stride) * sc->chunk_bytes / 16 % 40 + 1;

		for (size_t i = 0; i < sc->chunk_bytes && !garbage; i++)
			empty = empty && area[i] == 0;
	}
	image_free(&cow);
	return empty;
}

/* Taken up again, the merge ends right: by the device, or run by run as the kernel does. */
static bool merge_ends_right(struct scenario *sc, struct copy *c, const char *where)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	uint8_t bytes[SECTORS * SECTOR];

	options.round_bytes = 5 * sc->chunk_bytes;
	if (uds_snapshot_merge(c->s, &options, NULL) < 0)
		return complain(sc, where, "the merge fails", 0);
	ck_assert_int_eq(uds_io_read(c->origin, bytes, sizeof(bytes), 0), 0);
	for (size_t i = 0; i < SECTORS; i++)
		if (memcmp(bytes + i * SECTOR, c->view + i * SECTOR, SECTOR) != 0)
			return complain(sc, where, "the merged origin is wrong", i);
	if (!areas_are_empty(sc, c))
		return complain(sc, where, "an area is not empty after the merge", 0);
	return true;
}

/* Used on: chunks are written until areas fill up, with a look from the device after each few. */
static bool use_goes_on_right(struct scenario *sc, struct copy *c, const char *where)
{
	uint8_t bytes[SECTOR];

	for (size_t i = 0; i < SECTORS; i++) {
		size_t sector = i * 37 % SECTORS;

		fill_pattern(bytes, sector, 1, 5000 + (uint32_t)i);
		if (i % 3 == 0) {
			if (uds_snapshot_origin_write(c->s, bytes, SECTOR, sector * SECTOR) < 0)
				return complain(sc, where, "using on: a write to the origin", i);
		} else {
			if (uds_snapshot_write(c->s, bytes, SECTOR, sector * SECTOR) < 0)
				return complain(sc, where, "using on: a write", i);
			memcpy(c->view + sector * SECTOR, bytes, SECTOR);
		}
		if (i % 75 == 74 &&
		    (!reopen(sc, c, where) || !view_is_kept(sc, c, where, "using on: the view")))
			return false;
	}
	return reopen(sc, c, where) && view_is_kept(sc, c, where, "using on: the view at last");
}

/*
 * A writer that does not clean (the kernel) appends at the end of the list and may fill a gap before entries
 * of old. When these reach the end of the area, it then looks full: the next one must be clear.
 */
static bool gap_leads_nowhere(struct scenario *sc, struct uds_crash_log *after, const char *where)
{
	uint64_t size, per_area = sc->chunk_bytes / 16, k;
	const uint8_t *cow = uds_crash_log_bytes(after, 1, &size), *area = NULL, *next;

	for (k = 0;; k++) {
		area = cow + (1 + k * (per_area + 1)) * sc->chunk_bytes;
		if (get_le64(area + sc->chunk_bytes - 8) == 0)
			return true; /* the last entry ends the list, whatever is before it */
		for (uint64_t i = 0; i < per_area; i++) {
			if (get_le64(area + i * 16 + 8) != 0)
				continue;
			next = area + (per_area + 1) * sc->chunk_bytes;
			for (uint64_t b = 0; b < sc->chunk_bytes; b++)
				if (next[b] != 0)
					return complain(sc, where, "a gap leads on", k);
			return true;
		}
	}
}

/* What one cut left: false and sc->failure, when something is wrong. */
static bool check_cut(struct scenario *sc, struct uds_crash_log *after, int mark, bool use_on,
		      const char *where)
{
	struct copy *c = malloc(sizeof(*c));
	bool good = gap_leads_nowhere(sc, after, where);

	good = copy_open(sc, c, after, where) && good;
	if (good && uds_snapshot_read(c->s, c->view, sizeof(c->view), 0) < 0)
		good = complain(sc, where, "the view cannot be read", 0);
	for (size_t i = 0; i < SECTORS && good; i++)
		if (!allowed(&sc->view[i], i, c->view + i * SECTOR, mark))
			good = complain(sc, where, "the view has what it must not", i);
	good = good && merge_ends_right(sc, c, where);
	if (use_on)
		good = good && reopen(sc, c, where) && use_goes_on_right(sc, c, where);
	copy_free(c);
	if (good && use_on) {
		good = copy_open(sc, c, after, where) &&
		       uds_snapshot_read(c->s, c->view, sizeof(c->view), 0) == 0 &&
		       use_goes_on_right(sc, c, where);
		copy_free(c);
	}
	free(c);
	return good;
}

/* All cuts from operation @from on. Returns how many were bad. */
static unsigned int sweep(struct scenario *sc, size_t from_event, unsigned int *ret_cuts)
{
	const char *scale = getenv("UDS_TEST_SCALE");
	struct crash_cuts sweep;
	struct uds_crash_log *after;
	unsigned int bad = 0;

	*ret_cuts = 0;
	crash_start(&sweep, sc->log, 99);
	sweep.options.first = from_event;
	sweep.options.rounds = scale != NULL ? (unsigned int)atoi(scale) : 1;
	while ((after = crash_next(&sweep)) != NULL) {
		/* Using it on takes the longest: after every fourth cut it is done too. */
		bad += !check_cut(sc, after, (int)sweep.state.mark,
				  sweep.state.cut % 4 == 0 || sweep.options.rounds > 1,
				  sweep.state.text);
		uds_crash_log_free(after);
		(*ret_cuts)++;
	}
	return bad;
}

static void check_sweep(struct scenario *sc, size_t from_event)
{
	unsigned int cuts, bad = sweep(sc, from_event, &cuts);

	ck_assert_msg(bad == 0, "%u of %u cuts: %s", bad, cuts, sc->failure);
	ck_assert_uint_gt(cuts, 50);
}

START_TEST(writes_of_both_sides_survive_power_cuts)
{
	struct scenario *sc = malloc(sizeof(*sc));
	size_t from;

	start(sc, _i == 0 ? 512 : 1024, 800);
	from = uds_crash_log_events(sc->log);
	for (int i = 0; i < 45; i++) {
		do_random_write(sc, i % 3 == 0, false);
		if (i % 11 == 10)
			do_flush(sc);
	}
	check_sweep(sc, from);
	stop(sc);
	free(sc);
}
END_TEST

static void run_merges(struct scenario *sc, bool with_writes, bool large)
{
	while (true) {
		struct uds_snapshot_status status = { .size = sizeof(status) };

		/* Large rounds take several areas off at once. */
		do_merge(sc, large ? 140 : 30, large ? 135 : 8);
		uds_snapshot_get_status(sc->s, &status);
		if (status.exceptions == 0)
			break;
		if (with_writes) {
			do_random_write(sc, true, true);
			do_random_write(sc, true, true);
			do_flush(sc);
			do_random_write(sc, true, true);
		}
	}
}

START_TEST(merges_survive_power_cuts)
{
	struct scenario *sc = malloc(sizeof(*sc));
	size_t from;

	start(sc, _i % 2 == 0 ? 512 : 1024, 800);
	for (size_t i = 0; i < SECTORS; i += 2)
		do_write(sc, i % 6 == 0, false, i * 31 % (SECTORS - 1), 2);
	do_flush(sc);
	from = uds_crash_log_events(sc->log);
	run_merges(sc, _i / 2 % 2 == 1, _i >= 4);
	check_sweep(sc, from);
	stop(sc);
	free(sc);
}
END_TEST

/* Without the flush of the origin (or of the COW device) the same cuts must go wrong. */
START_TEST(checker_notices_a_missing_flush)
{
	struct scenario *sc = malloc(sizeof(*sc));
	unsigned int cuts;
	size_t from;

	start(sc, 1024, 800);
	if (_i == 0) {
		for (size_t i = 0; i < SECTORS; i += 2)
			do_write(sc, false, false, i * 31 % (SECTORS - 1), 2);
		do_flush(sc);
		sc->drop_origin_flush = true;
		from = uds_crash_log_events(sc->log);
		run_merges(sc, false, false);
	} else {
		sc->drop_cow_flush = true;
		from = uds_crash_log_events(sc->log);
		for (int i = 0; i < 20; i++)
			do_random_write(sc, i % 2 == 0, false);
	}
	ck_assert_uint_gt(sweep(sc, from, &cuts), 0);
	stop(sc);
	free(sc);
}
END_TEST

/* The device is full: at every moment the store is either marked invalid, or right. */
START_TEST(overflow_survives_power_cuts)
{
	struct scenario *sc = malloc(sizeof(*sc));
	struct crash_cuts sweep;
	struct uds_crash_log *after;
	unsigned int invalid = 0, valid = 0;

	start(sc, 512, 12);
	for (int i = 0; i < 8; i++)
		do_random_write(sc, true, false);
	crash_start(&sweep, sc->log, 7);
	sweep.options.first = 6; /* after the store was made */
	while ((after = crash_next(&sweep)) != NULL) {
		struct copy *c = malloc(sizeof(*c));
		int r;

		ck_assert_msg(copy_open(sc, c, after, sweep.state.text), "%s", sc->failure);
		r = uds_snapshot_read(c->s, c->view, sizeof(c->view), 0);
		if (r == UDS_ERR_INVALID_SNAPSHOT) {
			invalid++;
		} else {
			valid++;
			ck_assert_int_eq(r, 0);
			for (size_t i = 0; i < SECTORS; i++)
				ck_assert_msg(allowed(&sc->view[i], i, c->view + i * SECTOR,
						      (int)sweep.state.mark),
					      "%s: sector %zu", sweep.state.text, i);
		}
		copy_free(c);
		free(c);
		uds_crash_log_free(after);
	}
	ck_assert_uint_gt(invalid, 0);
	ck_assert_uint_gt(valid, 0);
	stop(sc);
	free(sc);
}
END_TEST

/* D20: while a store is being made there is none, or an empty one. */
START_TEST(creating_survives_power_cuts)
{
	struct scenario *sc = malloc(sizeof(*sc));
	struct crash_cuts sweep;
	struct uds_crash_log *after;
	unsigned int stores = 0;

	start(sc, 1024, 20);
	crash_start(&sweep, sc->log, 7);
	while ((after = crash_next(&sweep)) != NULL) {
		struct copy *c = malloc(sizeof(*c));

		if (copy_open(sc, c, after, sweep.state.text)) {
			struct uds_snapshot_status status = { .size = sizeof(status) };

			uds_snapshot_get_status(c->s, &status);
			ck_assert_msg(status.exceptions == 0, "%s", sweep.state.text);
			stores++;
		}
		copy_free(c);
		free(c);
		uds_crash_log_free(after);
	}
	ck_assert_uint_gt(stores, 0);
	stop(sc);
	free(sc);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot power cuts");
	TCase *tc = tcase_create("cuts");

	tcase_add_loop_test(tc, writes_of_both_sides_survive_power_cuts, 0, 2);
	tcase_add_loop_test(tc, merges_survive_power_cuts, 0, 8);
	tcase_add_loop_test(tc, checker_notices_a_missing_flush, 0, 2);
	tcase_add_test(tc, overflow_survives_power_cuts);
	tcase_add_test(tc, creating_survives_power_cuts);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
