/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COW devices that are snapshots of an LVM volume group, named by lvm: URIs: the group knows their
 * origin, and which other snapshots that has. All volumes of a group are opened on the same
 * physical volumes, those of the COW device.
 */
#ifndef TOOLS_SNAPSHOT_GROUP_H
#define TOOLS_SNAPSHOT_GROUP_H

#include <uds/lvm.h>

#include "snapshot_target.h"

/* Whether a URI is of a volume of a group. */
bool group_has(const char *uri);

/*
 * Sets origin_uri, unless --origin was given, to that of the origin which the group names for the
 * COW device; that it names none is an error where the command needs one. With @write_origin adds
 * the other snapshots of that origin that are not named yet, except invalid ones. Does nothing when
 * the COW device is of no group. What it makes is released by group_release().
 *
 * Returns EXIT_GOOD, or an exit status after a message.
 */
int group_complete(struct snapshot_target *target, bool write_origin);

void group_release(struct snapshot_target *target);

/*
 * Opens a volume on the physical volumes of the COW device, which is open. False, and nothing is
 * done, when @uri is of no volume of the same group on the same physical volumes.
 *
 * @ret_status: EXIT_GOOD, or an exit status after a message.
 */
bool group_open_io(struct snapshot_target *target, const char *uri, struct uds_io **ret_io,
		   int *ret_status);

/* What the group says about the COW device, which is open. False when it is of none. */
bool group_find_volume(const struct snapshot_target *target, struct uds_lvm_volume *ret_volume);

#endif
