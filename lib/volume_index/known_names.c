/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table with open addressing: for each place at most one element says whose its ordinary entry
 * is, and for each name at most one that it has none.
 */
#include "volume_index/known_names.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/env.h"

#define FIRST_ROOM 64u

enum known_kind { FREE = 0, OWNER, LACKING, VOID };

struct known_name {
	struct known_place place;
	struct uds_record_name name;
	enum known_kind kind;
};

struct known_names {
	struct uds_env env;
	pthread_mutex_t lock;
	bool lost; /* something was not noted */
	/* Elements, void ones included. Asked without the lock: another thread's do not matter. */
	atomic_size_t count;
	size_t room; /* a power of two, or 0 */
	struct known_name *names;
};

/* Elements of one place are together: a list has at most some hundred. */
static size_t first_of(const struct known_names *names, const struct known_place *place)
{
	uint64_t key = (uint64_t)place->list << 32 | place->address;

	key = (key ^ (uint64_t)place->sub << 31) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(key >> 20) & (names->room - 1);
}

static bool is_at(const struct known_name *element, const struct known_place *place)
{
	return element->place.address == place->address && element->place.list == place->list &&
	       element->place.sub == place->sub;
}

static bool is_name(const struct known_name *element, const struct uds_record_name *name)
{
	return memcmp(&element->name, name, sizeof(*name)) == 0;
}

/* @name: NULL for the owner. Returns NULL if there is none. */
static struct known_name *find(const struct known_names *names, const struct known_place *place,
			       const struct uds_record_name *name)
{
	const enum known_kind kind = name == NULL ? OWNER : LACKING;

	if (names->room == 0)
		return NULL;
	for (size_t i = first_of(names, place); names->names[i].kind != FREE;
	     i = (i + 1) & (names->room - 1)) {
		struct known_name *element = &names->names[i];

		if (element->kind == kind && is_at(element, place) &&
		    (name == NULL || is_name(element, name)))
			return element;
	}
	return NULL;
}

static void put(struct known_names *names, const struct known_name *element)
{
	size_t i = first_of(names, &element->place);

	while (names->names[i].kind != FREE)
		i = (i + 1) & (names->room - 1);
	names->names[i] = *element;
}

/* Half of it stays free. Returns whether there is room for one more. */
static bool make_room(struct known_names *names)
{
	const struct known_names old = { .room = names->room, .names = names->names };
	const size_t room = old.room > 0 ? 2 * old.room : FIRST_ROOM;
	struct known_name *larger;

	if (2 * (names->count + 1) < old.room)
		return true;
	larger = env_allocate_zeroed(&names->env, room, sizeof(*larger));
	if (larger == NULL)
		return false;
	names->names = larger;
	names->room = room;
	for (size_t i = 0; i < old.room; i++) {
		if (old.names[i].kind == OWNER || old.names[i].kind == LACKING)
			put(names, &old.names[i]);
		else
			names->count -= old.names[i].kind == VOID;
	}
	env_release(&names->env, old.names);
	return true;
}

static void note(struct known_names *names, enum known_kind kind, const struct known_place *place,
		 const struct uds_record_name *name)
{
	const struct known_name element = { .place = *place, .name = *name, .kind = kind };
	struct known_name *old;

	pthread_mutex_lock(&names->lock);
	old = find(names, place, kind == OWNER ? NULL : name);
	if (old != NULL) {
		*old = element;
	} else if (make_room(names)) {
		put(names, &element);
		names->count++;
	} else {
		names->lost = true;
	}
	pthread_mutex_unlock(&names->lock);
}

struct known_names *known_names_make(const struct uds_env *env)
{
	struct known_names *names = env_allocate_zeroed(env, 1, sizeof(*names));

	if (names == NULL)
		return NULL;
	names->env = *env;
	pthread_mutex_init(&names->lock, NULL);
	return names;
}

void known_names_free(struct known_names *names)
{
	struct uds_env env;

	if (names == NULL)
		return;
	env = names->env;
	pthread_mutex_destroy(&names->lock);
	env_release(&env, names->names);
	env_release(&env, names);
}

int known_names_status(struct known_names *names)
{
	bool lost;

	pthread_mutex_lock(&names->lock);
	lost = names->lost;
	pthread_mutex_unlock(&names->lock);
	return lost ? -ENOMEM : 0;
}

void known_names_own(struct known_names *names, const struct known_place *place,
		     const struct uds_record_name *name)
{
	note(names, OWNER, place, name);
}

void known_names_lack(struct known_names *names, const struct known_place *place,
		      const struct uds_record_name *name)
{
	note(names, LACKING, place, name);
}

void known_names_enter(struct known_names *names, const struct known_place *place,
		       const struct uds_record_name *name, bool ordinary)
{
	struct known_name *lacking, *owner;

	if (names->count == 0)
		return;
	pthread_mutex_lock(&names->lock);
	lacking = find(names, place, name);
	owner = find(names, place, NULL);
	if (lacking != NULL)
		lacking->kind = VOID;
	if (ordinary && owner != NULL)
		owner->kind = VOID;
	pthread_mutex_unlock(&names->lock);
}

bool known_names_is_other(struct known_names *names, const struct known_place *place,
			  const struct uds_record_name *name)
{
	const struct known_name *owner;
	bool is_other;

	if (names->count == 0)
		return false;
	pthread_mutex_lock(&names->lock);
	owner = find(names, place, NULL);
	is_other = (owner != NULL && !is_name(owner, name)) || find(names, place, name) != NULL;
	pthread_mutex_unlock(&names->lock);
	return is_other;
}

/* ---- names that entries lose ---- */

/* The key of an entry. */
static uint32_t key_of(const struct list_zone *zone, const struct list_view *view,
		       uint32_t position)
{
	uint32_t bit = 0;

	/* Its 1 bit; each 0 bit before it is the end of a bucket. */
	for (uint32_t left = position;; bit++) {
		if ((view->upper[bit / 8] >> (bit % 8) & 1) != 0 && left-- == 0)
			break;
	}
	return (bit - position) << zone->shape->low_bits |
	       ((uint32_t)list_rest(zone->shape, view->rest, position) & zone->shape->low_mask);
}

static bool stays(const struct list_zone *zone, const struct list_head *head,
		  const struct list_view *view, uint32_t position, uint32_t removed)
{
	return position != removed &&
	       !list_is_stale(zone, head, list_value(zone->shape, view, position));
}

static void own_collision(struct known_names *names, unsigned int sub, const struct list_zone *zone,
			  const struct list_head *head, const struct list_view *view,
			  uint32_t which)
{
	const struct known_place place = {
		.list = zone->first_list + (uint32_t)(head - zone->heads),
		.address = key_of(zone, view, list_name_position(view, which)),
		.sub = sub,
	};
	struct uds_record_name name;

	memcpy(&name, list_name(zone, head, which), sizeof(name));
	known_names_own(names, &place, &name);
}

void known_names_before(struct known_names *names, unsigned int sub, const struct list_zone *zone,
			const struct list_head *head, uint32_t removed)
{
	bool is_led = false; /* an entry of the address stays in front: that is the ordinary one */
	struct list_view view;

	if (list_head_collisions(head) == 0)
		return;
	view = list_view_of(zone, head);
	for (uint32_t which = 0; which < view.collisions; which++) {
		const uint32_t position = list_name_position(&view, which);

		/* Behind an entry without a name begins another address. */
		if (which == 0 || list_name_position(&view, which - 1) + 1 < position)
			is_led = false;
		is_led = is_led || stays(zone, head, &view, position - 1, removed);
		if (!is_led && stays(zone, head, &view, position, removed))
			own_collision(names, sub, zone, head, &view, which);
	}
}
