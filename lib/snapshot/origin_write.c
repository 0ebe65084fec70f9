/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing the origin: before its content changes, every snapshot on it has a copy (keep_old.c),
 * durably. While a snapshot is merged, a chunk is written where it lives.
 */
#include <inttypes.h>

#include "base/bits.h"
#include "base/message.h"
#include "base/visibility.h"
#include "exceptions/merge_list.h"
#include "snapshot/device.h"
#include "snapshot/keep_old.h"
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
	if (store_has_shared_chunks(device_list(s)))
		return failure(w->message, UDS_ERR_CORRUPT,
			       "%s: new chunks are used twice: they are not written",
			       uds_io_name(s->cow));
	r = device_check_target(s, run->new_chunk, ceil_div(in_chunk + length, s->chunk_bytes),
				w->message);
	return r < 0 ? r
		     : window_write(w, s->cow, run->new_chunk * s->chunk_bytes + in_chunk, length);
}

/*
 * A part that lives on the origin. The snapshot that is merged reads as the origin there,
 * and keeps nothing.
 */
static int write_merged(struct uds_snapshot *merging, struct write_window *w, uint64_t offset,
			uint64_t length)
{
	struct write_window part = {
		.s = w->s, .offset = offset, .length = (size_t)length, .message = w->message
	};
	int r = keep_old(merging->origin, merging, &part);

	/* Shorter where another snapshot had no room for all: the rest comes with the next part. */
	return r < 0 ? r : window_write(w, merging->origin->io, offset, part.length);
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
			r = write_merged(s, w, offset, part);
	}
	return r;
}

static int write_window(struct write_window *w)
{
	struct origin *origin = w->s->origin;
	struct uds_snapshot *merging = device_that_merges(origin);
	int r;

	if (merging != NULL)
		return write_merging(merging, w);
	r = keep_old(origin, NULL, w);
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
