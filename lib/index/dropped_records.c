/* SPDX-License-Identifier: BSD-2-Clause */
/* Forgetting the records that a load had no room for. */
#include "index/dropped_records.h"

#include <errno.h>

#include "base/sort.h"
#include "index/index.h"

struct dropped_name {
	struct uds_record_name name;
	struct name_place place;
	bool place_is_taken; /* its place's ordinary entry is that of a record that was loaded */
};

void dropped_records_add(void *context, const struct uds_record *record)
{
	struct dropped_records *dropped = context;

	if (dropped->count == dropped->room) {
		size_t room = dropped->room > 0 ? 2 * dropped->room : 64;
		struct dropped_name *names = env_allocate(dropped->env, room, sizeof(*names));

		if (names == NULL) {
			/* The callback cannot fail; dropped_records_forget() reports it. */
			dropped->no_memory = true;
			return;
		}
		/* Copied by hand: a caller's allocator has no realloc. */
		for (size_t i = 0; i < dropped->count; i++)
			names[i] = dropped->names[i];
		env_release(dropped->env, dropped->names);
		dropped->names = names;
		dropped->room = room;
	}
	dropped->names[dropped->count++] = (struct dropped_name){ .name = record->name };
}

static int compare_places(const struct name_place *a, const struct name_place *b)
{
	if (a->sub != b->sub)
		return a->sub < b->sub ? -1 : 1;
	if (a->zone != b->zone)
		return a->zone < b->zone ? -1 : 1;
	if (a->list != b->list)
		return a->list < b->list ? -1 : 1;
	return a->address < b->address ? -1 : a->address > b->address;
}

static int compare_names(const void *a, const void *b)
{
	const struct dropped_name *x = a, *y = b;

	return compare_places(&x->place, &y->place);
}

/* The first of the dropped names that have this place, or NULL; they are sorted by place. */
static struct dropped_name *find_place(const struct dropped_records *dropped,
				       const struct name_place *place)
{
	size_t low = 0, high = dropped->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_places(&dropped->names[middle].place, place) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < dropped->count && compare_places(&dropped->names[low].place, place) == 0
		       ? &dropped->names[low]
		       : NULL;
}

/*
 * A record that was loaded takes the ordinary entry of its place, unless it has a collision entry.
 */
static void take_place(struct dropped_records *dropped, struct uds_index *index,
		       const struct uds_record_name *name)
{
	struct dropped_name *same;
	struct hint record;
	struct name_place place;

	volume_index_locate(index->volume_index, name, &place);
	same = find_place(dropped, &place);
	if (same == NULL)
		return;
	volume_index_peek(index->volume_index, &place, name, &record);
	if (!record.found || !record.collision)
		same->place_is_taken = true;
}

static void find_taken_places(struct dropped_records *dropped, struct uds_index *index)
{
	for (unsigned int z = 0; z < index->zone_count; z++) {
		const struct open_zone *zone = index->zones[z].open;

		/* Removed ones are none here: the zone was only just loaded. */
		for (uint32_t n = 0; n < zone->size; n++)
			take_place(dropped, index, &zone->records[n].name);
	}
	for (size_t i = 1; i < dropped->count; i++) {
		struct dropped_name *names = &dropped->names[i];

		/*
		 * The mark is at the first name of a place, and is the place's: on to the others.
		 */
		if (compare_places(&names[-1].place, &names->place) == 0)
			names->place_is_taken |= names[-1].place_is_taken;
	}
}

/*
 * A stale collision entry would give a wrong "found", and a stale ordinary entry a lookup for
 * nothing. But an ordinary entry may be that of a record which was loaded.
 */
static void forget(const struct dropped_name *dropped, struct uds_index *index)
{
	struct hint record;

	volume_index_get(index->volume_index, &dropped->place, &dropped->name, &record);
	if (record.found && !record.other && record.vcn == index->newest &&
	    (record.collision || !dropped->place_is_taken))
		volume_index_remove(index->volume_index, &record);
	/* A deletion of the journal must not take the entry of another name for this one's. */
	volume_index_get(index->volume_index, &dropped->place, &dropped->name, &record);
	if (record.found && !record.collision)
		volume_index_note_removed(index->volume_index, &dropped->place, &dropped->name);
}

int dropped_records_forget(struct dropped_records *dropped, struct uds_index *index)
{
	/*
	 * Names are missing from the list: their entries could not be forgotten, and would be
	 * found.
	 */
	if (dropped->no_memory)
		return -ENOMEM;
	if (dropped->count == 0)
		return 0;
	for (size_t i = 0; i < dropped->count; i++)
		volume_index_locate(index->volume_index, &dropped->names[i].name,
				    &dropped->names[i].place);
	/*
	 * Sorted, so that each loaded record finds the names of its place without
	 * going through all.
	 */
	sort_elements(dropped->names, dropped->count, sizeof(*dropped->names), compare_names);
	find_taken_places(dropped, index);
	for (size_t i = 0; i < dropped->count; i++)
		forget(&dropped->names[i], index);
	return volume_index_names_status(index->volume_index);
}

void dropped_records_free(struct dropped_records *dropped)
{
	env_release(dropped->env, dropped->names);
}
