/* SPDX-License-Identifier: BSD-2-Clause */
/* A VDO volume on standard output and in JSON. */
#ifndef TOOLS_VDO_SHOW_H
#define TOOLS_VDO_SHOW_H

#include <jansson.h>

#include <uds/vdo.h>

/* Some lines, indented, about what the volume says. */
void print_vdo(const struct uds_vdo_info *info);
json_t *vdo_object(const struct uds_vdo_info *info);

#endif
