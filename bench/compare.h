/* SPDX-License-Identifier: BSD-2-Clause */
/* What bench/compare measures: every combination of places, sizes, threads and modes. */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workload.h"

#define COMPARE	       "bench/compare" /* in front of messages */
#define COMPARE_VALUES 16u	       /* of each list */
#define COMPARE_RUNS   32u

struct compare_place {
	char folder[2048];
	char options[256]; /* of the URI; "" for none */
	bool direct;
};

/* How requests are handed over. */
struct compare_mode {
	unsigned int count; /* in a call, or at most in flight */
	bool in_flight;
};

struct compare_plan {
	struct compare_place places[COMPARE_VALUES];
	uint64_t records[COMPARE_VALUES];
	unsigned int threads[COMPARE_VALUES];
	struct compare_mode modes[COMPARE_VALUES]; /* the first one is of calls, and fills */
	size_t place_count, records_count, threads_count, mode_count;
	bool workloads[WORKLOADS]; /* fill is always done */
	unsigned int runs;
	double seconds;	       /* at most, of each workload but fill */
	uint64_t operations;   /* at most, likewise */
	uint64_t memory_bytes; /* that a store may take; 0: by the records */
};

/* One combination, by its places in the lists. */
struct compare_point {
	unsigned int place, records, threads;
};

static inline unsigned int compare_point_count(const struct compare_plan *plan)
{
	return (unsigned int)(plan->place_count * plan->records_count * plan->threads_count);
}

static inline struct compare_point compare_point_number(const struct compare_plan *plan,
							unsigned int i)
{
	const unsigned int threads = (unsigned int)plan->threads_count;
	const unsigned int records = (unsigned int)plan->records_count;

	return (struct compare_point){ i / threads / records, i / threads % records, i % threads };
}

#endif
