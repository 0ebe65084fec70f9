/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds scan`: posts the names of all blocks to an index, and counts what it knew already. */
#include "scan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "families.h"
#include "scan_index.h"
#include "scan_pipe.h"
#include "scan_report.h"
#include "scan_set.h"
#include "scan_time.h"

/* One run of the command. */
struct scan {
	struct scan_options options;
	struct report_options report;
	struct target target;
	struct scan_totals totals;
	struct file_table table;
	struct seen_list list;
	struct progress progress;
	const char *index; /* NULL: one of its own */
	bool sparse, list_seen, no_save;
	uint64_t input_bytes; /* what there is to read; 0: not known */
	uint64_t input_blocks;
	/* of each index, before anything was posted */
	struct uds_index_statistics before[TARGET_INDEXES];
	struct scan_room room;
	struct pair_set extents; /* shared ones that were met */
};

/* Whether a block lies where an earlier one of this scan did; remembers where. */
static int met_before(struct scan *scan, const struct block_place *place, bool *ret_met)
{
	*ret_met = false;
	if (place->first == 0)
		return 0;
	*ret_met = pair_set_has(&scan->extents, place->first, place->second);
	return *ret_met ? 0 : pair_set_add(&scan->extents, place->first, place->second);
}

/*
 * Counts a block that the index knew, or did not. What was met in the same place is a duplicate
 * even if its name has left the index. What a known one shares its place with is not known: that
 * counts as the one that was known, so as not to promise too much.
 */
static int count_block(struct scan *scan, const struct scan_batch *batch,
		       const struct scan_piece *piece, uint32_t which)
{
	const struct uds_request *request = &batch->requests[which];
	uint64_t block = batch->blocks[which];
	uint64_t before = (block - piece->first_block) << scan->options.block_shift;
	uint64_t bytes = scan->options.block_bytes;
	struct scan_totals *totals = &scan->totals;
	struct first_seen seen;
	bool shared, known;
	int r;

	/* The last one may be a part of a block. */
	if (bytes > piece->read_bytes - before)
		bytes = piece->read_bytes - before;
	r = met_before(scan, &batch->places[which], &shared);
	if (r < 0)
		return r;
	if (!request->found && !shared) {
		totals->unique_blocks++;
		totals->unique_bytes += bytes;
		return 0;
	}
	seen = decode_first_seen(&request->old_data);
	known = request->found && seen.scan != scan->options.time;
	*(known ? &totals->known_blocks : &totals->duplicate_blocks) += 1;
	*(known ? &totals->known_bytes : &totals->duplicate_bytes) += bytes;
	shared = shared || (known && batch->places[which].first != 0);
	if (shared) {
		totals->shared_blocks++;
		totals->shared_bytes += bytes;
	} else {
		piece->file->duplicate_bytes += bytes;
	}
	if (scan->list_seen && request->found)
		seen_list_add(&scan->list, piece->file, block, bytes, shared, &seen);
	return 0;
}

static int count_piece(struct scan *scan, const struct scan_batch *batch,
		       const struct scan_piece *piece)
{
	uint32_t end = piece->first_request + piece->request_count;
	int r;

	if (scan->options.keep_files && piece->first_block == 0) {
		r = file_table_add(&scan->table, piece->file);
		if (r < 0)
			return r;
	}
	add_bytes(&scan->totals.bytes, piece->hole ? piece->bytes : piece->read_bytes);
	scan->totals.zero_blocks += piece->zero_blocks;
	add_bytes(&scan->totals.zero_bytes, piece->zero_bytes);
	for (uint32_t i = piece->first_request; i < end; i++) {
		r = count_block(scan, batch, piece, i);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Posts a batch and counts what came of it. Returns an exit status. */
static int post_batch(struct scan *scan, struct scan_batch *batch)
{
	int r;

	if (batch->request_count > 0) {
		r = target_run(&scan->target, batch->requests, batch->request_count);
		if (r < 0)
			return target_failed(&scan->target, r);
	}
	for (unsigned int i = 0; i < batch->piece_count; i++) {
		r = count_piece(scan, batch, &batch->pieces[i]);
		if (r < 0)
			return failed(scan->options.command, "table of files and blocks", r, NULL);
	}
	return EXIT_GOOD;
}

/* Shows how far it is. Returns whether to stop. */
static bool show_progress(struct scan *scan, const struct scan_batch *batch)
{
	scan->progress.place =
		batch == NULL ? NULL : batch->pieces[batch->piece_count - 1].file->path;
	return progress_report(&scan->progress, scan->totals.bytes, scan->input_bytes) != 0;
}

static int run_pipe(struct scan *scan)
{
	struct scan_batch *batch;
	struct scan_pipe *pipe;
	int status = EXIT_GOOD;
	bool stop;
	int r;

	r = scan_pipe_open(&scan->options, &pipe);
	if (r < 0)
		return failed(scan->options.command, "making the threads that read", r, NULL);
	progress_start(&scan->progress, scan->target.quiet, "scanning", NULL);
	stop = show_progress(scan, NULL);
	while (!stop && status == EXIT_GOOD && (r = scan_pipe_take(pipe, &batch)) > 0) {
		status = post_batch(scan, batch);
		stop = show_progress(scan, batch);
		scan_pipe_give_back(pipe, batch);
	}
	progress_end(&scan->progress);
	if (r < 0)
		status = failed(scan->options.command, "walking", r, NULL);
	scan_pipe_close(pipe, &scan->totals);
	seen_list_end(&scan->list);
	return status;
}

/* An index must not be read as a part of what is scanned: it changes meanwhile. */
static int leave_index_out(void *context, struct uds_io *io, struct uds_message *ret_message)
{
	struct scan *scan = context;

	return left_out_add(&scan->options.left_out, io, ret_message);
}

static int start_room(struct scan *scan)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < target_index_count(&scan->target); i++)
		r = scan_room_start(target_index(&scan->target, i), &scan->before[i]);
	return r;
}

/* Of several indexes what all of them lost, and the size that each would need. */
static int look_at_room(struct scan *scan)
{
	struct scan_room *all = &scan->room, one;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < target_index_count(&scan->target); i++) {
		r = scan_room_look(target_index(&scan->target, i), &scan->before[i], &one);
		if (r < 0)
			break;
		all->names_dropped += one.names_dropped;
		all->names_left += one.names_left;
		if (one.needed_chapters > all->needed_chapters) {
			all->needed_chapters = one.needed_chapters;
			all->needed_bytes = one.needed_bytes;
		}
	}
	return r;
}

/* Without an index there are no earlier scans to be told from, and the clock does not matter. */
static int set_time(struct scan *scan)
{
	return scan->index == NULL
		       ? EXIT_GOOD
		       : choose_scan_time(&scan->target, scan->before, &scan->options.time);
}

static int open_index(struct scan *scan)
{
	bool measured = scan->index == NULL || (!scan->target.quiet && isatty(STDERR_FILENO));
	int status, r;

	catch_interrupts();
	if (measured) {
		r = measure_input(&scan->options, scan->target.quiet, &scan->input_bytes,
				  &scan->input_blocks);
		if (r < 0)
			return failed(scan->options.command, "walking", r, NULL);
	}
	if (scan->index == NULL) {
		status = open_own_index(&scan->target, scan->input_blocks, scan->sparse);
	} else {
		scan->target.on_io = leave_index_out;
		scan->target.on_io_context = scan;
		status = target_open(&scan->target, UDS_INDEX_LOAD_OR_RECOVER);
	}
	if (status != EXIT_GOOD)
		return status;
	r = start_room(scan);
	status = r < 0 ? target_failed(&scan->target, r) : set_time(scan);
	return status == EXIT_GOOD ? status : target_close(&scan->target, false, status);
}

static bool has_read_nothing(const struct scan_totals *totals)
{
	return totals->files == 0 || (totals->bytes == 0 && totals->errors > 0);
}

/* A message in place of a report. Returns the exit status. */
static int report_nothing(const struct scan *scan)
{
	const struct scan_totals *totals = &scan->totals;
	const char *why = "no file was found";

	if (was_interrupted())
		why = "interrupted";
	else if (totals->errors > 0)
		why = "nothing could be read";
	else if (totals->left_out)
		why = "the only file is the index itself";
	complain(scan->options.command, "%s: nothing was scanned", why);
	return EXIT_FAILED;
}

static int report(struct scan *scan)
{
	bool nothing = has_read_nothing(&scan->totals);
	int status = scan->totals.errors > 0 || was_interrupted() ? EXIT_FAILED : EXIT_GOOD;

	if (nothing)
		status = report_nothing(scan);
	else if (was_interrupted())
		complain(scan->options.command,
			 "interrupted: the report is about what was read until then");
	if (nothing && !scan->report.json)
		return status;
	if (print_report(&scan->report, &scan->totals, &scan->table, scan->list.array) < 0)
		return failed(scan->options.command, "JSON", -ENOMEM, NULL);
	return status;
}

static int scan_and_report(struct scan *scan)
{
	double started = seconds_now();
	int status, r;

	status = open_index(scan);
	if (status != EXIT_GOOD)
		return status;
	status = run_pipe(scan);
	if (status == EXIT_GOOD) {
		r = look_at_room(scan);
		if (r < 0)
			status = target_failed(&scan->target, r);
	}
	status = target_close(&scan->target, scan->index != NULL && !scan->no_save, status);
	scan->totals.seconds = seconds_now() - started;
	return status == EXIT_GOOD ? report(scan) : status;
}

static void set_options(struct scan *scan, struct options *options)
{
	struct scan_options *o = &scan->options;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	o->block_bytes = DEFAULT_BLOCK_BYTES;
	o->readers = processors < 1 ? 1 : processors > 16 ? 16 : (uint64_t)processors;
	target_options(&scan->target, options, false);
	/* Its records hold fewer times than a save: all others are refused with these. */
	options_number(options, "save-time", &scan->target.save_time, 1, UINT64_MAX);
	target_nonce_option(&scan->target, options);
	target_checkpoint_option(&scan->target, options);
	options_text(options, "index", &scan->index);
	options_bytes(options, "block-size", &o->block_bytes, MIN_BLOCK_BYTES, MAX_BLOCK_BYTES, 1);
	options_number(options, "top", &scan->report.top, 0, UINT64_MAX);
	options_flag(options, "directories", &scan->report.directories);
	options_flag(options, "first-seen", &scan->list_seen);
	options_flag(options, "sparse", &scan->sparse);
	options_number(options, "readers", &o->readers, 1, 64);
	options_flag(options, "one-file-system", &o->one_file_system);
	options_flag(options, "no-save", &scan->no_save);
}

/* What the options mean together. Returns an exit status, after a message if it is bad. */
static int check_options(struct scan *scan, const struct options *options)
{
	static const char *const of_index[] = { "no-save", "nonce", "offset",
						"checkpoint-interval" };
	struct scan_options *o = &scan->options;
	char range[160];

	if ((o->block_bytes & (o->block_bytes - 1)) != 0)
		return misused(o->command, "--block-size: %llu is not a power of two",
			       (unsigned long long)o->block_bytes);
	while (UINT64_C(1) << o->block_shift < o->block_bytes)
		o->block_shift++;
	if (scan->sparse && scan->index != NULL)
		return misused(o->command, "--sparse is for a scan without --index: that index is "
					   "what it was made as");
	for (size_t i = 0; scan->index == NULL && i < sizeof(of_index) / sizeof(of_index[0]); i++) {
		if (options_given(options, of_index[i]))
			return misused(o->command, "--%s is for a scan with --index", of_index[i]);
	}
	if (scan->report.directories && scan->report.top == 0)
		return misused(o->command, "--directories needs --top N");
	o->keep_files = scan->report.top > 0 || scan->list_seen;
	o->has_index = scan->index != NULL;
	o->keep_places = o->has_index || scan->list_seen;
	scan->report.scan = o;
	scan->report.json = options->json;
	scan->report.room = &scan->room;
	scan->list.scan = o;
	scan->list.table = &scan->table;
	if (scan->list_seen && options->json)
		scan->list.array = json_array();
	target_set(&scan->target, options, scan->index);
	scan->target.takes_shards = true;
	if (o->has_index && scan->target.fixed_time && !scan_time_fits(scan->target.save_time)) {
		format_time_range(range, sizeof(range));
		return misused(o->command,
			       "--save-time: %llu is not a time that the records of a scan can "
			       "hold, in milliseconds since 1970: %s",
			       (unsigned long long)scan->target.save_time, range);
	}
	return EXIT_GOOD;
}

int scan_run(const struct command *command, int argc, char **argv)
{
	struct scan scan;
	struct options options;
	int status;

	memset(&scan, 0, sizeof(scan));
	scan.options.command = command;
	options_start(&options, command);
	set_options(&scan, &options);
	if (!options_parse(&options, argc, argv, 1, INT32_MAX, &scan.options.paths, &status))
		return status;
	status = check_options(&scan, &options);
	if (status == EXIT_GOOD)
		status = scan_and_report(&scan);
	json_decref(scan.list.array);
	file_table_free(&scan.table);
	pair_set_free(&scan.extents);
	left_out_free(&scan.options.left_out);
	return finish_output(command, status);
}
