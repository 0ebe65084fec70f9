/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which zone a name belongs to (uds-format, 3): the zone that owns the name's list in its sub-index
 * of the volume index. It is a function of the name, the geometry and the number of zones.
 */
#ifndef GEOMETRY_NAME_ZONE_H
#define GEOMETRY_NAME_ZONE_H

#include <stdint.h>

#include "geometry/name_bits.h"

struct zone_chooser {
	unsigned int zones;
	uint32_t sample_rate; /* 0 in a dense index */
	struct {
		uint32_t address_bits;
		uint32_t list_count;
		uint32_t lists_per_zone;
	} of[2]; /* by enum sub_index */
};

static inline void zone_chooser_make(const struct geometry *geometry, unsigned int zones,
				     struct zone_chooser *ret_chooser)
{
	struct volume_index_parameters p;

	ret_chooser->zones = zones;
	ret_chooser->sample_rate = geometry->sparse_sample_rate;
	for (int i = 0; i < (geometry_is_sparse(geometry) ? 2 : 1); i++) {
		volume_index_parameters_make(geometry, (enum sub_index)i, &p);
		ret_chooser->of[i].address_bits = p.address_bits;
		ret_chooser->of[i].list_count = p.list_count;
		ret_chooser->of[i].lists_per_zone = volume_index_lists_per_zone(&p, zones);
	}
}

/* 0 to zones - 1. */
static inline unsigned int name_zone(const struct zone_chooser *chooser,
				     const struct uds_record_name *name)
{
	int which = SUB_INDEX_DENSE;
	uint64_t bits;

	if (chooser->zones == 1)
		return 0;
	if (chooser->sample_rate > 0 && name_sampling_bits(name) % chooser->sample_rate == 0)
		which = SUB_INDEX_HOOK;
	bits = name_volume_index_bits(name) >> chooser->of[which].address_bits;
	return (unsigned int)(bits % chooser->of[which].list_count /
			      chooser->of[which].lists_per_zone);
}

#endif
