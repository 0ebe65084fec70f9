/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every kind of index, with each allocation failing in turn while it is opened and used, looked at
 * or verified: the call says -ENOMEM, or everything works afterwards. Also in what is rarely
 * reached: several zones, the sparse cache, a recovery, an index that nobody saved.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>
#include <uds/volume.h>

#include "base/bytes.h"
#include "check_main.h"
#include "names.h"
#include "snap_image.h"
#include "torture_env.h"

#define SEED	    UINT64_C(0xa110c)
#define PER_CHAPTER 128
#define CHAPTERS    8
#define RECORDS	    ((CHAPTERS + 1) * PER_CHAPTER + 40)
#define FIRST_KEPT  (3 * PER_CHAPTER) /* the older ones have left, or are to leave next */
#define SAMPLE_RATE 4

static const struct kind {
	const char *name;
	bool sparse;
	bool saved;
	unsigned int zones;
	bool skip_unreadable;
} kinds[] = {
	{ "dense, saved", false, true, 1, false },
	{ "dense, to be recovered", false, false, 1, false },
	{ "dense, saved, three zones", false, true, 3, false },
	{ "sparse, saved", true, true, 1, false },
	{ "sparse, to be recovered", true, false, 1, false },
	{ "sparse, saved, three zones", true, true, 3, false },
	{ "sparse, to be recovered, three zones", true, false, 3, false },
	{ "dense, saved, skipping what cannot be read", false, true, 1, true },
	{ "sparse, to be recovered, skipping what cannot be read", true, false, 1, true },
};

static struct world {
	const struct kind *kind;
	struct image device;
	uint64_t records; /* that are there for certain: this one and all later ones */
	uint64_t last;
} world;

static int open_index(struct uds_io *io, const struct uds_env *env, unsigned int zones,
		      enum uds_index_mode mode, struct uds_index **ret_index)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.env = env;
	options.zones = zones;
	options.mode = mode;
	options.skip_unreadable = world.kind != NULL && world.kind->skip_unreadable;
	r = uds_index_open(io, &options, &message, ret_index);
	/* A lack of memory says nothing about the save. */
	if (r == -ENOMEM)
		ck_assert_msg(message.text[0] != '\0' &&
				      strstr(message.text, "cannot be read") == NULL &&
				      strstr(message.text, "cannot be loaded") == NULL,
			      "%s", message.text);
	return r;
}

static void fill_request(struct uds_request *request, enum uds_request_kind kind, uint64_t i)
{
	memset(request, 0, sizeof(*request));
	request->kind = kind;
	make_name(SEED, i, &request->name);
	make_data('n', i, 1, &request->new_data);
}

/* The device of an index with every chapter full: saved and closed, or left as it was. */
static void make_world(const struct kind *kind)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_index *index;
	struct uds_io *io;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 1;
	c.chapters_per_volume = CHAPTERS;
	c.sparse_chapters_per_volume = kind->sparse ? CHAPTERS - 3 : 0;
	c.sparse_sample_rate = kind->sparse ? SAMPLE_RATE : 0;
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_index_format(io, &c, NULL, NULL), 0);
	ck_assert_int_eq(open_index(io, NULL, 1, UDS_INDEX_LOAD, &index), 0);
	for (uint64_t i = 0; i < RECORDS; i++) {
		struct uds_request request;

		fill_request(&request, UDS_POST, i);
		ck_assert_int_eq(uds_index_run(index, &request, 1), 0);
	}
	ck_assert_int_eq(uds_index_flush(index), 0);
	if (kind->saved)
		ck_assert_int_eq(uds_index_save(index), 0);
	world.kind = kind;
	world.device = io_image(io);
	world.last = kind->saved ? RECORDS : (CHAPTERS + 1) * PER_CHAPTER;
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}

/* Asks for records old and new, in batches. Returns the first error; what is found is right. */
static int ask(struct uds_index *index, enum uds_request_kind kind, uint64_t *ret_found)
{
	struct uds_request requests[64];

	*ret_found = 0;
	for (uint64_t i = FIRST_KEPT; i < world.last; i += 64) {
		size_t count = world.last - i < 64 ? (size_t)(world.last - i) : 64;
		int r;

		for (size_t k = 0; k < count; k++)
			fill_request(&requests[k], kind, i + k);
		r = uds_index_run(index, requests, count);
		if (r < 0)
			return r;
		for (size_t k = 0; k < count; k++) {
			*ret_found += requests[k].found;
			if (requests[k].found)
				ck_assert_mem_eq(&requests[k].old_data, &requests[k].new_data,
						 sizeof(requests[k].old_data));
		}
	}
	return 0;
}

/*
 * How many of them are found when nothing fails: in sparse chapters only hooks, and what
 * they bring in.
 */
static uint64_t usually_found(void)
{
	struct uds_io *io = image_io(&world.device, 1);
	struct uds_index *index;
	uint64_t found;

	ck_assert_int_eq(open_index(io, NULL, world.kind->zones, UDS_INDEX_LOAD_OR_RECOVER, &index),
			 0);
	ck_assert_int_eq(ask(index, UDS_PEEK, &found), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_uint_gt(found, 3 * PER_CHAPTER);
	return found;
}

static int use_index(const struct uds_env *env, void *context)
{
	const uint64_t *usually = context;
	struct uds_io *io = image_io(&world.device, 1);
	struct uds_index *index;
	struct uds_request request;
	uint64_t found;
	int r;

	r = open_index(io, env, world.kind->zones, UDS_INDEX_LOAD_OR_RECOVER, &index);
	if (r == 0) {
		r = ask(index, UDS_PEEK, &found);
		if (r == 0)
			ck_assert_uint_eq(found, *usually);
		for (uint64_t i = 0; i < 2 * PER_CHAPTER && r == 0; i++) {
			fill_request(&request, UDS_POST, RECORDS + i);
			r = uds_index_run(index, &request, 1);
		}
		if (r == 0)
			r = uds_index_save(index);
		if (r == 0)
			r = uds_index_close(index);
		else
			uds_index_close(index);
	}
	ck_assert_int_eq(uds_io_close(io), 0);
	return r;
}

START_TEST(each_kind_of_index_is_used_with_each_allocation_failing)
{
	uint64_t found;

	make_world(&kinds[_i]);
	found = usually_found();
	ck_assert_uint_gt(torture_each_allocation(use_index, &found, true), 20);
	image_free(&world.device);
}
END_TEST

static int count_record(void *context, const struct uds_record_name *name,
			const struct uds_record_data *data)
{
	(void)name, (void)data;
	++*(uint64_t *)context;
	return 0;
}

static int iterate(struct uds_io *io, const struct uds_env *env)
{
	struct uds_index *index;
	uint64_t count = 0;
	int r;

	r = open_index(io, env, world.kind->zones, UDS_INDEX_READ_ONLY, &index);
	if (r < 0)
		return r;
	r = uds_index_for_each(index, count_record, &count);
	if (r == 0)
		ck_assert_uint_ge(count, world.last - FIRST_KEPT);
	uds_index_close(index);
	return r;
}

/* What only reads: information, a verify, every record. */
static int look(const struct uds_env *env, void *context)
{
	struct uds_io *io = image_io(&world.device, 1);
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_options verify = UDS_INDEX_OPTIONS_INIT;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	uint64_t findings = 1;
	int r;

	(void)context;
	options.env = env;
	options.check_save = true;
	verify.env = env;
	verify.zones = world.kind->zones;
	verify.skip_unreadable = world.kind->skip_unreadable;
	r = uds_index_read_info(io, &options, NULL, &info);
	if (r == 0) {
		ck_assert_int_eq(info.state,
				 world.kind->saved ? UDS_INDEX_CLEAN : UDS_INDEX_NEEDS_RECOVERY);
		r = uds_index_verify(io, &verify, NULL, NULL, NULL, &findings);
	}
	if (r == 0 && world.kind->saved)
		ck_assert_uint_eq(findings, 0);
	if (r == 0)
		r = iterate(io, env);
	ck_assert_int_eq(uds_io_close(io), 0);
	return r;
}

START_TEST(each_kind_of_index_is_looked_at_with_each_allocation_failing)
{
	make_world(&kinds[_i]);
	ck_assert_uint_gt(torture_each_allocation(look, NULL, true), 20);
	image_free(&world.device);
}
END_TEST

/* An index that was made and a chapter written to it, without opening it as one. */
static int use_volume(const struct uds_env *env, void *context)
{
	struct uds_index_format_options format = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_volume_options options = UDS_VOLUME_OPTIONS_INIT;
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_record records[PER_CHAPTER];
	struct uds_volume *volume = NULL;
	uint8_t page[4096];
	struct uds_io *io;
	bool found = false;
	int r;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 1;
	c.chapters_per_volume = CHAPTERS;
	format.env = env;
	options.env = env;
	options.skip_unreadable = context != NULL;
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &io), 0);
	r = uds_index_format(io, &c, &format, NULL);
	if (r == 0)
		r = uds_volume_open(io, &options, NULL, &volume);
	for (uint64_t n = 0; n < 3 && r == 0; n++) {
		for (uint64_t i = 0; i < PER_CHAPTER; i++) {
			make_name(SEED, n * PER_CHAPTER + i, &records[i].name);
			make_data('n', i, 1, &records[i].data);
		}
		r = uds_volume_write_records(volume, records, PER_CHAPTER, NULL, NULL);
	}
	if (volume != NULL)
		uds_volume_close(volume);
	volume = NULL;
	if (r == 0)
		r = uds_volume_open(io, &options, NULL, &volume);
	if (r == 0)
		r = uds_volume_read_index_page(volume, 1, 0, page, NULL);
	if (r == 0)
		r = uds_volume_read_record_page(volume, 1, 0, page, NULL);
	if (r == 0)
		r = uds_volume_search(volume, 2, &records[5].name, &found, NULL, NULL);
	if (r == 0)
		ck_assert(found);
	if (volume != NULL)
		uds_volume_close(volume);
	ck_assert_int_eq(uds_io_close(io), 0);
	return r;
}

START_TEST(a_volume_is_used_with_each_allocation_failing)
{
	ck_assert_uint_gt(torture_each_allocation(use_volume, _i == 0 ? NULL : "skip", true), 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("allocations");
	TCase *tc = tcase_create("allocations");
	int count = (int)(sizeof(kinds) / sizeof(kinds[0]));

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, each_kind_of_index_is_used_with_each_allocation_failing, 0, count);
	tcase_add_loop_test(tc, each_kind_of_index_is_looked_at_with_each_allocation_failing, 0,
			    count);
	tcase_add_loop_test(tc, a_volume_is_used_with_each_allocation_failing, 0, 2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
