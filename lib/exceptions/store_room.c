/* SPDX-License-Identifier: BSD-2-Clause */
/* How many more exceptions fit on the device. */
#include "exceptions/store_private.h"

int store_update_size(struct uds_exception_store *store)
{
	struct cow_geometry *g = &store->geometry;
	uint64_t bytes;
	int r = uds_io_size(store->io, &bytes);

	if (r < 0)
		return r;
	/*
	 * Only upwards: a device that shrinks has lost what was behind its end, which reads will
	 * say.
	 */
	g->device_bytes = bytes > g->device_bytes ? bytes : g->device_bytes;
	g->device_chunks = g->device_bytes / g->chunk_bytes;
	return 0;
}

/* The number, from 0, that the next exception to be given out will have in the list. */
static uint64_t next_index(const struct uds_exception_store *store)
{
	return store->current_area * store->geometry.per_area + store->committed + store->ring_live;
}

/*
 * Whether one more fits: its data chunk must lie on the device; and when it fills an area, the
 * chunk of the next area too, because a full area says that another follows.
 */
bool store_one_more_fits(const struct uds_exception_store *store)
{
	const struct cow_geometry *g = &store->geometry;
	uint64_t after = next_index(store) + 1;

	return store->next_free < g->device_chunks &&
	       (after % g->per_area != 0 ||
		cow_area_chunk(g, after / g->per_area) < g->device_chunks);
}

uint64_t store_room(const struct uds_exception_store *store)
{
	const struct cow_geometry *g = &store->geometry;
	uint64_t stride = g->per_area + 1, areas, data, entries, index = next_index(store);

	if (store->next_free >= g->device_chunks)
		return 0;
	/*
	 * Data chunks below n: n less the header and the areas, which are at 1, 1 + stride, ...
	 * Nothing wraps: next_free is 2 or more, so there are at least 3 chunks.
	 */
	areas = (g->device_chunks - 2) / stride + 1;
	data = (g->device_chunks - 1 - areas) -
	       (store->next_free - 1 - ((store->next_free - 2) / stride + 1));
	/* One entry less: the last area must never be full, as no other could follow. */
	entries = areas * g->per_area - 1;
	if (index >= entries)
		return 0;
	return data < entries - index ? data : entries - index;
}
