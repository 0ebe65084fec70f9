/* SPDX-License-Identifier: BSD-2-Clause */
/* The store of throw-away snapshots: a map and a counter. */
#include "exceptions/transient.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>

#include "base/env.h"
#include "base/message.h"
#include "exceptions/area.h"
#include "io/io.h"

struct transient_store {
	struct chunk_store base; /* first */
	struct uds_env env;
	struct uds_io *cow;
	pthread_mutex_t lock; /* for the rest */
	uint64_t cow_bytes;   /* as known so far: the device may grow while the snapshot lives */
	uint64_t next_free;
	struct exception_map *map;
};

static struct transient_store *transient(struct chunk_store *store)
{
	return (struct transient_store *)store;
}

static bool wanted(const struct chunk_store_options *options)
{
	return options->transient_chunk_bytes != 0;
}

static int open_store(struct uds_io *cow, const struct chunk_store_options *options,
		      struct uds_message *message, struct chunk_store **ret_store)
{
	const struct uds_env *env = options->persistent.env;
	struct transient_store *t;
	int r = cow_check_chunk_bytes(cow, options->transient_chunk_bytes, message);

	if (r < 0)
		return r;
	t = env_allocate_zeroed(env, 1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->base.ops = &transient_store_ops;
	t->base.chunk_bytes = options->transient_chunk_bytes;
	t->env = *env;
	t->cow = cow;
	r = map_make(env, &t->map);
	if (r < 0) {
		env_release(env, t);
		return r;
	}
	pthread_mutex_init(&t->lock, NULL);
	*ret_store = &t->base;
	return 0;
}

static int close_store(struct chunk_store *store)
{
	struct transient_store *t = transient(store);
	struct uds_env env = t->env;

	map_free(t->map);
	pthread_mutex_destroy(&t->lock);
	env_release(&env, t);
	return 0;
}

static bool find(struct chunk_store *store, uint64_t old_chunk, struct map_run *ret_run)
{
	struct transient_store *t = transient(store);
	bool found;

	pthread_mutex_lock(&t->lock);
	found = map_find(t->map, old_chunk, ret_run);
	pthread_mutex_unlock(&t->lock);
	return found;
}

static bool next(struct chunk_store *store, uint64_t old_chunk, struct map_run *ret_run)
{
	struct transient_store *t = transient(store);
	bool found;

	pthread_mutex_lock(&t->lock);
	found = map_next(t->map, old_chunk, ret_run);
	pthread_mutex_unlock(&t->lock);
	return found;
}

/* The lock is held. */
static int update_size(struct transient_store *t)
{
	uint64_t bytes;
	int r = uds_io_size(t->cow, &bytes);

	if (r == 0)
		t->cow_bytes = bytes;
	return r;
}

/*
 * How many chunks are left; 0 also on a device that shrank below what is in use. The lock is held.
 */
static uint64_t room_of(const struct transient_store *t)
{
	uint64_t chunks = t->cow_bytes / t->base.chunk_bytes;

	return chunks > t->next_free ? chunks - t->next_free : 0;
}

static int prepare(struct chunk_store *store, uint64_t old_chunk,
		   struct uds_exception *ret_exception, struct uds_message *message)
{
	struct transient_store *t = transient(store);
	int r;

	pthread_mutex_lock(&t->lock);
	r = update_size(t);
	if (r == 0 && room_of(t) == 0)
		r = UDS_ERR_NO_ROOM;
	if (r == 0) {
		ret_exception->old_chunk = old_chunk;
		ret_exception->new_chunk = t->next_free++;
	}
	pthread_mutex_unlock(&t->lock);
	if (r < 0)
		failure(message, r, "%s: no exception for old chunk %" PRIu64 ": %s",
			uds_io_name(t->cow), old_chunk, uds_strerror(r));
	return r;
}

/* -ENOMEM: none of them is there. */
static int commit(struct chunk_store *store, const struct uds_exception *exceptions, size_t count,
		  struct uds_message *message)
{
	struct transient_store *t = transient(store);
	size_t done = 0;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	for (; done < count && r == 0; done++) {
		struct map_run run = { exceptions[done].old_chunk, exceptions[done].new_chunk, 1 };

		/* As extents of their own first: taking them out again cannot fail then. */
		r = map_insert(t->map, &run);
	}
	for (size_t i = 0; i < done; i++) {
		struct map_run run = { exceptions[i].old_chunk, exceptions[i].new_chunk, 1 };

		if (r < 0)
			map_erase(t->map, &run);
		else
			map_join(t->map, run.old_chunk);
	}
	pthread_mutex_unlock(&t->lock);
	return r < 0 ? failure(message, r, "%s: no memory for %zu exceptions", uds_io_name(t->cow),
			       count)
		     : 0;
}

/* Their chunks stay unused: nothing is kept beyond the life of the snapshot anyway. */
static void abandon(struct chunk_store *store, const struct uds_exception *exceptions, size_t count)
{
	(void)store;
	(void)exceptions;
	(void)count;
}

static int check_target(struct chunk_store *store, uint64_t new_chunk, uint64_t count,
			struct uds_message *message)
{
	struct uds_io *cow = transient(store)->cow;
	uint64_t bytes;
	int r = uds_io_size(cow, &bytes);

	if (r < 0)
		return failure(message, r, "%s: its size: %s", uds_io_name(cow), uds_strerror(r));
	return cow_check_device_end(uds_io_name(cow), bytes / store->chunk_bytes, new_chunk, count,
				    message);
}

/* No metadata; and all new chunks were on the device when they were written. */
static void get_data(struct chunk_store *store, uint64_t new_chunk, uint64_t *ret_chunks,
		     uint64_t *ret_end)
{
	(void)store;
	(void)new_chunk;
	*ret_chunks = UINT64_MAX;
	*ret_end = UINT64_MAX;
}

static int nothing(struct chunk_store *store, struct uds_message *message)
{
	(void)store;
	(void)message;
	return 0;
}

static int flush(struct chunk_store *store, struct uds_message *message)
{
	return io_flush(transient(store)->cow, message);
}

static void get_status(struct chunk_store *store, struct uds_exception_store_status *ret_status)
{
	struct transient_store *t = transient(store);

	pthread_mutex_lock(&t->lock);
	/* Its status does not matter: the size that is known so far will do. */
	(void)update_size(t);
	ret_status->exceptions = map_chunks(t->map);
	ret_status->next_free = t->next_free;
	ret_status->total_sectors = t->cow_bytes / SECTOR_BYTES;
	ret_status->room = room_of(t);
	pthread_mutex_unlock(&t->lock);
	ret_status->valid = true;
	ret_status->chunk_bytes = store->chunk_bytes;
	ret_status->allocated_sectors = ret_status->next_free * (store->chunk_bytes / SECTOR_BYTES);
	ret_status->state = ret_status->exceptions == 0 ? UDS_STORE_EMPTY : UDS_STORE_ACTIVE;
	if (ret_status->room == 0)
		ret_status->state = UDS_STORE_FULL;
}

static struct uds_exception_store *no_list(struct chunk_store *store)
{
	(void)store;
	return NULL;
}

const struct chunk_store_ops transient_store_ops = {
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
	.check_damage = nothing,
	.settle = nothing,
	.flush = flush,
	.invalidate = nothing,
	.get_status = get_status,
	.get_list = no_list,
};
