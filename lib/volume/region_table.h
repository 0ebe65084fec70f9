/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of regions that starts the super block and each save header (uds-format, 14.1, 14.2),
 * and the payload behind it.
 *
 * Everything here is a pure function over one block of memory. Any thread.
 */
#ifndef VOLUME_REGION_TABLE_H
#define VOLUME_REGION_TABLE_H

#include <stdint.h>

#include <uds/status.h>

#include "geometry/geometry.h" /* BLOCK_BYTES */

/* No area of a device may be so large that its size in bytes needs more than 63 bits. */
#define MAX_BLOCKS (UINT64_C(1) << 51)

/* The super block has 7 regions, a save at most 16 zones and 4 more. */
#define REGION_TABLE_MAX 20u

#define REGION_NO_INSTANCE 65535u

enum region_kind {
	REGION_FREE = 0,
	REGION_HEADER = 1,
	REGION_CONFIG = 100,
	REGION_SUB_INDEX = 101,
	REGION_SEAL = 102,
	REGION_VOLUME = 201,
	REGION_SAVE = 202,
	REGION_PAGE_MAP = 301,
	REGION_VOLUME_INDEX = 302,
	REGION_OPEN_CHAPTER = 303,
};

enum region_table_type {
	TABLE_SUPER_BLOCK = 1,
	TABLE_SAVE = 2,
	TABLE_UNSAVED = 4,
};

struct region {
	uint64_t start; /* block */
	uint64_t blocks;
	uint16_t kind; /* enum region_kind */
	uint16_t instance;
};

struct region_table {
	uint64_t blocks; /* of the whole area that the table describes */
	uint16_t type;	 /* enum region_table_type */
	uint16_t count;
	uint16_t payload_bytes;
	uint16_t payload_at; /* bytes from the start of the block */
	struct region regions[REGION_TABLE_MAX];
};

/* What a region is called in messages. */
const char *region_name(uint16_t kind);

/*
 * Reads a table. Of the regions only their number is checked; of the payload, that it lies in the
 * block.
 *
 * @ret_message: says what is wrong, without the name of the place: the caller puts that in front.
 *
 * Returns 0, or
 *   UDS_ERR_NOT_AN_INDEX         no table here: another magic number
 *   UDS_ERR_UNSUPPORTED_VERSION  a table of another version
 *   UDS_ERR_CORRUPT              more regions or payload than a block holds
 */
int region_table_decode(const uint8_t block[BLOCK_BYTES], struct region_table *ret_table,
			struct uds_message *ret_message);

/*
 * Clears the block and writes the table. Sets payload_at; the caller fills in the payload_bytes
 * bytes there.
 */
void region_table_encode(struct region_table *table, uint8_t block[BLOCK_BYTES]);

/* Appends a region; the caller knows that there is room. */
void region_table_append(struct region_table *table, uint16_t kind, uint16_t instance,
			 uint64_t start, uint64_t blocks);

/*
 * Whether region @i is there as expected. @ret_message: as above.
 * Returns 0, or UDS_ERR_CORRUPT with the field, the expected and the found value.
 */
int region_check(const struct region_table *table, unsigned int i, uint16_t kind, uint16_t instance,
		 uint64_t start, struct uds_message *ret_message);

#endif
