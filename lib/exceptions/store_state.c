/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the other files of the store ask of its state: the baton, sentences, whether it can be used.
 */
#include "exceptions/store_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "io/io.h"

void store_acquire(struct uds_exception_store *store)
{
	pthread_mutex_lock(&store->lock);
	/*
	 * The baton is a flag and not a lock: it is held across writes and flushes, and handed over
	 * between threads.
	 */
	while (store->busy)
		pthread_cond_wait(&store->changed, &store->lock);
	store->busy = true;
	pthread_mutex_unlock(&store->lock);
}

void store_release(struct uds_exception_store *store)
{
	pthread_mutex_lock(&store->lock);
	store->busy = false;
	pthread_cond_broadcast(&store->changed);
	pthread_mutex_unlock(&store->lock);
}

int store_end(struct uds_exception_store *store, int status, const struct uds_message *message,
	      const char *what)
{
	/* Kept after the baton is given back: the sentence is the calling thread's own. */
	if (status < 0 && message->text[0] != '\0')
		failures_keep(store->failures, status, message);
	return failures_end(store->failures, status, "%s: %s", uds_io_name(store->io), what);
}

void store_begin_exclusive(struct uds_exception_store *store)
{
	failures_begin(store->failures);
	store_acquire(store);
}

int store_end_exclusive(struct uds_exception_store *store, int status,
			const struct uds_message *message, const char *what)
{
	store_release(store);
	return store_end(store, status, message, what);
}

int store_take_options(const struct uds_exception_store_options *given,
		       struct uds_message *ret_message,
		       struct uds_exception_store_options *ret_options, struct uds_env *ret_env)
{
	int r = 0;

	if (given != NULL)
		r = STRUCT_IN(ret_options, given, uds_exception_store_options, progress_context,
			      ret_message);
	return r < 0 ? r : env_take(ret_options->env, ret_message, ret_env);
}

bool store_is_damaged(const struct uds_exception_store *store)
{
	const struct store_damage *d = &store->damage;

	return d->new_behind_end != 0 || d->new_is_metadata != 0 || d->new_twice != 0 ||
	       d->old_twice != 0 || d->old_behind_origin != 0;
}

/*
 * The first kind of damage is named: a sentence has room for one, and the status counts them all.
 */
int store_check_damage(const struct uds_exception_store *store, struct uds_message *message)
{
	const struct store_damage *d = &store->damage;
	const struct {
		uint64_t count;
		const char *what;
	} kinds[] = {
		{ d->old_behind_origin, "for chunks behind the end of the origin" },
		{ d->new_behind_end, "whose new chunk is behind the end of the device" },
		{ d->new_is_metadata, "whose new chunk is the place of an area" },
		{ d->old_twice, "for a chunk that an earlier one has" },
		{ d->new_twice, "whose new chunk another one has" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].count != 0)
			return failure(message, UDS_ERR_CORRUPT,
				       "%s: the store is damaged, and is not written: it has "
				       "%" PRIu64 " exception%s %s",
				       uds_io_name(store->io), kinds[i].count,
				       kinds[i].count == 1 ? "" : "s", kinds[i].what);
	}
	return 0;
}

bool store_has_shared_chunks(const struct uds_exception_store *store)
{
	return store->damage.new_twice != 0;
}

bool store_is_readable(struct uds_exception_store *store)
{
	bool readable;

	pthread_mutex_lock(&store->lock);
	readable = store->valid || store->salvage;
	pthread_mutex_unlock(&store->lock);
	return readable;
}

int store_writable(struct uds_exception_store *store)
{
	if (!store->valid)
		return UDS_ERR_INVALID_SNAPSHOT;
	if (store->read_only || store->salvage)
		return UDS_ERR_READ_ONLY;
	/*
	 * A damaged store is only read: an allocation could overwrite what a wrong entry points to.
	 */
	if (store_is_damaged(store))
		return UDS_ERR_CORRUPT;
	if (store->merging)
		return UDS_ERR_BAD_STATE;
	return 0;
}

bool store_behind_origin(const struct uds_exception_store *store, uint64_t old_chunk)
{
	/* Rounded up: the origin's last chunk may be cut short (6.1). */
	return old_chunk >= COW_OLD_CHUNK_LIMIT ||
	       (store->origin_known &&
		old_chunk >= ceil_div(store->origin_bytes, store->geometry.chunk_bytes));
}

uint64_t area_highest_new(const uint8_t *area, uint64_t count)
{
	uint64_t highest = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t new_chunk = cow_entry_new(area, i);

		highest = new_chunk > highest ? new_chunk : highest;
	}
	return highest;
}

int store_reserve_area(struct uds_exception_store *store, uint64_t area)
{
	size_t room = store->area_highest_room == 0 ? 64 : store->area_highest_room * 2;
	uint64_t *highest;

	if (area < store->area_highest_room)
		return 0;
	highest = env_allocate(&store->env, room, sizeof(highest[0]));
	if (highest == NULL)
		return -ENOMEM;
	if (store->area_highest_room > 0)
		memcpy(highest, store->area_highest, store->area_highest_room * sizeof(highest[0]));
	env_release(&store->env, store->area_highest);
	store->area_highest = highest;
	store->area_highest_room = room;
	return 0;
}

struct cow_geometry store_geometry(struct uds_exception_store *store)
{
	struct cow_geometry geometry;

	pthread_mutex_lock(&store->lock);
	geometry = store->geometry;
	pthread_mutex_unlock(&store->lock);
	return geometry;
}
