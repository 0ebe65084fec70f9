/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the library makes of what the system says about devices: stacks of disks, partitions,
 * device-mapper, arrays and loop devices, with mounts and swap space on them. The system is one
 * that a test has put together: /sys, /proc and /dev are folders of its own, by this program's own
 * form of the calls that look there. Where something stands in front of these, nothing is tested.
 */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/env.h"
#include "check_main.h"
#include "io/file.h"
#include "io/sysfs.h"
#include "torture_env.h"

#ifdef HAVE_LINUX_FS_H
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>

/* What the system's headers make of the name where files may be larger than the machine's words. */
#ifdef __USE_FILE_OFFSET64
#define LARGE(name) name "64"
#else
#define LARGE(name) name
#endif

#define NEXT(function, name) ((__typeof__(&(function)))dlsym(RTLD_NEXT, name))

#define SECTOR 512u

/* A device or file of the system that a test has made. */
struct node {
	const char *path;
	struct stat st;
	uint64_t size_bytes;
	int open_error;	    /* 0: it can be opened */
	int fd;		    /* while it is open; else -1 */
	struct stat opened; /* st_mode 0: @st; else what it is by the time it is open */
	const struct loop_info64 *loop;
	const void *table; /* an answer of device-mapper; /dev/mapper/control has that of all */
	bool no_size;
};

static struct node nodes[24];
static unsigned int node_count;
static bool made_up; /* the calls below look into the test's own system */
static unsigned int calls_seen;
static char root[300];

static struct node *find_node(const char *path)
{
	for (unsigned int i = 0; i < node_count; i++) {
		if (strcmp(nodes[i].path, path) == 0)
			return &nodes[i];
	}
	return NULL;
}

static struct node *node_of(int fd)
{
	for (unsigned int i = 0; made_up && i < node_count; i++) {
		if (nodes[i].fd == fd)
			return &nodes[i];
	}
	return NULL;
}

static bool is_system_path(const char *path)
{
	return made_up && (strncmp(path, "/sys/", 5) == 0 || strncmp(path, "/proc/", 6) == 0 ||
			   strncmp(path, "/dev/", 5) == 0 || find_node(path) != NULL);
}

/* Where it lies in the test's folder. The number of a descriptor is that of the node it is of. */
static const char *moved(const char *path, char *place, size_t room)
{
	int fd;

	calls_seen += made_up;
	if (!is_system_path(path))
		return path;
	if (sscanf(path, "/proc/self/fdinfo/%d", &fd) == 1 && node_of(fd) != NULL)
		snprintf(place, room, "%s/fdinfo%s", root, node_of(fd)->path);
	else
		snprintf(place, room, "%s%s", root, path);
	return place;
}

int open(const char *path, int flags, ...)
{
	struct node *node = made_up ? find_node(path) : NULL;
	char place[700];
	va_list arguments;
	mode_t mode = 0;
	int fd;

	va_start(arguments, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(arguments, mode_t);
	va_end(arguments);
	if (node == NULL)
		return NEXT(open, LARGE("open"))(moved(path, place, sizeof(place)), flags, mode);
	errno = node->open_error;
	if (node->open_error != 0)
		return -1;
	fd = NEXT(open, LARGE("open"))(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	node->fd = fd;
	return fd;
}

int close(int fd)
{
	struct node *node = node_of(fd);

	if (node != NULL)
		node->fd = -1;
	return NEXT(close, "close")(fd);
}

int stat(const char *restrict path, struct stat *restrict st)
{
	const struct node *node = made_up ? find_node(path) : NULL;
	char place[700];

	if (node == NULL)
		return NEXT(stat, LARGE("stat"))(moved(path, place, sizeof(place)), st);
	*st = node->st;
	return 0;
}

int fstat(int fd, struct stat *st)
{
	const struct node *node = node_of(fd);

	if (node == NULL)
		return NEXT(fstat, LARGE("fstat"))(fd, st);
	*st = node->opened.st_mode != 0 ? node->opened : node->st;
	return 0;
}

int access(const char *path, int mode)
{
	char place[700];

	return NEXT(access, "access")(moved(path, place, sizeof(place)), mode);
}

ssize_t readlink(const char *restrict path, char *restrict link, size_t room)
{
	char place[700];

	return NEXT(readlink, "readlink")(moved(path, place, sizeof(place)), link, room);
}

static int answer_table(struct dm_ioctl *question)
{
	const struct node *node = NULL;

	for (unsigned int i = 0; i < node_count; i++) {
		if (nodes[i].st.st_rdev == question->dev && nodes[i].table != NULL)
			node = &nodes[i];
	}
	errno = ENXIO;
	if (node == NULL)
		return -1;
	memcpy(question, node->table, question->data_size);
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	const struct node *node = node_of(fd);
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (node == NULL)
		return NEXT(ioctl, "ioctl")(fd, request, argument);
	errno = ENOTTY;
	if (request == BLKGETSIZE64 && !node->no_size) {
		*(uint64_t *)argument = node->size_bytes;
		return 0;
	}
	if (request == LOOP_GET_STATUS64 && node->loop != NULL) {
		*(struct loop_info64 *)argument = *node->loop;
		return 0;
	}
	return request == DM_TABLE_STATUS ? answer_table(argument) : -1;
}

/* ---- putting a system together ---- */

static void make_folders(const char *path)
{
	char part[700];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(part, 0700);
		*slash = '/';
	}
}

/* A file of the system with this text. */
static void put(const char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(const char *text, const char *format, ...)
{
	char path[700], name[400];
	va_list arguments;
	FILE *file;

	va_start(arguments, format);
	vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	snprintf(path, sizeof(path), "%s%s", root, name);
	make_folders(path);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void put_empty_folder(const char *name)
{
	char path[700];

	snprintf(path, sizeof(path), "%s%s/", root, name);
	make_folders(path);
}

static void put_link(const char *target, const char *name)
{
	char path[700], to[700];

	snprintf(path, sizeof(path), "%s%s", root, name);
	snprintf(to, sizeof(to), "%s%s", root, target);
	make_folders(path);
	ck_assert_int_eq(symlink(to, path), 0);
}

/* A block device as /sys has it. @folder: under devices; that of a partition is in its disk's. */
static void put_device(const char *folder, dev_t device)
{
	const char *slash = strrchr(folder, '/');
	const char *name = slash == NULL ? folder : slash + 1;
	char target[300], link[300], number[40];

	snprintf(number, sizeof(number), "%u:%u\n", major(device), minor(device));
	put(number, "/sys/devices/%s/dev", folder);
	snprintf(target, sizeof(target), "/sys/devices/%s", folder);
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(device), minor(device));
	put_link(target, link);
	snprintf(link, sizeof(link), "/sys/class/block/%s", name);
	put_link(target, link);
	if (slash == NULL) {
		snprintf(link, sizeof(link), "/sys/block/%s", name);
		put_link(target, link);
	}
}

static struct node *put_node(const char *path)
{
	struct node *node = &nodes[node_count++];

	ck_assert_uint_lt(node_count, sizeof(nodes) / sizeof(nodes[0]));
	memset(node, 0, sizeof(*node));
	node->path = path;
	node->fd = -1;
	return node;
}

static struct node *put_device_node(const char *path, dev_t device, uint64_t size_bytes)
{
	struct node *node = put_node(path);

	node->st.st_mode = S_IFBLK | 0600;
	node->st.st_rdev = device;
	node->size_bytes = size_bytes;
	return node;
}

static struct node *put_file_node(const char *path, dev_t device, ino_t inode)
{
	struct node *node = put_node(path);

	node->st.st_mode = S_IFREG | 0600;
	node->st.st_dev = device;
	node->st.st_ino = inode;
	return node;
}

/* One target after the other, each "begin length type words"; the numbers are sectors. */
static const void *make_table(const char *const *targets, unsigned int count)
{
	static union {
		struct dm_ioctl header;
		char bytes[16384];
	} answers[4];
	static unsigned int used;
	char *answer = answers[used].bytes;
	struct dm_ioctl *header = &answers[used++ % 4].header;
	uint32_t at = 0;

	memset(answer, 0, sizeof(answers[0]));
	header->data_start = sizeof(*header);
	header->target_count = count;
	for (unsigned int i = 0; i < count; i++) {
		struct dm_target_spec spec;
		unsigned long long begin, length;
		int words;

		memset(&spec, 0, sizeof(spec));
		ck_assert_int_eq(sscanf(targets[i], "%llu %llu %15s %n", &begin, &length,
					spec.target_type, &words),
				 3);
		spec.sector_start = begin;
		spec.length = length;
		spec.next = at + 104;
		memcpy(answer + sizeof(*header) + at, &spec, sizeof(spec));
		snprintf(answer + sizeof(*header) + at + sizeof(spec), 104 - sizeof(spec), "%s",
			 targets[i] + words);
		at += 104;
	}
	return answer;
}

static void begin(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(root, sizeof(root), "%s/system", scratch_dir());
	ck_assert_int_eq(mkdir(root, 0700), 0);
	node_count = 0;
	calls_seen = 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	(void)st, (void)kind, (void)walk;
	return remove(path);
}

static void end(void)
{
	made_up = false;
	(void)nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	rmdir(scratch_dir());
}

/* Whether the calls of the library come here. */
static bool can_make_up(void)
{
	struct stat st;

	made_up = true;
	put_device_node("/dev/probe", makedev(99, 99), 0);
	sysfs_read_number(makedev(99, 99), "/nothing", &(uint64_t){ 0 });
	made_up = false;
	node_count--;
	return calls_seen > 0 && stat(root, &st) == 0;
}

#define NEEDS_A_SYSTEM                                                      \
	do {                                                                \
		if (!can_make_up())                                         \
			skip_test("the system's calls cannot be replaced"); \
	} while (0)

/* ---- places ---- */

static struct uds_io_place places[40];
static size_t place_count;

/* All places of the node at @path. Returns the status. */
static int look(const char *path, const struct uds_env *env)
{
	struct file_io file = { .fd = -1 };
	const struct node *node = find_node(path);
	int r;

	ck_assert_int_eq(env_take(env, NULL, &file.env), 0);
	memset(places, 0xee, sizeof(places));
	place_count = 77;
	made_up = true;
	file.fd = open(path, O_RDONLY);
	ck_assert_int_ge(file.fd, 0);
	file.block_device = S_ISBLK(node->st.st_mode);
	r = file_identity(&file, places, 40, &place_count);
	close(file.fd);
	made_up = false;
	return r;
}

static void check_place(unsigned int i, dev_t device, uint64_t offset, uint64_t length, bool within)
{
	ck_assert_uint_lt(i, place_count);
	ck_assert_uint_eq(places[i].kind, UDS_IO_PLACE_DEVICE);
	ck_assert_uint_eq(places[i].device, device);
	ck_assert_uint_eq(places[i].object, 0);
	ck_assert_uint_eq(places[i].offset, offset);
	ck_assert_uint_eq(places[i].length, length);
	ck_assert_uint_eq(places[i].within, within);
}

static void check_somewhere(unsigned int i, dev_t device)
{
	check_place(i, device, 0, UINT64_MAX, true);
}

static void check_file(unsigned int i, dev_t device, ino_t inode, uint64_t offset)
{
	ck_assert_uint_lt(i, place_count);
	ck_assert_uint_eq(places[i].kind, UDS_IO_PLACE_FILE);
	ck_assert_uint_eq(places[i].device, device);
	ck_assert_uint_eq(places[i].object, inode);
	ck_assert_uint_eq(places[i].offset, offset);
}

#define DISK   makedev(8, 0)
#define PART   makedev(8, 1)
#define SECOND makedev(8, 16)
#define MAPPED makedev(253, 0)
#define ARRAY  makedev(9, 0)
#define LOOP   makedev(7, 0)

static void put_disk_and_partition(const char *start)
{
	put_device("sda", DISK);
	put_device("sda/sda1", PART);
	put("1\n", "/sys/devices/sda/sda1/partition");
	if (start != NULL)
		put(start, "/sys/devices/sda/sda1/start");
	put_device_node("/dev/sda", DISK, 1 << 30);
	put_device_node("/dev/sda1", PART, 1 << 20);
}

START_TEST(a_partition_is_a_range_of_its_disk)
{
	NEEDS_A_SYSTEM;
	put_disk_and_partition("2048\n");
	ck_assert_int_eq(look("/dev/sda1", NULL), 0);
	ck_assert_uint_eq(place_count, 2);
	check_place(0, PART, 0, 1 << 20, false);
	check_place(1, DISK, UINT64_C(2048) * SECTOR, 1 << 20, false);
	/* The disk itself is on nothing. */
	ck_assert_int_eq(look("/dev/sda", NULL), 0);
	ck_assert_uint_eq(place_count, 1);
}
END_TEST

/* @_i: what is wrong with what /sys says. */
START_TEST(a_partition_of_which_nothing_is_said_is_only_itself)
{
	NEEDS_A_SYSTEM;
	put_disk_and_partition(_i == 0 ? NULL : _i == 1 ? "first\n" : "2048\n");
	if (_i == 2)
		put("eight\n", "/sys/devices/sda/dev");
	if (_i == 3)
		put("yes\n", "/sys/devices/sda/sda1/partition");
	ck_assert_int_eq(look("/dev/sda1", NULL), 0);
	ck_assert_uint_eq(place_count, 1);
	check_place(0, PART, 0, 1 << 20, false);
}
END_TEST

START_TEST(a_device_whose_size_cannot_be_had_is_an_error)
{
	NEEDS_A_SYSTEM;
	put_disk_and_partition("2048\n");
	find_node("/dev/sda1")->no_size = true;
	ck_assert_int_eq(look("/dev/sda1", NULL), -ENOTTY);
	/* Nothing is told. */
	ck_assert_uint_eq(place_count, 77);
	ck_assert_uint_eq(places[0].kind, 0xeeeeeeee);
}
END_TEST

static const char *const two_linear[] = { "0 1000 linear 8:0 5000", "1000 500 linear 8:16 7" };
static const char *const one_striped[] = { "0 1000 striped 2 8 8:0 0 8:16 0" };

static void put_mapped(const void *table)
{
	put_device("sda", DISK);
	put_device("sdb", SECOND);
	put_device("dm-0", MAPPED);
	put("vg-data\n", "/sys/devices/dm-0/dm/name");
	put_empty_folder("/sys/devices/dm-0/slaves/empty");
	put_link("/sys/devices/sda", "/sys/devices/dm-0/slaves/sda");
	put_link("/sys/devices/sdb", "/sys/devices/dm-0/slaves/sdb");
	put_device_node("/dev/dm-0", MAPPED, 1500 * SECTOR)->table = table;
}

START_TEST(a_linear_device_is_its_ranges_of_others)
{
	NEEDS_A_SYSTEM;
	put_mapped(make_table(two_linear, 2));
	put_node("/dev/mapper/control");
	ck_assert_int_eq(look("/dev/dm-0", NULL), 0);
	ck_assert_uint_eq(place_count, 3);
	check_place(0, MAPPED, 0, 1500 * SECTOR, false);
	check_place(1, DISK, 5000 * SECTOR, 1000 * SECTOR, false);
	check_place(2, SECOND, 7 * SECTOR, 500 * SECTOR, false);
}
END_TEST

/*
 * @_i: 0: another kind of target; 1: device-mapper cannot be asked; 2: it says no; 3: its answer
 * is too long.
 */
START_TEST(a_device_without_a_linear_table_is_somewhere_on_all_that_it_is_made_of)
{
	bool seen[2] = { false, false };
	struct dm_ioctl *header;

	NEEDS_A_SYSTEM;
	header = (struct dm_ioctl *)(uintptr_t)make_table(_i == 0 ? one_striped : two_linear,
							  _i == 0 ? 1 : 2);
	put_mapped(_i == 2 ? NULL : header);
	put_node("/dev/mapper/control")->open_error = _i == 1 ? EACCES : 0;
	if (_i == 3)
		header->flags |= DM_BUFFER_FULL_FLAG;
	ck_assert_int_eq(look("/dev/dm-0", NULL), 0);
	/* The third name among them is no device. In the order of the folder. */
	ck_assert_uint_eq(place_count, 3);
	for (unsigned int i = 1; i < 3; i++) {
		seen[places[i].device == SECOND] = true;
		check_somewhere(i, places[i].device == SECOND ? SECOND : DISK);
	}
	ck_assert(seen[0] && seen[1]);
}
END_TEST

START_TEST(places_that_are_not_found_without_memory_are_an_error)
{
	struct torture_env torture;

	NEEDS_A_SYSTEM;
	put_mapped(make_table(two_linear, 2));
	put_node("/dev/mapper/control");
	torture_env_start(&torture);
	for (uint64_t nth = 1; nth <= 2; nth++) {
		torture_env_fail_at(&torture, nth, false);
		ck_assert_int_eq(look("/dev/dm-0", &torture.env), -ENOMEM);
		ck_assert_uint_eq(place_count, 77);
	}
	torture_env_fail_at(&torture, 0, false);
	ck_assert_int_eq(look("/dev/dm-0", &torture.env), 0);
	ck_assert_uint_eq(place_count, 3);
	torture_env_end(&torture);
}
END_TEST

/* An array that is made of itself, as no kernel would let it be: the list ends all the same. */
START_TEST(stacks_are_followed_so_far_and_no_further)
{
	NEEDS_A_SYSTEM;
	put_device("md0", ARRAY);
	put_link("/sys/devices/md0", "/sys/devices/md0/slaves/md0");
	put_device_node("/dev/md0", ARRAY, 4096);
	ck_assert_int_eq(look("/dev/md0", NULL), 0);
	ck_assert_uint_eq(place_count, 13);
	check_place(0, ARRAY, 0, 4096, false);
	for (unsigned int i = 1; i < 13; i++)
		check_somewhere(i, ARRAY);
}
END_TEST

/* ---- loop devices ---- */

static struct loop_info64 status;

static struct node *put_loop(const char *backing_file, const char *offset)
{
	struct node *node;

	put_device("loop0", LOOP);
	put(backing_file, "/sys/devices/loop0/loop/backing_file");
	if (offset != NULL)
		put(offset, "/sys/devices/loop0/loop/offset");
	node = put_device_node("/dev/loop0", LOOP, 8192);
	memset(&status, 0, sizeof(status));
	status.lo_device = makedev(8, 2);
	status.lo_inode = 17;
	status.lo_rdevice = makedev(8, 2);
	status.lo_offset = 4096;
	node->loop = &status;
	return node;
}

START_TEST(a_loop_device_says_itself_where_it_lies)
{
	NEEDS_A_SYSTEM;
	put_loop("/image\n", "512\n");
	/* By that name there is another file now. */
	put_file_node("/image", makedev(8, 2), 18);
	ck_assert_int_eq(look("/dev/loop0", NULL), 0);
	ck_assert_uint_eq(place_count, 3);
	check_place(0, LOOP, 0, 8192, false);
	check_file(1, makedev(8, 2), 17, 4096);
	check_somewhere(2, makedev(8, 2));
}
END_TEST

/* @_i: why it cannot be asked. */
START_TEST(a_loop_device_that_cannot_be_asked_is_looked_up_by_its_files_name)
{
	struct node *node;

	NEEDS_A_SYSTEM;
	node = put_loop("/image\n", "512\n");
	put_file_node("/image", makedev(8, 2), 18);
	put_device_node("/dev/other", LOOP, 8192);
	if (_i == 0)
		node->open_error = EACCES;
	else if (_i == 1)
		node->loop = NULL;
	else if (_i == 2)
		node->path = "/dev/elsewhere";
	else if (_i == 3)
		node->st.st_rdev = makedev(7, 1);
	else if (_i == 4)
		node->st.st_mode = S_IFREG;
	else
		node->opened = find_node("/image")->st;
	ck_assert_int_eq(look("/dev/other", NULL), 0);
	ck_assert_uint_eq(place_count, 3);
	check_file(1, makedev(8, 2), 18, 512);
}
END_TEST

/* @_i: 0: its file is gone; 1: the offset is not known; 2: nor its name; 3: nor its file. */
START_TEST(a_loop_device_of_which_nothing_is_known_is_only_itself)
{
	char link[400];

	NEEDS_A_SYSTEM;
	put_loop("/image\n", _i == 1 ? NULL : "512\n")->open_error = EACCES;
	put_device_node("/dev/other", LOOP, 8192);
	if (_i != 0)
		put_file_node("/image", makedev(8, 2), 18);
	snprintf(link, sizeof(link), "%s/sys/dev/block/7:0", root);
	if (_i == 2) {
		/* A folder instead of a link. */
		ck_assert_int_eq(unlink(link), 0);
		put("/image\n", "/sys/dev/block/7:0/loop/backing_file");
	}
	snprintf(link, sizeof(link), "%s/sys/devices/loop0/loop/backing_file", root);
	if (_i == 3)
		ck_assert_int_eq(unlink(link), 0);
	ck_assert_int_eq(look("/dev/other", NULL), 0);
	ck_assert_uint_eq(place_count, 1);
	check_place(0, LOOP, 0, 8192, false);
}
END_TEST

/* @_i: 1: by the name of the other device. */
START_TEST(a_loop_device_over_a_device_is_a_range_of_it)
{
	struct node *node;

	NEEDS_A_SYSTEM;
	node = put_loop("/dev/sda\n", "4096\n");
	put_device("sda", DISK);
	put_device_node("/dev/sda", DISK, 1 << 20);
	put_device_node("/dev/other", LOOP, 8192);
	status.lo_device = makedev(0, 6);
	status.lo_rdevice = DISK;
	if (_i == 1)
		node->open_error = EACCES;
	ck_assert_int_eq(look("/dev/other", NULL), 0);
	ck_assert_uint_eq(place_count, 2);
	check_place(1, DISK, 4096, 8192, false);
}
END_TEST

/* ---- file systems with a number of their own ---- */

#define OWN makedev(0, 50)

static void put_mounts(const char *lines)
{
	put(lines, "/proc/self/mountinfo");
}

START_TEST(a_file_of_a_file_system_without_a_device_is_on_what_that_was_mounted_from)
{
	NEEDS_A_SYSTEM;
	put_file_node("/data/index", OWN, 5);
	put_device("sda", DISK);
	put_device_node("/dev/sda", DISK, 1 << 20);
	put_mounts("21 1 0:49 / / rw - tmpfs tmpfs rw\n"
		   "22 21 0:50 / /data rw,noatime shared:1 master:2 - btrfs /dev/sda rw\n");
	ck_assert_int_eq(look("/data/index", NULL), 0);
	ck_assert_uint_eq(place_count, 2);
	check_file(0, OWN, 5, 0);
	check_somewhere(1, DISK);
}
END_TEST

/* Number 32 on a disk, and 33 on another, whose files say that they are on devices of their own. */
static void put_two_file_systems(void)
{
	put_device("sda", DISK);
	put_device("sdb", SECOND);
	put_device_node("/dev/sda", DISK, 1 << 20);
	put_device_node("/dev/sdb", SECOND, 1 << 20);
	put_mounts("32 1 0:50 / /other rw - btrfs /dev/sda rw\n"
		   "33 1 0:60 /part /data rw - btrfs /dev/sdb rw\n");
}

/* A part of a file system that has another number than the mount: the descriptor says which. */
START_TEST(a_file_is_on_the_device_of_its_own_mount)
{
	NEEDS_A_SYSTEM;
	put_file_node("/data/index", OWN, 5);
	put("pos:\t0\nflags:\t0100000\nmnt_id:\t33\nino:\t5\n", "/fdinfo/data/index");
	put_two_file_systems();
	ck_assert_int_eq(look("/data/index", NULL), 0);
	ck_assert_uint_eq(place_count, 2);
	check_somewhere(1, SECOND);
}
END_TEST

START_TEST(a_file_system_in_a_file_is_in_that_file)
{
	NEEDS_A_SYSTEM;
	put_file_node("/data/index", OWN, 5);
	put_file_node("/images/one", makedev(8, 2), 9);
	put_mounts("22 21 0:50 / /data rw - fuse /images/one rw\n");
	ck_assert_int_eq(look("/data/index", NULL), 0);
	ck_assert_uint_eq(place_count, 3);
	check_file(1, makedev(8, 2), 9, 0);
	check_somewhere(2, makedev(8, 2));
}
END_TEST

static const char *const useless_mounts[] = {
	"",
	"22 21 0:51 / /data rw - btrfs /dev/sda rw\n",	    /* another one's */
	"22 21 0:50 / /data rw - tmpfs tmpfs rw\n",	    /* from nothing */
	"22 21 0:50 / /data rw - btrfs /dev/gone rw\n",	    /* from what is not there */
	"22 21 0:50 / /data rw - overlay /folder rw\n",	    /* from a folder */
	"22 21 0:50 / /data rw\n22 21 0:50 / /data rw -\n", /* cut off */
	"22 21 0;50 / /data rw - btrfs /dev/sda rw\n",	    /* no number */
	"x 21 0:50 / /data rw - btrfs /dev/sda rw\n",
	"22 21 0:50 /\n\n \n22",
};

/* @_i: one of those; and none at all. */
START_TEST(a_file_whose_mount_says_nothing_is_only_itself)
{
	NEEDS_A_SYSTEM;
	put_file_node("/data/index", OWN, 5);
	put_device("sda", DISK);
	put_device_node("/dev/sda", DISK, 1 << 20);
	put_node("/folder")->st.st_mode = S_IFDIR;
	if (_i < (int)(sizeof(useless_mounts) / sizeof(useless_mounts[0])))
		put_mounts(useless_mounts[_i]);
	ck_assert_int_eq(look("/data/index", NULL), 0);
	ck_assert_uint_eq(place_count, 1);
	check_file(0, OWN, 5, 0);
}
END_TEST

/* A file system that is mounted from a file of its own: the list ends. */
START_TEST(file_systems_are_followed_so_far_and_no_further)
{
	NEEDS_A_SYSTEM;
	put_file_node("/data/index", OWN, 5);
	put_mounts("22 21 0:50 / /data rw - fuse /data/index rw\n");
	ck_assert_int_eq(look("/data/index", NULL), 0);
	ck_assert_uint_eq(place_count, 13);
	check_file(12, OWN, 5, 0);
}
END_TEST

/*
 * The file of a loop device, which is on a file system with a number of its own. @_i: 0: it is the
 * one by its name, so that its mount is known; 1: another file has that name; 2: it may not be
 * opened; 3: none is told.
 */
START_TEST(the_file_of_a_loop_device_is_on_its_mount_where_that_is_known)
{
	struct node *image;
	char path[400];

	NEEDS_A_SYSTEM;
	put_loop("/data/image\n", "4096\n");
	status.lo_device = status.lo_rdevice = OWN;
	image = put_file_node("/data/image", OWN, _i == 1 ? 18 : 17);
	image->open_error = _i == 2 ? EACCES : 0;
	if (_i != 3)
		put("mnt_id:\t33\n", "/fdinfo/data/image");
	put_two_file_systems();
	ck_assert_int_eq(look("/dev/loop0", NULL), 0);
	ck_assert_uint_eq(place_count, 3);
	check_file(1, OWN, 17, 4096);
	check_somewhere(2, _i == 0 ? SECOND : DISK);
	/* Without the name in /sys the device is asked no more: it is no loop device. */
	snprintf(path, sizeof(path), "%s/sys/devices/loop0/loop/backing_file", root);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(look("/dev/loop0", NULL), 0);
	ck_assert_uint_eq(place_count, 1);
}
END_TEST

/* ---- lines of the list of mounts ---- */

START_TEST(a_line_that_is_too_long_is_cut_and_the_next_one_begins_right)
{
	static char lines[3000];
	struct mount_line line;
	struct reader mounts;
	char longer[700];

	NEEDS_A_SYSTEM;
	memset(longer, 'p', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	snprintf(lines, sizeof(lines),
		 "no mount\n7 1 8:1 / /%s rw o:%s - ext4 /%s rw\n8 1 8:2 / /b rw - x y z", longer,
		 longer, longer);
	put_mounts(lines);
	made_up = true;
	ck_assert(mounts_open(&mounts));
	ck_assert(mounts_next(&mounts, &line));
	ck_assert_int_eq(line.id, 7);
	ck_assert_uint_eq(line.device, makedev(8, 1));
	ck_assert_uint_eq(strlen(line.place), sizeof(line.place) - 1);
	ck_assert_uint_eq(strlen(line.source), sizeof(line.source) - 1);
	ck_assert(mounts_next(&mounts, &line));
	ck_assert_int_eq(line.id, 8);
	ck_assert_str_eq(line.place, "/b");
	ck_assert_str_eq(line.source, "y");
	ck_assert(!mounts_next(&mounts, &line));
	reader_close(&mounts);
	made_up = false;
}
END_TEST

/* ---- users ---- */

static struct uds_message message;

static const char *user_of(dev_t device)
{
	made_up = true;
	message.text[0] = '\0';
	ck_assert_int_eq(file_device_in_use(device, "it", &message), UDS_ERR_IN_USE);
	made_up = false;
	return message.text;
}

static bool has_user(dev_t device)
{
	bool has;

	made_up = true;
	has = file_device_has_user(device);
	made_up = false;
	return has;
}

START_TEST(what_uses_a_device_is_named)
{
	NEEDS_A_SYSTEM;
	put_disk_and_partition("2048\n");
	put_device("sdb", SECOND);
	put_device_node("/dev/sdb", SECOND, 4096);
	put_device("dm-0", MAPPED);
	put_device("md0", ARRAY);
	ck_assert(!has_user(DISK));
	ck_assert_str_eq(user_of(DISK), "it: somebody has it open exclusively");
	/* Held. */
	put_link("/sys/devices/md0", "/sys/devices/sdb/holders/md0");
	ck_assert(has_user(SECOND));
	ck_assert_str_eq(user_of(SECOND), "it: held by md0");
	put_link("/sys/devices/dm-0", "/sys/devices/sda/sda1/holders/dm-0");
	put("vg-data\n", "/sys/devices/dm-0/dm/name");
	ck_assert_str_eq(user_of(PART), "it: held by device-mapper's vg-data (dm-0)");
	/* The disk by its partition; the folder has other things, too. */
	put("", "/sys/devices/sda/queue/nothing");
	ck_assert_str_eq(user_of(DISK),
			 "it: its partition sda1 is held by device-mapper's vg-data (dm-0)");
	ck_assert(has_user(DISK));
	/* A mount says more, by its number or by its source. */
	put_mounts("22 21 8:1 / /data rw - ext4 /dev/sda1 rw\n");
	ck_assert_str_eq(user_of(PART), "it: mounted on /data");
	put_mounts("22 21 0:50 / /more rw - btrfs /dev/sdb rw\n");
	ck_assert_str_eq(user_of(SECOND), "it: mounted on /more");
}
END_TEST

/* @_i: 0: the partition has a folder of holders, which is empty. */
START_TEST(swap_space_and_a_disk_in_use_are_users)
{
	NEEDS_A_SYSTEM;
	put_disk_and_partition("2048\n");
	put_device("sda/sda2", makedev(8, 2));
	put("2\n", "/sys/devices/sda/sda2/partition");
	put_device_node("/dev/sda2", makedev(8, 2), 4096);
	if (_i == 0)
		put_empty_folder("/sys/devices/sda/sda1/holders");
	put("Filename\tType\n/dev/gone partition 1 0 -2\n/dev/sda partition\t1\t0\t-2\n",
	    "/proc/swaps");
	ck_assert_str_eq(user_of(DISK), "it: used as swap space");
	/* Of a partition the disk is a user as well; of another partition it is none. */
	ck_assert(has_user(makedev(8, 2)));
	put("Filename\tType\n/dev/sda2 partition 1 0 -2\n", "/proc/swaps");
	ck_assert_str_eq(user_of(DISK), "it: its partition sda2 is used as swap space");
	ck_assert(has_user(makedev(8, 2)));
}
END_TEST

/* ---- images ---- */

static int check_image(const char *path)
{
	int r;

	made_up = true;
	message.text[0] = '\0';
	r = file_check_image(&find_node(path)->st, path, &message);
	made_up = false;
	ck_assert_int_eq(r == UDS_ERR_IN_USE, r != 0);
	return r;
}

START_TEST(what_uses_an_image_is_named)
{
	NEEDS_A_SYSTEM;
	put_file_node("/image", makedev(8, 2), 17);
	put_file_node("/other", makedev(8, 2), 18);
	put_file_node("/away", makedev(8, 3), 17);
	ck_assert_int_eq(check_image("/image"), 0);
	put_loop("/image\n", "0\n");
	/* Other devices, and one that has no number. */
	put_device("sda", DISK);
	put("none\n", "/sys/devices/loop1/dev");
	put_link("/sys/devices/loop1", "/sys/block/loop1");
	put_device("loop2", makedev(7, 2));
	ck_assert_int_lt(check_image("/image"), 0);
	ck_assert_str_eq(message.text,
			 "/image: is the image of /dev/loop0 (losetup -d detaches it)");
	ck_assert_int_eq(check_image("/other"), 0);
	ck_assert_int_eq(check_image("/away"), 0);
	put_mounts("22 21 7:0 / /data rw - ext4 /dev/loop0 rw\n"
		   "23 21 0:50 / /more rw - fuse /other rw\n");
	ck_assert_int_lt(check_image("/image"), 0);
	ck_assert_str_eq(message.text, "/image: is the image of /dev/loop0: mounted on /data");
	ck_assert_int_lt(check_image("/other"), 0);
	ck_assert_str_eq(message.text, "/other: mounted on /more");
	put("Filename\tType\n/away file 1 0 -2\n", "/proc/swaps");
	ck_assert_int_lt(check_image("/away"), 0);
	ck_assert_str_eq(message.text, "/away: used as swap space");
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("stacks of devices");
	TCase *tcase = tcase_create("a system of the test's own");

#ifdef HAVE_LINUX_FS_H
	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, a_partition_is_a_range_of_its_disk);
	tcase_add_loop_test(tcase, a_partition_of_which_nothing_is_said_is_only_itself, 0, 4);
	tcase_add_test(tcase, a_device_whose_size_cannot_be_had_is_an_error);
	tcase_add_test(tcase, a_linear_device_is_its_ranges_of_others);
	tcase_add_loop_test(tcase,
			    a_device_without_a_linear_table_is_somewhere_on_all_that_it_is_made_of,
			    0, 4);
	tcase_add_test(tcase, places_that_are_not_found_without_memory_are_an_error);
	tcase_add_test(tcase, stacks_are_followed_so_far_and_no_further);
	tcase_add_test(tcase, a_loop_device_says_itself_where_it_lies);
	tcase_add_loop_test(
		tcase, a_loop_device_that_cannot_be_asked_is_looked_up_by_its_files_name, 0, 6);
	tcase_add_loop_test(tcase, a_loop_device_of_which_nothing_is_known_is_only_itself, 0, 4);
	tcase_add_loop_test(tcase, a_loop_device_over_a_device_is_a_range_of_it, 0, 2);
	tcase_add_test(tcase,
		       a_file_of_a_file_system_without_a_device_is_on_what_that_was_mounted_from);
	tcase_add_test(tcase, a_file_is_on_the_device_of_its_own_mount);
	tcase_add_test(tcase, a_file_system_in_a_file_is_in_that_file);
	tcase_add_loop_test(tcase, a_file_whose_mount_says_nothing_is_only_itself, 0,
			    sizeof(useless_mounts) / sizeof(useless_mounts[0]) + 1);
	tcase_add_test(tcase, file_systems_are_followed_so_far_and_no_further);
	tcase_add_loop_test(tcase, the_file_of_a_loop_device_is_on_its_mount_where_that_is_known, 0,
			    4);
	tcase_add_test(tcase, a_line_that_is_too_long_is_cut_and_the_next_one_begins_right);
	tcase_add_test(tcase, what_uses_a_device_is_named);
	tcase_add_loop_test(tcase, swap_space_and_a_disk_in_use_are_users, 0, 2);
	tcase_add_test(tcase, what_uses_an_image_is_named);
#endif
	suite_add_tcase(suite, tcase);
	return run_suite_apart(suite);
}
