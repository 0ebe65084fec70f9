/* SPDX-License-Identifier: BSD-2-Clause */
/* The manifest in memory: its list of shards, and whose slots they make. */
#include "shards/manifest.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "shards/placement.h"

void manifest_start(struct manifest *manifest, const struct uds_env *env)
{
	static const struct uds_configuration none = UDS_CONFIGURATION_INIT;

	memset(manifest, 0, sizeof(*manifest));
	manifest->env = *env;
	manifest->geometry = none;
}

void manifest_end(struct manifest *manifest)
{
	for (unsigned int i = 0; i < manifest->count; i++)
		env_release(&manifest->env, manifest->uris[i]);
	manifest->count = 0;
}

int manifest_add(struct manifest *manifest, const char *uri, uint64_t nonce,
		 enum uds_shard_role role, struct uds_message *message)
{
	size_t length = strlen(uri);
	char *copy;
	int r;

	if (length == 0 || length > MANIFEST_URI_BYTES)
		return failure(message, -EINVAL, "a shard's URI has 1 to %u bytes, not %zu",
			       MANIFEST_URI_BYTES, length);
	r = manifest_check_text(uri, message);
	if (r < 0)
		return r;
	if (manifest->count >= UDS_SHARDS_MAX)
		return failure(message, UDS_ERR_NO_ROOM, "there may be %u shards at most",
			       UDS_SHARDS_MAX);
	copy = env_allocate(&manifest->env, length + 1, 1);
	if (copy == NULL)
		return failure(message, -ENOMEM, "no memory for the URI of a shard");
	memcpy(copy, uri, length + 1);
	manifest->uris[manifest->count] = copy;
	manifest->nonces[manifest->count] = nonce;
	manifest->roles[manifest->count] = (uint8_t)role;
	manifest->count++;
	return 0;
}

void manifest_drop(struct manifest *manifest, unsigned int number)
{
	size_t behind = manifest->count - number - 1;

	env_release(&manifest->env, manifest->uris[number]);
	memmove(&manifest->uris[number], &manifest->uris[number + 1],
		behind * sizeof(manifest->uris[0]));
	memmove(&manifest->nonces[number], &manifest->nonces[number + 1],
		behind * sizeof(manifest->nonces[0]));
	memmove(&manifest->roles[number], &manifest->roles[number + 1], behind);
	manifest->count--;
}

unsigned int manifest_find_uri(const struct manifest *manifest, const char *uri)
{
	unsigned int i = 0;

	while (i < manifest->count && strcmp(manifest->uris[i], uri) != 0)
		i++;
	return i;
}

int manifest_copy(const struct manifest *manifest, struct manifest *ret_copy)
{
	int r = 0;

	manifest_start(ret_copy, &manifest->env);
	ret_copy->generation = manifest->generation;
	ret_copy->state = manifest->state;
	ret_copy->geometry = manifest->geometry;
	for (unsigned int i = 0; r == 0 && i < manifest->count; i++)
		r = manifest_add(ret_copy, manifest->uris[i], manifest->nonces[i],
				 (enum uds_shard_role)manifest->roles[i], NULL);
	if (r < 0)
		manifest_end(ret_copy);
	return r;
}

unsigned int manifest_find(const struct manifest *manifest, uint64_t nonce)
{
	unsigned int i = 0;

	while (i < manifest->count && manifest->nonces[i] != nonce)
		i++;
	return i;
}

bool geometry_is_same(const struct uds_configuration *a, const struct uds_configuration *b)
{
	return a->page_bytes == b->page_bytes &&
	       a->record_pages_per_chapter == b->record_pages_per_chapter &&
	       a->chapters_per_volume == b->chapters_per_volume &&
	       a->sparse_chapters_per_volume == b->sparse_chapters_per_volume &&
	       a->cache_chapters == b->cache_chapters &&
	       a->volume_index_mean_delta == b->volume_index_mean_delta &&
	       a->sparse_sample_rate == b->sparse_sample_rate;
}

void manifest_place(const struct manifest *manifest, bool after,
		    uint8_t ret_shards[UDS_SHARDS_SLOTS])
{
	uint8_t without = after ? UDS_SHARD_LEAVING : UDS_SHARD_JOINING;
	uint8_t numbers[UDS_SHARDS_MAX];
	unsigned int count = 0;

	for (unsigned int i = 0; i < manifest->count; i++) {
		if (manifest->roles[i] != without)
			numbers[count++] = (uint8_t)i;
	}
	placement_make(manifest->nonces, numbers, count, ret_shards);
}
