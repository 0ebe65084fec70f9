/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Some chapters of a rebuild on their way into the volume index together, by all members of the
 * index's crew: their records are gathered by lists, and each list takes its own at once. Records
 * that a list cannot just add are entered one by one afterwards.
 *
 * What comes of it is the same for any number of chapters in a group, and of threads.
 *
 * Threads: a group is used by the thread that gives the crew its jobs.
 */
#ifndef INDEX_CHAPTER_GROUP_H
#define INDEX_CHAPTER_GROUP_H

#include "index/index.h"
#include "index/replay_crew.h"

struct chapter_group;

/* How many chapters a group has, the last one of a rebuild excepted. @chapters: in all. */
uint32_t chapter_group_size(const struct geometry *geometry, uint32_t chapters);

/*
 * @index: has a volume index, in which nothing is too old when any of the chapters to come is open,
 *     and knows its oldest and newest chapter. @replay: for records that are left.
 *     @chapters: how many are to come.
 *
 * Returns 0 or -ENOMEM.
 */
int chapter_group_make(struct uds_index *index, struct replay_crew *replay, uint32_t chapters,
		       struct chapter_group **ret_group);

/* Waits for what is done with the pages. @group may be NULL. */
void chapter_group_free(struct chapter_group *group);

/*
 * Adds a chapter behind those that the group has, less than chapter_group_size() above the first.
 *
 * @record_pages: stay valid until the group was entered.
 */
void chapter_group_add(struct chapter_group *group, uint64_t vcn, uint32_t slot,
		       const uint8_t *record_pages);

/*
 * Enters what was added; there may be nothing. Damage is logged. The group is empty then.
 *
 * Returns 0; -ENOMEM, or what the I/O said: the volume index can only be freed then.
 */
int chapter_group_enter(struct chapter_group *group);

#endif
