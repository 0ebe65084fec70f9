/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds find`: what lies on devices and files, where, and how it is opened. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "families.h"
#include "document.h"
#include "find_lvm.h"
#include "find_shards.h"
#include "identify.h"
#include "output.h"
#include "target.h"
#include "text.h"
#include "vdo_show.h"

static void print_index(const struct identity *identity)
{
	const struct uds_index_info *index = &identity->index;

	if (!identity->has_index)
		return;
	printf("  index          at byte %llu, %s (%llu bytes), %s, at most %llu records\n",
	       identity->thing == THING_VDO ? (unsigned long long)identity->vdo.index_offset : 0ULL,
	       size_text(index->size_bytes).text, (unsigned long long)index->size_bytes,
	       index->configuration.sparse_chapters_per_volume > 0 ? "sparse" : "dense",
	       (unsigned long long)index->records);
}

static void print_pv(struct identity *identity, const char *uri, char *const *arguments)
{
	if (identity->pv_uuid[0] != '\0')
		print_line(stdout, "  uuid           %s", identity->pv_uuid);
	print_line(stdout, "  group          %s",
		   identity->vg_name[0] != '\0' ? identity->vg_name : "none that can be read");
	if (show_group(uri, arguments, NULL))
		identity->damaged = true;
}

static void print_what(const struct identity *identity)
{
	printf("  what           %s", thing_name(identity->thing));
	if (has_index_damage(identity))
		printf("%s, its %s damaged\n", identity->thing == THING_VDO ? " with an index" : "",
		       damaged_blocks(identity));
	else
		printf("%s\n", identity->damaged	   ? ", damaged"
			       : identity->unknown_version ? ", of a version that is not known"
							   : "");
}

static void print_commands(const struct identity *identity, const char *uri)
{
	const char *note = repairing_note(identity);
	char type[1200];

	repairing_command(identity, uri, type, sizeof(type));
	if (type[0] != '\0')
		print_line(stdout, "  repaired by    %s", type);
	if (note[0] != '\0')
		print_line(stdout, "    note         %s", note);
	opening_command(identity, uri, type, sizeof(type));
	if (type[0] != '\0')
		print_line(stdout, "  %-14s %s",
			   !identity->has_index && identity->thing != THING_STORE &&
					   identity->thing != THING_SHARDS
				   ? "index made by"
				   : "opened by",
			   type);
}

/* @identity: is called damaged where all of the arguments together say it. */
static void print_identity(struct identity *identity, const char *uri, char *const *arguments)
{
	print_line(stdout, "%s", uri);
	if (identity->thing == THING_SHARDS) {
		show_shards(identity, uri, NULL);
		print_commands(identity, uri);
		return;
	}
	if (identity->thing == THING_OTHER)
		print_line(stdout, "  what           known as %s", identity->word);
	else
		print_what(identity);
	if (identity->thing == THING_VDO && identity->knows_nonce)
		print_vdo(&identity->vdo);
	print_index(identity);
	if (identity->thing == THING_STORE)
		printf("  store          at byte 0, %s, chunks of %u bytes\n",
		       identity->store_is_valid ? "valid" : "invalid", identity->chunk_bytes);
	if (identity->thing == THING_PV)
		print_pv(identity, uri, arguments);
	if (identity->wrong.text[0] != '\0')
		print_line(stdout, "  wrong          %s", identity->wrong.text);
	print_commands(identity, uri);
}

static json_t *index_object(const struct identity *identity)
{
	const struct uds_index_info *index = &identity->index;
	json_t *o = json_object();

	json_object_set_new(
		o, "offset",
		json_unsigned(identity->thing == THING_VDO ? identity->vdo.index_offset : 0));
	json_object_set_new(o, "size_bytes", json_unsigned(index->size_bytes));
	json_object_set_new(o, "records", json_unsigned(index->records));
	json_object_set_new(o, "nonce", json_unsigned(index->configuration.nonce));
	json_object_set_new(o, "sparse",
			    json_boolean(index->configuration.sparse_chapters_per_volume > 0));
	return o;
}

/* Words for scripts. */
static const char *thing_key(enum thing thing)
{
	static const char *const keys[] = {
		[THING_UNKNOWN] = "unknown",
		[THING_INDEX] = "index",
		[THING_VDO] = "vdo",
		[THING_VDO_REGION] = "vdo-index-region",
		[THING_STORE] = "exception-store",
		[THING_PV] = "lvm-pv",
		[THING_SHARDS] = "shards-manifest",
		[THING_OTHER] = "other",
	};

	return keys[thing];
}

static json_t *identity_object(struct identity *identity, const char *uri, char *const *arguments)
{
	json_t *o = json_object();
	char type[1200];

	json_object_set_new(o, "path", json_path(uri));
	json_object_set_new(o, "what", json_string(thing_key(identity->thing)));
	json_object_set_new(o, "size_bytes", json_unsigned(identity->bytes));
	if (identity->thing == THING_VDO && identity->knows_nonce)
		json_object_set_new(o, "vdo", vdo_object(&identity->vdo));
	if (identity->has_index)
		json_object_set_new(o, "index", index_object(identity));
	if (identity->thing == THING_STORE) {
		json_object_set_new(o, "chunk_size_bytes", json_unsigned(identity->chunk_bytes));
		json_object_set_new(o, "valid", json_boolean(identity->store_is_valid));
	}
	if (identity->thing == THING_PV) {
		json_object_set_new(o, "uuid", json_path(identity->pv_uuid));
		json_object_set_new(o, "group", json_path(identity->vg_name));
		if (show_group(uri, arguments, o))
			identity->damaged = true;
	}
	if (identity->thing == THING_SHARDS)
		show_shards(identity, uri, o);
	if (identity->thing == THING_OTHER)
		json_object_set_new(o, "known_as", json_path(identity->word));
	if (identity->wrong.text[0] != '\0')
		json_object_set_new(o, "wrong", json_path(identity->wrong.text));
	if (has_index_damage(identity)) {
		json_object_set_new(o, "damaged_block", json_string(damaged_blocks(identity)));
		json_object_set_new(o, "repairable",
				    json_boolean(identity->index_damage.repairable));
	}
	repairing_command(identity, uri, type, sizeof(type));
	if (type[0] != '\0')
		json_object_set_new(o, "repaired_by", json_path(type));
	opening_command(identity, uri, type, sizeof(type));
	if (type[0] != '\0')
		json_object_set_new(o, "opened_by", json_path(type));
	json_object_set_new(o, "damaged", json_boolean(identity->damaged));
	return o;
}

/* The worst of several: damage says more than a failure. */
static int worse(int a, int b)
{
	return a > b ? a : b;
}

static int find_one(const struct command *command, const char *uri, char *const *arguments,
		    bool json)
{
	struct uds_message message = { "" };
	struct identity identity;
	int r = identify(uri, &message, &identity);

	if (r < 0)
		return failed(command, uri, r, &message);
	if (json)
		document_item(identity_object(&identity, uri, arguments));
	else
		print_identity(&identity, uri, arguments);
	if (identity.damaged)
		return EXIT_DAMAGE;
	return identity.thing == THING_UNKNOWN || identity.unknown_version ? EXIT_FAILED
									   : EXIT_GOOD;
}

int find_run(const struct command *command, int argc, char **argv)
{
	struct options options;
	int status = EXIT_GOOD;
	char **arguments;

	options_start(&options, command);
	if (!options_parse(&options, argc, argv, 1, INT32_MAX, &arguments, &status))
		return status;
	if (options.json)
		document_begin_items("found");
	for (char **uri = arguments; *uri != NULL; uri++)
		status = worse(status, find_one(command, *uri, arguments, options.json));
	return finish_output(command, status);
}
