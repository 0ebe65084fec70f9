/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for puts that must not fail. */
#include "volume_index/private.h"
#include "volume_index/volume_index.h"

/* What a put makes a list longer: an entry of each part, a name, and words that are begun. */
#define PUT_BYTES (LIST_NAME_BYTES + 24u)

/* A list that gets several counts for each of them. */
static int reserve_in(struct volume_index *index, unsigned int sub, unsigned int zone_number,
		      const struct uds_record *records, uint32_t count)
{
	struct list_zone *zone = list_zone_of(index, sub, zone_number);
	struct name_place place;
	uint64_t bytes = 0;
	uint32_t puts = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct list_head *head;

		volume_index_locate(index, &records[i].name, &place);
		if (place.sub != sub || place.zone != zone_number)
			continue;
		head = &zone->heads[place.list];
		puts++;
		bytes += list_bytes(zone->shape, head->entries, list_head_collisions(head)) +
			 PUT_BYTES;
	}
	return puts == 0 ? 0 : list_pool_reserve(&zone->pool, bytes, puts);
}

int volume_index_reserve(struct volume_index *index, const struct uds_record *records,
			 uint32_t count)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < index->subs * index->zones; i++)
		r = reserve_in(index, i / index->zones, i % index->zones, records, count);
	return r;
}
