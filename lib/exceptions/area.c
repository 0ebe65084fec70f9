/* SPDX-License-Identifier: BSD-2-Clause */
/* Header and areas on the I/O, one at a time. Reading many is in area_reader.c. */
#include "exceptions/area.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "io/io.h"

#define PIECE_BYTES (UINT64_C(1) << 20)

int cow_check_chunk_bytes(struct uds_io *cow, uint64_t chunk_bytes, struct uds_message *message)
{
	uint64_t least = uds_io_block_bytes(cow);

	/*
	 * A sector at least, even on devices of single bytes: the format counts in sectors
	 * (uds-cow, 3).
	 */
	if (least < SECTOR_BYTES)
		least = SECTOR_BYTES;
	if (is_power_of_two(chunk_bytes) && chunk_bytes >= least &&
	    chunk_bytes <= COW_MAX_CHUNK_BYTES)
		return 0;
	return failure(message, -EINVAL,
		       "%s: a chunk size of %" PRIu64 " bytes: it must be a power of two, %" PRIu64
		       " to %" PRIu64 " here",
		       uds_io_name(cow), chunk_bytes, least, COW_MAX_CHUNK_BYTES);
}

static int check_header(struct uds_io *cow, const struct cow_header *header,
			struct uds_message *message)
{
	const char *name = uds_io_name(cow);
	uint64_t chunk_bytes = header->chunk_sectors * SECTOR_BYTES;

	if (header->magic == 0)
		return failure(message, UDS_ERR_NOT_A_SNAPSHOT,
			       "%s: no exception store: the first 4 bytes are zero", name);
	if (header->magic != COW_MAGIC)
		return failure(message, UDS_ERR_NOT_A_SNAPSHOT,
			       "%s: no exception store: magic 0x%08" PRIx32
			       " at byte 0, not 0x%08" PRIx32,
			       name, header->magic, COW_MAGIC);
	if (header->version != COW_VERSION)
		return failure(message, UDS_ERR_UNSUPPORTED_VERSION,
			       "%s: header: version %" PRIu32 ", only %" PRIu32 " is known", name,
			       header->version, COW_VERSION);
	/*
	 * Checked before anything is computed from it: sizes of buffers, and where the areas lie.
	 */
	if (cow_check_chunk_bytes(cow, chunk_bytes, NULL) < 0)
		return failure(message, UDS_ERR_CORRUPT,
			       "%s: header: chunk size %" PRIu32
			       " sectors: not a power of two from "
			       "%" PRIu64 " to %" PRIu64 " bytes, in blocks of %" PRIu32,
			       name, header->chunk_sectors, SECTOR_BYTES, COW_MAX_CHUNK_BYTES,
			       uds_io_block_bytes(cow));
	return 0;
}

int cow_read_header(struct uds_io *cow, const struct uds_env *env, struct cow_header *ret_header,
		    struct uds_message *message)
{
	uint64_t bytes = round_up(COW_HEADER_BYTES, uds_io_block_bytes(cow)), device_bytes;
	uint8_t *block;
	int r;

	r = uds_io_size(cow, &device_bytes);
	if (r < 0)
		return failure(message, r, "%s: its size: %s", uds_io_name(cow), uds_strerror(r));
	/* Too short for a header is no damage but something else than a store. */
	if (device_bytes < bytes)
		return failure(message, UDS_ERR_NOT_A_SNAPSHOT,
			       "%s: no exception store: %" PRIu64 " bytes are too few for a header",
			       uds_io_name(cow), device_bytes);
	block = io_allocate_buffer(cow, env, bytes);
	if (block == NULL)
		return -ENOMEM;
	r = io_read(cow, block, (size_t)bytes, 0, message);
	if (r == 0) {
		cow_header_get(block, ret_header);
		r = check_header(cow, ret_header, message);
	}
	env_release(env, block);
	return r;
}

/* Writes a chunk that is zero but for its first bytes, in pieces. */
static int write_sparse_chunk(struct uds_io *cow, const struct uds_env *env, uint64_t chunk_bytes,
			      uint64_t chunk, const uint8_t *head, size_t head_bytes,
			      struct uds_message *message)
{
	/* Pieces: a chunk may have a gigabyte, nearly all of it zeros. */
	uint64_t piece = chunk_bytes < PIECE_BYTES ? chunk_bytes : PIECE_BYTES;
	uint8_t *buffer = io_allocate_buffer(cow, env, piece);
	int r = 0;

	if (buffer == NULL)
		return -ENOMEM;
	memset(buffer, 0, (size_t)piece);
	if (head_bytes > 0)
		memcpy(buffer, head, head_bytes);
	for (uint64_t done = 0; done < chunk_bytes && r == 0; done += piece) {
		r = io_write(cow, buffer, (size_t)piece, chunk * chunk_bytes + done, message);
		/* The head is in the first piece only. */
		memset(buffer, 0, head_bytes);
	}
	env_release(env, buffer);
	return r;
}

int cow_write_header(struct uds_io *cow, const struct uds_env *env, uint64_t chunk_bytes,
		     bool valid, struct uds_message *message)
{
	uint8_t header[COW_HEADER_BYTES];

	cow_header_put(header, chunk_bytes, valid);
	return write_sparse_chunk(cow, env, chunk_bytes, 0, header, sizeof(header), message);
}

int cow_zero_chunk(struct uds_io *cow, const struct uds_env *env, uint64_t chunk_bytes,
		   uint64_t chunk, struct uds_message *message)
{
	return write_sparse_chunk(cow, env, chunk_bytes, chunk, NULL, 0, message);
}

int area_write(struct uds_io *cow, const struct cow_geometry *g, uint64_t area,
	       const uint8_t *bytes, uint64_t first, uint64_t count, struct uds_message *message)
{
	uint64_t block = uds_io_block_bytes(cow), begin, end;

	/* Whole sectors at least: no tear inside a sector that might have been avoided. */
	if (block < SECTOR_BYTES)
		block = SECTOR_BYTES;
	/*
	 * Outwards to whole blocks; what is written again around the entries is what the device
	 * has.
	 */
	begin = first * COW_ENTRY_BYTES & ~(block - 1);
	end = round_up((first + count) * COW_ENTRY_BYTES, block);
	return io_write(cow, bytes + begin, (size_t)(end - begin),
			cow_area_chunk(g, area) * g->chunk_bytes + begin, message);
}

int area_cut_short(struct uds_io *cow, const struct cow_geometry *g, uint64_t area,
		   struct uds_message *message)
{
	return failure(message, UDS_ERR_CORRUPT,
		       "%s: area %" PRIu64 " must follow and would be chunk %" PRIu64
		       ", but the device ends after %" PRIu64 " bytes, in chunk %" PRIu64,
		       uds_io_name(cow), area, cow_area_chunk(g, area), g->device_bytes,
		       g->device_chunks);
}

int area_read(struct uds_io *cow, const struct cow_geometry *g, uint64_t area, uint8_t *ret_bytes,
	      struct uds_message *message)
{
	int r = io_read(cow, ret_bytes, (size_t)g->chunk_bytes,
			cow_area_chunk(g, area) * g->chunk_bytes, message);

	return r < 0 ? failure_in(message, r, "area %" PRIu64, area) : 0;
}

int area_check_full(struct uds_io *cow, const struct cow_geometry *g, uint64_t area,
		    const uint8_t *bytes, struct uds_message *message)
{
	if (cow_entry_new(bytes, g->per_area - 1) != 0)
		return 0;
	return failure(message, UDS_ERR_CORRUPT,
		       "%s: area %" PRIu64 " was full when the store was opened, and is not now",
		       uds_io_name(cow), area);
}

int cow_check_device_end(const char *name, uint64_t device_chunks, uint64_t new_chunk,
			 uint64_t count, struct uds_message *message)
{
	/*
	 * By subtraction: both numbers may come from a damaged store, and their sum could overflow.
	 */
	if (new_chunk < device_chunks && count <= device_chunks - new_chunk)
		return 0;
	return failure(message, UDS_ERR_CORRUPT,
		       "%s: not written: new chunks %" PRIu64 " to %" PRIu64
		       " go past the end of the device, which has %" PRIu64,
		       name, new_chunk, new_chunk + count - 1, device_chunks);
}
