/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening an export as an I/O. */
#ifndef NBD_OPEN_H
#define NBD_OPEN_H

#include <uds/nbd.h>

/* uds_nbd_open(), with another name for sentences than the URI. */
int nbd_open_named(const char *name, const char *uri, const struct uds_nbd_options *options,
		   const struct uds_env *env, struct uds_message *ret_message,
		   struct uds_io **ret_io);

#endif
