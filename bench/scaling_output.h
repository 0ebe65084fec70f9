/* SPDX-License-Identifier: BSD-2-Clause */
/* What bench/scaling has computed and measured: as a table, as JSON, and as a plot. */
#ifndef BENCH_SCALING_OUTPUT_H
#define BENCH_SCALING_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "scaling_measure.h"
#include "scaling_model.h"

/* @checks: may be NULL, when nothing was measured. */
void scaling_print_table(const struct scaling_inputs *inputs, const struct scaling_row *rows,
			 size_t count, const struct scaling_checks *checks);
void scaling_print_json(const struct scaling_inputs *inputs, const struct scaling_row *rows,
			size_t count, const struct scaling_checks *checks);

/*
 * Writes FILE.dat and FILE.gnuplot, and has gnuplot make @file, an SVG image.
 *
 * Returns whether that was done; what was not is said on standard error.
 */
bool scaling_plot(const char *file, const struct scaling_row *rows, size_t count);

#endif
