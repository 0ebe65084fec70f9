/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing the origin: before its content changes, every snapshot on it has copied it out (copy_out.c),
 * durably. While a snapshot is merged, a chunk is written where it lives.
 */
#include <inttypes.h>

#include "base/bits.h"
#include "base/message.h"
#include "base/visibility.h"
#include "snapshot/copy_out.h"
#include "snapshot/device.h"
#include "snapshot/new_exceptions.h"
#include "snapshot/write_window.h"

/* Part of an extent that is not merged yet, in place. */
static int write_unmerged(struct uds_snapshot *s, struct write_window *w, uint64_t length,
			  const struct map_run *run, uint64_t in_chunk)
{
	int r;

	/*
	 * A write in place to a chunk that two entries share would change both (uds-cow, 5, rule
	 * 6).
	 */
	if (s->store->ops->has_shared_chunks(s->store))
		return failure(w->message, UDS_ERR_CORRUPT,
			       "%s: new chunks are used twice: they are not written",
			       uds_io_name(s->cow));
	r = device_check_target(s, run->new_chunk, ceil_div(in_chunk + length, s->chunk_bytes),
				w->message);
	return r < 0 ? r
		     : window_write(w, s->cow, run->new_chunk * s->chunk_bytes + in_chunk, length);
}

/* As the kernel's snapshot-merge: where the chunk lives. */
static int write_merging(struct uds_snapshot *s, struct write_window *w)
{
	uint64_t end = w->offset + w->length;
	int r = s->store->ops->settle(s->store, w->message);

	while (w->offset + w->done < end && r == 0) {
		uint64_t offset = w->offset + w->done, part = end - offset;
		uint64_t in_chunk = offset % s->chunk_bytes;
		struct map_run run;
		bool copied = device_lookup(s, offset / s->chunk_bytes, &run);

		/* Up to where the run of exceptions, or of merged chunks, ends. */
		if (run.count <= (in_chunk + part - 1) / s->chunk_bytes)
			part = run.count * s->chunk_bytes - in_chunk;
		if (copied)
			r = write_unmerged(s, w, part, &run, in_chunk);
		else
			r = window_write(w, s->origin->io, offset, part);
	}
	return r;
}

/* New exceptions for the window's chunks, with their old content. */
static int copy_window(struct uds_snapshot *s, struct write_window *w)
{
	struct new_exceptions fresh;
	int r = new_exceptions_prepare(s, w, &fresh);

	if (r < 0)
		return r;
	/* Data, then its exceptions durably, and only then the origin changes (uds-cow, 12, I3). */
	r = copy_out(s, &fresh, w->message);
	r = new_exceptions_finish(&fresh, s, r, w->message);
	return r == 0 && w->length == 0 ? UDS_ERR_NO_ROOM : r;
}

/*
 * One snapshot keeps the old content of the window's chunks: 0 once that is durable. A snapshot that
 * has no room, or has become invalid, is given up instead: the origin goes on, but not before that is
 * durable.
 */
static int keep_old(struct uds_snapshot *s, struct write_window *w)
{
	size_t length = w->length;
	int r;

	if (device_get_state(s).given_up)
		return 0;
	r = s->store->ops->settle(s->store, w->message);
	if (r < 0)
		return r;
	r = copy_window(s, w);
	/*
	 * Any other failure stops the write: the old content is not safe. Only a full or invalid
	 * store may not, since the origin must not suffer from it (uds-cow, 6.6).
	 */
	if (r != UDS_ERR_NO_ROOM && (r != UDS_ERR_INVALID_SNAPSHOT || s->salvage))
		return r;
	w->length = length;
	return device_give_up(s, w->message);
}

static int write_window(struct write_window *w)
{
	struct origin *origin = w->s->origin;
	struct uds_snapshot *merging = device_that_merges(origin);
	int r = 0;

	if (merging != NULL)
		return write_merging(merging, w);
	/* One after the other, each durably, before the first byte of the origin changes. */
	for (struct origin_member *m = origin->members; m != NULL && r == 0; m = m->next)
		r = keep_old(m->snapshot, w);
	return r < 0 ? r : window_write(w, origin->io, w->offset, w->length);
}

UDS_PUBLIC int uds_snapshot_origin_write_partial(struct uds_snapshot *s, const void *buffer,
						 size_t length, uint64_t offset, size_t *ret_done)
{
	return write_in_windows(s, s->origin->io, buffer, length, offset, write_window, ret_done,
				"writing the origin");
}

UDS_PUBLIC int uds_snapshot_origin_write(struct uds_snapshot *s, const void *buffer, size_t length,
					 uint64_t offset)
{
	return uds_snapshot_origin_write_partial(s, buffer, length, offset, NULL);
}
