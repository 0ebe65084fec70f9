/* SPDX-License-Identifier: BSD-2-Clause */
/* A growing list of runs. */
#include "snapshot/lost_chunks.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "exceptions/cow_format.h"
#include "exceptions/run_sort.h"

int lost_reserve(struct lost_chunks *lost, const struct uds_env *env, size_t count)
{
	struct map_run *runs;
	size_t room = lost->room == 0 ? 16 : lost->room * 2;

	if (count <= lost->room)
		return 0;
	/* For exactly as many as are asked for, where that is more than double. */
	if (room < count)
		room = count;
	runs = env_allocate(env, room, sizeof(runs[0]));
	if (runs == NULL)
		return -ENOMEM;
	if (lost->count > 0)
		memcpy(runs, lost->runs, lost->count * sizeof(runs[0]));
	env_release(env, lost->runs);
	lost->runs = runs;
	lost->room = room;
	return 0;
}

int lost_add(struct lost_chunks *lost, const struct uds_env *env, const struct map_run *run)
{
	int r;

	if (lost->count > 0) {
		struct map_run *last = &lost->runs[lost->count - 1];

		if (last->old_chunk + last->count == run->old_chunk &&
		    last->new_chunk + last->count == run->new_chunk) {
			last->count += run->count;
			return 0;
		}
	}
	r = lost_reserve(lost, env, lost->count + 1);
	if (r == 0)
		lost->runs[lost->count++] = *run;
	return r;
}

void lost_merge(struct lost_chunks *lost, const struct lost_chunks *more, struct map_run *scratch)
{
	size_t count = lost->count + more->count;
	struct map_run *sorted;

	memcpy(lost->runs + lost->count, more->runs, more->count * sizeof(more->runs[0]));
	/* Both lists hold chunks of their own, so sorting by old chunk is all there is to merge. */
	sorted = runs_sort(lost->runs, scratch, count);
	if (sorted != lost->runs)
		memcpy(lost->runs, sorted, count * sizeof(sorted[0]));
	lost->count = count;
}

bool lost_have(const struct lost_chunks *lost, const struct uds_exception *e)
{
	size_t low = 0, count = lost->count;
	/* As the map has it. */
	uint64_t new_chunk =
		e->new_chunk < COW_NEW_CHUNK_LIMIT ? e->new_chunk : COW_NEW_CHUNK_LIMIT - 1;

	while (count > 0) {
		const struct map_run *run = &lost->runs[low + count / 2];

		if (e->old_chunk < run->old_chunk) {
			count /= 2;
		} else if (e->old_chunk - run->old_chunk < run->count) {
			/* Another entry for the same old chunk is not lost. */
			return run->new_chunk + (e->old_chunk - run->old_chunk) == new_chunk;
		} else {
			low += count / 2 + 1;
			count -= count / 2 + 1;
		}
	}
	return false;
}
