/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The geometry block of a VDO volume: what each field says, and what is refused with which status.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "check_main.h"
#include "vdo/geometry_block.h"
#include "vdo_image.h"

/*
 * zlib's crc32(0xffffffff, ...), of the two blocks as make_block() leaves them, computed by zlib.
 */
#define ZLIB_SUM_4 UINT32_C(0xaee63322)
#define ZLIB_SUM_5 UINT32_C(0xfa1ee022)

static uint8_t block[VDO_BLOCK_BYTES];

/* The index is in blocks 1 to 1000, in version 5 with a bio offset of 16. */
static void make_block(unsigned int version)
{
	size_t at = vdo_image_regions_at(version);
	uint64_t bio_offset = version == 5 ? 16 : 0;

	memset(block, 0, sizeof(block));
	memcpy(block, "dmvdo001", 8);
	put_le32(block + 8, 5);
	put_le32(block + 12, version);
	put_le64(block + 20, vdo_image_sum_at(version) + 4);
	put_le64(block + 32, UINT64_C(0x0123456789abcdef));
	if (version == 5)
		put_le64(block + 56, bio_offset);
	put_le32(block + at, 0);
	put_le64(block + at + 4, bio_offset + 1);
	put_le32(block + at + 12, 1);
	put_le64(block + at + 16, bio_offset + 1001);
	put_le32(block + vdo_image_sum_at(version),
		 vdo_image_sum(block, vdo_image_sum_at(version)));
}

START_TEST(both_versions_say_where_the_index_is)
{
	for (unsigned int version = 4; version <= 5; version++) {
		struct vdo_geometry g;

		make_block(version);
		ck_assert_uint_eq(get_le32(block + vdo_image_sum_at(version)),
				  version == 4 ? ZLIB_SUM_4 : ZLIB_SUM_5);
		ck_assert_int_eq(vdo_geometry_decode(block, &g, NULL), 0);
		ck_assert_uint_eq(g.version, version);
		ck_assert_uint_eq(g.nonce, UINT64_C(0x0123456789abcdef));
		ck_assert_uint_eq(g.index_block, 1);
		ck_assert_uint_eq(g.data_block, 1001);
	}
}
END_TEST

/* What is behind the checksum is nobody's; every byte before it counts. */
START_TEST(the_checksum_covers_every_byte_before_it)
{
	for (unsigned int version = 4; version <= 5; version++) {
		for (size_t at = 28; at < vdo_image_sum_at(version) + 5; at++) {
			struct vdo_geometry g;

			make_block(version);
			block[at] ^= 1;
			ck_assert_int_eq(vdo_geometry_decode(block, &g, NULL),
					 at < vdo_image_sum_at(version) + 4 ? UDS_ERR_CORRUPT : 0);
		}
	}
}
END_TEST

/*
 * @at: from the block's start, or with REGIONS from where they begin. The checksum is right again.
 */
#define REGIONS 1000
static const struct {
	size_t at;
	unsigned int bytes;
	uint64_t value; /* in version 5 the bio offset is added to those of regions */
	int status;
	const char *says;
} fields[] = {
	{ 0, 1, 'D', UDS_ERR_CORRUPT, "magic: expected dmvdo001, found 0x" },
	{ 7, 1, '2', UDS_ERR_CORRUPT, "magic: expected dmvdo001, found 0x" },
	{ 8, 4, 4, UDS_ERR_CORRUPT, "header id: expected 5, found 4" },
	{ 12, 4, 3, UDS_ERR_UNSUPPORTED_VERSION, "version: expected 4.0 or 5.0, found 3.0" },
	{ 12, 4, 6, UDS_ERR_UNSUPPORTED_VERSION, "version: expected 4.0 or 5.0, found 6.0" },
	{ 16, 4, 1, UDS_ERR_UNSUPPORTED_VERSION, "version: expected 4.0 or 5.0, found" },
	{ 20, 8, 94, UDS_ERR_CORRUPT, "size: expected" },
	{ 20, 8, 0, UDS_ERR_CORRUPT, "size: expected" },
	{ REGIONS, 4, 1, UDS_ERR_CORRUPT, "regions: expected 0 and 1, found 1 and 1" },
	{ REGIONS + 12, 4, 0, UDS_ERR_CORRUPT, "regions: expected 0 and 1, found 0 and 0" },
	{ REGIONS + 4, 8, 0, UDS_ERR_CORRUPT,
	  "regions: expected the index behind block 0, and the data behind it and by block "
	  "2251799813685247, found blocks 0 and 1001" },
	{ REGIONS + 4, 8, 1000, 0, "" },
	{ REGIONS + 4, 8, 1001, UDS_ERR_CORRUPT, "found blocks 1001 and 1001" },
	{ REGIONS + 4, 8, UINT64_MAX, UDS_ERR_CORRUPT,
	  "found blocks 18446744073709551615 and 1001" },
	{ REGIONS + 16, 8, 2, 0, "" },
	{ REGIONS + 16, 8, 1, UDS_ERR_CORRUPT, "found blocks 1 and 1" },
	{ REGIONS + 16, 8, INT64_MAX / 4096, 0, "" },
	{ REGIONS + 16, 8, INT64_MAX / 4096 + 1, UDS_ERR_CORRUPT,
	  "found blocks 1 and 2251799813685248" },
};

static void set_field(unsigned int version, size_t at, unsigned int bytes, uint64_t value)
{
	if (at >= REGIONS)
		at = at - REGIONS + vdo_image_regions_at(version);
	if (bytes == 8 && at >= vdo_image_regions_at(version))
		value += version == 5 ? 16 : 0;
	for (unsigned int i = 0; i < bytes; i++)
		block[at + i] = (uint8_t)(value >> (8 * i));
	put_le32(block + vdo_image_sum_at(version),
		 vdo_image_sum(block, vdo_image_sum_at(version)));
}

START_TEST(each_field_is_checked)
{
	for (unsigned int version = 4; version <= 5; version++) {
		struct vdo_geometry g = { .data_block = 77 };
		struct uds_message message = { "" };
		int r;

		make_block(version);
		set_field(version, fields[_i].at, fields[_i].bytes, fields[_i].value);
		r = vdo_geometry_decode(block, &g, &message);
		ck_assert_int_eq(r, fields[_i].status);
		ck_assert_msg(strstr(message.text, fields[_i].says) != NULL, "%s", message.text);
		ck_assert(r == 0 || g.data_block == 77);
	}
}
END_TEST

START_TEST(the_index_of_a_volume_is_named)
{
	struct uds_message message;

	make_block(5);
	ck_assert_int_eq(vdo_name_index(block, 2, &message), UDS_ERR_NOT_AN_INDEX);
	ck_assert_str_eq(message.text, "this is a VDO volume; its index is at offset 12288 "
				       "(--offset 12288)");
	/* The usual place where the block is damaged, whatever its fields say. */
	set_field(5, REGIONS + 4, 8, 7);
	block[vdo_image_sum_at(5)] ^= 1;
	ck_assert_int_eq(vdo_name_index(block, 0, &message), UDS_ERR_NOT_AN_INDEX);
	ck_assert_msg(strstr(message.text, "whose geometry block cannot be used (checksum: ") &&
			      strstr(message.text, "usually at offset 4096 (--offset 4096)"),
		      "%s", message.text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vdo geometry");
	TCase *tc = tcase_create("vdo geometry");

	tcase_add_test(tc, both_versions_say_where_the_index_is);
	tcase_add_test(tc, the_checksum_covers_every_byte_before_it);
	tcase_add_loop_test(tc, each_field_is_checked, 0, sizeof(fields) / sizeof(fields[0]));
	tcase_add_test(tc, the_index_of_a_volume_is_named);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
