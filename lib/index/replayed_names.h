/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a replay of the journal knows of names that share an address of the volume index: whose the
 * ordinary entry is, and which names have no entry, because the replay deleted them.
 *
 * The journal has all deletions first. When they are carried out, a collision entry may become the
 * ordinary one that was still a collision entry when the next name was stored; it does not say any
 * more whose it is, and the chapter it leads to may have a record of that next name, too.
 */
#ifndef INDEX_REPLAYED_NAMES_H
#define INDEX_REPLAYED_NAMES_H

#include "index/index.h"

struct replayed_name;

/* All zero: empty. */
struct replayed_names {
	size_t count, room; /* a power of two */
	struct replayed_name *names;
};

void replayed_names_free(struct replayed_names *names, const struct uds_env *env);

/* Whether the ordinary entry of an address is certainly not that of a name. */
bool replayed_names_has_other(const struct replayed_names *names, const struct name_place *place,
			      const struct uds_record_name *name);

/* The name of the first collision entry of an address. Returns whether there is one. */
bool replayed_names_next(const struct uds_index *index, const struct name_place *place,
			 struct uds_record_name *ret_name);

/*
 * A name was deleted, and its address has other entries.
 *
 * @owner: whose the ordinary entry is now; NULL: it is as it was. Returns 0 or -ENOMEM.
 */
int replayed_names_delete(struct replayed_names *names, const struct uds_env *env,
			  const struct name_place *place, const struct uds_record_name *name,
			  const struct uds_record_name *owner);

/* A name was stored: it has an entry. */
void replayed_names_store(struct replayed_names *names, const struct name_place *place,
			  const struct uds_record_name *name);

#endif
