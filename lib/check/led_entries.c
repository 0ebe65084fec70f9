/* SPDX-License-Identifier: BSD-2-Clause */
/* Which volume index entries lead to a record of one chapter. */
#include "check/led_entries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash_key.h"
#include "base/sort.h"

int led_entries_make(const struct uds_index *index, struct led_entries *ret_led)
{
	struct led_entries led = { .index = index };
	struct volume_index_parameters p;

	for (int sub = 0; sub < (index->sparse ? 2 : 1); sub++) {
		volume_index_parameters_make(&index->geometry, (enum sub_index)sub, &p);
		led.lists_per_zone[sub] = volume_index_lists_per_zone(&p, index->zone_count);
	}
	led.ids =
		env_allocate(&index->env, index->geometry.records_per_chapter, sizeof(led.ids[0]));
	if (led.ids == NULL)
		return -ENOMEM;
	*ret_led = led;
	return 0;
}

void led_entries_free(struct led_entries *led)
{
	if (led->index != NULL)
		env_release(&led->index->env, led->ids);
}

/*
 * The entry of a place; NULL @name: the ordinary one. That two ids are equal by chance
 * does not matter.
 */
static uint64_t entry_id(const struct name_place *place, const struct uds_record_name *name)
{
	/*
	 * A fixed key: the ids are compared within one run only, and no table depends on their
	 * spread.
	 */
	static const struct hash_key key = {
		{ 1, UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xbf58476d1ce4e5b9),
		  UINT64_C(0x94d049bb133111eb), UINT64_C(0xd6e8feb86659fd93) }
	};
	uint64_t id = hash_key_apply(
		&key, (uint64_t)place->sub << 40 | (uint64_t)place->zone << 32 | place->list,
		place->address);

	if (name == NULL)
		return id;
	id = hash_key_apply(&key, id, get_le64(name->bytes));
	return hash_key_apply(&key, id, get_le64(name->bytes + 8));
}

struct ordinary {
	uint32_t address;
	uint64_t vcn;
};

/* A collision entry whose ordinary one is stale would be the ordinary one after the next lookup. */
static int find_ordinary(void *context, const struct list_entry *entry)
{
	struct ordinary *ordinary = context;

	if (entry->stale || entry->address != ordinary->address)
		return 0;
	ordinary->vcn = entry->vcn;
	return 1;
}

static uint64_t ordinary_vcn(const struct led_entries *led, const struct name_place *place)
{
	struct ordinary ordinary = { place->address, NO_CHAPTER };

	volume_index_walk(led->index->volume_index, (enum sub_index)place->sub,
			  place->zone * led->lists_per_zone[place->sub] + place->list,
			  find_ordinary, &ordinary);
	return ordinary.vcn;
}

void led_entries_add(struct led_entries *led, uint64_t vcn, const struct uds_record_name *name)
{
	struct volume_index *volume_index = led->index->volume_index;
	struct hint record;
	struct name_place place;

	volume_index_locate(volume_index, name, &place);
	volume_index_peek(volume_index, &place, name, &record);
	if (!record.found)
		return;
	/*
	 * An ordinary entry has no name, so any record of the chapter at its place accounts for
	 * it.
	 */
	if (record.vcn == vcn)
		led->ids[led->count++] = entry_id(&place, record.collision ? name : NULL);
	/*
	 * The name's own entry leads elsewhere, but the ordinary one in front of it, which is any
	 * name's, may lead here.
	 */
	else if (record.collision && ordinary_vcn(led, &place) == vcn)
		led->ids[led->count++] = entry_id(&place, NULL);
}

static int compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct kept {
	struct led_entries *led;
	uint64_t vcn;
	struct name_place place; /* but for the address */
};

static int leads_nowhere(void *context, const struct list_entry *entry)
{
	struct kept *kept = context;
	const struct led_entries *led = kept->led;
	struct uds_record_name name;
	uint64_t id;

	if (entry->stale || entry->vcn != kept->vcn)
		return 0;
	kept->place.address = entry->address;
	if (entry->collision_name != NULL)
		memcpy(&name, entry->collision_name, sizeof(name));
	id = entry_id(&kept->place, entry->collision_name != NULL ? &name : NULL);
	return led->count == 0 ||
	       bsearch(&id, led->ids, led->count, sizeof(id), compare_ids) == NULL;
}

void led_entries_keep_only(struct led_entries *led, uint64_t vcn)
{
	struct volume_index *volume_index = led->index->volume_index;
	struct kept kept = { .led = led, .vcn = vcn };

	sort_elements(led->ids, led->count, sizeof(led->ids[0]), compare_ids);
	for (int sub = SUB_INDEX_DENSE; sub <= SUB_INDEX_HOOK; sub++) {
		uint32_t lists = volume_index_list_count(volume_index, (enum sub_index)sub);

		kept.place.sub = (uint8_t)sub;
		for (uint32_t i = 0; i < lists; i++) {
			kept.place.zone = (uint8_t)(i / led->lists_per_zone[sub]);
			kept.place.list = i % led->lists_per_zone[sub];
			volume_index_remove_unwanted(volume_index, (enum sub_index)sub, i,
						     leads_nowhere, &kept);
		}
	}
	led->count = 0;
}

uint64_t led_entries_take(struct led_entries *led)
{
	uint64_t different = 0;

	/*
	 * Sorted and counted in one go: the same entry may be led to by many records of a chapter.
	 */
	sort_elements(led->ids, led->count, sizeof(led->ids[0]), compare_ids);
	for (size_t i = 0; i < led->count; i++)
		different += i == 0 || led->ids[i] != led->ids[i - 1];
	led->count = 0;
	return different;
}
