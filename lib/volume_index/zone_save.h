/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A save of one zone in the making: what is written of it (save_plan.c), the lists (save_lists.c),
 * their way through the members of a crew (save_slices.c), and the writing (save.c).
 *
 * The heads are those of one moment. A list is copied as it is when its turn comes, and encoded
 * without the zone's lock; one that changes before is encoded first, so that what is written is of
 * that moment, too.
 *
 * Threads: what is copied, given and written is so by one thread, that of the save. A member
 * of the crew encodes a slice, and has that slice, its encoder and its buffer to itself.
 */
#ifndef VOLUME_INDEX_ZONE_SAVE_H
#define VOLUME_INDEX_ZONE_SAVE_H

#include "base/crew.h"
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
#define TAKE_LISTS 32u

/* What a member of the crew encodes at once: some hundreds of microseconds. */
#define SLICE_LISTS 256u

/*
 * Room for their blocks, of which the largest has nearly 64 KiB, and for what they become.
 */
#define SLICE_BYTES (1u << 18)

/* For each member one slice to encode, and one that is filled or written meanwhile. */
#define SLICES_EACH 2u

/* What is written of one sub-index. */
struct part {
	struct list_zone *zone;
	/* as the zone was then, with heads of its own; the blocks are in the slices */
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

/*
 * Lists that were taken and are not written yet: copies of their blocks, then what is written.
 */
struct slice {
	struct crew_job job;
	struct zone_save *save;
	struct part *part;
	uint32_t first, count;
	uint64_t coded_bytes;	/* of all of them */
	bool given;		/* to the crew, and not written yet */
	struct list_zone where; /* the part as it was then, whose pool is the slice */
	struct list_pool_chunk chunks[SLICE_LISTS]; /* one block each */
	uint8_t *memory;
	uint32_t used;
	struct list_encoder encoder;
	uint8_t *bytes; /* in delta code */
	size_t length;
	int status;
};

struct zone_save {
	struct volume_index *index;
	unsigned int number; /* of the zone */
	struct crew *crew;   /* NULL: all is done by the thread of the save */
	struct part parts[2];
	struct output output;
	/* the list that is next: those before it are taken; under the zone's lock */
	unsigned int sub;
	uint32_t next;
	int keep_status; /* why a list could not be copied; under the zone's lock */
	struct slice *slices;
	unsigned int slice_count;
	unsigned int turn;	     /* the slice that is filled */
	struct list_encoder keeping; /* for what is done under the zone's lock */
	uint8_t *kept_list;	     /* one list for that */
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

/* Makes an encoder. Returns 0 or -ENOMEM; to be freed in any case. */
int list_encoder_make(const struct volume_index *index, struct list_encoder *encoder);
void list_encoder_free(const struct volume_index *index, struct list_encoder *encoder);

/*
 * Encodes a list. @zone: as list_encoder_gather(). @to: room for its bytes, and for
 * STREAM_LIST_BUFFER_BYTES beyond what is asked for.
 *
 * Returns its bytes with the header, 0 for a list that is not written, or an error.
 */
int zone_save_encode(const struct zone_save *save, struct list_encoder *encoder,
		     const struct part *part, const struct list_zone *zone, uint32_t list,
		     uint8_t *to);

/* Makes the slices. Returns 0 or -ENOMEM; to be freed in any case. */
int slices_make(struct zone_save *save);

/* Waits for those that are with the crew. */
void slices_free(struct zone_save *save);

/* Copies the next lists into the slice that is filled. The zone's lock is held. */
void slices_take(struct zone_save *save);

/* Whether the slice that is filled takes no more lists: of the part, or at all. */
bool slices_are_due(const struct zone_save *save);

/*
 * Has the slice that is filled encoded; the next one is filled from then on, after what it has
 * was written.
 *
 * Returns 0, -ENOMEM, or what the sink returned.
 */
int slices_give(struct zone_save *save);

/* Writes all that was given. Returns as slices_give(). */
int slices_finish(struct zone_save *save);

/*
 * Decides what is written: what the reference implementation can load, and in @limit bytes. The
 * zone's lock is held. Returns 0, UDS_ERR_OVERFLOW or -ENOMEM.
 */
int zone_save_plan(struct zone_save *save, uint64_t limit);

#endif
