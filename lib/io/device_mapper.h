/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a device of device-mapper leads, as far as its table is of linear targets only. */
#ifndef IO_DEVICE_MAPPER_H
#define IO_DEVICE_MAPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uds/env.h>

#define DM_LINEAR_MAX 64

/* All in bytes: @length from @begin on are those of @device from @offset on. */
struct dm_linear {
	uint64_t begin;
	uint64_t length;
	dev_t device;
	uint64_t offset;
};

/*
 * @ret_targets: to be released by the caller.
 *
 * Returns how many there are; 0 when it is no such device, has another kind of target or too many,
 * or asking takes root; or -ENOMEM.
 */
int dm_read_linear(const struct uds_env *env, dev_t device, struct dm_linear **ret_targets);

/*
 * The same from what the kernel answered: its header, then a target after the other, each
 * with its words.
 * @length: of all of it; its last byte is 0. @ret_targets: room for DM_LINEAR_MAX.
 *
 * Returns how many there are; 0 when one is of another kind, or they are too many or cut short.
 */
int dm_parse_linear(const void *answer, size_t length, struct dm_linear *ret_targets);

/*
 * The part of the device's bytes from @offset on, @length of them (UINT64_MAX: all), that a target
 * holds, as a range of the device that it leads to.
 *
 * Returns whether there is any.
 */
bool dm_through_linear(const struct dm_linear *target, uint64_t offset, uint64_t length,
		       uint64_t *ret_offset, uint64_t *ret_length);

#endif
