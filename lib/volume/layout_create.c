/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing the layout of a new index. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/message.h"
#include "vdo/geometry_block.h"
#include "volume/config_block.h"
#include "volume/layout.h"
#include "volume/save_header.h"

/*
 * How much of the extras is written at once, and between two reports: of zeroes a device often has
 * more at once.
 */
#define FILL_BYTES (UINT64_C(1) << 20)
#define ZERO_BYTES (UINT64_C(1) << 26)

/* What an index is to take. */
struct room {
	uint64_t index; /* bytes */
	uint64_t extras;
};

/* What is reported of writing the extras. */
struct progress {
	const struct layout_options *options; /* NULL: nothing is */
	uint64_t done, total;		      /* bytes */
};

static int report(struct progress *progress, uint64_t bytes, struct uds_message *ret_message)
{
	const struct layout_options *options = progress->options;

	progress->done += bytes;
	if (options == NULL || options->progress == NULL ||
	    options->progress(options->progress_context, progress->done, progress->total) == 0)
		return 0;
	return failure(ret_message, UDS_ERR_STOPPED, "extras: %s", uds_strerror(UDS_ERR_STOPPED));
}

/* There are no more than @bytes; @what says so. */
static int no_room(const struct room *room, uint64_t bytes, const char *what,
		   struct uds_message *ret_message)
{
	uint64_t needed = room->index + room->extras;

	if (room->extras == 0 || bytes < room->index)
		return failure(ret_message, UDS_ERR_NO_ROOM,
			       "the index needs %" PRIu64 " bytes, %s", room->index, what);
	return failure(ret_message, UDS_ERR_NO_ROOM,
		       "the index with its extras needs %" PRIu64 " bytes, %s: %" PRIu64
		       " are missing; without extras (no_extras, --no-extras) it fits",
		       needed, what, needed - bytes);
}

/* Whether the index fits behind @offset; grows the I/O when that is what is missing. */
static int make_room(struct uds_io *io, uint64_t offset, uint64_t size_limit,
		     const struct room *room, struct uds_message *ret_message)
{
	uint64_t bytes = 0, needed = room->index + room->extras;
	char what[80];
	int r;

	/*
	 * A limit protects what lies behind the index on the same device: checked before the
	 * device's own size, and never exceeded by growing.
	 */
	if (size_limit != 0 && size_limit < needed) {
		snprintf(what, sizeof(what), "the size limit allows %" PRIu64, size_limit);
		return no_room(room, size_limit, what, ret_message);
	}
	r = uds_io_size(io, &bytes);
	if (r < 0)
		return failure(ret_message, r, "asking for its size: %s", uds_strerror(r));
	/* What counts is what lies behind the offset, not the whole device. */
	if (bytes >= offset && bytes - offset >= needed)
		return 0;
	r = uds_io_resize(io, offset + needed);
	/*
	 * A block device or a fixed buffer cannot grow: that is no failure of the call, but no
	 * room.
	 */
	if (r == -EOPNOTSUPP) {
		bytes = bytes > offset ? bytes - offset : 0;
		snprintf(what, sizeof(what), "there are %" PRIu64 " behind offset %" PRIu64, bytes,
			 offset);
		return no_room(room, bytes, what, ret_message);
	}
	if (r < 0)
		return failure(ret_message, r, "growing to %" PRIu64 " bytes: %s", offset + needed,
			       uds_strerror(r));
	return 0;
}

static int write_block(struct uds_io *io, const uint8_t *block, uint64_t at, const char *what,
		       struct uds_message *ret_message)
{
	int r = uds_io_write(io, block, BLOCK_BYTES, at * BLOCK_BYTES);

	if (r < 0)
		return failure(ret_message, r, "%s: writing block %" PRIu64 ": %s", what, at,
			       uds_strerror(r));
	return 0;
}

static int flush(struct uds_io *io, struct uds_message *ret_message)
{
	int r = uds_io_flush(io);

	return r < 0 ? failure(ret_message, r, "flushing: %s", uds_strerror(r)) : 0;
}

/*
 * The journal, with zeroes that are written: where it has a hole, or blocks that were only set
 * aside, each flush of the first lap would wait for the file system to note that they are used now.
 */
static int fill_journal(struct uds_io *io, const struct extras_area *area,
			struct progress *progress, struct uds_message *ret_message)
{
	uint64_t at = area->start + area->journal * BLOCK_BYTES, n;
	uint64_t end = at + area->journal_blocks * BLOCK_BYTES;
	uint64_t most = end - at < FILL_BYTES ? end - at : FILL_BYTES;
	uint8_t *zeroes;
	int r = 0;

	if (most == 0)
		return 0;
	zeroes = io_allocate_buffer(io, &io->env, most);
	if (zeroes == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	memset(zeroes, 0, (size_t)most);
	for (; r == 0 && at < end; at += n) {
		n = io_run_part(io, at, end - at, most);
		r = io_write(io, zeroes, (size_t)n, at, ret_message);
		if (r < 0)
			failure_in(ret_message, r, "extras: journal");
		else
			r = report(progress, n, ret_message);
	}
	env_release(&io->env, zeroes);
	return r;
}

static int clear_extras(struct uds_io *io, uint64_t at, uint64_t length, struct progress *progress,
			struct uds_message *ret_message)
{
	int r = 0;

	for (uint64_t n; r == 0 && length > 0; at += n, length -= n) {
		n = io_run_part(io, at, length, ZERO_BYTES);
		r = io_write_zeroes(io, at, n);
		if (r < 0)
			return failure(ret_message, r, "extras: writing zeroes: %s",
				       uds_strerror(r));
		r = report(progress, n, ret_message);
	}
	return r;
}

/*
 * The area, before the super block makes an index of what lies in front of it. What was there may
 * be a header that is newer, and checksum blocks of an area with the same id; the latter only if
 * the caller chose the nonces, from which the id is made.
 */
static int write_extras(struct uds_io *io, const struct super_block *super, bool clear,
			const struct layout_options *options, struct extras_area *area,
			struct uds_message *ret_message)
{
	uint64_t length = (clear ? area->blocks : EXTRAS_FIRST_BLOCKS) * BLOCK_BYTES;
	struct progress progress = { .options = options };
	uint8_t *blocks;
	int r;

	progress.total = length + area->journal_blocks * BLOCK_BYTES;
	r = clear_extras(io, area->start, length, &progress, ret_message);
	if (r == 0)
		r = fill_journal(io, area, &progress, ret_message);
	if (r < 0)
		return r;
	blocks = io_allocate_buffer(io, &io->env, (uint64_t)SAVE_SLOTS * BLOCK_BYTES);
	if (blocks == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	for (unsigned int slot = 0; slot < SAVE_SLOTS; slot++)
		save_header_encode_unsaved(super, slot, blocks + (size_t)slot * BLOCK_BYTES);
	r = extras_write(io, area, 0, blocks, ret_message);
	env_release(&io->env, blocks);
	return r;
}

int layout_renew_extras(struct layout *layout, struct uds_io *io, const struct uds_env *env,
			struct uds_message *ret_message)
{
	uint64_t start = layout->extras.start, bytes = 0;
	uint64_t first_bytes = (uint64_t)EXTRAS_FIRST_BLOCKS * BLOCK_BYTES;
	uint8_t nonce_data[NONCE_DATA_BYTES] = { 0 };
	struct extras_area area;
	int r;

	r = uds_io_size(io, &bytes);
	if (r == 0)
		r = nonce_data_make(env_now_ms(env), nonce_data);
	if (r < 0)
		return failure(ret_message, r, "extras: %s", uds_strerror(r));
	extras_make(&layout->geometry, start, layout->super.volume_nonce,
		    get_le64(nonce_data + NONCE_DATA_BYTES - 8), &area);
	area.present = bytes >= start && bytes - start >= area.blocks * BLOCK_BYTES;
	if (area.present) {
		r = write_extras(io, &layout->super, true, NULL, &area, ret_message);
	} else {
		/*
		 * Only what the end of the I/O leaves of the headers, which must not
		 * be found again.
		 */
		r = io_write_zeroes(io, start,
				    first_bytes < bytes - start ? first_bytes : bytes - start);
		if (r < 0)
			failure(ret_message, r, "extras: writing zeroes: %s", uds_strerror(r));
		else
			r = io_flush(io, ret_message);
	}
	if (r == 0)
		layout->extras = area;
	return r;
}

/* @extras: NULL: none. */
static int write_all(struct uds_io *io, const struct super_block *super,
		     const struct uds_configuration *configuration,
		     const struct layout_options *options, struct extras_area *extras,
		     uint8_t *block, struct uds_message *ret_message)
{
	int r = 0;

	/*
	 * A device that had an index before may still have saves here. The volume needs no such
	 * care: its chapters have another nonce (15.1).
	 */
	for (unsigned int slot = 0; slot < SAVE_SLOTS && r == 0; slot++) {
		save_header_encode_unsaved(super, slot, block);
		r = write_block(io, block, super_block_save_at(super, slot), "save header",
				ret_message);
	}
	if (r == 0) {
		config_block_encode(configuration, CONFIG_VERSION_PLAIN, block);
		r = write_block(io, block, super_block_config_at(super), "config block",
				ret_message);
	}
	if (r == 0 && extras != NULL)
		r = write_extras(io, super, options->nonce_data != NULL, options, extras,
				 ret_message);
	/* Only a whole index gets the block that makes it one. */
	if (r == 0)
		r = flush(io, ret_message);
	if (r == 0) {
		super_block_encode(super, block);
		r = write_block(io, block, super->first - super->front, "super block", ret_message);
	}
	if (r == 0)
		r = flush(io, ret_message);
	return r;
}

/* What cannot be made into an index, or not here. */
static int check_place(struct uds_io *io, uint64_t offset, const struct geometry *geometry,
		       struct uds_message *ret_message)
{
	uint64_t start = uds_io_device_offset(io); /* of a part of a device */

	/* They describe what a conversion moved (11.3); in a new index nothing was. */
	if (geometry->remapped_virtual != 0 || geometry->remapped_physical != 0)
		return failure(ret_message, -EINVAL,
			       "remapped_virtual and remapped_physical: expected 0 in a new index, "
			       "found %" PRIu64 " and %" PRIu64,
			       geometry->remapped_virtual, geometry->remapped_physical);
	if (offset % BLOCK_BYTES != 0)
		return failure(ret_message, -EINVAL,
			       "offset: expected a multiple of %u bytes, found %" PRIu64,
			       BLOCK_BYTES, offset);
	/* Bounded so that no sum of block numbers below can overflow. */
	start = start > offset ? start : offset;
	if (start / BLOCK_BYTES > MAX_BLOCKS)
		return failure(ret_message, -EINVAL,
			       "offset: expected at most %" PRIu64 ", found %" PRIu64,
			       MAX_BLOCKS * BLOCK_BYTES, start);
	if (uds_io_block_bytes(io) > BLOCK_BYTES)
		return failure(ret_message, UDS_ERR_UNALIGNED,
			       "blocks of %" PRIu32 " bytes: the index is laid out in blocks of %u",
			       uds_io_block_bytes(io), BLOCK_BYTES);
	if (uds_io_is_read_only(io))
		return failure(ret_message, UDS_ERR_READ_ONLY, "%s",
			       uds_strerror(UDS_ERR_READ_ONLY));
	return 0;
}

/*
 * Whether the index is to be one of a VDO volume, which has its data behind it. Returns 1, 0
 * or an error.
 */
static int is_in_vdo(struct uds_io *io, uint64_t offset, uint8_t *block,
		     struct uds_message *ret_message)
{
	uint64_t bytes = 0;
	int r;

	if (offset == 0)
		return 0;
	r = uds_io_size(io, &bytes);
	if (r < 0)
		return failure(ret_message, r, "asking for its size: %s", uds_strerror(r));
	if (bytes < BLOCK_BYTES)
		return 0;
	r = io_read(io, block, BLOCK_BYTES, 0, ret_message);
	return r < 0 ? r : vdo_geometry_is_there(block);
}

/* @block: scratch. */
static int create_in(struct uds_io *io, const struct geometry *geometry,
		     const struct uds_configuration *configuration,
		     const struct layout_options *options, const struct super_block *super,
		     uint8_t *block, struct uds_message *ret_message)
{
	struct room room = { .index = super->total_blocks * BLOCK_BYTES };
	bool extras = options->extras;
	struct extras_area area;
	int r = 0;

	if (extras)
		r = is_in_vdo(io, options->offset, block, ret_message);
	if (r < 0)
		return r;
	extras = extras && r == 0;
	extras_make(geometry, options->offset + room.index, super->volume_nonce,
		    get_le64(super->nonce_data + NONCE_DATA_BYTES - 8), &area);
	room.extras = extras ? area.blocks * BLOCK_BYTES : 0;
	r = make_room(io, options->offset, options->size_limit, &room, ret_message);
	if (r == 0)
		r = write_all(io, super, configuration, options, extras ? &area : NULL, block,
			      ret_message);
	return r;
}

static int create(struct uds_io *io, const struct uds_env *env,
		  const struct uds_configuration *configuration,
		  const struct layout_options *options, struct uds_message *ret_message)
{
	const uint8_t *nonce_data = options->nonce_data;
	uint8_t made[NONCE_DATA_BYTES];
	struct geometry_sizes sizes;
	struct geometry geometry;
	struct super_block super;
	uint64_t front;
	uint8_t *block;
	int r;

	r = geometry_make(configuration, &geometry, ret_message);
	if (r == 0)
		r = check_place(io, options->offset, &geometry, ret_message);
	if (r < 0)
		return r;
	/*
	 * What makes all nonces unique: pages of an earlier index at the same place are
	 * distinguished by it (14.5).
	 */
	r = nonce_data == NULL ? nonce_data_make(env_now_ms(env), made) : 0;
	if (r < 0)
		return failure(ret_message, r, "random bytes for the nonce: %s", uds_strerror(r));
	geometry_sizes(&geometry, &sizes);
	front = uds_io_device_offset(io) / BLOCK_BYTES;
	super_block_make(&sizes, front + options->offset / BLOCK_BYTES,
			 nonce_data != NULL ? nonce_data : made, &super);
	super.front = front;
	block = io_allocate_buffer(io, env, BLOCK_BYTES);
	if (block == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	/* The first thing that changes the device; everything above only refuses. */
	r = create_in(io, &geometry, configuration, options, &super, block, ret_message);
	env_release(env, block);
	return r;
}

int layout_create(struct uds_io *io, const struct uds_env *env,
		  const struct uds_configuration *configuration,
		  const struct layout_options *options, struct uds_message *ret_message)
{
	int r = create(io, env, configuration, options, ret_message);

	return r < 0 ? failure_in(ret_message, r, "%s", uds_io_name(io)) : 0;
}
