/* SPDX-License-Identifier: BSD-2-Clause */
/* The volume group of an LVM physical volume, for `uds find`. */
#ifndef TOOLS_FIND_LVM_H
#define TOOLS_FIND_LVM_H

#include <jansson.h>
#include <stdbool.h>

#include "tool.h"

/*
 * Shows the group that a physical volume is of, with its volumes and snapshots and the commands
 * that open them. Other physical volumes of the group are looked for among the arguments; the group
 * is shown with the first of them.
 *
 * @uri: one of @arguments, which end with NULL.
 * @o: the same for JSON; NULL: as text.
 *
 * Returns whether something is wrong with the metadata of the group.
 */
bool show_group(const char *uri, char *const *arguments, json_t *o);

#endif
