/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds snapshot read`, `write` and `write-origin`: content in and out. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/run_part.h"
#include "document.h"
#include "output.h"
#include "snapshot_missing.h"
#include "snapshot_output.h"
#include "snapshot_target.h"
#include "step.h"

#define STEP_BYTES (UINT64_C(4) << 20)

/* Most of a step is read from the origin. */
static size_t next_step(const struct snapshot_target *target, uint64_t offset, uint64_t left)
{
	return (size_t)step_bytes(target->origin, offset, left, STEP_BYTES, 4096);
}

/*
 * Shorter holes are read with what lies around them: one read of it all is faster than
 * many short ones.
 */
#define SHORTEST_HOLE (UINT64_C(64) << 10)

/*
 * What to do next with the @left bytes at @offset: pass over a hole, then read a step, which may be
 * 0 bytes. Where the snapshot cannot say, everything is read, and reading says what is wrong.
 */
static uint64_t find_hole(const struct snapshot_target *target, uint64_t offset, uint64_t left,
			  size_t *ret_step)
{
	struct uds_snapshot *snapshot = target->snapshot;
	uint64_t limit = offset + left, begin, end, at;

	*ret_step = next_step(target, offset, left);
	if (uds_snapshot_find_data(snapshot, offset, &begin, &end) < 0)
		return 0;
	if (begin - offset < SHORTEST_HOLE)
		begin = offset;
	if (begin >= limit) {
		*ret_step = 0;
		return left;
	}
	limit = begin + next_step(target, begin, limit - begin);
	at = end;
	while (at < limit) {
		uint64_t next;

		if (uds_snapshot_find_data(snapshot, at, &next, &end) < 0)
			end = limit;
		else if (next - at >= SHORTEST_HOLE)
			break;
		at = end;
	}
	*ret_step = (size_t)((at < limit ? at : limit) - begin);
	return begin - offset;
}

/* Reads a step; what can be read of it goes out. @ret_done: that much. */
static int read_step(struct snapshot_target *target, struct sink *sink, struct missing *missing,
		     uint8_t *buffer, size_t step, uint64_t offset, size_t *ret_done)
{
	int status, out, r;

	*ret_done = step;
	if (target->salvage) {
		r = uds_snapshot_salvage(target->snapshot, buffer, step, offset, take_missing,
					 missing, NULL);
		if (r < 0)
			*ret_done = 0;
		if (r == UDS_ERR_STOPPED)
			return EXIT_FAILED;
	} else {
		r = uds_snapshot_read_partial(target->snapshot, buffer, step, offset, ret_done);
	}
	status = r < 0 ? snapshot_failed(target, r) : EXIT_GOOD;
	out = sink_write(sink, buffer, *ret_done);
	if (r < 0)
		complain(target->command, "%s: stopped at byte %" PRIu64 "%s", target->cow_uri,
			 offset + *ret_done,
			 target->salvage ? "" : "; --salvage reads on behind what cannot be read");
	return status == EXIT_GOOD ? out : status;
}

static int read_range(struct snapshot_target *target, struct sink *sink, struct missing *missing,
		      uint64_t offset, uint64_t length, uint64_t *ret_done)
{
	uint8_t *buffer = aligned_alloc(4096, STEP_BYTES);
	struct progress progress;
	int status = EXIT_GOOD;

	if (buffer == NULL)
		return failed(target->command, target->cow_uri, -ENOMEM, NULL);
	progress_start(&progress, target->quiet, "reading", NULL);
	while (status == EXIT_GOOD && *ret_done < length) {
		uint64_t left = length - *ret_done, hole = 0;
		size_t step = next_step(target, offset + *ret_done, left), done = 0;

		if (sink->sparse)
			hole = find_hole(target, offset + *ret_done, left, &step);
		*ret_done += hole;
		sink->taken += hole;
		if (step > 0)
			status = read_step(target, sink, missing, buffer, step, offset + *ret_done,
					   &done);
		*ret_done += done;
		if (progress_report(&progress, *ret_done, length) != 0 && *ret_done < length) {
			complain(target->command,
				 "interrupted at byte %" PRIu64 "; nothing of the snapshot is "
				 "changed, and --offset goes on from there",
				 offset + sink->taken);
			status = EXIT_FAILED;
		}
	}
	progress_end(&progress);
	free(buffer);
	return status;
}

/* An origin shorter than the snapshot was: what lies behind its end is missing without a range. */
static int check_length(struct snapshot_target *target)
{
	struct uds_exception_store_status s = { .size = sizeof(s) };

	if (uds_exception_store_get_status(uds_snapshot_store(target->snapshot), &s) < 0 ||
	    s.old_behind_origin == 0)
		return EXIT_GOOD;
	complain(target->command,
		 "%s: ends at byte %" PRIu64 ", but %" PRIu64
		 " saved chunks lie behind that, up to chunk %" PRIu64
		 ": the snapshot was longer, and what lies behind is missing",
		 target->origin_uri, uds_snapshot_size(target->snapshot), s.old_behind_origin,
		 s.highest_old);
	return EXIT_DAMAGE;
}

static int read_and_tell(struct snapshot_target *target, struct sink *sink, uint64_t offset,
			 uint64_t length)
{
	struct missing missing = { .target = target, .list = json_array() };
	json_t *o = json_object();
	uint64_t done = 0;
	int unknown = tell_unknown_list(target, o);
	int status = sink_open(sink, target);

	if (status == EXIT_GOOD) {
		status = read_range(target, sink, &missing, offset, length, &done);
		tell_missing(&missing);
		status = sink_close(sink, status);
	}
	if (status == EXIT_GOOD && missing.total > 0)
		status = EXIT_DAMAGE;
	if (status == EXIT_GOOD)
		status = check_length(target);
	if (status == EXIT_GOOD)
		status = unknown;
	json_object_set_new(o, "offset", json_unsigned(offset));
	json_object_set_new(o, "bytes", json_unsigned(sink->taken));
	json_object_set_new(o, "missing_bytes", json_unsigned(missing.total));
	json_object_set_new(o, "missing", missing.list);
	print_json(o);
	return status;
}

int snapshot_read_run(const struct command *command, int argc, char **argv)
{
	struct snapshot_target target = { 0 };
	struct sink sink = { .command = command };
	uint64_t offset = 0, length = UINT64_MAX, size;
	struct options options;
	char **arguments;
	int status;

	options_start(&options, command);
	snapshot_options(&target, &options, true);
	options_bytes(&options, "offset", &offset, 0, INT64_MAX, 1);
	options_bytes(&options, "length", &length, 0, UINT64_MAX, 1);
	options_text(&options, "output", &sink.path);
	options_flag(&options, "sparse", &sink.sparse);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	if (sink.path == NULL)
		document_beside_data();
	if (document_is_beside_data())
		outlive_readers(); /* the document goes elsewhere, and says where reading ended */
	status = snapshot_set(&target, &options, arguments[0], true);
	if (document_is_beside_data())
		target.quiet = true;
	if (status == EXIT_GOOD)
		status = snapshot_open(&target, false, false);
	if (status != EXIT_GOOD)
		return status;
	size = uds_snapshot_size(target.snapshot);
	if (offset > size || (length != UINT64_MAX && length > size - offset)) {
		complain(command, "%s: the snapshot ends at byte %" PRIu64, target.cow_uri, size);
		return snapshot_close(&target, EXIT_FAILED);
	}
	if (length > size - offset)
		length = size - offset;
	return snapshot_close(&target, read_and_tell(&target, &sink, offset, length));
}

/* Fills the buffer as far as there is input. Returns bytes, or a negated errno. */
static ssize_t read_in(uint8_t *buffer, size_t room)
{
	size_t used = 0;

	while (used < room) {
		ssize_t n = read(STDIN_FILENO, buffer + used, room - used);

		if (n < 0 && errno == EINTR && !was_interrupted())
			continue;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

/*
 * How much of the input is written next. To the origin, up to where that prefers transfers to end.
 * To the COW device, up to the end of a chunk: the other part of it would be read from the origin,
 * and then be written, too.
 */
static size_t next_input(const struct snapshot_target *target, bool to_origin, uint64_t offset)
{
	const struct uds_exception_store *store = uds_snapshot_store(target->snapshot);

	return to_origin ? next_step(target, offset, UINT64_MAX)
			 : (size_t)run_part(offset, UINT64_MAX, STEP_BYTES,
					    uds_exception_store_chunk_bytes(store));
}

/* @ret_done: how many bytes went in. */
static int write_input(struct snapshot_target *target, bool to_origin, uint64_t offset,
		       uint64_t *ret_done)
{
	uint8_t *buffer = aligned_alloc(4096, STEP_BYTES);
	struct progress progress;
	int status = EXIT_GOOD;
	ssize_t n;

	if (buffer == NULL)
		return failed(target->command, target->cow_uri, -ENOMEM, NULL);
	progress_start(&progress, target->quiet, "writing", NULL);
	while (status == EXIT_GOOD &&
	       (n = read_in(buffer, next_input(target, to_origin, offset + *ret_done))) != 0) {
		uint64_t at = offset + *ret_done;
		size_t put_bytes;
		int r;

		if (n < 0) {
			complain(target->command, "standard input: %s", strerror((int)-n));
			status = EXIT_FAILED;
			break;
		}
		r = to_origin ? uds_snapshot_origin_write_partial(target->snapshot, buffer,
								  (size_t)n, at, &put_bytes)
			      : uds_snapshot_write_partial(target->snapshot, buffer, (size_t)n, at,
							   &put_bytes);
		*ret_done += put_bytes;
		if (r == UDS_ERR_INVALID_SNAPSHOT)
			*ret_done = 0;
		if (r < 0)
			status = snapshot_failed(target, r);
		if (progress_report(&progress, *ret_done, 0) != 0)
			break;
	}
	progress_end(&progress);
	free(buffer);
	return status;
}

int snapshot_write_run(const struct command *command, int argc, char **argv)
{
	bool to_origin = strcmp(command->name, "snapshot write-origin") == 0;
	struct snapshot_target target = { 0 };
	uint64_t offset = 0, done = 0;
	struct options options;
	char **arguments;
	int status, r;
	json_t *o;

	options_start(&options, command);
	snapshot_options(&target, &options, false);
	options_bytes(&options, "offset", &offset, 0, INT64_MAX, 1);
	if (to_origin)
		snapshot_other_options(&target, &options);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	status = snapshot_set(&target, &options, arguments[0], true);
	if (status == EXIT_GOOD && !options_given(&options, "offset"))
		status = misused(command, "--offset is missing");
	if (status == EXIT_GOOD)
		status = snapshot_open(&target, true, to_origin);
	if (status != EXIT_GOOD)
		return status;
	status = write_input(&target, to_origin, offset, &done);
	r = uds_snapshot_flush(target.snapshot);
	if (r < 0) {
		int flushing = snapshot_failed(&target, r);

		complain(command, "%s: what was written may not be durable", target.cow_uri);
		status = status == EXIT_GOOD ? flushing : status;
	}
	if (was_interrupted()) {
		complain(command, "interrupted; both devices are whole");
		status = EXIT_FAILED;
	}
	if (status != EXIT_GOOD)
		complain(command,
			 "%s: %" PRIu64 " bytes of the input, from byte %" PRIu64
			 " on, are written; to go on, leave them out and give --offset %" PRIu64,
			 to_origin ? target.origin_uri : target.cow_uri, done, offset,
			 offset + done);
	o = json_object();
	json_object_set_new(o, "offset", json_unsigned(offset));
	json_object_set_new(o, "bytes_written", json_unsigned(done));
	print_json(o);
	if (to_origin)
		status = snapshot_check_valid(&target, status);
	return snapshot_close(&target, status);
}
