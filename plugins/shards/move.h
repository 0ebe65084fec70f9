/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Adding and removing a shard while requests go on.
 *
 * Each slot has a home, the shard that answers for its names, and a target, which differs while the
 * slot moves. The protocol, step by step; a crash may come anywhere:
 *
 *	1. The manifest is replaced: generation + 1, state "moving", the shard joining or leaving.
 *	   Homes are as before; every open from now on knows of the move.
 *	2. Telling begins: a request for a name that moves is carried out at its home, which alone
 *	   answers; what it changed there is repeated at the target before it returns. Both under
 *	   one lock (told), so that the target sees changes in the home's order.
 *	3. Each target is reconciled: names of moving slots that it has from an earlier attempt, or
 *	   from a time when it was their home, are deleted unless the home has the same data.
 *	4. Each home is walked, chapter by chapter up to the one that was open when telling began,
 *	   and its names that move are copied with what a peek at the home says. That, too, under
 *	   told, a few names at a time. Names that were stored later have been told.
 *	5. The targets are made durable, the gate is closed, and they are made durable again.
 *	6. The manifest is replaced: generation + 1, state "stable", the joining shard a member, or
 *	   the leaving one gone. Targets are homes from now on. The gate is opened.
 *
 * Invariants:
 *	- The shard that the manifest makes a name's home has everything that was flushed: before
 *	  step 6 the old home, which never depends on the target; after it the target, which has
 *	  all that the old home had, durably. A flush goes to all shards, the joining one too.
 *	- Nothing is believed of a target after a crash, an error, or a stop: the move begins again
 *	  at step 2. What was copied and is the same is not written again.
 *	- When the manifest's replacement at step 6 fails, it may have happened: homes stay, and
 *	  telling goes on. Should telling fail then, flushes fail (shards_check_told), since a crash
 *	  could make the target the home.
 *
 * Names that moved stay where they were until they are evicted; no request goes there, and if
 * that shard becomes their target again, step 3 removes them. (A sparse index cannot delete names
 * that its volume index does not have: libuds_shards(3), Caveats.)
 */
#ifndef SHARDS_MOVE_H
#define SHARDS_MOVE_H

#include "shards/placement.h"
#include "shards/shards.h"

/* Within the gate, or under mover. */
static inline bool shards_moves(const struct uds_shards *shards, const struct uds_record_name *name)
{
	uint32_t slot = slot_of(name);

	return shards->home[slot] != shards->target[slot];
}

/* The index calls of one shard that make its records durable. */
int shard_persist(struct shard *shard);

/*
 * Carries out requests at the shards that @places says, home or target. Within the gate or under
 * mover; under told where names move. Returns what uds_shards_run() does, and keeps the sentence.
 */
int shards_run_at(struct uds_shards *shards, const uint8_t *places, struct uds_request *requests,
		  size_t count);

/* Repeats at their targets what requests that were carried out have changed. Under told. */
void shards_tell(struct uds_shards *shards, const struct uds_request *requests, size_t count);

/* The target does not know all any more. Under told. */
void shards_stop_telling(struct uds_shards *shards, int status);

/* Whether a flush may succeed: 0, or why not. */
int shards_check_told(struct uds_shards *shards);

/* Steps 3 and 4. Under mover, telling. */
int move_names(struct uds_shards *shards, uds_progress_fn progress, void *context);

#endif
