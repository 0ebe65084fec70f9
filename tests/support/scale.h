/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of what is random or repeated a test does, beside what "make check" does:
 * UDS_TEST_SCALE, which may be a fraction; 1 without it.
 */
#ifndef TESTS_SCALE_H
#define TESTS_SCALE_H

#include <stdint.h>
#include <stdlib.h>

static inline double test_scale(void)
{
	const char *text = getenv("UDS_TEST_SCALE");
	double scale = text == NULL ? 1 : strtod(text, NULL);

	return scale > 0 ? scale : 1;
}

/* So much of @n, rounded down; at least 1. */
static inline uint64_t test_scaled(uint64_t n)
{
	double scaled = (double)n * test_scale();

	return scaled < 1 ? 1 : (uint64_t)scaled;
}

/*
 * Of a list of cases of which each is another one: how far apart those are that a run in part
 * takes. 1 to 4.
 */
static inline uint64_t test_step(void)
{
	double step = 1 / test_scale();

	return step < 1 ? 1 : step > 4 ? 4 : (uint64_t)step;
}

#endif
