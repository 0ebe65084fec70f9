/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a manifest lies: a file that is replaced by renaming a new one over it, or the caller's
 * store. Everything about the file stands in manifest_place.c.
 *
 * A replacement that fails may have happened all the same (a rename whose folder could not be
 * synced). So a program knows, after a failure, only that the place has the manifest before or the
 * one it wanted; @unsure says that, until a later replacement succeeds.
 */
#ifndef SHARDS_MANIFEST_PLACE_H
#define SHARDS_MANIFEST_PLACE_H

#include "shards/manifest.h"

struct manifest_place {
	const char *name;		 /* the path, or what sentences call it; the caller's */
	struct uds_manifest_store store; /* store.load NULL: it is a file */
	bool unsure;
};

/* @store: may be NULL. Returns 0, or what the struct's size came to, or -EINVAL. */
int manifest_place_start(struct manifest_place *place, const char *name,
			 const struct uds_manifest_store *store, struct uds_message *message);

/* Reads a manifest. Returns 0, -ENOENT, what the system or the store said, or manifest_parse(). */
int manifest_place_load(const struct manifest_place *place, struct manifest *ret_manifest,
			const struct uds_env *env, struct uds_message *message);

/*
 * Replaces the manifest of the generation before @manifest's by it; generation 1 where none is.
 *
 * Returns 0, or UDS_ERR_EXISTS for generation 1 where there is one, UDS_ERR_MISMATCH when the one
 * that is there is of another generation: another program changed it; or what the system or the
 * store said.
 */
int manifest_place_replace(struct manifest_place *place, const struct manifest *manifest,
			   struct uds_message *message);

#endif
