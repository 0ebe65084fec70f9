/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading areas ahead. They lie a stripe apart, so each is a small read far from the last one: only
 * many at once are fast. Large areas are read in pieces.
 *
 * A ring of slots, each with the buffer of one piece. Pieces [taken, asked) are in the ring, in
 * flight or done.
 */
#include "exceptions/area_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "exceptions/area.h"
#include "io/io.h"

#define PIECE_BYTES   (UINT64_C(256) << 10)
#define BUFFER_BYTES  (UINT64_C(8) << 20)
#define DEFAULT_DEPTH 64u

struct area_piece {
	struct uds_io_request request;
	bool done;
};

struct area_reader {
	struct uds_env env;
	struct uds_io *io;
	const struct cow_geometry *g;
	struct uds_io_engine *engine;
	uint8_t *buffers;
	uint64_t first;
	int step;
	uint64_t piece_bytes;
	uint64_t pieces_per_area;
	uint64_t taken;
	uint64_t asked;
	unsigned int depth;
	unsigned int window;
	struct area_piece slots[];
};

int area_reader_open(struct uds_io *cow, const struct uds_env *env, const struct cow_geometry *g,
		     uint64_t first, int step, struct uds_io_engine *share, unsigned int depth,
		     struct area_reader **ret_reader)
{
	uint64_t piece = g->chunk_bytes < PIECE_BYTES ? g->chunk_bytes : PIECE_BYTES;
	struct area_reader *reader;
	int r;

	/* A device whose blocks are larger than a piece: then the whole chunk is one. */
	if (piece < uds_io_block_bytes(cow))
		piece = g->chunk_bytes;
	if (depth == 0)
		depth = DEFAULT_DEPTH;
	/*
	 * Bounded memory, whatever depth is asked for; two at least, so that one is read while
	 * another is taken.
	 */
	if (depth > BUFFER_BYTES / piece)
		depth = (unsigned int)(BUFFER_BYTES / piece);
	if (depth < 2)
		depth = 2;
	reader = env_allocate_zeroed(env, 1, sizeof(*reader) + depth * sizeof(reader->slots[0]));
	if (reader == NULL)
		return -ENOMEM;
	reader->env = *env;
	reader->io = cow;
	reader->g = g;
	reader->first = first;
	reader->step = step;
	reader->piece_bytes = piece;
	reader->pieces_per_area = g->chunk_bytes / piece;
	reader->depth = depth;
	/* A short list ends in the first area: only when more is asked for is more read ahead. */
	reader->window = 1;
	reader->buffers = io_allocate_buffer(cow, env, piece * depth);
	r = reader->buffers == NULL ? -ENOMEM : engine_open(share, depth, env, &reader->engine);
	if (r < 0) {
		env_release(env, reader->buffers);
		env_release(env, reader);
		return r;
	}
	/* If it is refused, reads still work, only slower. */
	(void)uds_io_engine_add_buffer(reader->engine, reader->buffers, (size_t)(piece * depth));
	*ret_reader = reader;
	return 0;
}

void area_reader_close(struct area_reader *reader)
{
	struct uds_env env;

	if (reader == NULL)
		return;
	env = reader->env;
	/* First: reads in flight write to the buffers. */
	uds_io_engine_close(reader->engine);
	env_release(&env, reader->buffers);
	env_release(&env, reader);
}

/* The area of a piece; false: there is none, before area 0 or behind the device's end. */
static bool area_of(const struct area_reader *reader, uint64_t piece, uint64_t *ret_area)
{
	uint64_t distance = piece / reader->pieces_per_area;

	*ret_area = 0;
	if (reader->step < 0 && distance > reader->first)
		return false;
	*ret_area = reader->step < 0 ? reader->first - distance : reader->first + distance;
	return cow_area_chunk(reader->g, *ret_area) < reader->g->device_chunks;
}

static void ask(struct area_reader *reader)
{
	while (reader->asked < reader->taken + reader->window) {
		struct area_piece *slot = &reader->slots[reader->asked % reader->depth];
		struct uds_io_request *request = &slot->request;
		uint64_t area;

		/*
		 * Nothing to read ahead any more; whether that is damage is decided by the call
		 * that takes it.
		 */
		if (!area_of(reader, reader->asked, &area))
			return;
		slot->done = false;
		request->io = reader->io;
		request->kind = UDS_IO_READ;
		request->buffer =
			reader->buffers + reader->asked % reader->depth * reader->piece_bytes;
		request->length = (size_t)reader->piece_bytes;
		request->offset = cow_area_chunk(reader->g, area) * reader->g->chunk_bytes +
				  reader->asked % reader->pieces_per_area * reader->piece_bytes;
		request->user = slot;
		engine_submit(reader->engine, &request, 1);
		reader->asked++;
	}
}

static void wait_for(struct area_reader *reader, const struct area_piece *slot)
{
	struct uds_io_request *done[16];

	while (!slot->done) {
		/* In any order: pieces that come early are noted for when their turn comes. */
		int n = uds_io_engine_reap(reader->engine, done, 16, 1, -1);

		for (int i = 0; i < n; i++)
			((struct area_piece *)done[i]->user)->done = true;
	}
}

static int take_piece(struct area_reader *reader, uint8_t *ret_bytes, struct uds_message *message)
{
	struct area_piece *slot = &reader->slots[reader->taken % reader->depth];
	uint64_t area;
	int r;

	if (!area_of(reader, reader->taken, &area))
		return area_cut_short(reader->io, reader->g, area, message);
	ask(reader);
	wait_for(reader, slot);
	r = slot->request.status;
	if (r < 0)
		return failure(message, r, "%s: reading area %" PRIu64 ", chunk %" PRIu64 ": %s",
			       uds_io_name(reader->io), area, cow_area_chunk(reader->g, area),
			       uds_strerror(r));
	/* The slot's buffer is read into again by the next ask(), so the caller gets a copy. */
	memcpy(ret_bytes, slot->request.buffer, (size_t)reader->piece_bytes);
	reader->taken++;
	/* Twice as many after each piece that was really wanted. */
	if (reader->window < reader->depth)
		reader->window =
			reader->window * 2 < reader->depth ? reader->window * 2 : reader->depth;
	return 0;
}

int area_reader_next(struct area_reader *reader, uint8_t *ret_bytes, struct uds_message *message)
{
	for (uint64_t i = 0; i < reader->pieces_per_area; i++) {
		int r = take_piece(reader, ret_bytes + i * reader->piece_bytes, message);

		if (r < 0)
			return r;
	}
	return 0;
}
