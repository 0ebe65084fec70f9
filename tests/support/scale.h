/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of what is random or repeated a test does, beside what "make check" does: UDS_TEST_SCALE, which may be a
 * fraction; 1 without it.
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

#endif
