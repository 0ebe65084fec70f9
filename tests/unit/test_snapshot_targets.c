/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guard before data goes to the COW device: by itself, and behind an allocation that has gone
 * wrong, which is made here by changing the store's memory.
 */
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "check_main.h"
#include "exceptions/store_private.h"
#include "snap_image.h"
#include "snapshot/device.h"

#define CHUNK  512u
#define CHUNKS 120u

struct fixture {
	struct uds_io *origin;
	struct uds_io *cow;
	struct uds_snapshot *s;
};

static void setup(struct fixture *f, bool transient)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;

	create.chunk_bytes = CHUNK;
	options.transient_chunk_bytes = transient ? CHUNK : 0;
	ck_assert_int_eq(uds_io_open_memory(CHUNKS * CHUNK, 1, NULL, NULL, &f->origin), 0);
	ck_assert_int_eq(uds_io_open_memory(CHUNKS * CHUNK + 100, 1, NULL, NULL, &f->cow), 0);
	if (!transient)
		ck_assert_int_eq(uds_exception_store_format(f->cow, &create, NULL), 0);
	ck_assert_int_eq(uds_snapshot_open(f->origin, f->cow, &options, NULL, &f->s), 0);
}

static void teardown(struct fixture *f)
{
	uds_snapshot_close(f->s);
	uds_io_close(f->origin);
	uds_io_close(f->cow);
}

START_TEST(the_guard_lets_only_data_chunks_through)
{
	bool transient = _i == 1;
	struct fixture f;

	setup(&f, transient);
	for (uint64_t first = 0; first < CHUNKS + 40; first++) {
		for (uint64_t count = 1; count < 80; count++) {
			struct uds_message message = { "" };
			bool right = first + count <= CHUNKS;
			int r = device_check_target(f.s, first, count, &message);

			for (uint64_t c = first; c < first + count && !transient; c++)
				right = right && c != 0 && c % (CHUNK / 16 + 1) != 1;
			ck_assert_msg(r == (right ? 0 : UDS_ERR_CORRUPT), "%d chunks from %d: %d",
				      (int)count, (int)first, r);
			ck_assert((r == 0) == (message.text[0] == '\0'));
		}
	}
	ck_assert_int_eq(device_check_target(f.s, UINT64_MAX, 1, NULL), UDS_ERR_CORRUPT);
	ck_assert_int_eq(device_check_target(f.s, 2, UINT64_MAX, NULL), UDS_ERR_CORRUPT);
	teardown(&f);
}
END_TEST

/* Where an allocation that has gone wrong could point. */
static const uint64_t wrong[] = { 0, 1, 34 };

/* Everything on both devices is as before but for data chunks that no exception names. */
static void check_untouched(struct fixture *f, const struct image *cow, const struct image *origin)
{
	struct image now = io_image(f->cow), then = io_image(f->origin);

	for (uint64_t c = 0; c < CHUNKS; c++) {
		if (c == 0 || c % (CHUNK / 16 + 1) == 1)
			ck_assert_mem_eq(now.bytes + c * CHUNK, cow->bytes + c * CHUNK, CHUNK);
	}
	ck_assert_mem_eq(now.bytes + CHUNKS * CHUNK, cow->bytes + CHUNKS * CHUNK, 100);
	check_same(&then, origin, "the origin");
	image_free(&now);
	image_free(&then);
}

START_TEST(a_wrong_allocation_is_refused_at_the_last_moment)
{
	struct image cow, origin;
	static uint8_t data[3 * CHUNK];
	struct fixture f;

	setup(&f, false);
	memset(data, 'x', sizeof(data));
	cow = io_image(f.cow);
	origin = io_image(f.origin);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		for (int way = 0; way < 4; way++) {
			bool one = way % 2 == 0;
			size_t length = one ? CHUNK - 100 : sizeof(data);
			int r;

			uds_snapshot_store(f.s)->next_free = wrong[i];
			if (way < 2)
				r = uds_snapshot_write(f.s, data, length, 5 * CHUNK + 50);
			else
				r = uds_snapshot_origin_write(f.s, data, length, 5 * CHUNK);
			ck_assert_int_eq(r, UDS_ERR_CORRUPT);
			check_untouched(&f, &cow, &origin);
		}
	}
	image_free(&cow);
	image_free(&origin);
	teardown(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot targets");
	TCase *tc = tcase_create("targets");

	tcase_add_loop_test(tc, the_guard_lets_only_data_chunks_through, 0, 2);
	tcase_add_test(tc, a_wrong_allocation_is_refused_at_the_last_moment);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
