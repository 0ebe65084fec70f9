/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hashing for tables in memory whose keys others choose: record names, inode numbers. Each table
 * has its own random key, so no one can craft names that collide in it.
 *
 * The sum of products is strongly universal: two different inputs agree in the upper 32 bits with a
 * probability of 2^-32, whatever they are. The final mixing spreads this to all bits and breaks up
 * arithmetic progressions. Nothing on disk may depend on it.
 */
#ifndef BASE_HASH_KEY_H
#define BASE_HASH_KEY_H

#include <stdint.h>

struct hash_key {
	uint64_t words[5];
};

/* A new key from the system's random bytes, or, without these, from clocks and addresses. */
void hash_key_make(struct hash_key *ret_key);

static inline uint64_t hash_key_apply(const struct hash_key *key, uint64_t a, uint64_t b)
{
	uint64_t h = key->words[0];

	h += key->words[1] * (uint32_t)a + key->words[2] * (uint32_t)(a >> 32);
	h += key->words[3] * (uint32_t)b + key->words[4] * (uint32_t)(b >> 32);
	h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ h >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return h ^ h >> 32;
}

#endif
