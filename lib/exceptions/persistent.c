/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations of the persistent store: its public functions, and what only the inside knows. */
#include "exceptions/persistent.h"

#include <inttypes.h>

#include "base/message.h"
#include "exceptions/area.h"
#include "exceptions/store_private.h"

static struct uds_exception_store *persistent(struct chunk_store *store)
{
	return (struct uds_exception_store *)store; /* base is its first member */
}

/* Takes over the sentence of a public function that failed. */
static int explained(struct chunk_store *store, int status, struct uds_message *message)
{
	if (status < 0)
		uds_exception_store_error_message(persistent(store), message);
	return status;
}

static bool wanted(const struct chunk_store_options *options)
{
	(void)options;
	return true;
}

static int open_store(struct uds_io *cow, const struct chunk_store_options *options,
		      struct uds_message *message, struct chunk_store **ret_store)
{
	struct uds_exception_store *store;
	int r = uds_exception_store_open(cow, &options->persistent, message, &store);

	if (r < 0)
		return r;
	/* Only now: as a public store it has no operations. */
	store->base.ops = &persistent_store_ops;
	store->base.chunk_bytes = store->geometry.chunk_bytes;
	*ret_store = &store->base;
	return 0;
}

static int close_store(struct chunk_store *store)
{
	return uds_exception_store_close(persistent(store));
}

static bool find(struct chunk_store *store, uint64_t old_chunk, struct map_run *ret_run)
{
	return store_find(persistent(store), old_chunk, ret_run);
}

static bool next(struct chunk_store *store, uint64_t old_chunk, struct map_run *ret_run)
{
	return store_next(persistent(store), old_chunk, ret_run);
}

static int prepare(struct chunk_store *store, uint64_t old_chunk,
		   struct uds_exception *ret_exception, struct uds_message *message)
{
	int r = uds_exception_store_prepare(persistent(store), old_chunk, ret_exception);

	return explained(store, r, message);
}

static int commit(struct chunk_store *store, const struct uds_exception *exceptions, size_t count,
		  struct uds_message *message)
{
	int r = uds_exception_store_commit(persistent(store), exceptions, count);

	return explained(store, r, message);
}

static void abandon(struct chunk_store *store, const struct uds_exception *exceptions, size_t count)
{
	/* It refuses only what was not given out, and the caller has all of these from prepare. */
	(void)uds_exception_store_abandon(persistent(store), exceptions, count);
}

/* The first chunk of [first, first + count) that is the header or an area; false: there is none. */
static bool find_metadata(const struct cow_geometry *g, uint64_t first, uint64_t count,
			  uint64_t *ret_chunk)
{
	uint64_t stride = g->per_area + 1;
	/* Areas are the chunks that leave 1 when divided by the stride (uds-cow, 2). */
	uint64_t next_area = first == 0 ? 0 : first + (stride + 1 - first % stride) % stride;

	*ret_chunk = next_area;
	/* Unsigned: the distance to the next one, which is 0 for the header itself. */
	return next_area - first < count;
}

static int check_target(struct chunk_store *store, uint64_t new_chunk, uint64_t count,
			struct uds_message *message)
{
	struct cow_geometry g = store_geometry(persistent(store));
	const char *name = uds_io_name(persistent(store)->io);
	uint64_t metadata;
	int r = cow_check_device_end(name, g.device_chunks, new_chunk, count, message);

	if (r == 0 && find_metadata(&g, new_chunk, count, &metadata))
		r = failure(message, UDS_ERR_CORRUPT,
			    "%s: not written: new chunk %" PRIu64 " is the place of %s", name,
			    metadata, metadata == 0 ? "the header" : "an area");
	return r;
}

static void get_data(struct chunk_store *store, uint64_t new_chunk, uint64_t *ret_chunks,
		     uint64_t *ret_end)
{
	struct cow_geometry g = store_geometry(persistent(store));
	uint64_t stride = g.per_area + 1;

	/*
	 * Neighbouring data chunks end at the next area; a transfer of many must not run over it.
	 */
	*ret_chunks = cow_is_metadata(&g, new_chunk) ? 0 : stride - (new_chunk - 1) % stride;
	*ret_end = g.device_bytes;
}

static int check_damage(struct chunk_store *store, struct uds_message *message)
{
	return store_check_damage(persistent(store), message);
}

static int settle(struct chunk_store *store, struct uds_message *message)
{
	return store_repair(persistent(store), message);
}

static int flush(struct chunk_store *store, struct uds_message *message)
{
	return store_flush(persistent(store), message);
}

static int invalidate(struct chunk_store *store, struct uds_message *message)
{
	return explained(store, uds_exception_store_invalidate(persistent(store)), message);
}

static void get_status(struct chunk_store *store, struct uds_exception_store_status *ret_status)
{
	uds_exception_store_get_status(persistent(store), ret_status);
}

static struct uds_exception_store *get_list(struct chunk_store *store)
{
	return persistent(store);
}

const struct chunk_store_ops persistent_store_ops = {
	.wanted = wanted,
	.open = open_store,
	.close = close_store,
	.find = find,
	.next = next,
	.prepare = prepare,
	.commit = commit,
	.abandon = abandon,
	.check_target = check_target,
	.get_data = get_data,
	.check_damage = check_damage,
	.settle = settle,
	.flush = flush,
	.invalidate = invalidate,
	.get_status = get_status,
	.get_list = get_list,
};
