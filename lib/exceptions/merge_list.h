/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a merge needs of the persistent store, beside its public functions: the list backwards, and
 * taking entries off its end. The struct is private to this folder.
 *
 * Threads: any, but of the functions that merge one at a time. Each takes the store's locks itself.
 */
#ifndef EXCEPTIONS_MERGE_LIST_H
#define EXCEPTIONS_MERGE_LIST_H

#include <stdbool.h>

#include <uds/exception_store.h>

#include "exceptions/cow_format.h"
#include "exceptions/exception_map.h"

/* An entry of an area in memory. */
static inline struct uds_exception area_entry(const uint8_t *area, uint64_t index)
{
	struct uds_exception e = { cow_entry_old(area, index), cow_entry_new(area, index) };

	return e;
}

/* The geometry, which may change when the device grows. */
struct cow_geometry store_geometry(struct uds_exception_store *store);

/*
 * Checks what makes any merge impossible, cleans up after failed writes, and turns to merging: no
 * exceptions are given out any more. @salvage: entries whose new chunk cannot be are the caller's
 * business.
 */
int store_begin_merge(struct uds_exception_store *store, bool salvage, struct uds_message *message);

/* Back from merging: allocation goes on behind the highest new chunk that is left. */
int store_end_merge(struct uds_exception_store *store, struct uds_message *message);

/*
 * Looks for entries in the list that cannot be merged: UDS_ERR_CORRUPT and a sentence that names
 * the first and counts the others; 0: there are none (any more).
 */
int store_refuse_merge(struct uds_exception_store *store, struct uds_message *message);

/* Whether two old chunks share a new one, so that none is written in place. */
bool store_has_shared_chunks(const struct uds_exception_store *store);

/* Whether an earlier entry hides this one. */
bool store_is_hidden(struct uds_exception_store *store, const struct uds_exception *exception);

/*
 * From now on the chunks of these runs, sorted and in the map as such, have no exception; their
 * entries stay in the list. 0, or -ENOMEM: nothing has changed.
 */
int store_forget_runs(struct uds_exception_store *store, const struct map_run *runs, size_t count);

/*
 * The list backwards: the area that the cursor stands in, with the entries [0, left) still to come.
 */
struct list_cursor {
	struct uds_exception_store *store;
	struct cow_geometry geometry;
	struct area_reader *reader; /* NULL: there is no area before the first one */
	uint64_t area;
	uint64_t left;
	uint8_t *content;
};

/* Begins at the end of the list. The cursor stays where it is in memory until it is closed. */
int list_cursor_open(struct uds_exception_store *store, struct list_cursor *ret_cursor,
		     struct uds_message *message);
void list_cursor_close(struct list_cursor *cursor);

/* Goes to the area before; @ret_more: whether there was one. */
int list_cursor_step(struct list_cursor *cursor, bool *ret_more, struct uds_message *message);

/* What goes off an area: its newest @count entries. */
struct area_cut {
	uint64_t count;
	uint8_t *content; /* of the whole area; NULL for the current one */
};

/* How many areas go off the list with one pair of flushes. */
uint64_t store_areas_at_once(uint64_t chunk_bytes);

/*
 * Takes entries off the end of the list, durably: of the current area first, then of those before
 * it; the list on the device is a prefix of the old one at every moment. The caller has copied the
 * chunks and flushed the origin.
 *
 * @engine: with room for store_areas_at_once(); no other thread uses it meanwhile.
 * @ret_entries, @ret_rounds: what was taken off, and with how many writes; also when it
 *     fails half way.
 */
int store_take_off_cuts(struct uds_exception_store *store, struct uds_io_engine *engine,
			struct area_cut *cuts, size_t count, uint64_t *ret_entries,
			uint64_t *ret_rounds, struct uds_message *message);

#endif
