/* SPDX-License-Identifier: BSD-2-Clause */
/* One merge while it runs: shared by merge.c, which copies and commits, and merge_pace.c. */
#ifndef SNAPSHOT_MERGE_RUN_H
#define SNAPSHOT_MERGE_RUN_H

#include <time.h>

#include "snapshot/merge_committer.h"
#include "snapshot/merge_group.h"

struct merge_run {
	struct uds_snapshot *s;
	struct uds_merge_options options;
	struct merge_cursor cursor;
	struct merge_group groups[2];
	struct copier *copier;
	struct uds_io_engine *areas;	   /* for writing areas, by the thread that commits */
	struct merge_committer *committer; /* NULL: groups are committed in this thread */
	uint64_t wanted;		   /* entries to take off */
	uint64_t gathered;		   /* in groups so far */
	uint64_t settled;		   /* taken off before the present committer began */
	uint64_t settled_rounds;
	uint64_t round_bytes; /* what a group may have: grows with the speed, unless it was given */
	bool hurried;	      /* a writer had to wait: small groups from now on */
	bool stopping;	      /* somebody asked for it: the group in work is the last one */
	bool give_up;	      /* the group that is copied is too large: again with less */
	uint64_t shown;	      /* progress */

	/* The copy that is under way; NULL: none. */
	struct copy_job *job;
	uint64_t job_bytes;
	struct timespec job_began;
	struct timespec began;
	struct uds_merge_result result;
	struct lost_chunks lost; /* found in this call */
	struct uds_message message;
};

/* Shows the progress; whether somebody wants the merge to stop, now or before. */
bool merge_asked_to_stop(struct merge_run *m);

/* The status, and the sentence, of a merge that was asked to stop. */
int merge_stopped(struct merge_run *m);

/*
 * A copier_tick_fn, called between transfers. A stop does not end a copy: what is copied would be
 * lost, and a merge that is stopped often would never get on.
 */
int merge_tick(void *merge);

/*
 * Sleeps while the copies are ahead of the rate that was asked for. Between groups a merge can be
 * stopped, but not before it has done one: each call makes progress.
 */
int merge_keep_to_rate(struct merge_run *m);

/* How many bytes of chunks to begin a group with, and how many it may have where that helps. */
void merge_group_size(struct merge_run *m, uint64_t *ret_first, uint64_t *ret_most);

#endif
