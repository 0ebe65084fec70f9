/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes and the places of the COW device's format, and nothing else: header, entries, which
 * chunk is what. Pure functions; reading and writing are in area.h.
 */
#ifndef EXCEPTIONS_COW_FORMAT_H
#define EXCEPTIONS_COW_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define SECTOR_BYTES UINT64_C(512)

#define COW_MAGIC	     UINT32_C(0x70416e53)
#define COW_VERSION	     UINT32_C(1)
#define COW_HEADER_BYTES     16
#define COW_ENTRY_BYTES	     UINT64_C(16)
#define COW_MAX_CHUNK_BYTES  (UINT64_C(1) << 30)
#define COW_DEFAULT_CHUNK    UINT64_C(16384)
#define COW_FIRST_DATA_CHUNK UINT64_C(2)

/* Chunk numbers of the origin are below this: the format's sectors times 512 must fit 64 bits. */
#define COW_OLD_CHUNK_LIMIT (UINT64_C(1) << 55)

/* New chunks are below this: an implementation may use the upper 8 bits in memory. */
#define COW_NEW_CHUNK_LIMIT (UINT64_C(1) << 56)

struct cow_header {
	uint32_t magic;
	uint32_t valid; /* anything but 0: usable */
	uint32_t version;
	uint32_t chunk_sectors;
};

/* What follows from the chunk size and the device's length. */
struct cow_geometry {
	uint64_t chunk_bytes;
	uint64_t per_area; /* exceptions in an area */
	uint64_t device_bytes;
	uint64_t device_chunks; /* whole ones */
};

static inline void cow_header_get(const uint8_t *bytes, struct cow_header *ret_header)
{
	ret_header->magic = get_le32(bytes);
	ret_header->valid = get_le32(bytes + 4);
	ret_header->version = get_le32(bytes + 8);
	ret_header->chunk_sectors = get_le32(bytes + 12);
}

static inline void cow_header_put(uint8_t *bytes, uint64_t chunk_bytes, bool valid)
{
	put_le32(bytes, COW_MAGIC);
	put_le32(bytes + 4, valid);
	put_le32(bytes + 8, COW_VERSION);
	put_le32(bytes + 12, (uint32_t)(chunk_bytes / SECTOR_BYTES));
}

static inline void cow_geometry_make(uint64_t chunk_bytes, uint64_t device_bytes,
				     struct cow_geometry *ret_geometry)
{
	ret_geometry->chunk_bytes = chunk_bytes;
	ret_geometry->per_area = chunk_bytes / COW_ENTRY_BYTES;
	ret_geometry->device_bytes = device_bytes;
	ret_geometry->device_chunks = device_bytes / chunk_bytes;
}

static inline uint64_t cow_area_chunk(const struct cow_geometry *g, uint64_t area)
{
	return 1 + area * (g->per_area + 1);
}

static inline bool cow_is_metadata(const struct cow_geometry *g, uint64_t chunk)
{
	return chunk == 0 || chunk % (g->per_area + 1) == 1;
}

/* The first data chunk from @chunk on: without this step data would overwrite an area. */
static inline uint64_t cow_skip_metadata(const struct cow_geometry *g, uint64_t chunk)
{
	return chunk % (g->per_area + 1) == 1 ? chunk + 1 : chunk;
}

static inline uint64_t cow_entry_old(const uint8_t *area, uint64_t index)
{
	return get_le64(area + index * COW_ENTRY_BYTES);
}

/* 0 ends the list. */
static inline uint64_t cow_entry_new(const uint8_t *area, uint64_t index)
{
	return get_le64(area + index * COW_ENTRY_BYTES + 8);
}

static inline void cow_entry_put(uint8_t *area, uint64_t index, uint64_t old_chunk,
				 uint64_t new_chunk)
{
	put_le64(area + index * COW_ENTRY_BYTES, old_chunk);
	put_le64(area + index * COW_ENTRY_BYTES + 8, new_chunk);
}

#endif
