/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file backend on block devices: loop devices with 512 and 4096 byte sectors. Skipped where
 * there are none (not root, or no loop driver).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uds/engine.h>
#include <uds/io.h>

#include "check_main.h"
#include "loop_device.h"

#define DEVICE_BYTES (1 << 20)

static char backing[300];
static struct uds_message message;
static struct loop_device loop;
static const unsigned int sector_sizes[] = { 512, 4096 };

static void make_path(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(backing, sizeof(backing), "%s/backing", scratch_dir());
}

static void remove_path(void)
{
	unlink(backing);
	rmdir(scratch_dir());
}

/* False, with a note, where there is no such device. */
static bool attached(const char *test, unsigned int sector_bytes, bool read_only)
{
	char why[200];

	if (loop_attach(backing, DEVICE_BYTES, sector_bytes, read_only, &loop, why, sizeof(why)) ==
	    0)
		return true;
	note_skip("%s: %s", test, why);
	return false;
}

static struct uds_io_file_options writing(enum uds_io_direct direct)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.write = true;
	options.direct = direct;
	return options;
}

static struct uds_io *open_good(const struct uds_io_file_options *options)
{
	struct uds_io *io = NULL;
	int r = uds_io_open_file(loop.path, options, NULL, &message, &io);

	ck_assert_msg(r == 0, "%s", message.text);
	return io;
}

static void open_refused(const struct uds_io_file_options *options, int status, const char *words)
{
	struct uds_io *io;

	message.text[0] = '\0';
	ck_assert_int_eq(uds_io_open_file(loop.path, options, NULL, &message, &io), status);
	ck_assert_msg(strncmp(message.text, loop.path, strlen(loop.path)) == 0, "%s", message.text);
	ck_assert_msg(strstr(message.text, words) != NULL, "%s", message.text);
}

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

START_TEST(a_device_is_come_to_by_links_also_to_create_on_it)
{
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_NO);
	char link[400];
	struct uds_io *io;

	if (!attached("a_device_is_come_to_by_links_also_to_create_on_it", 512, false))
		return;
	snprintf(link, sizeof(link), "%s/link", scratch_dir());
	ck_assert_int_eq(symlink(loop.path, link), 0);
	options.create = true;
	ck_assert_msg(uds_io_open_file(link, &options, NULL, &message, &io) == 0, "%s",
		      message.text);
	write_then_read(io, 4096, 512);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(unlink(link), 0);
	loop_detach(&loop);
}
END_TEST

START_TEST(a_device_gives_its_size_and_keeps_what_is_written)
{
	unsigned int sector = sector_sizes[_i];
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_NO);
	struct uds_io *io;
	uint64_t size;
	char byte = 0;

	if (!attached("a_device_gives_its_size_and_keeps_what_is_written", sector, false))
		return;
	io = open_good(&options);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, DEVICE_BYTES);
	write_then_read(io, 10001, 777); /* through the page cache anything goes */
	ck_assert_int_eq(uds_io_read(io, &byte, 1, DEVICE_BYTES), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, DEVICE_BYTES), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_resize(io, 2 * DEVICE_BYTES), -EOPNOTSUPP);
	ck_assert_int_eq(uds_io_close(io), 0);
	loop_detach(&loop);
}
END_TEST

START_TEST(direct_io_obeys_the_sector_size)
{
	unsigned int sector = sector_sizes[_i];
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_YES);
	uint8_t *buffer = make_buffer(8192, 1);
	struct uds_io *io;

	if (!attached("direct_io_obeys_the_sector_size", sector, false))
		return;
	io = open_good(&options);
	ck_assert_uint_eq(uds_io_block_bytes(io), sector);
	ck_assert_uint_eq(uds_io_memory_alignment(io), sector);
	write_then_read(io, DEVICE_BYTES, 0);
	write_then_read(io, sector, sector);
	ck_assert_int_eq(uds_io_read(io, buffer, sector / 2, 0), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_read(io, buffer, sector, sector / 2), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_read(io, buffer + sector / 2, sector, 0), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(uds_io_write(io, buffer, sector, DEVICE_BYTES), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_read(io, buffer, 2 * sector, DEVICE_BYTES - sector),
			 UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_close(io), 0);
	loop_detach(&loop);
	free(buffer);
}
END_TEST

START_TEST(engines_work_on_devices)
{
	unsigned int sector = sector_sizes[_i];
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_YES);
	uint8_t *wrote = make_buffer(65536, 3), *read = make_buffer(65536, 4);
	struct uds_io_request requests[16] = { { 0 } }, *all[16], *done[16];
	struct uds_io_engine *engine;
	struct uds_io *io;

	if (!attached("engines_work_on_devices", sector, false))
		return;
	options.uring = true;
	io = open_good(&options);
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	for (int pass = 0; pass < 2; pass++) {
		size_t reaped = 0;

		for (int i = 0; i < 16; i++) {
			requests[i].io = io;
			requests[i].kind = pass == 0 ? UDS_IO_WRITE : UDS_IO_READ;
			requests[i].buffer = (pass == 0 ? wrote : read) + i * 4096;
			requests[i].offset = (uint64_t)(15 - i) * 4096;
			requests[i].length = 4096;
			all[i] = &requests[i];
		}
		ck_assert_int_eq(uds_io_engine_submit(engine, all, 16), 0);
		while (reaped < 16) {
			int n = uds_io_engine_reap(engine, done, 16, 1, -1);

			ck_assert_int_gt(n, 0);
			for (int i = 0; i < n; i++)
				ck_assert_int_eq(done[i]->status, 0);
			reaped += (size_t)n;
		}
	}
	ck_assert_mem_eq(read, wrote, 65536);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	loop_detach(&loop);
	free(wrote);
	free(read);
}
END_TEST

START_TEST(discarding_leaves_parts_of_sectors_alone)
{
	unsigned int sector = sector_sizes[_i];
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_NO);
	uint8_t *wrote = make_buffer(65536, 3), *read = make_buffer(65536, 4);
	struct uds_io *io;
	int r;

	if (!attached("discarding_leaves_parts_of_sectors_alone", sector, false))
		return;
	io = open_good(&options);
	ck_assert_int_eq(uds_io_write(io, wrote, 65536, 0), 0);
	ck_assert_int_eq(uds_io_flush(io), 0);
	r = uds_io_discard(io, sector + 1, 5 * sector);
	if (r == -EOPNOTSUPP) {
		note_skip("discarding_leaves_parts_of_sectors_alone: the device cannot discard");
	} else {
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(uds_io_read(io, read, 65536, 0), 0);
		ck_assert_mem_eq(read, wrote, 2 * sector);
		ck_assert_mem_eq(read + 6 * sector, wrote + 6 * sector, 65536 - 6 * sector);
		ck_assert_mem_ne(read + 2 * sector, wrote + 2 * sector, 4 * sector);
		ck_assert_int_eq(uds_io_discard(io, 1, sector), 0); /* no whole sector in it */
		ck_assert_int_eq(uds_io_read(io, read, sector, 0), 0);
		ck_assert_mem_eq(read, wrote, sector);
		ck_assert_int_eq(uds_io_discard(io, DEVICE_BYTES - 1, 2), UDS_ERR_OUT_OF_RANGE);
	}
	ck_assert_int_eq(uds_io_close(io), 0);
	loop_detach(&loop);
	free(wrote);
	free(read);
}
END_TEST

START_TEST(a_device_has_one_writer_or_many_readers)
{
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_NO);
	struct uds_io_file_options reading = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io, *second;
	int status;
	pid_t child;

	if (!attached("a_device_has_one_writer_or_many_readers", 512, false))
		return;
	io = open_good(&options);
	open_refused(&options, UDS_ERR_IN_USE, "open exclusively");
	open_refused(&reading, UDS_ERR_IN_USE, "a writer has it open");
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(uds_io_open_file(loop.path, &options, NULL, NULL, &second) == UDS_ERR_IN_USE
			      ? 0
			      : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(uds_io_close(io), 0);

	io = open_good(&reading);
	second = open_good(&reading);
	open_refused(&options, UDS_ERR_IN_USE, "locked");
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(second), 0);
	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
	loop_detach(&loop);
}
END_TEST

START_TEST(a_descriptor_of_a_device_is_read_and_not_written)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;
	uint64_t bytes, size;
	int descriptor;

	if (!attached("a_descriptor_of_a_device_is_read_and_not_written", 512, false))
		return;
	descriptor = open(loop.path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(descriptor, 3);
	options.write = true;
	ck_assert_int_eq(
		uds_io_open_descriptor(descriptor, loop.path, &options, NULL, &message, &io),
		-EINVAL);
	ck_assert_msg(strstr(message.text, "by its path only") != NULL, "%s", message.text);
	io = open_good(NULL);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_open_descriptor(descriptor, loop.path, NULL, NULL, &message, &io),
			 0);
	ck_assert_int_eq(uds_io_size(io, &bytes), 0);
	ck_assert_uint_eq(bytes, size);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(a_short_lock_such_as_udevs_is_waited_for)
{
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_NO);
	int ready[2], status;
	pid_t child;
	char c;

	if (!attached("a_short_lock_such_as_udevs_is_waited_for", 512, false))
		return;
	ck_assert_int_eq(pipe(ready), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		int fd = open(loop.path, O_RDONLY);

		if (fd < 0 || flock(fd, LOCK_SH) != 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		usleep(60 * 1000);
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	loop_detach(&loop);
}
END_TEST

START_TEST(a_mounted_device_is_refused_and_its_mount_point_named)
{
	static const char name[] = "a_mounted_device_is_refused_and_its_mount_point_named";
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_NO);
	char command[400], place[320];

	if (!attached(name, 512, false))
		return;
	snprintf(command, sizeof(command), "mke2fs -q -F %s >/dev/null 2>&1", loop.path);
	if (system(command) != 0)
		skip_test("%s: no mke2fs", name);
	/* In a mount namespace of its own, which ends with the test. */
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
		skip_test("%s: no mount namespace: %s", name, strerror(errno));
	snprintf(place, sizeof(place), "%s/place", scratch_dir());
	ck_assert_int_eq(mkdir(place, 0700), 0);
	if (mount(loop.path, place, "ext2", 0, NULL) != 0 &&
	    mount(loop.path, place, "ext4", 0, NULL) != 0) {
		note_skip("%s: cannot mount: %s", name, strerror(errno));
	} else {
		snprintf(command, sizeof(command), "mounted on %s", place);
		open_refused(&options, UDS_ERR_IN_USE, command);
		ck_assert_int_eq(umount(place), 0);
		ck_assert_int_eq(uds_io_close(open_good(&options)), 0);
	}
	rmdir(place);
	loop_detach(&loop);
}
END_TEST

START_TEST(a_device_held_by_device_mapper_is_refused_and_the_holder_named)
{
	static const char name[] = "a_device_held_by_device_mapper_is_refused_and_the_holder_named";
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_NO);
	char command[400], holder[64];

	if (!attached(name, 512, false))
		return;
	snprintf(holder, sizeof(holder), "uds-test-%ld", (long)getpid());
	snprintf(command, sizeof(command),
		 "dmsetup create %s --table '0 %d linear %s 0' >/dev/null 2>&1", holder,
		 DEVICE_BYTES / 512, loop.path);
	if (system(command) != 0) {
		note_skip("%s: no dmsetup or no device-mapper here", name);
	} else {
		open_refused(&options, UDS_ERR_IN_USE, holder);
		snprintf(command, sizeof(command), "dmsetup remove %s >/dev/null 2>&1", holder);
		ck_assert_int_eq(system(command), 0);
	}
	loop_detach(&loop);
}
END_TEST

START_TEST(a_read_only_device_is_refused_to_writers)
{
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_NO);
	struct uds_io_file_options reading = UDS_IO_FILE_OPTIONS_INIT;

	if (!attached("a_read_only_device_is_refused_to_writers", 512, true))
		return;
	open_refused(&options, -EROFS, "read-only");
	ck_assert_int_eq(uds_io_close(open_good(&reading)), 0);
	loop_detach(&loop);
}
END_TEST

START_TEST(a_node_without_a_device_is_an_error)
{
	struct uds_io_file_options options = writing(UDS_IO_DIRECT_NO);

	snprintf(loop.path, sizeof(loop.path), "/dev/shm/uds-node-%ld", (long)getpid());
	if (mknod(loop.path, S_IFBLK | 0600, makedev(0, 250)) != 0)
		skip_test("a_node_without_a_device_is_an_error: mknod: %s", strerror(errno));
	open_refused(&options, -ENXIO, "No such device");
	open_refused(NULL, -ENXIO, "No such device");
	unlink(loop.path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_device");
	TCase *tc = tcase_create("device");

	tcase_add_checked_fixture(tc, make_path, remove_path);
	tcase_add_test(tc, a_device_is_come_to_by_links_also_to_create_on_it);
	tcase_add_loop_test(tc, a_device_gives_its_size_and_keeps_what_is_written, 0, 2);
	tcase_add_loop_test(tc, direct_io_obeys_the_sector_size, 0, 2);
	tcase_add_loop_test(tc, engines_work_on_devices, 0, 2);
	tcase_add_loop_test(tc, discarding_leaves_parts_of_sectors_alone, 0, 2);
	tcase_add_test(tc, a_device_has_one_writer_or_many_readers);
	tcase_add_test(tc, a_short_lock_such_as_udevs_is_waited_for);
	tcase_add_test(tc, a_mounted_device_is_refused_and_its_mount_point_named);
	tcase_add_test(tc, a_device_held_by_device_mapper_is_refused_and_the_holder_named);
	tcase_add_test(tc, a_descriptor_of_a_device_is_read_and_not_written);
	tcase_add_test(tc, a_read_only_device_is_refused_to_writers);
	tcase_add_test(tc, a_node_without_a_device_is_an_error);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
