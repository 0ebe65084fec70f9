/* SPDX-License-Identifier: BSD-2-Clause */
/* How far the next transfer of a long run goes. */
#ifndef TOOLS_STEP_H
#define TOOLS_STEP_H

#include <stdint.h>

#include <uds/io.h>

/*
 * The length of the next of several transfers, of the @left bytes at @offset at most @most. One
 * that is not the last ends at a multiple of the I/O's preferred length if it reaches one.
 *
 * @unit: of what the transfers are made; preferred lengths that are no multiple are ignored.
 */
uint64_t step_bytes(const struct uds_io *io, uint64_t offset, uint64_t left, uint64_t most,
		    uint64_t unit);

#endif
