/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a name is (uds-format(5), Lookup). */
#ifndef INDEX_LOOKUP_H
#define INDEX_LOOKUP_H

#include "index/batch.h"

struct located_record {
	struct hint hint; /* what the volume index says; good for put, set and remove */
	bool found;
	bool only_cached; /* found, but through the sparse cache alone */
	enum uds_location location;
	struct uds_record_data data; /* may be missing where the kind needs no record */
};

/*
 * Looks the name of an operation up.
 *
 * Returns 0, STEP_WANTS_PAGES, or the error that the search of a chapter met.
 */
int lookup_name(struct batch *batch, struct operation *operation,
		struct located_record *ret_record);

/*
 * The page that the operation would want if it looked its name up now. Changes nothing.
 *
 * Returns whether it wants one.
 */
bool lookup_wants_page(struct batch *batch, struct operation *operation,
		       struct page_request *ret_request);

#endif
