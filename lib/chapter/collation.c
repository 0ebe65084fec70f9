/* SPDX-License-Identifier: BSD-2-Clause */
/* From zones to the layout order of a chapter. */
#include "chapter/collation.h"

/* The record at position @r of the chapter; NULL if there is none or it was removed. */
static const struct uds_record *genuine_record(const struct collation *c, uint32_t r)
{
	const struct open_zone *zone = c->zones[r % c->count];
	const uint32_t number = 1 + r / c->count;

	if (number > zone->size || open_zone_is_removed(zone, number))
		return NULL;
	return &zone->records[number - 1];
}

static const struct uds_record *choose_fill(const struct collation *c)
{
	for (unsigned int z = 0; z < c->count; z++) {
		const struct open_zone *zone = c->zones[z];

		/*
		 * The first zone that is exactly full decides, as in the reference implementation
		 * (10.4).
		 */
		if (open_zone_is_full(zone)) {
			if (open_zone_is_removed(zone, zone->capacity))
				break; /* filling with it would bring a removed name back */
			return &zone->records[zone->capacity - 1];
		}
	}
	/*
	 * No zone is full, as in a chapter that was closed by hand: any live record will do (10.4).
	 */
	for (uint32_t r = 0; r < c->geometry->records_per_chapter; r++) {
		const struct uds_record *record = genuine_record(c, r);

		if (record != NULL)
			return record;
	}
	return NULL;
}

int collation_start(struct collation *collation, const struct geometry *geometry,
		    struct open_zone *const *zones, unsigned int count)
{
	collation->geometry = geometry;
	collation->zones = zones;
	collation->count = count;
	collation->fill = choose_fill(collation);
	return collation->fill == NULL ? UDS_ERR_BAD_STATE : 0;
}

uint32_t collation_page(const struct collation *collation, uint32_t page,
			const struct uds_record **ret_records, bool *ret_genuine)
{
	const uint32_t per_page = collation->geometry->records_per_page;
	uint32_t r = page * per_page;
	/*
	 * Position r is record 1 + r div Z of zone r mod Z (10.4): counted on, instead of divided
	 * at each step.
	 */
	unsigned int z = r % collation->count;
	uint32_t number = 1 + r / collation->count;
	uint32_t live = 0;

	for (uint32_t i = 0; i < per_page; i++) {
		const struct open_zone *zone = collation->zones[z];
		bool genuine = number <= zone->size && !open_zone_is_removed(zone, number);

		ret_records[i] = genuine ? &zone->records[number - 1] : collation->fill;
		ret_genuine[i] = genuine;
		live += genuine;
		if (++z == collation->count) {
			z = 0;
			number++;
		}
	}
	return live;
}
