/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the file backend asks of the system, and what it makes of a failure. This program has
 * its own fsync() and fstat(), which are taken instead of the system's where nothing stands in
 * front of them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uds/io.h>

#include "check_main.h"

/* What the system's headers make of the name where files may be larger than the machine's words. */
#ifdef __USE_FILE_OFFSET64
#define FSTAT "fstat64"
#else
#define FSTAT "fstat"
#endif

static char path[400];
static struct uds_message message;
static int fsync_error, fstat_error; /* 0: none */
static unsigned int directories_flushed, fstats;

int fsync(int fd)
{
	struct stat st;

	if (stat(scratch_dir(), &st) == 0) {
		struct stat of_fd;
		char link[64];

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		directories_flushed += stat(link, &of_fd) == 0 && of_fd.st_ino == st.st_ino &&
				       of_fd.st_dev == st.st_dev;
	}
	errno = fsync_error;
	return fsync_error == 0 ? 0 : -1;
}

int fstat(int fd, struct stat *st)
{
	int (*next)(int, struct stat *) = (int (*)(int, struct stat *))dlsym(RTLD_NEXT, FSTAT);

	fstats++;
	errno = fstat_error != 0 ? fstat_error : ENOSYS;
	return fstat_error != 0 || next == NULL ? -1 : next(fd, st);
}

static void make_path(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(path, sizeof(path), "%s/file", scratch_dir());
	fsync_error = fstat_error = 0;
	directories_flushed = fstats = 0;
}

static void remove_path(void)
{
	unlink(path);
	rmdir(scratch_dir());
}

static int open_path(bool create, struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.write = true;
	options.create = create;
	return uds_io_open_file(path, &options, NULL, &message, ret_io);
}

START_TEST(the_name_of_a_new_file_is_durable)
{
	struct uds_io *io;

	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_uint_eq(directories_flushed, 1);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* One that was there before is not made durable again. */
	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_uint_eq(directories_flushed, 1);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(a_name_that_cannot_be_durable_is_taken_back)
{
	struct uds_io *io = NULL;

	fsync_error = EIO;
	ck_assert_int_eq(open_path(true, &io), -EIO);
	ck_assert_ptr_null(io);
	ck_assert_msg(strstr(message.text, "flushing its directory") != NULL, "%s", message.text);
	ck_assert_int_eq(access(path, F_OK), -1);
	/* Some file systems have no such thing: then there is nothing to be done. */
	fsync_error = EINVAL;
	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(the_size_is_known_from_the_open_on)
{
	struct uds_io *io;

	ck_assert_int_eq(open_path(true, &io), 0);
	if (fstats == 0)
		skip_test("the system's fstat() cannot be replaced");
	ck_assert_int_eq(uds_io_resize(io, 8192), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(open_path(false, &io), 0);
	fstat_error = EIO;
	ck_assert_int_eq(uds_io_write(io, "x", 1, 8191), 0);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 8192), -EIO);
	fstat_error = 0;
	ck_assert_int_eq(uds_io_write(io, "x", 1, 8192), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(a_file_that_cannot_be_looked_at_is_not_opened)
{
	struct uds_io *io = NULL;

	fstat_error = EIO;
	ck_assert_int_eq(open_path(true, &io), fstats == 0 ? 0 : -EIO);
	if (fstats == 0)
		skip_test("the system's fstat() cannot be replaced");
	ck_assert_msg(strstr(message.text, "cannot be opened") != NULL, "%s", message.text);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io system");
	TCase *tc = tcase_create("io system");

	tcase_add_checked_fixture(tc, make_path, remove_path);
	tcase_add_test(tc, the_name_of_a_new_file_is_durable);
	tcase_add_test(tc, a_name_that_cannot_be_durable_is_taken_back);
	tcase_add_test(tc, the_size_is_known_from_the_open_on);
	tcase_add_test(tc, a_file_that_cannot_be_looked_at_is_not_opened);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
