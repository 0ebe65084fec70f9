/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VDO volume: what its two blocks say together, what is refused with which sentence, and its
 * index as an I/O.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>
#include <uds/vdo.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "given_io.h"
#include "io/io.h"
#include "torture_env.h"
#include "vdo_image.h"

#define BLOCK UINT64_C(4096)

static struct uds_message message;
static struct kept_log logged;

static struct uds_io *volume(unsigned int version)
{
	uint8_t *image = vdo_image_make(version);
	struct uds_io *io = bytes_io(image, VDO_BLOCKS * BLOCK);

	free(image);
	return io;
}

/* Nothing here writes: not even what is refused. */
static void ck_unchanged(struct uds_io *io, const uint8_t *image)
{
	uint8_t *now = malloc(VDO_BLOCKS * BLOCK);

	ck_assert_ptr_nonnull(now);
	ck_assert_int_eq(uds_io_read(io, now, VDO_BLOCKS * BLOCK, 0), 0);
	ck_assert_int_eq(memcmp(now, image, VDO_BLOCKS * BLOCK), 0);
	free(now);
}

START_TEST(a_volume_says_what_it_is)
{
	for (unsigned int version = 4; version <= 5; version++) {
		struct uds_vdo_info info = UDS_VDO_INFO_INIT;
		struct uds_io *io = volume(version);

		ck_assert_int_eq(uds_vdo_read_info(io, &message, &info), 0);
		ck_assert_uint_eq(info.geometry_version, version);
		ck_assert_uint_eq(info.state, UDS_VDO_CLEAN);
		ck_assert_str_eq(uds_vdo_state_name(info.state), "clean");
		ck_assert_uint_eq(info.nonce, VDO_NONCE);
		ck_assert_uint_eq(info.uuid[15], 0xaf);
		ck_assert_uint_eq(info.index_offset, BLOCK);
		ck_assert_uint_eq(info.index_region_bytes, 100 * BLOCK);
		ck_assert_uint_eq(info.index_memory_bytes, UINT64_C(256) << 20);
		ck_assert(!info.index_is_sparse && !info.in_use);
		ck_assert_uint_eq(info.logical_blocks, 1000);
		ck_assert_uint_eq(info.logical_blocks_used, 77);
		ck_assert_uint_eq(info.block_map_blocks, 16);
		ck_assert_uint_eq(info.physical_blocks, VDO_BLOCKS);
		ck_assert_uint_eq(info.first_slab_block, VDO_FIRST_SLAB);
		ck_assert_uint_eq(info.slab_count, VDO_SLABS);
		ck_assert_uint_eq(info.slab_blocks, VDO_SLAB_BLOCKS);
		ck_assert_uint_eq(info.slab_data_blocks, VDO_SLAB_DATA);
		ck_assert_uint_eq(info.slab_reference_blocks, 2);
		ck_assert_int_eq(uds_io_close(io), 0);
	}
	ck_assert_str_eq(uds_vdo_state_name(8), "unknown");
}
END_TEST

static const struct {
	uint32_t number;
	uint64_t bytes;
} memories[] = {
	{ 1, UINT64_C(1) << 30 },
	{ 1024, UINT64_C(1) << 40 },
	{ 0xffffff00, UINT64_C(256) << 20 },
	{ 0xfffffe00, UINT64_C(512) << 20 },
	{ 0xfffffd00, UINT64_C(768) << 20 },
};

START_TEST(each_memory_setting_is_known)
{
	for (size_t i = 0; i < sizeof(memories) / sizeof(memories[0]); i++) {
		struct uds_vdo_info info = UDS_VDO_INFO_INIT;
		uint8_t *image = vdo_image_make(5);
		struct uds_io *io;

		put_le32(image + 88, memories[i].number);
		image[96] = 1;
		vdo_image_seal_geometry(image, 5);
		io = bytes_io(image, VDO_BLOCKS * BLOCK);
		ck_assert_int_eq(uds_vdo_read_info(io, &message, &info), 0);
		ck_assert_uint_eq(info.index_memory_bytes, memories[i].bytes);
		ck_assert(info.index_is_sparse);
		ck_assert_int_eq(uds_io_close(io), 0);
		free(image);
	}
}
END_TEST

/* @at: of the geometry block, or with SUPER of the super block. */
#define SUPER 5000u
static const struct {
	size_t at;
	unsigned int bytes;
	uint64_t value;
	bool seal;
	int status;
	const char *says;
} damages[] = {
	{ 0, 1, 'D', false, UDS_ERR_NOT_AN_INDEX,
	  "io: not a VDO volume: block 0: magic: expected dmvdo001, found 0x446d76646f303031" },
	{ 12, 4, 6, true, UDS_ERR_UNSUPPORTED_VERSION,
	  "io: geometry block (block 0): version: expected 4.0 or 5.0, found 6.0" },
	{ 33, 1, 0, false, UDS_ERR_CORRUPT, "io: geometry block (block 0): checksum: expected 0x" },
	{ 80, 8, 100000, true, UDS_ERR_CORRUPT,
	  "io: super block: expected at block 100000, but the device has only 210 blocks" },
	{ 80, 8, 1, true, UDS_ERR_CORRUPT, "io: geometry block (block 0): regions: expected" },
	{ 88, 4, 0, true, UDS_ERR_CORRUPT,
	  "io: geometry block (block 0): index memory: expected 1 to 1024 GiB, 0xffffff00, "
	  "0xfffffe00 or 0xfffffd00, found 0x0" },
	{ 88, 4, 1025, true, UDS_ERR_CORRUPT, "found 0x401" },
	{ 96, 1, 2, true, UDS_ERR_CORRUPT,
	  "io: geometry block (block 0): sparse: expected 0 or 1, found 2" },
	{ SUPER, 4, 7, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): super block: id: expected 0, found 7" },
	{ SUPER + 4, 4, 13, true, UDS_ERR_UNSUPPORTED_VERSION,
	  "io: super block (block 101): super block: version: expected 12.0, found 13.0" },
	{ SUPER + 8, 4, 1, true, UDS_ERR_UNSUPPORTED_VERSION, "expected 12.0, found 12.1" },
	{ SUPER + 12, 8, 419, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): super block: size: expected 418, found 419" },
	{ SUPER + 24, 4, 68, true, UDS_ERR_UNSUPPORTED_VERSION,
	  "io: super block (block 101): volume: version: expected 67.0, found 68.0" },
	{ SUPER + 32, 4, 42, true, UDS_ERR_UNSUPPORTED_VERSION,
	  "io: super block (block 101): component: version: expected 41.0, found 42.0" },
	{ SUPER + 61, 1, 9, false, UDS_ERR_CORRUPT,
	  "io: super block (block 101): checksum: expected 0x" },
	{ SUPER + 68, 8, 211, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): physical blocks: expected at most the 210 of the device, "
	  "found 211" },
	{ SUPER + 68, 8, UINT64_MAX, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): physical blocks: expected at most 2251799813685248, "
	  "found 18446744073709551615" },
	{ SUPER + 60, 8, UINT64_MAX, true, UDS_ERR_CORRUPT,
	  "super block (block 101): logical blocks: expected at most 2251799813685248, "
	  "found 18446744073709551615" },
	{ SUPER + 309, 8, UINT64_MAX, true, UDS_ERR_CORRUPT,
	  "super block (block 101): slab depot: blocks of a slab: expected at most "
	  "2251799813685248, "
	  "found 18446744073709551615" },
	{ SUPER + 317, 8, UINT64_MAX, true, UDS_ERR_CORRUPT,
	  "super block (block 101): slab depot: data blocks: expected at most 2251799813685248, "
	  "found 18446744073709551615" },
	{ SUPER + 325, 8, UINT64_MAX, true, UDS_ERR_CORRUPT,
	  "super block (block 101): slab depot: reference count blocks: expected at most "
	  "2251799813685248, "
	  "found 18446744073709551615" },
	{ SUPER + 333, 8, UINT64_MAX, true, UDS_ERR_CORRUPT,
	  "super block (block 101): slab depot: journal blocks: expected at most 2251799813685248, "
	  "found 18446744073709551615" },
	{ SUPER + 373, 8, UINT64_MAX, true, UDS_ERR_CORRUPT,
	  "super block (block 101): slab depot: end: expected at most 2251799813685248, "
	  "found 18446744073709551615" },
	{ SUPER + 100, 8, 5, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): nonce: expected 81985529216486895, which the geometry "
	  "block "
	  "has, found 5" },
	{ SUPER + 108, 4, 9, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): layout: id: expected 1, found 9" },
	{ SUPER + 144, 1, 5, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): layout: partitions: expected 4, found 5" },
	{ SUPER + 249, 4, 8, true, UDS_ERR_UNSUPPORTED_VERSION,
	  "io: super block (block 101): recovery journal: version: expected 7.0, found 8.0" },
	{ SUPER + 301, 8, 72, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): slab depot: size: expected 73, found 72" },
	{ SUPER + 309, 8, 33, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): slab depot: blocks of a slab: expected 32, found 33" },
	{ SUPER + 317, 8, 25, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): slab depot: data, reference count and journal blocks: "
	  "expected the 32 of a slab in all, found 25 + 2 + 6" },
	{ SUPER + 325, 8, 0, true, UDS_ERR_CORRUPT, "found 24 + 0 + 6" },
	{ SUPER + 317, 8, 0, true, UDS_ERR_CORRUPT, "found 0 + 2 + 6" },
	{ SUPER + 365, 8, 206, true, UDS_ERR_CORRUPT, "found blocks 206 to 206" },
	{ SUPER + 365, 8, 101, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): slab depot: expected whole slabs of 32 blocks, found "
	  "blocks "
	  "101 to 206" },
	{ SUPER + 373, 8, 207, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): slab depot: expected whole slabs of 32 blocks, found "
	  "blocks "
	  "110 to 207" },
	{ SUPER + 365, 8, 78, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): first slab: expected behind the super block, found block "
	  "78" },
	{ SUPER + 365, 8, 14, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): first slab: expected behind the super block, found block "
	  "14" },
	{ SUPER + 373, 8, 238, true, UDS_ERR_CORRUPT,
	  "io: super block (block 101): end of the slabs: expected at most block 210, the end of "
	  "the "
	  "volume, found 238" },
	{ SUPER + 386, 4, 3, true, UDS_ERR_UNSUPPORTED_VERSION,
	  "io: super block (block 101): block map: version: expected 2.0, found 3.0" },
};

static uint8_t *damaged(size_t i)
{
	uint8_t *image = vdo_image_make(5);
	uint8_t *super = image + VDO_DATA_AT * BLOCK;
	uint8_t *at =
		damages[i].at >= SUPER ? super + damages[i].at - SUPER : image + damages[i].at;

	for (unsigned int n = 0; n < damages[i].bytes; n++)
		at[n] = (uint8_t)(damages[i].value >> (8 * n));
	if (damages[i].seal && damages[i].at >= SUPER)
		vdo_image_seal_super(super);
	else if (damages[i].seal)
		vdo_image_seal_geometry(image, 5);
	return image;
}

/* The name of a memory I/O is "memory". */
static const char *without_name(const char *says)
{
	return strncmp(says, "io: ", 4) == 0 ? says + 4 : says;
}

START_TEST(damage_is_named_and_nothing_is_written)
{
	struct uds_vdo_info info = UDS_VDO_INFO_INIT;
	uint8_t *image = damaged((size_t)_i);
	struct uds_io *io = bytes_io(image, VDO_BLOCKS * BLOCK), *index = NULL;

	message.text[0] = '\0';
	ck_assert_int_eq(uds_vdo_read_info(io, &message, &info), damages[_i].status);
	ck_assert_msg(strstr(message.text, without_name(damages[_i].says)) != NULL, "%s",
		      message.text);
	ck_assert_msg(strncmp(message.text, uds_io_name(io), strlen(uds_io_name(io))) == 0, "%s",
		      message.text);
	ck_assert_uint_eq(info.nonce, 0);
	ck_assert_int_eq(uds_vdo_open_index(io, NULL, NULL, &message, &index), damages[_i].status);
	ck_assert_ptr_null(index);
	ck_unchanged(io, image);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(image);
}
END_TEST

/*
 * Block numbers of a volume are higher than those of its device by the bio offset. A first slab
 * that lies below it lies in front of the device, however large the difference seems to be.
 */
START_TEST(the_bio_offset_counts_for_the_slabs)
{
	const uint64_t bio = 40, end = VDO_FIRST_SLAB + VDO_SLABS * VDO_SLAB_BLOCKS + bio;
	struct uds_vdo_info info = UDS_VDO_INFO_INIT;
	uint8_t *image = vdo_image_make(5), *super = image + VDO_DATA_AT * BLOCK;
	uint8_t *regions = image + vdo_image_regions_at(5);
	struct uds_io *io;

	put_le64(image + 56, bio);
	put_le64(regions + 4, 1 + bio);
	put_le64(regions + 16, VDO_DATA_AT + bio);
	vdo_image_seal_geometry(image, 5);
	put_le64(super + 365, VDO_FIRST_SLAB + bio);
	put_le64(super + 373, end);
	vdo_image_seal_super(super);
	io = bytes_io(image, VDO_BLOCKS * BLOCK);
	ck_assert_int_eq(uds_vdo_read_info(io, &message, &info), 0);
	ck_assert_uint_eq(info.nonce, VDO_NONCE);
	ck_assert_int_eq(uds_io_close(io), 0);
	put_le64(super + 365, end - 7 * VDO_SLAB_BLOCKS);
	ck_assert_uint_lt(end - 7 * VDO_SLAB_BLOCKS, bio);
	vdo_image_seal_super(super);
	io = bytes_io(image, VDO_BLOCKS * BLOCK);
	ck_assert_int_eq(uds_vdo_read_info(io, &message, &info), UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text,
			     "first slab: expected behind the super block, found block 22") != NULL,
		      "%s", message.text);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(image);
}
END_TEST

START_TEST(reference_counts_for_each_data_block_are_wanted)
{
	struct uds_vdo_info info = UDS_VDO_INFO_INIT;
	uint8_t *image = vdo_image_make(5), *super = image + VDO_DATA_AT * BLOCK;
	struct uds_io *io;

	/* The slab is as large as before. */
	put_le64(super + 325, 0);
	put_le64(super + 333, 8);
	vdo_image_seal_super(super);
	io = bytes_io(image, VDO_BLOCKS * BLOCK);
	ck_assert_int_eq(uds_vdo_read_info(io, &message, &info), UDS_ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(message.text,
				     "reference count blocks: expected at least 1 for "
				     "24 data blocks, found 0"));
	ck_assert_int_eq(uds_io_close(io), 0);
	free(image);
}
END_TEST

START_TEST(a_device_that_is_too_short_is_refused)
{
	struct uds_vdo_info info = UDS_VDO_INFO_INIT;
	uint8_t *image = vdo_image_make(5);
	struct uds_io *io = bytes_io(image, 100);

	ck_assert_int_eq(uds_vdo_read_info(io, &message, &info), UDS_ERR_NOT_AN_INDEX);
	ck_assert_msg(
		strstr(message.text, "not a VDO volume: expected at least 4096 bytes, found 100"),
		"%s", message.text);
	ck_assert_int_eq(uds_io_close(io), 0);
	io = bytes_io(image, VDO_DATA_AT * BLOCK);
	ck_assert_int_eq(uds_vdo_read_info(io, &message, &info), UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text, "super block: expected at block 101, but the device has "
					   "only 101 blocks"),
		      "%s", message.text);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(image);
}
END_TEST

/* Reading a volume, and opening its index, fail alike; then the device is still the caller's. */
static void ck_neither(struct uds_io *io, int status, const char *says)
{
	struct uds_vdo_info info = UDS_VDO_INFO_INIT;
	struct uds_io *index = NULL;

	ck_assert_int_eq(uds_vdo_read_info(io, &message, &info), status);
	ck_assert_msg(strstr(message.text, says) != NULL, "%s", message.text);
	ck_assert_int_eq(uds_vdo_open_index(io, NULL, NULL, &message, &index), status);
	ck_assert_msg(strstr(message.text, says) != NULL, "%s", message.text);
	ck_assert_ptr_null(index);
	ck_assert_uint_eq(info.nonce, 0);
}

START_TEST(a_device_that_cannot_be_read_is_named)
{
	struct fault_plan plan;
	struct uds_io *io;

	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, volume(5), NULL, &io), 0);
	fault_plan_fail(&plan, FAULT_SIZE, 1, -EIO, true);
	ck_neither(io, -EIO, ": asking for its size: ");
	fault_plan_fail(&plan, 0, 0, 0, false);
	fault_plan_spoil(&plan, FAULT_READ, 0, BLOCK);
	ck_neither(io, -EIO, ": geometry block: reading block 0: ");
	fault_plan_spoil(&plan, FAULT_READ, 0, 0);
	fault_plan_spoil(&plan, FAULT_READ, VDO_DATA_AT * BLOCK, BLOCK);
	ck_neither(io, -EIO, ": super block: reading block 101: ");
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(without_memory_for_a_block_nothing_is_read)
{
	struct uds_env wrong = UDS_ENV_INIT;
	struct torture_env torture;
	struct uds_io *io, *index = NULL;

	torture_env_start(&torture);
	ck_assert_int_eq(uds_io_open_memory(VDO_BLOCKS * BLOCK, 1, &torture.env, NULL, &io), 0);
	torture_env_fail_at(&torture, 1, true);
	ck_neither(io, -ENOMEM, uds_strerror(-ENOMEM));
	torture_env_fail_at(&torture, 0, false);
	wrong.size = 1;
	ck_assert_int_eq(uds_vdo_open_index(io, NULL, &wrong, &message, &index), -EINVAL);
	ck_assert_ptr_null(index);
	ck_assert_int_eq(uds_io_close(io), 0);
	torture_env_end(&torture);
}
END_TEST

/* The first block of an index that was copied out of a volume says where it was. */
START_TEST(an_index_that_was_in_no_volume_is_no_region)
{
	static const struct {
		uint64_t first;
		int status;
	} firsts[] = {
		{ 0, UDS_ERR_NOT_AN_INDEX },
		{ 1, UDS_ERR_READ_ONLY },
		{ UINT64_C(1) << 20, UDS_ERR_READ_ONLY },
		{ (UINT64_C(1) << 20) + 1, UDS_ERR_NOT_AN_INDEX },
		{ UINT64_MAX, UDS_ERR_NOT_AN_INDEX },
	};
	uint8_t block[BLOCK] = { 0 };

	for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
		struct uds_io *io, *index = NULL;

		put_le64(block, UINT64_C(0x416c6252676e3031));
		put_le64(block + 24, firsts[i].first);
		io = bytes_io(block, sizeof(block));
		ck_assert_int_eq(uds_vdo_open_index(io, NULL, NULL, &message, &index),
				 firsts[i].status);
		ck_assert_msg(firsts[i].status == UDS_ERR_READ_ONLY ||
				      strstr(message.text, "not a VDO volume, nor the index region "
							   "of one") != NULL,
			      "%s", message.text);
		ck_assert_ptr_null(index);
		ck_assert_int_eq(uds_io_close(io), 0);
	}
}
END_TEST

/* Its first block may be lost; whether there is an index says who opens it. */
START_TEST(what_is_said_to_be_a_region_is_taken_for_one)
{
	struct uds_vdo_index_options options = UDS_VDO_INDEX_OPTIONS_INIT;
	uint8_t blocks[2 * BLOCK] = { 0 };
	struct uds_io *io = bytes_io(blocks, sizeof(blocks)), *index = NULL;
	uint64_t bytes = 0;

	ck_assert_int_eq(uds_vdo_open_index(io, &options, NULL, &message, &index),
			 UDS_ERR_NOT_AN_INDEX);
	ck_assert_ptr_null(index);
	options.allow_region = true;
	ck_assert_int_eq(uds_vdo_open_index(io, &options, NULL, &message, &index), 0);
	ck_assert_uint_eq(uds_io_device_offset(index), BLOCK);
	ck_assert_int_eq(uds_io_size(index, &bytes), 0);
	ck_assert_uint_eq(bytes, sizeof(blocks));
	ck_assert(!uds_io_is_read_only(index));
	ck_assert_int_eq(uds_io_close(index), 0);
	/* Not one that says of itself that it was in no volume. */
	put_le64(blocks, UINT64_C(0x416c6252676e3031));
	ck_assert_int_eq(uds_io_write(io, blocks, sizeof(blocks), 0), 0);
	ck_assert_int_eq(uds_vdo_open_index(io, &options, NULL, &message, &index),
			 UDS_ERR_NOT_AN_INDEX);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

static struct uds_configuration small(void)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 1;
	configuration.chapters_per_volume = 8;
	configuration.nonce = VDO_NONCE;
	return configuration;
}

static struct uds_record_name name_of(unsigned int number)
{
	struct uds_record_name name;

	uds_record_name_of_block(&number, sizeof(number), &name);
	return name;
}

static void store(struct uds_io *io, unsigned int count)
{
	struct uds_record_data data = { { 7 } };
	struct uds_index *index;

	ck_assert_msg(uds_index_open(io, NULL, &message, &index) == 0, "%s", message.text);
	for (unsigned int i = 0; i < count; i++) {
		struct uds_record_name name = name_of(i);

		ck_assert_int_eq(uds_index_update(index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
}

static void ck_has(struct uds_io *io, uint64_t offset, unsigned int count)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_index *index;
	uint64_t findings = 1;

	options.offset = offset;
	options.mode = UDS_INDEX_READ_ONLY;
	ck_assert_msg(uds_index_open(io, &options, &message, &index) == 0, "%s", message.text);
	for (unsigned int i = 0; i < count; i++) {
		struct uds_record_name name = name_of(i);
		bool found = false;

		ck_assert_int_eq(uds_index_peek(index, &name, NULL, &found), 0);
		ck_assert(found);
	}
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_index_verify(io, &options, NULL, NULL, &message, &findings), 0);
	ck_assert_uint_eq(findings, 0);
}

/*
 * What is written through the region is the index at byte 4096 of the device, and
 * nothing else changes.
 */
START_TEST(the_index_of_a_volume_is_an_io)
{
	struct uds_index_format_options format = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration configuration = small();
	uint8_t *image = vdo_image_make(5), *after = malloc(VDO_BLOCKS * BLOCK);
	struct uds_io *device = bytes_io(image, VDO_BLOCKS * BLOCK), *io, *copy;
	struct uds_vdo_index_options options = UDS_VDO_INDEX_OPTIONS_INIT;
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	uint64_t bytes;

	(void)limits;
	ck_assert_ptr_nonnull(after);
	ck_assert_msg(uds_vdo_open_index(device, NULL, NULL, &message, &io) == 0, "%s",
		      message.text);
	ck_assert_int_eq(uds_io_size(io, &bytes), 0);
	ck_assert_uint_eq(bytes, 100 * BLOCK);
	ck_assert_uint_eq(uds_io_device_offset(io), BLOCK);
	format.no_extras = true;
	ck_assert_msg(uds_index_format(io, &configuration, &format, &message) == 0, "%s",
		      message.text);
	store(io, 300);
	ck_has(io, 0, 100);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* By the whole device, as dm-vdo sees it. */
	ck_has(device, BLOCK, 100);
	ck_assert_int_eq(uds_io_read(device, after, VDO_BLOCKS * BLOCK, 0), 0);
	ck_assert_int_eq(memcmp(after, image, BLOCK), 0);
	ck_assert_int_eq(memcmp(after + VDO_DATA_AT * BLOCK, image + VDO_DATA_AT * BLOCK,
				(VDO_BLOCKS - VDO_DATA_AT) * BLOCK),
			 0);

	/* Copied out of it: it says block 1, and is at block 0. */
	copy = bytes_io(after + BLOCK, 100 * BLOCK);
	ck_assert_int_eq(uds_vdo_open_index(copy, NULL, NULL, &message, &io), UDS_ERR_READ_ONLY);
	ck_assert_msg(strstr(message.text,
			     "is an index region that was copied out of a VDO volume "
			     "(it was at block 1), so it opens read-only; add region=1 "
			     "to write it"),
		      "%s", message.text);
	copy->read_only = true;
	ck_assert_int_eq(uds_vdo_open_index(copy, NULL, NULL, &message, &io), 0);
	ck_has(io, 0, 100);
	ck_assert(uds_io_is_read_only(io));
	ck_assert_int_eq(uds_io_close(io), 0);
	copy->read_only = false;
	options.allow_region = true;
	options.close_device = true;
	ck_assert_int_eq(uds_vdo_open_index(copy, &options, NULL, &message, &io), 0);
	store(io, 310);
	ck_has(io, 0, 100);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(device), 0);
	free(image);
	free(after);
}
END_TEST

START_TEST(a_volume_that_is_not_stopped_is_not_written)
{
	struct uds_vdo_index_options options = UDS_VDO_INDEX_OPTIONS_INIT;
	struct uds_env env = UDS_ENV_INIT;

	env.context = &logged;
	env.log = keep_log;
	for (uint32_t state = 0; state < 9; state++) {
		bool stopped = state == UDS_VDO_NEW || state == UDS_VDO_CLEAN;
		uint8_t *image = vdo_image_make(5);
		struct uds_io *device, *io;
		char says[200];

		put_le32(image + VDO_DATA_AT * BLOCK + 40, state);
		vdo_image_seal_super(image + VDO_DATA_AT * BLOCK);
		device = bytes_io(image, VDO_BLOCKS * BLOCK);
		options.allow_dirty = false;
		ck_assert_int_eq(uds_vdo_open_index(device, &options, &env, &message, &io),
				 stopped ? 0 : UDS_ERR_IN_USE);
		snprintf(says, sizeof(says),
			 "super block: state: expected clean or new, found %s: the volume runs, or "
			 "was not stopped; start and stop it, or add dirty=1",
			 uds_vdo_state_name(state));
		ck_assert(stopped || strstr(message.text, says) != NULL);
		if (stopped)
			ck_assert_int_eq(uds_io_close(io), 0);
		options.allow_dirty = true;
		ck_assert_int_eq(uds_vdo_open_index(device, &options, &env, &message, &io), 0);
		ck_assert(!uds_io_is_read_only(io));
		ck_assert_int_eq(uds_io_close(io), 0);
		/* Reading is always allowed, and says what may be wrong with it. */
		options.allow_dirty = false;
		device->read_only = true;
		logged.text[0] = '\0';
		ck_assert_int_eq(uds_vdo_open_index(device, &options, &env, &message, &io), 0);
		ck_assert(uds_io_is_read_only(io));
		ck_assert_int_eq(uds_io_close(io), 0);
		ck_assert_msg((logged.text[0] == '\0') == stopped, "%s", logged.text);
		device->in_use = true;
		ck_assert_int_eq(uds_vdo_open_index(device, &options, &env, &message, &io), 0);
		ck_assert(uds_io_is_in_use(io));
		ck_assert_msg(strstr(logged.text,
				     "the volume is in use: what is read may be mixed") != NULL,
			      "%s", logged.text);
		ck_assert_int_eq(uds_io_close(io), 0);
		ck_unchanged(device, image);
		ck_assert_int_eq(uds_io_close(device), 0);
		free(image);
	}
}
END_TEST

START_TEST(advice_is_taken_apart_and_made)
{
	struct uds_record_data data;

	for (unsigned int state = 0; state < 256; state++) {
		struct uds_vdo_advice advice = { .block = 77 };
		struct uds_record_data again;

		memset(&data, 0, sizeof(data));
		data.bytes[0] = 2;
		data.bytes[1] = (uint8_t)state;
		put_le64(data.bytes + 2, UINT64_C(0x0102030405060708));
		if (state < 1 || state > 15) {
			ck_assert_int_eq(uds_vdo_decode_advice(&data, &message, &advice),
					 UDS_ERR_CORRUPT);
			ck_assert_ptr_nonnull(strstr(message.text, "mapping state"));
			ck_assert_uint_eq(advice.block, 77);
			continue;
		}
		ck_assert_int_eq(uds_vdo_decode_advice(&data, NULL, &advice), 0);
		ck_assert_uint_eq(advice.block, UINT64_C(0x0102030405060708));
		ck_assert(advice.compressed == (state > 1));
		ck_assert_uint_eq(advice.slot, state > 1 ? state - 2 : 0);
		uds_vdo_encode_advice(&advice, &again);
		ck_assert_mem_eq(&again, &data, sizeof(data));
		for (unsigned int at = 10; at < 16; at++) {
			char says[40];

			again.bytes[at] = 7;
			ck_assert_int_eq(uds_vdo_decode_advice(&again, &message, &advice),
					 UDS_ERR_CORRUPT);
			snprintf(says, sizeof(says), "advice: byte %u: expected 0, found 7", at);
			ck_assert_str_eq(message.text, says);
			again.bytes[at] = 0;
		}
		again.bytes[0] = 3;
		ck_assert_int_eq(uds_vdo_decode_advice(&again, NULL, &advice), UDS_ERR_CORRUPT);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vdo volume");
	TCase *tc = tcase_create("vdo volume");

	tcase_add_test(tc, a_volume_says_what_it_is);
	tcase_add_test(tc, each_memory_setting_is_known);
	tcase_add_loop_test(tc, damage_is_named_and_nothing_is_written, 0,
			    sizeof(damages) / sizeof(damages[0]));
	tcase_add_test(tc, the_bio_offset_counts_for_the_slabs);
	tcase_add_test(tc, reference_counts_for_each_data_block_are_wanted);
	tcase_add_test(tc, a_device_that_is_too_short_is_refused);
	tcase_add_test(tc, a_device_that_cannot_be_read_is_named);
	tcase_add_test(tc, without_memory_for_a_block_nothing_is_read);
	tcase_add_test(tc, an_index_that_was_in_no_volume_is_no_region);
	tcase_add_test(tc, what_is_said_to_be_a_region_is_taken_for_one);
	tcase_add_test(tc, the_index_of_a_volume_is_an_io);
	tcase_add_test(tc, a_volume_that_is_not_stopped_is_not_written);
	tcase_add_test(tc, advice_is_taken_apart_and_made);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
