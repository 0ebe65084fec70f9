/* SPDX-License-Identifier: BSD-2-Clause */
/* Files for gnuplot, and gnuplot itself. What fails is said on standard error. */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Whether a name can stand between quotes of gnuplot; if not, says so. @program: for messages, as
 * in all of these.
 */
bool plot_name_is_good(const char *program, const char *file);

/* Opens @file with @ending behind its name, for writing; @ret_path has the whole. NULL: failed. */
FILE *plot_create(const char *program, const char *file, const char *ending, char *ret_path,
		  size_t room);

/* Closes it. Returns whether all was written. */
bool plot_end(const char *program, FILE *out, const char *path);

/* Has gnuplot carry out the script, which makes @image. Returns whether it did. */
bool plot_run(const char *program, const char *script, const char *image);

#endif
