/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header of a save slot, to and from bytes (uds-format, 14.7). Pure functions. Any thread.
 */
#ifndef VOLUME_SAVE_HEADER_H
#define VOLUME_SAVE_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/status.h>

#include "volume/super_block.h"

/* A region of a save, as a range of bytes on the I/O. */
struct save_region {
	uint64_t offset;
	uint64_t bytes;
};

/* One save: what its header says. */
struct save {
	unsigned int slot;
	unsigned int zones;
	uint64_t timestamp; /* ms since 1970 */
	uint64_t nonce;
	uint64_t newest; /* chapter, the open one */
	uint64_t oldest;
	uint64_t last_save; /* newest - 1, or NO_CHAPTER */
	uint64_t lowest;    /* chapter that its volume index may name; 0 when that is not known */
	struct save_region page_map;
	struct save_region volume_index[MAXIMUM_ZONES]; /* [0] to [zones - 1] */
	struct save_region open_chapter;
};

/*
 * Reads the header of slot @slot.
 *
 * Afterwards every region of the save lies inside the slot.
 *
 * Returns 1 and the save; 0 when the slot says that it holds none; or UDS_ERR_CORRUPT,
 * UDS_ERR_NOT_AN_INDEX or UDS_ERR_UNSUPPORTED_VERSION with a message that names slot, field,
 * expected and found.
 */
int save_header_decode(const uint8_t block[BLOCK_BYTES], const struct super_block *super,
		       unsigned int slot, struct save *ret_save, struct uds_message *ret_message);

/*
 * Where the parts of a new save of @zones zones come. The chapters, the time stamp and the nonce
 * are 0. Returns 0, or UDS_ERR_OVERFLOW when the slot is too small for so many zones.
 */
int save_header_plan(const struct super_block *super, unsigned int slot, unsigned int zones,
		     struct save *ret_save, struct uds_message *ret_message);

/* The nonce that belongs to the save's slot and time stamp. */
uint64_t save_header_nonce(const struct super_block *super, const struct save *save);

/* What last_save is of a save that is committed. */
static inline uint64_t save_header_last(const struct save *save)
{
	return save->newest == 0 ? UINT64_MAX : save->newest - 1;
}

/* CRC-32 of the header that a committed save has. @block: scratch. */
uint32_t save_header_checksum(const struct super_block *super, const struct save *save,
			      uint8_t block[BLOCK_BYTES]);

/* Fill the whole block. */
void save_header_encode(const struct super_block *super, const struct save *save,
			uint8_t block[BLOCK_BYTES]);
void save_header_encode_unsaved(const struct super_block *super, unsigned int slot,
				uint8_t block[BLOCK_BYTES]);

/*
 * The mark of libuds in place of a damaged header (uds-extras, "Damaged headers of saves"):
 * whatever the slot holds is older than a save with the time stamp @later. Where there is no such
 * save, it says nothing. To other implementations it is a damaged header as well.
 */
void save_header_encode_mark(const struct super_block *super, uint64_t later,
			     uint8_t block[BLOCK_BYTES]);

/* Returns whether the block is such a mark, of this index. */
bool save_header_decode_mark(const uint8_t block[BLOCK_BYTES], const struct super_block *super,
			     uint64_t *ret_later);

#endif
