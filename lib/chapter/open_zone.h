/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One zone's share of the open chapter: records in the order of their arrival, and a hash table
 * that finds them (uds-format, 10.1 and 10.2).
 *
 * The hash table is seeded with a random key, so that no one can craft names that collide in it.
 * What goes to disk depends on the order of arrival only, never on the table.
 *
 * Record numbers start at 1 and are not reused until the next reset: a removed record keeps its
 * number, because the layout of the chapter on the volume follows from the numbers.
 *
 * Threads: a zone is used by one thread at a time; searches, and everything else that takes a const
 * zone, may run beside each other while it is not changed. Marks of deleted names are no change to
 * them.
 */
#ifndef CHAPTER_OPEN_ZONE_H
#define CHAPTER_OPEN_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/record.h>
#include <uds/status.h>

#include "base/bytes.h"
#include "base/hash_key.h"

/*
 * A slot of the hash table holds a record number (0: never used) and some more bits of the hash as
 * a tag, so that most probes need not read a record.
 */
#define OPEN_ZONE_NUMBER_BITS 22
#define OPEN_ZONE_NUMBER_MASK ((UINT32_C(1) << OPEN_ZONE_NUMBER_BITS) - 1)

struct open_zone {
	struct uds_env env;
	struct hash_key key;
	uint32_t capacity;  /* largest record number */
	uint32_t size;	    /* highest record number in use */
	uint32_t deletions; /* how many of them are removed */
	uint32_t slot_mask; /* number of slots - 1; they are at least twice the capacity */
	uint32_t *slots;
	uint8_t *removed;	    /* one bit for each record number */
	uint8_t *deleted;	    /* likewise, see open_zone_mark_deleted() */
	struct uds_record *records; /* record number n is at n - 1 */
};

/*
 * @capacity: 1 to 2^21 records.
 *
 * Returns 0, -ENOMEM, or -EINVAL for another capacity.
 */
int open_zone_make(const struct uds_env *env, uint32_t capacity, struct open_zone **ret_zone);

/* @zone may be NULL. */
void open_zone_free(struct open_zone *zone);

/* Drops all records and starts over with number 1. */
void open_zone_reset(struct open_zone *zone);

/* Memory of a zone of this capacity. */
uint64_t open_zone_bytes(uint32_t capacity);

/*
 * The data of a live record, or NULL. It may be overwritten in place: that keeps the record's
 * number.
 */
struct uds_record_data *open_zone_search(const struct open_zone *zone,
					 const struct uds_record_name *name);

/* The number of a live record; 0: it is not there. */
uint32_t open_zone_number(const struct open_zone *zone, const struct uds_record_name *name);

/*
 * Stores a record: in place if the name is there, else under the next number.
 *
 * @ret_room: how many more numbers are free afterwards. 0: the zone is full, and its chapter is
 * to be closed.
 *
 * Returns 0, or UDS_ERR_OVERFLOW when the name is not there and the zone was full already: nothing
 * is stored then.
 */
int open_zone_put(struct open_zone *zone, const struct uds_record_name *name,
		  const struct uds_record_data *data, uint32_t *ret_room);

/* Removes a record; its number stays in use. Returns whether it was there. */
bool open_zone_remove(struct open_zone *zone, const struct uds_record_name *name);

static inline bool open_zone_is_removed(const struct open_zone *zone, uint32_t number)
{
	return (zone->removed[number / 8] >> (number % 8) & 1) != 0;
}

/*
 * Notes that the name of a live record was deleted after its zone had been closed. Searches still
 * find the record: the layout of a closed chapter stays as it is, and a thread that writes it may
 * run beside this. Does nothing when the name is not there.
 */
void open_zone_mark_deleted(struct open_zone *zone, const struct uds_record_name *name);

static inline bool open_zone_is_deleted(const struct open_zone *zone, uint32_t number)
{
	return (zone->deleted[number / 8] >> (number % 8) & 1) != 0;
}

static inline uint32_t open_zone_live(const struct open_zone *zone)
{
	return zone->size - zone->deletions;
}

static inline bool open_zone_is_full(const struct open_zone *zone)
{
	return zone->size == zone->capacity;
}

/* The hash that gives the slot and the tag bits in it. */
static inline uint64_t open_zone_hash(const struct open_zone *zone,
				      const struct uds_record_name *name)
{
	return hash_key_apply(&zone->key, get_le64(name->bytes), get_le64(name->bytes + 8));
}

/*
 * The slot that a search or put of the name begins with, for the caller to prefetch. (Not done
 * here: a compiler may drop the call of a function that only prefetches.)
 */
static inline const uint32_t *open_zone_first_slot(const struct open_zone *zone,
						   const struct uds_record_name *name)
{
	return &zone->slots[open_zone_hash(zone, name) & zone->slot_mask];
}

#endif
