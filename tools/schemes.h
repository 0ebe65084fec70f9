/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * URIs whose scheme another library brings: it is loaded when one of them is opened first, and
 * stays loaded. Where it is not there, the sentence says what brings it.
 *
 * Threads: one.
 */
#ifndef TOOLS_SCHEMES_H
#define TOOLS_SCHEMES_H

#include <stdbool.h>

#include <uds/io.h>

/* uds_io_open_uri(), with the schemes of other libraries, also within other URIs. */
int open_uri(const char *uri, const struct uds_io_file_options *options, const struct uds_env *env,
	     struct uds_message *ret_message, struct uds_io **ret_io);

/*
 * Whether a name begins with a scheme that is built in or brought by a library of this project. A
 * path is none, unless it has such a beginning: then it is written ./PATH.
 */
bool has_known_scheme(const char *name);

#endif
