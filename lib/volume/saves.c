/* SPDX-License-Identifier: BSD-2-Clause */
/* Choosing, writing and invalidating saves. Their headers as bytes are in save_header.c. */
#include "volume/saves.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "volume/save_header.h"

/* What any device writes whole, or not at all. */
#define SMALLEST_SECTOR_BYTES 512

void saves_read(struct uds_io *io, const struct super_block *super, uint8_t *block,
		struct saves *ret_saves)
{
	struct saves saves = { 0 };
	int r;

	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		struct save_slot *slot = &saves.slots[i];
		uint64_t at = super_block_save_at(super, i) * BLOCK_BYTES;

		r = io_read(io, block, BLOCK_BYTES, at, &slot->why);
		if (r < 0) {
			slot->state = SLOT_UNKNOWN;
			failure_in(&slot->why, r, "save %u header", i);
			continue;
		}
		r = save_header_decode(block, super, i, &slot->save, &slot->why);
		if (r < 0)
			slot->state = SLOT_DAMAGED;
		else
			slot->state = r == 0 ? SLOT_UNSAVED : SLOT_VALID;
		if (slot->state == SLOT_VALID && slot->save.timestamp > saves.last_timestamp)
			saves.last_timestamp = slot->save.timestamp;
	}
	*ret_saves = saves;
}

/* The valid slot with the greatest time stamp; the first one of equals. NULL: none is valid. */
static const struct save_slot *latest_slot(const struct saves *saves)
{
	const struct save_slot *latest = NULL;

	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		const struct save_slot *slot = &saves->slots[i];

		if (slot->state != SLOT_VALID)
			continue;
		if (latest == NULL || slot->save.timestamp > latest->save.timestamp)
			latest = slot;
	}
	return latest;
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

int saves_latest(const struct saves *saves, const struct geometry *geometry,
		 struct uds_message *ret_message, const struct save **ret_save)
{
	const struct save_slot *latest = latest_slot(saves);
	int r;

	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		if (saves->slots[i].state == SLOT_UNKNOWN)
			return failure(ret_message, UDS_ERR_NEEDS_RECOVERY,
				       "the latest save is not known: %.400s",
				       saves->slots[i].why.text);
	}
	if (latest == NULL)
		return no_valid_save(saves, ret_message);
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

/* Writes one block durably. */
static int write_block(struct uds_io *io, const uint8_t *block, uint64_t at, const char *what,
		       unsigned int slot, struct uds_message *ret_message)
{
	int r;

	r = io_write(io, block, BLOCK_BYTES, at, ret_message);
	if (r == 0)
		r = io_flush(io, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "save %u: %s", slot, what);
	return 0;
}

/* After this the slot holds no save, whatever was there. */
static int write_unsaved(struct saves *saves, struct uds_io *io, const struct super_block *super,
			 unsigned int i, uint8_t *block, struct uds_message *ret_message)
{
	struct save_slot *slot = &saves->slots[i];
	int r;

	save_header_encode_unsaved(super, i, block);
	r = write_block(io, block, super_block_save_at(super, i) * BLOCK_BYTES, "header", i,
			ret_message);
	if (r < 0) {
		slot->state = SLOT_UNKNOWN;
		failure(&slot->why, r, "save %u header could not be written: %s", i,
			uds_strerror(r));
		return r;
	}
	slot->state = SLOT_UNSAVED;
	slot->wiped = false;
	return 0;
}

/* The slot to overwrite: that with the smallest time stamp, where no valid save counts as 0. */
static unsigned int victim_slot(const struct saves *saves)
{
	uint64_t least = UINT64_MAX;
	unsigned int victim = 0;

	for (unsigned int i = SAVE_SLOTS; i-- > 0;) {
		const struct save_slot *slot = &saves->slots[i];
		uint64_t timestamp = slot->state == SLOT_VALID ? slot->save.timestamp : 0;

		if (timestamp <= least) {
			least = timestamp;
			victim = i;
		}
	}
	return victim;
}

int saves_begin(struct saves *saves, struct uds_io *io, const struct super_block *super,
		unsigned int zones, uint64_t now_ms, struct uds_message *ret_message,
		struct save *ret_save)
{
	struct save save;
	uint8_t *block;
	int r;

	if (saves->last_timestamp == UINT64_MAX)
		return failure(ret_message, UDS_ERR_OVERFLOW,
			       "no time stamp is later than that of the latest save");
	r = save_header_plan(super, victim_slot(saves), zones, &save, ret_message);
	if (r < 0)
		return r;
	/* By the clock alone, a step back would make the older save the one that is loaded. */
	save.timestamp = now_ms > saves->last_timestamp ? now_ms : saves->last_timestamp + 1;
	save.nonce = save_header_nonce(super, &save);
	block = io_allocate_buffer(io, &io->env, BLOCK_BYTES);
	if (block == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	r = write_unsaved(saves, io, super, save.slot, block, ret_message);
	env_release(&io->env, block);
	if (r < 0)
		return r;
	*ret_save = save;
	return 0;
}

int saves_commit(struct saves *saves, struct uds_io *io, const struct super_block *super,
		 const struct save *save, struct uds_message *ret_message)
{
	struct save_slot *slot = &saves->slots[save->slot];
	uint8_t *block;
	int r;

	block = io_allocate_buffer(io, &io->env, BLOCK_BYTES);
	if (block == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	slot->save = *save;
	slot->save.last_save = save->newest == 0 ? NO_CHAPTER : save->newest - 1;
	slot->wiped = false;
	slot->outdated = false;
	saves->last_timestamp = save->timestamp;
	save_header_encode(super, &slot->save, block);
	r = write_block(io, block, super_block_save_at(super, save->slot) * BLOCK_BYTES, "header",
			save->slot, ret_message);
	env_release(&io->env, block);
	if (r < 0) {
		slot->state = SLOT_UNKNOWN;
		return failure(&slot->why, r, "save %u header could not be written: %s", save->slot,
			       uds_strerror(r));
	}
	slot->state = SLOT_VALID;
	return 0;
}

/*
 * Zeroes the first block of a saved open chapter, in two steps: a power cut may tear the write of a
 * block at a sector, and zeroes among the records behind a magic that is still there would be
 * loaded. So the sector with the magic goes first, while the others keep what they have.
 */
static int wipe_open_chapter(struct uds_io *io, const struct save *save, uint8_t *block,
			     struct uds_message *ret_message)
{
	static const char what[] = "invalidating its open chapter";
	uint64_t at = save->open_chapter.offset;
	int r = 0;

	/* What cannot be read cannot be loaded, whichever of its sectors are zero. */
	if (uds_io_read(io, block, BLOCK_BYTES, at) == 0) {
		memset(block, 0, SMALLEST_SECTOR_BYTES);
		r = write_block(io, block, at, what, save->slot, ret_message);
	}
	if (r < 0)
		return r;
	memset(block, 0, BLOCK_BYTES);
	return write_block(io, block, at, what, save->slot, ret_message);
}

int saves_invalidate(struct saves *saves, struct uds_io *io, const struct super_block *super,
		     struct uds_message *ret_message)
{
	const struct save_slot *latest = latest_slot(saves);
	uint8_t *block;
	int r = 0;

	block = io_allocate_buffer(io, &io->env, BLOCK_BYTES);
	if (block == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	for (unsigned int i = 0; i < SAVE_SLOTS && r == 0; i++) {
		if (saves->slots[i].state == SLOT_UNKNOWN)
			r = write_unsaved(saves, io, super, i, block, ret_message);
	}
	if (r == 0 && latest != NULL && !latest->wiped) {
		r = wipe_open_chapter(io, &latest->save, block, ret_message);
		if (r == 0)
			saves->slots[latest->save.slot].wiped = true;
	}
	env_release(&io->env, block);
	return r;
}
