/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file backend on regular files: opening and its errors, transfers, O_DIRECT, locks between
 * openers in one and in two processes. Block devices are in test_io_device.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uds/engine.h>
#include <uds/io.h>

#include "check_main.h"
#include "io/io.h"
#include "sanitizer.h"

static char path[400];
static struct uds_message message;

static void make_path(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(path, sizeof(path), "%s/file", scratch_dir());
	message.text[0] = '\0';
}

static void remove_path(void)
{
	unlink(path);
	rmdir(path);
	rmdir(scratch_dir());
}

static struct uds_io_file_options writing(void)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.write = true;
	options.create = true;
	return options;
}

static int try_open(const struct uds_io_file_options *options, struct uds_io **ret_io)
{
	return uds_io_open_file(path, options, NULL, &message, ret_io);
}

static struct uds_io *open_good(const struct uds_io_file_options *options)
{
	struct uds_io *io = NULL;
	int r = try_open(options, &io);

	ck_assert_msg(r == 0, "%s", message.text);
	return io;
}

/* Opens, expects @status, and a sentence that names the path and holds @words. */
static void open_refused(const struct uds_io_file_options *options, int status, const char *words)
{
	struct uds_io *io = (struct uds_io *)1;

	message.text[0] = '\0';
	ck_assert_int_eq(try_open(options, &io), status);
	ck_assert_ptr_eq(io, (struct uds_io *)1);
	ck_assert_msg(strncmp(message.text, path, strlen(path)) == 0, "%s", message.text);
	ck_assert_msg(strstr(message.text, words) != NULL, "%s", message.text);
}

/* A buffer aligned for any O_DIRECT, with bytes that differ from place to place. */
static uint8_t *make_buffer(size_t bytes, unsigned int seed)
{
	uint8_t *buffer = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

	ck_assert_ptr_nonnull(buffer);
	for (size_t i = 0; i < bytes; i++)
		buffer[i] = (uint8_t)(i * 31 + i / 251 + seed);
	return buffer;
}

static void write_then_read(struct uds_io *io, size_t bytes, uint64_t offset)
{
	uint8_t *wrote = make_buffer(bytes, 7), *read = make_buffer(bytes, 99);

	ck_assert_int_eq(uds_io_write(io, wrote, bytes, offset), 0);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(uds_io_read(io, read, bytes, offset), 0);
	ck_assert_mem_eq(wrote, read, bytes);
	free(wrote);
	free(read);
}

/* Not an error of the device: the size that is remembered is not true any more. */
START_TEST(a_file_that_became_shorter_is_read_up_to_its_end)
{
	struct uds_io_file_options options = writing();
	struct uds_io_engine *engine;
	struct uds_io_request request = { .kind = UDS_IO_READ, .length = 4096, .offset = 4096 };
	struct uds_io_request *done, *one = &request;
	uint8_t *buffer = aligned_alloc(4096, 4096);
	struct uds_io *io;

	options.uring = _i == 1;
	io = open_good(&options);
	ck_assert_int_eq(uds_io_resize(io, 8192), 0);
	ck_assert_int_eq(uds_io_read(io, buffer, 4096, 4096), 0);
	ck_assert_int_eq(truncate(path, 4096), 0);
	ck_assert_int_eq(uds_io_read(io, buffer, 4096, 4096), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_read(io, buffer, 4096, 0), 0);
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	request.io = io;
	request.buffer = buffer;
	ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, &done, 1, 1, -1), 1);
	ck_assert_int_eq(request.status, UDS_ERR_OUT_OF_RANGE);
	uds_io_engine_close(engine);
	/* Grown again, it is read again. */
	ck_assert_int_eq(truncate(path, 8192), 0);
	ck_assert_int_eq(uds_io_read(io, buffer, 4096, 4096), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

START_TEST(what_is_written_is_read_again_after_reopening)
{
	struct uds_io_file_options options = writing(), reading = UDS_IO_FILE_OPTIONS_INIT;
	uint8_t *wrote = make_buffer(10000, 3), *read = make_buffer(10000, 4);
	struct uds_io *io = open_good(&options);
	uint64_t size;

	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 0);
	ck_assert_int_eq(uds_io_resize(io, 20001), 0);
	ck_assert_int_eq(uds_io_write(io, wrote, 10000, 10001), 0);
	ck_assert_int_eq(uds_io_close(io), 0);

	io = open_good(&reading);
	ck_assert(uds_io_is_read_only(io));
	ck_assert_str_eq(uds_io_name(io), path);
	ck_assert_uint_eq(uds_io_block_bytes(io), 1);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 20001);
	ck_assert_int_eq(uds_io_read(io, read, 10000, 10001), 0);
	ck_assert_mem_eq(read, wrote, 10000);
	ck_assert_int_eq(uds_io_write(io, wrote, 1, 0), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_io_resize(io, 0), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_io_discard(io, 0, 1), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(wrote);
	free(read);
}
END_TEST

START_TEST(nothing_goes_past_the_end)
{
	struct uds_io_file_options options = writing();
	struct uds_io *io = open_good(&options);
	uint64_t size;
	char byte[10] = "";

	ck_assert_int_eq(uds_io_resize(io, 100), 0);
	ck_assert_int_eq(uds_io_read(io, byte, 10, 90), 0);
	ck_assert_int_eq(uds_io_read(io, byte, 10, 91), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_read(io, byte, 1, 100), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_read(io, byte, 1, UINT64_MAX), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_write(io, byte, 10, 91), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_write(io, byte, 10, INT64_MAX - 5), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_discard(io, 91, 10), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 100);
	/* Nothing at all may be transferred anywhere. */
	ck_assert_int_eq(uds_io_read(io, byte, 0, 5000), 0);
	ck_assert_int_eq(uds_io_resize(io, UINT64_MAX), -EFBIG);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(discarded_ranges_keep_the_size_and_their_neighbours)
{
	struct uds_io_file_options options = writing();
	struct uds_io *io = open_good(&options);
	uint8_t *wrote = make_buffer(16384, 1), *read = make_buffer(16384, 2);
	uint64_t size;
	int r;

	ck_assert_int_eq(uds_io_resize(io, 16384), 0);
	ck_assert_int_eq(uds_io_write(io, wrote, 16384, 0), 0);
	r = uds_io_discard(io, 4096, 8192);
	if (r != -EOPNOTSUPP)
		ck_assert_int_eq(r, 0);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 16384);
	ck_assert_int_eq(uds_io_read(io, read, 16384, 0), 0);
	ck_assert_mem_eq(read, wrote, 4096);
	ck_assert_mem_eq(read + 12288, wrote + 12288, 4096);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(wrote);
	free(read);
	if (r == -EOPNOTSUPP)
		skip_test("discarded_ranges_keep_the_size_and_their_neighbours: the file system of "
			  "%s has no holes",
			  path);
}
END_TEST

START_TEST(a_missing_file_is_made_only_when_asked)
{
	struct uds_io_file_options options = writing();

	options.create = false;
	open_refused(&options, -ENOENT, "No such file");
	open_refused(NULL, -ENOENT, "No such file");
	ck_assert_int_eq(access(path, F_OK), -1);
	options.create = true;
	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
	ck_assert_int_eq(access(path, F_OK), 0);
	options.exclusive_create = true;
	open_refused(&options, -EEXIST, "exists");
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

static unsigned int mode_of_new_file(mode_t mask)
{
	const struct uds_io_file_options options = writing();
	const mode_t before = umask(mask);
	struct stat st;

	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
	umask(before);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(unlink(path), 0);
	return st.st_mode & 07777;
}

START_TEST(a_new_file_is_for_its_owner_alone)
{
	ck_assert_uint_eq(mode_of_new_file(0), 0600);
	ck_assert_uint_eq(mode_of_new_file(022), 0600);
	ck_assert_uint_eq(mode_of_new_file(0277), 0400);
}
END_TEST

START_TEST(nothing_is_created_through_a_symbolic_link)
{
	struct uds_io_file_options options = writing();
	char target[sizeof(path) + 10], link[sizeof(path)];
	struct uds_io *io;
	struct stat st;

	snprintf(target, sizeof(target), "%s.target", path);
	strcpy(link, path);
	ck_assert_int_eq(symlink(target, link), 0);
	/* It leads nowhere: nothing is made there. */
	open_refused(&options, -ELOOP, "is a symbolic link");
	ck_assert_int_eq(access(target, F_OK), -1);
	/* It leads to a file: that is not opened. */
	strcpy(path, target);
	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
	strcpy(path, link);
	open_refused(&options, -ELOOP, "is a symbolic link");
	options.exclusive_create = true;
	open_refused(&options, -EEXIST, "exists");
	ck_assert_int_eq(lstat(link, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
	/* What is there may be opened by any name. */
	options.create = false;
	options.exclusive_create = false;
	io = open_good(&options);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(unlink(target), 0);
}
END_TEST

START_TEST(options_that_contradict_are_refused)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.create = true;
	open_refused(&options, -EINVAL, "to write");
	options.create = false;
	options.exclusive_create = true;
	open_refused(&options, -EINVAL, "exclusive_create");
	options = writing();
	options.no_lock = true;
	open_refused(&options, -EINVAL, "lock");
	options = writing();
	options.direct = (enum uds_io_direct)17;
	open_refused(&options, -EINVAL, "17");
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* The mapping sees writes, grows with an empty file, and is left in time by one that shrinks. */
START_TEST(a_mapped_file_reads_as_any_other)
{
	struct uds_io_file_options options = writing();
	uint8_t *bytes = make_buffer(300000, 1), *again = malloc(300000);
	struct uds_io *io;

	options.map = true;
	make_path();
	io = open_good(&options);
	ck_assert_ptr_null(io_mapped(io, 0, 1));
	ck_assert_int_eq(uds_io_resize(io, 300000), 0);
	ck_assert_ptr_nonnull(io_mapped(io, 0, 300000));
	ck_assert_ptr_null(io_mapped(io, 0, 300001));
	ck_assert_ptr_null(io_mapped(io, 300001, 0));
	ck_assert_ptr_null(io_mapped(io, UINT64_MAX, 2));
	for (size_t round = 0; round < 2; round++) {
		for (size_t at = 0; at < 300000; at += 30000)
			ck_assert_int_eq(uds_io_write(io, bytes + at, 30000, at), 0);
		for (size_t length = 1; length < 250000; length *= 7) {
			ck_assert_int_eq(uds_io_read(io, again, length, 299999 - length), 0);
			ck_assert_mem_eq(again, bytes + 299999 - length, length);
		}
		ck_assert_mem_eq(io_mapped(io, 0, 300000), bytes, 300000);
		for (size_t i = 0; i < 300000; i++)
			bytes[i] ^= 0x55;
	}
	ck_assert_int_eq(uds_io_resize(io, 10000), 0);
	ck_assert_ptr_null(io_mapped(io, 9999, 2));
	ck_assert_int_eq(uds_io_read(io, again, 2, 9999), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_read(io, again, 1, 9999), 0);
	/* What it grows by now is read without the mapping. */
	ck_assert_int_eq(uds_io_resize(io, 500000), 0);
	ck_assert_int_eq(uds_io_read(io, again, 5, 499995), 0);
	ck_assert_uint_eq(again[4], 0);
	ck_assert_int_eq(uds_io_close(io), 0);

	/* One that is there already, read only, by a URI. */
	snprintf((char *)again, 500, "file:%s?map=1", path);
	ck_assert_int_eq(uds_io_open_uri((char *)again, NULL, NULL, &message, &io), 0);
	ck_assert_ptr_nonnull(io_mapped(io, 0, 500000));
	ck_assert_int_eq(uds_io_close(io), 0);
	options.direct = UDS_IO_DIRECT_YES;
	open_refused(&options, -EINVAL, "mapped files are in the page cache");
	options.direct = UDS_IO_DIRECT_AUTO;
	io = open_good(&options);
	ck_assert_int_eq(io_mapped(io, 0, 4096) != NULL, uds_io_block_bytes(io) == 1);
	ck_assert_int_eq(uds_io_close(io), 0);
	remove_path();
	free(bytes);
	free(again);
}
END_TEST

/* A process with little room left in its address space. */
START_TEST(a_file_that_cannot_be_mapped_is_told)
{
	struct uds_io_file_options options = writing();
	struct rlimit room = { 0, 0 };
	struct uds_io *io;

#if SANITIZED
	skip_test("a_file_that_cannot_be_mapped_is_told: a sanitizer needs the address space");
#endif
	make_path();
	io = open_good(&options);
	ck_assert_int_eq(uds_io_resize(io, UINT64_C(1) << 40), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &room), 0);
	room.rlim_cur = (rlim_t)1 << 30;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &room), 0);
	options.map = true;
	open_refused(&options, sizeof(size_t) > 4 ? -ENOMEM : -EFBIG, "mapping it");
	options.map = false;
	io = open_good(&options);
	ck_assert_int_eq(uds_io_close(io), 0);
	remove_path();
}
END_TEST

START_TEST(what_is_no_file_is_refused_by_its_kind)
{
	struct uds_io_file_options options = writing();

	ck_assert_int_eq(mkdir(path, 0700), 0);
	open_refused(&options, -EISDIR, "is a directory");
	open_refused(NULL, -EISDIR, "is a directory");
	rmdir(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	open_refused(&options, -EINVAL, "neither");
	open_refused(NULL, -EINVAL, "neither");
	unlink(path);
	ck_assert_int_eq(symlink("/dev/null", path), 0);
	open_refused(&options, -EINVAL, "neither");
	unlink(path);
	ck_assert_int_eq(symlink("file", path), 0);
	open_refused(&options, -ELOOP, "symbolic links");
	snprintf(path + strlen(path), 10, "/deeper");
	open_refused(&options, -ELOOP, "symbolic links");
	*strrchr(path, '/') = '\0';
}
END_TEST

START_TEST(permissions_are_respected)
{
	struct uds_io_file_options options = writing();

	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
	ck_assert_int_eq(chmod(path, 0), 0);
	/* Root may do everything, so the test goes on as nobody. */
	ck_assert_int_eq(chmod(scratch_dir(), 0755), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	open_refused(&options, -EACCES, "Permission denied");
	open_refused(NULL, -EACCES, "Permission denied");
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(running_out_of_descriptors_is_told)
{
	struct uds_io_file_options options = writing();
	struct rlimit old, none;

	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	open_refused(NULL, -EMFILE, "open files");
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
}
END_TEST

START_TEST(a_write_over_the_file_size_limit_fails_with_the_systems_error)
{
	struct uds_io_file_options options = writing();
	struct rlimit limit = { 8192, RLIM_INFINITY };
	struct uds_io *io = open_good(&options);
	uint8_t *buffer = make_buffer(16384, 5);

	ck_assert_int_eq(uds_io_resize(io, 16384), 0);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	/* The first call to the system is short here, the second fails. */
	ck_assert_int_eq(uds_io_write(io, buffer, 16384, 0), -EFBIG);
	ck_assert_int_eq(uds_io_resize(io, 65536), -EFBIG);
	ck_assert_int_eq(uds_io_read(io, buffer, 16384, 0), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

/* A small file system of its own, in a mount namespace that ends with the test. */
START_TEST(a_full_file_system_is_told_and_what_was_written_stays)
{
	static const char name[] = "a_full_file_system_is_told_and_what_was_written_stays";
	struct uds_io_file_options options = writing();
	uint8_t *buffer = make_buffer(131072, 5), *read = make_buffer(16384, 6);
	char place[300];
	struct uds_io *io;

	snprintf(place, sizeof(place), "%s/small", scratch_dir());
	ck_assert_int_eq(mkdir(place, 0700), 0);
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", place, "tmpfs", 0, "size=65536") != 0) {
		rmdir(place);
		skip_test("%s: cannot mount: %s", name, strerror(errno));
	}
	snprintf(path, sizeof(path), "%s/file", place);
	io = open_good(&options);
	ck_assert_int_eq(uds_io_resize(io, 131072), 0); /* holes take no room */
	ck_assert_int_eq(uds_io_write(io, buffer, 16384, 0), 0);
	ck_assert_int_eq(uds_io_write(io, buffer, 131072 - 16384, 16384), -ENOSPC);
	ck_assert_int_eq(uds_io_read(io, read, 16384, 0), 0);
	ck_assert_mem_eq(read, buffer, 16384);
	/* Room that comes back is used again. */
	if (uds_io_discard(io, 16384, 131072 - 16384) == 0)
		ck_assert_int_eq(uds_io_write(io, buffer, 16384, 114688), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(umount(place), 0);
	rmdir(place);
	free(buffer);
	free(read);
}
END_TEST

static void check_direct(struct uds_io *io)
{
	uint32_t block = uds_io_block_bytes(io), alignment = uds_io_memory_alignment(io);
	uint8_t *buffer = make_buffer(65536, 6);

	ck_assert_uint_ge(block, 512);
	ck_assert_uint_ge(alignment, 512);
	ck_assert_int_eq(uds_io_resize(io, 65536), 0);
	write_then_read(io, 65536, 0);
	write_then_read(io, block, block);
	ck_assert_int_eq(uds_io_read(io, buffer + 1, block, 0), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_read(io, buffer, block - 1, 0), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_read(io, buffer, block, block / 2), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_write(io, buffer + 1, block, 0), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_write(io, buffer, block - 1, 0), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_write(io, buffer, block, block / 2), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_resize(io, 65536 + 1), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_read(io, buffer, block, 65536), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_write(io, buffer, 2 * block, 65536 - block), UDS_ERR_OUT_OF_RANGE);
	free(buffer);
}

/* Whether some descriptor of this process has O_DIRECT on @path. */
static bool has_direct_descriptor(void)
{
	struct stat wanted, st;

	ck_assert_int_eq(stat(path, &wanted), 0);
	for (int fd = 3; fd < 100; fd++) {
		int flags = fcntl(fd, F_GETFL);

		if (flags >= 0 && fstat(fd, &st) == 0 && st.st_ino == wanted.st_ino &&
		    st.st_dev == wanted.st_dev && (flags & O_DIRECT) != 0)
			return true;
	}
	return false;
}

START_TEST(direct_io_is_used_when_asked_for)
{
	struct uds_io_file_options options = writing();
	struct uds_io *io = NULL;
	int r;

	options.direct = UDS_IO_DIRECT_YES;
	r = try_open(&options, &io);
	if (r == UDS_ERR_NO_DIRECT_IO)
		skip_test("direct_io_is_used_when_asked_for: %s", message.text);
	ck_assert_msg(r == 0, "%s", message.text);
	ck_assert(has_direct_descriptor());
	check_direct(io);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* Again, now that the file has bytes to be asked with. */
	io = open_good(&options);
	check_direct(io);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(direct_io_on_memory_file_systems_works_or_is_refused_with_the_reason)
{
	struct uds_io_file_options options = writing();
	struct uds_io *io = NULL;
	int r;

	snprintf(path, sizeof(path), "/dev/shm/uds-test-direct-%ld", (long)getpid());
	options.direct = UDS_IO_DIRECT_YES;
	if (access("/dev/shm", W_OK) != 0)
		skip_test("direct_io_on_memory_file_systems_works_or_is_refused_with_the_reason: "
			  "no /dev/shm");
	r = try_open(&options, &io);
	if (r == UDS_ERR_NO_DIRECT_IO) {
		ck_assert_ptr_nonnull(strstr(message.text, "O_DIRECT"));
		ck_assert_int_eq(access(path, F_OK), -1); /* not left behind */
		return;
	}
	ck_assert_msg(r == 0, "%s", message.text);
	check_direct(io);
	ck_assert_int_eq(uds_io_close(io), 0);
	io = open_good(&options);
	check_direct(io);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(a_file_system_that_refuses_direct_io_is_an_error_unless_auto)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;

	snprintf(path, sizeof(path), "/proc/version");
	options.direct = UDS_IO_DIRECT_YES;
	open_refused(&options, UDS_ERR_NO_DIRECT_IO, "O_DIRECT");
	options.direct = UDS_IO_DIRECT_AUTO;
	message.text[0] = '\0';
	io = open_good(&options);
	ck_assert_str_eq(message.text, "");
	ck_assert_uint_eq(uds_io_block_bytes(io), 1);
	ck_assert(!has_direct_descriptor());
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(one_writer_or_many_readers)
{
	struct uds_io_file_options options = writing(), reading = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *writer = open_good(&options), *first, *second;

	open_refused(&options, UDS_ERR_IN_USE, "locked");
	open_refused(&reading, UDS_ERR_IN_USE, "writer");
	reading.no_lock = true;
	first = open_good(&reading);
	ck_assert_int_eq(uds_io_close(first), 0);
	/* Closing another descriptor of the file loses no lock. */
	open_refused(&options, UDS_ERR_IN_USE, "locked");
	ck_assert_int_eq(uds_io_close(writer), 0);

	reading.no_lock = false;
	first = open_good(&reading);
	second = open_good(&reading);
	open_refused(&options, UDS_ERR_IN_USE, "locked");
	ck_assert_int_eq(uds_io_close(first), 0);
	open_refused(&options, UDS_ERR_IN_USE, "locked");
	ck_assert_int_eq(uds_io_close(second), 0);
	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
}
END_TEST

START_TEST(locks_hold_between_processes)
{
	struct uds_io_file_options options = writing();
	int ready[2], done[2], status;
	struct uds_io *io;
	pid_t child;
	char c;

	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(done), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (try_open(&options, &io) != 0 || write(ready[1], "x", 1) != 1 ||
		    read(done[0], &c, 1) != 1)
			_exit(1);
		_exit(uds_io_close(io) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	open_refused(&options, UDS_ERR_IN_USE, "locked");
	open_refused(NULL, UDS_ERR_IN_USE, "writer");
	ck_assert_int_eq(write(done[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
}
END_TEST

START_TEST(a_lock_ends_with_its_process)
{
	struct uds_io_file_options options = writing();
	struct uds_io *io;
	int status;
	pid_t child;

	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(try_open(&options, &io) == 0 ? 0 : 1); /* without closing */
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
}
END_TEST

START_TEST(a_process_with_a_plain_lock_is_named)
{
	struct uds_io_file_options options = writing();
	int ready[2], done[2], status;
	char c, words[40];
	pid_t child;

	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(done), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		int fd = open(path, O_RDWR);

		if (fd < 0 || lockf(fd, F_TLOCK, 0) != 0 || write(ready[1], "x", 1) != 1 ||
		    read(done[0], &c, 1) != 1)
			_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	snprintf(words, sizeof(words), "process %ld", (long)child);
	open_refused(&options, UDS_ERR_IN_USE, words);
	ck_assert_int_eq(write(done[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(an_open_that_fails_leaves_the_bytes_alone)
{
	struct uds_io_file_options options = writing();
	uint8_t *wrote = make_buffer(5000, 8), *read = make_buffer(5000, 9);
	struct uds_io *io = open_good(&options), *second;

	ck_assert_int_eq(uds_io_resize(io, 5000), 0);
	ck_assert_int_eq(uds_io_write(io, wrote, 5000, 0), 0);
	ck_assert_int_eq(try_open(&options, &second), UDS_ERR_IN_USE);
	options.exclusive_create = true;
	ck_assert_int_eq(try_open(&options, &second), -EEXIST);
	ck_assert_int_eq(uds_io_read(io, read, 5000, 0), 0);
	ck_assert_mem_eq(read, wrote, 5000);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(wrote);
	free(read);
}
END_TEST

START_TEST(options_smaller_than_in_any_version_are_refused)
{
	struct uds_io_file_options options = writing();

	options.size = offsetof(struct uds_io_file_options, exclusive_create);
	open_refused(&options, -EINVAL, "struct uds_io_file_options");
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

static int try_descriptor(int descriptor, const struct uds_io_file_options *options,
			  struct uds_io **ret_io)
{
	message.text[0] = '\0';
	return uds_io_open_descriptor(descriptor, "a file", options, NULL, &message, ret_io);
}

static void descriptor_refused(int descriptor, const struct uds_io_file_options *options,
			       int status, const char *words)
{
	struct uds_io *io = (struct uds_io *)1;

	ck_assert_int_eq(try_descriptor(descriptor, options, &io), status);
	ck_assert_ptr_eq(io, (struct uds_io *)1);
	ck_assert_msg(strncmp(message.text, "a file: ", 8) == 0, "%s", message.text);
	ck_assert_msg(strstr(message.text, words) != NULL, "%s", message.text);
}

static int open_raw(int flags)
{
	int descriptor = open(path, flags | O_CLOEXEC, 0600);

	ck_assert_int_ge(descriptor, 3);
	return descriptor;
}

START_TEST(a_descriptor_becomes_an_io_that_closes_it)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	int descriptor = open_raw(O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK);
	struct uds_io *io;
	uint64_t size;

	ck_assert_int_eq(ftruncate(descriptor, 30000), 0);
	options.write = true;
	options.uring = _i == 1;
	ck_assert_int_eq(try_descriptor(descriptor, &options, &io), 0);
	ck_assert_str_eq(uds_io_name(io), "a file");
	ck_assert_int_eq(fcntl(descriptor, F_GETFL) & (O_APPEND | O_NONBLOCK), 0);
	ck_assert_int_eq(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	open_refused(NULL, UDS_ERR_IN_USE, "");
	write_then_read(io, 10000, 20000);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 30000);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(fcntl(descriptor, F_GETFL), -1);

	descriptor = open_raw(O_RDONLY);
	ck_assert_int_eq(try_descriptor(descriptor, NULL, &io), 0);
	ck_assert(uds_io_is_read_only(io));
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(a_descriptor_without_a_lock_reads_beside_a_writer)
{
	struct uds_io_file_options options = writing(), reading = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *writer = open_good(&options), *io;
	int descriptor = open_raw(O_RDONLY);
	char byte;

	ck_assert_int_eq(uds_io_resize(writer, 1000), 0);
	descriptor_refused(descriptor, NULL, UDS_ERR_IN_USE, "locked");
	reading.no_lock = true;
	reading.uring = true;
	ck_assert_int_eq(try_descriptor(descriptor, &reading, &io), 0);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, 999), 0);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, 1000), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_resize(writer, 2000), 0);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, 1999), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(writer), 0);
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_used_stays_the_callers)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT, making = writing();
	int reader = open_raw(O_RDONLY | O_CREAT), writer = open_raw(O_WRONLY);
	int by_path = open_raw(O_PATH), ends[2];
	int folder = open("/", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(pipe(ends), 0);
	descriptor_refused(-1, NULL, -EBADF, "cannot be opened");
	descriptor_refused(2, NULL, -EINVAL, "standard");
	descriptor_refused(writer, NULL, -EBADF, "not open to read");
	descriptor_refused(by_path, NULL, -EBADF, "not open to read");
	descriptor_refused(reader, &making, -EINVAL, "creates nothing");
	options.write = true;
	descriptor_refused(reader, &options, -EBADF, "not open to read and write");
	descriptor_refused(writer, &options, -EBADF, "not open to read and write");
	options.no_lock = true;
	descriptor_refused(reader, &options, -EINVAL, "without the lock");
	descriptor_refused(folder, NULL, -EISDIR, "directory");
	descriptor_refused(ends[0], NULL, -EINVAL, "neither");
	ck_assert_int_eq(close(ends[0]), 0);
	ck_assert_int_eq(close(ends[1]), 0);
	ck_assert_int_eq(close(folder), 0);
	ck_assert_int_eq(close(by_path), 0);
	ck_assert_int_eq(close(writer), 0);
	ck_assert_int_eq(close(reader), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_file");
	TCase *tc = tcase_create("file");

	tcase_add_checked_fixture(tc, make_path, remove_path);
	tcase_add_loop_test(tc, a_file_that_became_shorter_is_read_up_to_its_end, 0, 2);
	tcase_add_test(tc, what_is_written_is_read_again_after_reopening);
	tcase_add_test(tc, nothing_goes_past_the_end);
	tcase_add_test(tc, discarded_ranges_keep_the_size_and_their_neighbours);
	tcase_add_test(tc, a_missing_file_is_made_only_when_asked);
	tcase_add_test(tc, a_new_file_is_for_its_owner_alone);
	tcase_add_test(tc, nothing_is_created_through_a_symbolic_link);
	tcase_add_test(tc, options_that_contradict_are_refused);
	tcase_add_test(tc, a_mapped_file_reads_as_any_other);
	tcase_add_test(tc, a_file_that_cannot_be_mapped_is_told);
	tcase_add_test(tc, what_is_no_file_is_refused_by_its_kind);
	tcase_add_test(tc, permissions_are_respected);
	tcase_add_test(tc, running_out_of_descriptors_is_told);
	tcase_add_test(tc, a_write_over_the_file_size_limit_fails_with_the_systems_error);
	tcase_add_test(tc, a_full_file_system_is_told_and_what_was_written_stays);
	tcase_add_test(tc, direct_io_is_used_when_asked_for);
	tcase_add_test(tc, direct_io_on_memory_file_systems_works_or_is_refused_with_the_reason);
	tcase_add_test(tc, a_file_system_that_refuses_direct_io_is_an_error_unless_auto);
	tcase_add_test(tc, one_writer_or_many_readers);
	tcase_add_test(tc, locks_hold_between_processes);
	tcase_add_test(tc, a_lock_ends_with_its_process);
	tcase_add_test(tc, a_process_with_a_plain_lock_is_named);
	tcase_add_test(tc, an_open_that_fails_leaves_the_bytes_alone);
	tcase_add_loop_test(tc, a_descriptor_becomes_an_io_that_closes_it, 0, 2);
	tcase_add_test(tc, a_descriptor_without_a_lock_reads_beside_a_writer);
	tcase_add_test(tc, a_descriptor_that_cannot_be_used_stays_the_callers);
	tcase_add_test(tc, options_smaller_than_in_any_version_are_refused);
	suite_add_tcase(suite, tc);
	return run_suite_apart(suite);
}
