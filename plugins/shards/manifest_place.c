/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file: written beside its place with the same rights, synced, renamed over it, and the folder
 * synced. A crash
 * leaves the old manifest or the new one; at worst a temporary file stays, which the next
 * replacement overwrites.
 */
#include "shards/manifest_place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"

int manifest_place_start(struct manifest_place *place, const char *name,
			 const struct uds_manifest_store *store, struct uds_message *message)
{
	int r;

	memset(place, 0, sizeof(*place));
	place->name = name;
	if (store == NULL)
		return 0;
	r = STRUCT_IN(&place->store, store, uds_manifest_store, replace, message);
	if (r == 0 && (place->store.load == NULL || place->store.replace == NULL))
		r = failure(message, -EINVAL, "%s: a store of manifests has both functions", name);
	return r;
}

/* ---- a file ---- */

/* Returns 0 or a negated errno. */
static int read_all(int file, uint8_t *bytes, size_t room, size_t *ret_length)
{
	size_t length = 0;

	while (length < room) {
		ssize_t n = read(file, bytes + length, room - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	*ret_length = length;
	return 0;
}

static int load_file(const char *path, uint8_t *bytes, size_t room, size_t *ret_length)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (file < 0)
		return -errno;
	r = read_all(file, bytes, room, ret_length);
	close(file);
	return r;
}

static int write_all(int file, const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = write(file, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		length -= (size_t)n;
	}
	return fsync(file) < 0 ? -errno : 0;
}

/* Whoever could read the file that is replaced, and nobody else, can read the new one. */
static void take_rights(int file, const struct stat *replaced)
{
	mode_t mode = replaced->st_mode & (S_IRWXU | S_IRWXG | S_IRWXO);

	/* Only root may give files away. Another group has what all have. */
	if (fchown(file, replaced->st_uid, replaced->st_gid) < 0 &&
	    fchown(file, (uid_t)-1, replaced->st_gid) < 0)
		mode = (mode & ~(mode_t)S_IRWXG) | (mode & S_IRWXO) << 3;
	/* A file system without rights has no say in what is written. */
	(void)fchmod(file, mode);
}

/* A new file that has these bytes durably, in the place of what a crash may have left there. */
static int write_file(const char *path, const char *replaced, const void *bytes, size_t length)
{
	struct stat status;
	bool replaces = stat(replaced, &status) == 0;
	int file, r;

	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, replaces ? 0600 : 0666);
	if (file < 0)
		return -errno;
	if (replaces)
		take_rights(file, &status);
	r = write_all(file, bytes, length);
	if (close(file) < 0 && r == 0)
		r = -errno;
	return r;
}

/* The rename is durable when the folder is. */
static int sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int file, r = 0;

	/* The path was short enough to be opened with more behind it. */
	snprintf(folder, sizeof(folder), "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
		 slash == NULL ? "." : path);
	file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file < 0)
		return -errno;
	if (fsync(file) < 0)
		r = -errno;
	close(file);
	return r;
}

/* @path: no symbolic link. */
static int replace_path(const char *path, const void *bytes, size_t length)
{
	char beside[PATH_MAX];
	int r;

	if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
		return -ENAMETOOLONG;
	r = write_file(beside, path, bytes, length);
	if (r == 0 && rename(beside, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(beside);
		return r;
	}
	return sync_folder(path);
}

/*
 * What a symbolic link leads to is replaced, not the link: the file behind it would stay as it was,
 * and be believed by all who know it by its own name.
 */
static int replace_file(const char *name, const void *bytes, size_t length)
{
	char *path = realpath(name, NULL);
	int r;

	if (path == NULL)
		return errno == ENOENT ? replace_path(name, bytes, length) : -errno;
	r = replace_path(path, bytes, length);
	free(path);
	return r;
}

/* ---- either ---- */

static int load_bytes(const struct manifest_place *place, uint8_t *bytes, size_t *ret_length)
{
	if (place->store.load != NULL)
		return place->store.load(place->store.context, bytes, MANIFEST_MAX_BYTES,
					 ret_length);
	return load_file(place->name, bytes, MANIFEST_MAX_BYTES, ret_length);
}

int manifest_place_load(const struct manifest_place *place, struct manifest *ret_manifest,
			const struct uds_env *env, struct uds_message *message)
{
	uint8_t *bytes = env_allocate(env, MANIFEST_MAX_BYTES, 1);
	size_t length = 0;
	int r;

	manifest_start(ret_manifest, env);
	if (bytes == NULL)
		return failure(message, -ENOMEM, "%s: no memory to read it", place->name);
	r = load_bytes(place, bytes, &length);
	if (r < 0)
		r = failure(message, r, "%s: the manifest cannot be read: %s", place->name,
			    uds_strerror(r));
	else if (length >= MANIFEST_MAX_BYTES)
		r = failure(message, UDS_ERR_CORRUPT, "%s: too long: not a manifest of shards",
			    place->name);
	else
		r = manifest_parse(ret_manifest, (const char *)bytes, length, place->name, message);
	env_release(env, bytes);
	return r;
}

/* Whether what is there is what this program left. */
static int check_before(const struct manifest_place *place, const struct manifest *manifest,
			struct uds_message *message)
{
	struct manifest there;
	uint64_t generation;
	int r = manifest_place_load(place, &there, &manifest->env, message);

	generation = there.generation;
	if (r == 0)
		manifest_end(&there);
	if (manifest->generation == 1)
		return r == -ENOENT ? 0
				    : failure(message, r == -ENOMEM ? r : UDS_ERR_EXISTS,
					      "%s: there is something already", place->name);
	if (r < 0)
		return r;
	if (generation + 1 == manifest->generation ||
	    (place->unsure && generation == manifest->generation))
		return 0;
	return failure(message, UDS_ERR_MISMATCH,
		       "%s: generation %" PRIu64 " is there, not %" PRIu64
		       ": another program changed the manifest",
		       place->name, generation, manifest->generation - 1);
}

int manifest_place_replace(struct manifest_place *place, const struct manifest *manifest,
			   struct uds_message *message)
{
	size_t length;
	char *text;
	int r;

	r = check_before(place, manifest, message);
	if (r < 0)
		return r;
	if (manifest->generation > MANIFEST_MAX_GENERATION)
		return failure(message, UDS_ERR_OUT_OF_RANGE, "%s: there is no generation %" PRIu64,
			       place->name, manifest->generation);
	r = manifest_print(manifest, &text, &length);
	if (r < 0)
		return failure(message, r, "%s: no memory to write it", place->name);
	if (place->store.replace != NULL)
		r = place->store.replace(place->store.context, text, length);
	else
		r = replace_file(place->name, text, length);
	free(text);
	place->unsure = r < 0;
	if (r < 0)
		return failure(message, r, "%s: the manifest cannot be written: %s", place->name,
			       uds_strerror(r));
	return 0;
}
