/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening, saving and closing the index that a command works on. */
#include "target.h"

#include <string.h>

#include "schemes.h"
#include "shard_target.h"

static uint64_t fixed_now(void *context)
{
	const struct target *target = context;

	return target->save_time;
}

/* What the library has to say on the way; only what a person should know. */
static void print_log(void *context, enum uds_log_level level, const char *sentence)
{
	const struct target *target = context;

	if (level <= UDS_LOG_WARNING && !target->quiet)
		complain_about(target->command, target->uri, sentence);
}

void target_options(struct target *target, struct options *options, bool saves)
{
	options_bytes(options, "offset", &target->offset, 0, UINT64_MAX, 4096);
	options_number(options, "zones", &target->zones, 1, 16);
	if (saves)
		options_number(options, "save-time", &target->save_time, 1, INT64_MAX);
}

void target_nonce_option(struct target *target, struct options *options)
{
	options_number(options, "nonce", &target->nonce, 0, UINT64_MAX);
}

void target_checkpoint_option(struct target *target, struct options *options)
{
	options_number(options, "checkpoint-interval", &target->checkpoint_interval, 1, UINT32_MAX);
}

void target_set(struct target *target, const struct options *options, const char *uri)
{
	const struct uds_env env = UDS_ENV_INIT;

	target->command = options->command;
	target->quiet = options->quiet;
	target->uri = uri;
	target->check_nonce = options_given(options, "nonce");
	target->fixed_time = options_given(options, "save-time");
	target->env = env;
	target->env.context = target;
	target->env.log = print_log;
	if (target->fixed_time)
		target->env.now_ms = fixed_now;
}

int target_open_uri(struct target *target, const char *uri, bool write, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;
	int r;

	options.write = write;
	r = open_uri(uri, &options, env, ret_message, &io);
	if (r < 0)
		return r;
	if (target->on_io != NULL)
		r = target->on_io(target->on_io_context, io, ret_message);
	if (r < 0)
		uds_io_close(io);
	else
		*ret_io = io;
	return r;
}

int target_open_io(struct target *target, bool write)
{
	struct uds_message message = { "" };
	int r = target_open_uri(target, target->uri, write, &target->env, &message, &target->io);

	return r < 0 ? failed(target->command, target->uri, r, &message) : EXIT_GOOD;
}

int target_open(struct target *target, enum uds_index_mode mode)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	bool sharded = target->takes_shards && is_manifest(target->uri);
	struct uds_message message = { "" };
	struct progress progress;
	int status = EXIT_GOOD, r;

	if (!sharded)
		status = target_open_io(target, mode != UDS_INDEX_READ_ONLY);
	if (status != EXIT_GOOD)
		return status;
	catch_interrupts();
	if (mode != UDS_INDEX_READ_ONLY)
		outlive_readers();
	progress_start(&progress, target->quiet, "recovering", "chapters");
	options.env = &target->env;
	options.offset = target->offset;
	options.zones = (unsigned int)target->zones;
	options.checkpoint_interval = (uint32_t)target->checkpoint_interval;
	options.mode = mode;
	options.check_nonce = target->check_nonce;
	options.nonce = target->nonce;
	options.lose_records = target->lose_records;
	options.skip_unreadable = target->skip_unreadable;
	options.progress = progress_report;
	options.progress_context = &progress;
	if (sharded) {
		status = shards_target_open(target, &options, false);
		progress_end(&progress);
		return status;
	}
	r = uds_index_open(target->io, &options, &message, &target->index);
	progress_end(&progress);
	if (r == 0)
		return EXIT_GOOD;
	status = failed(target->command, target->uri, r, &message);
	if (r == UDS_ERR_STOPPED)
		complain(target->command, "interrupted: the index is as it was");
	if (r == UDS_ERR_WOULD_LOSE_RECORDS)
		complain(target->command, "to give them up: uds recover --lose-records %s",
			 target->uri);
	uds_io_close(target->io);
	target->io = NULL;
	return status;
}

const char *state_key(enum uds_index_state state)
{
	switch (state) {
	case UDS_INDEX_NEW:
		return "new";
	case UDS_INDEX_CLEAN:
		return "clean";
	case UDS_INDEX_NEEDS_RECOVERY:
		break;
	}
	return "needs-recovery";
}

int target_run(struct target *target, struct uds_request *requests, size_t count)
{
	return target->shards != NULL ? shards_target_run(target, requests, count)
				      : uds_index_run(target->index, requests, count);
}

unsigned int target_index_count(struct target *target)
{
	return target->shards != NULL ? shards_target_count(target) : 1;
}

struct uds_index *target_index(struct target *target, unsigned int number)
{
	return target->shards != NULL ? shards_target_index(target, number) : target->index;
}

int target_for_each(struct target *target, uds_record_fn each, void *context)
{
	return target->shards != NULL ? shards_target_for_each(target, each, context)
				      : uds_index_for_each(target->index, each, context);
}

int target_statistics(struct target *target, struct uds_index_statistics *ret_statistics)
{
	return target->shards != NULL ? shards_target_statistics(target, ret_statistics)
				      : uds_index_get_statistics(target->index, ret_statistics);
}

int check_manifest_options(const struct target *target)
{
	if (target->offset == 0 && !target->check_nonce)
		return EXIT_GOOD;
	return misused(target->command,
		       "--offset and --nonce are for one index; %s is a manifest of shards",
		       target->uri);
}

int target_failed(struct target *target, int status)
{
	struct uds_message message = { "" };

	if (target->shards != NULL)
		return shards_target_failed(target, status);
	uds_index_error_message(target->index, &message);
	return failed(target->command, target->uri, status, &message);
}

/* Saving ends the work, so a signal that asks for the end does not stop it. */
static int show_saving(void *progress, uint64_t done, uint64_t total)
{
	(void)progress_report(progress, done, total);
	return 0;
}

static int save_index(struct target *target)
{
	struct progress progress;
	int r;

	progress_start(&progress, target->quiet, "saving", NULL);
	r = uds_index_save_reporting(target->index, show_saving, &progress);
	progress_end(&progress);
	return r;
}

int target_close(struct target *target, bool save, int status)
{
	struct uds_message message = { "" };
	int r;

	if (target->shards != NULL)
		return shards_target_close(target, save, status);
	if (target->index != NULL) {
		if (save) {
			r = save_index(target);
			if (r < 0) {
				int saving = target_failed(target, r);

				complain(target->command, "%s: not saved", target->uri);
				status = status == EXIT_GOOD ? saving : status;
			}
		}
		r = uds_index_close(target->index);
		target->index = NULL;
		if (r < 0 && status == EXIT_GOOD)
			status = failed(target->command, target->uri, r, &message);
	}
	r = uds_io_close(target->io);
	target->io = NULL;
	if (r < 0 && status == EXIT_GOOD)
		status = failed(target->command, target->uri, r, &message);
	return status;
}
