/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data blocks of a VDO volume, in the order in which they lie, with their names.
 *
 * A thread reads and hashes ahead of the one that takes what it made. Where the reference counters
 * can be trusted, blocks that they say are free are not read.
 */
#ifndef TOOLS_VDO_BLOCKS_H
#define TOOLS_VDO_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/io.h>
#include <uds/record.h>
#include <uds/vdo.h>

#include "optional.h"

#define VDO_RUN_BLOCKS 256u /* that are read at once, at most; and a part of a sample */

enum vdo_block_kind {
	VDO_BLOCK_NOT_READ, /* free by a counter, or not in the sample */
	VDO_BLOCK_ZERO,
	VDO_BLOCK_MAP,	      /* a page of the block map */
	VDO_BLOCK_DATA,	      /* has a name */
	VDO_BLOCK_COMPRESSED, /* has a name of its own, and fragments with theirs */
};

struct vdo_fragment {
	struct uds_record_name name;
	uint8_t slot;
};

/* Data blocks that follow each other in one slab. */
struct vdo_run {
	uint64_t first; /* data block, counted over all slabs */
	uint64_t block; /* its place on the device */
	unsigned int count;
	uint8_t counters[VDO_RUN_BLOCKS];
	uint8_t kinds[VDO_RUN_BLOCKS]; /* enum vdo_block_kind */
	struct uds_record_name names[VDO_RUN_BLOCKS];

	/* Of compressed blocks, where liblz4 is there; those of block i from fragment_at[i] on. */
	struct vdo_fragment *fragments;
	unsigned int fragment_at[VDO_RUN_BLOCKS + 1];
};

struct vdo_walk {
	struct uds_io *io;
	const struct uds_vdo_info *info;
	lz4_fn decompress;   /* NULL: fragments are not looked into */
	bool trust_counters; /* what they say is free is not read */
	uint64_t sample;     /* read VDO_RUN_BLOCKS in so many times that; 0, 1: all */
	uint64_t skip;	     /* so many data blocks with a name at the front are not read */

	/* Called for each run in order. Other than 0 ends the walk, and is returned. */
	int (*take)(void *context, const struct vdo_run *run);
	void *context;
};

/* Whether the counters on the device are right: the volume was stopped, or never started. */
bool vdo_counters_are_right(const struct uds_vdo_info *info);

/* How many data blocks all slabs have. */
uint64_t vdo_data_blocks(const struct uds_vdo_info *info);

/* Which data block a block of the volume is, from the data of a record; UINT64_MAX: none. */
uint64_t vdo_data_block_of(const struct uds_vdo_info *info, uint64_t block);

/* The number that advice has for a block of the device. */
uint64_t vdo_advice_block(const struct uds_vdo_info *info, uint64_t device_block);

/*
 * Walks over all data blocks. Returns 0, what @take returned, or what the I/O said, with a sentence
 * that has the block.
 */
int vdo_walk(const struct vdo_walk *walk, struct uds_message *message);

/*
 * Counts the blocks that hold data by the reference counters: free ones and pages of the block map
 * are not among them, as far as the counters tell. Returns 0 or what the I/O said.
 */
int vdo_count_used(struct uds_io *io, const struct uds_vdo_info *info, uint64_t *ret_used,
		   struct uds_message *message);

#endif
