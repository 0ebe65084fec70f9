/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers of any offset, length and memory on I/Os that demand blocks: what is not aligned goes
 * through a buffer, and the blocks at the edges of a write are read first.
 *
 * The caller keeps others from the blocks that a range touches. The I/O is long enough for them.
 */
#ifndef IO_BYTES_IO_H
#define IO_BYTES_IO_H

#include <stdint.h>

#include <uds/env.h>
#include <uds/io.h>

/* Devices fail in units of this at least; larger blocks of an I/O, as a whole. */
#define LEAST_FAILING_BYTES UINT64_C(512)

static inline uint64_t failing_unit(const struct uds_io *io)
{
	uint64_t block = uds_io_block_bytes(io);

	return block < LEAST_FAILING_BYTES ? LEAST_FAILING_BYTES : block;
}

/*
 * To find out where a transfer fails: the part of @left bytes at @at to try next, about @step long.
 * It ends with a unit, or with all; with a step of one unit it lies inside one.
 */
static inline uint64_t part_to_try(uint64_t at, uint64_t left, uint64_t step, uint64_t unit)
{
	uint64_t part = ((at + step) & ~(unit - 1)) - at;

	return (step >= left && step != unit) || part > left ? left : part;
}

/* The step after one whose part of @part bytes at @at failed; 0: that was inside one unit. */
static inline uint64_t smaller_step(uint64_t at, uint64_t part, uint64_t unit)
{
	if (at / unit == (at + part - 1) / unit)
		return 0;
	return part / 2 < unit ? unit : part / 2;
}

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
