/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing what the snapshot commands work on. */
#include "snapshot_target.h"

#include <string.h>

static void print_log(void *context, enum uds_log_level level, const char *sentence)
{
	const struct snapshot_target *target = context;

	if (level <= UDS_LOG_WARNING && !target->quiet)
		complain_about(target->command, target->cow_uri, sentence);
}

void snapshot_options(struct snapshot_target *target, struct options *options, bool salvage)
{
	options_text(options, "origin", &target->origin_uri);
	if (salvage)
		options_flag(options, "salvage", &target->salvage);
}

int snapshot_set(struct snapshot_target *target, const struct options *options, const char *cow,
		 bool needs_origin)
{
	const struct uds_env env = UDS_ENV_INIT;

	target->command = options->command;
	target->quiet = options->quiet;
	target->cow_uri = cow;
	target->env = env;
	target->env.context = target;
	target->env.log = print_log;
	if (needs_origin && target->origin_uri == NULL)
		return misused(target->command, "--origin is missing");
	return EXIT_GOOD;
}

int snapshot_open_io(struct snapshot_target *target, const char *uri, bool write,
		     struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.write = write;
	r = uds_io_open_uri(uri, &options, &target->env, &message, ret_io);
	return r < 0 ? failed(target->command, uri, r, &message) : EXIT_GOOD;
}

/* To look at only: without a lock, so that nobody is in the way. NULL when it cannot be opened. */
static struct uds_io *open_to_look(struct snapshot_target *target, const char *uri)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io = NULL;

	options.no_lock = true;
	return uds_io_open_uri(uri, &options, &target->env, NULL, &io) == 0 ? io : NULL;
}

/* Said before they are opened, because then the second one would only be found to be in use. */
static bool have_common_bytes(struct snapshot_target *target)
{
	struct uds_io *cow = open_to_look(target, target->cow_uri);
	struct uds_io *origin = open_to_look(target, target->origin_uri);
	bool common = cow != NULL && origin != NULL && uds_io_overlap(cow, origin);

	uds_io_close(cow);
	uds_io_close(origin);
	return common;
}

int snapshot_open_store(struct snapshot_target *target)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct progress progress;
	int status, r;

	status = snapshot_open_io(target, target->cow_uri, false, &target->cow);
	if (status != EXIT_GOOD)
		return status;
	catch_interrupts();
	progress_start(&progress, target->quiet, "reading", "areas");
	options.env = &target->env;
	options.read_only = true;
	options.salvage = target->salvage;
	options.progress = progress_report;
	options.progress_context = &progress;
	r = uds_exception_store_open(target->cow, &options, &message, &target->store);
	progress_end(&progress);
	if (r == 0)
		return EXIT_GOOD;
	return snapshot_close(target, failed(target->command, target->cow_uri, r, &message));
}

static int open_snapshot(struct snapshot_target *target, bool read_only)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct progress progress;
	int r;

	progress_start(&progress, target->quiet, "reading", "areas");
	options.env = &target->env;
	options.read_only = read_only;
	options.salvage = target->salvage;
	/* A write that finds no room fails; it does not take the snapshot with it. */
	options.keep_on_overflow = true;
	options.progress = progress_report;
	options.progress_context = &progress;
	r = uds_snapshot_open(target->origin, target->cow, &options, &message, &target->snapshot);
	progress_end(&progress);
	return r < 0 ? failed(target->command, target->cow_uri, r, &message) : EXIT_GOOD;
}

int snapshot_open(struct snapshot_target *target, bool write_cow, bool write_origin)
{
	int status;

	if (have_common_bytes(target)) {
		complain(target->command,
			 "%s: has bytes in common with the origin %s: is origin and COW device at "
			 "once",
			 target->cow_uri, target->origin_uri);
		return EXIT_FAILED;
	}
	catch_interrupts();
	status = snapshot_open_io(target, target->cow_uri, write_cow, &target->cow);
	if (status == EXIT_GOOD)
		status =
			snapshot_open_io(target, target->origin_uri, write_origin, &target->origin);
	if (status == EXIT_GOOD)
		status = open_snapshot(target, !write_cow);
	return status == EXIT_GOOD ? EXIT_GOOD : snapshot_close(target, status);
}

static void close_io(struct snapshot_target *target, struct uds_io **io, const char *uri,
		     int *status)
{
	int r = uds_io_close(*io);

	*io = NULL;
	if (r < 0 && *status == EXIT_GOOD)
		*status = failed(target->command, uri, r, NULL);
}

int snapshot_close(struct snapshot_target *target, int status)
{
	int r = 0;

	if (target->snapshot != NULL)
		r = uds_snapshot_close(target->snapshot);
	else if (target->store != NULL)
		r = uds_exception_store_close(target->store);
	target->snapshot = NULL;
	target->store = NULL;
	if (r < 0 && status == EXIT_GOOD)
		status = failed(target->command, target->cow_uri, r, NULL);
	close_io(target, &target->origin, target->origin_uri, &status);
	close_io(target, &target->cow, target->cow_uri, &status);
	return status;
}

int snapshot_failed(struct snapshot_target *target, int status)
{
	struct uds_message message = { "" };

	if (target->snapshot != NULL)
		uds_snapshot_error_message(target->snapshot, &message);
	else
		uds_exception_store_error_message(target->store, &message);
	return failed(target->command, target->cow_uri, status, &message);
}
