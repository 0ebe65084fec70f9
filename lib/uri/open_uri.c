/* SPDX-License-Identifier: BSD-2-Clause */
/* The built-in schemes: those of files and memory, and the table of all. */
#include <errno.h>

#include "base/message.h"
#include "base/visibility.h"
#include "uri/nested.h"
#include "uri/uri.h"

enum { FILE_DIRECT, FILE_URING, FILE_MAP };

/* The choices are in the order of enum uds_io_direct. */
static const struct uds_io_parameter file_parameters[] = {
	[FILE_DIRECT] = { .name = "direct",
			  .kind = UDS_IO_PARAMETER_CHOICE,
			  .choices = "0|1|auto" },
	[FILE_URING] = { .name = "uring", .kind = UDS_IO_PARAMETER_FLAG },
	[FILE_MAP] = { .name = "map", .kind = UDS_IO_PARAMETER_FLAG },
};

static int open_file(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		     struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_io_file_options options = *uri->options;

	(void)context;
	if (*uri->path == '\0')
		return failure(ret_message, -EINVAL, "%s: names no path", uri->text);
	/* Only what the URI says: the rest stays as the caller has it. */
	if (uri->values[FILE_DIRECT].text != NULL)
		options.direct = (uint32_t)uri->values[FILE_DIRECT].number;
	if (uri->values[FILE_URING].text != NULL)
		options.uring = uri->values[FILE_URING].number != 0;
	if (uri->values[FILE_MAP].text != NULL)
		options.map = uri->values[FILE_MAP].number != 0;
	return uds_io_open_file(uri->path, &options, env, ret_message, ret_io);
}

static const struct uds_io_parameter memory_parameters[] = {
	{ .name = "size", .kind = UDS_IO_PARAMETER_SIZE },
};

static int open_memory(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		       struct uds_message *ret_message, struct uds_io **ret_io)
{
	uint64_t bytes = uri->values[0].number;

	(void)context;
	if (*uri->path != '\0')
		return failure(ret_message, -EINVAL, "%s: mem: takes no path, only ?size=BYTES",
			       uri->text);
	if (bytes > UDS_IO_MEMORY_BYTES_MAX)
		return failure(ret_message, -EFBIG,
			       "%s: size: expected at most %llu bytes, found %llu", uri->text,
			       (unsigned long long)UDS_IO_MEMORY_BYTES_MAX,
			       (unsigned long long)bytes);
	/* Without its sentence, which cannot name the URI. */
	return uds_io_open_memory(bytes, 1, env, NULL, ret_io);
}

#define ROW(scheme, open_function, table)                                                    \
	{                                                                                    \
		.size = sizeof(struct uds_io_scheme), .name = scheme, .open = open_function, \
		.parameters = table, .parameter_count = sizeof(table) / sizeof(table[0])     \
	}

static const struct uds_io_scheme rows[] = {
	ROW("file", open_file, file_parameters),       ROW("mem", open_memory, memory_parameters),
	ROW("concat", concat_open, concat_parameters), ROW("vdo", vdo_scheme_open, vdo_parameters),
	ROW("lvm", lvm_scheme_open, lvm_parameters),
};

static const struct built_in_schemes built_in = { rows, sizeof(rows) / sizeof(rows[0]) };

UDS_PUBLIC int uds_io_open_uri(const char *uri, const struct uds_io_file_options *options,
			       const struct uds_env *env, struct uds_message *ret_message,
			       struct uds_io **ret_io)
{
	return uri_open(&built_in, uri, options, env, ret_message, ret_io);
}

UDS_PUBLIC int uds_io_register_scheme(const struct uds_io_scheme *scheme,
				      struct uds_message *ret_message)
{
	return scheme_register(&built_in, scheme, ret_message);
}
