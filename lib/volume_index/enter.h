/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many records at once into the lists of a volume index, while it is filled: a list is taken apart
 * and made again with all of its records, which is much cheaper than to look each one up and shift
 * what is behind it, in a list that is far away in memory by the next time.
 */
#ifndef VOLUME_INDEX_ENTER_H
#define VOLUME_INDEX_ENTER_H

#include "volume_index/additions.h"
#include "volume_index/volume_index.h"

struct enterer;

/* Returns 0 or -ENOMEM. */
int enterer_make(struct volume_index *index, struct enterer **ret_enterer);

/* @enterer may be NULL. */
void enterer_free(struct enterer *enterer);

/*
 * Puts sorted records into the lists of a zone, or part. The lists are as if each record had been
 * looked up and put, one by one in the order of the chapters, each with the window of its chapter.
 * Records of lists that may need more than that are left: lists that have collision entries, or get
 * an address twice, or too long.
 *
 * No entry of these lists is too old when the newest of these chapters is open. The zone's window
 * is not defined then.
 *
 * Returns 0 or -ENOMEM; the index can only be freed then.
 *
 * Threads: one enterer for each, and parts of its own.
 */
int enterer_run(struct enterer *enterer, unsigned int part, struct additions *additions);

#endif
