/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a public chapter index: what closing an open chapter into it needs to know of it.
 */
#ifndef CHAPTER_PUBLIC_PAGES_H
#define CHAPTER_PUBLIC_PAGES_H

#include <uds/chapter.h>

#include "chapter/chapter_index.h"

bool public_index_has_geometry(const struct uds_chapter_index *index,
			       const struct geometry *geometry);
bool public_index_is_empty(const struct uds_chapter_index *index);

/* The index is no longer empty afterwards. */
struct chapter_index *public_index_inner(struct uds_chapter_index *index);

#endif
