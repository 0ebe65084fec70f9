/* SPDX-License-Identifier: BSD-2-Clause */
/* The store of throw-away snapshots: a map and a counter. */
#include "exceptions/transient.h"

#include <errno.h>
#include <pthread.h>

#include "base/env.h"

struct transient_store {
	struct uds_env env;
	struct uds_io *cow;
	uint64_t chunk_bytes;
	pthread_mutex_t lock;
	uint64_t next_free;
	struct exception_map *map;
};

int transient_make(struct uds_io *cow, const struct uds_env *env, uint64_t chunk_bytes,
		   struct transient_store **ret_store)
{
	struct transient_store *store = env_allocate_zeroed(env, 1, sizeof(*store));
	int r;

	if (store == NULL)
		return -ENOMEM;
	store->env = *env;
	store->cow = cow;
	store->chunk_bytes = chunk_bytes;
	r = map_make(env, &store->map);
	if (r < 0) {
		env_release(env, store);
		return r;
	}
	pthread_mutex_init(&store->lock, NULL);
	*ret_store = store;
	return 0;
}

void transient_free(struct transient_store *store)
{
	struct uds_env env;

	if (store == NULL)
		return;
	env = store->env;
	map_free(store->map);
	pthread_mutex_destroy(&store->lock);
	env_release(&env, store);
}

bool transient_find(struct transient_store *store, uint64_t old_chunk, struct map_run *ret_run)
{
	bool found;

	pthread_mutex_lock(&store->lock);
	found = map_find(store->map, old_chunk, ret_run);
	pthread_mutex_unlock(&store->lock);
	return found;
}

bool transient_next(struct transient_store *store, uint64_t old_chunk, struct map_run *ret_run)
{
	bool found;

	pthread_mutex_lock(&store->lock);
	found = map_next(store->map, old_chunk, ret_run);
	pthread_mutex_unlock(&store->lock);
	return found;
}

int transient_prepare(struct transient_store *store, uint64_t old_chunk,
		      struct uds_exception *ret_exception)
{
	uint64_t bytes;
	int r = uds_io_size(store->cow, &bytes);

	if (r < 0)
		return r;
	pthread_mutex_lock(&store->lock);
	if (store->next_free >= bytes / store->chunk_bytes) {
		r = UDS_ERR_NO_ROOM;
	} else {
		ret_exception->old_chunk = old_chunk;
		ret_exception->new_chunk = store->next_free++;
	}
	pthread_mutex_unlock(&store->lock);
	return r;
}

int transient_commit(struct transient_store *store, const struct uds_exception *exceptions,
		     size_t count)
{
	size_t done = 0;
	int r = 0;

	pthread_mutex_lock(&store->lock);
	for (; done < count && r == 0; done++) {
		struct map_run run = { exceptions[done].old_chunk, exceptions[done].new_chunk, 1 };

		r = map_insert(store->map, &run);
	}
	for (size_t i = 0; i < done; i++) {
		struct map_run run = { exceptions[i].old_chunk, exceptions[i].new_chunk, 1 };

		if (r < 0)
			map_erase(store->map, &run);
		else
			map_join(store->map, run.old_chunk);
	}
	pthread_mutex_unlock(&store->lock);
	return r;
}

void transient_get_figures(struct transient_store *store, struct transient_figures *ret_figures)
{
	uint64_t bytes = 0;

	(void)uds_io_size(store->cow, &bytes);
	pthread_mutex_lock(&store->lock);
	ret_figures->exceptions = map_chunks(store->map);
	ret_figures->next_free = store->next_free;
	ret_figures->device_bytes = bytes;
	ret_figures->device_chunks = bytes / store->chunk_bytes;
	pthread_mutex_unlock(&store->lock);
}
