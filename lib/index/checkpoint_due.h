/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a save in the background is due: what closing a chapter tells the checkpointer (checkpoint.h). */
#ifndef INDEX_CHECKPOINT_DUE_H
#define INDEX_CHECKPOINT_DUE_H

#include "index/index.h"

struct checkpoint_due {
	uint32_t interval;    /* chapters */
	pthread_mutex_t lock; /* may be taken under zone locks, and no lock under it */
	pthread_cond_t changed;
	bool due;
	bool stop; /* the thread is to end */
};

/* A chapter was closed. All zone locks are held. */
static inline void checkpoint_chapter_closed(const struct uds_index *index)
{
	struct checkpoint_due *due = index->checkpoint_due;

	if (due == NULL || index->newest < index->saved_chapter + due->interval)
		return;
	pthread_mutex_lock(&due->lock);
	due->due = true;
	pthread_cond_signal(&due->changed);
	pthread_mutex_unlock(&due->lock);
}

#endif
