/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of uds scan: the set of what was met, and what its records can hold. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_main.h"
#include "scan_data.h"
#include "scan_set.h"
#include "scan_tree.h"

START_TEST(a_set_has_what_was_added_and_nothing_else)
{
	static const uint64_t firsts[] = { 0, 1, 2049, UINT64_MAX };
	struct pair_set set;
	bool *added = calloc(4 * 4096, sizeof(*added));

	memset(&set, 0, sizeof(set));
	ck_assert(!pair_set_has(&set, 0, 0));
	srand(7);
	for (unsigned int i = 0; i < 6000; i++) {
		unsigned int at = (unsigned int)rand() % (4 * 4096);

		ck_assert_int_eq(pair_set_add(&set, firsts[at / 4096], at % 4096), 0);
		added[at] = true;
	}
	for (unsigned int at = 0; at < 4 * 4096; at++)
		ck_assert_int_eq(pair_set_has(&set, firsts[at / 4096], at % 4096), added[at]);
	ck_assert_uint_le(set.count, 4 * 64);
	free(added);
	pair_set_free(&set);
	ck_assert(!pair_set_has(&set, 0, 0));
}
END_TEST

START_TEST(a_set_takes_pairs_from_all_over)
{
	struct pair_set set;
	uint64_t z = 1;

	memset(&set, 0, sizeof(set));
	for (int pass = 0; pass < 2; pass++) {
		z = 1;
		for (unsigned int i = 0; i < 50000; i++) {
			uint64_t first = z >> 60;

			z = z * UINT64_C(6364136223846793005) + 1442695040888963407;
			if (pass == 0)
				ck_assert_int_eq(pair_set_add(&set, first, z), 0);
			else
				ck_assert(pair_set_has(&set, first, z));
			ck_assert(!pair_set_has(&set, first + 16, z));
		}
	}
	ck_assert_int_eq(pair_set_add(&set, 5, UINT64_MAX), 0);
	ck_assert(pair_set_has(&set, 5, UINT64_MAX));
	ck_assert(!pair_set_has(&set, 5, UINT64_MAX - 1));
	pair_set_free(&set);
}
END_TEST

START_TEST(records_hold_the_ends_of_their_ranges)
{
	struct first_seen seen = { .scan = FIELD_MASK,
				   .inode = FIELD_MASK,
				   .block = FIELD_MASK,
				   .device = LAST_DEVICE,
				   .block_shift = 20 };
	struct uds_record_data data;
	struct first_seen back;

	encode_first_seen(&seen, &data);
	back = decode_first_seen(&data);
	ck_assert_uint_eq(back.scan, seen.scan);
	ck_assert_uint_eq(back.inode, seen.inode);
	ck_assert_uint_eq(back.block, seen.block);
	ck_assert_uint_eq(back.device, seen.device);
	ck_assert_uint_eq(back.block_shift, seen.block_shift);
}
END_TEST

START_TEST(what_records_cannot_hold_is_known)
{
	ck_assert(!scan_time_fits(0));
	ck_assert(!scan_time_fits(SCAN_EPOCH_MS - 1));
	ck_assert(scan_time_fits(SCAN_EPOCH_MS));
	ck_assert(scan_time_fits(SCAN_EPOCH_MS + FIELD_MASK));
	ck_assert(!scan_time_fits(SCAN_EPOCH_MS + FIELD_MASK + 1));
	ck_assert(!scan_time_fits(UINT64_C(2840140800000))); /* 2060 */
	ck_assert(!scan_time_fits(UINT64_MAX));
	ck_assert_uint_eq(most_file_bytes(9), UINT64_C(512) << 40);
	ck_assert_uint_eq(most_file_bytes(20), UINT64_C(1) << 60);
}
END_TEST

#define DEPTH 30

/* DEPTH folders "d" inside each other, each with a "z" that comes after; the top is a new one. */
static void make_folders(char *ret_top, size_t room)
{
	char path[512];
	size_t end;

	snprintf(ret_top, room, "%s/tree-XXXXXX", scratch_dir());
	ck_assert_ptr_nonnull(mkdtemp(ret_top));
	end = (size_t)snprintf(path, sizeof(path), "%s", ret_top);
	for (unsigned int i = 0; i < DEPTH; i++) {
		strcpy(path + end, "/z");
		ck_assert_int_eq(mkdir(path, 0700), 0);
		strcpy(path + end, "/d");
		ck_assert_int_eq(mkdir(path, 0700), 0);
		end += 2;
	}
}

static void remove_folders(const char *top)
{
	char command[600];

	snprintf(command, sizeof(command), "rm -r '%s'", top);
	ck_assert_int_eq(system(command), 0);
}

static void go_down(struct tree *tree, int directory, const char *name)
{
	int descriptor = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int error;

	ck_assert_int_ge(descriptor, 0);
	ck_assert_int_eq(fstat(descriptor, &st), 0);
	ck_assert_int_eq(tree_enter(tree, descriptor, &st, &error), 0);
	ck_assert_int_eq(error, 0);
}

static void go_to_the_bottom(struct tree *tree, const char *top)
{
	const char *name;

	ck_assert_int_eq(tree_start(tree, top), 0);
	go_down(tree, AT_FDCWD, top);
	for (unsigned int i = 0; i < DEPTH; i++) {
		ck_assert_int_eq(tree_next(tree, &name), 1);
		ck_assert_str_eq(name, "d");
		go_down(tree, tree_top(tree)->descriptor, name);
	}
	ck_assert_int_eq(tree_next(tree, &name), 0);
}

static unsigned int open_levels(const struct tree *tree)
{
	unsigned int count = 0;

	for (size_t i = 0; i < tree->depth; i++)
		count += tree->levels[i].descriptor >= 0;
	return count;
}

START_TEST(a_deep_tree_is_left_with_few_descriptors)
{
	struct tree tree = { 0 };
	char top[300];
	const char *name;

	make_folders(top, sizeof(top));
	go_to_the_bottom(&tree, top);
	ck_assert_uint_le(open_levels(&tree), 14);
	while (tree.depth > 1) {
		ck_assert(tree_leave(&tree));
		ck_assert_int_eq(tree_next(&tree, &name), 1);
		ck_assert_str_eq(name, "z");
		ck_assert_uint_eq(strlen(tree.path), strlen(top) + 2 * tree.depth);
		ck_assert_int_eq(tree_next(&tree, &name), 0);
	}
	ck_assert(tree_leave(&tree));
	tree_free(&tree);
	remove_folders(top);
}
END_TEST

START_TEST(a_folder_that_was_moved_is_not_taken_for_another)
{
	char top[300], from[400], to[400];
	struct tree tree = { 0 };
	unsigned int lost = 0;
	const char *name;

	make_folders(top, sizeof(top));
	go_to_the_bottom(&tree, top);
	/* The fifth goes to where the first one's "z" is: above it is not the fourth any more. */
	snprintf(from, sizeof(from), "%s/d/d/d/d/d", top);
	snprintf(to, sizeof(to), "%s/z/moved", top);
	ck_assert_int_eq(rename(from, to), 0);
	while (tree.depth > 1) {
		bool good = tree_leave(&tree);
		size_t level = tree.depth - 1;

		lost += !good;
		ck_assert_int_eq(good, level >= 5 || level == 0);
		ck_assert_int_eq(tree_next(&tree, &name), good);
		if (good)
			ck_assert_str_eq(name, "z");
	}
	ck_assert_uint_eq(lost, 4);
	tree_free(&tree);
	remove_folders(top);
}
END_TEST

START_TEST(long_paths_are_opened_bit_by_bit)
{
	char *path = malloc(20001);
	const char *name;
	int descriptor;

	ck_assert_int_eq(open_start_of_path("short", &descriptor, &name), 0);
	ck_assert_int_eq(descriptor, AT_FDCWD);
	ck_assert_str_eq(name, "short");
	for (unsigned int i = 0; i < 10000; i++)
		memcpy(path + 2 * i, i == 0 ? "/." : "./", 2);
	path[1] = '/';
	strcpy(path + 20000 - 8, "/missing");
	ck_assert_int_eq(open_start_of_path(path, &descriptor, &name), 0);
	ck_assert_int_ge(descriptor, 0);
	ck_assert_uint_lt(strlen(name), 4096);
	ck_assert_int_eq(close(descriptor), 0);
	memset(path, 'x', 20000);
	ck_assert_int_lt(open_start_of_path(path, &descriptor, &name), 0);
	memcpy(path, "/missing/", 9);
	for (unsigned int i = 100; i < 20000; i += 100)
		path[i] = '/';
	ck_assert_int_lt(open_start_of_path(path, &descriptor, &name), 0);
	free(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tool scan");
	TCase *tests = tcase_create("scan");

	tcase_add_test(tests, a_set_has_what_was_added_and_nothing_else);
	tcase_add_test(tests, a_set_takes_pairs_from_all_over);
	tcase_add_test(tests, records_hold_the_ends_of_their_ranges);
	tcase_add_test(tests, what_records_cannot_hold_is_known);
	tcase_add_test(tests, a_deep_tree_is_left_with_few_descriptors);
	tcase_add_test(tests, a_folder_that_was_moved_is_not_taken_for_another);
	tcase_add_test(tests, long_paths_are_opened_bit_by_bit);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
