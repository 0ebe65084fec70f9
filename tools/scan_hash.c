/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MurmurHash3 x64 128, the public-domain algorithm of A. Appleby, from its description, for whole
 * blocks: no tail, and two at once.
 */
#include "scan_hash.h"

#include <string.h>

#include "base/bytes.h"

#define SEED UINT32_C(0x62ea60be)
#define C1   UINT64_C(0x87c37b91114253d5)
#define C2   UINT64_C(0x4cf5ad432745937f)

struct chain {
	uint64_t h1, h2;
};

static inline uint64_t rotl(uint64_t x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

static inline void mix(struct chain *chain, const uint8_t *p)
{
	chain->h1 ^= rotl(get_le64(p) * C1, 31) * C2;
	chain->h1 = (rotl(chain->h1, 27) + chain->h2) * 5 + 0x52dce729;
	chain->h2 ^= rotl(get_le64(p + 8) * C2, 33) * C1;
	chain->h2 = (rotl(chain->h2, 31) + chain->h1) * 5 + 0x38495ab5;
}

static inline uint64_t spread(uint64_t k)
{
	k ^= k >> 33;
	k *= UINT64_C(0xff51afd7ed558ccd);
	k ^= k >> 33;
	k *= UINT64_C(0xc4ceb9fe1a85ec53);
	return k ^ k >> 33;
}

static void finish(struct chain chain, size_t length, struct uds_record_name *ret_name)
{
	chain.h1 ^= length;
	chain.h2 ^= length;
	chain.h1 += chain.h2;
	chain.h2 += chain.h1;
	chain.h1 = spread(chain.h1);
	chain.h2 = spread(chain.h2);
	chain.h1 += chain.h2;
	chain.h2 += chain.h1;
	put_le64(ret_name->bytes, chain.h1);
	put_le64(ret_name->bytes + 8, chain.h2);
}

void hash_block(const uint8_t *block, size_t length, struct uds_record_name *ret_name)
{
	struct chain chain = { SEED, SEED };

	for (size_t i = 0; i < length; i += 16)
		mix(&chain, block + i);
	finish(chain, length, ret_name);
}

void hash_two_blocks(const uint8_t *one, const uint8_t *other, size_t length,
		     struct uds_record_name *ret_one, struct uds_record_name *ret_other)
{
	struct chain a = { SEED, SEED }, b = { SEED, SEED };

	for (size_t i = 0; i < length; i += 16) {
		mix(&a, one + i);
		mix(&b, other + i);
	}
	finish(a, length, ret_one);
	finish(b, length, ret_other);
}

bool is_zero_block(const uint8_t *block, size_t length)
{
	/* Nearly every block that is not zero shows it at once. */
	for (size_t i = 0; i < 16; i++) {
		if (block[i] != 0)
			return false;
	}
	return memcmp(block, block + 16, length - 16) == 0;
}
