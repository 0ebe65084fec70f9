/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookups in flight: each waits for its own reads only, so that others begin and end meanwhile. For
 * devices on which a read takes long (lookup_flight_is_worth()); elsewhere volume_search.h is
 * better.
 *
 *	volume_lookup_start(&lookup, ...);
 *	lookup_flight_go(flight, lookups, 1, ended);          takes steps, and starts the reads
 *	n = lookup_flight_reap(flight, lookups, room, ms);    those whose read is done
 *	lookup_flight_go(flight, lookups, n, ended);          and on
 *
 * Threads: all functions may be called by any number at once, but for open and close; a lookup is
 * used by one thread at a time.
 */
#ifndef VOLUME_LOOKUP_FLIGHT_H
#define VOLUME_LOOKUP_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>

#include <uds/status.h>

#include "volume/lookup.h"

/* The most lookups of one call. */
#define LOOKUP_FLIGHT_SOME 64u

struct lookup_flight;

/* @depth: the most lookups in flight at once. Returns 0 or -ENOMEM. */
int lookup_flight_open(struct volume *volume, unsigned int depth,
		       struct lookup_flight **ret_flight);

/* No lookup is in flight. May be NULL. */
void lookup_flight_close(struct lookup_flight *flight);

/* Whether reads take so long at present that lookups should not be waited for one by one. */
bool lookup_flight_is_worth(struct lookup_flight *flight);

/*
 * Takes the next steps of lookups, and starts the reads that these want.
 *
 * @count: at most LOOKUP_FLIGHT_SOME.
 * @ended: called for each lookup that has ended, before this returns; @message is the sentence when
 *     it failed.
 */
void lookup_flight_go(struct lookup_flight *flight, struct volume_lookup *const *lookups,
		      size_t count,
		      void (*ended)(void *context, struct volume_lookup *lookup,
				    const struct uds_message *message),
		      void *context);

/*
 * Takes lookups whose read is done, and waits for one at most so many milliseconds; negative: as
 * long as it takes. Returns how many; 0 also after lookup_flight_wake(), or when none is in flight.
 *
 * @room: at most LOOKUP_FLIGHT_SOME.
 */
size_t lookup_flight_reap(struct lookup_flight *flight, struct volume_lookup **ret_lookups,
			  size_t room, int timeout_ms);

/* Lets a thread that waits in lookup_flight_reap(), or the next one that would, return. */
void lookup_flight_wake(struct lookup_flight *flight);

/* How many lookups have a read under way. */
unsigned int lookup_flight_count(const struct lookup_flight *flight);

/* A descriptor that is readable when a read may be done. Returns 0 or what the system said. */
int lookup_flight_event(struct lookup_flight *flight, int *ret_descriptor);

#endif
