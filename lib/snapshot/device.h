/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner side of the snapshot device, shared by the device_*.c and merge*.c files.
 *
 * Every request holds its chunks in `ranges` while it works (shared to read, exclusive to write),
 * and looks at the state only then: what changes the state for all (becoming invalid on demand,
 * beginning and ending a merge) holds all chunks. `lock` is for the members below it, for moments
 * only.
 */
#ifndef SNAPSHOT_DEVICE_H
#define SNAPSHOT_DEVICE_H

#include <pthread.h>
#include <stdbool.h>

#include <uds/snapshot.h>

#include "base/failures.h"
#include "exceptions/store.h"
#include "exceptions/transient.h"
#include "io/copier.h"
#include "snapshot/range_lock.h"

#define SNAPSHOT_SLOT_BYTES (UINT64_C(256) << 10)

struct lost_chunks {
	struct map_run *runs;
	size_t count;
	size_t room;
};

struct uds_snapshot {
	struct uds_env env;
	struct uds_io *origin;
	struct uds_io *cow;
	struct uds_exception_store *store; /* NULL: transient */
	struct transient_store *transient; /* NULL: persistent */
	uint64_t size_bytes;
	uint64_t chunk_bytes;
	bool read_only;
	bool salvage;
	bool keep_on_overflow;
	unsigned int depth;

	struct range_lock ranges;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct failures *failures; /* sentences, for each thread */
	bool given_up;		   /* invalid: the origin is passed through */
	bool overflow;
	bool merging;
	bool merge_running;
	bool merge_failed;
	bool stop_merge;
	int origin_flush_error; /* of a flush in a merge: told at the caller's next one */
	struct copier *to_cow;	/* one idle copier, kept for the next copy-out */

	/*
	 * Exceptions that a merge leaves out, because their chunks cannot be had: in order of old
	 * chunks, and no longer in the map. Only changed with all chunks held.
	 */
	struct lost_chunks lost;
};

/* What a request may see of the state, once it holds its chunks. */
struct device_state {
	bool given_up;
	bool overflow;
	bool merging;
};

struct device_state device_get_state(struct uds_snapshot *s);

/*
 * Every public call on a snapshot begins with failures_begin(s->failures) and ends with device_end().
 *
 * Keeps the calling thread's sentence about a failure, if there is one; returns @status.
 */
int device_failed(struct uds_snapshot *s, int status, const struct uds_message *message);

/* @what: was to be done; for a failure without a sentence. Returns @status. */
int device_end(struct uds_snapshot *s, int status, const char *what);

int device_check_range(struct uds_snapshot *s, size_t length, uint64_t offset);

/* Bytes of a chunk that lie on the origin: fewer for a last one cut short. */
uint64_t device_chunk_length(const struct uds_snapshot *s, uint64_t chunk);

/*
 * Called with bytes of the snapshot from @offset on that cannot be had, and why. Not 0: the read
 * ends with that.
 */
typedef int (*device_lost_fn)(void *context, uint64_t offset, uint64_t length, int status,
			      const struct uds_message *message);

/* What uds_snapshot_salvage() reads at once. */
#define SALVAGE_BYTES (UINT64_C(4) << 20)

/* Reads the snapshot past what cannot be had: zeros in the buffer. */
int device_read_past_errors(struct uds_snapshot *s, uint8_t *buffer, uint64_t length,
			    uint64_t offset, device_lost_fn lost, void *context);

/* The same up to the first error, for a caller that holds the chunks. */
int device_read_held(struct uds_snapshot *s, uint8_t *buffer, uint64_t length, uint64_t offset);

/* Ranges of the snapshot that cannot be had; those that touch are one. */
struct losses {
	uds_snapshot_loss_fn each; /* may be NULL */
	void *context;
	uint64_t total;
	struct uds_snapshot_loss last; /* not told yet; length 0: none */
	struct uds_message sentence;
};

/* A device_lost_fn for them; and to be called at the end. Both: 0, or UDS_ERR_STOPPED. */
int losses_add(void *losses, uint64_t offset, uint64_t length, int status,
	       const struct uds_message *message);
int losses_end(struct losses *losses);

/* The two kinds of store behind one face. As the public functions of the exception store. */
bool device_lookup(struct uds_snapshot *s, uint64_t old_chunk, struct map_run *ret_run);
int device_prepare(struct uds_snapshot *s, uint64_t old_chunk, struct uds_exception *ret_exception,
		   struct uds_message *message);
int device_commit(struct uds_snapshot *s, const struct uds_exception *exceptions, size_t count,
		  struct uds_message *message);
void device_abandon(struct uds_snapshot *s, const struct uds_exception *exceptions, size_t count);

/*
 * The last guard before data goes to the COW device: whether the chunks [new_chunk, new_chunk +
 * count) lie on it and hold neither the header nor an area. Returns 0, UDS_ERR_CORRUPT, or what
 * asking for the device's size said.
 */
int device_check_target(struct uds_snapshot *s, uint64_t new_chunk, uint64_t count,
			struct uds_message *message);

/* Marks it invalid, durably. The caller holds what concerns it. */
int device_give_up(struct uds_snapshot *s, struct uds_message *message);

/* Whether a merge is under way; then @message says so. */
bool device_merge_runs(struct uds_snapshot *s, struct uds_message *message);

/* Flushes the origin and remembers a failure for the caller's next flush. */
int device_flush_origin(struct uds_snapshot *s, struct uds_message *message);

#endif
