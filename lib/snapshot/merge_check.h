/* SPDX-License-Identifier: BSD-2-Clause */
/* What makes a merge impossible, or drops something, before anything is done. */
#ifndef SNAPSHOT_MERGE_CHECK_H
#define SNAPSHOT_MERGE_CHECK_H

#include "snapshot/device.h"

/* 0, or what uds_snapshot_begin_merge() lists. */
int merge_check(struct uds_snapshot *s, const struct uds_merge_options *options,
		struct uds_message *message);

/*
 * Whether the other snapshots of the origin let it be written by this merge: 0, UDS_ERR_BAD_STATE
 * when one is being merged, or UDS_ERR_READ_ONLY when one cannot keep what the origin has. The
 * caller holds a part of it.
 */
int merge_check_others(struct uds_snapshot *s, struct uds_message *message);

/* How much of the origin's last chunk is dropped: 0 where it is whole, or has no exception. */
uint64_t merge_bytes_cut(struct uds_snapshot *s);

#endif
