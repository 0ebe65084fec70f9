/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of one address of the volume index, while an index is opened: whose the ordinary entry is,
 * and which names have none; and that nothing is taken for known without memory to note it.
 */
#include <errno.h>
#include <string.h>

#include "check_main.h"
#include "enter_name.h"
#include "names.h"
#include "torture_env.h"
#include "volume_index/known_names.h"
#include "volume_index/shared_entries.h"
#include "volume_index/volume_index.h"

#define SEED	 UINT64_C(0x0e)
#define CHAPTERS 8u

struct fixture {
	struct torture_env torture;
	struct geometry geometry;
	struct volume_index *index;
};

static void start(struct fixture *f)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 1;
	configuration.chapters_per_volume = CHAPTERS;
	torture_env_start(&f->torture);
	ck_assert_int_eq(geometry_make(&configuration, &f->geometry, NULL), 0);
	ck_assert_int_eq(volume_index_make(&f->torture.env, &f->geometry, 1, 1, 7, NULL, &f->index),
			 0);
	ck_assert_int_eq(volume_index_know_names(f->index), 0);
}

static void end(struct fixture *f)
{
	volume_index_free(f->index);
	torture_env_end(&f->torture);
}

/* Name @i of some address. */
static void twin(uint32_t address, uint32_t i, struct uds_record_name *ret_name)
{
	make_name(SEED, address, ret_name);
	ret_name->bytes[8] = (uint8_t)i;
}

static struct hint get(const struct fixture *f, uint32_t address, uint32_t i)
{
	struct uds_record_name name;
	struct name_place place;
	struct hint hint;

	twin(address, i, &name);
	volume_index_locate(f->index, &name, &place);
	volume_index_get(f->index, &place, &name, &hint);
	return hint;
}

static void put(const struct fixture *f, uint32_t address, uint32_t i, uint64_t vcn)
{
	struct uds_record_name name;

	twin(address, i, &name);
	enter_name(f->index, &name, vcn);
}

static void remove_entry(const struct fixture *f, uint32_t address, uint32_t i)
{
	struct hint hint = get(f, address, i);

	ck_assert(hint.found);
	volume_index_remove(f->index, &hint);
}

static void note_removed(const struct fixture *f, uint32_t address, uint32_t i)
{
	struct uds_record_name name;
	struct name_place place;

	twin(address, i, &name);
	volume_index_locate(f->index, &name, &place);
	volume_index_note_removed(f->index, &place, &name);
}

static bool is_other(const struct fixture *f, uint32_t address, uint32_t i)
{
	return get(f, address, i).other;
}

START_TEST(a_removal_makes_known_whose_the_ordinary_entry_is)
{
	struct fixture f;

	start(&f);
	put(&f, 0, 0, 0);
	put(&f, 0, 1, 0);
	put(&f, 0, 2, 0);
	/* The ordinary entry is anybody's. */
	ck_assert(!is_other(&f, 0, 0) && !is_other(&f, 0, 3));
	remove_entry(&f, 0, 0);
	/* The last that was put is the first behind it. */
	ck_assert(!is_other(&f, 0, 2) && !get(&f, 0, 2).collision);
	ck_assert(is_other(&f, 0, 0) && is_other(&f, 0, 3));
	ck_assert(get(&f, 0, 1).collision && !is_other(&f, 0, 1));
	/* A collision entry goes: nothing changes. */
	remove_entry(&f, 0, 1);
	ck_assert(is_other(&f, 0, 1) && !is_other(&f, 0, 2));
	/* The last one goes, and another name comes, of which nothing is known. */
	remove_entry(&f, 0, 2);
	ck_assert(!get(&f, 0, 2).found && !is_other(&f, 0, 2));
	put(&f, 0, 3, 0);
	ck_assert(!is_other(&f, 0, 3) && !is_other(&f, 0, 0));
	end(&f);
}
END_TEST

START_TEST(a_sweep_makes_known_whose_the_ordinary_entry_is)
{
	struct fixture f;

	start(&f);
	/* In front of 3 is what goes: 0, 4 and 2 have the older chapters. */
	put(&f, 0, 0, 0);
	put(&f, 0, 4, 0);
	ck_assert_int_eq(volume_index_set_open_chapter(f.index, 0, 1), 0);
	put(&f, 0, 1, 1);
	ck_assert_int_eq(volume_index_set_open_chapter(f.index, 0, 2), 0);
	put(&f, 0, 3, 2);
	put(&f, 1, 0, 2);
	ck_assert_int_eq(volume_index_set_open_chapter(f.index, 0, CHAPTERS), 0);
	ck_assert(!get(&f, 0, 3).collision && !is_other(&f, 0, 3));
	ck_assert(is_other(&f, 0, 0) && is_other(&f, 0, 4) && is_other(&f, 0, 5));
	ck_assert(get(&f, 0, 1).collision);
	ck_assert(!is_other(&f, 1, 0) && !is_other(&f, 1, 1));
	ck_assert_int_eq(volume_index_set_open_chapter(f.index, 0, CHAPTERS + 3), 0);
	/* All of the address went: the next one is not taken for one of them. */
	ck_assert(!get(&f, 0, 3).found);
	put(&f, 0, 5, CHAPTERS + 3);
	ck_assert(!is_other(&f, 0, 5) && !is_other(&f, 0, 3));
	volume_index_forget_names(f.index);
	ck_assert_int_eq(volume_index_names_status(f.index), 0);
	end(&f);
}
END_TEST

START_TEST(a_name_without_entry_finds_that_of_another_one)
{
	struct fixture f;

	start(&f);
	put(&f, 0, 0, 0);
	note_removed(&f, 0, 1);
	ck_assert(is_other(&f, 0, 1) && !is_other(&f, 0, 2));
	put(&f, 0, 1, 0);
	ck_assert(get(&f, 0, 1).collision);
	remove_entry(&f, 0, 1);
	/* Not noted this time. */
	ck_assert(!is_other(&f, 0, 1));
	end(&f);
}
END_TEST

/* More than the first table has room for, some of them void. */
START_TEST(much_is_known_of_many_addresses)
{
	struct fixture f;

	start(&f);
	for (uint32_t address = 0; address < 200; address++) {
		put(&f, address, 0, 0);
		put(&f, address, 1, 0);
		note_removed(&f, address, 2);
		remove_entry(&f, address, 0);
		if (address % 3 == 0)
			put(&f, address, 2, 0);
	}
	for (uint32_t address = 0; address < 200; address++) {
		ck_assert(is_other(&f, address, 0) && !is_other(&f, address, 1));
		ck_assert(get(&f, address, 2).collision == (address % 3 == 0));
		ck_assert(is_other(&f, address, 2) == (address % 3 != 0));
	}
	ck_assert_int_eq(volume_index_names_status(f.index), 0);
	end(&f);
}
END_TEST

/* ---- without memory ---- */

static int know(const struct uds_env *env, void *context)
{
	struct known_names *names = known_names_make(env);
	int r = 0;

	(void)context;
	if (names == NULL)
		return -ENOMEM;
	/* The table is made, and grows: each time with an owner, and with a name that has none. */
	for (uint32_t i = 0; i < 200; i++) {
		const struct known_place place = { .list = i, .address = 5 };
		struct uds_record_name name;

		twin(i, i % 7, &name);
		if (i % 2 == 0)
			known_names_own(names, &place, &name);
		else
			known_names_lack(names, &place, &name);
		/* What was not noted is not forgotten to have been lost. */
		ck_assert(r == 0 || known_names_status(names) == r);
		r = known_names_status(names);
		/* Nor is anything known wrongly. */
		ck_assert(r < 0 || known_names_is_other(names, &place, &name) == (i % 2 != 0));
	}
	known_names_free(names);
	return r;
}

START_TEST(what_there_is_no_memory_to_note_is_told)
{
	/* The names, and four tables: 64 to 512 elements, half of them free. */
	ck_assert_uint_eq(torture_each_allocation(know, NULL, false), 5);
}
END_TEST

START_TEST(knowing_names_fails_without_memory)
{
	struct fixture f;

	start(&f);
	volume_index_forget_names(f.index);
	torture_env_fail_at(&f.torture, 1, false);
	ck_assert_int_eq(volume_index_know_names(f.index), -ENOMEM);
	ck_assert_int_eq(volume_index_names_status(f.index), 0);
	ck_assert_int_eq(volume_index_know_names(f.index), 0);
	put(&f, 0, 0, 0);
	put(&f, 0, 1, 0);
	torture_env_fail_at(&f.torture, 1, false);
	/* It cannot fail; but later one is told. */
	remove_entry(&f, 0, 0);
	ck_assert_int_eq(volume_index_names_status(f.index), -ENOMEM);
	end(&f);
}
END_TEST

/* As two members of a crew tell what they have found. */
static int share(const struct uds_env *env, void *context)
{
	struct shared_entries all = { .env = env }, some = { .env = env };
	int r = 0;

	(void)context;
	for (uint32_t i = 0; r == 0 && i < 200; i++) {
		const struct shared_entry entry = { .list = i, .address = 5 };
		const size_t count = some.count;

		r = shared_entries_add(&some, &entry);
		ck_assert_uint_eq(some.count, count + (r == 0));
	}
	for (size_t i = 0; i < some.count; i++)
		ck_assert_uint_eq(some.entries[i].list, i);
	if (r == 0)
		r = shared_entries_add_all(&all, &some);
	if (r == 0)
		ck_assert_uint_eq(all.count, 200);
	shared_entries_clear(&all);
	shared_entries_clear(&some);
	return r;
}

START_TEST(shared_entries_fail_without_memory)
{
	/* Three arrays each: for 64, 128 and 256. */
	ck_assert_uint_eq(torture_each_allocation(share, NULL, false), 6);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("known names");
	TCase *tcase = tcase_create("known");

	tcase_add_test(tcase, a_removal_makes_known_whose_the_ordinary_entry_is);
	tcase_add_test(tcase, a_sweep_makes_known_whose_the_ordinary_entry_is);
	tcase_add_test(tcase, a_name_without_entry_finds_that_of_another_one);
	tcase_add_test(tcase, much_is_known_of_many_addresses);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("memory");
	tcase_add_test(tcase, what_there_is_no_memory_to_note_is_told);
	tcase_add_test(tcase, knowing_names_fails_without_memory);
	tcase_add_test(tcase, shared_entries_fail_without_memory);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
