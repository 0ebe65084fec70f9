/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manifest: which indexes belong together, as JSON.
 *
 *	{ "format": "uds-shards", "version": 1, "generation": 7, "state": "moving",
 *	  "geometry": { "page_bytes": 32768, ... },
 *	  "shards": [ { "uri": "/data/a.uds", "volume_nonce": "0x0123456789abcdef",
 *			"role": "member" }, ... ] }
 *
 * Reading accepts this version only, all members, each once, and no other, so that a manifest of a
 * later version, or one that was cut short or edited, is never half understood.
 *
 * jansson takes its memory from the C library, not from the environment's allocator.
 */
#ifndef SHARDS_MANIFEST_H
#define SHARDS_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/shards.h>

/* The longest URI, and more than the longest manifest. */
#define MANIFEST_URI_BYTES 1023u
#define MANIFEST_MAX_BYTES ((size_t)512 << 10)

/* As far as generations count: JSON's numbers go on, so that one more never wraps. */
#define MANIFEST_MAX_GENERATION (UINT64_C(1) << 62)

struct manifest {
	struct uds_env env;
	uint64_t generation;
	enum uds_shards_state state;
	struct uds_configuration geometry; /* of every shard; nonces and remapping are not in it */
	unsigned int count;
	char *uris[UDS_SHARDS_MAX];
	uint64_t nonces[UDS_SHARDS_MAX];
	uint8_t roles[UDS_SHARDS_MAX]; /* enum uds_shard_role */
};

/* An empty one of generation 0. @env: completed. */
void manifest_start(struct manifest *manifest, const struct uds_env *env);
void manifest_end(struct manifest *manifest);

/* Returns 0; -EINVAL for a URI that is empty, too long or not UTF-8; -ENOMEM; UDS_ERR_NO_ROOM. */
int manifest_add(struct manifest *manifest, const char *uri, uint64_t nonce,
		 enum uds_shard_role role, struct uds_message *message);

void manifest_drop(struct manifest *manifest, unsigned int number);

/* Returns 0 or -ENOMEM; @ret_copy is started. */
int manifest_copy(const struct manifest *manifest, struct manifest *ret_copy);

/* The number of the shard with this nonce; manifest->count: none. */
unsigned int manifest_find(const struct manifest *manifest, uint64_t nonce);

/* The same of the shard with this URI. */
unsigned int manifest_find_uri(const struct manifest *manifest, const char *uri);

/* Whether two configurations make the same volumes. */
bool geometry_is_same(const struct uds_configuration *a, const struct uds_configuration *b);

/*
 * Fills in the shards before (@after false) or after the move, and the slots of each. A stable
 * manifest has the same before and after.
 */
void manifest_place(const struct manifest *manifest, bool after,
		    uint8_t ret_shards[UDS_SHARDS_SLOTS]);

/* Whether JSON can have a URI: 0, -EINVAL or -ENOMEM. */
int manifest_check_text(const char *uri, struct uds_message *message);

/*
 * Makes the text. Returns 0 or -ENOMEM. *@ret_text is freed with free().
 */
int manifest_print(const struct manifest *manifest, char **ret_text, size_t *ret_length);

/*
 * Reads the text into a manifest that was started. @name: for the sentence.
 *
 * Returns 0, UDS_ERR_CORRUPT, UDS_ERR_UNSUPPORTED_VERSION or -ENOMEM.
 */
int manifest_parse(struct manifest *manifest, const char *text, size_t length, const char *name,
		   struct uds_message *message);

#endif
