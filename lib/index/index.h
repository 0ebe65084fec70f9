/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a struct uds_index, for the files of lib/index: the layers below tied together.
 *
 * Names are split over zones. Each zone has an open chapter zone, a closing one, its share of the
 * volume index and a lock around them. There are no threads but the callers', the chapter writer's
 * and the checkpointer's: the thread that holds a zone's lock does that zone's work. While the
 * index is opened there is also a crew; no zone is locked then.
 *
 * Locks, in the order in which they are taken:
 *   that of the saver (save.h), for as long as a save takes
 *   zones[0].lock .. zones[Z-1].lock   all of them in this order, or one of them alone
 *   those of the journal (journal.h), and that of the checkpointer (checkpoint.h)
 * newest, saved_chapter, oldest and what the volume index calls its windows change only
 * under all zone locks, so they can be read under any of them. The chapter writer's thread
 * takes no zone lock.
 */
#ifndef INDEX_INDEX_H
#define INDEX_INDEX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/index.h>

#include "base/crew.h"
#include "base/env.h"
#include "base/failures.h"
#include "chapter/open_zone.h"
#include "geometry/geometry.h"
#include "index/request_kind.h"
#include "sparse/sparse_cache.h"
#include "volume/chapter_writer.h"
#include "volume/layout.h"
#include "volume/volume.h"
#include "volume_index/shared_entries.h"
#include "volume_index/volume_index.h"

#define CACHE_LINE 64

struct batch;
struct index_checkpointer;
struct index_journal;
struct index_saver;
struct uds_index_queue;
struct zone_journal;

/* What the requests of a zone came to. Changed under the zone's lock. */
struct zone_counters {
	uint64_t overflows; /* records that found no room in the volume index */
	uint64_t requests[REQUEST_COUNTERS][LOCATIONS];
};

struct index_zone {
	pthread_mutex_t lock;
	unsigned int number;

	/*
	 * Something that a save would keep was stored or removed since the last save or load.
	 * Requests that only look, and those that find nothing to do, leave it alone: a save after
	 * them writes nothing.
	 */
	bool changed;

	/*
	 * The records of chapter newest - 1 are still in @closing: from the moment it is closed
	 * until the next one is, so also after it was written.
	 */
	bool has_closing;
	struct open_zone *open;
	struct open_zone *closing;
	struct zone_journal *journal; /* NULL: the index has no journal, or is being opened */
	struct zone_counters counters;

	/* A batch for those that have @lock, which guards it. NULL: none, or in use. */
	struct batch *aside;

	/*
	 * The pool of those that are not in use, and how many there are in all (batch.h). It has a
	 * lock of its own: a thread that drives a batch may have the one of the zone for long.
	 */
	pthread_mutex_t batches_lock __attribute__((aligned(CACHE_LINE)));
	struct batch *batches;
	unsigned int batch_count;
} __attribute__((aligned(CACHE_LINE)));

struct uds_index {
	struct uds_env env;
	struct uds_io *io;
	struct geometry geometry;
	bool sparse;
	bool read_only;
	struct layout layout;
	struct volume *volume;
	struct volume_index *volume_index;
	struct chapter_writer *writer; /* NULL when read-only */
	struct sparse_cache *cache;    /* NULL for a dense index */

	unsigned int zone_count;
	struct index_zone *zones;
	uint64_t newest; /* the open chapter */
	uint64_t oldest;
	struct index_journal *journal; /* NULL: the index has none, or is read-only */
	/* what was loaded has the journal up to this number; 0: nothing of it */
	uint64_t base_journal;
	uint64_t base_stamp; /* of the save whose volume index was loaded; 0: none was */
	/* While it is opened: entries of the save's open chapter that a recovery has not cut. */
	struct shared_entries shared;
	bool began_with_save;	/* the recovery did */
	bool flushed;		/* uds_index_flush() was called once, and there is a journal */
	uint64_t left_out_from; /* chapters below have no records that wait for left_out.h */
	uint64_t left_out_lost; /* records that found no room even so */
	bool must_save;		/* even if nothing was asked for: a new or recovered index */
	bool saving; /* changes since the last save may be in one that is not committed */
	struct index_saver *saver; /* NULL when read-only */
	uint64_t saved_chapter;	   /* that the latest save has open; 0: none is known */
	/* NULL: saves are made when asked for only. */
	struct index_checkpointer *checkpointer;
	/*
	 * May be NULL. Called under all zone locks, whenever a chapter was closed. A pointer,
	 * because the checkpointer stands on saving, and that on closing chapters.
	 */
	void (*chapter_closed)(struct uds_index *index);

	unsigned int threads; /* that load, recover and save what is asked for: 1 to CREW_MOST */
	/*
	 * While the index is opened; NULL later. The volume index may be in parts as long as
	 * this is there.
	 */
	struct crew *crew;

	uint64_t dropped_at_load;
	struct uds_message why_recovered; /* empty when a save was loaded */
	struct uds_message lost_changes;  /* of a damaged journal; empty: none */
	bool save_damaged;		  /* there is a save that is not as it was written */

	/* Under the lock of zone 0: the queues that are open, and their memory. */
	struct uds_index_queue *queues;
	uint64_t queue_bytes;

	struct failures *failures; /* sentences, for each thread */
};

/* Every zone, in order. */
void index_lock_all(const struct uds_index *index);
void index_unlock_all(const struct uds_index *index);

/*
 * From the lock of one zone to those of all and back. What was read under the lock before is no
 * longer known after the first of these when there are several zones: it lets go in between.
 */
void index_lock_others(struct uds_index *index, struct index_zone *zone);
void index_unlock_others(struct uds_index *index, struct index_zone *zone);

/*
 * The lowest chapter that the volume index may name. All zone locks are held, or no other thread
 * uses the index.
 */
uint64_t index_lowest_named(const struct uds_index *index);

/*
 * Every public call on an index begins with failures_begin(index->failures) and ends with
 * index_end().
 *
 * Keeps the calling thread's sentence about a failure, if there is one. Any locks may be
 * held. Returns @status.
 */
int index_failure(const struct uds_index *index, int status, const struct uds_message *message);

/* @what: was to be done; for a failure without a sentence. Returns @status. */
int index_end(const struct uds_index *index, int status, const char *what);

/*
 * What a caller gave for options, which may be NULL, over the default ones that @ret_options
 * has, and the environment in them. Returns 0, or what a size member or an incomplete
 * environment came to.
 */
int index_take_options(const struct uds_index_options *given, struct uds_index_options *ret_options,
		       struct uds_env *ret_env, struct uds_message *ret_message);

/*
 * Loads the latest save, as opening does, and gives everything back. Returns what index_load()
 * returns: 0 when the index opens without recovery.
 */
int index_try_load(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
		   struct uds_message *message);

/* Where a name is that the volume index finds in chapter @vcn (17). A zone lock is held. */
static inline enum uds_location index_location(const struct uds_index *index, uint64_t vcn)
{
	if (vcn == index->newest)
		return UDS_LOCATION_OPEN_CHAPTER;
	return geometry_is_chapter_sparse(&index->geometry, index->oldest, index->newest, vcn)
		       ? UDS_LOCATION_SPARSE
		       : UDS_LOCATION_DENSE;
}

/*
 * Whether chapter @vcn is one of the RECENT_CHAPTERS newest closed ones and sparse already, as it
 * is in an index with one or two dense chapters. The volume index has forgotten most of its names
 * then; lookups find them all the same (sparse_cache.h). A zone lock is held.
 */
static inline bool index_is_recent(const struct uds_index *index, uint64_t vcn)
{
	return vcn < index->newest && vcn + RECENT_CHAPTERS >= index->newest &&
	       vcn >= index->oldest && index_location(index, vcn) == UDS_LOCATION_SPARSE;
}

#endif
