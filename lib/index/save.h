/* SPDX-License-Identifier: BSD-2-Clause */
/* Saving what an index keeps in memory: the open chapter, the volume index and the page map (uds-format, 15.3). */
#ifndef INDEX_SAVE_H
#define INDEX_SAVE_H

#include "index/index.h"

/*
 * Saves, as uds_index_save_reporting(), if anything has changed. No lock is held. Keeps the sentence. Returns as that.
 */
int index_save(struct uds_index *index, uds_progress_fn report, void *context);

#endif
