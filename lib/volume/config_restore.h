/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration of an index that has lost its config block, from what the rest of
 * the index says.
 *
 * The super block has the sizes of the open chapter, of the volume and of a save: record pages and
 * chapters follow from them for each page size. The volume index of a save says whether the index
 * is sparse, with which sample rate, and about how many of its chapters are dense. Where several
 * shapes have these sizes, the chapters on the volume decide.
 *
 * Nothing else on the device has the user nonce, the cache chapters and the mean delta. The first
 * is the caller's to give, and the other two are those of every usual index, unless the caller
 * gives the whole configuration.
 *
 * Threads: one at a time for each I/O.
 */
#ifndef VOLUME_CONFIG_RESTORE_H
#define VOLUME_CONFIG_RESTORE_H

#include <uds/geometry.h>
#include <uds/status.h>

#include "io/io.h"
#include "volume/super_block.h"

/* More than a few only fit where the volume and the volume index are tiny. */
#define CONFIG_CANDIDATES 64u

struct config_candidates {
	unsigned int count;
	struct uds_configuration list[CONFIG_CANDIDATES]; /* without the user nonce */
};

/*
 * Finds every configuration that agrees with the device. Writes nothing.
 *
 * @given: the only one that may fit; NULL: any.
 * @env: memory.
 *
 * Returns 0 and at least one; UDS_ERR_CORRUPT with the reason why there is none, or why none can be
 * told from others; -ENOMEM; or what the I/O said.
 */
int config_restore(struct uds_io *io, const struct uds_env *env, const struct super_block *super,
		   const struct uds_configuration *given, struct uds_message *ret_message,
		   struct config_candidates *ret_candidates);

#endif
