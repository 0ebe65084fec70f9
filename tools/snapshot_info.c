/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds snapshot create`, `info` and `list`: the store itself, without an origin. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "create.h"
#include "output.h"
#include "snapshot_group.h"
#include "snapshot_missing.h"
#include "snapshot_target.h"
#include "text.h"

#define MIN_CHUNK_BYTES 512
#define MAX_CHUNK_BYTES (UINT64_C(1) << 30)

static int create_store(struct snapshot_target *target, uint64_t chunk_bytes, uint64_t size_bytes,
			bool force)
{
	struct uds_exception_store_format_options options = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_message message = { "" };
	int status = EXIT_GOOD, r = 0;

	if (chunk_bytes != 0 && chunk_bytes < uds_io_block_bytes(target->cow))
		return misused(target->command,
			       "--chunk-size: %" PRIu64 " is less than the blocks of %s, %" PRIu32
			       " bytes",
			       chunk_bytes, target->cow_uri, uds_io_block_bytes(target->cow));
	if (size_bytes > 0)
		r = uds_io_resize(target->cow, size_bytes);
	if (r < 0)
		return failed(target->command, target->cow_uri, r, NULL);
	options.env = &target->env;
	options.chunk_bytes = chunk_bytes;
	options.force = force;
	r = uds_exception_store_format(target->cow, &options, &message);
	if (r < 0)
		status = failed(target->command, target->cow_uri, r, &message);
	if (r == UDS_ERR_NOT_EMPTY) /* the reason first: it is the error of the document */
		complain(target->command, "%s: --force writes over what is there", target->cow_uri);
	return status;
}

int snapshot_create_run(const struct command *command, int argc, char **argv)
{
	struct snapshot_target target = { 0 };
	uint64_t chunk_bytes = 0, size_bytes = 0;
	struct options options;
	bool force = false, image = false, made = false;
	char **arguments;
	int status;

	options_start(&options, command);
	options_bytes(&options, "chunk-size", &chunk_bytes, MIN_CHUNK_BYTES, MAX_CHUNK_BYTES, 1);
	options_bytes(&options, "size", &size_bytes, 1, INT64_MAX, 512);
	options_flag(&options, "force", &force);
	options_flag(&options, "create-image", &image);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	if ((chunk_bytes & (chunk_bytes - 1)) != 0)
		return misused(command,
			       "--chunk-size: %" PRIu64 " is not a power of two from 512 to "
			       "1073741824 (1G)",
			       chunk_bytes);
	if (image && size_bytes == 0)
		return misused(command, "--create-image needs --size");
	snapshot_set(&target, &options, arguments[0], false);
	catch_interrupts();
	if (size_bytes > 0)
		status = open_to_create(command, target.cow_uri, image, &target.env, &target.cow,
					&made);
	else
		status = snapshot_open_io(&target, target.cow_uri, true, &target.cow);
	if (status != EXIT_GOOD)
		return status;
	if (size_bytes > 0 && !made) {
		complain(command, "%s: is there already; --size is for a new one", target.cow_uri);
		return snapshot_close(&target, EXIT_FAILED);
	}
	status = create_store(&target, chunk_bytes, size_bytes, force);
	status = snapshot_close(&target, status);
	if (status != EXIT_GOOD && made)
		unmake(command, target.cow_uri);
	return status;
}

static void print_findings(const struct uds_exception_store_status *s)
{
	const struct {
		uint64_t count;
		const char *what;
	} lines[] = {
		{ s->new_behind_end, "have their new chunk behind the end of the device" },
		{ s->new_is_metadata, "have the place of metadata as their new chunk" },
		{ s->new_twice, "have the new chunk of another one" },
		{ s->old_twice, "are for a chunk that has one already, which hides them" },
		{ s->stale_entries, "lie behind the end of the list: left by a torn write" },
	};

	if (s->list_status != 0)
		printf("  warning            the list is unknown from entry %" PRIu64 " on: %s\n",
		       s->exceptions, uds_strerror(s->list_status));
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (lines[i].count > 0)
			printf("  warning            %" PRIu64 " entries %s\n", lines[i].count,
			       lines[i].what);
	}
}

/* What LVM says about it, when it is of a volume group. */
static void print_volume(const struct snapshot_target *target)
{
	struct uds_lvm_volume volume;

	if (!group_find_volume(target, &volume) || volume.origin == NULL)
		return;
	print_line(stdout, "  LVM                snapshot of %s%s", volume.origin,
		   volume.merging ? ", being merged into it" : "");
}

static void set_volume(const struct snapshot_target *target, json_t *o)
{
	struct uds_lvm_volume volume;

	if (!group_find_volume(target, &volume) || volume.origin == NULL)
		return;
	json_object_set_new(o, "origin", json_path(volume.origin));
	json_object_set_new(o, "merging", json_boolean(volume.merging));
}

static void print_text(struct snapshot_target *target, const struct uds_exception_store_status *s)
{
	char line[80] = "";

	uds_exception_store_status_line(target->store, line, sizeof(line));
	print_line(stdout, "%s", target->cow_uri);
	printf("  state              %s: %s\n", uds_exception_store_state_name(s->state),
	       uds_exception_store_state_meaning(s->state));
	printf("  chunk size         %s (%" PRIu64 " sectors)\n", size_text(s->chunk_bytes).text,
	       s->chunk_bytes / 512);
	printf("  exceptions         %" PRIu64 ", %s\n", s->exceptions,
	       size_text(s->exceptions * s->chunk_bytes).text);
	printf("  room for           %" PRIu64 " more\n", s->room);
	printf("  areas              %" PRIu64 ", %" PRIu64 " entries in the last one\n",
	       s->current_area + 1, s->committed);
	printf("  sectors            %" PRIu64 " of %" PRIu64 " in use, %" PRIu64
	       " of them metadata\n",
	       s->allocated_sectors, s->total_sectors, s->metadata_sectors);
	if (s->exceptions > 0)
		printf("  origin             at least %" PRIu64 " bytes long\n",
		       s->highest_old * s->chunk_bytes + 1);
	printf("  device-mapper      %s\n", line);
	printf("  format             version %u, marked %s\n", s->version,
	       s->valid ? "valid" : "invalid");
	print_volume(target);
	print_findings(s);
}

static int print_object(const struct snapshot_target *target,
			const struct uds_exception_store_status *s)
{
	json_t *o = json_object();

	json_object_set_new(o, "state", json_string(uds_exception_store_state_name(s->state)));
	json_object_set_new(o, "meaning", json_string(uds_exception_store_state_meaning(s->state)));
	json_object_set_new(o, "valid", json_boolean(s->valid));
	json_object_set_new(o, "version", json_unsigned(s->version));
	json_object_set_new(o, "chunk_size_bytes", json_unsigned(s->chunk_bytes));
	json_object_set_new(o, "exceptions", json_unsigned(s->exceptions));
	json_object_set_new(o, "areas", json_unsigned(s->current_area + 1));
	json_object_set_new(o, "entries_in_last_area", json_unsigned(s->committed));
	json_object_set_new(o, "allocated_sectors", json_unsigned(s->allocated_sectors));
	json_object_set_new(o, "total_sectors", json_unsigned(s->total_sectors));
	json_object_set_new(o, "metadata_sectors", json_unsigned(s->metadata_sectors));
	json_object_set_new(o, "next_free_chunk",
			    s->valid ? json_unsigned(s->next_free) : json_null());
	json_object_set_new(o, "room", json_unsigned(s->room));
	json_object_set_new(o, "highest_old_chunk",
			    s->exceptions > 0 ? json_unsigned(s->highest_old) : json_null());
	json_object_set_new(o, "new_behind_end", json_unsigned(s->new_behind_end));
	json_object_set_new(o, "new_is_metadata", json_unsigned(s->new_is_metadata));
	json_object_set_new(o, "new_twice", json_unsigned(s->new_twice));
	json_object_set_new(o, "old_twice", json_unsigned(s->old_twice));
	json_object_set_new(o, "stale_entries", json_unsigned(s->stale_entries));
	json_object_set_new(o, "list_unknown_from",
			    s->list_status != 0 ? json_unsigned(s->exceptions) : json_null());
	set_volume(target, o);
	return print_json(o);
}

int snapshot_info_run(const struct command *command, int argc, char **argv)
{
	struct uds_exception_store_status status_of_store = { .size = sizeof(status_of_store) };
	struct snapshot_target target = { 0 };
	struct options options;
	char **arguments;
	int status, r;

	options_start(&options, command);
	options_flag(&options, "salvage", &target.salvage);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	snapshot_set(&target, &options, arguments[0], false);
	status = snapshot_open_store(&target);
	if (status != EXIT_GOOD)
		return status;
	r = uds_exception_store_get_status(target.store, &status_of_store);
	if (r < 0)
		return snapshot_close(&target, snapshot_failed(&target, r));
	if (!options.json)
		print_text(&target, &status_of_store);
	else if (print_object(&target, &status_of_store) < 0)
		status = failed(command, "JSON", -ENOMEM, NULL);
	return finish_output(command, snapshot_close(&target, status));
}

/* For walks that end early when the lines are not read any more. */
static int stop_listing(void)
{
	return ferror(stdout) || was_interrupted();
}

static int list_entry(void *context, uint64_t area, uint64_t index,
		      const struct uds_exception *exception)
{
	json_t *array = context, *o;

	(void)area;
	(void)index;
	if (array == NULL) {
		printf("%" PRIu64 " %" PRIu64 "\n", exception->old_chunk, exception->new_chunk);
		return stop_listing();
	}
	o = json_object();
	json_object_set_new(o, "old", json_unsigned(exception->old_chunk));
	json_object_set_new(o, "new", json_unsigned(exception->new_chunk));
	json_array_append_new(array, o);
	return was_interrupted();
}

static int list_range(void *context, uint64_t old_chunk, uint64_t new_chunk, uint64_t count)
{
	json_t *array = context, *o;

	if (array == NULL) {
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", old_chunk, new_chunk, count);
		return stop_listing();
	}
	o = json_object();
	json_object_set_new(o, "old", json_unsigned(old_chunk));
	json_object_set_new(o, "new", json_unsigned(new_chunk));
	json_object_set_new(o, "count", json_unsigned(count));
	json_array_append_new(array, o);
	return was_interrupted();
}

static int list_store(struct snapshot_target *target, bool ranges, json_t *array)
{
	struct uds_exception_store_status s = { .size = sizeof(s) };
	int r;

	r = uds_exception_store_get_status(target->store, &s);
	if (r == 0 && !s.valid && !target->salvage) {
		complain(target->command,
			 "%s: the snapshot is invalid; --salvage lists what it still says",
			 target->cow_uri);
		return EXIT_FAILED;
	}
	if (r == 0)
		r = ranges ? uds_exception_store_for_each_range(target->store, 0, UINT64_MAX,
								list_range, array)
			   : uds_exception_store_for_each_entry(target->store, list_entry, array);
	if (was_interrupted()) {
		complain(target->command, "interrupted; not everything was listed");
		return EXIT_FAILED;
	}
	if (r < 0 && r != UDS_ERR_STOPPED)
		return snapshot_failed(target, r);
	if (array != NULL && print_json(json_incref(array)) < 0)
		return failed(target->command, "JSON", -ENOMEM, NULL);
	return tell_unknown_list(target, NULL);
}

int snapshot_list_run(const struct command *command, int argc, char **argv)
{
	struct snapshot_target target = { 0 };
	struct options options;
	bool ranges = false;
	json_t *array = NULL;
	char **arguments;
	int status;

	options_start(&options, command);
	options_flag(&options, "ranges", &ranges);
	options_flag(&options, "salvage", &target.salvage);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	snapshot_set(&target, &options, arguments[0], false);
	status = snapshot_open_store(&target);
	if (status != EXIT_GOOD)
		return status;
	if (options.json)
		array = json_array();
	status = snapshot_close(&target, list_store(&target, ranges, array));
	json_decref(array);
	return finish_output(command, status);
}
