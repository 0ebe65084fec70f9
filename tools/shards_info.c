/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds shards info`: what a manifest says, and what each of its shards is now. Writes nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "families.h"
#include "find_shards.h"
#include "output.h"
#include "shard_target.h"
#include "text.h"

static const char *role_name(uint32_t role)
{
	return role == UDS_SHARD_MEMBER	   ? "member"
	       : role == UDS_SHARD_JOINING ? "joining"
					   : "leaving";
}

static int take_shard(void *context, const struct uds_shard_info *shard)
{
	json_t *o = json_object();
	char nonce[32];

	snprintf(nonce, sizeof(nonce), "0x%016" PRIx64, shard->volume_nonce);
	json_set_path(o, "uri", shard->uri);
	json_object_set_new(o, "volume_nonce", json_string(nonce));
	json_object_set_new(o, "role", json_string(role_name(shard->role)));
	json_object_set_new(o, "slots", json_integer(shard->slots));
	return json_array_append_new(context, o);
}

static json_t *describe(const struct uds_shards_info *info, json_t *list)
{
	json_t *o = json_object();
	const struct uds_configuration *c = &info->configuration;

	json_object_set_new(o, "generation", json_unsigned(info->generation));
	json_object_set_new(o, "state",
			    json_string(info->state == UDS_SHARDS_MOVING ? "moving" : "stable"));
	json_object_set_new(o, "moving_slots", json_integer(info->moving_slots));
	json_object_set_new(o, "page_size", json_integer(c->page_bytes));
	json_object_set_new(o, "record_pages_per_chapter",
			    json_integer(c->record_pages_per_chapter));
	json_object_set_new(o, "chapters_per_volume", json_integer(c->chapters_per_volume));
	json_object_set_new(o, "sparse_chapters_per_volume",
			    json_integer(c->sparse_chapters_per_volume));
	json_object_set(o, "shards", list);
	return o;
}

static void print_shards(const struct target *target, const struct uds_shards_info *info,
			 const json_t *list)
{
	json_t *shard;
	size_t i;

	print_line(stdout, "%s: %u shard%s, generation %" PRIu64, target->uri, info->shards,
		   info->shards == 1 ? "" : "s", info->generation);
	if (info->state == UDS_SHARDS_MOVING)
		print_line(stdout,
			   "%s: names of %u of %u slots are moving; to go on: uds shards resume",
			   target->uri, info->moving_slots, UDS_SHARDS_SLOTS);
	json_array_foreach(list, i, shard)
		print_line(stdout, "%3zu  %s  %-7s  %4d slots  %-14s  %s%s", i + 1,
			   json_string_value(json_object_get(shard, "volume_nonce")),
			   json_string_value(json_object_get(shard, "role")),
			   (int)json_integer_value(json_object_get(shard, "slots")),
			   json_object_get(shard, "wrong") != NULL
				   ? "wrong"
				   : json_string_value(json_object_get(shard, "state")),
			   json_string_value(json_object_get(shard, "uri")),
			   json_is_true(json_object_get(shard, "in_use")) ? " (in use)" : "");
}

/* ---- the shards themselves ---- */

/* A look at each shard, in their order: opened, then found to be wrong or not. */
struct look {
	struct target *target;
	json_t *list;
	json_t *shard; /* that is looked at; of the list */
	size_t next;
	bool json;
	bool wrong; /* one of them is */
};

/* With the lock of a reader, or without it where another program writes. */
static int look_at_shard(void *context, const char *uri, bool write, const struct uds_env *env,
			 struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct look *look = context;
	int r;

	look->shard = json_array_get(look->list, look->next++);
	r = target_open_uri(look->target, uri, write, env, ret_message, ret_io);
	if (r == UDS_ERR_IN_USE) {
		r = open_to_look(NULL, uri, write, env, ret_message, ret_io);
		json_object_set_new(look->shard, "in_use", json_true());
	} else if (r == 0) {
		json_object_set_new(look->shard, "in_use", json_false());
	}
	if (r == 0 && uds_index_read_info(*ret_io, NULL, NULL, &info) == 0)
		json_object_set_new(look->shard, "state", json_string(state_key(info.state)));
	return r;
}

static int take_wrong(void *context, const char *sentence)
{
	struct look *look = context;

	look->wrong = true;
	json_object_set_new(look->shard, "wrong", json_path(sentence));
	if (!look->json)
		complain(look->target->command, "%s", sentence);
	return 0;
}

/* Returns a status of the library, with its sentence. */
static int look_at_shards(struct look *look, struct uds_message *message)
{
	struct uds_shards_options options;

	shard_options(look->target, NULL, &options);
	options.open_io = look_at_shard;
	options.open_context = look;
	options.only_identities = true;
	return uds_shards_verify(look->target->uri, &options, take_wrong, look, message, NULL);
}

int show_manifest(struct target *target, bool json)
{
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;
	struct uds_shards_options options;
	struct uds_message message = { "" };
	json_t *list = json_array();
	struct look look = { .target = target, .list = list, .json = json };
	int status, r;

	shard_options(target, NULL, &options);
	r = uds_shards_read_info(target->uri, &options, take_shard, list, &message, &info);
	if (r == 0)
		r = look_at_shards(&look, &message);
	status = look.wrong ? EXIT_DAMAGE : EXIT_GOOD;
	if (r < 0)
		status = failed(target->command, target->uri, r, &message);
	else if (!json)
		print_shards(target, &info, list);
	else if (print_json(describe(&info, list)) < 0)
		status = failed(target->command, "JSON", -ENOMEM, NULL);
	json_decref(list);
	return status;
}

int shards_info_run(const struct command *command, int argc, char **argv)
{
	struct target target = { 0 };
	struct options options;
	char **arguments;
	int status;

	options_start(&options, command);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	target_set(&target, &options, arguments[0]);
	return finish_output(command, show_manifest(&target, options.json));
}
