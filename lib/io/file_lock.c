/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks of the file backend, and the sentence about who stands in the way.
 *
 * Regular files: an open file description lock over the whole file, so that two openers in one
 * process exclude each other too and closing another descriptor of the file loses nothing.
 *
 * Block devices: flock, which is also what udev and systemd look at before they probe a device; and
 * for writers O_EXCL at the open, which the kernel grants to nobody while the device is mounted or
 * stacked upon.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/message.h"
#include "io/descriptor.h"

static int lock_regular(int fd, bool write, const char *path, struct uds_message *message)
{
	struct flock lock = { .l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
	const char *whose = write ? "somebody" : "a writer";

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return failure(message, -errno, "%s: locking it: %s", path, uds_strerror(-errno));
	lock.l_pid = 0;
	if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
		return failure(message, UDS_ERR_IN_USE, "%s: locked by process %ld", path,
			       (long)lock.l_pid);
	return failure(message, UDS_ERR_IN_USE, "%s: %s has it open and locked", path, whose);
}

/* udev locks a device for some milliseconds whenever a writer closed it, so this waits a little. */
static int lock_device(int fd, bool write, const char *path, struct uds_message *message)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	for (int tries = 0; flock(fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0; tries++) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return failure(message, -errno, "%s: locking it: %s", path,
				       uds_strerror(-errno));
		if (tries == 10)
			return failure(message, UDS_ERR_IN_USE, "%s: %s has it open and locked",
				       path, write ? "somebody" : "a writer");
		nanosleep(&pause, NULL);
	}
	return 0;
}

int file_lock(int fd, const struct stat *st, bool write, const char *path,
	      struct uds_message *message)
{
	return S_ISBLK(st->st_mode) ? lock_device(fd, write, path, message)
				    : lock_regular(fd, write, path, message);
}

/* Reads a one-line file of sysfs. */
static bool read_line(const char *path, char *line, int room)
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

/* The first thing stacked on the device, by the name its users know: a dm name, or md0. */
static bool find_holder(const char *sysfs, char *ret_name, size_t room)
{
	char path[PATH_MAX], line[128];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/holders", sysfs);
	dir = descriptor_open_directory(path);
	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		found = true;
		snprintf(path, sizeof(path), "%s/holders/%s/dm/name", sysfs, entry->d_name);
		if (read_line(path, line, sizeof(line)))
			snprintf(ret_name, room, "device-mapper's %s (%s)", line, entry->d_name);
		else
			snprintf(ret_name, room, "%s", entry->d_name);
	}
	closedir(dir);
	return found;
}

static bool find_mount(unsigned int major_number, unsigned int minor_number, char *ret_place,
		       size_t room)
{
	char line[PATH_MAX + 512], place[256];
	unsigned int line_major, line_minor;
	bool found = false;
	FILE *f;

	f = descriptor_open_stream("/proc/self/mountinfo");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		found = sscanf(line, "%*d %*d %u:%u %*s %255s", &line_major, &line_minor, place) ==
				3 &&
			line_major == major_number && line_minor == minor_number;
	}
	fclose(f);
	if (found)
		snprintf(ret_place, room, "%s", place);
	return found;
}

static bool is_swap(dev_t device)
{
	char line[PATH_MAX + 128], path[PATH_MAX];
	bool found = false;
	struct stat st;
	FILE *f;

	f = descriptor_open_stream("/proc/swaps");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "%4095s", path) == 1 && path[0] == '/' &&
			stat(path, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == device;
	fclose(f);
	return found;
}

/* What uses this very device, as the end of a sentence. */
static bool find_user(dev_t device, char *ret_use, size_t room)
{
	char sysfs[64], name[420];

	snprintf(sysfs, sizeof(sysfs), "/sys/dev/block/%u:%u", major(device), minor(device));
	if (find_mount(major(device), minor(device), name, sizeof(name)))
		snprintf(ret_use, room, "mounted on %s", name);
	else if (find_holder(sysfs, name, sizeof(name)))
		snprintf(ret_use, room, "held by %s", name);
	else if (is_swap(device))
		snprintf(ret_use, room, "used as swap space");
	else
		return false;
	return true;
}

/* A disk is in use when one of its partitions is. */
static bool find_partition_user(dev_t disk, char *ret_use, size_t room)
{
	char sysfs[64], path[PATH_MAX], line[64], use[450];
	unsigned int part_major, part_minor;
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(sysfs, sizeof(sysfs), "/sys/dev/block/%u:%u", major(disk), minor(disk));
	dir = descriptor_open_directory(sysfs);
	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s/partition", sysfs, entry->d_name);
		if (entry->d_name[0] == '.' || !read_line(path, line, sizeof(line)))
			continue;
		snprintf(path, sizeof(path), "%s/%s/dev", sysfs, entry->d_name);
		found = read_line(path, line, sizeof(line)) &&
			sscanf(line, "%u:%u", &part_major, &part_minor) == 2 &&
			find_user(makedev(part_major, part_minor), use, sizeof(use));
		if (found)
			snprintf(ret_use, room, "its partition %s is %s", entry->d_name, use);
	}
	closedir(dir);
	return found;
}

int file_device_in_use(dev_t device, const char *path, struct uds_message *message)
{
	char use[750];

	if (find_user(device, use, sizeof(use)) || find_partition_user(device, use, sizeof(use)))
		return failure(message, UDS_ERR_IN_USE, "%s: %s", path, use);
	return failure(message, UDS_ERR_IN_USE, "%s: somebody has it open exclusively", path);
}
