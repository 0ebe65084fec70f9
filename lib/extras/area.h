/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The extras area behind the format's own end (uds-extras): its layout, its headers, and the copies of the
 * save headers. What the checksums in it are of is in checksums.h.
 *
 * The area is never needed to use an index. One that is not there, cut off, damaged or of another index only
 * means that nothing is known; other implementations do not even know that there is one.
 *
 * Threads: pure functions, but for those that take an I/O: one at a time for each area.
 */
#ifndef EXTRAS_AREA_H
#define EXTRAS_AREA_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/status.h>

#include "geometry/geometry.h"
#include "io/io.h"

#define EXTRAS_SAVES 2u /* save headers that there are copies of */

struct extras_area {
	bool present;
	uint64_t start;	 /* bytes of the I/O */
	uint64_t blocks; /* of the whole area */
	uint64_t nonce;	 /* of the volume that it belongs to */
	uint64_t id;	 /* made with the area: what an earlier one left does not count */
	uint64_t generation;
	uint32_t slots;			       /* chapters of the volume */
	uint32_t parts;			       /* checksum blocks for each slot */
	uint64_t open_chapter;		       /* when the header was written */
	uint32_t save_checksums[EXTRAS_SAVES]; /* of the save headers, as they were then */

	struct uds_message
		why; /* when it is not present but should be, or a header cannot be read */
};

/* Fill and read one header. Decoding returns 0, or UDS_ERR_CORRUPT or UDS_ERR_UNSUPPORTED_VERSION. */
void extras_encode_header(const struct extras_area *area, uint8_t block[BLOCK_BYTES]);
int extras_decode_header(const uint8_t block[BLOCK_BYTES], struct extras_area *area,
			 struct uds_message *ret_message);

/* The area of a new index: not yet written. */
void extras_make(const struct geometry *geometry, uint64_t start, uint64_t nonce, uint64_t id,
		 struct extras_area *ret_area);

/*
 * Reads the newer of the headers that are good. Never fails: without one that belongs to the index the area is
 * not present, and where there is a damaged one, or something that cannot be read, @ret_area->why says so. (A
 * read error must not keep anybody from an index without extras that has other things behind it.)
 *
 * @start: where an area would begin. @end: bytes of the I/O. @block: scratch that the I/O accepts.
 */
void extras_read(struct uds_io *io, const struct geometry *geometry, uint64_t start, uint64_t end,
		 uint64_t nonce, uint8_t *block, struct extras_area *ret_area);

/*
 * Writes copies of both save headers, and then, when they are durable, a header of the next generation, over
 * the older one.
 *
 * @saves: EXTRAS_SAVES blocks, in memory that the I/O accepts; changed.
 *
 * Returns 0, or what the I/O said: the header before counts then.
 */
int extras_write(struct uds_io *io, struct extras_area *area, uint64_t open_chapter, uint8_t *saves,
		 struct uds_message *ret_message);

/* Where checksum block @part of a slot lies, in bytes of the I/O. */
uint64_t extras_checksum_offset(const struct extras_area *area, uint32_t slot, uint32_t part);

#endif
