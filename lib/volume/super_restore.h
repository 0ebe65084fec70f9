/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The super block of an index that has lost it, from its configuration and what the rest of
 * the index says.
 *
 * Its sizes follow from the configuration, and its place is in the table of a save header. Its seed
 * data lead to the volume nonce, which is in all index pages, in saves and in the extras, and to
 * nothing else: where the seed data are gone, others that lead to the same nonce do (uds-format,
 * 14.5). The primary nonce between the two counts by 32 bits of it only, so these can be tried; and
 * bytes that hash to a primary nonce can be computed.
 *
 * Threads: one at a time for each I/O.
 */
#ifndef VOLUME_SUPER_RESTORE_H
#define VOLUME_SUPER_RESTORE_H

#include <uds/geometry.h>
#include <uds/status.h>

#include "io/io.h"
#include "volume/super_block.h"

struct super_clues {
	const struct uds_configuration *configuration;
	bool converted;
	uint64_t at;	      /* block of the I/O */
	const uint8_t *found; /* what is there */
	/*
	 * Take any seed data where those that are right would have to be searched for, which takes
	 * minutes: the block is right but for its nonces then.
	 */
	bool no_search;
	uds_progress_fn progress; /* NULL, or called with parts of the search for a seed */
	void *progress_context;
};

/*
 * Finds out what belongs there. Writes nothing.
 *
 * @ret_same_seed: the seed data are what they were, and not others with the same volume nonce.
 *
 * Returns 0; UDS_ERR_CORRUPT with the reason why it cannot be told; UDS_ERR_STOPPED; -ENOMEM; or
 * what the I/O said.
 */
int super_restore(struct uds_io *io, const struct uds_env *env, const struct super_clues *clues,
		  struct uds_message *ret_message, struct super_block *ret_super,
		  bool *ret_same_seed);

#endif
