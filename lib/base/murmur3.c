/* SPDX-License-Identifier: BSD-2-Clause */
/* MurmurHash3 x64 128, the public-domain algorithm of A. Appleby, from its description. */
#include "base/murmur3.h"

#include <string.h>

#include "base/bytes.h"
#include "base/murmur3_mix.h"

void murmur3_128(const void *bytes, size_t length, uint32_t seed, uint8_t ret_hash[16])
{
	const uint8_t *p = bytes;
	uint64_t h1 = seed;
	uint64_t h2 = seed;
	size_t left = length;

	/*
	 * Byte by byte little-endian, on every machine: names are stored, and have to be the same
	 * everywhere (3.2).
	 */
	for (; left >= 16; left -= 16, p += 16) {
		h1 ^= murmur3_scramble1(get_le64(p));
		h1 = (murmur3_rotl(h1, 27) + h2) * 5 + MURMUR3_ADD1;
		h2 ^= murmur3_scramble2(get_le64(p + 8));
		h2 = (murmur3_rotl(h2, 31) + h1) * 5 + MURMUR3_ADD2;
	}
	if (left > 0) {
		/*
		 * Filled up with zeros: mixing a word of zero changes nothing, so both words can be
		 * mixed always.
		 */
		uint8_t tail[16] = { 0 };

		memcpy(tail, p, left);
		h1 ^= murmur3_scramble1(get_le64(tail));
		h2 ^= murmur3_scramble2(get_le64(tail + 8));
	}
	h1 ^= length;
	h2 ^= length;
	h1 += h2;
	h2 += h1;
	h1 = murmur3_finish(h1);
	h2 = murmur3_finish(h2);
	h1 += h2;
	h2 += h1;
	put_le64(ret_hash, h1);
	put_le64(ret_hash + 8, h2);
}

uint64_t nonce_hash(uint64_t start, const void *bytes, size_t length)
{
	uint8_t hash[16];

	/*
	 * Bytes 4 to 11 of the hash, as the format has it: the high half of one word and the low
	 * half of the other (3.2).
	 */
	murmur3_128(bytes, length, nonce_hash_seed(start), hash);
	return get_le64(hash + 4);
}
