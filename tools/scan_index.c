/* SPDX-License-Identifier: BSD-2-Clause */
/* An index that lives as long as one scan. */
#include "scan_index.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "scan_walk.h"

/* An index up to this size is kept in memory, beyond that in a file. */
#define MEMORY_BYTES (UINT64_C(64) << 20)

static uint64_t data_blocks(const struct walked_file *file, unsigned int shift)
{
	uint64_t mask = (UINT64_C(1) << shift) - 1;
	uint64_t offset = 0, blocks = 0;

	while (offset < file->size) {
		uint64_t begin, end;

		find_data(file, offset, &begin, &end);
		if (begin >= end)
			break;
		blocks += ((end + mask) >> shift) - (begin >> shift);
		offset = end;
	}
	return blocks;
}

/* What is counted, and shown while it is. */
struct count {
	struct progress progress;
	uint64_t files;
};

static int show_count(void *context, const char *path)
{
	struct count *count = context;

	count->progress.place = path;
	return progress_report(&count->progress, count->files, 0);
}

int measure_input(const struct scan_options *options, bool quiet, uint64_t *ret_bytes,
		  uint64_t *ret_blocks)
{
	struct count count = { .files = 0 };
	struct walker_options walk = { .command = options->command,
				       .silent = true,
				       .one_file_system = options->one_file_system,
				       .look = show_count,
				       .look_context = &count };
	struct walked_file file;
	struct walker *walker;
	int r;

	*ret_bytes = 0;
	*ret_blocks = 0;
	r = walker_open(options->paths, &walk, &walker);
	if (r < 0)
		return r;
	progress_start(&count.progress, quiet, "counting", "files");
	while ((r = walker_next(walker, &file)) > 0) {
		count.files++;
		add_bytes(ret_bytes, file.size);
		*ret_blocks += data_blocks(&file, options->block_shift);
		walked_file_close(&file);
	}
	progress_end(&count.progress);
	walker_close(walker);
	return r == -ECANCELED ? 0 : r;
}

/*
 * A shape whose chapters hold @blocks records, and some more in case files grow, before the first
 * has to leave. Names that are found again are stored again, so every block counts.
 */
static void choose_shape(uint64_t blocks, bool sparse, struct uds_configuration *ret_configuration)
{
	uint64_t wanted = blocks + blocks / 16 + 1024;
	uint64_t in_chapter, chapters;

	if (wanted <= UINT64_C(1) << 18) {
		ret_configuration->page_bytes = 4096;
		ret_configuration->record_pages_per_chapter = 32;
	} else if (wanted <= UINT64_C(1) << 28) {
		ret_configuration->record_pages_per_chapter = 64;
	} else {
		ret_configuration->record_pages_per_chapter = 256;
	}
	in_chapter = (uint64_t)ret_configuration->page_bytes / UDS_RECORD_BYTES *
		     ret_configuration->record_pages_per_chapter;
	chapters = wanted / in_chapter + 3;
	chapters += chapters % 2; /* an odd number would be a converted volume */
	if (sparse && chapters < 20)
		chapters = 20;
	/* More than fits in the field is refused by the geometry, with the range. */
	ret_configuration->chapters_per_volume =
		chapters > UINT32_MAX ? UINT32_MAX : (uint32_t)chapters;
	if (sparse) {
		ret_configuration->sparse_chapters_per_volume = (uint32_t)(chapters * 19 / 20);
		ret_configuration->sparse_sample_rate = 32;
	}
}

/* A file that has no name any more. Returns its descriptor or a negated errno. */
static int nameless_file(const char *directory)
{
	char path[4096];
	int descriptor, r;

	r = snprintf(path, sizeof(path), "%s/uds-scan-XXXXXX", directory);
	if (r < 0 || (size_t)r >= sizeof(path))
		return -ENAMETOOLONG;
	descriptor = mkstemp(path);
	if (descriptor < 0)
		return -errno;
	if (unlink(path) < 0) {
		r = -errno;
		close(descriptor);
		return r;
	}
	return descriptor;
}

static int open_own_io(struct target *target, uint64_t bytes)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	const char *directory = getenv("TMPDIR");
	char path[64];
	int descriptor, r;

	if (bytes <= MEMORY_BYTES) {
		r = uds_io_open_memory(bytes, 1, &target->env, &message, &target->io);
		return r < 0 ? failed(target->command, target->uri, r, &message) : EXIT_GOOD;
	}
	if (directory == NULL || *directory == '\0')
		directory = "/var/tmp";
	descriptor = nameless_file(directory);
	if (descriptor < 0) {
		complain(target->command, "%s: no temporary index can be made there: %s", directory,
			 strerror(-descriptor));
		return EXIT_FAILED;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
	options.write = true;
	r = uds_io_open_file(path, &options, &target->env, &message, &target->io);
	close(descriptor);
	return r < 0 ? failed(target->command, target->uri, r, &message) : EXIT_GOOD;
}

int open_own_index(struct target *target, uint64_t blocks, bool sparse)
{
	struct uds_index_format_options create = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_geometry geometry = { .size = sizeof(geometry) };
	struct uds_message message = { "" };
	int status, r;

	target->uri = "temporary index";
	choose_shape(blocks, sparse, &configuration);
	r = uds_geometry_compute(&configuration, &message, &geometry);
	if (r < 0)
		return failed(target->command, target->uri, r, &message);
	status = open_own_io(target, geometry.index_bytes);
	if (status != EXIT_GOOD)
		return status;
	create.env = &target->env;
	create.no_extras = true; /* it is never opened again */
	options.env = &target->env;
	options.zones = (unsigned int)target->zones;
	r = uds_index_format(target->io, &configuration, &create, &message);
	if (r == 0)
		r = uds_index_open(target->io, &options, &message, &target->index);
	if (r == 0)
		return EXIT_GOOD;
	status = failed(target->command, target->uri, r, &message);
	uds_io_close(target->io);
	target->io = NULL;
	return status;
}
