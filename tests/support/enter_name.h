/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries of names in a volume index, as a rebuild makes them. */
#ifndef TESTS_ENTER_NAME_H
#define TESTS_ENTER_NAME_H

#include <check.h>

#include "volume_index/volume_index.h"

/* As if each name in the way were another one's. */
static inline void enter_name(struct volume_index *index, const struct uds_record_name *name,
			      uint64_t vcn)
{
	struct name_place place;
	struct hint hint;

	volume_index_locate(index, name, &place);
	volume_index_get(index, &place, name, &hint);
	if (hint.found && hint.collision)
		ck_assert_int_eq(volume_index_set(index, &hint, vcn), 0);
	else
		ck_assert_int_eq(volume_index_put(index, &hint, name, vcn), 0);
}

#endif
