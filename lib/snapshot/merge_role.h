/* SPDX-License-Identifier: BSD-2-Clause */
/* The role of snapshot-merge: taking it, and one merge at a time. */
#ifndef SNAPSHOT_MERGE_ROLE_H
#define SNAPSHOT_MERGE_ROLE_H

#include "snapshot/device.h"

/*
 * Takes the role when no request is under way, and gives up what is @lost. Fine when it is
 * taken already.
 */
int merge_role_take(struct uds_snapshot *s, bool salvage, const struct lost_chunks *lost,
		    struct uds_message *message);

/*
 * Begins the work of one merge: 0, or UDS_ERR_BAD_STATE when another thread is at it; and ends it.
 */
int merge_role_enter(struct uds_snapshot *s, struct uds_message *message);
void merge_role_leave(struct uds_snapshot *s, bool dry_run, int status);

#endif
