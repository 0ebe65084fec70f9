/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a public open chapter: what writing it to a volume needs to know of it. */
#ifndef CHAPTER_PUBLIC_H
#define CHAPTER_PUBLIC_H

#include <uds/chapter.h>

#include "chapter/open_zone.h"
#include "geometry/geometry.h"

const struct geometry *public_chapter_geometry(const struct uds_open_chapter *chapter);
struct open_zone *const *public_chapter_zones(const struct uds_open_chapter *chapter,
					      unsigned int *ret_count);

#endif
