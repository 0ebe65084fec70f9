/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The records that only a save has: those of the open chapter of the save that counts. When that
 * save cannot be loaded, a recovery from the volume has to keep them, or to say that it loses them.
 */
#ifndef INDEX_SAVED_RECORDS_H
#define INDEX_SAVED_RECORDS_H

#include "index/index.h"

struct saved_records {
	bool there;  /* there is such a save, and its open chapter was not overwritten on purpose */
	bool intact; /* they can be loaded, as far as their head says */
	bool headless;	  /* the header of the save is damaged: it was found by what follows */
	struct save save; /* good for slot, newest and open_chapter */
	uint64_t count;	  /* when intact; otherwise how many there may be */
	struct uds_message why; /* when not intact */
};

/*
 * Looks for them in the saves of a layout. @skip_unreadable: what cannot be read counts as damaged.
 *
 * Returns 0, -ENOMEM, or what the I/O said.
 */
int saved_records_find(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
		       bool skip_unreadable, struct uds_message *message,
		       struct saved_records *ret_records);

/*
 * After a load: whether a save whose header is damaged may have been made later than the one that
 * was loaded, because it has records in the same open chapter that were not loaded.
 *
 * Returns 0; UDS_ERR_WOULD_LOSE_RECORDS and how many; -ENOMEM; or what the I/O said.
 */
int index_check_headless_saves(struct uds_index *index, bool skip_unreadable,
			       struct uds_message *message);

#endif
