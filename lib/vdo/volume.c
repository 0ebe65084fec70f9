/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VDO volume on an I/O: its two blocks checked against each other and the device, and its index.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <uds/vdo.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "io/io.h"
#include "vdo/geometry_block.h"
#include "vdo/super_block.h"

/*
 * What the super block of an index begins with, and where it says at which block of the
 * device it lies.
 */
#define INDEX_MAGIC	  UINT64_C(0x416c6252676e3031)
#define INDEX_FIRST_AT	  24u
#define INDEX_FIRST_MAX	  (UINT64_C(1) << 20) /* more than any volume has in front of its index */
#define INDEX_FIRST_USUAL 1u		      /* behind the geometry block */

UDS_PUBLIC const char *uds_vdo_state_name(uint32_t state)
{
	static const char *const names[] = {
		"dirty",	 "new",	       "clean",	    "read-only",
		"force-rebuild", "recovering", "replaying", "rebuild-for-upgrade",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

/* What the geometry block says that its decoder does not look at. */
static int check_settings(const struct vdo_geometry *geometry, struct uds_message *message)
{
	if (vdo_geometry_memory(geometry) == 0)
		return failure(message, UDS_ERR_CORRUPT,
			       "geometry block (block 0): index memory: expected 1 to 1024 GiB, "
			       "0xffffff00, 0xfffffe00 or 0xfffffd00, found 0x%" PRIx32,
			       geometry->memory);
	if (geometry->sparse > 1)
		return failure(message, UDS_ERR_CORRUPT,
			       "geometry block (block 0): sparse: expected 0 or 1, found %u",
			       geometry->sparse);
	return 0;
}

/* The two blocks must speak of one volume, and that must lie in the device. */
static int check_volume(const struct vdo_geometry *geometry, const struct vdo_super_block *super,
			uint64_t device_blocks, struct uds_message *message)
{
	uint64_t at = geometry->data_block, bio = geometry->bio_offset;

	/*
	 * A geometry block that outlived its volume stands before the super block of another one.
	 */
	if (super->nonce != geometry->nonce)
		return failure(message, UDS_ERR_CORRUPT,
			       "super block (block %" PRIu64 "): nonce: expected %" PRIu64
			       ", which the geometry block has, found %" PRIu64,
			       at, geometry->nonce, super->nonce);
	/* A device that was cut short, or a copy that is not whole. */
	if (super->physical_blocks > device_blocks)
		return failure(message, UDS_ERR_CORRUPT,
			       "super block (block %" PRIu64
			       "): physical blocks: expected at most the %" PRIu64
			       " of the device, found %" PRIu64,
			       at, device_blocks, super->physical_blocks);
	/*
	 * Block numbers of the super block include the bio offset, those of the device do not. By
	 * comparison first, so that the difference cannot wrap.
	 */
	if (bio > super->first_slab_block || super->first_slab_block - bio <= at)
		return failure(
			message, UDS_ERR_CORRUPT,
			"super block (block %" PRIu64
			"): first slab: expected behind the super block, found block %" PRIu64,
			at, super->first_slab_block);
	if (super->last_slab_block - bio > super->physical_blocks)
		return failure(message, UDS_ERR_CORRUPT,
			       "super block (block %" PRIu64
			       "): end of the slabs: expected at most block %" PRIu64
			       ", the end of the volume, found %" PRIu64,
			       at, super->physical_blocks, super->last_slab_block);
	return 0;
}

static int read_block(struct uds_io *io, uint64_t number, uint64_t device_blocks, const char *what,
		      uint8_t *block, struct uds_message *message)
{
	int r;

	/*
	 * Numbers from the geometry block: a place behind the device is damage, not an error of
	 * the I/O.
	 */
	if (number >= device_blocks)
		return failure(message, UDS_ERR_CORRUPT,
			       "%s: expected at block %" PRIu64 ", but the device has only %" PRIu64
			       " blocks",
			       what, number, device_blocks);
	r = uds_io_read(io, block, VDO_BLOCK_BYTES, number * VDO_BLOCK_BYTES);
	if (r < 0)
		return failure(message, r, "%s: reading block %" PRIu64 ": %s", what, number,
			       uds_strerror(r));
	return 0;
}

static void fill_info(const struct vdo_geometry *geometry, const struct vdo_super_block *super,
		      struct uds_vdo_info *info)
{
	info->geometry_version = geometry->version;
	info->state = super->state;
	info->nonce = geometry->nonce;
	memcpy(info->uuid, geometry->uuid, sizeof(info->uuid));
	info->index_offset = geometry->index_block * VDO_BLOCK_BYTES;
	info->index_region_bytes = (geometry->data_block - geometry->index_block) * VDO_BLOCK_BYTES;
	info->index_memory_bytes = vdo_geometry_memory(geometry);
	info->index_is_sparse = geometry->sparse != 0;
	info->logical_blocks = super->logical_blocks;
	info->physical_blocks = super->physical_blocks;
	info->logical_blocks_used = super->logical_blocks_used;
	info->block_map_blocks = super->block_map_blocks;
	info->complete_recoveries = super->complete_recoveries;
	info->read_only_recoveries = super->read_only_recoveries;
	info->bio_offset = geometry->bio_offset;
	/*
	 * The caller counts blocks of the device; advice counts those of the volume, and needs the
	 * offset.
	 */
	info->first_slab_block = super->first_slab_block - geometry->bio_offset;
	info->slab_count = (super->last_slab_block - super->first_slab_block) / super->slab_blocks;
	info->slab_blocks = super->slab_blocks;
	info->slab_data_blocks = super->data_blocks;
	info->slab_reference_blocks = super->reference_blocks;
	info->slab_journal_blocks = super->journal_blocks;
}

/* @block: scratch, which holds block 0. */
static int read_volume(struct uds_io *io, uint64_t device_blocks, uint8_t *block,
		       struct uds_vdo_info *info, struct uds_message *message)
{
	struct vdo_super_block super;
	struct vdo_geometry geometry;
	int r;

	r = vdo_geometry_decode(block, &geometry, message);
	if (r < 0)
		return failure_in(message, r, "geometry block (block 0)");
	/*
	 * Before the second read: a sentence about this block is of more use than one about where
	 * it points.
	 */
	r = check_settings(&geometry, message);
	if (r == 0)
		r = read_block(io, geometry.data_block, device_blocks, "super block", block,
			       message);
	if (r < 0)
		return r;
	r = vdo_super_block_decode(block, &super, message);
	if (r < 0)
		return failure_in(message, r, "super block (block %" PRIu64 ")",
				  geometry.data_block);
	r = check_volume(&geometry, &super, device_blocks, message);
	if (r < 0)
		return r;
	fill_info(&geometry, &super, info);
	info->in_use = uds_io_is_in_use(io);
	return 0;
}

/* Reads block 0. @ret_block: to be released, also after an error. */
static int read_first(struct uds_io *io, uint64_t *ret_blocks, uint8_t **ret_block,
		      struct uds_message *message)
{
	uint64_t bytes = 0;
	int r = uds_io_size(io, &bytes);

	*ret_block = NULL;
	if (r < 0)
		return failure(message, r, "asking for its size: %s", uds_strerror(r));
	if (bytes < VDO_BLOCK_BYTES)
		return failure(message, UDS_ERR_NOT_AN_INDEX,
			       "not a VDO volume: expected at least %" PRIu64
			       " bytes, found %" PRIu64,
			       VDO_BLOCK_BYTES, bytes);
	*ret_block = io_allocate_buffer(io, &io->env, VDO_BLOCK_BYTES);
	if (*ret_block == NULL)
		return failure(message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	*ret_blocks = bytes / VDO_BLOCK_BYTES;
	return read_block(io, 0, *ret_blocks, "geometry block", *ret_block, message);
}

UDS_PUBLIC int uds_vdo_read_info(struct uds_io *io, struct uds_message *ret_message,
				 struct uds_vdo_info *ret_info)
{
	struct uds_vdo_info info = UDS_VDO_INFO_INIT;
	uint64_t device_blocks = 0;
	uint8_t *block;
	int r;

	r = STRUCT_OUT_CHECK(ret_info, uds_vdo_info, in_use, ret_message);
	if (r < 0)
		return r;
	r = read_first(io, &device_blocks, &block, ret_message);
	/* Said with the bytes that are there: most often somebody has named another device. */
	if (r == 0 && !vdo_geometry_is_there(block))
		r = failure(
			ret_message, UDS_ERR_NOT_AN_INDEX,
			"not a VDO volume: block 0: magic: expected dmvdo001, found 0x%016" PRIx64,
			get_be64(block));
	if (r == 0)
		r = read_volume(io, device_blocks, block, &info, ret_message);
	env_release(&io->env, block);
	if (r < 0)
		return failure_in(ret_message, r, "%s", uds_io_name(io));
	struct_out(ret_info, &info, sizeof(info));
	return 0;
}

static bool is_stopped(const struct uds_vdo_info *info)
{
	return info->state == UDS_VDO_NEW || info->state == UDS_VDO_CLEAN;
}

/* Whether the index may be written, or what is to be said about reading it. */
static int check_use(const struct uds_io *device, const struct uds_vdo_info *info,
		     const struct uds_vdo_index_options *options, const struct uds_env *env,
		     struct uds_message *message)
{
	/*
	 * Reading harms nothing, and is what one does with a volume in trouble: a warning is
	 * enough.
	 */
	if (uds_io_is_read_only(device)) {
		if (info->in_use)
			env_log(env, UDS_LOG_WARNING,
				"%s: the volume is in use: what is read may be mixed from several "
				"moments",
				uds_io_name(device));
		else if (!is_stopped(info))
			env_log(env, UDS_LOG_WARNING,
				"%s: the volume is not stopped (state %s): if it runs, what is "
				"read "
				"may be mixed from several moments",
				uds_io_name(device), uds_vdo_state_name(info->state));
		return 0;
	}
	if (is_stopped(info) || options->allow_dirty)
		return 0;
	return failure(
		message, UDS_ERR_IN_USE,
		"super block: state: expected clean or new, found %s: the volume runs, or was "
		"not stopped; start and stop it, or add dirty=1 if it does not run anywhere",
		uds_vdo_state_name(info->state));
}

/* What of the device is the index. */
static int find_index(struct uds_io *device, const struct uds_vdo_index_options *options,
		      const struct uds_env *env, uint64_t device_blocks, uint8_t *block,
		      struct uds_io_range *range, uint64_t *ret_device_offset,
		      struct uds_message *message)
{
	struct uds_vdo_info info = UDS_VDO_INFO_INIT;
	uint64_t first = get_le64(block + INDEX_FIRST_AT);
	int r;

	if (vdo_geometry_is_there(block)) {
		r = read_volume(device, device_blocks, block, &info, message);
		if (r == 0)
			r = check_use(device, &info, options, env, message);
		range->offset = info.index_offset;
		range->length = info.index_region_bytes;
		*ret_device_offset = info.index_offset;
		return r;
	}
	/* What is said to be one may have lost that block, and is repaired in its place. */
	if (get_le64(block) != INDEX_MAGIC && options->allow_region) {
		*ret_device_offset = INDEX_FIRST_USUAL * VDO_BLOCK_BYTES;
		return 0;
	}
	/*
	 * A region that was copied out begins with the super block of the index, which still has
	 * its first block on the device. An index at block 0 is in no volume.
	 */
	if (get_le64(block) != INDEX_MAGIC || first == 0 || first > INDEX_FIRST_MAX)
		return failure(message, UDS_ERR_NOT_AN_INDEX,
			       "not a VDO volume, nor the index region of one: block 0: magic: "
			       "expected dmvdo001, found 0x%016" PRIx64,
			       get_be64(block));
	/* What is written to a copy never comes back into the volume. */
	if (!uds_io_is_read_only(device) && !options->allow_region)
		return failure(message, UDS_ERR_READ_ONLY,
			       "is an index region that was copied out of a VDO volume (it was at "
			       "block %" PRIu64
			       "), so it opens read-only; add region=1 to write it",
			       first);
	*ret_device_offset = first * VDO_BLOCK_BYTES;
	return 0;
}

UDS_PUBLIC int uds_vdo_open_index(struct uds_io *device, const struct uds_vdo_index_options *given,
				  const struct uds_env *given_env, struct uds_message *ret_message,
				  struct uds_io **ret_io)
{
	struct uds_vdo_index_options options = UDS_VDO_INDEX_OPTIONS_INIT;
	struct uds_io_ranges_options ranges = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_io_range range = { device, 0, UINT64_MAX };
	uint64_t device_blocks = 0;
	struct uds_env env;
	uint8_t *block;
	int r = env_take(given_env, ret_message, &env);

	if (r == 0 && given != NULL)
		r = STRUCT_IN(&options, given, uds_vdo_index_options, allow_region, ret_message);
	if (r < 0)
		return r;
	r = read_first(device, &device_blocks, &block, ret_message);
	if (r == 0)
		r = find_index(device, &options, &env, device_blocks, block, &range,
			       &ranges.device_offset, ret_message);
	env_release(&device->env, block);
	if (r < 0)
		return failure_in(ret_message, r, "%s", uds_io_name(device));
	/* Only here, so that after an error the device is still the caller's. */
	ranges.close_parts = options.close_device;
	return uds_io_open_ranges(&range, 1, &ranges, &env, ret_message, ret_io);
}
