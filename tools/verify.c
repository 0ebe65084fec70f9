/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds verify`: names what is damaged, and repairs it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "families.h"
#include "findings.h"
#include "identify.h"
#include "output.h"
#include "shard_target.h"
#include "target.h"
#include "text.h"

static int repair_failed(const struct target *target, int status, const struct uds_message *message)
{
	struct command repair = *target->command;

	if (status == UDS_ERR_STOPPED) {
		complain(target->command, "interrupted: a repair can be begun again");
	} else if (status == UDS_ERR_WOULD_LOSE_RECORDS) {
		complain(target->command,
			 "%s: nothing was changed; add --lose-records to give these records up",
			 target->uri);
		return EXIT_DAMAGE;
	}
	repair.name = target->check_nonce ? REPAIR_WITH_NONCE : REPAIR;
	return failed(&repair, target->uri, status, message);
}

/* What there is to say about what was found comes afterwards. @shard: as in index_findings. */
static int check_io(struct target *target, json_t *list, const char *shard, bool repair,
		    uint64_t *ret_count)
{
	struct index_findings findings = { target, list, shard };
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct progress progress;
	int r;

	catch_interrupts();
	progress_start(&progress, target->quiet, repair ? "repairing" : "verifying", "chapters");
	options.env = &target->env;
	options.offset = target->offset;
	options.zones = (unsigned int)target->zones;
	options.lose_records = target->lose_records;
	options.check_nonce = target->check_nonce;
	options.nonce = target->nonce;
	options.progress = progress_report;
	options.progress_context = &progress;
	r = repair ? uds_index_repair(target->io, &options, take_index_finding, &findings, &message,
				      ret_count)
		   : uds_index_verify(target->io, &options, take_index_finding, &findings, &message,
				      ret_count);
	progress_end(&progress);
	if (r < 0 && repair)
		return repair_failed(target, r, &message);
	if (r == UDS_ERR_STOPPED)
		complain(target->command, "interrupted: not everything was checked; nothing is "
					  "ever written");
	return r < 0 ? failed(target->command, target->uri, r, &message) : EXIT_GOOD;
}

static int verify_io(struct target *target, json_t *list, bool repair)
{
	uint64_t count = 0;
	int status = check_io(target, list, NULL, repair, &count);

	if (status != EXIT_GOOD)
		return status;
	if (print_verdict(target->uri, list, count, repair) < 0)
		return failed(target->command, "JSON", -ENOMEM, NULL);
	if (count > 0)
		say_what_it_is(target->command, target->uri, UDS_ERR_CORRUPT);
	return count > 0 && !repair ? EXIT_DAMAGE : EXIT_GOOD;
}

/* ---- shards ---- */

struct shards_repair {
	const struct target *all;
	json_t *list;
	uint64_t count;
	int status; /* the worst of all shards */
};

/*
 * Whether what is there is the shard: something else is not written. What cannot be read is
 * what a repair is for.
 */
static int check_identity(struct target *shard, const char *manifest, uint64_t volume_nonce)
{
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_info info = { .size = sizeof(info) };

	info.configuration.size = sizeof(info.configuration);
	options.env = &shard->env;
	if (uds_index_read_info(shard->io, &options, NULL, &info) < 0 ||
	    info.volume_nonce == volume_nonce)
		return EXIT_GOOD;
	complain(shard->command,
		 "%s: volume nonce: expected 0x%016" PRIx64
		 ", as the manifest says, found 0x%016" PRIx64
		 ": another index, which is not touched; see uds shards verify %s",
		 shard->uri, volume_nonce, info.volume_nonce, manifest);
	return EXIT_DAMAGE;
}

static int repair_shard(void *context, const char *uri, uint64_t volume_nonce)
{
	struct shards_repair *repair = context;
	struct target shard = *repair->all;
	uint64_t count = 0;
	int status;

	shard.uri = uri;
	shard.env.context = &shard;
	status = target_open_io(&shard, true);
	if (status == EXIT_GOOD) {
		status = check_identity(&shard, repair->all->uri, volume_nonce);
		if (status == EXIT_GOOD)
			status = check_io(&shard, repair->list, uri, true, &count);
		status = target_close(&shard, false, status);
	}
	repair->count += count;
	if (status > repair->status)
		repair->status = status;
	return was_interrupted();
}

/* All of them, whatever one comes to. */
static int repair_shards(struct target *target, json_t *list)
{
	struct shards_repair repair = { .all = target, .list = list, .status = EXIT_GOOD };
	int status = shards_target_list(target, repair_shard, &repair);

	if (status == EXIT_GOOD)
		status = repair.status;
	if (status != EXIT_GOOD)
		return status;
	if (print_verdict(target->uri, list, repair.count, true) < 0)
		status = failed(target->command, "JSON", -ENOMEM, NULL);
	return status;
}

static int verify_shards(struct target *target, json_t *list, bool repair)
{
	int status = check_manifest_options(target);

	if (status != EXIT_GOOD)
		return status;
	return repair ? repair_shards(target, list) : verify_manifest(target, list);
}

/* ---- the command ---- */

static int verify_index(struct target *target, json_t *list, bool repair)
{
	int status = target_open_io(target, repair);

	if (status != EXIT_GOOD)
		return status;
	return target_close(target, false, verify_io(target, list, repair));
}

int verify_run(const struct command *command, int argc, char **argv)
{
	struct target target = { 0 };
	struct options options;
	json_t *list = NULL;
	bool repair = false;
	char **arguments;
	int status;

	options_start(&options, command);
	target_options(&target, &options, true);
	target_nonce_option(&target, &options);
	options_flag(&options, "repair", &repair);
	options_flag(&options, "lose-records", &target.lose_records);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	if (!repair && (target.lose_records || options_given(&options, "save-time")))
		return misused(command, "--lose-records and --save-time are for --repair");
	target_set(&target, &options, arguments[0]);
	if (options.json)
		list = json_array();
	status = is_manifest(target.uri) ? verify_shards(&target, list, repair)
					 : verify_index(&target, list, repair);
	json_decref(list);
	return finish_output(command, status);
}
