/* SPDX-License-Identifier: BSD-2-Clause */
/* See the header. */
#include "volume/empty_volume.h"

#include <inttypes.h>

#include "base/message.h"
#include "volume/volume_private.h"
#include "volume/whole_chapter.h"

/* How many slots are looked at. */
#define FIRST_SLOTS 64u

/* Returns 1 when the slot holds a chapter of this index, 0, or an error. */
static int holds_chapter(struct volume *volume, uint32_t slot, struct uds_message *message)
{
	uint64_t vcn;
	int r;

	r = chapter_read_head(&volume->reader, slot, &vcn, message);
	if (r == 0)
		return 1;
	/*
	 * Corrupt means that no good chapter is there; any other error says nothing about the slot.
	 */
	if (r == UDS_ERR_CORRUPT)
		r = chapter_find_damaged(&volume->reader, slot, &vcn, message);
	return r < 0 ? r : vcn != NO_CHAPTER;
}

int volume_is_empty(struct volume *volume, struct uds_message *ret_message)
{
	struct uds_message message;
	int r;

	for (uint32_t slot = 0; slot < FIRST_SLOTS && slot < volume->geometry.chapters_per_volume;
	     slot++) {
		r = holds_chapter(volume, slot, &message);
		if (r < 0)
			return failure(ret_message, r, "slot %" PRIu32 ": %.400s", slot,
				       message.text);
		if (r == 1)
			return 0;
	}
	return 1;
}
