/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing the snapshot. A chunk without exception gets one: its new chunk is filled from the origin
 * where the write does not cover it, then with the data, and committed with its neighbours. One
 * that has an exception is written in place.
 */
#include <inttypes.h>

#include "base/bits.h"
#include "base/message.h"
#include "base/visibility.h"
#include "snapshot/copy_out.h"
#include "snapshot/device.h"
#include "snapshot/new_exceptions.h"
#include "snapshot/write_window.h"

/* The new chunk of @chunk: fresh ones are looked up from *@at on. False: it has none. */
static bool find_new(const struct write_window *w, const struct new_exceptions *fresh,
		     uint64_t chunk, size_t *at, uint64_t *ret_new)
{
	struct map_run run;

	while (*at < fresh->count && fresh->all[*at].old_chunk < chunk)
		(*at)++;
	if (*at < fresh->count && fresh->all[*at].old_chunk == chunk) {
		*ret_new = fresh->all[*at].new_chunk;
		return true;
	}
	/* Not fresh: it had an exception before this write. */
	if (!device_lookup(w->s, chunk, &run))
		return false;
	*ret_new = run.new_chunk;
	return true;
}

/*
 * How many chunks from @chunk on, up to @end, have consecutive new chunks, and the first of these.
 */
static uint64_t new_run(const struct write_window *w, const struct new_exceptions *fresh,
			uint64_t chunk, uint64_t end, size_t *at, uint64_t *ret_new)
{
	uint64_t count = 0, next;

	while (chunk + count < end && find_new(w, fresh, chunk + count, at, &next)) {
		if (count == 0)
			*ret_new = next;
		else if (next != *ret_new + count)
			break;
		count++;
	}
	return count;
}

/*
 * Writes the window's data to the new chunks, all of which exist; consecutive ones at once. Where
 * it fails, w->done says how far it came.
 */
static int write_new(struct write_window *w, const struct new_exceptions *fresh)
{
	struct uds_snapshot *s = w->s;
	uint64_t end = w->offset + w->length;
	size_t at = 0;
	int r = 0;

	while (w->offset + w->done < end && r == 0) {
		uint64_t offset = w->offset + w->done;
		uint64_t chunk = offset / s->chunk_bytes, in_chunk = offset % s->chunk_bytes;
		uint64_t new_chunk, part;
		uint64_t count =
			new_run(w, fresh, chunk, ceil_div(end, s->chunk_bytes), &at, &new_chunk);

		/*
		 * Not possible: each chunk of the window has one by now. But data must
		 * not go nowhere.
		 */
		if (count == 0)
			return failure(w->message, UDS_ERR_BAD_STATE,
				       "%s: old chunk %" PRIu64 " has no new chunk to write to",
				       uds_io_name(s->cow), chunk);
		r = device_check_target(s, new_chunk, count, w->message);
		if (r < 0)
			return r;
		part = count * s->chunk_bytes - in_chunk;
		if (part > end - offset)
			part = end - offset;
		r = window_write(w, s->cow, new_chunk * s->chunk_bytes + in_chunk, part);
	}
	return r;
}

/*
 * Data in new chunks that no exception names is not in the snapshot: what was done
 * ends before them.
 */
static void forget_new(struct write_window *w, uint64_t first_new)
{
	if (w->offset + w->done > first_new)
		w->done = first_new > w->offset ? (size_t)(first_new - w->offset) : 0;
}

/* The snapshot is written and there is no room: it overflows. */
static int overflow(struct write_window *w)
{
	struct uds_snapshot *s = w->s;
	struct uds_message why = *w->message;
	int r;

	/*
	 * A persistent store that was opened so keeps what it has (uds-cow, 6.6, PO). A transient
	 * one has no such kind.
	 */
	if (s->keep_on_overflow && device_list(s) != NULL) {
		pthread_mutex_lock(&s->lock);
		s->overflow = true;
		pthread_mutex_unlock(&s->lock);
		return failure(w->message, UDS_ERR_SNAPSHOT_OVERFLOW, "%s", why.text);
	}
	r = device_give_up(s, w->message);
	if (r == 0)
		w->done = 0; /* nothing of the snapshot is left */
	return r < 0 ? r : failure(w->message, UDS_ERR_INVALID_SNAPSHOT, "%s", why.text);
}

/* What refuses a write to the snapshot. */
static int check_state(struct write_window *w)
{
	struct uds_snapshot *s = w->s;
	struct device_state state = device_get_state(s);
	const char *name = uds_io_name(s->cow);

	if (state.is_invalid)
		return failure(w->message, UDS_ERR_INVALID_SNAPSHOT, "%s: the snapshot is invalid",
			       name);
	/* New exceptions would stand behind those that the merge takes off. */
	if (state.merging)
		return failure(w->message, UDS_ERR_BAD_STATE,
			       "%s: the snapshot is being merged: write to the origin", name);
	if (state.overflow)
		return failure(w->message, UDS_ERR_SNAPSHOT_OVERFLOW,
			       "%s: the snapshot has overflowed", name);
	return s->store->ops->check_damage(s->store, w->message);
}

static int write_window(struct write_window *w)
{
	struct uds_snapshot *s = w->s;
	struct new_exceptions fresh = { .count = 0 };
	uint64_t first_new;
	int r = check_state(w);

	/* What a failed write left on the device is repaired before anything relies on it. */
	if (r == 0)
		r = s->store->ops->settle(s->store, w->message);
	if (r == 0)
		r = new_exceptions_prepare(s, w, &fresh);
	if (r < 0)
		return r;
	first_new = fresh.count > 0 ? fresh.all[0].old_chunk * s->chunk_bytes : UINT64_MAX;
	/*
	 * Data before exceptions: an entry must never lead to a chunk that is not there (uds-cow,
	 * 6.4).
	 */
	for (size_t i = 0; i < fresh.count && r == 0; i++)
		r = copy_out_edges(s, w, &fresh.all[i]);
	if (r == 0)
		r = write_new(w, &fresh);
	r = new_exceptions_finish(&fresh, s, r, w->message);
	if (r < 0)
		forget_new(w, first_new);
	/* What found room is done; then the snapshot overflows, as the kernel's (uds-cow, 6.6). */
	return r == 0 && fresh.full ? overflow(w) : r;
}

UDS_PUBLIC int uds_snapshot_write_partial(struct uds_snapshot *s, const void *buffer, size_t length,
					  uint64_t offset, size_t *ret_done)
{
	return write_in_windows(s, s->cow, buffer, length, offset, write_window, ret_done,
				"writing the snapshot");
}

UDS_PUBLIC int uds_snapshot_write(struct uds_snapshot *s, const void *buffer, size_t length,
				  uint64_t offset)
{
	return uds_snapshot_write_partial(s, buffer, length, offset, NULL);
}
