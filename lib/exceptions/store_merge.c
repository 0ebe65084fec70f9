/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Merging, as far as the list is concerned: what comes next, and taking it off.
 *
 * The list is cut from its end, an area at a time. Nothing in memory changes before the write that
 * it stands for is durable: a failed read leaves the place where it was, a failed write the entries
 * and the map.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "exceptions/area.h"
#include "exceptions/store.h"
#include "io/io.h"

struct cow_geometry store_geometry(struct uds_exception_store *store)
{
	struct cow_geometry geometry;

	pthread_mutex_lock(&store->lock);
	geometry = store->geometry;
	pthread_mutex_unlock(&store->lock);
	return geometry;
}

struct refusal {
	struct uds_exception_store *store;
	uint64_t count;
	struct uds_message first; /* about the first entry */
};

/* What about an entry cannot be merged: "", or it and the size that it goes against. */
static struct uds_message obstacle(const struct uds_exception_store *store,
				   const struct uds_exception *e)
{
	const struct cow_geometry *g = &store->geometry;
	struct uds_message why = { "" };

	if (e->new_chunk >= g->device_chunks)
		failure(&why, 0,
			"the new chunk is behind the end of the device, which has %" PRIu64
			" bytes, %" PRIu64 " whole chunks",
			g->device_bytes, g->device_chunks);
	else if (cow_is_metadata(g, e->new_chunk))
		failure(&why, 0, "the new chunk is the place of an area");
	else if (store_behind_origin(store, e->old_chunk))
		failure(&why, 0,
			"the old chunk is behind the end of the origin, which has %" PRIu64
			" bytes",
			store->origin_bytes);
	return why;
}

static int count_obstacle(void *context, uint64_t area, uint64_t index,
			  const struct uds_exception *e)
{
	struct refusal *refusal = context;
	struct uds_message why = obstacle(refusal->store, e);

	if (why.text[0] == '\0')
		return 0;
	if (refusal->count++ == 0)
		failure(&refusal->first, 0,
			"area %" PRIu64 ", entry %" PRIu64 ": old chunk %" PRIu64
			" -> new chunk %" PRIu64 ": %s",
			area, index, e->old_chunk, e->new_chunk, why.text);
	return 0;
}

int store_refuse_merge(struct uds_exception_store *store, struct uds_message *message)
{
	const char *name = uds_io_name(store->io);
	struct refusal refusal = { .store = store };
	int r = store_walk(store, count_obstacle, &refusal, message);

	if (r < 0 || refusal.count == 0)
		return r;
	if (refusal.count == 1)
		return failure(message, UDS_ERR_CORRUPT, "%s: cannot be merged: %s", name,
			       refusal.first.text);
	return failure(message, UDS_ERR_CORRUPT,
		       "%s: cannot be merged: %s; and %" PRIu64 " more like it", name,
		       refusal.first.text, refusal.count - 1);
}

static int check_mergeable(struct uds_exception_store *store, bool salvage,
			   struct uds_message *message)
{
	const struct store_damage *d = &store->damage;
	const char *name = uds_io_name(store->io);

	if (store->read_only)
		return failure(message, UDS_ERR_READ_ONLY, "%s: opened to read only", name);
	if (!store->valid && !store->salvage)
		return failure(message, UDS_ERR_INVALID_SNAPSHOT,
			       "%s: the snapshot is marked invalid: it must not be merged", name);
	if (d->old_behind_origin != 0 || (!salvage && d->new_behind_end + d->new_is_metadata != 0))
		return store_refuse_merge(store, message);
	return 0;
}

int store_begin_merge(struct uds_exception_store *store, bool salvage, struct uds_message *message)
{
	int r = check_mergeable(store, salvage, message);

	if (r < 0)
		return r;
	pthread_mutex_lock(&store->lock);
	if (store->ring_live > 0)
		r = failure(message, UDS_ERR_BAD_STATE,
			    "%s: %zu exceptions are given out and not committed",
			    uds_io_name(store->io), store->ring_live);
	else
		store->merging = true;
	pthread_mutex_unlock(&store->lock);
	return r < 0 ? r : store_settle(store, message);
}

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
	if (area != NULL)
		memcpy(before, area, (size_t)g.chunk_bytes);
	else
		r = area_read(store->io, &g, store->current_area - 1, before, message);
	if (r == 0 && cow_entry_new(before, g.per_area - 1) == 0)
		r = failure(message, UDS_ERR_CORRUPT,
			    "%s: area %" PRIu64
			    " was full when the store was opened, and is not now",
			    uds_io_name(store->io), store->current_area - 1);
	if (r < 0) {
		env_release(&store->env, before);
		return r;
	}
	pthread_mutex_lock(&store->lock);
	store->area = before;
	store->current_area--;
	store->committed = g.per_area;
	pthread_mutex_unlock(&store->lock);
	env_release(&store->env, old);
	return 0;
}

bool store_is_hidden(struct uds_exception_store *store, const struct uds_exception *exception)
{
	struct map_run run;
	bool found;

	pthread_rwlock_rdlock(&store->map_lock);
	found = map_find(store->map, exception->old_chunk, &run);
	pthread_rwlock_unlock(&store->map_lock);
	return !found || run.new_chunk != exception->new_chunk;
}

static void get_entry(const uint8_t *area, uint64_t index, struct uds_exception *ret_exception)
{
	ret_exception->old_chunk = cow_entry_old(area, index);
	ret_exception->new_chunk = cow_entry_new(area, index);
}

/* Entries [index, ...) of the area that are consecutive on both sides, ending before @end. */
static struct map_run entry_run(const uint8_t *area, uint64_t index, uint64_t end)
{
	struct uds_exception first, e;
	struct map_run run;

	get_entry(area, index, &first);
	run.old_chunk = first.old_chunk;
	run.new_chunk = first.new_chunk;
	run.count = 1;
	while (index + run.count < end) {
		get_entry(area, index + run.count, &e);
		if (e.old_chunk != first.old_chunk + run.count ||
		    e.new_chunk != first.new_chunk + run.count)
			break;
		run.count++;
	}
	return run;
}

/* An entry that only repeats an earlier one: the map keeps what the earlier one says. */
static bool take_repeated(struct uds_exception_store *store, uint64_t old_chunk)
{
	size_t low = 0, count = store->repeated_count;

	while (count > 0) {
		struct repeated_entry *e = &store->repeated[low + count / 2];

		if (e->old_chunk == old_chunk) {
			if (e->times == 0)
				return false;
			e->times--;
			return true;
		}
		if (e->old_chunk < old_chunk) {
			low += count / 2 + 1;
			count -= count / 2 + 1;
		} else {
			count /= 2;
		}
	}
	return false;
}

/* Cuts the map where the runs of these entries begin and end, so that unmapping cannot fail. */
int store_cut_map(struct uds_exception_store *store, const uint8_t *area, uint64_t first,
		  uint64_t end)
{
	bool singly = store->repeated_count > 0;
	int r = 0;

	pthread_rwlock_wrlock(&store->map_lock);
	for (uint64_t i = first; i < end && r == 0;) {
		struct map_run run = entry_run(area, i, singly ? i + 1 : end);

		r = map_split(store->map, run.old_chunk);
		if (r == 0)
			r = map_split(store->map, run.old_chunk + run.count);
		i += run.count;
	}
	pthread_rwlock_unlock(&store->map_lock);
	return r;
}

/*
 * Only pairs that are in the map as such go: what hides another entry stays until it is taken off
 * itself.
 */
void store_unmap(struct uds_exception_store *store, const uint8_t *area, uint64_t first,
		 uint64_t end)
{
	bool singly = store->repeated_count > 0;

	pthread_rwlock_wrlock(&store->map_lock);
	for (uint64_t i = first; i < end;) {
		struct map_run run = entry_run(area, i, singly ? i + 1 : end), there;

		i += run.count;
		if (singly && map_find(store->map, run.old_chunk, &there) &&
		    there.new_chunk == run.new_chunk && take_repeated(store, run.old_chunk))
			continue;
		map_erase(store->map, &run);
	}
	pthread_rwlock_unlock(&store->map_lock);
}

void store_count_off(struct uds_exception_store *store, uint64_t count)
{
	store->exceptions -= count;
	/* A list that went on where it cannot be read ends before that now. */
	store->list_status = 0;
	if (store->exceptions == 0)
		memset(&store->damage, 0, sizeof(store->damage));
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
		store->next_free = cow_area_chunk(g, store->current_area) + first + 1;
	} else {
		store->unclean = true;
	}
	pthread_mutex_unlock(&store->lock);
	env_release(&store->env, kept);
	return r < 0 ? failure_in(message, r, "area %" PRIu64, store->current_area) : 0;
}

/*
 * What allocation goes on from: behind the highest new chunk that is left, as when it is opened
 * anew.
 */
static uint64_t highest_left(const struct uds_exception_store *store)
{
	uint64_t highest = area_highest_new(store->area, store->committed);

	for (uint64_t k = 0; k < store->current_area; k++)
		highest = store->area_highest[k] > highest ? store->area_highest[k] : highest;
	return highest;
}

int store_end_merge(struct uds_exception_store *store, struct uds_message *message)
{
	uint64_t highest;
	int r;

	if (!store->merging)
		return 0;
	r = store_settle(store, message);
	if (r < 0)
		return r;
	highest = highest_left(store);
	pthread_mutex_lock(&store->lock);
	store->merging = false;
	store->prepared = 0;
	store->next_free = highest == 0 ? COW_FIRST_DATA_CHUNK
					: cow_skip_metadata(&store->geometry, highest + 1);
	pthread_mutex_unlock(&store->lock);
	return 0;
}

UDS_PUBLIC int uds_exception_store_end_merge(struct uds_exception_store *store)
{
	struct uds_message message = { "" };
	int r;

	failures_begin(store->failures);
	store_acquire(store);
	r = store_end_merge(store, &message);
	store_release(store);
	store_failed(store, r, &message);
	return store_end(store, r, "ending a merge");
}

/* With the baton: the newest entries are those before committed of the area in memory. */
static int prepare(struct uds_exception_store *store, struct uds_message *message)
{
	int r;

	store->prepared = 0;
	r = store_begin_merge(store, false, message);
	if (r < 0)
		return r;
	return store_step_back(store, NULL, message);
}

UDS_PUBLIC int uds_exception_store_prepare_merge(struct uds_exception_store *store,
						 struct uds_exception *ret_last,
						 uint64_t *ret_count)
{
	struct uds_message message = { "" };
	struct uds_exception last, e;
	uint64_t n = 0;
	int r;

	failures_begin(store->failures);
	store_acquire(store);
	r = prepare(store, &message);
	if (r == 0 && store->committed > 0) {
		get_entry(store->area, store->committed - 1, &last);
		for (n = 1; n < store->committed; n++) {
			get_entry(store->area, store->committed - 1 - n, &e);
			if (e.old_chunk != last.old_chunk - n || e.new_chunk != last.new_chunk - n)
				break;
		}
		*ret_last = last;
	}
	if (r == 0) {
		store->prepared = n;
		*ret_count = n;
	}
	store_release(store);
	store_failed(store, r, &message);
	return store_end(store, r, "preparing a merge");
}

UDS_PUBLIC int uds_exception_store_prepare_merge_batch(struct uds_exception_store *store,
						       struct uds_exception *ret_exceptions,
						       bool *ret_hidden, size_t room,
						       size_t *ret_count)
{
	struct uds_message message = { "" };
	size_t n = 0;
	int r;

	failures_begin(store->failures);
	store_acquire(store);
	r = prepare(store, &message);
	if (r == 0) {
		n = room < store->committed ? room : (size_t)store->committed;
		for (size_t i = 0; i < n; i++) {
			get_entry(store->area, store->committed - n + i, &ret_exceptions[i]);
			if (ret_hidden != NULL)
				ret_hidden[i] = store_is_hidden(store, &ret_exceptions[i]);
		}
		store->prepared = n;
		*ret_count = n;
	}
	store_release(store);
	store_failed(store, r, &message);
	return store_end(store, r, "preparing a merge");
}

UDS_PUBLIC int uds_exception_store_commit_merge(struct uds_exception_store *store, uint64_t count)
{
	struct uds_message message = { "" };
	int r = 0;

	failures_begin(store->failures);
	store_acquire(store);
	if (store->prepared == 0)
		r = failure(&message, UDS_ERR_BAD_STATE, "%s: no merge was prepared",
			    uds_io_name(store->io));
	else if (count == 0 || count > store->prepared)
		r = failure(&message, -EINVAL,
			    "%s: %" PRIu64 " exceptions to take off, of %" PRIu64 " prepared",
			    uds_io_name(store->io), count, store->prepared);
	if (r == 0) {
		r = store_take_off(store, count, &message);
		store->prepared = 0;
	}
	store_release(store);
	store_failed(store, r, &message);
	return store_end(store, r, "taking merged exceptions off");
}
