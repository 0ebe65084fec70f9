/* SPDX-License-Identifier: BSD-2-Clause */
/* Forgetting what a save has of its open chapter and the volume does not. */
#include "index/unconfirmed.h"

static struct shared_entry *find(const struct uds_index *index, const struct name_place *place,
				 const struct uds_record_name *name)
{
	return shared_entries_find(&index->shared, place->sub,
				   volume_index_list_number(index->volume_index, place),
				   place->address, name);
}

void unconfirmed_forget_named(struct uds_index *index)
{
	const struct shared_entries *shared = &index->shared;

	for (size_t i = 0; i < shared->count; i++) {
		const struct shared_entry *entry = &shared->entries[i];
		struct name_place place;
		struct hint record;

		if (!entry->has_name || entry->confirmed)
			continue;
		volume_index_locate(index->volume_index, &entry->name, &place);
		volume_index_get(index->volume_index, &place, &entry->name, &record);
		/*
		 * Without its name, if the ordinary entry of the address has become too old since:
		 * then there is no other ordinary one of this chapter.
		 */
		if (record.found && record.vcn == shared->vcn &&
		    (record.collision || find(index, &place, NULL) == NULL))
			volume_index_undo(index->volume_index, &record);
	}
}

uint64_t unconfirmed_least(const struct uds_index *index, const struct uds_record_name *name)
{
	const struct shared_entry *entry;
	struct name_place place;

	if (index->shared.count == 0)
		return 0;
	volume_index_locate(index->volume_index, name, &place);
	entry = find(index, &place, name);
	return entry != NULL && !entry->confirmed ? index->shared.vcn : 0;
}

/* An ordinary entry of an address in a chapter. */
struct wanted_entry {
	uint32_t address;
	uint64_t vcn;
};

static int is_ordinary(void *context, const struct list_entry *entry)
{
	const struct wanted_entry *wanted = context;

	return entry->address == wanted->address && entry->vcn == wanted->vcn && !entry->stale &&
	       entry->collision_name == NULL;
}

void unconfirmed_forget(struct uds_index *index)
{
	struct shared_entries *shared = &index->shared;

	for (size_t i = 0; i < shared->count; i++) {
		const struct shared_entry *entry = &shared->entries[i];
		struct wanted_entry wanted = { .address = entry->address, .vcn = shared->vcn };

		if (!entry->has_name && !entry->confirmed)
			volume_index_remove_unwanted(index->volume_index,
						     (enum sub_index)entry->sub, entry->list,
						     is_ordinary, &wanted);
	}
	shared_entries_clear(shared);
}
