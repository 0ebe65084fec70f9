/* SPDX-License-Identifier: BSD-2-Clause */
/* The conversion of an index to one chapter less, which the library itself never does. */
#ifndef TESTS_FORMAT_CONVERT_H
#define TESTS_FORMAT_CONVERT_H

#include <stdint.h>

/*
 * Turns the bytes of a cleanly saved index into a converted one (uds-format, 19.6), in place: the
 * converted index is what follows the first @cut bytes.
 *
 * @offset: where the index begins. @time_ms: of the save that is part of it.
 * Returns the new offset, counted behind the cut.
 */
uint64_t convert_image(uint8_t *image, uint64_t offset, uint64_t cut, uint64_t time_ms);

#endif
