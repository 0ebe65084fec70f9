/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures about a store, and where its old chunks live. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "exceptions/store_private.h"
#include "io/io.h"

UDS_PUBLIC const char *uds_exception_store_state_name(enum uds_exception_store_state state)
{
	switch (state) {
	case UDS_STORE_EMPTY:
		return "empty";
	case UDS_STORE_ACTIVE:
		return "active";
	case UDS_STORE_FULL:
		return "full";
	case UDS_STORE_INVALID:
		return "invalid";
	case UDS_STORE_DAMAGED:
		return "damaged";
	}
	return "unknown";
}

UDS_PUBLIC const char *uds_exception_store_state_meaning(enum uds_exception_store_state state)
{
	switch (state) {
	case UDS_STORE_EMPTY:
		return "The store holds nothing: the snapshot equals the origin.";
	case UDS_STORE_ACTIVE:
		return "The snapshot is whole and can grow.";
	case UDS_STORE_FULL:
		return "The snapshot is whole, but the next chunk that changes makes it overflow: "
		       "enlarge the COW device, or merge or remove the snapshot.";
	case UDS_STORE_INVALID:
		return "The snapshot could not be kept right and was given up: its content is "
		       "lost, "
		       "but for what can be salvaged; the origin is not concerned.";
	case UDS_STORE_DAMAGED:
		return "Some entries contradict the format: the store can be read, and is not "
		       "written; a check names the entries.";
	}
	return "";
}

static uint64_t saturated_sectors(uint64_t chunks, uint64_t chunk_bytes)
{
	uint64_t sectors;

	/* Of a damaged entry the numbers may be anything. */
	return __builtin_mul_overflow(chunks, chunk_bytes / SECTOR_BYTES, &sectors) ? UINT64_MAX
										    : sectors;
}

/* With the lock. */
static enum uds_exception_store_state state_of(const struct uds_exception_store *store)
{
	if (!store->valid)
		return UDS_STORE_INVALID;
	if (store_is_damaged(store))
		return UDS_STORE_DAMAGED;
	if (store_room(store) == 0)
		return UDS_STORE_FULL;
	return store->exceptions == 0 ? UDS_STORE_EMPTY : UDS_STORE_ACTIVE;
}

static void fill_counters(const struct uds_exception_store *store,
			  struct uds_exception_store_status *status)
{
	status->new_behind_end = store->damage.new_behind_end;
	status->new_is_metadata = store->damage.new_is_metadata;
	status->new_twice = store->damage.new_twice;
	status->old_twice = store->damage.old_twice;
	status->old_behind_origin = store->damage.old_behind_origin;
	status->stale_entries = store->stale_entries;
	status->unordered = store->unordered;
	status->list_status = store->list_status;
}

static void fill_usage(struct uds_exception_store *store, struct uds_exception_store_status *status)
{
	uint64_t chunk_bytes = store->geometry.chunk_bytes;

	status->exceptions = store->exceptions;
	status->current_area = store->current_area;
	status->committed = store->committed;
	status->next_free = store->next_free;
	status->allocated_sectors = saturated_sectors(store->next_free, chunk_bytes);
	/* The header, and the areas from 0 to the current one. */
	status->metadata_sectors = saturated_sectors(store->current_area + 2, chunk_bytes);
	pthread_rwlock_rdlock(&store->map_lock);
	/* Left at 0 where the map is empty. */
	(void)map_highest(store->map, &status->highest_old);
	status->map_bytes = map_bytes(store->map);
	pthread_rwlock_unlock(&store->map_lock);
	status->memory_bytes = sizeof(*store) + status->map_bytes + map_bytes(store->pending) +
			       store->geometry.chunk_bytes +
			       store->ring_room * sizeof(store->ring[0]) +
			       store->area_highest_room * sizeof(store->area_highest[0]);
}

UDS_PUBLIC int uds_exception_store_get_status(const struct uds_exception_store *given,
					      struct uds_exception_store_status *ret_status)
{
	/* Its lock, and the size that is known of the device, are nothing that a caller sees. */
	struct uds_exception_store *store = (struct uds_exception_store *)(uintptr_t)given;
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct uds_message message;
	int r = STRUCT_OUT_CHECK(ret_status, uds_exception_store_status, list_status, &message);

	failures_begin(store->failures);
	if (r < 0)
		return store_end(store, r, &message, "its figures");
	pthread_mutex_lock(&store->lock);
	/* Its status does not matter: the size that is known so far will do. */
	store_update_size(store);
	status.state = state_of(store);
	status.valid = store->valid;
	status.version = store->version;
	status.chunk_bytes = store->geometry.chunk_bytes;
	status.total_sectors = store->geometry.device_bytes / SECTOR_BYTES;
	if (store->valid || store->salvage)
		fill_usage(store, &status);
	if (store->valid)
		status.room = store_room(store);
	fill_counters(store, &status);
	pthread_mutex_unlock(&store->lock);
	struct_out(ret_status, &status, sizeof(status));
	return 0;
}

UDS_PUBLIC int uds_exception_store_status_line(const struct uds_exception_store *store,
					       char *ret_line, size_t room)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	char line[96];
	size_t n;

	uds_exception_store_get_status(store, &status);
	if (status.valid)
		snprintf(line, sizeof(line), "%" PRIu64 "/%" PRIu64 " %" PRIu64,
			 status.allocated_sectors, status.total_sectors, status.metadata_sectors);
	else
		snprintf(line, sizeof(line), "Invalid");
	n = strlen(line) + 1;
	if (n > room)
		return failures_say(store->failures, -ERANGE,
				    "%s: the status line takes %zu bytes, there is room for %zu",
				    uds_io_name(store->io), n, room);
	memcpy(ret_line, line, n);
	return 0;
}

UDS_PUBLIC uint64_t uds_exception_store_chunk_bytes(const struct uds_exception_store *store)
{
	return store->geometry.chunk_bytes;
}

UDS_PUBLIC int uds_exception_store_lookup(struct uds_exception_store *store, uint64_t old_chunk,
					  uint64_t *ret_new, uint64_t *ret_count)
{
	struct map_run run;
	bool found = store_find(store, old_chunk, &run);

	if (found)
		*ret_new = run.new_chunk;
	if (ret_count != NULL)
		*ret_count = run.count;
	return found;
}

UDS_PUBLIC int uds_exception_store_for_each_range(struct uds_exception_store *store,
						  uint64_t first_old, uint64_t count,
						  uds_exception_range_fn each, void *context)
{
	uint64_t end = count < UINT64_MAX - first_old ? first_old + count : UINT64_MAX;
	const struct uds_message none = { "" };
	struct map_run run, next;
	uint64_t at = first_old;
	bool more;

	failures_begin(store->failures);
	for (;;) {
		/* The lock is not held while @each runs: it may take its time. */
		pthread_rwlock_rdlock(&store->map_lock);
		more = map_next(store->map, at, &run) && run.old_chunk < end;
		/*
		 * Extents are bounded in length, and single entries are not joined: the caller
		 * wants the whole range.
		 */
		while (more && map_find(store->map, run.old_chunk + run.count, &next) &&
		       next.new_chunk == run.new_chunk + run.count)
			run.count += next.count;
		pthread_rwlock_unlock(&store->map_lock);
		if (!more)
			return 0;
		if (run.count > end - run.old_chunk)
			run.count = end - run.old_chunk;
		if (each(context, run.old_chunk, run.new_chunk, run.count) != 0)
			return store_end(store, UDS_ERR_STOPPED, &none, "going through its ranges");
		at = run.old_chunk + run.count;
	}
}
