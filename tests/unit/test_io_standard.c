/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that run with standard descriptors closed: whatever the library opens gets another
 * number, so that nothing that is printed lands in a store and no store is read as input.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uds/index.h>
#include <uds/engine.h>
#include <uds/io.h>

#include "check_main.h"
#include "small_index.h"

#define SUBSETS 8 /* of the three numbers; bit n: n is closed */

static char path[400], uri[450];

static void make_path(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(path, sizeof(path), "%s/file", scratch_dir());
	snprintf(uri, sizeof(uri), "file:%s?uring=1", path);
}

static void remove_path(void)
{
	unlink(path);
	rmdir(scratch_dir());
}

static void close_standard(int subset)
{
	for (int number = 0; number < 3; number++) {
		if ((subset & 1 << number) != 0)
			close(number);
	}
}

static void check_still_closed(int subset)
{
	for (int number = 0; number < 3; number++) {
		if ((subset & 1 << number) == 0)
			continue;
		errno = 0;
		ck_assert_msg(fcntl(number, F_GETFD) == -1 && errno == EBADF,
			      "subset %d: number %d is taken", subset, number);
	}
}

static struct uds_io_file_options writing(void)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.write = true;
	options.create = true;
	return options;
}

static void use_engine(struct uds_io *io, int subset)
{
	static char bytes[4096] = "by an engine";
	struct uds_io_request request = {
		.io = io, .kind = UDS_IO_WRITE, .buffer = bytes, .length = 4096
	};
	int descriptor;
	struct uds_io_request *one = &request, *done;
	struct uds_io_engine *engine;

	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &descriptor), 0);
	ck_assert_int_ge(descriptor, 3);
	check_still_closed(subset);
	ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, &done, 1, 1, -1), 1);
	ck_assert_int_eq(request.status, 0);
	uds_io_engine_close(engine);
}

START_TEST(no_open_takes_a_standard_number)
{
	struct uds_io_file_options options = writing();
	struct uds_io *io, *second;
	char read[4096];

	close_standard(_i);
	for (int direct = UDS_IO_DIRECT_NO; direct <= UDS_IO_DIRECT_AUTO; direct += 2) {
		options.direct = (enum uds_io_direct)direct;
		ck_assert_int_eq(uds_io_open_file(path, &options, NULL, NULL, &io), 0);
		check_still_closed(_i);
		ck_assert_int_eq(uds_io_resize(io, 8192), 0);
		/* Refused: looking for who has it opens more. */
		ck_assert_int_eq(uds_io_open_file(path, NULL, NULL, NULL, &second), UDS_ERR_IN_USE);
		check_still_closed(_i);
		ck_assert_int_eq(uds_io_close(io), 0);
	}
	options.direct = UDS_IO_DIRECT_NO;
	ck_assert_int_eq(uds_io_open_uri(uri, &options, NULL, NULL, &io), 0);
	use_engine(io, _i);
	ck_assert_int_eq(uds_io_read(io, read, sizeof(read), 0), 0);
	ck_assert_str_eq(read, "by an engine");
	ck_assert_int_eq(uds_io_close(io), 0);
	check_still_closed(_i);
}
END_TEST

START_TEST(a_device_is_opened_and_refused_without_a_standard_number)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message;
	struct uds_io *io;
	int r;

	if (access("/dev/loop0", R_OK | W_OK) != 0)
		skip_test("a_device_is_opened_and_refused_without_a_standard_number: no device");
	close_standard(_i);
	r = uds_io_open_file("/dev/loop0", &options, NULL, &message, &io);
	check_still_closed(_i);
	if (r == 0)
		ck_assert_int_eq(uds_io_close(io), 0);
	options.write = true;
	r = uds_io_open_file("/dev/loop0", &options, NULL, &message, &io);
	check_still_closed(_i);
	if (r == 0)
		ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(an_index_lives_without_standard_numbers)
{
	struct uds_io_file_options options = writing();
	struct uds_record_name name = { { 1, 2, 3, 4, 5, 6, 7, 8, 9 } };
	struct uds_record_data data = { { 9, 8, 7 } }, found_data;
	struct small_shape shape;
	struct uds_index *index;
	struct uds_io *io;
	bool found;

	small_index_shape(1, 8, &shape);
	close_standard(_i);
	ck_assert_int_eq(uds_io_open_uri(uri, &options, NULL, NULL, &io), 0);
	ck_assert_int_eq(small_index_create(&shape, io, NULL, NULL), 0);
	ck_assert_int_eq(small_index_open(io, NULL, 2, UDS_INDEX_LOAD, NULL, &index), 0);
	ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, &found), 0);
	if (_i != 0)
		(void)!write(_i == 1   ? STDIN_FILENO
			     : _i == 2 ? STDOUT_FILENO
				       : STDERR_FILENO,
			     "printed", 7);
	ck_assert_int_eq(uds_index_save(index), 0);
	check_still_closed(_i);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(small_index_open(io, NULL, 2, UDS_INDEX_LOAD, NULL, &index), 0);
	ck_assert_int_eq(uds_index_peek(index, &name, &found_data, &found), 0);
	ck_assert(found);
	ck_assert_mem_eq(found_data.bytes, data.bytes, sizeof(data.bytes));
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

static atomic_bool over;

/*
 * A thread of the program that prints and reads without looking. By bare system calls: the thread
 * sanitizer would take a number that another thread opens and closes meanwhile, which is the point
 * here, for a race.
 */
static void *print_and_read(void *unused)
{
	char byte;

	(void)unused;
	while (!atomic_load(&over)) {
		(void)!syscall(SYS_write, STDOUT_FILENO, "printed", 7);
		(void)!syscall(SYS_write, STDERR_FILENO, "printed", 7);
		(void)!syscall(SYS_read, STDIN_FILENO, &byte, 1);
	}
	return NULL;
}

START_TEST(what_another_thread_prints_meanwhile_reaches_no_store)
{
	struct uds_io_file_options options = writing();
	char content[64], zeros[64] = { 0 };
	pthread_t thread;
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_resize(io, 4096), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	close_standard(7);
	ck_assert_int_eq(pthread_create(&thread, NULL, print_and_read, NULL), 0);
	for (int i = 0; i < 2000; i++) {
		ck_assert_int_eq(uds_io_open_file(path, &options, NULL, NULL, &io), 0);
		ck_assert_int_eq(uds_io_close(io), 0);
	}
	atomic_store(&over, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(uds_io_open_file(path, NULL, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_read(io, content, sizeof(content), 0), 0);
	ck_assert_mem_eq(content, zeros, sizeof(content));
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(without_a_number_to_spare_the_open_fails_and_nothing_is_taken)
{
	struct uds_io_file_options options = writing();
	struct rlimit limit;
	rlim_t before;
	struct uds_message message = { "" };
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	close_standard(_i);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, &message, &io), -EMFILE);
	ck_assert_msg(strstr(message.text, "open files") != NULL, "%s", message.text);
	check_still_closed(_i);
	limit.rlim_cur = before;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
END_TEST

START_TEST(nothing_that_is_opened_passes_to_another_program)
{
	struct uds_io_file_options options = writing();
	char command[64];
	struct uds_io_engine *engine;
	struct uds_io_request request = { .kind = UDS_IO_FLUSH }, *one = &request;
	struct uds_io *io, *second;
	int status, descriptor, found = 0;
	pid_t child;

	ck_assert_int_eq(uds_io_open_uri(uri, &options, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &descriptor), 0);
	request.io = io;
	ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, &one, 1, 1, -1), 1);
	for (int fd = 3; fd < 1024; fd++) {
		char link[64], target[500];
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		if (strcmp(target, path) != 0 && strstr(target, "io_uring") == NULL &&
		    strstr(target, "eventfd") == NULL)
			continue;
		found++;
		ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	}
	ck_assert_int_ge(found, 2);
	/* A child that became another program holds no lock. */
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		execl("/bin/sleep", "sleep", "20", (char *)NULL);
		_exit(1);
	}
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	snprintf(command, sizeof(command), "kill -0 %ld", (long)child);
	for (int tries = 0;; tries++) { /* until the child has got as far as exec */
		int r = uds_io_open_file(path, &options, NULL, NULL, &second);

		if (r == 0)
			break;
		ck_assert_int_eq(r, UDS_ERR_IN_USE);
		ck_assert_int_lt(tries, 500);
		usleep(10000);
	}
	ck_assert_int_eq(system(command), 0); /* it still runs */
	ck_assert_int_eq(uds_io_close(second), 0);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_standard");
	TCase *tc = tcase_create("standard");

	tcase_add_checked_fixture(tc, make_path, remove_path);
	tcase_add_loop_test(tc, no_open_takes_a_standard_number, 0, SUBSETS);
	tcase_add_loop_test(tc, a_device_is_opened_and_refused_without_a_standard_number, 0,
			    SUBSETS);
	tcase_add_loop_test(tc, an_index_lives_without_standard_numbers, 0, SUBSETS);
	tcase_add_test(tc, what_another_thread_prints_meanwhile_reaches_no_store);
	tcase_add_loop_test(tc, without_a_number_to_spare_the_open_fails_and_nothing_is_taken, 0,
			    SUBSETS);
	tcase_add_test(tc, nothing_that_is_opened_passes_to_another_program);
	suite_add_tcase(suite, tc);
	return run_suite_apart(suite);
}
