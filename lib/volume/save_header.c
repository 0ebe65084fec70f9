/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Save headers, to and from bytes.
 *
 * Like the super block they speak in the coordinates of the device on which the index was created;
 * regions are in bytes of the device as it is now.
 */
#include "volume/save_header.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32.h"
#include "base/message.h"

#define SAVE_PAYLOAD_BYTES    64u
#define UNSAVED_PAYLOAD_BYTES 24u
#define SAVE_VERSION	      1u
#define STATE_SIGNATURE	      (-1)
#define STATE_VERSION	      301

/*
 * The mark: magic, nonce of the volume, time stamp, CRC-32 of these. Less than a sector,
 * so never torn.
 */
#define MARK_MAGIC	 "UDSOLDER"
#define MARK_MAGIC_BYTES 8u
#define MARK_BYTES	 24u

static int check_field(const char *field, uint64_t expected, uint64_t found,
		       struct uds_message *ret_message)
{
	if (expected == found)
		return 0;
	return failure(ret_message, UDS_ERR_CORRUPT, "%s: expected %" PRIu64 ", found %" PRIu64,
		       field, expected, found);
}

static struct save_region bytes_of(const struct super_block *super, const struct region *region)
{
	struct save_region bytes = {
		.offset = (region->start - super->start_offset - super->front) * BLOCK_BYTES,
		.bytes = region->blocks * BLOCK_BYTES,
	};

	return bytes;
}

static int decode_payload(const uint8_t *payload, const struct super_block *super,
			  struct save *save, struct uds_message *ret_message)
{
	int r;

	save->timestamp = get_le64(payload);
	save->nonce = get_le64(payload + 8);
	/* Older saves are read; the version goes into the nonce. */
	if (get_le32(payload + 16) > SAVE_VERSION)
		return failure(ret_message, UDS_ERR_UNSUPPORTED_VERSION,
			       "save version: expected at most %u, found %" PRIu32, SAVE_VERSION,
			       get_le32(payload + 16));
	r = check_field("index state signature", (uint32_t)STATE_SIGNATURE, get_le32(payload + 24),
			ret_message);
	if (r == 0)
		r = check_field("index state version", STATE_VERSION, get_le32(payload + 28),
				ret_message);
	if (r < 0)
		return r;
	if (save->timestamp == 0)
		return failure(ret_message, UDS_ERR_CORRUPT, "time stamp: expected one, found 0");
	/*
	 * Binds the save to the index, its slot and its time: a header copied from elsewhere, or
	 * left by an index that was here before, does not count.
	 */
	if (save->nonce != nonce_save(super->volume_nonce, save->timestamp, get_le32(payload + 16),
				      super->save_start[save->slot]))
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "save nonce: found 0x%" PRIx64
			       ", which does not belong to this index, slot and time stamp",
			       save->nonce);
	/*
	 * Their ranges are checked when the save is to be loaded (saves_latest()), not here: it is
	 * still the latest, and no older one may be loaded in its place.
	 */
	save->newest = get_le64(payload + 32);
	save->oldest = get_le64(payload + 40);
	save->last_save = get_le64(payload + 48);
	return 0;
}

/* How many zones the regions are for; 0 with a message when that is not possible. */
static unsigned int count_zones(const struct region_table *table, struct uds_message *ret_message)
{
	unsigned int others = 3; /* header, page map, open chapter */

	/* Free space is left out when the zones' shares come out even (14.7). */
	if (table->count > 0 && table->regions[table->count - 1].kind == REGION_FREE)
		others++;
	if (table->count <= others || table->count - others > MAXIMUM_ZONES) {
		failure(ret_message, UDS_ERR_CORRUPT, "region count: expected %u to %u, found %u",
			others + 1, others + MAXIMUM_ZONES, table->count);
		return 0;
	}
	return table->count - others;
}

/* Every region follows the one before and is no longer than what is left of the slot. */
static int take_region(const struct region_table *table, unsigned int i, uint16_t kind,
		       uint16_t instance, uint64_t *next, uint64_t end,
		       struct uds_message *ret_message)
{
	const struct region *region = &table->regions[i];
	int r;

	r = region_check(table, i, kind, instance, *next, ret_message);
	if (r < 0)
		return r;
	if (region->blocks == 0 || region->blocks > end - *next)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "%s (%u): blocks: expected 1 to %" PRIu64 ", found %" PRIu64,
			       region_name(kind), i, end - *next, region->blocks);
	*next += region->blocks;
	return 0;
}

static int decode_regions(const struct region_table *table, const struct super_block *super,
			  struct save *save, struct uds_message *ret_message)
{
	uint64_t next = super->save_start[save->slot];
	uint64_t end = next + super->save_blocks;
	const struct region *regions = table->regions;
	unsigned int zones = count_zones(table, ret_message);
	int r;

	if (zones == 0)
		return UDS_ERR_CORRUPT;
	r = take_region(table, 0, REGION_HEADER, REGION_NO_INSTANCE, &next, end, ret_message);
	if (r == 0)
		r = check_field("header region: blocks", 1, regions[0].blocks, ret_message);
	if (r == 0)
		r = take_region(table, 1, REGION_PAGE_MAP, REGION_NO_INSTANCE, &next, end,
				ret_message);
	for (uint16_t z = 0; z < zones && r == 0; z++) {
		r = take_region(table, 2u + z, REGION_VOLUME_INDEX, z, &next, end, ret_message);
		save->volume_index[z] = bytes_of(super, &regions[2 + z]);
	}
	if (r == 0)
		r = take_region(table, 2 + zones, REGION_OPEN_CHAPTER, REGION_NO_INSTANCE, &next,
				end, ret_message);
	if (r == 0 && table->count > 3 + zones)
		r = take_region(table, 3 + zones, REGION_FREE, REGION_NO_INSTANCE, &next, end,
				ret_message);
	if (r == 0)
		r = check_field("end of the last region: block", end, next, ret_message);
	if (r < 0)
		return r;
	save->zones = zones;
	save->page_map = bytes_of(super, &regions[1]);
	save->open_chapter = bytes_of(super, &regions[2 + zones]);
	return 0;
}

static int decode(const uint8_t block[BLOCK_BYTES], const struct super_block *super,
		  struct save *save, struct uds_message *ret_message)
{
	struct region_table table;
	int r;

	r = region_table_decode(block, &table, ret_message);
	if (r < 0)
		return r;
	r = check_field("blocks", super->save_blocks, table.blocks, ret_message);
	/* An empty slot: its regions are of no interest, since nothing will be read from them. */
	if (r < 0 || table.type == TABLE_UNSAVED)
		return r;
	r = check_field("type", TABLE_SAVE, table.type, ret_message);
	if (r == 0)
		r = check_field("payload length", SAVE_PAYLOAD_BYTES, table.payload_bytes,
				ret_message);
	if (r == 0)
		r = decode_regions(&table, super, save, ret_message);
	if (r == 0)
		r = decode_payload(block + table.payload_at, super, save, ret_message);
	return r < 0 ? r : 1;
}

int save_header_decode(const uint8_t block[BLOCK_BYTES], const struct super_block *super,
		       unsigned int slot, struct save *ret_save, struct uds_message *ret_message)
{
	struct save save = { .slot = slot };
	int r;

	r = decode(block, super, &save, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "save %u header", slot);
	if (r > 0)
		*ret_save = save;
	return r;
}

/* The regions of a save; the shares of the zones are equal, what cannot be shared is free space. */
static int plan_regions(const struct super_block *super, unsigned int slot, unsigned int zones,
			struct region_table *table)
{
	uint64_t fixed = 1 + super->page_map_blocks + super->open_chapter_blocks;
	uint64_t next = super->save_start[slot];
	uint64_t share, end = next + super->save_blocks;

	/* At least one block a zone. */
	if (super->save_blocks < fixed + zones)
		return UDS_ERR_OVERFLOW;
	share = (super->save_blocks - fixed) / zones;
	region_table_append(table, REGION_HEADER, REGION_NO_INSTANCE, next, 1);
	next += 1;
	region_table_append(table, REGION_PAGE_MAP, REGION_NO_INSTANCE, next,
			    super->page_map_blocks);
	next += super->page_map_blocks;
	for (uint16_t z = 0; z < zones; z++, next += share)
		region_table_append(table, REGION_VOLUME_INDEX, z, next, share);
	region_table_append(table, REGION_OPEN_CHAPTER, REGION_NO_INSTANCE, next,
			    super->open_chapter_blocks);
	next += super->open_chapter_blocks;
	if (next < end)
		region_table_append(table, REGION_FREE, REGION_NO_INSTANCE, next, end - next);
	return 0;
}

int save_header_plan(const struct super_block *super, unsigned int slot, unsigned int zones,
		     struct save *ret_save, struct uds_message *ret_message)
{
	struct region_table table = { 0 };
	struct save save = { .slot = slot, .zones = zones };

	if (plan_regions(super, slot, zones, &table) < 0)
		return failure(ret_message, UDS_ERR_OVERFLOW,
			       "save %u: %" PRIu64 " blocks are too few for %u zones", slot,
			       super->save_blocks, zones);
	save.page_map = bytes_of(super, &table.regions[1]);
	for (unsigned int z = 0; z < zones; z++)
		save.volume_index[z] = bytes_of(super, &table.regions[2 + z]);
	save.open_chapter = bytes_of(super, &table.regions[2 + zones]);
	*ret_save = save;
	return 0;
}

uint64_t save_header_nonce(const struct super_block *super, const struct save *save)
{
	return nonce_save(super->volume_nonce, save->timestamp, SAVE_VERSION,
			  super->save_start[save->slot]);
}

void save_header_encode(const struct super_block *super, const struct save *save,
			uint8_t block[BLOCK_BYTES])
{
	struct region_table table = {
		.blocks = super->save_blocks,
		.type = TABLE_SAVE,
		.payload_bytes = SAVE_PAYLOAD_BYTES,
	};
	uint8_t *payload;

	/* saves_begin() has planned the same regions, so there is room. */
	plan_regions(super, save->slot, save->zones, &table);
	region_table_encode(&table, block);
	payload = block + table.payload_at;
	put_le64(payload, save->timestamp);
	put_le64(payload + 8, save->nonce);
	put_le32(payload + 16, SAVE_VERSION);
	put_le32(payload + 24, (uint32_t)STATE_SIGNATURE);
	put_le32(payload + 28, STATE_VERSION);
	put_le64(payload + 32, save->newest);
	put_le64(payload + 40, save->oldest);
	put_le64(payload + 48, save->last_save);
}

uint32_t save_header_checksum(const struct super_block *super, const struct save *save,
			      uint8_t block[BLOCK_BYTES])
{
	struct save committed = *save;

	committed.last_save = save_header_last(save);
	save_header_encode(super, &committed, block);
	return crc32_add(0, block, BLOCK_BYTES);
}

void save_header_encode_unsaved(const struct super_block *super, unsigned int slot,
				uint8_t block[BLOCK_BYTES])
{
	uint64_t start = super->save_start[slot];
	uint64_t used = 1 + super->page_map_blocks;
	struct region_table table = {
		.blocks = super->save_blocks,
		.type = TABLE_UNSAVED,
		.payload_bytes = UNSAVED_PAYLOAD_BYTES,
	};

	/* Type 4 describes what a save begins with and nothing of the zones (14.7). */
	region_table_append(&table, REGION_HEADER, REGION_NO_INSTANCE, start, 1);
	region_table_append(&table, REGION_PAGE_MAP, REGION_NO_INSTANCE, start + 1,
			    super->page_map_blocks);
	/*
	 * There is room for an open chapter, and for a zone: super_block_decode() has seen to it.
	 */
	region_table_append(&table, REGION_FREE, REGION_NO_INSTANCE, start + used,
			    super->save_blocks - used);
	region_table_encode(&table, block);
}

void save_header_encode_mark(const struct super_block *super, uint64_t later,
			     uint8_t block[BLOCK_BYTES])
{
	memset(block, 0, BLOCK_BYTES);
	memcpy(block, MARK_MAGIC, MARK_MAGIC_BYTES);
	put_le64(block + 8, super->volume_nonce);
	put_le64(block + 16, later);
	put_le32(block + MARK_BYTES, crc32_add(0, block, MARK_BYTES));
}

bool save_header_decode_mark(const uint8_t block[BLOCK_BYTES], const struct super_block *super,
			     uint64_t *ret_later)
{
	if (memcmp(block, MARK_MAGIC, MARK_MAGIC_BYTES) != 0 ||
	    get_le64(block + 8) != super->volume_nonce ||
	    get_le32(block + MARK_BYTES) != crc32_add(0, block, MARK_BYTES))
		return false;
	*ret_later = get_le64(block + 16);
	return true;
}
