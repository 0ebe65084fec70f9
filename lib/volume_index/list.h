/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One list of the volume index in memory, and the zone that holds it.
 *
 * A list is an Elias-Fano list: the keys' high bits choose a bucket, and how many entries each
 * bucket has is written in unary, so that the place of a bucket is found by counting bits instead
 * of walking; low bits and chapters have fixed widths. With the usual 20-bit keys, 10-bit chapters
 * and 256 entries this takes 12 + 10 + 2 bits an entry.
 *
 * A list with entries has one block of the zone's pool:
 *
 *	owner	4 bytes
 *	upper	for each bucket as many 1 bits as it has entries, then a 0 bit; whole 32-bit words
 *	rest	for each entry its key's low bits, and above them the chapter's bits below the
 *		highest 8
 *	...	free bytes
 *	chapters  the highest 8 bits of each entry's chapter, one byte each, the last entry first,
 *		so that the free bytes serve both planes. Here the oldest entries are found with
 *		vectors: the highest bits tell nearly all others from them
 *	names	one for each collision entry: its number in the list (u16), then 16 bytes; in order
 *
 * Entries are in the order of the format: sorted by key; entries of equal key are an ordinary one
 * and its collision entries, newest first.
 *
 * How large the list is in the format's delta code is kept exactly, in the head.
 *
 * Measured with bench/micro/volume_index (32768 lists of about 256 entries, one thread of a virtual
 * machine, medians of three; ns each): filling 204, lookup of a missing name 94 in batches and 258
 * alone, of a present one 106, post with eviction 374; 3.16 bytes a record with all 262144 lists
 * (--full), everything counted. Sorted arrays of 32-bit words, in the same runs: 166, 53, 177, 67,
 * 532; 4.18 bytes. A form with AVX-512 was no faster than that with AVX2.
 */
#ifndef VOLUME_INDEX_LIST_H
#define VOLUME_INDEX_LIST_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <uds/record.h>

#include "base/bytes.h"
#include "delta/delta_code.h"
#include "geometry/geometry.h"
#include "volume_index/pool.h"

/* Bytes of a name in a block. */
#define LIST_NAME_BYTES (2u + UDS_NAME_BYTES)

static inline uint64_t list_head_flush_from(const struct list_head *head)
{
	return head->flush >> 10;
}

static inline uint32_t list_head_collisions(const struct list_head *head)
{
	return (uint32_t)(head->flush & 1023);
}

static inline void list_head_set_flush_from(struct list_head *head, uint64_t vcn)
{
	head->flush = vcn << 10 | (head->flush & 1023);
}

/* The numbers that all lists of a sub-index share. */
struct list_shape {
	uint32_t buckets;
	uint32_t low_mask;
	unsigned int low_bits;	/* of a key, below its bucket number */
	unsigned int rest_bits; /* low bits and the chapter's low bits; at most 55 */
	uint64_t rest_mask;
	unsigned int chapter_low_bits; /* of a chapter, those that are in the rest */
	uint32_t chapter_low_mask;
	uint64_t chapter_mask;
	struct delta_code code;
	struct volume_index_parameters parameters;
};

struct zone_save;

/* A zone's share of a sub-index. */
struct list_zone {
	const struct list_shape *shape;
	struct list_head *heads;
	uint32_t list_count;
	uint32_t first_list;
	uint64_t low; /* the window (13.2) */
	uint64_t high;
	struct zone_save *saving; /* has to copy a list before it changes; NULL: none */
	uint64_t coded_bits;	  /* of all lists together */
	uint64_t records;	  /* modulo 2^64: a load credits zone 0 with all (6.4) */
	uint64_t collisions;	  /* the same */
	uint64_t discards;
	uint64_t overflows;
	uint64_t early_expiries;
	uint64_t max_zone_bits; /* for early expiry (13.5) */
	uint64_t chapter_zone_bits;
	struct list_pool pool;
};

/* What a search found. */
struct list_found {
	uint32_t position; /* number of the entry, or what an ordinary one would get */
	bool found;
	bool collision;
	uint64_t value; /* chapter, modulo 2^chapter_bits; only when found */
};

/* Finding and changing entries: there is a portable form, and faster ones for some processors. */
struct list_operations {
	const char *name;

	/*
	 * The entry that a lookup of @name stops at (5, Search). Nothing in the list may be stale.
	 */
	void (*find)(const struct list_zone *zone, const struct list_head *head, uint32_t address,
		     const uint8_t *name, struct list_found *ret_found);

	/*
	 * Drops what is stale and sets flush_from (13.3). Only while flush_from is
	 * below the window.
	 */
	void (*sweep)(struct list_zone *zone, struct list_head *head);

	/*
	 * Makes an entry number @position, where it belongs. @name: NULL for an ordinary entry.
	 * Returns 0, UDS_ERR_OVERFLOW or -ENOMEM, the latter two with nothing changed.
	 */
	int (*insert)(struct list_zone *zone, struct list_head *head, uint32_t address,
		      uint32_t position, uint64_t value, const uint8_t *name);

	/* Removes entry number @position (5, Remove). */
	void (*remove)(struct list_zone *zone, struct list_head *head, uint32_t position);
};

extern const struct list_operations list_operations_portable;
extern const struct list_operations list_operations_avx2;

/* The fastest ones that this processor can run. */
const struct list_operations *list_operations_choose(void);

/*
 * NULL where the processor cannot run them; @number from 0 up to a NULL that ends the
 * list: for tests.
 */
const struct list_operations *list_operations_get(unsigned int number, bool *ret_usable);

/* Returns 0, or -EINVAL for a code that the reference implementation gets wrong. */
int list_shape_make(const struct geometry *geometry, enum sub_index sub,
		    struct list_shape *ret_shape);

/* Makes an empty zone. Returns 0 or -ENOMEM. */
int list_zone_make(struct list_zone *zone, const struct uds_env *env,
		   const struct list_shape *shape, unsigned int number, unsigned int zones);
void list_zone_release(struct list_zone *zone);

/*
 * Makes a part of an empty zone: some of its lists, with a pool and sums of their own, so that
 * another thread can fill them. Which lists is up to the caller. It shares the zone's heads, and is
 * joined or released before the zone.
 */
void list_zone_make_part(const struct list_zone *zone, struct list_zone *ret_part);

/* Gives a part's lists and sums back to its zone. Returns 0, or -ENOMEM with nothing changed. */
int list_zone_join(struct list_zone *zone, struct list_zone *part);
void list_zone_release_part(struct list_zone *part);

/*
 * Gives a list a block that holds @bytes (see list_bytes), with the same entries. The list may be
 * empty. Returns 0 or -ENOMEM, with nothing changed.
 */
int list_resize(struct list_zone *zone, struct list_head *head, uint32_t bytes);

/* Frees the block of a list that has become empty. */
void list_give_back(struct list_zone *zone, struct list_head *head);

/* The name of the collision entry that has number @which among them. */
const uint8_t *list_name(const struct list_zone *zone, const struct list_head *head,
			 uint32_t which);

/* Changes the chapter of an entry. */
void list_set_value(struct list_zone *zone, struct list_head *head, uint32_t position,
		    uint64_t value);

/* Whether a sweep would drop an entry with this chapter. */
bool list_is_stale(const struct list_zone *zone, const struct list_head *head, uint64_t value);

/*
 * Turns what find found in a list that may hold stale entries into what it would find after a
 * sweep. Changes nothing.
 */
void list_look_past_stale(const struct list_zone *zone, const struct list_head *head,
			  const uint8_t *name, struct list_found *found);

/* What the unary part takes: whole 32-bit words. */
static inline uint32_t list_upper_bytes(const struct list_shape *shape, uint32_t entries)
{
	return (entries + shape->buckets + 31) / 32 * 4;
}

/* What a block must hold. */
static inline uint32_t list_bytes(const struct list_shape *shape, uint32_t entries,
				  uint32_t collisions)
{
	return POOL_BLOCK_HEAD + list_upper_bytes(shape, entries) +
	       (entries * shape->rest_bits + 7) / 8 + entries + LIST_NAME_BYTES * collisions;
}

/* The parts of a list's block. */
struct list_view {
	uint8_t *upper;
	uint8_t *rest;
	uint8_t *chapters; /* behind the first entry's: entry i has chapters[-1 - i] */
	uint8_t *names;
	uint32_t upper_bytes;
	uint32_t entries;
	uint32_t collisions;
};

static inline struct list_view list_view_of(const struct list_zone *zone,
					    const struct list_head *head)
{
	uint8_t *block = list_pool_block(&zone->pool, head->block);
	uint32_t bytes = list_pool_block_bytes(&zone->pool, head->block);
	struct list_view view;

	view.entries = head->entries;
	view.collisions = list_head_collisions(head);
	view.upper_bytes = list_upper_bytes(zone->shape, view.entries);
	view.upper = block + POOL_BLOCK_HEAD;
	view.rest = view.upper + view.upper_bytes;
	view.names = block + bytes - LIST_NAME_BYTES * view.collisions;
	view.chapters = view.names;
	return view;
}

/* 64 bits at any byte, the first byte lowest. */
static inline uint64_t load64(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

static inline void store64(uint8_t *p, uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	memcpy(p, &word, sizeof(word));
}

/* The rest field of an entry, with bits of the next ones above it. */
static inline uint64_t list_rest(const struct list_shape *shape, const uint8_t *rest,
				 uint32_t position)
{
	uint32_t bit = position * shape->rest_bits;

	return load64(rest + bit / 8) >> (bit % 8);
}

static inline uint64_t list_value(const struct list_shape *shape, const struct list_view *view,
				  uint32_t position)
{
	uint64_t rest = list_rest(shape, view->rest, position) & shape->rest_mask;

	return (uint64_t)view->chapters[-1 - (int32_t)position] << shape->chapter_low_bits |
	       rest >> shape->low_bits;
}

/* The byte of a chapter, and what is left of it for the rest. */
static inline uint8_t list_chapter_byte(const struct list_shape *shape, uint64_t value)
{
	return (uint8_t)(value >> shape->chapter_low_bits);
}

static inline uint32_t list_chapter_rest(const struct list_shape *shape, uint64_t value)
{
	return (uint32_t)value & shape->chapter_low_mask;
}

static inline uint32_t list_name_position(const struct list_view *view, uint32_t which)
{
	const uint8_t *p = view->names + LIST_NAME_BYTES * which;

	return get_le16(p);
}

/* The first name that belongs to entry @position or a later one, as a number among the names. */
static inline uint32_t list_name_from(const struct list_view *view, uint32_t position)
{
	uint32_t first = 0;
	uint32_t count = view->collisions;

	while (count > 0) {
		uint32_t half = count / 2;

		if (list_name_position(view, first + half) < position) {
			first += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	return first;
}

static inline bool list_is_collision(const struct list_view *view, uint32_t position)
{
	uint32_t which = list_name_from(view, position);

	return which < view->collisions && list_name_position(view, which) == position;
}

#endif
