/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `uds create`: an empty index. Nothing is touched before geometry and place have been checked.
 */
#include "create.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "families.h"
#include "schemes.h"
#include "step.h"
#include "target.h"
#include "text.h"

/* How much is looked at for content in the way; more than any label or super block lies behind. */
#define LOOK_BYTES (UINT64_C(1) << 30)
#define STEP_BYTES (UINT64_C(1) << 20)
#define HOLE_BYTES (UINT64_C(64) << 10)

/* Offset of the first byte that is not zero, or @length. */
static size_t first_content(const uint8_t *bytes, size_t length)
{
	size_t i = 0;

	if (length > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0)
		return length;
	while (i < length && bytes[i] == 0)
		i++;
	return i;
}

/*
 * Where to go on looking: behind the hole at @at, as far as whole steps go that keep it aligned.
 * @ret_end: where the next hole may be.
 */
static uint64_t behind_hole(struct uds_io *io, uint64_t at, uint64_t *ret_end)
{
	uint64_t begin;

	/* Where it cannot be told, everything is read, and reading says what is wrong. */
	if (uds_io_find_data(io, at, &begin, ret_end) < 0) {
		*ret_end = UINT64_MAX;
		return at;
	}
	return at + (begin - at) / HOLE_BYTES * HOLE_BYTES;
}

/* Looks at [@offset, @end) through a buffer of STEP_BYTES. */
static int look_for_content(const struct command *command, struct uds_io *io, const char *uri,
			    uint64_t offset, uint64_t end, uint8_t *buffer)
{
	struct progress progress;
	uint64_t data_end = 0;
	int status = EXIT_GOOD;
	size_t step;

	progress_start(&progress, true, "looking for content", NULL);
	for (uint64_t at = offset; status == EXIT_GOOD; at += step) {
		struct uds_message message = { "" };
		size_t found;
		int r;

		if (at >= data_end)
			at = behind_hole(io, at, &data_end);
		if (at >= end)
			break;
		step = (size_t)step_bytes(io, at, end - at, STEP_BYTES, 4096);
		r = uds_io_read(io, buffer, step, at);
		if (r < 0) {
			uds_io_error_message(io, &message);
			status = failed(command, uri, r, &message);
			break;
		}
		found = first_content(buffer, step);
		if (found < step) {
			complain(command,
				 "%s: there is something at byte %llu already%s; --force writes "
				 "over it",
				 uri, (unsigned long long)(at + found),
				 at == offset && memcmp(buffer, "dmvdo001", 8) == 0
					 ? " (a VDO volume, which holds an index of its own)"
					 : "");
			status = EXIT_FAILED;
		} else if (progress_report(&progress, at - offset, end - offset) != 0) {
			complain(command, "interrupted: nothing was written");
			status = EXIT_FAILED;
		}
	}
	progress_end(&progress);
	return status;
}

int refuse_content(const struct command *command, struct uds_io *io, const char *uri,
		   uint64_t offset, uint64_t length)
{
	uint64_t size, end;
	uint8_t *buffer;
	int status, r;

	r = uds_io_size(io, &size);
	if (r < 0)
		return failed(command, uri, r, NULL);
	if (length > LOOK_BYTES)
		length = LOOK_BYTES;
	end = offset > UINT64_MAX - length || offset + length > size ? size : offset + length;
	buffer = aligned_alloc(65536, STEP_BYTES);
	if (buffer == NULL)
		return failed(command, uri, -ENOMEM, NULL);
	status = look_for_content(command, io, uri, offset, end, buffer);
	free(buffer);
	return status;
}

/* The path that a URI names; NULL for other schemes and for paths with options. */
static const char *plain_path(const char *uri)
{
	const char *colon = strchr(uri, ':');
	const char *slash = strchr(uri, '/');

	if (colon == NULL || (slash != NULL && slash < colon))
		return uri;
	if (strncmp(uri, "file:", 5) == 0 && strchr(uri, '?') == NULL)
		return uri + 5;
	return NULL;
}

int open_to_create(const struct command *command, const char *uri, bool image,
		   const struct uds_env *env, struct uds_io **ret_io, bool *ret_made)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.write = true;
	options.create = true;
	options.exclusive_create = image || plain_path(uri) != NULL;
	r = open_uri(uri, &options, env, &message, ret_io);
	*ret_made = r == 0 && options.exclusive_create;
	if (r == -EEXIST && !image) {
		/* Still to create: what is there is not written through a symbolic link. */
		options.exclusive_create = false;
		message.text[0] = '\0';
		r = open_uri(uri, &options, env, &message, ret_io);
	}
	return r < 0 ? failed(command, uri, r, &message) : EXIT_GOOD;
}

void unmake(const struct command *command, const char *uri)
{
	const char *path = plain_path(uri);

	if (path != NULL)
		unlink(path);
	else
		complain(command, "%s: it was made, and stays", uri);
}

/* What the command line says about the shape; UINT64_MAX: nothing. */
struct shape_options {
	const char *memory;
	bool sparse;
	uint64_t chapters;
	uint64_t record_pages;
	uint64_t page_size;
	uint64_t sparse_chapters;
	uint64_t sample_rate;
	uint64_t nonce;
};

static void shape_set(struct options *options, struct shape_options *shape)
{
	options_text(options, "memory", &shape->memory);
	options_flag(options, "sparse", &shape->sparse);
	options_number(options, "chapters", &shape->chapters, 0, UINT32_MAX);
	options_number(options, "record-pages", &shape->record_pages, 0, UINT32_MAX);
	options_bytes(options, "page-size", &shape->page_size, 0, UINT32_MAX, 1);
	options_number(options, "sparse-chapters", &shape->sparse_chapters, 0, UINT32_MAX);
	options_number(options, "sample-rate", &shape->sample_rate, 0, UINT32_MAX);
	options_number(options, "nonce", &shape->nonce, 0, UINT64_MAX);
}

/* An explicit geometry: each number as given, the rest as in the usual sizes. */
static int explicit_shape(const struct options *options, const struct shape_options *shape,
			  struct uds_configuration *configuration)
{
	if (shape->memory != NULL)
		return misused(
			options->command,
			"--memory is a geometry of its own: --chapters and the like do not go "
			"with it");
	if (!options_given(options, "chapters"))
		return misused(options->command, "an explicit geometry needs --chapters");
	if (options_given(options, "sample-rate") && !options_given(options, "sparse-chapters"))
		return misused(options->command, "--sample-rate needs --sparse-chapters");
	if (shape->sparse && !options_given(options, "sparse-chapters"))
		return misused(options->command,
			       "--sparse with --chapters needs --sparse-chapters as well");
	configuration->chapters_per_volume = (uint32_t)shape->chapters;
	if (options_given(options, "record-pages"))
		configuration->record_pages_per_chapter = (uint32_t)shape->record_pages;
	if (options_given(options, "page-size"))
		configuration->page_bytes = (uint32_t)shape->page_size;
	configuration->sparse_chapters_per_volume = (uint32_t)shape->sparse_chapters;
	if (shape->sparse_chapters > 0)
		configuration->sparse_sample_rate =
			options_given(options, "sample-rate") ? (uint32_t)shape->sample_rate : 32;
	return EXIT_GOOD;
}

static int choose_shape(const struct options *options, const struct shape_options *shape,
			struct uds_configuration *ret_configuration,
			struct uds_geometry *ret_geometry)
{
	static const char *const explicit_options[] = { "chapters", "record-pages", "page-size",
							"sparse-chapters", "sample-rate" };
	struct uds_message message = { "" };
	bool is_explicit = false;
	int status, r;

	for (size_t i = 0; i < sizeof(explicit_options) / sizeof(explicit_options[0]); i++)
		is_explicit = is_explicit || options_given(options, explicit_options[i]);
	if (is_explicit) {
		status = explicit_shape(options, shape, ret_configuration);
		if (status != EXIT_GOOD)
			return status;
	} else {
		r = uds_configuration_for_memory(shape->memory == NULL ? "256M" : shape->memory,
						 shape->sparse, &message, ret_configuration);
		if (r < 0)
			return misused(options->command, "--memory: %s", message.text);
	}
	ret_configuration->nonce = shape->nonce;
	r = uds_geometry_compute(ret_configuration, &message, ret_geometry);
	if (r == -EINVAL)
		return misused(options->command, "%s", message.text);
	return r < 0 ? failed(options->command, "geometry", r, &message) : EXIT_GOOD;
}

/* Writes the index on an I/O that is open. */
static int create_on(struct target *target, const struct uds_configuration *configuration,
		     const struct uds_geometry *geometry, uint64_t size_limit,
		     const uint8_t *nonce_data, bool no_extras, bool force)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct progress progress;
	int status = EXIT_GOOD;
	int r;

	if (!force)
		status = refuse_content(target->command, target->io, target->uri, target->offset,
					geometry->index_bytes +
						(no_extras ? 0 : geometry->extras_bytes));
	if (status != EXIT_GOOD)
		return status;
	options.env = &target->env;
	options.offset = target->offset;
	options.size_limit = size_limit;
	options.nonce_data = nonce_data;
	options.no_extras = no_extras;
	options.progress = progress_report;
	options.progress_context = &progress;
	progress_start(&progress, target->quiet, "creating", NULL);
	/* The configuration is right: it has been computed with. */
	r = uds_index_format(target->io, configuration, &options, &message);
	progress_end(&progress);
	return r < 0 ? failed(target->command, target->uri, r, &message) : EXIT_GOOD;
}

int create_run(const struct command *command, int argc, char **argv)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_geometry geometry = { .size = sizeof(geometry) };
	struct shape_options shape = { 0 };
	struct target target = { 0 };
	struct options options;
	const char *seed = NULL;
	uint8_t nonce_data[32];
	bool force = false, no_extras = false, image = false, made = false;
	uint64_t size_limit = 0;
	char **arguments;
	int status;

	options_start(&options, command);
	target_options(&target, &options, true);
	shape_set(&options, &shape);
	options_text(&options, "nonce-data", &seed);
	options_bytes(&options, "size", &size_limit, 4096, UINT64_MAX, 1);
	options_flag(&options, "force", &force);
	options_flag(&options, "no-extras", &no_extras);
	options_flag(&options, "create-image", &image);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	if (seed != NULL && (strlen(seed) != 64 || !parse_hex(seed, nonce_data, 32)))
		return misused(command, "--nonce-data: not 64 hexadecimal digits (32 bytes)");
	status = choose_shape(&options, &shape, &configuration, &geometry);
	if (status != EXIT_GOOD)
		return status;
	target_set(&target, &options, arguments[0]);
	catch_interrupts();
	status = open_to_create(command, target.uri, image, &target.env, &target.io, &made);
	if (status != EXIT_GOOD)
		return status;
	status = create_on(&target, &configuration, &geometry, size_limit,
			   seed != NULL ? nonce_data : NULL, no_extras, force);
	status = target_close(&target, false, status);
	if (status != EXIT_GOOD && made)
		unmake(command, target.uri);
	return status;
}
