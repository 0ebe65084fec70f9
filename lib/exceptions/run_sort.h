/* SPDX-License-Identifier: BSD-2-Clause */
/* Sorting runs of exceptions by old chunk. */
#ifndef EXCEPTIONS_RUN_SORT_H
#define EXCEPTIONS_RUN_SORT_H

#include <stddef.h>

#include "exceptions/exception_map.h"

/*
 * Sorts by old chunk and keeps the order of equal ones.
 *
 * @count: below 2^32. @scratch: as long as @runs. Returns the array that holds the result:
 *     @runs or @scratch.
 */
struct map_run *runs_sort(struct map_run *runs, struct map_run *scratch, size_t count);

/* Joins neighbours of a sorted array that go on on both sides; returns how many are left. */
size_t runs_join(struct map_run *runs, size_t count);

#endif
