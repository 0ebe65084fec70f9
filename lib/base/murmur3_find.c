/* SPDX-License-Identifier: BSD-2-Clause */
/* MurmurHash3 x64 128, backwards: every step of it can be undone but for its start. */
#include "base/murmur3_find.h"

#include "base/bytes.h"
#include "base/murmur3.h"
#include "base/murmur3_mix.h"

/* Inverse factors, modulo 2^64. */
#define UNDO_C1 UINT64_C(0xa98409e882ce4d7d)
#define UNDO_C2 UINT64_C(0xa81e14edd9de2c7f)
#define UNDO_F1 UINT64_C(0x4f74430c22a54005)
#define UNDO_F2 UINT64_C(0x9cb4b2f8129337db)
#define UNDO_5	UINT64_C(0xcccccccccccccccd)

static uint64_t rotr(uint64_t x, unsigned int n)
{
	return x >> n | x << (64 - n);
}

/* Shifting by more than half of the bits is its own inverse. */
static uint64_t undo_finish(uint64_t k)
{
	k ^= k >> 33;
	k *= UNDO_F2;
	k ^= k >> 33;
	k *= UNDO_F1;
	k ^= k >> 33;
	return k;
}

int nonce_find_seed(uint64_t nonce, uint64_t first, unsigned int part, uint32_t *ret_seed)
{
	const uint64_t mixed = murmur3_scramble1(first);
	const uint64_t seeds = (UINT64_C(1) << 32) / NONCE_SEED_PARTS;

	/*
	 * The hash of one block whose second half is zero, and the 8 bytes of it that
	 * are the nonce.
	 */
	for (uint64_t seed = part * seeds; seed < (part + 1) * seeds; seed++) {
		uint64_t h1 = (murmur3_rotl(seed ^ mixed, 27) + seed) * 5 + MURMUR3_ADD1;
		uint64_t h2 = (murmur3_rotl(seed, 31) + h1) * 5 + MURMUR3_ADD2;

		h1 ^= 16;
		h2 ^= 16;
		h1 += h2;
		h2 += h1;
		h1 = murmur3_finish(h1);
		h2 = murmur3_finish(h2);
		h1 += h2;
		h2 += h1;
		if ((h1 >> 32 | h2 << 32) == nonce) {
			*ret_seed = (uint32_t)seed;
			return 1;
		}
	}
	return 0;
}

uint64_t nonce_start_for(uint32_t seed)
{
	/* Of the 32 bits, the highest 5 go into the lowest 5 once more. */
	return seed ^ seed >> 27;
}

void nonce_bytes_for(uint64_t start, uint64_t nonce, uint8_t bytes[32])
{
	const uint64_t seed = nonce_hash_seed(start);
	uint64_t h1 = seed, h2 = seed, end1, end2;

	/* Forward over the first block, which may be anything. */
	h1 ^= murmur3_scramble1(get_le64(bytes));
	h1 = (murmur3_rotl(h1, 27) + h2) * 5 + MURMUR3_ADD1;
	h2 ^= murmur3_scramble2(get_le64(bytes + 8));
	h2 = (murmur3_rotl(h2, 31) + h1) * 5 + MURMUR3_ADD2;
	/*
	 * Back from the result, whose other 8 bytes are zero, to what the second block
	 * has to lead to.
	 */
	end1 = nonce << 32;
	end2 = nonce >> 32;
	end2 -= end1;
	end1 -= end2;
	end1 = undo_finish(end1);
	end2 = undo_finish(end2);
	end2 -= end1;
	end1 -= end2;
	end1 ^= 32;
	end2 ^= 32;
	/* The second block is what leads from one state to the other. */
	end2 = rotr((end2 - MURMUR3_ADD2) * UNDO_5 - end1, 31) ^ h2;
	end1 = rotr((end1 - MURMUR3_ADD1) * UNDO_5 - h2, 27) ^ h1;
	put_le64(bytes + 16, rotr(end1 * UNDO_C2, 31) * UNDO_C1);
	put_le64(bytes + 24, rotr(end2 * UNDO_C1, 33) * UNDO_C2);
}
