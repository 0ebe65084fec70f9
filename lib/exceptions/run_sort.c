/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A radix sort: stable, and of the same speed for any order. Digits of 8 bits are as fast as longer
 * ones, whose places are too many for the nearest cache, and need little stack.
 */
#include "exceptions/run_sort.h"

#include <string.h>

#include "base/bits.h"

#define RADIX_BITS 8
#define RADIX	   (1u << RADIX_BITS)

struct map_run *runs_sort(struct map_run *runs, struct map_run *scratch, size_t count)
{
	uint64_t highest = 0;
	uint32_t starts[RADIX];

	for (size_t i = 0; i < count; i++)
		highest |= runs[i].old_chunk;
	/* Only as many digits as the largest key has. */
	for (unsigned int shift = 0; shift < bits_per(highest); shift += RADIX_BITS) {
		struct map_run *swap = runs;
		uint32_t sum = 0;

		memset(starts, 0, sizeof(starts));
		for (size_t i = 0; i < count; i++)
			starts[runs[i].old_chunk >> shift & (RADIX - 1)]++;
		for (unsigned int d = 0; d < RADIX; d++) {
			uint32_t n = starts[d];

			starts[d] = sum;
			sum += n;
		}
		/*
		 * In their order, so that of two entries for one chunk the first one stays in front
		 * (5, rule 7).
		 */
		for (size_t i = 0; i < count; i++)
			scratch[starts[runs[i].old_chunk >> shift & (RADIX - 1)]++] = runs[i];
		runs = scratch;
		scratch = swap;
	}
	return runs;
}

size_t runs_join(struct map_run *runs, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct map_run *last = &runs[kept > 0 ? kept - 1 : 0];

		if (kept > 0 && last->old_chunk + last->count == runs[i].old_chunk &&
		    last->new_chunk + last->count == runs[i].new_chunk)
			last->count += runs[i].count;
		else
			runs[kept++] = runs[i];
	}
	return kept;
}
