/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entering the records of a chapter that is on the volume into the volume index, as a rebuild does
 * (uds-format, 16.2).
 */
#ifndef INDEX_REPLAY_H
#define INDEX_REPLAY_H

#include "index/chapter_view.h"
#include "index/index.h"

struct replay;

/* @index: has a volume index. Returns 0 or -ENOMEM. */
int replay_make(struct uds_index *index, struct replay **ret_replay);
void replay_free(struct replay *replay);

/*
 * Enters the records of chapter @vcn, page by page. The chapters from index->oldest up to the one before
 * are in the volume index, all are in the page map; @vcn is the open chapter of the volume index.
 *
 * @record_pages: all of them, one behind the other.
 *
 * Returns 0 or -ENOMEM.
 */
int replay_chapter(struct replay *replay, uint64_t vcn, const uint8_t *record_pages);

/*
 * The same for a chapter that may not have been written whole before the power failed. Where its records are
 * missing, those of the chapter that was in the slot before lie there still; entering them would hide
 * the copies elsewhere that are good. So only what the chapter itself finds is entered.
 */
int replay_chapter_in_doubt(struct replay *replay, const struct chapter_view *view);

#endif
