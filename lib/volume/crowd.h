/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which chapters lookups lead to just now. A stream that repeats what was stored at one time leads
 * all of its names to one chapter; names at random lead to all chapters alike.
 *
 * Chapters share places, and threads may overwrite what others note: it need not be exact.
 *
 * Threads: any.
 */
#ifndef VOLUME_CROWD_H
#define VOLUME_CROWD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * One before is enough: a run of a hundred names reads each page of its chapter once or twice, so
 * each name that is read in parts before the run is noticed costs reads. Of names at random in so
 * many chapters as there are places, one in sixty is taken for one of a run.
 */
#define CROWD_WINDOW 16u
#define CROWD_PLACES 1024u

struct crowd {
	_Atomic uint32_t lookups;
	_Atomic uint32_t
		last[CROWD_PLACES]; /* the number of the last one that led there; 0: none */
};

/* Counts a lookup. Returns whether one of the CROWD_WINDOW before it led to the same slot. */
static inline bool crowd_note(struct crowd *crowd, uint32_t slot)
{
	uint32_t now = atomic_fetch_add_explicit(&crowd->lookups, 1, memory_order_relaxed) + 1;
	uint32_t last = atomic_exchange_explicit(&crowd->last[slot % CROWD_PLACES], now,
						 memory_order_relaxed);

	return last != 0 && now - last <= CROWD_WINDOW;
}

#endif
