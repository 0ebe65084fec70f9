/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking names up in chapters of the volume, waiting for what must be read. Threads: any
 * number at once.
 */
#ifndef VOLUME_VOLUME_SEARCH_H
#define VOLUME_VOLUME_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/record.h>
#include <uds/status.h>

struct volume;

/*
 * Looks a name up in chapter @vcn, which must have been written.
 *
 * @ret_data: untouched when it is not found.
 *
 * Returns 0; UDS_ERR_CORRUPT and the page when something read contradicts the format or the page
 * map; or what the I/O said.
 */
int volume_search_chapter(struct volume *volume, uint64_t vcn, const struct uds_record_name *name,
			  bool *ret_found, struct uds_record_data *ret_data,
			  struct uds_message *ret_message);

/*
 * One of many lookups; in one record page for callers that know it from a chapter index
 * of their own.
 */
struct volume_search {
	uint64_t vcn;
	struct uds_record_name name;
	uint32_t record_page; /* when @knows_page: the only one that is searched */
	bool knows_page;
	bool found;		     /* out */
	int status;		     /* out */
	struct uds_record_data data; /* out: when found */
};

/*
 * Does many lookups at once: where reads are slow they are all under way together.
 *
 * Returns 0, or the first error; ret_message belongs to it. Each search has its own status.
 */
int volume_search_many(struct volume *volume, struct volume_search *searches, size_t count,
		       struct uds_message *ret_message);

#endif
