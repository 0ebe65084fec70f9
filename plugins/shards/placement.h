/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which shard a name belongs to: rendezvous hashing.
 *
 * Three parts of a name place it in an index (uds-format, 3): bytes 0 to 7 in the volume index, 14
 * and 15 in the sample, and of bytes 8 to 13, read as a big-endian number, the lowest 16 bits and
 * as many more as a chapter's records take to be numbered: at most 37 of 48, since a chapter has at
 * most 2^21 records. The highest 11 bits are used for nothing, in no geometry: all of byte 8 and
 * the three highest bits of byte 9. They are the slot of the name. So the names of one shard are
 * distributed over lists, addresses and samples exactly as all names are.
 *
 * Each pair of a slot and a shard has a weight, a hash of the slot and the shard's volume nonce;
 * the slot belongs to the shard with the highest one. A shard that joins takes a slot from another
 * only where its weight is higher, and one that leaves gives away its own slots only.
 *
 * The rule is part of the manifest's format, version 1: it must never change.
 */
#ifndef SHARDS_PLACEMENT_H
#define SHARDS_PLACEMENT_H

#include <stdint.h>

#include <uds/shards.h>

static inline uint32_t slot_of(const struct uds_record_name *name)
{
	return (uint32_t)name->bytes[8] << 3 | (uint32_t)name->bytes[9] >> 5;
}

/* The weight of a shard for a slot. Two shards never have the same. */
uint64_t slot_weight(uint32_t slot, uint64_t nonce);

/*
 * Fills in for each slot the number of its shard.
 *
 * @nonces: of all shards, by number. @numbers, @count: those that take part, at least one.
 */
void placement_make(const uint64_t *nonces, const uint8_t *numbers, unsigned int count,
		    uint8_t ret_shards[UDS_SHARDS_SLOTS]);

#endif
