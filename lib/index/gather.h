/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the chapters that were written since a save before its volume index is loaded, so that
 * most of their records are put into its lists while they are made.
 */
#ifndef INDEX_GATHER_H
#define INDEX_GATHER_H

#include "index/index.h"
#include "volume/find_chapters.h"
#include "volume_index/additions.h"

/* A chapter whose records are gathered. */
struct chapter_pages {
	uint64_t vcn;
	bool is_sparse;
	const uint8_t *pages; /* its record pages */
};

/*
 * What one member of the crew does with a chapter: adds the records of its share of the pages.
 * Returns whether there is damage among these, which is not logged.
 */
bool gather_share(const struct uds_index *index, struct additions *additions, unsigned int member,
		  const struct chapter_pages *chapter);

struct gathered {
	struct additions *additions; /* sorted; NULL: no memory, or too many records */
	uint64_t from, end;	     /* the chapters whose records they have */
	bool *has_damage;	     /* for each of them, which was not logged */
};

/*
 * Reads chapters from @from on, but no more than a part of the volume; at least that one, to see
 * that it can be read. A later one that cannot be read is the end, and no error.
 *
 * @progress: told how many were read.
 *
 * Returns 0; UDS_ERR_STOPPED; -ENOMEM; what the I/O said of chapter @from.
 */
int gather_records(struct uds_index *index, const struct found_chapters *found, uint64_t from,
		   uds_progress_fn progress, void *progress_context, struct uds_message *message,
		   struct gathered *ret_gathered);

/* Whether all that a chapter has is in the volume index that was loaded with the additions. */
bool gathered_is_done(const struct gathered *gathered, uint64_t vcn);

/* What replay_chapter() is to be given for a chapter. */
const struct additions *gathered_additions(const struct gathered *gathered, uint64_t vcn);

void gathered_free(const struct uds_index *index, struct gathered *gathered);

#endif
