/* SPDX-License-Identifier: BSD-2-Clause */
/* What the system says about block devices. */
#include "io/sysfs.h"

#include <errno.h>
#include <limits.h>
#ifdef HAVE_LINUX_FS_H
#include <linux/loop.h>
#endif
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <fcntl.h>

#include "io/descriptor.h"

bool sysfs_read_line(const char *path, char *line, size_t room)
{
	struct reader reader;
	bool good;

	if (!reader_open(&reader, path))
		return false;
	good = reader_next_line(&reader, line, room);
	reader_close(&reader);
	return good;
}

struct sysfs_path sysfs_path(dev_t device, const char *rest)
{
	struct sysfs_path path;

	snprintf(path.text, sizeof(path.text), "/sys/dev/block/%u:%u%s", major(device),
		 minor(device), rest);
	return path;
}

bool sysfs_read_number(dev_t device, const char *rest, uint64_t *ret_number)
{
	char line[64];

	return sysfs_read_line(sysfs_path(device, rest).text, line, sizeof(line)) &&
	       sscanf(line, "%llu", (unsigned long long *)ret_number) == 1;
}

bool sysfs_read_device(const char *path, dev_t *ret_device)
{
	unsigned int major_number, minor_number;
	char line[64];

	if (!sysfs_read_line(path, line, sizeof(line)) ||
	    sscanf(line, "%u:%u", &major_number, &minor_number) != 2)
		return false;
	*ret_device = makedev(major_number, minor_number);
	return true;
}

bool sysfs_is_partition(dev_t device, dev_t *ret_disk)
{
	uint64_t number;

	/* The folder of a partition lies in the folder of its disk. */
	return sysfs_read_number(device, "/partition", &number) &&
	       sysfs_read_device(sysfs_path(device, "/../dev").text, ret_disk);
}

#ifdef HAVE_LINUX_FS_H
/*
 * The file by the device itself, which knows it whatever became of its name.
 *
 * The ways to find the file of a loop device are not inlined, so that their buffers
 * share the stack.
 */
static __attribute__((noinline)) bool ask_loop(dev_t device, const char *name,
					       struct loop_backing *info)
{
	struct loop_info64 said;
	char path[80];
	struct stat st;
	bool good;
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	/* The name may be another device's by now, or no device's. */
	if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != device)
		return false;
	fd = descriptor_open(path, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return false;
	/* Asked again of the open descriptor, which cannot change any more. */
	good = fstat(fd, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == device &&
	       ioctl(fd, LOOP_GET_STATUS64, &said) == 0;
	close(fd);
	if (!good)
		return false;
	info->file_device = (dev_t)said.lo_device;
	info->file_inode = (ino_t)said.lo_inode;
	/* Of a file both are the device of its file system. */
	info->below = said.lo_rdevice != said.lo_device ? (dev_t)said.lo_rdevice : 0;
	info->offset = said.lo_offset;
	return true;
}

#else
static bool ask_loop(dev_t device, const char *name, struct loop_backing *info)
{
	(void)device, (void)name, (void)info;
	return false;
}
#endif

/*
 * The file by its name, where the device may not be opened. A name of several thousand bytes is not
 * looked for: it would need too much stack.
 */
static __attribute__((noinline)) bool look_up_loop(dev_t device, struct loop_backing *info)
{
	char file[1024];
	struct stat st;

	if (!sysfs_read_line(sysfs_path(device, "/loop/backing_file").text, file, sizeof(file)) ||
	    stat(file, &st) < 0 || !sysfs_read_number(device, "/loop/offset", &info->offset))
		return false;
	info->file_device = st.st_dev;
	info->file_inode = st.st_ino;
	info->below = S_ISBLK(st.st_mode) ? st.st_rdev : 0;
	return true;
}

/* loop0, from the name that the link of its number leads to. */
static __attribute__((noinline)) bool loop_name(dev_t device, char *ret_name, size_t room)
{
	char link[512];
	const char *name;
	ssize_t n;

	n = readlink(sysfs_path(device, "").text, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	name = strrchr(link, '/');
	snprintf(ret_name, room, "%.63s", name == NULL ? link : name + 1);
	return true;
}

bool loop_backing_of(dev_t device, struct loop_backing *ret_info)
{
	struct loop_backing info = { .device = device };

	if (access(sysfs_path(device, "/loop/backing_file").text, R_OK) < 0 ||
	    !loop_name(device, info.name, sizeof(info.name)))
		return false;
	/* By the device where it may be opened: a name may lead elsewhere by now. */
	if (!ask_loop(device, info.name, &info) && !look_up_loop(device, &info))
		return false;
	*ret_info = info;
	return true;
}

bool loop_backing_find(dev_t file_device, ino_t file_inode, unsigned int nth,
		       struct loop_backing *ret_info)
{
	struct loop_backing info;
	struct reader reader;
	bool found = false;
	const char *name;

	if (!reader_open_directory(&reader, "/sys/block"))
		return false;
	while (!found && (name = reader_next_name(&reader)) != NULL) {
		char path[300];
		dev_t device;

		if (strncmp(name, "loop", 4) != 0)
			continue;
		snprintf(path, sizeof(path), "/sys/block/%s/dev", name);
		found = sysfs_read_device(path, &device) && loop_backing_of(device, &info) &&
			info.file_device == file_device && info.file_inode == file_inode &&
			nth-- == 0;
	}
	reader_close(&reader);
	if (found)
		*ret_info = info;
	return found;
}

bool mounts_open(struct reader *mounts)
{
	return reader_open(mounts, "/proc/self/mountinfo");
}

/*
 * The next word of a line, cut to fit. Returns what is behind it: a blank, a newline, or
 * -1 at the end.
 */
static int read_word(struct reader *reader, char *word, size_t room)
{
	size_t length = 0;
	int c;

	while ((c = reader_next_byte(reader)) != ' ' && c != '\n' && c >= 0) {
		if (length + 1 < room)
			word[length++] = (char)c;
	}
	word[length] = '\0';
	return c;
}

/*
 * One line: "id parent major:minor root place options... - type source options". Read word by word,
 * because a line may have several thousand bytes. False when it is not such a line.
 */
static bool read_mount(struct reader *mounts, int *end, struct mount_line *ret_line)
{
	unsigned int major_number = 0, minor_number = 0, behind = 0;
	bool good = true;
	char word[64];

	ret_line->place[0] = '\0';
	ret_line->source[0] = '\0';
	/*
	 * Words are counted: the fields in front have fixed places, those behind a dash of any
	 * number of options.
	 */
	*end = ' ';
	for (unsigned int n = 0; *end == ' '; n++) {
		if (n == 4)
			*end = read_word(mounts, ret_line->place, sizeof(ret_line->place));
		else if (behind == 2)
			*end = read_word(mounts, ret_line->source, sizeof(ret_line->source));
		else
			*end = read_word(mounts, word, sizeof(word));
		if (n == 0)
			good = sscanf(word, "%d", &ret_line->id) == 1;
		else if (n == 2)
			good = good && sscanf(word, "%u:%u", &major_number, &minor_number) == 2;
		if (behind > 0 || (n > 4 && strcmp(word, "-") == 0))
			behind++;
	}
	ret_line->device = makedev(major_number, minor_number);
	return good && ret_line->place[0] != '\0';
}

bool mounts_next(struct reader *mounts, struct mount_line *ret_line)
{
	int end = ' ';

	while (end >= 0) {
		if (read_mount(mounts, &end, ret_line))
			return true;
	}
	return false;
}
