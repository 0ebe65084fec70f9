/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a layout with all its checks. Creating one is in layout_create.c. */
#include "volume/layout.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "chapter/index_page.h"
#include "vdo/geometry_block.h"
#include "volume/config_block.h"
#include "volume/whole_chapter.h"

/*
 * The super block has the place of the index on its device. An I/O that is a part of one is told
 * apart from a file of its own by the place that is right.
 */
static int decode_super_block(const uint8_t *block, uint64_t at, uint64_t front,
			      struct super_block *ret_super, struct uds_message *ret_message)
{
	int r = super_block_decode(block, at + front, ret_super, ret_message);

	if (r == 0)
		ret_super->front = front;
	else if (front > 0 && super_block_decode(block, at, ret_super, NULL) == 0)
		r = 0;
	return r;
}

static int read_super_block(struct uds_io *io, uint64_t at, uint64_t device_blocks, uint8_t *block,
			    struct super_block *ret_super, struct uds_message *ret_message)
{
	int r;

	if (at >= device_blocks)
		return failure(ret_message, UDS_ERR_NOT_AN_INDEX,
			       "not a UDS index: super block: expected at block %" PRIu64
			       ", but there are only %" PRIu64 " whole blocks",
			       at, device_blocks);
	r = uds_io_read(io, block, BLOCK_BYTES, at * BLOCK_BYTES);
	if (r < 0)
		return failure(ret_message, r, "super block: reading block %" PRIu64 ": %s", at,
			       uds_strerror(r));
	/*
	 * A VDO volume begins with a geometry block of its own, and says there where its index
	 * lies: users give the whole device for it.
	 */
	r = decode_super_block(block, at, uds_io_device_offset(io) / BLOCK_BYTES, ret_super,
			       ret_message);
	if (r == UDS_ERR_NOT_AN_INDEX && vdo_geometry_is_there(block))
		return vdo_name_index(block, at, ret_message);
	if (r == UDS_ERR_NOT_AN_INDEX)
		return failure_in(ret_message, r, "not a UDS index: super block");
	if (r < 0)
		return failure_in(ret_message, r, "super block");
	/* The seal behind the saves is never written, so a file may well end before it. */
	if (super_block_end(ret_super) > device_blocks)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "the index needs the device up to block %" PRIu64
			       ", but it ends at block %" PRIu64,
			       super_block_end(ret_super), device_blocks);
	return 0;
}

int layout_read_super_block(struct uds_io *io, uint64_t offset, uint8_t *block,
			    struct super_block *ret_super, struct uds_message *ret_message)
{
	uint64_t bytes = 0;
	int r = uds_io_size(io, &bytes);

	if (r < 0)
		return failure(ret_message, r, "asking for its size: %s", uds_strerror(r));
	return read_super_block(io, offset / BLOCK_BYTES, bytes / BLOCK_BYTES, block, ret_super,
				ret_message);
}

static int read_config(struct uds_io *io, uint8_t *block, struct layout *layout,
		       struct uds_message *ret_message)
{
	uint64_t at = super_block_config_at(&layout->super);
	int r;

	r = uds_io_read(io, block, BLOCK_BYTES, at * BLOCK_BYTES);
	if (r < 0)
		return failure(ret_message, r, "config block: reading block %" PRIu64 ": %s", at,
			       uds_strerror(r));
	r = config_block_decode(block, &layout->config_version, &layout->configuration,
				ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "config block");
	r = geometry_make(&layout->configuration, &layout->geometry, ret_message);
	if (r == -EINVAL)
		r = UDS_ERR_CORRUPT; /* the caller did not choose these values: they were read */
	if (r < 0)
		return failure_in(ret_message, r, "config block");
	return 0;
}

/*
 * The lengths of the regions must be those that the config block asks for. One damaged field there
 * would else put chapters, and the next save, into wrong places. A conversion leaves the saves as
 * they were, somewhat larger than what its geometry asks for.
 */
static int check_lengths(const struct layout *layout, struct uds_message *ret_message)
{
	const struct super_block *super = &layout->super;
	const struct geometry *geometry = &layout->geometry;
	bool converted = super->version == SUPER_VERSION_CONVERTED;
	uint64_t chapter_blocks =
		(uint64_t)geometry->pages_per_chapter * geometry->page_bytes / BLOCK_BYTES;
	struct geometry_sizes sizes;

	geometry_sizes(geometry, &sizes);

	const struct {
		const char *what;
		uint64_t needed, found;
		bool may_be_more;
	} lengths[] = {
		{ "volume region", sizes.volume_blocks, super->volume_blocks, false },
		{ "page map", sizes.page_map_blocks, super->page_map_blocks, converted },
		{ "open chapter", sizes.open_chapter_blocks, super->open_chapter_blocks,
		  converted },
		{ "save region", sizes.save_blocks, super->save_blocks, converted },
		{ "volume offset", converted ? chapter_blocks : 0, super->volume_offset, false },
	};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		/* Larger is wrong too: unexpected blocks shift all that follows. */
		if (lengths[i].found < lengths[i].needed ||
		    (lengths[i].found > lengths[i].needed && !lengths[i].may_be_more))
			return failure(ret_message, UDS_ERR_CORRUPT,
				       "super block: %s: blocks: expected %s%" PRIu64
				       ", which the config block asks for, found %" PRIu64,
				       lengths[i].what, lengths[i].may_be_more ? "at least " : "",
				       lengths[i].needed, lengths[i].found);
	}
	return 0;
}

/*
 * The chapter that a conversion moved was closed by then, or was the open one or the next. So it
 * cannot be newer than what the saves know of.
 */
static int check_remapped(const struct layout *layout, struct uds_message *ret_message)
{
	uint64_t limit = 0;

	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		const struct save_slot *slot = &layout->saves.slots[i];

		if (slot->state == SLOT_VALID && slot->save.newest >= limit)
			limit = slot->save.newest + 1;
	}
	/*
	 * No save tells, or one has a number that no index reaches: then any number that can be is
	 * taken.
	 */
	if (limit == 0 || limit > CHAPTER_LIMIT)
		limit = CHAPTER_LIMIT;
	if (layout->configuration.remapped_virtual > limit)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "config block: remapped virtual chapter: expected at most %" PRIu64
			       ", found %" PRIu64,
			       limit, layout->configuration.remapped_virtual);
	return 0;
}

/*
 * Whether the volume holds chapter @vcn: whole, or with the next one behind it, which was begun
 * only when this one was durable. Returns 1, 0, or an error.
 */
static int has_chapter(struct page_reader *reader, uint64_t vcn, struct uds_message *ret_message)
{
	uint32_t slot = geometry_physical_chapter(reader->geometry, vcn);
	uint64_t found = 0;
	int r;

	r = chapter_read_head(reader, slot, &found, ret_message);
	/*
	 * A newer chapter in the slot counts as well: the volume is even further on than the save.
	 */
	if (r == 0 && found >= vcn)
		r = chapter_read_whole(reader, slot, &found, ret_message);
	if (r == 0 && found >= vcn)
		return 1;
	if (r < 0 && r != UDS_ERR_CORRUPT)
		return r;
	/*
	 * Corrupt: empty, torn or foreign. The chapter may have been damaged later; the next one,
	 * begun only after this one was durable, is still proof that it was there.
	 */
	slot = geometry_physical_chapter(reader->geometry, vcn + 1);
	r = chapter_read_head(reader, slot, &found, ret_message);
	if (r < 0)
		return r == UDS_ERR_CORRUPT ? 0 : r;
	return found == vcn + 1;
}

/*
 * Finds out whether the volume has left the latest save behind: whether it holds the chapter
 * already that this save has open. That is so when the power failed between a chapter and the
 * invalidation of the save before it; and the reference does not care whether that worked
 * (uds-format, 20.2, R4).
 */
static int find_outdated_save(struct uds_io *io, struct layout *layout,
			      struct uds_message *ret_message)
{
	struct save_slot *slot = saves_latest_slot(&layout->saves);
	struct page_reader reader;
	int r;

	/*
	 * No save, nothing to find out. A number that no index reaches is refused when the save is
	 * to be loaded.
	 */
	if (slot == NULL || slot->save.newest >= CHAPTER_LIMIT)
		return 0;
	page_reader_init(&reader, io, &io->env, &layout->geometry, layout->super.volume_nonce,
			 layout_volume_offset(layout));
	r = has_chapter(&reader, slot->save.newest, &slot->why);
	if (r == -ENOMEM)
		return failure(ret_message, r, "%s", uds_strerror(r));
	/* Whether the volume has left it behind is not known, so the save is not to be trusted. */
	if (r < 0)
		saves_set_unreadable(slot, r);
	else
		slot->outdated = r == 1;
	return 0;
}

/*
 * Fills a layout that is zero. @bytes: the size of the I/O. @block: BLOCK_BYTES for what is read.
 */
static int read_parts(struct uds_io *io, uint64_t offset, uint64_t bytes, uint8_t *block,
		      struct layout *layout, struct uds_message *ret_message)
{
	int r;

	r = read_super_block(io, offset / BLOCK_BYTES, bytes / BLOCK_BYTES, block, &layout->super,
			     ret_message);
	if (r == 0)
		r = read_config(io, block, layout, ret_message);
	if (r == 0)
		r = check_lengths(layout, ret_message);
	if (r < 0)
		return r;
	/*
	 * Cannot fail: damaged and unreadable headers are states of their slots, since the other
	 * may be good (14.7).
	 */
	saves_read(io, &layout->super, block, &layout->saves);
	/* A conversion moves the index, and leaves whatever is behind it. */
	if (layout->super.version == SUPER_VERSION_PLAIN)
		extras_read(io, &layout->geometry, offset + layout_bytes(layout), bytes,
			    layout->super.volume_nonce, block, &layout->extras);
	r = check_remapped(layout, ret_message);
	return r < 0 ? r : find_outdated_save(io, layout, ret_message);
}

int layout_read(struct uds_io *io, uint64_t offset, struct uds_message *ret_message,
		struct layout *ret_layout)
{
	struct layout *layout;
	uint64_t bytes = 0;
	uint8_t *block;
	int r;

	if (offset % BLOCK_BYTES != 0)
		return failure(ret_message, -EINVAL,
			       "%s: offset: expected a multiple of %u bytes, found %" PRIu64,
			       uds_io_name(io), BLOCK_BYTES, offset);
	/*
	 * The parts of the layout are written in blocks of 4096 bytes; on a device with larger ones
	 * a write would have to take in the neighbours.
	 */
	if (uds_io_block_bytes(io) > BLOCK_BYTES)
		return failure(ret_message, UDS_ERR_UNALIGNED,
			       "%s: blocks of %" PRIu32
			       " bytes: the index is laid out in blocks of %u",
			       uds_io_name(io), uds_io_block_bytes(io), BLOCK_BYTES);
	r = uds_io_size(io, &bytes);
	if (r < 0)
		return failure(ret_message, r, "%s: asking for its size: %s", uds_io_name(io),
			       uds_strerror(r));
	/*
	 * Not on the stack: with the sentences of its saves it is too large for a thread with a
	 * small one.
	 */
	layout = env_allocate_zeroed(&io->env, 1, sizeof(*layout));
	block = io_allocate_buffer(io, &io->env, BLOCK_BYTES);
	r = layout == NULL || block == NULL ? -ENOMEM : 0;
	if (r < 0)
		failure(ret_message, r, "%s", uds_strerror(r));
	else
		r = read_parts(io, offset, bytes, block, layout, ret_message);
	if (r == 0)
		*ret_layout = *layout;
	env_release(&io->env, block);
	env_release(&io->env, layout);
	return r < 0 ? failure_in(ret_message, r, "%s", uds_io_name(io)) : 0;
}

bool layout_extras_know_saves(const struct layout *layout)
{
	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		const struct save_slot *slot = &layout->saves.slots[i];

		if (slot->state == SLOT_VALID &&
		    !extras_know_save(&layout->extras, i, slot->checksum))
			return false;
	}
	return true;
}

void layout_settle_intent(struct layout *layout)
{
	const struct extras_intent *intent = &layout->extras.intent;

	if (intent->slot < SAVE_SLOTS && layout->saves.slots[intent->slot].state == SLOT_VALID &&
	    layout->saves.slots[intent->slot].checksum == intent->checksum)
		extras_end_intent(&layout->extras);
}

uint64_t layout_save_journal(const struct layout *layout)
{
	const struct save_slot *latest = saves_find_latest(&layout->saves);

	if (latest == NULL ||
	    !extras_know_save(&layout->extras, latest->save.slot, latest->checksum))
		return 0;
	return extras_save_journal(&layout->extras, latest->save.slot, latest->checksum);
}

int layout_update_extras(struct layout *layout, struct uds_io *io, uint64_t open_chapter,
			 struct uds_message *ret_message)
{
	const struct super_block *super = &layout->super;
	uint8_t *blocks;
	int r = 0;

	if (!layout->extras.present)
		return 0;
	blocks = io_allocate_buffer(io, &io->env, (uint64_t)SAVE_SLOTS * BLOCK_BYTES);
	if (blocks == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	for (unsigned int i = 0; i < SAVE_SLOTS && r == 0; i++)
		r = io_read(io, blocks + (size_t)i * BLOCK_BYTES, BLOCK_BYTES,
			    super_block_save_at(super, i) * BLOCK_BYTES, ret_message);
	if (r == 0)
		r = extras_write(io, &layout->extras, open_chapter, blocks, ret_message);
	env_release(&io->env, blocks);
	return r;
}

int layout_check_nonce(const struct uds_io *io, const struct layout *layout, uint64_t nonce,
		       struct uds_message *ret_message)
{
	if (layout->configuration.nonce == nonce)
		return 0;
	return failure(ret_message, UDS_ERR_NONCE_MISMATCH,
		       "%s: config block: nonce: expected %" PRIu64 ", found %" PRIu64,
		       uds_io_name(io), nonce, layout->configuration.nonce);
}
