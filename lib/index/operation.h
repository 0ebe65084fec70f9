/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request as a state machine. A step never reads the volume and never waits for a chapter
 * to be written: it says what it wants, and the driver of the operation gets that and takes
 * the next step.
 */
#ifndef INDEX_OPERATION_H
#define INDEX_OPERATION_H

#include <errno.h>

#include "base/bytes.h"
#include "index/batch.h"

/*
 * Start to fetch the memory that operations will touch: before those from @first on are gone
 * through, and before operation @i is, in this order. @peek: they are only looked up.
 */
void operations_prefetch_first(const struct batch *batch, size_t first, bool peek);
void operations_prefetch_next(const struct batch *batch, size_t i, bool peek);

/* Returns 0, or why a request of this kind is not carried out on this index. */
static inline int operation_check(const struct uds_index *index, const struct operation *operation)
{
	if (operation->kind->name == NULL)
		return -EINVAL;
	return index->read_only && !operation->kind->works_on_read_only ? UDS_ERR_READ_ONLY : 0;
}

/*
 * Whether a deletion is about a name whose entry leads to chapter @vcn: see
 * keeps_range in request_kind.h.
 */
static inline bool operation_may_remove(const struct operation *operation, uint64_t vcn)
{
	const uint8_t *range = operation->request->new_data.bytes;

	if (!operation->kind->keeps_range)
		return true;
	return vcn < get_le64(range) || vcn >= get_le64(range + 8);
}

/*
 * Takes the next step. The request has its status and its results when that is STEP_DONE.
 *
 * STEP_WANTS_PAGES: read what it wants (batch_read_pages()), then call this again.
 * STEP_WANTS_CHAPTER_CLOSED: close the open chapter, call operation_chapter_closed(),
 * then this again.
 */
enum step operation_step(struct batch *batch, struct operation *operation);

/* @status: what closing the chapter came to. */
void operation_chapter_closed(struct operation *operation, int status);

/* Ends an operation whose pages cannot be asked for, with an error. */
void operation_fail(struct operation *operation, int status);

#endif
