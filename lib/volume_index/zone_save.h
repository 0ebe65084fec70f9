/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A save of one zone in the making: what is written of it (save_plan.c), the lists (save_lists.c),
 * and the writing (save.c).
 *
 * The heads are those of one moment. A list is copied as it is when its turn comes, and encoded
 * without the zone's lock; one that changes before is encoded first, so that what is written is of
 * that moment, too.
 */
#ifndef VOLUME_INDEX_ZONE_SAVE_H
#define VOLUME_INDEX_ZONE_SAVE_H

#include "base/stream.h"
#include "volume_index/stream_format.h"

/* The way to the sink, in large pieces. */
struct output {
	const struct byte_sink *sink;
	uint8_t *buffer;
	size_t used;
	int status; /* the first error; nothing is written after it */
};

/* So many lists are copied at once: some microseconds. */
#define SLICE_LISTS 32u

/* Room for their blocks, of which the largest has nearly 64 KiB. */
#define SLICE_BYTES (1u << 17)

/* What is written of one sub-index. */
struct part {
	struct list_zone *zone;
	/* as the zone was then, with heads of its own; its pool has the slice */
	struct list_zone frozen;
	uint64_t low;	     /* the zone's own, or higher when chapters are left out */
	uint64_t dropped;    /* entries left out: planned, and read without the zone's lock */
	uint64_t names_lost; /* collision entries left out or made ordinary; the same */
	uint64_t data_bytes; /* of all lists, headers included */
	/* what the lists take in the reference implementation's memory, at worst */
	uint64_t area_bytes;
	uint16_t *sizes; /* of the lists; NULL when nothing is left out */
	uint8_t *
		*kept; /* lists that changed before their turn, as they are written; NULL: others */
};

/* A list on its way into delta code. */
struct list_encoder {
	uint32_t *keys;
	uint32_t *values;
	const uint8_t **names; /* NULL for ordinary entries */
	uint8_t list[STREAM_LIST_BUFFER_BYTES];
};

/* Lists that were taken and are not written yet: copies of their blocks. */
struct slice {
	struct part *part;
	uint32_t first, count;
	struct list_pool_chunk chunks[SLICE_LISTS]; /* one block each */
	uint8_t *memory;
	uint32_t used;
};

struct zone_save {
	struct volume_index *index;
	unsigned int number; /* of the zone */
	struct part parts[2];
	struct output output;
	/* the list that is next: those before it are taken; under the zone's lock */
	unsigned int sub;
	uint32_t next;
	int keep_status; /* why a list could not be copied; under the zone's lock */
	struct slice slice;
	struct list_encoder writing;
	struct list_encoder keeping; /* for what is done under the zone's lock */
};

/*
 * Gets a list's entries into the encoder, without those of chapters that are left out; the names
 * only where the list has collision entries or something may be left out. Returns how many there
 * are, and how many entries and collision entries with their names are left out.
 *
 * @zone: where the list is: the part's zone, whose lock is held, or its frozen one, if the list is
 *     in the slice.
 */
uint32_t list_encoder_gather(struct list_encoder *encoder, const struct part *part,
			     const struct list_zone *zone, uint32_t list, uint32_t *ret_dropped,
			     uint32_t *ret_names_lost);

/*
 * Copies the next lists into the slice. The zone's lock is held.
 */
void zone_save_take(struct zone_save *save);

/*
 * Encodes a list of the slice into save->writing. Returns its bytes with the header, 0 for a list
 * that is not written, or an error.
 */
int zone_save_encode(struct zone_save *save, struct part *part, uint32_t list);

/*
 * Decides what is written: what the reference implementation can load, and in @limit bytes. The
 * zone's lock is held. Returns 0, UDS_ERR_OVERFLOW or -ENOMEM.
 */
int zone_save_plan(struct zone_save *save, uint64_t limit);

#endif
