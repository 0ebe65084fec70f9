/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The steps of a lookup in one chapter, shared by single lookups (volume_search.c) and batches
 * (volume_batch.c). The caller is in the chapter's slot.
 */
#ifndef VOLUME_VOLUME_SEARCH_H
#define VOLUME_VOLUME_SEARCH_H

#include "volume/volume.h"

/* What is looked for, and how far the lookup is. */
struct lookup {
	uint64_t vcn;
	const struct uds_record_name *name;
	uint32_t slot;
	uint32_t list;		   /* of the chapter index */
	uint32_t page;		   /* being read: of the chapter, index pages first */
	struct page_bounds bounds; /* of the index page */
	uint32_t record_page;	   /* once the index page gave it */
	struct uds_record_data data;
	struct uds_message *message;
};

void lookup_start(struct lookup *lookup, const struct volume *volume, uint64_t vcn,
		  const struct uds_record_name *name, struct uds_message *ret_message);

/*
 * Each returns 1 when the name may be, or for a record page is, there; 0 when it is not; or an
 * error, whose sentence lacks the place (volume_page_failure).
 */
int lookup_in_index_page(struct lookup *lookup, struct volume *volume, const uint8_t *page);
int lookup_in_list(struct lookup *lookup, const struct volume *volume, const uint8_t *memory,
		   uint32_t at, uint32_t bits);
int lookup_in_record_page(struct lookup *lookup, struct volume *volume, const uint8_t *page);

/*
 * Where the name's list is, bits [start, start + bits) of the page whose head and table are given.
 * Returns as above; 0 also for an empty list.
 */
int lookup_find_list(struct lookup *lookup, const struct volume *volume,
		     const struct index_page_head *head, const uint8_t *table, uint32_t *ret_start,
		     uint32_t *ret_bits);

/* Asks the page cache for the record page. Returns whether it was there. */
bool lookup_cached_record_page(struct lookup *lookup, struct volume *volume, int *ret_result);

#endif
