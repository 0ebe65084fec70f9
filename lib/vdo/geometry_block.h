/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The geometry block: block 0 of a VDO volume. It says where on the device the deduplication index
 * of the volume lies. Pure functions over a block in memory, from any thread.
 */
#ifndef VDO_GEOMETRY_BLOCK_H
#define VDO_GEOMETRY_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/status.h>

#define VDO_BLOCK_BYTES UINT64_C(4096)

struct vdo_geometry {
	uint32_t version; /* 4 or 5 */
	uint64_t nonce;
	uint8_t uuid[16];
	uint64_t bio_offset;  /* blocks; taken off the two below */
	uint32_t memory;      /* as it is in the block: vdo_geometry_memory() */
	uint8_t sparse;	      /* 0 or 1, if nothing is wrong */
	uint64_t index_block; /* first block of the index region, from the volume's start */
	uint64_t data_block;  /* first block behind it */
};

/* Whether a block has the magic of a VDO volume's geometry block; it may still be damaged. */
bool vdo_geometry_is_there(const uint8_t *block);

/*
 * Returns 0, or
 *   UDS_ERR_UNSUPPORTED_VERSION  neither version 4 nor 5
 *   UDS_ERR_CORRUPT              the checksum or a number is wrong
 * with a sentence; @ret_geometry is untouched then.
 */
int vdo_geometry_decode(const uint8_t *block, struct vdo_geometry *ret_geometry,
			struct uds_message *ret_message);

/* The memory setting of the index in bytes; 0 for a number that is none. */
uint64_t vdo_geometry_memory(const struct vdo_geometry *geometry);

/*
 * For a place where an index was expected and a VDO volume begins, at @start_block of the device:
 * the sentence that says where its index is. Returns UDS_ERR_NOT_AN_INDEX.
 */
int vdo_name_index(const uint8_t *block, uint64_t start_block, struct uds_message *ret_message);

#endif
