/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing, to the snapshot and to the origin. A request is carried out in windows of some
 * megabytes; a window holds its chunks exclusively from the look at its state to the end of its
 * last write, so that of two writers to a chunk the second finds the exception that the first has
 * made.
 *
 * Order, for the chunks of a window that have no exception: give out new chunks for all; copy what
 * must be copied; commit all at once; only then write what the exceptions protect.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "io/bytes_io.h"
#include "snapshot/device.h"

#define WINDOW_BYTES   (UINT64_C(4) << 20)
#define PLAIN_COPY_MAX (UINT64_C(256) << 10)

struct window {
	struct uds_snapshot *s;
	const uint8_t *data;
	uint64_t offset;
	size_t length;
	size_t done; /* bytes from the start that are where they belong, whatever fails then */

	/* New exceptions for chunks of the window, in ascending order. */
	struct uds_exception *fresh;
	size_t fresh_count;
	bool full; /* the store had no room for more: the window ends before that chunk */

	struct uds_message *message;
};

static uint64_t last_chunk(const struct window *w)
{
	return (w->offset + w->length - 1) / w->s->chunk_bytes;
}

/*
 * Gives out new chunks for those that have none. When the store has no room for all of them, the
 * window becomes full and ends before the first chunk that found none; it may be empty then. After
 * an error nothing is given out.
 *
 * Only the store can say that it is full: no status of an I/O is ever taken for that.
 */
static int prepare_fresh(struct window *w)
{
	uint64_t chunk = w->offset / w->s->chunk_bytes, last = last_chunk(w);
	struct map_run run;
	int r = 0;

	w->fresh_count = 0;
	w->fresh = env_allocate(&w->s->env, last - chunk + 1, sizeof(w->fresh[0]));
	if (w->fresh == NULL)
		return failure(w->message, -ENOMEM, "no memory for exceptions");
	for (; chunk <= last && r == 0; chunk++) {
		if (device_lookup(w->s, chunk, &run)) {
			chunk += run.count - 1;
			continue;
		}
		r = device_prepare(w->s, chunk, &w->fresh[w->fresh_count], w->message);
		if (r < 0)
			break;
		w->fresh_count++;
	}
	if (r == UDS_ERR_NO_ROOM) {
		uint64_t end = chunk * w->s->chunk_bytes;

		w->full = true;
		w->length = end > w->offset ? (size_t)(end - w->offset) : 0;
		return 0;
	}
	if (r < 0) {
		device_abandon(w->s, w->fresh, w->fresh_count);
		w->fresh_count = 0;
	}
	return r;
}

static bool follows(const struct uds_exception *a, const struct uds_exception *b)
{
	return b->old_chunk == a->old_chunk + 1 && b->new_chunk == a->new_chunk + 1;
}

/* The copies that fresh exceptions need, consecutive ones as one piece. Returns how many. */
static size_t make_pieces(const struct window *w, struct copy_piece *pieces)
{
	const struct uds_snapshot *s = w->s;
	size_t count = 0;

	for (size_t i = 0; i < w->fresh_count; i++) {
		const struct uds_exception *e = &w->fresh[i];
		uint64_t length = device_chunk_length(s, e->old_chunk);

		if (i > 0 && follows(&w->fresh[i - 1], e)) {
			pieces[count - 1].length += length;
			continue;
		}
		pieces[count].from = e->old_chunk * s->chunk_bytes;
		pieces[count].to = e->new_chunk * s->chunk_bytes;
		pieces[count].length = length;
		count++;
	}
	return count;
}

/* One idle copier is kept: making one costs a queue and its buffers. */
static int take_copier(struct uds_snapshot *s, struct copier **ret_copier)
{
	struct copier *copier;

	pthread_mutex_lock(&s->lock);
	copier = s->to_cow;
	s->to_cow = NULL;
	pthread_mutex_unlock(&s->lock);
	if (copier == NULL)
		return copier_open(s->origin, s->cow, &s->env, s->depth, SNAPSHOT_SLOT_BYTES,
				   ret_copier);
	*ret_copier = copier;
	return 0;
}

static void give_back_copier(struct uds_snapshot *s, struct copier *copier, bool reusable)
{
	struct copier *surplus = copier;

	pthread_mutex_lock(&s->lock);
	if (reusable && s->to_cow == NULL) {
		s->to_cow = copier;
		surplus = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	copier_close(surplus);
}

static int copy_pieces(struct window *w, const struct copy_piece *pieces, size_t count)
{
	struct copy_job job = { .pieces = pieces, .count = count };
	struct uds_snapshot *s = w->s;
	struct copier *copier;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = device_check_target(s, pieces[i].to / s->chunk_bytes,
					ceil_div(pieces[i].length, s->chunk_bytes), w->message);
	if (r < 0)
		return r;
	if (count == 1 && pieces[0].length <= PLAIN_COPY_MAX)
		return bytes_copy(s->origin, pieces[0].from, s->cow, pieces[0].to, pieces[0].length,
				  &s->env, w->message);
	r = take_copier(s, &copier);
	if (r < 0)
		return failure(w->message, r, "%s: making a queue: %s", uds_io_name(s->cow),
			       uds_strerror(r));
	r = copier_run(copier, &job, w->message);
	give_back_copier(s, copier, r == 0);
	return r;
}

/* Copies the old content of all fresh chunks to their new ones. */
static int copy_out(struct window *w)
{
	struct copy_piece *pieces;
	int r;

	if (w->fresh_count == 0)
		return 0;
	pieces = env_allocate(&w->s->env, w->fresh_count, sizeof(pieces[0]));
	if (pieces == NULL)
		return failure(w->message, -ENOMEM, "no memory for a copy");
	r = copy_pieces(w, pieces, make_pieces(w, pieces));
	env_release(&w->s->env, pieces);
	return r;
}

/* Copies those parts of a fresh chunk that the window does not cover, in whole blocks. */
static int fill_edges(struct window *w, const struct uds_exception *e)
{
	struct uds_snapshot *s = w->s;
	uint64_t a = uds_io_block_bytes(s->origin), b = uds_io_block_bytes(s->cow);
	uint64_t block = a > b ? a : b;
	uint64_t start = e->old_chunk * s->chunk_bytes, to = e->new_chunk * s->chunk_bytes;
	uint64_t length = device_chunk_length(s, e->old_chunk);
	uint64_t head = w->offset > start ? w->offset - start : 0;
	uint64_t end = w->offset + w->length - start;
	int r = device_check_target(s, e->new_chunk, 1, w->message);

	if (r == 0 && head > 0) {
		head = round_up(head, block) < length ? round_up(head, block) : length;
		r = bytes_copy(s->origin, start, s->cow, to, head, &s->env, w->message);
	}
	if (r == 0 && end < length) {
		end &= ~(block - 1);
		r = bytes_copy(s->origin, start + end, s->cow, to + end, length - end, &s->env,
			       w->message);
	}
	return r;
}

/* The new chunk of @chunk: fresh ones are looked up from *@at on. False: it has none. */
static bool find_new(const struct window *w, uint64_t chunk, size_t *at, uint64_t *ret_new)
{
	struct map_run run;

	while (*at < w->fresh_count && w->fresh[*at].old_chunk < chunk)
		(*at)++;
	if (*at < w->fresh_count && w->fresh[*at].old_chunk == chunk) {
		*ret_new = w->fresh[*at].new_chunk;
		return true;
	}
	if (!device_lookup(w->s, chunk, &run))
		return false;
	*ret_new = run.new_chunk;
	return true;
}

/* How many chunks from @chunk on, up to @end, have consecutive new chunks, and the first of these. */
static uint64_t new_run(const struct window *w, uint64_t chunk, uint64_t end, size_t *at,
			uint64_t *ret_new)
{
	uint64_t count = 0, next;

	while (chunk + count < end && find_new(w, chunk + count, at, &next)) {
		if (count == 0)
			*ret_new = next;
		else if (next != *ret_new + count)
			break;
		count++;
	}
	return count;
}

/*
 * Writes @bytes of the window's data, from w->done on, to @at. What fails is tried again in halves,
 * so that w->done ends at the block that cannot be written. An error is told even if that went
 * well: what a device says once is not kept from its owner.
 */
static int write_place(struct window *w, struct uds_io *io, uint64_t at, uint64_t bytes)
{
	uint64_t unit = failing_unit(io), step = bytes, smaller;
	int first = 0, r;

	while (bytes > 0) {
		uint64_t part = part_to_try(at, bytes, step, unit);

		r = bytes_write(io, &w->s->env, w->data + w->done, (size_t)part, at, w->message);
		smaller = r < 0 && r != -ENOMEM ? smaller_step(at, part, unit) : 0;
		if (smaller != 0) {
			first = first == 0 ? r : first;
			step = smaller;
			continue;
		}
		if (r < 0)
			return r;
		step *= 2;
		w->done += (size_t)part;
		at += part;
		bytes -= part;
	}
	return first;
}

/*
 * Writes the window's data to the new chunks, all of which exist; consecutive ones at once. Where
 * it fails, w->done says how far it came.
 */
static int write_new(struct window *w)
{
	struct uds_snapshot *s = w->s;
	uint64_t end = w->offset + w->length;
	size_t at = 0;
	int r = 0;

	while (w->offset + w->done < end && r == 0) {
		uint64_t offset = w->offset + w->done;
		uint64_t chunk = offset / s->chunk_bytes, in_chunk = offset % s->chunk_bytes;
		uint64_t new_chunk, part;
		uint64_t count = new_run(w, chunk, ceil_div(end, s->chunk_bytes), &at, &new_chunk);

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
		r = write_place(w, s->cow, new_chunk * s->chunk_bytes + in_chunk, part);
	}
	return r;
}

/* Fresh chunks become exceptions once their data is there, or are taken back. */
static int finish_fresh(struct window *w, int status)
{
	if (status < 0) {
		device_abandon(w->s, w->fresh, w->fresh_count);
		return status;
	}
	return device_commit(w->s, w->fresh, w->fresh_count, w->message);
}

/* Data in new chunks that no exception names is not in the snapshot. */
static void forget_fresh(struct window *w)
{
	uint64_t first;

	if (w->fresh_count == 0)
		return;
	first = w->fresh[0].old_chunk * w->s->chunk_bytes;
	if (w->offset + w->done > first)
		w->done = first > w->offset ? (size_t)(first - w->offset) : 0;
}

static int repair(struct window *w)
{
	return w->s->store != NULL ? store_repair(w->s->store, w->message) : 0;
}

/* The snapshot is written and there is no room: it overflows. */
static int overflow(struct window *w)
{
	struct uds_snapshot *s = w->s;
	struct uds_message why = *w->message;
	int r;

	if (s->keep_on_overflow && s->store != NULL) {
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

static int write_snapshot_window(struct window *w)
{
	struct device_state state = device_get_state(w->s);
	const char *name = uds_io_name(w->s->cow);
	int r;

	if (state.given_up)
		return failure(w->message, UDS_ERR_INVALID_SNAPSHOT, "%s: the snapshot is invalid",
			       name);
	if (state.merging)
		return failure(w->message, UDS_ERR_BAD_STATE,
			       "%s: the snapshot is being merged: write to the origin", name);
	if (state.overflow)
		return failure(w->message, UDS_ERR_SNAPSHOT_OVERFLOW,
			       "%s: the snapshot has overflowed", name);
	if (w->s->store != NULL && store_is_damaged(w->s->store))
		return failure(w->message, UDS_ERR_CORRUPT,
			       "%s: the store is damaged: it is not written", name);
	r = repair(w);
	if (r == 0)
		r = prepare_fresh(w);
	if (r < 0)
		return r;
	for (size_t i = 0; i < w->fresh_count && r == 0; i++)
		r = fill_edges(w, &w->fresh[i]);
	if (r == 0)
		r = write_new(w);
	r = finish_fresh(w, r);
	if (r < 0)
		forget_fresh(w);
	return r == 0 && w->full ? overflow(w) : r;
}

/* Straight to the origin. */
static int write_old(struct window *w)
{
	return write_place(w, w->s->origin, w->offset, w->length);
}

/* No room, or already invalid: the origin goes on, as soon as that is durable. */
static int give_up_and_write(struct window *w, size_t length)
{
	int r = device_give_up(w->s, w->message);

	w->length = length;
	return r < 0 ? r : write_old(w);
}

/* Part of an extent that is not merged yet, in place. */
static int write_unmerged(struct window *w, uint64_t length, const struct map_run *run,
			  uint64_t in_chunk)
{
	struct uds_snapshot *s = w->s;
	int r;

	if (s->store->damage.new_twice != 0)
		return failure(w->message, UDS_ERR_CORRUPT,
			       "%s: new chunks are used twice: they are not written",
			       uds_io_name(s->cow));
	r = device_check_target(s, run->new_chunk, ceil_div(in_chunk + length, s->chunk_bytes),
				w->message);
	return r < 0 ? r
		     : write_place(w, s->cow, run->new_chunk * s->chunk_bytes + in_chunk, length);
}

/* As the kernel's snapshot-merge: where the chunk lives. */
static int write_merging(struct window *w)
{
	struct uds_snapshot *s = w->s;
	uint64_t end = w->offset + w->length;
	int r = repair(w);

	while (w->offset + w->done < end && r == 0) {
		uint64_t offset = w->offset + w->done, part = end - offset;
		uint64_t in_chunk = offset % s->chunk_bytes;
		struct map_run run;
		bool copied = device_lookup(s, offset / s->chunk_bytes, &run);

		if (run.count <= (in_chunk + part - 1) / s->chunk_bytes)
			part = run.count * s->chunk_bytes - in_chunk;
		if (copied)
			r = write_unmerged(w, part, &run, in_chunk);
		else
			r = write_place(w, s->origin, offset, part);
	}
	return r;
}

static int write_origin_window(struct window *w)
{
	struct device_state state = device_get_state(w->s);
	size_t length = w->length;
	int r;

	if (state.given_up)
		return write_old(w);
	if (state.merging)
		return write_merging(w);
	r = repair(w);
	if (r < 0)
		return r;
	r = prepare_fresh(w);
	if (r == UDS_ERR_INVALID_SNAPSHOT && !w->s->salvage)
		return give_up_and_write(w, length);
	if (r < 0)
		return r;
	if (w->full && w->length == 0)
		return give_up_and_write(w, length);
	r = finish_fresh(w, copy_out(w));
	if (r == UDS_ERR_INVALID_SNAPSHOT && !w->s->salvage)
		return give_up_and_write(w, length);
	return r < 0 ? r : write_old(w);
}

/* How much of a request one window takes: whole chunks, but for the ends of the request. */
static size_t window_length(const struct uds_snapshot *s, size_t length, uint64_t offset)
{
	uint64_t window = s->chunk_bytes > WINDOW_BYTES ? s->chunk_bytes : WINDOW_BYTES;
	uint64_t room = window - offset % s->chunk_bytes;

	return length < room ? length : (size_t)room;
}

/* @ret_done: how much of it was done; set also when it fails. */
static int write_range(struct uds_snapshot *s, const void *buffer, size_t length, uint64_t offset,
		       int (*write_window)(struct window *w), size_t *ret_done)
{
	const uint8_t *data = buffer;
	size_t done = 0;
	int r = device_check_range(s, length, offset);

	while (done < length && r == 0) {
		struct uds_message message = { "" };
		struct range_hold hold;
		struct window w = {
			.s = s,
			.data = data + done,
			.offset = offset + done,
			.length = window_length(s, length - done, offset + done),
			.message = &message,
		};

		range_acquire(&s->ranges, &hold, w.offset / s->chunk_bytes, last_chunk(&w), true);
		r = write_window(&w);
		range_release(&s->ranges, &hold);
		env_release(&s->env, w.fresh);
		device_failed(s, r, &message);
		done = r == UDS_ERR_INVALID_SNAPSHOT ? 0 : done + w.done;
	}
	if (ret_done != NULL)
		*ret_done = done;
	return r;
}

static int refuse_to_write(struct uds_snapshot *s, struct uds_io *io)
{
	struct uds_message message;

	return device_failed(
		s, failure(&message, UDS_ERR_READ_ONLY, "%s: opened to read only", uds_io_name(io)),
		&message);
}

static int write_snapshot(struct uds_snapshot *s, const void *buffer, size_t length,
			  uint64_t offset, size_t *ret_done)
{
	if (ret_done != NULL)
		*ret_done = 0;
	if (s->read_only)
		return refuse_to_write(s, s->cow);
	return write_range(s, buffer, length, offset, write_snapshot_window, ret_done);
}

static int write_origin(struct uds_snapshot *s, const void *buffer, size_t length, uint64_t offset,
			size_t *ret_done)
{
	if (ret_done != NULL)
		*ret_done = 0;
	if (s->read_only || uds_io_is_read_only(s->origin))
		return refuse_to_write(s, s->origin);
	return write_range(s, buffer, length, offset, write_origin_window, ret_done);
}

UDS_PUBLIC int uds_snapshot_write(struct uds_snapshot *s, const void *buffer, size_t length,
				  uint64_t offset)
{
	failures_begin(s->failures);
	return device_end(s, write_snapshot(s, buffer, length, offset, NULL),
			  "writing the snapshot");
}

UDS_PUBLIC int uds_snapshot_write_partial(struct uds_snapshot *s, const void *buffer, size_t length,
					  uint64_t offset, size_t *ret_done)
{
	failures_begin(s->failures);
	return device_end(s, write_snapshot(s, buffer, length, offset, ret_done),
			  "writing the snapshot");
}

UDS_PUBLIC int uds_snapshot_origin_write(struct uds_snapshot *s, const void *buffer, size_t length,
					 uint64_t offset)
{
	failures_begin(s->failures);
	return device_end(s, write_origin(s, buffer, length, offset, NULL), "writing the origin");
}

UDS_PUBLIC int uds_snapshot_origin_write_partial(struct uds_snapshot *s, const void *buffer,
						 size_t length, uint64_t offset, size_t *ret_done)
{
	failures_begin(s->failures);
	return device_end(s, write_origin(s, buffer, length, offset, ret_done),
			  "writing the origin");
}
