/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table with open addressing: for each address at most one element says whose its ordinary entry
 * is, and for each name at most one that it was deleted.
 */
#include "index/replayed_names.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#define FIRST_ROOM 64u

enum replayed_kind { FREE = 0, OWNER, DELETED, VOID };

struct replayed_name {
	struct name_place place;
	struct uds_record_name name;
	uint8_t kind; /* enum replayed_kind */
};

/* Names of one address are together: in a list there are at most some hundred. */
static size_t first_of(const struct replayed_names *names, const struct name_place *place)
{
	uint64_t key = (uint64_t)place->list << 32 | place->address;

	key = (key ^ place->sub ^ (uint64_t)place->zone << 8) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(key >> 20) & (names->room - 1);
}

static bool is_at(const struct replayed_name *element, const struct name_place *place)
{
	return element->place.address == place->address && element->place.list == place->list &&
	       element->place.zone == place->zone && element->place.sub == place->sub;
}

/* @name: NULL for the owner. Returns NULL if there is none. */
static struct replayed_name *find(const struct replayed_names *names,
				  const struct name_place *place,
				  const struct uds_record_name *name)
{
	const uint8_t kind = name == NULL ? OWNER : DELETED;

	if (names->count == 0)
		return NULL;
	for (size_t i = first_of(names, place); names->names[i].kind != FREE;
	     i = (i + 1) & (names->room - 1)) {
		struct replayed_name *element = &names->names[i];

		if (element->kind == kind && is_at(element, place) &&
		    (name == NULL || memcmp(&element->name, name, sizeof(*name)) == 0))
			return element;
	}
	return NULL;
}

static void put(struct replayed_names *names, const struct replayed_name *element)
{
	size_t i = first_of(names, &element->place);

	while (names->names[i].kind != FREE)
		i = (i + 1) & (names->room - 1);
	names->names[i] = *element;
	names->count++;
}

static int grow(struct replayed_names *names, const struct uds_env *env)
{
	struct replayed_names larger = { .room = names->room > 0 ? 2 * names->room : FIRST_ROOM };

	/* Half of it stays free. */
	if (2 * (names->count + 1) < names->room)
		return 0;
	larger.names = env_allocate_zeroed(env, larger.room, sizeof(*larger.names));
	if (larger.names == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < names->room; i++) {
		if (names->names[i].kind == OWNER || names->names[i].kind == DELETED)
			put(&larger, &names->names[i]);
	}
	env_release(env, names->names);
	*names = larger;
	return 0;
}

static int add(struct replayed_names *names, const struct uds_env *env, uint8_t kind,
	       const struct name_place *place, const struct uds_record_name *name)
{
	struct replayed_name element = { .place = *place, .name = *name, .kind = kind };
	struct replayed_name *old = find(names, place, kind == OWNER ? NULL : name);
	int r = 0;

	if (old != NULL)
		*old = element;
	else
		r = grow(names, env);
	if (old == NULL && r == 0)
		put(names, &element);
	return r;
}

void replayed_names_free(struct replayed_names *names, const struct uds_env *env)
{
	env_release(env, names->names);
	*names = (struct replayed_names){ 0 };
}

bool replayed_names_has_other(const struct replayed_names *names, const struct name_place *place,
			      const struct uds_record_name *name)
{
	const struct replayed_name *owner = find(names, place, NULL);

	return (owner != NULL && memcmp(&owner->name, name, sizeof(*name)) != 0) ||
	       find(names, place, name) != NULL;
}

struct next_name {
	uint32_t address;
	bool found;
	struct uds_record_name *name;
};

static int look(void *context, const struct list_entry *entry)
{
	struct next_name *next = context;

	if (entry->address != next->address || entry->collision_name == NULL)
		return entry->address > next->address;
	memcpy(next->name, entry->collision_name, sizeof(*next->name));
	next->found = true;
	return 1;
}

bool replayed_names_next(const struct uds_index *index, const struct name_place *place,
			 struct uds_record_name *ret_name)
{
	struct next_name next = { .address = place->address, .name = ret_name };

	volume_index_walk(index->volume_index, (enum sub_index)place->sub,
			  volume_index_list_number(index->volume_index, place), look, &next);
	return next.found;
}

int replayed_names_delete(struct replayed_names *names, const struct uds_env *env,
			  const struct name_place *place, const struct uds_record_name *name,
			  const struct uds_record_name *owner)
{
	int r = add(names, env, DELETED, place, name);

	return r == 0 && owner != NULL ? add(names, env, OWNER, place, owner) : r;
}

void replayed_names_store(struct replayed_names *names, const struct name_place *place,
			  const struct uds_record_name *name)
{
	struct replayed_name *element = find(names, place, name);

	if (element != NULL)
		element->kind = VOID;
}
