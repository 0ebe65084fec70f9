/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lies where: I/Os that have bytes in common, images that somebody uses, and block devices
 * that change below their page cache. What needs loop devices is skipped where there are none.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include <uds/engine.h>
#include <uds/io.h>
#include <uds/snapshot.h>

#include "check_main.h"
#include "loop_device.h"

#define IMAGE_BYTES (4 << 20)

static char image[300], link_name[300], other[300], place[300];
static struct uds_message message;

static void make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
}

static void make_files(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(image, sizeof(image), "%s/image", scratch_dir());
	snprintf(link_name, sizeof(link_name), "%s/link", scratch_dir());
	snprintf(other, sizeof(other), "%s/other", scratch_dir());
	snprintf(place, sizeof(place), "%s/place", scratch_dir());
	make_file(image);
	make_file(other);
}

static void remove_files(void)
{
	unlink(image);
	unlink(link_name);
	unlink(other);
	rmdir(place);
	rmdir(scratch_dir());
}

static struct uds_io *open_to_read(const char *uri)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io = NULL;

	options.no_lock = true;
	ck_assert_msg(uds_io_open_uri(uri, &options, NULL, &message, &io) == 0, "%s", message.text);
	return io;
}

/* Whether the two have bytes in common; says the same both ways, and so does opening a snapshot. */
static bool common(const char *one, const char *two)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_io *a = open_to_read(one), *b = open_to_read(two);
	bool found = uds_io_overlap(a, b);
	struct uds_snapshot *snapshot;

	ck_assert_int_eq(uds_io_overlap(b, a), found);
	options.read_only = true;
	message.text[0] = '\0';
	ck_assert_int_lt(uds_snapshot_open(a, b, &options, &message, &snapshot), 0);
	ck_assert_msg((strstr(message.text, "bytes in common") != NULL) == found, "%s",
		      message.text);
	ck_assert_int_eq(uds_io_close(a), 0);
	ck_assert_int_eq(uds_io_close(b), 0);
	return found;
}

START_TEST(one_file_is_found_by_whatever_name)
{
	char uri[400];

	ck_assert_int_eq(link(image, link_name), 0);
	snprintf(uri, sizeof(uri), "file:%s?direct=auto", image);
	ck_assert(common(image, image));
	ck_assert(common(image, link_name));
	ck_assert(common(link_name, uri));
	ck_assert(!common(image, other));
	ck_assert(!common(uri, "mem:?size=1M"));
	ck_assert(!common("mem:?size=1M", "mem:?size=1M"));
	unlink(link_name);
	ck_assert_int_eq(symlink(image, link_name), 0);
	ck_assert(common(image, link_name));
}
END_TEST

/* A backend that says it lies where the test wants. */
static struct uds_io_place said[2];

static int say_places(void *context, struct uds_io_place *ret_places, size_t room,
		      size_t *ret_count)
{
	if (room > 0)
		*ret_places = *(struct uds_io_place *)context;
	*ret_count = 1;
	return 0;
}

static int fail_places(void *context, struct uds_io_place *ret_places, size_t room,
		       size_t *ret_count)
{
	(void)context, (void)ret_places, (void)room, (void)ret_count;
	return -EIO;
}

static int read_nothing(void *context, void *buffer, size_t length, uint64_t offset)
{
	(void)context, (void)buffer, (void)length, (void)offset;
	return -EIO;
}

static int do_nothing(void *context)
{
	(void)context;
	return 0;
}

static int no_size(void *context, uint64_t *ret_bytes)
{
	(void)context;
	*ret_bytes = 0;
	return 0;
}

static struct uds_io *backend(void *context, bool identified, bool failing)
{
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_io *io;

	ops.read = read_nothing;
	ops.flush = do_nothing;
	ops.get_size = no_size;
	ops.close = do_nothing;
	if (identified)
		ops.identity = failing ? fail_places : say_places;
	ck_assert_int_eq(uds_io_open_ops(&ops, context, NULL, NULL, NULL, &io), 0);
	return io;
}

static const struct {
	struct uds_io_place a, b;
	bool meet;
} pairs[] = {
	{ { 3, 0, 1, 2, 0, 10, { 0 } }, { 3, 0, 1, 2, 10, 10, { 0 } }, false },
	{ { 3, 0, 1, 2, 0, 11, { 0 } }, { 3, 0, 1, 2, 10, 10, { 0 } }, true },
	{ { 3, 0, 1, 2, 0, UINT64_MAX, { 0 } }, { 3, 0, 1, 2, 1 << 30, 1, { 0 } }, true },
	{ { 3, 0, 1, 2, 0, 0, { 0 } }, { 3, 0, 1, 2, 0, 10, { 0 } }, false },
	{ { 3, 0, 1, 2, 5, UINT64_MAX, { 0 } }, { 3, 0, 1, 2, 0, 5, { 0 } }, false },
	{ { 3, 0, 1, 2, 5, UINT64_MAX, { 0 } }, { 3, 0, 1, 2, 0, 6, { 0 } }, true },
	{ { 3, 0, 1, 2, 0, 10, { 0 } }, { 3, 0, 1, 3, 0, 10, { 0 } }, false },
	{ { 3, 0, 1, 2, 0, 10, { 0 } }, { 3, 0, 2, 2, 0, 10, { 0 } }, false },
	{ { 3, 0, 1, 2, 0, 10, { 0 } }, { 2, 0, 1, 2, 0, 10, { 0 } }, false },
	{ { 3, 1, 1, 2, 0, 10, { 0 } }, { 3, 1, 1, 2, 0, 10, { 0 } }, false },
	{ { 3, 1, 1, 2, 0, 10, { 0 } }, { 3, 0, 1, 2, 9, 10, { 0 } }, true },
	{ { 3, 1, 1, 2, 0, 10, { 0 } }, { 3, 0, 1, 2, 10, 10, { 0 } }, false },
};

START_TEST(ranges_of_one_thing_meet_where_they_overlap)
{
	struct uds_io *a, *b;

	said[0] = pairs[_i].a;
	said[1] = pairs[_i].b;
	a = backend(&said[0], true, false);
	b = backend(&said[1], true, false);
	ck_assert_int_eq(uds_io_overlap(a, b), pairs[_i].meet);
	ck_assert_int_eq(uds_io_overlap(b, a), pairs[_i].meet);
	uds_io_close(a);
	uds_io_close(b);
}
END_TEST

START_TEST(a_backend_that_cannot_tell_is_only_the_same_as_itself)
{
	struct uds_io_place unchanged = { .kind = 9 };
	size_t count = 77;
	int context[2];
	struct uds_io *plain = backend(&context[0], false, false);
	struct uds_io *again = backend(&context[0], false, false);
	struct uds_io *failing = backend(&context[1], true, true);

	ck_assert_int_eq(uds_io_places(plain, &unchanged, 1, &count), -EOPNOTSUPP);
	ck_assert_int_eq(uds_io_places(failing, &unchanged, 1, &count), -EIO);
	ck_assert_uint_eq(unchanged.kind, 9);
	ck_assert_uint_eq(count, 77);
	ck_assert(uds_io_overlap(plain, plain));
	ck_assert(uds_io_overlap(plain, again)); /* the same functions on the same context */
	ck_assert(!uds_io_overlap(plain, failing));
	uds_io_close(plain);
	uds_io_close(again);
	uds_io_close(failing);
}
END_TEST

START_TEST(places_say_how_many_there_are)
{
	struct uds_io *io = open_to_read(image);
	struct uds_io_place places[8];
	struct stat st;
	size_t count, all;

	ck_assert_int_eq(stat(image, &st), 0);
	ck_assert_int_eq(uds_io_places(io, places, 8, &all), 0);
	ck_assert_uint_ge(all, 1);
	ck_assert_uint_eq(places[0].kind, UDS_IO_PLACE_FILE);
	ck_assert_uint_eq(places[0].device, st.st_dev);
	ck_assert_uint_eq(places[0].object, st.st_ino);
	ck_assert_uint_eq(places[0].within, 0);
	ck_assert_int_eq(uds_io_places(io, NULL, 0, &count), 0);
	ck_assert_uint_eq(count, all);
	uds_io_close(io);
}
END_TEST

#define WITH_LOOP(loop, file, offset, limit)                                                \
	do {                                                                                \
		char why_[200];                                                             \
		if (loop_attach_over(file, offset, limit, &(loop), why_, sizeof(why_)) < 0) \
			skip_test("%s: %s", __func__, why_);                                \
	} while (0)

START_TEST(loop_devices_over_one_file_are_its_bytes)
{
	struct loop_device whole, second, front, back;

	WITH_LOOP(whole, image, 0, 0);
	WITH_LOOP(second, image, 0, 0);
	WITH_LOOP(front, image, 0, IMAGE_BYTES / 2);
	WITH_LOOP(back, image, IMAGE_BYTES / 2, 0);
	ck_assert(common(whole.path, second.path));
	ck_assert(common(whole.path, whole.path));
	ck_assert(common(image, whole.path));
	ck_assert(common(front.path, image));
	ck_assert(common(back.path, whole.path));
	ck_assert(!common(front.path, back.path));
	ck_assert(!common(other, whole.path));
	/* Whatever becomes of the file's name. */
	ck_assert_int_eq(rename(image, link_name), 0);
	ck_assert(common(link_name, whole.path));
	ck_assert_int_eq(unlink(link_name), 0);
	ck_assert(common(second.path, whole.path));
	ck_assert(!common(front.path, back.path));
	loop_detach(&whole);
	loop_detach(&second);
	loop_detach(&front);
	loop_detach(&back);
}
END_TEST

START_TEST(loop_devices_on_loop_devices_are_followed_down)
{
	struct loop_device lower, upper, apart;

	WITH_LOOP(lower, image, 1 << 20, 0);
	WITH_LOOP(upper, lower.path, 1 << 20, 0);
	WITH_LOOP(apart, image, 0, 2 << 20);
	ck_assert(common(image, upper.path));
	ck_assert(common(lower.path, upper.path));
	ck_assert(common(lower.path, apart.path));
	ck_assert(!common(upper.path, apart.path)); /* begins where that ends */
	loop_detach(&apart);
	loop_detach(&upper);
	loop_detach(&lower);
}
END_TEST

/*
 * Makes a file system in the image and mounts it; false after a note. @make: the command for that;
 * @type, @another: what it is mounted as, or what else.
 */
static bool mount_as(const char *test, const char *make, const char *type, const char *another,
		     struct loop_device *loop)
{
	char command[700], why[200];

	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0) {
		note_skip("%s: no mount namespace: %s", test, strerror(errno));
		return false;
	}
	snprintf(command, sizeof(command), "%s %s >/dev/null 2>&1", make, image);
	if (system(command) != 0) {
		note_skip("%s: no %s", test, make);
		return false;
	}
	if (loop_attach_over(image, 0, 0, loop, why, sizeof(why)) < 0) {
		note_skip("%s: %s", test, why);
		return false;
	}
	ck_assert_int_eq(mkdir(place, 0700), 0);
	if (mount(loop->path, place, type, 0, NULL) != 0 &&
	    mount(loop->path, place, another, 0, NULL) != 0) {
		note_skip("%s: cannot mount: %s", test, strerror(errno));
		loop_detach(loop);
		return false;
	}
	return true;
}

static bool mount_image(const char *test, struct loop_device *loop)
{
	return mount_as(test, "mke2fs -q -F", "ext2", "ext4", loop);
}

START_TEST(a_file_in_the_file_system_of_an_image_is_in_the_image)
{
	struct loop_device loop;
	char inside[400], beside[400];

	if (!mount_image("a_file_in_the_file_system_of_an_image_is_in_the_image", &loop))
		return;
	snprintf(inside, sizeof(inside), "%s/inside", place);
	snprintf(beside, sizeof(beside), "%s/beside", place);
	make_file(inside);
	make_file(beside);
	ck_assert(common(inside, image));
	ck_assert(common(inside, loop.path));
	ck_assert(!common(inside, beside));
	ck_assert(!common(inside, other));
	ck_assert_int_eq(umount(place), 0);
	loop_detach(&loop);
}
END_TEST

/* Its files have a device number that only its mount leads away from. */
START_TEST(a_loop_device_over_a_file_of_a_btrfs_is_in_its_image)
{
	struct loop_device loop, upper;
	char inside[400];

	ck_assert_int_eq(truncate(image, 256 << 20), 0); /* it takes no smaller one */
	if (!mount_as("a_loop_device_over_a_file_of_a_btrfs_is_in_its_image", "mkfs.btrfs -q -f",
		      "btrfs", "btrfs", &loop))
		return;
	snprintf(inside, sizeof(inside), "%s/inside", place);
	make_file(inside);
	WITH_LOOP(upper, inside, 0, 0);
	ck_assert(common(upper.path, inside));
	ck_assert(common(upper.path, loop.path));
	ck_assert(common(upper.path, image));
	ck_assert(!common(upper.path, other));
	loop_detach(&upper);
	ck_assert_int_eq(umount(place), 0);
	loop_detach(&loop);
}
END_TEST

static void refused(const char *path, bool create, const char *words)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io = (struct uds_io *)1;

	options.write = true;
	options.create = create;
	message.text[0] = '\0';
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, &message, &io), UDS_ERR_IN_USE);
	ck_assert_ptr_eq(io, (struct uds_io *)1);
	ck_assert_msg(strncmp(message.text, path, strlen(path)) == 0 &&
			      strstr(message.text, words) != NULL,
		      "%s", message.text);
	ck_assert_int_eq(access(path, F_OK), 0);
}

static void taken(const char *path)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;

	options.write = true;
	ck_assert_msg(uds_io_open_file(path, &options, NULL, &message, &io) == 0, "%s",
		      message.text);
	ck_assert_int_eq(uds_io_close(io), 0);
}

START_TEST(the_image_of_a_loop_device_is_not_written)
{
	struct loop_device loop;

	WITH_LOOP(loop, image, 4096, 0);
	ck_assert_int_eq(link(image, link_name), 0);
	refused(image, false, loop.path);
	refused(image, true, loop.path);
	refused(link_name, false, loop.path);
	taken(other);
	ck_assert_int_eq(uds_io_close(open_to_read(image)), 0);
	/* By another name, when the one it was attached by is gone, or another file's. */
	ck_assert_int_eq(unlink(image), 0);
	refused(link_name, true, loop.path);
	make_file(image);
	refused(link_name, false, loop.path);
	taken(image);
	loop_detach(&loop);
	taken(link_name);
}
END_TEST

START_TEST(the_image_of_a_mount_is_refused_with_its_place)
{
	struct loop_device loop;

	if (!mount_image("the_image_of_a_mount_is_refused_with_its_place", &loop))
		return;
	refused(image, false, place);
	refused(image, true, loop.path);
	ck_assert_int_eq(umount(place), 0);
	loop_detach(&loop);
	taken(image);
}
END_TEST

START_TEST(a_swap_file_is_refused)
{
	static const char name[] = "a_swap_file_is_refused";
	char command[400];
	int fd;

	fd = open(image, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	if (posix_fallocate(fd, 0, IMAGE_BYTES) != 0)
		skip_test("%s: no room", name);
	close(fd);
	snprintf(command, sizeof(command), "mkswap %s >/dev/null 2>&1", image);
	if (system(command) != 0)
		skip_test("%s: no mkswap", name);
	if (swapon(image, 0) != 0)
		skip_test("%s: swapon: %s", name, strerror(errno));
	message.text[0] = '\0';
	{
		struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
		struct uds_io *io;
		int r;

		options.write = true;
		r = uds_io_open_file(image, &options, NULL, &message, &io);
		ck_assert_int_eq(swapoff(image), 0);
		/* Some kernels refuse the open, before anything can be asked. */
		ck_assert(r == UDS_ERR_IN_USE || r == -ETXTBSY);
		ck_assert_int_eq(strncmp(message.text, image, strlen(image)), 0);
	}
	taken(image);
}
END_TEST

/* Changes a byte of the image, past the page cache of the device. */
static void change_below(uint64_t offset, char byte)
{
	int fd = open(image, O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)offset), 1);
	ck_assert_int_eq(fsync(fd), 0);
	close(fd);
}

static char byte_at(struct uds_io *io, uint64_t offset)
{
	char byte = '-';

	ck_assert_int_eq(uds_io_read(io, &byte, 1, offset), 0);
	return byte;
}

START_TEST(each_open_sees_what_changed_below_the_page_cache)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct loop_device loop; /* is kept open, and with it its page cache */
	struct uds_io *io;

	WITH_LOOP(loop, image, 0, 0);
	for (char c = 'a'; c < 'i'; c++) {
		options.write = c % 2 == 0;
		options.no_lock = c % 4 == 1;
		ck_assert_int_eq(uds_io_open_file(loop.path, &options, NULL, NULL, &io), 0);
		ck_assert_int_eq(byte_at(io, 1 << 20), c == 'a' ? 0 : c - 1);
		ck_assert_int_eq(uds_io_close(io), 0);
		change_below(1 << 20, c);
	}
	loop_detach(&loop);
}
END_TEST

START_TEST(a_device_in_use_is_read_past_the_page_cache_at_any_offset)
{
	static uint8_t bytes[3 << 18], expected[3 << 18];
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io_request requests[4], *all[4], *done[4];
	static const size_t lengths[] = { 1, 511, 4096, 3 << 18 };
	static const uint64_t offsets[] = { 1 << 20, (1 << 20) + 1, (1 << 20) + 511,
					    IMAGE_BYTES - (3 << 18) };
	struct uds_io_engine *engine;
	struct loop_device loop;
	struct uds_io *io;
	int fd;

	if (!mount_image("a_device_in_use_is_read_past_the_page_cache_at_any_offset", &loop))
		return;
	options.uring = _i == 1;
	ck_assert_int_eq(uds_io_open_file(loop.path, &options, NULL, NULL, &io), 0);
	ck_assert_uint_eq(uds_io_block_bytes(io), 1);
	ck_assert_uint_eq(uds_io_memory_alignment(io), 1);
	for (char c = 'a'; c < 'e'; c++) { /* in one open */
		change_below(IMAGE_BYTES - 5, c);
		ck_assert_int_eq(byte_at(io, IMAGE_BYTES - 5), c);
	}
	fd = open(image, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	for (size_t i = 0; i < 16; i++) {
		size_t length = lengths[i % 4];
		uint64_t offset = offsets[i / 4];

		ck_assert_int_eq(pread(fd, expected, length, (off_t)offset), (ssize_t)length);
		ck_assert_int_eq(uds_io_read(io, bytes, length, offset), 0);
		ck_assert_int_eq(memcmp(bytes, expected, length), 0);
		memset(bytes, 0x5a, length);
		requests[0] = (struct uds_io_request){ .io = io,
						       .kind = UDS_IO_READ,
						       .buffer = bytes,
						       .length = length,
						       .offset = offset };
		all[0] = &requests[0];
		ck_assert_int_eq(uds_io_engine_submit(engine, all, 1), 0);
		ck_assert_int_eq(uds_io_engine_reap(engine, done, 4, 1, -1), 1);
		ck_assert_int_eq(requests[0].status, 0);
		ck_assert_int_eq(memcmp(bytes, expected, length), 0);
	}
	ck_assert_int_eq(uds_io_read(io, bytes, 2, IMAGE_BYTES - 1), UDS_ERR_OUT_OF_RANGE);
	close(fd);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(umount(place), 0);
	loop_detach(&loop);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_places");
	TCase *tc = tcase_create("places");

	tcase_add_checked_fixture(tc, make_files, remove_files);
	tcase_add_test(tc, one_file_is_found_by_whatever_name);
	tcase_add_loop_test(tc, ranges_of_one_thing_meet_where_they_overlap, 0,
			    (int)(sizeof(pairs) / sizeof(pairs[0])));
	tcase_add_test(tc, a_backend_that_cannot_tell_is_only_the_same_as_itself);
	tcase_add_test(tc, places_say_how_many_there_are);
	tcase_add_test(tc, loop_devices_over_one_file_are_its_bytes);
	tcase_add_test(tc, loop_devices_on_loop_devices_are_followed_down);
	tcase_add_test(tc, a_file_in_the_file_system_of_an_image_is_in_the_image);
	tcase_add_test(tc, a_loop_device_over_a_file_of_a_btrfs_is_in_its_image);
	tcase_add_test(tc, the_image_of_a_loop_device_is_not_written);
	tcase_add_test(tc, the_image_of_a_mount_is_refused_with_its_place);
	tcase_add_test(tc, a_swap_file_is_refused);
	tcase_add_test(tc, each_open_sees_what_changed_below_the_page_cache);
	tcase_add_loop_test(tc, a_device_in_use_is_read_past_the_page_cache_at_any_offset, 0, 2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
