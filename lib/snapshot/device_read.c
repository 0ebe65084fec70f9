/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading: each chunk from where it lives, up to the first byte that cannot be had; or past it,
 * with zeros in its place and a word about each such range.
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

/* One request holds so much at a time, so that a long read lets writers in between. */
#define WINDOW_BYTES (UINT64_C(64) << 20)

/* A read under way: everything before @offset is in the buffer. */
struct reading {
	struct uds_snapshot *s;
	uint8_t *to;
	uint64_t offset;
	uint64_t left;
	device_lost_fn lost; /* NULL: the first byte that cannot be had ends it */
	void *context;
	struct uds_message *message;
};

int device_check_range(struct uds_snapshot *s, size_t length, uint64_t offset)
{
	struct uds_message message;

	if (offset <= s->size_bytes && length <= s->size_bytes - offset)
		return 0;
	return device_failed(s,
			     failure(&message, UDS_ERR_OUT_OF_RANGE,
				     "%s: %zu bytes at %" PRIu64 " go past the end at %" PRIu64,
				     uds_io_name(s->origin), length, offset, s->size_bytes),
			     &message);
}

static void advance(struct reading *rd, uint64_t bytes)
{
	rd->to += bytes;
	rd->offset += bytes;
	rd->left -= bytes;
}

/* The next @bytes cannot be had. */
static int lose(struct reading *rd, uint64_t bytes, int status)
{
	int r;

	if (rd->lost == NULL)
		return status;
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
 * that all that can be had before and behind the bad blocks is had.
 */
static int read_place(struct reading *rd, struct uds_io *io, uint64_t at, uint64_t bytes)
{
	uint64_t unit = failing_unit(io), step = bytes, smaller;
	int r = 0;

	while (bytes > 0 && r == 0) {
		uint64_t part = part_to_try(at, bytes, step, unit);

		r = bytes_read(io, &rd->s->env, rd->to, (size_t)part, at, rd->message);
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

/* How many of @bytes at @at lie before the end of the COW device. */
static uint64_t bytes_there(struct uds_snapshot *s, uint64_t new_chunk, uint64_t in_chunk,
			    uint64_t bytes)
{
	uint64_t end, at;

	if (s->store == NULL)
		return bytes;
	end = store_geometry(s->store).device_bytes & ~((uint64_t)uds_io_block_bytes(s->cow) - 1);
	if (new_chunk >= ceil_div(end, s->chunk_bytes))
		return 0;
	at = new_chunk * s->chunk_bytes + in_chunk;
	if (at >= end)
		return 0;
	return bytes < end - at ? bytes : end - at;
}

/* How many chunks from @new_chunk on come before the next place of an area; 0: it is one. */
static uint64_t chunks_of_data(struct uds_snapshot *s, uint64_t new_chunk)
{
	struct cow_geometry g;
	uint64_t stripe;

	if (s->store == NULL)
		return UINT64_MAX;
	g = store_geometry(s->store);
	if (cow_is_metadata(&g, new_chunk))
		return 0;
	stripe = g.per_area + 1;
	return stripe - (new_chunk - 1) % stripe;
}

/* Up to @bytes of consecutive new chunks; what is left comes with the next call. */
static int read_new(struct reading *rd, uint64_t bytes, const struct map_run *run)
{
	struct uds_snapshot *s = rd->s;
	uint64_t in_chunk = rd->offset % s->chunk_bytes, first = rd->offset / s->chunk_bytes;
	uint64_t good = chunks_of_data(s, run->new_chunk), there;
	int r;

	if (good == 0) {
		if (bytes > s->chunk_bytes - in_chunk)
			bytes = s->chunk_bytes - in_chunk;
		return lose_chunk(rd, bytes, run->new_chunk, "that is the place of an area");
	}
	if (good <= (in_chunk + bytes - 1) / s->chunk_bytes)
		bytes = good * s->chunk_bytes - in_chunk;
	there = bytes_there(s, run->new_chunk, in_chunk, bytes);
	r = read_place(rd, s->cow, run->new_chunk * s->chunk_bytes + in_chunk, there);
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

		if (run.count <= (in_chunk + part - 1) / s->chunk_bytes)
			part = run.count * s->chunk_bytes - in_chunk;
		if (copied)
			r = read_new(rd, part, &run);
		else
			r = read_place(rd, s->origin, rd->offset, part);
	}
	return r;
}

/* One window, its chunks held: the view, or what is on the origin. */
static int read_window(struct reading *rd, bool view)
{
	struct uds_snapshot *s = rd->s;
	struct device_state state = device_get_state(s);

	if (view && state.given_up)
		return failure(rd->message, UDS_ERR_INVALID_SNAPSHOT, "%s: the snapshot is invalid",
			       uds_io_name(s->cow));
	if (view || (state.merging && !state.given_up))
		return read_view(rd);
	return read_place(rd, s->origin, rd->offset, rd->left);
}

/* @rd->left: how much to read; @ret_done: how much of it is in the buffer, also after a failure. */
static int read_range(struct reading *rd, bool view, uint64_t window, size_t *ret_done)
{
	struct uds_snapshot *s = rd->s;
	uint64_t begin = rd->offset, end = rd->offset + rd->left;
	struct uds_message message = { "" };
	int r = 0;

	rd->message = &message;
	while (rd->offset < end && r == 0) {
		struct range_hold hold;

		rd->left = end - rd->offset < window ? end - rd->offset : window;
		range_acquire(&s->ranges, &hold, rd->offset / s->chunk_bytes,
			      (rd->offset + rd->left - 1) / s->chunk_bytes, false);
		r = read_window(rd, view);
		range_release(&s->ranges, &hold);
	}
	device_failed(s, r, &message);
	if (ret_done != NULL)
		*ret_done = (size_t)(rd->offset - begin);
	return r;
}

static int read_up_to_error(struct uds_snapshot *s, void *buffer, size_t length, uint64_t offset,
			    bool view, size_t *ret_done)
{
	struct reading rd = { .s = s, .to = buffer, .offset = offset, .left = length };
	int r = device_check_range(s, length, offset);

	if (r == 0)
		return read_range(&rd, view, WINDOW_BYTES, ret_done);
	if (ret_done != NULL)
		*ret_done = 0;
	return r;
}

UDS_PUBLIC int uds_snapshot_read(struct uds_snapshot *s, void *buffer, size_t length,
				 uint64_t offset)
{
	failures_begin(s->failures);
	return device_end(s, read_up_to_error(s, buffer, length, offset, true, NULL),
			  "reading the snapshot");
}

UDS_PUBLIC int uds_snapshot_read_partial(struct uds_snapshot *s, void *buffer, size_t length,
					 uint64_t offset, size_t *ret_done)
{
	failures_begin(s->failures);
	return device_end(s, read_up_to_error(s, buffer, length, offset, true, ret_done),
			  "reading the snapshot");
}

UDS_PUBLIC int uds_snapshot_origin_read(struct uds_snapshot *s, void *buffer, size_t length,
					uint64_t offset)
{
	failures_begin(s->failures);
	return device_end(s, read_up_to_error(s, buffer, length, offset, false, NULL),
			  "reading the origin");
}

UDS_PUBLIC int uds_snapshot_origin_read_partial(struct uds_snapshot *s, void *buffer, size_t length,
						uint64_t offset, size_t *ret_done)
{
	failures_begin(s->failures);
	return device_end(s, read_up_to_error(s, buffer, length, offset, false, ret_done),
			  "reading the origin");
}

int losses_end(struct losses *losses)
{
	int r = 0;

	if (losses->last.length > 0 && losses->each != NULL)
		r = losses->each(losses->context, &losses->last);
	losses->last.length = 0;
	return r != 0 ? UDS_ERR_STOPPED : 0;
}

int losses_add(void *context, uint64_t offset, uint64_t length, int status,
	       const struct uds_message *message)
{
	struct losses *losses = context;
	struct uds_snapshot_loss *last = &losses->last;
	int r;

	losses->total += length;
	if (last->length > 0 && last->status == status && last->offset + last->length == offset) {
		last->length += length;
		return 0;
	}
	r = losses_end(losses);
	last->size = sizeof(*last);
	last->offset = offset;
	last->length = length;
	last->status = status;
	last->sentence = losses->sentence.text;
	losses->sentence = *message;
	return r;
}

int device_read_past_errors(struct uds_snapshot *s, uint8_t *buffer, uint64_t length,
			    uint64_t offset, device_lost_fn lost, void *context)
{
	struct reading rd = { s, buffer, offset, length, lost, context, NULL };

	return read_range(&rd, true, SALVAGE_BYTES, NULL);
}

int device_read_held(struct uds_snapshot *s, uint8_t *buffer, uint64_t length, uint64_t offset)
{
	struct uds_message message = { "" };
	struct reading rd = { s, buffer, offset, length, NULL, NULL, &message };

	return read_view(&rd);
}

static int read_past_errors(struct uds_snapshot *s, uint8_t *buffer, uint64_t length,
			    uint64_t offset, struct losses *losses)
{
	return device_read_past_errors(s, buffer, length, offset, losses_add, losses);
}

/* For the losses alone: through a buffer of our own. */
static int look_for_losses(struct uds_snapshot *s, uint64_t length, uint64_t offset,
			   struct losses *losses)
{
	uint8_t *buffer = io_allocate_buffer(s->origin, &s->env, (size_t)SALVAGE_BYTES);
	struct uds_message message;
	int r = 0;

	if (buffer == NULL)
		return device_failed(
			s, failure(&message, -ENOMEM, "%s: no memory to read", uds_io_name(s->cow)),
			&message);
	while (length > 0 && r == 0) {
		uint64_t part = length < SALVAGE_BYTES ? length : SALVAGE_BYTES;

		r = read_past_errors(s, buffer, part, offset, losses);
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
	struct losses losses = { .each = each, .context = context };
	int r;

	failures_begin(s->failures);
	r = device_check_range(s, length, offset);
	if (r == 0 && buffer != NULL)
		r = read_past_errors(s, buffer, length, offset, &losses);
	else if (r == 0)
		r = look_for_losses(s, length, offset, &losses);
	if (r == 0)
		r = losses_end(&losses);
	if (r == 0 && ret_lost_bytes != NULL)
		*ret_lost_bytes = losses.total;
	return device_end(s, r, "salvaging");
}
