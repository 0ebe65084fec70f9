/* SPDX-License-Identifier: BSD-2-Clause */
/* uds_rbd_open(): checks the options, opens, and makes the I/O. */
#include "rbd/open.h"

#include <errno.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "rbd/image.h"

static int check_options(const char *name, const struct uds_rbd_options *options,
			 struct uds_message *message)
{
	if (options->connect_ms == 0)
		return failure(message, -EINVAL, "%s: no time to connect", name);
	if (options->create && !options->write)
		return failure(message, -EINVAL, "%s: an image is made by who writes it", name);
	return 0;
}

int rbd_open_named(const char *name, const char *text, const struct uds_rbd_options *given,
		   const struct uds_env *env, struct uds_message *ret_message,
		   struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_rbd_options options = *given;
	struct image *image;
	int r = check_options(name, &options, ret_message);

	if (r < 0)
		return r;
	/* One that has no bytes yet is of no other use. */
	options.resize = options.resize || options.create;
	r = image_open(name, text, &options, env, ret_message, &image);
	if (r < 0)
		return r;
	limits.name = name;
	limits.read_only = !options.write;
	limits.preferred_bytes = image->run_bytes;
	r = uds_io_open_ops(&rbd_backend, image, &limits, env, ret_message, ret_io);
	if (r < 0)
		(void)image_close(image);
	return r;
}

UDS_PUBLIC int uds_rbd_open(const char *image, const struct uds_rbd_options *given,
			    const struct uds_env *given_env, struct uds_message *ret_message,
			    struct uds_io **ret_io)
{
	struct uds_rbd_options options = UDS_RBD_OPTIONS_INIT;
	struct uds_env env;
	int r = env_take(given_env, ret_message, &env);

	if (r == 0 && given != NULL)
		r = STRUCT_IN(&options, given, uds_rbd_options, pool_namespace, ret_message);
	return r < 0 ? r : rbd_open_named(image, image, &options, &env, ret_message, ret_io);
}
