/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the transfers of a long run are cut. */
#ifndef BASE_RUN_PART_H
#define BASE_RUN_PART_H

#include <stdint.h>

/*
 * How long the next transfer is: of the @left bytes at @offset at most @most. One that is not the
 * last ends at a multiple of @prefers if it reaches one, so that those behind it begin there. 0:
 * anywhere.
 */
static inline uint64_t run_part(uint64_t offset, uint64_t left, uint64_t most, uint64_t prefers)
{
	uint64_t beyond;

	if (left <= most)
		return left;
	beyond = prefers == 0 ? 0 : (offset + most) % prefers;
	return beyond < most ? most - beyond : most;
}

#endif
