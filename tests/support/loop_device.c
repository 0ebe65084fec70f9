/* SPDX-License-Identifier: BSD-2-Clause */
/* Loop devices, by the ioctls that losetup uses. */
#include "loop_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef LOOP_CONFIGURE
#define LOOP_CONFIGURE 0x4C0A
struct loop_config {
	__u32 fd;
	__u32 block_size;
	struct loop_info64 info;
	__u64 __reserved[8];
};
#endif

static int attach(int file, unsigned int sector_bytes, bool read_only, uint64_t offset,
		  uint64_t limit, struct loop_device *loop, char *ret_reason, size_t room)
{
	struct loop_config config;
	int control, number;

	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0) {
		snprintf(ret_reason, room, "no loop devices: /dev/loop-control: %s",
			 strerror(errno));
		return -1;
	}
	memset(&config, 0, sizeof(config));
	config.fd = (__u32)file;
	config.block_size = sector_bytes;
	config.info.lo_offset = offset;
	config.info.lo_sizelimit = limit;
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0);
	/* Another test may take the free one first: then the next. */
	for (int tries = 0; tries < 20; tries++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			break;
		snprintf(loop->path, sizeof(loop->path), "/dev/loop%d", number);
		loop->fd = open(loop->path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
		if (loop->fd < 0)
			break;
		if (ioctl(loop->fd, LOOP_CONFIGURE, &config) == 0) {
			close(control);
			return 0;
		}
		close(loop->fd);
		if (errno != EBUSY)
			break;
	}
	snprintf(ret_reason, room, "no loop device with %u-byte sectors: %s", sector_bytes,
		 strerror(errno));
	close(control);
	return -1;
}

int loop_attach(const char *file, uint64_t bytes, unsigned int sector_bytes, bool read_only,
		struct loop_device *ret_loop, char *ret_reason, size_t room)
{
	int fd, r;

	fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0) {
		snprintf(ret_reason, room, "%s: %s", file, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	r = attach(fd, sector_bytes, read_only, 0, 0, ret_loop, ret_reason, room);
	close(fd);
	return r;
}

int loop_attach_over(const char *file, uint64_t offset, uint64_t limit,
		     struct loop_device *ret_loop, char *ret_reason, size_t room)
{
	int fd, r;

	fd = open(file, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		snprintf(ret_reason, room, "%s: %s", file, strerror(errno));
		return -1;
	}
	r = attach(fd, 512, false, offset, limit, ret_loop, ret_reason, room);
	close(fd);
	return r;
}

void loop_detach(struct loop_device *loop)
{
	close(loop->fd);
}
