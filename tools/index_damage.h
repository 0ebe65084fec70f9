/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of its first two blocks keeps an index from being opened. Cheap: it looks at these two
 * only, and not for what they would be made again from.
 */
#ifndef TOOLS_INDEX_DAMAGE_H
#define TOOLS_INDEX_DAMAGE_H

#include <uds/io.h>

enum index_damage {
	INDEX_DAMAGE_NONE, /* neither can be told to be an index's, or the damage is elsewhere */
	INDEX_DAMAGE_SUPER_BLOCK,
	INDEX_DAMAGE_CONFIG_BLOCK,
};

/* "super block", "config block". */
const char *index_damage_name(enum index_damage damage);

/*
 * For an I/O at byte 0 of which no index can be opened.
 *
 * @status: what uds_index_read_info() returned. An unknown version is not called damage: it may be
 *     a newer one.
 */
enum index_damage index_damage_find(struct uds_io *io, int status);

#endif
