/* SPDX-License-Identifier: BSD-2-Clause */
/* uds_nbd_open(): checks the options, connects, and makes the I/O. */
#include "nbd/open.h"

#include <errno.h>
#include <inttypes.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "nbd/client.h"

static int check_options(const char *name, const struct uds_nbd_options *options,
			 struct uds_message *message)
{
	if (options->connections == 0 || options->connections > UDS_NBD_CONNECTIONS_MAX)
		return failure(message, -EINVAL,
			       "%s: %" PRIu32 " connections: 1 to %u are possible", name,
			       options->connections, UDS_NBD_CONNECTIONS_MAX);
	if (options->connect_ms == 0 || options->answer_ms == 0)
		return failure(message, -EINVAL, "%s: no time to connect, or to wait for answers",
			       name);
	if (options->unflushed_bytes < UDS_NBD_UNFLUSHED_MIN ||
	    options->unflushed_bytes > UDS_NBD_UNFLUSHED_MAX)
		return failure(message, -EINVAL,
			       "%s: %" PRIu64 " bytes for writes that are not flushed: %" PRIu64
			       " to %" PRIu64 " are possible",
			       name, options->unflushed_bytes, UDS_NBD_UNFLUSHED_MIN,
			       UDS_NBD_UNFLUSHED_MAX);
	return 0;
}

int nbd_open_named(const char *name, const char *uri, const struct uds_nbd_options *options,
		   const struct uds_env *env, struct uds_message *ret_message,
		   struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct client *client;
	int r = check_options(name, options, ret_message);

	if (r == 0)
		r = client_open(name, uri, options, env, ret_message, &client);
	if (r < 0)
		return r;
	limits.name = name;
	limits.block_bytes = client->facts.block_bytes;
	limits.preferred_bytes = client->facts.preferred_bytes;
	limits.read_only = !options->write;
	r = uds_io_open_ops(&nbd_backend, client, &limits, env, ret_message, ret_io);
	if (r < 0)
		client_close(client);
	return r;
}

UDS_PUBLIC int uds_nbd_open(const char *uri, const struct uds_nbd_options *given,
			    const struct uds_env *given_env, struct uds_message *ret_message,
			    struct uds_io **ret_io)
{
	struct uds_nbd_options options = UDS_NBD_OPTIONS_INIT;
	struct uds_env env;
	int r = env_take(given_env, ret_message, &env);

	if (r == 0 && given != NULL)
		r = STRUCT_IN(&options, given, uds_nbd_options, unflushed_bytes, ret_message);
	return r < 0 ? r : nbd_open_named(uri, uri, &options, &env, ret_message, ret_io);
}
