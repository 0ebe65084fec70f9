/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks with the structure of an index or a volume: what is decoded is encoded again, to the same.
 */
#include <stdlib.h>
#include <string.h>

#include <uds/vdo.h>

#include "base/bytes.h"
#include "fuzz.h"
#include "vdo/geometry_block.h"
#include "volume/config_block.h"
#include "volume/save_header.h"
#include "volume/super_block.h"

void fuzz_region_table(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	uint8_t *block = fuzz_take(&input, BLOCK_BYTES), again[BLOCK_BYTES] = { 0 };
	struct region_table table, second;
	struct uds_message message;

	if (region_table_decode(block, &table, &message) == 0) {
		FUZZ_REQUIRE(table.count <= REGION_TABLE_MAX);
		FUZZ_REQUIRE(table.payload_at + table.payload_bytes <= BLOCK_BYTES);
		for (unsigned int i = 0; i < table.count; i++)
			(void)region_check(&table, i, table.regions[i].kind,
					   table.regions[i].instance, table.regions[i].start,
					   &message);
		region_table_encode(&table, again);
		FUZZ_REQUIRE(region_table_decode(again, &second, &message) == 0);
		FUZZ_REQUIRE(second.blocks == table.blocks && second.count == table.count &&
			     second.type == table.type);
		FUZZ_REQUIRE(memcmp(second.regions, table.regions,
				    table.count * sizeof(table.regions[0])) == 0);
	}
	free(block);
}

void fuzz_super_block(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	uint64_t at = fuzz_u64(&input) % MAX_BLOCKS;
	uint8_t *block = fuzz_take(&input, BLOCK_BYTES), once[BLOCK_BYTES], twice[BLOCK_BYTES];
	struct super_block super, second;
	struct uds_message message;

	if (super_block_decode(block, at, &super, &message) == 0) {
		FUZZ_REQUIRE(super.total_blocks <= MAX_BLOCKS);
		FUZZ_REQUIRE(super_block_end(&super) <= 2 * MAX_BLOCKS);
		super_block_encode(&super, once);
		FUZZ_REQUIRE(super_block_decode(once, at, &second, &message) == 0);
		super_block_encode(&second, twice);
		FUZZ_REQUIRE(memcmp(once, twice, BLOCK_BYTES) == 0);
	}
	free(block);
}

void fuzz_config_block(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	uint8_t *block = fuzz_take(&input, BLOCK_BYTES), once[BLOCK_BYTES], twice[BLOCK_BYTES];
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT, second = configuration;
	struct uds_message message;
	struct geometry geometry;
	uint32_t version, second_version;

	if (config_block_decode(block, &version, &configuration, &message) == 0) {
		config_block_encode(&configuration, version, once);
		FUZZ_REQUIRE(config_block_decode(once, &second_version, &second, &message) == 0);
		config_block_encode(&second, second_version, twice);
		FUZZ_REQUIRE(memcmp(once, twice, BLOCK_BYTES) == 0);
		if (geometry_make(&configuration, &geometry, &message) == 0)
			FUZZ_REQUIRE(geometry.page_bytes == configuration.page_bytes);
	}
	free(block);
}

static void check_save(const struct super_block *super, const struct save *save)
{
	uint64_t end = (super_block_save_at(super, save->slot) + super->save_blocks) * BLOCK_BYTES;
	struct uds_message message;
	uint8_t block[BLOCK_BYTES];
	struct save second;

	FUZZ_REQUIRE(save->zones >= 1 && save->zones <= MAXIMUM_ZONES);
	for (unsigned int z = 0; z < save->zones; z++)
		FUZZ_REQUIRE(save->volume_index[z].offset + save->volume_index[z].bytes <= end);
	FUZZ_REQUIRE(save->page_map.offset + save->page_map.bytes <= end);
	FUZZ_REQUIRE(save->open_chapter.offset + save->open_chapter.bytes <= end);
	save_header_encode(super, save, block);
	FUZZ_REQUIRE(save_header_decode(block, super, save->slot, &second, &message) == 1);
	FUZZ_REQUIRE(second.newest == save->newest && second.zones == save->zones &&
		     second.nonce == save->nonce);
}

void fuzz_save_header(const uint8_t *bytes, size_t size)
{
	static const uint8_t nonce_data[NONCE_DATA_BYTES] = "a fuzz target's";
	struct fuzz_input input = { bytes, size };
	uint8_t shape = fuzz_u8(&input);
	uint8_t *block = fuzz_take(&input, BLOCK_BYTES);
	struct super_block super;
	struct geometry_sizes sizes;
	struct uds_message message;
	struct save save;

	geometry_sizes(fuzz_geometry(shape), &sizes);
	super_block_make(&sizes, shape >> 4, nonce_data, &super);
	if (save_header_decode(block, &super, shape >> 3 & 1, &save, &message) == 1)
		check_save(&super, &save);
	free(block);
}

/*
 * So that the fuzzer gets past it: the checksum of what is before its place, as the format has it.
 */
static void set_checksum(uint8_t *block, size_t place)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < place; i++) {
		crc ^= block[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	put_le32(block + place, ~crc);
}

static void decode_vdo(const uint8_t *block)
{
	struct vdo_geometry geometry;
	struct uds_message message;

	if (vdo_geometry_decode(block, &geometry, &message) == 0) {
		FUZZ_REQUIRE(geometry.version == 4 || geometry.version == 5);
		FUZZ_REQUIRE(geometry.index_block < geometry.data_block);
	}
	(void)vdo_geometry_is_there(block);
	FUZZ_REQUIRE(vdo_name_index(block, 7, &message) == UDS_ERR_NOT_AN_INDEX);
}

void fuzz_vdo_geometry(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	uint8_t *block = fuzz_take(&input, (size_t)VDO_BLOCK_BYTES);

	decode_vdo(block);
	set_checksum(block, block[12] == 4 ? 89 : 97);
	decode_vdo(block);
	free(block);
}

/*
 * What a volume says agrees with the size of its device: whoever goes by it reads nothing outside.
 */
static void check_vdo_info(const struct uds_vdo_info *info, uint64_t blocks)
{
	uint64_t slabs = info->slab_count * info->slab_blocks;

	FUZZ_REQUIRE(info->physical_blocks <= blocks);
	FUZZ_REQUIRE(info->index_offset + info->index_region_bytes <= blocks * VDO_BLOCK_BYTES);
	FUZZ_REQUIRE(info->slab_count > 0 && slabs / info->slab_blocks == info->slab_count);
	FUZZ_REQUIRE(info->first_slab_block + slabs <= info->physical_blocks);
	FUZZ_REQUIRE(info->slab_data_blocks > 0 && info->slab_data_blocks +
								   info->slab_reference_blocks +
								   info->slab_journal_blocks ==
							   info->slab_blocks);
	FUZZ_REQUIRE(info->slab_reference_blocks * 4032 >= info->slab_data_blocks);
	FUZZ_REQUIRE(info->index_memory_bytes > 0);
}

/*
 * A device of a few blocks, whose first is a geometry block and the one that it names
 * a super block.
 */
void fuzz_vdo_volume(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	uint64_t blocks = 4 + fuzz_u8(&input);
	const struct uds_env *env = fuzz_env_begin(size, 2 << 20, 16);
	uint8_t *geometry = fuzz_take(&input, 120), *super = fuzz_take(&input, 512);
	struct uds_vdo_info info = UDS_VDO_INFO_INIT;
	struct uds_message message = { "" };
	struct uds_io *device, *index;
	int r;

	set_checksum(geometry, geometry[12] == 4 ? 89 : 97);
	set_checksum(super, 434);
	FUZZ_REQUIRE(uds_io_open_memory(blocks * VDO_BLOCK_BYTES, 1, env, NULL, &device) == 0);
	FUZZ_REQUIRE(uds_io_write(device, geometry, 120, 0) == 0);
	FUZZ_REQUIRE(uds_io_write(device, super, 512, 2 * VDO_BLOCK_BYTES) == 0);
	r = uds_vdo_read_info(device, &message, &info);
	if (r == 0)
		check_vdo_info(&info, blocks);
	else
		FUZZ_REQUIRE(message.text[0] != '\0');
	if (uds_vdo_open_index(device, NULL, env, &message, &index) == 0) {
		FUZZ_REQUIRE(r == 0 || r == UDS_ERR_NOT_AN_INDEX);
		FUZZ_REQUIRE(uds_io_close(index) == 0);
	}
	FUZZ_REQUIRE(uds_io_close(device) == 0);
	free(geometry);
	free(super);
	fuzz_env_end();
}
