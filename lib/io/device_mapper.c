/* SPDX-License-Identifier: BSD-2-Clause */
/* Asks device-mapper for the table of a device. */
#include "io/device_mapper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/env.h"
#include "io/block_device.h"
#include "io/descriptor.h"
#include "io/sysfs.h"

#ifdef HAVE_LINUX_FS_H
#include <fcntl.h>
#include <linux/dm-ioctl.h>

/* What the kernel fills: its header, then a target after the other, each with its words. */
union answer {
	struct dm_ioctl header;
	char bytes[16384];
};

static bool ask(dev_t device, union answer *answer)
{
	struct dm_ioctl *header = &answer->header;
	int fd, r;

	fd = descriptor_open("/dev/mapper/control", O_RDWR);
	if (fd < 0)
		return false;
	memset(answer, 0, sizeof(*answer));
	header->version[0] = 4;
	header->data_size = sizeof(*answer);
	header->data_start = sizeof(*header);
	header->dev = device;
	/* NOFLUSH: asking must not make the device write anything out. */
	header->flags = DM_STATUS_TABLE_FLAG | DM_NOFLUSH_FLAG;
	r = ioctl(fd, DM_TABLE_STATUS, header);
	close(fd);
	/*
	 * A table that is too long is as good as none: the caller then takes the device as a whole.
	 */
	return r == 0 && (header->flags & DM_BUFFER_FULL_FLAG) == 0;
}

/* The target at @at; false when it does not fit into the answer or is not linear. */
static bool take(const union answer *answer, size_t at, struct dm_linear *ret_target,
		 size_t *ret_next)
{
	unsigned int major_number, minor_number;
	unsigned long long sector;
	struct dm_target_spec spec;

	/* Offsets come from the kernel, but are not followed out of the buffer. */
	if (at > sizeof(*answer) - sizeof(spec) - 1)
		return false;
	memcpy(&spec, answer->bytes + at, sizeof(spec));
	if (strncmp(spec.target_type, "linear", sizeof(spec.target_type)) != 0 ||
	    sscanf(answer->bytes + at + sizeof(spec), "%u:%u %llu", &major_number, &minor_number,
		   &sector) != 3)
		return false;
	ret_target->begin = (uint64_t)spec.sector_start * 512;
	ret_target->length = (uint64_t)spec.length * 512;
	ret_target->device = makedev(major_number, minor_number);
	ret_target->offset = (uint64_t)sector * 512;
	*ret_next = answer->header.data_start + (size_t)spec.next;
	return true;
}

/* Returns how many targets there are, all of them linear; else 0. */
static int take_all(const union answer *answer, struct dm_linear *ret_targets)
{
	size_t at = answer->header.data_start;

	if (answer->header.target_count > DM_LINEAR_MAX)
		return 0;
	for (uint32_t i = 0; i < answer->header.target_count; i++) {
		if (!take(answer, at, &ret_targets[i], &at))
			return 0;
	}
	return (int)answer->header.target_count;
}

int dm_read_linear(const struct uds_env *env, dev_t device, struct dm_linear **ret_targets)
{
	struct dm_linear *targets;
	union answer *answer;
	char name[256];
	int count = -ENOMEM;

	/* No name, no device-mapper: nothing is opened for other devices. */
	if (!sysfs_read_line(sysfs_path(device, "/dm/name").text, name, sizeof(name)))
		return 0;
	targets = env_allocate(env, DM_LINEAR_MAX, sizeof(*targets));
	answer = env_allocate(env, 1, sizeof(*answer));
	if (targets != NULL && answer != NULL) {
		count = 0;
		if (ask(device, answer)) {
			/* The words of a target are a string, which may reach to the end. */
			answer->bytes[sizeof(*answer) - 1] = '\0';
			count = take_all(answer, targets);
		}
	}
	env_release(env, answer);
	if (count > 0)
		*ret_targets = targets;
	else
		env_release(env, targets);
	return count;
}
#else
int dm_read_linear(const struct uds_env *env, dev_t device, struct dm_linear **ret_targets)
{
	(void)env, (void)device, (void)ret_targets;
	return 0;
}
#endif
