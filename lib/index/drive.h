/* SPDX-License-Identifier: BSD-2-Clause */
/* Driving a batch to its end. */
#ifndef INDEX_DRIVE_H
#define INDEX_DRIVE_H

#include "index/batch.h"

/*
 * Takes the steps of all operations of a batch, in order, and gets in between what they want. Each
 * request has its status afterwards.
 *
 * Returns 0 or the first error, whose sentence is held for the thread.
 */
int batch_drive(struct batch *batch);

/*
 * The same for one operation. Without @waits it stops where a search of the volume is all that the
 * operation wants (lookup_wants_search()).
 *
 * Returns whether it is done.
 */
bool batch_drive_operation(struct batch *batch, size_t i, bool waits);

/*
 * Holds the sentence about a request that failed for the calling thread: it is the first one
 * of the call.
 */
void request_failed(struct uds_index *index, const struct uds_request *request, int status);

#endif
