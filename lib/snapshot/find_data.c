/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a snapshot, or an origin, has other bytes than zeroes, as far as the devices know. */
#include "base/bits.h"
#include "base/message.h"
#include "base/visibility.h"
#include "snapshot/device.h"

/* A look at a few runs at a time holds no writer up for long. */
#define LOOK_BYTES (UINT64_C(64) << 20)

/* Bytes of a view that lie together. */
struct piece {
	struct uds_io *io; /* NULL: where there is nothing to read, which reading says */
	uint64_t at;
	uint64_t bytes;
};

/* At most @bytes at @offset of the view of @s, or of the origin (@s NULL). */
static struct piece find_piece(struct origin *origin, struct uds_snapshot *s, uint64_t offset,
			       uint64_t bytes)
{
	struct piece piece = { origin->io, offset, bytes };
	uint64_t in_chunk, good, end;
	struct map_run run;
	bool copied;

	if (s == NULL)
		return piece;
	in_chunk = offset % s->chunk_bytes;
	copied = device_lookup(s, offset / s->chunk_bytes, &run);
	/* Up to where the run of exceptions, or of chunks without one, ends. */
	if (run.count <= (in_chunk + bytes - 1) / s->chunk_bytes)
		piece.bytes = run.count * s->chunk_bytes - in_chunk;
	if (!copied)
		return piece;
	/*
	 * What follows is as in reading: where that ends with an error, nothing is
	 * known to be zero.
	 */
	s->store->ops->get_data(s->store, run.new_chunk, &good, &end);
	if (good <= (in_chunk + piece.bytes - 1) / s->chunk_bytes)
		piece.bytes = (good == 0 ? 1 : good) * s->chunk_bytes - in_chunk;
	end &= ~((uint64_t)uds_io_block_bytes(s->cow) - 1);
	piece.at = run.new_chunk * s->chunk_bytes + in_chunk;
	/* A damaged entry may name any chunk: its place must not overflow. */
	if (good == 0 || run.new_chunk >= ceil_div(end, s->chunk_bytes) || piece.at >= end) {
		piece.io = NULL;
		return piece;
	}
	piece.io = s->cow;
	if (piece.bytes > end - piece.at)
		piece.bytes = end - piece.at;
	return piece;
}

/* Where data begins and ends in a piece; both at its end: there is none. */
static int find_in_piece(const struct piece *piece, uint64_t *ret_begin, uint64_t *ret_end)
{
	uint64_t begin = piece->at, end = UINT64_MAX;
	int r = 0;

	if (piece->io != NULL)
		r = uds_io_find_data(piece->io, piece->at, &begin, &end);
	*ret_begin = begin - piece->at < piece->bytes ? begin - piece->at : piece->bytes;
	*ret_end = end - piece->at < piece->bytes ? end - piece->at : piece->bytes;
	return r;
}

static int find_in_view(struct origin *origin, struct uds_snapshot *s, uint64_t offset,
			uint64_t bytes, uint64_t *ret_begin, uint64_t *ret_end)
{
	struct piece piece;
	int r = 0;

	*ret_begin = bytes;
	*ret_end = bytes;
	for (uint64_t done = 0; done < bytes && r == 0; done += piece.bytes) {
		uint64_t begin, end;

		piece = find_piece(origin, s, offset + done, bytes - done);
		r = find_in_piece(&piece, &begin, &end);
		if (r == 0 && begin < end) {
			*ret_begin = done + begin;
			*ret_end = done + end;
			break;
		}
	}
	return r;
}

/* One window, held. */
static int find_in_window(struct uds_snapshot *s, bool view, uint64_t offset, uint64_t bytes,
			  uint64_t *ret_begin, uint64_t *ret_end, struct uds_message *message)
{
	struct range_hold hold;
	int r = 0;

	origin_hold(s->origin, &hold, offset, bytes, false);
	if (view && device_get_state(s).is_invalid)
		r = failure(message, UDS_ERR_INVALID_SNAPSHOT, "%s: the snapshot is invalid",
			    uds_io_name(s->cow));
	if (r == 0)
		r = find_in_view(s->origin, view ? s : device_that_merges(s->origin), offset, bytes,
				 ret_begin, ret_end);
	origin_let_go(s->origin, &hold);
	return r;
}

static int find(struct uds_snapshot *s, bool view, uint64_t offset, uint64_t *ret_begin,
		uint64_t *ret_end)
{
	struct uds_message message = { "" };
	uint64_t size = s->origin->size_bytes, begin = 0, end = 0;
	int r;

	failures_begin(s->failures);
	r = device_check_range(s, 0, offset, &message);
	while (r == 0 && offset < size && begin == end) {
		uint64_t bytes = size - offset < LOOK_BYTES ? size - offset : LOOK_BYTES;

		r = find_in_window(s, view, offset, bytes, &begin, &end, &message);
		if (r == 0 && begin == end)
			offset += bytes;
	}
	if (r == 0) {
		*ret_begin = begin < end ? offset + begin : size;
		*ret_end = begin < end ? offset + end : size;
	}
	return device_end(s, r, &message, "looking for data");
}

UDS_PUBLIC int uds_snapshot_find_data(struct uds_snapshot *s, uint64_t offset, uint64_t *ret_begin,
				      uint64_t *ret_end)
{
	return find(s, true, offset, ret_begin, ret_end);
}

UDS_PUBLIC int uds_snapshot_origin_find_data(struct uds_snapshot *s, uint64_t offset,
					     uint64_t *ret_begin, uint64_t *ret_end)
{
	return find(s, false, offset, ret_begin, ret_end);
}
