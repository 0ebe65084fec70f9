/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The identity of a file or block device: every place where its bytes are known to lie, from the
 * thing itself down to what it stands on.
 *
 *	a file		   somewhere on the device of its file system
 *	a loop device	   a range of its file, and what is below that
 *	a partition	   a range of its disk, and what is below that
 *	device-mapper	   of linear targets the ranges; else somewhere on what it is made of
 *
 * Where the system does not tell, the list ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/env.h"
#include "io/descriptor.h"
#include "io/device_mapper.h"
#include "io/file.h"
#include "io/sysfs.h"

/* Stacks that are deeper than this are followed no further. */
#define MAX_DEPTH 12

#define TO_THE_END UINT64_MAX

/*
 * What follows a stack of devices calls itself: what such a function needs more than a few words of
 * memory for must not become part of it.
 */
#define LEAF __attribute__((noinline))

struct collector {
	const struct uds_env *env;
	struct uds_io_place *places;
	size_t room;
	size_t count;
	unsigned int depth;
	int status; /* -ENOMEM: not everything was found */
};

/* A range of the thing that is looked at; @within: only somewhere in it. */
struct range {
	uint64_t offset;
	uint64_t length;
	bool within;
};

static const struct range somewhere = { 0, TO_THE_END, true };

static void add_device(struct collector *c, dev_t device, struct range range);

static void add(struct collector *c, uint32_t kind, uint64_t device, uint64_t object,
		struct range range)
{
	if (c->count < c->room) {
		struct uds_io_place *place = &c->places[c->count];

		memset(place, 0, sizeof(*place));
		place->kind = kind;
		place->within = range.within;
		place->device = device;
		place->object = object;
		place->offset = range.offset;
		place->length = range.length;
	}
	/* Counted even without room: the caller learns how many there are. */
	c->count++;
}

/*
 * What a file system was mounted from, when its number is not the device's. @mount: which mount it
 * is, where that is known (a file system may give each of its parts a number of its own); else 0.
 */
static LEAF bool mount_source(dev_t device, int mount, struct stat *ret_st)
{
	struct mount_line line;
	struct reader mounts;
	bool found = false;

	if (!mounts_open(&mounts))
		return false;
	while (!found && mounts_next(&mounts, &line))
		found = (mount != 0 ? line.id == mount : line.device == device) &&
			line.source[0] == '/' && stat(line.source, ret_st) == 0 &&
			(S_ISBLK(ret_st->st_mode) || S_ISREG(ret_st->st_mode));
	reader_close(&mounts);
	return found;
}

static void add_file(struct collector *c, dev_t device, ino_t inode, int mount, struct range range)
{
	struct stat source;

	add(c, UDS_IO_PLACE_FILE, device, inode, range);
	/* Whatever lies below is not known; the list is right as far as it goes. */
	if (c->depth == MAX_DEPTH)
		return;
	/* Deeper by one while this is looked at, so that a loop of devices ends. */
	c->depth++;
	/*
	 * Major 0 is a number of the file system's own (btrfs, say): the mount tells what is below.
	 */
	if (major(device) != 0)
		add_device(c, device, somewhere);
	else if (mount_source(device, mount, &source) && S_ISBLK(source.st_mode))
		add_device(c, source.st_rdev, somewhere);
	else if (mount_source(device, mount, &source))
		add_file(c, source.st_dev, source.st_ino, 0, somewhere);
	c->depth--;
}

/* @range of a thing that lies at @offset of another. */
static struct range moved(struct range range, uint64_t offset)
{
	range.offset += offset;
	return range;
}

static bool add_linear_targets(struct collector *c, dev_t device, struct range range)
{
	struct range part = range;
	struct dm_linear *targets;
	int count;

	count = dm_read_linear(c->env, device, &targets);
	if (count < 0)
		c->status = count;
	if (count <= 0)
		return false;
	for (int i = 0; i < count; i++) {
		if (dm_through_linear(&targets[i], range.offset, range.length, &part.offset,
				      &part.length))
			add_device(c, targets[i].device, part);
	}
	env_release(c->env, targets);
	return true;
}

static LEAF bool slave_device(const char *name, dev_t *ret_device)
{
	char path[300];

	snprintf(path, sizeof(path), "/sys/class/block/%s/dev", name);
	return sysfs_read_device(path, ret_device);
}

/* The @nth of what the device is made of, from 0 on. */
static LEAF bool find_slave(dev_t device, unsigned int nth, dev_t *ret_slave)
{
	struct reader reader;
	bool found = false;
	const char *name;

	if (!reader_open_directory(&reader, sysfs_path(device, "/slaves").text))
		return false;
	while (!found && (name = reader_next_name(&reader)) != NULL)
		found = slave_device(name, ret_slave) && nth-- == 0;
	reader_close(&reader);
	return found;
}

/* The list is read again for each: an open one would stay on the stack of all that is below. */
static void add_slaves(struct collector *c, dev_t device)
{
	dev_t slave;

	for (unsigned int n = 0; find_slave(device, n, &slave); n++)
		add_device(c, slave, somewhere);
}

static LEAF bool partition_of(dev_t device, dev_t *ret_disk, uint64_t *ret_start)
{
	return sysfs_is_partition(device, ret_disk) &&
	       sysfs_read_number(device, "/start", ret_start);
}

/* The mount that an open file belongs to; 0: not known. */
static int mount_of(int fd)
{
	char path[64], line[128];
	struct reader reader;
	int mount = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (!reader_open(&reader, path))
		return 0;
	while (mount == 0 && reader_next_line(&reader, line, sizeof(line)))
		(void)sscanf(line, "mnt_id: %d", &mount);
	reader_close(&reader);
	return mount;
}

/*
 * The mount that the file of a loop device belongs to, where its file system has numbers of its
 * own; 0: not known, since the file's name leads elsewhere by now.
 */
static LEAF int mount_of_loop(const struct loop_backing *loop)
{
	char name[1024];
	struct stat st;
	int fd, mount = 0;

	/* A file system on a device of its own needs no look at its mounts. */
	if (major(loop->file_device) != 0 ||
	    !sysfs_read_line(sysfs_path(loop->device, "/loop/backing_file").text, name,
			     sizeof(name)))
		return 0;
	/*
	 * O_PATH: only asked what it is, so that opening it has no effect, and needs no
	 * right to read.
	 */
	fd = descriptor_open(name, O_PATH);
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && st.st_dev == loop->file_device && st.st_ino == loop->file_inode)
		mount = mount_of(fd);
	close(fd);
	return mount;
}

static void add_device(struct collector *c, dev_t device, struct range range)
{
	struct loop_backing loop;
	uint64_t start;
	bool is_loop;
	dev_t disk;

	add(c, UDS_IO_PLACE_DEVICE, device, 0, range);
	if (c->depth == MAX_DEPTH)
		return;
	c->depth++;
	/* A loop device may lie over another device instead of a file: then @below is that. */
	is_loop = loop_backing_of(device, &loop);
	if (is_loop && loop.below != 0)
		add_device(c, loop.below, moved(range, loop.offset));
	else if (is_loop)
		add_file(c, loop.file_device, loop.file_inode, mount_of_loop(&loop),
			 moved(range, loop.offset));
	else if (partition_of(device, &disk, &start))
		add_device(c, disk, moved(range, start * 512));
	else if (!add_linear_targets(c, device, range))
		add_slaves(c, device);
	c->depth--;
}

int file_identity(void *context, struct uds_io_place *ret_places, size_t room, size_t *ret_count)
{
	struct file_io *file = context;
	struct collector c = { .env = &file->env, .places = ret_places, .room = room };
	struct range whole = { 0, 0, false };
	struct stat st;
	int r;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	/* A file may grow; a device is known to end. */
	whole.length = TO_THE_END;
	if (file->block_device) {
		r = file_get_size(file, &whole.length);
		if (r < 0)
			return r;
		add_device(&c, st.st_rdev, whole);
	} else {
		add_file(&c, st.st_dev, st.st_ino, mount_of(file->fd), whole);
	}
	if (c.status < 0)
		return c.status;
	*ret_count = c.count;
	return 0;
}
