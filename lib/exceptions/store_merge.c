/* SPDX-License-Identifier: BSD-2-Clause */
/* The role of merging: what refuses it, beginning and ending it, and its public functions. */
#include "exceptions/store_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/message.h"
#include "base/visibility.h"
#include "io/io.h"

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

/* With the baton. */
static int refuse_merge(struct uds_exception_store *store, struct uds_message *message)
{
	const char *name = uds_io_name(store->io);
	struct refusal refusal = { .store = store };
	int r = store_for_each_entry(store, count_obstacle, &refusal, message);

	if (r < 0 || refusal.count == 0)
		return r;
	if (refusal.count == 1)
		return failure(message, UDS_ERR_CORRUPT, "%s: cannot be merged: %s", name,
			       refusal.first.text);
	return failure(message, UDS_ERR_CORRUPT,
		       "%s: cannot be merged: %s; and %" PRIu64 " more like it", name,
		       refusal.first.text, refusal.count - 1);
}

int store_refuse_merge(struct uds_exception_store *store, struct uds_message *message)
{
	int r;

	store_acquire(store);
	r = refuse_merge(store, message);
	store_release(store);
	return r;
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
	/* Counted at opening, so the usual merge does not read the list for this. */
	if (d->old_behind_origin != 0 || (!salvage && d->new_behind_end + d->new_is_metadata != 0))
		return refuse_merge(store, message);
	return 0;
}

/* With the baton. */
static int begin_merge(struct uds_exception_store *store, bool salvage, struct uds_message *message)
{
	int r = check_mergeable(store, salvage, message);

	if (r < 0)
		return r;
	pthread_mutex_lock(&store->lock);
	/* They would be committed behind entries that the merge has taken off. */
	if (store->ring_live > 0)
		r = failure(message, UDS_ERR_BAD_STATE,
			    "%s: %zu exceptions are given out and not committed",
			    uds_io_name(store->io), store->ring_live);
	else
		store->merging = true;
	pthread_mutex_unlock(&store->lock);
	/* A torn area from an earlier failure must not be what is stepped back to. */
	if (r == 0)
		r = store_settle(store, message);
	return r < 0 ? r : store_clean_behind(store, message);
}

int store_begin_merge(struct uds_exception_store *store, bool salvage, struct uds_message *message)
{
	int r;

	store_acquire(store);
	r = begin_merge(store, salvage, message);
	store_release(store);
	return r;
}

/*
 * What allocation goes on from: behind the highest new chunk that is left, as when it
 * is opened again.
 */
static uint64_t highest_left(const struct uds_exception_store *store)
{
	uint64_t highest = area_highest_new(store->area, store->committed);

	for (uint64_t k = 0; k < store->current_area; k++)
		highest = store->area_highest[k] > highest ? store->area_highest[k] : highest;
	return highest;
}

/* With the baton. */
static int end_merge(struct uds_exception_store *store, struct uds_message *message)
{
	uint64_t highest;
	int r;

	if (!store->merging)
		return 0;
	/*
	 * While this fails the merge stays begun: nothing may be allocated behind entries that may
	 * still be on the device.
	 */
	r = store_settle(store, message);
	if (r < 0)
		return r;
	highest = highest_left(store);
	pthread_mutex_lock(&store->lock);
	store->merging = false;
	store->prepared = 0;
	/*
	 * The rule of opening, not the merge's figure: with holes that is lower than chunks in use
	 * (11.4).
	 */
	store->next_free = highest == 0 ? COW_FIRST_DATA_CHUNK
					: cow_skip_metadata(&store->geometry, highest + 1);
	pthread_mutex_unlock(&store->lock);
	return 0;
}

int store_end_merge(struct uds_exception_store *store, struct uds_message *message)
{
	int r;

	store_acquire(store);
	r = end_merge(store, message);
	store_release(store);
	return r;
}

UDS_PUBLIC int uds_exception_store_end_merge(struct uds_exception_store *store)
{
	struct uds_message message = { "" };
	int r;

	store_begin_exclusive(store);
	r = end_merge(store, &message);
	return store_end_exclusive(store, r, &message, "ending a merge");
}

/* With the baton: the newest entries are those before committed of the area in memory. */
static int prepare(struct uds_exception_store *store, struct uds_message *message)
{
	int r;

	store->prepared = 0;
	r = begin_merge(store, false, message);
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

	store_begin_exclusive(store);
	r = prepare(store, &message);
	if (r == 0 && store->committed > 0) {
		last = area_entry(store->area, store->committed - 1);
		for (n = 1; n < store->committed; n++) {
			e = area_entry(store->area, store->committed - 1 - n);
			/*
			 * Old and new must run down together: only then is the run one copy (11.2).
			 */
			if (e.old_chunk != last.old_chunk - n || e.new_chunk != last.new_chunk - n)
				break;
		}
		*ret_last = last;
	}
	if (r == 0) {
		store->prepared = n;
		*ret_count = n;
	}
	return store_end_exclusive(store, r, &message, "preparing a merge");
}

UDS_PUBLIC int uds_exception_store_prepare_merge_batch(struct uds_exception_store *store,
						       struct uds_exception *ret_exceptions,
						       bool *ret_hidden, size_t room,
						       size_t *ret_count)
{
	struct uds_message message = { "" };
	size_t n = 0;
	int r;

	store_begin_exclusive(store);
	r = prepare(store, &message);
	if (r == 0) {
		n = room < store->committed ? room : (size_t)store->committed;
		for (size_t i = 0; i < n; i++) {
			ret_exceptions[i] = area_entry(store->area, store->committed - n + i);
			if (ret_hidden != NULL)
				ret_hidden[i] = store_is_hidden(store, &ret_exceptions[i]);
		}
		store->prepared = n;
		*ret_count = n;
	}
	return store_end_exclusive(store, r, &message, "preparing a merge");
}

UDS_PUBLIC int uds_exception_store_commit_merge(struct uds_exception_store *store, uint64_t count)
{
	struct uds_message message = { "" };
	int r = 0;

	store_begin_exclusive(store);
	/* More than was prepared has not been copied (11.2). */
	if (store->prepared == 0)
		r = failure(&message, UDS_ERR_BAD_STATE, "%s: no merge was prepared",
			    uds_io_name(store->io));
	else if (count == 0 || count > store->prepared)
		r = failure(&message, UDS_ERR_BAD_STATE,
			    "%s: %" PRIu64 " exceptions to take off, of %" PRIu64 " prepared",
			    uds_io_name(store->io), count, store->prepared);
	if (r == 0) {
		r = store_take_off(store, count, &message);
		/* Also after a failure: the caller has to prepare again. */
		store->prepared = 0;
	}
	return store_end_exclusive(store, r, &message, "taking merged exceptions off");
}
