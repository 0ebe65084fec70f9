/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a name is (uds-format, 17.1). */
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
 * The search that the operation would want if it looked its name up now. Changes nothing.
 *
 * @ret_answer: of the operation's answers the one that the result is for. It may be written
 *     without the lock.
 *
 * Returns whether it wants one.
 */
bool lookup_wants_search(struct batch *batch, struct operation *operation,
			 struct volume_search *ret_search, struct page_answer **ret_answer);

#endif
