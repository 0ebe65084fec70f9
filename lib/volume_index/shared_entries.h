/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entries of one chapter that share their address with other entries: which of a save's open
 * chapter a recovery must not simply take out.
 *
 * An ordinary entry does not say whose it is. Without its own entry a name is found by that of
 * another name at its address, if the chapter that this leads to has a record of both; put back
 * then, it takes the other's entry along. So these entries stay while the chapter's records are
 * entered, and each record confirms its own. Those that none has confirmed are of names that were
 * deleted after the save.
 *
 * Threads: one at a time, but for shared_entries_confirm(): entries of different lists can be
 * confirmed by several threads at once.
 */
#ifndef VOLUME_INDEX_SHARED_ENTRIES_H
#define VOLUME_INDEX_SHARED_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/record.h>

struct shared_entry {
	uint32_t list; /* of the whole sub-index */
	uint32_t address;
	uint8_t sub;   /* enum sub_index */
	bool has_name; /* a collision entry */
	bool confirmed;
	struct uds_record_name name; /* zero without one */
};

/* All zero, but for the environment: empty. */
struct shared_entries {
	const struct uds_env *env;
	uint64_t vcn; /* the chapter; for those who load it */
	size_t count, room;
	struct shared_entry *entries;
};

/* Returns 0 or -ENOMEM. */
int shared_entries_add(struct shared_entries *shared, const struct shared_entry *entry);

/* Adds all of @from. Returns 0 or -ENOMEM. */
int shared_entries_add_all(struct shared_entries *shared, const struct shared_entries *from);

/* After the last one was added. */
void shared_entries_sort(struct shared_entries *shared);

/* Empty again. */
void shared_entries_clear(struct shared_entries *shared);

/*
 * The entry of an address that has this name; or the ordinary one, for NULL. Returns NULL if there
 * is none. Sorted.
 */
struct shared_entry *shared_entries_find(const struct shared_entries *shared, unsigned int sub,
					 uint32_t list, uint32_t address,
					 const struct uds_record_name *name);

/* How many are confirmed. */
size_t shared_entries_confirmed(const struct shared_entries *shared);

/* None is, any more. */
void shared_entries_begin_again(struct shared_entries *shared);

#endif
