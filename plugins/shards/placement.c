/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights of slots: the finalizer of splitmix64, a bijection that mixes all 64 bits. */
#include "shards/placement.h"

static uint64_t mix(uint64_t z)
{
	z ^= z >> 30;
	z *= UINT64_C(0xbf58476d1ce4e5b9);
	z ^= z >> 27;
	z *= UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t slot_weight(uint32_t slot, uint64_t nonce)
{
	/* The slot is mixed first: nonces that differ by little must not win side by side. */
	return mix(nonce ^ mix((uint64_t)slot + UINT64_C(0x9e3779b97f4a7c15)));
}

static uint8_t heaviest(uint32_t slot, const uint64_t *nonces, const uint8_t *numbers,
			unsigned int count)
{
	uint64_t highest = slot_weight(slot, nonces[numbers[0]]);
	uint8_t best = numbers[0];

	for (unsigned int i = 1; i < count; i++) {
		uint64_t weight = slot_weight(slot, nonces[numbers[i]]);

		/* Equal ones cannot be: mix() is a bijection, and nonces differ. */
		if (weight > highest) {
			highest = weight;
			best = numbers[i];
		}
	}
	return best;
}

void placement_make(const uint64_t *nonces, const uint8_t *numbers, unsigned int count,
		    uint8_t ret_shards[UDS_SHARDS_SLOTS])
{
	for (uint32_t slot = 0; slot < UDS_SHARDS_SLOTS; slot++)
		ret_shards[slot] = heaviest(slot, nonces, numbers, count);
}
