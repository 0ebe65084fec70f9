/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the zones of a closed chapter to its pages: collation, record pages, chapter index, index
 * pages (uds-format, 8, 9 and 10.4). In memory only.
 *
 * Threads: a builder is used by one thread at a time. The zones must not change meanwhile.
 */
#ifndef VOLUME_CHAPTER_BUILDER_H
#define VOLUME_CHAPTER_BUILDER_H

#include <stdint.h>

#include <uds/env.h>
#include <uds/status.h>

#include "chapter/chapter_index.h"
#include "chapter/open_zone.h"
#include "chapter/record_page.h"
#include "geometry/geometry.h"
#include "io/io.h"

struct chapter_builder {
	struct uds_env env;
	const struct geometry *geometry;
	struct chapter_index *index;
	struct record_page_encoder *encoder;

	/* The result: all pages of a chapter, index pages first, in memory that the I/O accepts. */
	uint8_t *pages;
	/* for the page map: the highest list on each index page but the last */
	uint16_t *last_lists;
	struct chapter_index_statistics statistics;
};

/* @geometry: outlives the builder. Returns 0 or -ENOMEM. */
int chapter_builder_make(const struct uds_env *env, const struct uds_io *io,
			 const struct geometry *geometry, uint64_t volume_nonce,
			 struct chapter_builder **ret_builder);
void chapter_builder_free(struct chapter_builder *builder);

/*
 * Builds chapter @vcn.
 *
 * Returns 0; UDS_ERR_BAD_STATE when the zones have no live record; UDS_ERR_DUPLICATE_NAME when two
 * of them hold the same name; UDS_ERR_OVERFLOW; -ENOMEM.
 */
int chapter_builder_run(struct chapter_builder *builder, uint64_t vcn,
			struct open_zone *const *zones, unsigned int count,
			struct uds_message *ret_message);

#endif
