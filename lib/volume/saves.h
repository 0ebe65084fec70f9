/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two save slots: what is in them, which one to load, how a new save comes in, and how a save
 * is made invalid when the volume moves on (uds-format, 14.7 and 15.2 to 15.4).
 *
 * What is kept here mirrors the device. A header whose content on the device is not known (writing
 * it failed), and a save that may count or not (it, or the chapter slot that would tell, cannot be
 * read), are SLOT_UNKNOWN: no save is loaded then, and the header is overwritten when the next
 * chapter is written. So an index with a save that cannot be read is opened only on a request to
 * give up what cannot be read: see saves_check_readable().
 *
 * Threads: one at a time. The chapter writer invalidates; a save is begun and committed while the
 * chapter writer is idle or held.
 */
#ifndef VOLUME_SAVES_H
#define VOLUME_SAVES_H

#include <stdbool.h>
#include <stdint.h>

#include "io/io.h"
#include "volume/save_header.h"
#include "volume/super_block.h"

enum save_slot_state {
	SLOT_UNSAVED, /* says that it holds no save */
	SLOT_VALID,   /* holds a save, as far as its header tells */
	SLOT_DAMAGED, /* its header contradicts the format; counts as unsaved */
	SLOT_UNKNOWN, /* see above */
};

struct save_slot {
	enum save_slot_state state;
	int status;	/* when SLOT_UNKNOWN: what reading or writing it came to */
	bool wiped;	/* the open chapter was overwritten: no longer to be loaded */
	bool outdated;	/* the volume has a chapter that the save does not know of */
	bool abandoned; /* the index goes on without it, although a recovery could begin with it */
	bool precious;	/* the index has records that nothing else on the device has */
	struct save save;  /* when SLOT_VALID */
	uint32_t checksum; /* of the header, when SLOT_VALID, for the extras */
	/* time stamp, when damaged: of a save that has all of this one; 0: not known */
	uint64_t older_than;
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
 * Says that it is not known whether the save of a slot counts, because of an error. slot->why
 * is the caller's.
 */
void saves_set_unreadable(struct save_slot *slot, int status);

/* Returns 0, or the error that reading one of the saves met. */
int saves_check_readable(const struct saves *saves, struct uds_message *ret_message);

/* The valid slot with the greatest time stamp; the first one of equals. NULL: none is valid. */
const struct save_slot *saves_find_latest(const struct saves *saves);

/* The same, to be changed. */
struct save_slot *saves_latest_slot(struct saves *saves);

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
 * The latest valid save, also when chapters were written since: its page map and volume index are
 * still what they were when it was made. NULL: none, or its chapter numbers are none that a volume
 * of @geometry can have.
 */
const struct save *saves_checkpoint(const struct saves *saves, const struct geometry *geometry);

/*
 * What saves_begin() will choose when it is called next with the same arguments. Changes nothing.
 * Returns as it.
 */
int saves_plan(const struct saves *saves, const struct super_block *super, unsigned int zones,
	       uint64_t now_ms, struct uds_message *ret_message, struct save *ret_save);

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
 * A damaged header in the other slot must not raise the question any more whether that save is the
 * later one, at no moment: it is marked as older than this save before, and overwritten afterwards.
 *
 * @left_behind: the chapter that the save has open is on the volume by now, all of it and durable.
 * The save is invalid from the start then, as if the chapter had come after the commit; a recovery
 * may begin with it.
 *
 * Returns 0, or what the I/O said: the slot is SLOT_UNKNOWN then, or still without a save.
 */
int saves_commit(struct saves *saves, struct uds_io *io, const struct super_block *super,
		 const struct save *save, bool left_behind, struct uds_message *ret_message);

/*
 * Whether chapter @vcn may be written before the saves are made invalid: every save that a load
 * might choose has this very chapter open, and does not use its slot. While the chapter is not
 * whole, such a save is the one to load; as soon as it is, the save is out of date.
 *
 * False also for a save of a converted volume whose volume index still names the chapter that lies
 * in the slot (uds-format, 11.4).
 */
bool saves_outlast_chapter(const struct saves *saves, const struct geometry *geometry,
			   uint64_t vcn);

/*
 * Makes sure, durably, that no save on the device will be loaded any more. Does nothing when that
 * is so already. To be called before anything of the volume changes that a save uses; when
 * saves_outlast_chapter() says so, only when the chapter is durable: until then the save is the
 * only place of the records that it has in its open chapter.
 *
 * Returns 0, or what the I/O said: no other chapter must be written then.
 */
int saves_invalidate(struct saves *saves, struct uds_io *io, const struct super_block *super,
		     struct uds_message *ret_message);

#endif
