/* SPDX-License-Identifier: BSD-2-Clause */
/* The volume group of a physical volume: what it has, and how each volume is opened. */
#include "find_lvm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/lvm.h>

#include "output.h"
#include "schemes.h"
#include "text.h"

#define COMMAND_BYTES 4096

/* A group, and those of its physical volumes that are among the arguments. */
struct found {
	struct uds_lvm_group *group;
	const char **uris;
	struct uds_io **ios;
	size_t count;
	const char *name; /* of the group */
	json_t *array;	  /* NULL: text */
	struct uds_message warnings[4];
	unsigned int warning_count;
};

/* What opening the group warns of: copies of the metadata that are damaged, or that differ. */
static void keep_warning(void *context, enum uds_log_level level, const char *sentence)
{
	struct found *found = context;
	const unsigned int room = sizeof(found->warnings) / sizeof(found->warnings[0]);

	if (level <= UDS_LOG_WARNING && found->warning_count < room)
		snprintf(found->warnings[found->warning_count++].text,
			 sizeof(found->warnings[0].text), "%s", sentence);
}

static struct uds_io *open_to_look(const char *uri)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io = NULL;

	options.no_lock = true;
	return open_uri(uri, &options, NULL, NULL, &io) == 0 ? io : NULL;
}

/* For uds_lvm_for_each_pv(): whether it has that uuid. */
static int has_uuid(void *context, const struct uds_lvm_pv *pv)
{
	return strcmp(pv->uuid, context) == 0;
}

static bool is_taken(const struct found *found, const char *uuid)
{
	for (size_t i = 0; i < found->count; i++) {
		struct uds_lvm_pv pv = UDS_LVM_PV_INIT;

		if (uds_lvm_read_pv(found->ios[i], NULL, NULL, &pv) == 0 &&
		    strcmp(pv.uuid, uuid) == 0)
			return true;
	}
	return false;
}

/* Takes an argument if it is a physical volume of the group, and the first with its uuid. */
static void take_argument(struct found *found, const char *uri, struct uds_lvm_group *group)
{
	struct uds_lvm_pv pv = UDS_LVM_PV_INIT;
	struct uds_io *io = open_to_look(uri);

	if (io != NULL && uds_lvm_read_pv(io, NULL, NULL, &pv) == 0 &&
	    uds_lvm_for_each_pv(group, has_uuid, pv.uuid) == UDS_ERR_STOPPED &&
	    !is_taken(found, pv.uuid)) {
		found->uris[found->count] = uri;
		found->ios[found->count++] = io;
	} else {
		uds_io_close(io);
	}
}

static void find_close(struct found *found)
{
	uds_lvm_close_group(found->group);
	for (size_t i = 0; i < found->count; i++)
		uds_io_close(found->ios[i]);
	free(found->ios);
	free(found->uris);
}

/*
 * The group of one physical volume, on all that are there. Returns 0, or a status, with a sentence
 * when it is that of all of them together.
 */
static int find_open(const char *uri, char *const *arguments, struct found *found,
		     struct uds_message *message)
{
	struct uds_io *io = open_to_look(uri);
	struct uds_lvm_group *alone = NULL;
	struct uds_env env = UDS_ENV_INIT;
	size_t count = 1;
	int r;

	env.context = found;
	env.log = keep_warning;

	while (arguments[count] != NULL)
		count++;
	found->uris = calloc(count, sizeof(*found->uris));
	found->ios = calloc(count, sizeof(struct uds_io *));
	r = io == NULL || found->uris == NULL || found->ios == NULL
		    ? -1
		    : uds_lvm_open_group(&io, 1, NULL, NULL, NULL, &alone);
	for (size_t i = 0; r == 0 && i < count && found->count < UDS_LVM_PVS_MAX; i++)
		take_argument(found, arguments[i], alone);
	uds_lvm_close_group(alone);
	uds_io_close(io);
	if (r < 0)
		return r;
	return uds_lvm_open_group(found->ios, found->count, NULL, &env, message, &found->group);
}

/* Adds a URI, with what would end it in a parameter or in quotes encoded. */
static size_t add_encoded(char *to, size_t n, size_t room, const char *uri)
{
	for (; *uri != '\0' && n + 4 < room; uri++) {
		if (strchr("%&'", *uri) != NULL)
			n += (size_t)snprintf(to + n, room - n, "%%%02x", (unsigned char)*uri);
		else
			to[n++] = *uri;
	}
	to[n] = '\0';
	return n;
}

/* The command that opens a volume; empty when there is none. */
static void volume_command(const struct found *found, const struct uds_lvm_volume *volume,
			   char ret_text[COMMAND_BYTES])
{
	size_t n = 0;

	ret_text[0] = '\0';
	if (volume->missing ||
	    (strcmp(volume->type, "linear") != 0 && strcmp(volume->type, "striped") != 0))
		return;
	n += (size_t)snprintf(ret_text, COMMAND_BYTES, "uds %s 'lvm:%.260s/%.260s",
			      volume->origin != NULL ? "snapshot info" : "find", found->name,
			      volume->name);
	for (size_t i = 0; i < found->count && n + 8 < COMMAND_BYTES; i++) {
		n += (size_t)snprintf(ret_text + n, COMMAND_BYTES - n, "%cpv=", i == 0 ? '?' : '&');
		n = add_encoded(ret_text, n, COMMAND_BYTES, found->uris[i]);
	}
	if (n + 8 >= COMMAND_BYTES)
		ret_text[0] = '\0'; /* too long to be typed */
	else
		snprintf(ret_text + n, COMMAND_BYTES - n, "'");
}

static void print_volume(const struct uds_lvm_volume *volume, const char *command)
{
	char size[40], origin[600] = "";

	snprintf(size, sizeof(size), "%s", size_text(volume->bytes).text);
	if (volume->origin != NULL)
		snprintf(origin, sizeof(origin), " of %.260s%s, chunks of %s, COW store",
			 volume->origin, volume->merging ? ", being merged into it" : "",
			 size_text(volume->chunk_bytes).text);
	print_line(stdout, "  %-14s %s%s: %s, %s%s%s",
		   volume->origin != NULL ? "snapshot" : "volume", volume->name, origin,
		   volume->type, size,
		   volume->visible || volume->origin != NULL ? "" : ", part of another one",
		   volume->missing ? ", of which a part is missing" : "");
	if (command[0] != '\0')
		print_line(stdout, "    opened by    %s", command);
}

static json_t *volume_object(const struct uds_lvm_volume *volume, const char *command)
{
	json_t *o = json_object();

	json_object_set_new(o, "name", json_path(volume->name));
	json_object_set_new(o, "uuid", json_path(volume->uuid));
	json_object_set_new(o, "type", json_path(volume->type));
	json_object_set_new(o, "size_bytes", json_unsigned(volume->bytes));
	json_object_set_new(o, "visible", json_boolean(volume->visible));
	json_object_set_new(o, "missing", json_boolean(volume->missing));
	if (volume->origin != NULL) {
		json_object_set_new(o, "origin", json_path(volume->origin));
		json_object_set_new(o, "merging", json_boolean(volume->merging));
		json_object_set_new(o, "chunk_size_bytes", json_unsigned(volume->chunk_bytes));
	}
	if (command[0] != '\0')
		json_object_set_new(o, "opened_by", json_path(command));
	return o;
}

static int show_volume(void *context, const struct uds_lvm_volume *volume)
{
	const struct found *found = context;
	char command[COMMAND_BYTES];

	volume_command(found, volume, command);
	if (found->array != NULL)
		json_array_append_new(found->array, volume_object(volume, command));
	else
		print_volume(volume, command);
	return 0;
}

static int show_missing(void *context, const struct uds_lvm_pv *pv)
{
	const struct found *found = context;
	json_t *o;

	if (pv->io != NULL)
		return 0;
	if (found->array == NULL) {
		print_line(stdout, "  missing        %s (%s), which LVM saw last as %s", pv->name,
			   pv->uuid, pv->device);
		return 0;
	}
	o = json_object();
	json_object_set_new(o, "name", json_path(pv->name));
	json_object_set_new(o, "uuid", json_path(pv->uuid));
	json_object_set_new(o, "device", json_path(pv->device));
	json_array_append_new(found->array, o);
	return 0;
}

static void set_group(struct found *found, const struct uds_lvm_info *info, json_t *o)
{
	json_t *group = json_object();

	json_object_set_new(group, "uuid", json_path(info->uuid));
	json_object_set_new(group, "seqno", json_unsigned(info->seqno));
	json_object_set_new(group, "extent_size_bytes", json_unsigned(info->extent_bytes));
	json_object_set_new(group, "physical_volumes", json_unsigned(info->pv_count));
	found->array = json_array();
	for (unsigned int i = 0; i < found->warning_count; i++)
		json_array_append_new(found->array, json_path(found->warnings[i].text));
	json_object_set_new(group, "warnings", found->array);
	found->array = json_array();
	uds_lvm_for_each_pv(found->group, show_missing, found);
	json_object_set_new(group, "missing", found->array);
	found->array = json_array();
	uds_lvm_for_each_volume(found->group, show_volume, found);
	json_object_set_new(group, "volumes", found->array);
	json_object_set_new(o, "volume_group", group);
}

bool show_group(const char *uri, char *const *arguments, json_t *o)
{
	struct uds_lvm_info info = UDS_LVM_INFO_INIT;
	struct found found = { .group = NULL };
	struct uds_message message = { "" };
	bool is_damaged;

	if (find_open(uri, arguments, &found, &message) == 0 &&
	    uds_lvm_get_info(found.group, NULL, &info) == 0) {
		found.name = info.name;
		if (strcmp(found.uris[0], uri) != 0) {
			if (o == NULL)
				print_line(stdout, "  volumes        see %s", found.uris[0]);
		} else if (o == NULL) {
			print_line(stdout,
				   "  volumes        %u, of seqno %llu, on %u physical volumes",
				   info.volume_count, (unsigned long long)info.seqno,
				   info.pv_count);
			for (unsigned int i = 0; i < found.warning_count; i++)
				print_line(stdout, "  warning        %s", found.warnings[i].text);
			uds_lvm_for_each_pv(found.group, show_missing, &found);
			uds_lvm_for_each_volume(found.group, show_volume, &found);
		} else {
			set_group(&found, &info, o);
		}
	} else if (message.text[0] != '\0' && o == NULL) {
		print_line(stdout, "  wrong          %s", message.text);
	} else if (message.text[0] != '\0') {
		json_object_set_new(o, "wrong", json_path(message.text));
	}
	is_damaged = message.text[0] != '\0' || info.wrong_copies > 0;
	find_close(&found);
	return is_damaged;
}
