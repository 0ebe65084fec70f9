/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order in which a closed chapter's records go to its record pages (uds-format, 10.4): one of
 * each zone in turn; the place of a missing or removed record gets a copy of the fill record.
 *
 * A collation only reads the zones, which must not change while it is used. Concurrent
 * searches are fine.
 */
#ifndef CHAPTER_COLLATION_H
#define CHAPTER_COLLATION_H

#include "chapter/open_zone.h"
#include "geometry/geometry.h"

struct collation {
	const struct geometry *geometry;
	struct open_zone *const *zones;
	unsigned int count;
	const struct uds_record *fill;
};

/*
 * The fill record is the last one of the first full zone. Where no zone is full (a chapter that is
 * closed early) or that record was removed, it is the first live record in layout order.
 *
 * Returns 0, or UDS_ERR_BAD_STATE when there is no live record: such a chapter is not
 * to be written.
 */
int collation_start(struct collation *collation, const struct geometry *geometry,
		    struct open_zone *const *zones, unsigned int count);

/*
 * The records of record page @page, in layout order.
 *
 * @ret_records: as many as a page has. @ret_genuine: for each, whether it is at its own position
 * and gets a chapter index entry; false for copies of the fill record.
 *
 * Returns how many are genuine.
 */
uint32_t collation_page(const struct collation *collation, uint32_t page,
			const struct uds_record **ret_records, bool *ret_genuine);

#endif
