/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who uses a block device, or a file as the image of one: mounts, swap space, device-mapper and the
 * like, loop devices. For the sentence that names them, and to tell what others may change.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/message.h"
#include "io/descriptor.h"
#include "io/file.h"
#include "io/sysfs.h"

/* Beside each other on the stack of whoever asks them all, not at once. */
#define LEAF __attribute__((noinline))

/* The first thing stacked on the device, by the name its users know: a dm name, or md0. */
static LEAF bool find_holder(dev_t device, char *ret_name, size_t room)
{
	char path[320], line[128];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	dir = descriptor_open_directory(sysfs_path(device, "/holders").text);
	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		found = true;
		snprintf(path, sizeof(path), "/sys/block/%s/dm/name", entry->d_name);
		if (sysfs_read_line(path, line, sizeof(line)))
			snprintf(ret_name, room, "device-mapper's %s (%s)", line, entry->d_name);
		else
			snprintf(ret_name, room, "%s", entry->d_name);
	}
	closedir(dir);
	return found;
}

/* Whether a word of a list names what @st is: this device, or this file. */
static bool is_named(const char *word, const struct stat *st)
{
	struct stat named;

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
	bool found = false;
	FILE *mounts;

	mounts = mounts_open();
	if (mounts == NULL)
		return false;
	while (!found && mounts_next(mounts, &line))
		found = (S_ISBLK(st->st_mode) && line.device == st->st_rdev) ||
			is_named(line.source, st);
	fclose(mounts);
	if (found)
		snprintf(ret_place, room, "%.255s", line.place);
	return found;
}

/* A name of more than a thousand bytes is not recognised: it would need too much stack. */
static LEAF bool is_swap(const struct stat *st)
{
	char line[1024];
	bool found = false;
	FILE *f;

	f = descriptor_open_stream("/proc/swaps");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, " \t\n")] = '\0';
		found = is_named(line, st);
	}
	fclose(f);
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

/* A disk is in use when one of its partitions is. */
static bool find_partition_user(dev_t disk, char *ret_use, size_t room)
{
	char path[640], use[450];
	const struct sysfs_path folder = sysfs_path(disk, "");
	struct dirent *entry;
	bool found = false;
	dev_t part, whole;
	DIR *dir;

	dir = descriptor_open_directory(folder.text);
	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s/dev", folder.text, entry->d_name);
		if (entry->d_name[0] == '.' || !sysfs_read_device(path, &part) ||
		    !sysfs_is_partition(part, &whole))
			continue;
		found = find_user(part, use, sizeof(use));
		if (found)
			snprintf(ret_use, room, "its partition %s is %s", entry->d_name, use);
	}
	closedir(dir);
	return found;
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
	if (!loop_backing_find(st->st_dev, st->st_ino, 0, &loop))
		return 0;
	return failure(message, UDS_ERR_IN_USE,
		       "%s: is the image of /dev/%s (losetup -d detaches it)", path, loop.name);
}

int file_check_image(const struct stat *st, const char *path, struct uds_message *message)
{
	char place[420];
	int r;

	r = check_loops(st, path, message);
	if (r < 0)
		return r;
	if (find_mount(st, place, sizeof(place)))
		return failure(message, UDS_ERR_IN_USE, "%s: mounted on %s", path, place);
	if (is_swap(st))
		return failure(message, UDS_ERR_IN_USE, "%s: used as swap space", path);
	return 0;
}
