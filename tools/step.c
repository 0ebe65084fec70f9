/* SPDX-License-Identifier: BSD-2-Clause */
#include "step.h"

#include "base/run_part.h"

uint64_t step_bytes(const struct uds_io *io, uint64_t offset, uint64_t left, uint64_t most,
		    uint64_t unit)
{
	uint64_t prefers = uds_io_preferred_bytes(io);

	return run_part(offset, left, most, prefers % unit == 0 ? prefers : 0);
}
