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

int unconfirmed_forget_named(struct uds_index *index)
{
	const struct shared_entries *shared = &index->shared;
	struct volume_index *vi = index->volume_index;

	for (size_t i = 0; i < shared->count; i++) {
		const struct shared_entry *entry = &shared->entries[i];
		struct name_place place;
		struct hint record;

		if (!entry->has_name || entry->confirmed)
			continue;
		volume_index_locate(vi, &entry->name, &place);
		volume_index_get(vi, &place, &entry->name, &record);
		/*
		 * Without its name, if the ordinary entry of the address has become too old since:
		 * then there is no other ordinary one of this chapter.
		 */
		if (!record.found || record.vcn != shared->vcn || record.other ||
		    (!record.collision && find(index, &place, NULL) != NULL))
			continue;
		volume_index_undo(vi, &record);
		volume_index_get(vi, &place, &entry->name, &record);
		if (record.found)
			volume_index_note_removed(vi, &place, &entry->name);
	}
	return volume_index_names_status(vi);
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
