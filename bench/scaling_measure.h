/* SPDX-License-Identifier: BSD-2-Clause */
/* Small real indexes: what they do in a second here, and whether the formulas are right. */
#ifndef BENCH_SCALING_MEASURE_H
#define BENCH_SCALING_MEASURE_H

#include <stdbool.h>
#include <stddef.h>

#include "scaling_model.h"

#define SCALING_MOST_CHECKS 64u

/* A number that a formula gives, beside that of a real index. */
struct scaling_check {
	char name[64];
	double formula;
	double measured;
	double least, most; /* that the quotient measured / formula may be */
	bool good;
};

struct scaling_checks {
	struct scaling_check list[SCALING_MOST_CHECKS];
	size_t count;
	double tolerance;
	bool direct; /* pages were read past the system's cache, for read_seconds and reads */
};

/*
 * Makes indexes of @chapters chapters at @path, where no file may be, one after the other, and
 * removes them. Ends the program when something cannot be done.
 *
 * @tolerance: how much of the usual difference from a formula is allowed; 1: all of it.
 * @inputs: rates, read_seconds and reads are filled in.
 */
void scaling_measure(const char *path, uint32_t chapters, double tolerance,
		     struct scaling_inputs *inputs, struct scaling_checks *ret_checks);

#endif
