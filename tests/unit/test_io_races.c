/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening a path that others change, lease or have inherited meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uds/io.h>

#include "check_main.h"

static char path[400], other[410];
static struct uds_message message;
static atomic_bool over;

static void make_path(void)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;

	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(path, sizeof(path), "%s/file", scratch_dir());
	snprintf(other, sizeof(other), "%s/other", scratch_dir());
	options.write = true;
	options.create = true;
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_resize(io, 8192), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}

static void remove_path(void)
{
	unlink(path);
	unlink(other);
	rmdir(scratch_dir());
}

/* Swaps the file and what is at the other path, again and again. */
static void *swap(void *unused)
{
	(void)unused;
	while (!atomic_load(&over))
		renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_EXCHANGE);
	return NULL;
}

/* Opens while another thread swaps; neither waits nor takes the other thing for a file. */
static void open_while_swapped(bool write, int refused)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	int opened = 0, refusals = 0;
	pthread_t thread;

	options.write = write;
	atomic_store(&over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, swap, NULL), 0);
	/* On a busy machine the other thread may come late: until both were seen. */
	for (int i = 0; i < 30000 || opened == 0 || refusals == 0; i++) {
		struct uds_io *io = NULL;
		uint64_t size = 0;
		int r = uds_io_open_file(path, &options, NULL, &message, &io);

		if (r == 0) {
			ck_assert_int_eq(uds_io_size(io, &size), 0);
			ck_assert_uint_eq(size, 8192);
			ck_assert_int_eq(uds_io_close(io), 0);
			opened++;
		} else {
			ck_assert_msg(r == refused, "%d: %s", r, message.text);
			refusals++;
		}
	}
	atomic_store(&over, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_gt(opened, 0);
	ck_assert_int_gt(refusals, 0);
}

START_TEST(a_fifo_that_is_swapped_in_does_not_make_the_open_wait)
{
	ck_assert_int_eq(mkfifo(other, 0600), 0);
	if (renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_EXCHANGE) != 0)
		skip_test("a_fifo_that_is_swapped_in_does_not_make_the_open_wait: renameat2: %s",
			  strerror(errno));
	open_while_swapped(_i == 1, -EINVAL);
}
END_TEST

START_TEST(a_fifo_is_refused_at_once)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;

	ck_assert_int_eq(mkfifo(other, 0600), 0);
	options.write = _i > 0;
	options.create = _i > 1;
	ck_assert_int_eq(uds_io_open_file(other, &options, NULL, &message, &io), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "neither a regular file"));
}
END_TEST

START_TEST(what_was_opened_waits_for_its_transfers)
{
	struct uds_io *io;
	int found = 0;

	ck_assert_int_eq(uds_io_open_file(path, NULL, NULL, NULL, &io), 0);
	for (int fd = 3; fd < 256; fd++) {
		char link[64], target[500];
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n < 0 || (size_t)n != strlen(path) || strncmp(target, path, (size_t)n) != 0)
			continue;
		ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
		found++;
	}
	ck_assert_int_eq(found, 1);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

static void nothing(int signal)
{
	(void)signal;
}

/* Takes a lease, says so, and gives it up @delay_us after it is asked for; never for 0. */
static void hold_lease(int said, useconds_t delay_us)
{
	sigset_t asked;
	int fd, got;
	char c = 'x';

	sigemptyset(&asked);
	sigaddset(&asked, SIGIO);
	sigprocmask(SIG_BLOCK, &asked, NULL);
	signal(SIGIO, nothing);
	fd = open(path, O_RDWR);
	if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
		c = '-';
	if (write(said, &c, 1) != 1)
		_exit(1);
	if (c == '-' || delay_us == 0) {
		pause();
		_exit(0);
	}
	sigwait(&asked, &got);
	usleep(delay_us);
	fcntl(fd, F_SETLEASE, F_UNLCK);
	close(fd);
	_exit(0);
}

START_TEST(a_lease_is_called_back_and_not_waited_for_without_end)
{
	static const char name[] = "a_lease_is_called_back_and_not_waited_for_without_end";
	int pipes[2], status;
	struct uds_io *io;
	pid_t child;
	char c;

	ck_assert_int_eq(pipe(pipes), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		hold_lease(pipes[1], _i == 0 ? 100000 : 0);
	ck_assert_int_eq(read(pipes[0], &c, 1), 1);
	if (c == '-') {
		note_skip("%s: no leases here", name);
	} else if (_i == 0) {
		ck_assert_int_eq(uds_io_open_file(path, NULL, NULL, &message, &io), 0);
		ck_assert_int_eq(uds_io_close(io), 0);
	} else {
		ck_assert_int_eq(uds_io_open_file(path, NULL, NULL, &message, &io), UDS_ERR_IN_USE);
		ck_assert_ptr_nonnull(strstr(message.text, "lease"));
	}
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
}
END_TEST

START_TEST(a_child_shares_the_lock_of_its_parent_until_it_ends)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io, *second;
	int status;
	pid_t child;

	options.write = true;
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, NULL, &io), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, &message, &second), UDS_ERR_IN_USE);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, &message, &second), 0);
	ck_assert_int_eq(uds_io_close(second), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_races");
	TCase *tc = tcase_create("races");

	tcase_add_checked_fixture(tc, make_path, remove_path);
	tcase_add_loop_test(tc, a_fifo_that_is_swapped_in_does_not_make_the_open_wait, 0, 2);
	tcase_add_loop_test(tc, a_fifo_is_refused_at_once, 0, 3);
	tcase_add_test(tc, what_was_opened_waits_for_its_transfers);
	tcase_add_loop_test(tc, a_lease_is_called_back_and_not_waited_for_without_end, 0, 2);
	tcase_add_test(tc, a_child_shares_the_lock_of_its_parent_until_it_ends);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
