/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds scan`: posts the names of all blocks to an index, and counts what it knew already. */
#include "scan.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "families.h"
#include "scan_index.h"
#include "scan_pipe.h"
#include "scan_report.h"

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
	uint64_t input_bytes; /* what there is to read; 0: nobody looked */
	uint64_t input_blocks;
};

/* Counts a block that the index knew, or did not. */
static void count_block(struct scan *scan, struct scan_file *file,
			const struct uds_request *request, uint64_t block)
{
	uint64_t offset = block << scan->options.block_shift;
	uint64_t bytes = scan->options.block_bytes;
	struct first_seen seen;

	if (offset + bytes > file->size)
		bytes = file->size - offset;
	if (!request->found) {
		scan->totals.unique_blocks++;
		scan->totals.unique_bytes += bytes;
		return;
	}
	seen = decode_first_seen(&request->old_data);
	if (seen.scan == scan->options.time) {
		scan->totals.duplicate_blocks++;
		scan->totals.duplicate_bytes += bytes;
	} else {
		scan->totals.known_blocks++;
		scan->totals.known_bytes += bytes;
	}
	file->duplicate_bytes += bytes;
	if (scan->list_seen)
		seen_list_add(&scan->list, file, block, &seen);
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
	scan->totals.bytes += piece->hole ? piece->bytes : piece->read_bytes;
	scan->totals.zero_blocks += piece->zero_blocks;
	scan->totals.zero_bytes += piece->zero_bytes;
	for (uint32_t i = piece->first_request; i < end; i++)
		count_block(scan, piece->file, &batch->requests[i], batch->blocks[i]);
	return 0;
}

/* Posts a batch and counts what came of it. Returns an exit status. */
static int post_batch(struct scan *scan, struct scan_batch *batch)
{
	int r;

	if (batch->request_count > 0) {
		r = uds_index_run(scan->target.index, batch->requests, batch->request_count);
		if (r < 0)
			return target_failed(&scan->target, r);
	}
	for (unsigned int i = 0; i < batch->piece_count; i++) {
		r = count_piece(scan, batch, &batch->pieces[i]);
		if (r < 0)
			return failed(scan->options.command, "table of files", r, NULL);
	}
	return EXIT_GOOD;
}

static int run_pipe(struct scan *scan)
{
	struct scan_batch *batch;
	struct scan_pipe *pipe;
	int status = EXIT_GOOD;
	int r;

	r = scan_pipe_open(&scan->options, &pipe);
	if (r < 0)
		return failed(scan->options.command, "reading", r, NULL);
	progress_start(&scan->progress, scan->target.quiet, "scanning", NULL);
	while (status == EXIT_GOOD && (r = scan_pipe_take(pipe, &batch)) > 0) {
		status = post_batch(scan, batch);
		scan_pipe_give_back(pipe, batch);
		if (progress_report(&scan->progress, scan->totals.bytes, scan->input_bytes) != 0)
			break;
	}
	progress_end(&scan->progress);
	if (r < 0)
		status = failed(scan->options.command, "walking", r, NULL);
	scan_pipe_close(pipe, &scan->totals);
	seen_list_end(&scan->list);
	return status;
}

/* How many records the index could not keep since it was opened. */
static uint64_t count_dropped(struct scan *scan)
{
	struct uds_index_statistics statistics = { .size = sizeof(statistics) };

	if (uds_index_get_statistics(scan->target.index, &statistics) < 0)
		return 0;
	return statistics.overflows + statistics.unreachable_records;
}

/*
 * What tells the records of this scan from those of earlier ones: its time, in milliseconds. With a
 * time that was given, several scans may have the same: then what the index holds moves it on.
 */
static uint64_t scan_time(struct scan *scan)
{
	struct uds_index_statistics statistics = { .size = sizeof(statistics) };
	struct timespec now;
	uint64_t ms;

	if (!scan->target.fixed_time) {
		clock_gettime(CLOCK_REALTIME, &now);
		ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	} else {
		uds_index_get_statistics(scan->target.index, &statistics);
		ms = scan->target.save_time + statistics.newest_chapter * 65536 +
		     statistics.open_chapter_records;
	}
	return (ms - SCAN_EPOCH_MS) & FIELD_MASK;
}

static int open_index(struct scan *scan)
{
	bool measured = scan->index == NULL || (!scan->target.quiet && isatty(STDERR_FILENO));
	int status, r;

	catch_interrupts();
	if (measured) {
		r = measure_input(&scan->options, &scan->input_bytes, &scan->input_blocks);
		if (r < 0)
			return failed(scan->options.command, "walking", r, NULL);
	}
	status = scan->index == NULL
			 ? open_own_index(&scan->target, scan->input_blocks, scan->sparse)
			 : target_open(&scan->target, UDS_INDEX_LOAD_OR_RECOVER);
	if (status == EXIT_GOOD)
		scan->options.time = scan_time(scan);
	return status;
}

static int scan_and_report(struct scan *scan)
{
	double started = seconds_now();
	int status;

	status = open_index(scan);
	if (status != EXIT_GOOD)
		return status;
	status = run_pipe(scan);
	scan->report.dropped = count_dropped(scan);
	if (was_interrupted()) {
		complain(scan->options.command,
			 "interrupted: the report is about what was read until then");
		status = EXIT_FAILED;
	}
	status = target_close(&scan->target, scan->index != NULL && !scan->no_save, status);
	scan->totals.seconds = seconds_now() - started;
	if (status != EXIT_GOOD && !was_interrupted())
		return status;
	if (print_report(&scan->report, &scan->totals, &scan->table, scan->list.array) < 0)
		return failed(scan->options.command, "JSON", -ENOMEM, NULL);
	return status == EXIT_GOOD && scan->totals.errors > 0 ? EXIT_FAILED : status;
}

static void set_options(struct scan *scan, struct options *options)
{
	struct scan_options *o = &scan->options;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	o->block_bytes = DEFAULT_BLOCK_BYTES;
	o->readers = processors < 1 ? 1 : processors > 16 ? 16 : (uint64_t)processors;
	target_options(&scan->target, options, true);
	target_nonce_option(&scan->target, options);
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
	struct scan_options *o = &scan->options;

	if ((o->block_bytes & (o->block_bytes - 1)) != 0)
		return misused(o->command, "--block-size: %llu is not a power of two",
			       (unsigned long long)o->block_bytes);
	while (UINT64_C(1) << o->block_shift < o->block_bytes)
		o->block_shift++;
	if (scan->sparse && scan->index != NULL)
		return misused(o->command, "--sparse is for a scan without --index: that index is "
					   "what it was made as");
	if (scan->report.directories && scan->report.top == 0)
		return misused(o->command, "--directories needs --top N");
	o->keep_files = scan->report.top > 0 || scan->list_seen;
	scan->report.scan = o;
	scan->report.json = options->json;
	scan->report.has_index = scan->index != NULL;
	scan->list.scan = o;
	scan->list.table = &scan->table;
	if (scan->list_seen && options->json)
		scan->list.array = json_array();
	target_set(&scan->target, options, scan->index);
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
	return finish_output(command, status);
}
