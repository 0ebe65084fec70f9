/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the list: all areas up to the first entry with new chunk 0, into the lookup table.
 *
 * Entries are gathered into runs, runs into batches of about half a million; a batch is sorted by
 * old chunk, keeping the order of equal ones, and added in ascending order. So tens of millions of
 * scattered exceptions go in at memory speed, and the first of two for the same chunk wins.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/sort.h"
#include "exceptions/area_reader.h"
#include "exceptions/run_sort.h"
#include "exceptions/store_private.h"
#include "io/io.h"

#define BATCH_RUNS  ((size_t)1 << 19)
#define FIRST_BATCH ((size_t)1 << 12)

struct run_batch {
	struct map_run *runs;
	struct map_run *scratch;
	size_t room;
	size_t count;
};

struct list_load {
	struct uds_exception_store *store;
	struct run_batch batch;
	bool strict;
	bool singly;	      /* entries are not joined to runs */
	bool again;	      /* runs of a batch overlap: the list must be read singly */
	uint64_t highest_new; /* so far; 0: none */
};

static int repeated_grow(struct uds_exception_store *store)
{
	size_t room = store->repeated_room == 0 ? 16 : store->repeated_room * 2;
	struct repeated_entry *repeated;

	if (store->repeated_count < store->repeated_room)
		return 0;
	repeated = env_allocate(&store->env, room, sizeof(repeated[0]));
	if (repeated == NULL)
		return -ENOMEM;
	if (store->repeated_count > 0)
		memcpy(repeated, store->repeated, store->repeated_count * sizeof(repeated[0]));
	env_release(&store->env, store->repeated);
	store->repeated = repeated;
	store->repeated_room = room;
	return 0;
}

static int remember_repeated(struct uds_exception_store *store, const struct map_run *run)
{
	/* One by one: such entries are rare, and each may be taken off by itself. */
	for (uint64_t i = 0; i < run->count; i++) {
		int r = repeated_grow(store);

		if (r < 0)
			return r;
		store->repeated[store->repeated_count].old_chunk = run->old_chunk + i;
		store->repeated[store->repeated_count].times = 1;
		store->repeated_count++;
	}
	return 0;
}

static int by_old_chunk(const void *a, const void *b)
{
	uint64_t left = ((const struct repeated_entry *)a)->old_chunk;
	uint64_t right = ((const struct repeated_entry *)b)->old_chunk;

	return (left > right) - (left < right);
}

/* Sorts the repeated entries by old chunk and counts equal ones together. */
static void sort_repeated(struct uds_exception_store *store)
{
	struct repeated_entry *all = store->repeated;
	size_t kept = 0;

	sort_elements(all, store->repeated_count, sizeof(all[0]), by_old_chunk);
	for (size_t i = 0; i < store->repeated_count; i++) {
		if (kept > 0 && all[kept - 1].old_chunk == all[i].old_chunk)
			all[kept - 1].times++;
		else
			all[kept++] = all[i];
	}
	store->repeated_count = kept;
}

/* An old chunk came a second time: the first stays. */
static int overlap(void *context, const struct map_run *refused, const struct map_run *present)
{
	struct uds_exception_store *store = context;

	store->damage.old_twice += refused->count;
	/*
	 * The same pair again: the map cannot tell it from the first one, which must stay when this
	 * one is taken off.
	 */
	if (refused->new_chunk == present->new_chunk) {
		store->damage.new_twice += refused->count;
		return remember_repeated(store, refused);
	}
	return 0;
}

/*
 * Whether a run reaches into one that starts later. Their order in the list is lost by sorting,
 * though it says which of two entries for a chunk is in force: only equal old chunks keep it.
 */
static bool runs_overlap(const struct map_run *sorted, size_t count)
{
	uint64_t end = 0;

	for (size_t i = 0; i < count; i++) {
		/*
		 * Of two single entries for one chunk the sort keeps the order; only where a run is
		 * involved is it lost.
		 */
		if (sorted[i].old_chunk < end && (sorted[i].count > 1 || sorted[i - 1].count > 1))
			return true;
		if (sorted[i].old_chunk + sorted[i].count > end)
			end = sorted[i].old_chunk + sorted[i].count;
	}
	return false;
}

static int batch_flush(struct list_load *load)
{
	struct run_batch *batch = &load->batch;
	const struct map_run *sorted = runs_sort(batch->runs, batch->scratch, batch->count);
	size_t count = batch->count;

	batch->count = 0;
	/*
	 * Once a batch overlapped, nothing more is added: the list is read again, entry by entry.
	 */
	load->again = load->again || runs_overlap(sorted, count);
	if (load->again)
		return 0;
	return map_add_sorted(load->store->map, sorted, count, overlap, load->store);
}

/* Both arrays of a batch, four times as long as before, up to BATCH_RUNS. */
static int batch_grow(struct list_load *load)
{
	struct run_batch *batch = &load->batch;
	size_t room = batch->room == 0 ? FIRST_BATCH : batch->room * 4;
	const struct uds_env *env = &load->store->env;
	struct map_run *runs, *scratch;

	if (room > BATCH_RUNS)
		return batch_flush(load);
	runs = env_allocate(env, room, sizeof(runs[0]));
	scratch = env_allocate(env, room, sizeof(scratch[0]));
	if (runs == NULL || scratch == NULL) {
		env_release(env, runs);
		env_release(env, scratch);
		return -ENOMEM;
	}
	if (batch->count > 0)
		memcpy(runs, batch->runs, batch->count * sizeof(runs[0]));
	env_release(env, batch->runs);
	env_release(env, batch->scratch);
	batch->runs = runs;
	batch->scratch = scratch;
	batch->room = room;
	return 0;
}

static int batch_add(struct list_load *load, uint64_t old_chunk, uint64_t new_chunk)
{
	struct run_batch *batch = &load->batch;
	struct map_run *last;
	int r;

	if (batch->count > 0 && !load->singly) {
		last = &batch->runs[batch->count - 1];
		/* A run must not grow into the numbers that the map has no bits for. */
		if (last->old_chunk + last->count == old_chunk &&
		    last->new_chunk + last->count == new_chunk &&
		    new_chunk < COW_NEW_CHUNK_LIMIT - 1) {
			last->count++;
			return 0;
		}
	}
	if (batch->count == batch->room) {
		r = batch_grow(load);
		if (r < 0)
			return r;
	}
	last = &batch->runs[batch->count++];
	last->old_chunk = old_chunk;
	last->new_chunk = new_chunk;
	last->count = 1;
	return 0;
}

/* What is wrong with one entry, whatever the others say; counted. NULL: nothing. */
static const char *judge(struct uds_exception_store *store, uint64_t old_chunk, uint64_t new_chunk)
{
	const char *reason = NULL;

	/*
	 * Only counted: reading goes on, since the other entries are right. Writing is refused
	 * (store_writable()).
	 */
	if (store_behind_origin(store, old_chunk)) {
		store->damage.old_behind_origin++;
		reason = "the old chunk is behind the end of the origin";
	}
	if (new_chunk >= store->geometry.device_chunks) {
		store->damage.new_behind_end++;
		reason = "the new chunk is behind the end of the device";
	} else if (cow_is_metadata(&store->geometry, new_chunk)) {
		store->damage.new_is_metadata++;
		reason = "the new chunk is the place of an area";
	}
	return reason;
}

static int load_entry(struct list_load *load, uint64_t index, uint64_t old_chunk,
		      uint64_t new_chunk, struct uds_message *message)
{
	struct uds_exception_store *store = load->store;
	const char *reason = judge(store, old_chunk, new_chunk);

	if (reason != NULL && load->strict)
		return failure(message, UDS_ERR_CORRUPT,
			       "%s: area %" PRIu64 ", entry %" PRIu64 ": old chunk %" PRIu64
			       " -> new chunk %" PRIu64 ": %s",
			       uds_io_name(store->io), store->current_area, index, old_chunk,
			       new_chunk, reason);
	store->exceptions++;
	/*
	 * Numbers that do not rise are what old kernels left (6.3). They are no damage, but two
	 * entries may then share one.
	 */
	if (new_chunk <= load->highest_new)
		store->unordered++;
	else
		load->highest_new = new_chunk;
	if (old_chunk >= COW_OLD_CHUNK_LIMIT)
		return 0; /* on no origin that could be */
	if (new_chunk >= COW_NEW_CHUNK_LIMIT)
		new_chunk = COW_NEW_CHUNK_LIMIT - 1; /* on no device that could be */
	return batch_add(load, old_chunk, new_chunk);
}

/* Takes the entries of the area in memory, which is number current_area. */
static int load_area(struct list_load *load, struct uds_message *message)
{
	struct uds_exception_store *store = load->store;
	uint64_t per_area = store->geometry.per_area, i;

	for (i = 0; i < per_area; i++) {
		uint64_t new_chunk = cow_entry_new(store->area, i);
		int r;

		/* The end of the list; whatever follows in the area is not read (5, rule 1). */
		if (new_chunk == 0)
			break;
		r = load_entry(load, i, cow_entry_old(store->area, i), new_chunk, message);
		if (r < 0)
			return r;
	}
	store->committed = i;
	return 0;
}

/* Looks at what is behind the list in the last area, and clears it in memory only. */
static void look_behind(struct uds_exception_store *store)
{
	uint8_t *tail = store->area + store->committed * COW_ENTRY_BYTES;
	size_t bytes = (size_t)((store->geometry.per_area - store->committed) * COW_ENTRY_BYTES);

	for (uint64_t i = store->committed; i < store->geometry.per_area; i++)
		store->stale_entries += cow_entry_new(store->area, i) != 0;
	/*
	 * Any byte that is not zero, not only whole entries: half of one is enough for a later torn
	 * write to complete it.
	 */
	for (size_t i = 0; i < bytes && !store->tail_found; i++)
		store->tail_found = tail[i] != 0;
	memset(tail, 0, bytes);
}

/* Goes from a full area to the next one. */
static int next_area(struct uds_exception_store *store)
{
	int r = store_reserve_area(store, store->current_area);

	if (r < 0)
		return r;
	store->area_highest[store->current_area] =
		area_highest_new(store->area, store->geometry.per_area);
	store->current_area++;
	store->committed = 0;
	return 0;
}

/*
 * Reads an area that could not be read as a whole up to the first of its blocks that cannot
 * be; zeroes follow.
 * Returns how many entries are known: less than all, whatever can be read by now.
 */
static uint64_t read_head(struct uds_exception_store *store)
{
	const uint64_t bytes = store->geometry.chunk_bytes;
	uint64_t begin = cow_area_chunk(&store->geometry, store->current_area) * bytes;
	uint64_t block = uds_io_block_bytes(store->io), at = 0;

	if (block < SECTOR_BYTES)
		block = SECTOR_BYTES;
	while (at + block < bytes &&
	       uds_io_read(store->io, store->area + at, (size_t)block, begin + at) == 0)
		at += block;
	memset(store->area + at, 0, (size_t)(bytes - at));
	return at / COW_ENTRY_BYTES;
}

/* A salvaged list ends where it cannot be read, unless it ends before that. */
static int end_early(struct list_load *load, int status, struct uds_message *message)
{
	struct uds_exception_store *store = load->store;
	uint64_t known = read_head(store);
	int r = load_area(load, message);

	if (r < 0)
		return r;
	if (store->committed == known)
		store->list_status = status;
	message->text[0] = '\0';
	return 0;
}

/* A salvaged list may end where the device ends. */
static bool ends_with_device(const struct uds_exception_store *store)
{
	return store->salvage && cow_area_chunk(&store->geometry, store->current_area) >=
					 store->geometry.device_chunks;
}

static int load_areas(struct list_load *load, struct area_reader *reader,
		      const struct uds_exception_store_options *options,
		      struct uds_message *message)
{
	struct uds_exception_store *store = load->store;
	int r;

	for (;;) {
		r = ends_with_device(store) ? UDS_ERR_CORRUPT
					    : area_reader_next(reader, store->area, message);
		if (r < 0 && r != -ENOMEM && store->salvage)
			return end_early(load, r, message);
		if (r == 0)
			r = load_area(load, message);
		if (r < 0)
			return r;
		/* Now and then only: an area may be 32 entries. */
		if (options->progress != NULL && store->current_area % 64 == 0 &&
		    options->progress(options->progress_context, store->current_area, 0) != 0)
			return failure(message, UDS_ERR_STOPPED, "%s: opening was stopped",
				       uds_io_name(store->io));
		if (store->committed < store->geometry.per_area)
			return 0;
		r = next_area(store);
		if (r < 0)
			return r;
	}
}

/* New chunks that two old chunks share: only where they do not rise can there be any. */
static int count_shared(struct uds_exception_store *store)
{
	uint64_t chunks = store->geometry.device_chunks;
	struct map_run run;
	uint8_t *seen;

	/* Rising numbers are all different, so nearly every store needs no such table. */
	if (store->unordered == 0)
		return 0;
	seen = env_allocate_zeroed(&store->env, chunks / 8 + 1, 1);
	if (seen == NULL)
		return -ENOMEM;
	for (uint64_t at = 0; map_next(store->map, at, &run); at = run.old_chunk + run.count) {
		for (uint64_t i = 0; i < run.count && run.new_chunk + i < chunks; i++) {
			uint64_t n = run.new_chunk + i;

			store->damage.new_twice += seen[n / 8] >> n % 8 & 1;
			seen[n / 8] = (uint8_t)(seen[n / 8] | 1u << n % 8);
		}
	}
	env_release(&store->env, seen);
	return 0;
}

static int first_finding(void *context, const struct uds_exception_finding *finding)
{
	if (finding->kind != UDS_FINDING_OLD_TWICE && finding->kind != UDS_FINDING_NEW_TWICE)
		return 0;
	failure(context, 0, "%s", finding->sentence);
	return 1;
}

/* Strict: two entries for one chunk are only seen when all are there; a check has the sentence. */
static int refuse_doubles(struct uds_exception_store *store, struct uds_message *message)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	uint64_t findings;
	int r;

	if (!store_is_damaged(store))
		return 0;
	options.env = &store->env;
	options.origin_known = store->origin_known;
	options.origin_bytes = store->origin_bytes;
	/* In case the check below finds none, since the device may have changed in between. */
	failure(message, 0, "%s: a chunk is named twice", uds_io_name(store->io));
	r = uds_exception_store_verify(store->io, &options, first_finding, message, NULL,
				       &findings);
	return r == 0 || r == UDS_ERR_STOPPED ? UDS_ERR_CORRUPT : r;
}

static int finish(struct list_load *load, struct uds_message *message)
{
	struct uds_exception_store *store = load->store;
	int r = batch_flush(load);

	if (r == 0 && load->again)
		return 0;
	if (r == 0)
		r = count_shared(store);
	if (r < 0)
		return r;
	sort_repeated(store);
	look_behind(store);
	store->next_free = COW_FIRST_DATA_CHUNK;
	/*
	 * Not from the number of entries: chunks that no entry names are lost and never given out
	 * again (5, rule 4).
	 */
	if (load->highest_new != 0)
		store->next_free = cow_skip_metadata(
			&store->geometry,
			load->highest_new < UINT64_MAX ? load->highest_new + 1 : UINT64_MAX);
	return load->strict ? refuse_doubles(store, message) : 0;
}

static int load_list(struct list_load *load, const struct uds_exception_store_options *options,
		     struct uds_message *message)
{
	struct uds_exception_store *store = load->store;
	struct area_reader *reader;
	int r;

	r = area_reader_open(store->io, &store->env, &store->geometry, 0, 1, store->engine,
			     options->queue_depth, &reader);
	if (r < 0)
		return r;
	r = load_areas(load, reader, options, message);
	area_reader_close(reader);
	return r == 0 ? finish(load, message) : r;
}

/* As if nothing had been read. */
static int forget(struct uds_exception_store *store)
{
	struct exception_map *map;
	int r = map_make(&store->env, &map);

	/* Before anything is thrown away. */
	if (r < 0)
		return r;
	map_free(store->map);
	store->map = map;
	memset(&store->damage, 0, sizeof(store->damage));
	store->repeated_count = 0;
	store->current_area = 0;
	store->committed = 0;
	store->exceptions = 0;
	store->unordered = 0;
	store->list_status = 0;
	return 0;
}

int store_load(struct uds_exception_store *store, const struct uds_exception_store_options *options,
	       struct uds_message *message)
{
	struct list_load load = { .store = store, .strict = options->strict };
	int r = load_list(&load, options, message);

	if (r == 0 && load.again) {
		/* As runs, entries for one chunk have lost their order; one by one they keep it. */
		load.singly = true;
		load.again = false;
		load.highest_new = 0;
		load.batch.count = 0;
		r = forget(store);
		if (r == 0)
			r = load_list(&load, options, message);
	}
	env_release(&store->env, load.batch.runs);
	env_release(&store->env, load.batch.scratch);
	return r;
}
