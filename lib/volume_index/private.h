/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of struct volume_index, for the files that make, use, save and load it. */
#ifndef VOLUME_INDEX_PRIVATE_H
#define VOLUME_INDEX_PRIVATE_H

#include "volume_index/known_names.h"
#include "volume_index/list.h"
#include "volume_index/list_planes.h"

/* What zones change lies on cache lines of their own. */
union padded_zone {
	struct list_zone zone;
	uint8_t padding[(sizeof(struct list_zone) + 127) / 128 * 128];
};

/* So many lists in a row belong to one part of a zone, the next ones to the next part. */
#define PART_LISTS 64u

struct volume_index {
	struct uds_env env;
	const struct list_operations *operations;
	unsigned int zones;
	unsigned int parts;   /* of each zone; 1 except while it is filled by several threads */
	unsigned int subs;    /* 1, or 2 in a sparse index */
	uint32_t sample_rate; /* 0 in a dense index */
	uint64_t volume_nonce;
	uint32_t lists_per_zone[2];
	uint64_t list_mask[2]; /* list_count - 1 if that is a power of two, else 0 */
	struct list_shape shapes[2];
	struct known_names *names;	/* while the index is opened; NULL: none are known */
	union padded_zone *zones_of[2]; /* by enum sub_index, then by zone and part */
};

/* The lowest chapter that there are entries of when @vcn is open (13.2). */
static inline uint64_t lowest_chapter(const struct list_shape *shape, uint64_t vcn)
{
	const uint64_t count = shape->parameters.chapter_count;

	return vcn >= count ? vcn - count + 1 : 0;
}

/* How many zones there are, each part counted as one. */
static inline unsigned int all_parts(const struct volume_index *index)
{
	return index->zones * index->parts;
}

static inline unsigned int part_of_list(const struct volume_index *index, unsigned int zone,
					uint32_t list_in_zone)
{
	return zone * index->parts + list_in_zone / PART_LISTS % index->parts;
}

static inline struct list_zone *list_zone_of(const struct volume_index *index, unsigned int sub,
					     unsigned int zone)
{
	return &index->zones_of[sub][zone].zone;
}

/* The zone, or part, of a list of the whole sub-index. */
static inline struct list_zone *zone_of_list(const struct volume_index *index, unsigned int sub,
					     uint32_t list)
{
	uint32_t zone = list / index->lists_per_zone[sub];

	return list_zone_of(index, sub,
			    part_of_list(index, zone, list % index->lists_per_zone[sub]));
}

/* Room for the entries of any list of either sub-index, and what list_decode() needs besides. */
static inline uint32_t list_room_entries(const struct volume_index *index)
{
	uint32_t most = 0;

	for (unsigned int sub = 0; sub < index->subs; sub++) {
		const struct delta_code *code = &index->shapes[sub].code;
		const uint32_t entries =
			DELTA_LIST_MAX_BITS / (code->min_bits + code->payload_bits);

		most = entries > most ? entries : most;
	}
	return most + LIST_SPARE_ENTRIES;
}

/* Copies a list that the save still has to write, as it is (save_lists.c). */
void zone_save_keep(struct zone_save *save, const struct list_zone *zone, uint32_t list);

/* To be called before a list changes. */
static inline void before_change(const struct list_zone *zone, uint32_t list)
{
	if (__builtin_expect(zone->saving != NULL, 0))
		zone_save_keep(zone->saving, zone, list);
}

static inline uint64_t value_to_vcn(const struct list_zone *zone, uint64_t value)
{
	return zone->low + ((value - zone->low) & zone->shape->chapter_mask);
}

#endif
