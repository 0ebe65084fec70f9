/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A snapshot from inside, shared by the files of this folder. Locks: see snapshot/origin.h.
 *
 * The files from the bottom up, each using only those before it:
 *
 *	range_lock, origin	what is in use, and the origin
 *	device_state		state, flushes, giving the snapshot up
 *	loss_list, device_read	reading the snapshot and the origin
 *	find_data		where there is something to read
 *	write_window		a write in parts
 *	new_exceptions		exceptions for chunks that have none
 *	copy_out		the old content of chunks, to the COW device
 *	keep_old		the old content of the origin, for every snapshot on it
 *	device_write		writing the snapshot
 *	origin_write		writing the origin
 *	merge_check		what makes a merge impossible
 *	lost_chunks, merge_losses  leaving out what is lost
 *	merge_role		taking and leaving the role of snapshot-merge
 *	merge_group		exceptions that are copied and committed together
 *	merge_committer		a thread that commits beside the copies
 *	merge_pace, merge	one merge
 *	device_status		figures
 *	differences		where two of them may have other bytes
 *	device_open		open and close
 */
#ifndef SNAPSHOT_DEVICE_H
#define SNAPSHOT_DEVICE_H

#include <pthread.h>
#include <stdbool.h>

#include <uds/snapshot.h>

#include "base/failures.h"
#include "exceptions/chunk_store.h"
#include "snapshot/lost_chunks.h"
#include "snapshot/origin.h"

struct uds_snapshot {
	struct uds_env env;
	struct origin *origin;
	struct origin_member member; /* of the origin */
	struct uds_io *cow;
	struct uds_io_engine *engine; /* its threads are those of all engines of the snapshot */
	struct chunk_store *store;
	uint64_t chunk_bytes;
	bool read_only;
	bool salvage;
	bool keep_on_overflow;
	unsigned int depth;
	struct failures *failures; /* sentences, for each thread */

	pthread_mutex_t lock; /* for what follows, but `lost` */
	bool given_up;	      /* invalid: the origin is passed through */
	bool unmarked; /* invalid, but the device may not say so: the origin must not change */
	bool overflow;
	bool merging;
	bool merge_running;
	bool merge_failed;
	bool stop_merge;
	struct copier *to_cow; /* one idle copier, kept for the next copy-out */

	/*
	 * Exceptions that a merge leaves out, because their chunks are lost (loss_list.h): in order
	 * of old chunks, and no longer in the map. Changes with everything held.
	 */
	struct lost_chunks lost;
};

/* What a request may see of the state, once it holds its part of the origin. */
struct device_state {
	bool given_up;
	bool is_invalid; /* given up, also where the device may not say so */
	bool overflow;
	bool merging;
};

struct device_state device_get_state(struct uds_snapshot *s);

/*
 * The snapshot that is being merged into the origin, NULL: none. The caller holds a part
 * of the origin.
 */
struct uds_snapshot *device_that_merges(const struct origin *origin);

/*
 * Every public call on a snapshot begins with failures_begin(s->failures) and ends with
 * device_end(): it keeps the sentence of a failure for the calling thread. A failure without one
 * gets a general sentence about @what was to be done. Returns @status.
 */
int device_end(struct uds_snapshot *s, int status, const struct uds_message *message,
	       const char *what);

int device_check_range(struct uds_snapshot *s, size_t length, uint64_t offset,
		       struct uds_message *message);

/* Bytes of a chunk that lie on the origin: fewer for a last one cut short. */
uint64_t device_chunk_length(const struct uds_snapshot *s, uint64_t chunk);

/* The exception of an old chunk, as map_find(). */
static inline bool device_lookup(struct uds_snapshot *s, uint64_t old_chunk,
				 struct map_run *ret_run)
{
	return s->store->ops->find(s->store, old_chunk, ret_run);
}

/* Guards what is about to be written to the COW device: see chunk_store.h. */
static inline int device_check_target(struct uds_snapshot *s, uint64_t new_chunk, uint64_t count,
				      struct uds_message *message)
{
	return s->store->ops->check_target(s->store, new_chunk, count, message);
}

/* The list of exceptions, where the kind of store has one that can be merged; else NULL. */
static inline struct uds_exception_store *device_list(struct uds_snapshot *s)
{
	return s->store->ops->get_list(s->store);
}

/*
 * Marks it invalid, durably. When that fails it is invalid all the same, but not given up: it can
 * be neither read nor written, and the origin must not change. The caller holds what concerns it.
 */
int device_give_up(struct uds_snapshot *s, struct uds_message *message);

/* Whether a merge is under way; then @message says so. */
bool device_merge_runs(struct uds_snapshot *s, struct uds_message *message);

/*
 * Called with lost bytes of the snapshot from @offset on, and why. Not 0: the read
 * ends with that.
 */
typedef int (*device_lost_fn)(void *context, uint64_t offset, uint64_t length, int status,
			      const struct uds_message *message);

/* What is read at once past errors. */
#define SALVAGE_BYTES (UINT64_C(4) << 20)

/* A buffer of SALVAGE_BYTES, or of what there is where that is less; NULL: no memory. */
uint8_t *device_salvage_buffer(const struct uds_snapshot *s);

/* Reads the snapshot past what is lost: zeros in the buffer. */
int device_read_past_errors(struct uds_snapshot *s, uint8_t *buffer, uint64_t length,
			    uint64_t offset, device_lost_fn lost, void *context,
			    struct uds_message *message);

/* Reads the snapshot (@view), or the origin, up to the first error. */
int device_read(struct uds_snapshot *s, bool view, uint8_t *buffer, uint64_t length,
		uint64_t offset, struct uds_message *message);

/* The same of the snapshot, for a caller that holds the chunks. */
int device_read_held(struct uds_snapshot *s, uint8_t *buffer, uint64_t length, uint64_t offset);

#endif
