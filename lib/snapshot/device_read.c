/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading: each chunk from where it lives, up to the first byte that is lost; or past it, with
 * zeros in its place and a report of each such range.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "io/bytes_io.h"
#include "io/io.h"
#include "snapshot/device.h"
#include "snapshot/loss_list.h"

/* One request holds so much at a time, so that a long read lets writers in between. */
#define WINDOW_BYTES (UINT64_C(64) << 20)

/* A read under way: everything before @offset is in the buffer. */
struct reading {
	struct uds_snapshot *s;
	uint8_t *to;
	uint64_t offset;
	uint64_t left;
	device_lost_fn lost; /* NULL: the first byte that is lost ends it */
	void *context;
	struct uds_message *message;
};

static void advance(struct reading *rd, uint64_t bytes)
{
	rd->to += bytes;
	rd->offset += bytes;
	rd->left -= bytes;
}

/* The next @bytes are lost. */
static int lose(struct reading *rd, uint64_t bytes, int status)
{
	int r;

	/* The reader wants nothing behind an error: this one ends it. */
	if (rd->lost == NULL)
		return status;
	/* Zeros and not what the buffer had before: they must not be taken for data. */
	memset(rd->to, 0, (size_t)bytes);
	r = rd->lost(rd->context, rd->offset, bytes, status, rd->message);
	if (r == 0)
		advance(rd, bytes);
	return r;
}

/* Says which exception it was that could not be read at @at of the COW device. */
static void name_exception(struct reading *rd, const struct uds_io *io, uint64_t at)
{
	struct uds_snapshot *s = rd->s;
	struct uds_message why = *rd->message;

	if (io == s->cow)
		failure(rd->message, 0, "%s (old chunk %" PRIu64 " -> new chunk %" PRIu64 ")",
			why.text, rd->offset / s->chunk_bytes, at / s->chunk_bytes);
}

/*
 * Reads @bytes that lie together at @at. What fails is tried again in halves, down to a block, so
 * that everything before and behind the bad blocks is read.
 */
static int read_place(struct reading *rd, struct uds_io *io, uint64_t at, uint64_t bytes)
{
	uint64_t unit = failing_unit(io), step = bytes, smaller;
	int r = 0;

	while (bytes > 0 && r == 0) {
		uint64_t part = part_to_try(at, bytes, step, unit);

		r = bytes_read(io, &rd->s->env, rd->to, (size_t)part, at, rd->message);
		/* No memory is no bad block: smaller reads would not find out anything. */
		if (r == -ENOMEM)
			break;
		smaller = r < 0 ? smaller_step(at, part, unit) : 0;
		if (smaller != 0) {
			step = smaller;
			r = 0;
			continue;
		}
		if (r == 0) {
			advance(rd, part);
			/*
			 * Doubled again after each success, so that one bad block does not make all
			 * that follows slow.
			 */
			step *= 2;
		} else {
			name_exception(rd, io, at);
			r = lose(rd, part, r);
		}
		at += part;
		bytes -= part;
	}
	return r;
}

/* Data that is not on the device: @new_chunk is where rd->offset should be. */
static int lose_chunk(struct reading *rd, uint64_t bytes, uint64_t new_chunk, const char *why)
{
	struct uds_snapshot *s = rd->s;

	failure(rd->message, UDS_ERR_CORRUPT,
		"%s: old chunk %" PRIu64 " -> new chunk %" PRIu64 ": %s", uds_io_name(s->cow),
		rd->offset / s->chunk_bytes, new_chunk, why);
	return lose(rd, bytes, UDS_ERR_CORRUPT);
}

/* Up to @bytes of consecutive new chunks; what is left comes with the next call. */
static int read_new(struct reading *rd, uint64_t bytes, const struct map_run *run)
{
	struct uds_snapshot *s = rd->s;
	uint64_t in_chunk = rd->offset % s->chunk_bytes, first = rd->offset / s->chunk_bytes;
	uint64_t good, end, at, there = 0;
	int r;

	s->store->ops->get_data(s->store, run->new_chunk, &good, &end);
	/*
	 * An entry that points to metadata: its chunk alone is lost, those behind it may be data.
	 */
	if (good == 0) {
		if (bytes > s->chunk_bytes - in_chunk)
			bytes = s->chunk_bytes - in_chunk;
		return lose_chunk(rd, bytes, run->new_chunk, "that is the place of an area");
	}
	/* Data chunks end at the next area; the run of a damaged list may go over it. */
	if (good <= (in_chunk + bytes - 1) / s->chunk_bytes)
		bytes = good * s->chunk_bytes - in_chunk;
	/* A last part of a block can be neither read nor written. */
	end &= ~((uint64_t)uds_io_block_bytes(s->cow) - 1);
	at = run->new_chunk * s->chunk_bytes + in_chunk;
	/* A damaged entry may name any chunk: its place must not overflow. */
	if (run->new_chunk < ceil_div(end, s->chunk_bytes) && at < end)
		there = bytes < end - at ? bytes : end - at;
	r = read_place(rd, s->cow, at, there);
	if (r == 0 && there < bytes)
		r = lose_chunk(rd, bytes - there,
			       run->new_chunk + rd->offset / s->chunk_bytes - first,
			       "behind the end of the device");
	return r;
}

static int read_view(struct reading *rd)
{
	struct uds_snapshot *s = rd->s;
	int r = 0;

	while (rd->left > 0 && r == 0) {
		uint64_t in_chunk = rd->offset % s->chunk_bytes;
		uint64_t part = rd->left;
		struct map_run run;
		bool copied = device_lookup(s, rd->offset / s->chunk_bytes, &run);

		/* Up to where the run of exceptions, or of chunks without one, ends. */
		if (run.count <= (in_chunk + part - 1) / s->chunk_bytes)
			part = run.count * s->chunk_bytes - in_chunk;
		if (copied)
			r = read_new(rd, part, &run);
		else
			r = read_place(rd, s->origin->io, rd->offset, part);
	}
	return r;
}

/* One window, its chunks held: the view, or what is on the origin. */
static int read_window(struct reading *rd, bool view)
{
	struct uds_snapshot *s = rd->s, *merging;

	if (view && device_get_state(s).is_invalid)
		return failure(rd->message, UDS_ERR_INVALID_SNAPSHOT, "%s: the snapshot is invalid",
			       uds_io_name(s->cow));
	if (view)
		return read_view(rd);
	/* While a snapshot is merged, the origin already reads as that snapshot. */
	merging = device_that_merges(s->origin);
	if (merging == NULL)
		return read_place(rd, s->origin->io, rd->offset, rd->left);
	rd->s = merging;
	return read_view(rd);
}

/*
 * @rd->left: how much to read; @ret_done: how much of it is in the buffer, also after a failure.
 * May be NULL. The sentence is that of a failure of this call.
 */
static int read_range(struct reading *rd, bool view, uint64_t window, size_t *ret_done)
{
	struct origin *origin = rd->s->origin;
	uint64_t begin = rd->offset, end = rd->offset + rd->left;
	int r = 0;

	while (rd->offset < end && r == 0) {
		struct range_hold hold;

		/*
		 * One window is held at a time: writers get in between two of them, so a long read
		 * is no picture of one moment.
		 */
		rd->left = io_run_part(origin->io, rd->offset, end - rd->offset, window);
		origin_hold(origin, &hold, rd->offset, rd->left, false);
		r = read_window(rd, view);
		origin_let_go(origin, &hold);
	}
	if (r == 0)
		rd->message->text[0] = '\0'; /* it may be about what was passed over */
	if (ret_done != NULL)
		*ret_done = (size_t)(rd->offset - begin);
	return r;
}

static int read_up_to_error(struct uds_snapshot *s, void *buffer, size_t length, uint64_t offset,
			    bool view, size_t *ret_done, const char *what)
{
	struct uds_message message = { "" };
	struct reading rd = {
		.s = s, .to = buffer, .offset = offset, .left = length, .message = &message
	};
	int r;

	failures_begin(s->failures);
	if (ret_done != NULL)
		*ret_done = 0;
	r = device_check_range(s, length, offset, &message);
	if (r == 0)
		r = read_range(&rd, view, WINDOW_BYTES, ret_done);
	return device_end(s, r, &message, what);
}

UDS_PUBLIC int uds_snapshot_read_partial(struct uds_snapshot *s, void *buffer, size_t length,
					 uint64_t offset, size_t *ret_done)
{
	return read_up_to_error(s, buffer, length, offset, true, ret_done, "reading the snapshot");
}

UDS_PUBLIC int uds_snapshot_read(struct uds_snapshot *s, void *buffer, size_t length,
				 uint64_t offset)
{
	return uds_snapshot_read_partial(s, buffer, length, offset, NULL);
}

UDS_PUBLIC int uds_snapshot_origin_read_partial(struct uds_snapshot *s, void *buffer, size_t length,
						uint64_t offset, size_t *ret_done)
{
	return read_up_to_error(s, buffer, length, offset, false, ret_done, "reading the origin");
}

UDS_PUBLIC int uds_snapshot_origin_read(struct uds_snapshot *s, void *buffer, size_t length,
					uint64_t offset)
{
	return uds_snapshot_origin_read_partial(s, buffer, length, offset, NULL);
}

int device_read_past_errors(struct uds_snapshot *s, uint8_t *buffer, uint64_t length,
			    uint64_t offset, device_lost_fn lost, void *context,
			    struct uds_message *message)
{
	struct reading rd = { s, buffer, offset, length, lost, context, message };

	return read_range(&rd, true, SALVAGE_BYTES, NULL);
}

int device_read(struct uds_snapshot *s, bool view, uint8_t *buffer, uint64_t length,
		uint64_t offset, struct uds_message *message)
{
	struct reading rd = { s, buffer, offset, length, NULL, NULL, message };

	return read_range(&rd, view, WINDOW_BYTES, NULL);
}

int device_read_held(struct uds_snapshot *s, uint8_t *buffer, uint64_t length, uint64_t offset)
{
	struct uds_message message = { "" };
	struct reading rd = { s, buffer, offset, length, NULL, NULL, &message };

	return read_view(&rd);
}

uint8_t *device_salvage_buffer(const struct uds_snapshot *s)
{
	uint64_t bytes = s->origin->size_bytes;

	if (bytes > SALVAGE_BYTES)
		bytes = SALVAGE_BYTES;
	return io_allocate_buffer(s->origin->io, &s->env, bytes > 0 ? bytes : 1);
}

/* For the losses alone: through a buffer of our own. */
static int look_for_losses(struct uds_snapshot *s, uint64_t length, uint64_t offset,
			   struct loss_list *losses, struct uds_message *message)
{
	uint8_t *buffer = device_salvage_buffer(s);
	int r = 0;

	if (buffer == NULL)
		return failure(message, -ENOMEM, "%s: no memory to read", uds_io_name(s->cow));
	while (length > 0 && r == 0) {
		/* Piece by piece through one small buffer, whatever the length. */
		uint64_t part = length < SALVAGE_BYTES ? length : SALVAGE_BYTES;

		r = device_read_past_errors(s, buffer, part, offset, loss_list_add, losses,
					    message);
		offset += part;
		length -= part;
	}
	env_release(&s->env, buffer);
	return r;
}

UDS_PUBLIC int uds_snapshot_salvage(struct uds_snapshot *s, void *buffer, size_t length,
				    uint64_t offset, uds_snapshot_loss_fn each, void *context,
				    uint64_t *ret_lost_bytes)
{
	struct loss_list losses = { .each = each, .context = context };
	struct uds_message message = { "" };
	int r;

	failures_begin(s->failures);
	r = device_check_range(s, length, offset, &message);
	if (r == 0 && buffer != NULL)
		r = device_read_past_errors(s, buffer, length, offset, loss_list_add, &losses,
					    &message);
	else if (r == 0)
		r = look_for_losses(s, length, offset, &losses, &message);
	/* The last range is still in the list, as the next one might have gone on with it. */
	if (r == 0)
		r = loss_list_end(&losses);
	if (r == 0 && ret_lost_bytes != NULL)
		*ret_lost_bytes = losses.total;
	return device_end(s, r, &message, "salvaging");
}
