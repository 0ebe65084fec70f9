/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of a merge: a cursor that walks the list backwards ahead of what is committed, and
 * groups of exceptions that are copied and committed together.
 *
 * A group may reach over several areas. It has the chunks to copy, sorted by their place on the
 * origin, and for each area what is to be taken off there, the highest first.
 */
#ifndef SNAPSHOT_MERGE_H
#define SNAPSHOT_MERGE_H

#include "exceptions/area.h"
#include "snapshot/device.h"

struct merge_group {
	struct area_cut *parts; /* one an area; a content where it is not the current one yet */
	size_t part_count;
	size_t part_room;

	struct map_run *runs; /* to copy, in order of old chunks */
	struct map_run *scratch;
	size_t run_count;
	size_t run_room;
	struct copy_piece *pieces; /* the same in bytes; room for run_room */
	struct range_claim claim;

	uint64_t entries;
	uint64_t hidden;
	uint64_t lost; /* left out because they cannot be had */
};

struct merge_cursor {
	struct uds_snapshot *s;
	const struct lost_chunks *lost; /* left out, besides those of the snapshot */
	struct cow_geometry geometry;
	struct area_reader *reader; /* NULL: there is no area before the first one */
	uint64_t area;
	uint64_t left; /* entries of the area that no group has */
	bool entered; /* no part has the area's content yet, and it is not the store's current one */
	uint8_t *content;
};

/* What makes a merge impossible, before anything is done. */
int merge_check(struct uds_snapshot *s, const struct uds_merge_options *options,
		struct uds_message *message);

/* How much of the origin's last chunk is dropped: 0 where it is whole, or has no exception. */
uint64_t merge_bytes_cut(struct uds_snapshot *s);

/* How many chunks of a group are copied. */
static inline uint64_t merge_group_chunks(const struct merge_group *group)
{
	return group->entries - group->hidden - group->lost;
}

/* @lost: must stay as long as the cursor. */
int merge_cursor_open(struct uds_snapshot *s, const struct lost_chunks *lost,
		      struct merge_cursor *ret_cursor, struct uds_message *message);
void merge_cursor_close(struct merge_cursor *cursor);

/* Makes a group empty; its memory is kept. */
void merge_group_clear(struct merge_group *group, const struct uds_env *env);

/*
 * Adds the next entries to a group until it has @limit of them, or about @bytes of chunks; one at
 * least. group->entries stays 0 when the list has no more.
 */
int merge_group_fill(struct merge_group *group, struct merge_cursor *cursor, uint64_t limit,
		     uint64_t bytes, struct uds_message *message);
void merge_group_release(struct merge_group *group, const struct uds_env *env);

/*
 * Makes the copies of a group durable and takes its entries off. @queue: on the COW device.
 * @ret_entries, @ret_rounds: what was taken off, also when it fails half way.
 */
int merge_group_commit(struct merge_group *group, struct uds_snapshot *s,
		       struct uds_io_queue *queue, uint64_t *ret_entries, uint64_t *ret_rounds,
		       struct uds_message *message);

/*
 * Reads all chunks that have an exception, and finds those that cannot be had: whole ones, also
 * when a part can. They are told as ranges of bytes to @each, which may be NULL.
 *
 * @tick: between reads; not 0: stop.
 * @ret_lost: in order of old chunks; to be released with env_release().
 *
 * Returns 0, -ENOMEM or UDS_ERR_STOPPED.
 */
int merge_losses_find(struct uds_snapshot *s, uds_snapshot_loss_fn each, void *context,
		      int (*tick)(void *), void *tick_context, struct lost_chunks *ret_lost,
		      struct uds_message *message);

bool merge_losses_have(const struct lost_chunks *lost, const struct uds_exception *exception);

/*
 * From now on these have no exception: what is read or written there is the origin's. Those that can
 * be had by now, because somebody wrote them, stay. All chunks are held.
 */
int merge_losses_give_up(struct uds_snapshot *s, const struct lost_chunks *lost,
			 struct uds_message *message);

struct merge_committer;

/* A thread that commits one group while the next one is copied. */
int merge_committer_start(struct uds_snapshot *s, struct uds_io_queue *queue,
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
