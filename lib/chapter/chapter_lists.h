/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lists of a chapter index before they are written: all entries in one array, sorted by list,
 * and within a list in the order in which they will be written; and the coded size of each list.
 *
 * An entry is one number: list and address of the name (as they stand in the name's chapter bits),
 * then the number under which name and record page are found.
 *
 * Three files, each above the one before: chapter_lists.c collects and writes; chapter_replay.c
 * computes the exact result when lists or the format's memory run full, which never happens with
 * random names; chapter_sort.c sorts, and decides whether the replay is needed.
 */
#ifndef CHAPTER_CHAPTER_LISTS_H
#define CHAPTER_CHAPTER_LISTS_H

#include <stdint.h>

#include <uds/env.h>
#include <uds/record.h>
#include <uds/status.h>

#include "delta/delta_code.h"
#include "geometry/geometry.h"

#define ENTRY_NUMBER_BITS 21
#define ENTRY_NUMBER_MASK ((UINT32_C(1) << ENTRY_NUMBER_BITS) - 1)

/* Bits per pass of the radix sort, and its passes: list and address have at most 15 + 22 bits. */
#define LISTS_DIGIT_BITS  11
#define LISTS_SORT_DIGITS (1u << LISTS_DIGIT_BITS)
#define LISTS_SORT_PASSES 4

struct chapter_lists {
	struct uds_env env;
	struct delta_code code;
	uint32_t list_count;
	unsigned int list_bits;
	unsigned int address_bits;
	uint64_t memory_bytes; /* what the format gives the lists while they are built */

	uint32_t capacity; /* in names */
	uint32_t count;	   /* names put */
	struct uds_record_name *names;
	uint16_t *record_pages;

	uint64_t *entries; /* as put; sorted by chapter_lists_sort() */
	uint64_t *scratch;
	uint32_t *histograms; /* of the sort, for each of its passes */
	uint32_t *starts;     /* of each list in entries */
	uint32_t *lengths;    /* of each list in entries */
	uint32_t *bits;	      /* coded size of each list */

	uint32_t kept;	     /* entries in all lists */
	uint32_t collisions; /* of these */
	uint32_t overflows;  /* names left out */
};

static inline uint32_t entry_number(uint64_t entry)
{
	return (uint32_t)entry & ENTRY_NUMBER_MASK;
}

static inline uint32_t entry_address(const struct chapter_lists *lists, uint64_t entry)
{
	return (uint32_t)(entry >> ENTRY_NUMBER_BITS) &
	       (uint32_t)((UINT64_C(1) << lists->address_bits) - 1);
}

static inline uint32_t entry_list(const struct chapter_lists *lists, uint64_t entry)
{
	return (uint32_t)(entry >> (ENTRY_NUMBER_BITS + lists->address_bits));
}

/*
 * @lists: all zeroes. Returns 0 or -ENOMEM; what was made is released by chapter_lists_destroy()
 * in both cases.
 */
int chapter_lists_init(struct chapter_lists *lists, const struct uds_env *env,
		       const struct geometry *geometry);
void chapter_lists_destroy(struct chapter_lists *lists);

void chapter_lists_reset(struct chapter_lists *lists);

/* The caller has checked that there is room and that the record page exists. */
void chapter_lists_put(struct chapter_lists *lists, const struct uds_record_name *name,
		       uint32_t record_page);

/*
 * Sorts, and decides what is left out.
 *
 * Returns 0, -ENOMEM, or UDS_ERR_DUPLICATE_NAME.
 */
int chapter_lists_sort(struct chapter_lists *lists);

/* Drops all entries of a list. */
void chapter_lists_empty(struct chapter_lists *lists, uint32_t list);

/* Writes a list; @out goes on behind it. */
void chapter_lists_write(const struct chapter_lists *lists, uint32_t list, struct bit_writer *out);

/* For chapter_lists_sort(): inserts one by one, as the format describes it. */
int chapter_lists_replay(struct chapter_lists *lists);

#endif
