/* SPDX-License-Identifier: BSD-2-Clause */
/* Telling a damaged super block from a damaged config block. */
#include "index_damage.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <uds/geometry.h>

#include "base/bytes.h"

#define BLOCK	    4096u
#define SUPER_MAGIC UINT64_C(0x416c6252676e3031) /* "AlbRgn01" */
#define MAGIC_BYTES 10u				 /* of a config block, with its version */

const char *index_damage_name(enum index_damage damage)
{
	return damage == INDEX_DAMAGE_SUPER_BLOCK ? "super block" : "config block";
}

/* Whether it is a config block whose numbers can be, and how long an index it is of. */
static bool is_config_block(const uint8_t *block, uint64_t *ret_index_bytes)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_geometry geometry = UDS_GEOMETRY_INIT;
	bool converted = memcmp(block, "ALBIC08.02", MAGIC_BYTES) == 0;

	if (!converted && memcmp(block, "ALBIC06.02", MAGIC_BYTES) != 0)
		return false;
	configuration.record_pages_per_chapter = get_le32(block + 10);
	configuration.chapters_per_volume = get_le32(block + 14);
	configuration.sparse_chapters_per_volume = get_le32(block + 18);
	configuration.cache_chapters = get_le32(block + 22);
	configuration.volume_index_mean_delta = get_le32(block + 30);
	configuration.page_bytes = get_le32(block + 34);
	configuration.sparse_sample_rate = get_le32(block + 38);
	if (converted) {
		configuration.remapped_virtual = get_le64(block + 50);
		configuration.remapped_physical = get_le64(block + 58);
	}
	if (uds_geometry_compute(&configuration, NULL, &geometry) < 0)
		return false;
	*ret_index_bytes = geometry.index_bytes;
	return true;
}

static enum index_damage judge(const uint8_t *blocks, uint64_t bytes, int status)
{
	uint64_t index_bytes = 0;

	if (is_config_block(blocks + BLOCK, &index_bytes))
		/* One that was cut off is made whole by no repair. */
		return index_bytes <= bytes ? INDEX_DAMAGE_SUPER_BLOCK : INDEX_DAMAGE_NONE;
	return status == UDS_ERR_CORRUPT && get_le64(blocks) == SUPER_MAGIC
		       ? INDEX_DAMAGE_CONFIG_BLOCK
		       : INDEX_DAMAGE_NONE;
}

enum index_damage index_damage_find(struct uds_io *io, int status)
{
	enum index_damage damage = INDEX_DAMAGE_NONE;
	uint64_t bytes = 0;
	uint8_t *blocks;

	if (status != UDS_ERR_CORRUPT && status != UDS_ERR_NOT_AN_INDEX)
		return INDEX_DAMAGE_NONE;
	blocks = aligned_alloc(BLOCK, (size_t)2 * BLOCK);
	if (blocks != NULL && uds_io_size(io, &bytes) == 0 && bytes >= (uint64_t)2 * BLOCK &&
	    uds_io_read(io, blocks, (size_t)2 * BLOCK, 0) == 0)
		damage = judge(blocks, bytes, status);
	free(blocks);
	return damage;
}
