/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sorting in place. The C library's qsort() may allocate memory that the caller's
 * allocator never sees.
 */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <stddef.h>

/*
 * As qsort(): the order of equal elements is not kept. Takes no memory, and n log n steps at worst.
 */
void sort_elements(void *elements, size_t count, size_t bytes_each,
		   int (*compare)(const void *a, const void *b));

#endif
