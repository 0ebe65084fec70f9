/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries of one address are a run: an ordinary one, and its collision entries. */
#include "volume_index/list_cut.h"

#include <string.h>

struct run {
	uint32_t first, end;
	uint32_t names;	 /* the number of the name of its second entry */
	uint32_t live;	 /* entries that are not stale */
	uint32_t leader; /* the first of these: the ordinary one, once the list is swept */
};

static bool is_stale(const struct list_cut *cut, uint64_t value)
{
	const uint64_t from = list_head_flush_from(cut->head);

	return ((value - from) & cut->zone->shape->chapter_mask) < cut->stale;
}

static struct run take_run(const struct list_cut *cut, uint32_t first, uint32_t names)
{
	struct run run = { .first = first, .end = first + 1, .names = names };

	while (run.end < cut->count && cut->keys[run.end] == cut->keys[first])
		run.end++;
	for (uint32_t i = run.end; i-- > first;) {
		if (is_stale(cut, cut->values[i]))
			continue;
		run.live++;
		run.leader = i;
	}
	return run;
}

static int tell(const struct list_cut *cut, const struct run *run, uint32_t i)
{
	struct shared_entry entry = {
		.list = cut->list,
		.address = cut->keys[i],
		.sub = (uint8_t)cut->sub,
		.has_name = i != run->leader,
	};

	if (entry.has_name)
		memcpy(&entry.name, cut->names[run->names + i - run->first - 1],
		       sizeof(entry.name));
	return shared_entries_add(cut->shared, &entry);
}

int list_cut_chapter(const struct list_cut *cut, uint32_t *ret_gone)
{
	uint32_t names = 0, gone = 0;
	struct run run;
	int r = 0;

	for (uint32_t first = 0; r == 0 && first < cut->count; first = run.end) {
		run = take_run(cut, first, names);
		names += run.end - first - 1;
		for (uint32_t i = first; r == 0 && i < run.end; i++) {
			if (cut->values[i] != cut->chapter || is_stale(cut, cut->values[i]))
				continue;
			if (run.live > 1)
				r = tell(cut, &run, i);
			else if (cut->removes)
				cut->operations->remove(cut->zone, cut->head, i - gone++);
		}
	}
	*ret_gone = gone;
	return r;
}
