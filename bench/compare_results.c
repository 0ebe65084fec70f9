/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists that grow; all are short. */
#include "compare_results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

static bool same_point(struct compare_point a, struct compare_point b)
{
	return a.place == b.place && a.records == b.records && a.threads == b.threads;
}

/* Room for one more at the end, which is cleared. */
static void *grow(void *list, size_t count, size_t bytes)
{
	char *grown = realloc(list, (count + 1) * bytes);

	if (grown == NULL) {
		fprintf(stderr, COMPARE ": no memory\n");
		exit(EXIT_FAILURE);
	}
	memset(grown + count * bytes, 0, bytes);
	return grown;
}

static struct compare_row *find(const struct compare_results *r, struct compare_point point,
				unsigned int peer, unsigned int mode, enum workload_kind workload)
{
	for (size_t i = 0; i < r->row_count; i++) {
		struct compare_row *row = &r->rows[i];

		if (same_point(row->point, point) && row->peer == peer && row->mode == mode &&
		    row->workload == workload)
			return row;
	}
	return NULL;
}

const struct compare_row *compare_find(const struct compare_results *results,
				       struct compare_point point, unsigned int peer,
				       unsigned int mode, enum workload_kind workload)
{
	return find(results, point, peer, mode, workload);
}

void compare_add_value(struct compare_results *r, const struct compare_row *value)
{
	struct compare_row *row = find(r, value->point, value->peer, value->mode, value->workload);

	if (row == NULL) {
		r->rows = grow(r->rows, r->row_count, sizeof(r->rows[0]));
		row = &r->rows[r->row_count++];
		row->point = value->point;
		row->peer = value->peer;
		row->mode = value->mode;
		row->workload = value->workload;
	}
	row->rates[row->count] = value->rates[0];
	row->processor[row->count] = value->processor[0];
	row->count++;
	row->operations += value->operations;
	row->wrong += value->wrong;
}

static void take_more(uint64_t *most, uint64_t value)
{
	*most = value > *most ? value : *most;
}

void compare_add_taken(struct compare_results *r, const struct compare_taken *value)
{
	struct compare_taken *taken = NULL;

	for (size_t i = 0; i < r->taken_count; i++) {
		if (same_point(r->taken[i].point, value->point) && r->taken[i].peer == value->peer)
			taken = &r->taken[i];
	}
	if (taken == NULL) {
		r->taken = grow(r->taken, r->taken_count, sizeof(r->taken[0]));
		taken = &r->taken[r->taken_count++];
		*taken = *value;
	}
	take_more(&taken->own, value->own);
	take_more(&taken->mapped, value->mapped);
	take_more(&taken->disk, value->disk);
}

void compare_add_failure(struct compare_results *r, const struct compare_failure *failure)
{
	r->failures = grow(r->failures, r->failure_count, sizeof(r->failures[0]));
	r->failures[r->failure_count++] = *failure;
}

struct compare_spread compare_spread_of(const double *values, size_t count)
{
	double sorted[COMPARE_RUNS];
	struct compare_spread spread;

	memcpy(sorted, values, count * sizeof(values[0]));
	spread.median = median(sorted, count);
	spread.lowest = sorted[0];
	spread.highest = sorted[count - 1];
	spread.quartile = sorted[(count - 1) / 4];
	spread.third_quartile = sorted[count - 1 - (count - 1) / 4];
	return spread;
}

void compare_results_free(struct compare_results *results)
{
	free(results->rows);
	free(results->taken);
	free(results->failures);
	memset(results, 0, sizeof(*results));
}
