/* SPDX-License-Identifier: BSD-2-Clause */
/* Where `uds snapshot read` and `diff` put content. */
#include "snapshot_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOLE_BYTES ((size_t)4096)

static const char *name_of(const struct sink *sink)
{
	return sink->path == NULL ? "standard output" : sink->path;
}

static int sink_failed(const struct sink *sink)
{
	complain(sink->command, "%s: %s", name_of(sink), strerror(errno));
	return EXIT_FAILED;
}

static int write_all(struct sink *sink, const uint8_t *buffer, size_t length)
{
	while (length > 0) {
		ssize_t n = write(sink->descriptor, buffer, length);

		if (n < 0 && errno == EINTR && !was_interrupted())
			continue;
		if (n < 0 && errno == EPIPE)
			return EXIT_NO_READER;
		if (n < 0)
			return sink_failed(sink);
		buffer += n;
		length -= (size_t)n;
		sink->taken += (uint64_t)n;
	}
	return EXIT_GOOD;
}

static bool all_zero(const uint8_t *bytes, size_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

int sink_write_at(struct sink *sink, const uint8_t *buffer, size_t length, uint64_t offset)
{
	if (lseek(sink->descriptor, (off_t)(sink->start + offset), SEEK_SET) < 0)
		return sink_failed(sink);
	sink->taken = offset;
	return write_all(sink, buffer, length);
}

/* Zeros become holes in units of HOLE_BYTES. */
int sink_write(struct sink *sink, const uint8_t *buffer, size_t length)
{
	int status = EXIT_GOOD;

	if (!sink->sparse)
		return write_all(sink, buffer, length);
	while (length > 0 && status == EXIT_GOOD) {
		size_t part = length < HOLE_BYTES ? length : HOLE_BYTES;

		if (all_zero(buffer, part))
			sink->taken += part;
		else if (lseek(sink->descriptor, (off_t)(sink->start + sink->taken), SEEK_SET) < 0)
			status = sink_failed(sink);
		else
			status = write_all(sink, buffer, part);
		buffer += part;
		length -= part;
	}
	return status;
}

/*
 * An output that is there is taken as it is. One that is not is made for its owner alone, as it
 * gets what a device has that others may not read; never through a symbolic link, whose target
 * somebody else has chosen.
 */
static int open_output(const char *path)
{
	int descriptor = open(path, O_WRONLY | O_CLOEXEC);

	if (descriptor >= 0 || errno != ENOENT)
		return descriptor;
	return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
}

/*
 * Whether the output is the origin or a COW device: the same file, under any name and through any
 * URI, or a device on it. The descriptor may not be one to read, so it is opened once more, and by
 * its number: what standard output is has no other name.
 */
static bool is_input(const struct sink *sink, const struct snapshot_target *target)
{
	struct uds_io *io;
	char path[40];
	bool same;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", sink->descriptor);
	if (uds_io_open_file(path, NULL, NULL, NULL, &io) < 0)
		return false;
	same = uds_io_overlap(io, target->cow) || uds_io_overlap(io, target->origin);
	for (size_t i = 0; i < target->other_uris.count && !same; i++)
		same = uds_io_overlap(io, target->others[i].cow);
	uds_io_close(io);
	return same;
}

/* As all that the command writes: no other program may be writing it, and no mount may show it. */
static int claim_output(struct sink *sink)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.write = true;
	r = uds_io_open_file(sink->path, &options, NULL, &message, &sink->claim);
	return r < 0 ? failed(sink->command, sink->path, r, &message) : EXIT_GOOD;
}

static int start_holes(struct sink *sink, const struct stat *status)
{
	off_t start = sink->path != NULL ? 0 : lseek(sink->descriptor, 0, SEEK_CUR);

	if (!S_ISREG(status->st_mode) || start < 0 ||
	    (fcntl(sink->descriptor, F_GETFL) & O_APPEND) != 0 ||
	    (sink->path == NULL && status->st_size > start)) {
		complain(sink->command,
			 "--sparse: the output is no new file: there can be no holes in it");
		return EXIT_FAILED;
	}
	sink->start = (uint64_t)start;
	return EXIT_GOOD;
}

static int check_output(struct sink *sink, const struct snapshot_target *target)
{
	struct stat status;
	int result = EXIT_GOOD;

	if (fstat(sink->descriptor, &status) != 0)
		return sink_failed(sink);
	if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)) {
		if (is_input(sink, target)) {
			complain(sink->command, "the output is the origin or the COW device "
						"itself, or lies on one");
			return EXIT_FAILED;
		}
		result = sink->path == NULL ? EXIT_GOOD : claim_output(sink);
	}
	if (result == EXIT_GOOD && sink->sparse)
		result = start_holes(sink, &status);
	if (result == EXIT_GOOD && sink->path != NULL && S_ISREG(status.st_mode) &&
	    ftruncate(sink->descriptor, 0) != 0)
		result = sink_failed(sink);
	return result;
}

int sink_open(struct sink *sink, const struct snapshot_target *target)
{
	int status;

	sink->descriptor = sink->path == NULL ? STDOUT_FILENO : open_output(sink->path);
	if (sink->descriptor < 0)
		return sink_failed(sink);
	status = check_output(sink, target);
	if (status != EXIT_GOOD && sink->path != NULL)
		close(sink->descriptor);
	return status;
}

int sink_close(struct sink *sink, int status)
{
	bool failed = sink->sparse &&
		      ftruncate(sink->descriptor, (off_t)(sink->start + sink->taken)) != 0;

	if (failed && status == EXIT_GOOD)
		status = sink_failed(sink);
	if (sink->path != NULL && close(sink->descriptor) != 0 && status == EXIT_GOOD)
		status = sink_failed(sink);
	uds_io_close(sink->claim);
	return status;
}
