/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing a snapshot. */
#include <errno.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "exceptions/store_kinds.h"
#include "io/io.h"
#include "snapshot/device.h"

#define DEFAULT_DEPTH 32u
#define MAX_DEPTH     1024u

static int open_store(struct uds_snapshot *s, const struct uds_snapshot_options *options,
		      struct uds_message *message)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct chunk_store_options store_options = { UDS_EXCEPTION_STORE_OPTIONS_INIT, 0 };
	int r;

	store_options.persistent.env = &s->env;
	store_options.persistent.read_only = options->read_only;
	store_options.persistent.strict = options->strict;
	store_options.persistent.salvage = options->salvage;
	/*
	 * With the origin's size the store can tell entries that lie behind it; nothing on the COW
	 * device says how large the origin is (uds-cow, 5).
	 */
	store_options.persistent.origin_known = true;
	store_options.persistent.origin_bytes = s->origin->size_bytes;
	store_options.persistent.queue_depth = options->queue_depth;
	store_options.persistent.engine = s->engine;
	store_options.persistent.progress = options->progress;
	store_options.persistent.progress_context = options->progress_context;
	store_options.transient_chunk_bytes = options->transient_chunk_bytes;
	r = store_kinds_open(s->cow, &store_options, message, &s->store);
	if (r < 0)
		return r;
	s->chunk_bytes = s->store->chunk_bytes;
	s->store->ops->get_status(s->store, &status);
	/* An invalid snapshot can be opened, to be looked at; requests are refused by this flag. */
	s->given_up = !status.valid && !s->salvage;
	s->member.snapshot = s;
	s->member.cow = s->cow;
	s->member.chunk_bytes = s->chunk_bytes;
	/* Last: from here on writes to the origin copy out to this snapshot. */
	return origin_attach(s->origin, &s->member, message);
}

static void set_options(struct uds_snapshot *s, const struct uds_snapshot_options *options)
{
	s->read_only = options->read_only;
	s->salvage = options->salvage;
	s->keep_on_overflow = options->keep_on_overflow;
	s->depth = options->queue_depth == 0 ? DEFAULT_DEPTH : options->queue_depth;
	s->depth = s->depth > MAX_DEPTH ? MAX_DEPTH : s->depth;
}

/* Returns what closing the store said. */
static int release(struct uds_snapshot *s)
{
	struct uds_env env = s->env;
	int r = 0;

	copier_close(s->to_cow);
	/*
	 * Off the origin before the store goes: a write to the origin may still be copying out to
	 * it.
	 */
	if (s->origin != NULL)
		origin_detach(s->origin, &s->member);
	if (s->store != NULL)
		r = s->store->ops->close(s->store);
	origin_close(s->origin);
	uds_io_engine_close(s->engine);
	failures_free(s->failures);
	env_release(&env, s->lost.runs);
	pthread_mutex_destroy(&s->lock);
	env_release(&env, s);
	return r;
}

/* @origin: becomes the snapshot's, also when this fails. */
static int open_snapshot(struct origin *origin, struct uds_io *cow, const struct uds_env *env,
			 const struct uds_snapshot_options *options, struct uds_message *message,
			 struct uds_snapshot **ret)
{
	struct uds_snapshot *s = env_allocate_zeroed(env, 1, sizeof(*s));
	int r;

	if (s == NULL) {
		origin_close(origin);
		return failure(message, -ENOMEM, "%s: no memory", uds_io_name(cow));
	}
	s->env = *env;
	s->origin = origin;
	s->cow = cow;
	set_options(s, options);
	pthread_mutex_init(&s->lock, NULL);
	r = failures_make(env, &s->failures);
	/* Nothing is submitted to it: it has the threads that all engines of the snapshot share. */
	if (r == 0)
		r = engine_open(options->engine, 1, env, &s->engine);
	if (r == 0)
		r = open_store(s, options, message);
	if (r < 0) {
		(void)release(s);
		return r;
	}
	*ret = s;
	return 0;
}

static int take_options(const struct uds_snapshot_options *given,
			struct uds_snapshot_options *ret_options, struct uds_env *ret_env,
			struct uds_message *ret_message)
{
	int r = 0;

	if (given != NULL)
		r = STRUCT_IN(ret_options, given, uds_snapshot_options, progress_context,
			      ret_message);
	return r < 0 ? r : env_take(ret_options->env, ret_message, ret_env);
}

/* Origin and store, or two stores, would be written over each other. */
static int refuse_common_bytes(const struct uds_io *cow, const char *other,
			       struct uds_message *ret_message)
{
	return failure(ret_message, -EINVAL,
		       "%s: the COW device and %s have bytes in common, as if they were the same",
		       uds_io_name(cow), other);
}

UDS_PUBLIC int uds_snapshot_open(struct uds_io *origin, struct uds_io *cow,
				 const struct uds_snapshot_options *given,
				 struct uds_message *ret_message, struct uds_snapshot **ret)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct origin *shared;
	struct uds_env env;
	int r;

	r = take_options(given, &options, &env, ret_message);
	if (r < 0)
		return r;
	if (uds_io_overlap(origin, cow))
		return refuse_common_bytes(cow, uds_io_name(origin), ret_message);
	r = origin_open(origin, &env, &shared, &message);
	if (r == 0)
		r = open_snapshot(shared, cow, &env, &options, &message, ret);
	return r == 0 ? 0
		      : failure_or(ret_message, &message, r, "%s: %s", uds_io_name(cow),
				   uds_strerror(r));
}

UDS_PUBLIC int uds_snapshot_open_beside(struct uds_snapshot *beside, struct uds_io *cow,
					const struct uds_snapshot_options *given,
					struct uds_message *ret_message, struct uds_snapshot **ret)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_env env;
	const char *other;
	int r;

	r = take_options(given, &options, &env, ret_message);
	if (r < 0)
		return r;
	if (origin_overlaps(beside->origin, cow, &other))
		return refuse_common_bytes(cow, other, ret_message);
	if (options.engine == NULL)
		options.engine = beside->engine;
	r = open_snapshot(origin_share(beside->origin), cow, &env, &options, &message, ret);
	return r == 0 ? 0
		      : failure_or(ret_message, &message, r, "%s: %s", uds_io_name(cow),
				   uds_strerror(r));
}

UDS_PUBLIC int uds_snapshot_close(struct uds_snapshot *s)
{
	return s == NULL ? 0 : release(s);
}
