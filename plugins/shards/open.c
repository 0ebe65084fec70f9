/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening and closing: the manifest first, then every shard's I/O and what index is on it, and only
 * when all are right the indexes. So nothing can have been written when one is missing.
 */
#include "shards/shards.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "shards/placement.h"

static int open_by_uri(void *context, const char *uri, bool write, const struct uds_env *env,
		       struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	(void)context;
	options.write = write;
	return uds_io_open_uri(uri, &options, env, ret_message, ret_io);
}

int shards_take_options(const struct uds_shards_options *given,
			struct uds_shards_options *ret_options, struct uds_env *ret_env,
			struct uds_message *message)
{
	struct uds_shards_options options = UDS_SHARDS_OPTIONS_INIT;
	int r = 0;

	if (given != NULL)
		r = STRUCT_IN(&options, given, uds_shards_options, abandon_move, message);
	if (r == 0)
		r = env_take(options.env, message, ret_env);
	if (r < 0)
		return r;
	if (options.open_io == NULL)
		options.open_io = open_by_uri;
	*ret_options = options;
	return 0;
}

/* ---- one shard ---- */

/* Puts in front of a sentence which shard it is about. */
static int about_shard(const struct shard_check *check, const char *uri, unsigned int number,
		       int status, struct uds_message *message)
{
	return failure_in(message, status, "%.100s: shard %u (%.100s)", check->name, number + 1,
			  uri);
}

int shard_open_io(const struct shard_check *check, const char *uri, unsigned int number, bool write,
		  struct uds_message *message, struct uds_io **ret_io)
{
	struct uds_message said = { "" };
	int r = check->options->open_io(check->options->open_context, uri, write, check->env, &said,
					ret_io);

	if (r >= 0)
		return 0;
	failure_or(message, &said, r, "cannot be opened: %s", uds_strerror(r));
	return about_shard(check, uri, number, r, message);
}

int shard_read_info(const struct shard_check *check, const char *uri, unsigned int number,
		    struct uds_io *io, struct uds_message *message, struct uds_index_info *ret_info)
{
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_message said = { "" };
	int r;

	options.env = check->env;
	r = uds_index_read_info(io, &options, &said, ret_info);
	if (r == 0)
		return 0;
	failure_or(message, &said, r, "cannot be read: %s", uds_strerror(r));
	return about_shard(check, uri, number, r, message);
}

static int is_another(const struct shard_check *check, unsigned int number, struct uds_io *io,
		      uint64_t nonce, struct uds_message *message)
{
	const struct manifest *manifest = check->manifest;
	unsigned int other = manifest_find(manifest, nonce);

	if (other == manifest->count)
		return failure(message, UDS_ERR_NONCE_MISMATCH,
			       "the index with volume nonce 0x%016" PRIx64
			       " is there, not 0x%016" PRIx64,
			       nonce, manifest->nonces[number]);
	if (shard_is_same_place(check, io, other))
		return failure(message, UDS_ERR_CORRUPT,
			       "this is the same file or device as shard %u (%.100s)", other + 1,
			       manifest->uris[other]);
	return failure(message, UDS_ERR_NONCE_MISMATCH,
		       "the index of shard %u (%.100s) is there: they were swapped, or one was "
		       "copied over the other",
		       other + 1, manifest->uris[other]);
}

int shard_check_identity(const struct shard_check *check, unsigned int number, struct uds_io *io,
			 struct uds_message *message, struct uds_index_info *ret_info)
{
	const struct manifest *manifest = check->manifest;
	const char *uri = manifest->uris[number];
	int r = shard_read_info(check, uri, number, io, message, ret_info);

	if (r < 0)
		return r;
	if (ret_info->volume_nonce != manifest->nonces[number])
		r = is_another(check, number, io, ret_info->volume_nonce, message);
	else if (!geometry_is_same(&ret_info->configuration, &manifest->geometry))
		r = failure(message, UDS_ERR_MISMATCH,
			    "an index of another geometry than the manifest says");
	return r < 0 ? about_shard(check, uri, number, r, message) : 0;
}

int shard_make(struct uds_shards *shards, const struct manifest *manifest, unsigned int number,
	       struct uds_io *io, bool has_journal, struct uds_message *message,
	       struct shard **ret_shard)
{
	struct shard_check check = { &shards->options, &shards->env, manifest, shards->name };
	struct shard *shard = env_allocate_zeroed(&shards->env, 1, sizeof(*shard));
	struct uds_message said = { "" };
	int r;

	if (shard == NULL)
		return failure(message, -ENOMEM, "%s: no memory for a shard", shards->name);
	r = uds_index_open(io, &shards->index_options, &said, &shard->index);
	if (r < 0) {
		env_release(&shards->env, shard);
		failure_or(message, &said, r, "cannot be opened: %s", uds_strerror(r));
		return about_shard(&check, manifest->uris[number], number, r, message);
	}
	shard->io = io;
	shard->has_journal = has_journal;
	worker_start(&shard->worker, !shards->options.no_threads);
	*ret_shard = shard;
	return 0;
}

int shard_free(struct uds_shards *shards, struct shard *shard, const char *uri)
{
	int r, status;

	if (shard == NULL)
		return 0;
	worker_end(&shard->worker);
	status = uds_index_close(shard->index);
	r = uds_io_close(shard->io);
	if (status == 0)
		status = r;
	if (status < 0)
		env_log(&shards->env, UDS_LOG_ERROR, "%s: %s: closing this shard: %s", shards->name,
			uri, uds_strerror(status));
	env_release(&shards->env, shard);
	return status;
}

/* ---- all of them ---- */

void shards_place(struct uds_shards *shards)
{
	manifest_place(&shards->manifest, false, shards->home);
	manifest_place(&shards->manifest, true, shards->target);
}

static bool writes(const struct uds_shards *shards)
{
	return shards->index_options.mode != UDS_INDEX_READ_ONLY;
}

/* What is in the way of a lock may be another shard, by another name. */
static int name_in_way(const struct shard_check *check, unsigned int number,
		       struct uds_io *const *ios, int status, struct uds_message *message)
{
	const char *uri = check->manifest->uris[number];
	bool same;
	unsigned int other = shard_find_in_way(check, uri, ios, number, &same);

	if (other == number)
		return status;
	status = failure(message, same ? UDS_ERR_CORRUPT : status,
			 same ? "this is the same file or device as shard %u (%.100s)"
			      : "shard %u (%.100s) is in the same file or on the same device, "
				"which is locked as a whole",
			 other + 1, check->manifest->uris[other]);
	return about_shard(check, uri, number, status, message);
}

/* Opens the I/Os of all shards, and checks what is on them. */
static int open_ios(struct uds_shards *shards, struct uds_io **ios, bool *journals,
		    struct uds_message *message)
{
	const struct manifest *manifest = &shards->manifest;
	struct shard_check check = { &shards->options, &shards->env, manifest, shards->name };
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < manifest->count; i++) {
		struct uds_index_info info = UDS_INDEX_INFO_INIT;

		r = shard_open_io(&check, manifest->uris[i], i, writes(shards), message, &ios[i]);
		if (r == UDS_ERR_IN_USE)
			r = name_in_way(&check, i, ios, r, message);
		if (r == 0)
			r = shard_check_identity(&check, i, ios[i], message, &info);
		journals[i] = info.journal_bytes > 0;
	}
	return r;
}

static int open_all(struct uds_shards *shards, struct uds_message *message)
{
	struct uds_io *ios[UDS_SHARDS_MAX] = { NULL };
	bool journals[UDS_SHARDS_MAX];
	unsigned int i = 0;
	int r = open_ios(shards, ios, journals, message);

	for (; r == 0 && i < shards->manifest.count; i++) {
		r = shard_make(shards, &shards->manifest, i, ios[i], journals[i], message,
			       &shards->shards[i]);
		if (r < 0)
			break;
	}
	/* Those behind have no shard that owns them. */
	for (; r < 0 && i < UDS_SHARDS_MAX; i++) {
		if (ios[i] != NULL)
			uds_io_close(ios[i]);
	}
	return r;
}

/* The manifest without the move: generation and members as they are then. */
static int abandon_move(struct uds_shards *shards, struct uds_message *message)
{
	struct manifest *manifest = &shards->manifest;

	if (manifest->state == UDS_SHARDS_STABLE || !shards->options.abandon_move)
		return 0;
	if (!writes(shards))
		return failure(message, UDS_ERR_READ_ONLY,
			       "%s: a move cannot be abandoned by a program that only reads",
			       shards->name);
	for (unsigned int i = manifest->count; i-- > 0;) {
		if (manifest->roles[i] == UDS_SHARD_JOINING)
			manifest_drop(manifest, i);
		else
			manifest->roles[i] = UDS_SHARD_MEMBER;
	}
	manifest->state = UDS_SHARDS_STABLE;
	manifest->generation++;
	return 0;
}

static void free_shards(struct uds_shards *shards)
{
	struct uds_env env = shards->env;

	manifest_end(&shards->manifest);
	pthread_mutex_destroy(&shards->told);
	gate_free(&shards->gate);
	pthread_mutex_destroy(&shards->mover);
	failures_free(shards->failures);
	env_release(&env, shards->name);
	env_release(&env, shards);
}

static int close_all(struct uds_shards *shards)
{
	int status = 0;

	for (unsigned int i = 0; i < shards->manifest.count; i++) {
		int r = shard_free(shards, shards->shards[i], shards->manifest.uris[i]);

		if (status == 0)
			status = r;
	}
	return status;
}

/* Memory and locks; no shard yet. */
static int make_shards(const char *name, const struct uds_shards_options *options,
		       const struct uds_env *env, struct uds_shards **ret_shards)
{
	struct uds_shards *shards = env_allocate_zeroed(env, 1, sizeof(*shards));
	size_t length = strlen(name) + 1;

	if (shards == NULL)
		return -ENOMEM;
	shards->env = *env;
	shards->options = *options;
	shards->options.env = &shards->env;
	shards->name = env_allocate(env, length, 1);
	if (shards->name == NULL || failures_make(env, &shards->failures) < 0) {
		env_release(env, shards->name);
		env_release(env, shards);
		return -ENOMEM;
	}
	memcpy(shards->name, name, length);
	pthread_mutex_init(&shards->mover, NULL);
	gate_make(&shards->gate);
	pthread_mutex_init(&shards->told, NULL);
	manifest_start(&shards->manifest, env);
	*ret_shards = shards;
	return 0;
}

/* How the indexes are opened: as the caller says, but for what the manifest knows better. */
static int take_index_options(struct uds_shards *shards, struct uds_message *message)
{
	static const struct uds_index_options defaults = UDS_INDEX_OPTIONS_INIT;
	struct uds_index_options *options = &shards->index_options;
	int r = 0;

	*options = defaults;
	if (shards->options.index != NULL)
		r = STRUCT_IN(options, shards->options.index, uds_index_options, skip_unreadable,
			      message);
	options->env = &shards->env;
	options->offset = 0;
	options->check_nonce = false;
	return r;
}

static int open_shards(struct uds_shards *shards, struct uds_message *message)
{
	const bool abandons = shards->options.abandon_move;
	uint64_t generation;
	int r = take_index_options(shards, message);

	if (r == 0)
		r = manifest_place_start(&shards->place, shards->name, shards->options.store,
					 message);
	if (r == 0)
		r = manifest_place_load(&shards->place, &shards->manifest, &shards->env, message);
	if (r < 0)
		return r;
	generation = shards->manifest.generation;
	r = abandon_move(shards, message);
	if (r == 0)
		r = open_all(shards, message);
	/* Written when all else is right, and before any request. */
	if (r == 0 && abandons && shards->manifest.generation != generation)
		r = manifest_place_replace(&shards->place, &shards->manifest, message);
	if (r == 0)
		shards_place(shards);
	return r;
}

UDS_PUBLIC int uds_shards_open(const char *manifest, const struct uds_shards_options *options,
			       struct uds_message *ret_message, struct uds_shards **ret_shards)
{
	struct uds_shards_options taken;
	struct uds_shards *shards;
	struct uds_env env;
	int r = shards_take_options(options, &taken, &env, ret_message);

	if (r < 0)
		return r;
	r = make_shards(manifest, &taken, &env, &shards);
	if (r < 0)
		return failure(ret_message, r, "%s: no memory for its shards", manifest);
	r = open_shards(shards, ret_message);
	if (r < 0) {
		close_all(shards);
		free_shards(shards);
		return r;
	}
	*ret_shards = shards;
	return 0;
}

UDS_PUBLIC int uds_shards_close(struct uds_shards *shards)
{
	int r;

	if (shards == NULL)
		return 0;
	r = close_all(shards);
	free_shards(shards);
	return r;
}
