/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An index as it lies on a device: the super block, the configuration, and the saves (uds-format,
 * 14 and 15.1). What is in the volume and in the parts of a save is for others to read.
 *
 * Threads: see saves.h for the saves; all else is read-only after layout_read().
 */
#ifndef VOLUME_LAYOUT_H
#define VOLUME_LAYOUT_H

#include <stdint.h>

#include <uds/geometry.h>
#include <uds/status.h>

#include "extras/area.h"
#include "geometry/geometry.h"
#include "io/io.h"
#include "volume/saves.h"
#include "volume/super_block.h"

struct layout {
	struct super_block super;
	uint32_t config_version; /* 602 for 06.02, 802 for 08.02 */
	struct uds_configuration configuration;
	struct geometry geometry;
	struct saves saves;
	struct extras_area extras;
};

/*
 * Reads the layout of the index that begins at byte @offset of the I/O, and checks that it does not
 * contradict itself, the geometry or the size of the device. Writes nothing. Damaged save headers
 * are no error here: saves_latest() reports them. Nor are extras that cannot be used.
 *
 * Returns 0, or an error with a message that names the I/O, the region, the field, the expected and
 * the found value:
 *   UDS_ERR_NOT_AN_INDEX         no super block there, or the I/O ends before it
 *   UDS_ERR_UNSUPPORTED_VERSION  of the super block or the config block
 *   UDS_ERR_CORRUPT              a field contradicts another, or the I/O is shorter than the index
 *   -EINVAL                      an offset that is not a multiple of 4096
 *   UDS_ERR_UNALIGNED            the I/O's blocks are larger than 4096 bytes
 *   -ENOMEM, -EIO, ...
 */
int layout_read(struct uds_io *io, uint64_t offset, struct uds_message *ret_message,
		struct layout *ret_layout);

/*
 * Reads the super block alone, of an index whose other parts may be damaged. @block:
 * BLOCK_BYTES of memory that the I/O accepts; changed. The sentence is without the name of the
 * I/O. Returns as layout_read().
 */
int layout_read_super_block(struct uds_io *io, uint64_t offset, uint8_t *block,
			    struct super_block *ret_super, struct uds_message *ret_message);

/* Returns 0, or UDS_ERR_NONCE_MISMATCH when the index belongs to another owner. */
int layout_check_nonce(const struct uds_io *io, const struct layout *layout, uint64_t nonce,
		       struct uds_message *ret_message);

/* What a new index is to be. */
struct layout_options {
	uint64_t offset;     /* where on the I/O, bytes */
	uint64_t size_limit; /* how many bytes may be used; 0: up to the end of the I/O */
	const uint8_t
		*nonce_data; /* NONCE_DATA_BYTES, unique; NULL: made from time and random bytes */
	bool extras; /* with an area behind it; not on a VDO volume, which has other things there */

	uds_progress_fn progress; /* may be NULL: (bytes of the extras written, all of them) */
	void *progress_context;
};

/*
 * Writes an empty index: two empty saves, the config block and the extras, then, when they are
 * durable, the super block. The volume is not touched; what lies there is distinguished from this
 * index's chapters by the nonce. An I/O that can be resized grows as far as needed.
 *
 * Returns 0, or
 *   -EINVAL            a configuration or offset that is not possible; nothing was written
 *   UDS_ERR_NO_ROOM    I/O or limit too small; the message has both sizes; nothing was written
 *   UDS_ERR_READ_ONLY  the I/O cannot be written
 *   UDS_ERR_STOPPED    progress asked to stop: there is no super block of this index
 *   -ENOMEM, -EIO, ...
 */
int layout_create(struct uds_io *io, const struct uds_env *env,
		  const struct uds_configuration *configuration,
		  const struct layout_options *options, struct uds_message *ret_message);

/*
 * Makes extras that cannot be used (layout->extras.why) again, empty; or, where the I/O has no room
 * for them, makes sure that there are none. Nothing is known of any chapter then.
 *
 * Returns 0, -ENOMEM, or what the I/O said.
 */
int layout_renew_extras(struct layout *layout, struct uds_io *io, const struct uds_env *env,
			struct uds_message *ret_message);

/* Where the volume region begins, in bytes of the I/O. */
static inline uint64_t layout_volume_offset(const struct layout *layout)
{
	return super_block_volume_at(&layout->super) * BLOCK_BYTES;
}

/* How many bytes the whole index takes, from its super block on, without its extras. */
static inline uint64_t layout_bytes(const struct layout *layout)
{
	return layout->super.total_blocks * BLOCK_BYTES;
}

/*
 * Whether the extras know all saves. If not, a program that does not know the extras has made one.
 * A slot that has no save, or a damaged one, says nothing.
 */
bool layout_extras_know_saves(const struct layout *layout);

/*
 * The save that a recovery begins with when the volume goes on where it ends; NULL: none.
 *
 * The format does not promise anything about a save that was made invalid, and its recovery brings
 * back names that were deleted. So an index without extras, and one that another program has saved,
 * is recovered as the format says.
 */
static inline const struct save *layout_checkpoint(const struct layout *layout)
{
	if (!layout->extras.present || !layout_extras_know_saves(layout))
		return NULL;
	return saves_checkpoint(&layout->saves, &layout->geometry);
}

/*
 * Takes a save that was announced for known, if it was committed: the next one that is announced
 * must not hide it.
 */
void layout_settle_intent(struct layout *layout);

/*
 * The first number of the journal that the latest save does not cover, if the extras
 * know it; else 0.
 */
uint64_t layout_save_journal(const struct layout *layout);

/*
 * Brings the extras up to date with the save headers, as they are on the device by now. Does
 * nothing without extras.
 *
 * @open_chapter: that of the index.
 *
 * Returns 0, -ENOMEM, or what the I/O said.
 */
int layout_update_extras(struct layout *layout, struct uds_io *io, uint64_t open_chapter,
			 struct uds_message *ret_message);

#endif
