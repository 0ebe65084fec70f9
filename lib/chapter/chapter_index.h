/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chapter index (uds-format, 8): where in a chapter a name is. It is collected from the records
 * in layout order, sorted once, and packed into index pages list by list.
 *
 * The result equals inserting the records one by one into delta lists: of names with the same
 * address, the first has the ordinary entry and later ones follow it, newest first. A record that
 * does not fit into its list (65535 bits) or the format's memory limit is left out.
 *
 * Threads: a chapter index is used by one thread at a time.
 */
#ifndef CHAPTER_CHAPTER_INDEX_H
#define CHAPTER_CHAPTER_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/record.h>
#include <uds/status.h>

#include "geometry/geometry.h"

struct chapter_index;

struct chapter_index_statistics {
	uint32_t entries;    /* that the lists hold, collision entries included */
	uint32_t collisions; /* of these, with full names */
	uint32_t overflows;  /* records left out because list or memory was full */
	uint32_t removed;    /* entries dropped in packing, with the lists that did not fit */
};

int chapter_index_make(const struct uds_env *env, const struct geometry *geometry,
		       uint64_t volume_nonce, struct chapter_index **ret_index);
void chapter_index_free(struct chapter_index *index);

/* Forgets all entries and starts on chapter @vcn. */
void chapter_index_reset(struct chapter_index *index, uint64_t vcn);

/*
 * Enters a name; the name is copied.
 *
 * Returns 0; UDS_ERR_OVERFLOW when there are as many as a chapter has records; UDS_ERR_BAD_STATE
 * after packing has begun; -EINVAL for a record page that a chapter does not have.
 */
int chapter_index_put(struct chapter_index *index, const struct uds_record_name *name,
		      uint32_t record_page);

/*
 * Sorts the entries. Packing calls this itself.
 *
 * Returns 0, -ENOMEM, or UDS_ERR_DUPLICATE_NAME when a name was put twice.
 */
int chapter_index_finish(struct chapter_index *index, struct uds_message *message);

/*
 * Packs lists from @first_list on into a page of page_bytes; every byte of it is written. On the
 * last page all lists that are left must go in: those that do not fit are emptied first, as is a
 * list that does not fit on an empty page.
 *
 * @first_list: the sum of what earlier pages took; at most the number of lists, then the
 *     page is empty.
 * @ret_lists: how many lists the page holds.
 *
 * Returns 0; what chapter_index_finish() returns; -EINVAL for a first list that does not exist; or
 * UDS_ERR_OVERFLOW when the lists do not fit even when empty.
 */
int chapter_index_pack_page(struct chapter_index *index, uint32_t first_list, bool last_page,
			    uint8_t *page, uint32_t *ret_lists, struct uds_message *message);

/* Only complete after the last page was packed. */
void chapter_index_get_statistics(const struct chapter_index *index,
				  struct chapter_index_statistics *ret_statistics);

#endif
