/* SPDX-License-Identifier: BSD-2-Clause */
/* What was measured, of all runs. */
#ifndef BENCH_COMPARE_RESULTS_H
#define BENCH_COMPARE_RESULTS_H

#include "compare.h"

/* One workload of one peer at one point, in one mode. */
struct compare_row {
	struct compare_point point;
	unsigned int peer, mode;
	enum workload_kind workload;
	size_t count;			/* runs that got so far */
	double rates[COMPARE_RUNS];	/* operations a second */
	double processor[COMPARE_RUNS]; /* seconds of all threads, for an operation */
	uint64_t operations;		/* of all runs */
	uint64_t wrong;			/* of these, the answers that were wrong */
};

/* What a store takes, the most of all runs, in bytes. */
struct compare_taken {
	struct compare_point point;
	unsigned int peer;
	uint64_t own;	 /* memory that no file is behind */
	uint64_t mapped; /* memory that shows files */
	uint64_t disk;
};

struct compare_failure {
	struct compare_point point;
	unsigned int peer, run;
	char why[320];
};

struct compare_results {
	struct compare_row *rows;
	struct compare_taken *taken;
	struct compare_failure *failures;
	size_t row_count, taken_count, failure_count;
	double driver_seconds; /* that the driver itself takes for an operation */
};

struct compare_spread {
	double median, lowest, highest, quartile, third_quartile;
};

/*
 * Each adds to what is there of the same point, peer, mode and workload. No memory: ends the
 * program.
 */
void compare_add_value(struct compare_results *results, const struct compare_row *value);
void compare_add_taken(struct compare_results *results, const struct compare_taken *value);
void compare_add_failure(struct compare_results *results, const struct compare_failure *failure);

/* NULL: there is none. */
const struct compare_row *compare_find(const struct compare_results *results,
				       struct compare_point point, unsigned int peer,
				       unsigned int mode, enum workload_kind workload);

/* @count is not 0. The values stay as they are. */
struct compare_spread compare_spread_of(const double *values, size_t count);

void compare_results_free(struct compare_results *results);

#endif
