/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways back from nonce_hash(): to the seed, which has 32 bits and is found by trying all, and
 * to bytes, which are computed. Pure functions.
 */
#ifndef BASE_MURMUR3_FIND_H
#define BASE_MURMUR3_FIND_H

#include <stdint.h>

/* The seeds are tried in so many parts. */
#define NONCE_SEED_PARTS 256u

/*
 * Looks for a seed in part @part of all: for 16 bytes, @first little-endian and 8 of zero, that
 * hash to @nonce.
 * Returns 1 and the seed, or 0. The parts come in the order of the seeds.
 */
int nonce_find_seed(uint64_t nonce, uint64_t first, unsigned int part, uint32_t *ret_seed);

/* A start that gives nonce_hash() this seed. */
uint64_t nonce_start_for(uint32_t seed);

/* Makes 32 bytes that nonce_hash() turns into @nonce. The first 16 are the caller's choice. */
void nonce_bytes_for(uint64_t start, uint64_t nonce, uint8_t bytes[32]);

#endif
