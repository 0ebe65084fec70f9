/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of a saved open chapter that a load had no room for, because the number of zones is
 * another than that of the save: they are forgotten completely, as if deleted.
 *
 * So such a name is not found from then on, nor is it ever found with the data of another name:
 * lookups compare all 16 bytes. One thing remains, as it does after a delete (uds-format, 17.3):
 * where an older record of the name lies in a chapter that another name's entry of the same place
 * leads to, or that the sparse cache has, the name is found with that older data of its own. Only a
 * full search of the volume could tell.
 */
#ifndef INDEX_DROPPED_RECORDS_H
#define INDEX_DROPPED_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

#include <uds/record.h>

#include "base/env.h"

struct uds_index;
struct dropped_name;

struct dropped_records {
	const struct uds_env *env;
	struct dropped_name *names;
	size_t count;
	size_t room;
	bool no_memory;
};

/* To be called for each of them; @context: the struct dropped_records. */
void dropped_records_add(void *context, const struct uds_record *record);

/*
 * Removes their entries from the volume index, once the open chapter is loaded. The time it takes
 * grows with the records, dropped or not, and no faster.
 *
 * Returns 0, or -ENOMEM when there was no memory to remember one of them.
 */
int dropped_records_forget(struct dropped_records *dropped, struct uds_index *index);

void dropped_records_free(struct dropped_records *dropped);

#endif
