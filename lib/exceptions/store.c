/* SPDX-License-Identifier: BSD-2-Clause */
/* The exception store's life: create, open, close, invalidate. */
#include "exceptions/store_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "exceptions/area.h"
#include "io/io.h"

#define PIECE_BYTES (UINT64_C(1) << 20)

/* Of memory that a store may take beyond the size of its device. */
#define SPARE_BYTES (UINT64_C(1) << 12)

UDS_PUBLIC void uds_exception_store_error_message(const struct uds_exception_store *store,
						  struct uds_message *ret_message)
{
	failures_get(store->failures, ret_message);
}

/* Whether [offset, offset + bytes) is zero: 0, UDS_ERR_NOT_EMPTY, or what the I/O said. */
static int check_zero(struct uds_io *cow, const struct uds_env *env, uint64_t bytes,
		      struct uds_message *message)
{
	uint64_t piece = bytes < PIECE_BYTES ? bytes : PIECE_BYTES;
	uint8_t *buffer = io_allocate_buffer(cow, env, piece);
	int r = 0;

	if (buffer == NULL)
		return -ENOMEM;
	for (uint64_t at = 0; at < bytes && r == 0; at += piece) {
		r = io_read(cow, buffer, (size_t)piece, at, message);
		for (uint64_t i = 0; i < piece && r == 0; i++) {
			if (buffer[i] != 0)
				r = failure(message, UDS_ERR_NOT_EMPTY,
					    "%s: not empty: byte %" PRIu64 " is not zero",
					    uds_io_name(cow), at + i);
		}
	}
	env_release(env, buffer);
	return r;
}

static int create(struct uds_io *cow, const struct uds_env *env, uint64_t chunk_bytes, bool force,
		  struct uds_message *message)
{
	uint64_t device_bytes;
	int r;

	r = cow_check_chunk_bytes(cow, chunk_bytes, message);
	if (r < 0)
		return r;
	if (uds_io_is_read_only(cow))
		return failure(message, UDS_ERR_READ_ONLY, "%s: opened to read only",
			       uds_io_name(cow));
	r = uds_io_size(cow, &device_bytes);
	if (r < 0)
		return failure(message, r, "%s: its size: %s", uds_io_name(cow), uds_strerror(r));
	if (device_bytes < 2 * chunk_bytes)
		return failure(message, UDS_ERR_NO_ROOM,
			       "%s: %" PRIu64 " bytes are less than two chunks of %" PRIu64,
			       uds_io_name(cow), device_bytes, chunk_bytes);
	/*
	 * Only what will be written: header and area 0. Data may lie anywhere behind them (uds-cow,
	 * 4).
	 */
	r = force ? 0 : check_zero(cow, env, 2 * chunk_bytes, message);
	/*
	 * Area 0 durable before the header: a power cut in between leaves no store, instead of one
	 * with old bytes as exceptions (13, D20).
	 */
	if (r == 0)
		r = cow_zero_chunk(cow, env, chunk_bytes, 1, message);
	if (r == 0)
		r = io_flush(cow, message);
	if (r == 0)
		r = cow_write_header(cow, env, chunk_bytes, true, message);
	if (r == 0)
		r = io_flush(cow, message);
	return r;
}

UDS_PUBLIC int uds_exception_store_format(struct uds_io *cow,
					  const struct uds_exception_store_format_options *given,
					  struct uds_message *ret_message)
{
	struct uds_exception_store_format_options options = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_env env;
	int r;

	if (given != NULL) {
		r = STRUCT_IN(&options, given, uds_exception_store_format_options, force,
			      ret_message);
		if (r < 0)
			return r;
	}
	r = env_take(options.env, ret_message, &env);
	if (r < 0)
		return r;
	if (options.chunk_bytes == 0) {
		/* The kernel's default, or the device's block where that is larger (3). */
		options.chunk_bytes = uds_io_block_bytes(cow);
		if (options.chunk_bytes < COW_DEFAULT_CHUNK)
			options.chunk_bytes = COW_DEFAULT_CHUNK;
	}
	r = create(cow, &env, options.chunk_bytes, options.force, &message);
	return r == 0 ? 0
		      : failure_or(ret_message, &message, r, "%s: %s", uds_io_name(cow),
				   uds_strerror(r));
}

static void release(struct uds_exception_store *store)
{
	struct uds_env env = store->env;

	uds_io_engine_close(store->engine);
	failures_free(store->failures);
	map_free(store->map);
	map_free(store->pending);
	env_release(&env, store->area);
	env_release(&env, store->area_highest);
	env_release(&env, store->ring);
	env_release(&env, store->repeated);
	for (size_t i = 0; i < store->saved_count; i++)
		env_release(&env, store->saved[i].bytes);
	env_release(&env, store->saved);
	pthread_rwlock_destroy(&store->map_lock);
	pthread_cond_destroy(&store->changed);
	pthread_mutex_destroy(&store->lock);
	env_release(&env, store);
}

static int make(struct uds_io *cow, const struct uds_env *env, struct uds_io_engine *share,
		struct uds_exception_store **ret)
{
	struct uds_exception_store *store = env_allocate_zeroed(env, 1, sizeof(*store));
	int r;

	if (store == NULL)
		return -ENOMEM;
	store->env = *env;
	store->io = cow;
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->changed, NULL);
	pthread_rwlock_init(&store->map_lock, NULL);
	r = failures_make(env, &store->failures);
	if (r == 0)
		r = map_make(env, &store->map);
	if (r == 0)
		r = map_make(env, &store->pending);
	/* Nothing is submitted to it: it has the threads that all engines of the store share. */
	if (r == 0)
		r = engine_open(share, 1, env, &store->engine);
	if (r < 0) {
		release(store);
		return r;
	}
	*ret = store;
	return 0;
}

/* Once, when the list was read: the status counts what there is, and each use says it again. */
static void log_damage(const struct uds_exception_store *store)
{
	struct uds_message why;

	if (store_check_damage(store, &why) < 0)
		env_log(&store->env, UDS_LOG_WARNING, "%s", why.text);
}

static int open_store(struct uds_exception_store *store,
		      const struct uds_exception_store_options *options,
		      struct uds_message *message)
{
	struct cow_header header = { 0, 0, 0, 0 };
	uint64_t device_bytes;
	int r;

	r = cow_read_header(store->io, &store->env, &header, message);
	if (r < 0)
		return r;
	r = uds_io_size(store->io, &device_bytes);
	if (r < 0)
		return failure(message, r, "%s: its size: %s", uds_io_name(store->io),
			       uds_strerror(r));
	/*
	 * Chunk size and device are known to be possible from here on; nothing was allocated by
	 * them before.
	 */
	cow_geometry_make(header.chunk_sectors * SECTOR_BYTES, device_bytes, &store->geometry);
	store->version = header.version;
	store->valid = header.valid != 0;
	store->next_free = COW_FIRST_DATA_CHUNK;
	/*
	 * The kernel reads no exception of an invalid store either (4); salvage wants them all the
	 * same.
	 */
	if (!store->valid && !store->salvage)
		return 0;
	/*
	 * Salvage wants what there is of the first area, but takes no gigabyte for a chunk that
	 * is not there.
	 */
	if (store->geometry.device_chunks < 2 &&
	    (!store->salvage || store->geometry.chunk_bytes > device_bytes + SPARE_BYTES))
		return area_cut_short(store->io, &store->geometry, 0, message);
	store->area = io_allocate_buffer(store->io, &store->env, store->geometry.chunk_bytes);
	if (store->area == NULL)
		return -ENOMEM;
	r = store_load(store, options, message);
	if (r < 0)
		return r;
	log_damage(store);
	/*
	 * Only when opened for writing: reading never changes a byte. What is damaged is not
	 * written, unless a merge begins: what lies behind its list may be what the damage has cut
	 * off, and a wrong entry may lead to it.
	 */
	if (store->read_only || store->salvage || store_is_damaged(store))
		return 0;
	return store_clean_behind(store, message);
}

UDS_PUBLIC int uds_exception_store_open(struct uds_io *cow,
					const struct uds_exception_store_options *given,
					struct uds_message *ret_message,
					struct uds_exception_store **ret_store)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store *store;
	struct uds_message message = { "" };
	struct uds_env env;
	int r;

	r = store_take_options(given, ret_message, &options, &env);
	if (r < 0)
		return r;
	if (uds_io_is_read_only(cow) && !options.read_only)
		return failure(ret_message, UDS_ERR_READ_ONLY, "%s: opened to read only",
			       uds_io_name(cow));
	r = make(cow, &env, options.engine, &store);
	if (r < 0)
		return failure(ret_message, r, "%s: no memory", uds_io_name(cow));
	store->read_only = options.read_only;
	store->salvage = options.salvage;
	store->origin_known = options.origin_known || options.origin_bytes != 0;
	store->origin_bytes = options.origin_bytes;
	r = open_store(store, &options, &message);
	if (r < 0) {
		release(store);
		return failure_or(ret_message, &message, r, "%s: %s", uds_io_name(cow),
				  uds_strerror(r));
	}
	*ret_store = store;
	return 0;
}

UDS_PUBLIC int uds_exception_store_close(struct uds_exception_store *store)
{
	int r = 0;

	if (store == NULL)
		return 0;
	/* A failed write may have left the area torn. This is the last chance to write it again. */
	if (!store->read_only && !store->salvage && store->valid)
		r = store_settle(store, NULL);
	release(store);
	return r;
}

/* The header with valid 0, durably. With the baton. */
static int write_invalid(struct uds_exception_store *store, struct uds_message *message)
{
	int r;

	r = cow_write_header(store->io, &store->env, store->geometry.chunk_bytes, false, message);
	if (r == 0)
		r = store_flush_metadata(store, message);
	pthread_mutex_lock(&store->lock);
	/* A later call tries again: valid only ever goes from 1 to 0 (12, I6). */
	store->header_pending = r < 0;
	pthread_mutex_unlock(&store->lock);
	return r;
}

UDS_PUBLIC int uds_exception_store_invalidate(struct uds_exception_store *store)
{
	struct uds_message message = { "" };
	bool needed;
	int r = 0;

	failures_begin(store->failures);
	if (store->read_only)
		return failures_say(store->failures, UDS_ERR_READ_ONLY, "%s: opened to read only",
				    uds_io_name(store->io));
	store_acquire(store);
	pthread_mutex_lock(&store->lock);
	needed = store->valid || store->header_pending;
	/*
	 * In memory at once, whatever comes of the write: from now on nothing is given out or
	 * committed.
	 */
	store->valid = false;
	pthread_mutex_unlock(&store->lock);
	if (needed)
		r = write_invalid(store, &message);
	return store_end_exclusive(store, r, &message, "marking it invalid");
}
