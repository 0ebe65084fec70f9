/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Repairing what a failed write left on the device, before anything relies on it; and flushing.
 *
 * Memory has what the list is; an area that was not written whole, or areas whose clearing failed
 * half way, are written again.
 */
#include "exceptions/store_private.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "exceptions/area.h"
#include "io/io.h"

int store_flush_metadata(struct uds_exception_store *store, struct uds_message *message)
{
	int r = io_flush(store->io, message);

	if (r < 0) {
		/*
		 * Remembered for the next flush of a caller: the system may report it once only,
		 * and the data may be lost.
		 */
		pthread_mutex_lock(&store->lock);
		store->flush_error = r;
		pthread_mutex_unlock(&store->lock);
	}
	return r;
}

/* All but the last sector of an area, and then that: the reverse of taking it off. */
static int restore(struct uds_exception_store *store, bool last, uint8_t *scratch,
		   struct uds_message *message)
{
	const struct cow_geometry *g = &store->geometry;
	uint64_t last_sector = (g->chunk_bytes - SECTOR_BYTES) / COW_ENTRY_BYTES;
	int r = 0;

	for (size_t i = 0; i < store->saved_count && r == 0; i++) {
		const struct saved_area *saved = &store->saved[i];
		uint64_t end = saved->first > last_sector ? saved->first : last_sector;

		memcpy(scratch, saved->bytes, (size_t)g->chunk_bytes);
		/*
		 * First without what was to go of the last sector, so that no area looks full while
		 * one behind it is not restored. What was to stay there is not on the origin: it
		 * must not be missing for a moment.
		 */
		if (!last)
			memset(scratch + end * COW_ENTRY_BYTES, 0,
			       (size_t)((g->per_area - end) * COW_ENTRY_BYTES));
		r = area_write(store->io, g, saved->area, scratch, 0, g->per_area, message);
	}
	return r < 0 ? r : store_flush_metadata(store, message);
}

static int restore_areas(struct uds_exception_store *store, struct uds_message *message)
{
	uint8_t *scratch;
	int r;

	if (store->saved_count == 0)
		return 0;
	scratch = io_allocate_buffer(store->io, &store->env, store->geometry.chunk_bytes);
	if (scratch == NULL)
		return failure(message, -ENOMEM, "%s: no memory for an area",
			       uds_io_name(store->io));
	r = restore(store, false, scratch, message);
	if (r == 0)
		r = restore(store, true, scratch, message);
	env_release(&store->env, scratch);
	if (r < 0)
		return r;
	/* Only when both steps are durable: until then another try needs the contents. */
	for (size_t i = 0; i < store->saved_count; i++)
		env_release(&store->env, store->saved[i].bytes);
	env_release(&store->env, store->saved);
	store->saved = NULL;
	store->saved_count = 0;
	return 0;
}

int store_settle(struct uds_exception_store *store, struct uds_message *message)
{
	int r;

	if (!store->unclean)
		return 0;
	r = restore_areas(store, message);
	/* The whole area: which of its sectors the failed write changed is not known. */
	if (r == 0)
		r = area_write(store->io, &store->geometry, store->current_area, store->area, 0,
			       store->geometry.per_area, message);
	if (r == 0)
		r = store_flush_metadata(store, message);
	if (r < 0)
		return r;
	pthread_mutex_lock(&store->lock);
	store->unclean = false;
	pthread_mutex_unlock(&store->lock);
	return 0;
}

int store_repair(struct uds_exception_store *store, struct uds_message *message)
{
	bool unclean;
	int r;

	pthread_mutex_lock(&store->lock);
	unclean = store->unclean;
	pthread_mutex_unlock(&store->lock);
	if (!unclean)
		return 0;
	store_acquire(store);
	r = store_settle(store, message);
	store_release(store);
	return r;
}

int store_flush(struct uds_exception_store *store, struct uds_message *message)
{
	int r, earlier;

	store_acquire(store);
	r = store_settle(store, message);
	if (r == 0)
		r = io_flush(store->io, message);
	pthread_mutex_lock(&store->lock);
	/*
	 * Reported once: what an earlier flush failed for may be lost, and a second one would say
	 * that all is well (12).
	 */
	earlier = store->flush_error;
	store->flush_error = 0;
	pthread_mutex_unlock(&store->lock);
	store_release(store);
	if (r == 0 && earlier < 0)
		r = failure(message, earlier, "%s: an earlier flush failed: %s",
			    uds_io_name(store->io), uds_strerror(earlier));
	return r;
}
