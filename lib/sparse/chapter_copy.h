/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole chapter index of one chapter in memory, for the sparse cache: all its index pages, and
 * a Bloom filter with one hash over its names, which answers most searches with one read.
 *
 * A copy does not change after it was read; any thread may search it then.
 */
#ifndef SPARSE_CHAPTER_COPY_H
#define SPARSE_CHAPTER_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "chapter/index_page.h"
#include "geometry/geometry.h"
#include "io/io.h"

struct chapter_copy {
	struct uds_env env;
	const struct geometry *geometry;
	struct index_page_code code;
	uint64_t vcn;
	bool recent;  /* for the places of the recent chapters in the cache */
	bool damaged; /* a page could not be read or did not verify: nothing is ever found */
	struct uds_message why;
	unsigned int filter_shift;
	uint64_t *filter;
	struct index_page_head *heads; /* of each page; filled by the caller, as the pages are */
	uint8_t *pages;
};

/* Returns 0 or -ENOMEM. @geometry must outlive the copy. @io: that the pages will be read from. */
int chapter_copy_make(const struct uds_env *env, const struct uds_io *io,
		      const struct geometry *geometry, uint64_t volume_nonce, uint64_t vcn,
		      struct chapter_copy **ret_copy);

/* @copy may be NULL. */
void chapter_copy_free(struct chapter_copy *copy);

/* Memory of one copy in bytes. */
uint64_t chapter_copy_bytes(const struct geometry *geometry);

/*
 * Verifies pages that are there and sets their heads.
 *
 * Returns 0, or UDS_ERR_CORRUPT with the page and the reason.
 */
int chapter_copy_open_pages(struct chapter_copy *copy, struct uds_message *message);

/*
 * Builds the filter. Call it when the verified pages and their heads are there.
 *
 * Returns 0, or UDS_ERR_CORRUPT with the reason, for a list that does not decode.
 */
int chapter_copy_finish(struct chapter_copy *copy, struct uds_message *message);

/* Whether the chapter may have the name, and on which record page. */
bool chapter_copy_search(const struct chapter_copy *copy, const struct uds_record_name *name,
			 uint32_t *ret_record_page);

#endif
