/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A loop device for a test: a real block device over a file, with 512 or 4096 byte sectors.
 *
 *	if (loop_attach(file, 1 << 20, 4096, false, &loop, why, sizeof(why)) < 0)
 *		skip_test("the_test: %s", why);
 *	... loop.path ...
 *	loop_detach(&loop);
 *
 * The kernel takes the device down when nobody has it open any more, so a test that
 * dies leaves nothing.
 */
#ifndef TESTS_LOOP_DEVICE_H
#define TESTS_LOOP_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop_device {
	char path[32]; /* /dev/loopN */
	int fd;	       /* keeps it alive */
};

/*
 * @file: made anew, with @bytes bytes. Returns 0, or -1 with the reason why there is no such
 * device here.
 */
int loop_attach(const char *file, uint64_t bytes, unsigned int sector_bytes, bool read_only,
		struct loop_device *ret_loop, char *ret_reason, size_t room);

/*
 * Over a file that is there, from @offset on (a multiple of the sector), for at most @limit bytes
 * (0: to its end). Several may lie over one file.
 */
int loop_attach_over(const char *file, uint64_t offset, uint64_t limit,
		     struct loop_device *ret_loop, char *ret_reason, size_t room);

void loop_detach(struct loop_device *loop);

#endif
