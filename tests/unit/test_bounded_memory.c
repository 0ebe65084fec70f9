/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much memory an image can make the library ask for: whatever numbers stand in it, not much
 * more than its own size, and buffers of a fixed size. Each field of the heads of an index, of an
 * exception store and of an LVM physical volume is replaced by numbers that are too large, and the
 * image is opened and checked as far as that goes.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/exception_store.h>
#include <uds/index.h>
#include <uds/lvm.h>

#include "base/bytes.h"
#include "check_main.h"
#include "lvm_image.h"

#define BLOCK	   4096
#define COW_BYTES  (1u << 20)
#define COW_CHUNK  4096
#define EXCEPTIONS 300

/* Areas are read ahead into buffers of this size. */
#define BUFFERS (16u << 20)

/* Each allocation has its size in front, so that what is in use can be added up. */
#define HEAD 4096

/* The library allocates from several threads while an index is opened. */
static _Atomic size_t in_use, most;
static size_t largest_allowed;
static _Atomic bool refused;

static void note_most(size_t bytes)
{
	size_t before = most;

	while (bytes > before && !atomic_compare_exchange_weak(&most, &before, bytes))
		;
}

static void *allocate(void *context, size_t bytes, size_t alignment)
{
	uint8_t *memory;

	(void)context;
	ck_assert_uint_le(alignment, HEAD);
	if (bytes > largest_allowed - in_use) {
		refused = true;
		return NULL;
	}
	if (posix_memalign((void **)&memory, HEAD, HEAD + bytes) != 0)
		return NULL;
	memcpy(memory, &bytes, sizeof(bytes));
	note_most(atomic_fetch_add(&in_use, bytes) + bytes);
	return memory + HEAD;
}

static void release(void *context, void *memory)
{
	size_t bytes;

	(void)context;
	memcpy(&bytes, (uint8_t *)memory - HEAD, sizeof(bytes));
	in_use -= bytes;
	free((uint8_t *)memory - HEAD);
}

static const struct uds_env counting = {
	.size = sizeof(struct uds_env),
	.allocate = allocate,
	.release = release,
};

static void begin(size_t allowed)
{
	in_use = 0;
	most = 0;
	refused = false;
	largest_allowed = allowed;
}

static void end(const char *what, uint64_t at, uint64_t value)
{
	ck_assert_msg(!refused, "%s: byte %llu made %llx: more than %zu bytes of memory", what,
		      (unsigned long long)at, (unsigned long long)value, largest_allowed);
	ck_assert_uint_eq(in_use, 0);
}

/* A small index with a chapter on the volume and a save; as one piece of memory. */
static uint8_t *make_index(struct uds_io **ret_io, uint64_t *ret_bytes)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message = { "" };
	struct uds_index *index;
	uint8_t *image;

	c.page_bytes = BLOCK;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = 8;
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, ret_io), 0);
	ck_assert_msg(uds_index_format(*ret_io, &c, NULL, &message) == 0, "%s", message.text);
	ck_assert_int_eq(uds_index_open(*ret_io, NULL, &message, &index), 0);
	for (uint64_t i = 0; i < 700; i++) {
		struct uds_record_name name;
		struct uds_record_data data = { { (uint8_t)i } };

		uds_record_name_of_block(&i, sizeof(i), &name);
		ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_size(*ret_io, ret_bytes), 0);
	image = malloc(*ret_bytes);
	ck_assert_ptr_nonnull(image);
	ck_assert_int_eq(uds_io_read(*ret_io, image, *ret_bytes, 0), 0);
	return image;
}

/* All that can be looked at: the heads, the saves, every chapter; recovered where it has to be. */
static void check_index(struct uds_io *io)
{
	struct uds_index_info_options info_options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	uint64_t findings;

	options.env = &counting;
	info_options.env = &counting;
	info_options.check_save = true;
	(void)uds_index_read_info(io, &info_options, NULL, &info);
	(void)uds_index_verify(io, &options, NULL, NULL, NULL, &findings);
}

static void damage_index(struct uds_io *io, const uint8_t *image, uint64_t at, unsigned int width,
			 uint64_t value)
{
	uint8_t bytes[8];

	for (unsigned int i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	ck_assert_int_eq(uds_io_write(io, bytes, width, at), 0);
	begin(largest_allowed);
	check_index(io);
	end("index", at, value);
	ck_assert_int_eq(uds_io_write(io, image + at, width, at), 0);
}

/* A block that is a region table: the super block, and the header of each save. */
static bool is_table(const uint8_t *block)
{
	static const uint8_t magic[8] = { 0x31, 0x30, 0x6e, 0x67, 0x52, 0x62, 0x6c, 0x41 };

	return memcmp(block, magic, sizeof(magic)) == 0;
}

/* A block that a part of a save begins with: their heads have counts. */
static bool begins_part(const uint8_t *block)
{
	return memcmp(block, "ALBOC", 5) == 0 || memcmp(block, "MI5-", 4) == 0 ||
	       memcmp(block, "ALBIPM02", 8) == 0;
}

START_TEST(an_index_asks_for_memory_by_its_size)
{
	static const uint64_t values[] = { 0xffffffffffffffff, 0x7fffffff7fffffff,
					   0x1000000010000000 };
	struct uds_io *io;
	uint64_t bytes, heads = 0;
	uint8_t *image = make_index(&io, &bytes);

	begin(SIZE_MAX);
	check_index(io);
	/* What it takes undamaged, with the same recovered beside it, and its own size. */
	largest_allowed = 3 * most + bytes;
	for (uint64_t block = 0; block < bytes; block += BLOCK) {
		bool config = memcmp(image + block, "ALBIC", 5) == 0;
		unsigned int step = config || begins_part(image + block) ? 2 : 4;

		if (!config && !is_table(image + block) && !begins_part(image + block))
			continue;
		heads++;
		for (uint64_t at = block; at < block + 320; at += step * test_step()) {
			for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
				damage_index(io, image, at, 4, values[v]);
				damage_index(io, image, at, 8, values[v]);
			}
		}
	}
	/* Super block, config, one save header of two, open chapter, volume index, page map. */
	ck_assert_uint_ge(heads, 6);
	free(image);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

static struct uds_io *make_store(void)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_exception_store *store;
	struct uds_exception e;
	struct uds_io *io;

	format.chunk_bytes = COW_CHUNK;
	ck_assert_int_eq(uds_io_open_memory(2 * COW_BYTES, 1, NULL, NULL, &io), 0);
	ck_assert_msg(uds_exception_store_format(io, &format, &message) == 0, "%s", message.text);
	ck_assert_int_eq(uds_exception_store_open(io, NULL, &message, &store), 0);
	for (uint64_t i = 0; i < EXCEPTIONS; i++) {
		ck_assert_int_eq(uds_exception_store_prepare(store, 7 * i, &e), 0);
		ck_assert_int_eq(uds_exception_store_commit(store, &e, 1), 0);
	}
	ck_assert_int_eq(uds_exception_store_close(store), 0);
	return io;
}

static void check_store(struct uds_io *io)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store *store;
	uint64_t findings;

	options.env = &counting;
	options.read_only = true;
	(void)uds_exception_store_verify(io, &options, NULL, NULL, NULL, &findings);
	for (int salvage = 0; salvage < 2; salvage++) {
		options.salvage = salvage != 0;
		if (uds_exception_store_open(io, &options, NULL, &store) == 0)
			(void)uds_exception_store_close(store);
	}
}

START_TEST(an_exception_store_asks_for_memory_by_its_size)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x10, 0x7f, 0x80, 0xff };
	struct uds_io *io = make_store();
	uint8_t was[8], bytes[8];

	begin(SIZE_MAX);
	check_store(io);
	largest_allowed = most + 2 * COW_BYTES + BUFFERS;
	/* The header, then numbers of entries: in the first area, and at its end. */
	for (uint64_t at = 0; at < COW_CHUNK + COW_CHUNK; at += 4 * test_step()) {
		if (at >= 16 && at < COW_CHUNK)
			continue;
		if (at >= COW_CHUNK + 64 && at < 2 * COW_CHUNK - 32)
			continue;
		ck_assert_int_eq(uds_io_read(io, was, sizeof(was), at), 0);
		for (size_t v = 0; v < sizeof(values); v++) {
			for (size_t place = 0; place < sizeof(bytes); place++) {
				memcpy(bytes, was, sizeof(bytes));
				bytes[place] = values[v];
				ck_assert_int_eq(uds_io_write(io, bytes, sizeof(bytes), at), 0);
				begin(largest_allowed);
				check_store(io);
				end("store", at + place, values[v]);
			}
		}
		ck_assert_int_eq(uds_io_write(io, was, sizeof(was), at), 0);
	}
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* Everything that the group on an image has, read through the counting allocator. */
static int open_volume(void *context, const struct uds_lvm_volume *volume)
{
	struct uds_io *io;

	if (uds_lvm_open_volume(context, volume->name, NULL, &io) == 0)
		(void)uds_io_close(io);
	return 0;
}

static void check_lvm(const uint8_t *image)
{
	struct uds_lvm_options options = UDS_LVM_OPTIONS_INIT;
	struct uds_lvm_group *group = NULL;
	struct uds_io *io;

	options.allow_missing = true;
	ck_assert_int_eq(uds_io_open_memory(LVM_IMAGE_BYTES, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_write(io, image, LVM_IMAGE_BYTES, 0), 0);
	if (uds_lvm_open_group(&io, 1, &options, &counting, NULL, &group) == 0)
		(void)uds_lvm_for_each_volume(group, open_volume, group);
	(void)uds_lvm_close_group(group);
	(void)uds_io_close(io);
}

START_TEST(an_lvm_physical_volume_asks_for_memory_by_its_size)
{
	static const uint64_t values[] = { UINT64_MAX, INT64_MAX, UINT32_MAX, 1 << 24, 1 };
	uint8_t *image = lvm_image_make('a', lvm_image_text), was[8];

	begin(SIZE_MAX);
	check_lvm(image);
	largest_allowed = most + 2 * LVM_IMAGE_BYTES;
	/* The label with its lists, then the header of the metadata area. */
	for (uint64_t at = 512; at < 4096 + 72; at = at == 512 + 128 ? 4096 : at + 4) {
		memcpy(was, image + at, 8);
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			put_le64(image + at, values[v]);
			lvm_image_seal_label(image);
			lvm_image_seal_area(image);
			begin(largest_allowed);
			check_lvm(image);
			end("lvm", at, values[v]);
		}
		memcpy(image + at, was, 8);
	}
	free(image);
}
END_TEST

START_TEST(numbers_in_an_lvm_text_ask_for_no_memory)
{
	static const char *const values[] = { "18446744073709551615", "4294967295", "16777216", "0",
					      "1" };
	char text[2 * LVM_IMAGE_AREA];
	uint8_t *image = lvm_image_make('a', lvm_image_text);
	uint64_t numbers = 0;

	begin(SIZE_MAX);
	check_lvm(image);
	largest_allowed = most + 2 * LVM_IMAGE_BYTES;
	for (const char *at = lvm_image_text; (at = strstr(at, "= ")) != NULL; at += 2) {
		size_t digits = strspn(at + 2, "0123456789");

		for (size_t v = 0; digits > 0 && v < sizeof(values) / sizeof(values[0]); v++) {
			snprintf(text, sizeof(text), "%.*s%s%s", (int)(at + 2 - lvm_image_text),
				 lvm_image_text, values[v], at + 2 + digits);
			lvm_image_put_text(image, text, strlen(text) + 1, 512);
			begin(largest_allowed);
			check_lvm(image);
			end("lvm text", (uint64_t)(at - lvm_image_text), v);
			numbers++;
		}
	}
	ck_assert_uint_ge(numbers, 100);
	/*
	 * As many nodes of the tree as the text has room for: 48 bytes for each, twice
	 * while it grows.
	 */
	memset(text, ' ', LVM_IMAGE_AREA);
	for (size_t i = 0; i + 2 < LVM_IMAGE_AREA - 600; i += 2)
		memcpy(text + i, i == 0 ? "a=" : i == 2 ? "[1" : ",1", 2);
	memcpy(text + LVM_IMAGE_AREA - 602, "]\0", 2);
	lvm_image_put_text(image, text, LVM_IMAGE_AREA - 600, 512);
	begin(100 * LVM_IMAGE_AREA);
	check_lvm(image);
	end("lvm list", 0, 0);
	ck_assert_uint_gt(most, 20 * LVM_IMAGE_AREA);
	free(image);
}
END_TEST

/* The allocator really sees what is asked for. */
START_TEST(more_than_is_allowed_is_noticed)
{
	struct uds_io *io;
	uint64_t bytes;
	uint8_t *image = make_index(&io, &bytes);

	begin(SIZE_MAX);
	check_index(io);
	ck_assert_uint_gt(most, BLOCK);
	begin(most / 2);
	check_index(io);
	ck_assert(refused);
	ck_assert_uint_eq(in_use, 0);
	free(image);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bounded_memory");
	TCase *tc = tcase_create("bounded_memory");

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, an_index_asks_for_memory_by_its_size);
	tcase_add_test(tc, an_exception_store_asks_for_memory_by_its_size);
	tcase_add_test(tc, an_lvm_physical_volume_asks_for_memory_by_its_size);
	tcase_add_test(tc, numbers_in_an_lvm_text_ask_for_no_memory);
	tcase_add_test(tc, more_than_is_allowed_is_noticed);
	return run_suite(suite);
}
