/* SPDX-License-Identifier: BSD-2-Clause */
/* A sorted array: there are few, as few names share their address with another one. */
#include "volume_index/shared_entries.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/sort.h"

#define FIRST_ROOM 64u

int shared_entries_add(struct shared_entries *shared, const struct shared_entry *entry)
{
	const size_t room = shared->room > 0 ? 2 * shared->room : FIRST_ROOM;
	struct shared_entry *entries;

	if (shared->count == shared->room) {
		entries = env_allocate(shared->env, room, sizeof(*entries));
		if (entries == NULL)
			return -ENOMEM;
		/* A caller's allocator has no realloc. */
		if (shared->count > 0)
			memcpy(entries, shared->entries, shared->count * sizeof(*entries));
		env_release(shared->env, shared->entries);
		shared->entries = entries;
		shared->room = room;
	}
	shared->entries[shared->count++] = *entry;
	return 0;
}

int shared_entries_add_all(struct shared_entries *shared, const struct shared_entries *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->count; i++)
		r = shared_entries_add(shared, &from->entries[i]);
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct shared_entry *x = a, *y = b;

	if (x->sub != y->sub)
		return x->sub < y->sub ? -1 : 1;
	if (x->list != y->list)
		return x->list < y->list ? -1 : 1;
	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	if (x->has_name != y->has_name)
		return x->has_name ? 1 : -1;
	return memcmp(&x->name, &y->name, sizeof(x->name));
}

void shared_entries_sort(struct shared_entries *shared)
{
	sort_elements(shared->entries, shared->count, sizeof(*shared->entries), compare);
}

void shared_entries_clear(struct shared_entries *shared)
{
	if (shared->entries != NULL)
		env_release(shared->env, shared->entries);
	shared->entries = NULL;
	shared->count = 0;
	shared->room = 0;
}

struct shared_entry *shared_entries_find(const struct shared_entries *shared, unsigned int sub,
					 uint32_t list, uint32_t address,
					 const struct uds_record_name *name)
{
	struct shared_entry wanted = { .list = list, .address = address, .sub = (uint8_t)sub };
	size_t low = 0, high = shared->count;

	if (name != NULL) {
		wanted.has_name = true;
		wanted.name = *name;
	}
	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (compare(&shared->entries[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < shared->count && compare(&shared->entries[low], &wanted) == 0
		       ? &shared->entries[low]
		       : NULL;
}

size_t shared_entries_confirmed(const struct shared_entries *shared)
{
	size_t count = 0;

	for (size_t i = 0; i < shared->count; i++)
		count += shared->entries[i].confirmed;
	return count;
}

void shared_entries_begin_again(struct shared_entries *shared)
{
	for (size_t i = 0; i < shared->count; i++)
		shared->entries[i].confirmed = false;
}
