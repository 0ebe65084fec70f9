/* SPDX-License-Identifier: BSD-2-Clause */
/* What the public open chapter needs to know of a public chapter index. */
#ifndef CHAPTER_PUBLIC_H
#define CHAPTER_PUBLIC_H

#include <uds/chapter.h>

#include "chapter/chapter_index.h"

bool public_index_has_geometry(const struct uds_chapter_index *index,
			       const struct geometry *geometry);
bool public_index_is_empty(const struct uds_chapter_index *index);
struct chapter_index *public_index_inner(struct uds_chapter_index *index);

#endif
