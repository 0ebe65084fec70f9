/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A write in windows of some megabytes, each of which holds its chunks exclusively from the look at
 * the state to the end of its last write.
 */
#ifndef SNAPSHOT_WRITE_WINDOW_H
#define SNAPSHOT_WRITE_WINDOW_H

#include "snapshot/device.h"

struct write_window {
	struct uds_snapshot *s; /* through which it was asked for */
	const uint8_t *data;
	uint64_t offset;
	size_t length; /* shorter than asked for where the store has no room for more */
	size_t done;   /* bytes from the start that are where they belong, whatever fails then */
	struct uds_message *message;
};

/*
 * Writes @bytes of the window's data, from w->done on, to @at. What fails is tried again in halves,
 * so that w->done ends at the block that cannot be written. An error is reported even if that went
 * well: what a device says once is not kept from its owner.
 */
int window_write(struct write_window *w, struct uds_io *io, uint64_t at, uint64_t bytes);

/*
 * A public call that writes, from beginning to end.
 *
 * @io: refused where it, or the snapshot, cannot be written.
 * @ret_done: how much of it was done; set also when it fails. May be NULL.
 */
int write_in_windows(struct uds_snapshot *s, struct uds_io *io, const void *buffer, size_t length,
		     uint64_t offset, int (*write)(struct write_window *w), size_t *ret_done,
		     const char *what);

#endif
