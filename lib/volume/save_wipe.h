/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making a save invalid by wiping its open chapter, and seeing that one was (uds-format,
 * 15.4). Both are here, because both must mean the same bytes: the first sector of the open
 * chapter, all zeroes.
 *
 * Threads: see saves.h.
 */
#ifndef VOLUME_SAVE_WIPE_H
#define VOLUME_SAVE_WIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/io.h"
#include "volume/save_header.h"

/* What any device writes whole, or not at all. */
#define SAVE_SECTOR_BYTES 512u

bool save_is_zero(const uint8_t *bytes, size_t count);

/*
 * Writes one block of a save durably. @what: for the sentence. Returns 0 or what the I/O said.
 */
int save_write_block(struct uds_io *io, const uint8_t *block, uint64_t at, const char *what,
		     unsigned int slot, struct uds_message *ret_message);

/*
 * Wipes the open chapter of a save durably. @block: scratch of BLOCK_BYTES. Returns as
 * save_write_block().
 */
int save_wipe(struct uds_io *io, const struct save *save, uint8_t *block,
	      struct uds_message *ret_message);

/* Whether the first block of an open chapter, as it was read, was wiped. */
bool save_is_wiped(const uint8_t *block);

#endif
