/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking many areas off the list at once, where areas are small.
 *
 * One after the other, each area costs a write and a flush that must wait for the area above it: a
 * lower area that is cleared while a higher one is still full would be harmless by itself, but a
 * clear that was torn could leave entries behind a gap up to the end of the lower area; a writer
 * that fills the gap would then make it look full, and read on in the higher one, and everything
 * there would come back to life.
 *
 * So it is done in two steps, each for all areas together, each with a flush:
 *
 * 1. The last sector of every area is written without what goes. No area can look full from now on,
 *    until a writer fills its last sector himself, and before that he clears the area behind.
 * 2. The rest is cleared.
 *
 * At every moment the list is a prefix of the old one: it ends at the lowest area that is
 * touched. What a power cut leaves in areas above is out of reach, and is cleared when the
 * store is opened for writing. Contents that are taken back after a failure go the same way
 * in reverse (store_settle.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "exceptions/area.h"
#include "exceptions/area_reader.h"
#include "exceptions/store_private.h"
#include "io/io.h"

#define MOST_AREAS	 UINT64_C(64)
#define MOST_CHUNK_BYTES (UINT64_C(64) << 20) /* described by the areas of one go */

uint64_t store_areas_at_once(uint64_t chunk_bytes)
{
	/*
	 * What one area describes: entries times chunk size. With large chunks one is as much as is
	 * wanted at a time.
	 */
	uint64_t described = chunk_bytes / COW_ENTRY_BYTES * chunk_bytes;
	uint64_t areas = MOST_CHUNK_BYTES / described;

	if (areas > MOST_AREAS)
		areas = MOST_AREAS;
	return areas > 1 ? areas : 1;
}

/* What one go works with. Area i of it is the store's current_area - i. */
struct takeoff {
	struct uds_exception_store *store;
	struct uds_io_engine *engine;
	struct area_cut *cuts;
	size_t count;
	uint64_t tail;	/* bytes of the last block of an area */
	uint8_t *tails; /* for each area its last block, without what goes */
	uint8_t *zeroes;
	uint8_t *lowest; /* what is left of the last area */
	struct saved_area *saved;
	struct uds_io_request *requests;
	bool touched;
};

static const uint8_t *content_of(const struct takeoff *t, size_t i)
{
	return i == 0 ? t->store->area : t->cuts[i].content;
}

/* Entries [first, end) of area i go. */
static uint64_t end_of(const struct takeoff *t, size_t i)
{
	return i == 0 ? t->store->committed : t->store->geometry.per_area;
}

static uint64_t first_of(const struct takeoff *t, size_t i)
{
	return end_of(t, i) - t->cuts[i].count;
}

static int allocate(struct takeoff *t)
{
	struct uds_exception_store *store = t->store;
	size_t chunk = (size_t)store->geometry.chunk_bytes;

	t->tails = io_allocate_buffer(store->io, &store->env, (uint64_t)t->tail * t->count);
	t->zeroes = io_allocate_buffer(store->io, &store->env, chunk);
	t->lowest = io_allocate_buffer(store->io, &store->env, chunk);
	t->saved = env_allocate_zeroed(&store->env, t->count, sizeof(t->saved[0]));
	t->requests = env_allocate_zeroed(&store->env, t->count, sizeof(t->requests[0]));
	if (t->tails == NULL || t->zeroes == NULL || t->lowest == NULL || t->saved == NULL ||
	    t->requests == NULL)
		return -ENOMEM;
	memset(t->zeroes, 0, chunk);
	return 0;
}

static void release(struct takeoff *t)
{
	const struct uds_env *env = &t->store->env;

	env_release(env, t->tails);
	env_release(env, t->zeroes);
	env_release(env, t->lowest);
	env_release(env, t->saved);
	env_release(env, t->requests);
}

/* Writes a part of each area that @choose gives bytes for, all at once. */
static int write_all(struct takeoff *t,
		     bool (*choose)(struct takeoff *t, size_t i, struct uds_io_request *request),
		     struct uds_message *message)
{
	struct uds_exception_store *store = t->store;
	struct uds_io_request *done[MOST_AREAS];
	size_t asked = 0, reaped = 0;
	int r = 0;

	for (size_t i = 0; i < t->count; i++) {
		struct uds_io_request *request = &t->requests[i];

		request->io = store->io;
		request->kind = UDS_IO_WRITE;
		request->offset = cow_area_chunk(&store->geometry, store->current_area - i) *
				  store->geometry.chunk_bytes;
		request->user = t;
		if (!choose(t, i, request))
			continue;
		/* Before the submit: from here on the device's content is not known. */
		t->touched = true;
		engine_submit(t->engine, &request, 1);
		asked++;
	}
	/*
	 * All of them, also after a failure: the requests and buffers are ours, and go when this
	 * returns.
	 */
	while (reaped < asked) {
		int n = uds_io_engine_reap(t->engine, done, MOST_AREAS, asked - reaped, -1);

		reaped += (size_t)n;
		for (int i = 0; i < n && r == 0; i++)
			r = done[i]->status;
	}
	if (r < 0)
		return failure(message, r, "%s: writing areas %" PRIu64 " to %" PRIu64 ": %s",
			       uds_io_name(store->io), store->current_area + 1 - t->count,
			       store->current_area, uds_strerror(r));
	/* All writes of a step are durable before the next step begins. */
	return store_flush_metadata(store, message);
}

/* The first step: last blocks of areas that are full. */
static bool choose_tail(struct takeoff *t, size_t i, struct uds_io_request *request)
{
	const struct cow_geometry *g = &t->store->geometry;
	uint64_t last_sector = (g->chunk_bytes - SECTOR_BYTES) / COW_ENTRY_BYTES;
	uint64_t first = first_of(t, i), from = first > last_sector ? first : last_sector;
	uint8_t *tail = t->tails + i * t->tail;

	/* Not full, so it does not say that another area follows: nothing to take away first. */
	if (end_of(t, i) < g->per_area)
		return false;
	memcpy(tail, content_of(t, i) + g->chunk_bytes - t->tail, (size_t)t->tail);
	memset(tail + t->tail - (g->per_area - from) * COW_ENTRY_BYTES, 0,
	       (size_t)((g->per_area - from) * COW_ENTRY_BYTES));
	request->buffer = tail;
	request->length = (size_t)t->tail;
	request->offset += g->chunk_bytes - t->tail;
	return true;
}

/* The second step: whole areas. */
static bool choose_rest(struct takeoff *t, size_t i, struct uds_io_request *request)
{
	/* Only the lowest may keep entries: the list ends in it. */
	request->buffer = i + 1 == t->count ? t->lowest : t->zeroes;
	request->length = (size_t)t->store->geometry.chunk_bytes;
	return true;
}

void store_count_off(struct uds_exception_store *store, uint64_t count)
{
	store->exceptions -= count;
	/* A list that went on where it cannot be read ends before that now. */
	store->list_status = 0;
	if (store->exceptions == 0)
		memset(&store->damage, 0, sizeof(store->damage));
}

/* After both steps: the same in memory. */
static void accept(struct takeoff *t)
{
	struct uds_exception_store *store = t->store;
	uint8_t *old = store->area;

	for (size_t i = 0; i < t->count; i++)
		store_unmap(store, content_of(t, i), first_of(t, i), end_of(t, i));
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < t->count; i++)
		store_count_off(store, t->cuts[i].count);
	store->committed = first_of(t, t->count - 1);
	store->current_area -= t->count - 1;
	/* The buffers change places: no copy, and no allocation that could fail after the write. */
	store->area = t->lowest;
	t->lowest = old;
	/*
	 * The figure that the kernel shows while it merges (11.4). end_merge() computes the one
	 * that allocation goes on from.
	 */
	store->next_free =
		cow_area_chunk(&store->geometry, store->current_area) + store->committed + 1;
	pthread_mutex_unlock(&store->lock);
}

/* What is on the device is not known: the contents are kept, to be written again. */
static void keep(struct takeoff *t)
{
	struct uds_exception_store *store = t->store;

	for (size_t i = 1; i < t->count; i++) {
		t->saved[i - 1].area = store->current_area - i;
		t->saved[i - 1].first = first_of(t, i);
		t->saved[i - 1].bytes = t->cuts[i].content;
		t->cuts[i].content = NULL;
	}
	pthread_mutex_lock(&store->lock);
	store->unclean = true;
	store->saved = t->saved;
	store->saved_count = t->count - 1;
	t->saved = NULL;
	pthread_mutex_unlock(&store->lock);
}

int store_take_off_areas(struct uds_exception_store *store, struct uds_io_engine *engine,
			 struct area_cut *cuts, size_t count, struct uds_message *message)
{
	struct takeoff t = { .store = store, .engine = engine, .cuts = cuts, .count = count };
	const struct cow_geometry *g = &store->geometry;
	int r;

	t.tail = uds_io_block_bytes(store->io);
	if (t.tail < SECTOR_BYTES)
		t.tail = SECTOR_BYTES;
	r = allocate(&t);
	/*
	 * Everything that needs memory comes before the first write: what follows can fail only by
	 * the device.
	 */
	for (size_t i = 0; i < count && r == 0; i++)
		r = store_cut_map(store, content_of(&t, i), first_of(&t, i), end_of(&t, i));
	if (r < 0) {
		release(&t);
		return failure(message, r, "%s: no memory to take off %zu areas",
			       uds_io_name(store->io), count);
	}
	memcpy(t.lowest, cuts[count - 1].content, (size_t)g->chunk_bytes);
	memset(t.lowest + first_of(&t, count - 1) * COW_ENTRY_BYTES, 0,
	       (size_t)(cuts[count - 1].count * COW_ENTRY_BYTES));
	r = write_all(&t, choose_tail, message);
	if (r == 0)
		r = write_all(&t, choose_rest, message);
	if (r == 0)
		accept(&t);
	else if (t.touched)
		keep(&t);
	release(&t);
	return r;
}

static int clean_areas_behind(struct uds_exception_store *store, struct uds_message *message)
{
	const struct cow_geometry *g = &store->geometry;
	uint64_t most = store_areas_at_once(g->chunk_bytes), cleaned = 0;
	struct area_reader *reader = NULL;
	uint8_t *area;
	int r;

	/*
	 * Where areas are taken off one at a time, a torn state reaches no further than the current
	 * one.
	 */
	if (most == 1 || cow_area_chunk(g, store->current_area + 1) >= g->device_chunks)
		return 0;
	area = io_allocate_buffer(store->io, &store->env, g->chunk_bytes);
	if (area == NULL)
		return -ENOMEM;
	r = area_reader_open(store->io, &store->env, g, store->current_area + 1, 1, store->engine,
			     0, &reader);
	for (uint64_t k = store->current_area + 1;
	     k <= store->current_area + most && cow_area_chunk(g, k) < g->device_chunks && r == 0;
	     k++) {
		r = area_reader_next(reader, area, message);
		/*
		 * Compared with itself shifted by a byte: all bytes are equal to the first one,
		 * which is zero.
		 */
		if (r == 0 &&
		    (area[0] != 0 || memcmp(area, area + 1, (size_t)g->chunk_bytes - 1) != 0)) {
			r = cow_zero_chunk(store->io, &store->env, g->chunk_bytes,
					   cow_area_chunk(g, k), message);
			cleaned++;
		}
	}
	if (r == 0 && cleaned > 0)
		r = io_flush(store->io, message);
	area_reader_close(reader);
	env_release(&store->env, area);
	return r;
}

/*
 * What a torn write left behind the end of the list would come back to life when the list grows
 * over the gap. In memory it is gone already; here it goes from the device.
 */
static int clean_tail(struct uds_exception_store *store, struct uds_message *message)
{
	int r;

	if (!store->tail_found)
		return 0;
	env_log(&store->env, UDS_LOG_NOTICE,
		"%s: area %" PRIu64 ": %" PRIu64 " entries behind the end of the list are cleaned",
		uds_io_name(store->io), store->current_area, store->stale_entries);
	/* All to the end of the area: memory has zeros there. */
	r = area_write(store->io, &store->geometry, store->current_area, store->area,
		       store->committed, store->geometry.per_area - store->committed, message);
	if (r == 0)
		r = store_flush_metadata(store, message);
	store->tail_found = r < 0;
	return r;
}

int store_clean_behind(struct uds_exception_store *store, struct uds_message *message)
{
	int r;

	if (store->cleaned)
		return 0;
	r = clean_tail(store, message);
	/* The end of a list that is salvaged may only be where it cannot be read. */
	if (r == 0 && !store->salvage)
		r = clean_areas_behind(store, message);
	store->cleaned = r == 0;
	return r;
}
