/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a scan does not read because its indexes lie there: they change while it goes on.
 *
 * An index is known by the places of its I/O, whatever URI has opened that: a part of a file, a
 * volume in one, or a loop device over it. Where it lies only somewhere in a thing, as a file does
 * on the device of its file system, that thing is read.
 *
 * Threads: one adds; then any.
 */
#ifndef TOOLS_SCAN_LEFT_OUT_H
#define TOOLS_SCAN_LEFT_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include <uds/io.h>

/* Cleared by the caller, and freed by left_out_free(). */
struct left_out {
	struct uds_io_place *places;
	size_t count;
};

/* What tells a file from all others; a block device by its own number, and inode 0. */
struct file_key {
	uint64_t device, inode;
};

/*
 * Adds what the bytes of an I/O are parts of; nothing where its backend cannot tell.
 *
 * Returns 0, or a negative status with a sentence.
 */
int left_out_add(struct left_out *left_out, struct uds_io *io, struct uds_message *ret_message);
void left_out_free(struct left_out *left_out);

/* Whether a file or block device has bytes of an index. */
bool left_out_has_file(const struct left_out *left_out, struct file_key key);

/* Whether a volume has; false where that is not known. */
bool left_out_has_volume(const struct left_out *left_out, struct uds_io *io);

#endif
