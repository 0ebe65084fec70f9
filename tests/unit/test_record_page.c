/* SPDX-License-Identifier: BSD-2-Clause */
/* Record pages: sorting, layout, searching, checking; against recorded pages. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "chapter/record_page.h"
#include "check_main.h"
#include "torture_env.h"
#include "vector_file.h"

static struct uds_record records[2048];
static const struct uds_record *pointers[2048];
static uint8_t page[65536], other_page[65536];

static struct record_page_encoder *make_encoder(uint32_t count)
{
	struct record_page_encoder *encoder;
	struct uds_env env;

	ck_assert_int_eq(env_complete(guarded_env(), &env), 0);
	ck_assert_int_eq(record_page_encoder_make(&env, count, &encoder), 0);
	for (uint32_t i = 0; i < 2048; i++)
		pointers[i] = &records[i];
	return encoder;
}

static void random_records(uint64_t seed, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		put_le64(records[i].name.bytes, splitmix(seed, 4 * i));
		put_le64(records[i].name.bytes + 8, splitmix(seed, 4 * i + 1));
		put_le64(records[i].data.bytes, splitmix(seed, 4 * i + 2));
		put_le64(records[i].data.bytes + 8, i);
	}
}

static void check_recorded(const char *vector, const char *test)
{
	struct record_page_encoder *encoder;
	char file[64], line[256], token[32];
	struct uds_record_data data;
	uint64_t seed = 0;
	uint32_t count = 0, version, bad;
	size_t bytes;
	uint8_t *want;
	FILE *f;

	snprintf(file, sizeof(file), "%s.txt", vector);
	f = open_unit_vector(file);
	if (f == NULL) {
		note_skip("%s: no vectors", test);
		return;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "seed %" SCNx64, &seed) == 1)
			continue;
		if (sscanf(line, "R %31s %u", token, &version) == 2) {
			token_name(seed, token, &records[count].name);
			token_data(token, version, &records[count].data);
			count++;
		}
	}
	fclose(f);
	snprintf(file, sizeof(file), "%s.bin", vector);
	want = read_unit_vector(file, &bytes);
	ck_assert_uint_eq(bytes, 32 * (size_t)count);
	encoder = make_encoder(count);
	record_page_encode(encoder, pointers, page);
	ck_assert_mem_eq(page, want, bytes);
	for (uint32_t i = 0; i < count; i++) {
		ck_assert(record_page_search(want, count, &records[i].name, &data));
		ck_assert_mem_eq(data.bytes, records[i].data.bytes, 16);
	}
	ck_assert(record_page_check(want, count, &bad));
	record_page_encoder_free(encoder);
	free(want);
}

START_TEST(smallest_page_is_laid_out_as_recorded)
{
	check_recorded("rpage-4096", "smallest_page_is_laid_out_as_recorded");
}
END_TEST

START_TEST(two_block_page_is_laid_out_as_recorded)
{
	check_recorded("rpage-8192", "two_block_page_is_laid_out_as_recorded");
}
END_TEST

START_TEST(copies_of_the_fill_record_are_laid_out_as_recorded)
{
	check_recorded("rpage-4096-fill", "copies_of_the_fill_record_are_laid_out_as_recorded");
}
END_TEST

START_TEST(page_that_is_no_power_of_two_is_laid_out_as_recorded)
{
	check_recorded("rpage-12288-fill", "page_that_is_no_power_of_two_is_laid_out_as_recorded");
}
END_TEST

START_TEST(usual_page_is_laid_out_as_recorded)
{
	check_recorded("rpage-32768-fill", "usual_page_is_laid_out_as_recorded");
}
END_TEST

START_TEST(page_depends_on_the_set_of_records_only)
{
	struct record_page_encoder *encoder = make_encoder(1024);

	random_records(1, 1024);
	record_page_encode(encoder, pointers, page);
	for (uint32_t i = 0; i < 512; i++) {
		const struct uds_record *swap = pointers[i];

		pointers[i] = pointers[1023 - i];
		pointers[1023 - i] = swap;
	}
	record_page_encode(encoder, pointers, other_page);
	ck_assert_mem_eq(page, other_page, 32768);
	record_page_encoder_free(encoder);
}
END_TEST

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/* In-order walk, written down once more. */
static uint32_t place(uint32_t node, uint32_t next, uint32_t count, uint8_t *into)
{
	if (node >= count)
		return next;
	next = place(2 * node + 1, next, count, into);
	memcpy(into + 32 * (size_t)node, &records[next++], 32);
	return place(2 * node + 2, next, count, into);
}

static void check_against_plain_sort(uint32_t count)
{
	struct record_page_encoder *encoder = make_encoder(count);

	record_page_encode(encoder, pointers, page);
	qsort(records, count, sizeof(records[0]), by_name);
	place(0, 0, count, other_page);
	ck_assert_mem_eq(page, other_page, 32 * (size_t)count);
	record_page_encoder_free(encoder);
}

START_TEST(any_number_of_records_is_sorted)
{
	for (uint32_t count = 1; count <= 2048; count += count < 40 ? 1 : 97) {
		random_records(count, count);
		check_against_plain_sort(count);
	}
	random_records(9, 2048);
	check_against_plain_sort(2048);
}
END_TEST

START_TEST(biased_names_are_sorted_too)
{
	/*
	 * The same first eight bytes, the same first byte, only a few different
	 * ones, counting ones.
	 */
	random_records(2, 2048);
	for (uint32_t i = 0; i < 2048; i++)
		memset(records[i].name.bytes, 7, 8);
	check_against_plain_sort(2048);
	random_records(3, 2048);
	for (uint32_t i = 0; i < 2048; i++)
		records[i].name.bytes[0] = 0x80;
	check_against_plain_sort(2048);
	random_records(4, 2048);
	for (uint32_t i = 0; i < 2048; i++)
		records[i].name.bytes[0] = (uint8_t)(i % 3 * 100), records[i].name.bytes[1] = 0;
	check_against_plain_sort(2048);
	memset(records, 0, sizeof(records));
	for (uint32_t i = 0; i < 1024; i++)
		records[i].name.bytes[15] = (uint8_t)i,
		records[i].name.bytes[14] = (uint8_t)(i >> 8);
	check_against_plain_sort(1024);
}
END_TEST

START_TEST(names_that_are_not_there_are_not_found)
{
	struct record_page_encoder *encoder = make_encoder(384);
	struct uds_record_data data;

	random_records(5, 768);
	record_page_encode(encoder, pointers, page);
	memset(&data, 0xee, sizeof(data));
	for (uint32_t i = 384; i < 768; i++)
		ck_assert(!record_page_search(page, 384, &records[i].name, &data));
	ck_assert_uint_eq(data.bytes[0], 0xee);
	/* Names that differ late. */
	for (uint32_t i = 0; i < 384; i++) {
		struct uds_record_name name = records[i].name;

		name.bytes[15] ^= 1;
		ck_assert(!record_page_search(page, 384, &name, &data));
	}
	record_page_encoder_free(encoder);
}
END_TEST

START_TEST(records_out_of_order_are_noticed)
{
	struct record_page_encoder *encoder = make_encoder(128);
	uint32_t bad = 999;

	random_records(6, 128);
	record_page_encode(encoder, pointers, page);
	ck_assert(record_page_check(page, 128, &bad));
	for (uint32_t i = 1; i < 128; i++) {
		memcpy(other_page, page, 4096);
		memcpy(other_page + 32 * (size_t)i, page,
		       32);		      /* a copy of the root is in order only... */
		other_page[32 * i + 31] ^= 1; /* ...with the same data, beside it */
		ck_assert(!record_page_check(other_page, 128, &bad));
		ck_assert_uint_lt(bad, 128);
	}
	/* Copies of one record, as fill leaves them, are fine. */
	for (uint32_t i = 20; i < 128; i++)
		pointers[i] = &records[0];
	record_page_encode(encoder, pointers, page);
	ck_assert(record_page_check(page, 128, &bad));
	record_page_encoder_free(encoder);
}
END_TEST

/* Appends the places of the tree below @node in order. */
static uint32_t list_in_order(uint32_t *list, uint32_t listed, uint32_t node, uint32_t count)
{
	if (node >= count)
		return listed;
	listed = list_in_order(list, listed, 2 * node + 1, count);
	list[listed] = node;
	return list_in_order(list, listed + 1, 2 * node + 2, count);
}

START_TEST(the_record_before_another_is_found)
{
	static uint32_t list[RECORD_PAGE_MAXIMUM_RECORDS];

	for (uint32_t count = 1; count <= RECORD_PAGE_MAXIMUM_RECORDS;
	     count = count < 70 ? count + 1 : 2 * count) {
		ck_assert_uint_eq(list_in_order(list, 0, 0, count), count);
		for (uint32_t i = 1; i < count; i++)
			ck_assert_uint_eq(record_page_previous(list[i], count), list[i - 1]);
	}
}
END_TEST

START_TEST(any_bytes_are_searched_within_the_page)
{
	struct uds_record_data data;
	uint32_t bad;

	for (uint64_t round = 0; round < 300; round++) {
		uint32_t count = 1 + (uint32_t)(splitmix(7, round) % 300);
		uint8_t *bytes = malloc(32 * (size_t)count);

		for (size_t i = 0; i < 32 * (size_t)count; i++)
			bytes[i] = (uint8_t)splitmix(round, i);
		random_records(round + 100, 50);
		for (uint32_t i = 0; i < 50; i++)
			(void)record_page_search(bytes, count, &records[i].name, &data);
		(void)record_page_check(bytes, count, &bad);
		free(bytes);
	}
}
END_TEST

START_TEST(impossible_page_sizes_are_refused)
{
	struct record_page_encoder *encoder;
	struct uds_env env;

	ck_assert_int_eq(env_complete(guarded_env(), &env), 0);
	ck_assert_int_eq(record_page_encoder_make(&env, 0, &encoder), -EINVAL);
	ck_assert_int_eq(record_page_encoder_make(&env, 2049, &encoder), -EINVAL);
	record_page_encoder_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record_page");
	TCase *tc = tcase_create("record_page");

	tcase_add_test(tc, smallest_page_is_laid_out_as_recorded);
	tcase_add_test(tc, two_block_page_is_laid_out_as_recorded);
	tcase_add_test(tc, copies_of_the_fill_record_are_laid_out_as_recorded);
	tcase_add_test(tc, page_that_is_no_power_of_two_is_laid_out_as_recorded);
	tcase_add_test(tc, usual_page_is_laid_out_as_recorded);
	tcase_add_test(tc, page_depends_on_the_set_of_records_only);
	tcase_add_test(tc, any_number_of_records_is_sorted);
	tcase_add_test(tc, biased_names_are_sorted_too);
	tcase_add_test(tc, names_that_are_not_there_are_not_found);
	tcase_add_test(tc, records_out_of_order_are_noticed);
	tcase_add_test(tc, the_record_before_another_is_found);
	tcase_add_test(tc, any_bytes_are_searched_within_the_page);
	tcase_add_test(tc, impossible_page_sizes_are_refused);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
