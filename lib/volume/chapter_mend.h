/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mending a damaged chapter of the volume in place, for repairs.
 *
 * What can be trusted stays where it is, bit for bit: a record page that matches its checksums, or,
 * where these are not known, one whose records are in order, and to which most entries of the
 * chapter index lead rightly. Any other record page is dropped: it is overwritten with copies of
 * one record of the chapter, which the format has anyway where a chapter has room to spare
 * (uds-format, 10.4). The index pages are made again from the records.
 *
 * So a repair that is interrupted can be done again, with the same result: records that are kept
 * are never moved, and checksums stay until all pages are durable.
 *
 * Threads: no other thread uses the volume.
 */
#ifndef VOLUME_CHAPTER_MEND_H
#define VOLUME_CHAPTER_MEND_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/record.h>
#include <uds/status.h>

#include "volume/volume.h"

struct chapter_mend;

/* What is wrong with a chapter. */
struct chapter_verdict {
	uint64_t vcn;
	uint32_t slot;
	bool index_damaged;	/* an index page, or what they say together */
	bool map_differs;	/* the index pages are good, and the page map says something else */
	uint32_t dropped_pages; /* record pages that cannot be trusted */
	struct uds_message why; /* the first of these; empty when there is none */
};

/* Returns 0 or -ENOMEM. */
int chapter_mend_make(struct volume *volume, struct chapter_mend **ret_mend);

/* May be NULL. */
void chapter_mend_free(struct chapter_mend *mend);

/*
 * Reads chapter @vcn, and judges each of its pages. Pages that cannot be read are damaged.
 *
 * Returns 0 or -ENOMEM.
 */
int chapter_mend_judge(struct chapter_mend *mend, uint64_t vcn,
		       struct chapter_verdict *ret_verdict);

static inline bool chapter_is_damaged(const struct chapter_verdict *verdict)
{
	return verdict->index_damaged || verdict->map_differs || verdict->dropped_pages > 0;
}

/* Whether record page @page of the chapter that was judged last is dropped. */
bool chapter_mend_drops(const struct chapter_mend *mend, uint32_t page);

/* A record page of the chapter that was judged last, or mended. */
const uint8_t *chapter_mend_records(const struct chapter_mend *mend, uint32_t page);

/*
 * Mends the chapter that was judged last, durably, and sets its row of the page map.
 *
 * @instead: the record that a chapter gets of which none is left; its format has no chapters
 *     without.
 *
 * Returns 0, -ENOMEM, or what the I/O said.
 */
int chapter_mend_write(struct chapter_mend *mend, const struct uds_record *instead,
		       struct uds_message *ret_message);

/* Computes the checksums of the chapter that was judged last, a good one, if they are not known. */
void chapter_mend_sum(struct chapter_mend *mend);

#endif
