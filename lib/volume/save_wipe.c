/* SPDX-License-Identifier: BSD-2-Clause */
/* Wiping a saved open chapter, and seeing that one was wiped. */
#include "volume/save_wipe.h"

#include <string.h>

#include "base/message.h"

bool save_is_zero(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

int save_write_block(struct uds_io *io, const uint8_t *block, uint64_t at, const char *what,
		     unsigned int slot, struct uds_message *ret_message)
{
	int r;

	r = io_write(io, block, BLOCK_BYTES, at, ret_message);
	if (r == 0)
		r = io_flush(io, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "save %u: %s", slot, what);
	return 0;
}

/*
 * In two steps: a power cut may tear the write of a block at a sector, and zeroes among the records
 * behind a magic that is still there would be loaded. So the sector with the magic goes first,
 * while the others keep what they have.
 */
int save_wipe(struct uds_io *io, const struct save *save, uint8_t *block,
	      struct uds_message *ret_message)
{
	static const char what[] = "invalidating its open chapter";
	uint64_t at = save->open_chapter.offset;
	int r = 0;

	/* What cannot be read cannot be loaded, whichever of its sectors are zero. */
	if (uds_io_read(io, block, BLOCK_BYTES, at) == 0) {
		memset(block, 0, SAVE_SECTOR_BYTES);
		r = save_write_block(io, block, at, what, save->slot, ret_message);
	}
	if (r < 0)
		return r;
	memset(block, 0, BLOCK_BYTES);
	return save_write_block(io, block, at, what, save->slot, ret_message);
}

/* The first sector tells: the others may still be as they were when the power went away. */
bool save_is_wiped(const uint8_t *block)
{
	return save_is_zero(block, SAVE_SECTOR_BYTES);
}
