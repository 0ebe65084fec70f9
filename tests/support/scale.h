/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of what is random or repeated a test does, beside what "make check" does:
 * UDS_TEST_SCALE, which may be a fraction; 1 without it.
 */
#ifndef TESTS_SCALE_H
#define TESTS_SCALE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static inline double test_scale(void)
{
	const char *text = getenv("UDS_TEST_SCALE");
	double scale = text == NULL ? 1 : strtod(text, NULL);

	return scale > 0 ? scale : 1;
}

/* Whether what is costly and much like something else is left out. */
static inline bool test_in_part(void)
{
	return test_scale() < 0.5;
}

/* So much of @n, rounded down; at least 1. */
static inline uint64_t test_scaled(uint64_t n)
{
	double scaled = (double)n * test_scale();

	return scaled < 1 ? 1 : (uint64_t)scaled;
}

/* Of a list of cases: how far apart those are that a run in part takes. 1 to @most. */
static inline uint64_t test_step_to(uint64_t most)
{
	double step = 1 / test_scale();

	return step < 1 ? 1 : step > (double)most ? most : (uint64_t)step;
}

/* Where each of them is another one. Lists that are taken several times begin at other offsets. */
static inline uint64_t test_step(void)
{
	return test_step_to(4);
}

/*
 * The case after @k in a sweep of many that are much alike: the kth call fails, for each k. Done
 * in full it is the next one. A run in part takes the first ones, and then gaps that grow with @k:
 * few cases stay some, and many become few.
 *
 * @kind: which sweep this is: each takes others.
 */
static inline uint64_t test_next(uint64_t k, uint64_t kind)
{
	uint64_t gap = 1 + k / 2, most = test_step_to(16);

	if (gap > most)
		gap = most;
	/* As many on average. */
	return k + 1 + ((kind + k) * UINT64_C(0x9e3779b97f4a7c15) >> 33) % (2 * gap - 1);
}

#endif
