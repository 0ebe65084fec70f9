/* SPDX-License-Identifier: BSD-2-Clause */
/* For the sentence about a lock that is in the way: what has it. Public calls only. */
#ifndef IO_SHARE_LOCK_H
#define IO_SHARE_LOCK_H

#include <stdbool.h>
#include <stddef.h>

#include <uds/io.h>

/*
 * The file or device itself, which is what is locked, as a whole. What it lies on has locks of its
 * own: two partitions of a disk are not in each other's way.
 */
static inline bool io_locked_place(struct uds_io *io, struct uds_io_place *ret_place)
{
	size_t count = 0;

	return uds_io_places(io, ret_place, 1, &count) == 0 && count > 0;
}

/*
 * Whether a lock of one is in the way of the other: they are in the same file or on the same
 * device, though they need not have bytes in common. False where it is not known; of something that
 * is made of several files or devices only the first is looked at.
 */
static inline bool io_share_lock(struct uds_io *a, struct uds_io *b)
{
	struct uds_io_place of_a, of_b;

	return io_locked_place(a, &of_a) && io_locked_place(b, &of_b) && of_a.kind == of_b.kind &&
	       of_a.device == of_b.device && of_a.object == of_b.object;
}

#endif
