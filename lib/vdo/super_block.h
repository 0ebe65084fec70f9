/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The super block of a VDO volume: its state and where its parts lie. Pure functions over a
 * block in memory, from any thread. Whether it belongs to the geometry block and fits the device
 * is for volume.c.
 */
#ifndef VDO_SUPER_BLOCK_H
#define VDO_SUPER_BLOCK_H

#include <stdint.h>

#include <uds/status.h>

struct vdo_super_block {
	uint32_t state; /* enum uds_vdo_state */
	uint64_t complete_recoveries, read_only_recoveries;
	uint64_t logical_blocks, physical_blocks;
	uint64_t nonce;
	uint64_t logical_blocks_used, block_map_blocks;
	uint64_t slab_blocks; /* in a slab: data, then reference counts, then the journal */
	uint64_t data_blocks, reference_blocks, journal_blocks;
	uint64_t first_slab_block, last_slab_block; /* the last is exclusive */
};

/*
 * Checks versions, lengths and the checksum, and that a slab is made of its parts and divides the
 * depot. No sum of the numbers overflows afterwards.
 *
 * Returns 0, or
 *   UDS_ERR_UNSUPPORTED_VERSION  of the super block or of a part of it
 *   UDS_ERR_CORRUPT              the checksum or a number is wrong
 * with a sentence that names the field, the expected and the found value; @ret_super
 * is untouched then.
 */
int vdo_super_block_decode(const uint8_t *block, struct vdo_super_block *ret_super,
			   struct uds_message *ret_message);

#endif
