/* SPDX-License-Identifier: BSD-2-Clause */
/* The snapshot device's life and state: open, close, figures, flush, giving it up. */
#include "snapshot/device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "exceptions/area.h"
#include "io/io.h"

#define DEFAULT_DEPTH 32u
#define MAX_DEPTH     1024u

struct device_state device_get_state(struct uds_snapshot *s)
{
	struct device_state state;

	pthread_mutex_lock(&s->lock);
	state.given_up = s->given_up;
	state.overflow = s->overflow;
	state.merging = s->merging;
	pthread_mutex_unlock(&s->lock);
	return state;
}

int device_failed(struct uds_snapshot *s, int status, const struct uds_message *message)
{
	if (status < 0 && message->text[0] != '\0')
		failures_keep(s->failures, status, message);
	return status;
}

int device_end(struct uds_snapshot *s, int status, const char *what)
{
	return failures_end(s->failures, status, "%s: %s", uds_io_name(s->cow), what);
}

UDS_PUBLIC void uds_snapshot_error_message(struct uds_snapshot *s, struct uds_message *ret_message)
{
	failures_get(s->failures, ret_message);
}

uint64_t device_chunk_length(const struct uds_snapshot *s, uint64_t chunk)
{
	uint64_t left = s->size_bytes - chunk * s->chunk_bytes;

	return left < s->chunk_bytes ? left : s->chunk_bytes;
}

bool device_lookup(struct uds_snapshot *s, uint64_t old_chunk, struct map_run *ret_run)
{
	if (s->transient != NULL)
		return transient_find(s->transient, old_chunk, ret_run);
	ret_run->old_chunk = old_chunk;
	return uds_exception_store_lookup(s->store, old_chunk, &ret_run->new_chunk,
					  &ret_run->count) == 1;
}

int device_prepare(struct uds_snapshot *s, uint64_t old_chunk, struct uds_exception *ret_exception,
		   struct uds_message *message)
{
	int r;

	if (s->transient != NULL) {
		r = transient_prepare(s->transient, old_chunk, ret_exception);
		if (r < 0)
			failure(message, r, "%s: no exception for old chunk %" PRIu64 ": %s",
				uds_io_name(s->cow), old_chunk, uds_strerror(r));
		return r;
	}
	r = uds_exception_store_prepare(s->store, old_chunk, ret_exception);
	if (r < 0)
		uds_exception_store_error_message(s->store, message);
	return r;
}

int device_commit(struct uds_snapshot *s, const struct uds_exception *exceptions, size_t count,
		  struct uds_message *message)
{
	int r;

	if (count == 0)
		return 0;
	if (s->transient != NULL) {
		r = transient_commit(s->transient, exceptions, count);
		return r < 0 ? failure(message, r, "%s: no memory for %zu exceptions",
				       uds_io_name(s->cow), count)
			     : 0;
	}
	r = uds_exception_store_commit(s->store, exceptions, count);
	if (r < 0)
		uds_exception_store_error_message(s->store, message);
	return r;
}

void device_abandon(struct uds_snapshot *s, const struct uds_exception *exceptions, size_t count)
{
	if (s->store != NULL && count > 0)
		uds_exception_store_abandon(s->store, exceptions, count);
}

int device_give_up(struct uds_snapshot *s, struct uds_message *message)
{
	int r = 0;

	if (s->store != NULL) {
		r = uds_exception_store_invalidate(s->store);
		if (r < 0)
			uds_exception_store_error_message(s->store, message);
	}
	if (r == 0) {
		pthread_mutex_lock(&s->lock);
		s->given_up = true;
		pthread_mutex_unlock(&s->lock);
		env_log(&s->env, UDS_LOG_WARNING, "%s: the snapshot is invalid now",
			uds_io_name(s->cow));
	}
	return r;
}

int device_flush_origin(struct uds_snapshot *s, struct uds_message *message)
{
	int r = io_flush(s->origin, message);

	if (r < 0) {
		pthread_mutex_lock(&s->lock);
		s->origin_flush_error = r;
		pthread_mutex_unlock(&s->lock);
	}
	return r;
}

UDS_PUBLIC int uds_snapshot_flush(struct uds_snapshot *s)
{
	struct uds_message message = { "" };
	int r = 0, earlier;

	failures_begin(s->failures);
	if (s->read_only)
		return 0;
	if (!uds_io_is_read_only(s->origin))
		r = io_flush(s->origin, &message);
	if (r == 0 && !device_get_state(s).given_up)
		r = s->store != NULL ? store_flush(s->store, &message) : io_flush(s->cow, &message);
	pthread_mutex_lock(&s->lock);
	earlier = s->origin_flush_error;
	s->origin_flush_error = 0;
	pthread_mutex_unlock(&s->lock);
	if (r == 0 && earlier < 0)
		r = failure(&message, earlier, "%s: an earlier flush failed: %s",
			    uds_io_name(s->origin), uds_strerror(earlier));
	device_failed(s, r, &message);
	return device_end(s, r, "flushing");
}

bool device_merge_runs(struct uds_snapshot *s, struct uds_message *message)
{
	bool runs;

	pthread_mutex_lock(&s->lock);
	runs = s->merge_running;
	pthread_mutex_unlock(&s->lock);
	if (runs)
		failure(message, UDS_ERR_BAD_STATE, "%s: a merge runs", uds_io_name(s->cow));
	return runs;
}

UDS_PUBLIC int uds_snapshot_invalidate(struct uds_snapshot *s)
{
	struct uds_message message = { "" };
	struct range_hold all;
	bool running;
	int r;

	failures_begin(s->failures);
	if (s->read_only || s->salvage)
		return device_failed(s,
				     failure(&message, UDS_ERR_READ_ONLY, "%s: opened to read only",
					     uds_io_name(s->cow)),
				     &message);
	if (device_merge_runs(s, &message))
		return device_failed(s, UDS_ERR_BAD_STATE, &message);
	range_acquire(&s->ranges, &all, 0, UINT64_MAX, true);
	running = device_merge_runs(s, &message); /* it may have begun meanwhile */
	if (running) {
		r = UDS_ERR_BAD_STATE;
	} else {
		r = device_give_up(s, &message);
		/*
		 * Asked for by name: the origin goes on, even when the COW device cannot be told.
		 */
		pthread_mutex_lock(&s->lock);
		s->given_up = true;
		pthread_mutex_unlock(&s->lock);
	}
	range_release(&s->ranges, &all);
	device_failed(s, r, &message);
	return device_end(s, r, "marking the snapshot invalid");
}

static int check_origin(struct uds_snapshot *s, struct uds_message *message)
{
	uint32_t block = uds_io_block_bytes(s->origin);

	if (s->chunk_bytes % block != 0)
		return failure(message, UDS_ERR_UNALIGNED,
			       "%s: the origin's blocks of %" PRIu32
			       " bytes are larger than the chunks of %" PRIu64,
			       uds_io_name(s->origin), block, s->chunk_bytes);
	if (s->size_bytes % block != 0)
		return failure(message, UDS_ERR_UNALIGNED,
			       "%s: %" PRIu64 " bytes are no multiple of its blocks of %" PRIu32
			       ": open it without O_DIRECT",
			       uds_io_name(s->origin), s->size_bytes, block);
	return 0;
}

static int open_stores(struct uds_snapshot *s, const struct uds_snapshot_options *options,
		       struct uds_message *message)
{
	struct uds_exception_store_options store_options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	int r;

	if (options->transient_chunk_bytes != 0) {
		s->chunk_bytes = options->transient_chunk_bytes;
		r = cow_check_chunk_bytes(s->cow, s->chunk_bytes, message);
		return r < 0 ? r : transient_make(s->cow, &s->env, s->chunk_bytes, &s->transient);
	}
	store_options.env = &s->env;
	store_options.read_only = options->read_only;
	store_options.strict = options->strict;
	store_options.salvage = options->salvage;
	store_options.origin_bytes = s->size_bytes;
	store_options.progress = options->progress;
	store_options.progress_context = options->progress_context;
	r = uds_exception_store_open(s->cow, &store_options, message, &s->store);
	if (r < 0)
		return r;
	s->chunk_bytes = s->store->geometry.chunk_bytes;
	s->given_up = !s->store->valid && !s->salvage;
	return 0;
}

static void release(struct uds_snapshot *s)
{
	struct uds_env env = s->env;

	failures_free(s->failures);
	env_release(&env, s->lost.runs);
	transient_free(s->transient);
	range_lock_destroy(&s->ranges);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	env_release(&env, s);
}

UDS_PUBLIC int uds_snapshot_open(struct uds_io *origin, struct uds_io *cow,
				 const struct uds_snapshot_options *given,
				 struct uds_message *ret_message, struct uds_snapshot **ret)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_snapshot *s;
	struct uds_env env;
	int r;

	if (given != NULL) {
		r = STRUCT_IN(&options, given, uds_snapshot_options, progress_context, ret_message);
		if (r < 0)
			return r;
	}
	r = env_take(options.env, ret_message, &env);
	if (r < 0)
		return r;
	/* Origin and store would be copied over each other. */
	if (uds_io_overlap(origin, cow))
		return failure(ret_message, -EINVAL,
			       "%s: COW device and origin %s have bytes in common, as if they were "
			       "the same",
			       uds_io_name(cow), uds_io_name(origin));
	s = env_allocate_zeroed(&env, 1, sizeof(*s));
	if (s == NULL)
		return failure(ret_message, -ENOMEM, "%s: no memory", uds_io_name(cow));
	s->env = env;
	s->origin = origin;
	s->cow = cow;
	s->read_only = options.read_only;
	s->salvage = options.salvage;
	s->keep_on_overflow = options.keep_on_overflow;
	s->depth = options.queue_depth == 0 ? DEFAULT_DEPTH : options.queue_depth;
	s->depth = s->depth > MAX_DEPTH ? MAX_DEPTH : s->depth;
	range_lock_init(&s->ranges);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	r = failures_make(&env, &s->failures);
	if (r < 0)
		goto out;
	r = uds_io_size(origin, &s->size_bytes);
	if (r < 0)
		failure(&message, r, "%s: its size: %s", uds_io_name(origin), uds_strerror(r));
	if (r == 0)
		r = open_stores(s, &options, &message);
	if (r == 0)
		r = check_origin(s, &message);
out:
	if (r < 0) {
		uds_exception_store_close(s->store);
		release(s);
		return failure_or(ret_message, &message, r, "%s: %s", uds_io_name(cow),
				  uds_strerror(r));
	}
	*ret = s;
	return 0;
}

UDS_PUBLIC int uds_snapshot_close(struct uds_snapshot *s)
{
	int r;

	if (s == NULL)
		return 0;
	copier_close(s->to_cow);
	r = uds_exception_store_close(s->store);
	release(s);
	return r;
}

UDS_PUBLIC struct uds_exception_store *uds_snapshot_store(struct uds_snapshot *s)
{
	return s->store;
}

UDS_PUBLIC uint64_t uds_snapshot_size(const struct uds_snapshot *s)
{
	return s->size_bytes;
}
