/* SPDX-License-Identifier: BSD-2-Clause */
/* The set is a hash table by linear probing, of groups of 64 neighbours. */
#include "scan_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Pairs (first, 64 * number + i), one for each bit i of members; no members: an empty place. */
struct pair_group {
	uint64_t first, number;
	uint64_t members;
};

static size_t place_of(const struct pair_set *set, uint64_t first, uint64_t number)
{
	size_t at = (size_t)hash_key_apply(&set->key, first, number) & (set->places - 1);

	while (set->groups[at].members != 0 &&
	       (set->groups[at].number != number || set->groups[at].first != first))
		at = (at + 1) & (set->places - 1);
	return at;
}

static int grow(struct pair_set *set)
{
	struct pair_set larger = { .key = set->key,
				   .places = set->places == 0 ? 256 : 2 * set->places,
				   .count = set->count };

	larger.groups = calloc(larger.places, sizeof(*larger.groups));
	if (larger.groups == NULL)
		return -ENOMEM;
	if (set->places == 0)
		hash_key_make(&larger.key);
	for (size_t i = 0; i < set->places; i++) {
		const struct pair_group *group = &set->groups[i];

		if (group->members != 0)
			larger.groups[place_of(&larger, group->first, group->number)] = *group;
	}
	free(set->groups);
	set->key = larger.key;
	set->groups = larger.groups;
	set->places = larger.places;
	return 0;
}

bool pair_set_has(const struct pair_set *set, uint64_t first, uint64_t second)
{
	size_t at;

	if (set->places == 0)
		return false;
	at = place_of(set, first, second / 64);
	return (set->groups[at].members >> second % 64 & 1) != 0;
}

int pair_set_add(struct pair_set *set, uint64_t first, uint64_t second)
{
	struct pair_group *group;
	int r;

	if (2 * set->count >= set->places) {
		r = grow(set);
		if (r < 0)
			return r;
	}
	group = &set->groups[place_of(set, first, second / 64)];
	if (group->members == 0)
		set->count++;
	group->first = first;
	group->number = second / 64;
	group->members |= UINT64_C(1) << second % 64;
	return 0;
}

void pair_set_free(struct pair_set *set)
{
	free(set->groups);
	memset(set, 0, sizeof(*set));
}
