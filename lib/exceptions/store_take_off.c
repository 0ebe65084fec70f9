/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking entries off the end of the list, an area at a time or several areas together.
 *
 * Nothing in memory changes before the write that it stands for is durable: a failed read leaves
 * the place where it was, a failed write the entries and the map.
 */
#include "exceptions/store_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "exceptions/area.h"
#include "io/io.h"

int store_step_back(struct uds_exception_store *store, const uint8_t *area,
		    struct uds_message *message)
{
	struct cow_geometry g = store_geometry(store);
	uint8_t *before, *old = store->area;
	int r = 0;

	if (store->committed > 0 || store->current_area == 0)
		return 0;
	before = io_allocate_buffer(store->io, &store->env, g.chunk_bytes);
	if (before == NULL)
		return failure(message, -ENOMEM, "%s: no memory for an area",
			       uds_io_name(store->io));
	/* A merge has read it already, ahead of what is committed. */
	if (area != NULL)
		memcpy(before, area, (size_t)g.chunk_bytes);
	else
		r = area_read(store->io, &g, store->current_area - 1, before, message);
	if (r == 0)
		r = area_check_full(store->io, &g, store->current_area - 1, before, message);
	if (r < 0) {
		env_release(&store->env, before);
		return r;
	}
	/*
	 * Only now: a failed read leaves the place where it was, and can be tried again (13, D4).
	 */
	pthread_mutex_lock(&store->lock);
	store->area = before;
	store->current_area--;
	store->committed = g.per_area;
	pthread_mutex_unlock(&store->lock);
	env_release(&store->env, old);
	return 0;
}

int store_take_off(struct uds_exception_store *store, uint64_t count, struct uds_message *message)
{
	const struct cow_geometry *g = &store->geometry;
	uint64_t first = store->committed - count;
	uint8_t *at = store->area + first * COW_ENTRY_BYTES;
	size_t bytes = (size_t)(count * COW_ENTRY_BYTES);
	uint8_t *kept = env_allocate(&store->env, 1, bytes);
	int r = kept == NULL ? -ENOMEM : store_cut_map(store, store->area, first, store->committed);

	if (r < 0) {
		env_release(&store->env, kept);
		return failure(message, r, "%s: no memory to take off %" PRIu64 " exceptions",
			       uds_io_name(store->io), count);
	}
	/*
	 * Only for the write: until it is durable, memory must say what the device may still say.
	 */
	memcpy(kept, at, bytes);
	memset(at, 0, bytes);
	r = area_write(store->io, g, store->current_area, store->area, first, count, message);
	if (r == 0)
		r = store_flush_metadata(store, message);
	memcpy(at, kept, bytes);
	if (r == 0)
		store_unmap(store, store->area, first, store->committed);
	pthread_mutex_lock(&store->lock);
	if (r == 0) {
		memset(at, 0, bytes);
		store->committed = first;
		store_count_off(store, count);
		/* The figure that the kernel shows while it merges (11.4). */
		store->next_free = cow_area_chunk(g, store->current_area) + first + 1;
	} else {
		store->unclean = true;
	}
	pthread_mutex_unlock(&store->lock);
	env_release(&store->env, kept);
	return r < 0 ? failure_in(message, r, "area %" PRIu64, store->current_area) : 0;
}

/* With the baton. */
static int take_off_at_once(struct uds_exception_store *store, struct uds_io_engine *engine,
			    struct area_cut *cuts, size_t count, struct uds_message *message)
{
	int r = store_settle(store, message);

	if (r == 0)
		r = store_step_back(store, cuts[0].content, message);
	if (r < 0)
		return r;
	return count == 1 ? store_take_off(store, cuts[0].count, message)
			  : store_take_off_areas(store, engine, cuts, count, message);
}

int store_take_off_cuts(struct uds_exception_store *store, struct uds_io_engine *engine,
			struct area_cut *cuts, size_t count, uint64_t *ret_entries,
			uint64_t *ret_rounds, struct uds_message *message)
{
	uint64_t at_once = store_areas_at_once(store->geometry.chunk_bytes);
	int r = 0;

	*ret_entries = 0;
	*ret_rounds = 0;
	for (size_t i = 0, n; i < count && r == 0; i += n) {
		n = count - i < at_once ? count - i : (size_t)at_once;
		store_acquire(store);
		r = take_off_at_once(store, engine, cuts + i, n, message);
		store_release(store);
		/* Counted even if a later round fails: these are off. */
		for (size_t k = i; k < i + n && r == 0; k++)
			*ret_entries += cuts[k].count;
		*ret_rounds += r == 0;
	}
	return r;
}
