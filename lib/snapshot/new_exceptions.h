/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions that a write makes for the chunks of its window that have none, in the only safe
 * order: new chunks for all of them are given out; what must be copied is copied; all are committed
 * at once; and only then is written what the exceptions protect.
 */
#ifndef SNAPSHOT_NEW_EXCEPTIONS_H
#define SNAPSHOT_NEW_EXCEPTIONS_H

#include "io/copier.h"
#include "snapshot/write_window.h"

struct new_exceptions {
	struct uds_exception *all; /* in ascending order of old chunks */
	size_t count;
	/* the store had no room for more: the window ends before the first chunk without */
	bool full;
};

/*
 * Gives out new chunks of the snapshot @s for the window's chunks. When the store has no room
 * for all of them, the window becomes shorter; it may be empty then. After an error nothing
 * is given out.
 *
 * Only the store can say that it is full: no status of an I/O is ever taken for that.
 */
int new_exceptions_prepare(struct uds_snapshot *s, struct write_window *w,
			   struct new_exceptions *ret_fresh);

/* Pieces of the origin in ascending order, of which the first @done bytes are dealt with. */
struct piece_cursor {
	const struct copy_piece *pieces; /* `to` is the place on the origin */
	size_t count;
	uint64_t done; /* of the first one */
};

/*
 * The same for the next pieces, until there are @most exceptions or no more pieces; the
 * cursor moves on.
 * Returns UDS_ERR_NO_ROOM, with nothing given out, when there is no room for all of these.
 */
int new_exceptions_prepare_pieces(struct uds_snapshot *s, struct piece_cursor *cursor, size_t most,
				  struct new_exceptions *ret_fresh, struct uds_message *message);

/* Commits them once their data is there (@status 0), or takes them back. Frees them in any case. */
int new_exceptions_finish(struct new_exceptions *fresh, struct uds_snapshot *s, int status,
			  struct uds_message *message);

#endif
