/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions that a write makes for the chunks of its window that have none, in the only safe order: new
 * chunks for all of them are given out; what must be copied is copied; all are committed at once; and
 * only then is written what the exceptions protect.
 */
#ifndef SNAPSHOT_NEW_EXCEPTIONS_H
#define SNAPSHOT_NEW_EXCEPTIONS_H

#include "snapshot/write_window.h"

struct new_exceptions {
	struct uds_exception *all; /* in ascending order of old chunks */
	size_t count;
	bool full; /* the store had no room for more: the window ends before the first chunk without */
};

/*
 * Gives out new chunks of the snapshot @s for the window's chunks. When the store has no room for all
 * of them, the window becomes shorter; it may be empty then. After an error nothing is given out.
 *
 * Only the store can say that it is full: no status of an I/O is ever taken for that.
 */
int new_exceptions_prepare(struct uds_snapshot *s, struct write_window *w,
			   struct new_exceptions *ret_fresh);

/* Commits them once their data is there (@status 0), or takes them back. Frees them in any case. */
int new_exceptions_finish(struct new_exceptions *fresh, struct uds_snapshot *s, int status,
			  struct uds_message *message);

#endif
