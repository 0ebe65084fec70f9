/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The origin: its I/O, which parts of it are in use, and the snapshots on it. Each of
 * them shares it.
 *
 * Before it changes, every snapshot on it has the old content (keep_old.c). Writes of requests are
 * in origin_write.c; those of a merge go through a copier from origin_open_copier().
 *
 * Locks, in the order in which they are taken:
 *
 * - `ranges`. Every request, to the origin or to a snapshot on it, holds the bytes that it touches
 *   while it works (shared to read, exclusively to write), rounded out to whole chunks of every
 *   snapshot, and looks at the state of the snapshots only then. So of two writers to a chunk the
 *   second finds the exceptions that the first has made. What changes the state for all (a
 *   snapshot becomes invalid on demand, a merge begins or ends) holds everything, and so does a
 *   change of `members`.
 * - the `lock` of each snapshot, one at a time, and then the locks of its store (exceptions/).
 * - `lock`: users and flush_error, for moments only, never while another one is taken.
 */
#ifndef SNAPSHOT_ORIGIN_H
#define SNAPSHOT_ORIGIN_H

#include <stdatomic.h>

#include <uds/env.h>
#include <uds/io.h>

#include "io/copier.h"
#include "snapshot/range_lock.h"

/* The longest transfer of a copy. */
#define SNAPSHOT_SLOT_BYTES (UINT64_C(256) << 10)

struct uds_snapshot;

/* A snapshot on an origin. */
struct origin_member {
	struct uds_snapshot *snapshot;
	struct uds_io *cow;
	uint64_t chunk_bytes;
	struct origin_member *next;
};

struct origin {
	struct uds_env env;
	struct uds_io *io;
	uint64_t size_bytes;

	/*
	 * The largest chunk of a member: holds are rounded out to it. Changes with everything held.
	 */
	_Atomic uint64_t unit_bytes;

	struct range_lock ranges;
	struct origin_member *members;
	pthread_mutex_t lock;
	unsigned int users; /* how many share it */
	int flush_error;    /* of a flush in a merge: reported by the caller's next one */
};

/* The I/O is borrowed. 0, -ENOMEM, or what asking for its size said. */
int origin_open(struct uds_io *io, const struct uds_env *env, struct origin **ret_origin,
		struct uds_message *message);

/* One more user; returns @origin. */
struct origin *origin_share(struct origin *origin);

/* The last user's closes it. May be NULL. */
void origin_close(struct origin *origin);

/*
 * Whether @io has bytes in common with the origin, or with the COW device of a snapshot on it:
 * that one's name.
 */
bool origin_overlaps(struct origin *origin, struct uds_io *io, const char **ret_name);

/*
 * Whether there are snapshots on it besides @s. The caller holds a part of the origin,
 * or claims one.
 */
bool origin_has_others(const struct origin *origin, const struct uds_snapshot *s);

/*
 * Puts a snapshot on the origin: 0, or UDS_ERR_UNALIGNED when its chunks do not go with the blocks.
 */
int origin_attach(struct origin *origin, struct origin_member *member, struct uds_message *message);
void origin_detach(struct origin *origin, struct origin_member *member);

/*
 * Waits for the bytes [offset, offset + length), at least one, or for everything;
 * origin_let_go() ends it.
 */
void origin_hold(struct origin *origin, struct range_hold *hold, uint64_t offset, uint64_t length,
		 bool exclusive);
void origin_hold_all(struct origin *origin, struct range_hold *hold);
void origin_let_go(struct origin *origin, struct range_hold *hold);

/* For a merge: keeps writers from the chunks that it copies, see range_lock.h. */
static inline void origin_claim(struct origin *origin, struct range_claim *claim)
{
	range_claim(&origin->ranges, claim);
}

static inline void origin_unclaim(struct origin *origin, struct range_claim *claim)
{
	range_unclaim(&origin->ranges, claim);
}

static inline void origin_wait_for_readers(struct origin *origin, const struct range_claim *claim)
{
	range_wait_for_readers(&origin->ranges, claim);
}

/* Whether a writer waits for a claim: the merge then makes its rounds small. */
static inline bool origin_writer_waits(struct origin *origin)
{
	return range_claims_in_the_way(&origin->ranges);
}

/* A copier that writes to the origin, for a merge; @share as in copier_open(). */
int origin_open_copier(struct origin *origin, struct uds_io *cow, unsigned int depth,
		       struct uds_io_engine *share, struct copier **ret_copier);

/* Flushes for the owner; an origin that cannot be written needs none. */
int origin_flush(struct origin *origin, struct uds_message *message);

/* Flushes for a merge, and remembers a failure for the owner. */
int origin_flush_copies(struct origin *origin, struct uds_message *message);

/* Reports a failure that was remembered, once: 0, or that. */
int origin_take_flush_error(struct origin *origin, struct uds_message *message);

#endif
