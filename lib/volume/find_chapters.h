/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding out what chapters a volume holds, when no save tells it (uds-format, 16.1).
 *
 * The reference implementation looks at a few chapters and concludes from their order. Here every
 * slot's index pages are read: a rebuild needs them anyway, and damaged chapters, wherever they are
 * and however many, cost nothing but themselves.
 */
#ifndef VOLUME_FIND_CHAPTERS_H
#define VOLUME_FIND_CHAPTERS_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/status.h>

#include "base/crew.h"
#include "volume/volume.h"

struct found_chapters {
	uint64_t oldest; /* chapter that is valid; both 0 when there is none */
	uint64_t newest; /* the open chapter to come */
	uint64_t lost;	 /* chapters from oldest to newest - 1 that are not on the volume */
	uint64_t strays; /* good chapters of numbers that do not fit those of the others */
	uint32_t slots;
	uint64_t *vcns; /* for each slot the chapter that it holds, NO_CHAPTER: none that is good */
};

struct find_options {
	/*
	 * Chapters below this number are known to be durable: a save says so that came after
	 * them. What is wrong with the records of such a chapter is damage, not a write that a
	 * power cut tore.
	 */
	uint64_t durable;

	/*
	 * Chapters below this number have their rows in the page map already, those of a save. Of
	 * their slots only the first block is read.
	 */
	uint64_t mapped;

	/*
	 * Pass over slots that cannot be read: their chapters are lost, and newest passes over
	 * them, so that they are not overwritten before their time. Otherwise that is an error.
	 */
	bool skip_unreadable;

	struct crew *crew; /* checks what was read; NULL: done by the caller's thread */

	uds_progress_fn progress; /* NULL, or called with (slots read, total slots) */
	void *progress_context;
};

/*
 * Finds all chapters, and fills the page map for those that are valid. Lost chapters are logged
 * with the reason. A slot whose index pages are good holds a chapter; but the newest one, which
 * a power cut may have torn, counts only when it is whole (whole_chapter.h). Before the oldest and
 * behind the newest good one chapters count that are damaged (chapter_find_damaged()): as lost. No
 * other thread uses the volume.
 *
 * @options: NULL: nothing is known to be durable, nothing is passed over.
 * @ret_found: freed with found_chapters_free().
 *
 * Returns 0, UDS_ERR_STOPPED, -ENOMEM, what the I/O said, or what the system said when it has
 * no more threads.
 */
int volume_find_chapters(struct volume *volume, const struct find_options *options,
			 struct uds_message *ret_message, struct found_chapters *ret_found);

void found_chapters_free(const struct volume *volume, struct found_chapters *found);

#endif
