/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks of the file backend. The user that is in the way of one is found in file_users.c.
 *
 * Regular files: an open file description lock over the whole file, so that two openers in one
 * process exclude each other too and closing another descriptor of the file loses nothing.
 *
 * Block devices: flock, which is also what udev and systemd look at before they probe a device; and
 * for writers O_EXCL at the open, which the kernel never grants while the device is mounted or
 * stacked upon.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/message.h"

static int lock_regular(int fd, bool write, const char *path, struct uds_message *message)
{
	struct flock lock = { .l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
	const char *whose = write ? "somebody" : "a writer";

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	/* Only these two mean that somebody else has it. */
	if (errno != EAGAIN && errno != EACCES)
		return failure(message, -errno, "%s: locking it: %s", path, uds_strerror(-errno));
	/*
	 * Asked for its process, for the sentence. By now the lock may be gone; then no
	 * process is named.
	 */
	lock.l_pid = 0;
	if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
		return failure(message, UDS_ERR_IN_USE, "%s: locked by process %ld", path,
			       (long)lock.l_pid);
	return failure(message, UDS_ERR_IN_USE, "%s: %s has it open and locked", path, whose);
}

/* udev locks a device for some milliseconds whenever a writer closed it, so this waits a little. */
static int lock_device(int fd, bool write, const char *path, struct uds_message *message)
{
	const struct timespec pause = { .tv_nsec = 20000000L };

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
