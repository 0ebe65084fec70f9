/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making exceptions: giving out new chunks, and putting the finished ones on the device.
 *
 * What was given out stands in a ring in order of allocation. A thread that commits marks its own
 * as finished and waits; the thread that finds the baton free takes all finished ones from the
 * front of the ring and writes them for everybody (the order of writes and flushes is in
 * write_part()). The others sleep.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "exceptions/area.h"
#include "exceptions/store_private.h"
#include "io/io.h"

#define FIRST_RING 64

static struct in_flight *ring_at(struct uds_exception_store *store, size_t i)
{
	return &store->ring[(store->ring_first + i) % store->ring_room];
}

static int ring_grow(struct uds_exception_store *store)
{
	size_t room = store->ring_room == 0 ? FIRST_RING : store->ring_room * 2;
	struct in_flight *ring;

	if (store->ring_count < store->ring_room)
		return 0;
	ring = env_allocate(&store->env, room, sizeof(ring[0]));
	if (ring == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < store->ring_count; i++)
		ring[i] = *ring_at(store, i);
	env_release(&store->env, store->ring);
	store->ring = ring;
	store->ring_room = room;
	store->ring_first = 0;
	return 0;
}

/* New chunks rise along the ring. */
static struct in_flight *ring_find(struct uds_exception_store *store,
				   const struct uds_exception *exception)
{
	size_t low = 0, count = store->ring_count;

	while (count > 0) {
		struct in_flight *f = ring_at(store, low + count / 2);

		/*
		 * Found by its new chunk, which is given out once; the old chunk has to be the one
		 * it was given for.
		 */
		if (f->exception.new_chunk == exception->new_chunk)
			return f->abandoned || f->exception.old_chunk != exception->old_chunk ? NULL
											      : f;
		if (f->exception.new_chunk < exception->new_chunk) {
			low += count / 2 + 1;
			count -= count / 2 + 1;
		} else {
			count /= 2;
		}
	}
	return NULL;
}

/* Takes abandoned ones from the front. */
static void ring_trim(struct uds_exception_store *store)
{
	while (store->ring_count > 0 && ring_at(store, 0)->abandoned) {
		store->ring_first = (store->ring_first + 1) % store->ring_room;
		store->ring_count--;
	}
}

static void pending_erase(struct uds_exception_store *store, const struct uds_exception *e)
{
	struct map_run run = { e->old_chunk, e->new_chunk, 1 };

	map_erase(store->pending, &run); /* these are never joined */
}

/* Why prepare refuses, in a sentence. */
static int refuse(struct uds_exception_store *store, int status, uint64_t old_chunk)
{
	const char *name = uds_io_name(store->io);
	struct uds_message why = { "" };

	if (status == UDS_ERR_CORRUPT && store_check_damage(store, &why) < 0)
		return failures_say(store->failures, status, "%s", why.text);
	if (status == UDS_ERR_NO_ROOM)
		return failures_say(store->failures, status,
				    "%s: full: no room for an exception for old chunk %" PRIu64
				    " after new chunk %" PRIu64 " of %" PRIu64,
				    name, old_chunk, store->next_free - 1,
				    store->geometry.device_chunks);
	return failures_say(store->failures, status,
			    "%s: no exception for old chunk %" PRIu64 ": %s", name, old_chunk,
			    uds_strerror(status));
}

static bool has_exception(struct uds_exception_store *store, uint64_t old_chunk)
{
	struct map_run run;

	return map_find(store->pending, old_chunk, &run) || store_find(store, old_chunk, &run);
}

/* With the lock. */
static int prepare(struct uds_exception_store *store, uint64_t old_chunk,
		   struct uds_exception *ret_exception)
{
	struct map_run run = { old_chunk, store->next_free, 1 };
	struct in_flight *f;
	int r = store_writable(store);

	if (r < 0)
		return r;
	/* The map packs chunk numbers, and no origin is as long. */
	if (old_chunk >= COW_OLD_CHUNK_LIMIT)
		return UDS_ERR_OVERFLOW;
	if (has_exception(store, old_chunk))
		return UDS_ERR_EXISTS;
	/* The device may have grown since: asked only when that would make a difference. */
	if (!store_one_more_fits(store))
		r = store_update_size(store);
	if (r < 0)
		return r; /* not known to be full */
	/*
	 * Before anything is written, so that a full store stays whole, where the kernel
	 * invalidates it at the entry that fills an area (6.5).
	 */
	if (!store_one_more_fits(store))
		return UDS_ERR_NO_ROOM;
	r = ring_grow(store);
	/* Pending, so that the same chunk is not given out twice and readers do not see it yet. */
	if (r == 0)
		r = map_insert(store->pending, &run);
	if (r < 0)
		return r;
	f = ring_at(store, store->ring_count);
	memset(f, 0, sizeof(*f));
	f->exception.old_chunk = old_chunk;
	f->exception.new_chunk = store->next_free;
	store->ring_count++;
	store->ring_live++;
	/* Strictly upwards, and never an area (6.2; 13, D1). */
	store->next_free = cow_skip_metadata(&store->geometry, store->next_free + 1);
	*ret_exception = f->exception;
	return 0;
}

UDS_PUBLIC int uds_exception_store_prepare(struct uds_exception_store *store, uint64_t old_chunk,
					   struct uds_exception *ret_exception)
{
	int r;

	failures_begin(store->failures);
	pthread_mutex_lock(&store->lock);
	r = prepare(store, old_chunk, ret_exception);
	if (r < 0)
		refuse(store, r, old_chunk);
	pthread_mutex_unlock(&store->lock);
	return r;
}

/* All of them given out, and not yet handed in? With the lock. */
static int check_handed_in(struct uds_exception_store *store, const struct uds_exception *e,
			   size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct in_flight *f = ring_find(store, &e[i]);

		if (f == NULL || f->waiter != NULL)
			return failures_say(store->failures, UDS_ERR_BAD_STATE,
					    "%s: old chunk %" PRIu64 " -> new chunk %" PRIu64
					    " was not given out, or is committed already",
					    uds_io_name(store->io), e[i].old_chunk, e[i].new_chunk);
	}
	return 0;
}

UDS_PUBLIC int uds_exception_store_abandon(struct uds_exception_store *store,
					   const struct uds_exception *exceptions, size_t count)
{
	int r;

	failures_begin(store->failures);
	pthread_mutex_lock(&store->lock);
	r = check_handed_in(store, exceptions, count);
	for (size_t i = 0; i < count && r == 0; i++) {
		struct in_flight *f = ring_find(store, &exceptions[i]);

		if (f == NULL)
			continue; /* named twice */
		f->abandoned = true;
		store->ring_live--;
		pending_erase(store, &f->exception);
	}
	/* The last ones never reached the device: their chunks can be given out again. */
	while (store->ring_count > 0 && ring_at(store, store->ring_count - 1)->abandoned) {
		store->ring_count--;
		store->next_free = ring_at(store, store->ring_count)->exception.new_chunk;
	}
	ring_trim(store);
	/* Somebody may wait for one that was in front and is gone. */
	pthread_cond_broadcast(&store->changed);
	pthread_mutex_unlock(&store->lock);
	return r;
}

/* How many finished ones stand at the front, at most @room; their pairs. With the lock. */
static size_t finished_ones(struct uds_exception_store *store, struct uds_exception *ret_pairs,
			    size_t room)
{
	size_t n = 0;

	ring_trim(store);
	for (size_t i = 0; i < store->ring_count && n < room; i++) {
		const struct in_flight *f = ring_at(store, i);

		if (f->abandoned)
			continue;
		/*
		 * The first one that is not finished ends it: entries are committed in the order of
		 * allocation, so that a crash leaves a prefix (6.3).
		 */
		if (f->waiter == NULL)
			break;
		if (ret_pairs != NULL)
			ret_pairs[n] = f->exception;
		n++;
	}
	return n;
}

/*
 * Reports @status to the threads that committed the first @count finished ones, and drops these.
 * With the lock.
 */
static void retire(struct uds_exception_store *store, size_t count, int status,
		   const struct uds_message *message)
{
	while (count > 0) {
		struct in_flight *f;

		ring_trim(store);
		f = ring_at(store, 0);
		/* The first failure stays: it is the cause. */
		if (status < 0 && f->waiter->status == 0) {
			f->waiter->status = status;
			f->waiter->message = *message;
		}
		f->waiter->remaining--;
		pending_erase(store, &f->exception);
		store->ring_first = (store->ring_first + 1) % store->ring_room;
		store->ring_count--;
		store->ring_live--;
		count--;
	}
}

/*
 * The writes of a commit, in the only safe order: the data is written already; when the area
 * becomes full, the next one is zeroed, because a full area says that it goes on there; a flush;
 * the area; a flush. Returns whether the area may have been touched in ret_touched.
 */
static int write_area(struct uds_exception_store *store, uint64_t first, uint64_t count, bool full,
		      bool *ret_touched, struct uds_message *message)
{
	const struct cow_geometry *g = &store->geometry;
	int r = 0;

	*ret_touched = false;
	if (full)
		r = cow_zero_chunk(store->io, &store->env, g->chunk_bytes,
				   cow_area_chunk(g, store->current_area + 1), message);
	/*
	 * Data and, where there are any, zeros are durable before the entries that need them (6.4).
	 */
	if (r == 0)
		r = store_flush_metadata(store, message);
	if (r < 0)
		return r;
	*ret_touched = true;
	/*
	 * An earlier write failed: what lies on the device outside of these entries is not known,
	 * so all is written.
	 */
	if (store->unclean)
		r = area_write(store->io, g, store->current_area, store->area, 0, g->per_area,
			       message);
	else
		r = area_write(store->io, g, store->current_area, store->area, first, count,
			       message);
	if (r == 0)
		r = store_flush_metadata(store, message);
	return r;
}

/* After the area is on the device: the same in memory. */
static void accept_part(struct uds_exception_store *store, size_t count, bool full)
{
	pthread_mutex_lock(&store->lock);
	store->unclean = false;
	store->committed += count;
	store->exceptions += count;
	if (full) {
		store->area_highest[store->current_area] =
			area_highest_new(store->area, store->geometry.per_area);
		store->current_area++;
		store->committed = 0;
		memset(store->area, 0, (size_t)store->geometry.chunk_bytes);
	}
	retire(store, count, 0, NULL);
	pthread_mutex_unlock(&store->lock);
}

/* Pairs that fit in the current area. With the baton; on failure everything is as before. */
static int write_part(struct uds_exception_store *store, const struct uds_exception *pairs,
		      size_t count, struct uds_message *message)
{
	bool full = store->committed + count == store->geometry.per_area, touched = false;
	int r = 0;

	/* Everything that needs memory, before the area changes. */
	if (full)
		r = store_reserve_area(store, store->current_area);
	if (r == 0)
		r = store_map_pairs(store, pairs, count);
	if (r < 0)
		return failure(message, r, "%s: no memory for %zu exceptions",
			       uds_io_name(store->io), count);
	for (size_t i = 0; i < count; i++)
		cow_entry_put(store->area, store->committed + i, pairs[i].old_chunk,
			      pairs[i].new_chunk);
	r = write_area(store, store->committed, count, full, &touched, message);
	/*
	 * As before, in memory. Whether the device has the new entries is not known: @unclean makes
	 * the next write go over the whole area.
	 */
	if (r < 0) {
		memset(store->area + store->committed * COW_ENTRY_BYTES, 0,
		       count * COW_ENTRY_BYTES);
		store_unmap_pairs(store, pairs, count);
		pthread_mutex_lock(&store->lock);
		store->unclean = store->unclean || touched;
		pthread_mutex_unlock(&store->lock);
		return failure_in(message, r, "area %" PRIu64, store->current_area);
	}
	store_join_pairs(store, pairs, count);
	accept_part(store, count, full);
	return 0;
}

/* Writes what is finished, area by area. With the baton, without the lock. */
static void write_finished(struct uds_exception_store *store)
{
	enum { AT_ONCE = 4096 };
	struct uds_message message = { "" };
	struct uds_exception *pairs;
	size_t count, part;
	int r = 0;

	pthread_mutex_lock(&store->lock);
	/* At most so many at once, as the list takes memory: the rest comes next round. */
	count = finished_ones(store, NULL, AT_ONCE);
	pairs = env_allocate(&store->env, count, sizeof(pairs[0]));
	if (pairs == NULL) {
		failure(&message, 0, "%s: no memory to commit %zu exceptions",
			uds_io_name(store->io), count);
		retire(store, count, -ENOMEM, &message);
		count = 0;
	} else {
		finished_ones(store, pairs, count);
	}
	pthread_mutex_unlock(&store->lock);
	for (size_t done = 0; done < count; done += part) {
		part = (size_t)(store->geometry.per_area - store->committed);
		if (part > count - done)
			part = count - done;
		/* Invalidation does not wait for the ring: what is still in it is refused here. */
		if (!store->valid && r == 0)
			r = failure(&message, UDS_ERR_INVALID_SNAPSHOT,
				    "%s: marked invalid meanwhile", uds_io_name(store->io));
		if (r == 0)
			r = write_part(store, pairs + done, part, &message);
		/*
		 * The parts behind a failed one fail as well: entries must not leave a gap in the
		 * list.
		 */
		if (r < 0) {
			pthread_mutex_lock(&store->lock);
			retire(store, part, r, &message);
			pthread_mutex_unlock(&store->lock);
		}
	}
	env_release(&store->env, pairs);
}

UDS_PUBLIC int uds_exception_store_commit(struct uds_exception_store *store,
					  const struct uds_exception *exceptions, size_t count)
{
	struct commit_waiter waiter = { count, 0, { "" } };
	int r;

	failures_begin(store->failures);
	pthread_mutex_lock(&store->lock);
	r = check_handed_in(store, exceptions, count);
	for (size_t i = 0; i < count && r == 0; i++) {
		struct in_flight *f = ring_find(store, &exceptions[i]);

		/* Each is there, or check_handed_in() would have failed. */
		if (f == NULL)
			continue;
		if (f->waiter == &waiter)
			waiter.remaining--; /* named twice */
		f->waiter = &waiter;
	}
	while (r == 0 && waiter.remaining > 0) {
		/*
		 * The first thread writes for all; the others find theirs done. That is how
		 * commits share a flush (6.3).
		 */
		if (!store->busy && finished_ones(store, NULL, 1) > 0) {
			store->busy = true;
			pthread_mutex_unlock(&store->lock);
			write_finished(store);
			pthread_mutex_lock(&store->lock);
			store->busy = false;
			pthread_cond_broadcast(&store->changed);
		} else {
			pthread_cond_wait(&store->changed, &store->lock);
		}
	}
	pthread_mutex_unlock(&store->lock);
	if (r == 0)
		r = waiter.status;
	return store_end(store, r, &waiter.message, "committing exceptions");
}
