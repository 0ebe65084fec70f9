/* SPDX-License-Identifier: BSD-2-Clause */
/* Choosing, writing and invalidating saves. Their headers as bytes are in save_header.c. */
#include "volume/saves.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "volume/save_header.h"
#include "volume/save_wipe.h"

/* Where no chapter of a save is known, none is the one that it has open. */
void saves_set_unreadable(struct save_slot *slot, int status)
{
	slot->state = SLOT_UNKNOWN;
	slot->status = status;
	slot->save.newest = NO_CHAPTER;
	/* It may be the latest, and must not be passed over as an older one. */
	slot->save.timestamp = UINT64_MAX;
}

/*
 * A slot that is marked as older than a save that is there holds none: nothing of it is asked for.
 */
static void heed_marks(struct saves *saves)
{
	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		struct save_slot *slot = &saves->slots[i];

		if (slot->state == SLOT_DAMAGED && slot->older_than > 0 &&
		    saves->last_timestamp >= slot->older_than)
			slot->state = SLOT_UNSAVED;
	}
}

void saves_read(struct uds_io *io, const struct super_block *super, uint8_t *block,
		struct saves *ret_saves)
{
	int r;

	memset(ret_saves, 0, sizeof(*ret_saves));
	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		struct save_slot *slot = &ret_saves->slots[i];
		uint64_t at = super_block_save_at(super, i) * BLOCK_BYTES;

		/* The state of one slot never hides the other (14.7). */
		r = io_read(io, block, BLOCK_BYTES, at, &slot->why);
		if (r < 0) {
			slot->save.slot = i;
			saves_set_unreadable(slot, r);
			failure_in(&slot->why, r, "save %u header", i);
			continue;
		}
		r = save_header_decode(block, super, i, &slot->save, &slot->why);
		if (r < 0)
			slot->state = SLOT_DAMAGED;
		else
			slot->state = r == 0 ? SLOT_UNSAVED : SLOT_VALID;
		if (r < 0)
			save_header_decode_mark(block, super, &slot->older_than);
		/*
		 * Of what counts in a header, and not of what a torn write left behind it: that is
		 * as good as the one that was written.
		 */
		if (slot->state == SLOT_VALID)
			slot->checksum = save_header_checksum(super, &slot->save, block);
		/*
		 * The next save is dated after this one, even by a clock that went back (20.2, R5).
		 */
		if (slot->state == SLOT_VALID && slot->save.timestamp > ret_saves->last_timestamp)
			ret_saves->last_timestamp = slot->save.timestamp;
	}
	heed_marks(ret_saves);
}

const struct save_slot *saves_find_latest(const struct saves *saves)
{
	const struct save_slot *latest = NULL;

	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		const struct save_slot *slot = &saves->slots[i];

		if (slot->state != SLOT_VALID)
			continue;
		/* On a tie, slot 0 (15.2). */
		if (latest == NULL || slot->save.timestamp > latest->save.timestamp)
			latest = slot;
	}
	return latest;
}

struct save_slot *saves_latest_slot(struct saves *saves)
{
	const struct save_slot *latest = saves_find_latest(saves);

	return latest == NULL ? NULL : &saves->slots[latest - saves->slots];
}

/* Says why no slot is valid: the first damage, if there is any. */
static int no_valid_save(const struct saves *saves, struct uds_message *ret_message)
{
	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		if (saves->slots[i].state == SLOT_DAMAGED)
			return failure(ret_message, UDS_ERR_NEEDS_RECOVERY, "no valid save: %.400s",
				       saves->slots[i].why.text);
	}
	return failure(ret_message, UDS_ERR_NEEDS_RECOVERY, "no valid save: it was never saved");
}

/* A volume of N slots has at most N - 1 valid chapters and the open one. */
static int check_chapters(const struct save *save, const struct geometry *geometry,
			  struct uds_message *ret_message)
{
	/*
	 * A save with such numbers would send lookups to the slots of other chapters. All of them
	 * say "recover", not "corrupt": the volume has everything but the open chapter.
	 */
	if (save->newest >= CHAPTER_LIMIT)
		return failure(ret_message, UDS_ERR_NEEDS_RECOVERY,
			       "save %u header: newest chapter: expected less than %" PRIu64
			       ", found %" PRIu64,
			       save->slot, CHAPTER_LIMIT, save->newest);
	if (save->oldest > save->newest)
		return failure(
			ret_message, UDS_ERR_NEEDS_RECOVERY,
			"save %u header: oldest chapter: expected at most the newest, %" PRIu64
			", found %" PRIu64,
			save->slot, save->newest, save->oldest);
	if (save->newest - save->oldest >= geometry->chapters_per_volume)
		return failure(ret_message, UDS_ERR_NEEDS_RECOVERY,
			       "save %u header: chapters from oldest to newest: expected at most "
			       "%" PRIu32 ", found %" PRIu64 " to %" PRIu64,
			       save->slot, geometry->chapters_per_volume, save->oldest,
			       save->newest);
	return 0;
}

int saves_check_readable(const struct saves *saves, struct uds_message *ret_message)
{
	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		const struct save_slot *slot = &saves->slots[i];

		/*
		 * Unknown is not damaged: written over, a save that is only unreadable now would be
		 * lost.
		 */
		if (slot->state == SLOT_UNKNOWN)
			return failure(ret_message, slot->status, "%s", slot->why.text);
	}
	return 0;
}

int saves_latest(const struct saves *saves, const struct geometry *geometry,
		 struct uds_message *ret_message, const struct save **ret_save)
{
	const struct save_slot *latest = saves_find_latest(saves);
	int r;

	/*
	 * The one that cannot be read may be the later one, and loading the other would go back in
	 * time.
	 */
	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		if (saves->slots[i].state == SLOT_UNKNOWN)
			return failure(ret_message, UDS_ERR_NEEDS_RECOVERY,
				       "the latest save is not known: %.400s",
				       saves->slots[i].why.text);
	}
	if (latest == NULL)
		return no_valid_save(saves, ret_message);
	/*
	 * No fallback to the older slot: it is older still, and the volume has moved on since
	 * (15.2).
	 */
	if (latest->wiped)
		return failure(ret_message, UDS_ERR_NEEDS_RECOVERY,
			       "save %u: chapters were written since", latest->save.slot);
	if (latest->outdated)
		return failure(ret_message, UDS_ERR_NEEDS_RECOVERY,
			       "save %u is out of date: chapter %" PRIu64
			       ", which is to come next, is on the volume already",
			       latest->save.slot, latest->save.newest);
	r = check_chapters(&latest->save, geometry, ret_message);
	if (r < 0)
		return r;
	*ret_save = &latest->save;
	return 0;
}

const struct save *saves_checkpoint(const struct saves *saves, const struct geometry *geometry)
{
	const struct save_slot *latest = saves_find_latest(saves);
	struct uds_message ignored;

	if (latest == NULL || check_chapters(&latest->save, geometry, &ignored) < 0)
		return NULL;
	return &latest->save;
}

/*
 * Writes the header of a slot. One for many zones is longer than a sector, and a power cut may
 * leave the new bytes in one sector and the old ones in the other: a header that is damaged. So
 * what lies behind the first sector is changed only while the first one says that there is no save,
 * which needs no more.
 *
 * @now: the save that the header is to tell, or NULL: none. @block: scratch.
 */
static int write_header(struct saves *saves, struct uds_io *io, const struct super_block *super,
			unsigned int i, const struct save *now, uint8_t *block,
			struct uds_message *ret_message)
{
	uint64_t at = super_block_save_at(super, i) * BLOCK_BYTES;
	const struct save_slot *slot = &saves->slots[i];
	uint8_t unsaved[SAVE_SECTOR_BYTES];
	int r = 0;

	save_header_encode_unsaved(super, i, block);
	memcpy(unsaved, block, sizeof(unsaved));
	if (now != NULL)
		save_header_encode(super, now, block);
	else if (slot->state == SLOT_VALID)
		save_header_encode(super, &slot->save, block);
	if (!save_is_zero(block + sizeof(unsaved), BLOCK_BYTES - sizeof(unsaved))) {
		memcpy(block, unsaved, sizeof(unsaved));
		r = save_write_block(io, block, at, "header", i, ret_message);
	}
	if (now != NULL)
		save_header_encode(super, now, block);
	else
		save_header_encode_unsaved(super, i, block);
	return r < 0 ? r : save_write_block(io, block, at, "header", i, ret_message);
}

/* After this the slot holds no save, whatever was there. */
static int write_unsaved(struct saves *saves, struct uds_io *io, const struct super_block *super,
			 unsigned int i, uint8_t *block, struct uds_message *ret_message)
{
	struct save_slot *slot = &saves->slots[i];
	int r;

	r = write_header(saves, io, super, i, NULL, block, ret_message);
	if (r < 0) {
		/*
		 * The write may have reached the device or not: what a reader would see is not
		 * known until it is read again.
		 */
		slot->state = SLOT_UNKNOWN;
		slot->status = r;
		failure(&slot->why, r, "save %u header could not be written: %s", i,
			uds_strerror(r));
		return r;
	}
	slot->state = SLOT_UNSAVED;
	slot->wiped = false;
	slot->abandoned = false;
	slot->precious = false;
	slot->older_than = 0;
	return 0;
}

/* The slot to overwrite: that with the smallest time stamp, where no valid save counts as 0. */
static unsigned int victim_slot(const struct saves *saves)
{
	uint64_t least = UINT64_MAX;
	unsigned int victim = 0;

	/* Backwards with "<=": of two equal ones slot 0 is taken (15.3). */
	for (unsigned int i = SAVE_SLOTS; i-- > 0;) {
		const struct save_slot *slot = &saves->slots[i];
		uint64_t timestamp = slot->state == SLOT_VALID ? slot->save.timestamp : 0;

		/* Its records are nowhere else until the save that is written now is committed. */
		if (slot->precious)
			continue;
		if (timestamp <= least) {
			least = timestamp;
			victim = i;
		}
	}
	return victim;
}

/*
 * A clock beyond this counts as this: a save with the last time stamp that there is would be one
 * that no later save can follow.
 */
#define SAVE_CLOCK_MAX ((uint64_t)INT64_MAX)

int saves_plan(const struct saves *saves, const struct super_block *super, unsigned int zones,
	       uint64_t now_ms, struct uds_message *ret_message, struct save *ret_save)
{
	struct save save;
	int r;

	if (saves->last_timestamp == UINT64_MAX)
		return failure(ret_message, UDS_ERR_OVERFLOW,
			       "no time stamp is later than that of the latest save");
	r = save_header_plan(super, victim_slot(saves), zones, &save, ret_message);
	if (r < 0)
		return r;
	if (now_ms > SAVE_CLOCK_MAX)
		now_ms = SAVE_CLOCK_MAX;
	/* By the clock alone, a step back would make the older save the one that is loaded. */
	save.timestamp = now_ms > saves->last_timestamp ? now_ms : saves->last_timestamp + 1;
	save.nonce = save_header_nonce(super, &save);
	*ret_save = save;
	return 0;
}

int saves_begin(struct saves *saves, struct uds_io *io, const struct super_block *super,
		unsigned int zones, uint64_t now_ms, struct uds_message *ret_message,
		struct save *ret_save)
{
	struct save save = { .slot = 0 };
	uint8_t *block;
	int r;

	r = saves_plan(saves, super, zones, now_ms, ret_message, &save);
	if (r < 0)
		return r;
	block = io_allocate_buffer(io, &io->env, BLOCK_BYTES);
	if (block == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	/*
	 * From here to the commit the slot holds no save; a failure in between leaves the other
	 * one, and the volume (15.3).
	 */
	r = write_unsaved(saves, io, super, save.slot, block, ret_message);
	env_release(&io->env, block);
	if (r < 0)
		return r;
	*ret_save = save;
	return 0;
}

/*
 * A damaged header may be what is left of the latest save. Until the new save counts, that one is
 * asked for its records; from then on they may be older than those of the new one, and nothing
 * else would tell.
 */
static int mark_damaged(const struct saves *saves, struct uds_io *io,
			const struct super_block *super, uint64_t later, uint8_t *block,
			struct uds_message *ret_message)
{
	int r = 0;

	save_header_encode_mark(super, later, block);
	for (unsigned int i = 0; r == 0 && i < SAVE_SLOTS; i++) {
		if (saves->slots[i].state == SLOT_DAMAGED)
			r = save_write_block(io, block, super_block_save_at(super, i) * BLOCK_BYTES,
					     "mark in place of its header", i, ret_message);
	}
	return r;
}

int saves_commit(struct saves *saves, struct uds_io *io, const struct super_block *super,
		 const struct save *save, bool left_behind, struct uds_message *ret_message)
{
	struct save_slot *slot = &saves->slots[save->slot];
	uint8_t *block;
	int r = 0;

	block = io_allocate_buffer(io, &io->env, BLOCK_BYTES);
	if (block == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	/* Before the header: there must be no moment at which it can be loaded. */
	if (left_behind)
		r = save_wipe(io, save, block, ret_message);
	if (r == 0)
		r = mark_damaged(saves, io, super, save->timestamp, block, ret_message);
	if (r < 0) {
		env_release(&io->env, block);
		return r;
	}
	slot->save = *save;
	slot->save.last_save = save_header_last(save);
	slot->wiped = left_behind;
	slot->outdated = false;
	slot->abandoned = false;
	slot->precious = false;
	/*
	 * Also when the write fails below: it may have reached the device, and the next one must be
	 * later.
	 */
	saves->last_timestamp = save->timestamp;
	r = write_header(saves, io, super, save->slot, &slot->save, block, ret_message);
	if (r == 0)
		slot->state = SLOT_VALID;
	slot->checksum = save_header_checksum(super, &slot->save, block);
	/* Only now that the new save counts. */
	for (unsigned int i = 0; r == 0 && i < SAVE_SLOTS; i++) {
		saves->slots[i].precious = false;
		if (saves->slots[i].state == SLOT_DAMAGED)
			r = write_unsaved(saves, io, super, i, block, ret_message);
	}
	env_release(&io->env, block);
	/* The header of the new save is valid, so a failure to tidy the other slot leaves it so. */
	if (r < 0 && slot->state != SLOT_VALID) {
		slot->state = SLOT_UNKNOWN;
		slot->status = r;
		return failure(&slot->why, r, "save %u header could not be written: %s", save->slot,
			       uds_strerror(r));
	}
	return r;
}

/*
 * Whether the slot of the open chapter holds one that the save's volume index may name. Only that
 * of a converted volume reaches so far back: by as many chapters as there are slots, or one less.
 */
static bool uses_open_slot(const struct save *save, const struct geometry *geometry)
{
	uint32_t slot = geometry_physical_chapter(geometry, save->newest);
	uint64_t back = geometry->chapters_per_volume;

	for (uint64_t n = back - 1; geometry->reduced && n <= back && n <= save->newest; n++) {
		uint64_t vcn = save->newest - n;

		if (vcn >= save->lowest && geometry_physical_chapter(geometry, vcn) == slot)
			return true;
	}
	return false;
}

bool saves_outlast_chapter(const struct saves *saves, const struct geometry *geometry, uint64_t vcn)
{
	const struct save_slot *latest = saves_find_latest(saves);

	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		const struct save_slot *slot = &saves->slots[i];

		/* A slot without a save, or with a damaged one, is never loaded. */
		if (slot->state != SLOT_VALID && slot->state != SLOT_UNKNOWN)
			continue;
		/* An older one is never loaded while the latest is there. */
		if (latest != NULL && slot->save.timestamp < latest->save.timestamp)
			continue;
		if (slot->outdated || slot->abandoned || slot->save.newest != vcn ||
		    (!slot->wiped && uses_open_slot(&slot->save, geometry)))
			return false;
	}
	return true;
}

int saves_invalidate(struct saves *saves, struct uds_io *io, const struct super_block *super,
		     struct uds_message *ret_message)
{
	const struct save_slot *latest = saves_find_latest(saves);
	uint8_t *block;
	int r = 0;

	block = io_allocate_buffer(io, &io->env, BLOCK_BYTES);
	if (block == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	/*
	 * While the save is there that a mark speaks of: without it, the records would be
	 * asked for again.
	 */
	for (unsigned int i = 0; i < SAVE_SLOTS && r == 0; i++) {
		if (saves->slots[i].state == SLOT_UNSAVED && saves->slots[i].older_than > 0)
			r = write_unsaved(saves, io, super, i, block, ret_message);
	}
	/*
	 * A header that could not be read may be that of the latest save, and be readable next
	 * time.
	 */
	for (unsigned int i = 0; i < SAVE_SLOTS && r == 0; i++) {
		if (saves->slots[i].state == SLOT_UNKNOWN || saves->slots[i].abandoned)
			r = write_unsaved(saves, io, super, i, block, ret_message);
	}
	if (r == 0 && latest != NULL && latest->state == SLOT_VALID && !latest->wiped) {
		r = save_wipe(io, &latest->save, block, ret_message);
		if (r == 0)
			saves->slots[latest->save.slot].wiped = true;
	}
	env_release(&io->env, block);
	return r;
}
