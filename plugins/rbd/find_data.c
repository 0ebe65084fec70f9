/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding data by what librbd lists: with an object map whole objects, which costs no requests to
 * the cluster; without one what each object has, which takes one request for each.
 */
#include "rbd/find_data.h"

#include <errno.h>

#include "rbd/image.h"

/* So many objects are asked for at once: fewer than half as many as there is room for extents. */
#define ASKED (EXTENTS / 4)

/* Ends a list for which there is no more room; no errno that librbd has. */
#define FULL (-4095)

struct listing {
	struct extents *extents;
	uint64_t end; /* of what was told */
};

static bool add(struct listing *listing, uint64_t begin, uint64_t end, bool zero)
{
	struct extents *extents = listing->extents;

	if (begin == end)
		return true;
	if (extents->count == EXTENTS)
		return false;
	extents->entry[extents->count].length = end - begin;
	extents->entry[extents->count++].zero = zero;
	listing->end = end;
	return true;
}

static int on_extent(uint64_t offset, size_t length, int exists, void *context)
{
	struct listing *listing = context;

	if (exists == 0)
		return 0;
	/* librbd tells them in order. If it ever did not, nothing would be known. */
	if (offset < listing->end)
		return -EOPNOTSUPP;
	if (!add(listing, listing->end, offset, true) ||
	    !add(listing, offset, offset + length, false))
		return FULL;
	return 0;
}

static int ask(void *context, uint64_t offset, struct extents *ret_extents)
{
	struct image *image = context;
	uint64_t bytes = 0, end;
	struct listing listing = { .extents = ret_extents };
	bool has_map = (image->features & RBD_FEATURE_FAST_DIFF) != 0;
	int r = rbd_get_size(image->handle, &bytes);

	if (r < 0)
		return r;
	offset -= offset % image->object_bytes;
	end = offset + ASKED * image->object_bytes;
	if (end > bytes)
		end = bytes;
	if (end <= offset)
		return -EOPNOTSUPP;
	ret_extents->offset = listing.end = offset;
	r = rbd_diff_iterate2(image->handle, NULL, offset, end - offset, 1, has_map, on_extent,
			      &listing);
	if (r == FULL)
		return 0;
	if (r == 0)
		(void)add(&listing, listing.end, end, true);
	return r;
}

int rbd_find_data(void *context, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
	struct image *image = context;
	uint64_t bytes;
	int r;

	/* Somebody may be writing: the list could be older than what is read. */
	if (image->options.no_lock && image->spec.snapshot == NULL)
		return -EOPNOTSUPP;
	r = rbd_get_size(image->handle, &bytes);
	if (r < 0)
		return r;
	return extents_find_data(&image->extents, &image->env, bytes, ask, image, offset, ret_begin,
				 ret_end);
}
