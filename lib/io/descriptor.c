/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening beyond the standard descriptors. */
#include "io/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_retrying(const char *path, int flags)
{
	int fd;

	/*
	 * The owner's alone: an index says which blocks its owner has, and a store has blocks of a
	 * device that others may not read. To share one, change its mode.
	 */
	do
		fd = open(path, flags | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int descriptor_hold_standard(struct standard_hold *ret_hold)
{
	struct standard_hold hold = { .count = 0 };

	for (int number = 0; number < FIRST_DESCRIPTOR; number++) {
		int fd;

		/* In use: nothing can take it. */
		if (fcntl(number, F_GETFD) >= 0)
			continue;
		/* A descriptor of no file's content, only to keep the number taken. */
		fd = open_retrying("/", O_PATH | O_DIRECTORY);
		if (fd < 0) {
			descriptor_release_standard(&hold);
			return fd;
		}
		if (fd < FIRST_DESCRIPTOR)
			hold.held[hold.count++] = fd;
		else
			close(fd); /* another thread was faster */
	}
	*ret_hold = hold;
	return 0;
}

void descriptor_release_standard(struct standard_hold *hold)
{
	while (hold->count > 0)
		close(hold->held[--hold->count]);
}

/* A standard number became free while they were held by another thread that is done by now. */
static int lift(int fd)
{
	int lifted, r;

	if (fd < 0 || fd >= FIRST_DESCRIPTOR)
		return fd;
	/* The kernel gives the lowest number from here on; the old one goes back. */
	lifted = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
	r = lifted < 0 ? -errno : lifted;
	close(fd);
	return r;
}

int descriptor_open(const char *path, int flags)
{
	struct standard_hold hold;
	int fd, r;

	r = descriptor_hold_standard(&hold);
	if (r < 0)
		return r;
	/* Normally above the standard numbers at once, as all of them are taken. */
	fd = lift(open_retrying(path, flags));
	descriptor_release_standard(&hold);
	return fd;
}

int descriptor_eventfd(void)
{
	struct standard_hold hold;
	int fd, r;

	r = descriptor_hold_standard(&hold);
	if (r < 0)
		return r;
	/* Non-blocking, since it is read to clear it, whether it was written to or not. */
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fd = lift(fd < 0 ? -errno : fd);
	descriptor_release_standard(&hold);
	return fd;
}

int descriptor_epoll(void)
{
	struct standard_hold hold;
	int fd, r;

	r = descriptor_hold_standard(&hold);
	if (r < 0)
		return r;
	fd = epoll_create1(EPOLL_CLOEXEC);
	fd = lift(fd < 0 ? -errno : fd);
	descriptor_release_standard(&hold);
	return fd;
}
