/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each kind of request does (uds-format, 17): one row for each in request_kind.c, and no other
 * place that asks for the kind of a caller's request. To add a kind, add it to enum
 * uds_request_kind and write its row.
 */
#ifndef INDEX_REQUEST_KIND_H
#define INDEX_REQUEST_KIND_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/index.h>

#define LOCATIONS (UDS_LOCATION_SPARSE + 1)

/* What a request stores in the open chapter. */
enum stored_data {
	STORE_NOTHING = 0,
	STORE_NEW, /* what the caller gave */
	STORE_OLD, /* what was found: the record is promoted, and so stays longer */
};

/* What a request is counted as; see struct uds_index_statistics. */
enum request_counter {
	COUNT_POSTS = 0,
	COUNT_UPDATES,
	COUNT_DELETIONS,
	COUNT_QUERIES,
	REQUEST_COUNTERS,
};

struct request_kind {
	const char *name;	   /* as messages say it; NULL: there is no such kind */
	uint8_t stores[LOCATIONS]; /* enum stored_data, by where the name was found */
	bool removes;		   /* the name's entry, and its record in the open chapter */

	/*
	 * Looks for the record and its data, in old chapters too. A kind without this needs
	 * the entry of the name alone: a collision entry has the whole name, so its chapter
	 * is not read.
	 */
	bool needs_record;
	bool needs_room;	 /* a full open chapter is closed first */
	bool works_on_read_only; /* carried out also where the index was opened read-only */
	uint8_t counted_as;	 /* enum request_counter */

	/*
	 * Removes a name only when its entry leads to a chapter below the first or not below the
	 * second of the two numbers (64 bits, little-endian) in new_data.
	 */
	bool keeps_range;
};

/*
 * What the journal replays (journal_replay.c): an update and a deletion that never close a chapter,
 * and are carried out on a read-only index, too. They are in no table: no caller can ask for them.
 */
extern const struct request_kind request_replayed_store;
extern const struct request_kind request_replayed_deletion;

/* Never NULL: a kind that does not exist has the row of kind 0, which has no name. */
const struct request_kind *request_kind_of(uint8_t kind);

/*
 * Whether a request of this kind stores a record mostly: then its memory is fetched for a change.
 */
static inline bool request_kind_stores_new(const struct request_kind *kind)
{
	return kind->stores[UDS_LOCATION_NONE] != STORE_NOTHING;
}

#endif
