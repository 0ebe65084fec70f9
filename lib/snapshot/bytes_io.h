/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers of any offset, length and memory on I/Os that demand blocks: what is not aligned goes
 * through a buffer, and the blocks at the edges of a write are read first.
 *
 * The caller keeps others from the blocks that a range touches. The I/O is long enough for them.
 */
#ifndef SNAPSHOT_BYTES_IO_H
#define SNAPSHOT_BYTES_IO_H

#include <uds/env.h>
#include <uds/io.h>

int bytes_read(struct uds_io *io, const struct uds_env *env, void *buffer, size_t length,
	       uint64_t offset, struct uds_message *message);

int bytes_write(struct uds_io *io, const struct uds_env *env, const void *buffer, size_t length,
		uint64_t offset, struct uds_message *message);

/*
 * Copies between two I/Os; both offsets are aligned, the length need not be: what the target
 * demands behind it is written as zeroes.
 */
int bytes_copy(struct uds_io *from, uint64_t from_offset, struct uds_io *to, uint64_t to_offset,
	       uint64_t length, const struct uds_env *env, struct uds_message *message);

#endif
