/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Before bytes of the origin change, every snapshot on it that has no exceptions for their chunks
 * gets them, with the old content, durably: all snapshots at the same time.
 */
#ifndef SNAPSHOT_KEEP_OLD_H
#define SNAPSHOT_KEEP_OLD_H

#include "io/copier.h"
#include "snapshot/device.h"
#include "snapshot/write_window.h"

/*
 * For the bytes of a window that the caller holds exclusively. They may be written to the origin
 * when this has returned 0.
 *
 * A snapshot that has no room for any of it, or is invalid, is given up instead, and the others go
 * on: the origin does not suffer from it. Any other failure of one is returned, with its sentence.
 *
 * @except: a snapshot that needs nothing; NULL: none.
 * @w: becomes shorter where a store has room for a part only.
 */
int keep_old(struct origin *origin, const struct uds_snapshot *except, struct write_window *w);

/*
 * The same for what a merge writes: @count pieces in ascending order of their places on the origin
 * (`to`), which the caller has claimed. When this returns 0, no reader of another snapshot is still
 * on its way to one of them on the origin.
 */
int keep_old_for_merge(const struct uds_snapshot *merging, const struct range_claim *claim,
		       const struct copy_piece *pieces, size_t count, struct uds_message *message);

/*
 * Whether a snapshot on the origin, but for @except, must keep what it has, and cannot.
 * Then says so.
 */
bool keep_old_is_refused(const struct origin *origin, const struct uds_snapshot *except,
			 struct uds_message *message);

#endif
