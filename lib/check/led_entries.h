/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which volume index entries lead to a record of one chapter, each counted once: for verify.
 *
 * An ordinary entry is about any record of its place, a collision entry about the one name it
 * has. A record may have two entries: one that its chapter's index could not keep is stored again
 * under a collision entry, and the entry of the old place stays. Both lead to records, so neither
 * is an error.
 */
#ifndef CHECK_LED_ENTRIES_H
#define CHECK_LED_ENTRIES_H

#include <stddef.h>
#include <stdint.h>

#include "index/index.h"

struct led_entries {
	const struct uds_index *index;
	uint32_t lists_per_zone[2]; /* by enum sub_index */
	size_t count;
	uint64_t *ids; /* of entries; there may be equal ones */
};

/* Room for the records of one chapter. Returns 0 or -ENOMEM. */
int led_entries_make(const struct uds_index *index, struct led_entries *ret_led);

/* One that was never made, all zeros, is fine. */
void led_entries_free(struct led_entries *led);

/* Chapter @vcn has a record of this name. */
void led_entries_add(struct led_entries *led, uint64_t vcn, const struct uds_record_name *name);

/* How many different entries led to records since the last call. */
uint64_t led_entries_take(struct led_entries *led);

/*
 * Removes all entries of chapter @vcn from the volume index that lead to none of the records that
 * were added since led_entries_take().
 */
void led_entries_keep_only(struct led_entries *led, uint64_t vcn);

#endif
