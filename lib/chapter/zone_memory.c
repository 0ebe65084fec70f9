/* SPDX-License-Identifier: BSD-2-Clause */
/* Simulates where the reference implementation places delta lists in its memory. */
#include "chapter/zone_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <uds/status.h>

#include "base/bits.h"
#include "base/env.h"

#define GUARD_BYTES 7u

int zone_memory_make(struct zone_memory *memory, const struct uds_env *env, uint64_t bytes,
		     uint32_t list_count)
{
	const uint64_t usable = 8 * (bytes - GUARD_BYTES);
	const uint64_t spacing = usable / list_count;

	memory->env = *env;
	memory->bytes = bytes;
	memory->count = list_count;
	memory->starts = env_allocate(env, (uint64_t)list_count + 1, sizeof(memory->starts[0]));
	memory->bits = env_allocate_zeroed(env, (uint64_t)list_count + 1, sizeof(memory->bits[0]));
	if (memory->starts == NULL || memory->bits == NULL) {
		zone_memory_destroy(memory);
		return -ENOMEM;
	}
	/* Every list in the middle of its share (6.2). */
	for (uint32_t i = 0; i < list_count; i++)
		memory->starts[i] = spacing / 2 + i * spacing;
	memory->starts[list_count] = usable;
	/* The guard counts as one more list, so that the last real one has a neighbour. */
	memory->bits[list_count] = 8 * GUARD_BYTES;
	return 0;
}

void zone_memory_destroy(struct zone_memory *memory)
{
	env_release(&memory->env, memory->starts);
	env_release(&memory->env, memory->bits);
	memory->starts = NULL;
	memory->bits = NULL;
}

static uint64_t end_of(const struct zone_memory *m, uint32_t list)
{
	return m->starts[list] + m->bits[list];
}

/* How many bytes a list touches. */
static uint64_t byte_size(const struct zone_memory *m, uint32_t list)
{
	return (m->starts[list] % 8 + m->bits[list] + 7) / 8;
}

/*
 * Moves all lists apart, with @extra more bytes in front of list @grows (the guard: in
 * front of that).
 */
static int rebalance(struct zone_memory *m, uint32_t grows, uint64_t extra)
{
	uint64_t used = GUARD_BYTES + extra;
	uint64_t spacing, at;

	/* Bytes, not bits: a list keeps the bit of a byte that it starts at. */
	for (uint32_t i = 0; i < m->count; i++)
		used += byte_size(m, i);
	if (used > m->bytes)
		return UDS_ERR_OVERFLOW;
	spacing = (m->bytes - used) / m->count;
	/* Half of a gap in front of the first list (6.3). */
	at = spacing - spacing / 2;
	for (uint32_t i = 0; i < m->count; i++) {
		uint64_t size = byte_size(m, i);

		if (i == grows)
			at += extra;
		m->starts[i] = 8 * at + m->starts[i] % 8;
		at += size + spacing;
	}
	return 0;
}

int zone_memory_grow(struct zone_memory *m, uint32_t list, uint32_t at, uint32_t growth)
{
	const uint32_t behind = m->bits[list] - at;
	uint64_t gap_before, gap_after;
	bool down;
	int r;

	for (bool again = false;; again = true) {
		gap_before = m->starts[list] - (list == 0 ? 0 : end_of(m, list - 1));
		gap_after = m->starts[list + 1] - end_of(m, list);
		if (gap_before >= growth || gap_after >= growth)
			break;
		if (again)
			return UDS_ERR_OVERFLOW; /* cannot happen: a rebalance makes the gap */
		/* On the side of the shorter part, which is the one that will move. */
		r = rebalance(m, at < behind ? list : list + 1, ceil_div(growth, 8));
		if (r < 0)
			return r;
	}
	if (gap_before < growth)
		down = false;
	else if (gap_after < growth)
		down = true;
	else if (at != behind)
		down = at < behind; /* the shorter part moves */
	else
		down = gap_before > gap_after;
	/* Where the growth goes to the back, only the length changes. */
	if (down)
		m->starts[list] -= growth;
	m->bits[list] += growth;
	return 0;
}
