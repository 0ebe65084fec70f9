/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume that `uds vdo ...` works on: the device, what it says, and its index,
 * each opened once.
 */
#ifndef TOOLS_VDO_TARGET_H
#define TOOLS_VDO_TARGET_H

#include <stdbool.h>

#include <uds/vdo.h>

#include "options.h"
#include "target.h"

struct vdo_target {
	const struct command *command;
	const char *uri;
	bool quiet;
	bool allow_dirty;
	struct uds_env env;
	struct uds_io *device;
	struct uds_vdo_info info;
	struct uds_io *region; /* the part of the device with the index */
	struct uds_index *index;
};

void vdo_set(struct vdo_target *target, const struct options *options, const char *uri);

/*
 * Opens the device and the region of its index. An exit status after a message when it cannot be.
 */
int vdo_open(struct vdo_target *target, bool write);

/* Opens the index in the region, which must be the volume's. */
int vdo_open_index(struct vdo_target *target, enum uds_index_mode mode, unsigned int zones);

/* A message about what the index said last. Returns the exit status for it. */
int vdo_index_failed(struct vdo_target *target, int status);

/* Closes what is open. Returns @status, or what went wrong here when it was good. */
int vdo_close(struct vdo_target *target, int status);

#endif
