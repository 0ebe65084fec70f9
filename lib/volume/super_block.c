/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The super block, to and from bytes.
 *
 * A converted volume lost blocks at its front: all start blocks in the table keep their old
 * numbers, and two offsets say how far the data are from there. In a plain volume both are 0, so
 * there is one way through here for both versions.
 */
#include "volume/super_block.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/message.h"

#define LABEL	    "*ALBIREO*SINGLE*FILE*LAYOUT*001*"
#define LABEL_BYTES 32u

#define PAYLOAD_BYTES_PLAIN	104u
#define PAYLOAD_BYTES_CONVERTED 120u

/* The order of the regions is part of the format. */
enum {
	AT_HEADER,
	AT_CONFIG,
	AT_SUB_INDEX,
	AT_VOLUME,
	AT_SAVE,
	AT_SEAL = AT_SAVE + SAVE_SLOTS,
	SUPER_REGIONS
};

/* A field that has one right value. */
static int check_field(const char *field, uint64_t expected, uint64_t found,
		       struct uds_message *ret_message)
{
	if (expected == found)
		return 0;
	return failure(ret_message, UDS_ERR_CORRUPT, "%s: expected %" PRIu64 ", found %" PRIu64,
		       field, expected, found);
}

static int decode_offsets(const uint8_t *payload, const struct region_table *table,
			  struct super_block *super, struct uds_message *ret_message)
{
	unsigned int bytes = PAYLOAD_BYTES_PLAIN;

	if (super->version == SUPER_VERSION_CONVERTED)
		bytes = PAYLOAD_BYTES_CONVERTED;
	/* Exact for each version: another length is another layout behind the same number. */
	if (table->payload_bytes != bytes)
		return check_field("payload length", bytes, table->payload_bytes, ret_message);
	if (super->version == SUPER_VERSION_PLAIN)
		return 0;
	super->volume_offset = get_le64(payload + 104);
	super->start_offset = get_le64(payload + 112);
	if (super->volume_offset > MAX_BLOCKS)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "volume offset: expected at most %" PRIu64 " blocks, found %" PRIu64,
			       MAX_BLOCKS, super->volume_offset);
	/*
	 * The volume's data are at start + volume_offset - start_offset (14.4), which must not go
	 * below zero.
	 */
	if (super->start_offset > super->volume_offset)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "start offset: expected at most the volume offset, %" PRIu64
			       " blocks, found %" PRIu64,
			       super->volume_offset, super->start_offset);
	return 0;
}

static int decode_payload(const uint8_t *block, const struct region_table *table,
			  struct super_block *super, struct uds_message *ret_message)
{
	const uint8_t *payload = block + table->payload_at;
	char found[PRINTABLE_BYTES(LABEL_BYTES)];
	int r;

	if (table->payload_bytes < PAYLOAD_BYTES_PLAIN)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "payload length: expected at least %u, found %u",
			       PAYLOAD_BYTES_PLAIN, table->payload_bytes);
	/*
	 * After the region table's own magic: what has that but not the label is damaged, not "no
	 * index".
	 */
	if (memcmp(payload, LABEL, LABEL_BYTES) != 0)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "label: expected \"" LABEL "\", found \"%s\"",
			       printable_bytes(payload, LABEL_BYTES, found));
	super->version = get_le32(payload + 72);
	if (super->version != SUPER_VERSION_PLAIN && super->version != SUPER_VERSION_CONVERTED)
		return failure(ret_message, UDS_ERR_UNSUPPORTED_VERSION,
			       "version: expected %u or %u, found %" PRIu32, SUPER_VERSION_PLAIN,
			       SUPER_VERSION_CONVERTED, super->version);
	r = decode_offsets(payload, table, super, ret_message);
	if (r < 0)
		return r;
	memcpy(super->nonce_data, payload + 32, NONCE_DATA_BYTES);
	/*
	 * Derived, not taken: a damaged seed would else make every page of the volume look foreign.
	 */
	super->primary_nonce = nonce_primary(super->nonce_data);
	if (get_le64(payload + 64) != super->primary_nonce)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "primary nonce: expected 0x%" PRIx64
			       ", which its seed data give, found 0x%" PRIx64,
			       super->primary_nonce, get_le64(payload + 64));
	r = check_field("block size", BLOCK_BYTES, get_le32(payload + 76), ret_message);
	if (r == 0)
		r = check_field("number of sub-indexes", 1, get_le16(payload + 80), ret_message);
	if (r == 0)
		r = check_field("number of save slots", SAVE_SLOTS, get_le16(payload + 82),
				ret_message);
	super->open_chapter_blocks = get_le64(payload + 88);
	super->page_map_blocks = get_le64(payload + 96);
	return r;
}

/*
 * Kinds, instances and start blocks; every sum here is of numbers of at most MAX_BLOCKS. Each start
 * is checked against the lengths before it, and the lengths of the whole come last.
 *
 * A converted index that was cut too far, or is opened at a wrong offset, would begin in
 * front of block 0. Its saves stay where they were: behind the volume as it was before
 * the conversion (14.4).
 */
static int decode_regions(const struct region_table *table, uint64_t at, struct super_block *super,
			  struct uds_message *ret_message)
{
	const struct region *regions = table->regions;
	uint64_t moved = super->volume_offset - super->start_offset;
	uint64_t next, inside;
	int r;

	if (at < moved)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "volume offset: expected at most start offset plus block %" PRIu64
			       ", found %" PRIu64,
			       at, super->volume_offset);
	super->first = at - moved;
	r = region_check(table, AT_HEADER, REGION_HEADER, REGION_NO_INSTANCE, super->first,
			 ret_message);
	if (r == 0)
		r = region_check(table, AT_CONFIG, REGION_CONFIG, REGION_NO_INSTANCE,
				 super->first + 1, ret_message);
	if (r == 0)
		r = region_check(table, AT_SUB_INDEX, REGION_SUB_INDEX, 0, super->first + 2,
				 ret_message);
	if (r == 0)
		r = region_check(table, AT_VOLUME, REGION_VOLUME, REGION_NO_INSTANCE,
				 super->first + 2, ret_message);
	if (r < 0)
		return r;
	super->volume_start = regions[AT_VOLUME].start;
	super->volume_blocks = regions[AT_VOLUME].blocks;

	next = super->volume_start + super->volume_blocks + super->volume_offset;
	inside = super->volume_blocks;
	for (uint16_t slot = 0; slot < SAVE_SLOTS; slot++) {
		const struct region *save = &regions[AT_SAVE + slot];

		r = region_check(table, AT_SAVE + slot, REGION_SAVE, slot, next, ret_message);
		if (r == 0 && slot > 0)
			r = check_field("save 1 region: blocks", super->save_blocks, save->blocks,
					ret_message);
		if (r < 0)
			return r;
		super->save_start[slot] = save->start;
		super->save_blocks = save->blocks;
		next += save->blocks;
		inside += save->blocks;
	}
	super->seal_start = next;
	r = region_check(table, AT_SEAL, REGION_SEAL, REGION_NO_INSTANCE, next, ret_message);
	if (r == 0)
		r = check_field("header region: blocks", 1, regions[AT_HEADER].blocks, ret_message);
	if (r == 0)
		r = check_field("config region: blocks", 1, regions[AT_CONFIG].blocks, ret_message);
	if (r == 0)
		r = check_field("seal region: blocks", 1, regions[AT_SEAL].blocks, ret_message);
	if (r == 0)
		r = check_field("sub-index region: blocks", inside, regions[AT_SUB_INDEX].blocks,
				ret_message);
	if (r == 0)
		r = check_field("total blocks", 3 + inside, table->blocks, ret_message);
	super->total_blocks = table->blocks;
	return r;
}

int super_block_decode(const uint8_t block[BLOCK_BYTES], uint64_t at, struct super_block *ret_super,
		       struct uds_message *ret_message)
{
	struct super_block super = { 0 };
	struct region_table table;
	int r;

	r = region_table_decode(block, &table, ret_message);
	if (r == 0)
		r = check_field("type", TABLE_SUPER_BLOCK, table.type, ret_message);
	if (r == 0)
		r = check_field("region count", SUPER_REGIONS, table.count, ret_message);
	if (r == 0)
		r = decode_payload(block, &table, &super, ret_message);
	if (r == 0)
		r = decode_regions(&table, at, &super, ret_message);
	if (r < 0)
		return r;
	/* Each is compared first, so that the sum cannot overflow. */
	if (super.page_map_blocks > super.save_blocks ||
	    super.open_chapter_blocks > super.save_blocks ||
	    super.page_map_blocks + super.open_chapter_blocks + 2 > super.save_blocks)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "page map and open chapter blocks: expected less than the %" PRIu64
			       " of a save, found %" PRIu64 " and %" PRIu64,
			       super.save_blocks, super.page_map_blocks, super.open_chapter_blocks);
	super.volume_nonce = nonce_volume(super.primary_nonce, table.regions[AT_SUB_INDEX].start);
	*ret_super = super;
	return 0;
}

void super_block_make(const struct geometry_sizes *sizes, uint64_t at,
		      const uint8_t nonce_data[NONCE_DATA_BYTES], struct super_block *ret_super)
{
	struct super_block super = {
		.version = SUPER_VERSION_PLAIN,
		.total_blocks = sizes->total_blocks,
		.open_chapter_blocks = sizes->open_chapter_blocks,
		.page_map_blocks = sizes->page_map_blocks,
		.first = at,
		.volume_start = at + 2,
		.volume_blocks = sizes->volume_blocks,
		.save_blocks = sizes->save_blocks,
	};

	memcpy(super.nonce_data, nonce_data, NONCE_DATA_BYTES);
	super.primary_nonce = nonce_primary(nonce_data);
	super.volume_nonce = nonce_volume(super.primary_nonce, super.volume_start);
	super.save_start[0] = super.volume_start + super.volume_blocks;
	super.save_start[1] = super.save_start[0] + super.save_blocks;
	super.seal_start = super.save_start[1] + super.save_blocks;
	*ret_super = super;
}

void super_block_encode(const struct super_block *super, uint8_t block[BLOCK_BYTES])
{
	uint64_t inside = super->volume_blocks + SAVE_SLOTS * super->save_blocks;
	struct region_table table = {
		.blocks = super->total_blocks,
		.type = TABLE_SUPER_BLOCK,
		.payload_bytes = super->version == SUPER_VERSION_CONVERTED ? PAYLOAD_BYTES_CONVERTED
									   : PAYLOAD_BYTES_PLAIN,
	};
	uint8_t *payload;

	region_table_append(&table, REGION_HEADER, REGION_NO_INSTANCE, super->first, 1);
	region_table_append(&table, REGION_CONFIG, REGION_NO_INSTANCE, super->first + 1, 1);
	region_table_append(&table, REGION_SUB_INDEX, 0, super->first + 2, inside);
	region_table_append(&table, REGION_VOLUME, REGION_NO_INSTANCE, super->volume_start,
			    super->volume_blocks);
	for (uint16_t slot = 0; slot < SAVE_SLOTS; slot++)
		region_table_append(&table, REGION_SAVE, slot, super->save_start[slot],
				    super->save_blocks);
	region_table_append(&table, REGION_SEAL, REGION_NO_INSTANCE, super->seal_start, 1);
	region_table_encode(&table, block);

	payload = block + table.payload_at;
	memcpy(payload, LABEL, LABEL_BYTES);
	memcpy(payload + 32, super->nonce_data, NONCE_DATA_BYTES);
	put_le64(payload + 64, super->primary_nonce);
	put_le32(payload + 72, super->version);
	put_le32(payload + 76, BLOCK_BYTES);
	put_le16(payload + 80, 1);
	put_le16(payload + 82, SAVE_SLOTS);
	put_le64(payload + 88, super->open_chapter_blocks);
	put_le64(payload + 96, super->page_map_blocks);
	if (super->version == SUPER_VERSION_CONVERTED) {
		put_le64(payload + 104, super->volume_offset);
		put_le64(payload + 112, super->start_offset);
	}
}
