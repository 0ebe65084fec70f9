/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The origin of a snapshot of an LVM volume group, and its other snapshots, as the group's
 * metadata name them.
 */
#include "snapshot_group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemes.h"

#define NAME_BYTES 256

bool group_has(const char *uri)
{
	return strncmp(uri, "lvm:", 4) == 0;
}

/* The length of "lvm:GROUP/", or 0. */
static size_t group_part(const char *uri)
{
	const char *slash = strchr(uri, '/'), *parameters = strchr(uri, '?');

	if (!group_has(uri) || slash == NULL || parameters == NULL || slash > parameters)
		return 0;
	return (size_t)(slash - uri) + 1;
}

/*
 * Whether each parameter of a URI is one of another URI, too. @at, @all: from the question mark on.
 */
static bool has_parameters(const char *at, const char *all)
{
	while (*at != '\0') {
		size_t length = strcspn(++at, "&");
		const char *other = all;

		while (*other != '\0') {
			size_t other_length = strcspn(++other, "&");

			if (other_length == length && memcmp(other, at, length) == 0)
				break;
			other += other_length;
			if (*other == '\0')
				return false;
		}
		at += length;
	}
	return true;
}

/*
 * The volume that a URI names, if it is of the group of another URI, on the same physical volumes.
 */
static bool volume_of(const char *cow_uri, const char *uri, char ret_name[NAME_BYTES])
{
	size_t part = group_part(cow_uri), length;
	const char *parameters = strchr(uri, '?'), *all = strchr(cow_uri, '?');

	if (part == 0 || parameters == NULL || all == NULL || group_part(uri) != part ||
	    memcmp(uri, cow_uri, part) != 0 || !has_parameters(parameters, all) ||
	    !has_parameters(all, parameters))
		return false;
	length = (size_t)(parameters - uri) - part;
	if (length >= NAME_BYTES)
		return false;
	memcpy(ret_name, uri + part, length);
	ret_name[length] = '\0';
	return true;
}

/* The URI of another volume of the group; NULL: no memory. */
static const char *make_uri(struct snapshot_target *target, const char *name)
{
	const char *parameters = strchr(target->cow_uri, '?');
	int part = (int)group_part(target->cow_uri);
	size_t room = strlen(target->cow_uri) + strlen(name) + 1;
	char *uri = malloc(room);

	if (uri == NULL) {
		failed(target->command, target->cow_uri, -ENOMEM, NULL);
		return NULL;
	}
	snprintf(uri, room, "%.*s%s%s", part, target->cow_uri, name, parameters);
	target->made_uris[target->made_count++] = uri;
	return uri;
}

void group_release(struct snapshot_target *target)
{
	while (target->made_count > 0)
		free(target->made_uris[--target->made_count]);
}

bool group_open_io(struct snapshot_target *target, const char *uri, struct uds_io **ret_io,
		   int *ret_status)
{
	struct uds_lvm_group *group = uds_lvm_group_of(target->cow);
	struct uds_message message = { "" };
	char name[NAME_BYTES];
	int r;

	if (group == NULL || !volume_of(target->cow_uri, uri, name))
		return false;
	r = uds_lvm_open_volume(group, name, &message, ret_io);
	*ret_status = r < 0 ? failed(target->command, uri, r, &message) : EXIT_GOOD;
	return true;
}

static bool find_volume(const char *cow_uri, const struct uds_io *cow,
			struct uds_lvm_volume *ret_volume)
{
	const struct uds_lvm_volume empty = UDS_LVM_VOLUME_INIT;
	struct uds_lvm_group *group = uds_lvm_group_of(cow);
	char name[NAME_BYTES];

	*ret_volume = empty;
	return group != NULL && volume_of(cow_uri, cow_uri, name) &&
	       uds_lvm_lookup_volume(group, name, NULL, ret_volume) == 0;
}

bool group_find_volume(const struct snapshot_target *target, struct uds_lvm_volume *ret_volume)
{
	return find_volume(target->cow_uri, target->cow, ret_volume);
}

/* Of the origin's other snapshots: for uds_lvm_for_each_volume(). */
struct others {
	struct snapshot_target *target;
	struct uds_lvm_group *group;
	struct uds_lvm_volume volume; /* of the COW device */
	int status;
};

static bool is_named(const struct snapshot_target *target, const char *name)
{
	char other[NAME_BYTES];

	for (size_t i = 0; i < target->other_uris.count; i++) {
		if (volume_of(target->cow_uri, target->other_uris.items[i], other) &&
		    strcmp(other, name) == 0)
			return true;
	}
	return false;
}

/* An invalid one has nothing to lose any more. */
static bool is_lost(struct others *others, const char *name)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store_status status = { .size = sizeof(status) };
	struct uds_exception_store *store = NULL;
	struct uds_io *io = NULL;
	bool lost = false;

	options.read_only = true;
	if (uds_lvm_open_volume(others->group, name, NULL, &io) == 0 &&
	    uds_exception_store_open(io, &options, NULL, &store) == 0 &&
	    uds_exception_store_get_status(store, &status) == 0)
		lost = !status.valid;
	uds_exception_store_close(store);
	uds_io_close(io);
	return lost;
}

static int add_other(void *context, const struct uds_lvm_volume *volume)
{
	struct others *others = context;
	struct snapshot_target *target = others->target;
	const char *uri;

	if (volume->origin == NULL || strcmp(volume->origin, others->volume.origin) != 0 ||
	    strcmp(volume->name, others->volume.name) == 0)
		return 0;
	others->status = EXIT_FAILED;
	if (volume->merging) {
		complain(target->command,
			 "%s: the group says that '%s' is being merged into the origin '%s': "
			 "merge that one first",
			 target->cow_uri, volume->name, volume->origin);
		return 1;
	}
	if (target->other_uris.count == MAX_TEXTS) {
		complain(target->command, "%s: the origin '%s' has more than %d other snapshots",
			 target->cow_uri, volume->origin, MAX_TEXTS);
		return 1;
	}
	if (!is_named(target, volume->name) && !is_lost(others, volume->name)) {
		uri = make_uri(target, volume->name);
		if (uri == NULL)
			return 1;
		target->other_uris.items[target->other_uris.count++] = uri;
	}
	others->status = EXIT_GOOD;
	return 0;
}

static int add_others(struct others *others)
{
	struct snapshot_target *target = others->target;
	bool merges = strcmp(target->command->name, "snapshot merge") == 0;

	if (others->volume.merging && !merges) {
		complain(target->command,
			 "%s: the group says that it is being merged into the origin '%s', which "
			 "is not written before that is done",
			 target->cow_uri, others->volume.origin);
		return EXIT_FAILED;
	}
	uds_lvm_for_each_volume(others->group, add_other, others);
	return others->status;
}

/*
 * Whether the origin is the one that the group names: by itself, or because --origin says the same.
 */
static bool is_of_group(const struct snapshot_target *target, const char *origin)
{
	char name[NAME_BYTES];

	return target->origin_uri == NULL ||
	       (volume_of(target->cow_uri, target->origin_uri, name) && strcmp(name, origin) == 0);
}

/* The store of another snapshot is taken for an origin: a merge would overwrite that snapshot. */
static bool origin_is_store(const struct snapshot_target *target, struct uds_lvm_group *group)
{
	struct uds_lvm_volume volume = UDS_LVM_VOLUME_INIT;
	char name[NAME_BYTES];

	if (target->origin_uri == NULL || group == NULL ||
	    !volume_of(target->cow_uri, target->origin_uri, name) ||
	    strcmp(target->origin_uri, target->cow_uri) == 0 ||
	    uds_lvm_lookup_volume(group, name, NULL, &volume) < 0 || volume.origin == NULL)
		return false;
	complain(target->command,
		 "%s: is no origin: the group has it as the COW device of a snapshot of '%s'",
		 target->origin_uri, volume.origin);
	return true;
}

/* @cow: opened to look. */
static int complete_from(struct snapshot_target *target, struct uds_io *cow, bool write_origin)
{
	struct others others = { .target = target,
				 .group = uds_lvm_group_of(cow),
				 .status = EXIT_GOOD };
	bool known =
		find_volume(target->cow_uri, cow, &others.volume) && others.volume.origin != NULL;
	int status = EXIT_GOOD;

	if (origin_is_store(target, others.group))
		return EXIT_FAILED;
	if (!known && (target->origin_uri != NULL || !target->needs_origin))
		return EXIT_GOOD;
	if (!known) {
		complain(target->command,
			 "%s: is no snapshot of its group, which names no origin for it; --origin "
			 "does",
			 target->cow_uri);
		return EXIT_FAILED;
	}
	if (write_origin && is_of_group(target, others.volume.origin))
		status = add_others(&others);
	if (status == EXIT_GOOD && target->origin_uri == NULL) {
		target->origin_uri = make_uri(target, others.volume.origin);
		if (target->origin_uri == NULL)
			status = EXIT_FAILED;
	}
	return status;
}

int group_complete(struct snapshot_target *target, bool write_origin)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_io *cow = NULL;
	int status, r;

	if (!group_has(target->cow_uri))
		return EXIT_GOOD;
	options.no_lock = true;
	/* Without a log: what it says is said again when the device is opened to work on it. */
	r = open_uri(target->cow_uri, &options, NULL, &message, &cow);
	if (r < 0)
		return failed(target->command, target->cow_uri, r, &message);
	status = complete_from(target, cow, write_origin);
	uds_io_close(cow);
	if (status != EXIT_GOOD)
		group_release(target);
	return status;
}
