/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entering the records of a chapter that is on the volume into the volume index, as a rebuild does
 * (uds-format, 16.2).
 */
#ifndef INDEX_REPLAY_H
#define INDEX_REPLAY_H

#include "index/index.h"
#include "volume_index/additions.h"

struct replay;

/*
 * Several replays can enter the records of one chapter, each those in some parts of the volume
 * index, with a thread each.
 *
 * @index: has a volume index. @skip_unreadable: chapters that cannot be read, when a record of
 * another one leads to them, are no error. @number, @count: of the replays that share the work.
 *
 * Returns 0 or -ENOMEM.
 */
int replay_make(struct uds_index *index, bool skip_unreadable, unsigned int number,
		unsigned int count, struct replay **ret_replay);
void replay_free(struct replay *replay);

/*
 * Enters the records of chapter @vcn, page by page. The chapters from index->oldest up to the one
 * before are in these parts of the volume index, all are in the page map.
 *
 * @low_of: the volume index has nothing that is too old when this chapter is open.
 * @record_pages: all of them, one behind the other.
 * @additions: NULL, or what the other records of this chapter were added with: only those that were
 *     left are entered.
 *
 * Returns 0, -ENOMEM, or what the I/O said.
 */
int replay_chapter(struct replay *replay, uint64_t vcn, uint64_t low_of,
		   const uint8_t *record_pages, const struct additions *additions);

/*
 * Removes the entries that lead to the records of chapter @vcn, but for those in index->shared,
 * which it confirms. Returns how many entries of that chapter these parts of the volume index have
 * then: if there are others than those, the chapter is not the one that they were made for.
 */
uint64_t replay_undo_chapter(struct replay *replay, uint64_t vcn, uint64_t low_of,
			     const uint8_t *record_pages);

/*
 * Enters the records that are in the zones' open chapter. All chapters are in the volume index, and
 * its open chapter is index->newest; it is in no parts. Returns as replay_chapter().
 */
int replay_open_chapter(struct replay *replay);

/* Why reading failed; empty if it did not, or if there is no more to say than the status. */
const struct uds_message *replay_message(const struct replay *replay);

#endif
