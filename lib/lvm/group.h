/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A volume group on the devices that were given, and I/Os of its volumes. Nothing in it changes
 * after the open.
 */
#ifndef LVM_GROUP_H
#define LVM_GROUP_H

#include <uds/lvm.h>

#include "lvm/model.h"

struct uds_lvm_group {
	struct uds_env env;
	struct lvm_model model;
	struct uds_io **ios; /* the physical volumes that were given */
	size_t io_count;
	bool close_pvs;
	uint32_t missing_count, wrong_copies;
};

/*
 * uds_lvm_open_volume().
 *
 * @io_name: of the new I/O; NULL: GROUP/VOLUME.
 * @own: the group belongs to the new I/O, which closes it, if this succeeds.
 */
int lvm_volume_open(struct uds_lvm_group *group, const char *name, const char *io_name, bool own,
		    struct uds_message *message, struct uds_io **ret_io);

#endif
