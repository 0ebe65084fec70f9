/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Comparing two images of one index as the format sees them: every byte must be equal but for the
 * filler of index pages and the stray bits around the lists of a saved volume index.
 *
 * Shares no code with the library but the reading of integers.
 */
#ifndef TESTS_FORMAT_IMAGE_DIFF_H
#define TESTS_FORMAT_IMAGE_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

/*
 * Compares @actual with @expected, both @size bytes. Prints the first few differences.
 *
 * @volume_index: whether the saved volume indexes are compared too.
 *
 * Returns how many regions, pages or lists differ; -1 when @expected makes no sense.
 */
int image_diff(const struct vector_info *info, const uint8_t *expected, const uint8_t *actual,
	       size_t size, bool volume_index);

#endif
