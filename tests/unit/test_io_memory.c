/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory backend: sizes far beyond the memory there is, what is allocated when, giving back,
 * many threads, and a comparison with an array.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <uds/io.h>

#include "check_main.h"
#include "torture_env.h"

#define CHUNK 32768
#define LEAF  (UINT64_C(1024) * CHUNK)

static struct torture_env torture;

static struct uds_io *open_counted(uint64_t bytes)
{
	struct uds_io *io = NULL;

	torture_env_start(&torture);
	ck_assert_int_eq(uds_io_open_memory(bytes, 1, &torture.env, NULL, &io), 0);
	return io;
}

static void close_counted(struct uds_io *io)
{
	ck_assert_int_eq(uds_io_close(io), 0);
	torture_env_end(&torture);
}

static void check_bytes(struct uds_io *io, uint64_t offset, const void *bytes, size_t length)
{
	char *read = malloc(length);

	ck_assert_ptr_nonnull(read);
	memset(read, 0x5a, length);
	ck_assert_int_eq(uds_io_read(io, read, length, offset), 0);
	ck_assert_mem_eq(read, bytes, length);
	free(read);
}

START_TEST(the_largest_size_costs_little_and_is_all_usable)
{
	static const uint64_t places[] = { 0,	     CHUNK - 3,
					   LEAF - 3, 7 * LEAF + 5 * CHUNK - 3,
					   1 << 20,  UDS_IO_MEMORY_BYTES_MAX - 6 };
	struct uds_io *io = open_counted(UDS_IO_MEMORY_BYTES_MAX);
	char zeros[6] = { 0 };
	uint64_t size;

	ck_assert_uint_lt(torture.bytes, 8 << 20);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, UDS_IO_MEMORY_BYTES_MAX);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		check_bytes(io, places[i], zeros, 6);
		ck_assert_int_eq(uds_io_write(io, "abcdef", 6, places[i]), 0);
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		check_bytes(io, places[i], "abcdef", 6);
	ck_assert_uint_lt(torture.bytes, 10 << 20);
	ck_assert_int_eq(uds_io_write(io, "abcdef", 6, UDS_IO_MEMORY_BYTES_MAX - 5),
			 UDS_ERR_OUT_OF_RANGE);
	close_counted(io);
}
END_TEST

START_TEST(sizes_beyond_the_largest_are_refused_before_anything_is_allocated)
{
	static const uint64_t sizes[] = { UDS_IO_MEMORY_BYTES_MAX + 1, UINT64_C(1) << 63,
					  UINT64_MAX - 1, UINT64_MAX };
	struct uds_io *io = open_counted(100);
	uint64_t size;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct uds_io *other = (struct uds_io *)1;

		torture.peak = torture.bytes;
		ck_assert_int_eq(uds_io_open_memory(sizes[i], 1, &torture.env, NULL, &other),
				 -EFBIG);
		ck_assert_ptr_eq(other, (struct uds_io *)1);
		ck_assert_int_eq(uds_io_resize(io, sizes[i]), -EFBIG);
		ck_assert_uint_lt(torture.peak, torture.bytes + 4096);
	}
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 100);
	close_counted(io);
}
END_TEST

START_TEST(reading_and_writing_zeros_allocates_nothing)
{
	struct uds_io *io = open_counted(UINT64_C(1) << 40);
	char *zeros = calloc(1, 4 * CHUNK);
	uint64_t before = torture.bytes;

	ck_assert_ptr_nonnull(zeros);
	for (uint64_t offset = 0; offset < 40 * LEAF; offset += LEAF / 2 + 77) {
		check_bytes(io, offset, zeros, 4 * CHUNK);
		ck_assert_int_eq(uds_io_write(io, zeros, 4 * CHUNK, offset), 0);
		ck_assert_int_eq(uds_io_write(io, zeros, 1, offset), 0);
	}
	ck_assert_uint_eq(torture.bytes, before);
	/* Over what is there zeros count. */
	ck_assert_int_eq(uds_io_write(io, "abc", 3, CHUNK - 1), 0);
	ck_assert_int_eq(uds_io_write(io, zeros, 2 * CHUNK, 0), 0);
	check_bytes(io, 0, zeros, 2 * CHUNK);
	free(zeros);
	close_counted(io);
}
END_TEST

START_TEST(what_was_cut_off_is_given_back_and_reads_as_zeros_later)
{
	static const uint64_t cuts[] = { 0,	   1,	 CHUNK - 1, CHUNK,    CHUNK + 1,
					 LEAF - 1, LEAF, LEAF + 1,  2 * LEAF, 2 * LEAF + CHUNK };
	char full[4 * CHUNK], zeros[4 * CHUNK] = { 0 };

	memset(full, 'x', sizeof(full));
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct uds_io *io = open_counted(3 * LEAF);
		uint64_t most;

		for (uint64_t at = 0; at + 4 * CHUNK <= 3 * LEAF; at += LEAF / 16)
			ck_assert_int_eq(uds_io_write(io, full, 4 * CHUNK, at), 0);
		ck_assert_int_eq(uds_io_write(io, full, 4 * CHUNK, 3 * LEAF - 4 * CHUNK), 0);
		most = torture.bytes;
		ck_assert_int_eq(uds_io_resize(io, cuts[i]), 0);
		ck_assert_uint_lt(torture.bytes, most / 3 * (cuts[i] / LEAF + 1) + CHUNK);
		ck_assert_int_eq(uds_io_resize(io, 3 * LEAF), 0);
		if (cuts[i] > 0)
			check_bytes(io, 0, full, cuts[i] < 4 * CHUNK ? (size_t)cuts[i] : 4 * CHUNK);
		check_bytes(io, cuts[i], zeros, 4 * CHUNK);
		check_bytes(io, 3 * LEAF - 4 * CHUNK, zeros, 4 * CHUNK);
		close_counted(io);
	}
}
END_TEST

/* Over chunks and leaves, with resizes that make the table larger. */
static int use_memory(const struct uds_env *env, void *context)
{
	char *bytes = context;
	struct uds_io *io;
	int r;

	r = uds_io_open_memory(1000, 1, env, NULL, &io);
	if (r < 0)
		return r;
	r = uds_io_write(io, bytes, 1000, 0);
	if (r == 0)
		r = uds_io_resize(io, 3 * LEAF);
	if (r == 0)
		r = uds_io_write(io, bytes, 3 * CHUNK, LEAF - CHUNK - 5);
	if (r == 0)
		r = uds_io_resize(io, LEAF);
	uds_io_close(io);
	return r;
}

START_TEST(no_allocation_that_fails_leaks_or_misleads)
{
	char *bytes = malloc(3 * CHUNK);

	ck_assert_ptr_nonnull(bytes);
	memset(bytes, 1, 3 * CHUNK);
	ck_assert_uint_ge(torture_each_allocation(use_memory, bytes, false), 9);
	free(bytes);
}
END_TEST

START_TEST(a_write_without_memory_fails_and_leaves_what_was_there)
{
	struct uds_io *io = open_counted(LEAF);
	char bytes[2 * CHUNK];

	memset(bytes, 7, sizeof(bytes));
	ck_assert_int_eq(uds_io_write(io, "kept", 4, 0), 0);
	torture_env_fail_at(&torture, 1, true);
	ck_assert_int_eq(uds_io_write(io, bytes, sizeof(bytes), CHUNK), -ENOMEM);
	ck_assert_int_eq(uds_io_write(io, "here", 4, 4), 0); /* its chunk is there */
	torture_env_fail_at(&torture, 0, false);
	check_bytes(io, 0, "kepthere", 8);
	ck_assert_int_eq(uds_io_write(io, bytes, sizeof(bytes), CHUNK), 0);
	check_bytes(io, CHUNK, bytes, sizeof(bytes));
	close_counted(io);
}
END_TEST

#define MODEL_BYTES (3 * CHUNK + 777)

START_TEST(every_operation_does_what_an_array_does)
{
	static uint8_t model[MODEL_BYTES], bytes[MODEL_BYTES];
	struct uds_io *io = open_counted(MODEL_BYTES);
	size_t size = MODEL_BYTES;

	srand(11);
	for (int i = 0; i < 20000; i++) {
		size_t offset = (size_t)rand() % (size + 1);
		size_t length = (size_t)rand() % (i % 4 == 0 ? MODEL_BYTES : 600);

		if (length > size - offset)
			length = size - offset;
		if (i % 50 == 0) {
			size_t fresh = (size_t)rand() % MODEL_BYTES;

			ck_assert_int_eq(uds_io_resize(io, fresh), 0);
			if (fresh < size)
				memset(model + fresh, 0, size - fresh);
			size = fresh;
		} else if (i % 3 == 0) {
			ck_assert_int_eq(uds_io_read(io, bytes, length, offset), 0);
			ck_assert_int_eq(memcmp(bytes, model + offset, length), 0);
		} else {
			memset(model + offset, i % 5 == 0 ? 0 : i, length);
			ck_assert_int_eq(uds_io_write(io, model + offset, length, offset), 0);
		}
	}
	close_counted(io);
}
END_TEST

#define THREADS 4

static struct uds_io *shared;

/* Every fourth 64 bytes are this thread's; all threads meet in every chunk. */
static void *write_own(void *number)
{
	uint8_t bytes[64];

	for (uint64_t offset = (uint64_t)(uintptr_t)number * 64; offset < 40 * CHUNK;
	     offset += THREADS * 64) {
		memset(bytes, (int)(offset / 64 % 251 + 1), 64);
		if (uds_io_write(shared, bytes, 64, offset) != 0)
			return "write";
	}
	return NULL;
}

START_TEST(threads_that_meet_in_a_chunk_lose_nothing)
{
	pthread_t threads[THREADS];
	uint8_t bytes[64];

	ck_assert_int_eq(uds_io_open_memory(40 * CHUNK, 1, NULL, NULL, &shared), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_own, (void *)i), 0);
	for (int i = 0; i < THREADS; i++) {
		void *wrong;

		ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
		ck_assert_ptr_null(wrong);
	}
	for (uint64_t offset = 0; offset < 40 * CHUNK; offset += 64) {
		memset(bytes, (int)(offset / 64 % 251 + 1), 64);
		check_bytes(shared, offset, bytes, 64);
	}
	ck_assert_int_eq(uds_io_close(shared), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_memory");
	TCase *tc = tcase_create("memory");

	tcase_add_test(tc, the_largest_size_costs_little_and_is_all_usable);
	tcase_add_test(tc, sizes_beyond_the_largest_are_refused_before_anything_is_allocated);
	tcase_add_test(tc, reading_and_writing_zeros_allocates_nothing);
	tcase_add_test(tc, what_was_cut_off_is_given_back_and_reads_as_zeros_later);
	tcase_add_test(tc, no_allocation_that_fails_leaks_or_misleads);
	tcase_add_test(tc, a_write_without_memory_fails_and_leaves_what_was_there);
	tcase_add_test(tc, every_operation_does_what_an_array_does);
	tcase_add_test(tc, threads_that_meet_in_a_chunk_lose_nothing);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
