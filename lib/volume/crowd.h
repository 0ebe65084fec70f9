/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which chapters many lookups lead to just now. A stream that repeats what was stored at one time
 * leads all of its names to one chapter; names at random lead to all chapters alike.
 *
 * Counts are by place, which chapters share, and are halved now and then. They need not be exact.
 *
 * Threads: any.
 */
#ifndef VOLUME_CROWD_H
#define VOLUME_CROWD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A few are enough: a run of a hundred names reads each page of its chapter once or twice, so each
 * name that is read in parts before the run is noticed costs reads. Of names at random in 64
 * chapters one in fifty is taken for one of a run.
 */
#define CROWD_WINDOW 32u /* lookups after which counts are halved */
#define CROWD_SHARES 128u
#define CROWD_LEAST  4u /* of the last one or two windows */

struct crowd {
	_Atomic uint32_t total;
	_Atomic uint32_t counts[CROWD_SHARES];
};

/* Counts a lookup. Returns whether many others were for the same slot. */
static inline bool crowd_note(struct crowd *crowd, uint32_t slot)
{
	_Atomic uint32_t *own = &crowd->counts[slot % CROWD_SHARES];
	uint32_t count = atomic_fetch_add_explicit(own, 1, memory_order_relaxed) + 1;
	uint32_t total = atomic_fetch_add_explicit(&crowd->total, 1, memory_order_relaxed) + 1;

	/* What other threads count meanwhile may get lost. */
	for (unsigned int i = 0; total % CROWD_WINDOW == 0 && i < CROWD_SHARES; i++) {
		uint32_t before = atomic_load_explicit(&crowd->counts[i], memory_order_relaxed);

		atomic_store_explicit(&crowd->counts[i], before / 2, memory_order_relaxed);
	}
	return count >= CROWD_LEAST;
}

#endif
