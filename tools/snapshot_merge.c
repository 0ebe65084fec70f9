/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds snapshot merge` and `verify`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "findings.h"
#include "output.h"
#include "snapshot_group.h"
#include "snapshot_missing.h"
#include "snapshot_target.h"
#include "text.h"

/* The library counts exceptions, people bytes. */
struct merge_progress {
	struct progress progress;
	uint64_t chunk_bytes;
};

static int report_merge(void *context, uint64_t done, uint64_t total)
{
	struct merge_progress *merge = context;

	return progress_report(&merge->progress, done * merge->chunk_bytes,
			       total * merge->chunk_bytes);
}

/* The metadata of a volume group are LVM's to write. */
static void print_what_lvm_has(const struct snapshot_target *target)
{
	struct uds_lvm_info info = UDS_LVM_INFO_INIT;
	struct uds_lvm_volume volume;

	if (!group_find_volume(target, &volume) || volume.origin == NULL ||
	    uds_lvm_get_info(uds_lvm_group_of(target->cow), NULL, &info) < 0)
		return;
	print_line(stdout, "  LVM still lists it, empty: vgchange -ay %s%s%s%s%s (see uds-lvm(7))",
		   info.name, volume.merging ? " ends the merge" : "; lvremove ",
		   volume.merging ? "" : info.name, volume.merging ? "" : "/",
		   volume.merging ? "" : volume.name);
}

static void print_text(const struct snapshot_target *target, bool dry_run,
		       const struct uds_merge_result *result)
{
	print_line(stdout, "%s: %" PRIu64 " exception%s %s, %" PRIu64 " remaining", target->cow_uri,
		   result->exceptions, result->exceptions == 1 ? "" : "s",
		   dry_run ? "would be merged" : "merged", result->remaining);
	printf("  %s %s to ", dry_run ? "would copy" : "copied",
	       size_text(result->bytes_copied).text);
	print_path(stdout, target->origin_uri);
	if (result->chunks_equal > 0)
		printf(", %" PRIu64 " chunks were equal", result->chunks_equal);
	if (result->bytes_cut > 0)
		printf(", the last %" PRIu64 " bytes of a chunk are behind its end",
		       result->bytes_cut);
	if (result->chunks_lost > 0)
		printf(", %" PRIu64 " chunks cannot be read and %s left out", result->chunks_lost,
		       dry_run ? "would be" : "were");
	if (result->chunks_hidden > 0)
		printf(", %" PRIu64 " were hidden by earlier ones", result->chunks_hidden);
	putchar('\n');
	if (!dry_run && result->remaining == 0)
		print_what_lvm_has(target);
}

/* Adds to @o, which it releases. */
static int print_object(json_t *o, bool dry_run, const struct uds_merge_result *result,
			const struct missing *missing)
{
	json_object_set_new(o, "dry_run", json_boolean(dry_run));
	json_object_set_new(o, "exceptions", json_unsigned(result->exceptions));
	json_object_set_new(o, "remaining", json_unsigned(result->remaining));
	json_object_set_new(o, "bytes_copied", json_unsigned(result->bytes_copied));
	json_object_set_new(o, "chunks_copied", json_unsigned(result->chunks_copied));
	json_object_set_new(o, "chunks_equal", json_unsigned(result->chunks_equal));
	json_object_set_new(o, "chunks_hidden", json_unsigned(result->chunks_hidden));
	json_object_set_new(o, "chunks_lost", json_unsigned(result->chunks_lost));
	json_object_set_new(o, "rounds", json_unsigned(result->rounds));
	json_object_set_new(o, "bytes_cut", json_unsigned(result->bytes_cut));
	json_object_set_new(o, "missing_bytes", json_unsigned(missing->total));
	json_object_set(o, "missing", missing->list);
	return print_json(o);
}

/* What a merge that failed says. */
static int merge_failed(struct snapshot_target *target, const struct uds_merge_options *merge,
			const struct uds_merge_result *result, const struct missing *missing, int r)
{
	int status;

	if (r == UDS_ERR_STOPPED) {
		complain(target->command,
			 "interrupted: what was copied is kept, the snapshot is whole, and "
			 "merging can go on from here");
		return EXIT_FAILED;
	}
	status = snapshot_failed(target, r);
	if (r == UDS_ERR_OUT_OF_RANGE && result->bytes_cut > 0 && !merge->allow_cut)
		complain(target->command, "%s: --force merges all the same, and drops them",
			 target->origin_uri);
	if (r == UDS_ERR_CORRUPT && !merge->salvage && missing->total > 0)
		complain(
			target->command,
			"%s: nothing was merged; --salvage merges what can be read, and leaves the "
			"origin as it is where the rest belongs",
			target->cow_uri);
	return status;
}

static int merge_with_progress(struct snapshot_target *target, struct uds_merge_options *merge,
			       struct uds_merge_result *result)
{
	struct uds_snapshot_status s = { .size = sizeof(s) };
	struct merge_progress progress;
	int r;

	uds_snapshot_get_status(target->snapshot, &s);
	progress.chunk_bytes = s.chunk_bytes;
	progress_start(&progress.progress, target->quiet, merge->dry_run ? "looking" : "merging",
		       NULL);
	merge->progress = report_merge;
	merge->progress_context = &progress;
	r = uds_snapshot_merge(target->snapshot, merge, result);
	progress_end(&progress.progress);
	merge->progress = NULL;
	merge->progress_context = NULL;
	return r;
}

static int merge_snapshot(struct snapshot_target *target, const struct uds_merge_options *options,
			  bool json)
{
	struct missing missing = { .target = target, .list = json_array() };
	struct uds_merge_options merge = *options;
	struct uds_merge_result result = { .size = sizeof(result) };
	json_t *o = json_object();
	int unknown = tell_unknown_list(target, o), status = EXIT_GOOD;
	int r;

	merge.each_loss = take_missing;
	merge.loss_context = &missing;
	r = merge_with_progress(target, &merge, &result);
	tell_missing(&missing);
	if (r < 0)
		status = merge_failed(target, &merge, &result, &missing, r);
	else if (missing.total > 0)
		status = EXIT_DAMAGE;
	else
		status = unknown;
	if (!json && (r == 0 || result.exceptions > 0 || r == UDS_ERR_STOPPED))
		print_text(target, merge.dry_run, &result);
	if (json &&
	    (r == 0 || result.exceptions > 0 || r == UDS_ERR_STOPPED || missing.total > 0)) {
		if (print_object(json_incref(o), merge.dry_run, &result, &missing) < 0)
			status = failed(target->command, "JSON", -ENOMEM, NULL);
	}
	json_decref(o);
	json_decref(missing.list);
	return status;
}

int snapshot_merge_run(const struct command *command, int argc, char **argv)
{
	struct uds_merge_options merge = UDS_MERGE_OPTIONS_INIT;
	struct snapshot_target target = { 0 };
	struct options options;
	char **arguments;
	int status;

	options_start(&options, command);
	snapshot_options(&target, &options, true);
	options_number(&options, "limit", &merge.limit, 1, UINT64_MAX);
	options_bytes(&options, "rate", &merge.bytes_per_second, 1, UINT64_MAX, 1);
	options_flag(&options, "dry-run", &merge.dry_run);
	options_flag(&options, "skip-equal", &merge.skip_equal);
	options_flag(&options, "force", &merge.allow_cut);
	snapshot_other_options(&target, &options);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	status = snapshot_set(&target, &options, arguments[0], true);
	if (status == EXIT_GOOD)
		status = snapshot_open(&target, !merge.dry_run, !merge.dry_run);
	if (status != EXIT_GOOD)
		return status;
	merge.force = target.salvage;
	merge.salvage = target.salvage;
	status = merge_snapshot(&target, &merge, options.json);
	if (!merge.dry_run)
		status = snapshot_check_valid(&target, status);
	return finish_output(command, snapshot_close(&target, status));
}

struct findings {
	const struct snapshot_target *target;
	json_t *list; /* NULL: they are printed as they come */
};

static int take_finding(void *context, const struct uds_exception_finding *finding)
{
	struct findings *findings = context;
	json_t *o;

	if (findings->list == NULL) {
		complain_about(findings->target->command, findings->target->cow_uri,
			       finding->sentence);
		return was_interrupted();
	}
	o = json_object();
	json_object_set_new(o, "sentence", json_path(finding->sentence));
	json_object_set_new(o, "area", json_unsigned(finding->area));
	json_object_set_new(o, "index", json_unsigned(finding->index));
	json_object_set_new(o, "old", json_unsigned(finding->old_chunk));
	json_object_set_new(o, "new", json_unsigned(finding->new_chunk));
	json_array_append_new(findings->list, o);
	return was_interrupted();
}

static int verify_cow(struct snapshot_target *target, uint64_t origin_bytes, json_t *list)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct findings findings = { target, list };
	struct uds_message message = { "" };
	struct progress progress;
	uint64_t count = 0;
	int r;

	progress_start(&progress, target->quiet, "verifying", "areas");
	options.env = &target->env;
	options.read_only = true;
	options.origin_known = target->origin != NULL;
	options.origin_bytes = origin_bytes;
	options.progress = progress_report;
	options.progress_context = &progress;
	r = uds_exception_store_verify(target->cow, &options, take_finding, &findings, &message,
				       &count);
	progress_end(&progress);
	if (r == UDS_ERR_STOPPED)
		complain(target->command, "interrupted: not everything was checked; nothing is "
					  "ever written");
	if (r < 0)
		return failed(target->command, target->cow_uri, r, &message);
	if (print_verdict(target->cow_uri, list, count, false) < 0)
		return failed(target->command, "JSON", -ENOMEM, NULL);
	return count > 0 ? EXIT_DAMAGE : EXIT_GOOD;
}

static int take_origin(struct snapshot_target *target, uint64_t *ret_bytes)
{
	int r = uds_io_size(target->origin, ret_bytes);

	if (r < 0)
		return failed(target->command, target->origin_uri, r, NULL);
	if (!uds_io_overlap(target->origin, target->cow))
		return EXIT_GOOD;
	complain(target->command, "%s: has bytes in common with the origin %s", target->cow_uri,
		 target->origin_uri);
	return EXIT_FAILED;
}

int snapshot_verify_run(const struct command *command, int argc, char **argv)
{
	struct snapshot_target target = { 0 };
	uint64_t origin_bytes = 0;
	struct options options;
	json_t *list = NULL;
	char **arguments;
	int status;

	options_start(&options, command);
	snapshot_options(&target, &options, false);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	snapshot_set(&target, &options, arguments[0], false);
	catch_interrupts();
	status = group_complete(&target, false);
	if (status == EXIT_GOOD)
		status = snapshot_open_io(&target, target.cow_uri, false, &target.cow);
	if (status == EXIT_GOOD && target.origin_uri != NULL)
		status = snapshot_open_origin(&target, false);
	if (status == EXIT_GOOD && target.origin != NULL)
		status = take_origin(&target, &origin_bytes);
	if (options.json)
		list = json_array();
	if (status == EXIT_GOOD)
		status = verify_cow(&target, origin_bytes, list);
	status = snapshot_close(&target, status);
	json_decref(list);
	return finish_output(command, status);
}
