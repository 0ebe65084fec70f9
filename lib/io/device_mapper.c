/* SPDX-License-Identifier: BSD-2-Clause */
/* Asks device-mapper for the table of a device, and follows it. */
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
	/* The interface's first minor version: a kernel takes all up to its own. */
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
static bool take(const char *answer, size_t length, size_t at, struct dm_linear *ret_target,
		 size_t *ret_next)
{
	unsigned int major_number, minor_number;
	unsigned long long sector;
	struct dm_target_spec spec;

	/* Offsets come from the kernel, but are not followed out of the buffer. */
	if (at >= length || length - at <= sizeof(spec))
		return false;
	memcpy(&spec, answer + at, sizeof(spec));
	if (strncmp(spec.target_type, "linear", sizeof(spec.target_type)) != 0 ||
	    sscanf(answer + at + sizeof(spec), "%u:%u %llu", &major_number, &minor_number,
		   &sector) != 3)
		return false;
	ret_target->begin = (uint64_t)spec.sector_start * 512;
	ret_target->length = (uint64_t)spec.length * 512;
	ret_target->device = makedev(major_number, minor_number);
	ret_target->offset = (uint64_t)sector * 512;
	/* In an answer this counts from the first target on, not from this one. */
	*ret_next = spec.next;
	return true;
}

int dm_parse_linear(const void *answer, size_t length, struct dm_linear *ret_targets)
{
	struct dm_ioctl header;
	size_t next = 0;

	memcpy(&header, answer, sizeof(header));
	if (header.target_count > DM_LINEAR_MAX)
		return 0;
	for (uint32_t i = 0; i < header.target_count; i++) {
		if (!take(answer, length, header.data_start + next, &ret_targets[i], &next))
			return 0;
	}
	return (int)header.target_count;
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
			count = dm_parse_linear(answer, sizeof(*answer), targets);
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

int dm_parse_linear(const void *answer, size_t length, struct dm_linear *ret_targets)
{
	(void)answer, (void)length, (void)ret_targets;
	return 0;
}
#endif

bool dm_through_linear(const struct dm_linear *target, uint64_t offset, uint64_t length,
		       uint64_t *ret_offset, uint64_t *ret_length)
{
	uint64_t end = length == UINT64_MAX ? UINT64_MAX : offset + length;
	uint64_t target_end = target->begin + target->length;
	uint64_t from = offset > target->begin ? offset : target->begin;
	uint64_t to = end < target_end ? end : target_end;

	if (from >= to)
		return false;
	*ret_offset = from - target->begin + target->offset;
	*ret_length = to - from;
	return true;
}
