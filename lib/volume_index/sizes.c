/* SPDX-License-Identifier: BSD-2-Clause */
/* What a volume index has in it, and what it takes. */
#include "volume_index/private.h"
#include "volume_index/volume_index.h"

void volume_index_add_statistics(const struct volume_index *index, unsigned int zone_number,
				 struct volume_index_statistics *statistics)
{
	if (zone_number == 0)
		statistics->memory_bytes += sizeof(*index);
	for (unsigned int sub = 0; sub < index->subs; sub++) {
		const struct list_zone *zone = list_zone_of(index, sub, zone_number);

		statistics->entries += zone->records;
		statistics->collisions += zone->collisions;
		statistics->discards += zone->discards;
		statistics->overflows += zone->overflows;
		statistics->early_expiries += zone->early_expiries;
		statistics->coded_bits += zone->coded_bits;
		statistics->memory_bytes += sizeof(union padded_zone) +
					    zone->list_count * sizeof(*zone->heads) +
					    zone->pool.memory_bytes;
	}
}

uint64_t volume_index_full_bytes(const struct geometry *geometry, unsigned int zones)
{
	uint64_t total = sizeof(struct volume_index);

	for (unsigned int sub = 0; sub < (geometry_is_sparse(geometry) ? 2u : 1u); sub++) {
		struct list_shape shape;
		const struct volume_index_parameters *p = &shape.parameters;
		uint64_t entries;

		/*
		 * No usable code: such a configuration cannot be created or opened, so its size
		 * does not matter.
		 */
		if (list_shape_make(geometry, (enum sub_index)sub, &shape) < 0)
			return 0;
		entries = (uint64_t)p->records_per_chapter * p->chapter_count;
		/*
		 * Per entry, then per list: head, unary part, owner, and the unused end
		 * of its block.
		 */
		total += entries * (shape.rest_bits + 9) / 8;
		total += p->list_count *
			 (sizeof(struct list_head) + shape.buckets / 8 + 2 + POOL_BLOCK_HEAD + 11);
		total += zones * sizeof(union padded_zone);
	}
	/* The unused ends of chunks, and blocks kept for reuse. */
	return total + total / 100;
}
