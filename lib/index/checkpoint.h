/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saves in the background: a thread that saves an index when so many chapters were closed since its
 * latest save, so that a recovery has few to replay. Requests go on meanwhile (save.h).
 *
 * A save that fails is counted, and tried again when the next chapter is closed; the log has the
 * first of those that fail one after the other.
 */
#ifndef INDEX_CHECKPOINT_H
#define INDEX_CHECKPOINT_H

#include "index/index.h"

/*
 * Starts the thread, when an index is open otherwise. Not for one without extras: there the next
 * chapter makes a save useless for a recovery.
 *
 * @interval: chapters; 0: no thread.
 *
 * Returns 0, -ENOMEM, or what the system said when it has no more threads.
 */
int checkpointer_make(struct uds_index *index, uint32_t interval);

/*
 * Stops a save that is running, and ends the thread. No lock is held. May be called for an
 * index without one.
 */
void checkpointer_free(struct uds_index *index);

/* @ret_failed: how many have failed. Returns how many were made. */
uint64_t checkpointer_count(const struct uds_index *index, uint64_t *ret_failed);

#endif
