/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which chapter a conversion has moved, and where to, as the chapters of a converted volume tell it
 * (uds-format, 11.3 and 19.6): for an index that has lost its config block.
 *
 * Threads: one at a time for each I/O.
 */
#ifndef VOLUME_CONFIG_MOVED_H
#define VOLUME_CONFIG_MOVED_H

#include <uds/geometry.h>
#include <uds/status.h>

#include "io/io.h"
#include "volume/super_block.h"

/*
 * Sets remapped_virtual and remapped_physical to the one pair that puts every chapter where it
 * is. Pairs of a chapter that has left the volume since are the same if they do that for all
 * chapters to come.
 *
 * @open_chapter: of the latest save, 0 if there is none.
 *
 * Returns 0; UDS_ERR_CORRUPT when no pair does, or several do; or -ENOMEM.
 */
int config_find_moved(struct uds_io *io, const struct uds_env *env, const struct super_block *super,
		      uint64_t open_chapter, struct uds_configuration *configuration,
		      struct uds_message *ret_message);

#endif
