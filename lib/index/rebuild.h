/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making the volume index and the page map anew from the chapters on the volume (uds-format, 16).
 */
#ifndef INDEX_REBUILD_H
#define INDEX_REBUILD_H

#include "index/index.h"

/* Whether there is no chapter on the volume. */
bool index_is_empty(struct uds_index *index);

/*
 * Fills an index that has empty zones and no volume index. Writes nothing.
 *
 * @progress: in chapters; may be NULL.
 *
 * Returns 0, UDS_ERR_STOPPED, UDS_ERR_CORRUPT, -ENOMEM, -EIO, ...
 */
int index_rebuild(struct uds_index *index, uds_progress_fn progress, void *progress_context,
		  struct uds_message *message);

#endif
