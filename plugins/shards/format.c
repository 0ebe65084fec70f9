/* SPDX-License-Identifier: BSD-2-Clause */
/* Making a manifest, and what can be asked of one whose shards are not open. */
#include "shards/shards.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"

/* ---- making one ---- */

/* Only what makes the volume: whose it is, and how it was converted, is each index's own matter. */
static void take_geometry(struct manifest *manifest, const struct uds_configuration *c)
{
	manifest->geometry = *c;
	manifest->geometry.nonce = 0;
	manifest->geometry.remapped_virtual = manifest->geometry.remapped_physical = 0;
}

/* Parts of one file or device, each with an index of its own, would write over each other. */
static int check_apart(const struct shard_check *check, const struct manifest *manifest,
		       const char *uri, struct uds_io *const *ios, struct uds_message *message)
{
	unsigned int number = manifest->count;

	for (unsigned int i = 0; i < number; i++) {
		if (uds_io_overlap(ios[number], ios[i]))
			return failure(message, UDS_ERR_EXISTS,
				       "%.100s: shards %u and %u, %.150s and %.150s, have bytes in "
				       "common",
				       check->name, i + 1, number + 1, manifest->uris[i], uri);
	}
	return 0;
}

static int check_new(const struct shard_check *check, struct manifest *manifest, const char *uri,
		     const struct uds_index_info *info, bool only, struct uds_io *const *ios,
		     struct uds_message *message)
{
	unsigned int number = manifest->count;
	unsigned int other = manifest_find(manifest, info->volume_nonce);
	int r;

	if (other < manifest->count)
		return failure(message, UDS_ERR_EXISTS,
			       "%.100s: shards %u and %u, %.150s and %.150s, are the same index",
			       check->name, other + 1, number + 1, manifest->uris[other], uri);
	r = check_apart(check, manifest, uri, ios, message);
	if (r < 0)
		return r;
	if (number == 0)
		take_geometry(manifest, &info->configuration);
	if (!geometry_is_same(&info->configuration, &manifest->geometry))
		return failure(
			message, UDS_ERR_MISMATCH,
			"%.100s: shard %u (%.150s) is of another geometry than the first one",
			check->name, number + 1, uri);
	/* They would be in shards that do not answer for them. */
	if (!only && info->records > 0)
		return failure(message, UDS_ERR_NOT_EMPTY,
			       "%.100s: shard %u (%.150s) has records, up to %" PRIu64
			       ": begin with it alone, and add the others",
			       check->name, number + 1, uri, info->records);
	r = manifest_add(manifest, uri, info->volume_nonce, UDS_SHARD_MEMBER, message);
	return r < 0 ? failure_in(message, r, "%.100s: shard %u (%.150s)", check->name, number + 1,
				  uri)
		     : 0;
}

/* @ios: of the shards so far; the new one's is added, to be closed by the caller. */
static int add_new(const struct shard_check *check, struct manifest *manifest, const char *uri,
		   bool only, struct uds_io **ios, struct uds_message *message)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	unsigned int number = manifest->count;
	int r;

	if (uri[0] == '\0')
		return failure(message, -EINVAL, "%.100s: the name of shard %u is empty",
			       check->name, number + 1);
	r = shard_open_io(check, uri, number, false, message, &ios[number]);
	if (r < 0)
		return r;
	r = shard_read_info(check, uri, number, ios[number], message, &info);
	if (r == 0)
		r = check_new(check, manifest, uri, &info, only, ios, message);
	return r;
}

UDS_PUBLIC int uds_shards_format(const char *manifest, const char *const *uris, size_t count,
				 const struct uds_shards_options *options,
				 struct uds_message *ret_message)
{
	struct uds_shards_options taken;
	struct uds_io *ios[UDS_SHARDS_MAX] = { NULL };
	struct manifest_place place;
	struct manifest made;
	struct uds_env env;
	int r = shards_take_options(options, &taken, &env, ret_message);
	struct shard_check check = { &taken, &env, &made, manifest };

	if (r == 0)
		r = manifest_place_start(&place, manifest, taken.store, ret_message);
	if (r < 0)
		return r;
	if (count < 1 || count > UDS_SHARDS_MAX)
		return failure(ret_message, -EINVAL, "%s: 1 to %u shards are possible, not %zu",
			       manifest, UDS_SHARDS_MAX, count);
	manifest_start(&made, &env);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_new(&check, &made, uris[i], count == 1, ios, ret_message);
	/* Open until here, to be compared. */
	for (size_t i = 0; i < count && ios[i] != NULL; i++)
		uds_io_close(ios[i]);
	made.generation = 1;
	if (r == 0)
		r = manifest_place_replace(&place, &made, ret_message);
	manifest_end(&made);
	return r;
}

/* ---- reading one ---- */

static int load_manifest(const char *name, const struct uds_shards_options *taken,
			 const struct uds_env *env, struct uds_message *message,
			 struct manifest *ret_manifest)
{
	struct manifest_place place;
	int r = manifest_place_start(&place, name, taken->store, message);

	return r < 0 ? r : manifest_place_load(&place, ret_manifest, env, message);
}

static int show_shards(const struct manifest *manifest, const uint8_t *home, uds_shard_fn each,
		       void *context)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && each != NULL && i < manifest->count; i++) {
		struct uds_shard_info info = UDS_SHARD_INFO_INIT;

		fill_shard_info(manifest, home, i, NULL, &info);
		if (each(context, &info) != 0)
			r = UDS_ERR_STOPPED;
	}
	return r;
}

UDS_PUBLIC int uds_shards_read_info(const char *manifest, const struct uds_shards_options *options,
				    uds_shard_fn each, void *context,
				    struct uds_message *ret_message,
				    struct uds_shards_info *ret_info)
{
	uint8_t home[UDS_SHARDS_SLOTS], target[UDS_SHARDS_SLOTS];
	struct uds_shards_options taken;
	struct manifest loaded;
	struct uds_env env;
	int r = STRUCT_OUT_CHECK(ret_info, uds_shards_info, configuration, ret_message);

	if (r == 0)
		r = shards_take_options(options, &taken, &env, ret_message);
	if (r == 0)
		r = load_manifest(manifest, &taken, &env, ret_message, &loaded);
	if (r < 0)
		return r;
	manifest_place(&loaded, false, home);
	manifest_place(&loaded, true, target);
	r = show_shards(&loaded, home, each, context);
	if (r == 0)
		fill_info(&loaded, home, target, ret_info);
	else
		failure(ret_message, r, "%s: the caller stopped", manifest);
	manifest_end(&loaded);
	return r;
}

/* ---- verifying ---- */

struct verifying {
	struct shard_check check;
	struct uds_index_options index_options;
	uds_finding_fn found;
	void *found_context;
	uint64_t findings;
};

static int finding(void *context, const char *sentence)
{
	struct verifying *verifying = context;

	if (verifying->found != NULL && verifying->found(verifying->found_context, sentence) != 0)
		return 1;
	verifying->findings++;
	return 0;
}

/* A shard that is missing or another is a finding. Without memory nothing was found out. */
static int verify_shard(struct verifying *verifying, unsigned int number,
			struct uds_message *message)
{
	const char *uri = verifying->check.manifest->uris[number];
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct uds_message said = { "" };
	struct uds_io *io = NULL;
	int r = shard_open_io(&verifying->check, uri, number, false, &said, &io);

	if (r == 0)
		r = shard_check_identity(&verifying->check, number, io, &said, &info);
	if (r == -ENOMEM && message != NULL)
		*message = said;
	else if (r < 0 && r != -ENOMEM)
		r = finding(verifying, said.text) == 0 ? 0 : UDS_ERR_STOPPED;
	else if (r == 0 && !verifying->check.options->only_identities)
		r = uds_index_verify(io, &verifying->index_options, finding, verifying, message,
				     NULL);
	if (io != NULL)
		uds_io_close(io);
	return r;
}

UDS_PUBLIC int uds_shards_verify(const char *manifest, const struct uds_shards_options *options,
				 uds_finding_fn found, void *found_context,
				 struct uds_message *ret_message, uint64_t *ret_findings)
{
	struct verifying verifying = { .index_options = UDS_INDEX_OPTIONS_INIT,
				       .found = found,
				       .found_context = found_context };
	struct uds_shards_options taken;
	struct manifest loaded;
	struct uds_env env;
	int r = shards_take_options(options, &taken, &env, ret_message);

	if (r == 0 && taken.index != NULL)
		r = STRUCT_IN(&verifying.index_options, taken.index, uds_index_options,
			      skip_unreadable, ret_message);
	if (r == 0)
		r = load_manifest(manifest, &taken, &env, ret_message, &loaded);
	if (r < 0)
		return r;
	verifying.check = (struct shard_check){ &taken, &env, &loaded, manifest };
	verifying.index_options.env = &env;
	verifying.index_options.offset = 0;
	verifying.index_options.check_nonce = false;
	for (unsigned int i = 0; r == 0 && i < loaded.count; i++)
		r = verify_shard(&verifying, i, ret_message);
	if (r == UDS_ERR_STOPPED)
		failure(ret_message, r, "%s: verifying was stopped", manifest);
	if (r == 0 && ret_findings != NULL)
		*ret_findings = verifying.findings;
	manifest_end(&loaded);
	return r;
}
