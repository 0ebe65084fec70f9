/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entering chapters into the volume index by all members of the index's crew: each takes the names
 * that belong to its parts, chapter after chapter in order, so what comes of it is the same for any
 * number of threads.
 */
#ifndef INDEX_REPLAY_CREW_H
#define INDEX_REPLAY_CREW_H

#include "index/index.h"
#include "volume_index/additions.h"

/* So many chapters are worked on at once. */
#define REPLAY_HELD 2u

struct replay_crew;

/* @index: has a volume index. @skip_unreadable: as for replay_make(). Returns 0 or -ENOMEM. */
int replay_crew_make(struct uds_index *index, bool skip_unreadable, struct replay_crew **ret_crew);

/* After replay_crew_wait(). @crew may be NULL. */
void replay_crew_free(struct replay_crew *crew);

/*
 * Until one more chapter can be given. Returns what replay_chapter() and volume_log_damage() said.
 */
int replay_crew_make_room(struct replay_crew *crew);

/* A chapter that is to be entered; vcn, low_of and additions as for replay_chapter(). */
struct given_chapter {
	uint64_t vcn;
	uint64_t low_of;
	uint32_t slot;
	bool is_checked;	     /* its damage, if it has any, was logged */
	const uint8_t *record_pages; /* valid until there is room for REPLAY_HELD more */
	const struct additions *additions;
};

/* Gives a chapter, after replay_crew_make_room(). Its damage is logged. */
void replay_crew_give(struct replay_crew *crew, const struct given_chapter *chapter);

/* Waits for all chapters that were given. Returns as replay_crew_make_room(). */
int replay_crew_wait(struct replay_crew *crew);

/* replay_message() of the first member that has one, after replay_crew_wait(). */
const struct uds_message *replay_crew_message(const struct replay_crew *crew);

/* replay_undo_chapter() for all parts. No chapter is worked on. */
uint64_t replay_crew_undo(struct replay_crew *crew, uint64_t vcn, uint64_t low_of,
			  const uint8_t *record_pages);

#endif
