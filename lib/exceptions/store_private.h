/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The persistent store from inside: its state, and the functions that the files of this
 * folder share. Nothing outside includes this header; the others use
 * exceptions/chunk_store.h and exceptions/merge_list.h.
 *
 * Locks, in the order in which they are taken:
 *
 * - `busy`, the baton: held by the one thread that reads or writes metadata on the device, or
 *   relies on the area in memory. It is the only one that is held during I/O. Its holder may read
 *   all members but the map and the ring without `lock`, because no other thread changes them.
 * - `lock`: all members but the map, never held during I/O. Members change only under it, and those
 *   that the holder of the baton reads change only by that thread.
 * - `map_lock`: the map and the repeated entries. Taken last, and for moments only.
 *
 * State in memory changes only after the I/O that it stands for has succeeded.
 *
 * Invariant: the area in memory holds the entries [0, committed) of the current area and is zero
 * behind them. The area on the device is equal, unless `unclean` or, behind them, `tail_found`.
 *
 * The files from the bottom up, each using only those before it, and below them area, area_reader,
 * exception_tree, exception_map and run_sort, which know no store:
 *
 *	store_state     the baton, sentences, what can be asked of a store
 *	store_room      how many more exceptions fit
 *	store_map       everything that touches the map
 *	store_settle    repairs after a failed write, flushes
 *	store_verify    the check, which needs no store
 *	store_load      reads the list into the map
 *	store_list      goes through the list, forwards and backwards
 *	store_commit    new exceptions
 *	store_areas     takes many areas off the list at once
 *	store_take_off  takes entries off the list: one area, or many
 *	store_merge     the role of merging
 *	store_status    figures and lookups
 *	store           create, open, close, invalidate
 *	persistent      the operations that make it a chunk store
 */
#ifndef EXCEPTIONS_STORE_PRIVATE_H
#define EXCEPTIONS_STORE_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>

#include <uds/exception_store.h>

#include "base/failures.h"
#include "exceptions/chunk_store.h"
#include "exceptions/cow_format.h"
#include "exceptions/exception_map.h"
#include "exceptions/merge_list.h"

/* One thread's exceptions that wait to be committed. */
struct commit_waiter {
	size_t remaining;
	int status;
	struct uds_message message;
};

/* An exception that was given out. */
struct in_flight {
	struct uds_exception exception;
	struct commit_waiter *waiter; /* NULL: its data is not written yet */
	bool abandoned;
};

/* Counters of entries that contradict the format, as in uds_exception_store_status. */
struct store_damage {
	uint64_t new_behind_end;
	uint64_t new_is_metadata;
	uint64_t new_twice;
	uint64_t old_twice;
	uint64_t old_behind_origin;
};

/*
 * An old chunk that later entries name again with the same new chunk, and how often. The map cannot
 * tell them apart, so removing such an entry must leave the map alone. Sorted by old chunk.
 */
struct repeated_entry {
	uint64_t old_chunk;
	uint64_t times;
};

/* The content of an area whose change on the device failed half way. */
struct saved_area {
	uint64_t area;
	uint64_t first; /* entries before it were not to go: the device must have them all along */
	uint8_t *bytes;
};

struct uds_exception_store {
	struct chunk_store base; /* first: its operations are in persistent.c */
	struct uds_env env;
	struct uds_io *io;
	struct uds_io_engine *engine; /* its threads are those of all engines of the store */
	struct cow_geometry geometry;
	bool origin_known;
	uint64_t origin_bytes;
	uint32_t version;
	bool read_only;
	bool salvage;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool busy;		   /* the baton */
	struct failures *failures; /* sentences, for each thread */

	bool valid;	     /* the header says so, and nothing since */
	bool header_pending; /* invalid in memory, perhaps still valid on the device */
	uint64_t current_area;
	uint64_t committed;
	uint64_t next_free;
	uint64_t exceptions;
	uint64_t stale_entries;
	uint64_t unordered;
	int list_status; /* salvage: not 0: why the list goes on in current_area, unknown */
	struct store_damage damage;

	uint8_t *area;
	bool unclean;	 /* a write of the area failed: the device may hold anything between */
	bool tail_found; /* not all is zero behind the list, on the device; in memory it is */
	bool cleaned;	 /* what lies behind the list, as store_clean_behind() does it */
	int flush_error; /* of a flush since the caller's last one: reported once */

	/* Areas below the current one whose clearing failed: to be written again, when unclean. */
	struct saved_area *saved;
	size_t saved_count;

	/* The highest new chunk in each full area below the current one. */
	uint64_t *area_highest;
	size_t area_highest_room;

	/* What was given out, oldest first: a ring. */
	struct in_flight *ring;
	size_t ring_room;
	size_t ring_first;
	size_t ring_count;
	size_t ring_live;	       /* not abandoned */
	struct exception_map *pending; /* their old chunks */

	/* Merging: between the first prepare and _end_merge(). */
	bool merging;
	uint64_t prepared; /* entries that _commit_merge() may take */

	pthread_rwlock_t map_lock;
	struct exception_map *map;
	struct repeated_entry *repeated;
	size_t repeated_count;
	size_t repeated_room;
};

/* store_state.c */

void store_acquire(struct uds_exception_store *store);
void store_release(struct uds_exception_store *store);

/*
 * Every public call on a store begins with failures_begin(store->failures) and ends with
 * store_end(): it keeps the sentence of a failure for the calling thread. A failure without one
 * gets a general sentence about @what was to be done. Returns @status.
 */
int store_end(struct uds_exception_store *store, int status, const struct uds_message *message,
	      const char *what);

/* The same for calls that need the baton from beginning to end. */
void store_begin_exclusive(struct uds_exception_store *store);
int store_end_exclusive(struct uds_exception_store *store, int status,
			const struct uds_message *message, const char *what);

/* The options and environment of a call that takes no store yet. */
int store_take_options(const struct uds_exception_store_options *given,
		       struct uds_message *ret_message,
		       struct uds_exception_store_options *ret_options, struct uds_env *ret_env);

/* Whether it has entries to read: not when it is invalid, unless it was opened to salvage. */
bool store_is_readable(struct uds_exception_store *store);

/* Whether it takes new exceptions: 0, or why not, as a failure of the store. With the lock. */
int store_writable(struct uds_exception_store *store);

bool store_is_damaged(const struct uds_exception_store *store);

/* 0, or UDS_ERR_CORRUPT and a sentence that says by what the store is damaged. */
int store_check_damage(const struct uds_exception_store *store, struct uds_message *message);

/* Whether an old chunk is on no origin that can be, or not on this one, if its size is known. */
bool store_behind_origin(const struct uds_exception_store *store, uint64_t old_chunk);

/* Makes room in area_highest for @area; -ENOMEM. */
int store_reserve_area(struct uds_exception_store *store, uint64_t area);
uint64_t area_highest_new(const uint8_t *area, uint64_t count);

/* store_room.c: with the lock. */

/* Whether one more exception fits; and how many more do. */
bool store_one_more_fits(const struct uds_exception_store *store);
uint64_t store_room(const struct uds_exception_store *store);

/* Asks for the device's size again: it may have grown. 0, or what the I/O said. */
int store_update_size(struct uds_exception_store *store);

/* store_map.c */

/* Whether an exception is in the map, and its run: as map_find() and map_next(). */
bool store_find(struct uds_exception_store *store, uint64_t old_chunk, struct map_run *ret_run);
bool store_next(struct uds_exception_store *store, uint64_t old_chunk, struct map_run *ret_run);

/* Pairs as extents of their own, so that unmapping them again cannot fail: 0 or -ENOMEM. */
int store_map_pairs(struct uds_exception_store *store, const struct uds_exception *pairs,
		    size_t count);
void store_unmap_pairs(struct uds_exception_store *store, const struct uds_exception *pairs,
		       size_t count);

/* Joins mapped pairs with their neighbours: from now on they stay. */
void store_join_pairs(struct uds_exception_store *store, const struct uds_exception *pairs,
		      size_t count);

/* Entries [first, end) of an area: cuts the map for them; and removes them from it. */
int store_cut_map(struct uds_exception_store *store, const uint8_t *area, uint64_t first,
		  uint64_t end);
void store_unmap(struct uds_exception_store *store, const uint8_t *area, uint64_t first,
		 uint64_t end);

/* store_settle.c */

/* Flushes the COW device and remembers a failure for the caller's next flush. */
int store_flush_metadata(struct uds_exception_store *store, struct uds_message *message);

/*
 * Settles when there is need, and takes the baton for it: before anything is written in place, or
 * past the list.
 */
int store_repair(struct uds_exception_store *store, struct uds_message *message);

/*
 * For the owner of the snapshot: settles, flushes, and reports a flush error since the last call.
 */
int store_flush(struct uds_exception_store *store, struct uds_message *message);

/*
 * Writes the area, and those below whose clearing failed, again after a failed write.
 * With the baton.
 */
int store_settle(struct uds_exception_store *store, struct uds_message *message);

/* store_load.c: parses all areas into the map. The store is not shared yet. */
int store_load(struct uds_exception_store *store, const struct uds_exception_store_options *options,
	       struct uds_message *message);

/*
 * store_list.c: goes through the list as uds_exception_store_for_each_entry() does. With the baton.
 */
int store_for_each_entry(struct uds_exception_store *store, uds_exception_entry_fn each,
			 void *context, struct uds_message *message);

/* store_take_off.c */

/*
 * When the current area is empty: makes the one before current. @area: its content, or NULL to read
 * it. With the baton.
 */
int store_step_back(struct uds_exception_store *store, const uint8_t *area,
		    struct uds_message *message);

/* Takes the newest @count entries, 1 to committed, off the list, durably. With the baton. */
int store_take_off(struct uds_exception_store *store, uint64_t count, struct uds_message *message);

/* That many entries have been taken off. With the lock. */
void store_count_off(struct uds_exception_store *store, uint64_t count);

/* store_areas.c */

/*
 * Takes all entries off the current area and those before it, but for the last of the @count
 * areas, of which only the newest may go: with two flushes, however many they are. @engine: no
 * other thread uses it; of the COW device. On failure some of the contents may have been taken
 * over. With the baton.
 */
int store_take_off_areas(struct uds_exception_store *store, struct uds_io_engine *engine,
			 struct area_cut *cuts, size_t count, struct uds_message *message);

/*
 * Clears what a power cut may have left behind the end of the list, in its last area and in those
 * behind that, once. With the baton, or not shared yet.
 */
int store_clean_behind(struct uds_exception_store *store, struct uds_message *message);

#endif
