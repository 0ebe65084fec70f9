/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether an index is a new one. */
#ifndef VOLUME_EMPTY_VOLUME_H
#define VOLUME_EMPTY_VOLUME_H

#include "volume/volume.h"

/*
 * Whether the volume of an index that was never saved is empty: that none of the slots that are
 * written first holds a chapter of this index, a good or a damaged one. Reads a few pages only.
 *
 * Returns 1, 0, or what the I/O said.
 */
int volume_is_empty(struct volume *volume, struct uds_message *ret_message);

#endif
