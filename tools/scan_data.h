/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a scan stores with the name of a block: where it was first seen. 16 bytes, little-endian:
 *
 *   byte 0        low 4 bits: logarithm of the block size, less 9; high 4 bits: a number for the
 *                 device, in the order in which the scan met them (15: that one or a later one)
 *   bytes 1-5     when the scan began, in milliseconds since 2020-01-01 00:00 UTC
 *   bytes 6-10    inode number of the file, its low 40 bits
 *   bytes 11-15   number of the block in the file, from 0
 *
 * What does not fit is refused before it is stored: a clock before 2020 or after 2054, and a file
 * of more than 2^40 blocks.
 */
#ifndef TOOLS_SCAN_DATA_H
#define TOOLS_SCAN_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/record.h>

#define LAST_DEVICE	15
#define FIELD_MASK	((UINT64_C(1) << 40) - 1)
#define SCAN_EPOCH_MS	UINT64_C(1577836800000)
#define MIN_BLOCK_SHIFT 9

struct first_seen {
	uint64_t scan; /* milliseconds since SCAN_EPOCH_MS */
	uint64_t inode;
	uint64_t block;
	unsigned int device;
	unsigned int block_shift;
};

/* Whether records can hold a time, in milliseconds since 1970. */
static inline bool scan_time_fits(uint64_t ms)
{
	return ms >= SCAN_EPOCH_MS && ms - SCAN_EPOCH_MS <= FIELD_MASK;
}

/* How long a file may be for the number of each of its blocks to fit. */
static inline uint64_t most_file_bytes(unsigned int block_shift)
{
	return (FIELD_MASK + 1) << block_shift;
}

static inline void put_le40(uint8_t *p, uint64_t value)
{
	for (unsigned int i = 0; i < 5; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t get_le40(const uint8_t *p)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < 5; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

static inline void encode_first_seen(const struct first_seen *seen,
				     struct uds_record_data *ret_data)
{
	ret_data->bytes[0] = (uint8_t)((seen->block_shift - MIN_BLOCK_SHIFT) | seen->device << 4);
	put_le40(ret_data->bytes + 1, seen->scan);
	put_le40(ret_data->bytes + 6, seen->inode);
	put_le40(ret_data->bytes + 11, seen->block);
}

static inline struct first_seen decode_first_seen(const struct uds_record_data *data)
{
	struct first_seen seen = {
		.block_shift = (data->bytes[0] & 15u) + MIN_BLOCK_SHIFT,
		.device = data->bytes[0] >> 4,
		.scan = get_le40(data->bytes + 1),
		.inode = get_le40(data->bytes + 6),
		.block = get_le40(data->bytes + 11),
	};

	return seen;
}

#endif
