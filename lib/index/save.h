/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saving what an index keeps in memory: the open chapter, the volume index and the page
 * map (uds-format, 15.3).
 */
#ifndef INDEX_SAVE_H
#define INDEX_SAVE_H

#include "index/index.h"

struct index_saver {
	pthread_mutex_t running;  /* one save at a time; taken before any zone lock */
	_Atomic(pthread_t) owner; /* who makes it, when it is @busy */
	atomic_bool busy;
};

/* Of an index that is not read-only. Returns 0 or -ENOMEM. */
int saver_make(struct uds_index *index);

/* May be called for an index without one. */
void saver_free(struct uds_index *index);

/*
 * Saves, as uds_index_save_reporting(), if anything has changed. No lock is held. Keeps the
 * sentence. Returns as that.
 *
 * @threads: beside the caller's, to write the volume index: 1 to CREW_MOST; 1: none.
 */
int index_save(struct uds_index *index, unsigned int threads, uds_progress_fn report,
	       void *context);

#endif
