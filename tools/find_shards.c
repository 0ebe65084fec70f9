/* SPDX-License-Identifier: BSD-2-Clause */
/* A manifest of shards: what it says, and whether each shard is the index that it names. */
#include "find_shards.h"

#include "output.h"
#include "schemes.h"
#include "text.h"

int open_to_look(void *context, const char *uri, bool write, const struct uds_env *env,
		 struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	(void)context;
	(void)write;
	options.no_lock = true;
	return open_uri(uri, &options, env, ret_message, ret_io);
}

static int keep_finding(void *context, const char *sentence)
{
	return json_array_append_new(context, json_path(sentence));
}

/* What is wrong: with the manifest, or else with shards, as an array of sentences. */
static json_t *find_wrong(struct identity *identity, const char *uri, struct uds_shards_info *info)
{
	struct uds_shards_options options = UDS_SHARDS_OPTIONS_INIT;
	struct uds_message message = { "" };
	json_t *wrong = json_array();
	int r;

	options.open_io = open_to_look;
	options.only_identities = true;
	r = uds_shards_read_info(uri, &options, NULL, NULL, &message, info);
	identity->unknown_version = r == UDS_ERR_UNSUPPORTED_VERSION;
	if (r == 0)
		r = uds_shards_verify(uri, &options, keep_finding, wrong, &message, NULL);
	if (r < 0)
		json_array_append_new(wrong, json_path(message.text));
	identity->damaged = json_array_size(wrong) > 0 && !identity->unknown_version;
	return wrong;
}

static void print_manifest(const struct identity *identity, const struct uds_shards_info *info,
			   const json_t *wrong)
{
	const json_t *sentence;
	size_t i;

	print_line(stdout, "  what           %s%s", thing_name(identity->thing),
		   identity->unknown_version		    ? ", of a version that is not known"
		   : identity->damaged && info->shards == 0 ? ", damaged"
		   : identity->damaged			    ? ", not all of its shards as it says"
							    : "");
	if (info->shards > 0)
		print_line(stdout, "  shards         %u, generation %llu", info->shards,
			   (unsigned long long)info->generation);
	if (info->state == UDS_SHARDS_MOVING)
		print_line(stdout, "  moving         names of %u of %u slots", info->moving_slots,
			   UDS_SHARDS_SLOTS);
	json_array_foreach(wrong, i, sentence)
		print_line(stdout, "  wrong          %s", json_string_value(sentence));
}

static void set_manifest(const struct uds_shards_info *info, const json_t *wrong, json_t *o)
{
	json_t *manifest = json_object();

	if (json_array_size(wrong) > 0)
		json_object_set(o, "wrong", json_array_get(wrong, 0));
	if (info->shards == 0)
		return json_decref(manifest);
	json_object_set_new(manifest, "shards", json_integer(info->shards));
	json_object_set_new(manifest, "generation", json_unsigned(info->generation));
	json_object_set_new(manifest, "state",
			    json_string(info->state == UDS_SHARDS_MOVING ? "moving" : "stable"));
	json_object_set_new(manifest, "findings", json_deep_copy(wrong));
	json_object_set_new(o, "manifest", manifest);
}

void show_shards(struct identity *identity, const char *uri, json_t *o)
{
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;
	json_t *wrong = find_wrong(identity, uri, &info);

	if (o == NULL)
		print_manifest(identity, &info, wrong);
	else
		set_manifest(&info, wrong, o);
	json_decref(wrong);
}
