/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the system says about block devices: /sys, the list of mounts, and the ioctls of loop
 * devices and device-mapper. All of it is optional: where something cannot be read it is not known.
 */
#ifndef IO_SYSFS_H
#define IO_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/readers.h"

/* Reads a file of one line, without its newline. False when there is none. */
bool sysfs_read_line(const char *path, char *line, size_t room);

/* "/sys/dev/block/M:m" with what follows. */
struct sysfs_path {
	char text[320];
};
struct sysfs_path sysfs_path(dev_t device, const char *rest);

bool sysfs_read_number(dev_t device, const char *rest, uint64_t *ret_number);

/* The number of a device from a file like .../dev. */
bool sysfs_read_device(const char *path, dev_t *ret_device);

/* Whether it is a partition; @ret_disk: of what. */
bool sysfs_is_partition(dev_t device, dev_t *ret_disk);

/* What a loop device lies on. */
struct loop_backing {
	dev_t device;
	char name[64];	   /* loop0 */
	dev_t below;	   /* the block device that it lies on instead of a file; else 0 */
	dev_t file_device; /* st_dev and st_ino of the file, or of the device's node */
	ino_t file_inode;
	uint64_t offset; /* bytes: where in the file it begins */
};

/* False when it is none, has no file, or its file cannot be told. */
bool loop_backing_of(dev_t device, struct loop_backing *ret_info);

/* The @nth loop device over this file, from 0 on. */
bool loop_backing_find(dev_t file_device, ino_t file_inode, unsigned int nth,
		       struct loop_backing *ret_info);

/* One line of /proc/self/mountinfo. */
struct mount_line {
	int id;
	dev_t device;
	char place[512];  /* as the file writes it: \040 for a blank */
	char source[512]; /* a device, a file, or any word */
};

bool mounts_open(struct reader *mounts);
bool mounts_next(struct reader *mounts, struct mount_line *ret_line);

#endif
