/* SPDX-License-Identifier: BSD-2-Clause */
/* What the system says about block devices. */
#include "io/sysfs.h"

#include <errno.h>
#include <limits.h>
#ifdef HAVE_LINUX_FS_H
#include <linux/loop.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <fcntl.h>

#include "io/descriptor.h"

bool sysfs_read_line(const char *path, char *line, int room)
{
	FILE *f = descriptor_open_stream(path);
	bool good;

	if (f == NULL)
		return false;
	good = fgets(line, room, f) != NULL;
	fclose(f);
	if (good)
		line[strcspn(line, "\n")] = '\0';
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

	return sysfs_read_number(device, "/partition", &number) &&
	       sysfs_read_device(sysfs_path(device, "/../dev").text, ret_disk);
}

#ifdef HAVE_LINUX_FS_H
/* The file by the device itself, which knows it whatever became of its name. */
static bool ask_loop(dev_t device, const char *name, struct loop_backing *info)
{
	struct loop_info64 said;
	char path[80];
	struct stat st;
	bool good;
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != device)
		return false;
	fd = descriptor_open(path, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return false;
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

/* The file by its name, where the device may not be opened. */
static bool look_up_loop(dev_t device, const char *file, struct loop_backing *info)
{
	struct stat st;

	if (stat(file, &st) < 0 || !sysfs_read_number(device, "/loop/offset", &info->offset))
		return false;
	info->file_device = st.st_dev;
	info->file_inode = st.st_ino;
	info->below = S_ISBLK(st.st_mode) ? st.st_rdev : 0;
	return true;
}

bool loop_backing_of(dev_t device, struct loop_backing *ret_info)
{
	struct loop_backing info = { .device = device };
	char link[PATH_MAX], file[PATH_MAX];
	const char *name;
	ssize_t n;

	if (!sysfs_read_line(sysfs_path(device, "/loop/backing_file").text, file, sizeof(file)))
		return false;
	n = readlink(sysfs_path(device, "").text, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	name = strrchr(link, '/');
	snprintf(info.name, sizeof(info.name), "%.63s", name == NULL ? link : name + 1);
	if (!ask_loop(device, info.name, &info) && !look_up_loop(device, file, &info))
		return false;
	*ret_info = info;
	return true;
}

bool loop_backing_find(dev_t file_device, ino_t file_inode, unsigned int nth,
		       struct loop_backing *ret_info)
{
	struct loop_backing info;
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	dir = descriptor_open_directory("/sys/block");
	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL) {
		char path[300];
		dev_t device;

		if (strncmp(entry->d_name, "loop", 4) != 0)
			continue;
		snprintf(path, sizeof(path), "/sys/block/%s/dev", entry->d_name);
		found = sysfs_read_device(path, &device) && loop_backing_of(device, &info) &&
			info.file_device == file_device && info.file_inode == file_inode &&
			nth-- == 0;
	}
	closedir(dir);
	if (found)
		*ret_info = info;
	return found;
}

FILE *mounts_open(void)
{
	return descriptor_open_stream("/proc/self/mountinfo");
}

bool mounts_next(FILE *mounts, struct mount_line *ret_line)
{
	char line[2 * PATH_MAX + 512];

	while (fgets(line, sizeof(line), mounts) != NULL) {
		unsigned int major_number, minor_number;
		const char *rest = strstr(line, " - ");

		ret_line->source[0] = '\0';
		if (sscanf(line, "%d %*d %u:%u %*s %511s", &ret_line->id, &major_number,
			   &minor_number, ret_line->place) != 4)
			continue;
		if (rest != NULL)
			(void)sscanf(rest, " - %*s %511s", ret_line->source);
		ret_line->device = makedev(major_number, minor_number);
		return true;
	}
	return false;
}
