/* SPDX-License-Identifier: BSD-2-Clause */
/* Where an export is, to tell whether two I/Os are the same one. */
#ifndef NBD_PLACE_H
#define NBD_PLACE_H

#include <stdbool.h>

#include <libnbd.h>

#include <uds/io.h>

/*
 * The server's address and the export's name as a place of bytes; false: it has none. One export
 * under two names or addresses is two places.
 */
bool place_of_export(struct nbd_handle *handle, struct uds_io_place *ret_place);

#endif
