/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading the geometry block, in both versions that volumes in use have. */
#include "vdo/geometry_block.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32.h"
#include "base/message.h"

#define MAGIC	       "dmvdo001"
#define MAGIC_BYTES    8
#define GEOMETRY_ID    5
#define SIZE_VERSION_4 93 /* from the magic to the end of the checksum */
#define SIZE_VERSION_5 101
#define INDEX_REGION   0
#define DATA_REGION    1
#define USUAL_INDEX    1 /* the block where the index of every known volume begins */
#define CHECKSUM_BYTES 4
#define REGION_BYTES   12
#define OFFSET_HEADER  8
#define OFFSET_NONCE   32
#define OFFSET_UUID    40
#define GIGABYTES_MAX  1024
#define OFFSET_BIO     56 /* version 5 only; later fields lie 8 bytes earlier without it */

bool vdo_geometry_is_there(const uint8_t *block)
{
	return memcmp(block, MAGIC, MAGIC_BYTES) == 0;
}

static int check_header(const uint8_t *block, uint32_t *ret_version, struct uds_message *message)
{
	uint32_t id = get_le32(block + OFFSET_HEADER), major = get_le32(block + OFFSET_HEADER + 4);
	uint32_t minor = get_le32(block + OFFSET_HEADER + 8);
	uint64_t size = get_le64(block + OFFSET_HEADER + 12), expected;

	/*
	 * Before anything that is placed by the version: a block of another kind has the magic only
	 * by chance.
	 */
	if (id != GEOMETRY_ID)
		return failure(message, UDS_ERR_CORRUPT, "header id: expected %d, found %" PRIu32,
			       GEOMETRY_ID, id);
	if ((major != 4 && major != 5) || minor != 0)
		return failure(message, UDS_ERR_UNSUPPORTED_VERSION,
			       "version: expected 4.0 or 5.0, found %" PRIu32 ".%" PRIu32, major,
			       minor);
	expected = major == 4 ? SIZE_VERSION_4 : SIZE_VERSION_5;
	/*
	 * The checksum lies at the end of this many bytes: with another size it would be looked
	 * for elsewhere.
	 */
	if (size != expected)
		return failure(message, UDS_ERR_CORRUPT,
			       "size: expected %" PRIu64 ", found %" PRIu64, expected, size);
	*ret_version = major;
	return 0;
}

static int check_regions(const struct vdo_geometry *g, uint32_t first_id, uint32_t second_id,
			 struct uds_message *message)
{
	if (first_id != INDEX_REGION || second_id != DATA_REGION)
		return failure(message, UDS_ERR_CORRUPT,
			       "regions: expected %d and %d, found %" PRIu32 " and %" PRIu32,
			       INDEX_REGION, DATA_REGION, first_id, second_id);
	/*
	 * Unsigned: an offset larger than the region makes it huge, and is refused by the order of
	 * the two.
	 */
	if (g->index_block == 0 || g->index_block >= g->data_block ||
	    g->data_block > INT64_MAX / VDO_BLOCK_BYTES)
		return failure(
			message, UDS_ERR_CORRUPT,
			"regions: expected the index behind block 0, and the data behind it and by "
			"block %" PRId64 ", found blocks %" PRIu64 " and %" PRIu64,
			INT64_MAX / VDO_BLOCK_BYTES, g->index_block, g->data_block);
	return 0;
}

int vdo_geometry_decode(const uint8_t *block, struct vdo_geometry *ret_geometry,
			struct uds_message *message)
{
	struct vdo_geometry g = { .nonce = get_le64(block + OFFSET_NONCE) };
	const uint8_t *regions;
	uint32_t found, sum;
	size_t size;
	int r;

	if (!vdo_geometry_is_there(block))
		return failure(message, UDS_ERR_CORRUPT,
			       "magic: expected " MAGIC ", found 0x%016" PRIx64, get_be64(block));
	r = check_header(block, &g.version, message);
	if (r < 0)
		return r;
	/*
	 * The checksum covers everything from the magic up to itself, so its place follows from the
	 * version.
	 */
	size = (g.version == 4 ? SIZE_VERSION_4 : SIZE_VERSION_5) - CHECKSUM_BYTES;
	found = get_le32(block + size);
	sum = crc32_add(UINT32_MAX, block, size); /* zlib's crc32() begins with 0 */
	if (found != sum)
		return failure(message, UDS_ERR_CORRUPT,
			       "checksum: expected 0x%08" PRIx32 ", found 0x%08" PRIx32, sum,
			       found);
	/* Region starts include the bio offset; on the device they are so many blocks earlier. */
	if (g.version == 5)
		g.bio_offset = get_le64(block + OFFSET_BIO);
	regions = block + OFFSET_BIO + (g.version == 5 ? 8 : 0);
	g.index_block = get_le64(regions + 4) - g.bio_offset;
	g.data_block = get_le64(regions + REGION_BYTES + 4) - g.bio_offset;
	memcpy(g.uuid, block + OFFSET_UUID, sizeof(g.uuid));
	g.memory = get_le32(regions + 2 * (size_t)REGION_BYTES);
	g.sparse = regions[2 * (size_t)REGION_BYTES + 8];
	r = check_regions(&g, get_le32(regions), get_le32(regions + REGION_BYTES), message);
	if (r < 0)
		return r;
	*ret_geometry = g;
	return 0;
}

uint64_t vdo_geometry_memory(const struct vdo_geometry *geometry)
{
	/* What is less than a GiB has numbers of its own, from the top. */
	if (geometry->memory >= 1 && geometry->memory <= GIGABYTES_MAX)
		return (uint64_t)geometry->memory << 30;
	switch (geometry->memory) {
	case UINT32_C(0xffffff00):
		return UINT64_C(256) << 20;
	case UINT32_C(0xfffffe00):
		return UINT64_C(512) << 20;
	case UINT32_C(0xfffffd00):
		return UINT64_C(768) << 20;
	default:
		return 0;
	}
}

int vdo_name_index(const uint8_t *block, uint64_t start_block, struct uds_message *message)
{
	struct vdo_geometry g = { .index_block = USUAL_INDEX };
	struct uds_message why = { "" };
	uint64_t at;
	/* Even a damaged block helps: the usual place is right for every volume that is known. */
	int r = vdo_geometry_decode(block, &g, &why);

	at = (start_block + g.index_block) * VDO_BLOCK_BYTES;
	if (r < 0)
		return failure(message, UDS_ERR_NOT_AN_INDEX,
			       "this begins as a VDO volume, whose geometry block cannot be used "
			       "(%s); the index of a VDO volume is usually at offset %" PRIu64
			       " (--offset %" PRIu64 ")",
			       why.text, at, at);
	return failure(message, UDS_ERR_NOT_AN_INDEX,
		       "this is a VDO volume; its index is at offset %" PRIu64 " (--offset %" PRIu64
		       ")",
		       at, at);
}
