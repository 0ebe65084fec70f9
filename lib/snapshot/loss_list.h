/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges of a snapshot that cannot be had, as a caller is told about them: those that touch are one. */
#ifndef SNAPSHOT_LOSS_LIST_H
#define SNAPSHOT_LOSS_LIST_H

#include <uds/snapshot.h>

struct loss_list {
	uds_snapshot_loss_fn each; /* may be NULL */
	void *context;
	uint64_t total;
	struct uds_snapshot_loss last; /* not reported yet; length 0: none */
	struct uds_message sentence;
};

/* A device_lost_fn for them; and to be called at the end. Both: 0, or UDS_ERR_STOPPED. */
int loss_list_add(void *list, uint64_t offset, uint64_t length, int status,
		  const struct uds_message *message);
int loss_list_end(struct loss_list *list);

#endif
