/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manifest of shards. Its memory is bounded in the environment only: jansson takes its own from
 * the C library.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "shards/manifest.h"

static void check_shards(const struct manifest *manifest)
{
	unsigned int moving = 0;

	FUZZ_REQUIRE(manifest->count >= 1 && manifest->count <= UDS_SHARDS_MAX);
	for (unsigned int i = 0; i < manifest->count; i++) {
		const char *uri = manifest->uris[i];

		/* Each once, so that the first that is found is this one. */
		FUZZ_REQUIRE(manifest_find(manifest, manifest->nonces[i]) == i);
		FUZZ_REQUIRE(manifest_find_uri(manifest, uri) == i);
		FUZZ_REQUIRE(strlen(uri) >= 1 && strlen(uri) <= MANIFEST_URI_BYTES);
		FUZZ_REQUIRE(manifest_check_text(uri, NULL) == 0);
		FUZZ_REQUIRE(manifest->roles[i] <= UDS_SHARD_LEAVING);
		moving += manifest->roles[i] != UDS_SHARD_MEMBER;
	}
	FUZZ_REQUIRE(moving == (manifest->state == UDS_SHARDS_MOVING));
	FUZZ_REQUIRE(moving < manifest->count);
}

/* Each name has a shard at each time, which is not the one that is not there yet, or any more. */
static void check_slots(const struct manifest *manifest, bool after)
{
	uint8_t shards[UDS_SHARDS_SLOTS];

	manifest_place(manifest, after, shards);
	for (unsigned int i = 0; i < UDS_SHARDS_SLOTS; i++) {
		FUZZ_REQUIRE(shards[i] < manifest->count);
		FUZZ_REQUIRE(manifest->roles[shards[i]] !=
			     (after ? UDS_SHARD_LEAVING : UDS_SHARD_JOINING));
	}
}

static void check_same(const struct manifest *a, const struct manifest *b)
{
	FUZZ_REQUIRE(a->generation == b->generation && a->state == b->state);
	FUZZ_REQUIRE(geometry_is_same(&a->geometry, &b->geometry));
	FUZZ_REQUIRE(a->count == b->count);
	for (unsigned int i = 0; i < a->count; i++) {
		FUZZ_REQUIRE(strcmp(a->uris[i], b->uris[i]) == 0);
		FUZZ_REQUIRE(a->nonces[i] == b->nonces[i] && a->roles[i] == b->roles[i]);
	}
}

/* What was read is written so that it is read again, as the same. */
static void check_printed(const struct manifest *manifest, const struct uds_env *env)
{
	struct manifest again;
	char *text = NULL, *second = NULL;
	size_t length = 0, second_length = 0;

	FUZZ_REQUIRE(manifest_print(manifest, &text, &length) == 0);
	FUZZ_REQUIRE(length > 0 && length <= MANIFEST_MAX_BYTES);
	manifest_start(&again, env);
	FUZZ_REQUIRE(manifest_parse(&again, text, length, "again", NULL) == 0);
	check_same(manifest, &again);
	FUZZ_REQUIRE(manifest_print(&again, &second, &second_length) == 0);
	FUZZ_REQUIRE(second_length == length && memcmp(text, second, length) == 0);
	manifest_end(&again);
	FUZZ_REQUIRE(manifest_copy(manifest, &again) == 0);
	check_same(manifest, &again);
	manifest_end(&again);
	free(second);
	free(text);
}

void fuzz_shards_manifest(const uint8_t *bytes, size_t size)
{
	/* Its URIs, each with a zero byte where the text has quotes, and once more, read again. */
	const struct uds_env *env = fuzz_env_begin(size, 0, 2);
	struct uds_message message = { "" };
	struct manifest manifest;
	int r;

	manifest_start(&manifest, env);
	r = manifest_parse(&manifest, (const char *)bytes, size, "fuzz", &message);
	if (r == 0) {
		FUZZ_REQUIRE(manifest.generation >= 1 &&
			     manifest.generation <= MANIFEST_MAX_GENERATION);
		check_shards(&manifest);
		check_slots(&manifest, false);
		check_slots(&manifest, true);
		check_printed(&manifest, env);
	} else {
		FUZZ_REQUIRE(r == UDS_ERR_CORRUPT || r == UDS_ERR_UNSUPPORTED_VERSION);
		FUZZ_REQUIRE(strncmp(message.text, "fuzz: ", 6) == 0 && message.text[6] != '\0');
		FUZZ_REQUIRE(manifest.count == 0);
	}
	manifest_end(&manifest);
	fuzz_env_end();
}
