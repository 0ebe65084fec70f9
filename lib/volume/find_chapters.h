/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding out what chapters a volume holds, when no save tells it (uds-format, 16.1).
 *
 * The format's origin looks at a few chapters and concludes from their order. Here every slot's
 * index pages are read: a rebuild needs them anyway, and damaged chapters, wherever they are and
 * however many, cost nothing but themselves.
 */
#ifndef VOLUME_FIND_CHAPTERS_H
#define VOLUME_FIND_CHAPTERS_H

#include <stdint.h>

#include <uds/env.h>
#include <uds/status.h>

#include "volume/volume.h"

struct found_chapters {
	uint64_t oldest; /* chapter that is valid; both 0 when there is none */
	uint64_t newest; /* the open chapter to come */
	uint64_t lost;	 /* chapters from oldest to newest - 1 that are not on the volume */
	uint64_t strays; /* good chapters of numbers that do not fit those of the others */
	uint32_t slots;
	uint64_t *vcns; /* for each slot the chapter that it holds, NO_CHAPTER: none that is good */
};

/*
 * Checks the index pages of a slot: each page verifies, its lists decode, and together they hold
 * every list of one chapter that belongs into the slot.
 *
 * @pages: the index pages. @ret_last_lists: what page_map_set() takes; room for all index pages.
 *
 * Returns 0, or UDS_ERR_CORRUPT and the page with what is wrong, without the slot.
 */
int chapter_check_index(const struct volume *volume, uint32_t slot, const uint8_t *pages,
			uint64_t *ret_vcn, uint16_t *ret_last_lists,
			struct uds_message *ret_message);

/*
 * Finds all chapters, and fills the page map for those that are valid. Lost chapters are logged
 * with the reason. No other thread uses the volume.
 *
 * @progress: NULL, or told of slots read and all slots.
 * @ret_found: freed with found_chapters_free().
 *
 * Returns 0, UDS_ERR_STOPPED, -ENOMEM, or what the system said when it has no more threads. What
 * cannot be read is lost, and no error; but newest passes over it, so that it is not overwritten
 * before its time.
 */
int volume_find_chapters(struct volume *volume, uds_progress_fn progress, void *progress_context,
			 struct uds_message *ret_message, struct found_chapters *ret_found);

void found_chapters_free(const struct volume *volume, struct found_chapters *found);

/*
 * Whether the volume of an index that was never saved is empty: that none of the slots that are
 * written first holds a chapter of this index. Reads a few pages only.
 *
 * Returns 1, 0, or what the I/O said.
 */
int volume_is_empty(struct volume *volume, struct uds_message *ret_message);

#endif
