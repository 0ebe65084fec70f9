/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC-32 as zlib and IEEE 802.3 have it. Pure functions, any thread. */
#ifndef BASE_CRC32_H
#define BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/*
 * The checksum of what @crc is the checksum of (0: of nothing), and @length bytes behind
 * it: zlib's crc32().
 * @bytes: not NULL.
 */
uint32_t crc32_add(uint32_t crc, const uint8_t *bytes, size_t length);

#endif
