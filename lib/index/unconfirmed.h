/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * After a recovery that began with a save: entries of the chapter that the save has open, which
 * that chapter, as it is on the volume, has no record for. Their names were deleted after the save,
 * while the chapter was open.
 *
 * Those with a name are forgotten at once. The journal is brought in only then; as the name has no
 * entry any more, one that is found for it is that of another name, and must stay. An ordinary
 * entry does not say whose it is, so it stays until the journal is done with: it keeps the deletion
 * of its name from finding the next entry of the address.
 */
#ifndef INDEX_UNCONFIRMED_H
#define INDEX_UNCONFIRMED_H

#include "index/index.h"

/* When all chapters are in the volume index. Returns 0 or -ENOMEM. */
int unconfirmed_forget_named(struct uds_index *index);

/* When the journal was brought in. Nothing is known of them any more then. */
void unconfirmed_forget(struct uds_index *index);

#endif
