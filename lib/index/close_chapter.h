/* SPDX-License-Identifier: BSD-2-Clause */
/* Closing chapters, and what becomes of them. */
#ifndef INDEX_CLOSE_CHAPTER_H
#define INDEX_CLOSE_CHAPTER_H

#include "index/index.h"

/*
 * Closes the open chapter in all zones and opens the next one (uds-format, 19.1), if @zone is full.
 * Waits until the chapter before is written, and tries again if it is not. @zone's lock is held
 * before and after, and released in between when there are several zones.
 *
 * Returns 0, or the error of writing the chapter before; then nothing was closed.
 */
int index_close_chapter(struct uds_index *index, struct index_zone *zone);

/*
 * Waits until no chapter is being written. One that could not be written is tried again. Returns
 * what writing came to, and keeps the sentence.
 */
int index_write_chapter(struct uds_index *index);

/*
 * Locks all zones while no chapter is being written: those that are closed are durable then.
 * Returns 0, or the error of writing a chapter, without the locks.
 */
int index_lock_settled(struct uds_index *index);

/*
 * After index_lock_settled(), before a save. An open chapter that is full, because the one before
 * could not be written so far, is closed: loading one that is full would drop records (10.6). So
 * is, if @may_close, one that has no room for what the index of the chapter before has left out
 * (left_out.h), which is in the open chapter afterwards.
 *
 * Returns 0; 1 when the chapter was closed, which has to be settled again; or an error.
 */
int index_settle_before_save(struct uds_index *index, bool may_close);

/*
 * Whether the chapter that was closed last could not be written so far: memory alone
 * has its records.
 */
bool index_has_unwritten_chapter(const struct uds_index *index);

/* Makes chapter @newest the open one in every zone's volume index. All zone locks are held. */
int index_set_open_chapter(struct uds_index *index, uint64_t newest);

#endif
