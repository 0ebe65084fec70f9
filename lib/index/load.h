/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading what a save has of an index: the open chapter, the volume index and the page
 * map (uds-format, 15.2).
 */
#ifndef INDEX_LOAD_H
#define INDEX_LOAD_H

#include "index/index.h"

/*
 * Fills an index that has empty zones and no volume index from the latest save.
 *
 * Returns 0; -ENOMEM; -EINVAL when the index cannot have so many zones; UDS_ERR_MISMATCH when the
 * save is that of another configuration; UDS_ERR_NEEDS_RECOVERY with the reason when there is no
 * save to load or it is damaged; or what the I/O said. When it fails there is no volume index, and
 * the zones are empty.
 */
int index_load(struct uds_index *index, struct uds_message *message);

/*
 * Reads the page map of the latest save, also when chapters were written since. The extras must
 * know the save.
 *
 * @ret_open: the chapter that the save has open.
 *
 * Returns 1; 0 when there is no save for it, or a damaged one; -ENOMEM; or what the I/O said. The
 * page map is filled after 1 only.
 */
int index_load_checkpoint_map(struct uds_index *index, struct uds_message *message,
			      uint64_t *ret_open);

/*
 * After that gives an index that has empty zones and no volume index the volume index of this save,
 * in parts if the index has a crew, with what is @cut.
 *
 * @cut: its @high does not matter.
 *
 * Returns 1; 0 when it is damaged; -ENOMEM; -EINVAL when the index cannot have so many zones; or
 * what the I/O said. There is a volume index only after 1.
 */
int index_load_checkpoint(struct uds_index *index, struct volume_index_cut cut,
			  struct uds_message *message);

/*
 * Loads nothing but the open chapter of a save, into the zones of an index that has a volume index.
 *
 * Returns 0, UDS_ERR_CORRUPT when it is damaged, -ENOMEM, or what the I/O said; the zones
 * are empty then.
 */
int index_load_saved_records(struct uds_index *index, const struct save *save,
			     struct uds_message *message);

/*
 * Whether a save's open chapter was overwritten on purpose: what is saved is older than the volume.
 * Returns 1, 0, -ENOMEM, or what the I/O said.
 */
int save_was_invalidated(struct uds_index *index, const struct save *save,
			 struct uds_message *message);

#endif
