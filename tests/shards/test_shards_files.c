/* SPDX-License-Identifier: BSD-2-Clause */
/* Shards and manifests in files, opened by the library: links, rights, two names of one file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uds/shards.h>

#include "check_main.h"
#include "partitions.h"
#include "small_index.h"

#define BYTES (8 << 20)

enum { A, B, PARTS, MANIFEST, FOLDER, PATHS };

struct files {
	char paths[PATHS][512];
	struct uds_message message;
	struct uds_shards *shards;
};

static void make_index(const char *uri, uint8_t seed)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	uint8_t nonce_data[32] = { seed, 7 };
	struct small_shape shape;
	struct uds_io *io;

	small_index_shape(1, 16, &shape);
	file.write = file.create = true;
	options.nonce_data = nonce_data;
	ck_assert_int_eq(uds_io_open_uri(uri, &file, NULL, NULL, &io), 0);
	if (strchr(uri, ':') == NULL)
		ck_assert_int_eq(uds_io_resize(io, BYTES), 0);
	ck_assert_int_eq(uds_index_format(io, &shape.configuration, &options, NULL), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}

/* Two indexes; nothing at the other names. */
static void start(struct files *f)
{
	static const char *const names[PATHS] = { "a", "folder/b", "parts", "manifest", "folder" };

	memset(f, 0, sizeof(*f));
	for (int i = 0; i < PATHS; i++)
		snprintf(f->paths[i], sizeof(f->paths[i]), "%s/%s", scratch_dir(), names[i]);
	ck_assert_int_eq(mkdir(f->paths[FOLDER], 0700), 0);
	make_index(f->paths[A], 1);
	make_index(f->paths[B], 2);
}

static void end(struct files *f)
{
	ck_assert_int_eq(uds_shards_close(f->shards), 0);
	for (int i = 0; i < FOLDER; i++)
		(void)unlink(f->paths[i]);
	ck_assert_int_eq(rmdir(f->paths[FOLDER]), 0);
}

static void format(struct files *f, const char *first, const char *second)
{
	const char *uris[] = { first, second };
	int r = uds_shards_format(f->paths[MANIFEST], uris, second == NULL ? 1 : 2, NULL,
				  &f->message);

	ck_assert_msg(r == 0, "%s", f->message.text);
}

static void open_fails(struct files *f, enum uds_index_mode mode, int status, const char *part)
{
	struct uds_shards_options options = UDS_SHARDS_OPTIONS_INIT;
	struct uds_index_options index = UDS_INDEX_OPTIONS_INIT;
	int r;

	index.mode = mode;
	options.index = &index;
	r = uds_shards_open(f->paths[MANIFEST], &options, &f->message, &f->shards);
	ck_assert_msg(r == status, "%d: %s", r, f->message.text);
	ck_assert_msg(strstr(f->message.text, part) != NULL, "'%s' is not in '%s'", part,
		      f->message.text);
}

static int keep_sentence(void *context, const char *sentence)
{
	snprintf(context, sizeof(((struct uds_message *)0)->text), "%s", sentence);
	return 0;
}

START_TEST(one_file_by_two_names_is_named)
{
	struct uds_shards_options options = UDS_SHARDS_OPTIONS_INIT;
	uint64_t found = 0;
	char part[1200];
	struct files f;

	start(&f);
	/* Whichever comes first in the manifest. */
	if (_i < 2)
		format(&f, f.paths[A], f.paths[B]);
	else
		format(&f, f.paths[B], f.paths[A]);
	unlink(f.paths[B]);
	ck_assert_int_eq(
		_i % 2 == 0 ? link(f.paths[A], f.paths[B]) : symlink(f.paths[A], f.paths[B]), 0);
	if (_i < 2)
		snprintf(part, sizeof(part),
			 "shard 2 (%s): this is the same file or device as shard 1 (%s)",
			 f.paths[B], f.paths[A]);
	else
		snprintf(part, sizeof(part),
			 "shard 1 (%s): this is the same file or device as shard 2 (%s)",
			 f.paths[B], f.paths[A]);
	open_fails(&f, UDS_INDEX_LOAD_OR_RECOVER, UDS_ERR_CORRUPT, part);
	open_fails(&f, UDS_INDEX_READ_ONLY, UDS_ERR_CORRUPT, part);
	options.only_identities = true;
	ck_assert_int_eq(uds_shards_verify(f.paths[MANIFEST], &options, keep_sentence,
					   f.message.text, NULL, &found),
			 0);
	ck_assert_uint_eq(found, 1);
	ck_assert_msg(strstr(f.message.text, part) != NULL, "%s", f.message.text);
	end(&f);
}
END_TEST

START_TEST(a_shard_by_another_name_is_not_added)
{
	char spelled[600];
	struct files f;

	start(&f);
	format(&f, f.paths[A], f.paths[B]);
	ck_assert_int_eq(uds_shards_open(f.paths[MANIFEST], NULL, &f.message, &f.shards), 0);
	snprintf(spelled, sizeof(spelled), "%s/../folder//b", f.paths[FOLDER]);
	ck_assert_int_eq(uds_shards_add(f.shards, spelled, NULL, NULL), UDS_ERR_EXISTS);
	uds_shards_error_message(f.shards, &f.message);
	ck_assert_msg(strstr(f.message.text, "is the same file or device as shard 2") != NULL, "%s",
		      f.message.text);
	end(&f);
}
END_TEST

/* Each has its own bytes, but a file has one lock. */
START_TEST(parts_of_one_file_cannot_be_shards_together)
{
	char parts[2][600];
	struct files f;

	start(&f);
	for (int i = 0; i < 2; i++) {
		snprintf(parts[i], sizeof(parts[i]), "file:%s?offset=%dM&length=8M", f.paths[PARTS],
			 8 * i);
		if (i == 0) {
			FILE *file = fopen(f.paths[PARTS], "w");

			ck_assert_ptr_nonnull(file);
			fclose(file);
			ck_assert_int_eq(truncate(f.paths[PARTS], 16 << 20), 0);
		}
		make_index(parts[i], (uint8_t)(3 + i));
	}
	format(&f, parts[0], parts[1]);
	open_fails(&f, UDS_INDEX_LOAD_OR_RECOVER, UDS_ERR_IN_USE,
		   "in the same file or on the same device, which is locked as a whole");
	unlink(f.paths[MANIFEST]);
	format(&f, parts[0], NULL);
	ck_assert_int_eq(uds_shards_open(f.paths[MANIFEST], NULL, &f.message, &f.shards), 0);
	ck_assert_int_eq(uds_shards_add(f.shards, parts[1], NULL, NULL), UDS_ERR_IN_USE);
	uds_shards_error_message(f.shards, &f.message);
	ck_assert_msg(strstr(f.message.text, "locked as a whole") != NULL, "%s", f.message.text);
	end(&f);
}
END_TEST

/* Each is an index of its own, as long as neither has grown into the other. */
START_TEST(parts_that_overlap_are_refused)
{
	static const char *const uris[] = { "partition:d", "partition:d?length=7M" };
	char parts[3][600], expected[1400];
	const char *given[3];
	FILE *file;
	struct files f;

	start(&f);
	file = fopen(f.paths[PARTS], "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
	ck_assert_int_eq(truncate(f.paths[PARTS], 32 << 20), 0);
	for (int i = 0; i < 3; i++) {
		snprintf(parts[i], sizeof(parts[i]), "file:%s?offset=%dM&length=8M", f.paths[PARTS],
			 i == 0 ? 16 : 4 * i);
		given[i] = parts[i];
		make_index(parts[i], (uint8_t)(3 + i));
	}
	snprintf(expected, sizeof(expected),
		 "shards 2 and 3, %.150s and %.150s, have bytes in common", parts[1], parts[2]);
	ck_assert_int_eq(uds_shards_format(f.paths[MANIFEST], given, 3, NULL, &f.message),
			 UDS_ERR_EXISTS);
	ck_assert_msg(strstr(f.message.text, expected) != NULL, "%s", f.message.text);
	ck_assert_int_ne(access(f.paths[MANIFEST], F_OK), 0);
	format(&f, parts[0], parts[2]);
	unlink(f.paths[MANIFEST]);
	/* Where nothing is locked a shard that joins is looked at, too. */
	partitions_start();
	make_index("partition:d?offset=1M", 8);
	format(&f, "partition:d?offset=1M", NULL);
	ck_assert_int_eq(uds_shards_open(f.paths[MANIFEST], NULL, &f.message, &f.shards), 0);
	make_index(uris[_i], 9);
	ck_assert_int_eq(uds_shards_add(f.shards, uris[_i], NULL, NULL), UDS_ERR_EXISTS);
	uds_shards_error_message(f.shards, &f.message);
	snprintf(expected, sizeof(expected),
		 "%s has bytes in common with shard 1 (partition:d?offset=1M)", uris[_i]);
	ck_assert_msg(strstr(f.message.text, expected) != NULL, "%s", f.message.text);
	end(&f);
}
END_TEST

/* Nor is anything said of what another program has. */
START_TEST(what_others_have_locked_is_only_locked)
{
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;
	struct files f;

	start(&f);
	format(&f, f.paths[A], f.paths[B]);
	file.write = true;
	ck_assert_int_eq(uds_io_open_uri(f.paths[B], &file, NULL, NULL, &io), 0);
	open_fails(&f, UDS_INDEX_LOAD_OR_RECOVER, UDS_ERR_IN_USE, "has it open and locked");
	ck_assert_int_eq(uds_io_close(io), 0);
	end(&f);
}
END_TEST

START_TEST(devices_on_one_disk_are_not_in_each_others_way)
{
	struct files f;

	start(&f);
	partitions_start();
	make_index("partition:a", 5);
	make_index("partition:b", 6);
	make_index("partition:c", 7);
	format(&f, "partition:a", "partition:b");
	ck_assert_int_eq(uds_shards_open(f.paths[MANIFEST], NULL, &f.message, &f.shards), 0);
	partition_lock('c', true);
	ck_assert_int_eq(uds_shards_add(f.shards, "partition:c", NULL, NULL), UDS_ERR_IN_USE);
	uds_shards_error_message(f.shards, &f.message);
	ck_assert_msg(strstr(f.message.text, "locked by process 4711") != NULL, "%s",
		      f.message.text);
	ck_assert_int_eq(uds_shards_close(f.shards), 0);
	f.shards = NULL;
	partition_lock('b', true);
	open_fails(&f, UDS_INDEX_LOAD_OR_RECOVER, UDS_ERR_IN_USE, "locked by process 4711");
	end(&f);
}
END_TEST

/* ---- the manifest ---- */

static mode_t mode_of(const char *path)
{
	struct stat status;

	ck_assert_int_eq(lstat(path, &status), 0);
	return status.st_mode;
}

START_TEST(a_manifest_behind_a_link_is_the_one_that_is_replaced)
{
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;
	char link_path[600], beside[700];
	struct files f;

	start(&f);
	format(&f, f.paths[A], NULL);
	snprintf(link_path, sizeof(link_path), "%s/link", f.paths[FOLDER]);
	ck_assert_int_eq(symlink("../manifest", link_path), 0);
	ck_assert_int_eq(uds_shards_open(link_path, NULL, &f.message, &f.shards), 0);
	ck_assert_int_eq(uds_shards_add(f.shards, f.paths[B], NULL, NULL), 0);
	ck_assert(S_ISLNK(mode_of(link_path)));
	ck_assert_int_eq(
		uds_shards_read_info(f.paths[MANIFEST], NULL, NULL, NULL, &f.message, &info), 0);
	ck_assert_uint_eq(info.shards, 2);
	ck_assert_uint_eq(info.generation, 3);
	/* The new one was beside it, not beside the link. */
	snprintf(beside, sizeof(beside), "%s.new", link_path);
	ck_assert_int_ne(access(beside, F_OK), 0);
	unlink(link_path);
	end(&f);
}
END_TEST

START_TEST(a_manifest_keeps_its_rights)
{
	struct files f;

	start(&f);
	format(&f, f.paths[A], NULL);
	ck_assert_int_eq(chmod(f.paths[MANIFEST], _i == 0 ? 0600 : 0664), 0);
	ck_assert_int_eq(uds_shards_open(f.paths[MANIFEST], NULL, &f.message, &f.shards), 0);
	ck_assert_int_eq(uds_shards_add(f.shards, f.paths[B], NULL, NULL), 0);
	ck_assert_uint_eq(mode_of(f.paths[MANIFEST]) & 07777, _i == 0 ? 0600 : 0664);
	end(&f);
}
END_TEST

START_TEST(what_lies_where_the_new_manifest_is_written_is_not_followed)
{
	char beside[600];
	struct files f;

	start(&f);
	format(&f, f.paths[A], NULL);
	ck_assert_int_eq(uds_shards_open(f.paths[MANIFEST], NULL, &f.message, &f.shards), 0);
	snprintf(beside, sizeof(beside), "%s.new", f.paths[MANIFEST]);
	/* Nothing is created where it leads to. */
	ck_assert_int_eq(symlink(f.paths[PARTS], beside), 0);
	ck_assert_int_eq(uds_shards_add(f.shards, f.paths[B], NULL, NULL), 0);
	ck_assert_int_ne(access(f.paths[PARTS], F_OK), 0);
	ck_assert(S_ISREG(mode_of(f.paths[MANIFEST])));
	end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shards in files");
	TCase *tcase = tcase_create("places");

	tcase_add_loop_test(tcase, one_file_by_two_names_is_named, 0, 4);
	tcase_add_test(tcase, a_shard_by_another_name_is_not_added);
	tcase_add_test(tcase, parts_of_one_file_cannot_be_shards_together);
	tcase_add_loop_test(tcase, parts_that_overlap_are_refused, 0, 2);
	tcase_add_test(tcase, what_others_have_locked_is_only_locked);
	tcase_add_test(tcase, devices_on_one_disk_are_not_in_each_others_way);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("the manifest");
	tcase_add_test(tcase, a_manifest_behind_a_link_is_the_one_that_is_replaced);
	tcase_add_loop_test(tcase, a_manifest_keeps_its_rights, 0, 2);
	tcase_add_test(tcase, what_lies_where_the_new_manifest_is_written_is_not_followed);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
