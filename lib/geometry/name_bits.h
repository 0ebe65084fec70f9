/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which bits of a record name decide what (uds-format, 3). Names are read big-endian: bytes 0
 * to 7 place a name in the volume index, 8 to 13 in a chapter, 14 and 15 choose the sample of
 * a sparse index.
 */
#ifndef GEOMETRY_NAME_BITS_H
#define GEOMETRY_NAME_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/record.h>

#include "base/bytes.h"
#include "geometry/geometry.h"

static inline uint64_t name_volume_index_bits(const struct uds_record_name *name)
{
	return get_be64(name->bytes);
}

static inline uint64_t name_chapter_bits(const struct uds_record_name *name)
{
	return (uint64_t)get_be16(name->bytes + 8) << 32 | get_be32(name->bytes + 10);
}

static inline uint32_t name_sampling_bits(const struct uds_record_name *name)
{
	return get_be16(name->bytes + 14);
}

/* Key and list of a name in a chapter index. */
static inline uint32_t chapter_address(const struct geometry *geometry,
				       const struct uds_record_name *name)
{
	return (uint32_t)(name_chapter_bits(name) &
			  ((UINT64_C(1) << geometry->chapter_address_bits) - 1));
}

static inline uint32_t chapter_list(const struct geometry *geometry,
				    const struct uds_record_name *name)
{
	return (uint32_t)(name_chapter_bits(name) >> geometry->chapter_address_bits) &
	       (geometry->delta_lists_per_chapter - 1);
}

/* Whether the name is a hook: one of the sample of a sparse index. Never in a dense one. */
static inline bool is_sample(const struct geometry *geometry, const struct uds_record_name *name)
{
	return geometry->sparse_sample_rate > 0 &&
	       name_sampling_bits(name) % geometry->sparse_sample_rate == 0;
}

#endif
