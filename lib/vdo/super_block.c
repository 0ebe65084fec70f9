/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading the super block of a VDO volume. Its parts follow each other, each behind a header. */
#include "vdo/super_block.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/crc32.h"
#include "base/message.h"

#define HEADER_BYTES   20u
#define CHECKSUM_AT    434u
#define BLOCKS_MAX     (UINT64_C(1) << 51) /* no sum of a few, and no number of bytes, overflows */
#define COUNTERS_BLOCK UINT64_C(4032)	   /* eight sectors, each with a position in front */
#define PARTITIONS     4u

/* The parts that have a header, with the version that is known, in their order. */
static const struct known_part {
	const char *name;
	uint32_t id, major, minor;
	uint64_t bytes;
	unsigned int at;
} parts[] = {
	{ "super block", 0, 12, 0, 418, 0 },	  { "layout", 1, 3, 0, 117, 108 },
	{ "recovery journal", 2, 7, 0, 24, 245 }, { "slab depot", 3, 2, 0, 73, 289 },
	{ "block map", 4, 2, 0, 32, 382 },
};

static int check_number(const char *what, uint64_t expected, uint64_t found,
			struct uds_message *message)
{
	if (expected == found)
		return 0;
	return failure(message, UDS_ERR_CORRUPT, "%s: expected %" PRIu64 ", found %" PRIu64, what,
		       expected, found);
}

static int check_version(const char *what, uint32_t major, uint32_t minor, const uint8_t *at,
			 struct uds_message *message)
{
	if (get_le32(at) == major && get_le32(at + 4) == minor)
		return 0;
	return failure(message, UDS_ERR_UNSUPPORTED_VERSION,
		       "%s: version: expected %" PRIu32 ".%" PRIu32 ", found %" PRIu32 ".%" PRIu32,
		       what, major, minor, get_le32(at), get_le32(at + 4));
}

static int check_part(const struct known_part *part, const uint8_t *block,
		      struct uds_message *message)
{
	const uint8_t *at = block + part->at;

	/*
	 * Parts have fixed places in the one version that is known; the headers tell whether it is
	 * that one.
	 */
	if (get_le32(at) != part->id)
		return failure(message, UDS_ERR_CORRUPT,
			       "%s: id: expected %" PRIu32 ", found %" PRIu32, part->name, part->id,
			       get_le32(at));
	if (check_version(part->name, part->major, part->minor, at + 4, message) < 0)
		return UDS_ERR_UNSUPPORTED_VERSION;
	if (get_le64(at + 12) != part->bytes)
		return failure(message, UDS_ERR_CORRUPT,
			       "%s: size: expected %" PRIu64 ", found %" PRIu64, part->name,
			       part->bytes, get_le64(at + 12));
	return 0;
}

/*
 * The checksum comes before the parts: a flipped bit in a version is damage, not another version.
 */
static int check_parts(const uint8_t *block, struct uds_message *message)
{
	uint32_t sum = crc32_add(UINT32_MAX, block, CHECKSUM_AT);
	int r = check_part(&parts[0], block, message);

	if (r < 0)
		return r;
	if (get_le32(block + CHECKSUM_AT) != sum)
		return failure(message, UDS_ERR_CORRUPT,
			       "checksum: expected 0x%08" PRIx32 ", found 0x%08" PRIx32, sum,
			       get_le32(block + CHECKSUM_AT));
	r = check_version("volume", 67, 0, block + 24, message);
	if (r == 0)
		r = check_version("component", 41, 0, block + 32, message);
	for (unsigned int i = 1; r == 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
		r = check_part(&parts[i], block, message);
	if (r == 0)
		r = check_number("layout: partitions", PARTITIONS, block[144], message);
	return r;
}

/* Before any of them is added or multiplied. */
static int check_limits(const struct vdo_super_block *super, struct uds_message *message)
{
	const struct {
		const char *what;
		uint64_t blocks;
	} numbers[] = {
		{ "physical blocks", super->physical_blocks },
		{ "logical blocks", super->logical_blocks },
		{ "slab depot: blocks of a slab", super->slab_blocks },
		{ "slab depot: data blocks", super->data_blocks },
		{ "slab depot: reference count blocks", super->reference_blocks },
		{ "slab depot: journal blocks", super->journal_blocks },
		{ "slab depot: end", super->last_slab_block },
	};

	for (unsigned int i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i].blocks > BLOCKS_MAX)
			return failure(message, UDS_ERR_CORRUPT,
				       "%s: expected at most %" PRIu64 ", found %" PRIu64,
				       numbers[i].what, BLOCKS_MAX, numbers[i].blocks);
	return 0;
}

static int check_slabs(const struct vdo_super_block *super, uint64_t slab_size,
		       struct uds_message *message)
{
	uint64_t parts_sum;
	int r;

	r = check_limits(super, message);
	if (r < 0)
		return r;
	r = check_number("slab depot: blocks of a slab", slab_size, super->slab_blocks, message);
	if (r < 0)
		return r;
	/* Every block of a slab belongs to one of the three, so they add up exactly. */
	parts_sum = super->data_blocks + super->reference_blocks + super->journal_blocks;
	if (super->data_blocks == 0 || parts_sum != super->slab_blocks)
		return failure(message, UDS_ERR_CORRUPT,
			       "slab depot: data, reference count and journal blocks: expected the "
			       "%" PRIu64 " of a slab in all, found %" PRIu64 " + %" PRIu64
			       " + %" PRIu64,
			       super->slab_blocks, super->data_blocks, super->reference_blocks,
			       super->journal_blocks);
	/*
	 * A byte for each data block; counters that have no room would be read behind their
	 * blocks.
	 */
	if (super->data_blocks > super->reference_blocks * COUNTERS_BLOCK)
		return failure(message, UDS_ERR_CORRUPT,
			       "slab depot: reference count blocks: expected at least %" PRIu64
			       " for %" PRIu64 " data blocks, found %" PRIu64,
			       (super->data_blocks + COUNTERS_BLOCK - 1) / COUNTERS_BLOCK,
			       super->data_blocks, super->reference_blocks);
	if (super->first_slab_block >= super->last_slab_block ||
	    (super->last_slab_block - super->first_slab_block) % super->slab_blocks != 0)
		return failure(message, UDS_ERR_CORRUPT,
			       "slab depot: expected whole slabs of %" PRIu64
			       " blocks, found blocks %" PRIu64 " to %" PRIu64,
			       super->slab_blocks, super->first_slab_block, super->last_slab_block);
	return 0;
}

int vdo_super_block_decode(const uint8_t *block, struct vdo_super_block *ret_super,
			   struct uds_message *message)
{
	const uint8_t *depot = block + 289 + HEADER_BYTES, *journal = block + 245 + HEADER_BYTES;
	struct vdo_super_block super = {
		.state = get_le32(block + 40),
		.complete_recoveries = get_le64(block + 44),
		.read_only_recoveries = get_le64(block + 52),
		.logical_blocks = get_le64(block + 60),
		.physical_blocks = get_le64(block + 68),
		.nonce = get_le64(block + 100),
		.logical_blocks_used = get_le64(journal + 8),
		.block_map_blocks = get_le64(journal + 16),
		.slab_blocks = get_le64(depot),
		.data_blocks = get_le64(depot + 8),
		.reference_blocks = get_le64(depot + 16),
		.journal_blocks = get_le64(depot + 24),
		.first_slab_block = get_le64(depot + 56),
		.last_slab_block = get_le64(depot + 64),
	};
	int r = check_parts(block, message);

	if (r == 0)
		r = check_slabs(&super, get_le64(block + 76), message);
	if (r == 0)
		*ret_super = super;
	return r;
}
