/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LVM volume groups: what they have, where the bytes of a volume are, and what is refused
 * with which sentence.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/lvm.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "given_io.h"
#include "lvm_image.h"
#include "torture_env.h"

#define EXTENT LVM_IMAGE_EXTENT

static struct uds_message message;
static struct kept_log logged;

static struct uds_io *open_image(const uint8_t *image)
{
	return bytes_io(image, LVM_IMAGE_BYTES);
}

static struct uds_io *open_pv(char letter, const char *text)
{
	uint8_t *image = lvm_image_make(letter, text);
	struct uds_io *io = open_image(image);

	free(image);
	return io;
}

/*
 * Opens a group on @a and @b (NULL: one only), which it then owns; they are closed when it fails.
 */
static int open_group(struct uds_io *a, struct uds_io *b, struct uds_lvm_group **ret_group)
{
	struct uds_lvm_options options = UDS_LVM_OPTIONS_INIT;
	struct uds_env env = UDS_ENV_INIT;
	struct uds_io *pvs[] = { a, b };
	int r;

	logged.text[0] = '\0';
	message.text[0] = '\0';
	env.context = &logged;
	env.log = keep_log;
	options.close_pvs = true;
	options.allow_missing = true;
	r = uds_lvm_open_group(pvs, b == NULL ? 1 : 2, &options, &env, &message, ret_group);
	if (r < 0) {
		uds_io_close(a);
		uds_io_close(b);
	}
	return r;
}

static struct uds_lvm_group *whole_group(void)
{
	struct uds_lvm_group *group;

	ck_assert_int_eq(
		open_group(open_pv('b', lvm_image_text), open_pv('a', lvm_image_text), &group), 0);
	ck_assert_str_eq(logged.text, "");
	return group;
}

static uint32_t wrong_copies(const struct uds_lvm_group *group)
{
	struct uds_lvm_info info = UDS_LVM_INFO_INIT;

	ck_assert_int_eq(uds_lvm_get_info(group, &message, &info), 0);
	return info.wrong_copies;
}

#define ck_sentence_has(part) \
	ck_assert_msg(strstr(message.text, part) != NULL, "'%s' lacks '%s'", message.text, part)

struct listed {
	char text[2000];
};

static int list_pv(void *context, const struct uds_lvm_pv *pv)
{
	struct listed *l = context;
	size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof(l->text) - n, "%s %.8s %s %llu %llu %llu %s\n", pv->name,
		 pv->uuid, pv->device, (unsigned long long)pv->device_bytes,
		 (unsigned long long)pv->data_offset, (unsigned long long)pv->extents,
		 pv->io == NULL ? "missing" : "there");
	return 0;
}

static int list_volume(void *context, const struct uds_lvm_volume *v)
{
	struct listed *l = context;
	size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof(l->text) - n, "%s %s %u %llu %s %llu%s%s%s\n", v->name,
		 v->type, v->segment_count, (unsigned long long)v->bytes,
		 v->origin != NULL ? v->origin : "-", (unsigned long long)v->chunk_bytes,
		 v->visible ? " visible" : "", v->merging ? " merging" : "",
		 v->missing ? " missing" : "");
	return 0;
}

START_TEST(a_group_says_what_it_has)
{
	struct uds_lvm_volume volume = UDS_LVM_VOLUME_INIT;
	struct uds_lvm_group *group = whole_group();
	struct uds_lvm_info info = UDS_LVM_INFO_INIT;
	struct listed listed = { "" };

	ck_assert_int_eq(uds_lvm_get_info(group, &message, &info), 0);
	ck_assert_str_eq(info.name, "vg");
	ck_assert_str_eq(info.uuid, "gggggg-gggg-gggg-gggg-gggg-gggg-gggggg");
	ck_assert_uint_eq(info.seqno, 7);
	ck_assert_uint_eq(info.extent_bytes, EXTENT);
	ck_assert_uint_eq(info.pv_count, 2);
	ck_assert_uint_eq(info.volume_count, 6);
	ck_assert_uint_eq(info.missing_count, 0);
	ck_assert_uint_eq(info.wrong_copies, 0);
	ck_assert_int_eq(uds_lvm_for_each_pv(group, list_pv, &listed), 0);
	ck_assert_str_eq(listed.text, "pv0 aaaaaa-a /dev/sda 262144 65536 48 there\n"
				      "pv1 bbbbbb-b /dev/\"sdb\" 262144 65536 48 there\n");
	listed.text[0] = '\0';
	ck_assert_int_eq(uds_lvm_for_each_volume(group, list_volume, &listed), 0);
	ck_assert_str_eq(listed.text, "merging linear 1 24576 stripes 8192 merging\n"
				      "mirrored mirror 1 4096 - 0 visible\n"
				      "origin linear 3 36864 - 0 visible\n"
				      "plain linear 1 4096 - 0 visible\n"
				      "snap linear 1 20480 origin 4096 visible\n"
				      "stripes striped 1 32768 - 0 visible\n");
	ck_assert_int_eq(uds_lvm_lookup_volume(group, "snap", &message, &volume), 0);
	ck_assert_str_eq(volume.origin, "origin");
	ck_assert_str_eq(volume.uuid, "cccccc-cccc-cccc-cccc-cccc-cccc-cccccc");
	ck_assert_int_eq(uds_lvm_lookup_volume(group, "snapshot0", &message, &volume), -ENOENT);
	ck_sentence_has("group 'vg' (seqno 7): expected a logical volume 'snapshot0', found none");
	ck_assert_int_eq(uds_lvm_close_group(group), 0);
	ck_assert_int_eq(uds_lvm_close_group(NULL), 0);
}
END_TEST

static int stop_pv(void *context, const struct uds_lvm_pv *pv)
{
	(void)pv;
	return ++*(int *)context;
}

static int stop_volume(void *context, const struct uds_lvm_volume *volume)
{
	(void)volume;
	return ++*(int *)context;
}

START_TEST(a_callback_ends_a_walk)
{
	struct uds_lvm_group *group = whole_group();
	int calls = 0;

	ck_assert_int_eq(uds_lvm_for_each_pv(group, stop_pv, &calls), UDS_ERR_STOPPED);
	ck_assert_int_eq(uds_lvm_for_each_volume(group, stop_volume, &calls), UDS_ERR_STOPPED);
	ck_assert_int_eq(calls, 2);
	uds_lvm_close_group(group);
}
END_TEST

START_TEST(a_label_is_read)
{
	struct uds_lvm_pv pv = UDS_LVM_PV_INIT;
	struct uds_io *io = open_pv('a', NULL), *small;

	ck_assert_int_eq(uds_lvm_read_pv(io, NULL, &message, &pv), 0);
	ck_assert_str_eq(pv.uuid, "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa");
	ck_assert_uint_eq(pv.device_bytes, LVM_IMAGE_BYTES);
	ck_assert_uint_eq(pv.data_offset, LVM_IMAGE_DATA_AT);
	ck_assert_ptr_eq(pv.io, io);
	uds_io_close(io);
	ck_assert_int_eq(uds_io_open_memory(2047, 1, NULL, NULL, &small), 0);
	ck_assert_int_eq(uds_lvm_read_pv(small, NULL, &message, &pv), -EINVAL);
	ck_sentence_has("expected at least 2048 bytes, found 2047");
	uds_io_close(small);
}
END_TEST

/* Extent @extent of the PV of @letter must be at @at. */
static void ck_extent(struct uds_io *io, uint64_t at, char letter, uint32_t extent, uint64_t inside,
		      size_t length)
{
	uint8_t bytes[EXTENT], expected[EXTENT];

	memset(expected, letter, EXTENT);
	put_le32(expected, extent);
	ck_assert_int_eq(uds_io_read(io, bytes, length, at), 0);
	ck_assert_msg(memcmp(bytes, expected + inside, length) == 0, "byte %llu of %s",
		      (unsigned long long)at, uds_io_name(io));
}

START_TEST(linear_segments_follow_each_other)
{
	static const struct {
		char letter;
		uint32_t extent;
	} extents[] = { { 'a', 2 }, { 'a', 3 }, { 'a', 4 },  { 'a', 5 }, { 'b', 0 },
			{ 'b', 1 }, { 'b', 2 }, { 'a', 46 }, { 'a', 47 } };
	struct uds_lvm_group *group = whole_group();
	struct uds_io *io;
	uint64_t bytes;

	ck_assert_int_eq(uds_lvm_open_volume(group, "origin", &message, &io), 0);
	ck_assert_str_eq(uds_io_name(io), "vg/origin");
	ck_assert_int_eq(uds_io_size(io, &bytes), 0);
	ck_assert_uint_eq(bytes, 9 * EXTENT);
	for (size_t i = 0; i < 9; i++)
		ck_extent(io, i * EXTENT, extents[i].letter, extents[i].extent, 0, EXTENT);
	ck_assert_ptr_null(uds_lvm_group_of(io));
	uds_io_close(io);
	uds_lvm_close_group(group);
}
END_TEST

/* LVM writes them in order and as striped ones, and reads them in any and as linear ones, too. */
START_TEST(segments_are_found_by_their_numbers)
{
	static const char *const edits[][2] = {
		{ "segment_count = 3\n\t\t\tsegment1 {\n\t\t\t\tstart_extent = 0",
		  "segment_count = 3\nother {\nkey = 1\n}\nsegment3 {\nstart_extent = 5" },
		{ "segment2 {\n\t\t\t\tstart_extent = 4", "segment1 {\nstart_extent = 0" },
		{ "segment3 {\n\t\t\t\tstart_extent = 7", "segment2 {\nstart_extent = 3" },
		{ "striped\"\n\t\t\t\tstripe_count = 1\t#", "linear\"\nstripe_count = 1\t#" },
	};
	static const struct {
		char letter;
		uint32_t extent;
	} extents[] = { { 'b', 0 }, { 'b', 1 }, { 'b', 2 }, { 'a', 46 }, { 'a', 47 },
			{ 'a', 2 }, { 'a', 3 }, { 'a', 4 }, { 'a', 5 } };
	char *text = lvm_image_edit(lvm_image_text, "seqno = 7", "seqno = 8");
	struct uds_lvm_group *group;
	struct uds_io *io;

	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		char *edited = lvm_image_edit(text, edits[i][0], edits[i][1]);

		free(text);
		text = edited;
	}
	ck_assert_int_eq(open_group(open_pv('a', text), open_pv('b', text), &group), 0);
	ck_assert_int_eq(uds_lvm_open_volume(group, "origin", &message, &io), 0);
	for (size_t i = 0; i < 9; i++)
		ck_extent(io, i * EXTENT, extents[i].letter, extents[i].extent, 0, EXTENT);
	uds_io_close(io);
	uds_lvm_close_group(group);
	free(text);
}
END_TEST

START_TEST(stripes_take_turns)
{
	struct uds_lvm_group *group = whole_group();
	struct uds_io *io;

	ck_assert_int_eq(uds_lvm_open_volume(group, "stripes", &message, &io), 0);
	for (uint32_t piece = 0; piece < 16; piece++) {
		uint32_t row = piece / 2;

		ck_extent(io, piece * UINT64_C(2048), piece % 2 == 0 ? 'a' : 'b',
			  (piece % 2 == 0 ? 10 : 20) + row / 2, row % 2 * UINT64_C(2048), 2048);
	}
	uds_io_close(io);
	uds_lvm_close_group(group);
}
END_TEST

START_TEST(a_write_goes_to_the_extent_that_it_is_meant_for)
{
	struct uds_io *a = open_pv('a', lvm_image_text), *b = open_pv('b', lvm_image_text), *io;
	uint8_t *before = lvm_image_make('b', lvm_image_text), now[LVM_IMAGE_BYTES];
	struct uds_io *pvs[] = { a, b };
	struct uds_lvm_group *group;

	ck_assert_int_eq(uds_lvm_open_group(pvs, 2, NULL, NULL, &message, &group), 0);
	ck_assert_int_eq(uds_lvm_open_volume(group, "origin", &message, &io), 0);
	ck_assert_int_eq(uds_io_write(io, "written", 7, 5 * EXTENT + 100), 0);
	ck_assert_int_eq(uds_io_flush(io), 0);
	memcpy(before + LVM_IMAGE_DATA_AT + EXTENT + 100, "written", 7);
	uds_io_close(io);
	ck_assert_int_eq(uds_lvm_close_group(group), 0);
	ck_assert_int_eq(uds_io_read(b, now, sizeof(now), 0), 0);
	ck_assert_int_eq(memcmp(now, before, sizeof(now)), 0);
	uds_io_close(a);
	uds_io_close(b);
	free(before);
}
END_TEST

START_TEST(the_newest_metadata_count)
{
	char *newer = lvm_image_edit(lvm_image_text, "seqno = 7", "seqno = 18446744073709551615");
	struct uds_lvm_info info = UDS_LVM_INFO_INIT;
	struct uds_lvm_group *group;

	for (int order = 0; order < 2; order++) {
		struct uds_io *a = open_pv('a', order == 0 ? newer : lvm_image_text);
		struct uds_io *b = open_pv('b', order == 0 ? lvm_image_text : newer);

		ck_assert_int_eq(open_group(a, b, &group), 0);
		ck_assert_int_eq(uds_lvm_get_info(group, &message, &info), 0);
		ck_assert_uint_eq(info.seqno, UINT64_MAX);
		uds_lvm_close_group(group);
	}
	/* One that has no copy is of the group all the same. */
	ck_assert_int_eq(open_group(open_pv('a', NULL), open_pv('b', newer), &group), 0);
	uds_lvm_close_group(group);
	free(newer);
}
END_TEST

START_TEST(text_goes_around_the_end_of_its_area)
{
	uint8_t *image = lvm_image_make('a', NULL);
	size_t length = strlen(lvm_image_text) + 1;
	struct uds_lvm_group *group;

	for (size_t before = 1; before < length; before += 97) {
		lvm_image_put_text(image, lvm_image_text, length, LVM_IMAGE_AREA - before);
		ck_assert_int_eq(open_group(open_image(image), NULL, &group), 0);
		uds_lvm_close_group(group);
	}
	free(image);
}
END_TEST

/* Damage to the image of PV a: bytes that are put there. */
static const struct {
	uint32_t at;
	uint32_t length;
	const char *bytes;
	bool seal;
	int status;
	const char *sentence;
} damages[] = {
	{ 512, 1, "X", false, -EINVAL, "not an LVM physical volume: sectors 0 to 3" },
	{ 536, 2, "X\1", false, UDS_ERR_UNSUPPORTED_VERSION,
	  "label (sector 1): type: expected 'LVM2 001', found 'X\\x01M2 001'" },
	{ 600, 1, "X", false, UDS_ERR_CORRUPT, "label (sector 1): checksum: expected 0x" },
	{ 520, 1, "\2", true, UDS_ERR_CORRUPT, "sector number: expected 1, found 2" },
	{ 532, 2, "\1\2", true, UDS_ERR_CORRUPT, "place of the header: expected byte 32 to 472" },
	{ 532, 1, "\37", true, UDS_ERR_CORRUPT, "found 31" },
	{ 544, 1, "-", true, UDS_ERR_CORRUPT,
	  "header: uuid: expected letters, digits, ! and #, "
	  "found '-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'" },
	{ 532, 2, "\xb8\1", true, UDS_ERR_CORRUPT, "uuid" },
	{ 616, 2, "\0\1", true, UDS_ERR_CORRUPT,
	  "metadata area (byte 256): header: magic: "
	  "expected ' LVM2 x[5A%r0N*>', found '\\x00\\x00\\x00\\x00\\x00\\x00" },
	{ 616, 8, "\0\0\4\0\0\0\0\0", true, UDS_ERR_CORRUPT,
	  "metadata area (byte 262144): expected to end by byte 262144, the end of the device, "
	  "found "
	  "61440 bytes from 262144 on" },
	{ 624, 3, "\0\0\5", true, UDS_ERR_CORRUPT,
	  "metadata area (byte 4096): expected to end by byte 262144, the end of the device, found "
	  "327680 bytes from 4096 on" },
	{ 624, 8, "\377\377\377\377\377\377\377\377", true, UDS_ERR_CORRUPT,
	  "found 18446744073709551615 bytes from 4096 on" },
	{ 624, 2, "\377\3", true, UDS_ERR_CORRUPT,
	  "metadata area (byte 4096): size: expected at least 1024 bytes, found 1023" },
	{ 625, 1, "\20", true, UDS_ERR_CORRUPT,
	  "header: size: expected 4096, which the label has" },
	{ 4100, 1, "X", false, UDS_ERR_CORRUPT, "metadata area (byte 4096): header: magic" },
	{ 4096, 1, "X", false, UDS_ERR_CORRUPT, "header: checksum: expected 0x" },
	{ 4116, 1, "\2", true, UDS_ERR_UNSUPPORTED_VERSION,
	  "header: version: expected 1, found 2" },
	{ 4120, 1, "\1", true, UDS_ERR_CORRUPT, "header: start: expected byte 4096, found 4097" },
	{ 4136, 2, "\377\1", true, UDS_ERR_CORRUPT,
	  "place of the text: expected byte 512 to 61439 of the area, found 511" },
	{ 4136, 2, "\0\360", true, UDS_ERR_CORRUPT, "found 61440" },
	{ 4144, 3, "\0\0\1", true, UDS_ERR_CORRUPT,
	  "size of the text: expected at most 60928, found 65536" },
	{ 4152, 1, "X", true, UDS_ERR_CORRUPT,
	  "text at byte 512 of the area: checksum: expected 0x" },
	{ 4156, 1, "\1", true, -EINVAL, "expected the metadata of a group, found none" },
	{ 4700, 1, "X", false, UDS_ERR_CORRUPT, "text at byte 512 of the area: checksum" },
};

START_TEST(damage_to_label_and_area_is_named)
{
	uint8_t *image = lvm_image_make('a', lvm_image_text), now[LVM_IMAGE_BYTES];
	struct uds_io *io;
	struct uds_lvm_group *group = NULL;
	uint32_t at = damages[_i].at;

	memcpy(image + at, damages[_i].bytes, damages[_i].length);
	if (damages[_i].seal && at < 1024)
		lvm_image_seal_label(image);
	else if (damages[_i].seal)
		lvm_image_seal_area(image);
	io = open_image(image);
	ck_assert_int_eq(uds_lvm_open_group(&io, 1, NULL, NULL, &message, &group),
			 damages[_i].status);
	ck_sentence_has(damages[_i].sentence);
	ck_sentence_has(uds_io_name(io));
	ck_assert_ptr_null(group);
	ck_assert_int_eq(uds_io_read(io, now, sizeof(now), 0), 0);
	ck_assert_int_eq(memcmp(now, image, sizeof(now)), 0);
	uds_io_close(io);
	free(image);
}
END_TEST

START_TEST(lists_of_areas_end_in_the_sector)
{
	uint8_t *image = lvm_image_make('a', lvm_image_text);
	struct uds_lvm_group *group;

	for (uint32_t i = 0; i < 5; i++)
		put_le64(image + 616 + 16 * (size_t)i, 4096);
	lvm_image_seal_label(image);
	ck_assert_int_eq(open_group(open_image(image), NULL, &group), UDS_ERR_CORRUPT);
	ck_sentence_has("label (sector 1): header: expected at most 4 metadata areas, found 5");
	/* A header so far behind that its lists have no room. */
	memcpy(image + 512 + 440, image + 544, 40);
	put_le32(image + 532, 440);
	put_le64(image + 512 + 480, 65536);
	put_le64(image + 512 + 496, 1);
	lvm_image_seal_label(image);
	ck_assert_int_eq(open_group(open_image(image), NULL, &group), UDS_ERR_CORRUPT);
	ck_sentence_has("list of data areas: expected its end in the sector, found none behind its "
			"2 areas");
	free(image);
}
END_TEST

START_TEST(a_whole_copy_stands_in_for_a_damaged_one)
{
	uint8_t *damaged = lvm_image_make('a', lvm_image_text);
	struct uds_lvm_group *group;
	struct uds_io *pvs[2];

	damaged[4700] ^= 1;
	ck_assert_int_eq(open_group(open_image(damaged), open_pv('b', lvm_image_text), &group), 0);
	ck_assert_ptr_nonnull(strstr(logged.text, "text at byte 512 of the area: checksum"));
	ck_assert_uint_eq(wrong_copies(group), 1);
	uds_lvm_close_group(group);
	/* But the damaged one may have been newer. */
	pvs[0] = open_image(damaged);
	pvs[1] = open_pv('b', lvm_image_text);
	ck_assert_int_eq(uds_lvm_open_group(pvs, 2, NULL, NULL, &message, &group), UDS_ERR_CORRUPT);
	ck_sentence_has("to write, expected whole copies of the metadata, found a damaged one");
	uds_io_close(pvs[0]);
	uds_io_close(pvs[1]);
	free(damaged);
}
END_TEST

static int read_through(void *context, void *buffer, size_t length, uint64_t offset)
{
	return uds_io_read(context, buffer, length, offset);
}

static int flush_through(void *context)
{
	return uds_io_flush(context);
}

static int size_through(void *context, uint64_t *ret_bytes)
{
	return uds_io_size(context, ret_bytes);
}

static int close_through(void *context)
{
	return uds_io_close(context);
}

/* An I/O that only reads another one, and closes it. */
static struct uds_io *read_only(struct uds_io *io)
{
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io *reader;

	ops.read = read_through;
	ops.flush = flush_through;
	ops.get_size = size_through;
	ops.close = close_through;
	limits.block_bytes = 1;
	limits.read_only = true;
	limits.name = "reader";
	ck_assert_int_eq(uds_io_open_ops(&ops, io, &limits, NULL, NULL, &reader), 0);
	return reader;
}

/* Opens a group on two I/Os to write it, which are closed. */
static int open_to_write(struct uds_io *a, struct uds_io *b)
{
	struct uds_lvm_options options = UDS_LVM_OPTIONS_INIT;
	struct uds_lvm_group *group = NULL;
	struct uds_io *pvs[] = { a, b };
	int r;

	options.allow_missing = true;
	message.text[0] = '\0';
	r = uds_lvm_open_group(pvs, b == NULL ? 1 : 2, &options, NULL, &message, &group);
	uds_lvm_close_group(group);
	uds_io_close(a);
	uds_io_close(b);
	return r;
}

/* The image of a, with a text in each half of its metadata area, which are areas of their own. */
static uint8_t *with_two_areas(const char *first, const char *second)
{
	const uint32_t half = LVM_IMAGE_AREA / 2, at = LVM_IMAGE_AREA_AT + half;
	uint8_t *image = lvm_image_make('a', first), *other = lvm_image_make('a', second);
	uint8_t *label = image + LVM_IMAGE_LABEL_AT;

	memcpy(image + at, other + LVM_IMAGE_AREA_AT, half);
	put_le64(image + LVM_IMAGE_AREA_AT + 32, half);
	put_le64(image + at + 24, at);
	put_le64(image + at + 32, half);
	lvm_image_seal_area(image);
	lvm_image_seal_area(image + half);
	put_le64(label + 112, half);
	put_le64(label + 120, at);
	put_le64(label + 128, half);
	put_le64(label + 136, 0);
	put_le64(label + 144, 0);
	lvm_image_seal_label(image);
	free(other);
	return image;
}

START_TEST(two_texts_of_one_seqno_are_named_with_their_places)
{
	static const char first[] =
		"group 'vg': metadata of seqno 7: expected one text, found two: ";
	char *other = lvm_image_edit(lvm_image_text, "\"pv0\", 46", "\"pv0\", 45");
	struct uds_lvm_group *group;
	uint8_t *two = with_two_areas(lvm_image_text, other);

	/* On two devices. Read, the first one counts. */
	ck_assert_int_eq(open_group(read_only(open_pv('a', lvm_image_text)),
				    read_only(open_pv('b', other)), &group),
			 0);
	ck_assert_ptr_nonnull(strstr(logged.text, first));
	ck_assert_ptr_nonnull(strstr(logged.text, "reader, area at byte 4096 (checksum 0x"));
	ck_assert_ptr_nonnull(strstr(logged.text, "the first one is read, and may be the wrong"));
	uds_lvm_close_group(group);
	ck_assert_int_eq(open_to_write(open_pv('a', lvm_image_text), open_pv('b', other)),
			 UDS_ERR_CORRUPT);
	ck_sentence_has(first);
	ck_sentence_has("nothing is written by either");
	/* On one device. */
	ck_assert_int_eq(open_group(read_only(open_image(two)), NULL, &group), 0);
	ck_assert_ptr_nonnull(strstr(logged.text, "reader, area at byte 34816 (checksum 0x"));
	ck_assert_uint_eq(wrong_copies(group), 1);
	uds_lvm_close_group(group);
	ck_assert_int_eq(open_to_write(open_image(two), NULL), UDS_ERR_CORRUPT);
	ck_sentence_has(first);
	ck_sentence_has("area at byte 34816 (checksum 0x");
	free(other);
	free(two);
}
END_TEST

START_TEST(copies_that_do_not_count_do_not_differ)
{
	char *other = lvm_image_edit(lvm_image_text, "\"pv0\", 46", "\"pv0\", 45");
	char *newer = lvm_image_edit(lvm_image_text, "seqno = 7", "seqno = 8");
	uint8_t *same = with_two_areas(lvm_image_text, lvm_image_text);
	uint8_t *two = with_two_areas(lvm_image_text, other);
	struct uds_lvm_group *group;

	ck_assert_int_eq(open_to_write(open_image(same), open_pv('b', lvm_image_text)), 0);
	/* Both are older than a third one. */
	for (int order = 0; order < 2; order++) {
		struct uds_io *a = open_image(two), *b = open_pv('b', newer);

		ck_assert_int_eq(open_to_write(order == 0 ? a : b, order == 0 ? b : a), 0);
	}
	ck_assert_int_eq(
		open_group(read_only(open_image(two)), read_only(open_pv('b', newer)), &group), 0);
	ck_assert_str_eq(logged.text, "");
	uds_lvm_close_group(group);
	/* The checksum of one is wrong. */
	two[LVM_IMAGE_AREA_AT + LVM_IMAGE_AREA / 2 + 700] ^= 1;
	ck_assert_int_eq(open_to_write(open_image(two), NULL), 0);
	free(other);
	free(newer);
	free(same);
	free(two);
}
END_TEST

/* What is wrong in a text: what is replaced, by what. */
static const struct {
	const char *find, *replacement;
	int status;
	const char *sentence;
} faults[] = {
	{ "version = 1", "version = 2", UDS_ERR_UNSUPPORTED_VERSION,
	  "text: version: expected 1, found 2" },
	{ "version = 1", "version = \"1\"", UDS_ERR_UNSUPPORTED_VERSION,
	  "text: version (line 145): expected 1, found the string '1'" },
	{ "contents =", "vg2 {\n}\ncontents =", UDS_ERR_CORRUPT,
	  "expected one group, found 'vg' and 'vg2'" },
	{ "contents =", "version = 1 contents =", UDS_ERR_CORRUPT, "section '' (line 1)" },
	{ "seqno = 7", "", UDS_ERR_CORRUPT, "group 'vg': seqno: expected a number, found none" },
	{ "seqno = 7", "seqno = -7", UDS_ERR_CORRUPT,
	  "group 'vg': seqno (line 3): expected a whole number, found -7" },
	{ "seqno = 7", "seqno = 7.5", UDS_ERR_CORRUPT, "expected a whole number, found 7.5" },
	{ "seqno = 7", "seqno = 18446744073709551616", UDS_ERR_CORRUPT,
	  "expected a whole number, found 18446744073709551616" },
	{ "seqno = 7", "seqno = 11111111112222222222333333333344444444445", UDS_ERR_CORRUPT,
	  "found 1111111111222222222233333333334444444444" },
	{ "seqno = 7", "seqno = +1-2", UDS_ERR_CORRUPT, "expected '{' or '=', found 'f'" },
	{ "seqno = 7", "seqno = []", UDS_ERR_CORRUPT,
	  "expected a whole number, found a list of 0" },
	{ "seqno = 7", "seqno { a = 1 b = 2 }", UDS_ERR_CORRUPT,
	  "expected a whole number, found a section of 2" },
	{ "seqno = 7", "seqno = \"7\"", UDS_ERR_CORRUPT,
	  "expected a whole number, found the string '7'" },
	{ "seqno = 7", "seqno = ", UDS_ERR_CORRUPT, "line 4: expected a name, found '='" },
	{ "seqno = 7", "seqno 7", UDS_ERR_CORRUPT, "line 3: expected '{' or '=', found '7'" },
	{ "seqno = 7", "seqno = 7 }", UDS_ERR_CORRUPT, "'}' of no section" },
	{ "seqno = 7", "seqno = 7 \1", UDS_ERR_CORRUPT, "line 3: expected a name, found '\\x01'" },
	{ "seqno = 7", "seqno = 7 seqno = 7", UDS_ERR_CORRUPT,
	  "section 'vg' (line 1): expected each name once, found 'seqno' twice" },
	{ "seqno = 7", "seqno = 7 a{b{c{d{e{f{g{h{i{j{k{l{m{n{o{p{}}}}}}}}}}}}}}}}",
	  UDS_ERR_CORRUPT,
	  "text: line 3: expected at most 16 sections in each other, found a 17th" },
	{ "seqno = 7", "seqno = [7,,]", UDS_ERR_CORRUPT, "expected a value, found ','" },
	{ "seqno = 7", "seqno = [,]", UDS_ERR_CORRUPT, "expected a value, found ','" },
	{ "seqno = 7", "seqno = a}", UDS_ERR_CORRUPT, "expected a value, found '}'" },
	{ "seqno = 7", "seqno = }", UDS_ERR_CORRUPT, "expected a value, found '}'" },
	{ "seqno = 7", "seqno = 0x7", UDS_ERR_CORRUPT, "expected '{' or '=', found 'f'" },
	{ "seqno = 7", "seqno = seven", UDS_ERR_CORRUPT,
	  "expected a whole number, found the string 'seven'" },
	{ "seqno = 7", "\"\" = 7", UDS_ERR_CORRUPT,
	  "expected a name, found something else in quotes" },
	{ "seqno = 7", "\"seq no\" = 7", UDS_ERR_CORRUPT,
	  "expected a name, found something else in quotes" },
	{ "seqno = 7", "'seqno = 7", UDS_ERR_CORRUPT, "expected the end of a string, found the" },
	{ "flags = []", "flags = [", UDS_ERR_CORRUPT, "expected a value, found 'e'" },
	{ "flags = []", "flags = [a]", UDS_ERR_CORRUPT, "expected a value, found 'a'" },
	{ "flags = []", "flags = [1 2]", UDS_ERR_CORRUPT, "expected ',' or ']', found '2'" },
	{ "flags = []", "flags = [[1]]", UDS_ERR_CORRUPT, "expected a value, found '['" },
	{ "id = \"gggggg-", "idd = \"gggggg-", UDS_ERR_CORRUPT,
	  "id: expected a string, found none" },
	{ "extent_size = 8", "extent_size = 0", UDS_ERR_CORRUPT,
	  "extent_size (line 7): expected 1 to 4294967296, found 0" },
	{ "extent_size = 8", "extent_size = 4294967296", UDS_ERR_CORRUPT, "end of the device" },
	{ "physical_volumes {", "physical_volumess {", UDS_ERR_CORRUPT,
	  "physical_volumes: expected a section, found none" },
	{ "physical_volumes {", "physical_volumes = 1 p {", UDS_ERR_CORRUPT,
	  "physical_volumes (line 9): expected a section, found the number 1" },
	{ "logical_volumes {", "logical_volumes = 1 p {", UDS_ERR_CORRUPT,
	  "logical_volumes (line 26): expected a section, found the number 1" },
	{ "pv1 {", "pv0 {", UDS_ERR_CORRUPT,
	  "section 'physical_volumes' (line 9): expected each name once, found 'pv0' twice" },
	{ "device = \"/dev/sda\"\t# Hint only\n\t\t\tdev_size = 512", "dev_size = 511",
	  UDS_ERR_CORRUPT,
	  "physical volume 'pv0': extents: expected to end by sector 511, the end of the device, "
	  "found 48 from sector 128 on" },
	{ "device = \"/dev/sda\"\t# Hint only\n\t\t\tdev_size = 512\n\t\t\tpe_start = "
	  "128\n\t\t\tpe_count = 48",
	  "dev_size = 0 pe_start = 128 pe_count = 18014398509481967", UDS_ERR_CORRUPT,
	  "physical volume 'pv0': pe_count (line 12): expected 0 to 2251799813685231" },
	{ "stripes = [\n\t\t\t\t\t\"pv0\", 2\n\t\t\t\t]", "stripes = [\"pv9\", 2]", UDS_ERR_CORRUPT,
	  "logical volume 'origin': segment1: stripes: expected the name of a physical volume, "
	  "found 'pv9'" },
	{ "stripes = [\n\t\t\t\t\t\"pv0\", 2\n\t\t\t\t]", "stripes = [\"pv0\", 2, 3]",
	  UDS_ERR_CORRUPT,
	  "segment1: stripes: expected a list of 2, a name and an extent of each stripe, found a "
	  "list of 3" },
	{ "stripes = [\n\t\t\t\t\t\"pv0\", 2\n\t\t\t\t]", "stripes = [2, \"pv0\"]", UDS_ERR_CORRUPT,
	  "segment1: stripes (line 36): expected pairs of a name and an extent, found the number 2 "
	  "and the string 'pv0'" },
	{ "stripes = [\n\t\t\t\t\t\"pv0\", 2\n\t\t\t\t]", "stripe = 1", UDS_ERR_CORRUPT,
	  "a name and an extent of each stripe, found none" },
	{ "stripes = [\n\t\t\t\t\t\"pv0\", 2\n\t\t\t\t]",
	  "stripes = [\"pv0\", 18446744073709551615]", UDS_ERR_CORRUPT,
	  "stripes: expected to end by extent 48 of 'pv0', found 4 extents from "
	  "18446744073709551615 on" },
	{ "stripes = [\"pv0\", 46]", "stripes = [\"pv0\", 47]", UDS_ERR_CORRUPT,
	  "expected to end by extent 48 of 'pv0', found 2 extents from 47 on" },
	{ "stripes = [\"pv0\", 46]", "stripes = [\"pv0\", 5]", UDS_ERR_CORRUPT,
	  "physical volume 'pv0': extent 5: expected in one segment, found in one of logical "
	  "volume 'origin' and in one of 'origin'" },
	{ "stripes = [\"pv1\", 30]", "stripes = [\"pv1\", 19]", UDS_ERR_CORRUPT,
	  "physical volume 'pv1': extent 20: expected in one segment, found in one of logical "
	  "volume 'snap' and in one of 'stripes'" },
	{ "bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb", "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa",
	  UDS_ERR_CORRUPT,
	  "group 'vg': physical volumes 'pv0' and 'pv1': id: expected one of its own for each, "
	  "found 'aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa' twice" },
	{ "segment2 {", "segment3 {", UDS_ERR_CORRUPT,
	  "expected each name once, found 'segment3' twice" },
	{ "segment2 {", "segment4 {", UDS_ERR_CORRUPT,
	  "logical volume 'origin': expected segment2, found segment4" },
	{ "segment2 {", "segment02 {", UDS_ERR_CORRUPT,
	  "logical volume 'origin': expected segment2, found segment02" },
	{ "segment2 {", "segment {", UDS_ERR_CORRUPT,
	  "logical volume 'origin': expected segment2, found segment" },
	{ "segment2 {", "segments {", UDS_ERR_CORRUPT,
	  "logical volume 'origin': expected segment2, found segments" },
	{ "segment2 {", "segment4294967298 {", UDS_ERR_CORRUPT,
	  "logical volume 'origin': expected segment2, found segment4294967298" },
	{ "segment2 {", "other {", UDS_ERR_CORRUPT,
	  "logical volume 'origin': expected segment2, found segment3" },
	{ "segment_count = 3", "segment_count = 4", UDS_ERR_CORRUPT,
	  "segment_count: expected 3, as many as there are, found 4" },
	{ "segment_count = 3", "segment_count = 0", UDS_ERR_CORRUPT,
	  "segment_count (line 30): expected 1 to 4294967295, found 0" },
	{ "start_extent = 4", "start_extent = 5", UDS_ERR_CORRUPT,
	  "logical volume 'origin': segment2: start_extent (line 41): expected 4 to 4, found 5" },
	{ "extent_count = 3", "extent_count = 2251799813685248", UDS_ERR_CORRUPT,
	  "extent_count (line 42): expected 1 to 2251799813685243" },
	{ "extent_count = 3", "extent_count = 0", UDS_ERR_CORRUPT, "found 0" },
	{ "stripe_count = 2", "stripe_count = 3", UDS_ERR_CORRUPT,
	  "expected a list of 6, a name and an extent of each stripe, found a list of 4" },
	{ "stripe_count = 2", "stripe_count = 0", UDS_ERR_CORRUPT,
	  "stripe_count (line 63): expected 1 to" },
	{ "stripe_size = 4", "stripe_size = 0", UDS_ERR_CORRUPT,
	  "stripe_size (line 64): expected 1 to 4294967296, found 0" },
	{ "stripe_size = 4", "stripe_size = 5", UDS_ERR_CORRUPT,
	  "extent_count: expected whole stripes in 2 parts, found 8 extents of 8 sectors" },
	{ "\"mirror\"", "1", UDS_ERR_CORRUPT,
	  "logical volume 'mirrored': segment1: type (line 87): expected a string, found the "
	  "number "
	  "1" },
	{ "chunk_size = 16", "chunk_size = 0", UDS_ERR_CORRUPT,
	  "chunk_size (line 136): expected 1 to 2097152, found 0" },
	{ "cow_store = \"snap\"", "cow_store = 1", UDS_ERR_CORRUPT,
	  "logical volume 'snapshot0': segment1: cow_store (line 125): expected a string, found "
	  "the "
	  "number 1" },
	{ "cow_store = \"snap\"", "cow_store = \"nothing\"", UDS_ERR_CORRUPT,
	  "logical volume 'snapshot0': COW store: expected the name of a logical volume, found "
	  "'nothing'" },
	{ "origin = \"origin\"", "origin = \"nothing\"", UDS_ERR_CORRUPT,
	  "origin: expected the name of a logical volume, found 'nothing'" },
	{ "cow_store = \"snap\"", "cow_store = \"origin\"", UDS_ERR_CORRUPT,
	  "logical volume 'origin': origin: expected a volume that is no snapshot, found 'origin', "
	  "which is one" },
	{ "origin = \"origin\"", "origin = \"merging\"", UDS_ERR_CORRUPT,
	  "logical volume 'snap': origin: expected a volume that is no snapshot, found 'merging', "
	  "which is one" },
	{ "merging_store = \"merging\"", "cow_store = \"snap\"", UDS_ERR_CORRUPT,
	  "COW store: expected one of its own, found 'snap', which another snapshot has" },
	{ "vg {", "vg {\n} # ", UDS_ERR_CORRUPT,
	  "line 143: expected a name, found '}' of no section" },
};

START_TEST(what_is_wrong_in_a_text_is_named)
{
	char *text = lvm_image_edit(lvm_image_text, faults[_i].find, faults[_i].replacement);
	struct uds_io *io = open_pv('a', text);
	struct uds_lvm_group *group = NULL;
	struct uds_message said = { "" };

	ck_assert_int_eq(uds_lvm_open_group(&io, 1, NULL, NULL, &said, &group), faults[_i].status);
	message = said;
	ck_sentence_has(faults[_i].sentence);
	ck_sentence_has(uds_io_name(io));
	ck_sentence_has("expected");
	ck_assert_ptr_null(group);
	uds_io_close(io);
	free(text);
}
END_TEST

/* Texts that LVM 2.03.16 reads, though it does not write them like that. */
static const struct {
	const char *find, *replacement;
} allowed[] = {
	{ "physical_volumes {", "\"physical_volumes\" {" },
	{ "pv0 {", "'pv0'\n{" },
	{ "origin {", "\"origin\"{" },
	{ "extent_size = 8", "\"extent_size\" = 8" },
	{ "\"RESIZEABLE\", \"READ\", \"WRITE\"]", "\"RESIZEABLE\", \"READ\", \"WRITE\",]" },
	{ "\"pv0\", 10, \"pv1\", 20]", "\"pv0\", 10, \"pv1\", 20,\n]" },
	{ "extent_size = 8", "extent_size\f=\f8\f" },
	{ "extent_size = 8", "extent_size\v=\v8" },
	{ "type = \"mirror\"", "type = 'mirror'" },
	{ "type = \"mirror\"", "type = mirror" },
	{ "type = \"mirror\"\n", "type = mirror\t#\n" },
	{ "device = \"/dev/\\\"sdb\\\"\"", "device = '/dev/\"sdb\"'" },
	{ "contents =", "a = '\\' b = \"\\n\" c = a:b d = x*y(z) contents =" },
};

START_TEST(what_lvm_reads_is_read)
{
	char *text = lvm_image_edit(lvm_image_text, allowed[_i].find, allowed[_i].replacement);
	struct listed expected = { "" }, listed = { "" };
	struct uds_lvm_group *group = whole_group();
	struct uds_io *io;

	ck_assert_int_eq(uds_lvm_for_each_pv(group, list_pv, &expected), 0);
	ck_assert_int_eq(uds_lvm_for_each_volume(group, list_volume, &expected), 0);
	uds_lvm_close_group(group);
	ck_assert_msg(open_group(open_pv('a', text), open_pv('b', text), &group) == 0, "%s",
		      message.text);
	ck_assert_str_eq(logged.text, "");
	ck_assert_int_eq(uds_lvm_for_each_pv(group, list_pv, &listed), 0);
	ck_assert_int_eq(uds_lvm_for_each_volume(group, list_volume, &listed), 0);
	ck_assert_str_eq(listed.text, expected.text);
	ck_assert_int_eq(uds_lvm_open_volume(group, "stripes", &message, &io), 0);
	ck_extent(io, 0, 'a', 10, 0, 2048);
	uds_io_close(io);
	uds_lvm_close_group(group);
	free(text);
}
END_TEST

/* LVM asks the device; here nothing is known of its end. */
START_TEST(the_size_of_a_device_need_not_be_said)
{
	char *text = lvm_image_edit(
		lvm_image_text, "device = \"/dev/sda\"\t# Hint only\n\t\t\tdev_size = 512\n", "");
	struct listed listed = { "" };
	struct uds_lvm_group *group;

	ck_assert_msg(open_group(open_pv('a', text), open_pv('b', text), &group) == 0, "%s",
		      message.text);
	ck_assert_int_eq(uds_lvm_for_each_pv(group, list_pv, &listed), 0);
	ck_assert_str_eq(listed.text, "pv0 aaaaaa-a  0 65536 48 there\n"
				      "pv1 bbbbbb-b /dev/\"sdb\" 262144 65536 48 there\n");
	uds_lvm_close_group(group);
	free(text);
}
END_TEST

START_TEST(what_is_marked_as_missing_is_named_and_not_written)
{
	char *text = lvm_image_edit(lvm_image_text, "device = \"/dev/sda\"\t# Hint only\n",
				    "device = \"/dev/sda\" flags = [\"OTHER\", \"MISSING\"]\n");
	struct uds_io *pvs[] = { open_pv('a', text), open_pv('b', text) };
	struct uds_lvm_options options = UDS_LVM_OPTIONS_INIT;
	struct uds_lvm_group *group;

	/* These can be written. */
	ck_assert_int_eq(uds_lvm_open_group(pvs, 2, NULL, NULL, &message, &group), -ENODEV);
	ck_sentence_has("group 'vg': physical volume 'pv0' (aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa)"
			" on mem: is marked as missing");
	ck_sentence_has("; vgextend --restoremissing ends that, missing=1 writes all the same");
	options.allow_missing = true;
	ck_assert_int_eq(uds_lvm_open_group(pvs, 2, &options, NULL, &message, &group), 0);
	uds_lvm_close_group(group);
	/* What is marked and not given is missing, as others are. */
	ck_assert_int_eq(uds_lvm_open_group(&pvs[1], 1, NULL, NULL, &message, &group), -ENODEV);
	ck_sentence_has("expected all 2 physical volumes, found 1");
	ck_assert_int_eq(open_group(pvs[0], pvs[1], &group), 0);
	ck_assert_msg(strstr(logged.text, "is marked as missing: LVM has changed the group without "
					  "it, and it may be stale") != NULL,
		      "%s", logged.text);
	uds_lvm_close_group(group);
	free(text);
}
END_TEST

START_TEST(a_text_that_is_cut_off_is_refused)
{
	size_t end = strlen(lvm_image_text),
	       whole = (size_t)(strstr(lvm_image_text, "\n}\n") + 2 - lvm_image_text);
	uint8_t *image = lvm_image_make('a', NULL);
	struct uds_lvm_group *group;

	for (size_t length = 1; length < end; length++) {
		lvm_image_put_text(image, lvm_image_text, length, 512);
		if (open_group(open_image(image), NULL, &group) == 0) {
			ck_assert_uint_ge(length, whole);
			uds_lvm_close_group(group);
			continue;
		}
		ck_sentence_has("text: ");
	}
	ck_assert_uint_lt(whole, end);
	free(image);
}
END_TEST

START_TEST(devices_must_be_those_of_one_group)
{
	char *other = lvm_image_edit(lvm_image_text, "id = \"gggggg-", "id = \"hhhhhh-");
	struct uds_lvm_group *group;

	ck_assert_int_eq(open_group(open_pv('a', lvm_image_text), open_pv('b', other), &group),
			 UDS_ERR_MISMATCH);
	ck_sentence_has("group: expected 'vg' (gggggg-");
	ck_sentence_has("found 'vg' (hhhhhh-");
	ck_assert_int_eq(open_group(open_pv('a', lvm_image_text), open_pv('z', NULL), &group),
			 UDS_ERR_MISMATCH);
	ck_sentence_has(
		"uuid: expected that of a physical volume of group 'vg' (seqno 7), found zzzzzz-");
	ck_assert_int_eq(
		open_group(open_pv('a', lvm_image_text), open_pv('a', lvm_image_text), &group),
		-EINVAL);
	ck_sentence_has("physical volume aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa: expected once");
	ck_assert_int_eq(open_group(open_pv('a', NULL), open_pv('b', NULL), &group), -EINVAL);
	ck_sentence_has("expected the metadata of a group, found none");
	ck_assert_int_eq(uds_lvm_open_group(NULL, 0, NULL, NULL, &message, &group), -EINVAL);
	ck_sentence_has("expected 1 to 4096 physical volumes, found 0");
	free(other);
}
END_TEST

START_TEST(what_lies_on_a_missing_device_is_named)
{
	struct uds_io *io = open_pv('a', lvm_image_text), *volume;
	struct listed listed = { "" };
	struct uds_lvm_group *group;

	ck_assert_int_eq(uds_lvm_open_group(&io, 1, NULL, NULL, &message, &group), -ENODEV);
	ck_sentence_has(
		"to write, expected all 2 physical volumes, found 1: 'pv1' (bbbbbb-bbbb-bbbb-"
		"bbbb-bbbb-bbbb-bbbbbb) is missing; missing=1 writes without it");
	uds_io_close(io);
	ck_assert_int_eq(open_group(open_pv('a', lvm_image_text), NULL, &group), 0);
	uds_lvm_for_each_pv(group, list_pv, &listed);
	ck_assert_ptr_nonnull(strstr(listed.text, "48 missing\n"));
	uds_lvm_for_each_volume(group, list_volume, &listed);
	ck_assert_ptr_nonnull(
		strstr(listed.text, "snap linear 1 20480 origin 4096 visible missing\n"));
	ck_assert_ptr_nonnull(strstr(listed.text, "plain linear 1 4096 - 0 visible\n"));
	ck_assert_int_eq(uds_lvm_open_volume(group, "origin", &message, &volume), -ENODEV);
	ck_sentence_has("logical volume 'vg/origin': segment2: expected physical volume 'pv1' "
			"(bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb, /dev/\"sdb\"), found it missing");
	ck_assert_int_eq(uds_lvm_open_volume(group, "plain", &message, &volume), 0);
	ck_extent(volume, 0, 'a', 30, 0, EXTENT);
	uds_io_close(volume);
	uds_lvm_close_group(group);
}
END_TEST

START_TEST(other_segments_are_refused_by_name)
{
	char *stacked = lvm_image_edit(lvm_image_text, "stripes = [\"pv0\", 30]",
				       "stripes = [\"origin\", 1]");
	struct uds_lvm_group *group = whole_group();
	struct uds_io *io = NULL;

	ck_assert_int_eq(uds_lvm_open_volume(group, "mirrored", &message, &io), -EOPNOTSUPP);
	ck_sentence_has("logical volume 'vg/mirrored': segment1: type: expected linear or striped, "
			"found mirror, which is not read");
	uds_lvm_close_group(group);
	/* A volume on another one, which could as well lie on itself. */
	ck_assert_int_eq(open_group(open_pv('a', stacked), NULL, &group), 0);
	ck_assert_int_eq(uds_lvm_open_volume(group, "plain", &message, &io), -EOPNOTSUPP);
	ck_sentence_has("found stacked, which is not read");
	ck_assert_ptr_null(io);
	uds_lvm_close_group(group);
	free(stacked);
}
END_TEST

START_TEST(a_device_that_is_too_short_is_named)
{
	struct uds_io_range range = { open_pv('a', lvm_image_text), 0, LVM_IMAGE_BYTES - 512 };
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_lvm_group *group;
	struct uds_io *cut, *io;

	options.close_parts = true;
	ck_assert_int_eq(uds_io_open_ranges(&range, 1, &options, NULL, &message, &cut), 0);
	ck_assert_int_eq(open_group(cut, open_pv('b', NULL), &group), 0);
	ck_assert_int_eq(uds_lvm_open_volume(group, "origin", &message, &io), UDS_ERR_OUT_OF_RANGE);
	ck_sentence_has("segment3: ");
	ck_sentence_has(
		"expected to end by byte 261632, the end of the device, found 8192 bytes from "
		"253952 on");
	ck_assert_int_eq(uds_lvm_open_volume(group, "plain", &message, &io), 0);
	uds_io_close(io);
	uds_lvm_close_group(group);
}
END_TEST

/* An image with @letter in front of zeroes up to 8 GiB. */
static struct uds_io *long_pv(char letter, const char *text)
{
	struct uds_io_range ranges[] = { { open_pv(letter, text), 0, UINT64_MAX },
					 { NULL, 0, UINT64_C(8) << 30 } };
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_io *io;

	options.close_parts = true;
	ck_assert_int_eq(uds_io_open_ranges(ranges, 2, &options, NULL, &message, &io), 0);
	return io;
}

START_TEST(too_many_pieces_of_stripes_are_counted)
{
	/* Two stripes of 2^20 + 1 extents, each in 8 pieces of a sector. */
	char *text = lvm_image_edit(lvm_image_text,
				    "extent_count = 8\n\t\t\t\ttype = \"striped\"\n"
				    "\t\t\t\tstripe_count = 2\n\t\t\t\tstripe_size = 4\n"
				    "\t\t\t\tstripes = [\"pv0\", 10, \"pv1\", 20]",
				    "extent_count = 2097154 type = \"striped\" stripe_count = 2 "
				    "stripe_size = 1 stripes = [\"pv0\", 50, \"pv1\", 50]");
	char *a = lvm_image_edit(text,
				 "/sda\"\t# Hint only\n\t\t\tdev_size = 512\n"
				 "\t\t\tpe_start = 128\n\t\t\tpe_count = 48",
				 "\" dev_size = 0 pe_start = 128 pe_count = 1048627");
	char *b = lvm_image_edit(a, "dev_size = 512\n\t\t\tpe_start = 128\n\t\t\tpe_count = 48",
				 "dev_size = 0 pe_start = 128 pe_count = 1048627");
	struct uds_lvm_group *group;
	struct uds_io *io;

	ck_assert_int_eq(open_group(long_pv('a', b), long_pv('b', b), &group), 0);
	ck_assert_int_eq(uds_lvm_open_volume(group, "stripes", &message, &io), -EFBIG);
	ck_assert_str_eq(message.text,
			 "logical volume 'vg/stripes': segment1: expected at most 16777216 pieces "
			 "of stripes in all, found 16777232");
	uds_lvm_close_group(group);
	free(text);
	free(a);
	free(b);
}
END_TEST

static int open_and_read(const struct uds_env *env, void *context)
{
	struct uds_io **pvs = context;
	struct uds_lvm_group *group;
	struct uds_io *io;
	int r = uds_lvm_open_group(pvs, 2, NULL, env, &message, &group);

	if (r < 0)
		return r;
	r = uds_lvm_open_volume(group, "stripes", &message, &io);
	if (r == 0)
		uds_io_close(io);
	uds_lvm_close_group(group);
	return r;
}

START_TEST(no_memory_is_an_error)
{
	char *newer = lvm_image_edit(lvm_image_text, "seqno = 7", "seqno = 8");
	struct uds_io *pvs[] = { open_pv('a', lvm_image_text), open_pv('b', newer) };

	ck_assert_uint_gt(torture_each_allocation(open_and_read, pvs, false), 20);
	uds_io_close(pvs[0]);
	uds_io_close(pvs[1]);
	free(newer);
}
END_TEST

START_TEST(a_failing_device_is_named)
{
	struct fault_plan plan;
	struct uds_io *pvs[2] = { open_pv('a', lvm_image_text) };
	uint64_t calls;

	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, open_pv('b', lvm_image_text), NULL, &pvs[1]), 0);
	fault_plan_fail(&plan, FAULT_READ | FAULT_SIZE, 0, 0, false);
	ck_assert_int_eq(open_and_read(NULL, pvs), 0);
	calls = fault_plan_count(&plan, FAULT_READ | FAULT_SIZE);
	ck_assert_uint_ge(calls, 4);
	for (uint64_t i = 1; i <= calls; i++) {
		fault_plan_fail(&plan, FAULT_READ | FAULT_SIZE, i, -EIO, true);
		ck_assert_int_eq(open_and_read(NULL, pvs), -EIO);
		ck_sentence_has("Input/output error");
	}
	fault_plan_fail(&plan, FAULT_READ, 0, 0, false);
	uds_io_close(pvs[0]);
	uds_io_close(pvs[1]);
	fault_plan_end(&plan);
}
END_TEST

/* ---- by URI, on files ---- */

static char paths[2][300];

static void make_files(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	for (int i = 0; i < 2; i++) {
		uint8_t *image = lvm_image_make((char)('a' + i), lvm_image_text);
		FILE *file;

		snprintf(paths[i], sizeof(paths[i]), "%s/%c", scratch_dir(), 'a' + i);
		file = fopen(paths[i], "wb");
		ck_assert_ptr_nonnull(file);
		ck_assert_uint_eq(fwrite(image, 1, LVM_IMAGE_BYTES, file), LVM_IMAGE_BYTES);
		ck_assert_int_eq(fclose(file), 0);
		free(image);
	}
}

static void remove_files(void)
{
	unlink(paths[0]);
	unlink(paths[1]);
	rmdir(scratch_dir());
}

static int open_uri(const char *name, const char *more, bool both, bool write,
		    struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	char uri[700];

	options.write = write;
	snprintf(uri, sizeof(uri), "lvm:%s?pv=%s%s%s%s", name, paths[0], both ? "&pv=file:" : "",
		 both ? paths[1] : "", more);
	return uds_io_open_uri(uri, &options, NULL, &message, ret_io);
}

START_TEST(a_uri_opens_a_volume)
{
	struct uds_lvm_volume volume = UDS_LVM_VOLUME_INIT;
	struct uds_io *io, *origin, *second;

	ck_assert_int_eq(open_uri("vg/snap", "", true, false, &io), 0);
	ck_assert(uds_io_is_read_only(io));
	ck_extent(io, 0, 'b', 30, 0, EXTENT);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 0), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* To write both, the origin comes from the group of the store. */
	ck_assert_int_eq(open_uri("vg/snap", "", true, true, &io), 0);
	ck_assert_ptr_nonnull(uds_lvm_group_of(io));
	ck_assert_int_eq(open_uri("vg/origin", "", true, true, &second), UDS_ERR_IN_USE);
	ck_assert_int_eq(uds_lvm_lookup_volume(uds_lvm_group_of(io), "snap", &message, &volume), 0);
	ck_assert_int_eq(
		uds_lvm_open_volume(uds_lvm_group_of(io), volume.origin, &message, &origin), 0);
	ck_assert_int_eq(uds_io_write(origin, "x", 1, EXTENT), 0);
	ck_assert_int_eq(uds_io_write(io, "y", 1, EXTENT), 0);
	ck_assert(!uds_io_overlap(io, origin));
	uds_io_close(origin);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(open_uri("vg/origin", "&offset=4096&length=4096", true, false, &io), 0);
	ck_assert_ptr_null(uds_lvm_group_of(io));
	uds_io_close(io);
}
END_TEST

START_TEST(what_is_wrong_with_a_uri_is_named)
{
	char again[320], both[700];
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_uri("lvm:vg/snap", NULL, NULL, &message, &io), -EINVAL);
	ck_sentence_has("lvm:vg/snap: expected lvm:GROUP/VOLUME?pv=URI, with each physical volume");
	ck_assert_int_eq(open_uri("vg", "", true, false, &io), -EINVAL);
	ck_sentence_has("expected lvm:GROUP/VOLUME?pv=URI");
	ck_assert_int_eq(open_uri("v/snap", "", true, false, &io), UDS_ERR_MISMATCH);
	ck_sentence_has("group: expected 'v', found 'vg' on the physical volumes");
	ck_assert_int_eq(open_uri("vgg/snap", "", true, false, &io), UDS_ERR_MISMATCH);
	ck_assert_int_eq(open_uri("vg/nothing", "", true, false, &io), -ENOENT);
	ck_assert_int_eq(open_uri("vg/snap", "&pv=/nowhere", true, false, &io), -ENOENT);
	ck_sentence_has("/nowhere");
	ck_assert_int_eq(open_uri("vg/snap", "&pv=mem:?size=4096", true, false, &io), -EINVAL);
	ck_sentence_has("not an LVM physical volume");
	snprintf(again, sizeof(again), "&pv=file:%s", paths[0]);
	snprintf(both, sizeof(both), "file:%s is the same file or device as %s", paths[0],
		 paths[0]);
	ck_assert_int_eq(open_uri("vg/plain", again, true, true, &io), -EINVAL);
	ck_sentence_has(both);
	/* To read it is the group that wants each of them once. */
	ck_assert_int_eq(open_uri("vg/plain", again, true, false, &io), -EINVAL);
	ck_sentence_has(" is the same file or device as");
	ck_sentence_has("expected physical volume aaaaaa-");
	ck_assert_int_eq(open_uri("vg/plain", "", false, true, &io), -ENODEV);
	ck_assert_int_eq(open_uri("vg/plain", "&missing=1", false, true, &io), 0);
	uds_io_close(io);
	ck_assert_int_eq(open_uri("vg/plain", "", false, false, &io), 0);
	uds_io_close(io);
	ck_assert_ptr_null(strstr(message.text, "unknown"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lvm");
	TCase *t = tcase_create("groups");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_group_says_what_it_has);
	tcase_add_test(t, a_callback_ends_a_walk);
	tcase_add_test(t, a_label_is_read);
	tcase_add_test(t, linear_segments_follow_each_other);
	tcase_add_test(t, segments_are_found_by_their_numbers);
	tcase_add_test(t, stripes_take_turns);
	tcase_add_test(t, a_write_goes_to_the_extent_that_it_is_meant_for);
	tcase_add_test(t, the_newest_metadata_count);
	tcase_add_test(t, text_goes_around_the_end_of_its_area);
	tcase_add_loop_test(t, damage_to_label_and_area_is_named, 0,
			    sizeof(damages) / sizeof(damages[0]));
	tcase_add_test(t, lists_of_areas_end_in_the_sector);
	tcase_add_test(t, a_whole_copy_stands_in_for_a_damaged_one);
	tcase_add_test(t, two_texts_of_one_seqno_are_named_with_their_places);
	tcase_add_test(t, copies_that_do_not_count_do_not_differ);
	tcase_add_loop_test(t, what_is_wrong_in_a_text_is_named, 0,
			    sizeof(faults) / sizeof(faults[0]));
	tcase_add_loop_test(t, what_lvm_reads_is_read, 0, sizeof(allowed) / sizeof(allowed[0]));
	tcase_add_test(t, the_size_of_a_device_need_not_be_said);
	tcase_add_test(t, what_is_marked_as_missing_is_named_and_not_written);
	tcase_add_test(t, a_text_that_is_cut_off_is_refused);
	tcase_add_test(t, devices_must_be_those_of_one_group);
	tcase_add_test(t, what_lies_on_a_missing_device_is_named);
	tcase_add_test(t, other_segments_are_refused_by_name);
	tcase_add_test(t, a_device_that_is_too_short_is_named);
	tcase_add_test(t, too_many_pieces_of_stripes_are_counted);
	tcase_add_test(t, no_memory_is_an_error);
	tcase_add_test(t, a_failing_device_is_named);
	suite_add_tcase(suite, t);
	t = tcase_create("uris");
	tcase_add_checked_fixture(t, make_files, remove_files);
	tcase_add_test(t, a_uri_opens_a_volume);
	tcase_add_test(t, what_is_wrong_with_a_uri_is_named);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
