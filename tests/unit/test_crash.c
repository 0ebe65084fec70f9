/* SPDX-License-Identifier: BSD-2-Clause */
/* The crash simulator (uds/testing.h): what a cut may leave, and what it must. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <uds/engine.h>

#include "check_main.h"
#include "crash.h"
#include "fault_io.h"
#include "torture_env.h"

/* A log of a 4096-byte device full of '.', onto which 'a' to 'd' went, with a flush after 'b'. */
static struct uds_crash_log *make_log(void)
{
	struct uds_crash_log *log = crash_log();
	char first[4096], bytes[1024];
	struct uds_io *io;

	memset(first, '.', sizeof(first));
	crash_add(log, first, sizeof(first), 512);
	io = crash_open(log, 0);
	for (int i = 0; i < 4; i++) {
		memset(bytes, 'a' + i, sizeof(bytes));
		ck_assert_int_eq(uds_io_write(io, bytes, sizeof(bytes), (uint64_t)i * 512), 0);
		if (i == 1) {
			ck_assert_int_eq(uds_io_flush(io), 0);
			crash_mark(log, 2);
		}
	}
	ck_assert_int_eq(uds_io_close(io), 0);
	return log;
}

/* The first byte of each of the five first sectors. */
static const char *sectors(struct uds_crash_log *log)
{
	static char text[6];
	const uint8_t *bytes = crash_bytes(log, 0);

	for (int i = 0; i < 5; i++)
		text[i] = (char)bytes[i * 512];
	return text;
}

static void check_after(struct uds_crash_log *log, uint64_t cut, uint32_t variant,
			const char *expected)
{
	struct uds_crash_log *after = crash_after(log, cut, variant, 1);

	ck_assert_str_eq(sectors(after), expected);
	uds_crash_log_free(after);
}

START_TEST(a_cut_keeps_what_was_flushed_and_drops_what_was_not)
{
	struct uds_crash_log *log = make_log();

	/* Events: a, b, flush, mark, c, d. */
	ck_assert_uint_eq(uds_crash_log_events(log), 6);
	ck_assert_str_eq(sectors(log), "abcdd");
	check_after(log, 0, UDS_CRASH_KEEP, ".....");
	check_after(log, 1, UDS_CRASH_KEEP, "aa...");
	check_after(log, 2, UDS_CRASH_KEEP, "abb..");
	check_after(log, 2, UDS_CRASH_DROP, ".....");
	check_after(log, 2, UDS_CRASH_ONLY_LAST, ".bb..");
	check_after(log, 3, UDS_CRASH_DROP, "abb..");
	check_after(log, 6, UDS_CRASH_KEEP, "abcdd");
	check_after(log, 6, UDS_CRASH_DROP, "abb..");
	check_after(log, 6, UDS_CRASH_ONLY_LAST, "abbdd");
	/* Back to an earlier cut. */
	check_after(log, 1, UDS_CRASH_DROP, ".....");
	ck_assert_uint_eq(uds_crash_log_mark_at(log, 3), 0);
	ck_assert_uint_eq(uds_crash_log_mark_at(log, 4), 2);
	ck_assert_uint_eq(uds_crash_log_mark_at(log, 6), 2);
	uds_crash_log_free(log);
}
END_TEST

START_TEST(a_cut_tears_and_mixes_at_sectors_and_repeats_itself)
{
	struct uds_crash_log *log = make_log(), *after;
	bool seen_torn[2] = { false, false }, seen[64] = { false };
	int different = 0;

	for (uint64_t seed = 0; seed < 200; seed++) {
		char first[6];
		int which;

		after = crash_after(log, 6, UDS_CRASH_TORN, seed);
		ck_assert(strcmp(sectors(after), "abccc") != 0);
		ck_assert_int_eq(sectors(after)[4], '.'); /* the last sector is never whole */
		seen_torn[sectors(after)[3] == 'd'] = true;
		uds_crash_log_free(after);

		after = crash_after(log, 6, UDS_CRASH_SECTORS, seed);
		memcpy(first, sectors(after), 6);
		uds_crash_log_free(after);
		after = crash_after(log, 6, UDS_CRASH_SECTORS, seed);
		ck_assert_str_eq(sectors(after), first);
		uds_crash_log_free(after);
		ck_assert_int_eq(first[0], 'a');
		ck_assert_int_eq(first[1], 'b');
		which = (first[2] == 'c') + 2 * (first[3] == 'c') + 4 * (first[3] == 'd') +
			8 * (first[4] == 'd');
		different += !seen[which];
		seen[which] = true;
	}
	ck_assert(seen_torn[0] && seen_torn[1]);
	ck_assert_int_eq(different, 2 * 3 * 2);
	uds_crash_log_free(log);
}
END_TEST

START_TEST(a_sweep_makes_every_cut_and_says_where_it_is)
{
	struct uds_crash_log *log = make_log(), *after;
	struct crash_cuts sweep;
	int at_last_cut = 0, points = 0;
	bool cuts[7] = { false };

	crash_start(&sweep, log, 77);
	while ((after = crash_next(&sweep)) != NULL) {
		ck_assert_uint_le(sweep.state.cut, 6);
		cuts[sweep.state.cut] = true;
		at_last_cut += sweep.state.cut == 6;
		points++;
		ck_assert_ptr_nonnull(strstr(sweep.state.text, "cut "));
		ck_assert_uint_eq(sweep.state.mark, sweep.state.cut >= 4 ? 2 : 0);
		uds_crash_log_free(after);
	}
	for (int i = 0; i <= 6; i++)
		ck_assert_int_eq(cuts[i], i != 3); /* the flush with its mark is one */
	ck_assert_int_eq(at_last_cut, 9);	   /* all but mixed: one device */
	/* 1 at the start and after the flush, 7 with one pending write, 9 with two. */
	ck_assert_int_eq(points, 1 + 7 + 9 + 1 + 7 + 9);
	uds_crash_log_free(log);
}
END_TEST

START_TEST(a_log_orders_two_devices_but_flushes_each)
{
	struct uds_crash_log *log = crash_log(), *after;
	struct uds_io *origin, *cow;
	int mixed = 0;

	crash_add(log, NULL, 512, 1);
	crash_add(log, NULL, 512, 1);
	origin = crash_open(log, 0);
	cow = crash_open(log, 1);
	ck_assert_int_eq(uds_io_write(origin, "o", 1, 0), 0);
	ck_assert_int_eq(uds_io_write(cow, "c", 1, 0), 0);
	ck_assert_int_eq(uds_io_flush(cow), 0);
	ck_assert_int_eq(uds_io_write(cow, "d", 1, 0), 0);

	after = crash_after(log, 4, UDS_CRASH_DROP, 0);
	ck_assert_int_eq(crash_bytes(after, 0)[0], 0);
	ck_assert_int_eq(crash_bytes(after, 1)[0], 'c');
	uds_crash_log_free(after);
	for (uint64_t seed = 0; seed < 100; seed++) {
		after = crash_after(log, 4, UDS_CRASH_MIXED, seed);
		mixed |= 1 << ((crash_bytes(after, 0)[0] == 'o') +
			       2 * (crash_bytes(after, 1)[0] == 'd'));
		uds_crash_log_free(after);
	}
	ck_assert_int_eq(mixed, 15);
	ck_assert_int_eq(uds_io_close(origin), 0);
	ck_assert_int_eq(uds_io_close(cow), 0);
	uds_crash_log_free(log);
}
END_TEST

START_TEST(a_cut_may_lose_a_resize_with_what_lies_behind)
{
	struct uds_crash_log *log = crash_log(), *after;
	struct uds_io *io;
	const uint8_t *bytes;
	uint64_t size;

	crash_add(log, NULL, 1024, 1);
	io = crash_open(log, 0);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 1024), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_resize(io, 2048), 0);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 1500), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	after = crash_after(log, 2, UDS_CRASH_ONLY_LAST, 0);
	ck_assert_int_eq(uds_crash_log_bytes(after, 0, NULL, &bytes, &size), 0);
	ck_assert_uint_eq(size, 1024);
	uds_crash_log_free(after);
	after = crash_after(log, 2, UDS_CRASH_KEEP, 0);
	ck_assert_int_eq(uds_crash_log_bytes(after, 0, NULL, &bytes, &size), 0);
	ck_assert_int_eq(bytes[1500], 'x');
	ck_assert_uint_eq(size, 2048);
	uds_crash_log_free(after);
	uds_crash_log_free(log);
}
END_TEST

/* ---- over another I/O ---- */

static struct uds_io *open_base(char byte)
{
	struct uds_io *base;
	char bytes[4096];

	memset(bytes, byte, sizeof(bytes));
	ck_assert_int_eq(uds_io_open_memory(sizeof(bytes), 512, NULL, NULL, &base), 0);
	ck_assert_int_eq(uds_io_write(base, bytes, sizeof(bytes), 0), 0);
	return base;
}

static int add_base(struct uds_crash_log *log, struct uds_io *base, uint32_t block_bytes)
{
	struct uds_crash_device device = UDS_CRASH_DEVICE_INIT;
	uint32_t number;

	device.base = base;
	device.block_bytes = block_bytes;
	return uds_crash_log_add(log, &device, NULL, &number);
}

START_TEST(a_device_over_an_io_passes_everything_on_and_replays_it)
{
	struct uds_crash_log *log = crash_log();
	struct uds_io *base = open_base('.'), *io, *second;
	char bytes[512], read[512];

	ck_assert_int_eq(add_base(log, base, 512), 0);
	io = crash_open(log, 0);
	ck_assert_uint_eq(uds_io_block_bytes(io), 512);
	memset(bytes, 'a', sizeof(bytes));
	ck_assert_int_eq(uds_io_write(io, bytes, 512, 512), 0);
	ck_assert_int_eq(uds_io_read(base, read, 512, 512), 0);
	ck_assert_mem_eq(read, bytes, 512);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(uds_io_write_zeroes(io, 1024, 512), 0);
	ck_assert_int_eq(uds_io_read(base, read, 512, 1024), 0);
	ck_assert_int_eq(read[9], 0);
	/* Reads come from below. */
	ck_assert_int_eq(uds_io_write(base, bytes, 512, 2048), 0);
	ck_assert_int_eq(uds_io_read(io, read, 512, 2048), 0);
	ck_assert_mem_eq(read, bytes, 512);
	check_after(log, 0, UDS_CRASH_KEEP, ".....");
	check_after(log, 2, UDS_CRASH_DROP, ".a...");
	ck_assert_int_eq(sectors(log)[2], '\0');
	second = crash_open(log, 0);
	ck_assert(uds_io_overlap(io, second));
	ck_assert_int_eq(uds_io_close(second), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_crash_log_free(log);
	ck_assert_int_eq(uds_io_close(base), 0);
}
END_TEST

/* What failed below may be on the device, and a flush that failed has made nothing durable. */
START_TEST(errors_from_below_are_handed_on_and_promise_nothing)
{
	struct uds_crash_log *log = crash_log();
	struct uds_io *below = open_base('.'), *base, *io;
	struct fault_plan plan;
	char bytes[512];

	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, below, NULL, &base), 0);
	ck_assert_int_eq(add_base(log, base, 512), 0);
	io = crash_open(log, 0);
	memset(bytes, 'a', sizeof(bytes));
	ck_assert_int_eq(uds_io_write(io, bytes, 512, 0), 0);
	fault_plan_fail(&plan, FAULT_FLUSH, 1, -EIO, false);
	ck_assert_int_eq(uds_io_flush(io), -EIO);
	ck_assert_uint_eq(uds_crash_log_events(log), 1);
	fault_plan_fail(&plan, FAULT_WRITE, 1, -ENOSPC, false);
	ck_assert_int_eq(uds_io_write(io, bytes, 512, 512), -ENOSPC);
	check_after(log, 2, UDS_CRASH_KEEP, "aa...");
	check_after(log, 2, UDS_CRASH_DROP, ".....");
	fault_plan_fail(&plan, FAULT_READ, 1, -EIO, false);
	ck_assert_int_eq(uds_io_read(io, bytes, 512, 0), -EIO);
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_crash_log_free(log);
	ck_assert_int_eq(uds_io_close(base), 0);
}
END_TEST

/* One write with UDS_IO_FUA of 512 bytes at 512. Returns its status. */
static int write_durably(struct uds_io *io, char letter)
{
	struct uds_io_request request = { .kind = UDS_IO_WRITE, .flags = UDS_IO_FUA, .io = io };
	struct uds_io_request *one = &request, *done;
	struct uds_io_engine *engine;
	char bytes[512];

	memset(bytes, letter, sizeof(bytes));
	request.buffer = bytes;
	request.length = sizeof(bytes);
	request.offset = 512;
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, &done, 1, 1, -1), 1);
	uds_io_engine_close(engine);
	return request.status;
}

START_TEST(a_durable_write_flushes_what_is_below_and_is_none_when_that_fails)
{
	struct uds_crash_log *log = crash_log();
	struct uds_io *below = open_base('.'), *base, *io;
	struct fault_plan plan;

	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, below, NULL, &base), 0);
	ck_assert_int_eq(add_base(log, base, 512), 0);
	io = crash_open(log, 0);
	fault_plan_fail(&plan, FAULT_FLUSH, 1, -EIO, false);
	ck_assert_int_eq(write_durably(io, 'a'), -EIO);
	ck_assert_uint_eq(uds_crash_log_events(log), 1);
	check_after(log, 1, UDS_CRASH_DROP, ".....");
	check_after(log, 1, UDS_CRASH_KEEP, ".a...");
	ck_assert_int_eq(write_durably(io, 'b'), 0);
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_FLUSH), 2);
	check_after(log, 3, UDS_CRASH_DROP, ".b...");
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_crash_log_free(log);
	ck_assert_int_eq(uds_io_close(base), 0);
}
END_TEST

START_TEST(sizes_and_places_are_those_of_the_io_below)
{
	struct uds_crash_log *log = crash_log();
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	const uint64_t before = 4096;
	struct uds_io *base, *io;
	char path[400], bytes[4096];
	uint64_t size;

	snprintf(path, sizeof(path), "%s/base", scratch_dir());
	options.write = options.create = true;
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, NULL, &base), 0);
	memset(bytes, '.', sizeof(bytes));
	ck_assert_int_eq(uds_io_resize(base, before), 0);
	ck_assert_int_eq(uds_io_write(base, bytes, before, 0), 0);
	ck_assert_int_eq(add_base(log, base, 512), 0);
	io = crash_open(log, 0);
	ck_assert(uds_io_overlap(io, base));
	ck_assert_int_eq(uds_io_write_zeroes(io, 0, 512), 0);
	ck_assert_int_eq(uds_io_resize(io, 2 * before), 0);
	ck_assert_int_eq(uds_io_size(base, &size), 0);
	ck_assert_uint_eq(size, 2 * before);
	ck_assert_int_eq(uds_io_write(io, bytes, 512, 2 * before), UDS_ERR_OUT_OF_RANGE);
	ck_assert_uint_eq(uds_crash_log_events(log), 2);
	/* A cut before all of it has the old size. */
	check_after(log, 0, UDS_CRASH_KEEP, ".....");
	/* Marks behind all events are those in front of the last. */
	crash_mark(log, 9);
	ck_assert_uint_eq(uds_crash_log_mark_at(log, 1000), 9);
	ck_assert_uint_eq(uds_crash_log_mark_at(log, 2), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_crash_log_free(log);
	ck_assert_int_eq(uds_io_close(base), 0);
	unlink(path);
	rmdir(scratch_dir());
}
END_TEST

/* ---- the other kinds ---- */

START_TEST(a_write_with_fua_is_durable_when_it_is_done)
{
	struct uds_crash_log *log = crash_log();
	struct uds_io_request request = { .kind = UDS_IO_WRITE, .flags = UDS_IO_FUA };
	struct uds_io_request *one = &request, *done;
	struct uds_io_engine *engine;
	char first[4096], bytes[512];

	memset(first, '.', sizeof(first));
	crash_add(log, first, sizeof(first), 512);
	request.io = crash_open(log, 0);
	request.buffer = bytes;
	request.length = sizeof(bytes);
	request.offset = 512;
	memset(bytes, 'a', sizeof(bytes));
	ck_assert_int_eq(uds_io_write(request.io, bytes, 512, 0), 0);
	memset(bytes, 'b', sizeof(bytes));
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, &done, 1, 1, -1), 1);
	ck_assert_int_eq(request.status, 0);
	uds_io_engine_close(engine);
	ck_assert_uint_eq(uds_crash_log_events(log), 3);
	check_after(log, 2, UDS_CRASH_DROP, "....."); /* on its way */
	check_after(log, 2, UDS_CRASH_ONLY_LAST, ".b...");
	check_after(log, 3, UDS_CRASH_DROP, ".b..."); /* and nothing else is */
	check_after(log, 3, UDS_CRASH_KEEP, "ab...");
	ck_assert_int_eq(uds_io_close(request.io), 0);
	uds_crash_log_free(log);
}
END_TEST

START_TEST(a_discarded_range_holds_garbage)
{
	struct uds_crash_log *log = make_log(), *after;
	struct uds_io *io = crash_open(log, 0);

	ck_assert_int_eq(uds_io_discard(io, 512, 512), 0);
	ck_assert_int_ne(sectors(log)[1], 'b');
	check_after(log, 7, UDS_CRASH_DROP, "abb..");
	after = crash_after(log, 7, UDS_CRASH_ONLY_LAST, 0);
	ck_assert_int_ne(sectors(after)[1], 'b');
	ck_assert_int_eq(sectors(after)[2], 'b');
	uds_crash_log_free(after);
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_crash_log_free(log);
}
END_TEST

/* Old, new, or neither; in no other sector. */
START_TEST(garbage_is_in_sectors_that_were_written_only)
{
	struct uds_crash_log *log = make_log();
	unsigned int kinds = 0;

	for (uint64_t seed = 0; seed < 100; seed++) {
		struct uds_crash_log *after = crash_after(log, 6, UDS_CRASH_GARBAGE, seed);
		const uint8_t *bytes = crash_bytes(after, 0);

		ck_assert(bytes[0] == 'a' && bytes[512] == 'b' && bytes[5 * 512] == '.');
		kinds |= bytes[4 * 512 + 1] == '.' ? 1 : bytes[4 * 512 + 1] == 'd' ? 2 : 4;
		uds_crash_log_free(after);
	}
	ck_assert_uint_eq(kinds, 7);
	uds_crash_log_free(log);
}
END_TEST

/*
 * Each write has a fate of its own, and of two to the same place the earlier one may
 * have come last.
 */
START_TEST(writes_come_in_any_order_and_each_in_part)
{
	struct uds_crash_log *log = make_log(), *after;
	bool c_over_d = false, both = false, neither = false, torn = false, garbage = false;

	for (uint64_t seed = 0; seed < 300; seed++) {
		const char *text;

		after = crash_after(log, 6, UDS_CRASH_ANY, seed);
		text = sectors(after);
		ck_assert(text[0] == 'a' && text[1] == 'b');
		ck_assert_ptr_nonnull(strchr("bc", text[2])); /* b over all of the old one */
		ck_assert_ptr_nonnull(strchr(".cd", text[3]));
		ck_assert_ptr_nonnull(strchr(".d", text[4]));
		c_over_d |= strcmp(text, "abccd") == 0;
		both |= strcmp(text, "abcdd") == 0;
		neither |= strcmp(text, "abb..") == 0;
		torn |= strcmp(text, "abbd.") == 0;
		uds_crash_log_free(after);
		after = crash_after(log, 6, UDS_CRASH_ANY_GARBAGE, seed);
		garbage |= strchr(".d", sectors(after)[4]) == NULL;
		ck_assert_int_eq(sectors(after)[1], 'b');
		uds_crash_log_free(after);
	}
	ck_assert(c_over_d && both && neither && torn && garbage);
	uds_crash_log_free(log);
}
END_TEST

/* A write that is durable is not covered by one before it, and covers none after it. */
START_TEST(no_order_goes_past_a_durable_write)
{
	struct uds_crash_log *log = crash_log(), *after;
	struct uds_io_request request = { .kind = UDS_IO_WRITE, .flags = UDS_IO_FUA };
	struct uds_io_request *one = &request, *done;
	struct uds_io_engine *engine;
	char bytes[3][512];
	unsigned int seen = 0;

	crash_add(log, NULL, 4096, 512);
	request.io = crash_open(log, 0);
	for (int i = 0; i < 3; i++)
		memset(bytes[i], 'a' + i, sizeof(bytes[i]));
	ck_assert_int_eq(uds_io_write(request.io, bytes[0], 512, 0), 0);
	request.buffer = bytes[1];
	request.length = 512;
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, &done, 1, 1, -1), 1);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_write(request.io, bytes[2], 512, 0), 0);
	for (uint64_t seed = 0; seed < 100; seed++) {
		after = crash_after(log, uds_crash_log_events(log), UDS_CRASH_ANY, seed);
		ck_assert_ptr_nonnull(strchr("bc", crash_bytes(after, 0)[0]));
		seen |= crash_bytes(after, 0)[0] == 'b' ? 1 : 2;
		uds_crash_log_free(after);
	}
	ck_assert_uint_eq(seen, 3);
	ck_assert_int_eq(uds_io_close(request.io), 0);
	uds_crash_log_free(log);
}
END_TEST

/* States share what they have in common: what is written to one is seen in no other. */
START_TEST(what_is_written_to_a_state_is_in_that_one_alone)
{
	struct uds_crash_log *log = make_log(), *after[2];
	struct uds_io *io;
	const uint8_t *now;
	uint64_t size;
	char bytes[512];

	for (int i = 0; i < 2; i++)
		after[i] = crash_after(log, 2, UDS_CRASH_KEEP, 0);
	io = crash_open(after[0], 0);
	memset(bytes, 'x', sizeof(bytes));
	ck_assert_int_eq(uds_io_write(io, bytes, 512, 0), 0);
	ck_assert_str_eq(sectors(after[0]), "xbb..");
	ck_assert_int_eq(uds_io_resize(io, 1024), 0);
	ck_assert_int_eq(uds_io_resize(io, 8192), 0);
	ck_assert_int_eq(uds_crash_log_bytes(after[0], 0, NULL, &now, &size), 0);
	ck_assert_int_eq(now[1023], 'b');
	ck_assert_int_eq(crash_bytes(after[0], 0)[1024], 0);
	ck_assert_int_eq(crash_bytes(after[0], 0)[8191], 0);
	ck_assert_uint_eq(size, 8192);
	ck_assert_str_eq(sectors(after[1]), "abb..");
	ck_assert_str_eq(sectors(log), "abcdd");
	ck_assert_int_eq(uds_io_close(io), 0);
	for (int i = 0; i < 2; i++)
		uds_crash_log_free(after[i]);
	uds_crash_log_free(log);
}
END_TEST

START_TEST(a_write_is_torn_between_blocks)
{
	struct uds_crash_log *log = crash_log(), *after;
	struct uds_io *io;
	char bytes[8192];
	unsigned int kept = 0;

	crash_add(log, NULL, 16384, 512);
	io = crash_open(log, 0);
	memset(bytes, 'x', sizeof(bytes));
	ck_assert_int_eq(uds_io_write(io, bytes, sizeof(bytes), 2048), 0);
	for (uint64_t seed = 0; seed < 50; seed++) {
		const uint8_t *there;

		after = crash_after(log, 1, UDS_CRASH_TORN_BLOCKS, seed);
		there = crash_bytes(after, 0);
		ck_assert_int_eq(there[2048], there[4095]);
		ck_assert_int_eq(there[4096], there[8191]);
		ck_assert_int_eq(there[8192], 0);
		kept |= there[4096] != 0 ? 4 : there[2048] != 0 ? 2 : 1;
		uds_crash_log_free(after);
	}
	ck_assert_uint_eq(kept, 7);
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_crash_log_free(log);
}
END_TEST

/* Cut, go on, and cut again, three times over. */
START_TEST(what_a_cut_left_is_cut_again)
{
	struct uds_crash_log *log = make_log();
	char bytes[512];

	for (int i = 0; i < 3; i++) {
		struct uds_crash_log *after =
			crash_after(log, uds_crash_log_events(log), UDS_CRASH_DROP, 0);
		struct uds_io *io = crash_open(after, 0);

		ck_assert_uint_eq(uds_crash_log_events(after), 0);
		memset(bytes, 'e' + i, sizeof(bytes));
		ck_assert_int_eq(uds_io_write(io, bytes, 512, (uint64_t)i * 512), 0);
		ck_assert_int_eq(uds_io_flush(io), 0);
		ck_assert_int_eq(uds_io_write(io, bytes, 512, 2048), 0);
		ck_assert_int_eq(uds_io_close(io), 0);
		uds_crash_log_free(log);
		log = after;
	}
	ck_assert_str_eq(sectors(log), "efg.g");
	check_after(log, 2, UDS_CRASH_DROP, "efg..");
	uds_crash_log_free(log);
}
END_TEST

START_TEST(a_sweep_makes_the_variants_that_are_asked_for)
{
	struct uds_crash_log *log = make_log(), *after;
	struct crash_cuts cuts;
	unsigned int count = 0;

	crash_start(&cuts, log, 5);
	cuts.options.variants = 1u << UDS_CRASH_GARBAGE | 1u << UDS_CRASH_DROP;
	cuts.options.rounds = 3;
	cuts.options.first = 5;
	while ((after = crash_next(&cuts)) != NULL) {
		struct uds_crash_log *again =
			crash_after(log, cuts.state.cut, cuts.state.variant, cuts.state.seed);

		/* A state can be had again from what it says. */
		ck_assert_mem_eq(crash_bytes(again, 0), crash_bytes(after, 0), 4096);
		uds_crash_log_free(again);
		uds_crash_log_free(after);
		count++;
	}
	ck_assert_uint_eq(count, 2 * (1 + 3));
	uds_crash_log_free(log);
}
END_TEST

/* ---- failures ---- */

START_TEST(what_cannot_be_done_is_refused)
{
	struct uds_crash_sweep_options options = UDS_CRASH_SWEEP_OPTIONS_INIT;
	struct uds_crash_device device = UDS_CRASH_DEVICE_INIT;
	struct uds_crash_log *log = crash_log(), *after;
	struct uds_io *base = open_base('.'), *io;
	struct uds_crash_sweep *sweep;
	struct uds_message message;
	const uint8_t *bytes;
	uint32_t number;

	ck_assert_int_eq(add_base(log, base, 1), -EINVAL);
	device.block_bytes = 3;
	ck_assert_int_eq(uds_crash_log_add(log, &device, &message, &number), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "blocks of 3 bytes"));
	for (int i = 0; i < UDS_CRASH_DEVICES; i++)
		crash_add(log, NULL, 512, 512);
	device.block_bytes = 1;
	ck_assert_int_eq(uds_crash_log_add(log, &device, &message, &number), -ENOSPC);
	ck_assert_int_eq(uds_crash_log_open(log, UDS_CRASH_DEVICES, &message, &io), -EINVAL);
	ck_assert_int_eq(uds_crash_log_open(log, UINT32_MAX, &message, &io), -EINVAL);
	ck_assert_int_eq(uds_crash_log_bytes(log, UDS_CRASH_DEVICES, &message, &bytes, NULL),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "device 16"));
	crash_mark(log, 1);
	ck_assert_int_eq(uds_crash_log_add(log, &device, &message, &number), -EBUSY);
	ck_assert_int_eq(uds_crash_log_after(log, 2, UDS_CRASH_KEEP, 0, &message, &after), -EINVAL);
	ck_assert_int_eq(
		uds_crash_log_after(log, 1, UDS_CRASH_ANY_GARBAGE + 1, 0, &message, &after),
		-EINVAL);
	options.step = 0;
	ck_assert_int_eq(uds_crash_sweep_make(log, &options, &message, &sweep), -EINVAL);
	options.step = 1;
	options.rounds = 0;
	ck_assert_int_eq(uds_crash_sweep_make(log, &options, &message, &sweep), -EINVAL);
	options.rounds = 1;
	options.variants = 1u << (UDS_CRASH_ANY_GARBAGE + 1);
	ck_assert_int_eq(uds_crash_sweep_make(log, &options, &message, &sweep), -EINVAL);
	uds_crash_log_free(log);
	uds_crash_log_free(NULL);
	uds_crash_sweep_free(NULL);
	ck_assert_int_eq(uds_io_close(base), 0);
}
END_TEST

static int record_and_sweep(struct uds_crash_log *log, struct uds_io *io)
{
	struct uds_crash_state state = UDS_CRASH_STATE_INIT;
	struct uds_crash_sweep *sweep = NULL;
	struct uds_crash_log *after;
	uint64_t size, events;
	char bytes[512] = "x";
	int r;

	r = uds_io_write(io, bytes, 512, 512);
	if (r == 0)
		r = uds_crash_log_mark(log, 1, NULL);
	events = uds_crash_log_events(log);
	if (r == 0)
		r = uds_io_resize(io, 8192);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, uds_crash_log_events(log) > events ? 8192 : 4096);
	if (r == 0)
		r = uds_io_discard(io, 0, 512);
	/* The memory that is below has no such thing. */
	if (r == 0 || r == -EOPNOTSUPP)
		r = uds_io_flush(io);
	if (r == 0)
		r = uds_crash_sweep_make(log, NULL, NULL, &sweep);
	while (r == 0) {
		r = uds_crash_sweep_next(sweep, &state, NULL, &after);
		if (r <= 0)
			break;
		uds_crash_log_free(after);
		r = 0;
	}
	uds_crash_sweep_free(sweep);
	return r;
}

static int live_through_it(const struct uds_env *env, void *context)
{
	struct uds_crash_device device = UDS_CRASH_DEVICE_INIT;
	struct uds_crash_log *log = NULL;
	struct uds_io *io = NULL;
	struct uds_message message = { "" };
	const uint8_t *bytes;
	uint32_t number;
	int r;

	if (context != NULL)
		device.base = open_base('.');
	device.block_bytes = 512;
	device.size_bytes = 4096;
	r = uds_crash_log_make(env, &message, &log);
	if (r == 0)
		r = uds_crash_log_add(log, &device, &message, &number);
	if (r == 0)
		r = uds_crash_log_mark(log, 7, &message);
	if (r == 0)
		r = uds_crash_log_bytes(log, number, &message, &bytes, NULL);
	/* Each of these has its sentence. */
	ck_assert((r == 0) == (message.text[0] == '\0'));
	if (r == 0)
		r = uds_crash_log_open(log, number, NULL, &io);
	if (r == 0)
		r = record_and_sweep(log, io);
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_crash_log_free(log);
	ck_assert_int_eq(uds_io_close(device.base), 0);
	return r;
}

/* @_i: 1: over an I/O. */
START_TEST(each_allocation_may_fail)
{
	bool over_an_io = true;

	ck_assert_uint_ge(
		torture_each_allocation(live_through_it, _i == 0 ? NULL : &over_an_io, false), 30);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crash simulator");
	TCase *tc = tcase_create("crash simulator");

	tcase_add_test(tc, a_cut_keeps_what_was_flushed_and_drops_what_was_not);
	tcase_add_test(tc, a_cut_tears_and_mixes_at_sectors_and_repeats_itself);
	tcase_add_test(tc, a_sweep_makes_every_cut_and_says_where_it_is);
	tcase_add_test(tc, a_log_orders_two_devices_but_flushes_each);
	tcase_add_test(tc, a_cut_may_lose_a_resize_with_what_lies_behind);
	tcase_add_test(tc, a_device_over_an_io_passes_everything_on_and_replays_it);
	tcase_add_test(tc, errors_from_below_are_handed_on_and_promise_nothing);
	tcase_add_test(tc, a_durable_write_flushes_what_is_below_and_is_none_when_that_fails);
	tcase_add_test(tc, sizes_and_places_are_those_of_the_io_below);
	tcase_add_test(tc, a_write_with_fua_is_durable_when_it_is_done);
	tcase_add_test(tc, a_discarded_range_holds_garbage);
	tcase_add_test(tc, garbage_is_in_sectors_that_were_written_only);
	tcase_add_test(tc, writes_come_in_any_order_and_each_in_part);
	tcase_add_test(tc, no_order_goes_past_a_durable_write);
	tcase_add_test(tc, what_is_written_to_a_state_is_in_that_one_alone);
	tcase_add_test(tc, a_write_is_torn_between_blocks);
	tcase_add_test(tc, what_a_cut_left_is_cut_again);
	tcase_add_test(tc, a_sweep_makes_the_variants_that_are_asked_for);
	tcase_add_test(tc, what_cannot_be_done_is_refused);
	tcase_add_loop_test(tc, each_allocation_may_fail, 0, 2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
