/* SPDX-License-Identifier: BSD-2-Clause */
#include "step.h"

uint64_t step_bytes(const struct uds_io *io, uint64_t offset, uint64_t left, uint64_t most,
		    uint64_t unit)
{
	uint64_t prefers = uds_io_preferred_bytes(io), beyond;

	if (left <= most)
		return left;
	if (prefers == 0 || prefers % unit != 0)
		return most;
	beyond = (offset + most) % prefers;
	return beyond < most ? most - beyond : most;
}
