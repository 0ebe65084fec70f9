/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known, while an index is opened, of names that share an address of the volume index:
 * whose an ordinary entry is, and which names have no entry.
 *
 * An ordinary entry does not say whose it is. One that was a collision entry did, until the entry
 * in front of it was removed, or swept as too old. Requests of a living index came before that, or
 * after it; a recovery sweeps first, then enters chapters, and carries out deletions last. It must
 * not take such an entry for that of another name of which the chapter has an old record.
 *
 * The same is true of a name that was deleted, or dropped, during the recovery: what is found by it
 * at its address then is the entry of another name.
 *
 * Few names share their address with another one, and fewer lose their name while an index is
 * opened. What there is no memory for makes known_names_status() fail.
 *
 * Threads: any number at once; but what is known of one list is asked and changed by one at a time,
 * the one that uses the list.
 */
#ifndef VOLUME_INDEX_KNOWN_NAMES_H
#define VOLUME_INDEX_KNOWN_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/record.h>

#include "volume_index/list.h"

struct known_names;

/* Where entries share their address. */
struct known_place {
	uint32_t list; /* of the whole sub-index */
	uint32_t address;
	unsigned int sub;
};

/* Returns NULL without memory. */
struct known_names *known_names_make(const struct uds_env *env);

/* @names: may be NULL. */
void known_names_free(struct known_names *names);

/* Returns 0, or -ENOMEM when something was not noted. */
int known_names_status(struct known_names *names);

/* The ordinary entry of a place is that of @name. */
void known_names_own(struct known_names *names, const struct known_place *place,
		     const struct uds_record_name *name);

/* A name has no entry. */
void known_names_lack(struct known_names *names, const struct known_place *place,
		      const struct uds_record_name *name);

/*
 * An entry was made for a name. If it is an ordinary one, the place had none, and what was known of
 * that is void.
 */
void known_names_enter(struct known_names *names, const struct known_place *place,
		       const struct uds_record_name *name, bool ordinary);

/* Whether the ordinary entry of a place is certainly not that of a name. */
bool known_names_is_other(struct known_names *names, const struct known_place *place,
			  const struct uds_record_name *name);

/* No entry of a list has this number. */
#define KNOWN_NAMES_SWEEP UINT32_MAX

/*
 * Before entry number @removed is removed from a list, or for KNOWN_NAMES_SWEEP the list is swept:
 * notes the names that entries lose by that.
 */
void known_names_before(struct known_names *names, unsigned int sub, const struct list_zone *zone,
			const struct list_head *head, uint32_t removed);

#endif
