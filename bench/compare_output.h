/* SPDX-License-Identifier: BSD-2-Clause */
/* What bench/compare has measured: as a table, as JSON, and as a page with plots. */
#ifndef BENCH_COMPARE_OUTPUT_H
#define BENCH_COMPARE_OUTPUT_H

#include <stdio.h>

#include "compare_peers.h"
#include "compare_results.h"

struct compare_report {
	const struct compare_plan *plan;
	const struct compare_peers *peers;
	const struct compare_results *results;
};

#define COMPARE_TEXT 64

/* "batches of 256" */
const char *compare_mode_text(struct compare_mode mode, char text[COMPARE_TEXT]);

/* "1M", "1500" */
const char *compare_count_text(uint64_t count, char text[COMPARE_TEXT]);

/* "/dev/shm?map=1, 1M records, 2 threads" */
void compare_write_point_text(const struct compare_report *report, struct compare_point point,
			      FILE *out);

void compare_write_table(const struct compare_report *report, FILE *out);
void compare_write_json(const struct compare_report *report, FILE *out);

/*
 * Makes the folder if it is not there, and index.html, results.json and the images in it; gnuplot
 * makes these. Returns whether all of it was done; what was not is said on standard error.
 */
bool compare_write_report(const struct compare_report *report, const char *folder);

#endif
