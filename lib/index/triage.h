/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bringing chapters into the sparse cache (uds-format, 18, Triage). In an index without one the
 * functions here do nothing.
 */
#ifndef INDEX_TRIAGE_H
#define INDEX_TRIAGE_H

#include "index/batch.h"

/*
 * Brings the chapter of a hook into the cache, if that is in order.
 *
 * Returns 0, or STEP_WANTS_PAGES when the chapter must be read first.
 */
int triage_operation(struct batch *batch, struct operation *operation);

/*
 * The two halves of getting chapters: what the operations from number @first on want, under the
 * lock; and reading it, without. A chapter that cannot be read becomes a damaged one, where nothing
 * is found; that is logged when it enters the cache, and is not an error of any request.
 *
 * Returns 0, or -ENOMEM when operation @first cannot be helped.
 */
int triage_request_chapters(struct batch *batch, size_t first);
void triage_read_chapters(struct batch *batch);

/* Frees what was read and not used. */
void triage_drop_chapters(struct batch *batch);

#endif
