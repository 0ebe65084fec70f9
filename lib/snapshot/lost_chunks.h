/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs of chunks that have an exception and are lost (loss_list.h), in order of old chunks. */
#ifndef SNAPSHOT_LOST_CHUNKS_H
#define SNAPSHOT_LOST_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>

#include <uds/exception_store.h>

#include "exceptions/exception_map.h"

struct lost_chunks {
	struct map_run *runs; /* released with env_release() */
	size_t count;
	size_t room;
};

/* Room for @count runs: 0 or -ENOMEM. */
int lost_reserve(struct lost_chunks *lost, const struct uds_env *env, size_t count);

/* Adds a run behind all that are there. */
int lost_add(struct lost_chunks *lost, const struct uds_env *env, const struct map_run *run);

/* Adds all of @more, in order. The room is reserved; @scratch is as long. */
void lost_merge(struct lost_chunks *lost, const struct lost_chunks *more, struct map_run *scratch);

bool lost_have(const struct lost_chunks *lost, const struct uds_exception *exception);

#endif
