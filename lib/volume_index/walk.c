/* SPDX-License-Identifier: BSD-2-Clause */
/* Going through the entries of one list, and taking out those that are not wanted. */
#include "volume_index/private.h"
#include "volume_index/volume_index.h"

int volume_index_walk(const struct volume_index *index, enum sub_index sub, uint32_t list,
		      list_entry_fn each, void *context)
{
	const struct list_zone *zone = zone_of_list(index, sub, list);
	const struct list_head *head = &zone->heads[list - zone->first_list];
	uint32_t names = 0;
	struct list_view view;

	if (head->entries == 0)
		return 0;
	view = list_view_of(zone, head);
	for (uint32_t i = 0, bit = 0; i < view.entries; i++, bit++) {
		struct list_entry entry = { 0 };
		int r;

		/* Skips the ends of buckets: the bits that are 0. */
		while ((view.upper[bit / 8] >> (bit % 8) & 1) == 0)
			bit++;
		entry.address =
			(bit - i) << zone->shape->low_bits |
			((uint32_t)list_rest(zone->shape, view.rest, i) & zone->shape->low_mask);
		entry.value = (uint32_t)list_value(zone->shape, &view, i);
		entry.vcn = value_to_vcn(zone, entry.value);
		entry.stale = list_is_stale(zone, head, entry.value);
		if (names < view.collisions && list_name_position(&view, names) == i)
			entry.collision_name = view.names + LIST_NAME_BYTES * (size_t)names++ + 2;
		r = each(context, &entry);
		if (r != 0)
			return r;
	}
	return 0;
}

struct unwanted {
	list_entry_fn is_unwanted;
	void *context;
	uint32_t position; /* of the next entry */
	uint32_t end;	   /* only those before are looked at */
	uint32_t last;	   /* unwanted one; UINT32_MAX: there is none */
};

static int look_for_unwanted(void *context, const struct list_entry *entry)
{
	struct unwanted *unwanted = context;

	if (unwanted->position == unwanted->end)
		return 1;
	if (unwanted->is_unwanted(unwanted->context, entry) != 0)
		unwanted->last = unwanted->position;
	unwanted->position++;
	return 0;
}

void volume_index_remove_unwanted(struct volume_index *index, enum sub_index sub, uint32_t list,
				  list_entry_fn is_unwanted, void *context)
{
	struct list_zone *zone = zone_of_list(index, sub, list);
	struct list_head *head = &zone->heads[list - zone->first_list];
	struct unwanted unwanted = { .is_unwanted = is_unwanted, .context = context };

	/*
	 * From the end: an entry that takes the place of a removed one, a collision entry without
	 * its name from then on, was looked at before.
	 */
	for (unwanted.end = head->entries; unwanted.end > 0; unwanted.end = unwanted.last) {
		unwanted.position = 0;
		unwanted.last = UINT32_MAX;
		volume_index_walk(index, sub, list, look_for_unwanted, &unwanted);
		if (unwanted.last == UINT32_MAX)
			return;
		if (index->names != NULL)
			known_names_before(index->names, sub, zone, head, unwanted.last);
		index->operations->remove(zone, head, unwanted.last);
	}
}
