/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The extras area behind the format's own end (uds-extras): its layout, its headers, and the
 * copies of the save headers. What the checksums in it are of is in checksums.h, the journal's
 * blocks in journal.h.
 *
 * A header knows the saves, by the checksums of their headers, so that one that another program
 * made is noticed: the journal is older than it then. Before a save of this library touches its
 * slot, the checksum that its header will have is in the header of the area, durably: the intent.
 *
 * The area is never needed to use an index. One that is not there, cut off, damaged or of another
 * index only means that nothing is known; other implementations do not even know that there is one.
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

#define EXTRAS_SAVES   2u	  /* save headers that there are copies of */
#define EXTRAS_NO_SLOT UINT32_MAX /* in place of a save slot: none */

/* A save that is about to be made, or was being made when the power failed. */
struct extras_intent {
	uint32_t slot;	   /* or EXTRAS_NO_SLOT */
	uint32_t checksum; /* that its header has once it is committed */
	uint64_t journal;  /* the first block of the journal that the save does not cover */
};

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

	uint64_t journal;		     /* its first block, of the area */
	uint64_t journal_blocks;	     /* 0: none */
	uint64_t journal_from;		     /* its blocks of lower numbers do not count */
	uint64_t save_journal[EXTRAS_SAVES]; /* the first number that each save does not cover */
	struct extras_intent intent;

	/*
	 * The journal's blocks of lower numbers than the first of these count as if the second had
	 * been their open chapter. 0: none do.
	 */
	uint64_t again_end;
	uint64_t again_chapter;

	uint64_t flushed_from; /* 1 + the open chapter of the index's first flush; 0: none yet */

	int unreadable; /* why a header could not be read; 0: both could */
	bool due;	/* in memory only: the header on the device does not say all of this yet */

	/* when it is not present but should be, or a header cannot be read */
	struct uds_message why;
};

/*
 * Fill and read one header. Decoding returns 0, or UDS_ERR_CORRUPT or UDS_ERR_UNSUPPORTED_VERSION.
 */
void extras_encode_header(const struct extras_area *area, uint8_t block[BLOCK_BYTES]);
int extras_decode_header(const uint8_t block[BLOCK_BYTES], struct extras_area *area,
			 struct uds_message *ret_message);

/* The area of a new index: not yet written. */
void extras_make(const struct geometry *geometry, uint64_t start, uint64_t nonce, uint64_t id,
		 struct extras_area *ret_area);

/*
 * Reads the newer of the headers that are good. Never fails: without one that belongs to the index
 * the area is not present, and where there is a damaged one, or something that cannot be read,
 * @ret_area->why says so. (A read error must not keep anybody from an index without extras that has
 * other things behind it.)
 *
 * @start: where an area would begin. @end: bytes of the I/O. @block: scratch that the I/O accepts.
 */
void extras_read(struct uds_io *io, const struct geometry *geometry, uint64_t start, uint64_t end,
		 uint64_t nonce, uint8_t *block, struct extras_area *ret_area);

/*
 * Writes a header of the next generation, durably, over the older one.
 *
 * @next: what it is to say; its generation is set. @block: scratch that the I/O accepts.
 *
 * Returns 0, and @area is @next, and not due; or what the I/O said: the header before counts then,
 * or this one.
 */
int extras_write_header(struct uds_io *io, struct extras_area *area, struct extras_area *next,
			uint8_t *block, struct uds_message *ret_message);

/*
 * When the save of the intent is committed: its slot is known, in memory, and no save is pending.
 */
void extras_end_intent(struct extras_area *area);

/*
 * Whether a save header that says it holds a save is one that the area knows, or the one
 * of the intent.
 */
bool extras_know_save(const struct extras_area *area, unsigned int slot, uint32_t checksum);

/* The first number of the journal that a save which is known does not cover. */
uint64_t extras_save_journal(const struct extras_area *area, unsigned int slot, uint32_t checksum);

/*
 * Writes copies of both save headers, and then, when they are durable, a header of the next
 * generation, over the older one. There is no intent in it, and the checksums that are known.
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
