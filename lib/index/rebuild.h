/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rebuilding the volume index and the page map from the chapters on the volume (uds-format, 16).
 */
#ifndef INDEX_REBUILD_H
#define INDEX_REBUILD_H

#include "index/index.h"

/*
 * Whether an index was never saved and has no chapter on the volume. Returns 1, 0, or what
 * the I/O said.
 */
int index_is_empty(struct uds_index *index, struct uds_message *message);

struct rebuild_options {
	uint64_t durable;	  /* chapters below are known to have been written whole */
	bool use_save;		  /* begin with what the latest save has, if that is possible */
	bool skip_unreadable;	  /* pass over what cannot be read; otherwise it is an error */
	uds_progress_fn progress; /* in chapters; may be NULL */
	void *progress_context;
};

/*
 * Fills an index that has empty zones and no volume index. Writes nothing.
 *
 * A save that later chapters made invalid still has a volume index and a page map: with them, only
 * the chapters since are read. Names that were deleted before that save stay deleted, which the
 * volume alone does not tell.
 *
 * Returns 0, UDS_ERR_STOPPED, UDS_ERR_CORRUPT, -ENOMEM, -EIO, ...
 */
int index_rebuild(struct uds_index *index, const struct rebuild_options *options,
		  struct uds_message *message);

/*
 * After a rebuild: enters the records that were put into the zones' open chapter, newer than all
 * others, into the volume index. Those for which it has no room are removed.
 *
 * Returns 0, -ENOMEM, or what the I/O said.
 */
int index_enter_open_chapter(struct uds_index *index, const struct rebuild_options *options,
			     struct uds_message *message);

#endif
