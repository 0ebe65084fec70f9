/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing what the snapshot commands work on. */
#include "snapshot_target.h"

#include <string.h>

#include "schemes.h"
#include "snapshot_group.h"

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

void snapshot_other_options(struct snapshot_target *target, struct options *options)
{
	options_texts(options, "cow", &target->other_uris);
}

int snapshot_set(struct snapshot_target *target, const struct options *options, const char *cow,
		 bool needs_origin)
{
	const struct uds_env env = UDS_ENV_INIT;

	target->command = options->command;
	target->quiet = options->quiet;
	target->cow_uri = cow;
	target->needs_origin = needs_origin;
	target->env = env;
	target->env.context = target;
	target->env.log = print_log;
	if (needs_origin && target->origin_uri == NULL && !group_has(cow))
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
	r = open_uri(uri, &options, &target->env, &message, ret_io);
	return r < 0 ? failed(target->command, uri, r, &message) : EXIT_GOOD;
}

/* On the physical volumes of the COW device where it is of the same group. */
static int open_beside(struct snapshot_target *target, const char *uri, bool write,
		       struct uds_io **ret_io)
{
	int status;

	if (group_open_io(target, uri, ret_io, &status))
		return status;
	return snapshot_open_io(target, uri, write, ret_io);
}

int snapshot_open_origin(struct snapshot_target *target, bool write)
{
	return open_beside(target, target->origin_uri, write, &target->origin);
}

/* To look at only: without a lock, so that it is in no one's way. NULL when it cannot be opened. */
static struct uds_io *open_to_look(const char *uri)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io = NULL;

	options.no_lock = true;
	return open_uri(uri, &options, NULL, NULL, &io) == 0 ? io : NULL;
}

static bool have_common_bytes(const char *one_uri, const char *other_uri)
{
	struct uds_io *one = open_to_look(one_uri);
	struct uds_io *other = open_to_look(other_uri);
	bool common = one != NULL && other != NULL && uds_io_overlap(one, other);

	uds_io_close(one);
	uds_io_close(other);
	return common;
}

/* Said before they are opened, because then the second one would only be found to be in use. */
static int check_apart(struct snapshot_target *target, const char *cow, size_t others)
{
	if (have_common_bytes(cow, target->origin_uri)) {
		complain(target->command,
			 "%s: has bytes in common with the origin %s: is origin and COW device at "
			 "once",
			 cow, target->origin_uri);
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < others; i++) {
		const char *other = target->other_uris.items[i];

		if (!have_common_bytes(cow, other))
			continue;
		complain(target->command, "%s: has bytes in common with %s: is given twice", cow,
			 other);
		return EXIT_FAILED;
	}
	return EXIT_GOOD;
}

static int check_all_apart(struct snapshot_target *target)
{
	int status = check_apart(target, target->cow_uri, target->other_uris.count);

	for (size_t i = 0; i < target->other_uris.count && status == EXIT_GOOD; i++)
		status = check_apart(target, target->other_uris.items[i], i);
	return status;
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

/* The first, or one of the others beside it. */
static int open_snapshot(struct snapshot_target *target, bool read_only, const char *uri,
			 struct uds_io *cow, struct uds_snapshot **ret_snapshot)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct progress progress;
	int r;

	progress_start(&progress, target->quiet, "reading", "areas");
	options.env = &target->env;
	options.read_only = read_only;
	/* The others are not salvaged: each is written, or has nothing to lose any more. */
	options.salvage = target->salvage && target->snapshot == NULL;
	/* A write that finds no room fails; it does not take the snapshot with it. */
	options.keep_on_overflow = true;
	options.progress = progress_report;
	options.progress_context = &progress;
	if (target->snapshot == NULL)
		r = uds_snapshot_open(target->origin, cow, &options, &message, ret_snapshot);
	else
		r = uds_snapshot_open_beside(target->snapshot, cow, &options, &message,
					     ret_snapshot);
	progress_end(&progress);
	return r < 0 ? failed(target->command, uri, r, &message) : EXIT_GOOD;
}

static int open_others(struct snapshot_target *target, bool write)
{
	int status = EXIT_GOOD;

	for (size_t i = 0; i < target->other_uris.count && status == EXIT_GOOD; i++) {
		const char *uri = target->other_uris.items[i];
		struct other_snapshot *other = &target->others[i];

		status = open_beside(target, uri, write, &other->cow);
		if (status == EXIT_GOOD)
			status = open_snapshot(target, !write, uri, other->cow, &other->snapshot);
	}
	return status;
}

int snapshot_open(struct snapshot_target *target, bool write_cow, bool write_origin)
{
	int status = group_complete(target, write_origin);

	if (status == EXIT_GOOD)
		status = check_all_apart(target);
	if (status != EXIT_GOOD)
		return snapshot_close(target, status);
	catch_interrupts();
	status = snapshot_open_io(target, target->cow_uri, write_cow, &target->cow);
	if (status == EXIT_GOOD)
		status = snapshot_open_origin(target, write_origin);
	if (status == EXIT_GOOD)
		status = open_snapshot(target, !write_cow, target->cow_uri, target->cow,
				       &target->snapshot);
	if (status == EXIT_GOOD)
		status = open_others(target, write_origin);
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

static void close_others(struct snapshot_target *target, int *status)
{
	for (size_t i = 0; i < target->other_uris.count; i++) {
		struct other_snapshot *other = &target->others[i];
		const char *uri = target->other_uris.items[i];
		int r = uds_snapshot_close(other->snapshot);

		other->snapshot = NULL;
		if (r < 0 && *status == EXIT_GOOD)
			*status = failed(target->command, uri, r, NULL);
		close_io(target, &other->cow, uri, status);
	}
}

int snapshot_close(struct snapshot_target *target, int status)
{
	int r = 0;

	close_others(target, &status);
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
	group_release(target);
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

static bool is_lost(const struct snapshot_target *target, struct uds_snapshot *snapshot,
		    const char *uri)
{
	struct uds_snapshot_status s = { .size = sizeof(s) };

	if (uds_snapshot_get_status(snapshot, &s) < 0 || s.state != UDS_SNAPSHOT_INVALID)
		return false;
	complain(target->command,
		 "%s: is %s; what was written is on the origin, and the snapshot is lost", uri,
		 uds_snapshot_state_name(s.state));
	return true;
}

int snapshot_check_valid(struct snapshot_target *target, int status)
{
	bool lost;

	if (status != EXIT_GOOD)
		return status;
	lost = is_lost(target, target->snapshot, target->cow_uri);
	for (size_t i = 0; i < target->other_uris.count; i++)
		lost |= is_lost(target, target->others[i].snapshot, target->other_uris.items[i]);
	return lost ? EXIT_FAILED : EXIT_GOOD;
}
