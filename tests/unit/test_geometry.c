/* SPDX-License-Identifier: BSD-2-Clause */
/* Geometry: limits, derived numbers, name bits, chapter mapping; against recorded numbers. */
#include <errno.h>
#include <string.h>

#include <uds/geometry.h>

#include "check_main.h"
#include "delta/delta_code.h"
#include "geometry/geometry.h"
#include "geometry/name_bits.h"
#include "name_list.h"
#include "vector_file.h"

static struct uds_configuration configuration_of(const struct csv *csv)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	c.page_bytes = (uint32_t)csv_number(csv, "bytes_per_page");
	c.record_pages_per_chapter = (uint32_t)csv_number(csv, "record_pages");
	c.chapters_per_volume = (uint32_t)csv_number(csv, "chapters");
	c.sparse_chapters_per_volume = (uint32_t)csv_number(csv, "sparse_chapters");
	c.sparse_sample_rate = (uint32_t)csv_number(csv, "sample_rate");
	return c;
}

static void check_sub_index(const struct csv *csv, const struct geometry *g, enum sub_index which,
			    const char *prefix)
{
	struct volume_index_parameters p;
	struct delta_code code;
	char column[64];

#define COLUMN(name)	   (snprintf(column, sizeof(column), "%s_%s", prefix, name), column)
#define CHECK(value, name) ck_assert_uint_eq(value, csv_number(csv, COLUMN(name)))
	volume_index_parameters_make(g, which, &p);
	ck_assert_int_eq(delta_code_make(p.mean_delta, p.chapter_bits, &code), 0);
	CHECK(p.list_count, "lists");
	CHECK(p.address_bits, "address_bits");
	CHECK(p.chapter_bits, "chapter_bits");
	CHECK(p.chapter_count, "chapter_count");
	CHECK(code.min_bits, "min_bits");
	CHECK(code.min_keys, "min_keys");
	CHECK(code.incr_keys, "incr_keys");
	CHECK(volume_index_zone_bytes(&p, 1), "zone_bytes");
	CHECK(volume_index_max_zone_bits(&p, 1), "max_zone_bits");
	CHECK(volume_index_chapter_zone_bits(&p, 1), "chapter_bits_size");
#undef CHECK
#undef COLUMN
}

START_TEST(derived_numbers_are_the_recorded_ones)
{
	struct geometry_sizes sizes;
	struct uds_configuration c;
	struct uds_message message;
	struct geometry g;
	struct csv csv;
	int rows = 0;

	if (!csv_open(&csv, "geometry.csv"))
		skip_test("derived_numbers_are_the_recorded_ones: no vectors");
	while (csv_next(&csv)) {
		c = configuration_of(&csv);
		ck_assert_msg(geometry_make(&c, &g, &message) == 0, "%s", message.text);
		ck_assert_uint_eq(g.records_per_page, csv_number(&csv, "records_per_page"));
		ck_assert_uint_eq(g.records_per_chapter, csv_number(&csv, "records_per_chapter"));
		ck_assert_uint_eq((uint64_t)g.records_per_chapter * g.chapters_per_volume,
				  csv_number(&csv, "records_per_volume"));
		ck_assert_uint_eq(g.chapter_payload_bits, csv_number(&csv, "chapter_payload_bits"));
		ck_assert_uint_eq(g.chapter_delta_list_bits,
				  csv_number(&csv, "chapter_delta_list_bits"));
		ck_assert_uint_eq(g.delta_lists_per_chapter,
				  csv_number(&csv, "delta_lists_per_chapter"));
		ck_assert_uint_eq(g.chapter_address_bits, csv_number(&csv, "chapter_address_bits"));
		ck_assert_uint_eq(g.index_pages_per_chapter,
				  csv_number(&csv, "index_pages_per_chapter"));
		ck_assert_uint_eq(g.pages_per_chapter, csv_number(&csv, "pages_per_chapter"));
		ck_assert_uint_eq(g.pages_per_volume, csv_number(&csv, "pages_per_volume"));
		ck_assert_uint_eq(g.bytes_per_volume, csv_number(&csv, "bytes_per_volume"));
		geometry_sizes(&g, &sizes);
		if (!csv_is_empty(&csv, "nonhook_lists")) {
			ck_assert_uint_eq(sizes.volume_index_blocks,
					  csv_number(&csv, "volume_index_save_blocks"));
			ck_assert_uint_eq(sizes.total_blocks, csv_number(&csv, "total_blocks"));
			check_sub_index(&csv, &g, SUB_INDEX_DENSE, "nonhook");
		}
		if (!csv_is_empty(&csv, "hook_lists"))
			check_sub_index(&csv, &g, SUB_INDEX_HOOK, "hook");
		ck_assert_uint_eq(sizes.page_map_blocks, csv_number(&csv, "page_map_blocks"));
		ck_assert_uint_eq(sizes.open_chapter_blocks,
				  csv_number(&csv, "open_chapter_blocks"));
		rows++;
	}
	ck_assert_int_gt(rows, 100);
}
END_TEST

START_TEST(chapters_map_to_their_slots_and_leave_in_time)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct geometry g;
	struct csv csv;
	int rows = 0;

	if (!csv_open(&csv, "chapter_map.csv"))
		skip_test("chapters_map_to_their_slots_and_leave_in_time: no vectors");
	while (csv_next(&csv)) {
		uint64_t vcn = csv_number(&csv, "vcn");

		c.chapters_per_volume = (uint32_t)csv_number(&csv, "chapters");
		c.remapped_virtual = csv_number(&csv, "remapped_virtual");
		c.remapped_physical = csv_number(&csv, "remapped_physical");
		ck_assert_int_eq(geometry_make(&c, &g, NULL), 0);
		ck_assert_uint_eq(geometry_physical_chapter(&g, vcn), csv_number(&csv, "physical"));
		ck_assert_uint_eq(geometry_chapters_to_expire(&g, vcn),
				  csv_number(&csv, "expire_when_opened"));
		rows++;
	}
	ck_assert_int_gt(rows, 1000);
}
END_TEST

START_TEST(name_bits_are_the_recorded_ones)
{
	struct uds_configuration c64 = UDS_CONFIGURATION_INIT, c256, c4 = UDS_CONFIGURATION_INIT;
	struct uds_configuration sparse;
	struct volume_index_parameters vi, hook, non_hook;
	struct geometry g64, g256, g4, gs;
	struct uds_record_name name;
	struct csv csv;
	int rows = 0;

	if (!csv_open(&csv, "name_bits.csv"))
		skip_test("name_bits_are_the_recorded_ones: no vectors");
	ck_assert_int_eq(uds_configuration_for_memory("1G", false, NULL, &c256), 0);
	ck_assert_int_eq(uds_configuration_for_memory("256M", true, NULL, &sparse), 0);
	c4.page_bytes = 4096;
	c4.record_pages_per_chapter = 4;
	c4.chapters_per_volume = 10;
	ck_assert_int_eq(geometry_make(&c64, &g64, NULL), 0);
	ck_assert_int_eq(geometry_make(&c256, &g256, NULL), 0);
	ck_assert_int_eq(geometry_make(&c4, &g4, NULL), 0);
	ck_assert_int_eq(geometry_make(&sparse, &gs, NULL), 0);
	volume_index_parameters_make(&g64, SUB_INDEX_DENSE, &vi);
	volume_index_parameters_make(&gs, SUB_INDEX_HOOK, &hook);
	volume_index_parameters_make(&gs, SUB_INDEX_DENSE, &non_hook);
	while (csv_next(&csv)) {
		const struct volume_index_parameters *p;
		uint32_t list;

#define CHECK(value, column) ck_assert_uint_eq(value, csv_number(&csv, column))
		ck_assert_int_eq(parse_hex(csv_text(&csv, "name"), name.bytes, 16), 16);
		CHECK(chapter_list(&g64, &name), "chapter_list_P64");
		CHECK(chapter_address(&g64, &name), "chapter_addr_P64");
		CHECK(chapter_list(&g256, &name), "chapter_list_P256");
		CHECK(chapter_address(&g256, &name), "chapter_addr_P256");
		CHECK(chapter_list(&g4, &name), "chapter_list_B4096P4");
		CHECK(chapter_address(&g4, &name), "chapter_addr_B4096P4");
		CHECK(name_chapter_bits(&name) % 4096, "slot_mod_4096");
		CHECK(name_chapter_bits(&name) % 1048576, "slot_mod_1048576");
		list = name_list(&vi, &name);
		CHECK(list, "vi256_list");
		CHECK(list / volume_index_lists_per_zone(&vi, 3), "zone_of_3");
		CHECK(list / volume_index_lists_per_zone(&vi, 16), "zone_of_16");
		ck_assert(!is_sample(&g64, &name));
		CHECK(is_sample(&gs, &name), "sparse256_is_sample");
		p = is_sample(&gs, &name) ? &hook : &non_hook;
		list = name_list(p, &name);
		CHECK(list, "sparse256_list");
		CHECK(list / volume_index_lists_per_zone(p, 3), "sparse256_zone_of_3");
		CHECK(list / volume_index_lists_per_zone(p, 7), "sparse256_zone_of_7");
#undef CHECK
		rows++;
	}
	ck_assert_int_gt(rows, 100);
}
END_TEST

START_TEST(sparse_chapters_are_the_old_ones)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct geometry g;

	c.chapters_per_volume = 20;
	c.sparse_chapters_per_volume = 12;
	c.sparse_sample_rate = 4;
	ck_assert_int_eq(geometry_make(&c, &g, NULL), 0);
	/* Eight dense chapters, the open one included. */
	ck_assert(!geometry_is_chapter_sparse(&g, 0, 7, 0));
	ck_assert(geometry_is_chapter_sparse(&g, 0, 8, 0));
	ck_assert(!geometry_is_chapter_sparse(&g, 0, 8, 1));
	ck_assert(geometry_is_chapter_sparse(&g, 11, 30, 22));
	ck_assert(!geometry_is_chapter_sparse(&g, 11, 30, 23));
	c.sparse_chapters_per_volume = 0;
	c.sparse_sample_rate = 0;
	ck_assert_int_eq(geometry_make(&c, &g, NULL), 0);
	ck_assert(!geometry_is_chapter_sparse(&g, 11, 30, 22));
}
END_TEST

/* One changed parameter, and what the sentence must say. */
static void refused(struct uds_configuration c, const char *word)
{
	struct uds_message message = { "untouched" };
	struct uds_geometry out = { .size = sizeof(out) };
	struct geometry g;

	ck_assert_int_eq(geometry_make(&c, &g, &message), -EINVAL);
	ck_assert_msg(strstr(message.text, word) != NULL, "\"%s\" lacks \"%s\"", message.text,
		      word);
	ck_assert_int_eq(uds_geometry_compute(&c, NULL, &out), -EINVAL);
}

START_TEST(impossible_configurations_are_refused_with_the_range)
{
	const struct uds_configuration good = UDS_CONFIGURATION_INIT;
	struct uds_configuration c;

#define REFUSED(field, value, word) \
	do {                        \
		c = good;           \
		c.field = (value);  \
		refused(c, word);   \
	} while (0)
	REFUSED(size, 0, "size member");
	REFUSED(page_bytes, 0, "4096 to 65536");
	REFUSED(page_bytes, 5000, "4096 to 65536");
	REFUSED(page_bytes, 131072, "4096 to 65536");
	REFUSED(record_pages_per_chapter, 0, "1 to");
	REFUSED(record_pages_per_chapter, UINT32_MAX, "1 to");
	REFUSED(chapters_per_volume, 0, "fewer than 2");
	REFUSED(chapters_per_volume, 1, "fewer than 2");
	REFUSED(chapters_per_volume, UINT32_MAX - 1, "range 2 to");
	REFUSED(sparse_chapters_per_volume, 1024, "0 to 1023");
	REFUSED(sparse_chapters_per_volume, 10, "sample rate 0");
	REFUSED(sparse_sample_rate, 32, "dense");
	REFUSED(cache_chapters, 0, "1 to 32767");
	REFUSED(cache_chapters, 40000, "1 to 32767");
	REFUSED(volume_index_mean_delta, 0, "1 to 8388608");
	REFUSED(volume_index_mean_delta, UINT32_MAX, "1 to 8388608");
	REFUSED(remapped_virtual, 5, "odd");
#undef REFUSED
	c = good;
	c.chapters_per_volume = 1023;
	c.remapped_physical = 1023;
	refused(c, "0 to 1022");
	c = good;
	c.sparse_chapters_per_volume = 10;
	c.sparse_sample_rate = 1;
	refused(c, "2 to 65536");
}
END_TEST

START_TEST(record_numbers_that_do_not_fit_are_refused__S4)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct geometry g;

	c.page_bytes = 65536;
	c.chapters_per_volume = 4;
	c.cache_chapters = 1;
	c.record_pages_per_chapter = 1024;
	ck_assert_int_eq(geometry_make(&c, &g, NULL), 0);
	ck_assert_uint_eq(g.records_per_chapter, 1u << 21);
	ck_assert_uint_eq(g.delta_lists_per_chapter, 32768);
	c.record_pages_per_chapter = 1025;
	refused(c, "1 to 1024");
}
END_TEST

START_TEST(the_bounds_of_each_parameter_are_allowed)
{
	struct uds_configuration good = UDS_CONFIGURATION_INIT, c;
	struct uds_message message = { "" };
	struct geometry g;

	good.record_pages_per_chapter = 4;
#define ALLOWED(member, value)                                                              \
	do {                                                                                \
		c = good;                                                                   \
		c.member = value;                                                           \
		ck_assert_msg(geometry_make(&c, &g, &message) == 0, "%s %llu: %s", #member, \
			      (unsigned long long)(value), message.text);                   \
	} while (0)
	ALLOWED(page_bytes, 4096);
	ALLOWED(page_bytes, 65536);
	ALLOWED(record_pages_per_chapter, 1);
	ALLOWED(chapters_per_volume, 2);
	ALLOWED(cache_chapters, 1);
	ALLOWED(cache_chapters, 32767 / 4);
	c = good; /* in the range, though no volume index comes of it */
	c.volume_index_mean_delta = 1;
	refused(c, "choose a smaller volume");
	good.sparse_sample_rate = 32;
	ALLOWED(sparse_chapters_per_volume, 1);
	ALLOWED(sparse_chapters_per_volume, 1023);
	good.sparse_chapters_per_volume = 10;
	ALLOWED(sparse_sample_rate, 2);
	ALLOWED(sparse_sample_rate, 4096);
#undef ALLOWED
}
END_TEST

START_TEST(mean_deltas_that_the_origin_miscodes_are_refused__R2)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct volume_index_parameters p;
	struct uds_message message;
	struct delta_code code;
	struct geometry g;
	int refusals = 0;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	for (uint32_t chapters = 2; chapters < 300; chapters += 2) {
		for (uint32_t mean = 1; mean < 64; mean++) {
			c.chapters_per_volume = chapters;
			c.volume_index_mean_delta = mean;
			if (geometry_make(&c, &g, &message) < 0) {
				if (strstr(message.text, "not defined") != NULL)
					refusals++;
				continue;
			}
			volume_index_parameters_make(&g, SUB_INDEX_DENSE, &p);
			delta_code_parameters(p.mean_delta, 0, &code);
			ck_assert_uint_ne(code.incr_keys & (code.incr_keys + 1), 0);
		}
	}
	ck_assert_int_gt(refusals, 0);
}
END_TEST

/* A number that is small, near a power of two, or anything. */
static uint64_t any_number(uint64_t r)
{
	switch (r % 4) {
	case 0:
		return r >> 2 & 31;
	case 1:
		return (UINT64_C(1) << (r >> 2 & 31)) + (r >> 8 & 3) - 1;
	default:
		return r >> 32 >> (r >> 2 & 31);
	}
}

START_TEST(what_is_accepted_stays_within_the_limits_of_the_format)
{
	int accepted = 0, sparse = 0, reduced = 0;

	for (uint64_t i = 0; i < 100000; i++) {
		struct uds_configuration c = UDS_CONFIGURATION_INIT;
		struct volume_index_parameters p;
		struct geometry_sizes sizes;
		struct geometry g;

		c.page_bytes = 4096 * (uint32_t)(1 + splitmix(i, 0) % 16);
		c.record_pages_per_chapter = (uint32_t)any_number(splitmix(i, 1));
		c.chapters_per_volume = (uint32_t)any_number(splitmix(i, 2));
		if (i % 3 == 0) {
			c.sparse_chapters_per_volume = (uint32_t)any_number(splitmix(i, 3));
			c.sparse_sample_rate = (uint32_t)any_number(splitmix(i, 4));
		}
		c.cache_chapters = 1 + (uint32_t)(splitmix(i, 5) % 8);
		if (i % 5 == 0)
			c.volume_index_mean_delta = (uint32_t)any_number(splitmix(i, 6));
		if (geometry_make(&c, &g, NULL) < 0)
			continue;
		accepted++;
		sparse += geometry_is_sparse(&g);
		reduced += g.reduced;
		ck_assert_uint_le(g.records_per_chapter, 1u << 21);
		ck_assert_uint_lt(g.delta_lists_per_chapter, 65536);
		ck_assert_uint_eq(g.chapter_address_bits, 22);
		ck_assert_uint_le(1ull << g.chapter_payload_bits, 2ull * 32768);
		ck_assert_uint_ge(g.index_pages_per_chapter, 1);
		ck_assert_uint_eq((uint64_t)g.pages_per_chapter * g.chapters_per_volume,
				  g.pages_per_volume);
		geometry_sizes(&g, &sizes);
		ck_assert_uint_gt(sizes.total_blocks, sizes.volume_blocks);
		for (int which = 0; which <= geometry_is_sparse(&g); which++) {
			volume_index_parameters_make(&g, (enum sub_index)which, &p);
			ck_assert_uint_le(p.address_bits, 31);
			ck_assert_uint_le(p.chapter_bits, 32);
			ck_assert_uint_ge(p.list_count, 256);
			for (unsigned int zones = 1; zones <= MAXIMUM_ZONES; zones++) {
				/* The last zone has a list, and room for more than nothing. */
				ck_assert_uint_gt(p.list_count,
						  (uint64_t)(zones - 1) *
							  volume_index_lists_per_zone(&p, zones));
				ck_assert_uint_lt(volume_index_max_zone_bits(&p, zones),
						  8 * volume_index_zone_bytes(&p, zones));
			}
		}
	}
	ck_assert_int_gt(accepted, 3000);
	ck_assert_int_gt(sparse, 50);
	ck_assert_int_gt(reduced, 500);
}
END_TEST

START_TEST(usual_sizes_have_names)
{
	struct uds_geometry out = { .size = sizeof(out) };
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message;

	ck_assert_int_eq(uds_configuration_for_memory("256M", false, &message, &c), 0);
	ck_assert_uint_eq(c.record_pages_per_chapter, 64);
	ck_assert_int_eq(uds_geometry_compute(&c, &message, &out), 0);
	ck_assert_uint_eq(out.index_pages_per_chapter, 6);
	ck_assert_uint_eq(out.index_bytes, UINT64_C(679127) * 4096);
	ck_assert_uint_eq(out.volume_index_bytes, 209780736);
	ck_assert_int_eq(uds_configuration_for_memory("768M", true, &message, &c), 0);
	ck_assert_uint_eq(c.record_pages_per_chapter, 192);
	ck_assert_uint_eq(c.chapters_per_volume, 10240);
	ck_assert_uint_eq(c.sparse_chapters_per_volume, 9728);
	ck_assert_uint_eq(c.sparse_sample_rate, 32);
	ck_assert_int_eq(uds_configuration_for_memory("1024G", true, &message, &c), 0);
	ck_assert_uint_eq(c.chapters_per_volume, 1024 * 1024 * 10);
	for (const char *const *bad =
		     (const char *const[]){ "", "0G", "1025G", "1", "G", "01G", "+1G", "-1G", " 1G",
					    "1g", "256", "1GG", "99999999999999999999G", NULL };
	     *bad != NULL; bad++) {
		ck_assert_int_eq(uds_configuration_for_memory(*bad, false, &message, &c), -EINVAL);
		ck_assert_ptr_nonnull(strstr(message.text, "256M, 512M, 768M, 1G to 1024G"));
	}
}
END_TEST

START_TEST(structs_smaller_than_in_any_version_are_refused)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_geometry out;
	uint32_t slot = 7;

	memset(&out, 0xee, sizeof(out));
	out.size = offsetof(struct uds_geometry, records_per_volume);
	ck_assert_int_eq(uds_geometry_compute(&c, NULL, &out), -EINVAL);
	ck_assert_uint_eq(out.records_per_chapter, 0xeeeeeeee);
	ck_assert_int_eq(uds_geometry_physical_chapter(&c, 2049, NULL, &slot), 0);
	ck_assert_uint_eq(slot, 1);
	c.page_bytes = 1;
	ck_assert_int_eq(uds_geometry_physical_chapter(&c, 2050, NULL, &slot), -EINVAL);
	ck_assert_uint_eq(slot, 1);
	c.page_bytes = 4096;
	c.size = offsetof(struct uds_configuration, nonce);
	ck_assert_int_eq(uds_geometry_physical_chapter(&c, 2050, NULL, &slot), -EINVAL);
	ck_assert_uint_eq(slot, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geometry");
	TCase *tc = tcase_create("geometry");

	tcase_add_test(tc, derived_numbers_are_the_recorded_ones);
	tcase_add_test(tc, chapters_map_to_their_slots_and_leave_in_time);
	tcase_add_test(tc, name_bits_are_the_recorded_ones);
	tcase_add_test(tc, sparse_chapters_are_the_old_ones);
	tcase_add_test(tc, impossible_configurations_are_refused_with_the_range);
	tcase_add_test(tc, record_numbers_that_do_not_fit_are_refused__S4);
	tcase_add_test(tc, the_bounds_of_each_parameter_are_allowed);
	tcase_add_test(tc, mean_deltas_that_the_origin_miscodes_are_refused__R2);
	tcase_add_test(tc, what_is_accepted_stays_within_the_limits_of_the_format);
	tcase_add_test(tc, usual_sizes_have_names);
	tcase_add_test(tc, structs_smaller_than_in_any_version_are_refused);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
