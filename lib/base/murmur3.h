/* SPDX-License-Identifier: BSD-2-Clause */
/* MurmurHash3 x64 128 with the outputs that the index format uses (uds-format, 3.2). */
#ifndef BASE_MURMUR3_H
#define BASE_MURMUR3_H

#include <stddef.h>
#include <stdint.h>

/* The seed that dm-vdo uses to name data blocks. */
#define MURMUR3_BLOCK_SEED UINT32_C(0x62ea60be)

/* 16 bytes: LE64(h1), LE64(h2). */
void murmur3_128(const void *bytes, size_t length, uint32_t seed, uint8_t ret_hash[16]);

/* How the format derives one nonce from another: bytes 4 to 11 of a hash with seed @start. */
uint64_t nonce_hash(uint64_t start, const void *bytes, size_t length);

/* All of @start that counts. */
static inline uint32_t nonce_hash_seed(uint64_t start)
{
	return (uint32_t)(start ^ start >> 27);
}

#endif
