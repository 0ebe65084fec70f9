/* SPDX-License-Identifier: BSD-2-Clause */
#include "vdo_image.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define BLOCK 4096u

uint32_t vdo_image_sum(const uint8_t *bytes, size_t length)
{
	uint32_t table[16], sum = 0;

	for (uint32_t i = 0; i < 16; i++) {
		table[i] = i;
		for (int bit = 0; bit < 4; bit++)
			table[i] = (table[i] >> 1) ^ ((table[i] & 1) * UINT32_C(0xedb88320));
	}
	for (size_t i = 0; i < length; i++) {
		sum = table[(sum ^ bytes[i]) & 15] ^ (sum >> 4);
		sum = table[(sum ^ (bytes[i] >> 4)) & 15] ^ (sum >> 4);
	}
	return ~sum;
}

size_t vdo_image_regions_at(unsigned int version)
{
	return version == 5 ? 64 : 56;
}

size_t vdo_image_sum_at(unsigned int version)
{
	return version == 5 ? 97 : 89;
}

void vdo_image_seal_geometry(uint8_t *block, unsigned int version)
{
	size_t at = vdo_image_sum_at(version);

	put_le32(block + at, vdo_image_sum(block, at));
}

void vdo_image_seal_super(uint8_t *block)
{
	put_le32(block + VDO_SUPER_SUM_AT, vdo_image_sum(block, VDO_SUPER_SUM_AT));
}

void vdo_image_geometry(uint8_t *block, unsigned int version, uint64_t data_block)
{
	size_t at = vdo_image_regions_at(version);

	memset(block, 0, BLOCK);
	memcpy(block, "dmvdo001", 8);
	put_le32(block + 8, 5);
	put_le32(block + 12, version);
	put_le64(block + 20, vdo_image_sum_at(version) + 4);
	put_le64(block + 32, VDO_NONCE);
	for (unsigned int i = 0; i < 16; i++)
		block[40 + i] = (uint8_t)(0xa0 + i);
	put_le64(block + at + 4, 1);
	put_le32(block + at + 12, 1);
	put_le64(block + at + 16, data_block);
	put_le32(block + at + 24, UINT32_C(0xffffff00));
	vdo_image_seal_geometry(block, version);
}

static uint8_t *header(uint8_t *at, uint32_t id, uint32_t major, uint64_t bytes)
{
	put_le32(at, id);
	put_le32(at + 4, major);
	put_le64(at + 12, bytes);
	return at + 20;
}

void vdo_image_super(uint8_t *block)
{
	static const uint64_t depot[] = { VDO_SLAB_BLOCKS,
					  VDO_SLAB_DATA,
					  2,
					  VDO_SLAB_BLOCKS - VDO_SLAB_DATA - 2,
					  4,
					  5,
					  6,
					  VDO_FIRST_SLAB,
					  VDO_FIRST_SLAB + VDO_SLABS * VDO_SLAB_BLOCKS };
	uint8_t *at;

	memset(block, 0, BLOCK);
	header(block, 0, 12, 418);
	put_le32(block + 24, 67);
	put_le32(block + 32, 41);
	put_le32(block + 40, 2); /* clean */
	put_le64(block + 60, 1000);
	put_le64(block + 68, VDO_BLOCKS);
	put_le64(block + 76, VDO_SLAB_BLOCKS);
	put_le64(block + 100, VDO_NONCE);
	header(block + 108, 1, 3, 117)[16] = 4; /* partitions */
	at = header(block + 245, 2, 7, 24);
	put_le64(at + 8, 77);
	put_le64(at + 16, 16);
	at = header(block + 289, 3, 2, 73);
	for (unsigned int i = 0; i < sizeof(depot) / sizeof(depot[0]); i++)
		put_le64(at + 8 * i, depot[i]);
	header(block + 382, 4, 2, 32);
	vdo_image_seal_super(block);
}

uint8_t *vdo_image_make(unsigned int version)
{
	uint8_t *image = calloc(VDO_BLOCKS, BLOCK);

	if (image == NULL)
		abort();
	vdo_image_geometry(image, version, VDO_DATA_AT);
	vdo_image_super(image + (size_t)VDO_DATA_AT * BLOCK);
	return image;
}
