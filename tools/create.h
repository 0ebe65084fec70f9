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
 * Opens @uri to write a new store on it. @image: make what it names, an image of a cluster, say,
 * where only files are made otherwise. @ret_made: it was not there before, and when nothing comes
 * of it unmake() is to be called, which removes a file and tells of anything else.
 *
 * Returns EXIT_GOOD, or an exit status after a message.
 */
int open_to_create(const struct command *command, const char *uri, bool image,
		   const struct uds_env *env, struct uds_io **ret_io, bool *ret_made);
void unmake(const struct command *command, const char *uri);

#endif
