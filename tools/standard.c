/* SPDX-License-Identifier: BSD-2-Clause */
/* Standard descriptors that were closed when the command started. */
#include "standard.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/*
 * The wrong way round: to read from what takes the place of standard input fails, and so does to
 * write to the others. A command that needs one of them says so instead of losing its result.
 */
static int open_place_holder(int number)
{
	int fd = open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY);

	return fd >= 0 ? fd : open("/", O_PATH | O_DIRECTORY);
}

bool fill_standard_descriptors(void)
{
	for (int number = STDIN_FILENO; number <= STDERR_FILENO; number++) {
		if (fcntl(number, F_GETFD) >= 0 || errno != EBADF)
			continue;
		if (open_place_holder(number) != number)
			return false;
	}
	return true;
}
