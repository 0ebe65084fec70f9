/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What only the whole group can tell: which volumes make up a snapshot, and that no extent
 * is used twice.
 */
#ifndef LVM_MODEL_CHECK_H
#define LVM_MODEL_CHECK_H

#include "lvm/model.h"

/*
 * Ties the snapshots of a model to their volumes, and checks it. Returns 0,
 * UDS_ERR_CORRUPT or -ENOMEM.
 */
int lvm_model_check(struct lvm_model *model, const struct uds_env *env,
		    struct uds_message *message);

#endif
