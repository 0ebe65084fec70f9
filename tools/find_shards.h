/* SPDX-License-Identifier: BSD-2-Clause */
/* What a manifest of shards says, and whether its shards are there, for `uds find`. */
#ifndef TOOLS_FIND_SHARDS_H
#define TOOLS_FIND_SHARDS_H

#include <jansson.h>

#include "identify.h"

#ifdef WITH_SHARDS

#include <uds/shards.h>

/* Opens a shard without a lock: also while it is in use. A uds_shard_open_fn; @context: none. */
int open_to_look(void *context, const char *uri, bool write, const struct uds_env *env,
		 struct uds_message *ret_message, struct uds_io **ret_io);

/*
 * Shows the manifest, and each shard that is not the index which it names. Nothing is locked, and
 * of a shard only what it begins with is read.
 *
 * @identity: damaged or of an unknown version, as is found out.
 * @o: the same for JSON; NULL: as text.
 */
void show_shards(struct identity *identity, const char *uri, json_t *o);

#else

/* Without libuds-shards nothing is a manifest. */
static inline void show_shards(struct identity *identity, const char *uri, json_t *o)
{
	(void)identity;
	(void)uri;
	(void)o;
}

#endif
#endif
