/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VDO volumes: what a volume says about itself, and the deduplication index in it (dm-vdo of Linux
 * 6.9 and later, and kvdo before it: geometry version 4.0 or 5.0, super block version 12.0).
 *
 * A volume begins with a geometry block, which says where its index and its data are; the data
 * begin with a super block, which has the state and the sizes. The two are checked against each
 * other and against the size of the device. Nothing here writes.
 */
#ifndef UDS_VDO_H
#define UDS_VDO_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/io.h>
#include <uds/record.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UDS_VDO_BLOCK_BYTES 4096u

enum uds_vdo_state {
	UDS_VDO_DIRTY = 0, /* it is running, or was not stopped */
	UDS_VDO_NEW = 1,   /* formatted, and never started */
	UDS_VDO_CLEAN = 2, /* stopped */
	UDS_VDO_READ_ONLY_MODE = 3,
	UDS_VDO_FORCE_REBUILD = 4,
	UDS_VDO_RECOVERING = 5,
	UDS_VDO_REPLAYING = 6,
	UDS_VDO_REBUILD_FOR_UPGRADE = 7,
};

/*
 * What a volume says about itself. Blocks have UDS_VDO_BLOCK_BYTES; their numbers count from the
 * start of the device. Slab i begins at first_slab_block + i * slab_blocks: data blocks, then
 * reference count blocks, then the slab journal.
 */
struct uds_vdo_info {
	uint64_t size;		   /* of this struct: set by UDS_VDO_INFO_INIT */
	uint32_t geometry_version; /* 4 or 5 */
	uint32_t state;		   /* enum uds_vdo_state */
	uint64_t nonce;		   /* the user nonce of its index, too */
	uint8_t uuid[16];
	uint64_t index_offset;	     /* bytes, where the index begins on the device */
	uint64_t index_region_bytes; /* from there up to the data */
	/* the memory setting of the index: 256 MiB, or 1 GiB to 1024 GiB ... */
	uint64_t index_memory_bytes;
	uint64_t logical_blocks;
	uint64_t physical_blocks;
	uint64_t logical_blocks_used; /* when the volume was last stopped */
	uint64_t block_map_blocks;    /* pages of the block map in the slabs, at the same time */
	uint64_t complete_recoveries;
	uint64_t read_only_recoveries;
	uint64_t first_slab_block;
	uint64_t slab_count;
	uint64_t slab_blocks;
	uint64_t slab_data_blocks;
	uint64_t slab_reference_blocks;
	uint64_t slab_journal_blocks;
	/* blocks; numbers of blocks in the volume are larger than on the device by so many */
	uint64_t bio_offset;
	bool index_is_sparse;
	bool in_use; /* uds_io_is_in_use(): what was read may be of several moments */

	uint8_t unused[6]; /* 0 */
};

#define UDS_VDO_INFO_INIT                                                                        \
	{                                                                                        \
		sizeof(struct uds_vdo_info), 0, 0, 0, { 0 }, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
			0, 0, 0, 0, false, false,                                                \
		{                                                                                \
			0                                                                        \
		}                                                                                \
	}

/*
 * Reads the geometry block and the super block of the volume that begins at byte 0 of an I/O, and
 * checks them: magic, versions, checksums, nonces, that the regions and slabs lie in the device in
 * their order, and that slabs divide the depot.
 *
 * Returns 0, or, with a sentence that names the I/O, the block, the field, the expected and
 * the found value:
 *   UDS_ERR_NOT_AN_INDEX         no geometry block there
 *   UDS_ERR_UNSUPPORTED_VERSION  of one of the parts; the sentence has it
 *   UDS_ERR_CORRUPT              a checksum is wrong, a number is impossible, or two do not agree
 *   -EINVAL, -E2BIG              a size member (libuds(3), Structs)
 *   -ENOMEM, -EIO, ...           no memory; what the I/O said
 *
 * Threads: any. Since 0.2.
 */
int uds_vdo_read_info(struct uds_io *io, struct uds_message *ret_message,
		      struct uds_vdo_info *ret_info);

/*
 * Returns the name of a state, "clean" for instance; "unknown" for a number that is
 * none. Never NULL.
 *
 * Threads: any. Since 0.2.
 */
const char *uds_vdo_state_name(uint32_t state);

struct uds_vdo_index_options {
	uint64_t size;	   /* of this struct: set by UDS_VDO_INDEX_OPTIONS_INIT */
	bool close_device; /* the device belongs to the new I/O, which closes it */
	/* to write, also when the volume was not stopped. Only if it does not run anywhere */
	bool allow_dirty;
	/*
	 * To write, also when there is a copy of the index region alone; and to take for one what
	 * does not begin as an index does: its super block may be lost (uds_index_repair()).
	 */
	bool allow_region;
	uint8_t unused[5]; /* ignored */
};

#define UDS_VDO_INDEX_OPTIONS_INIT                                         \
	{                                                                  \
		sizeof(struct uds_vdo_index_options), false, false, false, \
		{                                                          \
			0                                                  \
		}                                                          \
	}

/*
 * Makes an I/O of the index of a VDO volume: the region between the geometry block and the data, so
 * that the index begins at byte 0 of it. This is what the URI vdo:PATH opens (dirty=1 and region=1
 * are allow_dirty and allow_region).
 *
 * A file that has nothing but that region, copied out of a volume, is taken too.
 *
 * An I/O that is read-only gives one that is read-only, whatever the state of the volume. If the
 * volume is in use, or was not stopped, a warning is logged: what is read may be mixed from several
 * moments. An I/O that can be written gives one that can be written, if the volume is stopped
 * (state clean or new). That no device-mapper holds the device is seen to by uds_io_open_file().
 *
 * @device: read-only or writable; stays open until the new I/O is closed.
 * @options: may be NULL.
 * @env: memory and log; may be NULL.
 *
 * Returns 0, or
 *   UDS_ERR_NOT_AN_INDEX  neither a VDO volume nor the index region of one
 *   UDS_ERR_IN_USE        to be written, and not stopped
 *   UDS_ERR_READ_ONLY     to be written, and a copy of the region alone
 *   UDS_ERR_CORRUPT, ...  what uds_vdo_read_info() returns
 * After an error the device is the caller's, also with close_device.
 *
 * Threads: any. Since 0.2.
 */
int uds_vdo_open_index(struct uds_io *device, const struct uds_vdo_index_options *options,
		       const struct uds_env *env, struct uds_message *ret_message,
		       struct uds_io **ret_io);

/* Where a block with some name is: the data of a record in the index of a volume. */
struct uds_vdo_advice {
	uint64_t block; /* its number in the volume, bio_offset included */
	uint32_t slot;	/* of a compressed block: which fragment, from 0 on */
	bool compressed;
	uint8_t unused[3]; /* 0 */
};

/* The most fragments of a compressed block. */
#define UDS_VDO_SLOTS 14u

/*
 * Takes the data of a record apart.
 *
 * Returns 0, or UDS_ERR_CORRUPT for data that VDO does not write: another version than 2, an
 * unknown mapping state, or something in the unused bytes; the sentence says which.
 *
 * Threads: any. Since 0.2.
 */
int uds_vdo_decode_advice(const struct uds_record_data *data, struct uds_message *ret_message,
			  struct uds_vdo_advice *ret_advice);

/*
 * Makes the data of a record.
 *
 * Threads: any. Since 0.2.
 */
void uds_vdo_encode_advice(const struct uds_vdo_advice *advice, struct uds_record_data *ret_data);

#ifdef __cplusplus
}
#endif

#endif
