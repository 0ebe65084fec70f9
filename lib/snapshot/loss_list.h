/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lost ranges of a snapshot, as they are reported to a caller: those that touch are one.
 *
 * Bytes of a snapshot are lost when their new chunk is not on the COW device, is the place of
 * metadata, or cannot be read.
 */
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
