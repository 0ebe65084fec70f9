/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `uds shards create`, add, remove, resume and verify: one index over several; info is in
 * shards_info.c. All other commands take a manifest where they take an index (shard_target.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "families.h"
#include "findings.h"
#include "output.h"
#include "schemes.h"
#include "shard_target.h"
#include "text.h"

/*
 * What the manifest says of an index: of a file its whole path, so that it is found from every
 * directory; of anything else what was given. The caller frees it.
 */
static char *lasting_uri(const char *given)
{
	char *path = given[strcspn(given, ":/")] == ':' ? NULL : realpath(given, NULL);

	return path != NULL ? path : strdup(given);
}

/* ---- create ---- */

static void free_uris(char **uris, int count)
{
	for (int i = 0; uris != NULL && i < count; i++)
		free(uris[i]);
	free(uris);
}

static int create_manifest(struct target *target, char **arguments, int count)
{
	struct uds_shards_options options;
	struct uds_message message = { "" };
	char **uris = calloc((size_t)count, sizeof(*uris));
	int r = uris == NULL ? -ENOMEM : 0;

	for (int i = 0; r == 0 && i < count; i++) {
		uris[i] = lasting_uri(arguments[i]);
		if (uris[i] == NULL)
			r = -ENOMEM;
	}
	shard_options(target, NULL, &options);
	if (r == 0)
		r = uds_shards_format(target->uri, (const char *const *)uris, (size_t)count,
				      &options, &message);
	free_uris(uris, count);
	return r < 0 ? failed(target->command, target->uri, r, &message) : EXIT_GOOD;
}

int shards_create_run(const struct command *command, int argc, char **argv)
{
	struct target target = { 0 };
	struct options options;
	char **arguments;
	int count, status;

	options_start(&options, command);
	if (!options_parse(&options, argc, argv, 2, INT32_MAX, &arguments, &status))
		return status;
	for (count = 1; arguments[count] != NULL; count++)
		;
	target_set(&target, &options, arguments[0]);
	status = create_manifest(&target, arguments + 1, count - 1);
	if (status == EXIT_GOOD && options.json) {
		json_t *o = json_object();

		json_object_set_new(o, "shards", json_integer(count - 1));
		if (print_json(o) < 0)
			status = failed(command, "JSON", -ENOMEM, NULL);
	} else if (status == EXIT_GOOD && !options.quiet) {
		print_line(stdout, "%s: %d shard%s", target.uri, count - 1, count == 2 ? "" : "s");
	}
	return finish_output(command, status);
}

/* ---- add, remove, resume ---- */

static int move(struct target *target, const char *uri)
{
	const char *verb = strchr(target->command->name, ' ') + 1;
	struct progress progress;
	int r;

	progress_start(&progress, target->quiet, "moving names", "chapters");
	if (strcmp(verb, "add") == 0)
		r = uds_shards_add(target->shards, uri, progress_report, &progress);
	else if (strcmp(verb, "remove") == 0)
		r = uds_shards_remove(target->shards, uri, progress_report, &progress);
	else
		r = uds_shards_resume(target->shards, progress_report, &progress);
	progress_end(&progress);
	if (r == 0)
		return EXIT_GOOD;
	r = shards_target_failed(target, r);
	if (was_interrupted())
		complain(target->command, "interrupted: to go on, uds shards resume %s",
			 target->uri);
	return r;
}

static int print_moved(const struct target *target, bool json)
{
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;
	json_t *o;

	uds_shards_get_info(target->shards, &info);
	if (!json && !target->quiet)
		print_line(stdout, "%s: %u shard%s, generation %" PRIu64, target->uri, info.shards,
			   info.shards == 1 ? "" : "s", info.generation);
	if (!json)
		return 0;
	o = json_object();
	json_object_set_new(o, "shards", json_integer(info.shards));
	json_object_set_new(o, "generation", json_unsigned(info.generation));
	return print_json(o);
}

/* An index that is to be added, beside the members of the manifest. */
struct joining {
	const struct target *target;
	const char *uri;
	uint64_t volume_nonce;
	uint32_t number;
	bool is_member;
};

static int compare_member(void *context, const struct uds_shard_info *shard)
{
	struct joining *joining = context;

	joining->number++;
	if (shard->role != UDS_SHARD_MEMBER || shard->volume_nonce != joining->volume_nonce)
		return 0;
	joining->is_member = true;
	complain(joining->target->command, "%s: %s is the index of shard %u (%s) already",
		 joining->target->uri, joining->uri, joining->number, shard->uri);
	return 1;
}

/* Reads which index a URI leads to, without a lock. Returns whether that is known. */
static bool read_nonce(const char *uri, uint64_t *ret_nonce)
{
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct uds_io *io;
	int r;

	file.no_lock = true;
	if (open_uri(uri, &file, NULL, NULL, &io) < 0)
		return false;
	r = uds_index_read_info(io, NULL, NULL, &info);
	uds_io_close(io);
	*ret_nonce = info.volume_nonce;
	return r == 0;
}

/*
 * Refuses an index that is a member already, by whatever name, before the shards are opened: they
 * lock it, and then nothing tells it from one that another program uses.
 */
static int check_joining(struct target *target, const char *uri)
{
	struct joining joining = { .target = target, .uri = uri };
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;
	struct uds_shards_options options;

	/* What is wrong with one of them is said when it is opened. */
	if (!read_nonce(uri, &joining.volume_nonce))
		return EXIT_GOOD;
	shard_options(target, NULL, &options);
	(void)uds_shards_read_info(target->uri, &options, compare_member, &joining, NULL, &info);
	return joining.is_member ? EXIT_FAILED : EXIT_GOOD;
}

/* What was refused leaves everything as it is: the save, too. */
static bool has_begun(const struct target *target, int status)
{
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;

	return status == EXIT_GOOD || uds_shards_get_info(target->shards, &info) < 0 ||
	       info.state == UDS_SHARDS_MOVING;
}

static int open_and_move(struct target *target, const char *uri, bool abandon, bool json)
{
	struct uds_index_options index = UDS_INDEX_OPTIONS_INIT;
	struct progress progress;
	int status;

	catch_interrupts();
	progress_start(&progress, target->quiet, "recovering", "chapters");
	index.zones = (uint32_t)target->zones;
	index.progress = progress_report;
	index.progress_context = &progress;
	status = shards_target_open(target, &index, abandon);
	progress_end(&progress);
	if (status != EXIT_GOOD)
		return status;
	if (!abandon)
		status = move(target, uri);
	if (status == EXIT_GOOD && print_moved(target, json) < 0)
		status = failed(target->command, "JSON", -ENOMEM, NULL);
	return shards_target_close(target, has_begun(target, status), status);
}

int shards_move_run(const struct command *command, int argc, char **argv)
{
	bool resumes = strcmp(command->name, "shards resume") == 0, abandon = false;
	struct target target = { 0 };
	struct options options;
	char **arguments, *uri = NULL;
	int status;

	options_start(&options, command);
	options_number(&options, "zones", &target.zones, 1, 16);
	if (resumes)
		options_flag(&options, "abandon", &abandon);
	if (!options_parse(&options, argc, argv, resumes ? 1 : 2, resumes ? 1 : 2, &arguments,
			   &status))
		return status;
	target_set(&target, &options, arguments[0]);
	if (!resumes)
		uri = lasting_uri(arguments[1]);
	if (!resumes && uri == NULL)
		return failed(command, arguments[1], -ENOMEM, NULL);
	status = strcmp(command->name, "shards add") == 0 ? check_joining(&target, uri) : EXIT_GOOD;
	if (status == EXIT_GOOD)
		status = open_and_move(&target, uri, abandon, options.json);
	free(uri);
	return finish_output(command, status);
}

/* ---- verify ---- */

int verify_manifest(struct target *target, json_t *list)
{
	struct uds_index_options index = UDS_INDEX_OPTIONS_INIT;
	struct index_findings findings = { .target = target, .list = list };
	struct uds_message message = { "" };
	struct uds_shards_options options;
	struct progress progress;
	uint64_t count = 0;
	int r;

	catch_interrupts();
	progress_start(&progress, target->quiet, "verifying", "chapters");
	index.zones = (uint32_t)target->zones;
	index.progress = progress_report;
	index.progress_context = &progress;
	shard_options(target, &index, &options);
	r = uds_shards_verify(target->uri, &options, take_index_finding, &findings, &message,
			      &count);
	progress_end(&progress);
	if (r < 0)
		return failed(target->command, target->uri, r, &message);
	if (print_verdict(target->uri, list, count, false) < 0)
		return failed(target->command, "JSON", -ENOMEM, NULL);
	return count > 0 ? EXIT_DAMAGE : EXIT_GOOD;
}

int shards_verify_run(const struct command *command, int argc, char **argv)
{
	struct target target = { 0 };
	struct options options;
	json_t *list = NULL;
	char **arguments;
	int status;

	options_start(&options, command);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	target_set(&target, &options, arguments[0]);
	if (options.json)
		list = json_array();
	status = verify_manifest(&target, list);
	json_decref(list);
	return finish_output(command, status);
}
