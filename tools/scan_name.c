/* SPDX-License-Identifier: BSD-2-Clause */
/* The work that takes the time: looking for zeros, hashing, and asking where blocks lie. */
#include "scan_name.h"

#include <string.h>

#include "scan_data.h"
#include "scan_file.h"
#include "scan_hash.h"
#include "scan_read.h"

static void make_post(const struct scan_options *options, struct scan_batch *batch,
		      const struct scan_piece *piece, uint64_t block)
{
	struct uds_request *request = &batch->requests[batch->request_count];
	struct first_seen seen = {
		.scan = options->time,
		.inode = piece->file->inode,
		.block = block,
		.device = piece->file->device,
		.block_shift = options->block_shift,
	};

	request->kind = UDS_POST;
	encode_first_seen(&seen, &request->new_data);
	batch->blocks[batch->request_count++] = block;
}

/* A block that waits for a second one, to be hashed with it. */
struct waiting {
	const uint8_t *block;
	struct uds_record_name *name;
};

/* Makes requests of a piece's blocks. @waiting: carried from piece to piece. */
static void name_blocks(const struct scan_options *options, struct scan_batch *batch,
			struct scan_piece *piece, struct waiting *waiting)
{
	const size_t length = (size_t)options->block_bytes;
	uint8_t *p = batch->buffer + piece->buffer_offset;
	uint64_t left = piece->read_bytes;

	piece->first_request = batch->request_count;
	for (uint64_t i = 0; left > 0; i++, p += length) {
		uint64_t bytes = left < length ? left : length;
		struct uds_record_name *name = &batch->requests[batch->request_count].name;

		/* The end of a file is named as a device would hold it: filled up with zeros. */
		memset(p + bytes, 0, (size_t)(length - bytes));
		left -= bytes;
		if (is_zero_block(p, length)) {
			piece->zero_blocks++;
			piece->zero_bytes += bytes;
			continue;
		}
		make_post(options, batch, piece, piece->first_block + i);
		if (waiting->block == NULL) {
			waiting->block = p;
			waiting->name = name;
			continue;
		}
		hash_two_blocks(waiting->block, p, length, waiting->name, name);
		waiting->block = NULL;
	}
	piece->request_count = batch->request_count - piece->first_request;
}

/* Finds out where a piece's blocks lie, where the file system may let others have them too. */
static void place_blocks(const struct scan_options *options, struct scan_batch *batch,
			 const struct scan_piece *piece)
{
	uint64_t start = piece->first_block << options->block_shift;
	uint64_t end = start + piece->read_bytes;
	struct extent_cursor cursor;

	extents_start(&cursor, piece->file->descriptor, piece->file->file_system, start,
		      piece->request_count == 0 ? 0 : piece->read_bytes);
	for (uint32_t i = 0; i < piece->request_count; i++) {
		uint32_t which = piece->first_request + i;
		uint64_t offset = batch->blocks[which] << options->block_shift;
		uint64_t bytes = options->block_bytes;

		if (bytes > end - offset)
			bytes = end - offset;
		batch->places[which] = extents_place(&cursor, offset, bytes, options->block_shift,
						     &batch->requests[which].name);
	}
}

uint64_t name_batch(const struct scan_options *options, struct scan_batch *batch)
{
	struct waiting waiting = { NULL, NULL };
	uint64_t errors = 0;

	for (unsigned int i = 0; i < batch->piece_count; i++) {
		struct scan_piece *piece = &batch->pieces[i];

		if (piece->hole) {
			piece->zero_bytes = piece->bytes;
			piece->zero_blocks =
				(piece->bytes + options->block_bytes - 1) >> options->block_shift;
			continue;
		}
		errors += piece_settle(options, piece);
		name_blocks(options, batch, piece, &waiting);
	}
	if (waiting.block != NULL)
		hash_block(waiting.block, (size_t)options->block_bytes, waiting.name);
	for (unsigned int i = 0; i < batch->piece_count; i++) {
		if (batch->pieces[i].hole)
			continue;
		place_blocks(options, batch, &batch->pieces[i]);
		scan_file_release_descriptor(batch->pieces[i].file);
	}
	return errors;
}
