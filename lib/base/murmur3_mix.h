/* SPDX-License-Identifier: BSD-2-Clause */
/* The steps of MurmurHash3 x64 128, for the hash and for the way back (murmur3_find.h). */
#ifndef BASE_MURMUR3_MIX_H
#define BASE_MURMUR3_MIX_H

#include <stdint.h>

#define MURMUR3_C1   UINT64_C(0x87c37b91114253d5)
#define MURMUR3_C2   UINT64_C(0x4cf5ad432745937f)
#define MURMUR3_ADD1 0x52dce729
#define MURMUR3_ADD2 0x38495ab5
#define MURMUR3_F1   UINT64_C(0xff51afd7ed558ccd)
#define MURMUR3_F2   UINT64_C(0xc4ceb9fe1a85ec53)

static inline uint64_t murmur3_rotl(uint64_t x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

static inline uint64_t murmur3_scramble1(uint64_t k)
{
	return murmur3_rotl(k * MURMUR3_C1, 31) * MURMUR3_C2;
}

static inline uint64_t murmur3_scramble2(uint64_t k)
{
	return murmur3_rotl(k * MURMUR3_C2, 33) * MURMUR3_C1;
}

static inline uint64_t murmur3_finish(uint64_t k)
{
	k ^= k >> 33;
	k *= MURMUR3_F1;
	k ^= k >> 33;
	k *= MURMUR3_F2;
	k ^= k >> 33;
	return k;
}

#endif
