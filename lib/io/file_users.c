/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The users of a block device, or of a file as the image of one: mounts, swap space, device-mapper
 * and the like, loop devices. For the sentence that names them, and to tell what others may change.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/message.h"
#include "io/file.h"
#include "io/sysfs.h"

/* Beside each other on the stack of the function that asks them all, not at once. */
#define LEAF __attribute__((noinline))

/* The first thing stacked on the device, by the name its users know: a dm name, or md0. */
static LEAF bool find_holder(dev_t device, char *ret_name, size_t room)
{
	char path[320], line[128];
	struct reader reader;
	const char *holder;

	if (!reader_open_directory(&reader, sysfs_path(device, "/holders").text))
		return false;
	holder = reader_next_name(&reader);
	reader_close(&reader);
	if (holder == NULL)
		return false;
	snprintf(path, sizeof(path), "/sys/block/%s/dm/name", holder);
	if (sysfs_read_line(path, line, sizeof(line)))
		snprintf(ret_name, room, "device-mapper's %s (%s)", line, holder);
	else
		snprintf(ret_name, room, "%s", holder);
	return true;
}

/* Whether a word of a list names what @st is: this device, or this file. */
static bool is_named(const char *word, const struct stat *st)
{
	struct stat named;

	/* By what it is and not by its name: a device has many names. */
	if (word[0] != '/' || stat(word, &named) < 0 ||
	    (named.st_mode & S_IFMT) != (st->st_mode & S_IFMT))
		return false;
	if (S_ISBLK(st->st_mode))
		return named.st_rdev == st->st_rdev;
	return named.st_dev == st->st_dev && named.st_ino == st->st_ino;
}

/* Some file systems have a device number of their own; then the source of the mount tells. */
static LEAF bool find_mount(const struct stat *st, char *ret_place, size_t room)
{
	struct mount_line line;
	struct reader mounts;
	bool found = false;

	if (!mounts_open(&mounts))
		return false;
	while (!found && mounts_next(&mounts, &line))
		found = (S_ISBLK(st->st_mode) && line.device == st->st_rdev) ||
			is_named(line.source, st);
	reader_close(&mounts);
	if (found)
		snprintf(ret_place, room, "%.255s", line.place);
	return found;
}

/* A name of more than a thousand bytes is not recognised: it would need too much stack. */
static LEAF bool is_swap(const struct stat *st)
{
	char line[1024];
	struct reader swaps;
	bool found = false;

	if (!reader_open(&swaps, "/proc/swaps"))
		return false;
	while (!found && reader_next_line(&swaps, line, sizeof(line))) {
		/* The first word; that of the heading is no path, so it never matches. */
		line[strcspn(line, " \t")] = '\0';
		found = is_named(line, st);
	}
	reader_close(&swaps);
	return found;
}

/* What uses this very device, as the end of a sentence. */
static bool find_user(dev_t device, char *ret_use, size_t room)
{
	const struct stat st = { .st_mode = S_IFBLK, .st_rdev = device };
	char name[420];

	if (find_mount(&st, name, sizeof(name)))
		snprintf(ret_use, room, "mounted on %s", name);
	else if (find_holder(device, name, sizeof(name)))
		snprintf(ret_use, room, "held by %s", name);
	else if (is_swap(&st))
		snprintf(ret_use, room, "used as swap space");
	else
		return false;
	return true;
}

/* The @nth partition of a disk, from 0 on. */
static LEAF bool find_partition(dev_t disk, unsigned int nth, dev_t *ret_part, char *ret_name,
				size_t room)
{
	const struct sysfs_path folder = sysfs_path(disk, "");
	struct reader reader;
	bool found = false;
	const char *name;
	char path[640];
	dev_t whole;

	if (!reader_open_directory(&reader, folder.text))
		return false;
	while (!found && (name = reader_next_name(&reader)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s/dev", folder.text, name);
		found = sysfs_read_device(path, ret_part) &&
			sysfs_is_partition(*ret_part, &whole) && nth-- == 0;
		if (found)
			snprintf(ret_name, room, "%s", name);
	}
	reader_close(&reader);
	return found;
}

/* A disk is in use when one of its partitions is. */
static bool find_partition_user(dev_t disk, char *ret_use, size_t room)
{
	char name[64], use[450];
	dev_t part;

	for (unsigned int n = 0; find_partition(disk, n, &part, name, sizeof(name)); n++) {
		if (find_user(part, use, sizeof(use))) {
			snprintf(ret_use, room, "its partition %s is %s", name, use);
			return true;
		}
	}
	return false;
}

static bool find_device_user(dev_t device, char *ret_use, size_t room)
{
	return find_user(device, ret_use, room) || find_partition_user(device, ret_use, room);
}

int file_device_in_use(dev_t device, const char *path, struct uds_message *message)
{
	char use[750];

	if (find_device_user(device, use, sizeof(use)))
		return failure(message, UDS_ERR_IN_USE, "%s: %s", path, use);
	return failure(message, UDS_ERR_IN_USE, "%s: somebody has it open exclusively", path);
}

bool file_device_has_user(dev_t device)
{
	/* A disk and its partitions share their bytes, and each has a page cache of its own. */
	char use[750];
	dev_t disk;

	return find_device_user(device, use, sizeof(use)) ||
	       (sysfs_is_partition(device, &disk) && find_user(disk, use, sizeof(use)));
}

/* The loop devices over a file: one that is in use itself says more than others. */
static int check_loops(const struct stat *st, const char *path, struct uds_message *message)
{
	struct loop_backing loop;
	char use[750];

	for (unsigned int i = 0; loop_backing_find(st->st_dev, st->st_ino, i, &loop); i++) {
		if (find_device_user(loop.device, use, sizeof(use)))
			return failure(message, UDS_ERR_IN_USE, "%s: is the image of /dev/%s: %s",
				       path, loop.name, use);
	}
	/*
	 * The search has ended behind the last one: for the sentence the first is looked up again.
	 */
	if (!loop_backing_find(st->st_dev, st->st_ino, 0, &loop))
		return 0;
	return failure(message, UDS_ERR_IN_USE,
		       "%s: is the image of /dev/%s (losetup -d detaches it)", path, loop.name);
}

int file_check_image(const struct stat *st, const char *path, struct uds_message *message)
{
	char place[420];
	int r;

	/* Loops first: a mounted image is mounted through one, whose name tells the user more. */
	r = check_loops(st, path, message);
	if (r < 0)
		return r;
	if (find_mount(st, place, sizeof(place)))
		return failure(message, UDS_ERR_IN_USE, "%s: mounted on %s", path, place);
	if (is_swap(st))
		return failure(message, UDS_ERR_IN_USE, "%s: used as swap space", path);
	return 0;
}
