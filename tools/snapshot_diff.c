/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds snapshot diff`: where the origin, or another snapshot of it, differs from a snapshot. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "document.h"
#include "output.h"
#include "snapshot_output.h"
#include "snapshot_target.h"
#include "step.h"

#define STEP_BYTES (UINT64_C(4) << 20)

/*
 * What a file system keeps apart from holes, at least. Output is rounded out to it, with the
 * content that belongs there, so that a program that copies the data of the file never copies zeros
 * of a half-filled block.
 */
#define OUTPUT_UNIT UINT64_C(4096)

struct diff {
	struct snapshot_target *target;
	struct uds_snapshot *newer; /* NULL: the origin */
	struct sink *sink;	    /* NULL: no output */
	struct progress progress;
	uint8_t *buffer;
	uint64_t size;
	uint64_t ranges, bytes;
	int status;
};

static int read_new(struct diff *d, size_t length, uint64_t offset)
{
	struct uds_snapshot *snapshot = d->target->snapshot;
	struct uds_message message = { "" };
	int r;

	if (d->newer == NULL) {
		r = uds_snapshot_origin_read(snapshot, d->buffer, length, offset);
		return r < 0 ? snapshot_failed(d->target, r) : EXIT_GOOD;
	}
	r = uds_snapshot_read(d->newer, d->buffer, length, offset);
	if (r == 0)
		return EXIT_GOOD;
	uds_snapshot_error_message(d->newer, &message);
	return failed(d->target->command, d->target->other_uris.items[0], r, &message);
}

/* The blocks of a range that are not in the output yet. */
static int put_range(struct diff *d, uint64_t offset, uint64_t length)
{
	uint64_t at = offset / OUTPUT_UNIT * OUTPUT_UNIT, end = offset + length;

	if (d->size - end > OUTPUT_UNIT)
		end = (end + OUTPUT_UNIT - 1) / OUTPUT_UNIT * OUTPUT_UNIT;
	else
		end = d->size;
	if (at < d->sink->taken)
		at = d->sink->taken;
	while (at < end && d->status == EXIT_GOOD) {
		size_t step = (size_t)step_bytes(d->target->origin, at, end - at, STEP_BYTES,
						 OUTPUT_UNIT);

		d->status = read_new(d, step, at);
		if (d->status == EXIT_GOOD)
			d->status = sink_write_at(d->sink, d->buffer, step, at);
		at += step;
	}
	return d->status;
}

static void tell_range(const struct diff *d, uint64_t offset, uint64_t length)
{
	json_t *o;

	if (!document_wanted()) {
		if (d->sink == NULL)
			printf("%" PRIu64 " %" PRIu64 "\n", offset, length);
		return;
	}
	o = json_object();
	json_object_set_new(o, "offset", json_unsigned(offset));
	json_object_set_new(o, "length", json_unsigned(length));
	document_item(o);
}

static int take_range(void *context, uint64_t offset, uint64_t length)
{
	struct diff *d = context;

	d->ranges++;
	d->bytes += length;
	tell_range(d, offset, length);
	if (progress_report(&d->progress, offset + length, d->size) != 0)
		return 1;
	/* The output is not read any more: the rest need not be looked for. */
	return ferror(stdout) != 0 ||
	       (d->sink != NULL && put_range(d, offset, length) != EXIT_GOOD);
}

static int go_through(struct diff *d, bool equal)
{
	int r;

	progress_start(&d->progress, d->target->quiet, "comparing", NULL);
	r = uds_snapshot_for_each_difference(d->target->snapshot, d->newer, 0, UINT64_MAX, equal,
					     take_range, d);
	progress_end(&d->progress);
	if (was_interrupted()) {
		complain(d->target->command, "interrupted; not everything was compared");
		return EXIT_FAILED;
	}
	if (r < 0 && r != UDS_ERR_STOPPED)
		return snapshot_failed(d->target, r);
	return d->status;
}

static int diff_to(struct diff *d, struct sink *sink, bool equal)
{
	int status = sink_open(sink, d->target);

	if (status != EXIT_GOOD)
		return status;
	d->buffer = aligned_alloc(4096, STEP_BYTES);
	d->sink = sink;
	status = d->buffer == NULL ? failed(d->target->command, sink->path, -ENOMEM, NULL)
				   : go_through(d, equal);
	free(d->buffer);
	/* A hole at the end, too: the file is as long as the device. */
	if (status == EXIT_GOOD)
		sink->taken = d->size;
	status = sink_close(sink, status);
	if (status == EXIT_GOOD && !document_wanted())
		printf("%s: %" PRIu64 " range%s, %s\n", sink->path, d->ranges,
		       d->ranges == 1 ? "" : "s", size_text(d->bytes).text);
	return status;
}

int snapshot_diff_run(const struct command *command, int argc, char **argv)
{
	struct snapshot_target target = { 0 };
	struct sink sink = { .command = command, .sparse = true };
	struct diff diff = { .target = &target };
	struct options options;
	bool equal = false;
	char **arguments;
	int status;

	options_start(&options, command);
	snapshot_options(&target, &options, false);
	options_flag(&options, "equal", &equal);
	options_text(&options, "output", &sink.path);
	if (!options_parse(&options, argc, argv, 1, 2, &arguments, &status))
		return status;
	status = snapshot_set(&target, &options, arguments[0], true);
	if (arguments[1] != NULL)
		target.other_uris.items[target.other_uris.count++] = arguments[1];
	if (status == EXIT_GOOD)
		status = snapshot_open(&target, false, false);
	if (status != EXIT_GOOD)
		return status;
	if (options.json)
		document_begin_items("ranges");
	diff.newer = target.others[0].snapshot;
	diff.size = uds_snapshot_size(target.snapshot);
	status = sink.path != NULL ? diff_to(&diff, &sink, equal) : go_through(&diff, equal);
	return finish_output(command, snapshot_close(&target, status));
}
