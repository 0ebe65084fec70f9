/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of request kinds. Its row 0 is empty: it stands for every kind that does not exist. */
#include "index/request_kind.h"

static const struct request_kind kinds[] = {
	[UDS_QUERY] = {
		.name = "query",
		.stores = { [UDS_LOCATION_DENSE] = STORE_OLD,
			    [UDS_LOCATION_SPARSE] = STORE_OLD },
		.needs_record = true,
		.needs_room = true,
		.counted_as = COUNT_QUERIES,
	},
	[UDS_POST] = {
		.name = "post",
		.stores = { [UDS_LOCATION_NONE] = STORE_NEW,
			    [UDS_LOCATION_DENSE] = STORE_OLD,
			    [UDS_LOCATION_SPARSE] = STORE_OLD },
		.needs_record = true,
		.needs_room = true,
		.counted_as = COUNT_POSTS,
	},
	[UDS_PEEK] = {
		.name = "peek",
		.needs_record = true,
		.works_on_read_only = true,
		.counted_as = COUNT_QUERIES,
	},
	[UDS_DELETE] = {
		.name = "delete",
		.removes = true,
		.needs_room = true,
		.counted_as = COUNT_DELETIONS,
	},
	[UDS_UPDATE] = {
		.name = "update",
		.stores = { [UDS_LOCATION_NONE] = STORE_NEW,
			    [UDS_LOCATION_OPEN_CHAPTER] = STORE_NEW,
			    [UDS_LOCATION_DENSE] = STORE_NEW,
			    [UDS_LOCATION_SPARSE] = STORE_NEW },
		.needs_record = true,
		.needs_room = true,
		.counted_as = COUNT_UPDATES,
	},
};

const struct request_kind request_replayed_store = {
	.name = "replayed update",
	.stores = { [UDS_LOCATION_NONE] = STORE_NEW,
		    [UDS_LOCATION_OPEN_CHAPTER] = STORE_NEW,
		    [UDS_LOCATION_DENSE] = STORE_NEW,
		    [UDS_LOCATION_SPARSE] = STORE_NEW },
	.needs_record = true,
	.works_on_read_only = true,
	.counted_as = COUNT_UPDATES,
};

const struct request_kind request_replayed_deletion = {
	.name = "replayed deletion",
	.removes = true,
	.works_on_read_only = true,
	.keeps_range = true,
	.counted_as = COUNT_DELETIONS,
};

const struct request_kind *request_kind_of(uint8_t kind)
{
	/* The kind comes from the caller, and may be any number. */
	return &kinds[kind < sizeof(kinds) / sizeof(kinds[0]) ? kind : 0];
}
