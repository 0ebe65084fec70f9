/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding lost chunks, and leaving them out of a merge. */
#ifndef SNAPSHOT_MERGE_LOSSES_H
#define SNAPSHOT_MERGE_LOSSES_H

#include "snapshot/device.h"

/*
 * Reads all chunks that have an exception, and finds the lost ones: whole ones, also when
 * only a part is lost. They are reported as ranges of bytes to @each, which may be NULL.
 *
 * @tick: between reads; not 0: stop.
 * @ret_lost: in order of old chunks; to be released with env_release().
 *
 * Returns 0, -ENOMEM or UDS_ERR_STOPPED.
 */
int merge_losses_find(struct uds_snapshot *s, uds_snapshot_loss_fn each, void *context,
		      int (*tick)(void *), void *tick_context, struct lost_chunks *ret_lost,
		      struct uds_message *message);

/*
 * From now on these have no exception: what is read or written there is the origin's. Those that
 * are no longer lost, because they were written meanwhile, stay. Everything is held.
 */
int merge_losses_give_up(struct uds_snapshot *s, const struct lost_chunks *lost,
			 struct uds_message *message);

#endif
