/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A group: exceptions that are copied and committed together, gathered from the end of the list
 * backwards, ahead of what is committed.
 *
 * A group may reach over several areas. It has the chunks to copy, sorted by their place on the
 * origin, and for each area what is to be taken off there, the highest first.
 */
#ifndef SNAPSHOT_MERGE_GROUP_H
#define SNAPSHOT_MERGE_GROUP_H

#include "exceptions/merge_list.h"
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
	uint64_t lost; /* left out because they are lost */
};

/* Where gathering stands. */
struct merge_cursor {
	struct uds_snapshot *s;
	const struct lost_chunks *lost; /* left out, besides those of the snapshot */
	struct list_cursor list;
	/* no part has the area's content yet, and it is not the store's current one */
	bool entered;
};

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
 * Makes the copies of a group durable and takes its entries off. @engine: for the areas of the COW
 * device; no other thread uses it meanwhile.
 * @ret_entries, @ret_rounds: what was taken off, also when it fails half way.
 */
int merge_group_commit(struct merge_group *group, struct uds_snapshot *s,
		       struct uds_io_engine *engine, uint64_t *ret_entries, uint64_t *ret_rounds,
		       struct uds_message *message);

#endif
