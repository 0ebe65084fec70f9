/* SPDX-License-Identifier: BSD-2-Clause */
/* The manifest as JSON: strict in what it reads. */
#include "shards/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/env.h"
#include "base/message.h"

#define MANIFEST_FORMAT	 "uds-shards"
#define MANIFEST_VERSION 1

static const char *const states[] = { "stable", "moving" };
static const char *const roles[] = { "member", "joining", "leaving" };

/* The numbers of a geometry, in the order in which they are written. */
static const struct {
	const char *key;
	size_t offset;
} numbers[] = {
#define NUMBER(member)                                              \
	{                                                           \
#member, offsetof(struct uds_configuration, member) \
	}
	NUMBER(page_bytes),	     NUMBER(record_pages_per_chapter),
	NUMBER(chapters_per_volume), NUMBER(sparse_chapters_per_volume),
	NUMBER(cache_chapters),	     NUMBER(volume_index_mean_delta),
	NUMBER(sparse_sample_rate),
};

#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static uint32_t *number_at(struct uds_configuration *c, size_t i)
{
	return (uint32_t *)(void *)((uint8_t *)c + numbers[i].offset);
}

/* ---- writing ---- */

int manifest_check_text(const char *uri, struct uds_message *message)
{
	json_t *text = json_string(uri);
	int r = text != NULL ? 0 : -EINVAL;

	/* Without memory it is refused as well: then so is text that fits. */
	if (text == NULL)
		text = json_string("");
	if (text == NULL)
		return failure(message, -ENOMEM, "no memory for the URI of a shard");
	json_decref(text);
	if (r < 0)
		failure(message, r,
			"it is not UTF-8, as JSON has to be; of a path, write the bytes that are "
			"not as %%XX: file:/PATH%%FF");
	return r;
}

static json_t *print_geometry(const struct uds_configuration *given)
{
	struct uds_configuration c = *given;
	json_t *object = json_object();

	for (size_t i = 0; object != NULL && i < NUMBERS; i++) {
		if (json_object_set_new(object, numbers[i].key, json_integer(*number_at(&c, i))) <
		    0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *print_shards(const struct manifest *manifest)
{
	json_t *array = json_array();

	for (unsigned int i = 0; array != NULL && i < manifest->count; i++) {
		char nonce[32];

		snprintf(nonce, sizeof(nonce), "0x%016" PRIx64, manifest->nonces[i]);
		if (json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "uri",
							   manifest->uris[i], "volume_nonce", nonce,
							   "role", roles[manifest->roles[i]])) <
		    0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

int manifest_print(const struct manifest *manifest, char **ret_text, size_t *ret_length)
{
	/* "o" takes the reference, also where packing fails; NULL makes it fail. */
	json_t *all =
		json_pack("{s:s, s:i, s:I, s:s, s:o, s:o}", "format", MANIFEST_FORMAT, "version",
			  MANIFEST_VERSION, "generation", (json_int_t)manifest->generation, "state",
			  states[manifest->state], "geometry", print_geometry(&manifest->geometry),
			  "shards", print_shards(manifest));
	char *text = all == NULL ? NULL : json_dumps(all, JSON_INDENT(2));
	size_t length;

	json_decref(all);
	if (text == NULL)
		return -ENOMEM;
	length = strlen(text);
	/* The newline takes the place of the zero byte: the text is a file's, not a string. */
	text[length] = '\n';
	*ret_text = text;
	*ret_length = length + 1;
	return 0;
}

/* ---- reading ---- */

struct reading {
	struct manifest *manifest;
	const char *name;
	struct uds_message *message;
};

static int wrong(const struct reading *reading, const char *what)
{
	return failure(reading->message, UDS_ERR_CORRUPT, "%s: %s", reading->name, what);
}

/* The number of the text in the list; @count: it is not there. */
static unsigned int find_word(const char *const *words, unsigned int count, const char *text)
{
	unsigned int i = 0;

	while (i < count && strcmp(words[i], text) != 0)
		i++;
	return i;
}

static int read_geometry(const struct reading *reading, json_t *object)
{
	struct uds_configuration *c = &reading->manifest->geometry;
	struct uds_geometry geometry = UDS_GEOMETRY_INIT;
	struct uds_message said = { "" };

	if (json_object_size(object) != NUMBERS)
		return wrong(reading, "its geometry has too many or too few members");
	for (size_t i = 0; i < NUMBERS; i++) {
		json_t *value = json_object_get(object, numbers[i].key);

		if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		    json_integer_value(value) > UINT32_MAX)
			return wrong(reading,
				     "a number of its geometry is missing or out of range");
		*number_at(c, i) = (uint32_t)json_integer_value(value);
	}
	/* A converted volume has its own remapping, which the manifest leaves out. */
	if (uds_geometry_compute(c, &said, &geometry) < 0)
		return failure(reading->message, UDS_ERR_CORRUPT, "%s: its geometry: %s",
			       reading->name, said.text);
	return 0;
}

static bool read_nonce(const char *text, uint64_t *ret_nonce)
{
	if (strlen(text) != 18 || strncmp(text, "0x", 2) != 0 ||
	    strspn(text + 2, "0123456789abcdef") != 16)
		return false;
	*ret_nonce = strtoull(text + 2, NULL, 16);
	return true;
}

static int read_shard(const struct reading *reading, json_t *value)
{
	struct manifest *manifest = reading->manifest;
	const char *uri, *nonce_text, *role_text;
	unsigned int role, other;
	uint64_t nonce;

	/* "!": no other members. */
	if (json_unpack(value, "{s:s, s:s, s:s !}", "uri", &uri, "volume_nonce", &nonce_text,
			"role", &role_text) < 0)
		return wrong(reading, "a shard has not uri, volume_nonce and role");
	role = find_word(roles, 3, role_text);
	if (role == 3 || !read_nonce(nonce_text, &nonce))
		return wrong(reading, "a shard's role or volume_nonce is none");
	other = manifest_find(manifest, nonce);
	if (other == manifest->count)
		other = manifest_find_uri(manifest, uri);
	if (other < manifest->count)
		return failure(reading->message, UDS_ERR_CORRUPT,
			       "%s: shards %u and %u, %.150s and %.150s, are the same index",
			       reading->name, other + 1, manifest->count + 1, manifest->uris[other],
			       uri);
	if (uri[0] == '\0' || strlen(uri) > MANIFEST_URI_BYTES)
		return wrong(reading, "the uri of a shard is empty or too long");
	return manifest_add(manifest, uri, nonce, (enum uds_shard_role)role, reading->message);
}

/* At most one shard moves, and only when the state says so; the others are members. */
static int check_roles(const struct reading *reading)
{
	const struct manifest *manifest = reading->manifest;
	unsigned int moving = 0;

	for (unsigned int i = 0; i < manifest->count; i++)
		moving += manifest->roles[i] != UDS_SHARD_MEMBER;
	if (moving != (manifest->state == UDS_SHARDS_MOVING ? 1u : 0u) ||
	    manifest->count - moving < 1)
		return wrong(reading, "the roles of its shards do not fit its state");
	return 0;
}

static int read_members(const struct reading *reading, json_t *all)
{
	struct manifest *manifest = reading->manifest;
	json_t *geometry, *shards;
	json_int_t generation;
	const char *format, *state;
	unsigned int state_number;
	json_int_t version;
	int r;

	/* "I": an int would take version 4294967297 for 1. */
	if (json_unpack(all, "{s:s, s:I}", "format", &format, "version", &version) < 0 ||
	    strcmp(format, MANIFEST_FORMAT) != 0)
		return wrong(reading, "it is not a manifest of shards");
	if (version != MANIFEST_VERSION)
		return failure(reading->message, UDS_ERR_UNSUPPORTED_VERSION,
			       "%s: a manifest of version %lld; only version %d is known",
			       reading->name, (long long)version, MANIFEST_VERSION);
	if (json_unpack(all, "{s:s, s:I, s:I, s:s, s:o, s:o !}", "format", &format, "version",
			&version, "generation", &generation, "state", &state, "geometry", &geometry,
			"shards", &shards) < 0)
		return wrong(reading, "members are missing, or there are unknown ones");
	state_number = find_word(states, 2, state);
	if (generation < 1 || generation > (json_int_t)MANIFEST_MAX_GENERATION ||
	    state_number == 2 || !json_is_object(geometry) || !json_is_array(shards) ||
	    json_array_size(shards) < 1 || json_array_size(shards) > UDS_SHARDS_MAX)
		return wrong(reading, "its generation, state, geometry or shards are out of range");
	manifest->generation = (uint64_t)generation;
	manifest->state = (enum uds_shards_state)state_number;
	r = read_geometry(reading, geometry);
	for (size_t i = 0; r == 0 && i < json_array_size(shards); i++)
		r = read_shard(reading, json_array_get(shards, i));
	return r < 0 ? r : check_roles(reading);
}

int manifest_parse(struct manifest *manifest, const char *text, size_t length, const char *name,
		   struct uds_message *message)
{
	struct reading reading = { manifest, name, message };
	json_error_t error;
	json_t *all = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	int r;

	if (all == NULL && json_error_code(&error) == json_error_out_of_memory)
		return failure(message, -ENOMEM, "%s: no memory to read it", name);
	if (all == NULL)
		return failure(message, UDS_ERR_CORRUPT, "%s: line %d: not JSON, or cut short: %s",
			       name, error.line, error.text);
	r = read_members(&reading, all);
	json_decref(all);
	/* What was read so far is of no use. */
	if (r < 0)
		manifest_end(manifest);
	return r;
}
