/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds recover`: opens an index that was not saved after its last change, and saves it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "families.h"
#include "output.h"
#include "shard_target.h"
#include "target.h"
#include "text.h"

/* What is there before. */
struct state {
	uint64_t shards;	/* of a manifest; 0: one index */
	uint64_t to_recover;	/* of them */
	uint64_t saved_records; /* that only saves have */
};

/* Chapters have no sum. */
static int print_shards_recovery(const struct target *target, bool json, bool recovered,
				 const struct state *state, uint64_t entries)
{
	json_t *o;

	if (!json) {
		print_line(stdout,
			   "%s: %s; %" PRIu64 " shards, of which %" PRIu64 " needed it, %" PRIu64
			   " entries",
			   target->uri,
			   recovered ? "recovered and saved"
				     : "was saved already, nothing to recover",
			   state->shards, state->to_recover, entries);
		return 0;
	}
	o = json_object();
	json_object_set_new(o, "recovered", json_boolean(recovered));
	json_object_set_new(o, "shards", json_unsigned(state->shards));
	json_object_set_new(o, "recovered_shards", json_unsigned(state->to_recover));
	json_object_set_new(o, "entries", json_unsigned(entries));
	return print_json(o);
}

static int print_recovery(const struct target *target, bool json, bool recovered,
			  const struct uds_index_statistics *statistics)
{
	json_t *o;

	if (!json) {
		print_line(stdout, "%s: %s; chapters %llu to %llu, %llu entries", target->uri,
			   recovered ? "recovered and saved"
				     : "was saved already, nothing to recover",
			   (unsigned long long)statistics->oldest_chapter,
			   (unsigned long long)statistics->open_chapter,
			   (unsigned long long)statistics->entries);
		return 0;
	}
	o = json_object();
	json_object_set_new(o, "recovered", json_boolean(recovered));
	json_object_set_new(o, "oldest_chapter", json_unsigned(statistics->oldest_chapter));
	json_object_set_new(o, "newest_chapter", json_unsigned(statistics->open_chapter));
	json_object_set_new(o, "entries", json_unsigned(statistics->entries));
	return print_json(o);
}

/* Adds one index; an exit status after a message when it is none. */
static int read_index_state(struct target *target, struct state *state)
{
	struct uds_index_info info = { .size = sizeof(info) };
	struct uds_message message = { "" };
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	int status, r;

	info.configuration.size = sizeof(info.configuration);
	status = target_open_io(target, false);
	if (status != EXIT_GOOD)
		return status;
	options.env = &target->env;
	options.offset = target->offset;
	options.check_save = true;
	r = uds_index_read_info(target->io, &options, &message, &info);
	if (r == 0) {
		state->to_recover += info.state != UDS_INDEX_CLEAN;
		state->saved_records += info.saved_records;
	} else {
		state->to_recover++;
	}
	if (r < 0 && !target->skip_unreadable) /* otherwise opening says what can be done without */
		status = failed(target->command, target->uri, r, &message);
	return target_close(target, false, status);
}

struct shards_state {
	const struct target *all;
	struct state *sum;
	int status;
};

static int add_shard(void *context, const char *uri, uint64_t volume_nonce)
{
	struct shards_state *state = context;
	struct target shard = *state->all;

	(void)volume_nonce; /* opening compares it */
	shard.uri = uri;
	shard.env.context = &shard;
	state->sum->shards++;
	state->status = read_index_state(&shard, state->sum);
	return state->status != EXIT_GOOD;
}

static int read_state(struct target *target, struct state *ret_state)
{
	struct shards_state shards = { target, ret_state, EXIT_GOOD };
	int status;

	if (!is_manifest(target->uri))
		return read_index_state(target, ret_state);
	status = check_manifest_options(target);
	if (status == EXIT_GOOD)
		status = shards_target_list(target, add_shard, &shards);
	return status == EXIT_GOOD ? shards.status : status;
}

/* A save that is ignored takes the records of its open chapter with it: only when told so twice. */
static int refuse_loss(const struct target *target, const struct state *state)
{
	complain(target->command,
		 "%s: its save has %llu records that are nowhere else; recover without "
		 "--ignore-saves to keep them, or add --lose-records to give them up",
		 target->uri, (unsigned long long)state->saved_records);
	return EXIT_FAILED;
}

int recover_run(const struct command *command, int argc, char **argv)
{
	struct uds_index_statistics statistics = { .size = sizeof(statistics) };
	struct state state = { 0 };
	struct target target = { 0 };
	struct options options;
	char **arguments;
	bool ignore_saves = false;
	bool recovered;
	int status, r;

	options_start(&options, command);
	target_options(&target, &options, true);
	target_nonce_option(&target, &options);
	options_flag(&options, "ignore-saves", &ignore_saves);
	options_flag(&options, "lose-records", &target.lose_records);
	options_flag(&options, "skip-unreadable", &target.skip_unreadable);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	target_set(&target, &options, arguments[0]);
	target.takes_shards = true;
	status = read_state(&target, &state);
	if (status == EXIT_GOOD && ignore_saves && !target.lose_records && state.saved_records > 0)
		status = refuse_loss(&target, &state);
	if (status != EXIT_GOOD)
		return status;
	status = target_open(&target, ignore_saves ? UDS_INDEX_RECOVER : UDS_INDEX_LOAD_OR_RECOVER);
	if (status != EXIT_GOOD)
		return status;
	recovered = ignore_saves || state.to_recover > 0;
	target_statistics(&target, &statistics);
	status = target_close(&target, recovered, EXIT_GOOD);
	if (status != EXIT_GOOD)
		return status;
	r = state.shards > 0 ? print_shards_recovery(&target, options.json, recovered, &state,
						     statistics.entries)
			     : print_recovery(&target, options.json, recovered, &statistics);
	if (r < 0)
		return failed(command, "JSON", -ENOMEM, NULL);
	return finish_output(command, EXIT_GOOD);
}
