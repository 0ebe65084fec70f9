/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two save slots: what is in them, which one to load, how a new save comes in, and how a save
 * is made invalid when the volume moves on (uds-format, 14.7 and 15.2 to 15.4).
 *
 * What is kept here mirrors the device. A header of which nobody knows what the device holds (it
 * could not be read, or writing it failed) is SLOT_UNKNOWN: no save is loaded then, and the header
 * is overwritten before the next chapter is written.
 *
 * Threads: one at a time. The chapter writer invalidates; a save is made while the chapter writer
 * is idle.
 */
#ifndef VOLUME_SAVES_H
#define VOLUME_SAVES_H

#include <stdbool.h>
#include <stdint.h>

#include "io/io.h"
#include "volume/super_block.h"

/*
 * No index ever gets so far; greater numbers come from damage, and sums with them could overflow.
 */
#define CHAPTER_LIMIT (UINT64_C(1) << 54)

/* A range of bytes on the I/O. */
struct extent {
	uint64_t offset;
	uint64_t bytes;
};

enum slot_state {
	SLOT_UNSAVED, /* says that it holds no save */
	SLOT_VALID,   /* holds a save, as far as its header tells */
	SLOT_DAMAGED, /* its header contradicts the format; counts as unsaved */
	SLOT_UNKNOWN, /* see above */
};

/* One save: what its header says. */
struct save {
	unsigned int slot;
	unsigned int zones;
	uint64_t timestamp; /* ms since 1970 */
	uint64_t nonce;
	uint64_t newest; /* chapter, the open one */
	uint64_t oldest;
	uint64_t last_save; /* newest - 1, or NO_CHAPTER */
	struct extent page_map;
	struct extent volume_index[MAXIMUM_ZONES]; /* [0] to [zones - 1] */
	struct extent open_chapter;
};

struct save_slot {
	enum slot_state state;
	bool wiped;		/* the open chapter was overwritten: no longer to be loaded */
	bool outdated;		/* the volume has a chapter that the save does not know of */
	struct save save;	/* when SLOT_VALID */
	struct uds_message why; /* when damaged or unknown: the reason */
};

struct saves {
	struct save_slot slots[SAVE_SLOTS];
	uint64_t last_timestamp; /* the highest that may be on the device */
};

/*
 * Reads both headers. What is wrong with one is kept with its slot and is no error.
 * @block: BLOCK_BYTES of memory that the I/O accepts; changed.
 */
void saves_read(struct uds_io *io, const struct super_block *super, uint8_t *block,
		struct saves *ret_saves);

/*
 * The save that a load uses: the valid one with the greatest time stamp.
 *
 * Returns 0, or UDS_ERR_NEEDS_RECOVERY with the reason: no valid save, a header that could not be
 * read, a save that was invalidated through this very struct, or chapter numbers that no volume of
 * @geometry can have. There is no way from there to the older save: the volume may have moved on
 * since.
 */
int saves_latest(const struct saves *saves, const struct geometry *geometry,
		 struct uds_message *ret_message, const struct save **ret_save);

/*
 * Begins a save: chooses the older slot, overwrites its header as unsaved and flushes that.
 *
 * @zones: 1 to MAXIMUM_ZONES. @now_ms: the time; the stamp of the new save is later where needed,
 * so that it is greater than any other on the device.
 * @ret_save: where the parts are to be written. Each must be flushed before saves_commit().
 *
 * Returns 0, UDS_ERR_OVERFLOW when no later time stamp exists, or what the I/O said: nothing is
 * saved then, and the other slot is as it was.
 */
int saves_begin(struct saves *saves, struct uds_io *io, const struct super_block *super,
		unsigned int zones, uint64_t now_ms, struct uds_message *ret_message,
		struct save *ret_save);

/*
 * Ends it: writes the header, durably. @save: from saves_begin(), with newest and oldest filled in.
 *
 * Returns 0, or what the I/O said: the slot is SLOT_UNKNOWN then.
 */
int saves_commit(struct saves *saves, struct uds_io *io, const struct super_block *super,
		 const struct save *save, struct uds_message *ret_message);

/*
 * To be called before anything on the volume changes: makes sure, durably, that no save on the
 * device will be loaded after a crash. Does nothing when that is so already.
 *
 * Returns 0, or what the I/O said: the volume must not be written then.
 */
int saves_invalidate(struct saves *saves, struct uds_io *io, const struct super_block *super,
		     struct uds_message *ret_message);

#endif
