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
	uint32_t blocks; /* enum uds_index_block, or'ed */
	struct uds_env env;
};

/* Whether opening came to something that a block made again may help against. */
bool lost_block_may_be(int status);

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
 * Whether lost_block_find() makes the index such that its blocks agree with each other and with the
 * device. The search for lost seed data, the only thing that takes long, is left out, and taken for
 * one that succeeds.
 *
 * @message: as for lost_block_find().
 * @ret_blocks: which it makes again, enum uds_index_block, or'ed.
 * @ret_needs_nonce: only when it is given the user nonce, which @options does not have.
 *
 * Returns as lost_block_find().
 */
int lost_block_try(struct uds_io *io, const struct uds_index_options *options,
		   const struct uds_env *env, int status, struct uds_message *message,
		   uint32_t *ret_blocks, bool *ret_needs_nonce);

/*
 * Writes what was lost to the device, durably. Does nothing if nothing was. Returns 0, -ENOMEM or
 * what the I/O said.
 */
int lost_block_write(const struct lost_block *lost, struct uds_message *message);

void lost_block_free(struct lost_block *lost);

#endif
