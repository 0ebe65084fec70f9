/* SPDX-License-Identifier: BSD-2-Clause */
/* The base layer: bytes, bit fields, hashing, environments, messages, status texts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <uds/old_names.h>
#include <uds/status.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/crc32.h"
#include "base/env.h"
#include "base/message.h"
#include "base/murmur3.h"
#include "base/sort.h"
#include "check_main.h"

START_TEST(numbers_keep_their_byte_order)
{
	uint8_t b[8];

	put_le64(b, UINT64_C(0x0102030405060708));
	ck_assert_int_eq(b[0], 8);
	ck_assert_uint_eq(get_le64(b), UINT64_C(0x0102030405060708));
	ck_assert_uint_eq(get_be64(b), UINT64_C(0x0807060504030201));
	ck_assert_uint_eq(get_le16(b), 0x0708);
	ck_assert_uint_eq(get_be16(b), 0x0807);
}
END_TEST

START_TEST(bit_fields_leave_their_neighbours_alone)
{
	for (unsigned int at = 0; at < 24; at++) {
		for (unsigned int width = 0; width <= 32; width++) {
			uint8_t b[8];
			uint32_t mask = (uint32_t)((UINT64_C(1) << width) - 1);

			memset(b, 0xff, sizeof(b));
			put_bits(b, at, width, 0);
			ck_assert_uint_eq(get_bits(b, at, width), 0);
			if (at > 0)
				ck_assert_uint_eq(get_bits(b, at - 1, 1), 1);
			ck_assert_uint_eq(get_bits(b, at + width, 1), 1);
			put_bits(b, at, width, 0xa5c3f197 & mask);
			ck_assert_uint_eq(get_bits(b, at, width), 0xa5c3f197 & mask);
		}
	}
}
END_TEST

START_TEST(bits_per_counts_binary_digits)
{
	ck_assert_uint_eq(bits_per(0), 1);
	ck_assert_uint_eq(bits_per(1), 1);
	ck_assert_uint_eq(bits_per(2), 2);
	ck_assert_uint_eq(bits_per(4), 3);
	ck_assert_uint_eq(bits_per(UINT64_MAX), 64);
}
END_TEST

START_TEST(murmur3_gives_the_recorded_hashes)
{
	uint8_t input[4160], hash[16];
	char path[512], line[256];
	const char *dir = vectors_dir();
	int rows = 0;
	FILE *f;

	if (dir == NULL)
		skip_test("murmur3_gives_the_recorded_hashes: no vectors");
	snprintf(path, sizeof(path), "%s/uds/unit/murmur3.csv", dir);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	for (unsigned int i = 0; i < sizeof(input) / 8; i++) {
		uint64_t z = UINT64_C(0x5eed0001) + 40 + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		put_le64(input + 8 * i, z ^ z >> 31);
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned int length, seed;
		char expected[64], got[64];

		if (sscanf(line, "%u,%x,%63[0-9a-f]", &length, &seed, expected) != 3)
			continue;
		ck_assert_uint_le(length, sizeof(input));
		murmur3_128(input, length, seed, hash);
		for (int i = 0; i < 16; i++)
			sprintf(got + 2 * i, "%02x", hash[i]);
		ck_assert_str_eq(got, expected);
		rows++;
	}
	fclose(f);
	ck_assert_int_gt(rows, 0);
}
END_TEST

/* Every length up to some 64-byte rounds and what is left over, at every alignment. */
START_TEST(crc32_is_that_of_zlib_at_every_length_and_alignment)
{
	uint8_t bytes[4096 + 64];
	uint32_t state = 1;

	ck_assert_uint_eq(crc32_add(0, (const uint8_t *)"123456789", 9), 0xcbf43926);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)((state = state * 1103515245 + 12345) >> 16);
	for (size_t at = 0; at < 64; at++)
		for (size_t length = 0; length <= 4096; length += length < 400 ? 1 : 77) {
			uint32_t begun = (uint32_t)(at + length) * 0x9e3779b9;

			ck_assert_uint_eq(crc32_add(begun, bytes + at, length),
					  crc32_z(begun, bytes + at, length));
		}
	ck_assert_uint_eq(crc32_add(0, bytes + 3, 4096), crc32_z(0, bytes + 3, 4096));
}
END_TEST

START_TEST(half_an_allocator_is_refused)
{
	struct uds_env given = UDS_ENV_INIT;
	struct uds_env env;

	given.release = (void (*)(void *, void *))1;
	ck_assert_int_eq(env_complete(&given, &env), -EINVAL);
	ck_assert_int_eq(env_complete(NULL, &env), 0);
	ck_assert_ptr_null(env_allocate(&env, SIZE_MAX, 2));
	/* Where sizes have 32 bits, none of these may wrap to one byte. */
	if (SIZE_MAX == UINT32_MAX) {
		ck_assert_ptr_null(env_allocate(&env, (UINT64_C(1) << 32) + 1, 1));
		ck_assert_ptr_null(env_allocate_zeroed(&env, (UINT64_C(1) << 30) + 1, 4));
		ck_assert_ptr_null(env_allocate_aligned(&env, (UINT64_C(1) << 32) + 1, 64));
	}
}
END_TEST

START_TEST(messages_gain_their_place_from_outside)
{
	struct uds_message message;

	ck_assert_int_eq(failure(&message, UDS_ERR_CORRUPT, "page %d is short", 7),
			 UDS_ERR_CORRUPT);
	ck_assert_int_eq(failure_in(&message, UDS_ERR_CORRUPT, "%s", "a.uds"), UDS_ERR_CORRUPT);
	ck_assert_str_eq(message.text, "a.uds: page 7 is short");
	ck_assert_int_eq(failure(NULL, -EIO, "nobody reads this"), -EIO);
}
END_TEST

START_TEST(bytes_that_cannot_be_printed_are_shown_by_their_numbers)
{
	static const uint8_t bytes[] = { 'a', ' ', 0, '~', 0x7f, 0x1b, '\n', 0xff };
	char text[PRINTABLE_BYTES(sizeof(bytes))], full[PRINTABLE_BYTES(3)];

	ck_assert_ptr_eq(printable_bytes(bytes, sizeof(bytes), text), text);
	ck_assert_str_eq(text, "a \\x00~\\x7f\\x1b\\x0a\\xff");
	ck_assert_str_eq(printable_bytes(bytes, 0, text), "");
	ck_assert_str_eq(printable_bytes("\1\2\3", 3, full), "\\x01\\x02\\x03");
	ck_assert_uint_eq(strlen(full) + 1, sizeof(full));
}
END_TEST

START_TEST(every_status_has_a_text)
{
	for (int status = UDS_ERR_CORRUPT; status >= UDS_ERR_EXISTS; status--) {
		/* Three numbers are free: no call returned what they said. */
		bool is_free = status == UDS_ERR_NOT_SUPPORTED_YET ||
			       status == UDS_ERR_MERGE_FAILED || status == UDS_ERR_FAILED_BEFORE;

		ck_assert_int_eq(strcmp(uds_strerror(status), "unknown status") == 0, is_free);
	}
	ck_assert_str_eq(uds_strerror(UDS_ERR_EXISTS - 1), "unknown status");
	ck_assert_str_eq(uds_strerror(-ENOSPC), "No space left on device");
	ck_assert_str_eq(uds_strerror(0), "success");
	ck_assert_str_eq(uds_strerror(1), "no error");
}
END_TEST

static uint64_t comparisons;

/* By the first four bytes. */
static int compare_first(const void *a, const void *b)
{
	uint32_t x = get_le32(a), y = get_le32(b);

	comparisons++;
	return x < y ? -1 : x > y;
}

/* A value for element @i of @count, in one of several orders. */
static uint32_t value_in_order(unsigned int order, uint32_t i, uint32_t count)
{
	switch (order) {
	case 0:
		return i;
	case 1:
		return count - i;
	case 2:
		return 7;
	case 3:
		return i < count / 2 ? i : count - i;
	default:
		return i * UINT32_C(2654435761) >> 8;
	}
}

/* The bytes behind the value belong to it. */
static void check_sorted(uint32_t count, size_t bytes_each, unsigned int order)
{
	uint8_t *elements = malloc(count * bytes_each + 1);
	uint64_t sum = 0, sum_after = 0;

	ck_assert_ptr_nonnull(elements);
	elements[count * bytes_each] = 0xa5;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *element = elements + i * bytes_each;
		uint32_t value = value_in_order(order, i, count);

		memset(element, (int)(value % 251), bytes_each);
		put_le32(element, value);
		sum += (uint64_t)value * value;
	}
	comparisons = 0;
	sort_elements(elements, count, bytes_each, compare_first);
	ck_assert_uint_le(comparisons, 2 * (uint64_t)count * bits_per(count));
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *element = elements + i * bytes_each;
		uint32_t value = get_le32(element);

		sum_after += (uint64_t)value * value;
		ck_assert(i == 0 || get_le32(element - bytes_each) <= value);
		for (size_t k = 4; k < bytes_each; k++)
			ck_assert_uint_eq(element[k], value % 251);
	}
	ck_assert_uint_eq(sum_after, sum);
	ck_assert_uint_eq(elements[count * bytes_each], 0xa5);
	free(elements);
}

START_TEST(elements_of_any_size_and_order_are_sorted)
{
	static const size_t sizes[] = { 4, 8, 24, 64, 131 };

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (unsigned int order = 0; order < 5; order++) {
			for (uint32_t count = 0; count < 40; count++)
				check_sorted(count, sizes[s], order);
			check_sorted(3000, sizes[s], order);
		}
	}
}
END_TEST

/* Pages of the whole process, mapped. */
static unsigned long mapped_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%lu", &pages), 1);
	fclose(file);
	return pages;
}

static unsigned int allocated;

static void *count_allocation(void *context, size_t bytes, size_t alignment)
{
	void *memory;

	(void)context;
	allocated++;
	return posix_memalign(&memory, alignment, bytes) == 0 ? memory : NULL;
}

static void release_counted(void *context, void *memory)
{
	(void)context;
	free(memory);
}

#define HUGE_BYTES ((uint64_t)2 << 20)
static const uint64_t large_sizes[] = { 1,
					HUGE_BYTES - 1,
					HUGE_BYTES,
					HUGE_BYTES + 1,
					2 * HUGE_BYTES - 1,
					2 * HUGE_BYTES,
					2 * HUGE_BYTES + 1,
					7 * HUGE_BYTES };
#define LARGE_SIZES ((int)(sizeof(large_sizes) / sizeof(large_sizes[0])))

START_TEST(large_memory_begins_at_a_huge_page_and_is_given_back_whole)
{
	const uint64_t bytes = large_sizes[_i];
	unsigned long before = 0;
	struct uds_env env;

	env_complete(NULL, &env);
	for (int round = 0; round < 24; round++) {
		uint8_t *memory = env_allocate_large(&env, bytes);

		ck_assert_ptr_nonnull(memory);
		ck_assert_uint_eq((uintptr_t)memory % (bytes < HUGE_BYTES ? 64 : HUGE_BYTES), 0);
		memory[0] = 1;
		memory[bytes - 1] = 2;
		env_release_large(&env, memory, bytes);
		/* The first ones may make room that is kept. */
		if (round == 8)
			before = mapped_pages();
	}
	/* Smaller ones are the C library's, which keeps some for later. */
	if (bytes >= HUGE_BYTES)
		ck_assert_uint_lt(mapped_pages(), before + 4 * HUGE_BYTES / 4096);
	env_release_large(&env, NULL, bytes);
}
END_TEST

START_TEST(large_memory_comes_from_the_callers_allocator)
{
	struct uds_env given = UDS_ENV_INIT, env;
	void *memory;

	given.allocate = count_allocation;
	given.release = release_counted;
	env_complete(&given, &env);
	allocated = 0;
	memory = env_allocate_large(&env, large_sizes[_i]);
	ck_assert_uint_eq(allocated, 1);
	env_release_large(&env, memory, large_sizes[_i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base");
	TCase *tc = tcase_create("base");

	tcase_add_test(tc, numbers_keep_their_byte_order);
	tcase_add_test(tc, bit_fields_leave_their_neighbours_alone);
	tcase_add_test(tc, bits_per_counts_binary_digits);
	tcase_add_test(tc, murmur3_gives_the_recorded_hashes);
	tcase_add_test(tc, crc32_is_that_of_zlib_at_every_length_and_alignment);
	tcase_add_test(tc, half_an_allocator_is_refused);
	tcase_add_test(tc, messages_gain_their_place_from_outside);
	tcase_add_test(tc, bytes_that_cannot_be_printed_are_shown_by_their_numbers);
	tcase_add_test(tc, every_status_has_a_text);
	tcase_add_test(tc, elements_of_any_size_and_order_are_sorted);
	tcase_add_loop_test(tc, large_memory_begins_at_a_huge_page_and_is_given_back_whole, 0,
			    LARGE_SIZES);
	tcase_add_loop_test(tc, large_memory_comes_from_the_callers_allocator, 0, LARGE_SIZES);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
