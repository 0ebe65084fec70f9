/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of struct volume_index, for the files that make, use, save and load it. */
#ifndef VOLUME_INDEX_PRIVATE_H
#define VOLUME_INDEX_PRIVATE_H

#include "volume_index/list.h"

/* What zones change lies on cache lines of their own. */
union padded_zone {
	struct list_zone zone;
	uint8_t padding[(sizeof(struct list_zone) + 127) / 128 * 128];
};

struct volume_index {
	struct uds_env env;
	const struct list_operations *operations;
	unsigned int zones;
	unsigned int subs;    /* 1, or 2 in a sparse index */
	uint32_t sample_rate; /* 0 in a dense index */
	uint64_t volume_nonce;
	uint32_t lists_per_zone[2];
	uint64_t list_mask[2]; /* list_count - 1 if that is a power of two, else 0 */
	struct list_shape shapes[2];
	union padded_zone *zones_of[2]; /* by enum sub_index, then by zone */
};

static inline struct list_zone *list_zone_of(const struct volume_index *index, unsigned int sub,
					     unsigned int zone)
{
	return &index->zones_of[sub][zone].zone;
}

/* The zone of a list of the whole sub-index. */
static inline struct list_zone *zone_of_list(const struct volume_index *index, unsigned int sub,
					     uint32_t list)
{
	return list_zone_of(index, sub, list / index->lists_per_zone[sub]);
}

#endif
