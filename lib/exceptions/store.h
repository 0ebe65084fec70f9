/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner side of the exception store, shared by the store_*.c files.
 *
 * Three things guard its state:
 *
 * - `lock`, for all members but the map, never held during I/O; - the baton `busy`, held by the one
 * thread that reads or writes metadata on the device, or relies on
 *   the area in memory: it may look at members without the lock, and changes them with it;
 * - `map_lock` for the map, taken last and for moments only.
 *
 * State in memory changes only after the I/O it stands for has succeeded.
 *
 * Invariant: the area in memory holds the entries [0, committed) of the current area and is zero
 * behind them. The area on the device is equal, unless `unclean`.
 */
#ifndef EXCEPTIONS_STORE_H
#define EXCEPTIONS_STORE_H

#include <pthread.h>
#include <stdbool.h>

#include <uds/exception_store.h>

#include "base/failures.h"
#include "exceptions/cow_format.h"
#include "exceptions/exception_map.h"

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
	uint8_t *bytes;
};

struct uds_exception_store {
	struct uds_env env;
	struct uds_io *io;
	struct cow_geometry geometry;
	uint64_t origin_bytes; /* 0: not known */
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
	int flush_error; /* of a flush since the caller's last one: told to him once */

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

/* The baton. */
void store_acquire(struct uds_exception_store *store);
void store_release(struct uds_exception_store *store);

/*
 * Every public call on a store begins with failures_begin(store->failures) and ends with store_end().
 *
 * Keeps the calling thread's sentence about a failure, if there is one; returns @status.
 */
int store_failed(struct uds_exception_store *store, int status, const struct uds_message *message);

/* @what: was to be done; for a failure without a sentence. Returns @status. */
int store_end(struct uds_exception_store *store, int status, const char *what);

/* Whether entries can be read: 0, or UDS_ERR_INVALID_SNAPSHOT. */
int store_readable(struct uds_exception_store *store);

/* Whether it takes new exceptions: 0, or why not, as a failure of the store. With the lock. */
int store_writable(struct uds_exception_store *store);

bool store_is_damaged(const struct uds_exception_store *store);

/* Flushes the COW device and remembers a failure for the caller's next flush. */
int store_flush_metadata(struct uds_exception_store *store, struct uds_message *message);

/* Writes the area again after a write that failed. With the baton. */
int store_settle(struct uds_exception_store *store, struct uds_message *message);

/*
 * For the owner of the snapshot: settles, flushes, and tells a flush error that happened since the
 * last call.
 */
int store_flush(struct uds_exception_store *store, struct uds_message *message);

/* Settles when there is need: before anything is written in place, or past the list. */
int store_repair(struct uds_exception_store *store, struct uds_message *message);

/* How many more exceptions fit. With the lock. */
uint64_t store_room(const struct uds_exception_store *store);

/* Looks at the device's size again: it may have grown. 0, or what the I/O said. With the lock. */
int store_look_at_size(struct uds_exception_store *store);

/* Makes room in area_highest for @area; -ENOMEM. */
int store_reserve_area(struct uds_exception_store *store, uint64_t area);
uint64_t area_highest_new(const uint8_t *area, uint64_t count);

/* Goes through the list as uds_exception_store_for_each_entry() does. With the baton. */
int store_walk(struct uds_exception_store *store, uds_exception_entry_fn each, void *context,
	       struct uds_message *message);

/* Whether an old chunk is on no origin that can be, or not on this one, if its size is known. */
bool store_behind_origin(const struct uds_exception_store *store, uint64_t old_chunk);

/* Parses all areas into the map. The store is not shared yet. */
int store_load(struct uds_exception_store *store, const struct uds_exception_store_options *options,
	       struct uds_message *message);

/*
 * Checks what makes any merge impossible, cleans up after failed writes, and turns to merging: no
 * exceptions are given out any more. @salvage: entries whose new chunk cannot be are the caller's
 * business. With the baton.
 */
int store_begin_merge(struct uds_exception_store *store, bool salvage, struct uds_message *message);

/*
 * Looks for entries in the list that cannot be merged: UDS_ERR_CORRUPT and a sentence that names
 * the first and counts the others; 0: there are none (any more). With the baton.
 */
int store_refuse_merge(struct uds_exception_store *store, struct uds_message *message);

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

/* What goes off an area: its newest @count entries. */
struct area_cut {
	uint64_t count;
	uint8_t *content; /* of the whole area; NULL for the current one */
};

/* How many areas store_take_off_areas() takes at once; 1: only store_take_off() is worth it. */
uint64_t store_areas_at_once(uint64_t chunk_bytes);

/*
 * Takes all entries off the current area and those before it, but for the last of the @count areas,
 * of which only the newest may go: with two flushes, however many they are. @queue: on the COW
 * device. On failure some of the contents may have been taken over. With the baton.
 */
int store_take_off_areas(struct uds_exception_store *store, struct uds_io_queue *queue,
			 struct area_cut *cuts, size_t count, struct uds_message *message);

/* Entries [first, end) of an area: cuts the map for them; and removes them from it. */
int store_cut_map(struct uds_exception_store *store, const uint8_t *area, uint64_t first,
		  uint64_t end);
void store_unmap(struct uds_exception_store *store, const uint8_t *area, uint64_t first,
		 uint64_t end);

/* Writes back areas whose clearing failed. With the baton. */
int store_restore_areas(struct uds_exception_store *store, struct uds_message *message);

/* Clears what a power cut may have left in the areas behind the current one. Not shared yet. */
int store_clean_areas_behind(struct uds_exception_store *store, struct uds_message *message);

/* Back from merging. With the baton. */
int store_end_merge(struct uds_exception_store *store, struct uds_message *message);

/* Whether an earlier entry hides this one. */
bool store_is_hidden(struct uds_exception_store *store, const struct uds_exception *exception);

/* The geometry, which may change when the device grows. */
struct cow_geometry store_geometry(struct uds_exception_store *store);

#endif
