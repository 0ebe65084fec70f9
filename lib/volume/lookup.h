/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking a name up in one chapter of the volume, in steps: each step goes as far as memory and
 * caches lead, and either ends the lookup or says which page must be read next. So a caller can
 * have many lookups under way, read for all of them together, and never waits in the middle of one:
 *
 *	volume_lookup_start(&lookup, vcn, &name, &message);
 *	while (volume_lookup_step(volume, &lookup) == VOLUME_WANTS_PAGE)
 *		volume_read_pages(volume, &request, 1);        with request = &lookup.request
 *
 * Between steps a lookup holds nothing but the buffer of its request: a chapter may be written over
 * it, and the next step sees that.
 *
 * volume.h has the calls that do all of this for one name or for many.
 *
 * Threads: a lookup is used by one thread at a time.
 */
#ifndef VOLUME_LOOKUP_H
#define VOLUME_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/record.h>
#include <uds/status.h>

#include "volume/page_reader.h"

struct volume;

/* What volume_lookup_step() returns when lookup->request is to be read. */
#define VOLUME_WANTS_PAGE 1

/* What a lookup does next; private. */
enum lookup_step {
	LOOKUP_INDEX,	    /* find out how to search the chapter index */
	LOOKUP_HEAD,	    /* the head of the index page was read */
	LOOKUP_LIST,	    /* the name's list was read */
	LOOKUP_INDEX_PAGE,  /* the whole index page was read */
	LOOKUP_RECORDS,	    /* the record page is known: find out how to search it */
	LOOKUP_ROW,	    /* a piece of its bottom row was read */
	LOOKUP_NODE,	    /* a node above the row was read */
	LOOKUP_RECORD_PAGE, /* the whole record page was read */
};

struct volume_lookup {
	uint64_t vcn;
	struct uds_record_name name;

	/* The result, once no page is wanted any more. */
	int status;
	bool found;
	struct uds_record_data data;

	/* What the lookup waits for. */
	struct page_request request;

	/* Private. */
	enum lookup_step step;
	bool knows_record_page; /* the chapter index need not be searched */
	uint32_t record_page;
	uint32_t slot_writes; /* of the slot, when the request was made */
	uint32_t list;	      /* of the chapter index */
	uint32_t list_start, list_bits;
	uint32_t row_first, row_end; /* nodes that were asked for */
	struct uds_message *message;
};

/*
 * Begins the lookup of a name in chapter @vcn, which must have been written.
 *
 * @ret_message: may be NULL; filled when the lookup ends with an error.
 */
void volume_lookup_start(struct volume_lookup *lookup, uint64_t vcn,
			 const struct uds_record_name *name, struct uds_message *ret_message);

/*
 * The same in one record page of the chapter, for callers that know it from a chapter index
 * of their own.
 */
void volume_lookup_start_in_page(struct volume_lookup *lookup, uint64_t vcn, uint32_t record_page,
				 const struct uds_record_name *name,
				 struct uds_message *ret_message);

/* Before the first step: others lead to the same pages, which are read whole and cached. */
void volume_lookup_keep_pages(struct volume_lookup *lookup);

/*
 * Bring what a lookup's first step will touch into the processor's cache: the first call some
 * lookups ahead, the second one, which uses what the first has brought, some fewer.
 */
void volume_lookup_prefetch(const struct volume *volume, uint64_t vcn,
			    const struct uds_record_name *name);
void volume_lookup_prefetch_head(const struct volume *volume, uint64_t vcn,
				 const struct uds_record_name *name);

/*
 * Goes on.
 *
 * Returns VOLUME_WANTS_PAGE: have lookup->request read, then call again, since the request has
 * memory that only the end gives back. Otherwise the lookup has ended: 0, and lookup->found says
 * whether the name is there (not, too, when the chapter is no longer there); or an error, which is
 * lookup->status as well: UDS_ERR_CORRUPT and the page when something read contradicts the format
 * or the page map; -EINVAL for a record page that does not exist; -ENOMEM; what the I/O said.
 */
int volume_lookup_step(struct volume *volume, struct volume_lookup *lookup);

/* All steps at once, waiting for each read. Returns as volume_lookup_step() at the end. */
int volume_lookup_run(struct volume *volume, struct volume_lookup *lookup);

/*
 * Reads what lookups want: all under way together where reads are slow, one after the other where
 * they are quick. Errors are in the requests, for the next step to see. Returns when all are done.
 */
void volume_read_pages(struct volume *volume, struct page_request *const *requests, size_t count);

#endif
