/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening by URI: schemes, parameters, percent signs, and what is refused. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uds/io.h>

#include "check_main.h"

static struct uds_message message;

static void make_dir(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	ck_assert_int_eq(chdir(scratch_dir()), 0);
}

static void remove_dir(void)
{
	unlink("plain");
	unlink("a?b%c");
	unlink("mem:x");
	ck_assert_int_eq(chdir("/"), 0);
	rmdir(scratch_dir());
}

static struct uds_io *open_good(const char *uri, const struct uds_io_file_options *options)
{
	struct uds_io *io = NULL;
	int r = uds_io_open_uri(uri, options, NULL, &message, &io);

	ck_assert_msg(r == 0, "%s", message.text);
	return io;
}

static void open_refused(const char *uri, int status, const char *words)
{
	struct uds_io *io = (struct uds_io *)1;

	message.text[0] = '\0';
	ck_assert_int_eq(uds_io_open_uri(uri, NULL, NULL, &message, &io), status);
	ck_assert_ptr_eq(io, (struct uds_io *)1);
	ck_assert_msg(strstr(message.text, words) != NULL, "%s", message.text);
}

static struct uds_io_file_options writing(void)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.write = true;
	options.create = true;
	return options;
}

START_TEST(a_plain_path_is_taken_as_it_is)
{
	struct uds_io_file_options options = writing();
	struct uds_io *io = open_good("a?b%c", &options);

	ck_assert_str_eq(uds_io_name(io), "a?b%c");
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(access("a?b%c", F_OK), 0);
	ck_assert_int_eq(uds_io_close(open_good("./mem:x", &options)), 0);
	ck_assert_int_eq(access("mem:x", F_OK), 0);
	open_refused("", -ENOENT, "No such file");
}
END_TEST

START_TEST(a_file_uri_names_a_path_and_its_options)
{
	struct uds_io_file_options options = writing();
	struct uds_io *io;

	ck_assert_int_eq(uds_io_close(open_good("file:plain", &options)), 0);
	io = open_good("file:plain?direct=0&uring=1", NULL);
	ck_assert_uint_eq(uds_io_block_bytes(io), 1);
	ck_assert(uds_io_is_read_only(io));
	ck_assert_int_eq(uds_io_close(io), 0);
	/* What the URI says comes on top of the options. */
	options.direct = UDS_IO_DIRECT_YES;
	io = open_good("file:plain?direct=0", &options);
	ck_assert_uint_eq(uds_io_block_bytes(io), 1);
	ck_assert(!uds_io_is_read_only(io));
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(open_good("file:plain?direct=auto", NULL)), 0);
	open_refused("file:/proc/version?direct=1", UDS_ERR_NO_DIRECT_IO, "O_DIRECT");
	ck_assert_int_eq(uds_io_close(open_good("file:/proc/version?direct=auto", NULL)), 0);
}
END_TEST

START_TEST(percent_signs_in_a_uri_stand_for_bytes)
{
	struct uds_io_file_options options = writing();
	struct uds_io *io = open_good("file:a%3fb%25c", &options);

	ck_assert_str_eq(uds_io_name(io), "a?b%c");
	ck_assert_int_eq(uds_io_close(io), 0);
	open_refused("no-such-file", -ENOENT, "no-such-file: cannot be opened");
	open_refused("no-such-file?offset=1M", -ENOENT,
		     "no-such-file?offset=1M: cannot be opened: No such file or directory; with "
		     "parameters write file:PATH?...");
	open_refused("file:a%3", -EINVAL, "hex");
	open_refused("file:a%", -EINVAL, "hex");
	open_refused("file:a%zz", -EINVAL, "hex");
	open_refused("file:a%00b", -EINVAL, "hex");
}
END_TEST

START_TEST(memory_has_the_size_that_the_uri_says)
{
	struct uds_io *io = open_good("mem:?size=123456", NULL);
	uint64_t size;

	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 123456);
	ck_assert_int_eq(uds_io_close(io), 0);
	io = open_good("mem:", NULL);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* Nobody has that much; what is refused is named, and nothing is allocated first. */
	open_refused("mem:?size=17592186044417", -EFBIG,
		     "mem:?size=17592186044417: size: expected at most 17592186044416 bytes, found "
		     "17592186044417");
	open_refused("mem:?size=17T", -EFBIG, "mem:?size=17T");
	open_refused("mem:?size=18446744073709551615", -EFBIG, "found 18446744073709551615");
}
END_TEST

static const struct {
	const char *text;
	uint64_t bytes;
} sizes[] = {
	{ "0", 0 },
	{ "007", 7 },
	{ "0x10", 16 },
	{ "0XfF", 255 },
	{ "10k", 10240 },
	{ "10K", 10240 },
	{ "10KiB", 10240 },
	{ "0x10k", 16384 },
	{ "3M", UINT64_C(3) << 20 },
	{ "3miB", UINT64_C(3) << 20 },
	{ "5G", UINT64_C(5) << 30 },
	{ "5GiB", UINT64_C(5) << 30 },
	{ "16T", UINT64_C(16) << 40 },
	{ "1TiB", UINT64_C(1) << 40 },
};

START_TEST(sizes_take_the_suffixes_of_the_command_line)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char uri[64];
		struct uds_io *io;
		uint64_t size;

		snprintf(uri, sizeof(uri), "mem:?size=%s", sizes[i].text);
		io = open_good(uri, NULL);
		ck_assert_int_eq(uds_io_size(io, &size), 0);
		ck_assert_msg(size == sizes[i].bytes, "%s: %llu", uri, (unsigned long long)size);
		ck_assert_int_eq(uds_io_close(io), 0);
	}
}
END_TEST

START_TEST(what_is_wrong_in_a_uri_is_named)
{
	open_refused("nbd:localhost", -EINVAL, "unknown scheme 'nbd'");
	open_refused("filet:x", -EINVAL, "unknown scheme 'filet'");
	open_refused("a:b", -EINVAL, "./PATH");
	open_refused("file:", -EINVAL, "no path");
	open_refused("file:?direct=1", -EINVAL, "no path");
	open_refused("file:x?", -EINVAL, "''");
	open_refused("file:x?direct", -EINVAL, "'direct' has no value");
	open_refused("file:x?direct=2", -EINVAL, "direct: '2'");
	open_refused("file:x?uring=yes", -EINVAL, "uring: 'yes'");
	open_refused("file:x?size=1", -EINVAL, "'size'");
	open_refused("file:x?direct=1&", -EINVAL, "''");
	open_refused("file:x?direct=1&speed=9", -EINVAL, "'speed'");
	open_refused("file:x?speed=9", -EINVAL, "file:x?speed=9: ");
	open_refused("file:x?speed=9", -EINVAL,
		     "(known here: direct=0|1|auto, uring=0|1, map=0|1)");
	open_refused("file:x?direct=2", -EINVAL,
		     "(known here: direct=0|1|auto, uring=0|1, map=0|1)");
	open_refused("file:x?direct=", -EINVAL, "direct: ''");
	open_refused("file:x?direct=0|1", -EINVAL, "direct: '0|1'");
	open_refused("file:x?direct=aut", -EINVAL, "direct: 'aut'");
	open_refused("file:x?uring=auto", -EINVAL, "uring: 'auto'");
	open_refused("file:x?uring=%31", -EINVAL, "uring: '%31'");
	open_refused("mem:?size", -EINVAL, "(known here: size=BYTES)");
	open_refused("nbd:localhost", -EINVAL, "(known: file, mem, concat, vdo, lvm; for a path");
	open_refused("MEM:", -EINVAL, "unknown scheme 'MEM'");
	open_refused("mem:?size=", -EINVAL, "size: ''");
	open_refused("mem:?size=-1", -EINVAL, "size: '-1'");
	open_refused("mem:?size=+1", -EINVAL, "size: '+1'");
	open_refused("mem:?size= 1", -EINVAL, "size: ' 1'");
	open_refused("mem:?size=k", -EINVAL, "size: 'k'");
	open_refused("mem:?size=0x", -EINVAL, "size: '0x'");
	open_refused("mem:?size=1.5G", -EINVAL, "size: '1.5G'");
	open_refused("mem:?size=10Kb", -EINVAL, "size: '10Kb'");
	open_refused("mem:?size=10Ki", -EINVAL, "size: '10Ki'");
	open_refused("mem:?size=10KiBs", -EINVAL, "size: '10KiBs'");
	open_refused("mem:?size=10KK", -EINVAL, "size: '10KK'");
	open_refused("mem:?size=10P", -EINVAL, "size: '10P'");
	open_refused("mem:?size=16777216T", -EINVAL, "K, M, G, T");
	open_refused("mem:?size=0x10000000000000000", -EINVAL, "number of bytes");
	open_refused("mem:?size=18446744073709551616", -EINVAL, "number of bytes");
	open_refused("mem:?direct=1", -EINVAL, "'direct'");
	open_refused("mem:x", -EINVAL, "no path");
	open_refused("file:missing", -ENOENT, "missing");
}
END_TEST

START_TEST(the_last_value_of_a_repeated_parameter_counts)
{
	struct uds_io *io = open_good("mem:?size=1&size=2", NULL);
	uint64_t size;

	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 2);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_uri");
	TCase *tc = tcase_create("uri");

	tcase_add_checked_fixture(tc, make_dir, remove_dir);
	tcase_add_test(tc, a_plain_path_is_taken_as_it_is);
	tcase_add_test(tc, a_file_uri_names_a_path_and_its_options);
	tcase_add_test(tc, percent_signs_in_a_uri_stand_for_bytes);
	tcase_add_test(tc, memory_has_the_size_that_the_uri_says);
	tcase_add_test(tc, sizes_take_the_suffixes_of_the_command_line);
	tcase_add_test(tc, what_is_wrong_in_a_uri_is_named);
	tcase_add_test(tc, the_last_value_of_a_repeated_parameter_counts);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
