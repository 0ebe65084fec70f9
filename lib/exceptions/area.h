/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metadata on the COW device: header and areas, read and written in blocks of the I/O. Many areas
 * at once: area_reader.h.
 */
#ifndef EXCEPTIONS_AREA_H
#define EXCEPTIONS_AREA_H

#include <uds/env.h>
#include <uds/io.h>

#include "exceptions/cow_format.h"

/* Why a chunk size cannot be used on this I/O: 0, or -EINVAL and the sentence. */
int cow_check_chunk_bytes(struct uds_io *cow, uint64_t chunk_bytes, struct uds_message *message);

/*
 * Reads and checks the header: 0, UDS_ERR_NOT_A_SNAPSHOT, UDS_ERR_UNSUPPORTED_VERSION,
 * UDS_ERR_CORRUPT for the chunk size, or what the I/O said. @ret_header is filled as soon as it
 * could be read.
 */
int cow_read_header(struct uds_io *cow, const struct uds_env *env, struct cow_header *ret_header,
		    struct uds_message *message);

/* Writes chunk 0: the header and zeroes. Not flushed. */
int cow_write_header(struct uds_io *cow, const struct uds_env *env, uint64_t chunk_bytes,
		     bool valid, struct uds_message *message);

/* Writes zeroes over a chunk. Not flushed. */
int cow_zero_chunk(struct uds_io *cow, const struct uds_env *env, uint64_t chunk_bytes,
		   uint64_t chunk, struct uds_message *message);

/*
 * Writes the blocks of area @area that hold the entries [first, first + count) from @bytes, the
 * whole area in memory. Not flushed.
 */
int area_write(struct uds_io *cow, const struct cow_geometry *g, uint64_t area,
	       const uint8_t *bytes, uint64_t first, uint64_t count, struct uds_message *message);

/* An area that lies on the device: of those of a list each was there when the store was opened. */
int area_read(struct uds_io *cow, const struct cow_geometry *g, uint64_t area, uint8_t *ret_bytes,
	      struct uds_message *message);

/* The sentence for an area that does not lie on the device. */
int area_cut_short(struct uds_io *cow, const struct cow_geometry *g, uint64_t area,
		   struct uds_message *message);

/* Whether an area that was full before still is, as the list demands: 0, or UDS_ERR_CORRUPT. */
int area_check_full(struct uds_io *cow, const struct cow_geometry *g, uint64_t area,
		    const uint8_t *bytes, struct uds_message *message);

/*
 * Whether chunks to be written lie on a device of so many: 0, or
 * UDS_ERR_CORRUPT. @name: of the I/O.
 */
int cow_check_device_end(const char *name, uint64_t device_chunks, uint64_t new_chunk,
			 uint64_t count, struct uds_message *message);

#endif
