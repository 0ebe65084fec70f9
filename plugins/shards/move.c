/* SPDX-License-Identifier: BSD-2-Clause */
/* The steps of a move, in the order of move.h. */
#include "shards/move.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"

/* ---- step 1: the manifest says that a shard joins or leaves ---- */

/* Whether a move may begin. Under mover. */
static int check_may_begin(const struct uds_shards *shards)
{
	if (shards->index_options.mode == UDS_INDEX_READ_ONLY)
		return failures_say(shards->failures, UDS_ERR_READ_ONLY,
				    "%s: opened to read: no shard can be added or removed",
				    shards->name);
	if (shards->manifest.state == UDS_SHARDS_MOVING)
		return failures_say(shards->failures, UDS_ERR_BAD_STATE,
				    "%s: another shard is being added or removed: resume that, or "
				    "abandon it when opening",
				    shards->name);
	/* It takes two. */
	if (shards->manifest.generation > MANIFEST_MAX_GENERATION - 2)
		return failures_say(shards->failures, UDS_ERR_OUT_OF_RANGE,
				    "%s: generation %" PRIu64 ": there are no more for a move",
				    shards->name, shards->manifest.generation);
	return 0;
}

/* Takes @next as the manifest, and shard @joining behind the others (NULL: none). */
static void install(struct uds_shards *shards, struct manifest *next, struct shard *joining)
{
	gate_close(&shards->gate);
	if (joining != NULL)
		shards->shards[next->count - 1] = joining;
	manifest_end(&shards->manifest);
	shards->manifest = *next;
	shards_place(shards);
	gate_open(&shards->gate);
}

/* The index that is to join: another one, of the same geometry. */
static int check_joining(const struct uds_shards *shards, const char *uri, struct uds_io *io,
			 struct uds_message *message, struct uds_index_info *ret_info)
{
	const struct manifest *manifest = &shards->manifest;
	struct shard_check check = { &shards->options, &shards->env, manifest, shards->name };
	unsigned int other;
	int r = shard_read_info(&check, uri, manifest->count, io, message, ret_info);

	if (r < 0)
		return r;
	other = manifest_find(manifest, ret_info->volume_nonce);
	if (other < manifest->count)
		return failure(message, UDS_ERR_EXISTS,
			       "%.100s: %.150s is the index of shard %u (%.150s) already",
			       shards->name, uri, other + 1, manifest->uris[other]);
	for (unsigned int i = 0; i < manifest->count; i++) {
		/* Where no lock was in the way. */
		if (uds_io_overlap(io, shards->shards[i]->io))
			return failure(message, UDS_ERR_EXISTS,
				       "%.100s: %.150s has bytes in common with shard %u (%.150s)",
				       shards->name, uri, i + 1, manifest->uris[i]);
	}
	if (!geometry_is_same(&ret_info->configuration, &manifest->geometry))
		return failure(message, UDS_ERR_MISMATCH,
			       "%.100s: %.150s is of another geometry than the shards",
			       shards->name, uri);
	return 0;
}

/* The manifest in which @uri joins, and its index, open. */
static int open_joining(struct uds_shards *shards, const char *uri, struct uds_io *io,
			struct uds_message *message, struct manifest *next,
			struct shard **ret_shard)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	int r = check_joining(shards, uri, io, message, &info);

	if (r < 0)
		return r;
	r = manifest_add(next, uri, info.volume_nonce, UDS_SHARD_JOINING, message);
	if (r < 0)
		return failure_in(message, r, "%.100s: %.150s", shards->name, uri);
	next->state = UDS_SHARDS_MOVING;
	next->generation++;
	return shard_make(shards, next, next->count - 1, io, info.journal_bytes > 0, message,
			  ret_shard);
}

/* What is in the way of its lock may be one of these shards, by another name. */
static int name_in_way(const struct uds_shards *shards, const char *uri, int status,
		       struct uds_message *message)
{
	const struct manifest *manifest = &shards->manifest;
	struct shard_check check = { &shards->options, &shards->env, manifest, shards->name };
	struct uds_io *ios[UDS_SHARDS_MAX];
	unsigned int other;
	bool same;

	for (unsigned int i = 0; i < manifest->count; i++)
		ios[i] = shards->shards[i]->io;
	other = shard_find_in_way(&check, uri, ios, manifest->count, &same);
	if (other == manifest->count)
		return status;
	return failure(message, same ? UDS_ERR_EXISTS : status,
		       same ? "%.100s: %.150s is the same file or device as shard %u (%.150s)"
			    : "%.100s: %.150s is in the same file or on the same device as shard "
			      "%u (%.150s), which is locked as a whole",
		       shards->name, uri, other + 1, manifest->uris[other]);
}

static int begin_adding(struct uds_shards *shards, const char *uri)
{
	struct shard_check check = { &shards->options, &shards->env, &shards->manifest,
				     shards->name };
	unsigned int same = manifest_find_uri(&shards->manifest, uri);
	struct uds_message message = { "" };
	struct shard *shard = NULL;
	struct manifest next;
	struct uds_io *io;
	int r = check_may_begin(shards);

	if (r < 0)
		return r;
	/* Before it is opened: it is locked by these very shards. */
	if (same < shards->manifest.count)
		return failures_say(shards->failures, UDS_ERR_EXISTS,
				    "%.100s: %.150s is the index of shard %u (%.150s) already",
				    shards->name, uri, same + 1, uri);
	r = manifest_copy(&shards->manifest, &next);
	if (r < 0)
		return r;
	r = shard_open_io(&check, uri, next.count, true, &message, &io);
	if (r == UDS_ERR_IN_USE)
		r = name_in_way(shards, uri, r, &message);
	if (r < 0)
		goto out_next;
	r = open_joining(shards, uri, io, &message, &next, &shard);
	if (r < 0) {
		uds_io_close(io);
		goto out_next;
	}
	r = manifest_place_replace(&shards->place, &next, &message);
	if (r < 0)
		goto out_shard;
	install(shards, &next, shard);
	return 0;
out_shard:
	(void)shard_free(shards, shard, uri);
out_next:
	manifest_end(&next);
	return failures_keep(shards->failures, r, &message);
}

static int begin_removing(struct uds_shards *shards, const char *uri)
{
	unsigned int number = manifest_find_uri(&shards->manifest, uri);
	struct uds_message message = { "" };
	struct manifest next;
	int r = check_may_begin(shards);

	if (r < 0)
		return r;
	if (number == shards->manifest.count)
		return failures_say(shards->failures, -ENOENT,
				    "%.100s: %.150s is not one of its %u "
				    "shards",
				    shards->name, uri, number);
	if (shards->manifest.count == 1)
		return failures_say(
			shards->failures, UDS_ERR_BAD_STATE,
			"%.100s: %.150s is its last shard: there is none that its names "
			"could move to",
			shards->name, uri);
	r = manifest_copy(&shards->manifest, &next);
	if (r < 0)
		return r;
	next.roles[number] = UDS_SHARD_LEAVING;
	next.state = UDS_SHARDS_MOVING;
	next.generation++;
	r = manifest_place_replace(&shards->place, &next, &message);
	if (r < 0) {
		manifest_end(&next);
		return failures_keep(shards->failures, r, &message);
	}
	install(shards, &next, NULL);
	return 0;
}

/* ---- steps 2 to 4 ---- */

static int bring_names(struct uds_shards *shards, uds_progress_fn progress, void *context)
{
	bool copied;
	int r;

	pthread_mutex_lock(&shards->told);
	copied = shards->copied;
	shards->telling = true;
	if (!copied && !shards->switch_unsure)
		shards->told_status = 0;
	pthread_mutex_unlock(&shards->told);
	/* Only the last step failed: the target still knows all. */
	if (copied)
		return 0;
	r = move_names(shards, progress, context);
	pthread_mutex_lock(&shards->told);
	if (r == 0 && !shards->telling)
		r = shards->told_status;
	if (r == 0) {
		shards->copied = true;
		shards->told_status = 0;
	} else {
		shards_stop_telling(shards, r);
		if (!shards->switch_unsure)
			shards->told_status = 0;
	}
	pthread_mutex_unlock(&shards->told);
	return r;
}

/* ---- steps 5 and 6 ---- */

static int persist_targets(struct uds_shards *shards)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < shards->manifest.count; i++) {
		struct uds_message said;

		if (shards->manifest.roles[i] == UDS_SHARD_LEAVING)
			continue;
		r = shard_persist(shards->shards[i]);
		if (r == 0)
			continue;
		uds_index_error_message(shards->shards[i]->index, &said);
		failures_say(shards->failures, r, "%.100s: shard %u (%.80s): %.300s", shards->name,
			     i + 1, shards->manifest.uris[i], said.text);
	}
	return r;
}

/* The manifest after the move. @ret_left: the number of the shard that is gone; the count: none. */
static int make_stable(const struct uds_shards *shards, struct manifest *ret_next,
		       unsigned int *ret_left)
{
	int r = manifest_copy(&shards->manifest, ret_next);

	if (r < 0)
		return r;
	*ret_left = ret_next->count;
	for (unsigned int i = ret_next->count; i-- > 0;) {
		if (ret_next->roles[i] == UDS_SHARD_LEAVING) {
			manifest_drop(ret_next, i);
			*ret_left = i;
		} else {
			ret_next->roles[i] = UDS_SHARD_MEMBER;
		}
	}
	ret_next->state = UDS_SHARDS_STABLE;
	ret_next->generation++;
	return 0;
}

/* Targets are homes from now on. The gate is closed. Returns the shard that left, or NULL. */
static struct shard *take_over(struct uds_shards *shards, struct manifest *next, unsigned int left)
{
	unsigned int count = shards->manifest.count;
	struct shard *leaving = NULL;

	if (left < count) {
		leaving = shards->shards[left];
		memmove(&shards->shards[left], &shards->shards[left + 1],
			(count - left - 1) * sizeof(shards->shards[0]));
		shards->shards[count - 1] = NULL;
	}
	manifest_end(&shards->manifest);
	shards->manifest = *next;
	shards_place(shards);
	shards->telling = shards->copied = false;
	shards->told_status = 0;
	shards->switch_unsure = false;
	return leaving;
}

/*
 * With the gate closed: no request is under way, so all that was told is in the indexes. They are
 * made durable once more: without journals a flush meanwhile has promised what is in closed
 * chapters of the home, and that may be in the target's open one.
 */
static int switch_homes(struct uds_shards *shards, struct shard **ret_leaving)
{
	struct uds_message message = { "" };
	struct manifest next;
	unsigned int left = 0;
	int r = persist_targets(shards);

	/* A request may have found out that the target fails. */
	if (r == 0 && !shards->copied)
		r = shards->told_status;
	if (r == 0)
		r = make_stable(shards, &next, &left);
	if (r < 0)
		return r;
	r = manifest_place_replace(&shards->place, &next, &message);
	if (r < 0) {
		shards->switch_unsure = shards->place.unsure;
		manifest_end(&next);
		return failures_keep(shards->failures, r, &message);
	}
	*ret_leaving = take_over(shards, &next, left);
	return 0;
}

static int run_move(struct uds_shards *shards, uds_progress_fn progress, void *context)
{
	struct shard *leaving = NULL;
	int r = bring_names(shards, progress, context);

	/* Once with requests going on, so that they wait for little of it the second time. */
	if (r == 0)
		r = persist_targets(shards);
	if (r < 0)
		return r;
	gate_close(&shards->gate);
	r = switch_homes(shards, &leaving);
	gate_open(&shards->gate);
	/* All of it is elsewhere; what closing it says is in the log. */
	(void)shard_free(shards, leaving, "the shard that was removed");
	return r;
}

/* ---- calls ---- */

UDS_PUBLIC int uds_shards_add(struct uds_shards *shards, const char *uri, uds_progress_fn progress,
			      void *context)
{
	int r;

	failures_begin(shards->failures);
	pthread_mutex_lock(&shards->mover);
	r = begin_adding(shards, uri);
	if (r == 0)
		r = run_move(shards, progress, context);
	pthread_mutex_unlock(&shards->mover);
	return shards_end(shards, r, "adding a shard");
}

UDS_PUBLIC int uds_shards_remove(struct uds_shards *shards, const char *uri,
				 uds_progress_fn progress, void *context)
{
	int r;

	failures_begin(shards->failures);
	pthread_mutex_lock(&shards->mover);
	r = begin_removing(shards, uri);
	if (r == 0)
		r = run_move(shards, progress, context);
	pthread_mutex_unlock(&shards->mover);
	return shards_end(shards, r, "removing a shard");
}

UDS_PUBLIC int uds_shards_resume(struct uds_shards *shards, uds_progress_fn progress, void *context)
{
	int r = 0;

	failures_begin(shards->failures);
	pthread_mutex_lock(&shards->mover);
	if (shards->manifest.state == UDS_SHARDS_MOVING) {
		if (shards->index_options.mode == UDS_INDEX_READ_ONLY)
			r = check_may_begin(shards);
		else
			r = run_move(shards, progress, context);
	}
	pthread_mutex_unlock(&shards->mover);
	return shards_end(shards, r, "finishing the move of a shard");
}
