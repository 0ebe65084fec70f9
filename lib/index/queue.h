/* SPDX-License-Identifier: BSD-2-Clause */
/* The queues of an index, for those that end it. The public side is uds/async.h. */
#ifndef INDEX_QUEUE_H
#define INDEX_QUEUE_H

struct uds_index;

/* Closes all queues that are open. No other thread uses them. */
void index_close_queues(struct uds_index *index);

#endif
