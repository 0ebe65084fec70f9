/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of struct volume, for the files of this folder. */
#ifndef VOLUME_VOLUME_PRIVATE_H
#define VOLUME_VOLUME_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "geometry/geometry.h"
#include "io/io.h"
#include "volume/crowd.h"
#include "volume/page_map.h"
#include "volume/page_reader.h"

struct volume {
	struct uds_env env;
	struct uds_io *io;
	struct geometry geometry;
	struct page_map *map;
	struct page_reader reader;
	struct crowd crowd;	     /* of lookups that want a record page, where reads are slow */
	struct checksums *checksums; /* NULL: an index without extras */
	_Atomic uint64_t damaged_reads; /* see volume_damaged_reads() */
	_Atomic uint64_t *logged;	/* a bit for each page whose damage is in the log */
	bool area_failed;		/* writing to the extras did, and it was logged */
	uint32_t reach; /* nodes of a record page's bottom row, from where a name should be, that
			   are read */
};

/* What page @page of a slot must be to be that of chapter @vcn. The caller is in the slot. */
static inline struct page_claim volume_claim(const struct volume *volume, uint32_t slot,
					     uint64_t vcn, uint32_t page)
{
	struct page_claim claim = { .vcn = vcn, .slot = slot, .page = page };

	if (page < volume->geometry.index_pages_per_chapter)
		claim.bounds = page_map_page(volume->map, slot, page);
	return claim;
}

/* Puts the name of the I/O and the page in front of a sentence. Returns @status. */
int volume_page_failure(const struct volume *volume, const struct page_claim *claim, int status,
			struct uds_message *ret_message);

/*
 * The same for a page that was read for somebody. If it is damaged, that is counted, and logged
 * once for each page of a chapter: the others are as good as before.
 */
int volume_read_failure(struct volume *volume, const struct page_claim *claim, int status,
			struct uds_message *ret_message);

#endif
