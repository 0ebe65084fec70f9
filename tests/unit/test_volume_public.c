/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uds/volume.h: reading the volumes of the reference's images, writing chapters, and
 * what is refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <stddef.h>
#include <string.h>

#include <uds/index.h>
#include <uds/volume.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "index_image.h"
#include "vector_file.h"

static struct uds_volume *open_at(struct uds_io *io, uint64_t offset)
{
	struct uds_volume_options options = UDS_VOLUME_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_volume *volume = NULL;
	int r;

	options.offset = offset;
	r = uds_volume_open(io, &options, &message, &volume);
	ck_assert_msg(r == 0, "%s", message.text);
	return volume;
}

static struct uds_volume_info info_of(struct uds_volume *volume)
{
	struct uds_volume_info info = { .size = sizeof(info) };

	ck_assert_int_eq(uds_volume_get_info(volume, &info), 0);
	return info;
}

/* Every page of a chapter, and one search for each of its records. */
static void read_chapter(struct uds_volume *volume, const struct uds_configuration *c, uint64_t vcn,
			 uint32_t index_pages)
{
	struct uds_index_page index_page = { .size = sizeof(index_page) };
	uint8_t *page = malloc(c->page_bytes);
	struct uds_message message = { "" };
	struct uds_page_format *format;
	uint32_t next = 0, found_records = 0;
	int r;

	r = uds_page_format_make(c, info_of(volume).volume_nonce, NULL, &message, &format);
	ck_assert_msg(r == 0, "%s", message.text);
	for (uint32_t i = 0; i < index_pages; i++) {
		r = uds_volume_read_index_page(volume, vcn, i, page, &message);
		if (r == 0)
			r = uds_chapter_index_initialize_page(format, page, &message, &index_page);
		if (r == 0)
			r = uds_chapter_index_validate_page(format, &index_page, &message);
		ck_assert_msg(r == 0, "%s", message.text);
		ck_assert_uint_eq(index_page.virtual_chapter, vcn);
		ck_assert_uint_eq(index_page.first_list, next);
		next += index_page.list_count;
	}
	for (uint32_t i = 0; i < c->record_pages_per_chapter; i++) {
		r = uds_volume_read_record_page(volume, vcn, i, page, &message);
		ck_assert_msg(r == 0, "%s", message.text);
		ck_assert_int_eq(uds_record_page_check(page, c->page_bytes / 32, NULL, NULL), 0);
		for (uint32_t n = 0; n < c->page_bytes / 32; n++) {
			struct uds_record_name name;
			struct uds_record_data data;
			bool found = false;

			memcpy(name.bytes, page + 32 * n, 16);
			r = uds_volume_search(volume, vcn, &name, &found, &data, &message);
			ck_assert_msg(r == 0, "%s", message.text);
			if (!found) /* some lists are emptied where they do not fit */
				continue;
			ck_assert_mem_eq(data.bytes, page + 32 * n + 16, 16);
			found_records++;
		}
	}
	ck_assert_uint_gt(found_records, c->record_pages_per_chapter * c->page_bytes / 32 * 9 / 10);
	uds_page_format_free(format);
	free(page);
}

START_TEST(every_page_of_every_image_is_read)
{
	const char *const *names = index_image_names();

	if (names == NULL)
		skip_test("every_page_of_every_image_is_read: no vectors");
	for (; *names != NULL; names++) {
		struct uds_configuration c = { .size = sizeof(c) };
		struct uds_volume_info info;
		struct uds_volume *volume;
		struct index_image image;
		struct uds_io *io;

		index_image_load(*names, &image);
		io = index_image_io(&image);
		volume = open_at(io, image.offset);
		info = info_of(volume);
		ck_assert_uint_eq(info.lost_chapters, 0);
		ck_assert_uint_eq(info.volume_nonce, image.volume_nonce);
		ck_assert_int_eq(uds_volume_get_configuration(volume, &c), 0);
		assert_same_configuration(&c, &image.configuration);
		for (uint64_t vcn = info.oldest_chapter; vcn < info.open_chapter; vcn++)
			read_chapter(volume, &c, vcn, image.index_pages);
		uds_volume_close(volume);
		uds_io_close(io);
		index_image_free(&image);
	}
}
END_TEST

/* A new small index on a fresh I/O. */
static struct uds_io *new_index(struct uds_configuration *ret_configuration)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message = { "" };
	struct uds_io *io;
	int r;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = 6;
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &io), 0);
	r = uds_index_format(io, &c, &options, &message);
	ck_assert_msg(r == 0, "%s", message.text);
	*ret_configuration = c;
	return io;
}

static void make_records(uint64_t seed, struct uds_record *records, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		put_le64(records[i].name.bytes, splitmix(seed, 2 * i));
		put_le64(records[i].name.bytes + 8, splitmix(seed, 2 * i + 1));
		put_le64(records[i].data.bytes, seed);
		put_le64(records[i].data.bytes + 8, i);
	}
}

START_TEST(chapters_are_written_round_and_round_and_found_by_the_index)
{
	struct uds_message message = { "" };
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_open_chapter *open_chapter;
	struct uds_configuration c;
	struct uds_io *io = new_index(&c);
	struct uds_volume *volume = open_at(io, 0);
	struct uds_record records[512];
	struct uds_index *index;
	uint32_t room;
	uint64_t vcn;
	int r;

	ck_assert_uint_eq(info_of(volume).open_chapter, 0);
	ck_assert_int_eq(uds_open_chapter_make(&c, 2, NULL, &message, &open_chapter), 0);
	for (uint64_t n = 0; n < 20; n++) {
		make_records(n, records, 512);
		uds_open_chapter_reset(open_chapter);
		for (uint32_t i = 0; i < 512 && n % 2 == 0; i++)
			uds_open_chapter_put(open_chapter, &records[i].name, &records[i].data,
					     &room);
		if (n % 2 == 0)
			r = uds_volume_write_chapter(volume, open_chapter, &vcn, &message);
		else /* fewer than there is room for */
			r = uds_volume_write_records(volume, records, 100, &vcn, &message);
		ck_assert_msg(r == 0, "%s", message.text);
		ck_assert_uint_eq(vcn, n);
		ck_assert_uint_eq(info_of(volume).open_chapter, n + 1);
		ck_assert_uint_eq(info_of(volume).oldest_chapter, n < 5 ? 0 : n - 4);
	}
	for (int again = 0; again < 2; again++) {
		for (uint64_t n = 15; n < 20; n++) {
			make_records(n, records, 100);
			for (uint32_t i = 0; i < 100; i++) {
				struct uds_record_data data;
				bool found = false;

				r = uds_volume_search(volume, n, &records[i].name, &found, &data,
						      &message);
				/* Of two zones one was full before all records were in. */
				ck_assert_msg(r == 0 && found, "%d %s", r, message.text);
				ck_assert_mem_eq(data.bytes, records[i].data.bytes, 16);
			}
		}
		uds_volume_close(volume);
		volume = open_at(io, 0);
		ck_assert_uint_eq(info_of(volume).open_chapter, 20);
		ck_assert_uint_eq(info_of(volume).oldest_chapter, 15);
	}
	uds_volume_close(volume);
	uds_open_chapter_free(open_chapter);

	r = uds_index_open(io, &options, &message, &index);
	ck_assert_msg(r == 0, "%s", message.text);
	for (uint64_t n = 15; n < 20; n++) {
		make_records(n, records, 100);
		for (uint32_t i = 0; i < 100; i++) {
			struct uds_record_data data;
			bool found = false;

			ck_assert_int_eq(uds_index_peek(index, &records[i].name, &data, &found), 0);
			ck_assert(found);
			ck_assert_mem_eq(data.bytes, records[i].data.bytes, 16);
		}
	}
	uds_index_close(index);
	uds_io_close(io);
}
END_TEST

START_TEST(what_is_not_there_is_refused_by_name)
{
	struct uds_message message = { "" };
	struct uds_configuration c, other;
	struct uds_io *io = new_index(&c);
	struct uds_volume *volume = open_at(io, 0);
	struct uds_volume_options options = UDS_VOLUME_OPTIONS_INIT;
	struct uds_volume_info info = { .size = 0 };
	struct uds_open_chapter *open_chapter;
	struct uds_record records[2];
	uint8_t page[4096];
	bool found;
	int r;

	make_records(1, records, 2);
	r = uds_volume_search(volume, 0, &records[0].name, &found, NULL, &message);
	ck_assert_int_eq(r, UDS_ERR_OUT_OF_RANGE);
	ck_assert_str_eq(message.text, "mem:: chapter 0 is not on the volume");
	ck_assert_int_eq(uds_volume_write_records(volume, records, 0, NULL, &message), -EINVAL);
	ck_assert_int_eq(uds_volume_write_records(volume, records, 513, NULL, &message), -EINVAL);
	ck_assert_str_eq(message.text, "513 records are not in the range 1 to 512");
	records[1].name = records[0].name;
	ck_assert_int_eq(uds_volume_write_records(volume, records, 2, NULL, &message),
			 UDS_ERR_DUPLICATE_NAME);
	ck_assert_uint_eq(info_of(volume).open_chapter, 0);
	ck_assert_int_eq(uds_volume_write_records(volume, records, 1, NULL, &message), 0);
	ck_assert_int_eq(uds_volume_search(volume, 0, &records[0].name, &found, NULL, &message), 0);
	ck_assert(found);
	ck_assert_int_eq(uds_volume_read_index_page(volume, 0, 1, page, &message),
			 UDS_ERR_OUT_OF_RANGE);
	ck_assert_ptr_nonnull(strstr(message.text, "index page 1: there are only 1"));
	ck_assert_int_eq(uds_volume_read_record_page(volume, 0, 4, page, &message),
			 UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_volume_read_record_page(volume, UINT64_MAX, 0, page, &message),
			 UDS_ERR_OUT_OF_RANGE);

	other = c;
	other.record_pages_per_chapter = 5;
	ck_assert_int_eq(uds_open_chapter_make(&other, 1, NULL, &message, &open_chapter), 0);
	ck_assert_int_eq(uds_volume_write_chapter(volume, open_chapter, NULL, &message), -EINVAL);
	uds_open_chapter_free(open_chapter);
	ck_assert_int_eq(uds_open_chapter_make(&c, 1, NULL, &message, &open_chapter), 0);
	ck_assert_int_eq(uds_volume_write_chapter(volume, open_chapter, NULL, &message),
			 UDS_ERR_BAD_STATE);
	uds_open_chapter_free(open_chapter);
	ck_assert_int_eq(uds_volume_get_info(volume, &info), -EINVAL);
	uds_volume_close(volume);

	options.offset = 4096;
	ck_assert_int_eq(uds_volume_open(io, &options, &message, &volume), UDS_ERR_NOT_AN_INDEX);
	/* Shorter than it was when it was published. */
	options.size = offsetof(struct uds_volume_options, skip_unreadable) - 1;
	ck_assert_int_eq(uds_volume_open(io, &options, &message, &volume), -EINVAL);
	uds_volume_close(NULL);
	uds_io_close(io);
}
END_TEST

START_TEST(a_failed_write_is_told_and_leaves_the_other_chapters)
{
	struct uds_message message = { "" };
	struct uds_configuration c;
	struct fault_plan plan;
	struct uds_io *io = new_index(&c);
	struct uds_record records[100];
	struct uds_volume *volume;
	bool found = false;

	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, io, NULL, &io), 0);
	volume = open_at(io, 0);
	for (uint64_t n = 0; n < 6; n++) {
		make_records(n, records, 100);
		ck_assert_int_eq(uds_volume_write_records(volume, records, 100, NULL, &message), 0);
	}
	fault_plan_fail(&plan, FAULT_WRITE, 1, -ENOSPC, false);
	ck_assert_int_eq(uds_volume_write_records(volume, records, 100, NULL, &message), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(message.text, "chapter 6 (slot 0)"));
	ck_assert_int_eq(uds_volume_write_records(volume, records, 100, NULL, &message), -ENOSPC);
	ck_assert_uint_eq(info_of(volume).open_chapter, 6);
	ck_assert_int_eq(uds_volume_search(volume, 5, &records[0].name, &found, NULL, &message), 0);
	ck_assert(found);
	ck_assert_int_eq(uds_volume_search(volume, 0, &records[0].name, &found, NULL, &message),
			 UDS_ERR_OUT_OF_RANGE);
	uds_volume_close(volume);
	uds_io_close(io);
	fault_plan_end(&plan);
}
END_TEST

START_TEST(damaged_pages_are_named)
{
	struct uds_message message = { "" };
	struct uds_configuration c;
	struct uds_io *io = new_index(&c);
	struct uds_volume *volume = open_at(io, 0);
	struct uds_record records[100];
	uint8_t page[4096];
	uint64_t at;

	make_records(3, records, 100);
	ck_assert_int_eq(uds_volume_write_records(volume, records, 100, NULL, &message), 0);
	at = info_of(volume).start + 4096; /* behind the header page: slot 0, page 0 */
	ck_assert_int_eq(uds_volume_read_index_page(volume, 0, 0, page, &message), 0);
	page[4095] = 0;
	ck_assert_int_eq(uds_io_write(io, page, 4096, at), 0);
	ck_assert_int_eq(uds_volume_read_index_page(volume, 0, 0, page, &message), UDS_ERR_CORRUPT);
	ck_assert_msg(strncmp(message.text, "mem:: chapter 0 (slot 0), index page 0: ", 40) == 0,
		      "%s", message.text);
	uds_volume_close(volume);
	volume = open_at(io, 0);
	/* It was durable, so it counts: nothing is written over it. */
	ck_assert_uint_eq(info_of(volume).open_chapter, 1);
	ck_assert_uint_eq(info_of(volume).lost_chapters, 1);
	uds_volume_close(volume);
	uds_io_close(io);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("volume_public");
	TCase *tc = tcase_create("volume_public");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, every_page_of_every_image_is_read);
	tcase_add_test(tc, chapters_are_written_round_and_round_and_found_by_the_index);
	tcase_add_test(tc, what_is_not_there_is_refused_by_name);
	tcase_add_test(tc, a_failed_write_is_told_and_leaves_the_other_chapters);
	tcase_add_test(tc, damaged_pages_are_named);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
