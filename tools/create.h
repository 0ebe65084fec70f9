/* SPDX-License-Identifier: BSD-2-Clause */
/* Making empty stores: what stands in the way. */
#ifndef TOOLS_CREATE_H
#define TOOLS_CREATE_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/io.h>

#include "tool.h"

/*
 * Looks for content that a new store would destroy: bytes that are not zero in the @length bytes
 * from @offset on, as far as the I/O goes.
 *
 * Returns EXIT_GOOD when there are none, otherwise an exit status after a message.
 */
int refuse_content(const struct command *command, struct uds_io *io, const char *uri,
		   uint64_t offset, uint64_t length);

/*
 * Opens @uri to write a new store on it. @ret_made: the file was not there before, and is to be
 * removed again with unmake_file() when nothing comes of it.
 *
 * Returns EXIT_GOOD, or an exit status after a message.
 */
int open_to_create(const struct command *command, const char *uri, const struct uds_env *env,
		   struct uds_io **ret_io, bool *ret_made);
void unmake_file(const char *uri);

#endif
