/* SPDX-License-Identifier: BSD-2-Clause */
/* The volume index against its model: every form of its list operations, many shapes of lists. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/env.h"
#include "check_main.h"
#include "torture_env.h"
#include "volume_index/private.h"
#include "volume_index_model.h"

static struct uds_env env;

static uint64_t random_state;

static uint64_t next_random(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* How the names of a run are chosen. */
struct names {
	uint32_t lists;		/* so many lists are used */
	unsigned int key_bits;	/* keys: this many bits are random, the rest zero... */
	unsigned int key_shift; /* ...shifted up by so much */
	uint32_t tails;		/* so many different ends: names that share list and key */
	bool hooks;		/* hooks among them (sparse) */
};

static void choose_name(const struct volume_index_parameters *p, const struct names *how,
			struct uds_record_name *ret_name)
{
	uint64_t key = (next_random() & ((UINT64_C(1) << how->key_bits) - 1)) << how->key_shift;
	uint64_t v;
	uint64_t tail = next_random() % how->tails;

	key &= (UINT64_C(1) << p->address_bits) - 1;
	v = (next_random() % how->lists * 37 % p->list_count) << p->address_bits | key;
	memset(ret_name, 0, sizeof(*ret_name));
	for (int i = 0; i < 8; i++)
		ret_name->bytes[i] = (uint8_t)(v >> (56 - 8 * i));
	put_le32(ret_name->bytes + 8, (uint32_t)tail);
	ret_name->bytes[15] = (uint8_t)(how->hooks ? next_random() % 4 : 1);
}

struct run {
	unsigned int zones;
	unsigned int chapters;
	unsigned int per_chapter; /* requests */
	uint64_t first_chapter;
	struct names names;
};

static void use_operations(struct volume_index *index, unsigned int form)
{
	bool usable;

	index->operations = list_operations_get(form, &usable);
	ck_assert(usable);
}

/* One request on both; the answers must agree. */
static void one_request(struct model *model, struct volume_index *index, const struct names *how,
			const uint64_t *open)
{
	struct uds_record_name name;
	struct model_record expected;
	struct hint peeked;
	struct hint record;
	struct name_place place;
	uint64_t vcn;
	int r = 0;

	choose_name(&model->parameters[0], how, &name);
	volume_index_locate(index, &name, &place);
	volume_index_prefetch(index, &place, (enum hint_purpose)(next_random() % 3));
	volume_index_peek(index, &place, &name, &peeked);
	model_get(model, &name, &expected);
	volume_index_get(index, &place, &name, &record);
	must_equal(record.found, expected.found);
	must_equal(peeked.found, expected.found);
	vcn = open[place.zone] - (next_random() % 8 == 0 ? next_random() % 3 : 0);
	if (vcn > open[place.zone] || vcn < model->windows[expected.sub][place.zone].low)
		vcn = open[place.zone];
	if (record.found) {
		must_equal(record.collision, expected.collision);
		must_equal(record.vcn, expected.vcn);
		must_equal(peeked.collision, expected.collision);
		must_equal(peeked.vcn, expected.vcn);
	}
	switch (next_random() % 8) {
	case 0: /* only looked */
		return;
	case 1:
		if (!record.found)
			break;
		model_remove(model, &expected);
		volume_index_remove(index, &record);
		return;
	case 2:
	case 3:
		if (!record.found)
			break;
		model_set(model, &expected, vcn);
		must_equal(volume_index_set(index, &record, vcn), 0);
		return;
	default:
		break;
	}
	if (record.found && record.collision) {
		must_equal(volume_index_put(index, &record, &name, vcn), UDS_ERR_DUPLICATE_NAME);
		return;
	}
	r = model_put(model, &expected, &name, vcn);
	must_equal(volume_index_put(index, &record, &name, vcn), r);
	if (r == 0) {
		must(record.found);
		must_equal(record.collision, expected.found);
		must_equal(record.vcn, vcn);
	}
}

static void run_requests(struct model *model, struct volume_index *index, const struct run *run,
			 uint64_t first_chapter, unsigned int chapters)
{
	uint64_t open[MAXIMUM_ZONES];

	for (uint64_t vcn = first_chapter; vcn < first_chapter + chapters; vcn++) {
		for (unsigned int zone = 0; zone < run->zones; zone++) {
			open[zone] = vcn;
			model_open_chapter(model, zone, vcn);
			ck_assert_int_eq(volume_index_set_open_chapter(index, zone, vcn), 0);
		}
		for (unsigned int i = 0; i < run->per_chapter; i++)
			one_request(model, index, &run->names, open);
		if ((vcn - first_chapter) % (chapters / 12 + 1) == 0)
			model_compare(model, index);
	}
	model_compare(model, index);
}

static void run_all_forms(const struct uds_configuration *configuration, const struct run *run)
{
	struct geometry geometry;
	bool usable;

	ck_assert_int_eq(geometry_make(configuration, &geometry, NULL), 0);
	for (unsigned int form = 0; list_operations_get(form, &usable) != NULL; form++) {
		struct volume_index *index;
		struct model model;

		if (!usable) {
			printf("note: no %s here\n", list_operations_get(form, &usable)->name);
			continue;
		}
		random_state = 1;
		model_make(&model, &geometry, run->zones);
		ck_assert_int_eq(volume_index_make(&env, &geometry, run->zones, 1, 1, NULL, &index),
				 0);
		use_operations(index, form);
		run_requests(&model, index, run, run->first_chapter, run->chapters);
		volume_index_free(index);
		model_free(&model);
	}
}

static struct uds_configuration small_configuration(void)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 1;
	c.chapters_per_volume = 8;
	return c;
}

START_TEST(random_names_agree_with_the_model)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 1, 40, 500, 0, { 256, 20, 0, 1, false } };

	run_all_forms(&c, &run);
}
END_TEST

START_TEST(many_collisions_agree_with_the_model)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 2, 40, 600, 0, { 8, 3, 2, 6, false } };

	run_all_forms(&c, &run);
}
END_TEST

START_TEST(long_lists_agree_with_the_model)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 1, 12, 4000, 0, { 2, 20, 0, 2, false } };

	run_all_forms(&c, &run);
}
END_TEST

START_TEST(full_lists_refuse_and_agree_with_the_model)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 1, 9, 1500, 0, { 1, 5, 9, 100, false } };

	run_all_forms(&c, &run);
}
END_TEST

START_TEST(chapters_of_ten_bits_agree_with_the_model)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 1, 1400, 100, 0, { 120, 14, 6, 2, false } };

	c.chapters_per_volume = 1024;
	run_all_forms(&c, &run);
}
END_TEST

START_TEST(chapters_that_are_no_power_of_two_agree_with_the_model)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 3, 900, 100, 5000, { 100, 20, 0, 2, false } };

	c.chapters_per_volume = 300;
	run_all_forms(&c, &run);
}
END_TEST

START_TEST(idle_lists_agree_with_the_model)
{
	/* Many chapters between two touches of a list. */
	struct uds_configuration c = small_configuration();
	struct run run = { 1, 3000, 7, 1, { 40, 20, 0, 2, false } };

	c.chapters_per_volume = 20;
	run_all_forms(&c, &run);
}
END_TEST

START_TEST(idle_lists_of_many_chapters_agree_with_the_model)
{
	/* The same where a chapter's number has more than a byte; with all its values, and not. */
	struct uds_configuration c = small_configuration();
	struct run run = { 1, 12000, 2, 1, { 40, 20, 0, 2, false } };

	c.chapters_per_volume = 1024;
	run_all_forms(&c, &run);
	c.chapters_per_volume = 700;
	run_all_forms(&c, &run);
}
END_TEST

START_TEST(keys_in_one_bucket_agree_with_the_model)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 1, 16, 1500, 0, { 3, 10, 0, 2, false } };

	run_all_forms(&c, &run);
}
END_TEST

START_TEST(sparse_indexes_agree_with_the_model)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 3, 300, 200, 0, { 64, 12, 3, 4, true } };

	c.chapters_per_volume = 40;
	c.sparse_chapters_per_volume = 25;
	c.sparse_sample_rate = 4;
	run_all_forms(&c, &run);
}
END_TEST

START_TEST(sixteen_zones_agree_with_the_model)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 16, 30, 1000, 3, { 256, 12, 8, 3, false } };

	run_all_forms(&c, &run);
}
END_TEST

START_TEST(wide_and_narrow_keys_agree_with_the_model)
{
	static const uint32_t means[] = { 64, 300, 20000, 1000000, 8388608 };
	struct uds_configuration c = small_configuration();
	struct run run = { 1, 20, 500, 0, { 16, 31, 0, 2, false } };

	for (size_t i = 0; i < sizeof(means) / sizeof(means[0]); i++) {
		c.volume_index_mean_delta = means[i];
		run_all_forms(&c, &run);
	}
}
END_TEST

START_TEST(early_expiry_agrees_with_the_model)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 1, 60, 3000, 0, { 256, 9, 11, 1000000, false } };
	struct geometry geometry;
	struct volume_index *index;
	struct model model;

	/* Far more names a chapter than records, most of them collisions: memory runs short. */
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	random_state = 2;
	model_make(&model, &geometry, 1);
	ck_assert_int_eq(volume_index_make(&env, &geometry, 1, 1, 1, NULL, &index), 0);
	run_requests(&model, index, &run, 0, run.chapters);
	ck_assert_uint_gt(model.early_expiries, 20);
	volume_index_free(index);
	model_free(&model);
}
END_TEST

START_TEST(put_refuses_chapters_outside_the_window)
{
	struct uds_configuration c = small_configuration();
	struct geometry geometry;
	struct volume_index *index;
	struct uds_record_name name = { { 1 } };
	struct hint record;
	struct name_place place;

	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	ck_assert_int_eq(volume_index_make(&env, &geometry, 1, 1, 1, NULL, &index), 0);
	ck_assert_int_eq(volume_index_set_open_chapter(index, 0, 20), 0);
	volume_index_locate(index, &name, &place);
	volume_index_get(index, &place, &name, &record);
	ck_assert(!record.found);
	ck_assert_int_eq(volume_index_put(index, &record, &name, 21), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(volume_index_put(index, &record, &name, 12), UDS_ERR_OUT_OF_RANGE);
	ck_assert(!record.found);
	ck_assert_int_eq(volume_index_put(index, &record, &name, 13), 0);
	ck_assert_int_eq(volume_index_set(index, &record, 12), UDS_ERR_OUT_OF_RANGE);
	ck_assert_uint_eq(record.vcn, 13);
	ck_assert_int_eq(volume_index_set(index, &record, 20), 0);
	volume_index_get(index, &place, &name, &record);
	ck_assert_uint_eq(record.vcn, 20);
	ck_assert_int_eq(volume_index_set_open_chapter(index, 0, VOLUME_INDEX_CHAPTER_LIMIT),
			 UDS_ERR_OUT_OF_RANGE);
	volume_index_free(index);
}
END_TEST

START_TEST(zones_are_limited)
{
	struct uds_configuration c = small_configuration();
	struct geometry geometry;
	struct volume_index *index = NULL;
	struct uds_message message = { "" };

	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	ck_assert_int_eq(volume_index_make(&env, &geometry, 0, 1, 1, &message, &index), -EINVAL);
	ck_assert_int_eq(volume_index_make(&env, &geometry, 17, 1, 1, &message, &index), -EINVAL);
	ck_assert_str_eq(message.text, "17 zones: 1 to 16 are allowed");
	ck_assert_ptr_null(index);
}
END_TEST

START_TEST(triage_looks_at_hooks_and_drops_nothing)
{
	struct uds_configuration c = small_configuration();
	struct uds_record_name hook = { { 1 } };
	struct uds_record_name other = { { 1 } };
	struct geometry geometry;
	struct volume_index *index;
	struct list_info info;
	struct hint record;
	struct name_place place;
	uint64_t vcn = 77;

	c.chapters_per_volume = 40; /* values tell 64 chapters apart */
	c.sparse_chapters_per_volume = 25;
	c.sparse_sample_rate = 4;
	other.bytes[15] = 1;
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	ck_assert_int_eq(volume_index_make(&env, &geometry, 1, 1, 1, NULL, &index), 0);
	volume_index_locate(index, &other, &place);
	ck_assert_uint_eq(place.sub, SUB_INDEX_DENSE);
	volume_index_get(index, &place, &other, &record);
	ck_assert_int_eq(volume_index_put(index, &record, &other, 0), 0);
	ck_assert(!volume_index_triage(index, &place, &other, &vcn));
	volume_index_locate(index, &hook, &place);
	ck_assert_uint_eq(place.sub, SUB_INDEX_HOOK);
	ck_assert(!volume_index_triage(index, &place, &hook, &vcn));
	volume_index_get(index, &place, &hook, &record);
	ck_assert_int_eq(volume_index_put(index, &record, &hook, 0), 0);
	volume_index_set_open_chapter(index, 0, 39);
	ck_assert(volume_index_triage(index, &place, &hook, &vcn));
	ck_assert_uint_eq(vcn, 0);
	/* Now chapter 0 reads as chapter 64, which is above the window. */
	volume_index_set_open_chapter(index, 0, 40);
	ck_assert(!volume_index_triage(index, &place, &hook, &vcn));
	/* And now as one within it: the origin does not know better either. */
	volume_index_set_open_chapter(index, 0, 64);
	ck_assert(volume_index_triage(index, &place, &hook, &vcn));
	ck_assert_uint_eq(vcn, 64);
	info = list_info_of(index, SUB_INDEX_HOOK, place.list);
	ck_assert_uint_eq(info.entries, 1);
	volume_index_get(index, &place, &hook, &record);
	ck_assert(!record.found);
	volume_index_free(index);
}
END_TEST

START_TEST(a_full_index_takes_three_bytes_a_record)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct geometry geometry;
	double each;

	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	each = (double)volume_index_full_bytes(&geometry, 1) / 1024 / 65536;
	ck_assert_msg(each > 3.1 && each < 3.2, "%f bytes", each);
}
END_TEST

/* An allocator that refuses after a while. */
struct scarce {
	unsigned int left;
	unsigned int held;
};

static void *scarce_allocate(void *context, size_t bytes, size_t alignment)
{
	struct scarce *scarce = context;
	void *memory;

	if (scarce->left == 0 || posix_memalign(&memory, alignment < 8 ? 8 : alignment, bytes) != 0)
		return NULL;
	scarce->left--;
	scarce->held++;
	return memory;
}

static void scarce_release(void *context, void *memory)
{
	struct scarce *scarce = context;

	scarce->held--;
	free(memory);
}

START_TEST(no_memory_leaves_everything_as_it_was)
{
	struct uds_configuration c = small_configuration();
	struct names how = { 40, 20, 0, 2, false };
	unsigned int refused = 0;
	struct geometry geometry;

	c.chapters_per_volume = 64;
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	for (unsigned int room = 0; room < 40; room++) {
		struct scarce scarce = { room, 0 };
		struct volume_index *index;
		struct uds_env given = UDS_ENV_INIT;
		struct uds_env scarce_env;
		struct model model;
		int r;

		given.context = &scarce;
		given.allocate = scarce_allocate;
		given.release = scarce_release;
		ck_assert_int_eq(env_complete(&given, &scarce_env), 0);
		random_state = 3;
		r = volume_index_make(&scarce_env, &geometry, 2, 1, 1, NULL, &index);
		if (r != 0) {
			ck_assert_int_eq(r, -ENOMEM);
			ck_assert_uint_eq(scarce.held, 0);
			continue;
		}
		model_make(&model, &geometry, 2);
		for (unsigned int i = 0; i < 6000; i++) {
			struct uds_record_name name;
			struct model_record expected;
			struct hint record;
			struct name_place place;

			choose_name(&model.parameters[0], &how, &name);
			model_get(&model, &name, &expected);
			volume_index_locate(index, &name, &place);
			volume_index_get(index, &place, &name, &record);
			must_equal(record.found, expected.found);
			if (record.found)
				continue;
			r = volume_index_put(index, &record, &name, 0);
			if (r == -ENOMEM) {
				refused++;
				continue;
			}
			must_equal(r, model_put(&model, &expected, &name, 0));
		}
		model_compare(&model, index);
		volume_index_free(index);
		model_free(&model);
		ck_assert_uint_eq(scarce.held, 0);
	}
	ck_assert_uint_gt(refused, 0);
}
END_TEST

START_TEST(fetching_ahead_changes_no_answer)
{
	struct uds_configuration c = small_configuration();
	struct run run = { 4, 20, 500, 0, { 64, 8, 4, 3, false } };
	struct uds_record_name names[100];
	struct hint records[100];
	struct geometry geometry;
	struct volume_index *index;
	struct model model;

	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	random_state = 4;
	model_make(&model, &geometry, run.zones);
	ck_assert_int_eq(volume_index_make(&env, &geometry, run.zones, 1, 1, NULL, &index), 0);
	run_requests(&model, index, &run, 0, run.chapters);
	for (size_t count = 0; count <= 100; count++) {
		unsigned int found = 0;

		for (size_t i = 0; i < count; i++) {
			struct name_place place;

			choose_name(&model.parameters[0], &run.names, &names[i]);
			volume_index_locate(index, &names[i], &place);
			volume_index_peek(index, &place, &names[i], &records[i]);
			volume_index_prefetch(index, &place, i % 2 == 0 ? HINT_LOOK : HINT_CHANGE);
		}
		for (size_t i = 0; i < count; i++) {
			struct hint record;
			struct name_place place;

			volume_index_locate(index, &names[i], &place);
			volume_index_peek(index, &place, &names[i], &record);
			ck_assert_int_eq(records[i].found, record.found);
			ck_assert_uint_eq(records[i].vcn, record.vcn);
			found += record.found;
		}
		ck_assert(count < 50 || found > 0);
	}
	volume_index_free(index);
	model_free(&model);
}
END_TEST

#define BATCH 300u

/* Puts the names of a batch, while there is no memory. Returns how many were refused for that. */
static unsigned int put_batch(struct volume_index *index, const struct uds_record *records,
			      uint64_t vcn)
{
	unsigned int refused = 0;

	for (unsigned int i = 0; i < BATCH; i++) {
		struct name_place place;
		struct hint hint;
		int r;

		volume_index_locate(index, &records[i].name, &place);
		volume_index_get(index, &place, &records[i].name, &hint);
		if (hint.found && hint.collision)
			continue;
		r = volume_index_put(index, &hint, &records[i].name, vcn);
		must(r == 0 || r == UDS_ERR_OVERFLOW || r == -ENOMEM);
		refused += r == -ENOMEM;
	}
	return refused;
}

/*
 * A batch for each chapter, of lists of all lengths, some of which are swept by it. Returns how
 * many names were refused for want of memory.
 */
static unsigned int put_batches(const struct uds_configuration *configuration,
				const struct names *how, bool reserve)
{
	struct scarce scarce = { UINT_MAX, 0 };
	struct uds_record records[BATCH];
	struct uds_env given = UDS_ENV_INIT, scarce_env;
	struct volume_index *index;
	struct geometry geometry;
	unsigned int refused = 0;

	given.context = &scarce;
	given.allocate = scarce_allocate;
	given.release = scarce_release;
	ck_assert_int_eq(env_complete(&given, &scarce_env), 0);
	ck_assert_int_eq(geometry_make(configuration, &geometry, NULL), 0);
	ck_assert_int_eq(volume_index_make(&scarce_env, &geometry, 2, 1, 1, NULL, &index), 0);
	random_state = 5;
	for (uint64_t vcn = 0; vcn < 40; vcn++) {
		for (unsigned int zone = 0; zone < 2; zone++)
			ck_assert_int_eq(volume_index_set_open_chapter(index, zone, vcn), 0);
		for (unsigned int i = 0; i < BATCH; i++)
			choose_name(&index->shapes[0].parameters, how, &records[i].name);
		if (reserve)
			ck_assert_int_eq(volume_index_reserve(index, records, BATCH), 0);
		scarce.left = 0;
		refused += put_batch(index, records, vcn);
		scarce.left = UINT_MAX;
		/* What chapters usually do, so that the next batch finds no memory ready. */
		for (unsigned int i = 0; i < BATCH; i++)
			choose_name(&index->shapes[0].parameters, how, &records[i].name);
		(void)put_batch(index, records, vcn);
	}
	volume_index_free(index);
	ck_assert_uint_eq(scarce.held, 0);
	return refused;
}

START_TEST(put_that_was_reserved_for_needs_no_memory)
{
	static const struct names ways[] = {
		{ 256, 20, 0, 1, false },  /* each in a list of its own, or nearly so */
		{ 3, 20, 0, 1, false },	   /* few lists, which get long */
		{ 40, 3, 2, 1000, false }, /* collisions */
		{ 1, 2, 2, 1000, false },  /* one list, until it is full */
	};
	unsigned int refused = 0;

	for (unsigned int dense = 1; dense <= 8; dense *= 2) {
		struct uds_configuration c = small_configuration();

		c.sparse_chapters_per_volume = 8 - dense;
		c.sparse_sample_rate = dense < 8 ? 4 : 0;
		for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
			ck_assert_uint_eq(put_batches(&c, &ways[i], true), 0);
			refused += put_batches(&c, &ways[i], false);
		}
	}
	ck_assert_uint_gt(refused, 100);
}
END_TEST

START_TEST(reservation_without_memory_changes_nothing)
{
	struct uds_configuration c = small_configuration();
	struct names how = { 40, 20, 0, 2, false };
	struct scarce scarce = { UINT_MAX, 0 };
	struct uds_env given = UDS_ENV_INIT, scarce_env;
	struct uds_record records[BATCH];
	struct volume_index *index;
	struct geometry geometry;
	struct model model;
	int r = -ENOMEM;

	given.context = &scarce;
	given.allocate = scarce_allocate;
	given.release = scarce_release;
	ck_assert_int_eq(env_complete(&given, &scarce_env), 0);
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	ck_assert_int_eq(volume_index_make(&scarce_env, &geometry, 1, 1, 1, NULL, &index), 0);
	model_make(&model, &geometry, 1);
	random_state = 6;
	for (unsigned int i = 0; i < BATCH; i++) {
		struct model_record expected;
		struct name_place place;
		struct hint hint;

		choose_name(&index->shapes[0].parameters, &how, &records[i].name);
		model_get(&model, &records[i].name, &expected);
		volume_index_locate(index, &records[i].name, &place);
		volume_index_get(index, &place, &records[i].name, &hint);
		if (!hint.found)
			must_equal(volume_index_put(index, &hint, &records[i].name, 0),
				   model_put(&model, &expected, &records[i].name, 0));
	}
	for (unsigned int left = 0; r == -ENOMEM; left++) {
		ck_assert_uint_lt(left, 1000);
		scarce.left = left;
		r = volume_index_reserve(index, records, BATCH);
		model_compare(&model, index);
	}
	ck_assert_int_eq(r, 0);
	/* Nothing more is taken for the same. */
	scarce.left = 0;
	ck_assert_int_eq(volume_index_reserve(index, records, BATCH), 0);
	ck_assert_int_eq(volume_index_reserve(index, records, 0), 0);
	volume_index_free(index);
	model_free(&model);
	ck_assert_uint_eq(scarce.held, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("volume index");
	TCase *model = tcase_create("model");
	TCase *limits = tcase_create("limits");

	env_complete(guarded_env(), &env);
	tcase_add_test(model, random_names_agree_with_the_model);
	tcase_add_test(model, many_collisions_agree_with_the_model);
	tcase_add_test(model, long_lists_agree_with_the_model);
	tcase_add_test(model, full_lists_refuse_and_agree_with_the_model);
	tcase_add_test(model, chapters_of_ten_bits_agree_with_the_model);
	tcase_add_test(model, chapters_that_are_no_power_of_two_agree_with_the_model);
	tcase_add_test(model, idle_lists_agree_with_the_model);
	tcase_add_test(model, idle_lists_of_many_chapters_agree_with_the_model);
	tcase_add_test(model, keys_in_one_bucket_agree_with_the_model);
	tcase_add_test(model, sparse_indexes_agree_with_the_model);
	tcase_add_test(model, sixteen_zones_agree_with_the_model);
	tcase_add_test(model, wide_and_narrow_keys_agree_with_the_model);
	tcase_add_test(model, early_expiry_agrees_with_the_model);
	tcase_add_test(model, fetching_ahead_changes_no_answer);
	suite_add_tcase(suite, model);
	tcase_add_test(limits, put_refuses_chapters_outside_the_window);
	tcase_add_test(limits, zones_are_limited);
	tcase_add_test(limits, triage_looks_at_hooks_and_drops_nothing);
	tcase_add_test(limits, a_full_index_takes_three_bytes_a_record);
	tcase_add_test(limits, no_memory_leaves_everything_as_it_was);
	tcase_add_test(limits, put_that_was_reserved_for_needs_no_memory);
	tcase_add_test(limits, reservation_without_memory_changes_nothing);
	suite_add_tcase(suite, limits);
	return run_suite(suite);
}
