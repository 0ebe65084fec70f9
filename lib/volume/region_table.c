/* SPDX-License-Identifier: BSD-2-Clause */
/* Region tables: to and from bytes, and the comparison of a region with what it should be. */
#include "volume/region_table.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/message.h"

#define TABLE_MAGIC	   UINT64_C(0x416c6252676e3031)
#define TABLE_VERSION	   1u
#define TABLE_HEADER_BYTES 24u
#define REGION_BYTES	   24u

const char *region_name(uint16_t kind)
{
	switch (kind) {
	case REGION_FREE:
		return "free space";
	case REGION_HEADER:
		return "header region";
	case REGION_CONFIG:
		return "config region";
	case REGION_SUB_INDEX:
		return "sub-index region";
	case REGION_SEAL:
		return "seal region";
	case REGION_VOLUME:
		return "volume region";
	case REGION_SAVE:
		return "save region";
	case REGION_PAGE_MAP:
		return "page map region";
	case REGION_VOLUME_INDEX:
		return "volume index region";
	case REGION_OPEN_CHAPTER:
		return "open chapter region";
	}
	return "region of unknown kind";
}

int region_table_decode(const uint8_t block[BLOCK_BYTES], struct region_table *ret_table,
			struct uds_message *ret_message)
{
	struct region_table table = { .blocks = get_le64(block + 8) };
	const uint8_t *at = block + TABLE_HEADER_BYTES;

	if (get_le64(block) != TABLE_MAGIC)
		return failure(ret_message, UDS_ERR_NOT_AN_INDEX,
			       "magic: expected 0x%" PRIx64 ", found 0x%" PRIx64, TABLE_MAGIC,
			       get_le64(block));
	if (get_le16(block + 18) != TABLE_VERSION)
		return failure(ret_message, UDS_ERR_UNSUPPORTED_VERSION,
			       "region table version: expected %u, found %u", TABLE_VERSION,
			       get_le16(block + 18));
	table.type = get_le16(block + 16);
	table.count = get_le16(block + 20);
	table.payload_bytes = get_le16(block + 22);
	/*
	 * From the device: the tables below have room for so many, and the payload must lie in the
	 * block.
	 */
	if (table.count > REGION_TABLE_MAX)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "region count: expected at most %u, found %u", REGION_TABLE_MAX,
			       table.count);
	table.payload_at = (uint16_t)(TABLE_HEADER_BYTES + REGION_BYTES * table.count);
	if (table.payload_bytes > BLOCK_BYTES - table.payload_at)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "payload length: expected at most %u, found %u",
			       BLOCK_BYTES - table.payload_at, table.payload_bytes);
	for (unsigned int i = 0; i < table.count; i++, at += REGION_BYTES) {
		/* The u32 at 16 is zero in what writers leave and is not looked at (14.2). */
		table.regions[i].start = get_le64(at);
		table.regions[i].blocks = get_le64(at + 8);
		table.regions[i].kind = get_le16(at + 20);
		table.regions[i].instance = get_le16(at + 22);
	}
	*ret_table = table;
	return 0;
}

void region_table_encode(struct region_table *table, uint8_t block[BLOCK_BYTES])
{
	uint8_t *at = block + TABLE_HEADER_BYTES;

	memset(block, 0, BLOCK_BYTES);
	put_le64(block, TABLE_MAGIC);
	put_le64(block + 8, table->blocks);
	put_le16(block + 16, table->type);
	put_le16(block + 18, TABLE_VERSION);
	put_le16(block + 20, table->count);
	put_le16(block + 22, table->payload_bytes);
	for (unsigned int i = 0; i < table->count; i++, at += REGION_BYTES) {
		put_le64(at, table->regions[i].start);
		put_le64(at + 8, table->regions[i].blocks);
		put_le16(at + 20, table->regions[i].kind);
		put_le16(at + 22, table->regions[i].instance);
	}
	table->payload_at = (uint16_t)(at - block);
}

void region_table_append(struct region_table *table, uint16_t kind, uint16_t instance,
			 uint64_t start, uint64_t blocks)
{
	struct region *region = &table->regions[table->count++];

	region->start = start;
	region->blocks = blocks;
	region->kind = kind;
	region->instance = instance;
}

int region_check(const struct region_table *table, unsigned int i, uint16_t kind, uint16_t instance,
		 uint64_t start, struct uds_message *ret_message)
{
	const struct region *region = &table->regions[i];

	if (region->kind != kind)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "region %u: kind: expected %u (%s), found %u", i, kind,
			       region_name(kind), region->kind);
	if (region->instance != instance)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "%s (%u): instance: expected %u, found %u", region_name(kind), i,
			       instance, region->instance);
	/*
	 * Contiguity: with each start prescribed by the end of the one before, regions can neither
	 * overlap nor leave gaps.
	 */
	if (region->start != start)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "%s (%u): start block: expected %" PRIu64 ", found %" PRIu64,
			       region_name(kind), i, start, region->start);
	/*
	 * With this limit, sums of a few block numbers cannot overflow, whatever a damaged table
	 * says.
	 */
	if (region->blocks > MAX_BLOCKS)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "%s (%u): blocks: expected at most %" PRIu64 ", found %" PRIu64,
			       region_name(kind), i, MAX_BLOCKS, region->blocks);
	return 0;
}
