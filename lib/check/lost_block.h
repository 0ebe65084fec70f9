/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The blocks that an index cannot be opened without, super block and config block, made again where
 * they are damaged: from what the rest of the index says, and only if that leaves a single answer.
 *
 * The index is looked at through an I/O that has them in their place, in memory. So everything is
 * known, and has been reported, before they are written.
 *
 * Threads: one at a time.
 */
#ifndef CHECK_LOST_BLOCK_H
#define CHECK_LOST_BLOCK_H

#include <uds/index.h>

struct lost_block {
	struct uds_io *device;
	struct uds_io *memory; /* the block alone, or both */
	struct uds_io *whole;  /* the device, with that in place */
	uint64_t at;	       /* bytes of the device */
	uint64_t length;
	struct uds_env env;
};

/*
 * Finds out what belongs into the block that kept an index from being opened.
 *
 * @options: complete. @status: what opening it came to.
 * @message: what opening said; afterwards what is wrong with which block and what it is made from,
 *     or why it is not made again.
 *
 * Returns 0, and the index can be opened on @ret_lost->whole; @status; UDS_ERR_STOPPED by the
 * progress callback; -ENOMEM; or what the I/O said.
 */
int lost_block_find(struct uds_io *io, const struct uds_index_options *options,
		    const struct uds_env *env, int status, struct uds_message *message,
		    struct lost_block *ret_lost);

/*
 * Writes what was lost to the device, durably. Does nothing if nothing was. Returns 0, -ENOMEM or
 * what the I/O said.
 */
int lost_block_write(const struct lost_block *lost, struct uds_message *message);

void lost_block_free(struct lost_block *lost);

#endif
