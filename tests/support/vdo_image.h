/* SPDX-License-Identifier: BSD-2-Clause */
/* A small VDO volume in memory, byte by byte as the layout says it, with checksums of its own. */
#ifndef TESTS_VDO_IMAGE_H
#define TESTS_VDO_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define VDO_NONCE	 UINT64_C(0x0123456789abcdef)
#define VDO_DATA_AT	 101u /* block of the super block; the index has the 100 before */
#define VDO_SLABS	 3u
#define VDO_SLAB_BLOCKS	 32u
#define VDO_SLAB_DATA	 24u
#define VDO_FIRST_SLAB	 110u
#define VDO_BLOCKS	 (VDO_FIRST_SLAB + VDO_SLABS * VDO_SLAB_BLOCKS + 4)
#define VDO_SUPER_SUM_AT 434u

/* zlib's crc32(0xffffffff, ...), by halves of a byte, unlike the library. */
uint32_t vdo_image_sum(const uint8_t *bytes, size_t length);

/* Where the regions begin in the geometry block of a version, and where its checksum is. */
size_t vdo_image_regions_at(unsigned int version);
size_t vdo_image_sum_at(unsigned int version);

/*
 * A geometry block of 4096 bytes with the index in blocks 1 to @data_block - 1, and its checksum.
 */
void vdo_image_geometry(uint8_t *block, unsigned int version, uint64_t data_block);

/* The super block of a clean volume of the sizes above. */
void vdo_image_super(uint8_t *block);

/* Makes the checksum right again. */
void vdo_image_seal_geometry(uint8_t *block, unsigned int version);
void vdo_image_seal_super(uint8_t *block);

/* VDO_BLOCKS blocks: a whole volume, with nothing where its index should be. Free it. */
uint8_t *vdo_image_make(unsigned int version);

#endif
