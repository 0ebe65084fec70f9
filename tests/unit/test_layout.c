/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout of an index on its device: what the reference's images say, byte for byte both ways,
 * and what is said about damaged ones.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/failures.h"
#include "check_main.h"
#include "fault_io.h"
#include "index_image.h"
#include "io/io.h"
#include "torture_env.h"
#include "volume/config_block.h"
#include "volume/layout.h"
#include "volume/save_header.h"

#define PAYLOAD_AT 192 /* in a super block */

static void read_ok(struct uds_io *io, uint64_t offset, struct layout *ret_layout)
{
	struct uds_message message = { "" };
	int r = layout_read(io, offset, &message, ret_layout);

	ck_assert_msg(r == 0, "%d: %s", r, message.text);
}

START_TEST(every_image_says_what_its_description_says)
{
	const char *const *names = index_image_names();

	if (names == NULL)
		skip_test("every_image_says_what_its_description_says: no vectors");
	for (; *names != NULL; names++) {
		struct index_image image;
		struct layout layout;
		struct uds_io *io;

		index_image_load(*names, &image);
		io = index_image_io(&image);
		read_ok(io, image.offset, &layout);
		ck_assert_uint_eq(layout.super.version, image.super_version);
		ck_assert_uint_eq(layout.super.primary_nonce, image.primary_nonce);
		ck_assert_uint_eq(layout.super.volume_nonce, image.volume_nonce);
		ck_assert_uint_eq(layout.super.volume_offset, image.volume_offset);
		ck_assert_uint_eq(layout.super.start_offset, image.start_offset);
		ck_assert_uint_eq(layout.super.total_blocks, image.total_blocks);
		ck_assert_uint_eq(layout_bytes(&layout), image.total_blocks * 4096);
		ck_assert_mem_eq(layout.super.nonce_data, image.nonce_data, 32);
		assert_same_configuration(&layout.configuration, &image.configuration);
		ck_assert_uint_eq(layout.config_version, image.super_version == 7 ? 802 : 602);
		ck_assert_uint_eq(layout.geometry.index_pages_per_chapter, image.index_pages);
		for (int i = 0; i < IMAGE_SLOTS; i++) {
			const struct save_slot *slot = &layout.saves.slots[i];
			const struct image_save *save = &image.saves[i];

			ck_assert_int_eq(slot->state, save->present ? SLOT_VALID : SLOT_UNSAVED);
			if (!save->present)
				continue;
			ck_assert_uint_eq(slot->save.zones, save->zones);
			ck_assert_uint_eq(slot->save.timestamp, save->timestamp);
			ck_assert_uint_eq(slot->save.nonce, save->nonce);
			ck_assert_uint_eq(slot->save.newest, save->newest);
			ck_assert_uint_eq(slot->save.oldest, save->oldest);
			ck_assert_uint_eq(slot->save.last_save, save->last_save);
		}
		uds_io_close(io);
		index_image_free(&image);
	}
}
END_TEST

START_TEST(every_image_has_its_super_and_config_block_written_again)
{
	const char *const *names = index_image_names();
	uint8_t block[BLOCK_BYTES];

	if (names == NULL)
		skip_test("every_image_has_its_super_and_config_block_written_again: no vectors");
	for (; *names != NULL; names++) {
		struct index_image image;
		struct layout layout;
		struct uds_io *io;

		index_image_load(*names, &image);
		io = index_image_io(&image);
		read_ok(io, image.offset, &layout);
		super_block_encode(&layout.super, block);
		ck_assert_mem_eq(block, image.bytes + image.offset, BLOCK_BYTES);
		config_block_encode(&layout.configuration, layout.config_version, block);
		ck_assert_mem_eq(block, image.bytes + image.offset + BLOCK_BYTES, BLOCK_BYTES);
		uds_io_close(io);
		index_image_free(&image);
	}
}
END_TEST

/* The bytes of block @block of an I/O. */
static const uint8_t *block_of(struct uds_io *io, uint64_t block)
{
	static uint8_t bytes[BLOCK_BYTES];

	ck_assert_int_eq(uds_io_read(io, bytes, BLOCK_BYTES, block * BLOCK_BYTES), 0);
	return bytes;
}

/*
 * Saves in the order of the recorded time stamps and compares the headers. A conversion rewrote the
 * chapters' numbers of the slots, but both headers are of the same form.
 */
static void save_again(struct uds_io *io, const struct index_image *image, struct layout *layout)
{
	int first = image->saves[0].present && image->saves[1].present &&
		    image->saves[1].timestamp < image->saves[0].timestamp;

	for (int n = 0; n < IMAGE_SLOTS; n++) {
		const struct image_save *recorded = &image->saves[first ^ n];
		struct uds_message message;
		struct save save;
		uint64_t at;

		if (!recorded->present)
			continue;
		ck_assert_int_eq(saves_begin(&layout->saves, io, &layout->super, recorded->zones,
					     recorded->timestamp, &message, &save),
				 0);
		save.newest = recorded->newest;
		save.oldest = recorded->oldest;
		ck_assert_int_eq(
			saves_commit(&layout->saves, io, &layout->super, &save, false, &message),
			0);
		at = super_block_save_at(&layout->super, save.slot);
		ck_assert_mem_eq(block_of(io, at), image->bytes + at * BLOCK_BYTES, BLOCK_BYTES);
	}
}

START_TEST(an_index_created_and_saved_again_has_the_recorded_bytes)
{
	const char *const *names = index_image_names();

	if (names == NULL)
		skip_test("an_index_created_and_saved_again_has_the_recorded_bytes: no vectors");
	for (; *names != NULL; names++) {
		struct uds_message message = { "" };
		struct index_image image;
		struct layout layout;
		struct uds_io *io;
		int r;

		index_image_load(*names, &image);
		ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &io), 0);
		if (image.super_version != 3) { /* only a conversion makes those */
			uds_io_close(io);
			index_image_free(&image);
			continue;
		}
		r = layout_create(io, &io->env, &image.configuration,
				  &(struct layout_options){ .offset = image.offset,
							    .nonce_data = image.nonce_data },
				  &message);
		ck_assert_msg(r == 0, "%s: %s", *names, message.text);
		read_ok(io, image.offset, &layout);
		save_again(io, &image, &layout);
		for (uint64_t b = image.offset / 4096; b < image.offset / 4096 + 2; b++)
			ck_assert_mem_eq(block_of(io, b), image.bytes + b * BLOCK_BYTES,
					 BLOCK_BYTES);
		for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
			uint64_t at = super_block_save_at(&layout.super, i);

			ck_assert_mem_eq(block_of(io, at), image.bytes + at * BLOCK_BYTES,
					 BLOCK_BYTES);
		}
		uds_io_close(io);
		index_image_free(&image);
	}
}
END_TEST

/*
 * A small index to damage. Where its parts are, in blocks: 0 super block, 1 config block, 2 volume
 * (41 blocks), 43 and 84 saves, 125 seal.
 */
static struct uds_io *small_index(uint64_t offset)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	uint8_t nonce_data[32] = "these bytes make the index uniqu";
	struct uds_message message = { "" };
	struct uds_io *io;
	int r;

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 4;
	configuration.chapters_per_volume = 8;
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &io), 0);
	r = layout_create(io, &io->env, &configuration,
			  &(struct layout_options){ .offset = offset, .nonce_data = nonce_data },
			  &message);
	ck_assert_msg(r == 0, "%s", message.text);
	return io;
}

static struct save save_small(struct uds_io *io, struct layout *layout, unsigned int zones,
			      uint64_t now, uint64_t newest)
{
	struct uds_message message = { "" };
	struct save save;

	ck_assert_int_eq(
		saves_begin(&layout->saves, io, &layout->super, zones, now, &message, &save), 0);
	save.newest = newest;
	save.oldest = newest < 7 ? 0 : newest - 7;
	ck_assert_int_eq(saves_commit(&layout->saves, io, &layout->super, &save, false, &message),
			 0);
	return save;
}

struct damage {
	uint64_t at; /* byte of the I/O */
	unsigned int width;
	uint64_t value;
	int status;
	const char *says;
};

static void apply(struct uds_io *io, const struct damage *d)
{
	uint8_t bytes[8];

	put_le64(bytes, d->value);
	ck_assert_int_eq(uds_io_write(io, bytes, d->width, d->at), 0);
}

#define CONFIG_AT 4096
#define SAVE_AT	  (43 * 4096)

static const struct damage damages[] = {
	/* Super block: region table. */
	{ 0, 8, 0, UDS_ERR_NOT_AN_INDEX, "super block: magic" },
	{ 8, 8, 127, UDS_ERR_CORRUPT, "super block: total blocks: expected 126, found 127" },
	{ 16, 2, 2, UDS_ERR_CORRUPT, "super block: type: expected 1, found 2" },
	{ 18, 2, 2, UDS_ERR_UNSUPPORTED_VERSION, "region table version: expected 1, found 2" },
	{ 20, 2, 6, UDS_ERR_CORRUPT, "super block: region count: expected 7, found 6" },
	{ 20, 2, 65535, UDS_ERR_CORRUPT, "region count: expected at most 20, found 65535" },
	{ 22, 2, 103, UDS_ERR_CORRUPT, "payload length: expected at least 104, found 103" },
	{ 22, 2, 105, UDS_ERR_CORRUPT, "payload length: expected 104, found 105" },
	{ 22, 2, 65535, UDS_ERR_CORRUPT, "payload length: expected at most 3904, found 65535" },
	{ 24, 8, 1, UDS_ERR_CORRUPT, "header region (0): start block: expected 0, found 1" },
	{ 32, 8, 2, UDS_ERR_CORRUPT, "header region: blocks: expected 1, found 2" },
	{ 44, 2, 2, UDS_ERR_CORRUPT, "region 0: kind: expected 1 (header region), found 2" },
	{ 46, 2, 0, UDS_ERR_CORRUPT, "header region (0): instance: expected 65535, found 0" },
	{ 48, 8, 9, UDS_ERR_CORRUPT, "config region (1): start block: expected 1, found 9" },
	{ 56, 8, 0, UDS_ERR_CORRUPT, "config region: blocks: expected 1, found 0" },
	{ 72, 8, 3, UDS_ERR_CORRUPT, "sub-index region (2): start block: expected 2, found 3" },
	{ 80, 8, 124, UDS_ERR_CORRUPT, "sub-index region: blocks: expected 123, found 124" },
	{ 96, 8, 0, UDS_ERR_CORRUPT, "volume region (3): start block: expected 2, found 0" },
	{ 104, 8, 40, UDS_ERR_CORRUPT, "save region (4): start block: expected 42, found 43" },
	{ 104, 8, UINT64_MAX, UDS_ERR_CORRUPT, "volume region (3): blocks: expected at most" },
	{ 120, 8, 1000000, UDS_ERR_CORRUPT, "save region (4): start block: expected 43" },
	{ 128, 8, 42, UDS_ERR_CORRUPT, "save region (5): start block: expected 85, found 84" },
	{ 142, 2, 1, UDS_ERR_CORRUPT, "save region (4): instance: expected 0, found 1" },
	{ 144, 8, 83, UDS_ERR_CORRUPT, "save region (5): start block: expected 84, found 83" },
	{ 152, 8, 42, UDS_ERR_CORRUPT, "save 1 region: blocks: expected 41, found 42" },
	{ 168, 8, 126, UDS_ERR_CORRUPT, "seal region (6): start block: expected 125, found 126" },
	{ 176, 8, 0, UDS_ERR_CORRUPT, "seal region: blocks: expected 1, found 0" },
	{ 188, 2, 103, UDS_ERR_CORRUPT, "region 6: kind: expected 102 (seal region), found 103" },
	/* Super block: payload. */
	{ PAYLOAD_AT, 1, '+', UDS_ERR_CORRUPT,
	  "super block: label: expected \"*ALBIREO*SINGLE*FILE*LAYOUT*001*\", found "
	  "\"+ALBIREO*SINGLE*FILE*LAYOUT*001*\"" },
	{ PAYLOAD_AT + 40, 1, 0, UDS_ERR_CORRUPT, "super block: primary nonce" },
	{ PAYLOAD_AT + 64, 8, 5, UDS_ERR_CORRUPT, "super block: primary nonce" },
	{ PAYLOAD_AT + 72, 4, 2, UDS_ERR_UNSUPPORTED_VERSION, "version: expected 3 or 7, found 2" },
	{ PAYLOAD_AT + 72, 4, 8, UDS_ERR_UNSUPPORTED_VERSION, "version: expected 3 or 7, found 8" },
	{ PAYLOAD_AT + 72, 4, 7, UDS_ERR_CORRUPT, "payload length: expected 120, found 104" },
	{ PAYLOAD_AT + 76, 4, 512, UDS_ERR_CORRUPT, "block size: expected 4096, found 512" },
	{ PAYLOAD_AT + 80, 2, 2, UDS_ERR_CORRUPT, "number of sub-indexes: expected 1, found 2" },
	{ PAYLOAD_AT + 82, 2, 3, UDS_ERR_CORRUPT, "number of save slots: expected 2, found 3" },
	{ PAYLOAD_AT + 88, 8, 4, UDS_ERR_CORRUPT, "open chapter: blocks: expected 5" },
	{ PAYLOAD_AT + 88, 8, UINT64_MAX, UDS_ERR_CORRUPT, "expected less than the 41 of a save" },
	{ PAYLOAD_AT + 96, 8, 0, UDS_ERR_CORRUPT, "page map: blocks: expected 1" },
	{ PAYLOAD_AT + 96, 8, UINT64_MAX, UDS_ERR_CORRUPT, "expected less than the 41 of a save" },
	{ PAYLOAD_AT + 96, 8, 35, UDS_ERR_CORRUPT, "expected less than the 41 of a save" },
	/* Config block. */
	{ CONFIG_AT, 1, 'B', UDS_ERR_CORRUPT,
	  "config block: magic: expected \"ALBIC\", found \"BLBIC\"" },
	{ CONFIG_AT, 2, 0x1b, UDS_ERR_CORRUPT, "found \"\\x1b\\x00BIC\"" },
	{ CONFIG_AT + 5, 4, 0x30302e37, UDS_ERR_UNSUPPORTED_VERSION,
	  "config block: version: expected 06.02 or 08.02, found \"7.002\"" },
	{ CONFIG_AT + 5, 2, 0x3730, UDS_ERR_UNSUPPORTED_VERSION, "found \"07.02\"" },
	{ CONFIG_AT + 10, 4, 0, UDS_ERR_CORRUPT, "config block: record pages per chapter" },
	{ CONFIG_AT + 10, 4, 5, UDS_ERR_CORRUPT, "volume region: blocks: expected 49" },
	{ CONFIG_AT + 10, 4, 3, UDS_ERR_CORRUPT, "volume region: blocks: expected 33, " },
	{ CONFIG_AT + 14, 4, 0, UDS_ERR_CORRUPT, "config block: chapters per volume" },
	{ CONFIG_AT + 14, 4, 6, UDS_ERR_CORRUPT, "volume region: blocks: expected 31, " },
	{ CONFIG_AT + 14, 4, 10, UDS_ERR_CORRUPT, "volume region: blocks: expected 51" },
	{ CONFIG_AT + 18, 4, 8, UDS_ERR_CORRUPT, "config block: sparse" },
	{ CONFIG_AT + 22, 4, 0, UDS_ERR_CORRUPT, "config block: cache chapters" },
	{ CONFIG_AT + 30, 4, 0, UDS_ERR_CORRUPT, "config block: volume index mean delta" },
	{ CONFIG_AT + 34, 4, 100, UDS_ERR_CORRUPT, "config block: page" },
	{ CONFIG_AT + 38, 4, 32, UDS_ERR_CORRUPT, "config block: sparse sample rate" },
};

START_TEST(damaged_super_and_config_blocks_are_named)
{
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct damage *d = &damages[i];
		struct uds_io *io = small_index(0);
		uint8_t before[2 * 4096], after[2 * 4096];
		struct uds_message message = { "" };
		struct layout layout = { .config_version = 77 };
		int r;

		apply(io, d);
		ck_assert_int_eq(uds_io_read(io, before, sizeof(before), 0), 0);
		r = layout_read(io, 0, &message, &layout);
		ck_assert_msg(r == d->status && strstr(message.text, d->says) != NULL,
			      "damage %zu at %" PRIu64 ": %d, %s", i, d->at, r, message.text);
		ck_assert_msg(strncmp(message.text, "mem:: ", 6) == 0, "%s", message.text);
		ck_assert_uint_eq(layout.config_version, 77); /* untouched */
		ck_assert_int_eq(uds_io_read(io, after, sizeof(after), 0), 0);
		ck_assert_mem_eq(before, after, sizeof(before));
		uds_io_close(io);
	}
}
END_TEST

static const struct damage converted_damages[] = {
	{ PAYLOAD_AT + 72, 4, 3, UDS_ERR_CORRUPT, "payload length: expected 104, found 120" },
	{ PAYLOAD_AT + 104, 8, 2, UDS_ERR_CORRUPT, "start offset: expected at most the volume" },
	{ PAYLOAD_AT + 104, 8, 17, UDS_ERR_CORRUPT, "header region (0): start block: expected 1" },
	{ PAYLOAD_AT + 104, 8, 19, UDS_ERR_CORRUPT,
	  "volume offset: expected at most start offset" },
	{ PAYLOAD_AT + 104, 8, UINT64_MAX, UDS_ERR_CORRUPT, "volume offset: expected at most" },
	{ PAYLOAD_AT + 112, 8, 4, UDS_ERR_CORRUPT, "header region (0): start block: expected 1" },
	{ PAYLOAD_AT + 112, 8, 19, UDS_ERR_CORRUPT, "start offset: expected at most the volume" },
	{ PAYLOAD_AT + 88, 8, 16, UDS_ERR_CORRUPT, "open chapter: blocks: expected at least 17" },
	{ CONFIG_AT + 14, 4, 8, UDS_ERR_CORRUPT, "config block: a remapped chapter needs an odd" },
	{ CONFIG_AT + 14, 4, 5, UDS_ERR_CORRUPT, "volume region: blocks: expected " },
	{ CONFIG_AT + 50, 8, UINT64_MAX, UDS_ERR_CORRUPT, "config block: remapped virtual" },
	{ CONFIG_AT + 50, 8, 1000, UDS_ERR_CORRUPT, "config block: remapped virtual" },
	{ CONFIG_AT + 58, 8, 7, UDS_ERR_CORRUPT, "config block: remapped physical chapter 7" },
	{ CONFIG_AT + 58, 8, UINT64_MAX, UDS_ERR_CORRUPT, "config block: remapped physical" },
};

START_TEST(offsets_of_a_converted_volume_that_contradict_each_other_are_named)
{
	struct index_image image;

	if (vectors_dir() == NULL)
		skip_test("offsets_of_a_converted_volume_that_contradict_each_other_are_named: "
			  "no vectors");
	index_image_load("converted-used", &image);
	for (size_t i = 0; i < sizeof(converted_damages) / sizeof(converted_damages[0]); i++) {
		struct damage d = converted_damages[i];
		struct uds_io *io = index_image_io(&image);
		struct uds_message message = { "" };
		struct layout layout;
		int r;

		d.at += image.offset;
		apply(io, &d);
		r = layout_read(io, image.offset, &message, &layout);
		ck_assert_msg(r == d.status && strstr(message.text, d.says) != NULL,
			      "damage %zu: %d, %s", i, r, message.text);
		uds_io_close(io);
	}
	index_image_free(&image);
}
END_TEST

START_TEST(an_io_shorter_than_the_index_is_refused)
{
	static const struct {
		uint64_t bytes;
		int status;
		const char *says;
	} cuts[] = {
		{ 0, UDS_ERR_NOT_AN_INDEX, "super block: expected at block 0" },
		{ 4095, UDS_ERR_NOT_AN_INDEX, "super block: expected at block 0" },
		{ 4096, UDS_ERR_CORRUPT, "up to block 125, but it ends at block 1" },
		{ 125 * 4096 - 1, UDS_ERR_CORRUPT, "up to block 125, but it ends at block 124" },
		{ 125 * 4096, 0, "" }, /* without the seal, which is never written */
	};

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct uds_message message = { "" };
		struct uds_io *io = small_index(0);
		struct layout layout;
		int r;

		ck_assert_int_eq(uds_io_resize(io, cuts[i].bytes), 0);
		r = layout_read(io, 0, &message, &layout);
		ck_assert_msg(r == cuts[i].status && strstr(message.text, cuts[i].says) != NULL,
			      "%d, %s", r, message.text);
		uds_io_close(io);
	}
}
END_TEST

START_TEST(places_that_cannot_hold_an_index_are_refused)
{
	struct uds_message message = { "" };
	struct uds_io *io = small_index(8192);
	struct layout layout;

	ck_assert_int_eq(layout_read(io, 8192, &message, &layout), 0);
	ck_assert_int_eq(layout_read(io, 0, &message, &layout), UDS_ERR_NOT_AN_INDEX);
	ck_assert_int_eq(layout_read(io, 100, &message, &layout), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "multiple of 4096"));
	ck_assert_int_eq(layout_read(io, UINT64_MAX - 4095, &message, &layout),
			 UDS_ERR_NOT_AN_INDEX);
	uds_io_close(io);
	ck_assert_int_eq(uds_io_open_memory(1 << 20, 8192, NULL, NULL, &io), 0);
	ck_assert_int_eq(layout_read(io, 0, &message, &layout), UDS_ERR_UNALIGNED);
	uds_io_close(io);
}
END_TEST

START_TEST(the_nonce_is_compared_when_asked_for)
{
	struct uds_message message = { "" };
	struct uds_io *io = small_index(0);
	struct layout layout;

	read_ok(io, 0, &layout);
	ck_assert_int_eq(layout_check_nonce(io, &layout, 0, &message), 0);
	ck_assert_int_eq(layout_check_nonce(io, &layout, 17, &message), UDS_ERR_NONCE_MISMATCH);
	ck_assert_str_eq(message.text, "mem:: config block: nonce: expected 17, found 0");
	uds_io_close(io);
}
END_TEST

/* For a save of 2 zones: regions header, page map, zones 0 and 1, open chapter; nothing free. */
static const struct damage save_damages[] = {
	{ SAVE_AT, 8, 0, 0, "magic: expected" },
	{ SAVE_AT + 8, 8, 42, 0, "save 0 header: blocks: expected 41, found 42" },
	{ SAVE_AT + 16, 2, 3, 0, "type: expected 2, found 3" },
	{ SAVE_AT + 18, 2, 0, 0, "region table version: expected 1, found 0" },
	{ SAVE_AT + 20, 2, 4, 0, "region 3: kind: expected 303 (open chapter region), found 302" },
	{ SAVE_AT + 20, 2, 3, 0, "region count: expected 4 to 19, found 3" },
	{ SAVE_AT + 20, 2, 0, 0, "region count: expected 4 to 19, found 0" },
	{ SAVE_AT + 22, 2, 63, 0, "payload length: expected 64, found 63" },
	{ SAVE_AT + 48, 8, 45, 0, "page map region (1): start block: expected 44, found 45" },
	{ SAVE_AT + 56, 8, 0, 0, "page map region (1): blocks: expected 1 to 40, found 0" },
	{ SAVE_AT + 56, 8, UINT64_MAX, 0, "page map region (1): blocks: expected at most" },
	{ SAVE_AT + 80, 8, 99, 0, "volume index region (2): blocks: expected 1 to 39, found 99" },
	{ SAVE_AT + 94, 2, 1, 0, "volume index region (2): instance: expected 0, found 1" },
	{ SAVE_AT + 120, 8, 8, 0, "open chapter region (4): start block: expected 79, found 8" },
	{ SAVE_AT + 128, 8, 6, 0, "open chapter region (4): blocks: expected 1 to 5, found 6" },
	{ SAVE_AT + 128, 8, 4, 0, "end of the last region: block: expected 84, found 83" },
	{ SAVE_AT + 144, 8, 0, 0, "time stamp: expected one, found 0" },
	{ SAVE_AT + 144, 8, 99, 0, "save nonce: found" },
	{ SAVE_AT + 152, 8, 99, 0, "save nonce: found 0x63" },
	{ SAVE_AT + 160, 4, 2, 0, "save version: expected at most 1, found 2" },
	{ SAVE_AT + 168, 4, 0, 0, "index state signature: expected 4294967295, found 0" },
	{ SAVE_AT + 172, 4, 302, 0, "index state version: expected 301, found 302" },
};

START_TEST(a_damaged_save_header_makes_its_slot_unsaved_and_says_why)
{
	for (size_t i = 0; i < sizeof(save_damages) / sizeof(save_damages[0]); i++) {
		const struct damage *d = &save_damages[i];
		struct uds_message message = { "" };
		struct uds_io *io = small_index(0);
		const struct save *save;
		struct layout layout;
		int r;

		read_ok(io, 0, &layout);
		ck_assert_uint_eq(save_small(io, &layout, 2, 1000, 9).slot, 0);
		apply(io, d);
		read_ok(io, 0, &layout);
		r = saves_latest(&layout.saves, &layout.geometry, &message, &save);
		ck_assert_msg(layout.saves.slots[0].state == SLOT_DAMAGED &&
				      r == UDS_ERR_NEEDS_RECOVERY &&
				      strstr(message.text, d->says) != NULL,
			      "damage %zu: %d, %s", i, r, message.text);
		uds_io_close(io);
	}
}
END_TEST

static enum save_slot_state marked_slot(uint64_t later, size_t change, struct layout *layout,
					struct uds_io **ret_io)
{
	struct uds_io *io = small_index(0);
	uint8_t block[BLOCK_BYTES];
	uint64_t at;

	read_ok(io, 0, layout);
	save_small(io, layout, 1, 1000, 9);
	save_small(io, layout, 1, 2000, 9);
	at = super_block_save_at(&layout->super, 0) * BLOCK_BYTES;
	save_header_encode_mark(&layout->super, later, block);
	if (change < BLOCK_BYTES)
		block[change] ^= 1;
	ck_assert_int_eq(uds_io_write(io, block, sizeof(block), at), 0);
	read_ok(io, 0, layout);
	*ret_io = io;
	return layout->saves.slots[0].state;
}

START_TEST(a_marked_slot_counts_as_unsaved_while_the_later_save_is_there)
{
	struct uds_message message;
	struct layout layout;
	struct uds_io *io;

	for (size_t byte = 0; byte < 28; byte++) {
		ck_assert_int_eq(marked_slot(2000, byte, &layout, &io), SLOT_DAMAGED);
		uds_io_close(io);
	}
	ck_assert_int_eq(marked_slot(2001, BLOCK_BYTES, &layout, &io), SLOT_DAMAGED);
	uds_io_close(io);
	ck_assert_int_eq(marked_slot(1999, BLOCK_BYTES, &layout, &io), SLOT_UNSAVED);
	uds_io_close(io);
	ck_assert_int_eq(marked_slot(2000, BLOCK_BYTES, &layout, &io), SLOT_UNSAVED);
	/* The later save is given up: with the mark alone the slot would be damaged again. */
	layout.saves.slots[1].abandoned = true;
	ck_assert_int_eq(saves_invalidate(&layout.saves, io, &layout.super, &message), 0);
	read_ok(io, 0, &layout);
	for (unsigned int i = 0; i < SAVE_SLOTS; i++)
		ck_assert_int_eq(layout.saves.slots[i].state, SLOT_UNSAVED);
	uds_io_close(io);
}
END_TEST

START_TEST(a_save_of_more_zones_than_there_can_be_is_refused)
{
	/* As many regions as a table has room for, the last of them not free space. */
	const struct damage count = { SAVE_AT + 20, 2, 20, 0, "" };
	const struct damage kind = { SAVE_AT + 24 + 19 * 24 + 20, 2, REGION_OPEN_CHAPTER, 0, "" };
	struct uds_message message = { "" };
	struct uds_io *io = small_index(0);
	const struct save *save;
	struct layout layout;

	read_ok(io, 0, &layout);
	save_small(io, &layout, 2, 1000, 9);
	apply(io, &count);
	apply(io, &kind);
	read_ok(io, 0, &layout);
	ck_assert_int_eq(saves_latest(&layout.saves, &layout.geometry, &message, &save),
			 UDS_ERR_NEEDS_RECOVERY);
	ck_assert_msg(strstr(message.text, "region count: expected 4 to 19, found 20") != NULL,
		      "%s", message.text);
	uds_io_close(io);
}
END_TEST

START_TEST(a_save_has_a_block_for_each_zone)
{
	struct uds_message message = { "" };
	struct uds_io *io = small_index(0);
	struct layout layout;
	struct save save;

	read_ok(io, 0, &layout);
	/*
	 * The header, the page map and 5 blocks of the open chapter are there whatever the zones.
	 */
	layout.super.save_blocks = 7 + 16;
	ck_assert_int_eq(save_header_plan(&layout.super, 0, 16, &save, &message), 0);
	layout.super.save_blocks--;
	ck_assert_int_eq(save_header_plan(&layout.super, 0, 16, &save, &message), UDS_ERR_OVERFLOW);
	ck_assert_str_eq(message.text, "save 0: 22 blocks are too few for 16 zones");
	ck_assert_int_eq(save_header_plan(&layout.super, 0, 15, &save, &message), 0);
	uds_io_close(io);
}
END_TEST

START_TEST(regions_of_every_kind_have_a_name_in_sentences)
{
	ck_assert_str_eq(region_name(REGION_FREE), "free space");
	ck_assert_str_eq(region_name(REGION_SEAL), "seal region");
	ck_assert_str_eq(region_name(9999), "region of unknown kind");
}
END_TEST

START_TEST(chapter_numbers_of_a_save_that_jump_need_recovery)
{
	static const struct damage jumps[] = {
		{ SAVE_AT + 176, 8, 1000, 0, "chapters from oldest to newest" },
		{ SAVE_AT + 176, 8, 1, 0, "oldest chapter: expected at most the newest, 1" },
		{ SAVE_AT + 184, 8, 10, 0, "oldest chapter: expected at most the newest, 9" },
		{ SAVE_AT + 184, 8, 1, 0, "chapters from oldest to newest: expected at most 8" },
	};

	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		struct uds_message message = { "" };
		struct uds_io *io = small_index(0);
		const struct save *save;
		struct layout layout;

		read_ok(io, 0, &layout);
		save_small(io, &layout, 2, 1000, 9);
		apply(io, &jumps[i]);
		read_ok(io, 0, &layout);
		ck_assert_int_eq(saves_latest(&layout.saves, &layout.geometry, &message, &save),
				 UDS_ERR_NEEDS_RECOVERY);
		ck_assert_msg(strstr(message.text, jumps[i].says) != NULL, "%s", message.text);
		uds_io_close(io);
	}
}
END_TEST

START_TEST(saves_take_turns_and_the_latest_is_loaded)
{
	struct uds_message message = { "" };
	struct uds_io *io = small_index(0);
	const struct save *latest;
	struct layout layout;

	read_ok(io, 0, &layout);
	ck_assert_int_eq(saves_latest(&layout.saves, &layout.geometry, &message, &latest),
			 UDS_ERR_NEEDS_RECOVERY);
	for (unsigned int n = 0; n < 5; n++) {
		struct save save = save_small(io, &layout, 1 + n % 3, 1000 * (n + 1), 7 + n);

		ck_assert_uint_eq(save.slot, n % 2);
		read_ok(io, 0, &layout);
		ck_assert_int_eq(saves_latest(&layout.saves, &layout.geometry, &message, &latest),
				 0);
		ck_assert_uint_eq(latest->newest, 7 + n);
		ck_assert_uint_eq(latest->last_save, 6 + n);
		ck_assert_uint_eq(latest->zones, 1 + n % 3);
		ck_assert_uint_eq(latest->open_chapter.bytes, 5 * 4096);
		ck_assert_uint_eq(latest->open_chapter.offset % 4096, 0);
	}
	uds_io_close(io);
}
END_TEST

START_TEST(the_first_chapter_has_no_last_save)
{
	struct uds_io *io = small_index(0);
	struct layout layout;

	read_ok(io, 0, &layout);
	save_small(io, &layout, 1, 1, 0);
	read_ok(io, 0, &layout);
	ck_assert_uint_eq(layout.saves.slots[0].save.last_save, NO_CHAPTER);
	uds_io_close(io);
}
END_TEST

/*
 * Clock steps back: the reference implementation would load the older save (uds-format, 20.2, R5).
 */
START_TEST(defect_R5_a_clock_that_steps_back_does_not_bring_an_older_save_back)
{
	struct uds_message message = { "" };
	struct uds_io *io = small_index(0);
	const struct save *latest;
	struct layout layout;

	read_ok(io, 0, &layout);
	save_small(io, &layout, 1, 5000, 1);
	read_ok(io, 0, &layout);
	save_small(io, &layout, 1, 100, 2);
	read_ok(io, 0, &layout);
	ck_assert_int_eq(saves_latest(&layout.saves, &layout.geometry, &message, &latest), 0);
	ck_assert_uint_eq(latest->newest, 2);
	ck_assert_uint_eq(latest->timestamp, 5001);
	save_small(io, &layout, 1, 5001, 3); /* the same time again, without a reopen */
	read_ok(io, 0, &layout);
	ck_assert_int_eq(saves_latest(&layout.saves, &layout.geometry, &message, &latest), 0);
	ck_assert_uint_eq(latest->newest, 3);
	uds_io_close(io);
}
END_TEST

START_TEST(a_clock_at_its_end_leaves_later_time_stamps)
{
	static const uint64_t clocks[] = { UINT64_MAX, UINT64_MAX - 1, (uint64_t)INT64_MAX + 1,
					   INT64_MAX };
	struct uds_message message = { "" };
	struct uds_io *io = small_index(0);
	const struct save *latest;
	struct layout layout;

	read_ok(io, 0, &layout);
	for (uint64_t i = 0; i < 3; i++) {
		save_small(io, &layout, 1, clocks[_i], 1 + i);
		read_ok(io, 0, &layout);
		ck_assert_int_eq(saves_latest(&layout.saves, &layout.geometry, &message, &latest),
				 0);
		ck_assert_uint_eq(latest->newest, 1 + i);
		ck_assert_uint_eq(latest->timestamp, (uint64_t)INT64_MAX + i);
	}
	uds_io_close(io);
}
END_TEST

START_TEST(a_time_stamp_that_leaves_no_later_one_stops_saving)
{
	struct uds_message message = { "" };
	struct uds_io *io = small_index(0);
	struct layout layout;
	struct save save;

	read_ok(io, 0, &layout);
	/* As another implementation may have made it. */
	layout.saves.last_timestamp = UINT64_MAX - 1;
	save_small(io, &layout, 1, 5, 1);
	read_ok(io, 0, &layout);
	ck_assert_uint_eq(layout.saves.last_timestamp, UINT64_MAX);
	ck_assert_int_eq(saves_begin(&layout.saves, io, &layout.super, 1, 7, &message, &save),
			 UDS_ERR_OVERFLOW);
	uds_io_close(io);
}
END_TEST

START_TEST(a_save_that_was_begun_and_not_ended_leaves_the_other_one)
{
	struct uds_message message = { "" };
	struct uds_io *io = small_index(0);
	const struct save *latest;
	struct layout layout;
	struct save save;

	read_ok(io, 0, &layout);
	save_small(io, &layout, 1, 1000, 1);
	save_small(io, &layout, 1, 2000, 2);
	ck_assert_int_eq(saves_begin(&layout.saves, io, &layout.super, 16, 3000, &message, &save),
			 0);
	ck_assert_uint_eq(save.slot, 0);
	read_ok(io, 0, &layout);
	ck_assert_int_eq(layout.saves.slots[0].state, SLOT_UNSAVED);
	ck_assert_int_eq(saves_latest(&layout.saves, &layout.geometry, &message, &latest), 0);
	ck_assert_uint_eq(latest->newest, 2);
	uds_io_close(io);
}
END_TEST

START_TEST(invalidation_wipes_the_open_chapter_of_the_latest_save_only)
{
	struct uds_message message = { "" };
	struct uds_io *io = small_index(0);
	struct save older, newer;
	const struct save *latest;
	struct layout layout;
	uint8_t full[BLOCK_BYTES], zeros[BLOCK_BYTES] = { 0 };

	memset(full, 0xaa, sizeof(full));
	read_ok(io, 0, &layout);
	older = save_small(io, &layout, 1, 1000, 1);
	newer = save_small(io, &layout, 1, 2000, 2);
	uds_io_write(io, full, BLOCK_BYTES, older.open_chapter.offset);
	uds_io_write(io, full, BLOCK_BYTES, newer.open_chapter.offset);
	uds_io_write(io, full, BLOCK_BYTES, newer.open_chapter.offset + BLOCK_BYTES);

	ck_assert_int_eq(saves_invalidate(&layout.saves, io, &layout.super, &message), 0);
	ck_assert_mem_eq(block_of(io, older.open_chapter.offset / 4096), full, BLOCK_BYTES);
	ck_assert_mem_eq(block_of(io, newer.open_chapter.offset / 4096), zeros, BLOCK_BYTES);
	ck_assert_mem_eq(block_of(io, newer.open_chapter.offset / 4096 + 1), full, BLOCK_BYTES);
	ck_assert_int_eq(saves_latest(&layout.saves, &layout.geometry, &message, &latest),
			 UDS_ERR_NEEDS_RECOVERY);

	/* Once is enough, until the next save. */
	uds_io_write(io, full, BLOCK_BYTES, newer.open_chapter.offset);
	ck_assert_int_eq(saves_invalidate(&layout.saves, io, &layout.super, &message), 0);
	ck_assert_mem_eq(block_of(io, newer.open_chapter.offset / 4096), full, BLOCK_BYTES);
	older = save_small(io, &layout, 1, 3000, 3);
	ck_assert_uint_eq(older.slot, 0);
	ck_assert_int_eq(saves_invalidate(&layout.saves, io, &layout.super, &message), 0);
	ck_assert_mem_eq(block_of(io, older.open_chapter.offset / 4096), zeros, BLOCK_BYTES);
	uds_io_close(io);
}
END_TEST

START_TEST(an_index_that_does_not_fit_is_not_created)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops;
	struct uds_message message = { "" };
	uint8_t first[BLOCK_BYTES], before[BLOCK_BYTES] = { 0 };
	struct uds_io *memory, *fixed;

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 4;
	configuration.chapters_per_volume = 8;
	ck_assert_int_eq(uds_io_open_memory(126 * 4096, 1, NULL, NULL, &memory), 0);
	ck_assert_int_eq(layout_create(memory, &memory->env, &configuration,
				       &(struct layout_options){ .size_limit = 125 * 4096 },
				       &message),
			 UDS_ERR_NO_ROOM);
	ck_assert_str_eq(message.text, "mem:: the index needs 516096 bytes, the size limit allows "
				       "512000");

	/*
	 * A device, which cannot grow. What lies in front of the offset must not count (20.2,
	 * R10).
	 */
	ops = memory->ops;
	ops.resize = NULL;
	ck_assert_int_eq(uds_io_open_ops(&ops, memory->context, &limits, NULL, NULL, &fixed), 0);
	ck_assert_int_eq(layout_create(fixed, &fixed->env, &configuration,
				       &(struct layout_options){ .offset = 4096 }, &message),
			 UDS_ERR_NO_ROOM);
	ck_assert_str_eq(message.text, "io: the index needs 516096 bytes, there are 512000 behind "
				       "offset 4096");
	ck_assert_int_eq(uds_io_read(fixed, first, BLOCK_BYTES, 4096), 0);
	ck_assert_mem_eq(first, before, BLOCK_BYTES);
	ck_assert_int_eq(layout_create(fixed, &fixed->env, &configuration,
				       &(struct layout_options){ 0 }, &message),
			 0);
	uds_io_close(fixed); /* the memory's context with it */
	failures_free(memory->failures);
	free(memory->name);
	free(memory);
}
END_TEST

static struct uds_configuration small_configuration(void)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 4;
	configuration.chapters_per_volume = 8;
	return configuration;
}

START_TEST(places_where_no_index_can_be_made_are_refused)
{
	static const struct {
		uint64_t offset;
		uint32_t block_bytes;
		bool read_only;
		int status;
		const char *says;
	} cases[] = {
		{ 4095, 1, false, -EINVAL,
		  "offset: expected a multiple of 4096 bytes, found 4095" },
		{ UINT64_MAX - 4095, 1, false, -EINVAL, "offset: expected at most " },
		{ 0, 8192, false, UDS_ERR_UNALIGNED,
		  "blocks of 8192 bytes: the index is laid out in blocks of 4096" },
		{ 0, 1, true, UDS_ERR_READ_ONLY, "" },
	};
	struct uds_configuration configuration = small_configuration();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct layout_options options = { .offset = cases[i].offset };
		struct uds_message message = { "" };
		struct uds_io *io;
		uint64_t bytes;

		ck_assert_int_eq(uds_io_open_memory(0, cases[i].block_bytes, NULL, NULL, &io), 0);
		io->read_only = cases[i].read_only;
		ck_assert_int_eq(layout_create(io, &io->env, &configuration, &options, &message),
				 cases[i].status);
		ck_assert_msg(message.text[0] != '\0' &&
				      strstr(message.text, cases[i].says) != NULL,
			      "%s", message.text);
		ck_assert_int_eq(uds_io_size(io, &bytes), 0);
		ck_assert_uint_eq(bytes, 0);
		ck_assert_int_eq(uds_io_close(io), 0);
	}
}
END_TEST

/* On a device that another index was on; with extras, and @nonces, which makes them cleared. */
static int create(struct uds_io *io, bool nonces, struct uds_message *message)
{
	static const uint8_t nonce_data[NONCE_DATA_BYTES] = { 1, 2, 3 };
	struct uds_configuration configuration = small_configuration();
	struct layout_options options = { .offset = 4096, .extras = true };

	options.nonce_data = nonces ? nonce_data : NULL;
	message->text[0] = '\0';
	return layout_create(io, &io->env, &configuration, &options, message);
}

/* @_i: nonces are given. What is half made is no index, whatever failed. */
START_TEST(an_index_that_could_not_be_made_whole_is_none)
{
	struct uds_message message;
	struct torture_env torture;
	struct fault_plan plan;
	struct uds_io *io;
	uint64_t nth;
	int r;

	torture_env_start(&torture);
	fault_plan_start(&plan);
	ck_assert_int_eq(uds_io_open_memory(0, 1, &torture.env, NULL, &io), 0);
	ck_assert_int_eq(fault_io_open(&plan, io, &torture.env, &io), 0);
	for (nth = 1;; nth++) {
		struct layout layout;
		bool flush;

		fault_plan_fail(&plan, FAULT_ANY, 0, 0, false);
		ck_assert_int_eq(uds_io_resize(io, 0), 0);
		fault_plan_fail(&plan, FAULT_ANY, nth, -EIO, false);
		r = create(io, _i == 1, &message);
		if (plan.failed == 0)
			break;
		flush = plan.failed_kinds == FAULT_FLUSH;
		fault_plan_fail(&plan, FAULT_ANY, 0, 0, false);
		ck_assert_int_eq(r, -EIO);
		ck_assert_msg(message.text[0] != '\0', "operation %d", (int)nth);
		/* After the last flush it is there, and need not last. */
		ck_assert_msg(flush || layout_read(io, 4096, &message, &layout) != 0,
			      "operation %d", (int)nth);
	}
	fault_plan_fail(&plan, FAULT_ANY, 0, 0, false);
	ck_assert_int_eq(r, 0);
	ck_assert_uint_gt(nth, 10);
	for (nth = 1;; nth++) {
		ck_assert_int_eq(uds_io_resize(io, 0), 0);
		torture_env_fail_at(&torture, nth, false);
		r = create(io, _i == 1, &message);
		if (torture.failed == 0)
			break;
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert(message.text[0] != '\0');
	}
	ck_assert_int_eq(r, 0);
	torture_env_fail_at(&torture, 0, false);
	ck_assert_int_eq(uds_io_close(io), 0);
	fault_plan_end(&plan);
	torture_env_end(&torture);
}
END_TEST

START_TEST(impossible_geometries_are_refused_with_the_allowed_range)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_message message = { "" };
	uint64_t size;
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &io), 0);
	configuration.page_bytes = 1000;
	ck_assert_int_eq(layout_create(io, &io->env, &configuration, &(struct layout_options){ 0 },
				       &message),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "page size"));
	ck_assert_ptr_nonnull(strstr(message.text, "65536"));
	configuration.page_bytes = 4096;
	configuration.chapters_per_volume = 7;
	configuration.remapped_physical = 2;
	ck_assert_int_eq(layout_create(io, &io->env, &configuration, &(struct layout_options){ 0 },
				       &message),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "remapped_physical"));
	ck_assert_int_eq(layout_create(io, &io->env, &configuration,
				       &(struct layout_options){ .offset = 77 }, &message),
			 -EINVAL);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 0);
	uds_io_close(io);
}
END_TEST

START_TEST(two_indexes_made_at_the_same_time_have_different_nonces)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_message message = { "" };
	struct layout layouts[2];

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 1;
	configuration.chapters_per_volume = 4;
	for (int i = 0; i < 2; i++) {
		struct uds_io *io;

		ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &io), 0);
		ck_assert_int_eq(layout_create(io, &io->env, &configuration,
					       &(struct layout_options){ 0 }, &message),
				 0);
		read_ok(io, 0, &layouts[i]);
		uds_io_close(io);
	}
	ck_assert_uint_ne(layouts[0].super.volume_nonce, layouts[1].super.volume_nonce);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("layout");
	TCase *tc = tcase_create("layout");

	tcase_add_test(tc, every_image_says_what_its_description_says);
	tcase_add_test(tc, every_image_has_its_super_and_config_block_written_again);
	tcase_add_test(tc, an_index_created_and_saved_again_has_the_recorded_bytes);
	tcase_add_test(tc, damaged_super_and_config_blocks_are_named);
	tcase_add_test(tc, offsets_of_a_converted_volume_that_contradict_each_other_are_named);
	tcase_add_test(tc, an_io_shorter_than_the_index_is_refused);
	tcase_add_test(tc, places_that_cannot_hold_an_index_are_refused);
	tcase_add_test(tc, the_nonce_is_compared_when_asked_for);
	tcase_add_test(tc, a_damaged_save_header_makes_its_slot_unsaved_and_says_why);
	tcase_add_test(tc, a_marked_slot_counts_as_unsaved_while_the_later_save_is_there);
	tcase_add_test(tc, a_save_of_more_zones_than_there_can_be_is_refused);
	tcase_add_test(tc, a_save_has_a_block_for_each_zone);
	tcase_add_test(tc, regions_of_every_kind_have_a_name_in_sentences);
	tcase_add_test(tc, chapter_numbers_of_a_save_that_jump_need_recovery);
	tcase_add_test(tc, saves_take_turns_and_the_latest_is_loaded);
	tcase_add_test(tc, the_first_chapter_has_no_last_save);
	tcase_add_test(tc, defect_R5_a_clock_that_steps_back_does_not_bring_an_older_save_back);
	tcase_add_loop_test(tc, a_clock_at_its_end_leaves_later_time_stamps, 0, 4);
	tcase_add_test(tc, a_time_stamp_that_leaves_no_later_one_stops_saving);
	tcase_add_test(tc, a_save_that_was_begun_and_not_ended_leaves_the_other_one);
	tcase_add_test(tc, invalidation_wipes_the_open_chapter_of_the_latest_save_only);
	tcase_add_test(tc, an_index_that_does_not_fit_is_not_created);
	tcase_add_test(tc, places_where_no_index_can_be_made_are_refused);
	tcase_add_loop_test(tc, an_index_that_could_not_be_made_whole_is_none, 0, 2);
	tcase_add_test(tc, impossible_geometries_are_refused_with_the_allowed_range);
	tcase_add_test(tc, two_indexes_made_at_the_same_time_have_different_nonces);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
