/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds snapshot read`, `write` and `write-origin`: content in and out. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapshot_target.h"

#define STEP_BYTES (UINT64_C(4) << 20)

static int write_out(const struct snapshot_target *target, const uint8_t *buffer, size_t length)
{
	while (length > 0) {
		ssize_t n = write(STDOUT_FILENO, buffer, length);

		if (n < 0 && errno == EINTR && !was_interrupted())
			continue;
		if (n < 0) {
			complain(target->command, "standard output: %s", strerror(errno));
			return EXIT_FAILED;
		}
		buffer += n;
		length -= (size_t)n;
	}
	return EXIT_GOOD;
}

static int read_range(struct snapshot_target *target, uint64_t offset, uint64_t length)
{
	uint8_t *buffer = aligned_alloc(4096, STEP_BYTES);
	struct progress progress;
	int status = EXIT_GOOD;
	uint64_t done = 0;

	if (buffer == NULL)
		return failed(target->command, target->cow_uri, -ENOMEM, NULL);
	progress_start(&progress, target->quiet, "reading", NULL);
	while (status == EXIT_GOOD && done < length) {
		size_t step = length - done < STEP_BYTES ? (size_t)(length - done) : STEP_BYTES;
		int r = uds_snapshot_read(target->snapshot, buffer, step, offset + done);

		if (r < 0) {
			status = snapshot_failed(target, r);
			complain(target->command, "%s: stopped at byte %" PRIu64, target->cow_uri,
				 offset + done);
			break;
		}
		status = write_out(target, buffer, step);
		done += step;
		if (progress_report(&progress, done, length) != 0 && done < length) {
			complain(target->command, "interrupted at byte %" PRIu64, offset + done);
			status = EXIT_FAILED;
		}
	}
	progress_end(&progress);
	free(buffer);
	return status;
}

int snapshot_read_run(const struct command *command, int argc, char **argv)
{
	struct snapshot_target target = { 0 };
	uint64_t offset = 0, length = UINT64_MAX, size;
	struct options options;
	char **arguments;
	int status;

	options_start(&options, command);
	snapshot_options(&target, &options, true);
	options_bytes(&options, "offset", &offset, 0, INT64_MAX, 1);
	options_bytes(&options, "length", &length, 0, UINT64_MAX, 1);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	status = snapshot_set(&target, &options, arguments[0], true);
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
	return snapshot_close(&target, read_range(&target, offset, length));
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

typedef int (*write_fn)(struct uds_snapshot *snapshot, const void *buffer, size_t length,
			uint64_t offset);

/* @ret_done: how many bytes went in. */
static int write_input(struct snapshot_target *target, write_fn put, uint64_t offset,
		       uint64_t *ret_done)
{
	uint8_t *buffer = aligned_alloc(4096, STEP_BYTES);
	struct progress progress;
	int status = EXIT_GOOD;
	ssize_t n;

	if (buffer == NULL)
		return failed(target->command, target->cow_uri, -ENOMEM, NULL);
	progress_start(&progress, target->quiet, "writing", NULL);
	while (status == EXIT_GOOD && (n = read_in(buffer, STEP_BYTES)) != 0) {
		int r;

		if (n < 0) {
			complain(target->command, "standard input: %s", strerror((int)-n));
			status = EXIT_FAILED;
			break;
		}
		r = put(target->snapshot, buffer, (size_t)n, offset + *ret_done);
		if (r < 0)
			status = snapshot_failed(target, r);
		else
			*ret_done += (uint64_t)n;
		if (progress_report(&progress, *ret_done, 0) != 0)
			break;
	}
	progress_end(&progress);
	free(buffer);
	return status;
}

/* A write that went through although the snapshot had to be given up for it. */
static int check_validity(struct snapshot_target *target, int status)
{
	struct uds_snapshot_status s = { .size = sizeof(s) };

	if (status != EXIT_GOOD || uds_snapshot_get_status(target->snapshot, &s) < 0 ||
	    s.state != UDS_SNAPSHOT_INVALID)
		return status;
	complain(target->command,
		 "%s: is %s; what was written is on the origin, and the snapshot is lost",
		 target->cow_uri, uds_snapshot_state_name(s.state));
	return EXIT_FAILED;
}

int snapshot_write_run(const struct command *command, int argc, char **argv)
{
	bool to_origin = strcmp(command->name, "snapshot write-origin") == 0;
	struct snapshot_target target = { 0 };
	uint64_t offset = 0, done = 0;
	struct options options;
	char **arguments;
	int status, r;

	options_start(&options, command);
	snapshot_options(&target, &options, false);
	options_bytes(&options, "offset", &offset, 0, INT64_MAX, 1);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	status = snapshot_set(&target, &options, arguments[0], true);
	if (status == EXIT_GOOD && !options_given(&options, "offset"))
		status = misused(command, "--offset is missing");
	if (status == EXIT_GOOD)
		status = snapshot_open(&target, true, to_origin);
	if (status != EXIT_GOOD)
		return status;
	status = write_input(&target, to_origin ? uds_snapshot_origin_write : uds_snapshot_write,
			     offset, &done);
	r = uds_snapshot_flush(target.snapshot);
	if (r < 0 && status == EXIT_GOOD)
		status = snapshot_failed(&target, r);
	if (was_interrupted()) {
		complain(command, "interrupted");
		status = EXIT_FAILED;
	}
	if (status != EXIT_GOOD)
		complain(command, "%s: %" PRIu64 " bytes from byte %" PRIu64 " on were written",
			 target.cow_uri, done, offset);
	if (to_origin)
		status = check_validity(&target, status);
	return snapshot_close(&target, status);
}
