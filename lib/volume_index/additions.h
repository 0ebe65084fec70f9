/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of chapters that were written after a save, on their way into the volume index that is
 * loaded from it. A list takes them while it is made: that is much cheaper than to enter them one
 * by one afterwards, each into a list that is far away in memory by then.
 *
 * A list takes all of its records or none. Those of lists that cannot just add them are left; they
 * are to be entered in the order of the chapters once the volume index is there.
 *
 * Threads: each function says it.
 */
#ifndef VOLUME_INDEX_ADDITIONS_H
#define VOLUME_INDEX_ADDITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/record.h>
#include <uds/status.h>

#include "base/crew.h"
#include "geometry/geometry.h"

struct additions;

/*
 * @members: of the crew. @first, @chapters: of which chapters records will be added.
 *
 * Returns NULL without memory, or when there can be more records than this sorts.
 */
struct additions *additions_make(const struct uds_env *env, const struct geometry *geometry,
				 unsigned int members, uint64_t first, uint32_t chapters);

/* @additions may be NULL. */
void additions_free(struct additions *additions);

/*
 * Adds the records of a page. One thread for each member.
 *
 * @page: number of the page in its chapter. @samples_only: the chapter is sparse; other names
 *     are passed over.
 */
void additions_add_page(struct additions *additions, unsigned int member, uint64_t vcn,
			uint32_t page, const uint8_t *records, bool samples_only);

/* After the last page: sorts by lists. Returns 0 or -ENOMEM. */
int additions_sort(struct additions *additions, struct crew *crew);

/* One record for one list. */
struct addition {
	uint32_t address;
	uint64_t vcn;
};

/*
 * The records of a list in the order of their addresses, then of their chapters. Different lists
 * can be asked for by several threads at once.
 */
const uint64_t *additions_of_list(struct additions *additions, unsigned int sub, uint32_t list,
				  uint32_t *ret_count);
struct addition additions_read(const struct additions *additions, uint64_t record);

/* Says that a list did not take its records. Threads as for additions_of_list(). */
void additions_leave(struct additions *additions, unsigned int sub, uint32_t list);

/*
 * The first record of a chapter, from number @from on, that was left; or the number of records in a
 * chapter. Any threads, once the volume index is loaded.
 */
uint32_t additions_next_left(const struct additions *additions, uint64_t vcn, uint32_t from);
bool additions_has_left(const struct additions *additions, uint64_t vcn);

#endif
