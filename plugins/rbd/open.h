/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening an image as an I/O. */
#ifndef RBD_OPEN_H
#define RBD_OPEN_H

#include <uds/rbd.h>

/* uds_rbd_open(), with another name for sentences than that of the image. */
int rbd_open_named(const char *name, const char *image, const struct uds_rbd_options *options,
		   const struct uds_env *env, struct uds_message *ret_message,
		   struct uds_io **ret_io);

#endif
