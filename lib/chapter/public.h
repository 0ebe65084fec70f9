/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of public objects, for each other. */
#ifndef CHAPTER_PUBLIC_H
#define CHAPTER_PUBLIC_H

#include <uds/chapter.h>

#include "chapter/chapter_index.h"
#include "chapter/open_zone.h"

/* What writing an open chapter to a volume needs to know of it. */
const struct geometry *public_chapter_geometry(const struct uds_open_chapter *chapter);
struct open_zone *const *public_chapter_zones(const struct uds_open_chapter *chapter,
					      unsigned int *ret_count);

bool public_index_has_geometry(const struct uds_chapter_index *index,
			       const struct geometry *geometry);
bool public_index_is_empty(const struct uds_chapter_index *index);
struct chapter_index *public_index_inner(struct uds_chapter_index *index);

#endif
