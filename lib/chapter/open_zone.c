/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hash table of an open chapter zone.
 *
 * Slots are probed at triangular distances, which visits every slot of a table whose size is a
 * power of two. Each record number takes one slot for good, and there are at least twice as many
 * slots as numbers, so every probe ends at an empty slot.
 */
#include "chapter/open_zone.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"

#define MAXIMUM_CAPACITY (UINT32_C(1) << 21)

static uint32_t slot_count(uint32_t capacity)
{
	/*
	 * The format's number, 2^bits_per(2 * capacity), differs for some capacities. It is memory
	 * only, and no order depends on it.
	 */
	return UINT32_C(1) << bits_per(2 * (uint64_t)capacity - 1);
}

/* Of removed, and of deleted, which is behind it. */
static size_t removed_bytes(uint32_t capacity)
{
	return capacity / 8 + 1;
}

uint64_t open_zone_bytes(uint32_t capacity)
{
	return sizeof(struct open_zone) + sizeof(uint32_t) * (uint64_t)slot_count(capacity) +
	       2 * removed_bytes(capacity) + sizeof(struct uds_record) * (uint64_t)capacity;
}

int open_zone_make(const struct uds_env *env, uint32_t capacity, struct open_zone **ret_zone)
{
	struct open_zone *zone;

	if (capacity < 1 || capacity > MAXIMUM_CAPACITY)
		return -EINVAL;
	zone = env_allocate_zeroed(env, 1, sizeof(*zone));
	if (zone == NULL)
		return -ENOMEM;
	zone->env = *env;
	zone->capacity = capacity;
	/*
	 * A key of its own for each zone: names that are made to meet in one table do not meet in
	 * this one.
	 */
	zone->slot_mask = slot_count(capacity) - 1;
	hash_key_make(&zone->key);
	zone->slots =
		env_allocate_aligned(env, sizeof(uint32_t) * ((uint64_t)zone->slot_mask + 1), 64);
	zone->removed = env_allocate(env, 2 * removed_bytes(capacity), 1);
	/* Aligned to cache lines, so that two records share one and none lies in two. */
	zone->records =
		env_allocate_aligned(env, sizeof(struct uds_record) * (uint64_t)capacity, 64);
	if (zone->slots == NULL || zone->removed == NULL || zone->records == NULL) {
		open_zone_free(zone);
		return -ENOMEM;
	}
	zone->deleted = zone->removed + removed_bytes(capacity);
	open_zone_reset(zone);
	*ret_zone = zone;
	return 0;
}

void open_zone_free(struct open_zone *zone)
{
	struct uds_env env;

	if (zone == NULL)
		return;
	env = zone->env;
	env_release(&env, zone->slots);
	env_release(&env, zone->removed);
	env_release(&env, zone->records);
	env_release(&env, zone);
}

void open_zone_reset(struct open_zone *zone)
{
	zone->size = 0;
	zone->deletions = 0;
	/* Slots and marks only: records count through slots, so their old bytes are never seen. */
	memset(zone->slots, 0, sizeof(uint32_t) * ((size_t)zone->slot_mask + 1));
	memset(zone->removed, 0, 2 * removed_bytes(zone->capacity));
}

/* The tag in a slot: bits of the hash that do not choose the slot. */
static inline uint32_t name_tag(uint64_t hash)
{
	return (uint32_t)(hash >> 32) & ~OPEN_ZONE_NUMBER_MASK;
}

static inline bool same_name(const struct uds_record_name *a, const struct uds_record_name *b)
{
	return memcmp(a->bytes, b->bytes, UDS_NAME_BYTES) == 0;
}

/*
 * Finds the live record with a name. Returns its number, or 0 and the empty slot where
 * the search ended.
 */
static inline uint32_t probe_hash(const struct open_zone *zone, const struct uds_record_name *name,
				  uint64_t hash, uint32_t *ret_slot)
{
	const uint32_t tag = name_tag(hash);
	uint32_t slot = (uint32_t)hash & zone->slot_mask;

	for (uint32_t step = 1;; step++) {
		const uint32_t content = zone->slots[slot];
		const uint32_t number = content & OPEN_ZONE_NUMBER_MASK;

		*ret_slot = slot;
		if (number == 0)
			return 0;
		/*
		 * The tag first: it saves the look at the record for nearly all other names. A
		 * removed record of this name is stepped over; the live one, if any, is
		 * further on (10.1).
		 */
		if ((content & ~OPEN_ZONE_NUMBER_MASK) == tag &&
		    same_name(&zone->records[number - 1].name, name) &&
		    !open_zone_is_removed(zone, number))
			return number;
		slot = (slot + step) & zone->slot_mask;
	}
}

static uint32_t probe(const struct open_zone *zone, const struct uds_record_name *name,
		      uint32_t *ret_slot)
{
	return probe_hash(zone, name, open_zone_hash(zone, name), ret_slot);
}

uint32_t open_zone_number(const struct open_zone *zone, const struct uds_record_name *name)
{
	uint32_t slot;

	return probe(zone, name, &slot);
}

struct uds_record_data *open_zone_search(const struct open_zone *zone,
					 const struct uds_record_name *name)
{
	uint32_t slot, number = probe(zone, name, &slot);

	return number == 0 ? NULL : &zone->records[number - 1].data;
}

int open_zone_put(struct open_zone *zone, const struct uds_record_name *name,
		  const struct uds_record_data *data, uint32_t *ret_room)
{
	const uint64_t hash = open_zone_hash(zone, name);
	uint32_t slot, number = probe_hash(zone, name, hash, &slot);

	/* An update takes no number, so it is possible in a full zone as well (20.1, S2). */
	if (number == 0) {
		if (open_zone_is_full(zone))
			return UDS_ERR_OVERFLOW;
		number = ++zone->size;
		zone->slots[slot] = name_tag(hash) | number;
		zone->records[number - 1].name = *name;
	}
	zone->records[number - 1].data = *data;
	/* 0 tells the caller to close the chapter (10.2). */
	*ret_room = zone->capacity - zone->size;
	return 0;
}

bool open_zone_remove(struct open_zone *zone, const struct uds_record_name *name)
{
	uint32_t slot, number = probe(zone, name, &slot);

	if (number == 0)
		return false;
	/*
	 * Only marked: the number is the position in the chapter, and the slot keeps longer probes
	 * going.
	 */
	zone->removed[number / 8] |= (uint8_t)(1u << (number % 8));
	zone->deletions++;
	return true;
}

void open_zone_mark_deleted(struct open_zone *zone, const struct uds_record_name *name)
{
	uint32_t number = open_zone_number(zone, name);

	/* Number 0 has a bit, too, which no record has. */
	zone->deleted[number / 8] |= (uint8_t)(1u << (number % 8));
}
