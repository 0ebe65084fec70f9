/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driving operations: the only place where the steps of a request meet with what they wait for.
 *
 * A batch goes through the memory that its requests will touch ahead of them, so that their cache
 * misses overlap: list heads when they are submitted, then, some operations ahead, where the lists
 * are, and the lists and the places in the open chapter.
 */
#include "index/drive.h"

#include <stdio.h>

#include "index/close_chapter.h"
#include "index/operation.h"
#include "index/pages.h"
#include "index/triage.h"

/*
 * Cold and out of line: the code that forms a sentence costs every request some instructions where
 * it is inlined.
 */
__attribute__((cold, noinline)) void request_failed(struct uds_index *index,
						    const struct uds_request *request, int status)
{
	const struct request_kind *kind = request_kind_of(request->kind);
	struct failures *failures = index->failures;
	const char *io = uds_io_name(index->io);
	char name[2 * sizeof(request->name.bytes) + 1];

	for (size_t i = 0; i < sizeof(request->name.bytes); i++)
		snprintf(name + 2 * i, 3, "%02x", request->name.bytes[i]);
	if (kind->name == NULL)
		failures_hold(failures, status, "%s: %s: there is no request of kind %u", io, name,
			      request->kind);
	else if (status == UDS_ERR_READ_ONLY)
		failures_hold(failures, status, "%s: %s of %s: the index was opened read-only", io,
			      kind->name, name);
	else
		failures_hold(failures, status, "%s: %s of %s: %s", io, kind->name, name,
			      uds_strerror(status));
}

/* Whether all that the operation wants is a search of the volume. */
static bool wants_search_only(const struct batch *batch, const struct operation *operation)
{
	return !batch->index->sparse || operation->triaged;
}

/* Inline: @waits is a constant. Returns whether the operation is done. */
static inline bool drive_operation(struct batch *batch, size_t i, bool waits)
{
	struct operation *operation = &batch->operations[i];
	int r;

	for (;;) {
		switch (operation_step(batch, operation)) {
		case STEP_WANTS_PAGES:
			if (!waits && wants_search_only(batch, operation))
				return false;
			r = batch_read_pages(batch, i);
			if (r < 0)
				operation_fail(operation, r);
			break;
		case STEP_WANTS_CHAPTER_CLOSED:
			r = index_close_chapter(batch->index, batch->zone);
			batch->close_status = r;
			operation_chapter_closed(operation, r);
			break;
		default:
			return true;
		}
	}
}

bool batch_drive_operation(struct batch *batch, size_t i, bool waits)
{
	return waits ? drive_operation(batch, i, true) : drive_operation(batch, i, false);
}

int batch_drive(struct batch *batch)
{
	int first_error = 0;

	operations_prefetch_first(batch, 0, false);
	for (size_t i = 0; i < batch->count; i++) {
		const struct uds_request *request = batch->operations[i].request;

		operations_prefetch_next(batch, i, false);
		(void)drive_operation(batch, i, true);
		if (request->status < 0 && first_error == 0) {
			first_error = request->status;
			request_failed(batch->index, request, first_error);
		}
	}
	/* Chapters that were read for requests that did not need them in the end. */
	triage_drop_chapters(batch);
	return first_error;
}
