/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shape and the memory of the volume index, and the sizes of an index's regions (uds-format,
 * 4.3 and 4.4).
 */
#include "geometry/geometry.h"

#include <errno.h>

#include "base/bits.h"
#include "delta/delta_code.h"

/* The square of the largest number of zones, so that every zone has a list. */
#define MINIMUM_LISTS 256u

/* Average number of names in a list. */
#define RECORDS_PER_LIST 256u

/* Zone memory and saved lists are multiples of this. */
#define MEMORY_UNIT 65536u

static uint32_t sub_index_records(const struct geometry *g, enum sub_index which)
{
	uint32_t sample;

	if (!geometry_is_sparse(g))
		return g->records_per_chapter;
	sample = g->records_per_chapter / g->sparse_sample_rate;
	return which == SUB_INDEX_HOOK ? sample : g->records_per_chapter - sample;
}

int volume_index_parameters_try(const struct geometry *g, enum sub_index which,
				struct volume_index_parameters *ret_parameters)
{
	struct volume_index_parameters p = { 0 };
	uint64_t rounded, total_chapters, lists, mean, expected;

	p.records_per_chapter = sub_index_records(g, which);
	p.chapter_count =
		which == SUB_INDEX_HOOK ? g->chapters_per_volume : g->dense_chapters_per_volume;
	/*
	 * A conversion keeps the parameters of the even count, so that saves made before it still
	 * fit (4.3).
	 */
	rounded = (uint64_t)p.chapter_count + (g->reduced ? 1 : 0);
	lists = p.records_per_chapter * rounded / RECORDS_PER_LIST;
	if (lists < MINIMUM_LISTS)
		lists = MINIMUM_LISTS;
	p.address_bits = bits_per((uint64_t)g->volume_index_mean_delta * RECORDS_PER_LIST - 1);
	/* Limits of the format's 32-bit fields; large devices with tiny pages get here. */
	if (lists > UINT32_MAX || p.address_bits > 31)
		return -EINVAL;
	p.list_count = (uint32_t)lists;
	p.chapter_bits = bits_per(rounded - 1);
	p.chapter_mask = (UINT64_C(1) << p.chapter_bits) - 1;
	total_chapters = rounded + (rounded / 256 > 2 ? rounded / 256 : 2);
	mean = (lists << p.address_bits) / (p.records_per_chapter * total_chapters);
	if (mean < 1 || mean > UINT32_MAX || p.chapter_bits > 32)
		return -EINVAL;
	p.mean_delta = (uint32_t)mean;
	p.chapter_bits_size = delta_bits(p.records_per_chapter, p.mean_delta, p.chapter_bits);
	expected = p.chapter_bits_size * total_chapters / 8;
	p.memory_bytes = expected * 106 / 100;
	p.target_free_bytes = expected / 20;
	p.saved_bytes = 40 + 8 * lists + 40 + 9 * lists + round_up(p.memory_bytes, MEMORY_UNIT);
	*ret_parameters = p;
	return 0;
}

void volume_index_parameters_make(const struct geometry *geometry, enum sub_index which,
				  struct volume_index_parameters *ret_parameters)
{
	/* Cannot fail: geometry_make() has tried both sub-indexes. */
	(void)volume_index_parameters_try(geometry, which, ret_parameters);
}

uint64_t volume_index_zone_bytes(const struct volume_index_parameters *p, unsigned int zones)
{
	return round_up(p->memory_bytes / zones, MEMORY_UNIT);
}

uint64_t volume_index_max_zone_bits(const struct volume_index_parameters *p, unsigned int zones)
{
	return (volume_index_zone_bytes(p, zones) * zones - p->target_free_bytes) * 8 / zones;
}

uint64_t volume_index_chapter_zone_bits(const struct volume_index_parameters *p, unsigned int zones)
{
	return p->chapter_bits_size / zones;
}

/* The most that all zones' streams take, the guard entry included. */
static uint64_t volume_index_save_bytes(const struct geometry *g)
{
	struct volume_index_parameters p = { 0 };
	uint64_t bytes;

	volume_index_parameters_make(g, SUB_INDEX_DENSE, &p);
	bytes = p.saved_bytes + 8;
	if (geometry_is_sparse(g)) {
		volume_index_parameters_make(g, SUB_INDEX_HOOK, &p);
		bytes += p.saved_bytes + 12;
	}
	return bytes;
}

void geometry_sizes(const struct geometry *g, struct geometry_sizes *ret_sizes)
{
	struct geometry_sizes s;

	s.volume_blocks = g->bytes_per_volume / BLOCK_BYTES;
	/* A block more for each possible zone: each stream ends within a block of its own. */
	s.volume_index_blocks = ceil_div(volume_index_save_bytes(g), BLOCK_BYTES) + MAXIMUM_ZONES;
	s.page_map_blocks = ceil_div(16 + UINT64_C(2) * g->chapters_per_volume *
						     (g->index_pages_per_chapter - 1),
				     BLOCK_BYTES);
	s.open_chapter_blocks = ceil_div(14 + UINT64_C(32) * g->records_per_chapter, BLOCK_BYTES);
	s.save_blocks = 1 + s.volume_index_blocks + s.page_map_blocks + s.open_chapter_blocks;
	s.sub_index_blocks = s.volume_blocks + 2 * s.save_blocks;
	s.total_blocks = 3 + s.sub_index_blocks;
	*ret_sizes = s;
}
