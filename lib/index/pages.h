/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Getting what operations want from the volume: for many of them at once, and without
 * the zone's lock.
 */
#ifndef INDEX_PAGES_H
#define INDEX_PAGES_H

#include "index/batch.h"

/*
 * Gets what the operations from number @first on want. The zone's lock is released in between. What
 * a chapter answers, errors too, is left with the operations.
 *
 * Returns 0, or -ENOMEM when operation @first cannot be helped.
 */
int batch_read_pages(struct batch *batch, size_t first);

#endif
