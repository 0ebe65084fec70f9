/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening by URI, with the tables of schemes handed in. Any thread. */
#ifndef URI_URI_H
#define URI_URI_H

#include "uri/schemes.h"

/* uds_io_open_uri(), with the built-in schemes of @built_in. */
int uri_open(const struct built_in_schemes *built_in, const char *uri,
	     const struct uds_io_file_options *options, const struct uds_env *env,
	     struct uds_message *ret_message, struct uds_io **ret_io);

/*
 * Opens a URI or path that stands in @outer, which a scheme's open function got, with
 * the same options.
 *
 * Returns what uri_open() returns; -EINVAL for one that stands too deep.
 */
int uri_open_nested(const struct uds_io_uri *outer, const char *uri, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io);

/*
 * Opens one that stands in @outer, as uri_open_nested() does, but to read and without a lock: only
 * to ask where it is.
 */
int uri_open_to_compare(const struct uds_io_uri *outer, const char *uri, const struct uds_env *env,
			struct uds_io **ret_io);

#endif
