/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing the layout of a new index. */
#include <errno.h>
#include <inttypes.h>

#include "base/env.h"
#include "base/message.h"
#include "volume/config_block.h"
#include "volume/layout.h"
#include "volume/save_header.h"

/* Whether the index fits behind @offset; grows the I/O when that is what is missing. */
static int make_room(struct uds_io *io, uint64_t offset, uint64_t size_limit, uint64_t needed,
		     struct uds_message *ret_message)
{
	uint64_t bytes = 0;
	int r;

	/*
	 * A limit protects what lies behind the index on the same device: checked before the
	 * device's own size, and never exceeded by growing.
	 */
	if (size_limit != 0 && size_limit < needed)
		return failure(ret_message, UDS_ERR_NO_ROOM,
			       "the index needs %" PRIu64 " bytes, the size limit allows %" PRIu64,
			       needed, size_limit);
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
	if (r == -EOPNOTSUPP)
		return failure(ret_message, UDS_ERR_NO_ROOM,
			       "the index needs %" PRIu64 " bytes, there are %" PRIu64
			       " behind offset %" PRIu64,
			       needed, bytes > offset ? bytes - offset : 0, offset);
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

static int write_all(struct uds_io *io, const struct super_block *super,
		     const struct uds_configuration *configuration, uint8_t *block,
		     struct uds_message *ret_message)
{
	int r = 0;

	/*
	 * A device that had an index before may still have saves here. The volume needs no such care: its
	 * chapters have another nonce (15.1).
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
	/* Only a whole index gets the block that makes it one. */
	if (r == 0)
		r = flush(io, ret_message);
	if (r == 0) {
		super_block_encode(super, block);
		r = write_block(io, block, super->first, "super block", ret_message);
	}
	if (r == 0)
		r = flush(io, ret_message);
	return r;
}

static int create(struct uds_io *io, const struct uds_env *env, uint64_t offset,
		  uint64_t size_limit, const struct uds_configuration *configuration,
		  const uint8_t *nonce_data, struct uds_message *ret_message)
{
	uint8_t made[NONCE_DATA_BYTES];
	struct geometry_sizes sizes;
	struct geometry geometry;
	struct super_block super;
	uint8_t *block;
	int r;

	r = geometry_make(configuration, &geometry, ret_message);
	if (r < 0)
		return r;
	/* They describe what a conversion moved (11.3); in a new index nothing was. */
	if (geometry.remapped_virtual != 0 || geometry.remapped_physical != 0)
		return failure(ret_message, -EINVAL,
			       "remapped_virtual and remapped_physical: expected 0 in a new index, "
			       "found %" PRIu64 " and %" PRIu64,
			       geometry.remapped_virtual, geometry.remapped_physical);
	/* Bounded so that no sum of block numbers below can overflow. */
	if (offset % BLOCK_BYTES != 0 || offset / BLOCK_BYTES > MAX_BLOCKS)
		return failure(ret_message, -EINVAL,
			       "offset: expected a multiple of %u bytes, found %" PRIu64,
			       BLOCK_BYTES, offset);
	if (uds_io_block_bytes(io) > BLOCK_BYTES)
		return failure(ret_message, UDS_ERR_UNALIGNED,
			       "blocks of %" PRIu32 " bytes: the index is laid out in blocks of %u",
			       uds_io_block_bytes(io), BLOCK_BYTES);
	if (uds_io_is_read_only(io))
		return failure(ret_message, UDS_ERR_READ_ONLY, "%s",
			       uds_strerror(UDS_ERR_READ_ONLY));
	/*
	 * What makes all nonces unique: pages of an earlier index at the same place are told by it
	 * (14.5).
	 */
	if (nonce_data == NULL) {
		r = nonce_data_make(env_now_ms(env), made);
		if (r < 0)
			return failure(ret_message, r, "random bytes for the nonce: %s",
				       uds_strerror(r));
		nonce_data = made;
	}
	geometry_sizes(&geometry, &sizes);
	super_block_make(&sizes, offset / BLOCK_BYTES, nonce_data, &super);
	block = io_allocate_buffer(io, env, BLOCK_BYTES);
	if (block == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	/* The first thing that changes the device; everything above only refuses. */
	r = make_room(io, offset, size_limit, sizes.total_blocks * BLOCK_BYTES, ret_message);
	if (r == 0)
		r = write_all(io, &super, configuration, block, ret_message);
	env_release(env, block);
	return r;
}

int layout_create(struct uds_io *io, const struct uds_env *env, uint64_t offset,
		  uint64_t size_limit, const struct uds_configuration *configuration,
		  const uint8_t *nonce_data, struct uds_message *ret_message)
{
	int r = create(io, env, offset, size_limit, configuration, nonce_data, ret_message);

	return r < 0 ? failure_in(ret_message, r, "%s", uds_io_name(io)) : 0;
}
