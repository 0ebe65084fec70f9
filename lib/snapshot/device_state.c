/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of a snapshot: what requests see of it, flushing it, giving it up. */
#include <inttypes.h>

#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "io/io.h"
#include "snapshot/device.h"

struct device_state device_get_state(struct uds_snapshot *s)
{
	struct device_state state;

	pthread_mutex_lock(&s->lock);
	state.given_up = s->given_up;
	state.is_invalid = s->given_up || s->unmarked;
	state.overflow = s->overflow;
	state.merging = s->merging;
	pthread_mutex_unlock(&s->lock);
	return state;
}

struct uds_snapshot *device_that_merges(const struct origin *origin)
{
	for (const struct origin_member *m = origin->members; m != NULL; m = m->next) {
		struct device_state state = device_get_state(m->snapshot);

		/*
		 * A snapshot that was given up has no content any more: the origin reads as itself.
		 */
		if (state.merging && !state.given_up)
			return m->snapshot;
	}
	return NULL;
}

int device_end(struct uds_snapshot *s, int status, const struct uds_message *message,
	       const char *what)
{
	if (status < 0 && message->text[0] != '\0')
		failures_keep(s->failures, status, message);
	return failures_end(s->failures, status, "%s: %s", uds_io_name(s->cow), what);
}

UDS_PUBLIC void uds_snapshot_error_message(const struct uds_snapshot *s,
					   struct uds_message *ret_message)
{
	failures_get(s->failures, ret_message);
}

UDS_PUBLIC struct uds_exception_store *uds_snapshot_store(struct uds_snapshot *s)
{
	return device_list(s);
}

UDS_PUBLIC uint64_t uds_snapshot_size(const struct uds_snapshot *s)
{
	return s->origin->size_bytes;
}

int device_check_range(struct uds_snapshot *s, size_t length, uint64_t offset,
		       struct uds_message *message)
{
	uint64_t size = s->origin->size_bytes;

	/* By subtraction, which cannot overflow. */
	if (offset <= size && length <= size - offset)
		return 0;
	return failure(message, UDS_ERR_OUT_OF_RANGE,
		       "%s: %zu bytes at %" PRIu64 " go past the end at %" PRIu64,
		       uds_io_name(s->origin->io), length, offset, size);
}

uint64_t device_chunk_length(const struct uds_snapshot *s, uint64_t chunk)
{
	uint64_t left = s->origin->size_bytes - chunk * s->chunk_bytes;

	return left < s->chunk_bytes ? left : s->chunk_bytes;
}

int device_give_up(struct uds_snapshot *s, struct uds_message *message)
{
	int r = s->store->ops->invalidate(s->store, message);

	/*
	 * Not on the device: the caller must not let the origin change, or a power cut would bring
	 * the store back as valid (uds-cow, 13, D17). Nor does it take anything more that would be
	 * lost if the device says so.
	 */
	pthread_mutex_lock(&s->lock);
	s->given_up = r == 0 || s->given_up;
	s->unmarked = r < 0;
	pthread_mutex_unlock(&s->lock);
	if (r < 0)
		return r;
	env_log(&s->env, UDS_LOG_WARNING, "%s: the snapshot is invalid now", uds_io_name(s->cow));
	return 0;
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

static int flush_both(struct uds_snapshot *s, struct uds_message *message)
{
	int r = origin_flush(s->origin, message), earlier;
	struct uds_message about_earlier;

	if (r == 0 && !device_get_state(s).given_up)
		r = s->store->ops->flush(s->store, message);
	/*
	 * Reported by this flush, or not at all: a caller that sees any error knows no
	 * more than that.
	 */
	earlier = origin_take_flush_error(s->origin, &about_earlier);
	if (r == 0 && earlier < 0) {
		*message = about_earlier;
		r = earlier;
	}
	return r;
}

UDS_PUBLIC int uds_snapshot_flush(struct uds_snapshot *s)
{
	struct uds_message message = { "" };

	failures_begin(s->failures);
	/* Nothing was written, so everything is durable. */
	if (s->read_only)
		return 0;
	return device_end(s, flush_both(s, &message), &message, "flushing");
}

static int invalidate(struct uds_snapshot *s, struct uds_message *message)
{
	struct range_hold all;
	int r = UDS_ERR_BAD_STATE;

	if (s->read_only || s->salvage)
		return failure(message, UDS_ERR_READ_ONLY, "%s: opened to read only",
			       uds_io_name(s->cow));
	/*
	 * Looked at first, because a merge may take its time; and again, because one
	 * may have begun.
	 */
	if (device_merge_runs(s, message))
		return r;
	/* With everything held no request is between looking at the state and using it. */
	origin_hold_all(s->origin, &all);
	if (!device_merge_runs(s, message)) {
		r = device_give_up(s, message);
		/*
		 * Asked for by name: the origin goes on, even when the COW device cannot be marked.
		 */
		pthread_mutex_lock(&s->lock);
		s->given_up = true;
		pthread_mutex_unlock(&s->lock);
	}
	origin_let_go(s->origin, &all);
	return r;
}

UDS_PUBLIC int uds_snapshot_invalidate(struct uds_snapshot *s)
{
	struct uds_message message = { "" };

	failures_begin(s->failures);
	return device_end(s, invalidate(s, &message), &message, "marking the snapshot invalid");
}
