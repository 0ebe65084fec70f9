/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread that commits one group while the next one is copied. */
#ifndef SNAPSHOT_MERGE_COMMITTER_H
#define SNAPSHOT_MERGE_COMMITTER_H

#include "snapshot/merge_group.h"

struct merge_committer;

int merge_committer_start(struct uds_snapshot *s, struct uds_io_engine *engine,
			  struct merge_committer **ret_committer);

/* Waits until the group before is committed, then hands the next one over: its claim too. */
int merge_committer_hand_over(struct merge_committer *committer, struct merge_group *group,
			      struct uds_message *message);

/* What has been taken off so far. */
void merge_committer_progress(struct merge_committer *committer, uint64_t *ret_entries,
			      uint64_t *ret_rounds);

/* Waits for the last group and ends the thread; its first error. */
int merge_committer_finish(struct merge_committer *committer, uint64_t *ret_entries,
			   uint64_t *ret_rounds, struct uds_message *message);

#endif
