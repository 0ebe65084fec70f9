/* SPDX-License-Identifier: BSD-2-Clause */
/* Joining lost ranges, and reporting them. */
#include "snapshot/loss_list.h"

int loss_list_end(struct loss_list *list)
{
	int r = 0;

	if (list->last.length > 0 && list->each != NULL)
		r = list->each(list->context, &list->last);
	list->last.length = 0;
	return r != 0 ? UDS_ERR_STOPPED : 0;
}

int loss_list_add(void *context, uint64_t offset, uint64_t length, int status,
		  const struct uds_message *message)
{
	struct loss_list *list = context;
	struct uds_snapshot_loss *last = &list->last;
	int r;

	list->total += length;
	if (last->length > 0 && last->status == status && last->offset + last->length == offset) {
		last->length += length;
		return 0;
	}
	r = loss_list_end(list);
	last->size = sizeof(*last);
	last->offset = offset;
	last->length = length;
	last->status = status;
	last->sentence = list->sentence.text;
	list->sentence = *message;
	return r;
}
