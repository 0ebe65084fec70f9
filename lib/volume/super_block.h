/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The super block: what lies where (uds-format, 14.2 to 14.5), in both of its versions.
 *
 * Pure functions over one block of memory; they know nothing of the I/O. Any thread.
 */
#ifndef VOLUME_SUPER_BLOCK_H
#define VOLUME_SUPER_BLOCK_H

#include <stdint.h>

#include "volume/nonces.h"
#include "volume/region_table.h"

#define SUPER_VERSION_PLAIN	3u
#define SUPER_VERSION_CONVERTED 7u

#define SAVE_SLOTS 2u

/* All block numbers are in the coordinates of the device on which the index was created. */
struct super_block {
	uint32_t version;
	uint8_t nonce_data[NONCE_DATA_BYTES];
	uint64_t primary_nonce;
	uint64_t volume_nonce;
	uint64_t total_blocks;
	uint64_t open_chapter_blocks;
	uint64_t page_map_blocks;
	/* Of a converted volume (14.4), else 0: */
	uint64_t volume_offset; /* blocks that the volume's data moved up */
	uint64_t start_offset;	/* blocks that were cut from the front of the device */

	uint64_t front; /* blocks of the device in front of the I/O, which has only a part of it */
	uint64_t first; /* block of the super block itself */
	uint64_t volume_start;
	uint64_t volume_blocks;
	uint64_t save_start[SAVE_SLOTS];
	uint64_t save_blocks;
	uint64_t seal_start;
};

/*
 * Reads and checks a super block that was found at block @at of a device; front is 0.
 *
 * Afterwards no sum of the numbers overflows, and every region lies behind the one before. Whether
 * the device is long enough and the regions large enough for the geometry is for the caller to
 * check.
 *
 * @ret_message: says what is wrong, without the name of the place.
 *
 * Returns 0, or
 *   UDS_ERR_NOT_AN_INDEX         another magic number
 *   UDS_ERR_UNSUPPORTED_VERSION  region table or super block of another version
 *   UDS_ERR_CORRUPT              the message names the field, the expected and the found value
 */
int super_block_decode(const uint8_t block[BLOCK_BYTES], uint64_t at, struct super_block *ret_super,
		       struct uds_message *ret_message);

/*
 * The super block of a new index of these sizes that starts at block @at, with all nonces.
 */
void super_block_make(const struct geometry_sizes *sizes, uint64_t at,
		      const uint8_t nonce_data[NONCE_DATA_BYTES], struct super_block *ret_super);

/* Fills the whole block. */
void super_block_encode(const struct super_block *super, uint8_t block[BLOCK_BYTES]);

/* Where the super block says that something lies, as a block number of the I/O. */
static inline uint64_t super_block_config_at(const struct super_block *super)
{
	return super->first + 1 + super->volume_offset - super->start_offset - super->front;
}

static inline uint64_t super_block_volume_at(const struct super_block *super)
{
	return super->volume_start + super->volume_offset - super->start_offset - super->front;
}

static inline uint64_t super_block_save_at(const struct super_block *super, unsigned int slot)
{
	return super->save_start[slot] - super->start_offset - super->front;
}

/*
 * The block behind the last one that the index reads or writes. The seal, never written, comes
 * there.
 */
static inline uint64_t super_block_end(const struct super_block *super)
{
	return super->seal_start - super->start_offset - super->front;
}

#endif
